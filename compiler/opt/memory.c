// Optimisation, last pass: who owns each array. In: ordinary IR, where every array is a value. Out: the same program in
// which every operation that uses up an array (ops.def: U; a loop's init; an inout argument; what a region yields) finds it
// owned and dead, with COPY where it is still needed or belongs to somebody else, and FREE where a life ends.
//
// Each array value has one owner: the region it was made in. A loop's body owns its carried arrays; a branch may take
// over an array of the region around it that dies there. Parameters are borrowed unless they are `inout`; so is everything
// from outside a loop, since the next iteration needs it again. A table is nobody's.
#include "opt/opt.h"

typedef struct Memory {
  IrFunc *f;
  Arena *arena;
  IrMap map;
  int *owner; // by value: the id of the scope that owns it; 0: none
  int *
      last; // by value: in its owner's region, the last operation that uses it; ops.len for a yield; -1: none
  int n_scopes;
} Memory;

// One region being rebuilt.
typedef struct Scope {
  Memory *m;
  const IrRegion *r;
  int id;
  IrVals mine; // values that are owned here, and some that were
} Scope;

static bool is_array_value(const Memory *m, IrVal v) {
  IrType t = ir_type(m->f, v);
  return t.rank > 0 || t.grow;
}

static int first_init(const IrOp *op) { return op->kind == IR_FOR ? 3 : 0; }

// Is operand k used up by the operation?
static bool uses_up(const Memory *m, const IrOp *op, int k) {
  if (!is_array_value(m, op->args[k])) return false;
  if (ir_op_info[op->kind].flags & IR_U) return k == 0;
  if (op->kind == IR_FOR || op->kind == IR_WHILE) return k >= first_init(op);
  if (op->kind == IR_CALL) {
    const IrFunc *callee = ir_func_find(m->f->module, op->attr.sym);
    return callee && k < callee->n_params && callee->params[k].moved;
  }
  return false;
}

static bool owns(const Scope *s, IrVal v) { return s->m->owner[v] == s->id; }

static void own(Scope *s, IrVal v) {
  s->m->owner[v] = s->id;
  vec_push(s->m->arena, &s->mine, v);
}

static void used_last(const Scope *s, IrVal v, int index) {
  if (ir_val(s->m->f, v)->region == s->r || owns(s, v)) s->m->last[v] = index;
}

// Of what is made here or was given to this region.
static void find_last_uses(const Scope *s) {
  const Memory *m = s->m;
  const IrRegion *r = s->r;
  for (int k = 0; k < s->mine.len; k++) used_last(s, s->mine.data[k], -1);
  for (int k = 0; k < r->n_args; k++) used_last(s, r->args[k], -1);
  for (int i = 0; i < r->ops.len; i++) {
    IrVals used = {0};
    ir_free_values_op(m->arena, m->f, r->ops.data[i], &used);
    for (int k = 0; k < used.len; k++) used_last(s, used.data[k], i);
    for (int k = 0; k < r->ops.data[i]->n_results; k++) used_last(s, ir_result(r->ops.data[i], k), -1);
  }
  for (int k = 0; k < r->n_yields; k++) used_last(s, r->yields[k], r->ops.len);
}

static int count_uses(const Memory *m, const IrOp *op, IrVal v) {
  int n = 0;
  for (int k = 0; k < op->n_args; k++) n += op->args[k] == v;
  for (int k = 0; k < op->n_regions; k++) {
    IrVals used = {0};
    ir_free_values(m->arena, m->f, op->regions[k], &used);
    for (int j = 0; j < used.len; j++) n += used.data[j] == v;
  }
  return n;
}

// The array for a position that uses it up: the value itself if it is ours and dies here, else a copy of it.
static IrVal take(Scope *s, IrBuilder *b, IrVal v, bool dies_here) {
  IrVal now = ir_mapped(&s->m->map, v);
  if (dies_here && owns(s, v)) {
    s->m->owner[v] = 0;
    return now;
  }
  return ir_op1(b, IR_COPY, now);
}

static void release(Scope *s, IrBuilder *b, IrVal v) {
  s->m->owner[v] = 0;
  IrVal now = ir_mapped(&s->m->map, v);
  ir_op(b, IR_FREE, &now, 1);
}

// Does some path through the region use v up, or hand it out?
static bool consumed_in(const Memory *m, const IrRegion *r, IrVal v) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++)
      if (op->args[k] == v && uses_up(m, op, k)) return true;
    if (op->kind == IR_IF && (consumed_in(m, op->regions[0], v) || consumed_in(m, op->regions[1], v)))
      return true;
  }
  for (int k = 0; k < r->n_yields; k++)
    if (r->yields[k] == v) return true;
  return false;
}

static void rebuild_region(Memory *m, IrBuilder *b, const IrRegion *r, const IrVals *given);

// Arrays that die in this branch operation and that one of its branches could use up: the branches take them over.
static IrVals hand_over(Scope *s, const IrOp *op, int index) {
  IrVals given = {0};
  for (int k = 0; k < s->mine.len; k++) {
    IrVal v = s->mine.data[k];
    if (!owns(s, v) || s->m->last[v] != index) continue;
    if (!consumed_in(s->m, op->regions[0], v) && !consumed_in(s->m, op->regions[1], v)) continue;
    s->m->owner[v] = 0;
    vec_push(s->m->arena, &given, v);
  }
  return given;
}

static void rebuild_op(Scope *s, IrBuilder *b, const IrOp *op, int index) {
  Memory *m = s->m;
  IrVal *args = ARENA_ARRAY(m->arena, IrVal, op->n_args);
  IrVal *saved = ARENA_ARRAY(m->arena, IrVal, op->n_args);
  b->loc = op->loc;
  for (int k = 0; k < op->n_args; k++) {
    saved[k] = ir_mapped(&m->map, op->args[k]);
    args[k] = saved[k];
    if (uses_up(m, op, k))
      args[k] = take(s, b, op->args[k], m->last[op->args[k]] == index && count_uses(m, op, op->args[k]) == 1);
  }
  IrVals given = {0};
  if (op->kind == IR_IF) given = hand_over(s, op, index);
  IrBuilder in[2];
  IrOp *now = ir_open_like(b, &m->map, op, in);
  for (int k = 0; k < op->n_args; k++) now->args[k] = args[k];
  for (int k = 0; k < op->n_regions; k++) rebuild_region(m, &in[k], op->regions[k], &given);
  ir_close_like(b, &m->map, op, now);
  for (int k = 0; k < op->n_results; k++)
    if (is_array_value(m, ir_result(op, k)) && op->kind != IR_TABLE) own(s, ir_result(op, k));
}

// The condition of a while loop only looks at the carried arrays; the body owns them.
static bool owns_arguments(const IrRegion *r) {
  return r->owner && (r->owner->kind == IR_FOR || (r->owner->kind == IR_WHILE && r->owner->regions[1] == r));
}

static void free_the_dead(Scope *s, IrBuilder *b, int index) {
  int n = 0;
  for (int k = 0; k < s->mine.len; k++) {
    IrVal v = s->mine.data[k];
    if (owns(s, v) && s->m->last[v] <= index) release(s, b, v);
    if (owns(s, v)) s->mine.data[n++] = v;
  }
  s->mine.len = n;
}

static void rebuild_region(Memory *m, IrBuilder *b, const IrRegion *r, const IrVals *given) {
  Scope s = {m, r, ++m->n_scopes, {0}};
  for (int k = 0; given && k < given->len; k++) own(&s, given->data[k]);
  find_last_uses(&s);
  for (int k = 0; k < r->n_args; k++)
    if (is_array_value(m, r->args[k]) && (owns_arguments(r) || (!r->owner && m->f->params[k].moved)))
      own(&s, r->args[k]);
  free_the_dead(&s, b, -1);
  for (int i = 0; i < r->ops.len; i++) {
    rebuild_op(&s, b, r->ops.data[i], i);
    free_the_dead(&s, b, i);
  }
  IrVal *yields = ARENA_ARRAY(m->f->arena, IrVal, r->n_yields);
  for (int k = 0; k < r->n_yields; k++)
    yields[k] =
        is_array_value(m, r->yields[k]) ? take(&s, b, r->yields[k], true) : ir_mapped(&m->map, r->yields[k]);
  free_the_dead(&s, b, r->ops.len);
  if (r->owner) {
    b->region->yields = yields;
    b->region->n_yields = r->n_yields;
  } else {
    ir_set_results(b->func, yields, r->n_yields, NULL);
  }
}

IrFunc *opt_memory(IrFunc *f) {
  if (!f->body) return f;
  Arena *scratch = arena_new(0);
  if (!scratch) return f;
  Memory m = {.f = f, .arena = scratch};
  m.owner = ARENA_ARRAY(scratch, int, f->vals.len);
  m.last = ARENA_ARRAY(scratch, int, f->vals.len);
  IrFunc *now = ir_func_like(f, &m.map, scratch);
  IrBuilder b = ir_builder(now);
  rebuild_region(&m, &b, f->body, NULL);
  ir_module_replace(f->module, f, now);
  arena_free(scratch);
  return now;
}
