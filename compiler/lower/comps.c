// Comprehensions and reductions. In: `for i in a..b, x in xs: e`; out: a BUILD where the body only computes, loops that
// carry what it changes where it does more. An element of a nested comprehension is lowered at its whole index, so no
// rows are made on the way.
#include "lower/internal.h"

#include <math.h>
#include <string.h>

// ---- what loops run over ---------------------------------------------------------------------------------------------

static IrVal plan_step(Gen *g, const Iter *it, int64_t *c) {
  *c = 1;
  if (!it->step) return ir_const_int(&g->b, 1);
  IrVal step = lower_int(g, it->step);
  if (ir_is_const_int(g->f, step, c) && *c > 0) return step;
  *c = 0;
  IrVal one = ir_const_int(&g->b, 1);
  check_that(g, ir_op2(&g->b, IR_LE, one, step), "the step of a range must be at least 1");
  return step;
}

IterPlan iter_plan(Gen *g, Iter *it) {
  IterPlan p = {.iter = it};
  if (it->over->kind == EXPR_RANGE) {
    p.lo = lower_int(g, it->over->range.lo);
    p.hi = lower_int(g, it->over->range.hi);
    p.step = plan_step(g, it, &p.const_step);
    return p;
  }
  p.over = lower_value(g, it->over);
  p.lo = ir_const_int(&g->b, 0);
  p.hi = array_len(g, p.over);
  p.step = ir_const_int(&g->b, 1);
  p.const_step = 1;
  p.count = p.hi;
  return p;
}

static bool is_zero(Gen *g, IrVal v) {
  int64_t c;
  return ir_is_const_int(g->f, v, &c) && c == 0;
}

IrVal iter_count(Gen *g, IterPlan *p, const Size *size) {
  if (p->count) return p->count;
  p->count = size ? known_find(g, size) : 0;
  if (p->count) return p->count;
  p->count = is_zero(g, p->lo) ? p->hi : ir_op2(&g->b, IR_SUB, p->hi, p->lo);
  if (p->const_step == 1) return p->count;
  IrVal last = ir_op2(&g->b, IR_SUB, p->step, ir_const_int(&g->b, 1));
  p->count = ir_op2(&g->b, IR_IDIV, ir_op2(&g->b, IR_ADD, p->count, last), p->step);
  return p->count;
}

void iter_at(Gen *g, const IterPlan *p, IrVal index) {
  if (!p->over) {
    env_set(g, p->iter->symbol, value_leaf(g, index));
    value_name(g, value_leaf(g, index), NULL, p->iter->name);
    return;
  }
  Value *x = array_element(g, p->over, &index, 1);
  value_name(g, x, p->iter->symbol->type, p->iter->name);
  env_set(g, p->iter->symbol, x);
}

void iter_bind(Gen *g, const IterPlan *p, IrVal k) {
  if (p->iter->reverse) {
    IrVal last = ir_op2(&g->b, IR_SUB, p->count, ir_const_int(&g->b, 1));
    k = ir_op2(&g->b, IR_SUB, last, k);
  }
  if (p->const_step != 1) k = ir_op2(&g->b, IR_MUL, k, p->step);
  if (!is_zero(g, p->lo)) k = ir_op2(&g->b, IR_ADD, p->lo, k);
  iter_at(g, p, k);
}

void iter_bounds(Gen *g, IterPlan *p, IrVal out[3]) {
  out[0] = p->lo, out[1] = p->hi, out[2] = p->step;
  if (!p->iter->reverse) return;
  IrVal one = ir_const_int(&g->b, 1);
  if (p->const_step == 1) {
    out[0] = ir_op2(&g->b, IR_SUB, p->hi, one);
  } else {
    IrVal steps = ir_op2(&g->b, IR_SUB, iter_count(g, p, NULL), one);
    out[0] = ir_op2(&g->b, IR_ADD, p->lo, ir_op2(&g->b, IR_MUL, steps, p->step));
  }
  int64_t lo;
  out[1] =
      ir_is_const_int(g->f, p->lo, &lo) ? ir_const_int(&g->b, lo - 1) : ir_op2(&g->b, IR_SUB, p->lo, one);
  out[2] = p->const_step ? ir_const_int(&g->b, -p->const_step) : ir_op1(&g->b, IR_NEG, p->step);
}

// ---- loops that carry variables --------------------------------------------------------------------------------------------

IrVal loop_open(Gen *g, LoopGen *t, const IrVal bounds[3], const Carry *carry, IrVal *extra, int n_extra) {
  IrVal *inits = ARENA_ARRAY(g->arena, IrVal, carry->len + n_extra);
  memcpy(inits, carry_read(g, carry), sizeof *inits * (size_t)carry->len);
  if (n_extra) memcpy(inits + carry->len, extra, sizeof *inits * (size_t)n_extra);
  IrBuilder in;
  t->op = ir_for(&g->b, bounds[0], bounds[1], bounds[2], inits, carry->len + n_extra, &in);
  t->outer = g->b;
  t->carry = carry;
  t->n_extra = n_extra;
  g->b = in;
  carry_write(g, carry, in.region->args + 1);
  for (int i = 0; i < carry->len; i++)
    leaf_name(g, in.region->args[1 + i], carry->data[i].symbol, carry->data[i].leaf);
  for (int i = 0; i < n_extra; i++) extra[i] = in.region->args[1 + carry->len + i];
  return in.region->args[0];
}

void loop_close(Gen *g, LoopGen *t, IrVal *extra) {
  int n = t->carry->len;
  IrVal *yields = ARENA_ARRAY(g->arena, IrVal, n + t->n_extra);
  memcpy(yields, carry_read(g, t->carry), sizeof *yields * (size_t)n);
  if (t->n_extra) memcpy(yields + n, extra, sizeof *yields * (size_t)t->n_extra);
  ir_yield(&g->b, yields, n + t->n_extra);
  g->b = t->outer;
  IrVal *results = ARENA_ARRAY(g->arena, IrVal, n);
  for (int i = 0; i < n; i++) {
    results[i] = ir_result(t->op, i);
    leaf_name(g, results[i], t->carry->data[i].symbol, t->carry->data[i].leaf);
  }
  carry_write(g, t->carry, results);
  for (int i = 0; i < t->n_extra; i++) extra[i] = ir_result(t->op, n + i);
}

typedef struct Run { // nested loops over iters
  Expr *e;
  IterPlan *plans; // NULL: each is evaluated within those around it
  Carry carry;
  IrVal *extra;
  int n_extra;
  IrVal idx[IR_MAX_RANK + 1];
} Run;

typedef void RunBody(Gen *g, Run *r);

static void run_level(Gen *g, Run *r, int level, RunBody *body) {
  if (level == r->e->comp.iters.len) {
    body(g, r);
    return;
  }
  IterPlan p = r->plans ? r->plans[level] : iter_plan(g, &r->e->comp.iters.data[level]);
  IrVal bounds[3];
  if (r->plans)
    bounds[0] = ir_const_int(&g->b, 0), bounds[1] = p.count, bounds[2] = ir_const_int(&g->b, 1);
  else
    iter_bounds(g, &p, bounds);
  LoopGen loop;
  IrVal index = loop_open(g, &loop, bounds, &r->carry, r->extra, r->n_extra);
  if (r->plans)
    r->idx[level] = index, iter_bind(g, &p, index);
  else
    iter_at(g, &p, index);
  run_level(g, r, level + 1, body);
  loop_close(g, &loop, r->extra);
}

// ---- comprehensions ------------------------------------------------------------------------------------------------------------

static Type *body_type(Gen *g, const Type *t, int n) { // what is left of the array type after n axes
  Type *row = ARENA_NEW(g->arena, Type);
  *row = *t;
  row->rank -= n;
  row->dims += n;
  return row->rank ? row : t->elem;
}

static void plan_dims(Gen *g, Expr *e, IterPlan *plans, IrVal *dims) {
  for (int i = 0; i < e->comp.iters.len; i++) {
    const Size *size = i < e->type->rank ? e->type->dims[i] : NULL;
    plans[i] = iter_plan(g, &e->comp.iters.data[i]);
    dims[i] = iter_count(g, &plans[i], size);
    if (known_dim(g, dims[i]) || plans[i].over) continue;
    int64_t c;
    if (ir_is_const_int(g->f, dims[i], &c)) {
      plans[i].count = dims[i] = ir_const_int(&g->b, 0);
      continue;
    }
    IrVal zero = ir_const_int(&g->b, 0);
    check_that(g, ir_op2(&g->b, IR_LE, zero, dims[i]), "the range of a comprehension ends before it starts");
  }
}

static Value *element_at(Gen *g, Expr *e, const IterPlan *plans, const IrVal *idx) {
  int n = e->comp.iters.len;
  for (int i = 0; i < n; i++) iter_bind(g, &plans[i], idx[i]);
  Expr *body = e->comp.body;
  if (body->kind == EXPR_COMP) {
    IterPlan *inner = ARENA_ARRAY(g->arena, IterPlan, body->comp.iters.len);
    for (int i = 0; i < body->comp.iters.len; i++) {
      inner[i] = iter_plan(g, &body->comp.iters.data[i]);
      if (body->comp.iters.data[i].reverse) iter_count(g, &inner[i], body->type->dims[i]);
    }
    return element_at(g, body, inner, idx + n);
  }
  Value *v = lower_expr(g, body);
  int rank = body->type->kind == TYPE_ARRAY ? body->type->rank : 0;
  return rank ? array_element(g, v, idx + n, rank) : v;
}

static bool is_pointwise(const Expr *body) { // may be lowered at one element
  if (body->kind == EXPR_COMP) return is_pointwise(body->comp.body);
  return body->type->kind != TYPE_ARRAY || expr_is_cheap(body);
}

static Value *comp_build(Gen *g, Expr *e, const IterPlan *plans, const IrVal *dims) {
  IrBuilder in, outer;
  IrOp *op = ir_build(&g->b, dims, e->type->rank, &in);
  outer = g->b;
  g->b = in;
  Value *v = coerce(g, element_at(g, e, plans, in.region->args), NULL, e->type->elem, NULL);
  ValueVec leaves = {0};
  IrVals yields = {0};
  value_leaves(v, &leaves, g->arena);
  for (int i = 0; i < leaves.len; i++) vec_push(g->arena, &yields, value_scalar(g, leaves.data[i]));
  ir_yield(&g->b, yields.data, yields.len);
  g->b = outer;
  ir_close_build(&g->b, op);
  IrVals results = {0};
  for (int i = 0; i < yields.len; i++) vec_push(g->arena, &results, ir_result(op, i));
  int at = 0;
  return value_from(g, e->type, results.data, &at);
}

static void store_element(Gen *g, Run *r) {
  Expr *e = r->e;
  int n = e->comp.iters.len;
  Value *v = lower_as(g, e->comp.body, body_type(g, e->type, n), NULL);
  ValueVec leaves = {0};
  value_leaves(v, &leaves, g->arena);
  for (int k = 0; k < leaves.len && k < r->n_extra; k++) {
    Value *leaf = value_leaf(g, force_leaf(g, leaves.data[k], NULL));
    r->extra[k] = set_block(g, r->extra[k], r->idx, n, leaf);
  }
}

static bool leaf_sizes(Gen *g, const Leaf *leaf, const IrVal *dims, int n, IrVal *out) {
  for (int k = 0; k < leaf->type.rank; k++) {
    out[k] = k < n ? dims[k] : known_value(g, leaf->dims[k]);
    if (!out[k]) return false;
  }
  return true;
}

static Value *comp_loops(Gen *g, Expr *e, IterPlan *plans, const IrVal *dims) {
  LeafVec leaves = {0};
  IrVals arrays = {0};
  Run r = {.e = e, .plans = plans};
  type_leaves(g->l, e->type, name_of(g->l, "%s", ""), g->real, &leaves);
  for (int k = 0; k < leaves.len; k++) {
    IrVal sizes[IR_MAX_RANK];
    if (!leaf_sizes(g, &leaves.data[k], dims, e->comp.iters.len, sizes)) {
      lower_fail(g->l, e->comp.body->loc, "the size of these rows is only known within the loop");
      return value_none(g);
    }
    IrVal zero = zero_of(g, (IrElem)leaves.data[k].type.elem);
    vec_push(g->arena, &arrays, ir_fill(&g->b, zero, sizes, leaves.data[k].type.rank));
  }
  carry_expr(g, &r.carry, e->comp.body);
  r.extra = arrays.data;
  r.n_extra = arrays.len;
  run_level(g, &r, 0, store_element);
  int at = 0;
  return value_from(g, e->type, arrays.data, &at);
}

static bool has_array_leaf(Gen *g, const Type *t) {
  LeafVec leaves = {0};
  type_leaves(g->l, t, name_of(g->l, "%s", ""), g->real, &leaves);
  for (int k = 0; k < leaves.len; k++)
    if (leaves.data[k].type.rank) return true;
  return false;
}

Value *lower_comp(Gen *g, Expr *e) {
  int n = e->comp.iters.len;
  IterPlan *plans = ARENA_ARRAY(g->arena, IterPlan, n);
  IrVal dims[IR_MAX_RANK] = {0};
  if (e->type->kind != TYPE_ARRAY || n > IR_MAX_RANK) {
    lower_fail(g->l, e->loc, "an array has at most %d axes", IR_MAX_RANK);
    return value_none(g);
  }
  plan_dims(g, e, plans, dims);
  Carry carry = {0};
  carry_expr(g, &carry, e->comp.body);
  bool plain = !carry.len && is_pointwise(e->comp.body) && !has_array_leaf(g, e->type->elem);
  for (int i = n; i < e->type->rank && plain; i++) plain = (dims[i] = known_value(g, e->type->dims[i])) != 0;
  if (plain && !expr_has_effect(g, e->comp.body)) return comp_build(g, e, plans, dims);
  return comp_loops(g, e, plans, dims);
}

// ---- reductions ----------------------------------------------------------------------------------------------------------------

static IrOpKind reduce_op(ReduceOp op) {
  switch (op) {
  case REDUCE_SUM: return IR_ADD;
  case REDUCE_PROD: return IR_MUL;
  case REDUCE_MIN: return IR_MIN;
  case REDUCE_MAX: return IR_MAX;
  }
  return IR_ADD;
}

static IrVal reduce_init(Gen *g, ReduceOp op, IrElem e) {
  bool is_int = e == IR_INT;
  switch (op) {
  case REDUCE_SUM: return is_int ? ir_const_int(&g->b, 0) : ir_const_float(&g->b, e, 0.0);
  case REDUCE_PROD: return is_int ? ir_const_int(&g->b, 1) : ir_const_float(&g->b, e, 1.0);
  case REDUCE_MIN: return is_int ? ir_const_int(&g->b, INT64_MAX) : ir_const_float(&g->b, e, INFINITY);
  case REDUCE_MAX: return is_int ? ir_const_int(&g->b, INT64_MIN) : ir_const_float(&g->b, e, -INFINITY);
  }
  return 0;
}

static void reduce_one(Gen *g, Run *r) {
  IrVal v = value_scalar(g, lower_as(g, r->e->comp.body, r->e->type, NULL));
  g->b.loc.loc = r->e->loc;
  r->extra[0] = ir_op2(&g->b, reduce_op(r->e->comp.op), r->extra[0], v);
  if (r->n_extra > 1) r->extra[1] = ir_const_bool(&g->b, true);
}

Value *lower_reduce(Gen *g, Expr *e) {
  IrElem elem = elem_of(e->type, g->real);
  ReduceOp op = e->comp.op;
  bool some = elem == IR_INT && (op == REDUCE_MIN || op == REDUCE_MAX); // nothing has no least int
  IrVal extra[2] = {reduce_init(g, op, elem), some ? ir_const_bool(&g->b, false) : 0};
  Run r = {.e = e, .extra = extra, .n_extra = some ? 2 : 1};
  carry_expr(g, &r.carry, e->comp.body);
  for (int i = 1; i < e->comp.iters.len; i++) carry_expr(g, &r.carry, e->comp.iters.data[i].over);
  run_level(g, &r, 0, reduce_one);
  if (some) check_that(g, extra[1], op == REDUCE_MIN ? "min of nothing" : "max of nothing");
  return value_leaf(g, extra[0]);
}
