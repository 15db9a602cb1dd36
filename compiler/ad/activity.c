// Differentiation: activity. In: a function and the parameters that are differentiated. Out: per value, whether it
// depends on one of them (varied) and whether a float result depends on it (useful), loops run to a fixed point.
#include "ad/internal.h"

typedef struct Flow {
  const IrFunc *f;
  Activity *act;
  bool changed;
} Flow;

static bool float_val(const Flow *w, IrVal v) { return ir_is_float(ir_type(w->f, v)); }

static void vary(Flow *w, IrVal v, bool when) {
  if (when && float_val(w, v) && !w->act->varied[v]) w->act->varied[v] = w->changed = true;
}

static void use(Flow *w, IrVal v, bool when) {
  if (when && float_val(w, v) && !w->act->useful[v]) w->act->useful[v] = w->changed = true;
}

static void vary_region(Flow *w, const IrRegion *r);

static void vary_loop(Flow *w, const IrOp *op, const IrRegion *body, int first_init, int first_arg) {
  for (int k = 0; k < op->n_results; k++)
    vary(w, body->args[first_arg + k], w->act->varied[op->args[first_init + k]]);
  vary_region(w, body);
  for (int k = 0; k < op->n_results; k++) {
    bool v = w->act->varied[body->yields[k]] || w->act->varied[body->args[first_arg + k]];
    vary(w, body->args[first_arg + k], v);
    vary(w, ir_result(op, k), v);
  }
  if (op->kind == IR_WHILE)
    for (int k = 0; k < op->n_results; k++) vary(w, op->regions[0]->args[k], w->act->varied[body->args[k]]);
}

static void vary_op(Flow *w, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: vary_loop(w, op, op->regions[0], 3, 1); return;
  case IR_WHILE:
    vary_loop(w, op, op->regions[1], 0, 0);
    vary_region(w, op->regions[0]);
    return;
  case IR_IF:
    for (int i = 0; i < 2; i++) {
      vary_region(w, op->regions[i]);
      for (int k = 0; k < op->n_results; k++)
        vary(w, ir_result(op, k), w->act->varied[op->regions[i]->yields[k]]);
    }
    return;
  case IR_BUILD:
    vary_region(w, op->regions[0]);
    for (int k = 0; k < op->n_results; k++)
      vary(w, ir_result(op, k), w->act->varied[op->regions[0]->yields[k]]);
    return;
  default: break;
  }
  if (rule_class((IrOpKind)op->kind) == RULE_NONE) return;
  bool any = false;
  for (int k = 0; k < op->n_args; k++) any |= float_val(w, op->args[k]) && w->act->varied[op->args[k]];
  for (int k = 0; k < op->n_results; k++) vary(w, ir_result(op, k), any);
}

static void vary_region(Flow *w, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) vary_op(w, r->ops.data[i]);
}

static void use_region(Flow *w, const IrRegion *r);

static void use_loop(Flow *w, const IrOp *op, const IrRegion *body, int first_init, int first_arg) {
  const bool *useful = w->act->useful;
  for (int k = 0; k < op->n_results; k++)
    use(w, body->yields[k], useful[ir_result(op, k)] || useful[body->args[first_arg + k]]);
  use_region(w, body);
  for (int k = 0; k < op->n_results; k++) {
    bool u = useful[body->args[first_arg + k]] || useful[ir_result(op, k)];
    use(w, body->yields[k], u);
    use(w, op->args[first_init + k], u);
  }
}

static void use_op(Flow *w, const IrOp *op) {
  const bool *useful = w->act->useful;
  switch ((IrOpKind)op->kind) {
  case IR_FOR: use_loop(w, op, op->regions[0], 3, 1); return;
  case IR_WHILE: use_loop(w, op, op->regions[1], 0, 0); return;
  case IR_IF:
  case IR_BUILD:
    for (int i = 0; i < op->n_regions; i++) {
      for (int k = 0; k < op->n_results; k++) use(w, op->regions[i]->yields[k], useful[ir_result(op, k)]);
      use_region(w, op->regions[i]);
    }
    return;
  default: break;
  }
  if (rule_class((IrOpKind)op->kind) == RULE_NONE) return;
  bool any = false;
  for (int k = 0; k < op->n_results; k++) any |= useful[ir_result(op, k)];
  for (int k = 0; k < op->n_args; k++) use(w, op->args[k], any);
}

static void use_region(Flow *w, const IrRegion *r) {
  for (int i = r->ops.len - 1; i >= 0; i--) use_op(w, r->ops.data[i]);
}

Activity activity_of(Arena *scratch, const IrFunc *f, const bool *wrt) {
  Activity act = {ARENA_ARRAY(scratch, bool, f->vals.len), ARENA_ARRAY(scratch, bool, f->vals.len)};
  Flow w = {f, &act, false};
  for (int k = 0; k < f->n_params; k++) vary(&w, f->body->args[k], wrt[k]);
  do {
    w.changed = false;
    vary_region(&w, f->body);
  } while (w.changed);
  for (int k = 0; k < f->n_results; k++) use(&w, f->body->yields[k], true);
  do {
    w.changed = false;
    use_region(&w, f->body);
  } while (w.changed);
  return act;
}
