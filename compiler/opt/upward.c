// Optimisation: loops that count down by one, as the reverse sweep has them, count up where the order of their iterations does
// not matter: where each only touches elements of its own. Then they can become one with their neighbours.
#include "opt/internal.h"

typedef struct Upward {
  const IrFunc *f;
  Arena *arena;
} Upward;

static bool in_any_order(const Upward *u, const IrOp *op) {
  int64_t step;
  if (op->kind != IR_FOR || op->attr.i || !ir_is_const_int(u->f, op->args[2], &step) || step != -1)
    return false;
  if (ir_op_has_effect(u->f->module, op)) return false;
  for (int k = 0; k < op->n_results; k++)
    if (!ir_type(u->f, ir_result(op, k)).rank || !opt_axes_carried(u->arena, u->f, op, k)) return false;
  return true;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Upward *u = user;
  if (!in_any_order(u, op)) return false;
  int n = op->n_results;
  const IrRegion *body = op->regions[0];
  IrVal *vals = ARENA_ARRAY(u->arena, IrVal, n);
  b->loc = op->loc;
  IrVal one = ir_const_int(b, 1), last = ir_op2(b, IR_ADD, ir_mapped(map, op->args[1]), one),
        end = ir_op2(b, IR_ADD, ir_mapped(map, op->args[0]), one);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, op->args[3 + k]);
  IrBuilder in;
  IrOp *now = ir_for(b, last, end, one, vals, n, &in);
  for (int k = 0; k <= n; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  ir_rewrite_ops(&in, map, body, vals, rewrite, u);
  ir_yield(&in, vals, n);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(now, k));
  return true;
}

IrFunc *opt_upward(IrFunc *f) {
  Arena *scratch = f->body ? arena_new(0) : NULL;
  if (!scratch) return f;
  Upward u = {f, scratch};
  f = ir_rewrite_func(f, rewrite, &u);
  arena_free(scratch);
  return f;
}
