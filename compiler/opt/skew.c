// Optimisation: skewed loops. In: two loops over the same range, one counting up and the other down, the second of which reads,
// at its index, what the first makes: the adjoints of a step's stages, which come down the array, and the stages computed
// again for them, which go up. Out: one loop that counts as the second does. The first comes in stages; what needs a
// neighbour's value runs an iteration behind the stage that makes it, when it has just been made:
//
//   for %i = %last, -1, -1 with (%c)       for %t = 0, %n + 1, 1 with (%before)
//     %a = ...                               %a = ...                        of element %t
//     %b = add %a, %c                        %b = add %before, %a            of element %t - 1
//     yield %a                               yield %a
//
// The loop runs longer by as many iterations as the last stage is behind, and a stage does nothing outside its range:
// branches at both borders, which split.c takes out of the inside. What is cheap is computed again in each stage; other
// values wait in scalars that the loop carries. merge.c finds the pairs. All bits stay.
#include "opt/internal.h"
#include "opt/merge.h"

enum {
  MOST_STAGES = OPT_WIDEST_BORDER - 1,
  MOST_AGAIN = 4,  // operations on floats that are rather computed again than kept
  NEVER = 1 << 20, // more than any number of these
  HIGHEST_INDEX = 1 << 20
};

typedef struct Want { // what an operation that a stage makes takes from others
  const IrOp *by;
  IrVal v;
  int behind; // by so many stages at least: 1 from a neighbour
} Want;

typedef struct Skew {
  const Merge *m;
  const IrOp *first, *second;
  const IrRegion *body; // the first's
  bool *handed;         // by value of the body: wanted by a neighbour, or by the second
  int *again;           // by value: operations to compute it again; NEVER: a stage makes it
  int *stage;           // by value that a stage makes: which one
  VEC(Want) wants;      // of all operations
  int *kept;  // by value that a stage makes: over how many iterations it is wanted; -1: in its stage alone
  int last;   // stage
  int reader; // the stage that the second goes with
  // while it is rebuilt
  IrMap *map;
  IrVal index;                      // of the new loop
  const IrVal *slots;               // what it carries
  int *slot;                        // by value: the first of those that keep it
  IrVal *now;                       // by value that a stage made: of this iteration
  int *seen;                        // by value that is computed again: in which stage, and one
  IrVal *compared[MOST_STAGES + 1]; // by stage, by value of a comparison with the index: what it is there
} Skew;

// ---- what a stage makes ------------------------------------------------------------------------------------------------

static bool in_body(const Skew *s, IrVal v) { return ir_inside(ir_val(s->m->f, v)->region, s->body); }

static const IrOp *set_of(const Skew *s, int k) { return op_of(s->m->f, s->body->yields[k], IR_SET); }

static bool is_made(const Skew *s, IrVal v) { // by an operation of the body itself
  const IrOp *op = ir_val(s->m->f, v)->def;
  return op && op->parent == s->body;
}

// Result k is an array, in which each iteration sets its own element.
static bool is_set(const Skew *s, int k) {
  const IrOp *set = set_of(s, k);
  const int *uses = s->m->uses;
  IrVal arg = s->body->args[1 + k];
  return set && set->parent == s->body && set->n_args == 3 && set->args[0] == arg && uses[arg] == 1 &&
         uses[set->result] == 1 && set->args[1] == s->body->args[0];
}

// It is a scalar that is only handed on, and all that are handed the same start with the same.
static bool is_handed_on(const Skew *s, int k) {
  IrVal v = s->body->yields[k];
  for (int i = 0; i < k; i++)
    if (s->body->yields[i] == v && s->first->args[3 + i] != s->first->args[3 + k]) return false;
  return is_made(s, v) && !s->m->uses[ir_result(s->first, k)] && !s->m->sums.family[s->body->args[1 + k]];
}

// Arrays are only set, each by one operation.
static bool sets_alone(const Skew *s, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_results; k++)
      if (ir_type(s->m->f, ir_result(op, k)).rank && op->kind != IR_SET) return false;
    for (int k = 0; k < op->n_regions; k++)
      if (!sets_alone(s, op->regions[k])) return false;
  }
  return true;
}

// The second may read what the first sets, element by element, and nothing else of it. Notes what is handed on.
static bool note_handed(Skew *s) {
  bool any = false;
  for (int k = 0; k < s->first->n_results; k++) {
    IrVal result = ir_result(s->first, k);
    bool array = ir_type(s->m->f, result).rank;
    int reads = wave_reads(s->m, s->second, result);
    for (int i = 0; i < s->second->n_results; i++)
      if (s->second->args[3 + i] == result) return false;
    if (reads < 0 || !(array ? is_set(s, k) : is_handed_on(s, k))) return false;
    IrVal v = array ? set_of(s, k)->args[2] : s->body->yields[k];
    if (reads && !is_made(s, v)) return false;
    s->handed[v] |= reads || !array;
    any |= reads > 0;
  }
  return any && sets_alone(s, s->body);
}

static int cost_again(Skew *s, IrVal v) {
  if (!in_body(s, v) || v == s->body->args[0]) return 0;
  if (s->again[v]) return s->again[v] - 1;
  const IrOp *op = ir_val(s->m->f, v)->def;
  int cost = NEVER;
  if (op && !op->n_regions && !s->handed[v] && op->kind != IR_SET && op->kind != IR_ACC &&
      !ir_type(s->m->f, v).rank) {
    cost = ir_is_float(ir_type(s->m->f, v)) && op->kind != IR_CONST;
    for (int k = 0; k < op->n_args && cost < NEVER; k++) cost += cost_again(s, op->args[k]);
    if (cost > MOST_AGAIN) cost = NEVER;
  }
  s->again[v] = cost + 1;
  return cost;
}

static bool is_staged(Skew *s, IrVal v) { return cost_again(s, v) == NEVER; }

static int carried_place(const Skew *s, IrVal v) { // -1: it is not carried
  return ir_val(s->m->f, v)->region == s->body && !ir_val(s->m->f, v)->def ? ir_val(s->m->f, v)->index - 1
                                                                           : -1;
}

// The value that v is in another stage or iteration: what was handed on, and how many stages the reader has to be behind it.
static IrVal source(Skew *s, IrVal v, int *behind) {
  *behind = 0;
  if (!in_body(s, v) || v == s->body->args[0]) return 0;
  int k = carried_place(s, v);
  if (k < 0) return is_staged(s, v) ? v : 0;
  if (ir_type(s->m->f, v).rank) return 0;
  *behind = 1;
  return s->body->yields[k];
}

// ---- stages ------------------------------------------------------------------------------------------------------------

static const IrVals *needs(Skew *s, const IrOp *op, IrVals *out) {
  out->len = 0;
  ir_free_values_op(s->m->arena, s->m->f, op, out);
  return out;
}

static bool makes_staged(Skew *s, const IrOp *op) { return op->n_results && is_staged(s, op->result); }

static void raise(int *to, int at_least) {
  if (*to < at_least) *to = at_least;
}

static void find_wants(Skew *s) {
  IrVals free = {0};
  for (int i = 0; i < s->body->ops.len; i++) {
    const IrOp *op = s->body->ops.data[i];
    if (!makes_staged(s, op)) continue;
    needs(s, op, &free);
    for (int k = 0; k < free.len; k++) {
      Want w = {.by = op};
      w.v = source(s, free.data[k], &w.behind);
      if (w.v) vec_push(s->m->arena, &s->wants, w);
    }
  }
}

static int stage_of(const Skew *s, const IrOp *op) { return s->stage[op->result]; }

static void put(Skew *s, const IrOp *op, int stage) {
  for (int k = 0; k < op->n_results; k++) s->stage[ir_result(op, k)] = stage;
}

// As early as what they want allows; false: there are too many stages, or no end of them.
static bool find_stages(Skew *s) {
  for (bool again = true; again;) {
    again = false;
    for (int i = 0; i < s->wants.len; i++) {
      const Want *w = &s->wants.data[i];
      int stage = s->stage[w->v] + w->behind;
      if (stage > MOST_STAGES) return false;
      if (stage <= stage_of(s, w->by)) continue;
      put(s, w->by, stage);
      raise(&s->last, stage);
      again = true;
    }
  }
  return true;
}

// Over how many iterations values wait for those that want them.
static void find_kept(Skew *s) {
  for (int v = 0; v < s->m->f->vals.len; v++) s->kept[v] = -1;
  for (int i = 0; i < s->wants.len; i++) {
    const Want *w = &s->wants.data[i];
    int later = stage_of(s, w->by) - s->stage[w->v];
    if (later > 0) raise(&s->kept[w->v], later - w->behind);
  }
  for (int k = 0; k < s->first->n_results; k++) {
    const IrOp *set = set_of(s, k);
    if (!set) continue;
    s->kept[set->result] = 0;
    if (s->handed[set->args[2]]) raise(&s->reader, s->stage[set->args[2]]);
  }
  for (int k = 0; k < s->first->n_results; k++) {
    const IrOp *set = set_of(s, k);
    if (set && s->handed[set->args[2]]) raise(&s->kept[set->args[2]], s->reader - s->stage[set->args[2]]);
  }
}

static int total_kept(const Skew *s) {
  int sum = 0;
  for (int v = 0; v < s->m->f->vals.len; v++)
    if (s->kept[v] > 0) sum += s->kept[v];
  return sum;
}

// The stage in which op's results are first wanted; `last` + 1: in none.
static int wanted_at(const Skew *s, const IrOp *op) {
  int first = s->last + 1;
  for (int k = 0; k < op->n_results; k++)
    if (s->handed[ir_result(op, k)]) return stage_of(s, op);
  for (int i = 0; i < s->wants.len; i++) {
    const Want *w = &s->wants.data[i];
    int stage = stage_of(s, w->by) - w->behind;
    if (ir_val(s->m->f, w->v)->def == op && stage < first) first = stage;
  }
  return first;
}

// What only later stages want is made there, unless more would have to wait for it.
static void sink(Skew *s) {
  find_kept(s);
  for (int i = s->body->ops.len - 1; i >= 0; i--) {
    const IrOp *op = s->body->ops.data[i];
    if (!makes_staged(s, op)) continue;
    int was = stage_of(s, op), kept = total_kept(s), later = wanted_at(s, op);
    if (later <= was || later > s->last) continue;
    put(s, op, later);
    find_kept(s);
    if (total_kept(s) <= kept) continue;
    put(s, op, was);
    find_kept(s);
  }
}

// ---- do they fit? ------------------------------------------------------------------------------------------------------

// Is op a comparison of the loop's index with a value from outside? Which operand is that value?
static bool compares(const Skew *s, const IrRegion *body, const IrOp *op, int *at) {
  bool known = op->kind == IR_LT || op->kind == IR_LE || op->kind == IR_EQ || op->kind == IR_NE;
  if (!known || ir_type(s->m->f, op->args[0]).elem != IR_INT) return false;
  *at = op->args[0] == body->args[0];
  return op->args[1 - *at] == body->args[0] && !ir_inside(ir_val(s->m->f, op->args[*at])->region, body);
}

// What an index is compared with is moved by some stages: it must not wrap around.
static bool limits_are_near(const Skew *s, const IrOp *loop) {
  const IrRegion *body = loop->regions[0];
  Affine lo, hi;
  wave_range(s->m, loop, &lo, &hi);
  if (lo.base || lo.offset < 0 || lo.offset > HIGHEST_INDEX) return false;
  for (int i = 0, at; i < body->ops.len; i++) {
    if (!compares(s, body, body->ops.data[i], &at)) continue;
    Affine limit = affine_of(s->m->f, body->ops.data[i]->args[at]);
    if ((limit.base && limit.base != hi.base) || limit.offset < -HIGHEST_INDEX ||
        limit.offset > HIGHEST_INDEX)
      return false;
  }
  return true;
}

static bool free_of(const IrVals *free, const Merge *m, const IrOp *loop) {
  for (int k = 0; k < loop->n_results; k++) {
    if (!ir_type(m->f, loop->args[3 + k]).rank) continue;
    for (int i = 0; i < free->len; i++)
      if (free->data[i] == loop->args[3 + k]) return false;
  }
  return true;
}

// What either changes, the other neither reads nor changes.
static bool are_apart(const Skew *s) {
  const Merge *m = s->m;
  IrVals free1 = {0}, free2 = {0};
  ir_free_values(m->arena, m->f, s->first->regions[0], &free1);
  ir_free_values(m->arena, m->f, s->second->regions[0], &free2);
  if (!free_of(&free1, m, s->second) || !free_of(&free2, m, s->first)) return false;
  for (int k = 0; k < s->first->n_results; k++)
    for (int i = 0; i < s->second->n_results; i++)
      if (ir_type(m->f, s->first->args[3 + k]).rank && s->first->args[3 + k] == s->second->args[3 + i])
        return false;
  return true;
}

static bool analyse(Skew *s, const Merge *m, const IrOp *first, const IrOp *second) {
  int n = m->f->vals.len;
  *s = (Skew){.m = m, .first = first, .second = second, .body = first->regions[0]};
  if (!are_apart(s) || !limits_are_near(s, first) || !limits_are_near(s, second)) return false;
  s->handed = ARENA_ARRAY(m->arena, bool, n);
  s->again = ARENA_ARRAY(m->arena, int, n);
  s->stage = ARENA_ARRAY(m->arena, int, n);
  s->kept = ARENA_ARRAY(m->arena, int, n);
  if (!note_handed(s)) return false;
  find_wants(s);
  if (!find_stages(s)) return false;
  sink(s);
  return true;
}

bool skew_fits(const Merge *m, const IrOp *first, const IrOp *second) {
  Skew s;
  return wave_opposite(m, first, second) && analyse(&s, m, first, second);
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

static int behind(const Skew *s, int stage) {
  return wave_counts_down(s->m, s->second) ? s->last - stage : stage;
}

static IrVal moved(IrBuilder *b, IrVal v, int by) {
  return by ? ir_op2(b, IR_ADD, v, ir_const_int(b, by)) : v;
}

// In front of the loop: what its indices are compared with, and by how much that moves.
static void limits_of(Skew *s, IrBuilder *b, const IrOp *loop, int stage, IrVal *out) {
  const IrRegion *body = loop->regions[0];
  for (int i = 0, at; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    if (compares(s, body, op, &at))
      out[op->result] = moved(b, ir_mapped(s->map, op->args[at]), behind(s, stage));
  }
}

// As the loop's first operations, so that split.c sees all conditions at once.
static void compare(Skew *s, IrBuilder *b, const IrOp *loop, IrVal *limits) {
  const IrRegion *body = loop->regions[0];
  for (int i = 0, at; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    if (!compares(s, body, op, &at)) continue;
    IrVal *v = &limits[op->result];
    *v = at ? ir_op2(b, (IrOpKind)op->kind, s->index, *v) : ir_op2(b, (IrOpKind)op->kind, *v, s->index);
  }
}

static void find_limits(Skew *s, IrBuilder *b) {
  for (int stage = 0; stage <= s->last; stage++) {
    s->compared[stage] = ARENA_ARRAY(s->m->arena, IrVal, s->m->f->vals.len);
    limits_of(s, b, s->first, stage, s->compared[stage]);
    if (stage == s->reader) limits_of(s, b, s->second, stage, s->compared[stage]);
  }
}

static void compare_all(Skew *s, IrBuilder *b) {
  for (int stage = 0; stage <= s->last; stage++) {
    compare(s, b, s->first, s->compared[stage]);
    if (stage == s->reader) compare(s, b, s->second, s->compared[stage]);
  }
}

static bool is_compared(Skew *s, const IrOp *op, int stage) {
  IrVal c = op->n_results ? s->compared[stage][op->result] : 0;
  if (c) ir_map_set(s->map, op->result, c);
  return c;
}

static IrVal waiting(const Skew *s, IrVal v, int iterations) {
  return iterations ? s->slots[s->slot[v] + iterations - 1] : s->now[v];
}

// Maps v to what it is in this stage.
static void bring(Skew *s, IrBuilder *b, IrVal v, int stage) {
  int more, k = in_body(s, v) ? carried_place(s, v) : -1;
  IrVal from = source(s, v, &more);
  if (from && (more || s->stage[from] < stage)) {
    ir_map_set(s->map, v, waiting(s, from, stage - s->stage[from] - more));
  } else if (!from && k >= 0) {
    ir_map_set(s->map, v, s->slots[k]);
  } else if (!from && in_body(s, v) && v != s->body->args[0] && s->seen[v] != stage + 1) {
    const IrOp *op = ir_val(s->m->f, v)->def;
    s->seen[v] = stage + 1;
    if (is_compared(s, op, stage)) return;
    for (int i = 0; i < op->n_args; i++) bring(s, b, op->args[i], stage);
    ir_clone_op(b, s->map, op);
  }
}

// What the neighbour beyond the border handed on: what the first loop started with.
static IrVal beyond(Skew *s, IrBuilder *b, IrVal v) {
  for (int k = 0; k < s->first->n_results; k++)
    if (s->body->yields[k] == v) return ir_mapped(s->map, s->first->args[3 + k]);
  return ir_const_zero(b, (IrElem)ir_type(s->m->f, v).elem);
}

static IrVal is_active(const Skew *s, IrBuilder *b, int stage, const IrVal *from, const IrVal *to) {
  int by = behind(s, stage);
  IrVal in = by ? ir_op2(b, IR_LE, from[by], s->index) : 0,
        out = by < s->last ? ir_op2(b, IR_LT, s->index, to[by]) : 0;
  return in && out ? ir_op2(b, IR_AND, in, out) : in ? in : out;
}

static void close_branches(Skew *s, IrBuilder *b, IrOp *branch, IrBuilder *then, IrBuilder *els,
                           const IrVal *some, const IrVal *other, int n) {
  const IrVal **sizes = ARENA_ARRAY(s->m->arena, const IrVal *, n + 1);
  for (int k = 0; k < n; k++) sizes[k] = ir_dims(b->func, other[k]);
  ir_yield(then, some, n);
  ir_yield(els, other, n);
  ir_close_if(b, branch, sizes);
}

static void emit_stage(Skew *s, IrBuilder *in, int stage, IrVal active) {
  IrBuilder then, els;
  IrOp *branch = ir_if(in, active, &then, &els);
  IrVals free = {0}, made = {0}, some = {0}, other = {0};
  ir_map_set(s->map, s->body->args[0], moved(&then, s->index, -behind(s, stage)));
  for (int i = 0; i < s->body->ops.len; i++) {
    const IrOp *op = s->body->ops.data[i];
    if (!makes_staged(s, op) || s->stage[op->result] != stage) continue;
    needs(s, op, &free);
    for (int k = 0; k < free.len; k++) bring(s, &then, free.data[k], stage);
    ir_clone_op(&then, s->map, op);
    for (int k = 0; k < op->n_results; k++)
      if (s->kept[ir_result(op, k)] >= 0) vec_push(s->m->arena, &made, ir_result(op, k));
  }
  for (int k = 0; k < made.len; k++) {
    const IrOp *set = op_of(s->m->f, made.data[k], IR_SET);
    vec_push(s->m->arena, &some, ir_mapped(s->map, made.data[k]));
    vec_push(s->m->arena, &other,
             set ? s->slots[carried_place(s, set->args[0])] : beyond(s, &els, made.data[k]));
  }
  close_branches(s, in, branch, &then, &els, some.data, other.data, made.len);
  for (int k = 0; k < made.len; k++) s->now[made.data[k]] = ir_result(branch, k);
}

static bool read_waiting(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)b;
  Skew *s = user;
  if (is_compared(s, op, s->reader)) return true;
  for (int k = 0; op->kind == IR_GET && k < s->first->n_results; k++) {
    if (op->args[0] != ir_result(s->first, k)) continue;
    IrVal v = set_of(s, k)->args[2];
    ir_map_set(map, op->result, waiting(s, v, s->reader - s->stage[v]));
    return true;
  }
  return false;
}

static void emit_second(Skew *s, IrBuilder *in, IrVal active, const IrVal *slots, IrVal *out) {
  const IrRegion *body = s->second->regions[0];
  int n = s->second->n_results;
  IrVal *some = ARENA_ARRAY(s->m->arena, IrVal, n + 1);
  IrBuilder then, els;
  IrOp *branch = ir_if(in, active, &then, &els);
  ir_map_set(s->map, body->args[0], moved(&then, s->index, -behind(s, s->reader)));
  for (int k = 0; k < n; k++) ir_map_set(s->map, body->args[1 + k], slots[k]);
  ir_rewrite_ops(&then, s->map, body, some, read_waiting, s);
  close_branches(s, in, branch, &then, &els, some, slots, n);
  for (int k = 0; k < n; k++) out[k] = ir_result(branch, k);
}

// Carried are what the first carried (its scalars no longer change), what the second did, and what waits.
static void find_inits(Skew *s, IrBuilder *b, IrVals *out) {
  Arena *a = s->m->arena;
  for (int k = 0; k < s->first->n_results; k++) vec_push(a, out, ir_mapped(s->map, s->first->args[3 + k]));
  for (int k = 0; k < s->second->n_results; k++) vec_push(a, out, ir_mapped(s->map, s->second->args[3 + k]));
  for (int v = 1; v < s->m->f->vals.len; v++) {
    s->slot[v] = out->len;
    for (int k = 0; k < s->kept[v]; k++)
      vec_push(a, out, ir_const_zero(b, (IrElem)ir_type(s->m->f, (IrVal)v).elem));
  }
}

static IrOp *open_loop(Skew *s, IrBuilder *b, IrVal from, IrVal end, const IrVals *inits, IrBuilder *in) {
  bool down = wave_counts_down(s->m, s->second);
  IrVal lo = down ? moved(b, end, -1) : from, hi = down ? moved(b, from, -1) : end;
  return ir_for(b, lo, hi, ir_const_int(b, down ? -1 : 1), inits->data, inits->len, in);
}

void skew_loops(Merge *m, IrBuilder *b, const IrOp *first, const IrOp *second) {
  Skew s;
  analyse(&s, m, first, second);
  int n = m->f->vals.len, n1 = first->n_results, n2 = second->n_results;
  s.map = &m->map;
  s.slot = ARENA_ARRAY(m->arena, int, n);
  s.seen = ARENA_ARRAY(m->arena, int, n);
  s.now = ARENA_ARRAY(m->arena, IrVal, n);
  b->loc = second->loc;
  IrVal from[MOST_STAGES + 1], to[MOST_STAGES + 1], active[MOST_STAGES + 1];
  Affine lo, hi;
  wave_range(m, second, &lo, &hi);
  for (int k = 0; k <= s.last; k++) {
    from[k] = wave_bound(b, m, lo, k);
    to[k] = wave_bound(b, m, hi, k);
  }
  find_limits(&s, b);
  IrVals vals = {0};
  find_inits(&s, b, &vals);
  IrBuilder in;
  IrOp *now = open_loop(&s, b, from[0], to[s.last], &vals, &in);
  s.index = in.region->args[0];
  s.slots = in.region->args + 1;
  compare_all(&s, &in);
  for (int k = 0; k <= s.last; k++) active[k] = is_active(&s, &in, k, from, to);
  for (int k = 0; k <= s.last; k++) emit_stage(&s, &in, k, active[k]);
  emit_second(&s, &in, active[s.reader], s.slots + n1, vals.data + n1);
  for (int k = 0; k < n1; k++) vals.data[k] = set_of(&s, k) ? s.now[s.body->yields[k]] : s.slots[k];
  for (int v = 1; v < n; v++)
    for (int k = 0; k < s.kept[v]; k++) vals.data[s.slot[v] + k] = waiting(&s, (IrVal)v, k);
  ir_yield(&in, vals.data, vals.len);
  for (int k = 0; k < n1; k++) ir_map_set(&m->map, ir_result(first, k), ir_result(now, k));
  for (int k = 0; k < n2; k++) ir_map_set(&m->map, ir_result(second, k), ir_result(now, n1 + k));
  m->changed = true;
}
