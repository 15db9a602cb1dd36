// Construction of IR: modules, functions, values and operations. In: requests of the front end and of the passes; out:
// operations at the end of a region, results typed as ops.def says. Nothing is folded or shared here: that is opt's.
// Misuse is a mistake of the compiler: an assert in debug builds, a malformed function for ir_verify in others.
#include "ir/internal.h"

#include <assert.h>
#include <string.h>

// ---- modules and functions ---------------------------------------------------------------------------------------

IrModule *ir_module_new(Arena *a, Interner *names, const Sources *sources) {
  IrModule *m = ARENA_NEW(a, IrModule);
  m->arena = a;
  m->names = names;
  m->sources = sources;
  IrChain none = {LOC_NONE, NULL, 0};
  vec_push(a, &m->chains, none);
  m->index = ARENA_NEW(a, IrIndex);
  return m;
}

// Puts what is new in the module into the index: passes push functions of their own. The first of a name counts.
static void index_catch_up(const IrModule *m) {
  IrIndex *x = m->index;
  if (x->known == 0) name_map_init(&x->at, m->arena);
  for (; x->known < m->funcs.len; x->known++) {
    Name name = m->funcs.data[x->known]->name;
    if (!name_map_find(&x->at, name)) name_map_put(&x->at, name, (uint32_t)x->known);
  }
}

int ir_func_place(const IrModule *m, Name name) {
  if (m->funcs.len == 0) return -1;
  index_catch_up(m);
  const uint32_t *at = name_map_find(&m->index->at, name);
  return at ? (int)*at : -1;
}

IrFunc *ir_func_find(const IrModule *m, Name name) {
  int at = ir_func_place(m, name);
  return at < 0 ? NULL : m->funcs.data[at];
}

static uint32_t *chain_slot(const IrModule *m, const IrChain *c) {
  const IrIndex *x = m->index;
  uint64_t h = ((uint64_t)c->call.off << 32 | c->parent) * 0x9E3779B97F4A7C15u ^ (uintptr_t)c->callee >> 4;
  uint32_t i = (uint32_t)(h * 0x9E3779B97F4A7C15u >> 32) & (x->n_chains - 1);
  for (; x->chains[i]; i = (i + 1) & (x->n_chains - 1)) {
    const IrChain *old = &m->chains.data[x->chains[i]];
    if (old->call.off == c->call.off && old->call.file == c->call.file && old->callee == c->callee &&
        old->parent == c->parent)
      break;
  }
  return &x->chains[i];
}

static void grow_chains(IrModule *m) {
  IrIndex *x = m->index;
  x->n_chains = x->n_chains ? x->n_chains * 2 : 256;
  x->chains = ARENA_ARRAY(m->arena, uint32_t, x->n_chains);
  for (int i = 1; i < m->chains.len; i++) *chain_slot(m, &m->chains.data[i]) = (uint32_t)i;
}

uint32_t ir_chain(IrModule *m, Loc call, Name callee, uint32_t parent) {
  if ((uint32_t)m->chains.len * 2 >= m->index->n_chains) grow_chains(m);
  IrChain c = {call, callee, parent};
  uint32_t *slot = chain_slot(m, &c);
  if (!*slot) {
    vec_push(m->arena, &m->chains, c);
    *slot = (uint32_t)m->chains.len - 1;
  }
  return *slot;
}

static Name unique_func_name(IrModule *m, Name name) {
  Name now = name;
  for (int i = 1; ir_func_find(m, now); i++)
    now = intern_cstr(m->names, arena_printf(m->arena, "%s.%d", name, i));
  return now;
}

IrFunc *ir_func_new(IrModule *m, Name name) {
  IrFunc *f = ARENA_NEW(m->arena, IrFunc);
  f->module = m;
  f->arena = m->arena;
  f->name = unique_func_name(m, name);
  f->source_name = name;
  f->body = ir_region_new(f, NULL, NULL);
  IrValue none = {0};
  vec_push(f->arena, &f->vals, none);
  vec_push(m->arena, &m->funcs, f);
  return f;
}

void ir_func_rename(IrFunc *f, Name name) {
  f->name = name;
  f->module->index->known = 0;
}

void ir_module_remove(IrModule *m, IrFunc *f) {
  int at = 0;
  while (at < m->funcs.len && m->funcs.data[at] != f) at++;
  if (at == m->funcs.len) return;
  m->funcs.len--;
  for (int i = at; i < m->funcs.len; i++) m->funcs.data[i] = m->funcs.data[i + 1];
  m->index->known = 0;
}

void ir_module_keep(IrModule *m, const bool *keep) {
  int n = 0;
  for (int i = 0; i < m->funcs.len; i++)
    if (keep[i]) m->funcs.data[n++] = m->funcs.data[i];
  m->funcs.len = n;
  m->index->known = 0;
}

void ir_module_replace(IrModule *m, IrFunc *old, IrFunc *now) {
  int at = ir_func_place(m, old->name);
  if (at >= 0 && m->funcs.data[at] != old) at = -1;
  assert(at >= 0);
  now->name = old->name;
  now->module = m;
  if (at >= 0) m->funcs.data[at] = now;
}

// Room for one more behind n elements, in arrays that know only their length.
static void *room_for_one(Arena *a, void *data, int n, size_t size) {
  if (n == 0) return arena_alloc(a, size * 4);
  if (n < 4 || (n & (n - 1)) != 0) return data;
  return arena_grow(a, data, size * (size_t)n, size * (size_t)n * 2);
}

IrVal ir_param(IrFunc *f, IrType type, const IrVal *dims, IrLeaf leaf) {
  assert(f->vals.len == f->n_params + 1); // parameters come first: value k + 1 is parameter k
  IrVal v = ir_region_arg(f, f->body, type, ir_dims_copy(f, dims, type.rank));
  if (!leaf.path) leaf.path = intern(f->module->names, "", 0);
  f->params = room_for_one(f->arena, f->params, f->n_params, sizeof *f->params);
  f->params[f->n_params++] = leaf;
  return v;
}

void ir_set_results(IrFunc *f, const IrVal *vals, int n, const IrLeaf *leaves) {
  IrBuilder b = ir_builder(f);
  ir_yield(&b, vals, n);
  bool keep =
      !leaves && f->result_leaves && f->n_results == n; // a pass that rebuilds f keeps what they are called
  f->n_results = n;
  f->results = ARENA_ARRAY(f->arena, IrType, n);
  for (int i = 0; i < n; i++) f->results[i] = ir_type(f, vals[i]);
  if (keep) return;
  f->result_leaves = ARENA_ARRAY(f->arena, IrLeaf, n);
  for (int i = 0; i < n; i++) {
    if (leaves) f->result_leaves[i] = leaves[i];
    if (!f->result_leaves[i].path) f->result_leaves[i].path = intern(f->module->names, "", 0);
  }
}

// ---- values, regions, operations -----------------------------------------------------------------------------------

IrRegion *ir_region_new(IrFunc *f, IrRegion *outer, IrOp *owner) {
  IrRegion *r = ARENA_NEW(f->arena, IrRegion);
  r->outer = outer;
  r->owner = owner;
  return r;
}

const IrVal *ir_dims_copy(IrFunc *f, const IrVal *dims, int rank) {
  if (!dims || rank == 0) return NULL;
  IrVal *copy = ARENA_ARRAY(f->arena, IrVal, rank);
  memcpy(copy, dims, sizeof *copy * (size_t)rank);
  return copy;
}

IrVal ir_value_new(IrFunc *f, IrType type, const IrVal *dims, IrOp *def, IrRegion *region, int index) {
  IrValue v = {.type = type, .dims = dims, .def = def, .region = region, .index = index};
  if (type.rank == 0 || type.grow) v.dims = NULL;
  vec_push(f->arena, &f->vals, v);
  return (IrVal)f->vals.len - 1;
}

IrVal ir_region_arg(IrFunc *f, IrRegion *r, IrType type, const IrVal *dims) {
  IrVal v = ir_value_new(f, type, dims, NULL, r, r->n_args);
  r->args = room_for_one(f->arena, r->args, r->n_args, sizeof *r->args);
  r->args[r->n_args++] = v;
  return v;
}

IrBuilder ir_builder(IrFunc *f) { return (IrBuilder){f, f->body, {f->loc, 0}}; }

IrOp *ir_op_new(IrBuilder *b, IrOpKind k, const IrVal *args, int n, int n_regions) {
  IrFunc *f = b->func;
  IrOp *op = ARENA_NEW(f->arena, IrOp);
  op->kind = (uint16_t)k;
  op->n_args = n;
  op->args = ARENA_ARRAY(f->arena, IrVal, n);
  if (n > 0) memcpy(op->args, args, sizeof *args * (size_t)n);
  op->n_regions = (uint16_t)n_regions;
  op->regions = n_regions ? ARENA_ARRAY(f->arena, IrRegion *, n_regions) : NULL;
  for (int i = 0; i < n_regions; i++) op->regions[i] = ir_region_new(f, b->region, op);
  op->loc = b->loc;
  op->parent = b->region;
  vec_push(f->arena, &b->region->ops, op);
  return op;
}

static IrVal add_result(IrBuilder *b, IrOp *op, IrType type, const IrVal *dims) {
  IrVal v = ir_value_new(b->func, type, dims, op, b->region, op->n_results);
  if (op->n_results == 0) op->result = v;
  assert(v == op->result + op->n_results);
  op->n_results++;
  return v;
}

// Sizes as a caller writes them: values, or IR_RESULT(j) for result j of the operation.
static const IrVal *resolve_dims(IrFunc *f, const IrOp *op, const IrVal *dims, int rank) {
  if (!dims || rank == 0) return NULL;
  IrVal *out = ARENA_ARRAY(f->arena, IrVal, rank);
  for (int i = 0; i < rank; i++)
    out[i] = dims[i] & IR_RESULT(0) ? op->result + (dims[i] - IR_RESULT(0)) : dims[i];
  return out;
}

static void add_results(IrBuilder *b, IrOp *op, const IrType *types, const IrVal *const *dims, int n) {
  for (int i = 0; i < n; i++) add_result(b, op, types[i], NULL);
  for (int i = 0; i < n; i++) {
    assert(types[i].rank == 0 || types[i].grow || (dims && dims[i]));
    IrValue *v = &b->func->vals.data[op->result + (IrVal)i];
    if (types[i].rank && !types[i].grow && dims) v->dims = resolve_dims(b->func, op, dims[i], types[i].rank);
  }
}

// ---- plain operations ------------------------------------------------------------------------------------------------

IrVal ir_const_int(IrBuilder *b, int64_t v) {
  IrOp *op = ir_op_new(b, IR_CONST, NULL, 0, 0);
  op->attr.i = v;
  return add_result(b, op, IR_SCALAR(IR_INT), NULL);
}

IrVal ir_const_bool(IrBuilder *b, bool v) {
  IrOp *op = ir_op_new(b, IR_CONST, NULL, 0, 0);
  op->attr.i = v;
  return add_result(b, op, IR_SCALAR(IR_BOOL), NULL);
}

IrVal ir_const_float(IrBuilder *b, IrElem e, double v) {
  assert(e == IR_F32 || e == IR_F64);
  IrOp *op = ir_op_new(b, IR_CONST, NULL, 0, 0);
  op->attr.f = e == IR_F32 ? (double)(float)v : v;
  return add_result(b, op, IR_SCALAR(e), NULL);
}

IrVal ir_const_zero(IrBuilder *b, IrElem e) {
  if (e == IR_BOOL) return ir_const_bool(b, false);
  return e == IR_INT ? ir_const_int(b, 0) : ir_const_float(b, e, 0.0);
}

IrVal ir_str(IrBuilder *b, Name text) {
  IrOp *op = ir_op_new(b, IR_STR, NULL, 0, 0);
  op->attr.sym = text;
  return add_result(b, op, IR_SCALAR(IR_STRING), NULL);
}

static IrVal emit(IrBuilder *b, IrOpKind k, const IrVal *args, int n, int64_t attr) {
  IrInfer q = {.func = b->func, .kind = k, .attr = attr, .args = args, .n = n};
  const char *why = ir_infer(&q);
  assert(!why && q.known);
  (void)why;
  IrOp *op = ir_op_new(b, k, args, n, 0);
  op->attr.i = attr;
  if (ir_op_info[k].results == 0) return 0;
  return add_result(b, op, q.type, ir_dims_copy(b->func, q.dims, q.type.rank));
}

IrVal ir_op(IrBuilder *b, IrOpKind k, const IrVal *args, int n) { return emit(b, k, args, n, 0); }
IrVal ir_op1(IrBuilder *b, IrOpKind k, IrVal x) { return emit(b, k, &x, 1, 0); }
IrVal ir_op2(IrBuilder *b, IrOpKind k, IrVal x, IrVal y) { return emit(b, k, (IrVal[]){x, y}, 2, 0); }
IrVal ir_op3(IrBuilder *b, IrOpKind k, IrVal x, IrVal y, IrVal z) {
  return emit(b, k, (IrVal[]){x, y, z}, 3, 0);
}

IrVal ir_convert(IrBuilder *b, IrOpKind k, IrElem to, IrVal x) {
  assert(k == IR_ITOF || k == IR_FTOI || k == IR_BTOI || k == IR_FCVT);
  IrOp *op = ir_op_new(b, k, &x, 1, 0);
  return add_result(b, op, IR_SCALAR(to), NULL);
}

IrVal ir_fill(IrBuilder *b, IrVal value, const IrVal *dims, int rank) {
  IrVal args[1 + IR_MAX_RANK] = {value};
  assert(rank > 0 && rank <= IR_MAX_RANK);
  memcpy(args + 1, dims, sizeof *dims * (size_t)rank);
  return emit(b, IR_FILL, args, 1 + rank, 0);
}

IrVal ir_unset(IrBuilder *b, IrVal value, const IrVal *dims, int rank) {
  IrVal v = ir_fill(b, value, dims, rank);
  ir_val(b->func, v)->def->attr.i = IR_UNSET;
  return v;
}

IrVal ir_table(IrBuilder *b, IrElem e, const IrTable *table, const IrVal *dims, int rank) {
  IrType t = {(uint8_t)e, (uint8_t)rank, false};
  IrOp *op = ir_op_explicit(b, IR_TABLE, dims, rank, &t, &dims, 1);
  op->attr.table = table;
  return op->result;
}

static IrVal emit_indexed(IrBuilder *b, IrOpKind k, IrVal array, const IrVal *idx, int n,
                          const IrVal *value) {
  IrVal args[2 + IR_MAX_RANK] = {array};
  assert(n > 0 && n <= IR_MAX_RANK);
  memcpy(args + 1, idx, sizeof *idx * (size_t)n);
  if (value) args[1 + n] = *value;
  return emit(b, k, args, 1 + n + (value != NULL), 0);
}

IrVal ir_get(IrBuilder *b, IrVal array, const IrVal *idx, int n) {
  return emit_indexed(b, IR_GET, array, idx, n, NULL);
}
IrVal ir_set(IrBuilder *b, IrVal array, const IrVal *idx, int n, IrVal value) {
  return emit_indexed(b, IR_SET, array, idx, n, &value);
}
IrVal ir_acc(IrBuilder *b, IrVal array, const IrVal *idx, int n, IrVal value) {
  return emit_indexed(b, IR_ACC, array, idx, n, &value);
}

IrVal ir_matmul(IrBuilder *b, IrVal x, IrVal y, int64_t trans) {
  return emit(b, IR_MATMUL, (IrVal[]){x, y}, 2, trans);
}

IrVal ir_matacc(IrBuilder *b, IrVal c, IrVal x, IrVal y, int64_t trans) {
  return emit(b, IR_MATACC, (IrVal[]){c, x, y}, 3, trans);
}

IrVal ir_empty(IrBuilder *b, IrElem e) {
  IrOp *op = ir_op_new(b, IR_EMPTY, NULL, 0, 0);
  return add_result(b, op, (IrType){(uint8_t)e, 1, true}, NULL);
}

// ---- operations with regions ---------------------------------------------------------------------------------------

static void carried_args(IrFunc *f, IrRegion *r, const IrVal *inits, int n) {
  for (int i = 0; i < n; i++) ir_region_arg(f, r, ir_type(f, inits[i]), ir_dims(f, inits[i]));
}

static void carried_results(IrBuilder *b, IrOp *op, const IrVal *inits, int n) {
  for (int i = 0; i < n; i++) add_result(b, op, ir_type(b->func, inits[i]), ir_dims(b->func, inits[i]));
}

static IrBuilder inside(const IrBuilder *b, IrRegion *r) { return (IrBuilder){b->func, r, b->loc}; }

IrOp *ir_for(IrBuilder *b, IrVal lo, IrVal hi, IrVal step, const IrVal *inits, int n, IrBuilder *body) {
  IrVal *args = ARENA_ARRAY(b->func->arena, IrVal, 3 + n);
  args[0] = lo, args[1] = hi, args[2] = step;
  if (n > 0) memcpy(args + 3, inits, sizeof *inits * (size_t)n);
  IrOp *op = ir_op_new(b, IR_FOR, args, 3 + n, 1);
  ir_region_arg(b->func, op->regions[0], IR_SCALAR(IR_INT), NULL);
  carried_args(b->func, op->regions[0], args + 3, n);
  carried_results(b, op, args + 3, n);
  *body = inside(b, op->regions[0]);
  return op;
}

IrOp *ir_while(IrBuilder *b, const IrVal *inits, int n, IrBuilder *cond, IrBuilder *body) {
  IrOp *op = ir_op_new(b, IR_WHILE, inits, n, 2);
  carried_args(b->func, op->regions[0], op->args, n);
  carried_args(b->func, op->regions[1], op->args, n);
  carried_results(b, op, op->args, n);
  *cond = inside(b, op->regions[0]);
  *body = inside(b, op->regions[1]);
  return op;
}

IrOp *ir_if(IrBuilder *b, IrVal cond, IrBuilder *then, IrBuilder *els) {
  IrOp *op = ir_op_new(b, IR_IF, &cond, 1, 2);
  *then = inside(b, op->regions[0]);
  *els = inside(b, op->regions[1]);
  return op;
}

IrOp *ir_build(IrBuilder *b, const IrVal *dims, int rank, IrBuilder *body) {
  assert(rank > 0 && rank <= IR_MAX_RANK);
  IrOp *op = ir_op_new(b, IR_BUILD, dims, rank, 1);
  for (int i = 0; i < rank; i++) ir_region_arg(b->func, op->regions[0], IR_SCALAR(IR_INT), NULL);
  *body = inside(b, op->regions[0]);
  return op;
}

void ir_yield(IrBuilder *in, const IrVal *vals, int n) {
  IrRegion *r = in->region;
  r->yields = ARENA_ARRAY(in->func->arena, IrVal, n);
  if (n > 0) memcpy(r->yields, vals, sizeof *vals * (size_t)n);
  r->n_yields = n;
}

void ir_close_if(IrBuilder *b, IrOp *op, const IrVal *const *dims) {
  const IrRegion *then = op->regions[0];
  assert(op->n_results == 0 && then->n_yields == op->regions[1]->n_yields);
  IrType *types = ARENA_ARRAY(b->func->arena, IrType, then->n_yields);
  for (int i = 0; i < then->n_yields; i++) types[i] = ir_type(b->func, then->yields[i]);
  add_results(b, op, types, dims, then->n_yields);
}

void ir_close_build(IrBuilder *b, IrOp *op) {
  const IrRegion *r = op->regions[0];
  assert(op->n_results == 0);
  for (int i = 0; i < r->n_yields; i++) {
    IrType t = {ir_type(b->func, r->yields[i]).elem, (uint8_t)op->n_args, false};
    add_result(b, op, t, ir_dims_copy(b->func, op->args, op->n_args));
  }
}

// ---- operations whose results are given ------------------------------------------------------------------------------

IrOp *ir_op_explicit(IrBuilder *b, IrOpKind k, const IrVal *args, int n, const IrType *types,
                     const IrVal *const *dims, int n_results) {
  IrOp *op = ir_op_new(b, k, args, n, 0);
  add_results(b, op, types, dims, n_results);
  return op;
}

IrOp *ir_call(IrBuilder *b, Name callee, const IrVal *args, int n, const IrType *types,
              const IrVal *const *dims, int n_results) {
  IrOp *op = ir_op_explicit(b, IR_CALL, args, n, types, dims, n_results);
  op->attr.sym = callee;
  return op;
}
