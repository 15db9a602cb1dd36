// Optimisation: chains of loops become one. In: two loops over the same range without loops inside, the second of which goes on
// with arrays that the first made: it reads them, or changes them further. Out: one loop, if iteration i of either touches
// of these arrays only what has index i on some axis: then the second needs of the first what iteration i just left, mostly
// a value that is still in a register.
#include "opt/internal.h"
#include "opt/merge.h"

#include <string.h>

enum { MOST_OPS = 400 };

// ---- do they fit? ------------------------------------------------------------------------------------------------------

static bool is_plain(const Merge *m, const IrOp *loop) {
  if (loop->lanes || loop->regions[0]->ops.len > MOST_OPS) return false;
  for (int i = 0; i < loop->regions[0]->ops.len; i++) {
    IrOpKind kind = (IrOpKind)loop->regions[0]->ops.data[i]->kind;
    if (kind == IR_FOR || kind == IR_WHILE || kind == IR_BUILD) return false;
  }
  if (loop->kind == IR_BUILD) return true;
  for (int k = 0; k < loop->n_results; k++)
    if (ir_type(m->f, ir_result(loop, k)).grow) return false;
  return wave_steps_by_one(m, loop) && wave_is_parallel(m, loop);
}

static IrVal init_of(const IrOp *loop, int k) { return loop->kind == IR_FOR ? loop->args[3 + k] : 0; }

static int started_with(const IrOp *loop, IrVal v) { // which carried value; -1: none
  for (int k = 0; loop->kind == IR_FOR && k < loop->n_results; k++)
    if (loop->args[3 + k] == v) return k;
  return -1;
}

static bool reads(const IrVals *free, IrVal v) {
  for (int k = 0; k < free->len; k++)
    if (free->data[k] == v) return true;
  return false;
}

// The second goes on with the first's result k, or does not know it.
static bool hands_on(const Merge *m, const IrOp *first, int k, const IrOp *second, const IrVals *free,
                     bool *any) {
  IrVal r = ir_result(first, k);
  int start = started_with(second, r);
  bool read = reads(free, r);
  if (start < 0 && !read) return true;
  if (!ir_type(m->f, r).rank || (start >= 0 && m->uses[r] != 1)) return false;
  *any = true;
  if (start < 0 && wave_shift(m, first, k, second)) return true;
  int axes =
      start >= 0 ? opt_axes_carried(m->arena, m->f, second, start) : opt_axes_read(m->arena, m->f, second, r);
  return (axes & opt_axes_carried(m->arena, m->f, first, k)) != 0;
}

// An array that both start from, or that one changes and the other reads: only the first may read what the second changes.
static bool shares(const Merge *m, const IrOp *first, const IrOp *second, const IrVals *free1,
                   const IrVals *free2, bool *any) {
  for (int k = 0; first->kind == IR_FOR && k < first->n_results; k++) {
    IrVal init = init_of(first, k);
    if (ir_type(m->f, init).rank && (reads(free2, init) || started_with(second, init) >= 0)) return false;
  }
  for (int k = 0; second->kind == IR_FOR && k < second->n_results; k++) {
    IrVal init = init_of(second, k);
    if (!ir_type(m->f, init).rank || !reads(free1, init)) continue;
    if (!(opt_axes_read(m->arena, m->f, first, init) & opt_axes_carried(m->arena, m->f, second, k)))
      return false;
    *any = true;
  }
  return true;
}

bool chain_fits(const Merge *m, const IrOp *first, const IrOp *second) {
  if (!wave_same_range(m, first, second) || !is_plain(m, first) || !is_plain(m, second)) return false;
  IrVals free1 = {0}, free2 = {0};
  ir_free_values(m->arena, m->f, first->regions[0], &free1);
  ir_free_values(m->arena, m->f, second->regions[0], &free2);
  bool any = false;
  if (!shares(m, first, second, &free1, &free2, &any)) return false;
  for (int k = 0; k < first->n_results; k++)
    if (!hands_on(m, first, k, second, &free2, &any)) return false;
  return any && wave_order(m, first, second) != WAVE_NONE;
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

// Reads of what the first loop builds are what it just computed; those of a neighbour's are what it computed before.
typedef struct Handed {
  const Merge *m;
  const IrOp *first;
  const IrVal *values; // by its results: at this index; NULL: they are read from its arrays
  const IrVal *before; // at the index before this one
} Handed;

static bool read_handed(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)b;
  const Handed *h = user;
  for (int k = 0; op->kind == IR_GET && k < h->first->n_results; k++) {
    if (op->args[0] != ir_result(h->first, k)) continue;
    bool here = !h->before[k] || !affine_of(h->m->f, op->args[1]).offset;
    if (here && !h->values) return false;
    ir_map_set(map, op->result, here ? h->values[k] : h->before[k]);
    return true;
  }
  return false;
}

// One of the two bodies; `now`: the carried values it goes on with, NULL for a build.
static void body_of(Merge *m, IrBuilder *in, const IrOp *loop, const IrVal *now, Handed *h, IrVal *yields) {
  const IrRegion *body = loop->regions[0];
  ir_map_set(&m->map, body->args[0], in->region->args[0]);
  for (int k = 0; loop->kind == IR_FOR && k < loop->n_results; k++)
    ir_map_set(&m->map, body->args[1 + k], now[k]);
  ir_rewrite_ops(in, &m->map, body, yields, h ? read_handed : NULL, h);
}

static void set_built(IrBuilder *in, const IrOp *loop, const IrVal *slots, IrVal *yields) {
  for (int k = 0; loop->kind == IR_BUILD && k < loop->n_results; k++)
    yields[k] = ir_set(in, slots[k], &in->region->args[0], 1, yields[k]);
}

static void chain_builds(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  int n1 = first->n_results, n = n1 + second->n_results;
  IrVal *yields = ARENA_ARRAY(m->arena, IrVal, n), size = ir_mapped(&m->map, first->args[0]);
  IrBuilder in;
  IrOp *now = ir_build(b, &size, 1, &in);
  body_of(m, &in, first, NULL, NULL, yields);
  const IrVal *before = ARENA_ARRAY(m->arena, IrVal, n1);
  body_of(m, &in, second, NULL, &(Handed){m, first, yields, before}, yields + n1);
  ir_yield(&in, yields, n);
  ir_close_build(b, now);
  for (int k = 0; k < n1; k++) ir_map_set(&m->map, ir_result(first, k), ir_result(now, k));
  for (int k = n1; k < n; k++) ir_map_set(&m->map, ir_result(second, k - n1), ir_result(now, k));
}

// What the second loop carries in the place of what the first one ends with has no place of its own: slot[k] is the
// place of its k-th. Behind them come the scalars that are handed to the next iteration.
static void chain_fors(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second, WaveOrder order) {
  int n1 = first->n_results, n2 = second->n_results, n = n1, most = n1 + n2 + n1;
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, most), *inits = ARENA_ARRAY(m->arena, IrVal, n1 + n2);
  int *slot = ARENA_ARRAY(m->arena, int, n2), *next = ARENA_ARRAY(m->arena, int, n1);
  merge_inits(m, b, first, vals);
  for (int k = 0; k < n2; k++) {
    slot[k] = n;
    for (int i = 0; i < n1; i++)
      if (init_of(second, k) == ir_result(first, i)) slot[k] = i;
    n += slot[k] == n;
    if (slot[k] < n1) ir_map_set(&m->map, ir_result(first, slot[k]), vals[slot[k]]);
  }
  merge_inits(m, b, second, inits);
  for (int k = 0; k < n2; k++) vals[slot[k]] = inits[k];
  for (int k = 0; k < n1; k++) {
    if (!wave_shift(m, first, k, second)) continue;
    next[k] = n;
    vals[n++] = wave_start(m, b, first, k);
  }
  IrBuilder in;
  IrOp *now = wave_open(m, b, first, second, order, vals, n, &in);
  const IrVal *slots = in.region->args + 1;
  for (int k = 0; k < n2; k++) inits[k] = init_of(second, k) ? ir_mapped(&m->map, init_of(second, k)) : 0;
  for (int k = 0; k < n2; k++) // where the first reads what the second changes, its row is as it was
    if (slot[k] >= n1 && second->kind == IR_FOR && ir_type(m->f, init_of(second, k)).rank)
      ir_map_set(&m->map, init_of(second, k), slots[slot[k]]);
  body_of(m, &in, first, slots, NULL, vals);
  for (int k = 0; second->kind == IR_FOR && k < n2; k++) ir_map_set(&m->map, init_of(second, k), inits[k]);
  IrVal *values = ARENA_ARRAY(m->arena, IrVal, n1), *second_vals = ARENA_ARRAY(m->arena, IrVal, n2),
        *before = ARENA_ARRAY(m->arena, IrVal, n1);
  memcpy(values, vals, sizeof *values * (size_t)n1);
  for (int k = 0; k < n1; k++) {
    if (!next[k]) continue;
    before[k] = slots[next[k]];
    vals[next[k]] = ir_mapped(&m->map, wave_made(m, first, k));
  }
  set_built(&in, first, slots, vals);
  for (int k = 0; k < n2; k++) inits[k] = slot[k] < n1 ? vals[slot[k]] : slots[slot[k]];
  for (int k = 0; first->kind == IR_FOR && k < n1; k++) ir_map_set(&m->map, ir_result(first, k), vals[k]);
  Handed handed = {m, first, first->kind == IR_BUILD ? values : NULL, before};
  body_of(m, &in, second, inits, &handed, second_vals);
  set_built(&in, second, inits, second_vals);
  for (int k = 0; k < n2; k++) vals[slot[k]] = second_vals[k];
  ir_yield(&in, vals, n);
  for (int k = 0; k < n1; k++) ir_map_set(&m->map, ir_result(first, k), ir_result(now, k));
  for (int k = 0; k < n2; k++) ir_map_set(&m->map, ir_result(second, k), ir_result(now, slot[k]));
}

void chain_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  b->loc = second->loc;
  WaveOrder order = wave_order(m, first, second);
  if (first->kind == IR_BUILD && second->kind == IR_BUILD && order == WAVE_ANY)
    chain_builds(m, b, first, second);
  else
    chain_fors(m, b, first, second, order);
  m->changed = true;
}
