// JIT: machine code in this process. In: a module from codegen. Out: callable addresses.
#ifndef DP_JIT_H
#define DP_JIT_H

#include "codegen/codegen.h"

typedef struct Jit Jit;

typedef struct JitSymbol { // host functions and data a program may call
  const char *name;
  void *address;
} JitSymbol;

// Takes the module over, success or not. NULL and *why (malloc'ed in the arena) on failure, such as an unknown extern.
Jit *jit_new(Arena *a, CgModule *cg, const JitSymbol *symbols, int n, const char **why);
void *jit_address(Jit *j, const char *symbol, const char **why); // NULL and *why if there is none
void jit_free(Jit *j);

#endif
