// The runtime's foundations: memory, errors, the stack, texts, random numbers. Each test owns its context and checks that
// nothing is left of it.
#define _GNU_SOURCE
#include "runtime_host.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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
    for (int64_t k = 0; k < (int64_t)i * i * 7; k++) cr_assert_eq((unsigned char)blocks[i][k], i & 0xff);
  for (int i = 0; i < N; i++) dprt_free(ctx, blocks[(i * 7) % N]);
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
  for (int i = 0; i < 50; i++) young[i] = dprt_alloc(ctx, 8, (i * 37) % 5000, 1, 1, 1);
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
  for (int i = 0; i < 1000; i++) dprt_alloc(ctx, 8, i, 1, 1, 1);
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
  expect_error(
      ctx, DPRT_MEMORY,
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
  expect_error(ctx, DPRT_MEMORY,
               "out of memory: 468.7 KiB more do not fit beside 58.6 KiB in use and a limit of 97.6 KiB");
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
  while ((p = dprt_alloc(ctx, 1, 1 << 10, 1, 1, 1))) memset(p, 1, 1 << 10);
  cr_expect_eq(dprt_get_error(ctx)->status, DPRT_MEMORY);
  cr_expect_str_eq(dprt_error_text(ctx), dprt_get_error(ctx)->message,
                   "told even where no text can be built");
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
  for (int64_t i = 0; i < 100000; i++) cr_assert_eq(v[i], i * i);
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
  expect_fail(dprt_fail_index(ctx, NULL, "v", 7, 3), ctx, DPRT_INDEX,
              "index 7 is out of range for `v` of size 3");
  expect_fail(dprt_fail_index(ctx, NULL, NULL, -1, 3), ctx, DPRT_INDEX,
              "index -1 is out of range for an array of size 3");
  expect_fail(dprt_fail_index(ctx, NULL, "v", 0, 0), ctx, DPRT_INDEX,
              "index 0 is out of range for `v`, which is empty");
  expect_fail(dprt_fail_range(ctx, NULL, "v", 2, 9, 5), ctx, DPRT_INDEX,
              "the slice 2..9 is out of range for `v` of size 5");
  expect_fail(dprt_fail_range(ctx, NULL, "v", 4, 2, 5), ctx, DPRT_INDEX,
              "the slice 4..2 of `v` ends before it starts");
  expect_fail(dprt_fail_size(ctx, NULL, "a + b", 3, 4), ctx, DPRT_SIZE,
              "sizes 3 and 4 do not fit in `a + b`");
  expect_fail(dprt_fail_assert(ctx, NULL, "n > 0"), ctx, DPRT_ASSERT, "assertion failed: n > 0");
  expect_fail(dprt_fail_assert(ctx, NULL, NULL), ctx, DPRT_ASSERT, "assertion failed");
  expect_fail(dprt_fail_divide(ctx, NULL), ctx, DPRT_ARITH, "division of an int by zero");
  expect_fail(dprt_fail_stack(ctx, NULL), ctx, DPRT_STACK,
              "the recursion is too deep for the thread's stack");
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
  dprt_site site = {.file = "model.dp",
                    .line = 12,
                    .column = 15,
                    .function = "f",
                    .text = "\tlet ä = m + v[i]",
                    .caller = &outer};
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
  for (size_t i = 0; i < sizeof text - 1; i += 1) text[i] = "\xC3\xA4"[i % 2];
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
  if ((uintptr_t)__builtin_frame_address(0) < limit) return depth;
  int reached = descend(limit, depth + 1, frame);
  return frame[0] == 1 ? 0 : reached;
}

static void *on_thread(void *arg) {
  dprt_ctx *ctx = arg;
  uintptr_t limit = dprt_stack_limit(ctx), here = (uintptr_t)__builtin_frame_address(0);
  cr_expect_lt(limit, here);
  cr_expect_lt(here - limit, (uintptr_t)1 << 20);
  cr_expect_gt(descend(limit, 0, NULL), 100);
  return NULL;
}

Test(stack, the_limit_is_the_threads_own) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  uintptr_t limit = dprt_stack_limit(ctx), here = (uintptr_t)__builtin_frame_address(0);
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
    if (isfinite(v)) cr_assert_eq(strtod(f64_text(ctx, v, ""), NULL), v);
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

static const char *array_text(dprt_ctx *ctx, dprt_elem elem, const void *data, int32_t rank,
                              const int64_t *sizes) {
  dprt_text_begin(ctx);
  dprt_text_str(ctx, "a = ");
  dprt_text_array(ctx, (int32_t)elem, rank, data, sizes, "");
  return dprt_text_end(ctx);
}

Test(text, arrays) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double d[1000];
  for (int i = 0; i < 1000; i++) d[i] = i;
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
  cr_expect_str_eq(
      array_text(ctx, DPRT_F64, d, 2, (int64_t[]){250, 4}),
      "a = [[0.0, 1.0, 2.0, 3.0],\n     [4.0, 5.0, 6.0, 7.0],\n     [8.0, 9.0, 10.0, 11.0],\n     ...,\n"
      "     [988.0, 989.0, 990.0, 991.0],\n     [992.0, 993.0, 994.0, 995.0],\n     [996.0, 997.0, 998.0, "
      "999.0]]");
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
    for (int i = 0; i < 10000; i++) f64_text(ctx, i, "20.3");
    dprt_text_begin(ctx); // left unfinished, as an error would
    dprt_text_release(ctx);
    if (round == 0) before = h.blocks;
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
  for (int i = 0; i < 7; i++) chi2 += (double)((counts[i] - N / 7) * (counts[i] - N / 7)) / (N / 7.0);
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
  for (int i = 0; i < 4; i++) cr_expect_lt(llabs(firsts[i] - 10000), 400);
  in[2].i64 = -1;
  expect_fail(dprt_permutation(ctx, in, out), ctx, DPRT_ARGUMENT, "a permutation cannot have -1 elements");
  end_ctx(ctx, &h);
}
