// The IR: structured SSA. A function is a tree of regions; arrays are values; a value's sizes stand in its type.
//
//   fn @logsumexp(%n: int, %v: f64[%n]) -> f64 {
//     %0 = const int 0
//     %1 = const int 1
//     %inf = const f64 -inf
//     %m = for %i = %0, %n, %1 with (%a = %inf) {
//       %e = get %v, %i
//       %b = max %a, %e
//       yield %b
//     }
//     ...
//     return %r
//   }
//
// What holds everywhere (ir_verify): every operand is defined before its use, in the same region or one around it;
// operand and result types follow ops.def; a carried value has the type and sizes of its init; a region yields what
// its operation expects. Sizes of results are values that are visible where the result is.
// Values are immutable: `set` makes a new array. Only the memory pass decides what lives where.
#ifndef DP_IR_H
#define DP_IR_H

#include "support/support.h"

typedef enum IrOpKind {
#define OP(kind, text, args, results, type, flags, cost, rule) IR_##kind,
#include "ops.def"
  IR_OP_COUNT
} IrOpKind;

typedef enum IrFlag { IR_P = 1, IR_D = 2, IR_E = 4, IR_C = 8, IR_U = 16, IR_R = 32, IR_MATH = 64 } IrFlag;

typedef struct IrOpInfo {
  const char *text;
  int args, results;
  unsigned flags;
  int cost;
} IrOpInfo;
extern const IrOpInfo ir_op_info[IR_OP_COUNT];

// ---- types ---------------------------------------------------------------------------------------------------

typedef enum IrElem { IR_BOOL, IR_INT, IR_F32, IR_F64, IR_STRING } IrElem;

enum { IR_MAX_RANK = 8 };

typedef struct IrType {
  uint8_t elem; // IrElem
  uint8_t rank; // 0: scalar
  bool grow;    // growable; rank 1
} IrType;

#define IR_SCALAR(e) ((IrType){(uint8_t)(e), 0, false})
static inline bool ir_type_eq(IrType a, IrType b) {
  return a.elem == b.elem && a.rank == b.rank && a.grow == b.grow;
}
static inline bool ir_is_float(IrType t) {
  return t.elem == IR_F32 || t.elem == IR_F64;
} // of arrays: elements
static inline bool ir_is_array(IrType t) { return t.rank > 0; }
int ir_elem_bytes(IrElem e);

// ---- values, operations, regions, functions --------------------------------------------------------------------

typedef uint32_t IrVal; // index into the function's values; 0: none

typedef struct IrOp IrOp;
typedef struct IrRegion IrRegion;
typedef struct IrFunc IrFunc;
typedef struct IrModule IrModule;

typedef struct IrValue {
  IrType type;
  const IrVal *dims; // type.rank sizes (int values); NULL for scalars and growable arrays
  IrOp *def;         // NULL for a parameter or a region argument
  IrRegion *region;  // where it is visible
  int index;         // which result of def, or which argument of region
  Name name;         // a hint for printing; may be NULL
} IrValue;

// Where an operation comes from: a place, and the chain of calls inlined around it (0: none).
typedef struct IrLoc {
  Loc loc;
  uint32_t chain; // index into module->chains
} IrLoc;

typedef struct IrChain {
  Loc call;        // where the inlined call stood
  Name callee;     // what was called
  uint32_t parent; // the chain of the call itself
} IrChain;

enum { IR_TRANS_A = 1, IR_TRANS_B = 2 };
// FOR: k > 0: @checkpoint(every: k), k < 0: (slots: -k), 0: none. IR_BLOCK + k: a block of up to k iterations, whose tapes no
// loop around keeps: they are made again when it runs backwards.
#define IR_BLOCK ((int64_t)1 << 62)
enum { IR_UNSET = 1 }; // of a FILL: every element is written before it is read, so memory may stay as it is

typedef enum IrDerivKind { IR_VJP, IR_JVP, IR_JVPS } IrDerivKind;

// A derivative of `callee`, by the parameters marked in wrt (each holds floats).
//   vjp: operands: the callee's, then an adjoint for each float result; results: the callee's, then one adjoint per wrt
//   jvp: operands: the callee's, then a tangent per wrt; results: the callee's, then a tangent for each float result
//   jvps: the same along several directions, which are the last axis of each tangent
typedef struct IrDeriv {
  IrDerivKind kind;
  Name callee;
  const bool *wrt; // one per parameter of the callee
  int n_params;
} IrDeriv;

typedef struct IrExtern {
  Name symbol;
  bool slots; // dp's slot convention (runtime functions); else the plain C convention
  bool pure;  // same arguments, same result, no effect: may be moved, repeated, dropped
} IrExtern;

// Training: operands are the parameter leaves (f64), then the data leaves, then those options of train.def that the
// operation takes, in order. Results are the trained parameter leaves (arrays of their own), then as much of the report
// as the operation asks for, in this order; an array follows its sizes (ints):
//   train     loss, validation (f64), epochs, steps (int), stopped_early (bool), best_epoch (int),
//             n (int), history (f64[n]), n (int), validation_history (f64[n])
//   minimize  value, gradient_norm (f64), steps (int), converged, stalled (bool), calls (int),
//             rows, n (int), path (f64[rows, n])
// What was not recorded has size 0. `loss` takes (sizes..., parameters..., data...) and returns the loss; `loss_grad`
// returns the loss and then a gradient per parameter leaf. Both are called in the slot convention.
typedef struct IrTrain {
  Name loss, loss_grad;
  int n_params, n_data;
  int n_captured; // of the data leaves, the last so many were captured by a closure: never cut into batches
} IrTrain;

// The elements of a TABLE, row by row: floats in f, ints and bools in i.
typedef struct IrTable {
  int64_t n;
  const double *f; // NULL: ints
  const int64_t *i;
} IrTable;

struct IrOp {
  uint16_t kind; // IrOpKind
  uint16_t n_regions;
  int n_args, n_results;
  IrVal *args;
  IrVal result; // results are consecutive values from here
  IrRegion **regions;
  union {
    int64_t i;      // CONST of bool, int; FILL, MATMUL, MATACC flags; FOR: checkpoints
    double f;       // CONST of f32, f64
    Name sym;       // CALL; STR and FORMAT: text; CHECK_*: text of the checked expression, may be NULL
    IrDeriv *deriv; // DCALL
    IrExtern *ext;  // EXTERN
    IrTrain *train; // TRAIN, MINIMIZE
    const IrTable *table;
  } attr;
  // FILL, BUILD, COPY, MATMUL (opt/storage.c); then there is no FREE:
  bool on_stack; // constant sizes: the array lives in the function's frame
  bool kept;     // the block is kept for the next time the operation runs, until the function ends
  // FOR (opt/lanes.c):
  uint8_t lanes; // iterations that run side by side in SIMD lanes; 1: what lanes left over; 0: any other loop
  bool masked;   // their number need not be a multiple of lanes: those beyond the end do nothing
  IrLoc loc;
  IrRegion *parent;
};

struct IrRegion {
  IrVal *args;
  int n_args;
  VEC(IrOp *) ops;
  IrVal *yields;
  int n_yields;
  IrOp *owner;     // NULL for a function's body
  IrRegion *outer; // the region that holds owner
};

// How a parameter or result leaf is called in the source: `m.w` of `m`.
typedef struct IrLeaf {
  Name path;  // "m.w"; for results "" or ".0"
  bool moved; // parameter: an inout array that the function uses up and returns
} IrLeaf;

struct IrFunc {
  IrModule *module;
  Arena *arena;
  Name name;             // unique in the module
  Name source_name;      // as the user wrote it
  IrRegion *body;        // its arguments are the parameters, its yields the results; NULL: declared only
  IrLeaf *params;        // one per body argument; sizes come first, as ints
  int n_params, n_sizes; // the first n_sizes parameters are sizes
  IrType *results;
  int n_results;
  IrLeaf *result_leaves;
  VEC(IrValue) vals;               // vals.data[0] is unused
  Name adjoint_rule, tangent_rule; // functions with the user's rules; then the call stays opaque until AD
  bool has_rule;
  bool is_export;        // kept; callable from outside in the slot convention
  bool recursive;        // part of a cycle of calls (ir_call_graph)
  bool effects;          // prints, trains, calls externs (ir_call_graph)
  const char *signature; // dp text, for lookups and messages: "fn mse(m: Linear[d], x: [n, d]f64) -> f64"
  Loc loc;
};

struct IrModule {
  Arena *arena;
  Interner *names;
  const Sources *sources;
  VEC(IrFunc *) funcs;
  VEC(IrChain) chains;   // chains.data[0] is unused
  int lanes;             // how many floats the machine that it is for computes at once; 0: no lanes
  bool lanes_anywhere;   // exactly so many, worth it or not
  bool keeps_rules;      // calls of functions with a rule of the user's stay calls after AD, to be read
  int n_inlined;         // operations that inlining has copied
  struct IrIndex *index; // of ir_func_find and ir_chain
};

// ---- build.c: construction -----------------------------------------------------------------------------------

IrModule *ir_module_new(Arena *a, Interner *names, const Sources *sources);
IrFunc *ir_func_new(IrModule *m, Name name);                            // unique name is made from `name`
IrFunc *ir_func_find(const IrModule *m, Name name);                     // NULL if there is none
uint32_t ir_chain(IrModule *m, Loc call, Name callee, uint32_t parent); // the one that is there, or a new one
void ir_func_rename(IrFunc *f, Name name);                              // to a name that is free
int ir_func_place(const IrModule *m, Name name); // where in m->funcs; -1 if there is none
void ir_module_remove(IrModule *m, IrFunc *f);
void ir_module_keep(IrModule *m, const bool *keep);            // of funcs.data[i] those with keep[i]
void ir_module_replace(IrModule *m, IrFunc *old, IrFunc *now); // `now` takes the place and the name of `old`

// Adds a parameter (before any operation). dims: type.rank values of this function, NULL for scalars.
IrVal ir_param(IrFunc *f, IrType type, const IrVal *dims, IrLeaf leaf);
// Sets the yields of the body and the result types. leaves may be NULL.
void ir_set_results(IrFunc *f, const IrVal *vals, int n, const IrLeaf *leaves);

// Where new operations go: the end of `region`.
typedef struct IrBuilder {
  IrFunc *func;
  IrRegion *region;
  IrLoc loc;
} IrBuilder;

IrBuilder ir_builder(IrFunc *f); // at the end of the body

static inline const IrValue *ir_val(const IrFunc *f, IrVal v) { return &f->vals.data[v]; }
static inline IrType ir_type(const IrFunc *f, IrVal v) { return f->vals.data[v].type; }
static inline const IrVal *ir_dims(const IrFunc *f, IrVal v) { return f->vals.data[v].dims; }
static inline bool ir_is_const(const IrFunc *f, IrVal v) {
  return ir_val(f, v)->def && ir_val(f, v)->def->kind == IR_CONST;
}
static inline bool ir_is_const_int(const IrFunc *f, IrVal v, int64_t *out) {
  if (!ir_is_const(f, v) || ir_type(f, v).elem != IR_INT) return false;
  *out = ir_val(f, v)->def->attr.i;
  return true;
}
static inline void ir_name(IrFunc *f, IrVal v, Name name) { f->vals.data[v].name = name; }

IrVal ir_const_int(IrBuilder *b, int64_t v);
IrVal ir_const_bool(IrBuilder *b, bool v);
IrVal ir_const_float(IrBuilder *b, IrElem e, double v);
IrVal ir_const_zero(IrBuilder *b, IrElem e); // or false
IrVal ir_str(IrBuilder *b, Name text);
// Operations whose result type follows from the operands (one result, or none: returns 0).
IrVal ir_op(IrBuilder *b, IrOpKind k, const IrVal *args, int n);
IrVal ir_op1(IrBuilder *b, IrOpKind k, IrVal x);
IrVal ir_op2(IrBuilder *b, IrOpKind k, IrVal x, IrVal y);
IrVal ir_op3(IrBuilder *b, IrOpKind k, IrVal x, IrVal y, IrVal z);
IrVal ir_convert(IrBuilder *b, IrOpKind k, IrElem to, IrVal x); // ITOF, FTOI, BTOI, FCVT
IrVal ir_fill(IrBuilder *b, IrVal value, const IrVal *dims, int rank);
IrVal ir_unset(IrBuilder *b, IrVal value, const IrVal *dims, int rank); // the same, marked IR_UNSET
// Of constants; the sizes are constants too, and make table->n elements.
IrVal ir_table(IrBuilder *b, IrElem e, const IrTable *table, const IrVal *dims, int rank);
IrVal ir_get(IrBuilder *b, IrVal array, const IrVal *idx, int n);
IrVal ir_set(IrBuilder *b, IrVal array, const IrVal *idx, int n, IrVal value);
IrVal ir_acc(IrBuilder *b, IrVal array, const IrVal *idx, int n, IrVal value);
IrVal ir_matmul(IrBuilder *b, IrVal x, IrVal y, int64_t trans);
IrVal ir_matacc(IrBuilder *b, IrVal c, IrVal x, IrVal y, int64_t trans);
IrVal ir_empty(IrBuilder *b, IrElem e); // a growable array

// Operations with regions: open, fill the region through the builder that comes back, close.
//   IrBuilder in;
//   IrOp *loop = ir_for(&b, lo, hi, step, inits, n, &in);   // in.region->args: index, then the carried values
//   ... emit through &in ...
//   ir_yield(&in, vals, n);                                 // fixes loop's results (types and sizes of the inits)
// Results exist as soon as the operation is opened for FOR and WHILE; for IF and BUILD after ir_close.
IrOp *ir_for(IrBuilder *b, IrVal lo, IrVal hi, IrVal step, const IrVal *inits, int n, IrBuilder *body);
IrOp *ir_while(IrBuilder *b, const IrVal *inits, int n, IrBuilder *cond, IrBuilder *body);
IrOp *ir_if(IrBuilder *b, IrVal cond, IrBuilder *then, IrBuilder *els);
IrOp *ir_build(IrBuilder *b, const IrVal *dims, int rank, IrBuilder *body); // body.region->args: the indices
void ir_yield(IrBuilder *in, const IrVal *vals, int n);
// After both regions of an IF yielded: makes the results. dims[k] gives the sizes of result k (values visible at the
// IF, or earlier results of it, written as IR_RESULT(j)); NULL for scalars; dims itself may be NULL if all are scalars.
#define IR_RESULT(j) ((IrVal)0x80000000u + (IrVal)(j))
void ir_close_if(IrBuilder *b, IrOp *op, const IrVal *const *dims);
void ir_close_build(IrBuilder *b, IrOp *op);
static inline IrVal ir_result(const IrOp *op, int k) { return op->result + (IrVal)k; }

// Calls and the like: result types and sizes are given by the caller (dims as for ir_close_if).
IrOp *ir_call(IrBuilder *b, Name callee, const IrVal *args, int n, const IrType *types,
              const IrVal *const *dims, int n_results);
IrOp *ir_op_explicit(IrBuilder *b, IrOpKind k, const IrVal *args, int n, const IrType *types,
                     const IrVal *const *dims, int n_results);

// ---- clone.c: passes rebuild functions --------------------------------------------------------------------------
// A pass walks the old function and emits a new one through a map from old values to new ones. Cloning an operation
// clones its regions; what the pass wants to change it emits itself.

typedef struct IrMap {
  const IrFunc *from;
  IrFunc *to;
  IrVal *vals; // by old value; 0: not mapped yet
  int n;
} IrMap;

// When both are one function (unrolling, say), every value that is there already starts out mapped to itself.
IrMap ir_map_new(Arena *scratch, const IrFunc *from, IrFunc *to);
static inline IrVal ir_mapped(const IrMap *m, IrVal v) { return v ? m->vals[v] : 0; }
static inline void ir_map_set(IrMap *m, IrVal from, IrVal to) { m->vals[from] = to; }
// An empty function like `f` (parameters mapped, results to be set), for a pass to fill. Not in the module's list.
IrFunc *ir_func_like(IrFunc *f, IrMap *map, Arena *scratch);
// Emits a copy of op at b (operands, sizes and free values through the map), regions included; maps its results.
IrOp *ir_clone_op(IrBuilder *b, IrMap *map, const IrOp *op);
// Emits copies of all operations of a region at b; the yields come back mapped in `yields` (n_yields) if not NULL.
void ir_clone_ops(IrBuilder *b, IrMap *map, const IrRegion *r, IrVal *yields);
// A visitor decides per operation: return true when it emitted a replacement and mapped the results itself; false to
// have the operation cloned (with the visitor applied to its regions).
typedef bool IrRewrite(void *user, IrBuilder *b, IrMap *map, const IrOp *op);
void ir_rewrite_ops(IrBuilder *b, IrMap *map, const IrRegion *r, IrVal *yields, IrRewrite *fn, void *user);
// The whole pass: a new function like f, body rewritten, results set, f replaced in its module. Returns the new one.
IrFunc *ir_rewrite_func(IrFunc *f, IrRewrite *fn, void *user);
IrFunc *ir_rewritten(IrFunc *f, IrRewrite *fn, void *user); // the same beside f, not in the module
// The same where whole regions change: the visitor emits r's operations at b and fills `yields` (n_yields), with the map in
// `user`. The operation is emitted by it; the function is new if *changed is set, else f.
typedef void IrRebuild(void *user, IrBuilder *b, const IrRegion *r, IrVal *yields);
void ir_rebuild_op(IrBuilder *b, IrMap *map, const IrOp *op, IrRebuild *fn, void *user);
IrFunc *ir_rebuild_func(IrFunc *f, Arena *scratch, IrMap *map, IrRebuild *fn, void *user,
                        const bool *changed);
// Opens a copy of a region operation (operands mapped, regions empty, region arguments made and mapped), so that a pass
// can fill the regions itself; finish with ir_yield on each region and ir_close_like (maps the results).
IrOp *ir_open_like(IrBuilder *b, IrMap *map, const IrOp *op, IrBuilder *regions);
void ir_close_like(IrBuilder *b, IrMap *map, const IrOp *op, IrOp *now);
// The sizes of op's result k for an IF that takes op's place, as ir_close_if wants them.
const IrVal *ir_sizes_like(Arena *a, const IrMap *map, const IrOp *op, int k);

// ---- walk.c: traversal, once ------------------------------------------------------------------------------------

typedef enum IrWalk { IR_WALK_CONTINUE, IR_WALK_PRUNE, IR_WALK_STOP } IrWalk; // prune: not into its regions
typedef IrWalk IrVisit(void *user, IrOp *op);
// Operations in order, outer before inner; false if stopped.
bool ir_walk(IrRegion *r, IrVisit *fn, void *user);
int *ir_use_counts(Arena *scratch, const IrFunc *f);      // by value: operands, yields, sizes of live values
bool ir_inside(const IrRegion *r, const IrRegion *outer); // r is outer or within it
// Visible at the start of region r: defined in a region around it (parameters and arguments included).
bool ir_defined_outside(const IrFunc *f, IrVal v, const IrRegion *r);
// The values used in r (and within) that are defined outside it, each once; sizes of values included.
typedef VEC(IrVal) IrVals;
void ir_free_values(Arena *scratch, const IrFunc *f, const IrRegion *r, IrVals *out);
// Its operands and its regions' free values.
void ir_free_values_op(Arena *scratch, const IrFunc *f, const IrOp *op, IrVals *out);
// Marks recursive and effects on every function; fills `order` with callees before callers.
typedef VEC(IrFunc *) IrFuncs;
void ir_call_graph(IrModule *m, Arena *scratch, IrFuncs *order);
bool ir_op_has_effect(const IrModule *m, const IrOp *op); // itself or within its regions or its callee

// ---- sums.c, lanes.c: what loops make of their carried values -----------------------------------------------------

typedef struct IrSums {
  bool *in_chain; // by value: the result of an operation of a chain whose terms may be taken in any order
  uint8_t *
      family; // by carried argument of a FOR: IR_ADD, IR_MIN or IR_MAX if it is nothing but such a chain, else 0
} IrSums;
IrSums ir_find_sums(Arena *scratch, const IrFunc *f);

// How a value differs between iterations of one FOR that run side by side.
typedef enum IrLaneKind {
  LANE_SAME,   // one for all; an array that all share
  LANE_LINEAR, // an int that grows by `stride` from lane to lane
  LANE_OWN     // each lane has its own, of an array too
} IrLaneKind;

// What the loop carries on.
typedef enum IrLaneCarried {
  LANE_SUM,    // a scalar sum (least, greatest): one for each lane, taken together at the end
  LANE_COPIES, // an array that is only added to: one for each lane, added up at the end
  LANE_ROWS    // an array in which lanes touch elements of their own, or only add one after the other
} IrLaneCarried;

typedef struct IrLanes {
  const IrOp *loop;
  uint8_t *kind;    // by value: IrLaneKind
  int64_t *stride;  // by value: of LANE_LINEAR
  int *carried_by;  // by value: an array that the loop carries: 1 + which; else 0
  uint8_t *carried; // by the loop's results: IrLaneCarried
} IrLanes;
// False: the iterations depend on each other, or hold what lanes cannot do.
bool ir_lanes(Arena *scratch, const IrFunc *f, const IrSums *sums, const IrOp *loop, IrLanes *out);

// ---- print.c, parse.c, verify.c -----------------------------------------------------------------------------------
// The text form has a version line: `dp-ir 1`. Locations print as `@file:off+len` comments only on request; print ->
// parse -> print is byte-equal.

void ir_print_func(const IrFunc *f, StrBuf *out);
void ir_print_module(const IrModule *m, StrBuf *out);
IrModule *ir_parse(Arena *a, Interner *names, const Sources *sources, int file,
                   Diags *diags); // NULL after errors
// What is wrong, as text (for a bug report), or NULL if the function is well formed.
const char *ir_verify_func(Arena *scratch, const IrFunc *f);
const char *ir_verify_module(Arena *scratch, const IrModule *m);

// ---- source.c: IR as dp source ------------------------------------------------------------------------------------
// The module as dp source that compiles alone and computes the same numbers, and so do its derivatives: what `dp grad` shows. In: a module after the
// memory pass, which says which array changes in place (a variable) and which is copied. Derivatives are expanded.
void ir_print_source(const IrModule *m, StrBuf *out);

// ---- interp.c: the oracle --------------------------------------------------------------------------------------
// Runs a function in quadruple precision (__float128 for f64; f32 operations round to f32 only if `round` is set).
// For the tests: exact to far beyond f64. DCALL is not run: expand derivatives first.

typedef struct IrQuad IrQuad; // opaque array storage
typedef struct IrCell {       // a value: a scalar, or an array with its sizes
  IrType type;
  int64_t dims[IR_MAX_RANK];
  union {
    __float128 q;
    int64_t i; // int, bool
    const char *s;
  } v;
  IrQuad *data; // arrays: elements as quads or ints
} IrCell;

typedef struct IrFrame IrFrame; // a function while it runs

typedef struct IrInterp {
  Arena *arena;
  const IrModule *module;
  // Called at the start of each region and after each operation of the function itself, not of those it calls; may be
  // NULL. What was defined just then, and the scalars around it, can be looked at.
  void (*entered)(void *user, const IrFrame *at, const IrRegion *r);
  void (*seen)(void *user, const IrFrame *at, const IrOp *op);
  // An EXTERN that gives one scalar, in any function; NULL, or false: the run fails.
  bool (*foreign)(void *user, const IrFrame *at, const IrOp *op, IrCell *result);
  void *user;
  bool round;               // round every f64 result to double, f32 to float: then it mirrors compiled code
  int64_t steps, max_steps; // operations executed; stops with an error past the limit (0: none)
  int64_t peak;             // most bytes that arrays took at a time
  StrBuf *printed;          // what print wrote
  const char *error;        // set when the run failed
} IrInterp;

bool ir_interp(IrInterp *in, const IrFunc *f, const IrCell *args, IrCell *results); // sizes are arguments too
IrCell ir_interp_look(const IrFrame *at, IrVal v); // arrays are copied; one that was used up has no data
IrCell ir_cell_f64(double v);
IrCell ir_cell_int(int64_t v);
IrCell ir_cell_array(Arena *a, IrElem e, int rank, const int64_t *dims, const double *vals); // f64, f32
IrCell ir_cell_ints(Arena *a, int rank, const int64_t *dims, const int64_t *vals);
__float128 ir_cell_at(const IrCell *c, int64_t flat);

#endif
