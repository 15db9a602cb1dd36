// Rebuilding functions: copies of operations through a map from old values to new ones. In: a function that is left as it
// is; out: operations at a builder, of the same function or another one. What must hold: every operand of what is copied
// is mapped, and the results of what is copied get mapped. Sizes follow the new operands where ops.def says they do,
// so a pass that replaces an array by one with other size values need not repair its users.
#include "ir/internal.h"

#include <assert.h>
#include <string.h>

IrMap ir_map_new(Arena *scratch, const IrFunc *from, IrFunc *to) {
  IrMap m = {.from = from, .to = to, .n = from->vals.len};
  m.vals = ARENA_ARRAY(scratch, IrVal, m.n);
  if (from == to)
    for (int i = 0; i < m.n; i++) m.vals[i] = (IrVal)i; // copies within a function see what is around them
  return m;
}

static IrVal through(const IrMap *m, IrVal v) {
  assert(v < (IrVal)m->n);
  IrVal now = ir_mapped(m, v);
  assert(v == 0 || now != 0);
  return now;
}

static IrVal *all_through(const IrMap *m, const IrVal *vals, int n) {
  IrVal *out = ARENA_ARRAY(m->to->arena, IrVal, n);
  for (int i = 0; i < n; i++) out[i] = through(m, vals[i]);
  return out;
}

// Maps a value and hands its name on.
static void map_named(IrMap *m, IrVal old, IrVal now) {
  ir_map_set(m, old, now);
  IrValue *v = &m->to->vals.data[now];
  if (!v->name) v->name = ir_val(m->from, old)->name;
}

IrFunc *ir_func_like(IrFunc *f, IrMap *map, Arena *scratch) {
  IrFunc *now = ARENA_NEW(f->arena, IrFunc);
  now->module = f->module;
  now->arena = f->arena;
  now->name = f->name;
  now->source_name = f->source_name;
  now->signature = f->signature;
  now->loc = f->loc;
  now->adjoint_rule = f->adjoint_rule;
  now->tangent_rule = f->tangent_rule;
  now->has_rule = f->has_rule;
  now->is_export = f->is_export;
  now->recursive = f->recursive;
  now->effects = f->effects;
  now->n_results = f->n_results;
  now->results = f->results;
  now->result_leaves = f->result_leaves;
  now->body = ir_region_new(now, NULL, NULL);
  IrValue none = {0};
  vec_push(now->arena, &now->vals, none);
  *map = ir_map_new(scratch, f, now);
  for (int i = 0; i < f->n_params; i++) {
    IrVal old = (IrVal)i + 1;
    const IrVal *dims = ir_dims(f, old);
    int rank = ir_type(f, old).rank;
    IrVal now_dims[IR_MAX_RANK];
    for (int k = 0; dims && k < rank; k++) now_dims[k] = through(map, dims[k]);
    map_named(map, old, ir_param(now, ir_type(f, old), dims ? now_dims : NULL, f->params[i]));
  }
  now->n_sizes = f->n_sizes;
  return now;
}

// ---- operations --------------------------------------------------------------------------------------------------

// Makes the results of `now` after those of `op`. Sizes that do not follow from the operands go through the map, where
// the results stand already: a size may be an earlier result.
static void make_results(IrBuilder *b, IrMap *m, const IrOp *op, IrOp *now) {
  IrFunc *f = b->func;
  now->n_results = op->n_results;
  for (int i = 0; i < op->n_results; i++) {
    IrVal old = ir_result(op, i), v = ir_value_new(f, ir_type(m->from, old), NULL, now, b->region, i);
    if (i == 0) now->result = v;
    map_named(m, old, v);
  }
  IrInfer q = {.func = f, .kind = now->kind, .attr = now->attr.i, .args = now->args, .n = now->n_args};
  const char *why = ir_infer(&q);
  assert(!why);
  (void)why;
  for (int i = 0; i < op->n_results; i++) {
    IrValue *v = &f->vals.data[ir_result(now, i)];
    const IrVal *dims = ir_dims(m->from, ir_result(op, i));
    if (!dims) continue;
    if (now->kind == IR_BUILD)
      v->dims = now->args;
    else if (now->kind == IR_FOR)
      v->dims = ir_dims(f, now->args[3 + i]);
    else if (now->kind == IR_WHILE)
      v->dims = ir_dims(f, now->args[i]);
    else if (q.known && q.type.rank == v->type.rank)
      v->dims = ir_dims_copy(f, q.dims, q.type.rank);
    else
      v->dims = all_through(m, dims, v->type.rank);
  }
}

// The arguments of region k of an operation: the inits they carry, or NULL for ints.
static void make_region_args(IrMap *m, const IrOp *op, IrOp *now, int k) {
  const IrRegion *r = op->regions[k];
  int first = op->kind == IR_FOR ? 1 : 0; // carried values come after the index
  for (int i = 0; i < r->n_args; i++) {
    const IrVal *dims = NULL;
    if (op->kind == IR_FOR && i >= first) dims = ir_dims(m->to, now->args[3 + i - first]);
    if (op->kind == IR_WHILE) dims = ir_dims(m->to, now->args[i]);
    map_named(m, r->args[i], ir_region_arg(m->to, now->regions[k], ir_type(m->from, r->args[i]), dims));
  }
}

IrOp *ir_open_like(IrBuilder *b, IrMap *map, const IrOp *op, IrBuilder *regions) {
  IrOp *now = ir_op_new(b, op->kind, all_through(map, op->args, op->n_args), op->n_args, op->n_regions);
  now->attr = op->attr;
  now->on_stack = op->on_stack;
  now->kept = op->kept;
  now->lanes = op->lanes;
  now->masked = op->masked;
  now->loc = op->loc;
  for (int k = 0; k < op->n_regions; k++) {
    make_region_args(map, op, now, k);
    regions[k] = (IrBuilder){b->func, now->regions[k], op->loc};
  }
  return now;
}

void ir_close_like(IrBuilder *b, IrMap *map, const IrOp *op, IrOp *now) { make_results(b, map, op, now); }

const IrVal *ir_sizes_like(Arena *a, const IrMap *map, const IrOp *op, int k) {
  const IrVal *old = ir_dims(map->from, ir_result(op, k));
  int rank = ir_type(map->from, ir_result(op, k)).rank;
  IrVal *sizes = old ? ARENA_ARRAY(a, IrVal, rank) : NULL;
  for (int d = 0; old && d < rank; d++)
    sizes[d] = ir_val(map->from, old[d])->def == op ? IR_RESULT(old[d] - op->result) : ir_mapped(map, old[d]);
  return sizes;
}

static void rewrite_one(IrBuilder *b, IrMap *map, const IrOp *op, IrRewrite *fn, void *user) {
  if (fn && fn(user, b, map, op)) return;
  IrBuilder in[2];
  assert(op->n_regions <= 2);
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    IrVal *yields = ARENA_ARRAY(map->to->arena, IrVal, r->n_yields);
    ir_rewrite_ops(&in[k], map, r, yields, fn, user);
    now->regions[k]->yields = yields;
    now->regions[k]->n_yields = r->n_yields;
  }
  ir_close_like(b, map, op, now);
}

IrOp *ir_clone_op(IrBuilder *b, IrMap *map, const IrOp *op) {
  rewrite_one(b, map, op, NULL, NULL);
  return vec_last(&b->region->ops);
}

void ir_rewrite_ops(IrBuilder *b, IrMap *map, const IrRegion *r, IrVal *yields, IrRewrite *fn, void *user) {
  for (int i = 0; i < r->ops.len; i++) rewrite_one(b, map, r->ops.data[i], fn, user);
  for (int i = 0; yields && i < r->n_yields; i++) yields[i] = through(map, r->yields[i]);
}

void ir_clone_ops(IrBuilder *b, IrMap *map, const IrRegion *r, IrVal *yields) {
  ir_rewrite_ops(b, map, r, yields, NULL, NULL);
}

IrFunc *ir_rewritten(IrFunc *f, IrRewrite *fn, void *user) {
  IrMap map;
  IrFunc *now = ir_func_like(f, &map, f->arena);
  IrBuilder b = ir_builder(now);
  IrVal *yields = ARENA_ARRAY(f->arena, IrVal, f->body->n_yields);
  ir_rewrite_ops(&b, &map, f->body, yields, fn, user);
  ir_set_results(now, yields, f->body->n_yields, NULL);
  return now;
}

IrFunc *ir_rewrite_func(IrFunc *f, IrRewrite *fn, void *user) {
  if (!f->body) return f;
  IrFunc *now = ir_rewritten(f, fn, user);
  ir_module_replace(f->module, f, now);
  return now;
}

void ir_rebuild_op(IrBuilder *b, IrMap *map, const IrOp *op, IrRebuild *fn, void *user) {
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, r->n_yields);
    fn(user, &in[k], r, yields);
    ir_yield(&in[k], yields, r->n_yields);
  }
  ir_close_like(b, map, op, now);
}

IrFunc *ir_rebuild_func(IrFunc *f, Arena *scratch, IrMap *map, IrRebuild *fn, void *user,
                        const bool *changed) {
  IrFunc *now = ir_func_like(f, map, scratch);
  IrBuilder b = ir_builder(now);
  IrVal *yields = ARENA_ARRAY(f->arena, IrVal, f->body->n_yields);
  fn(user, &b, f->body, yields);
  if (!*changed) return f;
  ir_set_results(now, yields, f->body->n_yields, NULL);
  ir_module_replace(f->module, f, now);
  return now;
}
