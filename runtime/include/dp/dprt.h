// dprt: the runtime of dp programs. Linked into every native binary and library, and into the JIT's host; usable
// from C on its own. One context per thread of work; nothing here is global.
//
// Threads: a context and everything reached from it belongs to one thread at a time.
// Status: functions that can fail return 0 on success; otherwise the context holds the error (dprt_error).
#ifndef DP_DPRT_H
#define DP_DPRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DPRT_API __attribute__((visibility("default")))

typedef struct dprt_ctx dprt_ctx;

// ---- values across the boundary ------------------------------------------------------------------------------
// Compiled functions and runtime functions called from dp share one calling convention, the slot convention:
//     int32_t f(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out);
// Arguments and results are flattened in order: a struct or tuple is its fields, an array of structs is one array per
// field. A scalar takes one slot; a string one slot (NUL-terminated UTF-8, borrowed); an array of rank r takes 1 + r
// slots: its data (row-major, contiguous, 64-byte aligned when dp allocated it; never NULL unless empty), then its
// sizes. A growable array is an array of rank 1. Arrays in `in` are borrowed. Arrays in `out` are blocks from
// dprt_alloc that the caller then owns (free with dprt_free).
typedef union dprt_slot {
  double f64;
  float f32;
  int64_t i64;
  bool b;
  void *data;
  const char *str;
} dprt_slot;

typedef int32_t dprt_fn(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out);

// One flattened leaf of a signature: what stands in the next 1 (scalar) or 1 + rank (array) slots.
typedef enum dprt_elem { DPRT_BOOL = 0, DPRT_I64 = 1, DPRT_F32 = 2, DPRT_F64 = 3, DPRT_STR = 4 } dprt_elem;
typedef struct dprt_leaf {
  uint8_t elem; // dprt_elem
  uint8_t rank; // 0: a scalar
} dprt_leaf;

// ---- context.c: memory, hooks, errors ------------------------------------------------------------------------

typedef struct dprt_hooks {
  void *user;
  void *(*alloc)(void *user, size_t bytes); // NULL: malloc; must return 16-byte aligned memory or NULL
  void (*free)(void *user, void *block);    // NULL: free
  void (*write)(void *user, const char *text, size_t n);    // what print writes; NULL: standard output
  void (*progress)(void *user, const char *text, size_t n); // progress display; NULL: standard error
  bool progress_is_terminal; // redraw one line instead of a line per epoch (only with a progress hook)
} dprt_hooks;

DPRT_API dprt_ctx *dprt_ctx_new(const dprt_hooks *hooks); // hooks may be NULL; NULL when out of memory
DPRT_API void dprt_ctx_free(dprt_ctx *ctx);               // frees every live block too
// Progress text, through the hook or to standard error; and whether it is redrawn in place (the hook's word, or isatty).
DPRT_API void dprt_progress_write(dprt_ctx *ctx, const char *text, size_t n);
DPRT_API bool dprt_progress_is_terminal(const dprt_ctx *ctx);
// An allocation that would take the live bytes past the limit fails as DPRT_MEMORY. 0: no limit. Without a call, the
// limit is the memory of the machine or of its control group.
DPRT_API void dprt_memory_limit(dprt_ctx *ctx, int64_t bytes);
// Gives the memory of freed blocks back, which else waits for the next ones: of large ones up to 256 MiB.
DPRT_API void dprt_trim(dprt_ctx *ctx);

// A block of elem_bytes * n0 * n1 * n2 * n3 bytes (pass 1 for unused sizes), 64-byte aligned, not cleared. NULL with
// the context's error set when a size is negative, the product overflows or memory is exhausted. Small blocks come from
// free lists, so that allocating in a loop costs nanoseconds.
DPRT_API void *dprt_alloc(dprt_ctx *ctx, int64_t elem_bytes, int64_t n0, int64_t n1, int64_t n2, int64_t n3);
DPRT_API void dprt_free(dprt_ctx *ctx, void *block); // NULL is fine
// A block with room for at least `count` elements that starts with the old block's content (len elements), which is
// freed; grows geometrically. NULL as for dprt_alloc (the old block stays).
DPRT_API void *dprt_grow(dprt_ctx *ctx, void *block, int64_t elem_bytes, int64_t len, int64_t count);
DPRT_API int64_t dprt_room(const void *block); // how many bytes a block has room for; 0 for NULL
// Everything allocated after a mark can be given back at once: how an error leaves no leak behind.
DPRT_API uint64_t dprt_mark(dprt_ctx *ctx);
DPRT_API void dprt_release(dprt_ctx *ctx, uint64_t mark);
DPRT_API int64_t dprt_live_bytes(const dprt_ctx *ctx);
DPRT_API int64_t dprt_peak_bytes(const dprt_ctx *ctx);

typedef enum dprt_status {
  DPRT_OK = 0,
  DPRT_INDEX,     // index out of range
  DPRT_SIZE,      // sizes do not fit
  DPRT_ASSERT,    // a failed assert
  DPRT_MEMORY,    // out of memory, array too large
  DPRT_STACK,     // recursion too deep
  DPRT_ARITH,     // integer division by zero and the like
  DPRT_DATA,      // a file that cannot be read, written or understood
  DPRT_ARGUMENT,  // a bad argument to a library function
  DPRT_NAN,       // training met a loss that is not finite
  DPRT_CANCELLED, // the host asked to stop
} dprt_status;

// A place in dp source, emitted by the compiler as a constant.
typedef struct dprt_site {
  const char *file;
  int32_t line, column; // from 1
  const char *function;
  const char *text;               // the source line, for display; may be NULL
  const struct dprt_site *caller; // the call that was inlined here; may be NULL
} dprt_site;

typedef struct dprt_error {
  dprt_status status;
  const char *message;   // one sentence, without the place
  const dprt_site *site; // NULL when unknown
} dprt_error;

DPRT_API const dprt_error *dprt_get_error(const dprt_ctx *ctx); // status DPRT_OK when none
DPRT_API void dprt_clear_error(dprt_ctx *ctx);
// The error as text for a terminal: "file:line:col: error: message", the source line, a caret, the callers.
DPRT_API const char *dprt_error_text(dprt_ctx *ctx);
// Set the error (the first one wins) and return its status.
DPRT_API int32_t dprt_fail(dprt_ctx *ctx, dprt_status status, const dprt_site *site, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Called by compiled code, out of line. `what` is the text of the indexed or asserted expression, may be NULL.
DPRT_API int32_t dprt_fail_index(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t index,
                                 int64_t size);
DPRT_API int32_t dprt_fail_range(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t lo,
                                 int64_t hi, int64_t size);
DPRT_API int32_t dprt_fail_size(dprt_ctx *ctx, const dprt_site *site, const char *what, int64_t left,
                                int64_t right);
DPRT_API int32_t dprt_fail_assert(dprt_ctx *ctx, const dprt_site *site, const char *message);
DPRT_API int32_t dprt_fail_divide(dprt_ctx *ctx, const dprt_site *site); // division of an int by zero
DPRT_API int32_t dprt_fail_stack(dprt_ctx *ctx, const dprt_site *site);
// After NULL from dprt_alloc: names the place.
DPRT_API int32_t dprt_fail_alloc(dprt_ctx *ctx, const dprt_site *site);
// The site to name in errors of runtime functions called next in the slot convention.
DPRT_API void dprt_at(dprt_ctx *ctx, const dprt_site *site);
DPRT_API const dprt_site *dprt_site_now(const dprt_ctx *ctx);
// The lowest stack address compiled code may reach before it fails with DPRT_STACK (set at entry from the thread's limits).
DPRT_API uintptr_t dprt_stack_limit(dprt_ctx *ctx);

// ---- text.c: print and string interpolation ------------------------------------------------------------------
// Compiled code builds a text piece by piece; end returns it, owned by the context until the outermost call returns.
// spec is the part after ':' in "{x:.6}" ("" for none; a bad one is a compile-time error, so it is valid here):
// [0][width][.precision][f|e|g]; without a precision a float prints as its shortest exact form, without a letter the
// precision counts decimals (significant digits from 1e16 on). An int with a precision or a letter prints as a float.
DPRT_API void dprt_text_begin(dprt_ctx *ctx);
DPRT_API void dprt_text_str(dprt_ctx *ctx, const char *s);
DPRT_API void dprt_text_bool(dprt_ctx *ctx, bool v);
DPRT_API void dprt_text_i64(dprt_ctx *ctx, int64_t v, const char *spec);
DPRT_API void dprt_text_f64(dprt_ctx *ctx, double v, const char *spec);
DPRT_API void dprt_text_f32(dprt_ctx *ctx, float v, const char *spec);
// [1.0, 2.0]; nested brackets by rank, a row to a line when one line would be too long; beyond 200 elements long axes are
// elided as [a, b, c, ..., x, y, z].
DPRT_API void dprt_text_array(dprt_ctx *ctx, int32_t elem, int32_t rank, const void *data,
                              const int64_t *sizes, const char *spec);
DPRT_API const char *dprt_text_end(dprt_ctx *ctx);
// Instead of end, for print("..."): writes the text and a newline through the hook and keeps nothing, so that a loop
// that prints needs no memory.
DPRT_API void dprt_text_print(dprt_ctx *ctx);
DPRT_API void dprt_print(dprt_ctx *ctx, const char *s); // writes s and a newline through the hook
// Forgets every text that ended, and any left unfinished by an error: the outermost caller, when a call has returned.
DPRT_API void dprt_text_release(dprt_ctx *ctx);

// ---- rng.c: counter-based random numbers (Philox 4x32-10 of Random123) ------------------------------------------
// Element i of the stream (key, counter) is a pure function of (key, counter + i): the same at any lane count or order.
DPRT_API double dprt_rng_uniform(int64_t key, int64_t counter); // [0, 1), 53 bits
DPRT_API double dprt_rng_normal(int64_t key, int64_t counter);  // mean 0, deviation 1
// 0 <= v < n; each v's chance is off by less than n / 2^64.
DPRT_API int64_t dprt_rng_below(int64_t key, int64_t counter, int64_t n);
// Fisher and Yates; uses n counters.
DPRT_API void dprt_rng_permutation(int64_t key, int64_t counter, int64_t n, int64_t *out);

// ---- gemm.c: the matrix product --------------------------------------------------------------------------------
// c[m, n] = op(a)[m, k] op(b)[k, n], added to c when accumulate; op transposes where ta or tb says so: a then stands as
// [k, m], b as [n, k]. Rows are lda, ldb and ldc elements apart; c overlaps neither input. The same bits on every machine:
// each element is summed by fma in the order of k, except that one column or one row of dot products is summed in fixed
// partial sums. Allocates nothing, cannot fail, and uses less than 128 KiB of stack.
DPRT_API void dprt_gemm_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, bool ta,
                            const double *b, int64_t ldb, bool tb, double *c, int64_t ldc, bool accumulate);
DPRT_API void dprt_gemm_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool ta,
                            const float *b, int64_t ldb, bool tb, float *c, int64_t ldc, bool accumulate);
// As --strict-fp wants it: each element is summed from the first product to the last, each product and each sum rounded.
DPRT_API void dprt_gemm_strict_f64(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, bool ta,
                                   const double *b, int64_t ldb, bool tb, double *c, int64_t ldc);
DPRT_API void dprt_gemm_strict_f32(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool ta,
                                   const float *b, int64_t ldb, bool tb, float *c, int64_t ldc);
// dprt_gemm_f64 and _f32 with at most these instructions: 0 any machine's, 1 AVX2 with FMA, 2 AVX-512. For tests.
DPRT_API void dprt_gemm_f64_on(int32_t level, int64_t m, int64_t n, int64_t k, const double *a, int64_t lda,
                               bool ta, const double *b, int64_t ldb, bool tb, double *c, int64_t ldc,
                               bool accumulate);
DPRT_API void dprt_gemm_f32_on(int32_t level, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                               bool ta, const float *b, int64_t ldb, bool tb, float *c, int64_t ldc,
                               bool accumulate);

// ---- plot.c, contour.c: SVG files, written whole or not at all ------------------------------------------------
// Values that are not finite, or not positive on a logarithmic axis, leave gaps. names may be NULL: no legend.
DPRT_API int32_t dprt_svg_lines(dprt_ctx *ctx, const char *path, const char *title, const char *xlabel,
                                const char *ylabel, int64_t n_series, const char *const *names, int64_t n,
                                const double *xs, const double *const *ys, bool logx, bool logy);
// z[j * n + i] is the value at (xs[i], ys[j]); paths hold `steps` points (x, y) each, a ring at the first, a diamond at
// the last.
DPRT_API int32_t dprt_svg_contour(dprt_ctx *ctx, const char *path, const char *title, int64_t n,
                                  const double *xs, int64_t m, const double *ys, const double *z,
                                  int64_t n_paths, const char *const *names, int64_t steps,
                                  const double *paths);

// ---- functions called from dp in the slot convention (declared in stdlib/prelude.dp) ----------------------------
#define DPRT_EXTERN(name) DPRT_API int32_t name(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out);
#include "dprt_extern.h"

#ifdef __cplusplus
}
#endif
#endif
