// What is known about sizes. Sema proves sizes equal by their names; here each such name finds the IR value that holds
// it, so that equal sizes are the same value: then checks vanish and loops over equal sizes fuse.
#include "lower/internal.h"

const Symbol *size_symbol_of(const Size *s) {
  if (s->n_terms != 1 || s->terms[0].coef != 1 || s->terms[0].n_atoms != 1) return NULL;
  const Atom *a = s->terms[0].atoms[0];
  return a->kind == ATOM_SYMBOL ? a->symbol : NULL;
}

static bool is_opaque(const Size *s) {
  return s->n_terms == 1 && s->terms[0].coef == 1 && s->terms[0].n_atoms == 1 &&
         s->terms[0].atoms[0]->kind == ATOM_OPAQUE;
}

void known_bind(Gen *g, const Size *s, IrVal v, bool is_dim) {
  Known k = {s, v, g->b.region, is_dim};
  vec_push(g->arena, &g->known, k);
}

bool known_dim(Gen *g, IrVal v) {
  int64_t c;
  if (ir_is_const_int(g->f, v, &c)) return c >= 0;
  for (int i = g->known.len - 1; i >= 0; i--)
    if (g->known.data[i].val == v && g->known.data[i].is_dim) return true;
  return false;
}

IrVal known_find(Gen *g, const Size *s) {
  if (!s) return 0;
  for (int i = g->known.len - 1; i >= 0; i--) {
    const Known *k = &g->known.data[i];
    if (size_compare(k->size, s) == SIZE_EQUAL && ir_inside(g->b.region, k->region)) return k->val;
  }
  return 0;
}

void known_fresh(Gen *g, const Type *t, const Value *v) {
  LeafVec leaves = {0};
  ValueVec vals = {0};
  type_leaves(g->l, t, name_of(g->l, "%s", ""), g->real, &leaves);
  value_leaves(v, &vals, g->arena);
  for (int i = 0; i < leaves.len && i < vals.len; i++) {
    const Leaf *leaf = &leaves.data[i];
    const IrVal *dims = leaf_dims(g, vals.data[i]);
    for (int k = 0; dims && !leaf->type.grow && k < leaf->type.rank; k++) {
      int64_t c;
      if (size_is_const(leaf->dims[k], &c)) continue;
      IrVal now = is_opaque(leaf->dims[k]) ? 0 : known_find(g, leaf->dims[k]);
      if (!now || (now != dims[k] && is_opaque(leaf->dims[k]))) known_bind(g, leaf->dims[k], dims[k], true);
    }
  }
}

// ---- sizes as computations ---------------------------------------------------------------------------------------------

// binds NULL: names are the variables of this function.
static IrVal symbol_value(Gen *g, Symbol *s, const BindVec *binds) {
  if (binds) {
    for (int i = 0; i < binds->len; i++)
      if (binds->data[i].symbol == s) return binds->data[i].val;
    return 0;
  }
  IrVal known = known_find(g, size_symbol(g->arena, s));
  if (known) return known;
  if (s->mutable_) return 0;
  const Value *v = env_get(g, s);
  return v && v->kind == VALUE_LEAF ? v->val : 0;
}

static IrVal size_build(Gen *g, const Size *s, const BindVec *binds);

static IrVal atom_value(Gen *g, const Atom *a, const BindVec *binds) {
  switch (a->kind) {
  case ATOM_SYMBOL: return symbol_value(g, a->symbol, binds);
  case ATOM_OPAQUE: return binds ? 0 : known_find(g, size_opaque(g->arena, a->id, a->origin, a->what));
  case ATOM_DIV: {
    IrVal num = size_build(g, a->num, binds), den = num ? size_build(g, a->den, binds) : 0;
    if (!num || !den) return 0;
    int64_t c;
    if (!ir_is_const_int(g->f, den, &c) || c == 0) check_emit(g, IR_CHECK_DIV, &den, 1, NULL);
    return ir_op2(&g->b, IR_IDIV, num, den);
  }
  }
  return 0;
}

static IrVal term_value(Gen *g, const Term *t, int64_t coef, const BindVec *binds) {
  IrVal v = 0;
  for (int i = 0; i < t->n_atoms; i++) {
    IrVal a = atom_value(g, t->atoms[i], binds);
    if (!a) return 0;
    v = v ? ir_op2(&g->b, IR_MUL, v, a) : a;
  }
  if (!v) return ir_const_int(&g->b, coef);
  return coef == 1 ? v : ir_op2(&g->b, IR_MUL, v, ir_const_int(&g->b, coef));
}

static IrVal size_build(Gen *g, const Size *s, const BindVec *binds) {
  int64_t c;
  if (size_is_const(s, &c)) return ir_const_int(&g->b, c);
  if (!binds) {
    IrVal known = known_find(g, s);
    if (known) return known;
  }
  IrVal sum = 0;
  for (int pass = 0; pass < 2; pass++) // what is added first, then what is taken away
    for (int i = 0; i < s->n_terms; i++) {
      const Term *t = &s->terms[i];
      if ((t->coef < 0) != (pass == 1)) continue;
      bool minus = sum && t->coef < 0;
      IrVal v = term_value(g, t, minus ? -t->coef : t->coef, binds);
      if (!v) return 0;
      sum = !sum ? v : ir_op2(&g->b, minus ? IR_SUB : IR_ADD, sum, v);
    }
  return sum ? sum : ir_const_int(&g->b, 0);
}

// Whether every name of s has a value, so that nothing is emitted in vain.
static bool size_has(Gen *g, const Size *s, const BindVec *binds);

static bool atom_has(Gen *g, const Atom *a, const BindVec *binds) {
  switch (a->kind) {
  case ATOM_SYMBOL: return symbol_value(g, a->symbol, binds) != 0;
  case ATOM_OPAQUE: return atom_value(g, a, binds) != 0;
  case ATOM_DIV: return size_has(g, a->num, binds) && size_has(g, a->den, binds);
  }
  return false;
}

static bool size_has(Gen *g, const Size *s, const BindVec *binds) {
  if (!binds && known_find(g, s)) return true;
  for (int i = 0; i < s->n_terms; i++)
    for (int k = 0; k < s->terms[i].n_atoms; k++)
      if (!atom_has(g, s->terms[i].atoms[k], binds)) return false;
  return true;
}

IrVal known_value(Gen *g, const Size *s) {
  if (!s) return 0;
  IrVal v = known_find(g, s);
  if (v || !size_has(g, s, NULL)) return v;
  v = size_build(g, s, NULL);
  int64_t c;
  if (v && !size_is_const(s, &c)) known_bind(g, s, v, false);
  return v;
}

IrVal size_emit(Gen *g, const Size *s, const BindVec *binds) {
  return size_has(g, s, binds) ? size_build(g, s, binds) : 0;
}

static bool atom_only(const Atom *a, const BindVec *binds) {
  switch (a->kind) {
  case ATOM_SYMBOL:
    for (int i = 0; i < binds->len; i++)
      if (binds->data[i].symbol == a->symbol) return true;
    return false;
  case ATOM_OPAQUE: return false;
  case ATOM_DIV: return size_only(a->num, binds) && size_only(a->den, binds);
  }
  return false;
}

bool size_only(const Size *s, const BindVec *binds) {
  for (int i = 0; i < s->n_terms; i++)
    for (int k = 0; k < s->terms[i].n_atoms; k++)
      if (!atom_only(s->terms[i].atoms[k], binds)) return false;
  return true;
}

// ---- checks ------------------------------------------------------------------------------------------------------------

void check_emit(Gen *g, IrOpKind k, const IrVal *args, int n, Name what) {
  IrOp *op = ir_op_explicit(&g->b, k, args, n, NULL, NULL, 0);
  op->attr.sym = what;
}

void check_that(Gen *g, IrVal cond, const char *message) {
  IrVal text = ir_str(&g->b, name_of(g->l, "%s", message));
  check_emit(g, IR_ASSERT, (IrVal[]){cond, text}, 2, NULL);
}

IrVal known_exact(Gen *g, IrVal size) {
  int64_t c;
  if (size == 0 || size > (IrVal)g->inst->n_size_params) return size;
  bool exact = size_is_const(g->inst->sizes[size - 1].size, &c);
  return exact ? ir_const_int(&g->b, c) : size;
}

void check_same(Gen *g, IrVal actual, IrVal expected, Name what) {
  int64_t a, b;
  if (actual == expected) return;
  if (ir_is_const_int(g->f, actual, &a) && ir_is_const_int(g->f, expected, &b) && a == b) return;
  check_emit(g, IR_CHECK_SIZE, (IrVal[]){actual, expected}, 2, what);
}

void check_dims(Gen *g, const Value *v, const Type *from, const Type *to, Name what) {
  LeafVec have = {0}, want = {0};
  ValueVec vals = {0};
  Name none = name_of(g->l, "%s", "");
  type_leaves(g->l, to, none, g->real, &want);
  if (from) type_leaves(g->l, from, none, g->real, &have);
  value_leaves(v, &vals, g->arena);
  for (int i = 0; i < want.len && i < vals.len; i++) {
    const IrVal *dims = leaf_dims(g, vals.data[i]);
    for (int k = 0; dims && !want.data[i].type.grow && k < want.data[i].type.rank; k++) {
      const Size *s = want.data[i].dims[k];
      if (from && i < have.len && k < have.data[i].type.rank && !have.data[i].type.grow &&
          size_compare(have.data[i].dims[k], s) == SIZE_EQUAL)
        continue;
      IrVal expected = known_value(g, s);
      if (expected)
        check_same(g, dims[k], expected, what);
      else
        known_bind(g, s, dims[k], true);
    }
  }
}

void check_alike(Gen *g, const Value *a, const Type *at, const Value *b, const Type *bt, Name what) {
  LeafVec al = {0}, bl = {0};
  ValueVec av = {0}, bv = {0};
  Name none = name_of(g->l, "%s", "");
  if (at) type_leaves(g->l, at, none, g->real, &al);
  if (bt) type_leaves(g->l, bt, none, g->real, &bl);
  value_leaves(a, &av, g->arena);
  value_leaves(b, &bv, g->arena);
  for (int i = 0; i < av.len && i < bv.len; i++) {
    const IrVal *ad = leaf_dims(g, av.data[i]), *bd = leaf_dims(g, bv.data[i]);
    int rank = leaf_type(g, av.data[i]).rank;
    if (!ad || !bd || rank != leaf_type(g, bv.data[i]).rank) continue;
    for (int k = 0; k < rank; k++) {
      bool equal = i < al.len && i < bl.len && al.data[i].type.rank == rank && bl.data[i].type.rank == rank &&
                   size_compare(al.data[i].dims[k], bl.data[i].dims[k]) == SIZE_EQUAL;
      if (!equal) check_same(g, bd[k], ad[k], what);
    }
  }
}
