// `dp gradcheck`: what its two files share. gradcheck_point.c compares the derivatives of one function at one random point,
// gradcheck.c goes through the functions of a program and tells what was found.
#ifndef DP_GRADCHECK_H
#define DP_GRADCHECK_H

#include "dp/dp.h"
#include "driver/command.h"

typedef struct GcLeaf { // a parameter leaf
  const char *path;
  dp_kind kind;
  int rank;
  const char *sizes[DP_MAX_RANK]; // as text over the names of sizes and ints; NULL: any length
  bool in_wrt;                    // a derivative by the parameter exists (zero for the ints within it)
} GcLeaf;

// A derivative that is not what another way of computing it gives.
typedef struct GcFinding {
  const char *what;                                      // a sentence
  const char *argument;                                  // "w[2]" and its value; NULL: not by one argument
  double at, reverse, forward, differences, left, right; // NaN: not known
  bool kink;                                             // quotients from both sides differ
} GcFinding;

typedef struct GcFunction {
  Session *s;
  Arena *arena;
  const FnDecl *decl;
  IrModule *m; // for the oracle, derivatives within expanded
  const IrFunc *ir;
  dp_context *ctx;
  dp_function *f, *vjp, *jvp; // vjp, jvp: NULL where there is no such mode
  GcLeaf *leaves;
  int n_leaves, n_out; // parameter leaves; result leaves without inout parameters
  bool detaches;       // means to differ from the differences
  bool narrow;         // computes in f32
  double tol;
  int64_t seed;
  // the answer
  int endless;                  // inputs at which it ran too long
  int points, kinks;            // points looked at; elements near a kink, which are no mistake
  double worst_dot, worst_diff; // relative
  const char *failed;           // why the latest random inputs would not do
  VEC(GcFinding) findings;
} GcFunction;

// Draws inputs number `attempt` and compares. False: the function fails there (in `failed`); other inputs may do.
bool gradcheck_point(GcFunction *g, int attempt);

#endif
