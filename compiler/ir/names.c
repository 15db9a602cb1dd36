// A table from interned names to numbers: values by name while parsing, names in use while printing.
#include "ir/internal.h"

void name_map_init(NameMap *m, Arena *a) {
  *m = (NameMap){.arena = a, .cap = 64};
  m->keys = ARENA_ARRAY(a, Name, m->cap);
  m->vals = ARENA_ARRAY(a, uint32_t, m->cap);
}

static uint32_t slot_of(const NameMap *m, Name key) {
  uint32_t i = (uint32_t)(((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15u >> 32) & (m->cap - 1);
  while (m->keys[i] && m->keys[i] != key) i = (i + 1) & (m->cap - 1);
  return i;
}

uint32_t *name_map_find(const NameMap *m, Name key) {
  uint32_t i = slot_of(m, key);
  return m->keys[i] ? &m->vals[i] : NULL;
}

static void name_map_grow(NameMap *m) {
  NameMap old = *m;
  m->cap *= 2;
  m->keys = ARENA_ARRAY(m->arena, Name, m->cap);
  m->vals = ARENA_ARRAY(m->arena, uint32_t, m->cap);
  for (uint32_t i = 0; i < old.cap; i++) {
    if (!old.keys[i]) continue;
    uint32_t at = slot_of(m, old.keys[i]);
    m->keys[at] = old.keys[i];
    m->vals[at] = old.vals[i];
  }
}

void name_map_put(NameMap *m, Name key, uint32_t val) {
  if ((m->len + 1) * 2 > m->cap) name_map_grow(m);
  uint32_t i = slot_of(m, key);
  if (!m->keys[i]) m->len++;
  m->keys[i] = key;
  m->vals[i] = val;
}
