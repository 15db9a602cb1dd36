// Optimisation: branches on the same condition become one. In: two IF operations of one region with the same condition, of
// which the second changes no array, has no effect and yields scalars. Out: one in the place of the first, which yields what
// both do. What both branches compute is then computed once (cse), and what the second read of the first's results is at hand.
//
// What the second one needs from between the two moves in front, so it must be pure and not depend on the first.
#include "opt/internal.h"

enum { ROUNDS = 16 };

typedef struct Branches {
  const IrFunc *f;
  Arena *arena;
  IrMap map;
  bool changed;
} Branches;

typedef struct Pair {
  int first, second; // positions in the region
  bool *before;      // by position: moves in front of the first
} Pair;

// ---- finding a pair ----------------------------------------------------------------------------------------------------

static IrWalk has_flag(void *user, IrOp *op) {
  unsigned flags = *(unsigned *)user;
  return (ir_op_info[op->kind].flags & flags) ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

// It can stand earlier: reads arrays at most, yields scalars. What is only defined behind a check stays behind it.
static bool moves(const Branches *s, const IrOp *op, bool checks) {
  unsigned flags = IR_U | IR_E | (checks ? IR_D : 0);
  for (int k = 0; k < op->n_results; k++)
    if (ir_is_array(ir_type(s->f, ir_result(op, k)))) return false;
  return ir_walk(op->regions[0], has_flag, &flags) && ir_walk(op->regions[1], has_flag, &flags);
}

static bool is_result_of(const Branches *s, IrVal v, const IrOp *op) { return ir_val(s->f, v)->def == op; }

// Position of the operation in the region that v comes from; -1: from further out, or an argument.
static int home_of(const Branches *s, const IrRegion *r, IrVal v) {
  const IrOp *def = ir_val(s->f, v)->def;
  if (!def || def->parent != r) return -1;
  int at = 0;
  while (r->ops.data[at] != def) at++;
  return at;
}

// Marks what has to move for v to be known in front of the first; false where that cannot be.
static bool bring_forward(const Branches *s, const IrRegion *r, Pair *p, IrVal v, bool checks) {
  int at = home_of(s, r, v);
  if (at < p->first || p->before[at]) return true;
  const IrOp *op = r->ops.data[at];
  unsigned may = checks ? IR_P : IR_P | IR_D;
  if (at == p->first || op->n_regions || !(ir_op_info[op->kind].flags & may)) return false;
  if (op->n_results != 1 || ir_is_array(ir_type(s->f, op->result))) return false;
  for (int k = 0; k < op->n_args; k++)
    if (!bring_forward(s, r, p, op->args[k], checks)) return false;
  return p->before[at] = true;
}

static bool fits(const Branches *s, const IrRegion *r, Pair *p) {
  const IrOp *first = r->ops.data[p->first], *second = r->ops.data[p->second];
  bool checks = false;
  for (int i = p->first; i < p->second; i++) {
    p->before[i] = false;
    checks |= ir_op_has_effect(s->f->module, r->ops.data[i]);
  }
  if (!moves(s, second, checks)) return false;
  IrVals needs = {0};
  ir_free_values_op(s->arena, s->f, second, &needs);
  for (int k = 0; k < needs.len; k++) {
    if (is_result_of(s, needs.data[k], first)) continue;
    if (!bring_forward(s, r, p, needs.data[k], checks)) return false;
  }
  return true;
}

static bool find_pair(const Branches *s, const IrRegion *r, Pair *p) {
  for (p->second = 1; p->second < r->ops.len; p->second++) {
    const IrOp *second = r->ops.data[p->second];
    if (second->kind != IR_IF) continue;
    for (p->first = 0; p->first < p->second; p->first++) {
      const IrOp *first = r->ops.data[p->first];
      if (first->kind != IR_IF || first->args[0] != second->args[0]) continue;
      if (!p->before) p->before = ARENA_ARRAY(s->arena, bool, r->ops.len);
      if (fits(s, r, p)) return true;
    }
  }
  return false;
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

static IrRebuild rebuild_region;

static void map_results(Branches *s, const IrOp *op, const IrVal *now) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&s->map, ir_result(op, k), now[k]);
}

static void merge(Branches *s, IrBuilder *b, const IrOp *first, const IrOp *second) {
  int n = first->n_results, total = n + second->n_results;
  IrVal *yields = ARENA_ARRAY(s->arena, IrVal, total);
  IrBuilder in[2];
  b->loc = first->loc;
  IrOp *now = ir_if(b, ir_mapped(&s->map, first->args[0]), &in[0], &in[1]);
  for (int k = 0; k < 2; k++) {
    rebuild_region(s, &in[k], first->regions[k], yields);
    map_results(s, first, yields); // as the second one reads them, in this branch
    rebuild_region(s, &in[k], second->regions[k], yields + n);
    ir_yield(&in[k], yields, total);
  }
  b->loc = first->loc;
  const IrVal **dims = ARENA_ARRAY(s->arena, const IrVal *, total); // the second one's results are scalars
  for (int k = 0; k < n; k++) dims[k] = ir_sizes_like(s->arena, &s->map, first, k);
  ir_close_if(b, now, dims);
  for (int k = 0; k < total; k++) {
    const IrOp *op = k < n ? first : second;
    IrVal old = ir_result(op, k < n ? k : k - n);
    ir_map_set(&s->map, old, ir_result(now, k));
    ir_name(b->func, ir_result(now, k), ir_val(s->f, old)->name);
  }
  s->changed = true;
}

static void rebuild_region(void *user, IrBuilder *b, const IrRegion *r, IrVal *yields) {
  Branches *s = user;
  Pair p = {0};
  bool found = find_pair(s, r, &p);
  for (int i = 0; i < r->ops.len; i++) {
    if (found && i == p.second) continue;
    if (found && i > p.first && i < p.second && p.before[i]) continue;
    if (!found || i != p.first) {
      ir_rebuild_op(b, &s->map, r->ops.data[i], rebuild_region, s);
      continue;
    }
    for (int k = p.first + 1; k < p.second; k++)
      if (p.before[k]) ir_rebuild_op(b, &s->map, r->ops.data[k], rebuild_region, s);
    merge(s, b, r->ops.data[p.first], r->ops.data[p.second]);
  }
  for (int k = 0; k < r->n_yields; k++) yields[k] = ir_mapped(&s->map, r->yields[k]);
}

static IrWalk is_branch(void *user, IrOp *op) {
  int *n = user;
  *n += op->kind == IR_IF;
  return *n > 1 ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *opt_branches(IrFunc *f) {
  int n = 0;
  bool changed = f->body && !ir_walk(f->body, is_branch, &n);
  for (int round = 0; changed && round < ROUNDS; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Branches s = {.f = f, .arena = scratch};
    f = ir_rebuild_func(f, scratch, &s.map, rebuild_region, &s, &s.changed);
    changed = s.changed;
    arena_free(scratch);
  }
  return f;
}
