// Source files and places in them. In: a file's text; out: its index, its lines, and the line and column of a Loc.
// What must hold: any Loc gives an answer inside its file; one that points past the end means the end.
#include "support/support.h"

#include <string.h>

enum { LOC_MAX_FILE = (1 << 12) - 1, LOC_MAX_LEN = (1 << 20) - 1 };

Loc loc_join(Loc from, Loc to) {
  if (!from.file) return to;
  if (!to.file || to.file != from.file) return from;
  uint64_t end = (uint64_t)from.off + from.len, to_end = (uint64_t)to.off + to.len;
  if (to_end > end) end = to_end;
  uint32_t off = to.off < from.off ? to.off : from.off;
  uint64_t len = end - off;
  if (len > LOC_MAX_LEN) len = LOC_MAX_LEN;
  return (Loc){from.file, (uint32_t)len & LOC_MAX_LEN, off};
}

void sources_init(Sources *s, Arena *a) { *s = (Sources){.arena = a}; }

static void find_lines(Arena *a, Source *f) {
  int n = 1;
  for (size_t i = 0; i < f->len; i++) n += f->text[i] == '\n';
  uint32_t *starts = ARENA_ARRAY(a, uint32_t, n);
  int line = 1;
  for (size_t i = 0; i < f->len; i++)
    if (f->text[i] == '\n') starts[line++] = (uint32_t)i + 1;
  f->line_starts = starts;
  f->n_lines = n;
}

int sources_add(Sources *s, const char *path, const char *text, size_t len) {
  if (s->files.len >= LOC_MAX_FILE || len >= UINT32_MAX) return 0;
  Source *f = ARENA_NEW(s->arena, Source);
  f->path = arena_strdup(s->arena, path, strlen(path));
  f->text = arena_strdup(s->arena, text, len);
  f->len = len;
  find_lines(s->arena, f);
  vec_push(s->arena, &s->files, f);
  return s->files.len;
}

const Source *sources_get(const Sources *s, Loc loc) {
  return loc.file && (int)loc.file <= s->files.len ? s->files.data[loc.file - 1] : NULL;
}

void sources_line_col(const Sources *s, Loc loc, int *line, int *col) {
  *line = *col = 0;
  const Source *f = sources_get(s, loc);
  if (!f) return;
  size_t off = loc.off < f->len ? loc.off : f->len;
  int lo = 0, hi = f->n_lines - 1; // the last line that starts at or before off
  while (lo < hi) {
    int mid = lo + (hi - lo + 1) / 2;
    if (f->line_starts[mid] <= off)
      lo = mid;
    else
      hi = mid - 1;
  }
  *line = lo + 1;
  *col = 1;
  for (size_t i = f->line_starts[lo]; i < off; i++) *col += ((unsigned char)f->text[i] & 0xC0) != 0x80;
}

// The length of the valid sequence at s, or 0: no overlong forms, surrogates, or anything past U+10FFFF.
static size_t utf8_valid_at(const unsigned char *s, size_t left) {
  unsigned char c = s[0], lo = 0x80, hi = 0xBF;
  if (c < 0x80) return 1;
  size_t n = c >= 0xC2 && c <= 0xDF ? 2 : (c & 0xF0) == 0xE0 ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  if (c == 0xE0) lo = 0xA0;
  if (c == 0xED) hi = 0x9F;
  if (c == 0xF0) lo = 0x90;
  if (c == 0xF4) hi = 0x8F;
  if (s[1] < lo || s[1] > hi) return 0;
  for (size_t i = 2; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  return n;
}

long utf8_first_bad(const char *text, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t n = utf8_valid_at((const unsigned char *)text + i, len - i);
    if (n == 0) return (long)i;
    i += n;
  }
  return -1;
}
