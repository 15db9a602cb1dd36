// The syntax tree. The parser fills the syntactic fields; sema fills the fields marked (sema) and leaves the rest alone.
// Each node carries the span of source it was written in.
#ifndef DP_AST_H
#define DP_AST_H

#include "support/support.h"

typedef struct Type Type;     // sema/types.h
typedef struct Size Size;     // sema/types.h
typedef struct Symbol Symbol; // sema/sema.h
typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef struct TypeExpr TypeExpr;
typedef struct FnDecl FnDecl;
typedef struct StructDecl StructDecl;
typedef struct Module Module;
typedef VEC(Expr *) ExprVec;
typedef VEC(Stmt *) StmtVec;
typedef VEC(TypeExpr *) TypeExprVec;

// ---- types as written ------------------------------------------------------------------------------------------

typedef enum TypeExprKind {
  TYPEX_NAME,  // int, f64, real, Linear[d]
  TYPEX_ARRAY, // [n, m]T
  TYPEX_GROW,  // [*]T
  TYPEX_TUPLE, // (A, B)
  TYPEX_FN,    // fn(A, B) -> C
  TYPEX_ERROR,
} TypeExprKind;

struct TypeExpr {
  TypeExprKind kind;
  Loc loc;
  Name name;         // NAME
  ExprVec sizes;     // NAME: size arguments; ARRAY: sizes; EXPR_HOLE for `_`, a size that is whatever it is
  TypeExpr *elem;    // ARRAY, GROW
  TypeExprVec parts; // TUPLE, FN's parameters
  TypeExpr *result;  // FN; NULL for none
  Type *type;        // (sema)
};

// ---- expressions -----------------------------------------------------------------------------------------------

typedef enum ExprKind {
  EXPR_ERROR, // parse error, already reported
  EXPR_INT,
  EXPR_FLOAT,
  EXPR_BOOL,
  EXPR_STRING, // with holes
  EXPR_NAME,
  EXPR_HOLE, // `_` in sizes
  EXPR_UNARY,
  EXPR_BINARY,
  EXPR_FIELD, // a.name, a.0, module.name
  EXPR_INDEX, // a[i, j..k, ..]
  EXPR_RANGE, // a..b, a.., ..b, ..   (only within an index, or after `in`)
  EXPR_CALL,
  EXPR_IF,     // if c { a } else { b }
  EXPR_BLOCK,  // { statements; value }
  EXPR_ARRAY,  // [a, b, c]
  EXPR_COMP,   // [for i in r, j in s: e]
  EXPR_REDUCE, // sum(for i in r: e), prod, min, max
  EXPR_TUPLE,  // (a, b); (x: a, y: b) does not exist: names come from derivatives
  EXPR_STRUCT, // Linear { w: a, b: c }
  EXPR_LAMBDA, // fn(x, y: f64) => e
} ExprKind;

typedef enum UnaryOp { UNARY_NEG, UNARY_NOT } UnaryOp;

typedef enum BinaryOp {
  BIN_ADD,
  BIN_SUB,
  BIN_MUL,
  BIN_DIV,
  BIN_POW,
  BIN_MATMUL,
  BIN_EQ,
  BIN_NE,
  BIN_LT,
  BIN_LE,
  BIN_GT,
  BIN_GE,
  BIN_AND,
  BIN_OR,
} BinaryOp;

typedef enum ReduceOp { REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX } ReduceOp;

typedef struct StringPart { // text, then (unless it is the last part) a hole
  const char *text;         // escapes resolved
  Expr *hole;               // NULL in the last part
  const char *spec;         // after ':' in the hole, "" if none
} StringPart;

typedef struct Iter { // `i in a..b step s`, `i in reverse a..b`, `x in xs`
  Name name;          // the loop variable; `_` is allowed
  Loc name_loc;
  Expr *over; // an EXPR_RANGE, or an array
  Expr *step; // NULL: 1
  bool reverse;
  Symbol *symbol; // (sema)
} Iter;

typedef struct Arg {
  Name name; // NULL: by position
  Loc name_loc;
  bool is_inout;
  Expr *value;
} Arg;

typedef struct FieldInit {
  Name name;
  Loc name_loc;
  Expr *value;
} FieldInit;

typedef struct Param {
  Name name;
  Loc loc;        // of the name
  TypeExpr *type; // NULL in a lambda that leaves it out
  Expr *def;      // default value, NULL if none
  bool is_inout;
  Symbol *symbol; // (sema)
} Param;
typedef VEC(Param) ParamVec;

// (sema) What a call means.
typedef enum CallKind {
  CALL_UNRESOLVED,
  CALL_FN,      // a declared function: fn, args_by_param
  CALL_BUILTIN, // a built-in: builtin (sema/builtins.def), args_by_param
  CALL_VALUE,   // a function value: a parameter, a lambda, a derivative expression; args_by_param
} CallKind;

struct Expr {
  ExprKind kind;
  Loc loc;
  Type *type; // (sema) never NULL afterwards; the error type where something is wrong
  Size *size; // (sema) of an int expression: its value in terms of sizes; NULL if it has none
  union {
    int64_t int_value;
    struct {
      double value;
      const char *text; // as written: f32 literals are read from the text
    } flt;
    bool bool_value;
    VEC(StringPart) string;
    struct {
      Name name;
      Symbol *symbol; // (sema)
    } name;
    struct {
      UnaryOp op;
      Expr *arg;
    } unary;
    struct {
      BinaryOp op;
      Expr *left, *right;
      Loc op_loc;
    } binary;
    struct {
      Expr *base;
      Name name; // "0", "1" for a tuple's parts
      Loc name_loc;
      int index;      // (sema) of the field or part; -1: a module member
      Symbol *symbol; // (sema) the module member
    } field;
    struct {
      Expr *base;
      ExprVec idx; // EXPR_RANGE for slices; an int array gathers
    } index;
    struct {
      Expr *lo, *hi; // NULL: from the start, to the end
    } range;
    struct {
      Expr *callee;
      VEC(Arg) args;
      CallKind kind;        // (sema)
      FnDecl *fn;           // (sema)
      int builtin;          // (sema)
      Expr **args_by_param; // (sema) one per parameter, defaults filled in; n_params of them
      int n_params;         // (sema)
      struct Deriv *deriv;  // (sema) of a derivative expression such as grad(f, wrt: m)
    } call;
    struct {
      Expr *cond, *then,
          *els; // branches are EXPR_BLOCK (or a further EXPR_IF in els); els NULL in a statement
    } if_;
    struct {
      StmtVec stmts;
      Expr *value; // NULL: no value
    } block;
    struct {
      ExprVec elems;
    } array, tuple;
    struct {
      VEC(Iter) iters;
      Expr *body;
      ReduceOp op; // REDUCE
    } comp;
    struct {
      Name name, module; // module NULL or as in `m.Linear`
      Loc name_loc;
      VEC(FieldInit) fields;
      StructDecl *decl; // (sema)
    } strukt;
    struct {
      ParamVec params;
      Expr *body;
      FnDecl *enclosing; // (sema)
    } lambda;
  };
};

// ---- statements ------------------------------------------------------------------------------------------------

typedef enum StmtKind {
  STMT_ERROR,
  STMT_LET,    // let / var, with a pattern
  STMT_ASSIGN, // =, +=, -=, *=, /=
  STMT_EXPR,   // a call, or an if without value
  STMT_FOR,
  STMT_WHILE,
  STMT_BREAK,
  STMT_CONTINUE,
  STMT_RETURN,
  STMT_ASSERT,
} StmtKind;

typedef enum AssignOp { ASSIGN_SET, ASSIGN_ADD, ASSIGN_SUB, ASSIGN_MUL, ASSIGN_DIV } AssignOp;

typedef struct Pattern { // x, or (a, (b, _))
  Name name;             // NULL: a tuple pattern; `_` binds nothing
  Loc loc;
  VEC(struct Pattern *) parts;
  Symbol *symbol; // (sema)
} Pattern;

typedef enum CheckpointKind { CHECKPOINT_NONE, CHECKPOINT_EVERY, CHECKPOINT_SLOTS } CheckpointKind;

struct Stmt {
  StmtKind kind;
  Loc loc;
  union {
    struct {
      bool is_var;
      Pattern *pattern;
      TypeExpr *type; // NULL: inferred
      Expr *init;
    } let;
    struct {
      AssignOp op;
      Expr *target; // a name, field, element, row or slice; a tuple of those for `(a, b) = ...`
      Expr *value;
    } assign;
    Expr *expr;
    struct {
      Iter iter;
      Expr *body; // EXPR_BLOCK
      CheckpointKind checkpoint;
      int64_t checkpoint_n;
    } for_;
    struct {
      Expr *cond, *body;
    } while_;
    struct {
      Expr *value; // NULL: none; `return a, b` makes a tuple
    } return_;
    struct {
      Expr *cond, *message; // message NULL: none
    } assert_;
  };
};

// ---- declarations ----------------------------------------------------------------------------------------------

typedef enum FnKind {
  FN_PLAIN,
  FN_EXTERN,  // body elsewhere; symbol, and whether it takes dp's slot convention
  FN_ADJOINT, // the user's rule for reverse mode: returns the value and what pulls a derivative back
  FN_TANGENT, // the user's rule for forward mode
} FnKind;

struct FnDecl {
  FnKind kind;
  Name name;
  Loc loc, name_loc;
  const char *doc; // the /// lines, NULL if none
  ParamVec params;
  TypeExpr *result;  // NULL: none, or inferred for `= e`
  Expr *body;        // EXPR_BLOCK, or the expression after `=`; NULL for an extern
  bool expr_body;    // written with `=` or `=>`
  bool lacks_result; // no result type, but a `return` with a value: its calls are no mistakes
  bool broken;       // its parameters could not all be read: its calls are not compared with them
  Name symbol;       // extern: the C symbol (defaults to the name)
  bool slots;        // extern: `@slots` runtime convention
  bool pure;         // extern: `@pure`
  Module *module;
  struct Signature *sig;               // (sema)
  FnDecl *adjoint_rule, *tangent_rule; // (sema) of this function
};

typedef struct FieldDecl {
  Name name;
  Loc loc;
  const char *doc;
  TypeExpr *type;
} FieldDecl;

struct StructDecl {
  Name name;
  Loc loc, name_loc;
  const char *doc;
  VEC(Name) sizes; // size parameters
  VEC(FieldDecl) fields;
  Module *module;
  Symbol **size_symbols; // (sema)
  Type **field_types;    // (sema) in terms of size_symbols
  bool checked;          // (sema)
  int leaves, depth;     // (sema) as of a type
};

typedef struct Import {
  const char *path; // "model.dp", or the name of a standard module such as linalg
  bool is_std;
  Name alias; // `as` name; the module's name for a standard one
  Loc loc, path_loc;
  Module *module; // filled by the loader
} Import;

struct Module {
  const char *path;
  int file; // index into Sources
  Name name;
  bool is_std; // the prelude or a standard module: may overload names
  VEC(Import) imports;
  VEC(FnDecl *) fns; // rules and externs included
  VEC(StructDecl *) structs;
  VEC(Name) lost;    // names that declarations with mistakes would have given: their uses are no mistakes
  VEC(Loc) comments; // ordinary comments, in order, for the formatter
};

// ---- lexer.c, parser.c, print.c ----------------------------------------------------------------------------------

// Parses one file already in sources. Always returns a module; mistakes are in diags. Nesting deeper than a fixed
// limit is a diagnostic (DIAG_NESTING), so no input exhausts the stack.
Module *parse_module(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags);
// The same for a file that is one expression; NULL after a mistake.
Expr *parse_expression_text(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags);

// The tree as indented text, one node a line with its span's line:col and, after sema, its type (emit --stage ast).
void ast_dump(const Module *m, const Sources *sources, StrBuf *out);
// The tree as dp source (the formatter's base, and how the IR printer's output is laid out).
void ast_print_expr(const Expr *e, StrBuf *out);
void ast_print_type(const TypeExpr *t, StrBuf *out);

const char *unary_op_text(UnaryOp op);
const char *binary_op_text(BinaryOp op);
int binary_op_precedence(BinaryOp op);

// Implemented by sema/types.c and handed to ast_dump through this hook, so that syntax does not depend on sema.
typedef void TypePrinter(const Type *t, StrBuf *out);
void ast_dump_typed(const Module *m, const Sources *sources, StrBuf *out, TypePrinter *print_type);

#endif
