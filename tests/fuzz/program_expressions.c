// The generator of random programs: choices, variables and expressions. Each kind of expression is one function; what they
// may mention stands in a list of variables that grows and shrinks with the blocks.
#include "program_gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- choices and text --------------------------------------------------------------------------------------------------

int choose(Gen *g, int n) { return g->at < g->n ? g->bytes[g->at++] % n : 0; }

void put(Gen *g, const char *fmt, ...) {
  char piece[1024];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(piece, sizeof piece, fmt, ap);
  va_end(ap);
  if (g->failed || n < 0 || n >= (int)sizeof piece) {
    g->failed = true;
    return;
  }
  if (g->len + (size_t)n + 1 > g->cap) {
    size_t cap = 2 * g->cap + 1024;
    char *more = realloc(g->text, cap);
    if (!more) {
      g->failed = true;
      return;
    }
    g->text = more;
    g->cap = cap;
  }
  memcpy(g->text + g->len, piece, (size_t)n + 1);
  g->len += (size_t)n;
}

void start_line(Gen *g) {
  for (int i = 0; i < g->indent; i++) put(g, "    ");
}

// ---- variables -----------------------------------------------------------------------------------------------------------

void declare(Gen *g, VarKind kind, bool changes, const char *name) {
  if (g->n_vars == MAX_VARS) return;
  Var *v = &g->vars[g->n_vars++];
  v->kind = kind;
  v->changes = changes;
  snprintf(v->name, sizeof v->name, "%s", name);
}

void fresh(Gen *g, char out[NAME_BYTES], char letter) {
  snprintf(out, NAME_BYTES, "%c%d", letter, g->fresh++);
}

const Var *pick(Gen *g, VarKind kind, bool changes) {
  int found[MAX_VARS], n = 0;
  for (int i = 0; i < g->n_vars; i++)
    if (g->vars[i].kind == kind && (!changes || g->vars[i].changes)) found[n++] = i;
  return n ? &g->vars[found[choose(g, n)]] : NULL;
}

// ---- expressions -----------------------------------------------------------------------------------------------------------

void index_in_range(Gen *g) {
  const Var *i = pick(g, VAR_INDEX, false);
  int how = choose(g, 6);
  if (!i || how == 1) {
    put(g, choose(g, 2) ? "n - 1" : "0");
    return;
  }
  switch (how) {
  case 2: put(g, "mod(%s + 1, n)", i->name); break;
  case 3: put(g, "n - 1 - %s", i->name); break;
  case 4: put(g, "idx[%s]", i->name); break;
  default: put(g, "%s", i->name); break;
  }
}

static void constant(Gen *g) {
  static const char *const values[] = {"0.5", "1.0", "1.25", "0.375", "2.0", "0.75"};
  put(g, "%s", values[choose(g, 6)]);
}

static void record(Gen *g, const Var *r) {
  put(g, "%s[", r->name);
  index_in_range(g);
  put(g, choose(g, 2) ? "].b" : "].c");
}

static void single_leaf(Gen *g) {
  const Var *s = pick(g, VAR_SINGLE, false), *a = pick(g, VAR_SINGLES, false);
  if (a && (!s || choose(g, 2))) {
    put(g, "%s[", a->name);
    index_in_range(g);
    put(g, "]");
  } else {
    put(g, "%s", s ? s->name : "f32(x)");
  }
}

static bool has_singles(const Gen *g) {
  for (int i = 0; i < g->n_vars; i++)
    if (g->vars[i].kind == VAR_SINGLE || g->vars[i].kind == VAR_SINGLES) return true;
  return false;
}

static void scalar_leaf(Gen *g) {
  if (has_singles(g) && choose(g, 4) == 3) {
    put(g, "f64(");
    single_leaf(g);
    put(g, ")");
    return;
  }
  const Var *records = pick(g, VAR_RECORDS, false);
  switch (choose(g, records ? 7 : 6)) {
  case 1: constant(g); break;
  case 2:
    put(g, "%s[", pick(g, VAR_ARRAY, false)->name);
    index_in_range(g);
    put(g, "]");
    break;
  case 3:
    put(g, "%s[", pick(g, VAR_MATRIX, false)->name);
    index_in_range(g);
    put(g, ", ");
    index_in_range(g);
    put(g, "]");
    break;
  case 4: put(g, "%s.a", pick(g, VAR_STRUCT, false)->name); break;
  case 5: put(g, "%s.w[%d]", pick(g, VAR_STRUCT, false)->name, choose(g, 3)); break;
  case 6: record(g, records); break;
  default: put(g, "%s", pick(g, VAR_SCALAR, false)->name); break;
  }
}

static void call1(Gen *g, const char *open, int depth, const char *close) {
  put(g, "%s", open);
  scalar(g, depth - 1);
  put(g, "%s", close);
}

static void call2(Gen *g, const char *open, int depth, const char *middle, const char *close) {
  call1(g, open, depth, middle);
  scalar(g, depth - 1);
  put(g, "%s", close);
}

// A reduction over a loop of its own.
static void reduction(Gen *g, const char *open, const char *close, int depth) {
  char i[NAME_BYTES];
  fresh(g, i, 'i');
  put(g, "%s%s in 0..n: ", open, i);
  int kept = g->n_vars;
  declare(g, VAR_INDEX, false, i);
  if (g->loops) g->features |= FEATURE_NESTED_LOOPS;
  g->loops++;
  scalar(g, depth - 1);
  g->loops--;
  g->n_vars = kept;
  put(g, "%s", close);
}

static void lambda(Gen *g, int depth) {
  char t[NAME_BYTES];
  fresh(g, t, 't');
  put(g, "apply(fn(%s) => sin(", t);
  int kept = g->n_vars;
  bool helpers = g->helpers;
  declare(g, VAR_SCALAR, false, t);
  g->helpers = false;
  scalar(g, depth - 1);
  g->helpers = helpers;
  g->n_vars = kept;
  put(g, "), ");
  scalar(g, depth - 1);
  put(g, ")");
}

// A derivative within the program: the checks then ask for derivatives of it.
static void derivative(Gen *g, int depth) {
  char t[NAME_BYTES];
  bool forward = choose(g, 3) == 2, helpers = g->helpers;
  if (!helpers) {
    scalar_leaf(g);
    return;
  }
  fresh(g, t, 't');
  put(g, forward ? "jvp(fn(%s: f64) => cos(" : "grad(fn(%s: f64) => sin(", t);
  int kept = g->n_vars;
  declare(g, VAR_SCALAR, false, t);
  g->helpers = false;
  scalar(g, depth - 1);
  put(g, " * %s))(", t);
  g->helpers = helpers;
  g->n_vars = kept;
  scalar(g, depth - 2);
  if (forward) {
    put(g, ", ");
    scalar(g, depth - 2);
  }
  put(g, forward ? ").1" : ")");
}

static void branch_value(Gen *g, int depth) {
  g->features |= FEATURE_BRANCHES;
  put(g, "(if ");
  condition(g, depth - 1);
  put(g, " { ");
  scalar(g, depth - 1);
  put(g, " } else { ");
  scalar(g, depth - 1);
  put(g, " })");
}

void call_by_name(Gen *g, const char *name, int depth, const char *k) {
  g->features |= FEATURE_CALLS;
  put(g, "%s(", name);
  scalar(g, depth - 1);
  put(g, ", ");
  scalar(g, depth - 1);
  put(g, ", ");
  array(g, depth - 1);
  put(g, ", %s, %s, idx, %s)", pick(g, VAR_MATRIX, false)->name, pick(g, VAR_STRUCT, false)->name, k);
}

bool call_function(Gen *g, int depth) {
  const GenFunction *found[MAX_FUNCTIONS];
  int n = 0;
  for (int i = 0; i < g->n_functions; i++)
    if (!g->functions[i].updates) found[n++] = &g->functions[i];
  if (!n) return false;
  const GenFunction *f = found[choose(g, n)];
  if (f->recursive) g->features |= FEATURE_RECURSION;
  call_by_name(g, f->name, depth, f->recursive ? choose(g, 4) == 3 ? "1" : "2" : "k");
  return true;
}

static void helper_call(Gen *g, int depth) {
  if (!g->helpers) {
    scalar_leaf(g);
    return;
  }
  g->features |= FEATURE_CALLS;
  switch (choose(g, 5)) {
  case 1: call2(g, "leave(", depth, ", ", ")"); break;
  case 2:
    g->features |= FEATURE_RECURSION;
    put(g, "recurse%s", g->suffix);
    call1(g, "(", depth, ", 2)");
    break;
  case 3:
    if (call_function(g, depth)) break;
    call2(g, "pair(", depth, ", ", ").0");
    break;
  case 4:
    g->features |= FEATURE_STRUCTS;
    put(g, "turned(%s, ", pick(g, VAR_STRUCT, false)->name);
    scalar(g, depth - 1);
    put(g, choose(g, 2) ? ").a" : ").w[1]");
    break;
  default: call2(g, "mix(", depth, ", ", ")"); break;
  }
}

static void array_of(Gen *g, const char *open, int depth, const char *close) {
  put(g, "%s", open);
  array(g, depth - 1);
  put(g, "%s", close);
}

static void arrays2(Gen *g, const char *open, int depth, const char *between) {
  array_of(g, open, depth, between);
  array(g, depth - 1);
  put(g, ")");
}

void scalar(Gen *g, int depth) {
  if (depth <= 0) {
    scalar_leaf(g);
    return;
  }
  switch (choose(g, 30)) {
  case 1: call2(g, "(", depth, " + ", ")"); break;
  case 2: call2(g, "(", depth, " - ", ")"); break;
  case 3: call2(g, "(", depth, " * ", ")"); break;
  case 4: call2(g, "(", depth, " / (1.5 + ", " ^ 2))"); break;
  case 5: call1(g, "sin(", depth, ")"); break;
  case 6: call1(g, "cos(", depth, ")"); break;
  case 7: call1(g, "tanh(", depth, ")"); break;
  case 8: call1(g, "exp(-(", depth, ") ^ 2)"); break;
  case 9: call1(g, "sqrt(1.0 + (", depth, ") ^ 2)"); break;
  case 10: call1(g, "log(1.0 + (", depth, ") ^ 2)"); break;
  case 11: call1(g, "-(", depth, ")"); break;
  case 12: call2(g, "max(", depth, ", ", ")"); break;
  case 13: call2(g, "min(", depth, ", ", ")"); break;
  case 14: call1(g, "abs(", depth, ")"); break;
  case 15: call2(g, "atan2(", depth, ", 1.5 + ", " ^ 2)"); break;
  case 16: call1(g, "(1.1 * sin(", depth, choose(g, 2) ? ")) ^ (k + 1)" : ")) ^ 3"); break;
  case 17: call2(g, "(1.25 + sin(", depth, ")) ^ (0.5 + cos(", "))"); break;
  case 18: reduction(g, "sum(for ", ")", depth); break;
  case 19: reduction(g, "prod(for ", " * 0.5)", depth); break;
  case 20: reduction(g, choose(g, 2) ? "min(for " : "max(for ", ")", depth); break;
  case 21: array_of(g, "sum(", depth, ")"); break;
  case 22: arrays2(g, "dot(", depth, ", "); break;
  case 23: branch_value(g, depth); break;
  case 24: helper_call(g, depth); break;
  case 25: lambda(g, depth); break;
  case 26: call2(g, "pair(", depth, ", ", choose(g, 2) ? ").0" : ").1"); break;
  case 27: array_of(g, "logsumexp(", depth, ")"); break;
  case 28: derivative(g, depth); break;
  case 29: call2(g, "(", depth, " / 2.0 - ", " / 8.0)"); break;
  default: scalar_leaf(g); break;
  }
}

void single(Gen *g, int depth) {
  static const char *const open[] = {"sin(", "tanh(", "(0.5 * ", "exp(-abs("}, *const close[] = {")", ")",
                                                                                                 ")", "))"};
  int how = depth > 0 ? choose(g, 4) : 0, which;
  switch (how) {
  case 1:
    put(g, "f32(");
    scalar(g, depth - 1);
    put(g, ")");
    break;
  case 2:
    put(g, "(");
    single(g, depth - 1);
    put(g, choose(g, 2) ? " * " : " - ");
    single(g, depth - 1);
    put(g, ")");
    break;
  case 3:
    which = choose(g, 4);
    put(g, "%s", open[which]);
    single(g, depth - 1);
    put(g, "%s", close[which]);
    break;
  default: single_leaf(g); break;
  }
}

static void comprehension(Gen *g, int depth) { reduction(g, "[for ", "]", depth); }

// A vector of n elements.
void array(Gen *g, int depth) {
  const Var *m = pick(g, VAR_MATRIX, false), *a = pick(g, VAR_ARRAY, false);
  switch (depth <= 0 ? 0 : choose(g, 15)) {
  case 1: arrays2(g, "(", depth, " + "); break;
  case 2: arrays2(g, "(", depth, " - "); break;
  case 3: arrays2(g, "(", depth, " * "); break;
  case 4:
    put(g, "(");
    scalar(g, depth - 1);
    put(g, " * ");
    array(g, depth - 1);
    put(g, ")");
    break;
  case 5: array_of(g, "sin(", depth, ")"); break;
  case 6: array_of(g, "max(0.1, ", depth, ")"); break;
  case 7: comprehension(g, depth); break;
  case 8:
    g->features |= FEATURE_SLICES;
    put(g, "%s[", m->name);
    index_in_range(g);
    put(g, "]");
    break;
  case 9:
    g->features |= FEATURE_SLICES;
    put(g, "%s[.., ", m->name);
    index_in_range(g);
    put(g, "]");
    break;
  case 10: put(g, "%s[idx]", a->name); break;
  case 11:
    put(g, "tanh(%s @ ", m->name);
    array(g, depth - 1);
    put(g, ")");
    break;
  case 12:
    put(g, "(");
    array(g, depth - 1);
    put(g, " @ %s)", m->name);
    break;
  case 13: array_of(g, "softmax(", depth, ")"); break;
  case 14: array_of(g, "cumsum(", depth, ")"); break;
  default: put(g, "%s", a->name); break;
  }
}

void condition(Gen *g, int depth) {
  const Var *i = pick(g, VAR_INDEX, false);
  switch (choose(g, 7)) {
  case 1:
    if (i) {
      put(g, "mod(%s, 2) == 0", i->name);
      return;
    }
    break;
  case 2:
    if (i) {
      put(g, "%s < 2", i->name);
      return;
    }
    break;
  case 5:
  case 6:
    if (i) {
      put(g, choose(g, 2) ? "%s == %s" : "%s <= %s", i->name, pick(g, VAR_INDEX, false)->name);
      return;
    }
    break;
  case 3:
    scalar(g, depth - 1);
    put(g, " < 0.7 and ");
    break;
  case 4:
    scalar(g, depth - 1);
    put(g, " > 1.1 or ");
    break;
  default: break;
  }
  scalar(g, depth - 1);
  put(g, choose(g, 2) ? " > 0.4" : " < 0.6");
}
