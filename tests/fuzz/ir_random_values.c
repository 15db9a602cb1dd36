// Random IR functions: choices, and values of each kind. In: bytes and what is visible. Out: values of the kind asked for,
// functions with a singular point given arguments away from it.
#include "ir_random_gen.h"

// ---- choices -----------------------------------------------------------------------------------------------------------

uint8_t *ir_random_bytes(Arena *a, uint64_t seed, size_t len) {
  uint8_t *bytes = arena_alloc(a, len);
  uint64_t x = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
  for (size_t i = 0; i < len; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = (uint8_t)(x >> 56);
  }
  return bytes;
}

int gen_below(Gen *g, int n) {
  IrRandomBytes *b = g->bytes;
  return b->at < b->len ? b->data[b->at++] % n : 0;
}

// False where the bytes are at an end.
bool gen_one_in(Gen *g, int n) { return gen_below(g, n) == n - 1; }

// ---- what is visible -----------------------------------------------------------------------------------------------------

Seen *gen_see(Gen *g, IrVal v) {
  if (g->n_seen == MAX_SEEN) g->n_seen--;
  g->seen[g->n_seen] = (Seen){.v = v};
  return &g->seen[g->n_seen++];
}

static IrVal see_float(Gen *g, IrVal v, bool large) {
  gen_see(g, v)->large = large;
  return v;
}

// The visible values that fit, the youngest most likely; 0: there is none.
const Seen *gen_choose(Gen *g, Fits *fits, const void *with) {
  int n = 0;
  for (int i = 0; i < g->n_seen; i++) n += fits(g, &g->seen[i], with);
  if (!n) return NULL;
  int window = gen_one_in(g, 3) ? n : n < 4 ? n : 4;
  int back = gen_below(g, window);
  for (int i = g->n_seen - 1; i >= 0; i--)
    if (fits(g, &g->seen[i], with) && back-- == 0) return &g->seen[i];
  return NULL;
}

static bool fits_type(const Gen *g, const Seen *s, const void *with) {
  return ir_type_eq(ir_type(g->f, s->v), *(const IrType *)with);
}

static bool fits_size(const Gen *g, const Seen *s, const void *with) { return (void)g, (void)with, s->size; }

bool gen_fits_array(const Gen *g, const Seen *s, const void *with) {
  IrType t = ir_type(g->f, s->v);
  return ir_is_array(t) && !t.grow && ir_is_float(t) && (!with || *(const int *)with == t.rank);
}

static bool fits_growable(const Gen *g, const Seen *s, const void *with) {
  return (void)with, ir_type(g->f, s->v).grow;
}

bool gen_same_size(const Gen *g, IrVal a, IrVal b) {
  int64_t x, y;
  return a == b || (ir_is_const_int(g->f, a, &x) && ir_is_const_int(g->f, b, &y) && x == y);
}

// Of the same type and sizes.
bool gen_fits_like(const Gen *g, const Seen *s, const void *with) {
  IrVal like = *(const IrVal *)with;
  IrType t = ir_type(g->f, like);
  if (!ir_type_eq(ir_type(g->f, s->v), t)) return false;
  for (int k = 0; !t.grow && k < t.rank; k++)
    if (!gen_same_size(g, ir_dims(g->f, s->v)[k], ir_dims(g->f, like)[k])) return false;
  return true;
}

static bool fits_index(const Gen *g, const Seen *s, const void *with) {
  return s->below && gen_same_size(g, s->below, *(const IrVal *)with);
}

bool gen_is_positive(const Gen *g, IrVal size) {
  int64_t n;
  if (ir_is_const_int(g->f, size, &n)) return n > 0;
  for (int i = 0; i < g->n_seen; i++)
    if (g->seen[i].v == size && g->seen[i].size) return true;
  return false;
}

// ---- ints and bools ------------------------------------------------------------------------------------------------------

IrVal gen_const_int(IrBuilder *b, int64_t v) { return ir_const_int(b, v); }

IrVal gen_pick_int(Gen *g, IrBuilder *b) {
  IrType t = IR_SCALAR(IR_INT);
  const Seen *s = gen_one_in(g, 5) ? NULL : gen_choose(g, fits_type, &t);
  return s ? s->v : gen_const_int(b, gen_below(g, 6) - 1);
}

IrVal gen_modulo(IrBuilder *b, IrVal x, IrVal by) { return ir_op2(b, IR_IMOD, x, by); }

IrVal gen_int_expr(Gen *g, IrBuilder *b) {
  IrVal x = gen_pick_int(g, b);
  int what = gen_below(g, 13);
  if (what == 0) return x;
  IrVal y = gen_pick_int(g, b);
  switch (what) {
  case 12: return ir_op2(b, IR_ADD, x, y);
  case 1: return ir_op2(b, IR_SUB, x, y);
  case 2: return gen_modulo(b, ir_op2(b, IR_MUL, x, y), gen_const_int(b, 7));
  case 3: return ir_op2(b, IR_MIN, x, y);
  case 4: return ir_op2(b, IR_MAX, x, y);
  case 5: return gen_modulo(b, x, gen_const_int(b, 2 + gen_below(g, 4)));
  case 6: {
    IrVal by = gen_const_int(b, 2);
    if (gen_one_in(g, 2)) ir_op1(b, IR_CHECK_DIV, by);
    return ir_op2(b, IR_IDIV, x, by);
  }
  case 7: return ir_op1(b, IR_NEG, x);
  case 8: return ir_op1(b, IR_ABS, x);
  case 9: { // what the numbers decide: discontinuous, flat where it is not
    IrVal far = ir_op2(b, IR_MUL, gen_pick_float(g, b, IR_F64), ir_const_float(b, IR_F64, 3.0));
    return gen_modulo(b, ir_convert(b, IR_FTOI, IR_INT, ir_op1(b, IR_DETACH, far)), gen_const_int(b, 5));
  }
  case 10:
    return ir_op2(b, IR_IPOW, gen_modulo(b, x, gen_const_int(b, 3)), gen_const_int(b, gen_below(g, 3)));
  default:
    return ir_op2(b, IR_ADD, ir_op2(b, IR_MUL, x, gen_const_int(b, gen_below(g, 3) - 1)),
                  gen_const_int(b, gen_below(g, 4)));
  }
}

// From 1 to 4 or so.
IrVal gen_size_value(Gen *g, IrBuilder *b) {
  if (!gen_one_in(g, 4)) {
    const Seen *s = gen_choose(g, fits_size, NULL);
    if (s) return s->v;
  }
  IrVal v = gen_one_in(g, 2) ? ir_op2(b, IR_ADD, gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 3)),
                                      gen_const_int(b, 1))
                             : gen_const_int(b, 1 + gen_below(g, 3));
  gen_see(g, v)->size = true;
  return v;
}

IrVal gen_bool_expr(Gen *g, IrBuilder *b) {
  static const IrOpKind compare[] = {IR_LT, IR_LE, IR_EQ, IR_NE};
  IrType t = IR_SCALAR(IR_BOOL);
  const Seen *s = gen_choose(g, fits_type, &t);
  switch (gen_below(g, 6)) {
  case 0: return ir_op2(b, compare[gen_below(g, 4)], gen_pick_int(g, b), gen_pick_int(g, b));
  case 1:
    return ir_op2(b, IR_LT, gen_pick_float(g, b, IR_F64),
                  ir_const_float(b, IR_F64, gen_below(g, 7) / 5.0 - 0.61));
  case 2:
    return ir_op2(b, IR_EQ, gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 2)), gen_const_int(b, 0));
  case 3: return s ? ir_op1(b, IR_NOT, s->v) : ir_const_bool(b, gen_one_in(g, 2));
  case 4:
    if (s) return ir_op2(b, gen_one_in(g, 2) ? IR_AND : IR_OR, s->v, gen_bool_expr(g, b));
    return ir_const_bool(b, gen_one_in(g, 2));
  default: return ir_op2(b, IR_LT, gen_pick_float(g, b, IR_F64), gen_pick_float(g, b, IR_F64));
  }
}

// ---- floats ----------------------------------------------------------------------------------------------------------------

static IrVal constant(IrBuilder *b, IrVal like, double v) {
  return ir_const_float(b, (IrElem)ir_type(b->func, like).elem, v);
}

static IrVal squash(Gen *g, IrBuilder *b, IrVal x) {
  switch (gen_below(g, 6)) {
  case 0:
  case 5: return ir_op1(b, IR_SIN, x);
  case 1: return ir_op1(b, IR_TANH, x);
  case 2: return ir_op1(b, IR_COS, x);
  case 3: return ir_op2(b, IR_DIV, x, ir_op3(b, IR_FMA, x, x, constant(b, x, 1.0)));
  default: return ir_op2(b, IR_MIN, ir_op2(b, IR_MAX, x, constant(b, x, -1.53)), constant(b, x, 1.47));
  }
}

static bool is_large(const Gen *g, IrVal v) {
  for (int i = 0; i < g->n_seen; i++)
    if (g->seen[i].v == v) return g->seen[i].large;
  return ir_val(g->f, v)->def && ir_val(g->f, v)->def->kind == IR_GET;
}

IrVal gen_small_float(Gen *g, IrBuilder *b, IrElem e) {
  IrVal v = gen_pick_float(g, b, e);
  return is_large(g, v) ? squash(g, b, v) : v;
}

static bool element_index(Gen *g, IrBuilder *b, IrVal size, IrVal *out) {
  const Seen *s = gen_one_in(g, 6) ? NULL : gen_choose(g, fits_index, &size);
  if (s)
    *out = s->v;
  else if (gen_is_positive(g, size))
    *out = gen_one_in(g, 3) ? gen_const_int(b, 0) : gen_modulo(b, gen_pick_int(g, b), size);
  else
    return false;
  if (gen_one_in(g, 3)) ir_op2(b, IR_CHECK_INDEX, *out, size);
  return true;
}

int gen_element_indices(Gen *g, IrBuilder *b, IrVal array, IrVal *idx) {
  int rank = ir_type(g->f, array).rank;
  for (int k = 0; k < rank; k++)
    if (!element_index(g, b, ir_dims(g->f, array)[k], &idx[k])) return 0;
  return rank;
}

static IrVal convert_to(IrBuilder *b, IrElem e, IrVal v) {
  return ir_type(b->func, v).elem == e ? v : ir_convert(b, IR_FCVT, e, v);
}

IrVal gen_pick_float(Gen *g, IrBuilder *b, IrElem e) {
  IrType t = IR_SCALAR(e), other = IR_SCALAR(e == IR_F64 ? IR_F32 : IR_F64);
  switch (gen_below(g, 8)) {
  case 1: return ir_const_float(b, e, gen_below(g, 9) / 4.0 - 0.9);
  case 2:
  case 3: {
    const Seen *a = gen_choose(g, gen_fits_array, NULL);
    IrVal idx[IR_MAX_RANK];
    int n = a ? gen_element_indices(g, b, a->v, idx) : 0;
    if (n) return see_float(g, convert_to(b, e, ir_get(b, a->v, idx, n)), true);
    break;
  }
  case 4: {
    const Seen *s = gen_choose(g, fits_type, &other);
    if (s) return see_float(g, convert_to(b, e, s->v), s->large);
    break;
  }
  default: break;
  }
  const Seen *s = gen_choose(g, fits_type, &t);
  return s ? s->v : ir_const_float(b, e, 0.37);
}

// f(x) for an elementary function, x brought into its domain. In single precision without those whose derivative has a
// factor that is no float: the oracle would see it as wrong.
static IrVal elementary(Gen *g, IrBuilder *b, IrVal x) {
  static const IrOpKind anywhere[] = {IR_EXP,  IR_EXPM1, IR_SIN,   IR_COS,  IR_ATAN, IR_SINH,
                                      IR_COSH, IR_TANH,  IR_ASINH, IR_EXP2, IR_ERF,  IR_ERFC};
  static const IrOpKind positive[] = {IR_SQRT, IR_CBRT, IR_LOG, IR_LOG1P, IR_LOG2, IR_LOG10};
  static const IrOpKind inside[] = {IR_ASIN, IR_ACOS, IR_ATANH, IR_TAN};
  bool single = ir_type(g->f, x).elem == IR_F32;
  switch (gen_below(g, 6)) {
  case 0:
    return ir_op1(b, positive[gen_below(g, single ? 4 : 6)], ir_op3(b, IR_FMA, x, x, constant(b, x, 0.31)));
  case 1:
    return ir_op1(b, inside[gen_below(g, 4)], ir_op2(b, IR_MUL, ir_op1(b, IR_SIN, x), constant(b, x, 0.8)));
  case 2: return ir_op1(b, IR_ACOSH, ir_op3(b, IR_FMA, x, x, constant(b, x, 1.2)));
  default: return ir_op1(b, anywhere[gen_below(g, single ? 9 : 12)], x);
  }
}

static IrVal two_floats(Gen *g, IrBuilder *b, IrVal x, IrVal y) {
  switch (gen_below(g, 8)) {
  case 0: return ir_op2(b, IR_DIV, x, ir_op3(b, IR_FMA, y, y, constant(b, y, 0.7)));
  case 1: return ir_op2(b, gen_one_in(g, 2) ? IR_MIN : IR_MAX, x, y);
  case 2: return ir_op3(b, IR_SELECT, gen_bool_expr(g, b), x, y);
  case 3: return ir_op2(b, IR_POW, ir_op3(b, IR_FMA, x, x, constant(b, x, 0.4)), y);
  case 4: return ir_op2(b, IR_ATAN2, x, ir_op3(b, IR_FMA, y, y, constant(b, y, 0.6)));
  case 5: return ir_op2(b, IR_HYPOT, x, ir_op2(b, IR_ADD, ir_op1(b, IR_ABS, y), constant(b, y, 0.3)));
  case 6:
    return ir_op2(b, IR_POWI, x,
                  gen_one_in(g, 3) ? gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 4))
                                   : gen_const_int(b, gen_below(g, 4)));
  default: return ir_op3(b, IR_FMA, x, y, x);
  }
}

static IrVal flat(Gen *g, IrBuilder *b, IrVal x, IrVal y) {
  static const IrOpKind steps[] = {IR_FLOOR, IR_CEIL, IR_ROUND, IR_TRUNC, IR_SIGN};
  switch (gen_below(g, 3)) {
  case 0: return ir_op2(b, IR_MUL, y, ir_op1(b, steps[gen_below(g, 5)], x));
  case 1: {
    IrVal r =
        ir_op2(b, gen_one_in(g, 2) ? IR_RNG_UNIFORM : IR_RNG_NORMAL, gen_const_int(b, 5), gen_pick_int(g, b));
    return ir_op2(b, IR_MUL, x, convert_to(b, (IrElem)ir_type(g->f, x).elem, r));
  }
  default:
    return ir_op2(b, IR_MUL, x,
                  ir_convert(b, IR_ITOF, (IrElem)ir_type(g->f, x).elem,
                             gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 4))));
  }
}

IrVal gen_float_expr(Gen *g, IrBuilder *b, IrElem e) {
  IrVal x = gen_pick_float(g, b, e);
  int what = gen_below(g, 9);
  if (what == 0) return x;
  IrVal y = gen_pick_float(g, b, e);
  bool large = is_large(g, x) || is_large(g, y);
  switch (what) {
  case 8: return see_float(g, ir_op2(b, IR_MUL, x, y), true);
  case 1: return see_float(g, ir_op2(b, IR_ADD, x, y), true);
  case 2: return see_float(g, ir_op2(b, IR_SUB, x, y), true);
  case 3: return see_float(g, elementary(g, b, large ? squash(g, b, x) : x), true);
  case 4:
    return see_float(g, two_floats(g, b, large ? squash(g, b, x) : x, large ? squash(g, b, y) : y), true);
  case 5: return see_float(g, flat(g, b, x, y), true);
  case 6: return see_float(g, ir_op1(b, gen_one_in(g, 2) ? IR_NEG : IR_ABS, x), large);
  default: return see_float(g, squash(g, b, x), false);
  }
}

IrVal gen_bounded_expr(Gen *g, IrBuilder *b, IrElem e) {
  IrVal x = gen_float_expr(g, b, e);
  return is_large(g, x) ? squash(g, b, x) : x;
}

// ---- arrays ----------------------------------------------------------------------------------------------------------------

IrElem gen_some_elem(Gen *g) { return gen_one_in(g, 6) ? IR_F32 : IR_F64; }

IrVal gen_new_array(Gen *g, IrBuilder *b) {
  IrVal dims[3];
  int rank = 1 + gen_below(g, 2) + gen_one_in(g, 8);
  for (int k = 0; k < rank; k++) dims[k] = gen_size_value(g, b);
  if (gen_one_in(g, 12)) dims[0] = gen_const_int(b, 0);
  IrElem e = gen_some_elem(g);
  IrVal v = gen_one_in(g, 3) ? ir_const_float(b, e, 0.0) : gen_small_float(g, b, e);
  return gen_see(g, ir_fill(b, v, dims, rank))->v;
}

IrVal gen_pick_array(Gen *g, IrBuilder *b, int rank) {
  const Seen *s = gen_choose(g, gen_fits_array, rank ? &rank : NULL);
  if (s) return s->v;
  IrVal dims[IR_MAX_RANK];
  if (!rank) return gen_new_array(g, b);
  for (int k = 0; k < rank; k++) dims[k] = gen_size_value(g, b);
  return gen_see(g, ir_fill(b, gen_small_float(g, b, IR_F64), dims, rank))->v;
}

// a with one element changed; a itself where no index is at hand.
IrVal gen_change_element(Gen *g, IrBuilder *b, IrVal a) {
  IrVal idx[IR_MAX_RANK];
  int n = gen_element_indices(g, b, a, idx);
  if (!n) return a;
  IrVal e = gen_bounded_expr(g, b, (IrElem)ir_type(g->f, a).elem);
  switch (gen_below(g, 4)) {
  case 0: return ir_set(b, a, idx, n, e);
  case 1: return ir_acc(b, a, idx, n, e);
  case 2: { // a[i] = a[i] + e, as it is written
    IrVal old = ir_get(b, a, idx, n);
    IrVal now =
        gen_one_in(g, 3) ? ir_op2(b, IR_SUB, old, e) : ir_op2(b, gen_one_in(g, 4) ? IR_MUL : IR_ADD, old, e);
    return ir_set(b, a, idx, n, now);
  }
  default: return ir_set(b, a, idx, n, ir_op2(b, IR_MUL, ir_get(b, a, idx, n), squash(g, b, e)));
  }
}

static bool fits_product(const Gen *g, const Seen *s, const void *with) {
  const IrVal *want = with; // an array, the number of the axis
  int rank = 2;
  if (!gen_fits_array(g, s, &rank) || ir_type(g->f, s->v).elem != ir_type(g->f, want[0]).elem) return false;
  return gen_same_size(g, ir_dims(g->f, s->v)[0], want[1]) ||
         gen_same_size(g, ir_dims(g->f, s->v)[1], want[1]);
}

// x @ y with sizes that fit, flags as they come: 0 where y would have to be made.
bool gen_product_operands(Gen *g, IrBuilder *b, IrVal *x, IrVal *y, int64_t *flags) {
  *x = gen_pick_array(g, b, 2);
  *flags = gen_one_in(g, 2) ? IR_TRANS_A : 0;
  IrVal inner = ir_dims(g->f, *x)[*flags & IR_TRANS_A ? 0 : 1], want[2] = {*x, inner};
  const Seen *s = gen_choose(g, fits_product, want);
  if (!s) return false;
  *y = s->v;
  bool plain = gen_same_size(g, ir_dims(g->f, *y)[0], inner),
       turned = gen_same_size(g, ir_dims(g->f, *y)[1], inner);
  if (turned && (!plain || gen_one_in(g, 2))) *flags |= IR_TRANS_B;
  return true;
}

void gen_matrix_statement(Gen *g, IrBuilder *b) {
  IrVal x, y;
  int64_t flags;
  if (!gen_product_operands(g, b, &x, &y, &flags)) {
    gen_new_array(g, b);
    return;
  }
  IrVal p = ir_matmul(b, x, y, flags);
  const Seen *c = gen_one_in(g, 2) ? gen_choose(g, gen_fits_like, &p) : NULL;
  gen_see(g, c && c->v != p ? ir_matacc(b, c->v, x, y, flags) : p);
}

IrVal gen_pick_growable(Gen *g, IrBuilder *b) {
  const Seen *s = gen_choose(g, fits_growable, NULL);
  return s ? s->v : gen_see(g, ir_empty(b, gen_some_elem(g)))->v;
}

void gen_growable_statement(Gen *g, IrBuilder *b) {
  IrVal a = gen_pick_growable(g, b);
  IrElem e = (IrElem)ir_type(g->f, a).elem;
  IrBuilder in[2];
  IrVal len, some, last;
  int what = gen_below(g, 4);
  if (what < 2) {
    gen_see(g, ir_op2(b, IR_PUSH, a, gen_small_float(g, b, e)));
    return;
  }
  len = ir_op1(b, IR_LEN, a);
  if (what == 2 && gen_one_in(g, 2)) gen_see(g, len);
  some = ir_op2(b, IR_LT, gen_const_int(b, 0), len);
  IrOp *op = ir_if(b, some, &in[0], &in[1]);
  if (what == 2) {
    IrVal now = ir_op1(&in[0], IR_POP, a);
    ir_yield(&in[0], &now, 1);
    ir_yield(&in[1], &a, 1);
  } else {
    last = gen_modulo(&in[0], gen_pick_int(g, &in[0]), len);
    int before = g->n_seen;
    IrVal now[2] = {ir_get(&in[0], a, &last, 1)};
    now[1] = ir_set(&in[0], a, &last, 1, gen_bounded_expr(g, &in[0], e));
    g->n_seen = before;
    ir_yield(&in[0], now, 2);
    IrVal other[2] = {gen_small_float(g, &in[1], e), a};
    g->n_seen = before;
    ir_yield(&in[1], other, 2);
  }
  ir_close_if(b, op, NULL);
  for (int k = 0; k < op->n_results; k++) gen_see(g, ir_result(op, k))->large = true;
}
