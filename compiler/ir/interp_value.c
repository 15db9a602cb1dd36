// The oracle's values: arrays of quads or ints behind counted references, and the cells that tests pass in and out.
#include "ir/oracle.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_POOL_BYTES = 1 << 30 }; // all arrays of a run together: tests fail rather than fill the machine

static size_t quad_elem_bytes(IrType t) { return ir_is_float(t) ? sizeof(__float128) : sizeof(int64_t); }

void pool_init(Pool *p) {
  *p = (Pool){0};
  p->live.prev = p->live.next = &p->live;
}

static void quad_free(Pool *p, IrQuad *a) {
  a->prev->next = a->next;
  a->next->prev = a->prev;
  p->bytes -= a->cap * (int64_t)quad_elem_bytes(a->type);
  free(a->at.raw);
  free(a);
}

void pool_free(Pool *p) {
  while (p->live.next != &p->live) quad_free(p, p->live.next);
}

bool quad_reserve(Pool *p, IrQuad *a, int64_t n) {
  if (n <= a->cap) return true;
  int64_t cap = a->type.grow && n < a->cap * 2 ? a->cap * 2 : n, size = (int64_t)quad_elem_bytes(a->type);
  if (cap > MAX_POOL_BYTES / size || p->bytes + (cap - a->cap) * size > MAX_POOL_BYTES) return false;
  void *raw = realloc(a->at.raw, (size_t)(cap * size));
  if (!raw) return false;
  memset((char *)raw + a->cap * size, 0, (size_t)((cap - a->cap) * size));
  p->bytes += (cap - a->cap) * size;
  if (p->bytes > p->peak) p->peak = p->bytes;
  a->at.raw = raw;
  a->cap = cap;
  return true;
}

IrQuad *quad_new(Pool *p, IrType t, const int64_t *dims) {
  int64_t n = t.grow ? 0 : 1;
  for (int i = 0; !t.grow && i < t.rank; i++)
    if (dims[i] < 0 || __builtin_mul_overflow(n, dims[i], &n)) return NULL;
  IrQuad *a = calloc(1, sizeof *a);
  if (!a) return NULL;
  a->refs = 1;
  a->type = t;
  a->prev = &p->live;
  a->next = p->live.next;
  a->prev->next = a->next->prev = a;
  for (int i = 0; !t.grow && i < t.rank; i++) a->dims[i] = dims[i];
  a->len = n;
  if (quad_reserve(p, a, n)) return a;
  quad_free(p, a);
  return NULL;
}

IrQuad *quad_own(Pool *p, IrQuad *a) {
  if (a->refs == 1) return a;
  IrQuad *copy = quad_new(p, a->type, a->dims);
  if (!copy || !quad_reserve(p, copy, a->len)) return NULL;
  if (a->len > 0) memcpy(copy->at.raw, a->at.raw, (size_t)a->len * quad_elem_bytes(a->type));
  copy->len = a->len;
  memcpy(copy->dims, a->dims, sizeof copy->dims);
  quad_drop(p, a);
  return copy;
}

void quad_drop(Pool *p, IrQuad *a) {
  if (a && --a->refs == 0) quad_free(p, a);
}

Slot quad_load(const IrQuad *a, int64_t at) {
  if (ir_is_float(a->type)) return (Slot){.q = a->at.q[at]};
  return a->type.elem == IR_STRING ? (Slot){.s = a->at.s[at]} : (Slot){.i = a->at.i[at]};
}

void quad_store(IrQuad *a, int64_t at, Slot v) {
  if (ir_is_float(a->type))
    a->at.q[at] = v.q;
  else if (a->type.elem == IR_STRING)
    a->at.s[at] = v.s;
  else
    a->at.i[at] = v.i;
}

// ---- cells -----------------------------------------------------------------------------------------------------------

IrCell ir_cell_f64(double v) { return (IrCell){.type = IR_SCALAR(IR_F64), .v.q = v}; }
IrCell ir_cell_int(int64_t v) { return (IrCell){.type = IR_SCALAR(IR_INT), .v.i = v}; }

// Cells outlive runs: their arrays stand in the caller's arena, and the caller's reference never goes away.
static IrCell cell_new(Arena *a, IrElem e, int rank, const int64_t *dims) {
  IrCell c = {.type = {(uint8_t)e, (uint8_t)rank, false}, .data = ARENA_NEW(a, IrQuad)};
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= c.dims[i] = c.data->dims[i] = dims[i];
  c.data->refs = 1;
  c.data->type = c.type;
  c.data->len = c.data->cap = n;
  c.data->at.raw = arena_alloc(a, (size_t)n * quad_elem_bytes(c.type));
  return c;
}

IrCell ir_cell_array(Arena *a, IrElem e, int rank, const int64_t *dims, const double *vals) {
  IrCell c = cell_new(a, e, rank, dims);
  for (int64_t i = 0; i < c.data->len; i++) c.data->at.q[i] = vals[i];
  return c;
}

IrCell ir_cell_ints(Arena *a, int rank, const int64_t *dims, const int64_t *vals) {
  IrCell c = cell_new(a, IR_INT, rank, dims);
  for (int64_t i = 0; i < c.data->len; i++) c.data->at.i[i] = vals[i];
  return c;
}

__float128 ir_cell_at(const IrCell *c, int64_t flat) {
  if (!c->data) return ir_is_float(c->type) ? c->v.q : (__float128)c->v.i;
  if (flat < 0 || flat >= c->data->len) return __builtin_nan("");
  return ir_is_float(c->type) ? c->data->at.q[flat] : (__float128)c->data->at.i[flat];
}
