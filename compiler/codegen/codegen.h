// Code generation: IR after the memory pass -> LLVM module -> object code. The only folders that include llvm-c are
// this one and jit/; their types stay out of this header.
//
// In: a verified module in which every array operation that uses up its operand finds it dead (opt/memory.c), no DCALL.
// Out: machine code. Each exported function `f` becomes the symbol `dp.f` in the slot convention of dprt.h; a program's
// main also becomes C's `main` when an executable is made. An object is linked with libdprt.a and -lm.
//
// In the slots of an exported function the size parameters do not appear: each is read off the first array that has it
// among its sizes, and the other arrays with it are compared. One that no array has is an int slot, before all others.
// Inout arrays (IrLeaf.moved) are copied on the way in. On failure everything allocated during the call is released.
#ifndef DP_CODEGEN_H
#define DP_CODEGEN_H

#include "ir/ir.h"

typedef struct CgOptions {
  int opt_level;     // 0..3
  const char *cpu;   // "native", "x86-64-v3", ... as LLVM names them
  bool strict_fp;    // no contraction, no reassociation
  bool precise_math; // elementary functions within 1 ULP (the kernels all are)
  bool debug_info;   // line tables through DIBuilder
  int lanes;         // how many iterations of loops run side by side wherever they can; 0: as many as pay
} CgOptions;

// How the program's main is called: its options, with defaults.
typedef struct CgMainParam {
  const char *name, *help; // help may be NULL
  IrElem elem;             // bool, int, f32, f64, string
  bool has_default;
  union {
    int64_t i;
    double f;
    const char *s;
  } def;
} CgMainParam;

typedef struct CgMain {
  Name func; // exported function in the module
  const CgMainParam *params;
  int n_params;
  const char *program; // name for the usage text
} CgMain;

typedef struct CgModule CgModule; // an LLVM module with its context and target machine

enum { CG_MOST_LANES = 64 };
// How many floats the machine computes at once (IrModule.lanes), or those that the options ask for; 0 with strict_fp, which
// fixes the order of sums, or without optimisation.
int cg_lanes(const CgOptions *opt);
// NULL and *why (owned by the arena) if LLVM refuses (unknown cpu, a module that does not verify: our bug).
CgModule *cg_module(Arena *a, const IrModule *m, const CgOptions *opt, const CgMain *main, const char **why);
bool cg_optimize(CgModule *cg, const char **why); // LLVM's passes for the level
const char *cg_print_llvm(Arena *a, CgModule *cg);
const char *cg_print_asm(Arena *a, CgModule *cg, const char **why);
const void *cg_object(Arena *a, CgModule *cg, size_t *len, const char **why); // ELF relocatable
void cg_free(CgModule *cg);

// For jit/: the LLVMTargetMachineRef, as void * to keep llvm-c out of here; ownership moves, and no code comes after.
void *cg_take_machine(CgModule *cg);
static inline const char *cg_export_symbol(Arena *a, Name func) { return arena_printf(a, "dp.%s", func); }
StrVec cg_exports(Arena *a, CgModule *cg); // the symbols of all functions that can be called

#endif
