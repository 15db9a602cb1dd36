// What is known of ints at one place of a function: numeric bounds by value, and linear inequalities `form >= 0` from loop
// bounds, conditions, checks that passed and operations that bound their result. A question `form >= 0` is answered by
// bounds alone or by taking known inequalities off the form until they do.
//
// Ints of the language wrap, the inequalities hold between mathematical integers. So a sum or product is only taken apart
// where its operands' bounds say that it did not wrap. No size is above SIZE_LIMIT, as there is no room for more elements.
#include "opt/scalar.h"

#include <string.h>

enum { MAX_TERMS = 8, MAX_DEGREE = 3, MAX_DEPTH = 7, MAX_STEPS = 160, FORM_DEPTH = 12, BOUND_DEPTH = 3 };
enum { MAX_FACTS_TRIED = 16, MAX_DELTA = 64 };
static const int64_t SIZE_LIMIT = (int64_t)1 << 56;
static const int64_t COUNT_LIMIT = (int64_t)1 << 61; // a counter that steps by at most MAX_DELTA stays below

typedef struct Term { // c * x[0] * x[1] * ..., sorted, 0 where there are no more
  int64_t c;
  IrVal x[MAX_DEGREE];
} Term;

typedef struct Form { // the sum of its terms and c
  int n;
  int64_t c;
  Term t[MAX_TERMS];
} Form;

typedef struct Link { // a fact that a value occurs in
  int fact, next;
  IrVal v;
} Link;

typedef struct Undo {
  IrVal v;
  Interval was;
} Undo;

struct Range {
  Arena *arena;
  const IrFunc *f;
  Interval *bounds; // by value
  IrVal *alias;     // by value: known to equal another one for now; 0: itself
  VEC(Form) facts;
  VEC(Link) links;
  VEC(Undo) undo;
  int *heads;  // by value: its first link; -1: none
  bool *exact; // by value: a product that did not wrap, though the bounds of its factors do not tell
  int steps;   // left for the question at hand
};

// ---- forms ---------------------------------------------------------------------------------------------------------

static Form form_const(int64_t c) { return (Form){.c = c}; }
static Form form_atom(IrVal v) { return (Form){.n = 1, .t = {{1, {v}}}}; }

static bool same_product(const Term *a, const Term *b) { return !memcmp(a->x, b->x, sizeof a->x); }

static bool add_term(Form *a, int64_t c, const Term *t) {
  for (int i = 0; i < a->n; i++) {
    if (!same_product(&a->t[i], t)) continue;
    if (__builtin_add_overflow(a->t[i].c, c, &a->t[i].c)) return false;
    if (a->t[i].c == 0) a->t[i] = a->t[--a->n];
    return true;
  }
  if (c == 0) return true;
  if (a->n == MAX_TERMS) return false;
  a->t[a->n] = *t;
  a->t[a->n++].c = c;
  return true;
}

// a += k * b; false when the result does not fit a form.
static bool form_add(Form *a, int64_t k, const Form *b) {
  int64_t c;
  if (__builtin_mul_overflow(k, b->c, &c) || __builtin_add_overflow(a->c, c, &a->c)) return false;
  for (int i = 0; i < b->n; i++)
    if (__builtin_mul_overflow(k, b->t[i].c, &c) || !add_term(a, c, &b->t[i])) return false;
  return true;
}

static bool multiply_terms(const Term *a, const Term *b, Term *out) {
  int n = 0, i = 0, j = 0;
  IrVal all[2 * MAX_DEGREE] = {0};
  while ((i < MAX_DEGREE && a->x[i]) || (j < MAX_DEGREE && b->x[j])) {
    bool left = i < MAX_DEGREE && a->x[i] && (j == MAX_DEGREE || !b->x[j] || a->x[i] <= b->x[j]);
    all[n++] = left ? a->x[i++] : b->x[j++];
  }
  if (n > MAX_DEGREE) return false;
  memcpy(out->x, all, sizeof out->x);
  return !__builtin_mul_overflow(a->c, b->c, &out->c);
}

static bool form_multiply(const Form *a, const Form *b, Form *out) {
  *out = form_const(0);
  Form scaled = form_const(0);
  if (!form_add(&scaled, b->c, a) || !form_add(out, 1, &scaled)) return false;
  for (int j = 0; j < b->n; j++) {
    Term t;
    if (a->c) {
      if (__builtin_mul_overflow(a->c, b->t[j].c, &t.c) || !add_term(out, t.c, &b->t[j])) return false;
    }
    for (int i = 0; i < a->n; i++)
      if (!multiply_terms(&a->t[i], &b->t[j], &t) || !add_term(out, t.c, &t)) return false;
  }
  return true;
}

static uint64_t gcd(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t t = a % b;
    a = b;
    b = t;
  }
  return a;
}

static uint64_t magnitude(int64_t v) { return v < 0 ? -(uint64_t)v : (uint64_t)v; }

// g * s + c >= 0 says s + floor(c / g) >= 0.
static void form_reduce(Form *a) {
  uint64_t all = 0;
  for (int i = 0; i < a->n; i++) all = gcd(all, magnitude(a->t[i].c));
  if (all < 2 || all > INT64_MAX) return;
  int64_t g = (int64_t)all;
  for (int i = 0; i < a->n; i++) a->t[i].c /= g;
  a->c = a->c / g - (a->c % g < 0);
}

// ---- bounds --------------------------------------------------------------------------------------------------------

typedef __int128 Wide;
static const Wide WIDE_LIMIT = (Wide)1 << 120; // more than any product that matters; stands for no bound

typedef struct WideInterval {
  Wide lo, hi;
} WideInterval;

static Wide clamp(Wide v) { return v > WIDE_LIMIT ? WIDE_LIMIT : v < -WIDE_LIMIT ? -WIDE_LIMIT : v; }

static Wide wide_multiply(Wide a, Wide b) {
  Wide r;
  if (!__builtin_mul_overflow(a, b, &r)) return clamp(r);
  return (a < 0) == (b < 0) ? WIDE_LIMIT : -WIDE_LIMIT;
}

static WideInterval widen(Interval v) { return (WideInterval){v.lo, v.hi}; }

static WideInterval multiply(WideInterval a, WideInterval b) {
  Wide p[4] = {wide_multiply(a.lo, b.lo), wide_multiply(a.lo, b.hi), wide_multiply(a.hi, b.lo),
               wide_multiply(a.hi, b.hi)};
  WideInterval r = {p[0], p[0]};
  for (int i = 1; i < 4; i++) {
    if (p[i] < r.lo) r.lo = p[i];
    if (p[i] > r.hi) r.hi = p[i];
  }
  return r;
}

static WideInterval arithmetic(IrOpKind k, WideInterval a, WideInterval b) {
  if (k == IR_ADD) return (WideInterval){a.lo + b.lo, a.hi + b.hi};
  if (k == IR_SUB) return (WideInterval){a.lo - b.hi, a.hi - b.lo};
  if (k == IR_NEG) return (WideInterval){-a.hi, -a.lo};
  return multiply(a, b);
}

static bool is_arithmetic(IrOpKind k) { return k == IR_ADD || k == IR_SUB || k == IR_MUL || k == IR_NEG; }
static bool fits(WideInterval w) { return w.lo >= INT64_MIN && w.hi <= INT64_MAX; }
static const Interval ANY = {INT64_MIN, INT64_MAX};

static Interval meet(Interval a, Interval b) {
  if (b.lo > a.lo) a.lo = b.lo;
  if (b.hi < a.hi) a.hi = b.hi;
  return a;
}

static Interval hull(Interval a, Interval b) {
  if (b.lo < a.lo) a.lo = b.lo;
  if (b.hi > a.hi) a.hi = b.hi;
  return a;
}

static IrVal canonical(const Range *r, IrVal v) { return r->alias[v] ? r->alias[v] : v; }

static Interval bounds_of(const Range *r, IrVal v, int depth);

// The exact result of an arithmetic operation, before any wrapping.
static WideInterval exact(const Range *r, const IrOp *op, int depth) {
  WideInterval a = widen(bounds_of(r, op->args[0], depth));
  WideInterval b = op->n_args > 1 ? widen(bounds_of(r, op->args[1], depth)) : a;
  return arithmetic(op->kind, a, b);
}

// What was noted for v, met with what its operands' bounds say by now.
static Interval bounds_of(const Range *r, IrVal v, int depth) {
  int64_t c;
  v = canonical(r, v);
  if (ir_is_const_int(r->f, v, &c)) return (Interval){c, c};
  const IrOp *op = ir_val(r->f, v)->def;
  Interval now = r->bounds[v];
  if (!op || depth == 0) return now;
  if (is_arithmetic(op->kind)) {
    WideInterval w = exact(r, op, depth - 1);
    return fits(w) ? meet(now, (Interval){(int64_t)w.lo, (int64_t)w.hi}) : now;
  }
  if (op->kind != IR_MIN && op->kind != IR_MAX) return now;
  Interval a = bounds_of(r, op->args[0], depth - 1), b = bounds_of(r, op->args[1], depth - 1);
  Interval m = hull(a, b);
  if (op->kind == IR_MIN) m.hi = a.hi < b.hi ? a.hi : b.hi;
  if (op->kind == IR_MAX) m.lo = a.lo > b.lo ? a.lo : b.lo;
  return meet(now, m);
}

Interval range_of(Range *r, IrVal v) { return bounds_of(r, v, BOUND_DEPTH); }

static void bound(Range *r, IrVal v, Interval by) {
  v = canonical(r, v);
  if (!ir_type_eq(ir_type(r->f, v), IR_SCALAR(IR_INT))) return;
  Interval was = r->bounds[v], now = meet(was, by);
  if (now.lo == was.lo && now.hi == was.hi) return;
  vec_push(r->arena, &r->undo, ((Undo){v, was}));
  r->bounds[v] = now;
}

static WideInterval product_bounds(const Range *r, const Term *t) {
  WideInterval w = {1, 1};
  for (int i = 0; i < MAX_DEGREE && t->x[i]; i++) w = multiply(w, widen(bounds_of(r, t->x[i], BOUND_DEPTH)));
  return w;
}

static Wide term_low(const Range *r, const Term *t) {
  WideInterval w = multiply(product_bounds(r, t), (WideInterval){t->c, t->c});
  return w.lo;
}

static bool low_enough(const Range *r, const Form *e) {
  Wide low = e->c;
  for (int i = 0; i < e->n; i++) {
    Wide t = term_low(r, &e->t[i]);
    if (t == -WIDE_LIMIT) return false;
    low = clamp(low + t);
  }
  return low >= 0;
}

// ---- values as forms -----------------------------------------------------------------------------------------------

static Form form_of(const Range *r, IrVal v, int depth) {
  int64_t c;
  v = canonical(r, v);
  if (ir_is_const_int(r->f, v, &c)) return form_const(c);
  const IrOp *op = ir_val(r->f, v)->def;
  if (!op || depth == 0 || !is_arithmetic(op->kind)) return form_atom(v);
  if (!r->exact[v] && !fits(exact(r, op, BOUND_DEPTH))) return form_atom(v);
  Form a = form_of(r, op->args[0], depth - 1), b = form_const(0), out = form_const(0);
  bool ok = true;
  if (op->n_args > 1) b = form_of(r, op->args[1], depth - 1);
  if (op->kind == IR_MUL)
    ok = form_multiply(&a, &b, &out);
  else if (op->kind == IR_NEG)
    ok = form_add(&out, -1, &a);
  else
    ok = form_add(&out, 1, &a) && form_add(&out, op->kind == IR_ADD ? 1 : -1, &b);
  return ok ? out : form_atom(v);
}

static Form form(const Range *r, IrVal v) { return v ? form_of(r, v, FORM_DEPTH) : form_const(0); }

// ---- facts ---------------------------------------------------------------------------------------------------------

// What a fact says of the bounds of a value that occurs alone in it with coefficient 1 or -1.
static void bound_by_fact(Range *r, const Form *e, int at) {
  const Term *t = &e->t[at];
  if (t->x[1] || (t->c != 1 && t->c != -1)) return;
  Wide rest = e->c; // t + rest >= 0, rest at its largest
  for (int i = 0; i < e->n; i++) {
    if (i == at) continue;
    WideInterval w = multiply(product_bounds(r, &e->t[i]), (WideInterval){e->t[i].c, e->t[i].c});
    if (w.hi == WIDE_LIMIT) return;
    rest = clamp(rest + w.hi);
  }
  Interval by = ANY;
  if (t->c == 1 && -rest > by.lo && -rest <= INT64_MAX) by.lo = (int64_t)-rest;
  if (t->c == -1 && rest < by.hi && rest >= INT64_MIN) by.hi = (int64_t)rest;
  bound(r, t->x[0], by);
}

static void link_fact(Range *r, IrVal v, int fact) {
  int last = r->heads[v];
  if (last >= 0 && r->links.data[last].fact == fact) return; // occurs twice
  vec_push(r->arena, &r->links, ((Link){fact, last, v}));
  r->heads[v] = r->links.len - 1;
}

static bool same_form(const Form *a, const Form *b) {
  if (a->n != b->n || a->c != b->c) return false;
  for (int i = 0; i < a->n; i++)
    if (a->t[i].c != b->t[i].c || !same_product(&a->t[i], &b->t[i])) return false;
  return true;
}

static bool known(const Range *r, const Form *e) {
  int at = r->heads[e->t[0].x[0]];
  for (int tried = 0; at >= 0 && tried < MAX_FACTS_TRIED; at = r->links.data[at].next, tried++)
    if (same_form(&r->facts.data[r->links.data[at].fact], e)) return true;
  return false;
}

static void add_fact(Range *r, Form e) {
  form_reduce(&e);
  if (e.n == 0 || known(r, &e)) return;
  vec_push(r->arena, &r->facts, e);
  for (int i = 0; i < e.n; i++) bound_by_fact(r, &e, i);
  for (int i = 0; i < e.n; i++)
    for (int k = 0; k < MAX_DEGREE && e.t[i].x[k]; k++) link_fact(r, e.t[i].x[k], r->facts.len - 1);
}

// a >= b + c
static void add_order(Range *r, IrVal a, IrVal b, int64_t c) {
  Form e = form(r, a), f = form(r, b);
  if (form_add(&e, -1, &f) && !__builtin_sub_overflow(e.c, c, &e.c)) add_fact(r, e);
}

RangeMark range_mark(const Range *r) { return (RangeMark){r->facts.len, r->links.len, r->undo.len}; }

void range_reset(Range *r, RangeMark m) {
  r->facts.len = m.facts;
  while (r->links.len > m.links) {
    Link l = vec_pop(&r->links);
    r->heads[l.v] = l.next;
  }
  while (r->undo.len > m.undo) {
    Undo u = vec_pop(&r->undo);
    r->bounds[u.v] = u.was;
  }
}

// ---- questions -----------------------------------------------------------------------------------------------------

static bool prove(Range *r, Form *e, int depth);

// t / s as a product, where s divides it.
static bool divide(const Term *t, const Term *s, Term *rest) {
  int n = 0, j = 0;
  *rest = (Term){.c = 1};
  for (int i = 0; i < MAX_DEGREE && t->x[i]; i++) {
    if (j < MAX_DEGREE && s->x[j] == t->x[i])
      j++;
    else
      rest->x[n++] = t->x[i];
  }
  return j == MAX_DEGREE || s->x[j] == 0;
}

// e without term t: takes off rest * fact, which is not negative, so often that t cancels.
static bool take_off(Range *r, const Form *e, const Term *t, const Form *fact, const Term *s, int depth) {
  Term rest;
  if ((s->c < 0) != (t->c < 0) || !divide(t, s, &rest)) return false;
  if (product_bounds(r, &rest).lo < 0) return false;
  uint64_t g = gcd(magnitude(s->c), magnitude(t->c));
  uint64_t scale = magnitude(s->c) / g, by = magnitude(t->c) / g;
  if (scale > INT32_MAX || by > INT32_MAX) return false;
  Form factor = {.n = 1, .t = {rest}}, whole = *fact, left = form_const(0);
  if (rest.x[0] && !form_multiply(fact, &factor, &whole)) return false;
  return form_add(&left, (int64_t)scale, e) && form_add(&left, -(int64_t)by, &whole) &&
         prove(r, &left, depth - 1);
}

static bool by_facts(Range *r, const Form *e, const Term *t, int depth) {
  for (int k = 0; k < MAX_DEGREE && t->x[k]; k++) {
    if (k > 0 && t->x[k] == t->x[k - 1]) continue;
    int tried = 0;
    for (int at = r->heads[t->x[k]]; at >= 0 && tried < MAX_FACTS_TRIED;
         at = r->links.data[at].next, tried++) {
      Form fact = r->facts.data[r->links.data[at].fact];
      for (int i = 0; i < fact.n; i++)
        if (take_off(r, e, t, &fact, &fact.t[i], depth)) return true;
    }
  }
  return false;
}

static bool with_value(Range *r, const Form *e, const Term *t, IrVal v, int depth) {
  Form now = *e, f = form(r, v);
  return add_term(&now, -t->c, t) && form_add(&now, t->c, &f) && prove(r, &now, depth - 1);
}

// A value that is one of two: both cases.
static bool by_cases(Range *r, const Form *e, const Term *t, int depth) {
  const IrOp *op = t->x[1] ? NULL : ir_val(r->f, t->x[0])->def;
  if (!op) return false;
  if (op->kind == IR_MIN || op->kind == IR_MAX)
    return with_value(r, e, t, op->args[0], depth) && with_value(r, e, t, op->args[1], depth);
  if (op->kind != IR_SELECT) return false;
  for (int k = 0; k < 2; k++) {
    RangeMark m = range_mark(r);
    range_assume(r, op->args[0], k == 0);
    bool ok = with_value(r, e, t, op->args[1 + k], depth);
    range_reset(r, m);
    if (!ok) return false;
  }
  return true;
}

// The term to get rid of next: one that may be arbitrarily low, then the one defined last.
static int pick_term(const Range *r, const Form *e, const bool *tried) {
  int best = -1;
  bool best_low = false;
  IrVal best_last = 0;
  for (int i = 0; i < e->n; i++) {
    IrVal last = 0;
    for (int k = 0; k < MAX_DEGREE && e->t[i].x[k]; k++) last = e->t[i].x[k];
    bool low = term_low(r, &e->t[i]) < 0;
    if (tried[i] || (best >= 0 && (best_low > low || (best_low == low && best_last >= last)))) continue;
    best = i;
    best_low = low;
    best_last = last;
  }
  return best;
}

static bool prove(Range *r, Form *e, int depth) {
  form_reduce(e);
  if (low_enough(r, e)) return true;
  if (depth == 0) return false;
  bool tried[MAX_TERMS] = {false};
  for (int n = 0; n < e->n; n++) {
    if (r->steps-- <= 0) return false;
    int at = pick_term(r, e, tried);
    tried[at] = true;
    Term t = e->t[at];
    if (by_facts(r, e, &t, depth) || by_cases(r, e, &t, depth)) return true;
  }
  return false;
}

bool range_at_least(Range *r, IrVal a, IrVal b, int64_t c) {
  Form e = form(r, a), f = form(r, b);
  if (!form_add(&e, -1, &f) || __builtin_sub_overflow(e.c, c, &e.c)) return false;
  r->steps = MAX_STEPS;
  return prove(r, &e, MAX_DEPTH);
}

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
      add_order(r, b, a, 1);
    else
      add_order(r, a, b, 0);
  } else if (k == IR_LE) {
    if (truth)
      add_order(r, b, a, 0);
    else
      add_order(r, a, b, 1);
  } else if (k == (truth ? IR_EQ : IR_NE)) {
    add_order(r, a, b, 0);
    add_order(r, b, a, 0);
  } else if (k == IR_EQ || k == IR_NE) { // differ: the next one where it is at the end of its bounds
    Interval x = range_of(r, a), y = range_of(r, b);
    if (y.lo == y.hi && x.lo == y.lo) add_order(r, a, b, 1);
    if (y.lo == y.hi && x.hi == y.hi) add_order(r, b, a, 1);
  }
}

// Each size is a size; and all elements together are no more than there is room for.
static void define_sizes(Range *r, IrVal v) {
  const IrVal *dims = ir_dims(r->f, v);
  int rank = dims ? ir_type(r->f, v).rank : 0;
  Form all = form_const(1), room = form_const(SIZE_LIMIT);
  bool ok = rank > 1;
  for (int i = 0; i < rank; i++) {
    bound(r, dims[i], (Interval){0, SIZE_LIMIT});
    Form size = form(r, dims[i]), before = all;
    ok = ok && form_multiply(&before, &size, &all);
  }
  if (ok && form_add(&room, -1, &all)) add_fact(r, room);
}

// A product that the bounds of its factors alone would let wrap, but what is known of them does not: i * m of an n by m
// array.
static void define_product(Range *r, const IrOp *op) {
  if (fits(exact(r, op, BOUND_DEPTH))) return;
  Form a = form(r, op->args[0]), b = form(r, op->args[1]), low, high = form_const(COUNT_LIMIT);
  if (!form_multiply(&a, &b, &low) || !form_add(&high, -1, &low)) return;
  bool positive = low_enough(r, &low);
  if (!positive && __builtin_add_overflow(low.c, COUNT_LIMIT, &low.c)) return;
  r->steps = MAX_STEPS;
  if (!prove(r, &low, MAX_DEPTH) || !prove(r, &high, MAX_DEPTH)) return;
  r->exact[op->result] = true;
  bound(r, op->result, (Interval){positive ? 0 : -COUNT_LIMIT, COUNT_LIMIT});
}

static void define_division(Range *r, const IrOp *op) {
  IrVal v = op->result, a = op->args[0], b = op->args[1];
  Interval x = range_of(r, a), y = range_of(r, b);
  if (y.lo < 1) return;
  if (op->kind == IR_IMOD) {
    bound(r, v, (Interval){0, y.hi - 1});
    add_order(r, b, v, 1);
    if (x.lo >= 0) add_order(r, a, v, 0);
    return;
  }
  bound(r, v, (Interval){x.lo < 0 ? x.lo : 0, x.hi < 0 ? -1 : x.hi});
  if (y.lo != y.hi || y.hi > INT32_MAX) {
    if (x.lo >= 0) add_order(r, a, v, 0);
    return;
  }
  // b * v <= a < b * v + b
  Form low = form(r, a), high = form_const(y.hi - 1), q = form_atom(v);
  if (form_add(&low, -y.hi, &q)) add_fact(r, low);
  Form dividend = form(r, a);
  if (form_add(&high, y.hi, &q) && form_add(&high, -1, &dividend)) add_fact(r, high);
}

static void define_min_max(Range *r, const IrOp *op) {
  for (int k = 0; k < 2; k++) {
    if (op->kind == IR_MIN)
      add_order(r, op->args[k], op->result, 0);
    else
      add_order(r, op->result, op->args[k], 0);
  }
}

static void define_check(Range *r, const IrOp *op) {
  const IrVal *a = op->args;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX:
    add_order(r, a[0], 0, 0);
    add_order(r, a[1], a[0], 1);
    return;
  case IR_CHECK_RANGE:
    add_order(r, a[0], 0, 0);
    add_order(r, a[1], a[0], 0);
    add_order(r, a[2], a[1], 0);
    return;
  case IR_CHECK_SIZE:
    add_order(r, a[0], a[1], 0);
    add_order(r, a[1], a[0], 0);
    return;
  case IR_CHECK_DIV:
    if (range_of(r, a[0]).lo == 0) add_order(r, a[0], 0, 1);
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
  Form e = form(r, c->init), v = form(r, c->v), to = form(r, c->to), from = form(r, c->from);
  Form out = form_const(0);
  if (k != 0 && (!form_add(&e, k, &to) || !form_add(&e, -k, &from))) return;
  if (form_add(&out, below ? -1 : 1, &v) && form_add(&out, below ? 1 : -1, &e)) add_fact(r, out);
}

static void define_carried(Range *r, const Carried *c, const IrRegion *body, int first, int k) {
  Delta d;
  Interval init = range_of(r, c->init);
  if (!delta_of(r->f, body->yields[k], body->args[first + k], 8, &d)) return;
  if (init.lo < -COUNT_LIMIT || init.hi > COUNT_LIMIT) return;
  bound(r, c->v, (Interval){d.lo >= 0 ? init.lo : -2 * COUNT_LIMIT, d.hi <= 0 ? init.hi : 2 * COUNT_LIMIT});
  if (d.lo >= 0 || (c->counted && d.lo != INT64_MIN)) add_progress(r, c, c->counted ? d.lo : 0, false);
  if (d.hi <= 0 || (c->counted && d.hi != INT64_MAX)) add_progress(r, c, c->counted ? d.hi : 0, true);
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
    bound(r, i, in);
    add_order(r, up ? i : lo, up ? lo : i, 0);
    add_order(r, up ? hi : i, up ? i : hi, 1);
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
    bound(r, op->args[k], (Interval){1, SIZE_LIMIT});
    bound(r, i, (Interval){0, SIZE_LIMIT});
    add_order(r, op->args[k], i, 1);
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
    if (is_int(r, v)) bound(r, v, hull(range_of(r, a), range_of(r, b)));
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
    if (ints) define_product(r, op);
    break;
  case IR_IDIV:
  case IR_IMOD: define_division(r, op); break;
  case IR_MIN:
  case IR_MAX:
    if (ints) define_min_max(r, op);
    break;
  case IR_ABS:
    if (ints && x.lo > INT64_MIN) bound(r, op->result, (Interval){0, INT64_MAX});
    break;
  case IR_SELECT:
    if (ints) bound(r, op->result, hull(range_of(r, op->args[1]), range_of(r, op->args[2])));
    break;
  case IR_BTOI: bound(r, op->result, (Interval){0, 1}); break;
  case IR_LEN: bound(r, op->result, (Interval){0, SIZE_LIMIT}); break;
  case IR_RNG_BELOW:
    if (range_of(r, op->args[2]).lo < 1) break;
    bound(r, op->result, (Interval){0, INT64_MAX});
    add_order(r, op->args[2], op->result, 1);
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
    if (i < f->n_sizes) bound(r, (IrVal)i + 1, (Interval){0, SIZE_LIMIT});
    define_sizes(r, (IrVal)i + 1);
  }
  return r;
}
