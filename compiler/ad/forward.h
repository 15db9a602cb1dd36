// The forward mode's own structures: ad/forward.c walks a function, ad/wide.c knows what several directions at once do
// differently.
#ifndef DP_AD_FORWARD_H
#define DP_AD_FORWARD_H

#include "ad/internal.h"

typedef VEC(const IrOp *) IrOps;

// Several directions: the tangents of a run of scalar operations are emitted together, in one loop over the directions.
typedef struct Run {
  IrOps ops;              // whose tangents have still to be computed
  bool *has;              // by result
  IrVal *lane;            // by value of f: its tangent where one direction's code is being emitted
  IrVals touched;         // those that `lane` knows
  IrVal at;               // the direction; 0: none is being emitted
  IrOps *users;           // by value of f; NULL: a yield
  const IrVal *old, *now; // while elements of arrays are set: the arrays as they were, and as they are
  int n_old;
} Run;

typedef struct Forward {
  Arena *arena;
  IrModule *m;
  Diags *diags;
  const IrFunc *f;
  IrFunc *g;
  Activity act;
  IrMap map;
  IrVal *tan;  // by value of f: its tangent in g; 0: zero
  IrVal width; // how many directions: one more axis of every tangent, the innermost. 0: one, without an axis
  Run run;
  bool failed;
} Forward;

static inline IrVal fw_mapped(const Forward *fw, IrVal v) { return ir_mapped(&fw->map, v); }
static inline bool fw_active(const Forward *fw, IrVal v) { return is_active(&fw->act, v); }

// ---- forward.c ----------------------------------------------------------------------------------------------------------

IrType fw_type(const Forward *fw, IrType t); // of the tangent of a value of type t
// The sizes of a value, and the directions behind them. Those that `maker` itself results in are written as results.
IrVal *fw_dims(Forward *fw, IrVal v, const IrOp *maker);
IrVal fw_zeros(Forward *fw, IrBuilder *b, IrVal v);
IrVal fw_tangent_or_zero(Forward *fw, IrBuilder *b, IrVal v);
IrVal fw_push_scalar(Forward *fw, IrBuilder *b, const IrOp *op);
void fw_region(Forward *fw, IrBuilder *b, const IrRegion *r);
// Of an operation's results: those that come with a tangent, n of them. body: of a loop, its carried values from first_arg on.
int *fw_results(Forward *fw, const IrOp *op, const IrRegion *body, int first_arg, int *n);
// The region's values, and then the tangents of those in `which`.
void fw_yield(Forward *fw, IrBuilder *in, const IrRegion *r, const int *which, int n);
IrFunc *fw_derive(IrModule *m, IrFunc *f, const bool *wrt, bool several, Diags *diags); // NULL after errors

// A call of `name` with `args` and then tangents; its results from `first` on are tangents.
typedef struct TangentCall {
  Name name;
  const IrVal *args;
  int n_args;
  const IrVal *tangents; // in g
  int n_of;
  const IrType *types; // of the call's results, for one direction
  const IrVal *const *dims;
  int n_results, first;
} TangentCall;

// ---- wide.c: several directions -------------------------------------------------------------------------------------------

void wide_open(Forward *fw);
bool wide_has_room(const Forward *fw); // for one more axis of everything
IrVal wide_lane_tangent(Forward *fw, IrBuilder *in, IrVal v);
void wide_flush(Forward *fw, IrBuilder *b); // tangents of the run so far
// True if the operation was dealt with; else the run is flushed and the walker goes on.
bool wide_op(Forward *fw, IrBuilder *b, const IrOp *op);
void wide_loop_yield(Forward *fw, IrBuilder *in, const IrRegion *r, int first_arg, const int *which, int n);
void wide_build(Forward *fw, IrBuilder *b, const IrOp *op);
void wide_one_by_one(Forward *fw, IrBuilder *b, const TangentCall *c, IrVal *out);
bool wide_repeat(Forward *fw, const bool *wrt, IrVal *vals); // the function as it is, for each direction anew

#endif
