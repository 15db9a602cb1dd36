// What compiled code calls. In: the name of a symbol that a module leaves open. Out: where it is: the host's functions
// first, then dprt, then the vector math, then what the process itself exports.
// What must hold: nothing is looked for by name that codegen's tables can give, so that a shared library with hidden symbols
// works as well.
#define _GNU_SOURCE
#include "driver/driver.h"

#include "dp/dprt.h"
#include "dp/dprt_kernels.h"
#include "dp/dprt_program.h"
#include "dp/dprt_train.h"

#include <dlfcn.h>
#include <string.h>

static const HostSymbol runtime_symbols[] = {
#define RUNTIME(name, signature, kind) {#name, (void *)name},
#include "codegen/runtime_symbols.def"
#undef DPRT_EXTERN
#define DPRT_EXTERN(name) {#name, (void *)name},
#include "dp/dprt_extern.h"
};

static void *find_in(const HostSymbol *symbols, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(symbols[i].name, name) == 0) return symbols[i].address;
  return NULL;
}

void *symbol_find(void *user, const char *name) {
  const HostSymbols *host = user;
  void *address = host ? find_in(host->data, host->len, name) : NULL;
  if (!address)
    address = find_in(runtime_symbols, (int)(sizeof runtime_symbols / sizeof *runtime_symbols), name);
  if (address) return address;
  dprt_kernel_fn *kernel = dprt_kernel(name);
  return kernel ? (void *)(uintptr_t)kernel : dlsym(RTLD_DEFAULT, name);
}
