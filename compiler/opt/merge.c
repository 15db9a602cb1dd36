// Optimisation: sibling loops over the same range become one. In: two FOR loops of one region with the same bounds, at most
// one of them with effects, the second independent of what the first one results in, and both reading some common array. Out: one
// loop that carries the values of both. What was computed in both bodies is then computed once (cse): the value and the
// gradient of a sum share their loop.
//
// Arrays are values, so independence of results is all that has to be shown.
#include "opt/internal.h"

typedef struct Merge {
  const IrFunc *f;
  Arena *arena;
  IrMap map;
  bool changed;
} Merge;

typedef struct Pair {
  int first, second; // positions in the region
  bool *after;       // by position: depends on the first loop, so it goes behind the merged one
} Pair;

// ---- finding a pair ----------------------------------------------------------------------------------------------------

static bool depends_on(const Merge *m, const IrOp *op, const bool *tainted) {
  IrVals reads = {0};
  ir_free_values_op(m->arena, m->f, op, &reads);
  for (int k = 0; k < reads.len; k++)
    if (tainted[reads.data[k]]) return true;
  for (int k = 0; k < op->n_results; k++) {
    const IrVal *dims = ir_dims(m->f, ir_result(op, k));
    for (int d = 0; dims && d < ir_type(m->f, ir_result(op, k)).rank; d++)
      if (tainted[dims[d]]) return true;
  }
  return false;
}

static void taint(const IrOp *op, bool *tainted) {
  for (int k = 0; k < op->n_results; k++) tainted[ir_result(op, k)] = true;
}

static bool reads_common_array(const Merge *m, const IrOp *a, const IrOp *b) {
  IrVals left = {0}, right = {0};
  ir_free_values(m->arena, m->f, a->regions[0], &left);
  ir_free_values(m->arena, m->f, b->regions[0], &right);
  for (int i = 0; i < left.len; i++) {
    if (!ir_is_array(ir_type(m->f, left.data[i]))) continue;
    for (int j = 0; j < right.len; j++)
      if (left.data[i] == right.data[j]) return true;
  }
  return false;
}

static bool same_bound(const Merge *m, IrVal a, IrVal b) {
  int64_t x, y;
  return a == b || (ir_is_const_int(m->f, a, &x) && ir_is_const_int(m->f, b, &y) && x == y);
}

static bool candidates(const Merge *m, const IrOp *a, const IrOp *b) {
  if (a->kind != IR_FOR || b->kind != IR_FOR || a->lanes != b->lanes) return false;
  for (int k = 0; k < 3; k++)
    if (!same_bound(m, a->args[k], b->args[k])) return false;
  bool both = ir_op_has_effect(m->f->module, a) && ir_op_has_effect(m->f->module, b);
  return !both && reads_common_array(m, a, b);
}

// Which operations between the two go behind: those that depend on the first. None with an effect may overtake another:
// the first loop moves behind those that stay, the second one in front of those that go behind.
static bool independent(const Merge *m, const IrRegion *r, Pair *p) {
  bool *tainted = ARENA_ARRAY(m->arena, bool, m->f->vals.len);
  bool moved_effect = ir_op_has_effect(m->f->module, r->ops.data[p->first]), behind = false;
  taint(r->ops.data[p->first], tainted);
  for (int i = p->first + 1; i < p->second; i++) {
    const IrOp *op = r->ops.data[i];
    bool effect = ir_op_has_effect(m->f->module, op);
    p->after[i] = depends_on(m, op, tainted);
    if (p->after[i]) {
      taint(op, tainted);
      moved_effect |= effect;
      behind |= effect;
    } else if (effect && moved_effect) {
      return false;
    }
  }
  if (behind && ir_op_has_effect(m->f->module, r->ops.data[p->second])) return false;
  return !depends_on(m, r->ops.data[p->second], tainted);
}

static bool find_pair(const Merge *m, const IrRegion *r, Pair *p) {
  p->after = ARENA_ARRAY(m->arena, bool, r->ops.len);
  for (p->first = 0; p->first < r->ops.len; p->first++)
    for (p->second = p->first + 1; p->second < r->ops.len; p->second++)
      if (candidates(m, r->ops.data[p->first], r->ops.data[p->second]) && independent(m, r, p)) return true;
  return false;
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

static void rebuild_region(Merge *m, IrBuilder *b, const IrRegion *r, IrVal *yields);

static void rebuild_op(Merge *m, IrBuilder *b, const IrOp *op) {
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, &m->map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    IrVal *yields = ARENA_ARRAY(m->f->arena, IrVal, r->n_yields);
    rebuild_region(m, &in[k], r, yields);
    now->regions[k]->yields = yields;
    now->regions[k]->n_yields = r->n_yields;
  }
  ir_close_like(b, &m->map, op, now);
}

static void merge_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  const IrOp *loops[2] = {first, second};
  int n = first->n_results + second->n_results, at = 0;
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, n);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < loops[i]->n_results; k++) vals[at++] = ir_mapped(&m->map, loops[i]->args[3 + k]);
  IrBuilder in;
  b->loc = second->loc;
  IrOp *now = ir_for(b, ir_mapped(&m->map, first->args[0]), ir_mapped(&m->map, first->args[1]),
                     ir_mapped(&m->map, first->args[2]), vals, n, &in);
  now->attr = first->attr;
  now->lanes = first->lanes;
  at = 0;
  for (int i = 0; i < 2; i++) {
    const IrRegion *body = loops[i]->regions[0];
    ir_map_set(&m->map, body->args[0], in.region->args[0]);
    for (int k = 0; k < loops[i]->n_results; k++)
      ir_map_set(&m->map, body->args[1 + k], in.region->args[1 + at + k]);
    rebuild_region(m, &in, body, vals + at);
    at += loops[i]->n_results;
  }
  ir_yield(&in, vals, n);
  at = 0;
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < loops[i]->n_results; k++)
      ir_map_set(&m->map, ir_result(loops[i], k), ir_result(now, at++));
  m->changed = true;
}

static void rebuild_region(Merge *m, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  Pair p;
  if (!find_pair(m, r, &p)) p.first = p.second = r->ops.len;
  for (int i = 0; i < r->ops.len; i++) {
    if (i == p.first || (i > p.first && i < p.second && p.after[i])) continue;
    if (i != p.second) {
      rebuild_op(m, b, r->ops.data[i]);
      continue;
    }
    merge_loops(m, b, r->ops.data[p.first], r->ops.data[p.second]);
    for (int k = p.first + 1; k < p.second; k++)
      if (p.after[k]) rebuild_op(m, b, r->ops.data[k]);
  }
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(&m->map, r->yields[k]);
}

IrFunc *opt_merge(IrFunc *f) {
  bool changed = f->body != NULL;
  for (int round = 0; changed && round < 16; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Merge m = {.f = f, .arena = scratch};
    IrFunc *now = ir_func_like(f, &m.map, scratch);
    IrBuilder b = ir_builder(now);
    IrVal *yields = ARENA_ARRAY(f->arena, IrVal, f->body->n_yields);
    rebuild_region(&m, &b, f->body, yields);
    changed = m.changed;
    if (changed) {
      ir_set_results(now, yields, f->body->n_yields, NULL);
      ir_module_replace(f->module, f, now);
      f = now;
    }
    arena_free(scratch);
  }
  return f;
}
