// Optimisation: several rows at a time. In: a loop whose body is small and holds inner loops with bounds of their own, such
// as a sum over the columns of each row. Out: the loop in steps of four with the body four times, one after the other, and a
// loop for what is left. Then the inner loops of the four merge (opt/merge.c): what they read in common is read once, and
// four sums run side by side instead of waiting for each other.
//
// Every operation happens in the order it had, so all bits stay.
#include "opt/internal.h"

enum { ROWS = 4, SMALL_BODY = 40 };

typedef struct Jam {
  const IrFunc *f;
  Arena *arena;
} Jam;

static bool is_invariant(const Jam *j, IrVal v, const IrRegion *body) {
  return !ir_inside(ir_val(j->f, v)->region, body) || ir_is_const(j->f, v);
}

// An inner loop worth sharing: it sums something up, over a range that is the same for each row.
static bool is_row_sum(const Jam *j, const IrOp *op, const IrRegion *body) {
  if (op->kind != IR_FOR || op->n_results == 0) return false;
  for (int k = 0; k < 3; k++)
    if (!is_invariant(j, op->args[k], body)) return false;
  for (int k = 0; k < op->n_results; k++)
    if (ir_type(j->f, ir_result(op, k)).rank || !ir_is_float(ir_type(j->f, ir_result(op, k)))) return false;
  return true;
}

static bool holds_loops(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++)
    if (r->ops.data[i]->n_regions) return true;
  return false;
}

static bool worth_it(const Jam *j, const IrOp *loop) {
  int64_t step;
  const IrRegion *body = loop->regions[0];
  if (!ir_is_const_int(j->f, loop->args[2], &step) || step != 1 || loop->attr.i) return false;
  if (opt_region_size(body) > SMALL_BODY || ir_op_has_effect(j->f->module, loop)) return false;
  bool found = false;
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    if (op->n_regions && (op->kind != IR_FOR || holds_loops(op->regions[0]))) return false;
    if (ir_op_info[op->kind].flags & IR_E) return false;
    found |= is_row_sum(j, op, body);
  }
  return found;
}

// One copy of the body at b, for this index and these carried values, which become the next ones.
static void copy_body(Jam *j, IrBuilder *b, IrMap *map, const IrRegion *body, IrVal index, IrVal *carried) {
  ir_map_set(map, body->args[0], index);
  for (int k = 0; k < body->n_yields; k++) ir_map_set(map, body->args[1 + k], carried[k]);
  IrVal *yields = ARENA_ARRAY(j->arena, IrVal, body->n_yields);
  ir_clone_ops(b, map, body, yields);
  for (int k = 0; k < body->n_yields; k++) carried[k] = yields[k];
}

static IrOp *stepped(Jam *j, IrBuilder *b, IrMap *map, const IrOp *loop, IrVal lo, IrVal hi, int rows,
                     const IrVal *inits) {
  int n = loop->n_results;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, ir_const_int(b, rows), inits, n, &in);
  IrVal *carried = ARENA_ARRAY(j->arena, IrVal, n);
  for (int k = 0; k < n; k++) carried[k] = in.region->args[1 + k];
  for (int row = 0; row < rows; row++) {
    IrVal index = in.region->args[0];
    if (row) index = ir_op2(&in, IR_ADD, index, ir_const_int(&in, row));
    copy_body(j, &in, map, loop->regions[0], index, carried);
  }
  ir_yield(&in, carried, n);
  return now;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Jam *j = user;
  if (op->kind != IR_FOR || op->lanes || !worth_it(j, op)) return false;
  int n = op->n_results;
  IrVal lo = ir_mapped(map, op->args[0]), hi = ir_mapped(map, op->args[1]);
  IrVal *vals = ARENA_ARRAY(j->arena, IrVal, n);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, op->args[3 + k]);
  b->loc = op->loc;
  // The whole steps end at lo + 4 floor((hi - lo) / 4); nothing runs where hi <= lo.
  IrVal four = ir_const_int(b, ROWS), span = ir_op2(b, IR_SUB, hi, lo);
  IrVal steps = ir_op2(b, IR_MUL, ir_op2(b, IR_IDIV, span, four), four);
  IrVal some = ir_op2(b, IR_LT, lo, hi);
  IrVal end = ir_op3(b, IR_SELECT, some, ir_op2(b, IR_ADD, lo, steps), lo);
  IrOp *rows = stepped(j, b, map, op, lo, end, ROWS, vals);
  for (int k = 0; k < n; k++) vals[k] = ir_result(rows, k);
  IrOp *rest = stepped(j, b, map, op, end, hi, 1, vals);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(rest, k));
  return true;
}

IrFunc *opt_jam(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Jam j = {f, scratch};
  f = ir_rewrite_func(f, rewrite, &j);
  arena_free(scratch);
  return f;
}
