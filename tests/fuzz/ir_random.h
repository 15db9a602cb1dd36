// Random IR functions for tests: structured, well typed, ending, and smooth around every input that `ir_random_args` gives,
// so that their derivatives can be compared with differences.
//
// All choices are read from a string of bytes, so that the same bytes give the same function (as long as the same C compiler
// orders the arguments of calls), fewer bytes a smaller one (behind their end every choice is the simplest), and a fuzzer or a
// shrinker can work on the bytes.
#ifndef DP_IR_RANDOM_H
#define DP_IR_RANDOM_H

#include "ir/ir.h"

typedef struct IrRandomBytes {
  const uint8_t *data;
  size_t len, at;
} IrRandomBytes;

// `len` bytes that follow from the seed.
uint8_t *ir_random_bytes(Arena *a, uint64_t seed, size_t len);

// A module with a random exported function @main and the functions that it may call: with rules of their own and without.
IrModule *ir_random_module(Arena *a, Interner *names, const Sources *sources, IrRandomBytes *bytes);

// Arguments for f: sizes from 1 to 4, floats in [0.2, 1.2] with either sign.
void ir_random_args(Arena *a, const IrFunc *f, uint64_t seed, IrCell *args);
// A cell of the same type and sizes with other numbers, drawn in the same way.
IrCell ir_random_like(Arena *a, const IrCell *c, uint64_t *state);

#endif
