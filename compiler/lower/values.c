// Value trees and the leaves of types. In: types as sema made them; out: trees whose leaves are IR values in the order of
// the type's leaves. Trees are immutable: a change makes a new path and shares the rest.
#include "lower/internal.h"

#include <string.h>

Value *value_leaf(Gen *g, IrVal v) {
  Value *x = ARENA_NEW(g->arena, Value);
  x->kind = VALUE_LEAF;
  x->val = v;
  return x;
}

Value *value_lazy(Gen *g, Lazy *z) {
  if (z->kind == LAZY_SCALAR) return value_leaf(g, z->val);
  Value *x = ARENA_NEW(g->arena, Value);
  x->kind = VALUE_LEAF;
  x->lazy = z;
  return x;
}

Value *value_parts(Gen *g, Value **parts, int n) {
  Value *x = ARENA_NEW(g->arena, Value);
  x->kind = VALUE_PARTS;
  x->parts = ARENA_ARRAY(g->arena, Value *, n);
  if (n > 0) memcpy(x->parts, parts, sizeof *parts * (size_t)n);
  x->n_parts = n;
  return x;
}

Value *value_none(Gen *g) { return value_parts(g, NULL, 0); }

Value *value_fn(Gen *g, Fn *fn) {
  Value *x = ARENA_NEW(g->arena, Value);
  x->kind = VALUE_FN;
  x->fn = fn;
  return x;
}

void value_leaves(const Value *v, ValueVec *out, Arena *a) {
  switch (v->kind) {
  case VALUE_LEAF: vec_push(a, out, (Value *)v); break;
  case VALUE_PARTS:
    for (int i = 0; i < v->n_parts; i++) value_leaves(v->parts[i], out, a);
    break;
  case VALUE_FN: break;
  }
}

static int leaf_count(const Value *v) {
  if (v->kind != VALUE_PARTS) return v->kind == VALUE_LEAF;
  int n = 0;
  for (int i = 0; i < v->n_parts; i++) n += leaf_count(v->parts[i]);
  return n;
}

Value *value_with_leaf(Gen *g, const Value *v, int k, Value *leaf) {
  if (v->kind == VALUE_LEAF) return leaf;
  Value *now = value_parts(g, v->parts, v->n_parts);
  for (int i = 0; i < v->n_parts; i++) {
    int n = leaf_count(v->parts[i]);
    if (k < n) {
      now->parts[i] = value_with_leaf(g, v->parts[i], k, leaf);
      break;
    }
    k -= n;
  }
  return now;
}

IrVal value_scalar(Gen *g, const Value *v) {
  if (v->kind == VALUE_LEAF && v->val) return v->val;
  if (v->kind == VALUE_LEAF && v->lazy) return force_leaf(g, (Value *)v, NULL);
  lower_fail(g->l, g->b.loc.loc, "a single value is needed here");
  return ir_const_int(&g->b, 0);
}

Value *value_from(Gen *g, const Type *t, const IrVal *leaves, int *at) {
  const Type *base = type_base(t);
  if (base->kind == TYPE_VOID || base->kind == TYPE_FN) return value_none(g);
  if (base->kind != TYPE_STRUCT && base->kind != TYPE_TUPLE) return value_leaf(g, leaves[(*at)++]);
  int n = type_part_count(base);
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int i = 0; i < n; i++) parts[i] = value_from(g, type_part(g->arena, base, i), leaves, at);
  return value_parts(g, parts, n);
}

static void hint(Gen *g, const Value *leaf, Name name) {
  if (!leaf->val || !name || !name[0] || (name[0] == '_' && !name[1])) return;
  IrValue *val = &g->f->vals.data[leaf->val];
  if (!val->name) val->name = name;
}

void value_name(Gen *g, const Value *v, const Type *t, Name name) {
  LeafVec leaves = {0};
  ValueVec vals = {0};
  value_leaves(v, &vals, g->arena);
  if (t && name && type_is_aggregate(t)) type_leaves(g->l, t, name, g->real, &leaves);
  for (int i = 0; i < vals.len; i++) hint(g, vals.data[i], i < leaves.len ? leaves.data[i].path : name);
}

void leaf_name(Gen *g, IrVal v, const Symbol *s, int k) {
  LeafVec leaves = {0};
  if (s->type && type_is_aggregate(s->type)) type_leaves(g->l, s->type, s->name, g->real, &leaves);
  hint(g, value_leaf(g, v), k < leaves.len ? leaves.data[k].path : s->name);
}

IrType leaf_type(Gen *g, const Value *leaf) {
  if (leaf->lazy) return (IrType){(uint8_t)leaf->lazy->elem, (uint8_t)leaf->lazy->rank, false};
  return ir_type(g->f, leaf->val);
}

const IrVal *leaf_dims(Gen *g, const Value *leaf) {
  return leaf->lazy ? leaf->lazy->dims : ir_dims(g->f, leaf->val);
}

// ---- types -----------------------------------------------------------------------------------------------------------

const Type *type_base(const Type *t) { return t->kind == TYPE_ARRAY || t->kind == TYPE_GROW ? t->elem : t; }

IrElem elem_of(const Type *t, IrElem real) {
  switch (type_base(t)->kind) {
  case TYPE_BOOL: return IR_BOOL;
  case TYPE_INT: return IR_INT;
  case TYPE_F32: return IR_F32;
  case TYPE_F64: return IR_F64;
  case TYPE_REAL: return real;
  case TYPE_STR: return IR_STRING;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_ARRAY:
  case TYPE_GROW:
  case TYPE_STRUCT:
  case TYPE_TUPLE:
  case TYPE_FN: break;
  }
  return IR_F64;
}

bool type_is_aggregate(const Type *t) {
  const Type *base = type_base(t);
  return base->kind == TYPE_STRUCT || base->kind == TYPE_TUPLE;
}

int type_part_count(const Type *t) {
  const Type *base = type_base(t);
  if (base->kind == TYPE_STRUCT) return base->decl->fields.len;
  return base->kind == TYPE_TUPLE ? base->n_parts : 0;
}

Type *type_part(Arena *a, const Type *t, int k) {
  const Type *base = type_base(t);
  if (base->kind == TYPE_TUPLE) return base->parts[k];
  const StructDecl *d = base->decl;
  SizeSubst subst = {0};
  for (int i = 0; i < d->sizes.len; i++) {
    SizeBinding b = {d->size_symbols[i], base->sizes[i]};
    vec_push(a, &subst, b);
  }
  return type_subst(a, d->field_types[k], &subst, NULL);
}

int type_part_leaf(const Type *t, int k) {
  const Type *base = type_base(t);
  int n = 0;
  for (int i = 0; i < k; i++)
    n += type_leaf_count(base->kind == TYPE_TUPLE ? base->parts[i] : base->decl->field_types[i]);
  return n;
}

Type *type_tuple_of(Arena *a, Type **parts, Name *names, int n) {
  Type *t = ARENA_NEW(a, Type);
  t->kind = TYPE_TUPLE;
  t->parts = ARENA_ARRAY(a, Type *, n);
  if (n > 0) memcpy(t->parts, parts, sizeof *parts * (size_t)n);
  t->names = names;
  t->n_parts = n;
  return t;
}

typedef struct LeafWalk {
  Lower *l;
  IrElem real;
  LeafVec *out;
} LeafWalk;

static Name part_path(const LeafWalk *w, const Type *base, Name path, int k) {
  if (base->kind == TYPE_STRUCT) {
    Name field = base->decl->fields.data[k].name;
    return path[0] ? name_of(w->l, "%s.%s", path, field) : name_of(w->l, ".%s", field);
  }
  if (base->names && base->names[k]) return name_of(w->l, "%s.%s", path, base->names[k]);
  return name_of(w->l, "%s.%d", path, k);
}

// outer: the sizes of the arrays around.
static void walk_leaves(const LeafWalk *w, const Type *t, Name path, Size **outer, int n_outer, bool grow) {
  Arena *a = w->l->arena;
  if (t->kind == TYPE_VOID || t->kind == TYPE_FN) return;
  int rank = n_outer + (t->kind == TYPE_ARRAY ? t->rank : 0);
  Size **dims = ARENA_ARRAY(a, Size *, rank + 1);
  if (n_outer) memcpy(dims, outer, sizeof *dims * (size_t)n_outer);
  if (t->kind == TYPE_ARRAY) memcpy(dims + n_outer, t->dims, sizeof *dims * (size_t)t->rank);
  grow = grow || t->kind == TYPE_GROW;
  const Type *base = type_base(t);
  if (base->kind == TYPE_STRUCT || base->kind == TYPE_TUPLE) {
    for (int k = 0; k < type_part_count(base); k++)
      walk_leaves(w, type_part(a, base, k), part_path(w, base, path, k), dims, rank, grow);
    return;
  }
  if (rank > IR_MAX_RANK) {
    lower_fail(w->l, LOC_NONE, "`%s` flattens to an array of rank %d; at most %d are possible", path, rank,
               IR_MAX_RANK);
    rank = IR_MAX_RANK;
  }
  if (grow && rank) {
    lower_fail(w->l, LOC_NONE, "the elements of the growable array `%s` hold arrays", path);
    rank = 0;
  }
  Leaf leaf = {{(uint8_t)elem_of(base, w->real), (uint8_t)(grow ? 1 : rank), grow}, dims, path};
  vec_push(a, w->out, leaf);
}

void type_leaves(Lower *l, const Type *t, Name path, IrElem real, LeafVec *out) {
  LeafWalk w = {l, real, out};
  walk_leaves(&w, t, path, NULL, 0, false);
}
