// Differentiation: derivatives that would be lost. In: a function as lowered (calls inlined, nothing optimised) and the
// parameters it is differentiated by. Out: a diagnostic for each operation that takes a value which depends on them,
// has no derivative, and reaches a result: conversions to int, calls of C functions without a rule, nested training.
#include "ad/internal.h"

typedef struct Reach {
  const IrFunc *f;
  bool *reaches; // by value: some result depends on it, through numbers of any kind
  bool changed;
} Reach;

static void reach(Reach *r, IrVal v) {
  if (v && !r->reaches[v]) r->reaches[v] = r->changed = true;
}

static void reach_region(Reach *r, const IrRegion *region);

static void reach_op(Reach *r, const IrOp *op) {
  if (op->kind == IR_DETACH) return; // what is lost before it is meant to be
  bool any = false;
  int first_arg = op->kind == IR_FOR ? 1 : 0;
  for (int k = 0; k < op->n_results; k++) any |= r->reaches[ir_result(op, k)];
  if (any && op->n_regions) {
    const IrRegion *body = op->regions[op->n_regions - 1];
    for (int i = 0; i < op->n_regions; i++) {
      if (op->kind == IR_WHILE && i == 0) {
        reach(r, op->regions[0]->yields[0]);
        continue;
      }
      for (int k = 0; k < op->n_results; k++) {
        bool carried = (op->kind == IR_FOR || op->kind == IR_WHILE) && r->reaches[body->args[first_arg + k]];
        if (carried || r->reaches[ir_result(op, k)]) reach(r, op->regions[i]->yields[k]);
      }
    }
  }
  for (int i = 0; i < op->n_regions; i++) reach_region(r, op->regions[i]);
  if (any)
    for (int k = 0; k < op->n_args; k++) reach(r, op->args[k]);
}

static void reach_region(Reach *r, const IrRegion *region) {
  for (int i = region->ops.len - 1; i >= 0; i--) reach_op(r, region->ops.data[i]);
}

static const char *what_is_lost(const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FTOI: return "the conversion to `int` has no derivative";
  case IR_EXTERN: return "this function is not written in dp and has no derivative rule";
  case IR_TRAIN:
  case IR_MINIMIZE: return "there is no derivative through a whole training";
  default: return "this step has no derivative";
  }
}

static const char *what_to_do(const IrOp *op) {
  if (op->kind == IR_EXTERN)
    return "give it a rule with `adjoint` or `tangent`, or write `detach(...)` around its argument if the "
           "derivative is meant to stop here";
  if (op->kind == IR_FTOI) return "write `int(detach(...))` if the derivative is meant to stop here";
  if (op->kind == IR_TRAIN || op->kind == IR_MINIMIZE)
    return "write the descent as a loop over `grad`, or use `descend` or `bfgs` of `import optimize`, which "
           "have "
           "derivatives; or `detach(...)` what goes in if the derivative is meant to stop here";
  return "write `detach(...)` around what goes in if the derivative is meant to stop here";
}

// Where the user can do something: for a C function, and for what stands in a standard module, the call.
static Loc place_in_program(const IrModule *m, const IrOp *op) {
  Loc at = op->loc.loc;
  bool outside = op->kind == IR_EXTERN;
  for (uint32_t chain = op->loc.chain; chain; chain = m->chains.data[chain].parent) {
    const Source *src = m->sources ? sources_get(m->sources, at) : NULL;
    if (!outside && (!src || src->path[0] != '<')) break;
    at = m->chains.data[chain].call;
    outside = false;
  }
  return at;
}

typedef struct Lost {
  const IrFunc *f;
  const bool *varied;
  const bool *reaches;
  Loc asked;
  Diags *diags;
} Lost;

static IrWalk report(void *user, IrOp *op) {
  Lost *l = user;
  if (rule_class((IrOpKind)op->kind) != RULE_LOST) return IR_WALK_CONTINUE;
  bool varied = false, reaches = false;
  for (int k = 0; k < op->n_args; k++) varied |= l->varied[op->args[k]];
  for (int k = 0; k < op->n_results; k++) reaches |= l->reaches[ir_result(op, k)];
  if (!varied || !reaches) return IR_WALK_CONTINUE;
  Diag *d =
      diag_add(l->diags, DIAG_AD_LOST, place_in_program(l->f->module, op),
               "the derivative of `%s` is lost here", l->f->source_name ? l->f->source_name : l->f->name);
  diag_label(l->diags, d, "%s", what_is_lost(op));
  diag_span(l->diags, d, l->asked, "the derivative is asked for here");
  diag_help(l->diags, d, "%s", what_to_do(op));
  return IR_WALK_CONTINUE;
}

void ad_check_lost(const IrFunc *f, const bool *wrt, Loc asked, Diags *diags) {
  Arena *scratch = arena_new(0);
  if (!scratch) return;
  Activity act = activity_of(scratch, f, wrt);
  Reach r = {f, ARENA_ARRAY(scratch, bool, f->vals.len), false};
  for (int k = 0; k < f->body->n_yields; k++) reach(&r, f->body->yields[k]);
  do {
    r.changed = false;
    reach_region(&r, f->body);
  } while (r.changed);
  Lost l = {f, act.varied, r.reaches, asked, diags};
  ir_walk(f->body, report, &l);
  arena_free(scratch);
}
