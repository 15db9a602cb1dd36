// compiler/opt, the scalar passes: text in and text out (tests/opt/NAME.ir and NAME.out.ir; DP_UPDATE=1 rewrites the
// second), the verifier after each, and the oracle's word that a function still computes what it did.
#include "ir/ir.h"
#include "opt/opt.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct World {
  Arena *arena;
  Interner *names;
  Sources sources;
  Diags diags;
  uint64_t random;
} World;

static World w;

static void start(void) {
  w = (World){.arena = arena_new(0), .random = 1};
  w.names = interner_new(w.arena);
  sources_init(&w.sources, w.arena);
  diags_init(&w.diags, w.arena, &w.sources);
}

static void stop(void) { arena_free(w.arena); }

TestSuite(golden, .init = start, .fini = stop);

typedef IrFunc *PassFn(IrFunc *f);
typedef struct Pass {
  const char *name;
  PassFn *run;
} Pass;

// ---- modules -----------------------------------------------------------------------------------------------------

static IrModule *parse(const char *path, const char *text) {
  int file = sources_add(&w.sources, path, text, strlen(text));
  IrModule *m = ir_parse(w.arena, w.names, &w.sources, file, &w.diags);
  StrBuf sb;
  sb_init(&sb, w.arena);
  diags_render(&w.diags, &sb, false);
  cr_assert_not_null(m, "%s", sb.data);
  const char *bad = ir_verify_module(w.arena, m);
  cr_assert_null(bad, "%s: %s", path, bad);
  return m;
}

static const char *print(const IrModule *m) {
  StrBuf sb;
  sb_init(&sb, w.arena);
  ir_print_module(m, &sb);
  return sb.data;
}

static IrModule *run_pass(PassFn *pass, const char *path, const char *text) {
  IrModule *m = parse(path, text);
  IrFuncs order = {0};
  ir_call_graph(m, w.arena, &order);
  for (int i = 0; i < m->funcs.len; i++) {
    IrFunc *now = pass(m->funcs.data[i]);
    cr_assert_eq(now, m->funcs.data[i], "the result stands in the module");
    const char *bad = ir_verify_func(w.arena, now);
    cr_assert_null(bad, "%s: %s\n%s", path, bad, print(m));
  }
  return m;
}

// ---- the same values ------------------------------------------------------------------------------------------------

static uint32_t next_random(void) {
  w.random = w.random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(w.random >> 33);
}

static double random_float(void) {
  static const double odd[] = {0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN, 0.5};
  if (next_random() % 4 == 0) return odd[next_random() % 8];
  return (next_random() % 2000) / 250.0 - 4.0;
}

static int64_t random_int(void) {
  switch (next_random() % 16) {
  case 0: return INT64_MAX;
  case 1: return INT64_MIN;
  default: return (int64_t)(next_random() % 12) - 3;
  }
}

static IrCell random_array(IrType t, const int64_t *dims) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; i++) n *= dims[i];
  double *floats = ARENA_ARRAY(w.arena, double, n);
  int64_t *ints = ARENA_ARRAY(w.arena, int64_t, n);
  for (int64_t i = 0; i < n; i++) {
    floats[i] = t.elem == IR_F32 ? (double)(float)random_float() : random_float();
    ints[i] = t.elem == IR_BOOL ? next_random() % 2 : next_random() % 4;
  }
  if (t.elem == IR_F64 || t.elem == IR_F32) return ir_cell_array(w.arena, t.elem, t.rank, dims, floats);
  IrCell c = ir_cell_ints(w.arena, t.rank, dims, ints);
  c.type.elem = t.elem;
  return c;
}

static void random_args(const IrFunc *f, IrCell *args) {
  for (int i = 0; i < f->n_params; i++) {
    IrVal v = (IrVal)i + 1;
    IrType t = ir_type(f, v);
    int64_t dims[IR_MAX_RANK] = {next_random() % 5};
    for (int k = 0; ir_dims(f, v) && k < t.rank; k++) dims[k] = args[ir_dims(f, v)[k] - 1].v.i;
    args[i] = (IrCell){.type = t};
    if (ir_is_array(t))
      args[i] = random_array(t, dims);
    else if (i < f->n_sizes)
      args[i].v.i = next_random() % 6;
    else if (ir_is_float(t))
      args[i].v.q = t.elem == IR_F32 ? (float)random_float() : random_float();
    else if (t.elem == IR_STRING)
      args[i].v.s = "text";
    else
      args[i].v.i = t.elem == IR_BOOL ? next_random() % 2 : random_int();
  }
}

static bool same_bits(IrType t, __float128 a, __float128 b) {
  if (!ir_is_float(t)) return a == b;
  if (a != a || b != b) return a != a && b != b;
  return a == b && signbit((double)a) == signbit((double)b);
}

static bool same_cell(const IrCell *a, const IrCell *b) {
  if (a->type.elem == IR_STRING) return ir_is_array(a->type) || !strcmp(a->v.s, b->v.s);
  int64_t n = 1;
  for (int i = 0; i < a->type.rank; i++) {
    if (a->dims[i] != b->dims[i]) return false;
    n *= a->dims[i];
  }
  for (int64_t i = 0; i < n; i++)
    if (!same_bits(a->type, ir_cell_at(a, i), ir_cell_at(b, i))) return false;
  return true;
}

typedef struct Outcome {
  bool ok;
  IrCell *results;
  const char *error, *printed;
  int64_t steps;
} Outcome;

static Outcome interpret(const IrFunc *f, const IrCell *args) {
  StrBuf printed;
  sb_init(&printed, w.arena);
  IrInterp in = {
      .arena = w.arena, .module = f->module, .round = true, .max_steps = 200000, .printed = &printed};
  Outcome o = {.results = ARENA_ARRAY(w.arena, IrCell, f->n_results)};
  o.ok = ir_interp(&in, f, args, o.results);
  o.error = in.error;
  o.printed = printed.data;
  o.steps = in.steps;
  return o;
}

static bool has_limits(const Outcome *o) { // of the oracle, not of the program
  return o->error && (strstr(o->error, "steps") || strstr(o->error, "oracle") || strstr(o->error, "memory"));
}

static void check_same(const IrFunc *before, const IrFunc *now, const char *what) {
  IrCell *args = ARENA_ARRAY(w.arena, IrCell, before->n_params);
  for (int round = 0; round < 40; round++) {
    random_args(before, args);
    Outcome a = interpret(before, args), b = interpret(now, args);
    if (has_limits(&a)) continue;
    cr_assert_eq(a.ok, b.ok, "%s: @%s: %s, now %s\n%s", what, before->name, a.error ? a.error : "fine",
                 b.error ? b.error : "fine", print(now->module));
    for (int i = 0; a.ok && i < before->n_results; i++)
      cr_assert(same_cell(&a.results[i], &b.results[i]), "%s: @%s: result %d is another\n%s\nnow\n%s", what,
                before->name, i, print(before->module), print(now->module));
    if (a.ok) cr_assert_str_eq(a.printed, b.printed);
  }
}

static void check_same_module(const char *path, const char *text, const IrModule *now) {
  const IrModule *before = parse(path, text);
  for (int i = 0; i < before->funcs.len; i++)
    if (before->funcs.data[i]->body) check_same(before->funcs.data[i], now->funcs.data[i], path);
}

// ---- golden files ----------------------------------------------------------------------------------------------------

static const char *path_of(const char *name, const char *end) {
  return arena_printf(w.arena, "%s/tests/opt/%s%s", DP_SOURCE_DIR, name, end);
}

static const char *read_text(const char *path) {
  const char *why = NULL;
  size_t len;
  const char *text = file_read(w.arena, path, &len, &why);
  cr_assert_not_null(text, "%s", why);
  return text;
}

static void check_golden(const char *name, PassFn *pass) {
  const char *path = path_of(name, ".ir"), *expected = path_of(name, ".out.ir");
  const char *text = read_text(path);
  IrModule *now = run_pass(pass, path, text);
  const char *printed = print(now);
  check_same_module(path, text, now);
  if (getenv("DP_UPDATE")) {
    const char *why = NULL;
    cr_assert(file_write_atomic(w.arena, expected, printed, strlen(printed), false, &why), "%s", why);
    return;
  }
  cr_assert_str_eq(printed, read_text(expected), "%s is now\n%s", expected, printed);
}

Test(golden, dce) { check_golden("dce", opt_dce); }
Test(golden, simplify_scalars) { check_golden("simplify_scalars", opt_simplify); }
Test(golden, simplify_regions) { check_golden("simplify_regions", opt_simplify); }
Test(golden, simplify_arrays) { check_golden("simplify_arrays", opt_simplify); }
Test(golden, cse) { check_golden("cse", opt_cse); }
Test(golden, licm) { check_golden("licm", opt_licm); }
Test(golden, checks) { check_golden("checks", opt_checks); }
Test(golden, checks_leave) { check_golden("checks_leave", opt_checks); }
