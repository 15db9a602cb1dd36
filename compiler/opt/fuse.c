// Optimisation: fusion. In: builds that make arrays, and the reads of their elements. Out: a read becomes the
// computation of that element, where that does not repeat work: the computation is cheap, or the array is read in one place
// and each element at most once there. The build itself then dies (dce).
//
// The bits of every element stay the same; it is only computed elsewhere.
#include "opt/internal.h"

enum { CHEAP = 8 }; // cycles an element may cost and still be computed at every read

typedef struct Site { // one read of a build's result
  const IrOp *get;
  const IrRegion *at;
} Site;

typedef struct Built {
  const IrOp *op;
  int cost;
  bool pure; // nothing in it but P and D operations
  bool fused;
} Built;

typedef struct Fuse {
  const IrFunc *f;
  Arena *arena;
  Built **built; // by value: the build it is a result of
  int *gets;     // by value: how many element reads
  Site *site;    // by value: the latest read
  const int *uses;
  int *position; // by value: position of the latest operation that uses it up (0: none)
  int clock;
  int *made_at; // by first result of a build: its position
  int *read_at; // by value: position of the latest element read
} Fuse;

// ---- what there is ----------------------------------------------------------------------------------------------------

// Of computing one element, with what is computed in its place already.
static int cost_of(const Fuse *u, const IrRegion *r, bool *pure) {
  int cost = 0;
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (ir_op_info[op->kind].flags & IR_E) *pure = false;
    cost += op->n_regions ? 1000 : ir_op_info[op->kind].cost;
    const Built *from = op->kind == IR_GET ? u->built[op->args[0]] : NULL;
    if (from && from->fused) cost += from->cost;
    for (int k = 0; k < op->n_regions; k++) cost += cost_of(u, op->regions[k], pure);
  }
  return cost;
}

static bool uses_up(const IrOp *op, int k) {
  if (ir_op_info[op->kind].flags & IR_U) return k == 0;
  return (op->kind == IR_FOR && k >= 3) || op->kind == IR_WHILE || op->kind == IR_CALL;
}

static void scan(Fuse *u, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    int now = ++u->clock;
    for (int k = 0; k < op->n_args; k++) {
      if (uses_up(op, k)) u->position[op->args[k]] = now;
      if (op->kind == IR_GET && k == 0) {
        u->gets[op->args[0]]++;
        u->site[op->args[0]] = (Site){op, r};
        u->read_at[op->args[0]] = now;
      }
    }
    if (op->kind == IR_BUILD) {
      Built *b = ARENA_NEW(u->arena, Built);
      b->op = op;
      u->made_at[op->result] = now;
      for (int k = 0; k < op->n_results; k++) u->built[ir_result(op, k)] = b;
    }
    for (int k = 0; k < op->n_regions; k++) scan(u, op->regions[k]);
  }
}

// ---- what pays ----------------------------------------------------------------------------------------------------------

// Between the build and the read, each loop's index must be one of the read's indices: then no element is read twice.
static bool reads_once(const Fuse *u, const Built *b, const Site *s) {
  for (const IrRegion *r = s->at; r != b->op->parent; r = r->outer) {
    const IrOp *owner = r->owner;
    if (!owner) return false;
    if (owner->kind == IR_IF) continue;
    if (owner->kind == IR_WHILE) return false;
    int n = owner->kind == IR_FOR ? 1 : r->n_args;
    for (int k = 0; k < n; k++) {
      bool found = false;
      for (int j = 1; j < s->get->n_args; j++) found |= s->get->args[j] == r->args[k];
      if (!found) return false;
    }
  }
  (void)u;
  return true;
}

// Computing later reads the build's inputs later: none of them may be changed in place in between.
static bool inputs_stay(const Fuse *u, const Built *b, int until) {
  IrVals reads = {0};
  ir_free_values(u->arena, u->f, b->op->regions[0], &reads);
  int from = u->made_at[b->op->result];
  for (int k = 0; k < reads.len; k++) {
    int at = u->position[reads.data[k]];
    if (ir_is_array(ir_type(u->f, reads.data[k])) && at > from && at <= until) return false;
  }
  return true;
}

// In program order, so that what is fused into the body is known.
static void decide(Fuse *u, Built *b) {
  b->pure = true;
  b->cost = cost_of(u, b->op->regions[0], &b->pure);
  int reads = 0, others = 0, last = 0;
  const Site *site = NULL;
  for (int k = 0; k < b->op->n_results; k++) {
    IrVal v = ir_result(b->op, k);
    reads += u->gets[v];
    others += u->uses[v] - u->gets[v];
    if (u->gets[v]) site = &u->site[v];
    if (u->read_at[v] > last) last = u->read_at[v];
  }
  if (!b->pure || !reads || !inputs_stay(u, b, last)) return;
  b->fused = b->cost <= CHEAP || (reads == 1 && others == 0 && reads_once(u, b, site));
}

// ---- the rewrite --------------------------------------------------------------------------------------------------------

static bool fuse_get(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Fuse *u = user;
  if (op->kind != IR_GET) return false;
  const Built *built = u->built[op->args[0]];
  if (!built || !built->fused) return false;
  const IrRegion *body = built->op->regions[0];
  for (int k = 0; k < body->n_args; k++) ir_map_set(map, body->args[k], ir_mapped(map, op->args[1 + k]));
  IrVal *yields = ARENA_ARRAY(u->arena, IrVal, body->n_yields);
  ir_rewrite_ops(b, map, body, yields, fuse_get, u);
  ir_map_set(map, op->result, yields[ir_val(u->f, op->args[0])->index]);
  return true;
}

static bool fuse_once(IrFunc **f) {
  Arena *scratch = arena_new(0);
  if (!scratch) return false;
  int n = (*f)->vals.len;
  Fuse u = {.f = *f,
            .arena = scratch,
            .built = ARENA_ARRAY(scratch, Built *, n),
            .gets = ARENA_ARRAY(scratch, int, n),
            .site = ARENA_ARRAY(scratch, Site, n),
            .uses = ir_use_counts(scratch, *f),
            .position = ARENA_ARRAY(scratch, int, n),
            .made_at = ARENA_ARRAY(scratch, int, n),
            .read_at = ARENA_ARRAY(scratch, int, n)};
  scan(&u, (*f)->body);
  bool any = false;
  for (int v = 1; v < n; v++) {
    Built *b = u.built[v];
    if (!b || b->op->result != (IrVal)v) continue;
    decide(&u, b);
    any |= b->fused;
  }
  if (any) *f = ir_rewrite_func(*f, fuse_get, &u);
  arena_free(scratch);
  return any;
}

IrFunc *opt_fuse(IrFunc *f) {
  if (!f->body) return f;
  // A chain of builds fuses in one go, since the body of a fused one is rewritten too; a second look finds what the first
  // made possible.
  for (int round = 0; round < 3 && fuse_once(&f); round++) f = opt_dce(f);
  return f;
}
