// Operators: numbers, broadcasting of scalars and equal shapes, structs and tuples of floats as vectors, `@`.
// In: operands; out: the result's type. What must hold: an int beside a float converts, two float types never mix; sizes
// that may be equal are accepted.
#include "sema/check.h"

// ---- numbers -----------------------------------------------------------------------------------------------------

static bool is_error(const Type *t) { return t->kind == TYPE_ERROR; }

Type *join_numbers(Checker *c, Type *l, Type *r, Loc loc, const char *what) {
  if (l->kind == r->kind || r->kind == TYPE_INT) return l;
  if (l->kind == TYPE_INT) return r;
  Diag *g = diag_add(c->d, DIAG_FLOAT_MIX, loc, "%s mixes `%s` and `%s`", what, type_text(c->a, l),
                     type_text(c->a, r));
  diag_note(c->d, g, "a conversion between float types loses or pretends precision, so it is written out");
  Type *to = l->kind == TYPE_REAL || r->kind == TYPE_REAL ? c->real : c->f64;
  diag_help(c->d, g, "convert one side: `%s(...)`", type_text(c->a, to));
  return NULL;
}

static Diag *report_operands(Checker *c, BinaryOp op, Loc loc, const Type *l, const Type *r) {
  return diag_add(c->d, DIAG_OPERATOR, loc, "`%s` does not take `%s` and `%s`", binary_op_text(op),
                  type_text(c->a, l), type_text(c->a, r));
}

static bool has_numbers(const Type *t) {
  return type_is_numeric(t) || (t->kind == TYPE_ARRAY && type_is_numeric(t->elem));
}

Type *broadcast(Checker *c, Type *l, Type *r, Type *elem, Loc loc, Loc left, Loc right, const char *what) {
  if (l->kind != TYPE_ARRAY && r->kind != TYPE_ARRAY) return elem;
  Type *shape = l->kind == TYPE_ARRAY ? l : r;
  Type *result = type_array(c, elem, shape->rank, shape->dims);
  if (l->kind != TYPE_ARRAY || r->kind != TYPE_ARRAY) return result;
  if (l->rank != r->rank) {
    Diag *g = diag_add(c->d, DIAG_OPERATOR, loc, "%s combines arrays of different rank: `%s` and `%s`", what,
                       type_text(c->a, l), type_text(c->a, r));
    diag_note(c->d, g, "only a scalar spreads over an array; arrays must have equal shapes");
    diag_help(c->d, g, "write the loop: `[for i in 0..n: a[i] + b]`");
    return c->error;
  }
  for (int i = 0; i < l->rank; i++) {
    if (size_compare(l->dims[i], r->dims[i]) != SIZE_DIFFERENT) continue;
    Diag *g = diag_add(c->d, DIAG_SIZE, loc, "sizes differ: %s combines `%s` and `%s`", what,
                       type_text(c->a, l), type_text(c->a, r));
    diag_span(c->d, g, left, "%s", type_text(c->a, l));
    diag_span(c->d, g, right, "%s", type_text(c->a, r));
    return c->error;
  }
  return result;
}

// ---- structs and tuples of floats --------------------------------------------------------------------------------

static bool is_vector_kind(const Type *t) {
  return t->kind == TYPE_STRUCT || t->kind == TYPE_TUPLE ||
         (t->kind == TYPE_ARRAY && (t->elem->kind == TYPE_STRUCT || t->elem->kind == TYPE_TUPLE));
}

static bool check_vector(Checker *c, BinaryOp op, const Type *t, Loc loc) {
  if (type_has_error(t)) return false;
  if (type_all_floats(t)) return true;
  Diag *g = diag_add(c->d, DIAG_OPERATOR, loc, "`%s` needs `%s` to hold nothing but floats",
                     binary_op_text(op), type_text(c->a, t));
  diag_note(c->d, g, "a struct or tuple of floats is a vector; ints, bools and strings in it have no sum");
  diag_help(c->d, g, "keep the other fields in a struct of their own, or update the floats field by field");
  return false;
}

static Type *add_vectors(Checker *c, BinaryOp op, Type *l, Type *r, Loc loc) {
  Mismatch m;
  Match match = type_match(l, r, &m);
  if (match == MATCH_SIZE) {
    report_sizes(c, loc, &m, l, r, arena_printf(c->a, "`%s`", binary_op_text(op)));
    return c->error;
  }
  if (match == MATCH_TYPE) {
    Diag *g = report_operands(c, op, loc, l, r);
    diag_help(c->d, g, "structs and tuples add and subtract with their own type, and scale with `*` and `/`");
    return c->error;
  }
  return check_vector(c, op, l, loc) ? l : c->error;
}

static Type *scale_vector(Checker *c, BinaryOp op, Type *v, Type *scalar, Loc loc) {
  if (!check_vector(c, op, v, loc)) return c->error;
  Type *kind = type_float_kind(c, v);
  if (kind && scalar->kind != TYPE_INT && scalar->kind != kind->kind)
    return join_numbers(c, kind, scalar, loc, "this") ? v : c->error;
  return v;
}

static Type *vector_arith(Checker *c, BinaryOp op, Type *l, Type *r, Loc loc) {
  bool lv = is_vector_kind(l), rv = is_vector_kind(r);
  if (lv && rv && (op == BIN_ADD || op == BIN_SUB)) return add_vectors(c, op, l, r, loc);
  if (lv && type_is_numeric(r) && (op == BIN_MUL || op == BIN_DIV)) return scale_vector(c, op, l, r, loc);
  if (rv && type_is_numeric(l) && op == BIN_MUL) return scale_vector(c, op, r, l, loc);
  Diag *g = report_operands(c, op, loc, l, r);
  diag_help(c->d, g,
            "structs and tuples of floats have `+` and `-` with their own type, `*` and `/` with a scalar");
  return c->error;
}

// ---- `@` -----------------------------------------------------------------------------------------------------------

static Type *matmul_type(Checker *c, Type *l, Type *r, Loc loc, Loc left, Loc right) {
  bool arrays = l->kind == TYPE_ARRAY && r->kind == TYPE_ARRAY;
  if (!arrays || !type_is_float(l->elem) || !type_is_float(r->elem) || l->rank > 2 || r->rank > 2) {
    Diag *g = report_operands(c, BIN_MATMUL, loc, l, r);
    diag_note(c->d, g, "`@` is the product of a matrix with a matrix or a vector, of floats");
    if (arrays && (l->elem->kind == TYPE_INT || r->elem->kind == TYPE_INT))
      diag_help(c->d, g, "convert with `f64(...)`");
    return c->error;
  }
  if (l->rank == 1 && r->rank == 1) {
    Diag *g = report_operands(c, BIN_MATMUL, loc, l, r);
    diag_help(c->d, g, "the product of two vectors is `dot(a, b)`, or `outer(a, b)` for a matrix");
    return c->error;
  }
  Type *elem = join_numbers(c, l->elem, r->elem, loc, "`@`");
  if (!elem) return c->error;
  Size *inner_l = l->dims[l->rank - 1], *inner_r = r->dims[0];
  if (size_compare(inner_l, inner_r) == SIZE_DIFFERENT) {
    Diag *g = diag_add(c->d, DIAG_SIZE, loc, "sizes differ: `@` multiplies `%s` by `%s`", type_text(c->a, l),
                       type_text(c->a, r));
    diag_span(c->d, g, left, "%s %s", size_text(c->a, inner_l), l->rank == 2 ? "columns" : "elements");
    diag_span(c->d, g, right, "%s %s", size_text(c->a, inner_r), r->rank == 2 ? "rows" : "elements");
    return c->error;
  }
  Size **dims = ARENA_ARRAY(c->a, Size *, 2);
  int n = 0;
  if (l->rank == 2) dims[n++] = l->dims[0];
  if (r->rank == 2) dims[n++] = r->dims[1];
  return type_array(c, elem, n, dims);
}

// ---- arithmetic ----------------------------------------------------------------------------------------------------

static Type *report_int_div(Checker *c, Loc loc, const Expr *left) {
  Diag *g = diag_add(c->d, DIAG_INT_DIV, loc, "`/` does not divide ints");
  diag_note(c->d, g, "it would be unclear whether the quotient is rounded");
  if (left && left->kind == EXPR_INT)
    diag_help(c->d, g, "for a float write `%lld.0`; for the floored quotient, `div(a, b)`",
              (long long)left->int_value);
  else
    diag_help(c->d, g, "for the floored quotient write `div(a, b)`; for a float, `f64(a) / b`");
  return c->error;
}

static Type *report_no_numbers(Checker *c, BinaryOp op, Loc loc, const Type *l, const Type *r) {
  Diag *g = report_operands(c, op, loc, l, r);
  if (l->kind == TYPE_STR || r->kind == TYPE_STR) diag_help(c->d, g, "join strings by holes: `\"{a}{b}\"`");
  if (l->kind == TYPE_BOOL || r->kind == TYPE_BOOL) diag_help(c->d, g, "`int(...)` makes 0 or 1 of a bool");
  if (l->kind == TYPE_GROW || r->kind == TYPE_GROW)
    diag_help(c->d, g, "take all of a growable array as an array: `xs[..]`");
  return c->error;
}

Type *arith_type(Checker *c, BinaryOp op, Type *l, Type *r, Loc loc, Loc left, Loc right) {
  if (is_error(l) || is_error(r)) return c->error;
  if (op == BIN_MATMUL) return matmul_type(c, l, r, loc, left, right);
  if (is_vector_kind(l) || is_vector_kind(r)) return vector_arith(c, op, l, r, loc);
  if (!has_numbers(l) || !has_numbers(r)) return report_no_numbers(c, op, loc, l, r);
  const char *what = arena_printf(c->a, "`%s`", binary_op_text(op));
  Type *elem = join_numbers(c, type_scalar_of(l), type_scalar_of(r), loc, what);
  if (!elem) return c->error;
  if (op == BIN_DIV && elem->kind == TYPE_INT) return report_int_div(c, loc, NULL);
  return broadcast(c, l, r, elem, loc, left, right, what);
}

static void set_size(Checker *c, Expr *e, BinaryOp op, const Size *l, const Size *r) {
  if (!l || !r) return;
  if (op == BIN_ADD) e->size = size_add(c->a, l, r);
  if (op == BIN_SUB) e->size = size_sub(c->a, l, r);
  if (op == BIN_MUL) e->size = size_mul(c->a, l, r);
  int64_t power;
  if (op != BIN_POW || !size_is_const(r, &power) || power < 0 || power > 8) return;
  e->size = size_const(c->a, 1);
  while (power-- > 0) e->size = size_mul(c->a, e->size, l);
}

// The side whose type is fixed goes first; literals on the other side take its float type.
static void check_operands(Checker *c, Expr *e, Type *hint) {
  Expr *l = e->binary.left, *r = e->binary.right;
  bool scalar_hint = hint && (type_is_float(type_scalar_of(hint)) || hint->kind == TYPE_INT);
  if (!scalar_hint) hint = NULL;
  Type *first_hint = hint;
  if (l && r && is_flexible(c, l) && !is_flexible(c, r)) {
    Type *t = check_expr(c, r, first_hint);
    Type *kind = t->kind == TYPE_ARRAY && !is_vector_kind(t) ? t->elem
                 : is_vector_kind(t)                         ? type_float_kind(c, t)
                                                             : t;
    check_expr(c, l, kind && type_is_float(kind) ? kind : hint);
    return;
  }
  Type *t = check_expr(c, l, first_hint);
  Type *kind = t->kind == TYPE_ARRAY && !is_vector_kind(t) ? t->elem
               : is_vector_kind(t)                         ? type_float_kind(c, t)
                                                           : t;
  check_expr(c, r, kind && type_is_float(kind) ? kind : hint);
}

// An array of int literals beside one of floats.
static void float_literals(Checker *c, Expr *e, const Type *other) {
  Type *t = e->type;
  if (other->kind != TYPE_ARRAY || !type_is_float(other->elem) || t->kind != TYPE_ARRAY) return;
  if (t->elem->kind == TYPE_INT && is_flexible(c, e))
    check_expr(c, e, type_array(c, other->elem, t->rank, t->dims));
}

// ---- comparisons and logic -----------------------------------------------------------------------------------------

static Type *report_compare(Checker *c, BinaryOp op, Loc loc, const Type *l, const Type *r) {
  Diag *g = diag_add(c->d, DIAG_OPERATOR, loc, "`%s` does not compare `%s` with `%s`", binary_op_text(op),
                     type_text(c->a, l), type_text(c->a, r));
  bool arrays = l->kind == TYPE_ARRAY || r->kind == TYPE_ARRAY;
  if (arrays && op != BIN_EQ && op != BIN_NE)
    diag_help(c->d, g, "compare element by element: `[for v in x: if v %s ... { ... } else { ... }]`",
              binary_op_text(op));
  else if (arrays)
    diag_help(c->d, g, "compare elements, or say how near is near enough: `max(abs(a - b)) < 1e-9`");
  else if (l->kind == TYPE_STRUCT || l->kind == TYPE_TUPLE)
    diag_help(c->d, g, "compare the fields that matter");
  else if (l->kind == TYPE_STR)
    diag_note(c->d, g, "strings are for messages and file names; use an int or a bool to decide by");
  return c->error;
}

static Type *compare_type(Checker *c, BinaryOp op, Type *l, Type *r, Loc loc) {
  if (is_error(l) || is_error(r)) return c->bool_;
  bool equality = op == BIN_EQ || op == BIN_NE;
  if (equality && l->kind == TYPE_BOOL && r->kind == TYPE_BOOL) return c->bool_;
  if (!type_is_numeric(l) || !type_is_numeric(r)) return report_compare(c, op, loc, l, r);
  return join_numbers(c, l, r, loc, "this comparison") ? c->bool_ : c->error;
}

static void check_bool(Checker *c, Expr *e, const char *op) {
  Type *t = check_expr(c, e, c->bool_);
  if (t->kind == TYPE_BOOL || is_error(t)) return;
  Diag *g = diag_add(c->d, DIAG_OPERATOR, e->loc, "`%s` takes bools, not `%s`", op, type_text(c->a, t));
  if (type_is_numeric(t)) diag_help(c->d, g, "compare it: `... != 0`");
}

Type *check_unary(Checker *c, Expr *e, Type *hint) {
  if (e->unary.op == UNARY_NOT) {
    if (e->unary.arg) check_bool(c, e->unary.arg, "not");
    return c->bool_;
  }
  Type *t = check_expr(c, e->unary.arg, hint);
  if (is_error(t)) return t;
  if (e->unary.arg->size) e->size = size_sub(c->a, size_const(c->a, 0), e->unary.arg->size);
  if (has_numbers(t)) return t;
  if (is_vector_kind(t)) return check_vector(c, BIN_SUB, t, e->loc) ? t : c->error;
  diag_add(c->d, DIAG_OPERATOR, e->loc, "`-` does not take `%s`", type_text(c->a, t));
  return c->error;
}

Type *check_binary(Checker *c, Expr *e, Type *hint) {
  BinaryOp op = e->binary.op;
  Expr *l = e->binary.left, *r = e->binary.right;
  if (!l || !r) return c->error;
  if (op == BIN_AND || op == BIN_OR) {
    check_bool(c, l, binary_op_text(op));
    check_bool(c, r, binary_op_text(op));
    return c->bool_;
  }
  bool compares = op >= BIN_EQ && op <= BIN_GE;
  check_operands(c, e, compares ? NULL : hint);
  if (op == BIN_MATMUL) {
    float_literals(c, l, r->type);
    float_literals(c, r, l->type);
  }
  Loc loc = e->binary.op_loc.file ? e->binary.op_loc : e->loc;
  if (compares) return compare_type(c, op, l->type, r->type, loc);
  set_size(c, e, op, l->size, r->size);
  if (op == BIN_DIV && l->type->kind == TYPE_INT && r->type->kind == TYPE_INT)
    return report_int_div(c, loc, l);
  return arith_type(c, op, l->type, r->type, loc, l->loc, r->loc);
}
