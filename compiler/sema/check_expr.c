// Expressions: the dispatch, literals, names, fields, strings, tuples.
// In: an expression and the type its context would like (a hint); out: its type, on the node. What must hold: every
// node that was looked at has a type afterwards; the error type is compatible with everything, so that one mistake is
// told once.
#include "sema/check.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Type *default_float(const Checker *c) { return c->frame && c->frame->has_real ? c->real : c->f64; }

Type *hint_element(Checker *c, Type *hint) {
  if (!hint || (hint->kind != TYPE_ARRAY && hint->kind != TYPE_GROW)) return NULL;
  return type_element(c, hint);
}

// ---- whose float type is open ----------------------------------------------------------------------------------------

typedef enum Flex { RIGID, NEUTRAL, FLEXIBLE } Flex;

static Flex flex_of(Checker *c, const Expr *e);

static Flex flex_both(Checker *c, const Expr *a, const Expr *b) {
  Flex x = flex_of(c, a), y = x == RIGID ? RIGID : flex_of(c, b);
  if (x == RIGID || y == RIGID) return RIGID;
  return x > y ? x : y;
}

static Flex flex_list(Checker *c, const ExprVec *elems) {
  Flex most = NEUTRAL;
  for (int i = 0; i < elems->len; i++) {
    Flex f = flex_of(c, elems->data[i]);
    if (f == RIGID) return RIGID;
    if (f > most) most = f;
  }
  return most;
}

static bool is_flexible_builtin(Builtin b) {
  return b == BUILTIN_ZEROS || b == BUILTIN_ONES || b == BUILTIN_FULL ||
         (b >= BUILTIN_SQRT && b <= BUILTIN_MAX);
}

static Flex flex_call(Checker *c, const Expr *e) {
  if (!e->call.callee || e->call.callee->kind != EXPR_NAME) return RIGID;
  Symbol *s = name_find_callee(c, e->call.callee->name.name);
  if (!s || s->kind != SYM_BUILTIN) return RIGID;
  Builtin b = (Builtin)s->n_fns;
  if (b == BUILTIN_LEN || b == BUILTIN_DIV || b == BUILTIN_MOD || b == BUILTIN_INT) return NEUTRAL;
  if (!is_flexible_builtin(b)) return RIGID;
  Flex most = b <= BUILTIN_HYPOT || b == BUILTIN_ZEROS || b == BUILTIN_ONES ? FLEXIBLE : NEUTRAL;
  int n = b == BUILTIN_FULL ? 1 : b == BUILTIN_ZEROS || b == BUILTIN_ONES ? 0 : e->call.args.len;
  for (int i = 0; i < n && i < e->call.args.len; i++) {
    Flex f = flex_of(c, e->call.args.data[i].value);
    if (f == RIGID) return RIGID;
    if (f > most) most = f;
  }
  return most;
}

static Flex flex_of(Checker *c, const Expr *e) {
  if (!e) return RIGID;
  switch (e->kind) {
  case EXPR_INT: return NEUTRAL;
  case EXPR_FLOAT: return FLEXIBLE;
  case EXPR_NAME: {
    Symbol *s = scope_find(c->scope, e->name.name);
    if (!s && !name_find(c, e->name.name)) return FLEXIBLE; // inf, nan, pi
    return s && s->type->kind == TYPE_INT ? NEUTRAL : RIGID;
  }
  case EXPR_UNARY: return flex_of(c, e->unary.arg);
  case EXPR_BINARY:
    if (e->binary.op > BIN_MATMUL) return RIGID;
    return flex_both(c, e->binary.left, e->binary.right);
  case EXPR_IF: return e->if_.els ? flex_both(c, e->if_.then, e->if_.els) : RIGID;
  case EXPR_BLOCK: return e->block.stmts.len || !e->block.value ? RIGID : flex_of(c, e->block.value);
  case EXPR_ARRAY: return flex_list(c, &e->array.elems);
  case EXPR_CALL: return flex_call(c, e);
  case EXPR_ERROR:
  case EXPR_BOOL:
  case EXPR_STRING:
  case EXPR_HOLE:
  case EXPR_FIELD:
  case EXPR_INDEX:
  case EXPR_RANGE:
  case EXPR_COMP:
  case EXPR_REDUCE:
  case EXPR_TUPLE:
  case EXPR_STRUCT:
  case EXPR_LAMBDA: return RIGID;
  }
  return RIGID;
}

bool is_flexible(Checker *c, const Expr *e) { return flex_of(c, e) != RIGID; }

// ---- names -----------------------------------------------------------------------------------------------------------

// inf, nan and pi are floats unless something is called so.
static bool number_name(Expr *e) {
  static const struct {
    const char *name, *text;
    double value;
  } numbers[] = {{"inf", "inf", INFINITY},
                 {"nan", "nan", NAN},
                 {"pi", "3.14159265358979323846", 3.14159265358979323846}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (strcmp(e->name.name, numbers[i].name) != 0) continue;
    e->kind = EXPR_FLOAT;
    e->flt.value = numbers[i].value;
    e->flt.text = numbers[i].text;
    return true;
  }
  return false;
}

static Type *float_literal(Checker *c, const Type *hint) {
  if (hint && hint->kind == TYPE_ARRAY) hint = hint->elem;
  return hint && type_is_float(hint) ? (Type *)hint : default_float(c);
}

static Type *fn_symbol_type(Checker *c, const Symbol *s, Loc loc) {
  FnDecl *fn = s->fns[0];
  Signature *sig = signature_of(c, fn);
  use_fn(c, fn);
  return type_fn(c, sig->params, sig->n_params, ensure_result(c, fn, loc), sig);
}

static Type *symbol_type(Checker *c, Expr *e, Symbol *s, Type *hint) {
  switch (s->kind) {
  case SYM_LOCAL:
  case SYM_PARAM:
  case SYM_SIZE:
    s->used = true;
    e->size = s->size;
    return s->type;
  case SYM_FN: return fn_symbol_type(c, s, e->loc);
  case SYM_BUILTIN: return check_builtin_value(c, e, s, hint && hint->kind == TYPE_FN ? hint : NULL);
  case SYM_STRUCT: {
    Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "`%s` is a type, not a value", s->name);
    diag_help(c->d, g, "make one with `%s { ... }`", s->name);
    return c->error;
  }
  case SYM_MODULE: {
    Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "`%s` is a module, not a value", s->name);
    diag_help(c->d, g, "name something in it: `%s.name`", s->name);
    return c->error;
  }
  }
  return c->error;
}

static Type *check_name(Checker *c, Expr *e, Type *hint) {
  Symbol *s = name_find(c, e->name.name);
  e->name.symbol = s;
  if (s) return symbol_type(c, e, s, hint);
  if (number_name(e)) return float_literal(c, hint);
  report_unknown_name(c, e->name.name, e->loc);
  return c->error;
}

// ---- fields ----------------------------------------------------------------------------------------------------------

static Type *check_member(Checker *c, Expr *e, const Symbol *module) {
  Expr *base = e->field.base;
  base->name.symbol = (Symbol *)module;
  base->type = c->void_;
  e->field.index = -1;
  if (!module->module) return c->error;
  Symbol *s = module_find(c, module->module, e->field.name);
  if (s && s->kind != SYM_MODULE) {
    e->field.symbol = s;
    return symbol_type(c, e, s, NULL);
  }
  ModuleInfo *info = module_info(c, module->module);
  VEC(Name) names = {0};
  for (int i = 0; info && i < info->names.cap; i++)
    if (info->names.keys[i]) vec_push(c->a, &names, info->names.keys[i]);
  Name near = nearest_name(e->field.name, names.data, names.len);
  Diag *g = diag_add(c->d, DIAG_MEMBER, e->field.name_loc, "the module `%s` has no `%s`", module->name,
                     e->field.name);
  if (near) diag_help(c->d, g, "did you mean `%s.%s`?", module->name, near);
  return c->error;
}

static Type *report_field(Checker *c, Expr *e, const Name *names, int n, const char *of) {
  Diag *g = diag_add(c->d, DIAG_MEMBER, e->field.name_loc, "%s has no field `%s`", of, e->field.name);
  Name near = nearest_name(e->field.name, names, n);
  StrBuf list;
  sb_init(&list, c->a);
  for (int i = 0; i < n; i++)
    if (names[i]) sb_addf(&list, "%s`%s`", list.len ? ", " : "", names[i]);
  if (near) {
    diag_help(c->d, g, "did you mean `%s`?", near);
    g->replace = near;
  } else if (list.len) {
    diag_help(c->d, g, "its fields are %s", list.data);
  }
  return c->error;
}

static Type *struct_field(Checker *c, Expr *e, Type *t) {
  StructDecl *s = t->decl;
  Name *names = ARENA_ARRAY(c->a, Name, s->fields.len + 1);
  for (int i = 0; i < s->fields.len; i++) {
    names[i] = s->fields.data[i].name;
    if (names[i] != e->field.name) continue;
    e->field.index = i;
    return type_field(c, t, i);
  }
  return report_field(c, e, names, s->fields.len, arena_printf(c->a, "`%s`", type_text(c->a, t)));
}

static Type *tuple_part(Checker *c, Expr *e, const Type *t) {
  for (int i = 0; t->names && i < t->n_parts; i++)
    if (t->names[i] == e->field.name) {
      e->field.index = i;
      return t->parts[i];
    }
  if (isdigit((unsigned char)e->field.name[0])) {
    int i = atoi(e->field.name);
    if (strlen(e->field.name) < 4 && i < t->n_parts) {
      e->field.index = i;
      return t->parts[i];
    }
    diag_add(c->d, DIAG_MEMBER, e->field.name_loc, "this tuple has %d parts; the last is `.%d`", t->n_parts,
             t->n_parts - 1);
    return c->error;
  }
  if (t->names) return report_field(c, e, t->names, t->n_parts, "this tuple");
  Diag *g = diag_add(c->d, DIAG_MEMBER, e->field.name_loc,
                     "the parts of a tuple are `.0`, `.1`, ..., not `.%s`", e->field.name);
  diag_label(c->d, g, "the tuple is `%s`", type_text(c->a, t));
  return c->error;
}

Type *check_field(Checker *c, Expr *e) {
  Expr *base = e->field.base;
  if (!base || !e->field.name) return c->error;
  if (base->kind == EXPR_NAME) {
    Symbol *s = name_find(c, base->name.name);
    if (s && s->kind == SYM_MODULE) return check_member(c, e, s);
  }
  Type *t = check_expr(c, base, NULL);
  if (t->kind == TYPE_ERROR) return t;
  if (t->kind == TYPE_STRUCT) return struct_field(c, e, t);
  if (t->kind == TYPE_TUPLE) return tuple_part(c, e, t);
  Diag *g = diag_add(c->d, DIAG_MEMBER, e->field.name_loc, "`%s` has no fields", type_text(c->a, t));
  if ((t->kind == TYPE_ARRAY || t->kind == TYPE_GROW) && t->elem->kind == TYPE_STRUCT)
    diag_help(c->d, g, "take an element first: `xs[i].%s`", e->field.name);
  else if (name_find_callee(c, e->field.name) || map_get(&c->builtins, e->field.name))
    diag_help(c->d, g, "`%s` is a function: write `%s(...)`", e->field.name, e->field.name);
  else if (t->kind == TYPE_ARRAY)
    diag_help(c->d, g, "its first size is `len(x)`; sizes bound by the parameters' types are names too");
  return c->error;
}

// ---- strings ---------------------------------------------------------------------------------------------------------

// [0][width][.precision][f|e|g]
static bool is_spec(const char *s) {
  const char *start = s;
  while (isdigit((unsigned char)*s)) s++;
  if (s - start > 3) return false;
  if (*s == '.') {
    start = ++s;
    while (isdigit((unsigned char)*s)) s++;
    if (s == start || s - start > 2) return false;
  }
  if (*s == 'f' || *s == 'e' || *s == 'g') s++;
  return *s == 0;
}

static bool leaves_are_numbers(const Type *t) {
  t = t->kind == TYPE_ARRAY || t->kind == TYPE_GROW ? t->elem : t;
  return type_is_numeric(t) || t->kind == TYPE_STRUCT || t->kind == TYPE_TUPLE || t->kind == TYPE_ERROR;
}

static void check_spec(Checker *c, const StringPart *part) {
  if (!part->spec || !part->spec[0]) return;
  Type *t = part->hole->type;
  if (is_spec(part->spec) && leaves_are_numbers(t)) return;
  Diag *g;
  if (is_spec(part->spec))
    g = diag_add(c->d, DIAG_FORMAT, part->hole->loc, "the format `:%s` is for numbers, and this is `%s`",
                 part->spec, type_text(c->a, t));
  else
    g = diag_add(c->d, DIAG_FORMAT, part->hole->loc, "`:%s` is not a format", part->spec);
  diag_help(c->d, g, "a format is `:[0][width][.precision][f|e|g]`: `{x:.6}`, `{x:10.3f}`, `{x:.2e}`");
}

Type *check_string(Checker *c, Expr *e) {
  for (int i = 0; i < e->string.len; i++) {
    StringPart *part = &e->string.data[i];
    if (!part->hole) continue;
    check_expr(c, part->hole, NULL);
    check_spec(c, part);
  }
  return c->str;
}

// ---- tuples ----------------------------------------------------------------------------------------------------------

Type *check_tuple(Checker *c, Expr *e, Type *hint) {
  int n = e->tuple.elems.len;
  Type **parts = ARENA_ARRAY(c->a, Type *, n + 1);
  bool fits = hint && hint->kind == TYPE_TUPLE && hint->n_parts == n;
  for (int i = 0; i < n; i++) {
    Type *want = fits ? hint->parts[i] : NULL;
    parts[i] = check_expr(c, e->tuple.elems.data[i], want);
    if (want && scalar_converts(parts[i], want)) parts[i] = want;
  }
  return type_tuple(c, parts, fits ? hint->names : NULL, n);
}

// ---- constants -------------------------------------------------------------------------------------------------------

bool is_constant(const Expr *e) {
  if (!e) return false;
  switch (e->kind) {
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_ERROR: return true;
  case EXPR_NAME:
    return !strcmp(e->name.name, "inf") || !strcmp(e->name.name, "pi") || !strcmp(e->name.name, "nan");
  case EXPR_STRING:
    for (int i = 0; i < e->string.len; i++)
      if (e->string.data[i].hole) return false;
    return true;
  case EXPR_UNARY: return is_constant(e->unary.arg);
  case EXPR_BINARY: return is_constant(e->binary.left) && is_constant(e->binary.right);
  case EXPR_ARRAY:
    for (int i = 0; i < e->array.elems.len; i++)
      if (!is_constant(e->array.elems.data[i])) return false;
    return true;
  case EXPR_HOLE:
  case EXPR_FIELD:
  case EXPR_INDEX:
  case EXPR_RANGE:
  case EXPR_CALL:
  case EXPR_IF:
  case EXPR_BLOCK:
  case EXPR_COMP:
  case EXPR_REDUCE:
  case EXPR_TUPLE:
  case EXPR_STRUCT:
  case EXPR_LAMBDA: return false;
  }
  return false;
}

bool check_int(Checker *c, Expr *e, const char *what) {
  if (!e) return false;
  Type *t = check_expr(c, e, c->int_);
  if (t->kind == TYPE_INT) return true;
  if (t->kind != TYPE_ERROR) report_mismatch(c, DIAG_TYPE, e->loc, c->int_, t, what);
  return false;
}

// ---- the dispatch ----------------------------------------------------------------------------------------------------

static Type *check_range_alone(Checker *c, Expr *e) {
  check_int(c, e->range.lo, "the start of a range");
  check_int(c, e->range.hi, "the end of a range");
  diag_add(c->d, DIAG_TYPE, e->loc, "a range stands only after `in` and within the brackets of an index");
  return c->error;
}

static Type *check_kind(Checker *c, Expr *e, Type *hint) {
  switch (e->kind) {
  case EXPR_ERROR: return c->error;
  case EXPR_INT: e->size = size_const(c->a, e->int_value); return c->int_;
  case EXPR_FLOAT: return float_literal(c, hint);
  case EXPR_BOOL: return c->bool_;
  case EXPR_STRING: return check_string(c, e);
  case EXPR_NAME: return check_name(c, e, hint);
  case EXPR_HOLE: diag_add(c->d, DIAG_TYPE, e->loc, "`_` stands only for a size in a type"); return c->error;
  case EXPR_UNARY: return check_unary(c, e, hint);
  case EXPR_BINARY: return check_binary(c, e, hint);
  case EXPR_FIELD: return check_field(c, e);
  case EXPR_INDEX: return check_index(c, e);
  case EXPR_RANGE: return check_range_alone(c, e);
  case EXPR_CALL: return check_call(c, e, hint);
  case EXPR_IF: return check_if(c, e, hint);
  case EXPR_BLOCK: return check_block_value(c, e, hint);
  case EXPR_ARRAY: return check_array(c, e, hint);
  case EXPR_COMP: return check_comp(c, e, hint);
  case EXPR_REDUCE: return check_reduce(c, e, hint);
  case EXPR_TUPLE: return check_tuple(c, e, hint);
  case EXPR_STRUCT: return check_struct_literal(c, e, hint);
  case EXPR_LAMBDA: return check_lambda(c, e, hint && hint->kind == TYPE_FN ? hint : NULL, NULL, -1);
  }
  return c->error;
}

Type *check_any(Checker *c, Expr *e, Type *hint) {
  if (!e) return c->error;
  e->size = NULL;
  Type *t = check_kind(c, e, hint);
  if (type_is_huge(t)) t = report_huge(c, e->loc, t);
  if (e->size && (t->kind != TYPE_INT || size_is_huge(e->size))) e->size = NULL;
  return e->type = t;
}

Type *check_expr(Checker *c, Expr *e, Type *hint) {
  Type *t = check_any(c, e, hint);
  if (t->kind == TYPE_VOID) {
    Diag *g = diag_add(c->d, DIAG_TYPE, e->loc, "this gives no value");
    if (e->kind == EXPR_CALL) diag_note(c->d, g, "the function has no result");
    return e->type = c->error;
  }
  if (t->kind == TYPE_FN) {
    Diag *g = diag_add(c->d, DIAG_FN_VALUE, e->loc, "a function cannot be used as a value here");
    diag_note(c->d, g,
              "functions are specialised, never stored: they are called, passed to parameters of function "
              "type, differentiated, or named by `let`");
    if (e->kind == EXPR_CALL || e->kind == EXPR_LAMBDA)
      diag_help(c->d, g, "call it: add the arguments in parentheses");
    return e->type = c->error;
  }
  return t;
}
