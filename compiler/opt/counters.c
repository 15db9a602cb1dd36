// Optimisation: counters. In: FOR loops that carry an int which every iteration changes by the same amount. Out: the loop
// without it: inside, its value follows from the index; behind, from the number of iterations. Differentiation then has
// nothing to save for it, and the proofs of indices see through it.
#include "opt/internal.h"

typedef struct Counters {
  const IrFunc *f;
} Counters;

// The amount by which carried value k changes, a value from outside the loop; 0 if it is no counter.
static IrVal step_of(const Counters *c, const IrOp *loop, int k) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k];
  const IrOp *def = ir_val(c->f, body->yields[k])->def;
  IrType t = ir_type(c->f, arg);
  if (t.elem != IR_INT || t.rank || t.grow || !def || def->kind != IR_ADD) return 0;
  IrVal by = def->args[0] == arg ? def->args[1] : def->args[1] == arg ? def->args[0] : 0;
  if (!by || (!ir_is_const(c->f, by) && ir_inside(ir_val(c->f, by)->region, body))) return 0;
  return by;
}

static bool counts_by_one(const Counters *c, const IrOp *loop) {
  int64_t step;
  return ir_is_const_int(c->f, loop->args[2], &step) && step == 1;
}

static IrVal scaled(IrBuilder *b, IrVal n, IrVal by) {
  int64_t k;
  return ir_is_const_int(b->func, by, &k) && k == 1 ? n : ir_op2(b, IR_MUL, n, by);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Counters *c = user;
  if (op->kind != IR_FOR || !counts_by_one(c, op)) return false;
  bool any = false;
  for (int k = 0; k < op->n_results; k++) any |= step_of(c, op, k) != 0;
  if (!any) return false;
  const IrRegion *body = op->regions[0];
  IrBuilder in;
  b->loc = op->loc;
  // Steps that are constants of the body have to be known in front of it too.
  IrVal *by = ARENA_ARRAY(b->func->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    IrVal step = step_of(c, op, k);
    if (step)
      by[k] =
          ir_is_const(c->f, step) ? ir_const_int(b, ir_val(c->f, step)->def->attr.i) : ir_mapped(map, step);
  }
  IrOp *now = ir_open_like(b, map, op, &in);
  IrVal index = in.region->args[0], lo = now->args[0], hi = now->args[1], done = 0;
  int64_t first;
  for (int k = 0; k < op->n_results; k++) {
    if (!by[k]) continue;
    if (!done)
      done = ir_is_const_int(b->func, lo, &first) && first == 0 ? index : ir_op2(&in, IR_SUB, index, lo);
    ir_map_set(map, body->args[1 + k], ir_op2(&in, IR_ADD, now->args[3 + k], scaled(&in, done, by[k])));
  }
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, body->n_yields);
  ir_rewrite_ops(&in, map, body, yields, rewrite, c);
  now->regions[0]->yields = yields;
  now->regions[0]->n_yields = body->n_yields;
  ir_close_like(b, map, op, now);
  for (int k = 0; k < op->n_results; k++) {
    if (!by[k]) continue;
    IrVal trips =
        ir_op3(b, IR_SELECT, ir_op2(b, IR_LT, lo, hi), ir_op2(b, IR_SUB, hi, lo), ir_const_int(b, 0));
    ir_map_set(map, ir_result(op, k), ir_op2(b, IR_ADD, now->args[3 + k], scaled(b, trips, by[k])));
  }
  return true;
}

IrFunc *opt_counters(IrFunc *f) {
  if (!f->body) return f;
  Counters c = {f};
  return ir_rewrite_func(f, rewrite, &c);
}
