// Expressions: operators by precedence, calls, indices, comprehensions, lambdas. What must hold: every
// expression parsed has a node (EXPR_ERROR where it could not be read), operators of one level are read in a loop, and
// all recursion passes through `enter`.
#include "parser.h"

#include <string.h>

// ---- nodes and operators --------------------------------------------------------------------------------------

Expr *expr_new(Parser *p, ExprKind k, Loc loc) {
  Expr *e = ARENA_NEW(p->arena, Expr);
  e->kind = k;
  e->loc = loc;
  grow_tree(p);
  return e;
}

Expr *expr_error(Parser *p) {
  Expr *e = ARENA_NEW(p->arena, Expr);
  e->kind = EXPR_ERROR;
  e->loc = gap(p);
  return e;
}

enum { PREC_OR = 1, PREC_AND, PREC_NOT, PREC_COMPARE, PREC_ADD, PREC_MUL, PREC_NEG, PREC_POW };

int binary_op_precedence(BinaryOp op) {
  switch (op) {
  case BIN_OR: return PREC_OR;
  case BIN_AND: return PREC_AND;
  case BIN_EQ:
  case BIN_NE:
  case BIN_LT:
  case BIN_LE:
  case BIN_GT:
  case BIN_GE: return PREC_COMPARE;
  case BIN_ADD:
  case BIN_SUB: return PREC_ADD;
  case BIN_MUL:
  case BIN_DIV:
  case BIN_MATMUL: return PREC_MUL;
  case BIN_POW: return PREC_POW;
  }
  return 0;
}

const char *binary_op_text(BinaryOp op) {
  static const char *const texts[] = {
      [BIN_ADD] = "+",    [BIN_SUB] = "-", [BIN_MUL] = "*",   [BIN_DIV] = "/", [BIN_POW] = "^",
      [BIN_MATMUL] = "@", [BIN_EQ] = "==", [BIN_NE] = "!=",   [BIN_LT] = "<",  [BIN_LE] = "<=",
      [BIN_GT] = ">",     [BIN_GE] = ">=", [BIN_AND] = "and", [BIN_OR] = "or",
  };
  return texts[op];
}

const char *unary_op_text(UnaryOp op) { return op == UNARY_NEG ? "-" : "not"; }

static bool binary_op_of(TokenKind k, BinaryOp *op) {
  switch (k) {
  case TOK_PLUS: *op = BIN_ADD; return true;
  case TOK_MINUS: *op = BIN_SUB; return true;
  case TOK_STAR: *op = BIN_MUL; return true;
  case TOK_SLASH: *op = BIN_DIV; return true;
  case TOK_AT: *op = BIN_MATMUL; return true;
  case TOK_EQ_EQ: *op = BIN_EQ; return true;
  case TOK_BANG_EQ: *op = BIN_NE; return true;
  case TOK_LT: *op = BIN_LT; return true;
  case TOK_LT_EQ: *op = BIN_LE; return true;
  case TOK_GT: *op = BIN_GT; return true;
  case TOK_GT_EQ: *op = BIN_GE; return true;
  case TOK_AND: *op = BIN_AND; return true;
  case TOK_OR: *op = BIN_OR; return true;
  default: return false; // `^` is read by parse_unary
  }
}

static Expr *binary_new(Parser *p, BinaryOp op, Loc op_loc, Expr *left, Expr *right) {
  Expr *e = expr_new(p, EXPR_BINARY, loc_join(left->loc, right->loc));
  e->binary.op = op;
  e->binary.op_loc = op_loc;
  e->binary.left = left;
  e->binary.right = right;
  return e;
}

// ---- ranges and iterators -------------------------------------------------------------------------------------

bool ends_expression(const Parser *p) {
  switch (kind(p)) {
  case TOK_EOF:
  case TOK_RPAREN:
  case TOK_RBRACKET:
  case TOK_RBRACE:
  case TOK_LBRACE:
  case TOK_COMMA:
  case TOK_COLON:
  case TOK_SEMI: return true;
  case TOK_NAME: return at_new_line(p) || at_word(p, "step");
  default: return at_new_line(p);
  }
}

// An expression or a range.
static Expr *parse_range(Parser *p) {
  Loc from = here(p);
  Expr *lo = at(p, TOK_DOT_DOT) ? NULL : parse_expr(p);
  if (p->panic || !at(p, TOK_DOT_DOT)) return lo ? lo : expr_error(p);
  advance(p);
  Expr *hi = ends_expression(p) ? NULL : parse_expr(p);
  Expr *e = expr_new(p, EXPR_RANGE, since(p, from));
  e->range.lo = lo;
  e->range.hi = hi;
  return e;
}

// Is `reverse` here the word, not a name? Directly before a bracket it is a name.
static bool at_reverse(const Parser *p) {
  if (!at_word(p, "reverse")) return false;
  const Token *next = ahead(p, 1);
  switch (next->kind) {
  case TOK_LPAREN:
  case TOK_LBRACKET: return !next->glued;
  case TOK_NAME: return strcmp(next->text, "step") != 0;
  case TOK_INT:
  case TOK_FLOAT:
  case TOK_MINUS: return true;
  default: return false;
  }
}

static void check_loop_range(Parser *p, const Expr *over) {
  if (over->kind != EXPR_RANGE || (over->range.lo && over->range.hi)) return;
  const char *end = over->range.lo ? "an end" : "a start";
  help(p, complain(p, DIAG_SYNTAX, over->loc, "the range of a loop needs %s", end), "write `for i in 0..n`");
}

// `0 to n`, the cursor at `to`.
static Expr *read_to(Parser *p, Expr *lo) {
  Diag *g = complain(p, DIAG_FOREIGN, here(p), "a range is written with `..`");
  help(p, g, "write `a..b`, which ends before b");
  advance(p);
  Expr *e = expr_new(p, EXPR_RANGE, lo->loc);
  e->range.lo = lo;
  e->range.hi = parse_expr(p);
  e->loc = since(p, lo->loc);
  return e;
}

Iter parse_iter(Parser *p) {
  Iter it = {0};
  if (at(p, TOK_LPAREN)) hint_loop(p);
  it.name = expect_name(p, "the loop's variable", &it.name_loc);
  if (!p->panic && at(p, TOK_COMMA) && kind_ahead(p, 1) == TOK_NAME) { // `for i, x in xs`
    lose_name(p, 1);
    help_two_names(p, fail(p, DIAG_FOREIGN, it.name_loc, "a loop has one variable"));
  }
  if (!p->panic && !at(p, TOK_IN))
    help(p, fail(p, DIAG_SYNTAX, gap(p), "expected `in` after the loop's variable, found %s", found(p)),
         "a loop is written `for i in 0..n`");
  if (p->panic) {
    it.over = expr_error(p);
    return it;
  }
  advance(p);
  it.reverse = at_reverse(p);
  if (it.reverse) advance(p);
  it.over = parse_range(p);
  if (!p->panic && at_word(p, "to") && !at_new_line(p)) it.over = read_to(p, it.over);
  check_loop_range(p, it.over);
  if (!p->panic && at_word(p, "step") && !at_new_line(p)) {
    advance(p);
    it.step = parse_expr(p);
  }
  return it;
}

// `for i in a..b, j in c..d: body`, the cursor at `for`.
static void parse_loops(Parser *p, Expr *e) {
  do {
    if (at(p, TOK_FOR)) advance(p);
    Iter it = parse_iter(p);
    vec_push(p->arena, &e->comp.iters, it);
  } while (!p->panic && accept(p, TOK_COMMA));
  if (!p->panic && at(p, TOK_IF)) {
    help(p, fail(p, DIAG_FOREIGN, here(p), "a comprehension has no condition"),
         "choose with `if c { a } else { b }` in its body, or push to an array in a loop");
  }
  expect(p, TOK_COLON, "`:` and the loop's expression");
  e->comp.body = parse_expr(p);
}

// ---- brackets -------------------------------------------------------------------------------------------------

static Expr *parse_paren(Parser *p) {
  Expr *e = NULL;
  ExprVec parts = {0};
  Loc from = here(p);
  Mode m = bracket_start(p);
  bool comma = false;
  while (!p->panic && !at(p, TOK_RPAREN)) {
    vec_push(p->arena, &parts, parse_expr(p));
    comma = next_in_list(p, "this expression");
    if (!comma) break;
  }
  close_list(p, TOK_RPAREN, "this expression");
  bracket_end(p, m);
  if (parts.len == 1 && !comma) {
    e = parts.data[0];
    e->loc = since(p, from);
    return e;
  }
  if (parts.len < 2) {
    help(p, fail(p, DIAG_SYNTAX, since(p, from), "a tuple has at least two parts"),
         parts.len ? "leave out the comma" : "write a value between the parentheses");
    return expr_error(p);
  }
  e = expr_new(p, EXPR_TUPLE, since(p, from));
  e->tuple.elems = parts;
  return e;
}

static Expr *parse_array(Parser *p) {
  Loc from = here(p);
  Mode m = bracket_start(p);
  bool loops = at(p, TOK_FOR);
  Expr *e;
  if (loops) {
    Expr comp = {.kind = EXPR_COMP};
    parse_loops(p, &comp);
    close_bracket(p, TOK_RBRACKET, "the comprehension");
    e = expr_new(p, EXPR_COMP, since(p, from));
    e->comp = comp.comp;
  } else {
    ExprVec elems = {0};
    while (!p->panic && !at(p, TOK_RBRACKET)) {
      vec_push(p->arena, &elems, parse_expr(p));
      if (!next_in_list(p, "this element")) break;
    }
    close_list(p, TOK_RBRACKET, "this element");
    e = expr_new(p, EXPR_ARRAY, since(p, from));
    e->array.elems = elems;
  }
  bracket_end(p, m);
  return e;
}

static Expr *parse_index(Parser *p, Expr *base) {
  ExprVec idx = {0};
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RBRACKET)) {
    if (!at(p, TOK_COLON)) vec_push(p->arena, &idx, parse_range(p));
    if (!p->panic && at(p, TOK_COLON))
      help(p, fail(p, DIAG_FOREIGN, here(p), "dp writes a slice with `..`"),
           "write `a[lo..hi]`, or `a[..]` for all");
    if (!next_in_list(p, "this index")) break;
  }
  if (idx.len == 0)
    help(p, fail(p, DIAG_SYNTAX, here(p), "expected an index, found %s", found(p)),
         "`a[i]` is an element or a row, `a[..]` all of them");
  close_list(p, TOK_RBRACKET, "this index");
  bracket_end(p, m);
  Expr *e = expr_new(p, EXPR_INDEX, since(p, base->loc));
  e->index.base = base;
  e->index.idx = idx;
  return e;
}

static Arg parse_arg(Parser *p) {
  Arg a = {0};
  bool python = at(p, TOK_NAME) && kind_ahead(p, 1) == TOK_EQ;
  if (at(p, TOK_NAME) && (kind_ahead(p, 1) == TOK_COLON || python)) {
    a.name = cur(p)->text;
    a.name_loc = here(p);
    advance(p);
    if (python) {
      Diag *g = complain(p, DIAG_FOREIGN, here(p), "an argument is named with `:`");
      help(p, g, "write `%s: ...`", a.name);
      g->replace = ":";
    }
    advance(p);
  }
  a.is_inout = accept(p, TOK_INOUT);
  a.value = parse_expr(p);
  if (!p->panic && at(p, TOK_DOT_DOT) && a.value->kind != EXPR_ERROR) {
    Diag *g = fail(p, DIAG_SYNTAX, here(p), "a range cannot be an argument");
    help(p, g,
         "a range stands after `in` and in an index; a loop runs backwards with `for i in reverse 0..n`");
  }
  return a;
}

static bool reduce_op_of(const Expr *callee, ReduceOp *op) {
  static const char *const names[] = {
      [REDUCE_SUM] = "sum", [REDUCE_PROD] = "prod", [REDUCE_MIN] = "min", [REDUCE_MAX] = "max"};
  if (callee->kind != EXPR_NAME) return false;
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
    if (strcmp(callee->name.name, names[i]) == 0) {
      *op = (ReduceOp)i;
      return true;
    }
  return false;
}

// `sum(for ...: e)`, the cursor at `for`.
static Expr *parse_reduce(Parser *p, Expr *callee, Mode m) {
  Expr red = {.kind = EXPR_REDUCE};
  if (!reduce_op_of(callee, &red.comp.op))
    help(p, fail(p, DIAG_SYNTAX, here(p), "only `sum`, `prod`, `min` and `max` run over a loop"),
         "make an array with `[for ...: ...]` and pass that");
  parse_loops(p, &red);
  close_bracket(p, TOK_RPAREN, "the loop's expression");
  bracket_end(p, m);
  Expr *e = expr_new(p, EXPR_REDUCE, since(p, callee->loc));
  e->comp = red.comp;
  return e;
}

static Expr *parse_call(Parser *p, Expr *callee) {
  Mode m = bracket_start(p);
  if (at(p, TOK_FOR)) return parse_reduce(p, callee, m);
  Expr call = {.kind = EXPR_CALL};
  while (!p->panic && !at(p, TOK_RPAREN)) {
    Arg a = parse_arg(p);
    vec_push(p->arena, &call.call.args, a);
    if (!next_in_list(p, "this argument")) break;
  }
  close_list(p, TOK_RPAREN, "this argument");
  bracket_end(p, m);
  Expr *e = expr_new(p, EXPR_CALL, since(p, callee->loc));
  e->call.callee = callee;
  e->call.args = call.call.args;
  return e;
}

// ---- structs --------------------------------------------------------------------------------------------------

// `Name { x: ...`, `Name { x, ...`, `Name {}`: after a name, these are no block.
static bool at_struct_body(const Parser *p) {
  if (p->no_struct || !at(p, TOK_LBRACE) || at_new_line(p)) return false;
  TokenKind first = kind_ahead(p, 1), second = kind_ahead(p, 2);
  return first == TOK_RBRACE || (first == TOK_NAME && (second == TOK_COLON || second == TOK_COMMA ||
                                                       second == TOK_RBRACE || second == TOK_EQ));
}

static bool names_struct(const Expr *e) {
  return e->kind == EXPR_NAME || (e->kind == EXPR_FIELD && e->field.base->kind == EXPR_NAME);
}

static FieldInit parse_field_init(Parser *p) {
  FieldInit f = {0};
  f.name = expect_name(p, "a field's name", &f.name_loc);
  if (!p->panic && at(p, TOK_EQ)) {
    Diag *g = complain(p, DIAG_FOREIGN, here(p), "a field's value follows `:`");
    g->replace = ":";
    help(p, g, "write `%s: ...`", f.name);
    advance(p);
  } else if (!p->panic && !accept(p, TOK_COLON)) {
    Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected `:` and the field's value, found %s", found(p));
    help(p, g, "write `%s: ...`", f.name);
  }
  f.value = parse_expr(p);
  return f;
}

static Expr *parse_struct(Parser *p, Expr *named) {
  Expr lit = {.kind = EXPR_STRUCT};
  bool qualified = named->kind == EXPR_FIELD;
  lit.strukt.module = qualified ? named->field.base->name.name : NULL;
  lit.strukt.name = qualified ? named->field.name : named->name.name;
  lit.strukt.name_loc = qualified ? named->field.name_loc : named->loc;
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RBRACE)) {
    FieldInit f = parse_field_init(p);
    vec_push(p->arena, &lit.strukt.fields, f);
    if (!next_in_list(p, "this field")) break;
  }
  close_list(p, TOK_RBRACE, "this field");
  bracket_end(p, m);
  Expr *e = expr_new(p, EXPR_STRUCT, since(p, named->loc));
  e->strukt = lit.strukt;
  return e;
}

// ---- if, lambda -----------------------------------------------------------------------------------------------

Expr *parse_condition(Parser *p, const char *after) {
  bool no_struct = p->no_struct;
  p->no_struct = true;
  Expr *e = parse_expr(p);
  if (!p->panic && at(p, TOK_EQ) && !at_new_line(p)) {
    Loc op = here(p);
    Diag *g = complain(p, DIAG_SYNTAX, op, "`=` assigns and cannot stand in the condition of %s", after);
    help(p, g, "to compare, write `==`");
    g->replace = "==";
    advance(p);
    e = binary_new(p, BIN_EQ, op, e, parse_expr(p));
  }
  p->no_struct = no_struct;
  return e;
}

bool at_elif(const Parser *p) { return at_word(p, "elif") || at_word(p, "elsif") || at_word(p, "elseif"); }

static Expr *parse_if(Parser *p);

// `else` and what follows it, or NULL. A chain of `else if` nests.
static Expr *parse_else(Parser *p, int base) {
  bool elif = at_elif(p);
  if (p->panic || (!elif && !accept(p, TOK_ELSE))) return NULL;
  if (elif && !p->headless) {
    Diag *g = complain(p, DIAG_FOREIGN, here(p), "dp writes `%s` as two words", cur(p)->text);
    help(p, g, "write `else if`");
    g->replace = "else if";
  }
  if (!elif && !at(p, TOK_IF)) return parse_block(p, base, "`else`");
  int outer;
  Expr *e = enter(p, &outer) ? parse_if(p) : expr_error(p);
  leave(p, outer);
  return e;
}

static Expr *parse_if(Parser *p) {
  int base = p->open.len;
  Loc from = here(p);
  advance(p);
  Expr *cond = parse_condition(p, "`if`");
  Expr *then = parse_block(p, base, "the condition of `if`");
  Expr *els = parse_else(p, base);
  Expr *e = expr_new(p, EXPR_IF, since(p, from));
  e->if_.cond = cond;
  e->if_.then = then;
  e->if_.els = els;
  return e;
}

// The lambda's arrow; what stands there instead is clear enough to go on.
static void expect_lambda_arrow(Parser *p) {
  if (p->panic || accept(p, TOK_FAT_ARROW)) return;
  if (at(p, TOK_ARROW)) {
    Loc from = here(p);
    advance(p);
    parse_type(p);
    help(p, complain(p, DIAG_SYNTAX, since(p, from), "a lambda's result type is inferred"), "leave it out");
    if (at(p, TOK_LBRACE) || accept(p, TOK_FAT_ARROW)) return;
  }
  Diag *g;
  if (at(p, TOK_LBRACE) || at(p, TOK_EQ)) {
    g = complain(p, DIAG_SYNTAX, here(p), "expected `=>` after the lambda's parameters, found %s", found(p));
    if (accept(p, TOK_EQ)) g->replace = "=>";
  } else {
    g = fail(p, DIAG_SYNTAX, gap(p), "expected `=>` after the lambda's parameters, found %s", found(p));
  }
  help(p, g, "a lambda is `fn(x) => expression`");
}

static Expr *parse_lambda(Parser *p) {
  int base = p->open.len;
  Loc from = here(p);
  advance(p);
  if (at(p, TOK_NAME)) {
    help(p, fail(p, DIAG_SYNTAX, here(p), "expected `(` after `fn`, found %s", found(p)),
         "within an expression a function has no name: `fn(x) => expression`");
    return expr_error(p);
  }
  ParamVec params = parse_params(p, false);
  bool returns = p->returns;
  expect_lambda_arrow(p);
  Expr *body = p->panic ? expr_error(p) : at(p, TOK_LBRACE) ? parse_block(p, base, "`=>`") : parse_expr(p);
  p->returns = returns;
  Expr *e = expr_new(p, EXPR_LAMBDA, since(p, from));
  e->lambda.params = params;
  e->lambda.body = body;
  return e;
}

// ---- from primary to the whole --------------------------------------------------------------------------------

static Expr *parse_primary(Parser *p);

static Expr *parse_name(Parser *p) {
  if (at_word(p, "_")) {
    Diag *g = complain(p, DIAG_SYNTAX, here(p), "`_` is not a value");
    help(p, g, "`_` stands for a name that is not needed, and for a size in a type");
    advance(p);
    return expr_error(p);
  }
  if (hint_prefix(p)) return p->panic ? expr_error(p) : parse_primary(p);
  Expr *e = expr_new(p, EXPR_NAME, here(p));
  e->name.name = cur(p)->text;
  advance(p);
  return e;
}

static bool wants_expression(TokenKind k) {
  return (k >= TOK_AND && k <= TOK_DOT_DOT) || k == TOK_COMMA || k == TOK_COLON || k == TOK_LPAREN ||
         k == TOK_LBRACKET || k == TOK_IF || k == TOK_WHILE || k == TOK_IN || k == TOK_ASSERT ||
         k == TOK_INOUT;
}

static Expr *parse_missing(Parser *p) {
  const Token *before = p->pos ? &p->toks[p->pos - 1] : cur(p);
  Diag *g = wants_expression((TokenKind)before->kind)
                ? fail(p, DIAG_SYNTAX, gap(p), "expected an expression after %s, found %s",
                       token_kind_text((TokenKind)before->kind), found(p))
                : fail(p, DIAG_SYNTAX, gap(p), "expected an expression, found %s", found(p));
  hint_missing_expr(p, g);
  return expr_error(p);
}

static Expr *parse_primary(Parser *p) {
  switch (kind(p)) {
  case TOK_INT: return parse_int(p);
  case TOK_FLOAT: return parse_float(p);
  case TOK_STRING: return parse_string_token(p);
  case TOK_STR_OPEN: return parse_holed_string(p);
  case TOK_NAME: return parse_name(p);
  case TOK_LPAREN: return parse_paren(p);
  case TOK_LBRACKET: return parse_array(p);
  case TOK_IF: return parse_if(p);
  case TOK_FN: return parse_lambda(p);
  case TOK_LBRACE:
    if (p->no_struct) break;
    return parse_block(p, p->open.len, "this");
  case TOK_DOT:
    if (kind_ahead(p, 1) == TOK_INT && ahead(p, 1)->glued) return parse_point_float(p);
    break;
  case TOK_TRUE:
  case TOK_FALSE: {
    Expr *e = expr_new(p, EXPR_BOOL, here(p));
    e->bool_value = at(p, TOK_TRUE);
    advance(p);
    return e;
  }
  default: break;
  }
  return parse_missing(p);
}

static Expr *parse_field(Parser *p, Expr *base) {
  advance(p);
  Name name = NULL;
  Loc loc = gap(p);
  if (at(p, TOK_INT)) {
    name = intern_cstr(p->names, cur(p)->text);
    loc = here(p);
    advance(p);
  } else {
    name = expect_name(p, "a field's name after `.`", &loc);
  }
  Expr *e = expr_new(p, EXPR_FIELD, since(p, base->loc));
  e->field.base = base;
  e->field.name = name;
  e->field.name_loc = loc;
  return e;
}

static Expr *parse_postfix(Parser *p) {
  Expr *e = parse_primary(p);
  while (!p->panic) {
    if (at(p, TOK_LPAREN) && !at_new_line(p)) {
      e = parse_call(p, e);
    } else if (at(p, TOK_LBRACKET) && !at_new_line(p)) {
      e = parse_index(p, e);
    } else if (at(p, TOK_DOT)) {
      e = parse_field(p, e);
    } else if (names_struct(e) && at_struct_body(p)) {
      e = parse_struct(p, e);
    } else {
      break;
    }
  }
  return e;
}

// `x++` or `x--` at a statement's end, the cursor at the second sign.
static bool at_increment(const Parser *p) {
  const Token *before = p->pos ? &p->toks[p->pos - 1] : cur(p), *next = ahead(p, 1);
  return before->kind == cur(p)->kind && before != cur(p) && cur(p)->glued &&
         (next->nl || next->kind == TOK_RBRACE || next->kind == TOK_SEMI || next->kind == TOK_EOF);
}

static void fail_increment(Parser *p, Loc both) {
  char sign = at(p, TOK_PLUS) ? '+' : '-';
  Diag *g = fail(p, DIAG_FOREIGN, both, "dp has no operator `%c%c`", sign, sign);
  help(p, g, "write `x %c= 1`", sign);
}

// A `+` where an operand should be.
static void skip_plus(Parser *p) {
  if (kind_ahead(p, 1) == TOK_PLUS && ahead(p, 1)->glued) {
    fail_increment(p, loc_join(here(p), token_loc(p, ahead(p, 1))));
    return;
  }
  Diag *g = complain(p, DIAG_FOREIGN, here(p), "dp has no unary `+`");
  help(p, g, "leave it out");
  g->replace = "";
  while (at(p, TOK_PLUS)) advance(p);
}

// `-x`, `x ^ y`: `^` binds tighter than the minus before it and takes one after it.
static Expr *parse_unary(Parser *p) {
  int outer;
  if ((at(p, TOK_PLUS) || at(p, TOK_MINUS)) && at_increment(p))
    fail_increment(p, loc_join(token_loc(p, &p->toks[p->pos - 1]), here(p)));
  if (!p->panic && at(p, TOK_PLUS)) skip_plus(p);
  if (p->panic) return expr_error(p);
  Loc from = here(p);
  if (accept(p, TOK_MINUS)) {
    Expr *least = parse_int_min(p, from);
    if (least) return least;
    Expr *arg = enter(p, &outer) ? parse_unary(p) : expr_error(p);
    leave(p, outer);
    Expr *e = expr_new(p, EXPR_UNARY, since(p, from));
    e->unary.op = UNARY_NEG;
    e->unary.arg = arg;
    return e;
  }
  Expr *base = parse_postfix(p);
  if (p->panic || !at(p, TOK_CARET)) return base;
  Loc op = here(p);
  advance(p);
  Expr *power = enter(p, &outer) ? parse_unary(p) : expr_error(p);
  leave(p, outer);
  return binary_new(p, BIN_POW, op, base, power);
}

static Expr *parse_binary(Parser *p, int min);

static Expr *parse_not(Parser *p, int min) {
  int outer;
  Loc from = here(p);
  if (min > PREC_NOT) {
    Diag *g = complain(p, DIAG_SYNTAX, from, "`not` binds more loosely than the operator before it");
    help(p, g, "put parentheses around `not` and what it negates");
  }
  advance(p);
  Expr *arg = enter(p, &outer) ? parse_binary(p, PREC_NOT) : expr_error(p);
  leave(p, outer);
  Expr *e = expr_new(p, EXPR_UNARY, since(p, from));
  e->unary.op = UNARY_NOT;
  e->unary.arg = arg;
  return e;
}

static Expr *parse_operand(Parser *p, int min) { return at(p, TOK_NOT) ? parse_not(p, min) : parse_unary(p); }

static Expr *parse_binary(Parser *p, int min) {
  Expr *left = parse_operand(p, min);
  const Token *compared = NULL;
  BinaryOp op;
  while (!p->panic && binary_op_of(kind(p), &op) && binary_op_precedence(op) >= min) {
    if (at_new_line(p) && (op == BIN_SUB || op == BIN_MATMUL)) break;
    if (at_new_line(p) && op == BIN_ADD && kind_ahead(p, 1) == TOK_PLUS && ahead(p, 1)->glued) break; // `++x`
    int prec = binary_op_precedence(op), outer;
    Loc op_loc = here(p);
    bool chained = prec == PREC_COMPARE && compared;
    if (chained) {
      Diag *g = complain(p, DIAG_SYNTAX, op_loc, "comparisons do not chain");
      diag_span(p->diags, g, token_loc(p, compared), "the first comparison");
      help(p, g, "join two of them with `and`: `a < b and b < c`");
    }
    if (prec == PREC_COMPARE) compared = cur(p);
    advance(p);
    Expr *right = enter(p, &outer) ? parse_binary(p, prec + 1) : expr_error(p);
    leave(p, outer);
    left = binary_new(p, op, op_loc, left, right);
    if (chained) left->kind = EXPR_ERROR;
  }
  return left;
}

Expr *parse_expr(Parser *p) {
  int outer;
  if (p->panic) return expr_error(p);
  Expr *e = enter(p, &outer) ? parse_binary(p, PREC_OR) : expr_error(p);
  leave(p, outer);
  return e;
}
