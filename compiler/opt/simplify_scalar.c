// Identities of scalar operations. In: an operation and its operands in the function that is being built; out: a simpler
// value, 0 where there is none. Floats keep their bits: x * 1 is x, x + 0.0 is not (it turns -0.0 into 0.0), nor is
// 0 * x zero. Ints wrap, so they commute, associate and cancel.
//
// Where there is a choice of form: constants stand second; an int minus a constant is a sum.
#include "opt/scalar.h"

#include <math.h>

enum { ZERO_DEPTH = 5 }; // looked through for where a zero has its sign from

typedef struct At { // where simpler operations are emitted
  Simplify *s;
  IrBuilder *b;
  const IrFunc *f;
} At;

static IrVal make(const At *at, IrOpKind k, const IrVal *args, int n) {
  IrVal v = simplify_scalar(at->s, at->b, k, IR_INT, args, n);
  return v ? v : ir_op(at->b, k, args, n);
}

static IrVal make1(const At *at, IrOpKind k, IrVal x) { return make(at, k, &x, 1); }
static IrVal make2(const At *at, IrOpKind k, IrVal x, IrVal y) { return make(at, k, (IrVal[]){x, y}, 2); }
static IrVal int_const(const At *at, int64_t v) { return ir_const_int(at->b, v); }

static bool is_int(const At *at, IrVal v) { return ir_type(at->f, v).elem == IR_INT; }
static bool int_of(const At *at, IrVal v, int64_t *out) { return ir_is_const_int(at->f, v, out); }

static bool is_float_const(const At *at, IrVal v, double want) {
  Const c, is = {.elem = (IrElem)ir_type(at->f, v).elem, .v.f = want};
  return const_get(at->f, v, &c) && const_same(c, is);
}

static const IrOp *def(const At *at, IrVal v, IrOpKind k) { return op_of(at->f, v, k); }
static bool is_const(const At *at, IrVal v) { return ir_is_const(at->f, v); }

// ---- ints ----------------------------------------------------------------------------------------------------------

static IrVal add_constant(const At *at, IrVal x, int64_t c) {
  int64_t c1;
  const IrOp *d;
  if (c == 0) return x;
  if ((d = def(at, x, IR_ADD)) && int_of(at, d->args[1], &c1))
    return make2(at, IR_ADD, d->args[0], int_const(at, wrap_add(c1, c)));
  if ((d = def(at, x, IR_SUB)) && int_of(at, d->args[0], &c1))
    return make2(at, IR_SUB, int_const(at, wrap_add(c1, c)), d->args[1]);
  return 0;
}

static IrVal add_ints(const At *at, IrVal x, IrVal y) {
  int64_t c;
  const IrOp *d;
  if (int_of(at, y, &c)) return add_constant(at, x, c);
  if ((d = def(at, y, IR_NEG))) return make2(at, IR_SUB, x, d->args[0]);
  if ((d = def(at, x, IR_NEG))) return make2(at, IR_SUB, y, d->args[0]);
  if ((d = def(at, x, IR_SUB)) && d->args[1] == y) return d->args[0];
  if ((d = def(at, y, IR_SUB)) && d->args[1] == x) return d->args[0];
  return 0;
}

// x - y where one of them holds the other.
static IrVal cancel(const At *at, IrVal x, IrVal y) {
  const IrOp *d;
  if ((d = def(at, x, IR_ADD))) {
    if (d->args[0] == y) return d->args[1];
    if (d->args[1] == y) return d->args[0];
  }
  if ((d = def(at, y, IR_ADD))) {
    if (d->args[0] == x) return make1(at, IR_NEG, d->args[1]);
    if (d->args[1] == x) return make1(at, IR_NEG, d->args[0]);
  }
  if ((d = def(at, y, IR_SUB)) && d->args[0] == x) return d->args[1];
  if ((d = def(at, x, IR_SUB)) && d->args[0] == y) return make1(at, IR_NEG, d->args[1]);
  return 0;
}

static IrVal subtract_ints(const At *at, IrVal x, IrVal y) {
  int64_t c, c1;
  const IrOp *d;
  if (int_of(at, y, &c)) return make2(at, IR_ADD, x, int_const(at, wrap_sub(0, c)));
  if ((d = def(at, y, IR_NEG))) return make2(at, IR_ADD, x, d->args[0]);
  Affine a = affine_of(at->f, x), b = affine_of(at->f, y);
  if (a.base == b.base) return int_const(at, wrap_sub(a.offset, b.offset));
  if (int_of(at, x, &c)) {
    if (c == 0) return make1(at, IR_NEG, y);
    if ((d = def(at, y, IR_ADD)) && int_of(at, d->args[1], &c1))
      return make2(at, IR_SUB, int_const(at, wrap_sub(c, c1)), d->args[0]);
    if ((d = def(at, y, IR_SUB)) && int_of(at, d->args[0], &c1))
      return make2(at, IR_ADD, d->args[1], int_const(at, wrap_sub(c, c1)));
  }
  return cancel(at, x, y);
}

static IrVal multiply_ints(const At *at, IrVal x, IrVal y) {
  int64_t c, c1;
  if (!int_of(at, y, &c)) return 0;
  if (c == 0) return y;
  if (c == 1) return x;
  if (c == -1) return make1(at, IR_NEG, x);
  const IrOp *d = def(at, x, IR_MUL);
  return d && int_of(at, d->args[1], &c1) ? make2(at, IR_MUL, d->args[0], int_const(at, wrap_mul(c1, c))) : 0;
}

static IrVal negate_int(const At *at, IrVal x) {
  const IrOp *d;
  if ((d = def(at, x, IR_NEG))) return d->args[0];
  if ((d = def(at, x, IR_SUB))) return make2(at, IR_SUB, d->args[1], d->args[0]);
  return 0;
}

static IrVal simplify_int(const At *at, IrOpKind k, const IrVal *a) {
  int64_t c;
  switch (k) {
  case IR_ADD: return add_ints(at, a[0], a[1]);
  case IR_SUB: return subtract_ints(at, a[0], a[1]);
  case IR_MUL: return multiply_ints(at, a[0], a[1]);
  case IR_NEG: return negate_int(at, a[0]);
  case IR_MIN:
  case IR_MAX: return a[0] == a[1] ? a[0] : 0;
  case IR_ABS: return def(at, a[0], IR_ABS) ? a[0] : 0;
  case IR_IDIV: return int_of(at, a[1], &c) && c == 1 ? a[0] : 0;
  case IR_IMOD: return int_of(at, a[1], &c) && (c == 1 || c == -1) ? int_const(at, 0) : 0;
  case IR_IPOW: return int_of(at, a[1], &c) && c == 1 ? a[0] : 0;
  default: return 0;
  }
}

// ---- floats --------------------------------------------------------------------------------------------------------

// Surely not -0.0. A sum is -0.0 only where both parts are, and a difference x - y only where x is; neither underflows.
static bool not_minus_zero(const At *at, IrVal v, int depth) {
  Const c;
  if (const_get(at->f, v, &c)) return c.v.f != 0 || !signbit(c.v.f);
  const IrOp *d = ir_val(at->f, v)->def;
  if (!d || depth == 0) return false;
  switch ((IrOpKind)d->kind) {
  case IR_ADD: return not_minus_zero(at, d->args[0], depth - 1) || not_minus_zero(at, d->args[1], depth - 1);
  case IR_SUB: return not_minus_zero(at, d->args[0], depth - 1);
  case IR_SELECT:
    return not_minus_zero(at, d->args[1], depth - 1) && not_minus_zero(at, d->args[2], depth - 1);
  case IR_MUL: return d->args[0] == d->args[1];
  case IR_ABS:
  case IR_EXP:
  case IR_ITOF: return true;
  default: return false;
  }
}

static bool adds_freely(const At *at, IrVal v) { return not_minus_zero(at, v, ZERO_DEPTH); }

// x of x + 0.0, which is x but for the sign of a zero.
static IrVal but_for_zero(const At *at, IrVal v) {
  const IrOp *d = def(at, v, IR_ADD);
  return d && is_float_const(at, d->args[1], 0.0) ? d->args[0] : 0;
}

static IrVal add_floats(const At *at, const IrVal *a) {
  const IrOp *d;
  IrVal x;
  if (is_float_const(at, a[1], -0.0)) return a[0];
  if (is_float_const(at, a[1], 0.0) && adds_freely(at, a[0])) return a[0];
  for (int k = 1; k >= 0; k--) {
    if ((d = def(at, a[k], IR_NEG))) return make2(at, IR_SUB, a[1 - k], d->args[0]);
    d = def(at, a[k], IR_SUB);
    if (d && is_float_const(at, d->args[0], 0.0) && adds_freely(at, a[1 - k]))
      return make2(at, IR_SUB, a[1 - k], d->args[1]);
  }
  if ((x = but_for_zero(at, a[0])) && adds_freely(at, a[1])) return make2(at, IR_ADD, x, a[1]);
  if ((x = but_for_zero(at, a[1])) && adds_freely(at, a[0])) return make2(at, IR_ADD, a[0], x);
  return 0;
}

static IrVal subtract_floats(const At *at, const IrVal *a) {
  const IrOp *d;
  IrVal x;
  if (is_float_const(at, a[1], 0.0)) return a[0];
  if (is_float_const(at, a[0], -0.0)) return make1(at, IR_NEG, a[1]);
  if ((d = def(at, a[1], IR_NEG))) return make2(at, IR_ADD, a[0], d->args[0]);
  if ((x = but_for_zero(at, a[1])) && adds_freely(at, a[0])) return make2(at, IR_SUB, a[0], x);
  return 0;
}

static IrVal simplify_float(const At *at, IrOpKind k, const IrVal *a) {
  const IrOp *d, *e;
  int64_t c;
  switch (k) {
  case IR_ADD: return add_floats(at, a);
  case IR_SUB: return subtract_floats(at, a);
  case IR_MUL:
    if (is_float_const(at, a[1], 1.0)) return a[0];
    if (is_float_const(at, a[1], -1.0)) return make1(at, IR_NEG, a[0]);
    if ((d = def(at, a[0], IR_NEG)) && (e = def(at, a[1], IR_NEG)))
      return make2(at, IR_MUL, d->args[0], e->args[0]);
    return 0;
  case IR_DIV:
    if (is_float_const(at, a[1], 1.0)) return a[0];
    return is_float_const(at, a[1], -1.0) ? make1(at, IR_NEG, a[0]) : 0;
  case IR_NEG: return (d = def(at, a[0], IR_NEG)) ? d->args[0] : 0;
  case IR_ABS: return def(at, a[0], IR_ABS) ? a[0] : 0;
  case IR_MIN:
  case IR_MAX: return a[0] == a[1] ? a[0] : 0;
  case IR_POWI: return int_of(at, a[1], &c) && c == 1 ? a[0] : 0;
  case IR_DETACH: return def(at, a[0], IR_DETACH) ? a[0] : 0;
  default: return 0;
  }
}

// ---- comparisons and logic -----------------------------------------------------------------------------------------

static IrVal truth(const At *at, bool v) { return ir_const_bool(at->b, v); }

static IrVal compare_ints(const At *at, IrOpKind k, IrVal x, IrVal y) {
  if (x == y) return truth(at, k == IR_LE || k == IR_EQ);
  if (k != IR_EQ && k != IR_NE) return 0;
  Affine a = affine_of(at->f, x), b = affine_of(at->f, y);
  if (a.base == b.base) return truth(at, (a.offset == b.offset) == (k == IR_EQ));
  // x + 3 == 7: x == 4
  if (b.base == 0 && a.offset != 0) return make2(at, k, a.base, int_const(at, wrap_sub(b.offset, a.offset)));
  return 0;
}

static IrVal compare(const At *at, IrOpKind k, IrVal x, IrVal y) {
  bool t;
  if (is_int(at, x)) return compare_ints(at, k, x, y);
  if (ir_is_float(ir_type(at->f, x))) return x == y && k == IR_LT ? truth(at, false) : 0;
  if (x == y) return truth(at, k == IR_EQ);
  if (known_bool(at->s, at->f, y, &t)) return t == (k == IR_EQ) ? x : make1(at, IR_NOT, x);
  if (known_bool(at->s, at->f, x, &t)) return t == (k == IR_EQ) ? y : make1(at, IR_NOT, y);
  return 0;
}

static IrVal simplify_not(const At *at, IrVal x) {
  bool t;
  const IrOp *d = ir_val(at->f, x)->def;
  if (known_bool(at->s, at->f, x, &t)) return truth(at, !t);
  if (!d) return 0;
  switch ((IrOpKind)d->kind) {
  case IR_NOT: return d->args[0];
  case IR_EQ: return make2(at, IR_NE, d->args[0], d->args[1]);
  case IR_NE: return make2(at, IR_EQ, d->args[0], d->args[1]);
  case IR_LT: return is_int(at, d->args[0]) ? make2(at, IR_LE, d->args[1], d->args[0]) : 0;
  case IR_LE: return is_int(at, d->args[0]) ? make2(at, IR_LT, d->args[1], d->args[0]) : 0;
  default: return 0;
  }
}

// `unit` is what leaves the other operand as it is: true for and, false for or.
static IrVal simplify_logic(const At *at, bool unit, IrVal x, IrVal y) {
  bool t;
  const IrOp *d;
  if (x == y) return x;
  if (known_bool(at->s, at->f, y, &t)) return t == unit ? x : truth(at, !unit);
  if (known_bool(at->s, at->f, x, &t)) return t == unit ? y : truth(at, !unit);
  if ((d = def(at, x, IR_NOT)) && d->args[0] == y) return truth(at, !unit);
  if ((d = def(at, y, IR_NOT)) && d->args[0] == x) return truth(at, !unit);
  return 0;
}

static IrVal simplify_select(const At *at, IrVal cond, IrVal x, IrVal y) {
  bool t;
  const IrOp *d;
  Const a, b;
  if (known_bool(at->s, at->f, cond, &t)) return t ? x : y;
  if (x == y || (const_get(at->f, x, &a) && const_get(at->f, y, &b) && const_same(a, b))) return x;
  if ((d = def(at, cond, IR_NOT))) return make(at, IR_SELECT, (IrVal[]){d->args[0], y, x}, 3);
  if (ir_type(at->f, x).elem != IR_BOOL) return 0;
  if (known_bool(at->s, at->f, y, &t))
    return t ? make2(at, IR_OR, make1(at, IR_NOT, cond), x) : make2(at, IR_AND, cond, x);
  if (known_bool(at->s, at->f, x, &t))
    return t ? make2(at, IR_OR, cond, y) : make2(at, IR_AND, make1(at, IR_NOT, cond), y);
  return 0;
}

static IrVal simplify_conversion(const At *at, IrOpKind k, IrElem to, IrVal x) {
  bool t;
  const IrOp *d;
  if (k == IR_BTOI) return known_bool(at->s, at->f, x, &t) ? int_const(at, t) : 0;
  // Widened and narrowed again.
  if (k == IR_FCVT && to == IR_F32 && (d = def(at, x, IR_FCVT)) && ir_type(at->f, d->args[0]).elem == IR_F32)
    return d->args[0];
  return 0;
}

// ---- all of them ---------------------------------------------------------------------------------------------------

static bool fold_constants(const At *at, IrOpKind k, IrElem to, const IrVal *args, int n, IrVal *out) {
  Const in[3], c;
  if (n < 1 || n > 3) return false;
  for (int i = 0; i < n; i++)
    if (!const_get(at->f, args[i], &in[i])) return false;
  if (!const_fold(k, to, in, n, &c)) return false;
  *out = const_emit(at->b, c);
  return true;
}

IrVal simplify_scalar(Simplify *s, IrBuilder *b, IrOpKind k, IrElem to, const IrVal *args, int n) {
  At at = {s, b, b->func};
  IrVal v;
  if (fold_constants(&at, k, to, args, n, &v)) return v;
  if ((ir_op_info[k].flags & IR_C) && is_const(&at, args[0]) && !is_const(&at, args[1]))
    return make2(&at, k, args[1], args[0]);
  switch (k) {
  case IR_LT:
  case IR_LE:
  case IR_EQ:
  case IR_NE: return compare(&at, k, args[0], args[1]);
  case IR_AND:
  case IR_OR: return simplify_logic(&at, k == IR_AND, args[0], args[1]);
  case IR_NOT: return simplify_not(&at, args[0]);
  case IR_SELECT: return simplify_select(&at, args[0], args[1], args[2]);
  case IR_BTOI:
  case IR_FCVT: return simplify_conversion(&at, k, to, args[0]);
  default: break;
  }
  if (n < 1) return 0;
  return is_int(&at, args[0]) ? simplify_int(&at, k, args) : simplify_float(&at, k, args);
}
