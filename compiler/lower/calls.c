// Calls. In: a callee and its arguments; out: one CALL with the signature that fns.c describes. Sizes that a callee's types
// bind twice, and compound ones, are checked here, unless their names say that they agree.
#include "lower/internal.h"

#include <string.h>

void args_init(Gen *g, CallArgs *a, int n, Name what) {
  *a = (CallArgs){.n = n, .what = what};
  a->values = ARENA_ARRAY(g->arena, Value *, n);
  a->types = ARENA_ARRAY(g->arena, const Type *, n);
  a->ints = ARENA_ARRAY(g->arena, const Size *, n);
}

// ---- the float type of a call --------------------------------------------------------------------------------------------

static bool find_real(const Gen *g, const Type *formal, const Type *actual, IrElem *out) {
  if (!actual) return false;
  const Type *f = type_base(formal), *t = type_base(actual);
  if (f->kind == TYPE_REAL) {
    if (t->kind != TYPE_F32 && t->kind != TYPE_F64 && t->kind != TYPE_REAL) return false;
    *out = elem_of(t, g->real);
    return true;
  }
  if (f->kind != t->kind || (f->kind != TYPE_TUPLE && f->kind != TYPE_FN)) return false;
  for (int i = 0; i < f->n_parts && i < t->n_parts; i++)
    if (find_real(g, f->parts[i], t->parts[i], out)) return true;
  return f->kind == TYPE_FN && f->result && t->result && find_real(g, f->result, t->result, out);
}

IrElem real_of_call(Gen *g, const Callable *c, const Type **args, int n, const Type *result) {
  IrElem real = IR_F64;
  for (int i = 0; i < c->n && i < n; i++)
    if (find_real(g, c->types[i], args[i], &real)) return real;
  if (result) find_real(g, c->result, result, &real);
  return real;
}

// ---- operands ----------------------------------------------------------------------------------------------------------------

typedef struct Sized { // size parameters as they are found
  IrVal *vals;
  const Size **names; // in the caller's terms; NULL: not known
} Sized;

static void take_sizes(Gen *g, const Inst *inst, const CallArgs *a, Sized *z, int i) {
  LeafVec have = {0};
  ValueVec leaves = {0};
  if (a->types[i]) type_leaves(g->l, a->types[i], a->what ? a->what : inst->func->name, g->real, &have);
  value_leaves(a->values[i], &leaves, g->arena);
  for (int k = 0; k < leaves.len && k < inst->param_leaves[i].len; k++) {
    const Leaf *want = &inst->param_leaves[i].data[k];
    const IrVal *dims = leaf_dims(g, leaves.data[k]);
    for (int d = 0; dims && !want->type.grow && d < want->type.rank; d++) {
      int at = inst_size(inst, NULL, want->dims[d]);
      bool named = k < have.len && have.data[k].type.rank == want->type.rank && !have.data[k].type.grow;
      const Size *name = named ? have.data[k].dims[d] : NULL;
      if (!z->vals[at]) {
        z->vals[at] = dims[d];
        z->names[at] = name;
      } else if (!name || !z->names[at] || size_compare(name, z->names[at]) != SIZE_EQUAL) {
        check_same(g, dims[d], z->vals[at], a->what);
      }
    }
  }
}

static void bind_name(Gen *g, CallArgs *a, Symbol *s, IrVal v, const Size *name) {
  Bind b = {s, v};
  vec_push(g->arena, &a->binds, b);
  SizeBinding sb = {s, (Size *)name};
  if (name) vec_push(g->arena, &a->subst, sb);
}

// The caller's value of a size of the callee; 0: not in terms of what was passed.
static IrVal callee_size(Gen *g, const CallArgs *a, const Size *s) {
  if (a->subst.len == a->binds.len) {
    IrVal known = known_find(g, size_subst(g->arena, s, &a->subst));
    if (known) return known;
  }
  return size_emit(g, s, &a->binds);
}

static bool is_int_param(const Callable *c, const Symbol *s) {
  for (int i = 0; i < c->n && c->symbols; i++)
    if (c->symbols[i] == s) return true;
  return false;
}

static void check_compound(Gen *g, const Inst *inst, const CallArgs *a, const Sized *z) {
  for (int i = 0; i < inst->n_sizes; i++) {
    const Size *s = inst->sizes[i].size;
    const Symbol *bare = size_symbol_of(s);
    if (!z->vals[i] || (bare && !is_int_param(&inst->call, bare)) || !size_only(s, &a->binds)) continue;
    if (z->names[i] && a->subst.len == a->binds.len &&
        size_compare(size_subst(g->arena, s, &a->subst), z->names[i]) == SIZE_EQUAL)
      continue;
    IrVal expected = callee_size(g, a, s);
    if (expected) check_same(g, z->vals[i], expected, a->what);
  }
}

typedef struct CapArgs {
  Gen *g;
  const Inst *inst;
  Sized *sized;
  IrVals vals;
  int next;
} CapArgs;

static void take_capture(void *user, const Fn *lambda, const Capture *c) {
  CapArgs *x = user;
  ValueVec leaves = {0};
  value_leaves(c->value, &leaves, x->g->arena);
  for (int i = 0; i < leaves.len && x->next < x->inst->cap_leaves.len; i++, x->next++) {
    const Leaf *leaf = &x->inst->cap_leaves.data[x->next].leaf;
    IrVal v = force_leaf(x->g, leaves.data[i], NULL);
    const IrVal *dims = ir_dims(x->g->f, v);
    vec_push(x->g->arena, &x->vals, v);
    for (int d = 0; dims && d < leaf->type.rank; d++) {
      int at = inst_size(x->inst, lambda->lambda, leaf->dims[d]);
      if (at >= 0 && !x->sized->vals[at]) x->sized->vals[at] = dims[d];
    }
  }
}

void args_emit(Gen *g, const Inst *inst, const Fn *fn, CallArgs *a) {
  const Callable *c = &inst->call;
  Sized z = {ARENA_ARRAY(g->arena, IrVal, inst->n_size_params),
             ARENA_ARRAY(g->arena, const Size *, inst->n_size_params)};
  IrVals leaves = {0};
  for (int i = 0; i < c->n && i < a->n; i++) {
    ValueVec parts = {0};
    if (a->values[i]->kind == VALUE_FN) continue;
    take_sizes(g, inst, a, &z, i);
    value_leaves(a->values[i], &parts, g->arena);
    for (int k = 0; k < parts.len; k++) vec_push(g->arena, &leaves, parts.data[k]->val);
    if (c->types[i]->kind == TYPE_INT && c->symbols && parts.len == 1)
      bind_name(g, a, c->symbols[i], parts.data[0]->val, a->ints[i]);
  }
  for (int i = 0; i < inst->n_sizes; i++) {
    Symbol *s = (Symbol *)size_symbol_of(inst->sizes[i].size);
    if (s && z.vals[i] && !is_int_param(c, s)) bind_name(g, a, s, z.vals[i], z.names[i]);
  }
  check_compound(g, inst, a, &z);
  CapArgs caps = {.g = g, .inst = inst, .sized = &z};
  for (int i = 0; i < c->n && i < a->n; i++)
    if (a->values[i]->kind == VALUE_FN) fn_captures(a->values[i]->fn, take_capture, &caps);
  if (fn) fn_captures(fn, take_capture, &caps);
  for (int i = 0; i < inst->n_size_params; i++)
    vec_push(g->arena, &a->ir, z.vals[i] ? z.vals[i] : ir_const_int(&g->b, 0));
  for (int i = 0; i < leaves.len; i++) vec_push(g->arena, &a->ir, leaves.data[i]);
  for (int i = 0; i < caps.vals.len; i++) vec_push(g->arena, &a->ir, caps.vals.data[i]);
}

// ---- results ---------------------------------------------------------------------------------------------------------------------

void shape_add(Gen *g, CallShape *s, IrType t, const IrVal *dims) {
  IrType *types = ARENA_ARRAY(g->arena, IrType, s->n + 1);
  const IrVal **all = ARENA_ARRAY(g->arena, const IrVal *, s->n + 1);
  if (s->n) memcpy(types, s->types, sizeof *types * (size_t)s->n);
  if (s->n) memcpy(all, s->dims, sizeof *all * (size_t)s->n);
  types[s->n] = t;
  all[s->n++] = dims;
  s->types = types;
  s->dims = all;
}

void shape_like(Gen *g, CallShape *s, IrVal v) { shape_add(g, s, ir_type(g->f, v), ir_dims(g->f, v)); }

static IrVal result_size(Gen *g, const ResultDim *d, const CallArgs *a) {
  if (d->param >= 0) return a->ir.data[d->param];
  if (d->extra >= 0) return IR_RESULT(d->extra);
  IrVal v = callee_size(g, a, d->size);
  return v ? v : ir_const_int(&g->b, 0);
}

void call_shape(Gen *g, const Inst *inst, const CallArgs *a, CallShape *s) {
  *s = (CallShape){0};
  int at = 0;
  for (int i = 0; i < inst->n_extra; i++) shape_add(g, s, IR_SCALAR(IR_INT), NULL);
  for (int i = 0; i < inst->results.len; i++) {
    IrType t = inst->results.data[i].type;
    IrVal *dims = t.rank && !t.grow ? ARENA_ARRAY(g->arena, IrVal, t.rank) : NULL;
    for (int k = 0; dims && k < t.rank; k++) dims[k] = result_size(g, &inst->result_dims[at++], a);
    shape_add(g, s, t, dims);
  }
  for (int i = 0; i < inst->call.n; i++) {
    ValueVec leaves = {0};
    if (!inst->call.is_inout[i]) continue;
    value_leaves(a->values[i], &leaves, g->arena);
    for (int k = 0; k < leaves.len; k++) shape_like(g, s, leaves.data[k]->val);
  }
}

static Value *results_as(Gen *g, const Type *t, const IrOp *op, int *from, int n) {
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, n);
  for (int i = 0; i < n; i++) leaves[i] = ir_result(op, *from + i);
  *from += n;
  int at = 0;
  return value_from(g, t, leaves, &at);
}

Value *call_result(Gen *g, const Inst *inst, IrOp *op) {
  int from = inst->n_extra;
  return results_as(g, inst->call.result, op, &from, inst->results.len);
}

Value *call_emit(Gen *g, const Inst *inst, const Fn *fn, CallArgs *a, Value **inouts) {
  CallShape s;
  args_emit(g, inst, fn, a);
  call_shape(g, inst, a, &s);
  IrOp *op = ir_call(&g->b, inst->func->name, a->ir.data, a->ir.len, s.types, s.dims, s.n);
  int from = inst->n_extra + inst->results.len;
  for (int i = 0; i < inst->call.n; i++)
    if (inst->call.is_inout[i]) {
      Value *v = results_as(g, inst->call.types[i], op, &from, inst->param_leaves[i].len);
      if (inouts) inouts[i] = v;
    }
  return call_result(g, inst, op);
}

Fn **args_fns(Gen *g, Value **values, int n) {
  Fn **fns = ARENA_ARRAY(g->arena, Fn *, n);
  for (int i = 0; i < n; i++) fns[i] = values[i]->kind == VALUE_FN ? values[i]->fn : NULL;
  return fns;
}

// A call of a function value with values at hand.
Value *call_fn_values(Gen *g, Fn *fn, Value **values, int n, const Type **types, const Type *result) {
  Callable c = fn_callable(g->l, fn);
  CallArgs a;
  args_init(g, &a, n, fn->name);
  for (int i = 0; i < n && i < c.n; i++) {
    a.values[i] = force(g, values[i]);
    a.types[i] = types ? types[i] : NULL;
  }
  Inst *inst = inst_of(g->l, fn, real_of_call(g, &c, a.types, n, result), args_fns(g, a.values, n));
  return inst ? call_emit(g, inst, fn, &a, NULL) : value_none(g);
}

// ---- a call as written --------------------------------------------------------------------------------------------------------

typedef struct Calling {
  Fn *fn;
  Callable c;
  Expr **args;
  int n;
  IrElem real;
  Place *places;
} Calling;

static Value *lower_arg(Gen *g, Calling *k, int i) {
  Expr *e = k->args[i];
  const Type *t = k->c.types[i];
  if (t->kind == TYPE_FN) {
    Fn *fn = fn_of_expr(g, e);
    return fn ? value_fn(g, fn) : value_none(g);
  }
  if (k->c.is_inout[i]) {
    k->places[i] = place_of(g, e);
    return place_read(g, &k->places[i]);
  }
  IrElem own = g->real;
  Value *v = lower_expr(g, e);
  g->b.loc.loc = e->loc;
  g->real = k->real; // the callee's `real`
  v = coerce_elems(g, v, t);
  g->real = own;
  return force(g, v);
}

static Value *call_function(Gen *g, Expr *e, Fn *fn, Expr **args, int n) {
  Calling k = {.fn = fn, .c = fn_callable(g->l, fn), .args = args, .n = n};
  CallArgs a;
  if (k.c.n != n) {
    lower_fail(g->l, e->loc, "`%s` takes %d arguments, not %d", fn->name, k.c.n, n);
    return value_none(g);
  }
  k.places = ARENA_ARRAY(g->arena, Place, n);
  args_init(g, &a, n, fn->name);
  for (int i = 0; i < n; i++) {
    a.types[i] = args[i]->type;
    a.ints[i] = args[i]->type && args[i]->type->kind == TYPE_INT ? args[i]->size : NULL;
  }
  k.real = real_of_call(g, &k.c, a.types, n, e->type);
  for (int i = 0; i < n; i++) {
    a.values[i] = lower_arg(g, &k, i);
    if (k.c.types[i]->kind == TYPE_FN && a.values[i]->kind != VALUE_FN) return value_none(g); // reported
  }
  g->b.loc.loc = e->loc;
  Inst *inst = inst_of(g->l, fn, k.real, args_fns(g, a.values, n));
  if (!inst) return value_none(g);
  Value **inouts = ARENA_ARRAY(g->arena, Value *, n);
  Value *result = call_emit(g, inst, fn, &a, inouts);
  for (int i = 0; i < n; i++)
    if (inouts[i]) place_write(g, &k.places[i], inouts[i], NULL);
  return result;
}

// `like: m` gives a new optimizer state for m's floats.
static Value *sized_like(Gen *g, Expr *e, Value *v) {
  const FnDecl *fn = e->call.fn;
  for (int i = 0; i < e->call.args.len; i++) {
    const Arg *arg = &e->call.args.data[i];
    bool own = !arg->name || strcmp(arg->name, "like") != 0;
    for (int k = 0; k < fn->params.len && !own; k++) own = fn->params.data[k].name == arg->name;
    if (own) continue;
    return optimizer_like(g, v, param_count(g, lower_expr(g, arg->value)));
  }
  return v;
}

Value *lower_call(Gen *g, Expr *e) {
  if (e->type->kind == TYPE_FN) {
    Fn *fn = fn_of_expr(g, e);
    return fn ? value_fn(g, fn) : value_none(g);
  }
  switch (e->call.kind) {
  case CALL_BUILTIN: return lower_builtin(g, e);
  case CALL_FN:
    return sized_like(
        g, e, call_function(g, e, fn_of_decl(g->l, e->call.fn), e->call.args_by_param, e->call.n_params));
  case CALL_VALUE: {
    Fn *fn = fn_of_expr(g, e->call.callee);
    if (!fn) return value_none(g);
    Value *v = call_function(g, e, fn, e->call.args_by_param, e->call.n_params);
    if (e->type->kind != TYPE_VOID) check_dims(g, v, NULL, e->type, fn->name);
    return v;
  }
  case CALL_UNRESOLVED: break;
  }
  lower_fail(g->l, e->loc, "what is called here is not known");
  return value_none(g);
}
