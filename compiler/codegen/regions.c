// Operations that hold regions: loops, branches, and the building of arrays element by element.
#include "codegen/internal.h"

#include <string.h>

// ---- carried values ----------------------------------------------------------------------------------------------------

// Phis for the values of `like`, at the start of the block that the builder stands in.
static void make_phis(Fn *fn, IrVal like, CgVal *out) {
  LLVMTypeRef types[3];
  LLVMValueRef parts[3];
  IrType t = ir_type(fn->ir, like);
  int n = cg_flat_types(fn->cg, t, types);
  if (cg_is_own(fn, like) && !t.rank) types[0] = cg_value_type(fn, like);
  for (int i = 0; i < n; i++) parts[i] = LLVMBuildPhi(fn->b, types[i], "");
  cg_unflatten(out, t, parts);
}

static void add_incoming(const CgVal *phi, const CgVal *from, IrType t, LLVMBasicBlockRef block) {
  LLVMValueRef phis[3], values[3];
  int n = cg_flatten(phi, t, phis);
  cg_flatten(from, t, values);
  for (int i = 0; i < n; i++) LLVMAddIncoming(phis[i], &values[i], &block, 1);
}

static void carry(Fn *fn, const IrVal *phis, const IrVal *from, int n, LLVMBasicBlockRef block) {
  for (int i = 0; i < n; i++) {
    IrType t = ir_type(fn->ir, phis[i]);
    CgVal v = *cg_val(fn, from[i]);
    if (!t.rank && cg_is_own(fn, phis[i]) && !cg_is_own(fn, from[i]))
      v.v = cg_spread_before(fn, from[i], block);
    add_incoming(cg_val(fn, phis[i]), &v, t, block);
  }
}

// ---- counted loops: the plain kind that codegen itself needs -----------------------------------------------------------

static void set_loop_metadata(Fn *fn, LLVMValueRef latch, const char *name, LLVMValueRef value) {
  Cg *cg = fn->cg;
  LLVMMetadataRef option[2] = {LLVMMDStringInContext2(cg->ctx, name, strlen(name)),
                               LLVMValueAsMetadata(value)};
  LLVMMetadataRef self = cg_unique_node(cg, LLVMMDNodeInContext2(cg->ctx, option, 2));
  LLVMSetMetadata(latch, cg->md_loop, LLVMMetadataAsValue(cg->ctx, self));
}

// What lanes leave over is not worth much of the vectoriser's time. Where elementary functions are computed, what is left
// behind the last whole vector is worth a vector of its own, masked.
static void mark_loop(Fn *fn, LLVMValueRef latch, bool math) {
  if (fn->few)
    set_loop_metadata(fn, latch, "llvm.loop.interleave.count", cg_i32(fn->cg, 1));
  else if (math)
    set_loop_metadata(fn, latch, "llvm.loop.vectorize.predicate.enable", LLVMConstInt(fn->cg->i1, 1, false));
}

static bool has_math(const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++)
    if (ir_op_info[r->ops.data[i]->kind].flags & IR_MATH) return true;
  return false;
}

LLVMValueRef cg_loop_begin(Fn *fn, CgLoop *l, LLVMValueRef n) {
  Cg *cg = fn->cg;
  LLVMBasicBlockRef pre = LLVMGetInsertBlock(fn->b);
  l->body = cg_block(fn, "body");
  l->exit = cg_block(fn, "exit");
  l->n = n;
  l->math = false;
  LLVMValueRef zero = cg_int(cg, 0);
  LLVMBuildCondBr(fn->b, LLVMBuildICmp(fn->b, LLVMIntSGT, n, zero, ""), l->body, l->exit);
  cg_place(fn, l->body);
  l->i = LLVMBuildPhi(fn->b, cg->i64, "");
  LLVMAddIncoming(l->i, &zero, &pre, 1);
  return l->i;
}

void cg_loop_end(Fn *fn, CgLoop *l) {
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(fn->b);
  LLVMValueRef next = LLVMBuildNSWAdd(fn->b, l->i, cg_int(fn->cg, 1), "");
  LLVMSetNUW(next, true);
  LLVMAddIncoming(l->i, &next, &latch, 1);
  LLVMValueRef more = LLVMBuildICmp(fn->b, LLVMIntSLT, next, l->n, "");
  mark_loop(fn, LLVMBuildCondBr(fn->b, more, l->body, l->exit), l->math);
  cg_place(fn, l->exit);
}

// ---- for ---------------------------------------------------------------------------------------------------------------
// for i from lo, while i is on lo's side of hi, by step. Steps of 1 and -1 count with i itself; every other step counts
// iterations beside it, so that no comparison can overflow past hi.

typedef struct For {
  const IrOp *op;
  LLVMValueRef lo, hi, step;
  int64_t unit;       // 1 or -1, or 0 when iterations are counted
  LLVMValueRef count; // of iterations, at least 1 inside the guard
  LLVMValueRef i, k;
  LLVMBasicBlockRef guard, entry; // where the loop is skipped, where it is entered
  LLVMBasicBlockRef body, exit;
} For;

static LLVMValueRef runs_at_all(Fn *fn, For *l) {
  LLVMBuilderRef b = fn->b;
  LLVMValueRef zero = cg_int(fn->cg, 0);
  if (LLVMIsAConstantInt(l->step)) {
    int64_t s = LLVMConstIntGetSExtValue(l->step);
    if (s == 0) return LLVMConstInt(fn->cg->i1, 0, false);
    return LLVMBuildICmp(b, s > 0 ? LLVMIntSLT : LLVMIntSGT, l->lo, l->hi, "");
  }
  LLVMValueRef up = LLVMBuildICmp(b, LLVMIntSLT, l->lo, l->hi, ""),
               down = LLVMBuildICmp(b, LLVMIntSGT, l->lo, l->hi, "");
  up = LLVMBuildAnd(b, up, LLVMBuildICmp(b, LLVMIntSGT, l->step, zero, ""), "");
  return LLVMBuildOr(b, up, LLVMBuildAnd(b, down, LLVMBuildICmp(b, LLVMIntSLT, l->step, zero, ""), ""), "");
}

// (distance - 1) / |step| + 1, where the loop runs at all; distances fit an unsigned int whatever the bounds.
static LLVMValueRef trip_count(Fn *fn, For *l) {
  LLVMBuilderRef b = fn->b;
  LLVMValueRef rising = LLVMBuildICmp(b, LLVMIntSGT, l->step, cg_int(fn->cg, 0), "");
  LLVMValueRef distance =
      LLVMBuildSelect(b, rising, LLVMBuildSub(b, l->hi, l->lo, ""), LLVMBuildSub(b, l->lo, l->hi, ""), "");
  LLVMValueRef stride = LLVMBuildSelect(b, rising, l->step, LLVMBuildNeg(b, l->step, ""), "");
  LLVMValueRef one = cg_int(fn->cg, 1);
  return LLVMBuildAdd(b, LLVMBuildUDiv(b, LLVMBuildSub(b, distance, one, ""), stride, ""), one, "");
}

static void for_head(Fn *fn, For *l) {
  l->body = cg_block(fn, "for");
  l->exit = cg_block(fn, "end");
  LLVMValueRef runs = runs_at_all(fn, l);
  l->guard = l->entry = LLVMGetInsertBlock(fn->b);
  if (l->unit) {
    LLVMBuildCondBr(fn->b, runs, l->body, l->exit);
  } else {
    l->entry = cg_block(fn, "count");
    LLVMBuildCondBr(fn->b, runs, l->entry, l->exit);
    cg_place(fn, l->entry);
    l->count = trip_count(fn, l);
    LLVMBuildBr(fn->b, l->body);
  }
  cg_place(fn, l->body);
  l->i = LLVMBuildPhi(fn->b, fn->cg->i64, "");
  LLVMAddIncoming(l->i, &l->lo, &l->entry, 1);
  if (l->unit) return;
  LLVMValueRef zero = cg_int(fn->cg, 0);
  l->k = LLVMBuildPhi(fn->b, fn->cg->i64, "");
  LLVMAddIncoming(l->k, &zero, &l->entry, 1);
}

static void for_latch(Fn *fn, For *l) {
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(fn->b);
  LLVMValueRef next = LLVMBuildNSWAdd(fn->b, l->i, l->step, ""), more;
  LLVMAddIncoming(l->i, &next, &latch, 1);
  if (l->unit) {
    if (l->unit > 0 && LLVMIsAConstantInt(l->lo) && LLVMConstIntGetSExtValue(l->lo) >= 0)
      LLVMSetNUW(next, true);
    more = LLVMBuildICmp(fn->b, l->unit > 0 ? LLVMIntSLT : LLVMIntSGT, next, l->hi, "");
  } else {
    LLVMValueRef k = LLVMBuildAdd(fn->b, l->k, cg_int(fn->cg, 1), "");
    LLVMSetNUW(k, true);
    LLVMAddIncoming(l->k, &k, &latch, 1);
    more = LLVMBuildICmp(fn->b, LLVMIntULT, k, l->count, "");
  }
  mark_loop(fn, LLVMBuildCondBr(fn->b, more, l->body, l->exit), has_math(l->op->regions[0]));
}

static void emit_for(Fn *fn, const IrOp *op) {
  if (cg_emit_lanes(fn, op)) return;
  bool outer = fn->few;
  fn->few |= op->lanes == 1;
  const IrRegion *body = op->regions[0];
  int n = op->n_results;
  For l = {.op = op, .lo = cg_v(fn, op->args[0]), .hi = cg_v(fn, op->args[1]), .step = cg_v(fn, op->args[2])};
  if (LLVMIsAConstantInt(l.step)) {
    int64_t s = LLVMConstIntGetSExtValue(l.step);
    l.unit = s == 1 || s == -1 ? s : 0;
  }
  for_head(fn, &l);
  cg_set(fn, body->args[0], l.i);
  for (int k = 0; k < n; k++) make_phis(fn, body->args[1 + k], cg_val(fn, body->args[1 + k]));
  carry(fn, body->args + 1, op->args + 3, n, l.entry);
  cg_region(fn, body);
  if (fn->cg->out->debug) cg_debug_at(fn, op);
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(fn->b);
  carry(fn, body->args + 1, body->yields, n, latch);
  for_latch(fn, &l);
  cg_place(fn, l.exit);
  for (int k = 0; k < n; k++) {
    IrVal r = ir_result(op, k);
    make_phis(fn, r, cg_val(fn, r));
    carry(fn, &r, &op->args[3 + k], 1, l.guard);
    carry(fn, &r, &body->yields[k], 1, latch);
  }
  fn->few = outer;
}

// ---- while, if ---------------------------------------------------------------------------------------------------------

static void emit_while(Fn *fn, const IrOp *op) {
  const IrRegion *cond = op->regions[0], *body = op->regions[1];
  int n = op->n_results;
  LLVMBasicBlockRef pre = LLVMGetInsertBlock(fn->b);
  LLVMBasicBlockRef head = cg_block(fn, "while"), inside = cg_block(fn, "do"), exit = cg_block(fn, "end");
  LLVMBuildBr(fn->b, head);
  cg_place(fn, head);
  for (int k = 0; k < n; k++) {
    make_phis(fn, cond->args[k], cg_val(fn, cond->args[k]));
    *cg_val(fn, body->args[k]) = *cg_val(fn, ir_result(op, k)) = *cg_val(fn, cond->args[k]);
  }
  carry(fn, cond->args, op->args, n, pre);
  cg_region(fn, cond);
  LLVMBuildCondBr(fn->b, cg_v(fn, cond->yields[0]), inside, exit);
  cg_place(fn, inside);
  cg_region(fn, body);
  carry(fn, cond->args, body->yields, n, LLVMGetInsertBlock(fn->b));
  LLVMBuildBr(fn->b, head);
  cg_place(fn, exit);
}

static void emit_if(Fn *fn, const IrOp *op) {
  if (cg_emit_parting(fn, op)) return;
  LLVMBasicBlockRef start[2] = {cg_block(fn, "then"), cg_block(fn, "else")}, end[2],
                    exit = cg_block(fn, "end");
  LLVMBuildCondBr(fn->b, cg_v(fn, op->args[0]), start[0], start[1]);
  for (int r = 0; r < 2; r++) {
    cg_place(fn, start[r]);
    cg_region(fn, op->regions[r]);
    end[r] = LLVMGetInsertBlock(fn->b);
    LLVMBuildBr(fn->b, exit);
  }
  cg_place(fn, exit);
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    make_phis(fn, v, cg_val(fn, v));
    for (int r = 0; r < 2; r++) carry(fn, &v, &op->regions[r]->yields[k], 1, end[r]);
  }
}

// ---- build -------------------------------------------------------------------------------------------------------------

static void emit_build(Fn *fn, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  int rank = op->n_args;
  LLVMValueRef dims[IR_MAX_RANK], flat = NULL;
  for (int d = 0; d < rank; d++) dims[d] = cg_v(fn, op->args[d]);
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k);
    cg_set(fn, r, cg_alloc(fn, op, r, dims, rank));
  }
  CgLoop loops[IR_MAX_RANK];
  for (int d = 0; d < rank; d++) {
    LLVMValueRef i = cg_loop_begin(fn, &loops[d], dims[d]);
    loops[d].math = d == rank - 1 && has_math(body);
    cg_set(fn, body->args[d], i);
    if (flat) {
      flat = cg_product(fn, flat, dims[d]);
      flat = LLVMBuildNSWAdd(fn->b, flat, i, "");
      if (LLVMIsAInstruction(flat)) LLVMSetNUW(flat, true);
    } else {
      flat = i;
    }
  }
  cg_region(fn, body);
  if (fn->cg->out->debug) cg_debug_at(fn, op);
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k), e = body->yields[k];
    cg_store(fn, r, flat, cg_is_own(fn, r) ? cg_spread(fn, e) : cg_v(fn, e));
  }
  for (int d = rank - 1; d >= 0; d--) cg_loop_end(fn, &loops[d]);
}

void cg_emit_region_op(Fn *fn, const IrOp *op) {
  switch ((IrOpKind)op->kind) {
  case IR_FOR: emit_for(fn, op); return;
  case IR_WHILE: emit_while(fn, op); return;
  case IR_IF: emit_if(fn, op); return;
  default: emit_build(fn, op); return;
  }
}
