// Differentiation: saving without knowing how much. How deep a recursion goes nobody knows beforehand, nor how large the
// arrays are that an iteration makes, so what has to be saved there goes to two stacks, of floats and of ints, that are
// threaded through every loop, branch and call on the way: the forward forms push at the end of each region, the reverse
// forms run strictly backwards and pop at the start.
//
// A recursive function becomes two: `f.fwd` gives its results and leaves what it saved on the stacks; `f.rev` takes it from
// there. Nothing is computed twice, whatever the depth.
#include "ad/reverse.h"

// ---- one value -------------------------------------------------------------------------------------------------------

static int stack_of(IrType t) { return ir_is_float(t) ? FLOAT_STACK : INT_STACK; }

static IrVal to_stack(IrBuilder *b, IrVal v) {
  switch ((IrElem)ir_type(b->func, v).elem) {
  case IR_F32: return ir_convert(b, IR_FCVT, IR_F64, v); // exact
  case IR_BOOL: return ir_convert(b, IR_BTOI, IR_INT, v);
  default: return v;
  }
}

static IrVal from_stack(IrBuilder *b, IrElem e, IrVal v) {
  if (e == IR_F32) return ir_convert(b, IR_FCVT, IR_F32, v);
  return e == IR_BOOL ? ir_op2(b, IR_NE, v, ir_const_int(b, 0)) : v;
}

static void push_scalar(Reverse *rv, IrBuilder *b, IrVal v) {
  IrVal *stack = &rv->stack[stack_of(ir_type(rv->g, v))];
  *stack = ir_op2(b, IR_PUSH, *stack, to_stack(b, v));
}

static IrVal pop_scalar(Reverse *rv, IrBuilder *b, IrType t) {
  IrVal *stack = &rv->stack[stack_of(t)];
  IrVal last = ad_int_sub(b, ir_op1(b, IR_LEN, *stack), ir_const_int(b, 1));
  IrVal v = ir_get(b, *stack, &last, 1);
  *stack = ir_op1(b, IR_POP, *stack);
  return from_stack(b, (IrElem)t.elem, v);
}

IrVal stack_pop_int(Reverse *rv, IrBuilder *b) { return pop_scalar(rv, b, IR_SCALAR(IR_INT)); }

// An array's elements, and then its sizes.
static void push_array(Reverse *rv, IrBuilder *b, IrVal v) {
  IrType t = ir_type(rv->g, v);
  IrVal *stack = &rv->stack[stack_of(t)];
  const IrVal *dims = ir_dims(rv->g, v);
  *stack = rev_flatten(b, *stack, v);
  for (int k = 0; k < t.rank; k++) push_scalar(rv, b, t.grow ? ir_op1(b, IR_LEN, v) : dims[k]);
}

// The topmost elements as an array of the sizes on top; then they go.
static IrVal pop_array(Reverse *rv, IrBuilder *b, IrType t) {
  IrVal dims[IR_MAX_RANK] = {0}, idx, carried;
  for (int k = t.rank - 1; k >= 0; k--) dims[k] = stack_pop_int(rv, b);
  IrVal *stack = &rv->stack[stack_of(t)], count = ir_const_int(b, 1);
  for (int k = 0; k < t.rank; k++) count = ad_int_mul(b, count, dims[k]);
  IrVal first = ad_int_sub(b, ir_op1(b, IR_LEN, *stack), count);
  IrVal now = rev_unflatten(b, t, *stack, first, dims);
  AdNest nest = {0};
  IrBuilder drop = ad_nest_open(b, &nest, &count, 1, stack, 1, &idx, &carried);
  carried = ir_op1(&drop, IR_POP, carried);
  ad_nest_close(&nest, &carried, stack);
  return now;
}

static void push_value(Reverse *rv, IrBuilder *b, IrVal v) {
  if (ir_is_array(ir_type(rv->g, v)))
    push_array(rv, b, v);
  else
    push_scalar(rv, b, v);
}

static IrVal pop_value(Reverse *rv, IrBuilder *b, IrType t) {
  return ir_is_array(t) ? pop_array(rv, b, t) : pop_scalar(rv, b, t);
}

// ---- what a region saves: its values, then the tapes of the operations within, which come back first ---------------------

void stack_push_saved(Reverse *rv, IrBuilder *b, const RegionPlan *rp) {
  for (int k = 0; k < rp->saved.len && !rv->broken; k++) {
    IrVal v = rev_primal(rv, rp->saved.data[k]);
    if (!rv->broken) push_value(rv, b, v);
  }
  for (int k = 0; k < rp->saved_tapes.len && !rv->broken; k++) {
    const OpPlan *nested = plan_of(rv->plan, rp->saved_tapes.data[k]);
    for (int j = 0; j < nested->tape.len; j++) push_value(rv, b, nested->tape.data[j]);
  }
}

void stack_load(Reverse *rv, IrBuilder *b, const RegionPlan *rp) {
  for (int k = rp->saved_tapes.len - 1; k >= 0; k--) {
    OpPlan *nested = plan_of(rv->plan, rp->saved_tapes.data[k]);
    int n_tapes = nested->tapes.len;
    nested->tape.len = 0;
    for (int j = 0; j < n_tapes; j++) vec_push(rv->arena, &nested->tape, 0);
    for (int j = n_tapes - 1; j >= 0; j--) {
      const Tape *t = &nested->tapes.data[j];
      nested->tape.data[j] = pop_value(rv, b, (IrType){(uint8_t)t->elem, t->rank, t->grow});
    }
  }
  for (int k = rp->saved.len - 1; k >= 0; k--)
    ir_map_set(&rv->map, rp->saved.data[k], pop_value(rv, b, ir_type(rv->f, rp->saved.data[k])));
}

// ---- forward forms ---------------------------------------------------------------------------------------------------

static void forward_region(Reverse *rv, IrBuilder *b, const IrRegion *r, const RegionPlan *rp) {
  for (int i = 0; i < r->ops.len; i++)
    rev_forward_op(rv, b, r->ops.data[i], rev_keeps_tape(rp, r->ops.data[i]));
  if (!rv->broken) stack_push_saved(rv, b, rp);
}

static void map_results(Reverse *rv, const IrOp *op, const IrOp *now) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(now, k));
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = ir_result(now, op->n_results + k);
}

// A region's values and then the stacks, as inits or yields.
static IrVal *with_stacks(Reverse *rv, const IrVal *old, int n) {
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, n + N_STACKS);
  for (int k = 0; k < n; k++) vals[k] = rev_primal(rv, old[k]);
  for (int k = 0; k < N_STACKS; k++) vals[n + k] = rv->stack[k];
  return vals;
}

static void forward_for(Reverse *rv, IrBuilder *b, const IrOp *op, const OpPlan *plan) {
  int n = op->n_results;
  const IrRegion *body = op->regions[0];
  IrVal lo = rev_primal(rv, op->args[0]), hi = rev_primal(rv, op->args[1]),
        step = rev_primal(rv, op->args[2]);
  IrVal *inits = with_stacks(rv, op->args + 3, n);
  if (rv->broken) return;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, step, inits, n + N_STACKS, &in);
  for (int k = 0; k <= n; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = in.region->args[1 + n + k];
  forward_region(rv, &in, body, &plan->regions[0]);
  ir_yield(&in, with_stacks(rv, body->yields, n), n + N_STACKS);
  map_results(rv, op, now);
}

// The number of iterations goes to the stack behind them.
static void forward_while(Reverse *rv, IrBuilder *b, const IrOp *op, const OpPlan *plan) {
  int n = op->n_results, total = n + N_STACKS + 1;
  const IrRegion *body = op->regions[1];
  IrVal *inits = ARENA_ARRAY(rv->arena, IrVal, total), go;
  const IrVal *first = with_stacks(rv, op->args, n);
  for (int k = 0; k < total - 1; k++) inits[k] = first[k];
  inits[total - 1] = ir_const_int(b, 0);
  if (rv->broken) return;
  IrBuilder cond, in;
  IrOp *now = ir_while(b, inits, total, &cond, &in);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, op->regions[0]->args[k], cond.region->args[k]);
  ir_clone_ops(&cond, &rv->map, op->regions[0], &go);
  ir_yield(&cond, &go, 1);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, body->args[k], in.region->args[k]);
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = in.region->args[n + k];
  forward_region(rv, &in, body, &plan->regions[1]);
  const IrVal *last = with_stacks(rv, body->yields, n);
  IrVal *yields = ARENA_ARRAY(rv->arena, IrVal, total);
  for (int k = 0; k < total - 1; k++) yields[k] = last[k];
  yields[total - 1] = ir_op2(&in, IR_ADD, in.region->args[total - 1], ir_const_int(&in, 1));
  ir_yield(&in, yields, total);
  map_results(rv, op, now);
  push_scalar(rv, b, ir_result(now, total - 1));
}

static void forward_if(Reverse *rv, IrBuilder *b, const IrOp *op, const OpPlan *plan) {
  int n = op->n_results;
  IrVal cond = rev_primal(rv, op->args[0]), before[N_STACKS];
  for (int k = 0; k < N_STACKS; k++) before[k] = rv->stack[k];
  if (rv->broken) return;
  IrBuilder in[2];
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < N_STACKS; k++) rv->stack[k] = before[k];
    forward_region(rv, &in[i], op->regions[i], &plan->regions[i]);
    ir_yield(&in[i], with_stacks(rv, op->regions[i]->yields, n), n + N_STACKS);
  }
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, n + N_STACKS);
  for (int k = 0; k < n; k++) dims[k] = rev_result_dims(rv, op, k);
  ir_close_if(b, now, dims);
  map_results(rv, op, now);
}

// Element after element, so that the stacks can go along.
static void forward_build(Reverse *rv, IrBuilder *b, const IrOp *op, const OpPlan *plan) {
  int n = op->n_results, rank = op->n_args;
  const IrRegion *body = op->regions[0];
  IrVal sizes[IR_MAX_RANK], idx[IR_MAX_RANK];
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, n + N_STACKS),
        *carried = ARENA_ARRAY(rv->arena, IrVal, n + N_STACKS);
  for (int k = 0; k < rank; k++) sizes[k] = rev_primal(rv, op->args[k]);
  if (rv->broken) return;
  for (int k = 0; k < n; k++) {
    IrElem e = (IrElem)ir_type(rv->f, ir_result(op, k)).elem;
    vals[k] = ir_unset(b, ad_blank(b, e), sizes, rank);
  }
  for (int k = 0; k < N_STACKS; k++) vals[n + k] = rv->stack[k];
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, sizes, rank, vals, n + N_STACKS, idx, carried);
  for (int k = 0; k < rank; k++) ir_map_set(&rv->map, body->args[k], idx[k]);
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = carried[n + k];
  forward_region(rv, &in, body, &plan->regions[0]);
  if (rv->broken) return;
  for (int k = 0; k < n; k++) vals[k] = ir_set(&in, carried[k], idx, rank, rev_primal(rv, body->yields[k]));
  for (int k = 0; k < N_STACKS; k++) vals[n + k] = rv->stack[k];
  ad_nest_close(&nest, vals, vals);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, ir_result(op, k), vals[k]);
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = vals[n + k];
}

// ---- calls -----------------------------------------------------------------------------------------------------------

static bool *active_arguments(const Reverse *rv, const IrOp *op) {
  bool *wrt = ARENA_ARRAY(rv->arena, bool, op->n_args);
  for (int k = 0; k < op->n_args; k++) wrt[k] = is_active(&rv->plan->act, op->args[k]);
  return wrt;
}

static void forward_call(Reverse *rv, IrBuilder *b, const IrOp *op) {
  IrFunc *callee = ir_func_find(rv->f->module, op->attr.sym);
  Halves halves;
  rv->broken |= !rev_halves(rv->f->module, callee, active_arguments(rv, op), rv->diags, &halves);
  if (rv->broken) return;
  int n = op->n_results;
  IrVal *args = with_stacks(rv, op->args, op->n_args);
  IrType *types = ARENA_ARRAY(rv->arena, IrType, n + N_STACKS);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, n + N_STACKS);
  for (int k = 0; k < n; k++) {
    types[k] = ir_type(rv->f, ir_result(op, k));
    dims[k] = rev_result_dims(rv, op, k);
  }
  types[n + FLOAT_STACK] = (IrType){IR_F64, 1, true};
  types[n + INT_STACK] = (IrType){IR_INT, 1, true};
  if (rv->broken) return;
  IrOp *call = ir_call(b, halves.forward->name, args, op->n_args + N_STACKS, types, dims, n + N_STACKS);
  map_results(rv, op, call);
}

void stack_pull_call(Reverse *rv, IrBuilder *b, const IrOp *op) {
  IrFunc *callee = ir_func_find(rv->f->module, op->attr.sym);
  const bool *wrt = active_arguments(rv, op);
  Halves halves;
  rv->broken |= !rev_halves(rv->f->module, callee, wrt, rv->diags, &halves);
  if (rv->broken) return;
  int n_args = op->n_args, n = 0;
  IrVal *args = ARENA_ARRAY(rv->arena, IrVal, op->n_args + op->n_results * (IR_MAX_RANK + 1) + N_STACKS);
  for (int k = 0; k < op->n_args; k++) args[k] = rev_primal(rv, op->args[k]);
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k);
    if (!ir_is_float(ir_type(rv->f, r))) continue;
    IrVal bar = rev_adjoint_or_zero(rv, b, r);
    if (!rv->broken) n_args = ad_push_adjoint(callee, k, rv->g, bar, args, n_args);
  }
  for (int k = 0; k < N_STACKS; k++) args[n_args++] = rv->stack[k];
  if (rv->broken) return;
  IrType *types = ARENA_ARRAY(rv->arena, IrType, op->n_args + N_STACKS);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, op->n_args + N_STACKS);
  for (int k = 0; k < op->n_args; k++) {
    if (!wrt[k]) continue;
    types[n] = ir_type(rv->f, op->args[k]);
    dims[n++] = ir_dims(rv->g, args[k]);
  }
  types[n + FLOAT_STACK] = (IrType){IR_F64, 1, true};
  types[n + INT_STACK] = (IrType){IR_INT, 1, true};
  IrOp *call = ir_call(b, halves.reverse->name, args, n_args, types, dims, n + N_STACKS);
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = ir_result(call, n + k);
  n = 0;
  for (int k = 0; k < op->n_args; k++)
    if (wrt[k]) rev_contribute(rv, b, op->args[k], ir_result(call, n++));
}

void stack_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: forward_for(rv, b, op, plan); break;
  case IR_WHILE: forward_while(rv, b, op, plan); break;
  case IR_IF: forward_if(rv, b, op, plan); break;
  case IR_BUILD: forward_build(rv, b, op, plan); break;
  default: forward_call(rv, b, op); break;
  }
}
