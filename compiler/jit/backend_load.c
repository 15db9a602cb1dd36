// libdp's codegen and jit: the same functions, passed on to libdp-llvm, which is found beside libdp and loaded by the first
// call. When it cannot be loaded no module can be made, and cg_module says why.
#define _GNU_SOURCE
#include "jit/backend.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct Loaded {
  const Backend *table;
  char why[400];
} Loaded;

// Once per process, and constant from then on.
static Loaded loaded;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static int no_lanes(const CgOptions *opt) {
  (void)opt;
  return 0;
}

static CgModule *no_module(Arena *a, const IrModule *m, const CgOptions *opt, const CgMain *main,
                           const char **why) {
  (void)m, (void)opt, (void)main;
  *why = arena_strdup(a, loaded.why, strlen(loaded.why));
  return NULL;
}

static const Backend absent = {.cg_lanes = no_lanes,
                               .cg_module = no_module}; // all that is called without a module

// Its folder is known even where the program's own has changed since.
static void *open_beside(void) {
  Dl_info self;
  struct link_map *map;
  char path[PATH_MAX + sizeof "/" DP_BACKEND_FILE] = "";
  bool known = dladdr1(&loaded, &self, (void **)&map, RTLD_DL_LINKMAP) && !dlinfo(map, RTLD_DI_ORIGIN, path);
  strcat(path, known ? "/" DP_BACKEND_FILE : DP_BACKEND_FILE);
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void load(void) {
  loaded.table = &absent;
  void *library = open_beside();
  void *symbol = library ? dlsym(library, "dp_backend") : NULL;
  if (!symbol) {
    snprintf(loaded.why, sizeof loaded.why, "the code generator cannot be loaded: %s", dlerror());
    return;
  }
  const Backend *(*get)(void);
  memcpy(&get, &symbol, sizeof get);
  if (strcmp(get()->version, DP_VERSION) == 0)
    loaded.table = get();
  else
    snprintf(loaded.why, sizeof loaded.why, "%s is of version %s, and this is version %s", DP_BACKEND_FILE,
             get()->version, DP_VERSION);
}

static const Backend *backend(void) {
  pthread_once(&load_once, load);
  return loaded.table;
}

#define BACKEND(result, name, parameters, arguments)                                                         \
  result name parameters { return backend()->name arguments; }
#include "jit/backend.def"
