// Differentiation: forward mode along several directions at once. In: a function. Out: the same function with, beside every
// active value, its tangents: an array with one axis more, the innermost, along which the directions lie side by side.
//
// The primal is computed once. The tangents of a run of scalar operations come out of one loop over the directions, which
// has nothing but multiplications and additions in it, and whose memory is contiguous.
#include "ad/internal.h"

typedef VEC(const IrOp *) IrOps;

typedef struct Wide {
  Arena *arena;
  IrModule *m;
  Diags *diags;
  const IrFunc *f;
  IrFunc *g;
  Activity act;
  IrMap map;
  IrVal width;            // how many directions
  IrVal *tan;             // by value of f: its tangents in g; 0: zero
  IrVal *lane;            // by value of f: its tangent where one direction's code is being emitted
  IrVals touched;         // those that `lane` knows
  IrOps *users;           // by value of f; NULL: a yield
  IrOps run;              // scalar operations whose tangents have still to be computed
  bool *in_run;           // by result
  const IrVal *old, *now; // while elements of arrays are set: the arrays as they were, and as they are
  int n_old;
  bool failed;
} Wide;

static IrVal mapped(const Wide *w, IrVal v) { return ir_mapped(&w->map, v); }
static bool active(const Wide *w, IrVal v) { return is_active(&w->act, v); }

static bool has_active_result(const Wide *w, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++)
    if (active(w, ir_result(op, k))) return true;
  return false;
}

static IrType wider(IrType t) {
  t.rank++;
  return t;
}

// The sizes of a value's tangents. Those that the operation itself results in are written as results.
static IrVal *wide_dims(Wide *w, IrVal v, const IrOp *maker) {
  IrType t = ir_type(w->f, v);
  IrVal *dims = ARENA_ARRAY(w->arena, IrVal, t.rank + 1);
  for (int d = 0; d < t.rank && !t.grow; d++) {
    IrVal old = ir_dims(w->f, v)[d];
    dims[d] = maker && ir_val(w->f, old)->def == maker ? IR_RESULT(old - maker->result) : mapped(w, old);
  }
  dims[t.rank] = w->width;
  return dims;
}

static IrVal zeros_for(Wide *w, IrBuilder *b, IrVal v) {
  IrType t = ir_type(w->f, v);
  return ir_fill(b, ad_zero(b, (IrElem)t.elem), wide_dims(w, v, NULL), t.rank + 1);
}

static IrVal tangents_or_zero(Wide *w, IrBuilder *b, IrVal v) {
  return w->tan[v] ? w->tan[v] : zeros_for(w, b, v);
}

// ---- one direction ---------------------------------------------------------------------------------------------------

static void set_lane(Wide *w, IrVal v, IrVal t) {
  w->lane[v] = t;
  vec_push(w->arena, &w->touched, v);
}

static IrVal lane_tangent(Wide *w, IrBuilder *in, IrVal v, IrVal l) {
  if (!w->lane[v] && w->tan[v]) set_lane(w, v, ir_get(in, w->tan[v], &l, 1));
  return w->lane[v];
}

static IrVal rule_operand(Rule *r, int k) { return mapped(r->user, r->op->args[k]); }
static IrVal rule_result(Rule *r) { return mapped(r->user, r->op->result); }

static IrVal lane_of_scalar(Wide *w, IrBuilder *in, const IrOp *op, IrVal l) {
  Rule rule = {in, op, w, rule_operand, rule_result};
  IrVal sum = 0;
  for (int k = 0; k < op->n_args; k++) {
    IrVal t = lane_tangent(w, in, op->args[k], l);
    if (!t) continue;
    IrVal part = op->kind == IR_FCVT ? ir_convert(in, IR_FCVT, (IrElem)ir_type(w->f, op->result).elem, t)
                                     : rule_apply(&rule, k, t);
    sum = sum ? ad_add(in, sum, part) : part;
  }
  return sum;
}

static int wide_indices(const Wide *w, const IrOp *op, int first, int end, IrVal l, IrVal *idx) {
  for (int k = first; k < end; k++) idx[k - first] = mapped(w, op->args[k]);
  idx[end - first] = l;
  return end - first + 1;
}

// A direction reads before it writes, and no other one writes there: what is read may be the array that is changing.
static IrVal current(const Wide *w, IrVal array) {
  for (int k = 0; k < w->n_old; k++)
    if (w->old[k] == array) return w->now[k];
  return array;
}

static void emit_lane(Wide *w, IrBuilder *in, IrVal l) {
  for (int i = 0; i < w->run.len; i++) {
    const IrOp *op = w->run.data[i];
    IrVal idx[IR_MAX_RANK + 1], t;
    in->loc = op->loc;
    if (op->kind == IR_GET) {
      int n = wide_indices(w, op, 1, op->n_args, l, idx);
      t = w->tan[op->args[0]] ? ir_get(in, current(w, w->tan[op->args[0]]), idx, n) : 0;
    } else {
      t = lane_of_scalar(w, in, op, l);
    }
    if (t) set_lane(w, op->result, t);
  }
}

static void end_run(Wide *w) {
  for (int i = 0; i < w->touched.len; i++) w->lane[w->touched.data[i]] = 0;
  for (int i = 0; i < w->run.len; i++) w->in_run[w->run.data[i]->result] = false;
  w->touched.len = w->run.len = 0;
}

// ---- a run of scalar operations --------------------------------------------------------------------------------------------

// Is the value read by more than the run and `except`?
static bool is_read_outside(const Wide *w, IrVal v, const IrOp *except) {
  for (int i = 0; i < w->users[v].len; i++) {
    const IrOp *user = w->users[v].data[i];
    if (!user || (user != except && !(user->n_results && w->in_run[user->result]))) return true;
  }
  return false;
}

static void flush(Wide *w, IrBuilder *b) {
  IrVals out = {0}, yields = {0};
  for (int i = 0; i < w->run.len; i++)
    if (is_read_outside(w, w->run.data[i]->result, NULL)) vec_push(w->arena, &out, w->run.data[i]->result);
  if (out.len) {
    IrBuilder in;
    IrOp *now = ir_build(b, &w->width, 1, &in);
    emit_lane(w, &in, in.region->args[0]);
    for (int i = 0; i < out.len; i++) {
      IrVal t = w->lane[out.data[i]];
      vec_push(w->arena, &yields, t ? t : ad_zero(&in, (IrElem)ir_type(w->f, out.data[i]).elem));
    }
    ir_yield(&in, yields.data, yields.len);
    ir_close_build(b, now);
    for (int i = 0; i < out.len; i++) w->tan[out.data[i]] = ir_result(now, i);
  }
  end_run(w);
}

// Values become elements of arrays, in one loop over the directions with what is left of the run: arrays[k] at idx, of rank
// ranks[k], takes (adds) the tangent of vals[k].
typedef struct Sink {
  IrVal array, value;
  const IrVal *idx;
  int rank;
  bool adds;
} Sink;

static void drain(Wide *w, IrBuilder *b, const Sink *sinks, int n, IrVal *arrays) {
  for (int k = 0; k < n; k++) arrays[k] = sinks[k].array;
  IrBuilder in;
  IrVal zero = ir_const_int(b, 0), one = ir_const_int(b, 1), at[IR_MAX_RANK + 1];
  IrOp *now = ir_for(b, zero, w->width, one, arrays, n, &in);
  IrVal l = in.region->args[0], *old = ARENA_ARRAY(w->arena, IrVal, n);
  for (int k = 0; k < n; k++) old[k] = arrays[k];
  w->old = old;
  w->now = in.region->args + 1;
  w->n_old = n;
  emit_lane(w, &in, l);
  w->n_old = 0;
  for (int k = 0; k < n; k++) {
    const Sink *s = &sinks[k];
    IrVal t = lane_tangent(w, &in, s->value, l), to = in.region->args[1 + k];
    for (int d = 0; d < s->rank; d++) at[d] = s->idx[d];
    at[s->rank] = l;
    if (s->adds)
      arrays[k] = t ? ir_acc(&in, to, at, s->rank + 1, t) : to;
    else
      arrays[k] =
          ir_set(&in, to, at, s->rank + 1, t ? t : ad_zero(&in, (IrElem)ir_type(w->f, s->value).elem));
  }
  ir_yield(&in, arrays, n);
  for (int k = 0; k < n; k++) arrays[k] = ir_result(now, k);
  end_run(w);
}

// ---- arrays ------------------------------------------------------------------------------------------------------------

static void wide_element(Wide *w, IrBuilder *b, const IrOp *op) {
  IrVal value = op->args[op->n_args - 1], idx[IR_MAX_RANK + 1];
  bool has_value = active(w, value) && (w->tan[value] || w->in_run[value]), adds = op->kind == IR_ACC;
  if (!has_value && (adds || !w->tan[op->args[0]])) {
    w->tan[op->result] = w->tan[op->args[0]];
    return;
  }
  bool alone = true;
  for (int i = 0; i < w->run.len; i++) alone &= !is_read_outside(w, w->run.data[i]->result, op);
  if (!alone) flush(w, b);
  wide_indices(w, op, 1, op->n_args - 1, 0, idx);
  Sink s = {tangents_or_zero(w, b, op->args[0]), value, idx, op->n_args - 2, adds};
  drain(w, b, &s, 1, &w->tan[op->result]);
}

static IrVal wide_fill(Wide *w, IrBuilder *b, const IrOp *op) {
  IrBuilder in;
  IrVal base = w->tan[op->args[0]];
  int rank = op->n_args - 1;
  IrOp *now = ir_build(b, wide_dims(w, op->result, NULL), rank + 1, &in);
  IrVal e = ir_get(&in, base, &in.region->args[rank], 1);
  ir_yield(&in, &e, 1);
  ir_close_build(b, now);
  return ir_result(now, 0);
}

// sum[i, j, ..] += x[i, k] * y[k, j], one of the two with directions.
static IrVal add_product(Wide *w, IrBuilder *b, const IrOp *op, int first, int which, IrVal sum) {
  IrVal x = op->args[first], y = op->args[first + 1], idx[3], carried;
  bool ta = op->attr.i & IR_TRANS_A, tb = op->attr.i & IR_TRANS_B;
  const IrVal *dims = ir_dims(w->f, op->result);
  IrVal sizes[3] = {mapped(w, dims[0]), mapped(w, dims[1]), mapped(w, ir_dims(w->f, x)[ta ? 0 : 1])};
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, sizes, 3, &sum, 1, idx, &carried);
  IrVal at_x[3] = {ta ? idx[2] : idx[0], ta ? idx[0] : idx[2], 0};
  IrVal at_y[3] = {tb ? idx[1] : idx[2], tb ? idx[2] : idx[1], 0};
  IrVal other = which ? ir_get(&in, mapped(w, x), at_x, 2) : ir_get(&in, mapped(w, y), at_y, 2), l, inner;
  AdNest lanes = {0};
  IrBuilder one = ad_nest_open(&in, &lanes, &w->width, 1, &carried, 1, &l, &inner);
  at_x[2] = at_y[2] = l;
  IrVal t = which ? ir_get(&one, w->tan[y], at_y, 3) : ir_get(&one, w->tan[x], at_x, 3);
  IrVal to[3] = {idx[0], idx[1], l};
  inner = ir_acc(&one, inner, to, 3, ir_op2(&one, IR_MUL, t, other));
  ad_nest_close(&lanes, &inner, &carried);
  ad_nest_close(&nest, &carried, &sum);
  return sum;
}

static IrVal wide_product(Wide *w, IrBuilder *b, const IrOp *op) {
  int first = op->kind == IR_MATACC;
  IrVal sum = first && w->tan[op->args[0]] ? w->tan[op->args[0]] : 0;
  for (int k = 0; k < 2; k++) {
    if (!w->tan[op->args[first + k]]) continue;
    if (!sum) sum = zeros_for(w, b, op->result);
    sum = add_product(w, b, op, first, k, sum);
  }
  return sum;
}

// ---- regions -----------------------------------------------------------------------------------------------------------

static void wide_region(Wide *w, IrBuilder *b, const IrRegion *r);

static int *wide_results(Wide *w, const IrOp *op, const IrRegion *body, int first_arg, int *n) {
  int *which = ARENA_ARRAY(w->arena, int, op->n_results + 1);
  *n = 0;
  for (int k = 0; k < op->n_results; k++)
    if (active(w, ir_result(op, k)) || (first_arg >= 0 && active(w, body->args[first_arg + k])))
      which[(*n)++] = k;
  return which;
}

static void map_results(Wide *w, const IrOp *op, const IrOp *now, const int *which, int n) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&w->map, ir_result(op, k), ir_result(now, k));
  for (int j = 0; j < n; j++) w->tan[ir_result(op, which[j])] = ir_result(now, op->n_results + j);
}

static void yields(Wide *w, IrBuilder *in, const IrRegion *r, int n_results, const int *which, int n) {
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, n_results + n);
  flush(w, in);
  for (int k = 0; k < n_results; k++) vals[k] = mapped(w, r->yields[k]);
  for (int j = 0; j < n; j++) vals[n_results + j] = tangents_or_zero(w, in, r->yields[which[j]]);
  ir_yield(in, vals, n_results + n);
}

// Scalars that a loop carries are updated where they are, in one loop over the directions: if the old tangent is read by
// nothing else at the end, and the new one is made by the run.
static void loop_yields(Wide *w, IrBuilder *in, const IrRegion *r, int first_arg, int n_results,
                        const int *which, int n) {
  Sink *sinks = ARENA_ARRAY(w->arena, Sink, n);
  IrVal *now = ARENA_ARRAY(w->arena, IrVal, n), *old = ARENA_ARRAY(w->arena, IrVal, n);
  int count = 0;
  bool fits = true;
  for (int j = 0; j < n; j++) {
    IrVal y = r->yields[which[j]], arg = r->args[first_arg + which[j]];
    if (ir_type(w->f, y).rank || !w->in_run[y]) continue;
    sinks[count] = (Sink){.array = w->tan[arg], .value = y};
    old[count++] = arg;
    for (int i = 0; i < r->n_yields; i++) fits &= r->yields[i] != arg;
    for (int i = 0; i < j; i++) fits &= r->yields[which[i]] != y;
  }
  for (int i = 0; i < w->run.len; i++) { // what the run makes is read within it, or yielded
    IrVal v = w->run.data[i]->result;
    int yielded = 0;
    for (int k = 0; k < count; k++) yielded += sinks[k].value == v;
    for (int u = 0; u < w->users[v].len; u++) {
      const IrOp *user = w->users[v].data[u];
      fits &= user ? user->n_results && w->in_run[user->result] : yielded;
    }
  }
  if (!count || !fits) {
    yields(w, in, r, n_results, which, n);
    return;
  }
  IrBuilder lane;
  IrVal *arrays = ARENA_ARRAY(w->arena, IrVal, count);
  for (int k = 0; k < count; k++) arrays[k] = sinks[k].array;
  IrOp *loop = ir_for(in, ir_const_int(in, 0), w->width, ir_const_int(in, 1), arrays, count, &lane);
  IrVal l = lane.region->args[0];
  for (int k = 0; k < count; k++) set_lane(w, old[k], ir_get(&lane, lane.region->args[1 + k], &l, 1));
  emit_lane(w, &lane, l);
  for (int k = 0; k < count; k++) {
    IrVal t = w->lane[sinks[k].value];
    if (!t) t = ad_zero(&lane, (IrElem)ir_type(w->f, sinks[k].value).elem);
    now[k] = ir_set(&lane, lane.region->args[1 + k], &l, 1, t);
  }
  ir_yield(&lane, now, count);
  for (int k = 0; k < count; k++) w->tan[sinks[k].value] = ir_result(loop, k);
  end_run(w);
  yields(w, in, r, n_results, which, n);
}

static void wide_loop(Wide *w, IrBuilder *b, const IrOp *op) {
  bool counted = op->kind == IR_FOR;
  const IrRegion *body = op->regions[counted ? 0 : 1];
  int first_init = counted ? 3 : 0, first_arg = counted ? 1 : 0, n;
  int *which = wide_results(w, op, body, first_arg, &n), total = op->n_results + n;
  IrVal *inits = ARENA_ARRAY(w->arena, IrVal, total);
  for (int k = 0; k < op->n_results; k++) inits[k] = mapped(w, op->args[first_init + k]);
  for (int j = 0; j < n; j++)
    inits[op->n_results + j] = tangents_or_zero(w, b, op->args[first_init + which[j]]);
  IrBuilder cond, in;
  IrOp *now = counted ? ir_for(b, mapped(w, op->args[0]), mapped(w, op->args[1]), mapped(w, op->args[2]),
                               inits, total, &in)
                      : ir_while(b, inits, total, &cond, &in);
  if (counted) {
    now->attr = op->attr;
    ir_map_set(&w->map, body->args[0], in.region->args[0]);
  } else {
    IrVal go;
    for (int k = 0; k < op->n_results; k++)
      ir_map_set(&w->map, op->regions[0]->args[k], cond.region->args[k]);
    ir_clone_ops(&cond, &w->map, op->regions[0], &go);
    ir_yield(&cond, &go, 1);
  }
  for (int k = 0; k < op->n_results; k++)
    ir_map_set(&w->map, body->args[first_arg + k], in.region->args[first_arg + k]);
  for (int j = 0; j < n; j++)
    w->tan[body->args[first_arg + which[j]]] = in.region->args[first_arg + op->n_results + j];
  wide_region(w, &in, body);
  loop_yields(w, &in, body, first_arg, op->n_results, which, n);
  map_results(w, op, now, which, n);
}

static void wide_if(Wide *w, IrBuilder *b, const IrOp *op) {
  int n;
  int *which = wide_results(w, op, NULL, -1, &n);
  IrBuilder in[2];
  IrOp *now = ir_if(b, mapped(w, op->args[0]), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    wide_region(w, &in[i], op->regions[i]);
    yields(w, &in[i], op->regions[i], op->n_results, which, n);
  }
  const IrVal **dims = ARENA_ARRAY(w->arena, const IrVal *, op->n_results + n);
  for (int k = 0; k < op->n_results; k++) dims[k] = wide_dims(w, ir_result(op, k), op);
  for (int j = 0; j < n; j++) dims[op->n_results + j] = dims[which[j]];
  ir_close_if(b, now, dims);
  map_results(w, op, now, which, n);
}

static IrVal zero_of(IrBuilder *b, IrElem e) {
  return e == IR_INT ? ir_const_int(b, 0) : e == IR_BOOL ? ir_const_bool(b, false) : ad_zero(b, e);
}

// Loops that set elements: those of the results, and the directions of their tangents behind them.
static void wide_build(Wide *w, IrBuilder *b, const IrOp *op) {
  int n, rank = op->n_args, n_results = op->n_results;
  int *which = wide_results(w, op, NULL, -1, &n), total = n_results + n;
  IrVal sizes[IR_MAX_RANK], idx[IR_MAX_RANK];
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, total), *carried = ARENA_ARRAY(w->arena, IrVal, total);
  Sink *sinks = ARENA_ARRAY(w->arena, Sink, n);
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < rank; k++) sizes[k] = mapped(w, op->args[k]);
  for (int k = 0; k < n_results; k++)
    vals[k] = ir_fill(b, zero_of(b, (IrElem)ir_type(w->f, ir_result(op, k)).elem), sizes, rank);
  for (int j = 0; j < n; j++) vals[n_results + j] = zeros_for(w, b, ir_result(op, which[j]));
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, sizes, rank, vals, total, idx, carried);
  for (int k = 0; k < rank; k++) ir_map_set(&w->map, body->args[k], idx[k]);
  wide_region(w, &in, body);
  if (w->failed) return;
  for (int k = 0; k < n_results; k++)
    vals[k] = ir_set(&in, carried[k], idx, rank, mapped(w, body->yields[k]));
  for (int j = 0; j < n; j++)
    sinks[j] = (Sink){carried[n_results + j], body->yields[which[j]], idx, rank, false};
  drain(w, &in, sinks, n, vals + n_results);
  ad_nest_close(&nest, vals, vals);
  for (int k = 0; k < n_results; k++) ir_map_set(&w->map, ir_result(op, k), vals[k]);
  for (int j = 0; j < n; j++) w->tan[ir_result(op, which[j])] = vals[n_results + j];
}

// ---- calls ---------------------------------------------------------------------------------------------------------------

// One direction of a value's tangents.
static IrVal slice(Wide *w, IrBuilder *b, IrType t, IrVal tangents, const IrVal *dims, IrVal l) {
  (void)w;
  IrVal idx[IR_MAX_RANK + 1] = {l};
  if (!t.rank) return ir_get(b, tangents, idx, 1);
  IrBuilder in;
  IrOp *now = ir_build(b, dims, t.rank, &in);
  for (int k = 0; k < t.rank; k++) idx[k] = in.region->args[k];
  idx[t.rank] = l;
  IrVal e = ir_get(&in, tangents, idx, t.rank + 1);
  ir_yield(&in, &e, 1);
  ir_close_build(b, now);
  return ir_result(now, 0);
}

// all[.., l] = one
static IrVal set_slice(IrBuilder *b, IrVal all, IrVal one, IrVal l) {
  int rank = ir_type(b->func, one).rank;
  IrVal idx[IR_MAX_RANK + 1] = {l}, carried;
  if (!rank) return ir_set(b, all, idx, 1, one);
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, ir_dims(b->func, one), rank, &all, 1, idx, &carried);
  idx[rank] = l;
  carried = ir_set(&in, carried, idx, rank + 1, ir_get(&in, one, idx, rank));
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

// Calls `name` once per direction: `args`, then a tangent for each value in `of` (in f: types, sizes); its results from
// `first` on are tangents, which go to `out`.
typedef struct OneByOne {
  Name name;
  const IrVal *args;
  int n_args;
  const IrType *of;
  const IrVal *tangents; // in g, with directions; as many as `of`
  int n_of;
  const IrType *types; // of the call's results
  const IrVal *const *dims;
  int n_results, first;
} OneByOne;

static void one_by_one(Wide *w, IrBuilder *b, const OneByOne *c, IrVal *out) {
  int n = c->n_results - c->first;
  IrVal *args = ARENA_ARRAY(w->arena, IrVal, c->n_args + c->n_of), l;
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, n), *carried = ARENA_ARRAY(w->arena, IrVal, n);
  for (int k = 0; k < n; k++) {
    IrType t = c->types[c->first + k];
    IrVal dims[IR_MAX_RANK + 1];
    for (int d = 0; d < t.rank; d++) dims[d] = c->dims[c->first + k][d];
    dims[t.rank] = w->width;
    vals[k] = ir_fill(b, ad_zero(b, (IrElem)t.elem), dims, t.rank + 1);
  }
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, &w->width, 1, vals, n, &l, carried);
  for (int k = 0; k < c->n_args; k++) args[k] = c->args[k];
  for (int k = 0; k < c->n_of; k++)
    args[c->n_args + k] = slice(w, &in, c->of[k], c->tangents[k], ir_dims(w->g, c->tangents[k]), l);
  IrOp *call = ir_call(&in, c->name, args, c->n_args + c->n_of, c->types, c->dims, c->n_results);
  for (int k = 0; k < n; k++) vals[k] = set_slice(&in, carried[k], ir_result(call, c->first + k), l);
  ad_nest_close(&nest, vals, out);
}

static void tangent_rule_call(Wide *w, IrBuilder *b, const IrOp *op, Name rule) {
  int n_args = op->n_args, n_of = 0, n = 0;
  IrVal *args = ARENA_ARRAY(w->arena, IrVal, n_args), *tangents = ARENA_ARRAY(w->arena, IrVal, n_args);
  IrType *of = ARENA_ARRAY(w->arena, IrType, n_args), *types = ARENA_ARRAY(w->arena, IrType, op->n_results);
  const IrVal **dims = ARENA_ARRAY(w->arena, const IrVal *, op->n_results);
  IrVal *out = ARENA_ARRAY(w->arena, IrVal, op->n_results);
  for (int k = 0; k < n_args; k++) args[k] = mapped(w, op->args[k]);
  for (int k = 0; k < n_args; k++) {
    if (!ir_is_float(ir_type(w->f, op->args[k]))) continue;
    of[n_of] = ir_type(w->f, op->args[k]);
    tangents[n_of++] = tangents_or_zero(w, b, op->args[k]);
  }
  for (int k = 0; k < op->n_results; k++) {
    if (!ir_is_float(ir_type(w->f, ir_result(op, k)))) continue;
    types[n] = ir_type(w->f, ir_result(op, k));
    dims[n++] = ir_dims(w->g, mapped(w, ir_result(op, k)));
  }
  OneByOne c = {rule, args, n_args, of, tangents, n_of, types, dims, n, 0};
  one_by_one(w, b, &c, out);
  n = 0;
  for (int k = 0; k < op->n_results; k++)
    if (ir_is_float(ir_type(w->f, ir_result(op, k)))) w->tan[ir_result(op, k)] = out[n++];
}

static IrFunc *wide_of(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags);

static void wide_call(Wide *w, IrBuilder *b, const IrOp *op) {
  IrFunc *callee = ir_func_find(w->m, op->attr.sym);
  if (callee->has_rule) {
    ir_clone_op(b, &w->map, op);
    if (callee->tangent_rule) {
      tangent_rule_call(w, b, op, callee->tangent_rule);
    } else {
      ad_refuse_tangent(w->diags, callee, op->loc.loc);
      w->failed = true;
    }
    return;
  }
  bool *wrt = ARENA_ARRAY(w->arena, bool, callee->n_params);
  int n_args = op->n_args, n = 0;
  IrVal *args = ARENA_ARRAY(w->arena, IrVal, 2 * op->n_args + 1);
  for (int k = 0; k < op->n_args; k++) args[k] = mapped(w, op->args[k]);
  args[n_args++] = w->width;
  for (int k = 0; k < op->n_args; k++) {
    wrt[k] = w->tan[op->args[k]] != 0;
    if (wrt[k]) args[n_args++] = w->tan[op->args[k]];
  }
  IrFunc *down = wide_of(w->m, callee, wrt, w->diags);
  if (!down) {
    w->failed = true;
    ir_clone_op(b, &w->map, op);
    return;
  }
  IrType *types = ARENA_ARRAY(w->arena, IrType, 2 * op->n_results);
  const IrVal **dims = ARENA_ARRAY(w->arena, const IrVal *, 2 * op->n_results);
  int *which = ARENA_ARRAY(w->arena, int, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    types[k] = ir_type(w->f, ir_result(op, k));
    dims[k] = types[k].grow ? NULL : wide_dims(w, ir_result(op, k), op);
    if (!ir_is_float(types[k])) continue;
    which[n++] = k;
  }
  for (int j = 0; j < n; j++) {
    types[op->n_results + j] = wider(types[which[j]]);
    dims[op->n_results + j] = dims[which[j]];
  }
  IrOp *call = ir_call(b, down->name, args, n_args, types, dims, op->n_results + n);
  map_results(w, op, call, which, n);
}

// ---- one operation -----------------------------------------------------------------------------------------------------

static void wide_op(Wide *w, IrBuilder *b, const IrOp *op) {
  b->loc = op->loc;
  if (!has_active_result(w, op)) {
    ir_clone_op(b, &w->map, op);
    return;
  }
  if (op->kind == IR_GET || rule_class((IrOpKind)op->kind) == RULE_SCALAR) {
    ir_clone_op(b, &w->map, op);
    vec_push(w->arena, &w->run, op);
    w->in_run[op->result] = true;
    return;
  }
  if (op->kind == IR_SET || op->kind == IR_ACC) {
    wide_element(w, b, op);
    b->loc = op->loc;
    ir_clone_op(b, &w->map, op);
    return;
  }
  flush(w, b);
  b->loc = op->loc;
  switch ((IrOpKind)op->kind) {
  case IR_FOR:
  case IR_WHILE: wide_loop(w, b, op); return;
  case IR_IF: wide_if(w, b, op); return;
  case IR_BUILD: wide_build(w, b, op); return;
  case IR_CALL: wide_call(w, b, op); return;
  case IR_FILL: w->tan[op->result] = w->tan[op->args[0]] ? wide_fill(w, b, op) : 0; break;
  case IR_COPY: w->tan[op->result] = w->tan[op->args[0]]; break;
  case IR_MATMUL:
  case IR_MATACC: w->tan[op->result] = wide_product(w, b, op); break;
  default: break;
  }
  ir_clone_op(b, &w->map, op);
}

static void wide_region(Wide *w, IrBuilder *b, const IrRegion *r) {
  for (int i = 0; i < r->ops.len && !w->failed; i++) wide_op(w, b, r->ops.data[i]);
}

// ---- the whole function ------------------------------------------------------------------------------------------------

static void collect_users(Wide *w, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) vec_push(w->arena, &w->users[op->args[k]], op);
    for (int k = 0; k < op->n_regions; k++) collect_users(w, op->regions[k]);
  }
  for (int k = 0; k < r->n_yields; k++) vec_push(w->arena, &w->users[r->yields[k]], NULL);
}

// Growable arrays have no room for another axis, nor have those of the highest rank.
static bool has_room(const Wide *w) {
  for (IrVal v = 1; v < (IrVal)w->f->vals.len; v++) {
    IrType t = ir_type(w->f, v);
    if (w->act.varied[v] && (t.grow || t.rank >= IR_MAX_RANK)) return false;
  }
  for (int k = 0; k < w->f->n_results; k++)
    if (ir_is_float(w->f->results[k]) && (w->f->results[k].grow || w->f->results[k].rank >= IR_MAX_RANK))
      return false;
  return true;
}

static void declare(Wide *w, const bool *wrt, Name name) {
  const IrFunc *f = w->f;
  Interner *names = w->m->names;
  w->g = ir_func_like((IrFunc *)f, &w->map, w->arena);
  w->g->name = name;
  w->g->is_export = w->g->has_rule = false;
  w->g->adjoint_rule = w->g->tangent_rule = NULL;
  for (int k = 0; k < f->n_params; k++) w->g->params[k].moved = false;
  w->width = ir_param(w->g, IR_SCALAR(IR_INT), NULL, (IrLeaf){.path = intern_cstr(names, "directions")});
  for (int k = 0; k < f->n_params; k++) {
    if (!wrt[k]) continue;
    IrVal p = f->body->args[k];
    const char *path = f->params[k].path ? f->params[k].path : "p";
    IrLeaf leaf = {.path = intern_cstr(names, arena_printf(w->arena, "%s_dots", path))};
    w->tan[p] = ir_param(w->g, wider(ir_type(f, p)), wide_dims(w, p, NULL), leaf);
  }
  int n = f->n_results; // known by its type before its body exists, so that a recursive call finds it
  w->g->results = ARENA_ARRAY(w->arena, IrType, 2 * n);
  for (int k = 0; k < f->n_results; k++) w->g->results[k] = f->results[k];
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) w->g->results[n++] = wider(f->results[k]);
  w->g->n_results = n;
  vec_push(w->m->arena, &w->m->funcs, w->g);
}

static void results(Wide *w, IrVal *vals) { // vals: by result of g, with the tangents
  const IrFunc *f = w->f;
  IrLeaf *leaves = ARENA_ARRAY(w->arena, IrLeaf, w->g->n_results);
  for (int k = 0; k < w->g->n_results; k++) leaves[k].path = intern_cstr(w->m->names, "_dots");
  for (int k = 0; f->result_leaves && k < f->n_results; k++) leaves[k] = f->result_leaves[k];
  ir_set_results(w->g, vals, w->g->n_results, leaves);
}

static bool drop_effect(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  (void)user, (void)b, (void)map;
  return op->n_results == 0 && (ir_op_info[op->kind].flags & IR_E);
}

// The same without what it prints and checks, for a second time.
static IrFunc *silent(Wide *w, IrFunc *f) {
  Name name = intern_cstr(w->m->names, arena_printf(w->arena, "%s.again", f->name));
  IrFunc *known = ir_func_find(w->m, name);
  if (known) return known;
  IrMap map;
  IrFunc *now = ir_func_like(f, &map, w->arena);
  now->name = name;
  IrBuilder b = ir_builder(now);
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, f->n_results);
  ir_rewrite_ops(&b, &map, f->body, vals, drop_effect, NULL);
  ir_set_results(now, vals, f->n_results, f->result_leaves);
  vec_push(w->m->arena, &w->m->funcs, now);
  return now;
}

// The function as it is, for each direction anew.
static bool repeat(Wide *w, const bool *wrt) {
  const IrFunc *f = w->f;
  IrBuilder b = ir_builder(w->g);
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, w->g->n_results),
        *args = ARENA_ARRAY(w->arena, IrVal, f->n_params + 1);
  ir_clone_ops(&b, &w->map, f->body, vals);
  IrFunc *one = ad_jvp(w->m, (IrFunc *)f, wrt, w->diags);
  if (!one) return false;
  one = silent(w, one);
  int n_of = 0, n = f->n_results;
  IrType *of = ARENA_ARRAY(w->arena, IrType, f->n_params + 1), *types = ARENA_ARRAY(w->arena, IrType, 2 * n);
  IrVal *tangents = ARENA_ARRAY(w->arena, IrVal, f->n_params + 1);
  const IrVal **dims = ARENA_ARRAY(w->arena, const IrVal *, 2 * n);
  for (int k = 0; k < f->n_params; k++) {
    args[k] = mapped(w, f->body->args[k]);
    if (!wrt[k]) continue;
    of[n_of] = ir_type(f, f->body->args[k]);
    tangents[n_of++] = w->tan[f->body->args[k]];
  }
  for (int k = 0; k < f->n_results; k++) {
    types[k] = f->results[k];
    dims[k] = ir_dims(w->g, vals[k]);
    if (!ir_is_float(types[k])) continue;
    types[n] = types[k];
    dims[n++] = dims[k];
  }
  OneByOne c = {one->name, args, f->n_params, of, tangents, n_of, types, dims, n, f->n_results};
  one_by_one(w, &b, &c, vals + f->n_results);
  results(w, vals);
  return true;
}

static bool write_body(Wide *w) {
  const IrFunc *f = w->f;
  IrBuilder b = ir_builder(w->g);
  IrVal *vals = ARENA_ARRAY(w->arena, IrVal, w->g->n_results);
  wide_region(w, &b, f->body);
  if (w->failed) return false;
  flush(w, &b);
  int n = f->n_results;
  for (int k = 0; k < f->n_results; k++) vals[k] = mapped(w, f->body->yields[k]);
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) vals[n++] = tangents_or_zero(w, &b, f->body->yields[k]);
  results(w, vals);
  return true;
}

static IrFunc *wide_of(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) {
  StrBuf sb;
  sb_init(&sb, m->arena);
  sb_addf(&sb, "%s.jvps", f->name);
  for (int k = f->n_sizes; k < f->n_params; k++) sb_addc(&sb, wrt[k] ? '1' : '0');
  Name name = intern_cstr(m->names, sb.data);
  IrFunc *known = ir_func_find(m, name);
  if (known) return known;
  int n = f->vals.len;
  Wide w = {.arena = m->arena,
            .m = m,
            .diags = diags,
            .f = f,
            .act = activity_of(m->arena, f, wrt),
            .tan = ARENA_ARRAY(m->arena, IrVal, n),
            .lane = ARENA_ARRAY(m->arena, IrVal, n),
            .users = ARENA_ARRAY(m->arena, IrOps, n),
            .in_run = ARENA_ARRAY(m->arena, bool, n)};
  collect_users(&w, f->body);
  declare(&w, wrt, name);
  if (has_room(&w) ? write_body(&w) : repeat(&w, wrt)) return w.g;
  ir_module_remove(m, w.g);
  return NULL;
}

IrFunc *ad_jvps(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) { return wide_of(m, f, wrt, diags); }
