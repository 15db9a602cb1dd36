// The oracle's arithmetic: every operation on numbers, in quadruple precision or on 64 bit ints, with the meaning that
// ops.def gives it. Kinks and ties are decided here as in compiled code.
#include "ir/oracle.h"

// libquadmath's header belongs to gcc alone; its functions link with any compiler.
typedef __float128 Quad1(__float128);
typedef __float128 Quad2(__float128, __float128);
Quad1 sqrtq, cbrtq, expq, exp2q, expm1q, logq, log2q, log10q, log1pq, sinq, cosq, tanq, asinq, acosq, atanq,
    sinhq, coshq, tanhq, asinhq, acoshq, atanhq, erfq, erfcq, floorq, ceilq, roundq, truncq, fabsq;
Quad2 atan2q, powq, hypotq;
__float128 fmaq(__float128, __float128, __float128);

static __float128 quad_min(__float128 a, __float128 b) { return a != a || b != b ? a + b : a <= b ? a : b; }
static __float128 quad_max(__float128 a, __float128 b) { return a != a || b != b ? a + b : a >= b ? a : b; }

static __float128 elementary(IrOpKind k, __float128 a, __float128 b) {
  switch (k) {
  case IR_SQRT: return sqrtq(a);
  case IR_CBRT: return cbrtq(a);
  case IR_EXP: return expq(a);
  case IR_EXP2: return exp2q(a);
  case IR_EXPM1: return expm1q(a);
  case IR_LOG: return logq(a);
  case IR_LOG2: return log2q(a);
  case IR_LOG10: return log10q(a);
  case IR_LOG1P: return log1pq(a);
  case IR_SIN: return sinq(a);
  case IR_COS: return cosq(a);
  case IR_TAN: return tanq(a);
  case IR_ASIN: return asinq(a);
  case IR_ACOS: return acosq(a);
  case IR_ATAN: return atanq(a);
  case IR_ATAN2: return atan2q(a, b);
  case IR_SINH: return sinhq(a);
  case IR_COSH: return coshq(a);
  case IR_TANH: return tanhq(a);
  case IR_ASINH: return asinhq(a);
  case IR_ACOSH: return acoshq(a);
  case IR_ATANH: return atanhq(a);
  case IR_POW: return powq(a, b);
  case IR_HYPOT: return hypotq(a, b);
  case IR_ERF: return erfq(a);
  case IR_ERFC: return erfcq(a);
  default: return __builtin_nan("");
  }
}

__float128 quad_math(IrOpKind k, __float128 a, __float128 b, __float128 c) {
  switch (k) {
  case IR_ADD: return a + b;
  case IR_SUB: return a - b;
  case IR_MUL: return a * b;
  case IR_DIV: return a / b;
  case IR_FMA: return fmaq(a, b, c);
  case IR_NEG: return -a;
  case IR_ABS: return fabsq(a);
  case IR_MIN: return quad_min(a, b);
  case IR_MAX: return quad_max(a, b);
  case IR_FLOOR: return floorq(a);
  case IR_CEIL: return ceilq(a);
  case IR_ROUND: return roundq(a);
  case IR_TRUNC: return truncq(a);
  case IR_SIGN: return a > 0 ? 1 : a < 0 ? -1 : a; // keeps the sign of zero, and NaN
  default: return elementary(k, a, b);
  }
}

int64_t quad_to_int(__float128 v) {
  const __float128 limit = 9223372036854775808.0;
  if (v != v) return 0;
  if (v >= limit) return INT64_MAX;
  return v <= -limit ? INT64_MIN : (int64_t)v;
}

__float128 quad_powi(__float128 x, int64_t n) {
  uint64_t e = n < 0 ? -(uint64_t)n : (uint64_t)n;
  __float128 r = 1;
  for (; e; e >>= 1, x *= x)
    if (e & 1) r *= x;
  return n < 0 ? 1 / r : r;
}

// Wraps like the machine.
static int64_t wrap(uint64_t v) { return (int64_t)v; }

int64_t int_pow(int64_t base, int64_t n) {
  if (n < 0) return base == 1 ? 1 : base == -1 ? (n & 1 ? -1 : 1) : 0;
  uint64_t r = 1, x = (uint64_t)base;
  for (uint64_t e = (uint64_t)n; e; e >>= 1, x *= x)
    if (e & 1) r *= x;
  return wrap(r);
}

static int64_t floor_div(int64_t a, int64_t b) {
  if (b == -1) return wrap(-(uint64_t)a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b) {
  if (b == -1) return 0;
  int64_t m = a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

int64_t int_math(IrOpKind k, int64_t a, int64_t b) {
  switch (k) {
  case IR_ADD: return wrap((uint64_t)a + (uint64_t)b);
  case IR_SUB: return wrap((uint64_t)a - (uint64_t)b);
  case IR_MUL: return wrap((uint64_t)a * (uint64_t)b);
  case IR_NEG: return wrap(-(uint64_t)a);
  case IR_ABS: return a < 0 ? wrap(-(uint64_t)a) : a;
  case IR_MIN: return a <= b ? a : b;
  case IR_MAX: return a >= b ? a : b;
  case IR_IDIV: return floor_div(a, b);
  case IR_IMOD: return floor_mod(a, b);
  case IR_IPOW: return int_pow(a, b);
  default: return 0;
  }
}
