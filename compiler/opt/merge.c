// Optimisation: sibling loops over the same range become one. In: two FOR loops of one region with the same bounds, at most
// one of them with effects, the second independent of what the first one results in, and both reading some common array. Out: one
// loop that carries the values of both. What was computed in both bodies is then computed once (cse): the value and the
// gradient of a sum share their loop. opt_join takes builds along: late, since a loop that sets elements is worse than a build
// for every other pass.
//
// Arrays are values, so independence of results is all that has to be shown.
#include "opt/merge.h"

static bool chains(const Merge *m) { return m->kind >= MERGE_CHAINS; }

// So many loops are tried with one; a function of thousands of loops would take for ever.
enum { NEIGHBOURS = 64 };
enum { EXPENSIVE = 8 }; // cost of what is better not computed twice

// The loops of one region, the pair of them that is looked at, and what is known of its operations.
typedef struct Row {
  const IrRegion *r;
  IrVals *taken,
      *read; // by position: what the operation, and its body, have from outside; empty until asked for
  int first, second; // positions of the pair
  bool *after;       // by position: depends on the first loop, so it goes behind the merged one
} Row;

static Row row_of(const Merge *m, const IrRegion *r) {
  int n = r->ops.len;
  return (Row){.r = r,
               .taken = ARENA_ARRAY(m->arena, IrVals, n),
               .read = ARENA_ARRAY(m->arena, IrVals, n),
               .after = ARENA_ARRAY(m->arena, bool, n)};
}

static const IrVals *taken_by(const Merge *m, const Row *row, int at) {
  if (!row->taken[at].len) ir_free_values_op(m->arena, m->f, row->r->ops.data[at], &row->taken[at]);
  return &row->taken[at];
}

static const IrVals *read_in(const Merge *m, const Row *row, int at) {
  if (!row->read[at].len) ir_free_values(m->arena, m->f, row->r->ops.data[at]->regions[0], &row->read[at]);
  return &row->read[at];
}

// ---- finding a pair ----------------------------------------------------------------------------------------------------

static bool depends(const Merge *m, const Row *row, int at) {
  const IrVals *taken = taken_by(m, row, at);
  for (int k = 0; k < taken->len; k++)
    if (m->tainted[taken->data[k]]) return true;
  return false;
}

static void taint(const Merge *m, const IrOp *op, bool tainted) {
  for (int k = 0; k < op->n_results; k++) m->tainted[ir_result(op, k)] = tainted;
}

static bool reads_common_array(const Merge *m, const Row *row) {
  const IrVals *left = read_in(m, row, row->first), *right = read_in(m, row, row->second);
  for (int i = 0; i < left->len; i++) {
    if (!ir_is_array(ir_type(m->f, left->data[i]))) continue;
    for (int j = 0; j < right->len; j++)
      if (left->data[i] == right->data[j]) return true;
  }
  return false;
}

// What the loop starts from, ends before and steps by (k = 0, 1, 2); 0 for the constant that a build has there.
static IrVal bound(const IrOp *op, int k) {
  if (op->kind == IR_FOR) return op->args[k];
  return k == 1 ? op->args[0] : 0;
}

static bool same_bound(const Merge *m, const IrOp *a, const IrOp *b, int k) {
  int64_t x = k / 2, y = k / 2; // a build: from 0 by 1
  IrVal v = bound(a, k), w = bound(b, k);
  if (v && v == w) return true;
  return (!v || ir_is_const_int(m->f, v, &x)) && (!w || ir_is_const_int(m->f, w, &y)) && x == y;
}

static bool is_loop(const IrOp *op) {
  return op->kind == IR_FOR || (op->kind == IR_BUILD && op->n_args == 1);
}

static bool is_expensive(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++)
    if (ir_op_info[r->ops.data[i]->kind].cost > EXPENSIVE) return true;
  return false;
}

// Does the first build compute all that the second one does, in the same order, something expensive among it? Gives by value
// of the second one what it is in the first; NULL: it does not.
static const IrVal *all_in(const Merge *m, const IrOp *first, const IrOp *second) {
  const IrRegion *big = first->regions[0], *small = second->regions[0];
  if (small->ops.len > big->ops.len || !is_expensive(small)) return NULL;
  IrVal *same =
      m->same; // what was compared before left there what other bodies compute, which this one cannot see
  same[small->args[0]] = big->args[0];
  for (int i = 0, j = 0; j < small->ops.len; i++) {
    if (i == big->ops.len) return NULL;
    const IrOp *x = big->ops.data[i], *y = small->ops.data[j];
    bool alike = x->kind == y->kind && x->attr.i == y->attr.i && x->n_args == y->n_args &&
                 x->n_results == 1 && y->n_results == 1 && !x->n_regions;
    for (int k = 0; alike && k < x->n_args; k++) alike = x->args[k] == same[y->args[k]];
    if (alike) same[small->ops.data[j++]->result] = x->result;
  }
  return same;
}

// Readers are FORs; of builds, those where one, for a derivative, keeps more of what the other computes.
static bool are_readers(const Merge *m, const IrOp *a, const IrOp *b) {
  if (a->kind != b->kind) return false;
  return a->kind == IR_FOR || all_in(m, a, b) || all_in(m, b, a);
}

// Would the merged loop change an array that the other part still reads? Then it would have to be copied.
static bool takes_from(const Merge *m, const Row *row, int from, int reader) {
  const IrOp *a = row->r->ops.data[from];
  const IrVals *read = read_in(m, row, reader);
  for (int k = 0; a->kind == IR_FOR && k < a->n_results; k++) {
    if (!ir_is_array(ir_type(m->f, a->args[3 + k]))) continue;
    for (int i = 0; i < read->len; i++)
      if (read->data[i] == a->args[3 + k]) return true;
  }
  return false;
}

static bool candidates(const Merge *m, const Row *row) {
  const IrOp *a = row->r->ops.data[row->first], *b = row->r->ops.data[row->second];
  if (m->kind == MERGE_READERS && a->kind != b->kind) return false;
  if (a->lanes != b->lanes || a->masked != b->masked) return false;
  for (int k = 0; k < 3 && !chains(m); k++)
    if (!same_bound(m, a, b, k)) return false;
  if (a->attr.i != b->attr.i) return false;
  bool both = ir_op_has_effect(m->f->module, a) && ir_op_has_effect(m->f->module, b);
  if (both) return false;
  if (m->kind == MERGE_SKEWS) return skew_fits(m, a, b);
  if (chains(m)) return chain_fits(m, a, b);
  if (!reads_common_array(m, row)) return false;
  if (m->kind == MERGE_READERS) return are_readers(m, a, b);
  return !takes_from(m, row, row->first, row->second) && !takes_from(m, row, row->second, row->first);
}

// Which operations between the two go behind: those that depend on the first. None with an effect may overtake another:
// the first loop moves behind those that stay, the second one in front of those that go behind.
static bool independent(const Merge *m, const Row *row) {
  IrOp *const *ops = row->r->ops.data;
  bool moved_effect = ir_op_has_effect(m->f->module, ops[row->first]), behind = false;
  taint(m, ops[row->first], true);
  for (int i = row->first + 1; i < row->second; i++) {
    bool effect = ir_op_has_effect(m->f->module, ops[i]);
    row->after[i] = depends(m, row, i);
    if (row->after[i]) {
      taint(m, ops[i], true);
      moved_effect |= effect;
      behind |= effect;
    } else if (effect && moved_effect) {
      return false;
    }
  }
  if (behind && ir_op_has_effect(m->f->module, ops[row->second])) return false;
  if (chains(m)) taint(m, ops[row->first], false);
  return !depends(m, row, row->second);
}

static bool is_pair(const Merge *m, const Row *row) {
  if (!candidates(m, row)) return false;
  bool ok = independent(m, row);
  for (int i = row->first; i < row->second; i++) taint(m, row->r->ops.data[i], false);
  return ok;
}

// The first pair from this operation on; without one, both are the region's end.
static void find_pair(const Merge *m, Row *row, int from) {
  const IrRegion *r = row->r;
  VEC(int) loops = {0};
  for (int i = from; i < r->ops.len; i++)
    if (is_loop(r->ops.data[i])) vec_push(m->arena, &loops, i);
  for (int i = 0; i < loops.len; i++)
    for (int k = i + 1; k < loops.len && k <= i + NEIGHBOURS; k++) {
      row->first = loops.data[i];
      row->second = loops.data[k];
      if (is_pair(m, row)) return;
    }
  row->first = row->second = r->ops.len;
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

static IrRebuild merge_region;

static IrVal blank(IrBuilder *b, IrType t) {
  if (t.elem == IR_BOOL) return ir_const_bool(b, false);
  return t.elem == IR_INT ? ir_const_int(b, 0) : ir_const_float(b, (IrElem)t.elem, 0.0);
}

void merge_inits(Merge *m, IrBuilder *b, const IrOp *loop, IrVal *out) {
  for (int k = 0; k < loop->n_results; k++) {
    IrVal n = ir_mapped(&m->map, loop->args[0]);
    out[k] = loop->kind == IR_FOR ? ir_mapped(&m->map, loop->args[3 + k])
                                  : ir_unset(b, blank(b, ir_type(m->f, ir_result(loop, k))), &n, 1);
  }
}

// One of the two bodies; `carried`: its values in the merged loop.
static void body_of(Merge *m, IrBuilder *in, const IrOp *loop, const IrVal *carried, IrVal *yields) {
  const IrRegion *body = loop->regions[0];
  IrVal index = in->region->args[0];
  ir_map_set(&m->map, body->args[0], index);
  for (int k = 0; loop->kind == IR_FOR && k < loop->n_results; k++)
    ir_map_set(&m->map, body->args[1 + k], carried[k]);
  merge_region(m, in, body, yields);
  for (int k = 0; loop->kind == IR_BUILD && carried && k < loop->n_results; k++)
    yields[k] = ir_set(in, carried[k], &index, 1, yields[k]);
}

static void merge_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  const IrOp *loops[2] = {first, second}, *counted = first->kind == IR_FOR ? first : second;
  int n = first->n_results + second->n_results, at = 0;
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, n);
  b->loc = second->loc;
  merge_inits(m, b, first, vals);
  merge_inits(m, b, second, vals + first->n_results);
  IrBuilder in;
  IrOp *now = ir_for(b, ir_mapped(&m->map, counted->args[0]), ir_mapped(&m->map, counted->args[1]),
                     ir_mapped(&m->map, counted->args[2]), vals, n, &in);
  now->attr = counted->attr;
  now->lanes = counted->lanes;
  now->masked = counted->masked;
  body_of(m, &in, first, in.region->args + 1, vals);
  body_of(m, &in, second, in.region->args + 1 + first->n_results, vals + first->n_results);
  ir_yield(&in, vals, n);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < loops[i]->n_results; k++)
      ir_map_set(&m->map, ir_result(loops[i], k), ir_result(now, at++));
  m->changed = true;
}

static void merge_builds(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  const IrOp *loops[2] = {first, second};
  int at = 0;
  IrVal *yields = ARENA_ARRAY(m->arena, IrVal, first->n_results + second->n_results);
  IrVal n = ir_mapped(&m->map, first->args[0]);
  IrBuilder in;
  b->loc = second->loc;
  IrOp *now = ir_build(b, &n, 1, &in);
  body_of(m, &in, first, NULL, yields);
  body_of(m, &in, second, NULL, yields + first->n_results);
  ir_yield(&in, yields, first->n_results + second->n_results);
  ir_close_build(b, now);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < loops[i]->n_results; k++)
      ir_map_set(&m->map, ir_result(loops[i], k), ir_result(now, at++));
  m->changed = true;
}

// One build computes what both do: it yields what the other one wants as well.
static void share_build(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  const IrVal *same = all_in(m, first, second);
  const IrOp *big = same ? first : second, *small = same ? second : first;
  if (!same) same = all_in(m, second, first);
  const IrVal *had = big->regions[0]->yields, *wanted = small->regions[0]->yields;
  int n = big->n_results, *at = ARENA_ARRAY(m->arena, int, small->n_results);
  IrVal size = ir_mapped(&m->map, big->args[0]);
  IrVal *yields = ARENA_ARRAY(m->arena, IrVal, n + small->n_results);
  IrBuilder in;
  b->loc = big->loc;
  IrOp *now = ir_build(b, &size, 1, &in);
  body_of(m, &in, big, NULL, yields);
  for (int k = 0; k < small->n_results; k++) {
    at[k] = 0;
    while (at[k] < big->n_results && had[at[k]] != same[wanted[k]]) at[k]++;
    if (at[k] < big->n_results) continue;
    at[k] = n;
    yields[n++] = ir_mapped(&m->map, same[wanted[k]]);
  }
  ir_yield(&in, yields, n);
  ir_close_build(b, now);
  for (int k = 0; k < big->n_results; k++) ir_map_set(&m->map, ir_result(big, k), ir_result(now, k));
  for (int k = 0; k < small->n_results; k++) ir_map_set(&m->map, ir_result(small, k), ir_result(now, at[k]));
  m->changed = true;
}

static void merge_pair(Merge *m, IrBuilder *b, const Row *row) {
  const IrRegion *r = row->r;
  const IrOp *first = r->ops.data[row->first], *second = r->ops.data[row->second];
  bool builds = first->kind == IR_BUILD && second->kind == IR_BUILD;
  if (m->kind == MERGE_SKEWS)
    skew_loops(m, b, first, second);
  else if (chains(m))
    chain_loops(m, b, first, second);
  else if (!builds)
    merge_loops(m, b, first, second);
  else
    (m->kind == MERGE_READERS ? share_build : merge_builds)(m, b, first, second);
  for (int k = row->first + 1; k < row->second; k++)
    if (row->after[k]) ir_rebuild_op(b, &m->map, r->ops.data[k], merge_region, m);
}

// Pair by pair: a row of loops is half as long after each round.
static void merge_region(void *user, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  Merge *m = user;
  Row row = row_of(m, r);
  for (int at = 0; at < r->ops.len; at = row.second + 1) {
    find_pair(m, &row, at);
    for (int i = at; i < row.second; i++)
      if (i < row.first || (i > row.first && !row.after[i]))
        ir_rebuild_op(b, &m->map, r->ops.data[i], merge_region, m);
    if (row.second < r->ops.len) merge_pair(m, b, &row);
  }
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(&m->map, r->yields[k]);
}

static Merge merge_of(Arena *scratch, const IrFunc *f, MergeKind kind) {
  int n = f->vals.len;
  Merge m = {.f = f, .arena = scratch, .kind = kind};
  m.tainted = ARENA_ARRAY(scratch, bool, n);
  m.same = ARENA_ARRAY(scratch, IrVal, n);
  for (int v = 0; v < n; v++) m.same[v] = (IrVal)v;
  if (chains(&m)) m.sums = ir_find_sums(scratch, f), m.uses = ir_use_counts(scratch, f);
  return m;
}

static IrFunc *merge(IrFunc *f, MergeKind kind) {
  bool changed = f->body != NULL;
  for (int round = 0; changed && round < 16; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Merge m = merge_of(scratch, f, kind);
    f = ir_rebuild_func(f, scratch, &m.map, merge_region, &m, &m.changed);
    changed = m.changed;
    arena_free(scratch);
  }
  return f;
}

IrFunc *opt_merge(IrFunc *f) { return merge(f, MERGE_READERS); }
IrFunc *opt_join(IrFunc *f) { return merge(f, MERGE_BUILDS); }
IrFunc *opt_chain(IrFunc *f) { return merge(f, MERGE_CHAINS); }
IrFunc *opt_wave(IrFunc *f) { return merge(f, MERGE_WAVES); }
IrFunc *opt_skew(IrFunc *f) { return merge(f, MERGE_SKEWS); }
