// Statements: declarations, assignments, loops, and which of them can be reached.
// In: statements; out: whether control reaches what follows. What must hold: a variable's type, sizes included, is fixed
// where it is declared.
#include "sema/check.h"

static bool check_stmt(Checker *c, Stmt *s);

// ---- let and var -----------------------------------------------------------------------------------------------------

static bool has_hole(const TypeExpr *t) {
  if (!t) return false;
  for (int i = 0; i < t->sizes.len; i++)
    if (t->sizes.data[i] && t->sizes.data[i]->kind == EXPR_HOLE) return true;
  for (int i = 0; i < t->parts.len; i++)
    if (has_hole(t->parts.data[i])) return true;
  return has_hole(t->elem) || has_hole(t->result);
}

static void bind_name(Checker *c, Pattern *p, Type *type, Expr *init, bool mutable_) {
  Symbol *s = symbol_new(c, SYM_LOCAL, p->name, p->loc, type);
  s->mutable_ = mutable_;
  if (type->kind == TYPE_INT && !mutable_) s->size = init && init->size ? init->size : size_symbol(c->a, s);
  p->symbol = s;
  scope_declare(c, s);
}

void bind_pattern(Checker *c, Pattern *p, Type *type, Expr *init, bool mutable_) {
  if (!p) return;
  if (p->name) {
    bind_name(c, p, type, init, mutable_);
    return;
  }
  bool fits = type->kind == TYPE_TUPLE && type->n_parts == p->parts.len;
  if (!fits && type->kind == TYPE_TUPLE)
    diag_add(c->d, DIAG_TYPE, p->loc, "%d names for a tuple of %d parts, `%s`", p->parts.len, type->n_parts,
             type_text(c->a, type));
  else if (!fits && type->kind != TYPE_ERROR)
    diag_add(c->d, DIAG_TYPE, p->loc, "only a tuple can be taken apart, and this is `%s`",
             type_text(c->a, type));
  bool parts = init && init->kind == EXPR_TUPLE && init->tuple.elems.len == p->parts.len;
  for (int i = 0; i < p->parts.len; i++)
    bind_pattern(c, p->parts.data[i], fits ? type->parts[i] : c->error,
                 parts ? init->tuple.elems.data[i] : NULL, mutable_);
}

static bool is_fn_expr(const Expr *e) {
  return e && (e->kind == EXPR_NAME || e->kind == EXPR_FIELD || e->kind == EXPR_LAMBDA ||
               (e->kind == EXPR_CALL && e->call.deriv));
}

// `let g = grad(f)`: the name stands for the expression.
static void let_fn(Checker *c, Stmt *s, Type *type) {
  Pattern *p = s->let.pattern;
  bool plain = p && p->name && !s->let.is_var && is_fn_expr(s->let.init);
  if (!plain) {
    Diag *g = diag_add(c->d, DIAG_FN_VALUE, s->let.init->loc, "a function cannot be stored here");
    diag_note(c->d, g, "functions are specialised, never stored");
    if (s->let.is_var) diag_help(c->d, g, "name it with `let`");
    bind_pattern(c, p, c->error, NULL, false);
    return;
  }
  bind_name(c, p, type, NULL, false);
  Expr *init = s->let.init;
  Symbol *named = init->kind == EXPR_NAME ? init->name.symbol : NULL;
  p->symbol->fn_value = named && named->fn_value ? named->fn_value : init;
}

static void check_let(Checker *c, Stmt *s) {
  Type *want = s->let.type ? resolve_type(c, s->let.type, SIZES_UNKNOWN_IS_ERROR) : NULL;
  Expr *init = s->let.init;
  Type *type = want && want->kind == TYPE_FN ? check_fn_value(c, init, want, NULL, -1, "this name")
                                             : check_any(c, init, want);
  if (type->kind == TYPE_FN) {
    let_fn(c, s, type);
    return;
  }
  if (type->kind == TYPE_VOID) type = check_expr(c, init, want);
  const char *name = s->let.pattern && s->let.pattern->name ? s->let.pattern->name : NULL;
  bool ok = true;
  if (want && name)
    ok = expect_type(c, init, want, "`%s`", name);
  else if (want)
    ok = expect_type(c, init, want, "this declaration");
  if (want && want->kind != TYPE_ERROR && !(ok && has_hole(s->let.type) && type->kind != TYPE_INT))
    type = want;
  bind_pattern(c, s->let.pattern, type, init, s->let.is_var);
}

// ---- assignment ------------------------------------------------------------------------------------------------------

static Type *check_target(Checker *c, Expr *e) {
  if (e->kind != EXPR_TUPLE) return check_place(c, e, "assign to");
  int n = e->tuple.elems.len;
  Type **parts = ARENA_ARRAY(c->a, Type *, n + 1);
  for (int i = 0; i < n; i++) {
    parts[i] = e->tuple.elems.data[i] ? check_target(c, e->tuple.elems.data[i]) : c->error;
    for (int j = 0; j < i; j++) {
      if (!places_overlap(e->tuple.elems.data[i], e->tuple.elems.data[j])) continue;
      Diag *g = diag_add(c->d, DIAG_OVERLAP, e->tuple.elems.data[i]->loc, "this is assigned twice at once");
      diag_span(c->d, g, e->tuple.elems.data[j]->loc, "also assigned here");
    }
  }
  return e->type = type_tuple(c, parts, NULL, n);
}

static void check_update(Checker *c, Stmt *s, Type *target) {
  static const BinaryOp ops[] = {
      [ASSIGN_ADD] = BIN_ADD, [ASSIGN_SUB] = BIN_SUB, [ASSIGN_MUL] = BIN_MUL, [ASSIGN_DIV] = BIN_DIV};
  BinaryOp op = ops[s->assign.op];
  Type *scalar = type_scalar_of(target), *kind = type_float_kind(c, target);
  Type *value = check_expr(c, s->assign.value, kind ? kind : scalar);
  if (target->kind == TYPE_ERROR || value->kind == TYPE_ERROR || !s->assign.value) return;
  Type *t = arith_type(c, op, target, value, s->loc, s->assign.target->loc, s->assign.value->loc);
  if (t->kind == TYPE_ERROR || type_match(target, t, NULL) != MATCH_TYPE) return;
  Diag *g = diag_add(c->d, DIAG_TYPE, s->loc, "`%s=` would make `%s` of `%s`", binary_op_text(op),
                     type_text(c->a, t), type_text(c->a, target));
  diag_span(c->d, g, s->assign.target->loc, "`%s`", type_text(c->a, target));
  diag_span(c->d, g, s->assign.value->loc, "`%s`", type_text(c->a, value));
  diag_note(c->d, g, "a variable keeps the type it is declared with");
  if (target->kind != TYPE_INT) return;
  diag_help(c->d, g, "declare it as a float, `0.0`, or convert with `int(...)`");
  if (s->assign.target->kind == EXPR_NAME && t->kind != TYPE_ARRAY)
    s->assign.target->name.symbol->type = t; // what it was meant to be
}

// `x = 1` where there is no x: elsewhere that declares it.
static bool is_undeclared(Checker *c, Stmt *s) {
  Expr *e = s->assign.target;
  if (e->kind != EXPR_NAME || s->assign.op != ASSIGN_SET || name_find(c, e->name.name)) return false;
  Diag *g = report_unknown_name(c, e->name.name, e->loc);
  if (g)
    diag_help(c->d, g, "declare it: `let %s = ...`, or `var %s = ...` if it changes", e->name.name,
              e->name.name);
  e->type = c->error;
  return true;
}

static void check_assign(Checker *c, Stmt *s) {
  if (!s->assign.target) return;
  Type *target = is_undeclared(c, s) ? c->error : check_target(c, s->assign.target);
  if (s->assign.op != ASSIGN_SET) {
    check_update(c, s, target);
    return;
  }
  check_expr(c, s->assign.value, target);
  const Expr *e = s->assign.target;
  if (e->kind == EXPR_NAME)
    expect_type(c, s->assign.value, target, "`%s`", e->name.name);
  else
    expect_type(c, s->assign.value, target, "what is assigned to");
}

// ---- expressions as statements -----------------------------------------------------------------------------------------

static bool has_inout(const Expr *call) {
  for (int i = 0; i < call->call.args.len; i++)
    if (call->call.args.data[i].is_inout) return true;
  return false;
}

static bool check_discarded(Checker *c, Expr *e);

static bool check_if_stmt(Checker *c, Expr *e) {
  Type *t = check_expr(c, e->if_.cond, c->bool_);
  if (e->if_.cond && t->kind != TYPE_BOOL && t->kind != TYPE_ERROR) {
    Diag *g = diag_add(c->d, DIAG_TYPE, e->if_.cond->loc, "the condition of an `if` is a bool, not `%s`",
                       type_text(c->a, t));
    if (type_is_numeric(t)) diag_help(c->d, g, "compare it: `... != 0`");
  }
  e->type = c->void_;
  bool then = !e->if_.then || check_discarded(c, e->if_.then);
  bool els = !e->if_.els || check_discarded(c, e->if_.els);
  return then || els;
}

bool check_body_block(Checker *c, Expr *block) {
  if (!block) return true;
  if (block->kind != EXPR_BLOCK) return check_discarded(c, block);
  scope_push(c);
  bool completes = check_stmts(c, &block->block.stmts);
  if (block->block.value) completes = check_discarded(c, block->block.value) && completes;
  scope_pop(c);
  block->type = c->void_;
  return completes;
}

// An expression whose value nobody takes.
static bool check_discarded(Checker *c, Expr *e) {
  if (!e) return true;
  if (e->kind == EXPR_IF) return check_if_stmt(c, e);
  if (e->kind == EXPR_BLOCK) return check_body_block(c, e);
  Type *t = check_any(c, e, NULL);
  if (t->kind == TYPE_VOID || t->kind == TYPE_ERROR) return true;
  if (e->kind == EXPR_CALL && t->kind != TYPE_FN) {
    if (has_inout(e) || c->d->n_errors) return true; // its `inout` may be what is missing
    Diag *g = diag_add(c->d, DIAG_UNUSED_RESULT, e->loc, "the result of this call is not used");
    diag_label(c->d, g, "gives `%s`", type_text(c->a, t));
    diag_help(c->d, g, "if that is meant, write `let _ = ...`");
    return true;
  }
  if (c->d->n_errors) return true; // perhaps this one
  Diag *g = diag_add(c->d, DIAG_UNUSED_RESULT, e->loc, "this value is not used");
  if (e->kind == EXPR_BINARY && e->binary.op == BIN_EQ) diag_help(c->d, g, "to assign, write `=`");
  if (t->kind == TYPE_FN) diag_help(c->d, g, "to call the function, add its arguments in parentheses");
  return true;
}

// ---- loops -----------------------------------------------------------------------------------------------------------

static void check_loop_body(Checker *c, Expr *body) {
  bool broke = c->frame && c->frame->broke;
  if (c->frame) {
    c->frame->loop_depth++;
    c->frame->broke = false;
  }
  check_body_block(c, body);
  if (!c->frame) return;
  c->frame->loop_depth--;
  bool inner = c->frame->broke;
  c->frame->broke = broke;
  body->type = inner ? c->bool_ : c->void_; // read by check_while, then made void
}

static void check_for(Checker *c, Stmt *s) {
  Size *count;
  scope_push(c);
  scope_declare(c, check_iter(c, &s->for_.iter, &count));
  if (s->for_.body) {
    check_loop_body(c, s->for_.body);
    s->for_.body->type = c->void_;
  }
  scope_pop(c);
}

static bool check_while(Checker *c, Stmt *s) {
  Type *t = check_expr(c, s->while_.cond, c->bool_);
  if (s->while_.cond && t->kind != TYPE_BOOL && t->kind != TYPE_ERROR)
    diag_add(c->d, DIAG_TYPE, s->while_.cond->loc, "the condition of a `while` is a bool, not `%s`",
             type_text(c->a, t));
  if (!s->while_.body) return true;
  check_loop_body(c, s->while_.body);
  bool broke = s->while_.body->type->kind == TYPE_BOOL;
  s->while_.body->type = c->void_;
  bool forever = s->while_.cond && s->while_.cond->kind == EXPR_BOOL && s->while_.cond->bool_value;
  return !forever || broke;
}

static bool check_loop_exit(Checker *c, const Stmt *s) {
  const char *word = s->kind == STMT_BREAK ? "break" : "continue";
  if (c->frame && c->frame->loop_depth > 0) {
    if (s->kind == STMT_BREAK) c->frame->broke = true;
    return false;
  }
  if (c->frame && c->frame->value_depth > 0) {
    Diag *g = diag_add(c->d, DIAG_LOOP_EXIT, s->loc, "`%s` cannot leave an expression that is being computed",
                       word);
    diag_help(c->d, g, "use an `if` statement, and a `var` for the value");
  } else {
    diag_add(c->d, DIAG_LOOP_EXIT, s->loc, "`%s` outside of a loop", word);
  }
  return false;
}

// ---- return, assert --------------------------------------------------------------------------------------------------

static const char *frame_name(Checker *c) {
  Frame *f = c->frame;
  if (!f || !f->fn || f->owner != f->fn) return "this function";
  return arena_printf(c->a, "`%s`", f->fn->name);
}

static void infer_result(Checker *c, Stmt *s) {
  Frame *f = c->frame;
  Type *t = s->return_.value ? check_expr(c, s->return_.value, NULL) : c->void_;
  if (t->kind == TYPE_ERROR && f->result) return;
  f->result = t;
  f->inferred_at = s->loc;
}

static void report_return(Checker *c, Stmt *s, bool wanted) {
  Frame *f = c->frame;
  if (wanted) {
    Diag *g =
        diag_add(c->d, DIAG_RETURN, s->loc, "%s must return `%s`", frame_name(c), type_text(c->a, f->result));
    diag_help(c->d, g, "write `return` with a value");
    return;
  }
  check_any(c, s->return_.value, NULL);
  Diag *g = diag_add(c->d, DIAG_RETURN, s->return_.value->loc, "%s has no result type and returns a value",
                     frame_name(c));
  if (f->fn && f->owner == f->fn) diag_span(c->d, g, f->fn->name_loc, "declared without `->`");
  Type *t = s->return_.value->type;
  if (f->fn && f->fn->name == c->n_main)
    diag_help(c->d, g, "`main` has no result; `print` it");
  else if (t->kind != TYPE_ERROR && t->kind != TYPE_FN)
    diag_help(c->d, g, "add `-> %s` after the parameters", type_text(c->a, t));
}

static bool check_return(Checker *c, Stmt *s) {
  Frame *f = c->frame;
  Expr *value = s->return_.value;
  if (!f || f->value_depth > 0) {
    check_any(c, value, NULL);
    Diag *g =
        diag_add(c->d, DIAG_RETURN, s->loc, "`return` cannot leave an expression that is being computed");
    diag_help(c->d, g, "use an `if` statement instead of a value block");
    return false;
  }
  if (f->rule_of) {
    check_rule_return(c, value);
    return false;
  }
  if (f->infer && !f->result) {
    infer_result(c, s);
    return false;
  }
  Type *want = f->result;
  if (want->kind == TYPE_ERROR) {
    check_any(c, value, NULL);
  } else if ((want->kind == TYPE_VOID) != !value) {
    report_return(c, s, !value);
  } else if (value) {
    check_expr(c, value, want);
    expect_type(c, value, want, "the result of %s", frame_name(c));
  }
  return false;
}

static void check_assert(Checker *c, Stmt *s) {
  Type *t = check_expr(c, s->assert_.cond, c->bool_);
  if (s->assert_.cond && t->kind != TYPE_BOOL && t->kind != TYPE_ERROR)
    diag_add(c->d, DIAG_TYPE, s->assert_.cond->loc, "`assert` takes a bool, not `%s`", type_text(c->a, t));
  if (!s->assert_.message) return;
  check_expr(c, s->assert_.message, c->str);
  expect_type(c, s->assert_.message, c->str, "the message of an `assert`");
}

// ---- the dispatch ----------------------------------------------------------------------------------------------------

static bool check_stmt(Checker *c, Stmt *s) {
  switch (s->kind) {
  case STMT_ERROR: return true;
  case STMT_LET: check_let(c, s); return true;
  case STMT_ASSIGN: check_assign(c, s); return true;
  case STMT_EXPR: return check_discarded(c, s->expr);
  case STMT_FOR: check_for(c, s); return true;
  case STMT_WHILE: return check_while(c, s);
  case STMT_BREAK:
  case STMT_CONTINUE: return check_loop_exit(c, s);
  case STMT_RETURN: return check_return(c, s);
  case STMT_ASSERT: check_assert(c, s); return true;
  }
  return true;
}

bool check_stmts(Checker *c, const StmtVec *stmts) {
  bool completes = true, warned = false;
  for (int i = 0; i < stmts->len; i++) {
    Stmt *s = stmts->data[i];
    if (!s) continue;
    if (!completes && !warned && s->kind != STMT_ERROR && !c->module->is_std) {
      diag_add(c->d, DIAG_UNREACHABLE, s->loc, "this is never reached");
      warned = true;
    }
    completes = check_stmt(c, s) && completes;
    if (s->kind == STMT_ERROR) completes = true; // who knows what it was
  }
  return completes;
}
