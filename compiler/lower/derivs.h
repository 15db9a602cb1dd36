// What the files about derivatives share (lower/derivs.c, jacobians.c).
#ifndef DP_LOWER_DERIVS_H
#define DP_LOWER_DERIVS_H

#include "lower/internal.h"

typedef struct Target {
  const Fn *fn; // the derivative
  Inst *inst;   // of what is differentiated
  CallArgs args;
  bool *mask; // by IR parameter of inst
} Target;

typedef struct Range { // leaves of one wrt among the IR parameters
  int first, n;
} Range;

typedef struct Dcall {
  IrOp *op;
  int first; // of the derivative results
} Dcall;

bool deriv_open(Gen *g, Target *t, Fn *of);  // nothing marked yet
Value *deriv_value(Gen *g, const Target *t); // what is differentiated, called as it is
Range deriv_range(Gen *g, const Target *t, int w);
void deriv_mark(Gen *g, Target *t, int w); // marks the floats of one wrt
// seeds: a tangent for each marked parameter, or an adjoint for each float result
Dcall deriv_call(Gen *g, const Target *t, IrDerivKind kind, const IrVals *seeds);
IrVal deriv_adjoint(const Target *t, const Dcall *d, int k); // of IR parameter k; 0: it has none
// A tangent for each marked parameter: zeros, but one at idx of parameter k.
void deriv_one_hot(Gen *g, const Target *t, int k, const IrVal *idx, IrVals *seeds);

Value *deriv_jacobian(Gen *g);                             // jacobians.c
bool deriv_has_mode(Gen *g, const Inst *of, bool forward); // modes.c: no rule is missing for it

#endif
