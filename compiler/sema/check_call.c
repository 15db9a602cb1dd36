// Calls: what is called, which arguments go where, which sizes they bind, what comes out.
// In: EXPR_CALL; out: its kind, function, arguments by parameter, type. What must hold: array arguments bind the sizes by
// bare name first; literals follow the float type of the other arguments; functions come last, with all sizes known.
#include "sema/check.h"

// ---- helpers -----------------------------------------------------------------------------------------------------------

void check_loose_args(Checker *c, Expr *call) {
  for (int i = 0; i < call->call.args.len; i++) {
    Expr *v = call->call.args.data[i].value;
    if (v && !v->type && v->kind != EXPR_LAMBDA) check_any(c, v, NULL);
    if (v && !v->type) v->type = c->error;
  }
}

static Arg *arg_of(Expr *call, const Expr *value) {
  for (int i = 0; i < call->call.args.len; i++)
    if (call->call.args.data[i].value == value) return &call->call.args.data[i];
  return NULL;
}

static bool param_is_inout(const FnDecl *fn, int i) { return fn->params.data[i].is_inout; }

// ---- inout -------------------------------------------------------------------------------------------------------------

void check_inout_args(Checker *c, Expr *call) {
  for (int i = 0; i < call->call.args.len; i++) {
    Arg *x = &call->call.args.data[i];
    for (int j = 0; x->is_inout && j < i; j++) {
      Arg *y = &call->call.args.data[j];
      if (!y->is_inout || !places_overlap(x->value, y->value)) continue;
      Symbol *root = place_root(x->value);
      Diag *g = diag_add(c->d, DIAG_OVERLAP, x->value->loc, "`%s` is passed inout twice in one call",
                         root ? root->name : "this");
      diag_label(c->d, g, "overlaps");
      diag_span(c->d, g, y->value->loc, "with this");
      diag_note(c->d, g, "an inout argument is updated alone: both results cannot be kept");
      diag_help(c->d, g, "copy one of them into a variable of its own first");
    }
  }
}

static void check_inout_mark(Checker *c, Expr *call, const FnDecl *fn, int i, Expr *value) {
  Arg *arg = arg_of(call, value);
  if (!arg) return;
  bool wants = param_is_inout(fn, i);
  if (wants && !arg->is_inout) {
    Diag *g = diag_add(c->d, DIAG_INOUT, value->loc, "the argument `%s` of `%s` is changed by the call",
                       fn->params.data[i].name, fn->name);
    diag_help(c->d, g, "mark it: `inout ...`");
  } else if (!wants && arg->is_inout) {
    Diag *g = diag_add(c->d, DIAG_INOUT, value->loc, "the parameter `%s` of `%s` is not inout",
                       fn->params.data[i].name, fn->name);
    diag_span(c->d, g, fn->params.data[i].loc, "declared here");
    diag_help(c->d, g, "leave out `inout`; the call gets the value");
  }
}

// ---- a call of a declared function ---------------------------------------------------------------------------------------

typedef struct Calling {
  Expr *call;
  FnDecl *fn;
  Signature *sig;
  Expr **args;
  Unifier u;
  bool reuse; // argument types are known from choosing the overload
} Calling;

static const char *arg_name(Checker *c, const Calling *k, int i) {
  return arena_printf(c->a, "the argument `%s` of `%s`", k->fn->params.data[i].name, k->fn->name);
}

// What a literal may take from the parameter: its float type, as far as bound.
static Type *arg_hint(const Calling *k, int i) {
  Type *formal = k->sig->params[i];
  SizeSubst none = {0};
  if (!k->sig->has_real) return formal;
  return type_subst(k->u.c->a, formal, &none, k->u.real ? k->u.real : default_float(k->u.c));
}

static bool is_default(const Calling *k, int i) { return k->args[i] == k->fn->params.data[i].def; }

static void check_inout_place(Checker *c, Expr *e) {
  check_place(c, e, "pass inout");
  Symbol *root = place_root(e);
  if (root) root->used = true;
}

static void check_arg(Checker *c, Calling *k, int i) {
  Expr *e = k->args[i];
  Type *hint = arg_hint(k, i);
  bool known = k->reuse && e->type && (e->kind != EXPR_ARRAY || type_equal(e->type, hint));
  if (is_default(k, i))
    known = true;
  else if (param_is_inout(k->fn, i))
    check_inout_place(c, e);
  else if (!known)
    check_expr(c, e, hint);
  if (!e->type) check_expr(c, e, hint);
  Symbol *s = k->fn->params.data[i].symbol;
  if (k->sig->params[i]->kind == TYPE_INT && s && s->size)
    unify_put(&k->u, s, e->size ? e->size : fresh_opaque(c, e->loc, s->name), e->loc);
  Type *real = k->u.real;
  unify_bind(&k->u, k->sig->params[i], e->type, e->loc);
  if (is_default(k, i)) k->u.real = real; // a default follows `real`, it does not set it
}

enum { PASS_RIGID, PASS_FLEXIBLE, PASS_FN, PASSES };

static int pass_of(Checker *c, const Calling *k, int i) {
  if (k->sig->params[i]->kind == TYPE_FN) return PASS_FN;
  if (is_default(k, i)) return PASS_FLEXIBLE;
  bool flexible = k->sig->has_real && k->sig->params[i]->kind != TYPE_INT && is_flexible(c, k->args[i]);
  return flexible ? PASS_FLEXIBLE : PASS_RIGID;
}

// A hint such as f32 from outside binds `real` where only literals were given.
static void bind_real_from_hint(Calling *k, Type *hint) {
  if (k->u.real || !k->sig->has_real || !hint) return;
  Type *wanted = type_scalar_of(hint), *result = type_scalar_of(k->sig->result);
  if (result->kind == TYPE_REAL && type_is_float(wanted)) k->u.real = wanted;
}

static void check_args(Checker *c, Calling *k, Type *hint) {
  int *passes =
      ARENA_ARRAY(c->a, int, k->sig->n_params + 1); // once: checking one argument may declare a name
  for (int i = 0; i < k->sig->n_params; i++) passes[i] = pass_of(c, k, i);
  for (int pass = PASS_RIGID; pass < PASSES; pass++) {
    if (pass == PASS_FLEXIBLE) bind_real_from_hint(k, hint);
    for (int i = 0; i < k->sig->n_params; i++) {
      if (passes[i] != pass) continue;
      if (pass < PASS_FN)
        check_arg(c, k, i);
      else
        check_fn_value(c, k->args[i], unify_apply(&k->u, k->sig->params[i]), NULL, -1, arg_name(c, k, i));
    }
  }
}

typedef struct Origins {
  const Unifier *u;
  Checker *c;
  Diag *g;
  Loc skip;
} Origins;

static bool explain_atom(void *user, const Atom *atom) {
  Origins *o = user;
  for (int i = 0; atom->kind == ATOM_SYMBOL && i < o->u->subst.len; i++) {
    const SizeBinding *b = &o->u->subst.data[i];
    if (b->symbol != atom->symbol || o->u->origins.data[i].off == o->skip.off) continue;
    diag_span(o->c->d, o->g, o->u->origins.data[i], "%s = %s comes from this", b->symbol->name,
              size_text(o->c->a, b->size));
  }
  return false;
}

static void report_arg_sizes(Checker *c, Calling *k, int i, const Mismatch *m) {
  Expr *e = k->args[i];
  Diag *g = diag_add(c->d, DIAG_SIZE, e->loc, "sizes differ: `%s` needs `%s: %s`, not `%s`", k->fn->name,
                     k->fn->params.data[i].name, type_text(c->a, unify_apply(&k->u, k->sig->params[i])),
                     type_text(c->a, e->type));
  diag_label(c->d, g, "%s here, not %s", size_text(c->a, m->got), size_text(c->a, m->want));
  Origins o = {&k->u, c, g, e->loc};
  type_any_atom(k->sig->params[i], explain_atom, &o);
  diag_span(c->d, g, k->fn->params.data[i].loc, "declared as `%s: %s`", k->fn->params.data[i].name,
            type_text(c->a, k->sig->params[i]));
}

static void match_arg(Checker *c, Calling *k, int i) {
  Expr *e = k->args[i];
  if (k->sig->params[i]->kind == TYPE_FN || is_default(k, i)) return;
  check_inout_mark(c, k->call, k->fn, i, e);
  Type *want = unify_apply(&k->u, k->sig->params[i]);
  if (scalar_converts(e->type, want) && !param_is_inout(k->fn, i)) return;
  Mismatch m;
  switch (type_match(want, e->type, &m)) {
  case MATCH_OK: break;
  case MATCH_TYPE: report_mismatch(c, DIAG_TYPE, e->loc, want, e->type, arg_name(c, k, i)); break;
  case MATCH_SIZE: report_arg_sizes(c, k, i, &m); break;
  }
}

static void check_like(Checker *c, Expr *call, const FnDecl *fn) {
  for (int i = 0; i < call->call.args.len; i++) {
    Arg *arg = &call->call.args.data[i];
    if (!is_like(c, fn, arg)) continue;
    Type *t = check_expr(c, arg->value, NULL);
    if (t->kind == TYPE_ERROR || type_holds_floats(t)) continue;
    diag_add(c->d, DIAG_TYPE, arg->value->loc,
             "`like` is the value to be optimised, and `%s` holds no floats", type_text(c->a, t));
  }
}

// Sizes that no argument gave: unknown ones, so that checking can go on.
static void bind_rest(Checker *c, Calling *k) {
  for (int i = 0; i < k->sig->n_sizes; i++)
    if (!unify_get(&k->u, k->sig->sizes[i]))
      unify_put(&k->u, k->sig->sizes[i], fresh_opaque(c, k->call->loc, k->sig->sizes[i]->name), k->call->loc);
}

static Type *call_with(Checker *c, Expr *e, FnDecl *fn, bool reuse, Type *hint) {
  Signature *sig = signature_of(c, fn);
  Calling k = {.call = e, .fn = fn, .sig = sig, .reuse = reuse};
  k.args = ARENA_ARRAY(c->a, Expr *, fn->params.len + 1);
  e->call.kind = CALL_FN;
  e->call.fn = fn;
  use_fn(c, fn);
  if (fn->broken) {
    check_loose_args(c, e);
    return c->error;
  }
  if (!place_args(c, e, fn, k.args, true)) {
    check_loose_args(c, e);
    return ensure_result(c, fn, e->loc)->kind == TYPE_VOID ? c->void_ : c->error;
  }
  e->call.args_by_param = k.args;
  e->call.n_params = fn->params.len;
  unify_init(&k.u, c, sig->sizes, sig->n_sizes);
  check_args(c, &k, hint);
  bind_rest(c, &k);
  for (int i = 0; i < sig->n_params; i++) match_arg(c, &k, i);
  check_like(c, e, fn);
  check_inout_args(c, e);
  Type *result = ensure_result(c, fn, e->loc);
  return unify_apply(&k.u, type_freshen(c, result, e->loc));
}

Type *call_fn(Checker *c, Expr *e, FnDecl *fn, Type *hint) { return call_with(c, e, fn, false, hint); }

// ---- overloads (standard modules only) -----------------------------------------------------------------------------------

static bool arg_fits(Checker *c, Unifier *u, Type *formal, const Expr *e) {
  if (formal->kind == TYPE_FN) return e->kind == EXPR_LAMBDA || !e->type || e->type->kind == TYPE_FN;
  if (!e->type) return false;
  Type *want = unify_apply(u, formal);
  if (type_match(want, e->type, NULL) != MATCH_TYPE || scalar_converts(e->type, want)) return true;
  return e->kind == EXPR_ARRAY && want->kind == TYPE_ARRAY && e->type->kind == TYPE_ARRAY &&
         want->rank == e->type->rank && scalar_converts(e->type->elem, want->elem) && is_flexible(c, e);
}

static bool overload_fits(Checker *c, Expr *call, FnDecl *fn, bool exact) {
  Signature *sig = signature_of(c, fn);
  Expr **args = ARENA_ARRAY(c->a, Expr *, fn->params.len + 1);
  if (!place_args(c, call, fn, args, false)) return false;
  Unifier u;
  unify_init(&u, c, sig->sizes, sig->n_sizes);
  for (int i = 0; i < sig->n_params; i++)
    if (args[i] != fn->params.data[i].def && args[i]->type)
      unify_bind(&u, sig->params[i], args[i]->type, args[i]->loc);
  for (int i = 0; i < sig->n_params; i++) {
    if (args[i] == fn->params.data[i].def) continue;
    if (!arg_fits(c, &u, sig->params[i], args[i])) return false;
    if (exact && args[i]->type && sig->params[i]->kind != TYPE_FN &&
        type_match(unify_apply(&u, sig->params[i]), args[i]->type, NULL) == MATCH_TYPE)
      return false;
  }
  return true;
}

static void report_overload(Checker *c, const Expr *e, const Symbol *s) {
  Diag *g = diag_add(c->d, DIAG_OVERLOAD, e->loc, "no variant of `%s` takes these arguments", s->name);
  StrBuf types;
  sb_init(&types, c->a);
  for (int i = 0; i < e->call.args.len; i++) {
    const Expr *v = e->call.args.data[i].value;
    sb_addf(&types, "%s`%s`", i ? ", " : "", v && v->type ? type_text(c->a, v->type) : "?");
  }
  diag_label(c->d, g, types.len ? "the arguments are %s" : "no arguments%s", types.data);
  for (int i = 0; i < s->n_fns && i < 6; i++)
    diag_note(c->d, g, "there is `%s`", signature_text(c->a, s->fns[i]));
}

// Types the arguments that can be typed alone, then takes the first variant that fits exactly, or with conversions.
FnDecl *pick_overload(Checker *c, Expr *e, Symbol *s) {
  bool bad = false;
  for (int i = 0; i < e->call.args.len; i++) {
    Expr *v = e->call.args.data[i].value;
    if (!v || v->kind == EXPR_LAMBDA) continue;
    check_any(c, v, NULL);
    bad |= v->type->kind == TYPE_ERROR;
  }
  if (bad) return NULL;
  for (int exact = 1; exact >= 0; exact--)
    for (int i = 0; i < s->n_fns; i++)
      if (overload_fits(c, e, s->fns[i], exact)) return s->fns[i];
  report_overload(c, e, s);
  return NULL;
}

static Type *call_symbol(Checker *c, Expr *e, Symbol *s, Type *hint) {
  if (s->n_fns == 1) return call_with(c, e, s->fns[0], false, hint);
  FnDecl *fn = pick_overload(c, e, s);
  if (fn) return call_with(c, e, fn, true, hint);
  check_loose_args(c, e);
  return c->error;
}

// ---- what is called --------------------------------------------------------------------------------------------------------

static Type *report_callee(Checker *c, Expr *e, const Symbol *s) {
  check_loose_args(c, e);
  const char *name = s->name;
  Loc loc = e->call.callee->loc;
  Diag *g;
  switch (s->kind) {
  case SYM_STRUCT:
    g = diag_add(c->d, DIAG_CALLEE, loc, "`%s` is a struct, not a function", name);
    diag_help(c->d, g, "make one with its fields: `%s { ... }`", name);
    return c->error;
  case SYM_MODULE:
    g = diag_add(c->d, DIAG_CALLEE, loc, "`%s` is a module, not a function", name);
    diag_help(c->d, g, "call a function in it: `%s.name(...)`", name);
    return c->error;
  case SYM_LOCAL:
  case SYM_PARAM:
  case SYM_SIZE:
    if (s->type->kind == TYPE_ERROR) return c->error;
    g = diag_add(c->d, DIAG_CALLEE, loc, "`%s` is `%s`, not a function", name, type_text(c->a, s->type));
    diag_span(c->d, g, s->loc, "declared here");
    if (s->type->kind == TYPE_ARRAY) diag_help(c->d, g, "to index, write `%s[...]`", name);
    return c->error;
  case SYM_FN:
  case SYM_BUILTIN: break;
  }
  return c->error;
}

// A name may be built-in and in the prelude: the number of arguments decides.
static Type *call_builtin(Checker *c, Expr *e, Builtin b, Type *hint) {
  e->call.kind = CALL_BUILTIN;
  e->call.builtin = (int)b;
  e->call.callee->type = c->void_;
  Type *t = check_builtin(c, e, b, hint);
  check_loose_args(c, e);
  return t;
}

static Type *call_name(Checker *c, Expr *e, Type *hint) {
  Expr *callee = e->call.callee;
  Symbol *s = name_find_callee(c, callee->name.name);
  callee->name.symbol = s;
  callee->type = c->error;
  if (!s) {
    report_unknown_name(c, callee->name.name, callee->loc);
    check_loose_args(c, e);
    return c->error;
  }
  s->used = true;
  Symbol *builtin = map_get(&c->builtins, callee->name.name);
  if (s->kind == SYM_BUILTIN) return call_builtin(c, e, (Builtin)s->n_fns, hint);
  if (s->kind == SYM_FN && builtin && s->fns[0]->module == c->p->prelude &&
      builtin_takes((Builtin)builtin->n_fns, e->call.args.len)) {
    callee->name.symbol = builtin;
    return call_builtin(c, e, (Builtin)builtin->n_fns, hint);
  }
  if (s->kind == SYM_FN) {
    Type *t = call_symbol(c, e, s, hint);
    callee->type = c->void_;
    return t;
  }
  if (s->type->kind == TYPE_FN) return call_value(c, e, hint);
  return report_callee(c, e, s);
}

static Symbol *member_fn(Checker *c, Expr *callee) {
  if (callee->kind != EXPR_FIELD || !callee->field.base || callee->field.base->kind != EXPR_NAME) return NULL;
  Symbol *m = name_find(c, callee->field.base->name.name);
  if (!m || m->kind != SYM_MODULE) return NULL;
  Symbol *s = module_find(c, m->module, callee->field.name);
  if (!s || s->kind != SYM_FN) return NULL;
  callee->field.base->name.symbol = m;
  callee->field.base->type = callee->type = c->void_;
  callee->field.index = -1;
  callee->field.symbol = s;
  return s;
}

Type *check_call(Checker *c, Expr *e, Type *hint) {
  Expr *callee = e->call.callee;
  e->call.kind = CALL_UNRESOLVED;
  if (!callee || callee->kind == EXPR_ERROR) {
    if (callee) callee->type = c->error;
    check_loose_args(c, e);
    return c->error;
  }
  if (callee->kind == EXPR_NAME) return call_name(c, e, hint);
  Symbol *member = member_fn(c, callee);
  return member ? call_symbol(c, e, member, hint) : call_value(c, e, hint);
}
