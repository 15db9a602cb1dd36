// Function values and their instances. In: names, lambdas and derivative expressions; out: for each use one IR function per
// float type and per function argument, with this signature:
//   sizes (one int per distinct size in the parameters' types, then those of captured arrays), parameter leaves, captured
//   leaves -> sizes of results that the caller cannot compute, result leaves, final values of inout parameters.
#include "lower/internal.h"

#include <string.h>

enum { MAX_FN_DEPTH = 24 };

// ---- function values -----------------------------------------------------------------------------------------------------

Fn *fn_of_decl(Lower *l, FnDecl *d) {
  Fn *fn = ARENA_NEW(l->arena, Fn);
  fn->kind = FUNC_DECL;
  fn->decl = d;
  fn->name = d->name;
  fn->loc = d->name_loc;
  fn->key = name_of(l, "D%p", (void *)d);
  return fn;
}

static Fn *fn_checked(Lower *l, Fn *fn) {
  if (fn->depth <= MAX_FN_DEPTH) return fn;
  Diag *g = diag_add(l->diags, DIAG_SPECIALISE, fn->loc, "this function is specialised without end");
  diag_note(l->diags, g,
            "each function passed as an argument makes a version of its own, and here every one passes a new "
            "one on");
  diag_help(l->diags, g, "pass the same function on, or hand over the values it captures as arguments");
  l->failed = true;
  return NULL;
}

static Fn *fn_of_lambda(Gen *g, Lower *l, Expr *e) {
  Fn *fn = ARENA_NEW(l->arena, Fn);
  fn->kind = FUNC_LAMBDA;
  fn->lambda = e;
  fn->loc = e->loc;
  fn->real = g ? g->real : IR_F64;
  fn->name = name_of(l, "%s.fn", e->lambda.enclosing ? e->lambda.enclosing->name : "lambda");
  if (g) captures_of(g, e, fn);
  StrBuf key;
  sb_init(&key, l->arena);
  sb_addf(&key, "L%p.%d(", (void *)e, (int)fn->real);
  for (int i = 0; i < fn->n_caps; i++) {
    const Fn *inner = fn->caps[i].value->kind == VALUE_FN ? fn->caps[i].value->fn : NULL;
    sb_addf(&key, "%d%p,", fn->caps[i].symbol->id, inner ? (const void *)inner->key : NULL);
    if (inner && inner->depth >= fn->depth) fn->depth = inner->depth + 1;
  }
  fn->key = name_of(l, "%s)", key.data);
  return fn_checked(l, fn);
}

static const char *deriv_name(DerivKind k) {
  switch (k) {
  case DERIV_GRAD: return "grad";
  case DERIV_VALUE_AND_GRAD: return "value_and_grad";
  case DERIV_JVP: return "jvp_of";
  case DERIV_VJP: return "vjp_of";
  case DERIV_JACOBIAN: return "jacobian";
  case DERIV_HESSIAN: return "hessian";
  case DERIV_HVP: return "hvp";
  case DERIV_JVPS: return "jvps_of";
  case DERIV_VJPS: return "vjps_of";
  }
  return "derivative";
}

Fn *fn_derivative(Lower *l, DerivKind k, DerivMode mode, const WrtSpec *wrt, int n_wrt, Fn *target) {
  if (k == DERIV_HESSIAN) {
    target = fn_derivative(l, DERIV_GRAD, MODE_REVERSE, wrt, n_wrt, target);
    if (!target) return NULL;
    Fn *h = fn_derivative(l, DERIV_JACOBIAN, mode, wrt, n_wrt, target);
    if (!h) return NULL;
    h->is_hessian = true;
    h->key = name_of(l, "H%s", h->key);
    h->name = name_of(l, "%s.hessian", target->target->name);
    return h;
  }
  Fn *fn = ARENA_NEW(l->arena, Fn);
  *fn = (Fn){
      .kind = FUNC_DERIV, .deriv = k, .mode = mode, .n_wrt = n_wrt, .target = target, .loc = target->loc};
  fn->wrt = ARENA_ARRAY(l->arena, WrtSpec, n_wrt);
  fn->depth = target->depth + 1;
  fn->name = name_of(l, "%s.%s", target->name, deriv_name(k));
  StrBuf key;
  sb_init(&key, l->arena);
  sb_addf(&key, "%s%d[", deriv_name(k), (int)mode);
  for (int i = 0; i < n_wrt; i++) {
    fn->wrt[i] = wrt[i];
    sb_addf(&key, "%d", wrt[i].param);
    for (int j = 0; j < wrt[i].n_fields; j++) sb_addf(&key, ".%d", wrt[i].fields[j]);
    sb_addc(&key, ',');
  }
  fn->key = name_of(l, "%s](%p)", key.data, (const void *)target->key);
  return fn_checked(l, fn);
}

static Fn *fn_of_deriv(Gen *g, Lower *l, Expr *e) {
  const Deriv *d = e->call.deriv;
  Fn *target = fn_of_expr_in(g, l, d->target);
  if (!target) return NULL;
  WrtSpec *wrt = ARENA_ARRAY(l->arena, WrtSpec, d->n_wrt);
  for (int i = 0; i < d->n_wrt; i++)
    wrt[i] = (WrtSpec){d->wrt[i].param, d->wrt[i].fields, d->wrt[i].n_fields};
  Fn *fn = fn_derivative(l, d->kind, d->mode, wrt, d->n_wrt, target);
  if (!fn) return NULL;
  fn->loc = e->loc;
  fn->directions = d->directions;
  return fn;
}

static Fn *fn_of_symbol(Gen *g, Lower *l, Expr *e, Symbol *s) {
  const Value *v = g && s ? env_get(g, s) : NULL;
  if (v && v->kind == VALUE_FN) return v->fn;
  if (s && s->kind != SYM_FN && s->fn_value) return fn_of_expr_in(g, l, s->fn_value);
  if (e->type && e->type->kind == TYPE_FN && e->type->scheme && e->type->scheme->decl)
    return fn_of_decl(l, e->type->scheme->decl);
  if (s && s->kind == SYM_FN && s->n_fns) return fn_of_decl(l, s->fns[0]);
  lower_fail(l, e->loc, "which function this is cannot be told when the program is compiled");
  return NULL;
}

Fn *fn_of_expr_in(Gen *g, Lower *l, Expr *e) {
  switch (e->kind) {
  case EXPR_NAME: return fn_of_symbol(g, l, e, e->name.symbol);
  case EXPR_FIELD: return fn_of_symbol(g, l, e, e->field.symbol);
  case EXPR_LAMBDA: return fn_of_lambda(g, l, e);
  case EXPR_CALL:
    if (e->call.deriv) return fn_of_deriv(g, l, e);
    break;
  default: break;
  }
  lower_fail(l, e->loc, "which function this is cannot be told when the program is compiled");
  return NULL;
}

Fn *fn_of_expr(Gen *g, Expr *e) { return fn_of_expr_in(g, g->l, e); }

void fn_captures(const Fn *fn, CaptureVisit *visit, void *user) {
  if (fn->kind == FUNC_DERIV) fn_captures(fn->target, visit, user);
  if (fn->kind != FUNC_LAMBDA) return;
  for (int i = 0; i < fn->n_caps; i++) {
    const Value *v = fn->caps[i].value;
    if (v->kind == VALUE_FN)
      fn_captures(v->fn, visit, user);
    else
      visit(user, fn, &fn->caps[i]);
  }
}

static Value *value_like(Gen *g, const Value *v, const IrVal *vals, int *at) {
  if (v->kind == VALUE_LEAF) return value_leaf(g, vals[(*at)++]);
  if (v->kind == VALUE_FN) return value_fn(g, fn_rebound(g, v->fn, vals, at));
  Value *now = value_parts(g, v->parts, v->n_parts);
  for (int i = 0; i < v->n_parts; i++) now->parts[i] = value_like(g, v->parts[i], vals, at);
  return now;
}

Fn *fn_rebound(Gen *g, const Fn *fn, const IrVal *vals, int *at) {
  Fn *now = ARENA_NEW(g->arena, Fn);
  *now = *fn;
  if (fn->kind == FUNC_DERIV) now->target = fn_rebound(g, fn->target, vals, at);
  if (fn->kind != FUNC_LAMBDA) return now;
  now->caps = ARENA_ARRAY(g->arena, Capture, fn->n_caps);
  for (int i = 0; i < fn->n_caps; i++)
    now->caps[i] = (Capture){fn->caps[i].symbol, value_like(g, fn->caps[i].value, vals, at)};
  return now;
}

Callable fn_callable(Lower *l, const Fn *fn) {
  Callable c = {0};
  if (fn->kind == FUNC_DERIV) {
    deriv_callable(l, fn, &c);
    return c;
  }
  const ParamVec *params = fn->kind == FUNC_DECL ? &fn->decl->params : &fn->lambda->lambda.params;
  c.n = params->len;
  c.types = ARENA_ARRAY(l->arena, Type *, c.n);
  c.names = ARENA_ARRAY(l->arena, Name, c.n);
  c.is_inout = ARENA_ARRAY(l->arena, bool, c.n);
  c.symbols = ARENA_ARRAY(l->arena, Symbol *, c.n);
  for (int i = 0; i < c.n; i++) {
    const Param *p = &params->data[i];
    c.types[i] = fn->kind == FUNC_DECL ? fn->decl->sig->params[i] : p->symbol->type;
    c.names[i] = p->name;
    c.is_inout[i] = p->is_inout;
    c.symbols[i] = p->symbol;
  }
  c.result = fn->kind == FUNC_DECL ? fn->decl->sig->result : fn->lambda->type->result;
  return c;
}

// ---- instances -------------------------------------------------------------------------------------------------------------

int inst_size(const Inst *inst, const void *group, const Size *s) {
  for (int i = 0; i < inst->n_size_params; i++)
    if (inst->sizes[i].group == group && size_compare(inst->sizes[i].size, s) == SIZE_EQUAL) return i;
  return -1;
}

static void add_size(Lower *l, Inst *inst, const void *group, const Size *s) {
  if (inst_size(inst, group, s) >= 0) return;
  SizeParam *now = ARENA_ARRAY(l->arena, SizeParam, inst->n_size_params + 1);
  if (inst->n_size_params) memcpy(now, inst->sizes, sizeof *now * (size_t)inst->n_size_params);
  now[inst->n_size_params++] = (SizeParam){s, group};
  inst->sizes = now;
}

static void add_leaf_sizes(Lower *l, Inst *inst, const void *group, const LeafVec *leaves) {
  for (int i = 0; i < leaves->len; i++)
    for (int k = 0; !leaves->data[i].type.grow && k < leaves->data[i].type.rank; k++)
      add_size(l, inst, group, leaves->data[i].dims[k]);
}

typedef struct CapScan {
  Lower *l;
  Inst *inst;
} CapScan;

static void scan_capture(void *user, const Fn *lambda, const Capture *c) {
  CapScan *s = user;
  CapLeaf leaf = {.group = lambda->lambda};
  LeafVec leaves = {0};
  type_leaves(s->l, c->symbol->type, c->symbol->name, lambda->real, &leaves);
  add_leaf_sizes(s->l, s->inst, lambda->lambda, &leaves);
  for (int i = 0; i < leaves.len; i++) {
    leaf.leaf = leaves.data[i];
    vec_push(s->l->arena, &s->inst->cap_leaves, leaf);
  }
}

// What the instance takes besides its own parameters.
static void inst_captures(Lower *l, Inst *inst) {
  CapScan s = {l, inst};
  for (int i = 0; i < inst->call.n; i++)
    if (inst->fn_args[i]) fn_captures(inst->fn_args[i], scan_capture, &s);
  if (inst->fn) fn_captures(inst->fn, scan_capture, &s);
}

static Name size_path(Lower *l, const Size *s) {
  StrBuf sb;
  sb_init(&sb, l->arena);
  size_print(s, &sb);
  return name_of(l, "%s", sb.data ? sb.data : "");
}

static void leaf_param(Lower *l, Inst *inst, const void *group, const Leaf *leaf, bool moved) {
  IrVal dims[IR_MAX_RANK] = {0};
  for (int k = 0; !leaf->type.grow && k < leaf->type.rank; k++) {
    int at = inst_size(inst, group, leaf->dims[k]);
    if (at < 0) {
      lower_fail(l, inst->loc, "the sizes of `%s` do not follow from the function's own parameters",
                 leaf->path);
      at = 0;
    }
    dims[k] = (IrVal)(at + 1);
  }
  IrVal v = ir_param(inst->func, leaf->type, leaf->type.rank && !leaf->type.grow ? dims : NULL,
                     (IrLeaf){leaf->path, moved});
  ir_name(inst->func, v, leaf->path);
}

void inst_param_leaf(Lower *l, Inst *inst, const Leaf *leaf) { leaf_param(l, inst, NULL, leaf, false); }

static void inst_params(Lower *l, Inst *inst) {
  const Callable *c = &inst->call;
  for (int i = 0; i < inst->n_size_params; i++) {
    const Symbol *s = size_symbol_of(inst->sizes[i].size);
    Name path = s ? s->name : size_path(l, inst->sizes[i].size);
    IrVal v = ir_param(inst->func, IR_SCALAR(IR_INT), NULL, (IrLeaf){path, false});
    if (s) ir_name(inst->func, v, path);
  }
  inst->func->n_sizes = inst->n_size_params;
  for (int i = 0; i < c->n; i++)
    for (int k = 0; k < inst->param_leaves[i].len; k++) {
      const Leaf *leaf = &inst->param_leaves[i].data[k];
      leaf_param(l, inst, NULL, leaf, c->is_inout[i] && leaf->type.rank > 0);
    }
  for (int i = 0; i < inst->cap_leaves.len; i++)
    leaf_param(l, inst, inst->cap_leaves.data[i].group, &inst->cap_leaves.data[i].leaf, false);
}

// Names whose values a caller has: sizes that are bare names, and int parameters.
static void known_names(Lower *l, const Inst *inst, BindVec *out) {
  for (int i = 0; i < inst->n_sizes; i++) {
    const Symbol *s = size_symbol_of(inst->sizes[i].size);
    Bind b = {(Symbol *)s, 1};
    if (s) vec_push(l->arena, out, b);
  }
  for (int i = 0; i < inst->call.n && inst->call.symbols; i++) {
    Bind b = {inst->call.symbols[i], 1};
    if (inst->call.types[i]->kind == TYPE_INT && !inst->call.is_inout[i]) vec_push(l->arena, out, b);
  }
}

void inst_results(Lower *l, Inst *inst) {
  BindVec names = {0};
  VEC(const Size *) extra = {0};
  int n = 0, at = 0;
  type_leaves(l, inst->call.result, name_of(l, "%s", ""), inst->real, &inst->results);
  for (int i = 0; i < inst->results.len; i++) n += inst->results.data[i].type.rank;
  inst->result_dims = ARENA_ARRAY(l->arena, ResultDim, n);
  known_names(l, inst, &names);
  for (int i = 0; i < inst->results.len; i++) {
    const Leaf *leaf = &inst->results.data[i];
    for (int k = 0; !leaf->type.grow && k < leaf->type.rank; k++) {
      ResultDim *d = &inst->result_dims[at++];
      *d = (ResultDim){inst_size(inst, NULL, leaf->dims[k]), -1, leaf->dims[k]};
      if (d->param >= inst->n_sizes && inst->seed) d->param = -1; // the function itself has no seed
      if (d->param >= 0 || size_only(leaf->dims[k], &names)) continue;
      for (int j = 0; j < extra.len; j++)
        if (size_compare(extra.data[j], leaf->dims[k]) == SIZE_EQUAL) d->extra = j;
      if (d->extra >= 0) continue;
      d->extra = extra.len;
      vec_push(l->arena, &extra, leaf->dims[k]);
    }
  }
  inst->n_extra = extra.len;
}

// Leaves, sizes and the empty function; parameters are there, the body is not.
void inst_open(Lower *l, Inst *inst, Name name) {
  const Callable *c = &inst->call;
  inst->param_leaves = ARENA_ARRAY(l->arena, LeafVec, c->n);
  if (!inst->fn_args) inst->fn_args = ARENA_ARRAY(l->arena, Fn *, c->n);
  for (int i = 0; i < c->n; i++) {
    if (c->types[i]->kind == TYPE_FN) continue;
    type_leaves(l, c->types[i], c->names[i], inst->real, &inst->param_leaves[i]);
    add_leaf_sizes(l, inst, NULL, &inst->param_leaves[i]);
  }
  inst->n_sizes = inst->n_size_params;
  inst_captures(l, inst);
  if (inst->seed) {
    LeafVec leaves = {0};
    type_leaves(l, inst->seed, name_of(l, "%s", ""), inst->real, &leaves);
    add_leaf_sizes(l, inst, NULL, &leaves);
  }
  inst->func = ir_func_new(l->module, name);
  inst->func->loc = inst->loc;
  inst_params(l, inst);
}

static bool type_has_real(const Type *t) {
  const Type *base = type_base(t);
  if (base->kind == TYPE_REAL) return true;
  for (int i = 0; i < base->n_parts; i++)
    if (type_has_real(base->parts[i])) return true;
  return base->kind == TYPE_FN && base->result && type_has_real(base->result);
}

static bool takes_real(const Callable *c) {
  for (int i = 0; i < c->n; i++)
    if (type_has_real(c->types[i])) return true;
  return type_has_real(c->result);
}

static IrElem inst_real(const Fn *fn, const Callable *c, IrElem real) {
  const Fn *root = fn;
  while (root->kind == FUNC_DERIV) root = root->target;
  if (root->kind == FUNC_LAMBDA) return root->real;
  return takes_real(c) ? real : IR_F64;
}

static Inst **inst_slot(Inst **table, int cap, Name key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  int i = (int)(h >> 32) & (cap - 1);
  while (table[i] && table[i]->key != key) i = (i + 1) & (cap - 1);
  return &table[i];
}

static Inst **inst_find(Lower *l, Name key) {
  if (l->n_keys * 2 >= l->keys_cap) {
    int cap = l->keys_cap ? l->keys_cap * 2 : 64;
    Inst **table = ARENA_ARRAY(l->arena, Inst *, cap);
    for (int i = 0; i < l->keys_cap; i++)
      if (l->by_key[i]) *inst_slot(table, cap, l->by_key[i]->key) = l->by_key[i];
    l->by_key = table;
    l->keys_cap = cap;
  }
  return inst_slot(l->by_key, l->keys_cap, key);
}

Inst *inst_of(Lower *l, Fn *fn, IrElem real, Fn **fn_args) {
  Callable c = fn_callable(l, fn);
  real = inst_real(fn, &c, real);
  StrBuf text;
  sb_init(&text, l->arena);
  sb_addf(&text, "%s|%d", fn->key, (int)real);
  for (int i = 0; i < c.n; i++) {
    if (c.types[i]->kind != TYPE_FN) continue;
    if (!fn_args || !fn_args[i]) {
      const Fn *own = fn;
      while (own->kind == FUNC_DERIV) own = own->target;
      lower_fail(l, fn->loc,
                 "`%s` takes a function, so it exists only where it is called with one: ask for a function "
                 "that calls it",
                 own->kind == FUNC_DECL ? own->decl->name : own->name);
      return NULL;
    }
    sb_addf(&text, "|%p", (const void *)fn_args[i]->key);
  }
  Name key = name_of(l, "%s", text.data);
  Inst **slot = inst_find(l, key);
  if (*slot) return *slot;
  Inst *inst = *slot = ARENA_NEW(l->arena, Inst);
  l->n_keys++;
  *inst = (Inst){.fn = fn, .fn_args = fn_args, .real = real, .key = key, .call = c, .loc = fn->loc};
  inst_open(l, inst, fn->name);
  inst->func->source_name = fn->kind == FUNC_DECL ? fn->decl->name : fn->name;
  inst_results(l, inst);
  vec_push(l->arena, &l->insts, inst);
  if (fn->kind == FUNC_DECL) {
    inst->func->signature = signature_text(l->arena, fn->decl);
    rules_attach(l, inst);
  }
  return inst;
}
