// Arrays: memory, elements, copies, growth, matrix products. After the memory pass an operation that uses up its operand
// works in place, so an array value is nothing but the address of its block; the sizes are values of the IR.
#include "codegen/internal.h"

// ---- sizes and addresses -----------------------------------------------------------------------------------------------

// Sizes are never negative and the product of an array's sizes is the number of elements of a block that exists.
LLVMValueRef cg_product(Fn *fn, LLVMValueRef x, LLVMValueRef y) {
  LLVMValueRef p = LLVMBuildNSWMul(fn->b, x, y, "");
  if (LLVMIsAInstruction(p)) LLVMSetNUW(p, true);
  return p;
}

LLVMValueRef cg_count(Fn *fn, const LLVMValueRef *dims, int rank) {
  LLVMValueRef n = dims[0];
  for (int i = 1; i < rank; i++) n = cg_product(fn, n, dims[i]);
  return n;
}

LLVMValueRef cg_element(Fn *fn, LLVMTypeRef type, LLVMValueRef data, LLVMValueRef flat) {
  return LLVMBuildInBoundsGEP2(fn->b, type, data, &flat, 1, "");
}

// The sizes of an array value; a growable array has its length.
static int sizes_of(Fn *fn, IrVal array, LLVMValueRef *out) {
  IrType t = ir_type(fn->ir, array);
  if (t.grow) {
    out[0] = cg_val(fn, array)->len;
    return 1;
  }
  for (int i = 0; i < t.rank; i++) out[i] = cg_v(fn, ir_dims(fn->ir, array)[i]);
  return t.rank;
}

// ((i0 * n1) + i1) * n2 + ...: the indices were checked.
static LLVMValueRef flat_index(Fn *fn, IrVal array, const IrVal *idx) {
  LLVMValueRef flat = cg_v(fn, idx[0]);
  const IrVal *dims = ir_dims(fn->ir, array);
  for (int i = 1; i < ir_type(fn->ir, array).rank; i++) {
    flat = LLVMBuildNSWAdd(fn->b, cg_product(fn, flat, cg_v(fn, dims[i])), cg_v(fn, idx[i]), "");
    if (LLVMIsAInstruction(flat)) LLVMSetNUW(flat, true);
  }
  return flat;
}

static void mark_bool(Fn *fn, LLVMValueRef load) {
  Cg *cg = fn->cg;
  LLVMMetadataRef ops[2] = {LLVMValueAsMetadata(LLVMConstInt(cg->i8, 0, false)),
                            LLVMValueAsMetadata(LLVMConstInt(cg->i8, 2, false))};
  LLVMSetMetadata(load, cg->md_range, LLVMMetadataAsValue(cg->ctx, LLVMMDNodeInContext2(cg->ctx, ops, 2)));
}

LLVMValueRef cg_load(Fn *fn, IrVal array, LLVMValueRef flat) {
  IrElem e = (IrElem)ir_type(fn->ir, array).elem;
  LLVMTypeRef t = cg_element_type(fn, array);
  LLVMValueRef v = LLVMBuildLoad2(fn->b, t, cg_element(fn, t, cg_v(fn, array), flat), "");
  cg_mark_access(fn, v, array);
  if (e != IR_BOOL) return v;
  if (t == fn->cg->i8) mark_bool(fn, v);
  return LLVMBuildTrunc(fn->b, v, cg_value_type(fn, array), "");
}

void cg_store(Fn *fn, IrVal array, LLVMValueRef flat, LLVMValueRef value) {
  LLVMTypeRef t = cg_element_type(fn, array);
  if (ir_type(fn->ir, array).elem == IR_BOOL) value = LLVMBuildZExt(fn->b, value, t, "");
  cg_mark_access(fn, LLVMBuildStore(fn->b, value, cg_element(fn, t, cg_v(fn, array), flat)), array);
}

// ---- blocks ------------------------------------------------------------------------------------------------------------

enum { ALIGNMENT = 64, ALLOC_SIZES = 4 };

// The product of sizes, or -1 (which the allocator refuses) when it overflows; sizes may still be negative here.
static LLVMValueRef checked_product(Fn *fn, LLVMValueRef x, LLVMValueRef y) {
  LLVMValueRef both = cg_intrinsic(fn, "llvm.smul.with.overflow", fn->cg->i64, (LLVMValueRef[]){x, y}, 2);
  LLVMValueRef over = LLVMBuildExtractValue(fn->b, both, 1, "");
  LLVMValueRef either = LLVMBuildICmp(fn->b, LLVMIntSLT, LLVMBuildOr(fn->b, x, y, ""), cg_int(fn->cg, 0), "");
  return LLVMBuildSelect(fn->b, LLVMBuildOr(fn->b, over, either, ""), cg_int(fn->cg, -1),
                         LLVMBuildExtractValue(fn->b, both, 0, ""), "");
}

static LLVMValueRef checked_block(Fn *fn, const IrOp *op, LLVMValueRef block) {
  LLVMBasicBlockRef good = cg_cold_begin(fn, LLVMBuildIsNull(fn->b, block, ""));
  LLVMValueRef site = op ? cg_site(fn->cg, fn->ir, op->loc) : LLVMConstPointerNull(fn->cg->ptr);
  cg_cold_end(fn, good, cg_call_runtime(fn, CG_dprt_fail_alloc, (LLVMValueRef[]){fn->ctx, site}, 2));
  return block;
}

static LLVMValueRef on_stack(Fn *fn, LLVMTypeRef element, const LLVMValueRef *dims, int rank) {
  uint64_t n = 1;
  for (int i = 0; i < rank; i++) {
    if (!LLVMIsAConstantInt(dims[i])) {
      cg_bug(fn->cg, "an array in the frame of `%s` has a size that is not constant", fn->ir->name);
      return LLVMConstPointerNull(fn->cg->ptr);
    }
    n *= LLVMConstIntGetZExtValue(dims[i]);
  }
  return cg_alloca(fn, element, n, ALIGNMENT);
}

// bytes: of one element
static LLVMValueRef new_block(Fn *fn, const IrOp *op, unsigned bytes, const LLVMValueRef *dims, int rank) {
  LLVMValueRef args[2 + ALLOC_SIZES] = {fn->ctx, cg_int(fn->cg, bytes)};
  for (int i = 0; i < ALLOC_SIZES; i++) args[2 + i] = i < rank ? dims[i] : cg_int(fn->cg, 1);
  for (int i = ALLOC_SIZES; i < rank; i++)
    args[1 + ALLOC_SIZES] = checked_product(fn, args[1 + ALLOC_SIZES], dims[i]);
  return checked_block(fn, op, cg_call_runtime(fn, CG_dprt_alloc, args, 2 + ALLOC_SIZES));
}

// The block of the last time, if it is large enough. Sizes that make no array look larger than any block.
static LLVMValueRef kept_block(Fn *fn, const IrOp *op, unsigned bytes, const LLVMValueRef *dims, int rank) {
  Cg *cg = fn->cg;
  LLVMValueRef slot = cg_alloca(fn, cg->ptr, 1, 8), room = cg_alloca(fn, cg->i64, 1, 8);
  LLVMBuildStore(fn->allocas, LLVMConstPointerNull(cg->ptr), slot);
  LLVMBuildStore(fn->allocas, cg_int(cg, 0), room);
  vec_push(cg->arena, &fn->kept, slot);
  LLVMValueRef count = dims[0];
  for (int i = 1; i < rank; i++) count = checked_product(fn, count, dims[i]);
  LLVMValueRef old = LLVMBuildLoad2(fn->b, cg->ptr, slot, "");
  LLVMValueRef small = LLVMBuildICmp(fn->b, LLVMIntUGT, count, LLVMBuildLoad2(fn->b, cg->i64, room, ""), "");
  LLVMBasicBlockRef before = LLVMGetInsertBlock(fn->b), larger = cg_block(fn, "larger"),
                    ready = cg_block(fn, "ready");
  cg_likely(fn, LLVMBuildCondBr(fn->b, small, larger, ready), false);
  cg_place(fn, larger);
  cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, old}, 2);
  LLVMBuildStore(fn->b, LLVMConstPointerNull(cg->ptr), slot);
  LLVMValueRef block = new_block(fn, op, bytes, dims, rank);
  LLVMBuildStore(fn->b, block, slot);
  LLVMBuildStore(fn->b, count, room);
  LLVMBasicBlockRef from[2] = {before, LLVMGetInsertBlock(fn->b)};
  LLVMBuildBr(fn->b, ready);
  cg_place(fn, ready);
  LLVMValueRef now = LLVMBuildPhi(fn->b, cg->ptr, "");
  LLVMAddIncoming(now, (LLVMValueRef[]){old, block}, from, 2);
  return now;
}

static unsigned element_bytes(const Fn *fn, IrVal array) {
  return (unsigned)ir_elem_bytes((IrElem)ir_type(fn->ir, array).elem) * cg_lanes_of(fn, array);
}

LLVMValueRef cg_new_block(Fn *fn, const IrOp *op, IrElem e, const LLVMValueRef *dims, int rank) {
  return new_block(fn, op, (unsigned)ir_elem_bytes(e), dims, rank);
}

LLVMValueRef cg_alloc(Fn *fn, const IrOp *op, IrVal array, const LLVMValueRef *dims, int rank) {
  if (op->on_stack) return on_stack(fn, cg_element_type(fn, array), dims, rank);
  if (op->kept) return kept_block(fn, op, element_bytes(fn, array), dims, rank);
  return new_block(fn, op, element_bytes(fn, array), dims, rank);
}

void cg_free_kept(Fn *fn) {
  for (int i = 0; i < fn->kept.len; i++) {
    LLVMValueRef block = LLVMBuildLoad2(fn->b, fn->cg->ptr, fn->kept.data[i], "");
    cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, block}, 2);
  }
}

static LLVMValueRef bytes_of(Fn *fn, IrVal array, LLVMValueRef count) {
  return cg_product(fn, count, cg_int(fn->cg, element_bytes(fn, array)));
}

// Each lane gets the elements of an array that they shared.
static void spread_elements(Fn *fn, IrVal from, IrVal to, LLVMValueRef n) {
  CgLoop l;
  LLVMValueRef i = cg_loop_begin(fn, &l, n);
  cg_store(fn, to, i, cg_splat(fn, cg_load(fn, from, i)));
  cg_loop_end(fn, &l);
}

static void emit_copy(Fn *fn, const IrOp *op) {
  IrVal from = op->args[0];
  LLVMValueRef dims[IR_MAX_RANK];
  int rank = sizes_of(fn, from, dims);
  LLVMValueRef block = cg_alloc(fn, op, op->result, dims, rank), n = cg_count(fn, dims, rank);
  *cg_val(fn, op->result) = (CgVal){block, n, n};
  unsigned align = (unsigned)ir_elem_bytes((IrElem)ir_type(fn->ir, from).elem);
  if (cg_is_own(fn, op->result) && !cg_is_own(fn, from))
    spread_elements(fn, from, op->result, n);
  else
    LLVMBuildMemCpy(fn->b, block, ALIGNMENT, cg_v(fn, from), align, bytes_of(fn, from, n));
}

static bool all_zero_bits(LLVMValueRef v) {
  if (!LLVMIsConstant(v)) return false;
  return LLVMIsNull(v); // +0.0 only: -0.0 has a bit
}

static void emit_fill(Fn *fn, const IrOp *op) {
  LLVMValueRef dims[IR_MAX_RANK], value = cg_v(fn, op->args[0]);
  int rank = op->n_args - 1;
  for (int i = 0; i < rank; i++) dims[i] = cg_v(fn, op->args[1 + i]);
  cg_set(fn, op->result, cg_alloc(fn, op, op->result, dims, rank));
  if (op->attr.i & IR_UNSET) return;
  LLVMValueRef n = cg_count(fn, dims, rank);
  if (all_zero_bits(value)) {
    LLVMBuildMemSet(fn->b, cg_v(fn, op->result), LLVMConstInt(fn->cg->i8, 0, false),
                    bytes_of(fn, op->result, n), ALIGNMENT);
    return;
  }
  if (cg_is_own(fn, op->result)) value = cg_spread(fn, op->args[0]);
  CgLoop l;
  LLVMValueRef i = cg_loop_begin(fn, &l, n);
  cg_store(fn, op->result, i, value);
  cg_loop_end(fn, &l);
}

// ---- tables ------------------------------------------------------------------------------------------------------------

// The elements stand in the program, once, where nothing changes them.
static void emit_table(Fn *fn, const IrOp *op) {
  const IrTable *t = op->attr.table;
  LLVMTypeRef type = cg_element_type(fn, op->result);
  LLVMValueRef made = cg_map_get(&fn->cg->texts, (uintptr_t)t, 1, 0);
  if (made) {
    cg_set(fn, op->result, made);
    return;
  }
  LLVMValueRef *all = ARENA_ARRAY(fn->cg->arena, LLVMValueRef, t->n + 1);
  for (int64_t i = 0; i < t->n; i++)
    all[i] = t->f ? LLVMConstReal(type, t->f[i]) : LLVMConstInt(type, (unsigned long long)t->i[i], true);
  LLVMValueRef table = cg_constant(fn->cg, "table", LLVMConstArray2(type, all, (uint64_t)t->n));
  LLVMSetAlignment(table, ALIGNMENT);
  cg_map_put(fn->cg, &fn->cg->texts, (uintptr_t)t, 1, 0, table);
  cg_set(fn, op->result, table);
}

// ---- growable arrays ---------------------------------------------------------------------------------------------------

enum { FIRST_CAPACITY = 8 };

// Appends; a full block is exchanged for one with twice the room out of the way of the loop.
static void emit_push(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  IrElem e = (IrElem)ir_type(fn->ir, op->result).elem;
  CgVal a = *cg_val(fn, op->args[0]);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(fn->b), grow = cg_block(fn, "grow"),
                    room = cg_block(fn, "room");
  cg_likely(fn, LLVMBuildCondBr(fn->b, LLVMBuildICmp(fn->b, LLVMIntSGE, a.len, a.cap, ""), grow, room),
            false);
  cg_place(fn, grow);
  LLVMValueRef twice = LLVMBuildAdd(fn->b, a.len, a.len, "");
  LLVMValueRef cap =
      cg_intrinsic(fn, "llvm.smax", cg->i64, (LLVMValueRef[]){twice, cg_int(cg, FIRST_CAPACITY)}, 2);
  LLVMValueRef args[5] = {fn->ctx, a.v, cg_int(cg, ir_elem_bytes(e)), a.len, cap};
  LLVMValueRef block = checked_block(fn, op, cg_call_runtime(fn, CG_dprt_grow, args, 5));
  LLVMBasicBlockRef grown = LLVMGetInsertBlock(fn->b);
  LLVMBuildBr(fn->b, room);
  cg_place(fn, room);
  LLVMBasicBlockRef from[2] = {before, grown};
  CgVal r = {LLVMBuildPhi(fn->b, cg->ptr, ""), NULL, LLVMBuildPhi(fn->b, cg->i64, "")};
  LLVMAddIncoming(r.v, (LLVMValueRef[]){a.v, block}, from, 2);
  LLVMAddIncoming(r.cap, (LLVMValueRef[]){a.cap, cap}, from, 2);
  r.len = LLVMBuildNSWAdd(fn->b, a.len, cg_int(cg, 1), "");
  *cg_val(fn, op->result) = r;
  cg_store(fn, op->result, a.len, cg_v(fn, op->args[1]));
}

static void emit_pop(Fn *fn, const IrOp *op) {
  CgVal a = *cg_val(fn, op->args[0]);
  a.len = LLVMBuildNSWSub(fn->b, a.len, cg_int(fn->cg, 1), "");
  *cg_val(fn, op->result) = a;
}

// ---- matrix products ---------------------------------------------------------------------------------------------------

enum { UNROLL_MATRIX = 4 };

typedef struct Product {
  IrVal a, b, c;
  LLVMValueRef m, n, k; // c: m x n, inner size k
  LLVMValueRef lda, ldb;
  bool ta, tb, accumulate;
} Product;

static Product product_of(Fn *fn, const IrOp *op) {
  int first = op->kind == IR_MATACC;
  Product p = {.a = op->args[first], .b = op->args[first + 1], .c = op->result, .accumulate = first};
  const IrVal *da = ir_dims(fn->ir, p.a), *db = ir_dims(fn->ir, p.b);
  p.ta = op->attr.i & IR_TRANS_A;
  p.tb = op->attr.i & IR_TRANS_B;
  p.m = cg_v(fn, da[p.ta ? 1 : 0]);
  p.k = cg_v(fn, da[p.ta ? 0 : 1]);
  p.n = cg_v(fn, db[p.tb ? 0 : 1]);
  p.lda = cg_v(fn, da[1]);
  p.ldb = cg_v(fn, db[1]);
  return p;
}

static bool is_small(LLVMValueRef n) {
  return LLVMIsAConstantInt(n) && !LLVMIsNull(n) && LLVMConstIntGetZExtValue(n) <= UNROLL_MATRIX;
}

static LLVMValueRef matrix_element(Fn *fn, IrVal m, bool trans, int64_t ld, int64_t row, int64_t col) {
  return cg_load(fn, m, cg_int(fn->cg, trans ? col * ld + row : row * ld + col));
}

static LLVMValueRef row_at(Fn *fn, IrVal m, int64_t at) {
  LLVMTypeRef t = cg_memory_type(fn->cg, (IrElem)ir_type(fn->ir, m).elem);
  return cg_element(fn, t, cg_v(fn, m), cg_int(fn->cg, at));
}

static LLVMValueRef marked_row(Fn *fn, IrVal m, LLVMValueRef access) {
  LLVMSetAlignment(access, (unsigned)ir_elem_bytes((IrElem)ir_type(fn->ir, m).elem));
  cg_mark_access(fn, access, m);
  return access;
}

static LLVMValueRef load_row(Fn *fn, IrVal m, LLVMTypeRef row, int64_t at) {
  return marked_row(fn, m, LLVMBuildLoad2(fn->b, row, row_at(fn, m, at), ""));
}

// Row l of b, as the product sees it.
static LLVMValueRef row_of(Fn *fn, const Product *p, LLVMTypeRef row, int64_t l) {
  int64_t ldb = LLVMConstIntGetSExtValue(p->ldb), n = (int64_t)LLVMGetVectorSize(row);
  if (!p->tb) return load_row(fn, p->b, row, l * ldb);
  LLVMValueRef v = LLVMGetPoison(row);
  for (int64_t j = 0; j < n; j++)
    v = LLVMBuildInsertElement(fn->b, v, matrix_element(fn, p->b, true, ldb, l, j), cg_int(fn->cg, j), "");
  return v;
}

static LLVMValueRef in_all(Fn *fn, LLVMTypeRef row, LLVMValueRef x) {
  LLVMTypeRef places = LLVMVectorType(fn->cg->i32, LLVMGetVectorSize(row));
  LLVMValueRef poison = LLVMGetPoison(row);
  LLVMValueRef v = LLVMBuildInsertElement(fn->b, poison, x, cg_int(fn->cg, 0), "");
  return LLVMBuildShuffleVector(fn->b, v, poison, LLVMConstNull(places), "");
}

// Row by row; each element is a sum from the first product to the last.
static void emit_small_product(Fn *fn, const Product *p) {
  int64_t m = LLVMConstIntGetSExtValue(p->m), n = LLVMConstIntGetSExtValue(p->n),
          k = LLVMConstIntGetSExtValue(p->k), lda = LLVMConstIntGetSExtValue(p->lda);
  bool apart = p->accumulate && fn->cg->opt->strict_fp, onto = p->accumulate && !apart;
  LLVMTypeRef row = LLVMVectorType(cg_type(fn->cg, (IrElem)ir_type(fn->ir, p->c).elem), (unsigned)n);
  LLVMValueRef rows[UNROLL_MATRIX];
  for (int64_t l = 0; l < k; l++) rows[l] = row_of(fn, p, row, l);
  for (int64_t i = 0; i < m; i++) {
    LLVMValueRef sum = onto ? load_row(fn, p->c, row, i * n) : LLVMConstNull(row);
    for (int64_t l = 0; l < k; l++) {
      LLVMValueRef x = in_all(fn, row, matrix_element(fn, p->a, p->ta, lda, i, l));
      LLVMValueRef xy = cg_fp(fn, LLVMBuildFMul(fn->b, x, rows[l], ""), false);
      sum = l || onto ? cg_fp(fn, LLVMBuildFAdd(fn->b, sum, xy, ""), false) : xy;
    }
    if (apart) sum = LLVMBuildFAdd(fn->b, load_row(fn, p->c, row, i * n), sum, "");
    marked_row(fn, p->c, LLVMBuildStore(fn->b, sum, row_at(fn, p->c, i * n)));
  }
}

// c += product, the product rounded first: what `c += a @ b` says to the last bit.
static void add_product(Fn *fn, const Product *p, IrElem e, LLVMValueRef product) {
  CgLoop l;
  LLVMValueRef i = cg_loop_begin(fn, &l, cg_product(fn, p->m, p->n));
  LLVMTypeRef t = cg_memory_type(fn->cg, e);
  LLVMValueRef x = LLVMBuildLoad2(fn->b, t, cg_element(fn, t, product, i), "");
  cg_store(fn, p->c, i, LLVMBuildFAdd(fn->b, cg_load(fn, p->c, i), x, ""));
  cg_loop_end(fn, &l);
  cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, product}, 2);
}

static void emit_product(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  Product p = product_of(fn, op);
  IrElem e = (IrElem)ir_type(fn->ir, op->result).elem;
  if (p.accumulate)
    *cg_val(fn, p.c) = *cg_val(fn, op->args[0]);
  else
    cg_set(fn, p.c, cg_alloc(fn, op, p.c, (LLVMValueRef[]){p.m, p.n}, 2));
  if (is_small(p.m) && is_small(p.n) && is_small(p.k)) {
    emit_small_product(fn, &p);
    return;
  }
  bool strict = cg->opt->strict_fp, apart = p.accumulate && strict;
  LLVMValueRef out = apart ? cg_new_block(fn, op, e, (LLVMValueRef[]){p.m, p.n}, 2) : cg_v(fn, p.c);
  LLVMValueRef ta = LLVMConstInt(cg->i1, p.ta, false), tb = LLVMConstInt(cg->i1, p.tb, false);
  LLVMValueRef args[12] = {p.m,   p.n, p.k,           cg_v(fn, p.a),
                           p.lda, ta,  cg_v(fn, p.b), p.ldb,
                           tb,    out, p.n,           LLVMConstInt(cg->i1, p.accumulate, false)};
  if (strict)
    cg_call_runtime(fn, e == IR_F64 ? CG_dprt_gemm_strict_f64 : CG_dprt_gemm_strict_f32, args, 11);
  else
    cg_call_runtime(fn, e == IR_F64 ? CG_dprt_gemm_f64 : CG_dprt_gemm_f32, args, 12);
  if (apart) add_product(fn, &p, e, out);
}

// ---- one operation -----------------------------------------------------------------------------------------------------

static void emit_accumulate(Fn *fn, const IrOp *op) {
  IrVal a = op->args[0];
  LLVMValueRef flat = flat_index(fn, a, op->args + 1), old = cg_load(fn, a, flat),
               v = cg_v(fn, op->args[op->n_args - 1]);
  LLVMValueRef now = ir_is_float(ir_type(fn->ir, a)) ? cg_fp(fn, LLVMBuildFAdd(fn->b, old, v, ""), true)
                                                     : LLVMBuildAdd(fn->b, old, v, "");
  *cg_val(fn, op->result) = *cg_val(fn, a);
  cg_store(fn, op->result, flat, now);
}

void cg_emit_array(Fn *fn, const IrOp *op) {
  IrVal a = op->n_args ? op->args[0] : 0;
  bool element = op->kind == IR_GET || op->kind == IR_SET || op->kind == IR_ACC;
  if (element && cg_emit_lane_access(fn, op)) return;
  switch ((IrOpKind)op->kind) {
  case IR_FILL: emit_fill(fn, op); return;
  case IR_TABLE: emit_table(fn, op); return;
  case IR_GET: cg_set(fn, op->result, cg_load(fn, a, flat_index(fn, a, op->args + 1))); return;
  case IR_SET:
    *cg_val(fn, op->result) = *cg_val(fn, a);
    cg_store(fn, op->result, flat_index(fn, a, op->args + 1), cg_v(fn, op->args[op->n_args - 1]));
    return;
  case IR_ACC: emit_accumulate(fn, op); return;
  case IR_MATMUL:
  case IR_MATACC: emit_product(fn, op); return;
  case IR_COPY: emit_copy(fn, op); return;
  case IR_FREE: cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, cg_v(fn, a)}, 2); return;
  case IR_EMPTY:
    *cg_val(fn, op->result) =
        (CgVal){LLVMConstPointerNull(fn->cg->ptr), cg_int(fn->cg, 0), cg_int(fn->cg, 0)};
    return;
  case IR_LEN: cg_set(fn, op->result, cg_val(fn, a)->len); return;
  case IR_PUSH: emit_push(fn, op); return;
  default: emit_pop(fn, op); return;
  }
}
