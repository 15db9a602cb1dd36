// The kernels with 4 lanes of f64 and 8 of f32, for AVX2 and FMA.
#define LANES 4
#define FUSED
#define F64(name) dpk_##name##_f64x4
#define F32(name) dpk_##name##_f32x8
#include "instance.h"
