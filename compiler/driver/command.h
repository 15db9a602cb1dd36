// What the files of the command line share: commands.c reads the options and has the short commands, the long ones have
// files of their own.
#ifndef DP_COMMAND_H
#define DP_COMMAND_H

#include "driver/driver.h"

enum { MAX_LINKS = 16 };

typedef struct Options {
  DriverOptions driver;
  bool help, version, json, shared, text, symbolic;
  const char *output, *mode, *wrt, *stage, *function, *at;
  int64_t seed, points, order;
  double tol; // 0: by the types
  const char *links[MAX_LINKS];
  int n_links;
} Options;

typedef struct Command {
  const char *name, *args, *text;
  int (*run)(Console *c, Options *o, int argc, char **argv); // argv: what is left after the options
} Command;

#define COMMAND(name, args, text) int command_##name(Console *c, Options *o, int argc, char **argv);
#include "driver/commands.def"
#undef COMMAND

// One command's work on one session, guarded against running out of memory.
typedef struct Work {
  Console *c;
  Options *o;
  Session *s;
  int argc;
  char **argv;
  int code;
  bool shown; // the diagnostics
} Work;

const Command *find_command(const char *name);
// Tells a mistake on the command line: `what` is missing or too much; NULL if that is said already.
int usage_error(Console *c, const Command *cmd, const char *what);
// Runs work(Work *) in a session of its own, shows the diagnostics, and returns the exit code.
int with_session(Console *c, Options *o, int argc, char **argv, bool (*work)(void *));
FnDecl *named_function(Session *s, const char *name);   // NULL and a diagnostic if there is none
bool wrt_is_list(Console *c, const Options *o);         // --wrt; false after saying what is wrong
bool emit_bytes(Work *w, const void *data, size_t len); // to --output, else to standard output

#endif
