// Checks of one random program (program_text.h), in this process.
#ifndef DP_PROGRAMS_H
#define DP_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ProgramStats {
  int programs, refused, infinite, kinks, native;
} ProgramStats;

// Makes the program of these bytes and compares
//   - its value and gradient at -O0 and -O3 under --strict-fp, bit by bit, and at -O2, nearly;
//   - reverse mode with forward mode, and both with differences in quadruple precision;
//   - the printed adjoint, compiled again, bit by bit;
//   - with `native`, an executable's output, bit by bit.
// True if all is well. Else `why` says what is wrong and with which program.
bool program_check(const uint8_t *bytes, size_t n, bool native, ProgramStats *stats, char *why, size_t room);

#endif
