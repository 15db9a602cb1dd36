// mse_host PROGRAM: the gradient of PROGRAM's mse and the one written by hand, on the same random rows, by turns. Prints the
// least time of each in milliseconds, or says in what they differ.
#include "mse_by_hand.h"

#include <dp/dp.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 10000, D = 64, ROUNDS = 200 };

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double *random_numbers(long n) {
  double *v = aligned_alloc(64, sizeof(double) * (size_t)(n + 7) / 8 * 8 + 64);
  for (long i = 0; v && i < n; i++) v[i] = 2.0 * (double)rand() / RAND_MAX - 1.0;
  return v;
}

int main(int argc, char **argv) {
  dp_context *ctx = dp_context_new(NULL);
  dp_program *p;
  dp_function *f;
  if (argc < 2 || !ctx) return 2;
  if (dp_compile(ctx, argv[1], NULL, 0, NULL, &p) || dp_lookup(p, "value_and_grad(mse, wrt: m)", NULL, &f)) {
    fprintf(stderr, "%s", dp_diagnostics_text(ctx));
    return 1;
  }
  double *w = random_numbers(D), *x = random_numbers((long)N * D), *y = random_numbers(N), dw[D], db,
         value = 0;
  if (!w || !x || !y) return 2;
  dp_value args[] = {dp_vector(w, D), dp_f64(0.25), dp_matrix(x, N, D), dp_vector(y, N)}, out[3];
  double ours = 1e9, theirs = 1e9, apart = 0;
  for (int k = 0; k < ROUNDS; k++) {
    double start = seconds();
    if (dp_call(f, args, out)) {
      fprintf(stderr, "%s\n", dp_last_error(ctx));
      return 1;
    }
    ours = fmin(ours, seconds() - start);
    start = seconds();
    value = mse_by_hand(N, D, w, 0.25, x, y, dw, &db);
    theirs = fmin(theirs, seconds() - start);
    apart = fmax(fabs(out[0].f64 - value), fabs(out[2].f64 - db));
    for (int j = 0; j < D; j++) apart = fmax(apart, fabs(((double *)out[1].data)[j] - dw[j]));
    dp_value_free(ctx, &out[1]);
  }
  dp_context_free(ctx);
  if (!(apart < 1e-10)) {
    fprintf(stderr, "the two gradients are %g apart\n", apart);
    return 1;
  }
  printf("%.6f %.6f\n", 1e3 * ours, 1e3 * theirs);
  return 0;
}
