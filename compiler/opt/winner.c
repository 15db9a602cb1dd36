// Optimisation, before differentiation: the winner only. In: loops that carry a float which an iteration either keeps or
// replaces by a value that does not follow from the floats it carries: a minimum, a maximum, `if d < best { best = d }`. Out:
// the loop also carries which iteration won, as ints, and behind it that iteration's value is computed once more:
//
//   %best, %at = for %i = %0, %k, %1 with (%b = %inf, %a = %0) {
//     %d = ...
//     %c = min %b, %d
//     %keep = le %b, %d
//     %a1 = select %keep, %a, %i
//     yield %c, %a1
//   }
//   %some = lt %0, %k
//   %again = if %some { ... the value of iteration %at ... } else { yield %inf }
//   %value = detach %best
//   %result = attach %value, %again          // the loop's bits, the winner's derivative
//
// So the derivative visits the winner alone, and nothing is kept of the others. What decides may follow from anything. The
// tie goes where the operation's own rule gives it (ad/rules.c). Once there is nothing left to differentiate, `attach`
// gives way to the loop's own value (opt_settle) and what was computed again is dead.
#include "opt/scalar.h"

#include <math.h>

enum { FEW_TRIPS = 8, MAX_NEST = 8 };

typedef enum Mark { // how the loop tells that something won at all
  MARK_TRIPS,       // it ran: the first iteration wins against the least there is
  MARK_INDEX,       // the winner's index is one of the loop's
  MARK_FLAG,        // a bool of its own
} Mark;

typedef struct Branch { // an IF on the way to what replaces the carried value
  const IrOp *op;
  int index;   // the result on the way
  IrVal extra; // while emitting: the first of the further results
} Branch;

typedef struct Winner { // one carried value
  const IrOp *loop;
  const IrRegion *body;
  int k;
  IrVal arg, leaf; // the carried value; what replaces it
  IrVals captured; // scalars that computing the leaf again reads, as they were when it won
  VEC(Branch) branches;
  Mark mark;
  int n_extra;      // what the loop carries for it: the captured values, then the flag
  const IrVal *old; // while emitting: those in the new loop's body
  IrVal none;       // ... the index of no iteration
} Winner;
typedef VEC(Winner) Winners;

typedef struct State {
  const IrFunc *f;
  Arena *arena;
  int *values;   // by value: uses other than by a detach
  int8_t *flows; // by value: does it follow from what the loop at hand carries? 0: not known, 1: no, 2: yes
  bool *seen;    // by value: looked at for the leaf at hand
  VEC(Winners *) open;
  bool changed;
} State;

static int first_arg(const IrOp *loop) { return loop->kind == IR_FOR ? 1 : 0; }
static int first_init(const IrOp *loop) { return loop->kind == IR_FOR ? 3 : 0; }
static const IrRegion *body_of(const IrOp *loop) { return loop->regions[loop->kind == IR_FOR ? 0 : 1]; }

// ---- what replaces the carried value ---------------------------------------------------------------------------------

static bool inside(const Winner *w, const State *s, IrVal v) {
  return ir_inside(ir_val(s->f, v)->region, w->body);
}

static bool is_index(const Winner *w, IrVal v) { return w->loop->kind == IR_FOR && v == w->body->args[0]; }

static bool note_leaf(Winner *w, const State *s, IrVal v) {
  if (!inside(w, s, v) || ir_is_const(s->f, v) || (w->leaf && w->leaf != v)) return false;
  w->leaf = v;
  return true;
}

// Goes from what the iteration yields back to the carried value and the one value that may take its place.
static bool find_leaf(Winner *w, State *s, IrVal v) {
  if (v == w->arg) return true;
  const IrOp *op = ir_val(s->f, v)->def;
  if (!op || !inside(w, s, v)) return false;
  int index = ir_val(s->f, v)->index;
  switch ((IrOpKind)op->kind) {
  case IR_MIN:
  case IR_MAX:
    if (op->args[0] == w->arg) return note_leaf(w, s, op->args[1]);
    if (op->args[1] == w->arg) return note_leaf(w, s, op->args[0]);
    return note_leaf(w, s, v);
  case IR_SELECT: {
    Winner before = *w;
    if (find_leaf(w, s, op->args[1]) && find_leaf(w, s, op->args[2])) return true;
    *w = before;
    return note_leaf(w, s, v);
  }
  case IR_ATTACH: return find_leaf(w, s, op->args[1]);
  case IR_IF: {
    Winner before = *w;
    vec_push(s->arena, &w->branches, ((Branch){op, index, 0}));
    if (find_leaf(w, s, op->regions[0]->yields[index]) && find_leaf(w, s, op->regions[1]->yields[index]))
      return true;
    *w = before;
    return note_leaf(w, s, v);
  }
  default: return note_leaf(w, s, v);
  }
}

// ---- can it be computed again? -----------------------------------------------------------------------------------------

static bool repeatable(const IrModule *m, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_TRAIN:
  case IR_MINIMIZE:
  case IR_FORMAT: return false;
  case IR_CALL:
  case IR_EXTERN:
    if (op->n_results && ir_op_has_effect(m, op)) return false;
    break;
  default: break;
  }
  for (int k = 0; k < op->n_regions; k++)
    for (int i = 0; i < op->regions[k]->ops.len; i++)
      if (!repeatable(m, op->regions[k]->ops.data[i])) return false;
  return true;
}

static void reads_of(const State *s, const IrOp *op, IrVals *out) {
  ir_free_values_op(s->arena, s->f, op, out);
  for (int k = 0; k < op->n_results; k++) {
    const IrVal *dims = ir_dims(s->f, ir_result(op, k));
    for (int d = 0; dims && d < ir_type(s->f, ir_result(op, k)).rank; d++)
      if (ir_val(s->f, dims[d])->def != op) vec_push(s->arena, out, dims[d]);
  }
}

static bool follows(const Winner *w, State *s, IrVal v) {
  if (!inside(w, s, v)) return false;
  const IrOp *op = ir_val(s->f, v)->def;
  if (!op) return !is_index(w, v);
  if (s->flows[v]) return s->flows[v] == 2;
  IrVals reads = {0};
  reads_of(s, op, &reads);
  bool yes = false;
  for (int k = 0; k < reads.len && !yes; k++) yes = follows(w, s, reads.data[k]);
  s->flows[v] = yes ? 2 : 1;
  return yes;
}

// What has no derivative may be kept instead: an int, a bool, a detached float.
static bool can_capture(const State *s, IrVal v) {
  IrType t = ir_type(s->f, v);
  if (t.rank || t.grow) return false;
  return t.elem == IR_INT || t.elem == IR_BOOL || (ir_is_float(t) && op_of(s->f, v, IR_DETACH));
}

static bool can_repeat(Winner *w, State *s, IrVal v) {
  if (!inside(w, s, v) || s->seen[v]) return true;
  s->seen[v] = true;
  const IrOp *op = ir_val(s->f, v)->def;
  if (can_capture(s, v) && (!op || follows(w, s, v))) {
    vec_push(s->arena, &w->captured, v);
    return true;
  }
  if (!op || !repeatable(s->f->module, op)) return false;
  IrVals reads = {0};
  reads_of(s, op, &reads);
  for (int k = 0; k < reads.len; k++)
    if (!can_repeat(w, s, reads.data[k])) return false;
  return true;
}

// ---- which loops -------------------------------------------------------------------------------------------------------

static bool few_trips(const State *s, const IrOp *loop) {
  int64_t lo, hi, step;
  return loop->kind == IR_FOR && ir_is_const_int(s->f, loop->args[0], &lo) &&
         ir_is_const_int(s->f, loop->args[1], &hi) && ir_is_const_int(s->f, loop->args[2], &step) &&
         const_trips(lo, hi, step) <= FEW_TRIPS;
}

// A minimum that starts from infinity, over ascending steps.
static bool starts_from_nothing(const Winner *w, const State *s) {
  const IrOp *op = ir_val(s->f, w->body->yields[w->k])->def;
  int64_t step;
  Const c;
  if (w->loop->kind != IR_FOR || !ir_is_const_int(s->f, w->loop->args[2], &step) || step <= 0) return false;
  if (op->kind != IR_MIN && op->kind != IR_MAX) return false;
  return const_get(s->f, w->loop->args[3 + w->k], &c) && isinf(c.v.f) && (c.v.f > 0) == (op->kind == IR_MIN);
}

static void forget(State *s) {
  for (int v = 0; v < s->f->vals.len; v++) s->flows[v] = 0, s->seen[v] = false;
}

static bool is_winner(Winner *w, State *s) {
  IrType t = ir_type(s->f, w->arg);
  if (!ir_is_float(t) || t.rank || t.grow || !s->values[ir_result(w->loop, w->k)]) return false;
  if (!find_leaf(w, s, w->body->yields[w->k]) || !w->leaf) return false;
  forget(s);
  if (!can_repeat(w, s, w->leaf)) return false;
  bool index = false;
  for (int k = 0; k < w->captured.len; k++) index |= is_index(w, w->captured.data[k]);
  w->mark = !index ? MARK_FLAG : starts_from_nothing(w, s) ? MARK_TRIPS : MARK_INDEX;
  w->n_extra = w->captured.len + (w->mark == MARK_FLAG);
  return true;
}

static Winners *find_winners(State *s, const IrOp *loop) {
  Winners *all = ARENA_NEW(s->arena, Winners);
  const IrRegion *body = body_of(loop);
  if (few_trips(s, loop)) return all;
  for (int k = 0; k < loop->n_results; k++) {
    Winner w = {.loop = loop, .body = body, .k = k, .arg = body->args[first_arg(loop) + k]};
    if (is_winner(&w, s)) vec_push(s->arena, all, w);
  }
  return all;
}

// ---- within the loop: who won -------------------------------------------------------------------------------------------

static IrVal chosen(IrBuilder *b, IrVal cond, IrVal x, IrVal y) {
  return x == y ? x : ir_op3(b, IR_SELECT, cond, x, y);
}

// What the loop carries for the winner once its value is v, where v can be seen.
static void extras(const Winner *w, IrBuilder *b, const IrMap *map, IrVal v, IrVal *out) {
  const IrOp *op = ir_val(map->from, v)->def;
  if (v == w->arg) {
    for (int j = 0; j < w->n_extra; j++) out[j] = w->old[j];
  } else if (v == w->leaf) {
    for (int j = 0; j < w->captured.len; j++) out[j] = ir_mapped(map, w->captured.data[j]);
    if (w->mark == MARK_FLAG) out[w->n_extra - 1] = ir_const_bool(b, true);
  } else if (op->kind == IR_ATTACH) {
    extras(w, b, map, op->args[1], out);
  } else if (op->kind == IR_IF) {
    const Branch *at = w->branches.data;
    while (at->op != op || at->index != ir_val(map->from, v)->index) at++;
    for (int j = 0; j < w->n_extra; j++) out[j] = at->extra + (IrVal)j;
  } else {
    IrVal *x = ARENA_ARRAY(b->func->arena, IrVal, w->n_extra),
          *y = ARENA_ARRAY(b->func->arena, IrVal, w->n_extra);
    IrVal first = op->args[0], second = op->args[1], cond;
    if (op->kind == IR_SELECT) {
      cond = ir_mapped(map, first);
      first = op->args[1], second = op->args[2];
    } else { // the first one if it is at most, or at least, the second
      bool least = op->kind == IR_MIN;
      cond = ir_op2(b, IR_LE, ir_mapped(map, least ? first : second), ir_mapped(map, least ? second : first));
    }
    extras(w, b, map, first, x);
    extras(w, b, map, second, y);
    for (int j = 0; j < w->n_extra; j++) out[j] = chosen(b, cond, x[j], y[j]);
  }
}

static IrRewrite rewrite;

typedef struct IfPart { // an IF, as a branch of a winner
  Winner *winner;
  Branch *branch;
} IfPart;
typedef VEC(IfPart) IfParts;

// The branches of open winners that are this IF.
static void branches_at(const State *s, const IrOp *op, IfParts *out) {
  for (int l = 0; l < s->open.len; l++)
    for (int k = 0; k < s->open.data[l]->len; k++) {
      Winner *w = &s->open.data[l]->data[k];
      for (int j = 0; j < w->branches.len; j++)
        if (w->branches.data[j].op == op) vec_push(s->arena, out, ((IfPart){w, &w->branches.data[j]}));
    }
}

// An IF on the way: what is carried for the winner becomes further results of it.
static bool widen_if(State *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IfParts parts = {0};
  branches_at(s, op, &parts);
  if (!parts.len) return false;
  int n = op->n_results, total = n;
  for (int i = 0; i < parts.len; i++) total += parts.data[i].winner->n_extra;
  const IrVal **dims = ARENA_ARRAY(s->arena, const IrVal *, total);
  for (int k = 0; k < n; k++) dims[k] = ir_sizes_like(s->arena, map, op, k);
  b->loc = op->loc;
  IrBuilder in[2];
  IrOp *now = ir_if(b, ir_mapped(map, op->args[0]), &in[0], &in[1]);
  for (int r = 0; r < 2; r++) {
    IrVal *yields = ARENA_ARRAY(s->arena, IrVal, total);
    ir_rewrite_ops(&in[r], map, op->regions[r], yields, rewrite, s);
    for (int i = 0, at = n; i < parts.len; at += parts.data[i++].winner->n_extra)
      extras(parts.data[i].winner, &in[r], map, op->regions[r]->yields[parts.data[i].branch->index],
             yields + at);
    ir_yield(&in[r], yields, total);
  }
  ir_close_if(b, now, dims);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(now, k));
  for (int i = 0, at = n; i < parts.len; at += parts.data[i++].winner->n_extra)
    parts.data[i].branch->extra = ir_result(now, at);
  return true;
}

// ---- behind the loop: the winner's iteration again -------------------------------------------------------------------------

static bool drop_effect(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user, (void)b, (void)map;
  return op->n_results == 0 && (ir_op_info[op->kind].flags & IR_E);
}

// Checks passed when the iteration ran.
static void clone_quietly(IrBuilder *b, IrMap *map, const IrOp *op) {
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, op->regions[k]->n_yields);
    ir_rewrite_ops(&in[k], map, op->regions[k], yields, drop_effect, NULL);
    ir_yield(&in[k], yields, op->regions[k]->n_yields);
  }
  ir_close_like(b, map, op, now);
}

static void compute(const State *s, IrBuilder *b, IrMap *map, IrVal v) {
  if (ir_mapped(map, v)) return;
  const IrOp *op = ir_val(s->f, v)->def;
  IrVals reads = {0};
  reads_of(s, op, &reads);
  for (int k = 0; k < reads.len; k++) compute(s, b, map, reads.data[k]);
  clone_quietly(b, map, op);
}

static IrVal something_won(const Winner *w, IrBuilder *b, const IrOp *now, const IrVal *extra) {
  if (w->mark == MARK_TRIPS) return ir_op2(b, IR_LT, now->args[0], now->args[1]);
  if (w->mark == MARK_FLAG) return extra[w->n_extra - 1];
  int at = 0;
  while (!is_index(w, w->captured.data[at])) at++;
  return ir_op2(b, IR_NE, extra[at], w->none);
}

static void replace_result(const State *s, const Winner *w, IrBuilder *b, IrMap *map, const IrOp *now,
                           const IrVal *extra) {
  IrMap again = *map;
  again.vals = ARENA_ARRAY(s->arena, IrVal, map->n);
  for (int v = 1; v < map->n; v++)
    if (!inside(w, s, (IrVal)v)) again.vals[v] = map->vals[v];
  for (int j = 0; j < w->captured.len; j++) again.vals[w->captured.data[j]] = extra[j];
  IrBuilder in[2];
  IrOp *branch = ir_if(b, something_won(w, b, now, extra), &in[0], &in[1]);
  compute(s, &in[0], &again, w->leaf);
  ir_yield(&in[0], &again.vals[w->leaf], 1);
  ir_yield(&in[1], &now->args[first_init(now) + w->k], 1);
  ir_close_if(b, branch, NULL);
  IrVal value = ir_op1(b, IR_DETACH, ir_result(now, w->k));
  ir_map_set(map, ir_result(w->loop, w->k), ir_op2(b, IR_ATTACH, value, branch->result));
}

// ---- the loop -------------------------------------------------------------------------------------------------------------

static IrVal zero(IrBuilder *b, IrType t) {
  if (t.elem == IR_INT) return ir_const_int(b, 0);
  return t.elem == IR_BOOL ? ir_const_bool(b, false) : ir_const_float(b, (IrElem)t.elem, 0.0);
}

static void first_extras(Winner *w, IrBuilder *b, const IrMap *map, IrVal *out) {
  IrVal lo = ir_mapped(map, w->loop->args[0]);
  for (int j = 0; j < w->captured.len; j++) {
    IrVal v = w->captured.data[j];
    out[j] = w->mark != MARK_FLAG && is_index(w, v) ? lo : zero(b, ir_type(map->from, v));
    if (w->mark == MARK_INDEX && is_index(w, v))
      out[j] = w->none = ir_op2(b, IR_SUB, lo, ir_mapped(map, w->loop->args[2]));
  }
  if (w->mark == MARK_FLAG) out[w->n_extra - 1] = ir_const_bool(b, false);
}

// The new loop, its regions open; the condition of a while loop is filled.
static IrOp *open_loop(State *s, IrBuilder *b, IrMap *map, const IrOp *op, const IrVal *inits, int n,
                       IrBuilder *in) {
  IrOp *now;
  if (op->kind == IR_FOR) {
    now = ir_for(b, ir_mapped(map, op->args[0]), ir_mapped(map, op->args[1]), ir_mapped(map, op->args[2]),
                 inits, n, in);
    ir_map_set(map, op->regions[0]->args[0], in->region->args[0]);
  } else {
    IrBuilder cond;
    IrVal go;
    now = ir_while(b, inits, n, &cond, in);
    for (int k = 0; k < op->n_results; k++) ir_map_set(map, op->regions[0]->args[k], cond.region->args[k]);
    ir_rewrite_ops(&cond, map, op->regions[0], &go, rewrite, s);
    ir_yield(&cond, &go, 1);
  }
  now->attr = op->attr;
  for (int k = 0; k < op->n_results; k++)
    ir_map_set(map, body_of(op)->args[first_arg(op) + k], in->region->args[first_arg(op) + k]);
  return now;
}

static bool rewrite_loop(State *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  Winners *all = find_winners(s, op);
  if (!all->len) return false;
  int n = op->n_results, total = n, at;
  for (int i = 0; i < all->len; i++) total += all->data[i].n_extra;
  IrVal *vals = ARENA_ARRAY(s->arena, IrVal, total);
  b->loc = op->loc;
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, op->args[first_init(op) + k]);
  at = n;
  for (int i = 0; i < all->len; at += all->data[i++].n_extra) first_extras(&all->data[i], b, map, vals + at);
  IrBuilder in;
  IrOp *now = open_loop(s, b, map, op, vals, total, &in);
  at = first_arg(op) + n;
  for (int i = 0; i < all->len; at += all->data[i++].n_extra) all->data[i].old = in.region->args + at;
  vec_push(s->arena, &s->open, all);
  ir_rewrite_ops(&in, map, body_of(op), vals, rewrite, s);
  (void)vec_pop(&s->open);
  at = n;
  for (int i = 0; i < all->len; at += all->data[i++].n_extra)
    extras(&all->data[i], &in, map, body_of(op)->yields[all->data[i].k], vals + at);
  ir_yield(&in, vals, total);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(now, k));
  for (int k = n; k < total; k++) vals[k] = ir_result(now, k);
  at = n;
  b->loc = op->loc;
  for (int i = 0; i < all->len; at += all->data[i++].n_extra)
    replace_result(s, &all->data[i], b, map, now, vals + at);
  return s->changed = true;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  if (op->kind == IR_IF) return widen_if(user, b, map, op);
  return (op->kind == IR_FOR || op->kind == IR_WHILE) && rewrite_loop(user, b, map, op);
}

static IrWalk count_detached(void *user, IrOp *op) {
  int *values = user;
  if (op->kind == IR_DETACH) values[op->args[0]]--;
  return IR_WALK_CONTINUE;
}

// A minimum over two indices is found from the inside: behind the inner loop, the branch that computes its winner again is
// what the outer one keeps or replaces.
IrFunc *opt_winner(IrFunc *f) {
  bool changed = f->body != NULL;
  for (int round = 0; changed && round < MAX_NEST; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    State s = {.f = f, .arena = scratch, .values = ir_use_counts(scratch, f)};
    s.flows = ARENA_ARRAY(scratch, int8_t, f->vals.len);
    s.seen = ARENA_ARRAY(scratch, bool, f->vals.len);
    ir_walk(f->body, count_detached, s.values);
    IrFunc *now = ir_rewrite_func(f, rewrite, &s);
    changed = s.changed;
    f = now;
    arena_free(scratch);
  }
  return f;
}

// ---- when all is differentiated ----------------------------------------------------------------------------------------------

static bool let_go(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  bool *changed = user;
  if (op->kind != IR_ATTACH) return false;
  IrVal value = ir_mapped(map, op->args[0]);
  const IrOp *detached = op_of(b->func, value, IR_DETACH);
  ir_map_set(map, op->result, detached ? detached->args[0] : value);
  return *changed = true;
}

static IrWalk find_attached(void *user, IrOp *op) {
  bool *found = user;
  *found |= op->kind == IR_ATTACH;
  return *found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *opt_settle(IrFunc *f) {
  bool found = false;
  if (!f->body) return f;
  ir_walk(f->body, find_attached, &found);
  return found ? opt_dce(ir_rewrite_func(f, let_go, &found)) : f;
}
