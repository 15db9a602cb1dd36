// Jacobians as functions. In: an instance of `jacobian(f)`; out: its body, loops over DCALLs.
//
// Forward mode gives columns, several at a time: the directions lie side by side in the last axis of every tangent, and the
// primal is computed once for all of them (ad/wide.c). Reverse mode gives a row for each element of the output. Where rows or
// columns are few, and their number is a constant, they come out of one call or loop, however many parameters or results
// they belong to.
#include "lower/derivs.h"

#include <string.h>

enum {
  TOGETHER = 32,  // so many directions go into one call or loop
  DIRECTIONS = 8, // so many into one call where there are more, or nobody knows
  FEW_INPUTS = 64 // so many are few against a number of outputs that nobody knows yet
};

typedef struct Jacobian {
  Target *t;
  int *in; // IR parameters: leaves of one wrt after the other
  int n_in, n_out;
  const IrVal **out_dims, **in_dims; // per leaf; constants where the types say them
  IrVal *cells;                      // [result leaf][input leaf]
  // while one loop is being filled:
  const int *inputs; // indices in `in`
  int n_inputs;
  int leaf; // the one that is seeded
} Jacobian;

static IrVal *cell(Jacobian *j, int out, int in) { return &j->cells[out * j->n_in + in]; }
static IrType out_type(const Jacobian *j, int o) { return j->t->inst->results.data[o].type; }
static IrVal in_arg(const Jacobian *j, int i) { return j->t->args.ir.data[j->in[i]]; }
static IrType in_type(const Gen *g, const Jacobian *j, int i) { return ir_type(g->f, in_arg(j, i)); }

static IrVal element_count(Gen *g, const IrVal *dims, int rank) {
  IrVal n = rank ? dims[0] : ir_const_int(&g->b, 1);
  for (int k = 1; k < rank; k++) n = ir_op2(&g->b, IR_MUL, n, dims[k]);
  return n;
}

static void init_cells(Gen *g, Jacobian *j) {
  for (int o = 0; o < j->n_out; o++)
    for (int i = 0; i < j->n_in; i++) {
      IrVal dims[2 * IR_MAX_RANK], zero;
      IrType a = out_type(j, o), b = in_type(g, j, i);
      if (a.rank) memcpy(dims, j->out_dims[o], sizeof *dims * a.rank);
      if (b.rank) memcpy(dims + a.rank, j->in_dims[i], sizeof *dims * b.rank);
      if (a.rank + b.rank > IR_MAX_RANK) {
        lower_fail(g->l, g->fn->loc, "this Jacobian has %d axes; at most %d are possible", a.rank + b.rank,
                   IR_MAX_RANK);
        return;
      }
      zero = zero_of(g, (IrElem)a.elem);
      *cell(j, o, i) = a.rank + b.rank ? ir_fill(&g->b, zero, dims, a.rank + b.rank) : zero;
    }
}

// ---- one element of one leaf at a time ---------------------------------------------------------------------------------------

static void mark_inputs(Gen *g, Jacobian *j) {
  j->t->mask = ARENA_ARRAY(g->arena, bool, j->t->inst->func->n_params);
  for (int k = 0; k < j->n_inputs; k++)
    j->t->mask[j->in[j->inputs[k]]] = ir_is_float(in_type(g, j, j->inputs[k]));
}

// Reverse: a row of every cell behind the element.
static void reverse_row(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  Jacobian *j = user;
  IrVals seeds = {0};
  for (int o = 0; o < j->n_out; o++) {
    IrType y = out_type(j, o);
    if (!ir_is_float(y)) continue;
    IrVal zero = ir_const_float(&g->b, (IrElem)y.elem, 0.0);
    IrVal one = o == j->leaf ? ir_const_float(&g->b, (IrElem)y.elem, 1.0) : zero, v = zero;
    if (y.rank) v = ir_fill(&g->b, zero, j->out_dims[o], y.rank);
    if (o == j->leaf) v = y.rank ? ir_set(&g->b, v, idx, y.rank, one) : one;
    vec_push(g->arena, &seeds, v);
  }
  Dcall d = deriv_call(g, j->t, IR_VJP, &seeds);
  for (int k = 0; k < j->n_inputs; k++) {
    IrVal x = deriv_adjoint(j->t, &d, j->in[j->inputs[k]]);
    int rank = out_type(j, j->leaf).rank;
    if (!x) continue;
    Value *leaf = leaf_convert(g, value_leaf(g, x), (IrElem)out_type(j, j->leaf).elem);
    carried[k] = rank ? set_block(g, carried[k], idx, rank, leaf) : force_leaf(g, leaf, NULL);
  }
}

static void rows_one_by_one(Gen *g, Jacobian *j) {
  IrVal *rows = ARENA_ARRAY(g->arena, IrVal, j->n_inputs);
  mark_inputs(g, j);
  for (j->leaf = 0; j->leaf < j->n_out; j->leaf++) {
    IrType y = out_type(j, j->leaf);
    if (!ir_is_float(y)) continue;
    for (int k = 0; k < j->n_inputs; k++) rows[k] = *cell(j, j->leaf, j->inputs[k]);
    nest(g, j->out_dims[j->leaf], y.rank, rows, j->n_inputs, reverse_row, j);
    for (int k = 0; k < j->n_inputs; k++) *cell(j, j->leaf, j->inputs[k]) = rows[k];
  }
}

// ---- all elements of several leaves in one loop ---------------------------------------------------------------------------

static IrVal flat_index(Gen *g, const IrVal *dims, const IrVal *idx, int rank, int64_t offset) {
  IrVal at = 0;
  for (int k = 0; k < rank; k++)
    at = at ? ir_op2(&g->b, IR_ADD, ir_op2(&g->b, IR_MUL, at, dims[k]), idx[k]) : idx[k];
  if (!at) return ir_const_int(&g->b, offset);
  return offset ? ir_op2(&g->b, IR_ADD, at, ir_const_int(&g->b, offset)) : at;
}

// 1 where an element is the one in question of all, else 0.
static IrVal is_it(Gen *g, IrType t, IrVal at, IrVal which) {
  IrVal one = ir_const_float(&g->b, (IrElem)t.elem, 1.0), zero = ir_const_float(&g->b, (IrElem)t.elem, 0.0);
  return ir_op3(&g->b, IR_SELECT, ir_op2(&g->b, IR_EQ, at, which), one, zero);
}

static IrVal seed_of(Gen *g, IrType t, const IrVal *dims, int64_t offset, IrVal which) {
  if (!t.rank) return is_it(g, t, ir_const_int(&g->b, offset), which);
  IrBuilder in, outer = g->b;
  IrOp *op = ir_build(&outer, dims, t.rank, &in);
  g->b = in;
  IrVal v = is_it(g, t, flat_index(g, dims, in.region->args, t.rank, offset), which);
  ir_yield(&g->b, &v, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

// One direction for each of `count` elements from `from` on (0: the first) of all: the last axis.
static IrVal seeds_of(Gen *g, IrType t, const IrVal *dims, int64_t offset, IrVal from, IrVal count) {
  IrVal sizes[IR_MAX_RANK + 1];
  if (t.rank) memcpy(sizes, dims, sizeof *sizes * t.rank);
  sizes[t.rank] = count;
  IrBuilder in, outer = g->b;
  IrOp *op = ir_build(&outer, sizes, t.rank + 1, &in);
  g->b = in;
  IrVal which = in.region->args[t.rank];
  if (from) which = ir_op2(&g->b, IR_ADD, from, which);
  IrVal v = is_it(g, t, flat_index(g, dims, in.region->args, t.rank, offset), which);
  ir_yield(&g->b, &v, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

static int64_t count_of(const Gen *g, const IrVal *dims, int rank) { // -1: not a constant, or many
  int64_t n = 1, d;
  for (int k = 0; k < rank; k++) {
    if (!ir_is_const_int(g->f, dims[k], &d) || d > TOGETHER) return -1;
    n *= d;
  }
  return n > TOGETHER ? -1 : n;
}

static int64_t count_inputs(const Gen *g, const Jacobian *j, int n) { // of the first n that are floats
  int64_t sum = 0;
  for (int k = 0; k < n && sum >= 0; k++) {
    IrType t = in_type(g, j, j->inputs[k]);
    int64_t c = ir_is_float(t) ? count_of(g, j->in_dims[j->inputs[k]], t.rank) : 0;
    sum = c < 0 || sum + c > TOGETHER ? -1 : sum + c;
  }
  return sum;
}

static int64_t count_outputs(const Gen *g, const Jacobian *j, int n) {
  int64_t sum = 0;
  for (int o = 0; o < n && sum >= 0; o++) {
    IrType t = out_type(j, o);
    int64_t c = ir_is_float(t) ? count_of(g, j->out_dims[o], t.rank) : 0;
    sum = c < 0 || sum + c > TOGETHER ? -1 : sum + c;
  }
  return sum;
}

static void all_rows(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  Jacobian *j = user;
  IrVals seeds = {0};
  for (int o = 0; o < j->n_out; o++)
    if (ir_is_float(out_type(j, o)))
      vec_push(g->arena, &seeds, seed_of(g, out_type(j, o), j->out_dims[o], count_outputs(g, j, o), idx[0]));
  Dcall d = deriv_call(g, j->t, IR_VJP, &seeds);
  for (int k = 0; k < j->n_inputs; k++) {
    IrVal x = deriv_adjoint(j->t, &d, j->in[j->inputs[k]]);
    if (x) carried[k] = set_block(g, carried[k], idx, 1, value_leaf(g, x));
  }
}

// Part of an array: elements from `offset` on along the first or last axis become the axes `dims`.
typedef struct Part {
  IrVal from;
  bool first; // the axis
  int64_t offset;
  const IrVal *dims; // instead of it
  int rank;
} Part;

static IrVal take_part(Gen *g, const Part *p, IrElem to) {
  IrVal sizes[2 * IR_MAX_RANK], at[2 * IR_MAX_RANK];
  int others = ir_type(g->f, p->from).rank - 1, total = others + p->rank;
  const IrVal *all = ir_dims(g->f, p->from);
  int split = p->first ? 0 : others; // where the new axes stand among the results'
  for (int k = 0; k < split; k++) sizes[k] = all[k];
  for (int k = 0; k < p->rank; k++) sizes[split + k] = p->dims[k];
  for (int k = split; k < others; k++) sizes[p->rank + k] = all[1 + k];
  IrBuilder in = g->b, outer = g->b;
  IrOp *op = total ? ir_build(&outer, sizes, total, &in) : NULL;
  const IrVal *idx = op ? in.region->args : NULL;
  g->b = in;
  IrVal one = flat_index(g, p->dims, idx ? idx + split : NULL, p->rank, p->offset);
  for (int k = 0; k < others; k++) at[p->first ? k + 1 : k] = idx[p->first ? p->rank + k : k];
  at[p->first ? 0 : others] = one;
  Value *e = leaf_convert(g, value_leaf(g, ir_get(&g->b, p->from, at, others + 1)), to);
  IrVal v = force_leaf(g, e, NULL);
  if (!op) return v;
  ir_yield(&g->b, &v, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

static void columns_together(Gen *g, Jacobian *j, int64_t n) {
  IrVal count = ir_const_int(&g->b, n);
  IrVals seeds = {0};
  mark_inputs(g, j);
  for (int p = 0; p < j->t->inst->func->n_params; p++) // seeds follow the IR parameters
    for (int k = 0; j->t->mask[p] && k < j->n_inputs; k++)
      if (j->in[j->inputs[k]] == p)
        vec_push(g->arena, &seeds,
                 seeds_of(g, in_type(g, j, j->inputs[k]), j->in_dims[j->inputs[k]], count_inputs(g, j, k), 0,
                          count));
  Dcall d = deriv_call(g, j->t, IR_JVPS, &seeds);
  int next = d.first;
  for (int o = 0; o < j->n_out; o++) {
    IrType y = out_type(j, o);
    if (!ir_is_float(y)) continue;
    IrVal all = ir_result(d.op, next++);
    for (int k = 0; k < j->n_inputs; k++) {
      IrType x = in_type(g, j, j->inputs[k]);
      Part p = {all, false, count_inputs(g, j, k), j->in_dims[j->inputs[k]], x.rank};
      if (!ir_is_float(x)) continue;
      bool whole = j->n_inputs == 1 && x.rank == 1;
      *cell(j, o, j->inputs[k]) = whole ? all : take_part(g, &p, (IrElem)y.elem);
    }
  }
}

// ---- many columns, some at a time -------------------------------------------------------------------------------------------

typedef struct Some {
  Jacobian *j;
  IrVal first, from; // of the columns at hand, the first; their values
} Some;

// idx: of an element of the output, then which of the columns at hand.
static void set_column(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Some *s = user;
  IrVal at[2 * IR_MAX_RANK];
  int rank = ir_type(g->f, s->from).rank - 1, n = in_type(g, s->j, s->j->leaf).rank;
  const IrVal *dims = s->j->in_dims[s->j->leaf];
  if (rank) memcpy(at, idx, sizeof *at * (size_t)rank);
  IrVal flat = ir_op2(&g->b, IR_ADD, s->first, idx[rank]);
  for (int k = n - 1; k >= 0; k--) {
    at[rank + k] = k ? ir_op2(&g->b, IR_IMOD, flat, dims[k]) : flat;
    if (k) flat = ir_op2(&g->b, IR_IDIV, flat, dims[k]);
  }
  carried[0] = ir_set(&g->b, carried[0], at, rank + n, ir_get(&g->b, s->from, idx, rank + 1));
}

static void some_columns(Gen *g, Jacobian *j, IrVal first, IrVal count, IrVal *columns) {
  IrVals seeds = {0};
  IrType x = in_type(g, j, j->leaf);
  IrVal width = ir_const_int(&g->b, DIRECTIONS), left = ir_op2(&g->b, IR_SUB, count, first);
  vec_push(g->arena, &seeds, seeds_of(g, x, j->in_dims[j->leaf], 0, first, width));
  Dcall d = deriv_call(g, j->t, IR_JVPS, &seeds);
  left = ir_op2(&g->b, IR_MIN, left, width);
  int next = d.first;
  for (int o = 0; o < j->n_out; o++) {
    if (!ir_is_float(out_type(j, o))) continue;
    Some s = {j, first, ir_result(d.op, next++)};
    int rank = ir_type(g->f, s.from).rank;
    IrVal dims[IR_MAX_RANK + 1];
    memcpy(dims, ir_dims(g->f, s.from), sizeof *dims * (size_t)rank);
    dims[rank - 1] = left;
    nest(g, dims, rank, &columns[o], 1, set_column, &s);
  }
}

static void columns_of_leaf(Gen *g, Jacobian *j, IrVal *columns) {
  const IrVal *dims = j->in_dims[j->leaf];
  IrVal zero = ir_const_int(&g->b, 0), step = ir_const_int(&g->b, DIRECTIONS);
  IrVal count = element_count(g, dims, in_type(g, j, j->leaf).rank);
  IrBuilder in, outer = g->b;
  IrOp *op = ir_for(&outer, zero, count, step, columns, j->n_out, &in);
  g->b = in;
  for (int o = 0; o < j->n_out; o++) columns[o] = in.region->args[1 + o];
  some_columns(g, j, in.region->args[0], count, columns);
  ir_yield(&g->b, columns, j->n_out);
  g->b = outer;
  for (int o = 0; o < j->n_out; o++) columns[o] = ir_result(op, o);
}

static void single_column(Gen *g, Jacobian *j, IrVal *columns) {
  IrVals seeds = {0};
  deriv_one_hot(g, j->t, j->in[j->leaf], NULL, &seeds);
  Dcall d = deriv_call(g, j->t, IR_JVP, &seeds);
  int next = d.first;
  for (int o = 0; o < j->n_out; o++)
    if (ir_is_float(out_type(j, o))) columns[o] = ir_result(d.op, next++);
}

static void columns_leaf_by_leaf(Gen *g, Jacobian *j) {
  IrVal *columns = ARENA_ARRAY(g->arena, IrVal, j->n_out);
  const int *inputs = j->inputs;
  int n = j->n_inputs;
  for (int k = 0; k < n; k++) {
    j->leaf = inputs[k];
    j->inputs = &inputs[k];
    j->n_inputs = 1;
    if (!ir_is_float(in_type(g, j, j->leaf))) continue;
    mark_inputs(g, j);
    for (int o = 0; o < j->n_out; o++) columns[o] = *cell(j, o, j->leaf);
    if (in_type(g, j, j->leaf).rank)
      columns_of_leaf(g, j, columns);
    else
      single_column(g, j, columns);
    for (int o = 0; o < j->n_out; o++) *cell(j, o, j->leaf) = columns[o];
  }
}

static void rows_together(Gen *g, Jacobian *j, int64_t n) {
  IrVal *all = ARENA_ARRAY(g->arena, IrVal, j->n_inputs), count = ir_const_int(&g->b, n);
  mark_inputs(g, j);
  for (int k = 0; k < j->n_inputs; k++) {
    IrVal dims[IR_MAX_RANK + 1] = {count};
    IrType x = in_type(g, j, j->inputs[k]);
    if (x.rank) memcpy(dims + 1, j->in_dims[j->inputs[k]], sizeof *dims * x.rank);
    all[k] = ir_fill(&g->b, zero_of(g, (IrElem)x.elem), dims, x.rank + 1);
  }
  nest(g, &count, 1, all, j->n_inputs, all_rows, j);
  for (int o = 0; o < j->n_out; o++)
    for (int k = 0; k < j->n_inputs; k++) {
      IrType x = in_type(g, j, j->inputs[k]), y = out_type(j, o);
      Part p = {all[k], true, count_outputs(g, j, o), j->out_dims[o], y.rank};
      if (ir_is_float(x) && ir_is_float(y)) *cell(j, o, j->inputs[k]) = take_part(g, &p, (IrElem)y.elem);
    }
}

// ---- the choice of mode ----------------------------------------------------------------------------------------------------

static bool room_for_axis(const Gen *g, const Jacobian *j) {
  for (int o = 0; o < j->n_out; o++)
    if (out_type(j, o).rank >= IR_MAX_RANK) return false;
  for (int k = 0; k < j->n_inputs; k++)
    if (in_type(g, j, j->inputs[k]).rank >= IR_MAX_RANK) return false;
  return true;
}

static void fill(Gen *g, Jacobian *j, const int *inputs, int n, bool forward) {
  if (!n) return;
  j->inputs = inputs;
  j->n_inputs = n;
  bool room = room_for_axis(g, j);
  for (int k = 0; k < n && !room; k++) forward &= !in_type(g, j, inputs[k]).rank; // one direction needs none
  int64_t together = !room ? -1 : forward ? count_inputs(g, j, n) : count_outputs(g, j, j->n_out);
  if (forward && together > 1)
    columns_together(g, j, together);
  else if (forward)
    columns_leaf_by_leaf(g, j);
  else if (together > 0 && !(j->n_out == 1 && out_type(j, 0).rank <= 1))
    rows_together(g, j, together);
  else
    rows_one_by_one(g, j);
}

// Forward mode where there are no more inputs than outputs, which the run tells: each in a branch of its own.
static void fill_either(Gen *g, Jacobian *j, const int *inputs, int n) {
  int total = j->n_out * j->n_in, count = j->n_out * n;
  if (!n) return;
  IrVal *before = ARENA_ARRAY(g->arena, IrVal, total), *yields = ARENA_ARRAY(g->arena, IrVal, count);
  const IrVal **dims = ARENA_ARRAY(g->arena, const IrVal *, count);
  IrVal ins = ir_const_int(&g->b, 0), outs = ins;
  for (int k = 0; k < n; k++)
    if (ir_is_float(in_type(g, j, inputs[k])))
      ins =
          ir_op2(&g->b, IR_ADD, ins, element_count(g, j->in_dims[inputs[k]], in_type(g, j, inputs[k]).rank));
  for (int o = 0; o < j->n_out; o++)
    if (ir_is_float(out_type(j, o)))
      outs = ir_op2(&g->b, IR_ADD, outs, element_count(g, j->out_dims[o], out_type(j, o).rank));
  IrBuilder in[2], outer = g->b;
  IrOp *op = ir_if(&outer, ir_op2(&outer, IR_LE, ins, outs), &in[0], &in[1]);
  memcpy(before, j->cells, sizeof *before * (size_t)total);
  for (int side = 0; side < 2; side++) {
    g->b = in[side];
    memcpy(j->cells, before, sizeof *before * (size_t)total);
    fill(g, j, inputs, n, side == 0);
    for (int o = 0, at = 0; o < j->n_out; o++)
      for (int k = 0; k < n; k++) yields[at++] = *cell(j, o, inputs[k]);
    ir_yield(&g->b, yields, count);
  }
  g->b = outer;
  for (int k = 0; k < count; k++) dims[k] = ir_dims(g->f, before[(k / n) * j->n_in + inputs[k % n]]);
  ir_close_if(&g->b, op, dims);
  memcpy(j->cells, before, sizeof *before * (size_t)total);
  for (int k = 0; k < count; k++) *cell(j, k / n, inputs[k % n]) = ir_result(op, k);
}

static Size *count_leaves(Gen *g, const LeafVec *leaves, int first, int n) {
  Size *sum = size_const(g->arena, 0);
  for (int i = first; i < first + n; i++) {
    const Leaf *leaf = &leaves->data[i];
    Size *count = size_const(g->arena, ir_is_float(leaf->type));
    for (int k = 0; k < leaf->type.rank; k++) count = size_mul(g->arena, count, leaf->dims[k]);
    sum = size_add(g->arena, sum, count);
  }
  return sum;
}

static LeafVec all_inputs(Gen *g, const Target *t) {
  LeafVec ins = {0};
  for (int i = 0; i < t->inst->call.n; i++)
    for (int k = 0; k < t->inst->param_leaves[i].len; k++)
      vec_push(g->arena, &ins, t->inst->param_leaves[i].data[k]);
  return ins;
}

typedef enum Choice { BY_ROWS, BY_COLUMNS, BY_RUN, N_CHOICES } Choice;

// What the types say of one parameter: forward mode where its floats are as many as the outputs, or a few against a number that
// they do not tell.
static Choice choice_by_types(Size *n_in, const Size *n_out) {
  int64_t a, out;
  if (size_is_const(n_out, &out)) return BY_ROWS;
  bool few = size_is_const(n_in, &a) && a <= FEW_INPUTS;
  return few || size_compare(n_in, n_out) == SIZE_EQUAL ? BY_COLUMNS : BY_RUN;
}

// By parameter. Where all numbers are constants, together.
static void choose_modes(Gen *g, const Jacobian *j, Choice *choice) {
  const Target *t = j->t;
  LeafVec ins = all_inputs(g, t);
  DerivMode mode = g->fn->mode;
  if (mode == MODE_AUTO && !deriv_has_mode(g, t->inst, true)) mode = MODE_REVERSE;
  if (mode == MODE_AUTO && (g->fn->is_hessian || !deriv_has_mode(g, t->inst, false))) mode = MODE_FORWARD;
  Size *n_out = count_leaves(g, &t->inst->results, 0, t->inst->results.len), *all = size_const(g->arena, 0);
  int64_t out, total;
  for (int w = 0; w < t->fn->n_wrt; w++) {
    Range r = deriv_range(g, t, w);
    Size *n_in = count_leaves(g, &ins, r.first - t->inst->n_size_params, r.n);
    all = size_add(g->arena, all, n_in);
    choice[w] = choice_by_types(n_in, n_out);
  }
  bool known = size_is_const(n_out, &out) && size_is_const(all, &total);
  for (int w = 0; w < t->fn->n_wrt; w++)
    if (mode != MODE_AUTO)
      choice[w] = mode == MODE_FORWARD ? BY_COLUMNS : BY_ROWS;
    else if (known)
      choice[w] = total <= out ? BY_COLUMNS : BY_ROWS;
}

// ---- the result ------------------------------------------------------------------------------------------------------------

static Value *cells_tree(Gen *g, Jacobian *j, Range of, Type *out, Type *in, int *o, int *i) {
  if (type_is_aggregate(out) || type_is_aggregate(in)) {
    bool by_out = type_is_aggregate(out);
    int n = type_part_count(by_out ? out : in), first_i = *i;
    Value **parts = ARENA_ARRAY(g->arena, Value *, n);
    for (int k = 0; k < n; k++) {
      if (by_out) *i = first_i;
      Type *part = type_part(g->arena, by_out ? out : in, k);
      parts[k] = by_out ? cells_tree(g, j, of, part, in, o, i) : cells_tree(g, j, of, out, part, o, i);
    }
    return value_parts(g, parts, n);
  }
  Value *v = value_leaf(g, *cell(j, *o, of.first + *i));
  ++*i;
  if (*i == of.n) ++*o;
  return v;
}

static const IrVal **result_sizes(Gen *g, Target *t) {
  const IrVal **dims = ARENA_ARRAY(g->arena, const IrVal *, t->inst->results.len);
  if (t->inst->n_extra) {
    ValueVec leaves = {0};
    value_leaves(deriv_value(g, t), &leaves, g->arena);
    for (int i = 0; i < leaves.len; i++) dims[i] = leaf_dims(g, leaves.data[i]);
    return dims;
  }
  CallShape s;
  call_shape(g, t->inst, &t->args, &s);
  for (int i = 0; i < s.n; i++) dims[i] = s.dims[i];
  return dims;
}

static const IrVal *known_sizes(Gen *g, const Leaf *leaf, const IrVal *dims) {
  IrVal *now = ARENA_ARRAY(g->arena, IrVal, leaf->type.rank + 1);
  int64_t n;
  for (int k = 0; k < leaf->type.rank; k++)
    now[k] = size_is_const(leaf->dims[k], &n) ? ir_const_int(&g->b, n) : dims[k];
  return now;
}

static void open_inputs(Gen *g, Jacobian *j, Range *of) {
  LeafVec ins = all_inputs(g, j->t);
  for (int w = 0; w < g->fn->n_wrt; w++) {
    Range r = deriv_range(g, j->t, w);
    of[w] = (Range){j->n_in, r.n};
    j->n_in += r.n;
  }
  j->in = ARENA_ARRAY(g->arena, int, j->n_in);
  for (int w = 0, at = 0; w < g->fn->n_wrt; w++)
    for (int k = 0; k < of[w].n; k++) j->in[at++] = deriv_range(g, j->t, w).first + k;
  j->cells = ARENA_ARRAY(g->arena, IrVal, j->n_out * j->n_in);
  j->in_dims = ARENA_ARRAY(g->arena, const IrVal *, j->n_in);
  for (int i = 0; i < j->n_in; i++)
    j->in_dims[i] =
        known_sizes(g, &ins.data[j->in[i] - j->t->inst->n_size_params], ir_dims(g->f, in_arg(j, i)));
  for (int o = 0; o < j->n_out; o++)
    j->out_dims[o] = known_sizes(g, &j->t->inst->results.data[o], j->out_dims[o]);
}

Value *deriv_jacobian(Gen *g) {
  Target t;
  if (!deriv_open(g, &t, g->fn->target)) return value_none(g);
  int n = g->fn->n_wrt;
  Jacobian j = {.t = &t, .n_out = t.inst->results.len, .out_dims = result_sizes(g, &t)};
  Range *of = ARENA_ARRAY(g->arena, Range, n);
  Choice *choice = ARENA_ARRAY(g->arena, Choice, n);
  open_inputs(g, &j, of);
  init_cells(g, &j);
  if (g->l->failed) return value_none(g);
  choose_modes(g, &j, choice);
  for (Choice c = BY_ROWS; c < N_CHOICES; c++) {
    int *inputs = ARENA_ARRAY(g->arena, int, j.n_in), n_inputs = 0;
    for (int w = 0; w < n; w++)
      for (int k = 0; choice[w] == c && k < of[w].n; k++) inputs[n_inputs++] = of[w].first + k;
    if (c == BY_RUN)
      fill_either(g, &j, inputs, n_inputs);
    else
      fill(g, &j, inputs, n_inputs, c == BY_COLUMNS);
  }
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int w = 0; w < n; w++) {
    int o = 0, i = 0;
    parts[w] =
        cells_tree(g, &j, of[w], t.inst->call.result, wrt_type(g->l, &t.inst->call, &t.fn->wrt[w]), &o, &i);
  }
  if (n == 1) return parts[0];
  Value *by_input = value_parts(g, parts, n);
  if (!g->fn->is_hessian) return by_input;
  Value **rows = ARENA_ARRAY(g->arena, Value *, n);
  for (int r = 0; r < n; r++) {
    for (int w = 0; w < n; w++) parts[w] = by_input->parts[w]->parts[r];
    rows[r] = value_parts(g, parts, n);
  }
  return value_parts(g, rows, n);
}
