// libdp: compile dp programs at run time and call their functions and gradients from C.
//
//     dp_context *ctx = dp_context_new(NULL);
//     dp_program *prog;
//     if (dp_compile(ctx, "model.dp", source, strlen(source), NULL, &prog) != DP_OK) ... dp_diagnostics(ctx, &n) ...
//     dp_function *grad;
//     dp_lookup(prog, "value_and_grad(mse, wrt: m)", NULL, &grad);
//     dp_call(grad, args, results);
//
// A context owns everything that is made through it, and errors are data: nothing here exits, prints, or keeps global
// state. Threads: each context, with its programs and functions, belongs to one thread at a time; different contexts may be
// used at once from different threads.
#ifndef DP_DP_H
#define DP_DP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DP_API __attribute__((visibility("default")))

typedef struct dp_context dp_context;
typedef struct dp_program dp_program;
typedef struct dp_function dp_function;

typedef enum dp_status {
  DP_OK = 0,
  DP_ERROR_COMPILE,  // diagnostics say what is wrong with the program
  DP_ERROR_LOOKUP,   // no such function, or another signature; diagnostics say which
  DP_ERROR_ARGUMENT, // a value of another kind, rank or size than the signature says
  DP_ERROR_RUN,      // the program failed: index out of range, failed assert, ... (dp_last_error)
  DP_ERROR_MEMORY,
} dp_status;

typedef struct dp_hooks {
  void *user;
  void *(*alloc)(void *user, size_t bytes); // the programs' arrays; NULL: malloc; 16-byte aligned or NULL
  void (*free)(void *user, void *block);    // NULL: free
  void (*write)(void *user, const char *text, size_t n); // what the program prints; NULL: nothing is written
  size_t compile_memory;                                 // bytes a compilation may take; 0: 4 GiB
  int64_t run_memory;                                    // bytes the program's arrays may take; 0: no limit
} dp_hooks;

DP_API dp_context *dp_context_new(const dp_hooks *hooks); // hooks may be NULL; NULL when out of memory
DP_API void dp_context_free(dp_context *ctx);             // with its programs; NULL is fine
DP_API const char *dp_version(void);

// ---- diagnostics: of the latest compile or lookup ----------------------------------------------------------------

typedef enum dp_severity { DP_SEVERITY_ERROR, DP_SEVERITY_WARNING } dp_severity;

typedef struct dp_place {
  const char *file;
  int line, column, end_line, end_column; // from 1; columns count characters
  const char *label;                      // may be NULL
} dp_place;

typedef struct dp_diagnostic {
  dp_severity severity;
  const char *code; // stable, "E0301"
  const char *message;
  dp_place place;
  int n_spans; // further places
  const dp_place *spans;
  int n_notes;
  const char *const *notes;
  const char *help;    // may be NULL
  const char *replace; // text for the place that would mend it, may be NULL
} dp_diagnostic;

// Valid until the next call with this context.
DP_API const dp_diagnostic *dp_diagnostics(dp_context *ctx, int *n);
DP_API const char *
dp_diagnostics_text(dp_context *ctx); // all of them as a terminal shows them, without colors

// ---- programs --------------------------------------------------------------------------------------------------------

typedef struct dp_options {
  int opt_level;     // 0..3
  const char *cpu;   // NULL: this machine's
  bool strict_fp;    // no contraction, no reassociation
  bool precise_math; // elementary functions to 1 ULP
  int lanes; // iterations of loops to run side by side wherever they can, a power of two; 0: as many as pay
  const char *
      without; // optimisation passes to leave out, separated by commas (`dp run --help` lists them); NULL: none
  // Each dp_lookup compiles in a process of its own (fork), so that the compiler and LLVM take none of this process's memory,
  // and a compiler that crashes is an error here and not the end. It costs the time to load LLVM, some 10 ms a lookup. The
  // host may have threads, and children of its own: a SIGCHLD comes, the child is waited for by its number, and a host that
  // ignores SIGCHLD or waits for any child does no harm. The child only compiles; registered functions are called here. As a
  // child has the loader as it was at the fork, no other thread should be in dlopen then: the lookup could fail.
  bool out_of_process;
} dp_options;
DP_API dp_options dp_options_default(void);

// Makes a C function callable as `extern fn name(...)`: scalars by value, arrays as pointer and then sizes (int64_t).
// Before the dp_lookup that needs it.
DP_API dp_status dp_register(dp_context *ctx, const char *name, void (*function)(void));

// Checks a program. `path` names it in messages and is where its imports are looked for; source may be NULL: then the file
// is read. options may be NULL. Machine code is made per function, by dp_lookup.
DP_API dp_status dp_compile(dp_context *ctx, const char *path, const char *source, size_t len,
                            const dp_options *options, dp_program **out);
DP_API void
dp_program_free(dp_program *program); // before its context; its functions end with it. NULL is fine

// ---- functions -------------------------------------------------------------------------------------------------------

typedef enum dp_kind { DP_BOOL, DP_INT, DP_F32, DP_F64 } dp_kind;

enum { DP_MAX_RANK = 8 };

// A value: a scalar, or an array with its sizes, row-major. Structs and tuples cross as their fields in order.
typedef struct dp_value {
  dp_kind kind;
  int rank; // 0: a scalar
  int64_t sizes[DP_MAX_RANK];
  union {
    bool b;
    int64_t i;
    float f32;
    double f64;
    void *data; // arrays: bool, int64_t, float or double; may be NULL only if a size is 0
  };
} dp_value;

static inline dp_value dp_f64(double v) { return (dp_value){.kind = DP_F64, .f64 = v}; }
static inline dp_value dp_int(int64_t v) { return (dp_value){.kind = DP_INT, .i = v}; }
static inline dp_value dp_vector(double *data, int64_t n) {
  return (dp_value){.kind = DP_F64, .rank = 1, .sizes = {n}, .data = data};
}
static inline dp_value dp_matrix(double *data, int64_t n, int64_t m) {
  return (dp_value){.kind = DP_F64, .rank = 2, .sizes = {n, m}, .data = data};
}

typedef struct dp_leaf {
  const char *path; // "m.w"; of a result ".w", or "" where it has no fields
  dp_kind kind;
  int rank;
} dp_leaf;

// `expr` is a function's name or a derivative: "mse", "grad(mse, wrt: m)". `signature`, if not NULL, is what the caller
// expects, such as "fn(Linear[d], [n, d]f64, [n]f64) -> f64"; another one is refused. The function lives as long as the
// program; asked for again, it is the same one.
DP_API dp_status dp_lookup(dp_program *program, const char *expr, const char *signature, dp_function **out);
DP_API const char *dp_signature(const dp_function *f);
DP_API const dp_leaf *dp_parameters(const dp_function *f, int *n); // flattened, in order
DP_API const dp_leaf *dp_results(const dp_function *f, int *n);

// Calls it with one value per parameter leaf; results gets one per result leaf. Arguments are checked before the program
// runs; arrays in `args` are only read. Arrays in `results` belong to the caller: dp_value_free, or with the context. After
// an error nothing was written to results, and the context can be used again.
DP_API dp_status dp_call(dp_function *f, const dp_value *args, dp_value *results);
DP_API void dp_value_free(dp_context *ctx, dp_value *v);
// The memory of a call's arrays waits for the next call, up to 256 MiB; this gives it back.
DP_API void dp_trim(dp_context *ctx);

// What went wrong in the latest call, with the place in the program: "model.dp:3:12: error: index 7 is out of range ...".
DP_API const char *dp_last_error(const dp_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
