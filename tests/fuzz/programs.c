// The checks of random programs as machine code: see programs.h. Code comes from the embedding API, the printed adjoint and
// the executable from the command line's own entry.
#include "programs.h"

#include "dp/dp.h"
#include "driver/driver.h"
#include "program_inputs.h"
#include "program_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_ARGS = 9, N_GRADS = N_LEAVES };

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

static void to_values(const Inputs *in, dp_value out[N_ARGS]) {
  out[0] = dp_f64(*leaf_at(in, LEAF_X));
  out[1] = dp_f64(*leaf_at(in, LEAF_Y));
  out[2] = dp_vector((double *)leaf_at(in, LEAF_V), in->n);
  out[3] = dp_vector((double *)leaf_at(in, LEAF_U), in->n);
  out[4] = dp_matrix((double *)leaf_at(in, LEAF_M), in->n, in->n);
  out[5] = dp_f64(*leaf_at(in, LEAF_A));
  out[6] = dp_vector((double *)leaf_at(in, LEAF_W), 3);
  out[7] = (dp_value){.kind = DP_INT, .rank = 1, .sizes = {in->n}, .data = (void *)in->idx};
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

static bool call(Check *c, dp_function *f, double *out, int n_out) {
  dp_value args[N_ARGS], results[1 + N_GRADS];
  int n;
  dp_results(f, &n);
  if (n > 1 + N_GRADS) return complain(c, "%d results", n);
  to_values(&c->in, args);
  if (dp_call(f, args, results) != DP_OK) return complain(c, "the call fails: %s", dp_last_error(c->ctx));
  bool fits = from_values(results, n, out, n_out);
  for (int i = 0; i < n; i++) dp_value_free(c->ctx, &results[i]);
  return fits || complain(c, "the results have other sizes");
}

static bool lookup_and_call(Check *c, dp_program *p, const char *expr, double *out, int n_out) {
  dp_function *f;
  if (dp_lookup(p, expr, NULL, &f) != DP_OK) return complain(c, "%s: %s", expr, dp_diagnostics_text(c->ctx));
  return call(c, f, out, n_out);
}

static dp_program *compile(Check *c, const char *text, int level, bool strict) {
  dp_options o = dp_options_default();
  o.opt_level = level;
  o.strict_fp = strict;
  o.lanes =
      level == 3 ? (strlen(text) % 2 ? 2 : 8) : 0; // two rows make a block, or all are what is left of one
  dp_program *p = NULL;
  if (dp_compile(c->ctx, "program.dp", text, strlen(text), &o, &p) != DP_OK)
    complain(c, "it does not compile: %s", dp_diagnostics_text(c->ctx));
  return p;
}

static bool outcome(Check *c, const char *text, const char *expr, int level, bool strict, Outcome *out) {
  double both[1 + MAX_FLOATS];
  dp_program *p = compile(c, text, level, strict);
  if (!p || !lookup_and_call(c, p, expr, both, 1 + c->in.n_floats)) return false;
  out->value = both[0];
  memcpy(out->grad, both + 1, sizeof(double) * (size_t)c->in.n_floats);
  if (level != 3 || strcmp(expr, "value_and_grad(f)") != 0) return true;
  double alone;
  if (!lookup_and_call(c, p, "f", &alone, 1)) return false;
  return alone == both[0] || isnan(alone) ||
         complain(c, "-O%d: f gives %.17g, value_and_grad(f) %.17g", level, alone, both[0]);
}

static bool is_finite(const Outcome *o, int n) {
  bool yes = isfinite(o->value);
  for (int i = 0; i < n; i++) yes = yes && isfinite(o->grad[i]) && fabs(o->grad[i]) < 1e8;
  return yes;
}

static bool same_bits(Check *c, const Outcome *a, const Outcome *b, const char *what) {
  if (memcmp(&a->value, &b->value, sizeof a->value))
    return complain(c, "%s: the values are %.17g and %.17g", what, a->value, b->value);
  for (int i = 0; i < c->in.n_floats; i++)
    if (a->grad[i] != b->grad[i])
      return complain(c, "%s: derivative %d is %.17g and %.17g", what, i, a->grad[i], b->grad[i]);
  return true;
}

static double largest(const double *g, int n) {
  double most = 1;
  for (int i = 0; i < n; i++) most = fmax(most, fabs(g[i]));
  return most;
}

// How far rounding takes the strict result from the exact one.
static double rounding(const Outcome *strict, const Outcome *exact, int n) {
  double most = fabs(strict->value - exact->value);
  for (int i = 0; i < n; i++) most = fmax(most, fabs(strict->grad[i] - exact->grad[i]));
  return most;
}

static bool nearly(Check *c, const Outcome *strict, const Outcome *plain, const Outcome *exact) {
  int n = c->in.n_floats;
  bool singles = c->source.features & FEATURE_SINGLES;
  double allowed = (singles ? 1e-5 : 1e-12) * fmax(largest(strict->grad, n), fabs(strict->value)) +
                   32 * rounding(strict, exact, n);
  if (!(rounding(strict, exact, n) <= (singles ? 1e-1 : 1e-6) * largest(strict->grad, n)))
    return complain(c, "derivatives are off by %.3g from quadruple precision", rounding(strict, exact, n));
  if (!(fabs(strict->value - plain->value) <= allowed))
    return complain(c, "the value is %.17g, and %.17g without --strict-fp", strict->value, plain->value);
  for (int i = 0; i < n; i++)
    if (!(fabs(strict->grad[i] - plain->grad[i]) <= allowed))
      return complain(c, "derivative %d is %.17g, and %.17g without --strict-fp", i, strict->grad[i],
                      plain->grad[i]);
  return true;
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
  Outcome got;
  int level = c->stats->programs % 4 ? 3 : 0;
  bool ok = !code && outcome(c, text, "f_adjoint", level, true, &got) &&
            same_bits(c, want, &got, level ? "the printed adjoint at -O3" : "the printed adjoint at -O0");
  if (!code && !ok) {
    size_t at = strlen(c->why);
    snprintf(c->why + at, c->room - at, "// the printed adjoint\n%s", text);
  }
  free(text);
  return ok;
}

static bool check(Check *c, const Outcome *exact, Outcome *slow) {
  Outcome plain, fast;
  const char *text = c->source.text, *expr = "value_and_grad(f)";
  if (!outcome(c, text, expr, 0, true, slow)) return false;
  if (!is_finite(slow, c->in.n_floats)) {
    c->stats->infinite++;
    return true;
  }
  return outcome(c, text, expr, 3, true, &fast) && same_bits(c, slow, &fast, "--strict-fp -O0 and -O3") &&
         outcome(c, text, expr, 2, false, &plain) && nearly(c, slow, &plain, exact) && recompiles(c, slow);
}

bool program_check(ProgramSeed seed, const Outcome *exact, Outcome *out, ProgramStats *stats, char *why,
                   size_t room) {
  Check c = {.source = program_text(seed.bytes, seed.n), .stats = stats, .why = why, .room = room};
  *why = 0;
  if (!c.source.text) return complain(&c, "out of memory");
  stats->programs++;
  make_inputs(&c.in, seed.n);
  c.ctx = dp_context_new(NULL);
  bool ok = c.ctx && check(&c, exact, out);
  dp_context_free(c.ctx);
  free(c.source.text);
  return ok;
}

// ---- executables -----------------------------------------------------------------------------------------------------------

typedef struct Text {
  char *at, *start;
} Text;

static void add(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(Text *t, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  t->at += vsprintf(t->at, fmt, ap);
  va_end(ap);
}

static void add_literals(Text *t, const char *open, const double *v, int n, const char *close) {
  add(t, "%s", open);
  for (int i = 0; i < n; i++) add(t, "%s(%.17e)", i ? ", " : "", v[i]);
  add(t, "%s", close);
}

// Recursive, so that it stays a function of its own.
static void add_show(Text *t, const Inputs *in, int number) {
  add(t, "fn show_%d(k: int) {\n    if k > 0 { show_%d(k - 1) }\n    let d = value_and_grad(f_%d)(", number,
      number, number);
  int n = in->n;
  add_literals(t, "", leaf_at(in, LEAF_X), 2, ", [");
  add_literals(t, "", leaf_at(in, LEAF_V), n, "], [");
  add_literals(t, "", leaf_at(in, LEAF_U), n, "], [");
  for (int i = 0; i < n; i++)
    add_literals(t, i ? ", [" : "[", leaf_at(in, LEAF_M) + (ptrdiff_t)i * n, n, "]");
  add_literals(t, "], P { a: ", leaf_at(in, LEAF_A), 1, ", w: [");
  add_literals(t, "", leaf_at(in, LEAF_W), 3, "] }, [");
  for (int i = 0; i < n; i++) add(t, "%s%d", i ? ", " : "", (int)in->idx[i]);
  add(t,
      "], %d)\n    print(\"{d.0} {d.1.x} {d.1.y} {d.1.v} {d.1.u}\")\n"
      "    for row in d.1.m { print(row) }\n    print(\"{d.1.p.a} {d.1.p.w}\")\n}\n",
      (int)in->k);
}

static char *one_program(const ProgramSeed *seeds, int n) {
  enum { ROOM = 1 << 16, SHOW_ROOM = 1 << 14 };
  size_t size = ROOM;
  ProgramText pieces[NATIVE_BATCH];
  for (int k = 0; k < n; k++) {
    pieces[k] = program_piece(seeds[k].bytes, seeds[k].n, k + 1);
    size += pieces[k].len + SHOW_ROOM;
  }
  Text t = {.start = malloc(size)};
  t.at = t.start;
  if (t.start) add(&t, "%s", program_shared());
  for (int k = 0; k < n; k++) {
    Inputs in;
    make_inputs(&in, seeds[k].n);
    if (t.start && pieces[k].text) add(&t, "%s", pieces[k].text), add_show(&t, &in, k + 1);
    free(pieces[k].text);
  }
  if (t.start) add(&t, "fn main() {\n");
  for (int k = 0; t.start && k < n; k++) add(&t, "    show_%d(0)\n", k + 1);
  if (t.start) add(&t, "}\n");
  return t.start;
}

// The numbers in a text.
static int numbers(const char *text, double *out, int room) {
  int n = 0;
  for (char *p = (char *)text, *end; *p && n<room; p = end> p ? end : p + 1) {
    double d = strtod(p, &end);
    if (end > p) out[n++] = d;
  }
  return n;
}

static char *run_executable(Check *c, const char *text) {
  enum { ROOM = 1 << 19 };
  char path[64], bin[64], *out = NULL, *shown = calloc(1, ROOM);
  snprintf(path, sizeof path, "/tmp/dp-program-%ld.dp", (long)getpid());
  snprintf(bin, sizeof bin, "/tmp/dp-program-%ld", (long)getpid());
  const char *const argv[] = {"dp", "build", "--strict-fp", path, "-o", bin};
  bool ok = shown && command(c, argv, 6, path, text, &out) == 0;
  FILE *pipe = ok ? popen(bin, "r") : NULL;
  if (pipe) shown[fread(shown, 1, ROOM - 1, pipe)] = 0;
  if (pipe && pclose(pipe) != 0) complain(c, "the executable fails");
  unlink(path);
  unlink(bin);
  free(out);
  return shown;
}

int programs_native(const ProgramSeed *seeds, const Outcome *want, int n, ProgramStats *stats, char *why,
                    size_t room) {
  enum { ROOM = NATIVE_BATCH * (1 + MAX_FLOATS) };
  double *got = calloc(ROOM, sizeof *got);
  Check c = {.source = {.text = one_program(seeds, n)}, .stats = stats, .why = why, .room = room};
  *why = 0;
  if (!c.source.text || !got) return n;
  char *shown = run_executable(&c, c.source.text);
  int found = shown ? numbers(shown, got, ROOM) : 0, at = 0, wrong = n;
  for (int k = 0; k < n && wrong == n; k++) {
    Outcome one = {.value = got[at]};
    make_inputs(&c.in, seeds[k].n);
    memcpy(one.grad, got + at + 1, sizeof(double) * (size_t)c.in.n_floats);
    at += 1 + c.in.n_floats;
    if (at > found || !same_bits(&c, &want[k], &one, "the executable")) wrong = k;
  }
  if (wrong < n && !*why)
    complain(&c, "the executable printed %d numbers, and program %d has its last at %d", found, wrong, at);
  free(got);
  stats->native += n;
  free(shown);
  free(c.source.text);
  return wrong;
}
