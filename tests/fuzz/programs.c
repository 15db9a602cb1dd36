// The checks of random programs as machine code: see programs.h. A lot is compiled as one program, by the embedding API for code
// in this process; the printed adjoints and the executable come from the command line's own entry.
#include "programs.h"

#include "dp/dp.h"
#include "driver/driver.h"
#include "program_lot.h"
#include "program_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_ARGS = 9, N_GRADS = N_LEAVES };

typedef struct Check {
  const ProgramSeed *seeds;
  const Outcome *exact;
  int n, way;
  bool singles[LOT], finite[LOT];
  Inputs in[LOT];
  Outcome strict[LOT]; // at -O0
  Arena *arena;
  const char *programs; // their text
  dp_context *ctx;
  char *why;
  size_t room;
} Check;

static bool complain(Check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool complain(Check *c, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(c->why, c->room, fmt, ap);
  va_end(ap);
  return false;
}

static void add_text(Check *c, const char *head, const char *text) {
  size_t at = strlen(c->why);
  snprintf(c->why + at, c->room - at, "\n%s%s", head, text);
}

// What one lot in `of` is checked for.
static bool turn(const Check *c, int of, int at) { return c->n == 1 || c->way % of == at; }
static bool turn_of_level(const Check *c, const int levels[4], int level) {
  return c->n == 1 || levels[c->way % 4] == level;
}

// ---- inputs and results ------------------------------------------------------------------------------------------------

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

static bool call(Check *c, dp_function *f, int which, double *out, int n_out) {
  dp_value args[N_ARGS + 2], results[1 + N_GRADS];
  int n;
  dp_results(f, &n);
  if (n > 1 + N_GRADS) return complain(c, "%d results", n);
  to_values(&c->in[which], args);
  args[N_ARGS] = dp_int(which);
  args[N_ARGS + 1] = dp_int(0);
  if (dp_call(f, args, results) != DP_OK) return complain(c, "the call fails: %s", dp_last_error(c->ctx));
  bool fits = from_values(results, n, out, n_out);
  for (int i = 0; i < n; i++) dp_value_free(c->ctx, &results[i]);
  return fits || complain(c, "the results have other sizes");
}

typedef struct Setting {
  int level;
  bool strict;
  int lanes;
} Setting;

static dp_program *compile(Check *c, const char *programs, LotEntry entry, Setting s, dp_function **f) {
  StrBuf text;
  sb_init(&text, c->arena);
  sb_add(&text, programs);
  lot_add_entry(&text, entry, c->n);
  dp_options o = dp_options_default();
  o.opt_level = s.level;
  o.strict_fp = s.strict;
  o.lanes = s.lanes;
  dp_program *p = NULL;
  if (dp_compile(c->ctx, "program.dp", text.data, (size_t)text.len, &o, &p) != DP_OK) {
    complain(c, "it does not compile: %s", dp_diagnostics_text(c->ctx));
    return NULL;
  }
  if (dp_lookup(p, lot_entry_name(entry), NULL, f) == DP_OK) return p;
  complain(c, "-O%d: %s", s.level, dp_diagnostics_text(c->ctx));
  dp_program_free(p);
  return NULL;
}

// The outcomes of all that are finite.
static bool outcomes(Check *c, const char *programs, LotEntry entry, Setting s, Outcome *out) {
  dp_function *f;
  dp_program *p = compile(c, programs, entry, s, &f);
  for (int k = 0; p && k < c->n; k++) {
    double all[1 + MAX_FLOATS];
    int n = entry == LOT_VALUES ? 1 : 1 + c->in[k].n_floats;
    if (!c->finite[k]) continue;
    if (!call(c, f, k, all, n)) {
      dp_program_free(p);
      return false;
    }
    out[k].value = all[0];
    memcpy(out[k].grad, all + 1, sizeof(double) * (size_t)(n - 1));
  }
  dp_program_free(p);
  return p;
}

// ---- comparisons -------------------------------------------------------------------------------------------------------

static bool is_finite(const Outcome *o, int n) {
  bool yes = isfinite(o->value);
  for (int i = 0; i < n; i++) yes = yes && isfinite(o->grad[i]) && fabs(o->grad[i]) < 1e8;
  return yes;
}

static bool same_bits(Check *c, int k, const Outcome *got, const char *what) {
  const Outcome *want = &c->strict[k];
  if (memcmp(&want->value, &got->value, sizeof got->value))
    return complain(c, "%s: the values are %.17g and %.17g", what, want->value, got->value);
  for (int i = 0; i < c->in[k].n_floats; i++)
    if (want->grad[i] != got->grad[i])
      return complain(c, "%s: derivative %d is %.17g and %.17g", what, i, want->grad[i], got->grad[i]);
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

static bool nearly(Check *c, int k, const Outcome *got, const char *what) {
  int n = c->in[k].n_floats;
  const Outcome *strict = &c->strict[k];
  double off = rounding(strict, &c->exact[k], n), most = largest(strict->grad, n);
  double allowed = (c->singles[k] ? 1e-5 : 1e-12) * fmax(most, fabs(strict->value)) + 32 * off;
  // A loop may be chaotic: then rounding moves the gradient as far as moving the inputs does.
  double sure = (c->singles[k] ? 1e-1 : 1e-6) * most + (c->singles[k] ? 1e-3 : 1e-12) * c->exact[k].turn;
  if (!(off <= sure)) return complain(c, "derivatives are off by %.3g from quadruple precision", off);
  if (!(fabs(strict->value - got->value) <= allowed))
    return complain(c, "%s: the value is %.17g, and %.17g without --strict-fp", what, strict->value,
                    got->value);
  for (int i = 0; i < n; i++)
    if (!(fabs(strict->grad[i] - got->grad[i]) <= allowed))
      return complain(c, "%s: derivative %d is %.17g, and %.17g without --strict-fp", what, i,
                      strict->grad[i], got->grad[i]);
  return true;
}

// The same bits, or nearly so without --strict-fp.
static bool agree(Check *c, const Outcome *got, bool strict, const char *what) {
  for (int k = 0; k < c->n; k++)
    if (c->finite[k] && !(strict ? same_bits : nearly)(c, k, &got[k], what)) return false;
  return true;
}

// ---- code in this process ----------------------------------------------------------------------------------------------

static bool checked(Check *c, LotEntry entry, Setting s, const char *what) {
  Outcome *got = ARENA_ARRAY(c->arena, Outcome, LOT);
  return outcomes(c, c->programs, entry, s, got) && agree(c, got, s.strict, what);
}

static bool value_alone(Check *c) {
  Outcome *got = ARENA_ARRAY(c->arena, Outcome, LOT);
  if (!outcomes(c, c->programs, LOT_VALUES, (Setting){3, true, 0}, got)) return false;
  for (int k = 0; k < c->n; k++)
    if (c->finite[k] && got[k].value != c->strict[k].value)
      return complain(c, "-O3: f gives %.17g, value_and_grad(f) %.17g", got[k].value, c->strict[k].value);
  return true;
}

static bool optimized(Check *c) {
  static const Setting plain[] = {{2, false, 0}, {2, false, 2}, {2, false, 8}};
  static const char *const names[] = {"-O2", "-O2 --lanes 2", "-O2 --lanes 8"};
  bool ok = checked(c, LOT_DERIVATIVES, (Setting){3, true, 0}, "--strict-fp -O0 and -O3");
  for (int i = 0; ok && i < 3; i++)
    if (turn(c, 3, i)) ok = checked(c, LOT_DERIVATIVES, plain[i], names[i]);
  return ok && (!turn(c, 8, 1) || value_alone(c));
}

// ---- the printed adjoints, and executables --------------------------------------------------------------------------------

static void no_flush(Console *con) { (void)con; }

// Runs a command of dp on the program in a file; its output is the result, NULL if it fails.
static const char *command(Check *c, const char *const *argv, int argc, const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (!file) return complain(c, "cannot write %s", path), NULL;
  fputs(text, file);
  fclose(file);
  Console con = {.flush = no_flush};
  sb_init(&con.out, c->arena);
  sb_init(&con.err, c->arena);
  char *args[12];
  for (int i = 0; i < argc; i++) args[i] = (char *)argv[i];
  args[argc] = NULL;
  int code = dp_command(argc, args, &con);
  unlink(path);
  if (!code) return con.out.len ? con.out.data : "";
  complain(c, "dp %s: %s", argv[1], con.err.len ? con.err.data : "");
  return NULL;
}

static const char *printed_adjoint(Check *c, int k) {
  char name[16];
  const char *path = arena_printf(c->arena, "/tmp/dp-program-%ld.dp", (long)getpid());
  snprintf(name, sizeof name, "f_%d", k);
  const char *const argv[] = {"dp", "grad", "--strict-fp", path, name};
  ProgramText piece = program_piece(c->seeds[k], k);
  StrBuf text;
  sb_init(&text, c->arena);
  sb_add(&text, program_shared());
  sb_add(&text, piece.text ? piece.text : "");
  free(piece.text);
  return command(c, argv, 5, path, text.data);
}

static bool recompile(Check *c) {
  StrBuf text;
  sb_init(&text, c->arena);
  for (int k = 0; k < c->n; k++) {
    const char *one = printed_adjoint(c, k);
    if (!one) return false;
    sb_add(&text, one);
  }
  Outcome *got = ARENA_ARRAY(c->arena, Outcome, LOT);
  static const int levels[] = {3, 0, 0, 0};
  for (int level = 0; level <= 3; level += 3) {
    if (!turn_of_level(c, levels, level)) continue;
    if (outcomes(c, text.data, LOT_ADJOINTS, (Setting){level, true, 0}, got) &&
        agree(c, got, true, level ? "the printed adjoint at -O3" : "the printed adjoint at -O0"))
      continue;
    if (c->n == 1) add_text(c, "// the printed adjoint\n", text.data);
    return false;
  }
  return true;
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

static bool run(Check *c, const char *bin, char *shown, size_t room) {
  FILE *pipe = popen(bin, "r");
  if (!pipe) return complain(c, "cannot run %s", bin);
  shown[fread(shown, 1, room - 1, pipe)] = 0;
  return pclose(pipe) == 0 || complain(c, "the executable fails");
}

static bool executable(Check *c, const char *level, bool strict) {
  enum { ROOM = 1 << 19, NUMBERS = LOT * (1 + MAX_FLOATS) };
  const char *bin = arena_printf(c->arena, "/tmp/dp-program-%ld", (long)getpid());
  const char *path = arena_printf(c->arena, "%s.dp", bin);
  const char *const argv[] = {"dp", "build", path, "-o", bin, level, "--strict-fp"};
  char *shown = arena_alloc(c->arena, ROOM);
  double *all = ARENA_ARRAY(c->arena, double, NUMBERS);
  StrBuf text;
  sb_init(&text, c->arena);
  sb_add(&text, c->programs);
  lot_add_main(&text, c->in, c->finite, c->n);
  bool ok = command(c, argv, strict ? 7 : 6, path, text.data) && run(c, bin, shown, ROOM);
  unlink(bin);
  Outcome *got = ARENA_ARRAY(c->arena, Outcome, LOT);
  int found = ok ? numbers(shown, all, NUMBERS) : 0, at = 0;
  for (int k = 0; ok && k < c->n; k++) {
    int n = c->in[k].n_floats;
    if (!c->finite[k]) continue;
    if (at + 1 + n > found) return complain(c, "the executable printed %d numbers", found);
    got[k].value = all[at];
    memcpy(got[k].grad, all + at + 1, sizeof(double) * (size_t)n);
    at += 1 + n;
  }
  return ok && agree(c, got, strict, "the executable");
}

static bool executables(Check *c) {
  static const int levels[] = {2, 2, 3, 2};
  static const char *const options[] = {"-O0", "-O1", "-O2", "-O3"};
  for (int level = 2; level <= 3; level++)
    if (turn_of_level(c, levels, level) && !executable(c, options[level], true)) return false;
  return !turn(c, 8, 5) || executable(c, "-O2", false);
}

// ---- the whole ---------------------------------------------------------------------------------------------------------

static void prepare(Check *c) {
  StrBuf text;
  sb_init(&text, c->arena);
  lot_add_programs(&text, c->seeds, c->n);
  c->programs = text.data;
  for (int k = 0; k < c->n; k++) {
    ProgramText one = program_piece(c->seeds[k], k);
    c->singles[k] = one.features & FEATURE_SINGLES;
    free(one.text);
    make_inputs(&c->in[k], c->seeds[k]);
    c->finite[k] = true;
  }
}

static bool check(Check *c, ProgramStats *stats) {
  prepare(c);
  if (!outcomes(c, c->programs, LOT_DERIVATIVES, (Setting){0, true, 0}, c->strict)) return false;
  for (int k = 0; k < c->n; k++) {
    c->finite[k] = is_finite(&c->strict[k], c->in[k].n_floats);
    stats->infinite += !c->finite[k];
  }
  return optimized(c) && recompile(c) && executables(c);
}

bool programs_check(const ProgramSeed *seeds, const Outcome *exact, int n, int way, ProgramStats *stats,
                    char *why, size_t room) {
  Arena *arena = arena_new(0);
  *why = 0;
  stats->programs += n;
  Check *c = arena ? ARENA_NEW(arena, Check) : NULL;
  if (c) *c = (Check){seeds, exact, n, way, .arena = arena, .why = why, .room = room};
  bool ok = c && (c->ctx = dp_context_new(NULL)) && check(c, stats);
  if (!ok && !*why) snprintf(why, room, "out of memory");
  if (c) dp_context_free(c->ctx);
  arena_free(arena);
  if (ok || n > 1) return ok;
  ProgramText one = program_text(seeds[0]);
  size_t at = strlen(why);
  if (one.text) snprintf(why + at, room - at, "\n%s", one.text);
  free(one.text);
  return false;
}
