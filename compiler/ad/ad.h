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

#endif
