// Errors at run time: what went wrong, where in the dp source, with the values involved.
// In: failures from compiled code (out of line) and from the runtime. Out: a status, a message, a text like a compiler's.
// What must hold: the first error wins; recording one allocates nothing, so that running out of memory can be told.
#define _GNU_SOURCE
#include "internal.h"

#include <stdio.h>
#include <string.h>

const dprt_error *dprt_get_error(const dprt_ctx *ctx) { return &ctx->error; }
void dprt_clear_error(dprt_ctx *ctx) { ctx->error = (dprt_error){0}; }
void dprt_at(dprt_ctx *ctx, const dprt_site *site) { ctx->site = site; }
const dprt_site *dprt_site_now(const dprt_ctx *ctx) { return ctx->site; }

// A message cut to fit ends in "..." and never in half a character.
static void mark_cut(char *message, size_t size) {
  size_t end = size - 4;
  while (end && ((unsigned char)message[end] & 0xC0) == 0x80) end--;
  memcpy(message + end, "...", 4);
}

int32_t dprt_fail(dprt_ctx *ctx, dprt_status status, const dprt_site *site, const char *fmt, ...) {
  if (ctx->error.status != DPRT_OK) return (int32_t)ctx->error.status;
  va_list ap;
  va_start(ap, fmt);
  locale_t host = uselocale(ctx->c_locale);
  int n = vsnprintf(ctx->message, sizeof ctx->message, fmt, ap);
  uselocale(host);
  va_end(ap);
  if (n < 0)
    ctx->message[0] = 0;
  else if ((size_t)n >= sizeof ctx->message)
    mark_cut(ctx->message, sizeof ctx->message);
  ctx->error = (dprt_error){.status = status, .message = ctx->message, .site = site};
  return (int32_t)status;
}

// ---- what compiled code reports ------------------------------------------------------------------------------

// " for `v`", or nothing when the expression has no text.
typedef struct Subject {
  char text[160];
} Subject;

static Subject subject(const char *before, const char *what) {
  Subject s = {""};
  if (what && *what) {
    int n = snprintf(s.text, sizeof s.text, "%s`%s`", before, what);
    if (n >= (int)sizeof s.text) {
      mark_cut(s.text, sizeof s.text - 1);
      strcat(s.text, "`");
    }
  }
  return s;
}

int32_t dprt_fail_index(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t index, int64_t size) {
  Subject s = subject(" for ", what);
  if (size == 0)
    return dprt_fail(ctx, DPRT_INDEX, site, "index %lld is out of range%s, which is empty", (long long)index,
                     *s.text ? s.text : " for an array");
  return dprt_fail(ctx, DPRT_INDEX, site, "index %lld is out of range%s of size %lld", (long long)index,
                   *s.text ? s.text : " for an array", (long long)size);
}

int32_t dprt_fail_range(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t lo, int64_t hi,
                        int64_t size) {
  Subject s = subject(" of ", what);
  if (lo > hi)
    return dprt_fail(ctx, DPRT_INDEX, site, "the slice %lld..%lld%s ends before it starts", (long long)lo,
                     (long long)hi, s.text);
  s = subject(" for ", what);
  return dprt_fail(ctx, DPRT_INDEX, site, "the slice %lld..%lld is out of range%s of size %lld",
                   (long long)lo, (long long)hi, *s.text ? s.text : " for an array", (long long)size);
}

int32_t dprt_fail_size(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t left, int64_t right) {
  Subject s = subject(" in ", what);
  return dprt_fail(ctx, DPRT_SIZE, site, "sizes %lld and %lld do not fit%s", (long long)left,
                   (long long)right, s.text);
}

int32_t dprt_fail_assert(dprt_ctx *ctx, const dprt_site *site, const char *message) {
  return dprt_fail(ctx, DPRT_ASSERT, site, "assertion failed%s%s", message && *message ? ": " : "",
                   message ? message : "");
}

int32_t dprt_fail_divide(dprt_ctx *ctx, const dprt_site *site) {
  return dprt_fail(ctx, DPRT_ARITH, site, "division of an int by zero");
}

int32_t dprt_fail_stack(dprt_ctx *ctx, const dprt_site *site) {
  return dprt_fail(ctx, DPRT_STACK, site, "the recursion is too deep for the thread's stack");
}

int32_t dprt_fail_alloc(dprt_ctx *ctx, const dprt_site *site) {
  if (ctx->error.status == DPRT_OK) return dprt_fail(ctx, DPRT_MEMORY, site, "out of memory");
  if (site) ctx->error.site = site;
  return (int32_t)ctx->error.status;
}

// ---- the error as text ---------------------------------------------------------------------------------------

static void add_place(TextBuf *t, const dprt_site *site) {
  textbuf_add(t, site->file ? site->file : "<unknown>");
  if (site->line > 0) textbuf_addf(t, ":%d", (int)site->line);
  if (site->line > 0 && site->column > 0) textbuf_addf(t, ":%d", (int)site->column);
}

// The line and a caret under its `column`th character; tabs are kept so that both lines indent alike.
static void add_source(TextBuf *t, const dprt_site *site) {
  textbuf_addf(t, "\n%5d | %s", (int)site->line, site->text);
  if (site->column <= 0) return;
  textbuf_add(t, "\n      | ");
  const char *p = site->text;
  for (int32_t c = 1; c < site->column && *p; c++) {
    textbuf_addc(t, *p == '\t' ? '\t' : ' ', 1);
    do p++;
    while (((unsigned char)*p & 0xC0) == 0x80);
  }
  textbuf_addc(t, '^', 1);
}

const char *dprt_error_text(dprt_ctx *ctx) {
  const dprt_error *e = &ctx->error;
  if (e->status == DPRT_OK) return "";
  TextBuf *t = &ctx->error_text;
  t->len = 0;
  t->failed = false;
  if (e->site) {
    add_place(t, e->site);
    textbuf_add(t, ": ");
  }
  textbuf_addf(t, "error: %s", e->message);
  if (e->site && e->site->text) add_source(t, e->site);
  for (const dprt_site *s = e->site ? e->site->caller : NULL; s; s = s->caller) {
    textbuf_add(t, "\n  called from ");
    add_place(t, s);
    if (s->function) textbuf_addf(t, " in `%s`", s->function);
  }
  return t->failed ? e->message : t->data;
}
