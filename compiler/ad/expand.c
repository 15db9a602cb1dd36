// Differentiation: expansion. In: a module with DCALL operations. Out: the module with calls of generated functions in
// their place. Callees come before callers, so a derivative of a derivative finds the inner one expanded.
//
// What is optimised before differentiating is the same at every -O level, so that levels agree to the last bit.
#include "ad/internal.h"
#include "opt/opt.h"

typedef struct Known { // a derivative that was generated already
  const IrDeriv *deriv;
  IrFunc *func;
} Known;

typedef struct Expand {
  IrModule *m;
  Diags *diags;
  VEC(Known) known;
  bool failed;
} Expand;

static bool same_deriv(const IrDeriv *a, const IrDeriv *b) {
  if (a->kind != b->kind || a->callee != b->callee || a->n_params != b->n_params) return false;
  for (int k = 0; k < a->n_params; k++)
    if (a->wrt[k] != b->wrt[k]) return false;
  return true;
}

typedef struct Search {
  const IrModule *m;
  bool *seen; // by place in the module; NULL: calls are not followed
  bool found;
} Search;

static void search(Search *s, const IrFunc *f);

static IrWalk find_dcall(void *user, IrOp *op) {
  Search *s = user;
  s->found |= op->kind == IR_DCALL;
  if (op->kind == IR_CALL && s->seen) search(s, ir_func_find(s->m, op->attr.sym));
  return s->found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static void search(Search *s, const IrFunc *f) {
  int at = f && f->body ? ir_func_place(s->m, f->name) : -1;
  if (at < 0 || s->seen[at]) return;
  s->seen[at] = true;
  ir_walk(f->body, find_dcall, s);
}

static bool has_dcalls(const IrFunc *f) {
  Search s = {.m = f->module};
  ir_walk(f->body, find_dcall, &s);
  return s.found;
}

// It or what it calls. Callees come first, so what is left belongs to a circle.
static bool reaches_dcalls(const IrFunc *f) {
  Arena *scratch = arena_new(0);
  if (!scratch) return true;
  Search s = {f->module, ARENA_ARRAY(scratch, bool, f->module->funcs.len), false};
  search(&s, f);
  arena_free(scratch);
  return s.found;
}

// What was refused on the way stands somewhere within the function; this is where it matters.
static void name_the_asker(Expand *e, int first, Loc asked) {
  for (int i = first; i < e->diags->list.len; i++)
    diag_span(e->diags, e->diags->list.data[i], asked, "the derivative is asked for here");
}

static IrFunc *generate(Expand *e, const IrDeriv *d, Loc asked) {
  for (int i = 0; i < e->known.len; i++)
    if (same_deriv(e->known.data[i].deriv, d)) return e->known.data[i].func;
  IrFunc *f = ir_func_find(e->m, d->callee), *now = NULL;
  if (!f->body) {
    Diag *g = diag_add(e->diags, DIAG_AD_REFUSED, asked, "`%s` is not written in dp", f->source_name);
    diag_help(e->diags, g, "wrap it in a dp function that has a derivative rule");
  } else if (reaches_dcalls(f)) {
    if (e->failed) return NULL; // one of them was refused; that is told
    Diag *g = diag_add(e->diags, DIAG_AD_REFUSED, asked, "`%s` takes a derivative of itself",
                       f->source_name ? f->source_name : f->name);
    diag_label(e->diags, g, "each derivative would need the next one, without end");
  } else {
    int before = e->diags->n_errors;
    f = opt_inline_early(f);
    ad_check_lost(f, d->wrt, asked, e->diags);
    if (e->diags->n_errors == before) {
      static const OptOptions fixed = {.level = 2};
      int first = e->diags->list.len;
      f = opt_function(f, &fixed);
      now = d->kind == IR_VJP   ? ad_vjp(e->m, f, d->wrt, e->diags)
            : d->kind == IR_JVP ? ad_jvp(e->m, f, d->wrt, e->diags)
                                : ad_jvps(e->m, f, d->wrt, e->diags);
      name_the_asker(e, first, asked);
    }
  }
  vec_push(e->m->arena, &e->known, ((Known){d, now}));
  return now;
}

static bool expand_dcall(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  Expand *e = user;
  if (op->kind != IR_DCALL) return false;
  const IrDeriv *d = op->attr.deriv;
  IrFunc *now = generate(e, d, op->loc.loc);
  if (!now) {
    e->failed = true;
    return false;
  }
  const IrFunc *callee = ir_func_find(e->m, d->callee);
  IrVal *args = ARENA_ARRAY(b->func->arena, IrVal, op->n_args * (IR_MAX_RANK + 1) + 1);
  int n = 0, next = callee->n_params;
  for (int k = 0; k < callee->n_params; k++) args[n++] = ir_mapped(map, op->args[k]);
  if (d->kind == IR_VJP) {
    for (int k = 0; k < callee->n_results; k++)
      if (ir_is_float(callee->results[k]))
        n = ad_push_adjoint(callee, k, b->func, ir_mapped(map, op->args[next++]), args, n);
  } else {
    if (d->kind == IR_JVPS && next < op->n_args) {
      const IrValue *first = ir_val(map->from, op->args[next]);
      args[n++] = ir_mapped(map, first->dims[first->type.rank - 1]);
    }
    while (next < op->n_args) args[n++] = ir_mapped(map, op->args[next++]);
  }
  IrType *types = ARENA_ARRAY(b->func->arena, IrType, op->n_results);
  const IrVal **dims = ARENA_ARRAY(b->func->arena, const IrVal *, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    const IrValue *old = ir_val(map->from, ir_result(op, k));
    types[k] = old->type;
    IrVal *sizes = ARENA_ARRAY(b->func->arena, IrVal, IR_MAX_RANK);
    for (int j = 0; old->dims && j < old->type.rank; j++)
      sizes[j] = ir_val(map->from, old->dims[j])->def == op ? IR_RESULT(old->dims[j] - op->result)
                                                            : ir_mapped(map, old->dims[j]);
    dims[k] = sizes;
  }
  b->loc = op->loc;
  IrOp *call = ir_call(b, now->name, args, n, types, dims, op->n_results);
  for (int k = 0; k < op->n_results; k++) ir_map_set(map, ir_result(op, k), ir_result(call, k));
  return true;
}

bool ad_expand(IrModule *m, Diags *diags) {
  Expand e = {.m = m, .diags = diags};
  IrFuncs order = {0};
  ir_call_graph(m, m->arena, &order);
  for (int i = 0; i < order.len; i++) {
    IrFunc *f = ir_func_find(m, order.data[i]->name);
    if (f && f->body && has_dcalls(f)) ir_rewrite_func(f, expand_dcall, &e);
  }
  return !e.failed && diags->n_errors == 0;
}
