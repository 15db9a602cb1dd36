// The reverse sweep's own structures (ad/reverse*.c).
#ifndef DP_AD_REVERSE_H
#define DP_AD_REVERSE_H

#include "ad/internal.h"

// Where nobody knows beforehand how much is saved, it goes to two stacks that are threaded through everything: floats and
// ints.
enum { FLOAT_STACK, INT_STACK, N_STACKS };

typedef struct Reverse {
  Arena *arena;
  const IrFunc *f; // the function that is differentiated
  IrFunc *g;       // what is being written
  Plan *plan;
  IrMap map;             // primal values of f -> values of g, as visible where code is being emitted
  IrVal *adj;            // by value of f: its adjoint so far in g; 0: zero
  IrVal stack[N_STACKS]; // saved values, the latest version of each
  bool again;            // operations are emitted once more: their effects are not repeated, checks included
  Diags *diags;
  bool broken; // a primal value was asked for that the plan does not provide: a mistake of ours
} Reverse;

// reverse.c
IrVal rev_primal(Reverse *rv, IrVal v);
const IrVal *rev_value_dims(Reverse *rv, IrVal v);             // in g; NULL for scalars and growable arrays
IrVal rev_adjoint_or_zero(Reverse *rv, IrBuilder *b, IrVal v); // sets adj[v]
void rev_contribute(Reverse *rv, IrBuilder *b, IrVal v, IrVal t); // adj[v] += t, if v is active
IrVal rev_zeros_like(Reverse *rv, IrBuilder *b, IrVal v);
void rev_op(Reverse *rv, IrBuilder *b, const IrOp *op); // one operation backwards, if anything came of it
void rev_ops(Reverse *rv, IrBuilder *b, const IrRegion *r);

// reverse_keep.c: forward forms that save, and what a reverse region starts with
IrVal rev_trip_count(IrBuilder *b, IrVal lo, IrVal hi, IrVal step);
IrVal rev_iteration_number(IrBuilder *b, IrVal i, IrVal lo, IrVal step); // from 0
void rev_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, bool with_tape);
// Makes the primal values that the reverse form of the region reads visible at b: forgets all others of the region, loads
// the saved ones (of iteration it[0..n): a loop's number, a build's indices, nothing for an if), computes the rest again.
// Region arguments are mapped before, by the caller.
void rev_enter_region(Reverse *rv, const IrRegion *r);
void rev_load_and_recompute(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it,
                            int n);

bool rev_keeps_tape(const RegionPlan *rp, const IrOp *op);
void rev_recompute(Reverse *rv, IrBuilder *b, const RegionPlan *rp,
                   const IrRegion *r);                            // what is not mapped yet
const IrVal *rev_result_dims(Reverse *rv, const IrOp *op, int k); // for ir_close_if, ir_call

// reverse_stack.c: forward and reverse forms of what threads the stacks
void stack_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, OpPlan *plan); // plan NULL: a recursive call
void stack_load(Reverse *rv, IrBuilder *b, const RegionPlan *rp);
void stack_push_saved(Reverse *rv, IrBuilder *b, const RegionPlan *rp);
IrVal stack_pop_int(Reverse *rv, IrBuilder *b);
void stack_pull_call(Reverse *rv, IrBuilder *b, const IrOp *op);

// reverse_function.c: beginning and end of whole functions
Name rev_leaf_name(IrModule *m, const char *base, const char *path);
Name rev_part_name(IrModule *m, const IrFunc *f, const char *part, const bool *wrt);
Reverse rev_begin(IrModule *m, IrFunc *f, Plan *plan, Name name, Diags *diags);
IrVal *rev_adjoint_params(Reverse *rv); // by result of f
bool rev_sound(const Reverse *rv);      // false, with a diagnostic: a value got lost
IrFunc *rev_optimized(IrModule *m,
                      IrFunc *f); // a function that is called recursively, before it is differentiated

// reverse_descent.c: value and adjoint of recursive calls together. NULL: that cannot be, or got lost.
Plan *rev_can_descend(IrFunc *f, const IrVal *lengths,
                      const bool *wrt); // NULL too where nothing calls itself
Plan *rev_plan_descent(IrModule *m, const IrFunc *f, const IrVal *lengths, const bool *wrt, Diags *diags);
void rev_descend(Reverse *rv, IrBuilder *b, const IrVal *bars); // bars: the adjoints of f's results

// reverse_function.c: the two halves of a function that is called recursively. False after errors.
typedef struct Halves {
  IrFunc *forward; // parameters of f, stacks -> results of f, stacks
  IrFunc *
      reverse; // parameters of f, an adjoint per float result, stacks -> an adjoint per wrt parameter, stacks
} Halves;
bool rev_halves(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags, Halves *out);

// reverse_regions.c
// The adjoints of values from outside that a region adds to, threaded through it as carried values or results.
void rev_set_targets(Reverse *rv, const OpPlan *plan, const IrVal *vals);
void rev_read_targets(const Reverse *rv, const OpPlan *plan, IrVal *vals);
// After the branches of an IF: those that only one adds to start from zero in the other; those that none adds to are left
// alone. Returns how many changed, and which.
int rev_changed_targets(Reverse *rv, IrBuilder *in, const OpPlan *plan, IrVal **after, int *which);
void rev_for(Reverse *rv, IrBuilder *b, const IrOp *op);
void rev_while(Reverse *rv, IrBuilder *b, const IrOp *op);
void rev_if(Reverse *rv, IrBuilder *b, const IrOp *op);
void rev_build(Reverse *rv, IrBuilder *b, const IrOp *op);

#endif
