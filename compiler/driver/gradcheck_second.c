// `dp gradcheck --order 2` at one point. In: a point and the gradient there. Out: what does not agree. Compared are, for the
// Hessian H of <w, f> and random directions d, e:
//   forward over reverse against differences    H d and the gradient's change along d
//   forward over reverse against reverse over reverse    <e, H d> and <H e, d>
#include "driver/gradcheck.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STEPS = 4, EXTRAPOLATED = 3 };

// The leaves with floats in them, as a row of numbers: what second derivatives are compared by.
typedef struct Row {
  double *at;
  int64_t n;
} Row;

static Row row_new(GcPoint *p) {
  Row r = {0};
  for (int k = 0; k < p->g->n_leaves; k++)
    if (gc_holds_floats(&p->x[k])) r.n += gc_count(&p->x[k]);
  r.at = ARENA_ARRAY(p->g->arena, double, r.n + 1);
  return r;
}

static void add_leaf(Row *r, int64_t *at, const dp_value *v) {
  for (int64_t i = 0, n = gc_count(v); gc_holds_floats(v) && i < n && *at < r->n; i++)
    r->at[(*at)++] = gc_get(v, i);
}

static int wrt_leaves(const GcFunction *g) {
  int n = 0;
  for (int k = 0; k < g->n_leaves; k++) n += g->leaves[k].in_wrt;
  return n;
}

static void row_of_results(Row *r, const dp_value *leaves, int n) {
  int64_t at = 0;
  for (int k = 0; k < n; k++) add_leaf(r, &at, &leaves[k]);
}

static bool gradient_at(GcPoint *p, const dp_value *x, Row *out) {
  GcFunction *g = p->g;
  int n, by = wrt_leaves(g);
  dp_value *results = gc_room(p, g->vjp, &n);
  if (!gc_call(p, g->vjp, x, g->n_leaves, p->weights, g->n_out, results)) return false;
  row_of_results(out, results + n - by, by);
  gc_let_go(p, results, n);
  return true;
}

// x + h d. What the directions of narrow numbers lose to rounding is small beside their tolerance.
static bool gradient_moved(GcPoint *p, double h, Row *out) {
  dp_value *x = ARENA_ARRAY(p->g->arena, dp_value, p->g->n_leaves + 1);
  for (int k = 0; k < p->g->n_leaves; k++) {
    x[k] = p->x[k];
    if (!gc_holds_floats(&x[k])) continue;
    x[k] = gc_like(p, &p->x[k]);
    for (int64_t i = 0, n = gc_count(&x[k]); i < n; i++)
      gc_set(&x[k], i, gc_get(&p->x[k], i) + h * gc_get(&p->direction[k], i));
  }
  return gradient_at(p, x, out);
}

// (G(h) - G(-h)) / 2h for halved steps, extrapolated to none.
static bool gradient_slope(GcPoint *p, double h, Row *slope) {
  Row table[EXTRAPOLATED], up = row_new(p), down = row_new(p);
  for (int k = 0; k < EXTRAPOLATED; k++, h /= 2.0) {
    table[k] = row_new(p);
    if (!gradient_moved(p, h, &up) || !gradient_moved(p, -h, &down)) return false;
    for (int64_t i = 0; i < up.n; i++) table[k].at[i] = (up.at[i] - down.at[i]) / (2.0 * h);
  }
  for (int64_t i = 0; i < slope->n; i++) {
    double first = (4.0 * table[1].at[i] - table[0].at[i]) / 3.0;
    double second = (4.0 * table[2].at[i] - table[1].at[i]) / 3.0;
    slope->at[i] = (16.0 * second - first) / 15.0;
  }
  return true;
}

static double largest(const Row *r, double from) {
  for (int64_t i = 0; i < r->n; i++) from = fmax(from, fabs(r->at[i]));
  return from;
}

// Does the gradient's slope from the left stay away from that from the right?
static bool kink_near(GcPoint *p, int64_t i, double scale, double *left, double *right) {
  Row up = row_new(p), here = row_new(p), down = row_new(p);
  double h = p->g->narrow ? 1e-2 : 1e-4;
  if (!gradient_moved(p, h, &up) || !gradient_moved(p, 0.0, &here) || !gradient_moved(p, -h, &down))
    return false;
  *left = (here.at[i] - down.at[i]) / h + 0.0;
  *right = (up.at[i] - here.at[i]) / h + 0.0;
  return fabs(*left - *right) > 0.02 * scale;
}

static const char *name_of(GcPoint *p, int64_t at, double *value) {
  for (int k = 0; k < p->g->n_leaves; k++) {
    if (!gc_holds_floats(&p->x[k])) continue;
    int64_t n = gc_count(&p->x[k]);
    if (at < n) {
      *value = gc_get(&p->x[k], at);
      return gc_element_name(p, k, at);
    }
    at -= n;
  }
  return "";
}

static void tell(GcPoint *p, int64_t i, double have, double want, double scale) {
  GcFunction *g = p->g;
  double left = (double)NAN, right = (double)NAN;
  bool kink = kink_near(p, i, scale, &left, &right);
  double lo = fmin(left, right), hi = fmax(left, right), slack = 1e-2 * scale;
  if (kink && have >= lo - slack && have <= hi + slack) {
    g->kinks++;
    return;
  }
  GcFinding *f = gc_found(
      p, arena_printf(g->arena,
                      "second derivatives, %s over reverse, are not what differences of the gradient give",
                      g->second ? "forward" : "reverse"));
  f->argument = name_of(p, i, &f->at);
  f->forward = have;
  f->differences = want;
  f->left = left;
  f->right = right;
  f->kink = kink;
}

// A kink within reach of the first steps may be out of reach of smaller ones: each element's best agreement counts.
static void beside_differences(GcPoint *p, const Row *hd, const Row *gradient) {
  GcFunction *g = p->g;
  Row slope = row_new(p), best = row_new(p);
  double scale = largest(hd, 1e-3 * largest(gradient, DBL_MIN)),
         tol = g->narrow ? fmax(g->tol, 3e-2) : g->tol;
  double h = g->narrow ? 0.1 : 0.02;
  for (int step = 0; step < STEPS; step++, h /= 8.0) {
    if (!gradient_slope(p, h, &slope)) continue;
    for (int64_t i = 0; i < hd->n; i++)
      if (step == 0 || !(fabs(best.at[i] - hd->at[i]) <= fabs(slope.at[i] - hd->at[i])))
        best.at[i] = slope.at[i];
  }
  for (int64_t i = 0; i < hd->n; i++) {
    double off = fabs(best.at[i] - hd->at[i]) / fmax(scale, fabs(best.at[i]));
    if (off <= tol)
      g->worst_second_diff = fmax(g->worst_second_diff, off);
    else
      tell(p, i, hd->at[i], best.at[i], fmax(scale, fabs(best.at[i])));
  }
}

// H e by reverse mode over reverse mode.
static bool by_reverse(GcPoint *p, const dp_value *e, Row *out) {
  GcFunction *g = p->g;
  int n, by = wrt_leaves(g), n_more = 0;
  dp_value *more = ARENA_ARRAY(g->arena, dp_value, 2 * g->n_out + by + 1),
           *results = gc_room(p, g->twice, &n);
  for (int k = 0; k < g->n_out; k++) more[n_more++] = p->weights[k];
  for (int k = 0; k < g->n_out; k++) more[n_more++] = gc_like(p, &p->weights[k]);
  for (int k = 0; k < g->n_leaves; k++)
    if (g->leaves[k].in_wrt) more[n_more++] = e[k];
  if (!gc_call(p, g->twice, p->x, g->n_leaves, more, n_more, results)) return false;
  row_of_results(out, results + n - g->n_out - by, by);
  gc_let_go(p, results, n);
  return true;
}

static void beside_reverse(GcPoint *p, const Row *hd, const Row *gradient) {
  GcFunction *g = p->g;
  dp_value *e = ARENA_ARRAY(g->arena, dp_value, g->n_leaves + 1);
  Row he = row_new(p);
  double left = 0.0, right = 0.0, one = 0.0, other = 1e-3 * largest(gradient, DBL_MIN);
  for (int k = 0; k < g->n_leaves; k++) {
    e[k] = gc_like(p, &p->x[k]);
    gc_fill_random(p, &e[k], -1.0, 1.0);
  }
  if (!by_reverse(p, e, &he)) {
    gc_found(p, arena_printf(g->arena, "reverse mode over reverse mode fails where the gradient does not: %s",
                             g->failed));
    return;
  }
  int64_t at = 0;
  for (int k = 0; k < g->n_leaves; k++)
    for (int64_t i = 0, n = gc_count(&e[k]); gc_holds_floats(&e[k]) && i < n; i++, at++) {
      double a = hd->at[at] * gc_get(&e[k], i), b = he.at[at] * gc_get(&p->direction[k], i);
      left += a, right += b, one += fabs(a), other += fabs(b);
    }
  double off = fabs(left - right) / (one + other);
  if (off <= 10.0 * gc_exactness(g)) {
    g->worst_twice = fmax(g->worst_twice, off);
    return;
  }
  gc_found(p, arena_printf(
                  g->arena,
                  "second derivatives along two random directions: forward over reverse gives %.10g, reverse "
                  "over reverse %.10g",
                  left, right));
}

static bool by_forward(GcPoint *p, const dp_value *d, Row *out) {
  GcFunction *g = p->g;
  int n, by = wrt_leaves(g), n_more = 0;
  dp_value *more = ARENA_ARRAY(g->arena, dp_value, 2 * g->n_out + by + 1),
           *results = gc_room(p, g->second, &n);
  for (int k = 0; k < g->n_out; k++) more[n_more++] = p->weights[k];
  for (int k = 0; k < g->n_leaves; k++)
    if (g->leaves[k].in_wrt) more[n_more++] = d[k];
  for (int k = 0; k < g->n_out; k++) more[n_more++] = gc_like(p, &p->weights[k]);
  if (!gc_call(p, g->second, p->x, g->n_leaves, more, n_more, results)) return false;
  row_of_results(out, results + n - by, by);
  gc_let_go(p, results, n);
  return true;
}

void gradcheck_second(GcPoint *p, const dp_value *gradient) {
  GcFunction *g = p->g;
  Row hd = row_new(p), first = row_new(p);
  if (!(g->second ? by_forward : by_reverse)(p, p->direction, &hd)) {
    gc_found(p, arena_printf(g->arena, "%s mode over reverse mode fails where the gradient does not: %s",
                             g->second ? "forward" : "reverse", g->failed));
    return;
  }
  int64_t at = 0;
  for (int k = 0; k < g->n_leaves; k++)
    if (gc_holds_floats(&p->x[k])) add_leaf(&first, &at, &gradient[k]);
  for (int64_t i = 0; i < hd.n; i++)
    if (!isfinite(hd.at[i]))
      return; // infinite at a point where the gradient is not: a matter of the function
  if (!g->detaches) beside_differences(p, &hd, &first);
  if (g->second && g->twice) beside_reverse(p, &hd, &first);
}
