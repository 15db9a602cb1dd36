// Built-in functions. In: a call of one (sema/builtins.def); out: its operations.
#include "lower/internal.h"

static Expr *arg(const Expr *e, int k) { return e->call.args.data[k].value; }

// An elementwise operation on elements of type `elem`.
static Value *elementwise(Gen *g, Expr *e, ScalarOp op) {
  int n = e->call.args.len;
  Value **args = ARENA_ARRAY(g->arena, Value *, n);
  for (int i = 0; i < n; i++) args[i] = lower_expr(g, arg(e, i));
  g->b.loc.loc = e->loc;
  for (int i = 1; i < n; i++) {
    int first = 0;
    while (first < i && leaf_type(g, args[first]).rank == 0) first++;
    if (first < i)
      check_alike(g, args[first], arg(e, first)->type, args[i], arg(e, i)->type, expr_text(g, e));
  }
  return leaf_map(g, &op, args, n);
}

static Value *math(Gen *g, Expr *e, IrOpKind k) {
  IrElem elem = elem_of(e->type, g->real);
  return elementwise(g, e, (ScalarOp){.kind = SCALAR_OP, .op = k, .arg = elem, .result = elem});
}

static Value *predicate(Gen *g, Expr *e, ScalarKind k) {
  IrElem elem = elem_of(arg(e, 0)->type, g->real);
  if (elem != IR_F32) elem = IR_F64;
  return elementwise(g, e, (ScalarOp){.kind = k, .op = IR_ABS, .arg = elem, .result = IR_BOOL});
}

static Value *convert(Gen *g, Expr *e) {
  Value *v = lower_expr(g, arg(e, 0));
  g->b.loc.loc = e->loc;
  return leaf_convert(g, v, elem_of(e->type, g->real));
}

// ---- detach ------------------------------------------------------------------------------------------------------------------

static void push_detached(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  IrVal x = ir_get(&g->b, *(IrVal *)user, idx, 1);
  carried[0] = ir_op2(&g->b, IR_PUSH, carried[0], ir_op1(&g->b, IR_DETACH, x));
}

static Value *detach(Gen *g, Value *v) {
  if (v->kind == VALUE_FN) return v;
  if (v->kind == VALUE_PARTS) {
    Value *now = value_parts(g, v->parts, v->n_parts);
    for (int i = 0; i < v->n_parts; i++) now->parts[i] = detach(g, v->parts[i]);
    return now;
  }
  IrType t = leaf_type(g, v);
  if (!ir_is_float(t)) return v;
  if (t.grow) {
    IrVal n = ir_op1(&g->b, IR_LEN, v->val), xs = ir_empty(&g->b, (IrElem)t.elem);
    nest(g, &n, 1, &xs, 1, push_detached, &v->val);
    return value_leaf(g, xs);
  }
  ScalarOp op = {.kind = SCALAR_OP, .op = IR_DETACH, .arg = (IrElem)t.elem, .result = (IrElem)t.elem};
  return leaf_map(g, &op, &v, 1);
}

// ---- arrays ------------------------------------------------------------------------------------------------------------------

// An array of copies of an array.
static Value *repeated(Gen *g, IrVal v, const IrVal *outer, int n) {
  IrVal dims[2 * IR_MAX_RANK];
  int rank = ir_type(g->f, v).rank;
  if (n + rank > IR_MAX_RANK) {
    lower_fail(g->l, g->b.loc.loc, "an array has at most %d axes", IR_MAX_RANK);
    return value_none(g);
  }
  for (int i = 0; i < n + rank; i++) dims[i] = i < n ? outer[i] : ir_dims(g->f, v)[i - n];
  IrBuilder in;
  IrOp *op = ir_build(&g->b, dims, n + rank, &in);
  IrVal x = ir_get(&in, v, in.region->args + n, rank);
  ir_yield(&in, &x, 1);
  ir_close_build(&g->b, op);
  return value_leaf(g, ir_result(op, 0));
}

static Value *filled(Gen *g, const Value *v, const IrVal *dims, int rank) {
  if (v->kind == VALUE_LEAF && ir_type(g->f, v->val).rank) return repeated(g, v->val, dims, rank);
  if (v->kind == VALUE_LEAF) return value_leaf(g, ir_fill(&g->b, v->val, dims, rank));
  Value *now = value_parts(g, v->parts, v->n_parts);
  for (int i = 0; i < v->n_parts; i++) now->parts[i] = filled(g, v->parts[i], dims, rank);
  return now;
}

// Whether the array is ever made in memory or not, its size has to be one.
static void check_not_negative(Gen *g, IrVal size) {
  int64_t n;
  if (ir_is_const_int(g->f, size, &n) && n >= 0) return;
  IrVal fits = ir_op2(&g->b, IR_LE, ir_const_int(&g->b, 0), size);
  IrVal text = ir_str(&g->b, name_of(g->l, "%s", "the size of an array is negative"));
  check_emit(g, IR_ASSERT, (IrVal[]){fits, text}, 2, NULL);
}

// The sizes stand in the arguments from `first` on.
static Value *fill(Gen *g, Expr *e, Value *value, int first) {
  IrVal dims[IR_MAX_RANK];
  int rank = e->call.args.len - first;
  if (rank > IR_MAX_RANK || rank < 1) {
    lower_fail(g->l, e->loc, "an array has one to %d axes", IR_MAX_RANK);
    return value_none(g);
  }
  for (int i = 0; i < rank; i++) dims[i] = lower_int(g, arg(e, first + i));
  g->b.loc.loc = e->loc;
  for (int i = 0; i < rank; i++) check_not_negative(g, dims[i]);
  return filled(g, value, dims, rank);
}

static Value *constant_fill(Gen *g, Expr *e, double v) {
  IrElem elem = elem_of(e->type, g->real);
  IrVal c = elem == IR_INT ? ir_const_int(&g->b, (int64_t)v) : ir_const_float(&g->b, elem, v);
  return fill(g, e, value_leaf(g, c), 0);
}

static Value *full(Gen *g, Expr *e) {
  Value *v = force(g, coerce_elems(g, lower_expr(g, arg(e, 0)), e->type->elem ? e->type->elem : e->type));
  return fill(g, e, v, 1);
}

static Value *push(Gen *g, Expr *e) {
  Place p = place_of(g, arg(e, 0));
  const Type *elem = arg(e, 0)->type->elem;
  Value *x = force(g, lower_as(g, arg(e, 1), elem, NULL));
  ValueVec items = {0}, lists = {0};
  g->b.loc.loc = e->loc;
  Value *now = place_read(g, &p);
  value_leaves(x, &items, g->arena);
  value_leaves(now, &lists, g->arena);
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, lists.len);
  for (int k = 0; k < lists.len; k++)
    leaves[k] =
        k < items.len ? ir_op2(&g->b, IR_PUSH, lists.data[k]->val, items.data[k]->val) : lists.data[k]->val;
  int at = 0;
  place_write(g, &p, value_from(g, p.type, leaves, &at), NULL);
  return value_none(g);
}

static Value *pop(Gen *g, Expr *e) {
  Place p = place_of(g, arg(e, 0));
  Value *now = place_read(g, &p);
  ValueVec lists = {0};
  value_leaves(now, &lists, g->arena);
  IrVal n = array_len(g, now), one = ir_const_int(&g->b, 1);
  check_that(g, ir_op2(&g->b, IR_LE, one, n), "pop of an empty array");
  IrVal last = ir_op2(&g->b, IR_SUB, n, one);
  IrVal *items = ARENA_ARRAY(g->arena, IrVal, lists.len), *rest = ARENA_ARRAY(g->arena, IrVal, lists.len);
  for (int k = 0; k < lists.len; k++) {
    items[k] = ir_get(&g->b, lists.data[k]->val, &last, 1);
    rest[k] = ir_op1(&g->b, IR_POP, lists.data[k]->val);
  }
  int at = 0, item_at = 0;
  place_write(g, &p, value_from(g, p.type, rest, &at), NULL);
  return value_from(g, e->type, items, &item_at);
}

static Value *len(Gen *g, Expr *e) { return value_leaf(g, array_len(g, lower_expr(g, arg(e, 0)))); }

// ---- the rest ------------------------------------------------------------------------------------------------------------------

static Value *print(Gen *g, Expr *e) {
  IrVal text;
  if (e->call.args.len) {
    Value *v = lower_value(g, arg(e, 0));
    g->b.loc.loc = e->loc;
    text = format_values(g, v, arg(e, 0)->type);
  } else {
    text = ir_str(&g->b, name_of(g->l, "%s", ""));
  }
  ir_op1(&g->b, IR_PRINT, text);
  return value_none(g);
}

static Value *random_op(Gen *g, Expr *e, IrOpKind k) {
  IrVal args[3];
  int n = e->call.args.len < 3 ? e->call.args.len : 3;
  for (int i = 0; i < n; i++) args[i] = lower_int(g, arg(e, i));
  return value_leaf(g, ir_op(&g->b, k, args, n));
}

static Value *int_division(Gen *g, Expr *e, IrOpKind k) {
  return elementwise(g, e, (ScalarOp){.kind = SCALAR_CHECKED, .op = k, .arg = IR_INT, .result = IR_INT});
}

Value *lower_builtin(Gen *g, Expr *e) {
  switch ((Builtin)e->call.builtin) {
#define MATH1(name, op)                                                                                      \
  case BUILTIN_##op: return math(g, e, IR_##op);
#define MATH2(name, op) MATH1(name, op)
#define BUILTIN(kind, name)
#include "sema/builtins.def"
  case BUILTIN_ABS: return math(g, e, IR_ABS);
  case BUILTIN_MIN: return math(g, e, IR_MIN);
  case BUILTIN_MAX: return math(g, e, IR_MAX);
  case BUILTIN_FMA: return math(g, e, IR_FMA);
  case BUILTIN_DIV: return int_division(g, e, IR_IDIV);
  case BUILTIN_MOD: return int_division(g, e, IR_IMOD);
  case BUILTIN_INT:
  case BUILTIN_F64:
  case BUILTIN_F32:
  case BUILTIN_REAL: return convert(g, e);
  case BUILTIN_ISNAN: return predicate(g, e, SCALAR_ISNAN);
  case BUILTIN_ISFINITE: return predicate(g, e, SCALAR_ISFINITE);
  case BUILTIN_DETACH: return detach(g, lower_expr(g, arg(e, 0)));
  case BUILTIN_ZEROS: return constant_fill(g, e, 0.0);
  case BUILTIN_ONES: return constant_fill(g, e, 1.0);
  case BUILTIN_FULL: return full(g, e);
  case BUILTIN_ZEROS_LIKE: return zeros_like_value(g, lower_expr(g, arg(e, 0)));
  case BUILTIN_LEN: return len(g, e);
  case BUILTIN_PUSH: return push(g, e);
  case BUILTIN_POP: return pop(g, e);
  case BUILTIN_PRINT: return print(g, e);
  case BUILTIN_GRAD:
  case BUILTIN_VALUE_AND_GRAD:
  case BUILTIN_JVP:
  case BUILTIN_VJP:
  case BUILTIN_JACOBIAN:
  case BUILTIN_HESSIAN:
  case BUILTIN_HVP:
  case BUILTIN_JVPS:
  case BUILTIN_VJPS: break; // function values
  case BUILTIN_TRAIN: return lower_train(g, e, true);
  case BUILTIN_MINIMIZE: return lower_train(g, e, false);
  case BUILTIN_STEP: return lower_step(g, e);
  case BUILTIN_PARAM_COUNT: return value_leaf(g, param_count(g, lower_expr(g, arg(e, 0))));
  case BUILTIN_RNG_UNIFORM: return random_op(g, e, IR_RNG_UNIFORM);
  case BUILTIN_RNG_NORMAL: return random_op(g, e, IR_RNG_NORMAL);
  case BUILTIN_RNG_BELOW: return random_op(g, e, IR_RNG_BELOW);
  case BUILTIN_COUNT: break;
  }
  lower_fail(g->l, e->loc, "this built-in function has no value here");
  return value_none(g);
}
