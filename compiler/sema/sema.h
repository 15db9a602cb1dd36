// Semantic analysis: modules as parsed -> modules whose nodes carry types, symbols and resolved calls.
//
// In: the main module and what it imports. Out: the same trees, annotated; all mistakes of the program in diags. When
// there are no errors, lowering may rely on every annotation described in ast.h and here:
// - An int stands where a float is wanted (an operand, argument, element, field, branch, result) without a node of its
//   own: lowering converts where the types differ. `inf`, `nan` and `pi` have become EXPR_FLOAT.
// - Sizes that are not the same polynomial may still be equal: lowering checks them when the program runs.
// - A name of an overloaded function that is used as a value means type->scheme->decl.
// - `real` is TYPE_REAL within a generic function; float literals without context are of it there, else f64.
// - A block-bodied lambda may `return`, as a function does. An adjoint's body returns a tuple of its value and a
//   function of the result's derivative, which stands in the tuple and nowhere else.
// - Functions of standard modules that nothing uses are not checked and have no annotations.
#ifndef DP_SEMA_H
#define DP_SEMA_H

#include "sema/types.h"

typedef enum SymbolKind {
  SYM_LOCAL, // let, var, loop variable, pattern
  SYM_PARAM, // of a function or lambda
  SYM_SIZE,  // a size name bound by a parameter's type (an int value in the body)
  SYM_FN,    // one or more functions (overloads, in standard modules)
  SYM_STRUCT,
  SYM_MODULE,
  SYM_BUILTIN, // n_fns is its index in sema/builtins.def
} SymbolKind;

struct Symbol {
  SymbolKind kind;
  Name name;
  Loc loc;
  Type *type;
  bool mutable_; // var, inout parameter
  bool loop;     // the variable of a for loop or comprehension
  bool used;     // for the unused warning
  Size *size;    // an immutable int: its value in terms of sizes
  FnDecl **fns;  // SYM_FN
  int n_fns;
  StructDecl *strukt; // SYM_STRUCT
  Module *module;     // SYM_MODULE
  void *owner;        // LOCAL, PARAM, SIZE: the FnDecl or the lambda Expr it belongs to (captures cross it)
  int id;             // unique in the program; lowering keys on it
  Expr *fn_value;     // LOCAL of function type: `let g = grad(f)` stands for this expression
};

// What a function promises. Sizes are bound by the first array size that is the bare name, left to right.
typedef struct Signature {
  FnDecl *decl;
  Symbol **sizes; // size names in order of first appearance
  int n_sizes;
  bool has_real;
  Type **params;
  int n_params;
  Type *result; // TYPE_VOID if none; its sizes may mention size names, int parameters and opaque atoms (`_`)
} Signature;

typedef enum DerivKind {
  DERIV_GRAD,
  DERIV_VALUE_AND_GRAD,
  DERIV_JVP,
  DERIV_VJP,
  DERIV_JACOBIAN,
  DERIV_HESSIAN,
  DERIV_HVP,
  DERIV_JVPS, // several directions at once: one axis more, the last
  DERIV_VJPS, // several adjoints at once: one axis more, the first
} DerivKind;

typedef enum DerivMode { MODE_AUTO, MODE_FORWARD, MODE_REVERSE } DerivMode;

typedef struct WrtPath { // m.layers.w: parameter 0, then field indices
  int param;
  int *fields;
  int n_fields;
  Loc loc;
  Type *type; // of what it names
} WrtPath;

// A derivative expression: grad(f, wrt: m.head, mode: forward). Its Expr has kind EXPR_CALL, call.kind CALL_BUILTIN and a
// TYPE_FN type; calling it is a CALL_VALUE whose callee is that Expr (or a name bound to it).
typedef struct Deriv {
  DerivKind kind;
  Expr *target; // the function value that is differentiated
  WrtPath *wrt; // explicit or by default every parameter that holds floats
  int n_wrt;
  DerivMode mode;
  Name
      *names; // of the derivative's own parameters: those of the target, then seeds; NULL where there is none
  int n_params;
  Symbol *directions; // JVPS, VJPS: how many, a size that the tangents or adjoints bind
} Deriv;

typedef struct Program {
  Arena *arena;
  Interner *names;
  Sources *sources;
  Diags *diags;
  VEC(Module *) modules; // prelude first, then imports before importers, the main module last
  Module *prelude, *main;
  StructDecl *optimizer, *train_report, *minimize_report, *rng; // of the prelude
} Program;

typedef struct SemaHost { // where modules come from; read returns NULL and *why, a sentence, on failure
  void *user;
  const char *(*read)(void *user, Arena *a, const char *path, size_t *len, const char **why);
  const char *(*std_module)(void *user, const char *name, size_t *len); // NULL: no such standard module
  const char *const *std_names;                                         // NULL-terminated, for "did you mean"
} SemaHost;

// Loads the main module, the prelude and all imports (relative to the importer), and checks everything.
// text: the main module's text if the caller has it already, else NULL (then `path` is read).
Program *sema_program(Arena *a, Interner *names, Sources *sources, Diags *diags, const SemaHost *host,
                      const char *path, const char *text, size_t len);

// The declared function of that name in the main module; NULL if there is none.
FnDecl *sema_find_fn(const Program *p, Name name);
// Checks an expression such as "grad(mse, wrt: m)" against the main module: for the embedding API and `dp grad --wrt`.
// `name` stands for it in diagnostics, where a file's path would.
Expr *sema_expr(Program *p, const char *name, const char *text);
const char *signature_text(Arena *a,
                           const FnDecl *fn); // "fn mse(m: Linear[d], x: [n, d]f64, y: [n]f64) -> f64"

#endif
