// Runtime: minimisation without data. In: a function with its gradient, a starting point, an optimizer. Out: a lower
// point, and how it was reached. What must hold: value and gradient norm belong to the parameters returned.
#include "internal.h"
#include "train.h"

#include <math.h>
#include <string.h>

typedef struct Minimize {
  dprt_ctx *ctx;
  const dprt_site *site;
  const dprt_minimize_spec *spec;
  dprt_minimize_result *out;
  LossCall call;
  double *x, *g;
  Progress progress;
} Minimize;

static int32_t objective(void *user, const double *x, double *value, double *gradient) {
  Minimize *m = user;
  m->out->calls++;
  return loss_call_gradient(&m->call, m->spec->value_and_grad, x, value, gradient);
}

static int32_t check_options(const Minimize *m) {
  const dprt_minimize_spec *s = m->spec;
  if (s->steps < 0)
    return dprt_fail(m->ctx, DPRT_ARGUMENT, m->site, "minimize: steps must be at least 0, got %lld",
                     (long long)s->steps);
  if (!(s->until >= 0.0))
    return dprt_fail(m->ctx, DPRT_ARGUMENT, m->site, "minimize: until must be at least 0, got %g", s->until);
  return dprt_optimizer_check(m->ctx, s->optimizer, s->optimizer_length);
}

// Appends the parameters of step out->steps.
static int32_t record(Minimize *m) {
  int64_t n = m->call.n, len = m->out->steps * n;
  if (!m->spec->path || n == 0) return DPRT_OK;
  double *grown = dprt_grow(m->ctx, m->out->path, sizeof(double), len, len + n);
  if (!grown) return DPRT_MEMORY;
  m->out->path = grown;
  memcpy(grown + len, m->x, (size_t)n * sizeof(double));
  return DPRT_OK;
}

// Value and gradient where we stand; *finite says whether the result was updated by them.
static int32_t look(Minimize *m, bool *finite) {
  double value;
  int32_t status = objective(m, m->x, &value, m->g);
  if (status) return status;
  double norm = dprt_norm2(m->g, m->call.n);
  *finite = isfinite(value) && isfinite(norm);
  if (*finite) {
    m->out->value = value;
    m->out->gradient_norm = norm;
    m->out->converged = norm <= m->spec->until;
  }
  return DPRT_OK;
}

static int32_t fail_nan(const Minimize *m, int64_t step) {
  if (step == 0)
    return dprt_fail(m->ctx, DPRT_NAN, m->site,
                     "minimize: the value or gradient is not finite at the starting point");
  return dprt_fail(
      m->ctx, DPRT_NAN, m->site,
      "minimize: the value or gradient is not finite after step %lld; the parameters before it are kept; a "
      "smaller learning rate or clip: may help",
      (long long)step);
}

static bool is_done(const Minimize *m) { return m->out->converged || m->out->steps >= m->spec->steps; }

static void show(Minimize *m) {
  progress_done(&m->progress, m->out->steps, m->out->value, m->out->gradient_norm);
}

static int32_t run_rule(Minimize *m) {
  int64_t n = m->call.n;
  size_t bytes = (size_t)n * sizeof(double);
  double *before = dprt_alloc(m->ctx, sizeof(double), n, 1, 1, 1);
  double *o = dprt_alloc(m->ctx, sizeof(double), dprt_optimizer_size(m->spec->optimizer, n), 1, 1, 1);
  if (!before || !o) return DPRT_MEMORY;
  dprt_optimizer_init(o, m->spec->optimizer, n);
  while (!is_done(m)) {
    memcpy(before, m->x, bytes);
    o[DPRT_OPT_EPOCH] = o[DPRT_OPT_T];
    dprt_at(m->ctx, m->site);
    int32_t status = dprt_optimizer_step(m->ctx, o, m->x, m->g, n);
    bool finite = true;
    if (!status) status = look(m, &finite);
    if (status || !finite) {
      memcpy(m->x, before, bytes);
      return status ? status : fail_nan(m, m->out->steps + 1);
    }
    m->out->steps++;
    show(m);
    status = record(m);
    if (status) return status;
  }
  return DPRT_OK;
}

static int32_t run_lbfgs(Minimize *m) {
  Lbfgs b;
  double value = m->out->value;
  int32_t status = lbfgs_init(&b, m->ctx, m->call.n, (int64_t)m->spec->optimizer[DPRT_OPT_EXTRA]);
  while (!status && !is_done(m)) {
    bool moved;
    status = lbfgs_step(&b, objective, m, m->x, &value, m->g, &moved);
    if (status || !moved) {
      m->out->stalled = !status;
      return status;
    }
    m->out->value = value;
    m->out->gradient_norm = dprt_norm2(m->g, m->call.n);
    m->out->converged = m->out->gradient_norm <= m->spec->until;
    m->out->steps++;
    show(m);
    status = record(m);
  }
  return status;
}

static int32_t run(Minimize *m) {
  const dprt_minimize_spec *s = m->spec;
  bool finite;
  int32_t status = check_options(m);
  if (!status)
    status =
        loss_call_init(&m->call, m->ctx, m->site, "minimize", &s->params, s->n_data, s->data_leaves, s->data);
  if (!status && !(m->g = dprt_alloc(m->ctx, sizeof(double), m->call.n, 1, 1, 1))) status = DPRT_MEMORY;
  if (!status) status = look(m, &finite);
  if (!status && !finite) status = fail_nan(m, 0);
  if (!status) status = record(m);
  if (status) return status;
  progress_begin(&m->progress, m->ctx, s->progress, "step", "value", "gradient", s->steps);
  bool lbfgs = (dprt_optimizer_kind)s->optimizer[DPRT_OPT_KIND] == DPRT_LBFGS;
  status = lbfgs ? run_lbfgs(m) : run_rule(m);
  progress_end(&m->progress);
  return status;
}

int32_t dprt_minimize(dprt_ctx *ctx, const dprt_site *site, const dprt_minimize_spec *spec, double *params,
                      dprt_minimize_result *out) {
  *out = (dprt_minimize_result){.value = NAN, .gradient_norm = NAN};
  Minimize m = {.ctx = ctx, .site = site, .spec = spec, .out = out, .x = params};
  const dprt_site *site_before = dprt_site_now(ctx);
  dprt_at(ctx, site);
  int32_t status = DPRT_OK;
  if (spec->path && !(out->path = dprt_alloc(ctx, sizeof(double), 16, 1, 1, 1))) status = DPRT_MEMORY;
  uint64_t mark = dprt_mark(ctx); // the path stands below it and is the caller's
  if (!status) status = run(&m);
  dprt_release(ctx, mark);
  dprt_at(ctx, site_before);
  return status;
}
