// What derivatives cost, counted by the interpreter and not timed: operations executed, which must grow as the program's do,
// and memory, which `@checkpoint` must lower without touching a bit of the answer.
#include "driver/driver.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct Cost {
  double value;
  int64_t steps, peak;
} Cost;

typedef struct World {
  Session s;
  IrModule *m;
  const char *text;
} World;

static World w;

static void start(void) {
  DriverOptions o = driver_options_default();
  w = (World){0};
  cr_assert(session_open(&w.s, &o));
}

static void stop(void) { session_close(&w.s); }

TestSuite(cost, .init = start, .fini = stop);
TestSuite(checkpoint, .init = start, .fini = stop);

static const char *diagnostics(void) {
  StrBuf sb;
  sb_init(&sb, w.s.arena);
  diags_render(&w.s.diags, &sb, false);
  return sb.data ? sb.data : "";
}

static bool compile(void *user) {
  static const char *const texts[] = {"f", "grad(f)"};
  LowerRoot roots[2];
  (void)user;
  if (!session_load(&w.s, "cost.dp", w.text, strlen(w.text))) return false;
  for (int k = 0; k < 2; k++) {
    Name name = intern_cstr(w.s.names, k ? "derivative" : "primal");
    roots[k] = (LowerRoot){.expr = sema_expr(w.s.program, "<root>", texts[k]), .real = IR_F64, .name = name};
    if (!roots[k].expr) return false;
  }
  w.m = session_lower(&w.s, roots, 2);
  return w.m && session_differentiate(&w.s, w.m) && session_optimize(&w.s, w.m);
}

// Of a program `fn f(x: f64, n: int) -> f64`.
static void program(const char *text) {
  w.text = text;
  cr_assert(session_guard(&w.s, compile, NULL), "%s", diagnostics());
}

static Cost run(const char *name, int64_t n) {
  IrFunc *f = ir_func_find(w.m, intern_cstr(w.s.names, name));
  IrInterp in = {.arena = w.s.arena, .module = w.m, .round = true};
  IrCell args[2] = {ir_cell_f64(0.37), ir_cell_int(n)}, result;
  cr_assert_not_null(f);
  cr_assert(ir_interp(&in, f, args, &result), "%s: %s", name, in.error);
  return (Cost){(double)ir_cell_at(&result, 0), in.steps, in.peak};
}

// ---- operations --------------------------------------------------------------------------------------------------------

static void check_proportional(const char *text) {
  double ratio[3];
  int64_t n = 10;
  program(text);
  for (int k = 0; k < 3; k++, n *= 10)
    ratio[k] = (double)run("derivative", n).steps / (double)run("primal", n).steps;
  for (int k = 0; k < 3; k++) {
    cr_expect_lt(ratio[k], 6.0, "%g times the program's operations", ratio[k]);
    cr_expect(ratio[k] < 1.05 * ratio[2] && ratio[k] > 0.95 * ratio[2],
              "%g at the %d-th size, %g at the last", ratio[k], k + 1, ratio[2]);
  }
}

Test(cost, loop) {
  check_proportional("fn f(x: f64, n: int) -> f64 {\n"
                     "    var y = x\n"
                     "    for i in 0..n { y = y * cos(y) + 0.1 * sin(x * i) }\n"
                     "    return y\n"
                     "}\n");
}

Test(cost, nested_loops) {
  check_proportional("fn f(x: f64, n: int) -> f64 {\n"
                     "    var y = [for k in 0..20: x * k]\n"
                     "    for i in 0..n {\n"
                     "        for j in 1..20 { y[j] = sin(y[j - 1]) * y[j] + 0.3 * x }\n"
                     "        y[0] = cos(y[19])\n"
                     "    }\n"
                     "    return sum(y)\n"
                     "}\n");
}

Test(cost, while_loop) {
  check_proportional("fn f(x: f64, n: int) -> f64 {\n"
                     "    var y = x\n"
                     "    var i = 0\n"
                     "    while i < n { y = y * cos(y) + 0.1 * sin(x * i)\n i += 1 }\n"
                     "    return y\n"
                     "}\n");
}

Test(cost, recursion_by_depth) {
  check_proportional("fn f(x: f64, n: int) -> f64 {\n"
                     "    if n == 0 { return x }\n"
                     "    let y = f(x * cos(x) + 0.1, n - 1)\n"
                     "    return y * sin(x * y) + cos(y)\n"
                     "}\n");
}

Test(cost, growing_array) {
  check_proportional("fn f(x: f64, n: int) -> f64 {\n"
                     "    var y: [*]f64 = [x]\n"
                     "    for i in 0..n { push(inout y, y[i] * cos(y[i]) + 0.1 * sin(x * i)) }\n"
                     "    return y[n] * y[0]\n"
                     "}\n");
}

// ---- memory ------------------------------------------------------------------------------------------------------------

// `%s` stands where the loop's checkpoint goes.
static void check_checkpoint(const char *text, const char *checkpoint, int64_t n, double share, double work) {
  program(arena_printf(w.s.arena, text, ""));
  Cost whole = run("derivative", n);
  stop();
  start();
  program(arena_printf(w.s.arena, text, checkpoint));
  Cost parts = run("derivative", n);
  cr_expect_eq(memcmp(&whole.value, &parts.value, sizeof(double)), 0, "%.17g and %.17g", whole.value,
               parts.value);
  cr_expect_lt((double)parts.peak, share * (double)whole.peak, "%lld bytes and %lld", (long long)whole.peak,
               (long long)parts.peak);
  cr_expect_lt((double)parts.steps, work * (double)whole.steps, "%lld operations and %lld",
               (long long)whole.steps, (long long)parts.steps);
}

static const char scalar_loop[] = "fn f(x: f64, n: int) -> f64 {\n"
                                  "    var y = x\n"
                                  "    %s\n"
                                  "    for i in 0..n { y = y * cos(y) + 0.1 * sin(x * i) }\n"
                                  "    return y\n"
                                  "}\n";

static const char array_loop[] = "fn f(x: f64, n: int) -> f64 {\n"
                                 "    var y = [for k in 0..20: x * k]\n"
                                 "    %s\n"
                                 "    for i in 0..n {\n"
                                 "        for j in 1..20 { y[j] = sin(y[j - 1]) * y[j] + 0.3 * x }\n"
                                 "        y[0] = cos(y[19])\n"
                                 "    }\n"
                                 "    return sum(y)\n"
                                 "}\n";

Test(checkpoint, every) { check_checkpoint(scalar_loop, "@checkpoint(every: 32)", 1000, 0.1, 1.6); }
Test(checkpoint, every_with_arrays) { check_checkpoint(array_loop, "@checkpoint(every: 20)", 400, 0.3, 1.6); }
Test(checkpoint, slots) { check_checkpoint(scalar_loop, "@checkpoint(slots: 10)", 1000, 0.05, 3.3); }
Test(checkpoint, slots_with_arrays) { check_checkpoint(array_loop, "@checkpoint(slots: 6)", 400, 0.05, 3.0); }
Test(checkpoint, one_slot) { check_checkpoint(scalar_loop, "@checkpoint(slots: 1)", 60, 0.2, 20.0); }
Test(checkpoint, block_longer_than_the_loop) {
  check_checkpoint(scalar_loop, "@checkpoint(every: 1000)", 10, 1.2, 1.8);
}

static const char nest[] = "fn f(x: f64, n: int) -> f64 {\n"
                           "    var y = x\n"
                           "    %s\n"
                           "    for i in 0..n {\n"
                           "        @checkpoint(every: 5)\n"
                           "        for j in 0..n { y = y * cos(y) + 0.1 * sin(x * i + j) }\n"
                           "    }\n"
                           "    return y\n"
                           "}\n";

Test(checkpoint, nested_every) { check_checkpoint(nest, "@checkpoint(every: 6)", 40, 0.5, 1.8); }
Test(checkpoint, nested_slots) { check_checkpoint(nest, "@checkpoint(slots: 3)", 40, 0.2, 4.0); }
