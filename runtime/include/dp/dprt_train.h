// dprt training: optimizers, schedules, the training loop over data, minimisation without data. Usable from C alone.
//
// Notation below: w parameters, g gradient, t the step's number from 1, lr the learning rate after its schedule.
// All arithmetic is IEEE f64 in a fixed order: the same input gives the same bits.
#ifndef DP_DPRT_TRAIN_H
#define DP_DPRT_TRAIN_H

#include "dprt.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- schedule.c: how a rate changes with time ------------------------------------------------------------------
// A schedule is five doubles: a factor for the base rate as a function of a count from 0, of steps or of epochs.
//   constant                 1
//   step(every, factor)      factor^floor(t / every)
//   exponential(rate)        rate^t
//   cosine(length, floor)    floor + (1 - floor) (1 + cos(pi min(t / length, 1))) / 2
//   linear(length, from, to) from + (to - from) min(t / length, 1)
// A schedule that counts epochs needs to be told of them: train does; a loop of one's own calls
// dprt_optimizer_next_epoch at the start of each epoch; in minimize an epoch is a step.
typedef enum dprt_schedule_kind {
  DPRT_SCHEDULE_CONSTANT,
  DPRT_SCHEDULE_STEP,
  DPRT_SCHEDULE_EXPONENTIAL,
  DPRT_SCHEDULE_COSINE,
  DPRT_SCHEDULE_LINEAR,
} dprt_schedule_kind;

enum {
  DPRT_SCHED_KIND,
  DPRT_SCHED_BY_EPOCH, // 0: counts steps, 1: counts epochs
  DPRT_SCHED_A,        // every, rate or length
  DPRT_SCHED_B,        // factor, floor or from
  DPRT_SCHED_C,        // to
  DPRT_SCHEDULE_SIZE,
};

DPRT_API double dprt_schedule_factor(const double *schedule, int64_t count);
DPRT_API int32_t dprt_schedule_check(dprt_ctx *ctx,
                                     const double *schedule); // DPRT_ARGUMENT, at dprt_site_now

// ---- optimizer.c: update rules ----------------------------------------------------------------------------------
// An optimizer is a value: a header of doubles, then its state vectors of n doubles each (optimizers.def lists how
// many). A header alone (n = 0) holds the settings; dprt_optimizer_init gives it state for n parameters.
//
//   gd, sgd    w -= lr g                                           (gd: the whole data set each step)
//   momentum   m = beta m - g;  w += lr m                          keras: m = beta m - lr g;  w += m
//   nesterov   m = beta m + g;  w -= lr (g + beta m)               keras: m = beta m - lr g;  w += beta m - lr g
//   adagrad    s += g^2;  w -= lr g / (sqrt(s) + eps)              keras, optax: sqrt(s + eps)  [theirs: s0 0.1, eps 1e-7]
//   adadelta   s = rho s + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(s + eps) g;  w -= lr d;  u = rho u + (1 - rho) d^2
//   rmsprop    v = beta v + (1 - beta) g^2;  w -= lr g / sqrt(v + eps)
//              pytorch: lr g / (sqrt(v) + eps)                     [pytorch's beta 0.99, eps 1e-8; keras's eps 1e-7]
//   adam       m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  M = m / (1 - b1^t);  V = v / (1 - b2^t)
//              w -= lr M / (sqrt(V) + eps)
//              keras: w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)               [keras's eps 1e-7]
//   adamw      adam, then w -= lr decay w;  other styles decay the w from before the step   [optax 1e-4, keras 4e-3]
//   amsgrad    adam with x = max(x, v) and x / (1 - b2^t) for V;  optax: x = max(x, V) for V
//   nadam      mu_t = b1 (1 - 0.96^(t psi) / 2), P_t = mu_1 ... mu_t;
//              w -= lr (mu_{t+1} m / (1 - P_{t+1}) + (1 - mu_t) g / (1 - P_t)) / (sqrt(V) + eps)  [keras's psi 1]
//              optax: w -= lr (b1 m / (1 - b1^(t+1)) + (1 - b1) g / (1 - b1^t)) / (sqrt(V) + eps)
//   radam      R = 2 / (1 - b2) - 1, r = R - 2 t b2^t / (1 - b2^t); if r > 5 (optax: r >= 5)
//              w -= lr sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) M / (sqrt(V) + eps), else w -= lr M
//              pytorch: eps is added to sqrt(v) before the correction
//   lion       w -= lr (sign(b1 m + (1 - b1) g) + decay w);  m = b2 m + (1 - b2) g          [optax's decay 1e-3]
//   lbfgs      two-loop recursion over `history` pairs, strong Wolfe line search (minimize only)
//
// A style changes equations only, as written above; the numbers in brackets are that framework's own defaults, to be
// passed when runs are compared. Sources: Duchi 2011 (adagrad), Zeiler 2012 (adadelta), Hinton's lecture 6e (rmsprop),
// Kingma and Ba 2015 (adam), Loshchilov and Hutter 2019 (adamw), Reddi 2018 (amsgrad), Dozat 2016 (nadam), Liu 2020
// (radam), Chen 2023 (lion), Nocedal and Wright 2006, algorithms 7.4, 3.5 and 3.6 (lbfgs).
typedef enum dprt_optimizer_kind {
#define OPTIMIZER(KIND, name, states, lr, beta1, beta2, eps, decay, extra, styles) DPRT_##KIND,
#include "optimizers.def"
#undef OPTIMIZER
  DPRT_OPTIMIZER_KINDS,
} dprt_optimizer_kind;

typedef enum dprt_style { DPRT_STYLE_DP, DPRT_STYLE_KERAS, DPRT_STYLE_PYTORCH, DPRT_STYLE_OPTAX } dprt_style;

enum {
  DPRT_OPT_KIND,  // dprt_optimizer_kind
  DPRT_OPT_N,     // parameters the state is for; 0: none yet
  DPRT_OPT_T,     // steps taken
  DPRT_OPT_EPOCH, // the current epoch from 0; -1: nobody said
  DPRT_OPT_LR,
  DPRT_OPT_BETA1, // also momentum's beta
  DPRT_OPT_BETA2, // also the decay of squares in adadelta and rmsprop
  DPRT_OPT_EPS,
  DPRT_OPT_DECAY,
  DPRT_OPT_EXTRA,       // adagrad: initial s; nadam: psi; lbfgs: history
  DPRT_OPT_STYLE,       // dprt_style
  DPRT_OPT_CLIP,        // gradients with a larger 2-norm are scaled to it; 0: never
  DPRT_OPT_PRODUCT,     // nadam's P_t
  DPRT_OPT_LR_SCHEDULE, // DPRT_SCHEDULE_SIZE doubles
  DPRT_OPT_BETA_SCHEDULE = DPRT_OPT_LR_SCHEDULE + DPRT_SCHEDULE_SIZE, // momentum and nesterov
  DPRT_OPTIMIZER_HEADER = DPRT_OPT_BETA_SCHEDULE + DPRT_SCHEDULE_SIZE,
};

// The settings of one kind with their defaults.
DPRT_API void dprt_optimizer_defaults(dprt_optimizer_kind kind, double header[DPRT_OPTIMIZER_HEADER]);
DPRT_API const char *dprt_optimizer_name(const double *header);
// Settings in their ranges? DPRT_ARGUMENT naming the optimizer and the setting, at dprt_site_now.
DPRT_API int32_t dprt_optimizer_check(dprt_ctx *ctx, const double *header, int64_t length);
DPRT_API int64_t dprt_optimizer_size(const double *header, int64_t n); // doubles for header and state
// A fresh optimizer with header's settings: no steps taken. dst and header may be the same.
DPRT_API void dprt_optimizer_init(double *dst, const double *header, int64_t n);
// One step: updates o (of dprt_optimizer_size doubles) and the n parameters w in place. DPRT_SIZE when o is for another
// n; DPRT_ARGUMENT for lbfgs, for a schedule of epochs without epochs, for a scheduled momentum outside [0, 1).
// Neither o nor w is touched then. Gradients are taken as they are: one that is not finite spoils the parameters.
DPRT_API int32_t dprt_optimizer_step(dprt_ctx *ctx, double *o, double *w, const double *g, int64_t n);

DPRT_API double dprt_norm2(const double *v, int64_t n); // 2-norm without overflow, in a fixed order
DPRT_API bool dprt_all_finite(const double *v, int64_t n);

// ---- what train and minimize share ------------------------------------------------------------------------------
// Every field is eight bytes wide, so that compiled code can fill and read these as arrays of slots.

// Parameters are one block of doubles: the parameter leaves (elem f64, any rank) one after another, in order. A loss is
// called with the parameter leaves, then the data leaves.
typedef struct dprt_params {
  int64_t n_leaves;
  const dprt_leaf *leaves;
  const int64_t *sizes; // the sizes of the array leaves, one after another
} dprt_params;

// ---- train.c ----------------------------------------------------------------------------------------------------
// The first data leaf of rank 1 or more gives the number of rows by its first size. Every leaf with that first size is
// batched: its rows travel together, and the loss sees the batch's size as its first size. All others pass as they are.
typedef struct dprt_train_spec {
  dprt_fn *loss_and_grad; // in: parameters, data; out: loss (f64), then one gradient per parameter leaf
  dprt_fn *loss;          // in: parameters, data; out: loss (f64)
  dprt_params params;
  int64_t n_data;
  const dprt_leaf *data_leaves;
  const dprt_slot *data;     // the data leaves as slots
  const uint8_t *data_fixed; // n_data flags, 1: never batched (captured values); NULL: none
  const double *optimizer;   // at least a header; training starts it afresh
  int64_t optimizer_length;
  int64_t epochs;     // at least 0
  int64_t batch;      // rows in a batch; 0: all
  int64_t accumulate; // batches to a step, averaged by rows; 0 or 1: each steps
  int64_t shuffle; // flag: other batches each epoch, a function of seed and epoch (no effect on full batches)
  int64_t seed;
  double clip;       // as an optimizer's; the smaller positive one holds
  double validation; // share of rows held out, 0 <= v < 1, chosen by seed
  int64_t
      patience; // epochs without improvement before stopping; 0: never, and the last parameters are returned
  double min_delta;        // what counts as improvement
  const char *history_csv; // epoch, loss, validation loss of each epoch; NULL or "": none
  const char *curve_svg;   // the same as a plot; NULL or "": none
  int64_t progress;        // flag: show progress through the context's hook
} dprt_train_spec;

typedef struct dprt_train_result {
  double loss;       // over all training rows, at the returned parameters
  double validation; // over all held-out rows, at the returned parameters; NaN when there are none
  int64_t epochs;    // complete epochs
  int64_t steps;
  int64_t stopped_early; // flag
  int64_t
      best_epoch; // the epoch, from 1, whose parameters are returned; 0: those given, or an unfinished epoch's
  // Blocks of `epochs` doubles from dprt_alloc, the caller's (dprt_free); NULL when epochs is 0.
  double *history;            // mean over rows of the batches' losses, each at the parameters of its time
  double *validation_history; // at the epoch's end; NULL without held-out rows
} dprt_train_result;

// Trains params in place. With patience the best parameters seen at an epoch's end are returned, by validation loss, or
// without held-out rows by the loss over all training rows.
//
// The result is filled, and params holds the parameters it speaks of, whatever the status:
//   DPRT_NAN       a loss or gradient that is not finite (the error names epoch and batch); params are the latest with
//                  a finite loss: those of the failing step, or those before the step that led there
//   DPRT_ARGUMENT, DPRT_SIZE, DPRT_DATA (a file that cannot be written)   found before training where possible
//   others         as the loss functions return them; params as before the failing step, their losses unknown (NaN)
// The learning rate's schedule counts as said above, epochs from 0. Row order, batches and held-out rows are functions
// of seed: the same seed gives the same bits.
DPRT_API int32_t dprt_train(dprt_ctx *ctx, const dprt_site *site, const dprt_train_spec *spec, double *params,
                            dprt_train_result *out);

// ---- minimize.c, lbfgs.c ----------------------------------------------------------------------------------------

typedef struct dprt_minimize_spec {
  dprt_fn *value_and_grad; // in: parameters, data; out: value (f64), then one gradient per parameter leaf
  dprt_params params;
  int64_t n_data; // further arguments and captured values, passed as they are
  const dprt_leaf *data_leaves;
  const dprt_slot *data;
  const double *optimizer;
  int64_t optimizer_length;
  double until;     // stop when the gradient's 2-norm is at most this
  int64_t steps;    // stop after so many
  int64_t path;     // flag: record the parameters of every step
  int64_t progress; // flag
} dprt_minimize_spec;

typedef struct dprt_minimize_result {
  double value, gradient_norm; // at the returned parameters
  int64_t steps;
  int64_t converged; // flag: gradient_norm <= until
  int64_t
      stalled; // flag: lbfgs found no lower point in any direction (the precision of the value is exhausted)
  int64_t calls; // of value_and_grad
  double *path;  // [steps + 1, n] from dprt_alloc, the caller's; NULL unless asked for
} dprt_minimize_result;

// Minimises in place. A value or gradient that is not finite ends with DPRT_NAN, and params are the latest finite ones
// (lbfgs only when it starts there: later it shortens the step instead). The result is filled whatever the status.
DPRT_API int32_t dprt_minimize(dprt_ctx *ctx, const dprt_site *site, const dprt_minimize_spec *spec,
                               double *params, dprt_minimize_result *out);

#ifdef __cplusplus
}
#endif
#endif
