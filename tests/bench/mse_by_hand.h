// The rival of mse.dp: value and gradient, in one pass over the rows.
#ifndef MSE_BY_HAND_H
#define MSE_BY_HAND_H

double mse_by_hand(long n, long d, const double *w, double b, const double *x, const double *y, double *dw,
                   double *db);

#endif
