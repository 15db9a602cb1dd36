// Optimisation: the order of the passes.
#include "opt/internal.h"

#include <string.h>

typedef IrFunc *PassFn(IrFunc *f);
static const struct {
  const char *name, *text;
  PassFn *run;
} passes[OPT_PASS_COUNT] = {
#define PASS(name, what) [OPT_##name] = {#name, what, opt_##name},
#include "opt/passes.def"
};

const char *opt_pass_name(OptPass p) { return passes[p].name; }
const char *opt_pass_text(OptPass p) { return passes[p].text; }

int opt_pass_find(const char *name) {
  for (int p = 0; p < OPT_PASS_COUNT; p++)
    if (!strcmp(passes[p].name, name)) return p;
  return -1;
}

void opt_for_reading(bool disabled[OPT_PASS_COUNT]) {
  static const OptPass machine[] = {OPT_apart, OPT_elements, OPT_gather, OPT_guards, OPT_jam,
                                    OPT_lanes, OPT_leaves,   OPT_place,  OPT_recall, OPT_regular,
                                    OPT_skew,  OPT_split,    OPT_starts, OPT_wave};
  for (size_t i = 0; i < sizeof machine / sizeof *machine; i++) disabled[machine[i]] = true;
}

// Runs one pass, unless it is switched off or the user wants to stop before it.
typedef struct Run {
  const OptOptions *o;
  bool stopped;
} Run;

static IrFunc *run(Run *r, OptPass p, IrFunc *f) {
  if (r->stopped || (r->o->disabled && r->o->disabled[p])) return f;
  IrFunc *now = passes[p].run(f);
  if (r->o->dump) r->o->dump(r->o->user, passes[p].name, now);
  if (r->o->stop_after && !strcmp(r->o->stop_after, passes[p].name)) r->stopped = true;
  return now;
}

static IrFunc *clean(Run *r, IrFunc *f) {
  f = run(r, OPT_simplify, f);
  f = run(r, OPT_cse, f);
  return run(r, OPT_dce, f);
}

// For passes that give back the function itself where they find nothing to do.
static IrFunc *run_and_clean(Run *r, OptPass p, IrFunc *f) {
  IrFunc *now = run(r, p, f);
  return now == f ? f : clean(r, now);
}

static IrFunc *optimize(Run *r, IrFunc *f) {
  f = run(r, OPT_sizes, f);
  f = clean(r, f);
  f = run(r, OPT_counters, f);
  f = clean(r, f);
  f = run(r, OPT_licm, f); // what is left of small loops may be small enough
  f = run(r, OPT_unroll, f);
  f = run(r, OPT_scalars, f);
  f = clean(r, f);
  f = run(r, OPT_branches, f);
  f = run(r, OPT_cse, f);
  f = run(r, OPT_current, f);
  f = run(r, OPT_upward, f);
  f = run(r, OPT_accumulate, f);
  f = run(r, OPT_fuse, f);
  f = clean(r, f);
  f = run(r, OPT_licm, f);
  f = run(r, OPT_checks, f);
  // Loops that merge share what they compute, which lets the loops inside them merge.
  for (int level = 0; level < 3; level++) {
    IrFunc *merged = run(r, OPT_merge, f);
    if (merged == f && level > 0) break;
    f = clean(r, merged);
    f = run(r, OPT_carried, f);
    f = clean(r, f);
  }
  return f;
}

// After everything else: what it makes is for the machine, not for further passes or for reading.
static void several_rows(Run *r, IrFunc *f) {
  if (r->o->level < 2 || !f->body) return;
  IrFunc *gathered = run(r, OPT_gather, f);
  if (gathered != f) f = clean(r, run(r, OPT_licm, run(r, OPT_fuse, gathered)));
  IrFunc *waves = run_and_clean(r, OPT_wave, f);
  if (waves != f) f = run_and_clean(r, OPT_carried, waves);
  f = run_and_clean(r, OPT_join, f);
  f = run_and_clean(r, OPT_chain, f);
  f = run_and_clean(r, OPT_skew, f);
  f = run_and_clean(r, OPT_leaves, f);
  f = run_and_clean(r, OPT_elements, f);
  f = run(r, OPT_split, f); // what is left has no branches, and LLVM's vectors suit it
  f = run_and_clean(r, OPT_elements, f);
  f = run_and_clean(r, OPT_starts, f);
  f = run_and_clean(r, OPT_recall, f);
  f = run_and_clean(r, OPT_apart, f);
  f = clean(r, run(r, OPT_lanes, f));
  f = run(r, OPT_place, f);
  f = run(r, OPT_jam, f);
  f = run(r, OPT_merge, f);
  f = run(r, OPT_regular, f);
  clean(r, f);
}

IrFunc *opt_function(IrFunc *f, const OptOptions *o) {
  if (o->level == 0 || !f->body) return f;
  Run r = {o, false};
  f = optimize(&r, opt_inline_early(f));
  return clean(&r, run(&r, OPT_winner, f));
}

// ---- the module --------------------------------------------------------------------------------------------------------

typedef struct Callees {
  Arena *arena;
  IrModule *m;
  IrFuncs *out;
} Callees;

static void push_callee(Callees *c, Name name) {
  IrFunc *f = name ? ir_func_find(c->m, name) : NULL;
  if (f) vec_push(c->arena, c->out, f);
}

static IrWalk visit_callee(void *user, IrOp *op) {
  Callees *c = user;
  if (op->kind == IR_CALL) push_callee(c, op->attr.sym);
  if (op->kind == IR_DCALL) push_callee(c, op->attr.deriv->callee);
  if (op->kind == IR_TRAIN || op->kind == IR_MINIMIZE) {
    push_callee(c, op->attr.train->loss);
    push_callee(c, op->attr.train->loss_grad);
  }
  return IR_WALK_CONTINUE;
}

static void drop_unreached(IrModule *m, Arena *scratch) {
  IrFuncs work = {0};
  bool *reached = ARENA_ARRAY(scratch, bool, m->funcs.len);
  for (int i = 0; i < m->funcs.len; i++)
    if (m->funcs.data[i]->is_export) vec_push(scratch, &work, m->funcs.data[i]);
  while (work.len) {
    IrFunc *f = vec_pop(&work);
    int at = ir_func_place(m, f->name);
    if (reached[at]) continue;
    reached[at] = true;
    Callees c = {scratch, m, &work};
    if (f->body) ir_walk(f->body, visit_callee, &c);
    push_callee(&c, f->adjoint_rule);
    push_callee(&c, f->tangent_rule);
  }
  ir_module_keep(m, reached);
}

void opt_module(IrModule *m, const OptOptions *o) {
  Arena *scratch = arena_new(0);
  if (!scratch) return;
  IrFuncs order = {0};
  Run r = {o, false};
  for (int i = 0; i < m->funcs.len; i++) run(&r, OPT_guards, run(&r, OPT_settle, m->funcs.data[i]));
  ir_call_graph(m, scratch, &order);
  if (o->level > 0) {
    for (int i = 0; i < order.len; i++) run(&r, OPT_inline, order.data[i]);
    drop_unreached(m, scratch);
    order.len = 0;
    ir_call_graph(m, scratch, &order);
    for (int i = 0; i < order.len; i++) several_rows(&r, optimize(&r, order.data[i]));
  } else {
    for (int i = 0; i < order.len; i++) opt_inline_externs(order.data[i]);
  }
  drop_unreached(m, scratch);
  for (int i = 0; i < m->funcs.len; i++) run(&r, OPT_storage, run(&r, OPT_memory, m->funcs.data[i]));
  arena_free(scratch);
}
