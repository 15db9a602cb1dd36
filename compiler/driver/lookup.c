// Looking functions up (include/dp/dp.h): an expression becomes machine code and a description of what crosses to C. That is
// done here or, if the host wants it so, in a process of its own, with the code and the answer in memory that both share.
#define _GNU_SOURCE
#include "driver/api.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>

// ---- what crosses to C -------------------------------------------------------------------------------------------------

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

static const char *text_copy(Arena *a, const char *text) { return arena_strdup(a, text, strlen(text)); }

static dp_leaf *leaves_copy(Arena *a, const dp_leaf *leaves, int n) {
  dp_leaf *copy = ARENA_ARRAY(a, dp_leaf, n);
  for (int k = 0; k < n; k++)
    copy[k] = (dp_leaf){text_copy(a, leaves[k].path), leaves[k].kind, leaves[k].rank};
  return copy;
}

static dp_function *function_copy(Arena *a, const dp_function *f) {
  dp_function *copy = ARENA_NEW(a, dp_function);
  *copy = *f;
  copy->expr = text_copy(a, f->expr);
  copy->signature = text_copy(a, f->signature);
  copy->params = leaves_copy(a, f->params, f->n_params);
  copy->results = leaves_copy(a, f->results, f->n_results);
  return copy;
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

// ---- look up -----------------------------------------------------------------------------------------------------------

typedef struct Lookup {
  dp_program *p;
  const char *expr, *signature;
  dp_function *f;
  Region code;   // where it lies
  Region shared; // with the compiler's process: the answer
  bool reported; // the context has the diagnostics
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

static bool look_up_and_keep(void *user) { return look_up(user) && keep(user); }

static bool look_up_here(Lookup *l) {
  process_hold();
  bool ok = session_guard(&l->p->session, look_up_and_keep, l);
  process_release();
  return ok;
}

// ---- in a process of its own -------------------------------------------------------------------------------------------

// Room for an answer and for code: addresses alone, until they are written to.
static const size_t ANSWER_ROOM = (size_t)64 << 20, CODE_ROOM = (size_t)256 << 20;

// A thread of the host's that was about to load a library when the child was made leaves the loader locked there for good.
enum { LOAD_SECONDS = 20 };

// What the process leaves behind, in a region that both have in the same place.
typedef struct Answer {
  _Atomic bool complete; // last of all
  Arena *arena;          // that it and all it points to lie in, but the code
  Region code;
  dp_function *f; // NULL after errors
  Report report;
} Answer;

typedef struct Question {
  Lookup *lookup;
  Answer *answer;
} Question;

static void answer(void *user) {
  Question *q = user;
  Lookup *l = q->lookup;
  Answer *out = q->answer;
  Session *s = &l->p->session;
  process_limit(LOAD_SECONDS);
  cg_lanes(&s->o.cg); // loads the code generator
  process_limit(0);
  bool ok = session_guard(s, look_up, l);
  jmp_buf exhausted;
  if (setjmp(exhausted)) return;
  arena_on_exhausted(out->arena, &exhausted);
  out->code = l->code;
  out->f = ok ? function_copy(out->arena, l->f) : NULL;
  out->report = report_of(out->arena, s);
  arena_on_exhausted(out->arena, NULL);
  atomic_store_explicit(&out->complete, true, memory_order_release);
}

static bool is_a_crash(int sig) {
  return sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGABRT ||
         sig == SIGTRAP;
}

static bool no_answer(Lookup *l, int status) {
  Diags *d = &l->p->session.diags;
  if (status < 0 || !WIFSIGNALED(status)) {
    diag_add(d, DIAG_MACHINE, LOC_NONE, "the compiler's process ended without an answer for `%s`", l->expr);
    return false;
  }
  int sig = WTERMSIG(status);
  const char *name = sigdescr_np(sig);
  bool crash = is_a_crash(sig);
  Diag *g = diag_add(d, crash ? DIAG_INTERNAL : DIAG_MACHINE, LOC_NONE,
                     "the compiler ended by signal %d (%s) while it compiled `%s`", sig,
                     name ? name : "without a name", l->expr);
  if (crash)
    diag_help(d, g, "this is a mistake in dp, not in the program; please report it with the program");
  else if (sig == SIGALRM)
    diag_help(d, g, "perhaps another thread was loading a library at that moment; ask again");
  else if (sig == SIGKILL)
    diag_help(d, g, "the system ends a process so when memory runs out; somebody else may have ended it");
  return false;
}

static bool ask(Lookup *l, Answer *a) {
  Session *s = &l->p->session;
  int status = -1, error = process_run(answer, &(Question){l, a}, &status);
  if (error) {
    diag_add(&s->diags, DIAG_MACHINE, LOC_NONE, "there is no process for the compiler: %s",
             strerrordesc_np(error));
    return false;
  }
  if (!atomic_load_explicit(&a->complete, memory_order_acquire)) return no_answer(l, status);
  if (a->f) {
    l->code = a->code;
    l->f = function_copy(s->arena, a->f);
    if (!keep(l)) return false;
  }
  report_given(l->p->ctx, &a->report, a->arena, &l->shared);
  l->shared = (Region){0};
  l->reported = true;
  return a->f != NULL;
}

static bool share_and_ask(void *user) {
  Lookup *l = user;
  if (!region_map(&l->shared, ANSWER_ROOM, true) || !region_map(&l->code, CODE_ROOM, true)) {
    diag_add(&l->p->session.diags, DIAG_MACHINE, LOC_NONE, "there is no memory to share with the compiler");
    return false;
  }
  Arena *arena = arena_within(l->shared.start, ANSWER_ROOM);
  Answer *a = ARENA_NEW(arena, Answer);
  a->arena = arena;
  return ask(l, a);
}

static bool look_up_apart(Lookup *l) { return session_guard(&l->p->session, share_and_ask, l); }

dp_status dp_lookup(dp_program *program, const char *expr, const char *signature, dp_function **out) {
  if (out) *out = NULL;
  if (!program || !expr || !out) return DP_ERROR_ARGUMENT;
  Session *s = &program->session;
  int n_files = s->sources.files.len;
  s->diags.list.len = s->diags.n_errors = s->diags.n_warnings = 0;
  Lookup l = {.p = program, .expr = expr, .signature = signature};
  bool ok = look_up_again(&l) || (program->apart ? look_up_apart(&l) : look_up_here(&l));
  if (!l.reported) report_session(program->ctx, s);
  region_unmap(&l.code); // what was not kept
  region_unmap(&l.shared);
  session_forget(s);
  s->sources.files.len = n_files; // what the expression's places meant is in the report, and in the code
  if (!ok) return DP_ERROR_LOOKUP;
  *out = l.f;
  return DP_OK;
}
