// What the files of the embedding API share: api.c has contexts, programs and calls, lookup.c makes the functions.
#ifndef DP_API_H
#define DP_API_H

#include "dp/dp.h"
#include "dp/dprt.h"
#include "driver/driver.h"

struct dp_function {
  dp_program *program;
  dprt_fn *code;
  const char *expr, *signature;
  int n_params, n_results;
  dp_leaf *params, *results;
  int n_slots_in, n_slots_out;
  struct dp_function *next;
};

struct dp_program {
  dp_context *ctx;
  Session session;
  VEC(Region) code;       // of the functions
  dp_function *functions; // all that was looked up
  int n_lookups;
  struct dp_program *next;
};

struct dp_context {
  dp_hooks hooks;
  dprt_ctx *run;
  dp_program *programs;
  Arena *arena; // registered functions
  HostSymbols symbols;
  Arena *report_arena; // the latest diagnostics
  dp_diagnostic *report;
  int n_report;
  const char *report_text;
};

// The session's diagnostics are the context's report from now on.
void api_report(dp_context *ctx, const Session *s);

#endif
