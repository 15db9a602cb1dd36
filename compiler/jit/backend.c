// What libdp-llvm exports: codegen and jit as one table.
#include "jit/backend.h"

const Backend *dp_backend(void) {
  static const Backend table = {
      .version = DP_VERSION,
#define BACKEND(result, name, parameters, arguments) .name = name,
#include "jit/backend.def"
  };
  return &table;
}
