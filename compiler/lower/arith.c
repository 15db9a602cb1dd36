// Operators. In: operand values; out: scalar IR, or lazy arrays leaf by leaf. A struct or tuple of floats is a vector;
// scalars broadcast without being stored; `@` of matrices stays one operation.
#include "lower/internal.h"

#include <math.h>

static bool is_float_elem(IrElem e) { return e == IR_F32 || e == IR_F64; }

static IrElem joined(IrElem a, IrElem b) {
  if (a == b) return a;
  if (a == IR_F64 || b == IR_F64) return IR_F64;
  return a == IR_F32 || b == IR_F32 ? IR_F32 : IR_INT;
}

// A constant integral exponent, small enough that products are better.
static bool small_power(Gen *g, const Value *v, int64_t *n) {
  if (!v->val || leaf_type(g, v).rank) return false;
  if (ir_is_const_int(g->f, v->val, n)) return *n >= -1 && *n <= 4;
  if (!ir_is_const(g->f, v->val) || !ir_is_float(ir_type(g->f, v->val))) return false;
  double d = ir_val(g->f, v->val)->def->attr.f;
  if (!(d >= 1.0 && d <= 4.0) || d != floor(d)) return false;
  *n = (int64_t)d;
  return true;
}

static Value *power_leaf(Gen *g, Value *a, Value *b, IrElem e) {
  IrElem eb = (IrElem)leaf_type(g, b).elem;
  ScalarOp op = {.kind = SCALAR_OP, .op = IR_POW, .arg = e, .result = e};
  if (e == IR_INT) op.op = IR_IPOW;
  if (is_float_elem(e) && small_power(g, b, &op.n)) {
    op.kind = SCALAR_POWER;
    return leaf_map(g, &op, &a, 1);
  }
  if (is_float_elem(e) && eb == IR_INT) op.op = IR_POWI;
  return leaf_map(g, &op, (Value *[]){a, b}, 2);
}

static Value *arith_leaf(Gen *g, BinaryOp bin, Value *a, Value *b) {
  IrElem ea = (IrElem)leaf_type(g, a).elem, eb = (IrElem)leaf_type(g, b).elem, e = joined(ea, eb);
  if (ea == IR_BOOL || ea == IR_STRING) return a; // within a struct: not a number
  ScalarOp op = {.kind = SCALAR_OP, .arg = e, .result = e};
  switch (bin) {
  case BIN_ADD: op.op = IR_ADD; break;
  case BIN_SUB: op.op = IR_SUB; break;
  case BIN_MUL: op.op = IR_MUL; break;
  case BIN_DIV:
    op.op = IR_DIV;
    if (e == IR_INT) op.op = IR_IDIV, op.kind = SCALAR_CHECKED;
    break;
  case BIN_POW: return power_leaf(g, a, b, e);
  case BIN_MATMUL:
  case BIN_AND:
  case BIN_OR:
  case BIN_EQ:
  case BIN_NE:
  case BIN_LT:
  case BIN_LE:
  case BIN_GT:
  case BIN_GE: return a;
  }
  return leaf_map(g, &op, (Value *[]){a, b}, 2);
}

Value *arith(Gen *g, BinaryOp op, Value *a, Value *b) {
  if (a->kind == VALUE_LEAF && b->kind == VALUE_LEAF) return arith_leaf(g, op, a, b);
  const Value *shape = a->kind == VALUE_PARTS ? a : b;
  Value *now = value_parts(g, shape->parts, shape->n_parts);
  for (int i = 0; i < shape->n_parts; i++)
    now->parts[i] =
        arith(g, op, a->kind == VALUE_PARTS ? a->parts[i] : a, b->kind == VALUE_PARTS ? b->parts[i] : b);
  return now;
}

static Value *negate(Gen *g, Value *v) {
  if (v->kind == VALUE_PARTS) {
    Value *now = value_parts(g, v->parts, v->n_parts);
    for (int i = 0; i < v->n_parts; i++) now->parts[i] = negate(g, v->parts[i]);
    return now;
  }
  IrElem e = (IrElem)leaf_type(g, v).elem;
  int64_t c;
  if (v->val && ir_is_const_int(g->f, v->val, &c) && c != INT64_MIN)
    return value_leaf(g, ir_const_int(&g->b, -c));
  if (v->val && ir_is_const(g->f, v->val) && is_float_elem(e))
    return value_leaf(g, ir_const_float(&g->b, e, -ir_val(g->f, v->val)->def->attr.f));
  ScalarOp op = {.kind = SCALAR_OP, .op = IR_NEG, .arg = e, .result = e};
  return leaf_map(g, &op, &v, 1);
}

Value *lower_unary(Gen *g, Expr *e) {
  Value *v = lower_expr(g, e->unary.arg);
  g->b.loc.loc = e->loc;
  if (e->unary.op == UNARY_NEG) return negate(g, v);
  return value_leaf(g, ir_op1(&g->b, IR_NOT, value_scalar(g, v)));
}

static Value *compare(Gen *g, BinaryOp bin, Value *a, Value *b) {
  IrElem e = joined((IrElem)leaf_type(g, a).elem, (IrElem)leaf_type(g, b).elem);
  ScalarOp op = {.kind = SCALAR_OP, .arg = e, .result = IR_BOOL};
  switch (bin) {
  case BIN_EQ: op.op = IR_EQ; break;
  case BIN_NE: op.op = IR_NE; break;
  case BIN_GT:
    op.kind = SCALAR_FLIP;
    op.op = IR_LT;
    break;
  case BIN_LT: op.op = IR_LT; break;
  case BIN_GE:
    op.kind = SCALAR_FLIP;
    op.op = IR_LE;
    break;
  case BIN_LE:
  case BIN_ADD:
  case BIN_SUB:
  case BIN_MUL:
  case BIN_DIV:
  case BIN_POW:
  case BIN_MATMUL:
  case BIN_AND:
  case BIN_OR: op.op = IR_LE; break;
  }
  return leaf_map(g, &op, (Value *[]){a, b}, 2);
}

// The right side runs only if the left one leaves the answer open.
static Value *lower_logic(Gen *g, Expr *e) {
  bool is_and = e->binary.op == BIN_AND;
  IrVal left = lower_scalar(g, e->binary.left);
  if (expr_is_total(e->binary.right)) {
    IrVal right = lower_scalar(g, e->binary.right);
    return value_leaf(g, ir_op2(&g->b, is_and ? IR_AND : IR_OR, left, right));
  }
  Branch br;
  Carry carry = {0};
  carry_expr(g, &carry, e->binary.right);
  branch_begin(g, &br, left, &carry, g->l->bool_);
  Value *then = is_and ? lower_value(g, e->binary.right) : value_leaf(g, ir_const_bool(&g->b, true));
  branch_else(g, &br, then, NULL);
  Value *els = is_and ? value_leaf(g, ir_const_bool(&g->b, false)) : lower_value(g, e->binary.right);
  return branch_end(g, &br, els, NULL);
}

// ---- `@` -----------------------------------------------------------------------------------------------------------------

typedef struct Product { // of x and y over the inner size n; one of them is a vector
  IrVal x, y, n;
  bool x_vector;
} Product;

static IrVal inner_product(Gen *g, const Product *p, IrVal outer) {
  IrBuilder in, out;
  IrElem e = (IrElem)ir_type(g->f, p->x).elem;
  IrVal zero = ir_const_int(&g->b, 0), one = ir_const_int(&g->b, 1), sum = ir_const_float(&g->b, e, 0.0);
  IrOp *op = ir_for(&g->b, zero, p->n, one, &sum, 1, &in);
  out = g->b;
  g->b = in;
  IrVal k = in.region->args[0], xi[2] = {outer, k}, yi[2] = {k, outer};
  IrVal a = p->x_vector ? ir_get(&g->b, p->x, &k, 1) : ir_get(&g->b, p->x, xi, 2);
  IrVal b = p->x_vector ? ir_get(&g->b, p->y, yi, 2) : ir_get(&g->b, p->y, &k, 1);
  IrVal next = ir_op2(&g->b, IR_ADD, in.region->args[1], ir_op2(&g->b, IR_MUL, a, b));
  ir_yield(&g->b, &next, 1);
  g->b = out;
  return ir_result(op, 0);
}

static IrVal vector_product(Gen *g, const Product *p, IrVal size) {
  IrBuilder in, out;
  IrOp *op = ir_build(&g->b, &size, 1, &in);
  out = g->b;
  g->b = in;
  IrVal v = inner_product(g, p, in.region->args[0]);
  ir_yield(&g->b, &v, 1);
  g->b = out;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

static Value *lower_matmul(Gen *g, Expr *e) {
  Expr *l = e->binary.left, *r = e->binary.right;
  IrElem elem = elem_of(e->type, g->real);
  IrVal x = value_scalar(g, force(g, leaf_convert(g, lower_expr(g, l), elem)));
  IrVal y = value_scalar(g, force(g, leaf_convert(g, lower_expr(g, r), elem)));
  const IrVal *dx = ir_dims(g->f, x), *dy = ir_dims(g->f, y);
  int rx = ir_type(g->f, x).rank, ry = ir_type(g->f, y).rank;
  if (size_compare(l->type->dims[rx - 1], r->type->dims[0]) != SIZE_EQUAL)
    check_same(g, dy[0], dx[rx - 1], expr_text(g, e));
  if (rx == 2 && ry == 2) return value_leaf(g, ir_matmul(&g->b, x, y, 0));
  Product p = {x, y, dx[rx - 1], rx == 1};
  return value_leaf(g, vector_product(g, &p, rx == 1 ? dy[1] : dx[0]));
}

Value *lower_binary(Gen *g, Expr *e) {
  BinaryOp op = e->binary.op;
  if (op == BIN_AND || op == BIN_OR) return lower_logic(g, e);
  if (op == BIN_MATMUL) return lower_matmul(g, e);
  Value *a = lower_expr(g, e->binary.left), *b = lower_expr(g, e->binary.right);
  g->b.loc.loc = e->loc;
  if (op >= BIN_EQ && op <= BIN_GE) return compare(g, op, a, b);
  check_alike(g, a, e->binary.left->type, b, e->binary.right->type, expr_text(g, e));
  return arith(g, op, a, b);
}
