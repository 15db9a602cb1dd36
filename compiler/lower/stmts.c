// Statements that no jump leaves, and loops. In: statements; out: operations, and new values of variables. A loop carries
// exactly the outer variables its body assigns.
#include "lower/internal.h"

static void bind_pattern(Gen *g, const Pattern *p, Value *v) {
  if (p->name) {
    if (p->symbol) env_set(g, p->symbol, v);
    value_name(g, v, p->symbol ? p->symbol->type : NULL, p->name);
    return;
  }
  for (int i = 0; i < p->parts.len && i < v->n_parts; i++) bind_pattern(g, p->parts.data[i], v->parts[i]);
}

static void lower_let(Gen *g, Stmt *s) {
  Expr *init = s->let.init;
  if (init->type->kind == TYPE_FN) {
    Fn *fn = fn_of_expr(g, init);
    if (fn) bind_pattern(g, s->let.pattern, value_fn(g, fn));
    return;
  }
  const Type *t = s->let.type && s->let.type->type ? s->let.type->type : NULL;
  Value *v = t ? lower_as(g, init, t, s->let.pattern->name) : lower_expr(g, init);
  g->b.loc.loc = s->loc;
  bind_pattern(g, s->let.pattern, force(g, v));
}

static BinaryOp assign_op(AssignOp op) {
  switch (op) {
  case ASSIGN_SET:
  case ASSIGN_ADD: return BIN_ADD;
  case ASSIGN_SUB: return BIN_SUB;
  case ASSIGN_MUL: return BIN_MUL;
  case ASSIGN_DIV: return BIN_DIV;
  }
  return BIN_ADD;
}

static void assign_parts(Gen *g, Expr *target, Value *v, const Type *vt) {
  if (target->kind == EXPR_TUPLE) {
    for (int i = 0; i < target->tuple.elems.len && i < v->n_parts; i++)
      assign_parts(g, target->tuple.elems.data[i], v->parts[i], type_part(g->arena, vt, i));
    return;
  }
  if (target->kind == EXPR_HOLE || (target->kind == EXPR_NAME && !target->name.symbol)) return;
  Place p = place_of(g, target);
  place_write(g, &p, coerce_elems(g, v, target->type), vt);
}

static void lower_assign(Gen *g, Stmt *s) {
  Expr *target = s->assign.target, *value = s->assign.value;
  if (target->kind == EXPR_TUPLE) {
    assign_parts(g, target, lower_value(g, value), value->type);
    return;
  }
  Place p = place_of(g, target);
  Value *v = lower_expr(g, value);
  g->b.loc.loc = s->loc;
  if (s->assign.op == ASSIGN_SET)
    place_write(g, &p, coerce_elems(g, v, target->type), value->type);
  else
    place_update(g, &p, v, value->type, assign_op(s->assign.op));
}

// A message that takes work is made only when the assertion fails.
static void lower_assert(Gen *g, Stmt *s) {
  IrVal cond = lower_scalar(g, s->assert_.cond);
  Expr *message = s->assert_.message;
  g->b.loc.loc = s->loc;
  if (message && !(message->kind == EXPR_STRING && message->string.len == 1)) {
    IrBuilder outer = g->b, holds, fails;
    IrOp *op = ir_if(&outer, cond, &holds, &fails);
    ir_yield(&holds, NULL, 0);
    g->b = fails;
    IrVal text = lower_scalar(g, message);
    g->b.loc.loc = s->loc;
    check_emit(g, IR_ASSERT, (IrVal[]){cond, text}, 2, NULL);
    ir_yield(&g->b, NULL, 0);
    ir_close_if(&outer, op, NULL);
    g->b = outer;
    return;
  }
  Name what = message ? NULL : expr_text(g, s->assert_.cond);
  IrVal text = message ? lower_scalar(g, message) : ir_str(&g->b, what ? what : name_of(g->l, "%s", ""));
  g->b.loc.loc = s->loc;
  check_emit(g, IR_ASSERT, (IrVal[]){cond, text}, 2, NULL);
}

static void lower_if_stmt(Gen *g, Expr *e) {
  Carry carry = {0};
  Branch br;
  IrVal cond = lower_scalar(g, e->if_.cond);
  carry_expr(g, &carry, e->if_.then);
  if (e->if_.els) carry_expr(g, &carry, e->if_.els);
  g->b.loc.loc = e->loc;
  branch_begin(g, &br, cond, &carry, NULL);
  run_block(g, e->if_.then);
  branch_else(g, &br, NULL, NULL);
  if (e->if_.els && e->if_.els->kind == EXPR_IF)
    lower_if_stmt(g, e->if_.els);
  else if (e->if_.els)
    run_block(g, e->if_.els);
  branch_end(g, &br, NULL, NULL);
}

static void lower_expr_stmt(Gen *g, Expr *e) {
  if (e->kind == EXPR_IF)
    lower_if_stmt(g, e);
  else if (e->kind == EXPR_BLOCK)
    run_block(g, e);
  else
    lower_expr(g, e);
}

void lower_stmt(Gen *g, Stmt *s) {
  g->b.loc.loc = s->loc;
  switch (s->kind) {
  case STMT_LET: lower_let(g, s); break;
  case STMT_ASSIGN: lower_assign(g, s); break;
  case STMT_EXPR: lower_expr_stmt(g, s->expr); break;
  case STMT_FOR:
  case STMT_WHILE: lower_loop(g, s); break;
  case STMT_ASSERT: lower_assert(g, s); break;
  case STMT_ERROR:
  case STMT_BREAK:
  case STMT_CONTINUE:
  case STMT_RETURN: break;
  }
}

// ---- loops -----------------------------------------------------------------------------------------------------------------

typedef struct WhileGen { // a WHILE being made
  IrOp *op;
  IrBuilder outer, body;
  const Carry *carry;
} WhileGen;

static void while_open(Gen *g, WhileGen *w, const Carry *carry) {
  IrBuilder cond;
  w->carry = carry;
  w->op = ir_while(&g->b, carry_read(g, carry), carry->len, &cond, &w->body);
  w->outer = g->b;
  g->b = cond;
  carry_write(g, carry, cond.region->args);
  for (int i = 0; i < carry->len; i++) {
    leaf_name(g, cond.region->args[i], carry->data[i].symbol, carry->data[i].leaf);
    leaf_name(g, w->body.region->args[i], carry->data[i].symbol, carry->data[i].leaf);
  }
}

static void while_body(Gen *g, WhileGen *w, IrVal go) {
  ir_yield(&g->b, &go, 1);
  g->b = w->body;
  carry_write(g, w->carry, w->body.region->args);
}

static void while_close(Gen *g, WhileGen *w) {
  ir_yield(&g->b, carry_read(g, w->carry), w->carry->len);
  g->b = w->outer;
  IrVal *now = ARENA_ARRAY(g->arena, IrVal, w->carry->len);
  for (int i = 0; i < w->carry->len; i++) {
    now[i] = ir_result(w->op, i);
    leaf_name(g, now[i], w->carry->data[i].symbol, w->carry->data[i].leaf);
  }
  carry_write(g, w->carry, now);
}

// Whether a jump has left the loop; 0: none can.
static IrVal left_loop(Gen *g, unsigned jumps) {
  IrVal left = 0;
  if (jumps & JUMP_BREAK) left = flag_get(g, g->loop->broken);
  if (jumps & JUMP_RETURN && g->returned) {
    IrVal r = flag_get(g, g->returned);
    left = left ? ir_op2(&g->b, IR_OR, left, r) : r;
  }
  return left;
}

static void loop_body(Gen *g, Expr *body, unsigned jumps) {
  if (jumps & JUMP_CONTINUE) g->loop->skipped = flag_new(g, "skipped");
  run_block(g, body);
}

static void for_while(Gen *g, Stmt *s, IterPlan *p, unsigned jumps) {
  IrVal bounds[3];
  Carry carry = {0};
  WhileGen w;
  iter_bounds(g, p, bounds);
  Symbol *index = symbol_made(g->l, "at");
  env_set(g, index, value_leaf(g, bounds[0]));
  carry_symbol(g, &carry, index);
  carry_expr(g, &carry, s->for_.body);
  carry_jumps(g, &carry, jumps);
  while_open(g, &w, &carry);
  IrVal at = env_get(g, index)->val;
  IrVal more = p->iter->reverse ? ir_op2(&g->b, IR_LT, bounds[1], at) : ir_op2(&g->b, IR_LT, at, bounds[1]);
  IrVal left = left_loop(g, jumps);
  while_body(g, &w, ir_op2(&g->b, IR_AND, more, ir_op1(&g->b, IR_NOT, left)));
  at = env_get(g, index)->val;
  iter_at(g, p, at);
  loop_body(g, s->for_.body, jumps);
  env_set(g, index, value_leaf(g, ir_op2(&g->b, IR_ADD, at, bounds[2])));
  while_close(g, &w);
}

static void for_plain(Gen *g, Stmt *s, IterPlan *p, unsigned jumps) {
  IrVal bounds[3];
  Carry carry = {0};
  LoopGen loop;
  iter_bounds(g, p, bounds);
  carry_expr(g, &carry, s->for_.body);
  IrVal index = loop_open(g, &loop, bounds, &carry, NULL, 0);
  if (s->for_.checkpoint == CHECKPOINT_EVERY) loop.op->attr.i = s->for_.checkpoint_n;
  if (s->for_.checkpoint == CHECKPOINT_SLOTS) loop.op->attr.i = -s->for_.checkpoint_n;
  iter_at(g, p, index);
  loop_body(g, s->for_.body, jumps);
  loop_close(g, &loop, NULL);
}

// A condition that changes variables runs before the loop and at the end of each round; its answer is carried.
static void while_changing(Gen *g, Stmt *s, Carry *carry, unsigned jumps) {
  WhileGen w;
  Symbol *go = symbol_made(g->l, "go");
  env_set(g, go, value_leaf(g, lower_scalar(g, s->while_.cond)));
  carry_expr(g, carry, s->while_.cond);
  carry_symbol(g, carry, go);
  while_open(g, &w, carry);
  while_body(g, &w, env_get(g, go)->val);
  loop_body(g, s->while_.body, jumps);
  IrVal left = left_loop(g, jumps);
  if (!left) {
    env_set(g, go, value_leaf(g, lower_scalar(g, s->while_.cond)));
  } else {
    Branch br;
    Carry inner = {0};
    carry_expr(g, &inner, s->while_.cond);
    branch_begin(g, &br, left, &inner, g->l->bool_);
    branch_else(g, &br, value_leaf(g, ir_const_bool(&g->b, false)), NULL);
    Value *v = value_leaf(g, lower_scalar(g, s->while_.cond));
    env_set(g, go, branch_end(g, &br, v, NULL));
  }
  while_close(g, &w);
}

static IrVal while_condition(Gen *g, Expr *cond, unsigned jumps) {
  IrVal left = left_loop(g, jumps);
  if (!left) return lower_scalar(g, cond);
  if (expr_is_total(cond)) return ir_op2(&g->b, IR_AND, lower_scalar(g, cond), ir_op1(&g->b, IR_NOT, left));
  Branch br;
  branch_begin(g, &br, left, NULL, g->l->bool_);
  branch_else(g, &br, value_leaf(g, ir_const_bool(&g->b, false)), NULL);
  return branch_end(g, &br, value_leaf(g, lower_scalar(g, cond)), NULL)->val;
}

static void lower_while(Gen *g, Stmt *s, unsigned jumps) {
  Carry carry = {0}, by_cond = {0};
  WhileGen w;
  carry_expr(g, &by_cond, s->while_.cond);
  carry_expr(g, &carry, s->while_.body);
  carry_jumps(g, &carry, jumps);
  if (by_cond.len) {
    while_changing(g, s, &carry, jumps);
    return;
  }
  while_open(g, &w, &carry);
  while_body(g, &w, while_condition(g, s->while_.cond, jumps));
  loop_body(g, s->while_.body, jumps);
  while_close(g, &w);
}

static void early_checkpoint(Gen *g, const Stmt *s) {
  Diag *d = diag_add(g->l->diags, DIAG_ATTRIBUTE, s->loc,
                     "`@checkpoint` stands before a loop that runs to its end, and this one may leave early");
  diag_help(g->l->diags, d,
            "let a condition inside the loop skip the rest, or take the `break` or `return` out of it");
  g->l->failed = true;
}

void lower_loop(Gen *g, Stmt *s) {
  bool is_for = s->kind == STMT_FOR;
  unsigned jumps = jumps_of_block(is_for ? s->for_.body : s->while_.body);
  LoopFlow flow = {0}, *outer = g->loop;
  g->b.loc.loc = s->loc;
  IterPlan p = {0};
  if (is_for) p = iter_plan(g, &s->for_.iter);
  g->loop = &flow;
  if (jumps & JUMP_BREAK) flow.broken = flag_new(g, "broken");
  g->b.loc.loc = s->loc;
  if (is_for && s->for_.checkpoint != CHECKPOINT_NONE && (jumps & (JUMP_BREAK | JUMP_RETURN)))
    early_checkpoint(g, s);
  if (!is_for)
    lower_while(g, s, jumps);
  else if (jumps & (JUMP_BREAK | JUMP_RETURN))
    for_while(g, s, &p, jumps);
  else
    for_plain(g, s, &p, jumps);
  g->loop = outer;
}
