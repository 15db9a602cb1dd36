// Matching types: does what is there fit what is wanted, and which sizes does a call bind?
// In: a signature's types and those of the arguments. Out: bindings of size names and of `real`, diagnostics that show
// both sides. What must hold: sizes are refused only when they differ for every value of the names in them; where that
// cannot be decided lowering emits a check at run time.
#include "sema/check.h"

static Match match_sizes(Size *const *want, Size *const *got, int n, Mismatch *out) {
  for (int i = 0; i < n; i++) {
    if (size_compare(want[i], got[i]) != SIZE_DIFFERENT) continue;
    if (out) *out = (Mismatch){want[i], got[i], i, n, NULL};
    return MATCH_SIZE;
  }
  return MATCH_OK;
}

static Match match_parts(const Type *want, const Type *got, Mismatch *out) {
  if (want->n_parts != got->n_parts) return MATCH_TYPE;
  Match worst = MATCH_OK;
  for (int i = 0; i < want->n_parts; i++) {
    Match m = type_match(want->parts[i], got->parts[i], out);
    if (m == MATCH_TYPE) return m;
    if (m != MATCH_OK) worst = m;
  }
  return worst;
}

Match type_match(const Type *want, const Type *got, Mismatch *out) {
  if (want == got || want->kind == TYPE_ERROR || got->kind == TYPE_ERROR) return MATCH_OK;
  if (want->kind != got->kind) return MATCH_TYPE;
  Match m;
  switch (want->kind) {
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_REAL:
  case TYPE_STR: return MATCH_OK;
  case TYPE_ARRAY:
    if (want->rank != got->rank) return MATCH_TYPE;
    m = type_match(want->elem, got->elem, out);
    return m == MATCH_OK ? match_sizes(want->dims, got->dims, want->rank, out) : m;
  case TYPE_GROW: return type_match(want->elem, got->elem, out);
  case TYPE_STRUCT:
    if (want->decl != got->decl) return MATCH_TYPE;
    m = match_sizes(want->sizes, got->sizes, want->decl->sizes.len, out);
    if (m == MATCH_SIZE && out) out->name = want->decl->sizes.data[out->axis];
    return m;
  case TYPE_TUPLE: return match_parts(want, got, out);
  case TYPE_FN:
    m = match_parts(want, got, out);
    if (m != MATCH_OK || !want->result || !got->result) return m;
    return type_match(want->result, got->result, out);
  }
  return MATCH_TYPE;
}

bool scalar_converts(const Type *from, const Type *to) { return from->kind == TYPE_INT && type_is_float(to); }

// ---- binding -----------------------------------------------------------------------------------------------------

void unify_init(Unifier *u, Checker *c, Symbol **vars, int n_vars) {
  *u = (Unifier){.c = c, .vars = vars, .n_vars = n_vars};
}

Size *unify_get(const Unifier *u, const Symbol *s) {
  for (int i = 0; i < u->subst.len; i++)
    if (u->subst.data[i].symbol == s) return u->subst.data[i].size;
  return NULL;
}

void unify_put(Unifier *u, Symbol *s, Size *size, Loc origin) {
  vec_push(u->c->a, &u->subst, ((SizeBinding){s, size}));
  vec_push(u->c->a, &u->origins, origin);
}

static Symbol *unbound_var(const Unifier *u, const Size *formal) {
  const Symbol *s = size_bare_symbol(formal);
  if (!s || unify_get(u, s)) return NULL;
  for (int i = 0; i < u->n_vars; i++)
    if (u->vars[i] == s) return u->vars[i];
  return NULL;
}

static void bind_sizes(Unifier *u, Size *const *formal, Size *const *actual, int n, Loc origin) {
  for (int i = 0; i < n; i++) {
    Symbol *s = unbound_var(u, formal[i]);
    if (s) unify_put(u, s, actual[i], origin);
  }
}

void unify_bind(Unifier *u, const Type *formal, const Type *actual, Loc origin) {
  if (formal->kind == TYPE_REAL && type_is_float(actual) && !u->real) {
    u->real = (Type *)actual;
    u->real_loc = origin;
  }
  if (formal->kind != actual->kind) return;
  switch (formal->kind) {
  case TYPE_ARRAY:
    unify_bind(u, formal->elem, actual->elem, origin);
    if (formal->rank == actual->rank) bind_sizes(u, formal->dims, actual->dims, formal->rank, origin);
    return;
  case TYPE_GROW: unify_bind(u, formal->elem, actual->elem, origin); return;
  case TYPE_STRUCT:
    if (formal->decl == actual->decl)
      bind_sizes(u, formal->sizes, actual->sizes, formal->decl->sizes.len, origin);
    return;
  case TYPE_FN:
    if (formal->result && actual->result) unify_bind(u, formal->result, actual->result, origin);
    __attribute__((fallthrough)); // to its parameters
  case TYPE_TUPLE:
    for (int i = 0; i < formal->n_parts && i < actual->n_parts; i++)
      unify_bind(u, formal->parts[i], actual->parts[i], origin);
    return;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_REAL:
  case TYPE_STR: return;
  }
}

Type *unify_apply(Unifier *u, Type *t) {
  return type_subst(u->c->a, t, &u->subst, u->real ? u->real : default_float(u->c));
}

// ---- reporting ---------------------------------------------------------------------------------------------------

static const char *axis_text(Checker *c, const Mismatch *m) {
  int64_t n;
  bool one = size_is_const(m->got, &n) && n == 1;
  if (m->rank == 1) return one ? "element" : "elements";
  if (m->rank == 2 && m->axis == 0) return one ? "row" : "rows";
  return m->rank == 2 ? one ? "column" : "columns" : arena_printf(c->a, "along axis %d", m->axis);
}

typedef struct OpaqueSearch {
  const Atom *found;
} OpaqueSearch;
static bool find_opaque(void *user, const Atom *atom) {
  OpaqueSearch *s = user;
  if (atom->kind == ATOM_OPAQUE && atom->origin.file) s->found = atom;
  return s->found != NULL;
}

static void explain_size(Checker *c, Diag *g, const Size *s) {
  OpaqueSearch search = {0};
  if (!size_any(s, find_opaque, &search)) return;
  diag_span(c->d, g, search.found->origin, "%s is known here only when the program runs",
            search.found->what ? search.found->what : "this size");
}

void report_sizes(Checker *c, Loc loc, const Mismatch *m, Type *want, Type *got, const char *what) {
  Diag *g = diag_add(c->d, DIAG_SIZE, loc, "sizes differ: %s needs `%s`, not `%s`", what,
                     type_text(c->a, want), type_text(c->a, got));
  const char *here = size_text(c->a, m->got), *there = size_text(c->a, m->want);
  if (m->name)
    diag_label(c->d, g, "%s is %s, not %s", m->name, here, there);
  else
    diag_label(c->d, g, "%s %s, not %s", here, axis_text(c, m), there);
  explain_size(c, g, m->want);
  explain_size(c, g, m->got);
}

static const char *help_mismatch(Checker *c, const Type *want, const Type *got) {
  if (type_is_float(want) && type_is_float(got))
    return arena_printf(c->a, "convert it: `%s(...)`", type_text(c->a, want));
  if (want->kind == TYPE_INT && type_is_float(got)) return "convert it: `int(...)` cuts off the decimals";
  if (want->kind == TYPE_INT && got->kind == TYPE_BOOL) return "convert it: `int(...)` gives 0 or 1";
  if (want->kind == TYPE_ARRAY && got->kind == TYPE_ARRAY && want->rank == got->rank &&
      type_is_float(want->elem) && type_is_numeric(got->elem))
    return arena_printf(c->a, "convert it: `%s(...)` works on whole arrays", type_text(c->a, want->elem));
  if (want->kind == TYPE_ARRAY && got->kind == TYPE_GROW) return "take all of it as an array: `xs[..]`";
  if (want->kind == TYPE_GROW && got->kind == TYPE_ARRAY)
    return "a growable array starts from a literal, such as `[]`, and grows by `push`";
  if (want->kind == TYPE_STR) return "write it into a string: `\"{...}\"`";
  if (want->kind == TYPE_ARRAY && type_is_numeric(got) && want->rank == 1)
    return "for an array of one value write `full(value, size)`";
  return NULL;
}

void report_mismatch(Checker *c, DiagCode code, Loc loc, Type *want, Type *got, const char *what) {
  Diag *g =
      diag_add(c->d, code, loc, "%s needs `%s`, not `%s`", what, type_text(c->a, want), type_text(c->a, got));
  diag_label(c->d, g, "this is `%s`", type_text(c->a, got));
  const char *help = help_mismatch(c, want, got);
  if (help) diag_help(c->d, g, "%s", help);
}

bool expect_type(Checker *c, Expr *e, Type *want, const char *fmt, ...) {
  if (!e || !e->type || scalar_converts(e->type, want)) return true;
  Mismatch m;
  Match match = type_match(want, e->type, &m);
  if (match == MATCH_OK) return true;
  va_list ap;
  va_start(ap, fmt);
  const char *what = arena_vprintf(c->a, fmt, ap);
  va_end(ap);
  if (match == MATCH_SIZE)
    report_sizes(c, e->loc, &m, want, e->type, what);
  else
    report_mismatch(c, DIAG_TYPE, e->loc, want, e->type, what);
  return false;
}
