// Training and minimisation: fills the spec of dprt_train.h and calls the runtime, which calls the loss back through its
// entry. The parameters travel as one block of doubles: copied in before, and out again into arrays of their own.
//
// Operands and results stand as ir.h says at IrTrain. Every field of the runtime's structs is eight bytes wide, so both
// are filled and read as slots.
#include "codegen/internal.h"

#include "dp/dprt_train.h"

#include <stddef.h>

typedef enum Option {
#define OPTION(name, TYPE, def, train, minimize) OPTION_##name,
#include "sema/train.def"
  OPTION_COUNT
} Option;

typedef struct Shape { // what differs between the two
  bool takes[OPTION_COUNT];
  int at[OPTION_COUNT]; // slots of the spec
  int grad, loss, params, n_data, data_leaves, data, fixed, spec_slots, result_slots;
  CgRuntime call;
} Shape;

#define SLOT(type, field) ((int)(offsetof(type, field) / sizeof(dprt_slot)))
#define SLOTS(type) ((int)(sizeof(type) / sizeof(dprt_slot)))

static const Shape train_shape = {
    .takes =
        {
#define OPTION(name, TYPE, def, train, minimize) [OPTION_##name] = train,
#include "sema/train.def"
        },
    .at =
        {
            [OPTION_optimizer] = SLOT(dprt_train_spec, optimizer),
            [OPTION_epochs] = SLOT(dprt_train_spec, epochs),
            [OPTION_batch] = SLOT(dprt_train_spec, batch),
            [OPTION_accumulate] = SLOT(dprt_train_spec, accumulate),
            [OPTION_shuffle] = SLOT(dprt_train_spec, shuffle),
            [OPTION_seed] = SLOT(dprt_train_spec, seed),
            [OPTION_clip] = SLOT(dprt_train_spec, clip),
            [OPTION_validation] = SLOT(dprt_train_spec, validation),
            [OPTION_patience] = SLOT(dprt_train_spec, patience),
            [OPTION_min_delta] = SLOT(dprt_train_spec, min_delta),
            [OPTION_history] = SLOT(dprt_train_spec, history_csv),
            [OPTION_curve] = SLOT(dprt_train_spec, curve_svg),
            [OPTION_progress] = SLOT(dprt_train_spec, progress),
        },
    .grad = SLOT(dprt_train_spec, loss_and_grad),
    .loss = SLOT(dprt_train_spec, loss),
    .params = SLOT(dprt_train_spec, params),
    .n_data = SLOT(dprt_train_spec, n_data),
    .data_leaves = SLOT(dprt_train_spec, data_leaves),
    .data = SLOT(dprt_train_spec, data),
    .fixed = SLOT(dprt_train_spec, data_fixed),
    .spec_slots = SLOTS(dprt_train_spec),
    .result_slots = SLOTS(dprt_train_result),
    .call = CG_dprt_train,
};

static const Shape minimize_shape = {
    .takes =
        {
#define OPTION(name, TYPE, def, train, minimize) [OPTION_##name] = minimize,
#include "sema/train.def"
        },
    .at =
        {
            [OPTION_optimizer] = SLOT(dprt_minimize_spec, optimizer),
            [OPTION_until] = SLOT(dprt_minimize_spec, until),
            [OPTION_steps] = SLOT(dprt_minimize_spec, steps),
            [OPTION_record] = SLOT(dprt_minimize_spec, path),
            [OPTION_progress] = SLOT(dprt_minimize_spec, progress),
        },
    .grad = SLOT(dprt_minimize_spec, value_and_grad),
    .loss = -1,
    .params = SLOT(dprt_minimize_spec, params),
    .n_data = SLOT(dprt_minimize_spec, n_data),
    .data_leaves = SLOT(dprt_minimize_spec, data_leaves),
    .data = SLOT(dprt_minimize_spec, data),
    .fixed = -1,
    .spec_slots = SLOTS(dprt_minimize_spec),
    .result_slots = SLOTS(dprt_minimize_result),
    .call = CG_dprt_minimize,
};

typedef struct Call {
  Fn *fn;
  const IrOp *op;
  const IrTrain *train;
  const Shape *shape;
  LLVMValueRef spec, out, block, count; // count: parameters altogether
  LLVMValueRef *first;                  // by parameter leaf: where it begins in the block
} Call;

// ---- leaves ------------------------------------------------------------------------------------------------------------

// A constant table of dprt_leaf for n operands.
static LLVMValueRef leaf_table(Fn *fn, const IrVal *vals, int n) {
  Cg *cg = fn->cg;
  LLVMTypeRef leaf = LLVMStructTypeInContext(cg->ctx, (LLVMTypeRef[]){cg->i8, cg->i8}, 2, false);
  LLVMValueRef *leaves = ARENA_ARRAY(cg->arena, LLVMValueRef, n + 1);
  for (int i = 0; i < n; i++) {
    IrType t = ir_type(fn->ir, vals[i]);
    LLVMValueRef fields[2] = {LLVMConstInt(cg->i8, (unsigned)cg_runtime_elem((IrElem)t.elem), false),
                              LLVMConstInt(cg->i8, t.rank, false)};
    leaves[i] = LLVMConstStructInContext(cg->ctx, fields, 2, false);
  }
  return cg_constant(cg, "leaves", LLVMConstArray2(leaf, leaves, (uint64_t)n));
}

static LLVMValueRef leaf_count(Fn *fn, IrVal v) {
  IrType t = ir_type(fn->ir, v);
  LLVMValueRef dims[IR_MAX_RANK];
  if (!t.rank) return cg_int(fn->cg, 1);
  for (int d = 0; d < t.rank; d++) dims[d] = cg_v(fn, ir_dims(fn->ir, v)[d]);
  return cg_count(fn, dims, t.rank);
}

static LLVMValueRef bytes(Fn *fn, LLVMValueRef count) {
  return cg_product(fn, count, cg_int(fn->cg, sizeof(double)));
}

// The block with all parameters in it.
static void gather_params(Call *c) {
  Fn *fn = c->fn;
  int n = c->train->n_params;
  c->first = ARENA_ARRAY(fn->cg->arena, LLVMValueRef, n + 1);
  c->count = cg_int(fn->cg, 0);
  for (int i = 0; i < n; i++) {
    c->first[i] = c->count;
    c->count = LLVMBuildAdd(fn->b, c->count, leaf_count(fn, c->op->args[i]), "");
  }
  c->block = cg_new_block(fn, c->op, IR_F64, &c->count, 1);
  for (int i = 0; i < n; i++) {
    IrVal v = c->op->args[i];
    LLVMValueRef to = cg_element(fn, fn->cg->f64, c->block, c->first[i]);
    if (ir_type(fn->ir, v).rank)
      LLVMBuildMemCpy(fn->b, to, 8, cg_v(fn, v), 8, bytes(fn, leaf_count(fn, v)));
    else
      LLVMBuildStore(fn->b, cg_v(fn, v), to);
  }
}

// Each parameter leaf out of the block, arrays into blocks of their own.
static void scatter_params(Call *c) {
  Fn *fn = c->fn;
  for (int i = 0; i < c->train->n_params; i++) {
    IrVal r = ir_result(c->op, i);
    LLVMValueRef from = cg_element(fn, fn->cg->f64, c->block, c->first[i]);
    if (!ir_type(fn->ir, r).rank) {
      cg_set(fn, r, LLVMBuildLoad2(fn->b, fn->cg->f64, from, ""));
      continue;
    }
    LLVMValueRef n = leaf_count(fn, c->op->args[i]), block = cg_new_block(fn, c->op, IR_F64, &n, 1);
    LLVMBuildMemCpy(fn->b, block, 64, from, 8, bytes(fn, n));
    cg_set(fn, r, block);
  }
  cg_call_runtime(fn, CG_dprt_free, (LLVMValueRef[]){fn->ctx, c->block}, 2);
}

// ---- the spec ----------------------------------------------------------------------------------------------------------

static void put(Call *c, int slot, LLVMValueRef v) {
  LLVMBuildStore(c->fn->b, v, cg_slot(c->fn, c->spec, slot));
}

static void put_entry(Call *c, int slot, Name name) {
  CgFunc *f = cg_func(c->fn->cg, name);
  if (f && f->entry)
    put(c, slot, f->entry);
  else
    cg_bug(c->fn->cg, "the loss `%s` has no body", name);
}

static void put_params(Call *c) {
  Fn *fn = c->fn;
  int n = c->train->n_params, slot = c->shape->params, n_sizes = 0, k = 0;
  for (int i = 0; i < n; i++) n_sizes += ir_type(fn->ir, c->op->args[i]).rank;
  LLVMValueRef sizes = cg_alloca(fn, fn->cg->i64, (uint64_t)n_sizes, 8);
  for (int i = 0; i < n; i++) {
    const IrVal *dims = ir_dims(fn->ir, c->op->args[i]);
    for (int d = 0; d < ir_type(fn->ir, c->op->args[i]).rank; d++)
      LLVMBuildStore(fn->b, cg_v(fn, dims[d]), cg_slot(fn, sizes, k++));
  }
  put(c, slot + SLOT(dprt_params, n_leaves), cg_int(fn->cg, n));
  put(c, slot + SLOT(dprt_params, leaves), leaf_table(fn, c->op->args, n));
  put(c, slot + SLOT(dprt_params, sizes), sizes);
}

static LLVMValueRef fixed_flags(Call *c) {
  Cg *cg = c->fn->cg;
  int n = c->train->n_data;
  LLVMValueRef *flags = ARENA_ARRAY(cg->arena, LLVMValueRef, n + 1);
  for (int i = 0; i < n; i++) flags[i] = LLVMConstInt(cg->i8, i >= n - c->train->n_captured, false);
  return cg_constant(cg, "fixed", LLVMConstArray2(cg->i8, flags, (uint64_t)n));
}

static void put_data(Call *c) {
  Fn *fn = c->fn;
  const IrVal *data = c->op->args + c->train->n_params;
  int n = c->train->n_data, slots = 0;
  for (int i = 0; i < n; i++) slots += cg_slots_of(ir_type(fn->ir, data[i]));
  LLVMValueRef in = cg_alloca(fn, fn->cg->i64, (uint64_t)slots, 8);
  for (int i = 0, slot = 0; i < n; i++) slot = cg_pack(fn, in, slot, data[i]);
  put(c, c->shape->n_data, cg_int(fn->cg, n));
  put(c, c->shape->data_leaves, leaf_table(fn, data, n));
  put(c, c->shape->data, in);
  if (c->shape->fixed >= 0 && c->train->n_captured) put(c, c->shape->fixed, fixed_flags(c));
}

static void put_options(Call *c) {
  Fn *fn = c->fn;
  int next = c->train->n_params + c->train->n_data;
  for (int o = 0; o < OPTION_COUNT; o++) {
    if (!c->shape->takes[o] || next >= c->op->n_args) continue;
    IrVal v = c->op->args[next++];
    IrType t = ir_type(fn->ir, v);
    int slot = c->shape->at[o];
    cg_slot_store(fn, c->spec, slot, t.rank ? IR_STRING : (IrElem)t.elem, cg_v(fn, v));
    if (t.rank) put(c, slot + 1, t.grow ? cg_val(fn, v)->len : cg_v(fn, ir_dims(fn->ir, v)[0]));
  }
}

static LLVMValueRef zeroed(Fn *fn, int slots) {
  LLVMValueRef p = cg_alloca(fn, fn->cg->i64, (uint64_t)slots, 8);
  LLVMBuildMemSet(fn->b, p, LLVMConstInt(fn->cg->i8, 0, false), cg_int(fn->cg, 8 * slots), 8);
  return p;
}

// ---- the report --------------------------------------------------------------------------------------------------------

typedef struct Report { // hands out the results behind the parameters, as many as the operation has
  Call *c;
  int next;
} Report;

static LLVMValueRef result_slot(Call *c, int slot, IrElem e) { return cg_slot_load(c->fn, c->out, slot, e); }

static void give(Report *r, LLVMValueRef v) {
  if (r->next < r->c->op->n_results) cg_set(r->c->fn, ir_result(r->c->op, r->next), v);
  r->next++;
}

static void give_slot(Report *r, int slot, IrElem e) { give(r, result_slot(r->c, slot, e)); }

// An array and its sizes before it; a block that nobody takes is freed.
static void give_array(Report *r, int slot, const LLVMValueRef *sizes, int rank) {
  Call *c = r->c;
  LLVMValueRef block = result_slot(c, slot, IR_STRING), none = LLVMBuildIsNull(c->fn->b, block, "");
  for (int d = 0; d < rank; d++) give(r, LLVMBuildSelect(c->fn->b, none, cg_int(c->fn->cg, 0), sizes[d], ""));
  if (r->next >= c->op->n_results)
    cg_call_runtime(c->fn, CG_dprt_free, (LLVMValueRef[]){c->fn->ctx, block}, 2);
  give(r, block);
}

static void train_report(Report *r) {
  give_slot(r, SLOT(dprt_train_result, loss), IR_F64);
  give_slot(r, SLOT(dprt_train_result, validation), IR_F64);
  give_slot(r, SLOT(dprt_train_result, epochs), IR_INT);
  give_slot(r, SLOT(dprt_train_result, steps), IR_INT);
  give_slot(r, SLOT(dprt_train_result, stopped_early), IR_BOOL);
  give_slot(r, SLOT(dprt_train_result, best_epoch), IR_INT);
  LLVMValueRef epochs = result_slot(r->c, SLOT(dprt_train_result, epochs), IR_INT);
  give_array(r, SLOT(dprt_train_result, history), &epochs, 1);
  give_array(r, SLOT(dprt_train_result, validation_history), &epochs, 1);
}

static void minimize_report(Report *r) {
  Fn *fn = r->c->fn;
  give_slot(r, SLOT(dprt_minimize_result, value), IR_F64);
  give_slot(r, SLOT(dprt_minimize_result, gradient_norm), IR_F64);
  give_slot(r, SLOT(dprt_minimize_result, steps), IR_INT);
  give_slot(r, SLOT(dprt_minimize_result, converged), IR_BOOL);
  give_slot(r, SLOT(dprt_minimize_result, stalled), IR_BOOL);
  give_slot(r, SLOT(dprt_minimize_result, calls), IR_INT);
  LLVMValueRef steps = result_slot(r->c, SLOT(dprt_minimize_result, steps), IR_INT);
  LLVMValueRef sizes[2] = {LLVMBuildAdd(fn->b, steps, cg_int(fn->cg, 1), ""), r->c->count};
  give_array(r, SLOT(dprt_minimize_result, path), sizes, 2);
}

void cg_emit_train(Fn *fn, const IrOp *op) {
  bool train = op->kind == IR_TRAIN;
  Call c = {.fn = fn, .op = op, .train = op->attr.train, .shape = train ? &train_shape : &minimize_shape};
  gather_params(&c);
  c.spec = zeroed(fn, c.shape->spec_slots);
  c.out = zeroed(fn, c.shape->result_slots);
  put_entry(&c, c.shape->grad, c.train->loss_grad);
  if (c.shape->loss >= 0) put_entry(&c, c.shape->loss, c.train->loss);
  put_params(&c);
  put_data(&c);
  put_options(&c);
  LLVMValueRef site = cg_site(fn->cg, fn->ir, op->loc);
  cg_check_status(
      fn, cg_call_runtime(fn, c.shape->call, (LLVMValueRef[]){fn->ctx, site, c.spec, c.block, c.out}, 5));
  Report r = {&c, c.train->n_params};
  if (train)
    train_report(&r);
  else
    minimize_report(&r);
  scatter_params(&c);
}
