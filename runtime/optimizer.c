// Runtime: update rules. In: an optimizer's header and state, parameters, their gradient. Out: the same blocks one step
// on. Each rule is one pass of a plain loop over all parameters; what depends on the step alone is computed before it,
// in extended precision where a difference of nearly equal numbers would lose digits. Equations: dprt_train.h.
#include "dp/dprt_train.h"

#include <math.h>
#include <string.h>

#define STYLE_BIT(style) (1u << (style))
#define STYLE_ALL 0xFu

typedef struct Kind {
  const char *name;
  int states;
  double lr, beta1, beta2, eps, decay, extra;
  unsigned styles;
} Kind;

static const Kind kinds[DPRT_OPTIMIZER_KINDS] = {
#define OPTIMIZER(KIND, name, states, lr, beta1, beta2, eps, decay, extra, styles)                           \
  [DPRT_##KIND] = {#name, states, lr, beta1, beta2, eps, decay, extra, styles},
#include "dp/optimizers.def"
#undef OPTIMIZER
};

static const char *const style_names[] = {"dp", "keras", "pytorch", "optax"};

// The same loops for the vector widths of this machine's family, chosen when the program starts. Each element's
// arithmetic is the same in all of them (contraction is off), so the bits are too.
#if defined(__x86_64__) && defined(__linux__)
#define FOR_EACH_WIDTH __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define FOR_EACH_WIDTH
#endif

// ---- norms -------------------------------------------------------------------------------------------------------

enum { LANES = 8 }; // sums run in this many lanes, whatever the machine has, so that their bits never differ

static double sum_squares(const double *v, int64_t n, double scale) {
  double lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) {
      double x = v[i + l] * scale;
      lane[l] += x * x;
    }
  for (int l = 0; i < n; i++, l++) {
    double x = v[i] * scale;
    lane[l] += x * x;
  }
  return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

double dprt_norm2(const double *v, int64_t n) {
  double s = sum_squares(v, n, 1.0);
  if (s > 1e-280 && s < 1e300) return sqrt(s);
  double largest = 0.0;
  for (int64_t i = 0; i < n; i++) {
    double a = fabs(v[i]);
    if (!(a <= largest)) largest = a; // NaN too
  }
  if (largest == 0.0 || !isfinite(largest)) return largest;
  int exponent;
  frexp(largest, &exponent);
  if (exponent < -1000) exponent = -1000; // 2^-exponent must be finite
  return ldexp(sqrt(sum_squares(v, n, ldexp(1.0, -exponent))), exponent);
}

FOR_EACH_WIDTH bool dprt_all_finite(const double *v, int64_t n) {
  enum { WIDE = 4 * LANES }; // enough to hide the latency of an addition; the order does not matter here
  double lane[WIDE] = {0};
  int64_t i = 0;
  for (; i + WIDE <= n; i += WIDE)
    for (int l = 0; l < WIDE; l++) lane[l] += v[i + l] * 0.0; // 0, or NaN for ever
  for (int l = 0; i < n; i++, l++) lane[l] += v[i] * 0.0;
  double sum = 0.0;
  for (int l = 0; l < WIDE; l++) sum += lane[l];
  return sum == 0.0;
}

// ---- rules -------------------------------------------------------------------------------------------------------

// What one step needs besides the vectors: `a` multiplies the update, `b` and `c` are the rule's own, k scales g.
typedef struct Step {
  double a, b, c, k;
  double beta1, beta2, eps;
  double before, after; // decay: w is multiplied before and after the update
} Step;

FOR_EACH_WIDTH static void rule_sgd(const Step *p, double *restrict w, const double *restrict g, int64_t n) {
  const double a = p->a, k = p->k;
  for (int64_t i = 0; i < n; i++) w[i] -= a * (k * g[i]);
}

// m = beta m - b g;  w += a m
FOR_EACH_WIDTH static void rule_momentum(const Step *p, double *restrict w, const double *restrict g,
                                         double *restrict m, int64_t n) {
  const double a = p->a, b = p->b, k = p->k, beta = p->beta1;
  for (int64_t i = 0; i < n; i++) {
    m[i] = beta * m[i] - b * (k * g[i]);
    w[i] += a * m[i];
  }
}

// m = beta m + b g;  w -= a (b g + beta m)
FOR_EACH_WIDTH static void rule_nesterov(const Step *p, double *restrict w, const double *restrict g,
                                         double *restrict m, int64_t n) {
  const double a = p->a, b = p->b, k = p->k, beta = p->beta1;
  for (int64_t i = 0; i < n; i++) {
    double x = b * (k * g[i]);
    m[i] = beta * m[i] + x;
    w[i] -= a * (x + beta * m[i]);
  }
}

FOR_EACH_WIDTH static void rule_adagrad(const Step *p, double *restrict w, const double *restrict g,
                                        double *restrict s, int64_t n, bool inside) {
  const double a = p->a, k = p->k, eps = p->eps;
  const double in = inside ? eps : 0.0, out = inside ? 0.0 : eps;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    s[i] += x * x;
    w[i] -= a * x / (sqrt(s[i] + in) + out);
  }
}

FOR_EACH_WIDTH static void rule_adadelta(const Step *p, double *restrict w, const double *restrict g,
                                         double *restrict s, double *restrict u, int64_t n) {
  const double a = p->a, k = p->k, rho = p->beta2, rest = 1.0 - p->beta2, eps = p->eps;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    s[i] = rho * s[i] + rest * (x * x);
    double d = sqrt(u[i] + eps) / sqrt(s[i] + eps) * x;
    u[i] = rho * u[i] + rest * (d * d);
    w[i] -= a * d;
  }
}

FOR_EACH_WIDTH static void rule_rmsprop(const Step *p, double *restrict w, const double *restrict g,
                                        double *restrict v, int64_t n, bool inside) {
  const double a = p->a, k = p->k, beta = p->beta2, rest = 1.0 - p->beta2, eps = p->eps;
  const double in = inside ? eps : 0.0, out = inside ? 0.0 : eps;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    v[i] = beta * v[i] + rest * (x * x);
    w[i] -= a * x / (sqrt(v[i] + in) + out);
  }
}

// adam, adamw, nadam, rectified radam: w -= (a m + b g) / (sqrt(c v) + eps)
FOR_EACH_WIDTH static void rule_adam(const Step *p, double *restrict w, const double *restrict g,
                                     double *restrict m, double *restrict v, int64_t n) {
  const double a = p->a, b = p->b, c = p->c, k = p->k, eps = p->eps;
  const double beta1 = p->beta1, rest1 = 1.0 - p->beta1, beta2 = p->beta2, rest2 = 1.0 - p->beta2;
  const double before = p->before, after = p->after;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    m[i] = beta1 * m[i] + rest1 * x;
    v[i] = beta2 * v[i] + rest2 * (x * x);
    w[i] = (w[i] * before - (a * m[i] + b * x) / (sqrt(c * v[i]) + eps)) * after;
  }
}

// x = max(x, b v);  w -= a m / (sqrt(c x) + eps)
FOR_EACH_WIDTH static void rule_amsgrad(const Step *p, double *restrict w, const double *restrict g,
                                        double *restrict m, double *restrict v, double *restrict x,
                                        int64_t n) {
  const double a = p->a, b = p->b, c = p->c, k = p->k, eps = p->eps;
  const double beta1 = p->beta1, rest1 = 1.0 - p->beta1, beta2 = p->beta2, rest2 = 1.0 - p->beta2;
  for (int64_t i = 0; i < n; i++) {
    double y = k * g[i];
    m[i] = beta1 * m[i] + rest1 * y;
    v[i] = beta2 * v[i] + rest2 * (y * y);
    double z = b * v[i];
    x[i] = z <= x[i] ? x[i] : z; // NaN too
    w[i] -= a * m[i] / (sqrt(c * x[i]) + eps);
  }
}

// radam before it rectifies: w -= a m
FOR_EACH_WIDTH static void rule_unrectified(const Step *p, double *restrict w, const double *restrict g,
                                            double *restrict m, double *restrict v, int64_t n) {
  const double a = p->a, k = p->k;
  const double beta1 = p->beta1, rest1 = 1.0 - p->beta1, beta2 = p->beta2, rest2 = 1.0 - p->beta2;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    m[i] = beta1 * m[i] + rest1 * x;
    v[i] = beta2 * v[i] + rest2 * (x * x);
    w[i] -= a * m[i];
  }
}

FOR_EACH_WIDTH static void rule_lion(const Step *p, double *restrict w, const double *restrict g,
                                     double *restrict m, int64_t n) {
  const double a = p->a, k = p->k, before = p->before;
  const double beta1 = p->beta1, rest1 = 1.0 - p->beta1, beta2 = p->beta2, rest2 = 1.0 - p->beta2;
  for (int64_t i = 0; i < n; i++) {
    double x = k * g[i];
    double c = beta1 * m[i] + rest1 * x;
    double sign = c > 0.0 ? 1.0 : c < 0.0 ? -1.0 : c; // 0 stays 0, NaN stays NaN
    w[i] = w[i] * before - a * sign;
    m[i] = beta2 * m[i] + rest2 * x;
  }
}

// ---- what depends on the step alone --------------------------------------------------------------------------------

// 1 - beta^t to full precision, also where beta^t is close to 1.
static long double unbias(double beta, double t) {
  return -expm1l((long double)t * log1pl((long double)beta - 1.0L));
}

// The rectification term of radam, or 0 while the variance is intractable.
static double rectification(double beta2, double t, bool optax) {
  long double unbias2 = unbias(beta2, t);
  long double limit = 2.0L / (1.0L - beta2) - 1.0L;
  long double r = limit - 2.0L * t * (1.0L - unbias2) / unbias2;
  if (!(r > 5.0L || (optax && r == 5.0L))) return 0.0;
  return (double)sqrtl((r - 4.0L) * (r - 2.0L) * limit / ((limit - 4.0L) * (limit - 2.0L) * r));
}

static void prepare_adam(Step *p, const double *o, double t, double lr, dprt_style style) {
  long double unbias1 = unbias(p->beta1, t), unbias2 = unbias(p->beta2, t);
  if (style == DPRT_STYLE_KERAS) {
    p->a = (double)(lr * sqrtl(unbias2) / unbias1);
    p->c = 1.0;
  } else {
    p->a = (double)(lr / unbias1);
    p->c = (double)(1.0L / unbias2);
  }
  double decay = (double)(1.0L - (long double)lr * o[DPRT_OPT_DECAY]);
  *(style == DPRT_STYLE_DP ? &p->after : &p->before) = decay;
}

static void prepare_nadam(Step *p, double *o, double t, double lr, dprt_style style) {
  p->c = (double)(1.0L / unbias(p->beta2, t));
  if (style == DPRT_STYLE_OPTAX) {
    p->a = (double)(lr * (long double)p->beta1 / unbias(p->beta1, t + 1.0));
    p->b = (double)(lr * (1.0L - p->beta1) / unbias(p->beta1, t));
    return;
  }
  double psi = o[DPRT_OPT_EXTRA];
  double mu = p->beta1 * (1.0 - 0.5 * pow(0.96, t * psi));
  double mu_next = p->beta1 * (1.0 - 0.5 * pow(0.96, (t + 1.0) * psi));
  double product = o[DPRT_OPT_PRODUCT] * mu;
  o[DPRT_OPT_PRODUCT] = product;
  p->a = (double)((long double)lr * mu_next / (1.0L - (long double)product * mu_next));
  p->b = (double)((long double)lr * (1.0L - mu) / (1.0L - product));
}

static void step_amsgrad(Step *p, const double *o, double t, double lr, dprt_style style, double *w,
                         const double *g, double *s, int64_t n) {
  prepare_adam(p, o, t, lr, style);
  p->b = 1.0;
  if (style == DPRT_STYLE_OPTAX) {
    p->b = p->c;
    p->c = 1.0;
  }
  rule_amsgrad(p, w, g, s, s + n, s + 2 * n, n);
}

static void step_radam(Step *p, double t, double lr, dprt_style style, double *w, const double *g, double *s,
                       int64_t n) {
  long double unbias1 = unbias(p->beta1, t), unbias2 = unbias(p->beta2, t);
  double r = rectification(p->beta2, t, style == DPRT_STYLE_OPTAX);
  if (r == 0.0) {
    p->a = (double)(lr / unbias1);
    rule_unrectified(p, w, g, s, s + n, n);
    return;
  }
  bool outside = style == DPRT_STYLE_PYTORCH;
  p->a = (double)(lr * (long double)r * (outside ? sqrtl(unbias2) : 1.0L) / unbias1);
  p->c = outside ? 1.0 : (double)(1.0L / unbias2);
  rule_adam(p, w, g, s, s + n, n);
}

static void run_rule(Step *p, double *o, double lr, double *w, const double *g, int64_t n) {
  dprt_style style = (dprt_style)o[DPRT_OPT_STYLE];
  double t = o[DPRT_OPT_T] + 1.0;
  double *s = o + DPRT_OPTIMIZER_HEADER;
  bool keras = style == DPRT_STYLE_KERAS;
  p->a = lr;
  switch ((dprt_optimizer_kind)o[DPRT_OPT_KIND]) {
  case DPRT_GD:
  case DPRT_SGD: rule_sgd(p, w, g, n); return;
  case DPRT_MOMENTUM:
  case DPRT_NESTEROV:
    p->a = keras ? 1.0 : lr;
    p->b = keras ? lr : 1.0;
    if ((dprt_optimizer_kind)o[DPRT_OPT_KIND] == DPRT_MOMENTUM)
      rule_momentum(p, w, g, s, n);
    else
      rule_nesterov(p, w, g, s, n);
    return;
  case DPRT_ADAGRAD: rule_adagrad(p, w, g, s, n, keras || style == DPRT_STYLE_OPTAX); return;
  case DPRT_ADADELTA: rule_adadelta(p, w, g, s, s + n, n); return;
  case DPRT_RMSPROP: rule_rmsprop(p, w, g, s, n, style != DPRT_STYLE_PYTORCH); return;
  case DPRT_ADAM:
  case DPRT_ADAMW:
    prepare_adam(p, o, t, lr, style);
    rule_adam(p, w, g, s, s + n, n);
    return;
  case DPRT_AMSGRAD: step_amsgrad(p, o, t, lr, style, w, g, s, n); return;
  case DPRT_NADAM:
    prepare_nadam(p, o, t, lr, style);
    rule_adam(p, w, g, s, s + n, n);
    return;
  case DPRT_RADAM: step_radam(p, t, lr, style, w, g, s, n); return;
  case DPRT_LION:
    p->before = (double)(1.0L - (long double)lr * o[DPRT_OPT_DECAY]);
    rule_lion(p, w, g, s, n);
    return;
  case DPRT_LBFGS:
  case DPRT_OPTIMIZER_KINDS: return; // refused by dprt_optimizer_step
  }
}

// ---- steps -------------------------------------------------------------------------------------------------------

static bool is_kind(double kind) { return kind >= 0 && kind < DPRT_OPTIMIZER_KINDS && kind == floor(kind); }

static const Kind *kind_of(const double *o) { return &kinds[(int)o[DPRT_OPT_KIND]]; }

// The factor of the schedule that starts at o[at].
static int32_t scheduled(dprt_ctx *ctx, const double *o, int at, double *factor) {
  const double *s = o + at;
  if (s[DPRT_SCHED_KIND] == DPRT_SCHEDULE_CONSTANT) {
    *factor = 1.0;
    return DPRT_OK;
  }
  bool by_epoch = s[DPRT_SCHED_BY_EPOCH] != 0.0;
  double count = by_epoch ? o[DPRT_OPT_EPOCH] : o[DPRT_OPT_T];
  if (count < 0.0)
    return dprt_fail(
        ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
        "%s: its schedule counts epochs, but no epoch was begun; call next_epoch at the start of each "
        "epoch, or make the schedule count steps",
        kind_of(o)->name);
  *factor = dprt_schedule_factor(s, (int64_t)count);
  return DPRT_OK;
}

static int32_t check_step(dprt_ctx *ctx, const double *o, int64_t n) {
  if (!is_kind(o[DPRT_OPT_KIND])) return dprt_optimizer_check(ctx, o, DPRT_OPTIMIZER_HEADER);
  const Kind *kind = kind_of(o);
  if (kind == &kinds[DPRT_LBFGS])
    return dprt_fail(
        ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
        "lbfgs chooses its own steps by a line search; use it with minimize, or take another optimizer");
  if (kind->states == 0 || o[DPRT_OPT_N] == (double)n) return DPRT_OK;
  if (o[DPRT_OPT_N] == 0.0)
    return dprt_fail(
        ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
        "%s: this optimizer has no state yet; make it for the parameters with like:", kind->name);
  return dprt_fail(ctx, DPRT_SIZE, dprt_site_now(ctx),
                   "%s: this optimizer was made for %.0f parameters, but there are %lld", kind->name,
                   o[DPRT_OPT_N], (long long)n);
}

int32_t dprt_optimizer_step(dprt_ctx *ctx, double *o, double *w, const double *g, int64_t n) {
  int32_t status = check_step(ctx, o, n);
  double lr_factor = 1.0, beta_factor = 1.0;
  if (!status) status = scheduled(ctx, o, DPRT_OPT_LR_SCHEDULE, &lr_factor);
  if (!status) status = scheduled(ctx, o, DPRT_OPT_BETA_SCHEDULE, &beta_factor);
  if (status) return status;
  Step p = {.k = 1.0, .beta2 = o[DPRT_OPT_BETA2], .eps = o[DPRT_OPT_EPS], .before = 1.0, .after = 1.0};
  p.beta1 = o[DPRT_OPT_BETA1] * beta_factor;
  if (!(p.beta1 >= 0.0 && p.beta1 < 1.0))
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
                     "%s: the schedule brings beta to %g at step %.0f; it must stay below 1",
                     kind_of(o)->name, p.beta1, o[DPRT_OPT_T] + 1.0);
  if (o[DPRT_OPT_CLIP] > 0.0) {
    double norm = dprt_norm2(g, n);
    if (norm > o[DPRT_OPT_CLIP]) p.k = o[DPRT_OPT_CLIP] / norm;
  }
  run_rule(&p, o, o[DPRT_OPT_LR] * lr_factor, w, g, n);
  o[DPRT_OPT_T] += 1.0;
  return DPRT_OK;
}

// ---- making ------------------------------------------------------------------------------------------------------

const char *dprt_optimizer_name(const double *o) {
  return is_kind(o[DPRT_OPT_KIND]) ? kind_of(o)->name : "?";
}

void dprt_optimizer_defaults(dprt_optimizer_kind kind, double header[DPRT_OPTIMIZER_HEADER]) {
  const Kind *k = &kinds[kind];
  memset(header, 0, DPRT_OPTIMIZER_HEADER * sizeof(double));
  header[DPRT_OPT_KIND] = kind;
  header[DPRT_OPT_EPOCH] = -1.0;
  header[DPRT_OPT_LR] = k->lr;
  header[DPRT_OPT_BETA1] = k->beta1;
  header[DPRT_OPT_BETA2] = k->beta2;
  header[DPRT_OPT_EPS] = k->eps;
  header[DPRT_OPT_DECAY] = k->decay;
  header[DPRT_OPT_EXTRA] = k->extra;
  header[DPRT_OPT_PRODUCT] = 1.0;
}

int64_t dprt_optimizer_size(const double *header, int64_t n) {
  return DPRT_OPTIMIZER_HEADER + kind_of(header)->states * n;
}

void dprt_optimizer_init(double *dst, const double *header, int64_t n) {
  if (dst != header) memcpy(dst, header, DPRT_OPTIMIZER_HEADER * sizeof(double));
  dst[DPRT_OPT_N] = (double)n;
  dst[DPRT_OPT_T] = 0.0;
  dst[DPRT_OPT_EPOCH] = -1.0;
  dst[DPRT_OPT_PRODUCT] = 1.0;
  int64_t count = kind_of(dst)->states * n;
  double initial = (dprt_optimizer_kind)dst[DPRT_OPT_KIND] == DPRT_ADAGRAD ? dst[DPRT_OPT_EXTRA] : 0.0;
  for (int64_t i = 0; i < count; i++) dst[DPRT_OPTIMIZER_HEADER + i] = initial;
}

typedef struct Range {
  int field;
  const char *setting;
  double below; // at least 0 and below this
} Range;

static int32_t check_ranges(dprt_ctx *ctx, const double *h) {
  const Range ranges[] = {
      {DPRT_OPT_LR, "lr", INFINITY},       {DPRT_OPT_BETA1, "beta1", 1.0},
      {DPRT_OPT_BETA2, "beta2", 1.0},      {DPRT_OPT_EPS, "eps", INFINITY},
      {DPRT_OPT_DECAY, "decay", INFINITY}, {DPRT_OPT_CLIP, "clip", INFINITY},
      {DPRT_OPT_EXTRA, "extra", INFINITY},
  };
  dprt_optimizer_kind kind = (dprt_optimizer_kind)h[DPRT_OPT_KIND];
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    const Range *r = &ranges[i];
    if (h[r->field] >= 0.0 && h[r->field] < r->below) continue;
    const char *setting = r->setting;
    if (r->field == DPRT_OPT_EXTRA)
      setting = kind == DPRT_ADAGRAD ? "initial" : kind == DPRT_NADAM ? "psi" : "history";
    if (r->field == DPRT_OPT_BETA1 && (kind == DPRT_MOMENTUM || kind == DPRT_NESTEROV)) setting = "beta";
    if (r->field == DPRT_OPT_BETA2 && (kind == DPRT_ADADELTA || kind == DPRT_RMSPROP))
      setting = kind == DPRT_ADADELTA ? "rho" : "beta";
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx), "%s: %s must be at least 0%s, got %g",
                     kind_of(h)->name, setting, r->below == 1.0 ? " and below 1" : " and finite",
                     h[r->field]);
  }
  return DPRT_OK;
}

int32_t dprt_optimizer_check(dprt_ctx *ctx, const double *h, int64_t length) {
  if (length < DPRT_OPTIMIZER_HEADER || !is_kind(h[DPRT_OPT_KIND]))
    return dprt_fail(
        ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
        "these numbers are no optimizer; make one with sgd, momentum, adam or another of its kind");
  const Kind *kind = kind_of(h);
  double style = h[DPRT_OPT_STYLE];
  if (!(style >= 0 && style <= DPRT_STYLE_OPTAX && style == floor(style)))
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx), "%s: %g is not a style", kind->name, style);
  if (!(kind->styles & STYLE_BIT((int)style)))
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx),
                     "%s: %s has no such optimizer, so there is no such style", kind->name,
                     style_names[(int)style]);
  if (kind == &kinds[DPRT_LBFGS] && !(h[DPRT_OPT_EXTRA] >= 1.0 && h[DPRT_OPT_EXTRA] <= 1000.0))
    return dprt_fail(ctx, DPRT_ARGUMENT, dprt_site_now(ctx), "lbfgs: history must be from 1 to 1000, got %g",
                     h[DPRT_OPT_EXTRA]);
  int32_t status = check_ranges(ctx, h);
  if (!status) status = dprt_schedule_check(ctx, h + DPRT_OPT_LR_SCHEDULE);
  return status ? status : dprt_schedule_check(ctx, h + DPRT_OPT_BETA_SCHEDULE);
}
