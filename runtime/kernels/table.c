// The kernels by name, for the linker in memory.
#include "dp/dprt_kernels.h"

#include <stddef.h>
#include <string.h>

typedef struct Kernel {
  const char *name;
  dprt_kernel_fn *fn;
} Kernel;

#ifdef __x86_64__
#define EACH(OF, name)                                                                                       \
  OF(dpk_##name##_f64)                                                                                       \
  OF(dpk_##name##_f64_fma)                                                                                   \
  OF(dpk_##name##_f64_plain)                                                                                 \
  OF(dpk_##name##_f64x2)                                                                                     \
  OF(dpk_##name##_f64x2_fma)                                                                                 \
  OF(dpk_##name##_f64x4)                                                                                     \
  OF(dpk_##name##_f64x8)                                                                                     \
  OF(dpk_##name##_f32)                                                                                       \
  OF(dpk_##name##_f32_fma)                                                                                   \
  OF(dpk_##name##_f32_plain)                                                                                 \
  OF(dpk_##name##_f32x4)                                                                                     \
  OF(dpk_##name##_f32x4_fma)                                                                                 \
  OF(dpk_##name##_f32x8)                                                                                     \
  OF(dpk_##name##_f32x16)
#else
#define EACH(OF, name)                                                                                       \
  OF(dpk_##name##_f64)                                                                                       \
  OF(dpk_##name##_f64x2)                                                                                     \
  OF(dpk_##name##_f32)                                                                                       \
  OF(dpk_##name##_f32x4)
#endif

// Their types differ; here only their addresses matter.
#define DECLARED(name) void name(void);
#define UNARY(name) EACH(DECLARED, name)
#define BINARY(name) EACH(DECLARED, name)
#include "kernels.def"

static const Kernel kernels[] = {
#define LISTED(name) {#name, name},
#define UNARY(name) EACH(LISTED, name)
#define BINARY(name) EACH(LISTED, name)
#include "kernels.def"
};

dprt_kernel_fn *dprt_kernel(const char *name) {
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
    if (strcmp(kernels[i].name, name) == 0) return kernels[i].fn;
  return NULL;
}
