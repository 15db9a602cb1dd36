// The runtime's matrix product: against sums by fma, and the same bits with every instruction set.
#define _GNU_SOURCE
#include "dp/dprt.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct Product {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, add;
} Product;

static double at(const double *p, int64_t ld, bool t, int64_t i, int64_t j) {
  return t ? p[j * ld + i] : p[i * ld + j];
}

enum { SLACK = 5, GUARD = -77 };

static int64_t matrix_size(int64_t rows, int64_t ld) { return rows * ld + SLACK; }

// Every level gives the same bits, and those of sums by fma in the order of k; nothing beside C changes.
static void check_product(Product q) {
  int64_t na = matrix_size(q.ta ? q.k : q.m, q.lda), nb = matrix_size(q.tb ? q.n : q.k, q.ldb),
          nc = matrix_size(q.m, q.ldc);
  double *a = malloc((size_t)na * 8), *b = malloc((size_t)nb * 8), *c[3];
  float *fa = malloc((size_t)na * 4), *fb = malloc((size_t)nb * 4), *fc[3];
  for (int64_t i = 0; i < na; i++) fa[i] = (float)(a[i] = dprt_rng_uniform(1, i) - 0.5);
  for (int64_t i = 0; i < nb; i++) fb[i] = (float)(b[i] = dprt_rng_uniform(2, i) - 0.5);
  for (int level = 0; level < 3; level++) {
    c[level] = malloc((size_t)nc * 8);
    fc[level] = malloc((size_t)nc * 4);
    for (int64_t i = 0; i < nc; i++) {
      bool inside = i / q.ldc < q.m && i % q.ldc < q.n;
      c[level][i] = inside ? (q.add ? dprt_rng_uniform(3, i) : (double)NAN) : GUARD;
      fc[level][i] = (float)c[level][i];
    }
    dprt_gemm_f64_on(level, q.m, q.n, q.k, a, q.lda, q.ta, b, q.ldb, q.tb, c[level], q.ldc, q.add);
    dprt_gemm_f32_on(level, q.m, q.n, q.k, fa, q.lda, q.ta, fb, q.ldb, q.tb, fc[level], q.ldc, q.add);
  }
  bool ordered = q.m > 2 && q.n > 1;
  const char *t = q.ta ? q.tb ? "TT" : "TN" : q.tb ? "NT" : "NN";
  for (int64_t i = 0; i < nc; i++) {
    double want = GUARD;
    if (i / q.ldc < q.m && i % q.ldc < q.n) {
      want = q.add ? dprt_rng_uniform(3, i) : 0;
      for (int64_t p = 0; p < q.k; p++)
        want = fma(at(a, q.lda, q.ta, i / q.ldc, p), at(b, q.ldb, q.tb, p, i % q.ldc), want);
    }
    bool good = ordered || want == GUARD ? c[0][i] == want : fabs(c[0][i] - want) < 1e-13 * (1 + (double)q.k);
    cr_assert(good, "%lldx%lldx%lld %s: element %lld is %.17g, not %.17g", (long long)q.m, (long long)q.n,
              (long long)q.k, t, (long long)i, c[0][i], want);
    cr_assert(fabs((double)fc[0][i] - want) < 1e-5 * (1 + sqrt((double)q.k)), "%lldx%lldx%lld %s f32",
              (long long)q.m, (long long)q.n, (long long)q.k, t);
  }
  for (int level = 1; level < 3; level++) {
    cr_assert_arr_eq(c[level], c[0], (size_t)nc * 8, "%lldx%lldx%lld %s: level %d", (long long)q.m,
                     (long long)q.n, (long long)q.k, t, level);
    cr_assert_arr_eq(fc[level], fc[0], (size_t)nc * 4);
  }
  for (int level = 0; level < 3; level++) {
    free(c[level]);
    free(fc[level]);
  }
  free(a), free(b), free(fa), free(fb);
}

static void check_all_forms(int64_t m, int64_t n, int64_t k, int64_t pad) {
  for (int form = 0; form < 8; form++) {
    bool ta = form & 1, tb = form & 2;
    check_product((Product){.m = m,
                            .n = n,
                            .k = k,
                            .ta = ta,
                            .tb = tb,
                            .add = form & 4,
                            .ldc = n + pad,
                            .lda = (ta ? m : k) + pad,
                            .ldb = (tb ? k : n) + pad});
  }
}

Test(gemm, all_small_sizes) {
  for (int64_t m = 1; m <= 10; m++)
    for (int64_t n = 1; n <= 10; n++)
      for (int64_t k = 1; k <= 10; k += 3) check_all_forms(m, n, k, (m + n) % 3);
}

Test(gemm, odd_sizes_across_every_block) {
  static const int64_t sizes[][3] = {
      {17, 33, 65}, {31, 47, 193}, {9, 65, 385}, {70, 150, 400}, {1, 130, 200}, {130, 1, 200},
      {2, 129, 77}, {3, 257, 31},  {33, 2, 500}, {64, 64, 192},  {1, 1, 1000},  {200, 5, 1},
      {37, 19, 16}, {1, 16, 1},    {5, 24, 200}, {16, 31, 7},    {11, 17, 13},  {40, 70, 210}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    check_all_forms(sizes[i][0], sizes[i][1], sizes[i][2], 0);
    check_all_forms(sizes[i][0], sizes[i][1], sizes[i][2], 3);
  }
}

// Strict: products and sums rounded one by one, in the order of k.
Test(gemm, strict_sums) {
  double a[20], b[20], c[9];
  for (int i = 0; i < 20; i++) a[i] = dprt_rng_uniform(1, i) - 0.5, b[i] = dprt_rng_uniform(2, i) - 0.5;
  for (int t = 0; t < 4; t++) {
    bool ta = t & 1, tb = t & 2;
    int64_t lda = ta ? 2 : 5, ldb = tb ? 5 : 3;
    dprt_gemm_strict_f64(2, 3, 5, a, lda, ta, b, ldb, tb, c, 4);
    for (int64_t i = 0; i < 2; i++)
      for (int64_t j = 0; j < 3; j++) {
        volatile double sum = at(a, lda, ta, i, 0) * at(b, ldb, tb, 0, j);
        for (int64_t p = 1; p < 5; p++) {
          volatile double product = at(a, lda, ta, i, p) * at(b, ldb, tb, p, j);
          sum += product;
        }
        cr_assert_eq(c[i * 4 + j], sum);
      }
  }
  float fa[4] = {1, 2, 3, 4}, fc[4] = {7, 7, 7, 7};
  dprt_gemm_strict_f32(2, 2, 2, fa, 2, false, fa, 2, true, fc, 2);
  cr_assert(fc[0] == 5 && fc[1] == 11 && fc[2] == 11 && fc[3] == 25);
  dprt_gemm_strict_f32(2, 2, 0, fa, 0, false, fa, 2, false, fc, 2);
  cr_assert(fc[0] == 0 && fc[3] == 0);
}

Test(gemm, empty_products) {
  double a[4] = {1, 2, 3, 4}, c[4] = {5, 6, 7, 8};
  dprt_gemm_f64(2, 2, 0, a, 0, false, a, 2, false, c, 2, true);
  cr_expect_eq(c[3], 8);
  dprt_gemm_f64(0, 2, 2, a, 2, false, a, 2, false, c, 2, false);
  cr_expect_eq(c[0], 5);
  dprt_gemm_f64(2, 2, 0, a, 0, false, a, 2, false, c, 2, false);
  cr_expect(c[0] == 0 && c[3] == 0);
  float fa[4] = {1, 2, 3, 4}, fc[4] = {5, 6, 7, 8};
  dprt_gemm_f32(2, 2, 2, fa, 2, false, fa, 2, true, fc, 2, false);
  cr_expect(fc[0] == 5 && fc[1] == 11 && fc[2] == 11 && fc[3] == 25);
}

static void *small_stack_product(void *arg) {
  double *m = arg;
  dprt_gemm_f64(64, 64, 64, m, 64, true, m, 64, true, m + 64 * 64, 64, false);
  return NULL;
}

Test(gemm, a_small_stack_is_enough) {
  double *m = calloc(2 * 64 * 64, sizeof *m);
  pthread_attr_t attr;
  pthread_t thread;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 192 << 10);
  cr_assert_eq(pthread_create(&thread, &attr, small_stack_product, m), 0);
  pthread_join(thread, NULL);
  free(m);
}
