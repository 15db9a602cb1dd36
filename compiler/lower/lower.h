// Lowering: checked program -> IR module. Aggregates disappear, functions are specialised (per float type and per function
// argument), break / continue / early return become structured values, derivatives become DCALL.
#ifndef DP_LOWER_H
#define DP_LOWER_H

#include "ir/ir.h"
#include "sema/sema.h"

typedef struct LowerRoot {
  FnDecl *fn;  // a function of the main module, or
  Expr *expr;  // a function value from sema_expr (then fn is NULL)
  IrElem real; // what `real` stands for
  Name name;   // of the exported IR function
} LowerRoot;

// The module, in `a`, holds every function the roots reach; the roots are exports. NULL after errors (in p->diags), such
// as a recursion that specialises without end.
IrModule *lower_program(Arena *a, Program *p, const LowerRoot *roots, int n);

#endif
