// The generator of random programs: statements. Each kind is one function.
#include "program_gen.h"

#include <stdio.h>
#include <string.h>

// ---- statements --------------------------------------------------------------------------------------------------------------

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

// Averages of itself and others, by constants: powers of two, whose reciprocals are exact.
static void mean_update(Gen *g) {
  const Var *s = pick(g, VAR_SCALAR, true);
  if (!s) {
    scalar_declaration(g, 1);
    return;
  }
  put(g, "%s = %s / 4.0", s->name, s->name);
  for (int n = 2 + choose(g, 4), parts = 2 << choose(g, 3); n > 0; n--) {
    put(g, choose(g, 2) ? " + %s / %d.0 * sin(" : " - %s / %d.0 * cos(", s->name, parts);
    scalar(g, choose(g, 2));
    put(g, choose(g, 2) ? " / 2.0)" : ")");
  }
  put(g, "\n");
}

static void array_declaration(Gen *g, int depth) {
  char name[NAME_BYTES];
  if (depth > 0 && choose(g, 4) == 3) {
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
  g->features |= FEATURE_UPDATES;
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
  int form = choose(g, 9);
  if (form == 1 || form == 2 || form > 5) g->features |= FEATURE_SLICES;
  switch (form) {
  case 1: put(g, "%s[1..n] = %s[0..n - 1]\n", a->name, b->name); break;
  case 2: put(g, "%s[0..n - 1] += 0.5 * %s[1..n]\n", a->name, b->name); break;
  case 6: put(g, "%s[0..2] = 0.5 * %s[n - 2..n] * %s[1..3]\n", a->name, b->name, a->name); break;
  case 7:
    put(g, "%s[1..n] -= 0.2 * sin(%s[0..n - 1] * ", a->name, a->name);
    scalar(g, depth - 1);
    put(g, ")\n");
    break;
  case 8: {
    const GenFunction *f = NULL;
    for (int i = 0; i < g->n_functions; i++)
      if (g->functions[i].updates) f = &g->functions[i];
    g->features |= FEATURE_CALLS;
    if (f) g->features |= FEATURE_RECURSION;
    put(g, "%s(inout %s, ", f ? f->name : "blend", a->name);
    scalar(g, depth - 1);
    put(g, f ? ", 2)\n" : ")\n");
    break;
  }
  case 3:
    put(g, "%s = sin(", a->name);
    array(g, depth);
    put(g, ")\n");
    break;
  case 4:
    g->features |= FEATURE_CALLS;
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

// A stencil on a grid, whose border is left alone or something else.
static void grid(Gen *g, const char *m) {
  static const char *const forms[] = {
      // what is changed, another grid
      "%1$s = [for i in 0..n, j in 0..n: if i == 0 or j == 0 or i == n - 1 or j == n - 1 { %2$s[i, j] } "
      "else { 0.5 * %1$s[i, j] + 0.1 * (%1$s[i - 1, j] + %1$s[i + 1, j] + %1$s[i, j - 1] + %1$s[i, j + 1]) "
      "}]\n",
      "%1$s = [for i in 0..n, j in 0..n: if i < 1 or j > n - 2 { 0.25 * %1$s[i, j] } "
      "else { 0.5 * %2$s[i, j] * %1$s[i - 1, j + 1] - 0.2 * %1$s[i, j + 1] * %1$s[i, j] }]\n",
      "for i in 1..n { for j in 0..n - 1 { %1$s[i, j] += 0.3 * %2$s[i - 1, j] - 0.1 * %2$s[i, j + 1] } }\n",
  };
  enum { FORMS = sizeof forms / sizeof *forms };
  put(g, forms[choose(g, FORMS)], m, pick(g, VAR_MATRIX, false)->name);
}

static void matrix_update(Gen *g, int depth) {
  const Var *m = pick(g, VAR_MATRIX, true);
  if (!m) {
    array_declaration(g, depth);
    return;
  }
  switch (choose(g, 6)) {
  case 1:
    g->features |= FEATURE_SLICES;
    put(g, "%s[", m->name);
    index_in_range(g);
    put(g, "] = sin(");
    array(g, depth - 1);
    put(g, ")\n");
    break;
  case 2:
    g->features |= FEATURE_SLICES;
    put(g, "%s[.., ", m->name);
    index_in_range(g);
    put(g, "] += 0.2 * ");
    array(g, depth - 1);
    put(g, "\n");
    break;
  case 4:
  case 5: grid(g, m->name); break;
  case 3: put(g, "%s = 0.3 * (%s @ %s)\n", m->name, m->name, pick(g, VAR_MATRIX, false)->name); break;
  default:
    g->features |= FEATURE_UPDATES;
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

// An array of structs, declared or changed.
static void records_update(Gen *g, int depth) {
  const Var *r = pick(g, VAR_RECORDS, true);
  if (!r) {
    char name[NAME_BYTES], i[NAME_BYTES];
    fresh(g, name, 'z');
    fresh(g, i, 'i');
    put(g, "var %s = [for %s in 0..n: Q { b: %s[%s], c: ", name, i, pick(g, VAR_ARRAY, false)->name, i);
    int kept = g->n_vars;
    declare(g, VAR_INDEX, false, i);
    scalar(g, depth - 1);
    g->n_vars = kept;
    put(g, " }]\n");
    declare(g, VAR_RECORDS, true, name);
    return;
  }
  put(g, "%s[", r->name);
  index_in_range(g);
  switch (choose(g, 3)) {
  case 1: put(g, "].b += 0.3 * sin("); break;
  case 2:
    put(g, "] = Q { b: %s[0].c, c: ", r->name);
    scalar(g, depth);
    put(g, " }\n");
    return;
  default: put(g, "].c = cos("); break;
  }
  scalar(g, depth);
  put(g, ")\n");
}

static void struct_update(Gen *g, int depth) {
  g->features |= FEATURE_STRUCTS;
  if (choose(g, 2)) {
    records_update(g, depth);
    return;
  }
  const Var *q = pick(g, VAR_STRUCT, true);
  if (!q) {
    char name[NAME_BYTES];
    fresh(g, name, 'q');
    put(g, "var %s = %s\n", name, pick(g, VAR_STRUCT, false)->name);
    declare(g, VAR_STRUCT, true, name);
    return;
  }
  switch (choose(g, 4)) {
  case 1: put(g, "%s.w[%d] = sin(", q->name, choose(g, 3)); break;
  case 3:
    put(g, "%s = turned(%s, ", q->name, pick(g, VAR_STRUCT, false)->name);
    g->features |= FEATURE_CALLS;
    break;
  case 2: put(g, "%s.w[1..3] -= 0.1 * %s.w[0..2] * (", q->name, q->name); break;
  default: put(g, "%s.a = cos(", q->name); break;
  }
  scalar(g, depth);
  put(g, ")\n");
}

static void singles_update(Gen *g, int depth) {
  const Var *s = pick(g, VAR_SINGLE, true), *a = pick(g, VAR_SINGLES, true);
  char name[NAME_BYTES], i[NAME_BYTES];
  int how = choose(g, 5);
  g->features |= FEATURE_SINGLES;
  if (!s || (how == 0 && a)) {
    fresh(g, name, 'h');
    put(g, "var %s = f32(", name);
    scalar(g, depth);
    put(g, ")\n");
    declare(g, VAR_SINGLE, true, name);
  } else if (how == 1 || !a) {
    fresh(g, name, 'b');
    fresh(g, i, 'i');
    put(g, "var %s = [for %s in 0..n: ", name, i);
    int kept = g->n_vars;
    declare(g, VAR_INDEX, false, i);
    single(g, depth);
    g->n_vars = kept;
    put(g, "]\n");
    declare(g, VAR_SINGLES, true, name);
  } else if (how == 2) {
    put(g, "%s[", a->name);
    index_in_range(g);
    put(g, choose(g, 2) ? "] = sin(" : "] += 0.3 * cos(");
    single(g, depth);
    put(g, ")\n");
  } else if (how == 3) {
    put(g, "%s = 0.5 * %s + sin(%s)\n", a->name, pick(g, VAR_SINGLES, false)->name, a->name);
  } else {
    put(g, choose(g, 2) ? "%s = tanh(%s + " : "%s -= 0.3 * %s * cos(", s->name, s->name);
    single(g, depth);
    put(g, ")\n");
  }
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
  // An int that counts along, unless an iteration is left early.
  bool counts = choose(g, 3) == 2;
  char counter[NAME_BYTES], counted[NAME_BYTES];
  if (counts) {
    fresh(g, counter, 'c');
    snprintf(counted, sizeof counted, choose(g, 2) ? "min(%.12s, n - 1)" : "mod(%.12s, n)", counter);
    put(g, "var %s = 1\n", counter);
    start_line(g);
  }
  // From the fourth on counters do not follow from the index by themselves.
  static const char *const heads[] = {"in 0..n",        "in reverse 0..n",     "in 1..n",
                                      "in 0..n step 2", "in reverse 0..n - 1", "in reverse 0..n step 2",
                                      "in 1..n step 2"};
  put(g, "for %s %s", i, heads[counts && choose(g, 2) ? 3 + choose(g, 4) : choose(g, 7)]);
  int kept = g->n_vars;
  declare(g, VAR_INDEX, false, i);
  if (counts) declare(g, VAR_INDEX, false, counted);
  if (g->loops) g->features |= FEATURE_NESTED_LOOPS;
  g->loops++;
  put(g, " {\n");
  g->indent++;
  block(g, depth - 1);
  const Var *a = counts ? pick(g, VAR_ARRAY, true) : NULL;
  if (a) {
    start_line(g);
    put(g, "%s[%s] = sin(%s[%s] + 0.5)\n", a->name, counted, a->name, counted);
    g->features |= FEATURE_UPDATES;
  }
  if (counts) {
    start_line(g);
    put(g, "%s += 1\n", counter);
  }
  g->indent--;
  g->loops--;
  g->n_vars = kept;
  start_line(g);
  put(g, "}\n");
}

// Runs to its end, and calls nothing that is recursive.
static void checkpointed_loop(Gen *g) {
  static const char *const kept[] = {"every: 1", "every: 2", "every: 3", "slots: 1", "slots: 2", "slots: 3"};
  char i[NAME_BYTES];
  bool helpers = g->helpers;
  if (!pick(g, VAR_ARRAY, true)) {
    array_declaration(g, 0);
    start_line(g);
  }
  fresh(g, i, 'i');
  put(g, "@checkpoint(%s)\n", kept[choose(g, 6)]);
  start_line(g);
  put(g, choose(g, 2) ? "for %s in 0..n {\n" : "for %s in reverse 1..n {\n", i);
  int kept_vars = g->n_vars;
  declare(g, VAR_INDEX, false, i);
  g->features |= FEATURE_CHECKPOINTS | (g->loops ? FEATURE_NESTED_LOOPS : 0);
  g->helpers = false;
  g->loops++;
  g->indent++;
  for (int n = 1 + choose(g, 3); n > 0; n--) {
    start_line(g);
    if (choose(g, 2))
      element_update(g, 2);
    else
      scalar_update(g, 2);
  }
  g->indent--;
  g->loops--;
  g->helpers = helpers;
  g->n_vars = kept_vars;
  start_line(g);
  put(g, "}\n");
}

static void while_loop(Gen *g, int depth) {
  char c[NAME_BYTES];
  fresh(g, c, 'c');
  put(g, "var %s = 0\n", c);
  start_line(g);
  g->features |= FEATURE_WHILE | (g->loops ? FEATURE_NESTED_LOOPS : 0);
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
  g->features |= FEATURE_BRANCHES;
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
  g->features |= FEATURE_BRANCHES;
  if (returns) {
    put(g, g->no_result ? " { return" : " { return ");
    if (!g->no_result) scalar(g, depth - 1);
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

// Arrays one after the other, as the stages of a stencil: element by element from the neighbours of the one before. Constants at
// the border are powers of two: products with them are not rounded where the compiler folds them.
static void stages(Gen *g) {
  static const char *const forms[] = {
      // what is made, the one before, another one
      "var %1$s = [for j in 0..n: if j == 0 { %3$s[0] } else { 0.4 * %3$s[j] * %2$s[j - 1] }]\n",
      "var %1$s = [for j in 0..n: if j < n - 1 { 0.6 * %2$s[j + 1] - 0.2 * %3$s[j] } else { 0.25 }]\n",
      "var %1$s = [for j in 0..n: 0.5 * %2$s[j] + 0.3 * (if j == 0 { 0.125 } else { %2$s[j - 1] - %3$s[j] "
      "})]\n",
      "var %1$s = 0.2 * %3$s\nfor j in 1..n { %1$s[j] = 0.5 * %2$s[j - 1] }\n",
      "var %1$s = 0.1 * %3$s\nfor j in 0..n - 1 { %1$s[j + 1] += 0.4 * %2$s[j] }\n",
  };
  enum { FORMS = sizeof forms / sizeof *forms, UPDATES = 3 };
  char made[NAME_BYTES], from[NAME_BYTES];
  snprintf(from, sizeof from, "%s", pick(g, VAR_ARRAY, false)->name);
  for (int k = 2 + choose(g, 3); k > 0; k--) {
    int form = choose(g, FORMS);
    const Var *other = pick(g, VAR_ARRAY, false);
    fresh(g, made, 'a');
    put(g, forms[form], made, from, other->name);
    declare(g, VAR_ARRAY, true, made);
    memcpy(from, made, sizeof from);
    if (form >= UPDATES) g->features |= FEATURE_UPDATES;
    if (k > 1) start_line(g);
  }
}

// Steps of a method of several stages, each of which reads, at its neighbour, how far the one before came, as for differential
// equations.
static void steps(Gen *g) {
  static const char *const forms[] = {
      // what is made, the stage before, coefficients
      "let %1$s = [for j in 0..n: if j == 0 { %3$s[0] } else { %3$s[j] * %2$s[j - 1] }]\n",
      "let %1$s = [for j in 0..n: if j < n - 1 { %3$s[j] * %2$s[j + 1] } else { %3$s[j] }]\n",
  };
  if (!pick(g, VAR_ARRAY, true)) {
    array_declaration(g, 0);
    start_line(g);
  }
  const char *state = pick(g, VAR_ARRAY, true)->name, *by = state;
  for (int k = 0; k < 4 && by == state; k++) by = pick(g, VAR_ARRAY, false)->name;
  if (by == state) { // its squares grow beyond all floats
    scalar_update(g, 1);
    return;
  }
  char made[NAME_BYTES], from[NAME_BYTES], sum[6 * NAME_BYTES] = "0.0", i[NAME_BYTES];
  bool down = choose(g, 2);
  fresh(g, i, 'i');
  put(g, "for %s in 0..n {\n", i);
  g->indent++;
  snprintf(from, sizeof from, "%s", state);
  for (int k = 3 + choose(g, 3); k > 0; k--) { // so many that it pays to compute them again
    fresh(g, made, 'k');
    start_line(g);
    put(g, forms[choose(g, 16) ? down : !down], made, from, by);
    fresh(g, from, 'a');
    start_line(g);
    put(g, "let %s = %s + 0.3 * %s\n", from, state, made);
    size_t len = strlen(sum);
    snprintf(sum + len, sizeof sum - len, " + %s", made);
  }
  start_line(g);
  put(g, "%s = 0.5 * %s + 0.05 * (%s)\n", state, state, sum);
  g->indent--;
  start_line(g);
  put(g, "}\n");
  if (g->loops) g->features |= FEATURE_NESTED_LOOPS;
}

// False: the block ends here.
static bool statement(Gen *g, int depth) {
  int kind = choose(g, 26);
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
  case 22: checkpointed_loop(g); break;
  case 23: mean_update(g); break;
  case 24: stages(g); break;
  case 25: steps(g); break;
  case 21: singles_update(g, 2); break;
  case 20: records_update(g, 2), g->features |= FEATURE_STRUCTS; break;
  default: growing(g, 2); break;
  }
  return true;
}

void block(Gen *g, int depth) {
  while (statement(g, depth)) continue;
}

// ---- what is asked for ------------------------------------------------------------------------------------------------------

static void nested_loops(Gen *g) {
  char i[NAME_BYTES], j[NAME_BYTES];
  fresh(g, i, 'i');
  fresh(g, j, 'i');
  put(g, "for %s in 0..n {\n", i);
  int kept = g->n_vars;
  declare(g, VAR_INDEX, false, i);
  g->indent++;
  start_line(g);
  put(g, choose(g, 2) ? "for %s in 0..%s {\n" : "for %s in reverse %s..n {\n", j, i);
  declare(g, VAR_INDEX, false, j);
  g->indent++;
  g->loops += 2;
  g->features |= FEATURE_NESTED_LOOPS;
  start_line(g);
  element_update(g, 2);
  block(g, 0);
  g->loops -= 2;
  g->n_vars = kept;
  for (int k = 0; k < 2; k++) {
    g->indent--;
    start_line(g);
    put(g, "}\n");
  }
}

// One call, or an array of them, each with its own argument.
static void call_statement(Gen *g, bool recursive) {
  char name[NAME_BYTES];
  fresh(g, name, 's');
  bool many = choose(g, 3);
  put(g, many ? "var %s = [for j in 0..n: " : "var %s = ", name);
  int kept = g->n_vars;
  if (many) declare(g, VAR_INDEX, false, "j");
  for (int k = 0; many && k < 4; k++) declare(g, VAR_SCALAR, false, "v[j]");
  if (!call_function(g, 1)) {
    if (recursive) put(g, "recurse%s(", g->suffix);
    if (!recursive) put(g, "mix(");
    scalar(g, 1);
    put(g, recursive ? ", 2)" : ", 0.5)");
    g->features |= recursive ? FEATURE_RECURSION | FEATURE_CALLS : FEATURE_CALLS;
  }
  put(g, many ? "]\n" : "\n");
  g->n_vars = kept;
  declare(g, many ? VAR_ARRAY : VAR_SCALAR, true, name);
}

static void slice_statement(Gen *g) {
  const Var *a = pick(g, VAR_ARRAY, true);
  g->features |= FEATURE_SLICES;
  if (!a) {
    array_declaration(g, 0);
    return;
  }
  put(g, "%s[1..n] += 0.3 * %s[0..n - 1]\n", a->name, pick(g, VAR_ARRAY, false)->name);
}

static void update_of_element(Gen *g) {
  if (!pick(g, VAR_ARRAY, true)) {
    array_declaration(g, 0);
    start_line(g);
  }
  element_update(g, 1);
}

void insist(Gen *g, unsigned feature) {
  start_line(g);
  switch (feature) {
  case FEATURE_NESTED_LOOPS: nested_loops(g); break;
  case FEATURE_BRANCHES: if_statement(g, 1); break;
  case FEATURE_WHILE: while_loop(g, 1); break;
  case FEATURE_RECURSION: call_statement(g, true); break;
  case FEATURE_UPDATES: update_of_element(g); break;
  case FEATURE_STRUCTS: struct_update(g, 1); break;
  case FEATURE_SLICES: slice_statement(g); break;
  case FEATURE_CHECKPOINTS: checkpointed_loop(g); break;
  case FEATURE_SINGLES:
    singles_update(g, 1);
    start_line(g);
    singles_update(g, 1);
    break;
  default: call_statement(g, false); break;
  }
}
