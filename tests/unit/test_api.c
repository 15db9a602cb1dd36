// libdp as an embedding program sees it: through dp/dp.h and the shared library alone.
#include "dp/dp.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char model[] = "struct Linear[d] { w: [d]f64, b: f64 }\n"
                            "fn mse(m: Linear[d], x: [n, d]f64, y: [n]f64) -> f64 {\n"
                            "    var s = 0.0\n"
                            "    for i in 0..n {\n"
                            "        let e = dot(m.w, x[i]) + m.b - y[i]\n"
                            "        s += e * e\n"
                            "    }\n"
                            "    return s / n\n"
                            "}\n"
                            "fn square(x: f64) -> f64 = x * x\n"
                            "fn pick(v: [n]f64, i: int) -> f64 = v[i]\n"
                            "fn twice(v: [n]f64) -> [2 * n]f64 = concat(v, v)\n"
                            "fn scaled(v: [n]f32, k: int, up: bool) -> [n]f32 = if up { v * k } else { v }\n"
                            "fn say(x: f64) -> f64 {\n"
                            "    print(\"x is {x}\")\n"
                            "    return x\n"
                            "}\n"
                            "fn down(n: int) -> int = 1 + down(n + 1)\n"
                            "fn filled(n: int) -> f64 {\n"
                            "    var v = zeros(n)\n"
                            "    for i in 0..n { v[i] = sqrt(1.0 * i) }\n"
                            "    return v[n - 1] + v[div(n, 2)]\n"
                            "}\n";

static dp_program *compile(dp_context *ctx, const char *source) {
  dp_program *p = NULL;
  dp_status s = dp_compile(ctx, "model.dp", source, strlen(source), NULL, &p);
  cr_assert_eq(s, DP_OK, "%s", dp_diagnostics_text(ctx));
  return p;
}

static dp_function *lookup(dp_context *ctx, dp_program *p, const char *expr) {
  dp_function *f = NULL;
  dp_status s = dp_lookup(p, expr, NULL, &f);
  cr_assert_eq(s, DP_OK, "%s: %s", expr, dp_diagnostics_text(ctx));
  return f;
}

// Of a function of one float.
static double call1(dp_function *f, double x) {
  dp_value arg = dp_f64(x), result;
  cr_assert_eq(dp_call(f, &arg, &result), DP_OK);
  return result.f64;
}

// ---- compiling and calling -------------------------------------------------------------------------------------------

Test(api, version) { cr_assert(strlen(dp_version()) > 0); }

Test(api, scalar) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  cr_assert_eq(call1(lookup(ctx, p, "square"), 3.0), 9.0);
  cr_assert_eq(call1(lookup(ctx, p, "grad(square)"), 3.0), 6.0);
  cr_assert_eq(call1(lookup(ctx, p, "grad(grad(square))"), 3.0), 2.0);
  dp_context_free(ctx);
}

Test(api, options) {
  dp_context *ctx = dp_context_new(NULL);
  for (int level = 0; level <= 3; level++) {
    dp_options o = dp_options_default();
    o.opt_level = level;
    o.strict_fp = level % 2;
    o.precise_math = level == 2;
    o.cpu = level == 3 ? "x86-64-v3" : NULL;
    dp_program *p;
    cr_assert_eq(dp_compile(ctx, "model.dp", model, strlen(model), &o, &p), DP_OK);
    cr_assert_eq(call1(lookup(ctx, p, "square"), 1.5), 2.25);
  }
  dp_context_free(ctx);
}

Test(api, struct_and_arrays) {
  dp_context *ctx = dp_context_new(NULL);
  dp_function *f = lookup(ctx, compile(ctx, model), "value_and_grad(mse, wrt: m)");
  int n;
  const dp_leaf *leaf = dp_parameters(f, &n);
  cr_assert_eq(n, 4);
  const char *paths[] = {"m.w", "m.b", "x", "y"};
  const int ranks[] = {1, 0, 2, 1};
  for (int i = 0; i < 4; i++) {
    cr_expect_str_eq(leaf[i].path, paths[i]);
    cr_expect_eq(leaf[i].rank, ranks[i]);
    cr_expect_eq(leaf[i].kind, DP_F64);
  }
  leaf = dp_results(f, &n);
  cr_assert_eq(n, 3);
  cr_expect_eq(leaf[1].rank, 1);

  double w[] = {1, 2}, x[] = {1, 0, 0, 1}, y[] = {1, 1};
  dp_value args[] = {dp_vector(w, 2), dp_f64(0.5), dp_matrix(x, 2, 2), dp_vector(y, 2)}, results[3];
  cr_assert_eq(dp_call(f, args, results), DP_OK, "%s", dp_last_error(ctx));
  cr_expect_eq(results[0].f64, 1.25);
  cr_expect_eq(results[1].rank, 1);
  cr_expect_eq(results[1].sizes[0], 2);
  cr_expect_eq(((double *)results[1].data)[0], 0.5);
  cr_expect_eq(((double *)results[1].data)[1], 1.5);
  cr_expect_eq(results[2].f64, 2.0);
  cr_expect_eq(w[0] + w[1] + x[0] + x[3] + y[0] + y[1], 7.0, "arguments are only read");
  dp_value_free(ctx, &results[1]);

  // Other sizes, the same function.
  double w3[] = {1, 1, 1}, x3[] = {1, 2, 3}, y3[] = {6};
  dp_value more[] = {dp_vector(w3, 3), dp_f64(0), dp_matrix(x3, 1, 3), dp_vector(y3, 1)};
  cr_assert_eq(dp_call(f, more, results), DP_OK);
  cr_expect_eq(results[0].f64, 0.0);
  cr_expect_eq(results[1].sizes[0], 3);
  dp_context_free(ctx); // with the result that was not freed
}

Test(api, kinds) {
  dp_context *ctx = dp_context_new(NULL);
  dp_function *f = lookup(ctx, compile(ctx, model), "scaled");
  float v[] = {1.5F, -2.0F};
  dp_value args[] = {
      {.kind = DP_F32, .rank = 1, .sizes = {2}, .data = v}, dp_int(3), {.kind = DP_BOOL, .b = true}};
  dp_value result;
  cr_assert_eq(dp_call(f, args, &result), DP_OK, "%s", dp_last_error(ctx));
  cr_expect_eq(result.kind, DP_F32);
  cr_expect_eq(((float *)result.data)[1], -6.0F);
  args[2].b = false;
  cr_assert_eq(dp_call(f, args, &result), DP_OK);
  cr_expect_eq(((float *)result.data)[0], 1.5F);
  cr_expect_neq(result.data, (void *)v, "the result is the caller's own");
  args[0] = (dp_value){.kind = DP_F32, .rank = 1};
  cr_assert_eq(dp_call(f, args, &result), DP_OK, "an empty array needs no data");
  cr_expect_eq(result.sizes[0], 0);
  dp_context_free(ctx);
}

Test(api, from_a_file) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p;
  cr_assert_eq(dp_compile(ctx, DP_SOURCE_DIR "/tests/lang/imports.dp", NULL, 0, NULL, &p), DP_OK, "%s",
               dp_diagnostics_text(ctx));
  dp_context_free(ctx);
}

// ---- mistakes as data -------------------------------------------------------------------------------------------------

Test(api, compile_error) {
  dp_context *ctx = dp_context_new(NULL);
  const char bad[] = "fn f(x: f64) -> f64 = x + yy\nfn g(n: int) -> int = n / 2\n";
  dp_program *p = (dp_program *)ctx;
  cr_assert_eq(dp_compile(ctx, "bad.dp", bad, strlen(bad), NULL, &p), DP_ERROR_COMPILE);
  cr_assert_null(p);
  int n;
  const dp_diagnostic *d = dp_diagnostics(ctx, &n);
  cr_assert_eq(n, 2);
  cr_expect_str_eq(d[0].code, "E0200");
  cr_expect_eq(d[0].severity, DP_SEVERITY_ERROR);
  cr_expect_str_eq(d[0].place.file, "bad.dp");
  cr_expect_eq(d[0].place.line, 1);
  cr_expect_eq(d[0].place.column, 27);
  cr_expect_eq(d[0].place.end_column, 29);
  cr_expect(strstr(d[0].message, "yy"));
  cr_expect_str_eq(d[1].code, "E0302");
  cr_expect_eq(d[1].place.line, 2);
  cr_expect_not_null(d[1].help);
  cr_expect(strstr(dp_diagnostics_text(ctx), "bad.dp:2"));
  cr_expect_not(strchr(dp_diagnostics_text(ctx), 27), "no colors");

  dp_program *good = compile(ctx, model); // and the context lives on
  cr_expect_eq(call1(lookup(ctx, good, "square"), 2.0), 4.0);
  dp_context_free(ctx);
}

Test(api, missing_file) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p;
  cr_assert_eq(dp_compile(ctx, "/nowhere/at/all.dp", NULL, 0, NULL, &p), DP_ERROR_COMPILE);
  int n;
  dp_diagnostics(ctx, &n);
  cr_expect_eq(n, 1);
  dp_context_free(ctx);
}

Test(api, bad_bytes) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p;
  const char zeros[] = "fn f() { }\0\0\0", bytes[] = "fn f() { print(\"\xff\xfe\") }";
  cr_expect_eq(dp_compile(ctx, "zeros.dp", zeros, sizeof zeros - 1, NULL, &p), DP_ERROR_COMPILE);
  cr_expect_eq(dp_compile(ctx, "bytes.dp", bytes, sizeof bytes - 1, NULL, &p), DP_ERROR_COMPILE);
  cr_expect_eq(dp_compile(ctx, "empty.dp", "", 0, NULL, &p), DP_OK);
  char *deep = malloc(1 << 20);
  memset(deep, '(', 1 << 20);
  cr_expect_eq(dp_compile(ctx, "deep.dp", deep, 1 << 20, NULL, &p), DP_ERROR_COMPILE);
  free(deep);
  dp_context_free(ctx);
}

Test(api, unknown_function) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  dp_function *f = (dp_function *)ctx;
  int n;
  cr_assert_eq(dp_lookup(p, "sqare", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect_null(f);
  dp_diagnostics(ctx, &n);
  cr_expect_eq(n, 1);
  cr_expect(strstr(dp_diagnostics_text(ctx), "square"), "did you mean: %s", dp_diagnostics_text(ctx));
  cr_expect_eq(dp_lookup(p, "grad(square, wrt: z)", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect_eq(dp_lookup(p, "grad(", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect_eq(dp_lookup(p, "", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect_eq(dp_lookup(p, "1 + 2", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect_eq(call1(lookup(ctx, p, "square"), 2.0), 4.0);
  dp_context_free(ctx);
}

// More than there are numbers for files of source, and the same again is the same function.
Test(api, many_lookups) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  dp_function *square = lookup(ctx, p, "square"), *f;
  char expr[64];
  for (int i = 0; i < 5000; i++) {
    snprintf(expr, sizeof expr, "square%d", i);
    cr_assert_eq(dp_lookup(p, expr, NULL, &f), DP_ERROR_LOOKUP);
    int n;
    cr_assert_str_eq(dp_diagnostics(ctx, &n)->code, "E0200");
  }
  cr_expect_eq(call1(lookup(ctx, p, "fn(x: f64) => square(x) + 1.0"), 2.0), 5.0);
  cr_expect_eq(lookup(ctx, p, "square"), square);
  dp_context_free(ctx);
}

Test(api, signatures) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  dp_function *f;
  cr_expect_eq(dp_lookup(p, "square", "fn(f64) -> f64", &f), DP_OK, "%s", dp_diagnostics_text(ctx));
  cr_expect_str_eq(dp_signature(f), "fn(f64) -> f64");
  cr_expect_eq(dp_lookup(p, "mse", "fn(Linear[d], [n, d]f64, [n]f64) -> f64", &f), DP_OK, "%s",
               dp_diagnostics_text(ctx));
  cr_expect_eq(dp_lookup(p, "square", "fn(f64, f64) -> f64", &f), DP_ERROR_LOOKUP);
  cr_expect_null(f);
  int n;
  const dp_diagnostic *d = dp_diagnostics(ctx, &n);
  cr_assert_eq(n, 1);
  cr_expect_str_eq(d[0].code, "E0704");
  cr_expect_eq(dp_lookup(p, "mse", "fn(Linear[d], [n, d]f32, [n]f64) -> f64", &f), DP_ERROR_LOOKUP);
  dp_context_free(ctx);
}

Test(api, bad_arguments) {
  dp_context *ctx = dp_context_new(NULL);
  dp_function *f = lookup(ctx, compile(ctx, model), "mse");
  double v[4] = {1, 2, 3, 4};
  dp_value good[] = {dp_vector(v, 2), dp_f64(0), dp_matrix(v, 2, 2), dp_vector(v, 2)};
  dp_value result = dp_int(77);
  dp_value wrong[][2] = {{dp_f64(1), good[0]}, {dp_int(1), good[1]}, {dp_vector(v, 4), good[2]}};
  for (int i = 0; i < 3; i++) {
    good[i] = wrong[i][0];
    cr_expect_eq(dp_call(f, good, &result), DP_ERROR_ARGUMENT, "argument %d", i);
    cr_expect(strlen(dp_last_error(ctx)) > 0);
    good[i] = wrong[i][1];
  }
  good[3].sizes[0] = 3; // a size that does not fit the others
  cr_expect_eq(dp_call(f, good, &result), DP_ERROR_ARGUMENT);
  good[3].sizes[0] = -1;
  cr_expect_eq(dp_call(f, good, &result), DP_ERROR_ARGUMENT);
  good[3].sizes[0] = 2;
  good[3].data = NULL;
  cr_expect_eq(dp_call(f, good, &result), DP_ERROR_ARGUMENT);
  cr_expect(result.kind == DP_INT && result.i == 77, "nothing was written");
  good[3].data = v;
  cr_expect_eq(dp_call(f, good, &result), DP_OK);
  cr_expect(result.kind == DP_F64);
  dp_context_free(ctx);
}

Test(api, run_time_errors) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  dp_function *pick = lookup(ctx, p, "pick");
  double v[] = {1, 2, 3};
  dp_value args[] = {dp_vector(v, 3), dp_int(7)}, result = dp_int(77);
  for (int i = 0; i < 3; i++) {
    args[1].i = 7;
    cr_expect_eq(dp_call(pick, args, &result), DP_ERROR_RUN);
    cr_expect(strstr(dp_last_error(ctx), "model.dp:11:"), "%s", dp_last_error(ctx));
    cr_expect(strstr(dp_last_error(ctx), "index 7"), "%s", dp_last_error(ctx));
    args[1].i = 1;
    cr_assert_eq(dp_call(pick, args, &result), DP_OK);
    cr_expect_eq(result.f64, 2.0);
    cr_expect_str_empty(dp_last_error(ctx));
  }
  dp_value zero = dp_int(0), out;
  cr_expect_eq(dp_call(lookup(ctx, p, "down"), &zero, &out), DP_ERROR_RUN, "endless recursion");
  cr_expect_eq(call1(lookup(ctx, p, "square"), 3.0), 9.0);
  dp_context_free(ctx);
}

// ---- the host's part -----------------------------------------------------------------------------------------------------

static double host_twice(double x) { return 2 * x; }
static double host_sum(const double *v, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += v[i];
  return s;
}

Test(api, host_functions) {
  const char source[] = "extern fn host_twice(x: f64) -> f64\n"
                        "extern fn host_sum(v: [n]f64) -> f64\n"
                        "fn total(v: [n]f64) -> f64 = host_twice(host_sum(v))\n"
                        "fn ruled(x: f64) -> f64 = host_twice(x)\n"
                        "adjoint ruled(x: f64) { return host_twice(x), fn(dy) => 2.0 * dy }\n"
                        "fn f(x: f64) -> f64 = ruled(x * x)\n"
                        "fn lost(x: f64) -> f64 = host_twice(x)\n";
  dp_context *ctx = dp_context_new(NULL);
  cr_assert_eq(dp_register(ctx, "host_twice", (void (*)(void))host_twice), DP_OK);
  cr_assert_eq(dp_register(ctx, "host_sum", (void (*)(void))host_sum), DP_OK);
  dp_program *p = compile(ctx, source);
  double v[] = {1, 2, 3};
  dp_value arg = dp_vector(v, 3), result;
  cr_assert_eq(dp_call(lookup(ctx, p, "total"), &arg, &result), DP_OK);
  cr_expect_eq(result.f64, 12.0);
  cr_expect_eq(call1(lookup(ctx, p, "grad(f)"), 3.0), 12.0);
  dp_function *f;
  cr_expect_eq(dp_lookup(p, "grad(lost)", NULL, &f), DP_ERROR_LOOKUP, "its derivative would be lost");
  int n;
  cr_expect_str_eq(dp_diagnostics(ctx, &n)[0].code, "E0650");
  dp_context_free(ctx);
}

static double host_cube(double x) { return x * x * x; }

Test(api, host_functions_with_rules) {
  const char source[] = "extern fn host_cube(x: f64) -> f64\n"
                        "adjoint host_cube(x: f64) { return host_cube(x), fn(dy) => 3.0 * x * x * dy }\n"
                        "tangent host_cube(x: f64, dx: f64) => 3.0 * x * x * dx\n"
                        "fn f(x: f64, n: int) -> f64 {\n"
                        "  var s = 0.0\n"
                        "  for i in 0..n { s += host_cube(x * (i + 1)) * x }\n"
                        "  return s\n"
                        "}\n"; // (1 + 8 + ... + n^3) x^4
  dp_context *ctx = dp_context_new(NULL);
  cr_assert_eq(dp_register(ctx, "host_cube", (void (*)(void))host_cube), DP_OK);
  dp_program *p = compile(ctx, source);
  dp_value args[] = {dp_f64(2), dp_int(2)}, result;
  cr_assert_eq(dp_call(lookup(ctx, p, "grad(f)"), args, &result), DP_OK);
  cr_expect_eq(result.f64, 9 * 4 * 8);
  cr_assert_eq(dp_call(lookup(ctx, p, "grad(f, mode: forward)"), args, &result), DP_OK);
  cr_expect_eq(result.f64, 9 * 4 * 8);
  cr_assert_eq(dp_call(lookup(ctx, p, "grad(grad(f))"), args, &result), DP_OK);
  cr_expect_eq(result.f64, 9 * 12 * 4);
  cr_assert_eq(dp_call(lookup(ctx, p, "hessian(f)"), args, &result), DP_OK);
  cr_expect_eq(result.f64, 9 * 12 * 4);
  dp_context_free(ctx);
}

Test(api, unregistered_function) {
  const char source[] = "extern fn no_such_symbol_anywhere(x: f64) -> f64\n"
                        "fn f(x: f64) -> f64 = no_such_symbol_anywhere(x)\n";
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, source);
  dp_function *f;
  cr_expect_eq(dp_lookup(p, "f", NULL, &f), DP_ERROR_LOOKUP);
  cr_expect(strstr(dp_diagnostics_text(ctx), "no_such_symbol_anywhere"), "%s", dp_diagnostics_text(ctx));
  dp_context_free(ctx);
}

typedef struct Host {
  char text[256];
  size_t n;
  long blocks, made;
} Host;

static void on_write(void *user, const char *text, size_t n) {
  Host *h = user;
  if (h->n + n < sizeof h->text) memcpy(h->text + h->n, text, n);
  h->n += n;
}

static void *on_alloc(void *user, size_t bytes) {
  Host *h = user;
  h->blocks++;
  h->made++;
  return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void on_free(void *user, void *block) {
  if (block) ((Host *)user)->blocks--;
  free(block);
}

Test(api, hooks) {
  Host h = {.n = 0};
  dp_hooks hooks = {.user = &h, .alloc = on_alloc, .free = on_free, .write = on_write};
  dp_context *ctx = dp_context_new(&hooks);
  dp_program *p = compile(ctx, model);
  cr_expect_eq(call1(lookup(ctx, p, "say"), 2.5), 2.5);
  cr_expect_str_eq(h.text, "x is 2.5\n");
  double v[] = {1, 2};
  dp_value arg = dp_vector(v, 2), result;
  cr_assert_eq(dp_call(lookup(ctx, p, "twice"), &arg, &result), DP_OK);
  cr_expect_eq(result.sizes[0], 4);
  cr_expect_eq(((double *)result.data)[3], 2.0);
  cr_expect(h.made > 0, "arrays come from the host");
  dp_value_free(ctx, &result);
  dp_context_free(ctx);
  cr_expect_eq(h.blocks, 0, "%ld blocks were not given back", h.blocks);
}

Test(api, run_memory) {
  dp_hooks hooks = {.run_memory = 1 << 20};
  dp_context *ctx = dp_context_new(&hooks);
  dp_function *f = lookup(ctx, compile(ctx, model), "filled");
  dp_value arg = dp_int(1000), result;
  cr_assert_eq(dp_call(f, &arg, &result), DP_OK, "%s", dp_last_error(ctx));
  arg.i = 1 << 24;
  cr_expect_eq(dp_call(f, &arg, &result), DP_ERROR_MEMORY);
  cr_expect(strstr(dp_last_error(ctx), "model.dp:20:13"), "%s", dp_last_error(ctx));
  arg.i = INT64_MAX / 2;
  cr_expect_eq(dp_call(f, &arg, &result), DP_ERROR_MEMORY);
  arg.i = 100;
  cr_expect_eq(dp_call(f, &arg, &result), DP_OK, "the context can be used again");
  dp_context_free(ctx);
}

Test(api, compile_memory) {
  dp_hooks hooks = {.compile_memory = 1 << 16};
  dp_context *ctx = dp_context_new(&hooks);
  dp_program *p;
  dp_status s = dp_compile(ctx, "model.dp", model, strlen(model), NULL, &p);
  cr_expect(s == DP_ERROR_COMPILE || s == DP_ERROR_MEMORY, "%d", s);
  cr_expect_null(p);
  dp_context_free(ctx);
}

static void *no_memory(void *user, size_t bytes) {
  (void)user, (void)bytes;
  return NULL;
}

Test(api, no_memory_at_all) {
  dp_hooks hooks = {.alloc = no_memory, .free = on_free, .user = &(Host){.n = 0}};
  dp_context *ctx = dp_context_new(&hooks);
  if (!ctx) return;
  dp_program *p;
  if (dp_compile(ctx, "model.dp", model, strlen(model), NULL, &p) == DP_OK) {
    dp_function *f;
    double v[] = {1, 2};
    dp_value arg = dp_vector(v, 2), result;
    if (dp_lookup(p, "twice", NULL, &f) == DP_OK) cr_expect_eq(dp_call(f, &arg, &result), DP_ERROR_MEMORY);
  }
  dp_context_free(ctx);
}

Test(api, nothing) {
  dp_context_free(NULL);
  dp_program_free(NULL);
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = NULL;
  dp_function *f = NULL;
  cr_expect_eq(dp_compile(NULL, "m.dp", model, strlen(model), NULL, &p), DP_ERROR_ARGUMENT);
  cr_expect_eq(dp_compile(ctx, NULL, NULL, 0, NULL, &p), DP_ERROR_ARGUMENT);
  cr_expect_eq(dp_compile(ctx, "m.dp", model, strlen(model), NULL, NULL), DP_ERROR_ARGUMENT);
  p = compile(ctx, model);
  cr_expect_eq(dp_lookup(p, NULL, NULL, &f), DP_ERROR_ARGUMENT);
  cr_expect_eq(dp_lookup(NULL, "square", NULL, &f), DP_ERROR_ARGUMENT);
  cr_expect_eq(dp_call(NULL, NULL, NULL), DP_ERROR_ARGUMENT);
  f = lookup(ctx, p, "square");
  cr_expect_eq(dp_call(f, NULL, NULL), DP_ERROR_ARGUMENT);
  cr_expect(strstr(dp_last_error(ctx), "wants 1 value"), "%s", dp_last_error(ctx));
  cr_expect_eq(call1(f, 4.0), 16.0);
  dp_context_free(ctx);
}

// A program can go before its context; the others stay.
Test(api, program_free) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model), *q = compile(ctx, model), *r = compile(ctx, model);
  dp_function *f = lookup(ctx, p, "square"), *g = lookup(ctx, r, "grad(square)");
  dp_program_free(q);
  cr_expect_eq(call1(f, 3.0), 9.0);
  dp_program_free(p);
  cr_expect_eq(call1(g, 3.0), 6.0);
  dp_context_free(ctx);
}

// What is asked for is one expression, whatever it is; a mistake in it is shown where it is.
Test(api, odd_expressions) {
  static const char *const odd[] = {"",
                                    "f) fn g() = (1",
                                    "square\nfn h(x: f64) -> f64 = x",
                                    "fn(x) =>",
                                    "}{",
                                    "square square",
                                    "((((",
                                    "grad(square",
                                    "\"",
                                    "\xff",
                                    "1 +",
                                    "square;"};
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p = compile(ctx, model);
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    dp_function *f = NULL;
    int n = 0;
    cr_expect_eq(dp_lookup(p, odd[i], NULL, &f), DP_ERROR_LOOKUP, "%s", odd[i]);
    const dp_diagnostic *d = dp_diagnostics(ctx, &n);
    cr_expect(n > 0 && d[0].place.line > 0, "%s: %s", odd[i], dp_diagnostics_text(ctx));
  }
  dp_function *f = NULL;
  cr_expect_eq(dp_lookup(p, "grad(square, wrt: y)", NULL, &f), DP_ERROR_LOOKUP);
  int n = 0;
  const dp_diagnostic *d = dp_diagnostics(ctx, &n);
  cr_expect(n == 1 && d[0].place.line == 1 && d[0].place.column == 19, "%s", dp_diagnostics_text(ctx));
  cr_expect_eq(call1(lookup(ctx, p, "fn(x: f64) => square(x) + 1.0"), 3.0), 10.0);
  dp_context_free(ctx);
}

// ---- threads -----------------------------------------------------------------------------------------------------------

enum { THREADS = 8, CALLS = 50 };

typedef struct Worker {
  pthread_t thread;
  int number;
  double wrong;
} Worker;

static void *work(void *arg) {
  Worker *w = arg;
  for (int round = 0; round < 3; round++) {
    dp_context *ctx = dp_context_new(NULL);
    char source[256];
    snprintf(source, sizeof source,
             "fn f(v: [n]f64) -> f64 = sum(for i in 0..n: %d.0 * v[i] * v[i])\nfn bad(v: [n]f64) -> f64 = "
             "v[n + 1 - 1 + int(v[0])]\n",
             w->number + 1);
    dp_program *p = NULL;
    dp_function *g = NULL, *bad = NULL;
    if (dp_compile(ctx, "thread.dp", source, strlen(source), NULL, &p) != DP_OK) w->wrong++;
    if (p && dp_lookup(p, "grad(f)", NULL, &g) != DP_OK) w->wrong++;
    if (p && dp_lookup(p, "bad", NULL, &bad) != DP_OK) w->wrong++;
    double v[100];
    for (int i = 0; i < 100; i++) v[i] = i + round;
    for (int k = 0; g && bad && k < CALLS; k++) {
      dp_value a = dp_vector(v, 100), r;
      if (dp_call(g, &a, &r) != DP_OK) {
        w->wrong++;
        continue;
      }
      for (int i = 0; i < 100; i++) w->wrong += fabs(((double *)r.data)[i] - 2.0 * (w->number + 1) * v[i]);
      dp_value_free(ctx, &r);
      if (dp_call(bad, &a, &r) != DP_ERROR_RUN) w->wrong++;
    }
    dp_context_free(ctx);
  }
  return NULL;
}

typedef struct Blocks {
  int n;
} Blocks;

static void *count_alloc(void *user, size_t bytes) {
  ((Blocks *)user)->n++;
  return malloc(bytes);
}

static void count_free(void *user, void *block) {
  ((Blocks *)user)->n -= block != NULL;
  free(block);
}

Test(api, trim) {
  Blocks blocks = {0};
  dp_context *ctx = dp_context_new(&(dp_hooks){.user = &blocks, .alloc = count_alloc, .free = count_free});
  dp_program *p = NULL;
  dp_function *f = NULL;
  const char *source = "fn f(n: int) -> [n]f64 = [for i in 0..n: 2.0 * i]";
  cr_assert_eq(dp_compile(ctx, "trim.dp", source, strlen(source), NULL, &p), DP_OK);
  cr_assert_eq(dp_lookup(p, "f", NULL, &f), DP_OK);
  dp_value n = dp_int(1 << 20), r;
  cr_assert_eq(dp_call(f, &n, &r), DP_OK);
  int used = blocks.n;
  dp_value_free(ctx, &r);
  dp_trim(ctx);
  cr_assert_eq(blocks.n, used - 1, "the array was not given back");
  cr_assert_eq(dp_call(f, &n, &r), DP_OK);
  cr_assert_eq(((double *)r.data)[3], 6.0);
  dp_context_free(ctx);
  cr_assert_eq(blocks.n, 0);
}

Test(api, threads) {
  Worker workers[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) {
    workers[i].number = i;
    cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    cr_expect_eq(workers[i].wrong, 0, "thread %d", i);
  }
}
