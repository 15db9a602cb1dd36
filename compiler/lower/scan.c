// Questions about the syntax that lowering asks ahead: which variables a region changes, which jumps leave a statement,
// what a lambda captures, whether an expression prints. In: the checked tree; nothing is emitted.
#include "lower/internal.h"

#include <string.h>

// ---- traversal ---------------------------------------------------------------------------------------------------------

static void visit_exprs(const AstVisit *v, const ExprVec *list) {
  for (int i = 0; i < list->len; i++) ast_visit_expr(v, list->data[i]);
}

static void visit_block(const AstVisit *v, Expr *e) {
  for (int i = 0; i < e->block.stmts.len; i++) ast_visit_stmt(v, e->block.stmts.data[i]);
  ast_visit_expr(v, e->block.value);
}

static void visit_call(const AstVisit *v, Expr *e) {
  ast_visit_expr(v, e->call.callee);
  for (int i = 0; i < e->call.args.len; i++) ast_visit_expr(v, e->call.args.data[i].value);
}

static void visit_iter(const AstVisit *v, const Iter *it) {
  ast_visit_expr(v, it->over);
  ast_visit_expr(v, it->step);
}

void ast_visit_expr(const AstVisit *v, Expr *e) {
  if (!e || (v->expr && !v->expr(v->user, e))) return;
  switch (e->kind) {
  case EXPR_ERROR:
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_NAME:
  case EXPR_HOLE: break;
  case EXPR_STRING:
    for (int i = 0; i < e->string.len; i++) ast_visit_expr(v, e->string.data[i].hole);
    break;
  case EXPR_UNARY: ast_visit_expr(v, e->unary.arg); break;
  case EXPR_BINARY:
    ast_visit_expr(v, e->binary.left);
    ast_visit_expr(v, e->binary.right);
    break;
  case EXPR_FIELD: ast_visit_expr(v, e->field.base); break;
  case EXPR_INDEX:
    ast_visit_expr(v, e->index.base);
    visit_exprs(v, &e->index.idx);
    break;
  case EXPR_RANGE:
    ast_visit_expr(v, e->range.lo);
    ast_visit_expr(v, e->range.hi);
    break;
  case EXPR_CALL: visit_call(v, e); break;
  case EXPR_IF:
    ast_visit_expr(v, e->if_.cond);
    ast_visit_expr(v, e->if_.then);
    ast_visit_expr(v, e->if_.els);
    break;
  case EXPR_BLOCK: visit_block(v, e); break;
  case EXPR_ARRAY: visit_exprs(v, &e->array.elems); break;
  case EXPR_TUPLE: visit_exprs(v, &e->tuple.elems); break;
  case EXPR_COMP:
  case EXPR_REDUCE:
    for (int i = 0; i < e->comp.iters.len; i++) visit_iter(v, &e->comp.iters.data[i]);
    ast_visit_expr(v, e->comp.body);
    break;
  case EXPR_STRUCT:
    for (int i = 0; i < e->strukt.fields.len; i++) ast_visit_expr(v, e->strukt.fields.data[i].value);
    break;
  case EXPR_LAMBDA: ast_visit_expr(v, e->lambda.body); break;
  }
}

void ast_visit_stmt(const AstVisit *v, Stmt *s) {
  if (v->stmt && !v->stmt(v->user, s)) return;
  switch (s->kind) {
  case STMT_ERROR:
  case STMT_BREAK:
  case STMT_CONTINUE: break;
  case STMT_LET: ast_visit_expr(v, s->let.init); break;
  case STMT_ASSIGN:
    ast_visit_expr(v, s->assign.target);
    ast_visit_expr(v, s->assign.value);
    break;
  case STMT_EXPR: ast_visit_expr(v, s->expr); break;
  case STMT_FOR:
    visit_iter(v, &s->for_.iter);
    ast_visit_expr(v, s->for_.body);
    break;
  case STMT_WHILE:
    ast_visit_expr(v, s->while_.cond);
    ast_visit_expr(v, s->while_.body);
    break;
  case STMT_RETURN: ast_visit_expr(v, s->return_.value); break;
  case STMT_ASSERT:
    ast_visit_expr(v, s->assert_.cond);
    ast_visit_expr(v, s->assert_.message);
    break;
  }
}

// ---- jumps -------------------------------------------------------------------------------------------------------------

unsigned jumps_of_block(Expr *e) {
  unsigned j = 0;
  if (!e) return 0;
  if (e->kind == EXPR_IF) return jumps_of_block(e->if_.then) | jumps_of_block(e->if_.els);
  if (e->kind != EXPR_BLOCK) return 0;
  for (int i = 0; i < e->block.stmts.len; i++) j |= jumps_of_stmt(e->block.stmts.data[i]);
  return j | jumps_of_block(e->block.value);
}

unsigned jumps_of_stmt(Stmt *s) {
  switch (s->kind) {
  case STMT_BREAK: return JUMP_BREAK;
  case STMT_CONTINUE: return JUMP_CONTINUE;
  case STMT_RETURN: return JUMP_RETURN;
  case STMT_EXPR: return jumps_of_block(s->expr);
  case STMT_FOR: return jumps_of_block(s->for_.body) & JUMP_RETURN;
  case STMT_WHILE: return jumps_of_block(s->while_.body) & JUMP_RETURN;
  case STMT_ERROR:
  case STMT_LET:
  case STMT_ASSIGN:
  case STMT_ASSERT: return 0;
  }
  return 0;
}

bool falls_through(Expr *e) {
  if (!e) return true;
  if (e->kind == EXPR_IF) return falls_through(e->if_.then) || falls_through(e->if_.els);
  if (e->kind != EXPR_BLOCK) return true;
  for (int i = 0; i < e->block.stmts.len; i++) {
    Stmt *s = e->block.stmts.data[i];
    if (s->kind == STMT_BREAK || s->kind == STMT_CONTINUE || s->kind == STMT_RETURN) return false;
    if (s->kind == STMT_EXPR && jumps_of_block(s->expr) && !falls_through(s->expr)) return false;
  }
  return true;
}

// ---- variables that are changed ------------------------------------------------------------------------------------------

typedef struct CarryScan {
  Gen *g;
  Carry *out;
} CarryScan;

static void carry_add(Gen *g, Carry *c, Symbol *s, int leaf) {
  for (int i = 0; i < c->len; i++)
    if (c->data[i].symbol == s && c->data[i].leaf == leaf) return;
  Carried one = {s, leaf};
  vec_push(g->arena, c, one);
}

static void carry_leaves(Gen *g, Carry *c, Symbol *s, int first, int n) {
  if (env_get(g, s))
    for (int k = 0; k < n; k++) carry_add(g, c, s, first + k);
}

void carry_symbol(Gen *g, Carry *c, Symbol *s) {
  ValueVec leaves = {0};
  const Value *v = env_get(g, s);
  if (v) value_leaves(v, &leaves, g->arena);
  carry_leaves(g, c, s, 0, leaves.len);
}

static void carry_target(Gen *g, Carry *c, const Expr *e) {
  if (e->kind == EXPR_TUPLE) {
    for (int i = 0; i < e->tuple.elems.len; i++) carry_target(g, c, e->tuple.elems.data[i]);
    return;
  }
  int first = 0, n = type_leaf_count(e->type);
  for (;; e = e->kind == EXPR_FIELD ? e->field.base : e->index.base) {
    if (e->kind == EXPR_FIELD)
      first += type_part_leaf(e->field.base->type, e->field.index);
    else if (e->kind != EXPR_INDEX)
      break;
  }
  if (e->kind == EXPR_NAME && e->name.symbol) carry_leaves(g, c, e->name.symbol, first, n);
}

static bool carry_visit_expr(void *user, Expr *e) {
  CarryScan *s = user;
  if (e->kind == EXPR_CALL)
    for (int i = 0; i < e->call.args.len; i++)
      if (e->call.args.data[i].is_inout) carry_target(s->g, s->out, e->call.args.data[i].value);
  return e->kind != EXPR_LAMBDA;
}

static bool carry_visit_stmt(void *user, Stmt *st) {
  CarryScan *s = user;
  if (st->kind == STMT_ASSIGN) carry_target(s->g, s->out, st->assign.target);
  return true;
}

void carry_stmts(Gen *g, Carry *c, Stmt **s, int n) {
  CarryScan scan = {g, c};
  AstVisit v = {&scan, carry_visit_expr, carry_visit_stmt};
  for (int i = 0; i < n; i++) ast_visit_stmt(&v, s[i]);
}

void carry_expr(Gen *g, Carry *c, Expr *e) {
  CarryScan scan = {g, c};
  AstVisit v = {&scan, carry_visit_expr, carry_visit_stmt};
  ast_visit_expr(&v, e);
}

IrVal *carry_read(Gen *g, const Carry *c) {
  IrVal *vals = ARENA_ARRAY(g->arena, IrVal, c->len);
  for (int i = 0; i < c->len; i++) {
    ValueVec leaves = {0};
    value_leaves(env_get(g, c->data[i].symbol), &leaves, g->arena);
    vals[i] = value_scalar(g, leaves.data[c->data[i].leaf]);
  }
  return vals;
}

void carry_write(Gen *g, const Carry *c, const IrVal *vals) {
  for (int i = 0; i < c->len; i++) {
    Symbol *s = c->data[i].symbol;
    Value *now = value_with_leaf(g, env_get(g, s), c->data[i].leaf, value_leaf(g, vals[i]));
    env_set(g, s, now);
  }
}

// ---- effects ---------------------------------------------------------------------------------------------------------------

typedef struct EffectScan {
  Gen *g; // NULL below the first call: names are then not ours
  Lower *l;
  VEC(void *) seen;
  bool found;
} EffectScan;

static void scan_decl(EffectScan *s, FnDecl *d);

static bool seen_before(EffectScan *s, void *what) {
  for (int i = 0; i < s->seen.len; i++)
    if (s->seen.data[i] == what) return true;
  vec_push(s->l->arena, &s->seen, what);
  return false;
}

static bool effect_visit(void *user, Expr *e);

static void scan_body(EffectScan *s, Expr *body) {
  Gen *g = s->g;
  AstVisit v = {s, effect_visit, NULL};
  s->g = NULL;
  ast_visit_expr(&v, body);
  s->g = g;
}

static void scan_fn(EffectScan *s, const Fn *fn) {
  switch (fn->kind) {
  case FUNC_DECL: scan_decl(s, fn->decl); break;
  case FUNC_LAMBDA:
    if (!seen_before(s, fn->lambda)) scan_body(s, fn->lambda->lambda.body);
    for (int i = 0; i < fn->n_caps; i++)
      if (fn->caps[i].value->kind == VALUE_FN) scan_fn(s, fn->caps[i].value->fn);
    break;
  case FUNC_DERIV: scan_fn(s, fn->target); break;
  }
}

static bool is_quiet(const Lower *l, const void *what) {
  for (int i = 0; i < l->quiet.len; i++)
    if (l->quiet.data[i] == what) return true;
  return false;
}

static void scan_decl(EffectScan *s, FnDecl *d) {
  if (s->found || seen_before(s, d) || is_quiet(s->l, d)) return;
  if (d->kind == FN_EXTERN)
    s->found = !d->pure;
  else
    scan_body(s, d->body);
}

static void scan_symbol(EffectScan *s, const Symbol *sym) {
  if (!sym) return;
  for (int i = 0; i < sym->n_fns && sym->kind == SYM_FN; i++) scan_decl(s, sym->fns[i]);
  const Value *v = s->g ? env_get(s->g, sym) : NULL;
  if (v && v->kind == VALUE_FN) scan_fn(s, v->fn);
}

static bool effect_visit(void *user, Expr *e) {
  EffectScan *s = user;
  if (s->found) return false;
  if (e->kind == EXPR_NAME && e->type && e->type->kind == TYPE_FN) scan_symbol(s, e->name.symbol);
  if (e->kind == EXPR_FIELD && e->field.index < 0) scan_symbol(s, e->field.symbol);
  if (e->kind != EXPR_CALL) return true;
  if (e->call.kind == CALL_FN) scan_decl(s, e->call.fn);
  if (e->call.kind == CALL_BUILTIN)
    s->found |= e->call.builtin == BUILTIN_PRINT || e->call.builtin == BUILTIN_TRAIN ||
                e->call.builtin == BUILTIN_MINIMIZE;
  for (int i = 0; i < e->call.args.len; i++)
    ast_visit_expr(&(AstVisit){s, effect_visit, NULL}, e->call.args.data[i].value);
  if (e->call.kind == CALL_VALUE) ast_visit_expr(&(AstVisit){s, effect_visit, NULL}, e->call.callee);
  return false;
}

bool expr_has_effect(Gen *g, Expr *e) {
  EffectScan s = {.g = g, .l = g->l};
  AstVisit v = {&s, effect_visit, NULL};
  ast_visit_expr(&v, e);
  if (!s.found) // then nothing that was reached has any
    for (int i = 0; i < s.seen.len; i++) vec_push(g->l->arena, &g->l->quiet, s.seen.data[i]);
  return s.found;
}

// ---- captures --------------------------------------------------------------------------------------------------------------

typedef struct CaptureScan {
  Gen *g;
  VEC(Expr *) lambdas; // the lambda and those within
  VEC(Capture) out;
} CaptureScan;

static void capture(CaptureScan *s, Symbol *sym) {
  if (!sym || (sym->kind != SYM_LOCAL && sym->kind != SYM_PARAM && sym->kind != SYM_SIZE)) return;
  for (int i = 0; i < s->lambdas.len; i++)
    if (sym->owner == s->lambdas.data[i]) return;
  for (int i = 0; i < s->out.len; i++)
    if (s->out.data[i].symbol == sym) return;
  Value *v = env_get(s->g, sym);
  if (!v) {
    IrVal known = known_find(s->g, size_symbol(s->g->arena, sym));
    if (!known) return;
    v = value_leaf(s->g, known);
  }
  Capture c = {sym, force(s->g, v)};
  vec_push(s->g->arena, &s->out, c);
}

static void capture_type(CaptureScan *s, const Type *t) {
  LeafVec leaves = {0};
  if (!t || t->kind == TYPE_FN) return;
  type_leaves(s->g->l, t, name_of(s->g->l, "%s", ""), s->g->real, &leaves);
  for (int i = 0; i < leaves.len; i++)
    for (int k = 0; !leaves.data[i].type.grow && k < leaves.data[i].type.rank; k++) {
      const Size *z = leaves.data[i].dims[k];
      for (int j = 0; j < z->n_terms; j++)
        for (int m = 0; m < z->terms[j].n_atoms; m++)
          if (z->terms[j].atoms[m]->kind == ATOM_SYMBOL) capture(s, z->terms[j].atoms[m]->symbol);
    }
}

static bool capture_visit(void *user, Expr *e) {
  CaptureScan *s = user;
  if (e->kind == EXPR_LAMBDA) vec_push(s->g->arena, &s->lambdas, e);
  if (e->kind == EXPR_NAME) capture(s, e->name.symbol);
  return true;
}

static bool capture_visit_stmt(void *user, Stmt *st) {
  if (st->kind == STMT_LET && st->let.type) capture_type(user, st->let.type->type);
  return true;
}

void captures_of(Gen *g, Expr *lambda, Fn *fn) {
  CaptureScan s = {.g = g};
  AstVisit v = {&s, capture_visit, capture_visit_stmt};
  ast_visit_expr(&v, lambda);
  fn->caps = s.out.data;
  fn->n_caps = s.out.len;
}

// ---- costs -----------------------------------------------------------------------------------------------------------------

static bool all_cheap(const ExprVec *list, bool total) {
  for (int i = 0; i < list->len; i++)
    if (!(total ? expr_is_total(list->data[i]) : expr_is_cheap(list->data[i]))) return false;
  return true;
}

bool expr_is_total(const Expr *e) {
  switch (e->kind) {
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_NAME: return true;
  case EXPR_UNARY: return expr_is_total(e->unary.arg);
  case EXPR_BINARY:
    return e->binary.op != BIN_MATMUL && e->type->kind != TYPE_ARRAY && expr_is_total(e->binary.left) &&
           expr_is_total(e->binary.right);
  case EXPR_FIELD: return e->field.index >= 0 && expr_is_total(e->field.base);
  default: return false;
  }
}

static bool is_math(const Expr *e) {
  if (e->call.kind != CALL_BUILTIN || e->call.deriv) return false;
  switch ((Builtin)e->call.builtin) {
#define MATH1(name, op) case BUILTIN_##op:
#define MATH2(name, op) case BUILTIN_##op:
#define BUILTIN(kind, name)
#include "sema/builtins.def"
  case BUILTIN_ABS:
  case BUILTIN_MIN:
  case BUILTIN_MAX:
  case BUILTIN_FMA:
  case BUILTIN_DIV:
  case BUILTIN_MOD:
  case BUILTIN_F32:
  case BUILTIN_F64:
  case BUILTIN_REAL:
  case BUILTIN_LEN: return true;
  default: return false;
  }
}

bool expr_is_cheap(const Expr *e) {
  switch (e->kind) {
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_NAME: return true;
  case EXPR_UNARY: return expr_is_cheap(e->unary.arg);
  case EXPR_BINARY:
    return e->binary.op != BIN_MATMUL && expr_is_cheap(e->binary.left) && expr_is_cheap(e->binary.right);
  case EXPR_FIELD: return e->field.index >= 0 && expr_is_cheap(e->field.base);
  case EXPR_INDEX: return expr_is_cheap(e->index.base) && all_cheap(&e->index.idx, false);
  case EXPR_RANGE:
    return (!e->range.lo || expr_is_cheap(e->range.lo)) && (!e->range.hi || expr_is_cheap(e->range.hi));
  case EXPR_CALL:
    for (int i = 0; i < e->call.args.len; i++)
      if (!expr_is_cheap(e->call.args.data[i].value)) return false;
    return is_math(e);
  default: return false;
  }
}
