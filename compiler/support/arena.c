// Arena: memory freed all at once. In: sizes; out: zeroed, 16-byte aligned blocks. Every stage allocates here.
// What must hold: a chunk's bytes past `used` are zero, because they come from calloc (or from whoever gave the memory)
// and are handed out once only.
#include "support/support.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16, FIRST_CHUNK = 64 * 1024, LARGEST_CHUNK = 1024 * 1024 };

// What an exhausted arena may still hand out, so that whoever caught the unwinding can report it.
enum { REPORT_SLACK = 256 * 1024 };

typedef struct Chunk {
  struct Chunk *prev;
  size_t cap, used;
  _Alignas(ARENA_ALIGN) unsigned char data[];
} Chunk;

struct Arena {
  Chunk *last;
  size_t used, budget;
  void *unwind; // jmp_buf *
  bool within;  // it and its one chunk lie in somebody else's memory
};

Arena *arena_new(size_t budget_bytes) {
  Arena *a = calloc(1, sizeof *a);
  if (a) a->budget = budget_bytes;
  return a;
}

Arena *arena_within(void *memory, size_t bytes) {
  Arena *a = memory;
  size_t at = (sizeof *a + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
  *a = (Arena){.within = true, .last = (Chunk *)((unsigned char *)memory + at)};
  a->last->cap = bytes - at - sizeof(Chunk);
  return a;
}

void arena_clear(Arena *a) {
  if (a->within) return;
  for (Chunk *c = a->last, *prev; c; c = prev) {
    prev = c->prev;
    free(c);
  }
  a->last = NULL;
  a->used = 0;
}

void arena_free(Arena *a) {
  if (!a) return;
  arena_clear(a);
  if (!a->within) free(a);
}

void arena_limit(Arena *a, size_t budget_bytes) { a->budget = budget_bytes; }

void arena_on_exhausted(Arena *a, void *jmpbuf) { a->unwind = jmpbuf; }

size_t arena_used(const Arena *a) { return a->used; }

static _Noreturn void exhausted(Arena *a) {
  if (a->budget) a->budget += REPORT_SLACK;
  if (a->unwind) longjmp(*(jmp_buf *)a->unwind, 1);
  __builtin_trap(); // nobody to unwind to: stopping here is the only way not to hand out a wild pointer
}

static size_t round_up(Arena *a, size_t bytes) {
  if (bytes > SIZE_MAX / 4) exhausted(a);
  return (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

static void charge(Arena *a, size_t bytes) {
  if (a->budget && (a->used > a->budget || bytes > a->budget - a->used)) exhausted(a);
  a->used += bytes;
}

static void add_chunk(Arena *a, size_t at_least) {
  if (a->within) exhausted(a);
  size_t cap = a->last ? a->last->cap * 2 : FIRST_CHUNK;
  if (cap > LARGEST_CHUNK) cap = LARGEST_CHUNK;
  if (cap < at_least) cap = at_least;
  Chunk *c = calloc(1, sizeof(Chunk) + cap);
  if (!c) {
    a->used -= at_least;
    exhausted(a);
  }
  c->cap = cap;
  c->prev = a->last;
  a->last = c;
}

void *arena_alloc(Arena *a, size_t bytes) {
  size_t n = round_up(a, bytes ? bytes : 1);
  charge(a, n);
  if (!a->last || a->last->cap - a->last->used < n) add_chunk(a, n);
  void *p = a->last->data + a->last->used;
  a->last->used += n;
  return p;
}

// A vector that grows while nothing else is allocated stays where it is.
static bool grow_in_place(Arena *a, const unsigned char *old, size_t old_bytes, size_t new_bytes) {
  Chunk *c = a->last;
  size_t was = round_up(a, old_bytes ? old_bytes : 1), now = round_up(a, new_bytes);
  if (!c || old + was != c->data + c->used || now - was > c->cap - c->used) return false;
  charge(a, now - was);
  c->used += now - was;
  return true;
}

void *arena_grow(Arena *a, void *old, size_t old_bytes, size_t new_bytes) {
  if (!old) return arena_alloc(a, new_bytes);
  if (new_bytes <= old_bytes || grow_in_place(a, old, old_bytes, new_bytes)) return old;
  void *p = arena_alloc(a, new_bytes);
  memcpy(p, old, old_bytes);
  return p;
}

char *arena_strdup(Arena *a, const char *s, size_t len) {
  char *p = arena_alloc(a, len + 1);
  if (len) memcpy(p, s, len);
  return p;
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *p = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
  if (n > 0) vsnprintf(p, (size_t)n + 1, fmt, again);
  va_end(again);
  return p;
}

char *arena_printf(Arena *a, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *p = arena_vprintf(a, fmt, ap);
  va_end(ap);
  return p;
}
