// Which sums may be taken in any order: a loop-carried value that the loop only ever adds to.
//
// In: a function. Out: for each carried value of a FOR that is such a sum (or a least or greatest value) its family, and the
// results of the additions (fma to it included) of the chain, from the carried argument to the yield in its place. The
// chain may pass through inner loops that carry it on, through both branches of an if, and through a select of the sum
// and the value before.
#include "ir/ir.h"

typedef struct Use {
  const IrOp *op; // NULL: a yield of region
  const IrRegion *region;
  int index; // operand or yield number
} Use;

enum { KEEP_USES = 2 };

typedef struct Sums {
  const IrFunc *f;
  IrSums *out;
  Use (*uses)[KEEP_USES]; // by value: its first uses
  int *n_uses;
  IrOpKind family; // IR_ADD (with SUB, FMA), IR_MIN or IR_MAX; IR_OP_COUNT while open
  IrVal chain[64]; // results to mark
  int n_chain;
} Sums;

static void note(Sums *s, IrVal v, const IrOp *op, const IrRegion *r, int index) {
  if (s->n_uses[v] < KEEP_USES) s->uses[v][s->n_uses[v]] = (Use){op, r, index};
  s->n_uses[v]++;
}

static void collect(Sums *s, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) note(s, op->args[k], op, r, k);
    for (int k = 0; k < op->n_regions; k++) collect(s, op->regions[k]);
  }
  for (int i = 0; i < r->n_yields; i++) note(s, r->yields[i], NULL, r, i);
}

static bool joins_family(Sums *s, const Use *u) {
  IrOpKind k = (IrOpKind)u->op->kind;
  if ((k == IR_SUB && u->index == 0) || (k == IR_FMA && u->index == 2)) k = IR_ADD;
  if (k != IR_ADD && k != IR_MIN && k != IR_MAX) return false;
  if (s->family == IR_OP_COUNT) s->family = k;
  if (s->family != k || s->n_chain == (int)(sizeof s->chain / sizeof *s->chain)) return false;
  s->chain[s->n_chain++] = u->op->result;
  return true;
}

// Follows v through region r; the yield it ends in, or -1.
static int follow(Sums *s, IrVal v, const IrRegion *r);

// v is used once in each branch of one if.
static IrVal through_branches(Sums *s, IrVal v, const IrRegion *r) {
  const Use *u = s->uses[v];
  if (s->n_uses[v] != 2) return 0;
  const IrOp *branch = NULL;
  for (int k = 0; k < r->ops.len && !branch; k++) {
    const IrOp *op = r->ops.data[k];
    if (op->kind == IR_IF && ir_inside(u[0].region, op->regions[0]) && ir_inside(u[1].region, op->regions[1]))
      branch = op;
  }
  if (!branch || u[0].region != branch->regions[0] || u[1].region != branch->regions[1]) return 0;
  Use first = u[0], second = u[1];
  s->n_uses[v] = 1;
  int a = follow(s, v, branch->regions[0]);
  s->uses[v][0] = second;
  int b = a < 0 ? -1 : follow(s, v, branch->regions[1]);
  s->uses[v][0] = first;
  s->n_uses[v] = 2;
  return a >= 0 && a == b ? ir_result(branch, a) : 0;
}

// select(c, v + e, v) or select(c, v, v + e), the sum having no other use.
static IrVal through_select(Sums *s, IrVal v) {
  if (s->n_uses[v] != 2 || !s->uses[v][0].op || !s->uses[v][1].op) return 0;
  const Use *sum = &s->uses[v][0], *choice = &s->uses[v][1];
  if (sum->op->kind == IR_SELECT) {
    const Use *t = sum;
    sum = choice;
    choice = t;
  }
  if (choice->op->kind != IR_SELECT || choice->index == 0 || sum->op->kind == IR_SELECT ||
      !joins_family(s, sum))
    return 0;
  IrVal added = sum->op->result;
  bool only = s->n_uses[added] == 1 && s->uses[added][0].op == choice->op && s->uses[added][0].index != 0;
  return only ? choice->op->result : 0;
}

static IrVal next_in_chain(Sums *s, IrVal v, const IrRegion *r) {
  if (s->n_uses[v] == 2) {
    IrVal next = through_select(s, v);
    return next ? next : through_branches(s, v, r);
  }
  if (s->n_uses[v] != 1) return 0;
  const Use *u = &s->uses[v][0];
  if (!u->op || u->region != r) return 0;
  if (u->op->kind == IR_FOR && u->index >= 3) {
    int k = u->index - 3;
    const IrRegion *body = u->op->regions[0];
    return follow(s, body->args[1 + k], body) == k ? ir_result(u->op, k) : 0;
  }
  return joins_family(s, u) ? u->op->result : 0;
}

static int follow(Sums *s, IrVal v, const IrRegion *r) {
  while (v) {
    const Use *u = &s->uses[v][0];
    if (s->n_uses[v] == 1 && !u->op) return u->region == r ? u->index : -1;
    v = next_in_chain(s, v, r);
  }
  return -1;
}

static void try_carried(Sums *s, const IrRegion *body) {
  for (int k = 0; k + 1 < body->n_args; k++) {
    IrVal v = body->args[k + 1];
    IrType t = ir_type(s->f, v);
    if (t.rank || !ir_is_float(t)) continue;
    s->n_chain = 0;
    s->family = IR_OP_COUNT;
    if (follow(s, v, body) != k || !s->n_chain) continue;
    s->out->family[v] = (uint8_t)s->family;
    for (int i = 0; i < s->n_chain; i++) s->out->in_chain[s->chain[i]] = true;
  }
}

static IrWalk visit(void *user, IrOp *op) {
  if (op->kind == IR_FOR) try_carried(user, op->regions[0]);
  return IR_WALK_CONTINUE;
}

IrSums ir_find_sums(Arena *scratch, const IrFunc *f) {
  int n = f->vals.len;
  IrSums out = {ARENA_ARRAY(scratch, bool, n), ARENA_ARRAY(scratch, uint8_t, n)};
  Sums s = {.f = f, .out = &out};
  s.uses = arena_alloc(scratch, sizeof(Use[KEEP_USES]) * (size_t)n);
  s.n_uses = ARENA_ARRAY(scratch, int, n);
  collect(&s, f->body);
  ir_walk(f->body, visit, &s);
  return out;
}
