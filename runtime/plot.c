// Line plots as SVG.
// In: a few series over a common x. Out: a file with one line per series. What must hold: values that an axis cannot show
// break the line and nothing else; the file's size is bounded by its width in pixels, not by the number of points.
#define _GNU_SOURCE
#include "plot.h"

#include <math.h>

static const double WIDTH = 640, HEIGHT = 380;

// A run of points in one column of pixels, of which the first, the lowest, the highest and the last are drawn.
typedef struct Column {
  long pixel;
  int64_t n;
  double first_x, first_y, last_x, last_y, low, high;
} Column;

static void column_draw(OutFile *f, const Column *c, bool start) {
  outfile_addf(f, "%c%.2f %.2f", start ? 'M' : 'L', c->first_x, c->first_y);
  if (c->n == 1) return;
  if (c->n > 3) {
    outfile_addf(f, "L%.2f %.2f", c->first_x, c->low);
    outfile_addf(f, "L%.2f %.2f", c->last_x, c->high);
  }
  outfile_addf(f, "L%.2f %.2f", c->last_x, c->last_y);
}

// The series' line as path data. Returns how many points stand alone between gaps (they need dots to be seen).
static int64_t draw_path(Plot *p, int64_t n, const double *xs, const double *ys) {
  Column c = {0};
  int64_t alone = 0, in_run = 0;
  bool start = true;
  for (int64_t i = 0; i <= n; i++) {
    bool shown = i < n && axis_shows(&p->x, xs[i]) && axis_shows(&p->y, ys[i]);
    double x = shown ? plot_x(p, xs[i]) : 0, y = shown ? plot_y(p, ys[i]) : 0;
    if (shown && c.n > 0 && n > 3 * (int64_t)WIDTH && (long)x == c.pixel) {
      c.n++;
      c.last_x = x;
      c.last_y = y;
      c.low = fmin(c.low, y);
      c.high = fmax(c.high, y);
      in_run++;
      continue;
    }
    if (c.n > 0) {
      column_draw(&p->file, &c, start);
      start = !shown;
    }
    alone += !shown && in_run == 1;
    in_run = shown ? in_run + 1 : 0;
    c = shown ? (Column){.pixel = (long)x,
                         .n = 1,
                         .first_x = x,
                         .first_y = y,
                         .last_x = x,
                         .last_y = y,
                         .low = y,
                         .high = y}
              : (Column){0};
  }
  return alone;
}

static void draw_lonely_points(Plot *p, int64_t n, const double *xs, const double *ys, const char *color) {
  bool before = false;
  for (int64_t i = 0; i < n; i++) {
    bool here = axis_shows(&p->x, xs[i]) && axis_shows(&p->y, ys[i]);
    bool after = i + 1 < n && axis_shows(&p->x, xs[i + 1]) && axis_shows(&p->y, ys[i + 1]);
    if (here && !before && !after)
      outfile_addf(&p->file, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"2.5\" fill=\"%s\"/>\n", plot_x(p, xs[i]),
                   plot_y(p, ys[i]), color);
    before = here;
  }
}

int32_t dprt_svg_lines(dprt_ctx *ctx, const char *path, const char *title, const char *xlabel,
                       const char *ylabel, int64_t n_series, const char *const *names, int64_t n,
                       const double *xs, const double *const *ys, bool logx, bool logy) {
  Span x = {.log = logx}, y = {.log = logy};
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < n_series; k++)
      if (isfinite(xs[i]) && isfinite(ys[k][i]) && (!logx || xs[i] > 0) && (!logy || ys[k][i] > 0)) {
        span_add(&x, xs[i]);
        span_add(&y, ys[k][i]);
      }
  Plot p = {0};
  axis_fit(ctx, &p.x, &x, false);
  axis_fit(ctx, &p.y, &y, true);
  plot_begin(&p, ctx, path, title, xlabel, ylabel, &(Legend){.n = n_series, .names = names}, WIDTH, HEIGHT);
  for (int64_t k = 0; k < n_series; k++) {
    outfile_addf(&p.file,
                 "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" stroke-linejoin=\"round\"%s d=\"",
                 series_color(k), series_dash(k));
    int64_t alone = draw_path(&p, n, xs, ys[k]);
    outfile_addf(&p.file, "\"/>\n");
    if (alone) draw_lonely_points(&p, n, xs, ys[k], series_color(k));
  }
  return plot_end(&p);
}

// (path, title, xlabel, ylabel, names: str, x: [n]f64, y: [k, n]f64, logx, logy: bool)
int32_t dprt_plot_lines(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)out;
  int64_t n = in[6].i64, k = in[8].i64;
  if (in[9].i64 != n) return dprt_fail_size(ctx, ctx->site, "plot_lines(x, y)", n, in[9].i64);
  Names names;
  int32_t status = names_split(ctx, in[4].str, k, "rows in y", &names);
  if (status) return status;
  const double **rows = dprt_raw_alloc(ctx, (size_t)(k + 1) * sizeof *rows);
  if (!rows) status = dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory while a plot was drawn");
  for (int64_t i = 0; rows && i < k; i++) rows[i] = (const double *)in[7].data + i * n;
  if (rows)
    status = dprt_svg_lines(ctx, in[0].str, in[1].str, in[2].str, in[3].str, k, names.list, n, in[5].data,
                            rows, in[10].b, in[11].b);
  dprt_raw_free(ctx, rows);
  names_free(ctx, &names);
  return status;
}
