// Judges of IR functions, for tests: each returns NULL, or what is wrong as a text that says where.
#ifndef DP_IR_JUDGE_H
#define DP_IR_JUDGE_H

#include "ir/ir.h"

// Makes a fresh module with the function that is judged; the same one each time.
typedef struct JudgeSubject {
  IrModule *(*make)(void *user, Arena *a, Interner *names, const Sources *sources);
  void *user;
  const char *name; // of the function
  uint64_t seed;    // of the arguments
} JudgeSubject;

typedef struct JudgeStats {
  int programs, skipped; // skipped: did not come to an end, or to finite numbers
  int derivatives, second, refused;
} JudgeStats;

typedef enum JudgeWhat {
  JUDGE_PASSES = 1,  // each pass alone and the pipeline keep every bit
  JUDGE_FIRST = 2,   // both modes against each other and against differences
  JUDGE_SECOND = 4,  // the same for the derivatives
  JUDGE_MEMORY = 8,  // after the memory pass each array ends once on every path
  JUDGE_SOURCE = 16, // the derivatives, printed as dp source, parse
  JUDGE_ALL = 31
} JudgeWhat;

const char *judge(Arena *a, const JudgeSubject *s, unsigned what, JudgeStats *stats);

// A function after the memory pass: every array is used up, handed out or freed exactly once on every path, by the region
// that owns it, and not used afterwards.
const char *judge_linear(Arena *a, const IrFunc *f);

#endif
