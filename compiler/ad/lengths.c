// Differentiation: lengths of growable arrays. In: the function that is about to be differentiated in reverse. Out: a copy
// of it (not in the module) with a LEN behind each growable array of floats, and which value that is.
//
// The adjoint of a growable array is as long as the array was at that point, and may have to start from zeros. With its
// length as an int of its own, the planner keeps or recomputes that like any other scalar, not the array.
#include "ad/internal.h"

static bool has_length(const IrFunc *f, IrVal v) { return ir_type(f, v).grow && ir_is_float(ir_type(f, v)); }

static void insert(IrFunc *f, IrRegion *r, int at, IrVal v, IrVals *lengths, Arena *arena) {
  IrBuilder b = {f, r, {f->loc, 0}};
  IrVal n = ir_op1(&b, IR_LEN, v);
  IrOp *op = vec_last(&r->ops);
  for (int i = r->ops.len - 1; i > at; i--) r->ops.data[i] = r->ops.data[i - 1];
  r->ops.data[at] = op;
  while (lengths->len <= (int)v) vec_push(arena, lengths, 0);
  lengths->data[v] = n;
}

static void measure(IrFunc *f, IrRegion *r, IrVals *lengths, Arena *arena) {
  int at = 0;
  for (int k = 0; k < r->n_args; k++)
    if (has_length(f, r->args[k])) insert(f, r, at++, r->args[k], lengths, arena);
  for (; at < r->ops.len; at++) {
    IrOp *op = r->ops.data[at];
    for (int k = 0; k < op->n_regions; k++) measure(f, op->regions[k], lengths, arena);
    for (int k = 0; k < op->n_results; k++)
      if (has_length(f, ir_result(op, k))) insert(f, r, ++at, ir_result(op, k), lengths, arena);
  }
}

IrFunc *ad_with_lengths(IrFunc *f, const IrVal **lengths) {
  bool any = false;
  for (int v = 1; v < f->vals.len; v++) any |= has_length(f, (IrVal)v);
  *lengths = ARENA_ARRAY(f->arena, IrVal, f->vals.len);
  if (!any) return f;
  IrMap map;
  IrFunc *now = ir_func_like(f, &map, f->arena);
  IrBuilder b = ir_builder(now);
  IrVal *yields = ARENA_ARRAY(f->arena, IrVal, f->body->n_yields);
  IrVals found = {0};
  ir_clone_ops(&b, &map, f->body, yields);
  ir_set_results(now, yields, f->body->n_yields, NULL);
  measure(now, now->body, &found, f->arena);
  while (found.len < now->vals.len) vec_push(f->arena, &found, 0);
  *lengths = found.data;
  return now;
}
