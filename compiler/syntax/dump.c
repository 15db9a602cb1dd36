// The tree as indented text for people (`dp emit --stage ast`): one node a line, with where it stands and, once sema
// has been there, its type. In: a module; out: text.
#include "ast.h"

#include <string.h>

typedef struct Dump {
  StrBuf *out;
  const Sources *sources;
  TypePrinter *print_type;
  int depth;
} Dump;

static void dump_expr(Dump *d, const char *role, const Expr *e);
static void dump_stmt(Dump *d, const Stmt *s);

static void start(Dump *d, const char *role, const char *what) {
  for (int i = 0; i < d->depth; i++) sb_add(d->out, "  ");
  if (*role) sb_addf(d->out, "%s: ", role);
  sb_add(d->out, what);
}

static void finish(Dump *d, Loc loc, const Type *type) {
  int line, col;
  sources_line_col(d->sources, loc, &line, &col);
  sb_addf(d->out, " @%d:%d", line, col);
  if (type && d->print_type) {
    sb_add(d->out, " : ");
    d->print_type(type, d->out);
  }
  sb_addc(d->out, '\n');
}

static void written_type(Dump *d, const TypeExpr *t) {
  if (!t) return;
  sb_add(d->out, ": ");
  ast_print_type(t, d->out);
}

// ---- expressions ----------------------------------------------------------------------------------------------

static const char *kind_text(const Expr *e) {
  switch (e->kind) {
  case EXPR_ERROR: return "error";
  case EXPR_INT: return "int ";
  case EXPR_FLOAT: return "float ";
  case EXPR_BOOL: return "bool ";
  case EXPR_STRING: return "string";
  case EXPR_NAME: return "name ";
  case EXPR_HOLE: return "hole";
  case EXPR_UNARY: return "unary ";
  case EXPR_BINARY: return "binary ";
  case EXPR_FIELD: return "field .";
  case EXPR_INDEX: return "index";
  case EXPR_RANGE: return "range";
  case EXPR_CALL: return "call";
  case EXPR_IF: return "if";
  case EXPR_BLOCK: return "block";
  case EXPR_ARRAY: return "array";
  case EXPR_COMP: return "comprehension";
  case EXPR_REDUCE: return "reduce ";
  case EXPR_TUPLE: return "tuple";
  case EXPR_STRUCT: return "struct ";
  case EXPR_LAMBDA: return "lambda";
  }
  return "";
}

// What stands on the node's own line after its kind.
static void dump_detail(Dump *d, const Expr *e) {
  static const char *const reduces[] = {
      [REDUCE_SUM] = "sum", [REDUCE_PROD] = "prod", [REDUCE_MIN] = "min", [REDUCE_MAX] = "max"};
  switch (e->kind) {
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_NAME: ast_print_expr(e, d->out); break;
  case EXPR_UNARY: sb_add(d->out, unary_op_text(e->unary.op)); break;
  case EXPR_BINARY: sb_add(d->out, binary_op_text(e->binary.op)); break;
  case EXPR_FIELD: sb_add(d->out, e->field.name); break;
  case EXPR_REDUCE: sb_add(d->out, reduces[e->comp.op]); break;
  case EXPR_STRUCT:
    if (e->strukt.module) sb_addf(d->out, "%s.", e->strukt.module);
    sb_add(d->out, e->strukt.name);
    break;
  case EXPR_ERROR:
  case EXPR_STRING:
  case EXPR_HOLE:
  case EXPR_INDEX:
  case EXPR_RANGE:
  case EXPR_CALL:
  case EXPR_IF:
  case EXPR_BLOCK:
  case EXPR_ARRAY:
  case EXPR_COMP:
  case EXPR_TUPLE:
  case EXPR_LAMBDA: break;
  }
}

static void dump_exprs(Dump *d, const ExprVec *v) {
  for (int i = 0; i < v->len; i++) dump_expr(d, "", v->data[i]);
}

static void dump_string(Dump *d, const Expr *e) {
  for (int i = 0; i < e->string.len; i++) {
    const StringPart *part = &e->string.data[i];
    Expr text = {.kind = EXPR_STRING, .loc = e->loc};
    StringPart alone = {part->text, NULL, ""};
    text.string.data = &alone;
    text.string.len = 1;
    if (*part->text) {
      start(d, "text", "");
      ast_print_expr(&text, d->out);
      sb_addc(d->out, '\n');
    }
    if (part->hole) dump_expr(d, *part->spec ? part->spec : "hole", part->hole);
  }
}

static void dump_iter(Dump *d, const Iter *it) {
  start(d, "", "iter ");
  sb_addf(d->out, "%s%s", it->name, it->reverse ? " reverse" : "");
  finish(d, it->name_loc, NULL);
  d->depth++;
  dump_expr(d, "over", it->over);
  if (it->step) dump_expr(d, "step", it->step);
  d->depth--;
}

static void dump_params(Dump *d, const ParamVec *params) {
  for (int i = 0; i < params->len; i++) {
    const Param *par = &params->data[i];
    start(d, "", par->is_inout ? "param inout " : "param ");
    sb_add(d->out, par->name);
    written_type(d, par->type);
    finish(d, par->loc, NULL);
    d->depth++;
    if (par->def) dump_expr(d, "default", par->def);
    d->depth--;
  }
}

static void dump_call(Dump *d, const Expr *e) {
  dump_expr(d, "callee", e->call.callee);
  for (int i = 0; i < e->call.args.len; i++) {
    const Arg *a = &e->call.args.data[i];
    dump_expr(d, a->name ? a->name : a->is_inout ? "inout" : "", a->value);
  }
}

static void dump_children(Dump *d, const Expr *e) {
  switch (e->kind) {
  case EXPR_ERROR:
  case EXPR_INT:
  case EXPR_FLOAT:
  case EXPR_BOOL:
  case EXPR_NAME:
  case EXPR_HOLE: break;
  case EXPR_STRING: dump_string(d, e); break;
  case EXPR_UNARY: dump_expr(d, "", e->unary.arg); break;
  case EXPR_BINARY:
    dump_expr(d, "", e->binary.left);
    dump_expr(d, "", e->binary.right);
    break;
  case EXPR_FIELD: dump_expr(d, "", e->field.base); break;
  case EXPR_INDEX:
    dump_expr(d, "base", e->index.base);
    dump_exprs(d, &e->index.idx);
    break;
  case EXPR_RANGE:
    if (e->range.lo) dump_expr(d, "lo", e->range.lo);
    if (e->range.hi) dump_expr(d, "hi", e->range.hi);
    break;
  case EXPR_CALL: dump_call(d, e); break;
  case EXPR_IF:
    dump_expr(d, "cond", e->if_.cond);
    dump_expr(d, "then", e->if_.then);
    if (e->if_.els) dump_expr(d, "else", e->if_.els);
    break;
  case EXPR_BLOCK:
    for (int i = 0; i < e->block.stmts.len; i++) dump_stmt(d, e->block.stmts.data[i]);
    if (e->block.value) dump_expr(d, "value", e->block.value);
    break;
  case EXPR_ARRAY: dump_exprs(d, &e->array.elems); break;
  case EXPR_TUPLE: dump_exprs(d, &e->tuple.elems); break;
  case EXPR_COMP:
  case EXPR_REDUCE:
    for (int i = 0; i < e->comp.iters.len; i++) dump_iter(d, &e->comp.iters.data[i]);
    dump_expr(d, "body", e->comp.body);
    break;
  case EXPR_STRUCT:
    for (int i = 0; i < e->strukt.fields.len; i++)
      dump_expr(d, e->strukt.fields.data[i].name, e->strukt.fields.data[i].value);
    break;
  case EXPR_LAMBDA:
    dump_params(d, &e->lambda.params);
    dump_expr(d, "body", e->lambda.body);
    break;
  }
}

static void dump_expr(Dump *d, const char *role, const Expr *e) {
  start(d, role, kind_text(e));
  dump_detail(d, e);
  finish(d, e->loc, e->type);
  d->depth++;
  dump_children(d, e);
  d->depth--;
}

// ---- statements -----------------------------------------------------------------------------------------------

static void add_pattern(Dump *d, const Pattern *t) {
  if (t->name) sb_add(d->out, t->name);
  for (int i = 0; i < t->parts.len; i++) {
    sb_add(d->out, i ? ", " : "(");
    add_pattern(d, t->parts.data[i]);
  }
  if (!t->name) sb_addc(d->out, ')');
}

static const char *stmt_text(const Stmt *s) {
  static const char *const assigns[] = {[ASSIGN_SET] = "assign =",
                                        [ASSIGN_ADD] = "assign +=",
                                        [ASSIGN_SUB] = "assign -=",
                                        [ASSIGN_MUL] = "assign *=",
                                        [ASSIGN_DIV] = "assign /="};
  switch (s->kind) {
  case STMT_ERROR: return "error";
  case STMT_LET: return s->let.is_var ? "var " : "let ";
  case STMT_ASSIGN: return assigns[s->assign.op];
  case STMT_EXPR: return "do";
  case STMT_FOR: return "for";
  case STMT_WHILE: return "while";
  case STMT_BREAK: return "break";
  case STMT_CONTINUE: return "continue";
  case STMT_RETURN: return "return";
  case STMT_ASSERT: return "assert";
  }
  return "";
}

static void dump_stmt_children(Dump *d, const Stmt *s) {
  switch (s->kind) {
  case STMT_ERROR:
  case STMT_BREAK:
  case STMT_CONTINUE: break;
  case STMT_LET: dump_expr(d, "", s->let.init); break;
  case STMT_ASSIGN:
    dump_expr(d, "target", s->assign.target);
    dump_expr(d, "value", s->assign.value);
    break;
  case STMT_EXPR: dump_expr(d, "", s->expr); break;
  case STMT_FOR:
    dump_iter(d, &s->for_.iter);
    dump_expr(d, "", s->for_.body);
    break;
  case STMT_WHILE:
    dump_expr(d, "cond", s->while_.cond);
    dump_expr(d, "", s->while_.body);
    break;
  case STMT_RETURN:
    if (s->return_.value) dump_expr(d, "", s->return_.value);
    break;
  case STMT_ASSERT:
    dump_expr(d, "cond", s->assert_.cond);
    if (s->assert_.message) dump_expr(d, "message", s->assert_.message);
    break;
  }
}

static void dump_stmt(Dump *d, const Stmt *s) {
  start(d, "", stmt_text(s));
  if (s->kind == STMT_LET) {
    add_pattern(d, s->let.pattern);
    written_type(d, s->let.type);
  }
  if (s->kind == STMT_FOR && s->for_.checkpoint != CHECKPOINT_NONE)
    sb_addf(d->out, " checkpoint %s %lld", s->for_.checkpoint == CHECKPOINT_EVERY ? "every" : "slots",
            (long long)s->for_.checkpoint_n);
  finish(d, s->loc, NULL);
  d->depth++;
  dump_stmt_children(d, s);
  d->depth--;
}

// ---- declarations ---------------------------------------------------------------------------------------------

static void dump_fn(Dump *d, const FnDecl *f) {
  static const char *const kinds[] = {
      [FN_PLAIN] = "fn ", [FN_EXTERN] = "extern fn ", [FN_ADJOINT] = "adjoint ", [FN_TANGENT] = "tangent "};
  start(d, "", kinds[f->kind]);
  sb_add(d->out, f->name);
  if (f->slots) sb_add(d->out, " @slots");
  if (f->pure) sb_add(d->out, " @pure");
  if (f->symbol) sb_addf(d->out, " = \"%s\"", f->symbol);
  if (f->result) sb_add(d->out, " -> ");
  if (f->result) ast_print_type(f->result, d->out);
  finish(d, f->loc, NULL);
  d->depth++;
  dump_params(d, &f->params);
  if (f->body) dump_expr(d, f->expr_body ? "=" : "", f->body);
  d->depth--;
}

static void dump_struct(Dump *d, const StructDecl *s) {
  start(d, "", "struct ");
  sb_add(d->out, s->name);
  for (int i = 0; i < s->sizes.len; i++) sb_addf(d->out, "%s%s", i ? ", " : "[", s->sizes.data[i]);
  if (s->sizes.len) sb_addc(d->out, ']');
  finish(d, s->loc, NULL);
  d->depth++;
  for (int i = 0; i < s->fields.len; i++) {
    const FieldDecl *f = &s->fields.data[i];
    start(d, "", "field ");
    sb_add(d->out, f->name);
    written_type(d, f->type);
    finish(d, f->loc, NULL);
  }
  d->depth--;
}

void ast_dump_typed(const Module *m, const Sources *sources, StrBuf *out, TypePrinter *print_type) {
  Dump d = {out, sources, print_type, 0};
  sb_addf(out, "module %s\n", m->name ? m->name : "");
  for (int i = 0; i < m->imports.len; i++) {
    const Import *im = &m->imports.data[i];
    sb_addf(out, im->is_std ? "import %s as %s" : "import \"%s\" as %s", im->path, im->alias);
    finish(&d, im->loc, NULL);
  }
  for (int i = 0; i < m->structs.len; i++) dump_struct(&d, m->structs.data[i]);
  for (int i = 0; i < m->fns.len; i++) dump_fn(&d, m->fns.data[i]);
}

void ast_dump(const Module *m, const Sources *sources, StrBuf *out) { ast_dump_typed(m, sources, out, NULL); }
