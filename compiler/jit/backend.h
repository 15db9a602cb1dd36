// The code generator as a library of its own, libdp-llvm, so that a host that embeds libdp has LLVM in its memory only from
// the first function on that is compiled there. dp itself has codegen and jit linked in.
//   backend.c       all of libdp-llvm: its one export, dp_backend
//   backend_load.c  in libdp, in the place of codegen and jit: loads libdp-llvm and passes the calls on
#ifndef DP_BACKEND_H
#define DP_BACKEND_H

#include "jit/jit.h"

typedef struct Backend {
  const char *version; // of the compiler that both libraries are parts of
#define BACKEND(result, name, parameters, arguments) result(*name) parameters;
#include "jit/backend.def"
} Backend;

__attribute__((visibility("default"))) const Backend *dp_backend(void);

#endif
