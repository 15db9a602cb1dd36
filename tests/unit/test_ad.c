// Differentiation. Every operation of ops.def that has a scalar rule: both modes against each other and against
// differences in quadruple precision, its kinks and singular points, second derivatives where the adjoint is zero. Programs
// for everything else: tests/ad_ir/*.ir, each function by all of tests/fuzz/ir_judge.h, second derivatives included.
#include "ad/internal.h"
#include "opt/opt.h"

#include "ir_judge.h"
#include "ir_world.h"

#include <math.h>

static void start(void) {
  world_start();
  w.module = ir_module_new(w.arena, w.names, &w.sources);
}

TestSuite(rules, .init = start, .fini = world_stop);
TestSuite(programs, .init = start, .fini = world_stop);
TestSuite(refusals, .init = start, .fini = world_stop);

static IrFunc *derived(IrFunc *f, const bool *wrt, bool reverse) {
  IrFunc *g = (reverse ? ad_vjp : ad_jvp)(w.module, f, wrt, &w.diags);
  cr_assert_not_null(g, "%s", diagnostics());
  const char *bad = ir_verify_func(w.arena, g);
  cr_assert_null(bad, "%s", bad);
  return g;
}

static IrCell quad(__float128 v) {
  IrCell c = ir_cell_f64(0.0);
  c.v.q = v;
  return c;
}

static void run(const IrFunc *f, const IrCell *args, IrCell *results) {
  IrInterp in = {.arena = w.arena, .module = w.module};
  cr_assert(ir_interp(&in, f, args, results), "@%s: %s", f->name, in.error);
}

// ---- one operation as a function -----------------------------------------------------------------------------------------

enum { MAX_ARGS = 4 };

typedef struct Case {
  IrFunc *f, *vjp, *jvp;
  bool wrt[MAX_ARGS];
  int n;
} Case;

static bool is_scalar_rule(IrOpKind k) { return rule_class(k) == RULE_SCALAR; }

static IrType arg_type(IrOpKind k, int arg) {
  if (k == IR_POWI && arg == 1) return IR_SCALAR(IR_INT);
  if (k == IR_SELECT && arg == 0) return IR_SCALAR(IR_BOOL);
  return IR_SCALAR(IR_F64);
}

static Case make_case(IrOpKind k) {
  Case c = {.n = ir_op_info[k].args};
  IrVal args[MAX_ARGS];
  c.f = ir_func_new(w.module, intern_cstr(w.names, ir_op_info[k].text));
  for (int i = 0; i < c.n; i++) {
    args[i] = ir_param(c.f, arg_type(k, i), NULL, (IrLeaf){0});
    c.wrt[i] = ir_is_float(arg_type(k, i));
  }
  IrBuilder b = ir_builder(c.f);
  IrVal r = k == IR_FCVT ? ir_convert(&b, IR_FCVT, IR_F64, ir_convert(&b, IR_FCVT, IR_F32, args[0]))
                         : ir_op(&b, k, args, c.n);
  ir_set_results(c.f, &r, 1, NULL);
  c.vjp = derived(c.f, c.wrt, true);
  c.jvp = derived(c.f, c.wrt, false);
  return c;
}

// (value, adjoints...) for the adjoint `seed` of the result.
static void pull(const Case *c, const IrCell *at, __float128 seed, __float128 *bars) {
  IrCell args[2 * MAX_ARGS], results[2 * MAX_ARGS];
  for (int i = 0; i < c->n; i++) args[i] = at[i];
  args[c->n] = quad(seed);
  run(c->vjp, args, results);
  for (int i = 0, r = 1; i < c->n; i++) bars[i] = c->wrt[i] ? results[r++].v.q : 0;
}

static __float128 push(const Case *c, const IrCell *at, const __float128 *dots) {
  IrCell args[2 * MAX_ARGS], results[2];
  int n = 0;
  for (int i = 0; i < c->n; i++) args[n++] = at[i];
  for (int i = 0; i < c->n; i++)
    if (c->wrt[i]) args[n++] = quad(dots[i]);
  run(c->jvp, args, results);
  return results[1].v.q;
}

static __float128 value(const Case *c, const IrCell *at, int arg, __float128 h) {
  IrCell args[MAX_ARGS], results[1];
  for (int i = 0; i < c->n; i++) args[i] = at[i];
  args[arg].v.q += h;
  run(c->f, args, results);
  return results[0].v.q;
}

// ---- inside the domain -----------------------------------------------------------------------------------------------------

// Where an operation is smooth: arguments are drawn from lo to hi. What is not listed takes -1.6 to 1.7 and 0.3 to 2.
static const struct Domain {
  double lo, hi;
} domains[IR_OP_COUNT][2] = {
    [IR_SQRT] = {{0.05, 4}},        [IR_LOG] = {{0.05, 4}},          [IR_LOG2] = {{0.05, 4}},
    [IR_LOG10] = {{0.05, 4}},       [IR_LOG1P] = {{-0.9, 4}},        [IR_ASIN] = {{-0.95, 0.95}},
    [IR_ACOS] = {{-0.95, 0.95}},    [IR_ATANH] = {{-0.95, 0.95}},    [IR_ACOSH] = {{1.05, 4}},
    [IR_POW] = {{0.1, 3}, {-2, 3}}, [IR_ATAN2] = {{-2, 2}, {-2, 2}}, [IR_DIV] = {{-2, 2}, {-3, -0.2}},
    [IR_TAN] = {{-1.4, 1.4}},       [IR_HYPOT] = {{-2, 2}, {-2, 2}}, [IR_EXP] = {{-20, 20}},
    [IR_TANH] = {{-30, 30}},        [IR_ERFC] = {{-3, 9}},           [IR_CBRT] = {{0.01, 5}},
};

static double draw(uint64_t *state, struct Domain d) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return d.lo + (d.hi - d.lo) * (double)(*state >> 11) / 9007199254740992.0;
}

static void draw_point(IrOpKind k, int n, uint64_t *state, IrCell *at) {
  static const struct Domain first = {-1.6, 1.7}, other = {0.3, 2.0};
  for (int i = 0; i < n; i++) {
    IrType t = arg_type(k, i);
    struct Domain d = i < 2 && domains[k][i].lo < domains[k][i].hi ? domains[k][i] : i == 0 ? first : other;
    double x = draw(state, d);
    at[i] = ir_is_float(t) ? ir_cell_f64(x) : ir_cell_int((int64_t)(10.0 * x) % 5);
    if (t.elem == IR_BOOL) at[i] = (IrCell){.type = t, .v.i = x > 0};
  }
}

// Constants of a rule that no double holds exactly.
static double tolerance(IrOpKind k) {
  switch (k) {
  case IR_EXP2:
  case IR_LOG2:
  case IR_LOG10:
  case IR_ERF:
  case IR_ERFC: return 1e-15;
  default: return 1e-19;
  }
}

static void check_point(IrOpKind k, const Case *c, const IrCell *at) {
  const __float128 h = 1e-11;
  __float128 bars[MAX_ARGS], sum = 0, size = 0, dots[MAX_ARGS] = {0.7, -1.3, 0.45, 1.1};
  pull(c, at, 1.25, bars);
  for (int i = 0; i < c->n; i++) {
    if (!c->wrt[i]) continue;
    __float128 d = 1.25 * (value(c, at, i, h) - value(c, at, i, -h)) / (2 * h);
    double scale = fabs((double)d) + fabs((double)bars[i]) + 1e-3,
           error = fabs((double)(bars[i] - d)) / scale;
    cr_assert_lt(error, tolerance(k), "%s, operand %d, at (%g, %g): %.20g, but differences say %.20g",
                 ir_op_info[k].text, i, (double)at[0].v.q, c->n > 1 ? (double)at[1].v.q : 0.0,
                 (double)bars[i], (double)d);
    sum += bars[i] * dots[i];
    size += fabs((double)(bars[i] * dots[i]));
  }
  double error = fabs((double)(1.25 * push(c, at, dots) - sum)) / ((double)size + 1e-30);
  cr_assert_lt(error, 1e-30, "%s: the two modes differ by %g", ir_op_info[k].text, error);
}

Test(rules, agree_with_differences) {
  int rules = 0;
  for (int k = 0; k < IR_OP_COUNT; k++) {
    if (!is_scalar_rule((IrOpKind)k) || k == IR_ATTACH) continue;
    Case c = make_case((IrOpKind)k);
    uint64_t state = (uint64_t)k + 1;
    rules++;
    for (int round = 0; round < 12; round++) {
      IrCell at[MAX_ARGS];
      draw_point((IrOpKind)k, c.n, &state, at);
      check_point((IrOpKind)k, &c, at);
    }
  }
  cr_assert_geq(rules, 38);
}

// x^n for all small n, where x is 0 and negative too.
Test(rules, int_powers) {
  Case c = make_case(IR_POWI);
  for (int n = -4; n <= 6; n++)
    for (int x = -3; x <= 3; x++) {
      if (x == 0 && n < 0) continue;
      __float128 bars[MAX_ARGS];
      pull(&c, (IrCell[]){ir_cell_f64(x), ir_cell_int(n)}, 1.0, bars);
      double want = n == 0 ? 0.0 : n * pow(x, n - 1);
      cr_assert(fabs((double)bars[0] - want) <= 1e-15 * fabs(want), "%d^%d: %g", x, n, (double)bars[0]);
    }
}

// ---- kinks and singular points: docs/language.md ---------------------------------------------------------------------------

typedef struct Kink {
  IrOpKind op;
  double at[2], slope[2];
} Kink;

static const Kink kinks[] = {
    {IR_ABS, {0}, {0}},
    {IR_ABS, {-0.0}, {0}},
    {IR_ABS, {-2}, {-1}},
    {IR_MIN, {1, 1}, {1, 0}},
    {IR_MAX, {1, 1}, {1, 0}},
    {IR_MIN, {0.0, -0.0}, {1, 0}},
    {IR_MAX, {-0.0, 0.0}, {1, 0}},
    {IR_MIN, {2, 1}, {0, 1}},
    {IR_MAX, {1, 2}, {0, 1}},
    {IR_SQRT, {0}, {INFINITY}},
    {IR_CBRT, {0}, {INFINITY}},
    {IR_POW, {0, 2}, {0, 0}},
    {IR_POW, {0, 1}, {1, 0}},
    {IR_POW, {0, 0}, {0, 0}},
    {IR_POW, {2, 0}, {0, M_LN2}},
    {IR_POW, {0, 0.5}, {INFINITY, 0}},
    {IR_HYPOT, {0, 0}, {0, 0}},
    {IR_HYPOT, {0, -3}, {0, -1}},
    {IR_ASIN, {1}, {INFINITY}},
    {IR_ACOS, {-1}, {-INFINITY}},
    {IR_ATANH, {1}, {INFINITY}},
    {IR_ACOSH, {1}, {INFINITY}},
    {IR_LOG, {0}, {INFINITY}},
    {IR_LOG1P, {-1}, {INFINITY}},
    {IR_TANH, {0}, {1}},
    {IR_TANH, {800}, {0}},
    {IR_TANH, {-800}, {0}},
    {IR_ATAN2, {0, -1}, {-1, 0}},
};

Test(rules, kinks) {
  for (size_t k = 0; k < sizeof kinks / sizeof *kinks; k++) {
    const Kink *kink = &kinks[k];
    Case c = make_case(kink->op);
    IrCell at[2] = {ir_cell_f64(kink->at[0]), ir_cell_f64(kink->at[1])};
    __float128 bars[MAX_ARGS];
    pull(&c, at, 1.0, bars);
    for (int i = 0; i < c.n; i++) {
      __float128 dots[MAX_ARGS] = {i == 0, i == 1};
      double is = (double)bars[i], want = kink->slope[i], ahead = (double)push(&c, at, dots);
      cr_assert(is == want || fabs(is - want) < 1e-15, "%s(%g, %g), operand %d: %g instead of %g",
                ir_op_info[kink->op].text, kink->at[0], kink->at[1], i, is, want);
      cr_assert_eq(ahead, is, "%s(%g, %g), operand %d, forward: %g instead of %g", ir_op_info[kink->op].text,
                   kink->at[0], kink->at[1], i, ahead, is);
    }
  }
}

// Nothing comes in, so nothing goes out, however steep it is.
Test(rules, zero_times_infinity) {
  static const Kink steep[] = {
      {IR_SQRT, {0}, {0}},   {IR_CBRT, {0}, {0}},    {IR_LOG, {0}, {0}},      {IR_LOG2, {0}, {0}},
      {IR_LOG10, {0}, {0}},  {IR_LOG1P, {-1}, {0}},  {IR_ASIN, {-1}, {0}},    {IR_ACOS, {1}, {0}},
      {IR_ATANH, {-1}, {0}}, {IR_ACOSH, {1}, {0}},   {IR_DIV, {1, 0}, {0}},   {IR_DIV, {0, 0}, {0}},
      {IR_POW, {0, 0}, {0}}, {IR_POW, {0, -1}, {0}}, {IR_ATAN2, {0, 0}, {0}}, {IR_HYPOT, {0, 0}, {0}},
  };
  for (size_t k = 0; k < sizeof steep / sizeof *steep; k++) {
    Case c = make_case(steep[k].op);
    IrCell at[2] = {ir_cell_f64(steep[k].at[0]), ir_cell_f64(steep[k].at[1])};
    __float128 bars[MAX_ARGS], dots[MAX_ARGS] = {0};
    pull(&c, at, 0.0, bars);
    for (int i = 0; i < c.n; i++)
      cr_assert(bars[i] == 0, "%s, operand %d: %g", ir_op_info[steep[k].op].text, i, (double)bars[i]);
    cr_assert(push(&c, at, dots) == 0, "%s, forward", ir_op_info[steep[k].op].text);
  }
}

// Steps have the derivative 0; detach keeps the value.
Test(rules, flat_operations) {
  Case attach = make_case(IR_ATTACH);
  IrCell pair[2] = {ir_cell_f64(1.25), ir_cell_f64(-3.5)};
  __float128 to[MAX_ARGS], along[MAX_ARGS] = {1, 2};
  pull(&attach, pair, 1.5, to);
  cr_assert(to[0] == 0 && to[1] == 1.5 && push(&attach, pair, along) == 2);
  static const IrOpKind flat[] = {IR_FLOOR, IR_CEIL, IR_ROUND, IR_TRUNC, IR_SIGN, IR_DETACH};
  for (size_t k = 0; k < sizeof flat / sizeof *flat; k++) {
    Case c = make_case(flat[k]);
    __float128 bars[MAX_ARGS], dots[MAX_ARGS] = {1};
    IrCell at = ir_cell_f64(1.25);
    pull(&c, &at, 1.0, bars);
    cr_assert(bars[0] == 0 && push(&c, &at, dots) == 0, "%s", ir_op_info[flat[k]].text);
  }
}

// ---- second derivatives --------------------------------------------------------------------------------------------------------

// Row k of the Hessian of f(x, y) at a point: forward over reverse, and reverse over forward.
static void hessian_row(IrFunc *f, const double *at, int k, bool forward_last, double *row) {
  bool wrt[5] = {true, true};
  IrCell args[8] = {ir_cell_f64(at[0]), ir_cell_f64(at[1])}, results[16];
  IrFunc *first = derived(f, wrt, forward_last);
  args[2] = ir_cell_f64(forward_last ? 1.0 : k == 0);
  args[3] = ir_cell_f64(k == (forward_last ? 0 : 1));
  args[4] = ir_cell_f64(forward_last ? k == 1 : 0.0);
  args[5] = ir_cell_f64(1.0);
  IrFunc *second = derived(first, wrt, !forward_last);
  run(second, args, results);
  // (y, x bar, y bar, and the three tangents) or (y, y dot, x bar, y bar)
  for (int i = 0; i < 2; i++) row[i] = (double)results[(forward_last ? 4 : 2) + i].v.q;
}

typedef struct Curve {
  const char *what, *body;
  double at[2], hessian[3]; // xx, xy, yy
} Curve;

static const Curve curves[] = {
    {"(log x)^2 y", "%l = log %x\n%q = mul %l, %l\n%r = mul %q, %y", {1, 2}, {4, 0, 0}},
    {"(x / y)^2", "%d = div %x, %y\n%r = mul %d, %d", {0, 2}, {0.5, 0, 0}},
    {"x sqrt y", "%s = sqrt %y\n%r = mul %x, %s", {0, 4}, {0, 0.25, 0}},
    {"x^y at y = 0", "%r = pow %x, %y", {2, 0}, {0, 0.5, M_LN2 *M_LN2}},
    {"x^y at x = 0", "%r = pow %x, %y", {0, 2}, {2, 0, 0}},
    {"y tanh x", "%t = tanh %x\n%r = mul %t, %y", {0, 3}, {0, 1, 0}},
    {"y asin x", "%a = asin %x\n%r = mul %a, %y", {0, 0}, {0, 1, 0}},
    {"y acosh x", "%a = acosh %x\n%r = mul %a, %y", {1.25, 0}, {0, 4.0 / 3.0, 0}},
    {"y cbrt x", "%c = cbrt %x\n%r = mul %c, %y", {8, 0}, {0, 1.0 / 12.0, 0}},
    {"x^0 y", "%0 = const int 0\n%p = powi %x, %0\n%r = mul %p, %y", {0, 1}, {0, 0, 0}},
    {"x^2 + atan2(y, x)", "%p = mul %x, %x\n%a = atan2 %y, %x\n%r = add %p, %a", {1, 0}, {2, -1, 0}},
    {"hypot(x, y)", "%r = hypot %x, %y", {3, 4}, {16.0 / 125, -12.0 / 125, 9.0 / 125}},
};

Test(rules, second_derivatives_where_the_adjoint_is_zero) {
  for (size_t k = 0; k < sizeof curves / sizeof *curves; k++) {
    const Curve *c = &curves[k];
    const char *text =
        arena_printf(w.arena, "dp-ir 1\nfn @f(%%x: f64, %%y: f64) -> f64 {\n%s\nreturn %%r\n}\n", c->body);
    for (int mode = 0; mode < 2; mode++)
      for (int i = 0; i < 2; i++) {
        double row[2];
        w.module = parse(c->what, text);
        hessian_row(w.module->funcs.data[0], c->at, i, mode == 0, row);
        for (int j = 0; j < 2; j++)
          cr_assert(fabs(row[j] - c->hessian[i + j]) < 1e-12, "%s, mode %d, entry %d %d: %g instead of %g",
                    c->what, mode, i, j, row[j], c->hessian[i + j]);
      }
  }
}

// tanh''' (0) = -2, though sech² is written with |x|.
Test(rules, third_derivative_of_tanh) {
  w.module = parse("tanh", "dp-ir 1\nfn @f(%x: f64) -> f64 {\n%r = tanh %x\nreturn %r\n}\n");
  bool wrt[8] = {true};
  IrFunc *f = w.module->funcs.data[0];
  for (int k = 0; k < 3; k++) f = derived(f, wrt, false);
  IrCell args[4] = {ir_cell_f64(0.0), ir_cell_f64(1.0), ir_cell_f64(1.0), ir_cell_f64(1.0)}, results[8];
  run(f, args, results);
  cr_assert_float_eq((double)results[f->n_results - 1].v.q, -2.0, 1e-15);
}

// ---- programs: tests/ad_ir ---------------------------------------------------------------------------------------------------

typedef struct Text {
  const char *data;
  size_t len;
} Text;

static IrModule *parse_again(void *user, Arena *a, Interner *names, const Sources *sources) {
  const Text *t = user;
  Sources *own = ARENA_NEW(a, Sources);
  Diags diags;
  (void)sources;
  sources_init(own, a);
  diags_init(&diags, a, own);
  return ir_parse(a, names, own, sources_add(own, "program.ir", t->data, t->len), &diags);
}

// Functions with a dot in their names are helpers of the others.
static void judge_file(const char *file, int least) {
  const char *why = NULL;
  Text text;
  text.data =
      file_read(w.arena, arena_printf(w.arena, "%s/tests/ad_ir/%s", DP_SOURCE_DIR, file), &text.len, &why);
  cr_assert_not_null(text.data, "%s", why);
  const IrModule *m = parse(file, text.data);
  JudgeStats stats = {0};
  for (int k = 0; k < m->funcs.len; k++) {
    if (strchr(m->funcs.data[k]->name, '.')) continue;
    for (uint64_t seed = 1; seed <= 4; seed++) {
      Arena *scratch = arena_new(0);
      JudgeSubject subject = {parse_again, &text, m->funcs.data[k]->name, seed};
      const char *bad = judge(scratch, &subject, JUDGE_ALL, &stats);
      cr_assert_null(bad, "%s, @%s, arguments %d: %s", file, subject.name, (int)seed, bad);
      arena_free(scratch);
    }
  }
  cr_assert_geq(stats.programs, 4 * least);
  cr_assert_eq(stats.skipped + stats.refused, 0);
}

Test(programs, arrays) { judge_file("arrays.ir", 7); }
Test(programs, matrices) { judge_file("matrices.ir", 7); }
Test(programs, growable) { judge_file("growable.ir", 4); }
Test(programs, builds) { judge_file("builds.ir", 4); }
Test(programs, loops) { judge_file("loops.ir", 6); }
Test(programs, whiles) { judge_file("whiles.ir", 4); }
Test(programs, branches) { judge_file("branches.ir", 3); }
Test(programs, calls) { judge_file("calls.ir", 2); }
Test(programs, recursion) { judge_file("recursion.ir", 3); }
Test(programs, descent) { judge_file("descent.ir", 4); }
Test(programs, effects) { judge_file("effects.ir", 1); }

// ---- recursion in one descent ----------------------------------------------------------------------------------------------------

TestSuite(descent, .init = start, .fini = world_stop);

static bool has_part(const char *part) {
  for (int k = 0; k < w.module->funcs.len; k++)
    if (strstr(w.module->funcs.data[k]->name, part)) return true;
  return false;
}

static void check_descends(const char *file, const char *name, bool descends) {
  size_t len;
  const char *why = NULL,
             *text = file_read(w.arena, arena_printf(w.arena, "%s/tests/ad_ir/%s", DP_SOURCE_DIR, file), &len,
                               &why);
  cr_assert_not_null(text, "%s", why);
  w.module = parse(file, text);
  ir_call_graph(w.module, w.arena, &(IrFuncs){0});
  IrFunc *f = ir_func_find(w.module, intern_cstr(w.names, name));
  bool wrt[16] = {0};
  for (int k = 0; k < f->n_params; k++) wrt[k] = ir_is_float(ir_type(f, f->body->args[k]));
  cr_assert_not_null(ad_vjp(w.module, f, wrt, &w.diags));
  cr_assert_eq(has_part(".both."), descends, "@%s", name);
  cr_assert_eq(has_part(".fwd."), !descends, "@%s", name);
}

Test(descent, minor) { check_descends("descent.ir", "minor", true); }
Test(descent, halves) { check_descends("descent.ir", "halves", true); }
Test(descent, spread) { check_descends("descent.ir", "spread", true); }
Test(descent, first) { check_descends("descent.ir", "first", true); }
Test(descent, factors_of_results) { check_descends("recursion.ir", "power", false); }
Test(descent, products_of_results) { check_descends("recursion.ir", "tree", false); }

// ---- what derivatives cost: operations that are executed ---------------------------------------------------------------------------

TestSuite(cost, .init = start, .fini = world_stop);

// An operation in a loop over directions is one of a vector's: eight of them count as one.
typedef struct Tally {
  IrVal directions; // how many; 0: none
  double operations;
} Tally;

static void count_operation(void *user, const IrFrame *at, const IrOp *op) {
  Tally *t = user;
  const IrOp *loop = op->parent->owner;
  (void)at;
  IrVal size = !loop                    ? 0
               : loop->kind == IR_FOR   ? loop->args[1]
               : loop->kind == IR_BUILD ? loop->args[loop->n_args - 1]
                                        : 0;
  t->operations += t->directions && size == t->directions ? 0.125 : 1.0;
}

static double operations(IrFunc *f, IrCell *args, IrVal directions) {
  static const OptOptions fixed = {.level = 2};
  Tally t = {directions, 0.0};
  IrInterp in = {.arena = w.arena, .module = w.module, .seen = count_operation, .user = &t};
  IrCell results[16];
  f->is_export = true;
  f = opt_function(f, &fixed);
  cr_assert(ir_interp(&in, f, args, results), "@%s: %s", f->name, in.error);
  return t.operations;
}

// A sum of waves, element by element; then steps of an oscillator, as long as it takes.
static const char wave[] = "dp-ir 1\n"
                           "fn @f(%n: int, %v: f64[%n], %x: f64) -> f64 sizes 1 {\n"
                           "  %0 = const int 0\n"
                           "  %1 = const int 1\n"
                           "  %h = const f64 0.05\n"
                           "  %most = const f64 2.0\n"
                           "  %s = for %i = %0, %n, %1 with (%a = %x) {\n"
                           "    %e = get %v, %i\n"
                           "    %p = mul %a, %e\n"
                           "    %q = sin %p\n"
                           "    %r = exp %q\n"
                           "    %c = add %a, %r\n"
                           "    %d = mul %c, %h\n"
                           "    yield %d\n"
                           "  }\n"
                           "  %t, %y, %z = while with (%t1 = %h, %y1 = %s, %z1 = %x) {\n"
                           "    %go = lt %t1, %most\n"
                           "    yield %go\n"
                           "  } do (%t2, %y2, %z2) {\n"
                           "    %t3 = add %t2, %h\n"
                           "    %k = mul %z2, %h\n"
                           "    %y3 = add %y2, %k\n"
                           "    %l = sin %y3\n"
                           "    %m = mul %l, %h\n"
                           "    %z3 = sub %z2, %m\n"
                           "    yield %t3, %y3, %z3\n"
                           "  }\n"
                           "  %o = mul %y, %z\n"
                           "  return %o\n"
                           "}\n";

enum { WAVES = 40 };

static IrCell numbers(int rank, int64_t directions) {
  int64_t dims[2] = {WAVES, directions}, n = WAVES * directions;
  double *vals = ARENA_ARRAY(w.arena, double, n);
  for (int64_t i = 0; i < n; i++) vals[i] = 0.1 + 0.01 * (double)i;
  return ir_cell_array(w.arena, IR_F64, rank, rank == 1 && directions > 1 ? dims + 1 : dims, vals);
}

static IrFunc *fresh_wave(void) {
  w.module = parse("wave.ir", wave);
  ir_call_graph(w.module, w.arena, &(IrFuncs){0});
  return w.module->funcs.data[0];
}

static const bool by_both[] = {false, true, true};

Test(cost, eight_directions_at_most_three_times_one) {
  IrCell one[] = {ir_cell_int(WAVES), numbers(1, 1), ir_cell_f64(0.7), numbers(1, 1), ir_cell_f64(1.0)};
  double single = operations(derived(fresh_wave(), by_both, false), one, 0);
  IrFunc *f = fresh_wave(), *g = ad_jvps(w.module, f, by_both, &w.diags);
  cr_assert_not_null(g);
  IrCell eight[] = {ir_cell_int(WAVES), numbers(1, 1), ir_cell_f64(0.7),
                    ir_cell_int(8),     numbers(2, 8), numbers(1, 8)};
  double several = operations(g, eight, (IrVal)(f->n_params + 1));
  cr_assert_leq(several, 3.0 * single, "%.0f against %.0f", several, single);
}

Test(cost, hessian_times_vector_at_most_four_gradients) {
  IrCell seed = ir_cell_f64(1.0);
  IrCell args[] = {ir_cell_int(WAVES), numbers(1, 1),   ir_cell_f64(0.7), seed,
                   numbers(1, 1),      ir_cell_f64(1.0)};
  double gradient = operations(derived(fresh_wave(), by_both, true), args, 0);
  static const OptOptions fixed = {.level = 2};
  IrFunc *g = opt_function(derived(fresh_wave(), by_both, true), &fixed);
  double product = operations(derived(g, (bool[]){false, true, true, false}, false), args, 0);
  cr_assert_leq(product, 4.0 * gradient, "%.0f against %.0f", product, gradient);
}

// ---- what is not repeated, what is refused -------------------------------------------------------------------------------------

static IrWalk count_externs(void *user, IrOp *op) {
  int *n = user;
  *n += op->kind == IR_EXTERN;
  return IR_WALK_CONTINUE;
}

// The reverse sweep needs what an impure function gave: it is kept, however it is nested.
Test(programs, externs_run_once) {
  w.module = parse("extern.ir", "dp-ir 1\n"
                                "fn @f(%n: int, %x: f64) -> f64 {\n"
                                "  %0 = const int 0\n"
                                "  %1 = const int 1\n"
                                "  %s = for %i = %0, %n, %1 with (%t = %x) {\n"
                                "    %a = for %j = %0, %i, %1 with (%b = %x) {\n"
                                "      %r = extern \"drand48\" () -> f64\n"
                                "      %c = mul %b, %r\n"
                                "      yield %c\n"
                                "    }\n"
                                "    %d = mul %t, %a\n"
                                "    yield %d\n"
                                "  }\n"
                                "  return %s\n"
                                "}\n");
  int n = 0;
  ir_walk(derived(w.module->funcs.data[0], (bool[]){false, true}, true)->body, count_externs, &n);
  cr_assert_eq(n, 1);
}

static void check_refused(const char *text, bool reverse, const char *says) {
  w.module = parse("refused.ir", text);
  IrFunc *f = ir_func_find(w.module, intern_cstr(w.names, "f"));
  IrFunc *g = (reverse ? ad_vjp : ad_jvp)(w.module, f, (bool[]){true}, &w.diags);
  cr_assert_null(g);
  cr_assert_eq(w.diags.n_errors, 1);
  cr_assert_not_null(strstr(diagnostics(), says), "%s", diagnostics());
}

static const char one_rule[] = "dp-ir 1\n"
                               "fn @f(%%x: f64) -> f64 {\n"
                               "  %%y = call @g(%%x) -> f64\n"
                               "  return %%y\n"
                               "}\n"
                               "fn @g(%%x: f64) -> f64 rule %s @g.rule {\n"
                               "  %%y = sin %%x\n"
                               "  return %%y\n"
                               "}\n"
                               "fn @g.rule(%%x: f64, %%t: f64) -> %s {\n"
                               "  %%c = cos %%x\n"
                               "  %%y = sin %%x\n"
                               "  %%d = mul %%c, %%t\n"
                               "  return %s%%d\n"
                               "}\n";

Test(refusals, reverse_mode_needs_an_adjoint_rule) {
  check_refused(arena_printf(w.arena, one_rule, "tangent", "f64", ""), true, "no `adjoint` rule");
}

Test(refusals, forward_mode_needs_a_tangent_rule) {
  check_refused(arena_printf(w.arena, one_rule, "adjoint", "f64, f64", "%y, "), false,
                "no forward-mode rule");
}

static void check_expand(const char *text, const char *says) {
  w.module = parse("expand.ir", text);
  bool ok = ad_expand(w.module, &w.diags);
  cr_assert_eq(ok, says == NULL, "%s", diagnostics());
  if (says) cr_assert_not_null(strstr(diagnostics(), says), "%s", diagnostics());
}

Test(refusals, derivatives_that_would_be_lost) {
  check_expand("dp-ir 1\n"
               "fn @f(%x: f64) -> f64 {\n"
               "  %i = ftoi int %x\n"
               "  %y = itof f64 %i\n"
               "  return %y\n"
               "}\n"
               "fn @main(%x: f64) -> f64, f64 export {\n"
               "  %1 = const f64 1.0\n"
               "  %y, %d = dcall vjp @f wrt 1 (%x, %1) -> f64, f64\n"
               "  return %y, %d\n"
               "}\n",
               "conversion to `int` has no derivative");
}

Test(refusals, detached_derivatives_are_not_lost) {
  check_expand("dp-ir 1\n"
               "fn @f(%x: f64) -> f64 {\n"
               "  %d = detach %x\n"
               "  %i = ftoi int %d\n"
               "  %y = itof f64 %i\n"
               "  %z = mul %y, %x\n"
               "  return %z\n"
               "}\n"
               "fn @main(%x: f64) -> f64, f64 export {\n"
               "  %1 = const f64 1.0\n"
               "  %y, %d = dcall jvp @f wrt 1 (%x, %1) -> f64, f64\n"
               "  return %y, %d\n"
               "}\n",
               NULL);
}
