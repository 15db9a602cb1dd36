// The context: what one thread of work owns, its output, and how deep its stack may grow.
// In: the host's hooks. Out: a context for every other function of the runtime. What must hold: all memory comes from
// the hooks and goes back to them in dprt_ctx_free.
#define _GNU_SOURCE
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const uintptr_t STACK_RESERVE = 256 << 10; // left for C functions that compiled code calls
static const uintptr_t FOREIGN_STACK =
    64 << 10; // what a stack of unknown size (a coroutine's) is trusted to have

dprt_ctx *dprt_ctx_new(const dprt_hooks *hooks) {
  dprt_hooks own = hooks ? *hooks : (dprt_hooks){0};
  dprt_ctx *ctx = own.alloc ? own.alloc(own.user, sizeof *ctx) : malloc(sizeof *ctx);
  if (!ctx) return NULL;
  *ctx = (dprt_ctx){.hooks = own, .c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
  textbuf_init(&ctx->text, ctx);
  textbuf_init(&ctx->error_text, ctx);
  dprt_memory_init(ctx);
  return ctx;
}

void dprt_ctx_free(dprt_ctx *ctx) {
  if (!ctx) return;
  dprt_text_free_all(ctx);
  dprt_memory_free_all(ctx);
  if (ctx->c_locale) freelocale(ctx->c_locale);
  dprt_raw_free(ctx, ctx);
}

// ---- output --------------------------------------------------------------------------------------------------

void dprt_write(dprt_ctx *ctx, const char *text, size_t n) {
  if (ctx->hooks.write)
    ctx->hooks.write(ctx->hooks.user, text, n);
  else
    fwrite(text, 1, n, stdout);
}

void dprt_progress_write(dprt_ctx *ctx, const char *text, size_t n) {
  if (ctx->hooks.progress) {
    ctx->hooks.progress(ctx->hooks.user, text, n);
    return;
  }
  fflush(stdout); // what was printed before stands before
  fwrite(text, 1, n, stderr);
  fflush(stderr);
}

bool dprt_progress_is_terminal(const dprt_ctx *ctx) {
  return ctx->hooks.progress ? ctx->hooks.progress_is_terminal : isatty(STDERR_FILENO);
}

int32_t dprt_clock(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)ctx, (void)in;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  out[0].f64 = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  return DPRT_OK;
}

// ---- the stack -----------------------------------------------------------------------------------------------

static void find_stack(dprt_ctx *ctx, uintptr_t here) {
  ctx->thread = pthread_self();
  pthread_attr_t attr;
  void *base = NULL;
  size_t size = 0;
  if (pthread_getattr_np(ctx->thread, &attr) == 0) {
    pthread_attr_getstack(&attr, &base, &size);
    pthread_attr_destroy(&attr);
  }
  ctx->stack_low = (uintptr_t)base;
  ctx->stack_high = (uintptr_t)base + size;
  uintptr_t reserve = STACK_RESERVE < size / 2 ? STACK_RESERVE : size / 2;
  ctx->stack_limit = ctx->stack_low + reserve;
  if (here < ctx->stack_low || here >= ctx->stack_high) {
    ctx->stack_low = ctx->stack_high = 0; // look again next time
    ctx->stack_limit = here > FOREIGN_STACK ? here - FOREIGN_STACK : 0;
  }
}

uintptr_t dprt_stack_limit(dprt_ctx *ctx) {
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  bool known = ctx->stack_high && pthread_equal(ctx->thread, pthread_self()) && here >= ctx->stack_low &&
               here < ctx->stack_high;
  if (!known) find_stack(ctx, here);
  return ctx->stack_limit;
}
