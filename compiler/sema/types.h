// Types and sizes. Types are immutable and shared; compare with type_equal (sizes by value), not by pointer.
#ifndef DP_TYPES_H
#define DP_TYPES_H

#include "syntax/ast.h"

// ---- sizes: polynomials in atoms with integer coefficients, in normal form ---------------------------------------

typedef enum AtomKind {
  ATOM_SYMBOL, // a size name, or an immutable int parameter or variable
  ATOM_OPAQUE, // known only at run time: rows of a file, a slice's length
  ATOM_DIV,    // div(a, b), floored, where it does not divide evenly
} AtomKind;

typedef struct Atom {
  AtomKind kind;
  Symbol *symbol;   // SYMBOL
  int id;           // OPAQUE: unique
  Loc origin;       // OPAQUE: where it came from, for messages
  const char *what; // OPAQUE: "the rows of the file", for messages
  Size *num, *den;  // DIV
} Atom;

typedef struct Term { // coef * product of atoms (sorted)
  int64_t coef;
  const Atom **atoms;
  int n_atoms;
} Term;

struct Size { // sum of terms, sorted, no zero coefficients; no terms: 0
  Term *terms;
  int n_terms;
};

typedef enum SizeOrder { SIZE_EQUAL, SIZE_DIFFERENT, SIZE_UNKNOWN } SizeOrder;

Size *size_const(Arena *a, int64_t v);
Size *size_symbol(Arena *a, Symbol *s);
Size *size_opaque(Arena *a, int id, Loc origin, const char *what);
Size *size_add(Arena *a, const Size *x, const Size *y);
Size *size_sub(Arena *a, const Size *x, const Size *y);
Size *size_mul(Arena *a, const Size *x, const Size *y);
Size *size_div(Arena *a, const Size *x, const Size *y);
bool size_is_const(const Size *s, int64_t *out);
SizeOrder size_compare(const Size *x,
                       const Size *y); // DIFFERENT only if they differ for every value of the atoms
typedef struct SizeBinding {
  Symbol *symbol;
  Size *size;
} SizeBinding;
typedef VEC(SizeBinding) SizeSubst;
Size *size_subst(Arena *a, const Size *s, const SizeSubst *subst);
void size_print(const Size *s, StrBuf *out);

// ---- types -------------------------------------------------------------------------------------------------------

typedef enum TypeKind {
  TYPE_ERROR, // poisoned: agrees with everything, reported already
  TYPE_VOID,
  TYPE_BOOL,
  TYPE_INT,
  TYPE_F32,
  TYPE_F64,
  TYPE_REAL, // f32 or f64, the same throughout one signature
  TYPE_STR,
  TYPE_ARRAY,
  TYPE_GROW,
  TYPE_STRUCT,
  TYPE_TUPLE,
  TYPE_FN,
} TypeKind;

struct Type {
  TypeKind kind;
  Type *elem;       // ARRAY, GROW: scalar, struct or tuple of scalars; never an array (ranks are flattened)
  int rank;         // ARRAY
  Size **dims;      // ARRAY: rank of them
  StructDecl *decl; // STRUCT
  Size **sizes;     // STRUCT: one per size parameter of decl
  Type **parts;     // TUPLE, FN's parameters
  Name *names;      // TUPLE: names of the parts (derivatives by several parameters), else NULL
  int n_parts;
  Type *result;      // FN
  int leaves, depth; // how much it holds and how deeply, up to a limit; 0: one scalar
  struct Signature
      *scheme; // FN: when the value is a declared function or a derivative of one: its size variables
};

const char *type_text(Arena *a, const Type *t); // as the user would write it: "[n, m]f64"
void type_print(const Type *t, StrBuf *out);
bool type_equal(const Type *a, const Type *b); // sizes that may be equal count as equal
Type *type_subst(Arena *a, Type *t, const SizeSubst *subst,
                 Type *real);        // real: what TYPE_REAL becomes, NULL: stays
bool type_is_float(const Type *t);   // f32, f64, real
bool type_is_numeric(const Type *t); // int or float
bool type_holds_floats(
    const Type *t); // differentiable by: a float, or an array, struct or tuple that holds one

// How many IR leaves a type flattens to, in order: a scalar or an array is one; a struct or tuple its parts; an array of
// structs one array per field. Function types have none.
int type_leaf_count(const Type *t);

#endif
