// Guards, for the machine. In: a function that is not differentiated any more, where a rule's product with t is guarded against
// 0 * inf (ad/rules.c):
//
//   if t == 0 and v != v { 0 } else { v }
//
// Out: `if t == 0 { 0 } else { v }`. A higher derivative has to tell 0 * inf from a product that is zero itself, whose slope is
// not zero; the value is zero either way (but for its sign). Not for reading, as what is read may be differentiated again.
#include "opt/scalar.h"

enum { MOST_FACTORS = 4 };

static bool is_zero(const IrFunc *f, IrVal v) {
  Const c;
  return const_get(f, v, &c) && c.elem != IR_INT && c.elem != IR_BOOL && c.v.f == 0;
}

// Is v a product with t, so that it is zero or NaN where t is zero?
static bool has_factor(const IrFunc *f, IrVal v, IrVal t, int depth) {
  const IrOp *op = ir_val(f, v)->def;
  if (v == t) return true;
  if (!op || depth == 0) return false;
  if (op->kind == IR_MUL && has_factor(f, op->args[1], t, depth - 1)) return true;
  bool passes_on = op->kind == IR_MUL || op->kind == IR_DIV || op->kind == IR_NEG;
  return passes_on && has_factor(f, op->args[0], t, depth - 1);
}

static bool is_nan_test(const IrFunc *f, IrVal cond, IrVal v) {
  const IrOp *op = op_of(f, cond, IR_NE);
  return op && op->args[0] == v && op->args[1] == v;
}

// `t == 0` of `if t == 0 and v != v { 0 } else { v }`; 0: op is no guard.
static IrVal zero_test_of_guard(const IrFunc *f, const IrOp *op) {
  const IrOp *both = op->kind == IR_SELECT ? op_of(f, op->args[0], IR_AND) : NULL;
  if (!both || !is_zero(f, op->args[1])) return 0;
  for (int k = 0; k < 2; k++) {
    const IrOp *test = op_of(f, both->args[k], IR_EQ);
    if (test && is_zero(f, test->args[1]) && is_nan_test(f, both->args[1 - k], op->args[2]) &&
        has_factor(f, op->args[2], test->args[0], MOST_FACTORS))
      return both->args[k];
  }
  return 0;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user;
  IrVal test = zero_test_of_guard(map->from, op);
  if (!test) return false;
  IrVal zero = ir_mapped(map, op->args[1]), v = ir_mapped(map, op->args[2]);
  ir_map_set(map, op->result, ir_op3(b, IR_SELECT, ir_mapped(map, test), zero, v));
  return true;
}

static IrWalk find(void *user, IrOp *op) {
  const IrFunc *f = user;
  return zero_test_of_guard(f, op) ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *opt_guards(IrFunc *f) {
  if (!f->body || ir_walk(f->body, find, f)) return f;
  return opt_dce(ir_rewrite_func(f, rewrite, NULL));
}
