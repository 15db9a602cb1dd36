// Differentiation: loops, branches and builds backwards.
//
// A reverse loop carries the adjoints of the carried values (those that change from iteration to iteration), and the
// adjoints of active values from outside that the body contributes to. Where every active carried value is only added to,
// its adjoint is the same in all iterations: nothing is carried for it, the iterations commute, and the loop runs forwards.
#include "ad/reverse.h"

// The adjoints of values from outside that a region adds to, threaded through it as carried values or results.
static void open_targets(Reverse *rv, IrBuilder *b, const OpPlan *plan) {
  for (int k = 0; k < plan->targets.len; k++) rev_adjoint_or_zero(rv, b, plan->targets.data[k]);
}

void rev_set_targets(Reverse *rv, const OpPlan *plan, const IrVal *vals) {
  for (int k = 0; k < plan->targets.len; k++) rv->adj[plan->targets.data[k]] = vals[k];
}

void rev_read_targets(const Reverse *rv, const OpPlan *plan, IrVal *vals) {
  for (int k = 0; k < plan->targets.len; k++) vals[k] = rv->adj[plan->targets.data[k]];
}

// ---- loops -------------------------------------------------------------------------------------------------------------

// What a reverse loop carries, in order: primal values that run along again, adjoints of carried values, targets.
typedef struct Carried {
  int *replayed, n_replayed; // indices of primal carried values
  int *adjoint, n_adjoint;
  int n;
  IrVal *inits, *yields;
} Carried;

static bool carries_adjoint(const Reverse *rv, const OpPlan *plan, const IrRegion *body, int first_arg,
                            int k) {
  const Activity *act = &rv->plan->act;
  return !plan->invariant[k] &&
         (is_active(act, body->args[first_arg + k]) || is_active(act, ir_result(plan->op, k)));
}

static Carried open_carried(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, int first_init,
                            int first_arg) {
  const IrOp *op = plan->op;
  const IrRegion *body = op->regions[region];
  int most = 2 * op->n_results + plan->targets.len + N_STACKS;
  Carried c = {.replayed = ARENA_ARRAY(rv->arena, int, op->n_results),
               .adjoint = ARENA_ARRAY(rv->arena, int, op->n_results),
               .inits = ARENA_ARRAY(rv->arena, IrVal, most),
               .yields = ARENA_ARRAY(rv->arena, IrVal, most)};
  for (int k = 0; k < op->n_results; k++)
    if (plan->regions[region].replayed[k]) {
      c.replayed[c.n_replayed++] = k;
      c.inits[c.n++] = rev_primal(rv, op->args[first_init + k]);
    }
  for (int k = 0; k < op->n_results; k++)
    if (carries_adjoint(rv, plan, body, first_arg, k)) {
      c.adjoint[c.n_adjoint++] = k;
      c.inits[c.n++] = rev_adjoint_or_zero(rv, b, ir_result(op, k));
    }
  open_targets(rv, b, plan);
  rev_read_targets(rv, plan, c.inits + c.n);
  c.n += plan->targets.len;
  for (int k = 0; plan->threads && k < N_STACKS; k++) c.inits[c.n++] = rv->stack[k];
  return c;
}

// The stacks of saved values stand last among what a reverse form of a threaded operation carries.
static void set_stacks(Reverse *rv, const OpPlan *plan, const IrVal *end) {
  for (int k = 0; plan->threads && k < N_STACKS; k++) rv->stack[k] = end[k - N_STACKS];
}

static void read_stacks(const Reverse *rv, const OpPlan *plan, IrVal *end) {
  for (int k = 0; plan->threads && k < N_STACKS; k++) end[k - N_STACKS] = rv->stack[k];
}

// Inside the reverse iteration, before the body's operations: whose adjoint is what.
static void seed_body(Reverse *rv, IrBuilder *in, const OpPlan *plan, const IrRegion *body, const Carried *c,
                      const IrVal *args, const IrVal *invariant) {
  rev_set_targets(rv, plan, args + c->n_replayed + c->n_adjoint);
  for (int j = 0; j < c->n_adjoint; j++)
    rev_contribute(rv, in, body->yields[c->adjoint[j]], args[c->n_replayed + j]);
  for (int k = 0; k < plan->op->n_results; k++)
    if (plan->invariant[k] && invariant[k]) rev_contribute(rv, in, body->yields[k], invariant[k]);
}

static void close_body(Reverse *rv, IrBuilder *in, const OpPlan *plan, const IrRegion *body, int first_arg,
                       Carried *c) {
  int n = 0;
  for (int j = 0; j < c->n_replayed; j++) c->yields[n++] = rev_primal(rv, body->yields[c->replayed[j]]);
  for (int j = 0; j < c->n_adjoint; j++)
    c->yields[n++] = rev_adjoint_or_zero(rv, in, body->args[first_arg + c->adjoint[j]]);
  rev_read_targets(rv, plan, c->yields + n);
  read_stacks(rv, plan, c->yields + c->n);
}

static void after_loop(Reverse *rv, IrBuilder *b, const OpPlan *plan, const Carried *c, const IrOp *now,
                       int first_init, const IrVal *invariant) {
  IrVal first = ir_result(now, c->n_replayed);
  for (int k = 0; k < plan->targets.len; k++)
    rv->adj[plan->targets.data[k]] = first + (IrVal)(c->n_adjoint + k);
  for (int k = 0; plan->threads && k < N_STACKS; k++) rv->stack[k] = ir_result(now, c->n - N_STACKS + k);
  for (int j = 0; j < c->n_adjoint; j++)
    rev_contribute(rv, b, plan->op->args[first_init + c->adjoint[j]], first + (IrVal)j);
  for (int k = 0; k < plan->op->n_results; k++)
    if (plan->invariant[k]) rev_contribute(rv, b, plan->op->args[first_init + k], invariant[k]);
}

static IrVal *adjoints_of_results(Reverse *rv, const IrOp *op) {
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) vals[k] = rv->adj[ir_result(op, k)];
  return vals;
}

// Carried values that are known without saving: the ones that run along, and counters, from the iteration's number.
static void map_known_arguments(Reverse *rv, IrBuilder *in, const IrOp *op, const Carried *c,
                                const IrVal *args, IrVal it) {
  const IrRegion *body = op->regions[0];
  for (int j = 0; j < c->n_replayed; j++) ir_map_set(&rv->map, body->args[1 + c->replayed[j]], args[j]);
  for (int k = 0; k < op->n_results; k++) {
    IrVal arg = body->args[1 + k], step;
    if (ir_mapped(&rv->map, arg) || !loop_counter(rv->f, body, k, &step)) continue;
    IrVal start = ir_mapped(&rv->map, op->args[3 + k]);
    IrVal by = ir_is_const(rv->f, step) ? ir_const_int(in, ir_val(rv->f, step)->def->attr.i)
                                        : ir_mapped(&rv->map, step);
    if (start && by) ir_map_set(&rv->map, arg, ad_int_add(in, start, ad_int_mul(in, it, by)));
  }
}

// The same where states are kept in slots: further carried values, behind the others.
static void rev_for_in_slots(Reverse *rv, IrBuilder *b, const OpPlan *plan) {
  const IrOp *op = plan->op;
  const IrRegion *body = op->regions[0];
  IrVal *invariant = adjoints_of_results(rv, op);
  Carried c = open_carried(rv, b, plan, 0, 3, 1);
  int total = c.n + op->n_results + 2;
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < c.n; k++) vals[k] = c.inits[k];
  IrBuilder in;
  IrOp *now = rv->broken ? NULL : rev_open_slots(rv, b, plan, vals, c.n, &in);
  if (!now) return;
  rev_load_and_recompute(rv, &in, plan, 0, NULL, 0);
  if (rv->broken) return;
  seed_body(rv, &in, plan, body, &c, in.region->args + 1, invariant);
  rev_ops(rv, &in, body);
  close_body(rv, &in, plan, body, 1, &c);
  if (rv->broken) return;
  for (int k = 0; k < c.n; k++) vals[k] = c.yields[k];
  ir_yield(&in, vals, total);
  after_loop(rv, b, plan, &c, now, 3, invariant);
}

void rev_for(Reverse *rv, IrBuilder *b, const IrOp *op) {
  const OpPlan *plan = plan_of(rv->plan, op);
  if (plan->slots) {
    rev_for_in_slots(rv, b, plan);
    return;
  }
  const IrRegion *body = op->regions[0];
  IrVal lo = rev_primal(rv, op->args[0]), hi = rev_primal(rv, op->args[1]),
        step = rev_primal(rv, op->args[2]);
  if (rv->broken) return;
  IrVal *invariant = adjoints_of_results(rv, op);
  Carried c = open_carried(rv, b, plan, 0, 3, 1);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now;
  if (plan->forward_order) {
    now = ir_for(b, lo, hi, step, c.inits, c.n, &in);
  } else {
    IrVal last = ad_int_add(
        b, lo, ad_int_mul(b, ad_int_sub(b, ad_trip_count(b, lo, hi, step), ir_const_int(b, 1)), step));
    IrVal back = ad_int_sub(b, ir_const_int(b, 0), step);
    now = ir_for(b, last, ad_int_sub(b, lo, step), back, c.inits, c.n, &in);
  }
  const IrVal *args = in.region->args + 1;
  set_stacks(rv, plan, args + c.n);
  rev_enter_region(rv, body);
  ir_map_set(&rv->map, body->args[0], in.region->args[0]);
  IrVal it = rev_iteration_number(&in, in.region->args[0], lo, step);
  map_known_arguments(rv, &in, op, &c, args, it);
  rev_load_and_recompute(rv, &in, plan, 0, &it, 1);
  if (rv->broken) return;
  seed_body(rv, &in, plan, body, &c, args, invariant);
  rev_ops(rv, &in, body);
  close_body(rv, &in, plan, body, 1, &c);
  if (rv->broken) return;
  ir_yield(&in, c.yields, c.n);
  after_loop(rv, b, plan, &c, now, 3, invariant);
}

// A while loop runs backwards over the number of iterations that its forward form counted.
void rev_while(Reverse *rv, IrBuilder *b, const IrOp *op) {
  OpPlan *plan = plan_of(rv->plan, op);
  const IrRegion *body = op->regions[1];
  IrVal *invariant = adjoints_of_results(rv, op);
  IrVal trip = plan->threads ? stack_pop_int(rv, b) : plan->tape.data[0];
  Carried c = open_carried(rv, b, plan, 1, 0, 0);
  if (rv->broken) return;
  IrVal minus = ir_const_int(b, -1);
  IrBuilder in;
  IrOp *now = ir_for(b, ad_int_add(b, trip, minus), minus, minus, c.inits, c.n, &in);
  const IrVal *args = in.region->args + 1;
  set_stacks(rv, plan, args + c.n);
  rev_enter_region(rv, body);
  rev_load_and_recompute(rv, &in, plan, 1, &in.region->args[0], 1);
  if (rv->broken) return;
  seed_body(rv, &in, plan, body, &c, args, invariant);
  rev_ops(rv, &in, body);
  close_body(rv, &in, plan, body, 0, &c);
  if (rv->broken) return;
  ir_yield(&in, c.yields, c.n);
  after_loop(rv, b, plan, &c, now, 0, invariant);
}

// ---- branches ------------------------------------------------------------------------------------------------------------

// One branch: what it makes of the adjoints from outside stands in `after`, 0 where they are still zero.
static void reverse_branch(Reverse *rv, IrBuilder *in, const OpPlan *plan, int i, const IrVal *before,
                           const IrVal *seeds, IrVal *after, int total) {
  const IrRegion *r = plan->op->regions[i];
  rev_set_targets(rv, plan, before);
  set_stacks(rv, plan, before + total);
  rev_enter_region(rv, r);
  rev_load_and_recompute(rv, in, plan, i, NULL, 0);
  if (rv->broken) return;
  for (int k = 0; k < plan->op->n_results; k++) rev_contribute(rv, in, r->yields[k], seeds[k]);
  rev_ops(rv, in, r);
  rev_read_targets(rv, plan, after);
  read_stacks(rv, plan, after + total);
}

int rev_changed_targets(Reverse *rv, IrBuilder *in, const OpPlan *plan, IrVal **after, int *which) {
  int n = 0;
  for (int k = 0; k < plan->targets.len; k++) {
    if (!after[0][k] && !after[1][k]) continue;
    for (int i = 0; i < 2; i++) {
      if (after[i][k]) continue;
      rv->adj[plan->targets.data[k]] = 0;
      after[i][k] = rev_adjoint_or_zero(rv, &in[i], plan->targets.data[k]);
    }
    which[n++] = k;
  }
  return n;
}

void rev_if(Reverse *rv, IrBuilder *b, const IrOp *op) {
  const OpPlan *plan = plan_of(rv->plan, op);
  IrVal cond = rev_primal(rv, op->args[0]);
  if (rv->broken) return;
  int stacks = plan->threads ? N_STACKS : 0, total = plan->targets.len + stacks;
  IrVal *before = ARENA_ARRAY(rv->arena, IrVal, total), *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  IrVal *after[2] = {ARENA_ARRAY(rv->arena, IrVal, total), ARENA_ARRAY(rv->arena, IrVal, total)};
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, total);
  int *which = ARENA_ARRAY(rv->arena, int, total);
  rev_read_targets(rv, plan, before);
  read_stacks(rv, plan, before + total);
  IrVal *seeds = adjoints_of_results(rv, op);
  IrBuilder in[2];
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  for (int i = 0; i < 2 && !rv->broken; i++)
    reverse_branch(rv, &in[i], plan, i, before, seeds, after[i], total);
  if (rv->broken) return;
  int n = rev_changed_targets(rv, in, plan, after, which);
  if (rv->broken) return;
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < n; k++) yields[k] = after[i][which[k]];
    for (int k = 0; k < stacks; k++) yields[n + k] = after[i][plan->targets.len + k];
    ir_yield(&in[i], yields, n + stacks);
  }
  for (int k = 0; k < n; k++) dims[k] = rev_value_dims(rv, plan->targets.data[which[k]]);
  ir_close_if(b, now, dims);
  rev_set_targets(rv, plan, before);
  for (int k = 0; k < n; k++) rv->adj[plan->targets.data[which[k]]] = ir_result(now, k);
  for (int k = 0; k < stacks; k++) rv->stack[k] = ir_result(now, n + k);
}

// ---- builds ---------------------------------------------------------------------------------------------------------------

void rev_build(Reverse *rv, IrBuilder *b, const IrOp *op) {
  const OpPlan *plan = plan_of(rv->plan, op);
  const IrRegion *body = op->regions[0];
  int rank = op->n_args, n = plan->targets.len + (plan->threads ? N_STACKS : 0);
  IrVal sizes[IR_MAX_RANK], idx[IR_MAX_RANK];
  for (int k = 0; k < rank; k++) sizes[k] = rev_primal(rv, op->args[k]);
  open_targets(rv, b, plan);
  if (rv->broken) return;
  IrVal *seeds = adjoints_of_results(rv, op);
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, n);
  IrVal *carried = ARENA_ARRAY(rv->arena, IrVal, n);
  rev_read_targets(rv, plan, vals);
  read_stacks(rv, plan, vals + n);
  AdNest nest = {.backwards = plan->threads};
  IrBuilder in = ad_nest_open(b, &nest, sizes, rank, vals, n, idx, carried);
  rev_enter_region(rv, body);
  for (int k = 0; k < rank; k++) ir_map_set(&rv->map, body->args[k], idx[k]);
  rev_set_targets(rv, plan, carried);
  set_stacks(rv, plan, carried + n);
  rev_load_and_recompute(rv, &in, plan, 0, idx, rank);
  if (rv->broken) return;
  for (int k = 0; k < op->n_results; k++)
    if (seeds[k]) rev_contribute(rv, &in, body->yields[k], ir_get(&in, seeds[k], idx, rank));
  rev_ops(rv, &in, body);
  if (rv->broken) return;
  rev_read_targets(rv, plan, vals);
  read_stacks(rv, plan, vals + n);
  ad_nest_close(&nest, vals, vals);
  rev_set_targets(rv, plan, vals);
  set_stacks(rv, plan, vals + n);
}
