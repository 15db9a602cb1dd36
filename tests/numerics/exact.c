// Exact values and derivatives. In: operands of 53 bits or less. Out: EXACT_BITS bits, all but the last few right: where a
// difference cancels, the operands leave enough of them.
#include "exact.h"

#define N MPFR_RNDN

#define VALUE(name)                                                                                          \
  void value_##name(mpfr_t r, const mpfr_t x, const mpfr_t y) {                                              \
    (void)y;                                                                                                 \
    mpfr_##name(r, x, N);                                                                                    \
  }
#define SLOPE(name) void slope_##name(mpfr_t r, const mpfr_t x, __attribute__((unused)) const mpfr_t y)

VALUE(sqrt)
VALUE(cbrt)
VALUE(exp)
VALUE(exp2)
VALUE(expm1)
VALUE(log)
VALUE(log2)
VALUE(log10)
VALUE(log1p)
VALUE(sin)
VALUE(cos)
VALUE(tan)
VALUE(asin)
VALUE(acos)
VALUE(atan)
VALUE(sinh)
VALUE(cosh)
VALUE(tanh)
VALUE(asinh)
VALUE(acosh)
VALUE(atanh)
VALUE(erf)
VALUE(erfc)

void value_square(mpfr_t r, const mpfr_t x, __attribute__((unused)) const mpfr_t y) { mpfr_sqr(r, x, N); }
void value_cube(mpfr_t r, const mpfr_t x, __attribute__((unused)) const mpfr_t y) { mpfr_pow_ui(r, x, 3, N); }
void value_divide(mpfr_t r, const mpfr_t x, const mpfr_t y) { mpfr_div(r, x, y, N); }
void value_pow(mpfr_t r, const mpfr_t x, const mpfr_t y) { mpfr_pow(r, x, y, N); }
void value_atan2(mpfr_t r, const mpfr_t x, const mpfr_t y) { mpfr_atan2(r, x, y, N); }
void value_hypot(mpfr_t r, const mpfr_t x, const mpfr_t y) { mpfr_hypot(r, x, y, N); }

// r = 1 / r
static void invert(mpfr_t r) { mpfr_ui_div(r, 1, r, N); }

// r = (1 - x) (1 + x)
static void one_minus_square(mpfr_t r, const mpfr_t x) {
  mpfr_sqr(r, x, N);
  mpfr_ui_sub(r, 1, r, N);
}

static void over_log_of(mpfr_t r, const mpfr_t x, unsigned base) { // 1 / (x log base)
  mpfr_set_ui(r, base, N);
  mpfr_log(r, r, N);
  mpfr_mul(r, r, x, N);
  invert(r);
}

SLOPE(sqrt) {
  mpfr_sqrt(r, x, N);
  mpfr_mul_2ui(r, r, 1, N);
  invert(r);
}
SLOPE(cbrt) {
  mpfr_cbrt(r, x, N);
  mpfr_sqr(r, r, N);
  mpfr_mul_ui(r, r, 3, N);
  invert(r);
}
SLOPE(exp) { mpfr_exp(r, x, N); }
SLOPE(exp2) {
  mpfr_t l;
  mpfr_init2(l, EXACT_BITS);
  mpfr_const_log2(l, N);
  mpfr_exp2(r, x, N);
  mpfr_mul(r, r, l, N);
  mpfr_clear(l);
}
SLOPE(expm1) { slope_exp(r, x, y); }
SLOPE(log) { mpfr_ui_div(r, 1, x, N); }
SLOPE(log2) { over_log_of(r, x, 2); }
SLOPE(log10) { over_log_of(r, x, 10); }
SLOPE(log1p) {
  mpfr_t u; // exact: from 2^-1074 to 2^1024
  mpfr_init2(u, 2200);
  mpfr_add_ui(u, x, 1, N);
  mpfr_ui_div(r, 1, u, N);
  mpfr_clear(u);
}
SLOPE(sin) { mpfr_cos(r, x, N); }
SLOPE(cos) {
  mpfr_sin(r, x, N);
  mpfr_neg(r, r, N);
}
SLOPE(tan) {
  mpfr_cos(r, x, N);
  mpfr_sqr(r, r, N);
  invert(r);
}
SLOPE(asin) {
  one_minus_square(r, x);
  mpfr_rec_sqrt(r, r, N);
}
SLOPE(acos) {
  slope_asin(r, x, y);
  mpfr_neg(r, r, N);
}
SLOPE(atan) {
  mpfr_sqr(r, x, N);
  mpfr_add_ui(r, r, 1, N);
  invert(r);
}
SLOPE(sinh) { mpfr_cosh(r, x, N); }
SLOPE(cosh) { mpfr_sinh(r, x, N); }
SLOPE(tanh) {
  mpfr_cosh(r, x, N);
  mpfr_sqr(r, r, N);
  invert(r);
}
SLOPE(asinh) {
  mpfr_sqr(r, x, N);
  mpfr_add_ui(r, r, 1, N);
  mpfr_rec_sqrt(r, r, N);
}
SLOPE(acosh) {
  mpfr_sqr(r, x, N);
  mpfr_sub_ui(r, r, 1, N);
  mpfr_rec_sqrt(r, r, N);
}
SLOPE(atanh) {
  one_minus_square(r, x);
  invert(r);
}
SLOPE(erf) {
  mpfr_t p;
  mpfr_init2(p, EXACT_BITS);
  mpfr_const_pi(p, N);
  mpfr_rec_sqrt(p, p, N);
  mpfr_sqr(r, x, N);
  mpfr_neg(r, r, N);
  mpfr_exp(r, r, N);
  mpfr_mul(r, r, p, N);
  mpfr_mul_2ui(r, r, 1, N);
  mpfr_clear(p);
}
SLOPE(erfc) {
  slope_erf(r, x, y);
  mpfr_neg(r, r, N);
}
SLOPE(square) { mpfr_mul_2ui(r, x, 1, N); }
SLOPE(cube) {
  mpfr_sqr(r, x, N);
  mpfr_mul_ui(r, r, 3, N);
}
SLOPE(divide) {
  (void)x;
  mpfr_ui_div(r, 1, y, N);
}
SLOPE(divide_y) {
  mpfr_sqr(r, y, N);
  mpfr_div(r, x, r, N);
  mpfr_neg(r, r, N);
}
SLOPE(pow) { // y x^(y - 1)
  mpfr_pow(r, x, y, N);
  mpfr_div(r, r, x, N);
  mpfr_mul(r, r, y, N);
}
SLOPE(pow_y) { // x^y log x
  mpfr_t p;
  mpfr_init2(p, EXACT_BITS);
  mpfr_pow(p, x, y, N);
  mpfr_log(r, x, N);
  mpfr_mul(r, r, p, N);
  mpfr_clear(p);
}
// b / (a² + b²), for the angle of (b, a)
static void turn(mpfr_t r, const mpfr_t a, const mpfr_t b) {
  mpfr_t s;
  mpfr_init2(s, EXACT_BITS);
  mpfr_sqr(s, a, N);
  mpfr_sqr(r, b, N);
  mpfr_add(s, s, r, N);
  mpfr_div(r, b, s, N);
  mpfr_clear(s);
}
SLOPE(atan2) { turn(r, x, y); }
SLOPE(atan2_y) {
  turn(r, y, x);
  mpfr_neg(r, r, N);
}
SLOPE(hypot) {
  mpfr_hypot(r, x, y, N);
  mpfr_div(r, x, r, N);
}
SLOPE(hypot_y) { slope_hypot(r, y, x); }
