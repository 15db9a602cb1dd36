// The kernels' functions for one number of lanes. In: LANES and FUSED as lanes.h wants them; F64(name), F32(name): what
// the functions are called. For 2 lanes also SCALAR_F64(name), SCALAR_F32(name): the functions of one number, which
// compute it twice.
#ifndef DPK_INSTANCE_H
#define DPK_INSTANCE_H

#include "single.h"

#define UNARY(name)                                                                                          \
  V F64(name)(V x);                                                                                          \
  S F32(name)(S x);                                                                                          \
  V F64(name)(V x) { return name##_(x); }                                                                    \
  S F32(name)(S x) { return join(name##_single(low_half(x)), name##_single(high_half(x))); }
#define BINARY(name)                                                                                         \
  V F64(name)(V x, V y);                                                                                     \
  S F32(name)(S x, S y);                                                                                     \
  V F64(name)(V x, V y) { return name##_(x, y); }                                                            \
  S F32(name)(S x, S y) {                                                                                    \
    return join(name##_single(low_half(x), low_half(y)), name##_single(high_half(x), high_half(y)));         \
  }
#include "kernels.def"

#ifdef SCALAR_F64
#define UNARY(name)                                                                                          \
  double SCALAR_F64(name)(double x);                                                                         \
  float SCALAR_F32(name)(float x);                                                                           \
  double SCALAR_F64(name)(double x) { return name##_(all(x))[0]; }                                           \
  float SCALAR_F32(name)(float x) { return (float)name##_single(all(x))[0]; }
#define BINARY(name)                                                                                         \
  double SCALAR_F64(name)(double x, double y);                                                               \
  float SCALAR_F32(name)(float x, float y);                                                                  \
  double SCALAR_F64(name)(double x, double y) { return name##_(all(x), all(y))[0]; }                         \
  float SCALAR_F32(name)(float x, float y) { return (float)name##_single(all(x), all(y))[0]; }
#include "kernels.def"
#endif

#endif
