// Differentiation: forward forms that save, and the start of a reverse region, which loads or computes again.
//
// What is saved where: ad/tapes.c.
#include "ad/reverse.h"

IrVal rev_iteration_number(IrBuilder *b, IrVal i, IrVal lo, IrVal step) {
  int64_t s;
  IrVal span = ad_int_sub(b, i, lo);
  return ir_is_const_int(b->func, step, &s) && s == 1 ? span : ir_op2(b, IR_IDIV, span, step);
}

// ---- forward forms -------------------------------------------------------------------------------------------------------

bool rev_keeps_tape(const RegionPlan *rp, const IrOp *op) {
  for (int k = 0; k < rp->saved_tapes.len; k++)
    if (rp->saved_tapes.data[k] == op) return true;
  return false;
}

bool rev_is_saved(const RegionPlan *rp, IrVal v) {
  for (int k = 0; k < rp->saved.len; k++)
    if (rp->saved.data[k] == v) return true;
  return false;
}

void rev_again(Reverse *rv, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  ir_rewrite_ops(b, &rv->map, r, yields, ad_drop_effect, NULL);
}

// What a forward form carries along: its tapes, or where the stacks are threaded, those.
static int along_count(const OpPlan *plan) { return plan->threads ? N_STACKS : plan->tapes.len; }

static void along_open(Reverse *rv, IrBuilder *b, const OpPlan *plan, IrVal *vals) {
  if (!plan->threads) rev_empty_tapes(rv, b, plan, vals);
  for (int k = 0; plan->threads && k < N_STACKS; k++) vals[k] = rv->stack[k];
}

static void along_enter(const Saver *s, const IrVal *args) {
  IrVal *vals = s->plan->threads ? s->rv->stack : s->tapes;
  for (int k = 0; k < along_count(s->plan); k++) vals[k] = args[k];
}

// The saver's tapes are where the yields stand.
static void along_yield(const Saver *s) {
  for (int k = 0; s->plan->threads && k < N_STACKS; k++) s->tapes[k] = s->rv->stack[k];
}

static void along_close(Reverse *rv, OpPlan *plan, const IrVal *vals) {
  for (int k = 0; plan->threads && k < N_STACKS; k++) rv->stack[k] = vals[k];
  if (plan->threads) return;
  plan->tape.len = 0;
  for (int k = 0; k < plan->tapes.len; k++) vec_push(rv->arena, &plan->tape, vals[k]);
}

static void forward_body(Saver *s, IrBuilder *b, const IrRegion *r) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  bool threads = s->plan->threads; // then all goes to the stacks at the end
  for (int k = 0; !threads && k < r->n_args; k++)
    if (rev_is_saved(rp, r->args[k])) rev_save_value(s, b, r->args[k]);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool with_tape = rev_keeps_tape(rp, op);
    if (with_tape && !threads) rev_place_tapes(s, op);
    rev_forward_op(s->rv, b, op, with_tape);
    for (int k = 0; !threads && k < op->n_results; k++)
      if (rev_is_saved(rp, ir_result(op, k))) rev_save_value(s, b, ir_result(op, k));
    if (with_tape && !threads) rev_save_tapes(s, b, op);
  }
  if (threads && !s->rv->broken) stack_push_saved(s->rv, b, rp);
  along_yield(s);
}

// The operation's results, and then what was carried along, from result `first` on.
static void map_results(Reverse *rv, const IrOp *op, OpPlan *plan, const IrOp *now, int first) {
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, along_count(plan));
  for (int k = 0; k < op->n_results; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(now, k));
  for (int k = 0; k < along_count(plan); k++) vals[k] = ir_result(now, first + k);
  along_close(rv, plan, vals);
}

static void forward_for(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  IrVal lo = rev_primal(rv, op->args[0]), hi = rev_primal(rv, op->args[1]),
        step = rev_primal(rv, op->args[2]);
  int n = op->n_results, total = n + along_count(plan);
  IrVal *inits = ARENA_ARRAY(rv->arena, IrVal, total), *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < n; k++) inits[k] = rev_primal(rv, op->args[3 + k]);
  along_open(rv, b, plan, inits + n);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, step, inits, total, &in);
  now->attr = op->attr;
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < body->n_args; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  IrVal it = plan->threads ? 0 : rev_iteration_number(&in, in.region->args[0], lo, step);
  Saver s = {rv, plan, 0, &it, 1, yields + n};
  along_enter(&s, in.region->args + 1 + n);
  forward_body(&s, &in, body);
  for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, body->yields[k]);
  ir_yield(&in, yields, total);
  map_results(rv, op, plan, now, n);
}

// Behind the carried values stands the number of iterations: the first tape, or beside the stacks, to which it goes at the
// end.
static void forward_while(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  int n = op->n_results, along = plan->threads ? n + 1 : n, total = along + along_count(plan);
  IrVal *inits = ARENA_ARRAY(rv->arena, IrVal, total), *yields = ARENA_ARRAY(rv->arena, IrVal, total), go;
  for (int k = 0; k < n; k++) inits[k] = rev_primal(rv, op->args[k]);
  if (plan->threads) inits[n] = ir_const_int(b, 0);
  along_open(rv, b, plan, inits + along);
  if (rv->broken) return;
  IrBuilder cond, in;
  IrOp *now = ir_while(b, inits, total, &cond, &in);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, op->regions[0]->args[k], cond.region->args[k]);
  ir_rewrite_ops(&cond, &rv->map, op->regions[0], &go, rv->again ? ad_drop_effect : NULL, NULL);
  ir_yield(&cond, &go, 1);
  const IrRegion *body = op->regions[1];
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  Saver s = {rv, plan, 1, NULL, 0, yields + along};
  along_enter(&s, in.region->args + along);
  forward_body(&s, &in, body);
  for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, body->yields[k]);
  yields[n] = ir_op2(&in, IR_ADD, in.region->args[n], ir_const_int(&in, 1));
  ir_yield(&in, yields, total);
  map_results(rv, op, plan, now, along);
  if (plan->threads) stack_push_int(rv, b, ir_result(now, n));
}

// Where element of result k is saved too, in the tapes of a loop around: the first such tape; -1: nowhere.
static int tape_of_result(const Reverse *rv, const OpPlan *plan, int k) {
  const RegionPlan *rp = &plan->regions[0];
  for (int j = 0; !plan->threads && j < rp->saved.len; j++)
    if (rp->saved.data[j] == plan->op->regions[0]->yields[k] && rv->plan->by_element[ir_result(plan->op, k)])
      return rp->first_tape + j;
  return -1;
}

// Is result k itself a part of a tape of the loop around?
static bool is_part(const OpPlan *plan, int k) { return plan->results && plan->results[k].tape; }

static IrVal set_element(const OpPlan *plan, IrBuilder *b, int k, IrVal array, const IrVal *idx, IrVal v) {
  IrVal at[IR_MAX_RANK];
  int n = 0;
  for (int i = 0; is_part(plan, k) && i < plan->results[k].n; i++) at[n++] = plan->results[k].at[i];
  for (int i = 0; i < plan->op->n_args; i++) at[n++] = idx[i];
  return ir_set(b, array, at, n, v);
}

// Element after element, so that what is saved can go along: to the tapes of a loop around, or to the stacks.
static void build_elements(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  const IrRegion *body = op->regions[0];
  int rank = op->n_args, n = 0, most = op->n_results + along_count(plan);
  IrVal dims[IR_MAX_RANK], idx[IR_MAX_RANK];
  int *made = ARENA_ARRAY(rv->arena, int, op->n_results);
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, most), *carried = ARENA_ARRAY(rv->arena, IrVal, most);
  for (int k = 0; k < rank; k++) dims[k] = rev_primal(rv, op->args[k]);
  if (rv->broken) return;
  for (int k = 0; k < op->n_results; k++) {
    if (is_part(plan, k) || tape_of_result(rv, plan, k) < 0) made[n++] = k;
  }
  for (int j = 0; j < n; j++) {
    IrElem e = (IrElem)ir_type(rv->f, ir_result(op, made[j])).elem;
    vals[j] = is_part(plan, made[j]) ? plan->results[made[j]].tape : ir_unset(b, ad_blank(b, e), dims, rank);
  }
  along_open(rv, b, plan, vals + n);
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, dims, rank, vals, n + along_count(plan), idx, carried);
  for (int k = 0; k < rank; k++) ir_map_set(&rv->map, body->args[k], idx[k]);
  Saver s = {rv, plan, 0, idx, rank, carried + n};
  along_enter(&s, carried + n);
  forward_body(&s, &in, body);
  for (int j = 0; j < n && !rv->broken; j++)
    carried[j] = set_element(plan, &in, made[j], carried[j], idx, rev_primal(rv, body->yields[made[j]]));
  if (rv->broken) return;
  ad_nest_close(&nest, carried, vals);
  along_close(rv, plan, vals + n);
  for (int j = 0; j < n; j++) {
    TapePlace *at = is_part(plan, made[j]) ? &plan->results[made[j]] : NULL;
    if (at) at->tape = vals[j];
    ir_map_set(&rv->map, ir_result(op, made[j]),
               at ? rev_part(b, vals[j], at->at, at->n, dims, rank) : vals[j]);
  }
  Saver whole = {rv, plan, 0, NULL, 0, vals + n};
  for (int k = 0; k < op->n_results; k++) {
    int tape = tape_of_result(rv, plan, k);
    if (tape >= 0 && !is_part(plan, k))
      ir_map_set(&rv->map, ir_result(op, k), rev_part_of_tape(&whole, b, tape, dims, rank));
  }
}

// Saved scalars are further results: one array each, of the same sizes.
static void forward_build(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  if (plan->threads || (plan->places && plan->tapes.len && plan->places[0].tape)) {
    build_elements(rv, b, op, plan);
    return;
  }
  int n = op->n_results, total = n + plan->tapes.len;
  IrVal *dims = ARENA_ARRAY(rv->arena, IrVal, op->n_args);
  for (int k = 0; k < op->n_args; k++) dims[k] = rev_primal(rv, op->args[k]);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_build(b, dims, op->n_args, &in);
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < body->n_args; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  Saver s = {rv, plan, 0, NULL, 0, yields + n};
  forward_body(&s, &in, body);
  for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, body->yields[k]);
  ir_yield(&in, yields, total);
  ir_close_build(b, now);
  map_results(rv, op, plan, now, n);
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

// What a branch saves is a further result; the other branch gives zeros that nobody reads.
static void forward_if(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  int n = op->n_results, total = n + along_count(plan);
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total), before[N_STACKS];
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, total);
  IrVal cond = rev_primal(rv, op->args[0]);
  for (int k = 0; k < N_STACKS; k++) before[k] = rv->stack[k];
  if (rv->broken) return;
  for (int k = 0; k < plan->tapes.len; k++) dims[n + k] = rev_tape_sizes(rv, b, &plan->tapes.data[k]);
  if (rv->broken) return;
  IrBuilder in[2];
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    const IrRegion *r = op->regions[i];
    for (int k = 0; k < N_STACKS; k++) rv->stack[k] = before[k];
    if (!plan->threads) rev_empty_tapes(rv, &in[i], plan, yields + n);
    Saver s = {rv, plan, i, NULL, 0, yields + n};
    forward_body(&s, &in[i], r);
    for (int k = 0; k < n; k++) yields[k] = rev_primal(rv, r->yields[k]);
    ir_yield(&in[i], yields, total);
  }
  for (int k = 0; k < n; k++) dims[k] = rev_result_dims(rv, op, k);
  ir_close_if(b, now, dims);
  map_results(rv, op, plan, now, n);
}

static void clone_again(Reverse *rv, IrBuilder *b, const IrOp *op) {
  if (ad_is_effect(op)) return;
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, &rv->map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, op->regions[k]->n_yields);
    ir_rewrite_ops(&in[k], &rv->map, op->regions[k], yields, ad_drop_effect, NULL);
    ir_yield(&in[k], yields, op->regions[k]->n_yields);
  }
  ir_close_like(b, &rv->map, op, now);
}

static void forward_saving(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: forward_for(rv, b, op, plan); break;
  case IR_WHILE: forward_while(rv, b, op, plan); break;
  case IR_BUILD: forward_build(rv, b, op, plan); break;
  case IR_IF: forward_if(rv, b, op, plan); break;
  default: ir_clone_op(b, &rv->map, op); break;
  }
}

static bool is_active_call(const Reverse *rv, const IrOp *op) {
  return is_recursive_call(rv->f, op) && has_active_result(&rv->plan->act, op);
}

void rev_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, bool with_tape) {
  if (rv->broken) return;
  b->loc = op->loc;
  OpPlan *plan = plan_of(rv->plan, op);
  if (is_active_call(rv, op)) {
    stack_forward_call(rv, b, op);
  } else if (plan && (with_tape || plan->threads)) {
    forward_saving(rv, b, op, plan);
  } else if (rv->again) {
    clone_again(rv, b, op);
  } else {
    ir_clone_op(b, &rv->map, op);
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

void rev_load_and_recompute(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it,
                            int n) {
  const RegionPlan *rp = &plan->regions[region];
  const IrRegion *r = plan->op->regions[region];
  if (plan->threads)
    stack_load(rv, b, rp);
  else if (plan->has_tape)
    rev_load_saved(rv, b, plan, region, it, n);
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
