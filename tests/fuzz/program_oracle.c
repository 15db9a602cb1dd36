// The oracle's checks of random programs: see program_oracle.h. In: the bytes of a program. Out: what is wrong with its
// derivatives. What is compared is the compiler's own path: the derivatives are asked for as a program asks for them.
#include "program_oracle.h"

#include "driver/driver.h"
#include "ir/oracle.h"
#include "program_inputs.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Far tighter than what is promised of doubles: here only a wrong derivative is this far off.
static const double AGREEMENT = 1e-16, DIFFERENCES = 1e-10, LARGE = 1e12;
enum { MAX_STEPS = 400000, MAX_PARAMS = 40, MAX_RESULTS = 24 };

typedef enum Root { ROOT_F, ROOT_VJP, ROOT_JVP, ROOT_JVP_GRAD, ROOT_VJP_GRAD, N_ROOTS } Root;
static const char *const root_text[N_ROOTS] = {"f", "vjp(f)", "jvp(f)", "jvp(grad(f))", "vjp(grad(f))"};

typedef struct Quads { // the float leaves of f's parameters, in their order
  __float128 at[MAX_FLOATS];
} Quads;

typedef struct Judge {
  Session *s;
  ProgramText text;
  Inputs in;
  IrModule *m;
  IrFunc *roots[N_ROOTS]; // NULL: refused
  OracleStats *stats;
  Outcome *exact;
  Quads x, direction, other;
  bool optimized, endless, wrong;
  char *why;
  size_t room;
} Judge;

static bool complain(Judge *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool complain(Judge *j, const char *fmt, ...) {
  va_list ap;
  if (j->wrong) return false;
  va_start(ap, fmt);
  vsnprintf(j->why, j->room, fmt, ap);
  va_end(ap);
  j->wrong = true;
  return false;
}

// ---- from source to IR ---------------------------------------------------------------------------------------------------

static bool lower_roots(Judge *j, int n) {
  Session *s = j->s;
  LowerRoot roots[N_ROOTS];
  Name names[N_ROOTS];
  s->diags.list.len = s->diags.n_errors = s->diags.n_warnings = 0;
  for (int k = 0; k < n; k++) {
    Expr *e = sema_expr(s->program, "<root>", root_text[k]);
    names[k] = intern_cstr(s->names, arena_printf(s->arena, "root%d", k));
    roots[k] = (LowerRoot){.expr = e, .real = IR_F64, .name = names[k]};
    if (!e) return false;
  }
  j->m = session_lower(s, roots, n);
  if (!j->m || !session_differentiate(s, j->m)) return false;
  for (int k = 0; k < N_ROOTS; k++) j->roots[k] = k < n ? ir_func_find(j->m, names[k]) : NULL;
  return true;
}

static bool refused(const Session *s) {
  return s->diags.list.len && !strcmp(diag_code_text(s->diags.list.data[0]->code), "E0651");
}

static bool complain_diagnostics(Judge *j) {
  StrBuf sb;
  sb_init(&sb, j->s->arena);
  diags_render(&j->s->diags, &sb, false);
  return complain(j, "it does not compile: %s", sb.data ? sb.data : "");
}

static bool prepare(void *user) {
  Judge *j = user;
  if (lower_roots(j, N_ROOTS)) return true;
  if (refused(j->s) && lower_roots(j, N_ROOTS - 1)) {
    j->stats->refused++;
    return true;
  }
  return complain_diagnostics(j);
}

// ---- running -----------------------------------------------------------------------------------------------------------------

static IrCell leaf_cell(Judge *j, int leaf, const Quads *row) {
  const int64_t sizes[] = {j->in.n, j->in.n}, three[] = {3};
  static const double zeros[MAX_FLOATS];
  const FloatLeaf *l = &j->in.leaves[leaf];
  if (l->rank == 0) {
    IrCell c = ir_cell_f64(0);
    c.v.q = row->at[l->at];
    return c;
  }
  IrCell c = ir_cell_array(j->s->arena, IR_F64, l->rank, leaf == LEAF_W ? three : sizes, zeros);
  memcpy(c.data->at.q, row->at + l->at, sizeof *row->at * (size_t)l->count);
  return c;
}

static IrCell own_cell(Judge *j, const IrFunc *f, int k, const Quads *flat) {
  const char *path = f->params[k].path ? f->params[k].path : "n";
  int64_t sizes[] = {j->in.n};
  if (k < f->n_sizes) return ir_cell_int(strcmp(path, "n") ? atoi(path) : j->in.n);
  if (!strcmp(path, "idx")) return ir_cell_ints(j->s->arena, 1, sizes, j->in.idx);
  if (!strcmp(path, "k")) return ir_cell_int(j->in.k);
  for (int leaf = 0; leaf < N_LEAVES; leaf++)
    if (!strcmp(path, j->in.leaves[leaf].path)) return leaf_cell(j, leaf, flat);
  complain(j, "the parameter `%s` is unknown", path);
  return ir_cell_int(0);
}

// f's parameters at a point, then tangents or adjoints from `more`.
static bool run(Judge *j, Root root, const Quads *flat, const Quads *more, bool round, IrCell *results) {
  const IrFunc *f = j->roots[root];
  IrCell args[MAX_PARAMS];
  if (f->n_params > MAX_PARAMS || f->n_results > MAX_RESULTS) return complain(j, "too many parameters");
  int own = f->n_sizes + N_LEAVES + 2, leaf = 0;
  for (int k = 0; k < f->n_params; k++) {
    if (k < own)
      args[k] = own_cell(j, f, k, flat);
    else if (root == ROOT_VJP)
      args[k] = ir_cell_f64(1.0);
    else
      args[k] = leaf_cell(j, leaf++, more);
  }
  IrInterp in = {.arena = j->s->arena, .module = j->m, .max_steps = MAX_STEPS, .round = round};
  if (j->wrong) return false;
  if (ir_interp(&in, f, args, results)) return true;
  if (in.steps >= MAX_STEPS) j->endless = true;
  return complain(j, "%s fails: %s", root_text[root], in.error);
}

static void flatten(const Judge *j, const IrCell *cells, Quads *out) {
  int at = 0;
  for (int leaf = 0; leaf < N_LEAVES; leaf++)
    for (int i = 0; i < j->in.leaves[leaf].count; i++)
      out->at[at++] = j->in.leaves[leaf].rank ? ir_cell_at(&cells[leaf], i) : cells[leaf].v.q;
}

// ---- comparing -----------------------------------------------------------------------------------------------------------------

static __float128 magnitude(__float128 x) { return x < 0 ? -x : x; }

static __float128 product(const Judge *j, const Quads *a, const Quads *b, __float128 *size) {
  __float128 sum = 0;
  *size = 1e-9; // rounding where everything cancels
  for (int i = 0; i < j->in.n_floats; i++) {
    sum += a->at[i] * b->at[i];
    *size += magnitude(a->at[i] * b->at[i]);
  }
  return sum;
}

static bool close_to(__float128 a, __float128 b, __float128 size, double tolerance) {
  return magnitude(a - b) <= tolerance * size;
}

static bool all_finite(const Judge *j, const Quads *q) {
  for (int i = 0; i < j->in.n_floats; i++)
    if (!(magnitude(q->at[i]) < LARGE)) return false;
  return true;
}

static Quads moved(const Judge *j, double h) {
  Quads out = {0};
  for (int i = 0; i < j->in.n_floats; i++) out.at[i] = j->x.at[i] + (__float128)h * j->direction.at[i];
  return out;
}

// Of f, from x + lo d to x + hi d.
static bool slope_between(Judge *j, double lo, double hi, __float128 *slope) {
  Quads from = moved(j, lo), to = moved(j, hi);
  IrCell below, above;
  if (!run(j, ROOT_F, &from, NULL, false, &below) || !run(j, ROOT_F, &to, NULL, false, &above)) return false;
  *slope = (above.v.q - below.v.q) / (hi - lo);
  return true;
}

static bool at_kink(Judge *j, __float128 size) {
  __float128 left, right;
  return slope_between(j, -0x1p-36, 0, &left) && slope_between(j, 0, 0x1p-36, &right) &&
         !close_to(left, right, size, 1e-6);
}

static bool first_order(Judge *j, const Quads *g, __float128 value, bool *kink) {
  IrCell out[MAX_RESULTS];
  __float128 size, expected = product(j, g, &j->direction, &size), slope;
  if (!run(j, ROOT_JVP, &j->x, &j->direction, false, out)) return false;
  if (!close_to(out[0].v.q, value, magnitude(value) + 1, 1e-25))
    return complain(j, "forward mode gives the value %.17g, not %.17g", (double)out[0].v.q, (double)value);
  if (!close_to(out[1].v.q, expected, size, AGREEMENT))
    return complain(j, "along a direction forward mode gives %.17g, reverse mode %.17g", (double)out[1].v.q,
                    (double)expected);
  for (int tries = 0; tries < 2; tries++) {
    double h = tries ? 0x1p-30 : 0x1p-40;
    if (!slope_between(j, -h, h, &slope)) return false;
    if (close_to(slope, expected, size + magnitude(value), DIFFERENCES)) return true;
  }
  if (at_kink(j, size + magnitude(value))) return *kink = true;
  return complain(j, "the slope along a direction is %.12g, by the gradient %.12g", (double)slope,
                  (double)expected);
}

// H d beside differences of the gradient.
static bool gradient_differences(Judge *j, const Quads *hd) {
  const double h = 0x1p-40;
  Quads from = moved(j, -h), to = moved(j, h), g0, g1;
  IrCell below[MAX_RESULTS], above[MAX_RESULTS];
  __float128 size = 1e-6;
  if (!run(j, ROOT_VJP, &from, NULL, false, below) || !run(j, ROOT_VJP, &to, NULL, false, above))
    return false;
  flatten(j, below + 1, &g0);
  flatten(j, above + 1, &g1);
  for (int i = 0; i < j->in.n_floats; i++) size += magnitude(hd->at[i]) + magnitude(g1.at[i]);
  for (int i = 0; i < j->in.n_floats; i++) {
    __float128 slope = (g1.at[i] - g0.at[i]) / (2 * h);
    if (!close_to(slope, hd->at[i], size, DIFFERENCES))
      return complain(j, "element %d of the Hessian times a direction is %.12g, by differences %.12g", i,
                      (double)hd->at[i], (double)slope);
  }
  return true;
}

static bool second_order(Judge *j) {
  IrCell out[MAX_RESULTS];
  Quads hd, he;
  __float128 size, other_size;
  if (!run(j, ROOT_JVP_GRAD, &j->x, &j->direction, false, out)) return false;
  flatten(j, out + N_LEAVES, &hd);
  for (int i = 0; i < j->in.n_floats; i++) j->exact->turn = fmax(j->exact->turn, fabs((double)hd.at[i]));
  if (!all_finite(j, &hd)) return true;
  if (!gradient_differences(j, &hd)) return false;
  if (!j->roots[ROOT_VJP_GRAD]) return true;
  if (!run(j, ROOT_VJP_GRAD, &j->x, &j->other, false, out)) return false;
  flatten(j, out + N_LEAVES, &he);
  __float128 left = product(j, &hd, &j->other, &size), right = product(j, &he, &j->direction, &other_size);
  if (close_to(left, right, size + other_size, AGREEMENT)) return true;
  return complain(j, "second derivatives: forward over reverse gives %.17g, reverse over reverse %.17g",
                  (double)left, (double)right);
}

// ---- optimisation keeps every bit ------------------------------------------------------------------------------------------

static bool same_bits(Judge *j, Root root, const IrCell *want, const IrCell *got) {
  Quads a, b;
  int leaves = root == ROOT_VJP ? N_LEAVES : 0;
  if (want[0].v.q != got[0].v.q)
    return complain(j, "optimised, %s gives %.17g, not %.17g", root_text[root], (double)got[0].v.q,
                    (double)want[0].v.q);
  if (!leaves) return true;
  flatten(j, want + 1, &a);
  flatten(j, got + 1, &b);
  for (int i = 0; i < j->in.n_floats; i++)
    if (a.at[i] != b.at[i])
      return complain(j, "optimised, derivative %d is %.17g, not %.17g", i, (double)b.at[i], (double)a.at[i]);
  return true;
}

static bool optimize(void *user) {
  Judge *j = user;
  IrCell want[2][MAX_RESULTS], got[MAX_RESULTS];
  Name names[2];
  for (int k = 0; k < 2; k++) {
    names[k] = j->roots[k]->name;
    if (!run(j, (Root)k, &j->x, NULL, true, want[k])) return false;
  }
  for (int k = 2; k < N_ROOTS; k++)
    if (j->roots[k]) j->roots[k]->is_export = false;
  j->s->o.disabled[OPT_apart] = true; // it takes sums in another order
  if (!session_optimize(j->s, j->m)) return complain_diagnostics(j);
  for (int k = 0; k < 2; k++) {
    j->roots[k] = ir_func_find(j->m, names[k]);
    if (!run(j, (Root)k, &j->x, NULL, true, got) || !same_bits(j, (Root)k, want[k], got)) return false;
  }
  return true;
}

// ---- one program -------------------------------------------------------------------------------------------------------------

static bool compare(Judge *j) {
  IrCell out[MAX_RESULTS], value;
  Quads g;
  bool kink = false;
  if (!run(j, ROOT_F, &j->x, NULL, false, &value) || !run(j, ROOT_VJP, &j->x, NULL, false, out)) return false;
  flatten(j, out + 1, &g);
  if (!(magnitude(value.v.q) < LARGE) || !all_finite(j, &g)) {
    j->stats->infinite++;
    return true;
  }
  j->exact->value = (double)value.v.q;
  for (int i = 0; i < j->in.n_floats; i++) j->exact->grad[i] = (double)g.at[i];
  if (!close_to(out[0].v.q, value.v.q, magnitude(value.v.q) + 1, 1e-25))
    return complain(j, "reverse mode gives the value %.17g, not %.17g", (double)out[0].v.q,
                    (double)value.v.q);
  if (!first_order(j, &g, value.v.q, &kink)) return false;
  j->stats->kinks += kink;
  return kink || second_order(j);
}

static bool load(void *user) {
  Judge *j = user;
  return session_load(j->s, "program.dp", j->text.text, j->text.len);
}

static bool judge(Judge *j, OracleStats *stats) {
  if (!session_guard(j->s, load, j)) return complain_diagnostics(j);
  stats->programs++;
  for (int f = 0; f < N_FEATURES; f++) stats->features[f] += j->text.features >> f & 1;
  bool ok = session_guard(j->s, prepare, j) && compare(j);
  // The passes have tests of their own, and cost as much as all the rest.
  if (ok && j->optimized) ok = session_guard(j->s, optimize, j);
  if (!ok) complain(j, "the compiler runs out of memory");
  if (!ok && j->endless) stats->endless++;
  return ok || j->endless;
}

bool oracle_judge(ProgramSeed seed, Outcome *exact, OracleStats *stats, char *why, size_t room) {
  Session s;
  DriverOptions o = driver_options_default();
  Judge j = {.s = &s, .stats = stats, .exact = exact, .why = why, .room = room};
  j.text = program_text(seed);
  j.optimized = j.text.len % 4 == 0;
  *why = 0;
  *exact = (Outcome){.value = (double)NAN};
  if (!j.text.text || !session_open(&s, &o)) return complain(&j, "out of memory");
  make_inputs(&j.in, seed);
  for (int i = 0; i < j.in.n_floats; i++) {
    j.x.at[i] = j.in.row[i];
    j.direction.at[i] = unit_number(7, (uint64_t)i);
    j.other.at[i] = unit_number(8, (uint64_t)i);
  }
  bool ok = judge(&j, stats);
  size_t at = strlen(why);
  if (!ok) snprintf(why + at, room - at, "\n%s", j.text.text);
  session_close(&s);
  free(j.text.text);
  return ok;
}
