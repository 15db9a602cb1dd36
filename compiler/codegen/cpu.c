// The machine to compile for. In: a processor's name. Out: LLVM's target machine, and which vector functions it can
// run. A name that is not known is refused here, because LLVM itself would only complain on standard error.
#include "codegen/internal.h"

#include <llvm-c/Target.h>
#include <pthread.h>
#include <string.h>

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

// ---- this machine ------------------------------------------------------------------------------------------------------

// Asked for once per process, and constant from then on: in a virtual machine each question to the processor is a trap.
typedef struct Host {
  char *name, *features, *triple;
} Host;

static Host host;
static pthread_once_t host_known = PTHREAD_ONCE_INIT;

static void find_host(void) {
  LLVMInitializeNativeTarget();
  LLVMInitializeNativeAsmPrinter();
  host = (Host){LLVMGetHostCPUName(), LLVMGetHostCPUFeatures(), LLVMGetDefaultTargetTriple()};
}

static const Host *this_host(void) {
  pthread_once(&host_known, find_host);
  return &host;
}

// ---- what is asked for -------------------------------------------------------------------------------------------------

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

static bool is_native(const CgOptions *opt) { return !opt->cpu || strcmp(opt->cpu, "native") == 0; }

static CgKernels kernels_for(const CgOptions *opt, const Cpu *known) {
  return is_native(opt) ? kernels_of(this_host()->features) : known ? known->kernels : CG_SCALAR;
}

int cg_lanes(const CgOptions *opt) {
  if (opt->opt_level < 2 || opt->strict_fp) return 0;
  CgKernels kernels = kernels_for(opt, is_native(opt) ? NULL : find_cpu(opt->cpu));
  if (kernels < CG_AVX2) return 0;
  bool possible = opt->lanes >= 1 && opt->lanes <= CG_MOST_LANES && (opt->lanes & (opt->lanes - 1)) == 0;
  return possible ? opt->lanes : kernels == CG_AVX512 ? 8 : 4;
}

// Without AVX512BW, which has nothing for floats, LLVM does not look for ints that could live in mask registers: in large
// functions that takes a sixth of the code generator's time, and finds none.
static const char *features_for(Arena *a, const char *features, CgKernels kernels) {
  return kernels < CG_AVX512 ? features : arena_printf(a, "%s%s-avx512bw", features, *features ? "," : "");
}

LLVMTargetMachineRef cg_machine(Arena *a, const CgOptions *opt, CgKernels *kernels, const char **why) {
  const Host *here = this_host();
  bool native = is_native(opt);
  const Cpu *known = native ? NULL : find_cpu(opt->cpu);
  if (!native && !known) {
    *why = unknown_cpu(a, opt->cpu);
    return NULL;
  }
  *kernels = kernels_for(opt, known);
  char *error = NULL;
  LLVMTargetRef target;
  if (LLVMGetTargetFromTriple(here->triple, &target, &error)) {
    *why = arena_strdup(a, error, strlen(error));
    LLVMDisposeMessage(error);
    return NULL;
  }
  const char *name = native ? here->name : opt->cpu,
             *features = features_for(a, native ? here->features : "", *kernels);
  LLVMTargetMachineRef machine =
      LLVMCreateTargetMachine(target, here->triple, name, features, backend_level(opt->opt_level),
                              LLVMRelocPIC, LLVMCodeModelDefault);
  if (!machine) *why = "LLVM has no code generator for this machine";
  return machine;
}
