// What is known of ints at one place of a function. A pass follows the function from the front: it defines what runs,
// enters and leaves regions, and asks in between. Everything known is a numeric bound of a value, or a linear inequality
// `form >= 0` between values and products of values. The inequalities hold between mathematical integers: nothing wraps.
#ifndef DP_OPT_RANGE_H
#define DP_OPT_RANGE_H

#include "opt/scalar.h"

typedef struct Range Range;
typedef struct Interval {
  int64_t lo, hi;
} Interval;
static inline Interval interval_hull(Interval a, Interval b) {
  return (Interval){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}
typedef struct RangeMark {
  int facts, links, undo;
} RangeMark;

Range *range_new(Arena *a, const IrFunc *f);       // at the function's start
RangeMark range_mark(const Range *r);              // before a region
void range_reset(Range *r, RangeMark m);           // after it: what held only there is forgotten
void range_define(Range *r, const IrOp *op);       // op ran; a check passed
void range_enter(Range *r, const IrOp *op, int k); // at the start of region k of op
void range_assume(Range *r, IrVal cond, bool truth);
Interval range_of(const Range *r, IrVal v);
// Is a >= b + c, whatever happens? b may be 0, which is none. False: not known.
bool range_at_least(Range *r, IrVal a, IrVal b, int64_t c);

// ---- what range.c and range_define.c share ---------------------------------------------------------------------------

enum { MAX_TERMS = 8, MAX_DEGREE = 3 };
#define SIZE_LIMIT ((int64_t)1 << 56)  // no array has more elements: there is no room for them
#define COUNT_LIMIT ((int64_t)1 << 61) // no counter gets further in the time there is

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
  bool asked;  // there is one
};

Form form_const(int64_t c);
Form form_atom(IrVal v);
// a += k * b; false when the result does not fit a form.
bool form_add(Form *a, int64_t k, const Form *b);
bool form_multiply(const Form *a, const Form *b, Form *out);
Form range_form(const Range *r, IrVal v); // 0: zero

void range_bound(Range *r, IrVal v, Interval by);
void range_add(Range *r, Form e);                            // e >= 0
void range_add_order(Range *r, IrVal a, IrVal b, int64_t c); // a >= b + c
// Is a >= b? By bounds alone while a question is being answered.
bool range_known_order(Range *r, IrVal a, IrVal b);
// A product: finds out whether what is known of its factors keeps it from wrapping, where their bounds alone do not.
void range_define_product(Range *r, const IrOp *op);

#endif
