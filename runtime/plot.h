// What plot.c and contour.c share: a frame with two axes, drawn as SVG by svg.c. Not installed.
#ifndef DP_RUNTIME_PLOT_H
#define DP_RUNTIME_PLOT_H

#include "internal.h"

#define AXIS_TICKS 24
#define TICK_BYTES 40

typedef struct Tick {
  double at;
  char label[TICK_BYTES]; // "" for a grid line alone
} Tick;

typedef struct Axis {
  double lo, hi; // of the data; the logarithm's when `log`
  bool log;
  int n_ticks;
  Tick ticks[AXIS_TICKS];
} Axis;

// What the data spans: only values the axis can show count.
typedef struct Span {
  double lo, hi;
  bool any, log;
} Span;

typedef struct Plot {
  OutFile file;
  Axis x, y;
  double left, top, width, height; // the frame, in pixels
} Plot;

// Text that belongs to one series; the style follows from its index.
typedef struct Legend {
  int64_t n;
  const char *const *names; // NULL: no legend
  bool dots;                // the series are drawn with dots
  int64_t first;            // the index of the first one's style
} Legend;

void span_add(Span *s, double v);
void axis_fit(dprt_ctx *ctx, Axis *a, const Span *s, bool padded); // chooses the range and its ticks
bool axis_shows(const Axis *a, double v); // finite, and positive on a logarithmic axis

// Opens the file and draws what stands around the data; `x` and `y` must be fitted. Labels may be NULL or empty.
void plot_begin(Plot *p, dprt_ctx *ctx, const char *path, const char *title, const char *xlabel,
                const char *ylabel, const Legend *legend, double width, double height);
int32_t plot_end(Plot *p);
double plot_x(const Plot *p, double v); // pixels; v must be shown by the axis
double plot_y(const Plot *p, double v);
const char *series_color(int64_t i);
const char *series_dash(int64_t i); // a stroke-dasharray attribute, or ""

// Names separated by commas, as dp gives them. On success names_free gives them back; DPRT_ARGUMENT when their number
// is not n. An empty text stands for no names (a NULL list).
typedef struct Names {
  const char **list;
  char *text;
} Names;
int32_t names_split(dprt_ctx *ctx, const char *text, int64_t n, const char *what, Names *out);
void names_free(dprt_ctx *ctx, Names *names);

#endif
