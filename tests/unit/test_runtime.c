// The runtime's foundations: memory, errors, texts, random numbers, files. Each test owns its context and checks that
// nothing is left of it.
#define _GNU_SOURCE
#include "dp/dprt.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// ---- a host that counts and collects ---------------------------------------------------------------------------

typedef struct Host {
  int64_t blocks;      // allocated less freed
  int64_t refuse_from; // allocations of this many bytes or more fail; 0: none
  char text[4096];
  size_t len;
} Host;

static void *host_alloc(void *user, size_t bytes) {
  Host *h = user;
  if (h->refuse_from && bytes >= (size_t)h->refuse_from)
    return NULL;
  h->blocks++;
  return malloc(bytes);
}

static void host_free(void *user, void *block) {
  ((Host *)user)->blocks--;
  free(block);
}

static void host_write(void *user, const char *text, size_t n) {
  Host *h = user;
  for (size_t i = 0; i < n && h->len + 1 < sizeof h->text; i++)
    h->text[h->len++] = text[i];
  h->text[h->len] = 0;
}

static dprt_ctx *new_ctx(Host *h) {
  *h = (Host){0};
  dprt_hooks hooks = {.user = h, .alloc = host_alloc, .free = host_free, .write = host_write, .progress = host_write};
  dprt_ctx *ctx = dprt_ctx_new(&hooks);
  cr_assert_not_null(ctx);
  return ctx;
}

static void end_ctx(dprt_ctx *ctx, Host *h) {
  dprt_ctx_free(ctx);
  cr_expect_eq(h->blocks, 0, "%lld host blocks left", (long long)h->blocks);
}

static void expect_error(dprt_ctx *ctx, dprt_status status, const char *message) {
  const dprt_error *e = dprt_get_error(ctx);
  cr_expect_eq(e->status, status, "status %d, not %d", (int)e->status, (int)status);
  cr_expect_str_eq(e->message ? e->message : "", message);
  dprt_clear_error(ctx);
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_OK);
}

static void expect_fail(int32_t got, dprt_ctx *ctx, dprt_status status, const char *message) {
  cr_expect_eq(got, (int32_t)status);
  expect_error(ctx, status, message);
}

// ---- memory ----------------------------------------------------------------------------------------------------

Test(memory, blocks_are_aligned_distinct_and_counted) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 300 };
  char *blocks[N];
  int64_t expected = 0;
  for (int i = 0; i < N; i++) {
    int64_t bytes = (int64_t)i * i * 7;
    blocks[i] = dprt_alloc(ctx, 1, bytes, 1, 1, 1);
    cr_assert_not_null(blocks[i]);
    cr_expect_eq((uintptr_t)blocks[i] % 64, 0);
    cr_expect_geq(dprt_room(blocks[i]), bytes);
    memset(blocks[i], i & 0xff, (size_t)bytes);
    expected += bytes ? (bytes + 63) / 64 * 64 : 64;
  }
  cr_expect_eq(dprt_live_bytes(ctx), expected);
  cr_expect_eq(dprt_peak_bytes(ctx), expected);
  for (int i = 0; i < N; i++)
    for (int64_t k = 0; k < (int64_t)i * i * 7; k++)
      cr_assert_eq((unsigned char)blocks[i][k], i & 0xff);
  for (int i = 0; i < N; i++)
    dprt_free(ctx, blocks[(i * 7) % N]);
  dprt_free(ctx, NULL);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  cr_expect_eq(dprt_peak_bytes(ctx), expected);
  end_ctx(ctx, &h);
}

Test(memory, release_gives_back_what_came_after_the_mark) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double *kept = dprt_alloc(ctx, 8, 10, 1, 1, 1);
  kept[9] = 7.0;
  uint64_t mark = dprt_mark(ctx);
  void *young[50];
  for (int i = 0; i < 50; i++)
    young[i] = dprt_alloc(ctx, 8, (i * 37) % 5000, 1, 1, 1);
  dprt_free(ctx, young[0]);
  dprt_free(ctx, young[49]);
  dprt_free(ctx, young[20]);
  dprt_release(ctx, mark);
  cr_expect_eq(dprt_live_bytes(ctx), 128);
  cr_expect_eq(kept[9], 7.0);
  dprt_release(ctx, mark);
  dprt_free(ctx, kept);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(memory, a_context_frees_what_is_still_alive) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  for (int i = 0; i < 1000; i++)
    dprt_alloc(ctx, 8, i, 1, 1, 1);
  dprt_alloc(ctx, 8, 1 << 20, 1, 1, 1);
  end_ctx(ctx, &h);
}

Test(memory, sizes_are_checked) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  cr_expect_null(dprt_alloc(ctx, 8, 3, -4, 1, 1));
  expect_error(ctx, DPRT_SIZE, "an array cannot have the negative size [3, -4]");
  cr_expect_null(dprt_alloc(ctx, 8, -1, 1, 1, 1));
  expect_error(ctx, DPRT_SIZE, "an array cannot have the negative size [-1]");
  cr_expect_null(dprt_alloc(ctx, 8, -3, -3, 1, 1));
  dprt_clear_error(ctx);
  cr_expect_null(dprt_alloc(ctx, 8, (int64_t)1 << 40, (int64_t)1 << 40, 1, 1));
  expect_error(ctx, DPRT_MEMORY,
               "an array of size [1099511627776, 1099511627776] with 8 bytes per element is larger than any memory");
  cr_expect_null(dprt_alloc(ctx, 8, INT64_MAX, 1, 1, 1));
  dprt_clear_error(ctx);
  void *empty = dprt_alloc(ctx, 8, INT64_MAX, INT64_MAX, 0, 5);
  cr_expect_not_null(empty, "an empty array has no elements however long its other axes");
  cr_expect_null(dprt_grow(ctx, empty, 8, 0, INT64_MAX));
  dprt_free(ctx, empty);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(memory, the_limit_holds) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_memory_limit(ctx, 100000);
  char *a = dprt_alloc(ctx, 1, 60000, 1, 1, 1);
  cr_expect_not_null(a);
  cr_expect_null(dprt_alloc(ctx, 8, 60000, 1, 1, 1));
  expect_error(ctx, DPRT_MEMORY, "out of memory: 468.7 KiB more do not fit beside 58.6 KiB in use and a limit of 97.6 KiB");
  cr_expect_null(dprt_grow(ctx, a, 1, 60000, 200000));
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_MEMORY);
  dprt_clear_error(ctx);
  char *b = dprt_alloc(ctx, 1, 40000 - 64, 1, 1, 1);
  cr_expect_not_null(b);
  dprt_free(ctx, a);
  cr_expect_not_null(dprt_alloc(ctx, 1, 60000, 1, 1, 1));
  dprt_memory_limit(ctx, 0);
  cr_expect_not_null(dprt_alloc(ctx, 1, 100 << 20, 1, 1, 1));
  dprt_release(ctx, 0);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(memory, without_a_limit_the_machine_is_the_limit) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  cr_expect_null(dprt_alloc(ctx, 1, (int64_t)1 << 45, 1, 1, 1));
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_MEMORY);
  end_ctx(ctx, &h);
}

Test(memory, a_host_that_refuses_is_reported) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  h.refuse_from = 1 << 20;
  cr_expect_null(dprt_alloc(ctx, 1, 1 << 21, 1, 1, 1));
  expect_error(ctx, DPRT_MEMORY, "out of memory: the system has no 2.0 MiB more (0 bytes in use)");
  cr_expect_not_null(dprt_alloc(ctx, 1, 1 << 10, 1, 1, 1));
  h.refuse_from = 1;
  void *p;
  while ((p = dprt_alloc(ctx, 1, 1 << 10, 1, 1, 1)))
    memset(p, 1, 1 << 10);
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_MEMORY);
  cr_expect_str_eq(dprt_error_text(ctx), dprt_get_error(ctx)->message, "told even where no text can be built");
  end_ctx(ctx, &h);
}

Test(memory, growing_keeps_content_and_age) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  int64_t *v = NULL, moves = 0;
  uint64_t mark = dprt_mark(ctx);
  int64_t *other = NULL;
  v = dprt_grow(ctx, NULL, 8, 0, 1);
  uint64_t later = dprt_mark(ctx);
  other = dprt_alloc(ctx, 8, 3, 1, 1, 1);
  for (int64_t i = 0; i < 100000; i++) {
    int64_t *w = dprt_grow(ctx, v, 8, i, i + 1);
    cr_assert_not_null(w);
    moves += w != v;
    v = w;
    v[i] = i * i;
  }
  cr_expect_lt(moves, 40);
  for (int64_t i = 0; i < 100000; i++)
    cr_assert_eq(v[i], i * i);
  cr_expect_not_null(other);
  dprt_release(ctx, later);
  cr_expect_eq(v[99999], (int64_t)99999 * 99999, "what began before a mark survives a release to it");
  dprt_release(ctx, mark);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(memory, random_use_keeps_the_accounts) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 64 };
  unsigned char *blocks[N] = {0};
  int64_t sizes[N] = {0}, live = 0;
  for (int64_t step = 0; step < 20000; step++) {
    int64_t i = dprt_rng_below(1, 3 * step, N);
    if (blocks[i]) {
      cr_assert_eq(blocks[i][0], (unsigned char)i);
      cr_assert_eq(blocks[i][sizes[i] - 1], (unsigned char)i);
      dprt_free(ctx, blocks[i]);
      live -= (sizes[i] + 63) / 64 * 64;
      blocks[i] = NULL;
    } else {
      int64_t n = (int64_t)1 << dprt_rng_below(1, 3 * step + 1, 19);
      sizes[i] = n + dprt_rng_below(1, 3 * step + 2, n);
      blocks[i] = dprt_alloc(ctx, 1, sizes[i], 1, 1, 1);
      cr_assert_not_null(blocks[i]);
      blocks[i][0] = blocks[i][sizes[i] - 1] = (unsigned char)i;
      live += (sizes[i] + 63) / 64 * 64;
    }
    cr_assert_eq(dprt_live_bytes(ctx), live);
  }
  end_ctx(ctx, &h);
}

// ---- errors ----------------------------------------------------------------------------------------------------

Test(error, messages_hold_the_values) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  expect_fail(dprt_fail_index(ctx, NULL, "v", 7, 3), ctx, DPRT_INDEX, "index 7 is out of range for `v` of size 3");
  expect_fail(dprt_fail_index(ctx, NULL, NULL, -1, 3), ctx, DPRT_INDEX, "index -1 is out of range for an array of size 3");
  expect_fail(dprt_fail_index(ctx, NULL, "v", 0, 0), ctx, DPRT_INDEX, "index 0 is out of range for `v`, which is empty");
  expect_fail(dprt_fail_range(ctx, NULL, "v", 2, 9, 5), ctx, DPRT_INDEX, "the slice 2..9 is out of range for `v` of size 5");
  expect_fail(dprt_fail_range(ctx, NULL, "v", 4, 2, 5), ctx, DPRT_INDEX, "the slice 4..2 of `v` ends before it starts");
  expect_fail(dprt_fail_size(ctx, NULL, "a + b", 3, 4), ctx, DPRT_SIZE, "sizes 3 and 4 do not fit in `a + b`");
  expect_fail(dprt_fail_assert(ctx, NULL, "n > 0"), ctx, DPRT_ASSERT, "assertion failed: n > 0");
  expect_fail(dprt_fail_assert(ctx, NULL, NULL), ctx, DPRT_ASSERT, "assertion failed");
  expect_fail(dprt_fail_divide(ctx, NULL), ctx, DPRT_ARITH, "division of an int by zero");
  expect_fail(dprt_fail_stack(ctx, NULL), ctx, DPRT_STACK, "the recursion is too deep for the thread's stack");
  end_ctx(ctx, &h);
}

Test(error, the_first_one_wins) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  cr_expect_eq(dprt_fail_divide(ctx, NULL), DPRT_ARITH);
  cr_expect_eq(dprt_fail_index(ctx, NULL, "v", 1, 1), DPRT_ARITH);
  expect_error(ctx, DPRT_ARITH, "division of an int by zero");
  cr_expect_str_eq(dprt_error_text(ctx), "");
  end_ctx(ctx, &h);
}

Test(error, the_text_shows_place_line_caret_and_callers) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_site outer = {.file = "main.dp", .line = 30, .column = 5, .function = "main"};
  dprt_site site = {.file = "model.dp", .line = 12, .column = 15, .function = "f", .text = "\tlet ä = m + v[i]", .caller = &outer};
  dprt_fail_index(ctx, &site, "v", 7, 3);
  cr_expect_str_eq(dprt_error_text(ctx), "model.dp:12:15: error: index 7 is out of range for `v` of size 3\n"
                                         "   12 | \tlet ä = m + v[i]\n"
                                         "      | \t             ^\n"
                                         "  called from main.dp:30:5 in `main`");
  cr_expect_eq(dprt_get_error(ctx)->site, &site);
  dprt_clear_error(ctx);
  dprt_fail_divide(ctx, NULL);
  cr_expect_str_eq(dprt_error_text(ctx), "error: division of an int by zero");
  end_ctx(ctx, &h);
}

Test(error, long_messages_are_cut_between_characters) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  char text[4000];
  for (size_t i = 0; i < sizeof text - 1; i += 1)
    text[i] = "\xC3\xA4"[i % 2];
  text[sizeof text - 1] = 0;
  dprt_fail_assert(ctx, NULL, text);
  const char *m = dprt_get_error(ctx)->message;
  size_t n = strlen(m);
  cr_expect_str_eq(m + n - 3, "...");
  cr_expect_eq((unsigned char)m[n - 4], 0xA4);
  dprt_clear_error(ctx);
  dprt_fail_index(ctx, NULL, text, 1, 1);
  cr_expect_str_eq(strstr(dprt_get_error(ctx)->message, "...` of size"), "...` of size 1");
  end_ctx(ctx, &h);
}

Test(error, sites_are_remembered) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_site site = {.file = "a.dp", .line = 1, .column = 2};
  dprt_at(ctx, &site);
  cr_expect_eq(dprt_site_now(ctx), &site);
  dprt_alloc(ctx, 8, -1, 1, 1, 1);
  cr_expect_str_eq(dprt_error_text(ctx), "a.dp:1:2: error: an array cannot have the negative size [-1]");
  end_ctx(ctx, &h);
}

// ---- the stack -------------------------------------------------------------------------------------------------

// How many frames fit above the limit. Each frame's address is handed to the next, so that each exists.
static int descend(uintptr_t limit, int depth, volatile char *above) {
  volatile char frame[256] = {0};
  frame[depth % 256] = above ? *above : 0;
  if ((uintptr_t)__builtin_frame_address(0) < limit)
    return depth;
  int reached = descend(limit, depth + 1, frame);
  return frame[0] == 1 ? 0 : reached;
}

static void *on_thread(void *arg) {
  dprt_ctx *ctx = arg;
  uintptr_t limit = dprt_stack_limit(ctx), here = (uintptr_t)&ctx;
  cr_expect_lt(limit, here);
  cr_expect_lt(here - limit, (uintptr_t)1 << 20);
  cr_expect_gt(descend(limit, 0, NULL), 100);
  return NULL;
}

Test(stack, the_limit_is_the_threads_own) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  uintptr_t limit = dprt_stack_limit(ctx), here = (uintptr_t)&limit;
  cr_expect_lt(limit, here);
  cr_expect_eq(dprt_stack_limit(ctx), limit);
  cr_expect_gt(descend(limit, 0, NULL), 1000);
  for (int i = 0; i < 2; i++) {
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1 << 20);
    cr_assert_eq(pthread_create(&thread, &attr, on_thread, ctx), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    cr_expect_eq(dprt_stack_limit(ctx), limit, "back on this thread");
  }
  end_ctx(ctx, &h);
}

// ---- texts -----------------------------------------------------------------------------------------------------

static const char *f64_text(dprt_ctx *ctx, double v, const char *spec) {
  dprt_text_begin(ctx);
  dprt_text_f64(ctx, v, spec);
  return dprt_text_end(ctx);
}

static const char *f32_text(dprt_ctx *ctx, float v, const char *spec) {
  dprt_text_begin(ctx);
  dprt_text_f32(ctx, v, spec);
  return dprt_text_end(ctx);
}

static const char *i64_text(dprt_ctx *ctx, int64_t v, const char *spec) {
  dprt_text_begin(ctx);
  dprt_text_i64(ctx, v, spec);
  return dprt_text_end(ctx);
}

Test(text, floats_print_short_and_exact) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  struct {
    double v;
    const char *text;
  } cases[] = {{0.0, "0.0"},
               {-0.0, "-0.0"},
               {1.0, "1.0"},
               {-2.5, "-2.5"},
               {0.1, "0.1"},
               {0.1 + 0.2, "0.30000000000000004"},
               {1.0 / 3.0, "0.3333333333333333"},
               {100.0, "100.0"},
               {1e15, "1000000000000000.0"},
               {123456789012345680.0, "1.2345678901234568e+17"},
               {9007199254740993.0, "9007199254740992.0"},
               {1e16, "1e+16"},
               {1e-4, "0.0001"},
               {1e-5, "1e-05"},
               {1.5e-7, "1.5e-07"},
               {1e300, "1e+300"},
               {5e-324, "5e-324"},
               {1.7976931348623157e308, "1.7976931348623157e+308"},
               {2.2250738585072014e-308, "2.2250738585072014e-308"},
               {INFINITY, "inf"},
               {-INFINITY, "-inf"},
               {NAN, "nan"},
               {-NAN, "nan"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    cr_expect_str_eq(f64_text(ctx, cases[i].v, ""), cases[i].text);
  cr_expect_str_eq(f32_text(ctx, 0.1f, ""), "0.1");
  cr_expect_str_eq(f32_text(ctx, 16777216.0f, ""), "16777216.0");
  cr_expect_str_eq(f32_text(ctx, 3.4028235e38f, ""), "3.4028235e+38");
  cr_expect_str_eq(f32_text(ctx, 1e-45f, ""), "1e-45");
  for (int64_t i = 0; i < 20000; i++) {
    int64_t bits = (int64_t)((uint64_t)dprt_rng_below(9, 2 * i, INT64_MAX) << 1);
    double v;
    memcpy(&v, &bits, 8);
    if (isfinite(v))
      cr_assert_eq(strtod(f64_text(ctx, v, ""), NULL), v);
    float f = (float)(dprt_rng_normal(9, 2 * i + 1) * 1000);
    cr_assert_eq(strtof(f32_text(ctx, f, ""), NULL), f);
  }
  end_ctx(ctx, &h);
}

Test(text, specs) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  cr_expect_str_eq(f64_text(ctx, 3.14159265, ".3"), "3.142");
  cr_expect_str_eq(f64_text(ctx, 3.14159265, "10.3f"), "     3.142");
  cr_expect_str_eq(f64_text(ctx, -3.14159265, "010.3f"), "-00003.142");
  cr_expect_str_eq(f64_text(ctx, 31415.9265, ".2e"), "3.14e+04");
  cr_expect_str_eq(f64_text(ctx, 31415.9265, ".3g"), "3.14e+04");
  cr_expect_str_eq(f64_text(ctx, 1500.0, "e"), "1.5e+03");
  cr_expect_str_eq(f64_text(ctx, 1500.0, "f"), "1500.0");
  cr_expect_str_eq(f64_text(ctx, 2.0, "6"), "   2.0");
  cr_expect_str_eq(f64_text(ctx, NAN, "06.2f"), "   nan");
  cr_expect_str_eq(f64_text(ctx, -INFINITY, ".2"), "-inf");
  cr_expect_str_eq(f64_text(ctx, 1e300, ".2"), "1.00e+300");
  cr_expect_str_eq(i64_text(ctx, -42, ""), "-42");
  cr_expect_str_eq(i64_text(ctx, INT64_MIN, ""), "-9223372036854775808");
  cr_expect_str_eq(i64_text(ctx, 42, "5"), "   42");
  cr_expect_str_eq(i64_text(ctx, -42, "05"), "-0042");
  cr_expect_str_eq(i64_text(ctx, 42, ".1f"), "42.0");
  end_ctx(ctx, &h);
}

static const char *array_text(dprt_ctx *ctx, dprt_elem elem, const void *data, int32_t rank, const int64_t *sizes) {
  dprt_text_begin(ctx);
  dprt_text_str(ctx, "a = ");
  dprt_text_array(ctx, (int32_t)elem, rank, data, sizes, "");
  return dprt_text_end(ctx);
}

Test(text, arrays) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double d[1000];
  for (int i = 0; i < 1000; i++)
    d[i] = i;
  int64_t ints[] = {1, -2};
  bool bools[] = {true, false};
  float floats[] = {0.5f, 0.1f};
  const char *strs[] = {"x", "y"};
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 1, (int64_t[]){3}), "a = [0.0, 1.0, 2.0]");
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 2, (int64_t[]){2, 2}), "a = [[0.0, 1.0], [2.0, 3.0]]");
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 1, (int64_t[]){0}), "a = []");
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 2, (int64_t[]){2, 0}), "a = [[], []]");
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 1, (int64_t[]){1000}),
                   "a = [0.0, 1.0, 2.0, ..., 997.0, 998.0, 999.0]");
  cr_expect_str_eq(array_text(ctx, DPRT_F64, d, 2, (int64_t[]){250, 4}),
                   "a = [[0.0, 1.0, 2.0, 3.0],\n     [4.0, 5.0, 6.0, 7.0],\n     [8.0, 9.0, 10.0, 11.0],\n     ...,\n"
                   "     [988.0, 989.0, 990.0, 991.0],\n     [992.0, 993.0, 994.0, 995.0],\n     [996.0, 997.0, 998.0, 999.0]]");
  cr_expect_str_eq(array_text(ctx, DPRT_I64, ints, 1, (int64_t[]){2}), "a = [1, -2]");
  cr_expect_str_eq(array_text(ctx, DPRT_BOOL, bools, 1, (int64_t[]){2}), "a = [true, false]");
  cr_expect_str_eq(array_text(ctx, DPRT_F32, floats, 1, (int64_t[]){2}), "a = [0.5, 0.1]");
  cr_expect_str_eq(array_text(ctx, DPRT_STR, strs, 1, (int64_t[]){2}), "a = [x, y]");
  end_ctx(ctx, &h);
}

Test(text, texts_nest_print_and_are_forgotten) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_text_begin(ctx);
  dprt_text_str(ctx, "f = ");
  const char *inner = f64_text(ctx, 1.5, "");
  dprt_text_str(ctx, inner);
  dprt_text_bool(ctx, true);
  const char *outer = dprt_text_end(ctx);
  cr_expect_str_eq(outer, "f = 1.5true");
  dprt_print(ctx, outer);
  dprt_text_begin(ctx);
  dprt_text_i64(ctx, 3, "");
  dprt_text_print(ctx);
  dprt_print(ctx, "");
  cr_expect_str_eq(h.text, "f = 1.5true\n3\n\n");
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  int64_t before = 0;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 10000; i++)
      f64_text(ctx, i, "20.3");
    dprt_text_begin(ctx); // left unfinished, as an error would
    dprt_text_release(ctx);
    if (round == 0)
      before = h.blocks;
    cr_expect_eq(h.blocks, before);
  }
  cr_expect_str_eq(f64_text(ctx, 2.5, ""), "2.5");
  end_ctx(ctx, &h);
}

Test(text, running_out_of_memory_is_an_error_not_a_crash) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  h.refuse_from = 1;
  dprt_text_begin(ctx);
  dprt_text_begin(ctx);
  dprt_text_str(ctx, "x");
  cr_expect_str_eq(dprt_text_end(ctx), "");
  cr_expect_str_eq(dprt_text_end(ctx), "");
  expect_error(ctx, DPRT_MEMORY, "out of memory while a text was built");
  h.refuse_from = 0;
  cr_expect_str_eq(f64_text(ctx, 1, ""), "1.0");
  end_ctx(ctx, &h);
}

// ---- random numbers --------------------------------------------------------------------------------------------

Test(rng, philox_known_answers) {
  // Random123's kat_vectors for philox4x32-10: counter 0 and key 0 give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  uint64_t low = (uint64_t)0xe169c58d << 32 | 0x6627e8d5;
  cr_expect_eq(dprt_rng_uniform(0, 0), (double)(low >> 11) * 0x1p-53);
  cr_expect_eq(dprt_rng_below(0, 0, 1000), (int64_t)(((unsigned __int128)low * 1000) >> 64));
}

Test(rng, moments_and_ranges) {
  enum { N = 200000 };
  double sum = 0, sum2 = 0, usum = 0, umin = 1, umax = 0, lag = 0, third = 0, fourth = 0, last = 0;
  int64_t counts[7] = {0};
  for (int64_t i = 0; i < N; i++) {
    double u = dprt_rng_uniform(42, i), z = dprt_rng_normal(42, N + i);
    usum += u;
    umin = fmin(umin, u);
    umax = fmax(umax, u);
    sum += z;
    sum2 += z * z;
    third += z * z * z;
    fourth += z * z * z * z;
    lag += z * last;
    last = z;
    counts[dprt_rng_below(42, 2 * N + i, 7)]++;
  }
  double root = sqrt(N);
  cr_expect(umin >= 0 && umax < 1);
  cr_expect_lt(fabs(usum / N - 0.5), 4 * 0.2887 / root);
  cr_expect_lt(fabs(sum / N), 4 / root);
  cr_expect_lt(fabs(sum2 / N - 1), 4 * 1.4142 / root);
  cr_expect_lt(fabs(third / N), 4 * 3.873 / root);
  cr_expect_lt(fabs(fourth / N - 3), 4 * 9.8 / root);
  cr_expect_lt(fabs(lag / N), 4 / root);
  double chi2 = 0;
  for (int i = 0; i < 7; i++)
    chi2 += (double)((counts[i] - N / 7) * (counts[i] - N / 7)) / (N / 7.0);
  cr_expect_lt(chi2, 22.5, "chi2 %g", chi2); // 6 degrees, p = 0.001
}

Test(rng, pure_in_key_and_counter) {
  cr_expect_eq(dprt_rng_normal(5, 77), dprt_rng_normal(5, 77));
  cr_expect_neq(dprt_rng_normal(5, 77), dprt_rng_normal(5, 78));
  cr_expect_neq(dprt_rng_normal(5, 77), dprt_rng_normal(6, 77));
  cr_expect_neq(dprt_rng_uniform(5, 77), dprt_rng_uniform(5, ((int64_t)1 << 32) + 77));
  cr_expect_neq(dprt_rng_uniform(-1, -1), dprt_rng_uniform(1, -1));
  cr_expect_eq(dprt_rng_below(1, 1, 1), 0);
  cr_expect_eq(dprt_rng_below(1, 1, 0), 0);
  for (int64_t i = 0; i < 100; i++) {
    int64_t v = dprt_rng_below(3, i, INT64_MAX);
    cr_expect(v >= 0);
  }
}

Test(rng, permutations) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_slot in[3] = {{.i64 = 3}, {.i64 = 10}, {.i64 = 1000}}, out[2];
  cr_assert_eq(dprt_permutation(ctx, in, out), DPRT_OK);
  cr_expect_eq(out[1].i64, 1000);
  bool seen[1000] = {false};
  int64_t *p = out[0].data, fixed = 0;
  for (int i = 0; i < 1000; i++) {
    cr_assert(p[i] >= 0 && p[i] < 1000 && !seen[p[i]]);
    seen[p[i]] = true;
    fixed += p[i] == i;
  }
  cr_expect_lt(fixed, 10);
  int64_t same[1000];
  dprt_rng_permutation(3, 10, 1000, same);
  cr_expect_arr_eq(p, same, sizeof same);
  dprt_free(ctx, p);
  int64_t firsts[4] = {0};
  for (int64_t i = 0; i < 40000; i++) {
    int64_t q[4];
    dprt_rng_permutation(7, 4 * i, 4, q);
    firsts[q[0]]++;
  }
  for (int i = 0; i < 4; i++)
    cr_expect_lt(llabs(firsts[i] - 10000), 400);
  in[2].i64 = -1;
  expect_fail(dprt_permutation(ctx, in, out), ctx, DPRT_ARGUMENT, "a permutation cannot have -1 elements");
  end_ctx(ctx, &h);
}

// ---- files -----------------------------------------------------------------------------------------------------

static char folder[64];

static void make_folder(void) {
  strcpy(folder, "/tmp/dprt-test-XXXXXX");
  cr_assert_not_null(mkdtemp(folder));
}

static void drop_folder(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  cr_expect_eq(system(command), 0);
}

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put_file(const char *name, const char *text, size_t n) {
  FILE *f = fopen(path_of(name), "wb");
  cr_assert_not_null(f);
  fwrite(text, 1, n, f);
  fclose(f);
}

static int files_in_folder(void) {
  char command[120];
  snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
  FILE *p = popen(command, "r");
  int n = -1;
  cr_assert_eq(fscanf(p, "%d", &n), 1);
  pclose(p);
  return n;
}

static int32_t read_csv(dprt_ctx *ctx, const char *text, dprt_slot out[3]) {
  put_file("t.csv", text, strlen(text));
  dprt_slot in[1] = {{.str = path_of("t.csv")}};
  return dprt_read_csv(ctx, in, out);
}

static void expect_table(dprt_ctx *ctx, const char *text, int64_t rows, int64_t cols, const double *cells) {
  dprt_slot out[3] = {{.i64 = -1}, {.i64 = -1}, {.i64 = -1}};
  int32_t status = read_csv(ctx, text, out);
  cr_expect_eq(status, DPRT_OK, "%s", dprt_error_text(ctx));
  dprt_clear_error(ctx);
  if (status)
    return;
  cr_expect(out[1].i64 == rows && out[2].i64 == cols, "[%lld, %lld] from %s", (long long)out[1].i64,
            (long long)out[2].i64, text);
  if (out[1].i64 == rows && out[2].i64 == cols)
    for (int64_t i = 0; i < rows * cols; i++) {
      double got = ((double *)out[0].data)[i];
      cr_expect(got == cells[i] || (isnan(got) && isnan(cells[i])), "cell %lld: %.17g, not %.17g", (long long)i, got, cells[i]);
    }
  dprt_free(ctx, out[0].data);
}

static void expect_bad_csv(dprt_ctx *ctx, const char *text, const char *message) {
  dprt_slot out[3];
  char whole[300];
  cr_expect_eq(read_csv(ctx, text, out), DPRT_DATA, "%s", text);
  snprintf(whole, sizeof whole, "%s%s", path_of("t.csv"), message);
  expect_error(ctx, DPRT_DATA, whole);
}

TestSuite(files, .init = make_folder, .fini = drop_folder);

Test(files, csv_as_programs_write_it) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  const double six[] = {1, 2, 3, 4, 5, 6};
  expect_table(ctx, "1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "1,2,3\n4,5,6", 2, 3, six);
  expect_table(ctx, "a,b,c\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "\xEF\xBB\xBF" "a,b,c\r\n1,2,3\r\n\r\n4,5,6\r\n\r\n", 2, 3, six);
  expect_table(ctx, "a,b,c\r1,2,3\r4,5,6\r", 2, 3, six);
  expect_table(ctx, "# made by hand\n\n  \nx,\"y, or so\",\"z\"\"\n2\"\n 1 , 2,\t3\n# half way\n\"4\",+5,6.0\n", 2, 3, six);
  expect_table(ctx, "a;b;c\n1;2;3\n4;5;6\n", 2, 3, six);
  expect_table(ctx, "a\tb\tc\n1\t2\t3\n4\t5\t6\n", 2, 3, six);
  expect_table(ctx, "x\n1\n2\n3\n4\n5\n6\n", 6, 1, six);
  expect_table(ctx, "year,2020,2021\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "1st,2nd,3rd\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "a,b,c\n", 0, 3, NULL);
  const double special[] = {NAN, INFINITY, -INFINITY, 1e-3, 0.5, 5.0};
  expect_table(ctx, "nan,inf,-Infinity\n1e-3,.5,5.\n", 2, 3, special);
  end_ctx(ctx, &h);
}

Test(files, csv_mistakes_are_named) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  expect_bad_csv(ctx, "", ": the file holds no data");
  expect_bad_csv(ctx, "# only\n\n", ": the file holds no data");
  expect_bad_csv(ctx, "a,b\n1,2\n3,abc\n", ", line 3, column 2: \"abc\" is not a number");
  expect_bad_csv(ctx, "1,2\n3,\n", ", line 2, column 2: the cell is empty");
  expect_bad_csv(ctx, "1,2\n,3\n", ", line 2, column 1: the cell is empty");
  expect_bad_csv(ctx, "1,,2\n", ", line 1, column 2: the cell is empty");
  expect_bad_csv(ctx, "1,2\n3\n", ", line 2: 1 cell, but line 1 has 2");
  expect_bad_csv(ctx, "a,b\n\n1,2,3\n", ", line 3: 3 cells, but line 1 has 2");
  expect_bad_csv(ctx, "1,2\n3,4,5,6\n", ", line 2: 4 cells, but line 1 has 2");
  expect_bad_csv(ctx, "1.0,2.x,3\n", ", line 1, column 2: \"2.x\" is not a number");
  expect_bad_csv(ctx, "1,2\n0x10,4\n", ", line 2, column 1: \"0x10\" is not a number");
  expect_bad_csv(ctx, "1,2\n1e,4\n", ", line 2, column 1: \"1e\" is not a number");
  expect_bad_csv(ctx, "1,2\n\"3\"x,4\n", ", line 2, column 1: \"3\"x\" is not a number");
  expect_bad_csv(ctx, "1,2\n\"3,4\n", ", line 2: 1 cell, but line 1 has 2");
  expect_bad_csv(ctx, "1\n1 2\n", ", line 2, column 1: \"1 2\" is not a number");
  expect_bad_csv(ctx, "1\n-\n", ", line 2, column 1: \"-\" is not a number");
  expect_bad_csv(ctx, "x\n\"q\nq\"\n", ", line 2, column 1: \"q\nq\" is not a number");
  expect_bad_csv(ctx, "1\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n",
                 ", line 2, column 1: \"abcdefghijklmnopqrstuvwxyzabcdefghijklmn...\" is not a number");
  dprt_slot out[3], in[1] = {{.str = "/nonexistent/x.csv"}};
  expect_fail(dprt_read_csv(ctx, in, out), ctx, DPRT_DATA, "cannot read \"/nonexistent/x.csv\": No such file or directory");
  in[0].str = "/tmp";
  expect_fail(dprt_read_csv(ctx, in, out), ctx, DPRT_DATA, "cannot read \"/tmp\": Is a directory");
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(files, csv_of_any_bytes_does_no_harm) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  static const char alphabet[] = "0123456789.,,,;\t\"\"\n\n\r-+e#x ";
  for (int64_t round = 0; round < 3000; round++) {
    char text[64];
    int64_t n = dprt_rng_below(round, 0, 64);
    for (int64_t i = 0; i < n; i++)
      text[i] = alphabet[dprt_rng_below(round, i + 1, sizeof alphabet)]; // NUL included
    put_file("t.csv", text, (size_t)n);
    dprt_slot in[1] = {{.str = path_of("t.csv")}}, out[3];
    if (dprt_read_csv(ctx, in, out) == DPRT_OK)
      dprt_free(ctx, out[0].data);
    dprt_clear_error(ctx);
    cr_assert_eq(dprt_live_bytes(ctx), 0);
  }
  end_ctx(ctx, &h);
}

Test(files, csv_round_trip_is_exact) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 5000, M = 4 };
  double *table = dprt_alloc(ctx, 8, N, M, 1, 1);
  for (int64_t i = 0; i < N * M; i++) {
    double scale = pow(10, (double)dprt_rng_below(2, 2 * i, 40) - 20);
    table[i] = i % 3 == 0 ? round(dprt_rng_normal(2, 2 * i + 1) * 1000) / 1000 : dprt_rng_normal(2, 2 * i + 1) * scale;
  }
  table[5] = INFINITY;
  table[6] = -INFINITY;
  dprt_slot in[5] = {{.str = path_of("r.csv")}, {.str = "a,b,c,d"}, {.data = table}, {.i64 = N}, {.i64 = M}}, out[3];
  cr_assert_eq(dprt_write_csv(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  cr_assert_eq(dprt_read_csv(ctx, in, out), DPRT_OK, "%s", dprt_error_text(ctx));
  cr_expect(out[1].i64 == N && out[2].i64 == M);
  cr_expect_arr_eq(out[0].data, table, N * M * sizeof(double));
  cr_expect_eq(files_in_folder(), 1, "no temporary file is left");
  dprt_free(ctx, table);
  dprt_free(ctx, out[0].data);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(files, writing_reports_what_it_cannot_do) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double cells[] = {1, 2};
  dprt_slot in[5] = {{.str = "/nonexistent/x.csv"}, {.str = ""}, {.data = cells}, {.i64 = 1}, {.i64 = 2}};
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_DATA, "cannot write \"/nonexistent/x.csv\": No such file or directory");
  in[1].str = "a,b,c";
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_ARGUMENT,
              "the header \"a,b,c\" names 3 columns, but the table has 2");
  in[1].str = "a\n,b";
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_ARGUMENT, "the header of a CSV file must be one line");
  dprt_slot text[2] = {{.str = path_of("note.txt")}, {.str = "hello\n"}};
  cr_expect_eq(dprt_write_text(ctx, text, NULL), DPRT_OK);
  cr_expect_eq(dprt_write_text(ctx, text, NULL), DPRT_OK, "over an existing file");
  struct stat st;
  cr_expect(stat(path_of("note.txt"), &st) == 0 && st.st_size == 6);
  cr_expect_eq(files_in_folder(), 1);
  text[0].str = "/dev/full";
  expect_fail(dprt_write_text(ctx, text, NULL), ctx, DPRT_DATA, "cannot write \"/dev/full\": No space left on device");
  text[0].str = folder;
  expect_fail(dprt_write_text(ctx, text, NULL), ctx, DPRT_DATA,
              (snprintf(h.text, sizeof h.text, "cannot write \"%s\": Is a directory", folder), h.text));
  end_ctx(ctx, &h);
}

Test(files, the_clock_runs) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_slot a[1], b[1];
  dprt_clock(ctx, NULL, a);
  dprt_clock(ctx, NULL, b);
  cr_expect_geq(b[0].f64, a[0].f64);
  end_ctx(ctx, &h);
}

// ---- plots -----------------------------------------------------------------------------------------------------

// A file that holds one well-formed svg element without a number that is none. Returns its text, until the next call.
static const char *svg_text(const char *name) {
  static char text[1 << 20];
  FILE *f = fopen(path_of(name), "rb");
  cr_assert_not_null(f);
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = 0;
  fclose(f);
  cr_expect_eq(strncmp(text, "<svg ", 5), 0);
  cr_expect_eq(strncmp(text + n - 7, "</svg>\n", 7), 0);
  int depth = 0;
  for (const char *p = text; (p = strchr(p, '<')); p++) {
    const char *end = strchr(p, '>');
    cr_assert_not_null(end);
    cr_assert_null(memmem(p, (size_t)(end - p), "nan", 3));
    cr_assert_null(memmem(p, (size_t)(end - p), "inf", 3));
    if (p[1] == '/')
      depth--;
    else if (end[-1] != '/')
      depth++;
    cr_assert(depth >= 0);
  }
  cr_expect_eq(depth, 0);
  return text;
}

static int count_of(const char *text, const char *piece) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, piece)); p++)
    n++;
  return n;
}

Test(files, line_plots) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double x[] = {0, 1, 2, 3}, y[] = {1, 10, 100, 1000, 5, NAN, 7, INFINITY};
  const char *path = path_of("p.svg");
  dprt_slot in[12] = {{.str = path},  {.str = "Loss <of> & all"}, {.str = "epoch"}, {.str = "loss"}, {.str = "train, test"},
                      {.data = x},    {.i64 = 4},                 {.data = y},      {.i64 = 2},      {.i64 = 4},
                      {.b = false},   {.b = true}};
  cr_assert_eq(dprt_plot_lines(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  const char *text = svg_text("p.svg");
  cr_expect_not_null(strstr(text, ">Loss &lt;of&gt; &amp; all</text>"));
  cr_expect_not_null(strstr(text, ">train</text>"));
  cr_expect_not_null(strstr(text, ">test</text>"));
  cr_expect_not_null(strstr(text, ">100</text>"), "decades are labelled");
  cr_expect_eq(count_of(text, "<circle"), 2, "points between gaps are dots");
  cr_expect_eq(files_in_folder(), 1);
  in[4].str = "a,b,c";
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_ARGUMENT, "the names \"a,b,c\" are 3, but there are 2 rows in y");
  in[4].str = "";
  in[0].str = "/nonexistent/p.svg";
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_DATA, "cannot write \"/nonexistent/p.svg\": No such file or directory");
  in[9].i64 = 3;
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_SIZE, "sizes 4 and 3 do not fit in `plot_lines(x, y)`");
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

static double strange(int64_t round, int64_t i) {
  static const double values[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1, -1, 1e308, -1e308, 5e-324, 1e-300, 1e17, 1e17 + 64, 3.5};
  return values[dprt_rng_below(round, i, sizeof values / sizeof *values)];
}

Test(files, plots_of_anything_are_files) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  for (int64_t round = 0; round < 400; round++) {
    double x[7], y[14], z[49], paths[20];
    for (int64_t i = 0; i < 7; i++)
      x[i] = strange(round, i);
    for (int64_t i = 0; i < 14; i++)
      y[i] = strange(round, 10 + i);
    for (int64_t i = 0; i < 49; i++)
      z[i] = strange(round, 30 + i);
    for (int64_t i = 0; i < 20; i++)
      paths[i] = strange(round, 80 + i);
    int64_t n = dprt_rng_below(round, 100, 8), m = dprt_rng_below(round, 101, 8);
    const double *ys[] = {y, y + 7};
    cr_assert_eq(dprt_svg_lines(ctx, path_of("a.svg"), NULL, "x", NULL, 2, NULL, n, x, ys, round & 1, round & 2), DPRT_OK);
    svg_text("a.svg");
    double gx[7], gy[7];
    for (int i = 0; i < 7; i++) {
      gx[i] = isfinite(x[i]) ? x[i] : i;
      gy[i] = isfinite(y[i]) ? y[i] : i;
    }
    cr_assert_eq(dprt_svg_contour(ctx, path_of("c.svg"), "c", n, gx, m, gy, z, 2, (const char *[]){"a", "b"}, 5, paths), DPRT_OK);
    svg_text("c.svg");
  }
  end_ctx(ctx, &h);
}

Test(files, line_plots_stay_small) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 300000 };
  double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  for (int64_t i = 0; i < N; i++) {
    x[i] = (double)i;
    y[i] = dprt_rng_normal(1, i);
  }
  const double *ys[] = {y};
  cr_assert_eq(dprt_svg_lines(ctx, path_of("big.svg"), "t", "x", "y", 1, NULL, N, x, ys, false, false), DPRT_OK);
  cr_expect_lt(strlen(svg_text("big.svg")), 80000u);
  free(x);
  free(y);
  end_ctx(ctx, &h);
}

Test(files, contour_plots) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 41 };
  double xs[N], z[N * N], paths[2 * 3 * 2] = {-1, -1, -0.5, -0.4, 0, 0, 1, 1, 0.5, 0.6, 0.1, 0.1};
  for (int i = 0; i < N; i++)
    xs[i] = -1 + 2.0 * i / (N - 1);
  for (int j = 0; j < N; j++)
    for (int i = 0; i < N; i++)
      z[j * N + i] = xs[i] * xs[i] + xs[j] * xs[j];
  dprt_slot in[14] = {{.str = path_of("c.svg")}, {.str = "A bowl"}, {.str = "sgd,adam"}, {.data = xs}, {.i64 = N},
                      {.data = xs},              {.i64 = N},        {.data = z},         {.i64 = N},   {.i64 = N},
                      {.data = paths},           {.i64 = 2},        {.i64 = 3},          {.i64 = 2}};
  cr_assert_eq(dprt_plot_contour(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  const char *text = svg_text("c.svg");
  // A bowl's level inside the frame is one closed line: it ends where it starts.
  const char *d = strstr(strstr(text, "url(#frame)"), "d=\"M");
  cr_assert_not_null(d);
  char start[32] = "", line[100000] = "";
  cr_assert_eq(sscanf(d + 4, "%31[-0-9. ]", start), 1);
  cr_assert_eq(sscanf(d + 4, "%99999[^\"]", line), 1);
  cr_expect_eq(count_of(line, "M"), 0);
  cr_expect_str_eq(line + strlen(line) - strlen(start), start);
  cr_expect_eq(count_of(text, "<circle"), 2 + 2 * 3 + 2, "legend, dots and starts");
  in[2].str = "one";
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_ARGUMENT, "the names \"one\" are 1, but there are 2 paths");
  in[2].str = "";
  xs[3] = NAN;
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_ARGUMENT, "the grid of a contour plot must be finite");
  xs[3] = -0.85;
  in[11].i64 = in[12].i64 = 0;
  cr_expect_eq(dprt_plot_contour(ctx, in, NULL), DPRT_OK);
  in[0].str = "/nonexistent/c.svg";
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_DATA, "cannot write \"/nonexistent/c.svg\": No such file or directory");
  end_ctx(ctx, &h);
}

// ---- the matrix product ----------------------------------------------------------------------------------------

typedef struct Product {
  int64_t m, n, k, lda, ldb, ldc;
  bool ta, tb, add;
} Product;

static double at(const double *p, int64_t ld, bool t, int64_t i, int64_t j) { return t ? p[j * ld + i] : p[i * ld + j]; }

enum { SLACK = 5, GUARD = -77 };

static int64_t matrix_size(int64_t rows, int64_t ld) { return rows * ld + SLACK; }

// Every level gives the same bits, and those of sums by fma in the order of k; nothing beside C changes.
static void check_product(Product q) {
  int64_t na = matrix_size(q.ta ? q.k : q.m, q.lda), nb = matrix_size(q.tb ? q.n : q.k, q.ldb), nc = matrix_size(q.m, q.ldc);
  double *a = malloc((size_t)na * 8), *b = malloc((size_t)nb * 8), *c[3];
  float *fa = malloc((size_t)na * 4), *fb = malloc((size_t)nb * 4), *fc[3];
  for (int64_t i = 0; i < na; i++)
    fa[i] = (float)(a[i] = dprt_rng_uniform(1, i) - 0.5);
  for (int64_t i = 0; i < nb; i++)
    fb[i] = (float)(b[i] = dprt_rng_uniform(2, i) - 0.5);
  for (int level = 0; level < 3; level++) {
    c[level] = malloc((size_t)nc * 8);
    fc[level] = malloc((size_t)nc * 4);
    for (int64_t i = 0; i < nc; i++) {
      bool inside = i / q.ldc < q.m && i % q.ldc < q.n;
      c[level][i] = inside ? (q.add ? dprt_rng_uniform(3, i) : (double)NAN) : GUARD;
      fc[level][i] = (float)c[level][i];
    }
    dprt_gemm_f64_on(level, q.m, q.n, q.k, a, q.lda, q.ta, b, q.ldb, q.tb, c[level], q.ldc, q.add);
    dprt_gemm_f32_on(level, q.m, q.n, q.k, fa, q.lda, q.ta, fb, q.ldb, q.tb, fc[level], q.ldc, q.add);
  }
  bool ordered = q.m > 2 && q.n > 1;
  const char *t = q.ta ? q.tb ? "TT" : "TN" : q.tb ? "NT" : "NN";
  for (int64_t i = 0; i < nc; i++) {
    double want = GUARD;
    if (i / q.ldc < q.m && i % q.ldc < q.n) {
      want = q.add ? dprt_rng_uniform(3, i) : 0;
      for (int64_t p = 0; p < q.k; p++)
        want = fma(at(a, q.lda, q.ta, i / q.ldc, p), at(b, q.ldb, q.tb, p, i % q.ldc), want);
    }
    bool good = ordered || want == GUARD ? c[0][i] == want : fabs(c[0][i] - want) < 1e-13 * (1 + (double)q.k);
    cr_assert(good, "%lldx%lldx%lld %s: element %lld is %.17g, not %.17g", (long long)q.m, (long long)q.n, (long long)q.k, t,
              (long long)i, c[0][i], want);
    cr_assert(fabs((double)fc[0][i] - want) < 1e-5 * (1 + sqrt((double)q.k)), "%lldx%lldx%lld %s f32", (long long)q.m,
              (long long)q.n, (long long)q.k, t);
  }
  for (int level = 1; level < 3; level++) {
    cr_assert_arr_eq(c[level], c[0], (size_t)nc * 8, "%lldx%lldx%lld %s: level %d", (long long)q.m, (long long)q.n,
                     (long long)q.k, t, level);
    cr_assert_arr_eq(fc[level], fc[0], (size_t)nc * 4);
  }
  for (int level = 0; level < 3; level++) {
    free(c[level]);
    free(fc[level]);
  }
  free(a), free(b), free(fa), free(fb);
}

static void check_all_forms(int64_t m, int64_t n, int64_t k, int64_t pad) {
  for (int form = 0; form < 8; form++) {
    bool ta = form & 1, tb = form & 2;
    check_product((Product){.m = m, .n = n, .k = k, .ta = ta, .tb = tb, .add = form & 4, .ldc = n + pad,
                            .lda = (ta ? m : k) + pad, .ldb = (tb ? k : n) + pad});
  }
}

Test(gemm, all_small_sizes) {
  for (int64_t m = 1; m <= 10; m++)
    for (int64_t n = 1; n <= 10; n++)
      for (int64_t k = 1; k <= 10; k += 3)
        check_all_forms(m, n, k, (m + n) % 3);
}

Test(gemm, odd_sizes_across_every_block) {
  static const int64_t sizes[][3] = {{17, 33, 65},  {31, 47, 193}, {9, 65, 385},  {70, 150, 400}, {1, 130, 200}, {130, 1, 200},
                                     {2, 129, 77},  {3, 257, 31},  {33, 2, 500},  {64, 64, 192},  {1, 1, 1000},  {200, 5, 1},
                                     {37, 19, 16},  {1, 16, 1},    {5, 24, 200},  {16, 31, 7},    {11, 17, 13},  {40, 70, 210}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    check_all_forms(sizes[i][0], sizes[i][1], sizes[i][2], 0);
    check_all_forms(sizes[i][0], sizes[i][1], sizes[i][2], 3);
  }
}

Test(gemm, empty_products) {
  double a[4] = {1, 2, 3, 4}, c[4] = {5, 6, 7, 8};
  dprt_gemm_f64(2, 2, 0, a, 0, false, a, 2, false, c, 2, true);
  cr_expect_eq(c[3], 8);
  dprt_gemm_f64(0, 2, 2, a, 2, false, a, 2, false, c, 2, false);
  cr_expect_eq(c[0], 5);
  dprt_gemm_f64(2, 2, 0, a, 0, false, a, 2, false, c, 2, false);
  cr_expect(c[0] == 0 && c[3] == 0);
  float fa[4] = {1, 2, 3, 4}, fc[4] = {5, 6, 7, 8};
  dprt_gemm_f32(2, 2, 2, fa, 2, false, fa, 2, true, fc, 2, false);
  cr_expect(fc[0] == 5 && fc[1] == 11 && fc[2] == 11 && fc[3] == 25);
}

static void *small_stack_product(void *arg) {
  double *m = arg;
  dprt_gemm_f64(64, 64, 64, m, 64, true, m, 64, true, m + 64 * 64, 64, false);
  return NULL;
}

Test(gemm, a_small_stack_is_enough) {
  double *m = calloc(2 * 64 * 64, sizeof *m);
  pthread_attr_t attr;
  pthread_t thread;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 192 << 10);
  cr_assert_eq(pthread_create(&thread, &attr, small_stack_product, m), 0);
  pthread_join(thread, NULL);
  free(m);
}
