// Loops whose iterations run side by side: one step of the loop is `lanes` iterations, one in each lane.
//
// In: a FOR that opt/lanes.c marked; ir/lanes.c says of each value in it whether all lanes share it (it stays a scalar),
// whether it is an int that grows evenly from lane to lane (the scalar is the first lane's), or whether each lane has its
// own: then it is a vector, and an array of such values has vectors for elements. A masked loop's last step has fewer
// iterations than lanes; the lanes that are not present compute something, and nothing of it is kept.
#include "codegen/internal.h"

#include <string.h>

// ---- kinds -------------------------------------------------------------------------------------------------------------

bool cg_is_own(const Fn *fn, IrVal v) {
  return fn->lanes && ir_inside(ir_val(fn->ir, v)->region, fn->lanes->loop->regions[0]) &&
         fn->lanes->kind[v] == LANE_OWN;
}

static int64_t stride_of(const Fn *fn, IrVal v) {
  bool inside = fn->lanes && ir_inside(ir_val(fn->ir, v)->region, fn->lanes->loop->regions[0]);
  return inside && fn->lanes->kind[v] == LANE_LINEAR ? fn->lanes->stride[v] : 0;
}

// An accumulator has a copy for as many lanes as one register holds; what further registers would add is added up first.
unsigned cg_lanes_of(const Fn *fn, IrVal v) {
  if (!cg_is_own(fn, v)) return 1;
  unsigned n = fn->lanes->loop->lanes, most = (unsigned)fn->cg->ir->lanes;
  int of = fn->lanes->carried_by[v];
  return of && fn->lanes->carried[of - 1] == LANE_COPIES && n > most ? most : n;
}

static LLVMTypeRef widened(const Fn *fn, LLVMTypeRef scalar) {
  return LLVMVectorType(scalar, fn->lanes->loop->lanes);
}

LLVMTypeRef cg_value_type(const Fn *fn, IrVal v) {
  LLVMTypeRef t = cg_type(fn->cg, (IrElem)ir_type(fn->ir, v).elem);
  return cg_is_own(fn, v) ? widened(fn, t) : t;
}

LLVMTypeRef cg_element_type(const Fn *fn, IrVal array) {
  LLVMTypeRef t = cg_memory_type(fn->cg, (IrElem)ir_type(fn->ir, array).elem);
  return cg_is_own(fn, array) ? LLVMVectorType(t, cg_lanes_of(fn, array)) : t;
}

static LLVMValueRef splat(Fn *fn, LLVMBuilderRef b, LLVMValueRef x) {
  LLVMTypeRef t = widened(fn, LLVMTypeOf(x));
  LLVMValueRef first = LLVMBuildInsertElement(b, LLVMGetPoison(t), x, cg_int(fn->cg, 0), "");
  LLVMTypeRef mask = widened(fn, fn->cg->i32);
  return LLVMBuildShuffleVector(b, first, LLVMGetPoison(t), LLVMConstNull(mask), "");
}

static LLVMValueRef steps(Fn *fn, int64_t stride) { // 0, stride, 2 stride, ...
  LLVMValueRef of[UINT8_MAX];
  unsigned n = fn->lanes->loop->lanes;
  for (unsigned l = 0; l < n; l++) of[l] = cg_int(fn->cg, (int64_t)l * stride);
  return LLVMConstVector(of, n);
}

static LLVMValueRef spread_at(Fn *fn, LLVMBuilderRef b, IrVal v) {
  if (cg_is_own(fn, v)) return cg_v(fn, v);
  LLVMValueRef all = splat(fn, b, cg_v(fn, v));
  int64_t stride = stride_of(fn, v);
  return stride ? LLVMBuildAdd(b, all, steps(fn, stride), "") : all;
}

LLVMValueRef cg_splat(Fn *fn, LLVMValueRef x) { return splat(fn, fn->b, x); }

LLVMValueRef cg_spread(Fn *fn, IrVal v) { return spread_at(fn, fn->b, v); }

LLVMValueRef cg_spread_before(Fn *fn, IrVal v, LLVMBasicBlockRef block) {
  LLVMValueRef end = LLVMGetBasicBlockTerminator(block);
  LLVMBuilderRef b = LLVMCreateBuilderInContext(fn->cg->ctx);
  if (end)
    LLVMPositionBuilderBefore(b, end);
  else
    LLVMPositionBuilderAtEnd(b, block);
  LLVMValueRef spread = spread_at(fn, b, v);
  LLVMDisposeBuilder(b);
  return spread;
}

// ---- parts of vectors --------------------------------------------------------------------------------------------------

LLVMValueRef cg_slice(Fn *fn, LLVMValueRef v, unsigned first, unsigned n) {
  LLVMValueRef mask[UINT8_MAX];
  for (unsigned l = 0; l < n; l++) mask[l] = cg_i32(fn->cg, (int32_t)(first + l));
  return LLVMBuildShuffleVector(fn->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstVector(mask, n), "");
}

LLVMValueRef cg_join(Fn *fn, LLVMValueRef *parts, unsigned n) {
  for (; n > 1; n /= 2) {
    unsigned lanes = 2 * LLVMGetVectorSize(LLVMTypeOf(parts[0]));
    LLVMValueRef mask[UINT8_MAX];
    for (unsigned l = 0; l < lanes; l++) mask[l] = cg_i32(fn->cg, (int32_t)l);
    for (unsigned k = 0; k < n / 2; k++)
      parts[k] =
          LLVMBuildShuffleVector(fn->b, parts[2 * k], parts[2 * k + 1], LLVMConstVector(mask, lanes), "");
  }
  return parts[0];
}

// ---- which lanes -------------------------------------------------------------------------------------------------------

LLVMValueRef cg_first_lane(Fn *fn, LLVMValueRef bits, LLVMValueRef operand) {
  LLVMTypeRef word = LLVMIntTypeInContext(fn->cg->ctx, fn->lanes->loop->lanes);
  LLVMValueRef args[2] = {LLVMBuildBitCast(fn->b, bits, word, ""), LLVMConstInt(fn->cg->i1, 0, false)};
  return LLVMBuildExtractElement(fn->b, operand, cg_intrinsic(fn, "llvm.cttz", word, args, 2), "");
}

LLVMValueRef cg_any_lane(Fn *fn, LLVMValueRef *bits) {
  if (fn->mask) *bits = LLVMBuildAnd(fn->b, fn->mask, *bits, "");
  return cg_intrinsic(fn, "llvm.vector.reduce.or", LLVMTypeOf(*bits), bits, 1);
}

bool cg_emit_lane_operands(Fn *fn, const IrOp *op, LLVMValueRef *out) {
  bool differ = false;
  for (int k = 0; k < op->n_args; k++) differ |= cg_is_own(fn, op->args[k]) || stride_of(fn, op->args[k]);
  for (int k = 0; k < op->n_args && differ; k++) out[k] = cg_spread(fn, op->args[k]);
  return differ;
}

// ---- elements ----------------------------------------------------------------------------------------------------------

// Where the lanes' elements of an access are.
typedef struct Place {
  IrVal array;
  LLVMValueRef flat;   // of the first lane, or a vector of them
  LLVMValueRef stride; // from lane to lane; NULL: flat is a vector, or the same for all
  bool same, vector;
} Place;

// Lanes that are not here look where the first that is looks: an index that was checked.
static LLVMValueRef only_checked(Fn *fn, LLVMValueRef flat) {
  return LLVMBuildSelect(fn->b, fn->mask, flat, cg_splat(fn, cg_first_lane(fn, fn->mask, flat)), "");
}

static bool side_by_side(const Fn *fn, const Place *p) {
  return !cg_is_own(fn, p->array) && p->stride && LLVMIsAConstantInt(p->stride) &&
         LLVMConstIntGetSExtValue(p->stride) == 1;
}

static void spread_place(Fn *fn, Place *p) {
  LLVMValueRef step = LLVMBuildMul(fn->b, cg_splat(fn, p->stride), steps(fn, 1), "");
  p->flat = LLVMBuildAdd(fn->b, cg_splat(fn, p->flat), step, "");
  p->stride = NULL;
  p->vector = true;
}

static Place place_of(Fn *fn, const IrOp *op) {
  IrVal a = op->args[0];
  int rank = ir_type(fn->ir, a).rank;
  const IrVal *dims = ir_dims(fn->ir, a);
  Place p = {.array = a, .same = true};
  bool parted = fn->mask != fn->present;
  for (int k = 1; k <= rank; k++) {
    p.vector |= cg_is_own(fn, op->args[k]) || (parted && stride_of(fn, op->args[k]));
    p.same &= !cg_is_own(fn, op->args[k]) && !stride_of(fn, op->args[k]);
  }
  for (int k = 0; k < rank; k++) {
    IrVal i = op->args[1 + k];
    LLVMValueRef at = p.vector ? cg_spread(fn, i) : cg_v(fn, i), step = cg_int(fn->cg, stride_of(fn, i));
    if (!k) {
      p.flat = at;
      p.stride = step;
      continue;
    }
    LLVMValueRef n = cg_v(fn, dims[k]), wide = p.vector ? cg_splat(fn, n) : n;
    p.flat = LLVMBuildNSWAdd(fn->b, LLVMBuildNSWMul(fn->b, p.flat, wide, ""), at, "");
    // LLVM would not see that 0 * n is nothing, and so that the elements lie side by side.
    p.stride = LLVMIsNull(p.stride)
                   ? step
                   : LLVMBuildNSWAdd(fn->b, LLVMBuildNSWMul(fn->b, p.stride, n, ""), step, "");
  }
  if (p.vector || p.same) p.stride = NULL;
  if (p.stride && fn->mask && !side_by_side(fn, &p)) spread_place(fn, &p);
  if (p.vector && fn->mask) p.flat = only_checked(fn, p.flat);
  return p;
}

// The address of one lane's element, as a scalar in memory.
static LLVMValueRef lane_address(Fn *fn, const Place *p, unsigned lane) {
  LLVMBuilderRef b = fn->b;
  LLVMValueRef l = cg_int(fn->cg, lane), flat = p->flat;
  if (p->vector) flat = LLVMBuildExtractElement(b, flat, l, "");
  if (p->stride) flat = LLVMBuildNSWAdd(b, flat, LLVMBuildNSWMul(b, p->stride, l, ""), "");
  unsigned n = cg_lanes_of(fn, p->array);
  if (n > 1)
    flat = LLVMBuildNSWAdd(b, LLVMBuildNSWMul(b, flat, cg_int(fn->cg, n), ""), cg_int(fn->cg, lane % n), "");
  return cg_element(fn, cg_memory_type(fn->cg, (IrElem)ir_type(fn->ir, p->array).elem), cg_v(fn, p->array),
                    flat);
}

static LLVMValueRef from_memory(Fn *fn, const Place *p, LLVMValueRef v) {
  bool bits = ir_type(fn->ir, p->array).elem == IR_BOOL;
  LLVMTypeRef i1 =
      LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind ? widened(fn, fn->cg->i1) : fn->cg->i1;
  return bits ? LLVMBuildTrunc(fn->b, v, i1, "") : v;
}

static LLVMValueRef to_memory(Fn *fn, const Place *p, LLVMValueRef v) {
  bool bits = ir_type(fn->ir, p->array).elem == IR_BOOL;
  LLVMTypeRef i8 =
      LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind ? widened(fn, fn->cg->i8) : fn->cg->i8;
  return bits ? LLVMBuildZExt(fn->b, v, i8, "") : v;
}

static LLVMValueRef load_lane(Fn *fn, const Place *p, unsigned lane) {
  LLVMTypeRef t = cg_memory_type(fn->cg, (IrElem)ir_type(fn->ir, p->array).elem);
  LLVMValueRef v = LLVMBuildLoad2(fn->b, t, lane_address(fn, p, lane), "");
  cg_mark_access(fn, v, p->array);
  return v;
}

static void store_lane(Fn *fn, const Place *p, unsigned lane, LLVMValueRef v) {
  cg_mark_access(fn, LLVMBuildStore(fn->b, v, lane_address(fn, p, lane)), p->array);
}

// The vector of elements that lie side by side in an array that the lanes share.
static LLVMValueRef side_by_side_at(Fn *fn, const Place *p) {
  return cg_element(fn, cg_memory_type(fn->cg, (IrElem)ir_type(fn->ir, p->array).elem), cg_v(fn, p->array),
                    p->flat);
}

// An access of the lanes that are present; args: llvm.masked.load's or llvm.masked.store's.
static LLVMValueRef access_present(Fn *fn, const char *name, LLVMTypeRef t, LLVMValueRef *args) {
  LLVMTypeRef over[2] = {t, fn->cg->ptr};
  LLVMValueRef f =
      LLVMGetIntrinsicDeclaration(fn->cg->mod, LLVMLookupIntrinsicID(name, strlen(name)), over, 2);
  return cg_call(fn, LLVMGlobalGetValueType(f), f, args, 4);
}

static LLVMValueRef load_side_by_side(Fn *fn, const Place *p, LLVMTypeRef t) {
  LLVMValueRef at = side_by_side_at(fn, p), v;
  unsigned align = (unsigned)ir_elem_bytes((IrElem)ir_type(fn->ir, p->array).elem);
  if (fn->present) {
    LLVMValueRef args[4] = {at, cg_i32(fn->cg, (int32_t)align), fn->present, LLVMConstNull(t)};
    v = access_present(fn, "llvm.masked.load", t, args);
  } else {
    v = LLVMBuildLoad2(fn->b, t, at, "");
    LLVMSetAlignment(v, align);
  }
  cg_mark_access(fn, v, p->array);
  return v;
}

static void store_side_by_side(Fn *fn, const Place *p, LLVMValueRef value) {
  LLVMValueRef at = side_by_side_at(fn, p), s;
  unsigned align = (unsigned)ir_elem_bytes((IrElem)ir_type(fn->ir, p->array).elem);
  if (fn->present) {
    LLVMValueRef args[4] = {value, at, cg_i32(fn->cg, (int32_t)align), fn->present};
    s = access_present(fn, "llvm.masked.store", LLVMTypeOf(value), args);
  } else {
    s = LLVMBuildStore(fn->b, value, at);
    LLVMSetAlignment(s, align);
  }
  cg_mark_access(fn, s, p->array);
}

static LLVMValueRef load_lanes(Fn *fn, const Place *p) {
  Cg *cg = fn->cg;
  LLVMTypeRef t = widened(fn, cg_memory_type(cg, (IrElem)ir_type(fn->ir, p->array).elem));
  if (side_by_side(fn, p)) return from_memory(fn, p, load_side_by_side(fn, p, t));
  LLVMValueRef all = LLVMGetPoison(t);
  for (unsigned l = 0; l < fn->lanes->loop->lanes; l++)
    all = LLVMBuildInsertElement(fn->b, all, load_lane(fn, p, l), cg_int(cg, l), "");
  return from_memory(fn, p, all);
}

// Lanes that are not present stand where the first is, and store what it stores.
static void store_lanes(Fn *fn, const Place *p, LLVMValueRef value) {
  value = to_memory(fn, p, value);
  if (side_by_side(fn, p)) {
    store_side_by_side(fn, p, value);
    return;
  }
  if (fn->present && !cg_is_own(fn, p->array)) {
    LLVMValueRef first = LLVMBuildExtractElement(fn->b, value, cg_int(fn->cg, 0), "");
    value = LLVMBuildSelect(fn->b, fn->present, value, cg_splat(fn, first), "");
  }
  for (unsigned l = 0; l < fn->lanes->loop->lanes; l++)
    store_lane(fn, p, l, LLVMBuildExtractElement(fn->b, value, cg_int(fn->cg, l), ""));
}

// What a sum does not notice.
static LLVMValueRef nothing(LLVMValueRef like) {
  LLVMTypeRef t = LLVMTypeOf(like);
  bool ints = LLVMGetTypeKind(LLVMGetElementType(t)) == LLVMIntegerTypeKind;
  return ints ? LLVMConstNull(t) : LLVMConstReal(t, -0.0);
}

static LLVMValueRef plus(Fn *fn, const Place *p, LLVMValueRef a, LLVMValueRef b) {
  bool f = ir_is_float(ir_type(fn->ir, p->array));
  return f ? cg_fp(fn, LLVMBuildFAdd(fn->b, a, b, ""), true) : LLVMBuildAdd(fn->b, a, b, "");
}

// Halves come together until n are left: a fixed order.
static LLVMValueRef take_together(Fn *fn, IrOpKind family, bool f, LLVMValueRef v, unsigned n) {
  for (unsigned half = LLVMGetVectorSize(LLVMTypeOf(v)) / 2; half >= n; half /= 2) {
    LLVMValueRef two[2] = {cg_slice(fn, v, 0, half), cg_slice(fn, v, half, half)};
    if (family == IR_ADD)
      v = f ? LLVMBuildFAdd(fn->b, two[0], two[1], "") : LLVMBuildAdd(fn->b, two[0], two[1], "");
    else
      v = cg_intrinsic(fn, family == IR_MIN ? "llvm.minimum" : "llvm.maximum", LLVMTypeOf(two[0]), two, 2);
  }
  return n > 1 ? v : LLVMBuildExtractElement(fn->b, v, cg_int(fn->cg, 0), "");
}

// Lanes that may meet in one element take turns.
static void add_in_turn(Fn *fn, const Place *p, LLVMValueRef value) {
  for (unsigned l = 0; l < fn->lanes->loop->lanes; l++) {
    LLVMValueRef mine = LLVMBuildExtractElement(fn->b, value, cg_int(fn->cg, l), "");
    store_lane(fn, p, l, plus(fn, p, load_lane(fn, p, l), mine));
  }
}

static void add_to_own(Fn *fn, const Place *p, LLVMValueRef value) {
  unsigned n = cg_lanes_of(fn, p->array);
  value = take_together(fn, IR_ADD, ir_is_float(ir_type(fn->ir, p->array)), value, n);
  cg_store(fn, p->array, p->flat, plus(fn, p, cg_load(fn, p->array, p->flat), value));
}

bool cg_emit_lane_access(Fn *fn, const IrOp *op) {
  if (!fn->lanes) return false;
  Place p = place_of(fn, op);
  bool own = cg_is_own(fn, p.array), reads = op->kind == IR_GET;
  if (p.same && (!own || reads)) { // an element that all share, or an element of the lanes' own
    if (reads) cg_set(fn, op->result, cg_load(fn, p.array, p.flat));
    return reads;
  }
  if (reads) {
    cg_set(fn, op->result, load_lanes(fn, &p));
    return true;
  }
  *cg_val(fn, op->result) = *cg_val(fn, p.array);
  LLVMValueRef value = cg_spread(fn, op->args[op->n_args - 1]);
  if (fn->mask && op->kind == IR_ACC) value = LLVMBuildSelect(fn->b, fn->mask, value, nothing(value), "");
  if (op->kind == IR_SET && p.same)
    cg_store(fn, p.array, p.flat, value);
  else if (op->kind == IR_SET)
    store_lanes(fn, &p, value);
  else if (p.same)
    add_to_own(fn, &p, value);
  else if (p.vector)
    add_in_turn(fn, &p, value);
  else
    store_lanes(fn, &p, plus(fn, &p, load_lanes(fn, &p), value));
  return true;
}

// ---- branches ----------------------------------------------------------------------------------------------------------

// Runs a branch for the lanes in `mask`, if there are any; the scalars it yields come back as vectors, meaningless in the
// other lanes. Arrays are changed in place.
static void run_branch(Fn *fn, const IrOp *op, int which, LLVMValueRef mask, LLVMValueRef *yields) {
  const IrRegion *r = op->regions[which];
  if (!r->ops.len) {
    for (int k = 0; k < op->n_results; k++)
      if (!ir_type(fn->ir, r->yields[k]).rank) yields[k] = cg_spread(fn, r->yields[k]);
    return;
  }
  LLVMValueRef around = fn->mask;
  LLVMBasicBlockRef before = LLVMGetInsertBlock(fn->b), branch = cg_block(fn, "taken"),
                    after = cg_block(fn, "parted");
  LLVMBuildCondBr(fn->b, cg_any_lane(fn, &mask), branch, after);
  cg_place(fn, branch);
  fn->mask = mask;
  cg_region(fn, r);
  for (int k = 0; k < op->n_results; k++)
    if (!ir_type(fn->ir, r->yields[k]).rank) yields[k] = cg_spread(fn, r->yields[k]);
  fn->mask = around;
  LLVMBasicBlockRef end = LLVMGetInsertBlock(fn->b);
  LLVMBuildBr(fn->b, after);
  cg_place(fn, after);
  for (int k = 0; k < op->n_results; k++) {
    if (!yields[k]) continue;
    LLVMValueRef phi = LLVMBuildPhi(fn->b, LLVMTypeOf(yields[k]), "");
    LLVMValueRef from[2] = {LLVMConstNull(LLVMTypeOf(yields[k])), yields[k]};
    LLVMAddIncoming(phi, from, (LLVMBasicBlockRef[]){before, end}, 2);
    yields[k] = phi;
  }
}

bool cg_emit_parting(Fn *fn, const IrOp *op) {
  if (!cg_is_own(fn, op->args[0])) return false;
  LLVMValueRef taken = cg_v(fn, op->args[0]), *yields[2];
  for (int i = 0; i < 2; i++) {
    LLVMValueRef mask = i ? LLVMBuildNot(fn->b, taken, "") : taken;
    yields[i] = ARENA_ARRAY(fn->cg->arena, LLVMValueRef, op->n_results);
    run_branch(fn, op, i, mask, yields[i]);
  }
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k);
    if (yields[0][k])
      cg_set(fn, r, LLVMBuildSelect(fn->b, taken, yields[0][k], yields[1][k], ""));
    else
      *cg_val(fn, r) = *cg_val(fn, fn->lanes->loop->regions[0]->args[fn->lanes->carried_by[r]]);
  }
  return true;
}

// ---- the loop ----------------------------------------------------------------------------------------------------------

// What a lane's sum starts with: the first with what the loop was given, the others with nothing.
static LLVMValueRef start_of_sum(Fn *fn, IrOpKind family, LLVMValueRef init) {
  if (family != IR_ADD) return cg_splat(fn, init);
  return LLVMBuildInsertElement(fn->b, nothing(cg_splat(fn, init)), init, cg_int(fn->cg, 0), "");
}

typedef struct Copies { // of one accumulator
  LLVMValueRef data, shared, count;
  unsigned lanes;
} Copies;

static Copies make_copies(Fn *fn, const IrOp *op, int k) {
  IrVal init = op->args[3 + k];
  IrElem e = (IrElem)ir_type(fn->ir, init).elem;
  LLVMValueRef dims[IR_MAX_RANK + 1];
  int rank = ir_type(fn->ir, init).rank;
  for (int d = 0; d < rank; d++) dims[d] = cg_v(fn, ir_dims(fn->ir, init)[d]);
  Copies c = {.shared = cg_v(fn, init),
              .count = cg_count(fn, dims, rank),
              .lanes = cg_lanes_of(fn, op->regions[0]->args[1 + k])};
  LLVMValueRef room[2] = {c.count, cg_int(fn->cg, c.lanes)};
  c.data = cg_new_block(fn, op, e, room, 2);
  LLVMValueRef bytes = cg_product(fn, cg_product(fn, c.count, room[1]), cg_int(fn->cg, ir_elem_bytes(e)));
  LLVMBuildMemSet(fn->b, c.data, LLVMConstInt(fn->cg->i8, 0, false), bytes,
                  (unsigned)ir_elem_bytes(e) * c.lanes);
  return c;
}

static void add_up_copies(Fn *fn, const IrOp *op, int k, const Copies *c) {
  IrElem e = (IrElem)ir_type(fn->ir, op->args[3 + k]).elem;
  LLVMTypeRef t = cg_memory_type(fn->cg, e);
  bool f = e == IR_F32 || e == IR_F64;
  CgLoop l;
  LLVMValueRef i = cg_loop_begin(fn, &l, c->count);
  LLVMTypeRef wide = LLVMVectorType(t, c->lanes);
  LLVMValueRef all = LLVMBuildLoad2(fn->b, wide, cg_element(fn, wide, c->data, i), "");
  LLVMValueRef sum = take_together(fn, IR_ADD, f, all, 1), at = cg_element(fn, t, c->shared, i);
  LLVMValueRef old = LLVMBuildLoad2(fn->b, t, at, "");
  LLVMBuildStore(fn->b, f ? LLVMBuildFAdd(fn->b, old, sum, "") : LLVMBuildAdd(fn->b, old, sum, ""), at);
  cg_loop_end(fn, &l);
  cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, c->data}, 2);
}

typedef struct LaneLoop {
  const IrOp *op;
  LLVMValueRef i;
  LLVMBasicBlockRef guard, start, body, latch, after;
  Copies *copies;     // by result
  LLVMValueRef *sums; // by result: the phi, one sum for each lane
} LaneLoop;

static void begin_carried(Fn *fn, LaneLoop *l) {
  const IrRegion *body = l->op->regions[0];
  for (int k = 0; k < l->op->n_results; k++)
    if (fn->lanes->carried[k] == LANE_COPIES) l->copies[k] = make_copies(fn, l->op, k);
  for (int k = 0; k < l->op->n_results; k++)
    if (fn->lanes->carried[k] == LANE_SUM)
      l->sums[k] =
          start_of_sum(fn, (IrOpKind)fn->sums.family[body->args[1 + k]], cg_v(fn, l->op->args[3 + k]));
}

static void emit_body(Fn *fn, LaneLoop *l) {
  const IrOp *op = l->op;
  const IrRegion *body = op->regions[0];
  LLVMValueRef lo = cg_v(fn, op->args[0]);
  l->start = LLVMGetInsertBlock(fn->b);
  l->body = cg_block(fn, "lanes");
  LLVMBuildBr(fn->b, l->body);
  cg_place(fn, l->body);
  l->i = LLVMBuildPhi(fn->b, fn->cg->i64, "");
  LLVMAddIncoming(l->i, &lo, &l->start, 1);
  for (int k = 0; k < op->n_results; k++) {
    *cg_val(fn, body->args[1 + k]) = *cg_val(fn, op->args[3 + k]);
    if (l->copies[k].data) cg_set(fn, body->args[1 + k], l->copies[k].data);
    if (!l->sums[k]) continue;
    LLVMValueRef phi = LLVMBuildPhi(fn->b, LLVMTypeOf(l->sums[k]), "");
    LLVMAddIncoming(phi, &l->sums[k], &l->start, 1);
    cg_set(fn, body->args[1 + k], phi);
  }
  cg_set(fn, body->args[0], l->i);
  if (op->masked) {
    LLVMValueRef left = cg_splat(fn, LLVMBuildNSWSub(fn->b, cg_v(fn, op->args[1]), l->i, ""));
    fn->mask = fn->present = LLVMBuildICmp(fn->b, LLVMIntSLT, steps(fn, 1), left, "");
  }
  cg_region(fn, body);
  if (fn->cg->out->debug) cg_debug_at(fn, op);
  for (int k = 0; k < op->n_results; k++) {
    if (!l->sums[k]) continue;
    LLVMValueRef sum = cg_v(fn, body->args[1 + k]), now = cg_spread(fn, body->yields[k]);
    if (fn->present) now = LLVMBuildSelect(fn->b, fn->present, now, sum, "");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(fn->b);
    LLVMAddIncoming(sum, &now, &latch, 1);
    l->sums[k] = now;
  }
  fn->mask = fn->present = NULL;
  l->latch = LLVMGetInsertBlock(fn->b);
  LLVMValueRef next = LLVMBuildNSWAdd(fn->b, l->i, cg_int(fn->cg, op->lanes), "");
  LLVMAddIncoming(l->i, &next, &l->latch, 1);
  l->after = cg_block(fn, "together");
  LLVMValueRef more = LLVMBuildICmp(fn->b, LLVMIntSLT, next, cg_v(fn, op->args[1]), "");
  LLVMBuildCondBr(fn->b, more, l->body, l->after);
}

static void finish_carried(Fn *fn, LaneLoop *l, LLVMBasicBlockRef exit) {
  const IrOp *op = l->op;
  cg_place(fn, l->after);
  for (int k = 0; k < op->n_results; k++) {
    if (l->copies[k].data) add_up_copies(fn, op, k, &l->copies[k]);
    if (!l->sums[k]) continue;
    IrVal v = op->regions[0]->args[1 + k];
    l->sums[k] = take_together(fn, (IrOpKind)fn->sums.family[v], true, l->sums[k], 1);
  }
  LLVMBuildBr(fn->b, exit);
  l->after = LLVMGetInsertBlock(fn->b);
  cg_place(fn, exit);
  for (int k = 0; k < op->n_results; k++) {
    IrVal r = ir_result(op, k), init = op->args[3 + k];
    *cg_val(fn, r) = *cg_val(fn, init);
    if (!l->sums[k]) continue;
    LLVMValueRef phi = LLVMBuildPhi(fn->b, LLVMTypeOf(cg_v(fn, init)), "");
    LLVMValueRef from[2] = {cg_v(fn, init), l->sums[k]};
    LLVMAddIncoming(phi, from, (LLVMBasicBlockRef[]){l->guard, l->after}, 2);
    cg_set(fn, r, phi);
  }
}

bool cg_emit_lanes(Fn *fn, const IrOp *op) {
  Cg *cg = fn->cg;
  if (op->lanes < 2) return false;
  IrLanes lanes; // where the memory pass put a copy in the way, the iterations run one after the other
  if (fn->lanes || !ir_lanes(cg->arena, fn->ir, &fn->sums, op, &lanes)) return false;
  LaneLoop l = {.op = op};
  l.copies = ARENA_ARRAY(cg->arena, Copies, op->n_results);
  l.sums = ARENA_ARRAY(cg->arena, LLVMValueRef, op->n_results);
  LLVMBasicBlockRef first = cg_block(fn, "blocks"), exit = cg_block(fn, "end");
  LLVMValueRef runs = LLVMBuildICmp(fn->b, LLVMIntSLT, cg_v(fn, op->args[0]), cg_v(fn, op->args[1]), "");
  l.guard = LLVMGetInsertBlock(fn->b);
  LLVMBuildCondBr(fn->b, runs, first, exit);
  cg_place(fn, first);
  fn->lanes = &lanes;
  begin_carried(fn, &l);
  emit_body(fn, &l);
  finish_carried(fn, &l, exit);
  fn->lanes = NULL;
  return true;
}
