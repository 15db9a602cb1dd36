// Checks, and what happens when they fail: a cold block reports to the context with the place in dp source, then the
// function returns the status. Errors travel through dp's frames as values; nothing unwinds or jumps.
#include "codegen/internal.h"

#include <string.h>

// ---- places ------------------------------------------------------------------------------------------------------------

// The source line around off, without its end.
static const char *line_text(Cg *cg, const Source *src, int line) {
  if (!src || line < 1 || line > src->n_lines) return NULL;
  const char *start = src->text + src->line_starts[line - 1];
  size_t len = strcspn(start, "\r\n");
  return arena_strdup(cg->arena, start, len);
}

static const char *function_at(const Cg *cg, const IrFunc *f, uint32_t chain) {
  if (chain && chain < (uint32_t)cg->ir->chains.len) return cg->ir->chains.data[chain].callee;
  return f->source_name ? f->source_name : f->name;
}

// The text of a line, once however many places on it there are.
static LLVMValueRef line_constant(Cg *cg, const Source *src, Loc loc, int line) {
  LLVMValueRef text = cg_map_get(&cg->sites, 0, loc.file, (uint64_t)line);
  if (text) return text;
  text = cg_text(cg, line_text(cg, src, line));
  cg_map_put(cg, &cg->sites, 0, loc.file, (uint64_t)line, text);
  return text;
}

LLVMValueRef cg_site(Cg *cg, const IrFunc *f, IrLoc at) {
  const Source *src = cg->ir->sources && at.loc.file ? sources_get(cg->ir->sources, at.loc) : NULL;
  const IrChain *chain =
      at.chain && at.chain < (uint32_t)cg->ir->chains.len ? &cg->ir->chains.data[at.chain] : NULL;
  if (!src && !chain) return LLVMConstPointerNull(cg->ptr);
  uint64_t place = (uint64_t)at.loc.file << 32 | at.loc.off;
  LLVMValueRef site = cg_map_get(&cg->sites, (uintptr_t)f, place, at.chain + 1);
  if (site) return site;

  int line = 0, column = 0;
  if (src) sources_line_col(cg->ir->sources, at.loc, &line, &column);
  LLVMValueRef null = LLVMConstPointerNull(cg->ptr);
  LLVMValueRef fields[6] = {
      cg_text(cg, src ? src->path : NULL),
      cg_i32(cg, line),
      cg_i32(cg, column),
      cg_text(cg, function_at(cg, f, at.chain)),
      src ? line_constant(cg, src, at.loc, line) : null,
      chain ? cg_site(cg, f, (IrLoc){chain->call, chain->parent}) : null,
  };
  site = cg_constant(cg, "site", LLVMConstStructInContext(cg->ctx, fields, 6, false));
  cg_map_put(cg, &cg->sites, (uintptr_t)f, place, at.chain + 1, site);
  return site;
}

// ---- leaving a function ------------------------------------------------------------------------------------------------

void cg_likely(Fn *fn, LLVMValueRef branch, bool taken) {
  Cg *cg = fn->cg;
  LLVMMetadataRef ops[3] = {LLVMMDStringInContext2(cg->ctx, "branch_weights", 14),
                            LLVMValueAsMetadata(cg_i32(cg, taken ? 1048575 : 1)),
                            LLVMValueAsMetadata(cg_i32(cg, taken ? 1 : 1048575))};
  LLVMSetMetadata(branch, cg->md_prof, LLVMMetadataAsValue(cg->ctx, LLVMMDNodeInContext2(cg->ctx, ops, 3)));
}

static void leave_with(Fn *fn, LLVMValueRef status) {
  if (!fn->fail) {
    fn->fail = cg_block(fn, "fail");
    LLVMBuilderRef b = LLVMCreateBuilderInContext(fn->cg->ctx);
    LLVMPositionBuilderAtEnd(b, fn->fail);
    fn->fail_phi = LLVMBuildPhi(b, fn->cg->i32, "");
    LLVMDisposeBuilder(b);
  }
  LLVMBasicBlockRef from = LLVMGetInsertBlock(fn->b);
  LLVMAddIncoming(fn->fail_phi, &status, &from, 1);
}

LLVMBasicBlockRef cg_cold_begin(Fn *fn, LLVMValueRef bad) {
  LLVMBasicBlockRef good = cg_block(fn, "good"), cold = cg_block(fn, "bad");
  cg_likely(fn, LLVMBuildCondBr(fn->b, bad, cold, good), false);
  cg_place(fn, cold);
  return good;
}

void cg_cold_end(Fn *fn, LLVMBasicBlockRef good, LLVMValueRef status) {
  leave_with(fn, status);
  LLVMBuildBr(fn->b, fn->fail);
  cg_place(fn, good);
}

void cg_check_status(Fn *fn, LLVMValueRef status) {
  LLVMValueRef bad = LLVMBuildICmp(fn->b, LLVMIntNE, status, cg_i32(fn->cg, 0), "");
  LLVMBasicBlockRef good = cg_block(fn, "good");
  leave_with(fn, status);
  cg_likely(fn, LLVMBuildCondBr(fn->b, bad, fn->fail, good), false);
  cg_place(fn, good);
}

void cg_check_stack(Fn *fn) {
  LLVMTypeRef p = fn->cg->ptr;
  LLVMValueRef frame = cg_intrinsic(fn, "llvm.frameaddress", p, (LLVMValueRef[]){cg_i32(fn->cg, 0)}, 1);
  frame = LLVMBuildPtrToInt(fn->b, frame, fn->cg->i64, "");
  LLVMBasicBlockRef good = cg_cold_begin(fn, LLVMBuildICmp(fn->b, LLVMIntULT, frame, fn->limit, ""));
  LLVMValueRef site = cg_site(fn->cg, fn->ir, (IrLoc){fn->ir->loc, 0});
  cg_cold_end(fn, good, cg_call_runtime(fn, CG_dprt_fail_stack, (LLVMValueRef[]){fn->ctx, site}, 2));
}

// ---- checks ------------------------------------------------------------------------------------------------------------

static LLVMValueRef is_bad(Fn *fn, const IrOp *op, const LLVMValueRef *a) {
  LLVMBuilderRef b = fn->b;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX: return LLVMBuildICmp(b, LLVMIntUGE, a[0], a[1], ""); // a negative index is huge
  case IR_CHECK_RANGE:
    return LLVMBuildOr(b, LLVMBuildICmp(b, LLVMIntUGT, a[0], a[1], ""),
                       LLVMBuildICmp(b, LLVMIntUGT, a[1], a[2], ""), "");
  case IR_CHECK_SIZE: return LLVMBuildICmp(b, LLVMIntNE, a[0], a[1], "");
  case IR_CHECK_DIV: return LLVMBuildICmp(b, LLVMIntEQ, a[0], LLVMConstNull(LLVMTypeOf(a[0])), "");
  default: return LLVMBuildNot(b, a[0], "");
  }
}

void cg_emit_check(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  LLVMValueRef a[3] = {NULL}, bad;
  bool lanes = cg_emit_lane_operands(fn, op, a);
  for (int i = 0; i < op->n_args && i < 3 && !lanes; i++) a[i] = cg_v(fn, op->args[i]);
  bad = is_bad(fn, op, a);
  LLVMBasicBlockRef good = cg_cold_begin(fn, lanes ? cg_any_lane(fn, &bad) : bad);
  for (int i = 0; i < op->n_args && lanes; i++) a[i] = cg_first_lane(fn, bad, a[i]);
  LLVMValueRef site = cg_site(cg, fn->ir, op->loc), status;
  if (op->kind == IR_CHECK_DIV) {
    status = cg_call_runtime(fn, CG_dprt_fail_divide, (LLVMValueRef[]){fn->ctx, site}, 2);
  } else if (op->kind == IR_ASSERT) {
    const IrOp *message = ir_val(fn->ir, op->args[1])->def;
    if (!cg_v(fn, op->args[1])) cg_emit(fn, message); // put off until here by cg_region
    status =
        cg_call_runtime(fn, CG_dprt_fail_assert, (LLVMValueRef[]){fn->ctx, site, cg_v(fn, op->args[1])}, 3);
  } else {
    LLVMValueRef what = cg_text(cg, op->attr.sym);
    CgRuntime f = op->kind == IR_CHECK_INDEX   ? CG_dprt_fail_index
                  : op->kind == IR_CHECK_RANGE ? CG_dprt_fail_range
                                               : CG_dprt_fail_size;
    LLVMValueRef args[6] = {fn->ctx, site, what, a[0], a[1], a[2]};
    status = cg_call_runtime(fn, f, args, 3 + op->n_args);
  }
  cg_cold_end(fn, good, status);
}
