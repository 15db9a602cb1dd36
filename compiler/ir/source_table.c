// IR as dp source: tables of constants. In: a TABLE. Out: the literal that makes it, `[[1.0, 2.0], [3.0, 4.0]]`.
#include "ir/internal.h"

static void add_element(IrElem e, const IrTable *t, int64_t i, StrBuf *out) {
  if (t->f)
    sb_add_f64(out, e == IR_F32 ? (double)(float)t->f[i] : t->f[i]);
  else if (e == IR_BOOL)
    sb_add(out, t->i[i] ? "true" : "false");
  else
    sb_addf(out, "%lld", (long long)t->i[i]);
}

void ir_source_table(const IrFunc *f, const IrOp *op, StrBuf *out) {
  const IrTable *t = op->attr.table;
  int rank = op->n_args;
  int64_t stride[IR_MAX_RANK + 1], size;
  stride[rank] = 1;
  for (int k = rank - 1; k >= 0; k--)
    stride[k] = ir_is_const_int(f, op->args[k], &size) ? stride[k + 1] * size : 1;
  for (int64_t i = 0; i < t->n; i++) {
    if (i) sb_add(out, ", ");
    for (int k = 0; k < rank; k++)
      if (i % stride[k] == 0) sb_addc(out, '[');
    add_element((IrElem)ir_type(f, op->result).elem, t, i, out);
    for (int k = 0; k < rank; k++)
      if ((i + 1) % stride[k] == 0) sb_addc(out, ']');
  }
}
