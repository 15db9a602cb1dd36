// Loop-invariant code. In: ordinary IR; out: the same with scalars and tables that do not change in a loop before it, as far
// out as their operands allow. Only pure and total operations move, as the loop may not run at all; nothing leaves a
// branch, which may be there to keep it from being computed.
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
} Licm;

static bool is_loop(const IrOp *op) {
  return op && (op->kind == IR_FOR || op->kind == IR_WHILE || op->kind == IR_BUILD);
}

static bool movable(const IrFunc *f, const IrOp *op) {
  return (ir_op_info[op->kind].flags & IR_P) && op->n_regions == 0 && op->n_results == 1 &&
         (op->kind == IR_TABLE || !ir_is_array(ir_type(f, op->result)));
}

static bool all_outside(const Licm *l, const IrOp *op, const IrRegion *r) {
  for (int i = 0; i < op->n_args; i++) {
    const IrRegion *home = l->home[op->args[i]];
    if (ir_inside(home ? home : ir_val(l->func, op->args[i])->region, r)) return false;
  }
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
  l->home[op->result] = loop->parent;
}

static IrWalk plan(void *user, IrOp *op) {
  Licm *l = user;
  if (!movable(l->func, op)) return IR_WALK_CONTINUE;
  const IrOp *before = NULL;
  for (const IrRegion *r = op->parent; is_loop(r->owner) && all_outside(l, op, r); r = r->outer)
    before = r->owner;
  if (before) move_before(l, before, op);
  return IR_WALK_CONTINUE;
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
  vec_push(l.arena, &l.moved, ((Moved){0}));
  ir_walk(f->body, plan, &l);
  return l.moved.len > 1 ? ir_rewrite_func(f, rewrite, &l) : f;
}
