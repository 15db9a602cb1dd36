// Optimizers and schedules. Every rule runs against the same equations written again below in extended precision: one
// step from the same state must agree to 4 units in the last place, a thousand steps to 1e-12.
#include "dp/dprt_train.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef long double Real;

enum { N = 53, STATES = 3, STEPS = 1000 };

static double random_number(uint64_t *seed) { // in -1..1
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return (double)(int64_t)*seed * 0x1p-63;
}

// ---- the reference -------------------------------------------------------------------------------------------------

typedef struct Reference {
  Real w[N], s[STATES][N], product;
} Reference;

static Real sign(Real x) { return (x > 0) - (x < 0); }

// One parameter of the family of adam. M and V are the corrected moments.
static void reference_adam(const double *h, Real t, Real lr, Real *w, Real g, Real *m, Real *v, Real *x,
                           Real product, Real mu, Real mu_next) {
  Real b1 = h[DPRT_OPT_BETA1], b2 = h[DPRT_OPT_BETA2], eps = h[DPRT_OPT_EPS], decay = h[DPRT_OPT_DECAY];
  int kind = (int)h[DPRT_OPT_KIND], style = (int)h[DPRT_OPT_STYLE];
  *m = b1 * *m + (1 - b1) * g;
  *v = b2 * *v + (1 - b2) * g * g;
  Real c1 = 1 - powl(b1, t), c2 = 1 - powl(b2, t);
  Real M = *m / c1, V = *v / c2, old = *w;
  if (kind == DPRT_AMSGRAD && style == DPRT_STYLE_OPTAX) {
    *x = fmaxl(*x, V);
    *w -= lr * M / (sqrtl(*x) + eps);
  } else if (kind == DPRT_AMSGRAD) {
    *x = fmaxl(*x, *v);
    *w -= style == DPRT_STYLE_KERAS ? lr * sqrtl(c2) / c1 * *m / (sqrtl(*x) + eps)
                                    : lr * M / (sqrtl(*x / c2) + eps);
  } else if (kind == DPRT_NADAM && style == DPRT_STYLE_OPTAX) {
    *w -= lr * (b1 * *m / (1 - powl(b1, t + 1)) + (1 - b1) * g / c1) / (sqrtl(V) + eps);
  } else if (kind == DPRT_NADAM) {
    *w -= lr * (mu_next * *m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)) / (sqrtl(V) + eps);
  } else if (kind == DPRT_RADAM) {
    Real limit = 2 / (1 - b2) - 1, r = limit - 2 * t * powl(b2, t) / c2;
    Real rect = r > 5 ? sqrtl((r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r)) : 0;
    if (r <= 5)
      *w -= lr * M;
    else if (style == DPRT_STYLE_PYTORCH)
      *w -= lr * M * rect * sqrtl(c2) / (sqrtl(*v) + eps);
    else
      *w -= lr * rect * M / (sqrtl(V) + eps);
  } else {
    *w -=
        style == DPRT_STYLE_KERAS ? lr * sqrtl(c2) / c1 * *m / (sqrtl(*v) + eps) : lr * M / (sqrtl(V) + eps);
    if (kind == DPRT_ADAMW) *w -= lr * decay * (style == DPRT_STYLE_DP ? *w : old);
  }
}

static void reference_step(Reference *r, const double *h, Real t, const double *gradient) {
  Real lr = h[DPRT_OPT_LR], b1 = h[DPRT_OPT_BETA1], b2 = h[DPRT_OPT_BETA2], eps = h[DPRT_OPT_EPS];
  bool keras = h[DPRT_OPT_STYLE] == DPRT_STYLE_KERAS, pytorch = h[DPRT_OPT_STYLE] == DPRT_STYLE_PYTORCH;
  bool optax = h[DPRT_OPT_STYLE] == DPRT_STYLE_OPTAX;
  Real psi = h[DPRT_OPT_EXTRA];
  Real mu = b1 * (1 - 0.5L * powl((Real)0.96, t * psi)),
       mu_next = b1 * (1 - 0.5L * powl((Real)0.96, (t + 1) * psi));
  r->product *= mu;
  for (int i = 0; i < N; i++) {
    Real *w = &r->w[i], *m = &r->s[0][i], *v = &r->s[1][i], g = gradient[i];
    switch ((dprt_optimizer_kind)h[DPRT_OPT_KIND]) {
    case DPRT_GD:
    case DPRT_SGD: *w -= lr * g; break;
    case DPRT_MOMENTUM:
      *m = keras ? b1 * *m - lr * g : b1 * *m - g;
      *w += keras ? *m : lr * *m;
      break;
    case DPRT_NESTEROV:
      *m = b1 * *m + (keras ? lr : 1) * g; // keras's velocity is the negative of this
      *w -= keras ? lr * g + b1 * *m : lr * (g + b1 * *m);
      break;
    case DPRT_ADAGRAD:
      *m += g * g;
      *w -= keras || optax ? lr * g / sqrtl(*m + eps) : lr * g / (sqrtl(*m) + eps);
      break;
    case DPRT_ADADELTA: {
      *m = b2 * *m + (1 - b2) * g * g;
      Real d = sqrtl(*v + eps) / sqrtl(*m + eps) * g;
      *v = b2 * *v + (1 - b2) * d * d;
      *w -= lr * d;
      break;
    }
    case DPRT_RMSPROP:
      *m = b2 * *m + (1 - b2) * g * g;
      *w -= pytorch ? lr * g / (sqrtl(*m) + eps) : lr * g / sqrtl(*m + eps);
      break;
    case DPRT_ADAM:
    case DPRT_ADAMW:
    case DPRT_AMSGRAD:
    case DPRT_NADAM:
    case DPRT_RADAM: reference_adam(h, t, lr, w, g, m, v, &r->s[2][i], r->product, mu, mu_next); break;
    case DPRT_LION:
      *w -= lr * (sign(b1 * *m + (1 - b1) * g) + h[DPRT_OPT_DECAY] * *w);
      *m = b2 * *m + (1 - b2) * g;
      break;
    case DPRT_LBFGS:
    case DPRT_OPTIMIZER_KINDS: break;
    }
  }
}

// ---- rules ---------------------------------------------------------------------------------------------------------

static double largest(double a, double b) { return fabs(a) > fabs(b) ? fabs(a) : fabs(b); }

// In units of the last place of the largest number that went into the sum.
static void expect_close(const double *h, int step, const char *what, int i, double got, Real want,
                         double scale) {
  scale = largest(scale, (double)want);
  double ulp = nextafter(scale, INFINITY) - scale;
  double error = (double)fabsl(got - want) / ulp;
  cr_assert(error <= 4.0, "%s, style %g, step %d: %s[%d] = %.17g, should be %.17Lg (%.2f ulp)",
            dprt_optimizer_name(h), h[DPRT_OPT_STYLE], step, what, i, got, want, error);
}

static void gradient_at(double *g, uint64_t *seed, int step) {
  for (int i = 0; i < N; i++) g[i] = random_number(seed) * (i % 5 == 0 ? 100.0 : 1.0);
  g[step % N] = 0.0;
}

static void start(double *w, uint64_t *seed) {
  for (int i = 0; i < N; i++) w[i] = copysign(1.0 + fabs(random_number(seed)), random_number(seed));
}

static void check_single_steps(dprt_ctx *ctx, const double *h) {
  double o[DPRT_OPTIMIZER_HEADER + STATES * N], w[N], g[N];
  uint64_t seed = 88172645463325252u;
  int states = (int)((dprt_optimizer_size(h, N) - DPRT_OPTIMIZER_HEADER) / N);
  dprt_optimizer_init(o, h, N);
  start(w, &seed);
  for (int step = 1; step <= 200; step++) {
    Reference r = {.product = o[DPRT_OPT_PRODUCT]};
    for (int i = 0; i < N; i++) {
      r.w[i] = w[i];
      for (int s = 0; s < states; s++) r.s[s][i] = o[DPRT_OPTIMIZER_HEADER + s * N + i];
    }
    Reference before = r;
    gradient_at(g, &seed, step);
    reference_step(&r, h, step, g);
    cr_assert_eq(dprt_optimizer_step(ctx, o, w, g, N), DPRT_OK);
    cr_assert_eq(o[DPRT_OPT_T], step);
    for (int i = 0; i < N; i++) {
      double moved = (double)fabsl(r.w[i] - before.w[i]);
      expect_close(h, step, "w", i, w[i], r.w[i], largest((double)before.w[i], moved));
      for (int s = 0; s < states; s++)
        expect_close(h, step, "state", i, o[DPRT_OPTIMIZER_HEADER + s * N + i], r.s[s][i],
                     (double)before.s[s][i]);
    }
  }
}

static void check_long_run(dprt_ctx *ctx, const double *h) {
  double o[DPRT_OPTIMIZER_HEADER + STATES * N], w[N], first[N], g[N];
  uint64_t seed = 2463534242u;
  Reference r = {.product = 1};
  dprt_optimizer_init(o, h, N);
  start(w, &seed);
  memcpy(first, w, sizeof w);
  for (int i = 0; i < N; i++) {
    r.w[i] = w[i];
    r.s[0][i] = h[DPRT_OPT_KIND] == DPRT_ADAGRAD ? h[DPRT_OPT_EXTRA] : 0.0;
  }
  for (int step = 1; step <= STEPS; step++) {
    gradient_at(g, &seed, step);
    reference_step(&r, h, step, g);
    cr_assert_eq(dprt_optimizer_step(ctx, o, w, g, N), DPRT_OK);
  }
  for (int i = 0; i < N; i++) {
    double error = (double)fabsl(w[i] - r.w[i]) / largest(first[i], (double)r.w[i]);
    cr_expect(error <= 1e-12, "%s, style %g: w[%d] is off by %.2g after %d steps", dprt_optimizer_name(h),
              h[DPRT_OPT_STYLE], i, error, STEPS);
  }
}

static void for_all_rules(void (*check)(dprt_ctx *, const double *)) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  for (int kind = 0; kind < DPRT_LBFGS; kind++)
    for (int style = 0; style < 4; style++) {
      double h[DPRT_OPTIMIZER_HEADER];
      dprt_optimizer_defaults((dprt_optimizer_kind)kind, h);
      h[DPRT_OPT_STYLE] = style;
      if (dprt_optimizer_check(ctx, h, DPRT_OPTIMIZER_HEADER)) {
        dprt_clear_error(ctx);
        continue;
      }
      check(ctx, h);
      h[DPRT_OPT_LR] = 0.0123;
      if (kind == DPRT_ADAGRAD || kind == DPRT_NADAM) h[DPRT_OPT_EXTRA] = kind == DPRT_NADAM ? 1.0 : 0.1;
      if (kind == DPRT_LION || kind == DPRT_ADAMW) h[DPRT_OPT_DECAY] = 0.03;
      if (h[DPRT_OPT_BETA2] > 0.0) h[DPRT_OPT_BETA2] = 0.95;
      check(ctx, h);
    }
  dprt_ctx_free(ctx);
}

Test(optimizer, single_steps_agree_to_four_ulp) { for_all_rules(check_single_steps); }

Test(optimizer, a_thousand_steps_agree_to_1e_12) { for_all_rules(check_long_run); }

Test(optimizer, zero_momentum_is_gradient_descent) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  const dprt_optimizer_kind kinds[] = {DPRT_SGD, DPRT_MOMENTUM, DPRT_NESTEROV};
  double w[3][4];
  for (int k = 0; k < 3; k++) {
    double h[DPRT_OPTIMIZER_HEADER + 4], g[4] = {1, -2, 0.5, 1e300};
    dprt_optimizer_defaults(kinds[k], h);
    h[DPRT_OPT_BETA1] = 0.0;
    dprt_optimizer_init(h, h, 4);
    memcpy(w[k], (double[]){1, 2, 3, 4}, sizeof w[k]);
    cr_assert_eq(dprt_optimizer_step(ctx, h, w[k], g, 4), DPRT_OK);
    cr_expect_arr_eq(w[k], w[0], sizeof w[0]);
  }
  dprt_ctx_free(ctx);
}

// ---- norms and clipping --------------------------------------------------------------------------------------------

Test(optimizer, norms_neither_overflow_nor_underflow) {
  double v[19];
  for (int i = 0; i < 19; i++) v[i] = 3.0;
  cr_expect_float_eq(dprt_norm2(v, 19), 3.0 * sqrt(19.0), 1e-14);
  const double scales[] = {1e200, 1e-200, 5e-324, 1.7e308};
  for (int s = 0; s < 4; s++) {
    double big[2] = {scales[s], 0.0};
    cr_expect_eq(dprt_norm2(big, 2), scales[s], "norm of %g", scales[s]);
    double pair[2] = {3e200, -4e200};
    cr_expect_float_eq(dprt_norm2(pair, 2) / 5e200, 1.0, 1e-15);
  }
  cr_expect_eq(dprt_norm2(v, 0), 0.0);
  v[11] = NAN;
  cr_expect(isnan(dprt_norm2(v, 19)));
  cr_expect_not(dprt_all_finite(v, 19));
  cr_expect(dprt_all_finite(v, 11));
  v[11] = -INFINITY;
  cr_expect_eq(dprt_norm2(v, 19), INFINITY);
  cr_expect_not(dprt_all_finite(v, 19));
  v[11] = DBL_MAX;
  cr_expect(dprt_all_finite(v, 19));
}

Test(optimizer, clipping_scales_by_the_norm) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  double h[DPRT_OPTIMIZER_HEADER], w[2] = {0, 0}, g[2] = {30, 40}, small[2] = {0.3, 0.4};
  dprt_optimizer_defaults(DPRT_SGD, h);
  h[DPRT_OPT_LR] = 1.0;
  h[DPRT_OPT_CLIP] = 5.0;
  cr_assert_eq(dprt_optimizer_step(ctx, h, w, g, 2), DPRT_OK);
  cr_expect_float_eq(w[0], -3.0, 1e-15);
  cr_expect_float_eq(w[1], -4.0, 1e-15);
  cr_assert_eq(dprt_optimizer_step(ctx, h, w, small, 2), DPRT_OK);
  cr_expect_float_eq(w[0], -3.3, 1e-15);
  dprt_ctx_free(ctx);
}

// ---- schedules -----------------------------------------------------------------------------------------------------

static void call(dprt_ctx *ctx, int32_t (*f)(dprt_ctx *, const dprt_slot *, dprt_slot *), const dprt_slot *in,
                 dprt_slot *out) {
  int32_t status = f(ctx, in, out);
  cr_assert_eq(status, DPRT_OK, "%s", dprt_error_text(ctx));
}

#define F(x) {.f64 = (x)}
#define I(x) {.i64 = (x)}
#define S(x) {.str = (x)}
#define NONE {.data = NULL}, {.i64 = 0} // an empty array

Test(schedule, factors) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  dprt_slot out[2];
  call(ctx, dprt_constant_schedule, NULL, out);
  cr_expect_eq(dprt_schedule_factor(out[0].data, 1000), 1.0);

  call(ctx, dprt_step_schedule, (dprt_slot[]){I(10), F(0.5), S("step")}, out);
  const double *s = out[0].data;
  cr_expect_eq(dprt_schedule_factor(s, 0), 1.0);
  cr_expect_eq(dprt_schedule_factor(s, 9), 1.0);
  cr_expect_eq(dprt_schedule_factor(s, 10), 0.5);
  cr_expect_eq(dprt_schedule_factor(s, 29), 0.25);

  call(ctx, dprt_exponential_schedule, (dprt_slot[]){F(0.9), S("step")}, out);
  cr_expect_float_eq(dprt_schedule_factor(out[0].data, 7), 0.4782969, 1e-15);

  call(ctx, dprt_cosine_schedule, (dprt_slot[]){I(100), F(0.1), S("epoch")}, out);
  s = out[0].data;
  cr_expect_eq(s[DPRT_SCHED_BY_EPOCH], 1.0);
  cr_expect_eq(dprt_schedule_factor(s, 0), 1.0);
  cr_expect_float_eq(dprt_schedule_factor(s, 50), 0.55, 1e-15);
  cr_expect_float_eq(dprt_schedule_factor(s, 25), 0.1 + 0.9 * (1.0 + sqrt(0.5)) / 2.0, 1e-15);
  cr_expect_eq(dprt_schedule_factor(s, 100), 0.1);
  cr_expect_eq(dprt_schedule_factor(s, 1000), 0.1);

  call(ctx, dprt_linear_schedule, (dprt_slot[]){I(4), F(0.0), F(2.0), S("step")}, out);
  cr_expect_eq(dprt_schedule_factor(out[0].data, 0), 0.0);
  cr_expect_eq(dprt_schedule_factor(out[0].data, 1), 0.5);
  cr_expect_eq(dprt_schedule_factor(out[0].data, 9), 2.0);
  dprt_ctx_free(ctx);
}

static void expect_refused(dprt_ctx *ctx, int32_t status, const char *part) {
  cr_expect_eq(status, DPRT_ARGUMENT);
  cr_expect(strstr(dprt_get_error(ctx)->message, part), "\"%s\" lacks \"%s\"", dprt_get_error(ctx)->message,
            part);
  dprt_clear_error(ctx);
}

Test(schedule, refuses_what_makes_no_sense) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  dprt_slot out[2];
  expect_refused(ctx, dprt_step_schedule(ctx, (dprt_slot[]){I(0), F(0.5), S("step")}, out),
                 "every must be positive");
  expect_refused(ctx, dprt_step_schedule(ctx, (dprt_slot[]){I(1), F(0.5), S("year")}, out), "got \"year\"");
  expect_refused(ctx, dprt_exponential_schedule(ctx, (dprt_slot[]){F(NAN), S("step")}, out), "rate");
  expect_refused(ctx, dprt_cosine_schedule(ctx, (dprt_slot[]){I(5), F(1.5), S("step")}, out), "floor");
  expect_refused(ctx, dprt_linear_schedule(ctx, (dprt_slot[]){I(5), F(-1), F(1), S("step")}, out), "from");
  dprt_ctx_free(ctx);
}

Test(schedule, of_steps_drives_the_learning_rate) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  double h[DPRT_OPTIMIZER_HEADER], w = 0.0, g = 1.0;
  dprt_slot schedule[2], o[2];
  call(ctx, dprt_step_schedule, (dprt_slot[]){I(2), F(0.5), S("step")}, schedule);
  call(ctx, dprt_sgd, (dprt_slot[]){F(1.0), F(0.0), schedule[0], schedule[1]}, o);
  memcpy(h, o[0].data, sizeof h);
  for (int i = 0; i < 5; i++) cr_assert_eq(dprt_optimizer_step(ctx, h, &w, &g, 1), DPRT_OK);
  cr_expect_eq(w, -(1 + 1 + 0.5 + 0.5 + 0.25));
  dprt_ctx_free(ctx);
}

Test(schedule, of_epochs_needs_epochs) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  double w = 0.0, g = 1.0;
  dprt_slot schedule[2], o[2], next[2];
  call(ctx, dprt_exponential_schedule, (dprt_slot[]){F(0.5), S("epoch")}, schedule);
  call(ctx, dprt_gd, (dprt_slot[]){F(1.0), F(0.0), schedule[0], schedule[1]}, o);
  expect_refused(ctx, dprt_optimizer_step(ctx, o[0].data, &w, &g, 1), "next_epoch");
  cr_expect_eq(w, 0.0);
  for (int epoch = 0; epoch < 2; epoch++) {
    call(ctx, dprt_optimizer_next_epoch, o, next);
    memcpy(o, next, sizeof o);
    for (int i = 0; i < 3; i++) cr_assert_eq(dprt_optimizer_step(ctx, o[0].data, &w, &g, 1), DPRT_OK);
  }
  cr_expect_eq(w, -4.5);
  dprt_ctx_free(ctx);
}

Test(schedule, of_momentum) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  dprt_slot schedule[2], h[2], o[2];
  call(ctx, dprt_linear_schedule, (dprt_slot[]){I(4), F(0.0), F(1.0), S("step")}, schedule);
  call(ctx, dprt_momentum, (dprt_slot[]){F(1.0), F(0.8), F(0.0), NONE, schedule[0], schedule[1], S("dp")}, h);
  call(ctx, dprt_optimizer_like, (dprt_slot[]){h[0], h[1], I(1)}, o);
  double w = 0.0, m = 0.0, v = 0.0, g = 1.0;
  for (int t = 0; t < 6; t++) {
    cr_assert_eq(dprt_optimizer_step(ctx, o[0].data, &w, &g, 1), DPRT_OK);
    m = 0.8 * (t < 4 ? t / 4.0 : 1.0) * m - 1.0;
    v += m;
    cr_expect_float_eq(w, v, 1e-14);
  }
  call(ctx, dprt_linear_schedule, (dprt_slot[]){I(2), F(1.0), F(2.0), S("step")}, schedule);
  call(ctx, dprt_nesterov, (dprt_slot[]){F(1.0), F(0.8), F(0.0), NONE, schedule[0], schedule[1], S("dp")}, h);
  call(ctx, dprt_optimizer_like, (dprt_slot[]){h[0], h[1], I(1)}, o);
  cr_assert_eq(dprt_optimizer_step(ctx, o[0].data, &w, &g, 1), DPRT_OK);
  w = 7.0;
  expect_refused(ctx, dprt_optimizer_step(ctx, o[0].data, &w, &g, 1), "beta to 1.2 at step 2");
  cr_expect_eq(w, 7.0);
  dprt_ctx_free(ctx);
}

// ---- constructors --------------------------------------------------------------------------------------------------

#define TAIL F(0.0), NONE, S("dp") // clip, schedule, style

// With the defaults given on dp's side each constructor makes what dprt_optimizer_defaults makes.
Test(constructors, agree_with_the_defaults) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  const struct {
    dprt_optimizer_kind kind;
    int32_t (*make)(dprt_ctx *, const dprt_slot *, dprt_slot *);
    dprt_slot in[10];
  } cases[] = {
      {DPRT_GD, dprt_gd, {F(1e-2), F(0.0), NONE}},
      {DPRT_SGD, dprt_sgd, {F(1e-2), F(0.0), NONE}},
      {DPRT_MOMENTUM, dprt_momentum, {F(1e-2), F(0.9), F(0.0), NONE, NONE, S("dp")}},
      {DPRT_NESTEROV, dprt_nesterov, {F(1e-2), F(0.9), F(0.0), NONE, NONE, S("dp")}},
      {DPRT_ADAGRAD, dprt_adagrad, {F(1e-2), F(1e-10), F(0.0), TAIL}},
      {DPRT_ADADELTA, dprt_adadelta, {F(1.0), F(0.9), F(1e-6), F(0.0), NONE}},
      {DPRT_RMSPROP, dprt_rmsprop, {F(1e-3), F(0.9), F(1e-10), TAIL}},
      {DPRT_ADAM, dprt_adam, {F(1e-3), F(0.9), F(0.999), F(1e-8), TAIL}},
      {DPRT_ADAMW, dprt_adamw, {F(1e-3), F(0.9), F(0.999), F(1e-8), F(1e-2), TAIL}},
      {DPRT_AMSGRAD, dprt_amsgrad, {F(1e-3), F(0.9), F(0.999), F(1e-8), TAIL}},
      {DPRT_NADAM, dprt_nadam, {F(2e-3), F(0.9), F(0.999), F(1e-8), F(4e-3), TAIL}},
      {DPRT_RADAM, dprt_radam, {F(1e-3), F(0.9), F(0.999), F(1e-8), TAIL}},
      {DPRT_LION, dprt_lion, {F(1e-4), F(0.9), F(0.99), F(0.0), TAIL}},
      {DPRT_LBFGS, dprt_lbfgs, {I(10)}},
  };
  cr_assert_eq(sizeof cases / sizeof *cases, DPRT_OPTIMIZER_KINDS);
  for (int i = 0; i < DPRT_OPTIMIZER_KINDS; i++) {
    double want[DPRT_OPTIMIZER_HEADER];
    dprt_slot out[2];
    dprt_optimizer_defaults(cases[i].kind, want);
    call(ctx, cases[i].make, cases[i].in, out);
    cr_expect_eq(out[1].i64, DPRT_OPTIMIZER_HEADER);
    cr_expect_arr_eq(out[0].data, want, sizeof want, "%s", dprt_optimizer_name(want));
    dprt_free(ctx, out[0].data);
  }
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  dprt_ctx_free(ctx);
}

Test(constructors, refuse_what_makes_no_sense) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  dprt_slot out[2], h[2];
  double five[5] = {9, 0, 0, 0, 0};
  expect_refused(ctx, dprt_adam(ctx, (dprt_slot[]){F(-1), F(0.9), F(0.999), F(1e-8), TAIL}, out),
                 "adam: lr must be at least 0 and finite, got -1");
  expect_refused(ctx, dprt_adam(ctx, (dprt_slot[]){F(1e-3), F(1.0), F(0.999), F(1e-8), TAIL}, out),
                 "adam: beta1 must be at least 0 and below 1, got 1");
  expect_refused(ctx, dprt_momentum(ctx, (dprt_slot[]){F(1e-3), F(NAN), F(0), NONE, NONE, S("dp")}, out),
                 "momentum: beta must be");
  expect_refused(ctx, dprt_adadelta(ctx, (dprt_slot[]){F(1), F(1.5), F(1e-6), F(0), NONE}, out), "rho");
  expect_refused(ctx, dprt_nadam(ctx, (dprt_slot[]){F(1), F(0.9), F(0.9), F(0), F(-1), TAIL}, out), "psi");
  expect_refused(ctx, dprt_lbfgs(ctx, (dprt_slot[]){I(0)}, out), "history must be from 1");
  expect_refused(ctx, dprt_rmsprop(ctx, (dprt_slot[]){F(1), F(0.9), F(0), F(0), NONE, S("jax")}, out),
                 "got \"jax\"");
  expect_refused(ctx, dprt_radam(ctx, (dprt_slot[]){F(1), F(0.9), F(0.9), F(0), F(0), NONE, S("keras")}, out),
                 "keras has no such optimizer");
  expect_refused(ctx, dprt_sgd(ctx, (dprt_slot[]){F(1), F(0), {.data = five}, I(3)}, out), "no schedule");
  expect_refused(ctx, dprt_sgd(ctx, (dprt_slot[]){F(1), F(0), {.data = five}, I(5)}, out), "no schedule");
  expect_refused(ctx, dprt_optimizer_like(ctx, (dprt_slot[]){{.data = five}, I(5), I(1)}, out),
                 "no optimizer");
  call(ctx, dprt_lbfgs, (dprt_slot[]){I(10)}, h);
  double w = 0, g = 1;
  expect_refused(ctx, dprt_optimizer_step(ctx, h[0].data, &w, &g, 1), "use it with minimize");
  call(ctx, dprt_adam, (dprt_slot[]){F(1e-3), F(0.9), F(0.999), F(1e-8), TAIL}, h);
  expect_refused(ctx, dprt_optimizer_step(ctx, h[0].data, &w, &g, 1), "like:");
  dprt_ctx_free(ctx);
}

Test(constructors, update_returns_new_values) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  dprt_slot h[2], o[2], out[4];
  double w[2] = {1, 2}, g[2] = {0.5, -0.25}, direct[2] = {1, 2};
  call(ctx, dprt_adam, (dprt_slot[]){F(1e-3), F(0.9), F(0.999), F(1e-8), TAIL}, h);
  call(ctx, dprt_optimizer_like, (dprt_slot[]){h[0], h[1], I(2)}, o);
  cr_expect_eq(o[1].i64, DPRT_OPTIMIZER_HEADER + 4);
  dprt_slot in[] = {o[0], o[1], {.data = w}, I(2), {.data = g}, I(2)};
  call(ctx, dprt_optimizer_update, in, out);
  cr_expect_eq(((double *)o[0].data)[DPRT_OPT_T], 0.0);
  cr_expect_eq(w[0], 1.0);
  cr_assert_eq(dprt_optimizer_step(ctx, o[0].data, direct, g, 2), DPRT_OK);
  cr_expect_arr_eq(out[0].data, o[0].data, (DPRT_OPTIMIZER_HEADER + 4) * sizeof(double));
  cr_expect_arr_eq(out[2].data, direct, sizeof direct);
  cr_expect_eq(out[1].i64, o[1].i64);
  cr_expect_eq(out[3].i64, 2);
  in[3].i64 = in[5].i64 = 1;
  cr_expect_eq(dprt_optimizer_update(ctx, in, out), DPRT_SIZE);
  dprt_clear_error(ctx);
  in[5].i64 = 2;
  cr_expect_eq(dprt_optimizer_update(ctx, in, out), DPRT_SIZE);
  dprt_ctx_free(ctx);
}
