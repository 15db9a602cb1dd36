// Statements and blocks. What must hold: after a statement the cursor stands at the next one or at the block's `}`,
// whatever went wrong in it, and an expression that is a statement is a call or an `if` or block without a value.
#include "parser.h"

#include <string.h>

static Stmt *stmt_new(Parser *p, StmtKind k, Loc loc) {
  Stmt *s = ARENA_NEW(p->arena, Stmt);
  s->kind = k;
  s->loc = loc;
  return s;
}

// ---- patterns, let --------------------------------------------------------------------------------------------

static Pattern *parse_tuple_pattern(Parser *p) {
  Pattern *t = ARENA_NEW(p->arena, Pattern);
  t->loc = here(p);
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RPAREN)) {
    vec_push(p->arena, &t->parts, parse_pattern(p));
    if (!accept(p, TOK_COMMA)) break;
  }
  close_list(p, TOK_RPAREN, "this name");
  bracket_end(p, m);
  t->loc = since(p, t->loc);
  if (t->parts.len == 1) return t->parts.data[0];
  if (t->parts.len == 0) fail(p, DIAG_SYNTAX, t->loc, "expected names between the parentheses");
  return t;
}

Pattern *parse_pattern(Parser *p) {
  Pattern *t = NULL;
  int outer;
  if (enter(p, &outer) && at(p, TOK_LPAREN)) t = parse_tuple_pattern(p);
  leave(p, outer);
  if (t) return t;
  t = ARENA_NEW(p->arena, Pattern);
  t->name = expect_name(p, "a name", &t->loc);
  return t;
}

// `let a, b = ...`: the parentheses are missing.
static Pattern *parse_bare_tuple(Parser *p, Pattern *first) {
  Pattern *t = ARENA_NEW(p->arena, Pattern);
  vec_push(p->arena, &t->parts, first);
  while (!p->panic && accept(p, TOK_COMMA)) vec_push(p->arena, &t->parts, parse_pattern(p));
  if (!p->panic) accept(p, TOK_RPAREN); // only the opening one is missing
  t->loc = since(p, first->loc);
  help(p, complain(p, DIAG_SYNTAX, t->loc, "several names stand in parentheses"), "write `let (a, b) = ...`");
  return t;
}

static bool skip_mut(Parser *p, const Token *keyword) {
  if (!at_word(p, "mut") || kind_ahead(p, 1) != TOK_NAME) return false;
  advance(p);
  Loc both = since(p, token_loc(p, keyword));
  Diag *g = complain(p, DIAG_FOREIGN, both, "a variable that changes is declared with `var`");
  help(p, g, "write `var`");
  g->replace = "var";
  return true;
}

static Stmt *parse_declared(Parser *p, Stmt *s) {
  s->let.pattern = parse_pattern(p);
  if (p->panic) {
    s->kind = STMT_ERROR;
    return s;
  }
  if (at(p, TOK_COMMA)) s->let.pattern = parse_bare_tuple(p, s->let.pattern);
  if (at(p, TOK_COLON) && kind_ahead(p, 1) != TOK_EQ) {
    advance(p);
    s->let.type = parse_type(p);
  }
  if (!p->panic && !accept(p, TOK_EQ)) {
    bool wrong = at(p, TOK_EQ_EQ) || (at(p, TOK_COLON) && kind_ahead(p, 1) == TOK_EQ);
    Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected `=` and a value, found %s", found(p));
    help(p, g, wrong ? "write `=`" : "a variable has a value from its start, for example `var x = 0.0`");
  }
  s->let.init = parse_expr(p);
  return s;
}

static Stmt *parse_let(Parser *p) {
  Stmt *s = stmt_new(p, STMT_LET, here(p));
  const Token *keyword = cur(p);
  s->let.is_var = at(p, TOK_VAR);
  advance(p);
  s->let.is_var |= skip_mut(p, keyword);
  return parse_declared(p, s);
}

// `int x = 1`, `x := 1`: it is told, and x is a variable from here on.
static Stmt *parse_foreign_let(Parser *p, Loc from) {
  Stmt *s = stmt_new(p, STMT_LET, from);
  s->let.is_var = true;
  if (at(p, TOK_NAME) && kind_ahead(p, 1) == TOK_COLON && kind_ahead(p, 2) == TOK_EQ) {
    s->let.pattern = parse_pattern(p);
    p->pos += 2;
    s->let.init = parse_expr(p);
    return s;
  }
  return parse_declared(p, s);
}

// ---- assignments and expressions ------------------------------------------------------------------------------

static bool assign_op_of(TokenKind k, AssignOp *op) {
  switch (k) {
  case TOK_EQ: *op = ASSIGN_SET; return true;
  case TOK_PLUS_EQ: *op = ASSIGN_ADD; return true;
  case TOK_MINUS_EQ: *op = ASSIGN_SUB; return true;
  case TOK_STAR_EQ: *op = ASSIGN_MUL; return true;
  case TOK_SLASH_EQ: *op = ASSIGN_DIV; return true;
  default: return false;
  }
}

static void check_target(Parser *p, Expr *target, AssignOp op) {
  if (target->kind == EXPR_TUPLE && op == ASSIGN_SET) {
    for (int i = 0; i < target->tuple.elems.len; i++) check_target(p, target->tuple.elems.data[i], op);
    return;
  }
  const Expr *e = target;
  while (e->kind == EXPR_FIELD || e->kind == EXPR_INDEX)
    e = e->kind == EXPR_FIELD ? e->field.base : e->index.base;
  if (e->kind == EXPR_NAME || e->kind == EXPR_ERROR) return;
  Diag *g = complain(p, DIAG_ASSIGN_TARGET, target->loc, "this cannot be assigned to");
  diag_label(p->diags, g, e->kind == EXPR_CALL ? "the result of a call" : "not a variable");
  help(p, g, "the left side is a variable, or a field, an element, a row or a slice of one");
  target->kind = EXPR_ERROR;
}

static Stmt *parse_assign(Parser *p, Expr *target, AssignOp op, Loc from) {
  advance(p);
  check_target(p, target, op);
  Stmt *s = stmt_new(p, STMT_ASSIGN, from);
  s->assign.op = op;
  s->assign.target = target;
  s->assign.value = parse_expr(p);
  AssignOp more;
  if (!p->panic && !at_new_line(p) && assign_op_of(kind(p), &more)) {
    Diag *g = fail(p, DIAG_SYNTAX, here(p), "an assignment has no value, so it cannot be assigned further");
    help(p, g, "write two statements");
  }
  return s;
}

static Stmt *parse_expr_statement(Parser *p) {
  Loc from = here(p);
  AssignOp op;
  if (hint_let(p)) return parse_foreign_let(p, from);
  Expr *e = hint_statement(p) ? expr_error(p) : parse_expr(p);
  if (!p->panic && assign_op_of(kind(p), &op)) return parse_assign(p, e, op, from);
  if (!p->panic && at(p, TOK_COMMA)) {
    Diag *g = fail(p, DIAG_SYNTAX, here(p), "expected the end of the statement, found `,`");
    help(p, g, "several values stand in parentheses, `(a, b) = (b, a)`; an array in brackets, `[a, b]`");
  }
  Stmt *s = stmt_new(p, STMT_EXPR, since(p, from));
  s->expr = e;
  return s;
}

// ---- values that nothing uses ---------------------------------------------------------------------------------

// Does the expression start its line with what could have continued the line before?
static bool starts_like_operator(const Parser *p, const Expr *e) {
  const char *text = p->src->text;
  uint32_t i = e->loc.off;
  if (!strchr("-([", text[i])) return false;
  while (i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\t')) i--;
  return i == 0 || text[i - 1] == '\n';
}

static void check_used(Parser *p, Expr *e) {
  Diag *g;
  switch (e->kind) {
  case EXPR_CALL:
  case EXPR_ERROR: return;
  case EXPR_BLOCK: demote_value(p, e); return;
  case EXPR_IF:
    demote_value(p, e->if_.then);
    if (e->if_.els) check_used(p, e->if_.els);
    return;
  default: break;
  }
  g = complain(p, DIAG_UNUSED_VALUE, e->loc, "nothing uses this value");
  diag_label(p->diags, g, "computed and then dropped");
  if (e->kind == EXPR_BINARY && e->binary.op == BIN_EQ)
    help(p, g, "`==` compares; to assign, write `=`");
  else if (starts_like_operator(p, e))
    help(p, g,
         "a line that starts with `-`, `@`, `(` or `[` begins a statement; to continue the line before, end "
         "that "
         "one with the operator or put parentheses around both");
  else if (e->kind == EXPR_STRING)
    help(p, g, "to show it, write `print(...)`");
  else
    help(p, g, "assign it to a name, or `return` it from a function that declares its result with `->`");
}

void demote_value(Parser *p, Expr *block) {
  if (block->kind != EXPR_BLOCK || !block->block.value) return;
  Expr *e = block->block.value;
  check_used(p, e);
  Stmt *s = stmt_new(p, STMT_EXPR, e->loc);
  s->expr = e;
  vec_push(p->arena, &block->block.stmts, s);
  block->block.value = NULL;
}

// An `if` has a value when it covers all cases and a branch has one.
static bool has_value(const Expr *e) {
  bool any = false;
  for (; e && e->kind == EXPR_IF; e = e->if_.els) any |= has_value(e->if_.then);
  if (!e) return false;
  return any || e->kind != EXPR_BLOCK || e->block.value;
}

// ---- loops and the rest ---------------------------------------------------------------------------------------

static Stmt *parse_for(Parser *p, Loc from, CheckpointKind checkpoint, int64_t n) {
  int base = p->open.len;
  Stmt *s = stmt_new(p, STMT_FOR, from);
  advance(p);
  bool no_struct = p->no_struct;
  p->no_struct = true;
  s->for_.iter = parse_iter(p);
  p->no_struct = no_struct;
  s->for_.body = parse_block(p, base, "the loop's range");
  demote_value(p, s->for_.body);
  s->for_.checkpoint = checkpoint;
  s->for_.checkpoint_n = n;
  return s;
}

static Stmt *parse_while(Parser *p) {
  int base = p->open.len;
  Stmt *s = stmt_new(p, STMT_WHILE, here(p));
  advance(p);
  s->while_.cond = parse_condition(p, "`while`");
  s->while_.body = parse_block(p, base, "the condition of `while`");
  demote_value(p, s->while_.body);
  return s;
}

// `(every: 32)`, with the kind and the number.
static CheckpointKind parse_checkpoint_args(Parser *p, int64_t *n) {
  CheckpointKind k = CHECKPOINT_NONE;
  Loc from = gap(p);
  if (at(p, TOK_LPAREN)) {
    Mode m = bracket_start(p);
    k = at_word(p, "every") ? CHECKPOINT_EVERY : at_word(p, "slots") ? CHECKPOINT_SLOTS : CHECKPOINT_NONE;
    if (kind_ahead(p, 1) != TOK_COLON || kind_ahead(p, 2) != TOK_INT) k = CHECKPOINT_NONE;
    if (k != CHECKPOINT_NONE) {
      p->pos += 2;
      Loc number = here(p);
      *n = parse_int_token(p);
      if (*n < 1) complain(p, DIAG_ATTRIBUTE, number, "`@checkpoint` needs at least 1");
      close_bracket(p, TOK_RPAREN, "the number");
    }
    bracket_end(p, m);
  }
  if (k == CHECKPOINT_NONE)
    help(p, fail(p, DIAG_ATTRIBUTE, since(p, from), "`@checkpoint` needs to know how often"),
         "write `@checkpoint(every: 32)` or `@checkpoint(slots: 8)`, with a number");
  return k;
}

static Stmt *parse_attributed(Parser *p) {
  Loc from = here(p), name_loc;
  int64_t n = 0;
  advance(p);
  Name name = expect_name(p, "an attribute's name after `@`", &name_loc);
  if (!p->panic && strcmp(name, "checkpoint") != 0)
    help(p, fail(p, DIAG_ATTRIBUTE, since(p, from), "a statement has no attribute `@%s`", name),
         "before a `for` there may be `@checkpoint(every: 32)` or `@checkpoint(slots: 8)`");
  CheckpointKind k = p->panic ? CHECKPOINT_NONE : parse_checkpoint_args(p, &n);
  if (!p->panic && !at(p, TOK_FOR)) {
    Diag *g = fail(p, DIAG_ATTRIBUTE, since(p, from), "`@checkpoint` stands before a `for` loop");
    diag_span(p->diags, g, here(p), "this is %s", token_describe(p->arena, cur(p)));
  }
  if (p->panic) return stmt_new(p, STMT_ERROR, since(p, from));
  return parse_for(p, from, k, n);
}

static bool at_statement_end(const Parser *p) {
  return at(p, TOK_EOF) || at(p, TOK_SEMI) || at(p, TOK_RBRACE) || at_new_line(p);
}

static Stmt *parse_return(Parser *p) {
  Stmt *s = stmt_new(p, STMT_RETURN, here(p));
  advance(p);
  if (at_statement_end(p)) return s;
  p->returns = true;
  Expr *e = parse_expr(p);
  if (at(p, TOK_COMMA) && !p->panic) {
    ExprVec parts = {0};
    vec_push(p->arena, &parts, e);
    while (!p->panic && accept(p, TOK_COMMA)) vec_push(p->arena, &parts, parse_expr(p));
    e = expr_new(p, EXPR_TUPLE, since(p, e->loc));
    e->tuple.elems = parts;
  }
  s->return_.value = e;
  return s;
}

static Stmt *parse_assert(Parser *p) {
  Stmt *s = stmt_new(p, STMT_ASSERT, here(p));
  advance(p);
  Expr *e = parse_expr(p);
  s->assert_.cond = e;
  if (e->kind == EXPR_TUPLE && e->tuple.elems.len == 2) { // assert(c, m)
    Diag *g = complain(p, DIAG_SYNTAX, e->loc, "`assert` is a statement and takes no parentheses");
    help(p, g, "write `assert condition, \"message\"`");
    s->assert_.cond = e->tuple.elems.data[0];
    s->assert_.message = e->tuple.elems.data[1];
  } else if (!p->panic && accept(p, TOK_COMMA)) {
    s->assert_.message = parse_expr(p);
  }
  return s;
}

static Stmt *parse_word(Parser *p, StmtKind k) {
  Stmt *s = stmt_new(p, k, here(p));
  advance(p);
  return s;
}

// A declaration where a statement should be; it is read so that its own mistakes are found.
static Stmt *parse_nested_declaration(Parser *p) {
  Loc from = here(p);
  bool fn = at(p, TOK_FN);
  Diag *g = complain(p, DIAG_SYNTAX, from, "%s stands at the top level of a file, not within a function",
                     fn ? "a named function" : token_kind_text(kind(p)));
  if (fn)
    help(p, g,
         "move it out, or bind a lambda: `fn(x) => ...` can be passed and uses the variables around it");
  if (fn)
    parse_fn(p, FN_PLAIN);
  else
    fail(p, DIAG_SYNTAX, from, "unexpected declaration");
  return stmt_new(p, STMT_ERROR, since(p, from));
}

static Stmt *parse_stray_else(Parser *p) {
  Diag *g = fail(p, DIAG_SYNTAX, here(p), "this `else` belongs to no `if`");
  help(p, g, "`else` follows the `}` of an `if`, on the same line or the next");
  return stmt_new(p, STMT_ERROR, here(p));
}

static Stmt *parse_statement_inner(Parser *p) {
  switch (kind(p)) {
  case TOK_LET:
  case TOK_VAR: return parse_let(p);
  case TOK_FOR: return parse_for(p, here(p), CHECKPOINT_NONE, 0);
  case TOK_WHILE: return parse_while(p);
  case TOK_BREAK: return parse_word(p, STMT_BREAK);
  case TOK_CONTINUE: return parse_word(p, STMT_CONTINUE);
  case TOK_RETURN: return parse_return(p);
  case TOK_ASSERT: return parse_assert(p);
  case TOK_AT: return parse_attributed(p);
  case TOK_ELSE: return parse_stray_else(p);
  case TOK_FN:
    if (kind_ahead(p, 1) != TOK_NAME) return parse_expr_statement(p);
    return parse_nested_declaration(p);
  case TOK_STRUCT:
  case TOK_IMPORT:
  case TOK_EXTERN:
  case TOK_ADJOINT:
  case TOK_TANGENT: return parse_nested_declaration(p);
  case TOK_NAME:
    if (hint_word(p, false)) return parse_statement_inner(p);
    return parse_expr_statement(p);
  default: return parse_expr_statement(p);
  }
}

static Stmt *parse_statement(Parser *p) {
  int start = p->pos, base = p->open.len, height = p->height;
  bool lost_else = p->headless && (at(p, TOK_ELSE) || at_elif(p));
  p->headless = false;
  p->height = 0;                        // statements stand beside each other
  if (lost_else) p->panic = PANIC_STMT; // said with its `if`
  Stmt *s = lost_else ? stmt_new(p, STMT_ERROR, here(p)) : parse_statement_inner(p);
  if (!p->panic) s->loc = since(p, s->loc);
  if (!p->panic && !at_statement_end(p)) {
    bool closes = at(p, TOK_RPAREN) || at(p, TOK_RBRACKET);
    Diag *g = closes ? fail(p, DIAG_UNCLOSED, here(p), "this %s closes nothing", token_kind_text(kind(p)))
                     : fail(p, DIAG_SYNTAX, here(p), "expected the end of the statement, found %s", found(p));
    if (!closes) hint_statement_end(p, g);
    if (starts_statement(kind(p))) p->panic = PANIC_NONE; // which is read as one
  }
  if (p->panic) {
    if (s->kind == STMT_EXPR) s->kind = STMT_ERROR;
    if (s->kind == STMT_LET) s->let.init = expr_error(p);
    recover_statement(p, start, base);
    p->headless |= lost_else;
  }
  if (p->height < height) p->height = height;
  return s;
}

// ---- blocks ---------------------------------------------------------------------------------------------------

// A `}` that starts a line further left than the line of its `{` hints at one that is missing before it.
static void note_indentation(Parser *p, int opener) {
  const Token *t = cur(p);
  if (p->suspect >= 0 || !t->nl || indent_of(p, t) >= indent_of(p, &p->toks[opener])) return;
  p->suspect = opener;
}

static void unclosed_block(Parser *p, int opener) {
  int blamed = p->suspect >= 0 ? p->suspect : opener;
  Diag *g = fail(p, DIAG_UNCLOSED, token_loc(p, &p->toks[blamed]), "this `{` is never closed");
  if (p->suspect >= 0)
    diag_label(p->diags, g, "by the indentation, its `}` is missing");
  else
    diag_label(p->diags, g, "opened here");
  diag_span(p->diags, g, gap(p), "`}` expected before %s", token_describe(p->arena, cur(p)));
  p->panic = PANIC_DECL;
}

// The last expression of a block is its value, if it can have one.
static void take_value(Parser *p, Expr *e) {
  Stmt *last = e->block.stmts.len ? vec_last(&e->block.stmts) : NULL;
  if (last && last->kind == STMT_ERROR) e->block.value = expr_error(p); // it may have been meant as one
  if (!last || last->kind != STMT_EXPR || p->panic) return;
  Expr *v = last->expr;
  if ((v->kind == EXPR_IF || v->kind == EXPR_BLOCK) && !has_value(v)) {
    check_used(p, v);
    return;
  }
  e->block.value = v;
  e->block.stmts.len--;
}

// The block ends at its `}`, or, where its `{` is missing, before a line that is not further right than `margin`.
static bool at_block_end(const Parser *p, int margin) {
  if (at(p, TOK_RBRACE) || p->panic == PANIC_DECL) return true;
  return margin >= 0 && (at(p, TOK_EOF) || (cur(p)->nl && indent_of(p, cur(p)) <= margin));
}

static void parse_block_items(Parser *p, Expr *e, int opener, int margin) {
  int indent = indent_of(p, &p->toks[p->decl_start]);
  Stmt *last = NULL;
  while (!at_block_end(p, margin)) {
    if (at(p, TOK_EOF) || (at_decl(p) && indent_of(p, cur(p)) <= indent)) {
      unclosed_block(p, opener);
      return;
    }
    if (accept(p, TOK_SEMI)) continue;
    if (last && last->kind == STMT_EXPR) check_used(p, last->expr);
    last = parse_statement(p);
    vec_push(p->arena, &e->block.stmts, last);
  }
  take_value(p, e);
}

// Without its `{`, a block is still known by the indentation of the line after its head.
bool at_indented_block(const Parser *p) {
  const Token *t = at(p, TOK_COLON) || at_word(p, "then") || at_word(p, "do") ? ahead(p, 1) : cur(p);
  return t->nl && t->kind != TOK_EOF && indent_of(p, t) > indent_of(p, &p->toks[p->pos - 1]);
}

static void missing_brace(Parser *p, const char *after) {
  Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected `{` after %s, found %s", after, found(p));
  hint_block(p, g);
}

static void parse_indented_block(Parser *p, Expr *e, const char *after) {
  int margin = indent_of(p, &p->toks[p->pos - 1]);
  if (!p->headless) missing_brace(p, after);
  p->panic = PANIC_NONE;
  if (!cur(p)->nl) advance(p);
  parse_block_items(p, e, p->pos, margin);
  bool own = at(p, TOK_RBRACE) && (!cur(p)->nl || indent_of(p, cur(p)) == margin);
  if (own && !p->panic) advance(p);
}

static void parse_braced_block(Parser *p, Expr *e) {
  int opener = p->pos;
  open_bracket(p);
  parse_block_items(p, e, opener, -1);
  if (p->panic) return;
  note_indentation(p, opener);
  close_bracket(p, TOK_RBRACE, "this statement");
}

Expr *parse_block(Parser *p, int base, const char *after) {
  int outer;
  bool indented = !p->panic && !at(p, TOK_LBRACE) && p->newlines && at_indented_block(p);
  if (!indented && !p->panic && !at(p, TOK_LBRACE)) missing_brace(p, after);
  if (p->panic && !recover_block(p, base)) {
    p->headless = true;
    return expr_error(p);
  }
  Loc from = here(p);
  bool newlines = p->newlines, no_struct = p->no_struct;
  Expr block = {.kind = EXPR_BLOCK};
  if (enter(p, &outer)) {
    p->newlines = true;
    p->no_struct = false;
    if (indented)
      parse_indented_block(p, &block, after);
    else
      parse_braced_block(p, &block);
    p->newlines = newlines;
    p->no_struct = no_struct;
    p->headless = indented;
  }
  leave(p, outer);
  Expr *e = expr_new(p, EXPR_BLOCK, since(p, from));
  e->block = block.block;
  return e;
}
