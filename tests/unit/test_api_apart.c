// libdp with functions compiled in a process of their own: the same answers, and a host that the compiler cannot harm.
#include "dp/dp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char model[] = "struct Linear[d] { w: [d]f64, b: f64 }\n"
                            "fn mse(m: Linear[d], x: [n, d]f64, y: [n]f64) -> f64 {\n"
                            "    var s = 0.0\n"
                            "    for i in 0..n {\n"
                            "        let e = tanh(dot(m.w, x[i]) + m.b) - y[i]\n"
                            "        s += e * e\n"
                            "    }\n"
                            "    return s / n\n"
                            "}\n"
                            "fn square(x: f64) -> f64 = x * x\n"
                            "fn pick(v: [n]f64, i: int) -> f64 = v[i]\n"
                            "fn scaled(v: [n]f32, k: int, up: bool) -> [n]f32 = if up { v * k } else { v }\n"
                            "fn name(x: f64) -> str = \"{x}\"\n"
                            "extern fn host_count(x: f64) -> f64\n"
                            "fn counted(x: f64) -> f64 = host_count(x) + 1.0\n"
                            "extern fn nobody_has_this(x: f64) -> f64\n"
                            "fn lost(x: f64) -> f64 = nobody_has_this(x)\n";

static dp_program *compile(dp_context *ctx, bool apart) {
  dp_options o = dp_options_default();
  o.out_of_process = apart;
  dp_program *p = NULL;
  cr_assert_eq(dp_compile(ctx, "model.dp", model, strlen(model), &o, &p), DP_OK, "%s",
               dp_diagnostics_text(ctx));
  return p;
}

static dp_function *lookup(dp_context *ctx, dp_program *p, const char *expr) {
  dp_function *f = NULL;
  cr_assert_eq(dp_lookup(p, expr, NULL, &f), DP_OK, "%s: %s", expr, dp_diagnostics_text(ctx));
  return f;
}

static double call1(dp_function *f, double x) {
  dp_value arg = dp_f64(x), result;
  cr_assert_eq(dp_call(f, &arg, &result), DP_OK);
  return result.f64;
}

// ---- the same as here ------------------------------------------------------------------------------------------------

static void expect_same_leaves(const dp_leaf *a, int n, const dp_leaf *b, int m) {
  cr_assert_eq(n, m);
  for (int k = 0; k < n; k++) {
    cr_expect_str_eq(a[k].path, b[k].path);
    cr_expect(a[k].kind == b[k].kind && a[k].rank == b[k].rank);
  }
}

static void expect_same_function(dp_function *a, dp_function *b) {
  int n, m;
  cr_expect_str_eq(dp_signature(a), dp_signature(b));
  const dp_leaf *of_a = dp_parameters(a, &n), *of_b = dp_parameters(b, &m);
  expect_same_leaves(of_a, n, of_b, m);
  of_a = dp_results(a, &n), of_b = dp_results(b, &m);
  expect_same_leaves(of_a, n, of_b, m);
}

Test(apart, same_results) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *here = compile(ctx, false), *apart = compile(ctx, true);
  double w[] = {0.5, -0.25}, x[] = {1, 2, 3, 4, 5, 6}, y[] = {0.1, 0.2, 0.3};
  dp_value args[] = {dp_vector(w, 2), dp_f64(0.125), dp_matrix(x, 3, 2), dp_vector(y, 3)}, one[3], two[3];
  dp_function *f = lookup(ctx, here, "value_and_grad(mse, wrt: m)"),
              *g = lookup(ctx, apart, "value_and_grad(mse, wrt: m)");
  expect_same_function(f, g);
  cr_assert_eq(dp_call(f, args, one), DP_OK);
  cr_assert_eq(dp_call(g, args, two), DP_OK);
  cr_expect_eq(one[0].f64, two[0].f64);
  cr_expect_arr_eq(one[1].data, two[1].data, 2 * sizeof(double));
  cr_expect_eq(one[2].f64, two[2].f64);

  float v[] = {1.5F, -2};
  dp_value more[] = {
      {.kind = DP_F32, .rank = 1, .sizes = {2}, .data = v}, dp_int(3), {.kind = DP_BOOL, .b = true}};
  expect_same_function(lookup(ctx, here, "scaled"), g = lookup(ctx, apart, "scaled"));
  cr_assert_eq(dp_call(g, more, two), DP_OK);
  cr_expect_eq(((float *)two[0].data)[1], -6.0F);
  cr_expect_eq(lookup(ctx, apart, "scaled"), g, "it was there already");
  dp_context_free(ctx);
}

Test(apart, run_time_errors) {
  dp_context *ctx = dp_context_new(NULL);
  dp_function *pick = lookup(ctx, compile(ctx, true), "pick");
  double v[] = {1, 2, 3};
  dp_value args[] = {dp_vector(v, 3), dp_int(7)}, result;
  cr_expect_eq(dp_call(pick, args, &result), DP_ERROR_RUN);
  cr_expect(strstr(dp_last_error(ctx), "model.dp:11:"), "%s", dp_last_error(ctx));
  dp_context_free(ctx);
}

static void expect_same_place(const dp_place *a, const dp_place *b) {
  cr_expect_str_eq(a->file ? a->file : "", b->file ? b->file : "");
  cr_expect_str_eq(a->label ? a->label : "", b->label ? b->label : "");
  cr_expect(a->line == b->line && a->column == b->column && a->end_line == b->end_line &&
            a->end_column == b->end_column);
}

static void expect_same_report(dp_context *a, dp_context *b, const char *expr) {
  int n, m;
  const dp_diagnostic *of_a = dp_diagnostics(a, &n), *of_b = dp_diagnostics(b, &m);
  cr_assert(n == m && n > 0, "%s: %d, %d", expr, n, m);
  cr_expect_str_eq(dp_diagnostics_text(a), dp_diagnostics_text(b));
  for (int i = 0; i < n; i++) {
    cr_expect(of_a[i].severity == of_b[i].severity && of_a[i].n_spans == of_b[i].n_spans);
    cr_expect_str_eq(of_a[i].code, of_b[i].code);
    cr_expect_str_eq(of_a[i].message, of_b[i].message);
    expect_same_place(&of_a[i].place, &of_b[i].place);
    for (int k = 0; k < of_a[i].n_spans; k++) expect_same_place(&of_a[i].spans[k], &of_b[i].spans[k]);
    cr_assert_eq(of_a[i].n_notes, of_b[i].n_notes);
    for (int k = 0; k < of_a[i].n_notes; k++) cr_expect_str_eq(of_a[i].notes[k], of_b[i].notes[k]);
    cr_expect_str_eq(of_a[i].help ? of_a[i].help : "", of_b[i].help ? of_b[i].help : "");
  }
}

Test(apart, same_reports) {
  static const char *const wrong[] = {
      "sqare",         "grad(square, wrt: z)", "grad(",         "",     "1 + 2",
      "square square", "square\nfn h() = 1",   "grad(counted)", "lost", "name",
      "\xff"};
  dp_context *here = dp_context_new(NULL), *apart = dp_context_new(NULL);
  dp_program *p = compile(here, false), *q = compile(apart, true);
  dp_function *f;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    cr_expect_eq(dp_lookup(p, wrong[i], NULL, &f), DP_ERROR_LOOKUP);
    cr_expect_eq(dp_lookup(q, wrong[i], NULL, &f), DP_ERROR_LOOKUP);
    cr_expect_null(f);
    expect_same_report(here, apart, wrong[i]);
  }
  cr_expect_eq(dp_lookup(p, "square", "fn(f64, f64) -> f64", &f), DP_ERROR_LOOKUP);
  cr_expect_eq(dp_lookup(q, "square", "fn(f64, f64) -> f64", &f), DP_ERROR_LOOKUP);
  expect_same_report(here, apart, "another signature");
  dp_program_free(p);
  dp_program_free(q);
  expect_same_report(here, apart, "what was said of a program outlives it");
  dp_context_free(here);
  dp_context_free(apart);
}

// What is too much here is too much there.
Test(apart, compile_memory) {
  int refused = 0;
  for (size_t budget = 1 << 18; budget < (size_t)1 << 25; budget += budget / 8) {
    dp_hooks hooks = {.compile_memory = budget};
    dp_options o = dp_options_default();
    o.out_of_process = true;
    dp_context *ctx = dp_context_new(&hooks);
    dp_program *p;
    dp_function *f;
    int n;
    bool compiles = dp_compile(ctx, "model.dp", model, strlen(model), &o, &p) == DP_OK;
    bool found = compiles && dp_lookup(p, "value_and_grad(mse, wrt: m)", NULL, &f) == DP_OK;
    if (compiles && !found) {
      cr_assert_str_eq(dp_diagnostics(ctx, &n)[0].code, "E0900", "%s", dp_diagnostics_text(ctx));
      refused++;
    }
    dp_context_free(ctx);
    if (found) break;
  }
  cr_expect_gt(refused, 0);
}

// ---- the host's part -------------------------------------------------------------------------------------------------

static int count;

static double host_count(double x) {
  count++;
  return x;
}

Test(apart, host_functions) {
  dp_context *ctx = dp_context_new(NULL);
  cr_assert_eq(dp_register(ctx, "host_count", (void (*)(void))host_count), DP_OK);
  dp_function *f = lookup(ctx, compile(ctx, true), "counted");
  cr_expect_eq(count, 0);
  cr_expect_eq(call1(f, 2.0), 3.0);
  cr_expect_eq(call1(f, 3.0), 4.0);
  cr_expect_eq(count, 2, "they are called here");
  dp_context_free(ctx);
}

// What this process has mapped: how many lines have that.
static int maps_with(const char *part) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[1024];
  int n = 0;
  while (maps && fgets(line, sizeof line, maps)) n += strstr(line, part) != NULL;
  fclose(maps);
  return n;
}

Test(apart, no_compiler_in_memory) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *here = compile(ctx, false), *apart = compile(ctx, true);
  int code = maps_with(" r-xs ");
  dp_function *f = lookup(ctx, apart, "grad(square)"), *g = lookup(ctx, apart, "square");
  cr_expect_eq(call1(f, 3.0) + call1(g, 3.0), 15.0);
  cr_expect_eq(maps_with(" r-xs "), code + 2);
  cr_expect_eq(maps_with("rwx"), 0);
  cr_expect_eq(maps_with("libLLVM") + maps_with("libdp-llvm"), 0);
  lookup(ctx, here, "square");
  cr_expect_gt(maps_with("libdp-llvm"), 0, "here it is in memory");
  cr_expect_eq(maps_with("rwx"), 0);
  dp_program_free(apart);
  cr_expect_eq(maps_with(" r-xs "), code);
  dp_context_free(ctx);
}

Test(apart, again_and_again) {
  for (int round = 0; round < 4; round++) {
    dp_context *ctx = dp_context_new(NULL);
    dp_program *p = compile(ctx, true), *q = compile(ctx, true);
    dp_function *f = lookup(ctx, p, "square"), *g = lookup(ctx, q, "grad(square)");
    dp_function *h = lookup(ctx, p, "grad(grad(square))"), *missing;
    cr_expect_eq(dp_lookup(p, "cube", NULL, &missing), DP_ERROR_LOOKUP);
    cr_expect_eq(call1(f, 3.0) + call1(h, 3.0), 11.0);
    dp_program_free(p);
    cr_expect_eq(call1(g, 3.0), 6.0);
    dp_context_free(ctx);
  }
  cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no child is left");
}

typedef struct Worker {
  pthread_t thread;
  bool apart;
  int wrong;
} Worker;

static void *work(void *user) {
  Worker *w = user;
  for (int round = 0; round < 3; round++) {
    dp_context *ctx = dp_context_new(NULL);
    dp_options o = dp_options_default();
    o.out_of_process = w->apart;
    dp_program *p;
    dp_function *f, *missing;
    dp_value arg = dp_f64(round), result;
    bool ok = dp_compile(ctx, "model.dp", model, strlen(model), &o, &p) == DP_OK &&
              dp_lookup(p, "grad(square)", NULL, &f) == DP_OK && dp_call(f, &arg, &result) == DP_OK &&
              result.f64 == 2.0 * round && dp_lookup(p, "cube", NULL, &missing) == DP_ERROR_LOOKUP;
    if (!ok) w->wrong++;
    dp_context_free(ctx);
  }
  return NULL;
}

// `here`: every so manieth compiles in this process, whose loader and LLVM are busy while others fork; 0: none does.
static void expect_threads(int here) {
#ifdef __SANITIZE_ADDRESS__
  cr_skip_test("the sanitizer's allocator is not made for a fork among threads");
#endif
  enum { THREADS = 8 };
  Worker workers[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) {
    workers[i].apart = !here || i % here;
    cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    cr_expect_eq(workers[i].wrong, 0, "thread %d", i);
  }
}

Test(apart, threads) { expect_threads(0); }
Test(apart, threads_of_both_kinds) { expect_threads(2); }

// ---- children --------------------------------------------------------------------------------------------------------

static int end_by; // the signal that ends each child of this process

static void end_child(void) {
  if (end_by) raise(end_by);
}

static void expect_an_end(int sig, const char *code, const char *text) {
  cr_assert_eq(pthread_atfork(NULL, NULL, end_child), 0);
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, true);
  dp_function *f;
  for (int i = 0; i < 3; i++) {
    int n;
    end_by = sig;
    cr_assert_eq(dp_lookup(p, "grad(square)", NULL, &f), DP_ERROR_LOOKUP);
    cr_expect_null(f);
    const dp_diagnostic *d = dp_diagnostics(ctx, &n);
    cr_assert_eq(n, 1);
    cr_expect_str_eq(d[0].code, code);
    cr_expect_str_eq(d[0].message, text);
  }
  end_by = 0;
  cr_expect_eq(call1(lookup(ctx, p, "grad(square)"), 3.0), 6.0, "the context goes on");
  cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
  dp_context_free(ctx);
}

Test(apart, a_compiler_that_is_ended) {
  expect_an_end(SIGKILL, "E0703", "the compiler ended by signal 9 (Killed) while it compiled `grad(square)`");
}

Test(apart, a_compiler_that_crashes) {
  expect_an_end(SIGSEGV, "E0901",
                "the compiler ended by signal 11 (Segmentation fault) while it compiled `grad(square)`");
}

static void expect_lookups(void) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, true);
  dp_function *f;
  cr_expect_eq(call1(lookup(ctx, p, "grad(square)"), 3.0), 6.0);
  cr_expect_eq(dp_lookup(p, "cube", NULL, &f), DP_ERROR_LOOKUP);
  int n;
  cr_expect_str_eq(dp_diagnostics(ctx, &n)[0].code, "E0200");
  dp_context_free(ctx);
}

Test(apart, a_host_that_ignores_its_children) {
  signal(SIGCHLD, SIG_IGN);
  expect_lookups();
}

static void reap(int sig) {
  (void)sig;
  int error = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = error;
}

Test(apart, a_host_that_takes_its_children) {
  signal(SIGCHLD, reap);
  expect_lookups();
}

static void busy(int sig) { (void)sig; }

// Signals that come while it waits.
Test(apart, a_host_with_a_timer) {
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = busy}, NULL);
  ualarm(1000, 1000);
  expect_lookups();
  ualarm(0, 0);
}
