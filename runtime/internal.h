// What the runtime's files share: the context's fields and the small helpers below. Not installed.
#ifndef DP_RUNTIME_INTERNAL_H
#define DP_RUNTIME_INTERNAL_H

#include "dp/dprt.h"

#include <locale.h>
#include <pthread.h>
#include <stdarg.h>

#define MEM_CLASSES 166
#define ERROR_MESSAGE_BYTES 1024

// Stands in the 64 bytes before each block that dprt_alloc returns.
typedef struct MemBlock {
  struct MemBlock *next,
      *prev;        // live: neighbours in order of age, newest first; free: next of the same class
  uint64_t serial;  // grows with every allocation
  int64_t bytes;    // asked for, rounded up to 64; what the accounts hold
  int64_t capacity; // what the block has room for
  void *raw;        // what the host's free wants back; NULL when carved from a chunk
  int32_t size_class;
} MemBlock;

typedef struct TextChunk TextChunk;

// A growing text. Memory comes straight from the host's hooks, outside the accounts; `failed` when it ran out.
typedef struct TextBuf {
  dprt_ctx *ctx;
  char *data; // NUL-terminated once something was added
  size_t len, cap;
  bool failed;
} TextBuf;

struct dprt_ctx {
  dprt_hooks hooks;
  locale_t c_locale; // numbers are read and written with a '.', whatever the host's locale

  MemBlock live; // sentinel of the circular list of live blocks
  MemBlock *free_lists[MEM_CLASSES];
  uint64_t serial;
  int64_t live_bytes, peak_bytes;
  int64_t limit;      // live_bytes stays at or below it
  bool limit_pending; // no limit was set yet: the machine's own is looked up when `limit` is first reached
  int64_t cached_large_bytes;
  void *chunks; // small blocks are carved from chunks
  char *carve, *carve_end;
  uint32_t color;

  dprt_error error;
  char message[ERROR_MESSAGE_BYTES];
  TextBuf error_text;
  const dprt_site *site;

  TextBuf text; // texts under construction, one behind the other
  size_t text_start;
  TextChunk *text_chunks; // finished ones

  pthread_t thread; // the thread whose stack the next three describe
  uintptr_t stack_low, stack_high, stack_limit;
};

// ---- memory.c ------------------------------------------------------------------------------------------------
void dprt_memory_init(dprt_ctx *ctx);
void dprt_memory_free_all(dprt_ctx *ctx);
void *dprt_raw_alloc(dprt_ctx *ctx, size_t bytes); // through the hooks, no error set, no accounts
void dprt_raw_free(dprt_ctx *ctx, void *raw);

// ---- text.c --------------------------------------------------------------------------------------------------
void textbuf_init(TextBuf *t, dprt_ctx *ctx);
void textbuf_free(TextBuf *t);
bool textbuf_room(TextBuf *t, size_t more); // room for `more` bytes and a NUL; false sets `failed`
void textbuf_addn(TextBuf *t, const char *s, size_t n);
void textbuf_add(TextBuf *t, const char *s);
void textbuf_addc(TextBuf *t, char c, size_t count);
void textbuf_addf(TextBuf *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void dprt_text_free_all(dprt_ctx *ctx);

#define SHORTEST_BYTES 32
// The shortest decimal that reads back as exactly v: 0.1, 2.0, 1e-07, inf, nan. Returns its length.
int dprt_shortest_f64(const dprt_ctx *ctx, char out[SHORTEST_BYTES], double v);
int dprt_shortest_f32(const dprt_ctx *ctx, char out[SHORTEST_BYTES], float v);
void dprt_human_bytes(char out[SHORTEST_BYTES], int64_t bytes); // "512 bytes", "7.6 MiB"
double dprt_parse_f64(const dprt_ctx *ctx, const char *s,
                      const char **end); // strtod with a '.' for the point

// ---- context.c -----------------------------------------------------------------------------------------------
void dprt_write(dprt_ctx *ctx, const char *text, size_t n); // where print goes

// ---- file.c --------------------------------------------------------------------------------------------------
// A file written beside its name and renamed over it by commit, so that nobody ever sees half of it. Errors are
// kept until commit, which reports them as DPRT_DATA with path and reason; then nothing is left behind.
typedef struct OutFile {
  dprt_ctx *ctx;
  const char *path;
  TextBuf temporary, buffer;
  int fd, error; // error: the first errno
} OutFile;

void outfile_open(OutFile *f, dprt_ctx *ctx, const char *path);
void outfile_add(OutFile *f, const char *s, size_t n);
void outfile_addf(OutFile *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int32_t outfile_commit(OutFile *f);
void outfile_abandon(OutFile *f);
// A whole file, NUL-terminated, from dprt_raw_alloc. NULL and DPRT_DATA when it cannot be read.
char *dprt_read_file(dprt_ctx *ctx, const char *path, size_t *len);

#endif
