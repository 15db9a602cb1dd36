// Inside sema: what its files share. Stage: checking. One Checker per program; it lives in the program's arena.
#ifndef DP_CHECK_H
#define DP_CHECK_H

#include "sema/sema.h"

enum { MAX_LEAVES = 10000, MAX_TYPE_DEPTH = 256 }; // of one type
enum { MAX_RANK = 8, MAX_INFER_DEPTH = 100, MAX_IMPORT_DEPTH = 64 };

typedef enum Builtin {
#define BUILTIN(kind, name) BUILTIN_##kind,
#include "sema/builtins.def"
  BUILTIN_COUNT
} Builtin;

typedef enum TrainOption {
#define OPTION(name, type, def, train, minimize) OPTION_##name,
#include "sema/train.def"
  OPTION_COUNT
} TrainOption;

// ---- names.c: scopes and tables of names -------------------------------------------------------------------------

typedef struct NameMap { // open addressing on interned pointers
  Name *keys;
  Symbol **values;
  int n, cap;
} NameMap;

typedef struct Scope {
  struct Scope *outer;
  VEC(Symbol *) symbols;
  NameMap by_name; // of all symbols, once there are many
} Scope;

typedef struct ModuleInfo {
  Module *module;
  NameMap names;
  bool declared;
} ModuleInfo;

// What is being checked around an expression: a function, a rule, or a lambda.
typedef struct Frame {
  struct Frame *outer;
  void *owner;     // the FnDecl or the lambda Expr; symbols declared here carry it
  FnDecl *fn;      // the declared function around; NULL for an expression from sema_expr
  Type *result;    // what `return` must give; NULL while it is inferred from the body
  Loc inferred_at; // the return it was inferred from
  bool infer;
  FnDecl *rule_of; // in an adjoint rule: the function it is for
  Type *pullback;  // in an adjoint rule: what its second part must be
  bool has_real;   // float literals without context are `real`
  int loop_depth;  // loops around, within the innermost value block
  int value_depth; // value blocks and comprehensions around
  bool broke;      // the innermost loop has a `break`
} Frame;

typedef struct FnInfo { // fn->sig points at its first member
  Signature sig;
  Scope *scope; // parameters and sizes
  bool inferring, inferred, body_checked, queued;
} FnInfo;

typedef struct Checker {
  Program *p;
  Arena *a;
  Interner *names;
  Diags *d;
  Module *module;   // being checked
  ModuleInfo *info; // of that module
  Scope *scope;
  Frame *frame;
  VEC(ModuleInfo *) infos; // as p->modules
  NameMap builtins;
  VEC(FnDecl *) queue;  // functions of standard modules that are used and not checked yet
  const SemaHost *host; // while modules are loaded and checked, else NULL
  int next_symbol, next_opaque;
  int infer_depth, struct_depth;
  int sizes_in; // resolving types: how an unknown size name is taken (SizeNames)
  Type *void_, *bool_, *int_, *f32, *f64, *real, *str, *error;
  Name n_underscore, n_like, n_wrt, n_mode, n_main;
} Checker;

Symbol *symbol_new(Checker *c, SymbolKind kind, Name name, Loc loc, Type *type);
void map_put(Checker *c, NameMap *m, Name key, Symbol *value);
Symbol *map_get(const NameMap *m, Name key);
void scope_push(Checker *c);
void scope_pop(Checker *c); // warns about what was never used
void scope_declare(Checker *c, Symbol *s);
Symbol *scope_find(const Scope *scope, Name name);
Symbol *name_find(Checker *c, Name name);        // scopes, then module, prelude, built-ins
Symbol *name_find_callee(Checker *c, Name name); // passes over locals that are not functions
Symbol *module_find(Checker *c, const Module *m, Name name);
ModuleInfo *module_info(Checker *c, const Module *m);
void declare_module(Checker *c, ModuleInfo *info);
Name suggest_name(Checker *c, Name name);
Name suggest_type(Checker *c, Name name);
Diag *report_unknown_name(Checker *c, Name name, Loc loc);            // NULL: there is nothing to add to it
StructDecl *struct_find(Checker *c, Name module, Name name, Loc loc); // reports

// ---- size.c, types.c: beyond types.h -----------------------------------------------------------------------------

int size_order(const Size *x, const Size *y); // a total order of normal forms; 0: equal
// Replaces atoms: f returns NULL to leave an atom alone.
typedef Size *AtomMap(void *user, Arena *a, const Atom *atom);
Size *size_map(Arena *a, const Size *s, AtomMap *f, void *user);
bool size_any(const Size *s, bool (*f)(void *user, const Atom *atom), void *user);
const Symbol *size_bare_symbol(const Size *s); // of a size that is just a name, else NULL
bool size_is_huge(const Size *s);              // arithmetic gave up on it
const char *size_text(Arena *a, const Size *s);
bool size_at_least(const Size *x, const Size *y, int64_t by); // x - y is a constant >= by

Type *type_array(Checker *c, Type *elem, int rank, Size **dims); // flattens an array elem
Type *type_grow(Checker *c, Type *elem);
Type *type_tuple(Checker *c, Type **parts, Name *names, int n);
Type *type_fn(Checker *c, Type **params, int n, Type *result, Signature *scheme);
Type *type_struct(Checker *c, StructDecl *decl, Size **sizes);
Type *type_map(Arena *a, Type *t, AtomMap *f, void *user, Type *real);
bool type_any_atom(const Type *t, bool (*f)(void *user, const Atom *atom), void *user);
Type *type_element(Checker *c, Type *t); // of an array: the row; of a growable: its element
Type *type_field(Checker *c, const Type *t, int i);
Type *type_scalar_of(Type *t);              // the element of an array, else t itself
Type *type_float_kind(Checker *c, Type *t); // the one float kind among its leaves; NULL if none or mixed
bool type_all_floats(const Type *t);        // every leaf is a float: a vector
bool type_has_grow(const Type *t);
// Is f true of an element's, a field's or a part's type? Those within them are for f to ask.
typedef bool TypeTest(void *user, const Type *t);
bool type_any_part(const Type *t, TypeTest *f, void *user);
bool type_is_huge(const Type *t); // past one of these limits
Type *report_huge(Checker *c, Loc loc, const Type *t);
void struct_add_field(StructDecl *s, const Type *field);
bool type_has_error(const Type *t);
Size *fresh_opaque(Checker *c, Loc origin, const char *what);
// Replaces every opaque atom by a new one, alike ones alike.
Type *type_freshen(Checker *c, Type *t, Loc origin);
// Replaces names declared since that symbol, but those to keep, by new opaque atoms.
Type *type_escape(Checker *c, Type *t, int first_symbol, Symbol **keep, int n_keep, Loc origin);
bool type_made_since(const Type *t, int first_symbol, int first_opaque);

// ---- unify.c: matching types, binding sizes -----------------------------------------------------------------------

typedef enum Match { MATCH_OK, MATCH_TYPE, MATCH_SIZE } Match;
typedef struct Mismatch {
  const Size *want, *got;
  int axis, rank;
  Name name; // of a struct's size; NULL: an array's axis
} Mismatch;
Match type_match(const Type *want, const Type *got, Mismatch *out); // out may be NULL

typedef struct Unifier { // binds the sizes and the `real` of a signature
  Checker *c;
  Symbol **vars;
  int n_vars;
  SizeSubst subst;
  VEC(Loc) origins; // beside subst
  Type *real;
  Loc real_loc;
} Unifier;
void unify_init(Unifier *u, Checker *c, Symbol **vars, int n_vars);
void unify_put(Unifier *u, Symbol *s, Size *size, Loc origin);
Size *unify_get(const Unifier *u, const Symbol *s);
void unify_bind(Unifier *u, const Type *formal, const Type *actual, Loc origin);
Type *unify_apply(Unifier *u, Type *t);                 // with real as bound, or the default float
bool scalar_converts(const Type *from, const Type *to); // int to a float

// What a value goes into, for messages: "the argument `x` of `f`".
bool expect_type(Checker *c, Expr *e, Type *want, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void report_mismatch(Checker *c, DiagCode code, Loc loc, Type *want, Type *got, const char *what);
void report_sizes(Checker *c, Loc loc, const Mismatch *m, Type *want, Type *got, const char *what);

// ---- resolve.c: types as written, structs, signatures -------------------------------------------------------------

typedef enum SizeNames { // what an unknown size name means
  SIZES_UNKNOWN_IS_ERROR,
  SIZES_BIND,   // parameters: it is declared
  SIZES_OPAQUE, // results: some size
} SizeNames;
Type *resolve_type(Checker *c, TypeExpr *t, SizeNames names);
void resolve_struct(Checker *c, StructDecl *s);
Signature *signature_of(Checker *c, FnDecl *fn); // resolves it when first asked for; never NULL
bool is_optimizer(const Checker *c, const Type *t);

// ---- check_expr.c, check_value.c ----------------------------------------------------------------------------------
// `hint` is the type the context would like, or NULL: literals take their float type from it, lambdas their parameters.

Type *check_any(Checker *c, Expr *e, Type *hint);  // function values and calls without result are fine
Type *check_expr(Checker *c, Expr *e, Type *hint); // a value
Type *default_float(const Checker *c);
Type *hint_element(Checker *c, Type *hint);
bool is_flexible(Checker *c, const Expr *e); // its float type is the context's choice
Type *join_types(Checker *c, Type *a, Type *b);
Type *check_array(Checker *c, Expr *e, Type *hint);
Type *check_comp(Checker *c, Expr *e, Type *hint);
Type *check_reduce(Checker *c, Expr *e, Type *hint);
Type *check_tuple(Checker *c, Expr *e, Type *hint);
Type *check_struct_literal(Checker *c, Expr *e, Type *hint);
Type *check_field(Checker *c, Expr *e);
Type *check_string(Checker *c, Expr *e);
Type *check_if(Checker *c, Expr *e, Type *hint);
Type *check_block_value(Checker *c, Expr *e, Type *hint);
Symbol *check_iter(Checker *c, Iter *it,
                   Size **count); // declares the variable; count: how often, NULL if unknown
bool is_constant(const Expr *e);
bool check_int(Checker *c, Expr *e, const char *what);

// check_arith.c
Type *check_unary(Checker *c, Expr *e, Type *hint);
Type *check_binary(Checker *c, Expr *e, Type *hint);
Type *arith_type(Checker *c, BinaryOp op, Type *l, Type *r, Loc loc, Loc left, Loc right);
Type *broadcast(Checker *c, Type *l, Type *r, Type *elem, Loc loc, Loc left, Loc right, const char *what);
Type *join_numbers(Checker *c, Type *l, Type *r, Loc loc, const char *what); // NULL after an error

// check_index.c
Type *check_index(Checker *c, Expr *e);

// ---- check_stmt.c, check_place.c: true if control can reach what follows -------------------------------------------

bool check_stmts(Checker *c, const StmtVec *stmts);
bool check_body_block(Checker *c, Expr *block); // a block as a statement: a scope of its own
void bind_pattern(Checker *c, Pattern *p, Type *type, Expr *init, bool mutable_);
Type *check_place(Checker *c, Expr *e, const char *doing); // something to assign to or to pass inout
bool places_overlap(const Expr *a, const Expr *b);
Symbol *place_root(const Expr *e);

// ---- check_call.c, check_args.c ------------------------------------------------------------------------------------

typedef struct FnView { // a function value, whatever it is
  Type **params;
  int n_params;
  Type *result;
  Symbol **vars; // sizes to bind
  int n_vars;
  bool has_real;
} FnView;
Type *check_call(Checker *c, Expr *e, Type *hint);
Type *call_value(Checker *c, Expr *e, Type *hint);
// The body of a function or lambda, and whether its end is reached without a value.
typedef struct Body {
  Type *value; // of an expression or a block's value; NULL: none
  bool completes;
} Body;
Body check_body(Checker *c, Expr *body, Type *want);
void check_loose_args(Checker *c, Expr *call); // after an error: types everything
// One expression for each parameter: the argument, or the default. False: they do not fit; then nothing is promised.
// The second places those of a function value, and reports what does not fit.
bool place_args(Checker *c, Expr *call, FnDecl *fn, Expr **by_param, bool report);
bool place_value_args(Checker *c, Expr *call, const FnView *v, Expr **by_param);
bool is_like(Checker *c, const FnDecl *fn, const Arg *arg); // `like: m` sizes an optimizer
Type *call_fn(Checker *c, Expr *e, FnDecl *fn, Type *hint);
FnDecl *pick_overload(Checker *c, Expr *e, Symbol *s);
void check_inout_args(Checker *c, Expr *call); // places, mutability, overlap
FnView fn_view(Checker *c, const Type *t);
// A function value where one is wanted; want NULL: any. args: types of the arguments it is about to get, for lambdas
// without types (n_args of them, -1: unknown).
Type *check_fn_value(Checker *c, Expr *e, Type *want, Type **args, int n_args, const char *what);
Type *check_builtin_value(Checker *c, Expr *e, const Symbol *s,
                          Type *want); // `sin`: it becomes `fn(x) => sin(x)`
Type *check_lambda(Checker *c, Expr *e, Type *want, Type **args, int n_args);
bool needs_arg_types(Checker *c, const Expr *e);
// Of the named function e, of type t: has it more than n parameters, and do the rest have defaults?
bool leaves_defaults(const Expr *e, const Type *t, int n);
Type *leave_defaults(Checker *c, Expr *e, Type *want, Type **types, int n); // it becomes `fn(x) => f(x)`
const Expr *
fn_origin(const Expr *e); // through let-bound names to the lambda, derivative or declared function
Name fn_param_name(const Expr *e, int i); // NULL: it has none, or is not known
Expr *fn_param_default(const Expr *e, int i);
const char *fn_describe(Checker *c, const Expr *e); // "`mse`", "this function"

// ---- check_builtin.c, check_train.c, check_deriv.c, check_rule.c -----------------------------------------------------

const char *builtin_name(Builtin b);
int builtin_value_arity(Builtin b);        // as a function value: its parameters; 0: it can only be called
bool builtin_takes(Builtin b, int n_args); // for names that are built-in and in the prelude
Type *check_builtin(Checker *c, Expr *e, Builtin b, Type *hint);
Type *check_train(Checker *c, Expr *e);
Type *check_minimize(Checker *c, Expr *e);
Type *check_step(Checker *c, Expr *e);
bool builtin_is_deriv(Builtin b);
Type *check_deriv(Checker *c, Expr *e, Builtin b, Type **args, int n_args);
Type *derivative_type(Checker *c, Type **types, Name *names, int n); // one: itself; several: a named tuple
void attach_rule(Checker *c, FnDecl *rule);
bool rule_frame(Checker *c, FnDecl *rule, Frame *frame); // what its body must give; false: not attached
bool check_rule_return(Checker *c, Expr *value);

// ---- check_fn.c ------------------------------------------------------------------------------------------------------

void check_fn_body(Checker *c, FnDecl *fn);
Type *ensure_result(Checker *c, FnDecl *fn, Loc use); // infers it where it is not written
void use_fn(Checker *c, FnDecl *fn); // a standard function that is used gets its body checked
void check_module(Checker *c, ModuleInfo *info);
void drain_queue(Checker *c);

// ---- load.c ------------------------------------------------------------------------------------------------------------

bool load_program(Checker *c, const SemaHost *host, const char *path, const char *text, size_t len);

#endif
