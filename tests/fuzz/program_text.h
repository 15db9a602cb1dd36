// Random dp programs for tests: well typed, ending, smooth nearly everywhere around their inputs, and with bounded values.
//
// All choices are read from a string of bytes: the same bytes give the same program, fewer or smaller bytes a smaller one
// (behind their end every choice is the simplest), so a shrinker or a fuzzer can work on the bytes.
//
// The function under test is always
//     fn f(x: f64, y: f64, v: [n]f64, u: [n]f64, m: [n, n]f64, p: P, idx: [n]int, k: int) -> f64
// with `struct P { a: f64, w: [3]f64 }`; it expects n >= 3, 0 <= idx[i] < n and a small k >= 0. In one program of three a number,
// the size of its inputs, stands for n. Its own functions are random too; a few others are the same for all programs.
#ifndef DP_PROGRAM_TEXT_H
#define DP_PROGRAM_TEXT_H

#include "program_inputs.h"

#include <stddef.h>
#include <stdint.h>

#define PROGRAM_FEATURES(X)                                                                                  \
  X(NESTED_LOOPS, "nested loops")                                                                            \
  X(BRANCHES, "branches")                                                                                    \
  X(WHILE, "while")                                                                                          \
  X(RECURSION, "recursion")                                                                                  \
  X(UPDATES, "element updates")                                                                              \
  X(STRUCTS, "structs")                                                                                      \
  X(SLICES, "slices")                                                                                        \
  X(CALLS, "calls")                                                                                          \
  X(SINGLES, "f32")                                                                                          \
  X(CHECKPOINTS, "checkpoints")                                                                              \
  X(SIZES, "known sizes")

enum {
#define FEATURE_BIT(name, text) FEATURE_BIT_##name,
  PROGRAM_FEATURES(FEATURE_BIT) N_FEATURES
#undef FEATURE_BIT
};

typedef enum ProgramFeature {
#define FEATURE(name, text) FEATURE_##name = 1 << FEATURE_BIT_##name,
  PROGRAM_FEATURES(FEATURE)
#undef FEATURE
} ProgramFeature;

typedef struct ProgramText {
  char *text; // malloc; NULL when out of memory
  size_t len;
  unsigned features; // ProgramFeature
} ProgramText;

ProgramText program_text(ProgramSeed seed);
// Several programs in one file: what all of them share, and one program, all of whose functions end in _<number>.
const char *program_shared(void);
ProgramText program_piece(ProgramSeed seed, int number);

void program_bytes(uint64_t seed, uint8_t *out, size_t n);

#endif
