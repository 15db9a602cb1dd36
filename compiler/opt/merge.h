// What merge.c and chain.c share: two loops over the same range becoming one.
#ifndef DP_OPT_MERGE_H
#define DP_OPT_MERGE_H

#include "opt/opt.h"

typedef enum MergeKind {
  MERGE_READERS, // FORs that read a common array, and nothing of each other; builds that compute the same
  MERGE_BUILDS,  // builds of one axis too
  MERGE_CHAINS   // the second goes on with what the first made, element by element (chain.c)
} MergeKind;

typedef struct Merge {
  const IrFunc *f;
  Arena *arena;
  MergeKind kind;
  const int *uses; // by value
  bool *tainted;   // by value, while a pair is looked at: depends on its first loop
  IrVal *same;     // by value of a build's body: what it is in the one it is compared with
  IrSums sums;
  IrMap map;
  bool changed;
} Merge;

// What a loop starts with: the initial values of a FOR, arrays without contents for a build's results.
void merge_inits(Merge *m, IrBuilder *b, const IrOp *loop, IrVal *out);

bool chain_fits(const Merge *m, const IrOp *first, const IrOp *second); // same range is given
void chain_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second);

#endif
