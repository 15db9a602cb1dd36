// programs [--seed N] [--count N] [--seconds N] [--native EVERY] [--verbose]
//
// Checks random programs, one for each seed from N on, until `count` are done or the time is over. A program that fails is
// made as small as it goes and shown with its seed.
#include "program_text.h"
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 360, ROOM = 1 << 16, SHRINK_SECONDS = 15 };

// Shorter, with a piece cut out, with a piece zeroed: whatever still fails is kept, as long as there is time.
static size_t shrink(uint8_t *bytes, size_t n, bool native, char *why) {
  ProgramStats ignored = {0};
  uint8_t try[BYTES];
  char *other = malloc(ROOM);
  time_t end = time(NULL) + SHRINK_SECONDS;
  for (size_t piece = n / 2; other && piece > 0; piece /= 2) {
    for (size_t at = 0; at + piece <= n && time(NULL) < end;) {
      memcpy(try, bytes, at);
      memcpy(try + at, bytes + at + piece, n - at - piece);
      if (!program_check(try, n - piece, native, &ignored, other, ROOM)) {
        n -= piece;
        memcpy(bytes, try, n);
        strcpy(why, other);
        continue;
      }
      memcpy(try, bytes, n);
      memset(try + at, 0, piece);
      if (memcmp(try, bytes, n) != 0 && !program_check(try, n, native, &ignored, other, ROOM)) {
        memcpy(bytes, try, n);
        strcpy(why, other);
      }
      at += piece;
    }
  }
  free(other);
  return n;
}

static long number(int argc, char **argv, const char *name, long otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], name)) return atol(argv[i + 1]);
  return otherwise;
}

int main(int argc, char **argv) {
  long seed = number(argc, argv, "--seed", 1), count = number(argc, argv, "--count", 200);
  long seconds = number(argc, argv, "--seconds", 0), every = number(argc, argv, "--native", 25);
  bool verbose = argc > 1 && !strcmp(argv[argc - 1], "--verbose");
  time_t start = time(NULL);
  ProgramStats stats = {0};
  char *why = malloc(ROOM);
  if (!why) return 2;
  int failures = 0;
  for (long k = 0; k < count && (!seconds || time(NULL) - start < seconds) && failures < 5; k++) {
    uint8_t bytes[BYTES];
    program_bytes((uint64_t)(seed + k), bytes, sizeof bytes);
    size_t n = 60 + (size_t)(seed + k) % (BYTES - 60);
    bool native = every > 0 && k % every == every - 1;
    if (verbose) fprintf(stderr, "seed %ld\n", seed + k);
    if (program_check(bytes, n, native, &stats, why, ROOM)) continue;
    failures++;
    shrink(bytes, n, native, why);
    printf("seed %ld: %s\n", seed + k, why);
    fflush(stdout);
  }
  printf("%d programs: %d refused, %d not finite, %d at a kink, %d as executables; %d failed\n",
         stats.programs, stats.refused, stats.infinite, stats.kinks, stats.native, failures);
  free(why);
  return failures > 0;
}
