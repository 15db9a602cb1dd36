// Derivatives as functions. In: an instance of a derivative of a function value; out: its body, around DCALL operations on
// the instance of the target. Ints and bools within what is differentiated by have the derivative zero.
#include "lower/derivs.h"

#include <string.h>

// ---- signatures ----------------------------------------------------------------------------------------------------------

Type *wrt_type(Lower *l, const Callable *c, const WrtSpec *w) {
  Type *t = c->types[w->param];
  for (int i = 0; i < w->n_fields; i++) t = type_part(l->arena, t, w->fields[i]);
  return t;
}

static Name wrt_name(Lower *l, const Callable *c, const WrtSpec *w) {
  const Type *t = c->types[w->param];
  Name name = c->names[w->param];
  for (int i = 0; i < w->n_fields; i++) {
    const Type *base = type_base(t);
    if (base->kind == TYPE_STRUCT) name = base->decl->fields.data[w->fields[i]].name;
    t = type_part(l->arena, t, w->fields[i]);
  }
  return name;
}

static Type *by_wrt(Lower *l, const Fn *fn, Type **types, const Callable *c) {
  if (fn->n_wrt == 1) return types[0];
  Name *names = ARENA_ARRAY(l->arena, Name, fn->n_wrt);
  for (int i = 0; i < fn->n_wrt; i++) names[i] = wrt_name(l, c, &fn->wrt[i]);
  return type_tuple_of(l->arena, types, names, fn->n_wrt);
}

// A derivative's shape: the output's, then the input's.
static Type *outer_type(Lower *l, Type *out, Type *in);

static Type *map_parts(Lower *l, Type *t, Type *out, Type *in) {
  int n = type_part_count(t);
  Type **parts = ARENA_ARRAY(l->arena, Type *, n);
  for (int i = 0; i < n; i++) {
    Type *part = type_part(l->arena, t, i);
    parts[i] = t == out ? outer_type(l, part, in) : outer_type(l, out, part);
  }
  return type_tuple_of(l->arena, parts, NULL, n);
}

static Type *outer_type(Lower *l, Type *out, Type *in) {
  if (type_is_aggregate(out)) return map_parts(l, out, out, in);
  if (type_is_aggregate(in)) return map_parts(l, in, out, in);
  int ro = out->kind == TYPE_ARRAY ? out->rank : 0, ri = in->kind == TYPE_ARRAY ? in->rank : 0;
  Type *elem = ro ? out->elem : out;
  if (ro + ri == 0) return elem;
  Type *t = ARENA_NEW(l->arena, Type);
  t->kind = TYPE_ARRAY;
  t->elem = elem;
  t->rank = ro + ri;
  t->dims = ARENA_ARRAY(l->arena, Size *, t->rank);
  for (int i = 0; i < t->rank; i++) t->dims[i] = i < ro ? out->dims[i] : in->dims[i - ro];
  return t;
}

static Type *pair(Lower *l, Type *a, Type *b) {
  Type *parts[2] = {a, b};
  return type_tuple_of(l->arena, parts, NULL, 2);
}

static Type *directions_type(Lower *l, const Fn *fn, Type *by) {
  Type *t = ARENA_NEW(l->arena, Type);
  t->kind = TYPE_ARRAY;
  t->elem = by->kind == TYPE_ARRAY ? by->elem : by;
  t->rank = 1;
  t->dims = ARENA_ARRAY(l->arena, Size *, 1);
  t->dims[0] = size_symbol(l->arena, fn->directions);
  return t;
}

static Type *rows_type(Lower *l, const Fn *fn, Type *t) {
  return outer_type(l, directions_type(l, fn, t), t);
}

static void add_param(Lower *l, Callable *c, Type *t, Name name) {
  int n = c->n;
  Type **types = ARENA_ARRAY(l->arena, Type *, n + 1);
  Name *names = ARENA_ARRAY(l->arena, Name, n + 1);
  memcpy(types, c->types, sizeof *types * (size_t)n);
  memcpy(names, c->names, sizeof *names * (size_t)n);
  types[n] = t;
  names[n] = name;
  c->types = types;
  c->names = names;
  c->n = n + 1;
}

// By several, a Hessian has a row of blocks per parameter; a Jacobian one block per parameter.
static Type *jacobian_type(Lower *l, const Fn *fn, Type **by, const Callable *target) {
  Type **types = ARENA_ARRAY(l->arena, Type *, fn->n_wrt);
  if (!fn->is_hessian || fn->n_wrt == 1) {
    for (int i = 0; i < fn->n_wrt; i++) types[i] = outer_type(l, target->result, by[i]);
    return by_wrt(l, fn, types, target);
  }
  for (int r = 0; r < fn->n_wrt; r++) {
    Type **row = ARENA_ARRAY(l->arena, Type *, fn->n_wrt);
    for (int i = 0; i < fn->n_wrt; i++) row[i] = outer_type(l, by[r], by[i]);
    types[r] = by_wrt(l, fn, row, target);
  }
  return by_wrt(l, fn, types, target);
}

void deriv_callable(Lower *l, const Fn *fn, Callable *c) {
  Callable target = fn_callable(l, fn->target);
  Type **by = ARENA_ARRAY(l->arena, Type *, fn->n_wrt);
  for (int i = 0; i < fn->n_wrt; i++) by[i] = wrt_type(l, &target, &fn->wrt[i]);
  Type *d = by_wrt(l, fn, by, &target);
  *c = target;
  switch (fn->deriv) {
  case DERIV_GRAD: c->result = d; break;
  case DERIV_VALUE_AND_GRAD: c->result = pair(l, target.result, d); break;
  case DERIV_JVP:
    for (int i = 0; i < fn->n_wrt; i++)
      add_param(l, c, by[i], name_of(l, "d%s", wrt_name(l, &target, &fn->wrt[i])));
    c->result = pair(l, target.result, target.result);
    break;
  case DERIV_JVPS: {
    Type *directions = directions_type(l, fn, by[0]);
    for (int i = 0; i < fn->n_wrt; i++)
      add_param(l, c, outer_type(l, by[i], directions), name_of(l, "d%s", wrt_name(l, &target, &fn->wrt[i])));
    c->result = pair(l, target.result, outer_type(l, target.result, directions));
    break;
  }
  case DERIV_VJPS: {
    Type **rows = ARENA_ARRAY(l->arena, Type *, fn->n_wrt);
    for (int i = 0; i < fn->n_wrt; i++) rows[i] = rows_type(l, fn, by[i]);
    add_param(l, c, rows_type(l, fn, target.result), name_of(l, "ybars"));
    c->result = pair(l, target.result, by_wrt(l, fn, rows, &target));
    break;
  }
  case DERIV_VJP:
    add_param(l, c, target.result, name_of(l, "ybar"));
    c->result = pair(l, target.result, d);
    break;
  case DERIV_JACOBIAN: c->result = jacobian_type(l, fn, by, &target); break;
  case DERIV_HESSIAN:
  case DERIV_HVP:
    for (int i = 0; i < fn->n_wrt; i++)
      add_param(l, c, by[i], name_of(l, "v%s", wrt_name(l, &target, &fn->wrt[i])));
    c->result = pair(l, d, d);
    break;
  }
  c->symbols = target.symbols; // sizes of results may name int parameters of the target
  c->is_inout = ARENA_ARRAY(l->arena, bool, c->n);
  if (c->n == target.n || !target.symbols) return;
  c->symbols = ARENA_ARRAY(l->arena, Symbol *, c->n);
  memcpy(c->symbols, target.symbols, sizeof *c->symbols * (size_t)target.n);
}

// ---- the target ------------------------------------------------------------------------------------------------------------

bool deriv_open(Gen *g, Target *t, Fn *of) {
  Callable c = fn_callable(g->l, of);
  *t = (Target){.fn = g->fn};
  args_init(g, &t->args, c.n, of->name);
  for (int i = 0; i < c.n; i++) {
    t->args.values[i] = g->params[i];
    t->args.types[i] = c.types[i];
    t->args.ints[i] = c.symbols && c.symbols[i] ? c.symbols[i]->size : NULL;
  }
  t->inst = inst_of(g->l, of, g->real, args_fns(g, t->args.values, c.n));
  if (!t->inst) return false;
  t->inst = rule_forward(g->l, t->inst);
  args_emit(g, t->inst, of, &t->args);
  t->mask = ARENA_ARRAY(g->arena, bool, t->inst->func->n_params);
  return true;
}

Value *deriv_value(Gen *g, const Target *t) {
  CallArgs a = {.values = t->args.values,
                .types = t->args.types,
                .ints = t->args.ints,
                .n = t->args.n,
                .what = t->args.what};
  return call_emit(g, t->inst, g->fn->target, &a, NULL);
}

static bool is_float_leaf(const Leaf *leaf) { return ir_is_float(leaf->type); }

Range deriv_range(Gen *g, const Target *t, int w) {
  const WrtSpec *s = &t->fn->wrt[w];
  const Type *type = t->inst->call.types[s->param];
  Range r = {t->inst->n_size_params, 0};
  for (int i = 0; i < s->param; i++) r.first += t->inst->param_leaves[i].len;
  for (int i = 0; i < s->n_fields; i++) {
    r.first += type_part_leaf(type, s->fields[i]);
    type = type_part(g->arena, type, s->fields[i]);
  }
  r.n = type_leaf_count(type);
  return r;
}

void deriv_mark(Gen *g, Target *t, int w) {
  Range r = deriv_range(g, t, w);
  for (int k = 0; k < r.n; k++)
    t->mask[r.first + k] = ir_is_float(ir_type(g->f, t->args.ir.data[r.first + k]));
}

static void mark_all(Gen *g, Target *t) {
  for (int w = 0; w < t->fn->n_wrt; w++) deriv_mark(g, t, w);
}

// A tangent of result i along as many directions as the seed has.
static void shape_with_directions(Gen *g, CallShape *s, int i, IrVal seed) {
  IrType t = s->types[i];
  IrVal *dims = ARENA_ARRAY(g->arena, IrVal, t.rank + 1);
  if (t.rank) memcpy(dims, s->dims[i], sizeof *dims * t.rank);
  dims[t.rank++] = ir_dims(g->f, seed)[ir_type(g->f, seed).rank - 1];
  shape_add(g, s, t, dims);
}

Dcall deriv_call(Gen *g, const Target *t, IrDerivKind kind, const IrVals *seeds) {
  CallShape s;
  IrVals args = {0};
  call_shape(g, t->inst, &t->args, &s);
  int n = s.n, n_params = t->inst->func->n_params;
  for (int i = 0; i < t->args.ir.len; i++) vec_push(g->arena, &args, t->args.ir.data[i]);
  for (int i = 0; i < seeds->len; i++) vec_push(g->arena, &args, seeds->data[i]);
  for (int i = 0; kind == IR_VJP && i < n_params; i++)
    if (t->mask[i]) shape_like(g, &s, t->args.ir.data[i]);
  for (int i = 0; kind == IR_JVP && i < n; i++)
    if (ir_is_float(s.types[i])) shape_add(g, &s, s.types[i], s.dims[i]);
  for (int i = 0; kind == IR_JVPS && i < n; i++)
    if (ir_is_float(s.types[i])) shape_with_directions(g, &s, i, seeds->data[0]);
  IrDeriv *d = ARENA_NEW(g->arena, IrDeriv);
  bool *wrt = ARENA_ARRAY(g->arena, bool, n_params);
  memcpy(wrt, t->mask, sizeof *wrt * (size_t)n_params);
  *d = (IrDeriv){kind, t->inst->func->name, wrt, n_params};
  IrOp *op = ir_op_explicit(&g->b, IR_DCALL, args.data, args.len, s.types, s.dims, s.n);
  op->attr.deriv = d;
  return (Dcall){op, n};
}

IrOp *vjp_emit(Gen *g, DerivOf *of, const IrVals *seeds, int *first) {
  Target t = {.inst = of->inst, .args = of->args, .mask = of->mask};
  Dcall d = deriv_call(g, &t, IR_VJP, seeds);
  *first = d.first;
  return d.op;
}

// The adjoint of IR parameter k; 0: it has none.
IrVal deriv_adjoint(const Target *t, const Dcall *d, int k) {
  int at = d->first;
  for (int i = 0; i < k; i++) at += t->mask[i];
  return t->mask[k] ? ir_result(d->op, at) : 0;
}

static IrVal zero_like(Gen *g, IrVal v) { return zeros_like_value(g, value_leaf(g, v))->val; }

static Value *wrt_tree(Gen *g, const Target *t, int w, IrVal (*get)(Gen *, const Target *, void *, int),
                       void *user) {
  Range r = deriv_range(g, t, w);
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, r.n);
  for (int k = 0; k < r.n; k++) {
    leaves[k] = t->mask[r.first + k] ? get(g, t, user, r.first + k) : 0;
    if (!leaves[k]) leaves[k] = zero_like(g, t->args.ir.data[r.first + k]);
  }
  int at = 0;
  return value_from(g, wrt_type(g->l, &t->inst->call, &t->fn->wrt[w]), leaves, &at);
}

static Value *all_wrt(Gen *g, const Target *t, IrVal (*get)(Gen *, const Target *, void *, int), void *user) {
  int n = t->fn->n_wrt;
  if (n == 1) return wrt_tree(g, t, 0, get, user);
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int w = 0; w < n; w++) parts[w] = wrt_tree(g, t, w, get, user);
  return value_parts(g, parts, n);
}

static IrVal get_adjoint(Gen *g, const Target *t, void *user, int k) {
  (void)g;
  return deriv_adjoint(t, user, k);
}

static Value *callee_result(Gen *g, const Target *t, IrOp *op) { return call_result(g, t->inst, op); }

static Value *pair_of(Gen *g, Value *a, Value *b) {
  Value *parts[2] = {a, b};
  return value_parts(g, parts, 2);
}

// ---- gradients ---------------------------------------------------------------------------------------------------------------

static IrElem result_elem(const Target *t) {
  for (int i = 0; i < t->inst->results.len; i++)
    if (is_float_leaf(&t->inst->results.data[i])) return (IrElem)t->inst->results.data[i].type.elem;
  return IR_F64;
}

// A tangent for each marked parameter: zeros, but one at idx of parameter k.
void deriv_one_hot(Gen *g, const Target *t, int k, const IrVal *idx, IrVals *seeds) {
  for (int i = 0; i < t->inst->func->n_params; i++) {
    if (!t->mask[i]) continue;
    IrVal arg = t->args.ir.data[i], v = zero_like(g, arg);
    IrType type = ir_type(g->f, arg);
    IrVal one = i == k ? ir_const_float(&g->b, (IrElem)type.elem, 1.0) : 0;
    if (one) v = type.rank ? ir_set(&g->b, v, idx, type.rank, one) : one;
    vec_push(g->arena, seeds, v);
  }
}

static IrVal forward_element(Gen *g, Target *t, int k, const IrVal *idx) {
  bool *all = t->mask;
  IrVals seeds = {0};
  t->mask = ARENA_ARRAY(g->arena, bool, t->inst->func->n_params);
  t->mask[k] = true;
  deriv_one_hot(g, t, k, idx, &seeds);
  Dcall d = deriv_call(g, t, IR_JVP, &seeds);
  t->mask = all;
  return ir_result(d.op, d.first);
}

static IrVal get_forward(Gen *g, const Target *t, void *user, int k) {
  (void)user;
  Target copy = *t;
  IrVal arg = t->args.ir.data[k];
  int rank = ir_type(g->f, arg).rank;
  if (!rank) return forward_element(g, &copy, k, NULL);
  IrBuilder in, outer;
  IrOp *op = ir_build(&g->b, ir_dims(g->f, arg), rank, &in);
  outer = g->b;
  g->b = in;
  IrVal v = forward_element(g, &copy, k, in.region->args);
  ir_yield(&g->b, &v, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

static Value *gradient(Gen *g, bool with_value) {
  Target t;
  IrVals seeds = {0};
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  if (g->fn->mode == MODE_FORWARD) {
    Value *y = with_value ? deriv_value(g, &t) : NULL;
    Value *d = all_wrt(g, &t, get_forward, NULL);
    return with_value ? pair_of(g, y, d) : d;
  }
  vec_push(g->arena, &seeds, ir_const_float(&g->b, result_elem(&t), 1.0));
  Dcall d = deriv_call(g, &t, IR_VJP, &seeds);
  Value *tree = all_wrt(g, &t, get_adjoint, &d);
  return with_value ? pair_of(g, callee_result(g, &t, d.op), tree) : tree;
}

// ---- products ------------------------------------------------------------------------------------------------------------------

static void float_leaves(Gen *g, Value *v, IrVals *out) {
  ValueVec leaves = {0};
  value_leaves(force(g, v), &leaves, g->arena);
  for (int i = 0; i < leaves.len; i++)
    if (ir_is_float(ir_type(g->f, leaves.data[i]->val))) vec_push(g->arena, out, leaves.data[i]->val);
}

// Tangents follow the IR parameters, the wrt list may be in another order.
static void tangent_seeds(Gen *g, const Target *t, int first, IrVals *seeds) {
  IrVal *of = ARENA_ARRAY(g->arena, IrVal, t->inst->func->n_params);
  for (int w = 0; w < t->fn->n_wrt; w++) {
    Range r = deriv_range(g, t, w);
    ValueVec leaves = {0};
    value_leaves(g->params[first + w], &leaves, g->arena);
    for (int k = 0; k < r.n && k < leaves.len; k++) of[r.first + k] = leaves.data[k]->val;
  }
  for (int i = 0; i < t->inst->func->n_params; i++)
    if (t->mask[i]) vec_push(g->arena, seeds, of[i]);
}

// The result's tree with tangents in place of floats and zeros elsewhere.
static Value *tangent_tree(Gen *g, const Target *t, const Dcall *d) {
  int n = t->inst->results.len, next = d->first;
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, n);
  for (int i = 0; i < n; i++) {
    IrVal y = ir_result(d->op, t->inst->n_extra + i);
    leaves[i] = ir_is_float(ir_type(g->f, y)) ? ir_result(d->op, next++) : zero_like(g, y);
  }
  int at = 0;
  return value_from(g, t->inst->call.result, leaves, &at);
}

static Value *jvp(Gen *g) {
  Target t;
  IrVals seeds = {0};
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  tangent_seeds(g, &t, t.args.n, &seeds);
  Dcall d = deriv_call(g, &t, IR_JVP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), tangent_tree(g, &t, &d));
}

static Value *jvps(Gen *g) {
  Target t;
  IrVals seeds = {0};
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  tangent_seeds(g, &t, t.args.n, &seeds);
  Dcall d = deriv_call(g, &t, IR_JVPS, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), value_leaf(g, ir_result(d.op, d.first)));
}

// Sizes of the result that only a call tells are asked for, so that an adjoint of other sizes is an error.
static void check_adjoint(Gen *g, Target *t, Value *ybar) {
  if (!t->inst->n_extra) return;
  check_alike(g, deriv_value(g, t), NULL, ybar, NULL, name_of(g->l, "adjoint"));
}

static Value *vjp(Gen *g) {
  Target t;
  IrVals seeds = {0};
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  check_adjoint(g, &t, g->params[t.args.n]);
  float_leaves(g, g->params[t.args.n], &seeds);
  Dcall d = deriv_call(g, &t, IR_VJP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), all_wrt(g, &t, get_adjoint, &d));
}

typedef struct Rows { // of `vjps`, while its loop is being filled
  Target *t;
  IrVal seeds;
  const int *of; // IR parameters
  int n;
} Rows;

static IrVal row_of(Gen *g, IrVal rows, IrVal at) {
  IrVal idx[IR_MAX_RANK + 1] = {at};
  int rank = ir_type(g->f, rows).rank;
  if (rank == 1) return ir_get(&g->b, rows, idx, 1);
  IrBuilder in;
  IrOp *op = ir_build(&g->b, ir_dims(g->f, rows) + 1, rank - 1, &in);
  memcpy(idx + 1, in.region->args, sizeof *idx * (size_t)(rank - 1));
  IrVal e = ir_get(&in, rows, idx, rank);
  ir_yield(&in, &e, 1);
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

static void pull_row(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Rows *r = user;
  IrVals seeds = {0};
  vec_push(g->arena, &seeds, row_of(g, r->seeds, idx[0]));
  Dcall d = deriv_call(g, r->t, IR_VJP, &seeds);
  for (int k = 0; k < r->n; k++)
    carried[k] = set_block(g, carried[k], idx, 1, value_leaf(g, deriv_adjoint(r->t, &d, r->of[k])));
}

// Of each adjoint what it pulls back; the first axis of both counts them.
static Value *vjps(Gen *g) {
  Target t;
  IrVals seeds = {0};
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  int n = t.fn->n_wrt, *of = ARENA_ARRAY(g->arena, int, n);
  IrVal *rows = ARENA_ARRAY(g->arena, IrVal, n), dims[IR_MAX_RANK + 1];
  mark_all(g, &t);
  float_leaves(g, g->params[t.args.n], &seeds);
  Value *y = deriv_value(g, &t);
  const IrVal *of_y = leaf_dims(g, y), *of_rows = ir_dims(g->f, seeds.data[0]);
  for (int k = 0; t.inst->n_extra && k < leaf_type(g, y).rank; k++)
    check_same(g, of_rows[1 + k], of_y[k], name_of(g->l, "adjoints"));
  dims[0] = ir_dims(g->f, seeds.data[0])[0];
  for (int w = 0; w < n; w++) {
    of[w] = deriv_range(g, &t, w).first;
    IrVal x = t.args.ir.data[of[w]];
    IrType type = ir_type(g->f, x);
    for (int k = 0; k < type.rank; k++) dims[1 + k] = ir_dims(g->f, x)[k];
    rows[w] = ir_fill(&g->b, zero_of(g, (IrElem)type.elem), dims, type.rank + 1);
  }
  Rows r = {&t, seeds.data[0], of, n};
  nest(g, dims, 1, rows, n, pull_row, &r);
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int w = 0; w < n; w++) parts[w] = value_leaf(g, rows[w]);
  return pair_of(g, y, n == 1 ? parts[0] : value_parts(g, parts, n));
}

// Forward over reverse, or reverse over reverse, which is the same since the Hessian is symmetric.
static Value *hvp(Gen *g) {
  Target t;
  IrVals seeds = {0};
  Fn *grad = fn_derivative(g->l, DERIV_GRAD, MODE_REVERSE, g->fn->wrt, g->fn->n_wrt, g->fn->target);
  if (!grad || !deriv_open(g, &t, grad)) return value_none(g);
  mark_all(g, &t);
  if (g->fn->mode == MODE_FORWARD || (g->fn->mode == MODE_AUTO && deriv_has_mode(g, t.inst, true))) {
    tangent_seeds(g, &t, t.args.n, &seeds);
    Dcall d = deriv_call(g, &t, IR_JVP, &seeds);
    return pair_of(g, callee_result(g, &t, d.op), tangent_tree(g, &t, &d));
  }
  for (int w = 0; w < t.fn->n_wrt; w++) float_leaves(g, g->params[t.args.n + w], &seeds);
  Dcall d = deriv_call(g, &t, IR_VJP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), all_wrt(g, &t, get_adjoint, &d));
}

Value *deriv_body(Gen *g) {
  switch (g->fn->deriv) {
  case DERIV_GRAD: return gradient(g, false);
  case DERIV_VALUE_AND_GRAD: return gradient(g, true);
  case DERIV_JVP: return jvp(g);
  case DERIV_VJP: return vjp(g);
  case DERIV_JACOBIAN: return deriv_jacobian(g);
  case DERIV_HVP: return hvp(g);
  case DERIV_JVPS: return jvps(g);
  case DERIV_VJPS: return vjps(g);
  case DERIV_HESSIAN: break; // is a Jacobian of a gradient
  }
  return value_none(g);
}
