// Checks of random programs (program_text.h) as machine code. See program_oracle.h for those without.
#ifndef DP_PROGRAMS_H
#define DP_PROGRAMS_H

#include "program_inputs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ProgramStats {
  long programs, infinite, native;
} ProgramStats;

typedef struct Outcome {
  double value, grad[MAX_FLOATS]; // by float of the inputs
} Outcome;

typedef struct ProgramSeed { // what a program is made from
  const uint8_t *bytes;
  size_t n;
} ProgramSeed;

// Compiles the program and compares its value and gradient under --strict-fp at -O0, at -O3 and from the printed adjoint,
// compiled again: the same bits; and at -O2 without --strict-fp, to 1e-12. Rounding alone may take more where it takes as much
// from the strict ones: `exact` says how much. *out: the strict ones. True if all is well; else `why` says what is wrong and
// with which program.
bool program_check(ProgramSeed seed, const Outcome *exact, Outcome *out, ProgramStats *stats, char *why,
                   size_t room);

// The programs as one executable, which must print what `want` says to the bit. The number of the first that does not, or n.
enum { NATIVE_BATCH = 16 };
int programs_native(const ProgramSeed *seeds, const Outcome *want, int n, ProgramStats *stats, char *why,
                    size_t room);

#endif
