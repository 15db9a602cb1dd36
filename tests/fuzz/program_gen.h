// The generator of random programs, inside: what its files share. program_text.c writes functions, program_statements.c
// statements, program_expressions.c expressions, variables and the choices that everything is read from.
#ifndef DP_PROGRAM_GEN_H
#define DP_PROGRAM_GEN_H

#include "program_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum VarKind {
  VAR_SCALAR,
  VAR_ARRAY,
  VAR_MATRIX,
  VAR_STRUCT,
  VAR_RECORDS,
  VAR_INDEX,
  VAR_SINGLE,
  VAR_SINGLES
} VarKind;

enum { MAX_VARS = 96, NAME_BYTES = 32, MAX_DEPTH = 3, MAX_STATEMENTS = 24, MAX_FUNCTIONS = 3 };

typedef struct Var {
  VarKind kind;
  bool changes;
  char name[NAME_BYTES];
} Var;

// A function of the program, (x, y, v, m, p, idx, k) -> f64, or an inout one, (inout v, x, k).
typedef struct GenFunction {
  char name[NAME_BYTES];
  bool updates, recursive;
} GenFunction;

typedef struct Gen {
  const uint8_t *bytes;
  size_t n, at;
  char *text;
  size_t len, cap;
  bool failed;
  char suffix[12]; // of the program's functions
  unsigned features;
  Var vars[MAX_VARS];
  int n_vars, fresh, indent;
  GenFunction functions[MAX_FUNCTIONS]; // that may be called
  int n_functions;
  int loops;      // around what is being written
  int left;       // statements
  bool helpers;   // may be called: not within lambdas
  bool may_leave; // `return` is allowed here
  bool no_result; // and it is without a value
} Gen;

// ---- program_expressions.c ---------------------------------------------------------------------------------------

int choose(Gen *g, int n);
void put(Gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void start_line(Gen *g);
void declare(Gen *g, VarKind kind, bool changes, const char *name);
void fresh(Gen *g, char out[NAME_BYTES], char letter);
const Var *pick(Gen *g, VarKind kind, bool changes); // NULL: there is none
void index_in_range(Gen *g);
void scalar(Gen *g, int depth);
void array(Gen *g, int depth);  // a vector of n elements
void single(Gen *g, int depth); // an f32
void condition(Gen *g, int depth);
// A call of one of the program's functions that give a float; false: there is none.
bool call_function(Gen *g, int depth);
void call_by_name(Gen *g, const char *name, int depth, const char *k);

// ---- program_statements.c ----------------------------------------------------------------------------------------

void block(Gen *g, int depth);
void insist(Gen *g, unsigned feature); // a statement that has this feature

#endif
