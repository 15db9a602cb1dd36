// A judge of functions after the memory and storage passes: arrays are linear. Walks every path once; in: a verified
// function; out: the first array that is used after its end, ended twice, ended by somebody who does not own it, or never
// ended. What lives in the frame or in a kept block needs no end, stays in its block and in the region it was made in, or
// is what the branches hand out, both of them.
#include "ir_judge.h"

typedef enum Life { UNSEEN, OWNED, BORROWED, ENDED } Life;

typedef struct Linear {
  Arena *arena;
  const IrFunc *f;
  Life *life;             // by value
  const IrRegion **owner; // by value: who has to end it
  IrVal *block; // by value: the frame's or kept block that it is in, named by its first value; 0: the heap
  const char *bad;
} Linear;

static void fail(Linear *l, const IrOp *op, IrVal v, const char *what) {
  if (l->bad) return;
  StrBuf sb;
  sb_init(&sb, l->arena);
  ir_print_func(l->f, &sb);
  Name name = ir_val(l->f, v)->name;
  l->bad = arena_printf(l->arena, "@%s: value %u (%s) %s at `%s`\n%s", l->f->name, (unsigned)v,
                        name ? name : "", what, op ? ir_op_info[op->kind].text : "yield", sb.data);
}

static bool is_array(const Linear *l, IrVal v) { return ir_is_array(ir_type(l->f, v)); }

static void give(Linear *l, IrVal v, const IrRegion *r, Life life) {
  if (!is_array(l, v)) return;
  l->life[v] = life;
  l->owner[v] = r;
}

static void look(Linear *l, const IrOp *op, IrVal v) {
  if (is_array(l, v) && l->life[v] == ENDED) fail(l, op, v, "is used after its end");
}

// Branches may end what the region around them owns; loops and builds may not.
static bool may_end(const Linear *l, IrVal v, const IrRegion *r) {
  while (r != l->owner[v] && r->owner && r->owner->kind == IR_IF) r = r->outer;
  return r == l->owner[v];
}

static void end(Linear *l, const IrOp *op, IrVal v, const IrRegion *r) {
  if (!is_array(l, v)) return;
  if (l->life[v] == ENDED)
    fail(l, op, v, "ends twice");
  else if (l->life[v] != OWNED)
    fail(l, op, v, "ends though it is borrowed");
  else if (!may_end(l, v, r))
    fail(l, op, v, "ends in a region that does not own it");
  l->life[v] = ENDED;
}

static void leave_heap(Linear *l, const IrOp *op, IrVal v) {
  if (is_array(l, v) && l->block[v])
    fail(l, op, v, "is handed on or freed though it has no block of its own");
}

static bool uses_up(const Linear *l, const IrOp *op, int k) {
  if (ir_op_info[op->kind].flags & IR_U) return k == 0;
  switch ((IrOpKind)op->kind) {
  case IR_FREE: return true;
  case IR_FOR: return k >= 3;
  case IR_WHILE: return true;
  case IR_CALL: {
    const IrFunc *callee = ir_func_find(l->f->module, op->attr.sym);
    return callee && k < callee->n_params && callee->params[k].moved;
  }
  default: return false;
  }
}

static void walk_region(Linear *l, const IrRegion *r, Life args);

static void walk_branches(Linear *l, const IrOp *op) {
  size_t n = (size_t)l->f->vals.len;
  Life *before = ARENA_ARRAY(l->arena, Life, n), *then = ARENA_ARRAY(l->arena, Life, n);
  for (size_t v = 0; v < n; v++) before[v] = l->life[v];
  walk_region(l, op->regions[0], OWNED);
  for (size_t v = 0; v < n; v++) then[v] = l->life[v], l->life[v] = before[v];
  walk_region(l, op->regions[1], OWNED);
  for (size_t v = 1; v < n; v++)
    if (before[v] == OWNED && then[v] != l->life[v]) fail(l, op, (IrVal)v, "ends in one branch only");
}

// Blocks that are not freed: made here, changed in place, carried through FOR loops in place.
static void open_blocks(Linear *l, const IrOp *op) {
  for (int k = 0; k < op->n_args; k++)
    if (uses_up(l, op, k) && op->kind != IR_FOR && !(ir_op_info[op->kind].flags & IR_U))
      leave_heap(l, op, op->args[k]);
  for (int k = 0; op->kind == IR_FOR && k < op->n_results; k++)
    l->block[op->regions[0]->args[1 + k]] = l->block[op->args[3 + k]] ? op->regions[0]->args[1 + k] : 0;
}

static IrVal from_branches(Linear *l, const IrOp *op, int k) {
  bool then = l->block[op->regions[0]->yields[k]], otherwise = l->block[op->regions[1]->yields[k]];
  if (then != otherwise) fail(l, op, ir_result(op, k), "has a block of its own in one branch only");
  return then ? ir_result(op, k) : 0;
}

static void close_blocks(Linear *l, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    if (op->on_stack || op->kept)
      l->block[v] = v;
    else if (op->kind == IR_FOR)
      l->block[v] = l->block[op->args[3 + k]];
    else if (op->kind == IR_IF)
      l->block[v] = from_branches(l, op, k);
    else if (ir_op_info[op->kind].flags & IR_U)
      l->block[v] = l->block[op->args[0]];
  }
}

static void walk_op(Linear *l, const IrOp *op, const IrRegion *r) {
  for (int k = 0; k < op->n_args; k++) look(l, op, op->args[k]);
  open_blocks(l, op);
  for (int k = 0; k < op->n_args; k++)
    if (uses_up(l, op, k)) end(l, op, op->args[k], r);
  // What it uses up and reads besides is gone.
  for (int k = 0; k < op->n_args; k++)
    if (!uses_up(l, op, k)) look(l, op, op->args[k]);
  switch ((IrOpKind)op->kind) {
  case IR_IF: walk_branches(l, op); break;
  case IR_WHILE:
    walk_region(l, op->regions[0], BORROWED);
    walk_region(l, op->regions[1], OWNED);
    break;
  default:
    for (int k = 0; k < op->n_regions; k++) walk_region(l, op->regions[k], OWNED);
    break;
  }
  for (int k = 0; k < op->n_results; k++) give(l, ir_result(op, k), r, OWNED);
  close_blocks(l, op);
}

static void hand_out(Linear *l, const IrRegion *r) {
  bool loop = r->owner && r->owner->kind == IR_FOR, branch = r->owner && r->owner->kind == IR_IF;
  for (int k = 0; k < r->n_yields; k++) {
    look(l, NULL, r->yields[k]);
    IrVal block = l->block[r->yields[k]];
    if (branch && block && ir_inside(ir_val(l->f, block)->region, r)) continue;
    if (!loop)
      leave_heap(l, NULL, r->yields[k]);
    else if (is_array(l, r->yields[k]) && l->block[r->yields[k]] != l->block[r->args[1 + k]])
      fail(l, NULL, r->yields[k], "leaves the block of its carried value");
  }
  for (int k = 0; k < r->n_yields; k++) end(l, NULL, r->yields[k], r);
}

static void walk_region(Linear *l, const IrRegion *r, Life args) {
  for (int k = 0; k < r->n_args; k++) {
    bool borrowed = args == BORROWED || (!r->owner && !l->f->params[k].moved);
    give(l, r->args[k], r, borrowed ? BORROWED : OWNED);
  }
  for (int i = 0; i < r->ops.len && !l->bad; i++) walk_op(l, r->ops.data[i], r);
  hand_out(l, r);
  for (int v = 1; v < l->f->vals.len; v++)
    if (l->owner[v] == r && l->life[v] == OWNED && !l->block[v]) fail(l, NULL, (IrVal)v, "never ends");
}

const char *judge_linear(Arena *a, const IrFunc *f) {
  if (!f->body) return NULL;
  Linear l = {.arena = a, .f = f};
  l.life = ARENA_ARRAY(a, Life, f->vals.len);
  l.owner = ARENA_ARRAY(a, const IrRegion *, f->vals.len);
  l.block = ARENA_ARRAY(a, IrVal, f->vals.len);
  walk_region(&l, f->body, OWNED);
  return l.bad;
}
