// Optimisation: IR -> IR. Each pass is a file of its own and a function from a function to a function.
//
// All but memory expect and keep ordinary IR: every array is a value. Floating-point results keep
// their bits in all of them. memory comes last: afterwards every operation that uses up its operand finds it dead,
// explicit COPY operations stand where an array is still needed, and FREE ends each life.
#ifndef DP_OPT_H
#define DP_OPT_H

#include "ir/ir.h"

#define PASS(name, what) IrFunc *opt_##name(IrFunc *f);
#include "passes.def"
#undef PASS

typedef struct OptOptions {
  int level;              // 0: only what must be (inline nothing, memory); 1..3
  const char *stop_after; // pass name, NULL: all
  const bool *disabled;   // by pass (OptPass); NULL: none
  void (*dump)(void *user, const char *pass, const IrFunc *f); // called after each pass, may be NULL
  void *user;
} OptOptions;

typedef enum OptPass {
#define PASS(name, what) OPT_##name,
#include "passes.def"
#undef PASS
  OPT_PASS_COUNT
} OptPass;

const char *opt_pass_name(OptPass p);
const char *opt_pass_text(OptPass p);
int opt_pass_find(const char *name); // -1: no such pass
// Switches off what makes code for the machine and not for reading: the loops stand as they do in the program.
void opt_for_reading(bool disabled[OPT_PASS_COUNT]);

// Before differentiation: calls of all that is not too large, or has a derivative rule, become bodies.
IrFunc *opt_inline_early(IrFunc *f);
// Everything but memory on one function: before and after differentiation. Callees first.
IrFunc *opt_function(IrFunc *f, const OptOptions *o);
// The whole module: every function optimised, functions that nothing reaches dropped, memory decided.
void opt_module(IrModule *m, const OptOptions *o);

#endif
