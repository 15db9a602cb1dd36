// The machine to compile for. In: a processor's name. Out: LLVM's target machine, and which vector functions it can
// run. A name that is not known is refused here, because LLVM itself would only complain on standard error.
#include "codegen/internal.h"

#include <llvm-c/Target.h>
#include <pthread.h>
#include <string.h>

static void init_targets(void) {
  LLVMInitializeNativeTarget();
  LLVMInitializeNativeAsmPrinter();
}

void cg_init_targets(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init_targets);
}

typedef struct Cpu {
  const char *name;
  CgKernels kernels;
} Cpu;

static const Cpu cpus[] = {
#define CPU(name, kernels) {name, CG_##kernels},
#include "codegen/cpus.def"
};
enum { N_CPUS = sizeof cpus / sizeof *cpus };

static bool has_feature(const char *features, const char *name) {
  size_t len = strlen(name);
  for (const char *p = features; (p = strstr(p, name)); p += len)
    if ((p == features || p[-1] == ',') && (p[len] == ',' || !p[len])) return true;
  return false;
}

static CgKernels kernels_of(const char *features) {
  if (!has_feature(features, "+sse2")) return CG_SCALAR;
  if (!has_feature(features, "+avx2") || !has_feature(features, "+fma")) return CG_SSE2;
  bool wide = has_feature(features, "+avx512f") && has_feature(features, "+avx512dq") &&
              has_feature(features, "+avx512vl") && has_feature(features, "+avx512bw");
  return wide ? CG_AVX512 : CG_AVX2;
}

static const char *unknown_cpu(Arena *a, const char *name) {
  const char *names[N_CPUS];
  for (int i = 0; i < N_CPUS; i++) names[i] = cpus[i].name;
  const char *near = nearest_name(name, names, N_CPUS);
  return near ? arena_printf(a, "unknown processor `%s`; did you mean `%s`?", name, near)
              : arena_printf(a, "unknown processor `%s`; `native`, `x86-64-v3` or `znver4` would be known",
                             name);
}

static LLVMCodeGenOptLevel backend_level(int level) {
  return level <= 0   ? LLVMCodeGenLevelNone
         : level == 1 ? LLVMCodeGenLevelLess
         : level == 2 ? LLVMCodeGenLevelDefault
                      : LLVMCodeGenLevelAggressive;
}

static const Cpu *find_cpu(const char *name) {
  for (int i = 0; i < N_CPUS; i++)
    if (strcmp(cpus[i].name, name) == 0) return &cpus[i];
  return NULL;
}

int cg_lanes(const CgOptions *opt) {
  if (opt->opt_level < 2 || opt->strict_fp) return 0;
  cg_init_targets();
  const char *name = opt->cpu ? opt->cpu : "native";
  const Cpu *known = find_cpu(name);
  CgKernels kernels = known ? known->kernels : CG_SCALAR;
  if (strcmp(name, "native") == 0) {
    char *features = LLVMGetHostCPUFeatures();
    kernels = kernels_of(features);
    LLVMDisposeMessage(features);
  }
  if (kernels < CG_AVX2) return 0;
  bool possible = opt->lanes >= 1 && opt->lanes <= CG_MOST_LANES && (opt->lanes & (opt->lanes - 1)) == 0;
  return possible ? opt->lanes : kernels == CG_AVX512 ? 8 : 4;
}

LLVMTargetMachineRef cg_machine(Arena *a, const CgOptions *opt, CgKernels *kernels, const char **why) {
  cg_init_targets();
  const char *name = opt->cpu ? opt->cpu : "native";
  bool native = strcmp(name, "native") == 0;
  const Cpu *known = find_cpu(name);
  if (!native && !known) {
    *why = unknown_cpu(a, name);
    return NULL;
  }
  char *host = native ? LLVMGetHostCPUName() : NULL, *features = native ? LLVMGetHostCPUFeatures() : NULL;
  *kernels = native ? kernels_of(features) : known->kernels;

  char *triple = LLVMGetDefaultTargetTriple(), *error = NULL;
  LLVMTargetRef target;
  LLVMTargetMachineRef machine = NULL;
  if (LLVMGetTargetFromTriple(triple, &target, &error)) {
    *why = arena_strdup(a, error, strlen(error));
    LLVMDisposeMessage(error);
  } else {
    machine = LLVMCreateTargetMachine(target, triple, native ? host : name, native ? features : "",
                                      backend_level(opt->opt_level), LLVMRelocPIC, LLVMCodeModelDefault);
    if (!machine) *why = "LLVM has no code generator for this machine";
  }
  LLVMDisposeMessage(triple);
  if (native) {
    LLVMDisposeMessage(host);
    LLVMDisposeMessage(features);
  }
  return machine;
}
