// Lanes: the operations that the kernels are written in, for one number of lanes.
// In: LANES (2, 4 or 8), and for 2 lanes whether the machine has fused multiply-add (FUSED). What must hold: every
// operation here gives the same bits at every number of lanes, so that whatever is made of them does too. The compiler
// may not contract or reassociate (-ffp-contract=off, no -ffast-math).
#ifndef DPK_LANES_H
#define DPK_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef FUSED
#include <immintrin.h>
#endif

#define LANE_FN static inline __attribute__((always_inline))
#define RARE __attribute__((noinline, cold))

typedef double V __attribute__((vector_size(8 * LANES)));   // values
typedef uint64_t U __attribute__((vector_size(8 * LANES))); // their bits
typedef float S __attribute__((vector_size(8 * LANES)));    // twice as many in single precision

#if LANES == 8

typedef __mmask8 M; // a choice for each lane

LANE_FN V all(double x) { return _mm512_set1_pd(x); }
LANE_FN V fma_(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }   // a b + c
LANE_FN V fms_(V a, V b, V c) { return _mm512_fmsub_pd(a, b, c); }   // a b - c
LANE_FN V fnma_(V a, V b, V c) { return _mm512_fnmadd_pd(a, b, c); } // c - a b
LANE_FN V root(V x) { return _mm512_sqrt_pd(x); }
LANE_FN V choose(M m, V a, V b) { return _mm512_mask_blend_pd(m, b, a); } // m ? a : b
LANE_FN M lt(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
LANE_FN M le(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
LANE_FN M eq(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
LANE_FN M not_le(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
LANE_FN M unordered(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q); }
LANE_FN M bit_set(U u, U bit) { return _mm512_test_epi64_mask((__m512i)u, (__m512i)bit); } // bit: one of them
LANE_FN M bit_clear(U u, U bit) { return _mm512_testn_epi64_mask((__m512i)u, (__m512i)bit); }
LANE_FN M both(M a, M b) { return (M)(a & b); }
LANE_FN M either(M a, M b) { return (M)(a | b); }
LANE_FN M without(M a, M b) { return (M)(a & ~b); }
LANE_FN M differ(M a, M b) { return (M)(a ^ b); }
LANE_FN bool any(M m) { return m != 0; }
LANE_FN bool every(M m) { return m == 0xff; }
LANE_FN bool lane_of(M m, int i) { return m >> i & 1; }
LANE_FN V smaller(V a, V b) { return _mm512_min_pd(a, b); } // a < b ? a : b
LANE_FN V larger(V a, V b) { return _mm512_max_pd(a, b); }  // a > b ? a : b
LANE_FN V nearest(V x) { return _mm512_roundscale_pd(x, 0); }
LANE_FN V low_half(S x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
LANE_FN V high_half(S x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
LANE_FN S join(V low, V high) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

#elif defined(FUSED)

typedef int64_t M __attribute__((vector_size(8 * LANES)));

#if LANES == 4
#define VECTOR(operation) _mm256_##operation##_pd
LANE_FN M unordered(V a, V b) { return (M)_mm256_cmp_pd(a, b, _CMP_UNORD_Q); }
LANE_FN V low_half(S x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
LANE_FN V high_half(S x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
LANE_FN S join(V low, V high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}
#else
#define VECTOR(operation) _mm_##operation##_pd
LANE_FN M unordered(V a, V b) { return (M)_mm_cmpunord_pd(a, b); }
LANE_FN V low_half(S x) { return _mm_cvtps_pd(x); }
LANE_FN V high_half(S x) { return _mm_cvtps_pd(_mm_movehl_ps(x, x)); }
LANE_FN S join(V low, V high) { return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high)); }
#endif
LANE_FN V all(double x) { return VECTOR(set1)(x); }
LANE_FN V fma_(V a, V b, V c) { return VECTOR(fmadd)(a, b, c); }
LANE_FN V fms_(V a, V b, V c) { return VECTOR(fmsub)(a, b, c); }
LANE_FN V fnma_(V a, V b, V c) { return VECTOR(fnmadd)(a, b, c); }
LANE_FN V root(V x) { return VECTOR(sqrt)(x); }
LANE_FN V choose(M m, V a, V b) { return VECTOR(blendv)(b, a, (V)m); }
LANE_FN bool any(M m) { return VECTOR(movemask)((V)m) != 0; }
LANE_FN bool every(M m) { return VECTOR(movemask)((V)m) == (1 << LANES) - 1; }
LANE_FN V smaller(V a, V b) { return VECTOR(min)(a, b); }
LANE_FN V larger(V a, V b) { return VECTOR(max)(a, b); }
LANE_FN V nearest(V x) { return VECTOR(round)(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

#else // any machine: lanes one after another where C has no other way

typedef int64_t M __attribute__((vector_size(8 * LANES)));

LANE_FN V all(double x) { return (V){x, x}; }
LANE_FN V fma_(V a, V b, V c) { return (V){fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])}; }
LANE_FN V fms_(V a, V b, V c) { return fma_(a, b, -c); }
LANE_FN V fnma_(V a, V b, V c) { return fma_(-a, b, c); }
LANE_FN V root(V x) { return (V){sqrt(x[0]), sqrt(x[1])}; }
LANE_FN V choose(M m, V a, V b) { return (V)(((U)a & (U)m) | ((U)b & ~(U)m)); }
LANE_FN bool any(M m) { return (m[0] | m[1]) != 0; }
LANE_FN bool every(M m) { return (m[0] & m[1]) != 0; }
LANE_FN V smaller(V a, V b) { return choose((M)(a < b), a, b); }
LANE_FN V larger(V a, V b) { return choose((M)(a > b), a, b); }
LANE_FN V nearest(V x) { return (V){nearbyint(x[0]), nearbyint(x[1])}; }
// A NaN alone differs from itself. NOLINTNEXTLINE(misc-redundant-expression)
LANE_FN M unordered(V a, V b) { return (M)(a != a) | (M)(b != b); }
LANE_FN V low_half(S x) { return (V){x[0], x[1]}; }
LANE_FN V high_half(S x) { return (V){x[2], x[3]}; }
LANE_FN S join(V low, V high) { return (S){(float)low[0], (float)low[1], (float)high[0], (float)high[1]}; }

#endif

#if LANES != 8
LANE_FN M lt(V a, V b) { return (M)(a < b); }
LANE_FN M le(V a, V b) { return (M)(a <= b); }
LANE_FN M eq(V a, V b) { return (M)(a == b); }
LANE_FN M not_le(V a, V b) { return ~(M)(a <= b); }
LANE_FN M bit_set(U u, U bit) { return (M)((u & bit) == bit); }
LANE_FN M bit_clear(U u, U bit) { return (M)((u & bit) != bit); }
LANE_FN M both(M a, M b) { return a & b; }
LANE_FN M either(M a, M b) { return a | b; }
LANE_FN M without(M a, M b) { return a & ~b; }
LANE_FN M differ(M a, M b) { return a ^ b; }
LANE_FN bool lane_of(M m, int i) { return m[i] != 0; }
#endif

// ---- signs -----------------------------------------------------------------------------------------------------------

LANE_FN U sign_of(V x) { return (U)x & (U)all(-0.0); }
LANE_FN V magnitude(V x) { return (V)((U)x & ~(U)all(-0.0)); }
LANE_FN V with_sign(V size, U sign) { return (V)((U)size | sign); } // size has none
LANE_FN V flip(V x, U sign) { return (V)((U)x ^ sign); }

// ---- exponents -------------------------------------------------------------------------------------------------------

// x 2^n, rounded once; n whole, at most 2046 in magnitude, x between 1/4 and 4 or so.
LANE_FN V scale(V x, V n) {
#if LANES == 8
  return _mm512_scalef_pd(x, n);
#else
  U j = (U)(n + all(0x1.8p52 + 2048)) & 0xfff, half = j >> 1;
  return x * (V)((half - 1) << 52) * (V)((j - half - 1) << 52);
#endif
}

// 2^n for n from -1022 to 1023.
LANE_FN V power_of_2(V n) { return (V)((U)(n + all(0x1.8p52 + 1023)) << 52); }

// x = m 2^k with m in [3/4, 3/2), for x > 0 and finite; anything otherwise.
LANE_FN V split(V x, V *k) {
#if LANES == 8
  V m = _mm512_getmant_pd(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
  V e = _mm512_getexp_pd(x);
  *k = _mm512_mask_add_pd(e, lt(m, all(1)), e, all(1));
  return m;
#else
  M tiny = lt(x, all(0x1p-1022));
  U u = (U)choose(tiny, x * 0x1p54, x);
  U e = (u - 0x3fe8000000000000u + 0x3ff0000000000000u) >> 52; // k + 1023
  *k = (V)(e | 0x4330000000000000u) - choose(tiny, all(0x1p52 + 1023 + 54), all(0x1p52 + 1023));
  return (V)(u - (e << 52) + 0x3ff0000000000000u);
#endif
}

#endif
