// The planner's own structures (ad/plan.c).
#ifndef DP_AD_PLAN_H
#define DP_AD_PLAN_H

#include "ad/internal.h"

typedef struct PlanUser {
  const IrOp *op;     // NULL: a yield
  const IrRegion *at; // where
} PlanUser;
typedef VEC(PlanUser) PlanUsers;

typedef struct Planner {
  Arena *arena;
  const IrFunc *f;
  Plan *plan;
  PlanUsers *users; // by value
  bool *on_stack;   // by an operation's first result: what it saves has to go to the stacks
  bool again;       // that was found out for another operation: plan anew
  bool *kept;       // by value: an array that an earlier plan keeps or makes again anyway
} Planner;

// What the reverse sweep of one region reads.
typedef struct RegionNeeds {
  IrVals vals;
  VEC(const IrOp *) tapes; // nested operations whose tapes it reads
} RegionNeeds;

double plan_op_cost(const Planner *p, const IrOp *op);
// Of computing op once more in the reverse form of the owner's region r.
double plan_cost_again(const Planner *p, const OpPlan *owner, const IrRegion *r, const IrOp *op);
double plan_trips(const Planner *p, const IrOp *loop); // a guess where they are not constant
double plan_size(const Planner *p, IrVal size);
// Of keeping the value per iteration of the owner's region r; CUT_INFINITE: impossible.
double plan_save_cost(const Planner *p, const OpPlan *owner, const IrRegion *r, IrVal v);

// What the reverse form of the operation reads.
void plan_needs_of_op(Planner *p, RegionNeeds *n, const IrOp *op);

// descent.c: can one descent compute value and adjoint of what is within?
bool descent_fits_op(Planner *p, OpPlan *plan); // a loop or branch around recursive calls
bool descent_fits_region(Planner *p, const IrRegion *r);

// tapes.c. Costs are per iteration of the region's operation; CUT_INFINITE: impossible.
enum {
  SAVE_ELEMENT_OF_TAPE = 4,
  SAVE_ELEMENT_OF_ARRAY = 6
}; // an array has left the cache more often than not
double tape_cost(const Planner *p, const IrRegion *r, const Tape *item, double per_element);
double tapes_cost(const Planner *p, const OpPlan *owner, const IrRegion *r, const OpPlan *nested);
void tapes_lay_out(const Planner *p, OpPlan *plan);

#endif
