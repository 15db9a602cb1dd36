// The inputs of random programs: the parameters of f in their order, and their float leaves as one row of numbers.
#ifndef DP_PROGRAM_INPUTS_H
#define DP_PROGRAM_INPUTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ProgramSeed { // what a program is made from, and its inputs
  const uint8_t *bytes;
  size_t n;
} ProgramSeed;

enum { MAX_N = 16, MAX_FLOATS = 2 + 2 * MAX_N + MAX_N * MAX_N + 1 + 3, N_LEAVES = 7 };

typedef struct FloatLeaf {
  const char *path;
  int rank, count, at; // at: in the row
} FloatLeaf;

typedef struct Inputs {
  int n, n_floats;
  FloatLeaf leaves[N_LEAVES]; // in the order of f's parameters
  double row[MAX_FLOATS];
  int64_t idx[MAX_N], k;
} Inputs;

typedef enum LeafName { LEAF_X, LEAF_Y, LEAF_V, LEAF_U, LEAF_M, LEAF_A, LEAF_W } LeafName;
static inline const double *leaf_at(const Inputs *in, LeafName l) { return in->row + in->leaves[l].at; }

void make_inputs(Inputs *in, ProgramSeed seed);  // in ±[0.2, 1.2], of sizes from 3 to MAX_N
double unit_number(uint64_t stream, uint64_t i); // from -1 to 1

#endif
