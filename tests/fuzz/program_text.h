// Random dp programs for tests: well typed, ending, smooth nearly everywhere around their inputs, and with bounded values.
//
// All choices are read from a string of bytes: the same bytes give the same program, fewer or smaller bytes a smaller one
// (behind their end every choice is the simplest), so a shrinker or a fuzzer can work on the bytes.
//
// The function under test is always
//     fn f(x: f64, y: f64, v: [n]f64, u: [n]f64, m: [n, n]f64, p: P, idx: [n]int, k: int) -> f64
// with `struct P { a: f64, w: [3]f64 }`; it expects n >= 2, 0 <= idx[i] < n and a small k >= 0.
#ifndef DP_PROGRAM_TEXT_H
#define DP_PROGRAM_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct ProgramText {
  char *text; // malloc
  size_t len;
} ProgramText;

ProgramText program_text(const uint8_t *bytes, size_t n); // text is NULL when out of memory
void program_bytes(uint64_t seed, uint8_t *out, size_t n);

#endif
