// train, minimize and step: a loss, a model, data, and options by name.
// In: their calls; out: args_by_param as builtins.def says. What must hold: the loss takes the model and then the data,
// and gives one float; every option is of its type.
#include "sema/check.h"

#include <string.h>

// ---- options -------------------------------------------------------------------------------------------------------------

typedef enum OptionType { OPTION_INT, OPTION_F64, OPTION_BOOL, OPTION_STR, OPTION_OPTIMIZER } OptionType;

typedef struct OptionInfo {
  const char *name;
  OptionType type;
  bool train, minimize;
} OptionInfo;

static const OptionInfo options[OPTION_COUNT] = {
#define OPTION(name, type, def, train, minimize) {#name, OPTION_##type, train, minimize},
#include "sema/train.def"
};

static Type *option_type(Checker *c, OptionType t) {
  switch (t) {
  case OPTION_INT: return c->int_;
  case OPTION_F64: return c->f64;
  case OPTION_BOOL: return c->bool_;
  case OPTION_STR: return c->str;
  case OPTION_OPTIMIZER: return c->p->optimizer ? type_struct(c, c->p->optimizer, NULL) : c->error;
  }
  return c->error;
}

static void report_option(Checker *c, const Arg *arg, bool train) {
  Name names[OPTION_COUNT];
  int n = 0;
  for (int i = 0; i < OPTION_COUNT; i++)
    if (train ? options[i].train : options[i].minimize) names[n++] = intern_cstr(c->names, options[i].name);
  Diag *g = diag_add(c->d, DIAG_OPTION, arg->name_loc, "`%s` has no option `%s`",
                     train ? "train" : "minimize", arg->name);
  Name near = nearest_name(arg->name, names, n);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
    return;
  }
  StrBuf list;
  sb_init(&list, c->a);
  for (int i = 0; i < n; i++) sb_addf(&list, "%s`%s`", i ? ", " : "", names[i]);
  diag_help(c->d, g, "its options are %s", list.data);
}

static void check_option(Checker *c, const Arg *arg, bool train, Expr **out) {
  for (int i = 0; i < OPTION_COUNT; i++) {
    if (strcmp(options[i].name, arg->name) != 0 || !(train ? options[i].train : options[i].minimize))
      continue;
    if (out[i]) diag_add(c->d, DIAG_ARGS, arg->name_loc, "`%s` is given twice", arg->name);
    out[i] = arg->value;
    Type *want = option_type(c, options[i].type);
    check_expr(c, arg->value, want);
    expect_type(c, arg->value, want, "the option `%s`", arg->name);
    return;
  }
  report_option(c, arg, train);
  check_any(c, arg->value, NULL);
}

// The first n arguments by position; the rest by name. False after a report.
static bool read_call(Checker *c, Expr *e, const char *const *what, int n, bool train, Expr **by_param) {
  int given = 0, errors = c->d->n_errors;
  bool ok = true;
  for (int i = 0; i < e->call.args.len; i++) {
    const Arg *arg = &e->call.args.data[i];
    if (!arg->value) return false;
    if (arg->name) {
      check_option(c, arg, train, by_param + n);
    } else if (given < n) {
      by_param[given++] = arg->value;
    } else {
      check_any(c, arg->value, NULL);
      Diag *g = diag_add(c->d, DIAG_ARGS, arg->value->loc, "the options of `%s` are given by name",
                         train ? "train" : "minimize");
      diag_help(c->d, g, "several arrays of data go into one tuple: `(x, y)`");
      ok = false;
    }
  }
  if (given < n) {
    diag_add(c->d, DIAG_ARGS, e->loc, "`%s` needs %s", train ? "train" : "minimize", what[given]);
    return false;
  }
  if (by_param[n + OPTION_optimizer] || c->d->n_errors > errors) return ok;
  Diag *g = diag_add(c->d, DIAG_OPTION, e->loc, "`%s` needs an optimizer", train ? "train" : "minimize");
  diag_help(c->d, g, train ? "for example `optimizer: adam(lr: 1e-3)`" : "for example `optimizer: lbfgs()`");
  return false;
}

static Type *check_model(Checker *c, Expr *call, int at, Expr *e) {
  Type *t = check_place(c, e, "pass inout");
  Symbol *root = place_root(e);
  if (root) root->used = true;
  if (t->kind == TYPE_ERROR) return t;
  if (!call->call.args.data[at].is_inout) {
    Diag *g = diag_add(c->d, DIAG_INOUT, e->loc, "what is optimised is changed by the call");
    diag_help(c->d, g, "mark it: `inout ...`");
  }
  if (type_holds_floats(t) && type_float_kind(c, t)) return t;
  if (type_all_floats(t)) return t;
  Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "`%s` cannot be optimised: not all of it are floats",
                     type_text(c->a, t));
  diag_help(c->d, g, "keep the rest apart, in a struct that the loss captures or takes as data");
  return c->error;
}

// ---- the loss ------------------------------------------------------------------------------------------------------------

static bool check_loss_result(Checker *c, const Expr *loss, Type *result) {
  if (type_is_float(result) || result->kind == TYPE_ERROR) return true;
  Diag *g = diag_add(c->d, DIAG_DERIV_RESULT, loss->loc, "%s must give one float, not `%s`",
                     fn_describe(c, loss), type_text(c->a, result));
  diag_help(c->d, g, "reduce it: `mean(...)` or `sum(...)`");
  return false;
}

static void check_loss(Checker *c, Expr *loss, Type **types, Expr **args, int n, const char *args_are) {
  bool bad = false;
  for (int i = 0; i < n; i++) bad |= types[i]->kind == TYPE_ERROR;
  Type *t = check_fn_value(c, loss, NULL, types, n, "the loss");
  if (bad || t->kind != TYPE_FN) return;
  FnView v = fn_view(c, t);
  bool leaves = leaves_defaults(loss, t, n);
  if (v.n_params != n && !leaves) {
    Diag *g = diag_add(c->d, DIAG_ARGS, loss->loc, "%s takes %d argument%s, and is given %d: %s",
                       fn_describe(c, loss), v.n_params, v.n_params == 1 ? "" : "s", n, args_are);
    diag_label(c->d, g, "`%s`", type_text(c->a, t));
    return;
  }
  Unifier u;
  unify_init(&u, c, v.vars, v.n_vars);
  for (int i = 0; i < n; i++) unify_bind(&u, v.params[i], types[i], args[i]->loc);
  bool ok = true;
  for (int i = 0; i < n; i++) {
    Type *want = unify_apply(&u, v.params[i]);
    Name name = fn_param_name(loss, i);
    const char *what = name ? arena_printf(c->a, "the parameter `%s` of %s", name, fn_describe(c, loss))
                            : arena_printf(c->a, "parameter %d of %s", i + 1, fn_describe(c, loss));
    Mismatch m;
    Match match = type_match(want, types[i], &m);
    ok &= match == MATCH_OK;
    if (match == MATCH_SIZE) report_sizes(c, args[i]->loc, &m, want, types[i], what);
    if (match == MATCH_TYPE) report_mismatch(c, DIAG_TYPE, args[i]->loc, want, types[i], what);
  }
  if (!ok || !check_loss_result(c, loss, unify_apply(&u, v.result))) return;
  if (leaves) leave_defaults(c, loss, NULL, types, n);
}

// A lambda's data is a batch: how many rows it has is not known.
static Type *batch_type(Checker *c, Type *t, const Size *rows, Size *batch) {
  if (t->kind != TYPE_ARRAY || !rows || size_compare(t->dims[0], rows) != SIZE_EQUAL) return t;
  Size **dims = ARENA_ARRAY(c->a, Size *, t->rank);
  for (int i = 0; i < t->rank; i++) dims[i] = i ? t->dims[i] : batch;
  return type_array(c, t->elem, t->rank, dims);
}

static Type *report_type(Checker *c, StructDecl *decl) {
  return decl ? type_struct(c, decl, NULL) : c->error;
}

static void check_rows(Checker *c, Expr **args, Type **types, int n) {
  int first = 0;
  for (int i = 1; i <= n; i++) {
    if (types[i]->kind != TYPE_ARRAY) continue;
    if (!first) first = i;
    if (size_compare(types[i]->dims[0], types[first]->dims[0]) != SIZE_DIFFERENT || i != first + 1) continue;
    if (types[i]->rank > 1 && types[first]->rank > 1) continue;
    Diag *g = diag_add(c->d, DIAG_SIZE, args[i]->loc, "the data has %s and %s rows",
                       size_text(c->a, types[first]->dims[0]), size_text(c->a, types[i]->dims[0]));
    diag_span(c->d, g, args[first]->loc, "`%s`", type_text(c->a, types[first]));
    diag_label(c->d, g, "`%s`", type_text(c->a, types[i]));
  }
}

Type *check_train(Checker *c, Expr *e) {
  static const char *const what[] = {"the loss, the model and the data", "the model: `inout m`",
                                     "the data: `(x, y)`"};
  int n_params = 3 + OPTION_COUNT;
  Expr **by_param = ARENA_ARRAY(c->a, Expr *, n_params);
  Type *report = report_type(c, c->p->train_report);
  if (!read_call(c, e, what, 3, true, by_param)) return report;
  e->call.args_by_param = by_param;
  e->call.n_params = n_params;
  Expr *data = by_param[2];
  Type *model = check_model(c, e, 1, by_param[1]), *t = check_expr(c, data, NULL);
  int n = t->kind == TYPE_TUPLE ? t->n_parts : 1;
  Type **types = ARENA_ARRAY(c->a, Type *, n + 1);
  Expr **args = ARENA_ARRAY(c->a, Expr *, n + 1);
  types[0] = model;
  args[0] = by_param[1];
  bool parts = data->kind == EXPR_TUPLE && data->tuple.elems.len == n;
  const Size *rows = NULL;
  for (int i = 0; i < n; i++) {
    types[i + 1] = t->kind == TYPE_TUPLE ? t->parts[i] : t;
    args[i + 1] = parts ? data->tuple.elems.data[i] : data;
    if (!rows && types[i + 1]->kind == TYPE_ARRAY) rows = types[i + 1]->dims[0];
  }
  if (!rows && t->kind != TYPE_ERROR)
    diag_add(c->d, DIAG_TYPE, data->loc, "the data of `train` is an array, or a tuple of arrays");
  check_rows(c, args, types, n);
  Size *batch = fresh_opaque(c, data->loc, "the rows of a batch");
  for (int i = 1; i <= n; i++) types[i] = batch_type(c, types[i], rows, batch);
  check_loss(c, by_param[0], types, args, n + 1, "the model, then the data");
  return report;
}

Type *check_minimize(Checker *c, Expr *e) {
  static const char *const what[] = {"the function and `inout x`", "what to change: `inout x`"};
  int n_params = 2 + OPTION_COUNT;
  Expr **by_param = ARENA_ARRAY(c->a, Expr *, n_params);
  Type *report = report_type(c, c->p->minimize_report);
  if (!read_call(c, e, what, 2, false, by_param)) return report;
  e->call.args_by_param = by_param;
  e->call.n_params = n_params;
  Type *types[1] = {check_model(c, e, 1, by_param[1])};
  check_loss(c, by_param[0], types, by_param + 1, 1, "what is changed");
  return report;
}

Type *check_step(Checker *c, Expr *e) {
  Expr **args = ARENA_ARRAY(c->a, Expr *, 3);
  bool named = false;
  for (int i = 0; i < e->call.args.len; i++)
    named |= e->call.args.data[i].name || !e->call.args.data[i].value;
  if (e->call.args.len != 3 || named) {
    check_loose_args(c, e);
    Diag *g =
        diag_add(c->d, DIAG_ARGS, e->loc, "`step` takes an optimizer, what it changes, and the gradient");
    diag_help(c->d, g, "write `step(inout o, inout m, g)`");
    return c->void_;
  }
  for (int i = 0; i < 3; i++) args[i] = e->call.args.data[i].value;
  e->call.args_by_param = args;
  e->call.n_params = 3;
  Type *optimizer = check_place(c, args[0], "pass inout");
  Symbol *root = place_root(args[0]);
  if (root) root->used = true;
  if (!is_optimizer(c, optimizer) && optimizer->kind != TYPE_ERROR)
    report_mismatch(c, DIAG_TYPE, args[0]->loc, option_type(c, OPTION_OPTIMIZER), optimizer,
                    "the first argument of `step`");
  if (!e->call.args.data[0].is_inout)
    diag_help(c->d, diag_add(c->d, DIAG_INOUT, args[0]->loc, "`step` changes the optimizer"),
              "mark it: `inout ...`");
  Type *model = check_model(c, e, 1, args[1]);
  check_expr(c, args[2], model->kind == TYPE_ERROR ? NULL : model);
  expect_type(c, args[2], model, "the gradient given to `step`");
  check_inout_args(c, e);
  return c->void_;
}
