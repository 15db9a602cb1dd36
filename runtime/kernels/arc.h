// asin, acos, atan, atan2.
#ifndef DPK_ARC_H
#define DPK_ARC_H

#include "words.h"

#define PI_4_H 0x1.921fb54442d18p-1
#define PI_4_L 0x1.1a62633145c07p-55
#define TAN_PI_8 0x1.a827999fcef32p-2

// (asin x - x) / x³ in x² for |x| <= 1/2, within 2^-58 of asin.
static const double ASIN13[13] = {0x1.5555555555556p-3, 0x1.3333333332da2p-4, 0x1.6db6db6e48603p-5,
                                  0x1.f1c71c11deeap-6,  0x1.6e8bb37521acap-6, 0x1.1c4d112ced722p-6,
                                  0x1.c9d30ac3ce59bp-7, 0x1.78010220135eap-7, 0x1.532a9148f185fp-7,
                                  0x1.5e2915e074c7dp-8, 0x1.220541f36f9ap-6,  -0x1.f58c57c0bb66bp-7,
                                  0x1.dc181d63e5323p-6};
// (atan x - x) / x³ in x² for |x| <= tan(π/8), within 2^-57 of atan.
static const double ATAN11[11] = {-0x1.5555555555555p-2, 0x1.999999999944cp-3,  -0x1.249249243f4f8p-3,
                                  0x1.c71c7189de244p-4,  -0x1.745d0bc842ac9p-4, 0x1.3b126fb651d45p-4,
                                  -0x1.10fb17628c34dp-4, 0x1.dff01ac0c1f61p-5,  -0x1.a0c89e38204bp-5,
                                  0x1.41dff8ad657e5p-5,  -0x1.3b4e404a49eedp-6};

// asin of the half angle's side: |x| itself up to 1/2, else sqrt((1 - |x|) / 2), with asin x = π/2 - 2 asin of it.
LANE_FN W arc_side(V size, M far) {
  V z = choose(far, fnma_(size, all(0.5), all(0.5)), size * size), r = root(z);
  W s = {choose(far, r, size), all(0)};
  V rest = fnma_(r, r, z) * (all(0.5) / r);
  s.l = fma_(s.h * z, poly(z, ASIN13, 13), choose(far, rest, all(0)));
  return s;
}

LANE_FN V asin_(V x) {
  V size = magnitude(x);
  M far = le(all(0.5), size);
  W s = arc_side(size, far), a = quick_sum(all(2 * PI_4_H), s.h * all(-2));
  V wide = a.h + (fma_(s.l, all(-2), a.l) + all(2 * PI_4_L)), near = s.h + s.l;
  wide = choose(eq(size, all(1)), all(2 * PI_4_H), wide);
  return choose(lt(size, all(0x1p-28)), x, with_sign(choose(far, wide, near), sign_of(x)));
}

// Near 1: 2 asin(side); near -1: π - that; between: π/2 - asin x.
LANE_FN V acos_(V x) {
  V size = magnitude(x);
  M far = le(all(0.5), size), below = lt(x, all(0));
  W s = arc_side(size, far);
  s.l = choose(eq(size, all(1)), all(0), s.l);
  V twice = choose(far, all(2), all(1)), turned = choose(differ(far, below), all(1), all(-1)) * twice;
  V base = choose(far, choose(below, all(4), all(0)), all(2));
  turned = choose(both(far, below), all(-2), turned);
  turned = choose(without(far, below), all(2), turned);
  W a = quick_sum(base * all(PI_4_H), s.h * turned);
  V y = a.h + (fma_(s.l, turned, a.l) + base * all(PI_4_L));
  return choose(not_le(size, all(1)), all(-NAN), choose(unordered(x, x), x, y));
}

// The angle of (|x|, |y|) = (b, a) in the first quadrant, mirrored into the second where asked; b > 0 or a > 0, finite.
LANE_FN V arc_of(V a, V b, M mirrored) {
  M steep = lt(b, a);
  V low = choose(steep, b, a), high = choose(steep, a, b);
  M middle = lt(high * all(TAN_PI_8), low); // beyond π/8: turn by π/4
  W n = two_sum(low, -high), d = quick_sum(high, low);
  n.h = choose(middle, n.h, low), n.l = choose(middle, n.l, all(0));
  d.h = choose(middle, d.h, high), d.l = choose(middle, d.l, all(0));
  W t = quotient(n, d);
  V z = t.h * t.h, rest = fma_(t.h * z, poly(z, ATAN11, 11), t.l);
  // the angle is base π/4 ± (t.h + rest)
  V base = choose(middle, all(1), all(0));
  base = choose(steep, all(2) - base, base);
  base = choose(mirrored, all(4) - base, base);
  U sign = (U)choose(differ(steep, mirrored), all(-0.0), all(0));
  W from = product(base, all(PI_4_H)), sum = quick_sum(from.h, flip(t.h, sign));
  return sum.h + (sum.l + (fma_(base, all(PI_4_L), from.l) + flip(rest, sign)));
}

LANE_FN V atan_(V x) {
  V size = magnitude(x);
  M never = lt(size, all(0)), inf = eq(size, all(INFINITY));
  V y = arc_of(choose(inf, all(1), size), choose(inf, all(0), all(1)), never);
  y = choose(lt(size, all(0x1p-28)), x, with_sign(y, sign_of(x)));
  return choose(unordered(x, x), x, y);
}

LANE_FN V atan2_(V y, V x) {
  V a = magnitude(y), b = magnitude(x), m = larger(a, b);
  // near 1, where products neither overflow nor lose bits
  V by = choose(lt(all(0x1p900), m), all(0x1p-200), choose(lt(m, all(0x1p400)), all(0x1p500), all(1)));
  M far = eq(m, all(INFINITY));
  V c = choose(far, choose(eq(a, m), all(1), all(0)), a * by),
    d = choose(far, choose(eq(b, m), all(1), all(0)), b * by);
  d = choose(eq(m, all(0)), all(1), d);
  M mirrored = bit_set((U)x, (U)all(-0.0));
  V r = with_sign(arc_of(c, d, mirrored), sign_of(y));
  return choose(unordered(x, y), x + y, r);
}

#endif
