// Any bytes, read as choices: a program whose checks all hold. Built and run by `./dev fuzz`.
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { ROOM = 1 << 16, MOST = 400 };
  static char why[ROOM];
  ProgramStats stats = {0};
  if (program_check(data, size < MOST ? size : MOST, false, &stats, why, ROOM)) return 0;
  fprintf(stderr, "%s\n", why);
  abort();
}
