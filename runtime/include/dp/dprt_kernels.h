// dprt's kernels: elementary functions of one number or of a vector, the same bits for each element at any number of
// lanes and on any machine. runtime/kernels/kernels.def lists them; for exp:
//   dpk_exp_f64, dpk_exp_f64x2, dpk_exp_f32, dpk_exp_f32x4                    run anywhere
//   dpk_exp_f64_fma, dpk_exp_f64x2_fma, dpk_exp_f32_fma, dpk_exp_f32x4_fma    want AVX2 and FMA
//   dpk_exp_f64_plain, dpk_exp_f32_plain                                     run anywhere, without FMA
//   dpk_exp_f64x4, dpk_exp_f32x8                                              want AVX2 and FMA
//   dpk_exp_f64x8, dpk_exp_f32x16                                             want AVX-512 F, DQ, VL and BW
// A vector is passed and returned in one register, as C passes a vector type of that size.
#ifndef DPRT_KERNELS_H
#define DPRT_KERNELS_H

typedef void dprt_kernel_fn(void);

// The function of that name, to be called with its own type; NULL if there is none. Any thread.
dprt_kernel_fn *dprt_kernel(const char *name);

#endif
