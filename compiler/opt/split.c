// Optimisation: loops split where a condition on their index turns. In: loops with at most one loop inside that branch on how the
// index compares with a value from outside. Out: a loop for each stretch over which the condition does not change, with the branch
// decided (simplify takes it away), so that what is left has no branches and vectorises:
//
//   for %i = %lo, %hi           for %i = %lo, %p     %c is true
//     %c = lt %i, %x       ->   for %i = %p, %hi     %c is false        with %p = max(%lo, min(%x, %hi))
//     if %c ...
//
// Most conditions tell the border of an array apart, `if i == 0 or i == n - 1`. Those are split off together, few iterations
// at either end that keep their branches, and the inside decides all of them.
//
// A build of a row is such a loop too, one that sets its elements, and a build of rows is one loop within another. A loop that
// counts down comes to the stretches from above.
//
// The iterations run in the order they had: all bits stay.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MAX_ROUNDS = 6, MAX_SPLITS = 24, MAX_STRETCHES = 3, HIGHEST_START = 1 << 20 };

typedef struct Turn { // a condition, and where it turns
  IrVal cond, at;     // what the index is compared with
  bool equal;         // it holds at `at` alone (or there alone not)
  bool behind;        // it turns behind `at`, else in front of it
  bool first;         // its value up to there; of an equal one: elsewhere
} Turn;

typedef VEC(Turn) Turns;

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

// A comparison, or several of them taken together.
bool opt_turns(const IrFunc *f, IrVal cond, const IrRegion *body) {
  Turn t;
  const IrOp *op = ir_val(f, cond)->def;
  if (op && op->parent == body && (op->kind == IR_AND || op->kind == IR_OR))
    return opt_turns(f, op->args[0], body) && opt_turns(f, op->args[1], body);
  return turns(f, cond, body, &t);
}

// How many loops the region holds, those within loops counted twice.
static int loops_in(const IrRegion *r) {
  int n = 0;
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool loop = op->n_regions && op->kind != IR_IF;
    n += loop;
    for (int k = 0; k < op->n_regions; k++) n += (1 + loop) * loops_in(op->regions[k]);
  }
  return n;
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

static bool counts_down(const IrFunc *f, const IrOp *loop) {
  int64_t step;
  return loop->kind == IR_FOR && ir_is_const_int(f, loop->args[2], &step) && step < 0;
}

static bool may_split(const Split *s, const IrOp *loop) {
  if (!is_candidate(s, loop)) return false;
  for (int k = 0; k < (loop->kind == IR_FOR ? 2 : 1); k++)
    if (varies_around(s, loop->args[k], loop)) return false;
  int inner = loops_in(loop->regions[0]);
  return opt_region_size(loop->regions[0]) <= OPT_LARGEST_SPLIT &&
         (!inner || (inner == 1 && loop->kind == IR_FOR));
}

// The comparisons that a branch's condition consists of.
static void add_turns(const Split *s, const IrOp *loop, IrVal cond, Turns *out) {
  const IrOp *op = ir_val(s->f, cond)->def;
  Turn t;
  if (op && (op->kind == IR_AND || op->kind == IR_OR))
    for (int k = 0; k < 2; k++) add_turns(s, loop, op->args[k], out);
  else if (turns(s->f, cond, loop->regions[0], &t) && !varies_around(s, t.at, loop))
    vec_push(s->arena, out, t);
}

static void add_branches(const Split *s, const IrOp *loop, const IrRegion *r, Turns *out) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->kind == IR_IF) add_turns(s, loop, op->args[0], out);
    for (int k = 0; k < op->n_regions; k++) add_branches(s, loop, op->regions[k], out);
  }
}

static Turns find_turns(const Split *s, const IrOp *loop) {
  Turns all = {0};
  if (may_split(s, loop)) add_branches(s, loop, loop->regions[0], &all);
  return all;
}

// ---- borders ----------------------------------------------------------------------------------------------------------

// At which end of the loop a condition turns, at most OPT_WIDEST_BORDER iterations from it.
typedef enum Side { APART, LOW, HIGH } Side;

typedef struct Borders {
  Turns turns;
  Side *side;           // by turn
  int64_t below, above; // as many iterations at either end
  Affine first, last;   // the loop's indices there
  bool any;
} Borders;

static int64_t distance(Affine from, Affine to) { return wrap_sub(to.offset, from.offset); }

static bool is_close(int64_t distance) {
  return distance > -OPT_WIDEST_BORDER && distance < OPT_WIDEST_BORDER;
}

// The border reaches so far that the condition no longer turns behind it.
static Side widen(Borders *b, const Turn *t, Affine at) {
  int64_t up = distance(b->first, at), down = distance(at, b->last);
  if (at.base == b->first.base && is_close(up)) {
    int64_t reach = up + (t->equal || t->behind);
    if (reach > b->below) b->below = reach;
    return LOW;
  }
  if (at.base != b->last.base || !is_close(down)) return APART;
  int64_t reach = down + (t->equal || !t->behind);
  if (reach > b->above) b->above = reach;
  return HIGH;
}

static Borders find_borders(const Split *s, const IrOp *loop) {
  Borders b = {.turns = find_turns(s, loop)};
  bool row = loop->kind == IR_BUILD, down = counts_down(s->f, loop);
  if (!b.turns.len) return b;
  if (!row) b.first = affine_of(s->f, loop->args[down]);
  b.last = affine_of(s->f, loop->args[row || down ? 0 : 1]);
  if (down) b.first.offset = wrap_add(b.first.offset, 1);
  if (!down) b.last.offset = wrap_sub(b.last.offset, 1);
  if (b.first.base || b.first.offset < 0 || b.first.offset > HIGHEST_START) return b;
  b.side = ARENA_ARRAY(s->arena, Side, b.turns.len);
  for (int i = 0; i < b.turns.len; i++) {
    b.side[i] = widen(&b, &b.turns.data[i], affine_of(s->f, b.turns.data[i].at));
    b.any |= b.side[i] != APART;
  }
  return b;
}

// What the condition is in the iteration of this index.
static bool truth_at(const Turn *t, Affine at, Affine index) {
  int64_t past = distance(at, index);
  if (t->equal) return (past == 0) != t->first;
  return (past < 0 || (past == 0 && t->behind)) == t->first;
}

// ---- the stretches ----------------------------------------------------------------------------------------------------

typedef enum Truth { OPEN, NO, YES } Truth;

typedef struct Stretch {
  IrVal lo, hi;
  Truth *decided; // by turn
  bool few;       // iterations
} Stretch;

static Stretch stretch(const Split *s, const Turns *turns, IrVal lo, IrVal hi) {
  return (Stretch){.lo = lo, .hi = hi, .decided = ARENA_ARRAY(s->arena, Truth, turns->len)};
}

static Stretch with(const Split *s, const Turns *turns, int turn, bool truth, IrVal lo, IrVal hi) {
  Stretch part = stretch(s, turns, lo, hi);
  part.decided[turn] = truth ? YES : NO;
  return part;
}

static IrVal clamped(IrBuilder *b, IrVal x, IrVal lo, IrVal hi) {
  return ir_op2(b, IR_MAX, lo, ir_op2(b, IR_MIN, x, hi));
}

// The place behind x, where that is within the loop: nothing overflows.
static IrVal behind(IrBuilder *b, IrVal x, IrVal lo, IrVal hi) {
  IrVal next = ir_op2(b, IR_ADD, x, ir_const_int(b, 1));
  return ir_op2(b, IR_MAX, lo, ir_op3(b, IR_SELECT, ir_op2(b, IR_LT, x, hi), next, hi));
}

// Of one condition, wherever it turns.
static int stretches(const Split *s, IrBuilder *b, const Turns *turns, int turn, IrVal at, IrVal lo, IrVal hi,
                     Stretch *out) {
  const Turn *t = &turns->data[turn];
  int n = 0;
  if (!t->equal) {
    IrVal p = t->behind ? behind(b, at, lo, hi) : clamped(b, at, lo, hi);
    out[n++] = with(s, turns, turn, t->first, lo, p);
    out[n++] = with(s, turns, turn, !t->first, p, hi);
    return n;
  }
  Affine x = affine_of(b->func, at), end = affine_of(b->func, hi);
  bool starts = ints_equal(b->func, at, lo), ends = x.base == end.base && x.offset == wrap_sub(end.offset, 1);
  IrVal p = starts ? lo : clamped(b, at, lo, hi), q = ends ? hi : behind(b, at, lo, hi);
  if (!starts) out[n++] = with(s, turns, turn, t->first, lo, p);
  out[n++] = with(s, turns, turn, !t->first, p, q);
  if (!ends) out[n++] = with(s, turns, turn, t->first, q, hi);
  return n;
}

// A border of one iteration decides the conditions that turn there.
static void decide_at(const Split *s, const Borders *border, Side side, Affine index, Stretch *part) {
  for (int i = 0; i < border->turns.len; i++) {
    const Turn *t = &border->turns.data[i];
    if (border->side[i] == side) part->decided[i] = truth_at(t, affine_of(s->f, t->at), index) ? YES : NO;
  }
}

// The border at either end, and all between them. The loop starts at a small constant: nothing overflows.
static int with_borders(const Split *s, IrBuilder *b, const Borders *border, IrVal lo, IrVal hi,
                        Stretch *out) {
  const Turns *turns = &border->turns;
  IrVal p = lo, q = hi;
  if (border->below) p = ir_op2(b, IR_MIN, ir_op2(b, IR_ADD, lo, ir_const_int(b, border->below)), hi);
  if (border->above) {
    IrVal most = ir_op2(b, IR_MAX, p, ir_op2(b, IR_ADD, hi, ir_const_int(b, -border->above)));
    q = ir_op3(b, IR_SELECT, ir_op2(b, IR_LT, p, hi), most, hi);
  }
  Stretch head = stretch(s, turns, lo, p), inside = stretch(s, turns, p, q), tail = stretch(s, turns, q, hi);
  for (int i = 0; i < turns->len; i++) {
    const Turn *t = &turns->data[i];
    if (border->side[i] != APART)
      inside.decided[i] = (t->equal || border->side[i] == HIGH) == t->first ? YES : NO;
  }
  if (border->below == 1) decide_at(s, border, LOW, border->first, &head);
  if (border->above == 1) decide_at(s, border, HIGH, border->last, &tail);
  int n = 0;
  head.few = tail.few = true;
  if (border->below) out[n++] = head;
  out[n++] = inside;
  if (border->above) out[n++] = tail;
  return n;
}

static IrVal one_less(IrBuilder *b, IrVal v) { return ir_op2(b, IR_ADD, v, ir_const_int(b, -1)); }
static IrVal one_more(IrBuilder *b, IrVal v) { return ir_op2(b, IR_ADD, v, ir_const_int(b, 1)); }

static Truth decided(const Turns *turns, const Stretch *part, IrVal cond) {
  for (int i = 0; i < turns->len; i++)
    if (turns->data[i].cond == cond && part->decided[i]) return part->decided[i];
  return OPEN;
}

// A copy of the loop over one stretch; the carried values become those behind it.
static void one_stretch(Split *s, IrBuilder *b, IrMap *map, const IrOp *loop, const Turns *turns,
                        const Stretch *part, IrVal *carried) {
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  IrBuilder in;
  bool down = counts_down(s->f, loop);
  IrVal from = down ? one_less(b, part->hi) : part->lo, to = down ? one_less(b, part->lo) : part->hi;
  IrOp *now = ir_for(b, from, to, ir_const_int(b, down ? -1 : 1), carried, n, &in);
  now->lanes = part->few; // one by one
  for (int k = 0; k < body->n_args; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    Truth truth = op->n_results ? decided(turns, part, op->result) : OPEN;
    if (truth)
      ir_map_set(map, op->result, ir_const_bool(&in, truth == YES));
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

// ---- builds of rows ----------------------------------------------------------------------------------------------------

// Does a branch depend on how an index compares with a value from outside?
static bool turns_on_index(const IrFunc *f, IrVal cond, const IrRegion *body) {
  const IrOp *op = ir_val(f, cond)->def;
  if (!op || op->parent != body) return false;
  if (op->kind == IR_AND || op->kind == IR_OR)
    return turns_on_index(f, op->args[0], body) || turns_on_index(f, op->args[1], body);
  if (op->kind != IR_LT && op->kind != IR_LE && op->kind != IR_EQ && op->kind != IR_NE) return false;
  for (int k = 0; k < 2; k++)
    if (is_invariant(f, op->args[k], body) && ir_val(f, op->args[1 - k])->region == body &&
        !ir_val(f, op->args[1 - k])->def)
      return true;
  return false;
}

static bool has_borders(const Split *s, const IrOp *op) {
  if (op->kind != IR_BUILD || op->n_args != 2 || loops_in(op->regions[0])) return false;
  if (opt_region_size(op->regions[0]) > OPT_LARGEST_SPLIT) return false;
  for (int k = 0; k < op->n_results; k++)
    if (ir_type(s->f, ir_result(op, k)).elem == IR_STRING) return false;
  const IrRegion *body = op->regions[0];
  for (int i = 0; i < body->ops.len; i++)
    if (body->ops.data[i]->kind == IR_IF && turns_on_index(s->f, body->ops.data[i]->args[0], body))
      return true;
  return false;
}

// What does not depend on the column is computed once per row, so that the loop over rows sees its conditions.
static bool is_of_row(const Split *s, const IrOp *op, const bool *of_column) {
  if (!(ir_op_info[op->kind].flags & IR_P) || op->n_regions || op->n_results != 1) return false;
  for (int k = 0; k < op->n_args; k++)
    if (of_column[op->args[k]]) return false;
  return !ir_type(s->f, op->result).rank;
}

static void set_all(IrBuilder *b, const IrVal *to, const IrVal *index, int n, IrVal *yields) {
  for (int k = 0; k < n; k++) yields[k] = ir_set(b, to[k], index, 2, yields[k]);
  ir_yield(b, yields, n);
}

static void nest(Split *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  int n = op->n_results;
  bool *of_column = ARENA_ARRAY(s->arena, bool, s->f->vals.len);
  IrVal *vals = ARENA_ARRAY(s->arena, IrVal, n), size[2];
  for (int d = 0; d < 2; d++) size[d] = ir_mapped(map, op->args[d]);
  for (int k = 0; k < n; k++)
    vals[k] = ir_unset(b, ir_const_zero(b, (IrElem)ir_type(s->f, ir_result(op, k)).elem), size, 2);
  IrBuilder row, in;
  IrVal zero = ir_const_int(b, 0), one = ir_const_int(b, 1);
  IrOp *rows = ir_for(b, zero, size[0], one, vals, n, &row);
  ir_map_set(map, body->args[0], row.region->args[0]);
  of_column[body->args[1]] = true;
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *at = body->ops.data[i];
    bool of_row = is_of_row(s, at, of_column);
    for (int k = 0; k < at->n_results; k++) of_column[ir_result(at, k)] = !of_row;
    if (of_row) ir_clone_op(&row, map, at);
  }
  IrOp *columns = ir_for(&row, zero, size[1], one, row.region->args + 1, n, &in);
  ir_map_set(map, body->args[1], in.region->args[0]);
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *at = body->ops.data[i];
    if (!at->n_results || of_column[at->result]) ir_clone_op(&in, map, at);
  }
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, body->yields[k]);
  IrVal index[2] = {row.region->args[0], in.region->args[0]};
  set_all(&in, in.region->args + 1, index, n, vals);
  for (int k = 0; k < n; k++) vals[k] = ir_result(columns, k);
  ir_yield(&row, vals, n);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(rows, k));
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Split *s = user;
  if (*s->left && has_borders(s, op)) {
    b->loc = op->loc;
    nest(s, b, map, op);
    return s->changed = true;
  }
  Borders border = *s->left ? find_borders(s, op) : (Borders){0};
  const Turns *turns = &border.turns;
  if (!turns->len) return false;
  (*s->left)--;
  b->loc = op->loc;
  IrVal *carried = ARENA_ARRAY(s->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) carried[k] = initial(s, b, map, op, k);
  bool row = op->kind == IR_BUILD, down = counts_down(s->f, op);
  IrVal lo = row ? ir_const_int(b, 0) : ir_mapped(map, op->args[down]),
        hi = ir_mapped(map, op->args[row || down ? 0 : 1]);
  if (down) lo = one_more(b, lo), hi = one_more(b, hi);
  Stretch parts[MAX_STRETCHES];
  IrVal v = turns->data[0].at;
  IrVal at = ir_is_const(s->f, v) ? ir_const_int(b, ir_val(s->f, v)->def->attr.i) : ir_mapped(map, v);
  int n =
      border.any ? with_borders(s, b, &border, lo, hi, parts) : stretches(s, b, turns, 0, at, lo, hi, parts);
  for (int i = 0; i < n; i++) one_stretch(s, b, map, op, turns, &parts[down ? n - 1 - i : i], carried);
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
