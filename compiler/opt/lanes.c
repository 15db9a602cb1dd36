// Optimisation: iterations in SIMD lanes. In: a loop whose iterations do not depend on each other, sums aside, with loops
// inside that all of them run equally often. Out: the same loop marked to run so many iterations side by side, one in each
// lane of the vector registers, inner loops included, and a loop for what is left, by single registers, masked. Rows that
// an inner loop would read again and again, each lane its own, are first turned into an array whose elements stand side
// by side.
//
// Sums are taken lane by lane: their terms in another order. What depends on what: ir/lanes.c.
#include "opt/internal.h"

static const double TYPICAL_TRIPS = 32.0, WORTH = 0.8;
static const double SCATTERED = 1.5; // reading one element more from somewhere else, against one operation
static const double ADDED_APART = 3.0;
static const double SPEED_OF_INNER = 0.5; // how well LLVM does with an inner loop, against full vectors
enum { MOST_COPIED = 1 << 20, MOST_OWN = 1 << 18, MOST_REGISTERS = 4, LIVE_VECTORS = 48 };

typedef struct Choice {
  const IrFunc *f;
  Arena *arena;
  const IrSums *sums;
  const IrOp *loop;
  IrLanes lanes;
  IrVals rows; // arrays whose rows are turned
  IrVals turned;
  int register_lanes, width; // of one vector register; of the chosen loop
} Choice;

// ---- rows that are read again ------------------------------------------------------------------------------------------

// Does v change from one iteration of r's operation to the next?
static bool varies_in(const Choice *c, IrVal v, const IrRegion *r) {
  const IrValue *val = ir_val(c->f, v);
  if (!ir_inside(val->region, r)) return false;
  if (!val->def) return val->region == r || (val->region->owner->kind == IR_FOR && val->index > 0);
  if (val->def->n_regions) return true;
  for (int k = 0; k < val->def->n_args; k++)
    if (varies_in(c, val->def->args[k], r)) return true;
  return false;
}

// A loop between this access and the lanes' own reads the same again in each of its iterations.
static bool is_read_again(const Choice *c, const IrOp *get) {
  for (const IrRegion *r = get->parent; r != c->loop->regions[0]; r = r->outer) {
    if (r->owner->kind != IR_FOR && r->owner->kind != IR_BUILD) continue;
    bool varies = false;
    for (int k = 2; k < get->n_args; k++) varies |= varies_in(c, get->args[k], r);
    if (!varies) return true;
  }
  return false;
}

static bool is_row(const Choice *c, const IrOp *op) {
  const IrRegion *body = c->loop->regions[0];
  return op->kind == IR_GET && op->n_args > 2 && op->args[1] == body->args[0] &&
         !ir_inside(ir_val(c->f, op->args[0])->region, body);
}

static int find_row(const Choice *c, IrVal array) {
  for (int k = 0; k < c->rows.len; k++)
    if (c->rows.data[k] == array) return k;
  return -1;
}

static IrWalk note_row(void *user, IrOp *op) {
  Choice *c = user;
  if (is_row(c, op) && find_row(c, op->args[0]) < 0 && is_read_again(c, op))
    vec_push(c->arena, &c->rows, op->args[0]);
  return IR_WALK_CONTINUE;
}

// ---- is it worth it? ---------------------------------------------------------------------------------------------------

typedef struct Cost {
  double side_by_side, one_by_one; // of as many iterations as there are lanes
  bool
      gains; // there is what LLVM's own vectoriser does not do well: loops inside, branches, elementary functions
} Cost;

static bool is_linear(const Choice *c, IrVal v) {
  return ir_inside(ir_val(c->f, v)->region, c->loop->regions[0]) && c->lanes.kind[v] == LANE_LINEAR;
}
static bool is_own(const Choice *c, IrVal v) {
  return ir_inside(ir_val(c->f, v)->region, c->loop->regions[0]) && c->lanes.kind[v] == LANE_OWN;
}

static double access_cost(const Choice *c, const IrOp *op) {
  int n = ir_type(c->f, op->args[0]).rank, linear = 0;
  bool own = false;
  for (int k = 1; k <= n; k++) {
    own |= is_own(c, op->args[k]);
    if (is_linear(c, op->args[k])) linear = k;
  }
  if (is_row(c, op) && find_row(c, op->args[0]) >= 0) return 1.0;
  if (!own && (!linear || linear == n)) return 1.0;
  return c->width * (op->kind == IR_GET ? SCATTERED : ADDED_APART);
}

// An innermost loop that LLVM takes several iterations at a time of.
static bool is_vectorizable(const Choice *c, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  for (int i = 0; i < body->ops.len; i++)
    if (body->ops.data[i]->n_regions) return false;
  for (int k = 0; op->kind == IR_FOR && k < op->n_results; k++) {
    IrVal v = body->args[1 + k];
    if (!ir_type(c->f, v).rank && !c->sums->family[v]) return false;
  }
  return true;
}

static double trips(const Choice *c, const IrOp *op) {
  int64_t lo, hi;
  double n = 1.0;
  if (op->kind == IR_FOR)
    return ir_is_const_int(c->f, op->args[0], &lo) && ir_is_const_int(c->f, op->args[1], &hi)
               ? (double)(hi > lo ? hi - lo : 0)
               : TYPICAL_TRIPS;
  for (int k = 0; k < op->n_args; k++)
    n *= ir_is_const_int(c->f, op->args[k], &hi) ? (double)hi : TYPICAL_TRIPS;
  return n;
}

// How often the region's operations run in one iteration of the loop, one by one and side by side.
typedef struct Times {
  double one, side;
} Times;

static void add_region(const Choice *c, const IrRegion *r, Times times, double speed, Cost *sum) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_regions) {
      bool loop = op->kind == IR_FOR || op->kind == IR_BUILD, parts = !loop && is_own(c, op->args[0]);
      sum->gains |= loop || parts;
      double n = loop ? trips(c, op) : 0.5,
             inner = loop && is_vectorizable(c, op) ? c->width * SPEED_OF_INNER : 1.0;
      Times within = {times.one * n, times.side * (parts ? 1.0 : n)};
      for (int k = 0; k < op->n_regions; k++) add_region(c, op->regions[k], within, inner, sum);
      continue;
    }
    double cost = ir_op_info[op->kind].cost, mine = cost;
    sum->gains |= (ir_op_info[op->kind].flags & IR_MATH) != 0;
    if (op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC) mine = access_cost(c, op);
    sum->side_by_side += times.side * mine;
    sum->one_by_one += times.one * cost * c->width / speed;
  }
}

// Several registers for each value hide latencies, and what all lanes share, accumulators included, is read and written
// less often; if they are enough for the values that some region makes.
static IrWalk count_own(void *user, IrOp *op) {
  Choice *c = user;
  for (int k = 0; k < op->n_regions; k++) {
    int own = 0;
    for (int i = 0; i < op->regions[k]->ops.len; i++) {
      const IrOp *in = op->regions[k]->ops.data[i];
      own += in->n_results == 1 && !ir_type(c->f, in->result).rank && is_own(c, in->result);
    }
    while (c->width > c->register_lanes && own * c->width > LIVE_VECTORS * c->register_lanes) c->width /= 2;
  }
  return IR_WALK_CONTINUE;
}

// An elementary function leaves no vector register as it was: with several for each value, all would be saved around it.
static bool calls_kernels(const IrOp *loop) {
  bool math = false;
  for (int i = 0; i < loop->regions[0]->ops.len; i++) {
    const IrOp *op = loop->regions[0]->ops.data[i];
    if (op->kind == IR_FOR || op->kind == IR_BUILD) return false;
    math |= (ir_op_info[op->kind].flags & IR_MATH) != 0;
  }
  return math;
}

// An array of a size that only the iteration knows could be of any size, times as many as there are lanes.
static IrWalk find_unbounded(void *user, IrOp *op) {
  const Choice *c = user;
  int64_t n;
  for (int k = 0; k < op->n_results && (op->kind == IR_FILL || op->kind == IR_BUILD); k++)
    for (int d = 0; d < ir_type(c->f, ir_result(op, k)).rank; d++) {
      IrVal size = ir_dims(c->f, ir_result(op, k))[d];
      bool known =
          ir_is_const_int(c->f, size, &n) || !ir_inside(ir_val(c->f, size)->region, c->loop->regions[0]);
      if (!known && is_own(c, ir_result(op, k))) return IR_WALK_STOP;
    }
  return IR_WALK_CONTINUE;
}

static bool choose(Choice *c, const IrOp *op) {
  if (op->kind != IR_FOR || op->lanes || !ir_lanes(c->arena, c->f, c->sums, op, &c->lanes)) return false;
  c->loop = op;
  if (!ir_walk(op->regions[0], find_unbounded, c)) return false;
  c->width = c->register_lanes * (c->f->module->lanes_anywhere || calls_kernels(op) ? 1 : MOST_REGISTERS);
  count_own(c, (IrOp *)op);
  ir_walk(op->regions[0], count_own, c);
  c->rows.len = c->turned.len = 0;
  ir_walk(op->regions[0], note_row, c);
  Cost cost = {0};
  add_region(c, op->regions[0], (Times){1.0, 1.0}, 1.0, &cost);
  if (c->f->module->lanes_anywhere) return true;
  if (trips(c, op) < c->register_lanes) return false;
  return cost.gains && cost.side_by_side <= WORTH * cost.one_by_one;
}

// ---- rebuilding --------------------------------------------------------------------------------------------------------

static IrVal plus_elements(IrBuilder *b, IrVal sum, const IrVal *dims, int rank) {
  IrVal n = dims[0];
  for (int d = 1; d < rank; d++) n = ir_op2(b, IR_MUL, n, dims[d]);
  return sum ? ir_op2(b, IR_ADD, sum, n) : n;
}

typedef struct Room { // what an iteration's own arrays need
  const Choice *c;
  IrBuilder *b;
  const IrMap *map;
  IrVal elements; // 0: none
} Room;

static IrWalk add_own_arrays(void *user, IrOp *op) {
  Room *room = user;
  const IrFunc *f = room->c->f;
  for (int k = 0; k < op->n_results && (op->kind == IR_FILL || op->kind == IR_BUILD); k++) {
    IrVal v = ir_result(op, k), dims[IR_MAX_RANK];
    int64_t n;
    for (int d = 0; d < ir_type(f, v).rank; d++) {
      IrVal size = ir_dims(f, v)[d];
      dims[d] = ir_is_const_int(f, size, &n) ? ir_const_int(room->b, n) : ir_mapped(room->map, size);
    }
    if (is_own(room->c, v)) room->elements = plus_elements(room->b, room->elements, dims, ir_type(f, v).rank);
  }
  return IR_WALK_CONTINUE;
}

// Where the lanes end: at a whole number of blocks, unless the copies that accumulators need, or that an iteration's own
// arrays become, grow far out of the caches. Only the machine that runs it may know: then what is left runs one by one.
static IrVal end_of_blocks(const Choice *c, IrBuilder *b, const IrMap *map, bool *may_be_none) {
  const IrOp *loop = c->loop;
  IrVal lo = ir_mapped(map, loop->args[0]), hi = ir_mapped(map, loop->args[1]);
  IrVal width = ir_const_int(b, c->width), span = ir_op2(b, IR_SUB, hi, lo), copied = 0;
  IrVal whole = ir_op2(b, IR_MUL, ir_op2(b, IR_IDIV, span, width), width);
  for (int k = 0; k < loop->n_results; k++) {
    if (c->lanes.carried[k] != LANE_COPIES) continue;
    IrVal array = ir_mapped(map, loop->args[3 + k]);
    copied = plus_elements(b, copied, ir_dims(b->func, array), ir_type(b->func, array).rank);
  }
  Room room = {c, b, map, 0};
  ir_walk(loop->regions[0], add_own_arrays, &room);
  IrVal some = ir_op2(b, IR_LT, lo, hi);
  if (room.elements)
    some = ir_op2(b, IR_AND, some, ir_op2(b, IR_LE, room.elements, ir_const_int(b, MOST_OWN / c->width)));
  if (copied) some = ir_op2(b, IR_AND, some, ir_op2(b, IR_LE, copied, ir_const_int(b, MOST_COPIED)));
  *may_be_none = room.elements || copied;
  return ir_op3(b, IR_SELECT, some, ir_op2(b, IR_ADD, lo, whole), lo);
}

static IrVal turn(IrBuilder *b, IrVal array, IrVal index) {
  int rank = ir_type(b->func, array).rank;
  IrBuilder in;
  IrOp *now = ir_build(b, ir_dims(b->func, array) + 1, rank - 1, &in);
  IrVal idx[IR_MAX_RANK] = {index};
  for (int k = 1; k < rank; k++) idx[k] = in.region->args[k - 1];
  IrVal e = ir_get(&in, array, idx, rank);
  ir_yield(&in, &e, 1);
  ir_close_build(b, now);
  return now->result;
}

static bool read_turned(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Choice *c = user;
  int at = is_row(c, op) ? find_row(c, op->args[0]) : -1;
  if (at < 0) return false;
  IrVal idx[IR_MAX_RANK];
  for (int k = 2; k < op->n_args; k++) idx[k - 2] = ir_mapped(map, op->args[k]);
  ir_map_set(map, op->result, ir_get(b, c->turned.data[at], idx, op->n_args - 2));
  return true;
}

static IrOp *part(Choice *c, IrBuilder *b, IrMap *map, IrVal lo, IrVal hi, const IrVal *inits, int lanes) {
  const IrOp *loop = c->loop;
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  IrBuilder in;
  IrOp *now = ir_for(b, lo, hi, ir_mapped(map, loop->args[2]), inits, n, &in);
  for (int k = 0; k <= n; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  now->lanes = (uint8_t)lanes;
  c->turned.len = 0;
  for (int k = 0; lanes > 1 && k < c->rows.len; k++)
    vec_push(c->arena, &c->turned, turn(&in, ir_mapped(map, c->rows.data[k]), in.region->args[0]));
  IrVal *yields = ARENA_ARRAY(c->arena, IrVal, n);
  ir_rewrite_ops(&in, map, body, yields, lanes > 1 ? read_turned : NULL, c);
  ir_yield(&in, yields, n);
  return now;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Choice *c = user;
  if (!choose(c, op)) return false;
  int n = op->n_results;
  b->loc = op->loc;
  bool may_be_none;
  IrVal *vals = ARENA_ARRAY(c->arena, IrVal, n), end = end_of_blocks(c, b, map, &may_be_none);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, op->args[3 + k]);
  IrOp *blocks = part(c, b, map, ir_mapped(map, op->args[0]), end, vals, c->width);
  for (int k = 0; k < n; k++) vals[k] = ir_result(blocks, k);
  IrOp *rest = part(c, b, map, end, ir_mapped(map, op->args[1]), vals, may_be_none ? 1 : c->register_lanes);
  rest->masked = !may_be_none;
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(op, k), ir_result(rest, k));
  return true;
}

IrFunc *opt_lanes(IrFunc *f) {
  Arena *scratch = f->body && f->module->lanes > 1 ? arena_new(0) : NULL;
  if (!scratch) return f;
  IrSums sums = ir_find_sums(scratch, f);
  Choice c = {.f = f, .arena = scratch, .sums = &sums, .register_lanes = f->module->lanes};
  f = ir_rewrite_func(f, rewrite, &c);
  arena_free(scratch);
  return f;
}
