// pow, cbrt, hypot.
#ifndef DPK_POWER_H
#define DPK_POWER_H

#include "exp.h"
#include "log.h"

#define TWO_3_H 0x1.5555555555555p-1
#define TWO_3_L 0x1.5555555555555p-55

// (log((1 + s) / (1 - s)) - 2 s - 2 s³ / 3) / s⁵ in s², |s| <= 1/5: the logarithm within 2^-70.
static const double LOG9[9] = {0x1.999999999999ap-2, 0x1.24924924922a8p-2, 0x1.c71c71c77285ap-3,
                               0x1.745d170f1b4cdp-3, 0x1.3b13c3e40bc83p-3, 0x1.110d6325f418fp-3,
                               0x1.e2bcb33a3c639p-4, 0x1.a0af1d079fe5fp-4, 0x1.00e3eed246bebp-3};

// log x within 2^-65 of its size, for x > 0: s in two words, and the first two terms of the series too.
LANE_FN W log_words(V x) {
  V k, m = split(x, &k);
  W s = quotient((W){m - all(1), all(0)}, quick_sum(all(1), m));
  s = quick_sum(s.h, s.l);
  W z = product(s.h, s.h);
  z.l = fma_(s.h + s.h, s.l, z.l);
  W q = product(z.h, poly(z.h, LOG9, 9)), t = quick_sum(all(TWO_3_H), q.h);
  t.l += all(TWO_3_L) + q.l;
  W u = product(z.h, t.h);
  u.l += fma_(z.h, t.l, z.l * t.h);
  W v = quick_sum(all(2), u.h), y = product(s.h, v.h);
  y.l += fma_(s.h, v.l + u.l, s.l * v.h);
  W a = quick_sum(k * all(LN2_SHORT), y.h);
  return quick_sum(a.h, a.l + fma_(k, all(LN2_REST), y.l));
}

// e^x = (h + l) 2^n for x in two words.
LANE_FN W exp_words(W x, V *n) {
  V k = fma_(x.h, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE);
  *n = k;
  W r = quick_sum(fnma_(k, all(LN2_H), x.h), fnma_(k, all(LN2_L), x.l)), one_r = quick_sum(all(1), r.h);
  return (W){one_r.h, one_r.l + expm1_rest(r)};
}

// |x|^y for x neither 0 nor infinite.
LANE_FN V pow_size(V size, V y) {
  W l = log_words(size), w = product(l.h, y);
  w.l = fma_(l.l, y, w.l);
  w.l = choose(lt(magnitude(w.h), all(800)), w.l, all(0));
  w.h = between(-746, w.h, 710);
  V n;
  W e = exp_words(w, &n);
  return scale(e.h + e.l, n);
}

// What C99 says of x^y beyond positive numbers; r is |x|^y where that is neither 0 nor infinite.
LANE_FN V pow_special(V r, V x, V y) {
  V size = magnitude(x), half = y * all(0.5);
  M is_whole = eq(nearest(y), y), odd = without(is_whole, eq(nearest(half), half)), down = lt(y, all(0));
  M zero = eq(size, all(0)), inf = eq(size, all(INFINITY));
  r = choose(either(zero, inf), choose(differ(zero, down), all(0), all(INFINITY)), r);
  r = flip(r, (U)choose(odd, (V)sign_of(x), all(0)));
  r = choose(without(without(lt(x, all(0)), is_whole), inf), all(-NAN), r);
  r = choose(unordered(x, y), x + y, r);
  M one = either(eq(y, all(0)), eq(x, all(1)));
  one = either(one, both(eq(size, all(1)), eq(magnitude(y), all(INFINITY))));
  return choose(one, all(1), r);
}

LANE_FN bool pow_is_plain(V x, V y) {
  M plain = both(both(lt(all(0), x), lt(x, all(INFINITY))), lt(magnitude(y), all(INFINITY)));
  return __builtin_expect(every(plain), 1);
}

static RARE V pow_any(V x, V y) { return pow_special(pow_size(magnitude(x), y), x, y); }

LANE_FN V pow_(V x, V y) { return pow_is_plain(x, y) ? pow_size(x, y) : pow_any(x, y); }

// The cube root of m in [3/4, 3/2), within 2^-22.
static const double CBRT7[7] = {0x1.a0012988e22cfp-2, 0x1.26a5b2ca621bfp+0,  -0x1.13769faeb429bp+0,
                                0x1.a8ed7cc2b758p-1,  -0x1.a8cf83c6ab4f7p-2, 0x1.e4a7c0e50ce84p-4,
                                -0x1.de5cceb7d5b7ep-7};

// x = m 2^(3 q + j) with j from -1 to 1. One step of Halley's from a polynomial, with the error of its cube in full.
LANE_FN V cbrt_(V x) {
  V k, size = magnitude(x), m = split(size, &k);
  V q = whole(k * all(0x1.5555555555555p-2)), j = fnma_(q, all(3), k);
  V up = choose(lt(all(0), j), all(0x1.428a2f98d728bp+0), all(1)), f = choose(lt(all(0), j), all(2), all(1));
  up = choose(lt(j, all(0)), all(0x1.965fea53d6e3dp-1), up), f = choose(lt(j, all(0)), all(0.5), f);
  V c = m * f, y = poly(m, CBRT7, 7) * up;
  W y2 = product(y, y), y3 = product(y2.h, y);
  V e = (c - y3.h) - fma_(y2.l, y, y3.l);
  V r = scale(y + y * e / fma_(all(3), y3.h, e), q);
  M same = either(eq(size, all(0)), not_le(size, all(0x1.fffffffffffffp+1023)));
  return choose(same, x, with_sign(r, sign_of(x)));
}

// Both near 1 by a power of two, then the root of the sum of squares in two words.
LANE_FN V hypot_(V x, V y) {
  V a = magnitude(x), b = magnitude(y), m = larger(a, b), n = smaller(a, b);
  M high = lt(all(0x1p500), m), low = lt(m, all(0x1p-400));
  V by = choose(high, all(0x1p-600), choose(low, all(0x1p600), all(1)));
  V back = choose(high, all(0x1p600), choose(low, all(0x1p-600), all(1)));
  W p = product(m * by, m * by), q = product(n * by, n * by), s = quick_sum(p.h, q.h);
  s.l += p.l + q.l;
  V r = root(s.h), rest = (fnma_(r, r, s.h) + s.l) * (all(0.5) / r);
  V h = choose(eq(m, all(0)), all(0), (r + rest) * back);
  h = choose(unordered(x, y), x + y, h);
  return choose(either(eq(a, all(INFINITY)), eq(b, all(INFINITY))), all(INFINITY), h);
}

#endif
