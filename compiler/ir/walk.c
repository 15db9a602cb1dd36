// Traversal, written once: operations of a tree of regions, uses of values, what a region takes from outside, and who
// calls whom.
#include "ir/internal.h"

#include <string.h>

bool ir_walk(IrRegion *r, IrVisit *fn, void *user) {
  for (int i = 0; i < r->ops.len; i++) {
    IrOp *op = r->ops.data[i];
    IrWalk next = fn(user, op);
    if (next == IR_WALK_STOP) return false;
    if (next == IR_WALK_PRUNE) continue;
    for (int k = 0; k < op->n_regions; k++)
      if (!ir_walk(op->regions[k], fn, user)) return false;
  }
  return true;
}

// ---- uses ------------------------------------------------------------------------------------------------------------

static void count_operands(int *counts, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) counts[op->args[k]]++;
    for (int k = 0; k < op->n_regions; k++) count_operands(counts, op->regions[k]);
  }
  for (int i = 0; i < r->n_yields; i++) counts[r->yields[i]]++;
}

static void count_dims(int *counts, const IrFunc *f, IrVal v) {
  const IrVal *dims = ir_dims(f, v);
  for (int i = 0; dims && i < ir_type(f, v).rank; i++) counts[dims[i]]++;
}

// The sizes of an operation's results count while the operation has to stay: with a use of a result, an effect or
// regions.
static void count_sizes(int *counts, const IrFunc *f, const IrRegion *r) {
  for (int i = 0; i < r->n_args; i++) count_dims(counts, f, r->args[i]);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool stays = ir_op_info[op->kind].flags & (IR_E | IR_R);
    for (int k = 0; k < op->n_results; k++) stays |= counts[ir_result(op, k)] > 0;
    for (int k = 0; stays && k < op->n_results; k++) count_dims(counts, f, ir_result(op, k));
    for (int k = 0; k < op->n_regions; k++) count_sizes(counts, f, op->regions[k]);
  }
}

int *ir_use_counts(Arena *scratch, const IrFunc *f) {
  int *counts = ARENA_ARRAY(scratch, int, f->vals.len);
  if (!f->body) return counts;
  count_operands(counts, f->body);
  count_sizes(counts, f, f->body);
  counts[0] = 0;
  return counts;
}

bool ir_inside(const IrRegion *r, const IrRegion *outer) {
  for (; r; r = r->outer)
    if (r == outer) return true;
  return false;
}

bool ir_defined_outside(const IrFunc *f, IrVal v, const IrRegion *r) {
  const IrRegion *home = ir_val(f, v)->region;
  return home != r && ir_inside(r, home);
}

// ---- free values -----------------------------------------------------------------------------------------------------

typedef struct FreeWalk {
  Arena *arena;
  const IrFunc *func;
  IrIndex *index;
  IrVals *out;
} FreeWalk;

// A walk's number on a value says that the walk was there; so nothing needs to be cleared between walks.
static FreeWalk free_walk(Arena *scratch, const IrFunc *f, IrVals *out) {
  IrIndex *x = f->module->index;
  if (x->n_marks < f->vals.len || x->walk == UINT32_MAX) {
    x->n_marks = f->vals.len * 2;
    x->marks = ARENA_ARRAY(f->module->arena, uint32_t, x->n_marks);
    x->walk = 0;
  }
  x->walk++;
  return (FreeWalk){scratch, f, x, out};
}

static bool defined_in(const FreeWalk *w, IrVal v, const IrRegion *const *roots, int n) {
  for (int i = 0; i < n; i++)
    if (ir_inside(ir_val(w->func, v)->region, roots[i])) return true;
  return false;
}

static void free_value(FreeWalk *w, IrVal v, const IrRegion *const *roots, int n) {
  if (v == 0 || w->index->marks[v] == w->index->walk) return;
  w->index->marks[v] = w->index->walk;
  if (!defined_in(w, v, roots, n)) vec_push(w->arena, w->out, v);
  const IrVal *dims = ir_dims(w->func, v);
  for (int i = 0; dims && i < ir_type(w->func, v).rank; i++) free_value(w, dims[i], roots, n);
}

static void free_in_region(FreeWalk *w, const IrRegion *r, const IrRegion *const *roots, int n) {
  for (int i = 0; i < r->n_args; i++) free_value(w, r->args[i], roots, n);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) free_value(w, op->args[k], roots, n);
    for (int k = 0; k < op->n_regions; k++) free_in_region(w, op->regions[k], roots, n);
    for (int k = 0; k < op->n_results; k++) free_value(w, ir_result(op, k), roots, n);
  }
  for (int i = 0; i < r->n_yields; i++) free_value(w, r->yields[i], roots, n);
}

void ir_free_values(Arena *scratch, const IrFunc *f, const IrRegion *r, IrVals *out) {
  FreeWalk w = free_walk(scratch, f, out);
  free_in_region(&w, r, &r, 1);
}

void ir_free_values_op(Arena *scratch, const IrFunc *f, const IrOp *op, IrVals *out) {
  FreeWalk w = free_walk(scratch, f, out);
  const IrRegion *const *roots = (const IrRegion *const *)op->regions;
  for (int k = 0; k < op->n_results; k++)
    w.index->marks[ir_result(op, k)] = w.index->walk; // its own results are not taken from outside
  for (int k = 0; k < op->n_args; k++) free_value(&w, op->args[k], roots, op->n_regions);
  for (int k = 0; k < op->n_regions; k++) free_in_region(&w, op->regions[k], roots, op->n_regions);
  for (int k = 0; k < op->n_results; k++) {
    const IrVal *dims = ir_dims(f, ir_result(op, k));
    for (int i = 0; dims && i < ir_type(f, ir_result(op, k)).rank; i++)
      free_value(&w, dims[i], roots, op->n_regions);
  }
}

// ---- who calls whom -----------------------------------------------------------------------------------------------
// Two graphs over the same functions. `runs`: what a function may run, which decides recursion and effects. `before`:
// also the rules of what it calls, which are handled before it although only a derivative runs them: a rule usually
// calls the very function it is the rule of, and that is no recursion.

typedef VEC(int) Edges;

typedef struct Graph {
  IrModule *module;
  Arena *arena;
  NameMap index; // by function name
  Edges *runs, *before;
  int now; // the function whose edges are collected
} Graph;

static void add_edge(Graph *g, Edges *edges, Name callee) {
  const uint32_t *to = callee ? name_map_find(&g->index, callee) : NULL;
  if (!to) return;
  for (int i = 0; i < edges->len; i++)
    if (edges->data[i] == (int)*to) return;
  vec_push(g->arena, edges, (int)*to);
}

static void add_call(Graph *g, Name callee, bool rules_run) {
  add_edge(g, &g->runs[g->now], callee);
  const uint32_t *to = callee ? name_map_find(&g->index, callee) : NULL;
  if (!to) return;
  const IrFunc *f = g->module->funcs.data[*to];
  Edges *edges = rules_run ? &g->runs[g->now] : &g->before[g->now];
  add_edge(g, edges, f->adjoint_rule);
  add_edge(g, edges, f->tangent_rule);
}

static bool own_effect(const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_PRINT:
  case IR_TRAIN:
  case IR_MINIMIZE: return true;
  case IR_EXTERN: return !op->attr.ext->pure;
  default: return false;
  }
}

static IrWalk collect_calls(void *user, IrOp *op) {
  Graph *g = user;
  if (op->kind == IR_CALL) add_call(g, op->attr.sym, false);
  if (op->kind == IR_DCALL) add_call(g, op->attr.deriv->callee, true);
  if (op->kind == IR_TRAIN || op->kind == IR_MINIMIZE) {
    add_call(g, op->attr.train->loss, false);
    add_call(g, op->attr.train->loss_grad, false);
  }
  if (own_effect(op)) g->module->funcs.data[g->now]->effects = true;
  return IR_WALK_CONTINUE;
}

// Tarjan's strongly connected components, without C recursion: call chains may be long.
typedef struct Scc {
  const Graph *graph;
  bool before; // follow `before` edges too
  int *number, *low, *next_edge, *stack, *path;
  bool *on_stack;
  int counter, depth, path_len;
  IrFuncs *order; // may be NULL
} Scc;

static int edge_at(const Scc *s, int f, int i) {
  const Edges *runs = &s->graph->runs[f], *before = &s->graph->before[f];
  if (i < runs->len) return runs->data[i];
  i -= runs->len;
  return s->before && i < before->len ? before->data[i] : -1;
}

static void scc_enter(Scc *s, int f) {
  s->number[f] = s->low[f] = ++s->counter;
  s->stack[s->depth++] = f;
  s->on_stack[f] = true;
  s->path[s->path_len++] = f;
}

static bool calls_itself(const Scc *s, int f) {
  for (int i = 0; i < s->graph->runs[f].len; i++)
    if (s->graph->runs[f].data[i] == f) return true;
  return false;
}

static void scc_leave(Scc *s, int f) {
  s->path_len--;
  if (s->path_len > 0) {
    int caller = s->path[s->path_len - 1];
    if (s->low[f] < s->low[caller]) s->low[caller] = s->low[f];
  }
  if (s->low[f] != s->number[f]) return;
  int first = s->depth;
  do s->on_stack[s->stack[--first]] = false;
  while (s->stack[first] != f);
  for (int i = s->depth - 1; i >= first; i--) { // the deepest callee was pushed last
    IrFunc *member = s->graph->module->funcs.data[s->stack[i]];
    if (s->order)
      vec_push(s->graph->arena, s->order, member);
    else
      member->recursive = s->depth - first > 1 || calls_itself(s, s->stack[i]);
  }
  s->depth = first;
}

static void scc_from(Scc *s, int root) {
  scc_enter(s, root);
  while (s->path_len > 0) {
    int f = s->path[s->path_len - 1], to = edge_at(s, f, s->next_edge[f]++);
    if (to < 0)
      scc_leave(s, f);
    else if (!s->number[to])
      scc_enter(s, to);
    else if (s->on_stack[to] && s->number[to] < s->low[f])
      s->low[f] = s->number[to];
  }
}

static void scc_run(const Graph *g, bool before, IrFuncs *order) {
  int n = g->module->funcs.len;
  Scc s = {.graph = g, .before = before, .order = order};
  s.number = ARENA_ARRAY(g->arena, int, n);
  s.low = ARENA_ARRAY(g->arena, int, n);
  s.next_edge = ARENA_ARRAY(g->arena, int, n);
  s.stack = ARENA_ARRAY(g->arena, int, n);
  s.path = ARENA_ARRAY(g->arena, int, n);
  s.on_stack = ARENA_ARRAY(g->arena, bool, n);
  for (int i = 0; i < n; i++)
    if (!s.number[i]) scc_from(&s, i);
}

static void spread_effects(const Graph *g) {
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < g->module->funcs.len; i++) {
      IrFunc *f = g->module->funcs.data[i];
      for (int k = 0; k < g->runs[i].len && !f->effects; k++)
        if (g->module->funcs.data[g->runs[i].data[k]]->effects) f->effects = changed = true;
    }
  }
}

void ir_call_graph(IrModule *m, Arena *scratch, IrFuncs *order) {
  Graph g = {.module = m, .arena = scratch};
  g.runs = ARENA_ARRAY(scratch, Edges, m->funcs.len);
  g.before = ARENA_ARRAY(scratch, Edges, m->funcs.len);
  name_map_init(&g.index, scratch);
  for (int i = 0; i < m->funcs.len; i++) name_map_put(&g.index, m->funcs.data[i]->name, (uint32_t)i);
  for (g.now = 0; g.now < m->funcs.len; g.now++) {
    IrFunc *f = m->funcs.data[g.now];
    f->effects = f->recursive = false;
    if (f->body)
      ir_walk(f->body, collect_calls, &g);
    else
      f->effects = true; // nothing is known of it
  }
  spread_effects(&g);
  scc_run(&g, false, NULL);
  scc_run(&g, true, order);
}

static bool callee_has_effect(const IrModule *m, Name callee) {
  const IrFunc *f = ir_func_find(m, callee);
  return !f || f->effects;
}

static bool has_effect(const IrModule *m, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_CALL: return callee_has_effect(m, op->attr.sym);
  case IR_DCALL: return callee_has_effect(m, op->attr.deriv->callee);
  case IR_EXTERN: return !op->attr.ext->pure;
  default: return ir_op_info[op->kind].flags & IR_E;
  }
}

bool ir_op_has_effect(const IrModule *m, const IrOp *op) {
  if (has_effect(m, op)) return true;
  for (int k = 0; k < op->n_regions; k++)
    for (int i = 0; i < op->regions[k]->ops.len; i++)
      if (ir_op_has_effect(m, op->regions[k]->ops.data[i])) return true;
  return false;
}
