// Plans for the oracle: which use of a value is its last. In: a well-formed function; out: a tree beside its regions.
// A backward walk with the set of values still needed. A branch may use up what was defined around its `if`; a loop's
// body runs again, so it uses up nothing from outside.
#include "ir/oracle.h"

#include <string.h>

typedef struct Planner {
  Arena *arena;
  const IrFunc *func;
  size_t words; // of a set
} Planner;

static bool holds(const uint64_t *set, IrVal v) { return set[v / 64] >> (v % 64) & 1; }
static void add(uint64_t *set, IrVal v) { set[v / 64] |= (uint64_t)1 << (v % 64); }

static bool may_use_up(const Planner *p, IrVal v, const IrRegion *r) {
  const IrRegion *home = ir_val(p->func, v)->region;
  for (; r != home; r = r->outer)
    if (!r->owner || r->owner->kind != IR_IF) return false;
  return true;
}

static const bool *last_uses(const Planner *p, const IrVal *vals, int n, const IrRegion *r, uint64_t *live) {
  bool *last = ARENA_ARRAY(p->arena, bool, n);
  for (int i = n - 1; i >= 0; i--) {
    last[i] = !holds(live, vals[i]) && may_use_up(p, vals[i], r);
    add(live, vals[i]);
  }
  return last;
}

static void plan_region(const Planner *p, PlanRegion *out, const IrRegion *r, uint64_t *live);

static void plan_if(const Planner *p, PlanOp *out, uint64_t *live) {
  size_t bytes = p->words * sizeof *live;
  uint64_t *then = ARENA_ARRAY(p->arena, uint64_t, p->words),
           *els = ARENA_ARRAY(p->arena, uint64_t, p->words);
  memcpy(then, live, bytes);
  memcpy(els, live, bytes);
  plan_region(p, &out->regions[0], out->op->regions[0], then);
  plan_region(p, &out->regions[1], out->op->regions[1], els);
  for (size_t i = 0; i < p->words; i++) live[i] |= then[i] | els[i];
}

static void plan_op(const Planner *p, PlanOp *out, const IrOp *op, uint64_t *live) {
  out->op = op;
  out->regions = op->n_regions ? ARENA_ARRAY(p->arena, PlanRegion, op->n_regions) : NULL;
  out->moved = op->n_regions ? ARENA_ARRAY(p->arena, Slot, op->n_results) : NULL;
  if (op->kind == IR_IF)
    plan_if(p, out, live);
  else
    for (int k = 0; k < op->n_regions; k++) plan_region(p, &out->regions[k], op->regions[k], live);
  out->last = last_uses(p, op->args, op->n_args, op->parent, live);
}

static void plan_region(const Planner *p, PlanRegion *out, const IrRegion *r, uint64_t *live) {
  out->region = r;
  out->ops = ARENA_ARRAY(p->arena, PlanOp, r->ops.len);
  out->last = last_uses(p, r->yields, r->n_yields, r, live);
  for (int i = r->ops.len - 1; i >= 0; i--) plan_op(p, &out->ops[i], r->ops.data[i], live);
}

Plan *plan_new(Arena *a, const IrFunc *f) {
  Planner p = {a, f, (size_t)f->vals.len / 64 + 1};
  Plan *plan = ARENA_NEW(a, Plan);
  plan->func = f;
  plan_region(&p, &plan->body, f->body, ARENA_ARRAY(a, uint64_t, p.words));
  IrVal *arrays = ARENA_ARRAY(a, IrVal, f->vals.len);
  for (int v = 1; v < f->vals.len; v++)
    if (ir_is_array(f->vals.data[v].type)) arrays[plan->n_arrays++] = (IrVal)v;
  plan->arrays = arrays;
  return plan;
}
