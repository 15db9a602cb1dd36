// The driver: the whole pipeline as one sequence of calls, shared by the command line and the embedding API.
//
//   session_open -> session_load (parse, check) -> session_lower -> session_differentiate -> session_optimize
//   -> session_codegen -> jit or object file
#ifndef DP_DRIVER_H
#define DP_DRIVER_H

#include "ad/ad.h"
#include "codegen/codegen.h"
#include "jit/jit.h"
#include "lower/lower.h"
#include "opt/opt.h"

typedef struct DriverOptions {
  CgOptions cg; // level, cpu, numerics
  bool disabled[OPT_PASS_COUNT];
  const char *stop_after; // name of a pass, NULL: run them all
  const char *dump;       // name of a pass after which to show the IR ("all": every one), NULL: none
  size_t memory_budget;   // bytes the compiler may take; 0: 4 GiB
} DriverOptions;

DriverOptions driver_options_default(void);

typedef struct Session {
  DriverOptions o;
  Arena *arena;
  Arena *work; // what becomes machine code: IR and all that is made of it
  Interner *names;
  Sources sources;
  Diags diags;
  Program *program;
  StrBuf dumped; // what o.dump asked for
} Session;

bool session_open(Session *s, const DriverOptions *o); // false: out of memory
void session_close(Session *s);
// Forgets all IR: the program can be lowered again.
void session_forget(Session *s);
// Parses and checks a program. text may be NULL: then path is read. False after errors.
bool session_load(Session *s, const char *path, const char *text, size_t len);
// Runs fn(user) so that running out of memory in it returns false (with a diagnostic) instead of ending the process.
bool session_guard(Session *s, bool (*fn)(void *user), void *user);

IrModule *session_lower(Session *s, const LowerRoot *roots, int n); // NULL after errors
bool session_differentiate(Session *s, IrModule *m);
bool session_optimize(Session *s, IrModule *m);
CgModule *session_codegen(Session *s, IrModule *m, const CgMain *main);
typedef struct HostSymbol { // a function or data of the host's that a program may use
  const char *name;
  void *address;
} HostSymbol;
typedef VEC(HostSymbol) HostSymbols;
// symbols.c: where a symbol is that compiled code leaves open; NULL: nowhere. `host` is a HostSymbols *, or NULL.
void *symbol_find(void *host, const char *name);
// The code of a module with an exported function `f`, in a region as jit_new says; its address, NULL after errors.
void *session_jit(Session *s, CgModule *cg, Name f, HostSymbols *host, Region *to);
bool session_seal(Session *s, Region *code); // so that it can be called; false after errors
// main's options, from its parameters and their defaults; NULL after errors (there is no main, ...).
CgMain *session_main(Session *s);
// The function of the program whose name is nearest to this one; NULL if none is near.
Name nearest_function(Session *s, const char *name);

// commands.c: the command line without the process: writes through the two texts, returns the exit code.
typedef struct Console {
  StrBuf out, err;
  bool color, json;
  int *json_items; // how many diagnostics stand in the JSON array at hand on `out`; NULL: there is none
  void (*flush)(struct Console *c); // writes both texts out and empties them
  // Makes SVG of a graph in Graphviz's language; NULL and *why if it cannot. NULL: no pictures here.
  const char *(*draw)(Arena *a, const char *dot, size_t *len, const char **why);
} Console;
static inline void console_flush(Console *c) { c->flush(c); }

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_COMPILE = 3 };
int dp_command(int argc, char **argv, Console *c);

// link.c: an object file becomes an executable or a shared library, with the system's C compiler as linker.
// What the program's C functions stand in goes along.
// A library for C has a C source of its own besides; NULL: an executable.
bool link_program(Session *s, const void *object, size_t len, const char *out, const char *source,
                  const char *const *links, int n_links, const char **why);
// Is there a folder for it, and nothing but a file in its place? Renaming a program over a device would replace the device.
bool can_be_written(Arena *a, const char *out, const char **why);
// library.c: the header of the library that is written to `path`, and that C source.
void library_for_c(Arena *a, const IrModule *m, const char *path, StrBuf *header, StrBuf *source);
// Opens shared libraries, so that the names in them are known to this process. On failure all are closed again.
bool libraries_open(Arena *a, const char *const *paths, int n, void **handles, const char **why);
void libraries_close(void **handles, int n);

#endif
