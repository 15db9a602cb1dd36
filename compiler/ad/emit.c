// Differentiation: small constructors that fold what differentiation makes trivial (times one, plus zero), and the loops
// over whole arrays that both modes use.
#include "ad/internal.h"

bool ad_is_float_const(const IrFunc *f, IrVal v, double want) {
  return ir_is_const(f, v) && ir_is_float(ir_type(f, v)) && ir_val(f, v)->def->attr.f == want;
}

IrVal ad_const_like(IrBuilder *b, IrVal like, double v) {
  return ir_const_float(b, (IrElem)ir_type(b->func, like).elem, v);
}

IrVal ad_zero(IrBuilder *b, IrElem e) { return ir_const_float(b, e, 0.0); }

IrVal ad_add(IrBuilder *b, IrVal x, IrVal y) {
  if (ad_is_float_const(b->func, x, 0.0)) return y;
  if (ad_is_float_const(b->func, y, 0.0)) return x;
  return ir_op2(b, IR_ADD, x, y);
}

IrVal ad_sub(IrBuilder *b, IrVal x, IrVal y) {
  if (ad_is_float_const(b->func, y, 0.0)) return x;
  if (ad_is_float_const(b->func, x, 0.0)) return ad_neg(b, y);
  return ir_op2(b, IR_SUB, x, y);
}

IrVal ad_neg(IrBuilder *b, IrVal x) {
  const IrValue *v = ir_val(b->func, x);
  if (ir_is_const(b->func, x)) return ad_const_like(b, x, -v->def->attr.f);
  if (v->def && v->def->kind == IR_NEG) return v->def->args[0];
  return ir_op1(b, IR_NEG, x);
}

IrVal ad_mul(IrBuilder *b, IrVal x, IrVal y) {
  if (ad_is_float_const(b->func, x, 1.0)) return y;
  if (ad_is_float_const(b->func, y, 1.0)) return x;
  if (ad_is_float_const(b->func, x, -1.0)) return ad_neg(b, y);
  if (ad_is_float_const(b->func, y, -1.0)) return ad_neg(b, x);
  return ir_op2(b, IR_MUL, x, y);
}

IrVal ad_div(IrBuilder *b, IrVal x, IrVal y) {
  if (ad_is_float_const(b->func, y, 1.0)) return x;
  return ir_op2(b, IR_DIV, x, y);
}

IrVal ad_blank(IrBuilder *b, IrElem e) {
  return e == IR_BOOL ? ir_const_bool(b, false) : e == IR_INT ? ir_const_int(b, 0) : ad_zero(b, e);
}

bool ad_drop_effect(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user, (void)b, (void)map;
  return ad_is_effect(op);
}

IrVal ad_int_add(IrBuilder *b, IrVal x, IrVal y) {
  int64_t cx, cy;
  bool kx = ir_is_const_int(b->func, x, &cx), ky = ir_is_const_int(b->func, y, &cy);
  if (kx && cx == 0) return y;
  if (ky && cy == 0) return x;
  if (kx && ky) return ir_const_int(b, (int64_t)((uint64_t)cx + (uint64_t)cy));
  return ir_op2(b, IR_ADD, x, y);
}

IrVal ad_int_sub(IrBuilder *b, IrVal x, IrVal y) {
  int64_t cx, cy;
  bool kx = ir_is_const_int(b->func, x, &cx), ky = ir_is_const_int(b->func, y, &cy);
  if (ky && cy == 0) return x;
  if (kx && ky) return ir_const_int(b, (int64_t)((uint64_t)cx - (uint64_t)cy));
  return ir_op2(b, IR_SUB, x, y);
}

IrVal ad_int_mul(IrBuilder *b, IrVal x, IrVal y) {
  int64_t cx, cy;
  bool kx = ir_is_const_int(b->func, x, &cx), ky = ir_is_const_int(b->func, y, &cy);
  if (kx && cx == 1) return y;
  if (ky && cy == 1) return x;
  if (kx && ky) return ir_const_int(b, (int64_t)((uint64_t)cx * (uint64_t)cy));
  return ir_op2(b, IR_MUL, x, y);
}

IrVal ad_trip_count(IrBuilder *b, IrVal lo, IrVal hi, IrVal step) {
  int64_t s;
  IrVal zero = ir_const_int(b, 0), one = ir_const_int(b, 1), span = ad_int_sub(b, hi, lo), n;
  if (ir_is_const_int(b->func, step, &s)) {
    n = s == 1 ? span : ir_op2(b, IR_IDIV, ad_int_add(b, span, ir_const_int(b, s > 0 ? s - 1 : s + 1)), step);
  } else {
    IrVal up = ir_op2(b, IR_LT, zero, step);
    IrVal round = ir_op3(b, IR_SELECT, up, ad_int_sub(b, step, one), ad_int_add(b, step, one));
    n = ir_op2(b, IR_IDIV, ad_int_add(b, span, round), step);
  }
  return ir_op2(b, IR_MAX, n, zero);
}

IrVal ad_zeros(IrBuilder *b, IrType t, const IrVal *dims) {
  if (t.grow) return ir_empty(b, (IrElem)t.elem);
  IrVal zero = ad_zero(b, (IrElem)t.elem);
  return t.rank ? ir_fill(b, zero, dims, t.rank) : zero;
}

IrBuilder ad_nest_open(IrBuilder *b, AdNest *nest, const IrVal *dims, int rank, const IrVal *inits, int n,
                       IrVal *idx, IrVal *carried) {
  nest->rank = rank;
  nest->n = n;
  IrBuilder at = *b;
  for (int k = 0; k < n; k++) carried[k] = inits[k];
  for (int r = 0; r < rank; r++) {
    IrVal zero = ir_const_int(&at, 0), one = ir_const_int(&at, 1);
    IrBuilder body;
    if (nest->backwards) {
      IrVal minus = ir_const_int(&at, -1);
      nest->loops[r] = ir_for(&at, ad_int_add(&at, dims[r], minus), minus, minus, carried, n, &body);
    } else {
      nest->loops[r] = ir_for(&at, zero, dims[r], one, carried, n, &body);
    }
    idx[r] = body.region->args[0];
    for (int k = 0; k < n; k++) carried[k] = body.region->args[1 + k];
    nest->inner[r] = body;
    at = body;
  }
  return at;
}

void ad_nest_close(AdNest *nest, const IrVal *yields, IrVal *results) {
  IrVal *vals = ARENA_ARRAY(nest->inner[0].func->arena, IrVal, nest->n);
  for (int k = 0; k < nest->n; k++) vals[k] = yields[k];
  for (int r = nest->rank - 1; r >= 0; r--) {
    ir_yield(&nest->inner[r], vals, nest->n);
    for (int k = 0; k < nest->n; k++) vals[k] = ir_result(nest->loops[r], k);
  }
  for (int k = 0; k < nest->n; k++) results[k] = vals[k];
}

IrVal ad_sum_arrays(IrBuilder *b, IrVal x, IrVal y) {
  IrType t = ir_type(b->func, x);
  IrVal length;
  const IrVal *dims = ir_dims(b->func, x);
  if (t.grow) {
    length = ir_op1(b, IR_LEN, y);
    dims = &length;
  }
  AdNest nest = {0};
  IrVal idx[IR_MAX_RANK], sum;
  IrBuilder in = ad_nest_open(b, &nest, dims, t.rank, &x, 1, idx, &sum);
  sum = ir_acc(&in, sum, idx, t.rank, ir_get(&in, y, idx, t.rank));
  ad_nest_close(&nest, &sum, &sum);
  return sum;
}

int ad_push_adjoint(const IrFunc *callee, int k, const IrFunc *into, IrVal bar, IrVal *args, int n) {
  IrVal y = callee->body->yields[k];
  for (int d = 0; d < callee->results[k].rank && !callee->results[k].grow; d++)
    if (!is_param(callee, ir_dims(callee, y)[d])) args[n++] = ir_dims(into, bar)[d];
  args[n++] = bar;
  return n;
}
