// Optimisation: small arrays as scalars. In: ordinary IR, unrolled (unroll). Out: the same, where an array of a few elements
// whose every index is a constant is as many scalars: loops and branches carry those. Differentiation then sees scalars, and
// they live in registers.
//
// Arrays that become each other (versions by `set`, what a loop carries, what branches yield) are one family and become
// scalars together. Where an array comes from outside the family (a parameter, a call, a build) its elements are read; where
// one is needed as a whole it is put together again. Every operation on elements happens in the order it had.
#include "opt/internal.h"

typedef struct Family { // of the value that leads it
  bool bad;             // an index is not known, or it would have to be put together in a deeper loop
  bool changes;         // it is more than an array from outside that is read
  int gains, costs;     // elements read and added to; times it is put together or taken apart
} Family;

typedef struct Scalars {
  Arena *arena;
  const IrFunc *f;
  KnownSizes known;
  int *elements;    // by value: 0: not a small array
  IrVal *leader;    // by value, as a forest
  Family *families; // by leader
  int *depth;       // by value: loops around it
  bool *outside;    // by value: it exists as an array already
  bool *whole;      // by value: needed as an array
  IrVal **now;      // by value: its elements in the new function; NULL: not made, or an array from outside
} Scalars;

// ---- families --------------------------------------------------------------------------------------------------------

static IrVal lead(Scalars *s, IrVal v) {
  while (s->leader[v] != v) v = s->leader[v] = s->leader[s->leader[v]];
  return v;
}

static Family *family(Scalars *s, IrVal v) { return &s->families[lead(s, v)]; }

static void join(Scalars *s, IrVal a, IrVal b) {
  IrVal x = lead(s, a), y = lead(s, b);
  Family *to = &s->families[x], *from = &s->families[y];
  if (s->elements[a] != s->elements[b]) to->bad = from->bad = true;
  if (x == y) return;
  s->leader[y] = x;
  to->bad |= from->bad;
  to->changes |= from->changes;
  to->gains += from->gains;
  to->costs += from->costs;
}

static void define(Scalars *s, IrVal v, int depth, bool outside) {
  s->elements[v] = opt_small_elements(&s->known, v);
  s->depth[v] = depth;
  s->outside[v] = outside;
  if (ir_type(s->f, v).elem == IR_STRING) s->elements[v] = 0;
}

static void need_whole(Scalars *s, IrVal v, int depth) {
  if (!s->elements[v] || s->outside[v]) return;
  s->whole[v] = true;
  Family *f = family(s, v);
  f->costs++;
  f->bad |= depth > s->depth[v];
}

static void use_element(Scalars *s, const IrOp *op) {
  IrVal array = op->args[0];
  if (!s->elements[array]) return;
  Family *f = family(s, array);
  f->bad |= opt_flat_index(&s->known, array, op->args + 1) < 0;
  f->gains += op->kind != IR_SET;
  f->changes |= op->kind != IR_GET;
  if (op->kind != IR_GET) join(s, array, op->result);
}

static void carry(Scalars *s, IrVal a, IrVal b) {
  if (!s->elements[a] && !s->elements[b]) return;
  join(s, a, b);
  family(s, a)->changes = true;
  family(s, a)->costs += s->outside[b];
}

static void collect(Scalars *s, const IrRegion *r, int depth);

static void collect_regions(Scalars *s, const IrOp *op, int depth) {
  bool loop = op->kind != IR_IF;
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    for (int i = 0; i < r->n_args; i++) define(s, r->args[i], depth + loop, false);
    for (int i = 0; i < op->n_results && (op->kind == IR_FOR || op->kind == IR_WHILE); i++) {
      carry(s, ir_result(op, i), r->args[r->n_args - op->n_results + i]);
      carry(s, ir_result(op, i), op->args[op->n_args - op->n_results + i]);
    }
    collect(s, r, depth + loop);
    bool condition = op->kind == IR_WHILE && k == 0;
    for (int i = 0; !condition && op->kind != IR_BUILD && i < r->n_yields; i++)
      carry(s, ir_result(op, i), r->yields[i]);
  }
}

static void collect(Scalars *s, const IrRegion *r, int depth) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool element = op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC;
    bool inside = element || op->kind == IR_FILL || op->kind == IR_COPY || op->kind == IR_FOR ||
                  op->kind == IR_WHILE || op->kind == IR_IF;
    for (int k = 0; k < op->n_results; k++) define(s, ir_result(op, k), depth, !inside);
    if (element) use_element(s, op);
    if (op->kind == IR_COPY && s->elements[op->result]) join(s, op->args[0], op->result);
    if (op->kind == IR_FILL) family(s, op->result)->changes = true;
    for (int k = 0; !inside && k < op->n_args; k++) need_whole(s, op->args[k], depth);
    collect_regions(s, op, depth);
  }
}

static bool good(Scalars *s, IrVal v) {
  if (!s->elements[v]) return false;
  const Family *f = family(s, v);
  return !f->bad && f->changes && f->gains > 0 && f->gains >= f->costs;
}

static bool becomes_scalars(Scalars *s, IrVal v) { return !s->outside[v] && good(s, v); }

// ---- elements in the new function ------------------------------------------------------------------------------------

static IrVal element(Scalars *s, IrBuilder *b, const IrMap *map, IrVal v, int k) {
  if (s->now[v]) return s->now[v][k];
  IrVal idx[IR_MAX_RANK];
  opt_indices_of(b, &s->known, v, k, idx);
  return ir_get(b, ir_mapped(map, v), idx, ir_type(s->f, v).rank);
}

static Name element_name(Scalars *s, IrVal v, int k) {
  Name name = ir_val(s->f, v)->name;
  return name ? intern_cstr(s->f->module->names, arena_printf(s->arena, "%s%d", name, k)) : NULL;
}

static void put_together(Scalars *s, IrBuilder *b, IrMap *map, IrVal v) {
  if (!s->whole[v]) return;
  IrVal dims[IR_MAX_RANK], idx[IR_MAX_RANK];
  IrType t = ir_type(s->f, v);
  for (int d = 0; d < t.rank; d++) dims[d] = ir_const_int(b, opt_size(&s->known, ir_dims(s->f, v)[d]));
  IrVal array = ir_fill(b, ir_const_zero(b, (IrElem)t.elem), dims, t.rank);
  for (int k = 0; k < s->elements[v]; k++) {
    opt_indices_of(b, &s->known, v, k, idx);
    array = ir_set(b, array, idx, t.rank, s->now[v][k]);
  }
  ir_map_set(map, v, array);
  if (!ir_val(b->func, array)->name) ir_name(b->func, array, ir_val(s->f, v)->name);
}

static IrVal *new_elements(Scalars *s, IrVal v) {
  return s->now[v] = ARENA_ARRAY(s->arena, IrVal, s->elements[v]);
}

// ---- what loops and branches carry -----------------------------------------------------------------------------------

static int count(Scalars *s, const IrVal *vals, int n) {
  int total = 0;
  for (int i = 0; i < n; i++) total += becomes_scalars(s, vals[i]) ? s->elements[vals[i]] : 1;
  return total;
}

// vals as they are carried: each as itself, or as its elements where `like`, which it becomes, is scalars.
static int spread(Scalars *s, IrBuilder *b, const IrMap *map, const IrVal *vals, const IrVal *like, int n,
                  IrVal *out) {
  int at = 0;
  for (int i = 0; i < n; i++) {
    if (!becomes_scalars(s, like[i])) out[at++] = ir_mapped(map, vals[i]);
    for (int k = 0; becomes_scalars(s, like[i]) && k < s->elements[like[i]]; k++)
      out[at++] = element(s, b, map, vals[i], k);
  }
  return at;
}

// The values that stand for `vals` are those from `first` on, one after the other.
static void gather(Scalars *s, IrBuilder *b, IrMap *map, const IrVal *vals, int n, IrVal first) {
  for (int i = 0; i < n; i++) {
    IrVal v = vals[i];
    if (!becomes_scalars(s, v)) {
      ir_map_set(map, v, first);
      if (!ir_val(b->func, first)->name) ir_name(b->func, first, ir_val(s->f, v)->name);
      first++;
      continue;
    }
    IrVal *elements = new_elements(s, v);
    for (int k = 0; k < s->elements[v]; k++, first++) {
      elements[k] = first;
      ir_name(b->func, first, element_name(s, v, k));
    }
  }
  for (int i = 0; i < n; i++)
    if (becomes_scalars(s, vals[i])) put_together(s, b, map, vals[i]);
}

static IrVal *results_of(Scalars *s, const IrOp *op) {
  IrVal *vals = ARENA_ARRAY(s->arena, IrVal, op->n_results);
  for (int k = 0; k < op->n_results; k++) vals[k] = ir_result(op, k);
  return vals;
}

static IrRewrite rewrite;

static void fill_region(Scalars *s, IrBuilder *in, IrMap *map, const IrRegion *r, const IrVal *like,
                        int total) {
  IrVal *yields = ARENA_ARRAY(s->arena, IrVal, total);
  ir_rewrite_ops(in, map, r, NULL, rewrite, s);
  ir_yield(in, yields, spread(s, in, map, r->yields, like, r->n_yields, yields));
}

static bool any_scalars(Scalars *s, const IrVal *vals, int n) {
  for (int i = 0; i < n; i++)
    if (becomes_scalars(s, vals[i])) return true;
  return false;
}

static bool rebuild_loop(Scalars *s, IrBuilder *b, IrMap *map, const IrOp *op, const IrVal *results) {
  bool counted = op->kind == IR_FOR;
  const IrRegion *body = op->regions[counted ? 0 : 1];
  const IrVal *inits = op->args + op->n_args - op->n_results;
  int n = op->n_results, total = count(s, results, n);
  IrVal *vals = ARENA_ARRAY(s->arena, IrVal, total);
  b->loc = op->loc;
  spread(s, b, map, inits, results, n, vals);
  IrBuilder in, cond;
  IrOp *now = counted ? ir_for(b, ir_mapped(map, op->args[0]), ir_mapped(map, op->args[1]),
                               ir_mapped(map, op->args[2]), vals, total, &in)
                      : ir_while(b, vals, total, &cond, &in);
  now->attr = op->attr;
  if (counted) ir_map_set(map, body->args[0], in.region->args[0]);
  if (counted) ir_name(b->func, in.region->args[0], ir_val(s->f, body->args[0])->name);
  if (!counted) {
    const IrRegion *r = op->regions[0];
    IrVal go;
    if (total) gather(s, &cond, map, r->args, n, cond.region->args[0]);
    ir_rewrite_ops(&cond, map, r, &go, rewrite, s);
    ir_yield(&cond, &go, 1);
  }
  if (total) gather(s, &in, map, body->args + counted, n, in.region->args[counted]);
  fill_region(s, &in, map, body, results, total);
  b->loc = op->loc;
  gather(s, b, map, results, n, now->result);
  return true;
}

static bool rebuild_if(Scalars *s, IrBuilder *b, IrMap *map, const IrOp *op, const IrVal *results) {
  int n = op->n_results, total = count(s, results, n), at = 0;
  IrBuilder in[2];
  b->loc = op->loc;
  IrOp *now = ir_if(b, ir_mapped(map, op->args[0]), &in[0], &in[1]);
  for (int k = 0; k < 2; k++) fill_region(s, &in[k], map, op->regions[k], results, total);
  const IrVal **dims = ARENA_ARRAY(s->arena, const IrVal *, total);
  int *place = ARENA_ARRAY(s->arena, int, n);
  for (int i = 0; i < n; at += count(s, results + i, 1), i++) place[i] = at;
  for (int i = 0; i < n; i++) {
    const IrVal *old = ir_dims(s->f, results[i]);
    if (!old || becomes_scalars(s, results[i])) continue;
    IrVal *sizes = ARENA_ARRAY(s->arena, IrVal, IR_MAX_RANK);
    for (int d = 0; d < ir_type(s->f, results[i]).rank; d++)
      sizes[d] =
          ir_val(s->f, old[d])->def == op ? IR_RESULT(place[old[d] - op->result]) : ir_mapped(map, old[d]);
    dims[place[i]] = sizes;
  }
  ir_close_if(b, now, dims);
  b->loc = op->loc;
  gather(s, b, map, results, n, now->result);
  return true;
}

// ---- the rewrite -----------------------------------------------------------------------------------------------------

static bool write_element(Scalars *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrVal array = op->args[0], value = ir_mapped(map, op->args[op->n_args - 1]);
  int n = s->elements[array], k = opt_flat_index(&s->known, array, op->args + 1);
  IrVal *elements = ARENA_ARRAY(s->arena, IrVal, n);
  for (int i = 0; i < n; i++)
    if (i != k) elements[i] = element(s, b, map, array, i);
  elements[k] = op->kind == IR_SET ? value : ir_op2(b, IR_ADD, element(s, b, map, array, k), value);
  s->now[op->result] = elements;
  put_together(s, b, map, op->result);
  return true;
}

static bool fill_elements(Scalars *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrVal *elements = new_elements(s, op->result);
  for (int i = 0; i < s->elements[op->result]; i++) elements[i] = ir_mapped(map, op->args[0]);
  put_together(s, b, map, op->result);
  return true;
}

static bool copy_elements(Scalars *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  IrVal *elements = ARENA_ARRAY(s->arena, IrVal, s->elements[op->result]);
  for (int i = 0; i < s->elements[op->result]; i++) elements[i] = element(s, b, map, op->args[0], i);
  s->now[op->result] = elements;
  put_together(s, b, map, op->result);
  return true;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Scalars *s = user;
  b->loc = op->loc;
  IrVal *results;
  switch ((IrOpKind)op->kind) {
  case IR_GET:
    if (!good(s, op->args[0])) return false;
    ir_map_set(map, op->result,
               element(s, b, map, op->args[0], opt_flat_index(&s->known, op->args[0], op->args + 1)));
    return true;
  case IR_SET:
  case IR_ACC: return good(s, op->args[0]) && write_element(s, b, map, op);
  case IR_FILL: return good(s, op->result) && fill_elements(s, b, map, op);
  case IR_COPY: return good(s, op->result) && copy_elements(s, b, map, op);
  case IR_FOR:
  case IR_WHILE:
    results = results_of(s, op);
    return any_scalars(s, results, op->n_results) && rebuild_loop(s, b, map, op, results);
  case IR_IF:
    results = results_of(s, op);
    return any_scalars(s, results, op->n_results) && rebuild_if(s, b, map, op, results);
  default: return false;
  }
}

static Scalars look_at(Arena *scratch, IrFunc *f) {
  int n = f->vals.len;
  Scalars s = {.arena = scratch, .f = f};
  opt_known_sizes(scratch, f, &s.known);
  s.elements = ARENA_ARRAY(scratch, int, n);
  s.leader = ARENA_ARRAY(scratch, IrVal, n);
  s.families = ARENA_ARRAY(scratch, Family, n);
  s.depth = ARENA_ARRAY(scratch, int, n);
  s.outside = ARENA_ARRAY(scratch, bool, n);
  s.whole = ARENA_ARRAY(scratch, bool, n);
  s.now = ARENA_ARRAY(scratch, IrVal *, n);
  for (int v = 0; v < n; v++) s.leader[v] = (IrVal)v;
  for (int i = 0; i < f->n_params; i++) define(&s, f->body->args[i], 0, true);
  collect(&s, f->body, 0);
  for (int i = 0; i < f->body->n_yields; i++) need_whole(&s, f->body->yields[i], 0);
  return s;
}

IrFunc *opt_scalars(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Scalars s = look_at(scratch, f);
  bool any = false;
  for (int v = 1; v < f->vals.len; v++) any |= becomes_scalars(&s, (IrVal)v);
  if (any) f = ir_rewrite_func(f, rewrite, &s);
  arena_free(scratch);
  return f;
}
