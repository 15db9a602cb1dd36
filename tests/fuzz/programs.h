// Checks of random programs (program_text.h) as machine code. See program_oracle.h for those without.
#ifndef DP_PROGRAMS_H
#define DP_PROGRAMS_H

#include "program_inputs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ProgramStats {
  long programs, infinite; // checked; and given up, as not finite in double precision
} ProgramStats;

typedef struct Outcome {
  double value, grad[MAX_FLOATS]; // by float of the inputs
  double turn;                    // the exact one: how fast the gradient changes, 0 if that is not known
} Outcome;

// Compiles the n programs, at most LOT (program_lot.h), and compares value and gradient of each:
//   - under --strict-fp at -O0, at -O3, of the printed adjoint compiled again, and of an executable: the same bits
//   - at -O2 without --strict-fp, to 1e-12. Rounding alone may take more where it takes as much from the strict ones: `exact`
//     says how much
// The lanes of the latter, the level of the printed adjoint, the executable's and whether the value alone is asked for differ
// from `way` to way; a program alone is checked in all of them. True if all is well; else `why` says what is wrong.
bool programs_check(const ProgramSeed *seeds, const Outcome *exact, int n, int way, ProgramStats *stats,
                    char *why, size_t room);

#endif
