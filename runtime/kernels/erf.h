// erf, erfc.
//
// Near 0, erf x = x + x E(x²). Beyond, erfc x = exp(-x²) H(t) / (1 + 2 x) with t = (x - 4) / (x + 4), H between 1.1 and
// 1.3, and exp, H and the quotient in two words.
#ifndef DPK_ERF_H
#define DPK_ERF_H

#include "power.h"

// erf x / x - 1 in x² for |x| <= 3/4, within 2^-57 of erf.
static const double ERF11[11] = {0x1.06eba8214db69p-3,   -0x1.812746b037ap-2,    0x1.ce2f21a0437e6p-4,
                                 -0x1.b82ce312abe66p-6,  0x1.565bcd103d39fp-8,   -0x1.c02db3793aa1ep-11,
                                 0x1.f9a2f40b339e5p-14,  -0x1.f4cacc97f4a67p-17, 0x1.b9468888aed09p-20,
                                 -0x1.57b00911a160dp-23, 0x1.91a8e27251436p-27};
// (1 + 2 x) exp(x²) erfc x in t, the first coefficient in two words, for x from 1/2 to 28: erfc within 2^-60.
#define ERFC_H 0x1.3ba5916e9fd7fp+0
#define ERFC_L (-0x1.a6eb02d71892ep-55)
static const double ERFC22[22] = {
    -0x1.1df1ad154a28ep-3,  0x1.f7f5df66fd756p-7,   0x1.16ecefcfa52cbp-4,   -0x1.9ddb23c3e8d3bp-4,
    0x1.7fee004e148ep-4,    -0x1.0fb06dfe4f9fdp-4,  0x1.3079edf625e9bp-5,   -0x1.09623883a7193p-6,
    0x1.49c672a7c2493p-8,   -0x1.8d4a9b5e54e62p-11, -0x1.a1df4325c1ea5p-13, 0x1.3be05af83caa7p-13,
    -0x1.99550ccddaefep-16, -0x1.788a9ee4ad2abp-17, 0x1.7ef69c7593966p-18,  0x1.3b11876c57a66p-22,
    -0x1.b80c9b34ac98bp-21, 0x1.422f04500a8dfp-24,  0x1.bbfc682fa18e3p-24,  -0x1.37430c6f2e8c4p-26,
    -0x1.4d0397e8ce807p-27, 0x1.024e0e05dd1cbp-29};

// erf x - x for |x| <= 3/4.
LANE_FN V erf_rest(V x) {
  V z = x * x;
  return x * poly(z, ERF11, 11);
}

// erfc x for x >= 1/2.
LANE_FN V erfc_far(V x) {
  V n, c = smaller(all(28), x), t = (c - all(4)) / (c + all(4));
  W square = product(c, c);
  W e = exp_words((W){-square.h, -square.l}, &n), h = quick_sum(all(ERFC_H), t * poly(t, ERFC22, 22));
  h.l += all(ERFC_L);
  W p = product(e.h, h.h), d = two_sum(c + c, all(1));
  p.l += fma_(e.h, h.l, e.l * h.h);
  W r = quotient(p, d);
  return scale(r.h + r.l, n);
}

LANE_FN V erf_(V x) {
  V size = magnitude(x), far = all(1) - erfc_far(size);
  V near = size + erf_rest(size);
  return flip(choose(lt(size, all(0.75)), near, far), sign_of(x));
}

LANE_FN V erfc_(V x) {
  V size = magnitude(x), far = erfc_far(size);
  W near = quick_diff(all(1), x);
  V y = near.h + (near.l - erf_rest(x));
  V beyond = choose(lt(x, all(0)), all(2) - far, far);
  return choose(lt(size, all(0.625)), y, choose(unordered(x, x), x, beyond));
}

#endif
