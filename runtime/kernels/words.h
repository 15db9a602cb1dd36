// Numbers in two words, h + l with |l| far below |h|, and polynomials.
#ifndef DPK_WORDS_H
#define DPK_WORDS_H

#include "lanes.h"

typedef struct W {
  V h, l;
} W;

// a + b exactly, if |a| >= |b| or a = 0 or a is a multiple of b's last place.
LANE_FN W quick_sum(V a, V b) {
  V s = a + b;
  return (W){s, b - (s - a)};
}

// a - b, as quick_sum.
LANE_FN W quick_diff(V a, V b) {
  V s = a - b;
  return (W){s, (a - s) - b};
}

LANE_FN W two_sum(V a, V b) {
  V s = a + b, t = s - a;
  return (W){s, (a - (s - t)) + (b - t)};
}

LANE_FN W product(V a, V b) {
  V p = a * b;
  return (W){p, fms_(a, b, p)};
}

// a / b; the parts are not made to overlap no longer: |l| is a few last places of h.
LANE_FN W quotient(W a, W b) {
  V y = all(1) / b.h, q = a.h * y;
  V rest = fnma_(q, b.h, a.h) + fnma_(q, b.l, a.l);
  return (W){q, rest * y};
}

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1); n is a constant.
LANE_FN V poly(V x, const double *c, int n) {
  V x2 = x * x;
  V even = all(c[(n - 1) & ~1]), odd = all(c[((n - 2) & ~1) + 1]);
  for (int i = ((n - 1) & ~1) - 2; i >= 0; i -= 2) even = fma_(even, x2, all(c[i]));
  for (int i = ((n - 2) & ~1) - 1; i >= 1; i -= 2) odd = fma_(odd, x2, all(c[i]));
  return fma_(odd, x, even);
}

#endif
