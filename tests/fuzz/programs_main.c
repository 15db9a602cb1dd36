// programs [--seed N|now] [--count N] [--seconds N] [--bytes N] [--machine EVERY] [--first] [--verbose]
//
// Checks random programs, one for each seed from N on, until `count` are done or the time is over: all of them by the oracle,
// every so many of them as machine code too. A program that fails is made as small as it goes and shown with its seed; with
// --first it is only named, and the run ends.
#include "program_oracle.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 400, LEAST_BYTES = 30, ROOM = 1 << 18, SHRINK_SECONDS = 20, MOST_FAILURES = 5 };

typedef struct Fuzz {
  long seed, count, seconds, bytes, machine;
  bool verbose, first;
  OracleStats oracle;
  ProgramStats code;
  int failures;
  char *why, *other;
  // programs for the next executable
  uint8_t kept[NATIVE_BATCH][BYTES];
  ProgramSeed seeds[NATIVE_BATCH];
  long numbers[NATIVE_BATCH];
  Outcome wants[NATIVE_BATCH];
  int n_kept;
} Fuzz;

typedef enum Depth { BY_ORACLE, AS_CODE, AS_EXECUTABLE } Depth;

// All is well as far as `depth` looks.
static bool passes(Fuzz *z, ProgramSeed seed, Depth depth, Outcome *strict, char *why) {
  Outcome exact;
  if (!oracle_judge(seed, &exact, &z->oracle, why, ROOM)) return false;
  if (depth == BY_ORACLE || isnan(exact.value)) return true;
  if (!program_check(seed, &exact, strict, &z->code, why, ROOM)) return false;
  return depth == AS_CODE || programs_native(&seed, strict, 1, &z->code, why, ROOM) == 1;
}

static bool still_fails(Fuzz *z, const uint8_t *bytes, size_t n, Depth depth) {
  Outcome strict;
  if (passes(z, (ProgramSeed){bytes, n}, depth, &strict, z->other)) return false;
  strcpy(z->why, z->other);
  return true;
}

// Shorter, with a piece cut out, with a piece zeroed: whatever still fails is kept, as long as there is time.
static void shrink(Fuzz *z, uint8_t *bytes, size_t n, Depth depth) {
  uint8_t try[BYTES];
  OracleStats oracle = z->oracle;
  ProgramStats code = z->code;
  time_t end = time(NULL) + SHRINK_SECONDS;
  for (size_t piece = n / 2; piece > 0; piece /= 2)
    for (size_t at = 0; at + piece <= n && time(NULL) < end;) {
      memcpy(try, bytes, at);
      memcpy(try + at, bytes + at + piece, n - at - piece);
      if (still_fails(z, try, n - piece, depth)) {
        n -= piece;
        memcpy(bytes, try, n);
        continue;
      }
      memcpy(try, bytes, n);
      memset(try + at, 0, piece);
      if (memcmp(try, bytes, n) != 0 && still_fails(z, try, n, depth)) memcpy(bytes, try, n);
      at += piece;
    }
  z->oracle = oracle;
  z->code = code;
}

static void show(Fuzz *z, long number, uint8_t *bytes, size_t n, Depth depth) {
  z->failures++;
  if (z->first) z->why[strcspn(z->why, "\n")] = 0;
  if (!z->first) shrink(z, bytes, n, depth);
  printf("seed %ld: %s\n", number, z->why);
  fflush(stdout);
}

static void make_executable(Fuzz *z) {
  int wrong = programs_native(z->seeds, z->wants, z->n_kept, &z->code, z->why, ROOM);
  z->why[strcspn(z->why, "\n")] = 0; // not all of its programs
  if (wrong < z->n_kept) show(z, z->numbers[wrong], z->kept[wrong], z->seeds[wrong].n, AS_EXECUTABLE);
  z->n_kept = 0;
}

static void keep_for_executable(Fuzz *z, long number, ProgramSeed seed, const Outcome *want) {
  int k = z->n_kept++;
  memcpy(z->kept[k], seed.bytes, seed.n);
  z->seeds[k] = (ProgramSeed){z->kept[k], seed.n};
  z->wants[k] = *want;
  z->numbers[k] = number;
  if (z->n_kept == NATIVE_BATCH) make_executable(z);
}

static void one(Fuzz *z, long number) {
  uint8_t bytes[BYTES];
  program_bytes((uint64_t)number, bytes, sizeof bytes);
  ProgramSeed seed = {bytes, (size_t)(LEAST_BYTES + number % (z->bytes - LEAST_BYTES))};
  bool code = z->machine > 0 && number % z->machine == 0;
  Outcome strict = {.value = (double)NAN};
  if (z->verbose) fprintf(stderr, "seed %ld\n", number);
  if (!passes(z, seed, code ? AS_CODE : BY_ORACLE, &strict, z->why))
    show(z, number, bytes, seed.n, code ? AS_CODE : BY_ORACLE);
  else if (code && isfinite(strict.value))
    keep_for_executable(z, number, seed, &strict);
}

static void report(const Fuzz *z) {
  static const char *const names[] = {
#define FEATURE_TEXT(name, text) text,
      PROGRAM_FEATURES(FEATURE_TEXT)};
  const OracleStats *o = &z->oracle;
  printf("%ld programs: %d failed; %ld not finite, %ld too long, %ld at a kink, %ld without reverse over "
         "reverse\n",
         o->programs, z->failures, o->infinite, o->endless, o->kinks, o->refused);
  printf("%ld of them as machine code, %ld as executables\n", z->code.programs, z->code.native);
  for (int f = 0; f < N_FEATURES; f++)
    printf("%s%s %ld%%", f ? ", " : "", names[f], 100 * o->features[f] / (o->programs ? o->programs : 1));
  printf("\n");
}

// A seed that no run before had.
static long fresh_seed(void) { return (long)(time(NULL) % 100000000) * 10000; }

static long number(int argc, char **argv, const char *name, long otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], name)) return strcmp(argv[i + 1], "now") ? atol(argv[i + 1]) : fresh_seed();
  return otherwise;
}

static bool flag(int argc, char **argv, const char *name) {
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], name)) return true;
  return false;
}

int main(int argc, char **argv) {
  Fuzz *z = calloc(1, sizeof *z);
  if (!z) return 2;
  z->seed = number(argc, argv, "--seed", 1);
  z->seconds = number(argc, argv, "--seconds", 0);
  z->count = number(argc, argv, "--count", z->seconds ? 1L << 40 : 200);
  z->bytes = number(argc, argv, "--bytes", 120);
  z->machine = number(argc, argv, "--machine", 20);
  z->verbose = flag(argc, argv, "--verbose");
  z->first = flag(argc, argv, "--first");
  z->why = malloc(ROOM);
  z->other = malloc(ROOM);
  if (!z->why || !z->other || z->bytes <= LEAST_BYTES || z->bytes > BYTES) return 2;
  // Every program takes and gives back the same memory.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  time_t start = time(NULL);
  for (long k = 0; k < z->count && (!z->seconds || time(NULL) - start < z->seconds); k++) {
    one(z, z->seed + k);
    if (z->failures >= (z->first ? 1 : MOST_FAILURES)) break;
  }
  if (z->n_kept) make_executable(z);
  report(z);
  int status = z->failures > 0;
  free(z->why);
  free(z->other);
  free(z);
  return status;
}
