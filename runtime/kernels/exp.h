// exp, exp2, expm1, sinh, cosh, tanh.
//
// x = n log 2 + r with |r| <= log(2) / 2; e^r = 1 + r + r² E(r). The sum starts from 1 + r in two words. Arguments are
// cut off where the result is 0 or infinite anyway, and the power of two comes last, rounded once.
#ifndef DPK_EXP_H
#define DPK_EXP_H

#include "words.h"

#define LOG2_E 0x1.71547652b82fep+0
#define LN2_H 0x1.62e42fefa39efp-1
#define LN2_L 0x1.abc9e3b39803fp-56
#define TO_WHOLE 0x1.8p+52 // adding it rounds to a whole number

// (e^r - 1 - r) / r² for |r| <= log(2) / 2: e^r within 2^-55.6, and within 2^-61.
static const double EXP10[10] = {0x1.0000000000001p-1,  0x1.5555555555558p-3,  0x1.5555555553ccfp-5,
                                 0x1.111111110f8d6p-7,  0x1.6c16c178affdcp-10, 0x1.a01a01afba8ccp-13,
                                 0x1.a019b8a4bc20cp-16, 0x1.71ddf77c169cap-19, 0x1.2891e9c0e7ad4p-22,
                                 0x1.af61d7c8d1d6fp-26};
static const double EXP11[11] = {0x1.0000000000000p-1,  0x1.5555555555557p-3,  0x1.5555555555557p-5,
                                 0x1.111111111004ep-7,  0x1.6c16c16c156a3p-10, 0x1.a01a01ac2034dp-13,
                                 0x1.a01a01ab99c48p-16, 0x1.71de01a48e4e9p-19, 0x1.27e4cfab1d1bbp-22,
                                 0x1.af4edda968a9ap-26, 0x1.1f86f8887b9a4p-29};
// The same by even and odd powers: (cosh r - 1) / r² and (sinh r - r) / r³ in r².
static const double COSH6[6] = {0x1.0000000000000p-1,  0x1.5555555555557p-5,  0x1.6c16c16c156a3p-10,
                                0x1.a01a01ab99c48p-16, 0x1.27e4cfab1d1bbp-22, 0x1.1f86f8887b9a4p-29};
static const double SINH5[5] = {0x1.5555555555557p-3, 0x1.111111111004ep-7, 0x1.a01a01ac2034dp-13,
                                0x1.71de01a48e4e9p-19, 0x1.af4edda968a9ap-26};

LANE_FN V between(double lo, V x, double hi) { return smaller(all(hi), larger(all(lo), x)); } // NaN stays

LANE_FN V whole(V x) { return (x + all(TO_WHOLE)) - all(TO_WHOLE); }

// n and x - n log 2 in two words; the first subtraction is exact.
LANE_FN W remainder_of_ln2(V x, V *n) {
  V k = fma_(x, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE);
  *n = k;
  return quick_diff(fnma_(k, all(LN2_H), x), k * all(LN2_L));
}

LANE_FN V exp_(V x) {
  x = between(-746, x, 710);
  V n = fma_(x, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE);
  V r = fnma_(n, all(LN2_L), fnma_(n, all(LN2_H), x));
  W one_r = quick_sum(all(1), r);
  return scale(one_r.h + fma_(r * r, poly(r, EXP10, 10), one_r.l), n);
}

LANE_FN V exp2_(V x) {
  x = between(-1076, x, 1025);
  V n = whole(x), f = x - n;
  W r = product(f, all(LN2_H));
  r.l = fma_(f, all(LN2_L), r.l);
  W one_r = quick_sum(all(1), r.h);
  return scale(one_r.h + (one_r.l + fma_(r.h * r.h, poly(r.h, EXP10, 10), r.l)), n);
}

// e^r - 1 - r.h in one word, for r in two.
LANE_FN V expm1_rest(W r) { return fma_(r.h * r.h, poly(r.h, EXP11, 11), fma_(r.h, r.l, r.l)); }

// 2^n (1 + r + q) - 1, from half of it, which cannot overflow.
LANE_FN V expm1_(V x) {
  V n, y = between(-50, x, 710);
  W r = remainder_of_ln2(y, &n);
  V q = expm1_rest(r), t = power_of_2(n - all(1));
  W u = quick_sum(t, all(-0.5)), s = two_sum(u.h, t * r.h);
  V e = s.h + (s.l + fma_(t, q, u.l));
  return choose(lt(magnitude(x), all(0x1p-54)), x, e + e);
}

// cosh r = 1 + c and sinh r = r.h + s.
LANE_FN void hyperbolic(W r, V *c, V *s) {
  V z = r.h * r.h;
  *c = fma_(z, poly(z, COSH6, 6), r.h * r.l);
  *s = fma_(r.h * z, poly(z, SINH5, 5), fma_(z * all(0.5), r.l, r.l));
}

// With p = 2^(n-2), q = 2^(-n-2): sinh x = 2 (p - q) cosh r + 2 (p + q) sinh r, and cosh x with p and q crossed.
LANE_FN V sinh_(V x) {
  V n, c, s, size = magnitude(x);
  W r = remainder_of_ln2(between(0, size, 710.6), &n);
  hyperbolic(r, &c, &s);
  V p = power_of_2(n - all(2)), q = power_of_2(larger(-n, all(-200)) - all(2));
  W d = quick_diff(p, q), e = two_sum(d.h, p * r.h);
  V y = e.h + (e.l + (fma_(q, r.h, d.l) + fma_(p + q, s, d.h * c)));
  return choose(lt(size, all(0x1p-28)), x, with_sign(y + y, sign_of(x)));
}

LANE_FN V cosh_(V x) {
  V n, c, s;
  W r = remainder_of_ln2(between(0, magnitude(x), 710.6), &n);
  hyperbolic(r, &c, &s);
  V p = power_of_2(n - all(2)), q = power_of_2(larger(-n, all(-200)) - all(2));
  W d = quick_sum(p, q), e = quick_sum(d.h, p * r.h);
  V y = e.h + (e.l + (fnma_(q, r.h, d.l) + fma_(p - q, s, d.h * c)));
  return y + y;
}

// With u = e^(2|x|) - 1 in two words: u / (u + 2).
LANE_FN V tanh_(V x) {
  V n, size = magnitude(x), y = between(0, size, 20);
  W r = remainder_of_ln2(y + y, &n);
  V t = power_of_2(n);
  W s = two_sum(t - all(1), t * r.h), u = quick_sum(s.h, fma_(t, expm1_rest(r), s.l)),
    d = two_sum(u.h, all(2));
  d.l += u.l;
  W result = quotient(u, d);
  return choose(lt(size, all(0x1p-28)), x, with_sign(result.h + result.l, sign_of(x)));
}

#endif
