// The tree as dp source, on one line, with as few parentheses as read back to the same tree. In: a tree, checked or
// not; out: text. What must hold: print, parse, print gives the same text.
#include "ast.h"

#include <string.h>

// How tightly an expression holds together; an operand that holds less tightly than its place wants is put in
// parentheses. The operators' own levels are binary_op_precedence's.
enum { HOLD_ANY = 0, HOLD_NOT = 3, HOLD_COMPARE = 4, HOLD_NEG = 7, HOLD_NUMBER = 9, HOLD_POSTFIX = 10 };

static void print_at(const Expr *e, int least, StrBuf *out);
static void print_block(const Expr *e, StrBuf *out);

static int hold_of(const Expr *e) {
  switch (e->kind) {
  case EXPR_UNARY: return e->unary.op == UNARY_NEG ? HOLD_NEG : HOLD_NOT;
  case EXPR_BINARY: return binary_op_precedence(e->binary.op);
  case EXPR_INT: return e->int_value < 0 ? HOLD_NEG : HOLD_NUMBER; // `1.x` would read as a float
  case EXPR_FLOAT: return HOLD_NUMBER;
  case EXPR_RANGE:
  case EXPR_LAMBDA: return HOLD_ANY; // reaches as far to the right as it can
  case EXPR_IF:
  case EXPR_BLOCK: return HOLD_NOT; // reads badly within an operator without parentheses
  default: return HOLD_POSTFIX;
  }
}

static void print_list(const ExprVec *v, StrBuf *out) {
  for (int i = 0; i < v->len; i++) {
    if (i) sb_add(out, ", ");
    print_at(v->data[i], HOLD_ANY, out);
  }
}

// ---- literals -------------------------------------------------------------------------------------------------

static void print_text(const char *s, StrBuf *out) {
  for (; *s; s++) {
    switch (*s) {
    case '\n': sb_add(out, "\\n"); break;
    case '\t': sb_add(out, "\\t"); break;
    case '\r': sb_add(out, "\\r"); break;
    case '"': sb_add(out, "\\\""); break;
    case '\\': sb_add(out, "\\\\"); break;
    case '{': sb_add(out, "{{"); break;
    case '}': sb_add(out, "}}"); break;
    default: sb_addc(out, *s);
    }
  }
}

static void print_string(const Expr *e, StrBuf *out) {
  sb_addc(out, '"');
  for (int i = 0; i < e->string.len; i++) {
    const StringPart *part = &e->string.data[i];
    print_text(part->text, out);
    if (!part->hole) continue;
    sb_addc(out, '{');
    print_at(part->hole, HOLD_COMPARE, out); // so that no `{` comes first
    if (*part->spec) sb_addf(out, ":%s", part->spec);
    sb_addc(out, '}');
  }
  sb_addc(out, '"');
}

// ---- operators ------------------------------------------------------------------------------------------------

static void print_unary(const Expr *e, StrBuf *out) {
  sb_add(out, unary_op_text(e->unary.op));
  if (e->unary.op == UNARY_NOT) sb_addc(out, ' ');
  print_at(e->unary.arg, e->unary.op == UNARY_NOT ? HOLD_NOT : HOLD_NEG, out);
}

// Left-associative but for `^`; comparisons do not chain. The right side of `^` may be a negation.
static void print_binary(const Expr *e, StrBuf *out) {
  BinaryOp op = e->binary.op;
  int prec = binary_op_precedence(op);
  bool compares = op >= BIN_EQ && op <= BIN_GE;
  bool power = op == BIN_POW;
  print_at(e->binary.left, prec + (compares || power), out);
  sb_addf(out, power ? "%s" : " %s ", binary_op_text(op));
  print_at(e->binary.right, power ? HOLD_NEG : prec + 1, out);
}

// A range's ends are expressions of their own.
static void print_range(const Expr *e, StrBuf *out) {
  if (e->range.lo) print_at(e->range.lo, HOLD_NOT, out);
  sb_add(out, "..");
  if (e->range.hi) print_at(e->range.hi, HOLD_NOT, out);
}

// ---- calls, loops, structs, lambdas ---------------------------------------------------------------------------

static void print_call(const Expr *e, StrBuf *out) {
  print_at(e->call.callee, HOLD_POSTFIX, out);
  sb_addc(out, '(');
  for (int i = 0; i < e->call.args.len; i++) {
    const Arg *a = &e->call.args.data[i];
    if (i) sb_add(out, ", ");
    if (a->name) sb_addf(out, "%s: ", a->name);
    if (a->is_inout) sb_add(out, "inout ");
    print_at(a->value, HOLD_ANY, out);
  }
  sb_addc(out, ')');
}

// Would the expression, as the head of a statement, show a `{` that opens the statement's block?
static bool shows_brace(const Expr *e) {
  switch (e->kind) {
  case EXPR_STRUCT:
  case EXPR_BLOCK:
  case EXPR_IF:
  case EXPR_LAMBDA: return true;
  case EXPR_UNARY: return shows_brace(e->unary.arg);
  case EXPR_BINARY: return shows_brace(e->binary.left) || shows_brace(e->binary.right);
  case EXPR_FIELD: return shows_brace(e->field.base);
  case EXPR_INDEX: return shows_brace(e->index.base);
  case EXPR_CALL: return shows_brace(e->call.callee);
  default: return false;
  }
}

static void print_head(const Expr *e, StrBuf *out) {
  if (e->kind == EXPR_RANGE) {
    if (e->range.lo) print_head(e->range.lo, out);
    sb_add(out, "..");
    if (e->range.hi) print_head(e->range.hi, out);
    return;
  }
  bool parens = shows_brace(e);
  if (parens) sb_addc(out, '(');
  print_at(e, HOLD_ANY, out);
  if (parens) sb_addc(out, ')');
}

static void print_iter(const Iter *it, StrBuf *out) {
  sb_addf(out, "%s in %s", it->name, it->reverse ? "reverse " : "");
  print_head(it->over, out);
  if (!it->step) return;
  sb_add(out, " step ");
  print_head(it->step, out);
}

static void print_loops(const Expr *e, StrBuf *out) {
  sb_add(out, "for ");
  for (int i = 0; i < e->comp.iters.len; i++) {
    if (i) sb_add(out, ", ");
    print_iter(&e->comp.iters.data[i], out);
  }
  sb_add(out, ": ");
  print_at(e->comp.body, HOLD_ANY, out);
}

static void print_reduce(const Expr *e, StrBuf *out) {
  static const char *const names[] = {
      [REDUCE_SUM] = "sum(", [REDUCE_PROD] = "prod(", [REDUCE_MIN] = "min(", [REDUCE_MAX] = "max("};
  sb_add(out, names[e->comp.op]);
  print_loops(e, out);
  sb_addc(out, ')');
}

static void print_struct(const Expr *e, StrBuf *out) {
  if (e->strukt.module) sb_addf(out, "%s.", e->strukt.module);
  sb_addf(out, "%s {", e->strukt.name);
  for (int i = 0; i < e->strukt.fields.len; i++) {
    const FieldInit *f = &e->strukt.fields.data[i];
    sb_addf(out, "%s%s: ", i ? ", " : " ", f->name);
    print_at(f->value, HOLD_ANY, out);
  }
  sb_add(out, e->strukt.fields.len ? " }" : "}");
}

static void print_params(const ParamVec *params, StrBuf *out) {
  sb_addc(out, '(');
  for (int i = 0; i < params->len; i++) {
    const Param *par = &params->data[i];
    sb_addf(out, "%s%s%s", i ? ", " : "", par->is_inout ? "inout " : "", par->name);
    if (par->type) {
      sb_add(out, ": ");
      ast_print_type(par->type, out);
    }
    if (par->def) {
      sb_add(out, " = ");
      print_at(par->def, HOLD_ANY, out);
    }
  }
  sb_addc(out, ')');
}

static void print_if(const Expr *e, StrBuf *out) {
  for (;; e = e->if_.els) {
    sb_add(out, "if ");
    print_head(e->if_.cond, out);
    sb_addc(out, ' ');
    print_block(e->if_.then, out);
    if (!e->if_.els) return;
    sb_add(out, " else ");
    if (e->if_.els->kind != EXPR_IF) break;
  }
  print_block(e->if_.els, out);
}

// ---- statements -----------------------------------------------------------------------------------------------

static void print_pattern(const Pattern *t, StrBuf *out) {
  if (t->name) {
    sb_add(out, t->name);
    return;
  }
  sb_addc(out, '(');
  for (int i = 0; i < t->parts.len; i++) {
    if (i) sb_add(out, ", ");
    print_pattern(t->parts.data[i], out);
  }
  sb_addc(out, ')');
}

static void print_let(const Stmt *s, StrBuf *out) {
  sb_add(out, s->let.is_var ? "var " : "let ");
  print_pattern(s->let.pattern, out);
  if (s->let.type) {
    sb_add(out, ": ");
    ast_print_type(s->let.type, out);
  }
  sb_add(out, " = ");
  print_at(s->let.init, HOLD_ANY, out);
}

static void print_for(const Stmt *s, StrBuf *out) {
  if (s->for_.checkpoint != CHECKPOINT_NONE)
    sb_addf(out, "@checkpoint(%s: %lld) ", s->for_.checkpoint == CHECKPOINT_EVERY ? "every" : "slots",
            (long long)s->for_.checkpoint_n);
  sb_add(out, "for ");
  print_iter(&s->for_.iter, out);
  sb_addc(out, ' ');
  print_block(s->for_.body, out);
}

static void print_stmt(const Stmt *s, StrBuf *out) {
  static const char *const assign_ops[] = {
      [ASSIGN_SET] = "=", [ASSIGN_ADD] = "+=", [ASSIGN_SUB] = "-=", [ASSIGN_MUL] = "*=", [ASSIGN_DIV] = "/="};
  switch (s->kind) {
  case STMT_ERROR: sb_add(out, "<error>"); return;
  case STMT_LET: print_let(s, out); return;
  case STMT_ASSIGN:
    print_at(s->assign.target, HOLD_ANY, out);
    sb_addf(out, " %s ", assign_ops[s->assign.op]);
    print_at(s->assign.value, HOLD_ANY, out);
    return;
  case STMT_EXPR: print_at(s->expr, HOLD_ANY, out); return;
  case STMT_FOR: print_for(s, out); return;
  case STMT_WHILE:
    sb_add(out, "while ");
    print_head(s->while_.cond, out);
    sb_addc(out, ' ');
    print_block(s->while_.body, out);
    return;
  case STMT_BREAK: sb_add(out, "break"); return;
  case STMT_CONTINUE: sb_add(out, "continue"); return;
  case STMT_RETURN:
    sb_add(out, s->return_.value ? "return " : "return");
    if (s->return_.value) print_at(s->return_.value, HOLD_ANY, out);
    return;
  case STMT_ASSERT:
    sb_add(out, "assert ");
    print_at(s->assert_.cond, HOLD_ANY, out);
    if (!s->assert_.message) return;
    sb_add(out, ", ");
    print_at(s->assert_.message, HOLD_ANY, out);
    return;
  }
}

static void print_block(const Expr *e, StrBuf *out) {
  if (e->kind != EXPR_BLOCK) {
    print_at(e, HOLD_ANY, out);
    return;
  }
  const char *between = "{ ";
  for (int i = 0; i < e->block.stmts.len; i++, between = "; ") {
    sb_add(out, between);
    print_stmt(e->block.stmts.data[i], out);
  }
  if (e->block.value) {
    sb_add(out, between);
    print_at(e->block.value, HOLD_ANY, out);
  }
  sb_add(out, e->block.stmts.len || e->block.value ? " }" : "{}");
}

// ---- the whole ------------------------------------------------------------------------------------------------

static void print_bare(const Expr *e, StrBuf *out) {
  switch (e->kind) {
  case EXPR_ERROR: sb_add(out, "<error>"); return;
  case EXPR_INT: sb_addf(out, "%lld", (long long)e->int_value); return;
  case EXPR_FLOAT:
    if (e->flt.text)
      sb_add(out, e->flt.text);
    else
      sb_add_f64(out, e->flt.value);
    return;
  case EXPR_BOOL: sb_add(out, e->bool_value ? "true" : "false"); return;
  case EXPR_STRING: print_string(e, out); return;
  case EXPR_NAME: sb_add(out, e->name.name); return;
  case EXPR_HOLE: sb_add(out, "_"); return;
  case EXPR_UNARY: print_unary(e, out); return;
  case EXPR_BINARY: print_binary(e, out); return;
  case EXPR_FIELD:
    print_at(e->field.base, HOLD_POSTFIX, out);
    sb_addf(out, ".%s", e->field.name);
    return;
  case EXPR_INDEX:
    print_at(e->index.base, HOLD_POSTFIX, out);
    sb_addc(out, '[');
    print_list(&e->index.idx, out);
    sb_addc(out, ']');
    return;
  case EXPR_RANGE: print_range(e, out); return;
  case EXPR_CALL: print_call(e, out); return;
  case EXPR_IF: print_if(e, out); return;
  case EXPR_BLOCK: print_block(e, out); return;
  case EXPR_ARRAY:
    sb_addc(out, '[');
    print_list(&e->array.elems, out);
    sb_addc(out, ']');
    return;
  case EXPR_COMP:
    sb_addc(out, '[');
    print_loops(e, out);
    sb_addc(out, ']');
    return;
  case EXPR_REDUCE: print_reduce(e, out); return;
  case EXPR_TUPLE:
    sb_addc(out, '(');
    print_list(&e->tuple.elems, out);
    sb_addc(out, ')');
    return;
  case EXPR_STRUCT: print_struct(e, out); return;
  case EXPR_LAMBDA:
    sb_add(out, "fn");
    print_params(&e->lambda.params, out);
    sb_add(out, " => ");
    print_block(e->lambda.body, out);
    return;
  }
}

static void print_at(const Expr *e, int least, StrBuf *out) {
  bool parens = hold_of(e) < least;
  if (parens) sb_addc(out, '(');
  print_bare(e, out);
  if (parens) sb_addc(out, ')');
}

void ast_print_expr(const Expr *e, StrBuf *out) { print_at(e, HOLD_ANY, out); }

// ---- types ----------------------------------------------------------------------------------------------------

static void print_types(const TypeExprVec *v, StrBuf *out) {
  sb_addc(out, '(');
  for (int i = 0; i < v->len; i++) {
    if (i) sb_add(out, ", ");
    ast_print_type(v->data[i], out);
  }
  sb_addc(out, ')');
}

static void print_sizes(const ExprVec *v, StrBuf *out) {
  sb_addc(out, '[');
  print_list(v, out);
  sb_addc(out, ']');
}

void ast_print_type(const TypeExpr *t, StrBuf *out) {
  switch (t->kind) {
  case TYPEX_NAME:
    sb_add(out, t->name);
    if (t->sizes.len) print_sizes(&t->sizes, out);
    return;
  case TYPEX_ARRAY:
    print_sizes(&t->sizes, out);
    ast_print_type(t->elem, out);
    return;
  case TYPEX_GROW:
    sb_add(out, "[*]");
    ast_print_type(t->elem, out);
    return;
  case TYPEX_TUPLE: print_types(&t->parts, out); return;
  case TYPEX_FN:
    sb_add(out, "fn");
    print_types(&t->parts, out);
    if (!t->result) return;
    sb_add(out, " -> ");
    ast_print_type(t->result, out);
    return;
  case TYPEX_ERROR: sb_add(out, "<error>"); return;
  }
}
