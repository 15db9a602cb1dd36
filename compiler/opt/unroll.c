// Optimisation: unrolling. In: loops and builds that run a known, small number of times, products of tiny matrices. Out: their
// bodies, as often, one after the other with constant indices: what keeps small arrays from living in registers is gone.
//
// A loop of more than a few rounds is worth it only where it works on small arrays, and elementary functions are left to
// vector code. What one loop and one function may grow by is bounded. Every operation happens in the order it had.
#include "opt/internal.h"
#include "opt/scalar.h"

enum {
  FEW_ROUNDS = 4,
  MOST_ROUNDS = 16, // of a loop over small arrays
  PLAIN_LOOP = 120, // operations that a loop may grow by
  SMALL_LOOP = 300, // one over small arrays
  WHOLE_FUNCTION = 1500,
  TINY_PRODUCT = 27, // multiplications of a matrix product
  EXPENSIVE = 8,     // cost of an operation that vector code does several of in the time of one
  AGAIN = 3,         // an inner loop's bounds may become constants with the outer one's index
};

typedef struct Unroll {
  Arena *arena;
  const IrFunc *f;
  KnownSizes known;
  bool *wanted; // by value: an array whose elements are read or written one by one
  int left;     // operations that may be added
  bool changed;
} Unroll;

// ---- what is worth it ------------------------------------------------------------------------------------------------

typedef struct Body {
  int ops;
  bool small, expensive; // works on small arrays; computes elementary functions
} Body;

static uint64_t trips_of(const IrFunc *f, IrVal lo, IrVal hi, IrVal step) {
  int64_t a, b, by;
  if (!ir_is_const_int(f, lo, &a) || !ir_is_const_int(f, hi, &b) || !ir_is_const_int(f, step, &by)) return 0;
  bool tame = a >= INT32_MIN && a <= INT32_MAX && b >= INT32_MIN && b <= INT32_MAX;
  if (by == 0 || !tame) return 0;
  return const_trips(a, b, by);
}

static int build_elements(const Unroll *u, const IrOp *op) {
  return op->n_results ? opt_small_elements(&u->known, op->result) : 0;
}

static int few(uint64_t n) { return n > WHOLE_FUNCTION ? WHOLE_FUNCTION + 1 : (int)n; }

// What a loop comes to, with those inside running as often as they do: around a long one, such as over the directions of
// a Jacobian, unrolling only makes copies of a loop.
static Body look_at(const Unroll *u, const IrRegion *r) {
  Body b = {0};
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    int times = 1;
    b.ops += op->kind != IR_CONST;
    b.expensive |= ir_op_info[op->kind].cost > EXPENSIVE;
    if (op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC)
      b.small |= opt_small_elements(&u->known, op->args[0]) > 0;
    if (op->kind == IR_FOR) times = few(trips_of(u->f, op->args[0], op->args[1], op->args[2]));
    if (op->kind == IR_BUILD) times = build_elements(u, op);
    for (int k = 0; k < op->n_regions; k++) {
      Body in = look_at(u, op->regions[k]);
      b.ops = few((uint64_t)b.ops + (uint64_t)in.ops * (times > 0 ? (uint64_t)times : 1));
      b.small |= in.small;
      b.expensive |= in.expensive;
    }
  }
  return b;
}

static bool worth_it(Unroll *u, const IrRegion *body, uint64_t rounds) {
  if (rounds < 1 || rounds > MOST_ROUNDS) return false;
  Body b = look_at(u, body);
  if (rounds > FEW_ROUNDS && (!b.small || b.expensive)) return false;
  int more = b.ops * (int)(rounds - 1);
  if (more > (b.small ? SMALL_LOOP : PLAIN_LOOP) || more > u->left) return false;
  u->left -= more;
  return true;
}

static void want(Unroll *u, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC) u->wanted[op->args[0]] = true;
    if (op->kind == IR_FOR || op->kind == IR_WHILE)
      for (int k = 0; k < op->n_results; k++) u->wanted[op->args[op->n_args - op->n_results + k]] = true;
    for (int k = 0; k < op->n_regions; k++) want(u, op->regions[k]);
  }
  for (int k = 0; r->owner && k < r->n_yields; k++) u->wanted[r->yields[k]] = true;
}

// ---- loops -----------------------------------------------------------------------------------------------------------

static IrRewrite rewrite;

static bool unroll_for(Unroll *u, IrBuilder *b, IrMap *map, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  IrVal bounds[3];
  int64_t lo = 0, step = 0;
  for (int k = 0; k < 3; k++) bounds[k] = ir_mapped(map, op->args[k]);
  uint64_t rounds = trips_of(b->func, bounds[0], bounds[1], bounds[2]);
  if (op->attr.i || !worth_it(u, body, rounds)) return false; // a loop with checkpoints is left as asked for
  ir_is_const_int(b->func, bounds[0], &lo);
  ir_is_const_int(b->func, bounds[2], &step);
  IrVal *carried = ARENA_ARRAY(u->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) carried[k] = ir_mapped(map, op->args[3 + k]);
  for (int64_t i = 0; i < (int64_t)rounds; i++) {
    b->loc = op->loc;
    ir_map_set(map, body->args[0], ir_const_int(b, lo + i * step));
    for (int k = 0; k < op->n_results; k++) ir_map_set(map, body->args[1 + k], carried[k]);
    ir_rewrite_ops(b, map, body, carried, rewrite, u);
  }
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), carried[k]);
  return u->changed = true;
}

// ---- builds ----------------------------------------------------------------------------------------------------------

static IrVal zero_array(IrBuilder *b, IrElem e, const IrVal *dims, int rank) {
  return ir_fill(b, ir_const_zero(b, e), dims, rank);
}

static bool wanted_build(const Unroll *u, const IrOp *op) {
  bool any = look_at(u, op->regions[0]).small;
  for (int k = 0; k < op->n_results; k++) {
    any |= u->wanted[ir_result(op, k)];
    if (ir_type(u->f, ir_result(op, k)).elem == IR_STRING) return false;
  }
  return any;
}

static bool unroll_build(Unroll *u, IrBuilder *b, IrMap *map, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  int n = build_elements(u, op);
  if (n == 0 || !wanted_build(u, op) || !worth_it(u, body, (uint64_t)n)) return false;
  IrVal *dims = ARENA_ARRAY(u->arena, IrVal, op->n_args), idx[IR_MAX_RANK];
  IrVal *arrays = ARENA_ARRAY(u->arena, IrVal, op->n_results),
        *yields = ARENA_ARRAY(u->arena, IrVal, op->n_results);
  b->loc = op->loc;
  for (int d = 0; d < op->n_args; d++) dims[d] = ir_mapped(map, op->args[d]);
  for (int k = 0; k < op->n_results; k++)
    arrays[k] = zero_array(b, (IrElem)ir_type(u->f, ir_result(op, k)).elem, dims, op->n_args);
  for (int i = 0; i < n; i++) {
    b->loc = op->loc;
    opt_indices_of(b, &u->known, op->result, i, idx);
    for (int d = 0; d < op->n_args; d++) ir_map_set(map, body->args[d], idx[d]);
    ir_rewrite_ops(b, map, body, yields, rewrite, u);
    b->loc = op->loc;
    for (int k = 0; k < op->n_results; k++) arrays[k] = ir_set(b, arrays[k], idx, op->n_args, yields[k]);
  }
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), arrays[k]);
  return u->changed = true;
}

// ---- products --------------------------------------------------------------------------------------------------------

static IrVal element(IrBuilder *b, IrVal array, IrVal i, IrVal j, bool transposed) {
  return ir_get(b, array, (IrVal[]){transposed ? j : i, transposed ? i : j}, 2);
}

// The terms in order, as strict arithmetic has them.
static bool unroll_product(Unroll *u, IrBuilder *b, IrMap *map, const IrOp *op) {
  int first = op->kind == IR_MATACC;
  IrVal x = op->args[first], y = op->args[first + 1];
  bool ta = op->attr.i & IR_TRANS_A, tb = op->attr.i & IR_TRANS_B;
  int64_t n = opt_size(&u->known, ir_dims(u->f, x)[ta]), k = opt_size(&u->known, ir_dims(u->f, x)[!ta]),
          m = opt_size(&u->known, ir_dims(u->f, y)[!tb]);
  if (n < 1 || m < 1 || k < 1 || n > TINY_PRODUCT || m > TINY_PRODUCT || k > TINY_PRODUCT) return false;
  if (n * m * k > TINY_PRODUCT || 4 * n * m * k > u->left) return false;
  u->left -= (int)(4 * n * m * k);
  b->loc = op->loc;
  IrVal a = ir_mapped(map, x), c = ir_mapped(map, y);
  IrElem e = (IrElem)ir_type(u->f, x).elem;
  IrVal dims[2] = {ir_const_int(b, n), ir_const_int(b, m)};
  IrVal out = first ? ir_mapped(map, op->args[0]) : zero_array(b, e, dims, 2), index[TINY_PRODUCT];
  for (int i = 0; i < TINY_PRODUCT && (i < n || i < m || i < k); i++) index[i] = ir_const_int(b, i);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < m; j++) {
      IrVal sum = 0, at[2] = {index[i], index[j]};
      for (int p = 0; p < k; p++) {
        IrVal left = element(b, a, index[i], index[p], ta), right = element(b, c, index[p], index[j], tb);
        IrVal term = ir_op2(b, IR_MUL, left, right);
        sum = sum ? ir_op2(b, IR_ADD, sum, term) : term;
      }
      out = first ? ir_acc(b, out, at, 2, sum) : ir_set(b, out, at, 2, sum);
    }
  ir_map_set(map, op->result, out);
  return u->changed = true;
}

// ---- the pass --------------------------------------------------------------------------------------------------------

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Unroll *u = user;
  switch ((IrOpKind)op->kind) {
  case IR_FOR: return unroll_for(u, b, map, op);
  case IR_BUILD: return unroll_build(u, b, map, op);
  case IR_MATMUL:
  case IR_MATACC: return unroll_product(u, b, map, op);
  default: return false;
  }
}

IrFunc *opt_unroll(IrFunc *f) {
  if (!f->body) return f;
  int left = WHOLE_FUNCTION;
  for (int round = 0; round < AGAIN; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Unroll u = {.arena = scratch, .f = f, .wanted = ARENA_ARRAY(scratch, bool, f->vals.len), .left = left};
    opt_known_sizes(scratch, f, &u.known);
    want(&u, f->body);
    IrFunc *now = ir_rewrite_func(f, rewrite, &u);
    arena_free(scratch);
    if (!u.changed) return f == now ? f : now;
    f = opt_simplify(now);
    left = u.left;
  }
  return f;
}
