// Differentiation: `@checkpoint(every: k)`. In: the function that is about to be differentiated in reverse. Out: a copy of it
// (not in the module) in which such a loop is one over blocks of k iterations, with a loop over the block inside.
//
//   for i = lo, hi, step             for block = 0, blocks, 1
//     body                   ->        for i = start, end, step checkpoint block
//                                        body
//
// The mark on the inner loop says that no loop around keeps its tapes: the reverse sweep runs the block again from the state
// at its start, which is all that the outer loop keeps. Bits stay the same: the same operations run in the same order.
// Reversed once more they do not: both runs of a block then bring back a part of the state's adjoint, and each is carried on
// alone, J a + J b, where without blocks it is J (a + b).
#include "ad/internal.h"

static IrVal nearer(IrBuilder *b, IrVal step, IrVal x, IrVal y) {
  int64_t s;
  if (ir_is_const_int(b->func, step, &s)) return ir_op2(b, s > 0 ? IR_MIN : IR_MAX, x, y);
  IrVal up = ir_op2(b, IR_LT, ir_const_int(b, 0), step);
  return ir_op3(b, IR_SELECT, up, ir_op2(b, IR_MIN, x, y), ir_op2(b, IR_MAX, x, y));
}

static bool in_blocks(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  if (op->kind != IR_FOR || op->attr.i <= 0 || op->attr.i >= IR_BLOCK) return false;
  const IrRegion *body = op->regions[0];
  int n = op->n_results;
  IrVal *vals = ARENA_ARRAY(b->func->arena, IrVal, n), *yields = ARENA_ARRAY(b->func->arena, IrVal, n);
  IrVal lo = ir_mapped(map, op->args[0]), hi = ir_mapped(map, op->args[1]),
        step = ir_mapped(map, op->args[2]);
  b->loc = op->loc;
  IrVal every = ir_const_int(b, op->attr.i);
  IrVal trips = ad_trip_count(b, lo, hi, step);
  IrVal blocks = ir_op2(b, IR_IDIV, ad_int_add(b, trips, ir_const_int(b, op->attr.i - 1)), every);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, op->args[3 + k]);
  IrBuilder outer, inner;
  IrOp *around = ir_for(b, ir_const_int(b, 0), blocks, ir_const_int(b, 1), vals, n, &outer);
  IrVal length = ad_int_mul(&outer, step, every);
  IrVal start = ad_int_add(&outer, lo, ad_int_mul(&outer, outer.region->args[0], length));
  IrVal end = nearer(&outer, step, ad_int_add(&outer, start, length), hi);
  for (int k = 0; k < n; k++) vals[k] = outer.region->args[1 + k];
  IrOp *within = ir_for(&outer, start, end, step, vals, n, &inner);
  within->attr.i = IR_BLOCK + op->attr.i;
  for (int k = 0; k <= n; k++) {
    Name name = ir_val(map->from, body->args[k])->name;
    ir_name(b->func, inner.region->args[k], name);
    if (k) ir_name(b->func, outer.region->args[k], name);
    ir_map_set(map, body->args[k], inner.region->args[k]);
  }
  ir_rewrite_ops(&inner, map, body, yields, in_blocks, user);
  ir_yield(&inner, yields, n);
  for (int k = 0; k < n; k++) vals[k] = ir_result(within, k);
  ir_yield(&outer, vals, n);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(around, k));
  return true;
}

static IrWalk find(void *user, IrOp *op) {
  bool *any = user;
  *any |= op->kind == IR_FOR && op->attr.i > 0 && op->attr.i < IR_BLOCK;
  return *any ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *ad_with_blocks(IrFunc *f) {
  bool any = false;
  ir_walk(f->body, find, &any);
  return any ? ir_rewritten(f, in_blocks, NULL) : f;
}
