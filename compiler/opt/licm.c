// Loop-invariant code. In: ordinary IR; out: the same with what does not change in a loop before it, as far out as its operands
// allow: scalars and tables that are pure and total, as the loop may not run at all; and where it is known to run, whatever
// its first iteration does before it can fail, branches and builds included. Nothing leaves a branch, which may be there to
// keep it from being computed.
#include "opt/internal.h"
#include "opt/scalar.h"

typedef struct Moved {
  const IrOp *op;
  int next; // moved to the same place after it; 0: none
} Moved;

typedef struct Licm {
  Arena *arena;
  const IrFunc *func;
  const IrRegion **home; // by value: where it will be; NULL: where it is
  VEC(Moved) moved;      // moved.data[0] is unused
  PtrMap first, last;    // by loop: the operations that move in front of it, indices into moved
  PtrMap gone;           // operations that are moved
  PtrMap effect;         // regions whose operations so far have one
  const bool *taken;     // by value: an array that something changes, carries on or hands on
} Licm;

static bool is_loop(const IrOp *op) {
  return op && (op->kind == IR_FOR || op->kind == IR_WHILE || op->kind == IR_BUILD);
}

// A C function with a rule depends on its arguments alone, and may be called where the program would not.
static bool calls_c(const IrFunc *f, const IrOp *op) {
  return op->kind == IR_EXTERN && op->attr.ext->pure && op->n_results == 1 &&
         !ir_is_array(ir_type(f, op->result));
}

static bool is_total(const IrFunc *f, const IrOp *op) {
  if (calls_c(f, op)) return true;
  return (ir_op_info[op->kind].flags & IR_P) && op->n_regions == 0 && op->n_results == 1 &&
         (op->kind == IR_TABLE || !ir_is_array(ir_type(f, op->result)));
}

static IrWalk find_unsure(void *user, IrOp *op) { // what may not end
  (void)user;
  return op->kind == IR_WHILE || (ir_op_info[op->kind].flags & IR_E) ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

// May it happen earlier, if it happens at all? Arrays that are only read may be there for all iterations.
static bool is_movable(const Licm *l, const IrOp *op) {
  if (is_total(l->func, op) || op->kind == IR_GET) return true;
  if (op->kind != IR_IF && op->kind != IR_BUILD && op->kind != IR_FOR) return false;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    if (ir_type(l->func, v).rank && (op->kind != IR_BUILD || l->taken[v])) return false;
  }
  for (int k = 0; k < op->n_regions; k++)
    if (!ir_walk(op->regions[k], find_unsure, NULL)) return false;
  return true;
}

// Does the loop run, and op in its first iteration, whatever happens before it?
static bool surely_runs(const Licm *l, const IrOp *op) {
  const IrRegion *r = op->parent;
  int64_t lo, hi, step;
  return r->owner->kind == IR_FOR && !ptr_get(&l->effect, r) &&
         ir_is_const_int(l->func, r->owner->args[0], &lo) &&
         ir_is_const_int(l->func, r->owner->args[1], &hi) &&
         ir_is_const_int(l->func, r->owner->args[2], &step) && const_trips(lo, hi, step) > 0;
}

static bool is_outside(const Licm *l, IrVal v, const IrRegion *r) {
  const IrRegion *home = l->home[v];
  return !ir_inside(home ? home : ir_val(l->func, v)->region, r);
}

static bool all_outside(const Licm *l, const IrOp *op, const IrVals *free, const IrRegion *r) {
  for (int i = 0; i < op->n_args; i++)
    if (!is_outside(l, op->args[i], r)) return false;
  for (int i = 0; i < free->len; i++)
    if (!is_outside(l, free->data[i], r)) return false;
  return true;
}

static void move_before(Licm *l, const IrOp *loop, const IrOp *op) {
  vec_push(l->arena, &l->moved, ((Moved){op, 0}));
  uint32_t now = (uint32_t)l->moved.len - 1, last = ptr_get(&l->last, loop);
  if (last)
    l->moved.data[last].next = (int)now;
  else
    ptr_put(l->arena, &l->first, loop, now);
  ptr_put(l->arena, &l->last, loop, now);
  ptr_put(l->arena, &l->gone, op, 1);
  for (int k = 0; k < op->n_results; k++) l->home[ir_result(op, k)] = loop->parent;
}

static IrWalk plan(void *user, IrOp *op) {
  Licm *l = user;
  if (ir_op_has_effect(l->func->module, op)) ptr_put(l->arena, &l->effect, op->parent, 1);
  if (!is_loop(op->parent->owner) || !is_movable(l, op)) return IR_WALK_CONTINUE;
  bool total = is_total(l->func, op);
  IrVals free = {0};
  if (op->n_regions) ir_free_values_op(l->arena, l->func, op, &free);
  const IrOp *before = NULL, *at = op;
  for (const IrRegion *r = op->parent; is_loop(r->owner) && all_outside(l, op, &free, r); r = r->outer) {
    if (!total && !surely_runs(l, at)) break;
    before = at = r->owner;
  }
  if (!before) return IR_WALK_CONTINUE;
  move_before(l, before, op);
  return IR_WALK_PRUNE;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Licm *l = user;
  if (ptr_get(&l->gone, op)) return true;
  if (is_loop(op))
    for (uint32_t i = ptr_get(&l->first, op); i; i = (uint32_t)l->moved.data[i].next)
      ir_clone_op(b, map, l->moved.data[i].op);
  return false;
}

IrFunc *opt_licm(IrFunc *f) {
  if (!f->body) return f;
  Licm l = {.arena = f->arena, .func = f};
  l.home = ARENA_ARRAY(f->arena, const IrRegion *, f->vals.len);
  l.taken = opt_taken(f->arena, f);
  vec_push(l.arena, &l.moved, ((Moved){0}));
  ir_walk(f->body, plan, &l);
  return l.moved.len > 1 ? ir_rewrite_func(f, rewrite, &l) : f;
}
