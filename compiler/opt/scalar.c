// What the scalar passes share. Nothing here changes a function.
#include "opt/scalar.h"

// ---- numbers by pointer ------------------------------------------------------------------------------------------

static uint32_t slot_of(const PtrMap *m, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  uint32_t at = (uint32_t)(h >> 32) & (m->cap - 1);
  while (m->keys[at] && m->keys[at] != key) at = (at + 1) & (m->cap - 1);
  return at;
}

uint32_t ptr_get(const PtrMap *m, const void *key) {
  if (m->cap == 0) return 0;
  uint32_t at = slot_of(m, key);
  return m->keys[at] ? m->vals[at] : 0;
}

static void grow(Arena *a, PtrMap *m) {
  PtrMap now = {.cap = m->cap ? m->cap * 2 : 64, .len = m->len};
  now.keys = ARENA_ARRAY(a, const void *, now.cap);
  now.vals = ARENA_ARRAY(a, uint32_t, now.cap);
  for (uint32_t i = 0; i < m->cap; i++) {
    if (!m->keys[i]) continue;
    uint32_t at = slot_of(&now, m->keys[i]);
    now.keys[at] = m->keys[i];
    now.vals[at] = m->vals[i];
  }
  *m = now;
}

void ptr_put(Arena *a, PtrMap *m, const void *key, uint32_t val) {
  if (m->len * 4 >= m->cap * 3) grow(a, m);
  uint32_t at = slot_of(m, key);
  if (!m->keys[at]) m->len++;
  m->keys[at] = key;
  m->vals[at] = val;
}

// ---- ints --------------------------------------------------------------------------------------------------------

const IrOp *op_of(const IrFunc *f, IrVal v, IrOpKind k) {
  const IrOp *def = v ? ir_val(f, v)->def : NULL;
  return def && def->kind == k ? def : NULL;
}

Affine affine_of(const IrFunc *f, IrVal v) {
  Affine a = {v, 0};
  for (;;) {
    const IrOp *op = ir_val(f, a.base)->def;
    int64_t c;
    if (!op) return a;
    if (op->kind == IR_CONST && ir_is_const_int(f, a.base, &c)) return (Affine){0, wrap_add(a.offset, c)};
    if (op->kind == IR_ADD && ir_is_const_int(f, op->args[1], &c))
      a = (Affine){op->args[0], wrap_add(a.offset, c)};
    else if (op->kind == IR_ADD && ir_is_const_int(f, op->args[0], &c))
      a = (Affine){op->args[1], wrap_add(a.offset, c)};
    else if (op->kind == IR_SUB && ir_is_const_int(f, op->args[1], &c))
      a = (Affine){op->args[0], wrap_sub(a.offset, c)};
    else
      return a;
  }
}

bool ints_equal(const IrFunc *f, IrVal a, IrVal b) {
  if (a == b) return true;
  Affine x = affine_of(f, a), y = affine_of(f, b);
  return x.base == y.base && x.offset == y.offset;
}

bool ints_differ(const IrFunc *f, IrVal a, IrVal b) {
  Affine x = affine_of(f, a), y = affine_of(f, b);
  return x.base == y.base && x.offset != y.offset;
}
