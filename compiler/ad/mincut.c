// Differentiation: the smallest cut of a directed graph (Dinic's algorithm), for store-or-recompute.
#include "ad/internal.h"

typedef struct CutEdge {
  int to;
  double left; // residual capacity; the reverse edge is this index ^ 1
} CutEdge;

typedef VEC(int) IntVec;

struct MinCut {
  Arena *arena;
  VEC(CutEdge) edges;
  VEC(IntVec) out; // by node: indices of edges
  int *level, *next;
};

static const double CUT_EPS = 1e-9;

MinCut *mincut_new(Arena *a) {
  MinCut *g = ARENA_NEW(a, MinCut);
  g->arena = a;
  mincut_node(g); // source
  mincut_node(g); // sink
  return g;
}

int mincut_node(MinCut *g) {
  vec_push(g->arena, &g->out, ((IntVec){0}));
  return g->out.len - 1;
}

void mincut_edge(MinCut *g, int from, int to, double capacity) {
  vec_push(g->arena, &g->out.data[from], g->edges.len);
  vec_push(g->arena, &g->edges, ((CutEdge){to, capacity}));
  vec_push(g->arena, &g->out.data[to], g->edges.len);
  vec_push(g->arena, &g->edges, ((CutEdge){from, 0.0}));
}

static bool find_levels(MinCut *g) {
  int n = g->out.len, *queue = ARENA_ARRAY(g->arena, int, n), head = 0, tail = 0;
  for (int i = 0; i < n; i++) g->level[i] = -1;
  g->level[CUT_SOURCE] = 0;
  queue[tail++] = CUT_SOURCE;
  while (head < tail) {
    int u = queue[head++];
    for (int k = 0; k < g->out.data[u].len; k++) {
      const CutEdge *e = &g->edges.data[g->out.data[u].data[k]];
      if (e->left > CUT_EPS && g->level[e->to] < 0) {
        g->level[e->to] = g->level[u] + 1;
        queue[tail++] = e->to;
      }
    }
  }
  return g->level[CUT_SINK] >= 0;
}

// One augmenting path along rising levels, kept on an explicit stack: chains of operations can be long.
static double augment(MinCut *g, int *path) {
  int depth = 0, u = CUT_SOURCE;
  while (u != CUT_SINK) {
    if (g->next[u] < g->out.data[u].len) {
      int id = g->out.data[u].data[g->next[u]];
      const CutEdge *e = &g->edges.data[id];
      if (e->left > CUT_EPS && g->level[e->to] == g->level[u] + 1) {
        path[depth++] = id;
        u = e->to;
      } else {
        g->next[u]++;
      }
    } else {
      if (depth == 0) return 0.0;
      u = g->edges.data[path[--depth] ^ 1].to;
      g->next[u]++;
    }
  }
  double flow = CUT_INFINITE;
  for (int i = 0; i < depth; i++)
    if (g->edges.data[path[i]].left < flow) flow = g->edges.data[path[i]].left;
  for (int i = 0; i < depth; i++) {
    g->edges.data[path[i]].left -= flow;
    g->edges.data[path[i] ^ 1].left += flow;
  }
  return flow;
}

double mincut_solve(MinCut *g) {
  int n = g->out.len, *path = ARENA_ARRAY(g->arena, int, n);
  g->level = ARENA_ARRAY(g->arena, int, n);
  g->next = ARENA_ARRAY(g->arena, int, n);
  double total = 0.0;
  while (total < CUT_INFINITE && find_levels(g)) {
    for (int i = 0; i < n; i++) g->next[i] = 0;
    for (double flow; (flow = augment(g, path)) > 0.0;) {
      total += flow;
      if (total >= CUT_INFINITE) break;
    }
  }
  find_levels(g);
  return total;
}

bool mincut_sink_side(const MinCut *g, int node) { return g->level[node] < 0; }
