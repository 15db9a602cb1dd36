// Sizes and counts as formulas. In: ints of the IR; out: polynomials over what the program calls its sizes.
#include "driver/formula.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ATOMS = 8, MAX_TERMS = 32 };

typedef struct FormulaTerm {
  int64_t coef;
  const char *atoms[MAX_ATOMS]; // sorted
  int n;
} FormulaTerm;

struct Formula {
  FormulaTerm terms[MAX_TERMS]; // higher products first; no zeros
  int n;
};

static int term_order(const FormulaTerm *x, const FormulaTerm *y) {
  if (x->n != y->n) return y->n - x->n;
  for (int i = 0; i < x->n; i++) {
    int order = strcmp(x->atoms[i], y->atoms[i]);
    if (order) return order;
  }
  return 0;
}

static int by_order(const void *x, const void *y) { return term_order(x, y); }
static int by_name(const void *x, const void *y) {
  return strcmp(*(const char *const *)x, *(const char *const *)y);
}

// False: too many terms.
static bool add_term(Formula *f, const FormulaTerm *t, int64_t sign) {
  for (int i = 0; i < f->n; i++)
    if (term_order(&f->terms[i], t) == 0) {
      f->terms[i].coef += sign * t->coef;
      return true;
    }
  if (f->n == MAX_TERMS) return false;
  f->terms[f->n] = *t;
  f->terms[f->n++].coef *= sign;
  return true;
}

static const Formula *normal(Formula *f) {
  int kept = 0;
  for (int i = 0; i < f->n; i++)
    if (f->terms[i].coef) f->terms[kept++] = f->terms[i];
  f->n = kept;
  qsort(f->terms, (size_t)kept, sizeof *f->terms, by_order);
  return f;
}

const Formula *formula_const(Arena *a, int64_t v) {
  Formula *f = ARENA_NEW(a, Formula);
  if (v) f->terms[f->n++] = (FormulaTerm){.coef = v};
  return f;
}

const Formula *formula_atom(Arena *a, const char *name) {
  Formula *f = ARENA_NEW(a, Formula);
  f->terms[f->n++] = (FormulaTerm){.coef = 1, .atoms = {name}, .n = 1};
  return f;
}

static const Formula *combine(Arena *a, const Formula *x, const Formula *y, int64_t sign) {
  if (!x || !y) return NULL;
  Formula *f = ARENA_NEW(a, Formula);
  *f = *x;
  for (int i = 0; i < y->n; i++)
    if (!add_term(f, &y->terms[i], sign)) return NULL;
  return normal(f);
}

const Formula *formula_add(Arena *a, const Formula *x, const Formula *y) { return combine(a, x, y, 1); }
const Formula *formula_sub(Arena *a, const Formula *x, const Formula *y) { return combine(a, x, y, -1); }

const Formula *formula_mul(Arena *a, const Formula *x, const Formula *y) {
  if (!x || !y) return NULL;
  Formula *f = ARENA_NEW(a, Formula);
  for (int i = 0; i < x->n; i++)
    for (int j = 0; j < y->n; j++) {
      FormulaTerm t = x->terms[i];
      const FormulaTerm *o = &y->terms[j];
      if (t.n + o->n > MAX_ATOMS) return NULL;
      t.coef *= o->coef;
      for (int k = 0; k < o->n; k++) t.atoms[t.n++] = o->atoms[k];
      qsort(t.atoms, (size_t)t.n, sizeof *t.atoms, by_name);
      if (!add_term(f, &t, 1)) return NULL;
    }
  return normal(f);
}

bool formula_is_zero(const Formula *x) { return x && x->n == 0; }

const char *formula_text(Arena *a, const Formula *x) {
  if (!x) return "varies";
  StrBuf sb;
  sb_init(&sb, a);
  for (int i = 0; i < x->n; i++) {
    const FormulaTerm *t = &x->terms[i];
    int64_t c = t->coef < 0 ? -t->coef : t->coef;
    sb_add(&sb, t->coef < 0 ? (i ? " - " : "-") : (i ? " + " : ""));
    if (c != 1 || !t->n) sb_addf(&sb, "%lld%s", (long long)c, t->n ? " " : "");
    for (int k = 0; k < t->n; k++) {
      int power = 1;
      while (k + power < t->n && !strcmp(t->atoms[k], t->atoms[k + power])) power++;
      sb_addf(&sb, "%s%s", k ? " " : "", t->atoms[k]);
      if (power > 1) sb_addf(&sb, "^%d", power);
      k += power - 1;
    }
  }
  return x->n ? sb.data : "0";
}

// ---- of the IR -------------------------------------------------------------------------------------------------------

static const Formula *of_call(Arena *a, const char *name, const Formula *x, const Formula *y) {
  if (!x || !y) return NULL;
  return formula_atom(a, arena_printf(a, "%s(%s, %s)", name, formula_text(a, x), formula_text(a, y)));
}

// A parameter that is a size: its name, or "4 * k" as the type has it.
static const Formula *of_path(Arena *a, const char *path) {
  char *rest;
  long long factor = strtoll(path, &rest, 10);
  if (rest > path && strncmp(rest, " * ", 3) == 0 && !strpbrk(rest + 3, " ("))
    return formula_mul(a, formula_const(a, factor), formula_atom(a, rest + 3));
  return formula_atom(a, strchr(path, ' ') && !strchr(path, '(') ? arena_printf(a, "(%s)", path) : path);
}

// What the array is called; the first one of those that a loop carries.
static Name array_name(const IrFunc *f, IrVal v) {
  const IrValue *val = ir_val(f, v);
  if (!val->def && val->region == f->body) return f->params[val->index].path;
  return val->name;
}

static const Formula *of_op(Arena *a, const IrFunc *f, const IrOp *op) {
  const Formula *x = NULL, *y = NULL;
  if (op->kind != IR_LEN && op->n_args > 0) x = formula_of(a, f, op->args[0]);
  if (op->n_args > 1) y = formula_of(a, f, op->args[1]);
  int64_t c;
  switch ((IrOpKind)op->kind) {
  case IR_CONST: return formula_const(a, op->attr.i);
  case IR_ADD: return formula_add(a, x, y);
  case IR_SUB: return formula_sub(a, x, y);
  case IR_MUL: return formula_mul(a, x, y);
  case IR_MAX: // a size is at least 0
    if (ir_is_const_int(f, op->args[1], &c) && c == 0) return x;
    if (ir_is_const_int(f, op->args[0], &c) && c == 0) return y;
    return of_call(a, "max", x, y);
  case IR_MIN: return of_call(a, "min", x, y);
  case IR_IDIV: return of_call(a, "div", x, y);
  case IR_LEN: {
    Name name = array_name(f, op->args[0]);
    return name ? formula_atom(a, arena_printf(a, "len(%s)", name)) : NULL;
  }
  default: return NULL;
  }
}

const Formula *formula_of(Arena *a, const IrFunc *f, IrVal v) {
  const IrValue *val = ir_val(f, v);
  if (val->type.rank || val->type.elem != IR_INT) return NULL;
  if (!val->def) return val->region == f->body ? of_path(a, f->params[val->index].path) : NULL;
  const Formula *x = val->def->n_regions ? NULL : of_op(a, f, val->def);
  if (x || !val->name || val->region != f->body) return x;
  return formula_atom(a, val->name);
}

const Formula *formula_bytes(Arena *a, const IrFunc *f, IrVal v) {
  IrType t = ir_type(f, v);
  const Formula *n = formula_const(a, ir_elem_bytes((IrElem)t.elem));
  const IrVal *dims = ir_dims(f, v);
  for (int d = 0; dims && d < t.rank; d++) n = formula_mul(a, n, formula_of(a, f, dims[d]));
  return n;
}

const Formula *formula_trips(Arena *a, const IrFunc *f, const IrOp *op) {
  const Formula *n = formula_const(a, 1);
  int64_t step;
  switch ((IrOpKind)op->kind) {
  case IR_IF: return n;
  case IR_BUILD:
    for (int k = 0; k < op->n_args; k++) n = formula_mul(a, n, formula_of(a, f, op->args[k]));
    return n;
  case IR_FOR:
    if (op->attr.i >= IR_BLOCK) return formula_const(a, op->attr.i - IR_BLOCK);
    if (!ir_is_const_int(f, op->args[2], &step)) return NULL;
    n = formula_sub(a, formula_of(a, f, op->args[1]), formula_of(a, f, op->args[0]));
    if (step < 0) n = formula_sub(a, formula_const(a, 0), n);
    if (step == 1 || step == -1) return n;
    return of_call(a, "div", n, formula_const(a, step < 0 ? -step : step));
  default: return NULL;
  }
}
