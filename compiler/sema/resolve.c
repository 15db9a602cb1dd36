// Types as written -> types; struct declarations; signatures.
// In: TypeExprs; out: Types, the sizes they bind as symbols in the scope at hand. What must hold: within a signature a
// size name is bound by the first size that is the bare name, in whichever parameter, unless it is an int parameter.
#include "sema/check.h"

#include <string.h>

static Size *fresh_unknown(Checker *c, Loc loc, const char *what) { return fresh_opaque(c, loc, what); }

// ---- sizes as written ------------------------------------------------------------------------------------------------

static bool binds_here(const Checker *c, const Expr *e) {
  return c->sizes_in != SIZES_UNKNOWN_IS_ERROR && e->kind == EXPR_NAME && !scope_find(c->scope, e->name.name);
}

// A bare name that nothing declares: a new size, or in a result some size.
static Size *bind_size_name(Checker *c, Expr *e) {
  Symbol *s = symbol_new(c, SYM_SIZE, e->name.name, e->loc, c->int_);
  s->used = true;
  s->size = c->sizes_in == SIZES_BIND ? size_symbol(c->a, s) : fresh_unknown(c, e->loc, e->name.name);
  e->name.symbol = s;
  e->type = c->int_;
  e->size = s->size;
  scope_declare(c, s);
  return s->size;
}

static void report_size_name(Checker *c, const Expr *e) {
  Diag *g = diag_add(c->d, DIAG_SIZE_UNBOUND, e->loc, "the size `%s` is not bound here", e->name.name);
  diag_label(c->d, g, "not known");
  if (!c->frame) {
    diag_help(c->d, g, "a struct's sizes stand behind its name: `struct Name[%s] { ... }`", e->name.name);
    return;
  }
  diag_help(c->d, g,
            "a size name is bound by a parameter that has it alone in its type, such as `x: [%s]f64`, "
            "or by an int parameter `%s: int`",
            e->name.name, e->name.name);
}

// Within arithmetic only names that are known already will do.
static bool names_known(Checker *c, const Expr *e) {
  switch (e->kind) {
  case EXPR_NAME:
    if (scope_find(c->scope, e->name.name)) return true;
    report_size_name(c, e);
    return false;
  case EXPR_UNARY: return names_known(c, e->unary.arg);
  case EXPR_BINARY: {
    bool left = names_known(c, e->binary.left);
    return names_known(c, e->binary.right) && left;
  }
  case EXPR_CALL:
    for (int i = 0; i < e->call.args.len; i++)
      if (!names_known(c, e->call.args.data[i].value)) return false;
    return true;
  default: return true;
  }
}

static Size *resolve_size(Checker *c, Expr *e) {
  if (!e || e->kind == EXPR_ERROR) return fresh_unknown(c, e ? e->loc : LOC_NONE, "_");
  if (e->kind == EXPR_HOLE) {
    e->type = c->int_;
    return e->size = fresh_unknown(c, e->loc, "_");
  }
  if (binds_here(c, e)) return bind_size_name(c, e);
  if (!names_known(c, e) || !check_int(c, e, "a size")) return fresh_unknown(c, e->loc, "_");
  int64_t v;
  if (e->size && size_is_const(e->size, &v) && v < 0) {
    diag_add(c->d, DIAG_SIZE_EXPR, e->loc, "a size cannot be negative: this is %lld", (long long)v);
    return fresh_unknown(c, e->loc, "_");
  }
  if (e->size) return e->size;
  Diag *g = diag_add(c->d, DIAG_SIZE_EXPR, e->loc, "this cannot be a size in a type");
  diag_note(c->d, g, "a size is made of size names, immutable ints and numbers with `+`, `-`, `*` and `div`");
  diag_help(c->d, g, "write `_` for a size that is only known when the program runs");
  return fresh_unknown(c, e->loc, "_");
}

// Bare names first, so that `[2 * n, n]f64` binds n.
static Size **resolve_sizes(Checker *c, const ExprVec *sizes) {
  Size **out = ARENA_ARRAY(c->a, Size *, sizes->len + 1);
  for (int i = 0; i < sizes->len; i++)
    if (sizes->data[i] && binds_here(c, sizes->data[i])) out[i] = bind_size_name(c, sizes->data[i]);
  for (int i = 0; i < sizes->len; i++)
    if (!out[i]) out[i] = resolve_size(c, sizes->data[i]);
  return out;
}

// ---- types as written ------------------------------------------------------------------------------------------------

static Type *scalar_named(Checker *c, Name name) {
  const struct {
    const char *name;
    Type *type;
  } scalars[] = {{"bool", c->bool_}, {"int", c->int_},  {"f64", c->f64},
                 {"f32", c->f32},    {"real", c->real}, {"str", c->str}};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
    if (strcmp(scalars[i].name, name) == 0) return scalars[i].type;
  return NULL;
}

static Type *resolve_struct_type(Checker *c, TypeExpr *t) {
  const char *dot = strchr(t->name, '.');
  Name module = dot ? intern(c->names, t->name, (size_t)(dot - t->name)) : NULL;
  Name name = dot ? intern_cstr(c->names, dot + 1) : t->name;
  StructDecl *decl = struct_find(c, module, name, t->loc);
  if (!decl) return c->error;
  Size **sizes = resolve_sizes(c, &t->sizes);
  if (t->sizes.len == decl->sizes.len) return type_struct(c, decl, sizes);
  StrBuf form;
  sb_init(&form, c->a);
  sb_add(&form, decl->name);
  for (int i = 0; i < decl->sizes.len; i++) sb_addf(&form, "%s%s", i ? ", " : "[", decl->sizes.data[i]);
  if (decl->sizes.len) sb_addc(&form, ']');
  Diag *g = diag_add(c->d, DIAG_SIZE_ARGS, t->loc, "`%s` has %d size parameter%s, not %d", decl->name,
                     decl->sizes.len, decl->sizes.len == 1 ? "" : "s", t->sizes.len);
  diag_span(c->d, g, decl->name_loc, "declared here as `%s`", form.data);
  diag_help(c->d, g, "write `%s`, with any size or size name within the brackets", form.data);
  return c->error;
}

static Type *resolve_name(Checker *c, TypeExpr *t) {
  Type *scalar = scalar_named(c, t->name);
  if (!scalar) return resolve_struct_type(c, t);
  if (t->sizes.len) {
    Diag *g = diag_add(c->d, DIAG_SIZE_ARGS, t->loc, "`%s` has no sizes", t->name);
    diag_help(c->d, g, "an array's sizes come first: `[n]%s`", t->name);
    return c->error;
  }
  if (scalar->kind != TYPE_REAL || (c->frame && c->frame->has_real)) return scalar;
  Diag *g =
      diag_add(c->d, DIAG_TYPE_USE, t->loc, "`real` stands only in a function whose parameters mention it");
  diag_note(c->d, g, "it means f32 or f64, whichever the call passes, the same throughout one signature");
  diag_help(c->d, g, "write `f64` or `f32` here");
  return c->error;
}

static Type *report_element(Checker *c, Loc loc, const Type *elem, const char *of) {
  if (elem->kind == TYPE_ERROR) return c->error;
  Diag *g = diag_add(c->d, DIAG_TYPE_USE, loc, "%s cannot hold `%s`", of, type_text(c->a, elem));
  if (elem->kind == TYPE_FN) diag_note(c->d, g, "functions are specialised, never stored");
  return c->error;
}

static Type *resolve_array(Checker *c, TypeExpr *t) {
  Size **sizes = resolve_sizes(c, &t->sizes);
  if (!t->elem) return c->error;
  Type *elem = resolve_type(c, t->elem, c->sizes_in);
  if (elem->kind == TYPE_FN || elem->kind == TYPE_STR || type_has_grow(elem))
    return report_element(c, t->loc, elem, "an array");
  Type *array = type_array(c, elem, t->sizes.len, sizes);
  if (array->kind != TYPE_ARRAY || array->rank <= MAX_RANK) return array;
  diag_add(c->d, DIAG_TYPE_USE, t->loc, "an array has at most %d axes, not %d", MAX_RANK, array->rank);
  return c->error;
}

static bool holds_array(void *user, const Type *t) {
  return t->kind == TYPE_ARRAY || t->kind == TYPE_GROW || type_any_part(t, holds_array, user);
}

static Type *resolve_grow(Checker *c, TypeExpr *t) {
  Type *elem = t->elem ? resolve_type(c, t->elem, c->sizes_in) : c->error;
  if (elem->kind == TYPE_FN || elem->kind == TYPE_STR || holds_array(NULL, elem))
    return report_element(c, t->loc, elem, "a growable array");
  return type_grow(c, elem);
}

static Type *resolve_tuple(Checker *c, TypeExpr *t) {
  Type **parts = ARENA_ARRAY(c->a, Type *, t->parts.len + 1);
  for (int i = 0; i < t->parts.len; i++) {
    parts[i] = resolve_type(c, t->parts.data[i], c->sizes_in);
    if (parts[i]->kind == TYPE_FN) parts[i] = report_element(c, t->parts.data[i]->loc, parts[i], "a tuple");
  }
  return type_tuple(c, parts, NULL, t->parts.len);
}

// The sizes of a function parameter's type are those of the signature around it.
static Type *resolve_fn_type(Checker *c, TypeExpr *t) {
  Type **params = ARENA_ARRAY(c->a, Type *, t->parts.len + 1);
  for (int i = 0; i < t->parts.len; i++)
    params[i] = resolve_type(c, t->parts.data[i], SIZES_UNKNOWN_IS_ERROR);
  Type *result = t->result ? resolve_type(c, t->result, SIZES_UNKNOWN_IS_ERROR) : c->void_;
  if (result->kind == TYPE_FN) result = report_element(c, t->result->loc, result, "a function's result");
  return type_fn(c, params, t->parts.len, result, NULL);
}

Type *resolve_type(Checker *c, TypeExpr *t, SizeNames names) {
  if (!t) return c->error;
  int outer = c->sizes_in;
  c->sizes_in = (int)names;
  Type *type = c->error;
  switch (t->kind) {
  case TYPEX_NAME: type = resolve_name(c, t); break;
  case TYPEX_ARRAY: type = resolve_array(c, t); break;
  case TYPEX_GROW: type = resolve_grow(c, t); break;
  case TYPEX_TUPLE: type = resolve_tuple(c, t); break;
  case TYPEX_FN: type = resolve_fn_type(c, t); break;
  case TYPEX_ERROR: break;
  }
  c->sizes_in = outer;
  if (type_is_huge(type)) type = report_huge(c, t->loc, type);
  return t->type = type;
}

// ---- structs -------------------------------------------------------------------------------------------------------

static bool holds_struct(void *decl, const Type *t) {
  return (t->kind == TYPE_STRUCT && t->decl == decl) || type_any_part(t, holds_struct, decl);
}

// The structs a field's type names, resolved before the field, so that a cycle shows itself. False: too many within one
// another.
static bool resolve_named(Checker *c, const TypeExpr *t) {
  if (!t) return true;
  bool ok = true;
  if (t->kind == TYPEX_NAME && !strchr(t->name, '.') && !scalar_named(c, t->name)) {
    Symbol *s = name_find(c, t->name);
    ok = !s || s->kind != SYM_STRUCT || s->strukt->checked || c->struct_depth < MAX_TYPE_DEPTH;
    if (ok && s && s->kind == SYM_STRUCT) resolve_struct(c, s->strukt);
  }
  ok = resolve_named(c, t->elem) && ok;
  for (int i = 0; i < t->parts.len; i++) ok = resolve_named(c, t->parts.data[i]) && ok;
  return ok;
}

static void declare_struct_sizes(Checker *c, StructDecl *s) {
  s->size_symbols = ARENA_ARRAY(c->a, Symbol *, s->sizes.len + 1);
  for (int i = 0; i < s->sizes.len; i++) {
    Symbol *size = symbol_new(c, SYM_SIZE, s->sizes.data[i], s->name_loc, c->int_);
    size->owner = s;
    size->used = true;
    size->size = size_symbol(c->a, size);
    s->size_symbols[i] = size;
    scope_declare(c, size);
  }
}

static Type *resolve_field(Checker *c, StructDecl *s, FieldDecl *f) {
  if (!resolve_named(c, f->type)) {
    diag_add(c->d, DIAG_TYPE_USE, f->loc, "structs are nested more than %d deep", MAX_TYPE_DEPTH);
    return c->error;
  }
  Type *t = resolve_type(c, f->type, SIZES_UNKNOWN_IS_ERROR);
  if (t->kind == TYPE_FN) return report_element(c, f->type->loc, t, "a struct");
  if (!holds_struct((void *)s, t)) return t;
  Diag *g = diag_add(c->d, DIAG_RECURSIVE, f->loc, "`%s` would contain itself", s->name);
  diag_note(c->d, g, "a struct is its fields, one after another; there are no pointers");
  return c->error;
}

void resolve_struct(Checker *c, StructDecl *s) {
  if (s->checked) return;
  s->checked = true;
  c->struct_depth++;
  ModuleInfo *info = c->info;
  Module *module = c->module;
  Frame *frame = c->frame;
  Scope *scope = c->scope;
  c->info = module_info(c, s->module);
  c->module = s->module;
  c->frame = NULL;
  c->scope = NULL;
  scope_push(c);
  declare_struct_sizes(c, s);
  Type **types = ARENA_ARRAY(c->a, Type *, s->fields.len + 1);
  for (int i = 0; i < s->fields.len; i++) types[i] = c->error;
  s->field_types = types;
  bool huge = false;
  for (int i = 0; i < s->fields.len; i++) {
    FieldDecl *f = &s->fields.data[i];
    for (int j = 0; j < i; j++)
      if (s->fields.data[j].name == f->name)
        diag_span(c->d, diag_add(c->d, DIAG_DUPLICATE, f->loc, "the field `%s` is declared twice", f->name),
                  s->fields.data[j].loc, "first declared here");
    types[i] = resolve_field(c, s, f);
    int leaves = s->leaves, depth = s->depth;
    struct_add_field(s, types[i]);
    Type whole = {.kind = TYPE_STRUCT, .leaves = s->leaves, .depth = s->depth};
    if (!type_is_huge(&whole)) continue;
    types[i] = huge ? c->error : report_huge(c, f->loc, &whole);
    huge = true;
    s->leaves = leaves; // the struct goes on without this field's contents
    s->depth = depth;
  }
  c->struct_depth--;
  c->scope = scope;
  c->frame = frame;
  c->module = module;
  c->info = info;
}

// ---- signatures ------------------------------------------------------------------------------------------------------

static bool mentions_real(const TypeExpr *t) {
  if (!t) return false;
  if (t->kind == TYPEX_NAME && strcmp(t->name, "real") == 0) return true;
  if (mentions_real(t->elem) || mentions_real(t->result)) return true;
  for (int i = 0; i < t->parts.len; i++)
    if (mentions_real(t->parts.data[i])) return true;
  return false;
}

static bool is_int_type(const TypeExpr *t) {
  return t && t->kind == TYPEX_NAME && strcmp(t->name, "int") == 0;
}

static void declare_param(Checker *c, Param *p, Type *type) {
  Symbol *s = symbol_new(c, SYM_PARAM, p->name, p->loc, type);
  s->mutable_ = p->is_inout;
  if (type->kind == TYPE_INT && !p->is_inout) s->size = size_symbol(c->a, s);
  p->symbol = s;
  scope_declare(c, s);
}

static bool param_comes_later(const FnDecl *fn, int i) {
  const TypeExpr *t = fn->params.data[i].type;
  return t && t->kind == TYPEX_FN;
}

static bool is_param(const FnDecl *fn, Name name) {
  for (int i = 0; i < fn->params.len; i++)
    if (fn->params.data[i].name == name) return true;
  return false;
}

static void bind_bare_sizes(Checker *c, const FnDecl *fn, const TypeExpr *t) {
  if (!t || t->kind == TYPEX_FN) return;
  for (int i = 0; i < t->sizes.len; i++) {
    Expr *e = t->sizes.data[i];
    if (e && binds_here(c, e) && !is_param(fn, e->name.name)) bind_size_name(c, e);
  }
  bind_bare_sizes(c, fn, t->elem);
  for (int i = 0; i < t->parts.len; i++) bind_bare_sizes(c, fn, t->parts.data[i]);
}

// int parameters first: their names are sizes in every other type. Then the sizes that stand alone, so that arithmetic
// may come before them. Function types last: they use sizes and bind none.
static void resolve_params(Checker *c, FnDecl *fn, Signature *sig) {
  c->sizes_in = SIZES_BIND;
  for (int pass = 0; pass < 3; pass++) {
    for (int i = 0; pass == 1 && i < fn->params.len; i++) bind_bare_sizes(c, fn, fn->params.data[i].type);
    for (int i = 0; i < fn->params.len; i++) {
      Param *p = &fn->params.data[i];
      int turn = is_int_type(p->type) ? 0 : param_comes_later(fn, i) ? 2 : 1;
      if (turn != pass) continue;
      sig->params[i] = resolve_type(c, p->type, SIZES_BIND);
      declare_param(c, p, sig->params[i]);
    }
  }
}

static void check_default(Checker *c, const FnDecl *fn, Param *p, Type *type) {
  if (!p->def) return;
  if (!is_constant(p->def)) {
    Diag *g = diag_add(c->d, DIAG_CONST, p->def->loc, "the default of `%s` is not a constant", p->name);
    diag_help(c->d, g, "a default is a number, a string, true or false, or an array of those");
    p->def->kind = EXPR_ERROR; // a call within would want it again
    p->def->type = c->error;
    return;
  }
  check_expr(c, p->def, type);
  if (type->kind == TYPE_REAL && type_is_numeric(p->def->type)) return;
  expect_type(c, p->def, type, "the default of `%s` in `%s`", p->name, fn->name);
  if (p->is_inout) diag_add(c->d, DIAG_CONST, p->def->loc, "an inout parameter cannot have a default");
}

static void collect_sizes(Checker *c, Signature *sig, const Scope *scope) {
  sig->sizes = ARENA_ARRAY(c->a, Symbol *, scope->symbols.len + 1);
  for (int i = 0; i < scope->symbols.len; i++)
    if (scope->symbols.data[i]->kind == SYM_SIZE) sig->sizes[sig->n_sizes++] = scope->symbols.data[i];
}

static Type *resolve_result(Checker *c, FnDecl *fn) {
  if (!fn->result) return fn->lacks_result ? c->error : c->void_;
  scope_push(c); // names bound by the result alone are not sizes of the body
  Type *t = resolve_type(c, fn->result, SIZES_OPAQUE);
  c->scope = c->scope->outer;
  return t->kind == TYPE_FN ? report_element(c, fn->result->loc, t, "a function's result") : t;
}

static void resolve_signature(Checker *c, FnDecl *fn, FnInfo *info) {
  Signature *sig = &info->sig;
  Frame frame = {.owner = fn, .fn = fn};
  for (int i = 0; i < fn->params.len; i++) frame.has_real |= mentions_real(fn->params.data[i].type);
  sig->has_real = frame.has_real;
  c->frame = &frame;
  c->scope = NULL;
  scope_push(c);
  resolve_params(c, fn, sig);
  info->scope = c->scope;
  collect_sizes(c, sig, c->scope);
  sig->result = resolve_result(c, fn);
  for (int i = 0; i < fn->params.len; i++) check_default(c, fn, &fn->params.data[i], sig->params[i]);
}

Signature *signature_of(Checker *c, FnDecl *fn) {
  if (fn->sig) return fn->sig;
  FnInfo *info = ARENA_NEW(c->a, FnInfo);
  Signature *sig = fn->sig = &info->sig;
  sig->decl = fn;
  sig->n_params = fn->params.len;
  sig->params = ARENA_ARRAY(c->a, Type *, fn->params.len + 1);
  for (int i = 0; i < fn->params.len; i++) sig->params[i] = c->error;
  sig->result = c->error;
  Checker outer = *c;
  c->module = fn->module;
  c->info = module_info(c, fn->module);
  resolve_signature(c, fn, info);
  c->module = outer.module;
  c->info = outer.info;
  c->frame = outer.frame;
  c->scope = outer.scope;
  c->sizes_in = outer.sizes_in;
  return sig;
}

bool is_optimizer(const Checker *c, const Type *t) {
  return t->kind == TYPE_STRUCT && c->p->optimizer && t->decl == c->p->optimizer;
}
