// `dp gradcheck`: every function of a program that can be differentiated, or those that are named, at a few random points.
// In: a program. Out: per function whether reverse mode, forward mode (or the user's rules) and differences agree, as text
// or JSON; the exit code is 1 when one does not, or when a function that was named could not be looked at.
#include "driver/gradcheck.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_PER_POINT = 10, MAX_SHOWN = 5 };

typedef enum Verdict { GC_OK, GC_WRONG, GC_SKIPPED } Verdict;

typedef struct Answer {
  const FnDecl *decl;
  Verdict verdict;
  const char *reason; // why it was skipped; what was left out, or NULL
  const GcFunction *g;
} Answer;
typedef VEC(Answer) Answers;

typedef struct Gradcheck {
  Work *w;
  dp_context *ctx;
  dp_program *program;
  Answers answers;
} Gradcheck;

// ---- one function --------------------------------------------------------------------------------------------------

static bool takes_kind(const Type *t, TypeKind kind) {
  if (t->kind == kind) return true;
  if (t->elem && takes_kind(t->elem, kind)) return true;
  for (int i = 0; t->kind == TYPE_TUPLE && i < t->n_parts; i++)
    if (takes_kind(t->parts[i], kind)) return true;
  for (int i = 0; t->kind == TYPE_STRUCT && i < t->decl->fields.len; i++)
    if (takes_kind(t->decl->field_types[i], kind)) return true;
  return false;
}

// Why there is nothing to compare; NULL: there is.
static const char *out_of_reach(const FnDecl *d) {
  bool floats = false;
  if (d->kind == FN_EXTERN && !d->adjoint_rule && !d->tangent_rule)
    return "it is written in C and has no rule";
  for (int k = 0; k < d->sig->n_params; k++) {
    floats |= type_holds_floats(d->sig->params[k]);
    if (takes_kind(d->sig->params[k], TYPE_FN)) return "it takes a function";
    if (takes_kind(d->sig->params[k], TYPE_STR)) return "it takes a text";
  }
  if (!floats) return "no parameter holds floats";
  if (!type_holds_floats(d->sig->result)) return "its result holds no floats";
  return NULL;
}

static IrWalk look_for_detach(void *user, IrOp *op) {
  bool *found = user;
  *found |= op->kind == IR_DETACH;
  return IR_WALK_CONTINUE;
}

static void describe_leaves(GcFunction *g) {
  const IrFunc *f = g->ir;
  int n;
  const dp_leaf *params = dp_parameters(g->f, &n);
  g->n_leaves = f->n_params - f->n_sizes;
  g->leaves = ARENA_ARRAY(g->arena, GcLeaf, g->n_leaves + 1);
  for (int k = 0; k < g->n_leaves; k++) {
    const dp_leaf *leaf = &params[n - g->n_leaves + k];
    GcLeaf *to = &g->leaves[k];
    *to = (GcLeaf){.path = leaf->path, .kind = leaf->kind, .rank = leaf->rank};
    const IrVal *dims = ir_dims(f, f->body->args[f->n_sizes + k]);
    for (int d = 0; dims && d < leaf->rank; d++) to->sizes[d] = f->params[ir_val(f, dims[d])->index].path;
    g->narrow |= leaf->kind == DP_F32;
  }
  const Signature *sig = g->decl->sig;
  for (int k = 0, at = 0; k < sig->n_params; k++)
    for (int i = 0; i < type_leaf_count(sig->params[k]); i++, at++)
      g->leaves[at].in_wrt = type_holds_floats(sig->params[k]);
  g->n_out = type_leaf_count(sig->result);
}

// For the oracle, and to see what the function holds.
static bool lower_function(GcFunction *g) {
  Session *s = g->s;
  LowerRoot root = {.fn = (FnDecl *)g->decl, .real = IR_F64, .name = g->decl->name};
  g->m = session_lower(s, &root, 1);
  if (!g->m || !session_differentiate(s, g->m)) return false;
  g->ir = ir_func_find(g->m, g->decl->name);
  for (int i = 0; i < g->m->funcs.len; i++)
    if (g->m->funcs.data[i]->body) ir_walk(g->m->funcs.data[i]->body, look_for_detach, &g->detaches);
  return g->ir != NULL;
}

static void forget_diagnostics(Session *s) {
  s->diags.list.len = s->diags.n_errors = s->diags.n_warnings = 0;
}

// The first error of the latest lookup, as a reason.
static const char *why_not(Gradcheck *c) {
  int n;
  const dp_diagnostic *d = dp_diagnostics(c->ctx, &n);
  Arena *a = c->w->s->arena;
  for (int i = 0; i < n; i++)
    if (d[i].severity == DP_SEVERITY_ERROR)
      return d[i].place.file && d[i].place.line
                 ? arena_printf(a, "%s (%s:%d)", d[i].message, d[i].place.file, d[i].place.line)
                 : arena_strdup(a, d[i].message, strlen(d[i].message));
  return "its derivative cannot be compiled";
}

static dp_function *look_up(Gradcheck *c, const char *op, const char *name, const char **why) {
  dp_function *f = NULL;
  const char *end = strchr(op, '(') ? "))" : *op ? ")" : "";
  const char *expr = arena_printf(c->w->s->arena, "%s%s%s%s", op, *op ? "(" : "", name, end);
  if (dp_lookup(c->program, expr, NULL, &f) != DP_OK && !*why) *why = why_not(c);
  return f;
}

static void look_up_second(Gradcheck *c, GcFunction *g) {
  if (!g->vjp) {
    g->no_second = "there is no adjoint rule, so second derivatives were not compared";
    return;
  }
  for (int k = 0; k < g->decl->params.len; k++)
    if (g->decl->params.data[k].is_inout)
      g->no_second = "it changes a parameter, so second derivatives were not compared";
  if (g->no_second) return;
  const char *why = NULL;
  g->second = look_up(c, "jvp(vjp", g->decl->name, &why);
  g->twice = look_up(c, "vjp(vjp", g->decl->name, &why);
  if (why)
    g->no_second = arena_printf(c->w->s->arena, "%s not compared: %s",
                                g->second  ? "reverse over reverse was"
                                : g->twice ? "forward over reverse was"
                                           : "second derivatives were",
                                why);
}

static const char *skip_or_prepare(Gradcheck *c, GcFunction *g) {
  const FnDecl *d = g->decl;
  const char *reason = out_of_reach(d), *why = NULL;
  if (reason) return reason;
  if (!lower_function(g)) {
    forget_diagnostics(g->s);
    return "it does not compile on its own";
  }
  g->f = look_up(c, "", d->name, &why);
  if (!g->f) return why;
  bool rules = d->adjoint_rule || d->tangent_rule;
  if (!rules || d->adjoint_rule) g->vjp = look_up(c, "vjp", d->name, &why);
  if (!rules || d->tangent_rule) g->jvp = look_up(c, "jvp", d->name, &why);
  if ((rules || !g->vjp) && why) return why;
  describe_leaves(g);
  if (c->w->o->order > 1) look_up_second(c, g);
  return NULL;
}

static Answer check_function(Gradcheck *c, const FnDecl *decl) {
  const Options *o = c->w->o;
  Session *s = c->w->s;
  GcFunction *g = ARENA_NEW(s->arena, GcFunction);
  *g = (GcFunction){.s = s, .arena = s->arena, .decl = decl, .ctx = c->ctx, .seed = o->seed};
  Answer a = {decl, GC_SKIPPED, skip_or_prepare(c, g), g};
  if (a.reason) return a;
  g->tol = o->tol > 0.0 ? o->tol : g->narrow ? 1e-2 : 1e-6;
  for (int attempt = 0; g->points < o->points && attempt < ATTEMPTS_PER_POINT * (int)o->points; attempt++) {
    if ((attempt >= 4 * ATTEMPTS_PER_POINT && !g->points) || g->endless >= 3) break;
    gradcheck_point(g, attempt);
    if (g->findings.len) break; // one point that shows it is enough
  }
  if (g->findings.len) {
    a.verdict = GC_WRONG;
  } else if (!g->points) {
    a.reason = arena_printf(s->arena, "no random input would do; with the last one, %s",
                            g->failed ? g->failed : "it is too large");
  } else {
    a.verdict = GC_OK;
    if (g->detaches) a.reason = "it uses `detach`, so differences mean something else";
    if (!g->jvp) a.reason = "there is no tangent rule, so forward mode was not compared";
    if (!g->vjp) a.reason = "there is no adjoint rule, so reverse mode was not compared";
    if (g->no_second)
      a.reason = a.reason ? arena_printf(s->arena, "%s; %s", a.reason, g->no_second) : g->no_second;
  }
  return a;
}

// ---- as text -----------------------------------------------------------------------------------------------------------

static const char *verdict_text(Verdict v) {
  switch (v) {
  case GC_OK: return "ok";
  case GC_WRONG: return "wrong";
  case GC_SKIPPED: return "skipped";
  }
  return "";
}

static void add_number(StrBuf *out, const char *name, double v) {
  if (!isnan(v)) sb_addf(out, "        %-12s %.10g\n", name, v);
}

static void print_finding(StrBuf *out, const GcFinding *f) {
  sb_addf(out, "      %s", f->what);
  if (f->argument) sb_addf(out, ": by `%s`, at %.6g", f->argument, f->at);
  sb_addc(out, '\n');
  if (!f->argument && isnan(f->reverse)) return;
  if (!f->argument) add_number(out, "function", f->at);
  add_number(out, f->argument ? "reverse" : "rule", f->reverse);
  add_number(out, "forward", f->forward);
  add_number(out, "differences", f->differences);
  if (isnan(f->differences)) return;
  add_number(out, "off by", fmax(fabs(f->reverse - f->differences), fabs(f->forward - f->differences)));
  if (f->kink)
    sb_addf(out, "        a kink is near, with %.6g on its left and %.6g on its right, and it is neither\n",
            f->left, f->right);
  else
    sb_add(out, "        no kink is near: the quotients from both sides approach each other\n");
}

static void print_answer(StrBuf *out, const Answer *a, int width) {
  const GcFunction *g = a->g;
  sb_addf(out, "%-8s %-*s", verdict_text(a->verdict), a->verdict == GC_WRONG ? 0 : width, a->decl->name);
  switch (a->verdict) {
  case GC_SKIPPED: sb_addf(out, "  %s\n", a->reason); return;
  case GC_WRONG:
    sb_addc(out, '\n');
    for (int i = 0; i < g->findings.len && i < MAX_SHOWN; i++) print_finding(out, &g->findings.data[i]);
    if (g->findings.len > MAX_SHOWN) sb_addf(out, "      and %d more\n", g->findings.len - MAX_SHOWN);
    return;
  case GC_OK: break;
  }
  sb_addf(out, "  %d point%s", g->points, g->points == 1 ? "" : "s");
  if (g->vjp && g->jvp) sb_addf(out, "; reverse and forward differ by %.1e", g->worst_dot);
  if (!g->detaches) sb_addf(out, "; from differences by %.1e", g->worst_diff);
  if ((g->second && g->twice) || ((g->second || g->twice) && !g->detaches)) {
    sb_addf(out, "; second derivatives");
    if (g->second && g->twice) sb_addf(out, " differ by %.1e,", g->worst_twice);
    if (!g->detaches) sb_addf(out, " from differences by %.1e", g->worst_second_diff);
  }
  if (g->kinks) sb_addf(out, "; %d near a kink", g->kinks);
  sb_addc(out, '\n');
  if (a->reason) sb_addf(out, "         %*s  %s\n", width, "", a->reason);
}

static void print_answers(StrBuf *out, const Answers *all) {
  int n[3] = {0}, width = 8;
  for (int i = 0; i < all->len; i++) {
    int len = (int)strlen(all->data[i].decl->name);
    if (len > width) width = len;
    n[all->data[i].verdict]++;
  }
  for (int i = 0; i < all->len; i++) print_answer(out, &all->data[i], width);
  sb_addf(out, "\n%d function%s: %d ok, %d wrong, %d skipped\n", all->len, all->len == 1 ? "" : "s", n[GC_OK],
          n[GC_WRONG], n[GC_SKIPPED]);
}

// ---- as JSON ------------------------------------------------------------------------------------------------------------

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
static json_t *text(const char *s) { return s ? json_string(s) : json_null(); }

static json_t *finding_object(const GcFinding *f) {
  return json_pack("{so so so so so so so so sb}", "what", text(f->what), "argument", text(f->argument), "at",
                   number(f->at), "reverse", number(f->reverse), "forward", number(f->forward), "differences",
                   number(f->differences), "left", number(f->left), "right", number(f->right), "kink",
                   (int)f->kink);
}

static json_t *answer_object(const Gradcheck *c, const Answer *a) {
  const GcFunction *g = a->g;
  int line, column;
  sources_line_col(&c->w->s->sources, a->decl->name_loc, &line, &column);
  json_t *findings = json_array();
  for (int i = 0; findings && i < g->findings.len; i++)
    json_array_append_new(findings, finding_object(&g->findings.data[i]));
  bool compared = a->verdict == GC_OK;
  return json_pack("{ss ss so si so si si so so so}", "function", a->decl->name, "verdict",
                   verdict_text(a->verdict), "file", text(c->w->argv[0]), "line", line, "reason",
                   text(a->reason), "points", g->points, "kinks", g->kinks, "reverseForward",
                   number(compared && g->vjp && g->jvp ? g->worst_dot : (double)NAN), "differences",
                   number(compared && !g->detaches ? g->worst_diff : (double)NAN), "findings", findings);
}

static void print_json(Gradcheck *c, StrBuf *out) {
  json_t *all = json_array();
  for (int i = 0; all && i < c->answers.len; i++)
    json_array_append_new(all, answer_object(c, &c->answers.data[i]));
  char *dump = all ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(all);
  sb_addf(out, "%s\n", dump ? dump : "[]");
  free(dump);
}

// ---- the command -----------------------------------------------------------------------------------------------------------

static bool check_named(Gradcheck *c) {
  Work *w = c->w;
  for (int i = 1; i < w->argc; i++) {
    const FnDecl *decl = named_function(w->s, w->argv[i]);
    if (!decl) return false;
    Answer a = check_function(c, decl);
    vec_push(w->s->arena, &c->answers, a);
    if (a.verdict != GC_OK) w->code = EXIT_FAILED;
  }
  return true;
}

static void check_every(Gradcheck *c) {
  Work *w = c->w;
  const Module *main = w->s->program->main;
  for (int i = 0; i < main->fns.len; i++) {
    const FnDecl *decl = main->fns.data[i];
    if (decl->kind != FN_PLAIN && decl->kind != FN_EXTERN) continue;
    if (!strcmp(decl->name, "main")) continue;
    Answer a = check_function(c, decl);
    vec_push(w->s->arena, &c->answers, a);
    if (a.verdict == GC_WRONG) w->code = EXIT_FAILED;
  }
}

static bool check_program(void *user) {
  Work *w = user;
  Session *s = w->s;
  if (!session_load(s, w->argv[0], NULL, 0)) return false;
  forget_diagnostics(s); // warnings are for `dp check`
  Gradcheck c = {.w = w, .ctx = dp_context_new(NULL)};
  const CgOptions *cg = &w->o->driver.cg;
  dp_options o = {.opt_level = cg->opt_level,
                  .cpu = cg->cpu,
                  .strict_fp = cg->strict_fp,
                  .precise_math = cg->precise_math,
                  .lanes = cg->lanes};
  bool ok = c.ctx && dp_compile(c.ctx, w->argv[0], NULL, 0, &o, &c.program) == DP_OK;
  if (!ok) diag_add(&s->diags, DIAG_BUDGET, LOC_NONE, "out of memory");
  if (ok && w->argc > 1)
    ok = check_named(&c);
  else if (ok)
    check_every(&c);
  if (ok && w->c->json)
    print_json(&c, &w->c->out);
  else if (ok)
    print_answers(&w->c->out, &c.answers);
  dp_context_free(c.ctx);
  return ok;
}

int command_gradcheck(Console *c, Options *o, int argc, char **argv) {
  if (!argc) return usage_error(c, find_command("gradcheck"), "wants a file");
  return with_session(c, o, argc, argv, check_program);
}
