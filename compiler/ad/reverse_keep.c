// Differentiation: forward forms that save, and the start of a reverse region, which loads or computes again.
//
// A tape is an ordinary array with the iterations as its first axis (one more axis around what nested operations save);
// a while loop, whose trip count nobody knows, keeps growable ones. Every access names its iteration, so a loop may be
// reversed in either order.
#include "ad/reverse.h"

IrVal rev_trip_count(IrBuilder *b, IrVal lo, IrVal hi, IrVal step) {
  int64_t s;
  IrVal zero = ir_const_int(b, 0), one = ir_const_int(b, 1), span = ad_int_sub(b, hi, lo), n;
  if (ir_is_const_int(b->func, step, &s)) {
    n = s == 1 ? span : ir_op2(b, IR_IDIV, ad_int_add(b, span, ir_const_int(b, s > 0 ? s - 1 : s + 1)), step);
  } else {
    IrVal up = ir_op2(b, IR_LT, zero, step);
    IrVal round = ir_op3(b, IR_SELECT, up, ad_int_sub(b, step, one), ad_int_add(b, step, one));
    n = ir_op2(b, IR_IDIV, ad_int_add(b, span, round), step);
  }
  return ir_op2(b, IR_MAX, n, zero);
}

IrVal rev_iteration_number(IrBuilder *b, IrVal i, IrVal lo, IrVal step) {
  int64_t s;
  IrVal span = ad_int_sub(b, i, lo);
  return ir_is_const_int(b->func, step, &s) && s == 1 ? span : ir_op2(b, IR_IDIV, span, step);
}

// ---- shapes of tapes ---------------------------------------------------------------------------------------------------

typedef struct TapeShape {
  IrElem elem;
  int rank; // of one item, without the iterations
  IrVal dims[IR_MAX_RANK];
} TapeShape;
typedef VEC(TapeShape) TapeShapes;
static void item_shapes(Reverse *rv, IrBuilder *b, const RegionPlan *rp, const TapeShape *prefix,
                        TapeShapes *out);

// The tapes of a whole operation, each axis of it in front.
static void op_shapes(Reverse *rv, IrBuilder *b, const IrOp *op, const TapeShape *prefix, TapeShapes *out) {
  const OpPlan *plan = plan_of(rv->plan, op);
  TapeShape inner = *prefix;
  if (op->kind == IR_FOR)
    inner.dims[inner.rank++] = rev_trip_count(b, rev_primal(rv, op->args[0]), rev_primal(rv, op->args[1]),
                                              rev_primal(rv, op->args[2]));
  if (op->kind == IR_BUILD)
    for (int k = 0; k < op->n_args; k++) inner.dims[inner.rank++] = rev_primal(rv, op->args[k]);
  for (int i = 0; i < op->n_regions; i++) item_shapes(rv, b, &plan->regions[i], &inner, out);
}

static void item_shapes(Reverse *rv, IrBuilder *b, const RegionPlan *rp, const TapeShape *prefix,
                        TapeShapes *out) {
  for (int k = 0; k < rp->saved.len; k++) {
    IrVal v = rp->saved.data[k];
    TapeShape s = *prefix;
    s.elem = (IrElem)ir_type(rv->f, v).elem;
    for (int d = 0; d < ir_type(rv->f, v).rank; d++) s.dims[s.rank++] = rev_primal(rv, ir_dims(rv->f, v)[d]);
    vec_push(rv->arena, out, s);
  }
  for (int k = 0; k < rp->saved_tapes.len; k++) op_shapes(rv, b, rp->saved_tapes.data[k], prefix, out);
}

static IrVal zero_of(IrBuilder *b, IrElem e) {
  return e == IR_BOOL ? ir_const_bool(b, false) : e == IR_INT ? ir_const_int(b, 0) : ad_zero(b, e);
}

// ---- writing and reading one item -----------------------------------------------------------------------------------------

// tape[it, ...] <- item
static IrVal write_item(IrBuilder *b, IrVal tape, IrVal it, IrVal item) {
  IrType t = ir_type(b->func, item);
  IrVal idx[IR_MAX_RANK] = {it}, carried;
  if (!t.rank) return ir_set(b, tape, idx, 1, item);
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, ir_dims(b->func, item), t.rank, &tape, 1, idx + 1, &carried);
  carried = ir_set(&in, carried, idx, t.rank + 1, ir_get(&in, item, idx + 1, t.rank));
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

// tape[at...], an array of the axes that are left
static IrVal read_item(IrBuilder *b, IrVal tape, const IrVal *at, int n) {
  int rank = ir_type(b->func, tape).rank;
  if (rank == n) return ir_get(b, tape, at, n);
  IrBuilder in;
  IrOp *op = ir_build(b, ir_dims(b->func, tape) + n, rank - n, &in);
  IrVal idx[IR_MAX_RANK];
  for (int k = 0; k < rank; k++) idx[k] = k < n ? at[k] : in.region->args[k - n];
  IrVal e = ir_get(&in, tape, idx, rank);
  ir_yield(&in, &e, 1);
  ir_close_build(b, op);
  return op->result;
}

// The same for growable tapes: an item's elements one after the other.
static IrVal push_item(IrBuilder *b, IrVal tape, IrVal item) {
  IrType t = ir_type(b->func, item);
  if (!t.rank) return ir_op2(b, IR_PUSH, tape, item);
  AdNest nest = {0};
  IrVal idx[IR_MAX_RANK], carried;
  IrBuilder in = ad_nest_open(b, &nest, ir_dims(b->func, item), t.rank, &tape, 1, idx, &carried);
  carried = ir_op2(&in, IR_PUSH, carried, ir_get(&in, item, idx, t.rank));
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

static IrVal read_pushed(IrBuilder *b, IrVal tape, IrVal it, int rank, const IrVal *dims) {
  if (!rank) return ir_get(b, tape, &it, 1);
  IrBuilder in;
  IrOp *op = ir_build(b, dims, rank, &in);
  IrVal at = it;
  for (int k = 0; k < rank; k++) at = ad_int_add(&in, ad_int_mul(&in, at, dims[k]), in.region->args[k]);
  IrVal e = ir_get(&in, tape, &at, 1);
  ir_yield(&in, &e, 1);
  ir_close_build(b, op);
  return op->result;
}

// ---- forward forms -------------------------------------------------------------------------------------------------------

bool rev_keeps_tape(const RegionPlan *rp, const IrOp *op) {
  for (int k = 0; k < rp->saved_tapes.len; k++)
    if (rp->saved_tapes.data[k] == op) return true;
  return false;
}

static bool saves(const RegionPlan *rp, IrVal v) {
  for (int k = 0; k < rp->saved.len; k++)
    if (rp->saved.data[k] == v) return true;
  return false;
}

// Called when a value of the region exists: keeps it if it is one of those that are saved.
typedef struct Saver {
  Reverse *rv;
  const RegionPlan *rp;
  IrVal it;     // iteration number; 0 for growable tapes
  IrVal *tapes; // current versions, in the order of item_shapes
} Saver;

static void save_value(Saver *s, IrBuilder *b, IrVal v) {
  for (int k = 0; k < s->rp->saved.len; k++) {
    if (s->rp->saved.data[k] != v) continue;
    IrVal now = rev_primal(s->rv, v);
    s->tapes[k] = s->it ? write_item(b, s->tapes[k], s->it, now) : push_item(b, s->tapes[k], now);
  }
}

static void save_tapes(Saver *s, IrBuilder *b, const IrOp *op) {
  int at = s->rp->saved.len;
  for (int k = 0; k < s->rp->saved_tapes.len; k++) {
    const OpPlan *nested = plan_of(s->rv->plan, s->rp->saved_tapes.data[k]);
    for (int j = 0; j < nested->n_tape; j++, at++)
      if (nested->op == op) s->tapes[at] = write_item(b, s->tapes[at], s->it, nested->tape.data[j]);
  }
}

static void forward_body(Saver *s, IrBuilder *b, const IrRegion *r) {
  for (int k = 0; k < r->n_args; k++)
    if (saves(s->rp, r->args[k])) save_value(s, b, r->args[k]);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool with_tape = rev_keeps_tape(s->rp, op);
    rev_forward_op(s->rv, b, op, with_tape);
    for (int k = 0; k < op->n_results; k++) save_value(s, b, ir_result(op, k));
    if (with_tape) save_tapes(s, b, op);
  }
}

static void set_tapes(Reverse *rv, OpPlan *plan, const IrOp *now, int first, int n) {
  plan->tape.len = 0;
  for (int k = 0; k < n; k++) vec_push(rv->arena, &plan->tape, ir_result(now, first + k));
}

static void map_results(Reverse *rv, const IrOp *op, const IrOp *now) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(now, k));
}

static void forward_for(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  IrVal lo = rev_primal(rv, op->args[0]), hi = rev_primal(rv, op->args[1]),
        step = rev_primal(rv, op->args[2]);
  TapeShapes shapes = {0};
  op_shapes(rv, b, op, &(TapeShape){0}, &shapes);
  int n = op->n_results, total = n + shapes.len;
  IrVal *inits = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < n; k++) inits[k] = rev_primal(rv, op->args[3 + k]);
  for (int k = 0; k < shapes.len; k++)
    inits[n + k] = ir_fill(b, zero_of(b, shapes.data[k].elem), shapes.data[k].dims, shapes.data[k].rank);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, step, inits, total, &in);
  now->attr = op->attr;
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < body->n_args; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < shapes.len; k++) yields[n + k] = in.region->args[1 + n + k];
  Saver s = {rv, &plan->regions[0], rev_iteration_number(&in, in.region->args[0], lo, step), yields + n};
  forward_body(&s, &in, body);
  for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, body->yields[k]);
  ir_yield(&in, yields, total);
  map_results(rv, op, now);
  set_tapes(rv, plan, now, n, shapes.len);
}

static void forward_while(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  const RegionPlan *rp = &plan->regions[1];
  int n = op->n_results, total = n + rp->saved.len + 1;
  IrVal *inits = ARENA_ARRAY(rv->arena, IrVal, total), *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < n; k++) inits[k] = rev_primal(rv, op->args[k]);
  for (int k = 0; k < rp->saved.len; k++)
    inits[n + k] = ir_empty(b, (IrElem)ir_type(rv->f, rp->saved.data[k]).elem);
  inits[total - 1] = ir_const_int(b, 0);
  if (rv->broken) return;
  IrBuilder cond, in;
  IrOp *now = ir_while(b, inits, total, &cond, &in);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, op->regions[0]->args[k], cond.region->args[k]);
  IrVal go;
  ir_clone_ops(&cond, &rv->map, op->regions[0], &go);
  ir_yield(&cond, &go, 1);
  const IrRegion *body = op->regions[1];
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  for (int k = n; k < total; k++) yields[k] = in.region->args[k];
  Saver s = {rv, rp, 0, yields + n};
  forward_body(&s, &in, body);
  for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, body->yields[k]);
  yields[total - 1] = ir_op2(&in, IR_ADD, in.region->args[total - 1], ir_const_int(&in, 1));
  ir_yield(&in, yields, total);
  map_results(rv, op, now);
  set_tapes(rv, plan, now, n, rp->saved.len);
  plan->trip = ir_result(now, total - 1);
}

// Saved scalars are further results: one array each, of the same sizes.
static void forward_build(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  IrVal *dims = ARENA_ARRAY(rv->arena, IrVal, op->n_args);
  for (int k = 0; k < op->n_args; k++) dims[k] = rev_primal(rv, op->args[k]);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_build(b, dims, op->n_args, &in);
  const IrRegion *body = op->regions[0];
  const RegionPlan *rp = &plan->regions[0];
  for (int k = 0; k < body->n_args; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  for (int i = 0; i < body->ops.len; i++) rev_forward_op(rv, &in, body->ops.data[i], false);
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, op->n_results + rp->saved.len);
  for (int k = 0; k < op->n_results; k++) yields[k] = rev_primal(rv, body->yields[k]);
  for (int k = 0; k < rp->saved.len; k++) yields[op->n_results + k] = rev_primal(rv, rp->saved.data[k]);
  ir_yield(&in, yields, op->n_results + rp->saved.len);
  ir_close_build(b, now);
  map_results(rv, op, now);
  set_tapes(rv, plan, now, op->n_results, rp->saved.len);
}

const IrVal *rev_result_dims(Reverse *rv, const IrOp *op, int k) {
  IrType t = ir_type(rv->f, ir_result(op, k));
  IrVal *mapped = ARENA_ARRAY(rv->arena, IrVal, t.rank);
  for (int d = 0; d < t.rank && !t.grow; d++) {
    IrVal old = ir_dims(rv->f, ir_result(op, k))[d];
    mapped[d] = ir_val(rv->f, old)->def == op ? IR_RESULT(old - op->result) : rev_primal(rv, old);
  }
  return mapped;
}

// What a branch saves is a further result; the other branch gives a zero that nobody reads.
static void forward_if(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  TapeShapes shapes = {0};
  op_shapes(rv, b, op, &(TapeShape){0}, &shapes);
  int n = op->n_results, total = n + shapes.len, at = n;
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, total);
  IrVal cond = rev_primal(rv, op->args[0]);
  if (rv->broken) return;
  IrBuilder in[2];
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    const RegionPlan *rp = &plan->regions[i];
    for (int k = n; k < total; k++) yields[k] = zero_of(&in[i], shapes.data[k - n].elem);
    const IrRegion *r = op->regions[i];
    for (int j = 0; j < r->ops.len; j++)
      rev_forward_op(rv, &in[i], r->ops.data[j], rev_keeps_tape(rp, r->ops.data[j]));
    for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, r->yields[k]);
    for (int k = 0; k < rp->saved.len; k++) yields[at++] = rev_primal(rv, rp->saved.data[k]);
    for (int k = 0; k < rp->saved_tapes.len; k++) {
      const OpPlan *nested = plan_of(rv->plan, rp->saved_tapes.data[k]);
      for (int j = 0; j < nested->tape.len; j++) yields[at++] = nested->tape.data[j];
    }
    ir_yield(&in[i], yields, total);
  }
  for (int k = 0; k < n; k++) dims[k] = rev_result_dims(rv, op, k);
  ir_close_if(b, now, dims);
  map_results(rv, op, now);
  set_tapes(rv, plan, now, n, shapes.len);
}

static bool is_effect(const IrOp *op) { return op->n_results == 0 && (ir_op_info[op->kind].flags & IR_E); }

static bool drop_effect(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user, (void)b, (void)map;
  return is_effect(op);
}

static void clone_again(Reverse *rv, IrBuilder *b, const IrOp *op) {
  if (is_effect(op)) return;
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, &rv->map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, op->regions[k]->n_yields);
    ir_rewrite_ops(&in[k], &rv->map, op->regions[k], yields, drop_effect, NULL);
    ir_yield(&in[k], yields, op->regions[k]->n_yields);
  }
  ir_close_like(b, &rv->map, op, now);
}

static void forward_with_tape(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: forward_for(rv, b, op, plan); break;
  case IR_WHILE: forward_while(rv, b, op, plan); break;
  case IR_BUILD: forward_build(rv, b, op, plan); break;
  case IR_IF: forward_if(rv, b, op, plan); break;
  default: ir_clone_op(b, &rv->map, op); break;
  }
}

static bool is_active_call(const Reverse *rv, const IrOp *op) {
  if (!is_recursive_call(rv->f, op)) return false;
  for (int k = 0; k < op->n_results; k++)
    if (is_active(&rv->plan->act, ir_result(op, k))) return true;
  return false;
}

void rev_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, bool with_tape) {
  if (rv->broken) return;
  b->loc = op->loc;
  OpPlan *plan = plan_of(rv->plan, op);
  if ((plan && plan->threads) || is_active_call(rv, op)) {
    stack_forward_op(rv, b, op, plan);
  } else if (!with_tape || !plan) {
    if (rv->again)
      clone_again(rv, b, op);
    else
      ir_clone_op(b, &rv->map, op);
  } else {
    forward_with_tape(rv, b, op, plan);
  }
}

// ---- the start of a reverse region -----------------------------------------------------------------------------------------

void rev_enter_region(Reverse *rv, const IrRegion *r) {
  for (IrVal v = 1; v < (IrVal)rv->f->vals.len; v++) {
    if (!ir_inside(ir_val(rv->f, v)->region, r)) continue;
    ir_map_set(&rv->map, v, 0);
    rv->adj[v] = 0;
  }
}

static void load_saved(Reverse *rv, IrBuilder *b, const OpPlan *plan, const RegionPlan *rp, const IrVal *it,
                       int n, int at) {
  for (int k = 0; k < rp->saved.len; k++) {
    IrVal v = rp->saved.data[k], tape = plan->tape.data[at++], now;
    IrType t = ir_type(rv->f, v);
    if (plan->op->kind == IR_WHILE) {
      IrVal dims[IR_MAX_RANK];
      for (int d = 0; d < t.rank; d++) dims[d] = rev_primal(rv, ir_dims(rv->f, v)[d]);
      if (rv->broken) return;
      now = read_pushed(b, tape, it[0], t.rank, dims);
    } else {
      now = n ? read_item(b, tape, it, n) : tape;
    }
    ir_map_set(&rv->map, v, now);
  }
  for (int k = 0; k < rp->saved_tapes.len; k++) {
    OpPlan *nested = plan_of(rv->plan, rp->saved_tapes.data[k]);
    nested->tape.len = 0;
    for (int j = 0; j < nested->n_tape; j++, at++)
      vec_push(rv->arena, &nested->tape, n ? read_item(b, plan->tape.data[at], it, n) : plan->tape.data[at]);
  }
}

void rev_load_and_recompute(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it,
                            int n) {
  const RegionPlan *rp = &plan->regions[region];
  const IrRegion *r = plan->op->regions[region];
  int at = 0;
  if (plan->op->kind == IR_IF && region == 1) { // behind what the first branch saved
    at = plan->regions[0].saved.len;
    for (int k = 0; k < plan->regions[0].saved_tapes.len; k++)
      at += plan_of(rv->plan, plan->regions[0].saved_tapes.data[k])->n_tape;
  }
  if (plan->threads)
    stack_load(rv, b, rp);
  else if (plan->has_tape)
    load_saved(rv, b, plan, rp, it, n, at);
  rev_recompute(rv, b, rp, r);
}

void rev_recompute(Reverse *rv, IrBuilder *b, const RegionPlan *rp, const IrRegion *r) {
  bool before = rv->again;
  rv->again = true;
  for (int i = 0; i < r->ops.len && !rv->broken; i++) {
    const IrOp *op = r->ops.data[i];
    bool known = !rp->tape_again[i];
    for (int k = 0; k < op->n_results; k++) known &= ir_mapped(&rv->map, ir_result(op, k)) != 0;
    if (rp->recompute[i] && !known) rev_forward_op(rv, b, op, rp->tape_again[i]);
  }
  rv->again = before;
}
