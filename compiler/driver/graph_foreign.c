// `dp graph`: functions of C. In: a call of one, while values are computed. Out: its result, from machine code: the program is
// compiled as ever, and its declaration of the function called. What is in there nobody sees: it is one step.
#include "driver/graph.h"

#include "dp/dp.h"

struct GraphForeign {
  dp_context *ctx;
  dp_program *program;
};

static const FnDecl *declaration(const Graph *g, Name symbol) {
  const Program *p = g->s->program;
  for (int i = 0; i < p->modules.len; i++)
    for (int k = 0; k < p->modules.data[i]->fns.len; k++) {
      const FnDecl *d = p->modules.data[i]->fns.data[k];
      if (d->kind == FN_EXTERN && (d->symbol ? d->symbol : d->name) == symbol) return d;
    }
  return NULL;
}

const char *graph_c_name(const Graph *g, const IrOp *op) {
  const FnDecl *d = declaration(g, op->attr.ext->symbol);
  return d ? d->name : op->attr.ext->symbol;
}

static dp_function *look_up(Graph *g, Name symbol) {
  const FnDecl *d = declaration(g, symbol);
  dp_function *f = NULL;
  if (!d) return NULL;
  if (!g->foreign) {
    g->foreign = ARENA_NEW(g->arena, GraphForeign);
    g->foreign->ctx = dp_context_new(NULL);
    if (g->foreign->ctx) dp_compile(g->foreign->ctx, g->path, NULL, 0, NULL, &g->foreign->program);
  }
  const char *name =
      d->module == g->s->program->main ? d->name : arena_printf(g->arena, "%s.%s", d->module->name, d->name);
  if (!g->foreign->program || dp_lookup(g->foreign->program, name, NULL, &f) != DP_OK) return NULL;
  return f;
}

static dp_kind kind_of(IrElem e) {
  return e == IR_BOOL ? DP_BOOL : e == IR_INT ? DP_INT : e == IR_F32 ? DP_F32 : DP_F64;
}

static void set_element(dp_value *v, int64_t at, const IrCell *c) {
  bool whole = !c->type.rank;
  double x = whole ? (double)c->v.q : (double)ir_cell_at(c, at);
  int64_t i = ir_is_float(c->type) ? 0 : whole ? c->v.i : (int64_t)ir_cell_at(c, at);
  switch (v->kind) {
  case DP_BOOL: *(whole ? &v->b : (bool *)v->data + at) = i != 0; break;
  case DP_INT: *(whole ? &v->i : (int64_t *)v->data + at) = i; break;
  case DP_F32: *(whole ? &v->f32 : (float *)v->data + at) = (float)x; break;
  case DP_F64: *(whole ? &v->f64 : (double *)v->data + at) = x; break;
  }
}

static dp_value to_value(const Graph *g, const IrCell *c) {
  dp_value v = {.kind = kind_of((IrElem)c->type.elem), .rank = c->type.rank};
  int64_t n = 1;
  for (int d = 0; d < v.rank; d++) n *= v.sizes[d] = c->dims[d];
  if (v.rank) v.data = ARENA_ARRAY(g->arena, double, n + 1);
  for (int64_t i = 0; i < n; i++) set_element(&v, i, c);
  return v;
}

bool graph_call_c(void *user, const IrFrame *at, const IrOp *op, IrCell *result) {
  Graph *g = user;
  dp_function *f = look_up(g, op->attr.ext->symbol);
  dp_value *args = ARENA_ARRAY(g->arena, dp_value, op->n_args + 1), out;
  int n = 0;
  if (!f || (dp_results(f, &n), n != 1)) return false;
  for (int k = 0; k < op->n_args; k++) {
    IrCell c = ir_interp_look(at, op->args[k]);
    args[k] = to_value(g, &c);
  }
  if (dp_call(f, args, &out) != DP_OK) return false;
  double x = out.kind == DP_F32 ? (double)out.f32 : out.f64;
  *result = out.kind == DP_INT    ? ir_cell_int(out.i)
            : out.kind == DP_BOOL ? ir_cell_int(out.b)
                                  : ir_cell_f64(x);
  return true;
}

void graph_end_foreign(Graph *g) {
  if (g->foreign) dp_context_free(g->foreign->ctx);
}
