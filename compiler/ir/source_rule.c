// IR as dp source: which functions are printed, under which names, and their derivative rules.
//
// In: a module. Out: the functions that its exports reach through calls and rules. One of the standard library that has a
// rule is imported. A rule is a function of the module, which the printed rule calls: what is differentiated again meets
// the same rules as in the program.
#include "ir/source.h"

#include <string.h>

// ---- functions of the module ---------------------------------------------------------------------------------------------

static bool is_part(Name path, bool result) { // of a struct or tuple that the signature flattens
  return path && (result ? *path && strspn(path, ".0123456789") < strlen(path) : strchr(path, '.') != NULL);
}

// "<linalg>" of a function that has a rule and is called there as it is here; else NULL.
static const char *library_of(const IrModule *m, const IrFunc *f) {
  const Source *s = f->has_rule && m->sources ? sources_get(m->sources, f->loc) : NULL;
  if (!s || s->path[0] != '<' || !strcmp(s->path, "<text>") || !f->source_name) return NULL;
  for (int k = 0; k < f->n_params; k++)
    if (is_part(f->params[k].path, false) || (k < f->n_sizes && !src_is_implied(f, k))) return NULL;
  for (int k = 0; k < f->n_results; k++)
    if (f->result_leaves && is_part(f->result_leaves[k].path, true)) return NULL;
  return s->path;
}

typedef struct Reach {
  const IrModule *m;
  bool *reached;
} Reach;

static void reach(Reach *r, Name name);

static IrWalk reach_callee(void *user, IrOp *op) {
  if (op->kind == IR_CALL) reach(user, op->attr.sym);
  return IR_WALK_CONTINUE;
}

static void reach(Reach *r, Name name) {
  int at = name ? ir_func_place(r->m, name) : -1;
  if (at < 0 || r->reached[at]) return;
  const IrFunc *f = r->m->funcs.data[at];
  r->reached[at] = true;
  if (!f->body || library_of(r->m, f)) return;
  ir_walk(f->body, reach_callee, r);
  reach(r, f->adjoint_rule);
  reach(r, f->tangent_rule);
}

static void import(Writer *w, const char *path) {
  const char *name = arena_printf(w->arena, "%.*s", (int)strlen(path) - 2, path + 1);
  Name module = intern_cstr(w->m->names, name);
  for (int i = 0; i < w->taken.len; i++)
    if (w->taken.data[i] == module) return;
  vec_push(w->arena, &w->taken, module);
  if (strcmp(name, "prelude") != 0) sb_addf(w->out, "import %s\n", name);
}

static void name_function(Writer *w, int i) {
  const IrFunc *f = w->m->funcs.data[i];
  const char *path = library_of(w->m, f);
  if (!path)
    w->functions[i] = src_fresh(w, f->name);
  else if (!strcmp(path, "<prelude>"))
    w->functions[i] = f->source_name;
  else
    w->functions[i] = arena_printf(w->arena, "%.*s.%s", (int)strlen(path) - 2, path + 1, f->source_name);
}

const bool *src_open_module(Writer *w) {
  const IrModule *m = w->m;
  Reach r = {m, ARENA_ARRAY(w->arena, bool, m->funcs.len)};
  for (int i = 0; i < m->funcs.len; i++)
    if (m->funcs.data[i]->is_export) reach(&r, m->funcs.data[i]->name);
  bool *shown = ARENA_ARRAY(w->arena, bool, m->funcs.len);
  for (int i = 0; i < m->funcs.len; i++) {
    const char *path = r.reached[i] ? library_of(m, m->funcs.data[i]) : NULL;
    shown[i] = r.reached[i] && m->funcs.data[i]->body && !path;
    if (path) import(w, path);
  }
  if (src_externs(w, shown) || w->taken.len) sb_addc(w->out, '\n');
  w->functions = ARENA_ARRAY(w->arena, Name, m->funcs.len);
  for (int exports = 1; exports >= 0; exports--) // whose names are asked for
    for (int i = 0; i < m->funcs.len; i++)
      if (r.reached[i] && m->funcs.data[i]->is_export == exports) name_function(w, i);
  return shown;
}

const char *src_function(const Writer *w, Name name) { return w->functions[ir_func_place(w->m, name)]; }

// ---- rules -------------------------------------------------------------------------------------------------------------

static bool takes(const IrFunc *f, int k) { return ir_is_float(ir_type(f, f->body->args[k])); }

static const char *arguments(Writer *w) {
  const IrFunc *f = w->f;
  StrBuf sb;
  sb_init(&sb, w->arena);
  for (int k = 0, n = 0; k < f->n_params; k++)
    if (!src_is_implied(f, k)) sb_addf(&sb, "%s%s", n++ ? ", " : "", src_text(w, f->body->args[k]));
  return sb.data ? sb.data : "";
}

static void adjoint_rule(Writer *w, const char *params) {
  const IrFunc *f = w->f;
  const char *args = arguments(w), *name = src_function(w, f->name), *dy = src_fresh(w, "dy");
  StrBuf in, left, out;
  sb_init(&in, w->arena);
  sb_init(&left, w->arena);
  sb_init(&out, w->arena);
  sb_add(&in, args);
  for (int k = 0; k < f->n_results; k++) {
    sb_add(&left, k ? ", _" : "_");
    if (!ir_is_float(f->results[k])) continue;
    sb_addf(&in, "%s%s", in.len ? ", " : "", dy);
    if (f->n_results > 1) sb_addf(&in, ".%d", k);
  }
  int n = 0;
  for (int k = 0; k < f->n_params; k++) {
    if (!takes(f, k)) continue;
    const char *d = src_fresh(w, arena_printf(w->arena, "d%s", src_text(w, f->body->args[k])));
    sb_addf(&left, ", %s", d);
    sb_addf(&out, "%s%s", n++ ? ", " : "", d);
  }
  sb_addf(w->out, "adjoint %s(%s) {\n    return %s(%s), fn(%s) => {\n", name, params, name, args, dy);
  sb_addf(w->out, "        let (%s) = %s(%s)\n", left.data, src_function(w, f->adjoint_rule), in.data);
  sb_addf(w->out, n == 1 ? "        return %s\n    }\n}\n" : "        return (%s)\n    }\n}\n", out.data);
}

// Results that are no floats have no tangent: the function's own take their place.
static void tangent_rule(Writer *w, const char *params) {
  const IrFunc *f = w->f;
  const char *args = arguments(w), *name = src_function(w, f->name);
  StrBuf in, types, values, tangents, out;
  StrBuf *all[] = {&in, &types, &values, &tangents, &out};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) sb_init(all[i], w->arena);
  sb_add(&in, args);
  sb_add(&types, params);
  for (int k = 0; k < f->n_params; k++) {
    if (!takes(f, k)) continue;
    const char *d = src_fresh(w, arena_printf(w->arena, "d%s", src_text(w, f->body->args[k])));
    sb_addf(&in, ", %s", d);
    sb_addf(&types, ", %s: %s", d, src_type(w, f->body->args[k], false));
  }
  const char *rule = arena_printf(w->arena, "%s(%s)", src_function(w, f->tangent_rule), in.data);
  int n = 0;
  for (int k = 0; k < f->n_results; k++) {
    bool is_float = ir_is_float(f->results[k]);
    const char *part = src_fresh(w, is_float ? "dy" : "y");
    sb_addf(&values, "%s%s", k ? ", " : "", is_float ? "_" : part);
    if (is_float) sb_addf(&tangents, "%s%s", n++ ? ", " : "", part);
    sb_addf(&out, "%s%s", k ? ", " : "", part);
  }
  sb_addf(w->out, "tangent %s(%s) => ", name, types.data);
  if (n == f->n_results) {
    sb_addf(w->out, "%s\n", rule);
    return;
  }
  sb_addf(w->out, "{\n    let (%s) = %s(%s)\n", values.data, name, args);
  sb_addf(w->out, n == 1 ? "    let %s = %s\n" : "    let (%s) = %s\n", tangents.data, rule);
  sb_addf(w->out, "    return (%s)\n}\n", out.data);
}

void src_rules(Writer *w, const char *params) {
  int taken = w->taken.len;
  if (w->f->adjoint_rule) adjoint_rule(w, params);
  w->taken.len = taken;
  if (w->f->tangent_rule) tangent_rule(w, params);
}
