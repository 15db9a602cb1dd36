// What the files of codegen/ share. Not for other rooms.
//
// An IR function `f` becomes an internal function
//     { i32 status, results... } f(ptr ctx, [i64 stack limit], parameters...)
// without the status when nothing in it can fail, and without the stack limit when it reaches no recursion. bool is i1
// (i8 in memory), a string a pointer, an array its data pointer (its sizes are int values of the IR), a growable array
// data pointer, length and capacity. Where a function is exported, `dp.f` around it speaks the slot convention.
#ifndef DP_CODEGEN_INTERNAL_H
#define DP_CODEGEN_INTERNAL_H

#include "codegen/codegen.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Orc.h>
#include <llvm-c/TargetMachine.h>

typedef enum CgKernels {
  CG_SCALAR,
  CG_SSE2,
  CG_AVX2,
  CG_AVX512
} CgKernels; // vector functions that may be called

typedef enum CgRuntime {
#define RUNTIME(name, signature, kind) CG_##name,
#include "codegen/runtime_symbols.def"
  CG_RUNTIME_COUNT
} CgRuntime;

struct CgModule {
  LLVMOrcThreadSafeContextRef tsc; // owns context
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMTargetMachineRef machine;
  LLVMDIBuilderRef debug; // NULL without debug information
  int opt_level;
};

typedef struct CgVal {
  LLVMValueRef v;        // the scalar, or the data pointer
  LLVMValueRef len, cap; // growable arrays
} CgVal;

typedef struct CgFunc {
  const IrFunc *ir;
  LLVMValueRef fn;
  LLVMTypeRef type;
  LLVMValueRef entry; // dp.NAME; NULL unless called from outside or by the runtime
  bool can_fail;      // returns a status
  bool recursive;     // part of a cycle of calls: checks the stack
  bool needs_limit;   // recursive, or reaches what is
  bool returns_dims;  // array results are followed by their sizes, for the entry
  bool has_entry;
  LLVMMetadataRef subprogram;
} CgFunc;

// (a, b, c) -> pointer, for what is made once.
typedef struct CgMapItem {
  uintptr_t a;
  uint64_t b, c;
  void *value; // NULL: free
} CgMapItem;
typedef struct CgMap {
  CgMapItem *items;
  int cap, len;
} CgMap;

typedef struct Cg {
  Arena *arena;
  const IrModule *ir;
  const CgOptions *opt;
  CgModule *out;
  CgKernels kernels;
  const char *error; // the first thing that went wrong, or NULL

  LLVMContextRef ctx;
  LLVMModuleRef mod;
  LLVMTypeRef void_, i1, i8, i32, i64, f32, f64, ptr, site;

  LLVMValueRef runtime[CG_RUNTIME_COUNT];
  LLVMTypeRef runtime_type[CG_RUNTIME_COUNT];
  VEC(LLVMValueRef) kept; // vector functions: must outlive the module's clean-ups
  CgFunc *funcs;
  int n_funcs;
  CgMap func_index; // Name -> CgFunc
  CgMap texts;      // characters -> constant
  CgMap sites;      // (function, place, chain) -> dprt_site; (none, file, line) -> the line's text
  CgMap variants;   // scalar kernel -> its vector variants, as the attribute's text
  CgMap inlined;    // (callee, file) -> subprogram

  unsigned md_prof, md_scope, md_noalias, md_range, md_loop;
  LLVMMetadataRef *di_files; // by file index
  LLVMMetadataRef di_unit;
} Cg;

// One function under construction.
typedef struct Fn {
  Cg *cg;
  const IrFunc *ir;
  CgFunc *info;
  LLVMBuilderRef b, allocas; // allocas: in the entry block
  LLVMValueRef ctx, limit;
  CgVal *vals;            // by IrVal
  LLVMBasicBlockRef fail; // returns the status in fail_phi; NULL until needed
  LLVMValueRef fail_phi;
  IrSums sums;          // which may be taken in any order, unless strict_fp
  const IrLanes *lanes; // inside a loop that runs in lanes
  LLVMValueRef mask;    // there: of the lanes that run, in a branch of those that took it; NULL: all
  LLVMValueRef present; // the mask outside of branches: the first lanes, at least one; NULL: all
  bool few;             // inside a loop of a few iterations
  int *buffer;          // by IrVal: which buffer an array lives in; -1: no array (alias.c)
  int n_buffers;
  LLVMValueRef *scope, *noalias; // by buffer: metadata
  int *uses;                     // by IrVal
  VEC(LLVMValueRef) kept;        // frame slots of blocks that loops keep: the function frees them
} Fn;

void cg_bug(Cg *cg, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ---- cpu.c: the machine to compile for -------------------------------------------------------------------------
LLVMTargetMachineRef cg_machine(Arena *a, const CgOptions *opt, CgKernels *kernels, const char **why);

// ---- types.c: types, constants, declarations -------------------------------------------------------------------
void cg_types(Cg *cg);
LLVMTypeRef cg_type(const Cg *cg, IrElem e);        // of a scalar
LLVMTypeRef cg_memory_type(const Cg *cg, IrElem e); // of an element in memory
LLVMValueRef cg_int(const Cg *cg, int64_t v);
LLVMValueRef cg_i32(const Cg *cg, int32_t v);
LLVMValueRef cg_text(Cg *cg, const char *s); // a constant string; NULL gives a null pointer
LLVMValueRef cg_constant(Cg *cg, const char *name, LLVMValueRef init); // a private constant
void *cg_map_get(const CgMap *m, uintptr_t a, uint64_t b, uint64_t c); // NULL if there is none
void cg_map_put(Cg *cg, CgMap *m, uintptr_t a, uint64_t b, uint64_t c, void *v);
LLVMValueRef cg_call_runtime(Fn *fn, CgRuntime which, const LLVMValueRef *args, int n);
LLVMValueRef cg_call(Fn *fn, LLVMTypeRef type, LLVMValueRef callee, const LLVMValueRef *args, int n);
LLVMValueRef cg_intrinsic(Fn *fn, const char *name, LLVMTypeRef over, const LLVMValueRef *args, int n);
void cg_fn_attr(const Cg *cg, LLVMValueRef fn, LLVMAttributeIndex at, const char *name, uint64_t value);
void cg_never_negative(const Cg *cg, LLVMValueRef fn, LLVMAttributeIndex at);
void cg_fn_string_attr(const Cg *cg, LLVMValueRef fn, const char *name, const char *value);

// ---- function.c: facts, signatures, bodies ---------------------------------------------------------------------
void cg_facts(Cg *cg);
CgFunc *cg_func(const Cg *cg, Name name); // NULL if there is none
void cg_declare(Cg *cg, CgFunc *f);
void cg_define(Cg *cg, CgFunc *f);
void cg_region(Fn *fn, const IrRegion *r); // emits the operations
void cg_emit(Fn *fn, const IrOp *op);
void cg_emit_call(Fn *fn, const IrOp *op);
int cg_flat_types(const Cg *cg, IrType t, LLVMTypeRef *out); // returns how many
int cg_flatten(const CgVal *v, IrType t, LLVMValueRef *out);
int cg_unflatten(CgVal *v, IrType t, const LLVMValueRef *in);
static inline CgVal *cg_val(Fn *fn, IrVal v) { return &fn->vals[v]; }
static inline LLVMValueRef cg_v(Fn *fn, IrVal v) { return fn->vals[v].v; }
static inline void cg_set(Fn *fn, IrVal v, LLVMValueRef x) { fn->vals[v].v = x; }
LLVMBasicBlockRef cg_block(Fn *fn, const char *name); // not yet in the function
void cg_place(Fn *fn, LLVMBasicBlockRef block);       // appends it and goes on there
LLVMValueRef cg_alloca(Fn *fn, LLVMTypeRef type, uint64_t count, unsigned align);

// ---- ops.c, math.c: scalars -------------------------------------------------------------------------------------
void cg_emit_scalar(Fn *fn, const IrOp *op);
LLVMValueRef cg_emit_kernel(Fn *fn, const IrOp *op, const LLVMValueRef *args);
LLVMValueRef cg_fp(Fn *fn, LLVMValueRef v, bool reassoc);        // adds the freedoms that the options grant
LLVMValueRef cg_product(Fn *fn, LLVMValueRef x, LLVMValueRef y); // of sizes
void cg_keep_kernels(Cg *cg);                                    // once, at the end

// ---- alias.c: what is known of a function before it is emitted ----------------------------------------------------
void cg_find_buffers(Fn *fn);
LLVMMetadataRef cg_unique_node(Cg *cg, LLVMMetadataRef second); // metadata whose first operand is itself
void cg_mark_access(Fn *fn, LLVMValueRef access, IrVal array);  // a load or store of this array

// ---- arrays.c, regions.c ------------------------------------------------------------------------------------------
void cg_emit_array(Fn *fn, const IrOp *op);
void cg_emit_region_op(Fn *fn, const IrOp *op);
LLVMValueRef cg_alloc(Fn *fn, const IrOp *op, IrVal array, const LLVMValueRef *dims,
                      int rank); // where op says
LLVMValueRef cg_new_block(Fn *fn, const IrOp *op, IrElem e, const LLVMValueRef *dims, int rank);
void cg_free_kept(Fn *fn);                                         // at the end of a function
LLVMValueRef cg_count(Fn *fn, const LLVMValueRef *dims, int rank); // number of elements
LLVMValueRef cg_element(Fn *fn, LLVMTypeRef type, LLVMValueRef data, LLVMValueRef flat);
LLVMValueRef cg_load(Fn *fn, IrVal array, LLVMValueRef flat);
void cg_store(Fn *fn, IrVal array, LLVMValueRef flat, LLVMValueRef value);
// for (i = 0; i < n; i++): emit between the two; the counter comes back from begin.
typedef struct CgLoop {
  LLVMBasicBlockRef body, exit;
  LLVMValueRef i, n;
  bool math; // the body computes elementary functions
} CgLoop;
LLVMValueRef cg_loop_begin(Fn *fn, CgLoop *l, LLVMValueRef n);
void cg_loop_end(Fn *fn, CgLoop *l);

// ---- lanes.c: loops that run in SIMD lanes ------------------------------------------------------------------------
// Inside one, a value that differs from lane to lane is a vector, and an array of such values has vectors for elements.
bool cg_emit_lanes(Fn *fn, const IrOp *op);       // a FOR; false: it is not marked for lanes
bool cg_emit_parting(Fn *fn, const IrOp *op);     // an IF; false: all lanes go one way
bool cg_emit_lane_access(Fn *fn, const IrOp *op); // GET, SET, ACC; false: the same as elsewhere
// A check whose operands differ from lane to lane: these; false: they do not. Then whether it holds in any lane that is
// there (`bits` becomes those lanes), and an operand of the first of them.
bool cg_emit_lane_operands(Fn *fn, const IrOp *op, LLVMValueRef *out);
LLVMValueRef cg_any_lane(Fn *fn, LLVMValueRef *bits);
LLVMValueRef cg_first_lane(Fn *fn, LLVMValueRef bits, LLVMValueRef operand);
bool cg_is_own(const Fn *fn, IrVal v);
unsigned cg_lanes_of(const Fn *fn, IrVal v);                             // 1 unless each lane has its own
LLVMTypeRef cg_value_type(const Fn *fn, IrVal v);                        // of a scalar
LLVMTypeRef cg_element_type(const Fn *fn, IrVal array);                  // in memory
LLVMValueRef cg_spread(Fn *fn, IrVal v);                                 // the vector of what each lane has
LLVMValueRef cg_spread_before(Fn *fn, IrVal v, LLVMBasicBlockRef block); // at the end of the block
LLVMValueRef cg_splat(Fn *fn, LLVMValueRef x);
LLVMValueRef cg_slice(Fn *fn, LLVMValueRef v, unsigned first, unsigned n); // n of a vector's lanes
LLVMValueRef cg_join(Fn *fn, LLVMValueRef *parts, unsigned n); // vectors of one width; n: a power of two

// ---- errors.c: checks, sites, failure --------------------------------------------------------------------------
void cg_emit_check(Fn *fn, const IrOp *op);
LLVMValueRef cg_site(Cg *cg, const IrFunc *f, IrLoc loc);
LLVMBasicBlockRef cg_cold_begin(Fn *fn,
                                LLVMValueRef bad); // emit what fails; the block where all is well comes back
void cg_cold_end(Fn *fn, LLVMBasicBlockRef good, LLVMValueRef status);
void cg_check_status(Fn *fn, LLVMValueRef status);
void cg_likely(Fn *fn, LLVMValueRef branch, bool taken); // branch weights
void cg_check_stack(Fn *fn);

// ---- text.c, extern.c, train.c, entry.c ------------------------------------------------------------------------
void cg_emit_format(Fn *fn, const IrOp *op);
void cg_emit_extern(Fn *fn, const IrOp *op);
void cg_emit_train(Fn *fn, const IrOp *op);
void cg_declare_entry(Cg *cg, CgFunc *f);
void cg_define_entry(Cg *cg, CgFunc *f);
void cg_define_main(Cg *cg, const CgMain *main);
LLVMValueRef cg_slot(Fn *fn, LLVMValueRef slots, int k); // its address
LLVMValueRef cg_slot_load(Fn *fn, LLVMValueRef slots, int k, IrElem e);
void cg_slot_store(Fn *fn, LLVMValueRef slots, int k, IrElem e, LLVMValueRef v);
int cg_pack(Fn *fn, LLVMValueRef slots, int k, IrVal v); // value and sizes; returns the next slot
int cg_slots_of(IrType t);                               // how many a value takes
int cg_runtime_elem(IrElem e);                           // dprt_elem

// ---- debug.c -----------------------------------------------------------------------------------------------------
void cg_debug_begin(Cg *cg);
void cg_debug_function(Fn *fn);           // gives the function a subprogram, and goes to its line
void cg_debug_at(Fn *fn, const IrOp *op); // op NULL: the function itself
void cg_debug_end(Cg *cg);

#endif
