// Differentiation: forward mode along several directions at once: what ad/forward.c does differently then. Beside every active
// value stand its tangents: an array with one axis more, the innermost, along which the directions lie side by side.
//
// The primal is computed once. The tangents of a run of scalar operations come out of one loop over the directions, which
// has nothing but multiplications and additions in it, and whose memory is contiguous.
#include "ad/forward.h"

// ---- one direction ---------------------------------------------------------------------------------------------------

static void set_lane(Forward *fw, IrVal v, IrVal t) {
  fw->run.lane[v] = t;
  vec_push(fw->arena, &fw->run.touched, v);
}

static int wide_indices(const Forward *fw, const IrOp *op, int first, int end, IrVal l, IrVal *idx) {
  for (int k = first; k < end; k++) idx[k - first] = fw_mapped(fw, op->args[k]);
  idx[end - first] = l;
  return end - first + 1;
}

// A direction reads before it writes, and no other one writes there: what is read may be the array that is changing.
static IrVal current(const Forward *fw, IrVal array) {
  for (int k = 0; k < fw->run.n_old; k++)
    if (fw->run.old[k] == array) return fw->run.now[k];
  return array;
}

IrVal wide_lane_tangent(Forward *fw, IrBuilder *in, IrVal v) {
  if (!fw->run.lane[v] && fw->tan[v]) set_lane(fw, v, ir_get(in, current(fw, fw->tan[v]), &fw->run.at, 1));
  return fw->run.lane[v];
}

// The tangents of the run along direction `l`.
static void emit_lane(Forward *fw, IrBuilder *in, IrVal l) {
  fw->run.at = l;
  for (int i = 0; i < fw->run.ops.len; i++) {
    const IrOp *op = fw->run.ops.data[i];
    IrVal idx[IR_MAX_RANK + 1], t;
    in->loc = op->loc;
    if (op->kind == IR_GET) {
      int n = wide_indices(fw, op, 1, op->n_args, l, idx);
      t = fw->tan[op->args[0]] ? ir_get(in, current(fw, fw->tan[op->args[0]]), idx, n) : 0;
    } else {
      t = fw_push_scalar(fw, in, op);
    }
    if (t) set_lane(fw, op->result, t);
  }
}

static void end_run(Forward *fw) {
  for (int i = 0; i < fw->run.touched.len; i++) fw->run.lane[fw->run.touched.data[i]] = 0;
  for (int i = 0; i < fw->run.ops.len; i++) fw->run.has[fw->run.ops.data[i]->result] = false;
  fw->run.touched.len = fw->run.ops.len = 0;
}

// ---- a run of scalar operations --------------------------------------------------------------------------------------------

// Is the value read by more than the run and `except`?
static bool is_read_outside(const Forward *fw, IrVal v, const IrOp *except) {
  for (int i = 0; i < fw->run.users[v].len; i++) {
    const IrOp *user = fw->run.users[v].data[i];
    if (!user || (user != except && !(user->n_results && fw->run.has[user->result]))) return true;
  }
  return false;
}

void wide_flush(Forward *fw, IrBuilder *b) {
  IrVals out = {0}, yields = {0};
  for (int i = 0; i < fw->run.ops.len; i++)
    if (is_read_outside(fw, fw->run.ops.data[i]->result, NULL))
      vec_push(fw->arena, &out, fw->run.ops.data[i]->result);
  if (out.len) {
    IrBuilder in;
    IrOp *now = ir_build(b, &fw->width, 1, &in);
    emit_lane(fw, &in, in.region->args[0]);
    for (int i = 0; i < out.len; i++) {
      IrVal t = fw->run.lane[out.data[i]];
      vec_push(fw->arena, &yields, t ? t : ad_zero(&in, (IrElem)ir_type(fw->f, out.data[i]).elem));
    }
    ir_yield(&in, yields.data, yields.len);
    ir_close_build(b, now);
    for (int i = 0; i < out.len; i++) fw->tan[out.data[i]] = ir_result(now, i);
  }
  end_run(fw);
}

// Values become elements of arrays, in one loop over the directions with what is left of the run: each array at idx takes (or
// adds) the tangent of its value.
typedef struct Sink { // idx: 0 of them where the array is a scalar's tangents
  IrVal array, value;
  const IrVal *idx;
  int rank;
  bool adds;
} Sink;

static void drain(Forward *fw, IrBuilder *b, const Sink *sinks, int n, IrVal *arrays) {
  for (int k = 0; k < n; k++) arrays[k] = sinks[k].array;
  IrBuilder in;
  IrVal zero = ir_const_int(b, 0), one = ir_const_int(b, 1), at[IR_MAX_RANK + 1];
  IrOp *now = ir_for(b, zero, fw->width, one, arrays, n, &in);
  IrVal l = in.region->args[0], *old = ARENA_ARRAY(fw->arena, IrVal, n);
  for (int k = 0; k < n; k++) old[k] = arrays[k];
  fw->run.old = old;
  fw->run.now = in.region->args + 1;
  fw->run.n_old = n;
  emit_lane(fw, &in, l);
  fw->run.n_old = 0;
  for (int k = 0; k < n; k++) {
    const Sink *s = &sinks[k];
    IrVal t = wide_lane_tangent(fw, &in, s->value), to = in.region->args[1 + k];
    for (int d = 0; d < s->rank; d++) at[d] = s->idx[d];
    at[s->rank] = l;
    if (s->adds)
      arrays[k] = t ? ir_acc(&in, to, at, s->rank + 1, t) : to;
    else
      arrays[k] =
          ir_set(&in, to, at, s->rank + 1, t ? t : ad_zero(&in, (IrElem)ir_type(fw->f, s->value).elem));
  }
  ir_yield(&in, arrays, n);
  for (int k = 0; k < n; k++) arrays[k] = ir_result(now, k);
  end_run(fw);
}

// ---- arrays ------------------------------------------------------------------------------------------------------------

static void wide_element(Forward *fw, IrBuilder *b, const IrOp *op) {
  IrVal value = op->args[op->n_args - 1], idx[IR_MAX_RANK + 1];
  bool has_value = fw_active(fw, value) && (fw->tan[value] || fw->run.has[value]), adds = op->kind == IR_ACC;
  if (!has_value && (adds || !fw->tan[op->args[0]])) {
    fw->tan[op->result] = fw->tan[op->args[0]];
    return;
  }
  bool alone = true;
  for (int i = 0; i < fw->run.ops.len; i++) alone &= !is_read_outside(fw, fw->run.ops.data[i]->result, op);
  if (!alone) wide_flush(fw, b);
  wide_indices(fw, op, 1, op->n_args - 1, 0, idx);
  Sink s = {fw_tangent_or_zero(fw, b, op->args[0]), value, idx, op->n_args - 2, adds};
  drain(fw, b, &s, 1, &fw->tan[op->result]);
}

static IrVal wide_fill(Forward *fw, IrBuilder *b, const IrOp *op) {
  IrBuilder in;
  IrVal base = fw->tan[op->args[0]];
  int rank = op->n_args - 1;
  IrOp *now = ir_build(b, fw_dims(fw, op->result, NULL), rank + 1, &in);
  IrVal e = ir_get(&in, base, &in.region->args[rank], 1);
  ir_yield(&in, &e, 1);
  ir_close_build(b, now);
  return ir_result(now, 0);
}

// sum[i, j, ..] += x[i, k] * y[k, j], one of the two with directions.
static IrVal add_product(Forward *fw, IrBuilder *b, const IrOp *op, int first, int which, IrVal sum) {
  IrVal x = op->args[first], y = op->args[first + 1], idx[3], carried;
  bool ta = op->attr.i & IR_TRANS_A, tb = op->attr.i & IR_TRANS_B;
  const IrVal *dims = ir_dims(fw->f, op->result);
  IrVal sizes[3] = {fw_mapped(fw, dims[0]), fw_mapped(fw, dims[1]),
                    fw_mapped(fw, ir_dims(fw->f, x)[ta ? 0 : 1])};
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, sizes, 3, &sum, 1, idx, &carried);
  IrVal at_x[3] = {ta ? idx[2] : idx[0], ta ? idx[0] : idx[2], 0};
  IrVal at_y[3] = {tb ? idx[1] : idx[2], tb ? idx[2] : idx[1], 0};
  IrVal other = which ? ir_get(&in, fw_mapped(fw, x), at_x, 2) : ir_get(&in, fw_mapped(fw, y), at_y, 2), l,
        inner;
  AdNest lanes = {0};
  IrBuilder one = ad_nest_open(&in, &lanes, &fw->width, 1, &carried, 1, &l, &inner);
  at_x[2] = at_y[2] = l;
  IrVal t = which ? ir_get(&one, fw->tan[y], at_y, 3) : ir_get(&one, fw->tan[x], at_x, 3);
  IrVal to[3] = {idx[0], idx[1], l};
  inner = ir_acc(&one, inner, to, 3, ir_op2(&one, IR_MUL, t, other));
  ad_nest_close(&lanes, &inner, &carried);
  ad_nest_close(&nest, &carried, &sum);
  return sum;
}

static IrVal wide_product(Forward *fw, IrBuilder *b, const IrOp *op) {
  int first = op->kind == IR_MATACC;
  IrVal sum = first && fw->tan[op->args[0]] ? fw->tan[op->args[0]] : 0;
  for (int k = 0; k < 2; k++) {
    if (!fw->tan[op->args[first + k]]) continue;
    if (!sum) sum = fw_zeros(fw, b, op->result);
    sum = add_product(fw, b, op, first, k, sum);
  }
  return sum;
}

// Scalars that a loop carries are updated where they are, in one loop over the directions: if the old tangent is read by
// nothing else at the end, and the new one is made by the run.
static int updated_scalars(const Forward *fw, const IrRegion *r, int first_arg, const int *which, int n,
                           Sink *sinks) {
  int count = 0;
  bool fits = true;
  for (int j = 0; j < n; j++) {
    IrVal y = r->yields[which[j]], arg = r->args[first_arg + which[j]];
    if (ir_type(fw->f, y).rank || !fw->run.has[y]) continue;
    sinks[count++] = (Sink){.array = fw->tan[arg], .value = y};
    for (int i = 0; i < r->n_yields; i++) fits &= r->yields[i] != arg;
    for (int i = 0; i < j; i++) fits &= r->yields[which[i]] != y;
  }
  for (int i = 0; i < fw->run.ops.len; i++) { // what the run makes is read within it, or yielded
    IrVal v = fw->run.ops.data[i]->result;
    bool yielded = false;
    for (int k = 0; k < count; k++) yielded |= sinks[k].value == v;
    for (int u = 0; u < fw->run.users[v].len; u++) {
      const IrOp *user = fw->run.users[v].data[u];
      fits &= user ? user->n_results && fw->run.has[user->result] : yielded;
    }
  }
  return fits ? count : 0;
}

void wide_loop_yield(Forward *fw, IrBuilder *in, const IrRegion *r, int first_arg, const int *which, int n) {
  Sink *sinks = ARENA_ARRAY(fw->arena, Sink, n);
  IrVal *now = ARENA_ARRAY(fw->arena, IrVal, n);
  int count = updated_scalars(fw, r, first_arg, which, n, sinks);
  if (count) drain(fw, in, sinks, count, now);
  for (int k = 0; k < count; k++) fw->tan[sinks[k].value] = now[k];
  fw_yield(fw, in, r, which, n);
}

// Loops that set elements: those of the results, and the directions of their tangents behind them.
void wide_build(Forward *fw, IrBuilder *b, const IrOp *op) {
  int n, rank = op->n_args, n_results = op->n_results;
  int *which = fw_results(fw, op, NULL, 0, &n), total = n_results + n;
  IrVal sizes[IR_MAX_RANK], idx[IR_MAX_RANK];
  IrVal *vals = ARENA_ARRAY(fw->arena, IrVal, total), *carried = ARENA_ARRAY(fw->arena, IrVal, total);
  Sink *sinks = ARENA_ARRAY(fw->arena, Sink, n);
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < rank; k++) sizes[k] = fw_mapped(fw, op->args[k]);
  for (int k = 0; k < n_results; k++)
    vals[k] = ir_fill(b, ad_blank(b, (IrElem)ir_type(fw->f, ir_result(op, k)).elem), sizes, rank);
  for (int j = 0; j < n; j++) vals[n_results + j] = fw_zeros(fw, b, ir_result(op, which[j]));
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, sizes, rank, vals, total, idx, carried);
  for (int k = 0; k < rank; k++) ir_map_set(&fw->map, body->args[k], idx[k]);
  fw_region(fw, &in, body);
  if (fw->failed) return;
  for (int k = 0; k < n_results; k++)
    vals[k] = ir_set(&in, carried[k], idx, rank, fw_mapped(fw, body->yields[k]));
  for (int j = 0; j < n; j++)
    sinks[j] = (Sink){carried[n_results + j], body->yields[which[j]], idx, rank, false};
  drain(fw, &in, sinks, n, vals + n_results);
  ad_nest_close(&nest, vals, vals);
  for (int k = 0; k < n_results; k++) ir_map_set(&fw->map, ir_result(op, k), vals[k]);
  for (int j = 0; j < n; j++) fw->tan[ir_result(op, which[j])] = vals[n_results + j];
}

// ---- calls ---------------------------------------------------------------------------------------------------------------

// One direction of a value's tangents.
static IrVal slice(IrBuilder *b, IrVal tangents, IrVal l) {
  IrVal idx[IR_MAX_RANK + 1] = {l};
  int rank = ir_type(b->func, tangents).rank - 1;
  if (!rank) return ir_get(b, tangents, idx, 1);
  IrBuilder in;
  IrOp *now = ir_build(b, ir_dims(b->func, tangents), rank, &in);
  for (int k = 0; k < rank; k++) idx[k] = in.region->args[k];
  idx[rank] = l;
  IrVal e = ir_get(&in, tangents, idx, rank + 1);
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

void wide_one_by_one(Forward *fw, IrBuilder *b, const TangentCall *c, IrVal *out) {
  int n = c->n_results - c->first;
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, c->n_args + c->n_of), l;
  IrVal *vals = ARENA_ARRAY(fw->arena, IrVal, n), *carried = ARENA_ARRAY(fw->arena, IrVal, n);
  for (int k = 0; k < n; k++) {
    IrType t = c->types[c->first + k];
    IrVal dims[IR_MAX_RANK + 1];
    for (int d = 0; d < t.rank; d++) dims[d] = c->dims[c->first + k][d];
    dims[t.rank] = fw->width;
    vals[k] = ir_fill(b, ad_zero(b, (IrElem)t.elem), dims, t.rank + 1);
  }
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, &fw->width, 1, vals, n, &l, carried);
  for (int k = 0; k < c->n_args; k++) args[k] = c->args[k];
  for (int k = 0; k < c->n_of; k++) args[c->n_args + k] = slice(&in, c->tangents[k], l);
  IrOp *call = ir_call(&in, c->name, args, c->n_args + c->n_of, c->types, c->dims, c->n_results);
  for (int k = 0; k < n; k++) vals[k] = set_slice(&in, carried[k], ir_result(call, c->first + k), l);
  ad_nest_close(&nest, vals, out);
}

// ---- one operation -----------------------------------------------------------------------------------------------------

bool wide_op(Forward *fw, IrBuilder *b, const IrOp *op) {
  if (op->kind == IR_GET || rule_class((IrOpKind)op->kind) == RULE_SCALAR) {
    vec_push(fw->arena, &fw->run.ops, op);
    fw->run.has[op->result] = true;
  } else if (op->kind == IR_SET || op->kind == IR_ACC) {
    wide_element(fw, b, op);
  } else {
    wide_flush(fw, b);
    b->loc = op->loc;
    if (op->kind == IR_FILL)
      fw->tan[op->result] = fw->tan[op->args[0]] ? wide_fill(fw, b, op) : 0;
    else if (op->kind == IR_MATMUL || op->kind == IR_MATACC)
      fw->tan[op->result] = wide_product(fw, b, op);
    else
      return false;
  }
  b->loc = op->loc;
  ir_clone_op(b, &fw->map, op);
  return true;
}

// ---- the whole function ------------------------------------------------------------------------------------------------

static void collect_users(Forward *fw, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) vec_push(fw->arena, &fw->run.users[op->args[k]], op);
    for (int k = 0; k < op->n_regions; k++) collect_users(fw, op->regions[k]);
  }
  for (int k = 0; k < r->n_yields; k++) vec_push(fw->arena, &fw->run.users[r->yields[k]], NULL);
}

void wide_open(Forward *fw) {
  int n = fw->f->vals.len;
  fw->run = (Run){.has = ARENA_ARRAY(fw->arena, bool, n),
                  .lane = ARENA_ARRAY(fw->arena, IrVal, n),
                  .users = ARENA_ARRAY(fw->arena, IrOps, n)};
  collect_users(fw, fw->f->body);
}

// Growable arrays have no room for another axis, nor have those of the highest rank.
bool wide_has_room(const Forward *fw) {
  for (IrVal v = 1; v < (IrVal)fw->f->vals.len; v++) {
    IrType t = ir_type(fw->f, v);
    if (fw->act.varied[v] && (t.grow || t.rank >= IR_MAX_RANK)) return false;
  }
  for (int k = 0; k < fw->f->n_results; k++)
    if (ir_is_float(fw->f->results[k]) && (fw->f->results[k].grow || fw->f->results[k].rank >= IR_MAX_RANK))
      return false;
  return true;
}

// The same without what it prints and checks, for a second time.
static IrFunc *silent(Forward *fw, IrFunc *f) {
  Name name = intern_cstr(fw->m->names, arena_printf(fw->arena, "%s.again", f->name));
  IrFunc *known = ir_func_find(fw->m, name);
  if (known) return known;
  IrMap map;
  IrFunc *now = ir_func_like(f, &map, fw->arena);
  now->name = name;
  IrBuilder b = ir_builder(now);
  IrVal *vals = ARENA_ARRAY(fw->arena, IrVal, f->n_results);
  ir_rewrite_ops(&b, &map, f->body, vals, ad_drop_effect, NULL);
  ir_set_results(now, vals, f->n_results, f->result_leaves);
  vec_push(fw->m->arena, &fw->m->funcs, now);
  return now;
}

bool wide_repeat(Forward *fw, const bool *wrt, IrVal *vals) {
  const IrFunc *f = fw->f;
  IrBuilder b = ir_builder(fw->g);
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, f->n_params + 1);
  ir_clone_ops(&b, &fw->map, f->body, vals);
  IrFunc *one = fw_derive(fw->m, (IrFunc *)f, wrt, false, fw->diags);
  if (!one) return false;
  one = silent(fw, one);
  int n_of = 0, n = f->n_results;
  IrType *types = ARENA_ARRAY(fw->arena, IrType, 2 * n);
  IrVal *tangents = ARENA_ARRAY(fw->arena, IrVal, f->n_params + 1);
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, 2 * n);
  for (int k = 0; k < f->n_params; k++) {
    args[k] = fw_mapped(fw, f->body->args[k]);
    if (wrt[k]) tangents[n_of++] = fw->tan[f->body->args[k]];
  }
  for (int k = 0; k < f->n_results; k++) {
    types[k] = f->results[k];
    dims[k] = ir_dims(fw->g, vals[k]);
    if (!ir_is_float(types[k])) continue;
    types[n] = types[k];
    dims[n++] = dims[k];
  }
  TangentCall c = {one->name, args, f->n_params, tangents, n_of, types, dims, n, f->n_results};
  wide_one_by_one(fw, &b, &c, vals + f->n_results);
  return true;
}
