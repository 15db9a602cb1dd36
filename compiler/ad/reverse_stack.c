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

void stack_push_int(Reverse *rv, IrBuilder *b, IrVal v) { push_scalar(rv, b, v); }
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

// ---- calls -----------------------------------------------------------------------------------------------------------

static bool *active_arguments(const Reverse *rv, const IrOp *op) {
  bool *wrt = ARENA_ARRAY(rv->arena, bool, op->n_args);
  for (int k = 0; k < op->n_args; k++) wrt[k] = is_active(&rv->plan->act, op->args[k]);
  return wrt;
}

void stack_forward_call(Reverse *rv, IrBuilder *b, const IrOp *op) {
  IrFunc *callee = ir_func_find(rv->f->module, op->attr.sym);
  Halves halves;
  rv->broken |= !rev_halves(rv->f->module, callee, active_arguments(rv, op), rv->diags, &halves);
  if (rv->broken) return;
  int n = op->n_results, n_args = op->n_args;
  IrVal *args = ARENA_ARRAY(rv->arena, IrVal, n_args + N_STACKS);
  IrType *types = ARENA_ARRAY(rv->arena, IrType, n + N_STACKS);
  const IrVal **dims = ARENA_ARRAY(rv->arena, const IrVal *, n + N_STACKS);
  for (int k = 0; k < n_args; k++) args[k] = rev_primal(rv, op->args[k]);
  for (int k = 0; k < N_STACKS; k++) args[n_args + k] = rv->stack[k];
  for (int k = 0; k < n; k++) {
    types[k] = ir_type(rv->f, ir_result(op, k));
    dims[k] = rev_result_dims(rv, op, k);
  }
  types[n + FLOAT_STACK] = (IrType){IR_F64, 1, true};
  types[n + INT_STACK] = (IrType){IR_INT, 1, true};
  if (rv->broken) return;
  IrOp *call = ir_call(b, halves.forward->name, args, n_args + N_STACKS, types, dims, n + N_STACKS);
  for (int k = 0; k < n; k++) ir_map_set(&rv->map, ir_result(op, k), ir_result(call, k));
  for (int k = 0; k < N_STACKS; k++) rv->stack[k] = ir_result(call, n + k);
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
