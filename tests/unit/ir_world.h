// What the tests of the IR share: a fresh arena with names, sources and diagnostics for each test, and IR from text.
#ifndef DP_IR_WORLD_H
#define DP_IR_WORLD_H

#include "ir/ir.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct World {
  Arena *arena;
  Interner *names;
  Sources sources;
  Diags diags;
  IrModule *module;
  uint64_t random;
} World;

static World w;

static void world_start(void) {
  w = (World){.arena = arena_new(0), .random = 1};
  w.names = interner_new(w.arena);
  sources_init(&w.sources, w.arena);
  diags_init(&w.diags, w.arena, &w.sources);
}

static void world_stop(void) { arena_free(w.arena); }

// All that was reported.
static inline const char *diagnostics(void) {
  StrBuf sb;
  sb_init(&sb, w.arena);
  diags_render(&w.diags, &sb, false);
  return sb.data;
}

static inline IrModule *parse_text(const char *path, const char *text) {
  int file = sources_add(&w.sources, path, text, strlen(text));
  return ir_parse(w.arena, w.names, &w.sources, file, &w.diags);
}

// The same where it must be right.
static inline IrModule *parse(const char *path, const char *text) {
  IrModule *m = parse_text(path, text);
  cr_assert_not_null(m, "%s", diagnostics());
  const char *bad = ir_verify_module(w.arena, m);
  cr_assert_null(bad, "%s: %s", path, bad);
  return m;
}

#endif
