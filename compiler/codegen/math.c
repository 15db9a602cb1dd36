// Elementary functions: calls of SLEEF's deterministic kernels, which LLVM's vectoriser may widen.
//
// A scalar call names its vector variants in the attribute "vector-function-abi-variant"; the vector functions are
// declared in the module and kept alive there until vectorisation. The bits are the same at every width: the kernels
// guarantee it, and what is done around them here is the same arithmetic on lanes.
#include "codegen/internal.h"

#include <string.h>

typedef enum Shoulder {
  SHOULDER_none,
  SHOULDER_scaled_log,
  SHOULDER_shifted_exp,
  SHOULDER_rooted_log
} Shoulder;

typedef struct Kernel {
  IrOpKind kind;
  const char *name;
  int args;
  const char *fast, *precise;
  Shoulder shoulder;
} Kernel;

static const Kernel kernels[] = {
#define KERNEL(KIND, name, args, fast, precise, shoulder)                                                    \
  {IR_##KIND, name, args, fast, precise, SHOULDER_##shoulder},
#include "codegen/math.def"
};

typedef struct Width {
  CgKernels least;
  int lanes64;        // f32 has twice as many
  const char *suffix; // of the f64 function
  const char *suffix32;
} Width;

// With fused multiply-add (family finz) and without (cinz): each family is bit-equal within itself.
static const Width fused[] = {
    {CG_AVX2, 2, "avx2128", "avx2128"}, {CG_AVX2, 4, "avx2", "avx2"}, {CG_AVX512, 8, "avx512f", "avx512f"}};
static const Width plain[] = {{CG_SSE2, 2, "sse2", "sse2"}};

static const Kernel *kernel_of(IrOpKind kind) {
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
    if (kernels[i].kind == kind) return &kernels[i];
  return NULL;
}

static void pure(Cg *cg, LLVMValueRef f) {
  for (const char **a = (const char *[]){"nounwind", "willreturn", "nosync", "nofree", "speculatable", NULL};
       *a; a++)
    cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, *a, 0);
  cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "memory", 0);
}

static LLVMTypeRef kernel_type(LLVMTypeRef t, int args) {
  return LLVMFunctionType(t, (LLVMTypeRef[]){t, t}, (unsigned)args, false);
}

// Declares the vector variants of a scalar kernel and names them in its attribute.
static void declare_variants(Cg *cg, LLVMValueRef scalar, const Kernel *k, const char *accuracy, bool wide,
                             const char *family) {
  bool f64 = LLVMGetReturnType(LLVMGlobalGetValueType(scalar)) == cg->f64;
  const Width *widths = wide ? fused : plain;
  int n = wide ? (int)(sizeof fused / sizeof *fused) : (int)(sizeof plain / sizeof *plain);
  StrBuf variants;
  sb_init(&variants, cg->arena);
  for (int i = 0; i < n; i++) {
    if (cg->kernels < widths[i].least) continue;
    int lanes = widths[i].lanes64 * (f64 ? 1 : 2);
    const char *name = arena_printf(cg->arena, "Sleef_%s_%s%c%d_%s%s", family, k->name, f64 ? 'd' : 'f',
                                    lanes, accuracy, f64 ? widths[i].suffix : widths[i].suffix32);
    LLVMTypeRef t = LLVMVectorType(f64 ? cg->f64 : cg->f32, (unsigned)lanes);
    LLVMValueRef f = LLVMAddFunction(cg->mod, name, kernel_type(t, k->args));
    pure(cg, f);
    vec_push(cg->arena, &cg->kept, f);
    sb_addf(&variants, "%s_ZGV_LLVM_N%d%s_%s(%s)", variants.len ? "," : "", lanes, k->args == 2 ? "vv" : "v",
            LLVMGetValueName(scalar), name);
  }
  if (variants.len) cg_map_put(cg, &cg->variants, (uintptr_t)scalar, 0, 0, variants.data);
}

static LLVMValueRef call_kernel(Fn *fn, const Kernel *k, LLVMTypeRef t, const LLVMValueRef *args) {
  Cg *cg = fn->cg;
  const char *accuracy = cg->opt->precise_math ? k->precise : k->fast;
  bool wide = cg->kernels >= CG_AVX2;
  const char *family = wide ? "finz" : "cinz";
  const char *name = arena_printf(cg->arena, "Sleef_%s_%s%c1_%s%s", family, k->name, t == cg->f64 ? 'd' : 'f',
                                  accuracy, wide ? "purecfma" : "purec");
  LLVMValueRef f = LLVMGetNamedFunction(cg->mod, name);
  if (!f) {
    f = LLVMAddFunction(cg->mod, name, kernel_type(t, k->args));
    pure(cg, f);
    if (cg->opt->opt_level > 0) declare_variants(cg, f, k, accuracy, wide, family);
  }
  LLVMValueRef call = cg_call(fn, LLVMGlobalGetValueType(f), f, args, k->args);
  const char *variants = cg_map_get(&cg->variants, (uintptr_t)f, 0, 0), *key = "vector-function-abi-variant";
  if (variants) {
    LLVMAttributeRef a =
        LLVMCreateStringAttribute(cg->ctx, key, (unsigned)strlen(key), variants, (unsigned)strlen(variants));
    LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, a);
  }
  return call;
}

void cg_keep_kernels(Cg *cg) {
  if (!cg->kept.len) return;
  LLVMValueRef list = LLVMConstArray2(cg->ptr, cg->kept.data, (uint64_t)cg->kept.len);
  LLVMValueRef g = LLVMAddGlobal(cg->mod, LLVMTypeOf(list), "llvm.compiler.used");
  LLVMSetInitializer(g, list);
  LLVMSetLinkage(g, LLVMAppendingLinkage);
  LLVMSetSection(g, "llvm.metadata");
}

// ---- shoulders: arguments near overflow that a kernel sends to infinity ----------------------------------------------

static LLVMValueRef magnitude(Fn *fn, LLVMValueRef x) {
  return cg_intrinsic(fn, "llvm.fabs", LLVMTypeOf(x), &x, 1);
}

static LLVMValueRef beyond(Fn *fn, LLVMValueRef x, double limit) {
  return LLVMBuildFCmp(fn->b, LLVMRealOGT, x, LLVMConstReal(LLVMTypeOf(x), limit), "");
}

// log1p(x) = log1p(x 2^-64) + 64 log 2 where 1 no longer counts.
static LLVMValueRef scaled_log(Fn *fn, const Kernel *k, LLVMTypeRef t, LLVMValueRef x) {
  LLVMValueRef big = beyond(fn, x, t == fn->cg->f64 ? 0x1p1000 : 0x1p100);
  LLVMValueRef y = LLVMBuildSelect(fn->b, big, LLVMBuildFMul(fn->b, x, LLVMConstReal(t, 0x1p-64), ""), x, "");
  LLVMValueRef r = call_kernel(fn, k, t, &y);
  return LLVMBuildSelect(fn->b, big, LLVMBuildFAdd(fn->b, r, LLVMConstReal(t, 44.3614195558364998), ""), r,
                         "");
}

// sinh(x) = e^2 sinh(x - 2) and cosh likewise, where e^-x no longer counts; x - 2 is exact.
static LLVMValueRef shifted_exp(Fn *fn, const Kernel *k, LLVMTypeRef t, LLVMValueRef x) {
  LLVMValueRef big = beyond(fn, magnitude(fn, x), t == fn->cg->f64 ? 700 : 80);
  LLVMValueRef two = cg_intrinsic(fn, "llvm.copysign", t, (LLVMValueRef[]){LLVMConstReal(t, 2), x}, 2);
  LLVMValueRef y = LLVMBuildSelect(fn->b, big, LLVMBuildFSub(fn->b, x, two, ""), x, "");
  LLVMValueRef r = call_kernel(fn, k, t, &y);
  return LLVMBuildSelect(fn->b, big, LLVMBuildFMul(fn->b, r, LLVMConstReal(t, 7.38905609893065023), ""), r,
                         "");
}

// asinh(x) = 2 asinh(sqrt(x / 2)) and acosh likewise, where both are log(2 x).
static LLVMValueRef rooted_log(Fn *fn, const Kernel *k, LLVMTypeRef t, LLVMValueRef x) {
  LLVMValueRef size = magnitude(fn, x),
               big = beyond(fn, k->kind == IR_ACOSH ? x : size, t == fn->cg->f64 ? 0x1p500 : 0x1p60);
  LLVMValueRef half = LLVMBuildFMul(fn->b, size, LLVMConstReal(t, 0.5), "");
  LLVMValueRef root = cg_intrinsic(fn, "llvm.sqrt", t, &half, 1);
  if (k->kind == IR_ASINH) root = cg_intrinsic(fn, "llvm.copysign", t, (LLVMValueRef[]){root, x}, 2);
  LLVMValueRef y = LLVMBuildSelect(fn->b, big, root, x, "");
  LLVMValueRef r = call_kernel(fn, k, t, &y);
  return LLVMBuildSelect(fn->b, big, LLVMBuildFAdd(fn->b, r, r, ""), r, "");
}

LLVMValueRef cg_emit_kernel(Fn *fn, const IrOp *op, const LLVMValueRef *args) {
  const Kernel *k = kernel_of((IrOpKind)op->kind);
  if (!k) return NULL;
  LLVMTypeRef t = LLVMTypeOf(args[0]);
  switch (k->shoulder) {
  case SHOULDER_none: return call_kernel(fn, k, t, args);
  case SHOULDER_scaled_log: return scaled_log(fn, k, t, args[0]);
  case SHOULDER_shifted_exp: return shifted_exp(fn, k, t, args[0]);
  case SHOULDER_rooted_log: return rooted_log(fn, k, t, args[0]);
  }
  return NULL;
}
