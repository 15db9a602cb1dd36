// Runtime: optimizers as dp sees them. In: a constructor's arguments as slots. Out: a checked header; and the functions
// behind `like:`, `step` and `next_epoch`, which take and return whole optimizers as values.
#include "dp/dprt_train.h"

#include <string.h>

// A constructor's arguments, read one after another.
typedef struct Reader {
  dprt_ctx *ctx;
  const dprt_slot *in;
  double h[DPRT_OPTIMIZER_HEADER];
  int32_t status;
} Reader;

static Reader begin(dprt_ctx *ctx, const dprt_slot *in, dprt_optimizer_kind kind) {
  Reader r = {.ctx = ctx, .in = in};
  dprt_optimizer_defaults(kind, r.h);
  return r;
}

static void number(Reader *r, int field) { r->h[field] = (r->in++)->f64; }

static void schedule(Reader *r, int field) {
  const double *s = r->in[0].data;
  int64_t size = r->in[1].i64;
  r->in += 2;
  if (size == DPRT_SCHEDULE_SIZE)
    memcpy(r->h + field, s, DPRT_SCHEDULE_SIZE * sizeof(double));
  else if (size != 0 && !r->status)
    r->status = dprt_fail(r->ctx, DPRT_ARGUMENT, dprt_site_now(r->ctx),
                          "%s: an array of %lld numbers is no schedule; make one with step_schedule, "
                          "exponential_schedule, cosine_schedule or linear_schedule",
                          dprt_optimizer_name(r->h), (long long)size);
}

static void style(Reader *r) {
  static const char *const names[] = {"dp", "keras", "pytorch", "optax"};
  const char *given = (r->in++)->str;
  for (int i = 0; i < 4; i++)
    if (strcmp(given, names[i]) == 0) {
      r->h[DPRT_OPT_STYLE] = i;
      return;
    }
  if (!r->status)
    r->status = dprt_fail(r->ctx, DPRT_ARGUMENT, dprt_site_now(r->ctx),
                          "%s: style is \"dp\", \"keras\", \"pytorch\" or \"optax\", got \"%s\"",
                          dprt_optimizer_name(r->h), given);
}

static int32_t finish(Reader *r, dprt_slot *out) {
  if (!r->status) r->status = dprt_optimizer_check(r->ctx, r->h, DPRT_OPTIMIZER_HEADER);
  if (r->status) return r->status;
  double *block = dprt_alloc(r->ctx, sizeof(double), DPRT_OPTIMIZER_HEADER, 1, 1, 1);
  if (!block) return DPRT_MEMORY;
  memcpy(block, r->h, sizeof r->h);
  out[0].data = block;
  out[1].i64 = DPRT_OPTIMIZER_HEADER;
  return DPRT_OK;
}

static int32_t make_sgd(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out, dprt_optimizer_kind kind) {
  Reader r = begin(ctx, in, kind);
  number(&r, DPRT_OPT_LR);
  number(&r, DPRT_OPT_CLIP);
  schedule(&r, DPRT_OPT_LR_SCHEDULE);
  return finish(&r, out);
}

int32_t dprt_gd(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_sgd(ctx, in, out, DPRT_GD);
}

int32_t dprt_sgd(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_sgd(ctx, in, out, DPRT_SGD);
}

static int32_t make_momentum(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out, dprt_optimizer_kind kind) {
  Reader r = begin(ctx, in, kind);
  number(&r, DPRT_OPT_LR);
  number(&r, DPRT_OPT_BETA1);
  number(&r, DPRT_OPT_CLIP);
  schedule(&r, DPRT_OPT_LR_SCHEDULE);
  schedule(&r, DPRT_OPT_BETA_SCHEDULE);
  style(&r);
  return finish(&r, out);
}

int32_t dprt_momentum(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_momentum(ctx, in, out, DPRT_MOMENTUM);
}

int32_t dprt_nesterov(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_momentum(ctx, in, out, DPRT_NESTEROV);
}

// lr, the fields named, clip, schedule, style.
static int32_t make_with(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out, dprt_optimizer_kind kind,
                         const int *fields, int n_fields) {
  Reader r = begin(ctx, in, kind);
  number(&r, DPRT_OPT_LR);
  for (int i = 0; i < n_fields; i++) number(&r, fields[i]);
  number(&r, DPRT_OPT_CLIP);
  schedule(&r, DPRT_OPT_LR_SCHEDULE);
  style(&r);
  return finish(&r, out);
}

int32_t dprt_adagrad(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const int fields[] = {DPRT_OPT_EPS, DPRT_OPT_EXTRA};
  return make_with(ctx, in, out, DPRT_ADAGRAD, fields, 2);
}

int32_t dprt_adadelta(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  Reader r = begin(ctx, in, DPRT_ADADELTA);
  number(&r, DPRT_OPT_LR);
  number(&r, DPRT_OPT_BETA2);
  number(&r, DPRT_OPT_EPS);
  number(&r, DPRT_OPT_CLIP);
  schedule(&r, DPRT_OPT_LR_SCHEDULE);
  return finish(&r, out);
}

int32_t dprt_rmsprop(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const int fields[] = {DPRT_OPT_BETA2, DPRT_OPT_EPS};
  return make_with(ctx, in, out, DPRT_RMSPROP, fields, 2);
}

static const int adam_fields[] = {DPRT_OPT_BETA1, DPRT_OPT_BETA2, DPRT_OPT_EPS};

int32_t dprt_adam(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_with(ctx, in, out, DPRT_ADAM, adam_fields, 3);
}

int32_t dprt_amsgrad(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_with(ctx, in, out, DPRT_AMSGRAD, adam_fields, 3);
}

int32_t dprt_radam(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make_with(ctx, in, out, DPRT_RADAM, adam_fields, 3);
}

int32_t dprt_adamw(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const int fields[] = {DPRT_OPT_BETA1, DPRT_OPT_BETA2, DPRT_OPT_EPS, DPRT_OPT_DECAY};
  return make_with(ctx, in, out, DPRT_ADAMW, fields, 4);
}

int32_t dprt_nadam(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const int fields[] = {DPRT_OPT_BETA1, DPRT_OPT_BETA2, DPRT_OPT_EPS, DPRT_OPT_EXTRA};
  return make_with(ctx, in, out, DPRT_NADAM, fields, 4);
}

int32_t dprt_lion(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const int fields[] = {DPRT_OPT_BETA1, DPRT_OPT_BETA2, DPRT_OPT_DECAY};
  return make_with(ctx, in, out, DPRT_LION, fields, 3);
}

int32_t dprt_lbfgs(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  Reader r = begin(ctx, in, DPRT_LBFGS);
  r.h[DPRT_OPT_EXTRA] = (double)in[0].i64;
  return finish(&r, out);
}

// ---- optimizers as values ------------------------------------------------------------------------------------------

int32_t dprt_optimizer_like(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  const double *header = in[0].data;
  int64_t n = in[2].i64;
  int32_t status = dprt_optimizer_check(ctx, header, in[1].i64);
  if (status) return status;
  // Beyond 2^48 parameters no size computed here could overflow before the allocator refuses it.
  if (n < 0 || n > (INT64_C(1) << 48))
    return dprt_fail(ctx, DPRT_SIZE, dprt_site_now(ctx), "%s: %lld parameters", dprt_optimizer_name(header),
                     (long long)n);
  int64_t size = dprt_optimizer_size(header, n);
  double *block = dprt_alloc(ctx, sizeof(double), size, 1, 1, 1);
  if (!block) return DPRT_MEMORY;
  dprt_optimizer_init(block, header, n);
  out[0].data = block;
  out[1].i64 = size;
  return DPRT_OK;
}

// A copy of o, which must be as long as it says.
static double *copy_optimizer(dprt_ctx *ctx, const double *o, int64_t length) {
  if (dprt_optimizer_check(ctx, o, length)) return NULL;
  double n = o[DPRT_OPT_N];
  if (!(n >= 0 && n <= 0x1p48 && dprt_optimizer_size(o, (int64_t)n) == length)) {
    dprt_fail(ctx, DPRT_SIZE, dprt_site_now(ctx),
              "%s: an optimizer of %lld numbers cannot be for %g parameters", dprt_optimizer_name(o),
              (long long)length, n);
    return NULL;
  }
  double *block = dprt_alloc(ctx, sizeof(double), length, 1, 1, 1);
  if (block) memcpy(block, o, (size_t)length * sizeof(double));
  return block;
}

int32_t dprt_optimizer_update(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  int64_t length = in[1].i64, n = in[3].i64;
  if (n != in[5].i64)
    return dprt_fail_size(ctx, dprt_site_now(ctx), "step: parameters and gradient", n, in[5].i64);
  double *o = copy_optimizer(ctx, in[0].data, length);
  if (!o) return dprt_get_error(ctx)->status;
  double *w = dprt_alloc(ctx, sizeof(double), n, 1, 1, 1);
  int32_t status = w ? DPRT_OK : DPRT_MEMORY;
  if (!status) {
    if (n > 0) memcpy(w, in[2].data, (size_t)n * sizeof(double));
    status = dprt_optimizer_step(ctx, o, w, in[4].data, n);
  }
  if (status) {
    dprt_free(ctx, w);
    dprt_free(ctx, o);
    return status;
  }
  out[0].data = o;
  out[1].i64 = length;
  out[2].data = w;
  out[3].i64 = n;
  return DPRT_OK;
}

int32_t dprt_optimizer_next_epoch(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  double *o = copy_optimizer(ctx, in[0].data, in[1].i64);
  if (!o) return dprt_get_error(ctx)->status;
  o[DPRT_OPT_EPOCH] += 1.0;
  out[0].data = o;
  out[1].i64 = in[1].i64;
  return DPRT_OK;
}
