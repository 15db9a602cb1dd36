// The module: IR in, LLVM module out, then LLVM's passes, then text or object code.
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cg_bug(Cg *cg, const char *fmt, ...) {
  if (cg->error) return;
  va_list ap;
  va_start(ap, fmt);
  cg->error = arena_vprintf(cg->arena, fmt, ap);
  va_end(ap);
}

StrVec cg_exports(Arena *a, CgModule *cg) {
  StrVec names = {0};
  for (LLVMValueRef f = LLVMGetFirstFunction(cg->module); f; f = LLVMGetNextFunction(f)) {
    size_t len;
    const char *name = LLVMGetValueName2(f, &len);
    if (!LLVMIsDeclaration(f) && LLVMGetLinkage(f) == LLVMExternalLinkage)
      vec_push(a, &names, arena_strdup(a, name, len));
  }
  return names;
}

// ---- construction ------------------------------------------------------------------------------------------------------

// LLVM would write its remarks to standard error.
static void ignore_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
  (void)info;
  (void)user;
}

static void open_module(Cg *cg, LLVMTargetMachineRef machine) {
  CgModule *out = cg->out;
  out->tsc = LLVMOrcCreateNewThreadSafeContext();
  out->context = cg->ctx = LLVMOrcThreadSafeContextGetContext(out->tsc);
  LLVMContextSetDiagnosticHandler(cg->ctx, ignore_diagnostic, NULL);
  out->module = cg->mod = LLVMModuleCreateWithNameInContext("dp", cg->ctx);
  out->machine = machine;
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  LLVMSetModuleDataLayout(cg->mod, layout);
  LLVMDisposeTargetData(layout);
  char *triple = LLVMGetTargetMachineTriple(machine);
  LLVMSetTarget(cg->mod, triple);
  LLVMDisposeMessage(triple);
  cg_types(cg);
}

static void emit_module(Cg *cg, const CgMain *main) {
  cg_facts(cg);
  if (cg->opt->debug_info) cg_debug_begin(cg);
  for (int i = 0; i < cg->n_funcs; i++) cg_declare(cg, &cg->funcs[i]);
  for (int i = 0; i < cg->n_funcs && !cg->error; i++) cg_define(cg, &cg->funcs[i]);
  for (int i = 0; i < cg->n_funcs && !cg->error; i++) cg_define_entry(cg, &cg->funcs[i]);
  if (main && !cg->error) cg_define_main(cg, main);
  cg_keep_kernels(cg);
  if (cg->out->debug) cg_debug_end(cg);
}

static const char *verify(Arena *a, LLVMModuleRef m) {
  char *text = NULL;
  const char *why = NULL;
  if (LLVMVerifyModule(m, LLVMReturnStatusAction, &text))
    why = arena_printf(a, "the LLVM module is malformed (a bug in the compiler): %s", text);
  LLVMDisposeMessage(text);
  return why;
}

CgModule *cg_module(Arena *a, const IrModule *m, const CgOptions *opt, const CgMain *main, const char **why) {
  CgKernels kernels = CG_SCALAR;
  LLVMTargetMachineRef machine = cg_machine(a, opt, &kernels, why);
  if (!machine) return NULL;
  CgModule *out = calloc(1, sizeof *out);
  if (!out) {
    LLVMDisposeTargetMachine(machine);
    *why = "out of memory";
    return NULL;
  }
  out->opt_level = opt->opt_level;
  Cg cg = {.arena = a, .ir = m, .opt = opt, .out = out, .kernels = kernels};
  open_module(&cg, machine);
  emit_module(&cg, main);
  if (!cg.error) cg.error = verify(a, cg.mod);
  if (!cg.error) return out;
  *why = cg.error;
  cg_free(out);
  return NULL;
}

void cg_free(CgModule *cg) {
  if (!cg) return;
  if (cg->debug) LLVMDisposeDIBuilder(cg->debug);
  if (cg->module) LLVMDisposeModule(cg->module);
  if (cg->tsc) LLVMOrcDisposeThreadSafeContext(cg->tsc);
  if (cg->machine) LLVMDisposeTargetMachine(cg->machine);
  free(cg);
}

void *cg_take_machine(CgModule *cg) {
  LLVMTargetMachineRef machine = cg->machine;
  cg->machine = NULL;
  return machine;
}

// ---- LLVM's passes -----------------------------------------------------------------------------------------------------

// Our own list: the parts of LLVM's that code like ours needs. dp's passes have inlined, unrolled, merged and packed before;
// what is left is to clean up what codegen wrote, to take addresses out of loops and to vectorise innermost loops.
// LLVM's inliner would only join a function with its entry, and what is inlined goes through all passes a second
// time. Packing scalars (SLP) stays off at every level: LLVM 19.1.7 loses values when it packs small matrix products
// (tests/lang/matrix_gradients.dp). A shuffle gets poison lanes that are then stored, although the module is well defined:
// the same happens without any metadata, flag or attribute of ours, in straight-line code over initialised memory. It also
// takes long and makes loops in lanes up to a third slower.
#define COMBINE "instcombine<no-verify-fixpoint>"
#define SIMPLIFY                                                                                             \
  "sroa,early-cse<memssa>,simplifycfg," COMBINE ",loop-mssa(loop-rotate,licm,simple-loop-unswitch),"         \
  "simplifycfg,loop(loop-idiom,loop-deletion),gvn," COMBINE ",adce,dse,simplifycfg"
#define VECTORIZE "loop-vectorize," COMBINE ",simplifycfg"
#define FINISH "early-cse,loop-mssa(licm),simplifycfg"
#define PIPELINE(passes) "cgscc(function-attrs,function(" passes ")),globaldce"

static const char *const pipelines[] = {
    NULL,
    PIPELINE(SIMPLIFY),
    PIPELINE(SIMPLIFY "," VECTORIZE "," FINISH),
    "default<O3>",
};

bool cg_optimize(CgModule *cg, const char **why) {
  int level = cg->opt_level < 0 ? 0 : cg->opt_level > 3 ? 3 : cg->opt_level;
  if (!pipelines[level]) return true;
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMPassBuilderOptionsSetLoopVectorization(options, level > 1);
  LLVMPassBuilderOptionsSetLoopInterleaving(options, level > 1);
  LLVMPassBuilderOptionsSetSLPVectorization(options, false);
  LLVMErrorRef error = LLVMRunPasses(cg->module, pipelines[level], cg->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (!error) return true;
  LLVMConsumeError(error);
  *why = "LLVM refused the pass pipeline";
  return false;
}

// ---- out ---------------------------------------------------------------------------------------------------------------

const char *cg_print_llvm(Arena *a, CgModule *cg) {
  char *text = LLVMPrintModuleToString(cg->module);
  const char *copy = arena_strdup(a, text, strlen(text));
  LLVMDisposeMessage(text);
  return copy;
}

static LLVMMemoryBufferRef emit(Arena *a, CgModule *cg, LLVMCodeGenFileType type, const char **why) {
  LLVMMemoryBufferRef buffer = NULL;
  char *error = NULL;
  if (!LLVMTargetMachineEmitToMemoryBuffer(cg->machine, cg->module, type, &error, &buffer)) return buffer;
  *why = error ? arena_strdup(a, error, strlen(error)) : "LLVM cannot generate code for this machine";
  LLVMDisposeMessage(error);
  return NULL;
}

const char *cg_print_asm(Arena *a, CgModule *cg, const char **why) {
  LLVMMemoryBufferRef buffer = emit(a, cg, LLVMAssemblyFile, why);
  if (!buffer) return NULL;
  const char *text = arena_strdup(a, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
  LLVMDisposeMemoryBuffer(buffer);
  return text;
}

const void *cg_object(Arena *a, CgModule *cg, size_t *len, const char **why) {
  LLVMMemoryBufferRef buffer = emit(a, cg, LLVMObjectFile, why);
  if (!buffer) return NULL;
  *len = LLVMGetBufferSize(buffer);
  const void *object = arena_strdup(a, LLVMGetBufferStart(buffer), *len);
  LLVMDisposeMemoryBuffer(buffer);
  return object;
}
