// Judges of IR functions. In: a way to make a module and a function's name. Out: the first thing that is wrong with what the
// passes, differentiation and the memory pass make of it, as a text with the function, or NULL.
//
// Everything is decided by the oracle: bits where it rounds as compiled code does, derivatives in quadruple precision
// against central differences along one random direction, adjoints against tangents by <s, J v> = <Jt s, v>.
#include "ir_judge.h"

#include "ad/ad.h"
#include "ir/oracle.h"
#include "ir_random.h"
#include "opt/opt.h"
#include "syntax/ast.h"

#include <math.h>
#include <string.h>

enum { MAX_CELLS = 256, MAX_STEPS = 3000000, MAX_SIZE = 12000 };

typedef struct Cells {
  IrCell at[MAX_CELLS];
  int n;
} Cells;

typedef struct Outcome {
  bool ok;
  const char *error, *printed;
  Cells results;
} Outcome;

typedef struct Judge {
  Arena *a;
  const JudgeSubject *s;
  unsigned what;
  JudgeStats *stats;
  const char *bad;
  const char *path; // what was done to the function so far, "optimised, vjp"
} Judge;

// ---- what is wrong -------------------------------------------------------------------------------------------------------

__attribute__((format(printf, 3, 4))) static void fail(Judge *j, const IrFunc *f, const char *fmt, ...) {
  if (j->bad) return;
  va_list ap;
  va_start(ap, fmt);
  const char *why = arena_vprintf(j->a, fmt, ap);
  va_end(ap);
  StrBuf sb;
  sb_init(&sb, j->a);
  sb_addf(&sb, "%s: %s\n", j->path, why);
  if (f) ir_print_func(f, &sb);
  j->bad = sb.data;
}

static bool verified(Judge *j, const IrFunc *f) {
  const char *bad = ir_verify_func(j->a, f);
  if (bad) fail(j, f, "does not verify: %s", bad);
  return !bad;
}

// ---- running and comparing -----------------------------------------------------------------------------------------------

static Outcome run(Judge *j, const IrFunc *f, const IrCell *args, bool round) {
  Outcome o = {.results.n = f->n_results};
  StrBuf printed;
  sb_init(&printed, j->a);
  IrInterp in = {
      .arena = j->a, .module = f->module, .round = round, .max_steps = MAX_STEPS, .printed = &printed};
  o.ok = f->n_results <= MAX_CELLS && ir_interp(&in, f, args, o.results.at);
  o.error = in.error;
  o.printed = printed.data ? printed.data : "";
  return o;
}

static int64_t count(const IrCell *c) {
  int64_t n = 1;
  for (int k = 0; k < c->type.rank; k++) n *= c->dims[k];
  return n;
}

static bool same_cell(const IrCell *x, const IrCell *y) {
  for (int k = 0; k < x->type.rank; k++)
    if (x->dims[k] != y->dims[k]) return false;
  for (int64_t i = 0; i < count(x); i++) {
    __float128 a = ir_cell_at(x, i), b = ir_cell_at(y, i);
    if (a != b && (a == a || b == b)) return false;
    if (a == 0 && signbit((double)a) != signbit((double)b)) return false;
  }
  return true;
}

static bool is_finite(const IrCell *c) {
  for (int64_t i = 0; i < count(c); i++)
    if (!(fabs((double)ir_cell_at(c, i)) < 1e25)) return false;
  return true;
}

static bool all_finite(const Cells *c) {
  for (int k = 0; k < c->n; k++)
    if (!is_finite(&c->at[k])) return false;
  return true;
}

static void check_same(Judge *j, const IrFunc *f, const Outcome *want, const Outcome *is) {
  if (want->ok != is->ok || (!want->ok && strcmp(want->error, is->error) != 0)) {
    fail(j, f, "ended with %s instead of %s", is->ok ? "results" : is->error,
         want->ok ? "results" : want->error);
    return;
  }
  if (strcmp(want->printed, is->printed) != 0)
    fail(j, f, "printed \"%s\" instead of \"%s\"", is->printed, want->printed);
  for (int k = 0; want->ok && k < want->results.n; k++)
    if (!same_cell(&want->results.at[k], &is->results.at[k])) fail(j, f, "result %d has other bits", k);
}

// ---- passes ----------------------------------------------------------------------------------------------------------------

// The function in a module of its own. It is exported.
static IrFunc *make(Judge *j) {
  Sources *sources = ARENA_NEW(j->a, Sources);
  sources_init(sources, j->a);
  Interner *names = interner_new(j->a);
  IrModule *m = j->s->make(j->s->user, j->a, names, sources);
  IrFuncs order = {0};
  if (!m) return NULL;
  ir_call_graph(m, j->a, &order);
  IrFunc *f = ir_func_find(m, intern_cstr(names, j->s->name));
  if (f) f->is_export = true;
  return f;
}

typedef IrFunc *PassFn(IrFunc *f);
static const struct {
  const char *name;
  PassFn *run;
} passes[] = {
#define PASS(name, what) {#name, opt_##name},
#include "opt/passes.def"
#undef PASS
};

static void judge_passes(Judge *j, const IrCell *args, const Outcome *want) {
  const char *before = j->path;
  for (int p = 0; p < OPT_PASS_COUNT && !j->bad; p++) {
    j->path = arena_printf(j->a, "%s, %s", before, passes[p].name);
    IrFunc *f = passes[p].run(make(j));
    if (!verified(j, f)) return;
    Outcome is = run(j, f, args, true);
    check_same(j, f, want, &is);
  }
  j->path = before;
}

// Bits through the pipeline, a pass at a time, so that the first that loses them is named.
typedef struct Watch {
  Judge *j;
  const IrCell *args;
  const Outcome *want;
} Watch;

static void watch(void *user, const char *pass, const IrFunc *f) {
  Watch *w = user;
  const char *before = w->j->path;
  if (w->j->bad) return;
  w->j->path = arena_printf(w->j->a, "%s, pipeline, %s", before, pass);
  if (verified(w->j, f)) {
    Outcome is = run(w->j, f, w->args, true);
    check_same(w->j, f, w->want, &is);
  }
  w->j->path = before;
}

static IrFunc *optimised(Judge *j, IrFunc *f, const IrCell *args) {
  Outcome want = run(j, f, args, true);
  Watch w = {j, args, &want};
  OptOptions o = {.level = 2, .user = &w};
  if (j->what & JUDGE_PASSES) o.dump = watch;
  f = opt_function(f, &o);
  if (!j->bad && verified(j, f)) {
    Outcome is = run(j, f, args, true);
    check_same(j, f, &want, &is);
  }
  return f;
}

// ---- derivatives -------------------------------------------------------------------------------------------------------------

// A function, arguments that it ends with, and what it gives then.
typedef struct Point {
  IrFunc *f;
  const Cells *args;
  Outcome at; // in quadruple precision
  bool *wrt;
  Cells tangents, seeds; // by parameter in wrt; by float result
} Point;

static void push(Cells *c, IrCell cell) {
  if (c->n < MAX_CELLS) c->at[c->n++] = cell;
}

static IrCell moved_by(Judge *j, const IrCell *x, const IrCell *by, __float128 h) {
  IrCell now = *x;
  if (!ir_is_array(x->type)) {
    now.v.q += h * by->v.q;
    return now;
  }
  now.data = ARENA_NEW(j->a, IrQuad);
  *now.data = *x->data;
  now.data->at.q = ARENA_ARRAY(j->a, __float128, x->data->len);
  for (int64_t i = 0; i < x->data->len; i++) now.data->at.q[i] = x->data->at.q[i] + h * by->data->at.q[i];
  return now;
}

static Outcome run_moved(Judge *j, const Point *p, __float128 h) {
  Cells args = *p->args;
  for (int k = 0, t = 0; k < args.n; k++)
    if (p->wrt[k]) args.at[k] = moved_by(j, &args.at[k], &p->tangents.at[t++], h);
  return run(j, p->f, args.at, false);
}

static double error_of(const IrCell *lo, const IrCell *hi, const IrCell *tangent, __float128 h) {
  double worst = 0.0;
  if (count(lo) != count(hi) || count(lo) != count(tangent)) return INFINITY;
  for (int64_t i = 0; i < count(tangent); i++) {
    __float128 t = ir_cell_at(tangent, i), d = (ir_cell_at(hi, i) - ir_cell_at(lo, i)) / (2 * h);
    double scale = 1.0 + fabs((double)t) + fabs((double)d), error = fabs((double)(t - d)) / scale;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

// The tangents of the results against central differences; finer ones where the coarse ones are not good enough.
static void check_differences(Judge *j, const Point *p, const IrFunc *jvp, const Outcome *is) {
  int n = p->f->n_results;
  for (int k = 0, t = n; k < n; k++) {
    if (!ir_is_float(p->f->results[k])) continue;
    double error = INFINITY;
    for (int fine = 0; fine < 3 && error > 1e-10; fine++) {
      static const double steps[] = {1e-11, 1e-14, 1e-8};
      __float128 h = steps[fine];
      Outcome lo = run_moved(j, p, -h), hi = run_moved(j, p, h);
      if (lo.ok && hi.ok)
        error = fmin(error, error_of(&lo.results.at[k], &hi.results.at[k], &is->results.at[t], h));
    }
    if (!(error <= 1e-10)) fail(j, jvp, "tangent of result %d is off by %.3g", k, error);
    t++;
  }
}

static void check_primal(Judge *j, const Point *p, const IrFunc *g, const Outcome *is) {
  if (!is->ok) {
    fail(j, g, "ended with: %s", is->error);
    return;
  }
  if (strcmp(p->at.printed, is->printed) != 0)
    fail(j, g, "printed \"%s\" instead of \"%s\"", is->printed, p->at.printed);
  for (int k = 0; k < p->f->n_results; k++)
    if (!same_cell(&p->at.results.at[k], &is->results.at[k]))
      fail(j, g, "result %d is not the primal one", k);
}

static void add_dot(__float128 *sum, __float128 *size, const IrCell *x, const IrCell *y) {
  for (int64_t i = 0; i < count(x); i++) {
    __float128 term = ir_cell_at(x, i) * ir_cell_at(y, i);
    *sum += term;
    *size += term < 0 ? -term : term;
  }
}

// <s, J v> = <Jt s, v>
static void check_dot(Judge *j, const Point *p, const IrFunc *vjp, const Outcome *jv, const Outcome *js) {
  __float128 left = 0, right = 0, size = 1e-6;
  int n = p->f->n_results;
  for (int k = 0; k < p->seeds.n; k++) add_dot(&left, &size, &p->seeds.at[k], &jv->results.at[n + k]);
  for (int k = 0; k < p->tangents.n; k++) {
    const IrCell *bar = &js->results.at[n + k];
    if (count(bar) != count(&p->tangents.at[k])) {
      fail(j, vjp, "adjoint %d has another size than its parameter", k);
      return;
    }
    add_dot(&right, &size, bar, &p->tangents.at[k]);
  }
  double error = fabs((double)((left - right) / size));
  if (!(error < 1e-20))
    fail(j, vjp, "tangents give %.17g, adjoints %.17g (off by %.3g)", (double)left, (double)right, error);
}

static const char *refusal(Judge *j, Diags *d) {
  StrBuf sb;
  sb_init(&sb, j->a);
  diags_render(d, &sb, false);
  return sb.data;
}

// ---- several directions at once: each tangent, and three times it ------------------------------------------------------------

static IrCell both_directions(Judge *j, const IrCell *x) {
  int64_t n = count(x), dims[IR_MAX_RANK];
  for (int k = 0; k < x->type.rank; k++) dims[k] = x->dims[k];
  dims[x->type.rank] = 2;
  double *zeros = ARENA_ARRAY(j->a, double, 2 * n + 1);
  IrCell now = ir_cell_array(j->a, (IrElem)x->type.elem, x->type.rank + 1, dims, zeros);
  for (int64_t i = 0; i < n; i++) {
    now.data->at.q[2 * i] = ir_cell_at(x, i);
    now.data->at.q[2 * i + 1] = 3 * ir_cell_at(x, i);
  }
  return now;
}

static bool has_directions(const Point *p) {
  for (int k = 0; k < p->f->n_params; k++)
    if (p->wrt[k] && (ir_type(p->f, (IrVal)k + 1).grow || p->args->at[k].type.rank >= IR_MAX_RANK))
      return false;
  for (int k = 0; k < p->f->n_results; k++)
    if (ir_is_float(p->f->results[k]) && (p->f->results[k].grow || p->f->results[k].rank >= IR_MAX_RANK))
      return false;
  return p->tangents.n > 0;
}

static void check_directions(Judge *j, const Point *p, const Outcome *jv) {
  Diags diags;
  if (!has_directions(p)) return;
  diags_init(&diags, j->a, p->f->module->sources);
  IrFunc *jvps = ad_jvps(p->f->module, p->f, p->wrt, &diags);
  if (!jvps) {
    fail(j, p->f, "jvps: %s", refusal(j, &diags));
    return;
  }
  if (!verified(j, jvps)) return;
  Cells args = *p->args;
  push(&args, ir_cell_int(2));
  for (int k = 0; k < p->tangents.n; k++) push(&args, both_directions(j, &p->tangents.at[k]));
  Outcome is = run(j, jvps, args.at, false);
  check_primal(j, p, jvps, &is);
  for (int k = p->f->n_results; !j->bad && k < is.results.n; k++) {
    const IrCell *one = &jv->results.at[k], *both = &is.results.at[k];
    if (count(both) != 2 * count(one)) fail(j, jvps, "tangents %d have another size", k);
    for (int64_t i = 0; !j->bad && i < count(one); i++) {
      __float128 t = ir_cell_at(one, i), a = ir_cell_at(both, 2 * i), b = ir_cell_at(both, 2 * i + 1);
      double error = fmax(fabs((double)(a - t)), fabs((double)(b - 3 * t))) / (1.0 + fabs((double)t));
      if (!(error < 1e-18)) fail(j, jvps, "tangents %d are off by %.3g from one direction's", k, error);
    }
  }
}

static bool is_parameter(const IrFunc *f, IrVal v) {
  return ir_val(f, v)->region == f->body && !ir_val(f, v)->def;
}

// Arguments of the derivatives: behind the function's own, a tangent per parameter; an adjoint per float result, behind
// those sizes of it that no parameter gives.
static Cells jvp_args(const Point *p) {
  Cells c = *p->args;
  for (int k = 0; k < p->tangents.n; k++) push(&c, p->tangents.at[k]);
  return c;
}

static Cells vjp_args(const Point *p) {
  Cells c = *p->args;
  for (int k = 0, s = 0; k < p->f->n_results; k++) {
    IrType t = p->f->results[k];
    IrVal y = p->f->body->yields[k];
    if (!ir_is_float(t)) continue;
    for (int d = 0; d < t.rank && !t.grow; d++)
      if (!is_parameter(p->f, ir_dims(p->f, y)[d])) push(&c, ir_cell_int(p->at.results.at[k].dims[d]));
    push(&c, p->seeds.at[s++]);
  }
  return c;
}

static IrFunc *derivative(Judge *j, const Point *p, bool reverse) {
  Diags diags;
  diags_init(&diags, j->a, p->f->module->sources);
  IrFunc *g = (reverse ? ad_vjp : ad_jvp)(p->f->module, p->f, p->wrt, &diags);
  j->stats->derivatives += g != NULL;
  j->stats->refused += g == NULL;
  if (!g)
    fail(j, p->f, "%s: %s", reverse ? "vjp" : "jvp", refusal(j, &diags));
  else
    verified(j, g);
  return g;
}

static void judge_derivatives(Judge *j, IrFunc *f, const Cells *args, int order, bool optimise);

static void go_on(Judge *j, IrFunc *g, const Cells *args, int order, bool optimise, const char *how) {
  const char *before = j->path;
  if (j->bad) return;
  j->path = arena_printf(j->a, "%s, %s", before, how);
  ir_call_graph(g->module, j->a, &(IrFuncs){0});
  g = opt_inline_early(g);
  g->is_export = true;
  if (optimise) g = optimised(j, g, args->at);
  if (order > 0 && !j->bad && g->vals.len < MAX_SIZE) {
    j->stats->second++;
    judge_derivatives(j, g, args, order, optimise);
  }
  j->path = before;
}

static void judge_derivatives(Judge *j, IrFunc *f, const Cells *args, int order, bool optimise) {
  Point p = {.f = f, .args = args, .wrt = ARENA_ARRAY(j->a, bool, f->n_params)};
  uint64_t state = j->s->seed + 77;
  p.at = run(j, f, args->at, false);
  if (!p.at.ok || !all_finite(&p.at.results)) {
    j->stats->skipped++;
    return;
  }
  for (int k = 0; k < f->n_params; k++) {
    p.wrt[k] = ir_is_float(ir_type(f, (IrVal)k + 1));
    if (p.wrt[k]) push(&p.tangents, ir_random_like(j->a, &args->at[k], &state));
  }
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) push(&p.seeds, ir_random_like(j->a, &p.at.results.at[k], &state));
  IrFunc *jvp = derivative(j, &p, false), *vjp = j->bad ? NULL : derivative(j, &p, true);
  if (j->bad) return;
  Cells ja = jvp_args(&p), va = vjp_args(&p);
  Outcome jv = run(j, jvp, ja.at, false), js = run(j, vjp, va.at, false);
  check_primal(j, &p, jvp, &jv);
  check_primal(j, &p, vjp, &js);
  if (j->bad || !all_finite(&jv.results)) return;
  check_differences(j, &p, jvp, &jv);
  if (!j->bad) check_dot(j, &p, vjp, &jv, &js);
  if (!j->bad) check_directions(j, &p, &jv);
  go_on(j, vjp, &va, order - 1, optimise, "vjp");
  go_on(j, jvp, &ja, order - 1, optimise, "jvp");
}

// ---- the module as a whole -----------------------------------------------------------------------------------------------------

// Does a branch decide the size of an array that it yields? dp has no expression for that.
static IrWalk find_sized_branch(void *user, IrOp *op) {
  const IrFunc *f = ((void **)user)[0];
  bool *found = ((void **)user)[1];
  for (int k = 0; op->kind == IR_IF && k < op->n_results; k++) {
    const IrVal *dims = ir_dims(f, ir_result(op, k));
    for (int d = 0; dims && d < ir_type(f, ir_result(op, k)).rank; d++)
      *found |= ir_val(f, dims[d])->def == op;
  }
  return *found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static bool is_sized_by_branches(const IrModule *m) {
  bool found = false;
  for (int k = 0; k < m->funcs.len; k++)
    ir_walk(m->funcs.data[k]->body, find_sized_branch, (void *[]){m->funcs.data[k], &found});
  return found;
}

static void judge_source(Judge *j, const IrModule *m) {
  if (is_sized_by_branches(m)) return;
  Sources sources;
  Diags diags;
  StrBuf sb;
  sb_init(&sb, j->a);
  ir_print_source(m, &sb);
  sources_init(&sources, j->a);
  diags_init(&diags, j->a, &sources);
  int file = sources_add(&sources, "printed.dp", sb.data, (size_t)sb.len);
  parse_module(j->a, interner_new(j->a), &sources, file, &diags);
  if (diags.n_errors) fail(j, NULL, "the printed source does not parse: %s\n%s", refusal(j, &diags), sb.data);
}

static void judge_module(Judge *j, IrModule *m, const IrCell *args, const Outcome *want) {
  OptOptions o = {.level = 2};
  opt_module(m, &o);
  for (int k = 0; k < m->funcs.len && !j->bad; k++) {
    if (!verified(j, m->funcs.data[k])) return;
    const char *bad = judge_linear(j->a, m->funcs.data[k]);
    if (bad) fail(j, NULL, "%s", bad);
  }
  const IrFunc *f = ir_func_find(m, intern_cstr(m->names, j->s->name));
  if (j->bad || !f) return;
  Outcome is = run(j, f, args, true);
  check_same(j, f, want, &is);
  if (!j->bad && j->what & JUDGE_SOURCE) judge_source(j, m);
}

// The memory pass on functions as they are, calls included.
static void judge_memory(Judge *j, const IrCell *args, const Outcome *want) {
  IrFunc *f = make(j);
  IrModule *m = f->module;
  const char *before = j->path;
  j->path = "memory alone";
  for (int k = 0; k < m->funcs.len && !j->bad; k++) {
    IrFunc *now = opt_memory(m->funcs.data[k]);
    if (!verified(j, now)) return;
    const char *bad = judge_linear(j->a, now);
    if (bad) fail(j, NULL, "%s", bad);
    if (now->name != intern_cstr(m->names, j->s->name)) continue;
    Outcome is = run(j, now, args, true);
    check_same(j, now, want, &is);
  }
  j->path = before;
}

const char *judge(Arena *a, const JudgeSubject *s, unsigned what, JudgeStats *stats) {
  Judge j = {.a = a, .s = s, .what = what, .stats = stats, .path = "as made"};
  IrFunc *f = make(&j);
  stats->programs++;
  if (!f) return "the module does not parse, or there is no such function";
  Cells args = {.n = f->n_params};
  ir_random_args(a, f, s->seed, args.at);
  if (!verified(&j, f)) return j.bad;
  Outcome want = run(&j, f, args.at, true);
  if (what & JUDGE_PASSES) judge_passes(&j, args.at, &want);
  if (what & JUDGE_MEMORY && !j.bad) judge_memory(&j, args.at, &want);
  for (int optimise = 0; optimise < 2 && !j.bad; optimise++) {
    j.path = optimise ? "optimised" : "as made";
    f = opt_inline_early(make(&j));
    if (optimise) f = optimised(&j, f, args.at);
    if (what & JUDGE_FIRST && !j.bad) judge_derivatives(&j, f, &args, what & JUDGE_SECOND ? 2 : 1, optimise);
    if (what & JUDGE_MEMORY && !j.bad) judge_module(&j, f->module, args.at, &want);
  }
  return j.bad;
}
