// Differentiation: the reverse sweep. In: an optimised function and the plan for it. Out: a function that computes the
// primal results, saving what the plan says, and then walks the same operations backwards, pulling each result's adjoint
// to the operands. An array's adjoint is a value too: reading an element adds to one element of it, never a dense copy.
#include "ad/reverse.h"

IrVal rev_primal(Reverse *rv, IrVal v) {
  IrVal now = ir_mapped(&rv->map, v);
  if (!now) rv->broken = true;
  return now;
}

const IrVal *rev_value_dims(Reverse *rv, IrVal v) {
  IrType t = ir_type(rv->f, v);
  if (!t.rank || t.grow) return NULL;
  IrVal *dims = ARENA_ARRAY(rv->arena, IrVal, t.rank);
  for (int k = 0; k < t.rank; k++) dims[k] = rev_primal(rv, ir_dims(rv->f, v)[k]);
  return dims;
}

IrVal rev_zeros_like(Reverse *rv, IrBuilder *b, IrVal v) {
  IrType t = ir_type(rv->f, v);
  IrVal dims[IR_MAX_RANK];
  if (t.grow) { // as long as the value itself
    IrVal n = rev_primal(rv, rv->plan->lengths[v]);
    if (rv->broken) return 0;
    IrVal empty = ir_empty(b, (IrElem)t.elem);
    AdNest nest = {0};
    IrVal idx, carried, zero = ad_zero(b, (IrElem)t.elem);
    IrBuilder in = ad_nest_open(b, &nest, &n, 1, &empty, 1, &idx, &carried);
    carried = ir_op2(&in, IR_PUSH, carried, zero);
    ad_nest_close(&nest, &carried, &carried);
    return carried;
  }
  for (int k = 0; k < t.rank; k++) dims[k] = rev_primal(rv, ir_dims(rv->f, v)[k]);
  return rv->broken ? 0 : ad_zeros(b, t, dims);
}

IrVal rev_adjoint_or_zero(Reverse *rv, IrBuilder *b, IrVal v) {
  if (!rv->adj[v]) rv->adj[v] = rev_zeros_like(rv, b, v);
  return rv->adj[v];
}

void rev_contribute(Reverse *rv, IrBuilder *b, IrVal v, IrVal t) {
  if (!t || !is_active(&rv->plan->act, v)) return;
  if (!rv->adj[v])
    rv->adj[v] = t;
  else if (ir_is_array(ir_type(rv->f, v)))
    rv->adj[v] = ad_sum_arrays(b, rv->adj[v], t);
  else
    rv->adj[v] = ad_add(b, rv->adj[v], t);
}

// ---- scalars ---------------------------------------------------------------------------------------------------------

static IrVal rule_operand(Rule *r, int k) { return rev_primal(r->user, r->op->args[k]); }
static IrVal rule_result(Rule *r) { return rev_primal(r->user, r->op->result); }

static void pull_scalar(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  Rule rule = {b, op, rv, rule_operand, rule_result};
  for (int k = 0; k < op->n_args && !rv->broken; k++) {
    IrVal arg = op->args[k];
    if (!is_active(&rv->plan->act, arg)) continue;
    if (op->kind == IR_FCVT)
      rev_contribute(rv, b, arg, ir_convert(b, IR_FCVT, (IrElem)ir_type(rv->f, arg).elem, t));
    else
      rev_contribute(rv, b, arg, rule_apply(&rule, k, t));
  }
}

// ---- arrays ------------------------------------------------------------------------------------------------------------

static int mapped_indices(Reverse *rv, const IrOp *op, int first, int end, IrVal *idx) {
  for (int k = first; k < end; k++) idx[k - first] = rev_primal(rv, op->args[k]);
  return end - first;
}

static void pull_get(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  if (!is_active(&rv->plan->act, op->args[0])) return;
  IrVal idx[IR_MAX_RANK];
  int n = mapped_indices(rv, op, 1, op->n_args, idx);
  IrVal bar = rev_adjoint_or_zero(rv, b, op->args[0]);
  if (!rv->broken) rv->adj[op->args[0]] = ir_acc(b, bar, idx, n, t);
}

// b = set a[i] <- v: v takes the element's adjoint, and a's element has none.
static void pull_set(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  IrVal idx[IR_MAX_RANK], value = op->args[op->n_args - 1];
  int n = mapped_indices(rv, op, 1, op->n_args - 1, idx);
  if (rv->broken) return;
  if (is_active(&rv->plan->act, value)) rev_contribute(rv, b, value, ir_get(b, t, idx, n));
  if (is_active(&rv->plan->act, op->args[0]))
    rev_contribute(rv, b, op->args[0], ir_set(b, t, idx, n, ad_zero(b, (IrElem)ir_type(rv->f, value).elem)));
}

static void pull_acc(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  IrVal idx[IR_MAX_RANK], value = op->args[op->n_args - 1];
  int n = mapped_indices(rv, op, 1, op->n_args - 1, idx);
  if (rv->broken) return;
  if (is_active(&rv->plan->act, value)) rev_contribute(rv, b, value, ir_get(b, t, idx, n));
  rev_contribute(rv, b, op->args[0], t);
}

static void pull_fill(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  if (!is_active(&rv->plan->act, op->args[0])) return;
  AdNest nest = {0};
  IrVal idx[IR_MAX_RANK], sum = ad_zero(b, (IrElem)ir_type(rv->f, op->args[0]).elem), carried;
  IrBuilder in = ad_nest_open(b, &nest, ir_dims(rv->g, t), op->n_args - 1, &sum, 1, idx, &carried);
  carried = ir_op2(&in, IR_ADD, carried, ir_get(&in, t, idx, op->n_args - 1));
  ad_nest_close(&nest, &carried, &sum);
  rev_contribute(rv, b, op->args[0], sum);
}

// Adds x @ y (with flags) to an operand's adjoint.
static void add_product(Reverse *rv, IrBuilder *b, IrVal operand, IrVal x, IrVal y, int64_t flags) {
  if (!is_active(&rv->plan->act, operand)) return;
  rv->adj[operand] =
      rv->adj[operand] ? ir_matacc(b, rv->adj[operand], x, y, flags) : ir_matmul(b, x, y, flags);
}

static void pull_product(Reverse *rv, IrBuilder *b, const IrOp *op, int first, IrVal t) {
  bool ta = op->attr.i & IR_TRANS_A, tb = op->attr.i & IR_TRANS_B;
  IrVal left = op->args[first], right = op->args[first + 1];
  if (is_active(&rv->plan->act, left)) {
    IrVal y = rev_primal(rv, right);
    if (rv->broken) return;
    if (ta)
      add_product(rv, b, left, y, t, (tb ? IR_TRANS_A : 0) | IR_TRANS_B);
    else
      add_product(rv, b, left, t, y, tb ? 0 : IR_TRANS_B);
  }
  if (is_active(&rv->plan->act, right)) {
    IrVal x = rev_primal(rv, left);
    if (rv->broken) return;
    if (tb)
      add_product(rv, b, right, t, x, IR_TRANS_A | (ta ? IR_TRANS_B : 0));
    else
      add_product(rv, b, right, x, t, ta ? 0 : IR_TRANS_A);
  }
}

static void pull_push(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  IrVal last = ad_int_sub(b, ir_op1(b, IR_LEN, t), ir_const_int(b, 1));
  if (is_active(&rv->plan->act, op->args[1])) rev_contribute(rv, b, op->args[1], ir_get(b, t, &last, 1));
  if (is_active(&rv->plan->act, op->args[0])) rev_contribute(rv, b, op->args[0], ir_op1(b, IR_POP, t));
}

static void pull_pop(Reverse *rv, IrBuilder *b, const IrOp *op, IrVal t) {
  if (is_active(&rv->plan->act, op->args[0]))
    rev_contribute(rv, b, op->args[0],
                   ir_op2(b, IR_PUSH, t, ad_zero(b, (IrElem)ir_type(rv->f, op->result).elem)));
}

// ---- calls to functions with a rule of their own -----------------------------------------------------------------------

// A rule's own sizes, between those of the function and its other parameters, are the adjoints'.
static void rule_sizes(const Reverse *rv, const IrFunc *callee, const IrFunc *rule, IrVal *args) {
  for (int k = callee->n_params + rule->n_sizes - callee->n_sizes; k < rule->n_params; k++) {
    IrVal adjoint = rule->body->args[k];
    for (int d = 0; ir_dims(rule, adjoint) && d < ir_type(rule, adjoint).rank; d++) {
      int at = ir_val(rule, ir_dims(rule, adjoint)[d])->index;
      if (at >= callee->n_sizes) args[at] = ir_dims(rv->g, args[k])[d];
    }
  }
}

static void pull_call(Reverse *rv, IrBuilder *b, const IrOp *op) {
  if (is_recursive_call(rv->f, op)) {
    stack_pull_call(rv, b, op);
    return;
  }
  const IrFunc *callee = ir_func_find(rv->f->module, op->attr.sym);
  const IrFunc *rule = ir_func_find(rv->f->module, callee->adjoint_rule);
  IrVal *args = ARENA_ARRAY(rv->arena, IrVal, rule->n_params);
  IrType *types = ARENA_ARRAY(rv->arena, IrType, op->n_args + op->n_results);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, op->n_args + op->n_results);
  int more = rule->n_sizes - callee->n_sizes, n_args = op->n_args + more, n_results = 0, first_adjoint;
  for (int k = 0; k < op->n_args; k++) args[k < callee->n_sizes ? k : k + more] = rev_primal(rv, op->args[k]);
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k);
    if (ir_is_float(ir_type(rv->f, r))) args[n_args++] = rev_adjoint_or_zero(rv, b, r);
    types[n_results] = ir_type(rv->f, r);
    IrVal *mapped = ARENA_ARRAY(rv->arena, IrVal, types[n_results].rank);
    for (int d = 0; d < types[n_results].rank && !types[n_results].grow; d++)
      mapped[d] = rev_primal(rv, ir_dims(rv->f, r)[d]);
    dims[n_results++] = mapped;
  }
  first_adjoint = n_results;
  for (int k = 0; k < op->n_args && !rv->broken; k++) {
    if (!ir_is_float(ir_type(rv->f, op->args[k]))) continue;
    types[n_results] = ir_type(rv->f, op->args[k]);
    dims[n_results++] = ir_dims(rv->g, args[k + more]);
  }
  if (rv->broken) return;
  rule_sizes(rv, callee, rule, args);
  IrOp *call = ir_call(b, callee->adjoint_rule, args, n_args, types, dims, n_results);
  for (int k = 0, j = first_adjoint; k < op->n_args; k++)
    if (ir_is_float(ir_type(rv->f, op->args[k]))) rev_contribute(rv, b, op->args[k], ir_result(call, j++));
}

// ---- one region backwards ------------------------------------------------------------------------------------------------

// What a threaded operation saved has to go from the stacks even if nothing came of its results.
static bool has_reverse_form(const Reverse *rv, const IrOp *op) {
  if (rv->plan->one_descent && is_on_the_way(rv->plan, op)) return false; // done on the way down
  const OpPlan *plan = plan_of(rv->plan, op);
  if (plan && plan->threads) return true;
  for (int k = 0; k < op->n_results; k++)
    if (rv->adj[ir_result(op, k)]) return true;
  return false;
}

static void pull(Reverse *rv, IrBuilder *b, const IrOp *op) {
  IrVal t = rv->adj[op->result];
  switch ((IrOpKind)op->kind) {
  case IR_GET: pull_get(rv, b, op, t); return;
  case IR_SET: pull_set(rv, b, op, t); return;
  case IR_ACC: pull_acc(rv, b, op, t); return;
  case IR_FILL: pull_fill(rv, b, op, t); return;
  case IR_COPY: rev_contribute(rv, b, op->args[0], t); return;
  case IR_MATMUL: pull_product(rv, b, op, 0, t); return;
  case IR_MATACC:
    pull_product(rv, b, op, 1, t);
    rev_contribute(rv, b, op->args[0], t);
    return;
  case IR_PUSH: pull_push(rv, b, op, t); return;
  case IR_POP: pull_pop(rv, b, op, t); return;
  case IR_FOR: rev_for(rv, b, op); return;
  case IR_WHILE: rev_while(rv, b, op); return;
  case IR_IF: rev_if(rv, b, op); return;
  case IR_BUILD: rev_build(rv, b, op); return;
  case IR_CALL: pull_call(rv, b, op); return;
  default:
    if (rule_class((IrOpKind)op->kind) == RULE_SCALAR) pull_scalar(rv, b, op, t);
    return;
  }
}

void rev_op(Reverse *rv, IrBuilder *b, const IrOp *op) {
  if (!has_reverse_form(rv, op)) return;
  b->loc = op->loc;
  pull(rv, b, op);
}

void rev_ops(Reverse *rv, IrBuilder *b, const IrRegion *r) {
  for (int i = r->ops.len - 1; i >= 0 && !rv->broken; i--) rev_op(rv, b, r->ops.data[i]);
}
