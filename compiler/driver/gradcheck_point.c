// `dp gradcheck` at one point. In: a function, compiled with its derivatives; out: what does not agree. Compared are, for
// random x, direction dx and weights w of the results:
//   reverse against forward      <w, f'(x) dx> computed from both ends
//   both against differences     d/dx_i <w, f(x)> by central differences, extrapolated (Ridders' form of Richardson's)
// A kink within reach of the differences is told apart by the quotients from the left and the right.
#include "driver/gradcheck.h"

#include "dp/dprt.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ELEMENTS = 200, MAX_STEPS = 4000000, ROWS = 8 };

// ---- random inputs ---------------------------------------------------------------------------------------------------

static double uniform(GcPoint *p, double lo, double hi) {
  return lo + (hi - lo) * dprt_rng_uniform(p->key, p->counter++);
}
static int64_t below(GcPoint *p, int64_t n) { return dprt_rng_below(p->key, p->counter++, n); }

// Small and first of all distinct, so that a size in another's place shows.
static int64_t draw_int(GcPoint *p) {
  static const int64_t first[] = {3, 2, 4, 5};
  if (p->attempt == 0) return first[p->names.len & 3];
  return p->attempt == 1 ? 3 : p->attempt == 2 ? 1 : below(p, 6);
}

static int64_t named_int(GcPoint *p, const char *name) {
  for (int i = 0; i < p->names.len; i++)
    if (!strcmp(p->names.data[i].name, name)) return p->names.data[i].value;
  GcNamed n = {name, draw_int(p)};
  vec_push(p->g->arena, &p->names, n);
  return n.value;
}

// A size as size_print writes it: sums of products of numbers, names and div(a, b).
static int64_t read_sum(GcPoint *p, const char **at);

static void skip(const char **at, const char *these) {
  while (**at && strchr(these, **at)) ++*at;
}

static int64_t read_atom(GcPoint *p, const char **at) {
  skip(at, " ");
  if (isdigit((unsigned char)**at)) {
    char *end;
    int64_t v = strtoll(*at, &end, 10);
    *at = end;
    return v;
  }
  const char *start = *at;
  while (isalnum((unsigned char)**at) || **at == '_' || (unsigned char)**at >= 0x80) ++*at;
  const char *name = arena_strdup(p->g->arena, start, (size_t)(*at - start));
  if (**at != '(') {
    if (*at == start && **at) ++*at;
    return named_int(p, name);
  }
  ++*at;
  int64_t num = read_sum(p, at);
  skip(at, ", ");
  int64_t den = read_sum(p, at);
  skip(at, ")");
  return den ? (num - ((num % den + den) % den)) / den : 0;
}

static int64_t read_sum(GcPoint *p, const char **at) {
  int64_t sum = 0, sign = 1;
  for (;;) {
    skip(at, " ");
    if (**at == '-') sign = -sign, ++*at;
    int64_t product = read_atom(p, at);
    for (skip(at, " "); **at == '*'; skip(at, " ")) {
      ++*at;
      product *= read_atom(p, at);
    }
    sum += sign * product;
    if (**at != '+' && **at != '-') return sum;
    sign = **at == '+' ? 1 : -1;
    ++*at;
  }
}

static size_t bytes_of(dp_kind k) { return k == DP_BOOL ? 1 : k == DP_F32 ? 4 : 8; }
int64_t gc_count(const dp_value *v) {
  int64_t n = 1;
  for (int k = 0; k < v->rank; k++) n *= v->sizes[k] > 0 ? v->sizes[k] : 0;
  return n;
}
bool gc_holds_floats(const dp_value *v) { return v->kind == DP_F64 || v->kind == DP_F32; }

double gc_get(const dp_value *v, int64_t i) {
  if (v->kind == DP_F32) return v->rank ? ((const float *)v->data)[i] : v->f32;
  return v->rank ? ((const double *)v->data)[i] : v->f64;
}

void gc_set(dp_value *v, int64_t i, double x) {
  if (v->kind == DP_F32)
    *(v->rank ? (float *)v->data + i : &v->f32) = (float)x;
  else
    *(v->rank ? (double *)v->data + i : &v->f64) = x;
}

static void set_int(dp_value *v, int64_t i, int64_t x) {
  if (v->kind == DP_BOOL)
    *(v->rank ? (bool *)v->data + i : &v->b) = x & 1;
  else
    *(v->rank ? (int64_t *)v->data + i : &v->i) = x;
}

dp_value gc_like(GcPoint *p, const dp_value *v) {
  dp_value now = *v;
  if (v->rank) now.data = arena_alloc(p->g->arena, (size_t)gc_count(v) * bytes_of(v->kind) + 1);
  if (!v->rank) now.i = 0;
  return now;
}

void gc_fill_random(GcPoint *p, dp_value *v, double lo, double hi) {
  for (int64_t i = 0, n = gc_count(v); i < n; i++)
    if (gc_holds_floats(v)) gc_set(v, i, uniform(p, lo, hi));
}

// Functions have domains: signed numbers, positive ones, ones below 1, and matrices that factorise.
static void fill_floats(GcPoint *p, dp_value *v) {
  static const double lo[] = {-1.5, 0.2, 0.1, 0.1}, hi[] = {1.5, 1.8, 0.9, 1.2};
  gc_fill_random(p, v, lo[p->attempt & 3], hi[p->attempt & 3]);
  if ((p->attempt & 3) != 3 || v->rank != 2 || v->sizes[0] != v->sizes[1]) return;
  int64_t n = v->sizes[0];
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++)
      gc_set(v, j * n + i, i == j ? gc_get(v, i * n + i) + 2.0 * (double)n : gc_get(v, i * n + j));
}

static bool draw(GcPoint *p) {
  GcFunction *g = p->g;
  p->x = ARENA_ARRAY(g->arena, dp_value, g->n_leaves);
  p->direction = ARENA_ARRAY(g->arena, dp_value, g->n_leaves);
  for (int k = 0; k < g->n_leaves; k++) {
    const GcLeaf *leaf = &g->leaves[k];
    dp_value v = {.kind = leaf->kind, .rank = leaf->rank};
    for (int d = 0; d < leaf->rank; d++) {
      const char *text = leaf->sizes[d];
      v.sizes[d] = text ? read_sum(p, &text) : draw_int(p);
      if (v.sizes[d] < 0 || v.sizes[d] > 10000) {
        g->failed = arena_printf(g->arena, "the size %s of `%s` came out as %lld",
                                 leaf->sizes[d] ? leaf->sizes[d] : "", leaf->path, (long long)v.sizes[d]);
        return false;
      }
    }
    if (gc_count(&v) > 100000) return false;
    p->x[k] = gc_like(p, &v);
    p->direction[k] = gc_like(p, &v);
    gc_fill_random(p, &p->direction[k], -1.0, 1.0);
    if (gc_holds_floats(&v))
      fill_floats(p, &p->x[k]);
    else if (v.kind == DP_INT && !v.rank)
      p->x[k].i = named_int(p, leaf->path);
    else
      for (int64_t i = 0, n = gc_count(&v); i < n; i++)
        set_int(&p->x[k], i, below(p, v.kind == DP_BOOL ? 2 : 3));
  }
  return true;
}

// ---- calls -------------------------------------------------------------------------------------------------------------

static IrCell to_cell(GcPoint *p, const dp_value *v, bool grow) {
  Arena *a = p->g->arena;
  static const IrElem elems[] = {
      [DP_BOOL] = IR_BOOL, [DP_INT] = IR_INT, [DP_F32] = IR_F32, [DP_F64] = IR_F64};
  IrCell c = {.type = IR_SCALAR(elems[v->kind])};
  if (!v->rank) {
    if (gc_holds_floats(v))
      c.v.q = (__float128)gc_get(v, 0);
    else
      c.v.i = v->kind == DP_BOOL ? v->b : v->i;
    return c;
  }
  int64_t n = gc_count(v);
  if (gc_holds_floats(v)) {
    double *vals = ARENA_ARRAY(a, double, n + 1);
    for (int64_t i = 0; i < n; i++) vals[i] = gc_get(v, i);
    c = ir_cell_array(a, elems[v->kind], v->rank, v->sizes, vals);
  } else {
    int64_t *vals = ARENA_ARRAY(a, int64_t, n + 1);
    for (int64_t i = 0; i < n; i++)
      vals[i] = v->kind == DP_BOOL ? ((const bool *)v->data)[i] : ((const int64_t *)v->data)[i];
    c = ir_cell_ints(a, v->rank, v->sizes, vals);
    c.type.elem = elems[v->kind];
  }
  c.type.grow = grow;
  return c;
}

// The oracle runs it first: it stops where compiled code would run on, and says what went wrong without a place.
static bool ends(GcPoint *p) {
  GcFunction *g = p->g;
  const IrFunc *f = g->ir;
  IrCell *args = ARENA_ARRAY(g->arena, IrCell, f->n_params),
         *out = ARENA_ARRAY(g->arena, IrCell, f->n_results);
  for (int k = 0; k < f->n_sizes; k++) {
    const char *text = f->params[k].path;
    args[k] = ir_cell_int(read_sum(p, &text));
  }
  for (int k = f->n_sizes; k < f->n_params; k++)
    args[k] = to_cell(p, &p->x[k - f->n_sizes], ir_type(f, f->body->args[k]).grow);
  IrInterp in = {.arena = g->arena, .module = g->m, .round = true, .max_steps = MAX_STEPS};
  if (ir_interp(&in, f, args, out) || in.steps < MAX_STEPS)
    return true; // what failed else, the call will tell
  g->endless++;
  g->failed = arena_printf(g->arena, "it still ran after %d steps", MAX_STEPS);
  return false;
}

static const char *first_line(Arena *a, const char *text) {
  const char *error = strstr(text, "error: ");
  if (error) text = error + strlen("error: ");
  return arena_strdup(a, text, strcspn(text, "\n"));
}

bool gc_call(GcPoint *p, dp_function *f, const dp_value *leaves, int n, const dp_value *more, int n_more,
             dp_value *out) {
  GcFunction *g = p->g;
  int total;
  const dp_leaf *params = dp_parameters(f, &total);
  dp_value *args = ARENA_ARRAY(g->arena, dp_value, total + 1);
  int sizes = total - n - n_more; // those that no array has
  for (int k = 0; k < sizes; k++) {
    const char *text = params[k].path;
    args[k] = dp_int(read_sum(p, &text));
  }
  memcpy(args + sizes, leaves, sizeof *args * (size_t)n);
  if (n_more) memcpy(args + sizes + n, more, sizeof *args * (size_t)n_more);
  if (dp_call(f, args, out) == DP_OK) return true;
  g->failed = first_line(g->arena, dp_last_error(g->ctx));
  return false;
}

dp_value *gc_room(GcPoint *p, dp_function *f, int *n) {
  dp_results(f, n);
  return ARENA_ARRAY(p->g->arena, dp_value, *n + 1);
}

void gc_let_go(GcPoint *p, dp_value *out, int n) {
  for (int k = 0; k < n; k++) dp_value_free(p->g->ctx, &out[k]);
}

double gc_product(const dp_value *a, const dp_value *b, double *magnitude) {
  double sum = 0.0;
  for (int64_t i = 0, n = gc_count(a); gc_holds_floats(a) && i < n; i++) {
    double t = gc_get(a, i) * gc_get(b, i);
    sum += t;
    *magnitude += fabs(t);
  }
  return sum;
}

static double weigh(const GcPoint *p, const dp_value *y, double *magnitude) {
  double sum = 0.0;
  for (int k = 0; k < p->g->n_out; k++) {
    if (gc_count(&y[k]) != gc_count(&p->weights[k])) return (double)NAN;
    sum += gc_product(&p->weights[k], &y[k], magnitude);
  }
  return sum;
}

// Where the result begins: behind sizes that come with it.
static int first_result(const GcFunction *g) {
  int n;
  dp_results(g->f, &n);
  int inout = 0;
  for (int k = 0; k < g->decl->params.len; k++)
    if (g->decl->params.data[k].is_inout) inout += type_leaf_count(g->decl->sig->params[k]);
  return n - inout - g->n_out;
}

// <w, f(x)>; NaN where f fails.
static double value_at(GcPoint *p) {
  int n;
  dp_value *y = gc_room(p, p->g->f, &n);
  double magnitude = 0.0, v;
  if (!gc_call(p, p->g->f, p->x, p->g->n_leaves, NULL, 0, y)) return (double)NAN;
  v = weigh(p, y + first_result(p->g), &magnitude);
  gc_let_go(p, y, n);
  return v;
}

static bool begin_point(GcPoint *p) {
  GcFunction *g = p->g;
  int n, first = first_result(g);
  dp_value *y = gc_room(p, g->f, &n);
  if (!gc_call(p, g->f, p->x, g->n_leaves, NULL, 0, y)) return false;
  p->weights = ARENA_ARRAY(g->arena, dp_value, g->n_out + 1);
  bool finite = true;
  for (int k = 0; k < g->n_out; k++) {
    p->weights[k] = gc_like(p, &y[first + k]);
    gc_fill_random(p, &p->weights[k], 0.5, 1.5);
    if (g->n_out == 1 && !p->weights[k].rank) gc_set(&p->weights[k], 0, 1.0); // then it is the derivative
    for (int64_t i = 0, m = gc_count(&y[first + k]); i < m && gc_holds_floats(&y[first + k]); i++)
      finite &= isfinite(gc_get(&y[first + k], i)) != 0;
  }
  double magnitude = 0.0;
  p->value = weigh(p, y + first, &magnitude);
  gc_let_go(p, y, n);
  if (!finite) g->failed = "its result is not finite";
  return finite;
}

// ---- findings ----------------------------------------------------------------------------------------------------------

GcFinding *gc_found(GcPoint *p, const char *what) {
  GcFunction *g = p->g;
  double no = (double)NAN;
  GcFinding f = {what, NULL, no, no, no, no, no, no, false};
  vec_push(g->arena, &g->findings, f);
  return &vec_last(&g->findings);
}

static const char *reverse_name(const GcFunction *g) {
  return g->decl->adjoint_rule ? "the adjoint rule" : "reverse mode";
}
static const char *forward_name(const GcFunction *g) {
  return g->decl->tangent_rule ? "the tangent rule" : "forward mode";
}

const char *gc_element_name(GcPoint *p, int leaf, int64_t at) {
  const dp_value *v = &p->x[leaf];
  int64_t idx[DP_MAX_RANK];
  for (int d = v->rank - 1; d >= 0; d--) {
    idx[d] = at % v->sizes[d];
    at /= v->sizes[d];
  }
  StrBuf sb;
  sb_init(&sb, p->g->arena);
  sb_add(&sb, p->g->leaves[leaf].path);
  for (int d = 0; d < v->rank; d++) sb_addf(&sb, "%s%lld", d ? ", " : "[", (long long)idx[d]);
  if (v->rank) sb_addc(&sb, ']');
  return sb.data;
}

double gc_exactness(const GcFunction *g) { return g->narrow ? 2e-3 : 1e-9; }

static void compare_value(GcPoint *p, const char *who, const dp_value *y) {
  double magnitude = 0.0, v = weigh(p, y, &magnitude);
  if (fabs(v - p->value) <= gc_exactness(p->g) * (magnitude + DBL_MIN)) return;
  GcFinding *f =
      gc_found(p, arena_printf(p->g->arena, "the value that %s returns is not the function's", who));
  f->at = p->value;
  f->reverse = v;
}

// ---- both modes ----------------------------------------------------------------------------------------------------------

// The gradient of <w, f> in reverse mode, by leaf; false: the adjoint fails.
static bool reverse(GcPoint *p, dp_value *gradient) {
  GcFunction *g = p->g;
  int n, by = 0;
  dp_value *out = gc_room(p, g->vjp, &n);
  if (!gc_call(p, g->vjp, p->x, g->n_leaves, p->weights, g->n_out, out)) {
    gc_found(p,
             arena_printf(g->arena, "%s fails where the function does not: %s", reverse_name(g), g->failed));
    return false;
  }
  for (int k = 0; k < g->n_leaves; k++) by += g->leaves[k].in_wrt;
  compare_value(p, reverse_name(g), out + n - by - g->n_out);
  for (int k = 0, at = n - by; k < g->n_leaves; k++) {
    if (!g->leaves[k].in_wrt) continue;
    const dp_value *d = &out[at++];
    if (!gc_holds_floats(&p->x[k])) continue;
    gradient[k] = gc_like(p, &p->x[k]);
    if (gc_count(d) != gc_count(&p->x[k])) {
      gc_found(p, arena_printf(g->arena, "%s gives a derivative by `%s` of another size", reverse_name(g),
                               g->leaves[k].path));
      gc_let_go(p, out, n);
      return false;
    }
    for (int64_t i = 0, m = gc_count(d); i < m; i++) gc_set(&gradient[k], i, gc_get(d, i));
  }
  gc_let_go(p, out, n);
  return true;
}

// <w, f'(x) dx> in forward mode; NaN: the tangent fails.
static double forward(GcPoint *p, const dp_value *dx, double *magnitude) {
  GcFunction *g = p->g;
  int n, by = 0;
  dp_value *more = ARENA_ARRAY(g->arena, dp_value, g->n_leaves + 1), *out = gc_room(p, g->jvp, &n);
  for (int k = 0; k < g->n_leaves; k++)
    if (g->leaves[k].in_wrt) more[by++] = dx[k];
  if (!gc_call(p, g->jvp, p->x, g->n_leaves, more, by, out)) {
    gc_found(p,
             arena_printf(g->arena, "%s fails where the function does not: %s", forward_name(g), g->failed));
    return (double)NAN;
  }
  double v = weigh(p, out + n - g->n_out, magnitude);
  gc_let_go(p, out, n);
  return v;
}

static void forward_value(GcPoint *p) {
  GcFunction *g = p->g;
  int n, by = 0;
  dp_value *more = ARENA_ARRAY(g->arena, dp_value, g->n_leaves + 1), *out = gc_room(p, g->jvp, &n);
  for (int k = 0; k < g->n_leaves; k++)
    if (g->leaves[k].in_wrt) more[by++] = p->direction[k];
  if (!gc_call(p, g->jvp, p->x, g->n_leaves, more, by, out)) return; // forward() tells
  compare_value(p, forward_name(g), out + n - 2 * g->n_out);
  gc_let_go(p, out, n);
}

// What an adjoint rule returns beside its function. Nobody may ever look at it, so only the oracle does.
static void rule_value(GcPoint *p) {
  GcFunction *g = p->g;
  const IrFunc *f = g->ir, *rule = f->adjoint_rule ? ir_func_find(g->m, f->adjoint_rule) : NULL;
  if (!rule || !rule->body) return;
  int more = rule->n_sizes - f->n_sizes; // those of the weights
  IrCell *args = ARENA_ARRAY(g->arena, IrCell, rule->n_params + 1);
  IrCell *out = ARENA_ARRAY(g->arena, IrCell, rule->n_results + 1);
  for (int k = 0; k < f->n_sizes; k++) {
    const char *text = f->params[k].path;
    args[k] = ir_cell_int(read_sum(p, &text));
  }
  for (int k = f->n_sizes; k < f->n_params; k++)
    args[k + more] = to_cell(p, &p->x[k - f->n_sizes], ir_type(f, f->body->args[k]).grow);
  int at = f->n_params + more;
  for (int k = 0; k < g->n_out && at < rule->n_params; k++) {
    if (!gc_holds_floats(&p->weights[k])) continue;
    IrVal weight = rule->body->args[at];
    for (int d = 0; ir_dims(rule, weight) && d < ir_type(rule, weight).rank; d++)
      args[ir_val(rule, ir_dims(rule, weight)[d])->index] = ir_cell_int(p->weights[k].sizes[d]);
    args[at++] = to_cell(p, &p->weights[k], ir_type(rule, weight).grow);
  }
  IrInterp in = {.arena = g->arena, .module = g->m, .round = true, .max_steps = MAX_STEPS};
  if (at != rule->n_params || !ir_interp(&in, rule, args, out)) return;
  int first = rule->n_results - g->n_out;
  for (int k = at = f->n_sizes; k < f->n_params; k++) first -= ir_is_float(ir_type(f, f->body->args[k]));
  dp_value *y = ARENA_ARRAY(g->arena, dp_value, g->n_out + 1);
  for (int k = 0; k < g->n_out; k++) {
    y[k] = gc_like(p, &p->weights[k]);
    const IrCell *c = &out[first + k];
    if (gc_holds_floats(&y[k]) && c->type.rank == y[k].rank)
      for (int64_t i = 0, m = gc_count(&y[k]); i < m; i++)
        gc_set(&y[k], i, (double)(c->type.rank ? ir_cell_at(c, i) : c->v.q));
  }
  compare_value(p, "the adjoint rule", y);
}

// One direction per element: only when something is wrong, or there is no other mode.
static bool forward_gradient(GcPoint *p, dp_value *gradient) {
  GcFunction *g = p->g;
  dp_value *dx = ARENA_ARRAY(g->arena, dp_value, g->n_leaves);
  for (int k = 0; k < g->n_leaves; k++) dx[k] = gc_like(p, &p->x[k]);
  for (int k = 0; k < g->n_leaves; k++) {
    if (!gc_holds_floats(&dx[k])) continue;
    gradient[k] = gc_like(p, &dx[k]);
    for (int64_t i = 0, m = gc_count(&dx[k]); i < m && i < MAX_ELEMENTS; i++) {
      double magnitude = 0.0;
      gc_set(&dx[k], i, 1.0);
      double d = forward(p, dx, &magnitude);
      if (isnan(d)) return false;
      gc_set(&gradient[k], i, d);
      gc_set(&dx[k], i, 0.0);
    }
  }
  return true;
}

// What rounding leaves of a derivative that is zero, in units of the function's own last place.
static double noise(const GcPoint *p, double units) {
  return units * (p->g->narrow ? (double)FLT_EPSILON : DBL_EPSILON) * (1.0 + fabs(p->value));
}

// True if they agree.
static bool dot_test(GcPoint *p, const dp_value *gradient) {
  GcFunction *g = p->g;
  double one = 0.0, other = 0.0, left = forward(p, p->direction, &one), right = 0.0;
  if (isnan(left)) return true; // told, or a derivative that is NaN in both
  for (int k = 0; k < g->n_leaves; k++)
    if (gc_holds_floats(&p->x[k])) right += gc_product(&gradient[k], &p->direction[k], &other);
  double off = fabs(left - right) / (one + other + noise(p, 16.0) / gc_exactness(g));
  if (off > g->worst_dot) g->worst_dot = off;
  return off <= gc_exactness(g);
}

// ---- differences -----------------------------------------------------------------------------------------------------------

typedef struct Element {
  GcPoint *p;
  int leaf;
  int64_t at;
  double x;
} Element;

static double moved(const Element *e, double h, double *actual) {
  dp_value *v = &e->p->x[e->leaf];
  gc_set(v, e->at, e->x + h);
  *actual = gc_get(v, e->at) - e->x;
  double y = value_at(e->p);
  gc_set(v, e->at, e->x);
  return y;
}

static double central(const Element *e, double h) {
  double up, down, above = moved(e, h, &up), under = moved(e, -h, &down);
  return (above - under) / (up - down);
}

// Ridders: central differences for shrinking steps, extrapolated to none; the best entry of the table by its own estimate.
static double derivative(const Element *e, double h, double *error) {
  static const double shrink = 1.6;
  double table[ROWS][ROWS], best = (double)NAN;
  *error = (double)INFINITY;
  for (int tries = 0; tries < 6 && !isfinite(table[0][0] = central(e, h)); tries++) h /= 8.0;
  for (int i = 1; i < ROWS; i++) {
    h /= shrink;
    table[0][i] = central(e, h);
    double power = shrink * shrink;
    for (int j = 1; j <= i; j++, power *= shrink * shrink) {
      table[j][i] = (table[j - 1][i] * power - table[j - 1][i - 1]) / (power - 1.0);
      double err = fmax(fabs(table[j][i] - table[j - 1][i]), fabs(table[j][i] - table[j - 1][i - 1]));
      if (err <= *error) {
        *error = err;
        best = table[j][i];
      }
    }
  }
  return best;
}

// Do the quotients from both sides stay apart while the step shrinks? Those of a smooth function approach each other
// as the step does.
static bool kink_near(const Element *e, double *left, double *right) {
  double h = 0.08 * fmax(fabs(e->x), 0.25), before = 0.0, up, down;
  double unit = e->p->g->narrow ? (double)FLT_EPSILON : DBL_EPSILON;
  for (int k = 0; k < 9; k++, h /= 4.0) {
    double r = moved(e, h, &up), l = moved(e, -h, &down);
    r = (r - e->p->value) / up;
    l = (l - e->p->value) / down;
    double apart = fabs(r - l), noise = 64.0 * unit * fabs(e->p->value) / h + 1e-4 * e->p->scale;
    if (!isfinite(apart) || apart < noise) {
      before = 0.0;
      continue;
    }
    *left = l + 0.0; // no negative zeros
    *right = r + 0.0;
    if (before > 0.0 && apart > 0.6 * before) return true;
    before = apart;
  }
  return false;
}

static bool agrees(const GcPoint *p, double have, double want, double error) {
  double scale = fmax(fabs(have), fabs(want)) + 1e-3 * p->scale;
  // Differences divide the function's rounding by their step.
  return fabs(have - want) <= p->g->tol * scale + 4.0 * fmin(error, 1e-3 * scale) + noise(p, 400.0);
}

typedef struct Both { // derivatives by one element; NaN: there is no such mode
  double reverse, forward;
} Both;

static bool both_agree(const GcPoint *p, const Both *have, double want, double error) {
  return (isnan(have->reverse) || agrees(p, have->reverse, want, error)) &&
         (isnan(have->forward) || agrees(p, have->forward, want, error));
}

// A kink or a jump within reach of the first step may be out of reach of a smaller one.
static double nearest_derivative(const Element *e, const Both *have, double *error) {
  double h = 0.04 * fmax(fabs(e->x), 0.25), first = derivative(e, h, error), first_error = *error;
  if (both_agree(e->p, have, first, *error)) return first;
  for (int tries = 0; tries < 3; tries++) {
    double d = derivative(e, h /= 30.0, error);
    if (both_agree(e->p, have, d, *error)) return d;
  }
  *error = first_error;
  return first;
}

static void compare_element(GcPoint *p, int leaf, int64_t at, const dp_value *by_reverse,
                            const dp_value *by_forward) {
  GcFunction *g = p->g;
  Element e = {p, leaf, at, gc_get(&p->x[leaf], at)};
  double r = by_reverse ? gc_get(&by_reverse[leaf], at) : (double)NAN;
  double f = by_forward ? gc_get(&by_forward[leaf], at) : (double)NAN;
  if ((by_reverse && !isfinite(r)) || (by_forward && !isfinite(f))) {
    const char *who = by_reverse && !isfinite(r) ? reverse_name(g) : forward_name(g);
    double what = by_reverse && !isfinite(r) ? r : f;
    GcFinding *now = gc_found(p, arena_printf(g->arena, "%s gives %s, where the function is finite", who,
                                              isnan(what)  ? "nan"
                                              : what > 0.0 ? "inf"
                                                           : "-inf"));
    now->argument = gc_element_name(p, leaf, at);
    now->at = e.x;
    now->reverse = r;
    now->forward = f;
    return;
  }
  Both have = {r, f};
  double error, d = nearest_derivative(&e, &have, &error), left = (double)NAN, right = (double)NAN;
  bool fine = both_agree(p, &have, d, error);
  double scale = fmax(fabs(d), p->scale), off = fabs((by_reverse ? r : f) - d) / (scale + DBL_MIN);
  if (fine && off > g->worst_diff) g->worst_diff = off;
  if (fine) return;
  bool kink = kink_near(&e, &left, &right);
  double lo = fmin(left, right), hi = fmax(left, right), slack = 1e-3 * (fabs(lo) + fabs(hi) + p->scale);
  bool one_of_them = kink && (!by_reverse || (r >= lo - slack && r <= hi + slack)) &&
                     (!by_forward || (f >= lo - slack && f <= hi + slack));
  if (one_of_them || !isfinite(d)) {
    g->kinks++;
    return;
  }
  bool wrong_r = by_reverse && !agrees(p, r, d, error), wrong_f = by_forward && !agrees(p, f, d, error);
  const char *who = wrong_r ? reverse_name(g) : forward_name(g);
  if (wrong_r && wrong_f) who = arena_printf(g->arena, "%s and %s", who, forward_name(g));
  GcFinding *now = gc_found(p, arena_printf(g->arena, "%s %s not give what differences give", who,
                                            wrong_r && wrong_f ? "do" : "does"));
  *now = (GcFinding){now->what, gc_element_name(p, leaf, at), e.x, r, f, d, left, right, kink};
}

// The largest element of the gradient: what is small beside it is not looked at to the last digit.
static void find_scale(GcPoint *p, const dp_value *gradient) {
  p->scale = 0.0;
  for (int k = 0; k < p->g->n_leaves; k++)
    for (int64_t i = 0, m = gc_count(&p->x[k]); gc_holds_floats(&p->x[k]) && i < m; i++)
      p->scale = fmax(p->scale, fabs(gc_get(&gradient[k], i)));
}

static void compare_all(GcPoint *p, const dp_value *by_reverse, const dp_value *by_forward) {
  GcFunction *g = p->g;
  int64_t total = 0;
  for (int k = 0; k < g->n_leaves; k++)
    if (gc_holds_floats(&p->x[k])) total += gc_count(&p->x[k]);
  find_scale(p, by_reverse ? by_reverse : by_forward);
  for (int k = 0; k < g->n_leaves; k++)
    for (int64_t i = 0, m = gc_count(&p->x[k]); gc_holds_floats(&p->x[k]) && i < m; i++)
      if (by_forward ? i < MAX_ELEMENTS : total <= MAX_ELEMENTS || below(p, total) < MAX_ELEMENTS)
        compare_element(p, k, i, by_reverse, by_forward);
}

// Without differences, the two modes say at which argument they part.
static void compare_modes(GcPoint *p, const dp_value *by_reverse, const dp_value *by_forward) {
  GcFunction *g = p->g;
  find_scale(p, by_reverse);
  for (int k = 0; k < g->n_leaves; k++)
    for (int64_t i = 0, m = gc_count(&p->x[k]); gc_holds_floats(&p->x[k]) && i < m && i < MAX_ELEMENTS; i++) {
      double r = gc_get(&by_reverse[k], i), f = gc_get(&by_forward[k], i);
      if (fabs(r - f) <= 100.0 * gc_exactness(g) * (fabs(r) + fabs(f) + p->scale)) continue;
      const char *what = arena_printf(g->arena, "%s and %s differ", reverse_name(g), forward_name(g));
      GcFinding *now = gc_found(p, what);
      now->argument = gc_element_name(p, k, i);
      now->at = gc_get(&p->x[k], i);
      now->reverse = r;
      now->forward = f;
    }
}

static void compare(GcPoint *p) {
  GcFunction *g = p->g;
  dp_value *by_reverse = g->vjp ? ARENA_ARRAY(g->arena, dp_value, g->n_leaves) : NULL;
  dp_value *by_forward = NULL;
  if (by_reverse && !reverse(p, by_reverse)) return;
  if (g->decl->adjoint_rule) rule_value(p);
  if (g->jvp) forward_value(p);
  bool parted = g->jvp && by_reverse && !dot_test(p, by_reverse);
  if (g->jvp && (parted || !by_reverse)) {
    by_forward = ARENA_ARRAY(g->arena, dp_value, g->n_leaves);
    if (!forward_gradient(p, by_forward)) return;
  }
  int before = g->findings.len;
  if (!g->detaches) compare_all(p, by_reverse, by_forward);
  if (parted && g->findings.len == before) compare_modes(p, by_reverse, by_forward);
  if (parted && g->findings.len == before)
    gc_found(p, arena_printf(g->arena, "%s and %s differ along a random direction", reverse_name(g),
                             forward_name(g)));
  if (by_reverse && (g->second || g->twice) && !g->findings.len) gradcheck_second(p, by_reverse);
}

bool gradcheck_point(GcFunction *g, int attempt) {
  GcPoint p = {.g = g, .attempt = attempt, .key = g->seed};
  p.counter = (int64_t)attempt << 32;
  for (const char *c = g->decl->name; *c; c++) p.key = (int64_t)((uint64_t)p.key * 31 + (unsigned char)*c);
  if (!draw(&p) || !ends(&p) || !begin_point(&p)) return false;
  compare(&p);
  g->points++;
  return true;
}
