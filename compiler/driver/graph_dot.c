// `dp graph`: the picture's description in Graphviz's language. Nodes hold their expression, value and adjoint; loops and
// branches are clusters; what goes to the next iteration is dashed.
#include "driver/graph.h"

#include <string.h>

static void add_escaped(StrBuf *out, const char *s) {
  for (; *s; s++) switch (*s) {
    case '&': sb_add(out, "&amp;"); break;
    case '<': sb_add(out, "&lt;"); break;
    case '>': sb_add(out, "&gt;"); break;
    case '"': sb_add(out, "&quot;"); break;
    default: sb_addc(out, (unsigned char)*s < 0x20 ? ' ' : *s);
    }
}

static void add_row(StrBuf *out, const char *font, const char *text) {
  sb_addf(out, "<tr><td><font %s>", font);
  add_escaped(out, text);
  sb_add(out, "</font></td></tr>");
}

static void add_node(const Graph *g, StrBuf *out, int index) {
  const GraphNode *n = g->nodes.data[index];
  const char *adjoint = graph_adjoint_text(g, n), *fill = "#ffffff";
  const char *title = n->number ? arena_printf(g->arena, "%s = %s", n->name, n->what) : n->name;
  if (n->kind == NODE_INPUT) fill = "#e3edf7";
  if (n->kind == NODE_CARRIED) fill = "#f3efe0";
  for (int k = 0; k < g->f->n_results; k++)
    if (g->f->body->yields[k] == n->v) fill = "#e4f2e4";
  sb_addf(out, "n%d [fillcolor=\"%s\" label=<<table border=\"0\" cellborder=\"0\" cellspacing=\"0\">", index,
          fill);
  add_row(out, "color=\"#222222\"", title);
  add_row(out, "color=\"#1f5fa8\"", graph_value_text(g, n));
  if (*adjoint) add_row(out, "color=\"#b3261e\"", adjoint);
  sb_add(out, "</table>>];\n");
}

static bool box_shown(const Graph *g, const GraphBox *box) {
  for (int i = 0; i < g->nodes.len; i++)
    for (const GraphBox *b = g->nodes.data[i]->box; b; b = b->outer)
      if (b == box && graph_shown(g->nodes.data[i])) return true;
  return false;
}

static void add_level(const Graph *g, StrBuf *out, const GraphBox *level) {
  for (int i = 0; i < g->nodes.len; i++)
    if (g->nodes.data[i]->box == level && graph_shown(g->nodes.data[i])) add_node(g, out, i);
  for (int i = 0; i < g->boxes.len; i++) {
    const GraphBox *box = g->boxes.data[i];
    if (box->outer != level || !box_shown(g, box)) continue;
    sb_addf(out, "subgraph cluster_%d {\nlabel=\"", i);
    add_escaped(out, box->title);
    if (box->is_loop) sb_addf(out, "  (%lld times)", (long long)box->most);
    sb_add(out, "\"; labeljust=l; style=\"rounded\"; color=\"#888888\"; fontcolor=\"#444444\";\n");
    add_level(g, out, box);
    sb_add(out, "}\n");
  }
}

static int index_of(const Graph *g, const GraphNode *n) {
  int i = 0;
  while (g->nodes.data[i] != n) i++;
  return i;
}

void graph_dot(const Graph *g, StrBuf *out) {
  sb_addf(out, "digraph \"%s\" {\n", g->f->source_name ? g->f->source_name : g->f->name);
  sb_add(out, "rankdir=LR; fontname=\"Helvetica\"; fontsize=12; ranksep=0.35; nodesep=0.2;\n"
              "node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=12 color=\"#555555\" "
              "margin=\"0.06,0.03\"];\n"
              "edge [color=\"#555555\" arrowsize=0.6];\n");
  add_level(g, out, NULL);
  for (int i = 0; i < g->edges.len; i++) {
    const GraphEdge *e = &g->edges.data[i];
    if (!graph_shown(e->from) || !graph_shown(e->to)) continue;
    sb_addf(out, "n%d -> n%d%s;\n", index_of(g, e->from), index_of(g, e->to),
            e->back ? " [style=dashed constraint=false]" : "");
  }
  sb_add(out, "}\n");
}
