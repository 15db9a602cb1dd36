// The inputs of random programs: see program_inputs.h.
#include "program_inputs.h"

#include "program_text.h"

#include <string.h>

const FloatLeaf float_leaves[N_LEAVES] = {
    {"x", 0, 1, 0},
    {"y", 0, 1, 1},
    {"v", 1, N, 2},
    {"u", 1, N, 2 + N},
    {"m", 2, N *N, 2 + 2 * N},
    {"p.a", 0, 1, 2 + 2 * N + N *N},
    {"p.w", 1, 3, 3 + 2 * N + N *N},
};

void make_inputs(Inputs *in, uint64_t seed) {
  uint8_t bytes[4 * N_FLOATS];
  program_bytes(seed, bytes, sizeof bytes);
  double flat[N_FLOATS];
  for (int i = 0; i < N_FLOATS; i++) {
    unsigned r = (unsigned)bytes[4 * i] << 16 | (unsigned)bytes[4 * i + 1] << 8 | bytes[4 * i + 2];
    flat[i] = (0.2 + (double)r * 0x1p-24) * (bytes[4 * i + 3] & 1 ? -1.0 : 1.0);
  }
  memcpy(&in->x, flat, sizeof flat);
  static const int64_t idx[N] = {2, 0, 3, 0};
  memcpy(in->idx, idx, sizeof idx);
  in->k = 2;
}

double unit_number(uint64_t stream, uint64_t i) {
  uint8_t b[3];
  program_bytes(stream * 1000003 + i * 71, b, sizeof b);
  return (double)(b[0] << 16 | b[1] << 8 | b[2]) * 0x1p-23 - 1.0;
}
