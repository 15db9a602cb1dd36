// Optimisation: sizes that are known. In: a function in which `check_size` says that a size is some constant. Out: the same,
// with the constant in the place of that size in everything behind the check, types included. What is known to be small can
// then be unrolled and kept in registers.
//
// The check stays, and so do the types of what was there before it: the parameters.
#include "opt/internal.h"

typedef struct Hidden { // what a value of the old function was mapped to before a check
  IrVal old, was;
} Hidden;

typedef struct Sizes {
  Arena *arena;
  VEC(Hidden) hidden; // innermost region last
} Sizes;

static IrRewrite rewrite;

static void replace(Sizes *s, IrMap *map, IrVal size, IrVal constant) {
  for (int v = 1; v < map->n; v++) {
    if (map->vals[v] != size) continue;
    vec_push(s->arena, &s->hidden, ((Hidden){(IrVal)v, size}));
    map->vals[v] = constant;
  }
}

static void after_check(Sizes *s, const IrFunc *f, IrMap *map, const IrOp *op) {
  for (int k = 0; k < 2; k++) {
    IrVal size = ir_mapped(map, op->args[k]), other = ir_mapped(map, op->args[1 - k]);
    if (ir_is_const(f, size) || !ir_is_const(f, other)) continue;
    replace(s, map, size, other);
    return;
  }
}

// What a check in a region says holds to the region's end.
static void copy_regions(Sizes *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    int before = s->hidden.len;
    IrVal *yields = ARENA_ARRAY(s->arena, IrVal, r->n_yields);
    ir_rewrite_ops(&in[k], map, r, yields, rewrite, s);
    ir_yield(&in[k], yields, r->n_yields);
    while (s->hidden.len > before) {
      Hidden h = vec_pop(&s->hidden);
      ir_map_set(map, h.old, h.was);
    }
  }
  ir_close_like(b, map, op, now);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Sizes *s = user;
  if (op->n_regions) {
    copy_regions(s, b, map, op);
    return true;
  }
  if (op->kind != IR_CHECK_SIZE) return false;
  ir_clone_op(b, map, op);
  after_check(s, b->func, map, op);
  return true;
}

static IrWalk tells(void *user, IrOp *op) {
  const IrFunc *f = user;
  bool useful = op->kind == IR_CHECK_SIZE && ir_is_const(f, op->args[0]) != ir_is_const(f, op->args[1]);
  return useful ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

IrFunc *opt_sizes(IrFunc *f) {
  if (!f->body || ir_walk(f->body, tells, f)) return f;
  Sizes s = {.arena = f->arena};
  return ir_rewrite_func(f, rewrite, &s);
}
