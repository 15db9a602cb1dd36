// Runtime: schedules. In: a schedule's doubles and a count of steps or epochs. Out: the factor for the base rate.
// A schedule is plain data, so it can travel inside an optimizer's header; what it says is checked where it is made.
#include "dp/dprt_train.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

double dprt_schedule_factor(const double *s, int64_t count) {
  double t = (double)count, a = s[DPRT_SCHED_A], b = s[DPRT_SCHED_B], c = s[DPRT_SCHED_C];
  switch ((dprt_schedule_kind)s[DPRT_SCHED_KIND]) {
  case DPRT_SCHEDULE_CONSTANT: return 1.0;
  case DPRT_SCHEDULE_STEP: return pow(b, floor(t / a));
  case DPRT_SCHEDULE_EXPONENTIAL: return pow(a, t);
  case DPRT_SCHEDULE_COSINE: return t >= a ? b : b + (1.0 - b) * 0.5 * (1.0 + cos(pi * (t / a)));
  case DPRT_SCHEDULE_LINEAR: return t >= a ? c : b + (c - b) * (t / a);
  }
  return 1.0;
}

static int32_t refuse(dprt_ctx *ctx, const char *schedule, const char *setting, const char *want,
                      double got) {
  return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx), "%s schedule: %s must be %s, got %g", schedule,
                   setting, want, got);
}

static bool positive(double v) { return isfinite(v) && v > 0.0; }

int32_t dprt_schedule_check(dprt_ctx *ctx, const double *s) {
  double kind = s[DPRT_SCHED_KIND], a = s[DPRT_SCHED_A], b = s[DPRT_SCHED_B], c = s[DPRT_SCHED_C];
  if (!(kind >= 0 && kind <= DPRT_SCHEDULE_LINEAR && kind == floor(kind)))
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
                     "these numbers are no schedule; make one with step_schedule, exponential_schedule, "
                     "cosine_schedule or linear_schedule");
  switch ((dprt_schedule_kind)kind) {
  case DPRT_SCHEDULE_CONSTANT: return DPRT_OK;
  case DPRT_SCHEDULE_STEP:
    if (!positive(a)) return refuse(ctx, "step", "every", "positive", a);
    return positive(b) ? DPRT_OK : refuse(ctx, "step", "factor", "positive", b);
  case DPRT_SCHEDULE_EXPONENTIAL:
    return positive(a) ? DPRT_OK : refuse(ctx, "exponential", "rate", "positive", a);
  case DPRT_SCHEDULE_COSINE:
    if (!positive(a)) return refuse(ctx, "cosine", "length", "positive", a);
    return b >= 0.0 && b <= 1.0 ? DPRT_OK : refuse(ctx, "cosine", "floor", "from 0 to 1", b);
  case DPRT_SCHEDULE_LINEAR:
    if (!positive(a)) return refuse(ctx, "linear", "length", "positive", a);
    if (!(isfinite(b) && b >= 0.0)) return refuse(ctx, "linear", "from", "at least 0", b);
    return isfinite(c) && c >= 0.0 ? DPRT_OK : refuse(ctx, "linear", "to", "at least 0", c);
  }
  return DPRT_OK;
}

// ---- constructors, called from dp --------------------------------------------------------------------------------

static int32_t make(dprt_ctx *ctx, dprt_schedule_kind kind, const char *by, double a, double b, double c,
                    dprt_slot *out) {
  bool by_epoch = strcmp(by, "epoch") == 0;
  if (!by_epoch && strcmp(by, "step") != 0)
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
                     "a schedule counts by \"step\" or by \"epoch\", got \"%s\"", by);
  double s[DPRT_SCHEDULE_SIZE] = {kind, by_epoch, a, b, c};
  int32_t status = dprt_schedule_check(ctx, s);
  if (status) return status;
  double *block = dprt_alloc(ctx, sizeof(double), DPRT_SCHEDULE_SIZE, 1, 1, 1);
  if (!block) return DPRT_MEMORY;
  memcpy(block, s, sizeof s);
  out[0].data = block;
  out[1].i64 = DPRT_SCHEDULE_SIZE;
  return DPRT_OK;
}

int32_t dprt_constant_schedule(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)in;
  return make(ctx, DPRT_SCHEDULE_CONSTANT, "step", 0, 0, 0, out);
}

int32_t dprt_step_schedule(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make(ctx, DPRT_SCHEDULE_STEP, in[2].str, (double)in[0].i64, in[1].f64, 0, out);
}

int32_t dprt_exponential_schedule(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make(ctx, DPRT_SCHEDULE_EXPONENTIAL, in[1].str, in[0].f64, 0, 0, out);
}

int32_t dprt_cosine_schedule(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make(ctx, DPRT_SCHEDULE_COSINE, in[2].str, (double)in[0].i64, in[1].f64, 0, out);
}

int32_t dprt_linear_schedule(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  return make(ctx, DPRT_SCHEDULE_LINEAR, in[3].str, (double)in[0].i64, in[1].f64, in[2].f64, out);
}
