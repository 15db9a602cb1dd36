// Statements in order, and what jumps do to them. In: statements with break, continue and return anywhere; out: structured
// IR. `if c { return a }` and what follows become the two branches of one IF, wherever at most one side of the `if` goes
// on; otherwise, and out of loops, a jump sets a flag and what follows runs only without it.
#include "lower/internal.h"

#include <string.h>

typedef struct Seq { // statements that are still to run, then those of `next`
  Stmt **stmts;
  int n;
  Expr *value;    // after the statements; NULL: none
  bool is_result; // value is the function's
  const struct Seq *next;
} Seq;

static Value *run(Gen *g, const Seq *q, bool tail);

static bool seq_empty(const Seq *q) { return !q || (q->n == 0 && !q->value && seq_empty(q->next)); }

static unsigned seq_jumps(const Seq *q) {
  unsigned j = 0;
  for (; q; q = q->next)
    for (int i = 0; i < q->n; i++) j |= jumps_of_stmt(q->stmts[i]);
  return j;
}

static void carry_seq(Gen *g, Carry *c, const Seq *q) {
  carry_jumps(g, c, seq_jumps(q));
  for (; q; q = q->next) {
    carry_stmts(g, c, q->stmts, q->n);
    if (q->value) carry_expr(g, c, q->value);
  }
}

// ---- flags and the slot of returned values --------------------------------------------------------------------------------

Symbol *flag_new(Gen *g, const char *name) {
  Symbol *s = symbol_made(g->l, name);
  flag_set(g, s, false);
  return s;
}

IrVal flag_get(Gen *g, const Symbol *s) { return env_get(g, s)->val; }
void flag_set(Gen *g, Symbol *s, bool v) { env_set(g, s, value_leaf(g, ir_const_bool(&g->b, v))); }

void carry_jumps(Gen *g, Carry *c, unsigned jumps) {
  if (jumps & JUMP_BREAK && g->loop && g->loop->broken) carry_symbol(g, c, g->loop->broken);
  if (jumps & JUMP_CONTINUE && g->loop && g->loop->skipped) carry_symbol(g, c, g->loop->skipped);
  if (jumps & JUMP_RETURN && g->returned) {
    carry_symbol(g, c, g->returned);
    if (g->slot.symbol) carry_symbol(g, c, g->slot.symbol);
  }
}

static Value *slot_leaf(Gen *g, Slot *s, int k) {
  const Leaf *leaf = &s->leaves.data[k];
  IrVal dims[IR_MAX_RANK];
  IrElem elem = (IrElem)leaf->type.elem;
  if (leaf->type.grow) return value_leaf(g, ir_empty(&g->b, elem));
  for (int i = 0; i < leaf->type.rank; i++)
    if (!(dims[i] = known_value(g, leaf->dims[i]))) s->packed[k] = true;
  if (!s->packed[k]) {
    IrVal zero = zero_of(g, elem);
    return value_leaf(g, leaf->type.rank ? ir_fill(&g->b, zero, dims, leaf->type.rank) : zero);
  }
  Value *parts[IR_MAX_RANK + 1] = {value_leaf(g, ir_empty(&g->b, elem))};
  for (int i = 0; i < leaf->type.rank; i++) parts[1 + i] = value_leaf(g, ir_const_int(&g->b, 0));
  return value_parts(g, parts, 1 + leaf->type.rank);
}

// From here on a return stores its value and sets a flag.
static void slot_open(Gen *g) {
  if (g->returned) return;
  g->returned = flag_new(g, "returned");
  g->slot = (Slot){0};
  const Type *t = g->inst->call.result;
  if (t->kind == TYPE_VOID) return;
  type_leaves(g->l, t, name_of(g->l, "%s", ""), g->real, &g->slot.leaves);
  int n = g->slot.leaves.len;
  g->slot.packed = ARENA_ARRAY(g->arena, bool, n);
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int k = 0; k < n; k++) parts[k] = slot_leaf(g, &g->slot, k);
  g->slot.symbol = symbol_made(g->l, "result");
  env_set(g, g->slot.symbol, value_parts(g, parts, n));
}

static Value *pack(Gen *g, IrVal array) {
  int rank = ir_type(g->f, array).rank;
  const IrVal *dims = ir_dims(g->f, array);
  Value *parts[IR_MAX_RANK + 1];
  parts[0] = value_leaf(g, grown_from(g, array));
  for (int i = 0; i < rank; i++) parts[1 + i] = value_leaf(g, dims[i]);
  return value_parts(g, parts, 1 + rank);
}

static Value *unpack(Gen *g, const Value *v) {
  IrVal dims[IR_MAX_RANK];
  int rank = v->n_parts - 1;
  for (int i = 0; i < rank; i++) dims[i] = v->parts[1 + i]->val;
  IrBuilder in;
  IrOp *op = ir_build(&g->b, dims, rank, &in);
  IrVal flat = in.region->args[0];
  for (int i = 1; i < rank; i++)
    flat = ir_op2(&in, IR_ADD, ir_op2(&in, IR_MUL, flat, dims[i]), in.region->args[i]);
  IrVal x = ir_get(&in, v->parts[0]->val, &flat, 1);
  ir_yield(&in, &x, 1);
  ir_close_build(&g->b, op);
  return value_leaf(g, ir_result(op, 0));
}

static void slot_store(Gen *g, Value *v) {
  flag_set(g, g->returned, true);
  if (!g->slot.symbol) return;
  ValueVec leaves = {0};
  value_leaves(force(g, v), &leaves, g->arena);
  int n = g->slot.leaves.len;
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int k = 0; k < n && k < leaves.len; k++)
    parts[k] = g->slot.packed[k] ? pack(g, leaves.data[k]->val) : leaves.data[k];
  if (leaves.len == n) env_set(g, g->slot.symbol, value_parts(g, parts, n));
}

static Value *slot_read(Gen *g) {
  if (!g->slot.symbol) return value_none(g);
  const Value *v = env_get(g, g->slot.symbol);
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, v->n_parts);
  for (int k = 0; k < v->n_parts; k++)
    leaves[k] = (g->slot.packed[k] ? unpack(g, v->parts[k]) : v->parts[k])->val;
  int at = 0;
  return value_from(g, g->inst->call.result, leaves, &at);
}

// ---- branches that jump ------------------------------------------------------------------------------------------------------

// What one side of an `if` does, then `rest` if it goes on.
static Value *run_side(Gen *g, Expr *side, const Seq *rest, bool tail) {
  if (side && !falls_through(side)) rest = NULL;
  if (!side) return rest ? run(g, rest, tail) : NULL;
  if (side->kind == EXPR_BLOCK) {
    Seq q = {side->block.stmts.data, side->block.stmts.len, side->block.value, false, rest};
    return run(g, &q, tail);
  }
  Stmt s = {.kind = STMT_EXPR, .loc = side->loc, .expr = side}, *list = &s;
  Seq q = {&list, 1, NULL, false, rest};
  return run(g, &q, tail);
}

static const Type *result_type(const Gen *g) {
  const Type *t = g->inst->call.result;
  return t->kind == TYPE_VOID ? NULL : t;
}

static Value *run_branches(Gen *g, Expr *e, const Seq *rest, bool tail) {
  Carry carry = {0};
  Branch br;
  IrVal cond = lower_scalar(g, e->if_.cond);
  carry_expr(g, &carry, e->if_.then);
  if (e->if_.els) carry_expr(g, &carry, e->if_.els);
  carry_jumps(g, &carry, jumps_of_block(e));
  carry_seq(g, &carry, rest);
  g->b.loc.loc = e->loc;
  branch_begin(g, &br, cond, &carry, tail ? result_type(g) : NULL);
  br.last = tail;
  Value *v = run_side(g, e->if_.then, rest, tail);
  branch_else(g, &br, v, tail ? result_type(g) : NULL);
  v = run_side(g, e->if_.els, rest, tail);
  v = branch_end(g, &br, v, tail ? result_type(g) : NULL);
  return tail ? v : NULL;
}

static IrVal jumped(Gen *g, unsigned jumps) {
  IrVal any = 0;
  Symbol *flags[3] = {jumps & JUMP_RETURN ? g->returned : NULL,
                      jumps & JUMP_BREAK && g->loop ? g->loop->broken : NULL,
                      jumps & JUMP_CONTINUE && g->loop ? g->loop->skipped : NULL};
  for (int i = 0; i < 3; i++)
    if (flags[i]) any = any ? ir_op2(&g->b, IR_OR, any, flag_get(g, flags[i])) : flag_get(g, flags[i]);
  return any ? any : ir_const_bool(&g->b, false);
}

// What follows a statement that may have jumped.
static Value *run_guarded(Gen *g, unsigned jumps, const Seq *rest, bool tail) {
  if (seq_empty(rest)) {
    Value *v = tail ? slot_read(g) : NULL;
    if (tail) g->returned = NULL;
    return v;
  }
  Carry carry = {0};
  Branch br;
  IrVal stop = jumped(g, jumps);
  carry_seq(g, &carry, rest);
  branch_begin(g, &br, stop, &carry, tail ? result_type(g) : NULL);
  br.last = tail;
  Value *v = tail ? slot_read(g) : NULL;
  branch_else(g, &br, v, tail ? result_type(g) : NULL);
  if (tail) g->returned = NULL;
  v = run(g, rest, tail);
  v = branch_end(g, &br, v, tail ? result_type(g) : NULL);
  return tail ? v : NULL;
}

static Value *run_if(Gen *g, Expr *e, const Seq *rest, bool tail) {
  bool both = falls_through(e->if_.then) && falls_through(e->if_.els);
  if (!both || seq_empty(rest)) return run_branches(g, e, rest, tail);
  if (tail) slot_open(g);
  run_branches(g, e, NULL, false);
  return run_guarded(g, jumps_of_block(e), rest, tail);
}

// A jump out of the statement at hand: what follows it here is never reached.
static Value *run_jump(Gen *g, const Stmt *s, bool tail) {
  g->b.loc.loc = s->loc;
  if (s->kind == STMT_BREAK && g->loop) flag_set(g, g->loop->broken, true);
  if (s->kind == STMT_CONTINUE && g->loop) flag_set(g, g->loop->skipped, true);
  if (s->kind != STMT_RETURN) return NULL;
  Value *v = return_value(g, s->return_.value);
  if (tail) return v;
  slot_store(g, v);
  return NULL;
}

static Value *run_end(Gen *g, const Seq *q, bool tail) {
  if (q->value && q->is_result) return return_value(g, q->value);
  if (q->value) lower_expr(g, q->value);
  if (q->next) return run(g, q->next, tail);
  if (!tail || !result_type(g)) return tail ? value_none(g) : NULL;
  check_that(g, ir_const_bool(&g->b, false), "the function ended without a value"); // after an endless loop
  slot_open(g);
  Value *v = slot_read(g);
  g->returned = NULL;
  return v;
}

// Runs the statements. tail: nothing follows but the function's end, so the result is the function's; else NULL.
static Value *run(Gen *g, const Seq *q, bool tail) {
  for (int i = 0; i < q->n; i++) {
    Stmt *s = q->stmts[i];
    unsigned jumps = jumps_of_stmt(s);
    Seq rest = {q->stmts + i + 1, q->n - i - 1, q->value, q->is_result, q->next};
    if (!jumps) {
      lower_stmt(g, s);
      continue;
    }
    if (s->kind == STMT_EXPR && s->expr->kind == EXPR_IF) return run_if(g, s->expr, &rest, tail);
    if (s->kind == STMT_EXPR) return run_side(g, s->expr, &rest, tail);
    if (s->kind != STMT_FOR && s->kind != STMT_WHILE) return run_jump(g, s, tail);
    if (tail) slot_open(g);
    lower_loop(g, s);
    return run_guarded(g, JUMP_RETURN, &rest, tail);
  }
  return run_end(g, q, tail);
}

// ---- blocks and bodies ------------------------------------------------------------------------------------------------------

void run_block(Gen *g, Expr *block) {
  Seq q = {block->block.stmts.data, block->block.stmts.len, block->block.value, false, NULL};
  run(g, &q, false);
}

Value *lower_block_value(Gen *g, Expr *block) {
  for (int i = 0; i < block->block.stmts.len; i++) lower_stmt(g, block->block.stmts.data[i]);
  return block->block.value ? lower_expr(g, block->block.value) : value_none(g);
}

Value *return_value(Gen *g, Expr *e) {
  if (g->rule == RULE_ADJOINT) return rule_result(g, e);
  if (!e || !result_type(g)) {
    if (e) lower_expr(g, e);
    return value_none(g);
  }
  return force(g, lower_as(g, e, g->inst->call.result, NULL));
}

Value *lower_body(Gen *g, Expr *body) {
  if (body->kind != EXPR_BLOCK) return return_value(g, body);
  Seq q = {body->block.stmts.data, body->block.stmts.len, body->block.value, true, NULL};
  return run(g, &q, true);
}
