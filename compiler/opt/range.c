// What is known of ints at one place of a function: numeric bounds by value, and linear inequalities `form >= 0` from loop
// bounds, conditions, checks that passed and operations that bound their result. A question `form >= 0` is answered by
// bounds alone or by taking known inequalities off the form until they do.
//
// Ints of the language wrap, the inequalities hold between mathematical integers. So a sum or product is only taken apart
// where its operands' bounds say that it did not wrap. No size is above SIZE_LIMIT, as there is no room for more elements.
#include "opt/range.h"

#include <string.h>

enum { MAX_DEPTH = 7, MAX_STEPS = 160, FORM_DEPTH = 12, BOUND_DEPTH = 3 };
enum { MAX_FACTS_TRIED = 16 };

// ---- forms ---------------------------------------------------------------------------------------------------------

Form form_const(int64_t c) { return (Form){.c = c}; }
Form form_atom(IrVal v) { return (Form){.n = 1, .t = {{1, {v}}}}; }

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
bool form_add(Form *a, int64_t k, const Form *b) {
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

bool form_multiply(const Form *a, const Form *b, Form *out) {
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
  Interval m = interval_hull(a, b);
  if (op->kind == IR_MIN) m.hi = a.hi < b.hi ? a.hi : b.hi;
  if (op->kind == IR_MAX) m.lo = a.lo > b.lo ? a.lo : b.lo;
  return meet(now, m);
}

Interval range_of(const Range *r, IrVal v) { return bounds_of(r, v, BOUND_DEPTH); }

void range_bound(Range *r, IrVal v, Interval by) {
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

static bool lows_suffice(const Form *e, const Wide *lows) {
  Wide low = e->c;
  for (int i = 0; i < e->n; i++) {
    if (lows[i] == -WIDE_LIMIT) return false;
    low = clamp(low + lows[i]);
  }
  return low >= 0;
}

static bool low_enough(const Range *r, const Form *e) {
  Wide lows[MAX_TERMS];
  for (int i = 0; i < e->n; i++) lows[i] = term_low(r, &e->t[i]);
  return lows_suffice(e, lows);
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

Form range_form(const Range *r, IrVal v) { return v ? form_of(r, v, FORM_DEPTH) : form_const(0); }

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
  range_bound(r, t->x[0], by);
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

void range_add(Range *r, Form e) {
  form_reduce(&e);
  if (e.n == 0 || known(r, &e)) return;
  vec_push(r->arena, &r->facts, e);
  for (int i = 0; i < e.n; i++) bound_by_fact(r, &e, i);
  for (int i = 0; i < e.n; i++)
    for (int k = 0; k < MAX_DEGREE && e.t[i].x[k]; k++) link_fact(r, e.t[i].x[k], r->facts.len - 1);
}

// a >= b + c
void range_add_order(Range *r, IrVal a, IrVal b, int64_t c) {
  Form e = range_form(r, a), f = range_form(r, b);
  if (form_add(&e, -1, &f) && !__builtin_sub_overflow(e.c, c, &e.c)) range_add(r, e);
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
  Form now = *e, f = range_form(r, v);
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
static int pick_term(const Form *e, const Wide *lows, const bool *tried) {
  int best = -1;
  bool best_low = false;
  IrVal best_last = 0;
  for (int i = 0; i < e->n; i++) {
    IrVal last = 0;
    for (int k = 0; k < MAX_DEGREE && e->t[i].x[k]; k++) last = e->t[i].x[k];
    bool low = lows[i] < 0;
    if (tried[i] || (best >= 0 && (best_low > low || (best_low == low && best_last >= last)))) continue;
    best = i;
    best_low = low;
    best_last = last;
  }
  return best;
}

static bool prove(Range *r, Form *e, int depth) {
  Wide lows[MAX_TERMS];
  bool tried[MAX_TERMS] = {false};
  form_reduce(e);
  for (int i = 0; i < e->n; i++) lows[i] = term_low(r, &e->t[i]);
  if (lows_suffice(e, lows)) return true;
  if (depth == 0) return false;
  for (int n = 0; n < e->n; n++) {
    if (r->steps-- <= 0) return false;
    int at = pick_term(e, lows, tried);
    tried[at] = true;
    Term t = e->t[at];
    if (by_facts(r, e, &t, depth) || by_cases(r, e, &t, depth)) return true;
  }
  return false;
}

bool range_at_least(Range *r, IrVal a, IrVal b, int64_t c) {
  Form e = range_form(r, a), f = range_form(r, b);
  if (!form_add(&e, -1, &f) || __builtin_sub_overflow(e.c, c, &e.c)) return false;
  r->steps = MAX_STEPS;
  r->asked = true;
  bool ok = prove(r, &e, MAX_DEPTH);
  r->asked = false;
  return ok;
}

bool range_known_order(Range *r, IrVal a, IrVal b) {
  Interval x = range_of(r, a), y = range_of(r, b);
  return x.lo >= y.hi || (!r->asked && range_at_least(r, a, b, 0));
}

// A product that the bounds of its factors alone would let wrap, but what is known of them does not: i * m of an n by m
// array.
void range_define_product(Range *r, const IrOp *op) {
  if (fits(exact(r, op, BOUND_DEPTH))) return;
  Form a = range_form(r, op->args[0]), b = range_form(r, op->args[1]), low, high = form_const(COUNT_LIMIT);
  if (!form_multiply(&a, &b, &low) || !form_add(&high, -1, &low)) return;
  bool positive = low_enough(r, &low);
  if (!positive && __builtin_add_overflow(low.c, COUNT_LIMIT, &low.c)) return;
  r->steps = MAX_STEPS;
  if (!prove(r, &low, MAX_DEPTH) || !prove(r, &high, MAX_DEPTH)) return;
  r->exact[op->result] = true;
  range_bound(r, op->result, (Interval){positive ? 0 : -COUNT_LIMIT, COUNT_LIMIT});
}
