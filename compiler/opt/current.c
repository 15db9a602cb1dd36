// Optimisation: reads of an array as it is. In: a loop that changes an array and reads it as it was before the loop,
// `c[i] = 0.5 * c[i - 1]` with rows. Out: the same reads of the array as it is there, where that is no difference: of elements
// that the loop does not change, or not yet. Else the array would have to be copied in front of the loop, all rows for the sake
// of one.
#include "opt/internal.h"
#include "opt/scalar.h"

typedef struct Current {
  const IrFunc *f;
  bool changed;
} Current;

static bool is_outside(const Current *c, IrVal v, const IrOp *loop) {
  return !ir_inside(ir_val(c->f, v)->region, loop->regions[0]);
}

// In all iterations these are different elements.
static bool differs(const Current *c, const IrOp *loop, const IrOp *get, const IrOp *change) {
  for (int k = 1; k < get->n_args; k++) {
    IrVal x = get->args[k], y = change->args[k];
    if (is_outside(c, x, loop) && is_outside(c, y, loop) && ints_differ(c->f, x, y)) return true;
  }
  return false;
}

// The iteration's own element: no other iteration changes it.
static bool is_own(const IrOp *loop, const IrOp *get, const IrOp *change) {
  bool own = false;
  for (int k = 1; k < get->n_args; k++) {
    if (get->args[k] != change->args[k]) return false;
    own |= get->args[k] == loop->regions[0]->args[0];
  }
  return own;
}

static int place_in(const IrRegion *r, const IrOp *op) {
  while (op->parent != r) op = op->parent->owner;
  for (int i = 0; i < r->ops.len; i++)
    if (r->ops.data[i] == op) return i;
  return -1;
}

// The version of the loop's k-th array that may be read instead; 0: none.
static IrVal version_at(const Current *c, const IrOp *loop, int k, const IrOp *get) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k], found = 0;
  int at = place_in(body, get);
  for (IrVal v = body->yields[k];;) {
    const IrOp *op = v == arg ? NULL : ir_val(c->f, v)->def;
    if (v != arg && (!op || op->parent != body || (op->kind != IR_SET && op->kind != IR_ACC))) return 0;
    bool before = !op || place_in(body, op) < at;
    if (before && !found) found = v;
    if (!op) return found;
    if (!differs(c, loop, get, op) && (before || !is_own(loop, get, op))) return 0;
    v = op->args[0];
  }
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Current *c = user;
  const IrOp *loop = op->kind == IR_GET ? opt_loop_around(op->parent) : NULL;
  if (!loop || loop->kind != IR_FOR || op->n_args < 3) return false;
  for (int k = 0; k < loop->n_results; k++) {
    IrVal v = loop->args[3 + k] == op->args[0] ? version_at(c, loop, k, op) : 0;
    if (!v) continue;
    IrVal index[IR_MAX_RANK];
    for (int d = 0; d < op->n_args - 1; d++) index[d] = ir_mapped(map, op->args[1 + d]);
    b->loc = op->loc;
    ir_map_set(map, op->result, ir_get(b, ir_mapped(map, v), index, op->n_args - 1));
    return c->changed = true;
  }
  return false;
}

IrFunc *opt_current(IrFunc *f) {
  if (!f->body) return f;
  Current c = {.f = f};
  IrFunc *now = ir_rewritten(f, rewrite, &c);
  if (!c.changed) return f;
  ir_module_replace(f->module, f, now);
  return now;
}
