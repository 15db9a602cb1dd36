// `dp graph`: values and adjoints. In: nodes and a point. Out: what each node was, each time it was computed, and how much
// the result changes with it.
//
// Values: the oracle runs the function and tells each operation. Adjoints: a second function adds a zero of its own to every
// node (in a loop, one per iteration); its derivatives by those zeros are the nodes' adjoints, from dp's own reverse mode.
#include "driver/graph.h"

#include "ad/ad.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 20000000 };

// ---- values ------------------------------------------------------------------------------------------------------------

static GraphBox *box_of_region(const Graph *g, const IrRegion *r) {
  for (; r; r = r->outer)
    for (int i = 0; i < g->boxes.len; i++)
      if (g->boxes.data[i]->region == r) return g->boxes.data[i];
  return NULL;
}

// Which iteration this is, of all the loops around, counted through.
static int64_t run_index(const GraphBox *box) {
  int64_t at = 0, stride = 1;
  for (; box; box = box->outer) {
    if (!box->is_loop) continue;
    at += (box->now - 1) * stride;
    stride *= box->most > 0 ? box->most : 1;
  }
  return at;
}

static int64_t run_count(const GraphBox *box) {
  int64_t n = 1;
  for (; box; box = box->outer)
    if (box->is_loop) n *= box->most;
  return n;
}

static bool in_loop(const GraphBox *box) {
  for (; box; box = box->outer)
    if (box->is_loop) return true;
  return false;
}

static void note_value(Graph *g, const IrFrame *at, IrVal v) {
  GraphNode *n = g->of[v];
  if (!n) return;
  IrType t = ir_type(g->f, v);
  n->n_runs++;
  if (t.rank) {
    if (!in_loop(n->box)) n->array = ir_interp_look(at, v);
    return;
  }
  GraphRun run = {run_index(n->box), (double)ir_interp_look(at, v).v.q, 0.0};
  if (n->runs.len == GRAPH_RUNS_KEPT) n->runs.len--; // the latest takes the last place
  vec_push(g->arena, &n->runs, run);
}

static void note_region(Graph *g, const IrRegion *r) {
  for (int i = 0; i < g->entered.len; i++)
    if (g->entered.data[i] == r) return;
  vec_push(g->arena, &g->entered, r);
}

static void entered(void *user, const IrFrame *at, const IrRegion *r) {
  Graph *g = user;
  note_region(g, r);
  for (int i = 0; r->owner && i < g->boxes.len; i++) {
    GraphBox *box = g->boxes.data[i];
    if (box->region != r) continue;
    if (++box->now > box->most) box->most = box->now;
    for (int k = 0; g->recording && k < r->n_args; k++) note_value(g, at, r->args[k]);
  }
}

static void seen(void *user, const IrFrame *at, const IrOp *op) {
  Graph *g = user;
  for (int i = 0; op->n_regions && i < g->boxes.len; i++)
    if (g->boxes.data[i]->op == op) g->boxes.data[i]->now = 0;
  for (int k = 0; g->recording && k < op->n_results; k++) note_value(g, at, ir_result(op, k));
}

static bool run(Graph *g, const IrFunc *f, const IrCell *args, IrCell *results) {
  IrInterp in = {
      .arena = g->arena, .module = g->m, .user = g, .foreign = graph_call_c, .max_steps = MAX_STEPS};
  if (f == g->f) in.entered = entered, in.seen = seen;
  if (ir_interp(&in, f, args, results)) return true;
  g->failed = in.error;
  return false;
}

// ---- the function with a zero at every node ------------------------------------------------------------------------------

typedef struct Zero { // added to a node
  GraphNode *node;
  IrVal param;
  IrCell arg;
} Zero;

typedef struct Spread {
  Graph *g;
  IrFunc *f; // the second function
  IrMap map;
  Zero *of_value; // by value of the first; param 0: none
  VEC(IrCell) args;
  VEC(IrVal) trips; // iteration numbers of the loops around
  VEC(const GraphBox *) loops;
} Spread;

static void add_param(Spread *x, GraphNode *n) {
  Graph *g = x->g;
  IrType t = ir_type(g->f, n->v);
  Zero *z = &x->of_value[n->v];
  int64_t sizes[IR_MAX_RANK], count = 1;
  int rank = t.rank;
  if (n->kind == NODE_INPUT || t.grow || (rank && (in_loop(n->box) || !n->array.data))) return;
  for (int d = 0; d < rank; d++) sizes[d] = n->array.dims[d];
  if (!rank && in_loop(n->box)) sizes[rank++] = run_count(n->box);
  IrVal dims[IR_MAX_RANK] = {0};
  for (int d = 0; d < rank; d++) {
    dims[d] = ir_param(x->f, IR_SCALAR(IR_INT), NULL, (IrLeaf){0});
    vec_push(g->arena, &x->args, ir_cell_int(sizes[d]));
    count *= sizes[d];
  }
  if (count > 1 << 20) return;
  IrType zero = {t.elem, (uint8_t)rank, false};
  double *none = ARENA_ARRAY(g->arena, double, count + 1);
  z->node = n;
  z->param = ir_param(x->f, zero, rank ? dims : NULL, (IrLeaf){0});
  z->arg = rank ? ir_cell_array(g->arena, (IrElem)t.elem, rank, sizes, none) : ir_cell_f64(0.0);
  z->arg.type.elem = t.elem;
  vec_push(g->arena, &x->args, z->arg);
}

// The iteration's number among those of all the loops around: as run_index.
static IrVal flat_index(Spread *x, IrBuilder *b) {
  IrVal at = ir_const_int(b, 0);
  for (int i = 0; i < x->loops.len; i++) {
    IrVal most = ir_const_int(b, x->loops.data[i]->most);
    at = ir_op2(b, IR_ADD, ir_op2(b, IR_MUL, at, most), x->trips.data[i]);
  }
  return at;
}

static void perturb(Spread *x, IrBuilder *b, IrVal old) {
  const Zero *z = &x->of_value[old];
  if (!z->param) return;
  IrVal now = ir_mapped(&x->map, old);
  int rank = ir_type(x->f, now).rank;
  if (rank) {
    IrBuilder in;
    IrOp *op = ir_build(b, ir_dims(x->f, now), rank, &in);
    IrVal e = ir_op2(&in, IR_ADD, ir_get(&in, now, in.region->args, rank),
                     ir_get(&in, z->param, in.region->args, rank));
    ir_yield(&in, &e, 1);
    ir_close_build(b, op);
    now = op->result;
  } else if (ir_type(x->f, z->param).rank) {
    IrVal at = flat_index(x, b);
    now = ir_op2(b, IR_ADD, now, ir_get(b, z->param, &at, 1));
  } else {
    now = ir_op2(b, IR_ADD, now, z->param);
  }
  ir_map_set(&x->map, old, now);
}

static void spread_region(Spread *x, IrBuilder *b, const IrRegion *r, IrVal *yields);

static IrVal *room(Spread *x, int n) { return ARENA_ARRAY(x->g->arena, IrVal, n + 1); }

static const GraphBox *loop_box(const Spread *x, const IrRegion *r) {
  const GraphBox *box = box_of_region(x->g, r);
  return box && box->region == r ? box : NULL;
}

static void spread_body(Spread *x, IrBuilder *in, const IrRegion *r, IrVal trip, IrVal *yields) {
  const GraphBox *box = loop_box(x, r);
  if (box && trip) {
    vec_push(x->g->arena, &x->loops, box);
    vec_push(x->g->arena, &x->trips, trip);
  }
  for (int k = 0; k < r->n_args; k++) perturb(x, in, r->args[k]);
  spread_region(x, in, r, yields);
  if (box && trip) x->loops.len--, x->trips.len--;
}

// While loops count along.
static void spread_while(Spread *x, IrBuilder *b, const IrOp *op) {
  int n = op->n_results;
  IrVal *inits = room(x, n + 1), *yields = room(x, n + 1), go;
  for (int k = 0; k < n; k++) inits[k] = ir_mapped(&x->map, op->args[k]);
  inits[n] = ir_const_int(b, 0);
  IrBuilder cond, in;
  IrOp *now = ir_while(b, inits, n + 1, &cond, &in);
  for (int k = 0; k < n; k++) ir_map_set(&x->map, op->regions[0]->args[k], cond.region->args[k]);
  ir_clone_ops(&cond, &x->map, op->regions[0], &go);
  ir_yield(&cond, &go, 1);
  for (int k = 0; k < n; k++) ir_map_set(&x->map, op->regions[1]->args[k], in.region->args[k]);
  spread_body(x, &in, op->regions[1], in.region->args[n], yields);
  yields[n] = ir_op2(&in, IR_ADD, in.region->args[n], ir_const_int(&in, 1));
  ir_yield(&in, yields, n + 1);
  for (int k = 0; k < n; k++) ir_map_set(&x->map, ir_result(op, k), ir_result(now, k));
}

// A for's number of the iteration; a build's, row by row.
static IrVal trip_of(Spread *x, IrBuilder *in, const IrOp *op) {
  const IrRegion *r = op->regions[0];
  if (op->kind == IR_IF) return 0;
  if (op->kind == IR_FOR) {
    IrVal span = ir_op2(in, IR_SUB, ir_mapped(&x->map, r->args[0]), ir_mapped(&x->map, op->args[0]));
    return ir_op2(in, IR_IDIV, span, ir_mapped(&x->map, op->args[2]));
  }
  IrVal at = ir_mapped(&x->map, r->args[0]);
  for (int k = 1; k < r->n_args; k++)
    at = ir_op2(in, IR_ADD, ir_op2(in, IR_MUL, at, ir_mapped(&x->map, op->args[k])),
                ir_mapped(&x->map, r->args[k]));
  return at;
}

static void spread_op(Spread *x, IrBuilder *b, const IrOp *op) {
  b->loc = op->loc;
  if (op->kind == IR_WHILE) {
    spread_while(x, b, op);
  } else if (op->n_regions) {
    IrBuilder in[2];
    IrOp *now = ir_open_like(b, &x->map, op, in);
    for (int i = 0; i < op->n_regions; i++) {
      IrVal *yields = room(x, op->regions[i]->n_yields);
      spread_body(x, &in[i], op->regions[i], trip_of(x, &in[i], op), yields);
      now->regions[i]->yields = ARENA_ARRAY(x->f->arena, IrVal, op->regions[i]->n_yields);
      memcpy(now->regions[i]->yields, yields, sizeof *yields * (size_t)op->regions[i]->n_yields);
      now->regions[i]->n_yields = op->regions[i]->n_yields;
    }
    ir_close_like(b, &x->map, op, now);
  } else {
    ir_clone_op(b, &x->map, op);
  }
  for (int k = 0; k < op->n_results; k++) perturb(x, b, ir_result(op, k));
}

static void spread_region(Spread *x, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  for (int i = 0; i < r->ops.len; i++) spread_op(x, b, r->ops.data[i]);
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(&x->map, r->yields[k]);
}

static IrFunc *spread(Spread *x) {
  Graph *g = x->g;
  IrFunc *base = (IrFunc *)g->f;
  x->f = ir_func_like(base, &x->map, g->arena);
  x->f->name = intern_cstr(g->m->names, arena_printf(g->arena, "%s.nodes", base->name));
  x->f->is_export = false;
  x->of_value = ARENA_ARRAY(g->arena, Zero, base->vals.len);
  for (int k = 0; k < base->n_params; k++) vec_push(g->arena, &x->args, g->args[k]);
  for (int i = 0; i < g->nodes.len; i++) add_param(x, g->nodes.data[i]);
  IrBuilder b = ir_builder(x->f);
  IrVal *yields = ARENA_ARRAY(x->f->arena, IrVal, base->n_results);
  spread_region(x, &b, base->body, yields);
  ir_set_results(x->f, yields, base->n_results, NULL);
  vec_push(g->m->arena, &g->m->funcs, x->f);
  return x->f;
}

// ---- adjoints ----------------------------------------------------------------------------------------------------------

// Seeds: one for every float of the result. Sizes that the reverse-mode function asks for come in front of their seed.
static void push_seeds(Spread *x, const IrFunc *f, const IrFunc *vjp) {
  Graph *g = x->g;
  int result = 0, axis = 0;
  for (int k = f->n_params; k < vjp->n_params; k++) {
    IrType t = ir_type(vjp, vjp->body->args[k]);
    while (!ir_is_float(f->results[result])) result++, axis = 0;
    const IrCell *y = &g->results[result];
    if (!ir_is_float(t)) {
      const IrVal *dims = ir_dims(f, f->body->yields[result]);
      while (ir_val(f, dims[axis])->region == f->body && !ir_val(f, dims[axis])->def) axis++;
      vec_push(g->arena, &x->args, ir_cell_int(y->dims[axis++]));
      continue;
    }
    int64_t n = 1;
    for (int d = 0; d < t.rank; d++) n *= y->dims[d];
    double *ones = ARENA_ARRAY(g->arena, double, n + 1);
    for (int64_t i = 0; i < n; i++) ones[i] = 1.0;
    IrCell seed = t.rank ? ir_cell_array(g->arena, (IrElem)t.elem, t.rank, y->dims, ones) : ir_cell_f64(1.0);
    seed.type = t;
    vec_push(g->arena, &x->args, seed);
    result++, axis = 0;
  }
}

static void set_adjoint(GraphNode *n, const IrCell *d) {
  n->has_adjoint = true;
  if (n->array.data || (n->kind == NODE_INPUT && d->type.rank)) {
    n->adjoint = *d;
    return;
  }
  for (int i = 0; i < n->runs.len; i++) {
    GraphRun *r = &n->runs.data[i];
    r->adjoint = d->type.rank ? (double)ir_cell_at(d, r->at) : (double)d->v.q;
  }
}

static bool adjoints(Graph *g) {
  Spread x = {.g = g};
  IrFunc *f = spread(&x);
  bool *wrt = ARENA_ARRAY(g->arena, bool, f->n_params);
  GraphNode **nodes = ARENA_ARRAY(g->arena, GraphNode *, f->n_params);
  for (int k = g->f->n_sizes; k < g->f->n_params; k++) {
    wrt[k] = ir_is_float(ir_type(f, f->body->args[k]));
    nodes[k] = g->of[g->f->body->args[k]];
  }
  for (int v = 0; v < g->f->vals.len; v++) {
    const Zero *z = &x.of_value[v];
    if (!z->param) continue;
    wrt[ir_val(f, z->param)->index] = true;
    nodes[ir_val(f, z->param)->index] = z->node;
  }
  IrFunc *vjp = ad_vjp(g->m, f, wrt, &g->s->diags);
  if (!vjp) return false;
  push_seeds(&x, f, vjp);
  IrCell *out = ARENA_ARRAY(g->arena, IrCell, vjp->n_results);
  if (!run(g, vjp, x.args.data, out)) return false;
  for (int k = 0, at = f->n_results; k < f->n_params; k++) {
    if (!wrt[k]) continue;
    if (nodes[k]) set_adjoint(nodes[k], &out[at]);
    at++;
  }
  return true;
}

bool graph_run(Graph *g) {
  g->results = ARENA_ARRAY(g->arena, IrCell, g->f->n_results);
  return run(g, g->f, g->args, g->results);
}

// What is nothing beside the others is what rounding in quadruple precision left.
static void clear_noise(Graph *g) {
  double most = 0.0;
  for (int i = 0; i < g->nodes.len; i++)
    for (int k = 0; k < g->nodes.data[i]->runs.len; k++)
      most = fmax(most, fabs(g->nodes.data[i]->runs.data[k].adjoint));
  for (int i = 0; i < g->nodes.len; i++)
    for (int k = 0; k < g->nodes.data[i]->runs.len; k++) {
      GraphRun *r = &g->nodes.data[i]->runs.data[k];
      if (fabs(r->adjoint) < 1e-30 * most) r->adjoint = 0.0;
    }
}

bool graph_values(Graph *g) {
  const IrFunc *f = g->f;
  if (!run(g, f, g->args, g->results)) return false;
  for (int k = f->n_sizes; k < f->n_params; k++) {
    GraphNode *n = g->of[f->body->args[k]];
    if (!n) continue;
    n->n_runs = 1;
    GraphRun only = {0, (double)g->args[k].v.q, 0.0};
    if (g->args[k].type.rank)
      n->array = g->args[k];
    else
      vec_push(g->arena, &n->runs, only);
  }
  g->recording = true;
  if (!run(g, f, g->args, g->results) || !adjoints(g)) return false;
  clear_noise(g);
  return true;
}

// ---- texts -----------------------------------------------------------------------------------------------------------------

const char *graph_number(Arena *a, double v) {
  if (!isfinite(v)) return isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
  if (v == 0.0) return "0";
  if (fabs(v) < 1e-4 || fabs(v) >= 1e9) return arena_printf(a, "%.6e", v);
  char *text = arena_printf(a, "%.6f", v);
  size_t n = strlen(text);
  while (text[n - 1] == '0') text[--n] = 0;
  if (text[n - 1] == '.') text[--n] = 0;
  return text;
}

static const char *array_text(const Graph *g, const IrCell *c) {
  StrBuf sb;
  sb_init(&sb, g->arena);
  int64_t n = 1;
  for (int d = 0; d < c->type.rank; d++) n *= c->dims[d];
  if (n > GRAPH_SHOWN || c->type.rank > 1) {
    for (int d = 0; d < c->type.rank; d++) sb_addf(&sb, "%s%lld", d ? " x " : "", (long long)c->dims[d]);
    sb_add(&sb, ": ");
  }
  sb_addc(&sb, '[');
  for (int64_t i = 0; i < n && i < GRAPH_SHOWN; i++)
    sb_addf(&sb, "%s%s", i ? ", " : "", graph_number(g->arena, (double)ir_cell_at(c, i)));
  sb_add(&sb, n > GRAPH_SHOWN ? ", …]" : "]");
  return sb.data;
}

// The first runs and the last.
static const char *runs_text(const Graph *g, const GraphNode *n, bool adjoint) {
  StrBuf sb;
  sb_init(&sb, g->arena);
  for (int i = 0; i < n->runs.len; i++) {
    bool few = n->n_runs <= GRAPH_SHOWN;
    if (!few && i == GRAPH_SHOWN - 1) {
      sb_add(&sb, ", …");
      i = n->runs.len - 1;
    }
    const GraphRun *r = &n->runs.data[i];
    sb_addf(&sb, "%s%s", i ? ", " : "", graph_number(g->arena, adjoint ? r->adjoint : r->value));
  }
  return sb.data ? sb.data : "";
}

const char *graph_value_text(const Graph *g, const GraphNode *n) {
  if (n->array.data) return array_text(g, &n->array);
  if (ir_type(g->f, n->v).rank) return "an array";
  return runs_text(g, n, false);
}

const char *graph_adjoint_text(const Graph *g, const GraphNode *n) {
  if (!n->has_adjoint) return "";
  return n->adjoint.data ? array_text(g, &n->adjoint) : runs_text(g, n, true);
}
