// Functions and modules: bodies, inferred results, externs, main, what the prelude owes only to those who use it.
// In: modules with their names declared; out: everything checked. What must hold: a function of a standard module is
// checked when something uses it; a function's result is known before its callers go on.
#include "sema/check.h"

#include <string.h>

typedef struct Saved {
  Module *module;
  ModuleInfo *info;
  Scope *scope;
  Frame *frame;
} Saved;

static Saved enter_module(Checker *c, Module *m) {
  Saved s = {c->module, c->info, c->scope, c->frame};
  c->module = m;
  c->info = module_info(c, m);
  return s;
}

static void leave_module(Checker *c, Saved s) {
  c->module = s.module;
  c->info = s.info;
  c->scope = s.scope;
  c->frame = s.frame;
}

// ---- bodies ------------------------------------------------------------------------------------------------------------

static void report_missing_return(Checker *c, const FnDecl *fn, const Type *want) {
  const Expr *block = fn->body;
  bool ends = block->kind == EXPR_BLOCK && block->block.stmts.len;
  if (ends && vec_last(&block->block.stmts)->kind == STMT_ERROR) return; // it may have been one
  Diag *g =
      diag_add(c->d, DIAG_MISSING_RETURN, fn->name_loc, "`%s` can end without returning a value", fn->name);
  if (fn->result) diag_span(c->d, g, fn->result->loc, "it promises `%s`", type_text(c->a, want));
  Loc body = fn->body->loc;
  if (body.len) {
    Loc end = {body.file, 1, body.off + body.len - 1};
    diag_span(c->d, g, end, "this end can be reached");
  }
  diag_help(c->d, g, "add `return ...` at its end, or an `else` where a branch is missing");
}

static void report_fn_result(Checker *c, Loc loc) {
  Diag *g = diag_add(c->d, DIAG_FN_VALUE, loc, "a function cannot return a function");
  diag_note(c->d, g, "functions are specialised, never stored");
}

// What a body's last value is against what the function promises.
static void check_body_value(Checker *c, FnDecl *fn, Body b, Type *want) {
  Expr *e = fn->body->kind == EXPR_BLOCK && fn->body->block.value ? fn->body->block.value : fn->body;
  if (b.value && b.value->kind == TYPE_FN && c->frame->rule_of == NULL) {
    if (want->kind != TYPE_ERROR) report_fn_result(c, e->loc);
  } else if (b.value && want->kind == TYPE_VOID) {
    if (!fn->expr_body || b.value->kind == TYPE_VOID || b.value->kind == TYPE_ERROR) return;
    report_mismatch(c, DIAG_RETURN, e->loc, want, b.value, "this function");
  } else if (b.value && b.value->kind == TYPE_VOID) {
    diag_add(c->d, DIAG_RETURN, e->loc, "`%s` must return `%s`, and this gives no value", fn->name,
             type_text(c->a, want));
  } else if (b.value) {
    expect_type(c, e, want, "the result of `%s`", fn->name);
  } else if (b.completes && want->kind != TYPE_VOID && want->kind != TYPE_ERROR) {
    report_missing_return(c, fn, want);
  }
}

static void check_plain(Checker *c, FnDecl *fn, FnInfo *info, Frame *frame) {
  frame->infer = info->inferring;
  frame->result = info->inferring ? NULL : fn->lacks_result ? c->void_ : info->sig.result;
  int first_symbol = c->next_symbol + 1;
  Body b = check_body(c, fn->body, frame->result);
  if (!info->inferring) {
    check_body_value(c, fn, b, frame->result);
    return;
  }
  Type *t = b.value ? b.value : frame->result ? frame->result : c->void_;
  if (t->kind == TYPE_FN) {
    report_fn_result(c, fn->body->loc);
    t = c->error;
  }
  info->sig.result = type_escape(c, t, first_symbol, NULL, 0, fn->body->loc);
}

static void check_rule_body(Checker *c, FnDecl *fn, FnInfo *info, Frame *frame) {
  frame->result = info->sig.result;
  bool adjoint = fn->kind == FN_ADJOINT;
  if (adjoint && fn->body->kind != EXPR_BLOCK) {
    check_rule_return(c, fn->body);
    return;
  }
  scope_push(c);
  Body b = {NULL, true};
  if (fn->body->kind == EXPR_BLOCK) {
    b.completes = check_stmts(c, &fn->body->block.stmts);
    Expr *value = fn->body->block.value;
    if (value && adjoint)
      check_rule_return(c, value);
    else if (value)
      b.value = check_expr(c, value, frame->result);
    b.completes &= !(value && adjoint);
    fn->body->type = value ? value->type : c->void_;
  } else {
    b.value = check_expr(c, fn->body, frame->result);
  }
  scope_pop(c);
  if (!adjoint && b.value) check_body_value(c, fn, b, frame->result);
  if (b.completes && !b.value && frame->result->kind != TYPE_ERROR)
    report_missing_return(c, fn, frame->result);
}

void check_fn_body(Checker *c, FnDecl *fn) {
  FnInfo *info = (FnInfo *)signature_of(c, fn);
  if (info->body_checked || !fn->body) return;
  info->body_checked = true;
  Saved saved = enter_module(c, fn->module);
  Frame frame = {.owner = fn, .fn = fn, .has_real = info->sig.has_real};
  c->frame = &frame;
  c->scope = info->scope;
  bool rule = fn->kind == FN_ADJOINT || fn->kind == FN_TANGENT;
  if (!rule)
    check_plain(c, fn, info, &frame);
  else if (rule_frame(c, fn, &frame))
    check_rule_body(c, fn, info, &frame);
  leave_module(c, saved);
}

// ---- inferred results ----------------------------------------------------------------------------------------------------

static bool infers_result(const FnDecl *fn) {
  return fn->kind == FN_PLAIN && fn->expr_body && !fn->result && fn->body;
}

Type *ensure_result(Checker *c, FnDecl *fn, Loc use) {
  FnInfo *info = (FnInfo *)signature_of(c, fn);
  if (!infers_result(fn) || info->inferred) return info->sig.result;
  if (info->inferring || c->infer_depth > MAX_INFER_DEPTH) {
    Diag *g = diag_add(c->d, DIAG_RECURSIVE, use,
                       info->inferring ? "the result of `%s` depends on itself"
                                       : "the result of `%s` follows only through a long chain of functions",
                       fn->name);
    diag_span(c->d, g, fn->name_loc, "declared without a result type");
    diag_help(c->d, g, "write the result type of `%s`: `-> f64 = ...`", fn->name);
    return c->error;
  }
  info->inferring = true;
  c->infer_depth++;
  check_fn_body(c, fn);
  c->infer_depth--;
  info->inferring = false;
  info->inferred = true;
  return info->sig.result;
}

void use_fn(Checker *c, FnDecl *fn) {
  if (!fn->module || !fn->module->is_std) return;
  FnInfo *info = (FnInfo *)signature_of(c, fn);
  if (info->queued) return;
  info->queued = true;
  vec_push(c->a, &c->queue, fn);
}

void drain_queue(Checker *c) {
  while (c->queue.len) {
    FnDecl *fn = vec_pop(&c->queue);
    ensure_result(c, fn, fn->name_loc);
    check_fn_body(c, fn);
    if (fn->adjoint_rule) check_fn_body(c, fn->adjoint_rule);
    if (fn->tangent_rule) check_fn_body(c, fn->tangent_rule);
  }
}

// ---- externs -------------------------------------------------------------------------------------------------------------

static bool crosses(const Type *t, bool slots, bool result) {
  const Type *base = t->kind == TYPE_ARRAY || (t->kind == TYPE_GROW && slots) ? t->elem : t;
  if (t->kind == TYPE_ERROR || (result && t->kind == TYPE_VOID)) return true;
  if (slots && t->kind == TYPE_TUPLE) {
    for (int i = 0; i < t->n_parts; i++)
      if (!crosses(t->parts[i], slots, result)) return false;
    return true;
  }
  if (result && t->kind == TYPE_ARRAY && !slots) return false;
  if (base->kind == TYPE_STR) return slots && !result && base == t;
  return base->kind == TYPE_BOOL || base->kind == TYPE_INT || base->kind == TYPE_F32 ||
         base->kind == TYPE_F64;
}

static void check_extern(Checker *c, const FnDecl *fn) {
  const Signature *sig = fn->sig;
  for (int i = 0; i < sig->n_params; i++) {
    const Param *p = &fn->params.data[i];
    if (p->is_inout) diag_add(c->d, DIAG_EXTERN, p->loc, "an extern function has no inout parameters");
    if (crosses(sig->params[i], fn->slots, false)) continue;
    Diag *g = diag_add(c->d, DIAG_EXTERN, p->type ? p->type->loc : p->loc,
                       "`%s` cannot be passed to a C function", type_text(c->a, sig->params[i]));
    diag_note(c->d, g, "C functions take bool, int, f32, f64 and arrays of those");
    if (sig->params[i]->kind == TYPE_STRUCT) diag_help(c->d, g, "pass its fields one by one");
  }
  if (crosses(sig->result, fn->slots, true)) return;
  Diag *g = diag_add(c->d, DIAG_EXTERN, fn->result ? fn->result->loc : fn->name_loc,
                     "a C function cannot return `%s`", type_text(c->a, sig->result));
  if (sig->result->kind == TYPE_ARRAY)
    diag_help(c->d, g,
              "declare it `@slots`, with the runtime's calling convention (dprt.h), which returns arrays");
}

// ---- main ----------------------------------------------------------------------------------------------------------------

static void check_main(Checker *c, const FnDecl *fn) {
  const Signature *sig = fn->sig;
  for (int i = 0; i < sig->n_params; i++) {
    const Param *p = &fn->params.data[i];
    TypeKind k = sig->params[i]->kind;
    bool option = k == TYPE_BOOL || k == TYPE_INT || k == TYPE_F64 || k == TYPE_F32 || k == TYPE_STR;
    if (!option && k != TYPE_ERROR) {
      Diag *g = diag_add(c->d, DIAG_MAIN, p->type ? p->type->loc : p->loc, "`main` cannot take `%s`",
                         type_text(c->a, sig->params[i]));
      diag_note(c->d, g, "the parameters of `main` are the program's options: bool, int, f64, f32 or str");
    } else if (!p->def && option) {
      Diag *g = diag_add(c->d, DIAG_MAIN, p->loc, "the option `%s` of `main` has no default", p->name);
      diag_help(c->d, g, "give it one: `%s: %s = ...`", p->name, type_text(c->a, sig->params[i]));
    }
  }
  if (sig->result->kind == TYPE_VOID || sig->result->kind == TYPE_ERROR) return;
  Diag *g = diag_add(c->d, DIAG_MAIN, fn->result ? fn->result->loc : fn->name_loc, "`main` has no result");
  diag_help(c->d, g, "`print` what it computes");
}

// ---- modules -------------------------------------------------------------------------------------------------------------

static void check_declared(Checker *c, FnDecl *fn) {
  signature_of(c, fn);
  ensure_result(c, fn, fn->name_loc);
  if (fn->kind == FN_EXTERN) check_extern(c, fn);
  check_fn_body(c, fn);
  if (fn->name == c->n_main && fn->kind == FN_PLAIN && fn->module == c->p->main) check_main(c, fn);
}

void check_module(Checker *c, ModuleInfo *info) {
  Module *m = info->module;
  c->module = m;
  c->info = info;
  c->frame = NULL;
  c->scope = NULL;
  for (int i = 0; i < m->fns.len; i++) {
    FnDecl *fn = m->fns.data[i];
    if (fn->kind == FN_ADJOINT || fn->kind == FN_TANGENT) attach_rule(c, fn);
  }
  for (int i = 0; i < m->fns.len && !m->is_std; i++) check_declared(c, m->fns.data[i]);
}
