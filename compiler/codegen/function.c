// Functions: what the call graph says of each, its LLVM signature, and its body, operation by operation.
#include "codegen/internal.h"

#include <string.h>

// ---- facts ---------------------------------------------------------------------------------------------------------

CgFunc *cg_func(const Cg *cg, Name name) { return cg_map_get(&cg->func_index, (uintptr_t)name, 0, 0); }

typedef struct Facts {
  Cg *cg;
  CgFunc *f;
  bool changed;
} Facts;

static bool op_can_fail(const Cg *cg, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FILL:
  case IR_MATMUL:
  case IR_COPY: return !op->on_stack;
  case IR_BUILD: return !op->on_stack && op->n_results > 0;
  case IR_MATACC: return cg->opt->strict_fp; // the product on its own needs memory
  case IR_FOR: return op->lanes > 1;         // so do copies of accumulators
  case IR_PUSH:
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
  case IR_ASSERT:
  case IR_TRAIN:
  case IR_MINIMIZE: return true;
  case IR_EXTERN: return op->attr.ext->slots;
  case IR_CALL: {
    const CgFunc *callee = cg_func(cg, op->attr.sym);
    return callee && callee->can_fail;
  }
  default: return false;
  }
}

static IrWalk visit_facts(void *user, IrOp *op) {
  Facts *w = user;
  if (!w->f->can_fail && op_can_fail(w->cg, op)) w->f->can_fail = w->changed = true;
  const CgFunc *callee = op->kind == IR_CALL ? cg_func(w->cg, op->attr.sym) : NULL;
  if (callee && callee->needs_limit && !w->f->needs_limit) w->f->needs_limit = w->changed = true;
  return IR_WALK_CONTINUE;
}

// Which functions lie on a cycle of calls: those that reach themselves.
typedef struct Reach {
  Cg *cg;
  const CgFunc *from;
  bool *seen, found;
} Reach;

static IrWalk visit_reach(void *user, IrOp *op) {
  Reach *r = user;
  const CgFunc *callee = op->kind == IR_CALL ? cg_func(r->cg, op->attr.sym) : NULL;
  if (!callee) return IR_WALK_CONTINUE;
  if (callee == r->from) r->found = true;
  bool *seen = &r->seen[callee - r->cg->funcs];
  if (!r->found && !*seen && callee->ir->body) {
    *seen = true;
    ir_walk(callee->ir->body, visit_reach, r);
  }
  return r->found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static IrWalk visit_trained(void *user, IrOp *op) {
  Cg *cg = user;
  if (op->kind != IR_TRAIN && op->kind != IR_MINIMIZE) return IR_WALK_CONTINUE;
  CgFunc *loss = op->attr.train->loss ? cg_func(cg, op->attr.train->loss) : NULL;
  CgFunc *grad = op->attr.train->loss_grad ? cg_func(cg, op->attr.train->loss_grad) : NULL;
  if (loss) loss->has_entry = true;
  if (grad) grad->has_entry = true;
  return IR_WALK_CONTINUE;
}

void cg_facts(Cg *cg) {
  cg->n_funcs = cg->ir->funcs.len;
  cg->funcs = ARENA_ARRAY(cg->arena, CgFunc, cg->n_funcs + 1);
  for (int i = 0; i < cg->n_funcs; i++) {
    cg->funcs[i].ir = cg->ir->funcs.data[i];
    cg->funcs[i].has_entry = cg->funcs[i].ir->is_export;
    cg_map_put(cg, &cg->func_index, (uintptr_t)cg->funcs[i].ir->name, 0, 0, &cg->funcs[i]);
  }
  for (int i = 0; i < cg->n_funcs; i++) {
    CgFunc *f = &cg->funcs[i];
    if (!f->ir->body) continue;
    Reach r = {cg, f, ARENA_ARRAY(cg->arena, bool, cg->n_funcs), false};
    ir_walk(f->ir->body, visit_reach, &r);
    f->recursive = f->needs_limit = f->can_fail = r.found;
    ir_walk(f->ir->body, visit_trained, cg);
  }
  for (bool again = true; again;) {
    again = false;
    for (int i = 0; i < cg->n_funcs; i++) {
      Facts w = {cg, &cg->funcs[i], false};
      if (cg->funcs[i].ir->body) ir_walk(cg->funcs[i].ir->body, visit_facts, &w);
      again |= w.changed;
    }
  }
  for (int i = 0; i < cg->n_funcs; i++) cg->funcs[i].returns_dims = cg->funcs[i].has_entry;
}

// ---- values as LLVM values -----------------------------------------------------------------------------------------

int cg_flat_types(const Cg *cg, IrType t, LLVMTypeRef *out) {
  if (!t.rank) {
    out[0] = cg_type(cg, (IrElem)t.elem);
    return 1;
  }
  out[0] = cg->ptr;
  if (!t.grow) return 1;
  out[1] = out[2] = cg->i64;
  return 3;
}

int cg_flatten(const CgVal *v, IrType t, LLVMValueRef *out) {
  out[0] = v->v;
  if (!t.grow) return 1;
  out[1] = v->len;
  out[2] = v->cap;
  return 3;
}

int cg_unflatten(CgVal *v, IrType t, const LLVMValueRef *in) {
  v->v = in[0];
  if (!t.grow) return 1;
  v->len = in[1];
  v->cap = in[2];
  return 3;
}

LLVMBasicBlockRef cg_block(Fn *fn, const char *name) {
  return LLVMCreateBasicBlockInContext(fn->cg->ctx, name);
}

void cg_place(Fn *fn, LLVMBasicBlockRef block) {
  LLVMAppendExistingBasicBlock(fn->info->fn, block);
  LLVMPositionBuilderAtEnd(fn->b, block);
}

LLVMValueRef cg_alloca(Fn *fn, LLVMTypeRef type, uint64_t count, unsigned align) {
  LLVMValueRef a = LLVMBuildAlloca(fn->allocas, LLVMArrayType2(type, count ? count : 1), "");
  LLVMSetAlignment(a, align);
  return a;
}

// ---- signatures ----------------------------------------------------------------------------------------------------

enum { FIRST_PARAM_MAX = 2 };

static LLVMTypeRef result_type(Cg *cg, const CgFunc *f) {
  const IrFunc *ir = f->ir;
  LLVMTypeRef *parts = ARENA_ARRAY(cg->arena, LLVMTypeRef, 1 + ir->n_results * (3 + IR_MAX_RANK));
  unsigned n = 0;
  if (f->can_fail) parts[n++] = cg->i32;
  for (int i = 0; i < ir->n_results; i++) {
    n += (unsigned)cg_flat_types(cg, ir->results[i], parts + n);
    for (int d = 0; f->returns_dims && !ir->results[i].grow && d < ir->results[i].rank; d++)
      parts[n++] = cg->i64;
  }
  return n == 0 ? cg->void_ : n == 1 ? parts[0] : LLVMStructTypeInContext(cg->ctx, parts, n, false);
}

static void param_attributes(Cg *cg, CgFunc *f, unsigned at, int k) {
  IrType t = ir_type(f->ir, f->ir->body->args[k]);
  cg_fn_attr(cg, f->fn, at, "noundef", 0);
  if (k < f->ir->n_sizes) cg_never_negative(cg, f->fn, at);
  if (!t.rank) {
    if (t.elem == IR_BOOL) cg_fn_attr(cg, f->fn, at, "zeroext", 0);
    return;
  }
  cg_fn_attr(cg, f->fn, at, "noalias", 0);
  cg_fn_attr(cg, f->fn, at, "align", (uint64_t)ir_elem_bytes((IrElem)t.elem));
  if (!f->ir->params[k].moved) {
    cg_fn_attr(cg, f->fn, at, "readonly", 0);
    cg_fn_attr(cg, f->fn, at, "nocapture", 0);
  }
  if (t.grow) {
    cg_never_negative(cg, f->fn, at + 1);
    cg_never_negative(cg, f->fn, at + 2);
  }
}

void cg_declare(Cg *cg, CgFunc *f) {
  const IrFunc *ir = f->ir;
  if (!ir->body) return;
  LLVMTypeRef *params = ARENA_ARRAY(cg->arena, LLVMTypeRef, FIRST_PARAM_MAX + 3 * ir->n_params);
  unsigned n = 0;
  params[n++] = cg->ptr;
  if (f->needs_limit) params[n++] = cg->i64;
  unsigned *at = ARENA_ARRAY(cg->arena, unsigned, ir->n_params + 1);
  for (int i = 0; i < ir->n_params; i++) {
    at[i] = n;
    n += (unsigned)cg_flat_types(cg, ir_type(ir, ir->body->args[i]), params + n);
  }
  f->type = LLVMFunctionType(result_type(cg, f), params, n, false);
  f->fn = LLVMAddFunction(cg->mod, arena_printf(cg->arena, "fn.%s", ir->name), f->type);
  LLVMSetLinkage(f->fn, LLVMInternalLinkage);
  LLVMSetFunctionCallConv(f->fn, LLVMFastCallConv);
  cg_fn_attr(cg, f->fn, LLVMAttributeFunctionIndex, "nounwind", 0);
  if (cg->kernels == CG_AVX512) cg_fn_string_attr(cg, f->fn, "prefer-vector-width", "512");
  // Only where LLVM keeps a frame pointer can it align the frame, so that no vector saved there crosses a cache line.
  if (cg->kernels >= CG_AVX2 && !f->needs_limit) cg_fn_string_attr(cg, f->fn, "frame-pointer", "all");
  cg_fn_attr(cg, f->fn, 1, "noundef", 0);
  cg_fn_attr(cg, f->fn, 1, "nonnull", 0);
  for (int i = 0; i < ir->n_params; i++) param_attributes(cg, f, at[i] + 1, i);
  if (f->has_entry) cg_declare_entry(cg, f);
}

// ---- bodies ----------------------------------------------------------------------------------------------------------

static void count_uses(const IrRegion *r, int *uses) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) uses[op->args[k]]++;
    for (int k = 0; k < op->n_regions; k++) count_uses(op->regions[k], uses);
  }
  for (int i = 0; i < r->n_yields; i++) uses[r->yields[i]]++;
}

static void bind_params(Fn *fn) {
  const IrFunc *ir = fn->ir;
  LLVMValueRef f = fn->info->fn;
  unsigned at = 0;
  fn->ctx = LLVMGetParam(f, at++);
  if (fn->info->needs_limit) fn->limit = LLVMGetParam(f, at++);
  for (int i = 0; i < ir->n_params; i++) {
    IrVal v = ir->body->args[i];
    LLVMValueRef parts[3];
    int n = ir_type(ir, v).grow ? 3 : 1;
    for (int k = 0; k < n; k++) parts[k] = LLVMGetParam(f, at++);
    cg_unflatten(cg_val(fn, v), ir_type(ir, v), parts);
  }
}

static void return_results(Fn *fn) {
  const IrFunc *ir = fn->ir;
  LLVMValueRef *parts = ARENA_ARRAY(fn->cg->arena, LLVMValueRef, 1 + ir->n_results * (3 + IR_MAX_RANK));
  int n = 0;
  if (fn->info->can_fail) parts[n++] = cg_i32(fn->cg, 0);
  for (int i = 0; i < ir->n_results; i++) {
    IrVal v = ir->body->yields[i];
    IrType t = ir_type(ir, v);
    n += cg_flatten(cg_val(fn, v), t, parts + n);
    for (int d = 0; fn->info->returns_dims && !t.grow && d < t.rank; d++)
      parts[n++] = cg_v(fn, ir_dims(ir, v)[d]);
  }
  if (n == 0)
    LLVMBuildRetVoid(fn->b);
  else if (n == 1)
    LLVMBuildRet(fn->b, parts[0]);
  else
    LLVMBuildAggregateRet(fn->b, parts, (unsigned)n);
}

static void finish_fail_block(Fn *fn) {
  if (!fn->fail) return;
  LLVMAppendExistingBasicBlock(fn->info->fn, fn->fail);
  LLVMPositionBuilderAtEnd(fn->b, fn->fail);
  LLVMTypeRef type = LLVMGetReturnType(fn->info->type);
  if (type == fn->cg->i32)
    LLVMBuildRet(fn->b, fn->fail_phi);
  else
    LLVMBuildRet(fn->b, LLVMBuildInsertValue(fn->b, LLVMGetPoison(type), fn->fail_phi, 0, ""));
}

void cg_define(Cg *cg, CgFunc *f) {
  if (!f->ir->body) return;
  Arena *scratch = cg->arena;
  int n_vals = f->ir->vals.len;
  Fn fn = {.cg = cg, .ir = f->ir, .info = f};
  fn.vals = ARENA_ARRAY(scratch, CgVal, n_vals);
  fn.uses = ARENA_ARRAY(scratch, int, n_vals);
  count_uses(f->ir->body, fn.uses);
  fn.sums = ir_find_sums(scratch, f->ir);
  cg_find_buffers(&fn);

  fn.b = LLVMCreateBuilderInContext(cg->ctx);
  fn.allocas = LLVMCreateBuilderInContext(cg->ctx);
  LLVMBasicBlockRef entry = cg_block(&fn, "entry"), start = cg_block(&fn, "start");
  cg_place(&fn, entry);
  LLVMPositionBuilderBefore(fn.allocas, LLVMBuildBr(fn.b, start));
  cg_place(&fn, start);
  if (cg->out->debug) cg_debug_function(&fn);
  bind_params(&fn);
  if (f->recursive) cg_check_stack(&fn);
  cg_region(&fn, f->ir->body);
  if (cg->out->debug) cg_debug_at(&fn, NULL);
  cg_free_kept(&fn);
  return_results(&fn);
  finish_fail_block(&fn);
  LLVMDisposeBuilder(fn.allocas);
  LLVMDisposeBuilder(fn.b);
}

// After a bug was noted the function is still brought to its end; what is missing is poison.
static void poison_results(Fn *fn, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    LLVMTypeRef types[3];
    LLVMValueRef parts[3];
    int n = cg_flat_types(fn->cg, ir_type(fn->ir, v), types);
    for (int i = 0; i < n; i++) parts[i] = LLVMGetPoison(types[i]);
    cg_unflatten(cg_val(fn, v), ir_type(fn->ir, v), parts);
  }
}

void cg_region(Fn *fn, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    // A message that only the assert right behind it uses is built when the assert fails.
    const IrOp *next = i + 1 < r->ops.len ? r->ops.data[i + 1] : NULL;
    if (op->kind == IR_FORMAT && next && next->kind == IR_ASSERT && next->args[1] == op->result &&
        fn->uses[op->result] == 1)
      continue;
    if (fn->cg->out->debug) cg_debug_at(fn, op);
    cg_emit(fn, op);
    if (fn->cg->error) poison_results(fn, op);
  }
}

void cg_emit(Fn *fn, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FILL:
  case IR_TABLE:
  case IR_GET:
  case IR_SET:
  case IR_ACC:
  case IR_MATMUL:
  case IR_MATACC:
  case IR_COPY:
  case IR_FREE:
  case IR_EMPTY:
  case IR_LEN:
  case IR_PUSH:
  case IR_POP: cg_emit_array(fn, op); return;
  case IR_BUILD:
  case IR_FOR:
  case IR_WHILE:
  case IR_IF: cg_emit_region_op(fn, op); return;
  case IR_CALL: cg_emit_call(fn, op); return;
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
  case IR_ASSERT: cg_emit_check(fn, op); return;
  case IR_FORMAT: cg_emit_format(fn, op); return;
  case IR_PRINT:
    cg_call_runtime(fn, CG_dprt_print, (LLVMValueRef[]){fn->ctx, cg_v(fn, op->args[0])}, 2);
    return;
  case IR_EXTERN: cg_emit_extern(fn, op); return;
  case IR_TRAIN:
  case IR_MINIMIZE: cg_emit_train(fn, op); return;
  case IR_DCALL: cg_bug(fn->cg, "a derivative of `%s` was not expanded", op->attr.deriv->callee); return;
  default: cg_emit_scalar(fn, op); return;
  }
}

void cg_emit_call(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  CgFunc *callee = cg_func(cg, op->attr.sym);
  if (!callee || !callee->fn) {
    cg_bug(cg, "`%s` calls `%s`, which has no body", fn->ir->name, op->attr.sym);
    return;
  }
  LLVMValueRef *args = ARENA_ARRAY(cg->arena, LLVMValueRef, FIRST_PARAM_MAX + 3 * op->n_args);
  int n = 0;
  args[n++] = fn->ctx;
  if (callee->needs_limit) args[n++] = fn->limit;
  for (int i = 0; i < op->n_args; i++)
    n += cg_flatten(cg_val(fn, op->args[i]), ir_type(fn->ir, op->args[i]), args + n);
  LLVMValueRef call = cg_call(fn, callee->type, callee->fn, args, n);
  LLVMSetInstructionCallConv(call, LLVMFastCallConv);

  bool whole = LLVMGetTypeKind(LLVMGetReturnType(callee->type)) != LLVMStructTypeKind;
  unsigned at = 0;
  if (callee->can_fail) {
    cg_check_status(fn, whole ? call : LLVMBuildExtractValue(fn->b, call, 0, ""));
    at = 1;
  }
  for (int i = 0; i < op->n_results; i++) {
    IrVal v = ir_result(op, i);
    IrType t = ir_type(fn->ir, v);
    LLVMValueRef parts[3];
    for (int k = 0; k < (t.grow ? 3 : 1); k++)
      parts[k] = whole ? call : LLVMBuildExtractValue(fn->b, call, at++, "");
    cg_unflatten(cg_val(fn, v), t, parts);
    if (callee->returns_dims && !t.grow) at += t.rank;
  }
}
