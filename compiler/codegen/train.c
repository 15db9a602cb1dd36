#include "codegen/internal.h"
void cg_emit_train(Fn *fn, const IrOp *op) { (void)op; cg_bug(fn->cg, "training"); }
