// The user's derivative rules: an adjoint or tangent belongs to a function and fits its signature.
// In: FN_ADJOINT and FN_TANGENT declarations; out: FnDecl.adjoint_rule, tangent_rule. What must hold: a rule has its
// function's parameters (a tangent also one tangent for each that holds floats); an adjoint returns the value and a
// function from the result's derivative to those of the parameters.
#include "sema/check.h"

static const char *rule_word(const FnDecl *rule) { return rule->kind == FN_ADJOINT ? "adjoint" : "tangent"; }

static Symbol *rule_symbol(Checker *c, const FnDecl *rule) {
  Symbol *s = module_find(c, rule->module, rule->name);
  return s && s->kind == SYM_FN ? s : NULL;
}

static void bind_params(Checker *c, Unifier *u, const FnDecl *fn, const FnDecl *rule) {
  const Signature *f = fn->sig, *r = rule->sig;
  unify_init(u, c, f->sizes, f->n_sizes);
  for (int i = 0; i < f->n_params && i < r->n_params; i++) {
    Symbol *from = fn->params.data[i].symbol, *to = rule->params.data[i].symbol;
    if (from && to && from->size && to->size) unify_put(u, from, to->size, rule->params.data[i].loc);
    unify_bind(u, f->params[i], r->params[i], rule->params.data[i].loc);
  }
}

static int count_active(const Signature *sig) {
  int n = 0;
  for (int i = 0; i < sig->n_params; i++) n += type_holds_floats(sig->params[i]);
  return n;
}

static bool params_agree(Checker *c, const FnDecl *fn, const FnDecl *rule) {
  const Signature *f = signature_of(c, (FnDecl *)fn), *r = signature_of(c, (FnDecl *)rule);
  int n = f->n_params + (rule->kind == FN_TANGENT ? count_active(f) : 0);
  if (r->n_params != n) return false;
  Unifier u;
  bind_params(c, &u, fn, rule);
  for (int i = 0; i < f->n_params; i++)
    if (type_match(unify_apply(&u, f->params[i]), r->params[i], NULL) != MATCH_OK) return false;
  for (int i = 0, at = f->n_params; rule->kind == FN_TANGENT && i < f->n_params; i++) {
    if (!type_holds_floats(f->params[i])) continue;
    if (type_match(unify_apply(&u, f->params[i]), r->params[at++], NULL) != MATCH_OK) return false;
  }
  return true;
}

static void report_params(Checker *c, const FnDecl *fn, const FnDecl *rule) {
  Diag *g = diag_add(c->d, DIAG_RULE, rule->name_loc, "the parameters of this %s are not those of `%s`",
                     rule_word(rule), fn->name);
  diag_span(c->d, g, fn->name_loc, "`%s`", signature_text(c->a, fn));
  if (rule->kind == FN_ADJOINT) {
    diag_help(c->d, g,
              "an adjoint has the same parameters: the derivative comes in through the function it returns");
    return;
  }
  StrBuf form;
  sb_init(&form, c->a);
  const Signature *sig = fn->sig;
  for (int i = 0; i < sig->n_params; i++)
    sb_addf(&form, "%s%s: %s", i ? ", " : "", fn->params.data[i].name, type_text(c->a, sig->params[i]));
  for (int i = 0; i < sig->n_params; i++)
    if (type_holds_floats(sig->params[i]))
      sb_addf(&form, ", d%s: %s", fn->params.data[i].name, type_text(c->a, sig->params[i]));
  diag_help(c->d, g,
            "a tangent has the parameters, then a tangent for each that holds floats: `tangent %s(%s)`",
            fn->name, form.data ? form.data : "");
}

static void report_no_fn(Checker *c, const FnDecl *rule) {
  Diag *g = diag_add(c->d, DIAG_RULE, rule->name_loc, "there is no function `%s` in this file for this %s",
                     rule->name, rule_word(rule));
  VEC(Name) names = {0};
  for (int i = 0; i < rule->module->fns.len; i++) {
    const FnDecl *fn = rule->module->fns.data[i];
    if (fn->kind == FN_PLAIN || fn->kind == FN_EXTERN) vec_push(c->a, &names, fn->name);
  }
  Name near = nearest_name(rule->name, names.data, names.len);
  if (near)
    diag_help(c->d, g, "did you mean `%s`?", near);
  else
    diag_help(c->d, g, "a rule stands in the file of the function it is for");
}

void attach_rule(Checker *c, FnDecl *rule) {
  Symbol *s = rule_symbol(c, rule);
  if (!s) {
    report_no_fn(c, rule);
    return;
  }
  FnDecl *fn = NULL;
  for (int i = 0; i < s->n_fns && !fn; i++)
    if (params_agree(c, s->fns[i], rule)) fn = s->fns[i];
  if (!fn) {
    report_params(c, s->fns[0], rule);
    return;
  }
  for (int i = 0; i < fn->params.len; i++)
    if (fn->params.data[i].is_inout) {
      diag_add(c->d, DIAG_RULE, rule->name_loc,
               "`%s` has an inout parameter, and a rule is for functions of values", fn->name);
      return;
    }
  FnDecl **at = rule->kind == FN_ADJOINT ? &fn->adjoint_rule : &fn->tangent_rule;
  if (*at) {
    Diag *g = diag_add(c->d, DIAG_RULE, rule->name_loc, "`%s` has two %ss", fn->name, rule_word(rule));
    diag_span(c->d, g, (*at)->name_loc, "the first one");
    return;
  }
  *at = rule;
}

// ---- the body ------------------------------------------------------------------------------------------------------------

static FnDecl *fn_of_rule(Checker *c, const FnDecl *rule) {
  Symbol *s = rule_symbol(c, rule);
  for (int i = 0; s && i < s->n_fns; i++)
    if (s->fns[i]->adjoint_rule == rule || s->fns[i]->tangent_rule == rule) return s->fns[i];
  return NULL;
}

static Type *adjoint_type(Checker *c, const FnDecl *rule) {
  const Signature *r = rule->sig;
  Type **types = ARENA_ARRAY(c->a, Type *, r->n_params + 1);
  Name *names = ARENA_ARRAY(c->a, Name, r->n_params + 1);
  int n = 0;
  for (int i = 0; i < r->n_params; i++) {
    if (!type_holds_floats(r->params[i])) continue;
    names[n] = rule->params.data[i].name;
    types[n++] = r->params[i];
  }
  return derivative_type(c, types, names, n);
}

bool rule_frame(Checker *c, FnDecl *rule, Frame *frame) {
  FnDecl *fn = fn_of_rule(c, rule);
  Signature *sig = rule->sig;
  if (!fn) return false; // reported
  Type *own = ensure_result(c, fn, rule->name_loc);
  Unifier u;
  bind_params(c, &u, fn, rule);
  Type *value = unify_apply(&u, own);
  if (!type_holds_floats(value) && value->kind != TYPE_ERROR) {
    diag_add(c->d, DIAG_RULE, rule->name_loc, "`%s` gives `%s`, which has no derivative", rule->name,
             type_text(c->a, value));
    return false;
  }
  if (rule->result && rule->kind == FN_TANGENT && type_match(value, sig->result, NULL) != MATCH_OK)
    report_mismatch(c, DIAG_RULE, rule->result->loc, value, sig->result, "a tangent's result");
  if (rule->kind == FN_TANGENT) {
    sig->result = value;
    return true;
  }
  frame->rule_of = fn;
  Type **dy = ARENA_ARRAY(c->a, Type *, 1);
  dy[0] = value;
  frame->pullback = type_fn(c, dy, 1, adjoint_type(c, rule), NULL);
  Type **parts = ARENA_ARRAY(c->a, Type *, 2);
  parts[0] = value;
  parts[1] = frame->pullback;
  sig->result = type_tuple(c, parts, NULL, 2);
  return true;
}

bool check_rule_return(Checker *c, Expr *value) {
  Frame *f = c->frame;
  bool pair = value && value->kind == EXPR_TUPLE && value->tuple.elems.len == 2;
  if (!pair) {
    Type *t = check_any(c, value, NULL);
    if (t->kind == TYPE_ERROR && value) return false;
    Diag *g = diag_add(c->d, DIAG_RULE, value ? value->loc : f->fn->name_loc,
                       "an adjoint returns two things: the value, and what pulls a derivative back");
    diag_help(c->d, g, "write `return value, fn(dy) => ...`, of type `%s`", type_text(c->a, f->pullback));
    return false;
  }
  Type *parts[2] = {f->pullback->parts[0], f->pullback};
  check_expr(c, value->tuple.elems.data[0], parts[0]);
  expect_type(c, value->tuple.elems.data[0], parts[0], "the value of this adjoint");
  check_fn_value(c, value->tuple.elems.data[1], f->pullback, NULL, -1, "the second part of an adjoint");
  value->type = f->fn && f->fn->sig ? f->fn->sig->result : c->error;
  return true;
}
