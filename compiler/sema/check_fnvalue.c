// Function values: names of functions, lambdas, derivatives, parameters of function type; passing and calling them.
// In: an expression where a function is wanted; out: its type, with a scheme where its sizes are still open. What must
// hold: functions are specialised, never stored; a lambda without types gets them from what it is passed to or from the
// arguments it is called with.
#include "sema/check.h"

#include <string.h>

// ---- looking at function values ------------------------------------------------------------------------------------------

const Expr *fn_origin(const Expr *e) {
  while (e && e->kind == EXPR_NAME && e->name.symbol && e->name.symbol->fn_value)
    e = e->name.symbol->fn_value;
  return e;
}

static const FnDecl *decl_of(const Expr *e) {
  bool named = e->kind == EXPR_NAME || e->kind == EXPR_FIELD;
  return named && e->type && e->type->kind == TYPE_FN && e->type->scheme ? e->type->scheme->decl : NULL;
}

Name fn_param_name(const Expr *e, int i) {
  e = fn_origin(e);
  if (!e) return NULL;
  const FnDecl *fn = decl_of(e);
  if (fn) return i < fn->params.len ? fn->params.data[i].name : NULL;
  if (e->kind == EXPR_LAMBDA) return i < e->lambda.params.len ? e->lambda.params.data[i].name : NULL;
  const Deriv *d = e->kind == EXPR_CALL ? e->call.deriv : NULL;
  return d && i < d->n_params ? d->names[i] : NULL;
}

Expr *fn_param_default(const Expr *e, int i) {
  e = fn_origin(e);
  while (e && e->kind == EXPR_CALL && e->call.deriv && i < e->call.deriv->target->type->n_parts)
    e = fn_origin(e->call.deriv->target);
  const FnDecl *fn = e ? decl_of(e) : NULL;
  return fn && i < fn->params.len ? fn->params.data[i].def : NULL;
}

const char *fn_describe(Checker *c, const Expr *e) {
  if (e->kind == EXPR_NAME) return arena_printf(c->a, "`%s`", e->name.name);
  if (e->kind == EXPR_FIELD) return arena_printf(c->a, "`%s`", e->field.name);
  const Expr *target = e->kind == EXPR_CALL && e->call.deriv ? e->call.deriv->target : NULL;
  if (target && target->kind == EXPR_NAME)
    return arena_printf(c->a, "`%s(%s)`", e->call.callee->name.name, target->name.name);
  return "this function";
}

FnView fn_view(Checker *c, const Type *t) {
  (void)c;
  FnView v = {.params = t->parts, .n_params = t->n_parts, .result = t->result};
  if (!t->scheme) return v;
  v.vars = t->scheme->sizes;
  v.n_vars = t->scheme->n_sizes;
  v.has_real = t->scheme->has_real;
  return v;
}

static bool is_deriv_call(Checker *c, const Expr *e) {
  if (e->kind != EXPR_CALL || !e->call.callee || e->call.callee->kind != EXPR_NAME) return false;
  Symbol *s = name_find_callee(c, e->call.callee->name.name);
  return s && s->kind == SYM_BUILTIN && builtin_is_deriv((Builtin)s->n_fns);
}

// How many parameters it has as a function value; 0: it is not a built-in function that can be one.
static int value_arity(const Symbol *s) {
  return s && s->kind == SYM_BUILTIN ? builtin_value_arity((Builtin)s->n_fns) : 0;
}

bool needs_arg_types(Checker *c, const Expr *e) {
  if (!e) return false;
  if (e->kind == EXPR_LAMBDA) {
    for (int i = 0; i < e->lambda.params.len; i++)
      if (!e->lambda.params.data[i].type) return true;
    return false;
  }
  if (e->kind == EXPR_NAME) { // of several variants the arguments' types choose
    const Symbol *s = name_find(c, e->name.name);
    return (s && s->kind == SYM_FN && s->n_fns > 1) || value_arity(s);
  }
  return is_deriv_call(c, e) && e->call.args.len && needs_arg_types(c, e->call.args.data[0].value);
}

// ---- lambdas ---------------------------------------------------------------------------------------------------------------

Body check_body(Checker *c, Expr *body, Type *want) {
  Body b = {NULL, true};
  if (!body) return b;
  if (body->kind != EXPR_BLOCK) {
    b.value = check_any(c, body, want);
    return b;
  }
  scope_push(c);
  b.completes = check_stmts(c, &body->block.stmts);
  Expr *value = body->block.value;
  if (value) b.value = check_any(c, value, b.completes ? want : NULL);
  if (value && !b.completes) {
    if (!c->module->is_std) diag_add(c->d, DIAG_UNREACHABLE, value->loc, "this is never reached");
    b.value = NULL;
  }
  scope_pop(c);
  body->type = b.value ? b.value : c->void_;
  return b;
}

static Type *lambda_param_type(Checker *c, Param *p, int i, Type *want, Type **args, int n_args) {
  if (p->type) return resolve_type(c, p->type, SIZES_BIND);
  if (want && i < want->n_parts) return want->parts[i];
  if (args && i < n_args && args[i]) return args[i];
  if (want) return c->error; // too many parameters: reported by the count
  Diag *g = diag_add(c->d, DIAG_INFER, p->loc, "the type of `%s` does not follow from anything", p->name);
  diag_help(c->d, g, "write it: `fn(%s: f64) => ...`", p->name);
  return c->error;
}

static void declare_lambda_params(Checker *c, Expr *e, Type **types, Type *want, Type **args, int n_args) {
  for (int i = 0; i < e->lambda.params.len; i++) {
    Param *p = &e->lambda.params.data[i];
    types[i] = lambda_param_type(c, p, i, want, args, n_args);
    Symbol *s = symbol_new(c, SYM_PARAM, p->name, p->loc, types[i]);
    if (types[i]->kind == TYPE_INT) s->size = size_symbol(c->a, s);
    p->symbol = s;
    scope_declare(c, s);
    if (p->is_inout) diag_add(c->d, DIAG_INOUT, p->loc, "a lambda has no inout parameters");
    if (!p->def) continue;
    check_any(c, p->def, types[i]);
    diag_add(c->d, DIAG_CONST, p->def->loc, "a lambda's parameters have no defaults");
  }
}

static Type *lambda_result(Checker *c, Expr *e, Body b, Type *want) {
  Frame *f = c->frame;
  Type *t = b.value ? b.value : f->result ? f->result : c->void_;
  if (f->result && f->infer && b.value && b.completes && !join_types(c, f->result, b.value))
    report_mismatch(c, DIAG_TYPE, e->lambda.body->loc, f->result, b.value, "the result of this lambda");
  bool falls =
      b.completes && !b.value && f->result && f->result->kind != TYPE_VOID && f->result->kind != TYPE_ERROR;
  if (falls && e->lambda.body)
    diag_add(c->d, DIAG_MISSING_RETURN, e->lambda.body->loc, "this lambda can end without returning a value");
  if (t->kind == TYPE_FN) {
    Diag *g = diag_add(c->d, DIAG_FN_VALUE, e->lambda.body->loc, "a function cannot return a function");
    diag_note(c->d, g, "functions are specialised, never stored");
    return c->error;
  }
  return want && want->result && scalar_converts(t, want->result) ? want->result : t;
}

Type *check_lambda(Checker *c, Expr *e, Type *want, Type **args, int n_args) {
  int n = e->lambda.params.len, first_symbol = c->next_symbol + 1;
  Frame *outer = c->frame;
  Frame frame = {.outer = outer,
                 .owner = e,
                 .fn = outer ? outer->fn : NULL,
                 .has_real = outer && outer->has_real,
                 .infer = true};
  if (want && want->result && want->result->kind != TYPE_ERROR) {
    frame.result = want->result;
    frame.infer = false;
  }
  Signature *scheme = ARENA_NEW(c->a, Signature);
  Type **types = ARENA_ARRAY(c->a, Type *, n + 1);
  e->lambda.enclosing = frame.fn;
  c->frame = &frame;
  scope_push(c);
  declare_lambda_params(c, e, types, want, args, n_args);
  scheme->sizes = ARENA_ARRAY(c->a, Symbol *, c->scope->symbols.len + 1);
  for (int i = 0; i < c->scope->symbols.len; i++)
    if (c->scope->symbols.data[i]->kind == SYM_SIZE)
      scheme->sizes[scheme->n_sizes++] = c->scope->symbols.data[i];
  Body body = check_body(c, e->lambda.body, want ? want->result : NULL);
  Type *result = lambda_result(c, e, body, want);
  scope_pop(c);
  c->frame = outer;
  result = type_escape(c, result, first_symbol, scheme->sizes, scheme->n_sizes, e->loc);
  scheme->params = types;
  scheme->n_params = n;
  scheme->result = result;
  return e->type = type_fn(c, types, n, result, scheme->n_sizes ? scheme : NULL);
}

// ---- built-in functions as values --------------------------------------------------------------------------------------

static Expr *name_expr(Checker *c, Loc loc, Name name) {
  Expr *e = ARENA_NEW(c->a, Expr);
  *e = (Expr){.kind = EXPR_NAME, .loc = loc};
  e->name.name = name;
  return e;
}

// The function f becomes `fn(x) => f(x)`.
static void become_lambda_of(Checker *c, Expr *e, const Name *names, int n) {
  Loc loc = e->loc;
  Expr *call = ARENA_NEW(c->a, Expr), *callee = ARENA_NEW(c->a, Expr);
  *callee = *e;
  *call = (Expr){.kind = EXPR_CALL, .loc = loc};
  call->call.callee = callee;
  *e = (Expr){.kind = EXPR_LAMBDA, .loc = loc};
  for (int i = 0; i < n; i++) {
    Param param = {.name = names[i], .loc = loc};
    Arg arg = {.value = name_expr(c, loc, names[i])};
    vec_push(c->a, &e->lambda.params, param);
    vec_push(c->a, &call->call.args, arg);
  }
  e->lambda.body = call;
}

// The name becomes `fn(x) => sin(x)`.
static void become_lambda(Checker *c, Expr *e, int n) {
  Name names[] = {intern_cstr(c->names, "x"), intern_cstr(c->names, "y"), intern_cstr(c->names, "z")};
  become_lambda_of(c, e, names, n);
}

bool leaves_defaults(const Expr *e, const Type *t, int n) {
  if (e->kind != EXPR_NAME && e->kind != EXPR_FIELD) return false;
  for (int i = n; i < t->n_parts; i++)
    if (!fn_param_default(e, i)) return false;
  return t->n_parts > n;
}

Type *leave_defaults(Checker *c, Expr *e, Type *want, Type **types, int n) {
  Name *names = ARENA_ARRAY(c->a, Name, n + 1);
  for (int i = 0; i < n; i++) {
    names[i] = fn_param_name(e, i);
    if (!names[i] || names[i] == c->n_underscore)
      names[i] = intern_cstr(c->names, arena_printf(c->a, "x%d", i));
  }
  become_lambda_of(c, e, names, n);
  return check_lambda(c, e, want, types, n);
}

// Of a name that is built-in and in the prelude (max), the parameters it is to take decide.
static int arity_as_value(Checker *c, const Expr *e, const Type *want, Type *const *args, int n_args) {
  if (e->kind != EXPR_NAME) return 0;
  const Symbol *s = name_find(c, e->name.name);
  if (!s || s->kind != SYM_FN || s->fns[0]->module != c->p->prelude) return value_arity(s);
  int n = value_arity(map_get(&c->builtins, e->name.name));
  bool scalars = n_args > 0 && args[0] && type_is_numeric(args[0]);
  return n && n == n_args && (want || scalars) ? n : 0;
}

Type *check_builtin_value(Checker *c, Expr *e, const Symbol *s, Type *want) {
  Builtin b = (Builtin)s->n_fns;
  int n = value_arity(s);
  if (!n) {
    Diag *g =
        diag_add(c->d, DIAG_FN_VALUE, e->loc, "the built-in function `%s` can only be called", e->name.name);
    diag_help(c->d, g, "where a function is wanted, write `fn(x) => %s(x)`", e->name.name);
    return c->error;
  }
  become_lambda(c, e, n);
  Type **types = ARENA_ARRAY(c->a, Type *, n);
  for (int i = 0; i < n; i++) types[i] = b == BUILTIN_DIV || b == BUILTIN_MOD ? c->int_ : default_float(c);
  return check_lambda(c, e, want && want->n_parts == n ? want : NULL, types, n);
}

// ---- a function where one is wanted ------------------------------------------------------------------------------------

static void report_fn_mismatch(Checker *c, const Expr *e, const Type *want, const Type *got, const char *what,
                               const char *why) {
  Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "%s needs `%s`, not `%s`", what, type_text(c->a, want),
                     type_text(c->a, got));
  if (why) diag_label(c->d, g, "%s", why);
}

// Does this function take these parameters? Binds its sizes. NULL if it does, else why not.
static const char *params_fit(Checker *c, Unifier *u, const FnView *v, Type *const *params, int n) {
  if (v->n_params != n)
    return arena_printf(c->a, "takes %d parameter%s, not %d", v->n_params, v->n_params == 1 ? "" : "s", n);
  for (int i = 0; i < n; i++) unify_bind(u, v->params[i], params[i], LOC_NONE);
  for (int i = 0; i < n; i++) {
    Type *own = unify_apply(u, v->params[i]);
    if (type_match(own, params[i], NULL) != MATCH_OK)
      return arena_printf(c->a, "its parameter %d is `%s`, not `%s`", i + 1, type_text(c->a, own),
                          type_text(c->a, params[i]));
  }
  return NULL;
}

static void match_fn(Checker *c, Expr *e, Type *want, Type *got, const char *what) {
  if (type_has_error(want) || !want->result) return;
  FnView v = fn_view(c, got);
  Unifier u;
  unify_init(&u, c, v.vars, v.n_vars);
  const char *why = params_fit(c, &u, &v, want->parts, want->n_parts);
  if (why) {
    report_fn_mismatch(c, e, want, got, what, why);
    return;
  }
  Type *result = unify_apply(&u, type_freshen(c, v.result, e->loc));
  if (type_match(want->result, result, NULL) == MATCH_OK || want->result->kind == TYPE_ERROR) return;
  if (e->kind == EXPR_LAMBDA && scalar_converts(result, want->result)) return;
  report_fn_mismatch(
      c, e, want, got, what,
      arena_printf(c->a, "gives `%s`, not `%s`", type_text(c->a, result), type_text(c->a, want->result)));
}

static Symbol *overloaded_symbol(const Expr *e) {
  Symbol *s = e->kind == EXPR_NAME ? e->name.symbol : e->kind == EXPR_FIELD ? e->field.symbol : NULL;
  return s && s->kind == SYM_FN && s->n_fns > 1 ? s : NULL;
}

static Type *pick_variant(Checker *c, Expr *e, Symbol *s, Type *const *params, int n) {
  for (int i = 0; params && i < s->n_fns; i++) {
    Signature *sig = signature_of(c, s->fns[i]);
    Type *t = type_fn(c, sig->params, sig->n_params, ensure_result(c, s->fns[i], e->loc), sig);
    FnView v = fn_view(c, t);
    Unifier u;
    unify_init(&u, c, v.vars, v.n_vars);
    if (v.n_params > n) continue;
    if (params_fit(c, &u, &v, params, v.n_params)) continue;
    use_fn(c, s->fns[i]);
    return e->type = t;
  }
  Diag *g = diag_add(c->d, DIAG_OVERLOAD, e->loc,
                     "`%s` has several variants, and which one is meant does not follow", s->name);
  diag_help(c->d, g, "say it with a lambda: `fn(x: [n]f64) => %s(x)`", s->name);
  return e->type = c->error;
}

static bool check_no_inout(Checker *c, const Expr *e, const Type *t, const char *what) {
  const FnDecl *fn = t->scheme ? t->scheme->decl : NULL;
  for (int i = 0; fn && i < fn->params.len; i++) {
    if (!fn->params.data[i].is_inout) continue;
    Diag *g = diag_add(c->d, DIAG_INOUT, e->loc, "%s cannot be a function with inout parameters", what);
    diag_span(c->d, g, fn->params.data[i].loc, "`%s` is inout", fn->params.data[i].name);
    diag_help(c->d, g, "pass a function that returns the new value");
    return false;
  }
  return true;
}

Type *check_fn_value(Checker *c, Expr *e, Type *want, Type **args, int n_args, const char *what) {
  if (!e) return c->error;
  if (want && want->kind != TYPE_FN) want = NULL;
  if (want && n_args < 0) {
    args = want->parts;
    n_args = want->n_parts;
  }
  int arity = n_args >= 0 ? arity_as_value(c, e, want, args, n_args) : 0;
  if (arity && (!want || want->n_parts == arity)) become_lambda(c, e, arity);
  Type *t;
  if (e->kind == EXPR_LAMBDA)
    t = check_lambda(c, e, want, args, n_args);
  else if (is_deriv_call(c, e))
    t = check_deriv(c, e, (Builtin)name_find_callee(c, e->call.callee->name.name)->n_fns, args, n_args);
  else
    t = check_any(c, e, want);
  e->type = t;
  Symbol *variants = t->kind == TYPE_FN ? overloaded_symbol(e) : NULL;
  if (variants) t = pick_variant(c, e, variants, args, n_args);
  if (t->kind == TYPE_ERROR) return t;
  if (t->kind != TYPE_FN) {
    Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "%s needs a function, not `%s`", what, type_text(c->a, t));
    if (e->kind == EXPR_CALL) diag_help(c->d, g, "pass the function itself, without calling it");
    return e->type = c->error;
  }
  if (!check_no_inout(c, e, t, what)) return e->type = c->error;
  if (want && want->result && leaves_defaults(e, t, want->n_parts))
    t = leave_defaults(c, e, want, want->parts, want->n_parts);
  if (t->kind == TYPE_ERROR) return t;
  if (want) match_fn(c, e, want, t, what);
  return t;
}

// ---- calling a function value -------------------------------------------------------------------------------------------

// Literals among the arguments of a derivative are floats.
static Type *float_literals(Checker *c, Expr *e, Type *t) {
  bool array = t->kind == TYPE_ARRAY && t->elem->kind == TYPE_INT;
  if ((t->kind != TYPE_INT && !array) || e->kind == EXPR_NAME || !is_flexible(c, e)) return t;
  if (!array) return default_float(c);
  Type *hint = type_array(c, default_float(c), t->rank, t->dims);
  return check_any(c, e, hint);
}

// The lambda that is called, or differentiated and then called.
static const Expr *lambda_within(Checker *c, const Expr *e) {
  while (e && is_deriv_call(c, e) && e->call.args.len) e = e->call.args.data[0].value;
  return e && e->kind == EXPR_LAMBDA ? e : NULL;
}

// Which of the lambda's parameters an argument is for; without a lambda, and beyond its parameters, those in order.
static int param_of_arg(const Expr *lambda, const Arg *arg, int at) {
  int n = lambda ? lambda->lambda.params.len : 0;
  for (int i = 0; arg->name && i < n; i++)
    if (lambda->lambda.params.data[i].name == arg->name) return i;
  return arg->name && at < n ? -1 : at;
}

typedef struct ArgTypes {
  Type **types;
  int n;
} ArgTypes;

static ArgTypes types_of_args(Checker *c, Expr *call, const Expr *lambda, bool floats) {
  ArgTypes out = {NULL, call->call.args.len};
  if (lambda && lambda->lambda.params.len > out.n) out.n = lambda->lambda.params.len;
  out.types = ARENA_ARRAY(c->a, Type *, out.n + 1);
  for (int i = 0; i < call->call.args.len; i++) {
    const Arg *arg = &call->call.args.data[i];
    Expr *v = arg->value;
    int at = param_of_arg(lambda, arg, i);
    if (!v || v->kind == EXPR_LAMBDA) continue;
    Type *t = check_any(c, v, floats ? default_float(c) : NULL);
    if (floats) t = float_literals(c, v, t);
    if (at >= 0) out.types[at] = t;
  }
  return out;
}

// A parameter without a type gets it from its argument: is there one?
static bool lambda_gets_args(Checker *c, const Expr *call, const Expr *lambda) {
  StrBuf form;
  sb_init(&form, c->a);
  Name missing = NULL;
  for (int k = 0; k < lambda->lambda.params.len; k++) {
    const Param *p = &lambda->lambda.params.data[k];
    bool given = p->type != NULL;
    for (int i = 0; i < call->call.args.len; i++)
      given |= param_of_arg(lambda, &call->call.args.data[i], i) == k;
    if (!given && !missing) missing = p->name;
    sb_addf(&form, "%s%s", k ? ", " : "", p->name);
  }
  if (!missing) return true;
  Diag *g = diag_add(c->d, DIAG_ARGS, call->loc, "an argument is missing in the call of this function: `%s`",
                     missing);
  diag_help(c->d, g, "its arguments are (%s)", form.data);
  return false;
}

static Type *check_callee(Checker *c, Expr *call, bool *args_known) {
  Expr *callee = call->call.callee;
  if (!needs_arg_types(c, callee))
    return callee->kind == EXPR_NAME ? check_any(c, callee, NULL)
                                     : check_fn_value(c, callee, NULL, NULL, -1, "a call");
  *args_known = true;
  const Expr *lambda = lambda_within(c, callee);
  if (lambda && !lambda_gets_args(c, call, lambda)) return callee->type = c->error;
  ArgTypes args = types_of_args(c, call, lambda, callee->kind != EXPR_LAMBDA);
  return check_fn_value(c, callee, NULL, args.types, args.n, "a call");
}

static bool check_no_inout_args(Checker *c, const Expr *call) {
  bool ok = true;
  for (int i = 0; i < call->call.args.len; i++) {
    const Arg *arg = &call->call.args.data[i];
    if (!arg->is_inout || !arg->value) continue;
    diag_add(c->d, DIAG_INOUT, arg->value->loc, "a function value has no inout parameters");
    ok = false;
  }
  return ok;
}

static Symbol *scheme_param(const Type *t, int i) {
  const FnDecl *fn = t->scheme ? t->scheme->decl : NULL;
  return fn && i < fn->params.len ? fn->params.data[i].symbol : NULL;
}

static void bind_value_arg(Checker *c, Unifier *u, const FnView *v, const Expr *callee, Expr *e, int i,
                           bool known) {
  SizeSubst none = {0};
  Type *real = u->real;
  bool is_default = e == fn_param_default(callee, i);
  Type *formal = v->params[i], *hint = formal;
  if (v->has_real) hint = type_subst(c->a, formal, &none, u->real ? u->real : default_float(c));
  bool typed = e->type && (is_default || (known && e->kind != EXPR_TUPLE));
  if (!typed) check_expr(c, e, hint);
  Symbol *s = scheme_param(callee->type, i);
  if (formal->kind == TYPE_INT && s && s->size)
    unify_put(u, s, e->size ? e->size : fresh_opaque(c, e->loc, s->name), e->loc);
  unify_bind(u, formal, e->type, e->loc);
  if (is_default) u->real = real; // a default follows `real`, it does not set it
}

static void check_values(Checker *c, Expr *call, Unifier *u, const FnView *v, bool known) {
  for (int pass = 0; pass < 3; pass++)
    for (int i = 0; i < v->n_params; i++) {
      Expr *e = call->call.args_by_param[i];
      int turn = v->params[i]->kind == TYPE_FN ? 2 : v->has_real && is_flexible(c, e) ? 1 : 0;
      if (turn != pass) continue;
      if (turn == 2)
        check_fn_value(c, e, unify_apply(u, v->params[i]), NULL, -1, "this argument");
      else
        bind_value_arg(c, u, v, call->call.callee, e, i, known);
    }
}

Type *call_value(Checker *c, Expr *e, Type *hint) {
  (void)hint;
  Expr *callee = e->call.callee;
  bool known = false; // the arguments have been typed, for the lambda's parameters
  Type *ft = callee->kind == EXPR_NAME ? NULL : check_callee(c, e, &known);
  if (!ft) { // a name: the local function that was found, whatever hides it
    Symbol *s = callee->name.symbol;
    s->used = true;
    ft = callee->type = s->type;
  }
  if (ft->kind != TYPE_FN) {
    check_loose_args(c, e);
    if (ft->kind == TYPE_ERROR) return ft;
    diag_add(c->d, DIAG_CALLEE, callee->loc, "this is `%s`, not a function", type_text(c->a, ft));
    return c->error;
  }
  e->call.kind = CALL_VALUE;
  FnView v = fn_view(c, ft);
  Expr **args = ARENA_ARRAY(c->a, Expr *, v.n_params + 1);
  if (!check_no_inout_args(c, e) || !place_value_args(c, e, &v, args)) {
    check_loose_args(c, e);
    return c->error;
  }
  e->call.args_by_param = args;
  e->call.n_params = v.n_params;
  Unifier u;
  unify_init(&u, c, v.vars, v.n_vars);
  check_values(c, e, &u, &v, known);
  for (int i = 0; i < v.n_params; i++) {
    Name name = fn_param_name(callee, i);
    if (v.params[i]->kind == TYPE_FN || args[i] == fn_param_default(callee, i)) continue;
    expect_type(c, args[i], unify_apply(&u, v.params[i]), "argument %d%s%s%s of %s", i + 1, name ? ", `" : "",
                name ? name : "", name ? "`," : "", fn_describe(c, callee));
  }
  for (int i = 0; i < v.n_vars; i++)
    if (!unify_get(&u, v.vars[i])) unify_put(&u, v.vars[i], fresh_opaque(c, e->loc, v.vars[i]->name), e->loc);
  return unify_apply(&u, type_freshen(c, v.result, e->loc));
}
