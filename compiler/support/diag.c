// Diagnostics: collecting them. In: a code, a place and a sentence; out: the list that diag_render.c and
// diag_json.c print. What must hold: adding one never fails, and one mistake is told once.
#include "support/support.h"

#include <string.h>

typedef struct DiagInfo {
  Severity severity;
  char text[6]; // "E0301"
} DiagInfo;

#define DIGIT(number, unit) ('0' + (number) / (unit) % 10)
static const DiagInfo diag_info[DIAG_COUNT] = {
#define DIAG(code, number, severity, title)                                                                  \
  [code] = {severity,                                                                                        \
            {(severity) == SEV_WARNING ? 'W'                                                                 \
             : (severity) == SEV_NOTE  ? 'N'                                                                 \
                                       : 'E',                                                                 \
             DIGIT(number, 1000), DIGIT(number, 100), DIGIT(number, 10), DIGIT(number, 1), 0}},
#include "support/diags.def"
#undef DIAG
};
#undef DIGIT

const char *diag_code_text(DiagCode code) {
  return (unsigned)code < DIAG_COUNT ? diag_info[code].text : "E0000";
}

void diags_init(Diags *d, Arena *a, const Sources *sources) {
  *d = (Diags){.arena = a, .sources = sources, .error_limit = 50};
}

// Without a place, only the sentence tells two apart.
static bool is_repeat(const Diags *d, const Diag *g) {
  for (int i = 0; i < d->list.len; i++) {
    const Diag *h = d->list.data[i];
    Loc a = h->primary.loc, b = g->primary.loc;
    if (h->code != g->code || a.file != b.file || a.off != b.off) continue;
    if (b.file || strcmp(h->message, g->message) == 0) return true;
  }
  return false;
}

// Names may be of any length, and sentences hold names. The cut is not within a character.
static const char *readable(const Diags *d, const char *text) {
  enum { LONGEST = 4000 };
  if (strlen(text) <= LONGEST) return text;
  int n = LONGEST;
  while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
  return arena_printf(d->arena, "%.*s...", n, text);
}

Diag *diag_add(Diags *d, DiagCode code, Loc loc, const char *fmt, ...) {
  Diag *g = ARENA_NEW(d->arena, Diag);
  va_list ap;
  va_start(ap, fmt);
  *g = (Diag){.code = code, .severity = SEV_ERROR, .message = readable(d, arena_vprintf(d->arena, fmt, ap))};
  va_end(ap);
  g->primary.loc = loc;
  if ((unsigned)code < DIAG_COUNT) g->severity = diag_info[code].severity;
  if (is_repeat(d, g)) return g;
  int *count = g->severity == SEV_ERROR ? &d->n_errors : &d->n_warnings;
  if (g->severity != SEV_NOTE) ++*count;
  if (g->severity == SEV_NOTE || *count <= d->error_limit) vec_push(d->arena, &d->list, g);
  return g;
}

#define FORMAT_INTO(target)                                                                                  \
  do {                                                                                                       \
    va_list ap;                                                                                              \
    va_start(ap, fmt);                                                                                       \
    (target) = readable(d, arena_vprintf(d->arena, fmt, ap));                                                \
    va_end(ap);                                                                                              \
  } while (0)

void diag_label(Diags *d, Diag *g, const char *fmt, ...) { FORMAT_INTO(g->primary.label); }

void diag_help(Diags *d, Diag *g, const char *fmt, ...) { FORMAT_INTO(g->help); }

void diag_span(Diags *d, Diag *g, Loc loc, const char *fmt, ...) {
  DiagSpan span = {loc, NULL};
  FORMAT_INTO(span.label);
  vec_push(d->arena, &g->spans, span);
}

void diag_note(Diags *d, Diag *g, const char *fmt, ...) {
  const char *note;
  FORMAT_INTO(note);
  vec_push(d->arena, &g->notes, note);
}
