// The oracle: values against quadruple precision constants and against the C library, arrays shared and in place, errors
// in the runtime's words.
#include "ir_world.h"

#include <math.h>

static StrBuf printed;
static IrInterp oracle;

static void start(void) {
  world_start();
  sb_init(&printed, w.arena);
}

TestSuite(interp, .init = start, .fini = world_stop);

static void load_text(const char *text) {
  w.module = parse("test.ir", text);
  oracle = (IrInterp){.arena = w.arena, .module = w.module, .printed = &printed};
}

static void load_file(const char *file) {
  const char *why = NULL;
  size_t len;
  char *text = file_read(w.arena, arena_printf(w.arena, "%s/tests/ir/%s", DP_SOURCE_DIR, file), &len, &why);
  cr_assert_not_null(text, "%s", why);
  load_text(text);
}

static bool run(const char *func, const IrCell *args, IrCell *results) {
  const IrFunc *f = ir_func_find(w.module, intern_cstr(w.names, func));
  cr_assert_not_null(f, "%s", func);
  return ir_interp(&oracle, f, args, results);
}

static void run_ok(const char *func, const IrCell *args, IrCell *results) {
  cr_assert(run(func, args, results), "%s", oracle.error);
}

static double at(const IrCell *c, int64_t i) { return (double)ir_cell_at(c, i); }

static IrCell vector(int64_t n, const double *vals) { return ir_cell_array(w.arena, IR_F64, 1, &n, vals); }

// ---- values ------------------------------------------------------------------------------------------------------

Test(interp, logsumexp_beyond_f64) {
  load_file("logsumexp.ir");
  IrCell r, args[] = {ir_cell_int(3), vector(3, (double[]){1, 2, 3})};
  run_ok("logsumexp", args, &r);
  // 3.40760596444438030448291990454507...: the part past the nearest double must agree as well
  double nearest = 3.40760596444438, rest = 1.73398675337226250988e-16;
  cr_assert_eq((double)r.v.q, nearest);
  cr_assert_float_eq((double)(r.v.q - nearest), rest, 1e-32);
  oracle.round = true;
  run_ok("logsumexp", args, &r);
  cr_assert(r.v.q == (__float128)(double)r.v.q);
  cr_assert_float_eq((double)r.v.q, nearest, 1e-15);
}

Test(interp, arrays) {
  load_file("arrays.ir");
  IrCell r[2], n = ir_cell_int(5);
  run_ok("squares", &n, r);
  cr_assert_eq(r[0].dims[0], 5);
  for (int i = 0; i < 5; i++) cr_assert_eq(at(r, i), i * i);
  int64_t six = 6;
  IrCell h[] = {ir_cell_int(6), ir_cell_int(3),
                ir_cell_ints(w.arena, 1, &six, (int64_t[]){0, 2, 2, 1, 2, 0})};
  run_ok("histogram", h, r);
  cr_assert_eq(at(r, 0), 2);
  cr_assert_eq(at(r, 1), 1);
  cr_assert_eq(at(r, 2), 3);
  IrCell seven = ir_cell_int(7);
  run_ok("collatz", &seven, r);
  const int steps[] = {7, 22, 11, 34, 17, 52, 26, 13, 40, 20, 10, 5, 16, 8, 4, 2, 1};
  cr_assert_eq(r[0].dims[0], 17);
  for (int i = 0; i < 17; i++) cr_assert_eq(at(r, i), steps[i]);
}

Test(interp, matrices) {
  load_file("arrays.ir");
  // p = x yᵀ, q = x + y by element: pᵀ q and 1 + p qᵀ
  const double x[] = {1, 2, 3}, y[] = {0.5, -1, 4};
  IrCell r[2], args[] = {ir_cell_int(3), ir_cell_int(3), vector(3, x), vector(3, y)};
  run_ok("outer", args, r);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      double g = 0, h = 1;
      for (int k = 0; k < 3; k++) g += x[k] * y[i] * (x[k] + y[j]), h += x[i] * y[k] * (x[j] + y[k]);
      cr_assert_eq(at(&r[0], i * 3 + j), g);
      cr_assert_eq(at(&r[1], i * 3 + j), h);
    }
  args[1] = ir_cell_int(2);
  cr_assert_not(run("outer", args, r));
  cr_assert_str_eq(oracle.error, "in @outer: %y has size 3 along axis 0 where its type says 2");
}

Test(interp, calls_and_prints) {
  load_file("calls.ir");
  IrCell r, n = ir_cell_int(10);
  run_ok("fact", &n, &r);
  cr_assert_eq(r.v.i, 3628800);
  IrCell x = ir_cell_f64(2);
  run_ok("shout", &x, NULL);
  cr_assert_str_eq(printed.data, "softplus(2.0) = 2.126928\n");
}

// ---- every scalar operation against the C library ---------------------------------------------------------------

typedef struct MathCase {
  const char *op;
  double (*f1)(double);
  double (*f2)(double, double);
} MathCase;

static double sign_of(double x) { return isnan(x) ? x : (x > 0) - (x < 0); }

static const MathCase math_cases[] = {
    {"sqrt", sqrt, 0},    {"cbrt", cbrt, 0},   {"exp", exp, 0},     {"exp2", exp2, 0},   {"expm1", expm1, 0},
    {"log", log, 0},      {"log2", log2, 0},   {"log10", log10, 0}, {"log1p", log1p, 0}, {"sin", sin, 0},
    {"cos", cos, 0},      {"tan", tan, 0},     {"asin", asin, 0},   {"acos", acos, 0},   {"atan", atan, 0},
    {"atan2", 0, atan2},  {"sinh", sinh, 0},   {"cosh", cosh, 0},   {"tanh", tanh, 0},   {"asinh", asinh, 0},
    {"acosh", acosh, 0},  {"atanh", atanh, 0}, {"pow", 0, pow},     {"hypot", 0, hypot}, {"erf", erf, 0},
    {"erfc", erfc, 0},    {"floor", floor, 0}, {"ceil", ceil, 0},   {"round", round, 0}, {"trunc", trunc, 0},
    {"sign", sign_of, 0}, {"abs", fabs, 0},
};

static void check_math(const MathCase *c, double x, double y) {
  const char *call = c->f2 ? "%x, %y" : "%x";
  load_text(arena_printf(w.arena, "dp-ir 1 fn @f(%%x: f64, %%y: f64) -> f64 { %%r = %s %s return %%r }",
                         c->op, call));
  IrCell r, args[] = {ir_cell_f64(x), ir_cell_f64(y)};
  oracle.round = true;
  run_ok("f", args, &r);
  double got = (double)r.v.q, want = c->f2 ? c->f2(x, y) : c->f1(x);
  bool same = isnan(want) ? isnan(got) : got == want || fabs(got - want) <= 4e-16 * fabs(want);
  cr_expect(same, "%s(%g, %g): %.17g, not %.17g", c->op, x, y, got, want);
}

Test(interp, elementary_functions) {
  const double points[] = {0.3, -0.7, 1.5, 2.5, -3.25, 0.0, INFINITY, -INFINITY, NAN};
  for (size_t i = 0; i < sizeof math_cases / sizeof math_cases[0]; i++)
    for (int k = 0; k < 9; k++) check_math(&math_cases[i], points[k], 1.75);
}

Test(interp, every_elementary_function_is_tested) {
  for (int k = 0; k < IR_OP_COUNT; k++) {
    bool found = !(ir_op_info[k].flags & IR_MATH);
    for (size_t i = 0; i < sizeof math_cases / sizeof math_cases[0]; i++)
      found |= strcmp(math_cases[i].op, ir_op_info[k].text) == 0;
    cr_expect(found, "%s", ir_op_info[k].text);
  }
}

static int64_t int_op(const char *op, int64_t a, int64_t b) {
  load_text(
      arena_printf(w.arena, "dp-ir 1 fn @f(%%a: int, %%b: int) -> int { %%r = %s %%a, %%b return %%r }", op));
  IrCell r = {0}, args[] = {ir_cell_int(a), ir_cell_int(b)};
  run_ok("f", args, &r);
  return r.v.i;
}

Test(interp, ints) {
  cr_expect_eq(int_op("idiv", 7, 2), 3);
  cr_expect_eq(int_op("idiv", -7, 2), -4);
  cr_expect_eq(int_op("idiv", 7, -2), -4);
  cr_expect_eq(int_op("idiv", -8, -2), 4);
  cr_expect_eq(int_op("idiv", INT64_MIN, -1), INT64_MIN);
  cr_expect_eq(int_op("imod", -7, 2), 1);
  cr_expect_eq(int_op("imod", 7, -2), -1);
  cr_expect_eq(int_op("imod", INT64_MIN, -1), 0);
  cr_expect_eq(int_op("ipow", -3, 3), -27);
  cr_expect_eq(int_op("ipow", 2, -1), 0);
  cr_expect_eq(int_op("ipow", -1, -3), -1);
  cr_expect_eq(int_op("ipow", 1, -3), 1);
  cr_expect_eq(int_op("ipow", 3, 100), int_op("mul", int_op("ipow", 3, 50), int_op("ipow", 3, 50)));
  cr_expect_eq(int_op("add", INT64_MAX, 1), INT64_MIN);
  cr_expect_eq(int_op("min", 3, -2), -2);
}

static double float_op(const char *head, const char *op, double a, double b) {
  load_text(
      arena_printf(w.arena, "dp-ir 1 fn @f(%%a: f64, %%b: f64) -> %s { %%r = %s return %%r }", head, op));
  IrCell r = {0}, args[] = {ir_cell_f64(a), ir_cell_f64(b)};
  run_ok("f", args, &r);
  return ir_is_float(r.type) ? (double)r.v.q : (double)r.v.i;
}

Test(interp, floats_at_their_edges) {
  cr_expect_eq(float_op("f64", "min %a, %b", 1, 2), 1);
  cr_expect(isnan(float_op("f64", "min %a, %b", 1, NAN)));
  cr_expect(isnan(float_op("f64", "max %a, %b", NAN, 1)));
  cr_expect(signbit(float_op("f64", "max %a, %b", -0.0, 0.0)));
  cr_expect_not(signbit(float_op("f64", "min %a, %b", 0.0, -0.0)));
  cr_expect_eq(float_op("int", "ftoi int %a", -2.9, 0), -2);
  cr_expect_eq(float_op("int", "ftoi int %a", NAN, 0), 0);
  cr_expect_eq(float_op("int", "ftoi int %a", 1e30, 0), (double)INT64_MAX);
  cr_expect_eq(float_op("int", "ftoi int %a", -1e30, 0), (double)INT64_MIN);
  cr_expect_eq(float_op("bool", "lt %a, %b", NAN, 1), 0);
  cr_expect_eq(float_op("bool", "ne %a, %b", NAN, 1), 1);
  cr_expect_eq(float_op("f64", "sub %a, %b", 1e17, 0.25), 1e17); // kept in quad, rounded by the test
}

Test(interp, rounding_is_asked_for) {
  const char *text =
      "dp-ir 1 fn @f(%a: f64, %b: f64) -> f64, f32, f64 {"
      " %s = add %a, %b %r = sub %s, %a %n = fcvt f32 %b %m = neg %a %e = fma %a, %a, %m return %r, %n, %e }";
  load_text(text);
  IrCell r[3], args[] = {ir_cell_f64(1), ir_cell_f64(0.1 * 0x1p-60)};
  run_ok("f", args, r);
  cr_expect(r[0].v.q != 0);
  cr_expect(r[1].v.q == args[1].v.q);
  oracle.round = true;
  run_ok("f", args, r);
  cr_expect(r[0].v.q == 0);
  cr_expect(r[1].v.q == (__float128)(float)(double)args[1].v.q);
  cr_expect(r[2].v.q == 0);
}

// ---- arrays are values ---------------------------------------------------------------------------------------------

Test(interp, set_leaves_other_holders_alone) {
  load_text("dp-ir 1 fn @f(%n: int, %v: f64[%n]) -> f64[_], f64[_], f64[_] sizes 1 {"
            " %0 = const int 0 %x = const f64 9.0 %a = set %v, %0, %x %c = copy %a %y = add %x, %x"
            " %b = set %c, %0, %y return %v, %a, %b }");
  IrCell r[3], args[] = {ir_cell_int(2), vector(2, (double[]){1, 2})};
  run_ok("f", args, r);
  cr_expect_eq(at(&r[0], 0), 1);
  cr_expect_eq(at(&r[1], 0), 9);
  cr_expect_eq(at(&r[2], 0), 18);
  cr_expect_eq(at(&args[1], 0), 1);
}

// The condition uses up its own arguments; carried values trade places.
Test(interp, loops_carry_arrays) {
  load_text("dp-ir 1 fn @f(%n: int, %v: int[%n], %u: int[%n]) -> int[_], int[_] sizes 1 {"
            " %0 = const int 0 %1 = const int 1 %5 = const int 5"
            " %a, %b, %k = while with (%p = %v, %q = %u, %i = %0) {"
            "   %s = set %p, %0, %5 %e = get %s, %0 %c = lt %i, %e yield %c"
            " } do (%x, %y, %j) {"
            "   %s2 = acc %x, %0, %1 %j2 = add %j, %1 yield %y, %s2, %j2"
            " } return %a, %b }");
  int64_t one = 1;
  IrCell r[2], args[] = {ir_cell_int(1), ir_cell_ints(w.arena, 1, &one, (int64_t[]){10}),
                         ir_cell_ints(w.arena, 1, &one, (int64_t[]){20})};
  run_ok("f", args, r);
  cr_expect_eq(at(&r[0], 0), 22);
  cr_expect_eq(at(&r[1], 0), 13);
}

Test(interp, branches_use_up_what_they_own) {
  load_text("dp-ir 1 fn @f(%n: int) -> f64[_] sizes 1 {"
            " %0 = const int 0 %1 = const int 1 %two = const int 2 %x = const f64 0.0 %y = const f64 1.0"
            " %z = fill %x, %n"
            " %r = for %i = %0, %n, %1 with (%a = %z) {"
            "   %m = imod %i, %two %odd = eq %m, %1"
            "   %b = if %odd -> f64[%n] { %c = set %a, %i, %y yield %c } else { yield %a }"
            "   yield %b"
            " } return %r }");
  int64_t n = 200000; // quadratic work would not end
  IrCell r, args[] = {ir_cell_int(n)};
  run_ok("f", args, &r);
  for (int64_t i = 0; i < n; i++) cr_assert_eq(at(&r, i), i % 2);
}

Test(interp, loops_count_in_both_directions) {
  load_text("dp-ir 1 fn @f(%lo: int, %hi: int, %by: int) -> int, int {"
            " %0 = const int 0 %1 = const int 1"
            " %n, %last = for %i = %lo, %hi, %by with (%k = %0, %l = %0) { %m = add %k, %1 yield %m, %i }"
            " return %n, %last }");
  const int64_t cases[][5] = {{0, 10, 3, 4, 9}, {10, 0, -3, 4, 1},
                              {0, 0, 1, 0, 0},  {5, 0, 1, 0, 0},
                              {0, 5, -1, 0, 0}, {INT64_MIN, INT64_MAX, INT64_MAX, 3, INT64_MAX - 1}};
  for (int i = 0; i < 6; i++) {
    IrCell r[2], args[] = {ir_cell_int(cases[i][0]), ir_cell_int(cases[i][1]), ir_cell_int(cases[i][2])};
    run_ok("f", args, r);
    cr_expect_eq(r[0].v.i, cases[i][3], "%d", i);
    cr_expect_eq(r[1].v.i, cases[i][4], "%d", i);
  }
  IrCell r[2], args[] = {ir_cell_int(0), ir_cell_int(1), ir_cell_int(0)};
  cr_assert_not(run("f", args, r));
}

// ---- errors ------------------------------------------------------------------------------------------------------

static const char *const failures[][2] = {
    {"check_index %a, %b \"v[i]\"", "index 7 is out of range for `v[i]` of size 3"},
    {"check_range %b, %a, %b", "the slice 3..7 is out of range for an array of size 3"},
    {"check_size %a, %b", "sizes 7 and 3 do not fit"},
    {"check_div %z", "division of an int by zero"},
    {"%t = format \"{} < {}\" (%a, %b) %n = lt %a, %b assert %n, %t", "assertion failed: 7 < 3"},
    {"%x = idiv %a, %z", "in @f: idiv by zero, and no check stood before it"},
    {"%v = fill %a, %b %x = get %v, %a",
     "in @f: get at index 7 of an array of size 3, and no check stood before it"},
    {"%g = empty int %h = pop %g", "in @f: pop of an empty array, and no check stood before it"},
    {"%n = neg %a %v = fill %a, %n", "an array has a negative size or does not fit the oracle's memory"},
    {"%big = const int 1000000000000 %v = fill %a, %big",
     "an array has a negative size or does not fit the oracle's memory"},
    {"%big = const int 4000000000 %v = fill %a, %big, %big, %big",
     "an array has a negative size or does not fit the oracle's memory"},
    {"call @f(%a, %b)", "the recursion is too deep for the oracle"},
    {"%x = extern \"clock\" () -> int", "the oracle does not run extern functions"},
    {"%yes = const bool true while { yield %yes } do () { }", "the program ran for more than 100000 steps"},
};

Test(interp, failures_are_told) {
  for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
    load_text(arena_printf(w.arena, "dp-ir 1 fn @f(%%a: int, %%b: int) { %%z = const int 0 %s return }",
                           failures[i][0]));
    oracle.max_steps = 100000;
    IrCell args[] = {ir_cell_int(7), ir_cell_int(3)};
    cr_assert_not(run("f", args, NULL), "%s", failures[i][0]);
    cr_expect_str_eq(oracle.error, failures[i][1]);
  }
}

Test(interp, random_numbers_are_functions) {
  load_text("dp-ir 1 fn @f(%k: int, %c: int) -> f64, f64, int {"
            " %s = const int 6 %u = rng_uniform %k, %c %n = rng_normal %k, %c %b = rng_below %k, %c, %s "
            "return %u, %n, %b }");
  IrCell r[3], again[3], args[] = {ir_cell_int(1), ir_cell_int(42)};
  run_ok("f", args, r);
  run_ok("f", args, again);
  cr_assert(r[0].v.q == again[0].v.q && r[0].v.q >= 0 && r[0].v.q < 1);
  cr_assert(r[1].v.q == again[1].v.q);
  cr_assert(r[2].v.i >= 0 && r[2].v.i < 6);
}

Test(interp, formats) {
  load_text("dp-ir 1 fn @f(%x: f64, %i: int, %b: bool, %n: int, %v: f64[%n]) {"
            " %s = str \"text\" %t = format \"{:.3}|{}|{}|{}|{{{}}}|{:.1}\" (%x, %x, %i, %b, %s, %v) print "
            "%t return }");
  IrCell b = ir_cell_int(1),
         args[] = {ir_cell_f64(0.1), ir_cell_int(-3), b, ir_cell_int(2), vector(2, (double[]){1, 2.5})};
  args[2].type = IR_SCALAR(IR_BOOL);
  run_ok("f", args, NULL);
  cr_assert_str_eq(printed.data, "0.100|0.1|-3|true|{text}|[1.0, 2.5]\n");
}
