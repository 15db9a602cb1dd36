// The user's derivative rules as IR functions. In: an instance of a function with rules; out, beside it:
//   f.adjoint   f's parameters, then an adjoint per float result -> f's results, then an adjoint per float parameter leaf;
//               the adjoints' sizes that f's parameters do not have come after its own sizes
//   f.tangent   f's parameters, then a tangent per float parameter leaf -> a tangent per float result
// The function an adjoint returns is called on the incoming derivative at each of its returns.
#include "lower/internal.h"

static Type *value_type(const Inst *r) {
  Type *t = r->decl->sig->result;
  return r->rule == RULE_ADJOINT && t->kind == TYPE_TUPLE && t->n_parts ? t->parts[0] : t;
}

// What the rule's function returns as one type: for an adjoint the value, then one part per parameter with floats.
static Type *rule_type(Lower *l, const Inst *r) {
  if (r->rule == RULE_TANGENT) return value_type(r);
  Type **parts = ARENA_ARRAY(l->arena, Type *, r->call.n + 1);
  int n = 0;
  parts[n++] = value_type(r);
  for (int i = 0; i < r->call.n; i++)
    if (type_holds_floats(r->call.types[i])) parts[n++] = r->call.types[i];
  return type_tuple_of(l->arena, parts, NULL, n);
}

static void seed_params(Lower *l, Inst *r, Type *t, Name name) {
  LeafVec leaves = {0};
  type_leaves(l, t, name, r->real, &leaves);
  for (int i = 0; i < leaves.len; i++)
    if (ir_is_float(leaves.data[i].type)) inst_param_leaf(l, r, &leaves.data[i]);
}

static Inst *rule_inst(Lower *l, Inst *of, FnDecl *rule, RuleKind kind) {
  Inst *r = ARENA_NEW(l->arena, Inst);
  const Callable *f = &of->call;
  *r = (Inst){.real = of->real, .rule = kind, .of = of, .decl = rule, .loc = rule->name_loc};
  if (kind == RULE_ADJOINT) r->seed = value_type(r);
  for (int i = 0; i < f->n; i++)
    if (f->types[i]->kind == TYPE_FN) {
      lower_fail(l, rule->name_loc, "a rule cannot be used for `%s`, which takes a function", of->fn->name);
      return NULL;
    }
  r->call = *f;
  r->call.types = ARENA_ARRAY(l->arena, Type *, f->n);
  r->call.symbols = ARENA_ARRAY(l->arena, Symbol *, f->n);
  for (int i = 0; i < f->n; i++) {
    r->call.types[i] = rule->sig->params[i];
    r->call.symbols[i] = rule->params.data[i].symbol;
  }
  r->call.result = rule_type(l, r);
  inst_open(l, r, name_of(l, "%s.%s", of->fn->name, kind == RULE_ADJOINT ? "adjoint" : "tangent"));
  if (r->n_sizes != of->n_sizes)
    lower_fail(l, rule->name_loc, "the sizes of this rule's parameters are not those of `%s`", of->fn->name);
  if (kind == RULE_ADJOINT) seed_params(l, r, value_type(r), name_of(l, "adjoint"));
  for (int i = f->n; kind == RULE_TANGENT && i < rule->params.len; i++)
    seed_params(l, r, rule->sig->params[i], rule->params.data[i].name);
  inst_results(l, r);
  r->func->source_name = rule->name;
  vec_push(l->arena, &l->insts, r);
  return r;
}

void rules_attach(Lower *l, Inst *inst) {
  FnDecl *d = inst->fn->decl;
  Inst *a = d->adjoint_rule ? rule_inst(l, inst, d->adjoint_rule, RULE_ADJOINT) : NULL;
  Inst *t = d->tangent_rule ? rule_inst(l, inst, d->tangent_rule, RULE_TANGENT) : NULL;
  inst->func->has_rule = a || t;
  if (a) inst->func->adjoint_rule = a->func->name;
  if (t) inst->func->tangent_rule = t->func->name;
}

// A value of type t whose floats are the next parameters, and whose other leaves are zero.
static Value *seed_value(Gen *g, const Type *t, int *next) {
  LeafVec leaves = {0};
  IrVals vals = {0};
  type_leaves(g->l, t, name_of(g->l, "%s", ""), g->real, &leaves);
  for (int i = 0; i < leaves.len; i++) {
    const Leaf *leaf = &leaves.data[i];
    IrVal v = 0, dims[IR_MAX_RANK] = {0};
    if (ir_is_float(leaf->type)) {
      v = g->f->body->args[(*next)++];
    } else {
      for (int k = 0; k < leaf->type.rank; k++) dims[k] = known_value(g, leaf->dims[k]);
      v = zero_of(g, (IrElem)leaf->type.elem);
      if (leaf->type.rank)
        v = leaf->type.grow ? ir_empty(&g->b, (IrElem)leaf->type.elem)
                            : ir_fill(&g->b, v, dims, leaf->type.rank);
    }
    vec_push(g->arena, &vals, v);
  }
  int at = 0;
  return value_from(g, t, vals.data, &at);
}

void rule_params(Gen *g, int next) {
  const Inst *r = g->inst;
  const FnDecl *rule = r->decl;
  if (r->rule == RULE_ADJOINT) g->seed = seed_value(g, value_type(r), &next);
  for (int i = r->call.n; r->rule == RULE_TANGENT && i < rule->params.len; i++)
    env_set(g, rule->params.data[i].symbol, seed_value(g, rule->sig->params[i], &next));
}

Value *rule_result(Gen *g, Expr *e) {
  const Inst *r = g->inst;
  Type *own = value_type(r);
  if (!e || e->kind != EXPR_TUPLE || e->tuple.elems.len != 2) {
    lower_fail(g->l, g->b.loc.loc, "an adjoint returns a value and a function");
    return value_none(g);
  }
  Value *y = force(g, lower_as(g, e->tuple.elems.data[0], own, NULL));
  Fn *pull = fn_of_expr(g, e->tuple.elems.data[1]);
  if (!pull) return value_none(g);
  const Type *types[1] = {own};
  Value *d = call_fn_values(g, pull, &g->seed, 1, types, NULL);
  Value **parts = ARENA_ARRAY(g->arena, Value *, r->call.result->n_parts);
  parts[0] = y;
  int n = r->call.result->n_parts - 1;
  for (int i = 0; i < n; i++) parts[1 + i] = n == 1 ? d : i < d->n_parts ? d->parts[i] : value_none(g);
  return force(g, coerce(g, value_parts(g, parts, n + 1), NULL, r->call.result, name_of(g->l, "adjoint")));
}

// Whether result leaf k of a rule is among the IR function's results.
bool rule_returns(const Inst *r, int k) {
  bool own = r->rule == RULE_ADJOINT && k < type_leaf_count(value_type(r));
  return own || ir_is_float(r->results.data[k].type);
}

// ---- functions with rules, differentiated themselves -----------------------------------------------------------------------

Inst *rule_forward(Lower *l, Inst *inst) {
  if (!inst->func->has_rule) return inst;
  if (inst->forward) return inst->forward;
  Inst *f = ARENA_NEW(l->arena, Inst);
  *f = (Inst){.fn = inst->fn, .fn_args = inst->fn_args, .real = inst->real, .rule = RULE_FORWARD, .of = inst};
  f->call = inst->call;
  f->loc = inst->loc;
  inst_open(l, f, name_of(l, "%s.call", inst->func->name));
  inst_results(l, f);
  f->func->source_name = inst->func->source_name;
  vec_push(l->arena, &l->insts, f);
  return inst->forward = f;
}

Value *forward_body(Gen *g) {
  CallArgs a;
  args_init(g, &a, g->inst->call.n, g->inst->fn->name);
  for (int i = 0; i < a.n; i++) {
    a.values[i] = g->params[i];
    a.types[i] = g->inst->call.types[i];
  }
  return call_emit(g, g->inst->of, g->fn, &a, NULL);
}
