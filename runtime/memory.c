// Memory: the blocks that arrays live in.
// In: sizes from compiled code and from the runtime itself. Out: 64-byte aligned blocks, counted, limited, and given
// back one by one or all since a mark.
// What must hold: the list of live blocks is ordered by serial, newest first; live_bytes is the sum of their `bytes`.
// A block keeps its size class for life. Freed blocks wait in their class's list, large ones up to CACHE_BYTES in all.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  ALIGN = 64,
  LINEAR_LIMIT = 1024,    // up to here one class every 64 bytes, above it four to every power of two
  LINEAR_CLASSES = 16,    // classes 1 .. 16
  CARVED_LIMIT = 8 << 10, // blocks up to this size are carved from chunks and never given back before the end
  CHUNK_BYTES = 128 << 10, // of these
};
static const int64_t LARGE_BYTES = 256 << 10;          // cached blocks from here on count against CACHE_BYTES
static const int64_t CACHE_BYTES = (int64_t)256 << 20; //
static const int64_t UNLIMITED = INT64_MAX;            //
static const int64_t FIRST_LIMIT = (int64_t)64 << 20;  // before this much is in use, no look at the machine
static const int64_t MAX_BLOCK_BYTES = (int64_t)1 << 46; // beyond what any machine can map

// Under the address sanitizer every block is the host allocator's own, so that an overrun is seen.
#ifdef __SANITIZE_ADDRESS__
static const bool REUSE = false;
#else
static const bool REUSE = true;
#endif

typedef struct MemChunk {
  struct MemChunk *next;
} MemChunk;

static inline int class_of(int64_t bytes, int64_t *capacity) {
  if (bytes <= LINEAR_LIMIT) {
    int c = bytes <= ALIGN ? 1 : (int)((bytes + ALIGN - 1) / ALIGN);
    *capacity = (int64_t)c * ALIGN;
    return c;
  }
  uint64_t last = (uint64_t)bytes - 1;
  int power = 63 - __builtin_clzll(last);
  int quarter = (int)(last >> (power - 2)) & 3;
  *capacity = (int64_t)(5 + quarter) << (power - 2);
  return LINEAR_CLASSES + 1 + (power - 10) * 4 + quarter;
}

void *dprt_raw_alloc(dprt_ctx *ctx, size_t bytes) {
  return ctx->hooks.alloc ? ctx->hooks.alloc(ctx->hooks.user, bytes) : malloc(bytes);
}

void dprt_raw_free(dprt_ctx *ctx, void *raw) {
  if (!raw) return;
  if (ctx->hooks.free)
    ctx->hooks.free(ctx->hooks.user, raw);
  else
    free(raw);
}

// ---- new blocks ----------------------------------------------------------------------------------------------

static char *align_up(char *p) { return (char *)(((uintptr_t)p + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1)); }

void dprt_trim(dprt_ctx *ctx) {
  for (int c = 0; c < MEM_CLASSES; c++) {
    MemBlock **link = &ctx->free_lists[c];
    while (*link) {
      MemBlock *b = *link;
      if (b->raw) {
        *link = b->next;
        dprt_raw_free(ctx, b->raw);
      } else {
        link = &b->next;
      }
    }
  }
  ctx->cached_large_bytes = 0;
}

static void *raw_or_cache(dprt_ctx *ctx, size_t bytes) {
  void *raw = dprt_raw_alloc(ctx, bytes);
  if (!raw) {
    dprt_trim(ctx);
    raw = dprt_raw_alloc(ctx, bytes);
  }
  return raw;
}

static MemBlock *carve(dprt_ctx *ctx, int64_t capacity) {
  size_t need = sizeof(MemBlock) <= ALIGN ? ALIGN + (size_t)capacity : 0;
  if ((size_t)(ctx->carve_end - ctx->carve) < need) {
    MemChunk *chunk = raw_or_cache(ctx, CHUNK_BYTES);
    if (!chunk) return NULL;
    chunk->next = ctx->chunks;
    ctx->chunks = chunk;
    ctx->carve = align_up((char *)(chunk + 1));
    ctx->carve_end = (char *)chunk + CHUNK_BYTES;
  }
  MemBlock *b = (MemBlock *)ctx->carve;
  ctx->carve += need;
  b->raw = NULL;
  return b;
}

static MemBlock *block_new(dprt_ctx *ctx, int size_class, int64_t capacity) {
  MemBlock *b;
  if (REUSE && capacity <= CARVED_LIMIT) {
    b = carve(ctx, capacity);
  } else {
    // Large blocks all start at the same place in a page, where streams over several arrays would collide: spread them.
    size_t shift = capacity >= LARGE_BYTES ? 5 * ALIGN * (ctx->color++ & 7) : 0;
    void *raw = raw_or_cache(ctx, (size_t)capacity + 2 * ALIGN + shift);
    b = raw ? (MemBlock *)align_up((char *)raw + shift) : NULL;
    if (b) b->raw = raw;
  }
  if (b) {
    b->capacity = capacity;
    b->size_class = size_class;
  }
  return b;
}

// ---- limits --------------------------------------------------------------------------------------------------

static int64_t machine_limit(void) {
  int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  int64_t limit = pages > 0 && page > 0 ? pages * page : UNLIMITED;
  FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
  if (f) {
    long long group;
    if (fscanf(f, "%lld", &group) == 1 && group > 0 && group < limit) limit = group;
    fclose(f);
  }
  return limit;
}

void dprt_memory_limit(dprt_ctx *ctx, int64_t bytes) {
  ctx->limit = bytes > 0 ? bytes : UNLIMITED;
  ctx->limit_pending = false;
}

static void *fail_memory(dprt_ctx *ctx, int64_t bytes) {
  char want[SHORTEST_BYTES], live[SHORTEST_BYTES], limit[SHORTEST_BYTES];
  dprt_human_bytes(want, bytes);
  dprt_human_bytes(live, ctx->live_bytes);
  dprt_human_bytes(limit, ctx->limit);
  if (bytes > ctx->limit - ctx->live_bytes)
    dprt_fail(ctx, DPRT_MEMORY, ctx->site,
              "out of memory: %s more do not fit beside %s in use and a limit of %s", want, live, limit);
  else
    dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory: the system has no %s more (%s in use)", want,
              live);
  return NULL;
}

// Whether `bytes` more may be live; looks up the machine's memory the first time it matters.
static bool within_limit(dprt_ctx *ctx, int64_t bytes) {
  if (bytes > ctx->limit - ctx->live_bytes && ctx->limit_pending) {
    ctx->limit = machine_limit();
    ctx->limit_pending = false;
  }
  return bytes <= ctx->limit - ctx->live_bytes;
}

// ---- allocation ----------------------------------------------------------------------------------------------

static inline void count_live(dprt_ctx *ctx, int64_t bytes) {
  ctx->live_bytes += bytes;
  if (ctx->live_bytes > ctx->peak_bytes) ctx->peak_bytes = ctx->live_bytes;
}

static inline MemBlock *block_take(dprt_ctx *ctx, int64_t bytes) {
  bytes = bytes ? (bytes + ALIGN - 1) & ~(int64_t)(ALIGN - 1) : ALIGN;
  if (__builtin_expect(bytes > ctx->limit - ctx->live_bytes, 0) && !within_limit(ctx, bytes))
    return fail_memory(ctx, bytes);
  int64_t capacity;
  int c = class_of(bytes, &capacity);
  MemBlock *b = ctx->free_lists[c];
  if (__builtin_expect(b != NULL, 1)) {
    ctx->free_lists[c] = b->next;
    if (capacity >= LARGE_BYTES) ctx->cached_large_bytes -= capacity;
  } else if (!(b = block_new(ctx, c, capacity))) {
    return fail_memory(ctx, bytes);
  }
  b->bytes = bytes;
  count_live(ctx, bytes);
  return b;
}

static inline void link_after(MemBlock *place, MemBlock *b) {
  b->prev = place;
  b->next = place->next;
  place->next->prev = b;
  place->next = b;
}

static inline void unlink_block(MemBlock *b) {
  b->prev->next = b->next;
  b->next->prev = b->prev;
}

static inline void block_give_back(dprt_ctx *ctx, MemBlock *b) {
  ctx->live_bytes -= b->bytes;
  if (__builtin_expect(b->capacity >= LARGE_BYTES || !REUSE, 0)) {
    if (!REUSE || ctx->cached_large_bytes + b->capacity > CACHE_BYTES) {
      dprt_raw_free(ctx, b->raw);
      return;
    }
    ctx->cached_large_bytes += b->capacity;
  }
  b->next = ctx->free_lists[b->size_class];
  ctx->free_lists[b->size_class] = b;
}

static inline MemBlock *block_of(void *data) { return (MemBlock *)((char *)data - ALIGN); }
static inline void *data_of(MemBlock *b) { return (char *)b + ALIGN; }

static void *fail_size(dprt_ctx *ctx, int64_t elem_bytes, const int64_t n[4]) {
  int rank = 4;
  while (rank > 1 && n[rank - 1] == 1) rank--;
  char sizes[4 * 24];
  int len = 0;
  bool negative = false;
  for (int i = 0; i < rank; i++) {
    len += snprintf(sizes + len, sizeof sizes - (size_t)len, "%s%lld", i ? ", " : "", (long long)n[i]);
    negative |= n[i] < 0;
  }
  if (negative)
    dprt_fail(ctx, DPRT_SIZE, ctx->site, "an array cannot have the negative size [%s]", sizes);
  else
    dprt_fail(ctx, DPRT_MEMORY, ctx->site,
              "an array of size [%s] with %lld bytes per element is larger than any memory", sizes,
              (long long)elem_bytes);
  return NULL;
}

void *dprt_alloc(dprt_ctx *ctx, int64_t elem_bytes, int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
  int64_t bytes;
  bool over = __builtin_mul_overflow(elem_bytes, n0, &bytes);
  over |= __builtin_mul_overflow(bytes, n1, &bytes);
  over |= __builtin_mul_overflow(bytes, n2, &bytes);
  over |= __builtin_mul_overflow(bytes, n3, &bytes);
  bool negative = (elem_bytes | n0 | n1 | n2 | n3) < 0;
  if (__builtin_expect(over || negative || bytes > MAX_BLOCK_BYTES, 0)) {
    bool empty = n0 == 0 || n1 == 0 || n2 == 0 || n3 == 0;
    if (negative || !empty) return fail_size(ctx, elem_bytes, (int64_t[4]){n0, n1, n2, n3});
    bytes = 0;
  }
  MemBlock *b = block_take(ctx, bytes);
  if (__builtin_expect(!b, 0)) return NULL;
  b->serial = ++ctx->serial;
  link_after(&ctx->live, b);
  return data_of(b);
}

void dprt_free(dprt_ctx *ctx, void *block) {
  if (!block) return;
  MemBlock *b = block_of(block);
  unlink_block(b);
  block_give_back(ctx, b);
}

int64_t dprt_room(const void *block) { return block ? block_of((void *)block)->capacity : 0; }

// The block's bytes in the accounts become `bytes`, for which it has room.
static bool regrow_in_place(dprt_ctx *ctx, MemBlock *b, int64_t bytes) {
  int64_t more = ((bytes + ALIGN - 1) & ~(int64_t)(ALIGN - 1)) - b->bytes;
  if (more > 0) {
    if (!within_limit(ctx, more)) return fail_memory(ctx, more) != NULL;
    b->bytes += more;
    count_live(ctx, more);
  }
  return true;
}

void *dprt_grow(dprt_ctx *ctx, void *block, int64_t elem_bytes, int64_t len, int64_t count) {
  int64_t need;
  if (elem_bytes < 0 || len < 0 || count < 0 || __builtin_mul_overflow(elem_bytes, count, &need) ||
      need > MAX_BLOCK_BYTES)
    return fail_size(ctx, elem_bytes, (int64_t[4]){count, 1, 1, 1});
  if (!block) return dprt_alloc(ctx, elem_bytes, count, 1, 1, 1);
  MemBlock *old = block_of(block);
  if (need <= old->capacity) return regrow_in_place(ctx, old, need) ? block : NULL;

  // Twice the size while small, half as much again when large; just what is needed when that is all there is.
  int64_t spare = old->capacity < LARGE_BYTES ? old->capacity : old->capacity / 2;
  int64_t want = old->capacity + spare > need ? old->capacity + spare : need;
  if (!within_limit(ctx, want + ALIGN)) want = need;
  MemBlock *b = block_take(ctx, want);
  if (!b) return NULL;
  // The larger block takes the old one's place in age: what a caller owned before a mark survives a release to it.
  b->serial = old->serial;
  link_after(old, b);
  unlink_block(old);
  memcpy(data_of(b), block, (size_t)(len * elem_bytes));
  block_give_back(ctx, old);
  return data_of(b);
}

uint64_t dprt_mark(dprt_ctx *ctx) { return ctx->serial; }

void dprt_release(dprt_ctx *ctx, uint64_t mark) {
  MemBlock *b = ctx->live.next;
  while (b != &ctx->live && b->serial > mark) {
    MemBlock *next = b->next;
    block_give_back(ctx, b);
    b = next;
  }
  ctx->live.next = b;
  b->prev = &ctx->live;
}

int64_t dprt_live_bytes(const dprt_ctx *ctx) { return ctx->live_bytes; }
int64_t dprt_peak_bytes(const dprt_ctx *ctx) { return ctx->peak_bytes; }

// ---- the context's beginning and end -------------------------------------------------------------------------

void dprt_memory_init(dprt_ctx *ctx) {
  _Static_assert(sizeof(MemBlock) <= ALIGN, "a header fits before its block");
  ctx->live.next = ctx->live.prev = &ctx->live;
  ctx->limit = FIRST_LIMIT;
  ctx->limit_pending = true;
}

void dprt_memory_free_all(dprt_ctx *ctx) {
  dprt_release(ctx, 0);
  dprt_trim(ctx);
  for (MemChunk *chunk = ctx->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    dprt_raw_free(ctx, chunk);
  }
}
