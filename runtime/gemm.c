// The matrix product: C = op(A) op(B), or C += op(A) op(B), for f64 and f32.
// In: row-major matrices with any distance between rows, each possibly transposed. Out: C, with the same bits on every
// machine: see gemm_kernel.h for the order of the sums. What must hold: nothing is allocated; the stack grows by less
// than 128 KiB; C overlaps neither A nor B.
#include "dp/dprt.h"

#include <math.h>
#include <string.h>

// Blocks of op(B) of KC x NC elements are packed when they are used often enough: 96 KiB, a good part of a second-level
// cache, while one panel of it and the rows of A in use share the first level.
#define KC_ALL 192
#define NC_F64 64
#define NC_F32 128

// ---- any machine ---------------------------------------------------------------------------------------------

#define PORTABLE(T_, V_, LANES_, FMA_)                                                                       \
  typedef struct V_ {                                                                                        \
    T_ lane[LANES_];                                                                                         \
  } V_;                                                                                                      \
  static inline V_ V_##_load(int n, const T_ *p) {                                                           \
    V_ v = {{0}};                                                                                            \
    for (int l = 0; l < n; l++) v.lane[l] = p[l];                                                            \
    return v;                                                                                                \
  }                                                                                                          \
  static inline void V_##_store(T_ *p, int n, V_ v) {                                                        \
    for (int l = 0; l < n; l++) p[l] = v.lane[l];                                                            \
  }                                                                                                          \
  static inline V_ V_##_spread(T_ x) {                                                                       \
    V_ v;                                                                                                    \
    for (int l = 0; l < LANES_; l++) v.lane[l] = x;                                                          \
    return v;                                                                                                \
  }                                                                                                          \
  static inline V_ V_##_fma(V_ a, V_ b, V_ c) {                                                              \
    for (int l = 0; l < LANES_; l++) c.lane[l] = FMA_(a.lane[l], b.lane[l], c.lane[l]);                      \
    return c;                                                                                                \
  }                                                                                                          \
  static inline V_ V_##_add(V_ a, V_ b) {                                                                    \
    for (int l = 0; l < LANES_; l++) a.lane[l] += b.lane[l];                                                 \
    return a;                                                                                                \
  }                                                                                                          \
  static inline T_ V_##_fold(V_ a) {                                                                         \
    for (int half = LANES_ / 2; half > 0; half /= 2)                                                         \
      for (int l = 0; l < half; l++) a.lane[l] += a.lane[l + half];                                          \
    return a.lane[0];                                                                                        \
  }

PORTABLE(double, Plain4, 4, fma)
PORTABLE(float, Plain8, 8, fmaf)

#define NAME(x) x##_f64_plain
#define TARGET
#define T double
#define V Plain4
#define M int
#define LANES 4
#define MR 4
#define KC KC_ALL
#define NC NC_F64
#define DOT_LANES 16
#define MASK(n) (n)
#define LOAD(p) Plain4_load(4, p)
#define STORE(p, v) Plain4_store(p, 4, v)
#define LOAD_FIRST(mask, p) Plain4_load(mask, p)
#define STORE_FIRST(p, mask, v) Plain4_store(p, mask, v)
#define SPREAD(x) Plain4_spread(x)
#define FMA(a, b, c) Plain4_fma(a, b, c)
#define ADD(a, b) Plain4_add(a, b)
#define ZERO ((Plain4){{0}})
#define FOLD(v) Plain4_fold(v)
#include "gemm_kernel.h"

#define NAME(x) x##_f32_plain
#define TARGET
#define T float
#define V Plain8
#define M int
#define LANES 8
#define MR 4
#define KC KC_ALL
#define NC NC_F32
#define DOT_LANES 32
#define MASK(n) (n)
#define LOAD(p) Plain8_load(8, p)
#define STORE(p, v) Plain8_store(p, 8, v)
#define LOAD_FIRST(mask, p) Plain8_load(mask, p)
#define STORE_FIRST(p, mask, v) Plain8_store(p, mask, v)
#define SPREAD(x) Plain8_spread(x)
#define FMA(a, b, c) Plain8_fma(a, b, c)
#define ADD(a, b) Plain8_add(a, b)
#define ZERO ((Plain8){{0}})
#define FOLD(v) Plain8_fold(v)
#include "gemm_kernel.h"

// ---- x86 -----------------------------------------------------------------------------------------------------

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx2,fma")))

AVX2 static inline double fold_pd256(__m256d v) {
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

AVX2 static inline float fold_ps256(__m256 v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

AVX512 static inline double fold_pd512(__m512d v) {
  return fold_pd256(_mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1)));
}

AVX512 static inline float fold_ps512(__m512 v) {
  __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  return fold_ps256(_mm256_add_ps(_mm512_castps512_ps256(v), high));
}

static const int64_t FIRST_OF_4[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
static const int32_t FIRST_OF_8[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

#define NAME(x) x##_f64_avx2
#define TARGET AVX2
#define T double
#define V __m256d
#define M __m256i
#define LANES 4
#define MR 6
#define KC KC_ALL
#define NC NC_F64
#define DOT_LANES 16
#define MASK(n) _mm256_loadu_si256((const __m256i *)(FIRST_OF_4 + 4 - (n)))
#define LOAD(p) _mm256_loadu_pd(p)
#define STORE(p, v) _mm256_storeu_pd(p, v)
#define LOAD_FIRST(mask, p) _mm256_maskload_pd(p, mask)
#define STORE_FIRST(p, mask, v) _mm256_maskstore_pd(p, mask, v)
#define SPREAD(x) _mm256_set1_pd(x)
#define FMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define ADD(a, b) _mm256_add_pd(a, b)
#define ZERO _mm256_setzero_pd()
#define FOLD(v) fold_pd256(v)
#include "gemm_kernel.h"

#define NAME(x) x##_f32_avx2
#define TARGET AVX2
#define T float
#define V __m256
#define M __m256i
#define LANES 8
#define MR 6
#define KC KC_ALL
#define NC NC_F32
#define DOT_LANES 32
#define MASK(n) _mm256_loadu_si256((const __m256i *)(FIRST_OF_8 + 8 - (n)))
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define LOAD_FIRST(mask, p) _mm256_maskload_ps(p, mask)
#define STORE_FIRST(p, mask, v) _mm256_maskstore_ps(p, mask, v)
#define SPREAD(x) _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ADD(a, b) _mm256_add_ps(a, b)
#define ZERO _mm256_setzero_ps()
#define FOLD(v) fold_ps256(v)
#include "gemm_kernel.h"

#define NAME(x) x##_f64_avx512
#define TARGET AVX512
#define T double
#define V __m512d
#define M __mmask8
#define LANES 8
#define MR 8
#define KC KC_ALL
#define NC NC_F64
#define DOT_LANES 16
#define MASK(n) ((__mmask8)((1u << (n)) - 1))
#define LOAD(p) _mm512_loadu_pd(p)
#define STORE(p, v) _mm512_storeu_pd(p, v)
#define LOAD_FIRST(mask, p) _mm512_maskz_loadu_pd(mask, p)
#define STORE_FIRST(p, mask, v) _mm512_mask_storeu_pd(p, mask, v)
#define SPREAD(x) _mm512_set1_pd(x)
#define FMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define ADD(a, b) _mm512_add_pd(a, b)
#define ZERO _mm512_setzero_pd()
#define FOLD(v) fold_pd512(v)
#include "gemm_kernel.h"

#define NAME(x) x##_f32_avx512
#define TARGET AVX512
#define T float
#define V __m512
#define M __mmask16
#define LANES 16
#define MR 8
#define KC KC_ALL
#define NC NC_F32
#define DOT_LANES 32
#define MASK(n) ((__mmask16)((1u << (n)) - 1))
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define LOAD_FIRST(mask, p) _mm512_maskz_loadu_ps(mask, p)
#define STORE_FIRST(p, mask, v) _mm512_mask_storeu_ps(p, mask, v)
#define SPREAD(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ADD(a, b) _mm512_add_ps(a, b)
#define ZERO _mm512_setzero_ps()
#define FOLD(v) fold_ps512(v)
#include "gemm_kernel.h"
#endif

// ---- entry points --------------------------------------------------------------------------------------------

typedef enum Machine { MACHINE_ANY, MACHINE_AVX2, MACHINE_AVX512 } Machine;

static inline Machine machine(void) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return MACHINE_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return MACHINE_AVX2;
#endif
  return MACHINE_ANY;
}

void dprt_gemm_f64_on(int32_t level, int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, bool ta,
                      const double *b, int64_t ldb, bool tb, double *c, int64_t ldc, bool accumulate) {
  if (m <= 0 || n <= 0 || (k <= 0 && accumulate)) return;
  if (k <= 0) {
    for (int64_t i = 0; i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    return;
  }
  Machine most = machine();
  switch (level < (int32_t)most ? (Machine)level : most) {
#ifdef __x86_64__
  case MACHINE_AVX512: gemm_f64_avx512(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
  case MACHINE_AVX2: gemm_f64_avx2(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
#else
  case MACHINE_AVX512:
  case MACHINE_AVX2:
#endif
  case MACHINE_ANY: gemm_f64_plain(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
  }
}

void dprt_gemm_f32_on(int32_t level, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool ta,
                      const float *b, int64_t ldb, bool tb, float *c, int64_t ldc, bool accumulate) {
  if (m <= 0 || n <= 0 || (k <= 0 && accumulate)) return;
  if (k <= 0) {
    for (int64_t i = 0; i < m; i++) memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    return;
  }
  Machine most = machine();
  switch (level < (int32_t)most ? (Machine)level : most) {
#ifdef __x86_64__
  case MACHINE_AVX512: gemm_f32_avx512(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
  case MACHINE_AVX2: gemm_f32_avx2(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
#else
  case MACHINE_AVX512:
  case MACHINE_AVX2:
#endif
  case MACHINE_ANY: gemm_f32_plain(m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate); break;
  }
}

void dprt_gemm_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, bool ta, const double *b,
                   int64_t ldb, bool tb, double *c, int64_t ldc, bool accumulate) {
  dprt_gemm_f64_on(MACHINE_AVX512, m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate);
}

void dprt_gemm_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool ta, const float *b,
                   int64_t ldb, bool tb, float *c, int64_t ldc, bool accumulate) {
  dprt_gemm_f32_on(MACHINE_AVX512, m, n, k, a, lda, ta, b, ldb, tb, c, ldc, accumulate);
}

// ---- in strict arithmetic --------------------------------------------------------------------------------------

#define STRICT(T_, NAME_)                                                                                    \
  void NAME_(int64_t m, int64_t n, int64_t k, const T_ *a, int64_t lda, bool ta, const T_ *b, int64_t ldb,   \
             bool tb, T_ *c, int64_t ldc) {                                                                  \
    for (int64_t i = 0; i < m; i++, c += ldc) {                                                              \
      for (int64_t j = 0; k <= 0 && j < n; j++) c[j] = 0;                                                    \
      for (int64_t p = 0; p < k; p++) {                                                                      \
        T_ left = ta ? a[p * lda + i] : a[i * lda + p];                                                      \
        const T_ *right = tb ? b + p : b + p * ldb;                                                          \
        int64_t step = tb ? ldb : 1;                                                                         \
        for (int64_t j = 0; j < n; j++) c[j] = p ? c[j] + left * right[j * step] : left * right[j * step];   \
      }                                                                                                      \
    }                                                                                                        \
  }

STRICT(double, dprt_gemm_strict_f64)
STRICT(float, dprt_gemm_strict_f32)
