// What the tests of codegen share: IR in its text form, compiled and run in this process.
#ifndef DP_TESTS_COMPILED_H
#define DP_TESTS_COMPILED_H

#include "dp/dprt.h"
#include "driver/driver.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct Code {
  Arena *arena;
  Jit *jit;
  Region code;
  dprt_ctx *ctx;
  StrBuf printed;
} Code;

static inline void on_write(void *user, const char *text, size_t n) {
  sb_addn(&((Code *)user)->printed, text, n);
}

static inline CgOptions level(int opt_level) { return (CgOptions){.opt_level = opt_level, .cpu = "native"}; }

// The sources that a module was parsed from live in its arena.
static inline IrModule *parse(Arena *a, const char *text) {
  Sources *sources = ARENA_NEW(a, Sources);
  sources_init(sources, a);
  Diags diags;
  diags_init(&diags, a, sources);
  int file = sources_add(sources, "test.ir", text, strlen(text));
  IrModule *m = ir_parse(a, interner_new(a), sources, file, &diags);
  StrBuf sb;
  sb_init(&sb, a);
  diags_render(&diags, &sb, false);
  cr_assert_not_null(m, "%s", sb.data);
  const char *bad = ir_verify_module(a, m);
  cr_assert_null(bad, "%s", bad);
  return m;
}

static inline Code compile_with(const char *text, CgOptions opt, HostSymbols *symbols) {
  Code c = {.arena = arena_new(0)};
  IrModule *m = parse(c.arena, text);
  const char *why = NULL;
  CgModule *cg = cg_module(c.arena, m, &opt, NULL, &why);
  cr_assert_not_null(cg, "%s", why);
  cr_assert(cg_optimize(cg, &why), "%s", why);
  c.jit = jit_new(c.arena, cg, &(JitHost){symbol_find, symbols}, &c.code, &why);
  cr_assert_not_null(c.jit, "%s", why);
  cr_assert(region_seal(&c.code));
  return c;
}

static inline void open_context(Code *c) {
  sb_init(&c->printed, c->arena);
  c->ctx = dprt_ctx_new(&(dprt_hooks){.user = c, .write = on_write});
  cr_assert_not_null(c->ctx);
}

static inline Code *compile(const char *text, CgOptions opt) {
  Code *c = malloc(sizeof *c);
  *c = compile_with(text, opt, NULL);
  open_context(c);
  return c;
}

static inline void drop(Code *c) {
  dprt_ctx_free(c->ctx);
  region_unmap(&c->code);
  arena_free(c->arena);
  free(c);
}

static inline int32_t run(Code *c, const char *func, const dprt_slot *in, dprt_slot *out) {
  dprt_fn *f = (dprt_fn *)jit_address(c->jit, cg_export_symbol(c->arena, func));
  cr_assert_not_null(f, "%s", func);
  return f(c->ctx, in, out);
}

static inline void run_ok(Code *c, const char *func, const dprt_slot *in, dprt_slot *out) {
  int32_t status = run(c, func, in, out);
  cr_assert_eq(status, 0, "%s", dprt_error_text(c->ctx));
}

#define F(x) {.f64 = (x)}
#define I(x) {.i64 = (x)}
#define P(x) {.data = (x)}
#define IN(...) ((const dprt_slot[]){__VA_ARGS__})
#define EACH_LEVEL(o) for (int o = 0; o <= 3; o++)

static inline uint64_t bits(double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  return u;
}

#endif
