// Guards against 0 * inf (ad/rules.c), for the machine. In: functions that are not differentiated any more, with guarded products
// with t, and what follows from them by differentiation:
//
//   %v = t * %p                                     // %p a reciprocal, mostly
//   %g = if t == 0 and %v != %v { 0 } else { %w }   // %w is %v, or its tangent
//
// Out, of opt_guards: `if t == 0 { 0 } else { %v }` where %w is %v. A higher derivative has to tell 0 * inf from a product that
// is zero itself, whose slope is not zero; the value is zero either way (but for its sign).
//
// Out, of opt_regular, in loops whose iterations wait for each other, where a guard costs as much as its product: the factors
// %p are computed first, and where all of them are finite a copy without the guards runs:
//
//   %regular = (%p - %p) + (%q - %q) == 0
//   %g, ... = if %regular { ... %w ... } else { ... as it was ... }
//
// In lanes a guard is a mask, and stays. Neither is for reading: what is read may be differentiated again.
#include "opt/internal.h"
#include "opt/scalar.h"

#include <math.h>

enum { FEWEST_GUARDS = 4, MOST_FACTORS = 4, MOST_OPS = 2000 };

// ---- what a guard is ---------------------------------------------------------------------------------------------------

typedef struct Guard {
  IrVal zero; // t == 0
  IrVal t, v;
  bool asks_nan; // v != v too
} Guard;

static bool is_nan_test(const IrFunc *f, IrVal cond, IrVal *v) {
  const IrOp *op = op_of(f, cond, IR_NE);
  if (op) *v = op->args[0];
  return op && op->args[0] == op->args[1];
}

static bool find_guard(const IrFunc *f, const IrOp *op, Guard *g) {
  if (op->kind != IR_SELECT || !const_is_zero(f, op->args[1])) return false;
  const IrOp *both = op_of(f, op->args[0], IR_AND);
  *g = (Guard){.zero = op->args[0], .v = op->args[2]};
  for (int k = 0; both && k < 2 && !g->asks_nan; k++)
    if (is_nan_test(f, both->args[1 - k], &g->v)) g->asks_nan = true, g->zero = both->args[k];
  const IrOp *test = op_of(f, g->zero, IR_EQ);
  if (test) g->t = test->args[0];
  return test && const_is_zero(f, test->args[1]);
}

// Is v a product with t? Then it is zero or NaN where t is zero, and zero if all its other factors are finite, which are
// added to `out` if that is not NULL.
static bool factors_of(const IrFunc *f, IrVal v, IrVal t, int depth, Arena *a, IrVals *out) {
  const IrOp *op = ir_val(f, v)->def;
  if (v == t) return true;
  if (!op || depth == 0) return false;
  if (op->kind == IR_NEG) return factors_of(f, op->args[0], t, depth - 1, a, out);
  for (int k = 0; op->kind == IR_MUL && k < 2; k++) {
    if (!factors_of(f, op->args[k], t, depth - 1, a, out)) continue;
    if (out) vec_push(a, out, op->args[1 - k]);
    return true;
  }
  return false;
}

// ---- half of the test --------------------------------------------------------------------------------------------------

static bool asks_too_much(const IrFunc *f, const IrOp *op, Guard *g) {
  return find_guard(f, op, g) && g->asks_nan && g->v == op->args[2] &&
         factors_of(f, g->v, g->t, MOST_FACTORS, NULL, NULL);
}

static bool halve(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user;
  Guard g;
  if (!asks_too_much(map->from, op, &g)) return false;
  IrVal zero = ir_mapped(map, op->args[1]), v = ir_mapped(map, g.v);
  ir_map_set(map, op->result, ir_op3(b, IR_SELECT, ir_mapped(map, g.zero), zero, v));
  return true;
}

static IrWalk find_halves(void *user, IrOp *op) {
  Guard g;
  return asks_too_much(user, op, &g) ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *opt_guards(IrFunc *f) {
  if (!f->body || ir_walk(f->body, find_halves, f)) return f;
  return opt_dce(ir_rewrite_func(f, halve, NULL));
}

// ---- the regular case: finding a part -----------------------------------------------------------------------------------

typedef struct Regular {
  const IrFunc *f;
  Arena *arena;
  IrSums sums;
  IrMap map;
  bool changed;
} Regular;

typedef struct Part { // operations first..end-1 of a region
  const IrRegion *r;
  int first, end;
  bool *late;     // by value: follows from a guard of the part
  bool *early;    // by value: a factor follows from it
  PtrMap guards;  // those that the copy goes without
  IrVals factors; // constants aside
  IrVal like;     // their type
  int n_guards;
} Part;

static bool is_plain(const IrFunc *f, const IrOp *op) {
  bool pure = (ir_op_info[op->kind].flags & IR_P) || op->kind == IR_GET;
  return pure && op->n_regions == 0 && op->n_results == 1 && !ir_type(f, op->result).rank;
}

static bool is_late(const Part *p, const IrOp *op) {
  for (int k = 0; k < op->n_args; k++)
    if (p->late[op->args[k]]) return true;
  return false;
}

// Can it be computed first, and added up with the others? A constant is known to be finite, or not.
static bool is_testable(const Regular *s, const Part *p, IrVal factor) {
  Const c;
  if (const_get(s->f, factor, &c)) return isfinite(c.v.f);
  return !p->late[factor] && ir_type(s->f, factor).elem == ir_type(s->f, p->like).elem;
}

// The copy goes without the guard if all of its factors can be tested.
static void add_guard(Regular *s, Part *p, const IrOp *op, const IrVals *factors) {
  for (int k = 0; k < factors->len; k++)
    if (!is_testable(s, p, factors->data[k])) return;
  for (int k = 0; k < factors->len; k++) {
    IrVal v = factors->data[k];
    if (!p->early[v] && !ir_is_const(s->f, v)) vec_push(s->arena, &p->factors, v);
    p->early[v] = true;
  }
  ptr_put(s->arena, &p->guards, op, 1);
  p->n_guards++;
}

// The longest part from p->first on; is it worth a copy?
static bool find_part(Regular *s, Part *p) {
  p->late = ARENA_ARRAY(s->arena, bool, s->f->vals.len);
  p->early = ARENA_ARRAY(s->arena, bool, s->f->vals.len);
  for (p->end = p->first; p->end < p->r->ops.len; p->end++) {
    const IrOp *op = p->r->ops.data[p->end];
    IrVals factors = {0};
    Guard g;
    if (!is_plain(s->f, op)) break;
    bool guard = find_guard(s->f, op, &g) && factors_of(s->f, g.v, g.t, MOST_FACTORS, s->arena, &factors);
    p->late[op->result] = guard || is_late(p, op);
    if (guard && !p->like) p->like = g.t;
    if (guard) add_guard(s, p, op, &factors);
  }
  bool pays = p->n_guards >= FEWEST_GUARDS && p->factors.len <= p->n_guards;
  return pays && p->factors.len && p->end - p->first <= MOST_OPS;
}

// What factors follow from comes early too.
static void spread_early(Part *p) {
  for (int i = p->end - 1; i >= p->first; i--) {
    const IrOp *op = p->r->ops.data[i];
    for (int k = 0; p->early[op->result] && k < op->n_args; k++) p->early[op->args[k]] = true;
  }
}

static int count_selects(const IrRegion *r) {
  int n = 0;
  for (int i = 0; i < r->ops.len; i++) n += r->ops.data[i]->kind == IR_SELECT;
  return n;
}

// Do iterations wait for each other, so that there are no lanes?
static bool is_serial(const Regular *s, const IrRegion *r) {
  while (r->owner && r->owner->kind == IR_IF) r = r->outer;
  const IrOp *loop = r->owner;
  if (!loop || loop->kind == IR_WHILE) return loop && r == loop->regions[1];
  if (loop->kind != IR_FOR || loop->lanes) return false;
  for (int k = 0; k < loop->n_results; k++) {
    IrType t = ir_type(s->f, ir_result(loop, k));
    if (!t.rank && (t.elem == IR_F64 || t.elem == IR_F32) && !s->sums.family[r->args[1 + k]]) return true;
  }
  return false;
}

// ---- the regular case: two copies ---------------------------------------------------------------------------------------

static void note_uses(const IrRegion *r, int first, bool *used) {
  for (int i = first; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) used[op->args[k]] = true;
    for (int k = 0; k < op->n_regions; k++) note_uses(op->regions[k], 0, used);
  }
  for (int k = 0; k < r->n_yields; k++) used[r->yields[k]] = true;
}

static void emit_part(Regular *s, IrBuilder *in, const Part *p, bool guarded, const IrVals *out) {
  for (int i = p->first; i < p->end; i++) {
    const IrOp *op = p->r->ops.data[i];
    if (p->early[op->result]) continue;
    if (!guarded && ptr_get(&p->guards, op))
      ir_map_set(&s->map, op->result, ir_mapped(&s->map, op->args[2]));
    else
      ir_clone_op(in, &s->map, op);
  }
  IrVal *yields = ARENA_ARRAY(s->arena, IrVal, out->len);
  for (int k = 0; k < out->len; k++) yields[k] = ir_mapped(&s->map, out->data[k]);
  ir_yield(in, yields, out->len);
}

static void version(Regular *s, IrBuilder *b, Part *p) {
  bool *used = ARENA_ARRAY(s->arena, bool, s->f->vals.len);
  IrVals out = {0};
  IrVal sum = 0;
  b->loc = p->r->ops.data[p->first]->loc;
  spread_early(p);
  note_uses(p->r, p->end, used);
  for (int i = p->first; i < p->end; i++) {
    const IrOp *op = p->r->ops.data[i];
    if (p->early[op->result])
      ir_clone_op(b, &s->map, op);
    else if (used[op->result])
      vec_push(s->arena, &out, op->result);
  }
  for (int k = 0; k < p->factors.len; k++) {
    IrVal v = ir_mapped(&s->map, p->factors.data[k]), zero = ir_op2(b, IR_SUB, v, v);
    sum = sum ? ir_op2(b, IR_ADD, sum, zero) : zero;
  }
  IrBuilder in[2];
  IrVal zero = ir_const_zero(b, (IrElem)ir_type(b->func, sum).elem);
  IrOp *now = ir_if(b, ir_op2(b, IR_EQ, sum, zero), &in[0], &in[1]);
  emit_part(s, &in[0], p, false, &out);
  emit_part(s, &in[1], p, true, &out);
  ir_close_if(b, now, NULL);
  for (int k = 0; k < out.len; k++) ir_map_set(&s->map, out.data[k], ir_result(now, k));
  s->changed = true;
}

static void rebuild(void *user, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  Regular *s = user;
  bool serial = is_serial(s, r) && count_selects(r) >= FEWEST_GUARDS;
  for (int i = 0; i < r->ops.len;) {
    Part p = {.r = r, .first = i};
    if (serial && find_part(s, &p)) {
      version(s, b, &p);
      i = p.end;
    } else {
      do ir_rebuild_op(b, &s->map, r->ops.data[i++], rebuild, s);
      while (i < p.end);
    }
  }
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(&s->map, r->yields[k]);
}

IrFunc *opt_regular(IrFunc *f) {
  Arena *scratch = f->body ? arena_new(0) : NULL;
  if (!scratch) return f;
  Regular s = {.f = f, .arena = scratch, .sums = ir_find_sums(scratch, f)};
  f = ir_rebuild_func(f, scratch, &s.map, rebuild, &s, &s.changed);
  arena_free(scratch);
  return f;
}
