// Data: tables of numbers from and to CSV files.
// In: text files as programs write them (comma, semicolon or tab; CR LF; quotes; # comments; blank lines; a header).
// Out: a row-major f64 table. What must hold: every cell of the result stands in the file, and a number is the double
// nearest to its text; whatever is not a number is an error that names path, line, column and text.
#define _GNU_SOURCE
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Csv {
  dprt_ctx *ctx;
  const char *path;
  const char *p, *end; // what is left; *end is NUL
  char separator;
  int64_t line;       // of p, from 1
  int64_t cols;       // 0 until the first data row
  int64_t first_line; // where that row stands
  int64_t rows, room; // rows read, rows `table` has room for
  double *table;
} Csv;

// One cell, trimmed and without its quotes.
typedef struct Cell {
  const char *text;
  size_t len;
  bool last; // of its row
} Cell;

// ---- numbers -------------------------------------------------------------------------------------------------

static inline bool is_digit(char c) { return (unsigned)(c - '0') < 10; }

static bool word(const char *p, const char *end, double *v) {
  static const struct {
    const char *text;
    double value;
  } words[] = {{"nan", NAN}, {"inf", INFINITY}, {"infinity", INFINITY}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i].text) == (size_t)(end - p) && strncasecmp(p, words[i].text, (size_t)(end - p)) == 0) {
      *v = words[i].value;
      return true;
    }
  return false;
}

// [+-] digits [. digits] [e [+-] digits], all of it. A mantissa below 2^53 times or over a power of ten up to 22 is
// exact in one rounding (Clinger); the rest goes to strtod, which needs no more than a text that ends where this does.
static bool parse_number(const Csv *csv, const char *p, const char *end, double *out) {
  static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const char *start = p;
  bool negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  const char *unsigned_start = p;
  uint64_t mantissa = 0;
  int digits = 0, scale = 0;
  for (; p < end && is_digit(*p); p++, digits++) mantissa = mantissa * 10 + (uint64_t)(*p - '0');
  if (p < end && *p == '.')
    for (p++; p < end && is_digit(*p); p++, digits++, scale--)
      mantissa = mantissa * 10 + (uint64_t)(*p - '0');
  if (digits == 0) {
    if (!word(unsigned_start, end, out)) return false;
    *out = negative ? -*out : *out;
    return true;
  }
  if (p < end && (*p == 'e' || *p == 'E')) {
    bool down = ++p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || !is_digit(*p)) return false;
    int exponent = 0;
    for (; p < end && is_digit(*p); p++) exponent = exponent < 100000 ? exponent * 10 + (*p - '0') : exponent;
    scale += down ? -exponent : exponent;
  }
  if (p != end) return false;
  if (digits <= 19 && mantissa <= (uint64_t)1 << 53 && scale >= -22 && scale <= 22) {
    double v = scale < 0 ? (double)mantissa / tens[-scale] : (double)mantissa * tens[scale];
    *out = negative ? -v : v;
    return true;
  }
  const char *stop;
  *out = dprt_parse_f64(csv->ctx, start, &stop);
  return true;
}

// ---- rows and cells ------------------------------------------------------------------------------------------

static int32_t fail_cell(const Csv *csv, int64_t line, int64_t column, Cell cell) {
  int shown = cell.len > 40 ? 40 : (int)cell.len;
  while (shown > 0 && (size_t)shown < cell.len && ((unsigned char)cell.text[shown] & 0xC0) == 0x80) shown--;
  if (cell.len == 0)
    return dprt_fail(csv->ctx, DPRT_DATA, csv->ctx->site, "%s, line %lld, column %lld: the cell is empty",
                     csv->path, (long long)line, (long long)column);
  return dprt_fail(csv->ctx, DPRT_DATA, csv->ctx->site,
                   "%s, line %lld, column %lld: \"%.*s%s\" is not a number", csv->path, (long long)line,
                   (long long)column, shown, cell.text, (size_t)shown < cell.len ? "..." : "");
}

static bool blank(char c) { return c == ' ' || c == '\t'; }

// Past the line end at p, if there is one: LF, CR LF or CR.
static void skip_line_end(Csv *csv) {
  if (csv->p < csv->end && *csv->p == '\r') csv->p++;
  if (csv->p < csv->end && *csv->p == '\n') csv->p++;
  csv->line++;
}

static const char *line_end(const Csv *csv) {
  const char *p = csv->p;
  while (p < csv->end && *p != '\n' && *p != '\r') p++;
  return p;
}

// To the next line that is neither blank nor a comment; false at the end of the file.
static bool next_row(Csv *csv) {
  while (csv->p < csv->end) {
    const char *p = csv->p;
    while (p < csv->end && blank(*p) && *p != csv->separator) p++;
    if (p == csv->end) return false;
    if (*p != '\n' && *p != '\r' && *p != '#') return true;
    csv->p = *p == '#' ? line_end(csv) : p;
    skip_line_end(csv);
  }
  return false;
}

static void quoted_cell(Csv *csv, Cell *cell) {
  const char *p = ++csv->p;
  while (p < csv->end && !(*p == '"' && p[1] != '"')) {
    csv->line += *p == '\n';
    p += *p == '"' ? 2 : 1;
  }
  cell->text = csv->p;
  cell->len = (size_t)(p - csv->p);
  csv->p = p < csv->end ? p + 1 : p;
}

static Cell next_cell(Csv *csv) {
  Cell cell = {0};
  const char *p = csv->p;
  while (p < csv->end && blank(*p) && *p != csv->separator) p++;
  csv->p = p;
  if (p < csv->end && *p == '"') {
    quoted_cell(csv, &cell);
    p = csv->p;
  } else {
    cell.text = p;
  }
  const char *rest = p;
  while (p < csv->end && *p != csv->separator && *p != '\n' && *p != '\r') p++;
  const char *stop = p;
  while (stop > rest && blank(stop[-1])) stop--;
  if (rest == cell.text ||
      stop > rest) // text after a closing quote belongs to the cell, which is then no number
    cell.len = (size_t)(stop - cell.text);
  csv->p = p;
  cell.last = p == csv->end || *p != csv->separator;
  if (cell.last)
    skip_line_end(csv);
  else
    csv->p++;
  return cell;
}

// ---- the header ----------------------------------------------------------------------------------------------

static char pick_separator(const Csv *csv) {
  static const char candidates[] = {',', '\t', ';'};
  size_t n = (size_t)(line_end(csv) - csv->p);
  for (size_t i = 0; i < sizeof candidates; i++)
    if (memchr(csv->p, candidates[i], n)) return candidates[i];
  return ',';
}

// The first row is a header when it holds a cell that is no number. A cell that starts like a number beside cells that
// are numbers is more likely a mistake in the data, and is left to be reported as one.
static bool is_header(Csv row) {
  int64_t numbers = 0, names = 0, broken = 0;
  for (Cell c = {0}; !c.last;) {
    c = next_cell(&row);
    double v;
    if (c.len == 0) continue;
    if (parse_number(&row, c.text, c.text + c.len, &v))
      numbers++;
    else if (is_digit(*c.text) || strchr("+-.", *c.text))
      broken++;
    else
      names++;
  }
  return names > 0 || (broken > 0 && numbers == 0);
}

static int64_t count_cells(Csv row) {
  int64_t n = 0;
  for (Cell c = {0}; !c.last; n++) c = next_cell(&row);
  return n;
}

// ---- the table -----------------------------------------------------------------------------------------------

// Rows cannot be more than the lines left, nor than the bytes left at two to a cell.
static bool make_room(Csv *csv) {
  int64_t lines = 1;
  for (const char *p = csv->p; p < csv->end && (p = memchr(p, '\n', (size_t)(csv->end - p))); p++) lines++;
  for (const char *p = csv->p; lines == 1 && p < csv->end && (p = memchr(p, '\r', (size_t)(csv->end - p)));
       p++)
    csv->room++; // a file of bare CRs: no LF in it
  lines += csv->room;
  int64_t most = (csv->end - csv->p) / (2 * csv->cols) + 1;
  csv->room = lines < most ? lines : most;
  csv->table = dprt_alloc(csv->ctx, sizeof(double), csv->room, csv->cols, 1, 1);
  return csv->table != NULL;
}

// At the first cell that is missing, or that is one too many.
static int32_t fail_ragged(const Csv *csv, int64_t line, int64_t cells) {
  bool missing = cells < csv->cols;
  return dprt_fail(csv->ctx, DPRT_DATA, csv->ctx->site, "%s, line %lld, column %lld: %s; line %lld has %lld",
                   csv->path, (long long)line, (long long)(missing ? cells : csv->cols) + 1,
                   missing ? "the cell is missing" : "one cell too many", (long long)csv->first_line,
                   (long long)csv->cols);
}

static int32_t read_row(Csv *csv) {
  int64_t line = csv->line, column = 0;
  Csv start = *csv;
  double *row = csv->table + csv->rows * csv->cols;
  if (csv->rows == csv->room) return fail_ragged(csv, line, count_cells(start));
  for (Cell c = {0}; !c.last; column++) {
    int64_t cell_line = csv->line;
    c = next_cell(csv);
    if (column == csv->cols || (c.last && column + 1 < csv->cols))
      return fail_ragged(csv, line, count_cells(start));
    if (!parse_number(csv, c.text, c.text + c.len, &row[column]))
      return fail_cell(csv, cell_line, column + 1, c);
  }
  csv->rows++;
  return DPRT_OK;
}

static int32_t read_rows(Csv *csv) {
  if (csv->end - csv->p >= 3 && memcmp(csv->p, "\xEF\xBB\xBF", 3) == 0) csv->p += 3;
  if (!next_row(csv))
    return dprt_fail(csv->ctx, DPRT_DATA, csv->ctx->site, "%s: the file holds no data", csv->path);
  csv->separator = pick_separator(csv);
  int64_t names = 0;
  csv->first_line = csv->line;
  if (is_header(*csv)) {
    names = count_cells(*csv);
    for (Cell c = {0}; !c.last;) c = next_cell(csv);
  }
  bool any = next_row(csv);
  csv->cols = names;
  if (!names && any) {
    csv->first_line = csv->line;
    csv->cols = count_cells(*csv);
  }
  if (!make_room(csv)) return (int32_t)dprt_get_error(csv->ctx)->status;
  for (; any; any = next_row(csv)) {
    int32_t status = read_row(csv);
    if (status) return status;
  }
  return DPRT_OK;
}

int32_t dprt_read_csv(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  size_t len;
  char *text = dprt_read_file(ctx, in[0].str, &len);
  if (!text) return (int32_t)dprt_get_error(ctx)->status;
  Csv csv = {.ctx = ctx, .path = in[0].str, .p = text, .end = text + len, .line = 1};
  int32_t status = read_rows(&csv);
  dprt_raw_free(ctx, text);
  if (status) {
    dprt_free(ctx, csv.table);
    return status;
  }
  out[0].data = csv.table;
  out[1].i64 = csv.rows;
  out[2].i64 = csv.cols;
  return DPRT_OK;
}

// ---- writing -------------------------------------------------------------------------------------------------

static int64_t count_names(const char *header) {
  int64_t n = 1;
  for (const char *p = header; *p; p++) n += *p == ',';
  return n;
}

int32_t dprt_write_csv(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)out;
  const char *header = in[1].str;
  const double *table = in[2].data;
  int64_t rows = in[3].i64, cols = in[4].i64;
  if (*header && count_names(header) != cols)
    return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site,
                     "the header \"%s\" names %lld columns, but the table has %lld", header,
                     (long long)count_names(header), (long long)cols);
  if (strpbrk(header, "\r\n"))
    return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site, "the header of a CSV file must be one line");
  OutFile f;
  outfile_open(&f, ctx, in[0].str);
  if (*header) {
    outfile_add(&f, header, strlen(header));
    outfile_add(&f, "\n", 1);
  }
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      char cell[SHORTEST_BYTES + 1];
      int n = dprt_shortest_f64(ctx, cell, table[i * cols + j]);
      cell[n] = j + 1 < cols ? ',' : '\n';
      outfile_add(&f, cell, (size_t)n + 1);
    }
  return outfile_commit(&f);
}

int32_t dprt_write_text(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)out;
  OutFile f;
  outfile_open(&f, ctx, in[0].str);
  outfile_add(&f, in[1].str, strlen(in[1].str));
  return outfile_commit(&f);
}
