// What the scalar passes share (simplify, cse, licm, dce, checks): numbers per operation, constants, and the pieces of
// simplify, which is more than a file.
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

// The operation that defines v if it is of kind k, else NULL.
const IrOp *op_of(const IrFunc *f, IrVal v, IrOpKind k);
// An int as base + offset (wrapping): %n + 3 is (%n, 3), a constant is (0, its value).
typedef struct Affine {
  IrVal base;
  int64_t offset;
} Affine;
Affine affine_of(const IrFunc *f, IrVal v);
// Equal whatever the operands are; different whatever they are. Neither: not known.
bool ints_equal(const IrFunc *f, IrVal a, IrVal b);
bool ints_differ(const IrFunc *f, IrVal a, IrVal b);
// Two's complement, without undefined behaviour.
static inline int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static inline int64_t wrap_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

// ---- fold.c: constants -------------------------------------------------------------------------------------------

typedef struct Const {
  IrElem elem; // bool, int, f32, f64
  union {
    int64_t i;
    double f;
  } v;
} Const;

bool const_get(const IrFunc *f, IrVal v, Const *out);
bool const_same(Const a, Const b);            // bit for bit
bool const_is_zero(const IrFunc *f, IrVal v); // 0.0 or -0.0
IrVal const_emit(IrBuilder *b, Const c);
// What operation k makes of constants, exactly as at run time; false where that is not known (elementary functions) or
// where it is an error or NaN (whose sign and payload are the machine's business). `to`: what conversions convert to.
bool const_fold(IrOpKind k, IrElem to, const Const *args, int n, Const *out);
// How often a loop from lo to hi by step runs.
uint64_t const_trips(int64_t lo, int64_t hi, int64_t step);

// ---- simplify.c, simplify_scalar.c, simplify_array.c ----------------------------------------------------------------

typedef struct Fact { // inside a branch: what its condition says
  IrVal v;            // of the new function
  bool truth;
} Fact;

typedef struct Simplify {
  const IrFunc *from;
  int *uses; // by value of `from`
  VEC(Fact) facts;
  bool changed; // something that may make room for more
} Simplify;

bool known_bool(const Simplify *s, const IrFunc *f, IrVal v, bool *out); // by constant or fact
// The value of operation k on args (in the new function) where there is something simpler than the operation, else 0.
IrVal simplify_scalar(Simplify *s, IrBuilder *b, IrOpKind k, IrElem to, const IrVal *args, int n);
IrVal simplify_get(const IrFunc *f, const IrVal *args,
                   int n); // GET: the element, if it is at hand as a scalar
bool simplify_len(const IrFunc *f, IrVal array, int64_t *out); // LEN
// SET: the version it changes was set in the same place.
bool simplify_overwritten(const IrFunc *f, const IrVal *args, int n);
// Checks that cannot fail.
bool simplify_check(const Simplify *s, const IrFunc *f, const IrOp *op, const IrVal *args);

#endif
