// Common subexpressions. In: ordinary IR; out: the same with every pure operation computed once where an equal one stands
// before it, in the same region or one around it. Arrays are values, so reading an element is pure as well. Loops, builds
// and branches count as operations: equal operands and bodies that are equal up to the names inside, where the earlier one
// may do more. A check that passed once passes again.
//
// FILL, EMPTY and COPY stay as many as they are: sharing a fresh array between two that change it would cost a copy.
// Calls of what has no effect are pure as well.
#include "opt/scalar.h"

enum { FIRST_BUCKETS = 256 };

typedef struct Entry {
  const IrOp *op; // in the new function
  uint64_t hash;
  int next; // in the bucket; -1: none
} Entry;

typedef struct Cse {
  Arena *arena;
  VEC(Entry) entries; // a stack: what a region computed goes when it ends
  int *buckets;       // the latest entry of each; -1: none
  int n_buckets;
  IrVal *renamed; // comparing bodies: by value of one, the other's; 0: itself
  int n_renamed;
} Cse;

static bool is_check(IrOpKind k) { return k >= IR_CHECK_INDEX && k <= IR_ASSERT; }

static bool shared(const IrModule *m, const IrOp *op) {
  if (op->kind == IR_CALL) return !ir_op_has_effect(m, op);
  if (op->kind == IR_FILL || op->kind == IR_EMPTY || op->kind == IR_COPY) return false;
  return (ir_op_info[op->kind].flags & (IR_P | IR_D)) || is_check(op->kind);
}

static bool attr_counts(IrOpKind k) { // checks with other texts are still the same checks
  switch (k) {
  case IR_CONST:
  case IR_CALL:
  case IR_STR:
  case IR_TABLE:
  case IR_FORMAT:
  case IR_MATMUL:
  case IR_MATACC: return true;
  default: return false;
  }
}

static int n_compared(const IrOp *op) { return op->kind == IR_ASSERT ? 1 : op->n_args; } // not the message

// ---- hashing -----------------------------------------------------------------------------------------------------

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15u;
  return h ^ h >> 29;
}

static uint64_t hash_head(const IrFunc *f, const IrOp *op) {
  uint64_t h = mix(op->kind, op->n_args);
  if (attr_counts(op->kind)) h = mix(h, (uint64_t)op->attr.i);
  for (int i = 0; i < op->n_results; i++) h = mix(h, ir_type(f, ir_result(op, i)).elem);
  return h;
}

// Of what may not be shared inside: false. What stands in the bodies counts when they are compared.
static bool sharable_body(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool pure = ir_op_info[op->kind].flags & (IR_P | IR_D);
    if (!pure && !is_check(op->kind) && op->kind != IR_FORMAT) return false;
    for (int k = 0; k < op->n_regions; k++)
      if (!sharable_body(op->regions[k])) return false;
  }
  return true;
}

static bool hash_op(const IrFunc *f, const IrOp *op, uint64_t *out) {
  uint64_t h = hash_head(f, op);
  bool swaps = ir_op_info[op->kind].flags & IR_C;
  for (int i = 0; i < n_compared(op); i++) h = swaps ? h + mix(1, op->args[i]) : mix(h, op->args[i]);
  for (int k = 0; k < op->n_regions; k++)
    if (!sharable_body(op->regions[k])) return false;
  *out = h;
  return true;
}

// ---- comparing -----------------------------------------------------------------------------------------------------

static void rename_value(Cse *c, const IrFunc *f, IrVal from, IrVal to) {
  if ((int)from >= c->n_renamed) {
    int n = f->vals.len * 2;
    c->renamed =
        arena_grow(c->arena, c->renamed, sizeof(IrVal) * (size_t)c->n_renamed, sizeof(IrVal) * (size_t)n);
    c->n_renamed = n;
  }
  c->renamed[from] = to;
}

static bool same_value(const Cse *c, IrVal a, IrVal b) {
  IrVal now = (int)b < c->n_renamed ? c->renamed[b] : 0;
  return (now ? now : b) == a;
}

static bool same_values(const Cse *c, const IrVal *a, const IrVal *b, int n) {
  for (int i = 0; i < n; i++)
    if (!same_value(c, a[i], b[i])) return false;
  return true;
}

static bool same_operands(const Cse *c, const IrOp *a, const IrOp *b) {
  if (a->n_args != b->n_args) return false;
  if (same_values(c, a->args, b->args, n_compared(a))) return true;
  return (ir_op_info[a->kind].flags & IR_C) && same_value(c, a->args[0], b->args[1]) &&
         same_value(c, a->args[1], b->args[0]);
}

static bool same_results(Cse *c, const IrFunc *f, const IrOp *a, const IrOp *b) {
  if (a->n_results != b->n_results) return false;
  for (int i = 0; i < a->n_results; i++) rename_value(c, f, ir_result(b, i), ir_result(a, i));
  for (int i = 0; i < a->n_results; i++) {
    const IrValue *x = ir_val(f, ir_result(a, i)), *y = ir_val(f, ir_result(b, i));
    if (!ir_type_eq(x->type, y->type)) return false;
    if ((a->kind == IR_IF || a->kind == IR_CALL) && x->dims &&
        !same_values(c, x->dims, y->dims, x->type.rank))
      return false;
  }
  return true;
}

static bool same_op(Cse *c, const IrFunc *f, const IrOp *a, const IrOp *b);

// Each operation of b stands in a, in the same order. What a has beyond that, such as checks and what only they read,
// does no harm: it was done once.
static bool same_region(Cse *c, const IrFunc *f, const IrRegion *a, const IrRegion *b) {
  if (a->n_args != b->n_args || a->ops.len < b->ops.len || a->n_yields != b->n_yields) return false;
  for (int i = 0; i < a->n_args; i++) rename_value(c, f, b->args[i], a->args[i]);
  for (int i = 0, j = 0; j < b->ops.len; i++) {
    if (i == a->ops.len) return false;
    if (same_op(c, f, a->ops.data[i], b->ops.data[j])) j++;
  }
  return same_values(c, a->yields, b->yields, a->n_yields);
}

// b after a: renames what b defines to what a does, on the way.
static bool same_op(Cse *c, const IrFunc *f, const IrOp *a, const IrOp *b) {
  if (a->kind != b->kind || !same_operands(c, a, b)) return false;
  if (attr_counts(a->kind) && a->attr.i != b->attr.i) return false;
  for (int k = 0; k < a->n_regions; k++)
    if (!same_region(c, f, a->regions[k], b->regions[k])) return false;
  return same_results(c, f, a, b);
}

// Renamings stay behind after a failed comparison; they are values of b that nothing refers to until they are renamed
// again, or b's own.
static void forget(Cse *c, const IrOp *b) {
  for (int i = 0; i < b->n_results; i++)
    if ((int)ir_result(b, i) < c->n_renamed) c->renamed[ir_result(b, i)] = 0;
  for (int k = 0; k < b->n_regions; k++) {
    const IrRegion *r = b->regions[k];
    for (int i = 0; i < r->n_args; i++)
      if ((int)r->args[i] < c->n_renamed) c->renamed[r->args[i]] = 0;
    for (int i = 0; i < r->ops.len; i++) forget(c, r->ops.data[i]);
  }
}

// ---- the table -------------------------------------------------------------------------------------------------------

static void leave_scope(Cse *c, int len) {
  while (c->entries.len > len) {
    Entry e = vec_pop(&c->entries);
    c->buckets[e.hash % (uint64_t)c->n_buckets] = e.next;
  }
}

static void more_buckets(Cse *c) {
  c->n_buckets = c->n_buckets ? 4 * c->n_buckets : FIRST_BUCKETS;
  c->buckets = ARENA_ARRAY(c->arena, int, c->n_buckets);
  for (int i = 0; i < c->n_buckets; i++) c->buckets[i] = -1;
  for (int i = 0; i < c->entries.len; i++) {
    int *bucket = &c->buckets[c->entries.data[i].hash % (uint64_t)c->n_buckets];
    c->entries.data[i].next = *bucket;
    *bucket = i;
  }
}

// An equal operation that stands before op; NULL, and op is known from now on.
static const IrOp *find_or_add(Cse *c, const IrFunc *f, const IrOp *op) {
  uint64_t h;
  if (!hash_op(f, op, &h)) return NULL;
  if (c->entries.len >= c->n_buckets) more_buckets(c);
  int *bucket = &c->buckets[h % (uint64_t)c->n_buckets];
  for (int i = *bucket; i >= 0; i = c->entries.data[i].next) {
    const Entry *e = &c->entries.data[i];
    if (e->hash != h) continue;
    bool same = same_op(c, f, e->op, op);
    forget(c, op);
    if (same) return e->op;
  }
  vec_push(c->arena, &c->entries, ((Entry){op, h, *bucket}));
  *bucket = c->entries.len - 1;
  return NULL;
}

// ---- the pass --------------------------------------------------------------------------------------------------------

static IrRewrite rewrite;

static IrOp *copy(Cse *c, IrBuilder *b, IrMap *map, const IrOp *op) {
  if (op->n_regions == 0) return ir_clone_op(b, map, op);
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, map, op, in);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *r = op->regions[k];
    IrVal *yields = ARENA_ARRAY(c->arena, IrVal, r->n_yields);
    int before = c->entries.len;
    ir_rewrite_ops(&in[k], map, r, yields, rewrite, c);
    leave_scope(c, before);
    ir_yield(&in[k], yields, r->n_yields);
  }
  ir_close_like(b, map, op, now);
  return now;
}

// The copy is made first, as what is inside becomes equal only when it has been looked through itself; when an equal one
// stands before it, it is taken back.
static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Cse *c = user;
  if (!shared(b->func->module, op)) {
    if (op->n_regions == 0) return false;
    copy(c, b, map, op);
    return true;
  }
  const IrOp *now = copy(c, b, map, op), *before = find_or_add(c, b->func, now);
  if (!before) return true;
  (void)vec_pop(&b->region->ops);
  for (int i = 0; i < op->n_results; i++) ir_map_set(map, ir_result(op, i), ir_result(before, i));
  return true;
}

IrFunc *opt_cse(IrFunc *f) {
  if (!f->body) return f;
  Cse *c = ARENA_NEW(f->arena, Cse);
  c->arena = f->arena;
  return ir_rewrite_func(f, rewrite, c);
}
