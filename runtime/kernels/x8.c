// The kernels with 8 lanes of f64 and 16 of f32, for AVX-512 (F, DQ, VL, BW).
#define LANES 8
#define FUSED
#define F64(name) dpk_##name##_f64x8
#define F32(name) dpk_##name##_f32x16
#include "instance.h"
