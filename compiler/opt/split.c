// Optimisation: loops split where a condition on their index turns. In: innermost loops that branch on how the index
// compares with a value from outside, such as `if i == 0` at the border of an array. Out: a loop for each stretch over which
// the condition does not change, with the branch decided (simplify takes it away), so that what is left has no branches and
// vectorises:
//
//   for %i = %lo, %hi           for %i = %lo, %p     %c is true
//     %c = lt %i, %x       ->   for %i = %p, %hi     %c is false        with %p = max(%lo, min(%x, %hi))
//     if %c ...
//
// A build of a row is such a loop too, one that sets its elements. A loop that counts down comes to the stretches from above.
//
// The iterations run in the order they had: all bits stay.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MAX_ROUNDS = 4, MAX_SPLITS = 24, MAX_STRETCHES = 3 };

typedef struct Turn { // a condition, and where it turns
  IrVal cond, at;     // what the index is compared with
  bool equal;         // it holds at `at` alone (or there alone not)
  bool behind;        // it turns behind `at`, else in front of it
  bool first;         // its value up to there; of an equal one: elsewhere
} Turn;

typedef struct Split {
  const IrFunc *f;
  Arena *arena;
  int *left; // splits that the function may still have
  bool changed;
} Split;

// ---- where a condition turns ----------------------------------------------------------------------------------------

static bool is_invariant(const IrFunc *f, IrVal v, const IrRegion *body) {
  return !ir_inside(ir_val(f, v)->region, body) || ir_is_const(f, v);
}

static bool turns(const IrFunc *f, IrVal cond, const IrRegion *body, Turn *t) {
  const IrOp *op = ir_val(f, cond)->def;
  if (!op || op->parent != body) return false;
  bool known = op->kind == IR_LT || op->kind == IR_LE || op->kind == IR_EQ || op->kind == IR_NE;
  if (!known || ir_type(f, op->args[0]).elem != IR_INT) return false;
  bool left = op->args[0] == body->args[0];
  IrVal at = op->args[left ? 1 : 0];
  if ((!left && op->args[1] != body->args[0]) || !is_invariant(f, at, body)) return false;
  *t = (Turn){.cond = cond, .at = at, .equal = op->kind == IR_EQ || op->kind == IR_NE};
  t->first = t->equal ? op->kind == IR_NE : left;
  t->behind = (op->kind == IR_LE) == left; // i <= x, and x < i
  return true;
}

bool opt_turns(const IrFunc *f, IrVal cond, const IrRegion *body) {
  Turn t;
  return turns(f, cond, body, &t);
}

static bool holds_loops(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_regions && op->kind != IR_IF) return true;
    for (int k = 0; k < op->n_regions; k++)
      if (holds_loops(op->regions[k])) return true;
  }
  return false;
}

// Is v made in region r, from something that changes there?
static bool changes_in(const Split *s, IrVal v, const IrRegion *r) {
  if (!ir_inside(ir_val(s->f, v)->region, r)) return false;
  const IrOp *op = ir_val(s->f, v)->def;
  if (!op || !(ir_op_info[op->kind].flags & IR_P) || op->n_regions) return true;
  for (int k = 0; k < op->n_args; k++)
    if (changes_in(s, op->args[k], r)) return true;
  return false;
}

// In a loop around this one? Then so would the stretches, and the loop around could not run in lanes.
static bool varies_around(const Split *s, IrVal v, const IrOp *loop) {
  if (ir_is_const(s->f, v)) return false;
  for (const IrRegion *r = loop->parent; r->owner; r = r->owner->parent)
    if (r->owner->kind != IR_IF && changes_in(s, v, r)) return true;
  return false;
}

static bool is_candidate(const Split *s, const IrOp *op) {
  int64_t step;
  if (op->kind == IR_FOR)
    return !op->attr.i && !op->lanes && ir_is_const_int(s->f, op->args[2], &step) &&
           (step == 1 || step == -1);
  if (op->kind != IR_BUILD || op->n_args != 1) return false;
  for (int k = 0; k < op->n_results; k++)
    if (ir_type(s->f, ir_result(op, k)).elem == IR_STRING) return false;
  return true;
}

static bool find_turn(const Split *s, const IrOp *loop, Turn *t) {
  if (!is_candidate(s, loop)) return false;
  const IrRegion *body = loop->regions[0];
  for (int k = 0; k < (loop->kind == IR_FOR ? 2 : 1); k++)
    if (varies_around(s, loop->args[k], loop)) return false;
  if (opt_region_size(body) > OPT_LARGEST_SPLIT || holds_loops(body)) return false;
  for (int i = 0; i < body->ops.len; i++)
    if (body->ops.data[i]->kind == IR_IF && turns(s->f, body->ops.data[i]->args[0], body, t) &&
        !varies_around(s, t->at, loop))
      return true;
  return false;
}

// ---- the stretches ----------------------------------------------------------------------------------------------------

typedef struct Stretch {
  IrVal lo, hi;
  bool truth;
} Stretch;

static IrVal clamped(IrBuilder *b, IrVal x, IrVal lo, IrVal hi) {
  return ir_op2(b, IR_MAX, lo, ir_op2(b, IR_MIN, x, hi));
}

// The place behind x, where that is within the loop: nothing overflows.
static IrVal behind(IrBuilder *b, IrVal x, IrVal lo, IrVal hi) {
  IrVal next = ir_op2(b, IR_ADD, x, ir_const_int(b, 1));
  return ir_op2(b, IR_MAX, lo, ir_op3(b, IR_SELECT, ir_op2(b, IR_LT, x, hi), next, hi));
}

static int stretches(IrBuilder *b, const Turn *t, IrVal at, IrVal lo, IrVal hi, Stretch *out) {
  int n = 0;
  if (!t->equal) {
    IrVal p = t->behind ? behind(b, at, lo, hi) : clamped(b, at, lo, hi);
    out[n++] = (Stretch){lo, p, t->first};
    out[n++] = (Stretch){p, hi, !t->first};
    return n;
  }
  Affine x = affine_of(b->func, at), end = affine_of(b->func, hi);
  bool starts = ints_equal(b->func, at, lo), ends = x.base == end.base && x.offset == wrap_sub(end.offset, 1);
  IrVal p = starts ? lo : clamped(b, at, lo, hi), q = ends ? hi : behind(b, at, lo, hi);
  if (!starts) out[n++] = (Stretch){lo, p, t->first};
  out[n++] = (Stretch){p, q, !t->first};
  if (!ends) out[n++] = (Stretch){q, hi, t->first};
  return n;
}

static bool counts_down(const IrFunc *f, const IrOp *loop) {
  int64_t step;
  return loop->kind == IR_FOR && ir_is_const_int(f, loop->args[2], &step) && step < 0;
}

static IrVal one_less(IrBuilder *b, IrVal v) { return ir_op2(b, IR_ADD, v, ir_const_int(b, -1)); }
static IrVal one_more(IrBuilder *b, IrVal v) { return ir_op2(b, IR_ADD, v, ir_const_int(b, 1)); }

// A copy of the loop over one stretch; the carried values become those behind it.
static void one_stretch(Split *s, IrBuilder *b, IrMap *map, const IrOp *loop, const Turn *t,
                        const Stretch *part, IrVal *carried) {
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  IrBuilder in;
  bool down = counts_down(s->f, loop);
  IrVal from = down ? one_less(b, part->hi) : part->lo, to = down ? one_less(b, part->lo) : part->hi;
  IrOp *now = ir_for(b, from, to, ir_const_int(b, down ? -1 : 1), carried, n, &in);
  for (int k = 0; k < body->n_args; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    if (op->n_results && op->result == t->cond)
      ir_map_set(map, t->cond, ir_const_bool(&in, part->truth));
    else
      ir_clone_op(&in, map, op);
  }
  IrVal *yields = ARENA_ARRAY(s->arena, IrVal, n);
  for (int k = 0; k < n; k++) {
    yields[k] = ir_mapped(map, body->yields[k]);
    if (loop->kind == IR_BUILD)
      yields[k] = ir_set(&in, in.region->args[1 + k], &in.region->args[0], 1, yields[k]);
  }
  ir_yield(&in, yields, n);
  for (int k = 0; k < n; k++) carried[k] = ir_result(now, k);
}

// What the first stretch starts with.
static IrVal initial(Split *s, IrBuilder *b, const IrMap *map, const IrOp *op, int k) {
  if (op->kind == IR_FOR) return ir_mapped(map, op->args[3 + k]);
  IrElem e = (IrElem)ir_type(s->f, ir_result(op, k)).elem;
  IrVal size = ir_mapped(map, op->args[0]);
  return ir_unset(b, ir_const_zero(b, e), &size, 1);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Split *s = user;
  Turn t;
  if (!*s->left || !find_turn(s, op, &t)) return false;
  (*s->left)--;
  b->loc = op->loc;
  IrVal *carried = ARENA_ARRAY(s->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) carried[k] = initial(s, b, map, op, k);
  bool row = op->kind == IR_BUILD, down = counts_down(s->f, op);
  IrVal lo = row ? ir_const_int(b, 0) : ir_mapped(map, op->args[down]),
        hi = ir_mapped(map, op->args[row || down ? 0 : 1]);
  if (down) lo = one_more(b, lo), hi = one_more(b, hi);
  IrVal at =
      ir_is_const(s->f, t.at) ? ir_const_int(b, ir_val(s->f, t.at)->def->attr.i) : ir_mapped(map, t.at);
  Stretch parts[MAX_STRETCHES];
  int n = stretches(b, &t, at, lo, hi, parts);
  for (int i = 0; i < n; i++) one_stretch(s, b, map, op, &t, &parts[down ? n - 1 - i : i], carried);
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), carried[k]);
  return s->changed = true;
}

IrFunc *opt_split(IrFunc *f) {
  bool changed = f->body != NULL;
  int left = MAX_SPLITS;
  for (int round = 0; changed && round < MAX_ROUNDS; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Split s = {.f = f, .arena = scratch, .left = &left};
    IrFunc *now = ir_rewrite_func(f, rewrite, &s);
    arena_free(scratch);
    changed = s.changed;
    f = changed ? opt_dce(opt_simplify(now)) : now;
  }
  return f;
}
