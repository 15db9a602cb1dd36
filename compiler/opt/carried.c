// Optimisation: carried values that are always the same. In: loops, such as two that were merged, that carry a value twice.
// Out: one of them takes the place of the others, which die (dce).
//
// Optimistic: carried values with the same init are assumed equal until an iteration tells them apart; what is left is
// proved, since equal inits and equal steps from equal values stay equal.
#include "opt/internal.h"

enum { MAX_DEPTH = 40 }; // of the expressions that are compared

typedef struct Carried {
  const IrFunc *f;
  Arena *arena;
  IrVal *leader; // by value: a value that is always equal to it; itself by default
} Carried;

static IrVal lead(const Carried *c, IrVal v) { return c->leader[v]; }

static bool equal(const Carried *c, IrVal x, IrVal y, int depth) {
  x = lead(c, x), y = lead(c, y);
  if (x == y) return true;
  const IrOp *a = ir_val(c->f, x)->def, *b = ir_val(c->f, y)->def;
  if (!a || !b || depth == MAX_DEPTH || a->kind != b->kind || a->n_regions || a->n_args != b->n_args)
    return false;
  if (!(ir_op_info[a->kind].flags & (IR_P | IR_D)) || a->n_results != 1 || a->attr.i != b->attr.i)
    return false;
  if (!ir_type_eq(ir_type(c->f, x), ir_type(c->f, y))) return false;
  for (int k = 0; k < a->n_args; k++)
    if (!equal(c, a->args[k], b->args[k], depth + 1)) return false;
  return true;
}

// Splits what an iteration tells apart; true if something was split.
static bool refine(Carried *c, const IrOp *loop, const IrRegion *body, int first_arg) {
  bool split = false;
  IrVal *left = ARENA_ARRAY(c->arena, IrVal, loop->n_results); // the leader that it lost; 0: none
  for (int k = 0; k < loop->n_results; k++) {
    IrVal arg = body->args[first_arg + k], first = lead(c, arg);
    if (first == arg) continue;
    if (equal(c, body->yields[k], body->yields[ir_val(c->f, first)->index - first_arg], 0)) continue;
    int j = 0; // the first one that left with it
    while (j < k && (left[j] != first || !equal(c, body->yields[k], body->yields[j], 0))) j++;
    c->leader[arg] = body->args[first_arg + j];
    left[k] = first;
    split = true;
  }
  return split;
}

static void analyse(Carried *c, const IrRegion *r);

static void analyse_loop(Carried *c, const IrOp *loop) {
  bool counted = loop->kind == IR_FOR;
  const IrRegion *body = loop->regions[counted ? 0 : 1];
  int first_arg = counted ? 1 : 0, first_init = counted ? 3 : 0;
  for (int k = 0; k < loop->n_results; k++) {
    for (int j = 0; j < k; j++) {
      IrVal x = loop->args[first_init + k], y = loop->args[first_init + j];
      if (!ir_type_eq(ir_type(c->f, x), ir_type(c->f, y)) || !equal(c, x, y, 0)) continue;
      c->leader[body->args[first_arg + k]] = lead(c, body->args[first_arg + j]);
      break;
    }
  }
  // Inner loops may be equal only while the assumption holds, so they are looked at anew after each split.
  do analyse(c, body);
  while (refine(c, loop, body, first_arg));
  for (int k = 0; k < loop->n_results; k++) {
    IrVal first = lead(c, body->args[first_arg + k]);
    c->leader[ir_result(loop, k)] = ir_result(loop, ir_val(c->f, first)->index - first_arg);
  }
}

static void reset(Carried *c, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_results; k++) c->leader[ir_result(op, k)] = ir_result(op, k);
    for (int k = 0; k < op->n_regions; k++) {
      for (int j = 0; j < op->regions[k]->n_args; j++)
        c->leader[op->regions[k]->args[j]] = op->regions[k]->args[j];
      reset(c, op->regions[k]);
    }
  }
}

static void analyse(Carried *c, const IrRegion *r) {
  reset(c, r);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->kind == IR_FOR || op->kind == IR_WHILE)
      analyse_loop(c, op);
    else
      for (int k = 0; k < op->n_regions; k++) analyse(c, op->regions[k]);
  }
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Carried *c = user;
  if (op->kind != IR_FOR && op->kind != IR_WHILE) return false;
  bool counted = op->kind == IR_FOR;
  const IrRegion *body = op->regions[counted ? 0 : 1];
  int first_arg = counted ? 1 : 0;
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_results; k++) {
    int j = ir_val(c->f, lead(c, body->args[first_arg + k]))->index - first_arg;
    for (int i = 0; j != k && i < op->n_regions; i++)
      ir_map_set(map, op->regions[i]->args[first_arg + k],
                 ir_mapped(map, op->regions[i]->args[first_arg + j]));
  }
  for (int i = 0; i < op->n_regions; i++) {
    IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, op->regions[i]->n_yields);
    ir_rewrite_ops(&in[i], map, op->regions[i], yields, rewrite, c);
    now->regions[i]->yields = yields;
    now->regions[i]->n_yields = op->regions[i]->n_yields;
  }
  ir_close_like(b, map, op, now);
  for (int k = 0; k < op->n_results; k++)
    ir_map_set(map, ir_result(op, k), ir_mapped(map, lead(c, ir_result(op, k))));
  return true;
}

IrFunc *opt_carried(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Carried c = {f, scratch, ARENA_ARRAY(scratch, IrVal, f->vals.len)};
  for (int v = 0; v < f->vals.len; v++) c.leader[v] = (IrVal)v;
  analyse(&c, f->body);
  bool any = false;
  for (int v = 0; v < f->vals.len; v++) any |= c.leader[v] != (IrVal)v;
  if (any) f = ir_rewrite_func(f, rewrite, &c);
  arena_free(scratch);
  return f;
}
