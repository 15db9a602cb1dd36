// Differentiation: tapes while code is emitted. In: what the planner says is saved (ad/tapes.c says where). Out: operations
// that write an item in the forward form and read it in the reverse form. Every access names its iteration, so a loop may
// be reversed in either order.
//
// What a loop within a loop saves goes straight to the tape of the outermost one, which is carried through all of them.
#include "ad/reverse.h"

// Constants may stand within a region that is not entered here.
static IrVal constant_or_primal(Reverse *rv, IrBuilder *b, IrVal v) {
  int64_t n;
  return ir_is_const_int(rv->f, v, &n) ? ir_const_int(b, n) : rev_primal(rv, v);
}

static IrVal size_of(Reverse *rv, IrBuilder *b, const TapeSize *s) {
  if (!s->loop) return constant_or_primal(rv, b, s->size);
  IrVal bounds[3];
  for (int k = 0; k < 3; k++) bounds[k] = constant_or_primal(rv, b, s->loop->args[k]);
  return rv->broken ? 0 : ad_trip_count(b, bounds[0], bounds[1], bounds[2]);
}

const IrVal *rev_tape_sizes(Reverse *rv, IrBuilder *b, const Tape *t) {
  IrVal *dims = t->rank && !t->grow ? ARENA_ARRAY(rv->arena, IrVal, t->rank) : NULL;
  for (int d = 0; dims && d < t->rank; d++) dims[d] = size_of(rv, b, &t->sizes[d]);
  return dims;
}

void rev_empty_tapes(Reverse *rv, IrBuilder *b, const OpPlan *plan, IrVal *tapes) {
  for (int k = 0; k < plan->tapes.len; k++) {
    const Tape *t = &plan->tapes.data[k];
    tapes[k] = plan->places ? plan->places[k].tape : 0;
    if (tapes[k]) continue;
    const IrVal *dims = rev_tape_sizes(rv, b, t);
    if (rv->broken) return;
    if (t->grow)
      tapes[k] = ir_empty(b, t->elem);
    else
      tapes[k] = t->rank ? ir_unset(b, ad_blank(b, t->elem), dims, t->rank) : ad_blank(b, t->elem);
  }
}

// ---- elements one after the other --------------------------------------------------------------------------------------

static IrVal convert(IrBuilder *b, IrElem to, IrVal v) {
  IrElem from = (IrElem)ir_type(b->func, v).elem;
  if (from == to) return v;
  if (from == IR_BOOL) return ir_convert(b, IR_BTOI, IR_INT, v);
  if (to == IR_BOOL) return ir_op2(b, IR_NE, v, ir_const_int(b, 0));
  return ir_convert(b, IR_FCVT, to, v);
}

IrVal rev_flatten(IrBuilder *b, IrVal flat, IrVal array) {
  IrType t = ir_type(b->func, array);
  IrVal idx[IR_MAX_RANK], carried, length;
  const IrVal *dims = ir_dims(b->func, array);
  if (t.grow) {
    length = ir_op1(b, IR_LEN, array);
    dims = &length;
  }
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, dims, t.rank, &flat, 1, idx, &carried);
  IrVal e = convert(&in, (IrElem)ir_type(b->func, flat).elem, ir_get(&in, array, idx, t.rank));
  carried = ir_op2(&in, IR_PUSH, carried, e);
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

IrVal rev_unflatten(IrBuilder *b, IrType t, IrVal flat, IrVal first, const IrVal *dims) {
  IrBuilder in;
  AdNest nest = {0};
  IrOp *now = NULL;
  IrVal at, carried, empty = t.grow ? ir_empty(b, (IrElem)t.elem) : 0;
  if (t.grow) {
    in = ad_nest_open(b, &nest, dims, 1, &empty, 1, &at, &carried);
  } else {
    now = ir_build(b, dims, t.rank, &in);
    at = in.region->args[0];
    for (int k = 1; k < t.rank; k++) at = ad_int_add(&in, ad_int_mul(&in, at, dims[k]), in.region->args[k]);
  }
  at = ad_int_add(&in, first, at);
  IrVal e = convert(&in, (IrElem)t.elem, ir_get(&in, flat, &at, 1));
  if (t.grow) {
    carried = ir_op2(&in, IR_PUSH, carried, e);
    ad_nest_close(&nest, &carried, &carried);
    return carried;
  }
  ir_yield(&in, &e, 1);
  ir_close_build(b, now);
  return now->result;
}

// ---- one item ------------------------------------------------------------------------------------------------------------

// Of tape k of the saver's operation: the indices of this iteration. Returns how many.
static int this_iteration(const Saver *s, int k, IrVal *at) {
  int n = 0;
  for (int i = 0; s->plan->places && i < s->plan->places[k].n; i++) at[n++] = s->plan->places[k].at[i];
  for (int i = 0; i < s->n; i++) at[n++] = s->it[i];
  return n;
}

// tape[at, ...] <- item
IrVal rev_set_part(IrBuilder *b, IrVal tape, const IrVal *at, int n, IrVal item) {
  IrType t = ir_type(b->func, item);
  IrVal idx[IR_MAX_RANK], carried;
  for (int k = 0; k < n; k++) idx[k] = at[k];
  if (!t.rank) return ir_set(b, tape, idx, n, item);
  AdNest nest = {0};
  IrBuilder in = ad_nest_open(b, &nest, ir_dims(b->func, item), t.rank, &tape, 1, idx + n, &carried);
  carried = ir_set(&in, carried, idx, n + t.rank, ir_get(&in, item, idx + n, t.rank));
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

// tape[at, ...], an array of these sizes; 0 of them: an element
IrVal rev_part(IrBuilder *b, IrVal tape, const IrVal *at, int n, const IrVal *dims, int n_dims) {
  int rank = n + n_dims;
  if (!n_dims) return ir_get(b, tape, at, n);
  IrBuilder in;
  IrOp *op = ir_build(b, dims, n_dims, &in);
  IrVal idx[IR_MAX_RANK];
  for (int k = 0; k < rank; k++) idx[k] = k < n ? at[k] : in.region->args[k - n];
  IrVal e = ir_get(&in, tape, idx, rank);
  ir_yield(&in, &e, 1);
  ir_close_build(b, op);
  return op->result;
}

IrVal rev_part_of_tape(const Saver *s, IrBuilder *b, int tape, const IrVal *dims, int rank) {
  IrVal at[IR_MAX_RANK];
  int n = this_iteration(s, tape, at);
  return rev_part(b, s->tapes[tape], at, n, dims, rank);
}

static void write_scalar(Saver *s, IrBuilder *b, int tape, IrVal v) {
  IrVal at[IR_MAX_RANK];
  if (s->plan->op->kind == IR_WHILE)
    s->tapes[tape] = ir_op2(b, IR_PUSH, s->tapes[tape], v);
  else if (s->n)
    s->tapes[tape] = rev_set_part(b, s->tapes[tape], at, this_iteration(s, tape, at), v);
  else
    s->tapes[tape] = v; // a branch results in it, a build yields it
}

// Writes an item to its tapes, the first of which is `at`.
static void write_item(Saver *s, IrBuilder *b, const Tape *item, int at, IrVal now) {
  const IrRegion *r = s->plan->op->regions[s->region];
  if (tape_is_simple(s->rv->f, r, item)) {
    IrVal idx[IR_MAX_RANK];
    if (item->rank && r->owner->kind == IR_FOR)
      s->tapes[at] = rev_set_part(b, s->tapes[at], idx, this_iteration(s, at, idx), now);
    else
      write_scalar(s, b, at, now);
    return;
  }
  const IrVal *dims = ir_dims(b->func, now);
  for (int k = 0; k < item->rank; k++)
    write_scalar(s, b, at++, item->grow ? ir_op1(b, IR_LEN, now) : dims[k]);
  IrVal flat = s->tapes[r->owner->kind == IR_IF ? at : at + 1];
  if (r->owner->kind != IR_IF) write_scalar(s, b, at++, ir_op1(b, IR_LEN, flat));
  s->tapes[at] = rev_flatten(b, flat, now);
}

typedef struct Load {
  Reverse *rv;
  IrBuilder *b;
  const OpPlan *plan;
  const IrRegion *r;
  const IrVal *it; // what names the iteration: a loop's number, a build's indices, nothing for an IF
  int n, at;
} Load;

static IrVal read_item(Load *l, const Tape *item) {
  const IrVal *tape = l->plan->tape.data + l->at;
  l->at += tape_count(l->rv->f, l->r, item);
  if (tape_is_simple(l->rv->f, l->r, item))
    return l->n ? rev_part(l->b, *tape, l->it, l->n, ir_dims(l->rv->g, *tape) + l->n, item->rank) : *tape;
  IrVal dims[IR_MAX_RANK], first = 0;
  for (int k = 0; k < item->rank; k++, tape++) dims[k] = l->n ? ir_get(l->b, *tape, l->it, l->n) : *tape;
  first = l->n ? ir_get(l->b, *tape++, l->it, l->n) : ir_const_int(l->b, 0);
  return rev_unflatten(l->b, (IrType){(uint8_t)item->elem, item->rank, item->grow}, *tape, first, dims);
}

// ---- what a region saves ---------------------------------------------------------------------------------------------------

// The first tape of a value that is saved.
static int tape_of_saved(const Saver *s, IrVal v) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  int at = rp->first_tape;
  for (int k = 0; k < rp->saved.len && rp->saved.data[k] != v; k++) {
    Tape item = tape_of_value(s->rv->f, rp->saved.data[k]);
    at += tape_count(s->rv->f, s->plan->op->regions[s->region], &item);
  }
  return at;
}

// Later reads of an array that was made for its tape go to the tape: it is then built right there (opt/fuse.c).
static bool is_read_from_tape(const Saver *s, const Tape *item, IrVal v) {
  const IrRegion *r = s->plan->op->regions[s->region];
  const IrOp *def = ir_val(s->rv->f, v)->def;
  return item->rank && r->owner->kind == IR_FOR && tape_is_simple(s->rv->f, r, item) && def &&
         def->kind == IR_BUILD && def->n_results == 1 && s->rv->plan->by_element[v];
}

void rev_save_value(Saver *s, IrBuilder *b, IrVal v) {
  const IrValue *val = ir_val(s->rv->f, v);
  const OpPlan *maker = val->def ? plan_of(s->rv->plan, val->def) : NULL;
  int at = tape_of_saved(s, v);
  Tape item = tape_of_value(s->rv->f, v);
  IrVal now = rev_primal(s->rv, v);
  if (s->rv->broken) return;
  if (maker && maker->results && maker->results[val->index].tape) { // it went there
    s->tapes[at] = maker->results[val->index].tape;
    return;
  }
  write_item(s, b, &item, at, now);
  if (is_read_from_tape(s, &item, v))
    ir_map_set(&s->rv->map, v, rev_part_of_tape(s, b, at, ir_dims(b->func, now), item.rank));
}

static int first_of_nested(const Saver *s) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  int at = rp->first_tape;
  for (int k = 0; k < rp->saved.len; k++) {
    Tape item = tape_of_value(s->rv->f, rp->saved.data[k]);
    at += tape_count(s->rv->f, s->plan->op->regions[s->region], &item);
  }
  return at;
}

// Results of a build that the loop around saves.
static void place_results(Saver *s, OpPlan *build) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  build->results = ARENA_ARRAY(s->rv->arena, TapePlace, build->op->n_results);
  for (int k = 0; k < build->op->n_results; k++) {
    IrVal v = ir_result(build->op, k);
    Tape item = tape_of_value(s->rv->f, v);
    if (!rev_is_saved(rp, v) || !s->rv->plan->by_element[v]) continue;
    if (!tape_is_simple(s->rv->f, s->plan->op->regions[s->region], &item)) continue;
    int at = tape_of_saved(s, v);
    build->results[k].tape = s->tapes[at];
    build->results[k].n = this_iteration(s, at, build->results[k].at);
  }
}

void rev_place_tapes(Saver *s, const IrOp *op) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  const IrRegion *r = s->plan->op->regions[s->region];
  OpPlan *now = plan_of(s->rv->plan, op);
  bool fits = r->owner->kind == IR_FOR && (op->kind == IR_FOR || op->kind == IR_BUILD);
  now->results = NULL;
  now->places = fits ? ARENA_ARRAY(s->rv->arena, TapePlace, now->tapes.len + 1) : NULL;
  int at = first_of_nested(s);
  for (int k = 0; fits && k < rp->saved_tapes.len; k++) {
    const OpPlan *nested = plan_of(s->rv->plan, rp->saved_tapes.data[k]);
    for (int j = 0; j < nested->tapes.len; j++) {
      const Tape *item = &nested->tapes.data[j];
      if (nested == now && tape_is_simple(s->rv->f, r, item)) {
        now->places[j].tape = s->tapes[at];
        now->places[j].n = this_iteration(s, at, now->places[j].at);
      }
      at += tape_count(s->rv->f, r, item);
    }
  }
  if (fits && op->kind == IR_BUILD && now->tapes.len && now->places[0].tape) place_results(s, now);
}

void rev_save_tapes(Saver *s, IrBuilder *b, const IrOp *op) {
  const RegionPlan *rp = &s->plan->regions[s->region];
  const IrRegion *r = s->plan->op->regions[s->region];
  int at = first_of_nested(s);
  for (int k = 0; k < rp->saved_tapes.len && !s->rv->broken; k++) {
    OpPlan *nested = plan_of(s->rv->plan, rp->saved_tapes.data[k]);
    for (int j = 0; j < nested->tapes.len; j++) {
      const Tape *item = &nested->tapes.data[j];
      if (nested->op == op && nested->places && nested->places[j].tape)
        s->tapes[at] = nested->tape.data[j];
      else if (nested->op == op)
        write_item(s, b, item, at, nested->tape.data[j]);
      at += tape_count(s->rv->f, r, item);
    }
    if (nested->op == op) nested->places = nested->results = NULL;
  }
}

void rev_load_saved(Reverse *rv, IrBuilder *b, const OpPlan *plan, int region, const IrVal *it, int n) {
  const RegionPlan *rp = &plan->regions[region];
  Load l = {rv, b, plan, plan->op->regions[region], it, n, rp->first_tape};
  for (int k = 0; k < rp->saved.len; k++) {
    Tape item = tape_of_value(rv->f, rp->saved.data[k]);
    ir_map_set(&rv->map, rp->saved.data[k], read_item(&l, &item));
  }
  for (int k = 0; k < rp->saved_tapes.len; k++) {
    OpPlan *nested = plan_of(rv->plan, rp->saved_tapes.data[k]);
    nested->tape.len = 0;
    for (int j = 0; j < nested->tapes.len; j++)
      vec_push(rv->arena, &nested->tape, read_item(&l, &nested->tapes.data[j]));
  }
}
