// Optimisation: sums apart. In: a loop that adds to elements of an array, some of which follow its index while others stay the
// same, as each pair of particles adds to both of them:
//
//   for %j = %0, %n, %1 with (%b = %a)          acc %b, %j, %v      acc .., %i, %w
//
// Out: what stays is added up beside the array, in a scalar or, where a loop inside goes along a row, in a row, and added
// behind the loop, if it ran. Then its iterations have nothing to do with each other but sums. Terms are added in another
// order.
#include "opt/internal.h"
#include "opt/scalar.h"

#include <string.h>

enum { MOST_ROUNDS = 8 };

// What is added to the same place in every iteration.
typedef struct Place {
  const IrOp *acc; // one of those that do
  unsigned fixed;  // axes, a bit each, on which the index does not change
  int along;       // the other axis; -1: none
  bool sure;       // it lies within the array, whether the loop runs or not
} Place;

typedef struct Apart {
  const IrFunc *f;
  Arena *arena;
  const IrOp *loop;
  int k;         // which of the values that it carries
  bool *version; // by value: the array, as it is at some point of the body
  VEC(const IrOp *) accs;
  Place place;
  IrMap *map;
  IrVal sum; // as it is where operations are emitted
  bool changed;
} Apart;

// ---- finding it --------------------------------------------------------------------------------------------------------

static bool only_added(Apart *s, const IrRegion *r, IrVal *now, int *out);

// A loop or a branch inside may hand the array through; others leave it alone.
static bool handed_through(Apart *s, const IrOp *op, IrVal *now) {
  int in = -1, out = -1;
  for (int k = 0; op->kind == IR_FOR && k < op->n_results; k++)
    if (op->args[3 + k] == *now) in = k;
  for (int i = 0; i < op->n_regions; i++) {
    int place;
    IrVal v = in < 0 ? *now : op->regions[i]->args[1 + in];
    s->version[v] = true;
    if (!only_added(s, op->regions[i], &v, &place) || (i > 0 && place != out)) return false;
    if (place < 0 && v != *now) return false; // what is added there goes nowhere
    out = place;
  }
  if (op->kind != IR_IF && out != in) return false;
  if (out >= 0) *now = ir_result(op, out);
  return s->version[*now] = true;
}

// Nothing else happens in r to the array, which is one value at a time: `now` that of the region's end, its place among the
// yields `out`; -1: none.
static bool only_added(Apart *s, const IrRegion *r, IrVal *now, int *out) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    int uses = 0;
    for (int k = 0; k < op->n_args; k++) {
      if (!s->version[op->args[k]]) continue;
      bool fit = op->kind == IR_FOR ? k >= 3 : op->kind == IR_ACC && k == 0;
      if (!fit || op->args[k] != *now || ++uses > 1) return false;
    }
    if (uses && op->kind == IR_ACC) {
      *now = op->result;
      s->version[*now] = true;
      vec_push(s->arena, &s->accs, op);
    }
    if (op->n_regions && !handed_through(s, op, now)) return false;
  }
  *out = -1;
  for (int k = 0; k < r->n_yields; k++) {
    if (!s->version[r->yields[k]]) continue;
    if (*out >= 0 || r->yields[k] != *now) return false;
    *out = k;
  }
  return true;
}

static unsigned fixed_axes(const Apart *s, const IrOp *acc) {
  unsigned fixed = 0;
  for (int d = 0; d < acc->n_args - 2; d++) {
    IrVal v = acc->args[1 + d];
    bool same = !ir_inside(ir_val(s->f, v)->region, s->loop->regions[0]) || ir_is_const(s->f, v);
    if (same && !opt_is_index(s->f, s->loop, v, acc->parent)) fixed |= 1u << d;
  }
  return fixed;
}

static bool same_place(const Apart *s, const IrOp *acc) {
  if (fixed_axes(s, acc) != s->place.fixed) return false;
  for (int d = 0; d < acc->n_args - 2; d++)
    if (d != s->place.along && !ints_equal(s->f, acc->args[1 + d], s->place.acc->args[1 + d])) return false;
  return true;
}

// Is v, where the loop stands, surely the index of an element along an axis of this size?
static bool is_within(const Apart *s, IrVal v, IrVal size) {
  const IrValue *index = ir_val(s->f, v);
  const IrOp *around = index->def ? NULL : index->region->owner;
  Affine n = affine_of(s->f, size), lo = affine_of(s->f, v), hi = {lo.base, wrap_add(lo.offset, 1)};
  int64_t step;
  if (around && around->kind == IR_BUILD) {
    lo = (Affine){0, 0};
    hi = affine_of(s->f, around->args[index->index]);
  } else if (around && around->kind == IR_FOR && index->index == 0) {
    if (!ir_is_const_int(s->f, around->args[2], &step)) return false;
    lo = affine_of(s->f, around->args[step < 0]);
    hi = affine_of(s->f, around->args[step > 0]);
    if (step < 0) lo.offset = wrap_add(lo.offset, 1), hi.offset = wrap_add(hi.offset, 1);
  }
  return !lo.base && lo.offset >= 0 && hi.base == n.base && hi.offset <= n.offset;
}

static bool is_sure(const Apart *s) {
  const IrOp *acc = s->place.acc;
  for (int d = 0; d < acc->n_args - 2; d++)
    if (d != s->place.along && !is_within(s, acc->args[1 + d], ir_dims(s->f, acc->result)[d])) return false;
  return true;
}

// Whenever the loop runs: then the place lies within the array.
static bool always_adds(const Apart *s, const IrOp *acc) {
  int64_t step;
  for (const IrRegion *r = acc->parent; r != s->loop->regions[0]; r = r->outer)
    if (r->owner->kind == IR_IF) return false;
  return ir_is_const_int(s->f, s->loop->args[2], &step) && step != 0;
}

// Is it the index of a loop inside that goes along the whole axis?
static bool goes_along(const Apart *s, const IrOp *acc, int axis) {
  const IrValue *index = ir_val(s->f, acc->args[1 + axis]);
  const IrOp *loop = index->def ? NULL : index->region->owner;
  int64_t from, step;
  return loop && loop == opt_loop_around(acc->parent) && opt_loop_around(loop->parent) == s->loop &&
         index->index == 0 && ir_is_const_int(s->f, loop->args[0], &from) && from == 0 &&
         ir_is_const_int(s->f, loop->args[2], &step) && step == 1 &&
         ints_equal(s->f, loop->args[1], ir_dims(s->f, acc->result)[axis]);
}

static bool is_place(Apart *s, const IrOp *acc) {
  int rank = acc->n_args - 2, free = 0;
  s->place = (Place){acc, fixed_axes(s, acc), -1, false};
  for (int d = 0; d < rank; d++)
    if (!(s->place.fixed >> d & 1)) s->place.along = d, free++;
  s->place.sure = is_sure(s);
  if (!s->place.sure && !always_adds(s, acc)) return false;
  if (free == 0) return opt_loop_around(acc->parent) == s->loop;
  if (free > 1 || rank == 1) return false;
  bool others = false;
  for (int i = 0; i < s->accs.len; i++) {
    others |= (s->place.fixed & ~fixed_axes(s, s->accs.data[i])) != 0;
    if (same_place(s, s->accs.data[i]) && !goes_along(s, s->accs.data[i], s->place.along)) return false;
  }
  return others;
}

static bool find_place(Apart *s, const IrOp *loop) {
  if (loop->kind != IR_FOR || loop->lanes || loop->attr.i) return false;
  const IrRegion *body = loop->regions[0];
  s->loop = loop;
  for (s->k = 0; s->k < loop->n_results; s->k++) {
    IrType t = ir_type(s->f, ir_result(loop, s->k));
    if (!t.rank || t.grow || !ir_is_float(t)) continue;
    memset(s->version, 0, sizeof *s->version * (size_t)s->f->vals.len);
    IrVal now = body->args[1 + s->k];
    int out;
    s->version[now] = true;
    s->accs.len = 0;
    if (!only_added(s, body, &now, &out) || out != s->k) continue;
    for (int i = 0; i < s->accs.len; i++)
      if (is_place(s, s->accs.data[i])) return true;
  }
  return false;
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

static bool is_apart(const Apart *s, const IrOp *op) {
  return op->kind == IR_ACC && s->version[op->result] && same_place(s, op);
}

static IrWalk find_apart(void *user, IrOp *op) {
  return is_apart(user, op) ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static bool holds_apart(Apart *s, const IrOp *op) {
  for (int k = 0; k < op->n_regions; k++)
    if (!ir_walk(op->regions[k], find_apart, s)) return true;
  return false;
}

static void add_apart(Apart *s, IrBuilder *b, const IrOp *acc) {
  IrVal v = ir_mapped(s->map, acc->args[acc->n_args - 1]);
  if (s->place.along < 0) {
    s->sum = ir_op2(b, IR_ADD, s->sum, v);
  } else {
    IrVal index = ir_mapped(s->map, acc->args[1 + s->place.along]);
    s->sum = ir_acc(b, s->sum, &index, 1, v);
  }
  ir_map_set(s->map, acc->result, ir_mapped(s->map, acc->args[0]));
}

static void emit_region(Apart *s, IrBuilder *b, const IrRegion *r, IrVal *yields);

// With the sum as one more carried value.
static void emit_loop(Apart *s, IrBuilder *b, const IrOp *op) {
  int n = op->n_results;
  const IrRegion *body = op->regions[0];
  IrVal *vals = ARENA_ARRAY(s->arena, IrVal, n + 1);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(s->map, op->args[3 + k]);
  vals[n] = s->sum;
  IrBuilder in;
  IrOp *now = ir_for(b, ir_mapped(s->map, op->args[0]), ir_mapped(s->map, op->args[1]),
                     ir_mapped(s->map, op->args[2]), vals, n + 1, &in);
  now->attr = op->attr;
  for (int k = 0; k <= n; k++) ir_map_set(s->map, body->args[k], in.region->args[k]);
  s->sum = in.region->args[1 + n];
  emit_region(s, &in, body, vals);
  vals[n] = s->sum;
  ir_yield(&in, vals, n + 1);
  for (int k = 0; k < n; k++) ir_map_set(s->map, ir_result(op, k), ir_result(now, k));
  s->sum = ir_result(now, n);
}

static void emit_branch(Apart *s, IrBuilder *b, const IrOp *op) {
  int n = op->n_results;
  IrBuilder in[2];
  IrVal before = s->sum;
  IrOp *now = ir_if(b, ir_mapped(s->map, op->args[0]), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    IrVal *vals = ARENA_ARRAY(s->arena, IrVal, n + 1);
    s->sum = before;
    emit_region(s, &in[i], op->regions[i], vals);
    vals[n] = s->sum;
    ir_yield(&in[i], vals, n + 1);
  }
  const IrVal **sizes = ARENA_ARRAY(s->arena, const IrVal *, n + 1);
  for (int k = 0; k < n; k++) sizes[k] = ir_sizes_like(s->arena, s->map, op, k);
  sizes[n] = ir_dims(b->func, before);
  ir_close_if(b, now, sizes);
  for (int k = 0; k < n; k++) ir_map_set(s->map, ir_result(op, k), ir_result(now, k));
  s->sum = ir_result(now, n);
}

static void emit_region(Apart *s, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    b->loc = op->loc;
    if (is_apart(s, op))
      add_apart(s, b, op);
    else if (op->kind == IR_FOR && holds_apart(s, op))
      emit_loop(s, b, op);
    else if (op->kind == IR_IF && holds_apart(s, op))
      emit_branch(s, b, op);
    else
      ir_clone_op(b, s->map, op);
  }
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(s->map, r->yields[k]);
}

static IrVal added(const Apart *s, IrBuilder *b, IrVal array) {
  const IrOp *acc = s->place.acc;
  int rank = acc->n_args - 2;
  IrVal index[IR_MAX_RANK];
  for (int d = 0; d < rank; d++) {
    int64_t at;
    bool number = ir_is_const_int(s->f, acc->args[1 + d], &at); // it may stand in the loop
    index[d] = number ? ir_const_int(b, at) : d == s->place.along ? 0 : ir_mapped(s->map, acc->args[1 + d]);
  }
  if (s->place.along < 0) return ir_acc(b, array, index, rank, s->sum);
  IrBuilder in;
  IrOp *loop = ir_for(b, ir_const_int(b, 0), ir_dims(b->func, array)[s->place.along], ir_const_int(b, 1),
                      &array, 1, &in);
  index[s->place.along] = in.region->args[0];
  IrVal sum = ir_get(&in, s->sum, in.region->args, 1),
        more = ir_acc(&in, in.region->args[1], index, rank, sum);
  ir_yield(&in, &more, 1);
  return ir_result(loop, 0);
}

// Behind the loop: what was added up goes where it belongs.
static IrVal add_sum(const Apart *s, IrBuilder *b, IrVal array) {
  if (s->place.sure) return added(s, b, array);
  int64_t step;
  IrVal lo = ir_mapped(s->map, s->loop->args[0]), hi = ir_mapped(s->map, s->loop->args[1]);
  bool up = ir_is_const_int(s->f, s->loop->args[2], &step) && step > 0;
  IrBuilder then, els;
  IrOp *ran = ir_if(b, up ? ir_op2(b, IR_LT, lo, hi) : ir_op2(b, IR_LT, hi, lo), &then, &els);
  IrVal more = added(s, &then, array);
  const IrVal *sizes = ir_dims(b->func, array);
  ir_yield(&then, &more, 1);
  ir_yield(&els, &array, 1);
  ir_close_if(b, ran, &sizes);
  return ir_result(ran, 0);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Apart *s = user;
  if (!find_place(s, op)) return false;
  s->map = map;
  b->loc = op->loc;
  IrVal zero = ir_const_zero(b, (IrElem)ir_type(s->f, s->place.acc->result).elem);
  const IrVal *dims = ir_dims(b->func, ir_mapped(map, op->args[3 + s->k]));
  s->sum = s->place.along < 0 ? zero : ir_fill(b, zero, &dims[s->place.along], 1);
  emit_loop(s, b, op);
  IrVal r = ir_result(op, s->k);
  ir_map_set(map, r, add_sum(s, b, ir_mapped(map, r)));
  return s->changed = true;
}

IrFunc *opt_apart(IrFunc *f) {
  bool changed = f->body && f->module->lanes > 1; // where sums may be taken in another order
  for (int round = 0; changed && round < MOST_ROUNDS; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Apart s = {.f = f, .arena = scratch, .version = ARENA_ARRAY(scratch, bool, f->vals.len)};
    f = ir_rewrite_func(f, rewrite, &s);
    arena_free(scratch);
    changed = s.changed;
  }
  return f;
}
