// Built-in functions: the typing of each.
// In: a call that names one; out: its type and args_by_param, the arguments in order. What must hold: elementwise
// functions broadcast as operators do; what the prelude writes in dp is not here.
#include "sema/check.h"

static const char *const names[BUILTIN_COUNT] = {
#define BUILTIN(kind, name) name,
#include "sema/builtins.def"
};

const char *builtin_name(Builtin b) { return names[b]; }

int builtin_value_arity(Builtin b) {
  switch (b) {
  case BUILTIN_ATAN2:
  case BUILTIN_HYPOT:
  case BUILTIN_MIN:
  case BUILTIN_MAX:
  case BUILTIN_DIV:
  case BUILTIN_MOD: return 2;
  case BUILTIN_FMA: return 3;
  default: return b <= BUILTIN_ABS || (b >= BUILTIN_INT && b <= BUILTIN_F32) ? 1 : 0;
  }
}

bool builtin_takes(Builtin b, int n_args) {
  if (b == BUILTIN_MIN || b == BUILTIN_MAX) return n_args == 2;
  return true;
}

// ---- arguments -----------------------------------------------------------------------------------------------------------

static const char *form_of(Builtin b) {
  switch (b) {
  case BUILTIN_ATAN2: return "atan2(y, x)";
  case BUILTIN_HYPOT: return "hypot(x, y)";
  case BUILTIN_MIN: return "min(a, b)";
  case BUILTIN_MAX: return "max(a, b)";
  case BUILTIN_FMA: return "fma(a, b, c)";
  case BUILTIN_DIV: return "div(a, b)";
  case BUILTIN_MOD: return "mod(a, b)";
  case BUILTIN_ZEROS: return "zeros(n, ...)";
  case BUILTIN_ONES: return "ones(n, ...)";
  case BUILTIN_FULL: return "full(value, n, ...)";
  case BUILTIN_PUSH: return "push(inout xs, x)";
  case BUILTIN_POP: return "pop(inout xs)";
  case BUILTIN_PRINT: return "print(x)";
  case BUILTIN_RNG_UNIFORM: return "rng_uniform(key, counter)";
  case BUILTIN_RNG_NORMAL: return "rng_normal(key, counter)";
  case BUILTIN_RNG_BELOW: return "rng_below(key, counter, n)";
  default: return NULL;
  }
}

static void report_form(Checker *c, Diag *g, Builtin b) {
  const char *form = form_of(b);
  if (form)
    diag_help(c->d, g, "it is `%s`", form);
  else
    diag_help(c->d, g, "it is `%s(x)`", builtin_name(b));
}

// Takes the arguments by position; min to max of them (max < 0: any number). False after a report.
static bool take_args(Checker *c, Expr *e, Builtin b, int min, int max) {
  int n = e->call.args.len;
  for (int i = 0; i < n; i++) {
    const Arg *arg = &e->call.args.data[i];
    if (!arg->value) return false;
    if (!arg->name) continue;
    Diag *g =
        diag_add(c->d, DIAG_ARG_NAME, arg->name_loc, "the arguments of `%s` have no names", builtin_name(b));
    report_form(c, g, b);
    return false;
  }
  if (n < min || (max >= 0 && n > max)) {
    Diag *g = diag_add(c->d, DIAG_ARGS, e->loc, "`%s` takes %d argument%s%s, not %d", builtin_name(b), min,
                       min == 1 ? "" : "s", max == min ? "" : " or more", n);
    report_form(c, g, b);
    return false;
  }
  e->call.args_by_param = ARENA_ARRAY(c->a, Expr *, n + 1);
  e->call.n_params = n;
  for (int i = 0; i < n; i++) e->call.args_by_param[i] = e->call.args.data[i].value;
  return true;
}

static void refuse_inout(Checker *c, Expr *e, Builtin b, int from) {
  for (int i = from; i < e->call.args.len; i++)
    if (e->call.args.data[i].is_inout)
      diag_add(c->d, DIAG_INOUT, e->call.args.data[i].value->loc, "`%s` does not change this argument",
               builtin_name(b));
}

static Type *report_arg(Checker *c, const Expr *e, Builtin b, const char *wants) {
  if (e->type->kind == TYPE_ERROR) return c->error;
  Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "`%s` takes %s, not `%s`", builtin_name(b), wants,
                     type_text(c->a, e->type));
  if (e->type->kind == TYPE_GROW) diag_help(c->d, g, "take all of a growable array as an array: `xs[..]`");
  if (e->type->kind == TYPE_STRUCT || e->type->kind == TYPE_TUPLE)
    diag_help(c->d, g, "apply it to its fields");
  return c->error;
}

static bool is_numbers(const Type *t) {
  return type_is_numeric(t) || (t->kind == TYPE_ARRAY && type_is_numeric(t->elem));
}

// ---- elementwise -----------------------------------------------------------------------------------------------------------

static Type *with_element(Checker *c, Type *t, Type *elem) {
  return t->kind == TYPE_ARRAY ? type_array(c, elem, t->rank, t->dims) : elem;
}

static Type *check_operand(Checker *c, Expr *e, Type *hint, Builtin b, const char *wants) {
  Type *t = check_expr(c, e, hint);
  return is_numbers(t) || t->kind == TYPE_ERROR ? t : report_arg(c, e, b, wants);
}

static Type *float_hint(const Type *hint) {
  if (hint && hint->kind == TYPE_ARRAY) hint = hint->elem;
  return hint && type_is_float(hint) ? (Type *)hint : NULL;
}

// Operands whose type is fixed first, literals after them.
static Type *check_elementwise(Checker *c, Expr *e, Builtin b, Type *hint, bool floats) {
  Type *scalar = float_hint(hint), *joined = NULL;
  int n = e->call.n_params;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < n; i++) {
      Expr *x = e->call.args_by_param[i];
      if ((pass == 1) != is_flexible(c, x)) continue;
      Type *t = check_operand(c, x, scalar, b, "numbers");
      if (t->kind == TYPE_ERROR) {
        joined = c->error;
        continue;
      }
      Type *own = type_scalar_of(t);
      if (type_is_float(own)) scalar = own;
      if (joined && joined->kind == TYPE_ERROR) continue;
      joined =
          joined ? join_numbers(c, joined, own, e->loc, arena_printf(c->a, "`%s`", builtin_name(b))) : own;
      if (!joined) joined = c->error;
    }
  if (!joined || joined->kind == TYPE_ERROR) return c->error;
  if (floats && joined->kind == TYPE_INT) joined = scalar ? scalar : default_float(c);
  Type *shape = joined;
  for (int i = 0; i < n; i++) {
    Expr *x = e->call.args_by_param[i];
    shape = broadcast(c, shape, x->type, joined, e->loc, e->call.args_by_param[0]->loc, x->loc,
                      arena_printf(c->a, "`%s`", builtin_name(b)));
    if (shape->kind == TYPE_ERROR) return shape;
  }
  return shape;
}

// ---- conversions and tests -------------------------------------------------------------------------------------------------

static Type *check_int_div(Checker *c, Expr *e, Builtin b) {
  Expr *x = e->call.args_by_param[0], *y = e->call.args_by_param[1];
  bool ok = true;
  for (int i = 0; i < 2; i++) {
    Expr *arg = e->call.args_by_param[i];
    Type *t = check_expr(c, arg, c->int_);
    if (t->kind == TYPE_INT || t->kind == TYPE_ERROR) continue;
    Diag *g =
        diag_add(c->d, DIAG_TYPE, arg->loc, "`%s` takes ints, not `%s`", builtin_name(b), type_text(c->a, t));
    if (b == BUILTIN_DIV)
      diag_help(c->d, g, "floats divide with `/`; for a whole quotient write `floor(a / b)`");
    ok = false;
  }
  int64_t v;
  if (ok && y->size && size_is_const(y->size, &v) && v == 0)
    diag_add(c->d, DIAG_INT_DIV, y->loc, "this divides by zero");
  else if (b == BUILTIN_DIV && x->size && y->size)
    e->size = size_div(c->a, x->size, y->size);
  return c->int_;
}

static Type *check_to_int(Checker *c, Expr *e) {
  Expr *x = e->call.args_by_param[0];
  Type *t = check_expr(c, x, NULL), *scalar = type_scalar_of(t);
  if (t->kind == TYPE_INT) e->size = x->size;
  if (t->kind == TYPE_ERROR) return c->int_;
  if (type_is_numeric(scalar) || scalar->kind == TYPE_BOOL) return with_element(c, t, c->int_);
  return report_arg(c, x, BUILTIN_INT, "a number or a bool");
}

static Type *check_to_float(Checker *c, Expr *e, Builtin b, Type *to) {
  Expr *x = e->call.args_by_param[0];
  if (b == BUILTIN_REAL && !(c->frame && c->frame->has_real)) {
    check_expr(c, x, NULL);
    Diag *g = diag_add(c->d, DIAG_TYPE_USE, e->loc,
                       "`real` is bound only in a function whose parameters mention it");
    diag_help(c->d, g, "write `f64(...)` or `f32(...)`");
    return c->error;
  }
  Type *t = check_operand(c, x, is_flexible(c, x) ? to : NULL, b, "a number");
  return t->kind == TYPE_ERROR ? t : with_element(c, t, to);
}

static Type *check_float_test(Checker *c, Expr *e, Builtin b) {
  Expr *x = e->call.args_by_param[0];
  Type *t = check_expr(c, x, NULL);
  if (t->kind == TYPE_ERROR) return c->bool_;
  if (!type_is_float(type_scalar_of(t))) return report_arg(c, x, b, "a float");
  return with_element(c, t, c->bool_);
}

// ---- arrays ------------------------------------------------------------------------------------------------------------------

static Type *made_array(Checker *c, Expr *e, Type *elem, int from) {
  int rank = e->call.n_params - from;
  Size **dims = ARENA_ARRAY(c->a, Size *, rank + 1);
  for (int i = 0; i < rank; i++) {
    Expr *n = e->call.args_by_param[from + i];
    int64_t v;
    bool ok = check_int(c, n, "a size");
    if (ok && n->size && size_is_const(n->size, &v) && v < 0)
      diag_add(c->d, DIAG_SIZE_EXPR, n->loc, "a size cannot be negative: this is %lld", (long long)v);
    dims[i] = ok && n->size ? n->size : fresh_opaque(c, n->loc, "this size");
  }
  if (rank <= MAX_RANK) return type_array(c, elem, rank, dims);
  diag_add(c->d, DIAG_TYPE_USE, e->loc, "an array has at most %d axes, not %d", MAX_RANK, rank);
  return c->error;
}

static Type *check_filled(Checker *c, Expr *e, Type *hint) {
  Type *elem = hint && hint->kind == TYPE_ARRAY ? hint->elem : hint;
  bool numeric = elem && type_is_numeric(elem) && hint->kind == TYPE_ARRAY;
  if (elem && type_is_float(elem)) numeric = true;
  return made_array(c, e, numeric ? elem : default_float(c), 0);
}

static Type *check_full(Checker *c, Expr *e, Type *hint) {
  Expr *value = e->call.args_by_param[0];
  Type *want = hint && hint->kind == TYPE_ARRAY ? hint->elem : float_hint(hint);
  Type *t = check_expr(c, value, want);
  if (want && scalar_converts(t, want)) t = want;
  if (t->kind == TYPE_STR || type_has_grow(t)) {
    report_arg(c, value, BUILTIN_FULL, "a number, a bool, an array or a struct");
    t = c->error;
  }
  Type *array = made_array(c, e, t->kind == TYPE_ERROR ? c->int_ : t, 1);
  return t->kind == TYPE_ERROR ? c->error : array;
}

static Type *check_len(Checker *c, Expr *e) {
  Expr *x = e->call.args_by_param[0];
  Type *t = check_expr(c, x, NULL);
  if (t->kind == TYPE_ARRAY) e->size = t->dims[0];
  if (t->kind == TYPE_ARRAY || t->kind == TYPE_GROW || t->kind == TYPE_ERROR) return c->int_;
  return report_arg(c, x, BUILTIN_LEN, "an array");
}

static Type *check_grow_arg(Checker *c, Expr *e, Builtin b) {
  Expr *xs = e->call.args_by_param[0];
  Type *t = check_place(c, xs, b == BUILTIN_PUSH ? "push to" : "pop from");
  Symbol *root = place_root(xs);
  if (root && b == BUILTIN_POP) root->used = true;
  if (t->kind == TYPE_ERROR) return NULL;
  if (t->kind != TYPE_GROW) {
    Diag *g = diag_add(c->d, DIAG_TYPE, xs->loc, "`%s` needs a growable array, not `%s`", builtin_name(b),
                       type_text(c->a, t));
    diag_help(c->d, g, "declare it as one: `var xs: [*]f64 = []`");
    return NULL;
  }
  if (!e->call.args.data[0].is_inout) {
    Diag *g = diag_add(c->d, DIAG_INOUT, xs->loc, "`%s` changes the array", builtin_name(b));
    diag_help(c->d, g, "mark it: `%s`", form_of(b));
  }
  return t->elem;
}

static Type *check_push(Checker *c, Expr *e) {
  Type *elem = check_grow_arg(c, e, BUILTIN_PUSH);
  Expr *x = e->call.args_by_param[1];
  check_expr(c, x, elem);
  if (elem) expect_type(c, x, elem, "an element of this array");
  return c->void_;
}

static Type *check_pop(Checker *c, Expr *e) {
  Type *elem = check_grow_arg(c, e, BUILTIN_POP);
  return elem ? elem : c->error;
}

static Type *check_param_count(Checker *c, Expr *e) {
  Expr *x = e->call.args_by_param[0];
  Type *t = check_expr(c, x, NULL);
  if (t->kind != TYPE_ERROR && !type_holds_floats(t))
    report_arg(c, x, BUILTIN_PARAM_COUNT, "what holds floats");
  return c->int_;
}

// ---- the raw random numbers ----------------------------------------------------------------------------------------------------

static Type *check_rng(Checker *c, Expr *e, Builtin b) {
  for (int i = 0; i < e->call.n_params; i++)
    check_int(c, e->call.args_by_param[i], "a random number's argument");
  return b == BUILTIN_RNG_BELOW ? c->int_ : c->f64;
}

// ---- the dispatch ------------------------------------------------------------------------------------------------------------

typedef struct Arity {
  int min, max;
} Arity;

static Arity arity_of(Builtin b) {
  switch (b) {
  case BUILTIN_ATAN2:
  case BUILTIN_HYPOT:
  case BUILTIN_MIN:
  case BUILTIN_MAX:
  case BUILTIN_DIV:
  case BUILTIN_MOD:
  case BUILTIN_PUSH:
  case BUILTIN_RNG_UNIFORM:
  case BUILTIN_RNG_NORMAL: return (Arity){2, 2};
  case BUILTIN_FMA:
  case BUILTIN_RNG_BELOW: return (Arity){3, 3};
  case BUILTIN_ZEROS:
  case BUILTIN_ONES: return (Arity){1, -1};
  case BUILTIN_FULL: return (Arity){2, -1};
  default: return (Arity){1, 1};
  }
}

static Type *check_plain_builtin(Checker *c, Expr *e, Builtin b, Type *hint) {
  Expr *first = e->call.args_by_param[0];
  switch (b) {
  case BUILTIN_ABS:
  case BUILTIN_MIN:
  case BUILTIN_MAX: return check_elementwise(c, e, b, hint, false);
  case BUILTIN_DIV:
  case BUILTIN_MOD: return check_int_div(c, e, b);
  case BUILTIN_INT: return check_to_int(c, e);
  case BUILTIN_F64: return check_to_float(c, e, b, c->f64);
  case BUILTIN_F32: return check_to_float(c, e, b, c->f32);
  case BUILTIN_REAL: return check_to_float(c, e, b, c->real);
  case BUILTIN_ISNAN:
  case BUILTIN_ISFINITE: return check_float_test(c, e, b);
  case BUILTIN_DETACH:
  case BUILTIN_ZEROS_LIKE: return check_expr(c, first, hint);
  case BUILTIN_ZEROS:
  case BUILTIN_ONES: return check_filled(c, e, hint);
  case BUILTIN_FULL: return check_full(c, e, hint);
  case BUILTIN_LEN: return check_len(c, e);
  case BUILTIN_PUSH: return check_push(c, e);
  case BUILTIN_POP: return check_pop(c, e);
  case BUILTIN_PRINT: check_expr(c, first, NULL); return c->void_;
  case BUILTIN_PARAM_COUNT: return check_param_count(c, e);
  case BUILTIN_RNG_UNIFORM:
  case BUILTIN_RNG_NORMAL:
  case BUILTIN_RNG_BELOW: return check_rng(c, e, b);
  default: return check_elementwise(c, e, b, hint, true); // the elementary functions
  }
}

Type *check_builtin(Checker *c, Expr *e, Builtin b, Type *hint) {
  if (builtin_is_deriv(b)) return check_deriv(c, e, b, NULL, -1);
  if (b == BUILTIN_TRAIN) return check_train(c, e);
  if (b == BUILTIN_MINIMIZE) return check_minimize(c, e);
  if (b == BUILTIN_STEP) return check_step(c, e);
  Arity arity = arity_of(b);
  if (!take_args(c, e, b, arity.min, arity.max)) return c->error;
  refuse_inout(c, e, b, b == BUILTIN_PUSH || b == BUILTIN_POP ? 1 : 0);
  return check_plain_builtin(c, e, b, hint);
}
