// Differentiation: IR -> IR. Everything here reads ordinary IR and writes ordinary IR, which can be optimised, printed,
// verified and differentiated again.
//
// In: a module with DCALL operations. Out: the same module without them: each is a CALL of a generated function.
// Derivatives are expanded innermost first; a function is optimised before it is differentiated (opt/opt.h).
#ifndef DP_AD_H
#define DP_AD_H

#include "ir/ir.h"

// Expands every DCALL of the module. False after errors (in diags). A derivative that would be lost in silence (a
// conversion to int, an extern without a rule, ...) is an error that names both places, decided before any optimisation;
// and what is optimised before differentiating is the same at every -O level: neither answers nor refusals depend on it.
bool ad_expand(IrModule *m, Diags *diags);

// The reverse-mode function of f by the parameters in wrt: parameters of f, then an adjoint per float result; results of
// f, then one adjoint per wrt parameter. The forward-mode function: parameters of f, then a tangent per wrt parameter;
// results of f, then a tangent per float result. f holds no DCALL. NULL after errors. Added to the module.
IrFunc *ad_vjp(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags);
IrFunc *ad_jvp(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags);
// Along several directions at once: behind the parameters of f how many, and each tangent has one more axis, the innermost.
IrFunc *ad_jvps(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags);

// ---- report.c: what the reverse sweep keeps, told to people -----------------------------------------------------

typedef enum AdFate {
  AD_SAVED,    // kept per iteration
  AD_COMPUTED, // computed again when the sweep needs it
  AD_FOLLOWED, // runs along again with the loop, from its first value on
  AD_IN_SLOT,  // its loop runs on to it from a state that is kept (@checkpoint(slots: s))
  AD_KNOWN,    // follows from the iteration's number
  AD_THERE,    // defined once, and still there
} AdFate;

typedef struct AdValue {
  IrVal v;
  AdFate fate;
  bool carried; // computing it again would mean running the loop from its start
  double again; // cost of computing it again from what is there and what is kept, in cycles; < 0: impossible
  double keep;  // cost of keeping it; < 0: impossible
} AdValue;

typedef enum AdOrder {
  AD_FUSED,    // reversed in the same pass: the adjoints of its results are known before it runs
  AD_FORWARD,  // iterations commute: from the first to the last
  AD_BACKWARD, // from the last iteration to the first
  AD_TOGETHER, // value and adjoint in one descent: recursive calls are within, whose adjoints are known before them
} AdOrder;

typedef struct
    AdPart { // a loop, a branch, or the body of a recursive function, that takes part in the reverse sweep
  const IrOp *op;         // NULL: the body
  const IrRegion *region; // of a branch: this side
  int depth;
  AdOrder order;
  bool on_stacks;     // what it saves goes to the stacks of saved values, strictly last in, first out
  int64_t checkpoint; // of a loop: as in IrOp's attr
  bool counts;        // a while loop's number of iterations is kept
  VEC(AdValue) values;
  VEC(const IrOp *) kept_within;  // loops and branches within whose saved values are kept per iteration
  VEC(const IrOp *) again_within; // ... that run again, saving, once per iteration
} AdPart;

typedef struct AdReport {
  const IrFunc *f; // as it is differentiated; the values below are its own
  bool halves;     // split into a forward and a reverse half, since it calls itself
  bool descent;    // calls itself, or what does; value and adjoint of those calls are computed together
  const char *refused;
  VEC(AdPart) parts;           // in the order of the program
  VEC(AdValue) there;          // values at the function's level that the reverse sweep reads
  VEC(const IrOp *) calls;     // recursive calls, reversed by halves of their own
  VEC(const bool *) calls_wrt; // by argument: is it active?
} AdReport;

// Plans the reverse mode of f, optimised and free of DCALLs as ad_vjp wants it, and says what was planned. by: of the
// function that calls f, which is then recursive. NULL: f itself is asked for.
void ad_explain(IrFunc *f, const bool *wrt, const AdReport *by, AdReport *out);

#endif
