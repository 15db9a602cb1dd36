// dprt: a dp program as a process: its options, its run, its exit code. Executables call this from C's main; a host that
// compiled the program in memory calls it the same way.
#ifndef DP_DPRT_PROGRAM_H
#define DP_DPRT_PROGRAM_H

#include "dprt.h"

#ifdef __cplusplus
extern "C" {
#endif

// A parameter of the program's main, given on the command line as --name.
typedef struct dprt_option {
  const char *name, *help; // help may be NULL
  int32_t elem;            // dprt_elem
  int32_t has_default;     // without one the option must be given
  dprt_slot value;         // the default
} dprt_option;

typedef struct dprt_program {
  const char *name; // for the usage text
  dprt_fn *main;    // in: one slot per option
  int64_t n_options;
  const dprt_option *options;
  int64_t n_results; // slots that main writes; what stands there is not used
} dprt_program;

enum { DPRT_EXIT_OK = 0, DPRT_EXIT_ERROR = 1, DPRT_EXIT_USAGE = 2 };

// Options are `--name value` or `--name=value`; a bool is `--name` or `--no-name`, or takes true or false after `=`.
// `_` in a name may be written `-`. `--help` prints the options to standard output and succeeds. Mistakes and run-time
// errors are told on standard error. Returns the process's exit code: 0, 1 after an error at run time, 2 after a mistake
// in the options.
DPRT_API int dprt_program_main(int argc, char **argv, const dprt_program *program);
// The same in a context of the caller's, which keeps the error.
DPRT_API int dprt_program_run(dprt_ctx *ctx, int argc, char **argv, const dprt_program *program);

#ifdef __cplusplus
}
#endif
#endif
