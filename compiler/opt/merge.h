// What merge.c and chain.c share: two loops over the same range becoming one.
#ifndef DP_OPT_MERGE_H
#define DP_OPT_MERGE_H

#include "opt/scalar.h"

typedef enum MergeKind {
  MERGE_READERS, // FORs that read a common array, and nothing of each other; builds that compute the same
  MERGE_BUILDS,  // builds of one axis too
  MERGE_CHAINS,  // the second goes on with what the first made, element by element (chain.c)
  MERGE_WAVES,   // the same with neighbours' elements (wave.c)
  MERGE_SKEWS    // one counts up and the other down (skew.c)
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

bool chain_fits(const Merge *m, const IrOp *first, const IrOp *second);
void chain_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second);

bool skew_fits(const Merge *m, const IrOp *first, const IrOp *second);
void skew_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second);

// ---- wave.c: in which order ----------------------------------------------------------------------------------------------

typedef enum WaveOrder { WAVE_ANY, WAVE_UP, WAVE_DOWN, WAVE_NONE } WaveOrder;

bool wave_steps_by_one(const Merge *m, const IrOp *loop); // up or down
bool wave_same_range(const Merge *m, const IrOp *first, const IrOp *second);
bool wave_is_parallel(const Merge *m, const IrOp *loop); // but for sums
bool wave_counts_down(const Merge *m, const IrOp *loop);
void wave_range(const Merge *m, const IrOp *loop, Affine *lo, Affine *hi); // from lo up to, but without, hi
IrVal wave_bound(IrBuilder *b, const Merge *m, Affine a, int64_t more);    // a + more
// Light, parallel loops over the same range that must run in opposite orders.
bool wave_opposite(const Merge *m, const IrOp *first, const IrOp *second);
// The iterations of the two as one loop; WAVE_NONE: they cannot be one, or it would not pay.
WaveOrder wave_order(const Merge *m, const IrOp *first, const IrOp *second);
// The second reads the first's result k at index i + shift too; 0: it does not, or otherwise.
int wave_shift(const Merge *m, const IrOp *first, int k, const IrOp *second);
// Where it does: what the first makes at index i, and what stands at the index before its first one.
IrVal wave_made(const Merge *m, const IrOp *first, int k);
IrVal wave_start(const Merge *m, IrBuilder *b, const IrOp *first, int k);
// How often the loop reads the array, always at its own index; -1: it does otherwise.
int wave_reads(const Merge *m, const IrOp *loop, IrVal array);
IrOp *wave_open(const Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second, WaveOrder order,
                const IrVal *inits, int n, IrBuilder *in);

#endif
