// Optimisation: scatters become gathers. In: a loop that adds something to elements of an array beside its own, mostly the
// neighbours' adjoints, where the array is a build or a fill that nobody else wants, and what it adds is cheap:
//
//   %a = build %n (%j) { ... yield %f }
//   %r = for %i = %1, %n, %1 with (%b = %a) { ...  acc %b, %i - 1, %v  ... }      // or from 0, but if %i == 0
//
// Out: a build, in which each element takes what the neighbours would have added, in the order in which they would have:
//
//   %r = build %n (%j) { ...  if %j < %n - 1 { yield %f + %v[%i := %j + 1] } else { yield %f } }
//
// so that other passes can go on with it element by element. The loop no longer carries the array (dce), or goes.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MOST_OPS = 16, MOST_ROUNDS = 8, MOST_ADDED = 4, FARTHEST = 1 << 20 };

typedef struct Gather {
  const IrFunc *f;
  Arena *arena;
  const int *uses;
  const bool *taken; // by value: an array that something else than GET uses
  bool changed;
} Gather;

// What happens to one array that a loop carries: some iterations add to a few elements.
typedef struct Scatter {
  const IrFunc *f;
  const IrOp *made;          // BUILD or FILL
  int k;                     // which result of it
  const IrOp *loop, *branch; // around the ACCs; NULL: every iteration adds
  bool truth;                // of the branch's condition, there
  int64_t lo;                // where the loop's range begins
  Affine hi, n;              // where it ends, and the array
  bool down;                 // it runs from there
  int n_added;
  const IrOp *acc[MOST_ADDED]; // in the order in which the loop comes to one element
  int64_t offset[MOST_ADDED];  // of their index from the loop's
  bool *slice;                 // by value: what the loop adds is computed from it
} Scatter;

// ---- finding them ------------------------------------------------------------------------------------------------------

static bool is_cheap(const Gather *g, const IrOp *op) {
  if (op->n_regions || op->n_results != 1 || ir_type(g->f, op->result).rank) return false;
  if (op->kind == IR_GET) return !g->taken[op->args[0]];
  return (ir_op_info[op->kind].flags & (IR_P | IR_MATH)) == IR_P && op->kind != IR_DIV;
}

// An array of which each iteration only touches its own element, read before it changes: the element is as it was before the
// loop.
static bool reads_own_start(const Gather *g, const IrOp *loop, const IrOp *get) {
  const IrRegion *body = loop->regions[0];
  const IrValue *array = ir_val(g->f, get->args[0]);
  return get->kind == IR_GET && array->region == body && !array->def &&
         opt_axes_carried(g->arena, g->f, loop, array->index - 1);
}

// Marks what v is computed from; false: not all of it is cheap, or it is something that the loop carries.
static bool slice_of(const Gather *g, const IrOp *loop, IrVal v, bool *slice, int *n) {
  const IrRegion *body = loop->regions[0];
  const IrValue *val = ir_val(g->f, v);
  if (slice[v] || !ir_inside(val->region, body) || v == body->args[0]) return true;
  if (!val->def || ++*n > MOST_OPS) return false;
  bool own = reads_own_start(g, loop, val->def);
  if (!own && !is_cheap(g, val->def)) return false;
  slice[v] = true;
  for (int k = own; k < val->def->n_args; k++)
    if (!slice_of(g, loop, val->def->args[k], slice, n)) return false;
  return true;
}

static bool is_cheap_region(const Gather *g, const IrRegion *r) {
  bool cheap = r->ops.len <= MOST_OPS;
  for (int i = 0; cheap && i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->kind == IR_IF)
      cheap = is_cheap_region(g, op->regions[0]) && is_cheap_region(g, op->regions[1]);
    else
      cheap = is_cheap(g, op);
  }
  return cheap;
}

static bool starts_anew(const Gather *g, const IrOp *made, const IrOp *loop) {
  if (!made || made->parent != loop->parent || ir_type(g->f, made->result).rank != 1) return false;
  if (made->kind == IR_FILL) return !made->attr.i;
  return made->kind == IR_BUILD && is_cheap_region(g, made->regions[0]);
}

static bool is_small(int64_t distance) { return distance > -FARTHEST && distance < FARTHEST; }

// The ACCs that the array goes through, from the last one back to what the loop carries.
static bool find_accs(const Gather *g, const IrOp *last, IrVal arg, Scatter *s) {
  const IrRegion *r = last->parent;
  for (const IrOp *acc = last; acc; acc = op_of(g->f, acc->args[0], IR_ACC)) {
    Affine at = affine_of(g->f, acc->args[1]);
    if (acc->parent != r || s->n_added == MOST_ADDED || acc->n_args != 3 || g->uses[acc->result] != 1 ||
        at.base != s->loop->regions[0]->args[0] || !is_small(at.offset))
      return false;
    int i = s->n_added++;
    for (; i > 0 && (s->down ? s->offset[i - 1] > at.offset : s->offset[i - 1] < at.offset); i--) {
      s->acc[i] = s->acc[i - 1];
      s->offset[i] = s->offset[i - 1];
    }
    s->acc[i] = acc;
    s->offset[i] = at.offset;
    if (i > 0 && s->offset[i - 1] == at.offset) return false;
    if (acc->args[0] == arg) return true;
  }
  return false;
}

// All that happens to carried value k.
static bool only_added(const Gather *g, const IrOp *loop, int k, Scatter *s) {
  const IrRegion *body = loop->regions[0];
  IrVal arg = body->args[1 + k], out = body->yields[k];
  const IrOp *def = ir_val(g->f, out)->def, *last = op_of(g->f, out, IR_ACC);
  if (g->uses[out] != 1 || !def || def->parent != body) return false;
  if (def->kind == IR_IF) {
    int j = (int)(out - def->result);
    s->truth = def->regions[1]->yields[j] == arg;
    if (def->regions[s->truth]->yields[j] != arg || !opt_turns(g->f, def->args[0], body)) return false;
    s->branch = def;
    const IrRegion *r = def->regions[!s->truth];
    last = op_of(g->f, r->yields[j], IR_ACC);
    if (!last || last->parent != r) return false;
  }
  return last && g->uses[arg] == 1 + (s->branch != NULL) && find_accs(g, last, arg, s);
}

static bool find_range(Scatter *s) {
  const IrOp *loop = s->loop;
  int64_t step;
  if (!ir_is_const_int(s->f, loop->args[2], &step) || (step != 1 && step != -1)) return false;
  s->down = step < 0;
  Affine lo = affine_of(s->f, loop->args[s->down]);
  s->hi = affine_of(s->f, loop->args[!s->down]);
  if (s->down) lo.offset++, s->hi.offset++;
  s->lo = lo.offset;
  return !lo.base && s->lo >= 0 && s->hi.base == s->n.base;
}

static bool find_scatter(const Gather *g, const IrOp *loop, int k, Scatter *s) {
  IrVal init = loop->args[3 + k];
  const IrOp *made = ir_val(g->f, init)->def;
  if (g->uses[init] != 1 || !starts_anew(g, made, loop)) return false;
  *s = (Scatter){.f = g->f, .made = made, .k = (int)(init - made->result), .loop = loop};
  s->n = affine_of(g->f, ir_dims(g->f, init)[0]);
  if (!find_range(s) || !only_added(g, loop, k, s)) return false;
  if (s->n_added == 1 && !s->offset[0]) return false; // it stays in its place
  s->slice = ARENA_ARRAY(g->arena, bool, g->f->vals.len);
  int n = 0;
  for (int i = 0; i < s->n_added; i++)
    if (!slice_of(g, loop, s->acc[i]->args[2], s->slice, &n)) return false;
  return true;
}

static bool is_candidate(const Gather *g, const IrOp *op) {
  return op->kind == IR_FOR && !op->lanes && !op->attr.i &&
         !ir_op_has_effect(g->f->module, op); // a check in the loop would come too late
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

// One ACC's part of the slice: what an iteration adds there.
static void mark_part(const Scatter *s, IrVal v, bool *part) {
  if (part[v] || !s->slice[v]) return;
  part[v] = true;
  const IrOp *op = ir_val(s->f, v)->def;
  for (int k = 0; k < op->n_args; k++) mark_part(s, op->args[k], part);
}

static void clone_part(IrBuilder *b, IrMap *map, const bool *part, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_results == 1 && part[op->result]) ir_clone_op(b, map, op);
    for (int k = 0; k < op->n_regions; k++) clone_part(b, map, part, op->regions[k]);
  }
}

// Is it near enough to 0 or to the array's size for an offset more or less not to overflow?
static bool is_near(const Scatter *s, Affine at) {
  if (at.base && at.base != s->n.base) return false;
  return is_small(at.base ? wrap_sub(at.offset, s->n.offset) : at.offset);
}

// The comparison of i = j - offset: one of j itself where that cannot overflow, and a constant where it is the same for all
// that are elements.
static IrVal compare(const Scatter *s, IrBuilder *b, IrMap *map, const IrOp *op, bool truth, IrVal j,
                     int64_t offset) {
  bool left = op->args[0] == s->loop->regions[0]->args[0];
  IrVal with = op->args[left ? 1 : 0];
  Affine at = affine_of(s->f, with);
  bool near = is_near(s, at), below = !at.base && (at.offset < s->lo || at.offset < -offset),
       above = near && at.base && (at.offset >= s->hi.offset || at.offset >= s->n.offset - offset);
  bool equal = op->kind == IR_EQ || op->kind == IR_NE;
  if (below || above) // i is always on the other side
    return ir_const_bool(b, (equal ? op->kind == IR_NE : above == left) == truth);
  IrVal other = at.base ? ir_mapped(map, with) : ir_const_int(b, at.offset);
  IrVal *moved = near ? &other : &j;
  *moved = ir_op2(b, IR_ADD, *moved, ir_const_int(b, near ? offset : -offset));
  IrVal x = left ? j : other, y = left ? other : j;
  if (truth) return ir_op2(b, (IrOpKind)op->kind, x, y);
  if (equal) return ir_op2(b, op->kind == IR_EQ ? IR_NE : IR_EQ, x, y);
  return ir_op2(b, op->kind == IR_LT ? IR_LE : IR_LT, y, x);
}

static IrVal condition(const Scatter *s, IrBuilder *b, IrMap *map, IrVal cond, bool truth, IrVal j,
                       int64_t offset) {
  const IrOp *op = ir_val(s->f, cond)->def;
  if (op->kind != IR_AND && op->kind != IR_OR) return compare(s, b, map, op, truth, j, offset);
  IrVal x = condition(s, b, map, op->args[0], truth, j, offset),
        y = condition(s, b, map, op->args[1], truth, j, offset);
  return ir_op2(b, (op->kind == IR_AND) == truth ? IR_AND : IR_OR, x, y);
}

// Does iteration j - offset exist, and does it add?
static IrVal is_added(const Scatter *s, IrBuilder *b, IrMap *map, IrVal j, int64_t offset) {
  IrVal cond = ir_const_bool(b, true);
  if (s->lo + offset > 0) cond = ir_op2(b, IR_LE, ir_const_int(b, s->lo + offset), j);
  if (s->hi.offset + offset < s->n.offset) {
    IrVal end = ir_op2(b, IR_ADD, ir_mapped(map, ir_dims(s->f, s->acc[0]->result)[0]),
                       ir_const_int(b, s->hi.offset + offset - s->n.offset));
    cond = ir_op2(b, IR_AND, cond, ir_op2(b, IR_LT, j, end));
  }
  if (!s->branch) return cond;
  return ir_op2(b, IR_AND, cond, condition(s, b, map, s->branch->args[0], s->truth, j, offset));
}

static IrVal with_added(Gather *g, IrBuilder *b, IrMap *map, const Scatter *s, int i, IrVal j, IrVal sum) {
  IrBuilder both[2];
  IrOp *branch = ir_if(b, is_added(s, b, map, j, s->offset[i]), &both[0], &both[1]);
  bool *part = ARENA_ARRAY(g->arena, bool, g->f->vals.len);
  mark_part(s, s->acc[i]->args[2], part);
  IrVal index = ir_op2(&both[0], IR_ADD, j, ir_const_int(&both[0], -s->offset[i]));
  ir_map_set(map, s->loop->regions[0]->args[0], index);
  for (int k = 0; k < s->loop->n_results; k++)
    ir_map_set(map, s->loop->regions[0]->args[1 + k], ir_mapped(map, s->loop->args[3 + k]));
  clone_part(&both[0], map, part, s->loop->regions[0]);
  IrVal more = ir_op2(&both[0], IR_ADD, sum, ir_mapped(map, s->acc[i]->args[2]));
  ir_yield(&both[0], &more, 1);
  ir_yield(&both[1], &sum, 1);
  ir_close_if(b, branch, NULL);
  return ir_result(branch, 0);
}

static IrVal gather(Gather *g, IrBuilder *b, IrMap *map, const Scatter *s) {
  IrVal n = ir_mapped(map, ir_dims(s->f, s->acc[0]->result)[0]);
  IrBuilder in;
  IrOp *now = ir_build(b, &n, 1, &in);
  IrVal j = in.region->args[0], element = opt_start_element(&in, map, s->made, s->k, j);
  for (int i = 0; i < s->n_added; i++) element = with_added(g, &in, map, s, i, j, element);
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
    if (!find_scatter(g, loop, k, &s)) continue;
    gathered[k] = gather(g, b, map, &s);
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
  // What one loop gathers is what the next one starts with.
  for (int round = 0; changed && round < MOST_ROUNDS; round++) {
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
