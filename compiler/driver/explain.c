// `dp explain`: what reverse mode does with a function. In: a program and a function. Out: for each loop how it is reversed
// and why, for each value that the reverse sweep reads where it comes from and what that costs, and the arrays and copies of
// the finished derivative, with the places in the program that they come from.
#include "driver/explain.h"

#include "driver/place.h"

#include <string.h>

// ---- names -------------------------------------------------------------------------------------------------------------

static IrLoc loc_of(const IrFunc *f, IrVal v) {
  const IrValue *val = ir_val(f, v);
  if (val->def) return val->def->loc;
  return val->region->owner ? val->region->owner->loc : (IrLoc){f->loc, 0};
}

static Name own_name(const IrFunc *f, IrVal v) {
  const IrValue *val = ir_val(f, v);
  return !val->def && val->region == f->body ? f->params[val->index].path : val->name;
}

// An element of an array by the names of both; NULL: it has none.
static const char *element_name(const Explain *x, const IrFunc *f, const IrOp *op) {
  if (!op || op->kind != IR_GET || !own_name(f, op->args[0])) return NULL;
  StrBuf sb;
  sb_init(&sb, x->arena);
  sb_add(&sb, own_name(f, op->args[0]));
  for (int k = 1; k < op->n_args; k++) {
    Name index = own_name(f, op->args[k]);
    bool again = k > 1 && index && op->args[k] != op->args[k - 1] && index == own_name(f, op->args[k - 1]);
    sb_addf(&sb, "%s%s%s", k > 1 ? ", " : "[", index ? index : "…", again ? "'" : "");
  }
  sb_addc(&sb, ']');
  return sb.data;
}

static const char *value_name(const Explain *x, const IrFunc *f, IrVal v) {
  const char *element = element_name(x, f, ir_val(f, v)->def);
  if (own_name(f, v)) return own_name(f, v);
  if (element) return element;
  const char *text = place_text(x->arena, x->m, loc_of(f, v), 40);
  return *text ? text : "a value";
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

static const Formula *count_of(Explain *x, const IrOp *loop) {
  int line = place_line(x->m, loop->loc);
  const char *name = arena_printf(x->arena, "t%d", line);
  bool known = false;
  for (int i = 0; i < x->counts.len; i++) known |= !strcmp(x->counts.data[i].name, name);
  ExCount c = {name, line};
  if (!known) vec_push(x->arena, &x->counts, c);
  return formula_atom(x->arena, name);
}

static bool runs_again_within(const AdReport *r, const IrOp *op) {
  for (int i = 0; i < r->parts.len; i++)
    for (int k = 0; k < r->parts.data[i].again_within.len; k++)
      if (r->parts.data[i].again_within.data[k] == op) return true;
  return false;
}

// How many iterations there are whose values are kept at once: of the loops around, out to one that runs them again.
static const Formula *iterations(Explain *x, const AdReport *r, const IrOp *op) {
  const Formula *n = formula_const(x->arena, 1);
  for (; op; op = op->parent->owner) {
    const Formula *trips = formula_trips(x->arena, r->f, op);
    if (!trips) return formula_mul(x->arena, n, count_of(x, op)); // counted over everything around it
    n = formula_mul(x->arena, n, trips);
    if (runs_again_within(r, op)) break;
  }
  return n;
}

static void add_saved(Explain *x, const Formula *bytes) { x->saved = formula_add(x->arena, x->saved, bytes); }

// ---- why ---------------------------------------------------------------------------------------------------------------

static const char *cycles(Arena *a, double c) {
  return arena_printf(a, "%.0f cycle%s", c, c == 1.0 ? "" : "s");
}

static const char *why_saved(Arena *a, const AdValue *v) {
  if (v->carried)
    return "the next iteration overwrites it, and to have it again the loop would have to start over";
  if (v->again < 0.0) return "what made it is done once";
  return arena_printf(a, "to compute it again takes about %s, to keep and load it %.0f", cycles(a, v->again),
                      v->keep);
}

static const char *why_computed(Arena *a, const AdPart *p, const AdValue *v, int loops) {
  if (p->order == AD_FUSED && loops < 2) return "value and derivative come from one pass, so it is at hand";
  if (v->keep < 0.0)
    return arena_printf(a, p->order == AD_FUSED ? "about %s" : "about %s; nothing is kept by iteration",
                        cycles(a, v->again > 0.0 ? v->again : 0.0));
  if (v->again > v->keep)
    return arena_printf(a, "about %s, which something else takes anyway", cycles(a, v->again));
  if (v->again >= 0.0)
    return arena_printf(a, "about %s, less than the %.0f to keep and load it", cycles(a, v->again), v->keep);
  return "from what is kept";
}

static const char *why_value(Arena *a, const AdPart *p, const AdValue *v, int loops) {
  switch (v->fate) {
  case AD_SAVED: return why_saved(a, v);
  case AD_COMPUTED: return why_computed(a, p, v, loops);
  case AD_FOLLOWED: return "the sweep runs in the program's order, so its values come by again";
  case AD_IN_SLOT: return "the loop runs on to it from the latest state kept";
  case AD_KNOWN: return "it follows from the number of the iteration";
  case AD_THERE: return "it is computed once, and still there";
  }
  return "";
}

static int loops_at(const Explain *x, const IrOp *op) {
  int n = 0;
  for (int i = 0; i < x->m->funcs.len; i++) {
    const IrFunc *f = x->m->funcs.data[i];
    for (IrVal v = 1; f->body && v < (IrVal)f->vals.len; v++) {
      const IrOp *o = ir_val(f, v)->def;
      if (!o || o->result != v || (o->kind != IR_FOR && o->kind != IR_WHILE && o->kind != IR_BUILD)) continue;
      n += o->loc.loc.off == op->loc.loc.off && o->loc.loc.file == op->loc.loc.file;
    }
  }
  return n;
}

// How often iterations run before they are reversed: with s slots each of binomial(s + r, s) runs up to r + 1 times.
static const char *repetitions(Arena *a, int64_t slots) {
  int64_t reach = 1, r = 0, of[3];
  for (; r < 3; r++) of[r] = reach = reach * (slots + r + 1) / (r + 1);
  return arena_printf(
      a,
      "nothing is kept on the way forwards; an iteration runs twice where there are up to %lld, 3 times "
      "up to %lld, 4 times up to %lld, ...",
      (long long)of[0], (long long)of[1], (long long)of[2]);
}

// The loop over the blocks of a checkpointed one.
static bool is_over_blocks(const IrOp *op) {
  const IrRegion *r = op->regions[0];
  for (int i = 0; op->kind == IR_FOR && i < r->ops.len; i++)
    if (r->ops.data[i]->kind == IR_FOR && r->ops.data[i]->attr.i >= IR_BLOCK) return true;
  return false;
}

static void how_reversed(Arena *a, const AdPart *p, int n, ExPart *out) {
  const IrOp *op = p->op;
  if (!op) {
    out->how = "in two halves";
    out->why =
        "it calls itself, so the forward half leaves what it saves on stacks, and the reverse half takes "
        "it from "
        "there, so nothing is computed twice, whatever the depth";
    return;
  }
  if (p->order == AD_TOGETHER) {
    out->how = "in one descent";
    out->why =
        "the adjoints of the recursive calls' results are known before the calls, which give value and "
        "derivative; nothing is kept";
    return;
  }
  if (op->kind == IR_IF) {
    out->how = "the same side again";
    out->why = "the condition decides once more";
    return;
  }
  if (p->checkpoint >= IR_BLOCK) {
    out->how = "backwards, block by block";
    out->why = arena_printf(
        a,
        "each block of %lld iterations runs twice: it starts again from the state that is kept, and "
        "saves what its own iterations need",
        (long long)(p->checkpoint - IR_BLOCK));
    return;
  }
  if (p->checkpoint < 0) {
    out->how = arena_printf(a, "backwards, from states in %lld slot%s", -(long long)p->checkpoint,
                            p->checkpoint == -1 ? "" : "s");
    out->why = repetitions(a, -p->checkpoint);
    return;
  }
  if (p->order == AD_FUSED) {
    out->how = n == 1   ? "in the same pass"
               : n == 0 ? "within another loop"
                        : "in program order, computing again";
    out->why =
        n == 1
            ? "the adjoints of its results are known before it runs, so one loop gives value and derivative"
        : n == 0 ? "the adjoints of its results are known before it runs, and its work went into another loop"
                 : "the adjoints of its results are known before it runs, so nothing is kept";
    return;
  }
  if (p->order == AD_FORWARD) {
    out->how = "in program order";
    out->why =
        "its iterations only add to their results, so their order does not matter; memory is walked forwards";
    return;
  }
  if (is_over_blocks(op)) {
    out->how = "backwards, in blocks";
    out->why = "only the state at the start of each block of iterations is kept";
    return;
  }
  out->how = p->on_stacks ? "backwards, with stacks" : "backwards";
  out->why =
      p->on_stacks
          ? "iterations depend on each other, and how much each saves is not known beforehand: it goes "
            "to stacks, last in, first out"
      : p->counts ? "iterations depend on each other; how many there were is counted on the way forwards"
                  : "iterations depend on each other";
}

// ---- parts -------------------------------------------------------------------------------------------------------------

// Indices, sizes, and a function's own parameters.
static bool is_dull(const IrFunc *f, const AdValue *v) {
  bool parameter = !ir_val(f, v->v)->def && ir_val(f, v->v)->region == f->body;
  return v->fate != AD_SAVED && (parameter || !ir_is_float(ir_type(f, v->v)));
}

// A scalar of a branch, where no iterations or calls come in between.
static bool stays_in_register(const AdReport *r, const AdPart *p, const AdValue *v) {
  if (!p->op || p->op->kind != IR_IF || p->on_stacks || ir_type(r->f, v->v).rank) return false;
  return runs_again_within(r, p->op) || !p->op->parent->owner;
}

static void add_value(const Explain *x, ExValues *list, const ExValue *v) {
  for (int i = 0; i < list->len; i++) {
    ExValue *have = &list->data[i];
    if (strcmp(have->name, v->name) != 0 || have->line != v->line || have->fate != v->fate) continue;
    if (have->fate != AD_SAVED) return; // parts of one expression
  }
  vec_push(x->arena, list, *v);
}

static const char *kind_of(const IrOp *op) {
  if (!op) return "body";
  return ir_op_info[op->kind].text;
}

static const char *part_text(const Explain *x, const AdReport *r, const AdPart *p) {
  if (!p->op)
    return arena_printf(x->arena, "the body of %s", r->f->source_name ? r->f->source_name : r->f->name);
  const char *text = place_text(x->arena, x->m, p->op->loc, 60);
  if (p->op->kind == IR_IF && p->region == p->op->regions[1])
    return arena_printf(x->arena, "else of %s", text);
  return text;
}

static void add_part(Explain *x, const AdReport *r, const AdPart *p, ExFunction *to) {
  ExPart part = {.text = part_text(x, r, p), .kind = kind_of(p->op), .depth = p->depth};
  part.line = p->op ? place_line(x->m, p->op->loc) : to->line;
  int loops = p->op ? loops_at(x, p->op) : 0;
  how_reversed(x->arena, p, loops, &part);
  const Formula *runs = iterations(x, r, p->op);
  if (r->halves) runs = formula_mul(x->arena, runs, formula_atom(x->arena, "calls"));
  for (int k = 0; k < p->values.len; k++) {
    const AdValue *v = &p->values.data[k];
    if (is_dull(r->f, v)) continue;
    ExValue value = {
        .name = value_name(x, r->f, v->v), .line = place_line(x->m, loc_of(r->f, v->v)), .fate = v->fate};
    value.why = why_value(x->arena, p, v, loops);
    if (v->fate == AD_SAVED && stays_in_register(r, p, v)) {
      bool again = runs_again_within(r, p->op);
      value.fate = again ? AD_COMPUTED : AD_THERE;
      value.why =
          again ? "the branch is taken once more just before" : "it is computed once, and still there";
    } else if (v->fate == AD_SAVED) {
      value.takes_memory = true;
      value.each = p->on_stacks && !ir_type(r->f, v->v).rank ? formula_const(x->arena, 8)
                                                             : formula_bytes(x->arena, r->f, v->v);
      value.total = formula_mul(x->arena, value.each, runs);
      add_saved(x, value.total);
    }
    if (v->fate == AD_IN_SLOT) {
      value.takes_memory = true;
      value.each = formula_bytes(x->arena, r->f, v->v);
      value.total = formula_mul(x->arena, value.each, formula_const(x->arena, -p->checkpoint));
      add_saved(x, value.total);
    }
    add_value(x, &part.values, &value);
  }
  if (p->op && p->op->kind == IR_IF && !part.values.len) return; // nothing to tell
  vec_push(x->arena, &to->parts, part);
}

static bool is_result(const IrFunc *f, IrVal v) {
  for (int k = 0; k < f->n_results; k++)
    if (f->body->yields[k] == v) return true;
  return false;
}

static void add_there(Explain *x, const AdReport *r, ExFunction *to) {
  for (int k = 0; k < r->there.len; k++) {
    IrVal v = r->there.data[k].v;
    IrType t = ir_type(r->f, v);
    if (!t.rank) continue; // scalars stay in registers
    ExValue value = {
        .name = value_name(x, r->f, v), .line = place_line(x->m, loc_of(r->f, v)), .fate = AD_THERE};
    value.takes_memory = true;
    value.each = value.total = t.grow ? NULL : formula_bytes(x->arena, r->f, v);
    bool result = is_result(r->f, v);
    value.why = result ? "it is a result anyway" : "it is computed once, and still there";
    if (!result) add_saved(x, value.total);
    vec_push(x->arena, &to->there, value);
  }
}

static const char *wrt_text(const Explain *x, const IrFunc *f, const bool *wrt) {
  StrBuf sb;
  sb_init(&sb, x->arena);
  for (int k = f->n_sizes; k < f->n_params; k++)
    if (wrt[k]) sb_addf(&sb, "%s%s", sb.len ? ", " : "", f->params[k].path);
  return sb.data ? sb.data : "";
}

typedef struct Planned { // a function and what was decided for it
  const bool *wrt;
  bool called; // by a function that is differentiated, and recursive
  AdReport report;
} Planned;
typedef VEC(Planned) PlannedVec;

// The function, and the recursive ones that it calls.
static void plan_all(Explain *x, IrFunc *f, const bool *wrt, const AdReport *by, PlannedVec *out) {
  for (int i = 0; by && i < out->len; i++)
    if (out->data[i].called && out->data[i].report.f->name == f->name) return;
  Planned now = {.wrt = wrt, .called = by != NULL};
  ad_explain(f, wrt, by, &now.report);
  if (now.report.refused) return; // told when it was differentiated
  for (int i = 0; by && now.report.descent && i < out->len; i++)
    if (out->data[i].report.descent && out->data[i].report.f->name == f->name) return; // the same descent
  vec_push(x->arena, out, now);
  for (int i = 0; i < now.report.calls.len; i++) {
    IrFunc *callee = ir_func_find(x->m, now.report.calls.data[i]->attr.sym);
    if (callee && callee->body) plan_all(x, callee, now.report.calls_wrt.data[i], &now.report, out);
  }
}

static void explain_function(Explain *x, const Planned *p) {
  const IrFunc *f = p->report.f;
  ExFunction now = {.name = f->source_name ? f->source_name : f->name,
                    .halves = p->report.halves,
                    .descent = p->report.descent};
  now.by = wrt_text(x, f, p->wrt);
  now.line = place_line(x->m, (IrLoc){f->loc, 0});
  for (int i = 0; i < p->report.parts.len; i++) add_part(x, &p->report, &p->report.parts.data[i], &now);
  add_there(x, &p->report, &now);
  vec_push(x->arena, &x->functions, now);
}

// ---- arrays and copies of the finished derivative ------------------------------------------------------------------

// Follows a result back to where its memory comes from.
static void mark_results(const IrFunc *f, IrVal v, int which, int *result) {
  const IrValue *val = ir_val(f, v);
  const IrOp *op = val->def;
  if (!val->type.rank || result[v]) return;
  result[v] = which;
  if (!op) {
    const IrOp *owner = val->region->owner;
    int first = owner && owner->kind == IR_FOR ? 1 : 0;
    if (owner && owner->kind != IR_BUILD && owner->kind != IR_IF && val->index >= first)
      mark_results(f, owner->args[(owner->kind == IR_FOR ? 3 : 0) + val->index - first], which, result);
    return;
  }
  int k = (int)(v - op->result);
  if (op->kind == IR_FOR) mark_results(f, op->args[3 + k], which, result);
  if (op->kind == IR_WHILE) mark_results(f, op->args[k], which, result);
  for (int i = op->kind == IR_WHILE; op->kind != IR_BUILD && i < op->n_regions; i++)
    mark_results(f, op->regions[i]->yields[k], which, result);
  if (ir_op_info[op->kind].flags & IR_U) mark_results(f, op->args[0], which, result);
}

static bool within_loop(const IrOp *op) {
  for (const IrOp *o = op->parent->owner; o; o = o->parent->owner)
    if (o->kind != IR_IF) return true;
  return false;
}

static const char *why_copied(const IrFunc *f, const IrOp *op) {
  const IrValue *from = ir_val(f, op->args[0]);
  if (!from->def && from->region == f->body) return "a parameter is only lent, and this would change it";
  if (from->region != op->parent) return "it is needed again outside, or by the next iteration";
  return "it is still needed afterwards";
}

// What an array that starts out empty or zero is for: is it added to, or written element by element, in some loop?
static void find_purpose(const IrFunc *f, IrVal v, bool *added, bool *written) {
  for (IrVal w = 1; w < (IrVal)f->vals.len; w++) {
    const IrOp *op = ir_val(f, w)->def;
    if (!op || op->result != w) continue;
    for (int k = 0; k < op->n_args; k++) {
      if (op->args[k] != v) continue;
      *added |= k == 0 && (op->kind == IR_ACC || op->kind == IR_MATACC);
      *written |= k == 0 && (op->kind == IR_SET || op->kind == IR_PUSH);
      if (op->kind == IR_FOR && k >= 3) find_purpose(f, op->regions[0]->args[k - 2], added, written);
      if (op->kind == IR_WHILE) find_purpose(f, op->regions[1]->args[k], added, written);
    }
  }
}

static const char *purpose(const IrFunc *f, const IrOp *op) {
  bool added = false, written = false;
  if (op->kind != IR_FILL && op->kind != IR_EMPTY) return NULL;
  find_purpose(f, op->result, &added, &written);
  return added ? "an adjoint that is added up" : written ? "filled on the way" : NULL;
}

typedef struct Scan {
  Explain *x;
  const IrFunc *f;
  int *result; // by value: which result it becomes, from 1 on; 0: none
} Scan;

// Result k of the derivative: behind the value come the adjoints of what it is differentiated by.
static const char *result_name(const Explain *x, const IrFunc *f, int k) {
  if (!f->is_export || f->n_results < x->by.len) return NULL;
  int first = f->n_results - x->by.len;
  return k < first ? "the value" : arena_printf(x->arena, "adjoint of %s", x->by.data[k - first]);
}

static IrWalk scan_op(void *user, IrOp *op) {
  Scan *s = user;
  Explain *x = s->x;
  bool makes = op->kind == IR_FILL || op->kind == IR_BUILD || op->kind == IR_MATMUL || op->kind == IR_EMPTY;
  if (!makes && op->kind != IR_COPY) return IR_WALK_CONTINUE;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    IrVal named = op->kind == IR_COPY ? op->args[0] : v;
    ExMemory m = {.function = s->f->source_name ? s->f->source_name : s->f->name,
                  .name = value_name(x, s->f, named),
                  .line = place_line(x->m, op->loc),
                  .bytes = formula_bytes(x->arena, s->f, v),
                  .grows = ir_type(s->f, v).grow,
                  .in_loop = within_loop(op),
                  .on_stack = op->on_stack,
                  .is_result = s->result[v] != 0};
    const char *result = s->result[v] ? result_name(x, s->f, s->result[v] - 1) : NULL;
    if (result && op->kind != IR_COPY) m.name = result;
    m.why = op->kind == IR_COPY ? why_copied(s->f, op) : purpose(s->f, op);
    if (op->kind == IR_COPY)
      vec_push(x->arena, &x->copies, m);
    else
      vec_push(x->arena, &x->arrays, m);
  }
  return IR_WALK_CONTINUE;
}

static void explain_memory(Explain *x) {
  for (int i = 0; i < x->m->funcs.len; i++) {
    const IrFunc *f = x->m->funcs.data[i];
    if (!f->body) continue;
    Scan s = {x, f, ARENA_ARRAY(x->arena, int, f->vals.len)};
    for (int k = 0; k < f->n_results; k++) mark_results(f, f->body->yields[k], k + 1, s.result);
    ir_walk(f->body, scan_op, &s);
  }
}

// ---- the command -----------------------------------------------------------------------------------------------------------

static IrWalk find_dcall(void *user, IrOp *op) {
  const IrOp **found = user;
  if (op->kind == IR_DCALL) *found = op;
  return *found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static bool explain_program(void *user) {
  Work *w = user;
  Session *s = w->s;
  if (!session_load(s, w->argv[0], NULL, 0)) return false;
  const FnDecl *fn = named_function(s, w->argv[1]);
  if (!fn) return false;
  const char *op = type_is_float(fn->sig->result) ? "value_and_grad" : "vjp", *wrt = w->o->wrt;
  Expr *e =
      sema_expr(s->program, "<command line>",
                arena_printf(s->arena, "%s(%s%s%s)", op, fn->name, wrt ? ", wrt: " : "", wrt ? wrt : ""));
  if (!e || s->diags.n_errors) return false;
  Name name = intern_cstr(s->names, arena_printf(s->arena, "%s_adjoint", fn->name));
  LowerRoot root = {.expr = e, .real = IR_F64, .name = name};
  Explain x = {.s = s, .arena = s->arena, .saved = formula_const(s->arena, 0)};
  x.m = session_lower(s, &root, 1);
  if (!x.m) return false;
  const IrOp *asked = NULL;
  ir_walk(ir_func_find(x.m, name)->body, find_dcall, &asked);
  const IrDeriv *d = asked ? asked->attr.deriv : NULL;
  PlannedVec planned = {0};
  const IrFunc *target = d ? ir_func_find(x.m, d->callee) : NULL;
  for (int k = 0; d && k < d->n_params; k++)
    if (d->wrt[k]) vec_push(x.arena, &x.by, target->params[k].path);
  if (!session_differentiate(s, x.m)) return false;
  if (d) plan_all(&x, ir_func_find(x.m, d->callee), d->wrt, NULL, &planned);
  opt_for_reading(s->o.disabled);
  if (!session_optimize(s, x.m)) return false; // which of them went together shows then
  for (int i = 0; i < planned.len; i++) explain_function(&x, &planned.data[i]);
  explain_memory(&x);
  if (x.functions.len && (fn->adjoint_rule || fn->tangent_rule))
    x.functions.data[0].rule = fn->adjoint_rule
                                   ? "it has an adjoint rule of its own, which is used as it stands"
                                   : "it has a tangent rule alone";
  if (w->c->json)
    explain_json(&x, &w->c->out);
  else
    explain_text(&x, &w->c->out);
  return true;
}

static bool explain_swell(void *user) { return swell_show(user); }

int command_explain(Console *c, Options *o, int argc, char **argv) {
  if (o->symbolic) {
    if (argc)
      return usage_error(c, find_command("explain"), "--symbolic is a demonstration and takes no file");
    return with_session(c, o, argc, argv, explain_swell);
  }
  if (argc != 2) return usage_error(c, find_command("explain"), "wants a file and a function");
  if (!wrt_is_list(c, o)) return EXIT_USAGE;
  return with_session(c, o, argc, argv, explain_program);
}
