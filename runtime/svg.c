// Plots as SVG: the page, the frame, axes with round ticks, the grid, the legend.
// In: fitted axes and labels. Out: an SVG file that any browser shows, with the data still to be drawn by the caller.
// What must hold: every coordinate written is finite, whatever the data; labels are escaped.
#define _GNU_SOURCE
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LEFT = 74, RIGHT = 24, TOP = 20, BOTTOM = 56, LEGEND_LINE = 22, CHARACTER = 7.2,
                    SAMPLE = 34;

const char *series_color(int64_t i) {
  static const char colors[][8] = {"#2f6fb0", "#d9534f", "#3a8f4d", "#c98a1b",
                                   "#7a5aa6", "#1c9aa8", "#b0478c", "#5b6470"};
  return colors[(uint64_t)i % (sizeof colors / sizeof *colors)];
}

const char *series_dash(int64_t i) {
  static const char *const dashes[] = {"", " stroke-dasharray=\"7 4\"", " stroke-dasharray=\"2 3\"",
                                       " stroke-dasharray=\"8 3 2 3\""};
  return dashes[(uint64_t)i / 8 % 4];
}

// ---- axes ----------------------------------------------------------------------------------------------------

bool axis_shows(const Axis *a, double v) { return isfinite(v) && (!a->log || v > 0); }

void span_add(Span *s, double v) {
  if (!isfinite(v) || (s->log && v <= 0)) return;
  s->lo = s->any && s->lo < v ? s->lo : v;
  s->hi = s->any && s->hi > v ? s->hi : v;
  s->any = true;
}

// "10⁻³", or the number itself where that reads as easily.
static void power_label(char out[TICK_BYTES], int mantissa, int exponent) {
  static const char digits[][4] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  if (exponent >= -3 && exponent <= 3) {
    double v = mantissa * pow(10, exponent);
    snprintf(out, TICK_BYTES, "%.*f", exponent < 0 ? -exponent : 0, v);
    return;
  }
  char plain[16];
  snprintf(plain, sizeof plain, "%d", exponent < 0 ? -exponent : exponent);
  int n = mantissa == 1 ? snprintf(out, TICK_BYTES, "10%s", exponent < 0 ? "⁻" : "")
                        : snprintf(out, TICK_BYTES, "%d·10%s", mantissa, exponent < 0 ? "⁻" : "");
  for (const char *d = plain; *d; d++)
    n += snprintf(out + n, (size_t)(TICK_BYTES - n), "%s", digits[*d - '0']);
}

static Tick *new_tick(Axis *a, double at) {
  double slack = 1e-9 * (a->hi - a->lo);
  if (a->n_ticks == AXIS_TICKS || !(at >= a->lo - slack && at <= a->hi + slack)) return NULL;
  Tick *t = &a->ticks[a->n_ticks++];
  *t = (Tick){.at = at};
  return t;
}

static void log_ticks(Axis *a) {
  int first = (int)floor(a->lo), last = (int)ceil(a->hi);
  int every = (last - first) / 10 + 1;
  bool narrow = a->hi - a->lo < 2.5;
  for (int e = first; e <= last; e += every) {
    Tick *t = new_tick(a, e);
    if (t) power_label(t->label, 1, e);
    for (int m = 2; narrow && m <= 5; m += 3)
      if ((t = new_tick(a, e + log10(m)))) power_label(t->label, m, e);
  }
}

// About six ticks, 1, 2 or 5 times a power of ten apart.
static void linear_ticks(Axis *a) {
  double rough = (a->hi - a->lo) / 6, power = pow(10, floor(log10(rough))), lead = rough / power;
  double step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
  double most = fmax(fabs(a->lo), fabs(a->hi));
  int decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
  double first = ceil(a->lo / step - 1e-9);
  for (int i = 0; i < AXIS_TICKS; i++) {
    double at = (first + i) * step;
    Tick *t = new_tick(a, at);
    if (!t) break;
    if (fabs(at) < step * 1e-6) t->at = at = 0;
    if (most < 1e6 && decimals <= 6)
      snprintf(t->label, TICK_BYTES, "%.*f", decimals, at);
    else
      snprintf(t->label, TICK_BYTES, "%.*g", (int)fmin(17, 1 + floor(log10(most / step) + 1e-9) + 1), at);
  }
}

// A range with room around the data, wide enough for ticks to be told apart and narrow enough to be subtracted.
void axis_fit(dprt_ctx *ctx, Axis *a, const Span *s, bool padded) {
  double lo = s->any ? s->lo : s->log ? 1 : 0, hi = s->any ? s->hi : s->log ? 10 : 1;
  a->log = s->log;
  if (a->log) {
    lo = log10(lo);
    hi = log10(hi);
  }
  lo = fmin(fmax(lo, -1e300), 1e300);
  hi = fmin(fmax(hi, -1e300), 1e300);
  double least = fmax(fmax(fabs(lo), fabs(hi)) * 1e-9, 1e-290);
  if (!(hi - lo > least)) {
    double half = lo == 0 || a->log ? 0.5 : fabs(lo) * 0.05 + 1e-290;
    double middle = lo;
    lo = middle - half;
    hi = middle + half;
  }
  double pad = padded ? 0.04 * (hi - lo) : 0;
  a->lo = lo - pad;
  a->hi = hi + pad;
  a->n_ticks = 0;
  locale_t host = uselocale(ctx->c_locale);
  if (a->log)
    log_ticks(a);
  else
    linear_ticks(a);
  uselocale(host);
}

// How far along the axis. Far outside the frame is as good as out of it, and keeps coordinates small.
static double share(const Axis *a, double at) { return fmin(fmax((at - a->lo) / (a->hi - a->lo), -10), 11); }
static double place(const Axis *a, double v) { return share(a, a->log ? log10(v) : v); }

double plot_x(const Plot *p, double v) { return p->left + p->width * place(&p->x, v); }
double plot_y(const Plot *p, double v) { return p->top + p->height * (1 - place(&p->y, v)); }

// ---- text ----------------------------------------------------------------------------------------------------

static void escape(OutFile *f, const char *s) {
  for (; *s; s++) switch (*s) {
    case '&': outfile_add(f, "&amp;", 5); break;
    case '<': outfile_add(f, "&lt;", 4); break;
    case '>': outfile_add(f, "&gt;", 4); break;
    default: outfile_add(f, (unsigned char)*s < ' ' ? " " : s, 1);
    }
}

static void text_at(OutFile *f, double x, double y, const char *attributes, const char *text) {
  outfile_addf(f, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, attributes);
  escape(f, text);
  outfile_addf(f, "</text>\n");
}

static double text_width(const char *s) {
  double w = 0;
  for (; *s; s++) w += ((unsigned char)*s & 0xC0) == 0x80 ? 0 : CHARACTER;
  return w;
}

// ---- the page ------------------------------------------------------------------------------------------------

// Where the legend's next entry goes: entries flow in lines from the frame's left edge.
typedef struct Flow {
  double x, y, left, right;
} Flow;

static void flow_next(Flow *at, const char *name) {
  double w = SAMPLE + text_width(name) + 22;
  if (at->x > at->left && at->x + w > at->right) {
    at->x = at->left;
    at->y += LEGEND_LINE;
  }
  at->x += w;
}

static double flow_start(const Flow *at, const char *name) {
  return at->x - (SAMPLE + text_width(name) + 22);
}

static double legend_height(const Legend *legend, double left, double right) {
  if (!legend || !legend->names || legend->n == 0) return 0;
  Flow at = {.x = left, .left = left, .right = right};
  for (int64_t i = 0; i < legend->n; i++) flow_next(&at, legend->names[i]);
  return at.y + LEGEND_LINE;
}

static void draw_legend(Plot *p, const Legend *legend, double y, double right) {
  Flow at = {.x = p->left, .y = y, .left = p->left, .right = right};
  for (int64_t i = 0; i < legend->n; i++) {
    flow_next(&at, legend->names[i]);
    double x = flow_start(&at, legend->names[i]);
    const char *color = series_color(legend->first + i);
    outfile_addf(&p->file, "<path d=\"M%.1f %.1fh26\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", x, at.y - 4,
                 color, series_dash(legend->first + i));
    if (legend->dots)
      outfile_addf(&p->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x + 13, at.y - 4,
                   color);
    text_at(&p->file, x + SAMPLE, at.y, "", legend->names[i]);
  }
}

static void draw_axes(Plot *p, const char *xlabel, const char *ylabel) {
  OutFile *f = &p->file;
  double bottom = p->top + p->height;
  outfile_addf(f, "<g stroke=\"#e4e7eb\">\n");
  for (int i = 0; i < p->x.n_ticks; i++) {
    double x = p->left + p->width * share(&p->x, p->x.ticks[i].at);
    outfile_addf(f, "<path d=\"M%.1f %.1fv%.1f\"/>\n", x, p->top, p->height);
  }
  for (int i = 0; i < p->y.n_ticks; i++) {
    double y = bottom - p->height * share(&p->y, p->y.ticks[i].at);
    outfile_addf(f, "<path d=\"M%.1f %.1fh%.1f\"/>\n", p->left, y, p->width);
  }
  outfile_addf(
      f,
      "</g>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#9aa3ad\"/>\n",
      p->left, p->top, p->width, p->height);
  for (int i = 0; i < p->x.n_ticks; i++) {
    double x = p->left + p->width * share(&p->x, p->x.ticks[i].at);
    text_at(f, x, bottom + 18, " text-anchor=\"middle\"", p->x.ticks[i].label);
  }
  for (int i = 0; i < p->y.n_ticks; i++) {
    double y = bottom - p->height * share(&p->y, p->y.ticks[i].at);
    text_at(f, p->left - 8, y + 4, " text-anchor=\"end\"", p->y.ticks[i].label);
  }
  if (xlabel && *xlabel) text_at(f, p->left + p->width / 2, bottom + 42, " text-anchor=\"middle\"", xlabel);
  if (ylabel && *ylabel) {
    char turn[80];
    snprintf(turn, sizeof turn, " text-anchor=\"middle\" transform=\"rotate(-90 16 %d)\"",
             (int)(p->top + p->height / 2));
    text_at(f, 16, (int)(p->top + p->height / 2), turn, ylabel);
  }
}

// What stands left of the frame: the axis' label and its widest number.
static double label_room(const Axis *y, const char *ylabel) {
  double widest = 0;
  for (int i = 0; i < y->n_ticks; i++) widest = fmax(widest, text_width(y->ticks[i].label));
  return fmax(LEFT, widest + 18 + (ylabel && *ylabel ? 24 : 0));
}

void plot_begin(Plot *p, dprt_ctx *ctx, const char *path, const char *title, const char *xlabel,
                const char *ylabel, const Legend *legend, double width, double height) {
  p->left = label_room(&p->y, ylabel);
  double title_height = title && *title ? 28 : 0,
         legend_lines = legend_height(legend, p->left, p->left + width);
  p->top = TOP + title_height + legend_lines;
  p->width = width;
  p->height = height;
  outfile_open(&p->file, ctx, path);
  double w = p->left + width + RIGHT, h = p->top + height + BOTTOM;
  outfile_addf(
      &p->file,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
      "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\" fill=\"#3c444d\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
      w, h, w, h);
  outfile_addf(
      &p->file,
      "<clipPath id=\"frame\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n",
      p->left, p->top, p->width, p->height);
  if (title_height > 0)
    text_at(&p->file, p->left, TOP + 12, " font-size=\"17\" font-weight=\"600\" fill=\"#1d232a\"", title);
  if (legend_lines > 0) draw_legend(p, legend, TOP + title_height + 8, p->left + width);
  draw_axes(p, xlabel, ylabel);
}

int32_t plot_end(Plot *p) {
  outfile_addf(&p->file, "</svg>\n");
  return outfile_commit(&p->file);
}

// ---- names from dp -------------------------------------------------------------------------------------------

int32_t names_split(dprt_ctx *ctx, const char *text, int64_t n, const char *what, Names *out) {
  *out = (Names){0};
  if (!*text) return DPRT_OK;
  int64_t count = 1;
  for (const char *p = text; *p; p++) count += *p == ',';
  if (count != n)
    return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site, "the names \"%s\" are %lld, but there are %lld %s", text,
                     (long long)count, (long long)n, what);
  out->list = dprt_raw_alloc(ctx, (size_t)count * sizeof *out->list);
  out->text = dprt_raw_alloc(ctx, strlen(text) + 1);
  if (!out->list || !out->text) {
    names_free(ctx, out);
    return dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory while a plot was drawn");
  }
  strcpy(out->text, text);
  char *p = out->text;
  for (int64_t i = 0; i < count; i++) {
    p += strspn(p, " ");
    out->list[i] = p;
    p += strcspn(p, ",");
    if (i + 1 < count) *p++ = 0;
  }
  return DPRT_OK;
}

void names_free(dprt_ctx *ctx, Names *names) {
  dprt_raw_free(ctx, names->list);
  dprt_raw_free(ctx, names->text);
  *names = (Names){0};
}
