// Sizes: polynomials with integer coefficients over atoms, in a normal form that makes equality a comparison.
// In: sizes; out: sizes in normal form (terms sorted, the constant first, no zero coefficients). What must hold: two
// sizes that compare EQUAL are equal for every value of the atoms; arithmetic that grows too large gives up into one
// opaque size (id 0) rather than a wrong one.
#include "sema/check.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TERMS = 64, MAX_DEGREE = 12 };

static Size *huge(Arena *a) { return size_opaque(a, 0, LOC_NONE, NULL); }

// ---- order -------------------------------------------------------------------------------------------------------

static int cmp_i64(int64_t x, int64_t y) { return (x > y) - (x < y); }

static int atom_order(const Atom *x, const Atom *y) {
  if (x == y) return 0;
  if (x->kind != y->kind) return cmp_i64(x->kind, y->kind);
  switch (x->kind) {
  case ATOM_SYMBOL: return cmp_i64(x->symbol->id, y->symbol->id);
  case ATOM_OPAQUE: return cmp_i64(x->id, y->id);
  case ATOM_DIV: {
    int order = size_order(x->num, y->num);
    return order ? order : size_order(x->den, y->den);
  }
  }
  return 0;
}

static int product_order(const Term *x, const Term *y) {
  if (x->n_atoms != y->n_atoms) return cmp_i64(x->n_atoms, y->n_atoms);
  for (int i = 0; i < x->n_atoms; i++) {
    int order = atom_order(x->atoms[i], y->atoms[i]);
    if (order) return order;
  }
  return 0;
}

int size_order(const Size *x, const Size *y) {
  if (x->n_terms != y->n_terms) return cmp_i64(x->n_terms, y->n_terms);
  for (int i = 0; i < x->n_terms; i++) {
    int order = product_order(&x->terms[i], &y->terms[i]);
    if (!order) order = cmp_i64(x->terms[i].coef, y->terms[i].coef);
    if (order) return order;
  }
  return 0;
}

static int sort_terms(const void *x, const void *y) { return product_order(x, y); }
static int sort_atoms(const void *x, const void *y) {
  return atom_order(*(const Atom *const *)x, *(const Atom *const *)y);
}

// Sorts, merges equal products, drops zeros. Takes over `terms`.
static Size *normalise(Arena *a, Term *terms, int n) {
  if (n > 1) qsort(terms, (size_t)n, sizeof *terms, sort_terms);
  int kept = 0;
  for (int i = 0; i < n;) {
    Term t = terms[i];
    int j = i + 1;
    for (; j < n && product_order(&t, &terms[j]) == 0; j++)
      if (__builtin_add_overflow(t.coef, terms[j].coef, &t.coef)) return huge(a);
    if (t.coef) terms[kept++] = t;
    i = j;
  }
  if (kept > MAX_TERMS) return huge(a);
  Size *s = ARENA_NEW(a, Size);
  *s = (Size){terms, kept};
  return s;
}

// ---- construction --------------------------------------------------------------------------------------------------

Size *size_const(Arena *a, int64_t v) {
  Size *s = ARENA_NEW(a, Size);
  if (!v) return s;
  s->terms = ARENA_NEW(a, Term);
  s->terms[0] = (Term){v, NULL, 0};
  s->n_terms = 1;
  return s;
}

static Size *size_atom(Arena *a, const Atom *atom) {
  Size *s = ARENA_NEW(a, Size);
  s->terms = ARENA_NEW(a, Term);
  s->terms[0] = (Term){1, ARENA_ARRAY(a, const Atom *, 1), 1};
  s->terms[0].atoms[0] = atom;
  s->n_terms = 1;
  return s;
}

Size *size_symbol(Arena *a, Symbol *s) {
  Atom *atom = ARENA_NEW(a, Atom);
  *atom = (Atom){.kind = ATOM_SYMBOL, .symbol = s};
  return size_atom(a, atom);
}

Size *size_opaque(Arena *a, int id, Loc origin, const char *what) {
  Atom *atom = ARENA_NEW(a, Atom);
  *atom = (Atom){.kind = ATOM_OPAQUE, .id = id, .origin = origin, .what = what};
  return size_atom(a, atom);
}

static Size *combine(Arena *a, const Size *x, const Size *y, int64_t sign) {
  if (!x || !y) return NULL;
  int n = x->n_terms + y->n_terms;
  Term *terms = ARENA_ARRAY(a, Term, n + 1);
  if (x->n_terms) memcpy(terms, x->terms, sizeof *terms * (size_t)x->n_terms);
  for (int i = 0; i < y->n_terms; i++) {
    terms[x->n_terms + i] = y->terms[i];
    if (__builtin_mul_overflow(y->terms[i].coef, sign, &terms[x->n_terms + i].coef)) return huge(a);
  }
  return normalise(a, terms, n);
}

Size *size_add(Arena *a, const Size *x, const Size *y) { return combine(a, x, y, 1); }
Size *size_sub(Arena *a, const Size *x, const Size *y) { return combine(a, x, y, -1); }

static bool multiply_terms(Arena *a, const Term *x, const Term *y, Term *out) {
  int n = x->n_atoms + y->n_atoms;
  if (n > MAX_DEGREE || __builtin_mul_overflow(x->coef, y->coef, &out->coef)) return false;
  out->n_atoms = n;
  out->atoms = ARENA_ARRAY(a, const Atom *, n + 1);
  for (int i = 0; i < x->n_atoms; i++) out->atoms[i] = x->atoms[i];
  for (int i = 0; i < y->n_atoms; i++) out->atoms[x->n_atoms + i] = y->atoms[i];
  if (n > 1) qsort(out->atoms, (size_t)n, sizeof *out->atoms, sort_atoms);
  return true;
}

Size *size_mul(Arena *a, const Size *x, const Size *y) {
  if (!x || !y) return NULL;
  int n = x->n_terms * y->n_terms;
  Term *terms = ARENA_ARRAY(a, Term, n + 1);
  for (int i = 0; i < x->n_terms; i++)
    for (int j = 0; j < y->n_terms; j++)
      if (!multiply_terms(a, &x->terms[i], &y->terms[j], &terms[i * y->n_terms + j])) return huge(a);
  return normalise(a, terms, n);
}

static int64_t floor_div(int64_t x, int64_t y) { return x / y - (x % y != 0 && (x < 0) != (y < 0)); }

static Size *div_atom(Arena *a, const Size *x, const Size *y) {
  Atom *atom = ARENA_NEW(a, Atom);
  *atom = (Atom){.kind = ATOM_DIV, .num = (Size *)x, .den = (Size *)y};
  return size_atom(a, atom);
}

// (q y + r) / y = q + r / y: whole multiples of a positive constant come out of the quotient.
static Size *div_by_const(Arena *a, const Size *x, int64_t y) {
  Term *whole = ARENA_ARRAY(a, Term, x->n_terms + 1), *rest = ARENA_ARRAY(a, Term, x->n_terms + 1);
  int n_whole = 0, n_rest = 0;
  for (int i = 0; i < x->n_terms; i++) {
    Term t = x->terms[i];
    if (t.coef / y) whole[n_whole++] = (Term){t.coef / y, t.atoms, t.n_atoms};
    if (t.coef % y) rest[n_rest++] = (Term){t.coef % y, t.atoms, t.n_atoms};
  }
  Size *w = normalise(a, whole, n_whole), *r = normalise(a, rest, n_rest);
  return n_rest ? size_add(a, w, div_atom(a, r, size_const(a, y))) : w;
}

// x / y where y is one product that divides every term of x; NULL otherwise.
static Size *div_exact(Arena *a, const Size *x, const Term *y) {
  Term *terms = ARENA_ARRAY(a, Term, x->n_terms + 1);
  for (int i = 0; i < x->n_terms; i++) {
    const Term *t = &x->terms[i];
    if (y->coef <= 0 || t->coef % y->coef || t->n_atoms < y->n_atoms) return NULL;
    terms[i] = (Term){t->coef / y->coef, ARENA_ARRAY(a, const Atom *, t->n_atoms + 1), 0};
    int j = 0;
    for (int k = 0; k < t->n_atoms; k++) {
      if (j < y->n_atoms && atom_order(t->atoms[k], y->atoms[j]) == 0)
        j++;
      else
        terms[i].atoms[terms[i].n_atoms++] = t->atoms[k];
    }
    if (j < y->n_atoms) return NULL;
  }
  return normalise(a, terms, x->n_terms);
}

Size *size_div(Arena *a, const Size *x, const Size *y) {
  int64_t cx, cy;
  if (!x || !y) return NULL;
  if (size_is_const(y, &cy)) {
    if (cy == 0) return NULL;
    if (size_is_const(x, &cx))
      return cx == INT64_MIN && cy == -1 ? huge(a) : size_const(a, floor_div(cx, cy));
    if (cy > 0) return div_by_const(a, x, cy);
  }
  // Dividing by a name assumes that it is not zero; `div` by zero is an error before the quotient is used.
  Size *exact = y->n_terms == 1 ? div_exact(a, x, &y->terms[0]) : NULL;
  return exact ? exact : div_atom(a, x, y);
}

// ---- questions ---------------------------------------------------------------------------------------------------

bool size_is_const(const Size *s, int64_t *out) {
  if (s->n_terms > 1 || (s->n_terms == 1 && s->terms[0].n_atoms)) return false;
  if (out) *out = s->n_terms ? s->terms[0].coef : 0;
  return true;
}

static int64_t constant_part(const Size *s) {
  return s->n_terms && !s->terms[0].n_atoms ? s->terms[0].coef : 0;
}

// Do x and y agree in every term but the constant one?
static bool same_but_constant(const Size *x, const Size *y) {
  int i = x->n_terms && !x->terms[0].n_atoms, j = y->n_terms && !y->terms[0].n_atoms;
  if (x->n_terms - i != y->n_terms - j) return false;
  for (; i < x->n_terms; i++, j++)
    if (product_order(&x->terms[i], &y->terms[j]) || x->terms[i].coef != y->terms[j].coef) return false;
  return true;
}

SizeOrder size_compare(const Size *x, const Size *y) {
  if (!same_but_constant(x, y)) return SIZE_UNKNOWN;
  return constant_part(x) == constant_part(y) ? SIZE_EQUAL : SIZE_DIFFERENT;
}

bool size_at_least(const Size *x, const Size *y, int64_t by) {
  int64_t difference;
  return same_but_constant(x, y) &&
         !__builtin_sub_overflow(constant_part(x), constant_part(y), &difference) && difference >= by;
}

const Symbol *size_bare_symbol(const Size *s) {
  if (s->n_terms != 1 || s->terms[0].coef != 1 || s->terms[0].n_atoms != 1) return NULL;
  return s->terms[0].atoms[0]->kind == ATOM_SYMBOL ? s->terms[0].atoms[0]->symbol : NULL;
}

bool size_any(const Size *s, bool (*f)(void *user, const Atom *atom), void *user) {
  for (int i = 0; i < s->n_terms; i++)
    for (int j = 0; j < s->terms[i].n_atoms; j++) {
      const Atom *atom = s->terms[i].atoms[j];
      if (f(user, atom)) return true;
      if (atom->kind == ATOM_DIV && (size_any(atom->num, f, user) || size_any(atom->den, f, user)))
        return true;
    }
  return false;
}

static bool atom_is_huge(void *user, const Atom *atom) {
  (void)user;
  return atom->kind == ATOM_OPAQUE && atom->id == 0;
}

bool size_is_huge(const Size *s) { return size_any(s, atom_is_huge, NULL); }

// ---- rewriting -----------------------------------------------------------------------------------------------------

static Size *map_atom(Arena *a, const Atom *atom, AtomMap *f, void *user) {
  Size *mapped = f(user, a, atom);
  if (mapped) return mapped;
  if (atom->kind != ATOM_DIV) return size_atom(a, atom);
  Size *q = size_div(a, size_map(a, atom->num, f, user), size_map(a, atom->den, f, user));
  return q ? q : huge(a); // a zero divisor: nothing is known of it
}

static bool maps_atom(void *user, const Atom *atom) {
  struct {
    AtomMap *f;
    void *user;
    Arena *a;
  } *m = user;
  return m->f(m->user, m->a, atom) != NULL;
}

Size *size_map(Arena *a, const Size *s, AtomMap *f, void *user) {
  struct {
    AtomMap *f;
    void *user;
    Arena *a;
  } m = {f, user, a};
  if (!size_any(s, maps_atom, &m)) return (Size *)s;
  Size *sum = size_const(a, 0);
  for (int i = 0; i < s->n_terms; i++) {
    Size *product = size_const(a, s->terms[i].coef);
    for (int j = 0; j < s->terms[i].n_atoms; j++)
      product = size_mul(a, product, map_atom(a, s->terms[i].atoms[j], f, user));
    sum = size_add(a, sum, product);
  }
  return sum;
}

static Size *subst_atom(void *user, Arena *a, const Atom *atom) {
  (void)a;
  const SizeSubst *subst = user;
  if (atom->kind != ATOM_SYMBOL) return NULL;
  for (int i = 0; i < subst->len; i++)
    if (subst->data[i].symbol == atom->symbol) return subst->data[i].size;
  return NULL;
}

Size *size_subst(Arena *a, const Size *s, const SizeSubst *subst) {
  return size_map(a, s, subst_atom, (void *)subst);
}

// ---- printing ------------------------------------------------------------------------------------------------------

static void print_atom(const Atom *atom, StrBuf *out) {
  switch (atom->kind) {
  case ATOM_SYMBOL: sb_add(out, atom->symbol->name); break;
  case ATOM_OPAQUE: sb_add(out, atom->what && !strchr(atom->what, ' ') ? atom->what : "_"); break;
  case ATOM_DIV:
    sb_add(out, "div(");
    size_print(atom->num, out);
    sb_add(out, ", ");
    size_print(atom->den, out);
    sb_addc(out, ')');
    break;
  }
}

static void print_term(const Term *t, bool first, StrBuf *out) {
  uint64_t magnitude = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
  sb_add(out, t->coef < 0 ? (first ? "-" : " - ") : (first ? "" : " + "));
  if (magnitude != 1 || !t->n_atoms) sb_addf(out, "%llu", (unsigned long long)magnitude);
  for (int i = 0; i < t->n_atoms; i++) {
    if (i || magnitude != 1) sb_add(out, " * ");
    print_atom(t->atoms[i], out);
  }
}

// As one would write it: higher powers first, the constant last.
void size_print(const Size *s, StrBuf *out) {
  if (!s->n_terms) sb_addc(out, '0');
  bool first = true;
  for (int degree = MAX_DEGREE; degree >= 0; degree--)
    for (int i = 0; i < s->n_terms; i++) {
      if (s->terms[i].n_atoms != degree) continue;
      print_term(&s->terms[i], first, out);
      first = false;
    }
}

const char *size_text(Arena *a, const Size *s) {
  StrBuf sb;
  sb_init(&sb, a);
  size_print(s, &sb);
  return sb.data;
}
