// sin, cos, tan.
//
// x = q π/2 + r with |r| <= π/4, r in two words. Up to 2^30 the multiple is subtracted with three parts of π/2, the first
// exactly; beyond that each lane goes through integers of its own (reduce.c), which is rare.
#ifndef DPK_TRIG_H
#define DPK_TRIG_H

#include "reduce.h"
#include "words.h"

#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define PI_2_A 0x1.921fb54442d18p+0
#define PI_2_B 0x1.1a62633145c07p-54
#define PI_2_C (-0x1.f1976b7ed8fbcp-110)

// (sin r - r) / r³ and (cos r - 1 + r²/2) / r⁴ in r²: the functions within 2^-56 and 2^-60.
static const double SIN6[6] = {-0x1.5555555555555p-3, 0x1.1111111110c78p-7,   -0x1.a01a019e9e10ep-13,
                               0x1.71de37ad72e27p-19, -0x1.ae601c51ce145p-26, 0x1.5e0fd49673bbdp-33};
static const double COS6[6] = {0x1.5555555555555p-5,   -0x1.6c16c16c168c7p-10, 0x1.a01a019f3745fp-16,
                               -0x1.27e4fa01780c6p-22, 0x1.1eeb56343300dp-29,  -0x1.907246d60f1c5p-37};

typedef struct Angle {
  W r;
  U quarter; // the last two bits are q's
} Angle;

#define LARGE 0x1p30

// For x from 0 to LARGE.
LANE_FN Angle reduce(V x) {
  V shifted = fma_(x, all(TWO_OVER_PI), all(0x1.8p52)), n = shifted - all(0x1.8p52);
  W b = product(n, all(PI_2_B)), r = quick_diff(fnma_(n, all(PI_2_A), x), b.h);
  r.l -= fma_(n, all(PI_2_C), b.l);
  return (Angle){r, (U)shifted};
}

// For any x: the lanes beyond LARGE one after another.
LANE_FN Angle reduce_any(V x) {
  Angle a = reduce(x);
  M large = not_le(x, all(LARGE));
  for (int i = 0; i < LANES; i++) {
    if (!lane_of(large, i)) continue;
    DpkReduced one = dpk_reduce(x[i]);
    a.r.h[i] = one.high, a.r.l[i] = one.low, a.quarter[i] = one.quarter;
  }
  return a;
}

// sin r = r.h + the first, cos r = 1 - r.h²/2 + the second.
LANE_FN V sin_rest(W r, V z) { return fma_(r.h * z, poly(z, SIN6, 6), fnma_(z * all(0.5), r.l, r.l)); }

LANE_FN W cos_words(W r, V z) {
  V half = z * all(0.5);
  W c = quick_diff(all(1), half);
  c.l += fms_(z * z, poly(z, COS6, 6), r.h * r.l);
  return c;
}

// sin r where sine is asked for, else cos r: one polynomial with the coefficients of each lane.
LANE_FN V sin_or_cos(W r, M sine) {
  V z = r.h * r.h, half = z * all(0.5), k[6];
  for (int i = 0; i < 6; i++) k[i] = choose(sine, all(SIN6[i]), all(COS6[i]));
  W c = quick_diff(all(1), half);
  V first = choose(sine, r.h, c.h), factor = choose(sine, r.h, z) * z;
  V rest = choose(sine, fnma_(half, r.l, r.l), fnma_(r.h, r.l, c.l)), z2 = z * z;
  V even = fma_(fma_(k[4], z2, k[2]), z2, k[0]), odd = fma_(fma_(k[5], z2, k[3]), z2, k[1]);
  return first + fma_(factor, fma_(odd, z, even), rest);
}

LANE_FN V sin_of(Angle a, V x) {
  V y = sin_or_cos(a.r, bit_clear(a.quarter, (U)all(0x1p-1074)));
  return flip(y, (sign_of(x) ^ (a.quarter << 62)) & (U)all(-0.0));
}

LANE_FN V cos_of(Angle a, V x) {
  (void)x;
  V y = sin_or_cos(a.r, bit_set(a.quarter, (U)all(0x1p-1074)));
  return flip(y, ((a.quarter ^ (a.quarter << 1)) << 62) & (U)all(-0.0));
}

LANE_FN V tan_of(Angle a, V x) {
  V z = a.r.h * a.r.h;
  W c = cos_words(a.r, z), s = quick_sum(a.r.h, sin_rest(a.r, z));
  c = quick_sum(c.h, c.l);
  M crossed = bit_set(a.quarter, (U)all(0x1p-1074));
  W above = {choose(crossed, c.h, s.h), choose(crossed, c.l, s.l)};
  W below = {choose(crossed, s.h, c.h), choose(crossed, s.l, c.l)};
  W t = quotient(above, below);
  return flip(t.h + t.l, (sign_of(x) ^ (a.quarter << 63)) & (U)all(-0.0));
}

// A lane beyond LARGE is rare: the whole vector then takes a way of its own.
static RARE V sin_large(V x) { return sin_of(reduce_any(magnitude(x)), x); }
static RARE V cos_large(V x) { return cos_of(reduce_any(magnitude(x)), x); }
static RARE V tan_large(V x) { return tan_of(reduce_any(magnitude(x)), x); }

LANE_FN bool has_large(V x) { return __builtin_expect(any(not_le(magnitude(x), all(LARGE))), 0); }

LANE_FN V sin_(V x) { return has_large(x) ? sin_large(x) : sin_of(reduce(magnitude(x)), x); }
LANE_FN V cos_(V x) { return has_large(x) ? cos_large(x) : cos_of(reduce(magnitude(x)), x); }
LANE_FN V tan_(V x) { return has_large(x) ? tan_large(x) : tan_of(reduce(magnitude(x)), x); }

#endif
