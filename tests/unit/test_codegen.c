// compiler/codegen and compiler/jit: operations, loops, arrays, errors, effects, training, compiled at every level.
#include "compiled.h"
#include "dp/dprt_train.h"

#include <math.h>
#include <stdio.h>

// ---- scalars ---------------------------------------------------------------------------------------------------------

static const char int_ops[] = "dp-ir 1\n"
                              "fn @f(%a: int, %b: int) -> int, int, int, int, int, int, int, int export {\n"
                              "  %0 = add %a, %b\n  %1 = sub %a, %b\n  %2 = mul %a, %b\n  %3 = idiv %a, %b\n"
                              "  %4 = imod %a, %b\n  %5 = ipow %a, %b\n  %6 = min %a, %b\n  %7 = abs %a\n"
                              "  return %0, %1, %2, %3, %4, %5, %6, %7\n}\n";

static int64_t floor_div(int64_t a, int64_t b) {
  if (b == -1) return (int64_t)(0 - (uint64_t)a);
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

static int64_t power(int64_t x, int64_t n) {
  if (n < 0) return x == 1 ? 1 : x == -1 ? (n & 1 ? -1 : 1) : 0;
  uint64_t r = 1;
  for (uint64_t b = (uint64_t)x; n; n >>= 1, b *= b)
    if (n & 1) r *= b;
  return (int64_t)r;
}

Test(scalars, ints) {
  const int64_t values[] = {0, 1, -1, 2, -2, 7, -7, 10, 63, 64, 1000003, INT64_MAX, INT64_MIN, INT64_MIN + 1};
  enum { N = sizeof values / sizeof *values };
  EACH_LEVEL(o) {
    Code *c = compile(int_ops, level(o));
    for (int i = 0; i < N; i++) {
      for (int j = 0; j < N; j++) {
        int64_t a = values[i], b = values[j], d = b ? b : 1;
        dprt_slot out[8];
        run_ok(c, "f", IN(I(a), I(d)), out);
        cr_assert_eq(out[0].i64, (int64_t)((uint64_t)a + (uint64_t)d));
        cr_assert_eq(out[1].i64, (int64_t)((uint64_t)a - (uint64_t)d));
        cr_assert_eq(out[2].i64, (int64_t)((uint64_t)a * (uint64_t)d));
        cr_assert_eq(out[3].i64, floor_div(a, d), "%ld div %ld = %ld", a, d, out[3].i64);
        cr_assert_eq(out[4].i64, (int64_t)((uint64_t)a - (uint64_t)floor_div(a, d) * (uint64_t)d),
                     "%ld mod %ld", a, d);
        cr_assert_eq(out[5].i64, power(a, d), "%ld ^ %ld = %ld", a, d, out[5].i64);
        cr_assert_eq(out[6].i64, a < d ? a : d);
        cr_assert_eq(out[7].i64, a < 0 ? (int64_t)(0 - (uint64_t)a) : a);
      }
    }
    drop(c);
  }
}

Test(scalars, constant_divisors) {
  EACH_LEVEL(o) {
    Code *c = compile("dp-ir 1\nfn @f(%a: int) -> int, int, int, int, int, int export {\n"
                      "  %d = const int 8\n  %e = const int -3\n  %g = const int -1\n"
                      "  %0 = idiv %a, %d\n  %1 = imod %a, %d\n  %2 = idiv %a, %e\n  %3 = imod %a, %e\n"
                      "  %4 = idiv %a, %g\n  %5 = imod %a, %g\n  return %0, %1, %2, %3, %4, %5\n}\n",
                      level(o));
    for (int64_t a = -40; a <= 40; a++) {
      dprt_slot out[6];
      run_ok(c, "f", IN(I(a)), out);
      const int64_t by[] = {8, -3, -1};
      for (int k = 0; k < 3; k++) {
        cr_assert_eq(out[2 * k].i64, floor_div(a, by[k]));
        cr_assert_eq(out[2 * k + 1].i64, a - floor_div(a, by[k]) * by[k]);
      }
    }
    drop(c);
  }
}

Test(scalars, min_max_and_sign_of_nan) {
  EACH_LEVEL(o) {
    Code *c = compile("dp-ir 1\nfn @f(%a: f64, %b: f64) -> f64, f64, f64, int export {\n"
                      "  %0 = min %a, %b\n  %1 = max %a, %b\n  %2 = sign %a\n  %3 = ftoi int %a\n"
                      "  return %0, %1, %2, %3\n}\n",
                      level(o));
    dprt_slot out[4];
    run_ok(c, "f", IN(F(NAN), F(1.0)), out);
    cr_assert(isnan(out[0].f64) && isnan(out[1].f64) && isnan(out[2].f64) && out[3].i64 == 0);
    run_ok(c, "f", IN(F(1.0), F(NAN)), out);
    cr_assert(isnan(out[0].f64) && isnan(out[1].f64));
    run_ok(c, "f", IN(F(-0.0), F(0.0)), out); // the tie goes to the first
    cr_assert(signbit(out[0].f64) && signbit(out[1].f64));
    run_ok(c, "f", IN(F(0.0), F(-0.0)), out);
    cr_assert(!signbit(out[0].f64) && !signbit(out[1].f64) && out[2].f64 == 0);
    run_ok(c, "f", IN(F(-1e300), F(2.0)), out);
    cr_assert(out[0].f64 == -1e300 && out[1].f64 == 2.0 && out[2].f64 == -1 && out[3].i64 == INT64_MIN);
    run_ok(c, "f", IN(F(INFINITY), F(2.0)), out);
    cr_assert(out[2].f64 == 1 && out[3].i64 == INT64_MAX);
    drop(c);
  }
}

Test(scalars, float_to_int_power_has_one_order) {
  // The same exponent as a constant and as a value: the same bits.
  const int exponents[] = {0, 1, 2, 3, 7, 10, 31, -1, -3, -10};
  for (size_t k = 0; k < sizeof exponents / sizeof *exponents; k++) {
    char text[400];
    snprintf(text, sizeof text,
             "dp-ir 1\nfn @f(%%x: f64, %%n: int) -> f64, f64 export {\n  %%k = const int %d\n"
             "  %%0 = powi %%x, %%k\n  %%1 = powi %%x, %%n\n  return %%0, %%1\n}\n",
             exponents[k]);
    EACH_LEVEL(o) {
      Code *c = compile(text, level(o));
      for (double x = -2.7; x < 3; x += 0.37) {
        dprt_slot out[2];
        run_ok(c, "f", IN(F(x), I(exponents[k])), out);
        cr_assert_eq(bits(out[0].f64), bits(out[1].f64));
        cr_assert_float_eq(out[0].f64, pow(x, exponents[k]), 1e-12 * fabs(pow(x, exponents[k])));
      }
      drop(c);
    }
  }
}

Test(scalars, f32_and_bool_slots) {
  EACH_LEVEL(o) {
    Code *c = compile("dp-ir 1\nfn @f(%x: f32, %p: bool) -> f32, bool, f64 export {\n"
                      "  %y = mul %x, %x\n  %q = not %p\n  %d = fcvt f64 %x\n  return %y, %q, %d\n}\n",
                      level(o));
    dprt_slot in[2] = {{.i64 = 0}, {.i64 = 0}}, out[3];
    in[0].f32 = 0.1f;
    in[1].b = true;
    memset(out, 0xFF, sizeof out);
    run_ok(c, "f", in, out);
    cr_assert_eq(out[0].f32, 0.1f * 0.1f);
    cr_assert_eq(out[1].i64, 0);
    cr_assert_eq(out[2].f64, (double)0.1f);
    drop(c);
  }
}

// ---- loops and branches ------------------------------------------------------------------------------------------------

Test(loops, every_step_counts_as_the_oracle_does) {
  // The indices met, as a hash, and how many.
  const char *body =
      "dp-ir 1\nfn @f(%lo: int, %hi: int, %s: int) -> int, int export {\n"
      "  %zero = const int 0\n  %one = const int 1\n  %k = const int 31\n%STEP"
      "  %h, %n = for %i = %lo, %hi, %step with (%a = %zero, %b = %zero) {\n"
      "    %m = mul %a, %k\n    %c = add %m, %i\n    %d = add %b, %one\n    yield %c, %d\n  }\n"
      "  return %h, %n\n}\n";
  const int64_t steps[] = {1, -1, 2, 3, -2, -7, 0};
  for (size_t s = 0; s < 2 * sizeof steps / sizeof *steps; s++) {
    int64_t step = steps[s / 2];
    char line[80], text[600];
    if (s % 2)
      snprintf(line, sizeof line, "  %%step = const int %ld\n", step);
    else
      snprintf(line, sizeof line, "  %%step = add %%s, %%zero\n");
    const char *at = strstr(body, "%STEP");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - body), body, line, at + 5);
    EACH_LEVEL(o) {
      Code *c = compile(text, level(o));
      for (int64_t lo = -5; lo <= 5; lo++) {
        for (int64_t hi = -5; hi <= 5; hi++) {
          int64_t h = 0, n = 0;
          for (int64_t i = lo; step > 0 ? i < hi : step < 0 ? i > hi : false; i += step) h = h * 31 + i, n++;
          dprt_slot out[2];
          run_ok(c, "f", IN(I(lo), I(hi), I(step)), out);
          cr_assert(out[0].i64 == h && out[1].i64 == n, "%ld..%ld by %ld at -O%d: %ld", lo, hi, step, o,
                    out[1].i64);
        }
      }
      dprt_slot out[2]; // no overflow past the end
      if (step > 0) {
        run_ok(c, "f", IN(I(INT64_MAX - 2), I(INT64_MAX), I(step)), out);
        cr_assert_eq(out[1].i64, step == 1 ? 2 : 1);
      } else if (step < 0) {
        run_ok(c, "f", IN(I(INT64_MIN + 2), I(INT64_MIN), I(step)), out);
        cr_assert_eq(out[1].i64, step == -1 ? 2 : 1);
      }
      drop(c);
    }
  }
}

Test(loops, while_and_if) {
  EACH_LEVEL(o) {
    // Collatz steps
    Code *c =
        compile("dp-ir 1\nfn @f(%n: int) -> int export {\n"
                "  %zero = const int 0\n  %one = const int 1\n  %two = const int 2\n  %three = const int 3\n"
                "  %x, %s = while with (%a = %n, %k = %zero) {\n    %c = ne %a, %one\n    yield %c\n"
                "  } do (%a.1, %k.1) {\n    %m = imod %a.1, %two\n    %even = eq %m, %zero\n"
                "    %next = if %even {\n      %h = idiv %a.1, %two\n      yield %h\n    } else {\n"
                "      %t = mul %a.1, %three\n      %u = add %t, %one\n      yield %u\n    }\n"
                "    %j = add %k.1, %one\n    yield %next, %j\n  }\n  return %s\n}\n",
                level(o));
    dprt_slot out;
    run_ok(c, "f", IN(I(27)), &out);
    cr_assert_eq(out.i64, 111);
    drop(c);
  }
}

// ---- arrays ----------------------------------------------------------------------------------------------------------

Test(arrays, build_set_acc_copy_free) {
  EACH_LEVEL(o) {
    Code *c = compile(
        "dp-ir 1\nfn @f(%n: int, %m: int, %x: f64[%n, %m]) -> f64[_, _], f64 sizes 2 export {\n"
        "  %0 = const int 0\n  %1 = const int 1\n  %zero = const f64 0.0\n  %ten = const f64 10.0\n"
        "  %t = build %m, %n (%i, %j) {\n    %v = get %x, %j, %i\n    yield %v\n  }\n"
        "  %c = copy %t\n  %s = set %c, %0, %1, %ten\n"
        "  %a = for %i.1 = %0, %m, %1 with (%b = %s) {\n    %d = acc %b, %i.1, %0, %ten\n    yield %d\n  }\n"
        "  %f = fill %ten, %n\n  %g = fill %zero, %n\n"
        "  %e = get %f, %0\n  %z = get %g, %1\n  %k = get %t, %0, %1\n  %sum = add %e, %z\n  %r = add %sum, "
        "%k\n"
        "  free %f\n  free %g\n  free %t\n  return %a, %r\n}\n",
        level(o));
    double x[6] = {1, 2, 3, 4, 5, 6}; // 2 x 3
    dprt_slot out[4];
    run_ok(c, "f", IN(P(x), I(2), I(3)), out);
    double *y = out[0].data;
    cr_assert_eq(out[1].i64, 3);
    cr_assert_eq(out[2].i64, 2);
    const double want[6] = {11, 10, 12, 5, 13, 6};
    for (int i = 0; i < 6; i++) cr_assert_eq(y[i], want[i], "%d: %g", i, y[i]);
    cr_assert_eq(out[3].f64, 14);
    dprt_free(c->ctx, y);
    cr_assert_eq(dprt_live_bytes(c->ctx), 0);
    drop(c);
  }
}

Test(arrays, in_the_frame) {
  EACH_LEVEL(o) {
    Code *c = compile("dp-ir 1\nfn @f(%x: f64) -> f64 export {\n"
                      "  %0 = const int 0\n  %1 = const int 1\n  %n = const int 5\n  %zero = const f64 0.0\n"
                      "  %a = fill %x, %n on_stack\n"
                      "  %b = build %n (%i) on_stack {\n    %f = itof f64 %i\n    %e = get %a, %i\n    %p = "
                      "mul %e, %f\n    yield %p\n  }\n"
                      "  %s = for %i.1 = %0, %n, %1 with (%t = %zero) {\n    %v = get %b, %i.1\n    %u = add "
                      "%t, %v\n    yield %u\n  }\n"
                      "  return %s\n}\n",
                      level(o));
    dprt_slot out;
    run_ok(c, "f", IN(F(2.0)), &out);
    cr_assert_eq(out.f64, 20);
    cr_assert_eq(dprt_peak_bytes(c->ctx), 0);
    drop(c);
  }
}

Test(arrays, growable) {
  EACH_LEVEL(o) {
    Code *c =
        compile("dp-ir 1\nfn @f(%g: f64[*] moved, %n: int) -> f64[*], int, f64 export {\n"
                "  %0 = const int 0\n  %1 = const int 1\n"
                "  %h = for %i = %0, %n, %1 with (%a = %g) {\n    %v = itof f64 %i\n    %b = push %a, %v\n   "
                " yield %b\n  }\n"
                "  %p = pop %h\n  %l = len %p\n  %k = sub %l, %1\n  check_index %k, %l \"g[k]\"\n  %last = "
                "get %p, %k\n"
                "  %e = empty f64\n  %z = len %e\n  %s = add %l, %z\n  free %e\n  return %p, %s, %last\n}\n",
                level(o));
    double x[2] = {-1, -2};
    dprt_slot out[4];
    run_ok(c, "f", IN(P(x), I(2), I(1000)), out);
    cr_assert_eq(out[1].i64, 1001);
    cr_assert_eq(out[2].i64, 1001);
    cr_assert_eq(out[3].f64, 998);
    double *y = out[0].data;
    cr_assert(y != x && y[0] == -1 && y[1] == -2 && y[2] == 0 && y[1000] == 998);
    cr_assert(x[0] == -1 && x[1] == -2);
    dprt_free(c->ctx, y);
    cr_assert_eq(dprt_live_bytes(c->ctx), 0);
    drop(c);
  }
}

Test(arrays, bools_strings_and_inout) {
  EACH_LEVEL(o) {
    Code *c = compile(
        "dp-ir 1\nfn @f(%n: int, %x: f64[%n] moved, %p: bool[%n]) -> f64[_], bool[_], str sizes 1 export {\n"
        "  %zero = const int 0\n  %one = const int 1\n  %half = const f64 0.5\n"
        "  %y = for %i = %zero, %n, %one with (%a = %x) {\n"
        "    %q = get %p, %i\n    %v = get %a, %i\n    %w = mul %v, %half\n    %u = select %q, %w, %v\n"
        "    %b = set %a, %i, %u\n    yield %b\n  }\n"
        "  %r = build %n (%j) {\n    %t = get %p, %j\n    %k = not %t\n    yield %k\n  }\n"
        "  %s = str \"done\"\n  return %y, %r, %s\n}\n",
        level(o));
    double x[70];
    bool p[70];
    for (int i = 0; i < 70; i++) x[i] = i, p[i] = i % 3 == 0;
    dprt_slot out[5];
    run_ok(c, "f", IN(P(x), I(70), P(p), I(70)), out);
    for (int i = 0; i < 70; i++) {
      cr_assert_eq(x[i], i, "the caller's array was written to");
      cr_assert_eq(((double *)out[0].data)[i], p[i] ? i * 0.5 : i);
      cr_assert_eq(((bool *)out[2].data)[i], !p[i]);
    }
    cr_assert_str_eq(out[4].str, "done");
    drop(c);
  }
}

Test(arrays, matrix_products) {
  const char *flags[] = {"", " trans_a", " trans_b", " trans_a trans_b"};
  for (int n = 2; n <= 6; n += 4) { // unrolled, and by the runtime
    for (int t = 0; t < 4; t++) {
      char text[700];
      snprintf(text, sizeof text,
               "dp-ir 1\nfn @f(%%x: f64[%%n, %%n], %%y: f64[%%n, %%n]) -> f64[_, _] export {\n"
               "  %%n = const int %d\n  return %%x\n}\n",
               n);
      snprintf(
          text, sizeof text,
          "dp-ir 1\nfn @f(%%m: int, %%x: f64[%%m, %%m], %%y: f64[%%m, %%m]) -> f64[_, _] sizes 1 export {\n"
          "  %%n = const int %d\n"
          "  %%a = build %%n, %%n (%%i, %%j) {\n    %%v = get %%x, %%i, %%j\n    yield %%v\n  }\n"
          "  %%b = build %%n, %%n (%%k, %%l) {\n    %%w = get %%y, %%k, %%l\n    yield %%w\n  }\n"
          "  %%c = matmul %%a, %%b%s\n  %%d = matacc %%c, %%a, %%b%s\n  free %%a\n  free %%b\n  return "
          "%%d\n}\n",
          n, flags[t], flags[t]);
      Code *c = compile(text, level(2));
      double x[36], y[36];
      for (int i = 0; i < n * n; i++) x[i] = i + 1, y[i] = 2 * i - 3;
      dprt_slot out[3];
      run_ok(c, "f", IN(P(x), I(n), I(n), P(y), I(n), I(n)), out);
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          double want = 0;
          for (int k = 0; k < n; k++)
            want += (t & 1 ? x[k * n + i] : x[i * n + k]) * (t & 2 ? y[j * n + k] : y[k * n + j]);
          cr_assert_eq(((double *)out[0].data)[i * n + j], 2 * want);
        }
      }
      dprt_free(c->ctx, out[0].data);
      cr_assert_eq(dprt_live_bytes(c->ctx), 0);
      drop(c);
    }
  }
}

Test(arrays, swapped_buffers_in_a_loop) {
  // Two carried arrays that change places: what is said about aliasing must not let the vectoriser mix them up.
  EACH_LEVEL(o) {
    Code *c = compile(
        "dp-ir 1\nfn @f(%n: int, %x: f64[%n], %steps: int) -> f64[_] sizes 1 export {\n"
        "  %zero = const int 0\n  %one = const int 1\n  %half = const f64 0.5\n"
        "  %a = copy %x\n  %b = copy %x\n"
        "  %p, %q = for %t = %zero, %steps, %one with (%u = %a, %v = %b) {\n"
        "    %last = sub %n, %one\n"
        "    %w = for %i = %one, %last, %one with (%d = %v) {\n"
        "      %l = sub %i, %one\n      %r = add %i, %one\n      %e = get %u, %l\n      %f = get %u, %r\n"
        "      %s = add %e, %f\n      %h = mul %s, %half\n      %g = set %d, %i, %h\n      yield %g\n    }\n"
        "    yield %w, %u\n  }\n  free %q\n  return %p\n}\n",
        level(o));
    enum { N = 101 };
    double x[N], u[N], v[N];
    for (int i = 0; i < N; i++) x[i] = u[i] = v[i] = (i * 37) % 11;
    for (int t = 0; t < 9; t++) {
      for (int i = 1; i < N - 1; i++) v[i] = (u[i - 1] + u[i + 1]) * 0.5;
      double w[N];
      memcpy(w, u, sizeof u), memcpy(u, v, sizeof u), memcpy(v, w, sizeof u);
    }
    dprt_slot out[2];
    run_ok(c, "f", IN(P(x), I(N), I(9)), out);
    for (int i = 0; i < N; i++) cr_assert_eq(((double *)out[0].data)[i], u[i], "%d", i);
    dprt_free(c->ctx, out[0].data);
    drop(c);
  }
}

Test(arrays, inlined_twice_with_the_operands_swapped) {
  EACH_LEVEL(o) {
    Code *c =
        compile("dp-ir 1\n"
                "fn @step(%n: int, %x: f64[%n], %y: f64[%n] moved) -> f64[_] sizes 1 {\n"
                "  %zero = const int 0\n  %one = const int 1\n"
                "  %r = for %i = %zero, %n, %one with (%a = %y) {\n    %u = get %x, %i\n    %v = get %a, %i\n"
                "    %w = add %u, %v\n    %b = set %a, %i, %w\n    yield %b\n  }\n  return %r\n}\n"
                "fn @f(%n: int, %x: f64[%n]) -> f64[_], f64[_] sizes 1 export {\n"
                "  %a = copy %x\n  %b = copy %x\n"
                "  %c = call @step(%n, %a, %b) -> f64[%n]\n  %d = call @step(%n, %c, %a) -> f64[%n]\n"
                "  %e = call @step(%n, %d, %c) -> f64[%n]\n  return %d, %e\n}\n",
                level(o));
    double x[50];
    for (int i = 0; i < 50; i++) x[i] = i;
    dprt_slot out[4];
    run_ok(c, "f", IN(P(x), I(50)), out);
    for (int i = 0; i < 50; i++) {
      cr_assert_eq(((double *)out[0].data)[i], 3 * i);
      cr_assert_eq(((double *)out[2].data)[i], 5 * i);
    }
    drop(c);
  }
}

// ---- errors ----------------------------------------------------------------------------------------------------------

static void expect_error(Code *c, const char *func, const dprt_slot *in, dprt_status status,
                         const char *part) {
  dprt_slot out[8];
  cr_assert_eq(run(c, func, in, out), (int32_t)status, "%s", dprt_error_text(c->ctx));
  cr_assert(strstr(dprt_error_text(c->ctx), part), "`%s` in\n%s", part, dprt_error_text(c->ctx));
  cr_assert_eq(dprt_live_bytes(c->ctx), 0);
  dprt_clear_error(c->ctx);
}

Test(errors, checks_name_their_place) {
  EACH_LEVEL(o) {
    Code *c = compile("dp-ir 1\nfn @f(%n: int, %x: f64[%n], %i: int, %j: int) -> f64 sizes 1 export {\n"
                      "  %a = copy %x\n"
                      "  check_index %i, %n \"x[i]\"\n"
                      "  check_div %j\n"
                      "  check_size %j, %n \"x + y\"\n"
                      "  check_range %i, %j, %n \"x\"\n"
                      "  %v = get %a, %i\n"
                      "  %z = const f64 0.0\n  %ok = le %z, %v\n  %text = format \"{} is {:.2}\" (%i, %v)\n"
                      "  assert %ok, %text\n  free %a\n  return %v\n}\n",
                      level(o));
    double x[3] = {1, 2, -3};
    dprt_slot out;
    run_ok(c, "f", IN(P(x), I(3), I(1), I(3)), &out);
    cr_assert_eq(out.f64, 2);
    expect_error(c, "f", IN(P(x), I(3), I(3), I(3)), DPRT_INDEX,
                 "test.ir:4:3: error: index 3 is out of range for `x[i]` of size 3");
    expect_error(c, "f", IN(P(x), I(3), I(-1), I(3)), DPRT_INDEX, "index -1 is out of range");
    expect_error(c, "f", IN(P(x), I(3), I(0), I(0)), DPRT_ARITH,
                 "test.ir:5:3: error: division of an int by zero");
    expect_error(c, "f", IN(P(x), I(3), I(0), I(2)), DPRT_SIZE, "sizes 2 and 3 do not fit in `x + y`");
    expect_error(c, "f", IN(P(x), I(3), I(2), I(3)), DPRT_ASSERT, "assertion failed: 2 is -3.00");
    drop(c);
  }
}

Test(errors, entries_check_sizes) {
  Code *c =
      compile("dp-ir 1\nfn @f(%n: int, %m: int, %a: f64[%n, %m] \"m.w\", %b: f64[%m], %k: int) -> int sizes "
              "2 export {\n"
              "  %s = add %n, %m\n  %t = add %s, %k\n  return %t\n}\n"
              "fn @g(%n: int, %x: f64) -> f64[_] sizes 1 export {\n  %y = fill %x, %n\n  return %y\n}\n",
              level(2));
  double x[12] = {0};
  dprt_slot out[2];
  run_ok(c, "f", IN(P(x), I(3), I(4), P(x), I(4), I(5)), out);
  cr_assert_eq(out[0].i64, 12);
  expect_error(c, "f", IN(P(x), I(3), I(4), P(x), I(3), I(5)), DPRT_SIZE,
               "`b` has the size 3 along axis 0, but `m.w` has 4 along axis 1");
  expect_error(c, "f", IN(P(x), I(-3), I(4), P(x), I(4), I(5)), DPRT_SIZE,
               "`m.w` has the size -3 along axis 0");
  run_ok(c, "g", IN(I(7), F(2.5)), out); // a size that no array has: an int of its own
  cr_assert_eq(out[1].i64, 7);
  cr_assert_eq(((double *)out[0].data)[6], 2.5);
  dprt_free(c->ctx, out[0].data);
  expect_error(c, "g", IN(I(-7), F(2.5)), DPRT_SIZE, "sizes cannot be negative");
  expect_error(c, "g", IN(I(INT64_MAX), F(2.5)), DPRT_MEMORY, "larger than any memory");
  drop(c);
}

Test(errors, allocation_names_its_place) {
  EACH_LEVEL(o) {
    Code *c =
        compile("dp-ir 1\nfn @f(%k: int) -> f64 export {\n  %one = const f64 1.0\n  %zero = const int 0\n"
                "  %a = fill %one, %k, %k, %k, %k, %k, %k\n  %v = get %a, %zero, %zero, %zero, %zero, %zero, "
                "%zero\n  free %a\n  return %v\n}\n",
                level(o));
    dprt_slot out;
    run_ok(c, "f", IN(I(3)), &out);
    cr_assert_eq(out.f64, 1);
    expect_error(c, "f", IN(I(-2)), DPRT_SIZE, "test.ir:5:");
    expect_error(c, "f", IN(I(1 << 30)), DPRT_SIZE,
                 "negative"); // six sizes: the product of the last does not fit
    dprt_memory_limit(c->ctx, 1 << 20);
    expect_error(c, "f", IN(I(30)), DPRT_MEMORY, "test.ir:5:");
    drop(c);
  }
}

Test(errors, endless_recursion_ends) {
  EACH_LEVEL(o) {
    Code *c = compile(
        "dp-ir 1\n"
        "fn @odd(%n: int) -> int {\n  %one = const int 1\n  %k = add %n, %one\n  %r = call @even(%k) -> int\n"
        "  %s = add %r, %one\n  return %s\n}\n"
        "fn @even(%n: int) -> int {\n  %0 = const int 0\n  %stop = eq %n, %0\n  %r = if %stop {\n    yield "
        "%0\n  } else {\n"
        "    %one = const int 1\n    %k = sub %n, %one\n    %q = call @odd(%k) -> int\n    %p = mul %q, %n\n "
        "   yield %p\n  }\n  return %r\n}\n"
        "fn @fib(%n: int) -> int {\n  %two = const int 2\n  %small = lt %n, %two\n  %r = if %small {\n    "
        "yield %n\n  } else {\n"
        "    %one = const int 1\n    %a = sub %n, %one\n    %b = sub %n, %two\n    %c = call @fib(%a) -> "
        "int\n"
        "    %d = call @fib(%b) -> int\n    %e = add %c, %d\n    yield %e\n  }\n  return %r\n}\n"
        "fn @f(%n: int) -> int export {\n  %r = call @odd(%n) -> int\n  return %r\n}\n"
        "fn @g(%n: int) -> int export {\n  %r = call @fib(%n) -> int\n  return %r\n}\n",
        level(o));
    expect_error(c, "f", IN(I(5)), DPRT_STACK, "too deep");
    dprt_slot out;
    run_ok(c, "g", IN(I(20)), &out);
    cr_assert_eq(out.i64, 6765);
    drop(c);
  }
}

// ---- text, calls out -------------------------------------------------------------------------------------------------

Test(effects, print_and_format) {
  EACH_LEVEL(o) {
    Code *c =
        compile("dp-ir 1\nfn @f(%n: int, %x: f64[%n], %p: bool, %s: str, %h: f32) sizes 1 export effects {\n"
                "  %t = format \"{{{}}} x = {:.1}, p {} {} {:.3} end\" (%n, %x, %p, %s, %h)\n  print %t\n  "
                "return\n}\n",
                level(o));
    double x[2] = {1, 2.5};
    dprt_slot in[5] = {{.data = x}, {.i64 = 2}, {.i64 = 0}, {.str = "text"}, {.i64 = 0}}, out;
    in[2].b = true;
    in[4].f32 = 0.5f;
    run_ok(c, "f", in, &out);
    cr_assert_str_eq(c->printed.data, "{2} x = [1.0, 2.5], p true text 0.500 end\n");
    drop(c);
  }
}

static double host_scale(double x, int64_t k) { return x * (double)k; }
static double host_sum(const double *x, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i];
  return s;
}
static bool host_flip(bool b) { return !b; }

// (x: [n]f64, k: int) -> (int, [n, 2]f64): a slot function of the host's.
static int32_t host_slots(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  int64_t n = in[1].i64;
  if (in[2].i64 < 0) return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx), "k is negative");
  double *y = dprt_alloc(ctx, 8, n, 2, 1, 1);
  if (!y) return DPRT_MEMORY;
  for (int64_t i = 0; i < n; i++) y[2 * i] = ((double *)in[0].data)[i], y[2 * i + 1] = (double)in[2].i64;
  out[0].i64 = 42;
  out[1].data = y;
  out[2].i64 = n;
  out[3].i64 = 2;
  return 0;
}

static HostSymbol host_table[] = {{"host_scale", (void *)host_scale},
                                  {"host_sum", (void *)host_sum},
                                  {"host_flip", (void *)host_flip},
                                  {"host_slots", (void *)host_slots}};
static HostSymbols host = {.data = host_table, .len = 4, .cap = 4};

Test(effects, externs) {
  EACH_LEVEL(o) {
    Code c = compile_with(
        "dp-ir 1\nfn @f(%n: int, %x: f64[%n], %k: int) -> f64, f64, bool, int, f64[_, _] sizes 1 export "
        "effects {\n"
        "  %zero = const int 0\n  %one = const int 1\n  %v = get %x, %one\n"
        "  %a = extern \"host_scale\" pure (%v, %k) -> f64\n  %s = extern \"host_sum\" pure (%x) -> f64\n"
        "  %p = lt %k, %zero\n  %q = extern \"host_flip\" (%p) -> bool\n"
        "  %t, %rows, %cols, %m = extern \"host_slots\" slots (%x, %k) -> int, int, int, f64[%rows, %cols]\n"
        "  return %a, %s, %q, %t, %m\n}\n",
        level(o), &host);
    open_context(&c);
    double x[3] = {1, 2, 3};
    dprt_slot out[7];
    run_ok(&c, "f", IN(P(x), I(3), I(5)), out);
    cr_assert(out[0].f64 == 10 && out[1].f64 == 6 && out[2].b && out[3].i64 == 42);
    cr_assert(out[5].i64 == 3 && out[6].i64 == 2 && ((double *)out[4].data)[5] == 5 &&
              ((double *)out[4].data)[4] == 3);
    dprt_free(c.ctx, out[4].data);
    expect_error(&c, "f", IN(P(x), I(3), I(-5)), DPRT_ARGUMENT, "test.ir:10:");
    dprt_ctx_free(c.ctx);
    region_unmap(&c.code);
    arena_free(c.arena);
  }
}

Test(effects, an_unknown_extern_is_refused) {
  Arena *a = arena_new(0);
  IrModule *m = parse(a, "dp-ir 1\nfn @f(%x: f64) -> f64 export effects {\n  %y = extern "
                         "\"no_such_function\" (%x) -> f64\n  return %y\n}\n");
  CgOptions opt = level(1);
  const char *why = NULL;
  CgModule *cg = cg_module(a, m, &opt, NULL, &why);
  cr_assert_not_null(cg, "%s", why);
  Region code = {0};
  cr_assert_null(jit_new(a, cg, &(JitHost){symbol_find, NULL}, &code, &why));
  cr_assert(strstr(why, "`no_such_function` is not known"), "%s", why);
  region_unmap(&code);
  arena_free(a);
}

static void refused(const char *text, const char *part) {
  Arena *a = arena_new(0);
  CgOptions opt = level(2);
  const char *why = NULL;
  cr_assert_null(cg_module(a, parse(a, text), &opt, NULL, &why));
  cr_assert(strstr(why, part), "%s", why);
  arena_free(a);
}

Test(errors, what_the_memory_pass_would_not_leave) {
  refused("dp-ir 1\nfn @f(%n: int, %x: f64[%n], %v: f64) -> f64 sizes 1 export {\n  %0 = const int 0\n"
          "  %y = set %x, %0, %v\n  %e = get %y, %0\n  return %e\n}\n",
          "`set` would write to an array that is not its own");
  refused("dp-ir 1\nfn @f(%n: int, %x: f64[%n]) -> f64[_] sizes 1 export {\n  return %x\n}\n",
          "result 0 of `f` is an array that belongs to another");
}

Test(effects, an_unknown_processor_is_refused) {
  Arena *a = arena_new(0);
  IrModule *m = parse(a, "dp-ir 1\nfn @f(%x: f64) -> f64 export {\n  return %x\n}\n");
  CgOptions opt = {.cpu = "znver9"};
  const char *why = NULL;
  cr_assert_null(cg_module(a, m, &opt, NULL, &why));
  cr_assert(strstr(why, "unknown processor `znver9`; did you mean `znver"), "%s", why);
  arena_free(a);
}

// ---- training --------------------------------------------------------------------------------------------------------

// (w x - y)^2, meaned: the loss, and the loss with its gradient, as differentiation would leave them.
static const char training[] =
    "dp-ir 1\n"
    "fn @loss(%n: int, %d: int, %w: f64[%d], %b: f64, %x: f64[%n, %d], %y: f64[%n]) -> f64 sizes 2 {\n"
    "  %l, %gw, %gb = call @both(%n, %d, %w, %b, %x, %y) -> f64, f64[%d], f64\n  free %gw\n  return %l\n}\n"
    "fn @both(%n: int, %d: int, %w: f64[%d], %b: f64, %x: f64[%n, %d], %y: f64[%n]) -> f64, f64[_], f64 "
    "sizes 2 {\n"
    "  %0 = const int 0\n  %1 = const int 1\n  %zero = const f64 0.0\n  %two = const f64 2.0\n  %count = "
    "itof f64 %n\n"
    "  %g0 = fill %zero, %d\n"
    "  %s, %g, %h = for %i = %0, %n, %1 with (%a = %zero, %ga = %g0, %gb = %zero) {\n"
    "    %p = for %j = %0, %d, %1 with (%q = %b) {\n      %u = get %w, %j\n      %v = get %x, %i, %j\n      "
    "%m = mul %u, %v\n      %t = add %q, %m\n      yield %t\n    }\n"
    "    %z = get %y, %i\n    %e = sub %p, %z\n    %e2 = mul %e, %e\n    %e3 = div %e2, %count\n    %a1 = "
    "add %a, %e3\n"
    "    %f = mul %two, %e\n    %f1 = div %f, %count\n"
    "    %gc = for %k = %0, %d, %1 with (%gd = %ga) {\n      %o = get %x, %i, %k\n      %r = mul %o, %f1\n   "
    "   %ge = acc %gd, %k, %r\n      yield %ge\n    }\n"
    "    %gb1 = add %gb, %f1\n    yield %a1, %gc, %gb1\n  }\n"
    "  return %s, %g, %h\n}\n"
    "fn @fit(%n: int, %d: int, %k: int, %w: f64[%d], %b: f64, %x: f64[%n, %d], %y: f64[%n], %o: f64[%k] ) -> "
    "f64[_], f64, f64, int, f64[_] sizes 3 export effects {\n"
    "  %e = const int 300\n  %0 = const int 0\n  %1 = const int 1\n  %no = const bool false\n  %z = const "
    "f64 0.0\n  %none = str \"\"\n"
    "  %v, %c, %l, %val, %epochs, %steps, %stopped, %best, %h, %hist = train @loss, @both params 2 data 2 "
    "(%w, %b, %x, %y, %o, %e, %0, %1, %no, %0, %z, %z, %0, %z, %none, %none, %no) -> f64[%d], f64, f64, f64, "
    "int, int, bool, int, int, f64[%h]\n"
    "  return %v, %c, %l, %steps, %hist\n}\n"
    "fn @least(%n: int, %d: int, %k: int, %w: f64[%d], %b: f64, %x: f64[%n, %d], %y: f64[%n], %o: f64[%k]) "
    "-> f64[_], f64, f64, bool, f64[_, _] sizes 3 export effects {\n"
    "  %until = const f64 1e-6\n  %e = const int 4000\n  %yes = const bool true\n  %no = const bool false\n"
    "  %v, %c, %l, %norm, %steps, %ok, %stalled, %calls, %r, %q, %path = minimize @loss, @both params 2 data "
    "2 "
    "(%w, %b, %x, %y, %o, %no, %until, %e, %yes) -> f64[%d], f64, f64, f64, int, bool, bool, int, int, int, "
    "f64[%r, %q]\n"
    "  return %v, %c, %norm, %ok, %path\n}\n";

Test(training, a_line_is_found) {
  enum { N = 40 };
  double w[2] = {0, 0}, x[2 * N], y[N], o[DPRT_OPTIMIZER_HEADER];
  for (int i = 0; i < N; i++)
    x[2 * i] = sin(i), x[2 * i + 1] = cos(3.0 * i), y[i] = 2 * x[2 * i] - 3 * x[2 * i + 1] + 0.5;
  dprt_optimizer_defaults(DPRT_ADAM, o);
  o[DPRT_OPT_LR] = 0.1;
  for (int l = 0; l <= 2; l += 2) {
    Code *c = compile(training, level(l));
    const dprt_slot *in =
        IN(P(w), I(2), F(0.0), P(x), I(N), I(2), P(y), I(N), P(o), I(DPRT_OPTIMIZER_HEADER));
    dprt_slot out[9];
    run_ok(c, "fit", in, out);
    double *v = out[0].data;
    cr_assert(fabs(v[0] - 2) < 1e-3 && fabs(v[1] + 3) < 1e-3 && fabs(out[2].f64 - 0.5) < 1e-3, "%g %g %g",
              v[0], v[1], out[2].f64);
    cr_assert_lt(out[3].f64, 1e-5);
    cr_assert_eq(out[4].i64, 300);
    cr_assert_eq(out[6].i64, 300);
    cr_assert(((double *)out[5].data)[0] > 1 && ((double *)out[5].data)[299] < 1e-5);
    dprt_free(c->ctx, v);
    dprt_free(c->ctx, out[5].data);
    cr_assert_eq(dprt_live_bytes(c->ctx), 0);
    run_ok(c, "least", in, out);
    cr_assert(out[4].b && out[3].f64 <= 1e-6 && fabs(((double *)out[0].data)[0] - 2) < 1e-5);
    cr_assert(out[7].i64 == 3 && ((double *)out[5].data)[0] == 0 && out[6].i64 > 10);
    dprt_free(c->ctx, out[0].data);
    dprt_free(c->ctx, out[5].data);
    cr_assert_eq(dprt_live_bytes(c->ctx), 0);
    cr_assert(w[0] == 0 && w[1] == 0);
    drop(c);
  }
}
