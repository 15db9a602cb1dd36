// The generator of random programs: functions. In: bytes. Out: dp source (program_text.h).
#include "program_gen.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void program_bytes(uint64_t seed, uint8_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    out[i] = (uint8_t)((z ^ (z >> 31)) >> 24);
  }
}

static const char shared[] =
    "struct P { a: f64, w: [3]f64 }\n"
    "struct Q { b: f64, c: f64 }\n"
    "fn apply(g: fn(f64) -> f64, x: f64) -> f64 = g(0.5 * g(x))\n"
    "fn pair(x: f64, y: f64) -> (f64, f64) = (x * cos(y), y + 0.5 * x)\n"
    "fn mix(x: f64, y: f64) -> f64 = sin(x) * y + x / (2.0 + y * y)\n"
    "fn turned(p: P, s: f64) -> P = P { a: p.a * cos(s), w: p.w + 0.2 * sin(s) * p.a }\n"
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
    "}\n";

// Each program's own, as its name stands in the printed adjoint.
static void function_recurse(Gen *g) {
  put(g,
      "fn recurse%s(x: f64, k: int) -> f64 {\n"
      "    if k == 0 { return sin(x) }\n"
      "    return 0.5 * x * recurse%s(cos(x), k - 1) + x\n"
      "}\n",
      g->suffix, g->suffix);
}

// ---- functions of the program ------------------------------------------------------------------------------------------

static const char parameters[] = "x: f64, y: f64, v: [n]f64, m: [n, n]f64, p: P, idx: [n]int, k: int";

static void declare_parameters(Gen *g, bool u) {
  static const char *const scalars[] = {"x", "y"};
  for (int i = 0; i < 2; i++) declare(g, VAR_SCALAR, false, scalars[i]);
  declare(g, VAR_ARRAY, false, "v");
  if (u) declare(g, VAR_ARRAY, false, "u");
  declare(g, VAR_MATRIX, false, "m");
  declare(g, VAR_STRUCT, false, "p");
}

// The sum of what was changed, so that all of it matters.
static void changed(Gen *g) {
  for (int i = 0; i < g->n_vars; i++) {
    const Var *v = &g->vars[i];
    if (!v->changes || i == 0) continue;
    switch (v->kind) {
    case VAR_SCALAR: put(g, " + 0.5 * %s", v->name); break;
    case VAR_ARRAY: put(g, " + 0.3 * dot(%s, v)", v->name); break;
    case VAR_MATRIX: put(g, " + 0.2 * sum(%s)", v->name); break;
    case VAR_STRUCT: put(g, " + %s.a * sum(%s.w)", v->name, v->name); break;
    case VAR_RECORDS: put(g, " + sum(for i in 0..n: %s[i].b * %s[i].c)", v->name, v->name); break;
    case VAR_SINGLE: put(g, " + 0.5 * f64(%s)", v->name); break;
    case VAR_SINGLES: put(g, " + 0.25 * f64(sum(%s))", v->name); break;
    case VAR_INDEX: break;
    }
  }
}

// fn NAME(...) -> f64, which calls `next` (itself, or another one) on the way down: once, twice, or within a loop.
static void descend(Gen *g, const char *name, const char *next) {
  int way = choose(g, 4);
  put(g, "fn %s(%s) -> f64 {\n    var r = 0.3 * y\n", name, parameters);
  declare(g, VAR_SCALAR, true, "r");
  declare_parameters(g, false);
  if (next) {
    put(g, "    if k <= 0 { return ");
    scalar(g, 2);
    put(g, " }\n");
  }
  g->left = 3 + choose(g, 3);
  block(g, 2);
  for (int i = 0; next && i < (way == 1 ? 2 : 1); i++) {
    char d[NAME_BYTES];
    start_line(g);
    if (way == 2) put(g, "for h in 0..2 { r += 0.4 * "), declare(g, VAR_INDEX, false, "h");
    if (way == 3) put(g, "if r > 0.1 { r += ");
    fresh(g, d, 'd');
    if (way < 2) put(g, "let %s = ", d);
    call_by_name(g, next, 1, way == 1 || way == 2 ? "k - 2" : "k - 1");
    put(g, way < 2 ? "\n" : " }\n");
    if (way == 2) g->n_vars--;
    if (way < 2) declare(g, VAR_SCALAR, false, d);
  }
  g->left = choose(g, 3);
  block(g, 1);
  start_line(g);
  put(g, "return sin(r) + ");
  scalar(g, 1);
  changed(g);
  put(g, "\n}\n");
  g->n_vars = 0;
}

// fn NAME(inout v: [n]f64, x: f64, k: int), recursive, changes v on the way down and up.
static void update(Gen *g, const char *name) {
  put(g, "fn %s(inout v: [n]f64, x: f64, k: int) {\n    if k <= 0 { return }\n", name);
  static const char *const down[] = {"    for i in 1..n { v[i] += 0.3 * sin(x * v[i - 1]) }\n",
                                     "    v[0..n - 1] = 0.8 * v[1..n]\n",
                                     "    if v[0] > 0.0 { v[1] *= cos(x) } else { v[0] = sin(v[1]) }\n"};
  static const char *const calls[] = {"%s(inout v, sin(x) * v[0], k - 1)\n",
                                      "for j in 0..k { %s(inout v, v[j] * x, k - 2) }\n",
                                      "if x > 0.2 { %s(inout v, 0.5 * x, k - 1) }\n"};
  static const char *const up[] = {"    v[n - 1] = v[0] * x\n", "    v = tanh(v * (1.0 + x))\n", ""};
  put(g, "%s    ", down[choose(g, 3)]);
  const char *call = calls[choose(g, 3)];
  for (const char *c = call; *c; c++) {
    if (*c == '%')
      put(g, "%s", name), c++;
    else
      put(g, "%c", *c);
  }
  put(g, "%s}\n", up[choose(g, 3)]);
}

static void add_function(Gen *g, const char *name, bool updates, bool recursive) {
  GenFunction *f = &g->functions[g->n_functions++];
  *f = (GenFunction){.updates = updates, .recursive = recursive};
  snprintf(f->name, sizeof f->name, "%s", name);
}

static void own_functions(Gen *g) {
  char name[NAME_BYTES], other[NAME_BYTES];
  g->may_leave = true;
  for (int n = choose(g, MAX_FUNCTIONS); n > 0; n--) {
    snprintf(name, sizeof name, "own%d%s", n, g->suffix);
    snprintf(other, sizeof other, "other%d%s", n, g->suffix);
    int kind = choose(g, 5);
    switch (kind) {
    case 1: update(g, name); break;
    case 2:
      descend(g, name, other);
      descend(g, other, name);
      break;
    case 3: descend(g, name, name); break;
    case 4: descend(g, name, name); break;
    default: descend(g, name, NULL); break;
    }
    add_function(g, name, kind == 1, kind != 0);
  }
}

static void function_f(Gen *g, unsigned wanted) {
  put(g,
      "fn f%s(x: f64, y: f64, v: [n]f64, u: [n]f64, m: [n, n]f64, p: P, idx: [n]int, k: int) -> f64 {\n"
      "    var r = 0.1 * x\n",
      g->suffix);
  declare(g, VAR_SCALAR, true, "r");
  declare_parameters(g, true);
  g->left = MAX_STATEMENTS;
  block(g, MAX_DEPTH);
  for (int k = 0; k < N_FEATURES; k++)
    if (wanted & ~g->features & 1u << k) insist(g, 1u << k);
  start_line(g);
  put(g, "return r + ");
  scalar(g, 2);
  changed(g);
  put(g, "\n}\n");
}

static bool is_part(char c) { return c == '_' || isalnum((unsigned char)c); }

// The inputs' size takes the place of every n from `from` on.
static void write_sizes(Gen *g, size_t from, ProgramSeed seed) {
  Inputs in;
  char *text = g->text;
  size_t len = g->len;
  make_inputs(&in, seed);
  g->text = NULL;
  g->len = g->cap = 0;
  for (size_t i = 0; i < len; i++) {
    bool alone = i > 0 && !is_part(text[i - 1]) && !is_part(text[i + 1]);
    if (text[i] == 'n' && alone && i >= from)
      put(g, "%d", in.n);
    else
      put(g, "%c", text[i]);
  }
  free(text);
}

static ProgramText generate(ProgramSeed seed, int number, bool whole) {
  Gen *g = calloc(1, sizeof *g);
  if (!g) return (ProgramText){NULL, 0, 0};
  *g = (Gen){.bytes = seed.bytes, .n = seed.n, .helpers = true, .indent = 1};
  if (!whole) snprintf(g->suffix, sizeof g->suffix, "_%d", number);
  if (whole) put(g, "%s", shared);
  size_t own = g->len;
  function_recurse(g);
  // Each feature in at least a fourth, whatever else the bytes say.
  unsigned wanted = (unsigned)(choose(g, 256) & choose(g, 256));
  if (choose(g, 4) == 3) wanted |= FEATURE_SINGLES;
  if (choose(g, 4) == 3) wanted |= FEATURE_CHECKPOINTS;
  if (choose(g, 3) == 2) g->features |= FEATURE_SIZES;
  own_functions(g);
  if (g->n_functions) wanted |= FEATURE_CALLS | FEATURE_RECURSION;
  function_f(g, wanted);
  if (g->features & FEATURE_SIZES && !g->failed) write_sizes(g, own, seed);
  ProgramText out = {g->failed ? NULL : g->text, g->len, g->features};
  if (g->failed) free(g->text);
  free(g);
  return out;
}

ProgramText program_text(ProgramSeed seed) { return generate(seed, 0, true); }
ProgramText program_piece(ProgramSeed seed, int number) { return generate(seed, number, false); }
const char *program_shared(void) { return shared; }
