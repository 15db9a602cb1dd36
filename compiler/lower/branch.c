// An IF while it is made. In: a condition, then each branch's value and changes as the caller emits them; out: the value,
// and in the variables what either branch left there. Sizes of array results must be visible outside: those known before
// are checked in the branches, the others come back as ints.
#include "lower/internal.h"

#include <string.h>

void branch_begin(Gen *g, Branch *br, IrVal cond, const Carry *carry, const Type *type) {
  *br = (Branch){0};
  if (carry) br->carry = *carry;
  br->before = carry_read(g, &br->carry);
  carry_write(g, &br->carry, br->before);
  if (type && type->kind != TYPE_VOID && type->kind != TYPE_FN && type->kind != TYPE_ERROR) {
    br->type = type;
    type_leaves(g->l, type, name_of(g->l, "%s", ""), g->real, &br->leaves);
  }
  for (int i = 0; i < br->leaves.len; i++)
    for (int k = 0; !br->leaves.data[i].type.grow && k < br->leaves.data[i].type.rank; k++)
      vec_push(g->arena, &br->expect, known_value(g, br->leaves.data[i].dims[k]));
  br->op = ir_if(&g->b, cond, &br->then, &br->els);
  br->outer = g->b;
  g->b = br->then;
}

// The leaves of a branch's value, computed there; sizes against those expected.
static void branch_value(Gen *g, Branch *br, Value *v, const Type *vt, IrVals *out) {
  ValueVec leaves = {0};
  LeafVec have = {0};
  if (!br->type || !v) return;
  if (vt) type_leaves(g->l, vt, name_of(g->l, "%s", ""), g->real, &have);
  value_leaves(force(g, coerce_elems(g, v, br->type)), &leaves, g->arena);
  int at = 0;
  for (int i = 0; i < leaves.len && i < br->leaves.len; i++) {
    const Leaf *want = &br->leaves.data[i];
    IrVal x = leaves.data[i]->val;
    vec_push(g->arena, out, x);
    for (int k = 0; !want->type.grow && k < want->type.rank; k++, at++) {
      bool equal = i < have.len && have.data[i].type.rank == want->type.rank &&
                   size_compare(have.data[i].dims[k], want->dims[k]) == SIZE_EQUAL;
      if (br->expect.data[at] && !equal) check_same(g, ir_dims(g->f, x)[k], br->expect.data[at], NULL);
    }
  }
}

void branch_else(Gen *g, Branch *br, Value *then_value, const Type *vt) {
  branch_value(g, br, then_value, vt, &br->then_vals);
  br->after_then = carry_read(g, &br->carry);
  br->then = g->b;
  carry_write(g, &br->carry, br->before);
  g->b = br->els;
}

typedef struct Results {
  IrVals then, els;
  VEC(const IrVal *) dims;
} Results;

static void add_result(Gen *g, Results *r, IrVal then, IrVal els, const IrVal *dims) {
  vec_push(g->arena, &r->then, then);
  vec_push(g->arena, &r->els, els);
  vec_push(g->arena, &r->dims, dims);
}

// Sizes of the value's leaves; those made within the branches become results before all others.
static const IrVal **value_dims(Gen *g, Branch *br, Results *r, const IrVals *els) {
  const IrVal **all = ARENA_ARRAY(g->arena, const IrVal *, br->leaves.len);
  int at = 0;
  for (int i = 0; i < br->leaves.len && i < els->len; i++) {
    IrType t = br->leaves.data[i].type;
    if (t.grow || !t.rank) continue;
    const IrVal *a = ir_dims(g->f, br->then_vals.data[i]), *b = ir_dims(g->f, els->data[i]);
    IrVal *dims = ARENA_ARRAY(g->arena, IrVal, t.rank);
    for (int k = 0; k < t.rank; k++, at++) {
      dims[k] = br->expect.data[at];
      if (dims[k]) continue;
      if (a[k] == b[k] && ir_defined_outside(g->f, a[k], br->op->regions[0])) {
        dims[k] = a[k];
        continue;
      }
      dims[k] = IR_RESULT(r->then.len);
      add_result(g, r, a[k], b[k], NULL);
    }
    all[i] = dims;
  }
  return all;
}

static bool is_inout_param(const Gen *g, const Symbol *s) {
  const Callable *c = &g->inst->call;
  for (int i = 0; i < c->n; i++)
    if (c->symbols && c->symbols[i] == s && c->is_inout[i]) return true;
  return false;
}

// Variables that are still what they were need no result.
static void add_changes(Gen *g, Branch *br, Results *r, const IrVal *after_else, int *result_of) {
  for (int i = 0; i < br->carry.len; i++) {
    IrVal old = br->before[i], a = br->after_then[i], b = after_else[i];
    bool dropped = br->last && !is_inout_param(g, br->carry.data[i].symbol);
    result_of[i] = -1;
    if ((a == old && b == old) || dropped) continue;
    result_of[i] = r->then.len;
    add_result(g, r, a, b, ir_dims(g->f, old));
  }
}

Value *branch_end(Gen *g, Branch *br, Value *else_value, const Type *vt) {
  IrVals els = {0};
  Results r = {0};
  branch_value(g, br, else_value, vt, &els);
  IrVal *after_else = carry_read(g, &br->carry);
  br->els = g->b;
  const IrVal **dims = value_dims(g, br, &r, &els);
  int first = r.then.len, n = br->then_vals.len < els.len ? br->then_vals.len : els.len;
  for (int i = 0; i < n; i++) add_result(g, &r, br->then_vals.data[i], els.data[i], dims[i]);
  int *result_of = ARENA_ARRAY(g->arena, int, br->carry.len);
  add_changes(g, br, &r, after_else, result_of);
  ir_yield(&br->then, r.then.data, r.then.len);
  ir_yield(&br->els, r.els.data, r.els.len);
  g->b = br->outer;
  ir_close_if(&g->b, br->op, r.dims.data);
  IrVal *now = ARENA_ARRAY(g->arena, IrVal, br->carry.len);
  for (int i = 0; i < br->carry.len; i++) {
    now[i] = result_of[i] < 0 ? br->before[i] : ir_result(br->op, result_of[i]);
    leaf_name(g, now[i], br->carry.data[i].symbol, br->carry.data[i].leaf);
  }
  carry_write(g, &br->carry, now);
  if (!br->type || n < br->leaves.len) return value_none(g);
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, n);
  for (int i = 0; i < n; i++) leaves[i] = ir_result(br->op, first + i);
  int at = 0;
  return value_from(g, br->type, leaves, &at);
}

Value *lower_if_value(Gen *g, Expr *e) {
  Carry carry = {0};
  Branch br;
  IrVal cond = lower_scalar(g, e->if_.cond);
  carry_expr(g, &carry, e->if_.then);
  if (e->if_.els) carry_expr(g, &carry, e->if_.els);
  branch_begin(g, &br, cond, &carry, e->type);
  Value *then = lower_expr(g, e->if_.then);
  branch_else(g, &br, then, e->if_.then->type);
  Value *els = e->if_.els ? lower_expr(g, e->if_.els) : value_none(g);
  return branch_end(g, &br, els, e->if_.els ? e->if_.els->type : NULL);
}
