// The kernels with 2 lanes of f64 and 4 of f32, and for one number, for machines without fused multiply-add: C's fma()
// gives the bits.
#define LANES 2
#define F64(name) dpk_##name##_f64x2_plain
#define F32(name) dpk_##name##_f32x4_plain
#define SCALAR_F64(name) dpk_##name##_f64_plain
#define SCALAR_F32(name) dpk_##name##_f32_plain
#include "instance.h"
