// Optimisation: the place of a maximum. In: an innermost loop that carries a maximum, or a minimum, and the index where it
// was found (as opt_winner makes it, or a program), of something cheap to compute. Out: the loop with the maximum alone, and
// one that looks for the first element that is equal to it; both run on whole vectors, which the two together cannot.
//
//   %m, %at = for ... (%b = %init, %a = %none) {     %m = for ... (%b = %init) { yield max %b, %e }
//     %k = le %e, %b                              ->  %p = for ... (%q = %hi) { yield min %q, (%i if %e = %m, else %hi) }
//     yield max %b, %e, select %k, %a, %i            %at = %p; %none where %m is %init; the last index where %m is NaN
//   }
//
// A NaN replaces everything from there on, so the last iteration has it. All bits stay.
#include "opt/internal.h"

enum { CHEAP_ELEMENT = 12 };

typedef struct Place { // a carried value, and the carried index of where it was found
  int best, index;
  IrVal e;
} Place;
typedef VEC(Place) Places;

typedef struct Find {
  const IrFunc *f;
  Arena *arena;
  const int *uses;
} Find;

// ---- is it one? -----------------------------------------------------------------------------------------------------------

// What the value is computed from lies outside the loop, or follows from the index; nothing is rounded in two ways.
typedef struct Slice {
  int cost;
  bool products, sums;
} Slice;

static bool is_cheap(const Find *s, const IrRegion *body, IrVal v, Slice *c) {
  if (!ir_inside(ir_val(s->f, v)->region, body) || v == body->args[0]) return true;
  const IrOp *op = ir_val(s->f, v)->def;
  if (!op || op->n_regions || !(ir_op_info[op->kind].flags & (IR_P | IR_D))) return false;
  if (ir_type(s->f, v).rank) return false;
  c->cost += 1 + ir_op_info[op->kind].cost;
  bool of_floats = ir_is_float(ir_type(s->f, v));
  c->products |= of_floats && (op->kind == IR_MUL || op->kind == IR_FMA);
  c->sums |= of_floats && (op->kind == IR_ADD || op->kind == IR_SUB || op->kind == IR_FMA);
  if (c->cost > CHEAP_ELEMENT || (c->products && c->sums)) return false;
  for (int k = 0; k < op->n_args; k++)
    if (!is_cheap(s, body, op->args[k], c)) return false;
  return true;
}

static bool is_maximum(const Find *s, const IrOp *loop, int k, Place *p) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k];
  const IrOp *op = ir_val(s->f, body->yields[k])->def;
  if (!ir_is_float(ir_type(s->f, arg)) || !op || op->parent != body || op->args[0] != arg) return false;
  if (op->kind != IR_MAX && op->kind != IR_MIN) return false;
  Slice c = {0};
  *p = (Place){.best = k, .e = op->args[1]};
  return s->uses[arg] == 2 && is_cheap(s, body, p->e, &c);
}

static bool is_its_index(const Find *s, const IrOp *loop, int k, Place *p) {
  const IrRegion *body = loop->regions[0];
  const IrOp *best = ir_val(s->f, body->yields[p->best])->def, *op = ir_val(s->f, body->yields[k])->def;
  IrVal arg = body->args[1 + k];
  if (!op || op->kind != IR_SELECT || op->parent != body || op->args[1] != arg ||
      op->args[2] != body->args[0])
    return false;
  const IrOp *keep = ir_val(s->f, op->args[0])->def;
  int first = best->kind == IR_MIN ? 0 : 1; // min keeps b where b <= e
  if (!keep || keep->kind != IR_LE || keep->args[first] != best->args[0] || keep->args[1 - first] != p->e)
    return false;
  p->index = k;
  return s->uses[arg] == 1 && s->uses[op->args[0]] == 1;
}

static bool runs_in_lanes(const IrOp *op) {
  for (; op; op = op->parent->owner)
    if (op->lanes > 1) return true;
  return false;
}

static Places find_places(const Find *s, const IrOp *loop) {
  Places all = {0};
  int64_t step;
  if (loop->kind != IR_FOR || loop->attr.i || !ir_is_const_int(s->f, loop->args[2], &step) || step != 1)
    return all;
  if (runs_in_lanes(loop) || ir_op_has_effect(s->f->module, loop)) return all;
  for (int i = 0; i < loop->regions[0]->ops.len; i++)
    if (loop->regions[0]->ops.data[i]->n_regions) return all;
  Place p;
  for (int k = 0; k < loop->n_results; k++)
    for (int j = 0; is_maximum(s, loop, k, &p) && j < loop->n_results; j++)
      if (is_its_index(s, loop, j, &p)) vec_push(s->arena, &all, p);
  return all;
}

// ---- looking for it -----------------------------------------------------------------------------------------------------------

static void compute(const Find *s, IrBuilder *b, IrMap *map, const IrRegion *body, IrVal v) {
  if (!ir_inside(ir_val(s->f, v)->region, body) || ir_mapped(map, v)) return;
  const IrOp *op = ir_val(s->f, v)->def;
  for (int k = 0; k < op->n_args; k++) compute(s, b, map, body, op->args[k]);
  ir_clone_op(b, map, op);
}

static IrVal look_for(const Find *s, IrBuilder *b, const IrMap *map, const IrOp *loop, const IrOp *now,
                      const Place *p) {
  const IrRegion *body = loop->regions[0];
  IrVal lo = now->args[0], hi = now->args[1], best = ir_result(now, p->best);
  IrMap again = *map;
  again.vals = ARENA_ARRAY(s->arena, IrVal, map->n);
  for (int v = 1; v < map->n; v++)
    if (!ir_inside(ir_val(s->f, (IrVal)v)->region, body)) again.vals[v] = map->vals[v];
  IrBuilder in;
  IrOp *search = ir_for(b, lo, hi, now->args[2], &hi, 1, &in);
  again.vals[body->args[0]] = in.region->args[0];
  compute(s, &in, &again, body, p->e);
  IrVal is = ir_op2(&in, IR_EQ, again.vals[p->e], best);
  IrVal here = ir_op3(&in, IR_SELECT, is, in.region->args[0], hi);
  IrVal first = ir_op2(&in, IR_MIN, in.region->args[1], here);
  ir_yield(&in, &first, 1);
  IrVal init = now->args[3 + p->best], none = now->args[3 + p->index];
  IrVal last = ir_op2(b, IR_SUB, hi, ir_const_int(b, 1));
  IrVal at = ir_op3(b, IR_SELECT, ir_op2(b, IR_NE, best, best), last, search->result);
  IrVal kept = ir_op2(b, IR_OR, ir_op2(b, IR_EQ, best, init), ir_op2(b, IR_LE, hi, lo));
  return ir_op3(b, IR_SELECT, kept, none, at);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  const Find *s = user;
  Places all = find_places(s, op);
  if (!all.len) return false;
  const IrOp *now = ir_clone_op(b, map, op);
  b->loc = op->loc;
  for (int i = 0; i < all.len; i++)
    ir_map_set(map, ir_result(op, all.data[i].index), look_for(s, b, map, op, now, &all.data[i]));
  return true;
}

IrFunc *opt_place(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Find s = {f, scratch, ir_use_counts(scratch, f)};
  f = ir_rewrite_func(f, rewrite, &s);
  arena_free(scratch);
  return opt_dce(f);
}
