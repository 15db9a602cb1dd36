// Arguments to parameters: by position, by name, defaults.
// In: a call, and what it calls: a declared function, or a function value that stands for one (a name, a lambda, a
// derivative of those). Out: one expression per parameter. What must hold: every parameter gets one argument or its default.
#include "sema/check.h"

typedef struct Placing {
  Checker *c;
  Expr *call;
  const FnDecl *fn;   // what is called; NULL: the call's callee, a function value,
  const FnView *view; // which is this
  int n;              // parameters
  Expr **by_param;
  int next;
  bool named, report;
} Placing;

static Name name_at(const Placing *p, int i) {
  return p->fn ? p->fn->params.data[i].name : fn_param_name(p->call->call.callee, i);
}

static Expr *default_at(const Placing *p, int i) {
  return p->fn ? p->fn->params.data[i].def : fn_param_default(p->call->call.callee, i);
}

static int find(const Placing *p, Name name) {
  for (int i = 0; i < p->n; i++)
    if (name_at(p, i) == name) return i;
  return -1;
}

// ---- reports -------------------------------------------------------------------------------------------------------------

static const char *describe(const Placing *p) {
  return p->fn ? arena_printf(p->c->a, "`%s`", p->fn->name) : fn_describe(p->c, p->call->call.callee);
}

static void help_form(const Placing *p, Diag *g) {
  if (p->fn) {
    diag_help(p->c->d, g, "it is `%s`", signature_text(p->c->a, p->fn));
    return;
  }
  StrBuf sb;
  sb_init(&sb, p->c->a);
  for (int i = 0; i < p->n; i++) {
    Name name = name_at(p, i);
    Expr *def = default_at(p, i);
    sb_addf(&sb, "%s%s%s%s", i ? ", " : "", name ? name : "", name ? ": " : "",
            type_text(p->c->a, p->view->params[i]));
    if (!def) continue;
    sb_add(&sb, " = ");
    ast_print_expr(def, &sb);
  }
  diag_help(p->c->d, g, "its arguments are (%s)", sb.data ? sb.data : "");
}

static bool report_unnamed(const Placing *p, const Arg *arg) {
  Diag *g =
      diag_add(p->c->d, DIAG_ARGS, arg->name_loc, "the parameters of %s have no names here", describe(p));
  diag_help(p->c->d, g, "give its arguments by position");
  return false;
}

static bool report_name(const Placing *p, const Arg *arg) {
  Checker *c = p->c;
  Name *names = ARENA_ARRAY(c->a, Name, p->n + 1);
  int named = 0, open = 0;
  for (int i = 0; i < p->n; i++) {
    Name name = name_at(p, i);
    named += name != NULL;
    if (name && !p->by_param[i]) names[open++] = name;
  }
  if (!named && p->n) return report_unnamed(p, arg);
  Name near = nearest_name(arg->name, names, open);
  Diag *g = diag_add(c->d, DIAG_ARG_NAME, arg->name_loc, "%s has no parameter `%s`", describe(p), arg->name);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
  } else {
    help_form(p, g);
  }
  return false;
}

static bool report_too_many(const Placing *p, const Expr *extra) {
  Diag *g = diag_add(p->c->d, DIAG_ARGS, extra ? extra->loc : p->call->loc,
                     "too many arguments: %s takes %d, not %d", describe(p), p->n, p->call->call.args.len);
  help_form(p, g);
  return false;
}

// Where an argument by position took a default's place, what is missing after it was probably meant.
static void help_position(const Placing *p, Diag *g) {
  int missing = 0, taken = -1;
  while (missing < p->n && (p->by_param[missing] || default_at(p, missing))) missing++;
  for (int i = 0; i < missing && i < p->next; i++)
    if (default_at(p, i)) taken = i;
  if (missing < p->n && taken >= 0 && name_at(p, missing))
    diag_help(p->c->d, g, "`%s` comes before `%s`; to leave it out, give what follows by name: `%s: ...`",
              name_at(p, taken), name_at(p, missing), name_at(p, missing));
  else
    help_form(p, g);
}

static bool report_missing(const Placing *p) {
  StrBuf list;
  sb_init(&list, p->c->a);
  int n = 0;
  for (int i = 0; i < p->n; i++) {
    if (p->by_param[i] || default_at(p, i)) continue;
    Name name = name_at(p, i);
    sb_add(&list, n++ ? ", " : "");
    sb_add(&list, name ? arena_printf(p->c->a, "`%s`", name) : arena_printf(p->c->a, "number %d", i + 1));
  }
  Diag *g = diag_add(p->c->d, DIAG_ARGS, p->call->loc, "%s missing in the call of %s: %s",
                     n == 1 ? "an argument is" : "arguments are", describe(p), list.data);
  help_position(p, g);
  return false;
}

static bool report_count(const Placing *p) {
  Diag *g = diag_add(p->c->d, DIAG_ARGS, p->call->loc, "%s takes %d argument%s, not %d", describe(p), p->n,
                     p->n == 1 ? "" : "s", p->call->call.args.len);
  help_form(p, g);
  return false;
}

// ---- placing -------------------------------------------------------------------------------------------------------------

bool is_like(Checker *c, const FnDecl *fn, const Arg *arg) {
  if (!fn || arg->name != c->n_like) return false;
  for (int i = 0; i < fn->params.len; i++)
    if (fn->params.data[i].name == c->n_like) return false;
  return fn->sig && is_optimizer(c, fn->sig->result);
}

static bool place_positional(Placing *p, const Arg *arg) {
  if (p->named) {
    if (p->report)
      diag_help(p->c->d,
                diag_add(p->c->d, DIAG_ARGS, arg->value->loc, "an argument by position after one by name"),
                "name this one too");
    return false;
  }
  if (p->next >= p->n) return p->report && report_too_many(p, arg->value);
  p->by_param[p->next++] = arg->value;
  return true;
}

static bool place_named(Placing *p, const Arg *arg) {
  p->named = true;
  if (is_like(p->c, p->fn, arg)) return true;
  int at = find(p, arg->name);
  if (at < 0) return p->report && report_name(p, arg);
  if (p->by_param[at]) {
    if (p->report) diag_add(p->c->d, DIAG_ARGS, arg->name_loc, "`%s` is given twice", arg->name);
    return false;
  }
  p->by_param[at] = arg->value;
  return true;
}

static bool place(Placing *p) {
  bool ok = true, missing = false;
  for (int i = 0; i < p->call->call.args.len; i++) {
    const Arg *arg = &p->call->call.args.data[i];
    if (!arg->value) return false;
    ok = (arg->name ? place_named(p, arg) : place_positional(p, arg)) && ok;
    if (!ok && !p->report) return false;
  }
  if (!ok) return false;
  for (int i = 0; i < p->n; i++) missing |= !p->by_param[i] && !default_at(p, i);
  if (missing) return p->report && report_missing(p);
  for (int i = 0; i < p->n; i++)
    if (!p->by_param[i]) p->by_param[i] = default_at(p, i);
  return true;
}

bool place_args(Checker *c, Expr *call, FnDecl *fn, Expr **by_param, bool report) {
  Placing p = {.c = c, .call = call, .fn = fn, .n = fn->params.len, .by_param = by_param, .report = report};
  return place(&p);
}

// By position alone, the number of arguments says what is wrong.
static bool only_counted(const Placing *p) {
  int n = p->call->call.args.len;
  for (int i = 0; i < n; i++)
    if (p->call->call.args.data[i].name) return false;
  for (int i = 0; i < p->n && n <= p->n; i++)
    if (default_at(p, i)) return false;
  return n != p->n;
}

bool place_value_args(Checker *c, Expr *call, const FnView *v, Expr **by_param) {
  Placing p = {.c = c, .call = call, .view = v, .n = v->n_params, .by_param = by_param, .report = true};
  return only_counted(&p) ? report_count(&p) : place(&p);
}
