// Derivative expressions: grad(f, wrt: a, m.head, mode: forward) and its kin.
// In: a call of one of the eight; out: its Deriv and its type, a function. What must hold: the function's result has this
// derivative, every path of `wrt` names something that holds floats, and no two paths overlap.
#include "sema/check.h"

#include <string.h>

bool builtin_is_deriv(Builtin b) { return b >= BUILTIN_GRAD && b <= BUILTIN_VJPS; }

static DerivKind deriv_kind(Builtin b) { return (DerivKind)(b - BUILTIN_GRAD); }

static bool takes_several(Builtin b) { return b == BUILTIN_JVPS || b == BUILTIN_VJPS; }

Type *derivative_type(Checker *c, Type **types, Name *names, int n) {
  if (n == 1) return types[0];
  bool named = n > 0;
  for (int i = 0; i < n; i++) named &= names && names[i];
  return type_tuple(c, types, named ? names : NULL, n);
}

// ---- reading the call ----------------------------------------------------------------------------------------------------

typedef struct DerivArgs {
  Expr *target;
  VEC(Expr *) wrt;
  Expr *mode;
  bool failed;
} DerivArgs;

static void add_wrt(Checker *c, DerivArgs *out, Expr *e) {
  if (e->kind != EXPR_TUPLE) {
    vec_push(c->a, &out->wrt, e);
    return;
  }
  for (int i = 0; i < e->tuple.elems.len; i++)
    if (e->tuple.elems.data[i]) vec_push(c->a, &out->wrt, e->tuple.elems.data[i]);
  e->type = c->void_;
}

static void read_named(Checker *c, DerivArgs *out, const Arg *arg, Builtin b) {
  if (arg->name == c->n_wrt) {
    add_wrt(c, out, arg->value);
  } else if (arg->name == c->n_mode) {
    out->mode = arg->value;
  } else {
    Diag *g =
        diag_add(c->d, DIAG_ARG_NAME, arg->name_loc, "`%s` has no option `%s`", builtin_name(b), arg->name);
    diag_help(c->d, g, "its options are `wrt: a, m.head` and `mode: forward` or `mode: reverse`");
    out->failed = true;
  }
}

static DerivArgs read_args(Checker *c, Expr *e, Builtin b) {
  DerivArgs out = {0};
  bool in_wrt = false;
  for (int i = 0; i < e->call.args.len; i++) {
    const Arg *arg = &e->call.args.data[i];
    if (!arg->value) continue;
    if (arg->name) {
      in_wrt = arg->name == c->n_wrt;
      read_named(c, &out, arg, b);
    } else if (in_wrt) {
      add_wrt(c, &out, arg->value);
    } else if (!out.target) {
      out.target = arg->value;
    } else if (!out.failed) {
      Diag *g = diag_add(c->d, DIAG_ARGS, arg->value->loc,
                         "`%s` takes one function; its derivative takes the arguments", builtin_name(b));
      diag_help(c->d, g, "write `%s(f)(...)`", builtin_name(b));
      out.failed = true;
    }
  }
  if (out.target || out.failed) return out;
  Diag *g = diag_add(c->d, DIAG_ARGS, e->loc, "`%s` needs the function to differentiate", builtin_name(b));
  diag_help(c->d, g, "write `%s(f)`, and the arguments after it: `%s(f)(x)`", builtin_name(b),
            builtin_name(b));
  out.failed = true;
  return out;
}

static DerivMode read_mode(Checker *c, Expr *e) {
  if (!e) return MODE_AUTO;
  e->type = c->void_;
  if (e->kind == EXPR_NAME) {
    if (strcmp(e->name.name, "forward") == 0) return MODE_FORWARD;
    if (strcmp(e->name.name, "reverse") == 0) return MODE_REVERSE;
  }
  Diag *g = diag_add(c->d, DIAG_OPTION, e->loc, "a mode is `forward` or `reverse`");
  diag_help(c->d, g, "without `mode:` the cheaper one is chosen");
  return MODE_AUTO;
}

// ---- wrt -----------------------------------------------------------------------------------------------------------------

// "its parameters are `a`, `b` and `c`"
static void help_names(Checker *c, Diag *g, const char *what, const Name *names, int n) {
  StrBuf sb;
  sb_init(&sb, c->a);
  for (int i = 0; i < n; i++)
    sb_addf(&sb, "%s`%s`", i == 0 ? "" : i + 1 < n ? ", " : " and ", names[i] ? names[i] : "_");
  if (n == 1)
    diag_help(c->d, g, "its only %.*s is %s", (int)strlen(what) - 1, what, sb.data);
  else if (n > 1)
    diag_help(c->d, g, "its %s are %s", what, sb.data);
}

static bool find_param(Checker *c, const Expr *target, const FnView *v, Expr *e, WrtPath *out) {
  Name *names = ARENA_ARRAY(c->a, Name, v->n_params + 1);
  bool named = true;
  for (int i = 0; i < v->n_params; i++) {
    names[i] = fn_param_name(target, i);
    named &= names[i] != NULL;
    if (names[i] != e->name.name) continue;
    out->param = i;
    out->type = v->params[i];
    return true;
  }
  Diag *g;
  if (!named) {
    g = diag_add(c->d, DIAG_WRT, e->loc, "the parameters of %s have no names here", fn_describe(c, target));
    diag_help(c->d, g, "give them names with a lambda: `fn(x, y) => f(x, y)`");
    return false;
  }
  g = diag_add(c->d, DIAG_WRT, e->loc, "%s has no parameter `%s`", fn_describe(c, target), e->name.name);
  Name near = nearest_name(e->name.name, names, v->n_params);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
  } else {
    help_names(c, g, "parameters", names, v->n_params);
  }
  return false;
}

static bool step_into(Checker *c, Expr *e, Type *t, WrtPath *out) {
  int index = -1, n = 0;
  Name *names = NULL;
  if (t->kind == TYPE_STRUCT) {
    n = t->decl->fields.len;
    names = ARENA_ARRAY(c->a, Name, n + 1);
    for (int i = 0; i < n; i++) {
      names[i] = t->decl->fields.data[i].name;
      if (names[i] == e->field.name) index = i;
    }
  } else if (t->kind == TYPE_TUPLE) {
    for (int i = 0; i < t->n_parts; i++) {
      const char *number = arena_printf(c->a, "%d", i);
      if ((t->names && t->names[i] == e->field.name) || strcmp(number, e->field.name) == 0) index = i;
    }
  }
  if (index < 0) {
    Diag *g = diag_add(c->d, DIAG_WRT, e->field.name_loc, "`%s` has no field `%s`", type_text(c->a, t),
                       e->field.name);
    Name near = nearest_name(e->field.name, names, n);
    if (near)
      diag_help(c->d, g, "did you mean `%s`?", near);
    else
      help_names(c, g, "fields", names, n);
    return false;
  }
  e->field.index = index;
  int *fields = ARENA_ARRAY(c->a, int, out->n_fields + 1);
  for (int i = 0; i < out->n_fields; i++) fields[i] = out->fields[i];
  fields[out->n_fields++] = index;
  out->fields = fields;
  out->type = t->kind == TYPE_STRUCT ? type_field(c, t, index) : t->parts[index];
  return true;
}

static bool read_path(Checker *c, const Expr *target, const FnView *v, Expr *e, WrtPath *out) {
  bool ok = false;
  if (e->kind == EXPR_NAME)
    ok = find_param(c, target, v, e, out);
  else if (e->kind == EXPR_FIELD && e->field.base)
    ok = read_path(c, target, v, e->field.base, out) && step_into(c, e, out->type, out);
  else if (e->kind != EXPR_ERROR)
    diag_add(c->d, DIAG_WRT, e->loc, "`wrt` names parameters and their fields: `wrt: a, m.head`");
  e->type = ok ? out->type : c->error;
  return ok;
}

static bool paths_overlap(const WrtPath *a, const WrtPath *b) {
  if (a->param != b->param) return false;
  for (int i = 0; i < a->n_fields && i < b->n_fields; i++)
    if (a->fields[i] != b->fields[i]) return false;
  return true;
}

static bool add_path(Checker *c, Deriv *d, WrtPath path, const Expr *target) {
  if (path.type->kind == TYPE_ERROR) return false;
  if (!type_holds_floats(path.type)) {
    Diag *g = diag_add(c->d, DIAG_WRT, path.loc, "there is no derivative by `%s`: it holds no floats",
                       type_text(c->a, path.type));
    diag_note(c->d, g, "a derivative is by a float, or by an array, struct or tuple that holds one");
    return false;
  }
  for (int i = 0; i < d->n_wrt; i++) {
    if (!paths_overlap(&d->wrt[i], &path)) continue;
    Diag *g = diag_add(c->d, DIAG_WRT, path.loc, "this part of %s is named twice", fn_describe(c, target));
    diag_span(c->d, g, d->wrt[i].loc, "within this");
    return false;
  }
  d->wrt[d->n_wrt++] = path;
  return true;
}

static bool collect_wrt(Checker *c, const DerivArgs *args, const FnView *v, Deriv *d, Builtin b) {
  if (args->wrt.len) {
    bool ok = true;
    d->wrt = ARENA_ARRAY(c->a, WrtPath, args->wrt.len);
    for (int i = 0; i < args->wrt.len; i++) {
      WrtPath path = {.loc = args->wrt.data[i]->loc};
      ok =
          read_path(c, args->target, v, args->wrt.data[i], &path) && add_path(c, d, path, args->target) && ok;
    }
    return ok;
  }
  d->wrt = ARENA_ARRAY(c->a, WrtPath, v->n_params + 1);
  for (int i = 0; i < v->n_params; i++)
    if (type_holds_floats(v->params[i]))
      d->wrt[d->n_wrt++] = (WrtPath){.param = i, .loc = args->target->loc, .type = v->params[i]};
  if (d->n_wrt) return true;
  for (int i = 0; i < v->n_params; i++)
    if (v->params[i]->kind == TYPE_ERROR) return false;
  Diag *g = diag_add(c->d, DIAG_WRT, args->target->loc,
                     "`%s` has nothing to differentiate by: no parameter of %s holds a float",
                     builtin_name(b), fn_describe(c, args->target));
  if (v->n_params) diag_label(c->d, g, "`%s`", type_text(c->a, args->target->type));
  return false;
}

// ---- results -------------------------------------------------------------------------------------------------------------

static bool has_dense_derivative(const Type *t) {
  return type_is_float(t) || (t->kind == TYPE_ARRAY && type_is_float(t->elem));
}

static bool report_result(Checker *c, const Expr *target, const Type *result, Builtin b, const char *wants) {
  if (result->kind == TYPE_ERROR) return false;
  const char *name = fn_describe(c, target);
  Diag *g =
      result->kind == TYPE_VOID
          ? diag_add(c->d, DIAG_DERIV_RESULT, target->loc,
                     "`%s` needs a function with %s, and %s has no result", builtin_name(b), wants, name)
          : diag_add(c->d, DIAG_DERIV_RESULT, target->loc, "`%s` needs a function with %s, and %s gives `%s`",
                     builtin_name(b), wants, name, type_text(c->a, result));
  const Deriv *inner = fn_origin(target)->kind == EXPR_CALL ? fn_origin(target)->call.deriv : NULL;
  bool second = inner && inner->kind == DERIV_GRAD && inner->target->kind == EXPR_NAME;
  if (!type_holds_floats(result))
    diag_note(c->d, g, "only floats have derivatives");
  else if (second && !takes_several(b))
    diag_help(c->d, g, "for all second derivatives write `hessian(%s)`", inner->target->name.name);
  else if (b == BUILTIN_GRAD || b == BUILTIN_VALUE_AND_GRAD)
    diag_help(
        c->d, g,
        has_dense_derivative(result)
            ? "for all its derivatives write `jacobian(f)`; for a product with one vector `jvp` or `vjp`"
            : "for a product of its derivative with one direction write `jvp(f)` or `vjp(f)`");
  else if (b == BUILTIN_JACOBIAN || takes_several(b))
    diag_help(c->d, g, "its derivatives are an array; structs and tuples have `jvp` and `vjp`");
  return false;
}

static bool check_result(Checker *c, const Expr *target, const Type *result, Builtin b) {
  switch (deriv_kind(b)) {
  case DERIV_GRAD:
  case DERIV_VALUE_AND_GRAD:
  case DERIV_HESSIAN:
  case DERIV_HVP:
    return type_is_float(result) || report_result(c, target, result, b, "one float as its result");
  case DERIV_JVP:
  case DERIV_VJP:
    return type_holds_floats(result) || report_result(c, target, result, b, "floats in its result");
  case DERIV_JACOBIAN:
  case DERIV_JVPS:
  case DERIV_VJPS:
    return has_dense_derivative(result) ||
           report_result(c, target, result, b, "a float or an array of floats as its result");
  }
  return false;
}

static bool check_dense_wrt(Checker *c, const Deriv *d, Builtin b) {
  for (int i = 0; i < d->n_wrt; i++) {
    const Type *t = d->wrt[i].type;
    if (has_dense_derivative(t)) continue;
    Diag *g =
        diag_add(c->d, DIAG_DERIV_RESULT, d->wrt[i].loc,
                 "`%s` is by floats and arrays of floats, not by `%s`", builtin_name(b), type_text(c->a, t));
    diag_help(c->d, g, "name its fields: `wrt: m.w`; or take products: `%s`",
              b == BUILTIN_HESSIAN ? "hvp" : "jvp, vjp");
    return false;
  }
  return true;
}

// The output's shape, then the input's.
static Type *outer_shape(Checker *c, Type *out, Type *in, Loc loc) {
  Type *elem = type_scalar_of(out);
  int ro = out->kind == TYPE_ARRAY ? out->rank : 0, ri = in->kind == TYPE_ARRAY ? in->rank : 0;
  if (ro + ri == 0) return elem;
  if (ro + ri > MAX_RANK) {
    diag_add(c->d, DIAG_DERIV_RESULT, loc, "this derivative would have %d axes, more than %d", ro + ri,
             MAX_RANK);
    return c->error;
  }
  Size **dims = ARENA_ARRAY(c->a, Size *, ro + ri);
  for (int i = 0; i < ro; i++) dims[i] = out->dims[i];
  for (int i = 0; i < ri; i++) dims[ro + i] = in->dims[i];
  return type_array(c, elem, ro + ri, dims);
}

typedef struct Wrt { // the types and names of what the derivative is by
  Type **types;
  Name *names;
  int n;
} Wrt;

static Name path_name(Checker *c, const Expr *target, const FnView *v, const WrtPath *p) {
  if (!p->n_fields) return fn_param_name(target, p->param);
  Type *t = v->params[p->param];
  Name name = NULL;
  for (int i = 0; i < p->n_fields; i++) {
    int at = p->fields[i];
    name = t->kind == TYPE_STRUCT ? t->decl->fields.data[at].name : t->names ? t->names[at] : NULL;
    t = t->kind == TYPE_STRUCT ? type_field(c, t, at) : t->parts[at];
  }
  return name;
}

static Wrt wrt_of(Checker *c, const Expr *target, const FnView *v, const Deriv *d) {
  Wrt w = {ARENA_ARRAY(c->a, Type *, d->n_wrt + 1), ARENA_ARRAY(c->a, Name, d->n_wrt + 1), d->n_wrt};
  for (int i = 0; i < d->n_wrt; i++) {
    w.types[i] = d->wrt[i].type;
    w.names[i] = path_name(c, target, v, &d->wrt[i]);
    for (int j = 0; j < i; j++) // two fields of one name: by their parameters too
      if (w.names[i] && w.names[j] == w.names[i]) {
        Name param = fn_param_name(target, d->wrt[i].param);
        const char *both = arena_printf(c->a, "%s_%s", param ? param : "", w.names[i]);
        w.names[i] = intern_cstr(c->names, both);
      }
  }
  return w;
}

static Type *dense(Checker *c, const Wrt *w, Type *out, Loc loc) {
  Type **types = ARENA_ARRAY(c->a, Type *, w->n + 1);
  for (int i = 0; i < w->n; i++) types[i] = outer_shape(c, out, w->types[i], loc);
  return derivative_type(c, types, w->names, w->n);
}

// One block per pair of parameters.
static Type *hessian_type(Checker *c, const Wrt *w, Loc loc) {
  Type **rows = ARENA_ARRAY(c->a, Type *, w->n + 1);
  for (int i = 0; i < w->n; i++) rows[i] = dense(c, w, w->types[i], loc);
  return derivative_type(c, rows, w->names, w->n);
}

static Type *pair(Checker *c, Type *a, Type *b) {
  Type **parts = ARENA_ARRAY(c->a, Type *, 2);
  parts[0] = a;
  parts[1] = b;
  return type_tuple(c, parts, NULL, 2);
}

// A size of its own for the number of directions; [directions]f64.
static Type *add_directions(Checker *c, Signature *s, Loc loc) {
  Symbol **sizes = ARENA_ARRAY(c->a, Symbol *, s->n_sizes + 1);
  for (int i = 0; i < s->n_sizes; i++) sizes[i] = s->sizes[i];
  sizes[s->n_sizes++] = symbol_new(c, SYM_SIZE, intern_cstr(c->names, "directions"), loc, c->int_);
  s->sizes = sizes;
  Size **dims = ARENA_ARRAY(c->a, Size *, 1);
  dims[0] = size_symbol(c->a, sizes[s->n_sizes - 1]);
  return type_array(c, c->f64, 1, dims);
}

// One for each direction: the first axis.
static Type *rows_of(Checker *c, const Type *directions, Type *t, Loc loc) {
  return outer_shape(c, type_array(c, type_scalar_of(t), 1, directions->dims), t, loc);
}

// ---- the derivative's parameters -----------------------------------------------------------------------------------------

static void add_name(Deriv *d, Name name) {
  for (int i = 0; name && i < d->n_params; i++)
    if (d->names[i] == name) name = NULL; // the target's own: this one is given by position
  d->names[d->n_params++] = name;
}

// Beyond the target's: `dx`, the direction of x (`vx` of hvp); or what is pulled back, `ybar` or `ybars`.
static void name_params(Checker *c, Deriv *d, const FnView *v, const Wrt *w) {
  bool pulls = d->kind == DERIV_VJP || d->kind == DERIV_VJPS;
  bool pushes = d->kind == DERIV_JVP || d->kind == DERIV_JVPS || d->kind == DERIV_HVP;
  const char *prefix = d->kind == DERIV_HVP ? "v" : "d";
  d->names = ARENA_ARRAY(c->a, Name, v->n_params + w->n + 2);
  for (int i = 0; i < v->n_params; i++) add_name(d, fn_param_name(d->target, i));
  for (int i = 0; pushes && i < w->n; i++)
    add_name(d, w->names[i] ? intern_cstr(c->names, arena_printf(c->a, "%s%s", prefix, w->names[i])) : NULL);
  if (pulls) add_name(d, intern_cstr(c->names, d->kind == DERIV_VJP ? "ybar" : "ybars"));
}

static Signature *derived(Checker *c, const FnView *v, const Type *target, const Wrt *w, Builtin b, Loc loc) {
  Signature *s = ARENA_NEW(c->a, Signature);
  s->decl = target->scheme ? target->scheme->decl : NULL;
  s->sizes = v->vars;
  s->n_sizes = v->n_vars;
  s->has_real = v->has_real;
  s->params = ARENA_ARRAY(c->a, Type *, v->n_params + w->n + 2);
  Type *directions = takes_several(b) ? add_directions(c, s, loc) : NULL;
  for (int i = 0; i < v->n_params; i++) s->params[s->n_params++] = v->params[i];
  DerivKind kind = deriv_kind(b);
  bool tangents = kind == DERIV_JVP || kind == DERIV_HVP;
  for (int i = 0; tangents && i < w->n; i++) s->params[s->n_params++] = w->types[i];
  for (int i = 0; kind == DERIV_JVPS && i < w->n; i++)
    s->params[s->n_params++] = outer_shape(c, w->types[i], directions, loc);
  if (kind == DERIV_VJP) s->params[s->n_params++] = v->result;
  if (kind == DERIV_VJPS) s->params[s->n_params++] = rows_of(c, directions, v->result, loc);
  Type **rows = ARENA_ARRAY(c->a, Type *, w->n + 1);
  for (int i = 0; kind == DERIV_VJPS && i < w->n; i++) rows[i] = rows_of(c, directions, w->types[i], loc);
  Type *gradient = derivative_type(c, w->types, w->names, w->n);
  switch (kind) {
  case DERIV_GRAD: s->result = gradient; break;
  case DERIV_VALUE_AND_GRAD:
  case DERIV_VJP: s->result = pair(c, v->result, gradient); break;
  case DERIV_JVP: s->result = pair(c, v->result, v->result); break;
  case DERIV_JACOBIAN: s->result = dense(c, w, v->result, loc); break;
  case DERIV_HESSIAN: s->result = hessian_type(c, w, loc); break;
  case DERIV_HVP: s->result = pair(c, gradient, gradient); break;
  case DERIV_JVPS: s->result = pair(c, v->result, outer_shape(c, v->result, directions, loc)); break;
  case DERIV_VJPS: s->result = pair(c, v->result, derivative_type(c, rows, w->names, w->n)); break;
  }
  return s;
}

static void poison_args(Checker *c, Expr *e) {
  for (int i = 0; i < e->call.args.len; i++) {
    Expr *v = e->call.args.data[i].value;
    if (v && !v->type) v->type = c->error;
  }
}

Type *check_deriv(Checker *c, Expr *e, Builtin b, Type **types, int n_types) {
  e->call.kind = CALL_BUILTIN;
  e->call.builtin = (int)b;
  e->call.deriv = NULL;
  if (e->call.callee) {
    e->call.callee->type = c->void_;
    e->call.callee->name.symbol = map_get(&c->builtins, e->call.callee->name.name);
  }
  DerivArgs args = read_args(c, e, b);
  DerivMode mode = read_mode(c, args.mode);
  Type *t = args.target ? check_fn_value(c, args.target, NULL, types, n_types,
                                         arena_printf(c->a, "`%s`", builtin_name(b)))
                        : c->error;
  Deriv *d = ARENA_NEW(c->a, Deriv);
  *d = (Deriv){.kind = deriv_kind(b), .target = args.target, .mode = mode};
  bool ok = !args.failed && t->kind == TYPE_FN;
  FnView v = {0};
  if (ok) v = fn_view(c, t);
  ok = ok && check_result(c, args.target, v.result, b) && collect_wrt(c, &args, &v, d, b);
  bool is_dense = b == BUILTIN_JACOBIAN || b == BUILTIN_HESSIAN || takes_several(b);
  if (ok && is_dense) ok = check_dense_wrt(c, d, b);
  poison_args(c, e);
  if (!ok) return e->type = c->error;
  e->call.deriv = d;
  e->call.args_by_param = ARENA_ARRAY(c->a, Expr *, 1);
  e->call.args_by_param[0] = args.target;
  e->call.n_params = 1;
  Wrt w = wrt_of(c, args.target, &v, d);
  name_params(c, d, &v, &w);
  Signature *s = derived(c, &v, t, &w, b, e->loc);
  for (int i = 0; i < s->n_params; i++)
    if (s->params[i]->kind == TYPE_ERROR) return e->type = c->error;
  if (s->result->kind == TYPE_ERROR) return e->type = c->error;
  if (takes_several(b)) d->directions = s->sizes[s->n_sizes - 1];
  return e->type = type_fn(c, s->params, s->n_params, s->result, s);
}
