// Support: what every stage of the compiler stands on. Arenas, interned names, typed vectors, source files,
// and diagnostics. Nothing here knows about dp as a language.
#ifndef DP_SUPPORT_H
#define DP_SUPPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- arena.c -------------------------------------------------------------------------------------------------
// Memory that is freed all at once. Allocation never returns NULL: when memory runs out, or the arena grows past
// its budget, control unwinds to the `jmp_buf` that `arena_on_exhausted` registered (compiler frames only; no LLVM
// frame is ever on the stack between the two).

typedef struct Arena Arena;

Arena *arena_new(size_t budget_bytes); // budget 0: unlimited; NULL when out of memory
// In memory of the caller's, all zero, that it does not outgrow and that arena_free leaves alone.
Arena *arena_within(void *memory, size_t bytes);
void arena_free(Arena *a);                       // NULL is fine
void arena_clear(Arena *a);                      // everything that it handed out is gone
void arena_limit(Arena *a, size_t budget_bytes); // another budget
void arena_on_exhausted(Arena *a, void *jmpbuf); // a jmp_buf *; NULL unregisters
void *arena_alloc(Arena *a, size_t bytes);       // zeroed, 16-byte aligned
void *arena_grow(Arena *a, void *old, size_t old_bytes,
                 size_t new_bytes); // copies, in place at the arena's end
char *arena_strdup(Arena *a, const char *s, size_t len);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
size_t arena_used(const Arena *a);

#define ARENA_NEW(arena, T) ((T *)arena_alloc((arena), sizeof(T)))
#define ARENA_ARRAY(arena, T, n) ((T *)arena_alloc((arena), sizeof(T) * (size_t)(n)))

// A growable vector of T that lives in an arena: `typedef VEC(Foo) FooVec; vec_push(arena, &v, foo);`
#define VEC(T)                                                                                               \
  struct {                                                                                                   \
    T *data;                                                                                                 \
    int len, cap;                                                                                            \
  }
#define vec_push(arena, v, x)                                                                                \
  do {                                                                                                       \
    if ((v)->len == (v)->cap) {                                                                              \
      int cap_ = (v)->cap ? (v)->cap * 2 : 8;                                                                \
      (v)->data = arena_grow((arena), (v)->data, sizeof *(v)->data * (size_t)(v)->cap,                       \
                             sizeof *(v)->data * (size_t)cap_);                                              \
      (v)->cap = cap_;                                                                                       \
    }                                                                                                        \
    (v)->data[(v)->len++] = (x);                                                                             \
  } while (0)
#define vec_last(v) ((v)->data[(v)->len - 1])
#define vec_pop(v) ((v)->data[--(v)->len])

typedef VEC(const char *) StrVec;

// ---- strings.c -----------------------------------------------------------------------------------------------
// Interned names: equal text, equal pointer. The interner belongs to the compilation's arena.

typedef struct Interner Interner;
typedef const char *Name; // interned, NUL-terminated

Interner *interner_new(Arena *a);
Name intern(Interner *in, const char *s, size_t len);
Name intern_cstr(Interner *in, const char *s);
int edit_distance(const char *a, const char *b, int limit); // Damerau-Levenshtein; limit + 1 when farther
// The candidate nearest to `name` if near enough to suggest, else NULL ("did you mean").
Name nearest_name(Name name, const Name *candidates, int n);

// A growing text, for printers. Lives in an arena; always NUL-terminated.
typedef struct StrBuf {
  Arena *arena;
  char *data;
  int len, cap;
} StrBuf;

void sb_init(StrBuf *sb, Arena *a);
void sb_add(StrBuf *sb, const char *s);
void sb_addn(StrBuf *sb, const char *s, size_t n);
void sb_addc(StrBuf *sb, char c);
void sb_addf(StrBuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The shortest decimal that reads back to exactly this value, always with a '.', an exponent, or inf/nan spelled
// `inf`, `-inf`, `nan`, so that it re-lexes as a float.
void sb_add_f64(StrBuf *sb, double v);
void sb_add_f32(StrBuf *sb, float v);

// ---- source.c ------------------------------------------------------------------------------------------------
// Source files and places in them. A Loc is 8 bytes: a file index and a byte range, so every operation carries one.

typedef struct Loc {
  uint32_t file : 12; // 0: no place (compiler-made); else index into Sources
  uint32_t len : 20;  // bytes
  uint32_t off;       // byte offset
} Loc;

#define LOC_NONE ((Loc){0, 0, 0})
Loc loc_join(Loc from, Loc to); // the span from the start of `from` to the end of `to`, same file

typedef struct Source {
  const char *path; // as the user gave it, or `<prelude>` style for built-in modules
  const char *text; // NUL-terminated
  size_t len;
  const uint32_t *line_starts;
  int n_lines;
} Source;

typedef struct Sources {
  Arena *arena;
  VEC(Source *) files; // files.data[i] has file index i + 1
} Sources;

void sources_init(Sources *s, Arena *a);
int sources_add(Sources *s, const char *path, const char *text, size_t len); // the file index
const Source *sources_get(const Sources *s, Loc loc);                        // NULL for LOC_NONE
void sources_line_col(const Sources *s, Loc loc, int *line,
                      int *col); // from 1; columns count characters, not bytes
// Offset of the first byte that is not valid UTF-8, or -1.
long utf8_first_bad(const char *text, size_t len);

// ---- diag.c, diag_render.c, diag_json.c ----------------------------------------------------------------------
// Diagnostics. Each has a stable code from diags.def. A user's mistake appends one and the stage goes on with a poisoned
// node; at most one diagnostic per place and code.

typedef enum Severity { SEV_ERROR, SEV_WARNING, SEV_NOTE } Severity;

typedef enum DiagCode {
#define DIAG(code, number, severity, title) code,
#include "diags.def"
#undef DIAG
  DIAG_COUNT
} DiagCode;

typedef struct DiagSpan {
  Loc loc;
  const char *label; // may be NULL; the primary span's label stands under its carets
} DiagSpan;

typedef struct Diag {
  DiagCode code;
  Severity severity;
  const char *message; // one sentence: what is wrong, with the names and types involved
  DiagSpan primary;    // where
  VEC(DiagSpan) spans; // other places that matter, each with its label
  StrVec notes;        // why
  const char *help;    // what to do, may be NULL
  const char *replace; // text to put in place of the primary span, may be NULL (fix-it)
} Diag;

typedef struct Diags {
  Arena *arena;
  const Sources *sources;
  VEC(Diag *) list;
  int n_errors, n_warnings;
  int error_limit; // further errors are counted, not kept (default 50)
} Diags;

void diags_init(Diags *d, Arena *a, const Sources *sources);
// Appends a diagnostic and returns it for decoration; never NULL (a throw-away one past the limit or for a repeat).
Diag *diag_add(Diags *d, DiagCode code, Loc loc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_label(Diags *d, Diag *g, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))); // primary's label
void diag_span(Diags *d, Diag *g, Loc loc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_note(Diags *d, Diag *g, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diags *d, Diag *g, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *diag_code_text(DiagCode code); // "E0301"
// Whole diagnostics as a terminal shows them (Rust style: header, arrow, source lines, carets, labels, notes, help).
void diags_render(const Diags *d, StrBuf *out, bool color);
void diag_render_one(const Diags *d, const Diag *g, StrBuf *out, bool color);
// The same as a JSON array (documented in docs/diagnostics.md).
void diags_render_json(const Diags *d, StrBuf *out);
// The objects alone, each after a new line and, but for the first, a comma.
void diags_render_json_items(const Diags *d, StrBuf *out, bool first);

// ---- region.c ------------------------------------------------------------------------------------------------
// Pages for machine code. No page is ever writable and executable.

typedef struct Region {
  unsigned char *start; // NULL: there is none
  size_t size;
  size_t code, data; // bytes in use, from the start and before the end
  bool sealed;
} Region;

// `shared`: with the processes that this one makes from now on, which find it in the same place. False: there is no memory.
bool region_map(Region *r, size_t bytes, bool shared);
// Zeroed and writable; NULL when the region is full. Constants lie after code. `align` is a power of two, a page at most.
void *region_code(Region *r, size_t bytes, size_t align);
void *region_data(Region *r, size_t bytes, size_t align);
// Code can be executed, and nothing can be written, from now on; what is not in use is given back.
bool region_seal(Region *r);
void region_unmap(Region *r); // one that was never mapped is fine

// ---- file.c --------------------------------------------------------------------------------------------------
// Reads a whole file into the arena; NULL and *why (a sentence) on failure.
char *file_read(Arena *a, const char *path, size_t *len, const char **why);
// Writes to a temporary file beside `path`, syncs, renames. False and *why on failure; then nothing is left behind.
bool file_write_atomic(Arena *a, const char *path, const void *data, size_t len, bool executable,
                       const char **why);

#endif
