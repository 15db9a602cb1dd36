// Which elements of an array a loop touches: those with its index on some axis? Then its iterations have nothing to do with
// each other there.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { ALL_AXES = 255 };

typedef struct Touch {
  const IrFunc *f;
  const IrRegion *body;
  bool *version; // by value: the array, as it is at some point of the body
  int axes; // on which all accesses have the loop's index; 0: one has not, or the array is used as a whole
} Touch;

const IrOp *opt_loop_around(const IrRegion *r) {
  while (r->owner && r->owner->kind == IR_IF) r = r->outer;
  return r->owner;
}

bool opt_is_index(const IrFunc *f, const IrOp *loop, IrVal v, const IrRegion *r) {
  const IrRegion *body = loop->regions[0];
  if (v == body->args[0]) return true;
  for (; r != body; r = r->outer) {
    const IrOp *branch = r->owner;
    const IrOp *cond = branch->kind == IR_IF ? ir_val(f, branch->args[0])->def : NULL;
    if (!cond || cond->kind != (r == branch->regions[0] ? IR_EQ : IR_NE)) continue;
    for (int k = 0; k < 2; k++)
      if (cond->args[k] == body->args[0] && ints_equal(f, cond->args[1 - k], v)) return true;
  }
  return false;
}

static int axes_of(const Touch *t, const IrOp *op) {
  int axes = 0, rank = ir_type(t->f, op->args[0]).rank;
  for (int d = 0; d < rank; d++)
    if (opt_is_index(t->f, t->body->owner, op->args[1 + d], op->parent)) axes |= 1 << d;
  return axes;
}

static void touch_region(Touch *t, const IrRegion *r, bool may_change);

// A branch that changes the array hands it out, and the other branch too.
static void touch_branches(Touch *t, const IrOp *op, bool may_change) {
  for (int k = 0; k < op->n_regions; k++) touch_region(t, op->regions[k], may_change && op->kind == IR_IF);
  for (int k = 0; op->kind == IR_IF && k < op->n_results; k++) {
    bool one = t->version[op->regions[0]->yields[k]], other = t->version[op->regions[1]->yields[k]];
    t->version[ir_result(op, k)] = one;
    if (one != other) t->axes = 0;
  }
}

static void touch_region(Touch *t, const IrRegion *r, bool may_change) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) {
      if (!t->version[op->args[k]]) continue;
      bool element = op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC,
           changes = op->kind != IR_GET;
      t->axes &= element && k == 0 && (!changes || may_change) ? axes_of(t, op) : 0;
      if (element && changes) t->version[op->result] = true;
    }
    touch_branches(t, op, may_change);
  }
  for (int k = 0; r != t->body && r->owner->kind != IR_IF && k < r->n_yields; k++)
    if (t->version[r->yields[k]]) t->axes = 0;
}

// `out`: where the body yields it; -1: nowhere.
static int axes_touched(Arena *scratch, const IrFunc *f, const IrOp *loop, IrVal array, int out) {
  Touch t = {f, loop->regions[0], ARENA_ARRAY(scratch, bool, f->vals.len), ALL_AXES};
  t.version[array] = true;
  touch_region(&t, t.body, true);
  for (int k = 0; k < t.body->n_yields; k++)
    if (t.version[t.body->yields[k]] != (k == out)) return 0;
  return t.axes;
}

int opt_axes_read(Arena *scratch, const IrFunc *f, const IrOp *loop, IrVal array) {
  return axes_touched(scratch, f, loop, array, -1);
}

int opt_axes_carried(Arena *scratch, const IrFunc *f, const IrOp *loop, int k) {
  if (loop->kind == IR_BUILD) return 1;
  return axes_touched(scratch, f, loop, loop->regions[0]->args[1 + k], k);
}

static IrWalk note_taken(void *user, IrOp *op) {
  bool *taken = user;
  for (int k = 0; k < op->n_args; k++) taken[op->args[k]] |= op->kind != IR_GET;
  for (int r = 0; r < op->n_regions; r++)
    for (int k = 0; k < op->regions[r]->n_yields; k++) taken[op->regions[r]->yields[k]] = true;
  return IR_WALK_CONTINUE;
}

const bool *opt_taken(Arena *a, const IrFunc *f) {
  bool *taken = ARENA_ARRAY(a, bool, f->vals.len);
  ir_walk(f->body, note_taken, taken);
  return taken;
}
