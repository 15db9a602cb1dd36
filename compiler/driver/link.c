// Linking. In: an object file's bytes. Out: an executable or a shared library, made with the system's C compiler and the
// runtime library that stands beside dp. Written under a temporary name, then renamed.
#include "driver/driver.h"

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

static bool run_compiler(Arena *a, const char *const *args, const char *log, const char **why) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid;
  int failed = posix_spawnp(&pid, args[0], &actions, NULL, (char *const *)args, environ), status;
  posix_spawn_file_actions_destroy(&actions);
  if (failed) {
    *why = arena_printf(a, "the C compiler `%s`, which links it, cannot be started: %s", args[0],
                        strerror(failed));
    return false;
  }
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  size_t len;
  const char *ignored, *text = file_read(a, log, &len, &ignored);
  *why = arena_printf(a, "`%s` could not link it:\n%s", args[0], text ? text : "");
  return false;
}

bool link_program(Session *s, const void *object, size_t len, const char *out, bool shared,
                  const char **why) {
  Arena *a = s->arena;
  const char *runtime = runtime_library(a), *cc = getenv("CC");
  if (!runtime) {
    *why = "the runtime library libdprt.a does not stand beside this dp";
    return false;
  }
  const char *tmp = arena_printf(a, "%s.tmp%ld", out, (long)getpid());
  const char *obj = arena_printf(a, "%s.o", tmp), *log = arena_printf(a, "%s.log", tmp);
  if (!file_write_atomic(a, obj, object, len, false, why)) return false;
  const char *args[16];
  int n = 0;
  args[n++] = cc && *cc ? cc : "cc";
  if (shared) args[n++] = "-shared";
  args[n++] = "-o";
  args[n++] = tmp;
  args[n++] = obj;
  if (shared) args[n++] = "-Wl,--whole-archive";
  args[n++] = runtime;
  if (shared) args[n++] = "-Wl,--no-whole-archive";
  args[n++] = "-Wl,--gc-sections,--as-needed";
  args[n++] = "-lm";
  args[n++] = "-lpthread";
  args[n] = NULL;
  bool ok = run_compiler(a, args, log, why);
  unlink(obj);
  unlink(log);
  if (ok && rename(tmp, out) != 0) {
    *why = arena_printf(a, "%s", strerror(errno));
    ok = false;
  }
  if (!ok) unlink(tmp);
  return ok;
}
