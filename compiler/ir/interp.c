// The oracle: runs functions in quadruple precision. In: a well-formed function and its arguments; out: results exact to
// far beyond f64, or an error worded as the runtime would. Arrays are values that are copied only when somebody else
// still holds them. Whatever a check should have caught before an operation is an error of its own here.
#include "ir/oracle.h"

#include "dp/dprt.h"

#include <math.h>
#include <string.h>

enum { MAX_CALLS = 2000 }; // C frames stand behind each call

typedef struct Run {
  IrInterp *in;
  Arena *arena; // plans and frames; freed with the run
  Pool pool;
  NameMap plan_index;
  VEC(Plan *) plans;
  dprt_ctx *rt; // texts and error messages; made when first needed
  int depth;
} Run;

typedef struct IrFrame {
  Run *run;
  Plan *plan;
  const IrFunc *func;
  Slot *slots; // by value
} Frame;

__attribute__((format(printf, 2, 3))) static bool fail(Run *x, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  if (!x->in->error) x->in->error = arena_vprintf(x->in->arena, fmt, ap);
  va_end(ap);
  return false;
}

static bool fail_memory(Run *x) {
  return fail(x, "an array has a negative size or does not fit the oracle's memory");
}

static dprt_ctx *runtime(Run *x) {
  if (!x->rt) x->rt = dprt_ctx_new(NULL);
  if (!x->rt) fail(x, "out of memory");
  return x->rt;
}

// Takes over what a dprt_fail_... recorded.
static bool fail_as_runtime(Run *x) { return fail(x, "%s", dprt_get_error(x->rt)->message); }

// ---- slots -----------------------------------------------------------------------------------------------------------

static const char *val_text(const Frame *fr, IrVal v) {
  Name name = ir_val(fr->func, v)->name;
  return name ? arena_printf(fr->run->in->arena, "%%%s", name)
              : arena_printf(fr->run->in->arena, "value %u", (unsigned)v);
}

// Reads a value; an array comes with a reference, the slot's own if this is the last use.
static Slot take(Frame *fr, IrVal v, bool last) {
  Slot s = fr->slots[v];
  if (!ir_is_array(ir_type(fr->func, v)) || !s.a) return s;
  if (last)
    fr->slots[v].a = NULL;
  else
    s.a->refs++;
  return s;
}

static void put(Frame *fr, IrVal v, Slot s) {
  if (ir_is_array(ir_type(fr->func, v))) quad_drop(&fr->run->pool, fr->slots[v].a);
  fr->slots[v] = s;
}

// An array's sizes are what its type says.
static bool check_sizes(Frame *fr, IrVal v) {
  const IrValue *val = ir_val(fr->func, v);
  if (!ir_is_array(val->type)) return true;
  const IrQuad *a = fr->slots[v].a;
  if (!a) return fail(fr->run, "in @%s: %s has no array", fr->func->name, val_text(fr, v));
  for (int i = 0; val->dims && i < val->type.rank; i++)
    if (a->dims[i] != fr->slots[val->dims[i]].i)
      return fail(fr->run, "in @%s: %s has size %lld along axis %d where its type says %lld", fr->func->name,
                  val_text(fr, v), (long long)a->dims[i], i, (long long)fr->slots[val->dims[i]].i);
  return true;
}

static bool check_all_sizes(Frame *fr, IrVal first, int n) {
  for (int i = 0; i < n; i++)
    if (!check_sizes(fr, first + (IrVal)i)) return false;
  return true;
}

static __float128 rounded(const Run *x, IrType t, __float128 v) {
  if (!x->in->round) return v;
  return t.elem == IR_F32 ? (__float128)(float)v : (__float128)(double)v;
}

static __float128 q(const Frame *fr, const IrOp *op, int k) { return fr->slots[op->args[k]].q; }
static int64_t i64(const Frame *fr, const IrOp *op, int k) { return fr->slots[op->args[k]].i; }
static IrType arg_type(const Frame *fr, const IrOp *op, int k) { return ir_type(fr->func, op->args[k]); }

// ---- scalars ---------------------------------------------------------------------------------------------------------

static void run_const(Frame *fr, const IrOp *op) {
  bool is_float = ir_is_float(ir_type(fr->func, op->result));
  fr->slots[op->result] = is_float ? (Slot){.q = op->attr.f} : (Slot){.i = op->attr.i};
}

// Rounded once, also where quads are rounded to doubles afterwards.
static __float128 rounded_fma(const IrType t, __float128 a, __float128 b, __float128 c) {
  if (t.elem == IR_F32) return (__float128)fmaf((float)a, (float)b, (float)c);
  return (__float128)fma((double)a, (double)b, (double)c);
}

static void run_float(Frame *fr, const IrOp *op) {
  IrType t = ir_type(fr->func, op->result);
  __float128 a = q(fr, op, 0), b = op->n_args > 1 ? q(fr, op, 1) : 0, c = op->n_args > 2 ? q(fr, op, 2) : 0;
  bool once = op->kind == IR_FMA && fr->run->in->round;
  fr->slots[op->result].q =
      once ? rounded_fma(t, a, b, c) : rounded(fr->run, t, quad_math(op->kind, a, b, c));
}

static bool run_int(Frame *fr, const IrOp *op) {
  int64_t a = i64(fr, op, 0), b = op->n_args > 1 ? i64(fr, op, 1) : 0;
  if ((op->kind == IR_IDIV || op->kind == IR_IMOD) && b == 0)
    return fail(fr->run, "in @%s: %s by zero, and no check stood before it", fr->func->name,
                ir_op_info[op->kind].text);
  fr->slots[op->result].i = int_math(op->kind, a, b);
  return true;
}

static bool run_compare(const Frame *fr, const IrOp *op) {
  if (ir_is_float(arg_type(fr, op, 0))) {
    __float128 a = q(fr, op, 0), b = q(fr, op, 1);
    return op->kind == IR_LT ? a < b : op->kind == IR_LE ? a <= b : op->kind == IR_EQ ? a == b : a != b;
  }
  int64_t a = i64(fr, op, 0), b = i64(fr, op, 1);
  return op->kind == IR_LT ? a < b : op->kind == IR_LE ? a <= b : op->kind == IR_EQ ? a == b : a != b;
}

static bool run_rng(Frame *fr, const IrOp *op) {
  int64_t key = i64(fr, op, 0), counter = i64(fr, op, 1);
  Slot *out = &fr->slots[op->result];
  if (op->kind == IR_RNG_UNIFORM)
    out->q = dprt_rng_uniform(key, counter);
  else if (op->kind == IR_RNG_NORMAL)
    out->q = dprt_rng_normal(key, counter);
  else if (i64(fr, op, 2) <= 0)
    return fail(fr->run, "a random number below %lld", (long long)i64(fr, op, 2));
  else
    out->i = dprt_rng_below(key, counter, i64(fr, op, 2));
  return true;
}

// ---- arrays ----------------------------------------------------------------------------------------------------------

// Where operands 1.. point to in the array of operand 0; -1 after an error.
static int64_t element(Frame *fr, const IrOp *op, const IrQuad *a) {
  int64_t at = 0;
  for (int k = 0; k < a->type.rank; k++) {
    int64_t i = i64(fr, op, 1 + k), size = a->type.grow ? a->len : a->dims[k];
    if (i < 0 || i >= size) {
      fail(fr->run, "in @%s: %s at index %lld of an array of size %lld, and no check stood before it",
           fr->func->name, ir_op_info[op->kind].text, (long long)i, (long long)size);
      return -1;
    }
    at = at * size + i;
  }
  return at;
}

static bool run_get(Frame *fr, const IrOp *op) {
  const IrQuad *a = fr->slots[op->args[0]].a;
  int64_t at = element(fr, op, a);
  if (at >= 0) fr->slots[op->result] = quad_load(a, at);
  return at >= 0;
}

// The array of operand 0, to be changed; put back by the caller as the result.
static IrQuad *take_owned(Frame *fr, const PlanOp *p) {
  IrQuad *a = take(fr, p->op->args[0], p->last[0]).a, *own = quad_own(&fr->run->pool, a);
  if (own) return own;
  quad_drop(&fr->run->pool, a);
  fail_memory(fr->run);
  return NULL;
}

static bool run_set(Frame *fr, const PlanOp *p) {
  const IrOp *op = p->op;
  int64_t at = element(fr, op, fr->slots[op->args[0]].a);
  Slot v = fr->slots[op->args[op->n_args - 1]];
  IrQuad *a = at < 0 ? NULL : take_owned(fr, p);
  if (!a) return false;
  if (op->kind == IR_ACC) {
    Slot old = quad_load(a, at);
    if (ir_is_float(a->type))
      v.q = rounded(fr->run, a->type, old.q + v.q);
    else
      v.i = int_math(IR_ADD, old.i, v.i);
  }
  quad_store(a, at, v);
  put(fr, op->result, (Slot){.a = a});
  return true;
}

static bool put_new(Frame *fr, IrVal v, const int64_t *dims) {
  IrQuad *a = quad_new(&fr->run->pool, ir_type(fr->func, v), dims);
  if (!a) return fail_memory(fr->run);
  put(fr, v, (Slot){.a = a});
  return true;
}

static bool run_fill(Frame *fr, const IrOp *op) {
  int64_t dims[IR_MAX_RANK];
  for (int k = 1; k < op->n_args; k++) dims[k - 1] = i64(fr, op, k);
  if (!put_new(fr, op->result, dims)) return false;
  IrQuad *a = fr->slots[op->result].a;
  Slot value = fr->slots[op->args[0]];
  if (op->attr.i & IR_UNSET && ir_is_float(a->type)) value.q = NAN; // so that reading it too early shows
  for (int64_t i = 0; i < a->len; i++) quad_store(a, i, value);
  return true;
}

static bool run_table(Frame *fr, const IrOp *op) {
  const IrTable *t = op->attr.table;
  int64_t dims[IR_MAX_RANK];
  for (int k = 0; k < op->n_args; k++) dims[k] = i64(fr, op, k);
  if (!put_new(fr, op->result, dims)) return false;
  IrQuad *a = fr->slots[op->result].a;
  for (int64_t i = 0; i < a->len; i++) {
    Slot value = {0};
    if (t->f)
      value.q = t->f[i];
    else
      value.i = t->i[i];
    quad_store(a, i, value);
  }
  return true;
}

static __float128 matrix_at(const IrQuad *a, bool trans, int64_t i, int64_t j) {
  return a->at.q[trans ? j * a->dims[1] + i : i * a->dims[1] + j];
}

// c += x @ y: the product rounded term by term, then the sum.
static bool add_product(Frame *fr, const IrOp *op, IrQuad *c, const IrQuad *x, const IrQuad *y) {
  bool tx = op->attr.i & IR_TRANS_A, ty = op->attr.i & IR_TRANS_B;
  int64_t n = x->dims[tx], m = y->dims[!ty], inner = x->dims[!tx];
  if (y->dims[ty] != inner || c->dims[0] != n || c->dims[1] != m)
    return fail(fr->run, "in @%s: the sizes of a matrix product do not fit", fr->func->name);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      __float128 s = 0, *at = &c->at.q[i * m + j];
      for (int64_t k = 0; k < inner; k++) {
        __float128 p = rounded(fr->run, c->type, matrix_at(x, tx, i, k) * matrix_at(y, ty, k, j));
        s = k ? rounded(fr->run, c->type, s + p) : p;
      }
      *at = op->kind == IR_MATMUL ? s : rounded(fr->run, c->type, *at + s);
    }
  return true;
}

static bool run_matmul(Frame *fr, const IrOp *op) {
  const IrQuad *x = fr->slots[op->args[0]].a, *y = fr->slots[op->args[1]].a;
  int64_t dims[2] = {x->dims[(op->attr.i & IR_TRANS_A) != 0], y->dims[(op->attr.i & IR_TRANS_B) == 0]};
  return put_new(fr, op->result, dims) && add_product(fr, op, fr->slots[op->result].a, x, y);
}

static bool run_matacc(Frame *fr, const PlanOp *p) {
  const IrOp *op = p->op;
  const IrQuad *x = fr->slots[op->args[1]].a, *y = fr->slots[op->args[2]].a;
  IrQuad *c = take_owned(fr, p);
  if (!c) return false;
  put(fr, op->result, (Slot){.a = c});
  return add_product(fr, op, c, x, y);
}

static bool run_push(Frame *fr, const PlanOp *p) {
  IrQuad *a = take_owned(fr, p);
  if (!a) return false;
  put(fr, p->op->result, (Slot){.a = a});
  if (!quad_reserve(&fr->run->pool, a, a->len + 1)) return fail_memory(fr->run);
  quad_store(a, a->len++, fr->slots[p->op->args[1]]);
  return true;
}

static bool run_pop(Frame *fr, const PlanOp *p) {
  if (fr->slots[p->op->args[0]].a->len == 0)
    return fail(fr->run, "in @%s: pop of an empty array, and no check stood before it", fr->func->name);
  IrQuad *a = take_owned(fr, p);
  if (!a) return false;
  a->len--;
  put(fr, p->op->result, (Slot){.a = a});
  return true;
}

// ---- checks and texts ------------------------------------------------------------------------------------------------

static bool run_check(Frame *fr, const IrOp *op) {
  Run *x = fr->run;
  int64_t a = fr->slots[op->args[0]].i, b = op->n_args > 1 ? fr->slots[op->args[1]].i : 0;
  int64_t c = op->n_args > 2 ? fr->slots[op->args[2]].i : 0;
  const char *what = op->kind == IR_ASSERT ? NULL : op->attr.sym;
  bool ok = false;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX: ok = a >= 0 && a < b; break;
  case IR_CHECK_RANGE: ok = a >= 0 && a <= b && b <= c; break;
  case IR_CHECK_SIZE: ok = a == b; break;
  default: ok = a != 0; break; // CHECK_DIV, ASSERT
  }
  if (ok) return true;
  if (!runtime(x)) return false;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX: dprt_fail_index(x->rt, NULL, what, a, b); break;
  case IR_CHECK_RANGE: dprt_fail_range(x->rt, NULL, what, a, b, c); break;
  case IR_CHECK_SIZE: dprt_fail_size(x->rt, NULL, what, a, b); break;
  case IR_CHECK_DIV: dprt_fail_divide(x->rt, NULL); break;
  default: dprt_fail_assert(x->rt, NULL, fr->slots[op->args[1]].s); break;
  }
  return fail_as_runtime(x);
}

static void text_array(Run *x, const IrQuad *a, const char *spec) {
  size_t bytes = (size_t)ir_elem_bytes(a->type.elem);
  char *data = arena_alloc(x->arena, (size_t)a->len * bytes);
  for (int64_t i = 0; i < a->len; i++) {
    void *at = data + (size_t)i * bytes;
    switch ((IrElem)a->type.elem) {
    case IR_BOOL: *(bool *)at = a->at.i[i] != 0; break;
    case IR_INT: *(int64_t *)at = a->at.i[i]; break;
    case IR_F32: *(float *)at = (float)a->at.q[i]; break;
    case IR_F64: *(double *)at = (double)a->at.q[i]; break;
    case IR_STRING: *(const char **)at = a->at.s[i]; break;
    }
  }
  int64_t len[1] = {a->len};
  dprt_text_array(x->rt, a->type.elem, a->type.rank, data, a->type.grow ? len : a->dims, spec);
}

static void text_value(Run *x, IrType t, Slot v, const char *spec) {
  if (ir_is_array(t)) {
    text_array(x, v.a, spec);
    return;
  }
  switch ((IrElem)t.elem) {
  case IR_BOOL: dprt_text_bool(x->rt, v.i != 0); break;
  case IR_INT: dprt_text_i64(x->rt, v.i, spec); break;
  case IR_F32: dprt_text_f32(x->rt, (float)v.q, spec); break;
  case IR_F64: dprt_text_f64(x->rt, (double)v.q, spec); break;
  case IR_STRING: dprt_text_str(x->rt, v.s); break;
  }
}

// Templates: {} and {:spec} stand for the operands in order, {{ and }} for braces.
static bool run_format(Frame *fr, const IrOp *op) {
  Run *x = fr->run;
  if (!runtime(x)) return false;
  dprt_text_begin(x->rt);
  int k = 0;
  for (const char *s = op->attr.sym; *s;) {
    const char *close = *s == '{' && s[1] != '{' ? strchr(s, '}') : NULL;
    if (close && k < op->n_args) {
      const char *colon = s[1] == ':' ? s + 2 : close;
      const char *spec = arena_strdup(x->arena, colon, (size_t)(close - colon));
      text_value(x, arg_type(fr, op, k), fr->slots[op->args[k]], spec);
      k++;
      s = close + 1;
      continue;
    }
    bool twice = (*s == '{' || *s == '}') && s[1] == *s;
    dprt_text_str(x->rt, (char[]){*s, 0});
    s += twice ? 2 : 1;
  }
  const char *text = dprt_text_end(x->rt);
  if (!text) return fail(x, "out of memory");
  fr->slots[op->result].s = arena_strdup(x->in->arena, text, strlen(text));
  return true;
}

static void run_print(Frame *fr, const IrOp *op) {
  if (!fr->run->in->printed) return;
  sb_add(fr->run->in->printed, fr->slots[op->args[0]].s);
  sb_addc(fr->run->in->printed, '\n');
}

static bool count_step(Run *x) {
  IrInterp *in = x->in;
  if (in->max_steps > 0 && in->steps >= in->max_steps)
    return fail(x, "the program ran for more than %lld steps", (long long)in->max_steps);
  in->steps++;
  return true;
}

// ---- regions ---------------------------------------------------------------------------------------------------------

static bool run_region(Frame *fr, const PlanRegion *r);

static void move_yields(Frame *fr, const PlanRegion *r, Slot *out) {
  for (int i = 0; i < r->region->n_yields; i++) out[i] = take(fr, r->region->yields[i], r->last[i]);
}

// The carried values (in p->moved) become a region's arguments.
static bool enter(Frame *fr, const PlanOp *p, const IrRegion *r, int first) {
  for (int i = 0; i < p->op->n_results; i++) put(fr, r->args[first + i], p->moved[i]);
  for (int i = 0; i < p->op->n_results; i++)
    if (!check_sizes(fr, r->args[first + i])) return false;
  return true;
}

static bool leave(Frame *fr, const PlanOp *p) {
  for (int i = 0; i < p->op->n_results; i++) put(fr, ir_result(p->op, i), p->moved[i]);
  return check_all_sizes(fr, p->op->result, p->op->n_results);
}

static int64_t trip_count(int64_t lo, int64_t hi, int64_t step) {
  __int128 span = step > 0 ? (__int128)hi - lo : (__int128)lo - hi;
  __int128 by = step > 0 ? step : -(__int128)step;
  if (span <= 0) return 0;
  __int128 n = (span + by - 1) / by;
  return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static bool run_for(Frame *fr, const PlanOp *p) {
  const IrOp *op = p->op;
  const IrRegion *r = op->regions[0];
  int64_t lo = i64(fr, op, 0), step = i64(fr, op, 2);
  if (step == 0) return fail(fr->run, "in @%s: the step of a loop is zero", fr->func->name);
  int64_t n = trip_count(lo, i64(fr, op, 1), step);
  for (int i = 0; i < op->n_results; i++) p->moved[i] = take(fr, op->args[3 + i], p->last[3 + i]);
  for (int64_t k = 0; k < n; k++) {
    fr->slots[r->args[0]].i = int_math(IR_ADD, lo, int_math(IR_MUL, k, step));
    if (!count_step(fr->run) || !enter(fr, p, r, 1) || !run_region(fr, &p->regions[0])) return false;
    move_yields(fr, &p->regions[0], p->moved);
  }
  return leave(fr, p);
}

static bool run_while(Frame *fr, const PlanOp *p) {
  const IrOp *op = p->op;
  const IrRegion *cond = op->regions[0], *body = op->regions[1];
  for (int i = 0; i < op->n_results; i++) p->moved[i] = take(fr, op->args[i], p->last[i]);
  for (;;) {
    // The condition may use its arguments up, so the body's hold the values too.
    if (!count_step(fr->run) || !enter(fr, p, body, 0)) return false;
    for (int i = 0; i < op->n_results; i++) put(fr, cond->args[i], take(fr, body->args[i], false));
    if (!run_region(fr, &p->regions[0])) return false;
    bool go_on = fr->slots[cond->yields[0]].i;
    for (int i = 0; i < op->n_results; i++) {
      if (ir_is_array(arg_type(fr, op, i))) put(fr, cond->args[i], (Slot){.a = NULL});
      if (!go_on) p->moved[i] = take(fr, body->args[i], true);
    }
    if (!go_on) return leave(fr, p);
    if (!run_region(fr, &p->regions[1])) return false;
    move_yields(fr, &p->regions[1], p->moved);
  }
}

static bool run_if(Frame *fr, const PlanOp *p) {
  const PlanRegion *r = &p->regions[fr->slots[p->op->args[0]].i ? 0 : 1];
  if (!run_region(fr, r)) return false;
  move_yields(fr, r, p->moved);
  return leave(fr, p);
}

static bool run_build(Frame *fr, const PlanOp *p) {
  const IrOp *op = p->op;
  const IrRegion *r = op->regions[0];
  int64_t dims[IR_MAX_RANK], n = 1;
  for (int k = 0; k < op->n_args; k++) dims[k] = i64(fr, op, k);
  for (int i = 0; i < op->n_results; i++)
    if (!put_new(fr, ir_result(op, i), dims)) return false;
  for (int k = 0; k < op->n_args; k++)
    if (dims[k] < 0 || __builtin_mul_overflow(n, dims[k], &n)) return fail_memory(fr->run);
  for (int64_t at = 0; at < n; at++) {
    if (!count_step(fr->run)) return false;
    int64_t rest = at;
    for (int k = op->n_args - 1; k >= 0; k--) {
      fr->slots[r->args[k]].i = rest % dims[k];
      rest /= dims[k];
    }
    if (!run_region(fr, &p->regions[0])) return false;
    for (int i = 0; i < op->n_results; i++)
      quad_store(fr->slots[ir_result(op, i)].a, at, fr->slots[r->yields[i]]);
  }
  return true;
}

// ---- calls -----------------------------------------------------------------------------------------------------------

static Plan *plan_of(Run *x, const IrFunc *f) {
  const uint32_t *at = name_map_find(&x->plan_index, f->name);
  if (at && x->plans.data[*at]->func == f) return x->plans.data[*at];
  Plan *plan = plan_new(x->arena, f);
  name_map_put(&x->plan_index, f->name, (uint32_t)x->plans.len);
  vec_push(x->arena, &x->plans, plan);
  return plan;
}

static Slot *take_frame(Run *x, Plan *plan) {
  return plan->n_frames > 0 ? plan->frames[--plan->n_frames]
                            : ARENA_ARRAY(x->arena, Slot, plan->func->vals.len);
}

// A frame is given back with its arrays let go.
static void give_frame(Run *x, Plan *plan, Slot *slots) {
  for (int i = 0; i < plan->n_arrays; i++) {
    quad_drop(&x->pool, slots[plan->arrays[i]].a);
    slots[plan->arrays[i]].a = NULL;
  }
  if (plan->n_frames == plan->cap_frames) {
    int cap = plan->cap_frames ? plan->cap_frames * 2 : 4;
    plan->frames = arena_grow(x->arena, plan->frames, sizeof(Slot *) * (size_t)plan->cap_frames,
                              sizeof(Slot *) * (size_t)cap);
    plan->cap_frames = cap;
  }
  plan->frames[plan->n_frames++] = slots;
}

// args come with references, results leave with them.
static bool run_func(Run *x, Plan *plan, const Slot *args, Slot *results) {
  const IrFunc *f = plan->func;
  if (x->depth >= MAX_CALLS) return fail(x, "the recursion is too deep for the oracle");
  x->depth++;
  Frame fr = {x, plan, f, take_frame(x, plan)};
  for (int i = 0; i < f->n_params; i++) fr.slots[i + 1] = args[i];
  bool ok = check_all_sizes(&fr, 1, f->n_params) && run_region(&fr, &plan->body);
  if (ok) move_yields(&fr, &plan->body, results);
  give_frame(x, plan, fr.slots);
  x->depth--;
  return ok;
}

static bool run_call(Frame *fr, PlanOp *p) {
  Run *x = fr->run;
  const IrOp *op = p->op;
  if (!p->callee) {
    const IrFunc *f = ir_func_find(x->in->module, op->attr.sym);
    if (!f || !f->body) return fail(x, "there is no body of @%s to run", op->attr.sym);
    if (f->n_params != op->n_args || f->n_results != op->n_results)
      return fail(x, "a call does not fit the signature of @%s", op->attr.sym);
    p->callee = plan_of(x, f);
  }
  // Not from the plan: this very call may be running further up.
  Slot few[16], *room = few;
  int need = op->n_args + op->n_results;
  if (need > 16) room = ARENA_ARRAY(x->arena, Slot, need);
  for (int i = 0; i < op->n_args; i++) room[i] = take(fr, op->args[i], p->last[i]);
  Slot *results = room + op->n_args;
  if (!run_func(x, p->callee, room, results)) return false;
  for (int i = 0; i < op->n_results; i++) put(fr, ir_result(op, i), results[i]);
  return check_all_sizes(fr, op->result, op->n_results);
}

// ---- operations ------------------------------------------------------------------------------------------------------

static bool run_conversion(Frame *fr, const IrOp *op) {
  Slot *out = &fr->slots[op->result];
  IrType to = ir_type(fr->func, op->result);
  switch ((IrOpKind)op->kind) {
  case IR_ITOF: out->q = rounded(fr->run, to, (__float128)i64(fr, op, 0)); break;
  case IR_FCVT: out->q = rounded(fr->run, to, q(fr, op, 0)); break;
  case IR_FTOI: out->i = quad_to_int(q(fr, op, 0)); break;
  case IR_POWI: out->q = rounded(fr->run, to, quad_powi(q(fr, op, 0), i64(fr, op, 1))); break;
  default: *out = fr->slots[op->args[0]]; break; // BTOI, DETACH, ATTACH
  }
  return true;
}

static bool run_logic(Frame *fr, const IrOp *op) {
  Slot *out = &fr->slots[op->result];
  switch ((IrOpKind)op->kind) {
  case IR_AND: out->i = i64(fr, op, 0) && i64(fr, op, 1); break;
  case IR_OR: out->i = i64(fr, op, 0) || i64(fr, op, 1); break;
  case IR_NOT: out->i = !i64(fr, op, 0); break;
  case IR_SELECT: *out = fr->slots[op->args[i64(fr, op, 0) ? 1 : 2]]; break;
  default: out->i = run_compare(fr, op); break;
  }
  return true;
}

static bool run_extern(Frame *fr, const IrOp *op) {
  IrInterp *in = fr->run->in;
  IrCell out;
  if (op->n_results != 1 || ir_is_array(ir_type(fr->func, op->result)) || !in->foreign)
    return fail(fr->run, "the oracle does not run extern functions");
  if (!in->foreign(in->user, fr, op, &out))
    return fail(fr->run, "`%s` cannot be called", op->attr.ext->symbol);
  if (ir_is_float(ir_type(fr->func, op->result)))
    fr->slots[op->result].q = out.v.q;
  else
    fr->slots[op->result].i = out.v.i;
  return true;
}

static bool run_op(Frame *fr, PlanOp *p) {
  const IrOp *op = p->op;
  switch ((IrOpKind)op->kind) {
  case IR_CONST: run_const(fr, op); return true;
  case IR_STR: fr->slots[op->result].s = op->attr.sym; return true;
  case IR_IDIV:
  case IR_IMOD:
  case IR_IPOW: return run_int(fr, op);
  case IR_LT:
  case IR_LE:
  case IR_EQ:
  case IR_NE:
  case IR_AND:
  case IR_OR:
  case IR_NOT:
  case IR_SELECT: return run_logic(fr, op);
  case IR_ITOF:
  case IR_FTOI:
  case IR_BTOI:
  case IR_FCVT:
  case IR_DETACH:
  case IR_ATTACH:
  case IR_POWI: return run_conversion(fr, op);
  case IR_RNG_UNIFORM:
  case IR_RNG_NORMAL:
  case IR_RNG_BELOW: return run_rng(fr, op);
  case IR_FILL: return run_fill(fr, op);
  case IR_TABLE: return run_table(fr, op);
  case IR_GET: return run_get(fr, op);
  case IR_SET:
  case IR_ACC: return run_set(fr, p);
  case IR_MATMUL: return run_matmul(fr, op);
  case IR_MATACC: return run_matacc(fr, p);
  case IR_COPY: put(fr, op->result, take(fr, op->args[0], p->last[0])); return true;
  case IR_FREE: return true; // a last use like any other
  case IR_EMPTY: return put_new(fr, op->result, NULL);
  case IR_LEN: fr->slots[op->result].i = fr->slots[op->args[0]].a->len; return true;
  case IR_PUSH: return run_push(fr, p);
  case IR_POP: return run_pop(fr, p);
  case IR_BUILD: return run_build(fr, p);
  case IR_FOR: return run_for(fr, p);
  case IR_WHILE: return run_while(fr, p);
  case IR_IF: return run_if(fr, p);
  case IR_CALL: return run_call(fr, p);
  case IR_DCALL: return fail(fr->run, "the oracle does not run derivatives: expand them first");
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
  case IR_ASSERT: return run_check(fr, op);
  case IR_FORMAT: return run_format(fr, op);
  case IR_PRINT: run_print(fr, op); return true;
  case IR_EXTERN: return run_extern(fr, op);
  case IR_TRAIN:
  case IR_MINIMIZE: return fail(fr->run, "the oracle does not run training");
  default: // arithmetic, by the type of the operands
    if (!ir_is_float(arg_type(fr, op, 0))) return run_int(fr, op);
    run_float(fr, op);
    return true;
  }
}

static bool run_region(Frame *fr, const PlanRegion *r) {
  const IrInterp *in = fr->run->in;
  if (in->entered && fr->run->depth == 1) in->entered(in->user, fr, r->region);
  for (int i = 0; i < r->region->ops.len; i++) {
    PlanOp *p = &r->ops[i];
    if (!count_step(fr->run) || !run_op(fr, p)) return false;
    if (in->seen && fr->run->depth == 1) in->seen(in->user, fr, p->op);
    for (int k = 0; k < p->op->n_args; k++)
      if (p->last[k] && ir_is_array(arg_type(fr, p->op, k))) put(fr, p->op->args[k], (Slot){.a = NULL});
  }
  return true;
}

// ---- the way in and out ----------------------------------------------------------------------------------------------

static bool args_to_slots(Run *x, const IrFunc *f, const IrCell *args, Slot *slots) {
  for (int i = 0; i < f->n_params; i++) {
    IrType t = ir_type(f, (IrVal)i + 1);
    if (!ir_type_eq(t, args[i].type) && !(t.grow && args[i].type.rank == 1 && args[i].type.elem == t.elem))
      return fail(x, "argument %d of @%s has the wrong type", i, f->name);
    if (!ir_is_array(t)) {
      slots[i] = t.elem == IR_STRING ? (Slot){.s = args[i].v.s}
                 : ir_is_float(t)    ? (Slot){.q = args[i].v.q}
                                     : (Slot){.i = args[i].v.i};
      continue;
    }
    // A copy, so that what a run does to its arrays never shows in the caller's.
    IrQuad *from = args[i].data, *a = from ? quad_new(&x->pool, t, from->dims) : NULL;
    if (!a || !quad_reserve(&x->pool, a, from->len)) return fail_memory(x);
    for (int64_t k = 0; k < from->len; k++) quad_store(a, k, quad_load(from, k));
    a->len = from->len;
    slots[i].a = a;
  }
  return true;
}

static IrCell slot_to_cell(Run *x, IrType t, Slot s) {
  IrCell c = {.type = t};
  if (!ir_is_array(t)) {
    if (t.elem == IR_STRING)
      c.v.s = s.s;
    else if (ir_is_float(t))
      c.v.q = s.q;
    else
      c.v.i = s.i;
    return c;
  }
  Arena *arena = x->in->arena;
  const IrQuad *a = s.a;
  c.data = ARENA_NEW(arena, IrQuad);
  *c.data = (IrQuad){.refs = 1, .len = a->len, .cap = a->len, .type = t};
  for (int i = 0; i < t.rank; i++) c.dims[i] = c.data->dims[i] = t.grow ? a->len : a->dims[i];
  c.data->at.raw = arena_alloc(arena, (size_t)a->len * sizeof(Slot));
  for (int64_t i = 0; i < a->len; i++) quad_store(c.data, i, quad_load(a, i));
  return c;
}

IrCell ir_interp_look(const IrFrame *at, IrVal v) {
  IrType t = ir_type(at->func, v);
  if (ir_is_array(t) && !at->slots[v].a) return (IrCell){.type = t};
  return slot_to_cell(at->run, t, at->slots[v]);
}

static bool run_whole(Run *x, const IrFunc *f, const IrCell *args, IrCell *results) {
  if (!f->body) return fail(x, "there is no body of @%s to run", f->name);
  name_map_init(&x->plan_index, x->arena);
  Slot *in = ARENA_ARRAY(x->arena, Slot, f->n_params), *out = ARENA_ARRAY(x->arena, Slot, f->n_results);
  if (!args_to_slots(x, f, args, in) || !run_func(x, plan_of(x, f), in, out)) return false;
  for (int i = 0; i < f->n_results; i++) results[i] = slot_to_cell(x, f->results[i], out[i]);
  return true;
}

bool ir_interp(IrInterp *in, const IrFunc *f, const IrCell *args, IrCell *results) {
  Run x = {.in = in, .arena = arena_new(0)};
  in->error = NULL;
  if (!in->module) in->module = f->module;
  pool_init(&x.pool);
  bool ok = x.arena ? run_whole(&x, f, args, results) : fail(&x, "out of memory");
  in->peak = x.pool.peak;
  pool_free(&x.pool);
  if (x.rt) dprt_ctx_free(x.rt);
  arena_free(x.arena);
  return ok;
}
