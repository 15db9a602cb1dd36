// Inside lowering: what its files share. In: the checked program; out: IR, one function per instance.
//
// A value is a tree that follows its type: leaves are IR values (an array of structs is one array per field), or arrays
// that are not computed yet (Lazy): their elements are emitted where they are used, so that `(a + b * c)[i]` makes no
// array. A lazy array refers to IR values only, never to variables, so a later assignment cannot change it.
#ifndef DP_LOWER_INTERNAL_H
#define DP_LOWER_INTERNAL_H

#include "lower/lower.h"

typedef enum Builtin {
#define BUILTIN(kind, name) BUILTIN_##kind,
#include "sema/builtins.def"
  BUILTIN_COUNT
} Builtin;

typedef struct Lower Lower; // one lowering
typedef struct Gen Gen;     // one function being filled
typedef struct Inst Inst;   // an instance of a function
typedef struct Fn Fn;       // a function value
typedef struct Value Value;
typedef struct Lazy Lazy;

// ---- values.c: value trees, leaves of types ------------------------------------------------------------------------

typedef enum ValueKind { VALUE_LEAF, VALUE_PARTS, VALUE_FN } ValueKind;

struct Value { // immutable
  ValueKind kind;
  IrVal val;     // LEAF: the value; 0: see lazy
  Lazy *lazy;    // LEAF: an array that is not computed yet
  Value **parts; // PARTS: of a struct, a tuple, an array of those; none: no value
  int n_parts;
  Fn *fn; // FN
};

typedef struct Leaf { // of a type
  IrType type;
  Size **dims;
  Name path; // "m.w"
} Leaf;
typedef VEC(Leaf) LeafVec;
typedef VEC(Value *) ValueVec;

Value *value_leaf(Gen *g, IrVal v);
Value *value_lazy(Gen *g, Lazy *z);
Value *value_parts(Gen *g, Value **parts, int n); // copies the list
Value *value_fn(Gen *g, Fn *fn);
Value *value_none(Gen *g);
void value_leaves(const Value *v, ValueVec *out, Arena *a);
IrVal value_scalar(Gen *g, const Value *v); // of a leaf of rank 0, or an array already computed
Value *value_with_leaf(Gen *g, const Value *v, int k, Value *leaf);     // the same with leaf k replaced
Value *value_from(Gen *g, const Type *t, const IrVal *leaves, int *at); // a tree for t over the next leaves
void value_name(Gen *g, const Value *v, const Type *t,
                Name name);                              // hints for values without one; t may be NULL
void leaf_name(Gen *g, IrVal v, const Symbol *s, int k); // v is leaf k of variable s
IrType leaf_type(Gen *g, const Value *leaf);
const IrVal *leaf_dims(Gen *g, const Value *leaf);

IrElem elem_of(const Type *t, IrElem real); // of a scalar type, or of an array's elements
const Type *type_base(const Type *t);       // without array or growable around it
int type_part_count(const Type *t);         // of a struct or tuple (or an array of those)
Type *type_part(Arena *a, const Type *t, int k);
int type_part_leaf(const Type *t, int k); // leaves before part k
void type_leaves(Lower *l, const Type *t, Name path, IrElem real, LeafVec *out);
bool type_is_aggregate(const Type *t); // a struct or tuple, or an array of those
Type *type_tuple_of(Arena *a, Type **parts, Name *names, int n);

// ---- sizes.c: what is known about sizes ------------------------------------------------------------------------------

typedef struct Known { // in `region` and within, `size` is `val`
  const Size *size;
  IrVal val;
  IrRegion *region;
  bool is_dim; // of an array: not negative
} Known;

typedef struct Bind { // a name of a callee's signature, and its value in the caller
  Symbol *symbol;
  IrVal val;
} Bind;
typedef VEC(Bind) BindVec;

void known_bind(Gen *g, const Size *s, IrVal v, bool is_dim);
bool known_dim(Gen *g, IrVal v);                         // an array has this size, so it is not negative
void known_fresh(Gen *g, const Type *t, const Value *v); // the sizes of a value that has just been made
IrVal known_find(Gen *g, const Size *s);                 // 0: none
IrVal known_value(Gen *g, const Size *s);                // computes it; 0: not in terms of what is known here
IrVal size_emit(Gen *g, const Size *s, const BindVec *binds); // by the names in binds alone; 0: others occur
bool size_only(const Size *s, const BindVec *binds);          // no other names occur
const Symbol *size_symbol_of(const Size *s);                  // of a bare name, else NULL
IrVal known_exact(Gen *g, IrVal size); // the constant that a size parameter stands for, or itself
void check_same(Gen *g, IrVal actual, IrVal expected, Name what);
void check_emit(Gen *g, IrOpKind k, const IrVal *args, int n, Name what);
void check_that(Gen *g, IrVal cond, const char *message);
// The sizes of v, of type `from` (NULL: not known), against those of `to`, where they are not equal by their names.
void check_dims(Gen *g, const Value *v, const Type *from, const Type *to, Name what);
void check_alike(Gen *g, const Value *a, const Type *at, const Value *b, const Type *bt, Name what);

// ---- arrays.c: arrays not computed yet -----------------------------------------------------------------------------

typedef enum ScalarKind { // what happens to each element
  SCALAR_OP,              // the IR operation
  SCALAR_FLIP,            // the IR operation with its operands exchanged
  SCALAR_CONVERT,         // to the element type
  SCALAR_POWER,           // a float to the constant n
  SCALAR_ISNAN,
  SCALAR_ISFINITE,
  SCALAR_CHECKED, // IDIV or IMOD after a check of the divisor
} ScalarKind;

typedef struct ScalarOp {
  ScalarKind kind;
  IrOpKind op;
  IrElem to;
  int64_t n;
  IrElem arg, result; // element types of the operands (before CONVERT: any) and the result
} ScalarOp;

typedef enum AxisKind { AXIS_ALL, AXIS_AT, AXIS_FROM, AXIS_GATHER } AxisKind;
typedef struct Axis { // of a base array
  AxisKind kind;
  IrVal at;  // AT: the index; FROM: where the view starts; GATHER: an int array of indices
  IrVal len; // FROM, GATHER
} Axis;

typedef enum LazyKind { LAZY_SCALAR, LAZY_ARRAY, LAZY_MAP, LAZY_VIEW } LazyKind;
struct Lazy {
  LazyKind kind;
  IrElem elem;
  int rank;
  const IrVal *dims;
  IrVal val;   // SCALAR, ARRAY (growables too)
  ScalarOp op; // MAP
  Lazy **args; // MAP; VIEW: args[0] is the base
  int n_args;
  Axis *axes; // VIEW: one per axis of the base
};

Lazy *lazy_of(Gen *g, const Value *leaf);
IrVal lazy_at(Gen *g, const Lazy *z, const IrVal *idx);
IrVal scalar_emit(Gen *g, const ScalarOp *op, const IrVal *args);
Value *leaf_map(Gen *g, const ScalarOp *op, Value **args, int n); // leaves; scalars broadcast
Value *leaf_convert(Gen *g, Value *leaf, IrElem to);
Value *leaf_view(Gen *g, Value *leaf, const Axis *axes, int n); // further axes: all
Value *force(Gen *g, Value *v);                                 // every leaf computed
IrVal force_leaf(Gen *g, Value *leaf, const IrVal *dims);       // dims: as the result's sizes, or NULL
IrVal zero_of(Gen *g, IrElem e);
Value *zeros_for(Gen *g, const Type *t); // NULL: its sizes are not known here
Value *zeros_like_value(Gen *g, const Value *v);
IrVal grown_from(Gen *g, IrVal array); // a growable array of its elements, row by row
Value *coerce_elems(Gen *g, Value *v, const Type *to);
Value *coerce(Gen *g, Value *v, const Type *from, const Type *to,
              Name what); // elements converted, sizes checked
typedef void NestBody(Gen *g, void *user, const IrVal *idx, IrVal *carried);
// Loops over all indices of dims; body replaces the carried values.
void nest(Gen *g, const IrVal *dims, int rank, IrVal *carried, int n, NestBody *body, void *user);
IrVal set_block(Gen *g, IrVal array, const IrVal *at, int n_at, Value *leaf); // array[at, ..] = leaf
IrVal array_len(Gen *g, const Value *leaf);                                   // the first size
IrVal array_size(Gen *g, const Value *v, int axis);
Value *array_element(Gen *g, Value *v, const IrVal *idx, int n); // row or element; not checked

// ---- places.c: indexing, variables and their parts ------------------------------------------------------------------

typedef struct Sel { // a selection on the leading axes of arrays
  Axis axes[IR_MAX_RANK];
  int n;
} Sel;

typedef struct Place { // something to assign to
  Symbol *root;
  int leaf, n_leaves; // of root's value
  const Type *type;
  Sel sel;
  Name text;
} Place;

Value *lower_index(Gen *g, Expr *e);
Place place_of(Gen *g, Expr *target);
Value *place_read(Gen *g, const Place *p);
void place_write(Gen *g, const Place *p, Value *v, const Type *vt); // vt: of the value, or NULL
void place_update(Gen *g, const Place *p, const Value *v, const Type *vt, BinaryOp op);
Value *env_get(Gen *g, const Symbol *s); // NULL: not bound
void env_set(Gen *g, Symbol *s, Value *v);

// ---- scan.c: questions about the syntax ------------------------------------------------------------------------------

typedef struct AstVisit {
  void *user;
  bool (*expr)(void *user, Expr *e); // false: not into its parts
  bool (*stmt)(void *user, Stmt *s);
} AstVisit;
void ast_visit_expr(const AstVisit *v, Expr *e);
void ast_visit_stmt(const AstVisit *v, Stmt *s);

enum { JUMP_BREAK = 1, JUMP_CONTINUE = 2, JUMP_RETURN = 4 };
unsigned jumps_of_stmt(Stmt *s); // jumps that leave s
unsigned jumps_of_block(Expr *e);
bool falls_through(Expr *block); // control may reach its end

typedef struct Carried { // leaf of a variable that a region changes
  Symbol *symbol;
  int leaf;
} Carried;
typedef VEC(Carried) Carry;
void carry_stmts(Gen *g, Carry *c, Stmt **s, int n); // what they assign of what is bound now
void carry_expr(Gen *g, Carry *c, Expr *e);
void carry_symbol(Gen *g, Carry *c, Symbol *s); // all its leaves
IrVal *carry_read(Gen *g, const Carry *c);      // current values, computed
void carry_write(Gen *g, const Carry *c, const IrVal *vals);
bool expr_has_effect(Gen *g, Expr *e); // prints, changes variables, calls out
void captures_of(Gen *g, Expr *lambda, Fn *fn);
bool expr_is_cheap(const Expr *e); // reads and arithmetic only: may be repeated per element
bool expr_is_total(const Expr *e); // moreover without checks

// ---- fns.c: function values and their instances -----------------------------------------------------------------------

typedef enum FuncKind { FUNC_DECL, FUNC_LAMBDA, FUNC_DERIV } FuncKind;

typedef struct Capture {
  Symbol *symbol;
  Value *value;
} Capture;

typedef struct WrtSpec { // a parameter or a part of it
  int param;
  const int *fields;
  int n_fields;
} WrtSpec;

struct Fn {
  FuncKind kind;
  FnDecl *decl;  // DECL
  Expr *lambda;  // LAMBDA
  IrElem real;   // LAMBDA: of the function it stands in
  Capture *caps; // LAMBDA
  int n_caps;
  DerivKind deriv; // DERIV
  DerivMode mode;
  WrtSpec *wrt;
  int n_wrt;
  bool is_hessian; // a Jacobian of a gradient
  Fn *target;
  Symbol *directions; // of `jvps` and `vjps`: the size that counts them
  Name key;           // equal for functions with equal code
  Name name;          // for the IR
  int depth;
  Loc loc;
};

typedef struct Callable { // how a function value is called
  int n;
  Type **types;
  Name *names;
  bool *is_inout;
  Symbol **symbols; // NULL: none
  Type *result;
} Callable;

typedef struct SizeParam {
  const Size *size;
  const void *group; // NULL: of the parameters' types; else the lambda whose captures it belongs to
} SizeParam;

typedef struct CapLeaf {
  Leaf leaf;
  const void *group;
} CapLeaf;

typedef struct ResultDim { // a size of a result array
  int param;               // >= 0: that size parameter
  int extra;               // >= 0: that leading int result
  const Size *size;        // else computed from the parameters
} ResultDim;

typedef enum RuleKind { // an instance made for another purpose than being called
  RULE_NONE,
  RULE_ADJOINT, // the user's rule
  RULE_TANGENT,
  RULE_LOSS, // what a training loop calls
  RULE_LOSS_GRAD,
  RULE_FORWARD, // calls a function that has rules: differentiating it meets them
} RuleKind;

struct Inst {
  Fn *fn;       // captures stand for their types only; NULL: a rule, see `of`
  Fn **fn_args; // per parameter, NULL if it is no function
  IrElem real;
  Name key;
  IrFunc *func;
  Callable call;
  SizeParam *sizes;
  int n_sizes;           // of the parameters' types
  int n_size_params;     // with those of the captures, or of the seed
  LeafVec *param_leaves; // per parameter
  VEC(CapLeaf) cap_leaves;
  LeafVec results;
  ResultDim *result_dims; // of all result leaves, one after another
  int n_extra;
  RuleKind rule;
  Inst *of;      // the function a rule is for, or that is called
  Type *seed;    // of an adjoint rule: what the derivative that comes in is like
  Inst *forward; // of a function with rules
  FnDecl *decl;  // the rule
  Loc loc;
  bool filled;
};

Fn *fn_of_expr_in(Gen *g, Lower *l, Expr *e);                      // g NULL: at top level
int inst_size(const Inst *inst, const void *group, const Size *s); // which size parameter; -1: none
void inst_open(Lower *l, Inst *inst, Name name);
void inst_results(Lower *l, Inst *inst);
void inst_param_leaf(Lower *l, Inst *inst, const Leaf *leaf);
Fn *fn_of_expr(Gen *g, Expr *e); // captures have their values from g; NULL after an error
Fn *fn_of_decl(Lower *l, FnDecl *d);
Fn *fn_derivative(Lower *l, DerivKind k, DerivMode mode, const WrtSpec *wrt, int n_wrt, Fn *target);
Fn *fn_rebound(Gen *g, const Fn *fn, const IrVal *vals, int *at); // with captures replaced by the next values
typedef void CaptureVisit(void *user, const Fn *lambda, const Capture *c);
void fn_captures(const Fn *fn, CaptureVisit *visit, void *user); // those that are values, in order
Callable fn_callable(Lower *l, const Fn *fn);
Type *wrt_type(Lower *l, const Callable *c, const WrtSpec *w);
Inst *inst_of(Lower *l, Fn *fn, IrElem real, Fn **fn_args); // NULL after an error

// ---- calls.c ---------------------------------------------------------------------------------------------------------

typedef struct CallArgs {
  Value **values;     // per parameter, converted and computed
  const Type **types; // of the argument expressions; an entry may be NULL
  const Size **ints;  // values of int arguments in terms of sizes; an entry may be NULL
  int n;
  Name what;       // the callee, for messages
  IrVals ir;       // out: all operands
  SizeSubst subst; // out
  BindVec binds;   // out
} CallArgs;

typedef struct CallShape { // of the results
  IrType *types;
  const IrVal **dims;
  int n;
} CallShape;

Value *lower_call(Gen *g, Expr *e);
void args_init(Gen *g, CallArgs *a, int n, Name what);
void args_emit(Gen *g, const Inst *inst, const Fn *fn, CallArgs *a); // checks sizes, fills a->ir
void call_shape(Gen *g, const Inst *inst, const CallArgs *a, CallShape *s);
Value *call_result(Gen *g, const Inst *inst, IrOp *op);                                // the declared result
Value *call_emit(Gen *g, const Inst *inst, const Fn *fn, CallArgs *a, Value **inouts); // inouts may be NULL
Fn **args_fns(Gen *g, Value **values, int n);
Value *call_fn_values(Gen *g, Fn *fn, Value **values, int n, const Type **types, const Type *result);
void shape_add(Gen *g, CallShape *s, IrType t, const IrVal *dims);
void shape_like(Gen *g, CallShape *s, IrVal v); // one more result, like v
IrElem real_of_call(Gen *g, const Callable *c, const Type **args, int n, const Type *result);

// ---- exprs.c, builtins.c, comps.c, logic.c ---------------------------------------------------------------------------

Value *lower_expr(Gen *g, Expr *e);                          // lazy leaves are possible
Value *lower_value(Gen *g, Expr *e);                         // every leaf computed
Value *lower_as(Gen *g, Expr *e, const Type *to, Name what); // converted; may be lazy
IrVal lower_scalar(Gen *g, Expr *e);
IrVal lower_int(Gen *g, Expr *e); // reuses a known size
Value *lower_unary(Gen *g, Expr *e);
Value *lower_binary(Gen *g, Expr *e);
Value *arith(Gen *g, BinaryOp op, Value *a, Value *b); // leaf by leaf; scalars broadcast
Value *lower_builtin(Gen *g, Expr *e);
IrVal format_values(Gen *g, Value *v, const Type *t);
Value *lower_string(Gen *g, Expr *e);
Value *lower_comp(Gen *g, Expr *e);
Value *lower_reduce(Gen *g, Expr *e);
Name expr_text(Gen *g, const Expr *e);

typedef struct IterPlan { // an `in` whose bounds are evaluated
  Iter *iter;
  Value *over;  // an array; NULL: a range
  IrVal lo, hi; // of the range, or 0 and the length
  IrVal step;
  int64_t const_step; // 0: not constant
  IrVal count;        // 0: not computed
} IterPlan;
IterPlan iter_plan(Gen *g, Iter *it);
IrVal iter_count(Gen *g, IterPlan *p, const Size *size); // size: as the type says, or NULL
void iter_bind(Gen *g, const IterPlan *p, IrVal k);      // the variable at position k
void iter_bounds(Gen *g, IterPlan *p, IrVal out[3]);     // lo, hi, step of a FOR whose index goes to iter_at
void iter_at(Gen *g, const IterPlan *p, IrVal index);

typedef struct LoopGen { // a FOR that carries variables and further values
  IrOp *op;
  IrBuilder outer;
  const Carry *carry;
  int n_extra;
} LoopGen;
IrVal loop_open(Gen *g, LoopGen *t, const IrVal bounds[3], const Carry *carry, IrVal *extra, int n_extra);
void loop_close(Gen *g, LoopGen *t, IrVal *extra);

// ---- branch.c: an IF with a value and the variables its branches change ------------------------------------------------

typedef struct Branch {
  IrOp *op;
  IrBuilder outer, then, els;
  Carry carry;
  bool last; // nothing follows: of the variables only the inout parameters matter
  IrVal *before, *after_then;
  IrVals then_vals;
  const Type *type; // of the value; NULL: none
  LeafVec leaves;   // of type
  IrVals expect;    // per leaf and axis: a size known outside, or 0
} Branch;
void branch_begin(Gen *g, Branch *br, IrVal cond, const Carry *carry, const Type *type);
void branch_else(Gen *g, Branch *br, Value *then_value, const Type *vt); // vt: of the value, or NULL
Value *branch_end(Gen *g, Branch *br, Value *else_value, const Type *vt);
Value *lower_if_value(Gen *g, Expr *e);

// ---- flow.c: statements in order, and jumps --------------------------------------------------------------------------

typedef struct LoopFlow {   // jumps out of the loop at hand
  Symbol *broken, *skipped; // flags; NULL where no such jump exists
} LoopFlow;

typedef struct Slot { // where a return within a loop leaves its value
  Symbol *symbol;
  LeafVec leaves;
  bool *packed; // sizes unknown beforehand: a growable array and the sizes
} Slot;

Value *lower_body(Gen *g, Expr *body); // of a function: its result, converted and checked
Value *lower_block_value(Gen *g, Expr *block);
void run_block(Gen *g, Expr *block);        // as a statement; jumps set flags
void lower_stmt(Gen *g, Stmt *s);           // stmts.c: without jumps that leave it
void lower_loop(Gen *g, Stmt *s);           // loops.c: for and while, jumps included
Value *return_value(Gen *g, Expr *e);       // of `return e`
Symbol *flag_new(Gen *g, const char *name); // a bool variable of lowering's own, false
IrVal flag_get(Gen *g, const Symbol *s);
void flag_set(Gen *g, Symbol *s, bool v);
void carry_jumps(Gen *g, Carry *c, unsigned jumps);

// ---- derivs.c, train.c, rules.c ------------------------------------------------------------------------------------------

void deriv_callable(Lower *l, const Fn *fn, Callable *c);
Value *deriv_body(Gen *g);               // of an instance of a derivative
Value *rule_result(Gen *g, Expr *e);     // of an adjoint rule's return
void rules_attach(Lower *l, Inst *inst); // opens the user's rules of inst's function
void rule_params(Gen *g, int next);      // seeds from parameter `next` on
bool rule_returns(const Inst *r, int k);
Inst *
rule_forward(Lower *l,
             Inst *inst); // what to differentiate instead of inst: it calls inst; inst if it has no rules
Value *forward_body(Gen *g);
Value *lower_train(Gen *g, Expr *e, bool train);
Value *loss_body(Gen *g); // of what the training loop calls
typedef struct DerivOf {  // a call and its derivative by marked parameters
  Inst *inst;
  CallArgs args;
  bool *mask; // by IR parameter of inst
} DerivOf;
IrOp *vjp_emit(Gen *g, DerivOf *d, const IrVals *seeds,
               int *first); // first: of the adjoints among the results
Value *lower_step(Gen *g, Expr *e);
Value *optimizer_like(Gen *g, Value *o, IrVal n);
IrVal param_count(Gen *g, Value *v);
IrVal pack_floats(Gen *g, Value *v); // all floats, one after another, as f64

// ---- lower.c ---------------------------------------------------------------------------------------------------------

void inst_fill(Lower *l, Inst *inst); // its body, if it has none yet

struct Lower {
  Program *program;
  Arena *arena;
  IrModule *module;
  Diags *diags;
  VEC(Inst *) insts; // each is filled in turn, or before (modes.c)
  Inst **by_key;     // those of inst_of, hashed
  int n_keys, keys_cap;
  VEC(void *) quiet; // functions and lambdas known to have no effects
  Type *int_, *f64, *bool_;
  int next_id;
  bool failed;
};

typedef struct EnvEntry {
  const Symbol *symbol;
  Value *value;
} EnvEntry;

struct Gen {
  Lower *l;
  Arena *arena;
  Inst *inst;
  Fn *fn; // inst->fn with this function's captures
  IrFunc *f;
  IrBuilder b;
  IrElem real;
  EnvEntry *env; // open addressing
  int env_len, env_cap;
  VEC(Known) known;
  Value **params; // as the body sees them first
  LoopFlow *loop;
  Symbol *returned; // while returns store their value: whether one did
  Slot slot;
  RuleKind rule;
  Value *seed; // in an adjoint rule: the incoming derivative
};

Name name_of(Lower *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool lower_fail(Lower *l, Loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
Symbol *symbol_made(Lower *l, const char *name);

#endif
