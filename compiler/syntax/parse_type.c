// Types as written. What must hold: a type that cannot be read is TYPEX_ERROR, reported.
#include "parser.h"

#include <string.h>

static TypeExpr *type_new(Parser *p, TypeExprKind k, Loc loc) {
  TypeExpr *t = ARENA_NEW(p->arena, TypeExpr);
  t->kind = k;
  t->loc = loc;
  return t;
}

TypeExpr *type_error(Parser *p) { return type_new(p, TYPEX_ERROR, gap(p)); }

static Expr *parse_size(Parser *p) {
  TokenKind next = kind_ahead(p, 1);
  if (!at_word(p, "_") || (next != TOK_COMMA && next != TOK_RBRACKET)) return parse_expr(p);
  Expr *e = expr_new(p, EXPR_HOLE, here(p));
  advance(p);
  return e;
}

// `[a, b]`, the cursor at `[`.
static ExprVec parse_sizes(Parser *p) {
  ExprVec sizes = {0};
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RBRACKET)) {
    vec_push(p->arena, &sizes, parse_size(p));
    if (!next_in_list(p, "this size")) break;
  }
  if (sizes.len == 0)
    help(p, fail(p, DIAG_SYNTAX, here(p), "expected a size, found %s", found(p)),
         "`[n]f64` is a vector, `[n, m]f64` a matrix, `[*]f64` an array that grows");
  close_list(p, TOK_RBRACKET, "this size");
  bracket_end(p, m);
  return sizes;
}

static bool is_scalar_name(Name n) {
  static const char *const scalars[] = {"int", "f64", "f32", "real", "bool", "str"};
  for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++)
    if (strcmp(n, scalars[i]) == 0) return true;
  return false;
}

static TypeExpr *parse_array_type(Parser *p) {
  TypeExpr *t = type_new(p, TYPEX_ARRAY, here(p));
  if (kind_ahead(p, 1) == TOK_STAR && kind_ahead(p, 2) == TOK_RBRACKET) {
    t->kind = TYPEX_GROW;
    p->pos += 3;
  } else {
    t->sizes = parse_sizes(p);
  }
  bool reversed = t->sizes.len == 1 && t->sizes.data[0]->kind == EXPR_NAME &&
                  is_scalar_name(t->sizes.data[0]->name.name) && !at(p, TOK_NAME);
  if (reversed) {
    help(p, fail(p, DIAG_SYNTAX, since(p, t->loc), "the brackets of an array type hold its sizes"),
         "write the size first: `[n]%s`", t->sizes.data[0]->name.name);
  }
  if (p->panic) return type_error(p);
  t->elem = parse_type(p);
  t->loc = since(p, t->loc);
  return t;
}

// Types in parentheses, the cursor at `(`.
static TypeExprVec parse_type_list(Parser *p) {
  TypeExprVec types = {0};
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RPAREN)) {
    vec_push(p->arena, &types, parse_type(p));
    if (!accept(p, TOK_COMMA)) break;
  }
  close_list(p, TOK_RPAREN, "this type");
  bracket_end(p, m);
  return types;
}

static TypeExpr *parse_tuple_type(Parser *p) {
  TypeExpr *t = type_new(p, TYPEX_TUPLE, here(p));
  t->parts = parse_type_list(p);
  if (t->parts.len == 1) return t->parts.data[0];
  t->loc = since(p, t->loc);
  if (t->parts.len == 0)
    help(p, fail(p, DIAG_SYNTAX, t->loc, "a tuple type has at least two parts"),
         "a function without a result leaves out `->`");
  return t;
}

static TypeExpr *parse_fn_type(Parser *p) {
  TypeExpr *t = type_new(p, TYPEX_FN, here(p));
  advance(p);
  if (!at(p, TOK_LPAREN)) {
    fail(p, DIAG_SYNTAX, gap(p), "expected `(` and the parameters' types, found %s", found(p));
    return t;
  }
  t->parts = parse_type_list(p);
  if (!p->panic && accept(p, TOK_ARROW)) t->result = parse_type(p);
  t->loc = since(p, t->loc);
  return t;
}

static TypeExpr *parse_named_type(Parser *p) {
  TypeExpr *t = type_new(p, TYPEX_NAME, here(p));
  t->name = cur(p)->text;
  advance(p);
  if (at(p, TOK_DOT) && kind_ahead(p, 1) == TOK_NAME) {
    advance(p);
    char *full = arena_printf(p->arena, "%s.%s", t->name, cur(p)->text);
    t->name = intern_cstr(p->names, full);
    advance(p);
  }
  if (at(p, TOK_LBRACKET) && !at_new_line(p)) {
    t->sizes = parse_sizes(p);
    t->loc = since(p, t->loc);
    if (p->panic) return type_error(p);
    if (!is_scalar_name(t->name)) return t;
    TypeExpr *array = type_new(p, TYPEX_ARRAY, t->loc);
    array->sizes = t->sizes;
    array->elem = t;
    help(p, complain(p, DIAG_FOREIGN, t->loc, "an array type starts with its sizes"), "write `[n]%s`",
         t->name);
    t->sizes = (ExprVec){0};
    return array;
  }
  if (at(p, TOK_LT) && cur(p)->glued) { // `Vec<f64>`
    help(p, fail(p, DIAG_FOREIGN, since(p, t->loc), "a type has no parameters in `<>`"),
         "`[n]f64` is a vector, `[n, m]f64` a matrix, `[*]f64` an array that grows");
    return type_error(p);
  }
  t->loc = since(p, t->loc);
  return t;
}

static TypeExpr *parse_type_inner(Parser *p) {
  switch (kind(p)) {
  case TOK_NAME:
    if (!at_word(p, "_")) return parse_named_type(p);
    break;
  case TOK_LBRACKET: return parse_array_type(p);
  case TOK_LPAREN: return parse_tuple_type(p);
  case TOK_FN: return parse_fn_type(p);
  default: break;
  }
  Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected a type, found %s", found(p));
  if (at(p, TOK_INOUT)) help(p, g, "`inout` stands before the parameter's name: `inout x: T`");
  if (at(p, TOK_STAR) || at(p, TOK_AND))
    help(p, g, "dp has no pointers; a parameter that is updated is `inout`");
  return type_error(p);
}

TypeExpr *parse_type(Parser *p) {
  int outer;
  if (p->panic) return type_error(p);
  TypeExpr *t = enter(p, &outer) ? parse_type_inner(p) : type_error(p);
  leave(p, outer);
  return t;
}
