// Runtime: the training loop. In: a loss with and without its gradient, parameters, data, options. Out: trained
// parameters and what happened on the way. What must hold: the result and the parameters agree whatever the status; all
// row orders are functions of the seed; nothing is allocated per batch.
#include "train.h"
#include "internal.h"

#include <math.h>
#include <string.h>

// A data leaf whose rows are batched.
typedef struct Batched {
  dprt_slot *slot; // in the call's arguments: data, then the first size
  int64_t row_bytes;
  const char *rows, *held; // training rows; held-out rows
  char *buffer;            // a batch of gathered rows
} Batched;

typedef struct Train {
  dprt_ctx *ctx;
  const dprt_site *site;
  const dprt_train_spec *spec;
  dprt_train_result *out;
  LossCall call;
  Batched *batched;
  int64_t n_batched;
  int64_t all_rows, rows, held; // rows + held = all_rows
  int64_t batch, accumulate;
  bool shuffled;
  int64_t *order;     // of this epoch's rows, when shuffled
  double *w, *before; // parameters; what they were before the latest step
  double *g, *sum;    // of a batch; of a group of batches
  double *optimizer;
  double *best, best_value, reference; // with patience
  int64_t waited;
  int64_t bad_batch; // from 1, where a loss or gradient was not finite; 0: at the epoch's end
  const char *bad_what;
  Progress progress;
} Train;

// ---- options and data ----------------------------------------------------------------------------------------------

static int32_t refuse(const Train *t, const char *option, const char *want, double got) {
  return dprt_fail(t->ctx, DPRT_ARGUMENT, t->site, "train: %s must be %s, got %g", option, want, got);
}

static int32_t check_options(const Train *t) {
  const dprt_train_spec *s = t->spec;
  if (s->epochs < 0) return refuse(t, "epochs", "at least 0", (double)s->epochs);
  if (s->batch < 0) return refuse(t, "batch", "at least 0 (0: all rows)", (double)s->batch);
  if (s->accumulate < 0) return refuse(t, "accumulate", "at least 0", (double)s->accumulate);
  if (s->patience < 0) return refuse(t, "patience", "at least 0", (double)s->patience);
  if (!(s->clip >= 0.0)) return refuse(t, "clip", "at least 0 (0: no limit)", s->clip);
  if (!(s->validation >= 0.0 && s->validation < 1.0))
    return refuse(t, "validation", "at least 0 and below 1", s->validation);
  if (!(s->min_delta >= 0.0)) return refuse(t, "min_delta", "at least 0", s->min_delta);
  int32_t status = dprt_optimizer_check(t->ctx, s->optimizer, s->optimizer_length);
  if (!status && (dprt_optimizer_kind)s->optimizer[DPRT_OPT_KIND] == DPRT_LBFGS)
    status =
        dprt_fail(t->ctx, DPRT_ARGUMENT, t->site,
                  "train: lbfgs needs the same function at every step, and batches change it; use it with "
                  "minimize, or take adam or another optimizer");
  if (!status) status = history_check_path(t->ctx, s->history_csv);
  return status ? status : history_check_path(t->ctx, s->curve_svg);
}

static int64_t elem_bytes(const dprt_leaf *leaf) {
  switch ((dprt_elem)leaf->elem) {
  case DPRT_BOOL: return sizeof(bool);
  case DPRT_I64: return sizeof(int64_t);
  case DPRT_F32: return sizeof(float);
  case DPRT_F64: return sizeof(double);
  case DPRT_STR: return sizeof(char *);
  }
  return 0;
}

static bool is_fixed(const dprt_train_spec *s, int64_t leaf) {
  return s->data_leaves[leaf].rank == 0 || (s->data_fixed && s->data_fixed[leaf]);
}

// Finds the number of rows and the leaves they run through.
static int32_t find_rows(Train *t) {
  const dprt_train_spec *s = t->spec;
  t->all_rows = -1;
  t->batched = dprt_alloc(t->ctx, sizeof *t->batched, s->n_data, 1, 1, 1);
  if (!t->batched) return DPRT_MEMORY;
  dprt_slot *slot = t->call.in + t->call.data_at;
  for (int64_t i = 0; i < s->n_data; slot += 1 + s->data_leaves[i].rank, i++) {
    const dprt_leaf *leaf = &s->data_leaves[i];
    if (is_fixed(s, i)) continue;
    if (t->all_rows < 0) t->all_rows = slot[1].i64;
    if (slot[1].i64 != t->all_rows) continue;
    Batched *b = &t->batched[t->n_batched++];
    *b = (Batched){.slot = slot, .row_bytes = elem_bytes(leaf), .rows = slot[0].data};
    for (int r = 2; r <= leaf->rank; r++) b->row_bytes *= slot[r].i64;
  }
  if (t->all_rows < 0)
    return dprt_fail(
        t->ctx, DPRT_ARGUMENT, t->site,
        "train: there is no array of data whose rows could be batched; a function without data is a case "
        "for minimize");
  if (t->all_rows == 0) return dprt_fail(t->ctx, DPRT_ARGUMENT, t->site, "train: the data has no rows");
  return DPRT_OK;
}

static void gather(char *to, const char *from, int64_t row_bytes, const int64_t *order, int64_t count) {
  if (row_bytes == 8) {
    for (int64_t i = 0; i < count; i++) memcpy(to + 8 * i, from + 8 * order[i], 8);
    return;
  }
  size_t bytes = (size_t)row_bytes;
  for (int64_t i = 0; i < count; i++) memcpy(to + row_bytes * i, from + row_bytes * order[i], bytes);
}

// Chooses the held-out rows, the last part of a permutation of the seed's own, and parts the data. Both parts keep the
// data's order, so that without shuffling batches are consecutive rows.
static int32_t hold_out(Train *t) {
  t->rows = t->all_rows;
  if (t->spec->validation == 0.0) return DPRT_OK;
  int64_t n = t->all_rows;
  t->held = llround(t->spec->validation * (double)n);
  t->held = t->held < 1 ? 1 : t->held > n - 1 ? n - 1 : t->held;
  t->rows = n - t->held;
  if (t->rows < 1 || t->held < 1)
    return dprt_fail(t->ctx, DPRT_ARGUMENT, t->site,
                     "train: one row of data cannot be parted for validation");
  int64_t *permutation = dprt_alloc(t->ctx, sizeof *permutation, n, 1, 1, 1);
  int64_t *parted = dprt_alloc(t->ctx, sizeof *parted, n, 1, 1, 1);
  bool *is_held = dprt_alloc(t->ctx, sizeof *is_held, n, 1, 1, 1);
  if (!permutation || !parted || !is_held) return DPRT_MEMORY;
  dprt_rng_permutation(t->spec->seed, -n, n, permutation); // the epochs use the counters from 0
  for (int64_t i = 0; i < n; i++) is_held[permutation[i]] = i >= t->rows;
  for (int64_t i = 0, row = 0, held = t->rows; i < n; i++) parted[is_held[i] ? held++ : row++] = i;
  for (int64_t i = 0; i < t->n_batched; i++) {
    Batched *b = &t->batched[i];
    char *copy = dprt_alloc(t->ctx, b->row_bytes, n, 1, 1, 1);
    if (!copy) return DPRT_MEMORY;
    gather(copy, b->rows, b->row_bytes, parted, n);
    b->rows = copy;
    b->held = copy + t->rows * b->row_bytes;
  }
  dprt_free(t->ctx, permutation);
  dprt_free(t->ctx, parted);
  dprt_free(t->ctx, is_held);
  return DPRT_OK;
}

static int32_t choose_batches(Train *t) {
  const dprt_train_spec *s = t->spec;
  t->batch = s->batch == 0 || s->batch > t->rows ? t->rows : s->batch;
  t->accumulate = s->accumulate < 1 ? 1 : s->accumulate;
  int64_t batches = (t->rows + t->batch - 1) / t->batch;
  if (t->accumulate > batches) t->accumulate = batches;
  if ((dprt_optimizer_kind)s->optimizer[DPRT_OPT_KIND] == DPRT_GD && t->accumulate < batches)
    return dprt_fail(t->ctx, DPRT_ARGUMENT, t->site,
                     "train: gd takes all %lld rows at each step, but batch is %lld; use sgd for batches",
                     (long long)t->rows, (long long)t->batch);
  t->shuffled = s->shuffle && t->batch < t->rows;
  if (!t->shuffled) return DPRT_OK;
  t->order = dprt_alloc(t->ctx, sizeof *t->order, t->rows, 1, 1, 1);
  if (!t->order) return DPRT_MEMORY;
  for (int64_t i = 0; i < t->n_batched; i++) {
    Batched *b = &t->batched[i];
    b->buffer = dprt_alloc(t->ctx, b->row_bytes, t->batch, 1, 1, 1);
    if (!b->buffer) return DPRT_MEMORY;
  }
  return DPRT_OK;
}

static int32_t make_vectors(Train *t) {
  const dprt_train_spec *s = t->spec;
  int64_t n = t->call.n;
  double **vectors[] = {&t->before, &t->g, &t->sum, &t->best};
  const bool needed[] = {true, true, t->accumulate > 1, s->patience > 0};
  for (int i = 0; i < 4; i++)
    if (needed[i] && !(*vectors[i] = dprt_alloc(t->ctx, sizeof(double), n, 1, 1, 1))) return DPRT_MEMORY;
  t->optimizer = dprt_alloc(t->ctx, sizeof(double), dprt_optimizer_size(s->optimizer, n), 1, 1, 1);
  if (!t->optimizer) return DPRT_MEMORY;
  dprt_optimizer_init(t->optimizer, s->optimizer, n);
  double *clip = &t->optimizer[DPRT_OPT_CLIP];
  if (s->clip > 0.0 && (*clip == 0.0 || s->clip < *clip)) *clip = s->clip;
  memcpy(t->before, t->w, (size_t)n * sizeof(double));
  t->best_value = t->reference = INFINITY;
  return DPRT_OK;
}

static int32_t prepare(Train *t) {
  const dprt_train_spec *s = t->spec;
  int32_t status = check_options(t);
  if (!status)
    status =
        loss_call_init(&t->call, t->ctx, t->site, "train", &s->params, s->n_data, s->data_leaves, s->data);
  if (!status) status = find_rows(t);
  if (!status) status = hold_out(t);
  if (!status) status = choose_batches(t);
  return status ? status : make_vectors(t);
}

// ---- losses --------------------------------------------------------------------------------------------------------

static void show_rows(Train *t, bool held) {
  for (int64_t i = 0; i < t->n_batched; i++) {
    Batched *b = &t->batched[i];
    b->slot[0].data = (void *)(held ? b->held : b->rows);
    b->slot[1].i64 = held ? t->held : t->rows;
  }
}

static int32_t loss_over_all(Train *t, bool held, double *value) {
  show_rows(t, held);
  return loss_call_value(&t->call, t->spec->loss, t->w, value);
}

static void show_batch(Train *t, int64_t first, int64_t count) {
  for (int64_t i = 0; i < t->n_batched; i++) {
    Batched *b = &t->batched[i];
    if (t->shuffled) {
      gather(b->buffer, b->rows, b->row_bytes, t->order + first, count);
      b->slot[0].data = b->buffer;
    } else {
      b->slot[0].data = (void *)(b->rows + first * b->row_bytes);
    }
    b->slot[1].i64 = count;
  }
}

// Loss and gradient of one batch; DPRT_NAN, without an error yet, when either is not finite.
static int32_t batch_gradient(Train *t, int64_t first, int64_t count, double *loss) {
  show_batch(t, first, count);
  int32_t status = loss_call_gradient(&t->call, t->spec->loss_and_grad, t->w, loss, t->g);
  if (status) return status;
  bool finite_loss = isfinite(*loss);
  if (finite_loss && dprt_all_finite(t->g, t->call.n)) return DPRT_OK;
  t->bad_batch = first / t->batch + 1;
  t->bad_what = finite_loss ? "the gradient" : "the loss";
  return DPRT_NAN;
}

// ---- steps and epochs ----------------------------------------------------------------------------------------------

static void add_weighted(double *restrict sum, const double *restrict g, int64_t n, double weight,
                         bool first) {
  if (first)
    for (int64_t i = 0; i < n; i++) sum[i] = weight * g[i];
  else
    for (int64_t i = 0; i < n; i++) sum[i] += weight * g[i];
}

// One step over rows first..end, a group of batches whose gradients are averaged by rows. Adds rows * loss to *total.
static int32_t step(Train *t, int64_t first, int64_t end, double *total) {
  const double *gradient = t->g;
  bool grouped = end - first > t->batch;
  for (int64_t at = first; at < end; at += t->batch) {
    int64_t count = end - at < t->batch ? end - at : t->batch;
    double loss;
    int32_t status = batch_gradient(t, at, count, &loss);
    if (status) return status;
    *total += (double)count * loss;
    if (grouped) {
      add_weighted(t->sum, t->g, t->call.n, (double)count / (double)(end - first), at == first);
      gradient = t->sum;
    }
  }
  memcpy(t->before, t->w, (size_t)t->call.n * sizeof(double));
  dprt_at(t->ctx, t->site);
  int32_t status = dprt_optimizer_step(t->ctx, t->optimizer, t->w, gradient, t->call.n);
  t->out->steps += !status;
  return status;
}

static int32_t run_epoch(Train *t, double *mean) {
  int64_t epoch = t->out->epochs;
  if (t->shuffled) {
    int64_t counter = (int64_t)((uint64_t)epoch * (uint64_t)t->rows);
    dprt_rng_permutation(t->spec->seed, counter, t->rows, t->order);
  }
  t->optimizer[DPRT_OPT_EPOCH] = (double)epoch;
  int64_t group = t->rows / t->accumulate < t->batch ? t->rows : t->batch * t->accumulate;
  double total = 0.0;
  for (int64_t first = 0; first < t->rows; first += group) {
    int64_t end = t->rows - first < group ? t->rows : first + group;
    int32_t status = step(t, first, end, &total);
    if (status) return status;
    progress_part(&t->progress, epoch, (double)end / (double)t->rows, total / (double)end);
  }
  *mean = total / (double)t->rows;
  return DPRT_OK;
}

// Evaluates what early stopping looks at and remembers the best parameters. *stop: patience has run out.
static int32_t end_epoch(Train *t, double *validation, bool *stop) {
  double watched;
  int32_t status = DPRT_OK;
  if (t->held > 0) status = loss_over_all(t, true, validation);
  watched = *validation;
  if (!status && t->spec->patience > 0 && t->held == 0) status = loss_over_all(t, false, &watched);
  if (status) return status;
  if (!isfinite(watched) && (t->held > 0 || t->spec->patience > 0)) {
    t->bad_what = t->held > 0 ? "the validation loss" : "the loss over all rows";
    return DPRT_NAN;
  }
  if (t->spec->patience == 0) return DPRT_OK;
  if (watched < t->best_value) {
    t->best_value = watched;
    t->out->best_epoch = t->out->epochs + 1;
    memcpy(t->best, t->w, (size_t)t->call.n * sizeof(double));
  }
  bool improved = watched < t->reference - t->spec->min_delta;
  if (improved) t->reference = watched;
  t->waited = improved ? 0 : t->waited + 1;
  *stop = t->waited >= t->spec->patience;
  return DPRT_OK;
}

// Appends to a block of the result, which grows geometrically.
static int32_t append(Train *t, double **block, double v) {
  int64_t len = t->out->epochs;
  double *grown = dprt_grow(t->ctx, *block, sizeof(double), len, len + 1);
  if (!grown) return DPRT_MEMORY;
  *block = grown;
  grown[len] = v;
  return DPRT_OK;
}

static int32_t run_epochs(Train *t) {
  dprt_train_result *out = t->out;
  bool stop = false;
  while (out->epochs < t->spec->epochs && !stop) {
    double mean, validation = NAN;
    int32_t status = run_epoch(t, &mean);
    if (!status) {
      t->bad_batch = 0;
      status = end_epoch(t, &validation, &stop);
    }
    if (!status) status = append(t, &out->history, mean);
    if (!status && t->held > 0) status = append(t, &out->validation_history, validation);
    if (status) return status;
    out->epochs++;
    if (t->spec->patience == 0) out->best_epoch = out->epochs;
    progress_done(&t->progress, out->epochs, mean, validation);
  }
  out->stopped_early = stop && out->epochs < t->spec->epochs;
  if (t->spec->patience > 0 && out->best_epoch > 0) memcpy(t->w, t->best, (size_t)t->call.n * sizeof(double));
  return DPRT_OK;
}

// ---- the end -------------------------------------------------------------------------------------------------------

// Like loss_over_all; a loss that cannot be computed counts as not finite, and its error is forgotten.
static double try_loss(Train *t, bool held) {
  double value;
  if (!loss_over_all(t, held, &value)) return value;
  dprt_clear_error(t->ctx);
  return NAN;
}

static int32_t fail_nan(Train *t, int64_t epoch) {
  t->out->best_epoch = 0;
  const char *kept =
      t->out->steps > 0 ? "the last parameters with a finite loss are kept" : "nothing was trained";
  if (t->bad_batch == 0)
    return dprt_fail(
        t->ctx, DPRT_NAN, t->site,
        "training stopped: %s is not finite after epoch %lld; %s; a smaller learning rate or clip: may help",
        t->bad_what, (long long)epoch, kept);
  return dprt_fail(
      t->ctx, DPRT_NAN, t->site,
      "training stopped: %s is not finite in epoch %lld, batch %lld; %s; a smaller learning rate or clip: "
      "may help",
      t->bad_what, (long long)epoch, (long long)t->bad_batch, kept);
}

// The failing step's own parameters stay when their loss over all rows is finite (only a gradient was not); else those
// before the step that led there. When neither will do, it is the data that is not finite.
static void settle_on_finite(Train *t) {
  size_t bytes = (size_t)t->call.n * sizeof(double);
  double *bad = t->g;
  t->out->loss = try_loss(t, false);
  if (isfinite(t->out->loss) || t->out->steps == 0) return;
  bool finite_parameters = dprt_all_finite(t->w, t->call.n);
  memcpy(bad, t->w, bytes);
  memcpy(t->w, t->before, bytes);
  double loss = try_loss(t, false);
  if (!isfinite(loss) && finite_parameters)
    memcpy(t->w, bad, bytes);
  else
    t->out->loss = loss;
}

static int32_t finish(Train *t, int32_t status) {
  dprt_train_result *out = t->out;
  int64_t epoch = out->epochs + 1;
  if (!status) {
    status = loss_over_all(t, false, &out->loss);
    if (!status && !isfinite(out->loss)) {
      t->bad_what = "the loss over all rows";
      t->bad_batch = 0;
      epoch = out->epochs;
      status = DPRT_NAN;
    }
    if (status) out->loss = NAN;
  }
  if (status == DPRT_NAN && dprt_get_error(t->ctx)->status == DPRT_OK) {
    settle_on_finite(t);
    out->validation = t->held > 0 ? try_loss(t, true) : NAN;
    return fail_nan(t, epoch);
  }
  if (!status && t->held > 0) status = loss_over_all(t, true, &out->validation);
  return status;
}

static int32_t write_files(Train *t) {
  const dprt_train_spec *s = t->spec;
  const dprt_train_result *r = t->out;
  dprt_at(t->ctx, t->site);
  int32_t status = history_write_csv(t->ctx, s->history_csv, r->epochs, r->history, r->validation_history);
  return status ? status
                : history_write_svg(t->ctx, s->curve_svg, r->epochs, r->history, r->validation_history);
}

int32_t dprt_train(dprt_ctx *ctx, const dprt_site *site, const dprt_train_spec *spec, double *params,
                   dprt_train_result *out) {
  *out = (dprt_train_result){.loss = NAN, .validation = NAN};
  Train t = {.ctx = ctx, .site = site, .spec = spec, .out = out, .w = params};
  const dprt_site *site_before = dprt_site_now(ctx);
  dprt_at(ctx, site);
  // The history stands below the mark: it is the caller's, all that is allocated above it is given back.
  int32_t status = DPRT_OK;
  if (spec->epochs > 0 && !(out->history = dprt_alloc(ctx, sizeof(double), 16, 1, 1, 1)))
    status = DPRT_MEMORY;
  if (!status && spec->epochs > 0 && spec->validation > 0.0 &&
      !(out->validation_history = dprt_alloc(ctx, sizeof(double), 16, 1, 1, 1)))
    status = DPRT_MEMORY;
  uint64_t mark = dprt_mark(ctx);
  if (!status) status = prepare(&t);
  if (!status) {
    progress_begin(&t.progress, ctx, spec->progress, "epoch", "loss", t.held > 0 ? "validation" : NULL,
                   spec->epochs);
    status = finish(&t, run_epochs(&t));
    progress_end(&t.progress);
    if (!status || status == DPRT_NAN) {
      int32_t written =
          write_files(&t); // a diverged run's curve is what one wants to see; the first error stays
      status = status ? status : written;
    }
  }
  dprt_release(ctx, mark);
  if (out->epochs == 0) {
    dprt_free(ctx, out->history);
    dprt_free(ctx, out->validation_history);
    out->history = out->validation_history = NULL;
  }
  dprt_at(ctx, site_before);
  return status;
}
