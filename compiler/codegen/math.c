// Elementary functions: calls of dprt's kernels, which LLVM's vectoriser may widen.
//
// A scalar call names its vector variants in the attribute "vector-function-abi-variant"; the vector functions are
// declared in the module and kept alive there until vectorisation. The kernels give the same bits at every width and on
// every machine (runtime/kernels), so nothing depends on which of them is called.
#include "codegen/internal.h"

#include <string.h>

typedef struct Width {
  CgKernels least;
  int lanes; // of f64; f32 has twice as many
  const char *suffix64, *suffix32;
} Width;

// With fused multiply-add the kernels that want it, else those that run anywhere.
static const Width fused[] = {{CG_AVX2, 2, "f64x2_fma", "f32x4_fma"},
                              {CG_AVX2, 4, "f64x4", "f32x8"},
                              {CG_AVX512, 8, "f64x8", "f32x16"}};
static const Width plain[] = {{CG_SSE2, 2, "f64x2", "f32x4"}};

static int lanes_in(const Width *w, bool f64) { return w->lanes * (f64 ? 1 : 2); }

static void pure(Cg *cg, LLVMValueRef f) {
  for (const char **a = (const char *[]){"nounwind", "willreturn", "nosync", "nofree", "speculatable", NULL};
       *a; a++)
    cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, *a, 0);
  cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "memory", 0);
}

static LLVMValueRef declare(Cg *cg, const char *name, LLVMTypeRef t, int args) {
  LLVMTypeRef type = LLVMFunctionType(t, (LLVMTypeRef[]){t, t}, (unsigned)args, false);
  LLVMValueRef f = LLVMAddFunction(cg->mod, name, type);
  pure(cg, f);
  return f;
}

// Declares the vector variants of a scalar kernel; returns them as the attribute's text.
static char *declare_variants(Cg *cg, LLVMValueRef scalar, const char *function, LLVMTypeRef t, int args) {
  bool f64 = t == cg->f64, wide = cg->kernels >= CG_AVX2;
  const Width *widths = wide ? fused : plain;
  int n = wide ? (int)(sizeof fused / sizeof *fused) : (int)(sizeof plain / sizeof *plain);
  StrBuf variants;
  sb_init(&variants, cg->arena);
  for (int i = 0; i < n; i++) {
    if (cg->kernels < widths[i].least) continue;
    int lanes = lanes_in(&widths[i], f64);
    const char *name =
        arena_printf(cg->arena, "dpk_%s_%s", function, f64 ? widths[i].suffix64 : widths[i].suffix32);
    LLVMValueRef variant = LLVMGetNamedFunction(cg->mod, name);
    if (!variant) variant = declare(cg, name, LLVMVectorType(t, (unsigned)lanes), args);
    vec_push(cg->arena, &cg->kept, variant);
    sb_addf(&variants, "%s_ZGV_LLVM_N%d%s_%s(%s)", variants.len ? "," : "", lanes, args == 2 ? "vv" : "v",
            LLVMGetValueName(scalar), name);
  }
  return variants.len ? variants.data : NULL;
}

// The widest vector function that computes at most n lanes at once; NULL: there is none.
static const Width *widest(const Cg *cg, bool f64, unsigned n) {
  const Width *best = NULL;
  for (size_t i = 0; i < sizeof fused / sizeof *fused; i++)
    if (cg->kernels >= fused[i].least && (unsigned)lanes_in(&fused[i], f64) <= n) best = &fused[i];
  return best;
}

// Calls of the vector function itself, for a loop that runs in lanes: one for each register that they fill.
static LLVMValueRef call_wide(Fn *fn, const IrOp *op, const LLVMValueRef *args) {
  Cg *cg = fn->cg;
  LLVMTypeRef whole = LLVMTypeOf(args[0]), element = LLVMGetElementType(whole);
  unsigned lanes = LLVMGetVectorSize(whole);
  bool f64 = element == cg->f64;
  const Width *w = widest(cg, f64, lanes);
  if (!w) return NULL;
  unsigned n = (unsigned)lanes_in(w, f64);
  const char *name =
      arena_printf(cg->arena, "dpk_%s_%s", ir_op_info[op->kind].text, f64 ? w->suffix64 : w->suffix32);
  LLVMValueRef f = LLVMGetNamedFunction(cg->mod, name), parts[UINT8_MAX];
  if (!f) f = declare(cg, name, LLVMVectorType(element, n), op->n_args);
  for (unsigned at = 0; at < lanes; at += n) {
    LLVMValueRef of[2];
    for (int k = 0; k < op->n_args; k++) of[k] = n < lanes ? cg_slice(fn, args[k], at, n) : args[k];
    parts[at / n] = cg_call(fn, LLVMGlobalGetValueType(f), f, of, op->n_args);
  }
  return cg_join(fn, parts, lanes / n);
}

LLVMValueRef cg_emit_kernel(Fn *fn, const IrOp *op, const LLVMValueRef *args) {
  Cg *cg = fn->cg;
  if (!(ir_op_info[op->kind].flags & IR_MATH)) return NULL;
  if (cg_is_own(fn, op->result)) return call_wide(fn, op, args);
  const char *function = ir_op_info[op->kind].text;
  LLVMTypeRef t = LLVMTypeOf(args[0]);
  const char *name = arena_printf(cg->arena, "dpk_%s_%s%s", function, t == cg->f64 ? "f64" : "f32",
                                  cg->kernels >= CG_AVX2 ? "_fma" : "");
  LLVMValueRef f = LLVMGetNamedFunction(cg->mod, name);
  if (!f) {
    f = declare(cg, name, t, op->n_args);
    char *text = cg->opt->opt_level > 0 ? declare_variants(cg, f, function, t, op->n_args) : NULL;
    if (text) cg_map_put(cg, &cg->variants, (uintptr_t)f, 0, 0, text);
  }
  LLVMValueRef call = cg_call(fn, LLVMGlobalGetValueType(f), f, args, op->n_args);
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
