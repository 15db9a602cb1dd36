// Derivatives as functions. In: an instance of a derivative of a function value; out: its body, around DCALL operations on
// the instance of the target. Ints and bools within what is differentiated by have the derivative zero.
#include "lower/internal.h"

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
  case DERIV_VJP:
    add_param(l, c, target.result, name_of(l, "adjoint"));
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

typedef struct Target {
  const Fn *fn; // the derivative
  Inst *inst;   // of what is differentiated
  CallArgs args;
  bool *mask; // by IR parameter of inst
} Target;

typedef struct Range { // leaves of one wrt among the IR parameters
  int first, n;
} Range;

static bool open_target(Gen *g, Target *t, Fn *of) {
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

static bool is_float_leaf(const Leaf *leaf) { return ir_is_float(leaf->type); }

static Range wrt_range(Gen *g, const Target *t, int w) {
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

static void mark_wrt(Gen *g, Target *t, int w) {
  Range r = wrt_range(g, t, w);
  for (int k = 0; k < r.n; k++)
    t->mask[r.first + k] = ir_is_float(ir_type(g->f, t->args.ir.data[r.first + k]));
}

static void mark_all(Gen *g, Target *t) {
  for (int w = 0; w < t->fn->n_wrt; w++) mark_wrt(g, t, w);
}

typedef struct Dcall {
  IrOp *op;
  int first; // of the derivative results
} Dcall;

static Dcall dcall(Gen *g, const Target *t, IrDerivKind kind, const IrVals *seeds) {
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
  Dcall d = dcall(g, &t, IR_VJP, seeds);
  *first = d.first;
  return d.op;
}

// The adjoint of IR parameter k; 0: it has none.
static IrVal adjoint_of(const Target *t, const Dcall *d, int k) {
  int at = d->first;
  for (int i = 0; i < k; i++) at += t->mask[i];
  return t->mask[k] ? ir_result(d->op, at) : 0;
}

static IrVal zero_like(Gen *g, IrVal v) { return zeros_like_value(g, value_leaf(g, v))->val; }

static Value *wrt_tree(Gen *g, const Target *t, int w, IrVal (*get)(Gen *, const Target *, void *, int),
                       void *user) {
  Range r = wrt_range(g, t, w);
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
  return adjoint_of(t, user, k);
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
static void one_hot(Gen *g, const Target *t, int k, const IrVal *idx, IrVals *seeds) {
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
  one_hot(g, t, k, idx, &seeds);
  Dcall d = dcall(g, t, IR_JVP, &seeds);
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
  if (!open_target(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  if (g->fn->mode == MODE_FORWARD) {
    Value *y = with_value ? call_emit(g, t.inst, g->fn->target, &t.args, NULL) : NULL;
    Value *d = all_wrt(g, &t, get_forward, NULL);
    return with_value ? pair_of(g, y, d) : d;
  }
  vec_push(g->arena, &seeds, ir_const_float(&g->b, result_elem(&t), 1.0));
  Dcall d = dcall(g, &t, IR_VJP, &seeds);
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
    Range r = wrt_range(g, t, w);
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
  if (!open_target(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  tangent_seeds(g, &t, t.args.n, &seeds);
  Dcall d = dcall(g, &t, IR_JVP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), tangent_tree(g, &t, &d));
}

// Sizes of the result that only a call tells are asked for, so that an adjoint of other sizes is an error.
static void check_adjoint(Gen *g, Target *t, Value *ybar) {
  if (!t->inst->n_extra) return;
  Value *y = call_emit(g, t->inst, g->fn->target,
                       &(CallArgs){.values = t->args.values,
                                   .types = t->args.types,
                                   .ints = t->args.ints,
                                   .n = t->args.n,
                                   .what = t->args.what},
                       NULL);
  check_alike(g, y, NULL, ybar, NULL, name_of(g->l, "adjoint"));
}

static Value *vjp(Gen *g) {
  Target t;
  IrVals seeds = {0};
  if (!open_target(g, &t, g->fn->target)) return value_none(g);
  mark_all(g, &t);
  check_adjoint(g, &t, g->params[t.args.n]);
  float_leaves(g, g->params[t.args.n], &seeds);
  Dcall d = dcall(g, &t, IR_VJP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), all_wrt(g, &t, get_adjoint, &d));
}

static Value *hvp(Gen *g) {
  Target t;
  IrVals seeds = {0};
  Fn *grad = fn_derivative(g->l, DERIV_GRAD, MODE_REVERSE, g->fn->wrt, g->fn->n_wrt, g->fn->target);
  if (!grad || !open_target(g, &t, grad)) return value_none(g);
  mark_all(g, &t);
  tangent_seeds(g, &t, t.args.n, &seeds);
  Dcall d = dcall(g, &t, IR_JVP, &seeds);
  return pair_of(g, callee_result(g, &t, d.op), tangent_tree(g, &t, &d));
}

// ---- Jacobians -------------------------------------------------------------------------------------------------------------------

typedef struct Jacobian {
  Target *t;
  Range in; // IR parameters
  int n_out;
  const IrVal **out_dims; // per result leaf
  IrVal *cells;           // [result leaf][input leaf]
  int leaf;               // the one that is seeded
} Jacobian;

static IrVal *cell(Jacobian *j, int out, int in) { return &j->cells[out * j->in.n + in]; }
static IrType out_type(const Jacobian *j, int o) { return j->t->inst->results.data[o].type; }
static IrVal in_arg(const Jacobian *j, int i) { return j->t->args.ir.data[j->in.first + i]; }

static void init_cells(Gen *g, Jacobian *j) {
  for (int o = 0; o < j->n_out; o++)
    for (int i = 0; i < j->in.n; i++) {
      IrVal dims[2 * IR_MAX_RANK], zero;
      IrType a = out_type(j, o), b = ir_type(g->f, in_arg(j, i));
      if (a.rank) memcpy(dims, j->out_dims[o], sizeof *dims * a.rank);
      if (b.rank) memcpy(dims + a.rank, ir_dims(g->f, in_arg(j, i)), sizeof *dims * b.rank);
      if (a.rank + b.rank > IR_MAX_RANK) {
        lower_fail(g->l, g->fn->loc, "this Jacobian has %d axes; at most %d are possible", a.rank + b.rank,
                   IR_MAX_RANK);
        return;
      }
      zero = zero_of(g, (IrElem)a.elem);
      *cell(j, o, i) = a.rank + b.rank ? ir_fill(&g->b, zero, dims, a.rank + b.rank) : zero;
    }
}

// Reverse: one element of result leaf `leaf` at a time gives a row of every cell behind it.
static void reverse_row(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  Jacobian *j = user;
  IrVals seeds = {0};
  for (int o = 0; o < j->n_out; o++) {
    IrType y = out_type(j, o);
    if (!ir_is_float(y)) continue;
    IrVal zero = ir_const_float(&g->b, (IrElem)y.elem, 0.0);
    IrVal one = o == j->leaf ? ir_const_float(&g->b, (IrElem)y.elem, 1.0) : zero, v = zero;
    if (y.rank) v = ir_fill(&g->b, zero, j->out_dims[o], y.rank);
    if (o == j->leaf) v = y.rank ? ir_set(&g->b, v, idx, y.rank, one) : one;
    vec_push(g->arena, &seeds, v);
  }
  Dcall d = dcall(g, j->t, IR_VJP, &seeds);
  for (int i = 0; i < j->in.n; i++) {
    IrVal x = adjoint_of(j->t, &d, j->in.first + i);
    int rank = out_type(j, j->leaf).rank;
    if (!x) continue;
    Value *leaf = leaf_convert(g, value_leaf(g, x), (IrElem)out_type(j, j->leaf).elem);
    carried[i] = rank ? set_block(g, carried[i], idx, rank, leaf) : force_leaf(g, leaf, NULL);
  }
}

typedef struct Column {
  const IrVal *at;
  int n_at;
  IrVal from;
} Column;

static void set_column(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Column *c = user;
  IrVal at[2 * IR_MAX_RANK];
  int rank = ir_type(g->f, c->from).rank;
  memcpy(at, idx, sizeof *at * (size_t)rank);
  if (c->n_at) memcpy(at + rank, c->at, sizeof *at * (size_t)c->n_at);
  carried[0] = ir_set(&g->b, carried[0], at, rank + c->n_at, ir_get(&g->b, c->from, idx, rank));
}

// Forward: one element of input leaf `leaf` at a time gives a column of every cell.
static void forward_column(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  Jacobian *j = user;
  IrVals seeds = {0};
  Target one = *j->t;
  one.mask = ARENA_ARRAY(g->arena, bool, one.inst->func->n_params);
  one.mask[j->in.first + j->leaf] = true;
  one_hot(g, &one, j->in.first + j->leaf, idx, &seeds);
  Dcall d = dcall(g, &one, IR_JVP, &seeds);
  int next = d.first, rank = ir_type(g->f, in_arg(j, j->leaf)).rank;
  for (int o = 0; o < j->n_out; o++) {
    if (!ir_is_float(out_type(j, o))) continue;
    Column c = {idx, rank, ir_result(d.op, next++)};
    if (ir_type(g->f, c.from).rank)
      nest(g, ir_dims(g->f, c.from), ir_type(g->f, c.from).rank, &carried[o], 1, set_column, &c);
    else
      carried[o] = rank ? ir_set(&g->b, carried[o], idx, rank, c.from) : c.from;
  }
}

static void fill_reverse(Gen *g, Jacobian *j) {
  for (j->leaf = 0; j->leaf < j->n_out; j->leaf++) {
    IrType y = out_type(j, j->leaf);
    if (ir_is_float(y)) nest(g, j->out_dims[j->leaf], y.rank, cell(j, j->leaf, 0), j->in.n, reverse_row, j);
  }
}

static void fill_forward(Gen *g, Jacobian *j) {
  IrVal *column = ARENA_ARRAY(g->arena, IrVal, j->n_out);
  for (j->leaf = 0; j->leaf < j->in.n; j->leaf++) {
    IrVal x = in_arg(j, j->leaf);
    if (!ir_is_float(ir_type(g->f, x))) continue;
    for (int o = 0; o < j->n_out; o++) column[o] = *cell(j, o, j->leaf);
    nest(g, ir_dims(g->f, x), ir_type(g->f, x).rank, column, j->n_out, forward_column, j);
    for (int o = 0; o < j->n_out; o++) *cell(j, o, j->leaf) = column[o];
  }
}

// Forward where the inputs are no more than the outputs by what the types say; else reverse.
static bool prefers_forward(Gen *g, const Jacobian *j) {
  if (g->fn->mode != MODE_AUTO) return g->fn->mode == MODE_FORWARD;
  const LeafVec *outs = &j->t->inst->results;
  LeafVec ins = {0};
  Size *n_in = size_const(g->arena, 0), *n_out = size_const(g->arena, 0);
  for (int i = 0; i < j->t->inst->call.n; i++)
    for (int k = 0; k < j->t->inst->param_leaves[i].len; k++)
      vec_push(g->arena, &ins, j->t->inst->param_leaves[i].data[k]);
  for (int pass = 0; pass < 2; pass++) {
    int first = pass ? 0 : j->in.first - j->t->inst->n_size_params, n = pass ? outs->len : j->in.n;
    Size **sum = pass ? &n_out : &n_in;
    for (int i = first; i < first + n; i++) {
      const Leaf *leaf = pass ? &outs->data[i] : &ins.data[i];
      Size *count = size_const(g->arena, ir_is_float(leaf->type));
      for (int k = 0; k < leaf->type.rank; k++) count = size_mul(g->arena, count, leaf->dims[k]);
      *sum = size_add(g->arena, *sum, count);
    }
  }
  int64_t a, b;
  if (size_compare(n_in, n_out) == SIZE_EQUAL) return true;
  if (size_is_const(n_in, &a) && size_is_const(n_out, &b)) return a <= b;
  return size_is_const(n_in, &a) && a == 1;
}

static Value *cells_tree(Gen *g, Jacobian *j, Type *out, Type *in, int *o, int *i) {
  if (type_is_aggregate(out) || type_is_aggregate(in)) {
    bool by_out = type_is_aggregate(out);
    int n = type_part_count(by_out ? out : in), first_i = *i;
    Value **parts = ARENA_ARRAY(g->arena, Value *, n);
    for (int k = 0; k < n; k++) {
      if (by_out) *i = first_i;
      Type *part = type_part(g->arena, by_out ? out : in, k);
      parts[k] = by_out ? cells_tree(g, j, part, in, o, i) : cells_tree(g, j, out, part, o, i);
    }
    return value_parts(g, parts, n);
  }
  Value *v = value_leaf(g, *cell(j, *o, *i));
  ++*i;
  if (*i == j->in.n) ++*o;
  return v;
}

static const IrVal **result_sizes(Gen *g, Target *t) {
  const IrVal **dims = ARENA_ARRAY(g->arena, const IrVal *, t->inst->results.len);
  if (t->inst->n_extra) {
    CallArgs a = {.values = t->args.values, .types = t->args.types, .ints = t->args.ints, .n = t->args.n};
    ValueVec leaves = {0};
    value_leaves(call_emit(g, t->inst, g->fn->target, &a, NULL), &leaves, g->arena);
    for (int i = 0; i < leaves.len; i++) dims[i] = leaf_dims(g, leaves.data[i]);
    return dims;
  }
  CallShape s;
  call_shape(g, t->inst, &t->args, &s);
  for (int i = 0; i < s.n; i++) dims[i] = s.dims[i];
  return dims;
}

static Value *jacobian(Gen *g) {
  Target t;
  if (!open_target(g, &t, g->fn->target)) return value_none(g);
  int n = g->fn->n_wrt;
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  const IrVal **out_dims = result_sizes(g, &t);
  for (int w = 0; w < n; w++) {
    Jacobian j = {.t = &t, .in = wrt_range(g, &t, w), .n_out = t.inst->results.len, .out_dims = out_dims};
    j.cells = ARENA_ARRAY(g->arena, IrVal, j.n_out * j.in.n);
    memset(t.mask, 0, sizeof *t.mask * (size_t)t.inst->func->n_params);
    mark_wrt(g, &t, w);
    init_cells(g, &j);
    if (g->l->failed) return value_none(g);
    if (prefers_forward(g, &j))
      fill_forward(g, &j);
    else
      fill_reverse(g, &j);
    int o = 0, i = 0;
    parts[w] = cells_tree(g, &j, t.inst->call.result, wrt_type(g->l, &t.inst->call, &t.fn->wrt[w]), &o, &i);
  }
  if (n == 1) return parts[0];
  Value *by_input = value_parts(g, parts, n);
  if (!g->fn->is_hessian) return by_input;
  Value **rows = ARENA_ARRAY(g->arena, Value *, n);
  for (int r = 0; r < n; r++) {
    for (int w = 0; w < n; w++) parts[w] = by_input->parts[w]->parts[r];
    rows[r] = value_parts(g, parts, n);
  }
  return value_parts(g, rows, n);
}

Value *deriv_body(Gen *g) {
  switch (g->fn->deriv) {
  case DERIV_GRAD: return gradient(g, false);
  case DERIV_VALUE_AND_GRAD: return gradient(g, true);
  case DERIV_JVP: return jvp(g);
  case DERIV_VJP: return vjp(g);
  case DERIV_JACOBIAN: return jacobian(g);
  case DERIV_HVP: return hvp(g);
  case DERIV_HESSIAN: break; // is a Jacobian of a gradient
  }
  return value_none(g);
}
