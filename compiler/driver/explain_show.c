// `dp explain`: what was collected, as text and as JSON.
#include "driver/explain.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100 };

static const char *fate_text(AdFate f) {
  switch (f) {
  case AD_SAVED: return "kept";
  case AD_COMPUTED: return "computed";
  case AD_FOLLOWED: return "followed";
  case AD_IN_SLOT: return "in slots";
  case AD_KNOWN: return "known";
  case AD_THERE: return "there";
  }
  return "";
}

// ---- text ----------------------------------------------------------------------------------------------------------------

static int width_of(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static void pad(StrBuf *out, const char *text, int to) {
  sb_add(out, text);
  for (int n = width_of(text); n < to; n++) sb_addc(out, ' ');
}

// Words from column `left` on, broken before column WIDTH. The cursor stands at column `at`.
static void wrap(StrBuf *out, const char *text, int at, int left) {
  for (bool first = true; *text; first = false) {
    size_t n = strcspn(text, " ");
    char *word = arena_strdup(out->arena, text, n);
    if (!first && at + 1 + width_of(word) > WIDTH) {
      sb_addf(out, "\n%*s", left, "");
      at = left;
    } else if (!first) {
      sb_addc(out, ' ');
      at++;
    }
    sb_add(out, word);
    at += width_of(word);
    text += n;
    while (*text == ' ') text++;
  }
  sb_addc(out, '\n');
}

static const char *bytes_text(Arena *a, const Formula *f) {
  return f ? arena_printf(a, "%s bytes", formula_text(a, f)) : "a number of bytes that varies";
}

static const char *kept_text(Arena *a, const ExValue *v) {
  if (v->fate == AD_THERE) return bytes_text(a, v->total);
  const char *each = formula_text(a, v->each), *total = formula_text(a, v->total);
  if (!strcmp(each, total)) return bytes_text(a, v->total);
  return arena_printf(a, "%s bytes each time, %s in all", each, total);
}

static void print_values(Arena *a, StrBuf *out, const ExValues *list, int indent) {
  int names = 0;
  for (int i = 0; i < list->len; i++)
    if (width_of(list->data[i].name) > names) names = width_of(list->data[i].name);
  for (int i = 0; i < list->len; i++) {
    const ExValue *v = &list->data[i];
    sb_addf(out, "%*s", indent, "");
    pad(out, v->name, names + 2);
    pad(out, v->line ? arena_printf(a, "line %d", v->line) : "", 10);
    pad(out, fate_text(v->fate), 10);
    int left = indent + names + 2 + 20;
    const char *why = v->takes_memory ? arena_printf(a, "%s: %s", kept_text(a, v), v->why) : v->why;
    wrap(out, why, left, left);
  }
}

static void print_part(Arena *a, StrBuf *out, const ExPart *p) {
  int indent = 2 + 2 * p->depth;
  sb_addf(out, "\n%*sline %d: %s\n", indent, "", p->line, p->text);
  sb_addf(out, "%*s", indent + 2, "");
  wrap(out, arena_printf(a, "reversed %s: %s", p->how, p->why), indent + 2, indent + 4);
  print_values(a, out, &p->values, indent + 4);
}

static void print_function(const Explain *x, StrBuf *out, const ExFunction *f) {
  sb_addf(out, "%s, line %d: derivative by %s, in reverse mode\n", f->name, f->line,
          *f->by ? f->by : "nothing");
  if (f->halves) sb_add(out, "  in two halves, for the calls within\n");
  if (f->descent) sb_add(out, "  value and derivative in one descent, with the calls within\n");
  if (f->rule) sb_addf(out, "  %s\n", f->rule);
  if (!f->parts.len && !f->rule)
    sb_add(out, "\n  no loops: every value is still there when the reverse sweep needs it\n");
  for (int i = 0; i < f->parts.len; i++) print_part(x->arena, out, &f->parts.data[i]);
  if (f->there.len) {
    sb_add(out, "\n  arrays that the reverse sweep reads where they are:\n");
    print_values(x->arena, out, &f->there, 4);
  }
  sb_addc(out, '\n');
}

static const char *memory_bytes(Arena *a, const ExMemory *m) {
  if (!m->bytes) return "varies";
  return arena_printf(a, "%s bytes%s", formula_text(a, m->bytes), m->grows ? " an element" : "");
}

static const char *memory_notes(Arena *a, const ExMemory *m) {
  const char *notes[] = {m->is_result ? "a result" : NULL, m->on_stack ? "in the frame" : NULL,
                         m->in_loop ? "in each iteration" : NULL, m->why};
  StrBuf sb;
  sb_init(&sb, a);
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
    if (notes[i]) sb_addf(&sb, "%s%s", sb.len ? ", " : "", notes[i]);
  return sb.len ? sb.data : NULL;
}

static void print_memory(const Explain *x, StrBuf *out, const char *title, const ExMemories *list) {
  Arena *a = x->arena;
  sb_addf(out, "%s:%s\n", title, list->len ? "" : " none");
  int names = 0, bytes = 0;
  for (int i = 0; i < list->len; i++) {
    int n = width_of(list->data[i].name), b = width_of(memory_bytes(a, &list->data[i]));
    if (n > names) names = n;
    if (b > bytes) bytes = b;
  }
  for (int i = 0; i < list->len; i++) {
    const ExMemory *m = &list->data[i];
    const char *notes = memory_notes(a, m);
    int left = 12 + names + 2 + bytes + 2;
    sb_add(out, "  ");
    pad(out, m->line ? arena_printf(a, "line %d", m->line) : "", 10);
    pad(out, m->name, names + 2);
    pad(out, memory_bytes(a, m), notes ? bytes + 2 : 0);
    wrap(out, notes ? notes : "", left, left);
  }
}

void explain_text(const Explain *x, StrBuf *out) {
  for (int i = 0; i < x->functions.len; i++) print_function(x, out, &x->functions.data[i]);
  print_memory(x, out, "arrays of the derivative", &x->arrays);
  print_memory(x, out, "copies", &x->copies);
  sb_addf(out, "bytes saved for the reverse sweep, beyond the results: %s\n",
          x->saved ? formula_text(x->arena, x->saved) : "varies");
  for (int i = 0; i < x->counts.len; i++)
    if (strstr(out->data, arena_printf(x->arena, " %s", x->counts.data[i].name)))
      sb_addf(out, "  %s: the iterations of the loop at line %d, all together\n", x->counts.data[i].name,
              x->counts.data[i].line);
  bool halves = false;
  for (int i = 0; i < x->functions.len; i++) halves |= x->functions.data[i].halves;
  if (halves && strstr(out->data, " calls"))
    sb_add(out, "  calls: how often a function that is reversed in halves is called\n");
}

// ---- JSON ----------------------------------------------------------------------------------------------------------------

static json_t *text(const char *s) { return s ? json_string(s) : json_null(); }
static json_t *formula(const Explain *x, const Formula *f) {
  return f ? json_string(formula_text(x->arena, f)) : json_null();
}

static json_t *values_array(const Explain *x, const ExValues *list) {
  json_t *all = json_array();
  for (int i = 0; all && i < list->len; i++) {
    const ExValue *v = &list->data[i];
    bool bytes = v->takes_memory;
    json_array_append_new(all, json_pack("{so si ss ss so so}", "name", text(v->name), "line", v->line,
                                         "decision", fate_text(v->fate), "why", v->why, "bytesEach",
                                         bytes ? formula(x, v->each) : json_null(), "bytesTotal",
                                         bytes ? formula(x, v->total) : json_null()));
  }
  return all;
}

static json_t *function_object(const Explain *x, const ExFunction *f) {
  json_t *parts = json_array();
  for (int i = 0; parts && i < f->parts.len; i++) {
    const ExPart *p = &f->parts.data[i];
    json_array_append_new(parts, json_pack("{ss si so si ss ss so}", "kind", p->kind, "line", p->line, "text",
                                           text(p->text), "depth", p->depth, "reversed", p->how, "why",
                                           p->why, "values", values_array(x, &p->values)));
  }
  return json_pack("{so si so sb sb so so so}", "function", text(f->name), "line", f->line, "by", text(f->by),
                   "halves", (int)f->halves, "descent", (int)f->descent, "rule", text(f->rule), "parts",
                   parts, "there", values_array(x, &f->there));
}

static json_t *memory_array(const Explain *x, const ExMemories *list) {
  json_t *all = json_array();
  for (int i = 0; all && i < list->len; i++) {
    const ExMemory *m = &list->data[i];
    json_array_append_new(all,
                          json_pack("{so so si so sb sb sb sb so}", "function", text(m->function), "name",
                                    text(m->name), "line", m->line, "bytes", formula(x, m->bytes), "inLoop",
                                    (int)m->in_loop, "inFrame", (int)m->on_stack, "isResult",
                                    (int)m->is_result, "grows", (int)m->grows, "why", text(m->why)));
  }
  return all;
}

void explain_json(const Explain *x, StrBuf *out) {
  json_t *functions = json_array(), *counts = json_object();
  for (int i = 0; functions && i < x->functions.len; i++)
    json_array_append_new(functions, function_object(x, &x->functions.data[i]));
  for (int i = 0; counts && i < x->counts.len; i++)
    json_object_set_new(counts, x->counts.data[i].name,
                        json_pack("{si}", "iterationsOfLine", x->counts.data[i].line));
  json_t *all =
      json_pack("{so so so so so}", "functions", functions, "arrays", memory_array(x, &x->arrays), "copies",
                memory_array(x, &x->copies), "bytesSaved", formula(x, x->saved), "counts", counts);
  char *dump = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
  json_decref(all);
  sb_addf(out, "%s\n", dump ? dump : "{}");
  free(dump);
}
