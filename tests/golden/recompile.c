// recompile PROGRAM FUNCTION ADJOINT [OPTIONS OF GRAD] [NAME=VALUE...]
//
// The derivative of a function, and what `dp grad` printed for it compiled as a program of its own, give the same bits
// under --strict-fp, at every level. Both differentiated once more, in both modes, give the same numbers. Arguments are random;
// sizes and ints are small numbers, or what NAME=VALUE says.
#define _GNU_SOURCE // memmem
#include "dp/dp.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEAVES = 64, MAX_SIZES = 64, NAME_BYTES = 64 };

typedef struct Sizes { // names and their values
  int n;
  char names[MAX_SIZES][NAME_BYTES];
  long long values[MAX_SIZES];
} Sizes;

static const char *read_file(const char *path, size_t *len) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  enum { MOST = 1 << 22 };
  char *text = malloc(MOST);
  *len = text ? fread(text, 1, MOST - 1, f) : 0;
  fclose(f);
  if (text) text[*len] = 0;
  return text;
}

// ---- sizes -----------------------------------------------------------------------------------------------------------

static long long *size_named(Sizes *s, const char *name, size_t len, long long fallback) {
  for (int i = 0; i < s->n; i++)
    if (strlen(s->names[i]) == len && !strncmp(s->names[i], name, len)) return &s->values[i];
  if (s->n == MAX_SIZES || len >= NAME_BYTES) return NULL;
  memcpy(s->names[s->n], name, len);
  s->names[s->n][len] = 0;
  s->values[s->n] = fallback;
  return &s->values[s->n++];
}

static const char *skip(const char *p) {
  while (*p == ' ') p++;
  return p;
}

static long long sum(const char **p, Sizes *s);

static long long factor(const char **p, Sizes *s) {
  *p = skip(*p);
  if (**p == '-') {
    ++*p;
    return -factor(p, s);
  }
  if (**p == '(') {
    ++*p;
    long long v = sum(p, s);
    *p = skip(*p);
    if (**p == ')') ++*p;
    return v;
  }
  if (isdigit((unsigned char)**p)) return strtoll(*p, (char **)p, 10);
  const char *name = *p;
  while (isalnum((unsigned char)**p) || **p == '_' || (unsigned char)**p >= 128) ++*p;
  size_t len = (size_t)(*p - name);
  if (len == 3 && !strncmp(name, "div", 3) && **p == '(') {
    ++*p;
    long long a = sum(p, s);
    *p = skip(*p);
    if (**p == ',') ++*p;
    long long b = sum(p, s);
    *p = skip(*p);
    if (**p == ')') ++*p;
    return b ? a / b : 0;
  }
  long long *v = len ? size_named(s, name, len, 3 + s->n % 3) : NULL;
  return v ? *v : 0;
}

static long long product(const char **p, Sizes *s) {
  long long v = factor(p, s);
  for (*p = skip(*p); **p == '*'; *p = skip(*p)) {
    ++*p;
    v *= factor(p, s);
  }
  return v;
}

static long long sum(const char **p, Sizes *s) {
  long long v = product(p, s);
  for (*p = skip(*p); **p == '+' || **p == '-'; *p = skip(*p)) {
    char op = *(*p)++;
    long long right = product(p, s);
    v = op == '+' ? v + right : v - right;
  }
  return v;
}

// The parameters as they stand in "fn name(a: [n, m]f64, k: int)": at the colon of each in turn.
static const char *next_param(const char *p, const char **name, size_t *len) {
  while (*p && *p != ')' && !isalpha((unsigned char)*p) && *p != '_' && (unsigned char)*p < 128) p++;
  if (!*p || *p == ')') return NULL;
  *name = p;
  while (*p && *p != ':') p++;
  *len = (size_t)(p - *name);
  return *p ? skip(p + 1) : NULL;
}

// ---- arguments -------------------------------------------------------------------------------------------------------

static double next_random(unsigned long long *state) { // in [0.3, 1.7)
  *state += 0x9e3779b97f4a7c15u;
  unsigned long long z = *state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return 0.3 + 1.4 * (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void fill(dp_value *v, unsigned long long *state) {
  long long n = 1;
  for (int k = 0; k < v->rank; k++) n *= v->sizes[k];
  static const size_t bytes[] = {sizeof(bool), sizeof(int64_t), sizeof(float), sizeof(double)};
  v->data = calloc((size_t)n + 1, bytes[v->kind]);
  for (long long i = 0; v->data && i < n; i++) {
    double x = next_random(state);
    switch (v->kind) {
    case DP_BOOL: ((bool *)v->data)[i] = x > 1; break;
    case DP_INT: ((int64_t *)v->data)[i] = x > 1; break;
    case DP_F32: ((float *)v->data)[i] = (float)x; break;
    case DP_F64: ((double *)v->data)[i] = x; break;
    }
  }
}

// Sizes that the function insists on: `assert v2 == 2, "sizes do not fit"`.
static void read_asserted(const char *source, Sizes *s) {
  static const char start[] = "    assert ";
  for (const char *p = source; (p = strstr(p, start));) {
    p += sizeof start - 1;
    const char *eq = strstr(p, " == "), *end = strchr(p, 10);
    if (!eq || !end || !memmem(p, (size_t)(end - p), "sizes do not fit", 16)) continue;
    const char *expr = eq + 4;
    long long v = sum(&expr, s);
    long long *known = size_named(s, p, (size_t)(eq - p), v);
    if (known) *known = v;
  }
}

// function: as it is called in source.
static bool make_arguments(const char *source, const char *function, const dp_leaf *leaves, int n, Sizes *s,
                           dp_value *out) {
  char head[300];
  snprintf(head, sizeof head, "fn %s(", function);
  const char *p = strstr(source, head), *name;
  p = p ? strchr(p, '(') : NULL;
  unsigned long long state = 1;
  read_asserted(source, s);
  for (int k = 0; k < n; k++) {
    size_t len;
    p = p ? next_param(p + 1, &name, &len) : NULL;
    if (!p) return false;
    out[k] = (dp_value){.kind = leaves[k].kind, .rank = leaves[k].rank};
    if (*p == '[') p++;
    for (int d = 0; d < leaves[k].rank; d++) {
      if (*p == '*') p++;
      out[k].sizes[d] = sum(&p, s);
      if (*p == ',') p++;
    }
    if (leaves[k].rank) {
      fill(&out[k], &state);
      continue;
    }
    switch (leaves[k].kind) {
    case DP_BOOL: out[k].b = true; break;
    case DP_INT: out[k].i = *size_named(s, name, len, 2); break;
    case DP_F32: out[k].f32 = (float)next_random(&state); break;
    case DP_F64: out[k].f64 = next_random(&state); break;
    }
    while (*p && *p != ',' && *p != ')') p++;
    if (*p == ')') p--;
  }
  return true;
}

// ---- comparing -------------------------------------------------------------------------------------------------------

static bool same_bits(const void *a, const void *b, dp_kind kind) {
  if (kind == DP_F64) {
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return isnan(x) ? isnan(y) : !memcmp(a, b, sizeof x);
  }
  static const size_t bytes[] = {sizeof(bool), sizeof(int64_t), sizeof(float), sizeof(double)};
  return !memcmp(a, b, bytes[kind]);
}

static double as_double(const void *p, dp_kind kind) {
  return kind == DP_F64   ? *(const double *)p
         : kind == DP_F32 ? (double)*(const float *)p
         : kind == DP_INT ? (double)*(const int64_t *)p
                          : (double)*(const bool *)p;
}

static bool near(double x, double y, dp_kind kind) {
  double relative = kind == DP_F32 ? 1e-5 : 1e-11;
  return fabs(x - y) <= relative * (1 + fabs(x) + fabs(y)) || (isnan(x) && isnan(y)) || x == y;
}

static bool same_value(const dp_value *a, const dp_value *b, int which, bool bits) {
  static const size_t bytes[] = {sizeof(bool), sizeof(int64_t), sizeof(float), sizeof(double)};
  long long n = 1;
  for (int k = 0; k < a->rank; k++) {
    if (a->sizes[k] != b->sizes[k]) {
      printf("result %d: size %d is %lld, and %lld recompiled\n", which, k, (long long)a->sizes[k],
             (long long)b->sizes[k]);
      return false;
    }
    n *= a->sizes[k];
  }
  for (long long i = 0; i < n; i++) {
    const char *x = a->rank ? (const char *)a->data + (size_t)i * bytes[a->kind] : (const char *)&a->f64;
    const char *y = b->rank ? (const char *)b->data + (size_t)i * bytes[a->kind] : (const char *)&b->f64;
    if (bits ? same_bits(x, y, a->kind) : near(as_double(x, a->kind), as_double(y, a->kind), a->kind))
      continue;
    printf("result %d, element %lld: %.17g, and %.17g recompiled\n", which, i, as_double(x, a->kind),
           as_double(y, a->kind));
    return false;
  }
  return true;
}

// ---- both programs -------------------------------------------------------------------------------------------------------

static dp_function *lookup_first(dp_program *p, const char *const *exprs) {
  dp_function *f = NULL;
  for (int i = 0; exprs[i] && !f; i++) dp_lookup(p, exprs[i], NULL, &f);
  return f;
}

enum { TEXT_BYTES = 512 };

// What `dp grad FUNCTION OPTIONS` differentiates, as expressions to try in order.
static dp_function *derivative(dp_program *p, const char *function, const char *options,
                               char text[TEXT_BYTES]) {
  char wrt[256] = "", first[TEXT_BYTES], second[TEXT_BYTES];
  const char *by = strstr(options, "--wrt");
  if (by) {
    by += strlen("--wrt") + 1;
    const char *end = strstr(by, " --");
    snprintf(wrt, sizeof wrt, ", wrt: %.*s", end ? (int)(end - by) : (int)strlen(by), by);
  }
  bool forward = strstr(options, "forward");
  snprintf(first, sizeof first, "%s(%s%s)", forward ? "jvp" : "value_and_grad", function, wrt);
  snprintf(second, sizeof second, "vjp(%s%s)", function, wrt);
  dp_function *f = lookup_first(p, (const char *const[]){first, NULL});
  memcpy(text, f ? first : second, TEXT_BYTES);
  return f || forward ? f : lookup_first(p, (const char *const[]){second, NULL});
}

typedef struct Pair {
  dp_context *ctx;
  dp_function *original, *printed;
  int n_args, n_results;
} Pair;

static bool pair_up(Pair *p) {
  int n_args, n_results;
  const dp_leaf *args = dp_parameters(p->original, &p->n_args);
  const dp_leaf *other = dp_parameters(p->printed, &n_args);
  dp_results(p->original, &p->n_results);
  dp_results(p->printed, &n_results);
  if (p->n_args != n_args || p->n_results != n_results || n_args > MAX_LEAVES || n_results > MAX_LEAVES) {
    printf("%d parameters and %d results, and %d and %d recompiled\n", p->n_args, p->n_results, n_args,
           n_results);
    return false;
  }
  for (int k = 0; k < n_args; k++)
    if (args[k].kind != other[k].kind || args[k].rank != other[k].rank) {
      printf("parameter %d is another one recompiled\n", k);
      return false;
    }
  return true;
}

static bool is_float(const dp_value *v) { return v->kind == DP_F64 || v->kind == DP_F32; }

static bool call_both(const Pair *p, const dp_value *in, dp_value *out, bool bits) {
  dp_value other[MAX_LEAVES];
  if (dp_call(p->original, in, out) != DP_OK) {
    printf("the original fails: %s\n", dp_last_error(p->ctx));
    return false;
  }
  if (dp_call(p->printed, in, other) != DP_OK) {
    printf("the recompiled one fails: %s\n", dp_last_error(p->ctx));
    return false;
  }
  bool same = true;
  for (int k = 0; k < p->n_results; k++) same &= same_value(&out[k], &other[k], k, bits);
  return same;
}

// in: what `first` was called with; out: what it gave. mode: vjp or jvp, which take more arguments like the results or
// like the arguments.
static bool differentiate_again(const Pair *first, const char *mode, const char *original,
                                const char *printed, dp_program *programs[2], const dp_value *in,
                                const dp_value *out) {
  char text[TEXT_BYTES + 8];
  Pair p = {.ctx = first->ctx};
  snprintf(text, sizeof text, "%s(%s)", mode, original);
  p.original = lookup_first(programs[0], (const char *const[]){text, NULL});
  if (!p.original) return true; // a function with a rule for the other mode alone
  snprintf(text, sizeof text, "%s(%s)", mode, printed);
  p.printed = lookup_first(programs[1], (const char *const[]){text, NULL});
  if (!p.printed) printf("%s", dp_diagnostics_text(p.ctx));
  if (!p.printed || !pair_up(&p)) return false;
  bool reverse = !strcmp(mode, "vjp");
  const dp_value *like = reverse ? out : in;
  int n = first->n_args;
  dp_value more[MAX_LEAVES], results[MAX_LEAVES];
  memcpy(more, in, sizeof more);
  unsigned long long state = 2;
  for (int k = 0; k < (reverse ? first->n_results : first->n_args) && n < p.n_args; k++) {
    if (!is_float(&like[k])) continue;
    more[n] = like[k];
    if (like[k].rank)
      fill(&more[n], &state);
    else if (like[k].kind == DP_F32)
      more[n].f32 = (float)next_random(&state);
    else
      more[n].f64 = next_random(&state);
    n++;
  }
  bool same = n == p.n_args && call_both(&p, more, results, false);
  if (!same) printf("(differentiated again by %s)\n", mode);
  for (int k = first->n_args; k < n; k++)
    if (more[k].rank) free(more[k].data);
  return same;
}

static bool compare(Pair *p, const char *original, const char *printed, dp_program *programs[2],
                    const char *source, Sizes *s) {
  dp_value in[MAX_LEAVES] = {0}, out[MAX_LEAVES];
  if (!pair_up(p)) return false;
  if (!make_arguments(source, printed, dp_parameters(p->original, &p->n_args), p->n_args, s, in)) {
    printf("the printed signature does not read\n");
    return false;
  }
  bool same = call_both(p, in, out, true) &&
              differentiate_again(p, "vjp", original, printed, programs, in, out) &&
              differentiate_again(p, "jvp", original, printed, programs, in, out);
  for (int k = 0; k < p->n_args; k++)
    if (in[k].rank) free(in[k].data);
  return same;
}

static dp_program *compile(dp_context *ctx, const char *path, const char *text, size_t len, int level) {
  dp_options o = dp_options_default();
  o.opt_level = level;
  o.strict_fp = true;
  dp_program *p = NULL;
  if (dp_compile(ctx, path, text, len, &o, &p) != DP_OK) printf("%s", dp_diagnostics_text(ctx));
  return p;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  size_t len;
  const char *source = read_file(argv[3], &len);
  if (!source) return 2;
  Sizes sizes = {0};
  for (int i = 4; i < argc; i++) {
    const char *eq = strchr(argv[i], '=');
    if (eq && argv[i][0] != '-') size_named(&sizes, argv[i], (size_t)(eq - argv[i]), atoll(eq + 1));
  }
  const char *options = argc > 4 && !strncmp(argv[4], "--", 2) ? argv[4] : "";
  char name[256];
  snprintf(name, sizeof name, "%s_%s", argv[2], strstr(options, "forward") ? "tangent" : "adjoint");
  dp_context *ctx = dp_context_new(NULL);
  int wrong = !ctx;
  for (int level = 0; level <= 3 && !wrong; level += 3) {
    dp_program *both[] = {compile(ctx, argv[1], NULL, 0, 2),
                          compile(ctx, "/nowhere/adjoint.dp", source, len, level)};
    Pair p = {.ctx = ctx};
    char text[TEXT_BYTES];
    if (both[0]) p.original = derivative(both[0], argv[2], options, text);
    if (both[0] && !p.original) printf("%s", dp_diagnostics_text(ctx));
    if (both[1] && dp_lookup(both[1], name, NULL, &p.printed) != DP_OK)
      printf("%s", dp_diagnostics_text(ctx));
    wrong = !p.original || !p.printed || !compare(&p, text, name, both, source, &sizes);
    if (wrong) printf("(recompiled at -O%d)\n", level);
  }
  dp_context_free(ctx);
  return wrong;
}
