// Differentiation: one descent. In: a function and a plan that says it can be done (ad/descent.c). Out: a function that
// computes results and adjoints together: each region runs forwards, and before a recursive call the adjoint of its
// results goes down with the arguments; then the region runs backwards, past the calls, which are done.
//
// Adjoints of arrays go down as well and come back with the callee's part added. Nothing is saved across a call.
#include "ad/reverse.h"
#include "opt/opt.h"

#include <string.h>

// ---- the adjoint of what is about to be called ---------------------------------------------------------------------------

typedef struct Down {
  Reverse *rv;
  const IrRegion *r;
  const IrVal *seeds; // by yield of r
  bool *done;         // by index in r
} Down;

static void forward(Reverse *rv, IrBuilder *b, const IrOp *op) {
  const OpPlan *plan = plan_of(rv->plan, op);
  rev_forward_op(rv, b, op, plan && plan->has_tape);
}

static void seed_yields(Reverse *rv, IrBuilder *b, const IrRegion *r, const IrVal *seeds) {
  for (int k = 0; k < r->n_yields; k++) rev_contribute(rv, b, r->yields[k], seeds[k]);
}

// What stands behind the operation is pulled back to its results, and only there; the region's own sweep does it again, for
// everything.
static IrVal *adjoints_before(Down *d, IrBuilder *b, int at) {
  Reverse *rv = d->rv;
  const IrOp *op = d->r->ops.data[at];
  Behind behind = descent_behind(rv->arena, rv->plan, d->r, at);
  descent_fits_call(rv->arena, rv->plan, d->r, &behind);
  for (int i = at + 1; i <= behind.until; i++) {
    const IrOp *early = d->r->ops.data[i];
    if (d->done[i] || (early->n_results && behind.later[early->result])) continue;
    forward(rv, b, early);
    d->done[i] = true;
  }
  IrVal *all = rv->adj, *bars = ARENA_ARRAY(rv->arena, IrVal, op->n_results);
  Activity act = rv->plan->act;
  rv->adj = ARENA_ARRAY(rv->arena, IrVal, rv->f->vals.len);
  rv->plan->act = descent_activity(rv->arena, rv->plan, &behind);
  seed_yields(rv, b, d->r, d->seeds);
  for (int i = d->r->ops.len - 1; i > at && !rv->broken; i--) rev_op(rv, b, d->r->ops.data[i]);
  for (int k = 0; k < op->n_results; k++) bars[k] = rv->adj[ir_result(op, k)];
  rv->adj = all;
  rv->plan->act = act;
  b->loc = op->loc;
  return bars;
}

static void descend_region(Reverse *rv, IrBuilder *b, const IrRegion *r, const IrVal *seeds);

// ---- loops and branches around the calls ---------------------------------------------------------------------------------

static void descend_for(Reverse *rv, IrBuilder *b, const IrOp *op, const IrVal *bars) {
  const OpPlan *plan = plan_of(rv->plan, op);
  const IrRegion *body = op->regions[0];
  int n = op->n_results, n_targets = plan->targets.len, total = n + n_targets;
  IrVal lo = rev_primal(rv, op->args[0]), hi = rev_primal(rv, op->args[1]),
        step = rev_primal(rv, op->args[2]);
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, total), *seeds = ARENA_ARRAY(rv->arena, IrVal, n);
  for (int k = 0; k < n; k++) vals[k] = rev_primal(rv, op->args[3 + k]);
  for (int k = 0; k < n_targets; k++) vals[n + k] = rev_adjoint_or_zero(rv, b, plan->targets.data[k]);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, step, vals, total, &in);
  rev_enter_region(rv, body);
  for (int k = 0; k <= n; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  for (int k = 0; k < n_targets; k++) rv->adj[plan->targets.data[k]] = in.region->args[1 + n + k];
  for (int k = 0; k < n; k++) seeds[k] = plan->invariant[k] ? bars[k] : 0;
  descend_region(rv, &in, body, seeds);
  if (rv->broken) return;
  for (int k = 0; k < n; k++) vals[k] = rev_primal(rv, body->yields[k]);
  for (int k = 0; k < n_targets; k++) vals[n + k] = rv->adj[plan->targets.data[k]];
  ir_yield(&in, vals, total);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(now, k));
  for (int k = 0; k < n_targets; k++) rv->adj[plan->targets.data[k]] = ir_result(now, n + k);
  for (int k = 0; k < n; k++) rev_contribute(rv, b, op->args[3 + k], seeds[k]);
}

static void descend_if(Reverse *rv, IrBuilder *b, const IrOp *op, const IrVal *bars) {
  const OpPlan *plan = plan_of(rv->plan, op);
  int n = op->n_results, n_targets = plan->targets.len, total = n + n_targets;
  IrVal cond = rev_primal(rv, op->args[0]);
  if (rv->broken) return;
  IrVal *before = ARENA_ARRAY(rv->arena, IrVal, n_targets);
  IrVal *after[2] = {ARENA_ARRAY(rv->arena, IrVal, total), ARENA_ARRAY(rv->arena, IrVal, total)};
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, total);
  int *which = ARENA_ARRAY(rv->arena, int, n_targets);
  rev_read_targets(rv, plan, before);
  IrBuilder in[2];
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  IrVal *primal[2] = {ARENA_ARRAY(rv->arena, IrVal, n), ARENA_ARRAY(rv->arena, IrVal, n)};
  for (int i = 0; i < 2; i++) {
    rev_set_targets(rv, plan, before);
    rev_enter_region(rv, op->regions[i]);
    descend_region(rv, &in[i], op->regions[i], bars);
    if (rv->broken) return;
    for (int k = 0; k < n; k++) primal[i][k] = rev_primal(rv, op->regions[i]->yields[k]);
    rev_read_targets(rv, plan, after[i]);
  }
  int changed = rev_changed_targets(rv, in, plan, after, which);
  if (rv->broken) return;
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < n; k++) yields[k] = primal[i][k];
    for (int k = 0; k < changed; k++) yields[n + k] = after[i][which[k]];
    ir_yield(&in[i], yields, n + changed);
  }
  for (int k = 0; k < n; k++) dims[k] = rev_result_dims(rv, op, k);
  for (int k = 0; k < changed; k++) dims[n + k] = rev_value_dims(rv, plan->targets.data[which[k]]);
  if (rv->broken) return;
  ir_close_if(b, now, dims);
  rev_set_targets(rv, plan, before);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(now, k));
  for (int k = 0; k < changed; k++) rv->adj[plan->targets.data[which[k]]] = ir_result(now, n + k);
}

// ---- calls ---------------------------------------------------------------------------------------------------------------

// What a descending function gives, in order: the results that are not changed parameters, adjoints of scalars, changed
// parameters, adjoints of arrays (changed parameters too).
typedef struct Outcome {
  int n_plain, n_scalars, n_moved, n_arrays;
} Outcome;

static Outcome outcome_of(const IrFunc *f, const bool *wrt) {
  Outcome o = {0};
  for (int k = 0; k < f->n_params; k++) {
    bool array = ir_is_array(ir_type(f, f->body->args[k]));
    o.n_moved += f->params[k].moved;
    o.n_scalars += wrt[k] && !array;
    o.n_arrays += wrt[k] && array;
  }
  o.n_plain = f->n_results - o.n_moved;
  return o;
}

static int outcome_result(const Outcome *o, int k) { return k < o->n_plain ? k : k + o->n_scalars; }
static int outcome_count(const Outcome *o) { return o->n_plain + o->n_scalars + o->n_moved + o->n_arrays; }

static bool *active_arguments(const Plan *plan, const IrOp *op) {
  bool *wrt = ARENA_ARRAY(plan->arena, bool, op->n_args + 1);
  for (int k = 0; k < op->n_args; k++) wrt[k] = is_active(&plan->act, op->args[k]);
  return wrt;
}

static bool passed_before(const IrOp *op, int k) {
  for (int i = 0; i < k; i++)
    if (op->args[i] == op->args[k]) return true;
  return false;
}

static void descend_call(Reverse *rv, IrBuilder *b, const IrOp *op, const IrVal *bars) {
  const IrFunc *callee = ir_func_find(rv->f->module, op->attr.sym);
  const bool *wrt = active_arguments(rv->plan, op);
  const IrFunc *down = ir_func_find(rv->f->module, rev_part_name(rv->f->module, callee, "both.", wrt));
  Outcome o = outcome_of(callee, wrt);
  int total = outcome_count(&o), n_args = op->n_args, scalar = o.n_plain, array = total - o.n_arrays;
  IrVal *args = ARENA_ARRAY(rv->arena, IrVal, 2 * op->n_args + op->n_results * (IR_MAX_RANK + 1));
  IrType *types = ARENA_ARRAY(rv->arena, IrType, total);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, total);
  for (int k = 0; k < op->n_args; k++) args[k] = rev_primal(rv, op->args[k]);
  for (int k = 0; k < op->n_results && !rv->broken; k++) {
    IrVal r = ir_result(op, k);
    types[outcome_result(&o, k)] = ir_type(rv->f, r);
    dims[outcome_result(&o, k)] = rev_result_dims(rv, op, k);
    if (!ir_is_float(ir_type(rv->f, r))) continue;
    IrVal bar = bars[k] ? bars[k] : rev_zeros_like(rv, b, r);
    if (!rv->broken) n_args = ad_push_adjoint(callee, k, rv->g, bar, args, n_args);
  }
  for (int k = 0; k < op->n_args && !rv->broken; k++) {
    if (!wrt[k]) continue;
    IrType t = ir_type(rv->f, op->args[k]);
    int at = t.rank ? array++ : scalar++;
    types[at] = t;
    dims[at] = rev_value_dims(rv, op->args[k]);
    if (t.rank)
      args[n_args++] =
          passed_before(op, k) ? rev_zeros_like(rv, b, op->args[k]) : rev_adjoint_or_zero(rv, b, op->args[k]);
  }
  if (rv->broken) return;
  IrOp *call = ir_call(b, down->name, args, n_args, types, dims, total);
  for (int k = 0; k < op->n_results; k++)
    ir_map_set(&rv->map, ir_result(op, k), ir_result(call, outcome_result(&o, k)));
  scalar = o.n_plain;
  array = total - o.n_arrays;
  for (int k = 0; k < op->n_args; k++) {
    if (!wrt[k]) continue;
    bool is_array = ir_is_array(ir_type(rv->f, op->args[k]));
    if (is_array && !passed_before(op, k))
      rv->adj[op->args[k]] = ir_result(call, array++);
    else
      rev_contribute(rv, b, op->args[k], ir_result(call, is_array ? array++ : scalar++));
  }
}

// ---- a region ------------------------------------------------------------------------------------------------------------

static void descend_region(Reverse *rv, IrBuilder *b, const IrRegion *r, const IrVal *seeds) {
  Down d = {rv, r, seeds, ARENA_ARRAY(rv->arena, bool, r->ops.len + 1)};
  for (int i = 0; i < r->ops.len && !rv->broken; i++) {
    const IrOp *op = r->ops.data[i];
    if (d.done[i]) continue;
    if (!is_on_the_way(rv->plan, op)) {
      forward(rv, b, op);
      continue;
    }
    const IrVal *bars = adjoints_before(&d, b, i);
    if (rv->broken) return;
    if (op->kind == IR_FOR)
      descend_for(rv, b, op, bars);
    else if (op->kind == IR_IF)
      descend_if(rv, b, op, bars);
    else
      descend_call(rv, b, op, bars);
  }
  if (rv->broken) return;
  seed_yields(rv, b, r, seeds);
  rev_ops(rv, b, r);
}

void rev_descend(Reverse *rv, IrBuilder *b, const IrVal *bars) { descend_region(rv, b, rv->f->body, bars); }

// ---- whole functions -------------------------------------------------------------------------------------------------------

typedef struct Found { // a function that is called on the way down
  IrFunc *f;           // as it is differentiated
  const bool *wrt;
  Plan *plan;
  Name name;
  Reverse rv;
  IrVal *bars;
} Found;
typedef VEC(Found) FoundVec;

typedef struct Search {
  IrModule *m;
  const Plan *plan;
  FoundVec *found;
  bool fits;
} Search;

static bool takes_part(const IrFunc *f, const bool *wrt) {
  for (int k = 0; k < f->n_params; k++)
    if (wrt[k] && ir_type(f, f->body->args[k]).grow) return false;
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k]) && f->results[k].grow) return false;
  return true;
}

static bool find_below(IrModule *m, const Plan *plan, FoundVec *found);

static bool find(IrModule *m, IrFunc *f, const bool *wrt, FoundVec *found) {
  Name name = rev_part_name(m, f, "both.", wrt);
  if (ir_func_find(m, name)) return true;
  for (int i = 0; i < found->len; i++)
    if (found->data[i].name == name) return true;
  if (!takes_part(f, wrt)) return false;
  const IrVal *lengths;
  f = ad_with_lengths(rev_optimized(m, f), &lengths);
  Plan *plan = plan_descent(m->arena, f, lengths, wrt);
  if (plan->refused) return false;
  vec_push(m->arena, found, ((Found){.f = f, .wrt = wrt, .plan = plan, .name = name}));
  return find_below(m, plan, found);
}

static IrWalk visit_call(void *user, IrOp *op) {
  Search *s = user;
  if (op->kind != IR_CALL || !is_on_the_way(s->plan, op)) return IR_WALK_CONTINUE;
  IrFunc *callee = ir_func_find(s->m, op->attr.sym);
  s->fits = find(s->m, callee, active_arguments(s->plan, op), s->found);
  return s->fits ? IR_WALK_CONTINUE : IR_WALK_STOP;
}

static bool find_below(IrModule *m, const Plan *plan, FoundVec *found) {
  Search s = {m, plan, found, true};
  ir_walk(plan->f->body, visit_call, &s);
  return s.fits;
}

// Known by its type before its body exists, so that the calls within find it.
static void declare(IrModule *m, Found *now, Diags *diags) {
  const IrFunc *f = now->f;
  now->rv = rev_begin(m, now->f, now->plan, now->name, diags);
  IrFunc *g = now->rv.g;
  for (int k = 0; k < f->n_params; k++) g->params[k].moved = f->params[k].moved;
  now->bars = rev_adjoint_params(&now->rv);
  Outcome o = outcome_of(f, now->wrt);
  int scalar = o.n_plain, array = outcome_count(&o) - o.n_arrays;
  g->n_results = outcome_count(&o);
  g->results = ARENA_ARRAY(m->arena, IrType, g->n_results);
  for (int k = 0; k < f->n_results; k++) g->results[outcome_result(&o, k)] = f->results[k];
  for (int k = 0; k < f->n_params; k++) {
    if (!now->wrt[k]) continue;
    IrVal p = f->body->args[k];
    IrType t = ir_type(f, p);
    g->results[t.rank ? array++ : scalar++] = t;
    if (!t.rank) continue;
    IrLeaf leaf = {rev_leaf_name(m, "_bar", f->params[k].path ? f->params[k].path : "p"), true};
    now->rv.adj[p] = ir_param(g, t, rev_value_dims(&now->rv, p), leaf);
  }
  vec_push(m->arena, &m->funcs, g);
}

static void write_body(IrModule *m, Found *now) {
  const IrFunc *f = now->f;
  Reverse *rv = &now->rv;
  IrBuilder b = ir_builder(rv->g);
  rev_descend(rv, &b, now->bars);
  if (!rev_sound(rv)) return;
  Outcome o = outcome_of(f, now->wrt);
  int total = outcome_count(&o), scalar = o.n_plain, array = total - o.n_arrays;
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, total);
  IrLeaf *leaves = ARENA_ARRAY(m->arena, IrLeaf, total);
  for (int k = 0; k < f->n_results; k++) {
    vals[outcome_result(&o, k)] = rev_primal(rv, f->body->yields[k]);
    if (f->result_leaves) leaves[outcome_result(&o, k)] = f->result_leaves[k];
  }
  for (int k = 0; k < f->n_params; k++) {
    if (!now->wrt[k]) continue;
    int at = ir_is_array(ir_type(f, f->body->args[k])) ? array++ : scalar++;
    leaves[at].path = rev_leaf_name(m, "_bar", f->params[k].path ? f->params[k].path : "p");
    vals[at] = rev_adjoint_or_zero(rv, &b, f->body->args[k]);
  }
  if (rev_sound(rv)) ir_set_results(rv->g, vals, total, leaves);
}

static bool calls_on_the_way(const Plan *plan) {
  for (int i = 0; i < plan->f->body->ops.len; i++)
    if (is_on_the_way(plan, plan->f->body->ops.data[i])) return true;
  return false;
}

Plan *rev_can_descend(IrFunc *f, const IrVal *lengths, const bool *wrt) {
  Plan *plan = plan_descent(f->arena, f, lengths, wrt);
  FoundVec found = {0};
  return !plan->refused && calls_on_the_way(plan) && find_below(f->module, plan, &found) ? plan : NULL;
}

Plan *rev_plan_descent(IrModule *m, const IrFunc *f, const IrVal *lengths, const bool *wrt, Diags *diags) {
  Plan *plan = plan_descent(m->arena, f, lengths, wrt);
  FoundVec found = {0};
  if (plan->refused || !find_below(m, plan, &found)) return NULL;
  bool sound = true;
  for (int i = 0; i < found.len; i++) declare(m, &found.data[i], diags);
  for (int i = 0; i < found.len; i++) {
    write_body(m, &found.data[i]);
    sound &= !found.data[i].rv.broken;
  }
  if (sound) return plan;
  for (int i = 0; i < found.len; i++) ir_module_remove(m, found.data[i].rv.g);
  return NULL;
}
