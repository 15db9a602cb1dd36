// Optimisation: elements in registers. In: loops that carry an array of which each iteration touches only elements of its
// own, some several times. Out: such an element is read once, changed as a scalar, and written once at the end; if the array
// starts as a fill, it is not read at all, and goes (dce) if nobody reads it behind the loop either.
#include "opt/internal.h"
#include "opt/scalar.h"

typedef struct Element {
  const IrOp *access; // the first one: its operands say where
  int array;          // carried value
  int n, n_writes;
  IrVal now; // of the new function; 0: not read yet
  bool kept, changed;
} Element;

typedef struct Arrays { // of one loop
  const IrOp *loop;
  int *of;       // by value: 1 + the carried array that it is a version of
  bool *refused; // by carried value
  VEC(Element *) elements;
} Arrays;

typedef struct Elements {
  const IrFunc *f;
  Arena *arena;
  PtrMap known; // by access: 1 + which
  VEC(Element *) all;
} Elements;

static bool is_access(const IrOp *op) {
  return op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC;
}

// ---- finding them ------------------------------------------------------------------------------------------------------

typedef enum Match { MATCH_NO, MATCH_YES, MATCH_UNKNOWN } Match;

static Match match(const IrFunc *f, const IrOp *a, const IrOp *b) {
  Match m = MATCH_YES;
  for (int k = 1; k <= ir_type(f, a->args[0]).rank; k++) {
    if (ints_differ(f, a->args[k], b->args[k])) return MATCH_NO;
    if (!ints_equal(f, a->args[k], b->args[k])) m = MATCH_UNKNOWN;
  }
  return m;
}

static Element *find_element(Elements *s, Arrays *a, const IrOp *op, int array) {
  Element *found = NULL;
  for (int i = 0; i < a->elements.len; i++) {
    Element *e = a->elements.data[i];
    Match m = e->array == array ? match(s->f, e->access, op) : MATCH_NO;
    if (m == MATCH_UNKNOWN) a->refused[array] = true;
    if (m == MATCH_YES) found = e;
  }
  if (found) return found;
  found = ARENA_NEW(s->arena, Element);
  *found = (Element){.access = op, .array = array};
  vec_push(s->arena, &a->elements, found);
  return found;
}

static IrWalk note_access(void *user, IrOp *op) {
  Arrays *a = user;
  if (is_access(op) && a->of[op->args[0]] && op->parent != a->loop->regions[0])
    a->refused[a->of[op->args[0]] - 1] = true;
  return IR_WALK_CONTINUE;
}

// The constant that every element of carried array k starts with.
static const IrOp *start_of(const Elements *s, const IrOp *loop, int k) {
  const IrOp *fill = op_of(s->f, loop->args[3 + k], IR_FILL);
  return fill && ir_is_const(s->f, fill->args[0]) ? ir_val(s->f, fill->args[0])->def : NULL;
}

// Registers the loop's elements that are worth keeping.
static Arrays find_arrays(Elements *s, const IrOp *loop) {
  const IrRegion *body = loop->regions[0];
  Arrays a = {loop,
              ARENA_ARRAY(s->arena, int, s->f->vals.len),
              ARENA_ARRAY(s->arena, bool, loop->n_results + 1),
              {0}};
  for (int k = 0; k < loop->n_results; k++)
    if (ir_type(s->f, body->args[1 + k]).rank && opt_axes_carried(s->arena, s->f, loop, k))
      a.of[body->args[1 + k]] = k + 1;
  for (int i = 0; i < body->ops.len; i++) {
    const IrOp *op = body->ops.data[i];
    int of = is_access(op) ? a.of[op->args[0]] : 0;
    if (!of) continue;
    if (op->kind != IR_GET) a.of[op->result] = of;
    Element *e = find_element(s, &a, op, of - 1);
    e->n++;
    e->n_writes += op->kind != IR_GET;
    vec_push(s->arena, &s->all, e);
    ptr_put(s->arena, &s->known, op, (uint32_t)s->all.len);
  }
  ir_walk((IrRegion *)body, note_access, &a);
  for (int i = 0; i < a.elements.len; i++) {
    Element *e = a.elements.data[i];
    bool fresh = start_of(s, loop, e->array) && (e->n > e->n_writes || e->access->kind == IR_ACC);
    e->kept = !a.refused[e->array] && ((e->n > 1 && e->n_writes) || fresh);
  }
  return a;
}

// ---- rewriting ---------------------------------------------------------------------------------------------------------

static IrVal current(const Elements *s, IrBuilder *b, const IrMap *map, Element *e, const IrOp *op) {
  if (e->now) return e->now;
  const IrOp *loop = op->parent->owner, *start = start_of(s, loop, e->array);
  IrVal idx[IR_MAX_RANK];
  int rank = op->kind == IR_GET ? op->n_args - 1 : op->n_args - 2;
  for (int k = 0; k < rank; k++) idx[k] = ir_mapped(map, op->args[1 + k]);
  IrElem elem = (IrElem)ir_type(s->f, op->args[0]).elem;
  if (!start)
    e->now = ir_get(b, ir_mapped(map, op->args[0]), idx, rank);
  else if (elem == IR_BOOL)
    e->now = ir_const_bool(b, start->attr.i != 0);
  else
    e->now = elem == IR_INT ? ir_const_int(b, start->attr.i) : ir_const_float(b, elem, start->attr.f);
  return e->now;
}

static bool access_element(Elements *s, IrBuilder *b, IrMap *map, const IrOp *op) {
  uint32_t at = ptr_get(&s->known, op);
  Element *e = at ? s->all.data[at - 1] : NULL;
  if (!e || !e->kept) return false;
  b->loc = op->loc;
  if (op->kind == IR_GET) {
    ir_map_set(map, op->result, current(s, b, map, e, op));
    return true;
  }
  IrVal value = ir_mapped(map, op->args[op->n_args - 1]);
  e->now = op->kind == IR_SET ? value : ir_op2(b, IR_ADD, current(s, b, map, e, op), value);
  e->changed = true;
  ir_map_set(map, op->result, ir_mapped(map, op->args[0]));
  return true;
}

static bool rewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Elements *s = user;
  if (is_access(op)) return access_element(s, b, map, op);
  if (op->kind != IR_FOR) return false;
  Arrays a = find_arrays(s, op);
  IrBuilder in;
  IrOp *now = ir_open_like(b, map, op, &in);
  IrVal *yields = ARENA_ARRAY(b->func->arena, IrVal, op->n_results);
  ir_rewrite_ops(&in, map, op->regions[0], yields, rewrite, s);
  for (int i = 0; i < a.elements.len; i++) {
    const Element *e = a.elements.data[i];
    if (!e->kept || !e->changed) continue;
    IrVal idx[IR_MAX_RANK];
    int rank = ir_type(s->f, e->access->args[0]).rank;
    for (int k = 0; k < rank; k++) idx[k] = ir_mapped(map, e->access->args[1 + k]);
    yields[e->array] = ir_set(&in, yields[e->array], idx, rank, e->now);
  }
  ir_yield(&in, yields, op->n_results);
  ir_close_like(b, map, op, now);
  return true;
}

IrFunc *opt_elements(IrFunc *f) {
  Arena *scratch = f->body ? arena_new(0) : NULL;
  if (!scratch) return f;
  Elements s = {.f = f, .arena = scratch};
  f = ir_rewrite_func(f, rewrite, &s);
  arena_free(scratch);
  return f;
}
