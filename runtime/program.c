// A dp program as a process: reads its options from the command line, runs it, reports what went wrong.
// In: argv and the program's table of options. Out: an exit code; text on standard output (--help) and standard error.
// What must hold: nothing runs unless every argument was understood.
#define _GNU_SOURCE
#include "internal.h"

#include "dp/dprt_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Options {
  dprt_ctx *ctx;
  const dprt_program *program;
  dprt_slot *values;
  bool *given;
} Options;

// ---- names -------------------------------------------------------------------------------------------------------------

// Equal but for `-` in the given name where the option has `_`.
static bool same_name(const char *option, const char *given, size_t len) {
  if (strlen(option) != len) return false;
  for (size_t i = 0; i < len; i++)
    if (option[i] != given[i] && !(option[i] == '_' && given[i] == '-')) return false;
  return true;
}

static int64_t find_option(const dprt_program *p, const char *given, size_t len) {
  for (int64_t i = 0; i < p->n_options; i++)
    if (same_name(p->options[i].name, given, len)) return i;
  return -1;
}

enum { NAME_MAX_SUGGEST = 40 };

// Insertions, deletions, replacements and swaps of neighbours between the two.
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
  if (n > NAME_MAX_SUGGEST || m > NAME_MAX_SUGGEST) return n + m;
  size_t rows[3][NAME_MAX_SUGGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= m; j++) last[j] = before[j] = j;
  for (size_t i = 1; i <= n; i++) {
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);
      if (last[j] + 1 < d) d = last[j] + 1;
      if (row[j - 1] + 1 < d) d = row[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < d)
        d = before[j - 2] + 1;
      row[j] = d;
    }
    size_t *t = before;
    before = last, last = row, row = t;
  }
  return last[m];
}

static const char *nearest(const dprt_program *p, const char *given, size_t len) {
  const char *best = NULL;
  size_t limit = len <= 3 ? 1 : len <= 6 ? 2 : 3, least = limit + 1;
  for (int64_t i = 0; i < p->n_options; i++) {
    size_t d = distance(p->options[i].name, strlen(p->options[i].name), given, len);
    if (d < least) best = p->options[i].name, least = d;
  }
  return least <= limit ? best : NULL;
}

// ---- mistakes ----------------------------------------------------------------------------------------------------------

static int usage_hint(const dprt_program *p) {
  fprintf(stderr, "%s --help lists the options\n", p->name);
  return DPRT_EXIT_USAGE;
}

static int unknown_option(const dprt_program *p, const char *given, size_t len) {
  fprintf(stderr, "%s: unknown option --%.*s", p->name, (int)len, given);
  const char *near = nearest(p, given, len);
  if (near) fprintf(stderr, "; did you mean --%s?", near);
  fputc('\n', stderr);
  return usage_hint(p);
}

static const char *kind_text(int32_t elem) {
  switch ((dprt_elem)elem) {
  case DPRT_BOOL: return "true or false";
  case DPRT_I64: return "an integer";
  case DPRT_F32:
  case DPRT_F64: return "a number";
  case DPRT_STR: return "a text";
  }
  return "a value";
}

static int bad_value(const dprt_program *p, const dprt_option *o, const char *value) {
  fprintf(stderr, "%s: --%s takes %s, not `%s`\n", p->name, o->name, kind_text(o->elem), value);
  return usage_hint(p);
}

// ---- values ------------------------------------------------------------------------------------------------------------

static bool parse_int(const char *s, int64_t *out) {
  char *end;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  *out = v;
  return end != s && !*end && errno == 0 && *s != ' ' && *s != '\t';
}

static bool parse_float(const dprt_ctx *ctx, const char *s, double *out) {
  const char *end = s;
  *out = dprt_parse_f64(ctx, s, &end);
  return end != s && !*end && *s != ' ' && *s != '\t';
}

static bool parse_bool(const char *s, bool *out) {
  *out = strcmp(s, "true") == 0;
  return *out || strcmp(s, "false") == 0;
}

static bool parse_value(Options *o, const dprt_option *option, const char *text, dprt_slot *out) {
  memset(out, 0, sizeof *out);
  double number = 0;
  switch ((dprt_elem)option->elem) {
  case DPRT_BOOL: return parse_bool(text, &out->b);
  case DPRT_I64: return parse_int(text, &out->i64);
  case DPRT_F32: {
    bool ok = parse_float(o->ctx, text, &number);
    out->f32 = (float)number;
    return ok;
  }
  case DPRT_F64: return parse_float(o->ctx, text, &out->f64);
  case DPRT_STR: out->str = text; return true;
  }
  return false;
}

// ---- the command line --------------------------------------------------------------------------------------------------

// One argument, and perhaps the next; how many were used, or 0 after a mistake.
static int read_option(Options *o, int argc, char **argv) {
  const dprt_program *p = o->program;
  const char *arg = argv[0];
  if (strncmp(arg, "--", 2) != 0 || !arg[2]) {
    fprintf(stderr, "%s: `%s` is not an option; options are written --name value\n", p->name, arg);
    usage_hint(p);
    return 0;
  }
  const char *name = arg + 2, *equals = strchr(name, '=');
  size_t len = equals ? (size_t)(equals - name) : strlen(name);
  int64_t k = find_option(p, name, len);
  bool negated = false;
  if (k < 0 && !equals && strncmp(name, "no-", 3) == 0) {
    k = find_option(p, name + 3, len - 3);
    negated = k >= 0 && p->options[k].elem == DPRT_BOOL;
    if (!negated) k = -1;
  }
  if (k < 0) {
    unknown_option(p, name, len);
    return 0;
  }
  const dprt_option *option = &p->options[k];
  o->given[k] = true;
  if (option->elem == DPRT_BOOL && !equals) {
    memset(&o->values[k], 0, sizeof o->values[k]);
    o->values[k].b = !negated;
    return 1;
  }
  if (!equals && argc < 2) {
    fprintf(stderr, "%s: --%s needs %s behind it\n", p->name, option->name, kind_text(option->elem));
    usage_hint(p);
    return 0;
  }
  const char *value = equals ? equals + 1 : argv[1];
  if (!parse_value(o, option, value, &o->values[k])) {
    bad_value(p, option, value);
    return 0;
  }
  return equals ? 1 : 2;
}

static int read_options(Options *o, int argc, char **argv) {
  const dprt_program *p = o->program;
  for (int i = 1; i < argc;) {
    int used = read_option(o, argc - i, argv + i);
    if (!used) return DPRT_EXIT_USAGE;
    i += used;
  }
  for (int64_t k = 0; k < p->n_options; k++) {
    if (o->given[k]) continue;
    o->values[k] = p->options[k].value;
    if (!p->options[k].has_default) {
      fprintf(stderr, "%s: the option --%s must be given; it takes %s\n", p->name, p->options[k].name,
              kind_text(p->options[k].elem));
      return usage_hint(p);
    }
  }
  return DPRT_EXIT_OK;
}

// ---- help --------------------------------------------------------------------------------------------------------------

static void print_default(const dprt_ctx *ctx, const dprt_option *o) {
  char text[SHORTEST_BYTES];
  switch ((dprt_elem)o->elem) {
  case DPRT_BOOL: fputs(o->value.b ? "true" : "false", stdout); return;
  case DPRT_I64: printf("%lld", (long long)o->value.i64); return;
  case DPRT_F32: dprt_shortest_f32(ctx, text, o->value.f32); break;
  case DPRT_F64: dprt_shortest_f64(ctx, text, o->value.f64); break;
  case DPRT_STR: printf("\"%s\"", o->value.str ? o->value.str : ""); return;
  }
  fputs(text, stdout);
}

static const char *placeholder(const dprt_option *o) {
  switch ((dprt_elem)o->elem) {
  case DPRT_BOOL: return "";
  case DPRT_I64: return " INT";
  case DPRT_F32:
  case DPRT_F64: return " NUMBER";
  case DPRT_STR: return " TEXT";
  }
  return "";
}

static void print_help(const dprt_ctx *ctx, const dprt_program *p) {
  printf("usage: %s%s\n", p->name, p->n_options ? " [options]" : "");
  int width = (int)strlen("help");
  for (int64_t k = 0; k < p->n_options; k++) {
    int w = (int)(strlen(p->options[k].name) + strlen(placeholder(&p->options[k])));
    width = w > width ? w : width;
  }
  for (int64_t k = 0; k < p->n_options; k++) {
    const dprt_option *o = &p->options[k];
    int used = printf("  --%s%s", o->name, placeholder(o));
    printf("%*s", width + 6 - used, "");
    if (o->help) printf("%s ", o->help);
    if (o->has_default) {
      fputs("(default ", stdout);
      print_default(ctx, o);
      fputs(")", stdout);
    } else {
      fputs("(must be given)", stdout);
    }
    fputc('\n', stdout);
  }
  printf("  --help%*sshows this text\n", width - (int)strlen("help") + 2, "");
}

// ---- running -----------------------------------------------------------------------------------------------------------

static bool wants_help(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0) return true;
  return false;
}

static int out_of_memory(const dprt_program *p) {
  fprintf(stderr, "%s: out of memory\n", p->name);
  return DPRT_EXIT_ERROR;
}

int dprt_program_run(dprt_ctx *ctx, int argc, char **argv, const dprt_program *p) {
  if (wants_help(argc, argv)) {
    print_help(ctx, p);
    return fflush(stdout) ? DPRT_EXIT_ERROR : DPRT_EXIT_OK;
  }
  size_t n = (size_t)p->n_options;
  Options o = {ctx, p, calloc(n + 1, sizeof(dprt_slot)), calloc(n + 1, sizeof(bool))};
  dprt_slot *results = calloc((size_t)p->n_results + 1, sizeof(dprt_slot));
  int code = DPRT_EXIT_ERROR;
  if (!o.values || !o.given || !results) {
    out_of_memory(p);
  } else if ((code = read_options(&o, argc, argv)) == DPRT_EXIT_OK) {
    if (p->main(ctx, o.values, results)) {
      fflush(stdout);
      fprintf(stderr, "%s\n", dprt_error_text(ctx));
      code = DPRT_EXIT_ERROR;
    } else if (fflush(stdout) || ferror(stdout)) {
      fprintf(stderr, "%s: cannot write to standard output: %s\n", p->name, strerror(errno));
      code = DPRT_EXIT_ERROR;
    }
  }
  free(results);
  free(o.given);
  free(o.values);
  return code;
}

int dprt_program_main(int argc, char **argv, const dprt_program *p) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  if (!ctx) return out_of_memory(p);
  int code = dprt_program_run(ctx, argc, argv, p);
  dprt_ctx_free(ctx);
  return code;
}
