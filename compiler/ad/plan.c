// Differentiation: what the reverse sweep keeps. In: a function and its activity. Out: for every operation with regions
// which values its forward form saves, which the reverse form computes again, and in which order it runs backwards.
//
// A value that the reverse sweep of a region reads is either saved in each iteration (bytes written and read back) or
// computed again at the start of the reverse iteration (the cost of its operation, and its operands are then needed too).
// The cheapest choice for all of them together is a minimum cut: a node "needed" and a node "computed" per value, saving
// is an edge between the two. Values from outside the region are free here and needed by the region around it.
#include "ad/plan.h"

static const double TYPICAL_SIZE = 32.0;   // of an axis or trip count that is not a constant
static const double PASSING_COST = 1000.0; // of reading an array once more that has changed by then
static const double VECTOR_GAIN =
    0.3; // what an element of a build costs against the same operations one by one
static const double LOOP_GAIN = 0.2; // the same in a plain loop over the data

// ---- helpers over the old function -----------------------------------------------------------------------------------

static bool local_to(const Planner *p, IrVal v, const IrRegion *r) { return ir_val(p->f, v)->region == r; }

static bool outside(const Planner *p, IrVal v, const IrRegion *r) {
  return !ir_inside(ir_val(p->f, v)->region, r);
}

static void add_once(Planner *p, IrVals *list, IrVal v) {
  for (int i = 0; i < list->len; i++)
    if (list->data[i] == v) return;
  vec_push(p->arena, list, v);
}

double plan_size(const Planner *p, IrVal size) {
  int64_t n;
  return size && ir_is_const_int(p->f, size, &n) ? (double)n : TYPICAL_SIZE;
}

static double typical_elements(const Planner *p, IrVal v) {
  IrType t = ir_type(p->f, v);
  if (t.grow) return TYPICAL_SIZE;
  double n = 1.0;
  for (int k = 0; k < t.rank; k++) n *= plan_size(p, ir_dims(p->f, v)[k]);
  return n;
}

// What the region belongs to; IR_CALL for a function's body.
static IrOpKind region_kind(const IrRegion *r) { return r->owner ? (IrOpKind)r->owner->kind : IR_CALL; }

bool is_recursive_call(const IrFunc *f, const IrOp *op) {
  if (op->kind != IR_CALL) return false;
  const IrFunc *callee = ir_func_find(f->module, op->attr.sym);
  return callee && callee->body && !callee->has_rule;
}

// Does the reverse form of the operation take from the stacks of saved values? A recursive call does, and all around it.
// (Where one descent computes value and adjoint together, these are the operations on the way down.)
static bool threads(const Planner *p, const IrOp *op) {
  if (is_recursive_call(p->f, op)) return has_active_result(&p->plan->act, op);
  if (op->n_results && p->on_stack[op->result]) return true;
  for (int k = 0; k < op->n_regions; k++)
    for (int i = 0; i < op->regions[k]->ops.len; i++)
      if (threads(p, op->regions[k]->ops.data[i])) return true;
  return false;
}

double plan_trips(const Planner *p, const IrOp *loop) {
  int64_t lo, hi, step;
  if (loop->kind == IR_FOR && loop->attr.i >= IR_BLOCK) return (double)(loop->attr.i - IR_BLOCK);
  if (loop->kind == IR_FOR && ir_is_const_int(p->f, loop->args[0], &lo) &&
      ir_is_const_int(p->f, loop->args[1], &hi) && ir_is_const_int(p->f, loop->args[2], &step) && step)
    return step > 0 ? (hi > lo ? (double)((hi - lo + step - 1) / step) : 0.0)
                    : (lo > hi ? (double)((lo - hi - step - 1) / -step) : 0.0);
  return TYPICAL_SIZE;
}

static double region_cost(const Planner *p, const IrRegion *r);

// A call that may be made again. What has a derivative rule depends on its arguments alone, though it may be written in C.
static bool is_repeatable_call(const Planner *p, const IrOp *op) {
  const IrFunc *callee = ir_func_find(p->f->module, op->attr.sym);
  return (callee && callee->has_rule) || !ir_op_has_effect(p->f->module, op);
}

double plan_op_cost(const Planner *p, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: return plan_trips(p, op) * (1.0 + region_cost(p, op->regions[0]));
  case IR_WHILE:
    return TYPICAL_SIZE * (2.0 + region_cost(p, op->regions[0]) + region_cost(p, op->regions[1]));
  case IR_IF: return 2.0 + 0.5 * (region_cost(p, op->regions[0]) + region_cost(p, op->regions[1]));
  case IR_BUILD: {
    double n = 1.0;
    for (int k = 0; k < op->n_args; k++) n *= plan_size(p, op->args[k]);
    return 20.0 + n * VECTOR_GAIN * (1.0 + region_cost(p, op->regions[0]));
  }
  case IR_FILL:
  case IR_COPY: return 20.0 + typical_elements(p, op->result);
  case IR_MATMUL:
  case IR_MATACC: return typical_elements(p, op->result) * TYPICAL_SIZE;
  case IR_CALL: return is_repeatable_call(p, op) ? 1000.0 : CUT_INFINITE;
  case IR_EXTERN: return op->attr.ext->pure ? 200.0 : CUT_INFINITE;
  case IR_TRAIN:
  case IR_MINIMIZE:
  case IR_FORMAT: return CUT_INFINITE;
  default: return ir_op_info[op->kind].cost;
  }
}

static double region_cost(const Planner *p, const IrRegion *r) {
  double sum = 0.0;
  for (int i = 0; i < r->ops.len; i++) {
    double c = plan_op_cost(p, r->ops.data[i]);
    sum += c >= CUT_INFINITE ? 1000.0 : c;
  }
  return sum;
}

// May it run twice? Operations without results that have an effect are left out the second time (ad/reverse_keep.c).
static bool is_repeatable(const Planner *p, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_CALL: return !op->n_results || is_repeatable_call(p, op);
  case IR_EXTERN: return !op->n_results || op->attr.ext->pure;
  case IR_TRAIN:
  case IR_MINIMIZE: return false;
  default: break;
  }
  for (int k = 0; k < op->n_regions; k++)
    for (int i = 0; i < op->regions[k]->ops.len; i++)
      if (!is_repeatable(p, op->regions[k]->ops.data[i])) return false;
  return true;
}

bool loop_counter(const IrFunc *f, const IrRegion *body, int k, IrVal *step) {
  IrVal arg = body->args[1 + k], yield = body->yields[k];
  const IrOp *def = ir_val(f, yield)->def;
  if (ir_type(f, arg).elem != IR_INT || ir_type(f, arg).rank || !def || def->kind != IR_ADD) return false;
  IrVal other = def->args[0] == arg ? def->args[1] : def->args[1] == arg ? def->args[0] : 0;
  if (!other || (!ir_is_const(f, other) && ir_inside(ir_val(f, other)->region, body))) return false;
  *step = other;
  return true;
}

// ---- uses --------------------------------------------------------------------------------------------------------------

static void note_use(Planner *p, IrVal v, const IrOp *op, const IrRegion *at) {
  if (v) vec_push(p->arena, &p->users[v], ((PlanUser){op, at}));
}

static void collect_uses(Planner *p, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) note_use(p, op->args[k], op, r);
    for (int k = 0; k < op->n_regions; k++) collect_uses(p, op->regions[k]);
  }
  for (int k = 0; k < r->n_yields; k++) note_use(p, r->yields[k], NULL, r);
}

static bool *read_by_element(const Planner *p) {
  bool *only = ARENA_ARRAY(p->arena, bool, p->f->vals.len);
  for (int v = 1; v < p->f->vals.len; v++) {
    const PlanUsers *all = &p->users[v];
    only[v] = ir_type(p->f, (IrVal)v).rank > 0;
    for (int i = 0; i < all->len; i++) only[v] &= all->data[i].op && all->data[i].op->kind == IR_GET;
  }
  return only;
}

// Follows a value that is only added to, from `v` to the region's yield: true if it ends there and is read nowhere else.
static bool accumulates(const Planner *p, const IrRegion *body, IrVal v, IrVal yield) {
  for (;;) {
    const PlanUser *user = NULL;
    int n = 0;
    const PlanUsers *all = &p->users[v];
    for (int i = 0; i < all->len; i++)
      if (ir_inside(all->data[i].at, body)) user = &all->data[i], n++;
    if (v == yield && n == 1 && user->op == NULL && user->at == body) return true;
    if (n == 0) return false;
    if (user->at != body) { // both branches of one IF, or one of them
      const IrOp *branch = user->at->owner;
      while (branch && branch->parent != body) branch = branch->parent->owner;
      if (!branch || branch->kind != IR_IF) return false;
      for (int i = 0; i < all->len; i++)
        if (ir_inside(all->data[i].at, body) && !ir_inside(all->data[i].at, branch->regions[0]) &&
            !ir_inside(all->data[i].at, branch->regions[1]))
          return false;
      int result = -1;
      for (int k = 0; k < branch->n_results && result < 0; k++)
        if (accumulates(p, branch->regions[0], v, branch->regions[0]->yields[k]) &&
            accumulates(p, branch->regions[1], v, branch->regions[1]->yields[k]))
          result = k;
      if (result < 0) return false;
      v = ir_result(branch, result);
      continue;
    }
    if (n != 1 || !user->op) return false;
    const IrOp *op = user->op;
    if (op->kind == IR_ADD || (op->kind == IR_SUB && op->args[0] == v) ||
        ((op->kind == IR_ACC || op->kind == IR_MATACC) && op->args[0] == v)) {
      v = op->result;
    } else if (op->kind == IR_FOR) {
      int k = 0;
      while (k < op->n_results && op->args[3 + k] != v) k++;
      const IrRegion *in = op->regions[0];
      if (k == op->n_results || !accumulates(p, in, in->args[1 + k], in->yields[k])) return false;
      v = ir_result(op, k);
    } else {
      return false;
    }
  }
}

// ---- what the reverse form of an operation reads ------------------------------------------------------------------------

static void need(Planner *p, RegionNeeds *n, IrVal v) { add_once(p, &n->vals, v); }

static void need_dims(Planner *p, RegionNeeds *n, IrVal v) {
  IrType t = ir_type(p->f, v);
  if (t.grow) need(p, n, p->plan->lengths[v]);
  for (int k = 0; k < t.rank && !t.grow; k++) need(p, n, ir_dims(p->f, v)[k]);
}

static void refuse(Planner *p, const IrOp *op, const char *why) {
  if (p->plan->refused) return;
  p->plan->refused = why;
  p->plan->refused_at = op->loc.loc;
}

static void needs_of_scalar(Planner *p, RegionNeeds *n, const IrOp *op) {
  bool active[8] = {0};
  for (int k = 0; k < op->n_args; k++) active[k] = is_active(&p->plan->act, op->args[k]);
  uint32_t mask = rule_needs(p->arena, p->f, op, active);
  for (int k = 0; k < op->n_args; k++)
    if (mask >> k & 1) need(p, n, op->args[k]);
  if (mask & RULE_NEEDS_RESULT) need(p, n, op->result);
}

static void needs_of_struct(Planner *p, RegionNeeds *n, const IrOp *op) {
  const Activity *act = &p->plan->act;
  switch ((IrOpKind)op->kind) {
  case IR_GET:
    for (int k = 1; k < op->n_args; k++) need(p, n, op->args[k]);
    break;
  case IR_SET:
  case IR_ACC:
    for (int k = 1; k < op->n_args - 1; k++) need(p, n, op->args[k]);
    break;
  case IR_MATMUL:
    if (is_active(act, op->args[0])) need(p, n, op->args[1]);
    if (is_active(act, op->args[1])) need(p, n, op->args[0]);
    break;
  case IR_MATACC:
    if (is_active(act, op->args[1])) need(p, n, op->args[2]);
    if (is_active(act, op->args[2])) need(p, n, op->args[1]);
    break;
  case IR_CALL: {
    const IrFunc *callee = ir_func_find(p->f->module, op->attr.sym);
    if (callee && callee->has_rule && !callee->adjoint_rule)
      refuse(p, op,
             "the function has a `tangent` rule but no `adjoint` rule, so reverse mode cannot go through it");
    for (int k = 0; k < op->n_args; k++) need(p, n, op->args[k]);
    for (int k = 0; k < op->n_results; k++) // each takes an adjoint, if only zeros
      if (ir_is_float(ir_type(p->f, ir_result(op, k)))) need_dims(p, n, ir_result(op, k));
    break;
  }
  default: break;
  }
}

static void needs_of_region_op(Planner *p, RegionNeeds *n, const IrOp *op, const OpPlan *op_plan) {
  for (int k = 0; k < op_plan->outer.len; k++) need(p, n, op_plan->outer.data[k]);
  for (int k = 0; k < op_plan->targets.len; k++) need_dims(p, n, op_plan->targets.data[k]);
  // What a loop carries has an adjoint in its reverse form though nobody may use the result.
  const IrRegion *body = op->regions[op->n_regions - 1];
  int first = op->kind == IR_FOR ? 1 : 0;
  for (int k = 0; (op->kind == IR_FOR || op->kind == IR_WHILE) && k < op->n_results; k++)
    if (is_active(&p->plan->act, body->args[first + k])) need_dims(p, n, ir_result(op, k));
  if (op->kind == IR_IF) need(p, n, op->args[0]);
  if (op->kind == IR_FOR)
    for (int k = 0; k < 3; k++) need(p, n, op->args[k]);
  if (op->kind == IR_BUILD)
    for (int k = 0; k < op->n_args; k++) need(p, n, op->args[k]);
}

static void needs_of_op(Planner *p, RegionNeeds *n, const IrOp *op) {
  if (!has_active_result(&p->plan->act, op)) return;
  for (int k = 0; k < op->n_args; k++)
    if (is_active(&p->plan->act, op->args[k])) need_dims(p, n, op->args[k]);
  for (int k = 0; k < op->n_results; k++)
    if (is_active(&p->plan->act, ir_result(op, k))) need_dims(p, n, ir_result(op, k));
  const OpPlan *op_plan = plan_of(p->plan, op);
  if (op_plan) {
    needs_of_region_op(p, n, op, op_plan);
    if (op_plan->has_tape && !op_plan->threads) vec_push(p->arena, &n->tapes, op);
  } else if (rule_class((IrOpKind)op->kind) == RULE_SCALAR) {
    needs_of_scalar(p, n, op);
  } else {
    needs_of_struct(p, n, op);
  }
}

void plan_needs_of_op(Planner *p, RegionNeeds *n, const IrOp *op) { needs_of_op(p, n, op); }

static void needs_of_region(Planner *p, const IrRegion *r, RegionNeeds *n) {
  for (int i = 0; i < r->ops.len; i++) needs_of_op(p, n, r->ops.data[i]);
  bool loop = r->owner && (r->owner->kind == IR_FOR || r->owner->kind == IR_WHILE);
  int first = loop && r->owner->kind == IR_FOR ? 1 : 0;
  for (int k = first; loop && k < r->n_args; k++)
    if (is_active(&p->plan->act, r->args[k]) || is_active(&p->plan->act, r->yields[k - first]))
      need_dims(p, n, r->args[k]);
}

// ---- store or recompute ---------------------------------------------------------------------------------------------

double plan_save_cost(const Planner *p, const OpPlan *owner, const IrRegion *r, IrVal v) {
  Tape item = tape_of_value(p->f, v);
  if (item.elem == IR_STRING || owner->fused || owner->slots) return CUT_INFINITE;
  item.elements = typical_elements(p, v);
  if (owner->threads && item.rank) return 10.0 + SAVE_ELEMENT_OF_ARRAY * item.elements;
  return owner->threads ? SAVE_ELEMENT_OF_TAPE : tape_cost(p, r, &item, SAVE_ELEMENT_OF_ARRAY);
}

// A plain loop at the function's own level whose iterations commute: it runs on whole vectors, and what it saves is as long
// as the data, so it leaves the caches.
static bool computes_faster_than_memory(const OpPlan *owner, const IrRegion *r) {
  const IrOp *loop = owner->op;
  if (!loop || loop->kind != IR_FOR || !owner->forward_order || loop->parent->owner) return false;
  for (int i = 0; i < r->ops.len; i++)
    if (r->ops.data[i]->n_regions) return false;
  return true;
}

double plan_cost_again(const Planner *p, const OpPlan *owner, const IrRegion *r, const IrOp *op) {
  return plan_op_cost(p, op) * (computes_faster_than_memory(owner, r) ? LOOP_GAIN : 1.0);
}

typedef struct Cut {
  Planner *p;
  const IrRegion *r;
  const OpPlan *owner;
  MinCut *graph;
  int *needed, *computed; // by value: node + 1; computed of an operation stands at its first result
  IrVals work;            // values whose `computed` node has still to be connected
} Cut;

static int needed_node(Cut *c, IrVal v) {
  if (!c->needed[v]) {
    c->needed[v] = mincut_node(c->graph) + 1;
    vec_push(c->p->arena, &c->work, v);
  }
  return c->needed[v] - 1;
}

// Running the operation again needs its operands, what its regions read, and the sizes of its results.
static void connect_operands(Cut *c, const IrOp *op, int node) {
  IrVals reads = {0};
  ir_free_values_op(c->p->arena, c->p->f, op, &reads);
  for (int k = 0; k < op->n_results; k++)
    if (!ir_type(c->p->f, ir_result(op, k)).grow)
      for (int d = 0; d < ir_type(c->p->f, ir_result(op, k)).rank; d++)
        vec_push(c->p->arena, &reads, ir_dims(c->p->f, ir_result(op, k))[d]);
  for (int k = 0; k < reads.len; k++)
    if (local_to(c->p, reads.data[k], c->r) && ir_val(c->p->f, reads.data[k])->def != op)
      mincut_edge(c->graph, needed_node(c, reads.data[k]), node, CUT_INFINITE);
}

// An array that the loop around changes from iteration to iteration. To have it again would mean keeping it whole, or making it
// again; unless that happens anyway, it is better to keep what was read of it.
static bool is_passing_array(const Planner *p, IrVal v) {
  const IrValue *val = ir_val(p->f, v);
  if (!val->type.rank || !val->region->owner || p->kept[v]) return false;
  const IrOp *def = val->def;
  return !def || def->kind == IR_FOR || def->kind == IR_WHILE || def->kind == IR_IF ||
         (ir_op_info[def->kind].flags & IR_U);
}

static double cost_again(const Cut *c, const IrOp *op) {
  if (threads(c->p, op) || !is_repeatable(c->p, op)) return CUT_INFINITE;
  double cost = plan_cost_again(c->p, c->owner, c->r, op);
  IrVals reads = {0};
  ir_free_values_op(c->p->arena, c->p->f, op, &reads);
  for (int k = 0; k < reads.len; k++)
    if (outside(c->p, reads.data[k], c->r) && is_passing_array(c->p, reads.data[k])) cost += PASSING_COST;
  return cost;
}

static int computed_node(Cut *c, const IrOp *op) {
  if (!c->computed[op->result]) {
    int node = mincut_node(c->graph);
    c->computed[op->result] = node + 1;
    mincut_edge(c->graph, CUT_SOURCE, node, cost_again(c, op));
    connect_operands(c, op, node);
  }
  return c->computed[op->result] - 1;
}

// A function's parameter, an index.
static bool is_known_argument(const IrRegion *r, int index) {
  return !r->owner || r->owner->kind == IR_BUILD || (r->owner->kind == IR_FOR && index == 0);
}

// A region argument: the index is known; a carried value is known in closed form, or runs along again where the loop is
// reversed in forward order, or has to be saved.
static void connect_argument(Cut *c, IrVal v, int node) {
  const IrRegion *r = c->r;
  int index = ir_val(c->p->f, v)->index;
  IrVal step;
  if (is_known_argument(r, index) || c->owner->slots) return;
  if (r->owner->kind == IR_FOR && loop_counter(c->p->f, r, index - 1, &step)) return;
  if (r->owner->kind == IR_FOR && c->owner->forward_order) {
    int again = mincut_node(c->graph);
    c->computed[v] = again + 1;
    mincut_edge(c->graph, CUT_SOURCE, again, 1.0);
    mincut_edge(c->graph, again, node, plan_save_cost(c->p, c->owner, r, v));
    IrVal yield = r->yields[index - 1];
    if (local_to(c->p, yield, r) && yield != v)
      mincut_edge(c->graph, needed_node(c, yield), again, CUT_INFINITE);
    return;
  }
  mincut_edge(c->graph, CUT_SOURCE, node, plan_save_cost(c->p, c->owner, r, v));
}

static void connect(Cut *c, IrVal v) {
  int node = c->needed[v] - 1;
  const IrOp *def = ir_val(c->p->f, v)->def;
  if (!def) {
    connect_argument(c, v, node);
    return;
  }
  mincut_edge(c->graph, computed_node(c, def), node, plan_save_cost(c->p, c->owner, c->r, v));
}

// ---- reading the answer ---------------------------------------------------------------------------------------------

typedef struct Keep {
  Cut *c;
  RegionPlan *plan;
  OpPlan *owner;
  bool *done; // by value
  bool *is_saved;
} Keep;

static void keep_value(Keep *k, IrVal v);

static void outer_or_local(Keep *k, IrVal v) {
  if (local_to(k->c->p, v, k->c->r))
    keep_value(k, v);
  else if (outside(k->c->p, v, k->c->r))
    add_once(k->c->p, &k->owner->outer, v);
}

static void recompute_op(Keep *k, const IrOp *op) {
  int index = 0;
  while (k->c->r->ops.data[index] != op) index++;
  if (k->plan->recompute[index]) return;
  k->plan->recompute[index] = true;
  IrVals reads = {0};
  ir_free_values_op(k->c->p->arena, k->c->p->f, op, &reads);
  for (int i = 0; i < op->n_results; i++)
    if (!ir_type(k->c->p->f, ir_result(op, i)).grow)
      for (int d = 0; d < ir_type(k->c->p->f, ir_result(op, i)).rank; d++)
        vec_push(k->c->p->arena, &reads, ir_dims(k->c->p->f, ir_result(op, i))[d]);
  for (int i = 0; i < reads.len; i++)
    if (ir_val(k->c->p->f, reads.data[i])->def != op) outer_or_local(k, reads.data[i]);
}

static void keep_argument(Keep *k, IrVal v) {
  const IrRegion *r = k->c->r;
  int index = ir_val(k->c->p->f, v)->index;
  IrVal step;
  if (region_kind(r) != IR_FOR || index == 0 || k->owner->slots) return;
  if (loop_counter(k->c->p->f, r, index - 1, &step)) {
    add_once(k->c->p, &k->owner->outer, r->owner->args[3 + index - 1]);
    outer_or_local(k, step);
    return;
  }
  k->plan->replayed[index - 1] = true;
  add_once(k->c->p, &k->owner->outer, r->owner->args[3 + index - 1]);
  outer_or_local(k, r->yields[index - 1]);
}

static void keep_value(Keep *k, IrVal v) {
  if (k->done[v]) return;
  k->done[v] = true;
  if (k->is_saved[v]) {
    vec_push(k->c->p->arena, &k->plan->saved, v);
    IrType t = ir_type(k->c->p->f, v);
    for (int d = 0; d < t.rank && !t.grow; d++) outer_or_local(k, ir_dims(k->c->p->f, v)[d]);
    return;
  }
  const IrOp *def = ir_val(k->c->p->f, v)->def;
  if (def)
    recompute_op(k, def);
  else
    keep_argument(k, v);
}

static bool cut_region(Planner *p, OpPlan *owner, int which, const IrRegion *r) {
  RegionPlan *plan = &owner->regions[which];
  RegionNeeds needs = {0};
  needs_of_region(p, r, &needs);
  plan->needed.len = 0;
  for (int i = 0; i < needs.vals.len; i++)
    if (local_to(p, needs.vals.data[i], r)) vec_push(p->arena, &plan->needed, needs.vals.data[i]);
  plan->recompute = ARENA_ARRAY(p->arena, bool, r->ops.len);
  plan->tape_again = ARENA_ARRAY(p->arena, bool, r->ops.len);
  plan->replayed = ARENA_ARRAY(p->arena, bool, r->n_args + 1);

  int n = p->f->vals.len;
  Cut c = {p,  r, owner, mincut_new(p->arena), ARENA_ARRAY(p->arena, int, n), ARENA_ARRAY(p->arena, int, n),
           {0}};
  for (int i = 0; i < needs.vals.len; i++)
    if (local_to(p, needs.vals.data[i], r))
      mincut_edge(c.graph, needed_node(&c, needs.vals.data[i]), CUT_SINK, CUT_INFINITE);
  int *tape_nodes = ARENA_ARRAY(p->arena, int, needs.tapes.len);
  for (int i = 0; i < needs.tapes.len; i++) {
    tape_nodes[i] = mincut_node(c.graph);
    mincut_edge(c.graph, tape_nodes[i], CUT_SINK, CUT_INFINITE);
    const OpPlan *nested = plan_of(p->plan, needs.tapes.data[i]);
    double cost = owner->fused || owner->slots ? CUT_INFINITE : tapes_cost(p, owner, r, nested);
    mincut_edge(c.graph, computed_node(&c, needs.tapes.data[i]), tape_nodes[i], cost);
  }
  while (c.work.len) connect(&c, vec_pop(&c.work));
  if (mincut_solve(c.graph) >= CUT_INFINITE) return false;

  bool *is_saved = ARENA_ARRAY(p->arena, bool, n);
  for (int v = 1; v < n; v++) {
    if (!c.needed[v] || !mincut_sink_side(c.graph, c.needed[v] - 1)) continue;
    const IrOp *def = ir_val(p->f, (IrVal)v)->def;
    int index = ir_val(p->f, (IrVal)v)->index;
    IrVal step;
    int again = def ? c.computed[def->result] : c.computed[v];
    bool known = !def && (is_known_argument(r, index) || owner->slots ||
                          (region_kind(r) == IR_FOR && loop_counter(p->f, r, index - 1, &step)));
    is_saved[v] = !known && (!again || !mincut_sink_side(c.graph, again - 1));
  }
  Keep k = {&c, plan, owner, ARENA_ARRAY(p->arena, bool, n), is_saved};
  for (int i = 0; i < needs.vals.len; i++) outer_or_local(&k, needs.vals.data[i]);
  for (int i = 0; i < needs.tapes.len; i++) {
    const IrOp *op = needs.tapes.data[i];
    if (mincut_sink_side(c.graph, tape_nodes[i]) && !mincut_sink_side(c.graph, computed_node(&c, op))) {
      vec_push(p->arena, &plan->saved_tapes, op);
    } else {
      recompute_op(&k, op);
      int index = 0;
      while (r->ops.data[index] != op) index++;
      plan->tape_again[index] = true;
    }
  }
  owner->has_tape |= plan->saved.len > 0 || plan->saved_tapes.len > 0;
  return true;
}

// ---- the plan of one operation -----------------------------------------------------------------------------------------

static void plan_region(Planner *p, const IrRegion *r);

static void find_targets(Planner *p, OpPlan *plan) {
  for (int i = 0; i < plan->op->n_regions; i++) {
    IrVals reads = {0};
    ir_free_values(p->arena, p->f, plan->op->regions[i], &reads);
    for (int k = 0; k < reads.len; k++)
      if (is_active(&p->plan->act, reads.data[k])) add_once(p, &plan->targets, reads.data[k]);
  }
}

static void plan_loop_order(Planner *p, OpPlan *plan) {
  const IrOp *op = plan->op;
  const IrRegion *body = op->regions[0];
  plan->invariant = ARENA_ARRAY(p->arena, bool, op->n_results);
  plan->forward_order = true;
  for (int k = 0; k < op->n_results; k++) {
    plan->invariant[k] = accumulates(p, body, body->args[1 + k], body->yields[k]);
    if (is_active(&p->plan->act, ir_result(op, k)) || is_active(&p->plan->act, body->args[1 + k]))
      plan->forward_order &= plan->invariant[k];
  }
}

// Are the adjoints of the operation's results known without its results? Then nothing the reverse sweep reads behind it
// depends on them.
static bool seeds_are_known(Planner *p, const IrOp *op) {
  const IrRegion *r = op->parent;
  bool *tainted = ARENA_ARRAY(p->arena, bool, p->f->vals.len);
  for (int k = 0; k < op->n_results; k++) tainted[ir_result(op, k)] = true;
  int at = 0;
  while (r->ops.data[at] != op) at++;
  for (int i = at + 1; i < r->ops.len; i++) {
    const IrOp *next = r->ops.data[i];
    IrVals reads = {0};
    bool depends = false;
    ir_free_values_op(p->arena, p->f, next, &reads);
    for (int k = 0; k < reads.len; k++) depends |= tainted[reads.data[k]];
    for (int k = 0; depends && k < next->n_results; k++) tainted[ir_result(next, k)] = true;
    RegionNeeds needs = {0};
    needs_of_op(p, &needs, next);
    for (int k = 0; k < needs.vals.len; k++)
      if (tainted[needs.vals.data[k]]) return false;
    for (int k = 0; k < needs.tapes.len; k++)
      if (depends) return false;
  }
  return true;
}

static bool to_stack(Planner *p, const IrOp *op) {
  if (p->on_stack[op->result]) return false;
  return p->again = p->on_stack[op->result] = true;
}

// A region whose needs can neither be kept in arrays nor computed again. What cannot be kept are the tapes of operations
// within, which then save to the stacks themselves; else what the region saves goes there; else all of both. False: it does
// already.
static bool resort_to_stacks(Planner *p, const OpPlan *owner, const IrRegion *r) {
  if (p->plan->one_descent) return false;
  RegionNeeds needs = {0};
  needs_of_region(p, r, &needs);
  bool any = false;
  for (int k = 0; k < needs.tapes.len; k++)
    if (owner->threads || tapes_cost(p, owner, r, plan_of(p->plan, needs.tapes.data[k])) >= CUT_INFINITE)
      any |= to_stack(p, needs.tapes.data[k]);
  return any || (!owner->threads && to_stack(p, owner->op));
}

static bool reads_passing_arrays(const Planner *p, const OpPlan *plan) {
  for (int k = 0; k < plan->outer.len; k++)
    if (is_passing_array(p, plan->outer.data[k])) return true;
  return false;
}

static bool body_is_repeatable(const Planner *p, const IrRegion *body) {
  for (int i = 0; i < body->ops.len; i++)
    if (!is_repeatable(p, body->ops.data[i])) return false;
  return true;
}

// A state goes to a slot whole, and running on from it reads whatever the body reads.
static void plan_slots(Planner *p, OpPlan *plan) {
  const IrOp *op = plan->op;
  const IrRegion *body = op->regions[0];
  IrVals reads = {0};
  plan->slots = true;
  plan->has_tape = plan->forward_order = false;
  plan->outer.len = 0;
  plan->regions[0] = (RegionPlan){0};
  for (int k = 0; k < op->n_results; k++) {
    IrType t = ir_type(p->f, ir_result(op, k));
    if (t.grow || t.rank == IR_MAX_RANK)
      refuse(p, op,
             "`@checkpoint(slots: ...)` cannot keep a growable array that the loop changes; `every:` can");
    add_once(p, &plan->outer, op->args[3 + k]);
    for (int d = 0; d < t.rank && !t.grow; d++) add_once(p, &plan->outer, ir_dims(p->f, op->args[3 + k])[d]);
  }
  ir_free_values(p->arena, p->f, body, &reads);
  for (int k = 0; k < reads.len; k++) add_once(p, &plan->outer, reads.data[k]);
  if (!p->plan->refused && !cut_region(p, plan, 0, body))
    refuse(p, op, "`@checkpoint` cannot run the iterations of this loop again");
}

// What the user asked of the loop that was planned.
static void plan_checkpoints(Planner *p, OpPlan *plan) {
  const IrOp *op = plan->op;
  if (op->attr.i > 0 && op->attr.i < IR_BLOCK) return;
  if (!plan->has_tape && !plan->threads) return; // nothing is saved
  if (plan->threads)
    refuse(p, op,
           "`@checkpoint` runs iterations again, and what a recursive call, or a loop whose number of "
           "iterations is not "
           "known, saves within them is never made twice");
  else if (!body_is_repeatable(p, op->regions[0]))
    refuse(p, op, "`@checkpoint` runs iterations again, and an effect within them must not happen twice");
  else if (op->attr.i < 0)
    plan_slots(p, plan);
}

static void plan_op(Planner *p, const IrOp *op) {
  for (int i = 0; i < op->n_regions; i++) plan_region(p, op->regions[i]);
  if (!op->n_regions || !has_active_result(&p->plan->act, op)) return;
  OpPlan *plan = ARENA_NEW(p->arena, OpPlan);
  plan->op = op;
  plan->active = true;
  plan->regions = ARENA_ARRAY(p->arena, RegionPlan, op->n_regions);
  find_targets(p, plan);
  if (op->kind == IR_FOR) plan_loop_order(p, plan);
  if (op->kind == IR_WHILE) plan->invariant = ARENA_ARRAY(p->arena, bool, op->n_results);
  plan->threads = threads(p, op);
  if (plan->threads && p->plan->one_descent) {
    plan->threads = false;
    plan->on_the_way = true;
    p->plan->ops[op->result] = plan;
    if (!descent_fits_op(p, plan))
      refuse(p, op, "the adjoints of a recursive call's results are not known before it");
    return;
  }
  if (plan->threads) plan->forward_order = false; // what was saved last is taken first
  bool commutes = op->kind == IR_BUILD || (op->kind == IR_FOR && plan->forward_order);
  plan->fused = commutes && !plan->threads && seeds_are_known(p, op);
  bool done = plan->fused && cut_region(p, plan, 0, op->regions[0]) && !reads_passing_arrays(p, plan);
  if (!done) {
    plan->fused = plan->has_tape = false;
    plan->outer.len = 0;
    plan->regions[0] = (RegionPlan){0};
  }
  for (int i = op->kind == IR_WHILE ? 1 : 0; !done && i < op->n_regions; i++)
    if (!cut_region(p, plan, i, op->regions[i]) && !resort_to_stacks(p, plan, op->regions[i]))
      refuse(p, op,
             "what the reverse sweep needs from this loop or branch can neither be kept nor computed again");
  if (op->kind == IR_FOR && op->attr.i) plan_checkpoints(p, plan);
  if (op->kind == IR_WHILE) plan->has_tape = true; // the number of iterations
  tapes_lay_out(p, plan);
  p->plan->ops[op->result] = plan;
}

// From the end: whether the adjoints of an operation's results are known depends on what stands behind it.
static void plan_region(Planner *p, const IrRegion *r) {
  for (int i = r->ops.len - 1; i >= 0; i--) plan_op(p, r->ops.data[i]);
}

static void plan_function(Planner *p, bool split) {
  Plan *plan = p->plan;
  const IrRegion *body = p->f->body;
  plan->ops = ARENA_ARRAY(p->arena, OpPlan *, p->f->vals.len);
  p->again = false;
  plan_region(p, body);
  for (int i = 0; i < body->ops.len; i++) plan->threads |= threads(p, body->ops.data[i]);
  if (plan->one_descent) {
    plan->threads = false;
    if (!descent_fits_region(p, body))
      refuse(p, vec_last(&body->ops), "the adjoints of a recursive call's results are not known before it");
    return;
  }
  if (split) {
    plan->body = ARENA_NEW(p->arena, OpPlan);
    plan->body->regions = ARENA_NEW(p->arena, RegionPlan);
    plan->body->threads = true;
    if (!cut_region(p, plan->body, 0, body) && !resort_to_stacks(p, plan->body, body))
      refuse(p, vec_last(&body->ops),
             "what the reverse half needs from this function can neither be kept nor computed again");
  } else { // at the top everything is still visible; only refusals are left to find
    RegionNeeds needs = {0};
    needs_of_region(p, body, &needs);
    plan->needed = needs.vals;
  }
}

static bool note_array(Planner *p, IrVal v) {
  if (!ir_type(p->f, v).rank || p->kept[v]) return false;
  return p->kept[v] = true;
}

// Arrays that the plan keeps, or makes again whole; false: none that it did not count on.
static bool note_kept(Planner *p) {
  bool more = false;
  for (int v = 1; v < p->f->vals.len; v++) {
    const OpPlan *plan = p->plan->ops[v];
    for (int i = 0; plan && i < plan->op->n_regions; i++) {
      const RegionPlan *r = &plan->regions[i];
      const IrRegion *in = plan->op->regions[i];
      for (int k = 0; k < r->saved.len; k++) more |= note_array(p, r->saved.data[k]);
      for (int k = 0; r->recompute && k < in->ops.len; k++)
        for (int n = 0; r->recompute[k] && n < in->ops.data[k]->n_results; n++)
          more |= note_array(p, ir_result(in->ops.data[k], n));
    }
  }
  return more;
}

static Plan *make_plan(Arena *scratch, const IrFunc *f, const IrVal *lengths, const bool *wrt, bool split,
                       bool one_descent) {
  Plan *plan = ARENA_NEW(scratch, Plan);
  plan->arena = scratch;
  plan->one_descent = one_descent;
  plan->f = f;
  plan->lengths = lengths;
  plan->act = activity_of(scratch, f, wrt);
  Planner p = {.arena = scratch, .f = f, .plan = plan};
  p.users = ARENA_ARRAY(scratch, PlanUsers, f->vals.len);
  p.on_stack = ARENA_ARRAY(scratch, bool, f->vals.len);
  collect_uses(&p, f->body);
  plan->by_element = read_by_element(&p);
  p.kept = ARENA_ARRAY(scratch, bool, f->vals.len);
  do plan_function(&p, split);
  while (!plan->refused && (p.again || note_kept(&p)));
  return plan;
}

Plan *plan_reverse(Arena *scratch, const IrFunc *f, const IrVal *lengths, const bool *wrt, bool split) {
  return make_plan(scratch, f, lengths, wrt, split, false);
}

Plan *plan_descent(Arena *scratch, const IrFunc *f, const IrVal *lengths, const bool *wrt) {
  return make_plan(scratch, f, lengths, wrt, false, true);
}
