// Runtime: L-BFGS. In: a point with its value and gradient. Out: a lower one. The direction comes from the two-loop
// recursion over the last steps (Nocedal and Wright 2006, algorithm 7.4), its length from a line search for the strong
// Wolfe conditions (3.5 and 3.6). Where values differ by rounding alone, slopes decide (Hager and Zhang 2005).
#include "train.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double decrease = 1e-4, curvature = 0.9;
static const double longest_step = 1e10;
enum { BRACKET_STEPS = 40, ZOOM_STEPS = 60, LANES = 8 };

static double dot(const double *a, const double *b, int64_t n) {
  double lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lane[l] += a[i + l] * b[i + l];
  for (int l = 0; i < n; i++, l++) lane[l] += a[i] * b[i];
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

static void add_times(double *restrict to, double factor, const double *restrict v, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] += factor * v[i];
}

int32_t lbfgs_init(Lbfgs *b, dprt_ctx *ctx, int64_t n, int64_t history) {
  *b = (Lbfgs){.n = n, .history = history};
  b->s = dprt_alloc(ctx, sizeof(double), history, n, 1, 1);
  b->y = dprt_alloc(ctx, sizeof(double), history, n, 1, 1);
  b->rho = dprt_alloc(ctx, sizeof(double), history, 1, 1, 1);
  b->alpha = dprt_alloc(ctx, sizeof(double), history, 1, 1, 1);
  b->d = dprt_alloc(ctx, sizeof(double), n, 1, 1, 1);
  b->trial = dprt_alloc(ctx, sizeof(double), n, 1, 1, 1);
  b->trial_gradient = dprt_alloc(ctx, sizeof(double), n, 1, 1, 1);
  bool ok = b->s && b->y && b->rho && b->alpha && b->d && b->trial && b->trial_gradient;
  return ok ? DPRT_OK : DPRT_MEMORY;
}

// ---- the direction -------------------------------------------------------------------------------------------------

// d = -H g, H the inverse Hessian that the pairs kept imply.
static void find_direction(Lbfgs *b, const double *g) {
  int64_t n = b->n;
  double *d = b->d;
  for (int64_t i = 0; i < n; i++) d[i] = -g[i];
  for (int64_t k = 0; k < b->used; k++) { // newest first
    int64_t at = (b->newest - k + b->history) % b->history;
    b->alpha[at] = b->rho[at] * dot(b->s + at * n, d, n);
    add_times(d, -b->alpha[at], b->y + at * n, n);
  }
  if (b->used > 0) {
    const double *y = b->y + b->newest * n;
    double scale = 1.0 / (b->rho[b->newest] * dot(y, y, n));
    for (int64_t i = 0; i < n; i++) d[i] *= scale;
  }
  for (int64_t k = b->used - 1; k >= 0; k--) {
    int64_t at = (b->newest - k + b->history) % b->history;
    double beta = b->rho[at] * dot(b->y + at * n, d, n);
    add_times(d, b->alpha[at] - beta, b->s + at * n, n);
  }
}

// Remembers the step from x to the trial point. A pair without clearly positive curvature would spoil H.
static void remember(Lbfgs *b, const double *x, const double *g) {
  int64_t n = b->n, at = b->used == 0 ? 0 : (b->newest + 1) % b->history;
  double *s = b->s + at * n, *y = b->y + at * n;
  for (int64_t i = 0; i < n; i++) {
    s[i] = b->trial[i] - x[i];
    y[i] = b->trial_gradient[i] - g[i];
  }
  double sy = dot(s, y, n);
  if (!(sy > 1e-14 * sqrt(dot(s, s, n)) * sqrt(dot(y, y, n)))) {
    b->used -= b->used == b->history; // the oldest pair was overwritten
    return;
  }
  b->rho[at] = 1.0 / sy;
  b->newest = at;
  b->used += b->used < b->history;
}

// ---- the step length -------------------------------------------------------------------------------------------------

// A point of the line: step length, value, slope.
typedef struct Point {
  double at, value, slope;
} Point;

typedef struct Line {
  Lbfgs *b;
  Objective *f;
  void *user;
  const double *x;
  Point start;
} Line;

static int32_t evaluate(Line *l, double at, Point *p) {
  Lbfgs *b = l->b;
  for (int64_t i = 0; i < b->n; i++) b->trial[i] = l->x[i] + at * b->d[i];
  p->at = at;
  int32_t status = l->f(l->user, b->trial, &p->value, b->trial_gradient);
  if (status) return status;
  p->slope = dot(b->trial_gradient, b->d, b->n);
  if (!isfinite(p->value) || !isfinite(p->slope)) {
    p->value = INFINITY; // beyond the function's domain: too far
    p->slope = NAN;
  }
  return DPRT_OK;
}

static bool decreases(const Line *l, const Point *p) {
  if (p->value <= l->start.value + decrease * p->at * l->start.slope) return true;
  double noise = 4.0 * DBL_EPSILON * fabs(l->start.value);
  return p->value <= l->start.value + noise && p->slope <= (2.0 * decrease - 1.0) * l->start.slope;
}

static bool is_flat(const Line *l, const Point *p) { return fabs(p->slope) <= -curvature * l->start.slope; }

// Where the cubic through two points with their slopes has its minimum, kept away from both ends.
static double interpolate(const Point *lo, const Point *hi) {
  double width = hi->at - lo->at, middle = lo->at + 0.5 * width;
  double d1 = lo->slope + hi->slope - 3.0 * (lo->value - hi->value) / (lo->at - hi->at);
  double root = d1 * d1 - lo->slope * hi->slope;
  if (!(root >= 0.0)) return middle;
  double d2 = copysign(sqrt(root), width);
  double share = 1.0 - (hi->slope + d2 - d1) / (hi->slope - lo->slope + 2.0 * d2);
  return share >= 0.1 && share <= 0.9 ? lo->at + share * width : middle;
}

// Narrows lo..hi, where lo is the lowest point with sufficient decrease so far. Ends with the trial point accepted.
static int32_t zoom(Line *l, Point lo, Point hi, Point *accepted, bool *found) {
  for (int i = 0; i < ZOOM_STEPS && fabs(hi.at - lo.at) > DBL_EPSILON * fabs(lo.at); i++) {
    Point p;
    int32_t status = evaluate(l, interpolate(&lo, &hi), &p);
    if (status) return status;
    if (!decreases(l, &p) || (p.value >= lo.value && p.value > l->start.value)) {
      hi = p;
      continue;
    }
    if (is_flat(l, &p)) {
      *accepted = p;
      *found = true;
      return DPRT_OK;
    }
    if (p.slope * (hi.at - lo.at) >= 0.0) hi = lo;
    lo = p;
  }
  if (lo.at == 0.0) return DPRT_OK;
  *found = true; // lower, if not as flat as wished
  return evaluate(l, lo.at, accepted);
}

static int32_t search(Line *l, double at, Point *accepted, bool *found) {
  Point last = l->start, p;
  for (int i = 0; i < BRACKET_STEPS && at < longest_step; i++) {
    int32_t status = evaluate(l, at, &p);
    if (status) return status;
    if (!decreases(l, &p) || (i > 0 && p.value >= last.value)) return zoom(l, last, p, accepted, found);
    if (is_flat(l, &p)) {
      *accepted = p;
      *found = true;
      return DPRT_OK;
    }
    if (p.slope >= 0.0) return zoom(l, p, last, accepted, found);
    last = p;
    at *= 2.0;
  }
  *found = last.at > 0.0; // falls for ever: take what there is
  return *found ? evaluate(l, last.at, accepted) : DPRT_OK;
}

int32_t lbfgs_step(Lbfgs *b, Objective *f, void *user, double *x, double *value, double *gradient,
                   bool *moved) {
  size_t bytes = (size_t)b->n * sizeof(double);
  *moved = false;
  for (;;) {
    find_direction(b, gradient);
    double slope = dot(gradient, b->d, b->n);
    bool fresh = b->used == 0;
    if (slope < 0.0) {
      Line line = {b, f, user, x, {0.0, *value, slope}};
      double first = fresh ? fmin(1.0, 1.0 / dprt_norm2(gradient, b->n)) : 1.0;
      Point p;
      int32_t status = search(&line, first, &p, moved);
      if (status) return status;
      if (*moved) {
        remember(b, x, gradient);
        memcpy(x, b->trial, bytes);
        memcpy(gradient, b->trial_gradient, bytes);
        *value = p.value;
        return DPRT_OK;
      }
    }
    if (fresh) return DPRT_OK;
    b->used = 0; // what was remembered misleads here: once more along the gradient
  }
}
