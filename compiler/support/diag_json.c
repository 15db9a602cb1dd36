// Diagnostics for programs: one JSON array, documented in docs/diagnostics.md.
// What must hold: always valid JSON in valid UTF-8, whatever bytes the source held.
#include "support/support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// jansson refuses bytes that are not UTF-8; each such byte becomes the replacement character.
static json_t *text(Arena *a, const char *s) {
  if (!s) return json_null();
  size_t len = strlen(s);
  if (utf8_first_bad(s, len) < 0) return json_stringn(s, len);
  StrBuf sb;
  sb_init(&sb, a);
  for (long bad; (bad = utf8_first_bad(s, len)) >= 0; s += bad + 1, len -= (size_t)bad + 1) {
    sb_addn(&sb, s, (size_t)bad);
    sb_add(&sb, "\xEF\xBF\xBD");
  }
  sb_addn(&sb, s, len);
  return json_stringn(sb.data, (size_t)sb.len);
}

// False when memory ran out; jansson takes and checks the values it is given.
static bool set_place(Arena *a, json_t *o, const Sources *sources, const DiagSpan *span) {
  int line, col, end_line, end_col;
  Loc loc = span->loc, end = loc;
  end.off = loc.off > UINT32_MAX - loc.len ? UINT32_MAX : loc.off + loc.len;
  sources_line_col(sources, loc, &line, &col);
  sources_line_col(sources, end, &end_line, &end_col);
  const Source *f = sources_get(sources, loc);
  bool ok = json_object_set_new(o, "file", text(a, f ? f->path : NULL)) == 0;
  ok = ok && json_object_set_new(o, "line", json_integer(line)) == 0;
  ok = ok && json_object_set_new(o, "column", json_integer(col)) == 0;
  ok = ok && json_object_set_new(o, "endLine", json_integer(end_line)) == 0;
  ok = ok && json_object_set_new(o, "endColumn", json_integer(end_col)) == 0;
  return ok && json_object_set_new(o, "label", text(a, span->label)) == 0;
}

static bool set_lists(Arena *a, json_t *o, const Sources *sources, const Diag *g) {
  json_t *spans = json_array(), *notes = json_array();
  bool ok = spans && notes;
  for (int i = 0; ok && i < g->spans.len; i++) {
    json_t *span = json_object();
    ok = span && set_place(a, span, sources, &g->spans.data[i]);
    ok = json_array_append_new(spans, span) == 0 && ok;
  }
  for (int i = 0; ok && i < g->notes.len; i++)
    ok = json_array_append_new(notes, text(a, g->notes.data[i])) == 0;
  ok = json_object_set_new(o, "spans", spans) == 0 && ok;
  return json_object_set_new(o, "notes", notes) == 0 && ok;
}

static const char *severity_text(Severity s) {
  switch (s) {
  case SEV_ERROR: return "error";
  case SEV_WARNING: return "warning";
  case SEV_NOTE: return "note";
  }
  return "error";
}

static json_t *diag_object(Arena *a, const Sources *sources, const Diag *g) {
  json_t *o = json_object();
  bool ok = o && json_object_set_new(o, "code", text(a, diag_code_text(g->code))) == 0;
  ok = ok && json_object_set_new(o, "severity", text(a, severity_text(g->severity))) == 0;
  ok = ok && json_object_set_new(o, "message", text(a, g->message ? g->message : "")) == 0;
  ok = ok && set_place(a, o, sources, &g->primary) && set_lists(a, o, sources, g);
  ok = ok && json_object_set_new(o, "help", text(a, g->help)) == 0;
  ok = ok && json_object_set_new(o, "replace", text(a, g->replace)) == 0;
  if (ok) return o;
  json_decref(o);
  return NULL;
}

void diags_render_json_items(const Diags *d, StrBuf *out, bool first) {
  for (int i = 0; i < d->list.len; i++) {
    json_t *object = diag_object(d->arena, d->sources, d->list.data[i]);
    char *dump = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    sb_add(out, first ? "\n" : ",\n");
    sb_add(out, dump ? dump
                     : "{\"code\": \"E0000\", \"severity\": \"error\", "
                       "\"message\": \"out of memory while writing the diagnostics\"}");
    free(dump);
    first = false;
  }
}

void diags_render_json(const Diags *d, StrBuf *out) {
  sb_addc(out, '[');
  diags_render_json_items(d, out, true);
  sb_add(out, d->list.len ? "\n]\n" : "]\n");
}
