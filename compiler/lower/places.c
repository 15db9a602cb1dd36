// Variables, their parts, and indexing. In: names, fields and indices as written; out: views for reading, functional
// updates for writing. Every index is evaluated and checked once, before what it selects.
#include "lower/internal.h"

#include <string.h>

// ---- variables: a hash table from symbols to their present values ------------------------------------------------------

static EnvEntry *env_slot(const Gen *g, const Symbol *s) {
  size_t mask = (size_t)g->env_cap - 1, i = ((uintptr_t)s >> 4) * 0x9e3779b9u & mask;
  while (g->env[i].symbol && g->env[i].symbol != s) i = (i + 1) & mask;
  return &g->env[i];
}

Value *env_get(Gen *g, const Symbol *s) { return g->env_cap ? env_slot(g, s)->value : NULL; }

static void env_double(Gen *g) {
  EnvEntry *old = g->env;
  int n = g->env_cap;
  g->env_cap = n ? n * 2 : 64;
  g->env = ARENA_ARRAY(g->arena, EnvEntry, g->env_cap);
  for (int i = 0; i < n; i++)
    if (old[i].symbol) *env_slot(g, old[i].symbol) = old[i];
}

void env_set(Gen *g, Symbol *s, Value *v) {
  if (2 * (g->env_len + 1) > g->env_cap) env_double(g);
  EnvEntry *e = env_slot(g, s);
  if (!e->symbol) g->env_len++;
  *e = (EnvEntry){s, v};
}

// ---- selections ----------------------------------------------------------------------------------------------------------

static int free_axis(const Sel *sel, int k) { // the k-th axis that is still there
  for (int i = 0;; i++)
    if ((i >= sel->n || sel->axes[i].kind != AXIS_AT) && k-- == 0) return i;
}

static IrVal axis_len(Gen *g, const Sel *sel, int i, const IrVal *dims) {
  return known_exact(g, i >= sel->n || sel->axes[i].kind == AXIS_ALL ? dims[i] : sel->axes[i].len);
}

static void check_index(Gen *g, IrVal i, IrVal size, Name what) {
  int64_t at, n;
  if (ir_is_const_int(g->f, i, &at) && ir_is_const_int(g->f, size, &n) && at >= 0 && at < n) return;
  check_emit(g, IR_CHECK_INDEX, (IrVal[]){i, size}, 2, what);
}

static void select_at(Gen *g, Axis *x, IrVal i, IrVal size, Name what) {
  check_index(g, i, size, what);
  int64_t c;
  if (x->kind == AXIS_FROM && !(ir_is_const_int(g->f, x->at, &c) && c == 0))
    i = ir_op2(&g->b, IR_ADD, x->at, i);
  if (x->kind == AXIS_GATHER) i = ir_get(&g->b, x->at, &i, 1);
  *x = (Axis){AXIS_AT, i, 0};
}

// size: the symbolic length of the slice, NULL if the type does not say.
static void select_range(Gen *g, Axis *x, const Expr *r, IrVal len, const Size *size, Name what) {
  if (!r->range.lo && !r->range.hi) return;
  IrVal lo = r->range.lo ? lower_int(g, r->range.lo) : ir_const_int(&g->b, 0);
  IrVal hi = r->range.hi ? lower_int(g, r->range.hi) : len;
  int64_t a, b, n;
  bool fits = ir_is_const_int(g->f, lo, &a) && ir_is_const_int(g->f, hi, &b) && a >= 0 && a <= b &&
              ir_is_const_int(g->f, len, &n) && b <= n;
  if (!fits) check_emit(g, IR_CHECK_RANGE, (IrVal[]){lo, hi, len}, 3, what);
  IrVal count = size ? known_find(g, size) : 0;
  if (!count) count = ir_is_const_int(g->f, lo, &a) && a == 0 ? hi : ir_op2(&g->b, IR_SUB, hi, lo);
  if (x->kind == AXIS_FROM) lo = ir_op2(&g->b, IR_ADD, x->at, lo);
  if (x->kind == AXIS_GATHER) {
    Axis part = {AXIS_FROM, lo, count};
    IrVal picked = force_leaf(g, leaf_view(g, value_leaf(g, x->at), &part, 1), NULL);
    *x = (Axis){AXIS_GATHER, picked, count};
    return;
  }
  *x = (Axis){AXIS_FROM, lo, count};
}

static void select_gather(Gen *g, Axis *x, Expr *e) {
  IrVal picked = value_scalar(g, lower_value(g, e));
  if (x->kind == AXIS_GATHER) {
    Axis part = {AXIS_GATHER, picked, ir_dims(g->f, picked)[0]};
    picked = force_leaf(g, leaf_view(g, value_leaf(g, x->at), &part, 1), NULL);
  } else if (x->kind == AXIS_FROM) {
    ScalarOp add = {.kind = SCALAR_OP, .op = IR_ADD, .arg = IR_INT, .result = IR_INT};
    Value *args[2] = {value_leaf(g, x->at), value_leaf(g, picked)};
    picked = force_leaf(g, leaf_map(g, &add, args, 2), NULL);
  }
  *x = (Axis){AXIS_GATHER, picked, ir_dims(g->f, picked)[0]};
}

static void sel_extend(Sel *sel, int i) {
  for (; sel->n <= i && sel->n < IR_MAX_RANK; sel->n++) sel->axes[sel->n] = (Axis){AXIS_ALL, 0, 0};
}

// Applies the indices of e to what sel has left. dims: of the arrays that are indexed.
static void sel_apply(Gen *g, Sel *sel, const Expr *e, const IrVal *dims, Name what) {
  int axis = 0, result_axis = 0; // among what is left
  const Type *t = e->type->kind == TYPE_ARRAY ? e->type : NULL;
  for (int k = 0; k < e->index.idx.len; k++) {
    Expr *ix = e->index.idx.data[k];
    int i = free_axis(sel, axis);
    IrVal len = axis_len(g, sel, i, dims);
    g->b.loc.loc = ix->loc;
    sel_extend(sel, i);
    if (ix->kind == EXPR_RANGE) {
      const Size *size = t && result_axis < t->rank ? t->dims[result_axis] : NULL;
      select_range(g, &sel->axes[i], ix, len, size, what);
      axis++, result_axis++;
    } else if (ix->type->kind == TYPE_ARRAY) {
      select_gather(g, &sel->axes[i], ix);
      axis++, result_axis++;
    } else {
      select_at(g, &sel->axes[i], lower_int(g, ix), len, what);
    }
  }
}

static Value *select_value(Gen *g, Value *v, const Sel *sel) {
  if (v->kind == VALUE_PARTS) {
    Value *now = value_parts(g, v->parts, v->n_parts);
    for (int i = 0; i < v->n_parts; i++) now->parts[i] = select_value(g, v->parts[i], sel);
    return now;
  }
  if (v->kind == VALUE_FN || sel->n == 0) return v;
  if (v->val && ir_type(g->f, v->val).grow) {
    if (sel->axes[0].kind == AXIS_AT) return value_leaf(g, ir_get(&g->b, v->val, &sel->axes[0].at, 1));
    Lazy *z = lazy_of(g, v);
    IrVal *dims = ARENA_ARRAY(g->arena, IrVal, 1);
    dims[0] = ir_op1(&g->b, IR_LEN, v->val);
    z->dims = dims;
    v = value_lazy(g, z);
  }
  return leaf_view(g, v, sel->axes, sel->n);
}

static const Value *first_leaf(const Value *v) {
  while (v->kind == VALUE_PARTS && v->n_parts) v = v->parts[0];
  return v->kind == VALUE_LEAF ? v : NULL;
}

// The sizes of an array or growable array, as far as indices may go.
static const IrVal *index_dims(Gen *g, const Value *leaf) {
  if (leaf->val && ir_type(g->f, leaf->val).grow) {
    IrVal *dims = ARENA_ARRAY(g->arena, IrVal, 1);
    dims[0] = ir_op1(&g->b, IR_LEN, leaf->val);
    return dims;
  }
  return leaf_dims(g, leaf);
}

Value *lower_index(Gen *g, Expr *e) {
  Value *base = lower_expr(g, e->index.base);
  const Value *leaf = first_leaf(base);
  if (!leaf) return base;
  const IrVal *dims = index_dims(g, leaf);
  if (!dims) return base;
  Sel sel = {0};
  Name what = expr_text(g, e->index.base);
  if (e->index.base->type->kind == TYPE_GROW && e->index.idx.len) { // only the length is checked
    IrVal grown = dims[0];
    sel_apply(g, &sel, e, &grown, what);
  } else {
    sel_apply(g, &sel, e, dims, what);
  }
  return select_value(g, base, &sel);
}

// ---- places ----------------------------------------------------------------------------------------------------------------

static const Value *leaf_number(const Value *v, int k, Arena *a) {
  ValueVec leaves = {0};
  value_leaves(v, &leaves, a);
  return k < leaves.len ? leaves.data[k] : NULL;
}

Place place_of(Gen *g, Expr *e) {
  Place p = {0};
  switch (e->kind) {
  case EXPR_NAME:
    p.root = e->name.symbol;
    p.n_leaves = type_leaf_count(e->type);
    p.text = e->name.name;
    break;
  case EXPR_FIELD:
    p = place_of(g, e->field.base);
    p.leaf += type_part_leaf(e->field.base->type, e->field.index);
    p.n_leaves = type_leaf_count(e->type);
    p.text = name_of(g->l, "%s.%s", p.text ? p.text : "", e->field.name);
    break;
  case EXPR_INDEX: {
    p = place_of(g, e->index.base);
    const Value *v = p.root ? env_get(g, p.root) : NULL, *leaf = v ? leaf_number(v, p.leaf, g->arena) : NULL;
    const IrVal *dims = leaf ? index_dims(g, leaf) : NULL;
    if (dims) sel_apply(g, &p.sel, e, dims, p.text);
    break;
  }
  default: lower_fail(g->l, e->loc, "this cannot be assigned to"); break;
  }
  p.type = e->type;
  return p;
}

static Value *place_leaf(Gen *g, const Place *p, int k) {
  ValueVec leaves = {0};
  Value *v = p->root ? env_get(g, p->root) : NULL;
  if (v) value_leaves(v, &leaves, g->arena);
  if (p->leaf + k < leaves.len) return leaves.data[p->leaf + k];
  lower_fail(g->l, g->b.loc.loc, "the variable has no value here");
  return value_leaf(g, ir_const_int(&g->b, 0));
}

static Value *rebuild(Gen *g, const Type *t, Value **leaves, int *at) {
  const Type *base = type_base(t);
  if (base->kind != TYPE_STRUCT && base->kind != TYPE_TUPLE) return leaves[(*at)++];
  int n = type_part_count(base);
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int i = 0; i < n; i++) parts[i] = rebuild(g, type_part(g->arena, base, i), leaves, at);
  return value_parts(g, parts, n);
}

Value *place_read(Gen *g, const Place *p) {
  Value **leaves = ARENA_ARRAY(g->arena, Value *, p->n_leaves + 1);
  for (int k = 0; k < p->n_leaves; k++) leaves[k] = select_value(g, place_leaf(g, p, k), &p->sel);
  int at = 0;
  return force(g, rebuild(g, p->type, leaves, &at));
}

static void put_leaf(Gen *g, const Place *p, int k, IrVal v) {
  leaf_name(g, v, p->root, p->leaf + k);
  env_set(g, p->root, value_with_leaf(g, env_get(g, p->root), p->leaf + k, value_leaf(g, v)));
}

typedef struct Store { // leaf[axes] = from, or leaf[axes] op= from
  const Axis *axes;
  int rank; // of the leaf
  const Lazy *from;
  const ScalarOp *op; // NULL: plain
} Store;

static void store_one(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Store *s = user;
  IrVal at[IR_MAX_RANK], size[IR_MAX_RANK];
  memcpy(size, ir_dims(g->f, carried[0]), sizeof *size * (size_t)s->rank);
  for (int k = 0, j = 0; k < s->rank; k++) {
    const Axis *x = &s->axes[k];
    if (x->kind == AXIS_ALL) at[k] = idx[j++];
    if (x->kind == AXIS_AT) at[k] = x->at;
    if (x->kind == AXIS_FROM) at[k] = ir_op2(&g->b, IR_ADD, x->at, idx[j++]);
    if (x->kind == AXIS_GATHER) {
      at[k] = ir_get(&g->b, x->at, &idx[j++], 1);
      check_emit(g, IR_CHECK_INDEX, (IrVal[]){at[k], size[k]}, 2, NULL);
    }
  }
  IrVal v = lazy_at(g, s->from, idx);
  if (s->op) v = scalar_emit(g, s->op, (IrVal[]){ir_get(&g->b, carried[0], at, s->rank), v});
  carried[0] = ir_set(&g->b, carried[0], at, s->rank, v);
}

typedef struct Change { // a value on its way to a place
  const Place *place;
  LeafVec want, have; // leaves of the place's type and of the value's, where known
  const ScalarOp *op; // NULL: plain
} Change;

static void change_init(Gen *g, Change *c, const Place *p, const Type *vt) {
  *c = (Change){.place = p};
  Name none = name_of(g->l, "%s", "");
  type_leaves(g->l, p->type, none, g->real, &c->want);
  if (vt && vt->kind != TYPE_VOID) type_leaves(g->l, vt, none, g->real, &c->have);
}

// Sizes that sema knows to be equal need no check.
static void check_change(Gen *g, const Change *c, int k, const IrVal *actual, const IrVal *expected,
                         int rank) {
  for (int i = 0; i < rank; i++) {
    bool equal = k < c->have.len && k < c->want.len && c->have.data[k].type.rank == rank &&
                 c->want.data[k].type.rank == rank && !c->have.data[k].type.grow &&
                 size_compare(c->have.data[k].dims[i], c->want.data[k].dims[i]) == SIZE_EQUAL;
    if (!equal) check_same(g, actual[i], expected[i], c->place->text);
  }
}

static void store_grown(Gen *g, const Change *c, int k, IrVal array, IrVal v) {
  const IrVal *at = &c->place->sel.axes[0].at;
  if (c->op) v = scalar_emit(g, c->op, (IrVal[]){ir_get(&g->b, array, at, 1), v});
  put_leaf(g, c->place, k, ir_set(&g->b, array, at, 1, v));
}

static void store_leaf(Gen *g, const Change *c, int k, Value *from) {
  const Place *p = c->place;
  IrVal array = place_leaf(g, p, k)->val, dims[IR_MAX_RANK];
  IrType t = ir_type(g->f, array);
  if (t.grow) {
    store_grown(g, c, k, array, value_scalar(g, from));
    return;
  }
  Axis axes[IR_MAX_RANK] = {0};
  memcpy(axes, p->sel.axes, sizeof *axes * (size_t)p->sel.n);
  int rank = 0;
  for (int i = 0; i < t.rank; i++)
    if (axes[i].kind != AXIS_AT)
      dims[rank++] = axes[i].kind == AXIS_ALL ? ir_dims(g->f, array)[i] : axes[i].len;
  Lazy *z = lazy_of(g, from);
  if (z->rank == rank && rank) check_change(g, c, k, z->dims, dims, rank);
  Store s = {axes, t.rank, z, c->op};
  nest(g, dims, rank, &array, 1, store_one, &s);
  put_leaf(g, p, k, array);
}

static void replace_leaf(Gen *g, const Change *c, int k, Value *from) {
  const Value *old = place_leaf(g, c->place, k);
  const IrVal *dims = leaf_dims(g, old);
  if (dims && leaf_dims(g, from)) check_change(g, c, k, leaf_dims(g, from), dims, leaf_type(g, old).rank);
  put_leaf(g, c->place, k, force_leaf(g, from, dims));
}

void place_write(Gen *g, const Place *p, Value *v, const Type *vt) {
  ValueVec from = {0};
  Change c;
  change_init(g, &c, p, vt);
  value_leaves(v, &from, g->arena);
  if (!p->root || !env_get(g, p->root)) return;
  for (int k = 0; k < p->n_leaves && k < from.len; k++) {
    if (p->sel.n)
      store_leaf(g, &c, k, from.data[k]);
    else
      replace_leaf(g, &c, k, from.data[k]);
  }
}

static IrOpKind update_op(BinaryOp op, IrElem e) {
  switch (op) {
  case BIN_ADD: return IR_ADD;
  case BIN_SUB: return IR_SUB;
  case BIN_MUL: return IR_MUL;
  default: return e == IR_INT ? IR_IDIV : IR_DIV;
  }
}

// `p op= v`: elements are read where they are written, so that nothing is copied, and a gathered index that occurs twice
// counts twice.
void place_update(Gen *g, const Place *p, const Value *v, const Type *vt, BinaryOp op) {
  if (!p->sel.n) {
    Value *now = place_read(g, p);
    check_alike(g, now, p->type, v, vt, p->text);
    place_write(g, p, arith(g, op, now, (Value *)v), p->type);
    return;
  }
  ValueVec from = {0};
  Change c;
  change_init(g, &c, p, vt);
  value_leaves(v, &from, g->arena);
  for (int k = 0; k < p->n_leaves; k++) {
    Value *leaf = from.len == p->n_leaves ? from.data[k] : from.len ? from.data[0] : NULL;
    IrElem e = (IrElem)leaf_type(g, place_leaf(g, p, k)).elem;
    if (!leaf || (e != IR_INT && e != IR_F32 && e != IR_F64)) continue;
    ScalarOp s = {.kind = SCALAR_OP, .op = update_op(op, e), .arg = e, .result = e};
    c.op = &s;
    store_leaf(g, &c, k, leaf_convert(g, leaf, e));
  }
}
