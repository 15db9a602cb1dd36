// The generator of random programs. In: bytes. Out: dp source (program_text.h). Each kind of statement and of expression is
// one function; what they may mention stands in a list of variables that grows and shrinks with the blocks.
#include "program_text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum VarKind { VAR_SCALAR, VAR_ARRAY, VAR_MATRIX, VAR_STRUCT, VAR_INDEX } VarKind;

enum { MAX_VARS = 96, NAME_BYTES = 12, MAX_DEPTH = 3, MAX_STATEMENTS = 28 };

typedef struct Var {
  VarKind kind;
  bool changes;
  char name[NAME_BYTES];
} Var;

typedef struct Gen {
  const uint8_t *bytes;
  size_t n, at;
  char *text;
  size_t len, cap;
  bool failed;
  Var vars[MAX_VARS];
  int n_vars, fresh, indent;
  int loops;      // around what is being written
  int left;       // statements
  bool helpers;   // may be called: not within the helpers themselves
  bool may_leave; // `return` is allowed here
} Gen;

void program_bytes(uint64_t seed, uint8_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    out[i] = (uint8_t)((z ^ (z >> 31)) >> 24);
  }
}

// ---- choices and text --------------------------------------------------------------------------------------------------

static int choose(Gen *g, int n) { return g->at < g->n ? g->bytes[g->at++] % n : 0; }

static void put(Gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(Gen *g, const char *fmt, ...) {
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

static void start_line(Gen *g) {
  for (int i = 0; i < g->indent; i++) put(g, "    ");
}

// ---- variables -----------------------------------------------------------------------------------------------------------

static void declare(Gen *g, VarKind kind, bool changes, const char *name) {
  if (g->n_vars == MAX_VARS) return;
  Var *v = &g->vars[g->n_vars++];
  v->kind = kind;
  v->changes = changes;
  snprintf(v->name, sizeof v->name, "%s", name);
}

static void fresh(Gen *g, char out[NAME_BYTES], char letter) {
  snprintf(out, NAME_BYTES, "%c%d", letter, g->fresh++);
}

static const Var *pick(Gen *g, VarKind kind, bool changes) {
  int found[MAX_VARS], n = 0;
  for (int i = 0; i < g->n_vars; i++)
    if (g->vars[i].kind == kind && (!changes || g->vars[i].changes)) found[n++] = i;
  return n ? &g->vars[found[choose(g, n)]] : NULL;
}

// ---- expressions -----------------------------------------------------------------------------------------------------------

static void scalar(Gen *g, int depth);
static void array(Gen *g, int depth);
static void condition(Gen *g, int depth);

static void index_in_range(Gen *g) {
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
  static const char *const values[] = {"0.5", "1.0", "1.25", "0.3", "2.0", "0.75"};
  put(g, "%s", values[choose(g, 6)]);
}

static void scalar_leaf(Gen *g) {
  switch (choose(g, 6)) {
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
  scalar(g, depth - 1);
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

static void branch_value(Gen *g, int depth) {
  put(g, "(if ");
  condition(g, depth - 1);
  put(g, " { ");
  scalar(g, depth - 1);
  put(g, " } else { ");
  scalar(g, depth - 1);
  put(g, " })");
}

static void helper_call(Gen *g, int depth) {
  if (!g->helpers) {
    scalar_leaf(g);
    return;
  }
  switch (choose(g, 3)) {
  case 1: call2(g, "leave(", depth, ", ", ")"); break;
  case 2: call1(g, "recurse(", depth, ", 2)"); break;
  default: call2(g, "mix(", depth, ", ", ")"); break;
  }
}

static void scalar(Gen *g, int depth) {
  if (depth <= 0) {
    scalar_leaf(g);
    return;
  }
  switch (choose(g, 28)) {
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
  case 16: call1(g, "(0.2 * sin(", depth, ")) ^ 3"); break;
  case 17: call2(g, "(1.25 + sin(", depth, ")) ^ (0.5 + cos(", "))"); break;
  case 18: reduction(g, "sum(for ", ")", depth); break;
  case 19: reduction(g, "prod(for ", " * 0.5)", depth); break;
  case 20: reduction(g, choose(g, 2) ? "min(for " : "max(for ", ")", depth); break;
  case 21:
    put(g, "sum(");
    array(g, depth - 1);
    put(g, ")");
    break;
  case 22:
    put(g, "dot(");
    array(g, depth - 1);
    put(g, ", ");
    array(g, depth - 1);
    put(g, ")");
    break;
  case 23: branch_value(g, depth); break;
  case 24: helper_call(g, depth); break;
  case 25: lambda(g, depth); break;
  case 26: call2(g, "pair(", depth, ", ", choose(g, 2) ? ").0" : ").1"); break;
  case 27:
    put(g, "logsumexp(");
    array(g, depth - 1);
    put(g, ")");
    break;
  default: scalar_leaf(g); break;
  }
}

static void arrays2(Gen *g, int depth, const char *op) {
  put(g, "(");
  array(g, depth - 1);
  put(g, " %s ", op);
  array(g, depth - 1);
  put(g, ")");
}

static void comprehension(Gen *g, int depth) { reduction(g, "[for ", "]", depth); }

static void array_of(Gen *g, const char *open, int depth, const char *close) {
  put(g, "%s", open);
  array(g, depth - 1);
  put(g, "%s", close);
}

// A vector of n elements.
static void array(Gen *g, int depth) {
  const Var *m = pick(g, VAR_MATRIX, false), *a = pick(g, VAR_ARRAY, false);
  switch (depth <= 0 ? 0 : choose(g, 15)) {
  case 1: arrays2(g, depth, "+"); break;
  case 2: arrays2(g, depth, "-"); break;
  case 3: arrays2(g, depth, "*"); break;
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
    put(g, "%s[", m->name);
    index_in_range(g);
    put(g, "]");
    break;
  case 9:
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

static void condition(Gen *g, int depth) {
  const Var *i = pick(g, VAR_INDEX, false);
  switch (choose(g, 5)) {
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

// ---- statements --------------------------------------------------------------------------------------------------------------

static void block(Gen *g, int depth);

static void scalar_declaration(Gen *g, int depth) {
  char name[NAME_BYTES];
  bool changes = choose(g, 2);
  fresh(g, name, 's');
  put(g, "%s %s = ", changes ? "var" : "let", name);
  scalar(g, depth);
  put(g, "\n");
  declare(g, VAR_SCALAR, changes, name);
}

// Damped, so that loops do not blow it up.
static void scalar_update(Gen *g, int depth) {
  const Var *s = pick(g, VAR_SCALAR, true);
  if (!s) {
    scalar_declaration(g, depth);
    return;
  }
  int form = choose(g, 5);
  switch (form) {
  case 1: put(g, "%s = tanh(%s + ", s->name, s->name); break;
  case 2: put(g, "%s *= cos(", s->name); break;
  case 3: put(g, "%s -= 0.2 * cos(", s->name); break;
  case 4: put(g, "%s /= 1.2 + (", s->name); break;
  default: put(g, "%s += 0.3 * sin(", s->name); break;
  }
  scalar(g, depth);
  put(g, form == 4 ? ") ^ 2\n" : ")\n");
}

static void array_declaration(Gen *g, int depth) {
  char name[NAME_BYTES];
  if (choose(g, 4) == 3) {
    fresh(g, name, 'm');
    put(g, "var %s = %s\n", name, pick(g, VAR_MATRIX, false)->name);
    declare(g, VAR_MATRIX, true, name);
    return;
  }
  fresh(g, name, 'a');
  put(g, "var %s = ", name);
  array(g, depth);
  put(g, "\n");
  declare(g, VAR_ARRAY, true, name);
}

static void element_update(Gen *g, int depth) {
  const Var *a = pick(g, VAR_ARRAY, true);
  if (!a) {
    array_declaration(g, depth);
    return;
  }
  put(g, "%s[", a->name);
  index_in_range(g);
  put(g, choose(g, 2) ? "] = sin(" : "] += 0.3 * cos(");
  scalar(g, depth);
  put(g, ")\n");
}

static void array_update(Gen *g, int depth) {
  const Var *a = pick(g, VAR_ARRAY, true), *b = pick(g, VAR_ARRAY, false);
  if (!a) {
    array_declaration(g, depth);
    return;
  }
  switch (choose(g, 6)) {
  case 1: put(g, "%s[1..n] = %s[0..n - 1]\n", a->name, b->name); break;
  case 2: put(g, "%s[0..n - 1] += 0.5 * %s[1..n]\n", a->name, b->name); break;
  case 3:
    put(g, "%s = sin(", a->name);
    array(g, depth);
    put(g, ")\n");
    break;
  case 4:
    put(g, "blend(inout %s, ", a->name);
    scalar(g, depth - 1);
    put(g, ")\n");
    break;
  case 5:
    put(g, "for e%d in %s { %s[0] += 0.1 * e%d }\n", g->fresh, b->name, a->name, g->fresh), g->fresh++;
    break;
  default:
    put(g, "%s += 0.3 * ", a->name);
    array(g, depth);
    put(g, "\n");
    break;
  }
}

static void matrix_update(Gen *g, int depth) {
  const Var *m = pick(g, VAR_MATRIX, true);
  if (!m) {
    array_declaration(g, depth);
    return;
  }
  switch (choose(g, 4)) {
  case 1:
    put(g, "%s[", m->name);
    index_in_range(g);
    put(g, "] = sin(");
    array(g, depth - 1);
    put(g, ")\n");
    break;
  case 2:
    put(g, "%s[.., ", m->name);
    index_in_range(g);
    put(g, "] += 0.2 * ");
    array(g, depth - 1);
    put(g, "\n");
    break;
  case 3: put(g, "%s = 0.3 * (%s @ %s)\n", m->name, m->name, pick(g, VAR_MATRIX, false)->name); break;
  default:
    put(g, "%s[", m->name);
    index_in_range(g);
    put(g, ", ");
    index_in_range(g);
    put(g, "] = cos(");
    scalar(g, depth);
    put(g, ")\n");
    break;
  }
}

static void struct_update(Gen *g, int depth) {
  const Var *q = pick(g, VAR_STRUCT, true);
  if (!q) {
    char name[NAME_BYTES];
    fresh(g, name, 'q');
    put(g, "var %s = %s\n", name, pick(g, VAR_STRUCT, false)->name);
    declare(g, VAR_STRUCT, true, name);
    return;
  }
  switch (choose(g, 3)) {
  case 1: put(g, "%s.w[%d] = sin(", q->name, choose(g, 3)); break;
  case 2: put(g, "%s.w[1..3] -= 0.1 * %s.w[0..2] * (", q->name, q->name); break;
  default: put(g, "%s.a = cos(", q->name); break;
  }
  scalar(g, depth);
  put(g, ")\n");
}

static void body(Gen *g, int depth) {
  put(g, " {\n");
  g->indent++;
  block(g, depth);
  g->indent--;
  start_line(g);
  put(g, "}");
}

static void for_loop(Gen *g, int depth) {
  char i[NAME_BYTES];
  fresh(g, i, 'i');
  static const char *const heads[] = {"in 0..n", "in reverse 0..n", "in 1..n", "in 0..n step 2",
                                      "in reverse 0..n - 1"};
  put(g, "for %s %s", i, heads[choose(g, 5)]);
  int kept = g->n_vars;
  declare(g, VAR_INDEX, false, i);
  g->loops++;
  body(g, depth - 1);
  g->loops--;
  g->n_vars = kept;
  put(g, "\n");
}

static void while_loop(Gen *g, int depth) {
  char c[NAME_BYTES];
  fresh(g, c, 'c');
  put(g, "var %s = 0\n", c);
  start_line(g);
  put(g, "while %s < k + 1", c);
  if (choose(g, 2)) {
    put(g, " and (");
    condition(g, depth - 1);
    put(g, ")");
  }
  put(g, " {\n");
  g->indent++;
  start_line(g);
  put(g, "%s += 1\n", c);
  int kept = g->n_vars;
  g->loops++;
  block(g, depth - 1);
  g->loops--;
  g->n_vars = kept;
  g->indent--;
  start_line(g);
  put(g, "}\n");
}

static void if_statement(Gen *g, int depth) {
  put(g, "if ");
  condition(g, depth);
  int kept = g->n_vars;
  body(g, depth - 1);
  g->n_vars = kept;
  if (choose(g, 2)) {
    put(g, " else");
    body(g, depth - 1);
    g->n_vars = kept;
  }
  put(g, "\n");
}

static void leave(Gen *g, int depth) {
  bool returns = g->may_leave && (!g->loops || choose(g, 3) == 2);
  if (!returns && !g->loops) {
    scalar_update(g, depth);
    return;
  }
  put(g, "if ");
  condition(g, depth);
  if (returns) {
    put(g, " { return ");
    scalar(g, depth - 1);
    put(g, " }\n");
  } else {
    put(g, choose(g, 2) ? " { break }\n" : " { continue }\n");
  }
}

static void swap(Gen *g) {
  const Var *a = pick(g, VAR_SCALAR, true), *b = pick(g, VAR_SCALAR, true);
  if (!a || a == b)
    scalar_declaration(g, 1);
  else
    put(g, "(%s, %s) = (%s, %s)\n", a->name, b->name, b->name, a->name);
}

static void growing(Gen *g, int depth) {
  char xs[NAME_BYTES], s[NAME_BYTES];
  fresh(g, xs, 'g');
  fresh(g, s, 's');
  put(g, "var %s: [*]f64 = []\n", xs);
  start_line(g);
  put(g, "for j in 0..n { push(inout %s, ", xs);
  int kept = g->n_vars;
  declare(g, VAR_INDEX, false, "j");
  scalar(g, depth - 1);
  g->n_vars = kept;
  put(g, ") }\n");
  start_line(g);
  put(g, "var %s = sum(%s[..]) + %s[n - 1]\n", s, xs, xs);
  declare(g, VAR_SCALAR, true, s);
}

// False: the block ends here.
static bool statement(Gen *g, int depth) {
  int kind = choose(g, 20);
  if (kind == 0 || g->left <= 0) return false;
  g->left--;
  start_line(g);
  switch (kind) {
  case 1:
  case 2: scalar_declaration(g, 2); break;
  case 3:
  case 4:
  case 5: scalar_update(g, 2); break;
  case 6: array_declaration(g, 2); break;
  case 7:
  case 8: element_update(g, 2); break;
  case 9:
  case 10: array_update(g, 2); break;
  case 11: matrix_update(g, 2); break;
  case 12: struct_update(g, 2); break;
  case 13:
  case 14:
    if (depth > 0) {
      for_loop(g, depth);
      break;
    }
    scalar_update(g, 1);
    break;
  case 15:
    if (depth > 0) {
      while_loop(g, depth);
      break;
    }
    scalar_update(g, 1);
    break;
  case 16:
    if (depth > 0) {
      if_statement(g, depth);
      break;
    }
    scalar_update(g, 1);
    break;
  case 17: leave(g, 1); break;
  case 18: swap(g); break;
  default: growing(g, 2); break;
  }
  return true;
}

static void block(Gen *g, int depth) {
  while (statement(g, depth)) continue;
}

// ---- functions -----------------------------------------------------------------------------------------------------------------

static void helpers(Gen *g) {
  put(g, "struct P { a: f64, w: [3]f64 }\n"
         "fn apply(g: fn(f64) -> f64, x: f64) -> f64 = g(0.5 * g(x))\n"
         "fn pair(x: f64, y: f64) -> (f64, f64) = (x * cos(y), y + 0.5 * x)\n"
         "fn mix(x: f64, y: f64) -> f64 = sin(x) * y + x / (2.0 + y * y)\n"
         "fn blend(inout v: [n]f64, s: f64) {\n"
         "    for i in 1..n { v[i] = 0.7 * v[i] + 0.3 * sin(s * v[i - 1]) }\n"
         "}\n"
         "fn leave(x: f64, y: f64) -> f64 {\n"
         "    var s = x\n"
         "    for i in 0..5 {\n"
         "        s = s + 0.4 * cos(s * y)\n"
         "        if s > 1.5 { return s * y }\n"
         "    }\n"
         "    return s\n"
         "}\n");
  put(g, "fn recurse(x: f64, k: int) -> f64 {\n"
         "    if k == 0 { return sin(x) }\n"
         "    return 0.5 * x * recurse(cos(x), k - 1) + x\n"
         "}\n");
}

ProgramText program_text(const uint8_t *bytes, size_t n) {
  Gen *g = calloc(1, sizeof *g);
  if (!g) return (ProgramText){NULL, 0};
  *g = (Gen){.bytes = bytes, .n = n, .left = MAX_STATEMENTS, .helpers = true, .may_leave = true, .indent = 1};
  helpers(g);
  put(g, "fn f(x: f64, y: f64, v: [n]f64, u: [n]f64, m: [n, n]f64, p: P, idx: [n]int, k: int) -> f64 {\n"
         "    var r = 0.1 * x\n");
  declare(g, VAR_SCALAR, true, "r");
  static const char *const scalars[] = {"x", "y"}, *const arrays[] = {"v", "u"};
  for (int i = 0; i < 2; i++) {
    declare(g, VAR_SCALAR, false, scalars[i]);
    declare(g, VAR_ARRAY, false, arrays[i]);
  }
  declare(g, VAR_MATRIX, false, "m");
  declare(g, VAR_STRUCT, false, "p");
  block(g, MAX_DEPTH);
  start_line(g);
  put(g, "return r + ");
  scalar(g, 2);
  for (int i = 0; i < g->n_vars; i++) {
    const Var *v = &g->vars[i];
    if (!v->changes || i == 0) continue;
    if (v->kind == VAR_SCALAR) put(g, " + 0.5 * %s", v->name);
    if (v->kind == VAR_ARRAY) put(g, " + 0.3 * dot(%s, v)", v->name);
    if (v->kind == VAR_MATRIX) put(g, " + 0.2 * sum(%s)", v->name);
    if (v->kind == VAR_STRUCT) put(g, " + %s.a * sum(%s.w)", v->name, v->name);
  }
  put(g, "\n}\n");
  ProgramText out = {g->failed ? NULL : g->text, g->len};
  if (g->failed) free(g->text);
  free(g);
  return out;
}
