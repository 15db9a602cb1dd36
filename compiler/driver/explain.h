// `dp explain`: what its files share. explain.c collects, explain_show.c prints, swell.c is `--symbolic`.
#ifndef DP_EXPLAIN_H
#define DP_EXPLAIN_H

#include "ad/ad.h"
#include "driver/command.h"
#include "driver/formula.h"

typedef struct ExValue {
  const char *name;
  int line;
  AdFate fate;
  const char *why;
  bool takes_memory;
  const Formula *each, *total; // bytes, if it does; NULL: it varies
} ExValue;
typedef VEC(ExValue) ExValues;

typedef struct ExPart {
  const char *text; // "for i in 0..n"
  const char *kind; // "for", "while", "if", "build", "body"
  int line, depth;
  const char *how; // "in the same pass", ...
  const char *why;
  ExValues values;
} ExPart;

typedef struct ExMemory { // an array of the derivative
  const char *function, *name;
  int line;
  const Formula *bytes;
  bool in_loop, on_stack, is_result;
  bool grows;      // bytes: of one element
  const char *why; // a copy was made; else what the array is for, or NULL
} ExMemory;
typedef VEC(ExMemory) ExMemories;

typedef struct ExCount { // t12: the iterations of the loop at line 12
  const char *name;
  int line;
} ExCount;

typedef struct ExFunction { // the function itself, then the recursive ones it calls
  const char *name, *by;
  int line;
  bool halves, descent;
  const char *rule; // it has one of its own
  VEC(ExPart) parts;
  ExValues there;
} ExFunction;

typedef struct Explain {
  Session *s;
  Arena *arena;
  IrModule *m;
  StrVec by; // parameter leaves that the derivative is by
  VEC(ExFunction) functions;
  ExMemories copies, arrays;
  VEC(ExCount) counts;
  const Formula *saved; // in all, beyond parameters and results
} Explain;

void explain_text(const Explain *x, StrBuf *out);
void explain_json(const Explain *x, StrBuf *out);

// Expression swell. False: after errors.
bool swell_show(Work *w);

#endif
