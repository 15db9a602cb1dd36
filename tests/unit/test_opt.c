// compiler/opt, the scalar passes: text in and text out (tests/opt/NAME.ir and NAME.out.ir; DP_UPDATE=1 rewrites the
// second), the verifier after each, and the oracle's word that a function still computes what it did.
#include "ir_world.h"
#include "opt/opt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(golden, .init = world_start, .fini = world_stop);
TestSuite(random, .init = world_start, .fini = world_stop);

typedef IrFunc *PassFn(IrFunc *f);
typedef struct Pass {
  const char *name;
  PassFn *run;
} Pass;

// ---- modules -----------------------------------------------------------------------------------------------------

static const char *print(const IrModule *m) {
  StrBuf sb;
  sb_init(&sb, w.arena);
  ir_print_module(m, &sb);
  return sb.data;
}

static IrModule *run_pass(PassFn *pass, const char *path, const char *text) {
  IrModule *m = parse(path, text);
  m->lanes = 8;
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

static Outcome interpret(const IrFunc *f, const IrCell *args, int64_t max_steps) {
  StrBuf printed;
  sb_init(&printed, w.arena);
  IrInterp in = {
      .arena = w.arena, .module = f->module, .round = true, .max_steps = max_steps, .printed = &printed};
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

static void check_same(const IrFunc *before, const IrFunc *now, int rounds, const char *what) {
  IrCell *args = ARENA_ARRAY(w.arena, IrCell, before->n_params);
  for (int round = 0; round < rounds; round++) {
    random_args(before, args);
    Outcome a = interpret(before, args, 20000), b = interpret(now, args, 200000);
    if (has_limits(&a)) continue;
    cr_assert_eq(a.ok, b.ok, "%s: @%s: %s, now %s\n%s", what, before->name, a.error ? a.error : "fine",
                 b.error ? b.error : "fine", print(now->module));
    for (int i = 0; a.ok && i < before->n_results; i++)
      cr_assert(same_cell(&a.results[i], &b.results[i]), "%s: @%s: result %d is another\n%s\nnow\n%s", what,
                before->name, i, print(before->module), print(now->module));
    if (a.ok) cr_assert_str_eq(a.printed, b.printed);
  }
}

static void check_same_module(const char *path, const char *text, const IrModule *now, int rounds) {
  const IrModule *before = parse(path, text);
  for (int i = 0; i < before->funcs.len; i++)
    if (before->funcs.data[i]->body) check_same(before->funcs.data[i], now->funcs.data[i], rounds, path);
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
  check_same_module(path, text, now, 40);
  if (getenv("DP_UPDATE")) {
    const char *why = NULL;
    cr_assert(file_write_atomic(w.arena, expected, printed, strlen(printed), false, &why), "%s", why);
    return;
  }
  cr_assert_str_eq(printed, read_text(expected), "%s is now\n%s", expected, printed);
}

Test(golden, recall) { check_golden("recall", opt_recall); }
Test(golden, gather) { check_golden("gather", opt_gather); }
Test(golden, wave) { check_golden("wave", opt_wave); }
Test(golden, skew) { check_golden("skew", opt_skew); }
Test(golden, dce) { check_golden("dce", opt_dce); }
Test(golden, simplify_scalars) { check_golden("simplify_scalars", opt_simplify); }
Test(golden, simplify_regions) { check_golden("simplify_regions", opt_simplify); }
Test(golden, simplify_arrays) { check_golden("simplify_arrays", opt_simplify); }
Test(golden, cse) { check_golden("cse", opt_cse); }
Test(golden, sizes) { check_golden("sizes", opt_sizes); }
Test(golden, unroll) { check_golden("unroll", opt_unroll); }
Test(golden, scalars) { check_golden("scalars", opt_scalars); }
Test(golden, branches) { check_golden("branches", opt_branches); }
Test(golden, licm) { check_golden("licm", opt_licm); }
Test(golden, checks) { check_golden("checks", opt_checks); }
Test(golden, current) { check_golden("current", opt_current); }
Test(golden, lanes) { check_golden("lanes", opt_lanes); }
Test(golden, apart) { check_golden("apart", opt_apart); }
Test(golden, checks_leave) { check_golden("checks_leave", opt_checks); }
Test(golden, winner) { check_golden("winner", opt_winner); }
Test(golden, settle) { check_golden("settle", opt_settle); }
Test(golden, split) { check_golden("split", opt_split); }
Test(golden, place) { check_golden("place", opt_place); }
Test(golden, join) { check_golden("join", opt_join); }
Test(golden, accumulate) { check_golden("accumulate", opt_accumulate); }
Test(golden, guards) { check_golden("guards", opt_guards); }
Test(golden, starts) { check_golden("starts", opt_starts); }
Test(golden, leaves) { check_golden("leaves", opt_leaves); }
Test(golden, regular) { check_golden("regular", opt_regular); }
Test(golden, upward) { check_golden("upward", opt_upward); }
Test(golden, chain) { check_golden("chain", opt_chain); }
Test(golden, elements) { check_golden("elements", opt_elements); }

static IrFunc *memory_and_storage(IrFunc *f) { return opt_storage(opt_memory(f)); }
Test(golden, storage) { check_golden("storage", memory_and_storage); }

// ---- random functions ------------------------------------------------------------------------------------------------
// Of every kind of operation, nested a few regions deep. Indices are mostly those of loops or guarded, so that most runs
// come to an end, and some are not, so that checks matter.

typedef struct Gen {
  IrFunc *f;
  IrVal scope[4096]; // what is visible
  int n_scope;
  int budget; // operations left
  int depth;
} Gen;

static int below(int n) { return (int)(next_random() % (uint32_t)n); }
static bool one_in(int n) { return below(n) == 0; }

static IrVal see(Gen *g, IrVal v) {
  if (g->n_scope < 4096) g->scope[g->n_scope++] = v;
  g->budget--;
  return v;
}

static IrVal random_const(IrBuilder *b, IrElem e) {
  switch (e) {
  case IR_BOOL: return ir_const_bool(b, one_in(2));
  case IR_INT: return ir_const_int(b, below(7) - 2);
  default: return ir_const_float(b, e, below(3) ? below(9) / 2.0 - 2 : random_float());
  }
}

// A scalar in scope, mostly a young one; else a constant.
static IrVal pick(Gen *g, IrBuilder *b, IrElem e) {
  for (int tries = 0; tries < 12; tries++) {
    int at = one_in(2) ? below(g->n_scope) : g->n_scope - 1 - below(g->n_scope < 8 ? g->n_scope : 8);
    if (ir_type_eq(ir_type(g->f, g->scope[at]), IR_SCALAR(e))) return g->scope[at];
  }
  return see(g, random_const(b, e));
}

static IrVal pick_array(const Gen *g, bool grow) {
  for (int tries = 0; tries < 20; tries++) {
    IrVal v = g->scope[below(g->n_scope)];
    IrType t = ir_type(g->f, v);
    if (ir_is_array(t) && t.grow == grow && ir_is_float(t)) return v;
  }
  return 0;
}

// Of v's type, and its sizes.
static IrVal pick_like(Gen *g, IrBuilder *b, IrVal v) {
  IrType t = ir_type(g->f, v);
  if (!ir_is_array(t)) return pick(g, b, (IrElem)t.elem);
  for (int tries = 0; tries < 20; tries++) {
    IrVal u = g->scope[below(g->n_scope)];
    if (!ir_type_eq(ir_type(g->f, u), t)) continue;
    bool same = true;
    for (int k = 0; !t.grow && k < t.rank; k++) same = same && ir_dims(g->f, u)[k] == ir_dims(g->f, v)[k];
    if (same) return u;
  }
  return v;
}

static IrVal random_size(Gen *g, IrBuilder *b) {
  if (one_in(3)) return g->f->body->args[below(g->f->n_sizes)];
  if (one_in(3)) return see(g, ir_const_int(b, below(5)));
  IrVal v = ir_op2(b, IR_MAX, pick(g, b, IR_INT), ir_const_int(b, 0));
  return see(g, ir_op2(b, IR_MIN, v, ir_const_int(b, 5)));
}

// ---- single operations

static void gen_int(Gen *g, IrBuilder *b) {
  static const IrOpKind kinds[] = {IR_ADD, IR_SUB, IR_ADD,  IR_SUB,  IR_MUL,
                                   IR_MIN, IR_MAX, IR_IDIV, IR_IMOD, IR_IPOW};
  IrOpKind k = kinds[below(10)];
  IrVal x = pick(g, b, IR_INT), y = pick(g, b, IR_INT);
  if (one_in(10)) {
    see(g, ir_op1(b, one_in(2) ? IR_NEG : IR_ABS, x));
    return;
  }
  if (k == IR_IDIV || k == IR_IMOD) {
    if (!one_in(12)) y = ir_op2(b, IR_MAX, y, ir_const_int(b, 1));
    ir_op1(b, IR_CHECK_DIV, y);
  }
  see(g, ir_op2(b, k, x, y));
}

static void gen_float(Gen *g, IrBuilder *b, IrElem e) {
  static const IrOpKind two[] = {IR_ADD, IR_SUB, IR_MUL, IR_DIV, IR_MIN, IR_MAX, IR_ADD, IR_MUL};
  static const IrOpKind one[] = {IR_NEG, IR_ABS, IR_SQRT, IR_EXP, IR_FLOOR, IR_SIGN, IR_NEG, IR_ROUND};
  IrVal x = pick(g, b, e);
  switch (below(6)) {
  case 0: see(g, ir_op1(b, one[below(8)], x)); return;
  case 1: see(g, ir_op3(b, IR_FMA, x, pick(g, b, e), pick(g, b, e))); return;
  case 2:
    if (one_in(3)) {
      see(g, ir_op2(b, IR_POWI, x, ir_const_int(b, below(4))));
      return;
    }
    see(g, ir_op3(b, IR_SELECT, pick(g, b, IR_BOOL), x, pick(g, b, e)));
    return;
  default: see(g, ir_op2(b, two[below(8)], x, pick(g, b, e))); return;
  }
}

static void gen_bool(Gen *g, IrBuilder *b) {
  static const IrOpKind compare[] = {IR_LT, IR_LE, IR_EQ, IR_NE}, logic[] = {IR_AND, IR_OR, IR_EQ, IR_NE};
  IrElem e = one_in(3) ? IR_F64 : IR_INT;
  switch (below(5)) {
  case 0: see(g, ir_op1(b, IR_NOT, pick(g, b, IR_BOOL))); return;
  case 1: see(g, ir_op2(b, logic[below(4)], pick(g, b, IR_BOOL), pick(g, b, IR_BOOL))); return;
  default: see(g, ir_op2(b, compare[below(4)], pick(g, b, e), pick(g, b, e))); return;
  }
}

static void gen_convert(Gen *g, IrBuilder *b) {
  switch (below(6)) {
  case 0: see(g, ir_convert(b, IR_ITOF, IR_F64, pick(g, b, IR_INT))); return;
  case 1: see(g, ir_convert(b, IR_ITOF, IR_F32, pick(g, b, IR_INT))); return;
  case 2: see(g, ir_convert(b, IR_FTOI, IR_INT, pick(g, b, IR_F64))); return;
  case 3: see(g, ir_convert(b, IR_BTOI, IR_INT, pick(g, b, IR_BOOL))); return;
  case 4: see(g, ir_convert(b, IR_FCVT, IR_F32, pick(g, b, IR_F64))); return;
  default: see(g, ir_convert(b, IR_FCVT, IR_F64, pick(g, b, IR_F32))); return;
  }
}

// An index into an axis of this size: checked, mostly after it was brought into its range; 0 in front of a branch that
// finds out whether there is one.
static IrVal random_index(Gen *g, IrBuilder *b, IrVal size) {
  IrVal i = pick(g, b, IR_INT);
  if (one_in(2)) {
    IrVal by = ir_op2(b, IR_MAX, size, ir_const_int(b, 1));
    ir_op1(b, IR_CHECK_DIV, by);
    i = ir_op2(b, IR_IMOD, i, by);
  } else if (!one_in(5)) {
    IrVal last = ir_op2(b, IR_SUB, size, ir_const_int(b, 1));
    i = ir_op2(b, IR_MIN, ir_op2(b, IR_MAX, i, ir_const_int(b, 0)), last);
  }
  ir_op2(b, IR_CHECK_INDEX, i, size);
  return see(g, i);
}

static void gen_element(Gen *g, IrBuilder *b) {
  IrVal a = pick_array(g, false), idx[IR_MAX_RANK];
  if (!a) {
    IrVal dims[2] = {random_size(g, b), random_size(g, b)};
    see(g, ir_fill(b, pick(g, b, IR_F64), dims, 1 + below(2)));
    return;
  }
  int rank = ir_type(g->f, a).rank, before = g->n_scope;
  IrVal some = 0;
  for (int k = 0; k < rank; k++) {
    IrVal has = ir_op2(b, IR_LT, ir_const_int(b, 0), ir_dims(g->f, a)[k]);
    some = some ? ir_op2(b, IR_AND, some, has) : has;
  }
  if (!one_in(8)) {
    IrBuilder in[2];
    IrOp *op = ir_if(b, some, &in[0], &in[1]);
    for (int k = 0; k < rank; k++) idx[k] = random_index(g, &in[0], ir_dims(g->f, a)[k]);
    bool get = one_in(2);
    IrVal x = pick(g, &in[0], IR_F64);
    g->n_scope = before;
    IrVal y = pick(g, &in[1], IR_F64);
    g->n_scope = before;
    IrVal now = get ? ir_get(&in[0], a, idx, rank) : (one_in(3) ? ir_acc : ir_set)(&in[0], a, idx, rank, x);
    ir_yield(&in[0], &now, 1);
    ir_yield(&in[1], get ? &y : &a, 1);
    const IrVal *dims = get ? NULL : ir_dims(g->f, a);
    ir_close_if(b, op, &dims);
    see(g, op->result);
    return;
  }
  for (int k = 0; k < rank; k++) idx[k] = random_index(g, b, ir_dims(g->f, a)[k]);
  switch (below(4)) {
  case 0: see(g, ir_set(b, a, idx, rank, pick(g, b, IR_F64))); return;
  case 1: see(g, ir_acc(b, a, idx, rank, pick(g, b, IR_F64))); return;
  default: see(g, ir_get(b, a, idx, rank)); return;
  }
}

static void gen_growable(Gen *g, IrBuilder *b) {
  IrVal a = pick_array(g, true);
  if (!a || one_in(8)) {
    see(g, ir_empty(b, IR_F64));
    return;
  }
  switch (below(4)) {
  case 0: see(g, ir_op1(b, IR_LEN, a)); return;
  case 1: {
    IrVal i = random_index(g, b, ir_op1(b, IR_LEN, a));
    see(g, ir_get(b, a, &i, 1));
    return;
  }
  default: see(g, ir_op2(b, IR_PUSH, a, pick(g, b, IR_F64))); return;
  }
}

static void gen_effect(Gen *g, IrBuilder *b) {
  IrVal x = pick(g, b, IR_INT), y = pick(g, b, IR_INT);
  switch (below(6)) {
  case 0: ir_op2(b, IR_CHECK_SIZE, x, one_in(12) ? y : ir_op2(b, IR_MAX, x, x)); return;
  case 1:
    y = ir_op2(b, IR_MAX, y, ir_const_int(b, 0));
    ir_op3(b, IR_CHECK_RANGE, ir_const_int(b, one_in(9)), ir_op2(b, IR_MIN, one_in(9) ? x : y, y), y);
    return;
  case 2: {
    IrVal sure = ir_op2(b, IR_OR, pick(g, b, IR_BOOL), ir_op2(b, IR_LE, ir_op2(b, IR_MIN, x, y), x));
    if (one_in(9)) sure = pick(g, b, IR_BOOL);
    ir_op2(b, IR_ASSERT, sure, ir_str(b, intern_cstr(w.names, "asserted")));
    return;
  }
  case 3: {
    IrType text = IR_SCALAR(IR_STRING);
    const IrVal *none = NULL;
    IrOp *op = ir_op_explicit(b, IR_FORMAT, &x, 1, &text, &none, 1);
    op->attr.sym = intern_cstr(w.names, "{}");
    ir_op1(b, IR_PRINT, op->result);
    return;
  }
  default: see(g, pick(g, b, IR_F64)); return;
  }
}

// ---- regions

static void gen_ops(Gen *g, IrBuilder *b, int n);

static void see_args(Gen *g, const IrRegion *r) {
  for (int i = 0; i < r->n_args; i++) see(g, r->args[i]);
}

static void gen_if(Gen *g, IrBuilder *b) {
  IrBuilder in[2];
  IrVal like[3], dims[3][IR_MAX_RANK];
  const IrVal *result_dims[3] = {NULL};
  int n = below(4);
  for (int k = 0; k < n; k++) {
    IrVal a = one_in(3) ? pick_array(g, one_in(3)) : 0;
    like[k] = a ? a : pick(g, b, one_in(2) ? IR_F64 : one_in(2) ? IR_INT : IR_BOOL);
    const IrVal *d = ir_dims(g->f, like[k]);
    for (int i = 0; d && i < ir_type(g->f, like[k]).rank; i++) dims[k][i] = d[i];
    if (d) result_dims[k] = dims[k];
  }
  IrOp *op = ir_if(b, pick(g, b, IR_BOOL), &in[0], &in[1]);
  for (int r = 0; r < 2; r++) {
    int before = g->n_scope;
    gen_ops(g, &in[r], below(6));
    IrVal yields[3];
    for (int k = 0; k < n; k++) yields[k] = pick_like(g, &in[r], like[k]);
    ir_yield(&in[r], yields, n);
    g->n_scope = before;
  }
  ir_close_if(b, op, result_dims);
  for (int k = 0; k < n; k++) see(g, ir_result(op, k));
}

static int random_inits(Gen *g, IrBuilder *b, IrVal *inits) {
  int n = below(4);
  for (int k = 0; k < n; k++) {
    IrVal a = one_in(2) ? pick_array(g, one_in(4)) : 0;
    inits[k] = a ? a : pick(g, b, one_in(2) ? IR_F64 : one_in(3) ? IR_BOOL : IR_INT);
  }
  return n;
}

// What goes on as the next round's values: mostly something new, sometimes an int one up.
static void random_yields(Gen *g, IrBuilder *in, const IrVal *args, int n, IrVal *yields) {
  for (int k = 0; k < n; k++) {
    yields[k] = pick_like(g, in, args[k]);
    bool counts = ir_type_eq(ir_type(g->f, args[k]), IR_SCALAR(IR_INT)) && one_in(2);
    if (counts) yields[k] = ir_op2(in, IR_ADD, args[k], ir_const_int(in, below(3)));
    if (one_in(5)) yields[k] = args[below(n)];
    if (!ir_type_eq(ir_type(g->f, yields[k]), ir_type(g->f, args[k]))) yields[k] = args[k];
  }
}

// Of arrays, only those with the sizes of the init may go on.
static void same_sizes(const Gen *g, const IrVal *args, int n, IrVal *yields) {
  for (int k = 0; k < n; k++) {
    const IrVal *x = ir_dims(g->f, args[k]), *y = ir_dims(g->f, yields[k]);
    for (int i = 0; x && i < ir_type(g->f, args[k]).rank; i++)
      if (x[i] != y[i]) {
        yields[k] = args[k];
        break;
      }
  }
}

static void gen_for(Gen *g, IrBuilder *b) {
  IrVal inits[4], yields[4], lo = ir_const_int(b, below(4) ? 0 : below(3) - 1), hi = random_size(g, b);
  int n = random_inits(g, b, inits);
  int64_t step = one_in(4) ? 2 : 1;
  if (one_in(4)) {
    IrVal t = ir_op2(b, IR_SUB, hi, ir_const_int(b, 1));
    hi = ir_const_int(b, -1);
    lo = t;
    step = -1;
  }
  if (one_in(5)) hi = see(g, ir_op2(b, IR_MIN, pick(g, b, IR_INT), ir_const_int(b, 6)));
  IrBuilder in;
  IrOp *op = ir_for(b, lo, hi, ir_const_int(b, step), inits, n, &in);
  int before = g->n_scope;
  see_args(g, in.region);
  gen_ops(g, &in, 1 + below(8));
  random_yields(g, &in, in.region->args + 1, n, yields);
  same_sizes(g, in.region->args + 1, n, yields);
  ir_yield(&in, yields, n);
  g->n_scope = before;
  for (int k = 0; k < n; k++) see(g, ir_result(op, k));
}

static void gen_while(Gen *g, IrBuilder *b) {
  IrVal inits[5], yields[5];
  int n = 1 + random_inits(g, b, inits + 1);
  inits[0] = ir_const_int(b, below(3));
  IrVal limit = random_size(g, b);
  IrBuilder cond, body;
  IrOp *op = ir_while(b, inits, n, &cond, &body);
  int before = g->n_scope;
  see_args(g, cond.region);
  gen_ops(g, &cond, below(3));
  IrVal go = ir_op2(&cond, IR_LT, cond.region->args[0], limit);
  if (one_in(3)) go = ir_op2(&cond, IR_AND, go, pick(g, &cond, IR_BOOL));
  ir_yield(&cond, &go, 1);
  g->n_scope = before;
  see_args(g, body.region);
  gen_ops(g, &body, 1 + below(6));
  random_yields(g, &body, body.region->args, n, yields);
  same_sizes(g, body.region->args, n, yields);
  yields[0] = ir_op2(&body, IR_ADD, body.region->args[0], ir_const_int(&body, 1));
  ir_yield(&body, yields, n);
  g->n_scope = before;
  for (int k = 0; k < n; k++) see(g, ir_result(op, k));
}

static void gen_build(Gen *g, IrBuilder *b) {
  IrVal dims[2] = {random_size(g, b), random_size(g, b)}, yields[2];
  int n = 1 + below(2);
  IrBuilder in;
  IrOp *op = ir_build(b, dims, 1 + below(2), &in);
  int before = g->n_scope;
  see_args(g, in.region);
  gen_ops(g, &in, 1 + below(6));
  for (int k = 0; k < n; k++) yields[k] = pick(g, &in, IR_F64);
  ir_yield(&in, yields, n);
  g->n_scope = before;
  ir_close_build(b, op);
  for (int k = 0; k < n; k++) see(g, ir_result(op, k));
}

static void gen_region(Gen *g, IrBuilder *b) {
  g->depth++;
  switch (below(7)) {
  case 0:
  case 1:
  case 2: gen_for(g, b); break;
  case 3: gen_while(g, b); break;
  case 4: gen_build(g, b); break;
  default: gen_if(g, b); break;
  }
  g->depth--;
}

static void gen_op(Gen *g, IrBuilder *b) {
  int k = below(20);
  if (k < 4 && g->depth < 3)
    gen_region(g, b);
  else if (k < 8)
    gen_int(g, b);
  else if (k < 11)
    gen_float(g, b, one_in(5) ? IR_F32 : IR_F64);
  else if (k < 13)
    gen_bool(g, b);
  else if (k < 14)
    gen_convert(g, b);
  else if (k < 18)
    gen_element(g, b);
  else if (k < 19)
    gen_growable(g, b);
  else
    gen_effect(g, b);
}

static void gen_ops(Gen *g, IrBuilder *b, int n) {
  for (int i = 0; i < n && g->budget > 0; i++) gen_op(g, b);
}

static IrModule *random_module(void) {
  IrModule *m = ir_module_new(w.arena, w.names, &w.sources);
  IrFunc *f = ir_func_new(m, intern_cstr(w.names, "random"));
  Gen g = {.f = f, .budget = 120};
  static const char *const names[] = {"n", "m", "v", "a", "x", "y", "k", "l", "c"};
  static const IrElem elems[] = {IR_INT, IR_INT, IR_F64, IR_F64, IR_F64, IR_F64, IR_INT, IR_INT, IR_BOOL};
  static const uint8_t ranks[] = {0, 0, 1, 2, 0, 0, 0, 0, 0};
  const IrVal dims[] = {1, 2};
  for (int i = 0; i < 9; i++) {
    IrLeaf leaf = {intern_cstr(w.names, names[i]), false};
    see(&g, ir_param(f, (IrType){(uint8_t)elems[i], ranks[i], false}, dims, leaf));
  }
  f->n_sizes = 2;
  f->is_export = true;
  IrBuilder b = ir_builder(f);
  gen_ops(&g, &b, 30);
  IrVal results[6];
  for (int k = 0; k < 6; k++) {
    IrVal a = k > 3 ? pick_array(&g, false) : 0;
    results[k] = a ? a : pick(&g, &b, k % 2 ? IR_F64 : IR_INT);
  }
  ir_set_results(f, results, 6, NULL);
  return m;
}

// ---- and what the passes make of them ----------------------------------------------------------------------------------

enum { N_RANDOM = 150, ROUNDS = 8 };

static void check_random(PassFn *pass, const char *name) {
  const char *count = getenv("DP_RANDOM");
  int n = count ? atoi(count) : N_RANDOM;
  for (int i = 0; i < n; i++) {
    w.random = (uint64_t)i * 1000003 + 7;
    const char *text = print(random_module());
    const char *what = arena_printf(w.arena, "%s, function %d", name, i);
    check_same_module(what, text, run_pass(pass, what, text), ROUNDS);
    world_stop();
    world_start();
  }
}

static IrFunc *all_passes(IrFunc *f) {
  for (int i = 0; i < 2; i++) f = opt_dce(opt_cse(opt_checks(opt_licm(opt_dce(opt_cse(opt_simplify(f)))))));
  return f;
}

static IrFunc *pipeline(IrFunc *f) {
  OptOptions o = {.level = 3};
  return opt_function(f, &o);
}

Test(random, dce) { check_random(opt_dce, "dce"); }
Test(random, simplify) { check_random(opt_simplify, "simplify"); }
Test(random, cse) { check_random(opt_cse, "cse"); }
Test(random, licm) { check_random(opt_licm, "licm"); }
Test(random, checks) { check_random(opt_checks, "checks"); }
Test(random, winner) { check_random(opt_winner, "winner"); }
Test(random, split) { check_random(opt_split, "split"); }
Test(random, place) { check_random(opt_place, "place"); }
Test(random, join) { check_random(opt_join, "join"); }
Test(random, accumulate) { check_random(opt_accumulate, "accumulate"); }
Test(random, guards) { check_random(opt_guards, "guards"); }
Test(random, starts) { check_random(opt_starts, "starts"); }
Test(random, leaves) { check_random(opt_leaves, "leaves"); }
Test(random, regular) { check_random(opt_regular, "regular"); }
Test(random, current) { check_random(opt_current, "current"); }
Test(random, upward) { check_random(opt_upward, "upward"); }
Test(random, gather) { check_random(opt_gather, "gather"); }
Test(random, carried) { check_random(opt_carried, "carried"); }
Test(random, wave) { check_random(opt_wave, "wave"); }
Test(random, skew) { check_random(opt_skew, "skew"); }
Test(random, recall) { check_random(opt_recall, "recall"); }
Test(random, chain) { check_random(opt_chain, "chain"); }
Test(random, elements) { check_random(opt_elements, "elements"); }
Test(random, in_turn) { check_random(all_passes, "in turn"); }
Test(random, pipeline) { check_random(pipeline, "pipeline"); }
