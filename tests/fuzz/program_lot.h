// Several random programs (program_text.h) as one text, so that what a compilation costs by itself is paid once for all.
//
// Program k, from 0 on, is the function f_<k>. Nothing joins two programs in one function: what calls them is recursive, as far
// as the compiler can see.
#ifndef DP_PROGRAM_LOT_H
#define DP_PROGRAM_LOT_H

#include "program_inputs.h"
#include "support/support.h"

enum { LOT = 16 };

// The functions of a lot, each with the inputs as its parameters and after them `which: int`, the program's number, and
// `again: int`, which must be 0.
typedef enum LotEntry {
  LOT_DERIVATIVES, // derivatives: value and gradient, as eight results
  LOT_VALUES,      // values: the value
  LOT_ADJOINTS,    // adjoints: what the printed adjoint of each program gives, f_<k>_adjoint; eight results
  N_LOT_ENTRIES
} LotEntry;

const char *lot_entry_name(LotEntry e);
void lot_add_programs(StrBuf *out, const ProgramSeed *seeds, int n);
void lot_add_entry(StrBuf *out, LotEntry e, int n);
// fn main(): prints value and gradient of each program that is `wanted`, at its inputs.
void lot_add_main(StrBuf *out, const Inputs *in, const bool *wanted, int n);

#endif
