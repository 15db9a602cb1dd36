// Calls out of dp: runtime functions in the slot convention, and plain C functions. Also the packing of slots, which
// entries and training share.
#include "codegen/internal.h"

#include "dp/dprt.h"

#include <string.h>

int cg_runtime_elem(IrElem e) {
  switch (e) {
  case IR_BOOL: return DPRT_BOOL;
  case IR_INT: return DPRT_I64;
  case IR_F32: return DPRT_F32;
  case IR_F64: return DPRT_F64;
  case IR_STRING: return DPRT_STR;
  }
  return DPRT_F64;
}

// ---- slots -------------------------------------------------------------------------------------------------------------

int cg_slots_of(IrType t) { return 1 + t.rank; }

LLVMValueRef cg_slot(Fn *fn, LLVMValueRef slots, int k) {
  LLVMValueRef at = cg_int(fn->cg, k);
  return LLVMBuildInBoundsGEP2(fn->b, fn->cg->i64, slots, &at, 1, "");
}

LLVMValueRef cg_slot_load(Fn *fn, LLVMValueRef slots, int k, IrElem e) {
  LLVMValueRef v = LLVMBuildLoad2(fn->b, cg_memory_type(fn->cg, e), cg_slot(fn, slots, k), "");
  return e == IR_BOOL ? LLVMBuildICmp(fn->b, LLVMIntNE, v, LLVMConstInt(fn->cg->i8, 0, false), "") : v;
}

// A value narrower than its slot leaves the rest zero.
void cg_slot_store(Fn *fn, LLVMValueRef slots, int k, IrElem e, LLVMValueRef v) {
  Cg *cg = fn->cg;
  if (e == IR_F32) v = LLVMBuildBitCast(fn->b, v, cg->i32, "");
  if (e == IR_F32 || e == IR_BOOL) v = LLVMBuildZExt(fn->b, v, cg->i64, "");
  LLVMBuildStore(fn->b, v, cg_slot(fn, slots, k));
}

int cg_pack(Fn *fn, LLVMValueRef slots, int k, IrVal v) {
  IrType t = ir_type(fn->ir, v);
  if (!t.rank) {
    cg_slot_store(fn, slots, k, (IrElem)t.elem, cg_v(fn, v));
    return k + 1;
  }
  LLVMBuildStore(fn->b, cg_v(fn, v), cg_slot(fn, slots, k++));
  for (int i = 0; i < t.rank; i++) {
    LLVMValueRef n = t.grow ? cg_val(fn, v)->len : cg_v(fn, ir_dims(fn->ir, v)[i]);
    LLVMBuildStore(fn->b, n, cg_slot(fn, slots, k++));
  }
  return k;
}

// ---- slot convention ---------------------------------------------------------------------------------------------------

// Results that are the sizes of an array behind them have no slot of their own.
static void mark_sizes(Fn *fn, const IrOp *op, bool *is_size) {
  for (int k = op->n_results - 1; k >= 0; k--) {
    IrType t = ir_type(fn->ir, ir_result(op, k));
    if (!t.rank || t.grow) continue;
    for (int d = 0; d < t.rank && k > 0; d++) is_size[--k] = true;
  }
}

// Where the program calls it: not the declaration, nor a place in the standard library.
static IrLoc called_at(const Cg *cg, const IrOp *op) {
  IrLoc at = op->loc;
  for (bool declared = true; at.chain; declared = false) {
    const Source *src = cg->ir->sources ? sources_get(cg->ir->sources, at.loc) : NULL;
    if (!declared && (!src || src->path[0] != '<')) break;
    at = (IrLoc){cg->ir->chains.data[at.chain].call, cg->ir->chains.data[at.chain].parent};
  }
  return at;
}

static void unpack_results(Fn *fn, const IrOp *op, LLVMValueRef out, const bool *is_size) {
  int slot = 0;
  for (int k = 0; k < op->n_results; k++) {
    if (is_size[k]) continue;
    IrVal v = ir_result(op, k);
    IrType t = ir_type(fn->ir, v);
    if (!t.rank) {
      cg_set(fn, v, cg_slot_load(fn, out, slot++, (IrElem)t.elem));
      continue;
    }
    CgVal *val = cg_val(fn, v);
    val->v = cg_slot_load(fn, out, slot++, IR_STRING);
    if (t.grow) val->len = val->cap = cg_slot_load(fn, out, slot++, IR_INT);
    for (int d = 0; !t.grow && d < t.rank; d++)
      cg_set(fn, ir_result(op, k - t.rank + d), cg_slot_load(fn, out, slot++, IR_INT));
  }
}

static LLVMValueRef declare(Cg *cg, Name symbol, LLVMTypeRef type) {
  LLVMValueRef f = LLVMGetNamedFunction(cg->mod, symbol);
  if (f) return f;
  f = LLVMAddFunction(cg->mod, symbol, type);
  cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "nounwind", 0);
  return f;
}

static void call_slots(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  int n_in = 0, n_out = 0;
  bool *is_size = ARENA_ARRAY(cg->arena, bool, op->n_results + 1);
  mark_sizes(fn, op, is_size);
  for (int i = 0; i < op->n_args; i++) n_in += cg_slots_of(ir_type(fn->ir, op->args[i]));
  for (int k = 0; k < op->n_results; k++)
    if (!is_size[k]) n_out += cg_slots_of(ir_type(fn->ir, ir_result(op, k)));
  LLVMValueRef in = cg_alloca(fn, cg->i64, (uint64_t)n_in, 8),
               out = cg_alloca(fn, cg->i64, (uint64_t)n_out, 8);
  for (int i = 0, slot = 0; i < op->n_args; i++) slot = cg_pack(fn, in, slot, op->args[i]);
  if (n_out) LLVMBuildMemSet(fn->b, out, LLVMConstInt(cg->i8, 0, false), cg_int(cg, 8 * n_out), 8);

  cg_call_runtime(fn, CG_dprt_at, (LLVMValueRef[]){fn->ctx, cg_site(cg, fn->ir, called_at(cg, op))}, 2);
  LLVMTypeRef type = LLVMFunctionType(cg->i32, (LLVMTypeRef[]){cg->ptr, cg->ptr, cg->ptr}, 3, false);
  LLVMValueRef f = declare(cg, op->attr.ext->symbol, type);
  cg_check_status(fn, cg_call(fn, type, f, (LLVMValueRef[]){fn->ctx, in, out}, 3));
  unpack_results(fn, op, out, is_size);
}

// ---- plain C -----------------------------------------------------------------------------------------------------------
// Scalars by value, an array as a pointer to its elements and then its sizes; one scalar result, or none.

static void call_plain(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  LLVMValueRef *args = ARENA_ARRAY(cg->arena, LLVMValueRef, op->n_args * (1 + IR_MAX_RANK) + 1);
  LLVMTypeRef *types = ARENA_ARRAY(cg->arena, LLVMTypeRef, op->n_args * (1 + IR_MAX_RANK) + 1);
  int n = 0;
  for (int i = 0; i < op->n_args; i++) {
    IrVal v = op->args[i];
    IrType t = ir_type(fn->ir, v);
    args[n++] = cg_v(fn, v);
    for (int d = 0; d < t.rank; d++)
      args[n++] = t.grow ? cg_val(fn, v)->len : cg_v(fn, ir_dims(fn->ir, v)[d]);
  }
  for (int i = 0; i < n; i++) types[i] = LLVMTypeOf(args[i]);
  LLVMTypeRef result = op->n_results ? cg_type(cg, (IrElem)ir_type(fn->ir, op->result).elem) : cg->void_;
  LLVMTypeRef type = LLVMFunctionType(result, types, (unsigned)n, false);
  LLVMValueRef f = declare(cg, op->attr.ext->symbol, type);
  for (int i = 0; i < n; i++)
    if (types[i] == cg->i1) cg_fn_attr(cg, f, (unsigned)i + 1, "zeroext", 0);
  if (result == cg->i1) cg_fn_attr(cg, f, LLVMAttributeReturnIndex, "zeroext", 0);
  if (op->attr.ext->pure) {
    bool arrays = false;
    for (int i = 0; i < op->n_args; i++) arrays |= ir_type(fn->ir, op->args[i]).rank > 0;
    cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "willreturn", 0);
    cg_fn_attr(cg, f, LLVMAttributeFunctionIndex, "memory",
               arrays ? 1 : 0); // reads what its arguments point to
  }
  LLVMValueRef r = cg_call(fn, type, f, args, n);
  if (op->n_results) cg_set(fn, op->result, r);
}

void cg_emit_extern(Fn *fn, const IrOp *op) {
  if (op->attr.ext->slots)
    call_slots(fn, op);
  else
    call_plain(fn, op);
}
