// Optimisation: what is expensive is computed once. In: two loops over the same range, the second of which computes an
// elementary function again that the first did too, as the gradient of a log-sum-exp does, and makes an array of which each
// iteration sets its own element:
//
//   %s = for %i = %lo, %hi, %1 with (%a = %zero) { ...  %e = exp %t  ... }
//   %r = for %j = %lo, %hi, %1 with (%b = fill) { ...  %f = exp %u  ...  %c = set %b, %j, %g  yield %c }
//
// Out: the value waits for the second loop in the very element that it is for:
//
//   %s, %w = for ... with (%a = %zero, %v = fill) { ...  %e = exp %t  set %v, %i, %e  ... }
//   %r = for ... with (%b = %w) { %f = get %b, %j  ...  set %b, %j, %g ... }
//
// No memory is needed that was not.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MOST_DEPTH = 16 };

typedef struct Recall { // one pair; first is NULL: none was found
  const IrFunc *f;
  const int *uses;
  const IrOp *first, *second, *early, *late; // the loops, and the operation in each
  int k;                                     // which array of the second
  IrVal waiting;                             // of the new function: what the first leaves
} Recall;

static bool is_loop(const IrOp *op) { return op->kind == IR_FOR && !op->lanes && !op->attr.i; }

static bool same_bounds(const Recall *r, const IrOp *a, const IrOp *b) {
  for (int k = 0; k < 3; k++)
    if (!ints_equal(r->f, a->args[k], b->args[k])) return false;
  return true;
}

// The same value in iteration i of either loop?
static bool equal(const Recall *r, IrVal x, IrVal y, int depth) {
  const IrRegion *a = r->first->regions[0], *b = r->second->regions[0];
  if (x == a->args[0] && y == b->args[0]) return true;
  bool inside = ir_inside(ir_val(r->f, x)->region, a);
  if (inside != ir_inside(ir_val(r->f, y)->region, b)) return false;
  const IrOp *p = ir_val(r->f, x)->def, *q = ir_val(r->f, y)->def;
  if (!inside && x == y) return true;
  if (!p || !q || depth == 0 || p->kind != q->kind || p->n_args != q->n_args || p->n_regions ||
      p->n_results != 1)
    return false;
  if (!(ir_op_info[p->kind].flags & (IR_P | IR_D)) || p->attr.i != q->attr.i) return false;
  if (!ir_type_eq(ir_type(r->f, x), ir_type(r->f, y)) ||
      (p->kind == IR_GET && inside && p->args[0] != q->args[0]))
    return false;
  for (int k = 0; k < p->n_args; k++)
    if (!equal(r, p->args[k], q->args[k], depth - 1)) return false;
  return inside || p->kind == IR_CONST;
}

// An array that the second loop makes, with elements of this type: all that happens to it is that each iteration sets its own.
static bool find_array(Recall *r, IrType type) {
  const IrRegion *body = r->second->regions[0];
  for (int k = 0; k < r->second->n_results; k++) {
    IrVal arg = body->args[1 + k], init = r->second->args[3 + k];
    const IrOp *set = op_of(r->f, body->yields[k], IR_SET), *fill = op_of(r->f, init, IR_FILL);
    if (!set || set->parent != body || set->n_args != 3 || set->args[0] != arg ||
        set->args[1] != body->args[0])
      continue;
    if (!fill || fill->parent != r->second->parent || r->uses[arg] != 1 || r->uses[init] != 1) continue;
    if (ir_type(r->f, arg).elem != type.elem) continue;
    r->k = k;
    return true;
  }
  return false;
}

// What the two compute alike, the last of it.
static bool find_values(Recall *r) {
  const IrRegion *a = r->first->regions[0], *b = r->second->regions[0];
  for (int j = b->ops.len - 1; j >= 0; j--) {
    const IrOp *late = b->ops.data[j];
    if (!(ir_op_info[late->kind].flags & IR_MATH) || late->n_results != 1) continue;
    for (int i = 0; i < a->ops.len; i++) {
      const IrOp *early = a->ops.data[i];
      if (early->kind != late->kind || !equal(r, early->result, late->result, MOST_DEPTH)) continue;
      r->early = early;
      r->late = late;
      return find_array(r, ir_type(r->f, late->result));
    }
  }
  return false;
}

// The fill can be made in front of the first loop: its operands are constants, or known there.
static bool fill_is_early(const Recall *r) {
  const IrOp *fill = ir_val(r->f, r->second->args[3 + r->k])->def;
  if (!ir_is_const(r->f, fill->args[0])) return false;
  IrVal size = fill->args[1];
  const IrRegion *at = r->first->parent;
  if (ir_val(r->f, size)->region != at) return true;
  for (int i = 0; i < at->ops.len && at->ops.data[i] != r->first; i++)
    if (ir_val(r->f, size)->def == at->ops.data[i]) return true;
  return ir_val(r->f, size)->def == NULL;
}

static void find_pair(Recall *r, const IrRegion *region) {
  for (int j = 1; j < region->ops.len && !r->first; j++) {
    const IrOp *second = region->ops.data[j];
    if (!is_loop(second)) continue;
    for (int i = j - 1; i >= 0 && !r->first; i--) {
      const IrOp *first = region->ops.data[i];
      if (!is_loop(first) || !same_bounds(r, first, second)) continue;
      r->first = first;
      r->second = second;
      if (!find_values(r) || !fill_is_early(r)) r->first = NULL;
    }
  }
  for (int i = 0; i < region->ops.len && !r->first; i++)
    for (int k = 0; k < region->ops.data[i]->n_regions; k++)
      if (!r->first) find_pair(r, region->ops.data[i]->regions[k]);
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

static bool sets_all(const Recall *r, IrVal size) {
  int64_t lo, step;
  const IrVal *bounds = r->first->args;
  return ir_is_const_int(r->f, bounds[0], &lo) && !lo && ints_equal(r->f, bounds[1], size) &&
         ir_is_const_int(r->f, bounds[2], &step) && step == 1;
}

// The first loop, which carries one array more.
static void leave(Recall *r, IrBuilder *b, IrMap *map) {
  const IrOp *loop = r->first, *fill = ir_val(r->f, r->second->args[3 + r->k])->def;
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  IrVal *vals = ARENA_ARRAY(b->func->arena, IrVal, n + 1), size = ir_mapped(map, fill->args[1]);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, loop->args[3 + k]);
  IrVal value = fill->args[0], elsewhere = ir_mapped(map, value);
  ir_clone_op(b, map, ir_val(r->f, value)->def);
  bool unset = fill->attr.i || sets_all(r, fill->args[1]);
  vals[n] = (unset ? ir_unset : ir_fill)(b, ir_mapped(map, value), &size, 1);
  ir_map_set(map, value, elsewhere); // others who use the constant may stand around the loops
  IrBuilder in;
  IrOp *now = ir_for(b, ir_mapped(map, loop->args[0]), ir_mapped(map, loop->args[1]),
                     ir_mapped(map, loop->args[2]), vals, n + 1, &in);
  for (int k = 0; k <= n; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  ir_clone_ops(&in, map, body, vals);
  IrVal early = ir_mapped(map, r->early->result);
  vals[n] = ir_set(&in, in.region->args[1 + n], in.region->args, 1, early);
  ir_yield(&in, vals, n + 1);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(loop, k), ir_result(now, k));
  r->waiting = ir_result(now, n);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Recall *r = user;
  b->loc = op->loc;
  if (op == r->first) {
    leave(r, b, map);
    return true;
  }
  if (op == r->second) ir_map_set(map, op->args[3 + r->k], r->waiting);
  if (op != r->late) return false;
  const IrRegion *body = r->second->regions[0];
  ir_map_set(map, op->result,
             ir_get(b, ir_mapped(map, body->args[1 + r->k]), (IrVal[]){ir_mapped(map, body->args[0])}, 1));
  return true;
}

IrFunc *opt_recall(IrFunc *f) {
  for (bool found = f->body != NULL; found;) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Recall r = {.f = f, .uses = ir_use_counts(scratch, f)};
    find_pair(&r, f->body);
    found = r.first != NULL;
    if (found) f = opt_dce(ir_rewrite_func(f, rewrite, &r));
    arena_free(scratch);
  }
  return f;
}
