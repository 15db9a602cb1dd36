// What operations, conditions and loops tell of ints. In: a function's operations, one by one, in order; out: bounds and
// inequalities for range.c. A value that a loop carries is bounded by what one round does to it.
#include "opt/range.h"

enum { MAX_DELTA = 64 };
static const Interval ANY = {INT64_MIN, INT64_MAX};

// ---- what operations tell ------------------------------------------------------------------------------------------

void range_assume(Range *r, IrVal cond, bool truth) {
  const IrOp *op = ir_val(r->f, cond)->def;
  if (!op) return;
  if (op->kind == IR_NOT) range_assume(r, op->args[0], !truth);
  if (op->kind == (truth ? IR_AND : IR_OR)) {
    range_assume(r, op->args[0], truth);
    range_assume(r, op->args[1], truth);
  }
  if (op->n_args != 2 || ir_type(r->f, op->args[0]).elem != IR_INT) return;
  IrVal a = op->args[0], b = op->args[1];
  IrOpKind k = op->kind;
  if (k == IR_LT) {
    if (truth)
      range_add_order(r, b, a, 1);
    else
      range_add_order(r, a, b, 0);
  } else if (k == IR_LE) {
    if (truth)
      range_add_order(r, b, a, 0);
    else
      range_add_order(r, a, b, 1);
  } else if (k == (truth ? IR_EQ : IR_NE)) {
    range_add_order(r, a, b, 0);
    range_add_order(r, b, a, 0);
  } else if (k == IR_EQ || k == IR_NE) { // differ: the next one where it is at an end of its range
    if (range_known_order(r, a, b)) range_add_order(r, a, b, 1);
    if (range_known_order(r, b, a)) range_add_order(r, b, a, 1);
  }
}

// Each size is a size; and all elements together are no more than there is room for.
static void define_sizes(Range *r, IrVal v) {
  const IrVal *dims = ir_dims(r->f, v);
  int rank = dims ? ir_type(r->f, v).rank : 0;
  Form all = form_const(1), room = form_const(SIZE_LIMIT);
  bool ok = rank > 1;
  for (int i = 0; i < rank; i++) {
    range_bound(r, dims[i], (Interval){0, SIZE_LIMIT});
    Form size = range_form(r, dims[i]), before = all;
    ok = ok && form_multiply(&before, &size, &all);
  }
  if (ok && form_add(&room, -1, &all)) range_add(r, room);
}

static void define_division(Range *r, const IrOp *op) {
  IrVal v = op->result, a = op->args[0], b = op->args[1];
  Interval x = range_of(r, a), y = range_of(r, b);
  if (y.lo < 1) return;
  if (op->kind == IR_IMOD) {
    range_bound(r, v, (Interval){0, y.hi - 1});
    range_add_order(r, b, v, 1);
    if (x.lo >= 0) range_add_order(r, a, v, 0);
    return;
  }
  range_bound(r, v, (Interval){x.lo < 0 ? x.lo : 0, x.hi < 0 ? -1 : x.hi});
  if (y.lo != y.hi || y.hi > INT32_MAX) {
    if (x.lo >= 0) range_add_order(r, a, v, 0);
    return;
  }
  // b * v <= a < b * v + b
  Form low = range_form(r, a), high = form_const(y.hi - 1), q = form_atom(v);
  if (form_add(&low, -y.hi, &q)) range_add(r, low);
  Form dividend = range_form(r, a);
  if (form_add(&high, y.hi, &q) && form_add(&high, -1, &dividend)) range_add(r, high);
}

static void define_min_max(Range *r, const IrOp *op) {
  for (int k = 0; k < 2; k++) {
    if (op->kind == IR_MIN)
      range_add_order(r, op->args[k], op->result, 0);
    else
      range_add_order(r, op->result, op->args[k], 0);
  }
}

static void define_check(Range *r, const IrOp *op) {
  const IrVal *a = op->args;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX:
    range_add_order(r, a[0], 0, 0);
    range_add_order(r, a[1], a[0], 1);
    return;
  case IR_CHECK_RANGE:
    range_add_order(r, a[0], 0, 0);
    range_add_order(r, a[1], a[0], 0);
    range_add_order(r, a[2], a[1], 0);
    return;
  case IR_CHECK_SIZE:
    range_add_order(r, a[0], a[1], 0);
    range_add_order(r, a[1], a[0], 0);
    return;
  case IR_CHECK_DIV:
    if (range_of(r, a[0]).lo == 0) range_add_order(r, a[0], 0, 1);
    return;
  default: range_assume(r, a[0], true); return; // ASSERT
  }
}

// ---- carried values --------------------------------------------------------------------------------------------------

typedef struct Delta { // how much a value is above another one; limits of int64 stand for no bound
  int64_t lo, hi;
} Delta;

static bool delta_of(const IrFunc *f, IrVal v, IrVal from, int depth, Delta *out);

static bool delta_either(const IrFunc *f, IrVal a, IrVal b, IrVal from, int depth, Delta *out) {
  Delta x, y;
  if (!delta_of(f, a, from, depth, &x) || !delta_of(f, b, from, depth, &y)) return false;
  *out = (Delta){x.lo < y.lo ? x.lo : y.lo, x.hi > y.hi ? x.hi : y.hi};
  return true;
}

static int64_t delta_sum(int64_t a, int64_t b) {
  return a == INT64_MIN || a == INT64_MAX ? a : b == INT64_MIN || b == INT64_MAX ? b : a + b;
}

// Within one step, through additions of constants, branches, and loops inside.
static bool delta_of(const IrFunc *f, IrVal v, IrVal from, int depth, Delta *out) {
  *out = (Delta){0, 0};
  if (v == from) return true;
  const IrOp *op = ir_val(f, v)->def;
  if (!op || depth == 0) return false;
  switch ((IrOpKind)op->kind) {
  case IR_ADD:
  case IR_SUB: {
    Affine a = affine_of(f, v);
    if (a.base == 0 || a.base == v || a.offset > MAX_DELTA || a.offset < -MAX_DELTA) return false;
    if (!delta_of(f, a.base, from, depth - 1, out)) return false;
    *out = (Delta){delta_sum(out->lo, a.offset), delta_sum(out->hi, a.offset)};
    return out->lo == INT64_MIN || out->hi == INT64_MAX || (out->lo >= -MAX_DELTA && out->hi <= MAX_DELTA);
  }
  case IR_SELECT: return delta_either(f, op->args[1], op->args[2], from, depth - 1, out);
  case IR_IF: {
    int k = ir_val(f, v)->index;
    return delta_either(f, op->regions[0]->yields[k], op->regions[1]->yields[k], from, depth - 1, out);
  }
  case IR_FOR: {
    int k = ir_val(f, v)->index;
    Delta in, each;
    const IrRegion *body = op->regions[0];
    if (!delta_of(f, op->args[3 + k], from, depth - 1, &in)) return false;
    if (!delta_of(f, body->yields[k], body->args[1 + k], depth - 1, &each)) return false;
    *out = (Delta){each.lo >= 0 ? in.lo : INT64_MIN, each.hi <= 0 ? in.hi : INT64_MAX};
    return out->lo != INT64_MIN || out->hi != INT64_MAX;
  }
  default: return false;
  }
}

typedef struct Carried { // one int that a loop carries
  IrVal init, v;         // v: the argument or the result
  IrVal from, to;        // steps done by then, where the loop counts by one: to - from; 0: not known
  bool counted;
} Carried;

// v >= init + k * (to - from), or <= for below.
static void add_progress(Range *r, const Carried *c, int64_t k, bool below) {
  Form e = range_form(r, c->init), v = range_form(r, c->v), to = range_form(r, c->to),
       from = range_form(r, c->from);
  Form out = form_const(0);
  if (k != 0 && (!form_add(&e, k, &to) || !form_add(&e, -k, &from))) return;
  if (form_add(&out, below ? -1 : 1, &v) && form_add(&out, below ? 1 : -1, &e)) range_add(r, out);
}

static void define_progress(Range *r, const Carried *c, Delta d) {
  Interval init = range_of(r, c->init);
  if (init.lo < -COUNT_LIMIT || init.hi > COUNT_LIMIT) return;
  Interval by = {d.lo >= 0 ? init.lo : -2 * COUNT_LIMIT, d.hi <= 0 ? init.hi : 2 * COUNT_LIMIT};
  range_bound(r, c->v, by);
  if (d.lo >= 0 || (c->counted && d.lo != INT64_MIN)) add_progress(r, c, c->counted ? d.lo : 0, false);
  if (d.hi <= 0 || (c->counted && d.hi != INT64_MAX)) add_progress(r, c, c->counted ? d.hi : 0, true);
}

// ---- carried values that are one of a few ----------------------------------------------------------------------------
// The index of the best so far: what it was, or the index now.

enum { MAX_CHOICES = 6, MAX_NESTED = 4 };

typedef struct Choice { // a value between lo + from and hi + to; lo and hi do not change in the loop
  IrVal lo, hi;
  int64_t from, to;
} Choice;

typedef struct Choices {
  const Range *r;
  const IrRegion *body;   // of the loop
  IrVal self[MAX_NESTED]; // the carried value, also as loops inside call it
  int n_self;
  Choice all[MAX_CHOICES];
  int n;
} Choices;

static bool fixed(const Choices *c, IrVal v) {
  return v == 0 || ir_is_const(c->r->f, v) || ir_defined_outside(c->r->f, v, c->body);
}

static bool add_choice(Choices *c, IrVal lo, int64_t from, IrVal hi, int64_t to) {
  if (c->n == MAX_CHOICES || !fixed(c, lo) || !fixed(c, hi)) return false;
  c->all[c->n++] = (Choice){lo, hi, from, to};
  return true;
}

// The index of a loop, `more` added.
static bool add_index(Choices *c, IrVal v, int64_t more) {
  const IrValue *val = ir_val(c->r->f, v);
  const IrOp *op = val->def ? NULL : val->region->owner;
  int64_t step;
  if (!op || more < -MAX_DELTA || more > MAX_DELTA) return false;
  if (op->kind == IR_BUILD) return add_choice(c, 0, more, op->args[val->index], more - 1);
  if (op->kind != IR_FOR || val->index != 0 || !ir_is_const_int(c->r->f, op->args[2], &step)) return false;
  Interval a = range_of(c->r, op->args[0]), b = range_of(c->r, op->args[1]);
  if (more && (a.lo < -COUNT_LIMIT || a.hi > COUNT_LIMIT || b.lo < -COUNT_LIMIT || b.hi > COUNT_LIMIT))
    return false;
  if (step > 0) return add_choice(c, op->args[0], more, op->args[1], more - 1);
  return add_choice(c, op->args[1], more + 1, op->args[0], more);
}

static bool choices_of(Choices *c, IrVal v, int depth) {
  const IrFunc *f = c->r->f;
  for (int i = 0; i < c->n_self; i++)
    if (c->self[i] == v) return true;
  if (fixed(c, v)) return add_choice(c, v, 0, v, 0);
  Affine a = affine_of(f, v);
  if (a.base && add_index(c, a.base, a.offset)) return true;
  const IrOp *op = ir_val(f, v)->def;
  int k = ir_val(f, v)->index;
  if (!op || depth == 0) return false;
  switch ((IrOpKind)op->kind) {
  case IR_MIN:
  case IR_MAX: return choices_of(c, op->args[0], depth - 1) && choices_of(c, op->args[1], depth - 1);
  case IR_SELECT: return choices_of(c, op->args[1], depth - 1) && choices_of(c, op->args[2], depth - 1);
  case IR_IF:
    return choices_of(c, op->regions[0]->yields[k], depth - 1) &&
           choices_of(c, op->regions[1]->yields[k], depth - 1);
  case IR_FOR:
    if (c->n_self == MAX_NESTED || !choices_of(c, op->args[3 + k], depth - 1)) return false;
    c->self[c->n_self++] = op->regions[0]->args[1 + k];
    return choices_of(c, op->regions[0]->yields[k], depth - 1);
  default: return false;
  }
}

static int64_t plus(int64_t a, int64_t b) { // saturates
  int64_t s;
  return !__builtin_add_overflow(a, b, &s) ? s : b < 0 ? INT64_MIN : INT64_MAX;
}

// An index of a loop around gives way to that loop's end (start).
static bool give_way(const Range *r, Choice *c, bool largest) {
  IrVal v = largest ? c->hi : c->lo;
  const IrValue *val = v ? ir_val(r->f, v) : NULL;
  const IrOp *op = val && !val->def ? val->region->owner : NULL;
  int64_t step = 1;
  if (!op || op->kind == IR_IF || op->kind == IR_WHILE || (op->kind == IR_FOR && val->index != 0))
    return false;
  if (op->kind == IR_FOR && (!ir_is_const_int(r->f, op->args[2], &step) || step <= 0)) return false;
  bool counts = op->kind == IR_FOR;
  if (largest)
    c->hi = op->args[counts ? 1 : val->index], c->to = plus(c->to, -1);
  else
    c->lo = counts ? op->args[0] : 0;
  return true;
}

static bool bounds_all(Range *r, const Choices *c, const Choice *a, bool largest) {
  for (int i = 0; i < c->n; i++) {
    const Choice *b = &c->all[i];
    if (!(largest ? range_at_least(r, a->hi, b->hi, b->to - a->to)
                  : range_at_least(r, b->lo, a->lo, a->from - b->from)))
      return false;
  }
  return true;
}

// The largest (smallest) of the choices, where one is known to be.
static void order_choices(Range *r, const Choices *c, IrVal v, bool largest) {
  for (int k = 0; k < 2 * c->n; k++) {
    Choice a = c->all[k / 2];
    if (k % 2 && !give_way(r, &a, largest)) continue;
    if (!bounds_all(r, c, &a, largest)) continue;
    if (largest)
      range_add_order(r, a.hi, v, -a.to);
    else
      range_add_order(r, v, a.lo, a.from);
    return;
  }
}

static void define_choice(Range *r, const Carried *in, const IrRegion *body, int first, int k) {
  Choices c = {.r = r, .body = body, .self = {body->args[first + k]}, .n_self = 1};
  if (!add_choice(&c, in->init, 0, in->init, 0) || !choices_of(&c, body->yields[k], 8)) return;
  Interval all = {INT64_MAX, INT64_MIN};
  for (int i = 0; i < c.n; i++) {
    const Choice *a = &c.all[i];
    int64_t lo = a->lo ? range_of(r, a->lo).lo : 0, hi = a->hi ? range_of(r, a->hi).hi : 0;
    all = interval_hull(all, (Interval){plus(lo, a->from), plus(hi, a->to)});
  }
  range_bound(r, in->v, all);
  order_choices(r, &c, in->v, true);
  order_choices(r, &c, in->v, false);
}

static void define_carried(Range *r, const Carried *c, const IrRegion *body, int first, int k) {
  Delta d;
  if (delta_of(r->f, body->yields[k], body->args[first + k], 8, &d))
    define_progress(r, c, d);
  else
    define_choice(r, c, body, first, k);
}

static bool is_int(const Range *r, IrVal v) { return ir_type_eq(ir_type(r->f, v), IR_SCALAR(IR_INT)); }

static bool steps_by_one(const Range *r, const IrOp *op) {
  int64_t step;
  return ir_is_const_int(r->f, op->args[2], &step) && step == 1;
}

// ---- regions ---------------------------------------------------------------------------------------------------------

static void enter_for(Range *r, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  IrVal i = body->args[0], lo = op->args[0], hi = op->args[1];
  int64_t step;
  Interval a = range_of(r, lo), b = range_of(r, hi);
  if (ir_is_const_int(r->f, op->args[2], &step) && step != 0) {
    bool up = step > 0;
    Interval in = up ? (Interval){a.lo, b.hi == INT64_MIN ? b.hi : b.hi - 1}
                     : (Interval){b.lo == INT64_MAX ? b.lo : b.lo + 1, a.hi};
    range_bound(r, i, in);
    range_add_order(r, up ? i : lo, up ? lo : i, 0);
    range_add_order(r, up ? hi : i, up ? i : hi, 1);
  }
  for (int k = 0; k < op->n_results; k++) {
    Carried c = {op->args[3 + k], body->args[1 + k], lo, i, steps_by_one(r, op)};
    if (is_int(r, c.v)) define_carried(r, &c, body, 1, k);
  }
}

static void leave_for(Range *r, const IrOp *op) {
  IrVal lo = op->args[0], hi = op->args[1];
  bool counted = steps_by_one(r, op) && range_at_least(r, hi, lo, 0);
  for (int k = 0; k < op->n_results; k++) {
    Carried c = {op->args[3 + k], ir_result(op, k), lo, hi, counted};
    if (is_int(r, c.v)) define_carried(r, &c, op->regions[0], 1, k);
  }
}

// The values as the condition sees them are those of `now`.
static void assume_condition(Range *r, const IrOp *op, const IrVal *now, bool truth) {
  const IrRegion *cond = op->regions[0];
  for (int k = 0; k < op->n_results; k++) r->alias[cond->args[k]] = now[k];
  range_assume(r, cond->yields[0], truth);
  for (int k = 0; k < op->n_results; k++) r->alias[cond->args[k]] = 0;
}

static void define_while(Range *r, const IrOp *op, const IrVal *now) {
  for (int k = 0; k < op->n_results; k++) {
    Carried c = {op->args[k], now[k], 0, 0, false};
    if (is_int(r, c.v)) define_carried(r, &c, op->regions[1], 0, k);
  }
}

static IrVal *results(Range *r, const IrOp *op) {
  IrVal *out = ARENA_ARRAY(r->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) out[k] = ir_result(op, k);
  return out;
}

static void enter_build(Range *r, const IrOp *op) {
  for (int k = 0; k < op->n_args; k++) {
    IrVal i = op->regions[0]->args[k];
    range_bound(r, op->args[k], (Interval){1, SIZE_LIMIT});
    range_bound(r, i, (Interval){0, SIZE_LIMIT});
    range_add_order(r, op->args[k], i, 1);
  }
}

void range_enter(Range *r, const IrOp *op, int k) {
  switch ((IrOpKind)op->kind) {
  case IR_IF: range_assume(r, op->args[0], k == 0); return;
  case IR_FOR: enter_for(r, op); return;
  case IR_BUILD: enter_build(r, op); return;
  case IR_WHILE:
    define_while(r, op, op->regions[k]->args);
    if (k == 1) assume_condition(r, op, op->regions[1]->args, true);
    return;
  default: return;
  }
}

static void leave_while(Range *r, const IrOp *op) {
  const IrVal *now = results(r, op);
  define_while(r, op, now);
  assume_condition(r, op, now, false);
}

static void leave_if(Range *r, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k), a = op->regions[0]->yields[k], b = op->regions[1]->yields[k];
    if (is_int(r, v)) range_bound(r, v, interval_hull(range_of(r, a), range_of(r, b)));
  }
}

void range_define(Range *r, const IrOp *op) {
  bool ints = op->n_results == 1 && is_int(r, op->result);
  Interval x = ints && op->n_args && is_int(r, op->args[0]) ? range_of(r, op->args[0]) : ANY;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
  case IR_ASSERT: define_check(r, op); break;
  case IR_MUL:
    if (ints) range_define_product(r, op);
    break;
  case IR_IDIV:
  case IR_IMOD: define_division(r, op); break;
  case IR_MIN:
  case IR_MAX:
    if (ints) define_min_max(r, op);
    break;
  case IR_ABS:
    if (ints && x.lo > INT64_MIN) range_bound(r, op->result, (Interval){0, INT64_MAX});
    break;
  case IR_SELECT:
    if (ints) range_bound(r, op->result, interval_hull(range_of(r, op->args[1]), range_of(r, op->args[2])));
    break;
  case IR_BTOI: range_bound(r, op->result, (Interval){0, 1}); break;
  case IR_LEN: range_bound(r, op->result, (Interval){0, SIZE_LIMIT}); break;
  case IR_RNG_BELOW:
    if (range_of(r, op->args[2]).lo < 1) break;
    range_bound(r, op->result, (Interval){0, INT64_MAX});
    range_add_order(r, op->args[2], op->result, 1);
    break;
  case IR_FOR: leave_for(r, op); break;
  case IR_WHILE: leave_while(r, op); break;
  case IR_IF: leave_if(r, op); break;
  default: break;
  }
  if (ir_op_info[op->kind].flags & IR_U) return; // sizes as before
  for (int k = 0; k < op->n_results; k++) define_sizes(r, ir_result(op, k));
}

Range *range_new(Arena *a, const IrFunc *f) {
  Range *r = ARENA_NEW(a, Range);
  int n = f->vals.len;
  r->arena = a;
  r->f = f;
  r->bounds = ARENA_ARRAY(a, Interval, n);
  r->alias = ARENA_ARRAY(a, IrVal, n);
  r->heads = ARENA_ARRAY(a, int, n);
  r->exact = ARENA_ARRAY(a, bool, n);
  for (int i = 0; i < n; i++) r->bounds[i] = ANY;
  for (int i = 0; i < n; i++) r->heads[i] = -1;
  for (int i = 0; i < f->n_params; i++) {
    if (i < f->n_sizes) range_bound(r, (IrVal)i + 1, (Interval){0, SIZE_LIMIT});
    define_sizes(r, (IrVal)i + 1);
  }
  return r;
}
