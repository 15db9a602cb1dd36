// Texts: what print and string interpolation build, and how numbers look.
// In: values with format specs the compiler has checked. Out: NUL-terminated UTF-8, owned by the context.
// What must hold: a number looks the same whatever the host's locale; a float without a spec reads back exactly.
#define _GNU_SOURCE
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- growable text -------------------------------------------------------------------------------------------

void textbuf_init(TextBuf *t, dprt_ctx *ctx) { *t = (TextBuf){.ctx = ctx}; }

void textbuf_free(TextBuf *t) {
  dprt_raw_free(t->ctx, t->data);
  textbuf_init(t, t->ctx);
}

bool textbuf_room(TextBuf *t, size_t more) {
  if (t->cap - t->len > more) return true;
  size_t cap = t->cap * 2 > t->len + more + 1 ? t->cap * 2 : t->len + more + 128;
  char *data = dprt_raw_alloc(t->ctx, cap);
  if (!data) {
    t->failed = true;
    return false;
  }
  if (t->len) memcpy(data, t->data, t->len);
  data[t->len] = 0;
  dprt_raw_free(t->ctx, t->data);
  t->data = data;
  t->cap = cap;
  return true;
}

void textbuf_addn(TextBuf *t, const char *s, size_t n) {
  if (!textbuf_room(t, n)) return;
  memcpy(t->data + t->len, s, n);
  t->len += n;
  t->data[t->len] = 0;
}

void textbuf_add(TextBuf *t, const char *s) { textbuf_addn(t, s, strlen(s)); }

void textbuf_addc(TextBuf *t, char c, size_t count) {
  if (!textbuf_room(t, count)) return;
  memset(t->data + t->len, c, count);
  t->len += count;
  t->data[t->len] = 0;
}

void textbuf_addf(TextBuf *t, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  locale_t host = uselocale(t->ctx->c_locale);
  char small[256];
  int n = vsnprintf(small, sizeof small, fmt, ap);
  if (n >= 0 && (size_t)n < sizeof small) {
    textbuf_addn(t, small, (size_t)n);
  } else if (n >= 0 && textbuf_room(t, (size_t)n)) {
    vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
    t->len += (size_t)n;
  }
  uselocale(host);
  va_end(again);
  va_end(ap);
}

// ---- shortest floats -----------------------------------------------------------------------------------------

double dprt_parse_f64(const dprt_ctx *ctx, const char *s, const char **end) {
  char *stop;
  double v = strtod_l(s, &stop, ctx->c_locale);
  *end = stop;
  return v;
}

static bool reads_back(const dprt_ctx *ctx, const char *text, double v, bool single) {
  return single ? strtof_l(text, NULL, ctx->c_locale) == (float)v : strtod_l(text, NULL, ctx->c_locale) == v;
}

// "d.ddde±x" with the fewest digits that read back. Any decimal of `safe` digits survives the way through a normal float
// and back, so a shorter one that reads back shows itself there as trailing zeros; subnormals have no such count.
static void shortest_digits(const dprt_ctx *ctx, char out[SHORTEST_BYTES], double v, bool single) {
  int safe = single ? 6 : 15, most = single ? 9 : 17;
  double normal = single ? 0x1p-126 : 0x1p-1022;
  locale_t host = uselocale(ctx->c_locale);
  for (int digits = fabs(v) < normal ? 1 : safe; digits <= most; digits++) {
    snprintf(out, SHORTEST_BYTES, "%.*e", digits - 1, v);
    if (reads_back(ctx, out, v, single)) break;
  }
  uselocale(host);
}

// The digits d.ddd and the exponent laid out as Python does: plain between 1e-4 and 1e16, else scientific.
static int lay_out(char out[SHORTEST_BYTES], const char *sci, bool scientific) {
  char digits[20];
  int n = 0, len = 0;
  const char *p = sci;
  if (*p == '-') out[len++] = *p++;
  for (; *p && *p != 'e'; p++)
    if (*p != '.') digits[n++] = *p;
  while (n > 1 && digits[n - 1] == '0') n--;
  int exponent = atoi(p + 1);
  if (scientific || exponent < -4 || exponent >= 16) {
    out[len++] = digits[0];
    if (n > 1) out[len++] = '.';
    memcpy(out + len, digits + 1, (size_t)(n - 1));
    len += n - 1;
    return len + snprintf(out + len, (size_t)(SHORTEST_BYTES - len), "e%c%02d", exponent < 0 ? '-' : '+',
                          abs(exponent));
  }
  if (exponent < 0) {
    out[len++] = '0';
    out[len++] = '.';
    for (int i = -1; i > exponent; i--) out[len++] = '0';
  }
  for (int i = 0; i < n || i <= exponent; i++) {
    out[len++] = i < n ? digits[i] : '0';
    if (i == exponent) out[len++] = '.';
  }
  if (out[len - 1] == '.') out[len++] = '0';
  out[len] = 0;
  return len;
}

static int special(char out[SHORTEST_BYTES], double v) {
  strcpy(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
  return (int)strlen(out);
}

static int whole(char out[SHORTEST_BYTES], double v) {
  char digits[24];
  int n = 0, len = 0;
  uint64_t u = (uint64_t)fabs(v);
  do digits[n++] = (char)('0' + u % 10);
  while (u /= 10);
  if (signbit(v)) out[len++] = '-';
  while (n) out[len++] = digits[--n];
  memcpy(out + len, ".0", 3);
  return len + 2;
}

static int shortest(const dprt_ctx *ctx, char out[SHORTEST_BYTES], double v, bool single, bool scientific) {
  if (!isfinite(v)) return special(out, v);
  double plain = single ? 0x1p24 : 0x1p53; // every whole number below is its own shortest form
  if (!scientific && fabs(v) < plain && v == (double)(int64_t)v) return whole(out, v);
  char sci[SHORTEST_BYTES];
  shortest_digits(ctx, sci, v, single);
  return lay_out(out, sci, scientific);
}

int dprt_shortest_f64(const dprt_ctx *ctx, char out[SHORTEST_BYTES], double v) {
  return shortest(ctx, out, v, false, false);
}

int dprt_shortest_f32(const dprt_ctx *ctx, char out[SHORTEST_BYTES], float v) {
  return shortest(ctx, out, (double)v, true, false);
}

void dprt_human_bytes(char out[SHORTEST_BYTES], int64_t bytes) {
  static const char units[][4] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 10000) {
    snprintf(out, SHORTEST_BYTES, "%lld bytes", (long long)bytes);
    return;
  }
  int unit = 0;
  int64_t tenths = (int64_t)((double)bytes * 10 / 1024);
  while (tenths >= 10240 && unit < 3) {
    tenths /= 1024;
    unit++;
  }
  snprintf(out, SHORTEST_BYTES, "%d.%d %.3s", (int)(tenths / 10), (int)(tenths % 10), units[unit]);
}

// ---- format specs --------------------------------------------------------------------------------------------

typedef struct Spec {
  bool zero;
  int width, precision; // precision -1: none
  char form;            // 'f', 'e', 'g' or 0
} Spec;

enum { MAX_WIDTH = 1000, MAX_PRECISION = 60, BODY_BYTES = 400 };

static int number_in(const char **p, int most) {
  int n = 0;
  for (; **p >= '0' && **p <= '9'; (*p)++) n = n * 10 + (**p - '0') > most ? most : n * 10 + (**p - '0');
  return n;
}

static Spec parse_spec(const char *p) {
  Spec s = {.precision = -1};
  if (!p) return s;
  if (*p == '0') {
    s.zero = true;
    p++;
  }
  s.width = number_in(&p, MAX_WIDTH);
  if (*p == '.') {
    p++;
    s.precision = number_in(&p, MAX_PRECISION);
  }
  s.form = *p;
  return s;
}

static void add_padded(TextBuf *t, const char *body, int n, Spec s, bool may_zero) {
  int pad = s.width > n ? s.width - n : 0;
  if (!s.zero || !may_zero) {
    textbuf_addc(t, ' ', (size_t)pad);
    textbuf_addn(t, body, (size_t)n);
    return;
  }
  bool sign = *body == '-';
  textbuf_addn(t, body, sign);
  textbuf_addc(t, '0', (size_t)pad);
  textbuf_addn(t, body + sign, (size_t)(n - sign));
}

// A precision without a form means that many decimals, in scientific form where those would be mostly noise.
static int float_body(const dprt_ctx *ctx, char body[BODY_BYTES], double v, bool single, Spec s) {
  if (!isfinite(v)) return special(body, v);
  if (s.precision < 0) return shortest(ctx, body, v, single, s.form == 'e');
  char form = s.form ? s.form : fabs(v) >= 1e16 ? 'e' : 'f';
  char fmt[8] = {'%', '.', '*', form, 0};
  locale_t host = uselocale(ctx->c_locale);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  int n = snprintf(body, BODY_BYTES, fmt, s.precision, v);
#pragma GCC diagnostic pop
  uselocale(host);
  return n;
}

static void add_float(TextBuf *t, double v, bool single, Spec s) {
  char body[BODY_BYTES];
  int n = float_body(t->ctx, body, v, single, s);
  add_padded(t, body, n, s, isfinite(v));
}

static void add_int(TextBuf *t, int64_t v, Spec s) {
  if (s.precision >= 0 || s.form) {
    add_float(t, (double)v, false, s);
    return;
  }
  char body[24];
  add_padded(t, body, snprintf(body, sizeof body, "%lld", (long long)v), s, true);
}

// ---- arrays --------------------------------------------------------------------------------------------------

enum { SHOW_ALL = 200, SHOW_ENDS = 3, LINE_WIDTH = 80 };

typedef struct ArrayText {
  TextBuf *t;
  dprt_elem elem;
  int rank;
  const int64_t *sizes;
  Spec spec;
  bool elide;
  int indent; // -1: on one line
} ArrayText;

static int64_t elements(const int64_t *sizes, int rank) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= sizes[i];
  return n;
}

static void add_element(const ArrayText *a, const void *data, int64_t i) {
  switch (a->elem) {
  case DPRT_BOOL: textbuf_add(a->t, ((const bool *)data)[i] ? "true" : "false"); break;
  case DPRT_I64: add_int(a->t, ((const int64_t *)data)[i], a->spec); break;
  case DPRT_F32: add_float(a->t, (double)((const float *)data)[i], true, a->spec); break;
  case DPRT_F64: add_float(a->t, ((const double *)data)[i], false, a->spec); break;
  case DPRT_STR: textbuf_add(a->t, ((const char *const *)data)[i]); break;
  }
}

static void add_axis(const ArrayText *a, const void *data, int axis, int64_t offset) {
  if (axis == a->rank) {
    add_element(a, data, offset);
    return;
  }
  int64_t n = a->sizes[axis], stride = elements(a->sizes + axis + 1, a->rank - axis - 1);
  bool elide = a->elide && n > 2 * SHOW_ENDS;
  bool lines = a->indent >= 0 && axis < a->rank - 1;
  textbuf_addc(a->t, '[', 1);
  for (int64_t i = 0; i < n; i++) {
    if (i) textbuf_add(a->t, lines ? ",\n" : ", ");
    if (i && lines) textbuf_addc(a->t, ' ', (size_t)(a->indent + axis + 1));
    if (elide && i == SHOW_ENDS) {
      textbuf_add(a->t, "...");
      i = n - SHOW_ENDS - 1;
    } else {
      add_axis(a, data, axis + 1, offset + i * stride);
    }
  }
  textbuf_addc(a->t, ']', 1);
}

// How many characters stand before the end of the text on its last line.
static int column_now(const TextBuf *t, size_t start) {
  int column = 0;
  for (size_t i = t->len; i > start && t->data[i - 1] != '\n'; i--)
    column += ((unsigned char)t->data[i - 1] & 0xC0) != 0x80;
  return column;
}

void dprt_text_array(dprt_ctx *ctx, int32_t elem, int32_t rank, const void *data, const int64_t *sizes,
                     const char *spec) {
  TextBuf *t = &ctx->text;
  ArrayText a = {.t = t,
                 .elem = (dprt_elem)elem,
                 .rank = rank,
                 .sizes = sizes,
                 .spec = parse_spec(spec),
                 .elide = elements(sizes, rank) > SHOW_ALL,
                 .indent = -1};
  int column = column_now(t, ctx->text_start);
  size_t start = t->len;
  add_axis(&a, data, 0, 0);
  if (rank > 1 && !t->failed && column_now(t, start) + column > LINE_WIDTH) {
    t->len = start; // a matrix too wide for a line stands row below row
    a.indent = column;
    add_axis(&a, data, 0, 0);
  }
}

// ---- pieces, and finished texts ------------------------------------------------------------------------------

struct TextChunk {
  struct TextChunk *next;
  size_t len, cap;
  char data[];
};

static const size_t TEXT_CHUNK = 4000;

// Texts nest (an interpolated call may build one): each start is kept in front of its text.
void dprt_text_begin(dprt_ctx *ctx) {
  textbuf_addn(&ctx->text, (const char *)&ctx->text_start, sizeof ctx->text_start);
  ctx->text_start = ctx->text.len;
}

void dprt_text_str(dprt_ctx *ctx, const char *s) { textbuf_add(&ctx->text, s ? s : ""); }
void dprt_text_bool(dprt_ctx *ctx, bool v) { textbuf_add(&ctx->text, v ? "true" : "false"); }
void dprt_text_i64(dprt_ctx *ctx, int64_t v, const char *spec) { add_int(&ctx->text, v, parse_spec(spec)); }

void dprt_text_f64(dprt_ctx *ctx, double v, const char *spec) {
  add_float(&ctx->text, v, false, parse_spec(spec));
}
void dprt_text_f32(dprt_ctx *ctx, float v, const char *spec) {
  add_float(&ctx->text, (double)v, true, parse_spec(spec));
}

static char *chunk_take(dprt_ctx *ctx, size_t bytes) {
  TextChunk *c = ctx->text_chunks;
  if (!c || c->cap - c->len < bytes) {
    size_t cap = bytes > TEXT_CHUNK ? bytes : TEXT_CHUNK;
    c = dprt_raw_alloc(ctx, sizeof *c + cap);
    if (!c) return NULL;
    *c = (TextChunk){.next = ctx->text_chunks, .cap = cap};
    ctx->text_chunks = c;
  }
  c->len += bytes;
  return c->data + c->len - bytes;
}

// Leaves the innermost text; its bytes stay readable until the next text_begin.
static const char *close_text(dprt_ctx *ctx, size_t *n) {
  TextBuf *t = &ctx->text;
  if (t->failed || ctx->text_start == 0) {
    dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory while a text was built");
    t->len = ctx->text_start = 0;
    t->failed = false;
    *n = 0;
    return "";
  }
  size_t start = ctx->text_start;
  *n = t->len - start;
  memcpy(&ctx->text_start, t->data + start - sizeof start, sizeof start);
  t->len = start - sizeof start;
  return t->data + start;
}

const char *dprt_text_end(dprt_ctx *ctx) {
  size_t n;
  const char *built = close_text(ctx, &n);
  char *kept = chunk_take(ctx, n + 1);
  if (!kept) {
    dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory while a text was built");
    return "";
  }
  memcpy(kept, built, n);
  kept[n] = 0;
  return kept;
}

void dprt_text_print(dprt_ctx *ctx) {
  textbuf_addc(&ctx->text, '\n', 1);
  size_t n;
  const char *built = close_text(ctx, &n);
  dprt_write(ctx, built, n);
}

void dprt_print(dprt_ctx *ctx, const char *s) {
  dprt_text_begin(ctx);
  dprt_text_str(ctx, s);
  dprt_text_print(ctx);
}

void dprt_text_release(dprt_ctx *ctx) {
  ctx->text.len = ctx->text_start = 0;
  ctx->text.failed = false;
  TextChunk *keep = ctx->text_chunks;
  if (!keep) return;
  for (TextChunk *c = keep->next, *next; c; c = next) {
    next = c->next;
    dprt_raw_free(ctx, c);
  }
  keep->next = NULL;
  keep->len = 0;
}

void dprt_text_free_all(dprt_ctx *ctx) {
  dprt_text_release(ctx);
  dprt_raw_free(ctx, ctx->text_chunks);
  ctx->text_chunks = NULL;
  textbuf_free(&ctx->text);
  textbuf_free(&ctx->error_text);
}
