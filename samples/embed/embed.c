// dp inside a C program: compile a model at run time, call it and its gradient, and live through mistakes.
//
//   ./dev build && build/bin/embed      by hand: cc embed.c -Icompiler/include -Lbuild/lib -ldp
//
// expect: loss 12.562500, by w (-23.500000, -30.000000), by b -6.500000
// expect: 1 mistake: wrong.dp:1:23: `sine` is not declared
// expect: model.dp:5:39: error: index 7 is out of range for `v` of size 3
// expect:     5 | fn pick(v: [n]f64, i: int) -> f64 = v[i]
// expect:       |                                       ^
// expect: picked 2
#include <dp/dp.h>

#include <stdio.h>
#include <string.h>

static const char model[] = "struct Line[d] { w: [d]f64, b: f64 }\n"
                            "fn mse(m: Line[d], x: [n, d]f64, y: [n]f64) -> f64 {\n"
                            "    return sum(for i in 0..n: (dot(m.w, x[i]) + m.b - y[i])^2) / n\n"
                            "}\n"
                            "fn pick(v: [n]f64, i: int) -> f64 = v[i]\n";

// What to do when something fails that should not: say why.
static int give_up(dp_context *ctx, dp_status status) {
  int compiling = status == DP_ERROR_COMPILE || status == DP_ERROR_LOOKUP;
  fprintf(stderr, "embed: %s\n", compiling ? dp_diagnostics_text(ctx) : dp_last_error(ctx));
  dp_context_free(ctx);
  return 1;
}

int main(void) {
  dp_context *ctx = dp_context_new(NULL); // owns all that follows; no other state exists
  dp_program *program;
  dp_status status = dp_compile(ctx, "model.dp", model, strlen(model), NULL, &program);
  if (status != DP_OK) return give_up(ctx, status);

  // A function and its gradient by the model. What the signature promises is checked here, once.
  dp_function *mse, *gradient;
  status = dp_lookup(program, "mse", "fn(Line[d], [n, d]f64, [n]f64) -> f64", &mse);
  if (status != DP_OK) return give_up(ctx, status);
  status = dp_lookup(program, "grad(mse, wrt: m)", NULL, &gradient);
  if (status != DP_OK) return give_up(ctx, status);

  // A struct crosses as its fields in order, an array as pointer and sizes: here 3 rows of 2 columns.
  double w[] = {0.5, -1.0}, x[] = {1, 2, 3, 4, 5, 6}, y[] = {1, 0, 2};
  dp_value args[] = {dp_vector(w, 2), dp_f64(0.25), dp_matrix(x, 3, 2), dp_vector(y, 3)};
  dp_value loss, g[2]; // the gradient has the model's shape: w, then b
  if ((status = dp_call(mse, args, &loss)) != DP_OK) return give_up(ctx, status);
  if ((status = dp_call(gradient, args, g)) != DP_OK) return give_up(ctx, status);
  const double *dw = g[0].data;
  printf("loss %.6f, by w (%.6f, %.6f), by b %.6f\n", loss.f64, dw[0], dw[1], g[1].f64);
  dp_value_free(ctx, &g[0]); // arrays in results are the caller's

  // A mistake in a program is data, with its place.
  const char *wrong = "fn f(x: f64) -> f64 = sine(x)\n";
  dp_program *other;
  if (dp_compile(ctx, "wrong.dp", wrong, strlen(wrong), NULL, &other) == DP_ERROR_COMPILE) {
    int n;
    const dp_diagnostic *d = dp_diagnostics(ctx, &n);
    printf("%d mistake: %s:%d:%d: %s\n", n, d->place.file, d->place.line, d->place.column, d->message);
  }

  // So is an error while it runs; nothing was written to the result, and nothing else is lost.
  dp_function *pick;
  if ((status = dp_lookup(program, "pick", NULL, &pick)) != DP_OK) return give_up(ctx, status);
  dp_value outside[] = {dp_vector(y, 3), dp_int(7)}, inside[] = {dp_vector(y, 3), dp_int(2)}, picked;
  if (dp_call(pick, outside, &picked) == DP_ERROR_RUN) printf("%s\n", dp_last_error(ctx));
  if ((status = dp_call(pick, inside, &picked)) != DP_OK) return give_up(ctx, status);
  printf("picked %g\n", picked.f64);
  dp_context_free(ctx);
  return 0;
}
