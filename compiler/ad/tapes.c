// Differentiation: what the tapes of an operation are. In: what its regions save per iteration. Out: the list of arrays that
// its forward form results in besides its results, and what keeping one item costs.
//
//   FOR    an item is an element, or a slice, of an array with the iterations as its first axis, if its sizes are known
//          before the loop; else (arrays of another size in every iteration, growable arrays, tapes of while loops) its
//          elements go to a growable array, where they start and the item's sizes to arrays of ints
//   WHILE  the same with growable arrays throughout; first of all, the number of iterations
//   BUILD  scalars: an array each
//   IF     scalars, growable arrays and arrays of a few elements as they are; other arrays as sizes and a growable array,
//          empty in the other branch
#include "ad/plan.h"

// More tapes than this of a loop within are worth going to the stacks: each array of unknown size takes three, level by
// level, and all of them are carried through every loop around.
enum { MOST_TAPES = 6, FEW_ELEMENTS = 16 };
static const double FLAT_FACTOR = 1.5, BRANCH_FACTOR = 3.0; // elements are copied once more, and back

Tape tape_of_value(const IrFunc *f, IrVal v) {
  IrType t = ir_type(f, v);
  Tape tape = {.elem = (IrElem)t.elem, .rank = t.rank, .grow = t.grow};
  for (int k = 0; k < t.rank && !t.grow; k++) tape.sizes[k].size = ir_dims(f, v)[k];
  return tape;
}

static bool is_known_before(const IrFunc *f, const IrRegion *r, const TapeSize *s) {
  for (int k = 0; k < 3 && s->loop; k++)
    if (ir_inside(ir_val(f, s->loop->args[k])->region, r)) return false;
  return s->loop || !ir_inside(ir_val(f, s->size)->region, r);
}

static bool is_constant(const IrFunc *f, const TapeSize *s, int64_t *n) {
  int64_t lo, hi, step;
  if (!s->loop) return ir_is_const_int(f, s->size, n);
  bool known = ir_is_const_int(f, s->loop->args[0], &lo) && ir_is_const_int(f, s->loop->args[1], &hi) &&
               ir_is_const_int(f, s->loop->args[2], &step) && step == 1;
  *n = known && hi > lo ? hi - lo : 0;
  return known;
}

// Registers, mostly, whether the branch is taken or not.
static bool has_few_elements(const IrFunc *f, const Tape *item) {
  int64_t all = 1, n;
  for (int k = 0; k < item->rank && all <= FEW_ELEMENTS; k++) {
    if (!is_constant(f, &item->sizes[k], &n) || n > FEW_ELEMENTS) return false;
    all *= n;
  }
  return all <= FEW_ELEMENTS;
}

bool tape_is_simple(const IrFunc *f, const IrRegion *r, const Tape *item) {
  if (!item->rank) return true;
  switch ((IrOpKind)r->owner->kind) {
  case IR_IF: return item->grow || has_few_elements(f, item);
  case IR_FOR:
    for (int k = 0; k < item->rank && !item->grow; k++)
      if (!is_known_before(f, r, &item->sizes[k])) return false;
    return !item->grow && item->rank < IR_MAX_RANK;
  default: return false;
  }
}

int tape_count(const IrFunc *f, const IrRegion *r, const Tape *item) {
  if (tape_is_simple(f, r, item)) return 1;
  return item->rank + (r->owner->kind == IR_IF ? 1 : 2);
}

double tape_cost(const Planner *p, const IrRegion *r, const Tape *item, double per_element) {
  if (!item->rank) return SAVE_ELEMENT_OF_TAPE;
  if (r->owner->kind == IR_BUILD) return CUT_INFINITE;
  double elements = item->elements * per_element;
  if (tape_is_simple(p->f, r, item)) return 10.0 + elements;
  double ints = (double)(tape_count(p->f, r, item) - 1) * SAVE_ELEMENT_OF_TAPE;
  return 10.0 + ints + elements * (r->owner->kind == IR_IF ? BRANCH_FACTOR : FLAT_FACTOR);
}

double tapes_cost(const Planner *p, const OpPlan *owner, const IrRegion *r, const OpPlan *nested) {
  double sum = 10.0;
  int n = 0;
  if (nested->op->kind == IR_FOR && nested->op->attr.i >= IR_BLOCK) return CUT_INFINITE;
  bool simple = true;
  for (int k = 0; k < nested->tapes.len; k++) {
    const Tape *t = &nested->tapes.data[k];
    sum += owner->threads ? t->elements * SAVE_ELEMENT_OF_TAPE : tape_cost(p, r, t, SAVE_ELEMENT_OF_TAPE);
    if (sum >= CUT_INFINITE) return CUT_INFINITE;
    simple = simple && !owner->threads && tape_is_simple(p->f, r, t);
    n += owner->threads ? 0 : tape_count(p->f, r, t);
  }
  return !simple && n > MOST_TAPES ? CUT_INFINITE : sum;
}

// ---- the list ----------------------------------------------------------------------------------------------------------

// The tape of a simple item: the owner's axes in front.
static Tape with_axes(const Planner *p, const IrOp *op, const Tape *item) {
  Tape t = {.elem = item->elem, .elements = item->elements};
  if (op->kind == IR_FOR) t.sizes[t.rank++].loop = op;
  for (int k = 0; op->kind == IR_BUILD && k < op->n_args; k++) t.sizes[t.rank++].size = op->args[k];
  for (int k = 0; k < t.rank; k++)
    t.elements *= t.sizes[k].loop ? plan_trips(p, op) : plan_size(p, t.sizes[k].size);
  for (int k = 0; k < item->rank; k++) t.sizes[t.rank++] = item->sizes[k];
  t.grow = item->grow;
  if (op->kind == IR_WHILE)
    t = (Tape){.elem = t.elem, .rank = 1, .grow = true, .elements = t.elements * plan_trips(p, op)};
  return t;
}

static void add_item(const Planner *p, OpPlan *plan, const IrRegion *r, const Tape *item) {
  const Tape number = {.elem = IR_INT, .elements = 1.0};
  int n = tape_count(p->f, r, item) - 1;
  for (int k = 0; k < n; k++) vec_push(p->arena, &plan->tapes, with_axes(p, plan->op, &number));
  Tape last = {.elem = item->elem, .rank = 1, .grow = true, .elements = item->elements};
  if (!n) last = with_axes(p, plan->op, item);
  if (n && plan->op->kind != IR_IF) last.elements *= plan_trips(p, plan->op);
  vec_push(p->arena, &plan->tapes, last);
}

void tapes_lay_out(const Planner *p, OpPlan *plan) {
  const Tape count = {.elem = IR_INT, .elements = 1.0};
  plan->tapes.len = 0;
  if (plan->threads) return;
  if (plan->op->kind == IR_WHILE) vec_push(p->arena, &plan->tapes, count);
  for (int i = 0; i < plan->op->n_regions; i++) {
    RegionPlan *rp = &plan->regions[i];
    const IrRegion *r = plan->op->regions[i];
    rp->first_tape = plan->tapes.len;
    for (int k = 0; k < rp->saved.len; k++) {
      Tape item = tape_of_value(p->f, rp->saved.data[k]);
      item.elements = 1.0;
      for (int d = 0; d < item.rank; d++) item.elements *= plan_size(p, item.sizes[d].size);
      add_item(p, plan, r, &item);
    }
    for (int k = 0; k < rp->saved_tapes.len; k++) {
      const OpPlan *nested = plan_of(p->plan, rp->saved_tapes.data[k]);
      for (int j = 0; j < nested->tapes.len; j++) add_item(p, plan, r, &nested->tapes.data[j]);
    }
  }
}
