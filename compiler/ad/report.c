// Differentiation: what the planner decided, as data. In: a function and what it is differentiated by. Out: for each loop and
// branch how it is reversed, and for each value that the reverse sweep reads where it comes from.
#include "ad/plan.h"
#include "ad/reverse.h"

typedef struct Reporter {
  Planner p;
  AdReport *out;
} Reporter;

static bool is_saved(const RegionPlan *rp, IrVal v) {
  for (int k = 0; k < rp->saved.len; k++)
    if (rp->saved.data[k] == v) return true;
  return false;
}

// ---- the cost of computing a value again -----------------------------------------------------------------------------

typedef struct Again {
  Reporter *r;
  const OpPlan *owner;
  const IrRegion *region;
  const RegionPlan *rp;
  bool *seen; // by value
  bool carried, impossible;
  double cost;
} Again;

static void add_again(Again *a, IrVal v, bool first);

static void add_argument(Again *a, IrVal v) {
  const IrFunc *f = a->r->p.f;
  const IrRegion *r = a->region;
  int index = ir_val(f, v)->index;
  IrVal step;
  if (a->owner->slots) return; // the state at the iteration's start is at hand
  if (!r->owner || r->owner->kind == IR_BUILD || r->owner->kind == IR_IF) return;
  if (r->owner->kind == IR_FOR && (index == 0 || loop_counter(f, r, index - 1, &step))) return;
  if (r->owner->kind == IR_FOR && a->rp->replayed && a->rp->replayed[index - 1]) return;
  a->carried = true;
}

static void add_again(Again *a, IrVal v, bool first) {
  const IrFunc *f = a->r->p.f;
  const IrValue *val = ir_val(f, v);
  if (a->seen[v] || val->region != a->region) return;
  a->seen[v] = true;
  if (!first && is_saved(a->rp, v)) return;
  if (!val->def) {
    add_argument(a, v);
    return;
  }
  double cost = plan_cost_again(&a->r->p, a->owner, a->region, val->def);
  if (cost >= CUT_INFINITE || is_recursive_call(f, val->def)) a->impossible = true;
  a->cost += cost;
  IrVals reads = {0};
  ir_free_values_op(a->r->p.arena, f, val->def, &reads);
  for (int k = 0; k < reads.len; k++) add_again(a, reads.data[k], false);
}

// ---- values ------------------------------------------------------------------------------------------------------------

static AdFate fate_of(const Reporter *r, const IrRegion *region, const RegionPlan *rp, IrVal v) {
  const IrValue *val = ir_val(r->p.f, v);
  IrVal step;
  if (is_saved(rp, v)) return AD_SAVED;
  if (val->def) return AD_COMPUTED;
  bool is_for = region->owner && region->owner->kind == IR_FOR;
  if (is_for && val->index > 0 && plan_of(r->p.plan, region->owner)->slots) return AD_IN_SLOT;
  if (is_for && val->index > 0 && !loop_counter(r->p.f, region, val->index - 1, &step)) return AD_FOLLOWED;
  return AD_KNOWN;
}

static void add_value(Reporter *r, AdPart *part, const OpPlan *owner, const IrRegion *region,
                      const RegionPlan *rp, IrVal v) {
  for (int k = 0; k < part->values.len; k++)
    if (part->values.data[k].v == v) return;
  Again a = {.r = r, .owner = owner, .region = region, .rp = rp};
  a.seen = ARENA_ARRAY(r->p.arena, bool, r->p.f->vals.len);
  add_again(&a, v, true);
  double keep = region->owner ? plan_save_cost(&r->p, owner, region, v) : 0.0;
  AdValue value = {.v = v,
                   .fate = fate_of(r, region, rp, v),
                   .carried = a.carried,
                   .again = a.impossible || a.carried ? -1.0 : a.cost,
                   .keep = keep >= CUT_INFINITE ? -1.0 : keep};
  vec_push(r->p.arena, &part->values, value);
}

static void add_part(Reporter *r, const OpPlan *plan, const IrRegion *region, const RegionPlan *rp,
                     int depth) {
  Arena *a = r->p.arena;
  const IrOp *op = plan->op;
  AdPart part = {.op = op, .region = region, .depth = depth, .on_stacks = plan->threads};
  part.order = plan->on_the_way                                      ? AD_TOGETHER
               : plan->fused                                         ? AD_FUSED
               : plan->forward_order || (op && op->kind == IR_BUILD) ? AD_FORWARD
                                                                     : AD_BACKWARD;
  if (op && op->kind == IR_FOR && (plan->slots || op->attr.i > 0)) part.checkpoint = op->attr.i;
  part.counts = op && op->kind == IR_WHILE;
  for (int k = 0; k < rp->needed.len; k++) add_value(r, &part, plan, region, rp, rp->needed.data[k]);
  for (int k = 0; k < rp->saved.len; k++) add_value(r, &part, plan, region, rp, rp->saved.data[k]);
  for (int k = 1; plan->slots && k < region->n_args; k++)
    add_value(r, &part, plan, region, rp, region->args[k]);
  for (int k = 0; k < rp->saved_tapes.len; k++) vec_push(a, &part.kept_within, rp->saved_tapes.data[k]);
  for (int i = 0; rp->tape_again && i < region->ops.len; i++)
    if (rp->tape_again[i]) vec_push(a, &part.again_within, region->ops.data[i]);
  vec_push(a, &r->out->parts, part);
}

static void add_call(Reporter *r, const IrOp *op) {
  bool *wrt = ARENA_ARRAY(r->p.arena, bool, op->n_args + 1);
  for (int k = 0; k < op->n_args; k++) wrt[k] = is_active(&r->p.plan->act, op->args[k]);
  if (!has_active_result(&r->p.plan->act, op)) return;
  vec_push(r->p.arena, &r->out->calls, op);
  vec_push(r->p.arena, &r->out->calls_wrt, wrt);
}

static void add_region(Reporter *r, const IrRegion *region, int depth) {
  for (int i = 0; i < region->ops.len; i++) {
    const IrOp *op = region->ops.data[i];
    const OpPlan *plan = plan_of(r->p.plan, op);
    if (is_recursive_call(r->p.f, op)) add_call(r, op);
    for (int k = 0; k < op->n_regions; k++) {
      bool condition = op->kind == IR_WHILE && k == 0;
      if (plan && !condition) add_part(r, plan, op->regions[k], &plan->regions[k], depth);
      if (!condition) add_region(r, op->regions[k], depth + 1);
    }
  }
}

void ad_explain(IrFunc *f, const bool *wrt, const AdReport *by, AdReport *out) {
  Arena *a = f->arena;
  const IrVal *lengths;
  f = ad_with_lengths(ad_with_blocks(f), &lengths);
  bool halves = by && !by->descent;
  Plan *plan = halves ? NULL : rev_can_descend(f, lengths, wrt);
  if (!plan) plan = plan_reverse(a, f, lengths, wrt, halves);
  Reporter r = {.p = {.arena = a, .f = f, .plan = plan}, .out = out};
  *out = (AdReport){.f = f, .halves = halves, .descent = plan->one_descent, .refused = plan->refused};
  if (plan->refused) return;
  if (halves) add_part(&r, plan->body, f->body, &plan->body->regions[0], 0);
  add_region(&r, f->body, halves ? 1 : 0);
  for (int k = 0; k < plan->needed.len; k++) {
    IrVal v = plan->needed.data[k];
    AdValue value = {.v = v, .fate = AD_THERE};
    if (ir_val(f, v)->def) vec_push(a, &out->there, value);
  }
}
