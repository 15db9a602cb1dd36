// Which values of a loop's body are the same in all of its iterations, and whether the iterations may run side by side.
//
// In: a function, before or after the memory pass, and one of its FORs. Out: for each value how it differs from one
// iteration to the next, and what becomes of what the loop carries. Values rise from "the same" to "its own" until nothing
// changes any more; arrays that share memory rise together.
#include "ir/ir.h"

#include <string.h>

enum { UNSEEN = 255 }; // no operation has said anything about the value yet

typedef struct Row { // how the body uses an array that the loop carries
  bool read, set, added_by_all, apart;
  int axis;    // on which each lane has an index of its own,
  IrVal index; // this one, which stays the same throughout an iteration
} Row;

typedef struct Find {
  const IrFunc *f;
  const IrSums *sums;
  IrLanes *out;
  Row *rows;    // by the loop's results
  int branches; // around, that not every lane takes
  bool changed, refused;
} Find;

static bool outside(const Find *d, IrVal v) {
  return !ir_inside(ir_val(d->f, v)->region, d->out->loop->regions[0]);
}

static int kind_of(const Find *d, IrVal v) { return outside(d, v) ? LANE_SAME : d->out->kind[v]; }
static bool is_same(const Find *d, IrVal v) {
  int k = kind_of(d, v);
  return k == LANE_SAME || k == UNSEEN;
}

static void refuse(Find *d) { d->refused = true; }

static void raise_to(Find *d, IrVal v, int kind, int64_t stride) {
  uint8_t *now = &d->out->kind[v];
  if (outside(d, v) || kind == UNSEEN) return;
  if (*now == UNSEEN) {
    *now = (uint8_t)kind;
    d->out->stride[v] = stride;
    d->changed = true;
  } else if (*now != LANE_OWN && (*now != kind || (kind == LANE_LINEAR && d->out->stride[v] != stride))) {
    *now = LANE_OWN;
    d->changed = true;
  }
}

static void raise_like(Find *d, IrVal v, IrVal like) {
  raise_to(d, v, kind_of(d, like), d->out->stride[like]);
}

// The two are one array, changed in place; one from outside is copied instead.
static void share(Find *d, IrVal a, IrVal b) {
  int *of = d->out->carried_by;
  if (!ir_type(d->f, a).rank) {
    raise_like(d, b, a);
    return;
  }
  if (of[a] != of[b]) {
    if ((of[a] && of[b]) || outside(d, a) || outside(d, b)) refuse(d);
    d->changed = true;
    of[a] = of[b] = of[a] ? of[a] : of[b];
  }
  raise_like(d, a, b);
  raise_like(d, b, a);
}

// ---- scalars -----------------------------------------------------------------------------------------------------------

static bool linear(const Find *d, IrVal v, int64_t *stride) {
  int k = kind_of(d, v);
  *stride = k == LANE_LINEAR ? d->out->stride[v] : 0;
  return k != LANE_OWN;
}

static bool linear_result(const Find *d, const IrOp *op, int64_t *stride) {
  int64_t x, y = 0, c;
  if (op->n_args > 2 || !linear(d, op->args[0], &x) || (op->n_args == 2 && !linear(d, op->args[1], &y)))
    return false;
  switch ((IrOpKind)op->kind) {
  case IR_ADD: return !__builtin_add_overflow(x, y, stride);
  case IR_SUB: return !__builtin_sub_overflow(x, y, stride);
  case IR_MUL:
    if (!y && ir_is_const_int(d->f, op->args[1], &c)) return !__builtin_mul_overflow(x, c, stride);
    return !x && ir_is_const_int(d->f, op->args[0], &c) && !__builtin_mul_overflow(y, c, stride);
  default: return false;
  }
}

// What vector registers have no instructions for.
static bool scalar_only(const Find *d, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_POWI: return !ir_is_const(d->f, op->args[1]);
  case IR_IDIV:
  case IR_IMOD:
  case IR_IPOW:
  case IR_RNG_UNIFORM:
  case IR_RNG_NORMAL:
  case IR_RNG_BELOW:
  case IR_STR: return true;
  default: return false;
  }
}

static void visit_scalar(Find *d, const IrOp *op) {
  bool same = true;
  int64_t stride;
  for (int k = 0; k < op->n_args; k++) {
    if (kind_of(d, op->args[k]) == UNSEEN) return;
    same &= is_same(d, op->args[k]);
  }
  if (same) {
    raise_to(d, op->result, LANE_SAME, 0);
  } else if (ir_type(d->f, op->result).elem == IR_INT && linear_result(d, op, &stride)) {
    raise_to(d, op->result, stride ? LANE_LINEAR : LANE_SAME, stride);
  } else {
    if (scalar_only(d, op)) refuse(d);
    raise_to(d, op->result, LANE_OWN, 0);
  }
}

// ---- arrays ------------------------------------------------------------------------------------------------------------

static bool same_indices(const Find *d, const IrOp *op, int n) {
  for (int k = 1; k <= n; k++)
    if (!is_same(d, op->args[k])) return false;
  return true;
}

static void note_access(Find *d, const IrOp *op, Row *row) {
  int n = ir_type(d->f, op->args[0]).rank, axis = -1;
  row->read |= op->kind == IR_GET;
  row->set |= op->kind == IR_SET;
  row->added_by_all |= op->kind == IR_ACC && same_indices(d, op, n);
  for (int k = 1; k <= n && axis < 0; k++)
    if (kind_of(d, op->args[k]) == LANE_LINEAR &&
        ir_val(d->f, op->args[k])->region == d->out->loop->regions[0])
      axis = k;
  if (axis < 0 || (row->axis && (row->axis != axis || row->index != op->args[axis]))) row->apart = false;
  row->axis = axis;
  row->index = axis < 0 ? 0 : op->args[axis];
}

static void visit_element(Find *d, const IrOp *op) {
  IrVal a = op->args[0];
  int n = ir_type(d->f, a).rank, of = d->out->carried_by[a];
  if (op->kind == IR_GET) {
    bool same = kind_of(d, a) != LANE_OWN && same_indices(d, op, n);
    raise_to(d, op->result, same && !of ? LANE_SAME : LANE_OWN, 0);
    return;
  }
  share(d, op->result, a);
  if (of) {
    if (d->branches && op->kind == IR_SET) refuse(d);
    raise_to(d, op->result, LANE_SAME, 0);
    return;
  }
  if (!same_indices(d, op, n) || !is_same(d, op->args[n + 1])) raise_to(d, op->result, LANE_OWN, 0);
}

static void visit_region(Find *d, const IrRegion *r);

static void visit_build(Find *d, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < op->n_args; k++) {
    if (!is_same(d, op->args[k])) refuse(d);
    raise_to(d, body->args[k], LANE_SAME, 0);
  }
  visit_region(d, body);
  for (int k = 0; k < op->n_results; k++)
    raise_to(d, ir_result(op, k), is_same(d, body->yields[k]) ? LANE_SAME : LANE_OWN, 0);
}

static void visit_for(Find *d, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < 3; k++)
    if (!is_same(d, op->args[k])) refuse(d);
  if (op->lanes) refuse(d);
  raise_to(d, body->args[0], LANE_SAME, 0);
  for (int k = 0; k < op->n_results; k++) {
    share(d, op->args[3 + k], body->args[1 + k]);
    share(d, body->args[1 + k], ir_result(op, k));
  }
  visit_region(d, body);
  for (int k = 0; k < op->n_results; k++) {
    share(d, body->yields[k], body->args[1 + k]);
    share(d, body->args[1 + k], ir_result(op, k));
  }
}

// Where lanes part, both branches run, each for the lanes that take it. Of arrays only accumulators may come out.
static void visit_if(Find *d, const IrOp *op) {
  bool part = !is_same(d, op->args[0]);
  d->branches += part;
  for (int i = 0; i < 2; i++) {
    visit_region(d, op->regions[i]);
    for (int k = 0; k < op->n_results; k++) {
      IrVal r = ir_result(op, k), v = op->regions[i]->yields[k];
      share(d, v, r);
      if (!part) continue;
      if (!ir_type(d->f, r).rank)
        raise_to(d, r, LANE_OWN, 0);
      else if (!d->out->carried_by[v])
        refuse(d);
    }
  }
  d->branches -= part;
}

static void all_same(Find *d, const IrOp *op) {
  for (int k = 0; k < op->n_args; k++)
    if (!is_same(d, op->args[k]) || d->out->carried_by[op->args[k]]) refuse(d);
  for (int k = 0; k < op->n_results; k++) raise_to(d, ir_result(op, k), LANE_SAME, 0);
}

static void visit_op(Find *d, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_GET:
  case IR_SET:
  case IR_ACC: visit_element(d, op); return;
  case IR_FILL:
    for (int k = 1; k < op->n_args; k++)
      if (!is_same(d, op->args[k])) refuse(d);
    raise_to(d, op->result, is_same(d, op->args[0]) ? LANE_SAME : LANE_OWN, 0);
    return;
  case IR_TABLE: raise_to(d, op->result, LANE_SAME, 0); return;
  case IR_COPY:
    if (d->out->carried_by[op->args[0]]) refuse(d);
    raise_like(d, op->result, op->args[0]);
    return;
  case IR_FREE: return;
  case IR_BUILD: visit_build(d, op); return;
  case IR_FOR: visit_for(d, op); return;
  case IR_IF: visit_if(d, op); return;
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV: return;
  case IR_MATMUL: all_same(d, op); return;
  default:
    if (op->n_regions || !(ir_op_info[op->kind].flags & (IR_P | IR_D)) || op->n_results != 1 ||
        ir_type(d->f, op->result).rank)
      refuse(d);
    else
      visit_scalar(d, op);
    return;
  }
}

static void visit_region(Find *d, const IrRegion *r) {
  for (int i = 0; i < r->ops.len && !d->refused; i++) visit_op(d, r->ops.data[i]);
}

// ---- what the loop carries ---------------------------------------------------------------------------------------------

static IrWalk note_op(void *user, IrOp *op) {
  Find *d = user;
  bool element = op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC;
  int of = element ? d->out->carried_by[op->args[0]] : 0;
  if (of) note_access(d, op, &d->rows[of - 1]);
  return IR_WALK_CONTINUE;
}

static bool settle_carried(Find *d) {
  IrLanes *out = d->out;
  const IrRegion *body = out->loop->regions[0];
  ir_walk((IrRegion *)body, note_op, d);
  for (int k = 0; k < out->loop->n_results; k++) {
    IrVal v = body->args[1 + k];
    const Row *row = &d->rows[k];
    if (!ir_type(d->f, v).rank) {
      if (!d->sums->family[v]) return false;
      out->carried[k] = LANE_SUM;
      continue;
    }
    if (ir_type(d->f, v).grow || out->carried_by[body->yields[k]] != k + 1) return false;
    bool only_added = !row->read && !row->set;
    if (!only_added && !(row->apart && !row->added_by_all)) return false;
    out->carried[k] = only_added && row->added_by_all ? LANE_COPIES : LANE_ROWS;
  }
  for (int v = 1; v < d->f->vals.len; v++) { // each lane adds to its copy
    int of = out->carried_by[v];
    if (out->kind[v] == UNSEEN) out->kind[v] = LANE_SAME;
    if (of && !outside(d, (IrVal)v) && out->carried[of - 1] == LANE_COPIES) out->kind[v] = LANE_OWN;
  }
  return true;
}

bool ir_lanes(Arena *scratch, const IrFunc *f, const IrSums *sums, const IrOp *loop, IrLanes *out) {
  int n = f->vals.len;
  const IrRegion *body = loop->regions[0];
  int64_t step;
  if (!ir_is_const_int(f, loop->args[2], &step) || step != 1 || loop->attr.i) return false;
  *out = (IrLanes){.loop = loop,
                   .kind = ARENA_ARRAY(scratch, uint8_t, n),
                   .stride = ARENA_ARRAY(scratch, int64_t, n),
                   .carried_by = ARENA_ARRAY(scratch, int, n),
                   .carried = ARENA_ARRAY(scratch, uint8_t, loop->n_results + 1)};
  Find d = {.f = f, .sums = sums, .out = out, .rows = ARENA_ARRAY(scratch, Row, loop->n_results + 1)};
  memset(out->kind, UNSEEN, (size_t)n);
  raise_to(&d, body->args[0], LANE_LINEAR, 1);
  for (int k = 0; k < loop->n_results; k++) {
    IrVal v = body->args[1 + k];
    bool array = ir_type(f, v).rank > 0;
    d.rows[k].apart = true;
    if (array) out->carried_by[v] = k + 1;
    raise_to(&d, v, array ? LANE_SAME : LANE_OWN, 0);
  }
  for (d.changed = true; d.changed && !d.refused;) {
    d.changed = false;
    visit_region(&d, body);
  }
  return !d.refused && settle_carried(&d);
}
