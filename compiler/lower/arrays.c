// Arrays that are not computed yet. In: leaves, elementwise operations and views of them; out: the element at an index as
// scalar IR, or, when the whole array is needed, one BUILD. Checks are emitted when the lazy array is made, except those
// of gathered indices and int divisors, which stand with their element.
#include "lower/internal.h"

#include <math.h>
#include <string.h>

Lazy *lazy_of(Gen *g, const Value *leaf) {
  if (leaf->lazy) return leaf->lazy;
  IrType t = ir_type(g->f, leaf->val);
  Lazy *z = ARENA_NEW(g->arena, Lazy);
  z->kind = t.rank ? LAZY_ARRAY : LAZY_SCALAR;
  z->elem = (IrElem)t.elem;
  z->rank = t.rank;
  z->dims = ir_dims(g->f, leaf->val);
  z->val = leaf->val;
  return z;
}

// ---- one element -----------------------------------------------------------------------------------------------------

static IrVal convert_scalar(Gen *g, IrVal v, IrElem to) {
  IrElem from = (IrElem)ir_type(g->f, v).elem;
  if (from == to || from == IR_STRING || to == IR_STRING) return v;
  bool to_float = to == IR_F32 || to == IR_F64;
  if (from == IR_BOOL) {
    IrVal i = ir_convert(&g->b, IR_BTOI, IR_INT, v);
    return to == IR_INT ? i : ir_convert(&g->b, IR_ITOF, to, i);
  }
  if (from == IR_INT && to_float) {
    int64_t c;
    if (ir_is_const_int(g->f, v, &c)) return ir_const_float(&g->b, to, (double)c);
    return ir_convert(&g->b, IR_ITOF, to, v);
  }
  if (to == IR_INT) return ir_convert(&g->b, IR_FTOI, IR_INT, v);
  return to_float ? ir_convert(&g->b, IR_FCVT, to, v) : v;
}

// x^n by squares: the products a reader would write by hand.
static IrVal power(Gen *g, IrVal x, int64_t n, IrElem e) {
  switch (n) {
  case 0: return ir_const_float(&g->b, e, 1.0);
  case 1: return x;
  case 2: return ir_op2(&g->b, IR_MUL, x, x);
  case 3: return ir_op2(&g->b, IR_MUL, ir_op2(&g->b, IR_MUL, x, x), x);
  case 4: {
    IrVal y = ir_op2(&g->b, IR_MUL, x, x);
    return ir_op2(&g->b, IR_MUL, y, y);
  }
  case -1: return ir_op2(&g->b, IR_DIV, ir_const_float(&g->b, e, 1.0), x);
  default: return ir_op2(&g->b, IR_POWI, x, ir_const_int(&g->b, n));
  }
}

IrVal scalar_emit(Gen *g, const ScalarOp *op, const IrVal *args) {
  int n = ir_op_info[op->op].args;
  switch (op->kind) {
  case SCALAR_CONVERT: return convert_scalar(g, args[0], op->to);
  case SCALAR_POWER: return power(g, args[0], op->n, op->result);
  case SCALAR_ISNAN: return ir_op2(&g->b, IR_NE, args[0], args[0]);
  case SCALAR_ISFINITE:
    return ir_op2(&g->b, IR_LT, ir_op1(&g->b, IR_ABS, args[0]), ir_const_float(&g->b, op->arg, INFINITY));
  case SCALAR_FLIP: return ir_op2(&g->b, op->op, args[1], args[0]);
  case SCALAR_CHECKED: {
    int64_t c;
    if (!ir_is_const_int(g->f, args[1], &c) || c == 0) check_emit(g, IR_CHECK_DIV, &args[1], 1, NULL);
    return ir_op2(&g->b, op->op, args[0], args[1]);
  }
  case SCALAR_OP: break;
  }
  return ir_op(&g->b, op->op, args, n);
}

static IrVal gather_at(Gen *g, const Axis *x, IrVal k, const Lazy *base, int axis, bool check) {
  IrVal i = ir_get(&g->b, x->at, &k, 1);
  if (check) check_emit(g, IR_CHECK_INDEX, (IrVal[]){i, base->dims[axis]}, 2, NULL);
  return i;
}

static IrVal view_at(Gen *g, const Lazy *z, const IrVal *idx) {
  const Lazy *base = z->args[0];
  IrVal at[IR_MAX_RANK];
  for (int k = 0, j = 0; k < base->rank; k++) {
    const Axis *x = &z->axes[k];
    switch (x->kind) {
    case AXIS_ALL: at[k] = idx[j++]; break;
    case AXIS_AT: at[k] = x->at; break;
    case AXIS_FROM: {
      int64_t c;
      at[k] = ir_is_const_int(g->f, x->at, &c) && c == 0 ? idx[j] : ir_op2(&g->b, IR_ADD, x->at, idx[j]);
      j++;
      break;
    }
    case AXIS_GATHER: at[k] = gather_at(g, x, idx[j++], base, k, z->rank == 1); break;
    }
  }
  return lazy_at(g, base, at);
}

IrVal lazy_at(Gen *g, const Lazy *z, const IrVal *idx) {
  switch (z->kind) {
  case LAZY_SCALAR: return z->val;
  case LAZY_ARRAY: return ir_get(&g->b, z->val, idx, z->rank);
  case LAZY_VIEW: return view_at(g, z, idx);
  case LAZY_MAP: {
    IrVal *args = ARENA_ARRAY(g->arena, IrVal, z->n_args);
    for (int i = 0; i < z->n_args; i++) args[i] = lazy_at(g, z->args[i], idx);
    return scalar_emit(g, &z->op, args);
  }
  }
  return 0;
}

// ---- making them -------------------------------------------------------------------------------------------------------

static Value *map_of(Gen *g, const ScalarOp *op, Value **args, int n) {
  Lazy *z = ARENA_NEW(g->arena, Lazy);
  z->kind = LAZY_MAP;
  z->elem = op->result;
  z->op = *op;
  z->n_args = n;
  z->args = ARENA_ARRAY(g->arena, Lazy *, n);
  for (int i = 0; i < n; i++) {
    z->args[i] = lazy_of(g, args[i]);
    if (z->rank || !z->args[i]->rank) continue;
    z->rank = z->args[i]->rank;
    z->dims = z->args[i]->dims;
  }
  return value_lazy(g, z);
}

Value *leaf_convert(Gen *g, Value *leaf, IrElem to) {
  IrType t = leaf_type(g, leaf);
  if (t.elem == to || t.elem == IR_STRING || to == IR_STRING) return leaf;
  if (t.rank == 0) return value_leaf(g, convert_scalar(g, leaf->val, to));
  ScalarOp op = {.kind = SCALAR_CONVERT, .op = IR_ITOF, .to = to, .arg = (IrElem)t.elem, .result = to};
  return map_of(g, &op, &leaf, 1);
}

Value *leaf_map(Gen *g, const ScalarOp *op, Value **args, int n) {
  Value **now = ARENA_ARRAY(g->arena, Value *, n);
  bool scalar = true;
  for (int i = 0; i < n; i++) {
    now[i] = op->kind == SCALAR_CONVERT || (op->op == IR_POWI && i == 1) ? args[i]
                                                                         : leaf_convert(g, args[i], op->arg);
    if (leaf_type(g, now[i]).rank) scalar = false;
  }
  if (!scalar) return map_of(g, op, now, n);
  IrVal *vals = ARENA_ARRAY(g->arena, IrVal, n);
  for (int i = 0; i < n; i++) vals[i] = now[i]->val;
  return value_leaf(g, scalar_emit(g, op, vals));
}

static void check_gathered(Gen *g, const Axis *x, IrVal size) {
  IrBuilder in, outer;
  IrVal zero = ir_const_int(&g->b, 0), one = ir_const_int(&g->b, 1);
  ir_for(&g->b, zero, x->len, one, NULL, 0, &in);
  outer = g->b;
  g->b = in;
  IrVal i = ir_get(&g->b, x->at, &g->b.region->args[0], 1);
  check_emit(g, IR_CHECK_INDEX, (IrVal[]){i, size}, 2, NULL);
  ir_yield(&g->b, NULL, 0);
  g->b = outer;
}

// Gathered elements of what is not computed yet would be computed as often as they are named.
static Lazy *view_base(Gen *g, Value *leaf, const Axis *axes, int n) {
  for (int k = 0; k < n && leaf->lazy; k++)
    if (axes[k].kind == AXIS_GATHER) return lazy_of(g, value_leaf(g, force_leaf(g, leaf, NULL)));
  return lazy_of(g, leaf);
}

Value *leaf_view(Gen *g, Value *leaf, const Axis *axes, int n) {
  bool all = true;
  for (int k = 0; k < n; k++) all = all && axes[k].kind == AXIS_ALL;
  if (all) return leaf;
  Lazy *base = view_base(g, leaf, axes, n), *z = ARENA_NEW(g->arena, Lazy);
  z->kind = LAZY_VIEW;
  z->elem = base->elem;
  z->args = ARENA_ARRAY(g->arena, Lazy *, 1);
  z->args[0] = base;
  z->n_args = 1;
  z->axes = ARENA_ARRAY(g->arena, Axis, base->rank);
  memcpy(z->axes, axes, sizeof *axes * (size_t)n);
  IrVal dims[IR_MAX_RANK];
  for (int k = 0; k < base->rank; k++) {
    const Axis *x = &z->axes[k];
    if (x->kind == AXIS_ALL) dims[z->rank++] = base->dims[k];
    if (x->kind == AXIS_FROM || x->kind == AXIS_GATHER) dims[z->rank++] = x->len;
  }
  if (z->rank == 0) return value_leaf(g, view_at(g, z, NULL));
  for (int k = 0; k < n && z->rank > 1; k++)
    if (axes[k].kind == AXIS_GATHER) check_gathered(g, &axes[k], base->dims[k]);
  IrVal *copy = ARENA_ARRAY(g->arena, IrVal, z->rank);
  memcpy(copy, dims, sizeof *copy * (size_t)z->rank);
  z->dims = copy;
  return value_lazy(g, z);
}

Value *array_element(Gen *g, Value *v, const IrVal *idx, int n) {
  if (v->kind == VALUE_PARTS) {
    Value *now = value_parts(g, v->parts, v->n_parts);
    for (int i = 0; i < v->n_parts; i++) now->parts[i] = array_element(g, v->parts[i], idx, n);
    return now;
  }
  if (v->val && ir_type(g->f, v->val).grow) return value_leaf(g, ir_get(&g->b, v->val, idx, 1));
  Axis axes[IR_MAX_RANK] = {0};
  for (int k = 0; k < n; k++) axes[k] = (Axis){AXIS_AT, idx[k], 0};
  return leaf_view(g, v, axes, n);
}

IrVal array_size(Gen *g, const Value *v, int axis) {
  while (v->kind == VALUE_PARTS && v->n_parts) v = v->parts[0];
  if (v->kind != VALUE_LEAF) return ir_const_int(&g->b, 0);
  if (v->val && ir_type(g->f, v->val).grow) return ir_op1(&g->b, IR_LEN, v->val);
  const IrVal *dims = leaf_dims(g, v);
  return dims ? dims[axis] : ir_const_int(&g->b, 1);
}

IrVal array_len(Gen *g, const Value *v) { return array_size(g, v, 0); }

// ---- computing them ------------------------------------------------------------------------------------------------------

IrVal force_leaf(Gen *g, Value *leaf, const IrVal *dims) {
  if (!leaf->lazy) return leaf->val;
  const Lazy *z = leaf->lazy;
  if (z->kind == LAZY_ARRAY && !ir_type(g->f, z->val).grow) return z->val;
  IrBuilder in, outer;
  IrOp *op = ir_build(&g->b, dims ? dims : z->dims, z->rank, &in);
  outer = g->b;
  g->b = in;
  IrVal v = lazy_at(g, z, g->b.region->args);
  ir_yield(&g->b, &v, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

Value *force(Gen *g, Value *v) {
  if (v->kind == VALUE_FN || (v->kind == VALUE_LEAF && !v->lazy)) return v;
  if (v->kind == VALUE_LEAF) return value_leaf(g, force_leaf(g, v, NULL));
  Value *now = value_parts(g, v->parts, v->n_parts);
  for (int i = 0; i < v->n_parts; i++) now->parts[i] = force(g, v->parts[i]);
  return now;
}

IrVal zero_of(Gen *g, IrElem e) {
  switch (e) {
  case IR_BOOL: return ir_const_bool(&g->b, false);
  case IR_INT: return ir_const_int(&g->b, 0);
  case IR_F32:
  case IR_F64: return ir_const_float(&g->b, e, 0.0);
  case IR_STRING: return ir_str(&g->b, name_of(g->l, "%s", ""));
  }
  return 0;
}

static Value *zero_leaf(Gen *g, IrType t, const IrVal *dims) {
  if (t.grow) return value_leaf(g, ir_empty(&g->b, (IrElem)t.elem));
  IrVal zero = zero_of(g, (IrElem)t.elem);
  return value_leaf(g, t.rank ? ir_fill(&g->b, zero, dims, t.rank) : zero);
}

Value *zeros_like_value(Gen *g, const Value *v) {
  if (v->kind == VALUE_LEAF) return zero_leaf(g, leaf_type(g, v), leaf_dims(g, v));
  Value *now = value_parts(g, v->parts, v->n_parts);
  for (int i = 0; i < v->n_parts; i++) now->parts[i] = zeros_like_value(g, v->parts[i]);
  return now;
}

Value *zeros_for(Gen *g, const Type *t) {
  LeafVec leaves = {0};
  IrVals vals = {0};
  type_leaves(g->l, t, name_of(g->l, "%s", ""), g->real, &leaves);
  for (int i = 0; i < leaves.len; i++) {
    const Leaf *leaf = &leaves.data[i];
    IrVal dims[IR_MAX_RANK] = {0};
    for (int k = 0; !leaf->type.grow && k < leaf->type.rank; k++)
      if (!(dims[k] = known_value(g, leaf->dims[k]))) return NULL;
    vec_push(g->arena, &vals, zero_leaf(g, leaf->type, dims)->val);
  }
  int at = 0;
  return value_from(g, t, vals.data, &at);
}

// ---- conversions -----------------------------------------------------------------------------------------------------------

static void push_element(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  IrVal array = *(IrVal *)user;
  carried[0] = ir_op2(&g->b, IR_PUSH, carried[0], ir_get(&g->b, array, idx, ir_type(g->f, array).rank));
}

IrVal grown_from(Gen *g, IrVal array) {
  IrVal xs = ir_empty(&g->b, (IrElem)ir_type(g->f, array).elem);
  nest(g, ir_dims(g->f, array), ir_type(g->f, array).rank, &xs, 1, push_element, &array);
  return xs;
}

static void push_one(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Lazy *z = user;
  carried[0] = ir_op2(&g->b, IR_PUSH, carried[0], lazy_at(g, z, idx));
}

static Value *to_grow(Gen *g, Value *leaf) {
  IrVal xs = ir_empty(&g->b, (IrElem)leaf_type(g, leaf).elem);
  nest(g, leaf_dims(g, leaf), 1, &xs, 1, push_one, lazy_of(g, leaf));
  return value_leaf(g, xs);
}

static Value *from_grow(Gen *g, Value *leaf) {
  Lazy *z = lazy_of(g, leaf);
  IrVal *dims = ARENA_ARRAY(g->arena, IrVal, 1);
  dims[0] = ir_op1(&g->b, IR_LEN, leaf->val);
  z->dims = dims;
  return value_lazy(g, z);
}

static Value *coerce_leaves(Gen *g, Value *v, const LeafVec *want, int *at) {
  if (v->kind == VALUE_FN) return v;
  if (v->kind == VALUE_PARTS) {
    Value *now = value_parts(g, v->parts, v->n_parts);
    for (int i = 0; i < v->n_parts; i++) now->parts[i] = coerce_leaves(g, v->parts[i], want, at);
    return now;
  }
  if (*at >= want->len) return v;
  IrType is = leaf_type(g, v), t = want->data[(*at)++].type;
  Value *now = v;
  if (is.grow && !t.grow && t.rank == 1) now = from_grow(g, now);
  now = leaf_convert(g, now, (IrElem)t.elem);
  return !is.grow && t.grow && is.rank == 1 ? to_grow(g, now) : now;
}

Value *coerce_elems(Gen *g, Value *v, const Type *to) {
  LeafVec want = {0};
  int at = 0;
  if (to->kind == TYPE_FN || to->kind == TYPE_VOID || to->kind == TYPE_ERROR) return v;
  type_leaves(g->l, to, name_of(g->l, "%s", ""), g->real, &want);
  return coerce_leaves(g, v, &want, &at);
}

Value *coerce(Gen *g, Value *v, const Type *from, const Type *to, Name what) {
  Value *now = coerce_elems(g, v, to);
  if (to->kind != TYPE_FN && to->kind != TYPE_VOID && to->kind != TYPE_ERROR)
    check_dims(g, now, from, to, what);
  return now;
}

// ---- loops over indices ------------------------------------------------------------------------------------------------------

typedef struct Nest {
  const IrVal *dims;
  int rank, n;
  IrVal *carried, *idx;
  NestBody *body;
  void *user;
} Nest;

static void nest_level(Gen *g, const Nest *t, int level) {
  if (level == t->rank) {
    t->body(g, t->user, t->idx, t->carried);
    return;
  }
  IrBuilder in, outer;
  IrVal zero = ir_const_int(&g->b, 0), one = ir_const_int(&g->b, 1);
  IrOp *op = ir_for(&g->b, zero, t->dims[level], one, t->carried, t->n, &in);
  outer = g->b;
  g->b = in;
  t->idx[level] = in.region->args[0];
  for (int i = 0; i < t->n; i++) t->carried[i] = in.region->args[1 + i];
  nest_level(g, t, level + 1);
  ir_yield(&g->b, t->carried, t->n);
  g->b = outer;
  for (int i = 0; i < t->n; i++) t->carried[i] = ir_result(op, i);
}

void nest(Gen *g, const IrVal *dims, int rank, IrVal *carried, int n, NestBody *body, void *user) {
  IrVal idx[IR_MAX_RANK + 1];
  Nest t = {dims, rank, n, carried, idx, body, user};
  nest_level(g, &t, 0);
}

typedef struct Block {
  const IrVal *at;
  int n_at;
  const Lazy *from;
} Block;

static void set_one(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Block *b = user;
  IrVal at[2 * IR_MAX_RANK];
  if (b->n_at) memcpy(at, b->at, sizeof *at * (size_t)b->n_at);
  if (b->from->rank) memcpy(at + b->n_at, idx, sizeof *at * (size_t)b->from->rank);
  carried[0] = ir_set(&g->b, carried[0], at, b->n_at + b->from->rank, lazy_at(g, b->from, idx));
}

IrVal set_block(Gen *g, IrVal array, const IrVal *at, int n_at, Value *leaf) {
  Block b = {at, n_at, lazy_of(g, leaf)};
  nest(g, b.from->dims, b.from->rank, &array, 1, set_one, &b);
  return array;
}
