// Scalar operations. Nothing here can fail or has undefined behaviour for operands that passed their checks; ints wrap.
#include "codegen/internal.h"

typedef LLVMValueRef Build2(LLVMBuilderRef, LLVMValueRef, LLVMValueRef, const char *);

// ---- floats ----------------------------------------------------------------------------------------------------------

LLVMValueRef cg_fp(Fn *fn, LLVMValueRef v, bool reassoc) {
  if (fn->cg->opt->strict_fp || !LLVMIsAInstruction(v) || !LLVMCanValueUseFastMathFlags(v)) return v;
  LLVMSetFastMathFlags(v, LLVMFastMathAllowContract | (reassoc ? LLVMFastMathAllowReassoc : 0));
  return v;
}

static LLVMValueRef nan_if(Fn *fn, LLVMValueRef b, LLVMValueRef otherwise) {
  return LLVMBuildSelect(fn->b, LLVMBuildFCmp(fn->b, LLVMRealUNO, b, b, ""), b, otherwise, "");
}

// b when it is strictly better than a, else a; a NaN in a stays there because no comparison with it holds.
static LLVMValueRef float_min_max(Fn *fn, IrOpKind kind, LLVMValueRef a, LLVMValueRef b) {
  LLVMValueRef better = LLVMBuildFCmp(fn->b, kind == IR_MIN ? LLVMRealOLT : LLVMRealOGT, b, a, "");
  return nan_if(fn, b, LLVMBuildSelect(fn->b, better, b, a, ""));
}

static LLVMValueRef sign(Fn *fn, LLVMValueRef x) {
  LLVMTypeRef t = LLVMTypeOf(x);
  LLVMValueRef zero = LLVMConstReal(t, 0);
  LLVMValueRef down =
      LLVMBuildSelect(fn->b, LLVMBuildFCmp(fn->b, LLVMRealOLT, x, zero, ""), LLVMConstReal(t, -1), x, "");
  return LLVMBuildSelect(fn->b, LLVMBuildFCmp(fn->b, LLVMRealOGT, x, zero, ""), LLVMConstReal(t, 1), down,
                         "");
}

// ---- integer division, rounded down ----------------------------------------------------------------------------------

static bool power_of_two(LLVMValueRef d, int64_t *value) {
  if (!LLVMIsAConstantInt(d)) return false;
  *value = LLVMConstIntGetSExtValue(d);
  return *value > 0 && (*value & (*value - 1)) == 0;
}

// The divisor -1 would trap on the most negative dividend: dividing by 1 instead gives remainder 0 all the same.
static LLVMValueRef safe_divisor(Fn *fn, LLVMValueRef d, LLVMValueRef *is_minus_one) {
  *is_minus_one = LLVMBuildICmp(fn->b, LLVMIntEQ, d, cg_int(fn->cg, -1), "");
  return LLVMBuildSelect(fn->b, *is_minus_one, cg_int(fn->cg, 1), d, "");
}

// The remainder is not zero and has not the divisor's sign.
static LLVMValueRef needs_step(Fn *fn, LLVMValueRef rem, LLVMValueRef d) {
  LLVMValueRef zero = cg_int(fn->cg, 0);
  LLVMValueRef differs = LLVMBuildICmp(fn->b, LLVMIntSLT, LLVMBuildXor(fn->b, rem, d, ""), zero, "");
  return LLVMBuildAnd(fn->b, LLVMBuildICmp(fn->b, LLVMIntNE, rem, zero, ""), differs, "");
}

static LLVMValueRef floor_divide(Fn *fn, LLVMValueRef a, LLVMValueRef d, bool want_rem) {
  Cg *cg = fn->cg;
  int64_t pow2;
  if (power_of_two(d, &pow2))
    return want_rem ? LLVMBuildAnd(fn->b, a, cg_int(cg, pow2 - 1), "")
                    : LLVMBuildAShr(fn->b, a, cg_int(cg, __builtin_ctzll((unsigned long long)pow2)), "");
  LLVMValueRef minus_one, by = safe_divisor(fn, d, &minus_one);
  LLVMValueRef rem = LLVMBuildSRem(fn->b, a, by, "");
  LLVMValueRef step = needs_step(fn, rem, by);
  if (want_rem) return LLVMBuildSelect(fn->b, step, LLVMBuildAdd(fn->b, rem, by, ""), rem, "");
  LLVMValueRef quot = LLVMBuildSDiv(fn->b, a, by, "");
  quot = LLVMBuildAdd(fn->b, quot, LLVMBuildSExt(fn->b, step, cg->i64, ""), "");
  return LLVMBuildSelect(fn->b, minus_one, LLVMBuildNeg(fn->b, a, ""), quot, "");
}

// ---- integer powers ------------------------------------------------------------------------------------------------
// Square and multiply from the lowest bit, in the same order whether the exponent is a constant (unrolled) or not (a
// function of the module), so that the bits are the same. No product here may contract with a sum outside.

static LLVMValueRef power_unrolled(Fn *fn, Build2 *mul, LLVMValueRef x, uint64_t n, LLVMValueRef one) {
  LLVMValueRef r = NULL;
  for (; n; n >>= 1) {
    if (n & 1) r = r ? mul(fn->b, r, x, "") : x;
    if (n > 1) x = mul(fn->b, x, x, "");
  }
  return r ? r : one;
}

static LLVMValueRef begin_helper(Cg *cg, const char *name, LLVMTypeRef t, Fn *fn) {
  LLVMTypeRef type = LLVMFunctionType(t, (LLVMTypeRef[]){t, cg->i64}, 2, false);
  LLVMValueRef f = LLVMAddFunction(cg->mod, name, type);
  LLVMSetLinkage(f, LLVMInternalLinkage);
  for (const char **a = (const char *[]){"nounwind", "willreturn", "noinline", NULL}; *a; a++)
    cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, *a, 0);
  cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "memory", 0);
  CgFunc *info = ARENA_NEW(cg->arena, CgFunc);
  info->fn = f;
  info->type = type;
  *fn = (Fn){.cg = cg, .info = info, .b = LLVMCreateBuilderInContext(cg->ctx)};
  cg_place(fn, cg_block(fn, "entry"));
  return f;
}

// while (n) { if (n & 1) r *= x; x *= x; n >>= 1; } return r;
static LLVMValueRef power_loop(Fn *fn, Build2 *mul, LLVMValueRef x0, LLVMValueRef n0, LLVMValueRef one) {
  Cg *cg = fn->cg;
  LLVMTypeRef t = LLVMTypeOf(x0);
  LLVMBasicBlockRef pre = LLVMGetInsertBlock(fn->b), loop = cg_block(fn, "loop"), done = cg_block(fn, "done");
  LLVMValueRef zero = cg_int(cg, 0);
  LLVMBuildCondBr(fn->b, LLVMBuildICmp(fn->b, LLVMIntEQ, n0, zero, ""), done, loop);
  cg_place(fn, loop);
  LLVMValueRef r = LLVMBuildPhi(fn->b, t, ""), x = LLVMBuildPhi(fn->b, t, ""),
               n = LLVMBuildPhi(fn->b, cg->i64, "");
  LLVMValueRef odd = LLVMBuildTrunc(fn->b, n, cg->i1, "");
  LLVMValueRef r1 = LLVMBuildSelect(fn->b, odd, mul(fn->b, r, x, ""), r, "");
  LLVMValueRef x1 = mul(fn->b, x, x, ""), n1 = LLVMBuildLShr(fn->b, n, cg_int(cg, 1), "");
  LLVMBuildCondBr(fn->b, LLVMBuildICmp(fn->b, LLVMIntEQ, n1, zero, ""), done, loop);
  LLVMBasicBlockRef from[2] = {pre, loop};
  LLVMAddIncoming(r, (LLVMValueRef[]){one, r1}, from, 2);
  LLVMAddIncoming(x, (LLVMValueRef[]){x0, x1}, from, 2);
  LLVMAddIncoming(n, (LLVMValueRef[]){n0, n1}, from, 2);
  cg_place(fn, done);
  LLVMValueRef result = LLVMBuildPhi(fn->b, t, "");
  LLVMAddIncoming(result, (LLVMValueRef[]){one, r1}, from, 2);
  return result;
}

static LLVMValueRef magnitude(Fn *fn, LLVMValueRef n, LLVMValueRef *negative) {
  *negative = LLVMBuildICmp(fn->b, LLVMIntSLT, n, cg_int(fn->cg, 0), "");
  return LLVMBuildSelect(fn->b, *negative, LLVMBuildNeg(fn->b, n, ""), n, "");
}

static LLVMValueRef power_helper(Cg *cg, LLVMTypeRef t) {
  const char *name = t == cg->i64 ? "dp.ipow" : t == cg->f64 ? "dp.powi.f64" : "dp.powi.f32";
  LLVMValueRef f = LLVMGetNamedFunction(cg->mod, name);
  if (f) return f;
  Fn fn;
  f = begin_helper(cg, name, t, &fn);
  LLVMValueRef x = LLVMGetParam(f, 0), n = LLVMGetParam(f, 1), negative, r;
  LLVMValueRef size = magnitude(&fn, n, &negative);
  if (t != cg->i64) {
    LLVMValueRef one = LLVMConstReal(t, 1);
    r = power_loop(&fn, LLVMBuildFMul, x, size, one);
    r = LLVMBuildSelect(fn.b, negative, LLVMBuildFDiv(fn.b, one, r, ""), r, "");
  } else {
    // 1 and -1 are their own inverses; every other base has none but 0.
    r = power_loop(&fn, LLVMBuildMul, x, size, cg_int(cg, 1));
    LLVMValueRef unit =
        LLVMBuildICmp(fn.b, LLVMIntULE, LLVMBuildAdd(fn.b, x, cg_int(cg, 1), ""), cg_int(cg, 2), "");
    unit = LLVMBuildAnd(fn.b, unit, LLVMBuildICmp(fn.b, LLVMIntNE, x, cg_int(cg, 0), ""), "");
    LLVMValueRef keep = LLVMBuildOr(fn.b, unit, LLVMBuildNot(fn.b, negative, ""), "");
    r = LLVMBuildSelect(fn.b, keep, r, cg_int(cg, 0), "");
  }
  LLVMBuildRet(fn.b, r);
  LLVMDisposeBuilder(fn.b);
  return f;
}

enum { UNROLL_POWER = 1024 };

static LLVMValueRef int_power(Fn *fn, LLVMValueRef x, LLVMValueRef n) {
  LLVMTypeRef t = LLVMTypeOf(x);
  bool ints = t == fn->cg->i64;
  if (LLVMIsAConstantInt(n)) {
    int64_t k = LLVMConstIntGetSExtValue(n);
    if (k >= 0 && k < UNROLL_POWER)
      return power_unrolled(fn, ints ? LLVMBuildMul : LLVMBuildFMul, x, (uint64_t)k,
                            ints ? cg_int(fn->cg, 1) : LLVMConstReal(t, 1));
    if (k > -UNROLL_POWER && k < 0 && !ints) {
      LLVMValueRef one = LLVMConstReal(t, 1);
      return LLVMBuildFDiv(fn->b, one, power_unrolled(fn, LLVMBuildFMul, x, (uint64_t)-k, one), "");
    }
  }
  LLVMValueRef f = power_helper(fn->cg, t);
  return cg_call(fn, LLVMGlobalGetValueType(f), f, (LLVMValueRef[]){x, n}, 2);
}

// ---- one operation ---------------------------------------------------------------------------------------------------

static LLVMValueRef compare(Fn *fn, const IrOp *op, LLVMValueRef x, LLVMValueRef y) {
  static const LLVMRealPredicate real[] = {LLVMRealOLT, LLVMRealOLE, LLVMRealOEQ, LLVMRealUNE};
  static const LLVMIntPredicate whole[] = {LLVMIntSLT, LLVMIntSLE, LLVMIntEQ, LLVMIntNE};
  int k = op->kind - IR_LT;
  if (ir_is_float(ir_type(fn->ir, op->args[0]))) return LLVMBuildFCmp(fn->b, real[k], x, y, "");
  return LLVMBuildICmp(fn->b, whole[k], x, y, "");
}

static LLVMValueRef constant(Fn *fn, const IrOp *op) {
  IrElem e = (IrElem)ir_type(fn->ir, op->result).elem;
  LLVMTypeRef t = cg_type(fn->cg, e);
  if (e == IR_F32 || e == IR_F64) return LLVMConstReal(t, op->attr.f);
  return LLVMConstInt(t, (unsigned long long)op->attr.i, true);
}

static bool in_any_order(const Fn *fn, const IrOp *op) {
  return fn->sums.in_chain[op->result] && !fn->cg->opt->strict_fp;
}

static LLVMValueRef arithmetic(Fn *fn, const IrOp *op, const LLVMValueRef *a, bool f) {
  LLVMBuilderRef b = fn->b;
  LLVMTypeRef t = LLVMTypeOf(a[0]);
  bool sum = in_any_order(fn, op);
  switch ((IrOpKind)op->kind) {
  case IR_ADD: return f ? cg_fp(fn, LLVMBuildFAdd(b, a[0], a[1], ""), sum) : LLVMBuildAdd(b, a[0], a[1], "");
  case IR_SUB: return f ? cg_fp(fn, LLVMBuildFSub(b, a[0], a[1], ""), sum) : LLVMBuildSub(b, a[0], a[1], "");
  case IR_MUL:
    return f ? cg_fp(fn, LLVMBuildFMul(b, a[0], a[1], ""), false) : LLVMBuildMul(b, a[0], a[1], "");
  case IR_NEG: return f ? cg_fp(fn, LLVMBuildFNeg(b, a[0], ""), false) : LLVMBuildNeg(b, a[0], "");
  case IR_MIN:
  case IR_MAX:
    if (f && sum) return cg_intrinsic(fn, op->kind == IR_MIN ? "llvm.minimum" : "llvm.maximum", t, a, 2);
    if (f) return float_min_max(fn, (IrOpKind)op->kind, a[0], a[1]);
    return cg_intrinsic(fn, op->kind == IR_MIN ? "llvm.smin" : "llvm.smax", t, a, 2);
  case IR_ABS:
    if (f) return cg_intrinsic(fn, "llvm.fabs", t, a, 1);
    return cg_intrinsic(fn, "llvm.abs", t, (LLVMValueRef[]){a[0], LLVMConstInt(fn->cg->i1, 0, false)}, 2);
  default: return NULL;
  }
}

static LLVMValueRef convert(Fn *fn, const IrOp *op, LLVMValueRef x) {
  LLVMTypeRef to = cg_value_type(fn, op->result);
  switch ((IrOpKind)op->kind) {
  case IR_ITOF: return LLVMBuildSIToFP(fn->b, x, to, "");
  case IR_BTOI: return LLVMBuildZExt(fn->b, x, to, "");
  case IR_FCVT: return LLVMBuildFPCast(fn->b, x, to, "");
  default: {
    unsigned id = LLVMLookupIntrinsicID("llvm.fptosi.sat", 15);
    LLVMTypeRef over[2] = {to, LLVMTypeOf(x)};
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(fn->cg->mod, id, over, 2);
    return cg_call(fn, LLVMGlobalGetValueType(f), f, &x, 1);
  }
  }
}

static LLVMValueRef rounding(Fn *fn, const IrOp *op, LLVMValueRef x) {
  const char *name = op->kind == IR_FLOOR   ? "llvm.floor"
                     : op->kind == IR_CEIL  ? "llvm.ceil"
                     : op->kind == IR_ROUND ? "llvm.round"
                     : op->kind == IR_TRUNC ? "llvm.trunc"
                                            : "llvm.sqrt";
  return cg_intrinsic(fn, name, LLVMTypeOf(x), &x, 1);
}

static LLVMValueRef random_number(Fn *fn, const IrOp *op, const LLVMValueRef *a) {
  CgRuntime f = op->kind == IR_RNG_UNIFORM  ? CG_dprt_rng_uniform
                : op->kind == IR_RNG_NORMAL ? CG_dprt_rng_normal
                                            : CG_dprt_rng_below;
  return cg_call_runtime(fn, f, a, op->n_args);
}

// As a term of a sum in any order it is spelled in two steps, which the vectoriser knows, and fused behind it.
static LLVMValueRef fused(Fn *fn, const IrOp *op, const LLVMValueRef *a) {
  if (!in_any_order(fn, op)) return cg_intrinsic(fn, "llvm.fma", LLVMTypeOf(a[0]), a, 3);
  LLVMValueRef term = cg_fp(fn, LLVMBuildFMul(fn->b, a[0], a[1], ""), false);
  return cg_fp(fn, LLVMBuildFAdd(fn->b, term, a[2], ""), true);
}

static LLVMValueRef scalar(Fn *fn, const IrOp *op, const LLVMValueRef *a) {
  LLVMBuilderRef b = fn->b;
  bool f = op->n_args && ir_is_float(ir_type(fn->ir, op->args[0]));
  switch ((IrOpKind)op->kind) {
  case IR_CONST: return constant(fn, op);
  case IR_STR: return cg_text(fn->cg, op->attr.sym);
  case IR_ADD:
  case IR_SUB:
  case IR_MUL:
  case IR_NEG:
  case IR_MIN:
  case IR_MAX:
  case IR_ABS: return arithmetic(fn, op, a, f);
  case IR_DIV: return LLVMBuildFDiv(b, a[0], a[1], "");
  case IR_FMA: return fused(fn, op, a);
  case IR_IDIV: return floor_divide(fn, a[0], a[1], false);
  case IR_IMOD: return floor_divide(fn, a[0], a[1], true);
  case IR_IPOW:
  case IR_POWI: return int_power(fn, a[0], a[1]);
  case IR_SELECT: return LLVMBuildSelect(b, a[0], a[1], a[2], "");
  case IR_LT:
  case IR_LE:
  case IR_EQ:
  case IR_NE: return compare(fn, op, a[0], a[1]);
  case IR_AND: return LLVMBuildAnd(b, a[0], a[1], "");
  case IR_OR: return LLVMBuildOr(b, a[0], a[1], "");
  case IR_NOT: return LLVMBuildNot(b, a[0], "");
  case IR_ITOF:
  case IR_FTOI:
  case IR_BTOI:
  case IR_FCVT: return convert(fn, op, a[0]);
  case IR_DETACH:
  case IR_ATTACH: return a[0];
  case IR_SQRT:
  case IR_FLOOR:
  case IR_CEIL:
  case IR_ROUND:
  case IR_TRUNC: return rounding(fn, op, a[0]);
  case IR_SIGN: return sign(fn, a[0]);
  case IR_RNG_UNIFORM:
  case IR_RNG_NORMAL:
  case IR_RNG_BELOW: return random_number(fn, op, a);
  default: return cg_emit_kernel(fn, op, a);
  }
}

static bool is_exponent(const IrOp *op, int operand) { return op->kind == IR_POWI && operand == 1; }

void cg_emit_scalar(Fn *fn, const IrOp *op) {
  LLVMValueRef args[4] = {NULL};
  bool own = cg_is_own(fn, op->result);
  for (int i = 0; i < op->n_args && i < 4; i++)
    args[i] = own && !is_exponent(op, i) ? cg_spread(fn, op->args[i]) : cg_v(fn, op->args[i]);
  LLVMValueRef r = scalar(fn, op, args);
  if (r)
    cg_set(fn, op->result, r);
  else
    cg_bug(fn->cg, "no code for the operation `%s`", ir_op_info[op->kind].text);
}
