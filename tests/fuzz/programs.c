// The checks of random programs: see programs.h. Code comes from the embedding API, the quadruple-precision values from the
// oracle over the lowered program, the printed adjoint and the executable from the command line's own entry.
#include "programs.h"

#include "dp/dp.h"
#include "driver/driver.h"
#include "program_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 4, N_FLOATS = 2 + N + N + N * N + 1 + 3, N_ARGS = 9, N_GRADS = 7 };

typedef struct Inputs { // in the order of f's parameters
  double x, y, v[N], u[N], m[N * N], a, w[3];
  int64_t idx[N], k;
} Inputs;

typedef struct Outcome {
  double value, grad[N_FLOATS];
} Outcome;

typedef struct Check {
  ProgramText source;
  Inputs in;
  dp_context *ctx;
  ProgramStats *stats;
  char *why;
  size_t room;
} Check;

static bool complain(Check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool complain(Check *c, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(c->why, c->room, fmt, ap);
  va_end(ap);
  if (n > 0 && (size_t)n < c->room)
    snprintf(c->why + n, c->room - (size_t)n, "\n%s", c->source.text ? c->source.text : "");
  return false;
}

// ---- inputs ------------------------------------------------------------------------------------------------------------

static void make_inputs(Inputs *in, uint64_t seed) {
  uint8_t bytes[4 * N_FLOATS];
  program_bytes(seed, bytes, sizeof bytes);
  double flat[N_FLOATS];
  for (int i = 0; i < N_FLOATS; i++) { // in ±[0.2, 1.2]
    unsigned r = (unsigned)bytes[4 * i] << 16 | (unsigned)bytes[4 * i + 1] << 8 | bytes[4 * i + 2];
    flat[i] = (0.2 + (double)r * 0x1p-24) * (bytes[4 * i + 3] & 1 ? -1.0 : 1.0);
  }
  memcpy(&in->x, flat, sizeof flat);
  static const int64_t idx[N] = {2, 0, 3, 0};
  memcpy(in->idx, idx, sizeof idx);
  in->k = 2;
}

static void to_values(const Inputs *in, dp_value out[N_ARGS]) {
  out[0] = dp_f64(in->x);
  out[1] = dp_f64(in->y);
  out[2] = dp_vector((double *)in->v, N);
  out[3] = dp_vector((double *)in->u, N);
  out[4] = dp_matrix((double *)in->m, N, N);
  out[5] = dp_f64(in->a);
  out[6] = dp_vector((double *)in->w, 3);
  out[7] = (dp_value){.kind = DP_INT, .rank = 1, .sizes = {N}, .data = (void *)in->idx};
  out[8] = dp_int(in->k);
}

static bool from_values(const dp_value *v, int n, double *out, int room) {
  int at = 0;
  for (int i = 0; i < n; i++) {
    int count = 1;
    for (int d = 0; d < v[i].rank; d++) count *= (int)v[i].sizes[d];
    if (at + count > room) return false;
    memcpy(out + at, v[i].rank ? v[i].data : (const void *)&v[i].f64, sizeof(double) * (size_t)count);
    at += count;
  }
  return at == room;
}

// ---- compiled code -----------------------------------------------------------------------------------------------------

typedef enum Got { GOT, REFUSED, FAILED } Got;

static Got call(Check *c, dp_function *f, double *out, int n_out) {
  dp_value args[N_ARGS], results[1 + N_GRADS];
  int n;
  dp_results(f, &n);
  if (n > 1 + N_GRADS) return complain(c, "%d results", n), FAILED;
  to_values(&c->in, args);
  if (dp_call(f, args, results) != DP_OK)
    return complain(c, "the call fails: %s", dp_last_error(c->ctx)), FAILED;
  bool fits = from_values(results, n, out, n_out);
  for (int i = 0; i < n; i++) dp_value_free(c->ctx, &results[i]);
  return fits ? GOT : (complain(c, "the results have other sizes"), FAILED);
}

static Got lookup_and_call(Check *c, dp_program *p, const char *expr, double *out, int n_out) {
  dp_function *f;
  if (dp_lookup(p, expr, NULL, &f) != DP_OK) {
    int n;
    const dp_diagnostic *d = dp_diagnostics(c->ctx, &n);
    if (n && (!strcmp(d[0].code, "E0651"))) return REFUSED;
    return complain(c, "%s: %s", expr, dp_diagnostics_text(c->ctx)), FAILED;
  }
  return call(c, f, out, n_out);
}

static dp_program *compile(Check *c, const char *text, size_t len, int level, bool strict) {
  dp_options o = dp_options_default();
  o.opt_level = level;
  o.strict_fp = strict;
  dp_program *p = NULL;
  if (dp_compile(c->ctx, "program.dp", text, len, &o, &p) != DP_OK)
    complain(c, "it does not compile: %s", dp_diagnostics_text(c->ctx));
  return p;
}

static Got outcome(Check *c, int level, bool strict, Outcome *out) {
  dp_program *p = compile(c, c->source.text, c->source.len, level, strict);
  if (!p) return FAILED;
  Got got = lookup_and_call(c, p, "f", &out->value, 1);
  if (got != GOT) return got;
  double both[1 + N_FLOATS];
  got = lookup_and_call(c, p, "value_and_grad(f)", both, 1 + N_FLOATS);
  if (got != GOT) return got;
  memcpy(out->grad, both + 1, sizeof out->grad);
  bool same = strict ? !memcmp(both, &out->value, sizeof(double)) || isnan(both[0])
                     : fabs(both[0] - out->value) <= 1e-10 * (1 + fabs(out->value)) || !isfinite(both[0]);
  if (!same)
    return complain(c, "-O%d: f gives %.17g, value_and_grad(f) %.17g", level, out->value, both[0]), FAILED;
  return GOT;
}

static bool is_finite(const Outcome *o) {
  bool yes = isfinite(o->value);
  for (int i = 0; i < N_FLOATS; i++) yes = yes && isfinite(o->grad[i]) && fabs(o->grad[i]) < 1e8;
  return yes;
}

static bool same_bits(Check *c, const Outcome *a, const Outcome *b, const char *what) {
  if (memcmp(&a->value, &b->value, sizeof a->value))
    return complain(c, "%s: the values are %.17g and %.17g", what, a->value, b->value);
  for (int i = 0; i < N_FLOATS; i++)
    if (a->grad[i] != b->grad[i])
      return complain(c, "%s: derivative %d is %.17g and %.17g", what, i, a->grad[i], b->grad[i]);
  return true;
}

static double largest(const double *g) {
  double most = 1;
  for (int i = 0; i < N_FLOATS; i++) most = fmax(most, fabs(g[i]));
  return most;
}

static bool nearly(Check *c, const double *a, const double *b, double tolerance, const char *what) {
  double most = largest(a);
  for (int i = 0; i < N_FLOATS; i++)
    if (!(fabs(a[i] - b[i]) <= tolerance * most))
      return complain(c, "%s: derivative %d is %.17g and %.17g", what, i, a[i], b[i]);
  return true;
}

static bool forward_agrees(Check *c, const Outcome *reverse) {
  dp_program *p = compile(c, c->source.text, c->source.len, 2, true);
  if (!p) return false;
  double grad[N_FLOATS];
  Got got = lookup_and_call(c, p, "grad(f, mode: forward)", grad, N_FLOATS);
  return got == REFUSED || (got == GOT && nearly(c, reverse->grad, grad, 1e-11, "reverse and forward mode"));
}

// ---- differences in quadruple precision ----------------------------------------------------------------------------------

typedef struct Oracle {
  Check *c;
  Session *s;
  IrModule *m;
} Oracle;

static bool lower(void *user) {
  Oracle *o = user;
  if (!session_load(o->s, "program.dp", o->c->source.text, o->c->source.len)) return false;
  Name f = intern_cstr(o->s->names, "f");
  LowerRoot root = {.fn = sema_find_fn(o->s->program, f), .real = IR_F64, .name = f};
  o->m = session_lower(o->s, &root, 1);
  return o->m != NULL;
}

static IrCell cell_of(Oracle *o, const IrFunc *f, int k, const double *flat) {
  const char *path = f->params[k].path;
  int64_t n2[] = {N, N}, three[] = {3};
  if (k < f->n_sizes || !path) return ir_cell_int(N);
  if (!strcmp(path, "idx")) return ir_cell_ints(o->s->arena, 1, n2, o->c->in.idx);
  if (!strcmp(path, "k")) return ir_cell_int(o->c->in.k);
  if (!strcmp(path, "x")) return ir_cell_f64(flat[0]);
  if (!strcmp(path, "y")) return ir_cell_f64(flat[1]);
  if (!strcmp(path, "v")) return ir_cell_array(o->s->arena, IR_F64, 1, n2, flat + 2);
  if (!strcmp(path, "u")) return ir_cell_array(o->s->arena, IR_F64, 1, n2, flat + 2 + N);
  if (!strcmp(path, "m")) return ir_cell_array(o->s->arena, IR_F64, 2, n2, flat + 2 + 2 * N);
  if (!strcmp(path, "p.a")) return ir_cell_f64(flat[2 + 2 * N + N * N]);
  return ir_cell_array(o->s->arena, IR_F64, 1, three, flat + 3 + 2 * N + N * N);
}

static bool quad_value(Oracle *o, const double *flat, __float128 *out) {
  const IrFunc *f = ir_func_find(o->m, intern_cstr(o->s->names, "f"));
  enum { MOST = 24 };
  IrCell args[MOST], result;
  if (!f || f->n_params > MOST) return false;
  // The size of `w` is a constant of its type, which lowering may pass as a size: it is the last one then.
  for (int k = 0; k < f->n_params; k++) args[k] = cell_of(o, f, k, flat);
  for (int k = 0; k < f->n_sizes; k++)
    if (strcmp(f->params[k].path ? f->params[k].path : "n", "n") != 0) args[k] = ir_cell_int(3);
  IrInterp in = {.arena = o->s->arena, .module = o->m, .max_steps = 5000000};
  if (!ir_interp(&in, f, args, &result)) return complain(o->c, "the oracle fails: %s", in.error);
  *out = result.v.q;
  return true;
}

// Along a random direction: (f(x + h d) - f(x - h d)) / 2h, whose error is about h². The points are rounded to doubles, so
// the direction is what the rounded points say.
static bool differences_agree(Check *c, Oracle *o, const Outcome *got, uint64_t seed) {
  double at[N_FLOATS], up[N_FLOATS], down[N_FLOATS];
  uint8_t bytes[N_FLOATS];
  memcpy(at, &c->in.x, sizeof at);
  program_bytes(seed, bytes, sizeof bytes);
  double slope[2], expected[2], scale = 1;
  for (int half = 0; half < 2; half++) {
    double h = half ? 0x1p-21 : 0x1p-20;
    __float128 f[2], sum = 0;
    for (int i = 0; i < N_FLOATS; i++) {
      double d = ((double)bytes[i] - 127.5) / 128.0;
      up[i] = at[i] + h * d;
      down[i] = at[i] - h * d;
      sum += (__float128)got->grad[i] * ((__float128)up[i] - (__float128)down[i]);
      scale = fmax(scale, fabs(got->grad[i]));
    }
    if (!quad_value(o, up, &f[0]) || !quad_value(o, down, &f[1])) return false;
    slope[half] = (double)((f[0] - f[1]) / (2 * h));
    expected[half] = (double)(sum / (2 * h));
  }
  // A branch or a kink between the points shows itself: the two differences do not agree.
  if (fabs(slope[0] - slope[1]) > 1e-8 * scale) {
    c->stats->kinks++;
    return true;
  }
  if (fabs(slope[1] - expected[1]) <= 1e-7 * scale) return true;
  return complain(c, "the slope along a direction is %.12g, by the gradient %.12g", slope[1], expected[1]);
}

static bool oracle_agrees(Check *c, const Outcome *got) {
  Session s;
  DriverOptions o = driver_options_default();
  if (!session_open(&s, &o)) return complain(c, "out of memory");
  Oracle oracle = {c, &s, NULL};
  bool ok = session_guard(&s, lower, &oracle);
  if (!ok) complain(c, "it does not lower");
  __float128 value;
  ok = ok && quad_value(&oracle, &c->in.x, &value);
  if (ok && fabs((double)(value - (__float128)got->value)) > 1e-9 * (1 + fabs(got->value)))
    ok = complain(c, "the value is %.17g, and %.17g in quadruple precision", got->value, (double)value);
  for (uint64_t k = 0; ok && k < 2; k++) ok = differences_agree(c, &oracle, got, k + 99);
  session_close(&s);
  return ok;
}

// ---- the printed adjoint, and executables ---------------------------------------------------------------------------------

static void no_flush(Console *con) { (void)con; }

// Runs a command of dp on the program in a file; its output is `out` (malloc).
static int command(Check *c, const char *const *argv, int argc, const char *path, const char *text,
                   char **out) {
  FILE *file = fopen(path, "w");
  if (!file) return complain(c, "cannot write %s", path), 1;
  fputs(text, file);
  fclose(file);
  Arena *a = arena_new(0);
  Console con = {.flush = no_flush};
  sb_init(&con.out, a);
  sb_init(&con.err, a);
  char *args[12];
  for (int i = 0; i < argc; i++) args[i] = (char *)argv[i];
  args[argc] = NULL;
  int code = dp_command(argc, args, &con);
  if (code) complain(c, "dp %s: %s", argv[1], con.err.len ? con.err.data : "");
  *out = con.out.len ? strdup(con.out.data) : strdup("");
  arena_free(a);
  return code;
}

static bool recompiles(Check *c, const Outcome *want) {
  char path[64], *text = NULL;
  snprintf(path, sizeof path, "/tmp/dp-program-%ld.dp", (long)getpid());
  const char *const argv[] = {"dp", "grad", "--strict-fp", path, "f"};
  int code = command(c, argv, 5, path, c->source.text, &text);
  unlink(path);
  bool ok = !code;
  for (int level = 0; ok && level <= 3; level += 3) {
    dp_program *p = compile(c, text, strlen(text), level, true);
    double both[1 + N_FLOATS];
    ok = p && lookup_and_call(c, p, "f_adjoint", both, 1 + N_FLOATS) == GOT;
    Outcome got = {.value = both[0]};
    memcpy(got.grad, both + 1, sizeof got.grad);
    ok = ok && same_bits(c, want, &got, level ? "the printed adjoint at -O3" : "the printed adjoint at -O0");
  }
  if (!code && !ok) {
    size_t at = strlen(c->why);
    snprintf(c->why + at, c->room - at, "// the printed adjoint\n%s", text);
  }
  free(text);
  return ok;
}

static void add_literals(char *out, size_t room, const double *v, int n) {
  size_t at = strlen(out);
  for (int i = 0; i < n && at < room; i++)
    at += (size_t)snprintf(out + at, room - at, "%s(%.17e)", i ? ", " : "", v[i]);
}

static char *with_main(Check *c) {
  enum { ROOM = 8192 };
  char *text = malloc(c->source.len + ROOM), *lit = calloc(1, ROOM);
  if (!text || !lit) {
    free(text);
    free(lit);
    return NULL;
  }
  const Inputs *in = &c->in;
  const double *rows = in->m;
  strcat(lit, "fn main() {\n    let d = value_and_grad(f)(");
  add_literals(lit, ROOM, &in->x, 2);
  strcat(lit, ", [");
  add_literals(lit, ROOM, in->v, N);
  strcat(lit, "], [");
  add_literals(lit, ROOM, in->u, N);
  strcat(lit, "], [");
  for (int i = 0; i < N; i++) {
    strcat(lit, i ? ", [" : "[");
    add_literals(lit, ROOM, rows + (ptrdiff_t)i * N, N);
    strcat(lit, "]");
  }
  strcat(lit, "], P { a: ");
  add_literals(lit, ROOM, &in->a, 1);
  strcat(lit, ", w: [");
  add_literals(lit, ROOM, in->w, 3);
  strcat(lit, "] }, [2, 0, 3, 0], 2)\n    print(\"{d.0} {d.1.x} {d.1.y} {d.1.v} {d.1.u}\")\n"
              "    for row in d.1.m { print(row) }\n    print(\"{d.1.p.a} {d.1.p.w}\")\n}\n");
  sprintf(text, "%s%s", c->source.text, lit);
  free(lit);
  return text;
}

static bool executable_agrees(Check *c, const Outcome *want) {
  char path[64], bin[64], *text = with_main(c), *out = NULL, shown[8192];
  snprintf(path, sizeof path, "/tmp/dp-program-%ld.dp", (long)getpid());
  snprintf(bin, sizeof bin, "/tmp/dp-program-%ld", (long)getpid());
  const char *const argv[] = {"dp", "build", "--strict-fp", path, "-o", bin};
  bool ok = text && command(c, argv, 6, path, text, &out) == 0;
  FILE *pipe = ok ? popen(bin, "r") : NULL;
  size_t n = pipe ? fread(shown, 1, sizeof shown - 1, pipe) : 0;
  shown[n] = 0;
  if (pipe && pclose(pipe) != 0) ok = complain(c, "the executable fails");
  Outcome got;
  double *flat = &got.value;
  int found = 0;
  for (char *p = shown, *end; ok && *p && found < 1 + N_FLOATS;) {
    double d = strtod(p, &end);
    if (end == p)
      p++;
    else
      flat[found++] = d, p = end;
  }
  if (ok && found != 1 + N_FLOATS) ok = complain(c, "the executable printed %d numbers:\n%s", found, shown);
  ok = ok && same_bits(c, want, &got, "the executable");
  unlink(path);
  unlink(bin);
  free(text);
  free(out);
  return ok;
}

// ---- all ------------------------------------------------------------------------------------------------------------------

static bool check(Check *c, bool native) {
  Outcome plain, slow, fast;
  Got got = outcome(c, 0, true, &slow);
  if (got == REFUSED) {
    c->stats->refused++;
    return true;
  }
  if (got == FAILED || outcome(c, 3, true, &fast) != GOT || outcome(c, 2, false, &plain) != GOT) return false;
  if (!is_finite(&slow)) {
    c->stats->infinite++;
    return true;
  }
  if (!same_bits(c, &slow, &fast, "--strict-fp -O0 and -O3")) return false;
  if (fabs(slow.value - plain.value) > 1e-9 * (1 + fabs(slow.value)))
    return complain(c, "the value is %.17g, and %.17g without --strict-fp", slow.value, plain.value);
  if (!nearly(c, slow.grad, plain.grad, 1e-9, "with and without --strict-fp")) return false;
  if (!forward_agrees(c, &slow) || !oracle_agrees(c, &slow) || !recompiles(c, &slow)) return false;
  if (!native) return true;
  c->stats->native++;
  return executable_agrees(c, &slow);
}

bool program_check(const uint8_t *bytes, size_t n, bool native, ProgramStats *stats, char *why, size_t room) {
  Check c = {.source = program_text(bytes, n), .stats = stats, .why = why, .room = room};
  *why = 0;
  if (!c.source.text) return true;
  stats->programs++;
  make_inputs(&c.in, n);
  c.ctx = dp_context_new(NULL);
  bool ok = c.ctx && check(&c, native);
  dp_context_free(c.ctx);
  free(c.source.text);
  return ok;
}
