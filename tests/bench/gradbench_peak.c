// What this processor can do: prints Gflop/s of fused multiply-adds on one core, and GB/s read from memory.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef double Vector __attribute__((vector_size(LANES * sizeof(double))));

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Enough sums that do not wait for each other to fill every unit. Each starts elsewhere: a compiler would make equal ones one.
static double multiply_adds(void) {
  enum { SUMS = 12, STEPS = 2000000 };
  volatile double one = 1.0;
  Vector a, b;
  for (int j = 0; j < LANES; j++) {
    a[j] = one;
    b[j] = one * 1e-9;
  }
  Vector s0 = a * one, s1 = s0 + one, s2 = s1 + one, s3 = s2 + one, s4 = s3 + one, s5 = s4 + one,
         s6 = s5 + one, s7 = s6 + one, s8 = s7 + one, s9 = s8 + one, s10 = s9 + one, s11 = s10 + one;
  double start = now();
  for (int i = 0; i < STEPS; i++) {
    s0 = s0 * a + b, s1 = s1 * a + b, s2 = s2 * a + b, s3 = s3 * a + b;
    s4 = s4 * a + b, s5 = s5 * a + b, s6 = s6 * a + b, s7 = s7 * a + b;
    s8 = s8 * a + b, s9 = s9 * a + b, s10 = s10 * a + b, s11 = s11 * a + b;
  }
  double seconds = now() - start;
  Vector all = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11;
  volatile double sink = all[0];
  (void)sink;
  return 2.0 * LANES * SUMS * STEPS / seconds * 1e-9;
}

static double reading(void) {
  enum { SUMS = 8 };
  const size_t n = (size_t)1 << 23; // vectors: far more than any cache
  Vector *v = aligned_alloc(sizeof(Vector), n / 2 * sizeof(Vector));
  if (!v) return 0;
  for (size_t i = 0; i < n / 2; i++) v[i] = (Vector){(double)i};
  Vector s[SUMS] = {{0}};
  double start = now();
  for (size_t i = 0; i + SUMS <= n / 2; i += SUMS)
    for (int k = 0; k < SUMS; k++) s[k] += v[i + (size_t)k];
  double seconds = now() - start;
  volatile double sink = 0;
  for (int k = 0; k < SUMS; k++) sink += s[k][0];
  free(v);
  return (double)(n / 2 * sizeof(Vector)) / seconds * 1e-9;
}

int main(void) {
  double flops = 0, bytes = 0;
  for (int k = 0; k < 5; k++) {
    double f = multiply_adds(), b = reading();
    flops = f > flops ? f : flops;
    bytes = b > bytes ? b : bytes;
  }
  printf("%.3f %.3f\n", flops, bytes);
  return 0;
}
