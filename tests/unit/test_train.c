// The training loop and minimisation, with a linear model written by hand as a compiled function would be.
#define _GNU_SOURCE
#include "dp/dprt_train.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// ---- the model: struct Linear { w: [D]f64, b: f64 }, mean squared error ------------------------------------------------
// in: w (data, size), b, x (data, rows, D), y (data, rows), scale (a captured scalar, multiplies the loss)

enum { D = 3, N = 50, P = D + 1 };

typedef struct Seen { // what the loss was called with
  int64_t calls, rows[4096];
  double first_y[4096];
  int64_t fail_at; // call that fails, from 1; 0: none
  int64_t nan_at;  // call whose loss is not finite
  int64_t nan_gradient_at;
} Seen;

static Seen seen; // Criterion runs each test in a process of its own

static double residual(const dprt_slot *in, int64_t row) {
  const double *w = in[0].data, *x = in[3].data, *y = in[6].data;
  double e = in[2].f64 - y[row];
  for (int j = 0; j < D; j++) e += w[j] * x[row * D + j];
  return e;
}

static int32_t mse(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)ctx;
  int64_t n = in[4].i64;
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += residual(in, i) * residual(in, i);
  out[0].f64 = in[8].f64 * sum / (double)n;
  return DPRT_OK;
}

static int32_t mse_and_grad(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  int64_t n = in[4].i64, call = seen.calls++;
  if (call < 4096) {
    seen.rows[call] = n;
    seen.first_y[call] = ((double *)in[6].data)[0];
  }
  double *gw = dprt_alloc(ctx, sizeof *gw, D, 1, 1, 1);
  if (!gw) return DPRT_MEMORY;
  if (call + 1 == seen.fail_at)
    return dprt_fail(ctx, DPRT_INDEX, NULL, "index 7 out of range"); // and gw is left behind
  cr_assert_eq(in[1].i64, D);
  cr_assert_eq(in[5].i64, D);
  cr_assert_eq(in[7].i64, n);
  double gb = 0.0;
  memset(gw, 0, D * sizeof *gw);
  for (int64_t i = 0; i < n; i++) {
    double e = 2.0 * in[8].f64 * residual(in, i) / (double)n;
    for (int j = 0; j < D; j++) gw[j] += e * ((double *)in[3].data)[i * D + j];
    gb += e;
  }
  mse(ctx, in, out);
  if (call + 1 == seen.nan_at) out[0].f64 = INFINITY;
  out[1].data = gw;
  out[2].i64 = D;
  out[3].f64 = call + 1 == seen.nan_gradient_at ? NAN : gb;
  return DPRT_OK;
}

// ---- a training run ----------------------------------------------------------------------------------------------------

static const dprt_leaf parameter_leaves[] = {{DPRT_F64, 1}, {DPRT_F64, 0}};
static const int64_t parameter_sizes[] = {D};
static const dprt_leaf data_leaves[] = {{DPRT_F64, 2}, {DPRT_F64, 1}, {DPRT_F64, 0}};
static const dprt_site site = {"model.dp", 3, 5, "main", NULL, NULL};

typedef struct Run {
  dprt_ctx *ctx;
  double x[N * D], y[N], params[P], header[DPRT_OPTIMIZER_HEADER];
  dprt_slot data[6];
  dprt_train_spec spec;
  dprt_train_result result;
  char text[1 << 16]; // progress
  size_t len;
} Run;

static void collect(void *user, const char *text, size_t n) {
  Run *r = user;
  for (size_t i = 0; i < n && r->len + 1 < sizeof r->text; i++) r->text[r->len++] = text[i];
}

static void setup_as(Run *r, dprt_optimizer_kind kind, double lr, bool terminal) {
  memset(r, 0, sizeof *r);
  seen = (Seen){0};
  dprt_hooks hooks = {.user = r, .progress = collect, .progress_is_terminal = terminal};
  r->ctx = dprt_ctx_new(&hooks);
  for (int64_t i = 0; i < N; i++) {
    for (int64_t j = 0; j < D; j++) r->x[i * D + j] = dprt_rng_normal(1, i * D + j);
    r->y[i] = 2.0 * r->x[i * D] - r->x[i * D + 1] + 0.5 + 0.1 * dprt_rng_normal(2, i);
  }
  memcpy(r->data,
         (dprt_slot[]){{.data = r->x}, {.i64 = N}, {.i64 = D}, {.data = r->y}, {.i64 = N}, {.f64 = 1.0}},
         sizeof r->data);
  dprt_optimizer_defaults(kind, r->header);
  r->header[DPRT_OPT_LR] = lr;
  r->spec = (dprt_train_spec){
      .loss_and_grad = mse_and_grad,
      .loss = mse,
      .params = {2, parameter_leaves, parameter_sizes},
      .n_data = 3,
      .data_leaves = data_leaves,
      .data = r->data,
      .optimizer = r->header,
      .optimizer_length = DPRT_OPTIMIZER_HEADER,
      .epochs = 5,
      .batch = 16,
      .shuffle = 1,
      .seed = 1,
  };
}

static void setup(Run *r) { setup_as(r, DPRT_SGD, 0.05, false); }

static int32_t train(Run *r) { return dprt_train(r->ctx, &site, &r->spec, r->params, &r->result); }

static void train_well(Run *r) {
  int32_t status = train(r);
  cr_assert_eq(status, DPRT_OK, "%s", dprt_error_text(r->ctx));
}

// Nothing is left but the result's blocks.
static void teardown(Run *r) {
  dprt_free(r->ctx, r->result.history);
  dprt_free(r->ctx, r->result.validation_history);
  cr_expect_eq(dprt_live_bytes(r->ctx), 0, "%lld bytes left", (long long)dprt_live_bytes(r->ctx));
  dprt_ctx_free(r->ctx);
}

static double loss_at(Run *r, const double *params) {
  dprt_slot out[4], in[9] = {{.data = (void *)params}, {.i64 = D}, {.f64 = params[D]}};
  memcpy(in + 3, r->data, sizeof r->data);
  mse(r->ctx, in, out);
  return out[0].f64;
}

static void expect_error(Run *r, int32_t got, int32_t want, const char *part) {
  const dprt_error *e = dprt_get_error(r->ctx);
  cr_expect_eq(got, want, "status %d: %s", got, e->message);
  cr_expect(e->message && strstr(e->message, part), "\"%s\" lacks \"%s\"", e->message, part);
  dprt_clear_error(r->ctx);
}

// ---- batches -----------------------------------------------------------------------------------------------------------

Test(train, takes_short_last_batches) {
  Run r;
  setup(&r);
  train_well(&r);
  cr_expect_eq(seen.calls, 5 * 4);
  for (int64_t i = 0; i < seen.calls; i++) cr_expect_eq(seen.rows[i], i % 4 == 3 ? 2 : 16);
  cr_expect_eq(r.result.epochs, 5);
  cr_expect_eq(r.result.steps, 20);
  cr_expect_eq(r.result.best_epoch, 5);
  cr_expect_eq(r.result.stopped_early, 0);
  cr_expect(isnan(r.result.validation));
  cr_expect_null(r.result.validation_history);
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  teardown(&r);
}

Test(train, learns) {
  Run r;
  setup_as(&r, DPRT_ADAM, 0.05, false);
  r.spec.epochs = 200;
  train_well(&r);
  cr_expect_lt(r.result.loss, 0.02);
  cr_expect_float_eq(r.params[0], 2.0, 0.05);
  cr_expect_float_eq(r.params[D], 0.5, 0.05);
  cr_expect_gt(r.result.history[0], r.result.history[199]);
  teardown(&r);
}

Test(train, a_loop_of_ones_own_has_the_same_bits) {
  Run r;
  setup_as(&r, DPRT_ADAM, 0.05, false);
  train_well(&r);
  double o[DPRT_OPTIMIZER_HEADER + 2 * P], w[P] = {0}, g[P], xb[16 * D], yb[16];
  int64_t order[N];
  dprt_optimizer_init(o, r.header, P);
  for (int64_t epoch = 0; epoch < 5; epoch++) {
    dprt_rng_permutation(1, epoch * N, N, order);
    for (int64_t first = 0; first < N; first += 16) {
      int64_t count = first + 16 < N ? 16 : N - first;
      for (int64_t i = 0; i < count; i++) {
        memcpy(xb + i * D, r.x + order[first + i] * D, D * sizeof(double));
        yb[i] = r.y[order[first + i]];
      }
      dprt_slot out[4], in[] = {{.data = w}, {.i64 = D},   {.f64 = w[D]},  {.data = xb}, {.i64 = count},
                                {.i64 = D},  {.data = yb}, {.i64 = count}, {.f64 = 1.0}};
      cr_assert_eq(mse_and_grad(r.ctx, in, out), DPRT_OK);
      memcpy(g, out[1].data, D * sizeof(double));
      g[D] = out[3].f64;
      dprt_free(r.ctx, out[1].data);
      cr_assert_eq(dprt_optimizer_step(r.ctx, o, w, g, P), DPRT_OK);
    }
  }
  cr_expect_arr_eq(w, r.params, sizeof w);
  teardown(&r);
}

Test(train, the_seed_decides) {
  Run a, b;
  double first[P];
  setup(&a);
  a.spec.validation = 0.2;
  train_well(&a);
  memcpy(first, a.params, sizeof first);
  teardown(&a);
  setup(&a);
  a.spec.validation = 0.2;
  train_well(&a);
  cr_expect_arr_eq(a.params, first, sizeof first);
  setup(&b);
  b.spec.validation = 0.2;
  b.spec.seed = 2;
  train_well(&b);
  cr_expect_arr_neq(a.params, b.params, sizeof first);
  teardown(&a);
  teardown(&b);
}

Test(train, epochs_differ_unless_told_otherwise) {
  Run r;
  setup(&r);
  train_well(&r);
  cr_expect_neq(seen.first_y[0], seen.first_y[4]);
  teardown(&r);
  setup(&r);
  r.spec.shuffle = 0;
  train_well(&r);
  for (int i = 0; i < 20; i++) cr_expect_eq(seen.first_y[i], r.y[i % 4 * 16]);
  teardown(&r);
}

Test(train, a_batch_of_all_rows_is_gradient_descent) {
  Run full, all;
  setup(&full);
  full.spec.batch = 0;
  train_well(&full);
  setup_as(&all, DPRT_GD, 0.05, false);
  all.spec.batch = 1000;
  train_well(&all);
  cr_expect_arr_eq(full.params, all.params, sizeof full.params);
  cr_expect_eq(full.result.steps, 5);
  teardown(&all);
  setup_as(&all, DPRT_GD, 0.05, false);
  expect_error(&all, train(&all), DPRT_ARGUMENT, "use sgd for batches");
  all.spec.accumulate = 10; // all rows before each step: gradient descent that saves memory
  train_well(&all);
  for (int i = 0; i < P; i++) cr_expect_float_eq(all.params[i], full.params[i], 1e-12);
  teardown(&full);
  teardown(&all);
}

static void check_accumulation(int64_t batch, int64_t accumulate) {
  Run one, parts;
  setup_as(&one, DPRT_ADAM, 0.05, false);
  one.spec.batch = batch * accumulate;
  one.spec.epochs = 20;
  train_well(&one);
  setup_as(&parts, DPRT_ADAM, 0.05, false);
  parts.spec.batch = batch;
  parts.spec.accumulate = accumulate;
  parts.spec.epochs = 20;
  train_well(&parts);
  cr_expect_eq(one.result.steps, parts.result.steps);
  for (int i = 0; i < P; i++)
    cr_expect_float_eq(one.params[i] / parts.params[i], 1.0, 1e-12, "%lld x %lld", (long long)accumulate,
                       (long long)batch);
  cr_expect_float_eq(one.result.history[19] / parts.result.history[19], 1.0, 1e-12);
  teardown(&one);
  teardown(&parts);
}

Test(train, accumulated_batches_equal_a_large_one) {
  check_accumulation(16, 2); // the last group has a full and a short batch less
  check_accumulation(7, 3);
  check_accumulation(1, 4);
}

// in: w; x of N rows (batched), a of 7 numbers, c of N (captured), k of N ints (batched), r of N strings (batched)
static int32_t check_leaves(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)ctx;
  int64_t n = in[2].i64;
  const double *x = in[1].data;
  seen.rows[seen.calls++] = n;
  cr_assert_eq(in[4].i64, 7);
  cr_assert_eq(in[6].i64, N);
  cr_assert_eq(in[8].i64, n);
  cr_assert_eq(in[10].i64, n);
  for (int64_t i = 0; i < n; i++) {
    cr_assert_eq(((int64_t *)in[7].data)[i], (int64_t)x[i]);
    cr_assert_eq(atoi(((const char **)in[9].data)[i]), (int)x[i]);
  }
  out[0].f64 = 1.0;
  out[1].f64 = in[0].f64;
  return DPRT_OK;
}

Test(train, batches_what_has_the_rows_and_nothing_else) {
  Run r;
  setup(&r);
  double x[N], a[7], c[N];
  int64_t k[N];
  char digits[N][16];
  const char *text[N];
  for (int i = 0; i < N; i++) {
    x[i] = i;
    k[i] = i;
    snprintf(digits[i], sizeof digits[i], "%d", i);
    text[i] = digits[i];
  }
  const dprt_leaf leaves[] = {{DPRT_F64, 1}, {DPRT_F64, 1}, {DPRT_F64, 1}, {DPRT_I64, 1}, {DPRT_STR, 1}};
  const dprt_slot data[] = {{.data = x}, {.i64 = N},  {.data = a}, {.i64 = 7},     {.data = c},
                            {.i64 = N},  {.data = k}, {.i64 = N},  {.data = text}, {.i64 = N}};
  const uint8_t fixed[] = {0, 0, 1, 0, 0};
  const dprt_leaf w = {DPRT_F64, 0};
  r.spec.loss_and_grad = r.spec.loss = check_leaves;
  r.spec.params = (dprt_params){1, &w, NULL};
  r.spec.n_data = 5;
  r.spec.data_leaves = leaves;
  r.spec.data = data;
  r.spec.data_fixed = fixed;
  r.spec.epochs = 1;
  train_well(&r);
  cr_expect_eq(seen.calls, 5); // four batches, then all rows
  cr_expect_eq(seen.rows[0], 16);
  cr_expect_eq(seen.rows[4], N);
  const uint8_t none[] = {1, 1, 1, 1, 1};
  r.spec.data_fixed = none;
  dprt_free(r.ctx, r.result.history);
  expect_error(&r, train(&r), DPRT_ARGUMENT, "no array of data");
  teardown(&r);
}

Test(train, clips) {
  Run r;
  setup_as(&r, DPRT_SGD, 1.0, false);
  r.spec.clip = 1e-3;
  r.spec.epochs = 1;
  r.spec.batch = 0;
  train_well(&r);
  cr_expect_float_eq(dprt_norm2(r.params, P), 1e-3, 1e-15);
  teardown(&r);
}

Test(train, schedules_of_epochs_follow_epochs) {
  Run r;
  setup_as(&r, DPRT_SGD, 0.05, false);
  double *s = r.header + DPRT_OPT_LR_SCHEDULE;
  s[DPRT_SCHED_KIND] = DPRT_SCHEDULE_STEP;
  s[DPRT_SCHED_BY_EPOCH] = 1.0;
  s[DPRT_SCHED_A] = 2.0;
  s[DPRT_SCHED_B] = 1e-300; // nothing moves any more
  train_well(&r);
  double five[P];
  memcpy(five, r.params, sizeof five);
  teardown(&r);
  setup(&r);
  r.spec.epochs = 2;
  train_well(&r);
  cr_expect_arr_eq(five, r.params, sizeof five);
  teardown(&r);
}

Test(train, no_epochs_change_nothing) {
  Run r;
  setup(&r);
  r.spec.epochs = 0;
  train_well(&r);
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  cr_expect_eq(r.params[0], 0.0);
  cr_expect_null(r.result.history);
  teardown(&r);
}

// ---- validation and early stopping -------------------------------------------------------------------------------------

Test(train, holds_rows_out) {
  Run r;
  setup(&r);
  r.spec.validation = 0.2;
  r.spec.batch = 0;
  train_well(&r);
  for (int64_t i = 0; i < seen.calls; i++) cr_expect_eq(seen.rows[i], 40);
  cr_expect_not_null(r.result.validation_history);
  cr_expect_eq(r.result.validation, r.result.validation_history[4]);
  double all = 0.8 * r.result.loss + 0.2 * r.result.validation;
  cr_expect_float_eq(all, loss_at(&r, r.params), 1e-14);
  teardown(&r);
}

Test(train, stops_early_with_the_best_parameters) {
  Run r;
  setup_as(&r, DPRT_SGD, 0.05, false);
  r.header[DPRT_OPT_LR_SCHEDULE] = DPRT_SCHEDULE_EXPONENTIAL; // steps that grow until they overshoot
  r.header[DPRT_OPT_LR_SCHEDULE + DPRT_SCHED_A] = 1.05;
  r.spec.validation = 0.2;
  r.spec.patience = 3;
  r.spec.epochs = 100;
  train_well(&r);
  int64_t best = 0;
  for (int64_t i = 0; i < r.result.epochs; i++)
    if (r.result.validation_history[i] < r.result.validation_history[best]) best = i;
  cr_expect_lt(r.result.epochs, 100);
  cr_expect_eq(r.result.stopped_early, 1);
  cr_expect_eq(r.result.best_epoch, best + 1);
  cr_expect_eq(r.result.validation, r.result.validation_history[best]);
  cr_expect_eq(r.result.epochs, best + 1 + 3);
  double params[P];
  memcpy(params, r.params, sizeof params);
  teardown(&r);
  setup_as(&r, DPRT_SGD, 0.05, false); // as many epochs end at the same parameters
  r.header[DPRT_OPT_LR_SCHEDULE] = DPRT_SCHEDULE_EXPONENTIAL;
  r.header[DPRT_OPT_LR_SCHEDULE + DPRT_SCHED_A] = 1.05;
  r.spec.validation = 0.2;
  r.spec.epochs = best + 1;
  train_well(&r);
  cr_expect_arr_eq(r.params, params, sizeof params);
  teardown(&r);
}

Test(train, stops_early_by_training_loss_without_held_out_rows) {
  Run r;
  setup_as(&r, DPRT_GD, 0.05, false);
  r.spec.batch = 0;
  r.spec.patience = 2;
  r.spec.min_delta = 0.01;
  r.spec.epochs = 1000;
  train_well(&r);
  cr_expect_lt(r.result.epochs, 100);
  cr_expect_eq(r.result.stopped_early, 1);
  cr_expect_eq(r.result.best_epoch, r.result.epochs); // each epoch was better, if by little
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  teardown(&r);
}

// ---- failures ----------------------------------------------------------------------------------------------------------

Test(train, divergence_keeps_the_last_finite_parameters) {
  Run r;
  setup_as(&r, DPRT_SGD, 1e60, false);
  expect_error(&r, train(&r), DPRT_NAN, "the loss is not finite in epoch 1, batch ");
  cr_expect(dprt_all_finite(r.params, P));
  cr_expect(isfinite(r.result.loss));
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  cr_expect_eq(r.result.epochs, 0);
  cr_expect_eq(r.result.best_epoch, 0);
  cr_expect_null(r.result.history);
  teardown(&r);
}

Test(train, a_loss_that_is_not_finite_names_epoch_and_batch) {
  Run r;
  setup(&r);
  seen.nan_at = 7;
  expect_error(&r, train(&r), DPRT_NAN, "the loss is not finite in epoch 2, batch 3;");
  cr_expect_eq(r.result.epochs, 1);
  cr_expect_eq(r.result.steps, 6);
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  double params[P];
  memcpy(params, r.params, sizeof params);
  teardown(&r);
  setup(&r);
  seen.nan_gradient_at = 7;
  expect_error(&r, train(&r), DPRT_NAN, "the gradient is not finite in epoch 2, batch 3;");
  cr_expect_arr_eq(params, r.params, sizeof params);
  teardown(&r);
}

Test(train, data_that_is_not_finite_trains_nothing) {
  Run r;
  setup(&r);
  r.y[20] = NAN;
  r.spec.batch = 0;
  expect_error(&r, train(&r), DPRT_NAN, "epoch 1, batch 1; nothing was trained");
  cr_expect_eq(r.params[0], 0.0);
  cr_expect(isnan(r.result.loss));
  teardown(&r);
}

Test(train, a_failing_loss_ends_training_and_leaks_nothing) {
  Run r;
  setup(&r);
  seen.fail_at = 6;
  expect_error(&r, train(&r), DPRT_INDEX, "index 7");
  cr_expect_eq(r.result.epochs, 1);
  cr_expect_eq(r.result.steps, 5);
  cr_expect_not_null(r.result.history);
  teardown(&r);
}

// Whatever allocation fails, there is an error and nothing is left behind.
Test(train, survives_any_lack_of_memory) {
  int64_t limit = 64;
  for (bool done = false; !done; limit += 64) {
    Run r;
    setup(&r);
    r.spec.validation = 0.2;
    r.spec.patience = 10;
    r.spec.accumulate = 2;
    dprt_memory_limit(r.ctx, limit);
    int32_t status = train(&r);
    cr_expect(status == DPRT_OK || status == DPRT_MEMORY, "status %d with %lld bytes", status,
              (long long)limit);
    cr_expect_eq((int32_t)dprt_get_error(r.ctx)->status, status);
    done = status == DPRT_OK;
    teardown(&r);
  }
  cr_expect(limit > 2000 && limit < 20000, "%lld bytes", (long long)limit);
}

Test(train, refuses_bad_options) {
  Run r;
  setup(&r);
  r.spec.epochs = -1;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "epochs must be at least 0, got -1");
  r.spec.epochs = 1;
  r.spec.batch = -1;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "batch must be");
  r.spec.batch = 4;
  r.spec.validation = 1.0;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "validation must be");
  r.spec.validation = 0.0;
  r.spec.clip = NAN;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "clip must be");
  r.spec.clip = 0.0;
  r.header[DPRT_OPT_LR] = -1.0;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "lr must be");
  dprt_optimizer_defaults(DPRT_LBFGS, r.header);
  expect_error(&r, train(&r), DPRT_ARGUMENT, "use it with minimize");
  dprt_optimizer_defaults(DPRT_ADAM, r.header);
  r.data[1].i64 = r.data[4].i64 = 0;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "no rows");
  r.data[1].i64 = r.data[4].i64 = 1;
  r.spec.validation = 0.5;
  expect_error(&r, train(&r), DPRT_ARGUMENT, "one row");
  cr_expect_eq(seen.calls, 0);
  cr_expect_eq(dprt_get_error(r.ctx)->status, DPRT_OK);
  teardown(&r);
}

// ---- what it shows and leaves --------------------------------------------------------------------------------------------

static int count_lines(const Run *r) {
  int lines = 0;
  for (size_t i = 0; i < r->len; i++) lines += r->text[i] == '\n';
  return lines;
}

Test(progress, is_thinned_to_a_few_lines) {
  Run r;
  setup(&r);
  r.spec.epochs = 1001;
  r.spec.progress = 1;
  train_well(&r);
  int lines = count_lines(&r);
  cr_expect(lines >= 20 && lines <= 50, "%d lines", lines);
  cr_expect_eq(strncmp(r.text, "epoch    1/1001  loss ", 22), 0, "%.40s", r.text);
  cr_expect(strstr(r.text, "epoch 1001/1001"));
  cr_expect_null(strchr(r.text, '\r'));
  teardown(&r);
}

Test(progress, redraws_on_a_terminal) {
  Run r;
  setup_as(&r, DPRT_SGD, 0.05, true);
  r.spec.progress = 1;
  r.spec.validation = 0.1;
  train_well(&r);
  cr_expect_eq(count_lines(&r), 1);
  cr_expect_eq(r.text[0], '\r');
  cr_expect(strstr(r.text, "epoch 5/5  [========================] loss "), "%s", r.text);
  cr_expect(strstr(r.text, "validation "));
  teardown(&r);
}

Test(progress, is_silent_unless_wanted) {
  Run r;
  setup(&r);
  train_well(&r);
  cr_expect_eq(r.len, 0);
  teardown(&r);
}

static char *slurp(const char *path) {
  static char text[1 << 16];
  FILE *f = fopen(path, "r");
  cr_assert_not_null(f, "%s is missing", path);
  text[fread(text, 1, sizeof text - 1, f)] = 0;
  fclose(f);
  return text;
}

Test(history, is_written_as_csv_and_svg) {
  Run r;
  char folder[] = "/tmp/dprt-train-XXXXXX", csv[64], svg[64];
  cr_assert_not_null(mkdtemp(folder));
  snprintf(csv, sizeof csv, "%s/h.csv", folder);
  snprintf(svg, sizeof svg, "%s/h.svg", folder);
  setup(&r);
  r.spec.validation = 0.2;
  r.spec.epochs = 2;
  r.spec.history_csv = csv;
  r.spec.curve_svg = svg;
  train_well(&r);
  char *text = slurp(csv), *at = text;
  cr_expect_eq(strncmp(text, "epoch,loss,validation_loss\n", 27), 0);
  at = strchr(at, '\n') + 1;
  for (int i = 0; i < 2; i++) {
    cr_expect_eq(strtol(at, &at, 10), i + 1);
    cr_expect_eq(strtod(at + 1, &at), r.result.history[i]);
    cr_expect_eq(strtod(at + 1, &at), r.result.validation_history[i]);
    at++;
  }
  cr_expect_eq(*at, 0);
  cr_expect(strstr(slurp(svg), "<svg"));
  unlink(csv);
  unlink(svg);
  cr_expect_eq(rmdir(folder), 0, "only the two files were left");
  teardown(&r);
}

Test(history, that_cannot_be_written_is_found_before_training) {
  Run r;
  setup(&r);
  r.spec.history_csv = "/nowhere/at/all.csv";
  expect_error(&r, train(&r), DPRT_DATA, "/nowhere/at/all.csv\": No such file or directory");
  r.spec.history_csv = "/tmp";
  expect_error(&r, train(&r), DPRT_DATA, "Is a directory");
  r.spec.history_csv = NULL;
  r.spec.curve_svg = "/nowhere/at/all.svg";
  expect_error(&r, train(&r), DPRT_DATA, "No such file");
  cr_expect_eq(seen.calls, 0);
  r.spec.curve_svg = NULL;
  r.spec.history_csv = "/dev/full";
  expect_error(&r, train(&r), DPRT_DATA, "/dev/full\": No space left on device");
  cr_expect_eq(r.result.epochs, 5); // the training itself is not lost
  cr_expect_eq(r.result.loss, loss_at(&r, r.params));
  teardown(&r);
}

// ---- minimize ------------------------------------------------------------------------------------------------------------

enum { M = 12 };

static int32_t grad_block(dprt_ctx *ctx, dprt_slot *out, int64_t n, double value, double **g) {
  *g = dprt_alloc(ctx, sizeof(double), n, 1, 1, 1);
  out[0].f64 = value;
  out[1].data = *g;
  out[2].i64 = n;
  return *g ? DPRT_OK : DPRT_MEMORY;
}

static int32_t rosenbrock(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const double *x = in[0].data;
  double *g, a = 1.0 - x[0], b = x[1] - x[0] * x[0];
  int32_t status = grad_block(ctx, out, 2, a * a + 100.0 * b * b, &g);
  if (!status) {
    g[0] = -2.0 * a - 400.0 * x[0] * b;
    g[1] = 200.0 * b;
  }
  return status;
}

// sum of 2^i (x_i - i)^2 / 2, plus 3; the factor comes as a captured value
static int32_t quadratic(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const double *x = in[0].data;
  double *g, value = 3.0;
  for (int i = 0; i < M; i++) value += 0.5 * ldexp(1.0, i) * (x[i] - i) * (x[i] - i) * in[2].f64;
  int32_t status = grad_block(ctx, out, M, value, &g);
  for (int i = 0; i < M && !status; i++) g[i] = ldexp(1.0, i) * (x[i] - i) * in[2].f64;
  return status;
}

// -log(x) + x: defined for x > 0 only
static int32_t barrier(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  double x = *(const double *)in[0].data, *g;
  int32_t status = grad_block(ctx, out, 1, x - log(x), &g);
  if (!status) g[0] = 1.0 - 1.0 / x;
  return status;
}

typedef struct Search {
  dprt_ctx *ctx;
  dprt_leaf leaf, scalar;
  int64_t size;
  double x[M], header[DPRT_OPTIMIZER_HEADER];
  dprt_slot factor;
  dprt_minimize_spec spec;
  dprt_minimize_result result;
} Search;

static void search_for(Search *s, dprt_fn *f, int64_t n, dprt_optimizer_kind kind) {
  *s = (Search){.ctx = dprt_ctx_new(NULL), .leaf = {DPRT_F64, 1}, .scalar = {DPRT_F64, 0}, .size = n};
  s->factor.f64 = 1.0;
  dprt_optimizer_defaults(kind, s->header);
  s->spec = (dprt_minimize_spec){
      .value_and_grad = f,
      .params = {1, &s->leaf, &s->size},
      .n_data = 1,
      .data_leaves = &s->scalar,
      .data = &s->factor,
      .optimizer = s->header,
      .optimizer_length = DPRT_OPTIMIZER_HEADER,
      .until = 1e-10,
      .steps = 200,
  };
}

static int32_t minimize(Search *s) { return dprt_minimize(s->ctx, &site, &s->spec, s->x, &s->result); }

static void minimize_well(Search *s) {
  int32_t status = minimize(s);
  cr_assert_eq(status, DPRT_OK, "%s", dprt_error_text(s->ctx));
}

static void search_end(Search *s) {
  dprt_free(s->ctx, s->result.path);
  cr_expect_eq(dprt_live_bytes(s->ctx), 0);
  dprt_ctx_free(s->ctx);
}

Test(minimize, lbfgs_finds_the_valley_of_rosenbrock) {
  Search s;
  search_for(&s, rosenbrock, 2, DPRT_LBFGS);
  s.x[0] = -1.2;
  s.x[1] = 1.0;
  s.spec.path = 1;
  minimize_well(&s);
  cr_expect(s.result.converged);
  cr_expect_leq(s.result.gradient_norm, 1e-10);
  cr_expect_leq(s.result.steps, 45, "%lld steps", (long long)s.result.steps);
  cr_expect_leq(s.result.calls, 70, "%lld calls", (long long)s.result.calls);
  cr_expect_float_eq(s.x[0], 1.0, 1e-10);
  cr_expect_float_eq(s.x[1], 1.0, 1e-10);
  cr_expect_eq(s.result.path[0], -1.2);
  cr_expect_eq(s.result.path[1], 1.0);
  cr_expect_arr_eq(s.result.path + 2 * s.result.steps, s.x, 2 * sizeof(double));
  search_end(&s);
}

Test(minimize, lbfgs_solves_a_quadratic) {
  Search s;
  search_for(&s, quadratic, M, DPRT_LBFGS);
  s.spec.until = 1e-8;
  minimize_well(&s);
  cr_expect(s.result.converged, "gradient norm %g", s.result.gradient_norm);
  for (int i = 0; i < M; i++) cr_expect_float_eq(s.x[i], i, 1e-8);
  cr_expect_eq(s.result.value, 3.0);
  search_end(&s);
}

Test(minimize, lbfgs_stays_inside_the_domain) {
  Search s;
  search_for(&s, barrier, 1, DPRT_LBFGS);
  s.x[0] = 1e-3;
  minimize_well(&s);
  cr_expect(s.result.converged);
  cr_expect_float_eq(s.x[0], 1.0, 1e-9);
  search_end(&s);
}

Test(minimize, lbfgs_says_when_precision_is_exhausted) {
  Search s;
  search_for(&s, rosenbrock, 2, DPRT_LBFGS);
  s.x[0] = 0.3;
  s.spec.until = 0.0;
  minimize_well(&s);
  cr_expect(s.result.stalled || s.result.converged);
  cr_expect_lt(s.result.steps, 200);
  cr_expect_lt(s.result.gradient_norm, 1e-8);
  search_end(&s);
}

Test(minimize, first_order_rules_too) {
  for (int kind = 0; kind < DPRT_LBFGS; kind++) {
    Search s;
    search_for(&s, quadratic, M, (dprt_optimizer_kind)kind);
    s.spec.steps = 50;
    s.header[DPRT_OPT_LR] = 1e-4;
    s.spec.path = 1;
    minimize_well(&s);
    cr_expect_eq(s.result.steps, 50);
    cr_expect_eq(s.result.calls, 51);
    cr_expect_arr_eq(s.result.path + 50 * M, s.x, sizeof s.x);
    double start = 3.0;
    for (int i = 0; i < M; i++) start += 0.5 * ldexp(1.0, i) * i * i;
    cr_expect_lt(s.result.value, start, "%s", dprt_optimizer_name(s.header));
    search_end(&s);
  }
}

Test(minimize, stops_where_it_is_told) {
  Search s;
  search_for(&s, quadratic, M, DPRT_GD);
  s.header[DPRT_OPT_LR] = 4e-4;
  s.spec.until = 1.0;
  s.spec.steps = 100000;
  minimize_well(&s);
  cr_expect(s.result.converged);
  cr_expect_leq(s.result.gradient_norm, 1.0);
  cr_expect_gt(s.result.gradient_norm, 0.99);
  int64_t steps = s.result.steps;
  minimize_well(&s); // already there
  cr_expect_eq(s.result.steps, 0);
  cr_expect_gt(steps, 0);
  search_end(&s);
}

Test(minimize, divergence_keeps_the_last_finite_parameters) {
  Search s;
  search_for(&s, rosenbrock, 2, DPRT_GD);
  s.header[DPRT_OPT_LR] = 1.0;
  s.x[0] = 5.0;
  cr_expect_eq(minimize(&s), DPRT_NAN);
  cr_expect(strstr(dprt_get_error(s.ctx)->message, "not finite after step "));
  cr_expect(dprt_all_finite(s.x, 2));
  cr_expect(isfinite(s.result.value));
  cr_expect_eq(dprt_get_error(s.ctx)->site, &site);
  search_end(&s);
  search_for(&s, barrier, 1, DPRT_LBFGS);
  cr_expect_eq(minimize(&s), DPRT_NAN);
  cr_expect(strstr(dprt_get_error(s.ctx)->message, "starting point"));
  search_end(&s);
}

Test(minimize, refuses_bad_options) {
  Search s;
  search_for(&s, rosenbrock, 2, DPRT_GD);
  s.spec.until = NAN;
  cr_expect_eq(minimize(&s), DPRT_ARGUMENT);
  dprt_clear_error(s.ctx);
  s.spec.until = 0.0;
  s.spec.steps = -1;
  cr_expect_eq(minimize(&s), DPRT_ARGUMENT);
  dprt_clear_error(s.ctx);
  s.spec.steps = 1;
  s.leaf.elem = DPRT_I64;
  cr_expect_eq(minimize(&s), DPRT_ARGUMENT);
  dprt_clear_error(s.ctx);
  s.leaf.elem = DPRT_F64;
  s.size = -3;
  cr_expect_eq(minimize(&s), DPRT_SIZE);
  search_end(&s);
}
