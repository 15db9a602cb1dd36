// Differentiation: where one descent will do. In: a function and the plan for it so far. Out: whether value and adjoint of
// its recursive calls can be computed together.
//
// They can where the adjoint of a call's results is known before the call: what stands behind it and makes something of
// them (`total += sign * a[i] * minor(...)`) is pulled back with values that do not depend on the call. Then the adjoint
// goes down with the arguments, the callee returns its results and the adjoints of its parameters, and nothing is saved.
#include "ad/plan.h"

bool is_on_the_way(const Plan *plan, const IrOp *op) {
  if (is_recursive_call(plan->f, op)) return has_active_result(&plan->act, op);
  const OpPlan *op_plan = plan_of(plan, op);
  return op_plan && op_plan->on_the_way;
}

static bool reads_one_of(Arena *arena, const IrFunc *f, const IrOp *op, const bool *marked) {
  IrVals reads = {0};
  ir_free_values_op(arena, f, op, &reads);
  for (int k = 0; k < reads.len; k++)
    if (marked[reads.data[k]]) return true;
  return false;
}

static void mark_results(const IrOp *op, bool *marked) {
  for (int k = 0; k < op->n_results; k++) marked[ir_result(op, k)] = true;
}

Behind descent_behind(Arena *arena, const Plan *plan, const IrRegion *r, int at) {
  int n = plan->f->vals.len;
  Behind b = {ARENA_ARRAY(arena, bool, n), ARENA_ARRAY(arena, bool, n), at, at};
  mark_results(r->ops.data[at], b.made_of_it);
  mark_results(r->ops.data[at], b.later);
  for (int i = at + 1; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (reads_one_of(arena, plan->f, op, b.made_of_it)) mark_results(op, b.made_of_it);
    if (is_on_the_way(plan, op) || reads_one_of(arena, plan->f, op, b.later)) mark_results(op, b.later);
  }
  return b;
}

Activity descent_activity(Arena *arena, const Plan *plan, const Behind *behind) {
  int n = plan->f->vals.len;
  Activity act = {plan->act.varied, ARENA_ARRAY(arena, bool, n)};
  for (int v = 0; v < n; v++) act.useful[v] = plan->act.useful[v] && behind->made_of_it[v];
  return act;
}

static bool is_check(const IrOp *op) { return op->kind >= IR_CHECK_INDEX && op->kind <= IR_CHECK_DIV; }

static int index_in(const IrRegion *r, const IrOp *op) {
  for (int i = 0; i < r->ops.len; i++)
    if (r->ops.data[i] == op) return i;
  return -1;
}

// What stands behind the call and has to run before it must be free to move.
static bool may_come_before(const Plan *plan, const IrRegion *r, const Behind *behind) {
  const IrModule *m = plan->f->module;
  bool effect = ir_op_has_effect(m, r->ops.data[behind->at]);
  for (int i = behind->at + 1; i <= behind->until; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_results && behind->later[op->result]) continue;
    if (ir_op_has_effect(m, op) && (effect || !is_check(op))) return false;
  }
  return true;
}

// The adjoint of a result needs its sizes, and those of what is made of it.
static bool sizes_are_known(const IrFunc *f, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) {
    IrType t = ir_type(f, ir_result(op, k));
    if (!ir_is_float(t)) continue;
    if (t.grow) return false;
    for (int d = 0; d < t.rank; d++)
      if (ir_val(f, ir_dims(f, ir_result(op, k))[d])->def == op) return false;
  }
  return true;
}

bool descent_fits_call(Arena *arena, Plan *plan, const IrRegion *r, Behind *behind) {
  Planner p = {.arena = arena, .f = plan->f, .plan = plan};
  Activity all = plan->act;
  bool fits = sizes_are_known(plan->f, r->ops.data[behind->at]);
  plan->act = descent_activity(arena, plan, behind);
  for (int i = behind->at + 1; i < r->ops.len && fits; i++) {
    const IrOp *op = r->ops.data[i];
    if (!has_active_result(&plan->act, op)) continue;
    RegionNeeds needs = {0};
    fits = !op->n_regions && op->kind != IR_CALL && sizes_are_known(plan->f, op);
    if (fits) plan_needs_of_op(&p, &needs, op);
    for (int k = 0; k < needs.vals.len; k++) {
      IrVal v = needs.vals.data[k];
      fits &= !behind->later[v];
      const IrOp *def = ir_val(plan->f, v)->def;
      int where = def && def->parent == r ? index_in(r, def) : -1;
      if (where > behind->until) behind->until = where;
    }
  }
  plan->act = all;
  return fits && may_come_before(plan, r, behind);
}

bool descent_fits_region(Planner *p, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    if (!is_on_the_way(p->plan, r->ops.data[i])) continue;
    Behind behind = descent_behind(p->arena, p->plan, r, i);
    if (!descent_fits_call(p->arena, p->plan, r, &behind)) return false;
  }
  return true;
}

// Around the calls: branches, and loops that only accumulate what is differentiated, whose adjoint is the same in every
// iteration.
bool descent_fits_op(Planner *p, OpPlan *plan) {
  const IrOp *op = plan->op;
  if (op->kind != IR_IF && !(op->kind == IR_FOR && plan->forward_order)) return false;
  for (int i = 0; i < op->n_regions; i++) {
    ir_free_values(p->arena, p->f, op->regions[i], &plan->outer);
    if (!descent_fits_region(p, op->regions[i])) return false;
  }
  return true;
}
