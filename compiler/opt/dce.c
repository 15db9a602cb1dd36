// Dead code elimination. In: ordinary IR; out: the same function without what nobody reads: operations, results of
// `if` and `build`, values that loops carry only for themselves, loops and calls without use. Liveness is marked from
// the function's results and from effects (checks among them) back through operands, sizes, carried values and the
// operations around what is alive; so cycles of carried values that only feed each other stay unmarked.
#include "opt/scalar.h"

typedef struct Dce {
  Arena *arena;
  const IrFunc *func;
  bool *live;   // by value
  PtrMap alive; // operations that stay
  VEC(IrVal) values;
  VEC(const IrOp *) ops;
} Dce;

// ---- marking -----------------------------------------------------------------------------------------------------

static void need_op(Dce *d, const IrOp *op) {
  if (!op || ptr_get(&d->alive, op)) return;
  ptr_put(d->arena, &d->alive, op, 1);
  vec_push(d->arena, &d->ops, op);
}

static void need(Dce *d, IrVal v) {
  if (v == 0 || d->live[v]) return;
  d->live[v] = true;
  vec_push(d->arena, &d->values, v);
}

static void need_sizes(Dce *d, IrVal v) {
  const IrVal *dims = ir_dims(d->func, v);
  for (int i = 0; dims && i < ir_type(d->func, v).rank; i++) need(d, dims[i]);
}

static int n_fixed(const IrOp *op) { // operands before the inits of carried values
  return op->kind == IR_FOR ? 3 : op->kind == IR_WHILE ? 0 : op->n_args;
}

// Carried value k: where it comes from, how it goes on, what it is called inside and after.
static void need_carried(Dce *d, const IrOp *op, int k) {
  need(d, op->args[n_fixed(op) + k]);
  need(d, ir_result(op, k));
  if (op->kind == IR_FOR) {
    need(d, op->regions[0]->args[1 + k]);
    need(d, op->regions[0]->yields[k]);
  } else {
    need(d, op->regions[0]->args[k]);
    need(d, op->regions[1]->args[k]);
    need(d, op->regions[1]->yields[k]);
  }
}

static void visit_value(Dce *d, IrVal v) {
  const IrValue *val = ir_val(d->func, v);
  need_sizes(d, v);
  const IrOp *op = val->def ? val->def : val->region->owner;
  if (!op) return; // a parameter
  need_op(d, op);
  if (!val->def) {
    int first = op->kind == IR_FOR ? 1 : 0;
    if (op->kind != IR_BUILD && val->index >= first) need_carried(d, op, val->index - first);
    return;
  }
  switch ((IrOpKind)op->kind) {
  case IR_FOR:
  case IR_WHILE: need_carried(d, op, val->index); break;
  case IR_IF:
  case IR_BUILD:
    for (int k = 0; k < op->n_regions; k++) need(d, op->regions[k]->yields[val->index]);
    break;
  default: break;
  }
}

static void visit_op(Dce *d, const IrOp *op) {
  need_op(d, op->parent->owner);
  for (int i = 0; i < n_fixed(op); i++) need(d, op->args[i]);
  if (op->kind == IR_WHILE) need(d, op->regions[0]->yields[0]);
  for (int i = 0; op->n_regions == 0 && i < op->n_results; i++) need_sizes(d, ir_result(op, i));
}

static IrWalk mark_effects(void *user, IrOp *op) {
  Dce *d = user;
  // A text that nobody prints is no effect.
  if (op->n_regions == 0 && op->kind != IR_FORMAT && ir_op_has_effect(d->func->module, op)) need_op(d, op);
  return IR_WALK_CONTINUE;
}

static void mark(Dce *d) {
  ir_walk(d->func->body, mark_effects, d);
  for (int i = 0; i < d->func->body->n_yields; i++) need(d, d->func->body->yields[i]);
  while (d->values.len > 0 || d->ops.len > 0) {
    if (d->values.len > 0)
      visit_value(d, vec_pop(&d->values));
    else
      visit_op(d, vec_pop(&d->ops));
  }
}

// ---- rebuilding ----------------------------------------------------------------------------------------------------

static IrRewrite rewrite;

// Results of op that stay: their numbers go to `kept`.
static int kept_results(const Dce *d, const IrOp *op, int *kept) {
  int n = 0;
  for (int k = 0; k < op->n_results; k++)
    if (d->live[ir_result(op, k)]) kept[n++] = k;
  return n;
}

static void map_named(IrBuilder *b, IrMap *map, IrVal old, IrVal now) {
  ir_map_set(map, old, now);
  ir_name(b->func, now, ir_val(map->from, old)->name);
}

static void map_results(IrBuilder *b, IrMap *map, const IrOp *op, const IrOp *now, const int *kept, int n) {
  for (int i = 0; i < n; i++) map_named(b, map, ir_result(op, kept[i]), ir_result(now, i));
}

// Fills a region and yields those of its values that are kept; NULL: all.
static void fill(Dce *d, IrBuilder *in, IrMap *map, const IrRegion *r, const int *kept, int n) {
  ir_rewrite_ops(in, map, r, NULL, rewrite, d);
  IrVal *yields = ARENA_ARRAY(d->arena, IrVal, n);
  for (int i = 0; i < n; i++) yields[i] = ir_mapped(map, r->yields[kept ? kept[i] : i]);
  ir_yield(in, yields, n);
}

static void map_args(IrBuilder *b, IrMap *map, const IrRegion *r, const IrRegion *now, int first,
                     const int *kept, int n) {
  for (int i = 0; i < first; i++) map_named(b, map, r->args[i], now->args[i]);
  for (int i = 0; i < n; i++) map_named(b, map, r->args[first + kept[i]], now->args[first + i]);
}

static IrVal *mapped_args(Dce *d, const IrMap *map, const IrOp *op, const int *kept, int n) {
  IrVal *inits = ARENA_ARRAY(d->arena, IrVal, n);
  for (int i = 0; i < n; i++) inits[i] = ir_mapped(map, op->args[n_fixed(op) + kept[i]]);
  return inits;
}

static IrOp *rebuild_for(Dce *d, IrBuilder *b, IrMap *map, const IrOp *op, const int *kept, int n) {
  IrBuilder in;
  IrOp *now = ir_for(b, ir_mapped(map, op->args[0]), ir_mapped(map, op->args[1]), ir_mapped(map, op->args[2]),
                     mapped_args(d, map, op, kept, n), n, &in);
  map_args(b, map, op->regions[0], now->regions[0], 1, kept, n);
  fill(d, &in, map, op->regions[0], kept, n);
  return now;
}

static IrOp *rebuild_while(Dce *d, IrBuilder *b, IrMap *map, const IrOp *op, const int *kept, int n) {
  IrBuilder cond, body;
  IrOp *now = ir_while(b, mapped_args(d, map, op, kept, n), n, &cond, &body);
  for (int k = 0; k < 2; k++) map_args(b, map, op->regions[k], now->regions[k], 0, kept, n);
  fill(d, &cond, map, op->regions[0], NULL, 1);
  fill(d, &body, map, op->regions[1], kept, n);
  return now;
}

// A size of an `if` result as ir_close_if wants it: a value around, or an earlier result among those kept.
static IrVal size_in(const IrMap *map, const IrOp *op, const int *kept, int n, IrVal size) {
  for (int i = 0; i < n; i++)
    if (ir_result(op, kept[i]) == size) return IR_RESULT(i);
  return ir_mapped(map, size);
}

static IrOp *rebuild_if(Dce *d, IrBuilder *b, IrMap *map, const IrOp *op, const int *kept, int n) {
  IrBuilder in[2];
  IrOp *now = ir_if(b, ir_mapped(map, op->args[0]), &in[0], &in[1]);
  for (int k = 0; k < 2; k++) fill(d, &in[k], map, op->regions[k], kept, n);
  const IrVal **dims = ARENA_ARRAY(d->arena, const IrVal *, n);
  for (int i = 0; i < n; i++) {
    IrVal old = ir_result(op, kept[i]);
    const IrVal *from = ir_dims(map->from, old);
    int rank = from ? ir_type(map->from, old).rank : 0;
    IrVal *to = ARENA_ARRAY(d->arena, IrVal, rank);
    for (int k = 0; k < rank; k++) to[k] = size_in(map, op, kept, n, from[k]);
    dims[i] = from ? to : NULL;
  }
  ir_close_if(b, now, dims);
  return now;
}

static IrOp *rebuild_build(Dce *d, IrBuilder *b, IrMap *map, const IrOp *op, const int *kept, int n) {
  IrVal dims[IR_MAX_RANK];
  for (int i = 0; i < op->n_args; i++) dims[i] = ir_mapped(map, op->args[i]);
  IrBuilder in;
  IrOp *now = ir_build(b, dims, op->n_args, &in);
  map_args(b, map, op->regions[0], now->regions[0], op->n_args, NULL, 0);
  fill(d, &in, map, op->regions[0], kept, n);
  ir_close_build(b, now);
  return now;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Dce *d = user;
  if (!ptr_get(&d->alive, op)) return true;
  if (op->n_regions == 0) return false;
  int *kept = ARENA_ARRAY(d->arena, int, op->n_results);
  int n = kept_results(d, op, kept);
  if (n == op->n_results) return false;
  IrLoc around = b->loc;
  b->loc = op->loc;
  IrOp *now = op->kind == IR_FOR     ? rebuild_for(d, b, map, op, kept, n)
              : op->kind == IR_WHILE ? rebuild_while(d, b, map, op, kept, n)
              : op->kind == IR_IF    ? rebuild_if(d, b, map, op, kept, n)
                                     : rebuild_build(d, b, map, op, kept, n);
  now->attr = op->attr;
  now->on_stack = op->on_stack;
  now->lanes = op->lanes;
  now->masked = op->masked;
  map_results(b, map, op, now, kept, n);
  b->loc = around;
  return true;
}

IrFunc *opt_dce(IrFunc *f) {
  if (!f->body) return f;
  Dce d = {.arena = f->arena, .func = f, .live = ARENA_ARRAY(f->arena, bool, f->vals.len)};
  mark(&d);
  return ir_rewrite_func(f, rewrite, &d);
}
