// Pictures: Graphviz's C library lays out a graph. In: its description in the DOT language. Out: SVG. Only the executable
// links this; libdp draws nothing.
#include "driver/draw.h"

#include <graphviz/gvc.h>
#include <string.h>

static int keep_quiet(char *message) {
  (void)message;
  return 0;
}

static char *rendered(Arena *a, GVC_t *gvc, graph_t *graph, size_t *len) {
  char *data = NULL, *out = NULL;
  unsigned n = 0;
  if (gvLayout(gvc, graph, "dot") != 0) return NULL;
  if (gvRenderData(gvc, graph, "svg", &data, &n) == 0 && data) {
    out = arena_strdup(a, data, n);
    *len = n;
  }
  if (data) gvFreeRenderData(data);
  gvFreeLayout(gvc, graph);
  return out;
}

const char *draw_svg(Arena *a, const char *dot, size_t *len, const char **why) {
  agseterrf(keep_quiet);
  GVC_t *gvc = gvContext();
  graph_t *graph = gvc ? agmemread(dot) : NULL;
  const char *svg = graph ? rendered(a, gvc, graph, len) : NULL;
  if (!svg) {
    const char *said = aglasterr();
    *why =
        said && *said ? arena_strdup(a, said, strcspn(said, "\n")) : "Graphviz's plugins are not installed";
  }
  if (graph) agclose(graph);
  if (gvc) gvFreeContext(gvc);
  return svg;
}
