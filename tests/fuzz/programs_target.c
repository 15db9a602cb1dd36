// Any bytes, read as choices: a program whose checks all hold. Built and run by `./dev fuzz`.
#include "program_oracle.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { ROOM = 1 << 16, MOST = 200 };
  static char why[ROOM];
  OracleStats stats = {0};
  Outcome exact;
  if (oracle_judge((ProgramSeed){data, size < MOST ? size : MOST}, &exact, &stats, why, ROOM)) return 0;
  fprintf(stderr, "%s\n", why);
  abort();
}
