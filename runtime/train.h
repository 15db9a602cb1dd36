// What training's files share. Not installed.
#ifndef DP_RUNTIME_TRAIN_H
#define DP_RUNTIME_TRAIN_H

#include "dp/dprt_train.h"

// ---- loss.c: calling a compiled loss ---------------------------------------------------------------------------
// The slots of a loss's arguments, laid out once; parameters come from a flat block at each call.
typedef struct LossCall {
  dprt_ctx *ctx;
  const dprt_site *site;
  const char *who; // "train" or "minimize", for messages
  dprt_params params;
  int64_t *counts; // elements of each parameter leaf
  int64_t n;       // all of them
  dprt_slot *in, *out;
  int64_t data_at; // where the data's slots begin in `in`; they may be changed between calls
} LossCall;

int32_t loss_call_init(LossCall *c, dprt_ctx *ctx, const dprt_site *site, const char *who,
                       const dprt_params *params, int64_t n_data, const dprt_leaf *data_leaves,
                       const dprt_slot *data);
int32_t loss_call_value(LossCall *c, dprt_fn *f, const double *params, double *value);
int32_t loss_call_gradient(LossCall *c, dprt_fn *f, const double *params, double *value, double *gradient);

// ---- lbfgs.c ---------------------------------------------------------------------------------------------------
// A function and its gradient at x; status as for a loss. A value or gradient that is not finite is no error here.
typedef int32_t Objective(void *user, const double *x, double *value, double *gradient);

typedef struct Lbfgs {
  int64_t n, history, used, newest;
  double *s, *y;                      // history x n: steps and changes of the gradient
  double *rho, *alpha;                // history
  double *d, *trial, *trial_gradient; // n
} Lbfgs;

int32_t lbfgs_init(Lbfgs *b, dprt_ctx *ctx, int64_t n, int64_t history);
// One iteration: moves x, value and gradient to a lower point. *moved is false when there is none to be found.
int32_t lbfgs_step(Lbfgs *b, Objective *f, void *user, double *x, double *value, double *gradient,
                   bool *moved);

// ---- progress.c ------------------------------------------------------------------------------------------------
typedef struct Progress {
  dprt_ctx *ctx;
  bool on, terminal, drawn;
  const char *unit;     // "epoch" or "step"
  const char *names[2]; // of the two numbers; the second NULL: one only
  int64_t total, stride, last;
  double start, last_draw, numbers[2];
} Progress;

double progress_clock(void);
void progress_begin(Progress *p, dprt_ctx *ctx, bool on, const char *unit, const char *first,
                    const char *second, int64_t total);
void progress_part(Progress *p, int64_t done, double part,
                   double first); // within unit done + 1; part of it in 0..1
void progress_done(Progress *p, int64_t done, double first, double second); // `done` units are complete
void progress_end(Progress *p);

// ---- history.c -------------------------------------------------------------------------------------------------
// Fails as writing would, as far as can be known now. path may be NULL or "".
int32_t history_check_path(dprt_ctx *ctx, const char *path);
// Both write nothing for a path that is NULL or "". validation may be NULL.
int32_t history_write_csv(dprt_ctx *ctx, const char *path, int64_t epochs, const double *loss,
                          const double *validation);
int32_t history_write_svg(dprt_ctx *ctx, const char *path, int64_t epochs, const double *loss,
                          const double *validation);

#endif
