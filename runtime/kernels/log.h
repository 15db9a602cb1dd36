// log, log2, log10, log1p, asinh, acosh, atanh.
//
// x = 2^k (1 + f) with 1 + f in [3/4, 3/2). With s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - f²/2 + s (f²/2 + R),
// where R = s² L(s²): f is exact, and what is added to it is small.
#ifndef DPK_LOG_H
#define DPK_LOG_H

#include "words.h"

#define LN2_SHORT 0x1.62e42fefa4p-1 // 41 bits: a whole number times it is exact
#define LN2_REST (-0x1.8432a1b0e2634p-43)
#define LOG2_E_H 0x1.71547652b82fep+0
#define LOG2_E_L 0x1.777d0ffda0d24p-56
#define LOG10_E_H 0x1.bcb7b1526e50ep-2
#define LOG10_E_L 0x1.95355baaafad3p-57
#define LOG10_2_SHORT 0x1.34413509f8p-2
#define LOG10_2_REST (-0x1.80433b83b532ap-44)

// (log((1 + s) / (1 - s)) - 2 s) / s³ in s², |s| <= 1/5: the logarithm within 2^-60.8.
static const double LOG8[8] = {0x1.5555555555555p-1, 0x1.9999999999ff9p-2, 0x1.24924923cec7dp-2,
                               0x1.c71c72ee79e65p-3, 0x1.745ca889289fcp-3, 0x1.3b2a4da163813p-3,
                               0x1.0e83fb88a35efp-3, 0x1.16d50ad532f7p-3};

// log(1 + f) - f.
LANE_FN V log_rest(V f) {
  V s = f / (all(2) + f), z = s * s, half = f * all(0.5);
  return fnma_(half, f, s * fma_(half, f, z * poly(z, LOG8, 8)));
}

// What a logarithm is where x has none: -inf for 0, NaN below it; inf and NaN stay.
LANE_FN V log_special(V y, V x) {
#if LANES == 8
  return _mm512_fixupimm_pd(y, x, _mm512_set1_epi64(0x03530422), 0);
#else
  V beyond = choose(lt(x, all(0)), all(-NAN), choose(eq(x, all(0)), all(-INFINITY), x));
  return choose(both(lt(all(0), x), lt(x, all(INFINITY))), y, beyond);
#endif
}

LANE_FN V log_(V x) {
  V k, f = split(x, &k) - all(1);
  W a = quick_sum(k * all(LN2_SHORT), f);
  return log_special(a.h + (a.l + fma_(k, all(LN2_REST), log_rest(f))), x);
}

LANE_FN V log2_(V x) {
  V k, f = split(x, &k) - all(1);
  W a = quick_sum(f, log_rest(f)), b = product(a.h, all(LOG2_E_H)), y = quick_sum(k, b.h);
  b.l = fma_(a.h, all(LOG2_E_L), fma_(a.l, all(LOG2_E_H), b.l));
  return log_special(y.h + (y.l + b.l), x);
}

LANE_FN V log10_(V x) {
  V k, f = split(x, &k) - all(1);
  W a = quick_sum(f, log_rest(f)), b = product(a.h, all(LOG10_E_H)),
    y = quick_sum(k * all(LOG10_2_SHORT), b.h);
  b.l = fma_(a.h, all(LOG10_E_L), fma_(a.l, all(LOG10_E_H), b.l));
  return log_special(y.h + (y.l + fma_(k, all(LOG10_2_REST), b.l)), x);
}

// log(2^more (1 + x)) for x in two words.
LANE_FN V log1p_words(W x, V more) {
  W u = two_sum(all(1), x.h);
  V k, m = split(u.h, &k);
  W f = quick_sum(m - all(1), scale(u.l + x.l, larger(-k, all(-200))));
  k += more;
  W a = quick_sum(k * all(LN2_SHORT), f.h);
  V rest = fma_(k, all(LN2_REST), fnma_(f.h, f.l, f.l) + log_rest(f.h));
  return log_special(a.h + (a.l + rest), u.h);
}

LANE_FN V log1p_(V x) {
  V y = log1p_words((W){x, all(0)}, all(0));
  return choose(lt(magnitude(x), all(0x1p-54)), x, y);
}

// With a = |x|: log1p(2 a / (1 - a)) / 2.
LANE_FN V atanh_(V x) {
  V size = magnitude(x);
  W d = quick_diff(all(1), size), q = quotient((W){size + size, all(0)}, d);
  V y = log1p_words(quick_sum(q.h, q.l), all(0)) * all(0.5);
  y = choose(eq(size, all(1)), all(INFINITY), y);
  return choose(lt(size, all(0x1p-28)), x, with_sign(y, sign_of(x)));
}

// The square root of a number in two words.
LANE_FN W root_words(W x) {
  V r = root(x.h);
  return (W){r, (fnma_(r, r, x.h) + x.l) * (all(0.5) / r)};
}

// With a = |x|: log(a + sqrt(a² + 1)) = log1p(a + (sqrt(a² + 1) - 1)), and log(2 a) where 1 no longer counts.
LANE_FN V asinh_(V x) {
  V size = magnitude(x);
  M huge = lt(all(0x1p60), size);
  V a = choose(huge, all(1), size);
  W square = product(a, a), sum = two_sum(square.h, all(1));
  sum.l += square.l;
  W r = root_words(sum), w = quick_sum(r.h - all(1), r.l), y = two_sum(a, w.h);
  y.l += w.l;
  y = quick_sum(y.h, y.l);
  y.h = choose(huge, size, y.h), y.l = choose(huge, all(0), y.l);
  V result = log1p_words(y, choose(huge, all(1), all(0)));
  return choose(lt(size, all(0x1p-28)), x, with_sign(magnitude(result), sign_of(x)));
}

// With t = x - 1: log1p(t + sqrt(t (t + 2))).
LANE_FN V acosh_(V x) {
  M huge = lt(all(0x1p60), x);
  V c = choose(huge, all(2), x);
  W t = two_sum(c, all(-1)), v = two_sum(c, all(1)), p = product(t.h, v.h);
  p.l = fma_(t.h, v.l, fma_(t.l, v.h, p.l));
  W r = root_words(p), y = two_sum(t.h, r.h);
  r.l = choose(eq(p.h, all(0)), all(0), r.l);
  y = quick_sum(y.h, y.l + (t.l + r.l));
  y.h = choose(huge, x, y.h), y.l = choose(huge, all(0), y.l);
  V result = log1p_words(y, choose(huge, all(1), all(0)));
  return choose(lt(x, all(1)), all(-NAN), result);
}

#endif
