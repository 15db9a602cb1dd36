// Looking functions up (include/dp/dp.h): an expression becomes machine code and a description of what crosses to C.
#include "driver/api.h"

#include <string.h>

// ---- look up ---------------------------------------------------------------------------------------------------------------

static int slots_of(const dp_leaf *l, int n) {
  int sum = 0;
  for (int i = 0; i < n; i++) sum += 1 + l[i].rank;
  return sum;
}

static bool leaf_of(Arena *a, IrType t, const char *path, dp_leaf *out) {
  static const dp_kind kinds[] = {
      [IR_BOOL] = DP_BOOL, [IR_INT] = DP_INT, [IR_F32] = DP_F32, [IR_F64] = DP_F64};
  if (t.elem == IR_STRING) return false;
  *out = (dp_leaf){arena_strdup(a, path ? path : "", path ? strlen(path) : 0), kinds[t.elem], t.rank};
  return true;
}

// A size that some array parameter has as its own comes with that array; others are passed as ints.
static bool size_is_implied(const IrFunc *f, int k) {
  for (int p = f->n_sizes; p < f->n_params; p++) {
    const IrVal *dims = ir_dims(f, f->body->args[p]);
    for (int d = 0; dims && d < ir_type(f, f->body->args[p]).rank; d++)
      if (dims[d] == f->body->args[k]) return true;
  }
  return false;
}

static bool leaves_of(Session *s, const IrFunc *f, dp_function *out) {
  out->params = ARENA_ARRAY(s->arena, dp_leaf, f->n_params);
  out->results = ARENA_ARRAY(s->arena, dp_leaf, f->n_results);
  for (int k = 0; k < f->n_params; k++) {
    if (k < f->n_sizes && size_is_implied(f, k)) continue;
    if (!leaf_of(s->arena, ir_type(f, f->body->args[k]), f->params[k].path, &out->params[out->n_params++]))
      return false;
  }
  for (int k = 0; k < f->n_results; k++)
    if (!leaf_of(s->arena, f->results[k], f->result_leaves ? f->result_leaves[k].path : "",
                 &out->results[out->n_results++]))
      return false;
  out->n_slots_in = slots_of(out->params, out->n_params);
  out->n_slots_out = slots_of(out->results, out->n_results);
  return true;
}

static bool same_signature(const char *want, const char *have) {
  for (;;) {
    while (*want == ' ') want++;
    while (*have == ' ') have++;
    if (*want != *have) return false;
    if (!*want) return true;
    want++, have++;
  }
}

typedef struct Lookup {
  dp_program *p;
  const char *expr, *signature;
  dp_function *f;
  Region code; // where it lies
} Lookup;

// What was asked for before, with the same signature or none.
static bool look_up_again(Lookup *l) {
  for (dp_function *f = l->p->functions; f; f = f->next) {
    if (strcmp(f->expr, l->expr) != 0 || (l->signature && !same_signature(l->signature, f->signature)))
      continue;
    l->f = f;
    return true;
  }
  return false;
}

static bool look_up(void *user) {
  Lookup *l = user;
  Session *s = &l->p->session;
  l->f = ARENA_NEW(s->arena, dp_function);
  l->f->program = l->p;
  l->f->expr = arena_strdup(s->arena, l->expr, strlen(l->expr));
  Expr *e = sema_expr(s->program, "<expression>", l->f->expr);
  if (!e || s->diags.n_errors) return false;
  Name name = intern_cstr(s->names, arena_printf(s->arena, "lookup%d", l->p->n_lookups++));
  l->f->signature = type_text(s->arena, e->type);
  if (l->signature && !same_signature(l->signature, l->f->signature)) {
    Diag *d = diag_add(&s->diags, DIAG_SIGNATURE, LOC_NONE, "`%s` has another signature", l->expr);
    diag_note(&s->diags, d, "asked for: %s", l->signature);
    diag_note(&s->diags, d, "it is:     %s", l->f->signature);
    return false;
  }
  LowerRoot root = {.expr = e, .real = IR_F64, .name = name};
  IrModule *m = session_lower(s, &root, 1);
  if (!m || !session_differentiate(s, m) || !session_optimize(s, m)) return false;
  if (!leaves_of(s, ir_func_find(m, name), l->f)) {
    diag_add(&s->diags, DIAG_SIGNATURE, LOC_NONE, "`%s` takes or returns text, which does not cross to C",
             l->expr);
    return false;
  }
  CgModule *cg = session_codegen(s, m, NULL);
  session_forget(s); // before LLVM needs as much
  void *address = cg ? session_jit(s, cg, name, &l->p->ctx->symbols, &l->code) : NULL;
  if (!address) return false;
  memcpy(&l->f->code, &address, sizeof address);
  return true;
}

// The program's from now on.
static bool keep(Lookup *l) {
  Session *s = &l->p->session;
  if (!session_seal(s, &l->code)) return false;
  vec_push(s->arena, &l->p->code, l->code);
  l->code = (Region){0};
  l->f->next = l->p->functions;
  l->p->functions = l->f;
  return true;
}

static bool look_up_here(void *user) { return look_up(user) && keep(user); }

dp_status dp_lookup(dp_program *program, const char *expr, const char *signature, dp_function **out) {
  if (out) *out = NULL;
  if (!program || !expr || !out) return DP_ERROR_ARGUMENT;
  Session *s = &program->session;
  int n_files = s->sources.files.len;
  s->diags.list.len = s->diags.n_errors = s->diags.n_warnings = 0;
  Lookup l = {.p = program, .expr = expr, .signature = signature};
  bool ok = look_up_again(&l) || session_guard(s, look_up_here, &l);
  api_report(program->ctx, s);
  region_unmap(&l.code); // what was not kept
  session_forget(s);
  s->sources.files.len = n_files; // what the expression's places meant is in the report, and in the code
  if (!ok) return DP_ERROR_LOOKUP;
  *out = l.f;
  return DP_OK;
}
