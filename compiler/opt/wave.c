// Optimisation: waves. In: loops over the same range, the second of which reads, at index i, what the first makes at i - 1 or at
// i + 1, as the stages of a stencil do. Out: one loop that comes from there, upwards or downwards; what an iteration makes for
// its neighbour it carries on, as a scalar: a wave that runs over the array.
//
// Such a loop pays where LLVM's vectoriser takes it (a value of the iteration before is a shuffle): it is light. What stands
// here says in which order the iterations of two loops may run as one: merge.c finds the pairs, chain.c makes them one.
#include "opt/internal.h"
#include "opt/merge.h"

#include <stdlib.h>

// ---- light loops -------------------------------------------------------------------------------------------------------

static bool is_light(const IrFunc *f, const IrRegion *body, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (ir_op_info[op->kind].flags & (IR_MATH | IR_E)) return false;
    if (op->n_regions && (op->kind != IR_IF || r != body || !opt_turns(f, op->args[0], body))) return false;
    for (int k = 0; k < op->n_regions; k++)
      if (!is_light(f, body, op->regions[k])) return false;
  }
  return true;
}

// ---- what is handed from iteration to iteration ------------------------------------------------------------------------

// Marks what v is computed from in the loop's body, up to what it carries.
static void mark_sources(const IrFunc *f, const IrRegion *body, IrVal v, bool *marked) {
  if (!v || marked[v] || !ir_inside(ir_val(f, v)->region, body)) return;
  marked[v] = true;
  const IrOp *op = ir_val(f, v)->def;
  for (int k = 0; op && k < op->n_args; k++) mark_sources(f, body, op->args[k], marked);
  for (int k = 0; op && k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    for (int i = 0; i < r->n_yields; i++) mark_sources(f, body, r->yields[i], marked);
  }
}

static bool is_handed(const Merge *m, const IrOp *loop, int k) {
  return !ir_type(m->f, ir_result(loop, k)).rank && !m->sums.family[loop->regions[0]->args[1 + k]];
}

// No scalar that the loop hands on is, over iterations, computed from itself: else it would be serial.
bool wave_is_parallel(const Merge *m, const IrOp *loop) {
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  bool *settled = ARENA_ARRAY(m->arena, bool, n + 1), again = true;
  for (int k = 0; k < n; k++) settled[k] = !is_handed(m, loop, k);
  while (again) {
    again = false;
    for (int k = 0; k < n; k++) {
      if (settled[k]) continue;
      bool *marked = ARENA_ARRAY(m->arena, bool, m->f->vals.len), ready = true;
      mark_sources(m->f, body, body->yields[k], marked);
      for (int j = 0; j < n; j++) ready &= settled[j] || !marked[body->args[1 + j]];
      settled[k] = ready;
      again |= ready;
    }
  }
  for (int k = 0; k < n; k++)
    if (!settled[k]) return false;
  return true;
}

// ---- the range ---------------------------------------------------------------------------------------------------------

static int64_t step_of(const Merge *m, const IrOp *loop) {
  int64_t step = 1;
  if (loop->kind == IR_FOR && !ir_is_const_int(m->f, loop->args[2], &step)) return 0;
  return step;
}

bool wave_steps_by_one(const Merge *m, const IrOp *loop) { return llabs(step_of(m, loop)) == 1; }

static Affine next(Affine a) { return (Affine){a.base, wrap_add(a.offset, 1)}; }

bool wave_counts_down(const Merge *m, const IrOp *loop) { return step_of(m, loop) < 0; }

void wave_range(const Merge *m, const IrOp *loop, Affine *lo, Affine *hi) {
  bool row = loop->kind == IR_BUILD, down = wave_counts_down(m, loop);
  Affine from = row ? (Affine){0, 0} : affine_of(m->f, loop->args[0]), to = affine_of(m->f, loop->args[!row]);
  *lo = down ? next(to) : from;
  *hi = down ? next(from) : to;
}

static bool same(Affine a, Affine b) { return a.base == b.base && a.offset == b.offset; }

bool wave_same_range(const Merge *m, const IrOp *first, const IrOp *second) {
  Affine lo[2], hi[2];
  wave_range(m, first, &lo[0], &hi[0]);
  wave_range(m, second, &lo[1], &hi[1]);
  return same(lo[0], lo[1]) && same(hi[0], hi[1]);
}

IrVal wave_bound(IrBuilder *b, const Merge *m, Affine a, int64_t more) {
  IrVal base = ir_mapped(&m->map, a.base);
  int64_t offset = wrap_add(a.offset, more);
  if (!base) return ir_const_int(b, offset);
  return offset ? ir_op2(b, IR_ADD, base, ir_const_int(b, offset)) : base;
}

// The bounds of one of the loops where it runs that way already, else those that its range gives.
IrOp *wave_open(const Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second, WaveOrder order,
                const IrVal *inits, int n, IrBuilder *in) {
  int64_t step = order == WAVE_DOWN ? -1 : 1;
  const IrOp *loops[] = {first, second};
  for (int i = 0; i < 2; i++) {
    const IrOp *loop = loops[i];
    if (loop->kind == IR_FOR && step_of(m, loop) == step)
      return ir_for(b, ir_mapped(&m->map, loop->args[0]), ir_mapped(&m->map, loop->args[1]),
                    ir_mapped(&m->map, loop->args[2]), inits, n, in);
  }
  Affine lo, hi;
  bool down = order == WAVE_DOWN;
  wave_range(m, first, &lo, &hi);
  IrVal from = down ? wave_bound(b, m, hi, -1) : wave_bound(b, m, lo, 0),
        to = down ? wave_bound(b, m, lo, -1) : wave_bound(b, m, hi, 0);
  return ir_for(b, from, to, ir_const_int(b, step), inits, n, in);
}

// ---- what neighbours read -----------------------------------------------------------------------------------------------

// The one operation that changes result k, in an array whose elements all start with one value: it sets element i.
static const IrOp *set_in(const Merge *m, const IrOp *loop, int k) {
  const IrRegion *body = loop->regions[0];
  const IrOp *set = op_of(m->f, body->yields[k], IR_SET);
  if (!set || set->parent != body || set->n_args != 3 || !op_of(m->f, loop->args[3 + k], IR_FILL))
    return NULL;
  bool alone = set->args[0] == body->args[1 + k] && m->uses[set->args[0]] == 1;
  return alone && set->args[1] == body->args[0] ? set : NULL;
}

static bool makes(const Merge *m, const IrOp *loop, int k) {
  if (ir_type(m->f, ir_result(loop, k)).rank != 1) return false;
  return loop->kind == IR_BUILD || set_in(m, loop, k);
}

IrVal wave_made(const Merge *m, const IrOp *first, int k) {
  return first->kind == IR_BUILD ? first->regions[0]->yields[k] : set_in(m, first, k)->args[2];
}

// Of a build there is no element before the first, so that nobody reads it.
IrVal wave_start(const Merge *m, IrBuilder *b, const IrOp *first, int k) {
  if (first->kind == IR_BUILD) return ir_const_zero(b, (IrElem)ir_type(m->f, ir_result(first, k)).elem);
  return ir_mapped(&m->map, op_of(m->f, first->args[3 + k], IR_FILL)->args[0]);
}

typedef struct Reads {
  const Merge *m;
  const IrRegion *body;
  IrVal array;
  int64_t shift;
  int n;
  bool fit; // all at index i or i + shift, by GET
} Reads;

static IrWalk note_read(void *user, IrOp *op) {
  Reads *r = user;
  for (int k = 0; k < op->n_args; k++) {
    if (op->args[k] != r->array) continue;
    Affine at = op->kind == IR_GET ? affine_of(r->m->f, op->args[1]) : (Affine){0, 0};
    bool known = at.base == r->body->args[0] && (!r->shift || !at.offset || at.offset == r->shift);
    if (at.offset) r->shift = at.offset;
    r->fit &= known;
    r->n++;
  }
  for (int i = 0; i < op->n_regions; i++)
    for (int k = 0; k < op->regions[i]->n_yields; k++) r->fit &= op->regions[i]->yields[k] != r->array;
  return IR_WALK_CONTINUE;
}

static Reads reads_of(const Merge *m, const IrOp *loop, IrVal array) {
  Reads r = {m, loop->regions[0], array, 0, 0, true};
  ir_walk(loop->regions[0], note_read, &r);
  return r;
}

int wave_shift(const Merge *m, const IrOp *first, int k, const IrOp *second) {
  if (m->kind != MERGE_WAVES || !makes(m, first, k)) return 0;
  Reads r = reads_of(m, second, ir_result(first, k));
  return r.fit && llabs(r.shift) == 1 ? (int)r.shift : 0;
}

int wave_reads(const Merge *m, const IrOp *loop, IrVal array) {
  Reads r = reads_of(m, loop, array);
  return r.fit && !r.shift ? r.n : -1;
}

// ---- the order ---------------------------------------------------------------------------------------------------------

static WaveOrder order_of(const Merge *m, const IrOp *loop) {
  WaveOrder given = step_of(m, loop) > 0 ? WAVE_UP : WAVE_DOWN;
  for (int k = 0; loop->kind == IR_FOR && k < loop->n_results; k++)
    if (!ir_type(m->f, ir_result(loop, k)).rank || !opt_axes_carried(m->arena, m->f, loop, k)) return given;
  return WAVE_ANY;
}

static WaveOrder both(WaveOrder a, WaveOrder b) {
  if (a == WAVE_ANY || a == b) return b;
  return b == WAVE_ANY ? a : WAVE_NONE;
}

static bool hands_scalars(const Merge *m, const IrOp *loop) {
  for (int k = 0; loop->kind == IR_FOR && k < loop->n_results; k++)
    if (is_handed(m, loop, k)) return true;
  return false;
}

static bool are_light(const Merge *m, const IrOp *first, const IrOp *second) {
  const IrRegion *a = first->regions[0], *b = second->regions[0];
  return opt_region_size(a) + opt_region_size(b) <= OPT_LARGEST_SPLIT && is_light(m->f, a, a) &&
         is_light(m->f, b, b);
}

bool wave_opposite(const Merge *m, const IrOp *first, const IrOp *second) {
  if (first->kind != IR_FOR || second->kind != IR_FOR || first->attr.i || first->lanes || second->lanes)
    return false;
  WaveOrder a = order_of(m, first), b = order_of(m, second);
  bool opposite = (a == WAVE_UP && b == WAVE_DOWN) || (a == WAVE_DOWN && b == WAVE_UP);
  return opposite && wave_steps_by_one(m, first) && wave_steps_by_one(m, second) &&
         wave_same_range(m, first, second) && are_light(m, first, second) && wave_is_parallel(m, first) &&
         wave_is_parallel(m, second);
}

WaveOrder wave_order(const Merge *m, const IrOp *first, const IrOp *second) {
  WaveOrder order = both(order_of(m, first), order_of(m, second));
  bool shifted = false;
  for (int k = 0; k < first->n_results; k++) {
    int shift = wave_shift(m, first, k, second);
    if (!shift) continue;
    shifted = true;
    order = both(order, shift < 0 ? WAVE_UP : WAVE_DOWN);
  }
  if (!shifted && m->kind == MERGE_WAVES) return WAVE_NONE;
  // What is heavy gains nothing from values that are handed on.
  return are_light(m, first, second) || !(shifted || hands_scalars(m, first) || hands_scalars(m, second))
             ? order
             : WAVE_NONE;
}
