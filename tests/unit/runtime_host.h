// A host that counts what the runtime takes and collects what it prints, and the checks of errors: for the runtime's tests.
#ifndef DP_RUNTIME_HOST_H
#define DP_RUNTIME_HOST_H

#include "dp/dprt.h"

#include <criterion/criterion.h>
#include <stdlib.h>

typedef struct Host {
  int64_t blocks;      // allocated less freed
  int64_t refuse_from; // allocations of this many bytes or more fail; 0: none
  char text[4096];
  size_t len;
} Host;

static inline void *host_alloc(void *user, size_t bytes) {
  Host *h = user;
  if (h->refuse_from && bytes >= (size_t)h->refuse_from) return NULL;
  h->blocks++;
  return malloc(bytes);
}

static inline void host_free(void *user, void *block) {
  ((Host *)user)->blocks--;
  free(block);
}

static inline void host_write(void *user, const char *text, size_t n) {
  Host *h = user;
  for (size_t i = 0; i < n && h->len + 1 < sizeof h->text; i++) h->text[h->len++] = text[i];
  h->text[h->len] = 0;
}

static inline dprt_ctx *new_ctx(Host *h) {
  *h = (Host){0};
  dprt_hooks hooks = {
      .user = h, .alloc = host_alloc, .free = host_free, .write = host_write, .progress = host_write};
  dprt_ctx *ctx = dprt_ctx_new(&hooks);
  cr_assert_not_null(ctx);
  return ctx;
}

static inline void end_ctx(dprt_ctx *ctx, Host *h) {
  dprt_ctx_free(ctx);
  cr_expect_eq(h->blocks, 0, "%lld host blocks left", (long long)h->blocks);
}

static inline void expect_error(dprt_ctx *ctx, dprt_status status, const char *message) {
  const dprt_error *e = dprt_get_error(ctx);
  cr_expect_eq(e->status, status, "status %d, not %d", (int)e->status, (int)status);
  cr_expect_str_eq(e->message ? e->message : "", message);
  dprt_clear_error(ctx);
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_OK);
}

static inline void expect_fail(int32_t got, dprt_ctx *ctx, dprt_status status, const char *message) {
  cr_expect_eq(got, (int32_t)status);
  expect_error(ctx, status, message);
}

#endif
