// Optimisation: inlining. In: any function. Out: the same function with the calls of non-recursive functions replaced by
// their bodies, as long as the result stays of a size that later passes and LLVM handle quickly.
//
// Before differentiation all comes in that is not too large, for derivatives do not look through calls well; only a function
// with a derivative rule of the user's stays a call. Afterwards a large function that is called from several places
// is compiled once, unless the call stands in a loop that may run in lanes, where calls would be in the way.
//
// Every operation that comes in remembers the call it came through (IrLoc.chain).
#include "opt/internal.h"

enum {
  INLINE_LIMIT = 12000, // operations in one function: LLVM's time grows faster than its size
  INLINE_CALLEE = 3000, // operations of a callee, what it calls included, unless it is called only once
  INLINE_APART = 100,   // the same, after differentiation and outside of loops
  INLINE_TOTAL =
      1000000, // operations copied in one module: long chains of functions would copy the square of their length
};

typedef struct Callee {
  const IrFunc *f;
  int size; // with everything that would come in through it
} Callee;

typedef struct Inline {
  IrFunc *into;
  bool early;        // before differentiation
  bool only_externs; // nothing but what stands for a C function
  int size;
  Arena *scratch;
  VEC(Callee) callees; // what has been looked at
} Inline;

int opt_region_size(const IrRegion *r) {
  int n = r->ops.len;
  for (int i = 0; i < r->ops.len; i++)
    for (int k = 0; k < r->ops.data[i]->n_regions; k++) n += opt_region_size(r->ops.data[i]->regions[k]);
  return n;
}

// The chain of a place in the callee, seen from the call.
static uint32_t chain_through(IrModule *m, uint32_t inner, uint32_t call) {
  if (!inner) return call;
  IrChain c = m->chains.data[inner];
  return ir_chain(m, c.call, c.callee, chain_through(m, c.parent, call));
}

// Neighbours mostly come from the same place: what the last one's chain became is remembered.
typedef struct LastChain {
  uint32_t before, now;
} LastChain;

static void relocate(IrModule *m, const IrRegion *r, int first, uint32_t call, LastChain *last) {
  for (int i = first; i < r->ops.len; i++) {
    IrOp *op = r->ops.data[i];
    if (!last->now || last->before != op->loc.chain)
      *last = (LastChain){op->loc.chain, chain_through(m, op->loc.chain, call)};
    op->loc.chain = last->now;
    for (int k = 0; k < op->n_regions; k++) relocate(m, op->regions[k], 0, call, last);
  }
}

void opt_relocate(IrModule *m, const IrRegion *r, int first, const IrOp *call, const IrFunc *callee) {
  uint32_t here = ir_chain(m, call->loc.loc, callee->source_name, call->loc.chain);
  relocate(m, r, first, here, &(LastChain){0});
}

static Callee *callee_of(Inline *in, const IrFunc *f);

static void count_through(Inline *in, const IrRegion *r, int *size) {
  for (int i = 0; i < r->ops.len && *size <= INLINE_LIMIT; i++) {
    const IrOp *op = r->ops.data[i];
    ++*size;
    const IrFunc *f = op->kind == IR_CALL ? ir_func_find(in->into->module, op->attr.sym) : NULL;
    if (f && f->body && !f->recursive) *size += callee_of(in, f)->size;
    for (int k = 0; k < op->n_regions; k++) count_through(in, op->regions[k], size);
  }
}

static Callee *callee_of(Inline *in, const IrFunc *f) {
  for (int i = 0; i < in->callees.len; i++)
    if (in->callees.data[i].f == f) return &in->callees.data[i];
  Callee c = {f, 0};
  count_through(in, f->body, &c.size);
  vec_push(in->scratch, &in->callees, c);
  return &vec_last(&in->callees);
}

static int count_calls(const IrRegion *r, Name callee) {
  int n = 0;
  for (int i = 0; i < r->ops.len && n < 2; i++) {
    const IrOp *op = r->ops.data[i];
    n += op->kind == IR_CALL && op->attr.sym == callee;
    for (int k = 0; k < op->n_regions; k++) n += count_calls(op->regions[k], callee);
  }
  return n;
}

static bool called_once(const IrFunc *f) {
  const IrModule *m = f->module;
  int n = 0;
  for (int i = 0; i < m->funcs.len && n < 2; i++)
    if (m->funcs.data[i]->body) n += count_calls(m->funcs.data[i]->body, f->name);
  return n == 1;
}

static bool is_extern(const IrFunc *f) {
  bool found = false;
  for (int i = 0; i < f->body->ops.len; i++) {
    if (f->body->ops.data[i]->n_regions || f->body->ops.data[i]->kind == IR_CALL) return false;
    found |= f->body->ops.data[i]->kind == IR_EXTERN;
  }
  return found;
}

static bool in_counted_loop(const IrRegion *r) {
  for (; r->owner; r = r->outer)
    if (r->owner->kind == IR_FOR || r->owner->kind == IR_BUILD) return true;
  return false;
}

static bool inlinable(Inline *in, const IrFunc *f, const IrRegion *at) {
  if (!f || !f->body || f->recursive) return false;
  if (in->only_externs && !is_extern(f)) return false;
  if (f->has_rule && (in->early || f->module->keeps_rules)) return false;
  int size = callee_of(in, f)->size;
  if (in->size + size > INLINE_LIMIT || f->module->n_inlined + size > INLINE_TOTAL) return false;
  int most = in->early || in_counted_loop(at) ? INLINE_CALLEE : INLINE_APART;
  return size <= most || called_once(f);
}

static bool inline_call(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Inline *in = user;
  if (op->kind != IR_CALL) return false;
  IrModule *m = in->into->module;
  const IrFunc *callee = ir_func_find(m, op->attr.sym);
  if (!inlinable(in, callee, b->region)) return false;
  int size = opt_region_size(callee->body);
  in->size += size;
  m->n_inlined += size;
  Arena *scratch = arena_new(0);
  if (!scratch) return false;
  IrMap inner = ir_map_new(scratch, callee, b->func);
  for (int k = 0; k < callee->n_params; k++)
    ir_map_set(&inner, callee->body->args[k], ir_mapped(map, op->args[k]));
  IrVal *yields = ARENA_ARRAY(scratch, IrVal, callee->body->n_yields);
  int first = b->region->ops.len;
  ir_rewrite_ops(b, &inner, callee->body, yields, inline_call, in);
  opt_relocate(m, b->region, first, op, callee);
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), yields[k]);
  arena_free(scratch);
  return true;
}

static IrFunc *inline_calls(IrFunc *f, bool early, bool only_externs) {
  if (!f->body) return f;
  Inline in = {.into = f,
               .early = early,
               .only_externs = only_externs,
               .size = opt_region_size(f->body),
               .scratch = arena_new(0)};
  if (!in.scratch) return f;
  f = ir_rewrite_func(f, inline_call, &in);
  arena_free(in.scratch);
  return f;
}

IrFunc *opt_inline(IrFunc *f) { return inline_calls(f, false, false); }
IrFunc *opt_inline_early(IrFunc *f) { return inline_calls(f, true, false); }
IrFunc *opt_inline_externs(IrFunc *f) { return inline_calls(f, false, true); }
