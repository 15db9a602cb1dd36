// What the interpreter's files share: its values, and the plan of a function (which use of an array is its last, so that
// `set` can work in place exactly where compiled code does).
#ifndef DP_IR_ORACLE_H
#define DP_IR_ORACLE_H

#include "ir/internal.h"

// ---- interp_value.c ----------------------------------------------------------------------------------------------

// An array, shared by counted references; whoever holds the only one may write to it.
struct IrQuad {
  int64_t refs;
  int64_t len, cap; // elements; room for them
  int64_t dims[IR_MAX_RANK];
  IrType type;
  IrQuad *prev, *next; // the arrays of a run, freed at its end
  union {
    __float128 *q;  // f32, f64
    int64_t *i;     // bool, int
    const char **s; // str
    void *raw;
  } at;
};

typedef union Slot {
  __float128 q;
  int64_t i;
  const char *s;
  IrQuad *a;
} Slot;

typedef struct Pool {
  IrQuad live; // sentinel of a ring
  int64_t bytes, peak;
} Pool;

void pool_init(Pool *p);
void pool_free(Pool *p);
// NULL when a size is negative or memory runs out. Elements are zero.
IrQuad *quad_new(Pool *p, IrType t, const int64_t *dims);
IrQuad *quad_own(Pool *p, IrQuad *a); // the array itself or, when others hold it too, a copy; NULL: no memory
bool quad_reserve(Pool *p, IrQuad *a, int64_t n);
void quad_drop(Pool *p, IrQuad *a);
Slot quad_load(const IrQuad *a, int64_t at);
void quad_store(IrQuad *a, int64_t at, Slot v);

// ---- interp_plan.c -----------------------------------------------------------------------------------------------

typedef struct Plan Plan;
typedef struct PlanRegion PlanRegion;

typedef struct PlanOp {
  const IrOp *op;
  const bool *last; // by operand: nothing uses the value afterwards
  PlanRegion *regions;
  Plan *callee; // CALL; made when first run
  Slot *moved;  // room for carried values on their way
} PlanOp;

struct PlanRegion {
  const IrRegion *region;
  PlanOp *ops;
  const bool *last; // by yield
};

struct Plan {
  const IrFunc *func;
  PlanRegion body;
  const IrVal *arrays; // the values that are arrays
  int n_arrays;
  Slot **frames; // spare frames
  int n_frames, cap_frames;
};

Plan *plan_new(Arena *a, const IrFunc *f);

// ---- interp_math.c -----------------------------------------------------------------------------------------------

__float128 quad_math(IrOpKind k, __float128 a, __float128 b, __float128 c); // operations on floats
int64_t quad_to_int(__float128 v);
__float128 quad_powi(__float128 x, int64_t n);
int64_t int_math(IrOpKind k, int64_t a, int64_t b); // operations on ints; divisors are not zero
int64_t int_pow(int64_t base, int64_t n);

#endif
