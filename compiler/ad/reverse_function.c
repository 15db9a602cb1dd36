// Differentiation: whole functions in reverse mode. In: an optimised function and the plan for it. Out: one function with
// both sweeps (what a derivative operator calls), or, for a function that calls itself, its two halves.
#include "ad/reverse.h"
#include "opt/opt.h"

#include <string.h>

Name rev_leaf_name(IrModule *m, const char *base, const char *path) {
  return intern_cstr(m->names, arena_printf(m->arena, "%s%s", path, base));
}

static Name unique_name(const IrModule *m, const char *base) {
  Name name = intern_cstr(m->names, base);
  for (int i = 2; ir_func_find(m, name); i++)
    name = intern_cstr(m->names, arena_printf(m->arena, "%s%d", base, i));
  return name;
}

static const char *shown_name(const IrFunc *f) { return f->source_name ? f->source_name : f->name; }

// ---- beginning and end -------------------------------------------------------------------------------------------------

static bool refused(const Plan *plan, Diags *diags) {
  if (!plan->refused) return false;
  Diag *d = diag_add(diags, DIAG_AD_REFUSED, plan->refused_at,
                     "`%s` cannot be differentiated in reverse mode", shown_name(plan->f));
  diag_label(diags, d, "%s", plan->refused);
  return true;
}

Reverse rev_begin(IrModule *m, IrFunc *f, Plan *plan, Name name, Diags *diags) {
  Reverse rv = {.arena = m->arena, .f = f, .plan = plan, .diags = diags};
  rv.adj = ARENA_ARRAY(m->arena, IrVal, f->vals.len);
  rv.g = ir_func_like(f, &rv.map, m->arena);
  rv.g->name = name;
  rv.g->is_export = rv.g->has_rule = false;
  rv.g->adjoint_rule = rv.g->tangent_rule = NULL;
  for (int k = 0; k < f->n_params; k++)
    rv.g->params[k].moved = false; // the caller still reads what it passes
  return rv;
}

bool rev_sound(const Reverse *rv) {
  if (!rv->broken) return true;
  if (rv->diags->n_errors) return false; // told already
  Diag *d = diag_add(rv->diags, DIAG_AD_INTERNAL, rv->f->loc, "the reverse sweep of `%s` lost a value",
                     shown_name(rv->f));
  diag_help(rv->diags, d, "this is a mistake in dp, not in the program; please report it with the program");
  return false;
}

// A parameter for the adjoint of each float result. Sizes that are not parameters come in front of it.
IrVal *rev_adjoint_params(Reverse *rv) {
  const IrFunc *f = rv->f;
  IrModule *m = f->module;
  IrVal *bars = ARENA_ARRAY(rv->arena, IrVal, f->n_results);
  for (int k = 0; k < f->n_results; k++) {
    if (!ir_is_float(f->results[k])) continue;
    IrVal y = f->body->yields[k], dims[IR_MAX_RANK];
    const char *path = f->result_leaves ? f->result_leaves[k].path : NULL;
    IrLeaf leaf = {.path = rev_leaf_name(m, "_bar", path && *path ? path : "y")};
    for (int d = 0; d < f->results[k].rank && !f->results[k].grow; d++) {
      IrVal size = ir_dims(f, y)[d];
      dims[d] = is_param(f, size) ? ir_mapped(&rv->map, size)
                                  : ir_param(rv->g, IR_SCALAR(IR_INT), NULL,
                                             (IrLeaf){.path = rev_leaf_name(m, "_size", leaf.path)});
    }
    bars[k] = ir_param(rv->g, f->results[k], dims, leaf);
  }
  return bars;
}

static void seed_results(Reverse *rv, IrBuilder *b, const IrVal *bars) {
  for (int k = 0; k < rv->f->n_results; k++) rev_contribute(rv, b, rv->f->body->yields[k], bars[k]);
}

static int primal_results(Reverse *rv, IrVal *vals, IrLeaf *leaves) {
  const IrFunc *f = rv->f;
  for (int k = 0; k < f->n_results; k++) {
    vals[k] = rev_primal(rv, f->body->yields[k]);
    if (f->result_leaves) leaves[k] = f->result_leaves[k];
  }
  return f->n_results;
}

static int parameter_adjoints(Reverse *rv, IrBuilder *b, const bool *wrt, IrVal *vals, IrLeaf *leaves) {
  const IrFunc *f = rv->f;
  int n = 0;
  for (int k = 0; k < f->n_params; k++) {
    if (!wrt[k]) continue;
    vals[n] = rev_adjoint_or_zero(rv, b, f->body->args[k]);
    leaves[n++].path = rev_leaf_name(f->module, "_bar", f->params[k].path ? f->params[k].path : "p");
  }
  return n;
}

// ---- both sweeps in one function ---------------------------------------------------------------------------------------

static void both_sweeps(Reverse *rv, IrBuilder *b, const IrVal *bars) {
  const IrRegion *body = rv->f->body;
  for (int i = 0; i < body->ops.len; i++) {
    const OpPlan *op_plan = plan_of(rv->plan, body->ops.data[i]);
    rev_forward_op(rv, b, body->ops.data[i], op_plan && op_plan->has_tape);
  }
  seed_results(rv, b, bars);
  rev_ops(rv, b, body);
}

IrFunc *ad_vjp(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) {
  const IrVal *lengths;
  f = ad_with_lengths(ad_with_blocks(f), &lengths);
  Plan *plan = plan_reverse(m->arena, f, lengths, wrt, false);
  if (refused(plan, diags)) return NULL;
  if (plan->threads) {
    Plan *descent = rev_plan_descent(m, f, lengths, wrt, diags);
    if (descent) plan = descent;
  }
  Reverse rv = rev_begin(m, f, plan, unique_name(m, arena_printf(m->arena, "%s.vjp", f->name)), diags);
  IrVal *bars = rev_adjoint_params(&rv);
  IrBuilder b = ir_builder(rv.g);
  if (plan->threads) {
    rv.stack[FLOAT_STACK] = ir_empty(&b, IR_F64);
    rv.stack[INT_STACK] = ir_empty(&b, IR_INT);
  }
  if (plan->one_descent)
    rev_descend(&rv, &b, bars);
  else
    both_sweeps(&rv, &b, bars);
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, f->n_results + f->n_params);
  IrLeaf *leaves = ARENA_ARRAY(m->arena, IrLeaf, f->n_results + f->n_params);
  int n = primal_results(&rv, vals, leaves);
  n += parameter_adjoints(&rv, &b, wrt, vals + n, leaves + n);
  if (!rev_sound(&rv)) return NULL;
  ir_set_results(rv.g, vals, n, leaves);
  vec_push(m->arena, &m->funcs, rv.g);
  return rv.g;
}

// ---- two halves --------------------------------------------------------------------------------------------------------

Name rev_part_name(IrModule *m, const IrFunc *f, const char *half, const bool *wrt) {
  StrBuf sb;
  sb_init(&sb, m->arena);
  sb_addf(&sb, "%s.%s", f->name, half);
  for (int k = f->n_sizes; k < f->n_params; k++) sb_addc(&sb, wrt[k] ? '1' : '0');
  return intern_cstr(m->names, sb.data);
}

static void stack_params(Reverse *rv) {
  Interner *names = rv->f->module->names;
  rv->stack[FLOAT_STACK] =
      ir_param(rv->g, (IrType){IR_F64, 1, true}, NULL, (IrLeaf){intern_cstr(names, "saved"), true});
  rv->stack[INT_STACK] =
      ir_param(rv->g, (IrType){IR_INT, 1, true}, NULL, (IrLeaf){intern_cstr(names, "counts"), true});
}

// A half is known by its type before its body exists, so that the recursive call within finds it.
static void declare_half(Reverse *rv, const IrType *types, int n) {
  rv->g->results = ARENA_ARRAY(rv->arena, IrType, n + N_STACKS);
  for (int k = 0; k < n; k++) rv->g->results[k] = types[k];
  rv->g->results[n + FLOAT_STACK] = (IrType){IR_F64, 1, true};
  rv->g->results[n + INT_STACK] = (IrType){IR_INT, 1, true};
  rv->g->n_results = n + N_STACKS;
  vec_push(rv->arena, &rv->f->module->funcs, rv->g);
}

static void end_half(Reverse *rv, IrVal *vals, IrLeaf *leaves, int n) {
  for (int k = 0; k < N_STACKS; k++) {
    leaves[n + k].path = intern_cstr(rv->f->module->names, k == FLOAT_STACK ? "saved" : "counts");
    vals[n + k] = rv->stack[k];
  }
  if (rev_sound(rv)) ir_set_results(rv->g, vals, n + N_STACKS, leaves);
}

static void write_forward_half(Reverse *rv) {
  const IrFunc *f = rv->f;
  const RegionPlan *keep = &rv->plan->body->regions[0];
  IrBuilder b = ir_builder(rv->g);
  for (int i = 0; i < f->body->ops.len; i++)
    rev_forward_op(rv, &b, f->body->ops.data[i], rev_keeps_tape(keep, f->body->ops.data[i]));
  if (!rv->broken) stack_push_saved(rv, &b, keep);
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, f->n_results + N_STACKS);
  IrLeaf *leaves = ARENA_ARRAY(rv->arena, IrLeaf, f->n_results + N_STACKS);
  end_half(rv, vals, leaves, primal_results(rv, vals, leaves));
}

static void write_reverse_half(Reverse *rv, const IrVal *bars, const bool *wrt) {
  const IrFunc *f = rv->f;
  const RegionPlan *keep = &rv->plan->body->regions[0];
  IrBuilder b = ir_builder(rv->g);
  stack_load(rv, &b, keep);
  rev_recompute(rv, &b, keep, f->body);
  if (!rv->broken) seed_results(rv, &b, bars);
  if (!rv->broken) rev_ops(rv, &b, f->body);
  IrVal *vals = ARENA_ARRAY(rv->arena, IrVal, f->n_params + N_STACKS);
  IrLeaf *leaves = ARENA_ARRAY(rv->arena, IrLeaf, f->n_params + N_STACKS);
  int n = rv->broken ? 0 : parameter_adjoints(rv, &b, wrt, vals, leaves);
  end_half(rv, vals, leaves, n);
}

static bool has_parts(const IrModule *m, const IrFunc *f) {
  size_t n = strlen(f->name);
  for (int i = 0; i < m->funcs.len; i++) {
    const char *name = m->funcs.data[i]->name;
    if (!strncmp(name, f->name, n) && (!strncmp(name + n, ".fwd.", 5) || !strncmp(name + n, ".both.", 6)))
      return true;
  }
  return false;
}

IrFunc *rev_optimized(IrModule *m, IrFunc *f) {
  static const OptOptions fixed = {.level = 2};
  return has_parts(m, f) ? f : opt_function(f, &fixed);
}

bool rev_halves(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags, Halves *out) {
  Name forward = rev_part_name(m, f, "fwd.", wrt), reverse = rev_part_name(m, f, "rev.", wrt);
  *out = (Halves){ir_func_find(m, forward), ir_func_find(m, reverse)};
  if (out->forward) return true;
  const IrVal *lengths;
  f = ad_with_lengths(ad_with_blocks(rev_optimized(m, f)), &lengths);
  Plan *plan = plan_reverse(m->arena, f, lengths, wrt, true);
  if (refused(plan, diags)) return false;
  Reverse fw = rev_begin(m, f, plan, forward, diags), rv = rev_begin(m, f, plan, reverse, diags);
  stack_params(&fw);
  declare_half(&fw, f->results, f->n_results);
  IrVal *bars = rev_adjoint_params(&rv);
  stack_params(&rv);
  IrType *types = ARENA_ARRAY(m->arena, IrType, f->n_params);
  int n = 0;
  for (int k = 0; k < f->n_params; k++)
    if (wrt[k]) types[n++] = ir_type(f, f->body->args[k]);
  declare_half(&rv, types, n);
  *out = (Halves){fw.g, rv.g};
  write_forward_half(&fw);
  if (!fw.broken) write_reverse_half(&rv, bars, wrt);
  if (!fw.broken && !rv.broken) return true;
  ir_module_remove(m, fw.g);
  ir_module_remove(m, rv.g);
  return false;
}
