// Entries: `dp.f` around a function f, in the slot convention of dprt.h; and C's `main` of an executable.
//
// Sizes are not passed on their own: each size parameter is read from the first array that has it among its sizes; every
// other array with that size is compared with it. A size parameter that no array has as a size is an int slot, before all
// others. Arrays that f uses up (inout) are copied first, because what a host passes stays the host's. When f fails,
// everything allocated since the call began is released.
#include "codegen/internal.h"

#include "dp/dprt.h"
#include "dp/dprt_program.h"

// ---- sizes -------------------------------------------------------------------------------------------------------------

typedef struct Entry {
  Fn *fn;
  const IrFunc *f;
  LLVMValueRef in, out;
  int *slot;     // by parameter: where its slots begin; sizes: -1 when bound to an array
  IrVal *binder; // by size parameter: the array that gives it
  int *axis;     // and which of its sizes
} Entry;

// The number of the parameter that value v is.
static int param_of(const IrFunc *f, IrVal v) {
  for (int i = 0; i < f->n_params; i++)
    if (f->body->args[i] == v) return i;
  return -1;
}

static void assign_slots(Entry *e) {
  const IrFunc *f = e->f;
  for (int p = f->n_sizes; p < f->n_params; p++) {
    IrVal v = f->body->args[p];
    IrType t = ir_type(f, v);
    for (int d = 0; !t.grow && d < t.rank; d++) {
      int size = param_of(f, ir_dims(f, v)[d]);
      if (size < 0 || size >= f->n_sizes || e->binder[size]) continue;
      e->binder[size] = v;
      e->axis[size] = d;
    }
  }
  int slot = 0;
  for (int p = 0; p < f->n_params; p++) {
    bool bound = p < f->n_sizes && e->binder[p];
    e->slot[p] = bound ? -1 : slot;
    if (!bound) slot += cg_slots_of(ir_type(f, f->body->args[p]));
  }
}

static LLVMValueRef size_slot(Entry *e, int param, int axis) {
  return cg_slot_load(e->fn, e->in, e->slot[param] + 1 + axis, IR_INT);
}

static const char *leaf_name(const IrFunc *f, int p) {
  Name path = f->params[p].path;
  return path && *path ? path : "an argument";
}

// Fails with a sentence built from `format`, which takes the size in question and the size it should have.
static void require(Entry *e, LLVMValueRef bad, const char *format, LLVMValueRef size, LLVMValueRef other) {
  Fn *fn = e->fn;
  LLVMBasicBlockRef good = cg_cold_begin(fn, bad);
  LLVMValueRef site = cg_site(fn->cg, e->f, (IrLoc){e->f->loc, 0});
  LLVMValueRef args[6] = {fn->ctx, cg_i32(fn->cg, DPRT_SIZE), site, cg_text(fn->cg, format), size, other};
  cg_cold_end(fn, good, cg_call_runtime(fn, CG_dprt_fail, args, 6));
}

static void bind_size(Entry *e, int p) {
  Fn *fn = e->fn;
  Cg *cg = fn->cg;
  IrVal v = e->f->body->args[p];
  int from = e->binder[p] ? param_of(e->f, e->binder[p]) : p;
  LLVMValueRef n =
      e->binder[p] ? size_slot(e, from, e->axis[p]) : cg_slot_load(fn, e->in, e->slot[p], IR_INT);
  cg_set(fn, v, n);
  const char *what =
      arena_printf(cg->arena, "`%s` has the size %%lld along axis %d; sizes cannot be negative",
                   leaf_name(e->f, from), e->binder[p] ? e->axis[p] : 0);
  require(e, LLVMBuildICmp(fn->b, LLVMIntSLT, n, cg_int(cg, 0), ""), what, n, n);
}

// A size that was bound elsewhere, or is a constant.
static void compare_size(Entry *e, int p, int axis) {
  Fn *fn = e->fn;
  const IrFunc *f = e->f;
  IrVal v = f->body->args[p], dim = ir_dims(f, v)[axis];
  int size = param_of(f, dim);
  if (size >= 0 && size < f->n_sizes && e->binder[size] == v && e->axis[size] == axis) return;
  LLVMValueRef want = cg_v(fn, dim), n = size_slot(e, p, axis);
  const char *text;
  if (size >= 0 && size < f->n_sizes && e->binder[size])
    text =
        arena_printf(fn->cg->arena, "`%s` has the size %%lld along axis %d, but `%s` has %%lld along axis %d",
                     leaf_name(f, p), axis, leaf_name(f, param_of(f, e->binder[size])), e->axis[size]);
  else
    text = arena_printf(fn->cg->arena, "`%s` has the size %%lld along axis %d; it must be %%lld",
                        leaf_name(f, p), axis);
  require(e, LLVMBuildICmp(fn->b, LLVMIntNE, n, want, ""), text, n, want);
}

// ---- parameters --------------------------------------------------------------------------------------------------------

static LLVMValueRef own_copy(Entry *e, IrVal v, LLVMValueRef data, const LLVMValueRef *dims) {
  Fn *fn = e->fn;
  IrType t = ir_type(e->f, v);
  LLVMValueRef block = cg_new_block(fn, NULL, (IrElem)t.elem, dims, t.rank);
  LLVMValueRef bytes =
      cg_product(fn, cg_count(fn, dims, t.rank), cg_int(fn->cg, ir_elem_bytes((IrElem)t.elem)));
  LLVMBuildMemCpy(fn->b, block, 8, data, 1, bytes);
  return block;
}

static void bind_param(Entry *e, int p) {
  Fn *fn = e->fn;
  IrVal v = e->f->body->args[p];
  IrType t = ir_type(e->f, v);
  if (!t.rank) {
    cg_set(fn, v, cg_slot_load(fn, e->in, e->slot[p], (IrElem)t.elem));
    return;
  }
  CgVal val = {cg_slot_load(fn, e->in, e->slot[p], IR_STRING), NULL, NULL};
  LLVMValueRef dims[IR_MAX_RANK];
  for (int d = 0; d < t.rank; d++) {
    if (!t.grow) compare_size(e, p, d);
    dims[d] = size_slot(e, p, d);
  }
  if (e->f->params[p].moved) val.v = own_copy(e, v, val.v, dims);
  if (t.grow) val.len = val.cap = dims[0];
  *cg_val(fn, v) = val;
}

// ---- results -----------------------------------------------------------------------------------------------------------

static LLVMValueRef result_part(Fn *fn, LLVMValueRef call, unsigned *at) {
  bool whole = LLVMGetTypeKind(LLVMTypeOf(call)) != LLVMStructTypeKind;
  return whole ? call : LLVMBuildExtractValue(fn->b, call, (*at)++, "");
}

static void store_results(Entry *e, const CgFunc *callee, LLVMValueRef call) {
  Fn *fn = e->fn;
  unsigned at = callee->can_fail;
  int slot = 0;
  for (int i = 0; i < e->f->n_results; i++) {
    IrType t = e->f->results[i];
    LLVMValueRef v = result_part(fn, call, &at);
    cg_slot_store(fn, e->out, slot++, t.rank ? IR_STRING : (IrElem)t.elem, v);
    if (t.grow) {
      cg_slot_store(fn, e->out, slot++, IR_INT, result_part(fn, call, &at));
      at++; // the capacity is dp's own business
    }
    for (int d = 0; !t.grow && d < t.rank; d++)
      cg_slot_store(fn, e->out, slot++, IR_INT, result_part(fn, call, &at));
  }
}

static LLVMValueRef call_body(Fn *fn, CgFunc *callee) {
  Cg *cg = fn->cg;
  const IrFunc *f = callee->ir;
  LLVMValueRef *args = ARENA_ARRAY(cg->arena, LLVMValueRef, 2 + 3 * f->n_params);
  int n = 0;
  args[n++] = fn->ctx;
  if (callee->needs_limit) args[n++] = cg_call_runtime(fn, CG_dprt_stack_limit, &fn->ctx, 1);
  for (int i = 0; i < f->n_params; i++)
    n += cg_flatten(cg_val(fn, f->body->args[i]), ir_type(f, f->body->args[i]), args + n);
  LLVMValueRef call = cg_call(fn, callee->type, callee->fn, args, n);
  LLVMSetInstructionCallConv(call, LLVMFastCallConv);
  return call;
}

// ---- the entry ---------------------------------------------------------------------------------------------------------

static void finish(Fn *fn, LLVMValueRef mark) {
  LLVMBuildRet(fn->b, cg_i32(fn->cg, 0));
  if (!fn->fail) return;
  LLVMAppendExistingBasicBlock(fn->info->fn, fn->fail);
  LLVMPositionBuilderAtEnd(fn->b, fn->fail);
  cg_call_runtime(fn, CG_dprt_release, (LLVMValueRef[]){fn->ctx, mark}, 2);
  LLVMBuildRet(fn->b, fn->fail_phi);
}

static bool copies_arguments(const IrFunc *f) {
  for (int i = 0; i < f->n_params; i++)
    if (f->params[i].moved) return true;
  return false;
}

void cg_define_entry(Cg *cg, CgFunc *f) {
  if (!f->entry) return;
  Arena *scratch = cg->arena;
  const IrFunc *ir = f->ir;
  CgFunc info = {.ir = ir, .fn = f->entry, .type = LLVMGlobalGetValueType(f->entry)};
  Fn fn = {.cg = cg, .ir = ir, .info = &info, .b = LLVMCreateBuilderInContext(cg->ctx)};
  fn.vals = ARENA_ARRAY(scratch, CgVal, ir->vals.len);
  fn.ctx = LLVMGetParam(f->entry, 0);
  Entry e = {&fn, ir, LLVMGetParam(f->entry, 1), LLVMGetParam(f->entry, 2), NULL, NULL, NULL};
  e.slot = ARENA_ARRAY(scratch, int, ir->n_params + 1);
  e.binder = ARENA_ARRAY(scratch, IrVal, ir->n_sizes + 1);
  e.axis = ARENA_ARRAY(scratch, int, ir->n_sizes + 1);
  assign_slots(&e);

  cg_place(&fn, cg_block(&fn, "entry"));
  if (cg->out->debug) cg_debug_function(&fn);
  bool releases = f->can_fail || copies_arguments(ir);
  LLVMValueRef mark = releases ? cg_call_runtime(&fn, CG_dprt_mark, &fn.ctx, 1) : cg_int(cg, INT64_MAX);
  for (int p = 0; p < ir->n_sizes; p++) bind_size(&e, p);
  for (int p = ir->n_sizes; p < ir->n_params; p++) bind_param(&e, p);
  LLVMValueRef call = call_body(&fn, f);
  if (f->can_fail) {
    bool whole = LLVMGetTypeKind(LLVMTypeOf(call)) != LLVMStructTypeKind;
    cg_check_status(&fn, whole ? call : LLVMBuildExtractValue(fn.b, call, 0, ""));
  }
  store_results(&e, f, call);
  finish(&fn, mark);
  LLVMDisposeBuilder(fn.b);
}

void cg_declare_entry(Cg *cg, CgFunc *f) {
  LLVMTypeRef type = LLVMFunctionType(cg->i32, (LLVMTypeRef[]){cg->ptr, cg->ptr, cg->ptr}, 3, false);
  f->entry = LLVMAddFunction(cg->mod, cg_export_symbol(cg->arena, f->ir->name), type);
  if (!f->ir->is_export) LLVMSetLinkage(f->entry, LLVMInternalLinkage);
  cg_fn_attr(cg, f->entry, LLVMAttributeFunctionIndex, "nounwind", 0);
  if (cg->kernels == CG_AVX512) cg_fn_string_attr(cg, f->entry, "prefer-vector-width", "512");
  for (unsigned i = 1; i <= 3; i++) {
    cg_fn_attr(cg, f->entry, i, "noalias", 0);
    cg_fn_attr(cg, f->entry, i, "align", 8);
  }
  cg_fn_attr(cg, f->entry, 1, "nonnull", 0);
  cg_fn_attr(cg, f->entry, 2, "readonly", 0);
}

// ---- main --------------------------------------------------------------------------------------------------------------

static LLVMValueRef option_default(Cg *cg, const CgMainParam *p) {
  if (!p->has_default) return cg_int(cg, 0);
  switch (p->elem) {
  case IR_BOOL: return cg_int(cg, p->def.i != 0);
  case IR_INT: return cg_int(cg, p->def.i);
  case IR_F32: {
    union {
      float f;
      uint32_t bits;
    } u = {.f = (float)p->def.f};
    return cg_int(cg, (int64_t)u.bits);
  }
  case IR_F64: {
    union {
      double f;
      int64_t bits;
    } u = {.f = p->def.f};
    return cg_int(cg, u.bits);
  }
  case IR_STRING: return LLVMConstPtrToInt(cg_text(cg, p->def.s), cg->i64);
  }
  return cg_int(cg, 0);
}

// As dprt_option: name, help, elem, has_default, default.
static LLVMValueRef option_table(Cg *cg, const CgMain *m) {
  LLVMTypeRef types[5] = {cg->ptr, cg->ptr, cg->i32, cg->i32, cg->i64};
  LLVMTypeRef option = LLVMStructTypeInContext(cg->ctx, types, 5, false);
  LLVMValueRef *options = ARENA_ARRAY(cg->arena, LLVMValueRef, m->n_params + 1);
  for (int i = 0; i < m->n_params; i++) {
    const CgMainParam *p = &m->params[i];
    LLVMValueRef fields[5] = {cg_text(cg, p->name), cg_text(cg, p->help),
                              cg_i32(cg, cg_runtime_elem(p->elem)), cg_i32(cg, p->has_default),
                              option_default(cg, p)};
    options[i] = LLVMConstStructInContext(cg->ctx, fields, 5, false);
  }
  return cg_constant(cg, "options", LLVMConstArray2(option, options, (uint64_t)m->n_params));
}

static int64_t result_slots(const IrFunc *f) {
  int64_t n = 0;
  for (int i = 0; i < f->n_results; i++) n += cg_slots_of(f->results[i]);
  return n;
}

void cg_define_main(Cg *cg, const CgMain *m) {
  const CgFunc *f = cg_func(cg, m->func);
  if (!f || !f->entry) {
    cg_bug(cg, "the program's function `%s` is not exported", m->func);
    return;
  }
  // As dprt_program: name, main, number of options, options, number of result slots.
  LLVMValueRef fields[5] = {cg_text(cg, m->program), f->entry, cg_int(cg, m->n_params), option_table(cg, m),
                            cg_int(cg, result_slots(f->ir))};
  LLVMValueRef program = cg_constant(cg, "program", LLVMConstStructInContext(cg->ctx, fields, 5, false));
  LLVMTypeRef type = LLVMFunctionType(cg->i32, (LLVMTypeRef[]){cg->i32, cg->ptr}, 2, false);
  CgFunc info = {.fn = LLVMAddFunction(cg->mod, "main", type), .type = type};
  Fn fn = {.cg = cg, .info = &info, .b = LLVMCreateBuilderInContext(cg->ctx)};
  cg_place(&fn, cg_block(&fn, "entry"));
  LLVMValueRef args[3] = {LLVMGetParam(info.fn, 0), LLVMGetParam(info.fn, 1), program};
  LLVMBuildRet(fn.b, cg_call_runtime(&fn, CG_dprt_program_main, args, 3));
  LLVMDisposeBuilder(fn.b);
}
