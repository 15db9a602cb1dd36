// runtime/kernels: the same bits at every number of lanes and on every machine, what C99 says of special operands, and
// errors below one last place (tests/numerics measures them against MPFR).
#include "dp/dprt_kernels.h"
#include "ir/ir.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Function {
  const char *name;
  long double (*one)(long double);
  long double (*two)(long double, long double);
} Function;

static const Function functions[] = {
#define UNARY(name) {#name, name##l, NULL},
#define BINARY(name) {#name, NULL, name##l},
#include "../../runtime/kernels/kernels.def"
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions, N = 16 * 512 };

static double x64[N], y64[N];
static float x32[N], y32[N];

static const double special[] = {0,       1,      -1,       0.5,    0.75,     -0.75,     1.5,    2,
                                 3,       -3,     10,       20,     100,      -37.5,     709.78, -745.1,
                                 0x1p30,  -1e22,  0x1p1023, 1e-300, -0.0,     0x1p52,    26.54,  88.72,
                                 0x1p-30, 5e-324, 2.3e-308, -1e308, INFINITY, -INFINITY, NAN};
enum { N_SPECIAL = sizeof special / sizeof *special };

static uint64_t next_bits(uint64_t *state) {
  *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
  return *state * 2685821657736338717u;
}

// Every special value with every other, then any bits, then numbers of everyday size.
static void fill(void) {
  uint64_t state = 88172645463325252u;
  for (int i = 0; i < N; i++) {
    uint64_t a = next_bits(&state), b = next_bits(&state);
    if (i < N_SPECIAL * N_SPECIAL) {
      x64[i] = special[i % N_SPECIAL], y64[i] = special[i / N_SPECIAL];
      x32[i] = (float)x64[i], y32[i] = (float)y64[i];
    } else if (i % 2) {
      memcpy(&x64[i], &a, 8), memcpy(&y64[i], &b, 8);
      memcpy(&x32[i], &a, 4), memcpy(&y32[i], &b, 4);
    } else {
      x64[i] = (double)(int64_t)a * 0x1p-63 * (i % 4 ? 2 : 50), y64[i] = (double)(int64_t)b * 0x1p-63 * 5;
      x32[i] = (float)x64[i], y32[i] = (float)y64[i];
    }
  }
}

static dprt_kernel_fn *kernel(const char *name, const char *suffix) {
  char full[64];
  snprintf(full, sizeof full, "dpk_%s_%s", name, suffix);
  dprt_kernel_fn *f = dprt_kernel(full);
  cr_assert(f, "there is no %s", full);
  return f;
}

// ---- every way to call a kernel --------------------------------------------------------------------------------------

#define MAP(MAP_NAME, T, V, LANES, TARGET)                                                                   \
  typedef T V __attribute__((vector_size(sizeof(T) * (LANES))));                                             \
  TARGET static void MAP_NAME(dprt_kernel_fn *f, bool two, const T *x, const T *y, T *out) {                 \
    for (int i = 0; i < N; i += LANES) {                                                                     \
      V a, b;                                                                                                \
      memcpy(&a, x + i, sizeof a);                                                                           \
      memcpy(&b, y + i, sizeof b);                                                                           \
      V r = two ? ((V(*)(V, V))f)(a, b) : ((V(*)(V))f)(a);                                                   \
      memcpy(out + i, &r, sizeof r);                                                                         \
    }                                                                                                        \
  }

static void map_f64(dprt_kernel_fn *f, bool two, const double *x, const double *y, double *out) {
  for (int i = 0; i < N; i++)
    out[i] = two ? ((double (*)(double, double))f)(x[i], y[i]) : ((double (*)(double))f)(x[i]);
}

static void map_f32(dprt_kernel_fn *f, bool two, const float *x, const float *y, float *out) {
  for (int i = 0; i < N; i++)
    out[i] = two ? ((float (*)(float, float))f)(x[i], y[i]) : ((float (*)(float))f)(x[i]);
}

#define ANY_TARGET
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw")))
MAP(map_f64x2, double, F64x2, 2, ANY_TARGET)
MAP(map_f32x4, float, F32x4, 4, ANY_TARGET)
#ifdef __x86_64__
MAP(map_f64x4, double, F64x4, 4, AVX2)
MAP(map_f32x8, float, F32x8, 8, AVX2)
MAP(map_f64x8, double, F64x8, 8, AVX512)
MAP(map_f32x16, float, F32x16, 16, AVX512)
#endif

typedef struct Way {
  const char *suffix64, *suffix32;
  void (*map64)(dprt_kernel_fn *, bool, const double *, const double *, double *);
  void (*map32)(dprt_kernel_fn *, bool, const float *, const float *, float *);
} Way;

// Those that this machine can run; returns how many.
static int ways(Way *out) {
  int n = 0;
  out[n++] = (Way){"f64", "f32", map_f64, map_f32};
  out[n++] = (Way){"f64x2", "f32x4", map_f64x2, map_f32x4};
#ifdef __x86_64__
  out[n++] = (Way){"f64_plain", "f32_plain", map_f64, map_f32};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    out[n++] = (Way){"f64_fma", "f32_fma", map_f64, map_f32};
    out[n++] = (Way){"f64x2_fma", "f32x4_fma", map_f64x2, map_f32x4};
    out[n++] = (Way){"f64x4", "f32x8", map_f64x4, map_f32x8};
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    out[n++] = (Way){"f64x8", "f32x16", map_f64x8, map_f32x16};
#endif
  return n;
}

Test(kernels, equal_bits_in_every_way) {
  static double first64[N], out64[N];
  static float first32[N], out32[N];
  fill();
  Way all[8];
  int n = ways(all);
  for (int k = 0; k < N_FUNCTIONS; k++) {
    const char *name = functions[k].name;
    bool two = functions[k].two;
    all[0].map64(kernel(name, all[0].suffix64), two, x64, y64, first64);
    all[0].map32(kernel(name, all[0].suffix32), two, x32, y32, first32);
    for (int w = 1; w < n; w++) {
      all[w].map64(kernel(name, all[w].suffix64), two, x64, y64, out64);
      all[w].map32(kernel(name, all[w].suffix32), two, x32, y32, out32);
      for (int i = 0; i < N; i++) {
        cr_assert(memcmp(&out64[i], &first64[i], 8) == 0 || (isnan(out64[i]) && isnan(first64[i])),
                  "%s(%a, %a): %s gives %a, %s gives %a", name, x64[i], y64[i], all[0].suffix64, first64[i],
                  all[w].suffix64, out64[i]);
        cr_assert(memcmp(&out32[i], &first32[i], 4) == 0 || (isnan(out32[i]) && isnan(first32[i])),
                  "%s(%a, %a): %s gives %a, %s gives %a", name, (double)x32[i], (double)y32[i],
                  all[0].suffix32, (double)first32[i], all[w].suffix32, (double)out32[i]);
      }
    }
  }
}

// ---- accuracy --------------------------------------------------------------------------------------------------------

static bool same_special(long double want, long double got) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  return want == got && signbit(want) == signbit(got);
}

// digits: of the type's significand; least: the exponent of its smallest normal number.
static long double last_places(long double want, long double got, int digits, int least) {
  int e;
  frexpl(want, &e);
  if (e < least) e = least;
  return fabsl(got - want) / ldexpl(1, e - digits);
}

Test(kernels, special_operands_and_accuracy) {
  static double out64[N];
  static float out32[N];
  fill();
  for (int k = 0; k < N_FUNCTIONS; k++) {
    const Function *f = &functions[k];
    map_f64(kernel(f->name, "f64"), f->two, x64, y64, out64);
    map_f32(kernel(f->name, "f32"), f->two, x32, y32, out32);
    for (int i = 0; i < N; i++) {
      long double want = f->two ? f->two(x64[i], y64[i]) : f->one(x64[i]);
      double near = (double)want;
      if (!isfinite(near) || near == 0 || !isfinite(x64[i]))
        cr_assert(same_special(near, out64[i]) || (isfinite(want) && want != 0), "%s(%g, %g) = %g, not %g",
                  f->name, x64[i], y64[i], out64[i], near);
      else
        cr_assert_leq(last_places(want, out64[i], 53, -1021), 1.0L, "%s(%.17g, %.17g) = %.17g, not %.17g",
                      f->name, x64[i], y64[i], out64[i], near);
      want = f->two ? f->two(x32[i], y32[i]) : f->one(x32[i]);
      float close = (float)want;
      if (!isfinite(close) || close == 0 || !isfinite(x32[i]))
        cr_assert(same_special(close, out32[i]) || (isfinite(want) && want != 0),
                  "f32 %s(%g, %g) = %g, not %g", f->name, (double)x32[i], (double)y32[i], (double)out32[i],
                  (double)close);
      else
        cr_assert_leq(last_places(want, out32[i], 24, -125), 0.51L, "f32 %s(%.9g, %.9g) = %.9g, not %.9g",
                      f->name, (double)x32[i], (double)y32[i], (double)out32[i], (double)close);
    }
  }
}

Test(kernels, every_elementary_operation_has_one) {
  for (int k = 0; k < IR_OP_COUNT; k++)
    if ((ir_op_info[k].flags & IR_MATH) && k != IR_SQRT) kernel(ir_op_info[k].text, "f64");
  cr_assert_null(dprt_kernel("dpk_sqrt_f64"));
  cr_assert_null(dprt_kernel("exp"));
}
