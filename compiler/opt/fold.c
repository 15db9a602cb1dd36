// Constants: what an operation makes of them, with the bits that the running program would get. Ints wrap; f32 is
// computed in float; elementary functions stay for run time, whose kernels may differ in the last bit.
#include "opt/scalar.h"

#include <math.h>

static const double INT_LIMIT = 9223372036854775808.0; // 2^63

bool const_get(const IrFunc *f, IrVal v, Const *out) {
  const IrOp *op = op_of(f, v, IR_CONST);
  if (!op) return false;
  out->elem = (IrElem)ir_type(f, v).elem;
  if (out->elem == IR_F32 || out->elem == IR_F64)
    out->v.f = op->attr.f;
  else
    out->v.i = op->attr.i;
  return true;
}

bool const_is_zero(const IrFunc *f, IrVal v) {
  Const c;
  return const_get(f, v, &c) && (c.elem == IR_F64 || c.elem == IR_F32) && c.v.f == 0;
}

bool const_same(Const a, Const b) { return a.elem == b.elem && a.v.i == b.v.i; }

IrVal const_emit(IrBuilder *b, Const c) {
  switch (c.elem) {
  case IR_BOOL: return ir_const_bool(b, c.v.i != 0);
  case IR_F32:
  case IR_F64: return ir_const_float(b, c.elem, c.v.f);
  case IR_INT:
  case IR_STRING: break;
  }
  return ir_const_int(b, c.v.i);
}

uint64_t const_trips(int64_t lo, int64_t hi, int64_t step) {
  if (step == 0 || (step > 0 ? lo >= hi : lo <= hi)) return 0;
  uint64_t span = step > 0 ? (uint64_t)hi - (uint64_t)lo : (uint64_t)lo - (uint64_t)hi;
  uint64_t by = step > 0 ? (uint64_t)step : -(uint64_t)step;
  return (span - 1) / by + 1;
}

// ---- ints ----------------------------------------------------------------------------------------------------------

static int64_t power(int64_t base, int64_t n) {
  if (n < 0) return base == 1 ? 1 : base == -1 ? (n % 2 ? -1 : 1) : 0;
  int64_t r = 1;
  for (; n > 0; n >>= 1, base = wrap_mul(base, base))
    if (n & 1) r = wrap_mul(r, base);
  return r;
}

static int64_t divide(int64_t a, int64_t b) { // toward minus infinity
  if (b == -1) return wrap_sub(0, a);
  int64_t q = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? q - 1 : q;
}

static bool fold_int(IrOpKind k, int64_t a, int64_t b, int64_t *out) {
  switch (k) {
  case IR_ADD: *out = wrap_add(a, b); return true;
  case IR_SUB: *out = wrap_sub(a, b); return true;
  case IR_MUL: *out = wrap_mul(a, b); return true;
  case IR_NEG: *out = wrap_sub(0, a); return true;
  case IR_ABS: *out = a < 0 ? wrap_sub(0, a) : a; return true;
  case IR_MIN: *out = a < b ? a : b; return true;
  case IR_MAX: *out = a > b ? a : b; return true;
  case IR_IPOW: *out = power(a, b); return true;
  case IR_IDIV:
  case IR_IMOD:
    if (b == 0) return false; // the check before it reports that
    *out = k == IR_IDIV ? divide(a, b) : wrap_sub(a, wrap_mul(divide(a, b), b));
    return true;
  case IR_LT: *out = a < b; return true;
  case IR_LE: *out = a <= b; return true;
  case IR_EQ: *out = a == b; return true;
  case IR_NE: *out = a != b; return true;
  case IR_AND: *out = a & b; return true;
  case IR_OR: *out = a | b; return true;
  case IR_NOT: *out = !a; return true;
  default: return false;
  }
}

// ---- floats --------------------------------------------------------------------------------------------------------

static double sign(double a) { return a > 0 ? 1 : a < 0 ? -1 : a; }

static bool fold_f64(IrOpKind k, double a, double b, double c, double *out) {
  switch (k) {
  case IR_ADD: *out = a + b; return true;
  case IR_SUB: *out = a - b; return true;
  case IR_MUL: *out = a * b; return true;
  case IR_DIV: *out = a / b; return true;
  case IR_FMA: *out = fma(a, b, c); return true;
  case IR_NEG: *out = -a; return true;
  case IR_ABS: *out = fabs(a); return true;
  case IR_MIN: *out = isnan(a) || isnan(b) ? NAN : b < a ? b : a; return true; // a tie goes to the first
  case IR_MAX: *out = isnan(a) || isnan(b) ? NAN : b > a ? b : a; return true;
  case IR_FLOOR: *out = floor(a); return true;
  case IR_CEIL: *out = ceil(a); return true;
  case IR_ROUND: *out = round(a); return true;
  case IR_TRUNC: *out = trunc(a); return true;
  case IR_SIGN: *out = sign(a); return true;
  case IR_DETACH: *out = a; return true;
  default: return false;
  }
}

// Where rounding matters, in float; all else is exact in double too.
static bool fold_f32(IrOpKind k, float a, float b, float c, double *out) {
  switch (k) {
  case IR_ADD: *out = (double)(float)(a + b); return true;
  case IR_SUB: *out = (double)(float)(a - b); return true;
  case IR_MUL: *out = (double)(float)(a * b); return true;
  case IR_DIV: *out = (double)(float)(a / b); return true;
  case IR_FMA: *out = (double)fmaf(a, b, c); return true;
  default: return fold_f64(k, (double)a, (double)b, (double)c, out);
  }
}

static bool fold_compare(IrOpKind k, double a, double b, int64_t *out) {
  switch (k) {
  case IR_LT: *out = a < b; return true;
  case IR_LE: *out = a <= b; return true;
  case IR_EQ: *out = a == b; return true;
  case IR_NE: *out = a != b; return true;
  default: return false;
  }
}

static int64_t saturate(double v) {
  if (isnan(v)) return 0;
  if (v >= INT_LIMIT) return INT64_MAX;
  return v <= -INT_LIMIT ? INT64_MIN : (int64_t)v;
}

static bool is_float(IrElem e) { return e == IR_F32 || e == IR_F64; }

static bool fold_convert(IrOpKind k, IrElem to, Const a, Const *out) {
  out->elem = to;
  switch (k) {
  case IR_ITOF: out->v.f = to == IR_F32 ? (double)(float)a.v.i : (double)a.v.i; return true;
  case IR_FTOI: out->v.i = saturate(a.v.f); return true;
  case IR_BTOI: out->v.i = a.v.i != 0; return true;
  case IR_FCVT: out->v.f = to == IR_F32 ? (double)(float)a.v.f : a.v.f; return !isnan(a.v.f);
  default: return false;
  }
}

bool const_fold(IrOpKind k, IrElem to, const Const *args, int n, Const *out) {
  if (n < 1 || n > 3 || args[0].elem == IR_STRING) return false;
  Const a = args[0], b = args[n > 1 ? 1 : 0], c = args[n > 2 ? 2 : 0];
  if (k == IR_ITOF || k == IR_FTOI || k == IR_BTOI || k == IR_FCVT) return fold_convert(k, to, a, out);
  if (k == IR_SELECT || k == IR_POWI || (ir_op_info[k].flags & IR_MATH)) return false;
  bool compares = k == IR_LT || k == IR_LE || k == IR_EQ || k == IR_NE;
  out->elem = compares ? IR_BOOL : a.elem;
  if (!is_float(a.elem)) return fold_int(k, a.v.i, b.v.i, &out->v.i);
  if (compares) return fold_compare(k, a.v.f, b.v.f, &out->v.i);
  bool known = a.elem == IR_F32 ? fold_f32(k, (float)a.v.f, (float)b.v.f, (float)c.v.f, &out->v.f)
                                : fold_f64(k, a.v.f, b.v.f, c.v.f, &out->v.f);
  return known && !isnan(out->v.f);
}
