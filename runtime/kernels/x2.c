// The kernels with 2 lanes of f64 and 4 of f32, and for one number, for AVX2 and FMA.
#define LANES 2
#define FUSED
#define F64(name) dpk_##name##_f64x2_fma
#define F32(name) dpk_##name##_f32x4_fma
#define SCALAR_F64(name) dpk_##name##_f64_fma
#define SCALAR_F32(name) dpk_##name##_f32_fma
#include "instance.h"
