// The inputs of random programs: see program_inputs.h.
#include "program_inputs.h"

#include "program_text.h"

static void lay_out(Inputs *in, int n) {
  const FloatLeaf leaves[N_LEAVES] = {{"x", 0, 1, 0},     {"y", 0, 1, 0},   {"v", 1, n, 0},  {"u", 1, n, 0},
                                      {"m", 2, n * n, 0}, {"p.a", 0, 1, 0}, {"p.w", 1, 3, 0}};
  in->n = n;
  in->n_floats = 0;
  for (int l = 0; l < N_LEAVES; l++) {
    in->leaves[l] = leaves[l];
    in->leaves[l].at = in->n_floats;
    in->n_floats += leaves[l].count;
  }
}

// By the first byte too, as most programs are of a few sizes.
void make_inputs(Inputs *in, ProgramSeed seed) {
  static const int sizes[16] = {4, 3, 5, 4, 3, 6, 4, 8, 3, 7, 4, 5, 9, 3, MAX_N, 4};
  static const int depths[8] = {2, 1, 2, 3, 2, 0, 2, 2};
  uint8_t bytes[4 * MAX_FLOATS];
  program_bytes(seed.n + 1000 * (uint64_t)(seed.n ? seed.bytes[0] : 0), bytes, sizeof bytes);
  lay_out(in, sizes[bytes[2] % 16]);
  for (int i = 0; i < in->n_floats; i++) {
    unsigned r = (unsigned)bytes[4 * i] << 16 | (unsigned)bytes[4 * i + 1] << 8 | bytes[4 * i + 2];
    in->row[i] = (0.2 + (double)r * 0x1p-24) * (bytes[4 * i + 3] & 1 ? -1.0 : 1.0);
  }
  for (int i = 0; i < in->n; i++) in->idx[i] = (2 + 3 * i) % (in->n - 1) + (i == 2); // some twice
  in->k = depths[bytes[6] % 8];
}

double unit_number(uint64_t stream, uint64_t i) {
  uint8_t b[3];
  program_bytes(stream * 1000003 + i * 71, b, sizeof b);
  return (double)(b[0] << 16 | b[1] << 8 | b[2]) * 0x1p-23 - 1.0;
}
