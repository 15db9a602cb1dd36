// Names: symbols, scopes, the table of a module, and what to suggest for a misspelt one.
// In: declarations and uses; out: symbols. What must hold: a symbol's id is unique in the program; a program's own
// functions hide those of the prelude and the built-in ones silently.
#include "sema/check.h"

#include <string.h>

Symbol *symbol_new(Checker *c, SymbolKind kind, Name name, Loc loc, Type *type) {
  Symbol *s = ARENA_NEW(c->a, Symbol);
  *s = (Symbol){
      .kind = kind, .name = name, .loc = loc, .type = type ? type : c->error, .id = ++c->next_symbol};
  s->owner = c->frame ? c->frame->owner : NULL;
  return s;
}

// ---- tables ------------------------------------------------------------------------------------------------------

static int map_slot(const NameMap *m, Name key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
  int i = (int)(h >> 32) & (m->cap - 1);
  while (m->keys[i] && m->keys[i] != key) i = (i + 1) & (m->cap - 1);
  return i;
}

Symbol *map_get(const NameMap *m, Name key) { return m->cap && key ? m->values[map_slot(m, key)] : NULL; }

void map_put(Checker *c, NameMap *m, Name key, Symbol *value) {
  if (!key) return;
  if (m->n * 2 >= m->cap) {
    NameMap bigger = {.cap = m->cap ? m->cap * 2 : 32};
    bigger.keys = ARENA_ARRAY(c->a, Name, bigger.cap);
    bigger.values = ARENA_ARRAY(c->a, Symbol *, bigger.cap);
    for (int i = 0; i < m->cap; i++)
      if (m->keys[i]) map_put(c, &bigger, m->keys[i], m->values[i]);
    *m = bigger;
  }
  int i = map_slot(m, key);
  if (!m->keys[i]) m->n++;
  m->keys[i] = key;
  m->values[i] = value;
}

// ---- scopes ------------------------------------------------------------------------------------------------------

void scope_push(Checker *c) {
  Scope *s = ARENA_NEW(c->a, Scope);
  s->outer = c->scope;
  c->scope = s;
}

static void warn_unused(Checker *c, const Symbol *s) {
  if (s->kind != SYM_LOCAL || s->used || !s->name || s->name[0] == '_' || c->module->is_std) return;
  if (c->d->n_errors) return; // what reads it may be what is wrong
  Diag *g = diag_add(c->d, DIAG_UNUSED, s->loc, "`%s` is never read", s->name);
  diag_help(c->d, g, "remove it, or name it `_%s` if that is meant", s->name);
}

void scope_pop(Checker *c) {
  for (int i = 0; i < c->scope->symbols.len; i++) warn_unused(c, c->scope->symbols.data[i]);
  c->scope = c->scope->outer;
}

enum { MANY_SYMBOLS = 16 }; // from here on a scope has a table

static Symbol *find_here(const Scope *scope, Name name) {
  if (scope->by_name.cap) return map_get(&scope->by_name, name);
  for (int i = scope->symbols.len - 1; i >= 0; i--)
    if (scope->symbols.data[i]->name == name) return scope->symbols.data[i];
  return NULL;
}

Symbol *scope_find(const Scope *scope, Name name) {
  for (; scope; scope = scope->outer) {
    Symbol *s = find_here(scope, name);
    if (s) return s;
  }
  return NULL;
}

void scope_declare(Checker *c, Symbol *s) {
  if (!s->name || s->name == c->n_underscore) return;
  Symbol *before = find_here(c->scope, s->name);
  if (before) {
    Diag *g = diag_add(c->d, DIAG_DUPLICATE, s->loc, "`%s` is declared twice here", s->name);
    diag_label(c->d, g, "declared again");
    if (before->loc.file) diag_span(c->d, g, before->loc, "first declared here");
    if (before->kind == SYM_LOCAL && before->mutable_)
      diag_help(c->d, g, "to change `%s`, assign to it: `%s = ...`", s->name, s->name);
    else
      diag_help(c->d, g, "give one of them another name");
    before->used = true;
  }
  vec_push(c->a, &c->scope->symbols, s);
  Scope *scope = c->scope;
  if (scope->symbols.len == MANY_SYMBOLS)
    for (int i = 0; i < MANY_SYMBOLS; i++)
      map_put(c, &scope->by_name, scope->symbols.data[i]->name, scope->symbols.data[i]);
  else if (scope->symbols.len > MANY_SYMBOLS)
    map_put(c, &scope->by_name, s->name, s);
}

// ---- modules -----------------------------------------------------------------------------------------------------

ModuleInfo *module_info(Checker *c, const Module *m) {
  if (c->info && c->info->module == m) return c->info;
  for (int i = 0; i < c->infos.len; i++)
    if (c->infos.data[i]->module == m) return c->infos.data[i];
  return NULL;
}

Symbol *module_find(Checker *c, const Module *m, Name name) {
  ModuleInfo *info = m ? module_info(c, m) : NULL;
  return info ? map_get(&info->names, name) : NULL;
}

static void report_twice(Checker *c, Name name, Loc loc, Loc before) {
  Diag *g = diag_add(c->d, DIAG_DUPLICATE, loc, "`%s` is declared twice in this file", name);
  diag_label(c->d, g, "declared again");
  if (before.file) diag_span(c->d, g, before, "first declared here");
}

static void declare_fn(Checker *c, ModuleInfo *info, FnDecl *fn) {
  Symbol *s = map_get(&info->names, fn->name);
  if (s && (s->kind != SYM_FN || !info->module->is_std)) {
    report_twice(c, fn->name, fn->name_loc, s->loc);
    return;
  }
  if (!s) {
    s = symbol_new(c, SYM_FN, fn->name, fn->name_loc, NULL);
    map_put(c, &info->names, fn->name, s);
  }
  FnDecl **fns = ARENA_ARRAY(c->a, FnDecl *, s->n_fns + 1);
  if (s->n_fns) memcpy(fns, s->fns, sizeof *fns * (size_t)s->n_fns);
  fns[s->n_fns++] = fn;
  s->fns = fns;
}

// A module that could not be read is declared too, so that its uses are not mistakes of their own.
static void declare_import(Checker *c, ModuleInfo *info, const Import *import) {
  if (!import->alias) return;
  Symbol *before = map_get(&info->names, import->alias);
  if (before) {
    report_twice(c, import->alias, import->loc, before->loc);
    return;
  }
  Symbol *s = symbol_new(c, SYM_MODULE, import->alias, import->loc, NULL);
  s->module = import->module;
  map_put(c, &info->names, import->alias, s);
}

void declare_module(Checker *c, ModuleInfo *info) {
  Module *m = info->module;
  for (int i = 0; i < m->imports.len; i++) declare_import(c, info, &m->imports.data[i]);
  for (int i = 0; i < m->structs.len; i++) {
    StructDecl *d = m->structs.data[i];
    Symbol *before = map_get(&info->names, d->name);
    if (before) {
      report_twice(c, d->name, d->name_loc, before->loc);
      continue;
    }
    Symbol *s = symbol_new(c, SYM_STRUCT, d->name, d->name_loc, NULL);
    s->strukt = d;
    map_put(c, &info->names, d->name, s);
  }
  for (int i = 0; i < m->fns.len; i++)
    if (m->fns.data[i]->kind == FN_PLAIN || m->fns.data[i]->kind == FN_EXTERN)
      declare_fn(c, info, m->fns.data[i]);
}

// ---- looking up --------------------------------------------------------------------------------------------------

static Symbol *find_global(Checker *c, Name name) {
  Symbol *s = c->info ? map_get(&c->info->names, name) : NULL;
  if (!s) s = module_find(c, c->p->prelude, name);
  return s ? s : map_get(&c->builtins, name);
}

Symbol *name_find(Checker *c, Name name) {
  Symbol *s = scope_find(c->scope, name);
  return s ? s : find_global(c, name);
}

Symbol *name_find_callee(Checker *c, Name name) {
  for (const Scope *scope = c->scope; scope; scope = scope->outer) {
    Symbol *s = find_here(scope, name);
    if (s && s->type->kind == TYPE_FN) return s;
  }
  Symbol *s = find_global(c, name);
  return s ? s : scope_find(c->scope, name);
}

// ---- did you mean ------------------------------------------------------------------------------------------------

typedef VEC(Name) Names;

static void add_map(Checker *c, Names *out, const NameMap *m) {
  for (int i = 0; i < m->cap; i++)
    if (m->keys[i]) vec_push(c->a, out, m->keys[i]);
}

static void add_globals(Checker *c, Names *out) {
  if (c->info) add_map(c, out, &c->info->names);
  ModuleInfo *prelude = c->p->prelude ? module_info(c, c->p->prelude) : NULL;
  if (prelude && prelude != c->info) add_map(c, out, &prelude->names);
}

static Name suggest_local(Checker *c, Name name) {
  Names all = {0};
  for (const Scope *s = c->scope; s; s = s->outer)
    for (int i = 0; i < s->symbols.len; i++)
      if (s->symbols.data[i]->loc.file) vec_push(c->a, &all, s->symbols.data[i]->name);
  return nearest_name(name, all.data, all.len);
}

Name suggest_name(Checker *c, Name name) {
  Names all = {0};
  Name near = suggest_local(c, name);
  if (near) return near; // what is near at hand is likelier meant
  add_globals(c, &all);
  add_map(c, &all, &c->builtins);
  return nearest_name(name, all.data, all.len);
}

Name suggest_type(Checker *c, Name name) {
  Names all = {0}, structs = {0};
  add_globals(c, &all);
  for (int i = 0; i < all.len; i++) {
    Symbol *s = find_global(c, all.data[i]);
    if (s && s->kind == SYM_STRUCT) vec_push(c->a, &structs, all.data[i]);
  }
  static const char *const scalars[] = {"bool", "int", "f64", "f32", "real", "str"};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
    vec_push(c->a, &structs, intern_cstr(c->names, scalars[i]));
  return nearest_name(name, structs.data, structs.len);
}

// So that one missing declaration is one mistake: in this function the name is known from now on, and stands for anything.
static void make_known(Checker *c, Name name) {
  Scope *inner = c->scope;
  if (!inner) return;
  while (c->scope->outer) c->scope = c->scope->outer;
  Symbol *s = symbol_new(c, SYM_LOCAL, name, LOC_NONE, c->error);
  s->used = s->mutable_ = true;
  scope_declare(c, s);
  c->scope = inner;
}

typedef struct Elsewhere {        // what other languages call it
  const char *name, *here, *help; // its name here, or what to say instead
} Elsewhere;

static const char no_module[] = "elementary functions need no module: `sqrt(x)`, `sum(v)`";
static const char no_null[] = "dp has no empty value: a variable has a value from its start";
static const char from_source[] =
    "random numbers come from a source: `var r = rng(1)`, then `uniform(inout r, n)` or `normal(inout r, n)`";
static const Elsewhere values_elsewhere[] = {
    {"True", "true", NULL},
    {"False", "false", NULL},
    {"TRUE", "true", NULL},
    {"FALSE", "false", NULL},
    {"length", "len", NULL},
    {"size", "len", NULL},
    {"append", "push", NULL},
    {"ln", "log", NULL},
    {"fabs", "abs", NULL},
    {"sgn", "sign", NULL},
    {"println", "print", NULL},
    {"printf", "print", NULL},
    {"echo", "print", NULL},
    {"eye", "identity", NULL},
    {"arange", "range", NULL},
    {"PI", "pi", NULL},
    {"power", NULL, "the power is `x^y`"},
    {"pow", NULL, "the power is `x^y`"},
    {"gradient", "grad", NULL},
    {"derivative", "grad", NULL},
    {"random", NULL, from_source},
    {"rand", NULL, from_source},
    {"randn", NULL, from_source},
    {"plot", NULL, "`plot_lines(path, x, y)` draws an SVG"},
    {"map", NULL, "an array is made element by element: `[for x in xs: f(x)]`"},
    {"enumerate", NULL, "loop over the indices: `for i in 0..len(xs)`"},
    {"zip", NULL, "loop over the indices: `for i in 0..len(xs)`"},
    {"null", NULL, no_null},
    {"None", NULL, no_null},
    {"nil", NULL, no_null},
    {"math", NULL, no_module},
    {"np", NULL, no_module},
    {"numpy", NULL, no_module},
    {"jnp", NULL, no_module},
    {"torch", NULL, no_module}};

static const Elsewhere *find_elsewhere(Name name) {
  for (size_t i = 0; i < sizeof values_elsewhere / sizeof *values_elsewhere; i++)
    if (strcmp(values_elsewhere[i].name, name) == 0) return &values_elsewhere[i];
  return NULL;
}

// The name of an imported module that has it; NULL if none does.
static Name importing(Checker *c, Name name) {
  for (int i = 0; c->module && i < c->module->imports.len; i++) {
    const Import *im = &c->module->imports.data[i];
    if (im->alias && im->module && module_find(c, im->module, name)) return im->alias;
  }
  return NULL;
}

// Does this text declare the function?
static bool declares(const char *text, Name name) {
  size_t len = strlen(name);
  for (const char *at = strstr(text, "\nfn "); at; at = strstr(at + 1, "\nfn "))
    if (strncmp(at + 4, name, len) == 0 && at[4 + len] == '(') return true;
  return false;
}

// A standard module of that name, or one that has the function; NULL if there is none.
static const char *std_module_with(Checker *c, Name name) {
  const SemaHost *h = c->host;
  const char *with = NULL;
  for (int i = 0; h && h->std_module && h->std_names && h->std_names[i]; i++) {
    const char *module = h->std_names[i];
    if (strcmp(module, "prelude") == 0) continue;
    if (strcmp(module, name) == 0) return module;
    size_t len;
    const char *text = h->std_module(h->user, module, &len);
    if (!with && text && declares(text, name)) with = module;
  }
  return with;
}

Diag *report_unknown_name(Checker *c, Name name, Loc loc) {
  for (int i = 0; c->module && i < c->module->lost.len; i++)
    if (c->module->lost.data[i] == name) return NULL;
  Diag *g = diag_add(c->d, DIAG_NAME, loc, "`%s` is not declared", name);
  const Elsewhere *known = find_elsewhere(name);
  bool seen = c->d->n_errors <= c->d->error_limit; // else nobody will read it
  const char *module = importing(c, name);
  Name near = !seen || module ? NULL : known ? suggest_local(c, name) : suggest_name(c, name);
  if (known && !near && !module) near = known->here;
  const char *std = seen && !module && !known ? std_module_with(c, name) : NULL;
  diag_label(c->d, g, "not found in this scope");
  if (std && strcmp(std, name) == 0) {
    diag_help(c->d, g, "it is a standard module: write `import %s` at the top of the file", std);
  } else if (std) {
    diag_help(c->d, g, "it stands in a standard module: `import %s`, then `%s.%s`", std, std, name);
  } else if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
  } else if (module) {
    diag_help(c->d, g, "it stands in the module `%s`: write `%s.%s`", module, module, name);
  } else if (known) {
    diag_help(c->d, g, "%s", known->help);
  }
  make_known(c, name);
  return near || known || module || std ? NULL : g;
}

// What other languages call it.
static const char *known_elsewhere(Name name) {
  static const char *const types[][2] = {
      {"float", "f64"},   {"double", "f64"}, {"float64", "f64"},  {"number", "f64"}, {"Float", "f64"},
      {"float32", "f32"}, {"single", "f32"}, {"i32", "int"},      {"i64", "int"},    {"int32", "int"},
      {"int64", "int"},   {"long", "int"},   {"usize", "int"},    {"size_t", "int"}, {"integer", "int"},
      {"Int", "int"},     {"Bool", "bool"},  {"boolean", "bool"}, {"string", "str"}, {"String", "str"}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i][0], name) == 0) return types[i][1];
  return NULL;
}

StructDecl *struct_find(Checker *c, Name module, Name name, Loc loc) {
  Symbol *s;
  if (module) {
    Symbol *m = name_find(c, module);
    if (!m || m->kind != SYM_MODULE) {
      report_unknown_name(c, module, loc);
      return NULL;
    }
    if (!m->module) return NULL;
    s = module_find(c, m->module, name);
  } else {
    s = find_global(c, name);
  }
  if (s && s->kind == SYM_STRUCT) return s->strukt;
  Name near = module ? NULL : suggest_type(c, name);
  if (!module && known_elsewhere(name)) near = intern_cstr(c->names, known_elsewhere(name));
  Diag *g = diag_add(c->d, DIAG_TYPE_NAME, loc, "there is no type `%s%s%s`", module ? module : "",
                     module ? "." : "", name);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    if (!module) g->replace = near;
  }
  return NULL;
}
