// `dp explain --symbolic`: expression swell. For 1 to 8 iterates of the logistic map, l1 = x, l2 = 4 l1 (1 - l1), ..., the
// derivative written out as one expression against the adjoint that dp makes of the program.
//
// The expression's derivative is built as a tree, by the rules of calculus and nothing shared, as a symbolic system that
// substitutes definitions does; products with 0 and 1 are dropped on the way. The adjoint's operations are counted while it
// runs.
#include "driver/explain.h"

#include <math.h>
#include <string.h>

enum { ITERATES = 8 };

// ---- expressions ---------------------------------------------------------------------------------------------------------

typedef enum TermKind { TERM_X, TERM_NUMBER, TERM_ADD, TERM_SUB, TERM_MUL } TermKind;

typedef struct Tree {
  TermKind kind;
  double number;
  const struct Tree *left, *right;
} Tree;

static const Tree *number(Arena *a, double v) {
  Tree *t = ARENA_NEW(a, Tree);
  *t = (Tree){.kind = TERM_NUMBER, .number = v};
  return t;
}

static bool is(const Tree *t, double v) { return t->kind == TERM_NUMBER && t->number == v; }

static const Tree *join(Arena *a, TermKind k, const Tree *l, const Tree *r) {
  if (k == TERM_MUL && (is(l, 0.0) || is(r, 1.0))) return l;
  if (k == TERM_MUL && (is(r, 0.0) || is(l, 1.0))) return r;
  if (k == TERM_ADD && is(l, 0.0)) return r;
  if (k != TERM_MUL && is(r, 0.0)) return l;
  Tree *t = ARENA_NEW(a, Tree);
  *t = (Tree){k, 0.0, l, r};
  return t;
}

static const Tree *copy(Arena *a, const Tree *t) {
  Tree *now = ARENA_NEW(a, Tree);
  *now = *t;
  if (t->left) now->left = copy(a, t->left);
  if (t->right) now->right = copy(a, t->right);
  return now;
}

static const Tree *derivative(Arena *a, const Tree *t) {
  switch (t->kind) {
  case TERM_X: return number(a, 1.0);
  case TERM_NUMBER: return number(a, 0.0);
  case TERM_ADD:
  case TERM_SUB: return join(a, t->kind, derivative(a, t->left), derivative(a, t->right));
  case TERM_MUL:
    return join(a, TERM_ADD, join(a, TERM_MUL, derivative(a, t->left), copy(a, t->right)),
                join(a, TERM_MUL, copy(a, t->left), derivative(a, t->right)));
  }
  return t;
}

static double operations(const Tree *t) {
  return t->left ? 1.0 + operations(t->left) + operations(t->right) : 0.0;
}

// Products of which the multiplied-out expression is the sum.
static double products(const Tree *t) {
  if (!t->left) return 1.0;
  double l = products(t->left), r = products(t->right);
  return t->kind == TERM_MUL ? l * r : l + r;
}

static double value(const Tree *t, double x) {
  switch (t->kind) {
  case TERM_X: return x;
  case TERM_NUMBER: return t->number;
  case TERM_ADD: return value(t->left, x) + value(t->right, x);
  case TERM_SUB: return value(t->left, x) - value(t->right, x);
  case TERM_MUL: return value(t->left, x) * value(t->right, x);
  }
  return 0.0;
}

// ---- the program ---------------------------------------------------------------------------------------------------------

static const char program[] = "fn logistic(x: f64, iterates: int) -> f64 {\n"
                              "    var l = x\n"
                              "    for k in 1..iterates { l = 4.0 * l * (1.0 - l) }\n"
                              "    return l\n"
                              "}\n";

typedef struct Counter {
  const IrFunc *f;
  int64_t n;
} Counter;

// Arithmetic on floats.
static void count(void *user, const IrFrame *at, const IrOp *op) {
  Counter *c = user;
  (void)at;
  bool plain =
      op->n_results == 1 && !op->n_regions && op->kind != IR_CONST && (ir_op_info[op->kind].flags & IR_P);
  IrType t = op->n_results ? ir_type(c->f, op->result) : (IrType){0};
  c->n += plain && !t.rank && ir_is_float(t);
}

static IrModule *adjoint(Session *s, Name name) {
  Expr *e = sema_expr(s->program, "<swell>", "value_and_grad(logistic)");
  if (!e) return NULL;
  LowerRoot root = {.expr = e, .real = IR_F64, .name = name};
  IrModule *m = session_lower(s, &root, 1);
  return m && session_differentiate(s, m) && session_optimize(s, m) ? m : NULL;
}

static void print_count(StrBuf *out, double n) {
  if (n < 1e9)
    sb_addf(out, "%18.0f", n);
  else
    sb_addf(out, "%18.2e", n);
}

bool swell_show(Work *w) {
  Session *s = w->s;
  Arena *a = s->arena;
  StrBuf *out = &w->c->out;
  if (!session_load(s, "<logistic>", program, sizeof program - 1)) return false;
  Name name = intern_cstr(s->names, "logistic_adjoint");
  IrModule *m = adjoint(s, name);
  const IrFunc *f = m ? ir_func_find(m, name) : NULL;
  if (!f) return false;
  sb_addf(out, "%s\nIts derivative, written out as an expression in x, and as dp computes it:\n\n", program);
  sb_add(out, "  iterates   terms multiplied out   operations, unshared   operations of the adjoint\n");
  Tree x = {.kind = TERM_X};
  const Tree *l = &x;
  for (int n = 1; n <= ITERATES; n++) {
    if (n > 1)
      l = join(a, TERM_MUL, join(a, TERM_MUL, number(a, 4.0), l),
               join(a, TERM_SUB, number(a, 1.0), copy(a, l)));
    const Tree *d = derivative(a, l);
    Counter c = {f, 0};
    IrCell args[2] = {ir_cell_f64(0.3), ir_cell_int(n)}, results[2];
    IrInterp in = {.arena = a, .module = m, .seen = count, .user = &c};
    if (!ir_interp(&in, f, args, results)) return false;
    double off = fabs(value(d, 0.3) - (double)results[1].v.q);
    if (off > 1e-9 * fabs(value(d, 0.3))) {
      diag_add(&s->diags, DIAG_INTERNAL, LOC_NONE,
               "the adjoint of %d iterates differs from the expression by %g", n, off);
      return false;
    }
    sb_addf(out, "  %8d   ", n);
    print_count(out, products(d));
    sb_add(out, "     ");
    print_count(out, operations(d));
    sb_addf(out, "   %18lld\n", (long long)c.n);
  }
  return true;
}
