// Differentiation: `@checkpoint(slots: s)`. In: a loop whose reverse form may keep s states at a time. Out: its reverse form.
//
// The forward form saves nothing. The reverse loop keeps the carried values of up to s iterations in slots, the first one's
// among them. Before it reverses iteration t, it runs on from the latest state kept, keeping further ones on the way where
// slots are free, spaced as Griewank and Walther's binomial schedule has it (revolve, ACM TOMS 26, 2000), which repeats as
// few iterations as can be; a slot is free again once its own iteration is reversed.
//
//   top = 0, slot[0] = the first state, at[0] = 0
//   for t = trips - 1 .. 0
//     state, now = slot[top], at[top]
//     while now < t: run to the next state to keep, or to t if no slot is free; keep it in slot[++top]
//     reverse iteration t from the state; if at[top] == t: top--
//
// State, slots and `at` are carried in this order: n states, `now`, n slots, `at`, `top`.
#include "ad/reverse.h"

typedef struct Slots {
  Reverse *rv;
  const OpPlan *plan;
  IrVal lo, step, count; // count: of slots
  int n;                 // carried values of the loop
} Slots;

static IrVal times(IrBuilder *b, IrVal x, IrVal y) { return ir_op2(b, IR_MUL, x, y); }
static IrVal over(IrBuilder *b, IrVal x, IrVal y) { return ir_op2(b, IR_IDIV, x, y); }

// How far to run on before the next state is kept: `left` >= 2 iterations are to be reversed with `free` >= 2 slots, the one
// that holds the state included. With r repetitions binomial(free + r, free) iterations can be; r is the least that does.
static IrVal next_distance(IrBuilder *b, IrVal left, IrVal free) {
  IrVal one = ir_const_int(b, 1);
  IrBuilder cond, in;
  IrOp *grow = ir_while(b, (IrVal[]){ir_const_int(b, 0), one}, 2, &cond, &in);
  IrVal more = ir_op2(&cond, IR_LT, cond.region->args[1], left);
  ir_yield(&cond, &more, 1);
  IrVal r = ad_int_add(&in, in.region->args[0], ir_const_int(&in, 1));
  IrVal reach = over(&in, times(&in, in.region->args[1], ir_op2(&in, IR_ADD, free, r)), r);
  ir_yield(&in, (IrVal[]){r, reach}, 2);
  r = ir_result(grow, 0), reach = ir_result(grow, 1);
  IrVal both = ir_op2(b, IR_ADD, free, r);
  IrVal before = over(b, times(b, reach, r), both); // binomial(free + r - 1, free)
  IrVal behind = over(b, times(b, before, free), ad_int_sub(b, both, one));
  return ir_op2(b, IR_MIN, before, ir_op2(b, IR_SUB, left, behind));
}

static IrVal taken_from(IrBuilder *b, IrVal slots, IrVal at) {
  int rank = ir_type(b->func, slots).rank;
  return rev_part(b, slots, &at, 1, ir_dims(b->func, slots) + 1, rank - 1);
}

// Runs the loop's iterations from..to without saving: state in, state out.
static void run_on(Slots *s, IrBuilder *b, IrVal from, IrVal to, IrVal *state) {
  const IrRegion *body = s->plan->op->regions[0];
  IrBuilder in;
  IrOp *now = ir_for(b, from, to, ir_const_int(b, 1), state, s->n, &in);
  IrVal index = ad_int_add(&in, s->lo, ad_int_mul(&in, in.region->args[0], s->step));
  ir_map_set(&s->rv->map, body->args[0], index);
  for (int k = 0; k < s->n; k++) ir_map_set(&s->rv->map, body->args[1 + k], in.region->args[1 + k]);
  IrVal *yields = ARENA_ARRAY(s->rv->arena, IrVal, s->n);
  rev_again(s->rv, &in, body, yields);
  ir_yield(&in, yields, s->n);
  for (int k = 0; k < s->n; k++) state[k] = ir_result(now, k);
}

// One round: on to where the next state is kept, or to iteration t.
static void round_of(Slots *s, IrBuilder *b, IrVal t, IrVal *v) {
  int n = s->n;
  IrVal *now = &v[n], *slots = v + n + 1, *at = &v[2 * n + 1], *top = &v[2 * n + 2];
  IrVal one = ir_const_int(b, 1);
  IrVal free = ir_op2(b, IR_SUB, s->count, *top), is_free = ir_op2(b, IR_LT, one, free);
  IrBuilder in[2];
  IrOp *choice = ir_if(b, is_free, &in[0], &in[1]);
  IrVal left = ad_int_add(&in[0], ir_op2(&in[0], IR_SUB, t, *now), ir_const_int(&in[0], 1));
  IrVal to = ad_int_add(&in[0], *now, next_distance(&in[0], left, free));
  ir_yield(&in[0], &to, 1);
  ir_yield(&in[1], &t, 1);
  ir_close_if(b, choice, NULL);
  IrVal *yields = ARENA_ARRAY(s->rv->arena, IrVal, n + 2);
  run_on(s, b, *now, choice->result, v);
  *now = choice->result;
  IrOp *keep = ir_if(b, is_free, &in[0], &in[1]);
  IrVal next = ad_int_add(&in[0], *top, ir_const_int(&in[0], 1));
  for (int k = 0; k < n; k++) yields[k] = rev_set_part(&in[0], slots[k], &next, 1, v[k]);
  yields[n] = rev_set_part(&in[0], *at, &next, 1, *now);
  yields[n + 1] = next;
  ir_yield(&in[0], yields, n + 2);
  for (int k = 0; k < n + 2; k++) yields[k] = slots[k];
  ir_yield(&in[1], yields, n + 2);
  const IrVal **dims = ARENA_ARRAY(s->rv->arena, const IrVal *, n + 2);
  for (int k = 0; k <= n; k++) dims[k] = ir_dims(b->func, slots[k]);
  ir_close_if(b, keep, dims);
  for (int k = 0; k < n + 2; k++) slots[k] = ir_result(keep, k);
}

static void open_slots(Slots *s, IrBuilder *b, const IrVal *first, IrVal *slots) {
  for (int k = 0; k <= s->n; k++) {
    IrVal state = k < s->n ? first[k] : ir_const_int(b, 0), dims[IR_MAX_RANK] = {s->count};
    IrType t = ir_type(b->func, state);
    for (int d = 0; d < t.rank; d++) dims[1 + d] = ir_dims(b->func, state)[d];
    slots[k] = ir_unset(b, ad_blank(b, (IrElem)t.elem), dims, t.rank + 1);
    IrVal first_slot = ir_const_int(b, 0);
    slots[k] = rev_set_part(b, slots[k], &first_slot, 1, state);
  }
  slots[s->n + 1] = ir_const_int(b, 0);
}

// slots: the slots, `at` and `top`, in and out. Maps the carried values at iteration t.
static void bring_state(Slots *s, IrBuilder *b, IrVal t, IrVal *slots) {
  int n = s->n, total = 2 * n + 3;
  IrVal *v = ARENA_ARRAY(s->rv->arena, IrVal, total);
  for (int k = 0; k <= n; k++) v[k] = taken_from(b, slots[k], slots[n + 1]);
  for (int k = 0; k < n + 2; k++) v[n + 1 + k] = slots[k];
  IrBuilder cond, in;
  IrOp *rounds = ir_while(b, v, total, &cond, &in);
  IrVal more = ir_op2(&cond, IR_LT, cond.region->args[n], t);
  ir_yield(&cond, &more, 1);
  for (int k = 0; k < total; k++) v[k] = in.region->args[k];
  round_of(s, &in, t, v);
  ir_yield(&in, v, total);
  const IrRegion *body = s->plan->op->regions[0];
  rev_enter_region(s->rv, body);
  for (int k = 0; k < n; k++) ir_map_set(&s->rv->map, body->args[1 + k], ir_result(rounds, k));
  for (int k = 0; k < n + 2; k++) slots[k] = ir_result(rounds, n + 1 + k);
  IrVal top = slots[n + 1], done = ir_op2(b, IR_EQ, taken_from(b, slots[n], top), t);
  slots[n + 1] = ir_op3(b, IR_SELECT, done, ad_int_sub(b, top, ir_const_int(b, 1)), top);
}

IrOp *rev_open_slots(Reverse *rv, IrBuilder *b, const OpPlan *plan, IrVal *vals, int n, IrBuilder *in) {
  const IrOp *op = plan->op;
  Slots s = {.rv = rv, .plan = plan, .n = op->n_results};
  IrVal *first = ARENA_ARRAY(rv->arena, IrVal, s.n);
  s.lo = rev_primal(rv, op->args[0]), s.step = rev_primal(rv, op->args[2]);
  IrVal hi = rev_primal(rv, op->args[1]);
  for (int k = 0; k < s.n; k++) first[k] = rev_primal(rv, op->args[3 + k]);
  if (rv->broken) return NULL;
  s.count = ir_const_int(b, -op->attr.i);
  IrVal trips = ad_trip_count(b, s.lo, hi, s.step), minus = ir_const_int(b, -1);
  open_slots(&s, b, first, vals + n);
  IrOp *now = ir_for(b, ad_int_add(b, trips, minus), minus, minus, vals, n + s.n + 2, in);
  IrVal t = in->region->args[0];
  for (int k = 0; k < s.n + 2; k++) vals[n + k] = in->region->args[1 + n + k];
  bring_state(&s, in, t, vals + n);
  ir_map_set(&rv->map, op->regions[0]->args[0], ad_int_add(in, s.lo, ad_int_mul(in, t, s.step)));
  return now;
}
