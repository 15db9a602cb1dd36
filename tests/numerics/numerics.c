// How far elementary functions and their derivatives are from the exact ones, in units of the last place of the result.
//
//   numerics DOCS              measure at a few points: nothing may exceed what the table in DOCS says
//   numerics --table POINTS    measure at about so many points per function, and print the tables of docs/numerics.md
//
// Each function is compiled as a dp program, in a loop, with its reverse-mode derivative. With --precise-math the bits must
// be the same (looked at with --table). The largest error over all points counts: any bits at all, numbers of every size, the neighbours of numbers
// where something happens. Where the exact derivative is infinite or the function itself overflows, the table of kinks
// says what dp gives.
#define _GNU_SOURCE // asprintf
#include "dp/dp.h"
#include "exact.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Function {
  const char *name, *text;
  Exact *value, *slope[2]; // slope[1]: by y, or NULL
} Function;

static const Function functions[] = {
#define UNARY(name, text) {#name, text, value_##name, {slope_##name, NULL}},
#define BINARY(name, text) {#name, text, value_##name, {slope_##name, slope_##name##_y}},
#include "functions.def"
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions, BATCH = 512, N_RESULTS = 3 };

typedef struct Kink {
  const char *text;
  double x, y;
  const char *by;
  double value;
} Kink;

static const Kink kinks[] = {
#define KINK(text, x, y, by, value) {text, x, y, #by, value},
#include "kinks.def"
};
enum { N_KINKS = sizeof kinks / sizeof *kinks };

static int failures;

static void fail(const char *what, const char *why) {
  printf("FAILED %s: %s\n", what, why);
  failures++;
}

// ---- points ------------------------------------------------------------------------------------------------------------

static uint64_t seed = 88172645463325252u;

static uint64_t any_bits(void) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return seed * 2685821657736338717u;
}

static double unit(void) { return (double)(int64_t)any_bits() * 0x1p-63; } // from -1 to 1

static double from_bits(uint64_t bits) {
  double d;
  memcpy(&d, &bits, sizeof d);
  return d;
}

static double neighbour(bool f32) {
  static const double places[] = {0,         0.25,
                                  0.5,       0.625,
                                  0.75,      1,
                                  1.5,       2,
                                  3,         M_PI_2,
                                  M_PI,      10,
                                  20,        26.5,
                                  88.72,     104,
                                  709.78,    710.47,
                                  745.13,    0x1p22,
                                  0x1p30,    1e22,
                                  0x1p52,    0x1p126,
                                  0x1p-126,  0x1p-149,
                                  0x1p500,   0x1p900,
                                  0x1p1023,  0x1p-500,
                                  0x1p-900,  0x1p-1022,
                                  0x1p-1074, 0.41421356237309505};
  double place = places[any_bits() % (sizeof places / sizeof *places)];
  int width = (int)(any_bits() % 4) * 8;
  int64_t by = width ? (int64_t)(any_bits() >> (64 - width)) - (1 << (width - 1)) : 0;
  if (f32) {
    float near = (float)place;
    int32_t bits;
    memcpy(&bits, &near, sizeof bits);
    bits = bits + (int32_t)by;
    memcpy(&near, &bits, sizeof near);
    place = near;
  } else {
    int64_t bits;
    memcpy(&bits, &place, sizeof bits);
    place = from_bits((uint64_t)(bits + by));
  }
  return any_bits() & 1 ? place : -place;
}

static double point(int kind, bool f32) {
  switch (kind) {
  case 0: {
    float f;
    uint64_t bits = any_bits();
    memcpy(&f, &bits, sizeof f);
    return f32 ? f : from_bits(bits);
  }
  case 1: return unit() * 1.5;
  case 2: return unit() * 30;
  case 3: return ldexp(unit(), (int)(any_bits() % 60) - 40);
  case 4: return unit() * (f32 ? 110 : 800);
  default: return neighbour(f32);
  }
}

// Powers are mostly too large or too small: choose x^y.
static void power_point(double *x, double *y, bool f32) {
  *x = fabs(*x);
  double l = fabs(log(*x));
  if (any_bits() % 2 && l > 0 && isfinite(l)) *y = unit() * (f32 ? 90 : 720) / l;
  if (any_bits() % 8 == 0) *x = -*x, *y = rint(*y);
}

static void fill(double *x, double *y, bool f32, bool powers, int kind) {
  for (int i = 0; i < BATCH; i++) {
    x[i] = point(kind, f32), y[i] = point((int)(any_bits() % 6), f32);
    if (powers && kind != 5) power_point(&x[i], &y[i], f32);
    if (f32) x[i] = (float)x[i], y[i] = (float)y[i];
  }
}

// ---- dp's answers --------------------------------------------------------------------------------------------------------

// all(x, y): the value and the derivatives by x and y for each pair.
static char *program_text(const char *text, const char *type, bool two) {
  char *s;
  if (asprintf(&s,
               "fn f(x: %s, y: %s) -> %s = %s\n"
               "fn all(x: [n]%s, y: [n]%s) -> ([n]%s, [n]%s, [n]%s) =\n"
               "    ([for i in 0..n: f(x[i], y[i])], [for i in 0..n: grad(f, wrt: x)(x[i], y[i])],\n"
               "     [for i in 0..n: %s])\n",
               type, type, type, text, type, type, type, type, type,
               two ? "grad(f, wrt: y)(x[i], y[i])" : "x[i]") < 0)
    abort();
  return s;
}

static dp_function *compile(dp_context *ctx, const char *source, const char *name, bool precise) {
  dp_options options = dp_options_default();
  options.precise_math = precise;
  dp_program *program = NULL;
  dp_function *f = NULL;
  if (dp_compile(ctx, "numerics.dp", source, strlen(source), &options, &program) != DP_OK ||
      dp_lookup(program, name, NULL, &f) != DP_OK)
    fail(source, dp_diagnostics_text(ctx));
  return f;
}

static bool ask(dp_context *ctx, dp_function *f, bool f32, const double *x, const double *y, int n,
                double out[][BATCH], int n_out) {
  float x32[BATCH], y32[BATCH];
  for (int i = 0; i < n; i++) x32[i] = (float)x[i], y32[i] = (float)y[i];
  dp_kind kind = f32 ? DP_F32 : DP_F64;
  dp_value args[2] = {{.kind = kind, .rank = 1, .sizes = {n}, .data = f32 ? (void *)x32 : (void *)x},
                      {.kind = kind, .rank = 1, .sizes = {n}, .data = f32 ? (void *)y32 : (void *)y}};
  dp_value results[N_RESULTS];
  if (!f) return false;
  if (dp_call(f, args, results) != DP_OK) {
    fail("call", dp_last_error(ctx));
    return false;
  }
  for (int k = 0; k < n_out; k++) {
    const float *narrow = results[k].data;
    const double *wide = results[k].data;
    for (int i = 0; i < n; i++) out[k][i] = f32 ? (double)narrow[i] : wide[i];
    dp_value_free(ctx, &results[k]);
  }
  return true;
}

// ---- errors ------------------------------------------------------------------------------------------------------------

typedef struct Format {
  int digits, least; // bits of the significand; exponent of the smallest normal number, as frexp counts
  double largest;
} Format;

static const Format formats[2] = {{53, -1021, 0x1.fffffffffffffp+1023}, {24, -125, 0x1.fffffep+127}};

// Distance in last places of the exact result. Beyond the largest number and half a last place, infinity is right.
static double error_of(double got, const mpfr_t exact, const Format *f) {
  if (isnan(got)) return INFINITY;
  mpfr_exp_t e = mpfr_zero_p(exact) ? f->least : mpfr_get_exp(exact);
  if (e < f->least) e = f->least;
  mpfr_t d;
  mpfr_init2(d, EXACT_BITS);
  if (isinf(got))
    mpfr_set_d(d, copysign(1, got), MPFR_RNDN), mpfr_mul_2si(d, d, f->least == -125 ? 128 : 1024, MPFR_RNDN);
  else
    mpfr_set_d(d, got, MPFR_RNDN);
  mpfr_sub(d, d, exact, MPFR_RNDN);
  mpfr_mul_2si(d, d, f->digits - (long)e, MPFR_RNDN);
  double error = fabs(mpfr_get_d(d, MPFR_RNDN));
  if (isinf(got) && mpfr_cmpabs_ui(exact, 0) > 0 && mpfr_get_exp(exact) > (f->least == -125 ? 128 : 1024))
    error = 0;
  mpfr_clear(d);
  return error;
}

typedef struct Worst {
  double error, x, y, got;
} Worst;

typedef struct Row {
  const Function *function;
  Worst worst[2][N_RESULTS]; // f64, f32; value, slope by x, slope by y
  long points;
} Row;

static bool is_normal(const mpfr_t v, const Format *f) {
  return mpfr_zero_p(v) ||
         (mpfr_get_exp(v) >= f->least && mpfr_cmp_d(v, f->largest) <= 0 && mpfr_cmp_d(v, -f->largest) >= 0);
}

// A derivative is made from operands and values, and is as accurate as they are: it is judged where they are normal numbers.
// Where it is itself below them, it may be anything below them.
static void judge_slope(Row *row, int k, bool f32, const mpfr_t x, const mpfr_t y, double got) {
  const Format *format = &formats[f32];
  mpfr_t slope;
  mpfr_init2(slope, EXACT_BITS);
  row->function->slope[k - 1](slope, x, y);
  if (mpfr_number_p(slope)) {
    double smallest = ldexp(1, format->least - 1), error = error_of(got, slope, format);
    if (mpfr_cmpabs_ui(slope, 0) > 0 && mpfr_get_exp(slope) < format->least && fabs(got) <= smallest)
      error = 0;
    Worst *w = &row->worst[f32][k];
    if (error > w->error) *w = (Worst){error, mpfr_get_d(x, MPFR_RNDN), mpfr_get_d(y, MPFR_RNDN), got};
  }
  mpfr_clear(slope);
}

static void judge(Row *row, bool f32, const double *x, const double *y, double got[N_RESULTS][BATCH]) {
  const Function *f = row->function;
  const Format *format = &formats[f32];
  mpfr_t a, b, value;
  mpfr_inits2(53, a, b, (mpfr_ptr)0);
  mpfr_init2(value, EXACT_BITS);
  for (int i = 0; i < BATCH; i++) {
    if (!isfinite(x[i]) || (f->slope[1] && !isfinite(y[i]))) continue;
    mpfr_set_d(a, x[i], MPFR_RNDN), mpfr_set_d(b, f->slope[1] ? y[i] : 0, MPFR_RNDN);
    f->value(value, a, b);
    if (!mpfr_number_p(value)) continue;
    row->points++;
    double error = error_of(got[0][i], value, format);
    if (error > row->worst[f32][0].error) row->worst[f32][0] = (Worst){error, x[i], y[i], got[0][i]};
    if (!is_normal(value, format) || !is_normal(a, format) || !is_normal(b, format)) continue;
    for (int k = 1; k < N_RESULTS && f->slope[k - 1]; k++) judge_slope(row, k, f32, a, b, got[k][i]);
  }
  mpfr_clears(a, b, value, (mpfr_ptr)0);
}

static void compare_modes(const Row *row, double got[N_RESULTS][BATCH], double precise[N_RESULTS][BATCH]) {
  for (int k = 0; k < N_RESULTS; k++)
    for (int i = 0; i < BATCH; i++)
      if (memcmp(&got[k][i], &precise[k][i], sizeof precise[k][i]) != 0 &&
          !(isnan(got[k][i]) && isnan(precise[k][i]))) {
        fail(row->function->name, "--precise-math changes it");
        return;
      }
}

// The same points each time, more of them where more are asked for.
static void measure(Row *row, bool f32, long points, bool both) {
  static double x[BATCH], y[BATCH], got[N_RESULTS][BATCH], precise[N_RESULTS][BATCH];
  dp_context *ctx = dp_context_new(NULL);
  const Function *of = row->function;
  char *text = program_text(of->text, f32 ? "f32" : "f64", of->slope[1]);
  dp_function *f = compile(ctx, text, "all", false), *g = both ? compile(ctx, text, "all", true) : NULL;
  seed = 88172645463325252u;
  for (long done = 0; done < points && !failures; done += BATCH) {
    fill(x, y, f32, of->value == value_pow, (int)(done / BATCH % 6));
    if (ask(ctx, f, f32, x, y, BATCH, got, N_RESULTS)) judge(row, f32, x, y, got);
    if (g && ask(ctx, g, f32, x, y, BATCH, precise, N_RESULTS)) compare_modes(row, got, precise);
  }
  free(text);
  dp_context_free(ctx);
}

// All kinks as one program, each a function of its own.
static char *kinks_text(const char *type) {
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  for (int i = 0; i < N_KINKS; i++)
    fprintf(out, "fn f%d(x: %s, y: %s) -> %s = %s\n", i, type, type, type, kinks[i].text);
  fprintf(out, "fn all(x: [n]%s, y: [n]%s) -> [n]%s {\n    var d = x\n", type, type, type);
  for (int i = 0; i < N_KINKS; i++)
    fprintf(out, "    d[%d] = grad(f%d, wrt: %s)(x[%d], y[%d])\n", i, i, kinks[i].by, i, i);
  fprintf(out, "    return d\n}\n");
  fclose(out);
  return text;
}

static void check_kinks(void) {
  double x[BATCH] = {0}, y[BATCH] = {0}, got[1][BATCH];
  for (int i = 0; i < N_KINKS; i++) x[i] = kinks[i].x, y[i] = kinks[i].y;
  for (int f32 = 0; f32 < 2; f32++) {
    dp_context *ctx = dp_context_new(NULL);
    char *text = kinks_text(f32 ? "f32" : "f64");
    bool ok = ask(ctx, compile(ctx, text, "all", false), f32, x, y, N_KINKS, got, 1);
    for (int i = 0; ok && i < N_KINKS; i++) {
      const Kink *k = &kinks[i];
      char why[200];
      snprintf(why, sizeof why, "derivative by %s at %g, %g is %g, not %g", k->by, k->x, k->y, got[0][i],
               k->value);
      if (!(got[0][i] == k->value || (isnan(got[0][i]) && isnan(k->value)))) fail(k->text, why);
    }
    free(text);
    dp_context_free(ctx);
  }
}

// ---- tables --------------------------------------------------------------------------------------------------------------

static void print_number(double v) {
  if (v == INFINITY)
    printf("∞");
  else if (v == -INFINITY)
    printf("-∞");
  else
    printf("%g", v);
}

static void print_cell(const Worst *w) {
  double up = ceil(w->error * 100) / 100;
  if (isfinite(up) && up < 1e6)
    printf(" %.2f |", up);
  else
    printf(" %g |", up);
}

static void print_row(const Row *row) {
  const Function *f = row->function;
  printf("| `%s` |", f->text);
  for (int f32 = 0; f32 < 2; f32++) {
    print_cell(&row->worst[f32][0]);
    print_cell(&row->worst[f32][1]);
    if (f->slope[1])
      print_cell(&row->worst[f32][2]);
    else
      printf(" |");
  }
  printf("\n");
  for (int f32 = 0; f32 < 2; f32++)
    for (int k = 0; k < N_RESULTS; k++) {
      const Worst *w = &row->worst[f32][k];
      if (w->error > (k ? 4 : 1))
        fprintf(stderr, "%s f%d %s: %g at %.17g (%a), %.17g (%a): %.17g\n", f->name, f32 ? 32 : 64,
                k == 0   ? "value"
                : k == 1 ? "by x"
                         : "by y",
                w->error, w->x, w->x, w->y, w->y, w->got);
    }
}

static void print_kinks(void) {
  printf("\n## Kinks and infinities\n\nWhere there is no derivative, or an infinite one, dp gives:\n\n"
         "| function | where | by | derivative |\n|---|---|---|---|\n");
  for (int i = 0; i < N_KINKS; i++) {
    const Kink *k = &kinks[i];
    printf("| `%s` | x = ", k->text);
    print_number(k->x);
    if (strchr(k->text, 'y')) printf(", y = "), print_number(k->y);
    printf(" | %s | ", k->by);
    if (isnan(k->value))
      printf("NaN");
    else
      print_number(k->value);
    printf(" |\n");
  }
}

static int print_tables(long points) {
  long total = 0;
  printf("| function | f64 value | by x | by y | f32 value | by x | by y |\n|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < N_FUNCTIONS; i++) {
    Row row = {.function = &functions[i]};
    measure(&row, false, points, true);
    measure(&row, true, points, true);
    print_row(&row);
    fflush(stdout);
    total += row.points;
  }
  printf("\n%.1f million points in all. By x and by y: the partial derivatives.\n", (double)total / 1e6);
  print_kinks();
  check_kinks();
  return failures != 0;
}

// The row of a function in the documentation: its six cells, NAN where one is empty.
static bool documented(const char *text, const char *docs, double cells[2][N_RESULTS]) {
  char head[64];
  snprintf(head, sizeof head, "\n| `%s` |", text);
  const char *p = strstr(docs, head);
  if (!p) return false;
  p += strlen(head);
  for (int i = 0; i < 2 * N_RESULTS; i++) {
    char *end;
    cells[i / N_RESULTS][i % N_RESULTS] = strtod(p, &end);
    if (end == p) cells[i / N_RESULTS][i % N_RESULTS] = NAN;
    p = strchr(end, '|');
    if (!p++) return false;
  }
  return true;
}

static int check(const char *docs, long points) {
  for (int i = 0; i < N_FUNCTIONS; i++) {
    const Function *f = &functions[i];
    Row row = {.function = f};
    double cells[2][N_RESULTS];
    if (!documented(f->text, docs, cells)) fail(f->text, "it has no row in the table");
    measure(&row, false, points, false);
    measure(&row, true, points, false);
    for (int k = 0; k < 2 * N_RESULTS; k++) {
      const Worst *w = &row.worst[k / N_RESULTS][k % N_RESULTS];
      if (isnan(cells[k / N_RESULTS][k % N_RESULTS]) || w->error <= cells[k / N_RESULTS][k % N_RESULTS])
        continue;
      char why[200];
      snprintf(why, sizeof why, "%s is off by %.3f at %.17g, %.17g; the table says %g",
               k % N_RESULTS == 0   ? "the value"
               : k % N_RESULTS == 1 ? "the derivative by x"
                                    : "the derivative by y",
               w->error, w->x, w->y, cells[k / N_RESULTS][k % N_RESULTS]);
      fail(f->text, why);
    }
  }
  check_kinks();
  if (!failures) printf("%d functions and their derivatives are as accurate as documented\n", N_FUNCTIONS);
  return failures != 0;
}

static char *read_file(const char *path) {
  FILE *in = fopen(path, "r");
  if (!in) return NULL;
  enum { LARGEST = 1 << 20 };
  char *text = malloc(LARGEST);
  if (text) text[fread(text, 1, LARGEST - 1, in)] = 0;
  fclose(in);
  return text;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--table") == 0) return print_tables(strtol(argv[2], NULL, 10));
  char *docs = argc == 2 ? read_file(argv[1]) : NULL;
  if (!docs) {
    fprintf(stderr, "usage: numerics DOCS | numerics --table POINTS\n");
    return 2;
  }
  int status = check(docs, 12 * BATCH);
  free(docs);
  return status;
}
