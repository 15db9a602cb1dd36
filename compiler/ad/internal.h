// What the files of ad/ share.
#ifndef DP_AD_INTERNAL_H
#define DP_AD_INTERNAL_H

#include "ad/ad.h"

// A value that is a parameter of its function (sizes included): known to the caller.
static inline bool is_param(const IrFunc *f, IrVal v) {
  return ir_val(f, v)->region == f->body && !ir_val(f, v)->def;
}

// ---- emit.c: arithmetic that folds what differentiation makes trivial ---------------------------------------------

bool ad_is_float_const(const IrFunc *f, IrVal v, double want);
IrVal ad_add(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_sub(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_mul(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_neg(IrBuilder *b, IrVal x);
IrVal ad_div(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_const_like(IrBuilder *b, IrVal like, double v); // of the float type of `like`
IrVal ad_zero(IrBuilder *b, IrElem e);
IrVal ad_blank(IrBuilder *b, IrElem e); // of any type, what nobody reads
// A zero of the type and sizes of an array or scalar value (sizes: values of b's function).
IrVal ad_zeros(IrBuilder *b, IrType t, const IrVal *dims);
IrVal ad_sum_arrays(IrBuilder *b, IrVal x, IrVal y); // elementwise x + y, any rank; uses up x
IrVal ad_int_add(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_int_sub(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_int_mul(IrBuilder *b, IrVal x, IrVal y);
IrVal ad_trip_count(IrBuilder *b, IrVal lo, IrVal hi, IrVal step);

// Appends the adjoint of result k of a callee to the arguments of a call of its reverse-mode function, behind those sizes
// of the result that are not parameters of the callee. Returns the new number of arguments.
int ad_push_adjoint(const IrFunc *callee, int k, const IrFunc *into, IrVal bar, IrVal *args, int n);

// For ir_rewrite_ops: what runs a second time prints nothing and checks nothing.
static inline bool ad_is_effect(const IrOp *op) {
  return op->n_results == 0 && (ir_op_info[op->kind].flags & IR_E);
}
bool ad_drop_effect(void *user, IrBuilder *b, IrMap *map, const IrOp *op);

// Opens nested FOR loops over all elements of an array of these sizes, carrying one value; idx gets the indices.
// Fill innermost through the returned builder, then close with the carried value's new version; returns the result.
typedef struct AdNest {
  IrOp *loops[IR_MAX_RANK];
  IrBuilder inner[IR_MAX_RANK];
  int rank, n;
  bool backwards; // set before: from the last element to the first
} AdNest;
IrBuilder ad_nest_open(IrBuilder *b, AdNest *nest, const IrVal *dims, int rank, const IrVal *inits, int n,
                       IrVal *idx, IrVal *carried);
void ad_nest_close(AdNest *nest, const IrVal *yields, IrVal *results);

// ---- rules.c: the derivative of each scalar operation ---------------------------------------------------------------
// One rule per operation gives both modes: the partial derivative by operand `arg`, times t. A rule reads primal values
// through `operand` and `result`, so that the planner can ask which ones it needs by running it on a scratch function.

typedef struct Rule {
  IrBuilder *b;
  const IrOp *op;
  void *user;
  IrVal (*operand)(struct Rule *r, int k);
  IrVal (*result)(struct Rule *r);
} Rule;

typedef enum RuleClass { RULE_NONE, RULE_SCALAR, RULE_STRUCT, RULE_LOST } RuleClass;
RuleClass rule_class(IrOpKind k);
IrVal rule_apply(Rule *r, int arg, IrVal t); // SCALAR only
// Which primal values rule_apply reads for the operands marked in `active`: bit k operand k, bit 31 the result.
uint32_t rule_needs(Arena *scratch, const IrFunc *f, const IrOp *op, const bool *active);
enum { RULE_NEEDS_RESULT = 1u << 31 };

// ---- forward.c ------------------------------------------------------------------------------------------------------
void ad_refuse_tangent(Diags *diags, const IrFunc *callee,
                       Loc at); // it has a rule, but none for forward mode

// ---- activity.c ---------------------------------------------------------------------------------------------------
// A value is active when it depends on an input that is differentiated (varied) and an output depends on it (useful).

typedef struct Activity {
  bool *varied, *useful; // by value
} Activity;

// wrt by parameter; useful starts from every float result.
Activity activity_of(Arena *scratch, const IrFunc *f, const bool *wrt);
static inline bool is_active(const Activity *a, IrVal v) { return v && a->varied[v] && a->useful[v]; }
static inline bool has_active_result(const Activity *a, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++)
    if (is_active(a, ir_result(op, k))) return true;
  return false;
}

// ---- checkpoint.c ---------------------------------------------------------------------------------------------------
// A copy of f in which loops with `@checkpoint(every: k)` run in blocks, inner loops marked IR_BLOCK; f itself without such.
IrFunc *ad_with_blocks(IrFunc *f);

// ---- lengths.c ------------------------------------------------------------------------------------------------------
// A copy of f with the length of each growable array of floats behind it; lengths: by value, which it is. f itself, and no
// lengths, where nothing grows.
IrFunc *ad_with_lengths(IrFunc *f, const IrVal **lengths);

// ---- mincut.c -------------------------------------------------------------------------------------------------------
// Smallest cut of a directed graph with real capacities (Dinic). After solving, node_needed tells the sink's side.

typedef struct MinCut MinCut;
#define CUT_INFINITE 1e30
enum { CUT_SOURCE = 0, CUT_SINK = 1 };
MinCut *mincut_new(Arena *a);
int mincut_node(MinCut *g);
void mincut_edge(MinCut *g, int from, int to, double capacity);
double mincut_solve(MinCut *g);
bool mincut_sink_side(const MinCut *g, int node);

// ---- tapes.c: where it is kept --------------------------------------------------------------------------------------

// A size that is known before an operation starts: a value, or the number of iterations of a FOR.
typedef struct TapeSize {
  IrVal size;
  const IrOp *loop;
} TapeSize;

// A value that a forward form saves, or results in: an array (of a fixed size or growable) or a scalar.
typedef struct Tape {
  IrElem elem;
  uint8_t rank;
  bool grow;
  TapeSize sizes[IR_MAX_RANK];
  double elements; // about how many
} Tape;
typedef VEC(Tape) Tapes;

// While emitting: a tape that is a part of one of a loop around it.
typedef struct TapePlace {
  IrVal tape;            // the tape of the loop around, in the new function; 0: it has a tape of its own
  IrVal at[IR_MAX_RANK]; // which part: the iterations of the loops around
  int n;
} TapePlace;

// ---- plan.c: what the reverse sweep keeps ---------------------------------------------------------------------------

// For an operation with regions (FOR, WHILE, BUILD, IF): what its forward form saves for its reverse form.
typedef struct RegionPlan {
  IrVals needed;                 // values at the region's level that the reverse form reads
  IrVals saved;                  // values at the region's level that are saved per iteration
  VEC(const IrOp *) saved_tapes; // nested operations whose own tapes are saved per iteration
  bool *recompute;               // by index in region->ops: emitted again at the start of the reverse region
  bool *tape_again;              // by index: emitted again with its tapes
  bool *replayed; // by carried value: run along in the reverse loop (loops reversed in forward order)
  int first_tape; // of the operation's tapes, the first that the region writes
} RegionPlan;

typedef struct OpPlan {
  const IrOp *op;
  RegionPlan *regions; // one per region (WHILE: the body is index 1)
  bool active;         // some result is active: it has a reverse form
  bool has_tape;       // something is saved
  bool
      threads; // what is saved goes to the stacks of saved values instead (ad/reverse_stack.c): a recursive call
               // is within, or what arrays with the iterations as their first axis cannot hold
  Tapes tapes;        // what the forward form results in besides the results
  bool forward_order; // iterations commute: reversed in forward order
  bool
      fused; // the adjoints of its results are known before it runs: its reverse form computes everything again,
             // saves nothing, and takes the place of the forward loop or merges with it (opt/merge.c)
  bool *invariant;    // by carried value: only accumulated, so its adjoint is the same in every iteration
  bool on_the_way;    // in one descent: recursive calls are within
  bool slots;         // `@checkpoint(slots: s)`: nothing is saved on the way forwards (ad/reverse_slots.c)
  IrVals outer;       // primal values from outside that the reverse form reads
  IrVals targets;     // active values from outside that the reverse form contributes to
  IrVals tape;        // while emitting: the tapes of the latest forward form, in the new function
  TapePlace *places;  // while emitting: by tape; NULL: each is its own
  TapePlace *results; // while emitting a BUILD: by result, where the loop around saves it; NULL: nowhere
} OpPlan;

typedef struct Plan {
  Arena *arena;
  const IrFunc *f;
  Activity act;
  OpPlan **ops; // by the operation's first result (every region operation that matters has one)
  OpPlan *
      body; // of a function that is split into a forward and a reverse half: what the forward half leaves behind
  const IrVal *lengths; // by value: the length of a growable array
  bool *by_element;     // by value: an array of which only elements are read
  IrVals needed;       // where both sweeps are one function: values at its level that the reverse sweep reads
  bool threads;        // some operation threads the stacks of saved values
  bool one_descent;    // value and adjoint of recursive calls are computed together (ad/descent.c)
  const char *refused; // why something cannot be reversed, with where
  Loc refused_at;
} Plan;

// A saved item takes one tape of the owner of region r as it is, with the owner's axes in front; else a tape for each size,
// one for where it starts (not in an IF), and a growable one with the elements one after the other.
Tape tape_of_value(const IrFunc *f, IrVal v);
bool tape_is_simple(const IrFunc *f, const IrRegion *r, const Tape *item);
int tape_count(const IrFunc *f, const IrRegion *r, const Tape *item);

// f, lengths: as ad_with_lengths gave them. split: forward and reverse half become functions of their own (recursion).
Plan *plan_reverse(Arena *scratch, const IrFunc *f, const IrVal *lengths, const bool *wrt, bool split);
// The same where value and adjoint of recursive calls are computed together; refused, where that cannot be.
Plan *plan_descent(Arena *scratch, const IrFunc *f, const IrVal *lengths, const bool *wrt);
bool is_recursive_call(const IrFunc *f, const IrOp *op); // of a dp function without a rule of the user's
static inline OpPlan *plan_of(const Plan *p, const IrOp *op) {
  return op->n_results ? p->ops[op->result] : NULL;
}
// Carried value k of a FOR is an int that every iteration changes by the same amount `step` (a constant, or a value from
// outside): known from the iteration's number.
bool loop_counter(const IrFunc *f, const IrRegion *body, int k, IrVal *step);

// ---- descent.c: value and adjoint of recursive calls together --------------------------------------------------------

// What stands behind operation `at` of a region, by value.
typedef struct Behind {
  bool *made_of_it; // depends on its results
  bool *later;      // ... or on those of another such operation behind it: not there yet when it starts
  int at;
  int until; // what does not, up to this operation, is needed before it
} Behind;
Behind descent_behind(Arena *arena, const Plan *plan, const IrRegion *r, int at);
// Fills `until`. False: the adjoints of its results are not known before it runs.
bool descent_fits_call(Arena *arena, Plan *plan, const IrRegion *r, Behind *behind);
// What is made of the operation's results is active, and nothing else.
Activity descent_activity(Arena *arena, const Plan *plan, const Behind *behind);
bool is_on_the_way(const Plan *plan, const IrOp *op); // a recursive call, or one is within

// ---- check.c ------------------------------------------------------------------------------------------------------------
// Reports every place in f where a derivative by `wrt` would be lost. `asked` is where the derivative was asked for.
void ad_check_lost(const IrFunc *f, const bool *wrt, Loc asked, Diags *diags);

#endif
