// What the scalar passes share (simplify, cse, licm, dce, checks): numbers per operation, folding, and questions about
// operations that several of them ask.
#ifndef DP_OPT_SCALAR_H
#define DP_OPT_SCALAR_H

#include "opt/opt.h"

// ---- scalar.c ----------------------------------------------------------------------------------------------------

// Numbers by operation (or any other pointer). A zero-filled table is empty.
typedef struct PtrMap {
  const void **keys;
  uint32_t *vals;
  uint32_t cap, len; // cap is a power of two
} PtrMap;

uint32_t ptr_get(const PtrMap *m, const void *key); // 0 if it is not there
void ptr_put(Arena *a, PtrMap *m, const void *key, uint32_t val);

#endif
