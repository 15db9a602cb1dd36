// The JIT: machine code for a module, placed in memory.
//
// The code is generated with the module's own target machine, so that the same passes and the same instructions come out
// as for an executable, then linked by LLVM's ORC into a region of ours. Nothing of LLVM stays behind: the region may
// belong to a process that never had it.
// What must hold: the constants of a module are written while it is linked and never after, as codegen makes no variables.
#include "jit/jit.h"

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/OrcEE.h>
#include <stdlib.h>
#include <string.h>

struct Jit {
  StrVec names;
  void **addresses;
};

typedef struct Linker {
  Arena *arena;
  const JitHost *host;
  Region *to;
  LLVMOrcLLJITRef lljit;
  const char *missing; // what is wrong with the first symbol that was not found
} Linker;

static const char *error_text(Arena *a, LLVMErrorRef e) {
  char *text = LLVMGetErrorMessage(e);
  const char *copy = arena_strdup(a, text, strlen(text));
  LLVMDisposeErrorMessage(text);
  return copy;
}

// ---- symbols -----------------------------------------------------------------------------------------------------------

static void *resolve(Linker *l, const char *name) {
  void *address = l->host->find(l->host->user, name);
  if (!address && !l->missing)
    l->missing = arena_printf(
        l->arena,
        "the extern function `%s` is not known: neither the host nor a library (`--link FILE`) has it", name);
  return address;
}

// What the linker asks for when it meets a symbol that the module does not define.
static LLVMErrorRef generate(LLVMOrcDefinitionGeneratorRef generator, void *user,
                             LLVMOrcLookupStateRef *state, LLVMOrcLookupKind kind, LLVMOrcJITDylibRef dylib,
                             LLVMOrcJITDylibLookupFlags flags, LLVMOrcCLookupSet set, size_t n) {
  (void)generator, (void)state, (void)kind, (void)flags;
  Linker *l = user;
  LLVMOrcCSymbolMapPair *pairs = calloc(n ? n : 1, sizeof *pairs);
  if (!pairs) return LLVMCreateStringError("out of memory");
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    const char *name = LLVMOrcSymbolStringPoolEntryStr(set[i].Name);
    void *address = resolve(l, name);
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

// ---- memory ------------------------------------------------------------------------------------------------------------

// LLVM ends the process when a section finds no room, so the region is large enough: sections are parts of the object, and
// what LLVM adds, a stub and a table's entry for a symbol, is smaller than the relocations that ask for it.
static size_t needed(size_t object_len) { return 2 * object_len + (size_t)256 * 1024; }

static const char *make_room(Linker *l, size_t object_len) {
  size_t bytes = needed(object_len);
  if (!l->to->start && !region_map(l->to, bytes, false)) return "there is no memory for the machine code";
  if (bytes <= l->to->size) return NULL;
  return arena_printf(l->arena, "the machine code takes up to %zu MiB, and there is room for %zu",
                      bytes >> 20, l->to->size >> 20);
}

static uint8_t *code_section(void *user, uintptr_t bytes, unsigned align, unsigned id, const char *name) {
  (void)id, (void)name;
  return region_code(((Linker *)user)->to, bytes, align ? align : 1);
}

static uint8_t *data_section(void *user, uintptr_t bytes, unsigned align, unsigned id, const char *name,
                             LLVMBool read_only) {
  (void)id, (void)name, (void)read_only;
  return region_data(((Linker *)user)->to, bytes, align ? align : 1);
}

static void *same(void *user) { return user; }
static void nothing(void *user) { (void)user; }

static LLVMBool leave_open(void *user, char **error) { // whoever calls the code seals the region
  (void)user, (void)error;
  return false;
}

static LLVMOrcObjectLayerRef into_region(void *user, LLVMOrcExecutionSessionRef session, const char *triple) {
  (void)triple;
  return LLVMOrcCreateRTDyldObjectLinkingLayerWithMCJITMemoryManagerLikeCallbacks(
      session, user, same, nothing, code_section, data_section, leave_open, nothing);
}

// ---- linking -----------------------------------------------------------------------------------------------------------

static void ignore_error(void *user, LLVMErrorRef error) {
  (void)user;
  LLVMConsumeError(error); // it comes back from the lookup as well
}

// With the module's own target machine, so that LLVM does not ask the processor again what it is.
static LLVMErrorRef open_linker(Linker *l, CgModule *cg) {
  LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
  LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
      builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(cg_take_machine(cg)));
  LLVMOrcLLJITBuilderSetObjectLinkingLayerCreator(builder, into_region, l);
  return LLVMOrcCreateLLJIT(&l->lljit, builder);
}

// The first address that is asked for links the module.
static const char *find_addresses(Linker *l, Jit *j) {
  for (int i = 0; i < j->names.len; i++) {
    LLVMOrcExecutorAddress address = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(l->lljit, &address, j->names.data[i]);
    const char *text = error ? error_text(l->arena, error) : NULL;
    if (error) return l->missing ? l->missing : text;
    j->addresses[i] = (void *)(uintptr_t)address;
  }
  return NULL;
}

static const char *link(Linker *l, CgModule *cg, Jit *j) {
  const char *why = NULL;
  size_t len;
  const void *object = cg_object(l->arena, cg, &len, &why);
  if (!object || (why = make_room(l, len))) return why;
  LLVMErrorRef error = open_linker(l, cg);
  if (error) return error_text(l->arena, error);
  LLVMOrcExecutionSessionSetErrorReporter(LLVMOrcLLJITGetExecutionSession(l->lljit), ignore_error, NULL);
  LLVMOrcJITDylibRef dylib = LLVMOrcLLJITGetMainJITDylib(l->lljit);
  LLVMOrcJITDylibAddGenerator(dylib, LLVMOrcCreateCustomCAPIDefinitionGenerator(generate, l, NULL));
  LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(object, len, "dp");
  error = LLVMOrcLLJITAddObjectFile(l->lljit, dylib, buffer);
  return error ? error_text(l->arena, error) : find_addresses(l, j);
}

Jit *jit_new(Arena *a, CgModule *cg, const JitHost *host, Region *to, const char **why) {
  Linker l = {.arena = a, .host = host, .to = to};
  Jit *j = ARENA_NEW(a, Jit);
  j->names = cg_exports(a, cg);
  j->addresses = ARENA_ARRAY(a, void *, j->names.len);
  const char *problem = link(&l, cg, j);
  LLVMErrorRef error = l.lljit ? LLVMOrcDisposeLLJIT(l.lljit) : NULL;
  if (error) LLVMConsumeError(error);
  cg_free(cg);
  if (!problem) return j;
  *why = problem;
  return NULL;
}

void *jit_address(const Jit *j, const char *symbol) {
  for (int i = 0; i < j->names.len; i++)
    if (strcmp(j->names.data[i], symbol) == 0) return j->addresses[i];
  return NULL;
}
