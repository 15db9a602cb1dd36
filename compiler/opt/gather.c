// Optimisation: scatters become gathers. In: a loop that adds something to elements of an array beside its own, mostly the
// neighbours' adjoints, where the array is a build or a fill that nobody else wants, and what it adds is cheap:
//
//   %a = build %n (%j) { ... yield %f }
//   %r = for %i = %1, %n, %1 with (%b = %a) { ...  acc %b, %i - 1, %v  ... }      // or from 0, but if %i == 0
//
// Out: a build, in which each element takes what the neighbours would have added, in the order in which they would have:
//
//   %r = build %n (%j) { ...  if %j < %n - 1 { yield %f + %v[%i := %j + 1] } else { yield %f } }
//
// so that other passes can go on with it element by element. The loop no longer carries the array (dce), or goes.
// An array of rows is added to by a loop within a loop. Where all that is added has one factor in common that is not cheap, as
// the adjoint of what a convolution computes, the loop keeps it in an array for the build to take.
#include "opt/internal.h"
#include "opt/scalar.h"

#include <string.h>

enum { MOST_OPS = 16, MOST_ROUNDS = 8, MOST_ADDED = 9, MOST_AXES = 2, FARTHEST = 1 << 20 };

typedef struct Gather {
  const IrFunc *f;
  Arena *arena;
  const int *uses;
  const bool *taken; // by value: an array that something else than GET uses
  bool changed;
} Gather;

typedef struct Axis {
  const IrOp *loop; // over it
  int k;            // which of the values that it carries is the array
  int64_t lo;       // where the loop's range begins
  Affine hi, n;     // where it ends, and the array
  bool down;        // it runs from there
} Axis;

// What happens to one array that a loop carries: some iterations add to a few elements.
typedef struct Scatter {
  const IrFunc *f;
  const IrOp *made; // BUILD or FILL
  int k;            // which result of it
  int rank;
  Axis axis[MOST_AXES]; // the outer loop's first
  const IrOp *branch;   // around the ACCs; NULL: every iteration adds
  int n_added;
  const IrOp *acc[MOST_ADDED];           // in the order in which the loop comes to one element
  int64_t offset[MOST_ADDED][MOST_AXES]; // of their indices from the loops'
  bool *slice;                           // by value: what the loop adds is computed from it
  IrVal shared;                          // what the loop keeps; 0: nothing
} Scatter;

// ---- finding them ------------------------------------------------------------------------------------------------------

static bool is_cheap(const Gather *g, const IrOp *op) {
  if (op->n_regions || op->n_results != 1 || ir_type(g->f, op->result).rank) return false;
  if (op->kind == IR_GET) return !g->taken[op->args[0]];
  return (ir_op_info[op->kind].flags & (IR_P | IR_MATH)) == IR_P && op->kind != IR_DIV;
}

static IrVal index_of(const Scatter *s, int d) { return s->axis[d].loop->regions[0]->args[0]; }

static const IrRegion *outer_body(const Scatter *s) { return s->axis[0].loop->regions[0]; }
static const IrRegion *inner_body(const Scatter *s) { return s->axis[s->rank - 1].loop->regions[0]; }

// Which value of the outer loop the inner one's k is, handed in and out; -1: another.
static int carried_around(const Gather *g, const IrOp *outer, const IrOp *inner, int k) {
  IrVal init = inner->args[3 + k], out = ir_result(inner, k);
  const IrRegion *body = outer->regions[0];
  const IrValue *v = ir_val(g->f, init);
  if (inner->parent != body || v->region != body || v->def || !v->index || g->uses[init] != 1) return -1;
  return g->uses[out] == 1 && body->yields[v->index - 1] == out ? v->index - 1 : -1;
}

// Each iteration of the inner loop only touches its own element of what it carries there: no branch changes it.
static bool touches_own(const Scatter *s, int k) {
  const IrRegion *body = inner_body(s);
  IrVal array = body->args[1 + k];
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    for (int j = 0; j < op->n_args; j++) {
      if (op->args[j] != array) continue;
      bool element = j == 0 && (op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC);
      if (!element || op->args[1] != index_of(s, 0) || op->args[2] != index_of(s, 1)) return false;
      if (op->kind != IR_GET) array = op->result;
    }
    for (int r = 0; r < op->n_regions; r++)
      if (opt_region_size(op->regions[r])) return false;
  }
  return body->yields[k] == array;
}

// An array of which each iteration only touches its own element, read before it changes: the element is as it was before the
// loop.
static bool reads_own_start(const Gather *g, const Scatter *s, const IrOp *get) {
  const IrRegion *body = inner_body(s);
  const IrValue *array = ir_val(g->f, get->args[0]);
  if (get->kind != IR_GET || array->region != body || array->def) return false;
  if (s->rank == 1) return opt_axes_carried(g->arena, g->f, s->axis[0].loop, array->index - 1);
  return array->type.rank == 2 && touches_own(s, array->index - 1) &&
         carried_around(g, s->axis[0].loop, s->axis[1].loop, array->index - 1) >= 0;
}

// Marks what v is computed from; false: not all of it is cheap, or it is something that the loop carries.
static bool slice_of(const Gather *g, const Scatter *s, IrVal v, int *n) {
  const IrValue *val = ir_val(g->f, v);
  if (s->slice[v] || v == s->shared || !ir_inside(val->region, outer_body(s))) return true;
  for (int d = 0; d < s->rank; d++)
    if (v == index_of(s, d)) return true;
  if (!val->def || ++*n > (s->n_added > 4 ? 4 * s->n_added : MOST_OPS)) return false;
  bool own = !s->shared && reads_own_start(g, s, val->def);
  if (!own && !is_cheap(g, val->def)) return false;
  s->slice[v] = true;
  for (int k = own; k < val->def->n_args; k++)
    if (!slice_of(g, s, val->def->args[k], n)) return false;
  return true;
}

static bool is_cheap_region(const Gather *g, const IrRegion *r) {
  bool cheap = r->ops.len <= MOST_OPS;
  for (int i = 0; cheap && i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->kind == IR_IF)
      cheap = is_cheap_region(g, op->regions[0]) && is_cheap_region(g, op->regions[1]);
    else
      cheap = is_cheap(g, op);
  }
  return cheap;
}

static bool starts_anew(const Gather *g, const IrOp *made, const IrOp *loop) {
  if (!made || made->parent != loop->parent || ir_type(g->f, made->result).rank > MOST_AXES) return false;
  if (made->kind == IR_FILL) return !made->attr.i;
  return made->kind == IR_BUILD && is_cheap_region(g, made->regions[0]);
}

static bool is_small(int64_t distance) { return distance > -FARTHEST && distance < FARTHEST; }

// Does the loop come to one element from the iteration at `a` before it does from that at `b`? 0: they are the same.
static int order(const Scatter *s, const int64_t *a, const int64_t *b) {
  for (int d = 0; d < s->rank; d++)
    if (a[d] != b[d]) return (a[d] > b[d]) != s->axis[d].down ? 1 : -1;
  return 0;
}

static bool find_offsets(const Scatter *s, const IrOp *acc, int64_t *offset) {
  for (int d = 0; d < s->rank; d++) {
    Affine at = affine_of(s->f, acc->args[1 + d]);
    if (at.base != index_of(s, d) || !is_small(at.offset)) return false;
    offset[d] = at.offset;
  }
  return true;
}

static void insert(Scatter *s, const IrOp *acc, const int64_t *at) {
  int i = s->n_added++;
  for (; i > 0 && order(s, at, s->offset[i - 1]) > 0; i--) {
    s->acc[i] = s->acc[i - 1];
    memcpy(s->offset[i], s->offset[i - 1], sizeof s->offset[i]);
  }
  s->acc[i] = acc;
  memcpy(s->offset[i], at, sizeof s->offset[i]);
}

// The ACCs that the array goes through in region r, from what it yields back to what the loop carries. None adds to an element
// twice.
static bool find_accs(const Gather *g, const IrRegion *r, IrVal out, IrVal arg, Scatter *s) {
  for (IrVal v = out; v != arg;) {
    const IrOp *acc = op_of(g->f, v, IR_ACC);
    int64_t at[MOST_AXES];
    if (!acc || acc->parent != r || s->n_added == MOST_ADDED || acc->n_args != 2 + s->rank ||
        g->uses[v] != 1 || !find_offsets(s, acc, at))
      return false;
    for (int i = 0; i < s->n_added; i++)
      if (s->acc[i]->parent == r && !order(s, at, s->offset[i])) return false;
    insert(s, acc, at);
    v = acc->args[0];
  }
  return true;
}

// Does v follow from how the loops' indices compare with values from outside?
static bool compares_indices(const Scatter *s, IrVal v) {
  const IrOp *op = ir_val(s->f, v)->def;
  if (!op) return false;
  if (op->kind == IR_AND || op->kind == IR_OR)
    return compares_indices(s, op->args[0]) && compares_indices(s, op->args[1]);
  if (op->kind != IR_LT && op->kind != IR_LE && op->kind != IR_EQ && op->kind != IR_NE) return false;
  for (int d = 0; d < s->rank; d++)
    for (int k = 0; k < 2; k++) {
      IrVal with = op->args[1 - k];
      bool outside = !ir_inside(ir_val(s->f, with)->region, outer_body(s)) || ir_is_const(s->f, with);
      if (op->args[k] == index_of(s, d) && outside) return true;
    }
  return false;
}

// All that happens to the array.
static bool only_added(const Gather *g, Scatter *s) {
  const IrRegion *body = inner_body(s);
  int k = s->axis[s->rank - 1].k;
  IrVal arg = body->args[1 + k], out = body->yields[k];
  const IrOp *def = ir_val(g->f, out)->def;
  if (g->uses[out] != 1 || !def || def->parent != body) return false;
  if (def->kind != IR_IF) return g->uses[arg] == 1 && find_accs(g, body, out, arg, s);
  if (g->uses[arg] != 2 || !compares_indices(s, def->args[0])) return false;
  s->branch = def;
  for (int i = 0; i < 2; i++)
    if (!find_accs(g, def->regions[i], def->regions[i]->yields[out - def->result], arg, s)) return false;
  return true;
}

static bool find_range(const Scatter *s, Axis *x) {
  int64_t step;
  if (!ir_is_const_int(s->f, x->loop->args[2], &step) || (step != 1 && step != -1)) return false;
  x->down = step < 0;
  Affine lo = affine_of(s->f, x->loop->args[x->down]);
  x->hi = affine_of(s->f, x->loop->args[!x->down]);
  if (x->down) lo.offset = wrap_add(lo.offset, 1), x->hi.offset = wrap_add(x->hi.offset, 1);
  x->lo = lo.offset;
  bool near = is_small(x->lo) && is_small(wrap_sub(x->hi.offset, x->n.offset));
  return !lo.base && x->lo >= 0 && x->hi.base == x->n.base && near; // so near that nothing overflows
}

// The loop within, which carries the array on.
static bool find_inner(const Gather *g, const IrOp *loop, int k, Axis *inner) {
  const IrRegion *body = loop->regions[0];
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    for (int j = 0; op->kind == IR_FOR && !op->lanes && !op->attr.i && j < op->n_results; j++)
      if (op->args[3 + j] == body->args[1 + k] && carried_around(g, loop, op, j) == k) {
        inner->loop = op;
        inner->k = j;
        return true;
      }
  }
  return false;
}

static bool stays_in_place(const Scatter *s) {
  bool moves = false;
  for (int i = 0; i < s->n_added; i++)
    for (int d = 0; d < s->rank; d++) moves |= s->offset[i][d] != 0;
  return !moves;
}

static bool find_slices(const Gather *g, Scatter *s) {
  s->slice = ARENA_ARRAY(g->arena, bool, g->f->vals.len);
  int n = 0;
  for (int i = 0; i < s->n_added; i++)
    if (!slice_of(g, s, s->acc[i]->args[1 + s->rank], &n)) return false;
  return true;
}

static bool is_factor(const Scatter *s, IrVal v, IrVal product) {
  const IrOp *op = ir_val(s->f, product)->def;
  if (product == v) return true;
  if (!op || !ir_inside(op->parent, outer_body(s))) return false;
  if (op->kind == IR_NEG) return is_factor(s, v, op->args[0]);
  return op->kind == IR_MUL && (op->args[0] == v || op->args[1] == v);
}

// What is a factor of all that is added, computed in every iteration of the loop (within).
static bool find_shared(Scatter *s) {
  const IrRegion *body = inner_body(s);
  for (int i = body->ops.len - 1; i >= 0; i--) {
    const IrOp *op = body->ops.data[i];
    if (op->n_results != 1 || !ir_is_float(ir_type(s->f, op->result)) || ir_type(s->f, op->result).rank)
      continue;
    bool all = true;
    for (int k = 0; k < s->n_added; k++) all &= is_factor(s, op->result, s->acc[k]->args[1 + s->rank]);
    if (!all) continue;
    s->shared = op->result;
    return true;
  }
  return false;
}

static bool find_scatter(const Gather *g, const IrOp *loop, int k, Scatter *s) {
  IrVal init = loop->args[3 + k];
  const IrOp *made = ir_val(g->f, init)->def;
  if (g->uses[init] != 1 || !starts_anew(g, made, loop)) return false;
  *s = (Scatter){.f = g->f, .made = made, .k = (int)(init - made->result), .rank = ir_type(g->f, init).rank};
  s->axis[0].loop = loop;
  s->axis[0].k = k;
  if (s->rank == 2 && !find_inner(g, loop, k, &s->axis[1])) return false;
  for (int d = 0; d < s->rank; d++) {
    s->axis[d].n = affine_of(g->f, ir_dims(g->f, init)[d]);
    if (!find_range(s, &s->axis[d])) return false;
  }
  if (!only_added(g, s) || stays_in_place(s)) return false;
  return find_slices(g, s) || (find_shared(s) && find_slices(g, s));
}

static bool is_candidate(const Gather *g, const IrOp *op) {
  return op->kind == IR_FOR && !op->lanes && !op->attr.i &&
         !ir_op_has_effect(g->f->module, op); // a check in the loop would come too late
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

// One ACC's part of the slice: what an iteration adds there.
static void mark_part(const Scatter *s, IrVal v, bool *part) {
  if (part[v] || !s->slice[v]) return;
  part[v] = true;
  const IrOp *op = ir_val(s->f, v)->def;
  for (int k = 0; k < op->n_args; k++) mark_part(s, op->args[k], part);
}

static void clone_part(IrBuilder *b, IrMap *map, const bool *part, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_results == 1 && part[op->result]) ir_clone_op(b, map, op);
    for (int k = 0; k < op->n_regions; k++) clone_part(b, map, part, op->regions[k]);
  }
}

// Is it near enough to 0 or to the array's size for an offset more or less not to overflow?
static bool is_near(const Axis *x, Affine at) {
  if (at.base && at.base != x->n.base) return false;
  return is_small(at.base ? wrap_sub(at.offset, x->n.offset) : at.offset);
}

// The comparison of i = j - offset: one of j itself where that cannot overflow, and a constant where it is the same for all
// that are elements.
static IrVal compare(const Scatter *s, IrBuilder *b, IrMap *map, const IrOp *op, bool truth,
                     const IrVal *index, const int64_t *offsets) {
  int d = s->rank == 2 && (op->args[0] == index_of(s, 1) || op->args[1] == index_of(s, 1));
  const Axis *x = &s->axis[d];
  IrVal j = index[d];
  int64_t offset = offsets[d];
  bool left = op->args[0] == index_of(s, d);
  IrVal with = op->args[left ? 1 : 0];
  Affine at = affine_of(s->f, with);
  bool near = is_near(x, at), below = !at.base && (at.offset < x->lo || at.offset < -offset),
       above = near && at.base && (at.offset >= x->hi.offset || at.offset >= x->n.offset - offset);
  bool equal = op->kind == IR_EQ || op->kind == IR_NE;
  if (below || above) // i is always on the other side
    return ir_const_bool(b, (equal ? op->kind == IR_NE : above == left) == truth);
  IrVal other = at.base ? ir_mapped(map, with) : ir_const_int(b, at.offset);
  IrVal *moved = near ? &other : &j;
  *moved = ir_op2(b, IR_ADD, *moved, ir_const_int(b, near ? offset : -offset));
  IrVal one = left ? j : other, two = left ? other : j;
  if (truth) return ir_op2(b, (IrOpKind)op->kind, one, two);
  if (equal) return ir_op2(b, op->kind == IR_EQ ? IR_NE : IR_EQ, one, two);
  return ir_op2(b, op->kind == IR_LT ? IR_LE : IR_LT, two, one);
}

static IrVal condition(const Scatter *s, IrBuilder *b, IrMap *map, IrVal cond, bool truth, const IrVal *index,
                       const int64_t *offset) {
  const IrOp *op = ir_val(s->f, cond)->def;
  if (op->kind != IR_AND && op->kind != IR_OR) return compare(s, b, map, op, truth, index, offset);
  IrVal x = condition(s, b, map, op->args[0], truth, index, offset),
        y = condition(s, b, map, op->args[1], truth, index, offset);
  return ir_op2(b, (op->kind == IR_AND) == truth ? IR_AND : IR_OR, x, y);
}

static IrVal both(IrBuilder *b, IrVal x, IrVal y) { return x ? ir_op2(b, IR_AND, x, y) : y; }

// Does the iteration exist whose i-th ACC adds to the element of this index, and does it?
static IrVal is_added(const Scatter *s, IrBuilder *b, IrMap *map, int i, const IrVal *index) {
  const int64_t *offset = s->offset[i];
  IrVal cond = 0;
  for (int d = 0; d < s->rank; d++) {
    const Axis *x = &s->axis[d];
    if (x->lo + offset[d] > 0)
      cond = both(b, cond, ir_op2(b, IR_LE, ir_const_int(b, x->lo + offset[d]), index[d]));
    if (x->hi.offset + offset[d] >= x->n.offset) continue;
    IrVal end = ir_op2(b, IR_ADD, ir_mapped(map, ir_dims(s->f, s->acc[0]->result)[d]),
                       ir_const_int(b, x->hi.offset + offset[d] - x->n.offset));
    cond = both(b, cond, ir_op2(b, IR_LT, index[d], end));
  }
  if (!cond) cond = ir_const_bool(b, true);
  if (!s->branch) return cond;
  bool truth = s->acc[i]->parent == s->branch->regions[0];
  return ir_op2(b, IR_AND, cond, condition(s, b, map, s->branch->args[0], truth, index, offset));
}

// Within the loops, arrays of which an iteration only touches its own element are as they were before.
static void map_starts(const Gather *g, IrMap *map, const Scatter *s) {
  const IrOp *loop = s->axis[0].loop;
  for (int k = 0; k < loop->n_results; k++)
    ir_map_set(map, loop->regions[0]->args[1 + k], ir_mapped(map, loop->args[3 + k]));
  const IrOp *inner = s->rank == 2 ? s->axis[1].loop : NULL;
  for (int k = 0; inner && k < inner->n_results; k++) {
    int around = carried_around(g, loop, inner, k);
    if (around >= 0) ir_map_set(map, inner->regions[0]->args[1 + k], ir_mapped(map, loop->args[3 + around]));
  }
}

static IrVal with_added(Gather *g, IrBuilder *b, IrMap *map, const Scatter *s, int i, const IrVal *index,
                        IrVal kept, IrVal sum) {
  IrBuilder in[2];
  IrOp *branch = ir_if(b, is_added(s, b, map, i, index), &in[0], &in[1]);
  IrVal added = s->acc[i]->args[1 + s->rank];
  bool *part = ARENA_ARRAY(g->arena, bool, g->f->vals.len);
  mark_part(s, added, part);
  for (int d = 0; d < s->rank; d++)
    ir_map_set(map, index_of(s, d), ir_op2(&in[0], IR_ADD, index[d], ir_const_int(&in[0], -s->offset[i][d])));
  map_starts(g, map, s);
  if (s->shared) {
    IrVal at[MOST_AXES];
    for (int d = 0; d < s->rank; d++) at[d] = ir_mapped(map, index_of(s, d));
    ir_map_set(map, s->shared, ir_get(&in[0], kept, at, s->rank));
  }
  clone_part(&in[0], map, part, outer_body(s));
  IrVal more = ir_op2(&in[0], IR_ADD, sum, ir_mapped(map, added));
  ir_yield(&in[0], &more, 1);
  ir_yield(&in[1], &sum, 1);
  ir_close_if(b, branch, NULL);
  return ir_result(branch, 0);
}

static IrVal gather(Gather *g, IrBuilder *b, IrMap *map, const Scatter *s, IrVal kept) {
  IrVal n[MOST_AXES];
  for (int d = 0; d < s->rank; d++) n[d] = ir_mapped(map, ir_dims(s->f, s->acc[0]->result)[d]);
  IrBuilder in;
  IrOp *now = ir_build(b, n, s->rank, &in);
  const IrVal *index = in.region->args;
  IrVal element = opt_start_element(&in, map, s->made, s->k, index);
  for (int i = 0; i < s->n_added; i++) element = with_added(g, &in, map, s, i, index, kept, element);
  ir_yield(&in, &element, 1);
  ir_close_build(b, now);
  return ir_result(now, 0);
}

// The loop over axis d, with one more array, in which each iteration (of the one within) leaves what is shared.
static IrVal keep_shared(Gather *g, IrBuilder *b, IrMap *map, const Scatter *s, int d, IrVal kept) {
  const IrOp *loop = s->axis[d].loop;
  const IrRegion *body = loop->regions[0];
  int n = loop->n_results;
  IrVal *vals = ARENA_ARRAY(g->arena, IrVal, n + 1);
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, loop->args[3 + k]);
  vals[n] = kept;
  IrBuilder in;
  IrOp *now = ir_for(b, ir_mapped(map, loop->args[0]), ir_mapped(map, loop->args[1]),
                     ir_mapped(map, loop->args[2]), vals, n + 1, &in);
  for (int k = 0; k <= n; k++) ir_map_set(map, body->args[k], in.region->args[k]);
  kept = in.region->args[1 + n];
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    in.loc = op->loc;
    if (d + 1 < s->rank && op == s->axis[d + 1].loop)
      kept = keep_shared(g, &in, map, s, d + 1, kept);
    else
      ir_clone_op(&in, map, op);
  }
  IrVal index[MOST_AXES];
  for (int k = 0; k < s->rank; k++) index[k] = ir_mapped(map, index_of(s, k));
  if (d + 1 == s->rank) kept = ir_set(&in, kept, index, s->rank, ir_mapped(map, s->shared));
  for (int k = 0; k < n; k++) vals[k] = ir_mapped(map, body->yields[k]);
  vals[n] = kept;
  ir_yield(&in, vals, n + 1);
  for (int k = 0; k < n; k++) ir_map_set(map, ir_result(loop, k), ir_result(now, k));
  return ir_result(now, n);
}

// As large as the array that is added to, or as far as the loop goes beyond; the loop sets what is read of it.
static IrVal array_to_keep(IrBuilder *b, IrMap *map, const Scatter *s) {
  IrVal n[MOST_AXES];
  for (int d = 0; d < s->rank; d++) {
    int64_t beyond = s->axis[d].hi.offset - s->axis[d].n.offset;
    n[d] = ir_mapped(map, ir_dims(s->f, s->acc[0]->result)[d]);
    if (beyond > 0) n[d] = ir_op2(b, IR_ADD, n[d], ir_const_int(b, beyond));
  }
  return ir_unset(b, ir_const_zero(b, (IrElem)ir_type(s->f, s->shared).elem), n, s->rank);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *loop) {
  Gather *g = user;
  if (!is_candidate(g, loop)) return false;
  IrVal *gathered = ARENA_ARRAY(g->arena, IrVal, loop->n_results);
  bool any = false;
  b->loc = loop->loc;
  for (int k = 0; k < loop->n_results; k++) {
    Scatter s;
    if (!find_scatter(g, loop, k, &s)) continue;
    if (s.shared && any) continue; // in the next round
    if (s.shared) {
      IrVal kept = keep_shared(g, b, map, &s, 0, array_to_keep(b, map, &s));
      ir_map_set(map, ir_result(loop, k), gather(g, b, map, &s, kept));
      return g->changed = true;
    }
    gathered[k] = gather(g, b, map, &s, 0);
    any = true;
  }
  if (!any) return false;
  ir_clone_op(b, map, loop);
  for (int k = 0; k < loop->n_results; k++)
    if (gathered[k]) ir_map_set(map, ir_result(loop, k), gathered[k]);
  return g->changed = true;
}

IrFunc *opt_gather(IrFunc *f) {
  bool changed = f->body != NULL;
  // What one loop gathers is what the next one starts with.
  for (int round = 0; changed && round < MOST_ROUNDS; round++) {
    Arena *scratch = arena_new(0);
    if (!scratch) return f;
    Gather g = {.f = f, .arena = scratch, .uses = ir_use_counts(scratch, f)};
    g.taken = opt_taken(scratch, f);
    IrFunc *now = ir_rewrite_func(f, rewrite, &g);
    arena_free(scratch);
    changed = g.changed;
    f = changed ? opt_dce(opt_cse(now)) : now;
  }
  return f;
}
