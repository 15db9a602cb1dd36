// Values that are put together: blocks, if, arrays, comprehensions, reductions, structs.
// In: expressions; out: types. What must hold: both branches of an if agree; the rows of an array are of one size, which
// does not depend on the loop that makes them; what leaves a block does not mention the block's names.
#include "sema/check.h"

// ---- blocks and if ---------------------------------------------------------------------------------------------------

// break, continue and return cannot leave an expression that is being computed.
typedef struct ValueGuard {
  int loop_depth;
} ValueGuard;

static ValueGuard enter_value(Checker *c) {
  ValueGuard g = {c->frame ? c->frame->loop_depth : 0};
  if (!c->frame) return g;
  c->frame->loop_depth = 0;
  c->frame->value_depth++;
  return g;
}

static void leave_value(Checker *c, ValueGuard g) {
  if (!c->frame) return;
  c->frame->loop_depth = g.loop_depth;
  c->frame->value_depth--;
}

Type *check_block_value(Checker *c, Expr *e, Type *hint) {
  ValueGuard guard = enter_value(c);
  int first_symbol = c->next_symbol + 1;
  scope_push(c);
  check_stmts(c, &e->block.stmts);
  Type *t = c->void_;
  if (e->block.value) {
    t = check_any(c, e->block.value, hint);
    if (!e->block.stmts.len) e->size = e->block.value->size;
    t = type_escape(c, t, first_symbol, NULL, 0, e->block.value->loc);
  }
  scope_pop(c);
  leave_value(c, guard);
  return t;
}

Type *join_types(Checker *c, Type *a, Type *b) {
  if (a->kind == TYPE_ERROR) return b;
  if (b->kind == TYPE_ERROR) return a;
  if (scalar_converts(a, b)) return b;
  if (scalar_converts(b, a)) return a;
  if (a->kind != TYPE_TUPLE || b->kind != TYPE_TUPLE || a->n_parts != b->n_parts)
    return type_match(a, b, NULL) == MATCH_OK ? a : NULL;
  Type **parts = ARENA_ARRAY(c->a, Type *, a->n_parts + 1);
  for (int i = 0; i < a->n_parts; i++) {
    if (type_match(a->parts[i], b->parts[i], NULL) != MATCH_OK) return NULL;
    parts[i] = a->parts[i];
  }
  return type_tuple(c, parts, a->names, a->n_parts);
}

static void report_branches(Checker *c, const Expr *e, const Type *then, const Type *els) {
  Mismatch m;
  bool sizes = type_match(then, els, &m) == MATCH_SIZE;
  Diag *g =
      diag_add(c->d, sizes ? DIAG_SIZE : DIAG_TYPE, e->loc, "the branches of this `if` give `%s` and `%s`",
               type_text(c->a, then), type_text(c->a, els));
  const Expr *t =
      e->if_.then->kind == EXPR_BLOCK && e->if_.then->block.value ? e->if_.then->block.value : e->if_.then;
  const Expr *f =
      e->if_.els->kind == EXPR_BLOCK && e->if_.els->block.value ? e->if_.els->block.value : e->if_.els;
  diag_span(c->d, g, t->loc, "`%s`", type_text(c->a, then));
  diag_span(c->d, g, f->loc, "`%s`", type_text(c->a, els));
}

static void check_condition(Checker *c, Expr *e, const char *of) {
  Type *t = check_expr(c, e, c->bool_);
  if (!e || t->kind == TYPE_BOOL || t->kind == TYPE_ERROR) return;
  Diag *g =
      diag_add(c->d, DIAG_TYPE, e->loc, "the condition of %s is a bool, not `%s`", of, type_text(c->a, t));
  if (type_is_numeric(t)) diag_help(c->d, g, "compare it: `... != 0`");
}

Type *check_if(Checker *c, Expr *e, Type *hint) {
  check_condition(c, e->if_.cond, "an `if`");
  Type *then = check_any(c, e->if_.then, hint);
  if (!e->if_.els) {
    if (then->kind == TYPE_VOID || then->kind == TYPE_ERROR) return then;
    Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "this `if` has a value only when its condition holds");
    diag_help(c->d, g, "add `else { ... }` with the other value");
    return c->error;
  }
  Type *els = check_any(c, e->if_.els, hint);
  Type *t = join_types(c, then, els);
  if (t) return t;
  report_branches(c, e, then, els);
  return c->error;
}

// ---- arrays ----------------------------------------------------------------------------------------------------------

static bool can_be_element(Checker *c, Loc loc, const Type *t) {
  if (t->kind == TYPE_ERROR) return false;
  if (t->kind != TYPE_STR && !type_has_grow(t)) return true;
  diag_add(c->d, DIAG_TYPE_USE, loc, "an array cannot hold `%s`", type_text(c->a, t));
  return false;
}

static Type *array_of(Checker *c, Loc loc, Type *elem, Size *size) {
  Size **dims = ARENA_ARRAY(c->a, Size *, 1);
  dims[0] = size;
  Type *t = type_array(c, elem, 1, dims);
  if (t->kind != TYPE_ARRAY || t->rank <= MAX_RANK) return t;
  diag_add(c->d, DIAG_TYPE_USE, loc, "an array has at most %d axes, not %d", MAX_RANK, t->rank);
  return c->error;
}

static Type *check_empty_array(Checker *c, Expr *e, Type *hint) {
  Type *elem = hint_element(c, hint);
  if (hint && hint->kind == TYPE_GROW) return hint;
  if (elem && elem->kind != TYPE_ARRAY) return array_of(c, e->loc, elem, size_const(c->a, 0));
  Diag *g = diag_add(c->d, DIAG_INFER, e->loc, "what does this empty array hold?");
  diag_help(c->d, g, "give its type: `var xs: [*]f64 = []`");
  return c->error;
}

static void report_elements(Checker *c, const Expr *first, const Expr *other, const Type *a, const Type *b) {
  Mismatch m;
  bool sizes = type_match(a, b, &m) == MATCH_SIZE;
  Diag *g = diag_add(c->d, sizes ? DIAG_SIZE : DIAG_TYPE, other->loc,
                     sizes ? "the rows of an array are of one size: `%s` and `%s` here"
                           : "the elements of an array are of one type: `%s` and `%s` here",
                     type_text(c->a, a), type_text(c->a, b));
  diag_label(c->d, g, "`%s`", type_text(c->a, b));
  diag_span(c->d, g, first->loc, "`%s`", type_text(c->a, a));
}

static bool is_float_row(const Type *t) { return t && t->kind == TYPE_ARRAY && type_is_float(t->elem); }

// Rows of int literals in front of one of floats: can they be of floats as well?
static bool rows_become(Checker *c, Expr *e, int n, Type *row) {
  if (!is_float_row(row)) return false;
  for (int i = 0; i < n; i++) {
    Expr *x = e->array.elems.data[i];
    if (!is_flexible(c, x) || type_match(row, check_expr(c, x, row), NULL) != MATCH_OK) return false;
  }
  return true;
}

Type *check_array(Checker *c, Expr *e, Type *hint) {
  int n = e->array.elems.len;
  if (!n) return check_empty_array(c, e, hint);
  Type *want = hint_element(c, hint), *elem = NULL;
  for (int i = 0; i < n; i++) {
    Expr *x = e->array.elems.data[i];
    Type *t = check_expr(c, x, !want && is_float_row(elem) ? elem : want);
    if (elem && elem->kind == TYPE_ERROR) continue;
    if (!can_be_element(c, x ? x->loc : e->loc, t)) {
      elem = c->error;
      continue;
    }
    Type *joined = elem ? join_types(c, elem, t) : t;
    if (!joined && !want && rows_become(c, e, i, t)) joined = t;
    if (!joined) report_elements(c, e->array.elems.data[0], x, elem, t);
    elem = joined ? joined : c->error;
  }
  if (elem->kind == TYPE_ERROR) return elem;
  if (want && scalar_converts(elem, want)) elem = want;
  if (hint && hint->kind == TYPE_GROW) return type_grow(c, elem);
  return array_of(c, e->loc, elem, size_const(c->a, n));
}

// ---- loops within expressions ------------------------------------------------------------------------------------------

static Size *range_count(Checker *c, const Iter *it) {
  const Expr *lo = it->over->range.lo, *hi = it->over->range.hi;
  if (!lo || !hi || !lo->size || !hi->size) return NULL;
  Size *n = size_sub(c->a, hi->size, lo->size);
  int64_t step = 1, v;
  if (it->step && (!it->step->size || !size_is_const(it->step->size, &step) || step <= 0)) return NULL;
  if (step > 1) n = size_div(c->a, size_add(c->a, n, size_const(c->a, step - 1)), size_const(c->a, step));
  return size_is_const(n, &v) && v < 0 ? size_const(c->a, 0) : n;
}

static Type *check_iter_range(Checker *c, Iter *it, Size **count) {
  Expr *over = it->over;
  over->type = c->void_;
  bool lo = check_int(c, over->range.lo, "the start of a range"),
       hi = check_int(c, over->range.hi, "the end of a range");
  if (it->step && check_int(c, it->step, "a step")) {
    int64_t v;
    if (it->step->size && size_is_const(it->step->size, &v) && v <= 0) {
      Diag *g = diag_add(c->d, DIAG_TYPE, it->step->loc, "a step is at least 1, not %lld", (long long)v);
      diag_help(c->d, g, "to count down write `for i in reverse a..b`");
    }
  }
  *count = lo && hi ? range_count(c, it) : NULL;
  return c->int_;
}

static Type *check_iter_array(Checker *c, Iter *it, Size **count) {
  Type *t = check_expr(c, it->over, NULL);
  if (it->step) {
    check_int(c, it->step, "a step");
    diag_add(c->d, DIAG_TYPE, it->step->loc, "only a range has a step");
  }
  if (t->kind == TYPE_ARRAY) *count = t->dims[0];
  if (t->kind == TYPE_ARRAY || t->kind == TYPE_GROW) return type_element(c, t);
  if (t->kind == TYPE_ERROR) return t;
  Diag *g = diag_add(c->d, DIAG_TYPE, it->over->loc, "a loop runs over a range or an array, not `%s`",
                     type_text(c->a, t));
  if (t->kind == TYPE_INT) diag_help(c->d, g, "count from 0: `0..n`");
  return c->error;
}

Symbol *check_iter(Checker *c, Iter *it, Size **count) {
  *count = NULL;
  Type *t = c->error;
  if (it->over)
    t = it->over->kind == EXPR_RANGE ? check_iter_range(c, it, count) : check_iter_array(c, it, count);
  Symbol *s = symbol_new(c, SYM_LOCAL, it->name, it->name_loc, t);
  s->loop = s->used = true; // a loop that only counts is fine
  if (t->kind == TYPE_INT) s->size = size_symbol(c->a, s);
  return it->symbol = s;
}

// The bounds of a comprehension's later loops must not use its earlier variables: the array would be ragged.
static void check_bounds_fixed(Checker *c, const Expr *e, int i, const bool *used) {
  for (int j = 0; j < i; j++) {
    if (!used[j]) continue;
    const Iter *it = &e->comp.iters.data[i];
    Diag *g = diag_add(c->d, DIAG_RAGGED, it->over->loc, "the size of an array cannot depend on `%s`",
                       e->comp.iters.data[j].name);
    diag_label(c->d, g, "its rows would have different sizes");
    diag_help(c->d, g, "fill the array in a loop: `var a = zeros(n, m)` and `for`");
  }
}

static void declare_iters(Checker *c, Expr *e, Size **counts, bool fixed) {
  int n = e->comp.iters.len;
  bool *used = ARENA_ARRAY(c->a, bool, n + 1);
  for (int i = 0; i < n; i++) {
    Iter *it = &e->comp.iters.data[i];
    for (int j = 0; j < i; j++) e->comp.iters.data[j].symbol->used = false;
    Symbol *s = check_iter(c, it, &counts[i]);
    for (int j = 0; j < i; j++) {
      used[j] = e->comp.iters.data[j].symbol->used;
      e->comp.iters.data[j].symbol->used = true;
    }
    if (fixed) check_bounds_fixed(c, e, i, used);
    if (!counts[i] && it->over) counts[i] = fresh_opaque(c, it->over->loc, "how often this loop runs");
    scope_declare(c, s);
  }
}

Type *check_comp(Checker *c, Expr *e, Type *hint) {
  int n = e->comp.iters.len;
  Size **counts = ARENA_ARRAY(c->a, Size *, n + 1);
  ValueGuard guard = enter_value(c);
  int first_symbol = c->next_symbol + 1;
  scope_push(c);
  declare_iters(c, e, counts, true);
  int first_opaque = c->next_opaque;
  Type *want = hint;
  for (int i = 0; want && i < n; i++) want = hint_element(c, want);
  Type *t = check_expr(c, e->comp.body, want);
  scope_pop(c);
  leave_value(c, guard);
  if (!can_be_element(c, e->comp.body ? e->comp.body->loc : e->loc, t)) return c->error;
  if (type_made_since(t, first_symbol, first_opaque)) {
    Diag *g = diag_add(c->d, DIAG_RAGGED, e->comp.body->loc,
                       "the rows of an array are of one size, and that of `%s` "
                       "is only known within the loop",
                       type_text(c->a, t));
    diag_help(c->d, g, "name the size before the comprehension, or fill an array of known size in a loop");
    return c->error;
  }
  if (want && scalar_converts(t, want)) t = want;
  for (int i = n - 1; i >= 0 && t->kind != TYPE_ERROR; i--)
    t = array_of(c, e->loc, t, counts[i] ? counts[i] : fresh_opaque(c, e->loc, "_"));
  return t;
}

Type *check_reduce(Checker *c, Expr *e, Type *hint) {
  static const char *const names[] = {"sum", "prod", "min", "max"};
  Size **counts = ARENA_ARRAY(c->a, Size *, e->comp.iters.len + 1);
  ValueGuard guard = enter_value(c);
  scope_push(c);
  declare_iters(c, e, counts, false);
  Type *t = check_expr(c, e->comp.body, hint && type_is_float(hint) ? hint : NULL);
  scope_pop(c);
  leave_value(c, guard);
  if (type_is_numeric(t) || t->kind == TYPE_ERROR) return t;
  const char *name = names[e->comp.op];
  Diag *g = diag_add(c->d, DIAG_TYPE, e->comp.body->loc, "`%s` reduces numbers, not `%s`", name,
                     type_text(c->a, t));
  if (t->kind == TYPE_BOOL) diag_help(c->d, g, "count with `int(...)`");
  if (t->kind == TYPE_ARRAY || t->kind == TYPE_STRUCT || t->kind == TYPE_TUPLE)
    diag_help(c->d, g, "add them up in a loop: `var s = ...` and `s += ...`");
  return c->error;
}

// ---- structs -----------------------------------------------------------------------------------------------------------

static int field_index(const StructDecl *s, Name name) {
  for (int i = 0; i < s->fields.len; i++)
    if (s->fields.data[i].name == name) return i;
  return -1;
}

static void report_unknown_field(Checker *c, const StructDecl *s, const FieldInit *f) {
  Name *names = ARENA_ARRAY(c->a, Name, s->fields.len + 1);
  for (int i = 0; i < s->fields.len; i++) names[i] = s->fields.data[i].name;
  Name near = nearest_name(f->name, names, s->fields.len);
  Diag *g = diag_add(c->d, DIAG_MEMBER, f->name_loc, "`%s` has no field `%s`", s->name, f->name);
  diag_span(c->d, g, s->name_loc, "`%s` is declared here", s->name);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
  }
}

static void report_missing_fields(Checker *c, const Expr *e, const StructDecl *s, Expr **by_field) {
  StrBuf list;
  sb_init(&list, c->a);
  int n = 0;
  for (int i = 0; i < s->fields.len; i++)
    if (!by_field[i]) sb_addf(&list, "%s`%s`", n++ ? ", " : "", s->fields.data[i].name);
  if (!n) return;
  Diag *g = diag_add(c->d, DIAG_FIELDS, e->strukt.name_loc, "the field%s %s of `%s` %s missing",
                     n > 1 ? "s" : "", list.data, s->name, n > 1 ? "are" : "is");
  diag_span(c->d, g, s->name_loc, "declared here");
  diag_help(c->d, g, "a struct is made with all its fields");
}

// Which value goes into which field; false after a report.
static bool place_fields(Checker *c, Expr *e, StructDecl *s, Expr **by_field) {
  int errors = c->d->n_errors;
  bool misnamed = false;
  for (int i = 0; i < e->strukt.fields.len; i++) {
    FieldInit *f = &e->strukt.fields.data[i];
    int at = field_index(s, f->name);
    if (at < 0) {
      check_any(c, f->value, NULL);
      report_unknown_field(c, s, f);
      misnamed = true;
    } else if (by_field[at]) {
      check_any(c, f->value, NULL);
      diag_add(c->d, DIAG_FIELDS, f->name_loc, "the field `%s` is given twice", f->name);
    } else {
      by_field[at] = f->value;
    }
  }
  if (!misnamed) report_missing_fields(c, e, s, by_field);
  return c->d->n_errors == errors;
}

static bool names_another(void *user, const Atom *atom) {
  const Checker *c = user;
  return atom->kind == ATOM_SYMBOL && (!c->frame || atom->symbol->owner != c->frame->owner);
}

// A hint may be the type of a parameter of what is called, whose names mean nothing here.
static Size *hinted_size(Checker *c, const Type *hint, const StructDecl *s, int i) {
  bool fits = hint && hint->kind == TYPE_STRUCT && hint->decl == s;
  return fits && !size_any(hint->sizes[i], names_another, c) ? hint->sizes[i] : NULL;
}

static Type *struct_type_of(Checker *c, Expr *e, StructDecl *s, Unifier *u, const Type *hint) {
  Size **sizes = ARENA_ARRAY(c->a, Size *, s->sizes.len + 1);
  for (int i = 0; i < s->sizes.len; i++) {
    sizes[i] = unify_get(u, s->size_symbols[i]);
    if (!sizes[i]) sizes[i] = hinted_size(c, hint, s, i);
    if (sizes[i]) continue;
    Diag *g = diag_add(c->d, DIAG_SIZE_UNBOUND, e->strukt.name_loc,
                       "the size `%s` of `%s` does not follow from its fields", s->sizes.data[i], s->name);
    diag_help(c->d, g, "give the type where it is declared: `let x: %s[...] = ...`", s->name);
    sizes[i] = fresh_opaque(c, e->loc, s->sizes.data[i]);
    unify_put(u, s->size_symbols[i], sizes[i], e->loc);
  }
  return type_struct(c, s, sizes);
}

Type *check_struct_literal(Checker *c, Expr *e, Type *hint) {
  StructDecl *s = struct_find(c, e->strukt.module, e->strukt.name, e->strukt.name_loc);
  if (!s || !s->field_types) {
    for (int i = 0; i < e->strukt.fields.len; i++) check_any(c, e->strukt.fields.data[i].value, NULL);
    return c->error;
  }
  e->strukt.decl = s;
  Expr **by_field = ARENA_ARRAY(c->a, Expr *, s->fields.len + 1);
  bool complete = place_fields(c, e, s, by_field);
  Unifier u;
  unify_init(&u, c, s->size_symbols, s->sizes.len);
  for (int i = 0; i < s->fields.len; i++) {
    if (!by_field[i]) continue;
    check_expr(c, by_field[i], s->field_types[i]);
    unify_bind(&u, s->field_types[i], by_field[i]->type, by_field[i]->loc);
  }
  if (!complete) return c->error;
  Type *t = struct_type_of(c, e, s, &u, hint);
  for (int i = 0; i < s->fields.len; i++)
    expect_type(c, by_field[i], type_field(c, t, i), "the field `%s` of `%s`", s->fields.data[i].name,
                s->name);
  return t;
}
