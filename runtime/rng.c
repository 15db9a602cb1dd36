// Random numbers: Philox 4x32-10 of Random123, as pure functions of a key and a counter.
// In: a stream's key, an element's counter. Out: the same number at any lane count, in any order, on any thread.
#include "internal.h"

#include <Random123/philox.h>
#include <math.h>

static const double TWO_PI = 6.283185307179586476925286766559;

// The 128 random bits of one counter.
typedef struct Bits {
  uint64_t low, high;
} Bits;

static inline Bits bits_at(int64_t key, int64_t counter) {
  philox4x32_ctr_t c = {{(uint32_t)(uint64_t)counter, (uint32_t)((uint64_t)counter >> 32), 0, 0}};
  philox4x32_key_t k = {{(uint32_t)(uint64_t)key, (uint32_t)((uint64_t)key >> 32)}};
  philox4x32_ctr_t r = philox4x32(c, k);
  return (Bits){.low = (uint64_t)r.v[1] << 32 | r.v[0], .high = (uint64_t)r.v[3] << 32 | r.v[2]};
}

double dprt_rng_uniform(int64_t key, int64_t counter) {
  return (double)(bits_at(key, counter).low >> 11) * 0x1p-53;
}

double dprt_rng_normal(int64_t key, int64_t counter) {
  Bits b = bits_at(key, counter);
  double radius = ((double)(b.low >> 11) + 0.5) * 0x1p-53; // never 0
  double angle = (double)(b.high >> 11) * 0x1p-53;
  return sqrt(-2.0 * log(radius)) * cos(TWO_PI * angle);
}

int64_t dprt_rng_below(int64_t key, int64_t counter, int64_t n) {
  if (n <= 0) return 0;
  return (int64_t)(((unsigned __int128)bits_at(key, counter).low * (uint64_t)n) >> 64);
}

void dprt_rng_permutation(int64_t key, int64_t counter, int64_t n, int64_t *out) {
  for (int64_t i = 0; i < n; i++) {
    int64_t j = dprt_rng_below(key, (int64_t)((uint64_t)counter + (uint64_t)i), i + 1);
    out[i] = out[j];
    out[j] = i;
  }
}

int32_t dprt_permutation(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  int64_t n = in[2].i64;
  if (n < 0)
    return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site, "a permutation cannot have %lld elements", (long long)n);
  int64_t *order = dprt_alloc(ctx, sizeof *order, n, 1, 1, 1);
  if (!order) return (int32_t)dprt_get_error(ctx)->status;
  dprt_rng_permutation(in[0].i64, in[1].i64, n, order);
  out[0].data = order;
  out[1].i64 = n;
  return DPRT_OK;
}
