// What somebody who knows C writes for the gradient of the mean squared error, for -O3 -march=native -ffast-math.
#include "mse_by_hand.h"

double mse_by_hand(long n, long d, const double *restrict w, double b, const double *restrict x,
                   const double *restrict y, double *restrict dw, double *restrict db) {
  double s = 0, sum = 0;
  for (long j = 0; j < d; j++) dw[j] = 0;
  for (long i = 0; i < n; i++) {
    const double *row = x + i * d;
    double e = b - y[i];
    for (long j = 0; j < d; j++) e += w[j] * row[j];
    s += e * e;
    sum += e;
    for (long j = 0; j < d; j++) dw[j] += e * row[j];
  }
  for (long j = 0; j < d; j++) dw[j] *= 2.0 / (double)n;
  *db = 2.0 * sum / (double)n;
  return s / (double)n;
}
