// Optimisation: arrays start where they are added to. In: a loop that adds something to each element of an array from one place
// to another (`acc %a, %i - 1, %v`, mostly a neighbour's adjoint), where the array is a build or a fill that nobody else wants:
//
//   %a = build %n (%j) { ... yield %f }
//   %r = for %i = %lo, %hi, %1 with (%b = %a) { ...  %c = acc %b, %i - 1, %v  yield %c }
//
// Out: the loop sets the element to %f + %v, and only the elements that it does not come to are made by loops of their own:
//
//   %p, %q = %lo - 1, %hi - 1                     // or %n, %n if the loop does not run
//   %a = for %j = 0, %p, %1 with (unset) { ... set %j, %f }
//   %b = for %i = %lo, %hi, %1 with (%a) { ... set %i - 1, %f + %v }
//   %r = for %j = %q, %n, %1 with (%b) { ... set %j, %f }
//
// What the build reads must stay as it is, and be little.
#include "opt/internal.h"
#include "opt/scalar.h"

enum { MOST_OPS = 12 };

typedef struct Start {
  const IrOp *made, *loop, *acc; // BUILD or FILL; the loop; where it adds
  int k, carried;                // which result, which carried value
  int64_t offset;                // of the index added to from the loop's
} Start;

typedef struct Starts {
  const IrFunc *f;
  Arena *arena;
  const int *uses;
  const bool *taken; // by value: an array that something else than GET uses
  VEC(Start) all;
  PtrMap by_acc, by_loop; // 1 + the index in `all`; of a loop the first of its neighbours
} Starts;

// ---- finding them ------------------------------------------------------------------------------------------------------

static bool is_little(const Starts *s, const IrRegion *body) {
  if (body->ops.len > MOST_OPS) return false;
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    bool reads = op->kind == IR_GET && !s->taken[op->args[0]];
    bool scalar = (ir_op_info[op->kind].flags & IR_P) && !(ir_op_info[op->kind].flags & IR_MATH) &&
                  op->n_results == 1 && !ir_type(s->f, op->result).rank;
    if (op->n_regions || !(reads || (scalar && op->kind != IR_GET))) return false;
  }
  return true;
}

static bool starts_anew(const Starts *s, const IrOp *made, const IrOp *loop) {
  if (!made || made->parent != loop->parent || ir_type(s->f, made->result).rank != 1) return false;
  return made->kind == IR_BUILD ? is_little(s, made->regions[0]) : made->kind == IR_FILL && !made->attr.i;
}

// The only thing that happens to carried value k: one ACC in each iteration.
static const IrOp *only_acc(const Starts *s, const IrOp *loop, int k) {
  const IrRegion *body = loop->regions[0];
  const IrOp *acc = op_of(s->f, body->yields[k], IR_ACC);
  if (!acc || acc->parent != body || acc->args[0] != body->args[1 + k]) return NULL;
  return s->uses[acc->args[0]] == 1 && s->uses[acc->result] == 1 ? acc : NULL;
}

// All that one loop starts has one size and one offset.
static bool fits_first(const Starts *s, const Start *t) {
  uint32_t first = ptr_get(&s->by_loop, t->loop);
  const Start *other = first ? &s->all.data[first - 1] : t;
  return other->offset == t->offset &&
         ir_dims(s->f, other->acc->result)[0] == ir_dims(s->f, t->acc->result)[0];
}

static IrWalk find(void *user, IrOp *loop) {
  Starts *s = user;
  int64_t step;
  if (loop->kind != IR_FOR || loop->lanes || !ir_is_const_int(s->f, loop->args[2], &step) || step != 1)
    return IR_WALK_CONTINUE;
  for (int k = 0; k < loop->n_results; k++) {
    IrVal init = loop->args[3 + k];
    const IrOp *made = ir_val(s->f, init)->def, *acc = only_acc(s, loop, k);
    if (!acc || s->uses[init] != 1 || !starts_anew(s, made, loop)) continue;
    Affine at = affine_of(s->f, acc->args[1]);
    Start t = {made, loop, acc, (int)(init - made->result), k, at.offset};
    if (at.base != loop->regions[0]->args[0] || !fits_first(s, &t)) continue;
    vec_push(s->arena, &s->all, t);
    ptr_put(s->arena, &s->by_acc, acc, (uint32_t)s->all.len);
    if (!ptr_get(&s->by_loop, loop)) ptr_put(s->arena, &s->by_loop, loop, (uint32_t)s->all.len);
  }
  return IR_WALK_CONTINUE;
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

IrVal opt_start_element(IrBuilder *b, IrMap *map, const IrOp *made, int k, const IrVal *index) {
  if (made->kind == IR_FILL) return ir_mapped(map, made->args[0]);
  const IrRegion *body = made->regions[0];
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, body->n_yields);
  for (int d = 0; d < body->n_args; d++) ir_map_set(map, body->args[d], index[d]);
  ir_clone_ops(b, map, body, yields);
  return yields[k];
}

static IrVal element(IrBuilder *b, IrMap *map, const Start *t, IrVal index) {
  return opt_start_element(b, map, t->made, t->k, &index);
}

// Those elements of a loop's arrays that it does not come to.
static void make_elements(IrBuilder *b, IrMap *map, const Start *all, int n, IrVal from, IrVal to,
                          IrVal *arrays) {
  IrBuilder in;
  IrOp *loop = ir_for(b, from, to, ir_const_int(b, 1), arrays, n, &in);
  const IrVal *args = in.region->args;
  for (int i = 0; i < n; i++)
    arrays[i] = ir_set(&in, args[1 + i], args, 1, element(&in, map, &all[i], args[0]));
  ir_yield(&in, arrays, n);
  for (int i = 0; i < n; i++) arrays[i] = ir_result(loop, i);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op);

static void start_in(Starts *s, IrBuilder *b, IrMap *map, const IrOp *loop, const Start *all) {
  int n = 0, end = (int)(s->all.data + s->all.len - all);
  while (n < end && all[n].loop == loop) n++;
  b->loc = loop->loc;
  IrVal size = ir_mapped(map, ir_dims(s->f, all->acc->result)[0]), offset = ir_const_int(b, all->offset);
  IrVal lo = ir_mapped(map, loop->args[0]), hi = ir_mapped(map, loop->args[1]),
        runs = ir_op2(b, IR_LT, lo, hi);
  IrVal from = ir_op3(b, IR_SELECT, runs, ir_op2(b, IR_ADD, lo, offset), size);
  IrVal to = ir_op3(b, IR_SELECT, runs, ir_op2(b, IR_ADD, hi, offset), size);
  IrVal *arrays = ARENA_ARRAY(b->func->arena, IrVal, n);
  for (int i = 0; i < n; i++)
    arrays[i] = ir_unset(b, ir_const_zero(b, (IrElem)ir_type(s->f, all[i].acc->result).elem), &size, 1);
  make_elements(b, map, all, n, ir_const_int(b, 0), from, arrays);
  for (int i = 0; i < n; i++) ir_map_set(map, loop->args[3 + all[i].carried], arrays[i]);
  IrBuilder in;
  IrOp *now = ir_open_like(b, map, loop, &in);
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, loop->n_results);
  ir_rewrite_ops(&in, map, loop->regions[0], yields, rewrite, s);
  ir_yield(&in, yields, loop->n_results);
  ir_close_like(b, map, loop, now);
  for (int i = 0; i < n; i++) arrays[i] = ir_result(now, all[i].carried);
  make_elements(b, map, all, n, to, size, arrays);
  for (int i = 0; i < n; i++) ir_map_set(map, ir_result(loop, all[i].carried), arrays[i]);
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Starts *s = user;
  uint32_t loop = ptr_get(&s->by_loop, op), acc = ptr_get(&s->by_acc, op);
  if (loop) start_in(s, b, map, op, &s->all.data[loop - 1]);
  if (!acc) return loop;
  const Start *t = &s->all.data[acc - 1];
  IrVal index = ir_mapped(map, op->args[1]);
  IrVal sum = ir_op2(b, IR_ADD, element(b, map, t, index), ir_mapped(map, op->args[2]));
  ir_map_set(map, op->result, ir_set(b, ir_mapped(map, op->args[0]), &index, 1, sum));
  return true;
}

IrFunc *opt_starts(IrFunc *f) {
  Arena *scratch = f->body ? arena_new(0) : NULL;
  if (!scratch) return f;
  Starts s = {.f = f, .arena = scratch, .uses = ir_use_counts(scratch, f)};
  s.taken = opt_taken(scratch, f);
  ir_walk(f->body, find, &s);
  if (s.all.len) f = ir_rewrite_func(f, rewrite, &s);
  arena_free(scratch);
  return f;
}
