// Random programs (program_text.h) judged by the oracle, without machine code: a few milliseconds each.
//
// Of every program the value and gradient, the derivative along a direction and the second derivatives along it are computed in
// quadruple precision and compared:
//   - reverse with forward mode, <g, d> = f'(x) d
//   - both with central differences of f
//   - forward over reverse with reverse over reverse, <e, H d> = <H e, d>, and with differences of the gradient
// and in one program of four the optimised derivative, rounded as compiled code rounds, with the unoptimised one, bit by bit.
#ifndef DP_PROGRAM_ORACLE_H
#define DP_PROGRAM_ORACLE_H

#include "program_text.h"
#include "programs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct OracleStats {
  long programs;
  long infinite, endless, kinks; // not judged: not finite, too long; or only in part: at a kink
  long refused;                  // reverse over reverse is
  long features[N_FEATURES];
} OracleStats;

// Judges the program; true if all is well. Else `why` says what is wrong and with which program. *exact: its value and
// gradient, NaN if there is none.
bool oracle_judge(ProgramSeed seed, Outcome *exact, OracleStats *stats, char *why, size_t room);

#endif
