// The driver of lowering. In: the checked program and what is wanted of it; out: the module with every function that is
// reached. Instances are opened when a call names them and filled in turn, so that recursion needs nothing of its own.
#include "lower/internal.h"

#include <stdarg.h>

Name name_of(Lower *l, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const char *text = arena_vprintf(l->arena, fmt, ap);
  va_end(ap);
  return intern_cstr(l->program->names, text);
}

bool lower_fail(Lower *l, Loc loc, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const char *text = arena_vprintf(l->arena, fmt, ap);
  va_end(ap);
  diag_add(l->diags, DIAG_LOWER, loc, "%s", text);
  l->failed = true;
  return false;
}

Symbol *symbol_made(Lower *l, const char *name) {
  Symbol *s = ARENA_NEW(l->arena, Symbol);
  s->kind = SYM_LOCAL;
  s->name = name_of(l, "%s", name);
  s->mutable_ = true;
  s->id = --l->next_id;
  return s;
}

// ---- one function ------------------------------------------------------------------------------------------------------------

static void gen_init(Gen *g, Lower *l, Inst *inst) {
  *g =
      (Gen){.l = l, .arena = l->arena, .inst = inst, .f = inst->func, .real = inst->real, .rule = inst->rule};
  g->b = ir_builder(inst->func);
  g->b.loc.loc = inst->loc;
}

static void bind_sizes(Gen *g) {
  const Inst *inst = g->inst;
  for (int i = 0; i < inst->n_size_params; i++) {
    const SizeParam *s = &inst->sizes[i];
    IrVal v = g->f->body->args[i];
    bool own = !s->group,
         captured = inst->fn && inst->fn->kind == FUNC_LAMBDA && s->group == inst->fn->lambda;
    if (!own && !captured) continue;
    IrVal already = captured ? known_find(g, s->size) : 0;
    if (already) {
      check_same(g, already, v, inst->func->source_name);
      continue;
    }
    known_bind(g, s->size, v, true);
    Symbol *name = (Symbol *)size_symbol_of(s->size);
    if (name && name->kind == SYM_SIZE) env_set(g, name, value_leaf(g, v));
  }
}

// Parameters and captures to values.
static int bind_params(Gen *g) {
  const Inst *inst = g->inst;
  const Callable *c = &inst->call;
  IrVal *args = g->f->body->args;
  int next = inst->n_size_params, at_caps = next;
  for (int i = 0; i < c->n; i++) at_caps += inst->param_leaves[i].len;
  const int after = at_caps;
  g->params = ARENA_ARRAY(g->arena, Value *, c->n);
  for (int i = 0; i < c->n; i++) {
    Fn *fn = inst->fn_args[i];
    g->params[i] =
        fn ? value_fn(g, fn_rebound(g, fn, args, &at_caps)) : value_from(g, c->types[i], args, &next);
    if (c->symbols && c->symbols[i]) env_set(g, c->symbols[i], g->params[i]);
  }
  if (inst->fn) g->fn = fn_rebound(g, inst->fn, args, &at_caps);
  for (int i = 0; g->fn && g->fn->kind == FUNC_LAMBDA && i < g->fn->n_caps; i++)
    env_set(g, g->fn->caps[i].symbol, g->fn->caps[i].value);
  return after;
}

// From outside nobody has compared the compound sizes of an export. Within, constant sizes are compared so that the passes
// know them (opt/sizes.c): where the call is inlined that costs nothing.
static void check_entry(Gen *g) {
  const Inst *inst = g->inst;
  for (int i = 0; i < inst->n_sizes; i++) {
    const Size *s = inst->sizes[i].size;
    int64_t constant;
    if (!inst->func->is_export && !size_is_const(s, &constant)) continue;
    const Symbol *bare = size_symbol_of(s);
    IrVal v = g->f->body->args[i], expected = 0;
    if (bare && bare->kind == SYM_SIZE) continue;
    BindVec names = {0};
    for (int k = 0; k < inst->n_sizes; k++) {
      Symbol *n = (Symbol *)size_symbol_of(inst->sizes[k].size);
      Bind b = {n, g->f->body->args[k]};
      if (n && n->kind == SYM_SIZE) vec_push(g->arena, &names, b);
    }
    for (int k = 0; k < inst->call.n && inst->call.symbols; k++) {
      Bind b = {inst->call.symbols[k], g->params[k]->val};
      if (inst->call.types[k]->kind == TYPE_INT) vec_push(g->arena, &names, b);
    }
    if (size_only(s, &names)) expected = size_emit(g, s, &names);
    if (expected) check_same(g, v, expected, g->f->source_name);
  }
}

static Value *extern_body(Gen *g) {
  const FnDecl *d = g->inst->fn->decl;
  IrVals args = {0};
  CallShape s = {0};
  for (int i = g->inst->n_size_params; i < g->f->n_params; i++)
    vec_push(g->arena, &args, g->f->body->args[i]);
  int *at = ARENA_ARRAY(g->arena, int, g->inst->results.len);
  for (int i = 0; i < g->inst->results.len; i++) {
    IrType t = g->inst->results.data[i].type;
    int rank = t.grow ? 0 : t.rank;
    IrVal *dims = ARENA_ARRAY(g->arena, IrVal, rank);
    for (int k = 0; k < rank; k++) {
      dims[k] = IR_RESULT(s.n);
      shape_add(g, &s, IR_SCALAR(IR_INT), NULL);
    }
    at[i] = s.n;
    shape_add(g, &s, t, rank ? dims : NULL);
  }
  IrOp *op = ir_op_explicit(&g->b, IR_EXTERN, args.data, args.len, s.types, s.dims, s.n);
  op->attr.ext = ARENA_NEW(g->arena, IrExtern);
  bool pure =
      d->pure || d->adjoint_rule || d->tangent_rule; // what has a derivative is a function of its arguments
  *op->attr.ext = (IrExtern){d->symbol ? d->symbol : d->name, d->slots, pure};
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, g->inst->results.len);
  for (int i = 0; i < g->inst->results.len; i++) leaves[i] = ir_result(op, at[i]);
  int k = 0;
  Value *v = value_from(g, g->inst->call.result, leaves, &k);
  if (g->inst->results.len) check_dims(g, v, NULL, g->inst->call.result, d->name);
  return v;
}

static Value *body_value(Gen *g) {
  const Inst *inst = g->inst;
  switch (inst->rule) {
  case RULE_NONE: break;
  case RULE_ADJOINT:
  case RULE_TANGENT: return lower_body(g, inst->decl->body);
  case RULE_LOSS:
  case RULE_LOSS_GRAD: return loss_body(g);
  case RULE_FORWARD: return forward_body(g);
  }
  switch (inst->fn->kind) {
  case FUNC_DECL:
    return inst->fn->decl->kind == FN_EXTERN ? extern_body(g) : lower_body(g, inst->fn->decl->body);
  case FUNC_LAMBDA: return lower_body(g, inst->fn->lambda->lambda.body);
  case FUNC_DERIV: return deriv_body(g);
  }
  return value_none(g);
}

typedef struct Out {
  IrVals vals;
  VEC(IrLeaf) leaves;
} Out;

static void put(Gen *g, Out *o, IrVal v, Name path) {
  IrLeaf leaf = {path, false};
  vec_push(g->arena, &o->vals, v);
  vec_push(g->arena, &o->leaves, leaf);
}

// Sizes that callers cannot compute: taken from the arrays they belong to.
static void put_extras(Gen *g, Out *o, const ValueVec *leaves) {
  const Inst *inst = g->inst;
  IrVal *extra = ARENA_ARRAY(g->arena, IrVal, inst->n_extra);
  int at = 0;
  for (int i = 0; i < inst->results.len; i++) {
    IrType t = inst->results.data[i].type;
    const IrVal *dims = leaf_dims(g, leaves->data[i]);
    for (int k = 0; !t.grow && k < t.rank; k++, at++) {
      int e = inst->result_dims[at].extra;
      if (e < 0) continue;
      if (extra[e])
        check_same(g, dims[k], extra[e], g->f->source_name);
      else
        extra[e] = dims[k];
    }
  }
  for (int i = 0; i < inst->n_extra; i++) put(g, o, extra[i], name_of(g->l, "size"));
}

static void finish(Gen *g, Value *v) {
  const Inst *inst = g->inst;
  ValueVec leaves = {0};
  Out o = {0};
  if (v) value_leaves(force(g, v), &leaves, g->arena);
  if (leaves.len < inst->results.len) {
    if (!g->l->failed)
      lower_fail(g->l, inst->loc, "`%s` does not give its result everywhere", g->f->source_name);
    return;
  }
  if (inst->rule != RULE_TANGENT) put_extras(g, &o, &leaves);
  for (int i = 0; i < inst->results.len; i++)
    if (!inst->decl || rule_returns(inst, i)) put(g, &o, leaves.data[i]->val, inst->results.data[i].path);
  for (int i = 0; i < inst->call.n; i++) {
    ValueVec last = {0};
    if (!inst->call.is_inout[i]) continue;
    value_leaves(force(g, env_get(g, inst->call.symbols[i])), &last, g->arena);
    for (int k = 0; k < last.len; k++) put(g, &o, last.data[k]->val, inst->param_leaves[i].data[k].path);
  }
  ir_set_results(g->f, o.vals.data, o.vals.len, o.leaves.data);
}

void inst_fill(Lower *l, Inst *inst) {
  Gen g;
  if (inst->filled) return;
  inst->filled = true;
  gen_init(&g, l, inst);
  bind_sizes(&g);
  int next = bind_params(&g);
  check_entry(&g);
  if (inst->decl) rule_params(&g, next);
  finish(&g, body_value(&g));
}

// ---- the program -------------------------------------------------------------------------------------------------------------

static Type *plain_type(Lower *l, TypeKind k) {
  Type *t = ARENA_NEW(l->arena, Type);
  t->kind = k;
  return t;
}

static void open_root(Lower *l, const LowerRoot *root) {
  Fn *fn = root->fn ? fn_of_decl(l, root->fn) : fn_of_expr_in(NULL, l, root->expr);
  if (!fn) return;
  Fn *own = ARENA_NEW(l->arena, Fn); // an export of its own, though others may be the same function
  *own = *fn;
  if (fn->kind != FUNC_DECL) own->key = name_of(l, "%s#%s", fn->key, root->name);
  Inst *inst = inst_of(l, own, root->real, NULL);
  if (inst && inst->func->is_export && inst->func->name != root->name) {
    own->key = name_of(l, "%s#%s", fn->key, root->name);
    inst = inst_of(l, own, root->real, NULL);
  }
  if (!inst) return;
  const IrFunc *other = ir_func_find(l->module, root->name);
  if (!other)
    ir_func_rename(inst->func, root->name);
  else if (other != inst->func)
    lower_fail(l, inst->loc, "two exports are called `%s`", root->name);
  inst->func->is_export = true;
  if (!inst->func->signature)
    inst->func->signature =
        arena_printf(l->arena, "%s: %s", root->name, type_text(l->arena, root->expr->type));
}

static void verify(Lower *l) {
#ifndef NDEBUG
  const char *bad = ir_verify_module(l->arena, l->module);
  if (!bad) return;
  Diag *g = diag_add(l->diags, DIAG_INTERNAL, LOC_NONE, "lowering made malformed IR: %s", bad);
  diag_help(l->diags, g, "please report this with the program");
  l->failed = true;
#else
  (void)l;
#endif
}

IrModule *lower_program(Arena *a, Program *p, const LowerRoot *roots, int n) {
  Lower *l = ARENA_NEW(a, Lower);
  int errors = p->diags->n_errors;
  *l = (Lower){.program = p, .arena = a, .diags = p->diags};
  l->module = ir_module_new(a, p->names, p->sources);
  l->int_ = plain_type(l, TYPE_INT);
  l->f64 = plain_type(l, TYPE_F64);
  l->bool_ = plain_type(l, TYPE_BOOL);
  for (int i = 0; i < n; i++) open_root(l, &roots[i]);
  for (int i = 0; i < l->insts.len && !l->failed; i++) inst_fill(l, l->insts.data[i]);
  if (!l->failed && p->diags->n_errors == errors) verify(l);
  return l->failed || p->diags->n_errors > errors ? NULL : l->module;
}
