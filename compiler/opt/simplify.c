// Simplification. In: ordinary IR; out: the same with constants folded, identities applied, and branches and loops that
// decide themselves replaced by what they come to. One walk from the front, each operation seen with its operands already
// simple; again, without what became unused, while a walk opened up more.
#include "opt/scalar.h"

enum { MAX_WALKS = 4, SELECT_OPS = 2 };

static IrRewrite rewrite;

static void map_to(IrBuilder *b, IrMap *map, IrVal old, IrVal now) {
  ir_map_set(map, old, now);
  if (!ir_val(b->func, now)->name) ir_name(b->func, now, ir_val(map->from, old)->name);
}

static IrVal *mapped(const IrBuilder *b, const IrMap *map, const IrVal *vals, int n) {
  IrVal *out = ARENA_ARRAY(b->func->arena, IrVal, n);
  for (int i = 0; i < n; i++) out[i] = ir_mapped(map, vals[i]);
  return out;
}

static bool same_value(const IrFunc *f, IrVal a, IrVal b) {
  Const x, y;
  return a == b || (const_get(f, a, &x) && const_get(f, b, &y) && const_same(x, y));
}

// ---- what conditions say -------------------------------------------------------------------------------------------

bool known_bool(const Simplify *s, const IrFunc *f, IrVal v, bool *out) {
  if (ir_type(f, v).elem == IR_BOOL && ir_is_const(f, v)) {
    *out = ir_val(f, v)->def->attr.i != 0;
    return true;
  }
  for (int i = s->facts.len - 1; i >= 0; i--) {
    if (s->facts.data[i].v != v) continue;
    *out = s->facts.data[i].truth;
    return true;
  }
  return false;
}

static void add_facts(Simplify *s, const IrFunc *f, IrVal v, bool truth) {
  const IrOp *d = ir_val(f, v)->def;
  vec_push(f->arena, &s->facts, ((Fact){v, truth}));
  if (!d) return;
  if (d->kind == IR_NOT) add_facts(s, f, d->args[0], !truth);
  if (d->kind != (truth ? IR_AND : IR_OR)) return;
  add_facts(s, f, d->args[0], truth);
  add_facts(s, f, d->args[1], truth);
}

// ---- if --------------------------------------------------------------------------------------------------------------

// Cheap, without floats but constants: computing both sides costs less than a branch. (A side that computes with floats and
// is not taken would still be there for derivatives, and make a NaN out of 0 * inf.)
static bool cheap(const IrFunc *f, const IrRegion *r) {
  int n = 0;
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    const IrOpInfo *info = &ir_op_info[op->kind];
    if (op->kind == IR_CONST) continue;
    if (!(info->flags & IR_P) || op->n_regions || op->n_results != 1 || info->cost > 1) return false;
    for (int k = 0; k < op->n_args; k++)
      if (ir_is_array(ir_type(f, op->args[k])) || ir_is_float(ir_type(f, op->args[k]))) return false;
    IrType t = ir_type(f, op->result);
    if (t.rank || (t.elem != IR_INT && t.elem != IR_BOOL)) return false;
    n++;
  }
  return n <= SELECT_OPS;
}

static bool can_select(const IrFunc *f, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) {
    IrType t = ir_type(f, ir_result(op, k));
    Const c;
    bool constants =
        const_get(f, op->regions[0]->yields[k], &c) && const_get(f, op->regions[1]->yields[k], &c);
    if (t.rank || (t.elem != IR_INT && t.elem != IR_BOOL && !(ir_is_float(t) && constants))) return false;
  }
  return op->n_results > 0 && cheap(f, op->regions[0]) && cheap(f, op->regions[1]);
}

static void make_selects(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op, IrVal cond) {
  IrVal *yields[2];
  for (int k = 0; k < 2; k++) {
    yields[k] = ARENA_ARRAY(b->func->arena, IrVal, op->n_results);
    ir_rewrite_ops(b, map, op->regions[k], yields[k], rewrite, s);
  }
  b->loc = op->loc;
  for (int k = 0; k < op->n_results; k++) {
    IrVal args[3] = {cond, yields[0][k], yields[1][k]};
    IrVal v = simplify_scalar(s, b, IR_SELECT, IR_INT, args, 3);
    map_to(b, map, ir_result(op, k), v ? v : ir_op(b, IR_SELECT, args, 3));
  }
}

// The value of result k where the branches agree, or where it is the condition itself; else 0.
static IrVal agreed(Simplify *s, IrBuilder *b, const IrOp *now, int k) {
  IrFunc *f = b->func;
  IrVal x = now->regions[0]->yields[k], y = now->regions[1]->yields[k], cond = now->args[0];
  Const c;
  if (x == y && ir_defined_outside(f, x, now->regions[0])) return x;
  if (same_value(f, x, y) && const_get(f, x, &c)) return const_emit(b, c);
  if (!ir_type_eq(ir_type(f, x), IR_SCALAR(IR_BOOL))) return 0;
  bool t[2], known[2];
  for (int i = 0; i < 2; i++) {
    int before = s->facts.len;
    add_facts(s, f, cond, i == 0);
    known[i] = known_bool(s, f, i == 0 ? x : y, &t[i]);
    s->facts.len = before;
  }
  if (!known[0] || !known[1] || t[0] == t[1]) return 0;
  IrVal not = t[0] ? 0 : simplify_scalar(s, b, IR_NOT, IR_BOOL, &cond, 1);
  return t[0] ? cond : not ? not : ir_op1(b, IR_NOT, cond);
}

static bool simplify_if(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrVal cond = ir_mapped(map, op->args[0]);
  bool truth;
  if (known_bool(s, b->func, cond, &truth)) {
    const IrRegion *r = op->regions[truth ? 0 : 1];
    IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, r->n_yields);
    ir_rewrite_ops(b, map, r, yields, rewrite, s);
    for (int k = 0; k < op->n_results; k++) map_to(b, map, ir_result(op, k), yields[k]);
    return s->changed = true;
  }
  if (can_select(map->from, op)) {
    make_selects(s, b, map, op, cond);
    return s->changed = true;
  }
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < 2; k++) {
    int before = s->facts.len;
    add_facts(s, b->func, cond, k == 0);
    ir_rewrite_ops(&in[k], map, op->regions[k], NULL, rewrite, s);
    ir_yield(&in[k], mapped(b, map, op->regions[k]->yields, op->n_results), op->n_results);
    s->facts.len = before;
  }
  ir_close_like(b, map, op, now);
  b->loc = op->loc;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = agreed(s, b, now, k);
    if (!v) continue;
    ir_map_set(map, ir_result(op, k), v);
    s->changed = true;
  }
  return true;
}

// ---- carried values that never change --------------------------------------------------------------------------------

typedef struct Carried {
  const IrOp *op;
  const IrRegion *body;
  const IrVal *inits; // mapped
  int n, first;       // the first carried argument of the body
  bool *fixed;        // out: it has its init's value throughout
  int n_fixed;
} Carried;

static bool stays(const IrBuilder *b, const IrMap *map, const Carried *c, int k) {
  IrVal v = c->body->yields[k];
  const IrValue *val = ir_val(map->from, v);
  Const x, y;
  if (val->region == c->body && !val->def && val->index >= c->first && c->fixed[val->index - c->first])
    return c->inits[val->index - c->first] == c->inits[k];
  if (ir_defined_outside(map->from, v, c->body)) return same_value(b->func, ir_mapped(map, v), c->inits[k]);
  return const_get(map->from, v, &x) && const_get(b->func, c->inits[k], &y) && const_same(x, y);
}

// Starts from the hope that all stay and gives up those that provably might not, until nothing changes: values that
// only swap among themselves stay too.
static Carried find_fixed(const IrBuilder *b, const IrMap *map, const IrOp *op) {
  bool counted = op->kind == IR_FOR;
  Carried c = {.op = op, .body = op->regions[counted ? 0 : 1], .n = op->n_results, .first = counted ? 1 : 0};
  c.inits = mapped(b, map, op->args + (counted ? 3 : 0), c.n);
  c.fixed = ARENA_ARRAY(b->func->arena, bool, c.n);
  for (int k = 0; k < c.n; k++) c.fixed[k] = true;
  c.n_fixed = c.n;
  for (int before = -1; before != c.n_fixed;) {
    before = c.n_fixed;
    for (int k = 0; k < c.n; k++) {
      if (!c.fixed[k] || stays(b, map, &c, k)) continue;
      c.fixed[k] = false;
      c.n_fixed--;
    }
  }
  return c;
}

static void fill_loop(Simplify *s, IrBuilder *b, IrMap *map, const Carried *c, IrOp *now, IrBuilder *in) {
  for (int r = 0; r < c->op->n_regions; r++) {
    const IrRegion *from = c->op->regions[r];
    for (int k = 0; k < c->n; k++)
      if (c->fixed[k]) ir_map_set(map, from->args[c->first + k], c->inits[k]);
    ir_rewrite_ops(&in[r], map, from, NULL, rewrite, s);
    ir_yield(&in[r], mapped(b, map, from->yields, from->n_yields), from->n_yields);
  }
  ir_close_like(b, map, c->op, now);
  for (int k = 0; k < c->n; k++)
    if (c->fixed[k]) ir_map_set(map, ir_result(c->op, k), c->inits[k]);
}

// ---- loops -----------------------------------------------------------------------------------------------------------

static void map_all(IrMap *map, const IrVal *old, const IrVal *now, int n) {
  for (int i = 0; i < n; i++) ir_map_set(map, old[i], now[i]);
}

static void results_are(IrMap *map, const IrOp *op, const IrVal *now) {
  for (int i = 0; i < op->n_results; i++) ir_map_set(map, ir_result(op, i), now[i]);
}

// How often it runs: 0, 1, or 2 for more than that or not known.
static int few_trips(const IrFunc *f, const IrVal *bounds) {
  int64_t lo, hi, step;
  if (bounds[0] == bounds[1]) return 0;
  if (!ir_is_const_int(f, bounds[0], &lo) || !ir_is_const_int(f, bounds[1], &hi)) return 2;
  if (!ir_is_const_int(f, bounds[2], &step)) return lo == hi ? 0 : 2;
  uint64_t n = const_trips(lo, hi, step);
  return n < 2 ? (int)n : 2;
}

static bool only_checks(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool check = op->kind == IR_CHECK_INDEX || op->kind == IR_CHECK_RANGE || op->kind == IR_CHECK_SIZE ||
                 op->kind == IR_CHECK_DIV;
    if (!check && !(ir_op_info[op->kind].flags & (IR_P | IR_D))) return false;
    for (int k = 0; k < op->n_regions; k++)
      if (!only_checks(op->regions[k])) return false;
  }
  return true;
}

// A loop without results that checks the same in every iteration checks it once.
static bool simplify_repeated(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  int64_t step = 1;
  if (op->n_results || !only_checks(body)) return false;
  for (int k = 0; k < body->n_args; k++)
    if (s->uses[body->args[k]]) return false;
  const IrVal *args = mapped(b, map, op->args, op->n_args);
  if (op->kind == IR_FOR && (!ir_is_const_int(b->func, args[2], &step) || !step)) return false;
  IrVal runs;
  if (op->kind == IR_FOR) {
    runs = step > 0 ? ir_op2(b, IR_LT, args[0], args[1]) : ir_op2(b, IR_LT, args[1], args[0]);
  } else {
    IrVal zero = ir_const_int(b, 0);
    runs = ir_op2(b, IR_LT, zero, args[0]);
    for (int k = 1; k < op->n_args; k++) runs = ir_op2(b, IR_AND, runs, ir_op2(b, IR_LT, zero, args[k]));
  }
  IrBuilder then, els;
  IrOp *once = ir_if(b, runs, &then, &els);
  ir_rewrite_ops(&then, map, body, NULL, rewrite, s);
  ir_yield(&then, NULL, 0);
  ir_yield(&els, NULL, 0);
  ir_close_if(b, once, NULL);
  return s->changed = true;
}

// A bound that is clamped so that the loop does not run where it would not run without: up to max(x, lo), down from
// max(x, hi). Which bound it is, and x; 0: there is none.
static IrVal unclamped(const IrFunc *f, const IrVal *bounds, int *which) {
  int64_t step, end, clamp;
  if (!ir_is_const_int(f, bounds[2], &step) || !step) return 0;
  *which = step > 0;
  const IrOp *max = op_of(f, bounds[*which], IR_MAX);
  IrVal other = bounds[!*which];
  for (int k = 0; max && k < 2; k++) {
    IrVal by = max->args[k];
    bool below = ir_is_const_int(f, by, &clamp) && ir_is_const_int(f, other, &end) && clamp <= end;
    if (by == other || below) return max->args[1 - k];
  }
  return 0;
}

static bool simplify_for(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  if (simplify_repeated(s, b, map, op)) return true;
  const IrVal *args = mapped(b, map, op->args, op->n_args);
  const IrRegion *body = op->regions[0];
  int trips = few_trips(b->func, args);
  if (trips == 0) {
    results_are(map, op, args + 3);
    return s->changed = true;
  }
  if (trips == 1) {
    ir_map_set(map, body->args[0], args[0]);
    map_all(map, body->args + 1, args + 3, op->n_results);
    IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, op->n_results);
    ir_rewrite_ops(b, map, body, yields, rewrite, s);
    results_are(map, op, yields);
    return s->changed = true;
  }
  Carried c = find_fixed(b, map, op);
  int which;
  IrVal bound = unclamped(b->func, args, &which);
  if (c.n_fixed == 0 && !bound) return false;
  s->changed = true;
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  if (bound) now->args[which] = bound;
  fill_loop(s, b, map, &c, now, in);
  return true;
}

static bool simplify_while(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  Carried c = find_fixed(b, map, op);
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  fill_loop(s, b, map, &c, now, in);
  bool go;
  bool never = known_bool(s, b->func, now->regions[0]->yields[0], &go) && !go;
  if (never) results_are(map, op, c.inits); // the condition still runs, for its effects
  s->changed |= never || c.n_fixed > 0;
  return true;
}

// ---- build -----------------------------------------------------------------------------------------------------------

// An array whose elements do not depend on where they stand is filled.
static bool simplify_build(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  if (simplify_repeated(s, b, map, op)) return true;
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  ir_rewrite_ops(&in[0], map, op->regions[0], NULL, rewrite, s);
  ir_yield(&in[0], mapped(b, map, op->regions[0]->yields, op->n_results), op->n_results);
  ir_close_like(b, map, op, now);
  b->loc = op->loc;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = now->regions[0]->yields[k];
    Const c;
    if (const_get(b->func, v, &c))
      v = const_emit(b, c);
    else if (!ir_defined_outside(b->func, v, now->regions[0]))
      continue;
    map_to(b, map, ir_result(op, k), ir_fill(b, v, now->args, now->n_args));
    s->changed = true;
  }
  return true;
}

// ---- single operations -----------------------------------------------------------------------------------------------

static bool replace(IrBuilder *b, IrMap *map, const IrOp *op, IrVal v) {
  if (v) map_to(b, map, op->result, v);
  return v != 0;
}

static bool simplify_set(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op, IrVal *args) {
  IrVal old = op->args[0];
  const IrOp *before = ir_val(map->from, old)->def;
  if (!before || before->parent != op->parent || s->uses[old] != 1) return false;
  if (!simplify_overwritten(b->func, args, op->n_args)) return false;
  args[0] = ir_val(b->func, args[0])->def->args[0];
  return replace(b, map, op, ir_op(b, IR_SET, args, op->n_args));
}

static bool simplify_one(Simplify *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrVal *args = mapped(b, map, op->args, op->n_args);
  IrElem to = op->n_results ? (IrElem)ir_type(map->from, op->result).elem : IR_BOOL;
  int64_t len;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
  case IR_ASSERT: return simplify_check(s, b->func, op, args);
  case IR_GET: return replace(b, map, op, simplify_get(b->func, args, op->n_args));
  case IR_SET: return simplify_set(s, b, map, op, args);
  case IR_LEN: return simplify_len(b->func, args[0], &len) && replace(b, map, op, ir_const_int(b, len));
  default: break;
  }
  bool scalar = op->n_results == 1 && op->n_args > 0 && !ir_is_array(ir_type(map->from, op->result)) &&
                ir_op_info[op->kind].flags & (IR_P | IR_D);
  return scalar && replace(b, map, op, simplify_scalar(s, b, op->kind, to, args, op->n_args));
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Simplify *s = user;
  b->loc = op->loc;
  switch ((IrOpKind)op->kind) {
  case IR_IF: return simplify_if(s, b, map, op);
  case IR_FOR: return simplify_for(s, b, map, op);
  case IR_WHILE: return simplify_while(s, b, map, op);
  case IR_BUILD: return simplify_build(s, b, map, op);
  default: return simplify_one(s, b, map, op);
  }
}

IrFunc *opt_simplify(IrFunc *f) {
  if (!f->body) return f;
  for (int walk = 0; walk < MAX_WALKS; walk++) {
    Simplify s = {.from = f, .uses = ir_use_counts(f->arena, f)};
    f = ir_rewrite_func(f, rewrite, &s);
    if (!s.changed) break;
    f = opt_dce(f);
  }
  return f;
}
