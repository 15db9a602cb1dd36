// Diagnostics as the host of libdp sees them (include/dp/dp.h). In: a session. Out: plain data that outlives it, and the text.
#include "driver/api.h"

#include <string.h>

static const char *kept(Arena *a, const char *text) {
  return text ? arena_strdup(a, text, strlen(text)) : NULL;
}

static dp_place place_of(Arena *a, const Session *s, const DiagSpan *span) {
  const Source *src = sources_get(&s->sources, span->loc);
  dp_place p = {.label = kept(a, span->label)};
  if (!src) return p;
  Loc end = span->loc;
  end.off += end.len;
  end.len = 0;
  p.file = kept(a, src->path);
  sources_line_col(&s->sources, span->loc, &p.line, &p.column);
  sources_line_col(&s->sources, end, &p.end_line, &p.end_column);
  return p;
}

static dp_diagnostic diagnostic_of(Arena *a, const Session *s, const Diag *g) {
  dp_place *spans = ARENA_ARRAY(a, dp_place, g->spans.len);
  for (int i = 0; i < g->spans.len; i++) spans[i] = place_of(a, s, &g->spans.data[i]);
  const char **notes = ARENA_ARRAY(a, const char *, g->notes.len);
  for (int i = 0; i < g->notes.len; i++) notes[i] = kept(a, g->notes.data[i]);
  return (dp_diagnostic){.severity = g->severity == SEV_WARNING ? DP_SEVERITY_WARNING : DP_SEVERITY_ERROR,
                         .code = diag_code_text(g->code),
                         .message = kept(a, g->message),
                         .place = place_of(a, s, &g->primary),
                         .n_spans = g->spans.len,
                         .spans = spans,
                         .n_notes = g->notes.len,
                         .notes = notes,
                         .help = kept(a, g->help),
                         .replace = kept(a, g->replace)};
}

Report report_of(Arena *a, const Session *s) {
  Report r = {.list = ARENA_ARRAY(a, dp_diagnostic, s->diags.list.len), .n = s->diags.list.len};
  for (int i = 0; i < r.n; i++) r.list[i] = diagnostic_of(a, s, s->diags.list.data[i]);
  StrBuf text;
  sb_init(&text, a);
  diags_render(&s->diags, &text, false);
  r.text = text.data ? text.data : "";
  return r;
}

void report_forget(dp_context *ctx) {
  arena_free(ctx->report_arena);
  region_unmap(&ctx->report_region);
  ctx->report_arena = NULL;
  ctx->report = (Report){0};
}

void report_session(dp_context *ctx, const Session *s) {
  report_forget(ctx);
  ctx->report_arena = arena_new(0);
  if (ctx->report_arena) ctx->report = report_of(ctx->report_arena, s);
}

void report_given(dp_context *ctx, const Report *r, Arena *a, const Region *where) {
  report_forget(ctx);
  ctx->report_arena = a;
  ctx->report_region = *where;
  ctx->report = *r;
}

const dp_diagnostic *dp_diagnostics(dp_context *ctx, int *n) {
  *n = ctx->report.n;
  return ctx->report.list;
}

const char *dp_diagnostics_text(dp_context *ctx) { return ctx->report.text ? ctx->report.text : ""; }
