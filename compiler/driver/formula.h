// Sizes and counts as formulas over the names of the program: `8 n m + 16 n`. Polynomials with integer coefficients.
#ifndef DP_FORMULA_H
#define DP_FORMULA_H

#include "ir/ir.h"

typedef struct Formula Formula; // NULL: not the same every time, or not known

const Formula *formula_const(Arena *a, int64_t v);
const Formula *formula_atom(Arena *a, const char *name);
const Formula *formula_add(Arena *a, const Formula *x, const Formula *y);
const Formula *formula_sub(Arena *a, const Formula *x, const Formula *y);
const Formula *formula_mul(Arena *a, const Formula *x, const Formula *y);
bool formula_is_zero(const Formula *x);
const char *formula_text(Arena *a, const Formula *x);

// An int of a function, over its parameters; NULL if it depends on a loop's iteration.
const Formula *formula_of(Arena *a, const IrFunc *f, IrVal v);
// Bytes of a value; of a growable array, those of one element.
const Formula *formula_bytes(Arena *a, const IrFunc *f, IrVal v);
// How often the region of the operation runs each time the operation does.
const Formula *formula_trips(Arena *a, const IrFunc *f, const IrOp *op);

#endif
