// Places: what can be assigned to or passed inout, and whether two of them overlap.
// In: a name, field, element, row or slice; out: its type. What must hold: the variable is mutable and is the function's
// own; writing to a variable is not reading it.
#include "sema/check.h"

Symbol *place_root(const Expr *e) {
  while (e) {
    switch (e->kind) {
    case EXPR_NAME: return e->name.symbol;
    case EXPR_FIELD: e = e->field.base; break;
    case EXPR_INDEX: e = e->index.base; break;
    default: return NULL;
    }
  }
  return NULL;
}

static Expr *root_name(Expr *e) {
  while (e && (e->kind == EXPR_FIELD || e->kind == EXPR_INDEX))
    e = e->kind == EXPR_FIELD ? e->field.base : e->index.base;
  return e && e->kind == EXPR_NAME ? e : NULL;
}

static void report_immutable(Checker *c, const Expr *name, const Symbol *s, const char *doing) {
  Diag *g = diag_add(c->d, DIAG_IMMUTABLE, name->loc, "cannot %s `%s`: it does not change", doing, s->name);
  switch (s->kind) {
  case SYM_PARAM:
    diag_span(c->d, g, s->loc, "a parameter");
    diag_help(c->d, g, "make it `inout %s` to change the caller's variable, or copy it: `var %s = %s`",
              s->name, s->name, s->name);
    break;
  case SYM_SIZE:
    diag_span(c->d, g, s->loc, "a size of the arguments");
    diag_help(c->d, g, "copy it: `var k = %s`", s->name);
    break;
  case SYM_LOCAL:
    diag_span(c->d, g, s->loc, "declared here");
    if (s->loop)
      diag_help(c->d, g, "the loop sets it; copy it (`var k = %s`), or count in a `while` loop", s->name);
    else
      diag_help(c->d, g, "declare `%s` with `var`", s->name);
    break;
  case SYM_FN:
  case SYM_STRUCT:
  case SYM_MODULE:
  case SYM_BUILTIN: diag_label(c->d, g, "not a variable"); break;
  }
}

static bool check_root(Checker *c, const Expr *name, Symbol *s, const char *doing) {
  bool variable = s->kind == SYM_LOCAL || s->kind == SYM_PARAM || s->kind == SYM_SIZE;
  if (s->type->kind == TYPE_ERROR && variable) return true;
  if (!s->mutable_) {
    report_immutable(c, name, s, doing);
    return false;
  }
  if (!c->frame || s->owner == c->frame->owner) return true;
  Diag *g = diag_add(c->d, DIAG_CAPTURE, name->loc, "cannot %s `%s` within a lambda", doing, s->name);
  diag_span(c->d, g, s->loc, "declared outside the lambda");
  diag_note(c->d, g, "a lambda has its own copy of what it uses from outside");
  diag_help(c->d, g, "%s",
            s->type->kind == TYPE_STRUCT && s->type->decl == c->p->rng
                ? "draw the numbers before the lambda, and use them in it"
                : "return the new value instead");
  return false;
}

static bool gathers(const Expr *e) {
  for (; e; e = e->kind == EXPR_FIELD ? e->field.base : e->kind == EXPR_INDEX ? e->index.base : NULL) {
    if (e->kind != EXPR_INDEX) continue;
    for (int i = 0; i < e->index.idx.len; i++) {
      const Expr *idx = e->index.idx.data[i];
      if (idx && idx->type && idx->type->kind == TYPE_ARRAY) return true;
    }
  }
  return false;
}

static Type *report_no_place(Checker *c, Expr *e, const char *doing) {
  Type *t = check_any(c, e, NULL);
  if (t->kind == TYPE_ERROR) return t;
  Diag *g = diag_add(c->d, DIAG_NOT_PLACE, e->loc,
                     "cannot %s this: it is not a variable, field, element or slice", doing);
  diag_help(c->d, g, "give the value a name with `var` first");
  return c->error;
}

Type *check_place(Checker *c, Expr *e, const char *doing) {
  if (!e) return c->error;
  Expr *name = root_name(e);
  if (!name) return report_no_place(c, e, doing);
  Symbol *s = name_find(c, name->name.name);
  bool used = s && s->used;
  Type *t = check_any(c, e, NULL);
  if (!s) return t;
  s->used = used || s->kind == SYM_PARAM;
  if (s->kind == SYM_FN || s->kind == SYM_MODULE || s->kind == SYM_BUILTIN || s->kind == SYM_STRUCT) {
    if (t->kind != TYPE_ERROR) report_immutable(c, name, s, doing);
    return e->type = c->error;
  }
  if (!check_root(c, name, s, doing)) return e->type = c->error;
  if (!gathers(e)) return t;
  Diag *g =
      diag_add(c->d, DIAG_NOT_PLACE, e->loc, "cannot %s a gather: an index may occur twice in it", doing);
  diag_help(c->d, g, "write the loop: `for i in 0..len(idx) { a[idx[i]] = ... }`");
  return e->type = c->error;
}

// ---- overlap -----------------------------------------------------------------------------------------------------

// The steps from the variable to the place: fields and index lists, outermost first.
typedef struct Steps {
  const Expr *step[64];
  int n;
} Steps;

static void collect_steps(const Expr *e, Steps *out) {
  const Expr *reversed[64];
  int n = 0;
  for (; e && n < 64 && (e->kind == EXPR_FIELD || e->kind == EXPR_INDEX);
       e = e->kind == EXPR_FIELD ? e->field.base : e->index.base)
    reversed[n++] = e;
  out->n = n;
  for (int i = 0; i < n; i++) out->step[i] = reversed[n - 1 - i];
}

static bool indices_apart(const Expr *a, const Expr *b) {
  int n = a->index.idx.len < b->index.idx.len ? a->index.idx.len : b->index.idx.len;
  for (int i = 0; i < n; i++) {
    const Expr *x = a->index.idx.data[i], *y = b->index.idx.data[i];
    if (!x || !y || x->kind == EXPR_RANGE || y->kind == EXPR_RANGE) continue;
    if (x->size && y->size && size_compare(x->size, y->size) == SIZE_DIFFERENT) return true;
  }
  return false;
}

bool places_overlap(const Expr *a, const Expr *b) {
  Symbol *root = place_root(a);
  if (!root || root != place_root(b)) return false;
  Steps x, y;
  collect_steps(a, &x);
  collect_steps(b, &y);
  for (int i = 0; i < x.n && i < y.n; i++) {
    if (x.step[i]->kind != y.step[i]->kind) return true;
    if (x.step[i]->kind == EXPR_FIELD) {
      if (x.step[i]->field.index != y.step[i]->field.index) return false;
    } else if (indices_apart(x.step[i], y.step[i])) {
      return false;
    }
  }
  return true;
}
