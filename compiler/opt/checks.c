// Checks. In: ordinary IR; out: the same without the checks (and comparisons) that range.c proves, and with checks of
// counted loops moved in front of them where that is safe: one check of each end of the range instead of one per element.
//
// A check may leave a loop when its body does nothing that shows (no call, no print, no assertion), surely comes to the
// check in each round, and ends: then a program that fails still fails, only sooner. It stands under a test that the loop
// runs at all. Such a test with checks under it can leave the next loop in turn.
#include "opt/range.h"

enum { MAX_MOVES = 8, MAX_TREE = 6 };

typedef struct Checks {
  Arena *arena;
  const IrFunc *f;
  Range *r;
  PtrMap gone; // operations that moved
  bool
      move; // this walk moves; walks that only prove come before, as more is known inside than in front of a loop
  bool moved;
} Checks;

// ---- what is proven --------------------------------------------------------------------------------------------------

static bool proven(Checks *c, const IrOp *op) {
  const IrVal *a = op->args;
  Range *r = c->r;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX: return range_at_least(r, a[0], 0, 0) && range_at_least(r, a[1], a[0], 1);
  case IR_CHECK_RANGE:
    return range_at_least(r, a[0], 0, 0) && range_at_least(r, a[1], a[0], 0) &&
           range_at_least(r, a[2], a[1], 0);
  case IR_CHECK_SIZE: return range_at_least(r, a[0], a[1], 0) && range_at_least(r, a[1], a[0], 0);
  default: return range_at_least(r, a[0], 0, 1) || range_of(r, a[0]).hi < 0; // CHECK_DIV
  }
}

static bool decided(Checks *c, const IrOp *op, bool *truth) {
  IrVal a = op->args[0], b = op->args[1];
  Range *r = c->r;
  bool less = op->kind == IR_LT, equal = op->kind == IR_EQ || op->kind == IR_NE;
  if (!equal && range_at_least(r, b, a, less ? 1 : 0)) return *truth = true;
  if (!equal && range_at_least(r, a, b, less ? 0 : 1)) return *truth = false, true;
  if (!equal) return false;
  if (!range_at_least(r, a, b, 1) && !range_at_least(r, b, a, 1)) return false;
  *truth = op->kind == IR_NE;
  return true;
}

static bool decide(Checks *c, IrBuilder *b, IrMap *map, const IrOp *op) {
  bool truth;
  if (ir_type(c->f, op->args[0]).elem != IR_INT || !decided(c, op, &truth)) return false;
  b->loc = op->loc;
  ir_map_set(map, op->result, ir_const_bool(b, truth));
  return true;
}

// One operand of a min or max where the order is known.
static bool choose(Checks *c, IrMap *map, const IrOp *op) {
  if (ir_type(c->f, op->args[0]).elem != IR_INT) return false;
  for (int k = 0; k < 2; k++) {
    IrVal a = op->args[k], b = op->args[1 - k];
    if (!range_at_least(c->r, op->kind == IR_MIN ? b : a, op->kind == IR_MIN ? a : b, 0)) continue;
    ir_map_set(map, op->result, ir_mapped(map, a));
    return true;
  }
  return false;
}

// ---- what may move ---------------------------------------------------------------------------------------------------

static bool is_check(const IrOp *op) { return op->kind >= IR_CHECK_INDEX && op->kind <= IR_CHECK_DIV; }

static IrWalk nothing_shows(void *user, IrOp *op) {
  (void)user;
  if (op->kind == IR_WHILE) return IR_WALK_STOP;
  return is_check(op) || !(ir_op_info[op->kind].flags & IR_E) ? IR_WALK_CONTINUE : IR_WALK_STOP;
}

typedef struct Loop { // a loop that checks are about to leave
  const IrOp *op;
  const IrRegion *body;
  int n; // indices
  IrVal low[IR_MAX_RANK],
      high[IR_MAX_RANK]; // their first and last values, of the new function; 0: not made yet
  bool affine;           // indices step by one, and their span is no overflow
} Loop;

static int index_of(const Loop *l, IrVal v) {
  for (int k = 0; k < l->n; k++)
    if (l->body->args[k] == v) return k;
  return -1;
}

static bool movable(const IrFunc *f, const IrOp *op) {
  return op && (ir_op_info[op->kind].flags & IR_P) && op->n_regions == 0 && op->n_results == 1 &&
         !ir_is_array(ir_type(f, op->result));
}

// The value before the loop, or what can be computed there.
static bool invariant(const Checks *c, const Loop *l, IrVal v, int depth) {
  if (ir_defined_outside(c->f, v, l->body)) return true;
  const IrOp *op = ir_val(c->f, v)->def;
  if (depth == 0 || !movable(c->f, op)) return false;
  for (int i = 0; i < op->n_args; i++)
    if (!invariant(c, l, op->args[i], depth - 1)) return false;
  return true;
}

// v as a sum of an invariant and of indices with the signs that come out in `signs`.
static bool affine(const Checks *c, const Loop *l, IrVal v, int sign, int *signs, int depth) {
  int k = index_of(l, v);
  if (k >= 0) {
    signs[k] += sign;
    return l->affine && signs[k] >= -1 && signs[k] <= 1;
  }
  if (invariant(c, l, v, depth)) return true;
  const IrOp *op = ir_val(c->f, v)->def;
  if (depth == 0 || !op) return false;
  if (op->kind == IR_NEG) return affine(c, l, op->args[0], -sign, signs, depth - 1);
  if (op->kind != IR_ADD && op->kind != IR_SUB) return false;
  return affine(c, l, op->args[0], sign, signs, depth - 1) &&
         affine(c, l, op->args[1], op->kind == IR_ADD ? sign : -sign, signs, depth - 1);
}

static bool check_moves(const Checks *c, const Loop *l, const IrOp *op) {
  int signs[IR_MAX_RANK] = {0}, first = 0;
  if (op->kind == IR_CHECK_INDEX && affine(c, l, op->args[0], 1, signs, MAX_TREE)) first = 1;
  for (int i = first; i < op->n_args; i++)
    if (!invariant(c, l, op->args[i], MAX_TREE)) return false;
  return true;
}

static bool moves(const Checks *c, const Loop *l, const IrOp *op);

static bool only_checks(const Checks *c, const Loop *l, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++)
    if (!movable(c->f, r->ops.data[i]) && !moves(c, l, r->ops.data[i])) return false;
  return true;
}

// A check, or a branch with nothing but checks in it.
static bool moves(const Checks *c, const Loop *l, const IrOp *op) {
  if (is_check(op)) return check_moves(c, l, op);
  return op->kind == IR_IF && op->n_results == 0 && invariant(c, l, op->args[0], MAX_TREE) &&
         only_checks(c, l, op->regions[0]) && only_checks(c, l, op->regions[1]);
}

// ---- moving ----------------------------------------------------------------------------------------------------------

// v at one corner of the indices: signs tell for each whether its last (-1: first) value makes v largest.
static IrVal emit_value(Checks *c, IrBuilder *b, IrMap *map, Loop *l, IrVal v, const int *signs, bool top) {
  int k = index_of(l, v);
  if (k >= 0) return (signs[k] > 0) == top ? l->high[k] : l->low[k];
  if (ir_defined_outside(c->f, v, l->body)) return ir_mapped(map, v);
  const IrOp *op = ir_val(c->f, v)->def;
  for (int i = 0; i < op->n_args; i++) {
    IrVal now = emit_value(c, b, map, l, op->args[i], signs, top);
    if (!ir_defined_outside(c->f, op->args[i], l->body)) ir_map_set(map, op->args[i], now);
  }
  ir_clone_op(b, map, op); // inside values are mapped anew when the loop itself is copied
  return ir_mapped(map, v);
}

static void emit_check(Checks *c, IrBuilder *b, IrMap *map, Loop *l, const IrOp *op) {
  int signs[IR_MAX_RANK] = {0};
  bool varies = op->kind == IR_CHECK_INDEX && !invariant(c, l, op->args[0], MAX_TREE);
  if (varies) affine(c, l, op->args[0], 1, signs, MAX_TREE);
  for (int top = 0; top <= varies; top++) {
    IrVal args[3];
    b->loc = op->loc;
    for (int i = 0; i < op->n_args; i++) args[i] = emit_value(c, b, map, l, op->args[i], signs, top);
    ir_op(b, op->kind, args, op->n_args);
    vec_last(&b->region->ops)->attr = op->attr;
  }
}

static void emit_moved(Checks *c, IrBuilder *b, IrMap *map, Loop *l, const IrOp *op) {
  if (is_check(op)) {
    emit_check(c, b, map, l, op);
    return;
  }
  int none[IR_MAX_RANK] = {0};
  IrBuilder in[2];
  IrVal cond = emit_value(c, b, map, l, op->args[0], none, false);
  b->loc = op->loc;
  IrOp *now = ir_if(b, cond, &in[0], &in[1]);
  for (int k = 0; k < 2; k++) {
    const IrRegion *r = op->regions[k];
    for (int i = 0; i < r->ops.len; i++)
      if (!movable(c->f, r->ops.data[i])) emit_moved(c, &in[k], map, l, r->ops.data[i]);
    ir_yield(&in[k], NULL, 0);
  }
  ir_close_if(b, now, NULL);
}

static IrVal both(IrBuilder *b, IrVal x, IrVal y) { return x && y ? ir_op2(b, IR_AND, x, y) : x ? x : y; }

// Says when the loop runs at all; 0: always.
static IrVal emit_runs(Checks *c, IrBuilder *b, const IrMap *map, const Loop *l) {
  IrVal cond = 0;
  const IrVal *a = l->op->args;
  if (l->op->kind == IR_FOR) {
    int64_t step = 1;
    ir_is_const_int(c->f, a[2], &step);
    IrVal from = step > 0 ? a[0] : a[1], to = step > 0 ? a[1] : a[0];
    if (range_at_least(c->r, to, from, 1)) return 0;
    return ir_op2(b, IR_LT, ir_mapped(map, from), ir_mapped(map, to));
  }
  for (int k = 0; k < l->n; k++)
    if (!range_at_least(c->r, a[k], 0, 1))
      cond = both(b, cond, ir_op2(b, IR_LT, ir_const_int(b, 0), ir_mapped(map, a[k])));
  return cond;
}

static void emit_corners(Checks *c, IrBuilder *b, const IrMap *map, Loop *l) {
  const IrVal *a = l->op->args;
  int64_t step = 1;
  if (l->op->kind == IR_FOR) ir_is_const_int(c->f, a[2], &step);
  for (int k = 0; l->affine && k < l->n; k++) {
    IrVal one = ir_const_int(b, step > 0 ? -1 : 1);
    if (l->op->kind == IR_BUILD) {
      l->low[k] = ir_const_int(b, 0);
      l->high[k] = ir_op2(b, IR_ADD, ir_mapped(map, a[k]), one);
    } else {
      IrVal inner = ir_op2(b, IR_ADD, ir_mapped(map, a[1]), one);
      l->low[k] = step > 0 ? ir_mapped(map, a[0]) : inner;
      l->high[k] = step > 0 ? inner : ir_mapped(map, a[0]);
    }
  }
}

static bool open_loop(Checks *c, const IrOp *op, Loop *l) {
  *l = (Loop){.op = op, .body = op->regions[0], .n = op->kind == IR_FOR ? 1 : op->n_args, .affine = true};
  if (op->kind == IR_FOR) {
    int64_t step;
    if (!ir_is_const_int(c->f, op->args[2], &step) || step == 0) return false;
    Interval lo = range_of(c->r, op->args[0]), hi = range_of(c->r, op->args[1]);
    int64_t span;
    bool wide =
        step > 0 ? __builtin_sub_overflow(hi.hi, lo.lo, &span) : __builtin_sub_overflow(lo.hi, hi.lo, &span);
    l->affine = (step == 1 || step == -1) && !wide;
  }
  return ir_walk(op->regions[0], nothing_shows, NULL);
}

static void move_checks(Checks *c, IrBuilder *b, IrMap *map, const IrOp *op) {
  Loop l;
  VEC(const IrOp *) leaving = {0};
  const IrRegion *body = op->regions[0];
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *in = body->ops.data[i];
    if (!is_check(in) && (in->kind != IR_IF || in->n_results)) continue;
    if (leaving.len == 0 && !open_loop(c, op, &l)) return;
    if (moves(c, &l, in)) vec_push(c->arena, &leaving, in);
  }
  if (leaving.len == 0) return;
  c->moved = true;
  b->loc = op->loc;
  IrVal runs = emit_runs(c, b, map, &l);
  IrBuilder in[2] = {*b};
  IrOp *guard = runs ? ir_if(b, runs, &in[0], &in[1]) : NULL;
  IrBuilder *at = runs ? &in[0] : b;
  emit_corners(c, at, map, &l);
  for (int i = 0; i < leaving.len; i++) {
    emit_moved(c, at, map, &l, leaving.data[i]);
    ptr_put(c->arena, &c->gone, leaving.data[i], 1);
  }
  if (!guard) return;
  for (int k = 0; k < 2; k++) ir_yield(&in[k], NULL, 0);
  ir_close_if(b, guard, NULL);
}

// ---- the pass --------------------------------------------------------------------------------------------------------

static IrRewrite rewrite;

static void copy_regions(Checks *c, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    IrVal *yields = ARENA_ARRAY(c->arena, IrVal, r->n_yields);
    RangeMark m = range_mark(c->r);
    range_enter(c->r, op, k);
    ir_rewrite_ops(&in[k], map, r, yields, rewrite, c);
    range_reset(c->r, m);
    ir_yield(&in[k], yields, r->n_yields);
  }
  ir_close_like(b, map, op, now);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Checks *c = user;
  bool drop = ptr_get(&c->gone, op);
  if (drop && op->kind == IR_IF) return true;
  if (op->n_regions) {
    if (c->move && (op->kind == IR_FOR || op->kind == IR_BUILD)) move_checks(c, b, map, op);
    copy_regions(c, b, map, op);
  } else if (is_check(op)) {
    if (!c->move && proven(c, op)) drop = true;
  } else if (!c->move && op->kind >= IR_LT && op->kind <= IR_NE) {
    drop = decide(c, b, map, op);
  } else if (!c->move && (op->kind == IR_MIN || op->kind == IR_MAX)) {
    drop = choose(c, map, op);
  }
  range_define(c->r, op); // of checks that moved, too: they hold here
  return drop || op->n_regions;
}

static bool walk(IrFunc **f, bool move) {
  Checks c = {.arena = (*f)->arena, .f = *f, .r = range_new((*f)->arena, *f), .move = move};
  *f = ir_rewrite_func(*f, rewrite, &c);
  return c.moved;
}

IrFunc *opt_checks(IrFunc *f) {
  if (!f->body) return f;
  bool moved = true;
  for (int i = 0; i < MAX_MOVES && moved; i++) {
    walk(&f, false);
    moved = walk(&f, true);
    f = opt_dce(f);
  }
  return f;
}
