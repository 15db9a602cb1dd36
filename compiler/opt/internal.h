// What the files of opt/ share.
#ifndef DP_OPT_INTERNAL_H
#define DP_OPT_INTERNAL_H

#include "opt/opt.h"

int opt_region_size(const IrRegion *r); // operations, nested ones included

// ---- split.c ------------------------------------------------------------------------------------------------------

enum {
  OPT_LARGEST_SPLIT = 160, // operations of a loop that is split
  OPT_WIDEST_BORDER = 4    // iterations at either end that are split off together
};
// Does the condition compare the loop's index with a value from outside? Then split decides it.
bool opt_turns(const IrFunc *f, IrVal cond, const IrRegion *body);

// Only calls of C functions, so that their errors have the place of the call.
IrFunc *opt_inline_externs(IrFunc *f);
// The operations of r from `first` on are copies out of the callee: they came in through the call.
void opt_relocate(IrModule *m, const IrRegion *r, int first, const IrOp *call, const IrFunc *callee);

// ---- touch.c: the axes, a bit each, on which a loop touches an array by its own index alone; 0: none ---------------

int opt_axes_read(Arena *scratch, const IrFunc *f, const IrOp *loop,
                  IrVal array); // one from outside the loop
int opt_axes_carried(Arena *scratch, const IrFunc *f, const IrOp *loop,
                     int k); // carried, or built by a build

// The operation around region r, branches aside; NULL: the function.
const IrOp *opt_loop_around(const IrRegion *r);

// Is v the loop's index in region r, be it a constant that a branch around compares the index with (`if %i == 0 { acc %a, 0, %v }`)?
bool opt_is_index(const IrFunc *f, const IrOp *loop, IrVal v, const IrRegion *r);

// By value: something changes it, carries it on or hands it on; an array that is not taken is only read by GET.
const bool *opt_taken(Arena *a, const IrFunc *f);

// ---- starts.c ---------------------------------------------------------------------------------------------------

// What result k of a fill or a build is at an index, one per axis, computed anew.
IrVal opt_start_element(IrBuilder *b, IrMap *map, const IrOp *made, int k, const IrVal *index);

// ---- small.c: arrays of a few elements --------------------------------------------------------------------------

typedef struct KnownSizes {
  const IrFunc *f;
  IrVal *by_value; // the constant that a check at the function's front says it is; 0: none
} KnownSizes;

void opt_known_sizes(Arena *a, const IrFunc *f, KnownSizes *out);
int64_t opt_size(const KnownSizes *k, IrVal size);    // -1: not known
int opt_small_elements(const KnownSizes *k, IrVal v); // how many elements; 0: not known, none, or not few
// An element by its number in row-major order; -1 where the indices are not constants within the array.
int opt_flat_index(const KnownSizes *k, IrVal array, const IrVal *idx);
void opt_indices_of(IrBuilder *b, const KnownSizes *k, IrVal array, int flat, IrVal *idx);

#endif
