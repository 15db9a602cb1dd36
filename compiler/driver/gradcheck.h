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
  dp_function
      *second; // jvp(vjp(f)): second derivatives are asked for, and forward mode has all the rules it needs
  dp_function *twice;    // vjp(vjp(f)), or NULL
  const char *no_second; // why not
  bool detaches;         // means to differ from the differences
  bool narrow;           // computes in f32
  double tol;
  int64_t seed;
  // the answer
  int endless;                  // inputs at which it ran too long
  int points, kinks;            // points looked at; elements near a kink, which are no mistake
  double worst_dot, worst_diff; // relative
  double worst_twice, worst_second_diff;
  const char *failed; // why the latest random inputs would not do
  VEC(GcFinding) findings;
} GcFunction;

// ---- one point: what gradcheck_point.c and gradcheck_second.c share -------------------------------------------------

typedef struct GcNamed {
  const char *name;
  int64_t value;
} GcNamed;

typedef struct GcPoint {
  GcFunction *g;
  int attempt;
  int64_t key, counter;
  VEC(GcNamed) names;      // sizes and int parameters
  dp_value *x, *direction; // by leaf
  dp_value *weights;       // by result leaf
  double value;            // <w, f(x)>
  double scale;            // of the derivative
} GcPoint;

int64_t gc_count(const dp_value *v); // elements
bool gc_holds_floats(const dp_value *v);
double gc_get(const dp_value *v, int64_t i);
void gc_set(dp_value *v, int64_t i, double x);
dp_value gc_like(GcPoint *p, const dp_value *v); // zeros
void gc_fill_random(GcPoint *p, dp_value *v, double lo, double hi);
// Calls f with leaves and more leaves, sizes that no array has in front. False: it failed, g->failed says why.
bool gc_call(GcPoint *p, dp_function *f, const dp_value *leaves, int n, const dp_value *more, int n_more,
             dp_value *out);
dp_value *gc_room(GcPoint *p, dp_function *f, int *n); // for its results, n of them
void gc_let_go(GcPoint *p, dp_value *out, int n);
double gc_product(const dp_value *a, const dp_value *b, double *magnitude);
GcFinding *gc_found(GcPoint *p, const char *what);
const char *gc_element_name(GcPoint *p, int leaf, int64_t at);
double gc_exactness(const GcFunction *g); // what rounding may do to a derivative, relative

// Second derivatives at the point, beside differences of the gradient and beside each other.
void gradcheck_second(GcPoint *p, const dp_value *gradient);

// Draws inputs number `attempt` and compares. False: the function fails there (in `failed`); other inputs may do.
bool gradcheck_point(GcFunction *g, int attempt);

#endif
