// Optimisation: scatters become gathers. In: a loop that adds something to an element of an array beside its own, mostly a
// neighbour's adjoint, where the array is a build or a fill that nobody else wants, and what it adds is cheap:
//
//   %a = build %n (%j) { ... yield %f }
//   %r = for %i = %1, %n, %1 with (%b = %a) { ...  acc %b, %i - 1, %v  ... }      // or from 0, but if %i == 0
//
// Out: a build, in which each element takes what the neighbour would have added:
//
//   %r = build %n (%j) { ...  if %j < %n - 1 { yield %f + %v[%i := %j + 1] } else { yield %f } }
//
// so that other passes can go on with it element by element. The loop no longer carries the array (dce), or goes.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MOST_OPS = 16, MOST_ROUNDS = 8 };

typedef struct Gather {
  const IrFunc *f;
  Arena *arena;
  const int *uses;
  const bool *taken; // by value: an array that something else than GET uses
  bool changed;
} Gather;

typedef struct Scatter { // what happens to one array that a loop carries
  const IrOp *made;      // BUILD or FILL
  int k;                 // which result of it
  const IrOp *loop, *acc;
  int64_t offset; // of the index added to from the loop's
  int64_t lo;     // where the loop begins
  Affine hi, n;   // where it ends, and the array
  bool below;     // the elements that it does not come to are the first ones, else the last ones
  bool *slice;    // by value: what the loop adds is computed from it
} Scatter;

// ---- finding them ------------------------------------------------------------------------------------------------------

static bool is_cheap(const Gather *g, const IrOp *op) {
  if (op->n_regions || op->n_results != 1 || ir_type(g->f, op->result).rank) return false;
  if (op->kind == IR_GET) return !g->taken[op->args[0]];
  return (ir_op_info[op->kind].flags & (IR_P | IR_MATH)) == IR_P && op->kind != IR_DIV;
}

// Marks what v is computed from; false: not all of it is cheap, or it is something that the loop carries.
static bool slice_of(const Gather *g, const IrRegion *body, IrVal v, bool *slice, int *n) {
  const IrValue *val = ir_val(g->f, v);
  if (slice[v] || !ir_inside(val->region, body) || v == body->args[0]) return true;
  if (!val->def || !is_cheap(g, val->def) || ++*n > MOST_OPS) return false;
  slice[v] = true;
  for (int k = 0; k < val->def->n_args; k++)
    if (!slice_of(g, body, val->def->args[k], slice, n)) return false;
  return true;
}

static bool starts_anew(const Gather *g, const IrOp *made, const IrOp *loop) {
  if (!made || made->parent != loop->parent || ir_type(g->f, made->result).rank != 1) return false;
  if (made->kind == IR_FILL) return !made->attr.i;
  if (made->kind != IR_BUILD || made->regions[0]->ops.len > MOST_OPS) return false;
  for (int i = 0; i < made->regions[0]->ops.len; i++) {
    const IrOp *op = made->regions[0]->ops.data[i];
    bool nested = op->kind == IR_IF && op->regions[0]->ops.len + op->regions[1]->ops.len <= MOST_OPS;
    if (!nested && !is_cheap(g, op)) return false;
  }
  return true;
}

// Over the indices of the loop whose element is there, is a condition always true, or always false?
typedef enum Verdict { NEVER, ALWAYS, SOMETIMES } Verdict;

static Verdict verdict(const Scatter *s, const IrFunc *f, IrVal cond) {
  const IrOp *op = ir_val(f, cond)->def;
  const IrRegion *body = s->loop->regions[0];
  if (!op || (op->kind != IR_EQ && op->kind != IR_NE) || !opt_turns(f, cond, body)) return SOMETIMES;
  Affine at = affine_of(f, op->args[op->args[0] == body->args[0] ? 1 : 0]);
  bool below = !at.base && (at.offset < s->lo || at.offset < -s->offset),
       above = at.base && at.base == s->n.base &&
               (at.offset >= s->hi.offset || at.offset >= s->n.offset - s->offset);
  if (!below && !above) return SOMETIMES;
  return op->kind == IR_EQ ? NEVER : ALWAYS;
}

// The only thing that happens to carried value k: one ACC in each iteration that has such an element.
static const IrOp *only_acc(const Gather *g, const IrOp *loop, int k, const IrOp **branch) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k], out = body->yields[k];
  const IrOp *acc = ir_val(g->f, out)->def;
  *branch = NULL;
  if (acc && acc->kind == IR_IF && acc->parent == body && g->uses[out] == 1) {
    int j = (int)(out - acc->result);
    *branch = acc;
    bool second = acc->regions[0]->yields[j] == arg;
    if (acc->regions[!second]->yields[j] != arg && acc->regions[second]->yields[j] != arg) return NULL;
    acc = op_of(g->f, acc->regions[second]->yields[j], IR_ACC);
    if (!acc || acc->parent != (*branch)->regions[second]) return NULL;
  } else if (!acc || acc->kind != IR_ACC || acc->parent != body) {
    return NULL;
  }
  bool alone = acc->args[0] == arg && g->uses[arg] == 1 + (*branch != NULL) && g->uses[acc->result] == 1;
  return alone && acc->n_args == 3 ? acc : NULL;
}

// The loop comes to all elements but for a border on one side.
static bool has_one_border(Scatter *s) {
  if (s->hi.base != s->n.base) return false;
  bool above = s->hi.offset + s->offset < s->n.offset;
  s->below = s->lo + s->offset > 0;
  return s->lo >= 0 && s->offset && s->below != above;
}

static bool find(const Gather *g, const IrOp *loop, int k, Scatter *s) {
  const IrFunc *f = g->f;
  IrVal init = loop->args[3 + k];
  const IrOp *branch, *acc = only_acc(g, loop, k, &branch), *made = ir_val(f, init)->def;
  if (!acc || g->uses[init] != 1 || !starts_anew(g, made, loop)) return false;
  Affine at = affine_of(f, acc->args[1]);
  *s =
      (Scatter){.made = made, .k = (int)(init - made->result), .loop = loop, .acc = acc, .offset = at.offset};
  s->hi = affine_of(f, loop->args[1]);
  s->n = affine_of(f, ir_dims(f, init)[0]);
  if (at.base != loop->regions[0]->args[0] || !ir_is_const_int(f, loop->args[0], &s->lo)) return false;
  if (!has_one_border(s)) return false;
  if (branch && verdict(s, f, branch->args[0]) != (acc->parent == branch->regions[0] ? ALWAYS : NEVER))
    return false;
  s->slice = ARENA_ARRAY(g->arena, bool, f->vals.len);
  int n = 0;
  return slice_of(g, loop->regions[0], acc->args[2], s->slice, &n);
}

static bool is_candidate(const Gather *g, const IrOp *op) {
  int64_t step;
  return op->kind == IR_FOR && !op->lanes && !op->attr.i && ir_is_const_int(g->f, op->args[2], &step) &&
         step == 1 && !ir_op_has_effect(g->f->module, op); // a check in the loop would come too late
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

static IrVal start(IrBuilder *b, IrMap *map, const Scatter *s, IrVal index) {
  if (s->made->kind == IR_FILL) return ir_mapped(map, s->made->args[0]);
  const IrRegion *body = s->made->regions[0];
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, body->n_yields);
  ir_map_set(map, body->args[0], index);
  ir_clone_ops(b, map, body, yields);
  return yields[s->k];
}

static void clone_slice(IrBuilder *b, IrMap *map, const Scatter *s, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_results == 1 && s->slice[op->result]) ir_clone_op(b, map, op);
    for (int k = 0; k < op->n_regions; k++) clone_slice(b, map, s, op->regions[k]);
  }
}

static IrVal gather(const IrFunc *f, IrBuilder *b, IrMap *map, const Scatter *s) {
  IrVal n = ir_mapped(map, ir_dims(f, s->acc->result)[0]), by = ir_const_int(b, s->offset);
  IrVal border = ir_op2(b, IR_ADD, ir_mapped(map, s->loop->args[s->below ? 0 : 1]), by);
  IrBuilder in, both[2];
  IrOp *now = ir_build(b, &n, 1, &in);
  IrVal j = in.region->args[0], mine = start(&in, map, s, j);
  IrOp *branch = ir_if(&in, ir_op2(&in, IR_LT, j, border), &both[0], &both[1]);
  IrBuilder *added = &both[s->below];
  ir_map_set(map, s->loop->regions[0]->args[0], ir_op2(added, IR_ADD, j, ir_const_int(added, -s->offset)));
  clone_slice(added, map, s, s->loop->regions[0]);
  IrVal sum = ir_op2(added, IR_ADD, mine, ir_mapped(map, s->acc->args[2]));
  ir_yield(added, &sum, 1);
  ir_yield(&both[!s->below], &mine, 1);
  ir_close_if(&in, branch, NULL);
  IrVal element = ir_result(branch, 0);
  ir_yield(&in, &element, 1);
  ir_close_build(b, now);
  return ir_result(now, 0);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *loop) {
  Gather *g = user;
  if (!is_candidate(g, loop)) return false;
  IrVal *gathered = ARENA_ARRAY(g->arena, IrVal, loop->n_results);
  bool any = false;
  b->loc = loop->loc;
  for (int k = 0; k < loop->n_results; k++) {
    Scatter s;
    if (!find(g, loop, k, &s)) continue;
    gathered[k] = gather(g->f, b, map, &s);
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
  for (int round = 0; changed && round < MOST_ROUNDS;
       round++) { // what one loop gathers is what the next starts with
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
