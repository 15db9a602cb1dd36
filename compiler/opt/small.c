// Small arrays: those of a few elements, whose number is known. What unroll and scalars agree on.
#include "opt/internal.h"

enum { SMALL_ELEMENTS = 32 };

// The parameters' sizes keep their places in the parameters' types; the checks at the function's front tell of them.
void opt_known_sizes(Arena *a, const IrFunc *f, KnownSizes *out) {
  *out = (KnownSizes){f, ARENA_ARRAY(a, IrVal, f->vals.len)};
  for (int i = 0; i < f->body->ops.len; i++) {
    const IrOp *op = f->body->ops.data[i];
    if (op->kind == IR_CHECK_SIZE) {
      for (int k = 0; k < 2; k++)
        if (ir_is_const(f, op->args[1 - k])) out->by_value[op->args[k]] = op->args[1 - k];
    } else if (op->n_regions || !(ir_op_info[op->kind].flags & IR_P)) {
      return;
    }
  }
}

int64_t opt_size(const KnownSizes *k, IrVal size) {
  int64_t n;
  IrVal now = k->by_value[size] ? k->by_value[size] : size;
  return ir_is_const_int(k->f, now, &n) && n >= 0 ? n : -1;
}

int opt_small_elements(const KnownSizes *k, IrVal v) {
  IrType t = ir_type(k->f, v);
  int64_t n = 1;
  if (t.rank == 0 || t.grow) return 0;
  for (int d = 0; d < t.rank; d++) {
    int64_t size = opt_size(k, ir_dims(k->f, v)[d]);
    if (size < 1 || size > SMALL_ELEMENTS) return 0;
    n *= size;
    if (n > SMALL_ELEMENTS) return 0;
  }
  return (int)n;
}

int opt_flat_index(const KnownSizes *k, IrVal array, const IrVal *idx) {
  int64_t flat = 0;
  for (int d = 0; d < ir_type(k->f, array).rank; d++) {
    int64_t i, size = opt_size(k, ir_dims(k->f, array)[d]);
    if (!ir_is_const_int(k->f, idx[d], &i) || i < 0 || i >= size) return -1;
    flat = flat * size + i;
  }
  return (int)flat;
}

void opt_indices_of(IrBuilder *b, const KnownSizes *k, IrVal array, int flat, IrVal *idx) {
  for (int d = ir_type(k->f, array).rank - 1; d >= 0; d--) {
    int size = (int)opt_size(k, ir_dims(k->f, array)[d]);
    idx[d] = ir_const_int(b, flat % size);
    flat /= size;
  }
}
