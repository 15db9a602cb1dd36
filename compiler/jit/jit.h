// JIT: machine code in memory. In: a module from codegen. Out: callable addresses.
#ifndef DP_JIT_H
#define DP_JIT_H

#include "codegen/codegen.h"

typedef struct Jit Jit; // the addresses of a module's functions

// Where the symbols are that a module leaves open.
typedef struct JitHost {
  void *(*find)(void *user, const char *name); // NULL: nowhere
  void *user;
} JitHost;

// Takes the module over, success or not, and places its code and constants in `to`, which the caller seals before the first
// call and unmaps after the last; one that is not mapped is mapped here, as large as it must be. NULL and *why (in the
// arena) on failure, such as an unknown extern; then `to` is to be unmapped all the same.
Jit *jit_new(Arena *a, CgModule *cg, const JitHost *host, Region *to, const char **why);
void *jit_address(const Jit *j, const char *symbol); // NULL if there is none

#endif
