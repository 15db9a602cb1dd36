// Contour plots as SVG: the lines of a function of two variables, and the ways that optimizers took over it.
// In: values on a grid, and paths in its plane. Out: a file. What must hold: cells with a corner that is not finite have
// no lines; a level's line through a cell enters and leaves it, so that lines end only at the grid's rim or at such cells.
#define _GNU_SOURCE
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double WIDTH = 600, HEIGHT = 480;
enum { LEVELS = 18, DOTS_UP_TO = 150 };

typedef struct Grid {
  int64_t n, m; // along x and y
  const double *xs, *ys, *z;
} Grid;

// ---- levels --------------------------------------------------------------------------------------------------

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Quantiles, denser towards the low end, where descents go. Returns how many distinct ones there are, or -1 without
// memory.
static int pick_levels(dprt_ctx *ctx, const Grid *g, double levels[LEVELS]) {
  int64_t count = 0;
  double *sorted = dprt_raw_alloc(ctx, (size_t)(g->n * g->m + 1) * sizeof *sorted);
  if (!sorted) return -1;
  for (int64_t i = 0; i < g->n * g->m; i++)
    if (isfinite(g->z[i])) sorted[count++] = g->z[i];
  qsort(sorted, (size_t)count, sizeof *sorted, ascending);
  int kept = 0;
  for (int i = 0; i < LEVELS && count > 0; i++) {
    double share = pow((i + 0.6) / LEVELS, 1.6) * (double)(count - 1);
    int64_t below = (int64_t)share;
    int64_t above = below + 1 < count ? below + 1 : below;
    double part = share - (double)below, level = sorted[below] * (1 - part) + sorted[above] * part;
    if (level > sorted[0] && level < sorted[count - 1] && (kept == 0 || level > levels[kept - 1]))
      levels[kept++] = level;
  }
  dprt_raw_free(ctx, sorted);
  return kept;
}

// ---- marching squares ----------------------------------------------------------------------------------------

// A level crosses grid edges: edge 2 * (j * n + i) runs right from node (i, j), the next one up. Each crossed edge is
// joined to another in either of its two cells.
typedef struct March {
  const Grid *g;
  double level;
  int32_t (*joined)[2]; // per edge, -1: none
} March;

static double node(const Grid *g, int64_t i, int64_t j) { return g->z[j * g->n + i]; }

static void join(March *m, int32_t a, int32_t b) {
  m->joined[a][m->joined[a][0] >= 0] = b;
  m->joined[b][m->joined[b][0] >= 0] = a;
}

static void march_cell(March *m, int64_t i, int64_t j) {
  const Grid *g = m->g;
  double z[4] = {node(g, i, j), node(g, i + 1, j), node(g, i + 1, j + 1), node(g, i, j + 1)};
  int high = 0;
  for (int k = 0; k < 4; k++) {
    if (!isfinite(z[k])) return;
    high |= (z[k] >= m->level) << k;
  }
  // The cell's edges: bottom, right, top, left. Edge k lies between corners k and k + 1.
  int32_t e[4] = {(int32_t)(2 * (j * g->n + i)), (int32_t)(2 * (j * g->n + i + 1) + 1),
                  (int32_t)(2 * ((j + 1) * g->n + i)), (int32_t)(2 * (j * g->n + i) + 1)};
  int crossed[4], n = 0;
  for (int k = 0; k < 4; k++)
    if ((high >> k & 1) != (high >> ((k + 1) & 3) & 1)) crossed[n++] = k;
  if (n == 2) join(m, e[crossed[0]], e[crossed[1]]);
  if (n < 4) return;
  // A saddle: the mean says which two corners belong together.
  bool middle = 0.25 * z[0] + 0.25 * z[1] + 0.25 * z[2] + 0.25 * z[3] >= m->level;
  bool cut_first = (high & 1) != middle; // corner 0 is cut off from the middle, as is corner 2
  join(m, e[0], e[cut_first ? 3 : 1]);
  join(m, e[2], e[cut_first ? 1 : 3]);
}

static void edge_point(const Plot *p, const March *m, int32_t e, double *x, double *y) {
  const Grid *g = m->g;
  int64_t at = e / 2, i = at % g->n, j = at / g->n, i2 = i + !(e & 1), j2 = j + (e & 1);
  double a = node(g, i, j), b = node(g, i2, j2);
  double t = (m->level / 2 - a / 2) / (b / 2 - a / 2); // halved, so that no difference overflows
  *x = plot_x(p, g->xs[i] + t * (g->xs[i2] - g->xs[i]));
  *y = plot_y(p, g->ys[j] + t * (g->ys[j2] - g->ys[j]));
}

static void unjoin(March *m, int32_t from, int32_t to) {
  int side = m->joined[from][0] == to ? 0 : 1;
  m->joined[from][side] = -1;
}

// Follows the line from edge `e`, taking it apart on the way.
static void trace(Plot *p, March *m, int32_t e) {
  double x, y;
  edge_point(p, m, e, &x, &y);
  outfile_addf(&p->file, "M%.1f %.1f", x, y);
  for (;;) {
    int32_t next = m->joined[e][0] >= 0 ? m->joined[e][0] : m->joined[e][1];
    if (next < 0) return;
    unjoin(m, e, next);
    unjoin(m, next, e);
    edge_point(p, m, next, &x, &y);
    outfile_addf(&p->file, "L%.1f %.1f", x, y);
    e = next;
  }
}

static void draw_level(Plot *p, March *m) {
  const Grid *g = m->g;
  int32_t edges = (int32_t)(2 * g->n * g->m);
  memset(m->joined, 0xff, (size_t)edges * sizeof *m->joined);
  for (int64_t j = 0; j + 1 < g->m; j++)
    for (int64_t i = 0; i + 1 < g->n; i++) march_cell(m, i, j);
  for (int32_t e = 0; e < edges; e++) // open lines from their ends
    if ((m->joined[e][0] >= 0) != (m->joined[e][1] >= 0)) trace(p, m, e);
  for (int32_t e = 0; e < edges; e++) // then loops from anywhere
    if (m->joined[e][0] >= 0) trace(p, m, e);
}

static int32_t draw_levels(dprt_ctx *ctx, Plot *p, const Grid *g) {
  double levels[LEVELS];
  int n = pick_levels(ctx, g, levels);
  int32_t(*joined)[2] = dprt_raw_alloc(ctx, (size_t)(2 * g->n * g->m + 1) * sizeof *joined);
  for (int i = 0; i < n && joined; i++) {
    double t = n > 1 ? (double)i / (n - 1) : 0; // from deep blue in the valley to pale on the heights
    outfile_addf(
        &p->file,
        "<path fill=\"none\" stroke=\"#%02x%02x%02x\" stroke-width=\"1.1\" stroke-linejoin=\"round\" d=\"",
        (int)(0x35 + t * (0xcd - 0x35)), (int)(0x5c + t * (0xd6 - 0x5c)), (int)(0x8f + t * (0xe2 - 0x8f)));
    draw_level(p, &(March){.g = g, .level = levels[i], .joined = joined});
    outfile_addf(&p->file, "\"/>\n");
  }
  dprt_raw_free(ctx, joined);
  return n < 0 || !joined ? DPRT_MEMORY : DPRT_OK;
}

// ---- paths ---------------------------------------------------------------------------------------------------

static bool shown(const double *point) { return isfinite(point[0]) && isfinite(point[1]); }

static void draw_dots(Plot *p, const double *points, int64_t s, const char *color) {
  int64_t every = (s + DOTS_UP_TO - 1) / DOTS_UP_TO;
  for (int64_t i = 0; i < s; i += every)
    if (shown(points + 2 * i))
      outfile_addf(&p->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\" fill=\"%s\"/>\n",
                   plot_x(p, points[2 * i]), plot_y(p, points[2 * i + 1]), color);
}

// The way in one colour; a ring where it starts, a diamond where it ends.
static void draw_way(Plot *p, const double *points, int64_t s, int64_t index) {
  const char *color = series_color(index + 1); // the first colour is the contours' own
  const double *first = NULL, *last = NULL;
  bool pen_down = false;
  outfile_addf(&p->file,
               "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" stroke-linejoin=\"round\"%s d=\"",
               color, series_dash(index + 1));
  for (int64_t i = 0; i < s; i++) {
    const double *at = points + 2 * i;
    if (shown(at)) {
      outfile_addf(&p->file, "%c%.1f %.1f", pen_down ? 'L' : 'M', plot_x(p, at[0]), plot_y(p, at[1]));
      first = first ? first : at;
      last = at;
    }
    pen_down = shown(at);
  }
  outfile_addf(&p->file, "\"/>\n");
  draw_dots(p, points, s, color);
  if (!first) return;
  outfile_addf(
      &p->file,
      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"#ffffff\" stroke=\"%s\" stroke-width=\"2\"/>\n",
      plot_x(p, first[0]), plot_y(p, first[1]), color);
  outfile_addf(&p->file, "<path d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\" fill=\"%s\" stroke=\"#ffffff\"/>\n",
               plot_x(p, last[0]), plot_y(p, last[1]) - 6, color);
}

// ---- entry points --------------------------------------------------------------------------------------------

int32_t dprt_svg_contour(dprt_ctx *ctx, const char *path, const char *title, int64_t n, const double *xs,
                         int64_t m, const double *ys, const double *z, int64_t n_paths,
                         const char *const *names, int64_t steps, const double *paths) {
  Grid g = {.n = n, .m = m, .xs = xs, .ys = ys, .z = z};
  if (n > INT32_MAX / 4 || m > INT32_MAX / 4 || (m > 0 && n > INT32_MAX / 4 / m))
    return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site, "a contour plot of %lld by %lld values is too large",
                     (long long)m, (long long)n);
  Span x = {0}, y = {0};
  for (int64_t i = 0; i < n; i++) span_add(&x, xs[i]);
  for (int64_t j = 0; j < m; j++) span_add(&y, ys[j]);
  bool finite = true;
  for (int64_t i = 0; i < n; i++) finite &= isfinite(xs[i]) != 0;
  for (int64_t j = 0; j < m; j++) finite &= isfinite(ys[j]) != 0;
  if (!finite) return dprt_fail(ctx, DPRT_ARGUMENT, ctx->site, "the grid of a contour plot must be finite");
  Plot p = {0};
  axis_fit(ctx, &p.x, &x, false);
  axis_fit(ctx, &p.y, &y, false);
  // The legend's styles are those of draw_way: shifted by one.
  plot_begin(&p, ctx, path, title, "", "", &(Legend){.n = n_paths, .names = names, .dots = true, .first = 1},
             WIDTH, HEIGHT);
  outfile_addf(&p.file, "<g clip-path=\"url(#frame)\">\n");
  int32_t status = draw_levels(ctx, &p, &g);
  for (int64_t k = 0; k < n_paths; k++) draw_way(&p, paths + k * steps * 2, steps, k);
  outfile_addf(&p.file, "</g>\n");
  if (status) {
    outfile_abandon(&p.file);
    return dprt_fail(ctx, DPRT_MEMORY, ctx->site, "out of memory while a plot was drawn");
  }
  return plot_end(&p);
}

// (path, title, names: str, xs: [n]f64, ys: [m]f64, z: [m, n]f64, paths: [p, s, 2]f64)
int32_t dprt_plot_contour(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)out;
  int64_t n = in[4].i64, m = in[6].i64, n_paths = in[11].i64, steps = in[12].i64;
  if (in[8].i64 != m) return dprt_fail_size(ctx, ctx->site, "plot_contour(ys, z)", m, in[8].i64);
  if (in[9].i64 != n) return dprt_fail_size(ctx, ctx->site, "plot_contour(xs, z)", n, in[9].i64);
  if (n_paths > 0 && in[13].i64 != 2)
    return dprt_fail_size(ctx, ctx->site, "plot_contour(paths: [p, s, 2]f64)", in[13].i64, 2);
  Names names;
  int32_t status = names_split(ctx, in[2].str, n_paths, "paths", &names);
  if (status) return status;
  status = dprt_svg_contour(ctx, in[0].str, in[1].str, n, in[3].data, m, in[5].data, in[7].data, n_paths,
                            names.list, steps, in[10].data);
  names_free(ctx, &names);
  return status;
}
