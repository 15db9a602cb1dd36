// Linking. In: an object file's bytes. Out: an executable or a shared library, made with the system's C compiler and the
// runtime library that stands beside dp. Written under a temporary name, then renamed.
#include "driver/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// The runtime: in the folder of the build or the installation that this dp belongs to.
static const char *runtime_library(Arena *a) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n <= 0) return NULL;
  exe[n] = 0;
  *strrchr(exe, '/') = 0;
  static const char *const places[] = {"%s/../lib/libdprt.a", "%s/../lib/x86_64-linux-gnu/libdprt.a"};
  for (int i = 0; i < 2; i++) {
    const char *path = arena_printf(a, i ? "%s/../lib/x86_64-linux-gnu/libdprt.a" : places[0], exe);
    if (access(path, R_OK) == 0) return path;
  }
  return NULL;
}

// Runs the compiler; what it says comes back through a pipe, so that a full disk cannot swallow it.
static bool start_compiler(const char *const *args, int out[2], pid_t *pid, int *error) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, out[1], 2);
  *error = posix_spawnp(pid, args[0], &actions, NULL, (char *const *)args, environ);
  posix_spawn_file_actions_destroy(&actions);
  return !*error;
}

static bool run_compiler(Arena *a, const char *const *args, const char **why) {
  int out[2], status, error = 0;
  pid_t pid;
  if (pipe(out) != 0) {
    *why = strerror(errno);
    return false;
  }
  fcntl(out[0], F_SETFD, FD_CLOEXEC);
  fcntl(out[1], F_SETFD, FD_CLOEXEC);
  bool started = start_compiler(args, out, &pid, &error);
  close(out[1]);
  if (!started) {
    close(out[0]);
    *why = arena_printf(a, "the C compiler `%s`, which links it, cannot be started: %s", args[0],
                        strerror(error));
    return false;
  }
  StrBuf said;
  sb_init(&said, a);
  char piece[4096];
  for (ssize_t n; (n = read(out[0], piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) sb_addn(&said, piece, (size_t)n);
  close(out[0]);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  while (said.len && said.data[said.len - 1] == '\n') said.data[--said.len] = 0;
  *why = arena_printf(a, "`%s` could not link it:\n%s", args[0], said.data);
  return false;
}

bool can_be_written(Arena *a, const char *out, const char **why) {
  struct stat st;
  const char *slash = strrchr(out, '/');
  const char *folder = slash ? arena_printf(a, "%.*s", (int)(slash - out + 1), out) : ".";
  if (stat(folder, &st) != 0) {
    *why = arena_printf(a, "`%s`: %s", folder, strerror(errno));
    return false;
  }
  if (stat(out, &st) != 0 || S_ISREG(st.st_mode)) return true;
  *why = arena_printf(a, "it is %s", S_ISDIR(st.st_mode) ? "a folder" : "not an ordinary file");
  return false;
}

bool link_program(Session *s, const void *object, size_t len, const char *out, const char *source,
                  const char *const *links, int n_links, const char **why) {
  Arena *a = s->arena;
  const char *runtime = runtime_library(a), *cc = getenv("CC");
  if (!runtime) {
    *why = "the runtime library libdprt.a does not stand beside this dp";
    return false;
  }
  if (!can_be_written(a, out, why)) return false;
  const char *here = *out == '-' ? "./" : ""; // else it would be an option
  const char *tmp = arena_printf(a, "%s%s.tmp%ld", here, out, (long)getpid());
  const char *obj = arena_printf(a, "%s.o", tmp), *c = arena_printf(a, "%s.c", tmp);
  if (!file_write_atomic(a, obj, object, len, false, why)) return false;
  if (source && !file_write_atomic(a, c, source, strlen(source), false, why)) {
    unlink(obj);
    return false;
  }
  const char **args = ARENA_ARRAY(a, const char *, 20 + n_links);
  int n = 0;
  args[n++] = cc && *cc ? cc : "cc";
  if (source) {
    args[n++] = "-shared";
    args[n++] = "-fPIC";
    args[n++] = "-O2";
    args[n++] = c;
  }
  args[n++] = "-o";
  args[n++] = tmp;
  args[n++] = obj;
  for (int i = 0; i < n_links; i++) args[n++] = links[i];
  if (source) args[n++] = "-Wl,--whole-archive";
  args[n++] = runtime;
  if (source) args[n++] = "-Wl,--no-whole-archive";
  args[n++] = "-Wl,--gc-sections,--as-needed";
  args[n++] = "-lm";
  args[n++] = "-lpthread";
  args[n] = NULL;
  bool ok = run_compiler(a, args, why);
  unlink(obj);
  if (source) unlink(c);
  if (ok && rename(tmp, out) != 0) {
    *why = arena_printf(a, "%s", strerror(errno));
    ok = false;
  }
  if (!ok) unlink(tmp);
  return ok;
}

// ---- while dp itself runs the program ----------------------------------------------------------------------------------

bool libraries_open(Arena *a, const char *const *paths, int n, void **handles, const char **why) {
  for (int i = 0; i < n; i++) {
    const char *path = strchr(paths[i], '/') ? paths[i] : arena_printf(a, "./%s", paths[i]);
    handles[i] = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (handles[i]) continue;
    *why = dlerror();
    *why = arena_strdup(a, *why, strlen(*why));
    libraries_close(handles, i);
    return false;
  }
  return true;
}

void libraries_close(void **handles, int n) {
  for (int i = 0; i < n; i++) dlclose(handles[i]);
}
