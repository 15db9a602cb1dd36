// Large angles, modulo π/2: the bits of 2/π that matter times the significand, in integers (Payne and Hanek).
// In: x >= 2^30. Out: the quarter and the remainder in two words. What must hold: integers and exact conversions only,
// so that the bits are the same whatever instructions the machine has.
#include "reduce.h"

#include <math.h>
#include <string.h>

typedef unsigned __int128 U128;

// 2/π = 0.A2F983..., 64 bits a word, behind a word of zeros.
static const uint64_t TWO_OVER_PI_BITS[21] = {
    0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
    0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
    0xf0cfbc209af4361d};
static const uint64_t PI_4_HIGH = 0xc90fdaa22168c234, PI_4_LOW = 0xc4c6628b80dc1cd1; // π/4 in 128 bits

typedef struct Wide {
  uint64_t w[4]; // the most significant first
} Wide;

static Wide shifted_left(Wide a, int by) {
  Wide r = {{0}};
  for (int i = 0, from = by / 64, bits = by % 64; i + from < 4; i++) {
    r.w[i] = a.w[i + from] << bits;
    if (bits && i + from + 1 < 4) r.w[i] |= a.w[i + from + 1] >> (64 - bits);
  }
  return r;
}

static Wide negated(Wide a) {
  uint64_t carry = 1;
  for (int i = 3; i >= 0; i--) {
    a.w[i] = ~a.w[i] + carry;
    carry = carry && !a.w[i];
  }
  return a;
}

static int leading_zeros(Wide a) {
  int n = 0;
  while (n < 192 && !a.w[n / 64]) n += 64;
  return a.w[n / 64] ? n + __builtin_clzll(a.w[n / 64]) : 256;
}

// x / (π/2) modulo 4 in units of 2^-254, for x = m 2^e: bits of 2/π that give multiples of 4 are left out.
static Wide quarters(uint64_t m, int e) {
  const uint64_t *bits = TWO_OVER_PI_BITS + (e + 62) / 64;
  int shift = (e + 62) % 64;
  Wide r;
  U128 carry = 0;
  for (int i = 3; i >= 0; i--) {
    uint64_t window = bits[i] << shift | (shift ? bits[i + 1] >> (64 - shift) : 0);
    carry += (U128)window * m;
    r.w[i] = (uint64_t)carry;
    carry >>= 64;
  }
  return r;
}

static double power_of_2(int n) {
  uint64_t bits = (uint64_t)(1023 + n) << 52;
  double r;
  memcpy(&r, &bits, sizeof r);
  return r;
}

DpkReduced dpk_reduce(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (!isfinite(x)) return (DpkReduced){.high = x - x};
  Wide p = quarters((bits & 0xfffffffffffff) | 0x10000000000000, (int)(bits >> 52) - 1023 - 52);
  uint64_t quarter = p.w[0] >> 62;
  Wide fraction = shifted_left(p, 2);
  double sign = 1;
  if (fraction.w[0] >> 63) {
    fraction = negated(fraction);
    quarter++;
    sign = -1;
  }
  int zeros = leading_zeros(fraction); // at most 62, as no double comes closer to a multiple
  Wide f = shifted_left(fraction, zeros);
  U128 r = (U128)f.w[0] * PI_4_HIGH + (U128)(((U128)f.w[0] * PI_4_LOW) >> 64) +
           (U128)(((U128)f.w[1] * PI_4_HIGH) >> 64);
  uint64_t top = (uint64_t)(r >> 64), rest = top << 53 | (uint64_t)r >> 11;
  double unit = sign * power_of_2(-63 - zeros);
  return (DpkReduced){.high = (double)(top & ~(uint64_t)0x7ff) * unit,
                      .low = (double)rest * 0x1p-53 * unit,
                      .quarter = quarter & 3};
}
