// The entrance to sema: a program from its main module, a function by name, an expression by its text.
// In: a path or a text; out: the Program, checked. What must hold: the Checker behind a Program lives as long as it, so
// that expressions can be checked against it later.
#include "sema/check.h"

#include <string.h>

typedef struct Whole { // the Program callers see, and what stands behind it
  Program program;
  Checker checker;
} Whole;

static Type *scalar_type(Arena *a, TypeKind kind) {
  Type *t = ARENA_NEW(a, Type);
  t->kind = kind;
  return t;
}

static void add_builtins(Checker *c) {
  for (int i = 0; i < BUILTIN_COUNT; i++) {
    Name name = intern_cstr(c->names, builtin_name((Builtin)i));
    Symbol *s = symbol_new(c, SYM_BUILTIN, name, LOC_NONE, NULL);
    s->n_fns = i; // which one
    map_put(c, &c->builtins, name, s);
  }
}

static void checker_init(Checker *c, Program *p) {
  Arena *a = p->arena;
  *c = (Checker){.p = p, .a = a, .names = p->names, .d = p->diags};
  c->void_ = scalar_type(a, TYPE_VOID);
  c->bool_ = scalar_type(a, TYPE_BOOL);
  c->int_ = scalar_type(a, TYPE_INT);
  c->f32 = scalar_type(a, TYPE_F32);
  c->f64 = scalar_type(a, TYPE_F64);
  c->real = scalar_type(a, TYPE_REAL);
  c->str = scalar_type(a, TYPE_STR);
  c->error = scalar_type(a, TYPE_ERROR);
  c->n_underscore = intern_cstr(p->names, "_");
  c->n_like = intern_cstr(p->names, "like");
  c->n_wrt = intern_cstr(p->names, "wrt");
  c->n_mode = intern_cstr(p->names, "mode");
  c->n_main = intern_cstr(p->names, "main");
  add_builtins(c);
}

static StructDecl *prelude_struct(Checker *c, const char *name) {
  Symbol *s = module_find(c, c->p->prelude, intern_cstr(c->names, name));
  return s && s->kind == SYM_STRUCT ? s->strukt : NULL;
}

static void declare_modules(Checker *c) {
  Program *p = c->p;
  for (int i = 0; i < p->modules.len; i++) {
    ModuleInfo *info = ARENA_NEW(c->a, ModuleInfo);
    info->module = p->modules.data[i];
    vec_push(c->a, &c->infos, info);
  }
  for (int i = 0; i < c->infos.len; i++) declare_module(c, c->infos.data[i]);
  p->optimizer = prelude_struct(c, "Optimizer");
  p->train_report = prelude_struct(c, "TrainReport");
  p->minimize_report = prelude_struct(c, "MinimizeReport");
  p->rng = prelude_struct(c, "Rng");
  for (int i = 0; i < c->infos.len; i++) {
    const Module *m = c->infos.data[i]->module;
    for (int j = 0; j < m->structs.len; j++) resolve_struct(c, m->structs.data[j]);
  }
}

Program *sema_program(Arena *a, Interner *names, Sources *sources, Diags *diags, const SemaHost *host,
                      const char *path, const char *text, size_t len) {
  Whole *w = ARENA_NEW(a, Whole);
  Program *p = &w->program;
  *p = (Program){.arena = a, .names = names, .sources = sources, .diags = diags};
  Checker *c = &w->checker;
  checker_init(c, p);
  if (!load_program(c, host, path, text, len)) return p;
  c->host = host;
  declare_modules(c);
  for (int i = 0; i < c->infos.len; i++) check_module(c, c->infos.data[i]);
  drain_queue(c);
  c->host = NULL;
  return p;
}

FnDecl *sema_find_fn(const Program *p, Name name) {
  for (int i = 0; p->main && i < p->main->fns.len; i++) {
    FnDecl *fn = p->main->fns.data[i];
    if (fn->name == name && (fn->kind == FN_PLAIN || fn->kind == FN_EXTERN)) return fn;
  }
  return NULL;
}

Expr *sema_expr(Program *p, const char *name, const char *text) {
  Checker *c = &((Whole *)p)->checker;
  if (!p->main) return NULL;
  int errors = p->diags->n_errors;
  int file = sources_add(p->sources, name, text, strlen(text));
  if (!file) {
    Diag *g = diag_add(p->diags, DIAG_BUDGET, LOC_NONE,
                       "this program was asked for too many different expressions");
    diag_help(p->diags, g, "compile it again");
    return NULL;
  }
  Expr *e = parse_expression_text(c->a, c->names, p->sources, file, p->diags);
  if (!e) return NULL;
  c->module = p->main;
  c->info = module_info(c, p->main);
  c->frame = NULL;
  c->scope = NULL;
  scope_push(c);
  check_fn_value(c, e, NULL, NULL, -1, "this place");
  c->scope = NULL;
  drain_queue(c);
  return p->diags->n_errors > errors ? NULL : e;
}

// ---- signatures as text ----------------------------------------------------------------------------------------------------

static void print_default(const Expr *e, StrBuf *out) {
  sb_add(out, " = ");
  ast_print_expr(e, out);
}

const char *signature_text(Arena *a, const FnDecl *fn) {
  StrBuf sb;
  sb_init(&sb, a);
  sb_addf(&sb, "fn %s(", fn->name);
  for (int i = 0; i < fn->params.len; i++) {
    const Param *p = &fn->params.data[i];
    sb_addf(&sb, "%s%s%s: ", i ? ", " : "", p->is_inout ? "inout " : "", p->name);
    if (fn->sig)
      type_print(fn->sig->params[i], &sb);
    else if (p->type)
      ast_print_type(p->type, &sb);
    if (p->def) print_default(p->def, &sb);
  }
  sb_addc(&sb, ')');
  const Type *result = fn->sig ? fn->sig->result : NULL;
  if (result && result->kind != TYPE_VOID && result->kind != TYPE_ERROR) {
    sb_add(&sb, " -> ");
    type_print(result, &sb);
  } else if (!fn->sig && fn->result) {
    sb_add(&sb, " -> ");
    ast_print_type(fn->result, &sb);
  }
  return sb.data;
}
