// Optimisation: accumulation made visible. In: loops as written. Out:
//   a[i] = a[i] + e            becomes `acc a[i] += e`, which commutes: what AD and the lane choice look for;
//   for i in 0..n { y[i] = e } becomes a build when y has n elements, each written once and none read: what fusion looks for;
//   for i in 0..n { y[i] += e } likewise, when y starts as zeros.
#include "opt/internal.h"

typedef struct Accumulate {
  const IrFunc *f;
  const int *uses;
} Accumulate;

// ---- a[i] = a[i] + e --------------------------------------------------------------------------------------------------

static bool same_element(const IrOp *get, const IrOp *set) {
  if (get->kind != IR_GET || get->n_args != set->n_args - 1) return false;
  for (int k = 0; k < get->n_args; k++)
    if (get->args[k] != set->args[k]) return false;
  return true;
}

// Which operand of the sum is the old element, or -1.
static int old_element(const Accumulate *a, const IrOp *set, const IrOp *sum) {
  for (int k = 0; k < 2; k++) {
    const IrOp *get = ir_val(a->f, sum->args[k])->def;
    if (get && same_element(get, set) && a->uses[get->result] == 1) return k;
  }
  return -1;
}

static bool as_accumulation(const Accumulate *a, IrBuilder *b, IrMap *map, const IrOp *set) {
  IrVal value = set->args[set->n_args - 1];
  const IrOp *sum = ir_val(a->f, value)->def;
  if (!ir_is_float(ir_type(a->f, value)) || !sum || a->uses[value] != 1) return false;
  if (sum->kind != IR_ADD && sum->kind != IR_SUB) return false;
  int old = old_element(a, set, sum);
  if (old < 0 || (sum->kind == IR_SUB && old == 1)) return false;
  IrVal idx[IR_MAX_RANK], e = ir_mapped(map, sum->args[1 - old]);
  for (int k = 1; k < set->n_args - 1; k++) idx[k - 1] = ir_mapped(map, set->args[k]);
  b->loc = set->loc;
  if (sum->kind == IR_SUB) e = ir_op1(b, IR_NEG, e);
  ir_map_set(map, set->result, ir_acc(b, ir_mapped(map, set->args[0]), idx, set->n_args - 2, e));
  return true;
}

// ---- loops that fill arrays ------------------------------------------------------------------------------------------

// Does every element start with the same constant?
static bool starts_filled(const Accumulate *a, IrVal v) {
  const IrOp *op = ir_val(a->f, v)->def;
  return op && op->kind == IR_FILL && ir_is_const(a->f, op->args[0]);
}

// The one operation of the body that writes carried array k, if it writes element i of n and nothing else touches it.
static const IrOp *only_write(const Accumulate *a, const IrOp *loop, int k) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k];
  const IrOp *def = ir_val(a->f, body->yields[k])->def;
  if (!def || def->parent != body || def->n_args != 3 || def->args[0] != arg) return NULL;
  if (def->kind != IR_SET && (def->kind != IR_ACC || !starts_filled(a, loop->args[3 + k]))) return NULL;
  if (def->args[1] != body->args[0] || a->uses[arg] != 1 || a->uses[def->result] != 1) return NULL;
  if (def->args[2] == arg || ir_type(a->f, arg).grow || ir_dims(a->f, arg)[0] != loop->args[1]) return NULL;
  return def;
}

static bool fills_arrays(const Accumulate *a, const IrOp *loop) {
  int64_t lo, step;
  if (loop->kind != IR_FOR || !loop->n_results || ir_op_has_effect(a->f->module, loop)) return false;
  if (!ir_is_const_int(a->f, loop->args[0], &lo) || lo != 0) return false;
  if (!ir_is_const_int(a->f, loop->args[2], &step) || step != 1) return false;
  for (int k = 0; k < loop->n_results; k++)
    if (!only_write(a, loop, k)) return false;
  return true;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op);

// What the element is in the end.
static IrVal written(const Accumulate *a, IrBuilder *b, const IrMap *map, const IrOp *loop, int k) {
  const IrOp *write = ir_val(a->f, loop->regions[0]->yields[k])->def;
  IrVal e = ir_mapped(map, write->args[2]);
  if (write->kind == IR_SET) return e;
  const IrOp *start = ir_val(a->f, ir_val(a->f, loop->args[3 + k])->def->args[0])->def;
  return ir_op2(b, IR_ADD, ir_const_float(b, (IrElem)ir_type(b->func, e).elem, start->attr.f), e);
}

static void as_build(Accumulate *a, IrBuilder *b, IrMap *map, const IrOp *loop) {
  const IrRegion *body = loop->regions[0];
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, loop->n_results);
  IrVal size = ir_mapped(map, loop->args[1]);
  b->loc = loop->loc;
  IrBuilder in;
  IrOp *now = ir_build(b, &size, 1, &in);
  ir_map_set(map, body->args[0], in.region->args[0]);
  // The carried arrays are only written; their writes are dropped, so nothing asks for them.
  for (int k = 0; k < loop->n_results; k++)
    ir_map_set(map, body->args[1 + k], ir_mapped(map, loop->args[3 + k]));
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    bool is_write = false;
    for (int k = 0; k < loop->n_results; k++) is_write |= ir_val(a->f, body->yields[k])->def == op;
    if (is_write) continue;
    if (!rewrite(a, &in, map, op)) ir_clone_op(&in, map, op);
  }
  for (int k = 0; k < loop->n_results; k++) yields[k] = written(a, &in, map, loop, k);
  ir_yield(&in, yields, loop->n_results);
  ir_close_build(b, now);
  for (int k = 0; k < loop->n_results; k++) ir_map_set(map, ir_result(loop, k), ir_result(now, k));
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Accumulate *a = user;
  if (op->kind == IR_SET) return as_accumulation(a, b, map, op);
  if (!fills_arrays(a, op)) return false;
  as_build(a, b, map, op);
  return true;
}

IrFunc *opt_accumulate(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Accumulate a = {f, ir_use_counts(scratch, f)};
  IrFunc *now = ir_rewrite_func(f, rewrite, &a);
  arena_free(scratch);
  return now;
}
