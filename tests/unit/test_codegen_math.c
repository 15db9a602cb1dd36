// compiler/codegen: elementary functions, the order of sums, vectors, what is emitted, many threads at once.
#define _GNU_SOURCE // asprintf
#include "compiled.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

// ---- elementary functions --------------------------------------------------------------------------------------------

typedef struct Function {
  const char *name;
  long double (*exact)(long double);
  double lo, hi; // where to look
} Function;

static long double exact_exp2(long double x) { return exp2l(x); }

static const Function functions[] = {
    {"cbrt", cbrtl, -1e3, 1e3},     {"exp", expl, -740, 709.7}, {"exp2", exact_exp2, -1070, 1023.9},
    {"expm1", expm1l, -50, 709},    {"log", logl, 0, 1e3},      {"log2", log2l, 0, 1e3},
    {"log10", log10l, 0, 1e3},      {"log1p", log1pl, -1, 1e3}, {"sin", sinl, -1e4, 1e4},
    {"cos", cosl, -1e4, 1e4},       {"tan", tanl, -1e4, 1e4},   {"asin", asinl, -1, 1},
    {"acos", acosl, -1, 1},         {"atan", atanl, -50, 50},   {"sinh", sinhl, -710.4, 710.4},
    {"cosh", coshl, -710.4, 710.4}, {"tanh", tanhl, -20, 20},   {"asinh", asinhl, -1e3, 1e3},
    {"acosh", acoshl, 1, 1e3},      {"atanh", atanhl, -1, 1},   {"erf", erfl, -6, 6},
    {"erfc", erfcl, -6, 26},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions, N_POINTS = 1003 };

static double ulps(double got, long double want) {
  if (isinf((double)want) || got == (double)want) return got == (double)want ? 0 : INFINITY;
  int e;
  frexp((double)want, &e);
  return (double)fabsl((got - want) / ldexpl(1, (e < -1021 ? -1021 : e) - 53));
}

static char *map_text(const char *name, const char *elem) {
  char *text;
  if (asprintf(&text,
               "dp-ir 1\n"
               "fn @map(%%n: int, %%x: %s[%%n]) -> %s[_] sizes 1 export {\n"
               "  %%y = build %%n (%%i) {\n    %%v = get %%x, %%i\n    %%w = %s %%v\n    yield %%w\n  }\n  "
               "return %%y\n}\n"
               "fn @one(%%x: %s) -> %s export {\n  %%y = %s %%x\n  return %%y\n}\n",
               elem, elem, name, elem, elem, name) < 0)
    abort();
  return text;
}

Test(math, accuracy_and_equal_bits_in_vectors) {
  double x[N_POINTS];
  for (int k = 0; k < N_FUNCTIONS; k++) {
    const Function *f = &functions[k];
    for (int i = 0; i < N_POINTS; i++) x[i] = f->lo + (f->hi - f->lo) * i / (N_POINTS - 1);
    x[0] = -INFINITY, x[1] = INFINITY, x[2] = NAN, x[3] = -0.0, x[4] = 5e-324, x[5] = 1.7e308,
    x[6] = -1.7e308;
    char *text = map_text(f->name, "f64");
    for (int precise = 0; precise < 2; precise++) {
      const char *cpus[] = {"native", "x86-64"};
      for (int p = 0; p < 2; p++) {
        Code *c = compile(text, (CgOptions){.opt_level = 2, .cpu = cpus[p], .precise_math = precise});
        dprt_slot y[2];
        run_ok(c, "map", IN(P(x), I(N_POINTS)), y);
        for (int i = 0; i < N_POINTS; i++) {
          double v = ((double *)y[0].data)[i];
          dprt_slot one;
          run_ok(c, "one", IN(F(x[i])), &one);
          if (isnan(v))
            cr_assert(isnan(one.f64) && isnan(f->exact(x[i])), "%s(%g)", f->name, x[i]);
          else
            cr_assert_eq(bits(v), bits(one.f64), "%s(%.17g): %a in a vector, %a alone", f->name, x[i], v,
                         one.f64);
          if (!isnan(v))
            cr_assert_leq(ulps(v, f->exact(x[i])), 1, "%s(%.17g) = %.17g is off by %g ULP", f->name, x[i], v,
                          ulps(v, f->exact(x[i])));
        }
        dprt_free(c->ctx, y[0].data);
        drop(c);
      }
    }
    free(text);
  }
}

Test(math, equal_bits_in_f32_vectors) {
  float x[N_POINTS];
  for (int k = 0; k < N_FUNCTIONS; k++) {
    const Function *f = &functions[k];
    double hi = f->hi > 80 ? 91 : f->hi, lo = f->lo < -80 ? -91 : f->lo;
    for (int i = 0; i < N_POINTS; i++) x[i] = (float)(lo + (hi - lo) * i / (N_POINTS - 1));
    x[0] = 3e38f, x[1] = -3e38f;
    char *text = map_text(f->name, "f32");
    Code *c = compile(text, level(2));
    dprt_slot y[2], one, in = {.i64 = 0};
    run_ok(c, "map", IN(P(x), I(N_POINTS)), y);
    for (int i = 0; i < N_POINTS; i++) {
      in.f32 = x[i];
      run_ok(c, "one", &in, &one);
      float v = ((float *)y[0].data)[i];
      cr_assert((v == one.f32 && signbit(v) == signbit(one.f32)) || (isnan(v) && isnan(one.f32)),
                "%s(%.9g): %a, %a", f->name, (double)x[i], (double)v, (double)one.f32);
      float want = (float)f->exact(x[i]);
      cr_assert(isnan(want) ? isnan(v)
                            : v == want || fabsf(v - want) <= 4.6f * fabsf(nextafterf(want, INFINITY) - want),
                "%s(%.9g) = %.9g, not %.9g", f->name, (double)x[i], (double)v, (double)want);
    }
    dprt_free(c->ctx, y[0].data);
    drop(c);
    free(text);
  }
}

Test(math, two_operands) {
  const char *names[] = {"pow", "atan2", "hypot"};
  double (*libm[])(double, double) = {pow, atan2, hypot};
  for (int k = 0; k < 3; k++) {
    char text[300];
    snprintf(text, sizeof text,
             "dp-ir 1\nfn @f(%%x: f64, %%y: f64) -> f64 export {\n  %%z = %s %%x, %%y\n  return %%z\n}\n",
             names[k]);
    Code *c = compile(text, level(2));
    const double v[] = {0, -0.0, 1, -1, 2.5, -3, 0.1, 1e-300, INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 11; i++) {
      for (int j = 0; j < 11; j++) {
        dprt_slot out;
        run_ok(c, "f", IN(F(v[i]), F(v[j])), &out);
        double want = libm[k](v[i], v[j]);
        cr_assert(isnan(want) ? isnan(out.f64)
                              : ulps(out.f64, want) <= 4 && signbit(want) == signbit(out.f64),
                  "%s(%g, %g) = %g, not %g", names[k], v[i], v[j], out.f64, want);
      }
    }
    drop(c);
  }
}

// ---- numerics --------------------------------------------------------------------------------------------------------

static const char sums[] =
    "dp-ir 1\nfn @f(%n: int, %x: f64[%n], %y: f64[%n]) -> f64, f64, f64 sizes 1 export {\n"
    "  %zero = const int 0\n  %one = const int 1\n  %z = const f64 0.0\n  %low = const f64 -inf\n"
    "  %s, %m = for %i = %zero, %n, %one with (%a = %z, %b = %low) {\n"
    "    %u = get %x, %i\n    %v = get %y, %i\n    %p = mul %u, %v\n    %q = add %a, %p\n"
    "    %w = max %b, %u\n    yield %q, %w\n  }\n"
    "  %t = for %j = %zero, %n, %one with (%c = %z) {\n    %d = for %k = %zero, %one, %one with (%e = %c) {\n"
    "      %g = get %x, %j\n      %h = exp %g\n      %l = add %e, %h\n      yield %l\n    }\n    yield %d\n  "
    "}\n"
    "  return %s, %m, %t\n}\n";

Test(numerics, strict_bits_at_every_level) {
  enum { N = 1001 };
  double x[N], y[N], s = 0;
  for (int i = 0; i < N; i++) x[i] = sin(i) * 3, y[i] = cos(i * 0.7);
  for (int i = 0; i < N; i++) {
    volatile double p = x[i] * y[i];
    s += p;
  }
  dprt_slot first[3];
  const char *cpus[] = {"native", "x86-64-v3", "x86-64"};
  for (int k = 0; k < 3; k++) {
    EACH_LEVEL(o) {
      CgOptions opt = level(o);
      opt.strict_fp = true;
      opt.cpu = cpus[k];
      Code *c = compile(sums, opt);
      dprt_slot out[3];
      run_ok(c, "f", IN(P(x), I(N), P(y), I(N)), out);
      cr_assert_eq(bits(out[0].f64), bits(s));
      if (k == 0 && o == 0) memcpy(first, out, sizeof out);
      for (int r = 0; r < 3; r++)
        cr_assert_eq(bits(first[r].f64), bits(out[r].f64), "-O%d on %s", o, cpus[k]);
      drop(c);
    }
  }
}

Test(numerics, sums_may_be_reordered_otherwise) {
  enum { N = 1001 };
  double x[N], y[N], s = 0, e = 0, m = -INFINITY;
  for (int i = 0; i < N; i++)
    x[i] = sin(i) * 3, y[i] = cos(i * 0.7), s += x[i] * y[i], e += exp(x[i]), m = fmax(m, x[i]);
  EACH_LEVEL(o) {
    Code *c = compile(sums, level(o));
    dprt_slot out[3];
    run_ok(c, "f", IN(P(x), I(N), P(y), I(N)), out);
    cr_assert_float_eq(out[0].f64, s, 1e-11);
    cr_assert_eq(out[1].f64, m);
    cr_assert_float_eq(out[2].f64, e, 1e-11 * e);
    x[500] = NAN;
    run_ok(c, "f", IN(P(x), I(N), P(y), I(N)), out);
    cr_assert(isnan(out[1].f64));
    x[500] = sin(500) * 3;
    drop(c);
  }
}

static bool uses_vector(const char *text, CgOptions opt, const char *what) {
  Arena *a = arena_new(0);
  const char *why = NULL;
  CgModule *cg = cg_module(a, parse(a, text), &opt, NULL, &why);
  cr_assert(cg && cg_optimize(cg, &why), "%s", why);
  bool found = strstr(cg_print_llvm(a, cg), what) != NULL;
  cg_free(cg);
  arena_free(a);
  return found;
}

Test(numerics, loops_become_vectors) {
  CgOptions opt = {.opt_level = 2, .cpu = "x86-64-v4"};
  cr_assert(uses_vector(sums, opt, "call <8 x double> @dpk_exp_f64x8"));
  cr_assert(uses_vector(sums, opt, "@llvm.vector.reduce.fadd.v8f64"));
  cr_assert(uses_vector(sums, opt, "@llvm.vector.reduce.fmaximum.v8f64"));
  opt.strict_fp = true;
  cr_assert(!uses_vector(sums, opt, "@llvm.vector.reduce.fadd.v8f64"));
  opt.strict_fp = false;
  opt.cpu = "x86-64-v3";
  cr_assert(uses_vector(sums, opt, "call <4 x double> @dpk_exp_f64x4"));
}

// ---- out, and many at once -------------------------------------------------------------------------------------------

Test(emission, text_and_object) {
  Arena *a = arena_new(0);
  IrModule *m = parse(a, sums);
  CgOptions opt = {.opt_level = 2, .cpu = "x86-64-v3", .debug_info = true};
  const char *why = NULL;
  CgMain main = {.func = intern_cstr(m->names, "f"), .program = "sums"};
  CgModule *cg = cg_module(a, m, &opt, &main, &why);
  cr_assert_not_null(cg, "%s", why);
  cr_assert(cg_optimize(cg, &why), "%s", why);
  cr_assert(strstr(cg_print_llvm(a, cg), "define i32 @dp.f(") != NULL);
  cr_assert(strstr(cg_print_llvm(a, cg), "!DILocation(line: 9,") != NULL);
  const char *text = cg_print_asm(a, cg, &why);
  cr_assert(text && strstr(text, "dp.f:") && strstr(text, "main:"), "%s", why);
  size_t len = 0;
  const char *object = cg_object(a, cg, &len, &why);
  cr_assert(object && len > 500 && memcmp(object, "\177ELF", 4) == 0, "%s", why);
  cg_free(cg);
  arena_free(a);
}

static void *compile_often(void *unused) {
  (void)unused;
  for (int i = 0; i < 4; i++) {
    Code c = compile_with(sums, level(i % 4), NULL);
    dprt_fn *f = (dprt_fn *)jit_address(c.jit, "dp.f");
    double x[3] = {1, 2, 3};
    dprt_slot out[3];
    dprt_ctx *ctx = dprt_ctx_new(NULL);
    bool ok = f && f(ctx, IN(P(x), I(3), P(x), I(3)), out) == 0 && out[0].f64 == 14;
    dprt_ctx_free(ctx);
    region_unmap(&c.code);
    arena_free(c.arena);
    if (!ok) return (void *)1;
  }
  return NULL;
}

Test(emission, eight_threads) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) cr_assert_eq(pthread_create(&threads[i], NULL, compile_often, NULL), 0);
  for (int i = 0; i < 8; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    cr_assert_null(failed);
  }
}
