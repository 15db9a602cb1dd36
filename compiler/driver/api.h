// What the files of the embedding API share: api.c has contexts, programs and calls, report.c the diagnostics as data,
// lookup.c makes the functions, and process.c a process to make them in.
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
  bool apart; // functions are compiled in a process of their own
  struct dp_program *next;
};

typedef struct Report { // diagnostics as the host sees them
  dp_diagnostic *list;
  int n;
  const char *text;
} Report;

struct dp_context {
  dp_hooks hooks;
  dprt_ctx *run;
  dp_program *programs;
  Arena *arena; // registered functions
  HostSymbols symbols;
  Report report; // of the latest compile or lookup
  Arena *report_arena;
  Region report_region; // where that arena lies if the compiler's process wrote the report
};

// report.c: the session's diagnostics, in the arena.
Report report_of(Arena *a, const Session *s);
// The session's diagnostics are the context's report from now on; or one that lies in an arena in a region, which are the
// context's then.
void report_session(dp_context *ctx, const Session *s);
void report_given(dp_context *ctx, const Report *r, Arena *a, const Region *where);
void report_forget(dp_context *ctx);

// process.c: runs work(user) in a child process and waits until that has ended; what work writes to shared memory stays.
// An errno if there can be none, else 0 and *status as from waitpid, -1 if the host took it.
int process_run(void (*work)(void *user), void *user, int *status);
// In the child: SIGALRM ends it after that time; 0: it does not.
void process_limit(unsigned seconds);
// No child is made in between, by any thread: for work whose state a child would find halfway, in the code generator, or in
// an allocator that is not prepared for forks, as that of the address sanitizer.
void process_hold(void);
void process_release(void);

#endif
