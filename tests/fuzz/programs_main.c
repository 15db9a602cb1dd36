// programs [--seed N|now] [--count N] [--seconds N] [--bytes N] [--machine EVERY] [--first] [--verbose]
//
// Checks random programs, one for each seed from N on, until `count` are done or the time is over: all of them by the oracle,
// every so many of them as machine code too, a lot at a time. A program that fails is made as small as it goes and shown with
// its seed; with --first it is only named, and the run ends. `--seed N --count 1 --machine 1` checks one alone, in every way that
// lots take turns in; --machine 0 without machine code, which gives the seed another program, a larger one.
#include "program_lot.h"
#include "program_oracle.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BYTES = 400, LEAST_BYTES = 8, FEW_BYTES = 32, ROOM = 1 << 18, SHRINK_SECONDS = 20, MOST_FAILURES = 5 };

typedef struct Fuzz {
  long seed, count, seconds, bytes, machine;
  bool verbose, first;
  OracleStats oracle;
  ProgramStats code;
  int failures;
  char *why, *other;
  // the next lot for the machine
  uint8_t kept[LOT][BYTES];
  ProgramSeed seeds[LOT];
  long numbers[LOT];
  Outcome exact[LOT];
  int n_kept, n_lots;
} Fuzz;

// All is well as far as the oracle looks, and as machine code if the program is to be run as such.
static bool passes(Fuzz *z, ProgramSeed seed, bool code, char *why) {
  Outcome exact;
  return oracle_judge(seed, &exact, &z->oracle, why, ROOM) &&
         (!code || isnan(exact.value) || programs_check(&seed, &exact, 1, 0, &z->code, why, ROOM));
}

static bool still_fails(Fuzz *z, const uint8_t *bytes, size_t n, bool code) {
  if (passes(z, (ProgramSeed){bytes, n}, code, z->other)) return false;
  strcpy(z->why, z->other);
  return true;
}

// Shorter, with a piece cut out, with a piece zeroed: whatever still fails is kept, as long as there is time.
static void shrink(Fuzz *z, uint8_t *bytes, size_t n, bool code) {
  uint8_t try[BYTES];
  OracleStats oracle = z->oracle;
  ProgramStats stats = z->code;
  time_t end = time(NULL) + SHRINK_SECONDS;
  for (size_t piece = n / 2; piece > 0; piece /= 2)
    for (size_t at = 0; at + piece <= n && time(NULL) < end;) {
      memcpy(try, bytes, at);
      memcpy(try + at, bytes + at + piece, n - at - piece);
      if (still_fails(z, try, n - piece, code)) {
        n -= piece;
        memcpy(bytes, try, n);
        continue;
      }
      memcpy(try, bytes, n);
      memset(try + at, 0, piece);
      if (memcmp(try, bytes, n) != 0 && still_fails(z, try, n, code)) memcpy(bytes, try, n);
      at += piece;
    }
  z->oracle = oracle;
  z->code = stats;
}

static void show(Fuzz *z, long number, uint8_t *bytes, size_t n, bool code) {
  z->failures++;
  if (z->first) z->why[strcspn(z->why, "\n")] = 0;
  if (!z->first) shrink(z, bytes, n, code);
  printf("seed %ld: %s\n", number, z->why);
  fflush(stdout);
}

static int most_failures(const Fuzz *z) { return z->first ? 1 : MOST_FAILURES; }

// The programs of a lot that fails, each alone.
static void look_closer(Fuzz *z) {
  ProgramStats stats = z->code;
  int before = z->failures;
  strcpy(z->other, z->why);
  for (int k = 0; k < z->n_kept && z->failures < most_failures(z); k++)
    if (!programs_check(&z->seeds[k], &z->exact[k], 1, 0, &z->code, z->why, ROOM))
      show(z, z->numbers[k], z->kept[k], z->seeds[k].n, true);
  z->code = stats;
  if (z->failures > before) return;
  z->failures++;
  printf("seeds %ld to %ld fail together, and none alone: %s\n", z->numbers[0], z->numbers[z->n_kept - 1],
         z->other);
  fflush(stdout);
}

static void check_lot(Fuzz *z) {
  if (z->verbose) fprintf(stderr, "seeds %ld to %ld\n", z->numbers[0], z->numbers[z->n_kept - 1]);
  if (!programs_check(z->seeds, z->exact, z->n_kept, z->n_lots++, &z->code, z->why, ROOM)) look_closer(z);
  z->n_kept = 0;
}

static void keep(Fuzz *z, long number, ProgramSeed seed, const Outcome *exact) {
  int k = z->n_kept++;
  memcpy(z->kept[k], seed.bytes, seed.n);
  z->seeds[k] = (ProgramSeed){z->kept[k], seed.n};
  z->numbers[k] = number;
  z->exact[k] = *exact;
  if (z->n_kept == LOT) check_lot(z);
}

// As machine code most are small: they cost half as much, and find as much.
static size_t size_of(const Fuzz *z, const uint8_t bytes[BYTES], bool code) {
  int which = bytes[BYTES - 1], some = bytes[BYTES - 2];
  if (code && which % 8) return (size_t)(LEAST_BYTES + some % (FEW_BYTES - LEAST_BYTES));
  return (size_t)(FEW_BYTES + some % (z->bytes - FEW_BYTES));
}

static void one(Fuzz *z, long number) {
  uint8_t bytes[BYTES];
  bool code = z->machine > 0 && number % z->machine == 0;
  program_bytes((uint64_t)number, bytes, sizeof bytes);
  ProgramSeed seed = {bytes, size_of(z, bytes, code)};
  Outcome exact;
  if (z->verbose) fprintf(stderr, "seed %ld\n", number);
  if (!oracle_judge(seed, &exact, &z->oracle, z->why, ROOM))
    show(z, number, bytes, seed.n, false);
  else if (code && isfinite(exact.value))
    keep(z, number, seed, &exact);
}

static void report(const Fuzz *z) {
  static const char *const names[] = {
#define FEATURE_TEXT(name, text) text,
      PROGRAM_FEATURES(FEATURE_TEXT)};
  const OracleStats *o = &z->oracle;
  printf("%ld programs: %d failed; %ld not finite, %ld too long, %ld at a kink, %ld without reverse over "
         "reverse\n",
         o->programs, z->failures, o->infinite, o->endless, o->kinks, o->refused);
  printf("%ld of them as machine code: %ld not finite\n", z->code.programs, z->code.infinite);
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
  z->n_lots = (int)(z->seed / 1000 % 24); // where the ways begin
  z->why = malloc(ROOM);
  z->other = malloc(ROOM);
  if (!z->why || !z->other || z->bytes <= FEW_BYTES || z->bytes > BYTES) return 2;
  // Every program takes and gives back the same memory.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  time_t start = time(NULL);
  for (long k = 0; k < z->count && (!z->seconds || time(NULL) - start < z->seconds); k++) {
    one(z, z->seed + k);
    if (z->failures >= most_failures(z)) break;
  }
  if (z->n_kept) check_lot(z);
  report(z);
  int status = z->failures > 0;
  free(z->why);
  free(z->other);
  free(z);
  return status;
}
