// The JIT: machine code for a module, placed in this process.
//
// The code is generated with the module's own target machine, so that the same passes and the same instructions come out
// as for an executable, then linked in memory by LLVM's ORC. Every symbol that the module leaves open is resolved here,
// before linking: the host's symbols first, then dprt, then the math kernels, then what the process itself exports.
// What must hold: no symbol is looked for by name that codegen's tables can give, so that a shared library with hidden
// symbols works as well.
#define _GNU_SOURCE
#include "jit/jit.h"

#include "dp/dprt.h"
#include "dp/dprt_kernels.h"
#include "dp/dprt_program.h"
#include "dp/dprt_train.h"

#include <dlfcn.h>
#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <stdlib.h>
#include <string.h>

struct Jit {
  Arena *arena;
  LLVMOrcLLJITRef lljit;
  const JitSymbol *symbols; // the host's, while the module is linked
  int n_symbols;
  const char *missing; // what is wrong with the first symbol that was not found
};

static const JitSymbol runtime_symbols[] = {
#define RUNTIME(name, signature, kind) {#name, (void *)name},
#include "codegen/runtime_symbols.def"
#undef DPRT_EXTERN
#define DPRT_EXTERN(name) {#name, (void *)name},
#include "dp/dprt_extern.h"
};

static const char *error_text(Arena *a, LLVMErrorRef e) {
  char *text = LLVMGetErrorMessage(e);
  const char *copy = arena_strdup(a, text, strlen(text));
  LLVMDisposeErrorMessage(text);
  return copy;
}

// ---- symbols -----------------------------------------------------------------------------------------------------------

static void *find_in(const JitSymbol *symbols, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(symbols[i].name, name) == 0) return symbols[i].address;
  return NULL;
}

static void *resolve(Jit *j, const char *name) {
  void *address = find_in(j->symbols, j->n_symbols, name);
  if (!address)
    address = find_in(runtime_symbols, (int)(sizeof runtime_symbols / sizeof *runtime_symbols), name);
  if (address) return address;
  dprt_kernel_fn *kernel = dprt_kernel(name);
  if (kernel) return (void *)(uintptr_t)kernel;
  address = dlsym(RTLD_DEFAULT, name);
  if (!address && !j->missing)
    j->missing = arena_printf(
        j->arena,
        "the extern function `%s` is not known: neither the host nor a library (`--link FILE`) has it", name);
  return address;
}

// What the linker asks for when it meets a symbol that the module does not define.
static LLVMErrorRef generate(LLVMOrcDefinitionGeneratorRef generator, void *user,
                             LLVMOrcLookupStateRef *state, LLVMOrcLookupKind kind, LLVMOrcJITDylibRef dylib,
                             LLVMOrcJITDylibLookupFlags flags, LLVMOrcCLookupSet set, size_t n) {
  (void)generator, (void)state, (void)kind, (void)flags;
  Jit *j = user;
  LLVMOrcCSymbolMapPair *pairs = calloc(n ? n : 1, sizeof *pairs);
  if (!pairs) return LLVMCreateStringError("out of memory");
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    const char *name = LLVMOrcSymbolStringPoolEntryStr(set[i].Name);
    void *address = resolve(j, name);
    if (!address) continue;
    LLVMOrcRetainSymbolStringPoolEntry(set[i].Name);
    pairs[found].Name = set[i].Name;
    pairs[found].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)address;
    pairs[found].Sym.Flags.GenericFlags =
        LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    found++;
  }
  LLVMErrorRef error = found ? LLVMOrcJITDylibDefine(dylib, LLVMOrcAbsoluteSymbols(pairs, found)) : NULL;
  free(pairs);
  return error;
}

// ---- construction ------------------------------------------------------------------------------------------------------

static void ignore_error(void *user, LLVMErrorRef error) {
  (void)user;
  LLVMConsumeError(error); // it comes back from the lookup as well
}

// Any function that can be called from outside: looking it up links the module.
static const char *some_entry(Arena *a, CgModule *cg) {
  const char *symbol = cg_any_export(cg);
  return symbol ? arena_strdup(a, symbol, strlen(symbol)) : NULL;
}

// With the module's own target machine, so that LLVM does not ask the processor again what it is.
static LLVMErrorRef open_linker(Jit *j, CgModule *cg) {
  LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
      builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(cg_take_machine(cg)));
  return LLVMOrcCreateLLJIT(&j->lljit, builder);
}

static const char *start(Jit *j, CgModule *cg) {
  const char *why = NULL, *entry = some_entry(j->arena, cg);
  size_t len;
  const void *object = cg_object(j->arena, cg, &len, &why);
  if (!object) return why;
  LLVMErrorRef error = open_linker(j, cg);
  if (error) return error_text(j->arena, error);
  LLVMOrcExecutionSessionSetErrorReporter(LLVMOrcLLJITGetExecutionSession(j->lljit), ignore_error, NULL);
  LLVMOrcJITDylibRef dylib = LLVMOrcLLJITGetMainJITDylib(j->lljit);
  LLVMOrcJITDylibAddGenerator(dylib, LLVMOrcCreateCustomCAPIDefinitionGenerator(generate, j, NULL));
  LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(object, len, "dp");
  error = LLVMOrcLLJITAddObjectFile(j->lljit, dylib, buffer);
  if (error) return error_text(j->arena, error);
  if (entry && !jit_address(j, entry, &why)) return why;
  return NULL;
}

Jit *jit_new(Arena *a, CgModule *cg, const JitSymbol *symbols, int n, const char **why) {
  Jit *j = calloc(1, sizeof *j);
  const char *problem = "out of memory";
  if (j) {
    *j = (Jit){.arena = a, .symbols = symbols, .n_symbols = n};
    problem = start(j, cg);
  }
  cg_free(cg);
  if (!problem) {
    j->symbols = NULL; // the host's table is its own again
    j->n_symbols = 0;
    return j;
  }
  *why = problem;
  jit_free(j);
  return NULL;
}

void *jit_address(Jit *j, const char *symbol, const char **why) {
  LLVMOrcExecutorAddress address = 0;
  j->missing = NULL;
  LLVMErrorRef error = LLVMOrcLLJITLookup(j->lljit, &address, symbol);
  if (!error) return (void *)(uintptr_t)address;
  const char *text = error_text(j->arena, error);
  *why = j->missing ? j->missing : text;
  return NULL;
}

void jit_free(Jit *j) {
  if (!j) return;
  LLVMErrorRef error = j->lljit ? LLVMOrcDisposeLLJIT(j->lljit) : NULL;
  if (error) LLVMConsumeError(error);
  free(j);
}
