// Optimisation: the ends of a recursion. In: a function that calls itself, and whose body is little more than a test whether it
// is at its end:
//
//   fn @f(%x) { ... %end = ...   %r = if %end { little } else { ... call @f ... }   return %r }
//
// Out: the test stands at the calls, too, so that what is at its end is not called:
//
//   %end1 = ...   %r1 = if %end1 { little } else { %r2 = call @f(%y)  yield %r2 }
//
// In a tree of calls most are at their ends.
#include "opt/internal.h"

enum { MOST_OPS = 16 };

typedef struct Leaves {
  const IrFunc *f;
  const IrOp *test; // the IF, last in the body
  int leaf;         // which of its regions
  Arena *arena;
} Leaves;

static bool is_check(const IrOp *op) {
  return op->kind == IR_CHECK_INDEX || op->kind == IR_CHECK_RANGE || op->kind == IR_CHECK_SIZE ||
         op->kind == IR_CHECK_DIV;
}

// Are the first n operations few and cheap? Only scalars and elements.
static bool is_little(const IrFunc *f, const IrRegion *r, int n) {
  for (int i = 0; i < n; i++) {
    const IrOp *op = r->ops.data[i];
    bool element = op->kind == IR_SET || op->kind == IR_ACC;
    bool scalar = op->n_results == 1 && !ir_type(f, op->result).rank && !(ir_op_info[op->kind].flags & IR_E);
    if (op->n_regions || !(element || scalar || is_check(op))) return false;
  }
  return n <= MOST_OPS;
}

static IrWalk find_call(void *user, IrOp *op) {
  const IrFunc *f = user;
  return op->kind == IR_CALL && op->attr.sym == f->name ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

// Sets test and leaf; the part before the test must leave arrays as they are, as it happens again in what is called.
static bool find_test(Leaves *s) {
  const IrRegion *body = s->f->body;
  int n = body->ops.len - 1;
  if (n < 0 || body->ops.data[n]->kind != IR_IF || !is_little(s->f, body, n)) return false;
  for (int i = 0; i < n; i++)
    if (ir_op_info[body->ops.data[i]->kind].flags & IR_U) return false;
  s->test = body->ops.data[n];
  for (s->leaf = 0; s->leaf < 2; s->leaf++)
    if (is_little(s->f, s->test->regions[s->leaf], s->test->regions[s->leaf]->ops.len))
      return !ir_walk(s->test->regions[1 - s->leaf], find_call, (void *)s->f);
  return false;
}

// What the function returns at its end.
static void emit_leaf(const Leaves *s, IrBuilder *in, IrMap *inner, const IrOp *call) {
  const IrRegion *leaf = s->test->regions[s->leaf];
  IrVal *ends = ARENA_ARRAY(s->arena, IrVal, leaf->n_yields),
        *yields = ARENA_ARRAY(s->arena, IrVal, call->n_results);
  ir_clone_ops(in, inner, leaf, ends);
  for (int k = 0; k < leaf->n_yields; k++) ir_map_set(inner, ir_result(s->test, k), ends[k]);
  for (int k = 0; k < call->n_results; k++) yields[k] = ir_mapped(inner, s->f->body->yields[k]);
  opt_relocate(in->func->module, in->region, 0, call, s->f);
  ir_yield(in, yields, call->n_results);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Leaves *s = user;
  if (op->kind != IR_CALL || op->attr.sym != s->f->name) return false;
  IrMap inner = ir_map_new(s->arena, s->f, b->func);
  const IrRegion *body = s->f->body;
  for (int k = 0; k < s->f->n_params; k++) ir_map_set(&inner, body->args[k], ir_mapped(map, op->args[k]));
  int first = b->region->ops.len;
  for (int i = 0; i < body->ops.len - 1; i++) ir_clone_op(b, &inner, body->ops.data[i]);
  opt_relocate(b->func->module, b->region, first, op, s->f);
  const IrVal **dims = ARENA_ARRAY(s->arena, const IrVal *, op->n_results);
  IrVal *yields = ARENA_ARRAY(s->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) dims[k] = ir_sizes_like(s->arena, map, op, k);
  b->loc = op->loc;
  IrBuilder in[2];
  IrOp *now = ir_if(b, ir_mapped(&inner, s->test->args[0]), &in[0], &in[1]);
  emit_leaf(s, &in[s->leaf], &inner, op);
  ir_clone_op(&in[1 - s->leaf], map, op);
  for (int k = 0; k < op->n_results; k++) yields[k] = ir_mapped(map, ir_result(op, k));
  ir_yield(&in[1 - s->leaf], yields, op->n_results);
  ir_close_if(b, now, dims);
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), ir_result(now, k));
  return true;
}

IrFunc *opt_leaves(IrFunc *f) {
  Arena *scratch = f->body && f->recursive ? arena_new(0) : NULL;
  if (!scratch) return f;
  Leaves s = {.f = f, .arena = scratch};
  if (find_test(&s)) f = ir_rewrite_func(f, rewrite, &s);
  arena_free(scratch);
  return f;
}
