// Diagnostics for people: header, arrow, source lines with marks under them, labels, notes, help, and the line as the
// fix-it would make it. What must hold: any source bytes are safe to show (no control character reaches the terminal),
// marks stand under what they mark whatever the widths of the characters before them, and no line grows too long.
#include "support/support.h"

#include <string.h>

enum {
  TAB_WIDTH = 4,
  VIEW_WIDTH = 110,  // columns of source shown of one line
  VIEW_CONTEXT = 30, // columns kept before a mark when the line is cut
  VIEW_SPANS = 64,   // spans shown of one diagnostic
  VIEW_FIX_LINES = 8,
};

typedef struct Style {
  const char *reset, *bold, *error, *warning, *note, *frame, *help;
} Style;

static const Style plain = {"", "", "", "", "", "", ""};
static const Style colored = {"\033[0m",         "\033[1m",         "\033[1m\033[91m", "\033[1m\033[93m",
                              "\033[1m\033[92m", "\033[1m\033[94m", "\033[1m\033[96m"};

typedef struct Render {
  StrBuf *out;
  Arena *arena;
  const Sources *sources;
  Style style;
  const char *accent; // the severity's color
  int gutter;         // digits of the largest line number shown
} Render;

// ---- characters and their widths ------------------------------------------------------------------------------

typedef struct Range {
  uint32_t first, last;
} Range;

// Combining marks and format characters take no column. Sorted.
static const Range zero_width[] = {
    {0x0300, 0x036F},   {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x05BF, 0x05BF}, {0x05C1, 0x05C2},
    {0x05C4, 0x05C5},   {0x0610, 0x061A}, {0x064B, 0x065F}, {0x0670, 0x0670}, {0x06D6, 0x06DC},
    {0x06DF, 0x06E4},   {0x06E7, 0x06E8}, {0x0900, 0x0902}, {0x093C, 0x093C}, {0x0941, 0x0948},
    {0x094D, 0x094D},   {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF},
    {0x1DC0, 0x1DFF},   {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x2069}, {0x20D0, 0x20F0},
    {0x302A, 0x302D},   {0x3099, 0x309A}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF},
    {0xE0100, 0xE01EF},
};

// East Asian wide and full-width characters and emoji take two. Sorted.
static const Range double_width[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},   {0x23F0, 0x23F0},
    {0x23F3, 0x23F3},   {0x25FD, 0x25FE},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267F, 0x267F},
    {0x2693, 0x2693},   {0x26A1, 0x26A1},   {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x26C4, 0x26C5},
    {0x26CE, 0x26CE},   {0x26D4, 0x26D4},   {0x26EA, 0x26EA},   {0x26F2, 0x26F3},   {0x26F5, 0x26F5},
    {0x26FA, 0x26FA},   {0x26FD, 0x26FD},   {0x2705, 0x2705},   {0x270A, 0x270B},   {0x2728, 0x2728},
    {0x274C, 0x274C},   {0x274E, 0x274E},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x27B0, 0x27B0},   {0x27BF, 0x27BF},   {0x2B1B, 0x2B1C},   {0x2B50, 0x2B50},   {0x2B55, 0x2B55},
    {0x2E80, 0x3029},   {0x302E, 0x303E},   {0x3041, 0x3098},   {0x309B, 0x33FF},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
    {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F200, 0x1F320}, {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C},
    {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3}, {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4},
    {0x1F3F8, 0x1F43E}, {0x1F440, 0x1F440}, {0x1F442, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F567},
    {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596}, {0x1F5A4, 0x1F5A4}, {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5},
    {0x1F6CC, 0x1F6FF}, {0x1F7E0, 0x1F7EB}, {0x1F90C, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool in_ranges(uint32_t c, const Range *r, int n) {
  int lo = 0, hi = n - 1;
  while (lo <= hi) {
    int mid = lo + (hi - lo) / 2;
    if (c < r[mid].first)
      hi = mid - 1;
    else if (c > r[mid].last)
      lo = mid + 1;
    else
      return true;
  }
  return false;
}

typedef struct Glyph {
  const char *text; // what to print instead of the bytes, or NULL for the bytes themselves
  int bytes, width;
} Glyph;

// Bidirectional controls could make a line read otherwise than it runs, so they are shown as what they are.
static bool is_hidden_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

static Glyph glyph_at(const char *s, size_t left) {
  const unsigned char *u = (const unsigned char *)s;
  if (u[0] == '\t') return (Glyph){"    ", 1, TAB_WIDTH};
  if (u[0] >= 0x20 && u[0] < 0x7F) return (Glyph){NULL, 1, 1};
  int n = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
  if ((size_t)n > left || utf8_first_bad(s, (size_t)n) >= 0) return (Glyph){"\xEF\xBF\xBD", 1, 1};
  uint32_t c = n == 1 ? u[0] : u[0] & (0xFFu >> (n + 1));
  for (int i = 1; i < n; i++) c = c << 6 | (u[i] & 0x3F);
  if (is_hidden_control(c)) return (Glyph){"\xEF\xBF\xBD", n, 1};
  if (in_ranges(c, zero_width, (int)(sizeof zero_width / sizeof *zero_width))) return (Glyph){NULL, n, 0};
  return (Glyph){NULL, n,
                 in_ranges(c, double_width, (int)(sizeof double_width / sizeof *double_width)) ? 2 : 1};
}

// A message, note or label; further lines of it are indented.
static void add_prose(StrBuf *out, const char *s, int indent) {
  for (size_t left = strlen(s); left;) {
    Glyph g = glyph_at(s, left);
    if (*s == '\n') {
      sb_addf(out, "\n%*s", indent, "");
    } else if (g.text) {
      sb_add(out, g.text);
    } else {
      sb_addn(out, s, (size_t)g.bytes);
    }
    s += g.bytes;
    left -= (size_t)g.bytes;
  }
}

// ---- one line of source ---------------------------------------------------------------------------------------

typedef struct Mark {
  unsigned file;     // its index; 0: already shown
  int line;          // from 0
  uint32_t from, to; // bytes of the file, within the line; equal for a place between characters
  bool primary;
  const char *label;
  int col, end; // columns shown, set when the line is laid out
} Mark;

static uint32_t line_end(const Source *f, int line) {
  uint32_t start = f->line_starts[line];
  uint32_t end = line + 1 < f->n_lines ? f->line_starts[line + 1] - 1 : (uint32_t)f->len;
  if (end > start && f->text[end - 1] == '\r') end--;
  return end;
}

static int column_of(const char *text, size_t len, size_t at) {
  int col = 0;
  for (size_t i = 0; i < len && i < at && col < INT32_MAX - 2 * TAB_WIDTH;) {
    Glyph g = glyph_at(text + i, len - i);
    i += (size_t)g.bytes;
    col += g.width;
  }
  return col;
}

// The columns [first, last) of a line that are shown; the cut ends show dots.
typedef struct Window {
  int first, last;
  bool cut_left, cut_right;
} Window;

static Window window_around(int width, int col, int end) {
  Window w = {0, width, false, false};
  if (width <= VIEW_WIDTH) return w;
  // All of the marks when they fit, else their beginning.
  int spare = VIEW_WIDTH - (end - col);
  int before = spare > 2 * VIEW_CONTEXT ? VIEW_CONTEXT : spare > 0 ? spare / 2 : 4;
  w.first = end + before <= VIEW_WIDTH ? 0 : col - before;
  if (w.first + VIEW_WIDTH > width) w.first = width - VIEW_WIDTH;
  if (w.first < 0) w.first = 0;
  w.last = w.first + VIEW_WIDTH < width ? w.first + VIEW_WIDTH : width;
  w.cut_left = w.first > 0;
  w.cut_right = w.last < width;
  return w;
}

static void add_gutter(Render *r, int number) {
  sb_add(r->out, r->style.frame);
  if (number > 0)
    sb_addf(r->out, "%*d |", r->gutter, number);
  else
    sb_addf(r->out, "%*s |", r->gutter, "");
  sb_add(r->out, r->style.reset);
}

// The text's columns within the window; a wide character cut in half leaves a space.
static void add_text(Render *r, const char *text, size_t len, Window w) {
  StrBuf *out = r->out;
  if (len) sb_add(out, w.cut_left ? " ..." : " ");
  for (size_t i = 0, col = 0; i < len && (int)col < w.last;) {
    Glyph g = glyph_at(text + i, len - i);
    int end = (int)col + g.width;
    if ((int)col >= w.first && end <= w.last) {
      sb_addn(out, g.text ? g.text : text + i, g.text ? strlen(g.text) : (size_t)g.bytes);
    } else if (end > w.first) {
      for (int c = (int)col < w.first ? w.first : (int)col; c < end && c < w.last; c++) sb_addc(out, ' ');
    }
    i += (size_t)g.bytes;
    col = (size_t)end;
  }
  if (w.cut_right) sb_add(out, "...");
  while (out->len && out->data[out->len - 1] == ' ') out->data[--out->len] = 0;
  sb_addc(out, '\n');
}

// ---- marks and labels under a line ----------------------------------------------------------------------------

// One row under a line: what stands in each column, and in which color.
typedef struct Row {
  char cell[VIEW_WIDTH + 2];
  bool primary[VIEW_WIDTH + 2];
  int width;
} Row;

static void row_put(Row *row, Window w, int from, int to, char c, bool primary) {
  from = from < w.first ? 0 : from - w.first;
  to = to > w.last + 1 ? w.last + 1 - w.first : to - w.first;
  for (int i = from; i < to && i < VIEW_WIDTH + 1; i++) {
    while (row->width <= i) row->cell[row->width++] = ' ';
    row->cell[i] = c;
    row->primary[i] = primary;
  }
}

static void add_row(Render *r, const Row *row, Window w) {
  add_gutter(r, 0);
  sb_add(r->out, w.cut_left ? "    " : " ");
  const char *now = "";
  for (int i = 0; i < row->width; i++) {
    const char *want = row->cell[i] == ' ' ? "" : row->primary[i] ? r->accent : r->style.frame;
    if (want != now) sb_add(r->out, *now ? r->style.reset : "");
    if (want != now) sb_add(r->out, want);
    sb_addc(r->out, row->cell[i]);
    now = want;
  }
  if (*now) sb_add(r->out, r->style.reset);
}

static void add_label(Render *r, const Mark *m, Window w) {
  sb_add(r->out, m->primary ? r->accent : r->style.frame);
  add_prose(r->out, m->label, r->gutter + 3 + m->col - w.first);
  sb_add(r->out, r->style.reset);
}

// The mark whose label fits behind the carets, or -1: nothing may end further right.
static int inline_label(const Mark *marks, int n) {
  int best = -1;
  for (int i = 0; i < n; i++)
    if (marks[i].label && (best < 0 || marks[i].end > marks[best].end)) best = i;
  for (int i = 0; best >= 0 && i < n; i++)
    if (i != best && marks[i].end >= marks[best].end && marks[i].col >= marks[best].col) return -1;
  return best;
}

static void put_connectors(Row *row, Window w, const Mark *marks, int n, int skip) {
  for (int i = 0; i < n; i++)
    if (i != skip && marks[i].label) row_put(row, w, marks[i].col, marks[i].col + 1, '|', marks[i].primary);
}

// Marks sorted by column. Labels that do not fit behind their carets hang below, the rightmost first.
static void add_marks(Render *r, const Mark *marks, int n, Window w) {
  Row row = {.width = 0};
  for (int i = 0; i < n; i++)
    if (!marks[i].primary) row_put(&row, w, marks[i].col, marks[i].end, '-', false);
  for (int i = 0; i < n; i++)
    if (marks[i].primary) row_put(&row, w, marks[i].col, marks[i].end, '^', true);
  add_row(r, &row, w);
  int here = inline_label(marks, n), hanging = 0;
  if (here >= 0) {
    sb_addc(r->out, ' ');
    add_label(r, &marks[here], w);
  }
  sb_addc(r->out, '\n');
  for (int i = 0; i < n; i++) hanging += i != here && marks[i].label;
  if (hanging) {
    row = (Row){.width = 0};
    put_connectors(&row, w, marks, n, here);
    add_row(r, &row, w);
    sb_addc(r->out, '\n');
  }
  for (int i = n - 1; i >= 0; i--) {
    if (i == here || !marks[i].label) continue;
    row = (Row){.width = 0};
    put_connectors(&row, w, marks, i, here);
    if (row.width > marks[i].col - w.first) row.width = marks[i].col - w.first;
    while (row.width < marks[i].col - w.first && row.width < VIEW_WIDTH) row.cell[row.width++] = ' ';
    add_row(r, &row, w);
    add_label(r, &marks[i], w);
    sb_addc(r->out, '\n');
  }
}

static void sort_marks(Mark *m, int n, bool (*before)(const Mark *, const Mark *)) {
  for (int i = 1; i < n; i++)
    for (int j = i; j > 0 && before(&m[j], &m[j - 1]); j--) {
      Mark t = m[j];
      m[j] = m[j - 1];
      m[j - 1] = t;
    }
}

static bool column_before(const Mark *a, const Mark *b) { return a->col < b->col; }
static bool line_before(const Mark *a, const Mark *b) { return a->line < b->line; }

// A source line with the marks that stand in it (none: a line shown for what is around it).
static void add_line(Render *r, const Source *f, int line, Mark *marks, int n) {
  uint32_t start = f->line_starts[line], end = line_end(f, line);
  const char *text = f->text + start;
  size_t len = end - start;
  int col = 0, last = 0;
  for (int i = 0; i < n; i++) {
    marks[i].col = column_of(text, len, marks[i].from - start);
    marks[i].end = column_of(text, len, marks[i].to - start);
    if (marks[i].end <= marks[i].col) marks[i].end = marks[i].col + 1;
    if (i == 0 || marks[i].col < col) col = marks[i].col;
    if (i == 0 || marks[i].end > last) last = marks[i].end;
  }
  sort_marks(marks, n, column_before);
  for (int i = 0; i < n && last - col > VIEW_WIDTH; i++) // too far apart: the primary one matters
    if (marks[i].primary || n == 1) col = marks[i].col, last = marks[i].end;
  Window w = window_around(column_of(text, len, len), col, last);
  add_gutter(r, line + 1);
  add_text(r, text, len, w);
  int shown = 0;
  for (int i = 0; i < n; i++) // what the window does not show is not marked
    if (marks[i].col <= w.last && marks[i].end > w.first) marks[shown++] = marks[i];
  if (shown) add_marks(r, marks, shown, w);
}

// ---- a diagnostic's places ------------------------------------------------------------------------------------

typedef struct Marks {
  Mark at[2 * VIEW_SPANS];
  int n;
} Marks;

static int line_of(const Sources *sources, Loc loc, uint32_t off) {
  int line, col;
  sources_line_col(sources, (Loc){loc.file, 0, off}, &line, &col);
  return line - 1;
}

static uint32_t clamp(uint32_t x, uint32_t lo, uint32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

// A span over several lines marks its first line's end and its last line's beginning; the label stands at the last.
static void collect_span(const Sources *sources, Marks *marks, const DiagSpan *span, bool primary) {
  const Source *f = sources_get(sources, span->loc);
  if (!f || marks->n + 2 > 2 * VIEW_SPANS) return;
  uint32_t from = clamp(span->loc.off, 0, (uint32_t)f->len);
  uint32_t to = clamp(span->loc.len, 0, (uint32_t)f->len - from) + from;
  int first = line_of(sources, span->loc, from);
  int last = line_of(sources, span->loc, to > from ? to - 1 : to);
  uint32_t end = line_end(f, first);
  Mark m = {span->loc.file,
            first,
            clamp(from, 0, end),
            clamp(to, from < end ? from : end, end),
            primary,
            span->label,
            0,
            0};
  if (last > first) {
    m.label = NULL;
    marks->at[marks->n++] = m;
    uint32_t start = f->line_starts[last];
    end = line_end(f, last);
    while (start < end && (f->text[start] == ' ' || f->text[start] == '\t')) start++;
    m = (Mark){span->loc.file, last, start, clamp(to, start, end), primary, span->label, 0, 0};
  }
  marks->at[marks->n++] = m;
}

// All marks of one file, line after line; a gap of one line is shown, a longer one is dots.
static void add_file(Render *r, const Source *f, Mark *marks, int n) {
  sort_marks(marks, n, line_before);
  add_gutter(r, 0);
  sb_addc(r->out, '\n');
  for (int i = 0, prev = -1; i < n;) {
    int line = marks[i].line, j = i;
    while (j < n && marks[j].line == line) j++;
    if (i > 0 && line == prev + 2) add_line(r, f, prev + 1, NULL, 0);
    if (i > 0 && line > prev + 2) sb_addf(r->out, "%s...%s\n", r->style.frame, r->style.reset);
    add_line(r, f, line, marks + i, j - i);
    prev = line;
    i = j;
  }
}

static void add_arrow(Render *r, const Source *f, Loc loc, const char *arrow) {
  int line, col;
  sources_line_col(r->sources, loc, &line, &col);
  sb_addf(r->out, "%s%*s%s%s ", r->style.frame, r->gutter, "", arrow, r->style.reset);
  add_prose(r->out, f->path, 0);
  sb_addf(r->out, ":%d:%d\n", line, col);
}

// The primary file first, then the others in the order in which they are mentioned.
static void add_places(Render *r, Marks *marks) {
  for (int i = 0; i < marks->n; i++) {
    Mark lead = marks->at[i];
    if (!lead.file) continue;
    Marks here = {.n = 0};
    for (int j = i; j < marks->n; j++) {
      if (marks->at[j].file != lead.file) continue;
      here.at[here.n++] = marks->at[j];
      marks->at[j].file = 0;
    }
    Loc loc = {lead.file & 0xFFF, 0, lead.from};
    const Source *f = sources_get(r->sources, loc);
    if (i > 0) {
      add_gutter(r, 0);
      sb_addc(r->out, '\n');
    }
    add_arrow(r, f, loc, i == 0 ? "-->" : ":::");
    add_file(r, f, here.at, here.n);
  }
}

static void add_footer(Render *r, const char *kind, const char *color, const char *text) {
  sb_addf(r->out, "%s%*s = %s%s%s: ", r->style.frame, r->gutter, "", r->style.reset, color, kind);
  sb_add(r->out, r->style.reset);
  add_prose(r->out, text, r->gutter + 5 + (int)strlen(kind));
  sb_addc(r->out, '\n');
}

// ---- the fix-it -----------------------------------------------------------------------------------------------

static int digits_of(int n) { return n < 10 ? 1 : 1 + digits_of(n / 10); }

// The lines of the primary span with `replace` in its place; what is new is underlined while it is on one line.
static void add_fix(Render *r, const Diag *g) {
  const Source *f = sources_get(r->sources, g->primary.loc);
  if (!f || !g->replace) return;
  uint32_t from = clamp(g->primary.loc.off, 0, (uint32_t)f->len);
  uint32_t to = clamp(g->primary.loc.len, 0, (uint32_t)f->len - from) + from;
  int first = line_of(r->sources, g->primary.loc, from), last = line_of(r->sources, g->primary.loc, to);
  uint32_t start = f->line_starts[first], end = line_end(f, last);
  StrBuf text;
  sb_init(&text, r->arena);
  sb_addn(&text, f->text + start, from - start);
  sb_add(&text, g->replace);
  if (to < end) sb_addn(&text, f->text + to, end - to);
  add_gutter(r, 0);
  sb_addc(r->out, '\n');
  const char *line = text.data;
  for (int i = 0; i < VIEW_FIX_LINES; i++) {
    size_t len = strcspn(line, "\n");
    int width = column_of(line, len, len);
    int col = i == 0 ? column_of(line, len, from - start) : 0;
    int until = i == 0 ? column_of(line, len, from - start + strlen(g->replace)) : 0;
    Window w = window_around(width, col, until);
    add_gutter(r, first + 1 + i);
    add_text(r, line, len, w);
    if (until > col && !strchr(g->replace, '\n')) {
      Row row = {.width = 0};
      row_put(&row, w, col, until, from == to ? '+' : '~', true);
      add_row(r, &row, w);
      sb_addc(r->out, '\n');
    }
    if (!line[len]) break;
    line += len + 1;
  }
}

// ---- whole diagnostics ----------------------------------------------------------------------------------------

static void add_header(Render *r, const Diag *g) {
  const char *kind = "error";
  switch (g->severity) {
  case SEV_ERROR: break;
  case SEV_WARNING: kind = "warning"; break;
  case SEV_NOTE: kind = "note"; break;
  }
  sb_addf(r->out, "%s%s[%s]%s%s: ", r->accent, kind, diag_code_text(g->code), r->style.reset, r->style.bold);
  add_prose(r->out, g->message ? g->message : "", 2);
  sb_addf(r->out, "%s\n", r->style.reset);
}

static Render render_for(const Diags *d, const Diag *g, StrBuf *out, bool color, const Marks *marks) {
  Render r = {out, d->arena, d->sources, color ? colored : plain, "", 1};
  switch (g->severity) {
  case SEV_ERROR: r.accent = r.style.error; break;
  case SEV_WARNING: r.accent = r.style.warning; break;
  case SEV_NOTE: r.accent = r.style.note; break;
  }
  int largest = 0;
  for (int i = 0; i < marks->n; i++)
    if (marks->at[i].line + 1 > largest) largest = marks->at[i].line + 1;
  r.gutter = digits_of(largest);
  return r;
}

void diag_render_one(const Diags *d, const Diag *g, StrBuf *out, bool color) {
  Marks marks = {.n = 0};
  collect_span(d->sources, &marks, &g->primary, true);
  for (int i = 0; i < g->spans.len; i++) collect_span(d->sources, &marks, &g->spans.data[i], false);
  Render r = render_for(d, g, out, color, &marks);
  add_header(&r, g);
  add_places(&r, &marks);
  if (marks.n && (g->notes.len || g->help || g->replace)) {
    add_gutter(&r, 0);
    sb_addc(out, '\n');
  }
  for (int i = 0; i < g->notes.len; i++) add_footer(&r, "note", r.style.bold, g->notes.data[i]);
  if (g->help)
    add_footer(&r, "help", r.style.help, g->help);
  else if (g->replace && marks.n)
    add_footer(&r, "help", r.style.help, *g->replace ? "write it like this" : "leave this out");
  add_fix(&r, g);
}

static void add_rest(StrBuf *out, int hidden, const char *what) {
  if (hidden > 0) sb_addf(out, "and %d more %s%s not shown\n", hidden, what, hidden == 1 ? "" : "s");
}

void diags_render(const Diags *d, StrBuf *out, bool color) {
  int errors = 0, warnings = 0;
  for (int i = 0; i < d->list.len; i++) {
    const Diag *g = d->list.data[i];
    errors += g->severity == SEV_ERROR;
    warnings += g->severity == SEV_WARNING;
    diag_render_one(d, g, out, color);
    sb_addc(out, '\n');
  }
  add_rest(out, d->n_errors - errors, "error");
  add_rest(out, d->n_warnings - warnings, "warning");
}
