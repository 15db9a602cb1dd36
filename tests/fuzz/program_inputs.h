// The inputs of random programs: the parameters of f in their order, and their float leaves as one row of numbers.
#ifndef DP_PROGRAM_INPUTS_H
#define DP_PROGRAM_INPUTS_H

#include <stddef.h>
#include <stdint.h>

enum { N = 4, N_FLOATS = 2 + N + N + N * N + 1 + 3, N_LEAVES = 7 };

typedef struct Inputs { // in the order of f's parameters
  double x, y, v[N], u[N], m[N * N], a, w[3];
  int64_t idx[N], k;
} Inputs;

typedef struct FloatLeaf {
  const char *path;
  int rank, count, at; // at: in the row
} FloatLeaf;
extern const FloatLeaf float_leaves[N_LEAVES];

void make_inputs(Inputs *in, uint64_t seed); // in ±[0.2, 1.2]
static inline const double *inputs_flat(const Inputs *in) { return &in->x; }
double unit_number(uint64_t stream, uint64_t i); // from -1 to 1

#endif
