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
IrVal rev_iteration_number(IrBuilder *b, IrVal i, IrVal lo, IrVal step); // from 0
void rev_forward_op(Reverse *rv, IrBuilder *b, const IrOp *op, bool with_tape);
// Makes the primal values that the reverse form of the region reads visible at b: forgets all others of the region, loads
// the saved ones (of iteration it[0..n): a loop's number, a build's indices, nothing for an if), computes the rest again.
// Region arguments are mapped before, by the caller.
void rev_enter_region(Reverse *rv, const IrRegion *r);
void rev_load_and_recompute(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it,
                            int n);

// reverse_tapes.c: writing and reading what is saved
typedef struct Saver { // what a region's forward form saves into, in the order of the operation's tapes
  Reverse *rv;
  const OpPlan *plan;
  int region;
  const IrVal *it; // what names the iteration: a loop's number, a build's indices
  int n;
  IrVal *tapes; // current versions
} Saver;
const IrVal *rev_tape_sizes(Reverse *rv, IrBuilder *b, const Tape *t); // NULL: it has none, or grows
void rev_empty_tapes(Reverse *rv, IrBuilder *b, const OpPlan *plan, IrVal *tapes);
void rev_save_value(Saver *s, IrBuilder *b, IrVal v);        // nothing, where v is not saved
void rev_place_tapes(Saver *s, const IrOp *op);              // before an operation within: where its tapes go
void rev_save_tapes(Saver *s, IrBuilder *b, const IrOp *op); // after it
IrVal rev_part(IrBuilder *b, IrVal tape, const IrVal *at, int n, const IrVal *dims,
               int rank);                                                         // tape[at, ...]
IrVal rev_set_part(IrBuilder *b, IrVal tape, const IrVal *at, int n, IrVal item); // tape[at, ...] <- item
// An array that is saved, as a part of its tape after it was written.
IrVal rev_part_of_tape(const Saver *s, IrBuilder *b, int tape, const IrVal *dims, int rank);
void rev_again(Reverse *rv, IrBuilder *b, const IrRegion *r, IrVal *yields); // once more, without its effects
bool rev_is_saved(const RegionPlan *rp, IrVal v);
void rev_load_saved(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it, int n);
// Elements of an array one after the other at the end of a growable one, as its elements go; an array of them.
IrVal rev_flatten(IrBuilder *b, IrVal flat, IrVal array);
IrVal rev_unflatten(IrBuilder *b, IrType t, IrVal flat, IrVal first, const IrVal *dims);

bool rev_keeps_tape(const RegionPlan *rp, const IrOp *op);
void rev_recompute(Reverse *rv, IrBuilder *b, const RegionPlan *rp,
                   const IrRegion *r);                            // what is not mapped yet
const IrVal *rev_result_dims(Reverse *rv, const IrOp *op, int k); // for ir_close_if, ir_call

// reverse_stack.c: what goes to the stacks and comes from there; recursive calls
void stack_forward_call(Reverse *rv, IrBuilder *b, const IrOp *op);
void stack_load(Reverse *rv, IrBuilder *b, const RegionPlan *rp);
void stack_push_saved(Reverse *rv, IrBuilder *b, const RegionPlan *rp);
void stack_push_int(Reverse *rv, IrBuilder *b, IrVal v);
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

// reverse_slots.c: opens the reverse loop of one that keeps states in slots, and maps the state of its iteration. vals: what
// else it carries, n of it; behind that comes what the slots carry: its inits, and then what is to be yielded.
IrOp *rev_open_slots(Reverse *rv, IrBuilder *b, const OpPlan *plan, IrVal *vals, int n, IrBuilder *in);

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
