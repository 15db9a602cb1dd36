// Places in the program as reports name them. In: where an operation comes from; out: a line and its text.
#include "driver/place.h"

#include <string.h>

// The loop, and not the `@checkpoint(...)` in front of it.
static Loc behind_attribute(const Source *src, Loc at) {
  const char *from = src->text + at.off, *end = from + at.len, *p = from;
  if (p < end && *p == '@') p = memchr(p, ')', (size_t)(end - p));
  if (!p || p == from) return at;
  do p++;
  while (p < end && strchr(" \t\r\n", *p));
  at.off += (uint32_t)(p - from);
  at.len -= (uint32_t)(p - from);
  return at;
}

Loc place_in_program(const IrModule *m, IrLoc loc) {
  const Source *src = sources_get(m->sources, loc.loc);
  while (loc.chain && (!src || src->path[0] == '<')) {
    loc = (IrLoc){m->chains.data[loc.chain].call, m->chains.data[loc.chain].parent};
    src = sources_get(m->sources, loc.loc);
  }
  return src ? behind_attribute(src, loc.loc) : loc.loc;
}

int place_line(const IrModule *m, IrLoc loc) {
  int line = 0, column;
  Loc at = place_in_program(m, loc);
  if (sources_get(m->sources, at)) sources_line_col(m->sources, at, &line, &column);
  return line;
}

const char *place_text(Arena *a, const IrModule *m, IrLoc loc, int width) {
  Loc at = place_in_program(m, loc);
  const Source *src = sources_get(m->sources, at);
  if (!src) return "";
  size_t len = at.len;
  const char *from = src->text + at.off, *block = memchr(from, '{', len), *line = memchr(from, '\n', len);
  bool statement = !strncmp(from, "for ", 4) || !strncmp(from, "while ", 6) || !strncmp(from, "if ", 3);
  bool cut = line != NULL;
  if (line) len = (size_t)(line - from);
  if (statement && block && block < from + len) len = (size_t)(block - from), cut = false;
  while (len && (from[len - 1] == ' ' || from[len - 1] == '\r')) len--;
  size_t shown = 0;
  for (int n = 0; shown < len && n < width; n++) do
      shown++;
    while (shown < len && ((unsigned char)from[shown] & 0xC0) == 0x80);
  const char *text = arena_strdup(a, from, shown);
  return shown < len || cut ? arena_printf(a, "%s…", text) : text;
}
