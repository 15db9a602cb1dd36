// Indexing: elements, rows, slices, gathers.
// In: a[i, j..k, ..]; out: the type of what it names. What must hold: constant indices outside constant sizes are
// errors here, all others are checked when the program runs.
#include "sema/check.h"

typedef struct Axis {
  Size *size;
  int number, rank;
} Axis;

static const char *axis_name(Checker *c, const Axis *axis) {
  if (axis->rank == 1) return "the array";
  return arena_printf(c->a, "axis %d", axis->number);
}

static void report_range(Checker *c, Loc loc, const Axis *axis, const Size *index, const char *what) {
  Diag *g = diag_add(c->d, DIAG_INDEX_RANGE, loc, "the %s %s is outside %s of size %s", what,
                     size_text(c->a, index), axis_name(c, axis), size_text(c->a, axis->size));
  int64_t v;
  if (size_is_const(index, &v) && v < 0)
    diag_help(c->d, g, "indices count from 0 up; the last is `a[n - 1]`");
  else
    diag_help(c->d, g, "indices count from 0; the last is `%s`",
              size_text(c->a, size_sub(c->a, axis->size, size_const(c->a, 1))));
}

static bool is_negative(const Size *s) {
  int64_t v;
  return s && size_is_const(s, &v) && v < 0;
}

static void check_element_index(Checker *c, const Expr *e, const Axis *axis) {
  if (!e->size) return;
  if (is_negative(e->size) || (axis->size && size_at_least(e->size, axis->size, 0)))
    report_range(c, e->loc, axis, e->size, "index");
}

// lo..hi; a missing end is the axis's own.
static Size *check_slice(Checker *c, Expr *e, const Axis *axis) {
  Expr *lo = e->range.lo, *hi = e->range.hi;
  bool ok = true;
  if (lo) ok &= check_int(c, lo, "the start of a slice");
  if (hi) ok &= check_int(c, hi, "the end of a slice");
  Size *from = lo ? lo->size : size_const(c->a, 0), *to = hi ? hi->size : axis->size;
  if (lo && is_negative(from))
    report_range(c, lo->loc, axis, from, "start");
  else if (lo && from && axis->size && size_at_least(from, axis->size, 1))
    report_range(c, lo->loc, axis, from, "start");
  if (hi && is_negative(to))
    report_range(c, hi->loc, axis, to, "end");
  else if (hi && to && axis->size && size_at_least(to, axis->size, 1))
    report_range(c, hi->loc, axis, to, "end");
  else if (hi && lo && from && to && size_at_least(from, to, 1)) {
    Diag *g = diag_add(c->d, DIAG_INDEX_RANGE, e->loc, "this slice ends before it starts");
    diag_help(c->d, g, "a slice is `lo..hi`, with hi left out of it");
  }
  if (!ok || !from || !to) return fresh_opaque(c, e->loc, "the length of this slice");
  return size_sub(c->a, to, from);
}

typedef struct Indexed {
  Size *dims[MAX_RANK];
  int rank;
  const Expr *gather;
  bool failed;
} Indexed;

static void report_index_type(Checker *c, const Expr *e) {
  Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "an index is an int, a range or an array of ints, not `%s`",
                     type_text(c->a, e->type));
  if (type_is_float(e->type)) diag_help(c->d, g, "`int(...)` cuts off the decimals");
  if (e->type->kind == TYPE_ARRAY && e->type->elem->kind == TYPE_BOOL)
    diag_help(c->d, g, "collect the indices that hold in a loop, with `push`, and index by those");
}

static void index_axis(Checker *c, Expr *e, const Axis *axis, Indexed *out) {
  if (!e) return;
  if (e->kind == EXPR_RANGE) {
    e->type = c->void_;
    out->dims[out->rank++] = check_slice(c, e, axis);
    return;
  }
  Type *t = check_expr(c, e, c->int_);
  if (t->kind == TYPE_INT) {
    check_element_index(c, e, axis);
    return;
  }
  bool gathers = t->kind == TYPE_ARRAY && t->rank == 1 && t->elem->kind == TYPE_INT;
  if (gathers && !out->gather) {
    out->gather = e;
    out->dims[out->rank++] = t->dims[0];
    return;
  }
  out->failed = true;
  if (gathers) {
    Diag *g = diag_add(c->d, DIAG_INDEX, e->loc, "only one index at a time gathers by an array");
    diag_span(c->d, g, out->gather->loc, "this one does already");
    diag_help(c->d, g, "gather twice: `a[rows][.., columns]`, or take pairs in a comprehension");
  } else if (t->kind != TYPE_ERROR) {
    report_index_type(c, e);
  }
}

static Type *report_not_array(Checker *c, Expr *e, const Type *t) {
  for (int i = 0; i < e->index.idx.len; i++) {
    Expr *idx = e->index.idx.data[i];
    if (idx && idx->kind != EXPR_RANGE) check_expr(c, idx, c->int_);
  }
  if (t->kind == TYPE_ERROR) return c->error;
  Diag *g = diag_add(c->d, DIAG_INDEX, e->loc, "`%s` cannot be indexed", type_text(c->a, t));
  if (t->kind == TYPE_TUPLE) diag_help(c->d, g, "the parts of a tuple are `.0`, `.1`, ...");
  if (t->kind == TYPE_STRUCT) diag_help(c->d, g, "its fields are named: `.field`");
  return c->error;
}

static Type *index_grow(Checker *c, Expr *e, Type *t) {
  Axis axis = {NULL, 0, 1};
  Indexed out = {0};
  index_axis(c, e->index.idx.data[0], &axis, &out);
  if (out.failed) return c->error;
  if (!out.rank) return t->elem;
  Expr *idx = e->index.idx.data[0];
  Size **dims = ARENA_ARRAY(c->a, Size *, 1);
  bool open = idx->kind == EXPR_RANGE && !idx->range.hi;
  dims[0] = open ? fresh_opaque(c, idx->loc, "the length of this slice") : out.dims[0];
  return type_array(c, t->elem, 1, dims);
}

Type *check_index(Checker *c, Expr *e) {
  Type *t = check_expr(c, e->index.base, NULL);
  int n = e->index.idx.len;
  bool grow = t->kind == TYPE_GROW;
  if ((t->kind != TYPE_ARRAY && !grow) || !n) return report_not_array(c, e, t);
  int rank = grow ? 1 : t->rank;
  if (n > rank) {
    Diag *g = diag_add(c->d, DIAG_INDEX, e->loc, "%d indices for an array with %d %s", n, rank,
                       rank == 1 ? "axis" : "axes");
    diag_label(c->d, g, "the array is `%s`", type_text(c->a, t));
    for (int i = 0; i < n; i++)
      if (e->index.idx.data[i] && e->index.idx.data[i]->kind != EXPR_RANGE)
        check_expr(c, e->index.idx.data[i], NULL);
    return c->error;
  }
  if (grow) return index_grow(c, e, t);
  Indexed out = {0};
  for (int i = 0; i < n; i++) {
    Axis axis = {t->dims[i], i, rank};
    index_axis(c, e->index.idx.data[i], &axis, &out);
  }
  if (out.failed) return c->error;
  for (int i = n; i < rank; i++) out.dims[out.rank++] = t->dims[i];
  if (!out.rank) return t->elem;
  Size **dims = ARENA_ARRAY(c->a, Size *, out.rank);
  for (int i = 0; i < out.rank; i++) dims[i] = out.dims[i];
  return type_array(c, t->elem, out.rank, dims);
}
