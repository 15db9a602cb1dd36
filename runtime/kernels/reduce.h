// Large angles, modulo π/2.
#ifndef DPK_REDUCE_H
#define DPK_REDUCE_H

#include <stdint.h>

typedef struct DpkReduced {
  double high, low; // their sum is x - quarter π/2, within 2^-110 of its size
  uint64_t quarter; // modulo 4
} DpkReduced;

DpkReduced dpk_reduce(double x); // for x >= 2^30; NaN for what has no remainder

#endif
