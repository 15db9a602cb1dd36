// What the files of opt/ share.
#ifndef DP_OPT_INTERNAL_H
#define DP_OPT_INTERNAL_H

#include "opt/opt.h"

int opt_region_size(const IrRegion *r); // operations, nested ones included
IrFunc *opt_inline_rules(IrFunc *f);    // as opt_inline, functions with a derivative rule too
IrFunc *
opt_inline_externs(IrFunc *f); // only calls of C functions, so that their errors have the place of the call

#endif
