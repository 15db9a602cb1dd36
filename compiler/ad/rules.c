// Differentiation: the derivative rule of every scalar operation.
//
// In: an operation, the operand asked about, and a factor t. Out: (d result / d operand) * t. Reverse mode passes the
// result's adjoint as t, forward mode the operand's tangent. ops.def names the rule of each operation; a name without a
// function here does not compile.
//
// The partial derivative stands on its own and is multiplied by t: what follows from the operands alone is computed once for
// all directions, orders and operations that share it, such as the reciprocal of a distance.
//
// Kinks take one documented sub-gradient (docs/language.md). A factor of zero gives zero even where the partial
// derivative is infinite: `guarded`. What a rule emits is differentiated again for higher derivatives, so a value may be
// replaced by a constant only where it is undefined: t / y at t = 0 still has the derivative 1 / y by t.
#include "ad/internal.h"

#include <math.h>

static IrVal operand(Rule *r, int k) { return r->operand(r, k); }
static IrVal result(Rule *r) { return r->result(r); }
static IrVal constant(Rule *r, IrVal like, double v) { return ad_const_like(r->b, like, v); }

static IrVal square(Rule *r, IrVal x) { return ad_mul(r->b, x, x); }
static IrVal inverse(Rule *r, IrVal x) { return ad_div(r->b, constant(r, x, 1.0), x); }

// (1 - x)(1 + x): exact where 1 - x² cancels.
static IrVal one_minus_square(Rule *r, IrVal x) {
  IrVal one = constant(r, x, 1.0);
  return ad_mul(r->b, ad_sub(r->b, one, x), ad_add(r->b, one, x));
}

// Zero where the factor t is zero and the value, a product with it, therefore NaN (0 * inf, 0 / 0); else the value.
static IrVal guarded(Rule *r, IrVal t, IrVal value) {
  if (ir_is_const(r->b->func, t) && !ad_is_float_const(r->b->func, t, 0.0)) return value;
  IrVal zero = constant(r, t, 0.0);
  IrVal undefined = ir_op2(r->b, IR_NE, value, value);
  return ir_op3(r->b, IR_SELECT, ir_op2(r->b, IR_AND, ir_op2(r->b, IR_EQ, t, zero), undefined), zero, value);
}

static IrVal masked(Rule *r, IrVal cond, IrVal t, bool when) {
  IrVal zero = constant(r, t, 0.0);
  return when ? ir_op3(r->b, IR_SELECT, cond, t, zero) : ir_op3(r->b, IR_SELECT, cond, zero, t);
}

static IrVal rule_lin(Rule *r, int arg, IrVal t) {
  switch ((IrOpKind)r->op->kind) {
  case IR_NEG: return ad_neg(r->b, t);
  case IR_SUB: return arg == 0 ? t : ad_neg(r->b, t);
  default: return t; // ADD; FCVT is converted by the caller
  }
}

// What the value is attached to is detached (opt/winner.c).
static IrVal rule_attach(Rule *r, int arg, IrVal t) { return arg == 1 ? t : ad_const_like(r->b, t, 0.0); }

static IrVal rule_mul(Rule *r, int arg, IrVal t) { return ad_mul(r->b, t, operand(r, 1 - arg)); }

static IrVal rule_fma(Rule *r, int arg, IrVal t) {
  return arg == 2 ? t : ad_mul(r->b, t, operand(r, 1 - arg));
}

static IrVal rule_div(Rule *r, int arg, IrVal t) {
  IrVal q = ad_mul(r->b, t, inverse(r, operand(r, 1)));
  if (arg == 1) q = ad_neg(r->b, ad_mul(r->b, q, result(r)));
  return guarded(r, t, q);
}

// The first of two equal operands takes the derivative.
static IrVal rule_minmax(Rule *r, int arg, IrVal t) {
  IrVal a = operand(r, 0), b = operand(r, 1);
  IrVal first = r->op->kind == IR_MIN ? ir_op2(r->b, IR_LE, a, b) : ir_op2(r->b, IR_LE, b, a);
  return masked(r, first, t, arg == 0);
}

static IrVal rule_abs(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ir_op1(r->b, IR_SIGN, operand(r, 0)));
}

static IrVal rule_select(Rule *r, int arg, IrVal t) { return masked(r, operand(r, 0), t, arg == 1); }

// n x^(n-1); zero for n = 0, whatever x: 0 x^0 then, since 0 x^-1 is NaN at 0 and would come back in a higher derivative.
static IrVal rule_powi(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal x = operand(r, 0), n = operand(r, 1), zero = ir_const_int(r->b, 0);
  IrVal below = ir_op2(r->b, IR_SUB, n, ir_const_int(r->b, 1));
  below = ir_op3(r->b, IR_SELECT, ir_op2(r->b, IR_EQ, n, zero), zero, below);
  IrVal factor = ir_convert(r->b, IR_ITOF, (IrElem)ir_type(r->b->func, x).elem, n);
  return guarded(r, t, ad_mul(r->b, t, ad_mul(r->b, factor, ir_op2(r->b, IR_POWI, x, below))));
}

static IrVal rule_sqrt(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, ad_mul(r->b, constant(r, t, 0.5), t), inverse(r, result(r))));
}

static IrVal rule_cbrt(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal y = result(r);
  return guarded(r, t, ad_mul(r->b, t, inverse(r, ad_mul(r->b, constant(r, t, 3.0), square(r, y)))));
}

static IrVal rule_exp(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, result(r));
}

static IrVal rule_exp2(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ad_mul(r->b, constant(r, t, M_LN2), result(r)));
}

static IrVal rule_expm1(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ir_op1(r->b, IR_EXP, operand(r, 0)));
}

static IrVal rule_log(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, t, inverse(r, operand(r, 0))));
}

static IrVal rule_log2(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, t, ad_div(r->b, constant(r, t, M_LOG2E), operand(r, 0))));
}

static IrVal rule_log10(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, t, ad_div(r->b, constant(r, t, M_LOG10E), operand(r, 0))));
}

static IrVal rule_log1p(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, t, inverse(r, ad_add(r->b, constant(r, t, 1.0), operand(r, 0)))));
}

static IrVal rule_sin(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ir_op1(r->b, IR_COS, operand(r, 0)));
}

static IrVal rule_cos(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_neg(r->b, ad_mul(r->b, t, ir_op1(r->b, IR_SIN, operand(r, 0))));
}

static IrVal rule_tan(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ad_add(r->b, constant(r, t, 1.0), square(r, result(r))));
}

static IrVal arc_slope(Rule *r, IrVal t) {
  IrVal root = ir_op1(r->b, IR_SQRT, one_minus_square(r, operand(r, 0)));
  return guarded(r, t, ad_mul(r->b, t, inverse(r, root)));
}

static IrVal rule_asin(Rule *r, int arg, IrVal t) {
  (void)arg;
  return arc_slope(r, t);
}

static IrVal rule_acos(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_neg(r->b, arc_slope(r, t));
}

static IrVal rule_atan(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal x = operand(r, 0);
  return ad_mul(r->b, t, inverse(r, ad_add(r->b, constant(r, t, 1.0), square(r, x))));
}

// x / (x² + y²), through the hypotenuse so that squares cannot overflow.
static IrVal rule_atan2(Rule *r, int arg, IrVal t) {
  IrVal y = operand(r, 0), x = operand(r, 1);
  IrVal h = ir_op2(r->b, IR_HYPOT, x, y);
  IrVal d = ad_mul(r->b, t, ad_div(r->b, ad_div(r->b, arg == 0 ? x : y, h), h));
  return guarded(r, t, arg == 0 ? d : ad_neg(r->b, d));
}

static IrVal rule_sinh(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ir_op1(r->b, IR_COSH, operand(r, 0)));
}

static IrVal rule_cosh(Rule *r, int arg, IrVal t) {
  (void)arg;
  return ad_mul(r->b, t, ir_op1(r->b, IR_SINH, operand(r, 0)));
}

// sech² x = 4 e / (1 + e)² with e = exp(-2|x|), the square as e (2 + e) + 1, which rounds once less: accurate where 1 - tanh² cancels. -|x| by selection, whose derivative is
// never 0: either sign gives all derivatives of sech² at 0.
static IrVal rule_tanh(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal x = operand(r, 0);
  IrVal negative = ir_op2(r->b, IR_LT, x, constant(r, x, 0.0));
  IrVal below = ir_op3(r->b, IR_SELECT, negative, x, ad_neg(r->b, x));
  IrVal e = ir_op1(r->b, IR_EXP, ad_mul(r->b, constant(r, x, 2.0), below));
  IrVal s = ir_op3(r->b, IR_FMA, e, ad_add(r->b, constant(r, x, 2.0), e), constant(r, x, 1.0));
  return ad_mul(r->b, t, ad_div(r->b, ad_mul(r->b, constant(r, x, 4.0), e), s));
}

static IrVal rule_asinh(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal x = operand(r, 0);
  return ad_mul(r->b, t, inverse(r, ir_op2(r->b, IR_HYPOT, x, constant(r, x, 1.0))));
}

static IrVal rule_acosh(Rule *r, int arg, IrVal t) {
  (void)arg;
  IrVal x = operand(r, 0), one = constant(r, x, 1.0);
  IrVal root =
      ad_mul(r->b, ir_op1(r->b, IR_SQRT, ad_sub(r->b, x, one)), ir_op1(r->b, IR_SQRT, ad_add(r->b, x, one)));
  return guarded(r, t, ad_mul(r->b, t, inverse(r, root)));
}

static IrVal rule_atanh(Rule *r, int arg, IrVal t) {
  (void)arg;
  return guarded(r, t, ad_mul(r->b, t, inverse(r, one_minus_square(r, operand(r, 0)))));
}

// May b a^(b-1) be computed as it stands? Where b - 1 is rounded, the power may be off by hundreds of last places, and where
// b is small or negative, the power may leave the range of numbers before b brings it back.
static bool plain_slope(double b, bool narrow) {
  double below = narrow ? (double)(float)(b - 1.0) : b - 1.0;
  return b >= 0.5 && b - below == 1.0; // up to 1 it is exact
}

static IrVal plain_slope_of(Rule *r, IrVal b) {
  IrVal one = constant(r, b, 1.0), below = ad_sub(r->b, b, one);
  IrVal exact = ir_op2(r->b, IR_EQ, ad_sub(r->b, b, below), one);
  return ir_op2(r->b, IR_AND, exact, ir_op2(r->b, IR_LE, constant(r, b, 0.5), b));
}

// Else b a^b / a takes its place, except where a = 0.
static IrVal pow_slope(Rule *r, IrVal a, IrVal b, IrVal plain) {
  IrVal power = ir_op2(r->b, IR_EQ, a, constant(r, a, 0.0));
  if (!ir_is_const(r->b->func, b)) power = ir_op2(r->b, IR_OR, plain_slope_of(r, b), power);
  return ir_op3(r->b, IR_SELECT, power, plain, ad_div(r->b, ad_mul(r->b, b, result(r)), a));
}

// By the base: b a^(b-1), zero for b = 0. By the exponent: a^b log a, zero where a = 0 (the limit for b > 0). Where 0 would
// give NaN another base takes its place: what is masked afterwards comes back in a higher derivative.
static IrVal rule_pow(Rule *r, int arg, IrVal t) {
  IrVal a = operand(r, 0), b = operand(r, 1), one = constant(r, b, 1.0), zero = constant(r, b, 0.0);
  IrVal flat = ir_op2(r->b, IR_EQ, a, zero), base = a;
  const IrFunc *f = r->b->func;
  bool fixed = ir_is_const(f, b), never_zero = fixed && !ad_is_float_const(f, b, 0.0);
  if (arg == 0 && !never_zero) flat = ir_op2(r->b, IR_AND, flat, ir_op2(r->b, IR_EQ, b, zero));
  if (arg == 1 || !never_zero) base = ir_op3(r->b, IR_SELECT, flat, one, a);
  if (arg == 1) return guarded(r, t, ad_mul(r->b, t, ad_mul(r->b, result(r), ir_op1(r->b, IR_LOG, base))));
  IrVal slope = ad_mul(r->b, b, ir_op2(r->b, IR_POW, base, ad_sub(r->b, b, one)));
  if (!fixed || !plain_slope(ir_val(f, b)->def->attr.f, ir_type(f, b).elem == IR_F32))
    slope = pow_slope(r, a, b, slope);
  return guarded(r, t, ad_mul(r->b, t, slope));
}

// x / hypot(x, y), zero at the origin.
static IrVal rule_hypot(Rule *r, int arg, IrVal t) {
  IrVal y = result(r), zero = constant(r, t, 0.0);
  IrVal d = ad_mul(r->b, t, ad_div(r->b, operand(r, arg), y));
  return ir_op3(r->b, IR_SELECT, ir_op2(r->b, IR_EQ, y, zero), zero, d);
}

// exp(-x²) times a factor, to the last place: what x² loses to rounding counts in the exponent. Far outside it is zero.
static IrVal gauss(Rule *r, IrVal t, double factor) {
  IrVal x = operand(r, 0), far = constant(r, x, 40.0);
  x = ir_op2(r->b, IR_MAX, ir_op2(r->b, IR_MIN, x, far), ad_neg(r->b, far));
  IrVal h = square(r, x), minus = ad_neg(r->b, h), lost = ir_op3(r->b, IR_FMA, x, x, minus);
  IrVal e = ir_op1(r->b, IR_EXP, minus);
  e = ad_sub(r->b, e, ad_mul(r->b, e, lost));
  return ad_mul(r->b, t, ad_mul(r->b, constant(r, t, factor), e));
}

static IrVal rule_erf(Rule *r, int arg, IrVal t) {
  (void)arg;
  return gauss(r, t, M_2_SQRTPI);
}

static IrVal rule_erfc(Rule *r, int arg, IrVal t) {
  (void)arg;
  return gauss(r, t, -M_2_SQRTPI);
}

// ---- the table -----------------------------------------------------------------------------------------------------

typedef IrVal RuleFn(Rule *r, int arg, IrVal t);
typedef struct RuleEntry {
  RuleClass class;
  RuleFn *fn;
} RuleEntry;

#define RULE_ENTRY_none {RULE_NONE, NULL}
#define RULE_ENTRY_struct {RULE_STRUCT, NULL}
#define RULE_ENTRY_lost {RULE_LOST, NULL}
#define SCALAR_RULE(name) {RULE_SCALAR, rule_##name}
#define RULE_ENTRY_lin SCALAR_RULE(lin)
#define RULE_ENTRY_attach SCALAR_RULE(attach)
#define RULE_ENTRY_mul SCALAR_RULE(mul)
#define RULE_ENTRY_fma SCALAR_RULE(fma)
#define RULE_ENTRY_div SCALAR_RULE(div)
#define RULE_ENTRY_minmax SCALAR_RULE(minmax)
#define RULE_ENTRY_abs SCALAR_RULE(abs)
#define RULE_ENTRY_select SCALAR_RULE(select)
#define RULE_ENTRY_powi SCALAR_RULE(powi)
#define RULE_ENTRY_sqrt SCALAR_RULE(sqrt)
#define RULE_ENTRY_cbrt SCALAR_RULE(cbrt)
#define RULE_ENTRY_exp SCALAR_RULE(exp)
#define RULE_ENTRY_exp2 SCALAR_RULE(exp2)
#define RULE_ENTRY_expm1 SCALAR_RULE(expm1)
#define RULE_ENTRY_log SCALAR_RULE(log)
#define RULE_ENTRY_log2 SCALAR_RULE(log2)
#define RULE_ENTRY_log10 SCALAR_RULE(log10)
#define RULE_ENTRY_log1p SCALAR_RULE(log1p)
#define RULE_ENTRY_sin SCALAR_RULE(sin)
#define RULE_ENTRY_cos SCALAR_RULE(cos)
#define RULE_ENTRY_tan SCALAR_RULE(tan)
#define RULE_ENTRY_asin SCALAR_RULE(asin)
#define RULE_ENTRY_acos SCALAR_RULE(acos)
#define RULE_ENTRY_atan SCALAR_RULE(atan)
#define RULE_ENTRY_atan2 SCALAR_RULE(atan2)
#define RULE_ENTRY_sinh SCALAR_RULE(sinh)
#define RULE_ENTRY_cosh SCALAR_RULE(cosh)
#define RULE_ENTRY_tanh SCALAR_RULE(tanh)
#define RULE_ENTRY_asinh SCALAR_RULE(asinh)
#define RULE_ENTRY_acosh SCALAR_RULE(acosh)
#define RULE_ENTRY_atanh SCALAR_RULE(atanh)
#define RULE_ENTRY_pow SCALAR_RULE(pow)
#define RULE_ENTRY_hypot SCALAR_RULE(hypot)
#define RULE_ENTRY_erf SCALAR_RULE(erf)
#define RULE_ENTRY_erfc SCALAR_RULE(erfc)

static const RuleEntry rules[IR_OP_COUNT] = {
#define OP(kind, text, args, results, type, flags, cost, rule) [IR_##kind] = RULE_ENTRY_##rule,
#include "ir/ops.def"
};

RuleClass rule_class(IrOpKind k) { return rules[k].class; }

IrVal rule_apply(Rule *r, int arg, IrVal t) { return rules[r->op->kind].fn(r, arg, t); }

// ---- what a rule needs: run it on a scratch function and watch ---------------------------------------------------

typedef struct Probe {
  IrVal operands[4], result;
  uint32_t needs;
} Probe;

static IrVal probe_operand(Rule *r, int k) {
  Probe *p = r->user;
  p->needs |= 1u << k;
  return p->operands[k];
}

static IrVal probe_result(Rule *r) {
  Probe *p = r->user;
  p->needs |= RULE_NEEDS_RESULT;
  return p->result;
}

uint32_t rule_needs(Arena *scratch, const IrFunc *f, const IrOp *op, const bool *active) {
  if (op->kind == IR_ADD || op->kind == IR_SUB || op->kind == IR_NEG || op->kind == IR_FCVT ||
      op->kind == IR_ATTACH)
    return 0;
  Interner *names = interner_new(scratch);
  IrModule *m = ir_module_new(scratch, names, NULL);
  IrFunc *probe_fn = ir_func_new(m, intern_cstr(names, "probe"));
  Probe probe = {0};
  IrLeaf leaf = {0};
  for (int k = 0; k < op->n_args; k++)
    probe.operands[k] = ir_param(probe_fn, ir_type(f, op->args[k]), NULL, leaf);
  probe.result = ir_param(probe_fn, ir_type(f, op->result), NULL, leaf);
  IrVal t = ir_param(probe_fn, ir_type(f, op->result), NULL, leaf);
  IrBuilder b = ir_builder(probe_fn);
  Rule r = {&b, op, &probe, probe_operand, probe_result};
  for (int k = 0; k < op->n_args; k++)
    if (active[k]) rule_apply(&r, k, t);
  return probe.needs;
}
