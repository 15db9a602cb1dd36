// The kernels that run on any machine: those for AVX2 and FMA where it has them, else the plain ones. The same bits.
#include <stdbool.h>

typedef double V __attribute__((vector_size(16)));
typedef float S __attribute__((vector_size(16)));

#ifdef __x86_64__
static inline bool fused(void) { return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2"); }
#define FIRST(name, args) (fused() ? name##_fma args : name##_plain args)
#else
#define FIRST(name, args) name##_plain args
#endif

#define UNARY_OF(T, name)                                                                                    \
  T name##_fma(T x);                                                                                         \
  T name##_plain(T x);                                                                                       \
  T name(T x);                                                                                               \
  T name(T x) { return FIRST(name, (x)); }
#define BINARY_OF(T, name)                                                                                   \
  T name##_fma(T x, T y);                                                                                    \
  T name##_plain(T x, T y);                                                                                  \
  T name(T x, T y);                                                                                          \
  T name(T x, T y) { return FIRST(name, (x, y)); }
#define EACH(OF, name)                                                                                       \
  OF(double, dpk_##name##_f64)                                                                               \
  OF(V, dpk_##name##_f64x2)                                                                                  \
  OF(float, dpk_##name##_f32)                                                                                \
  OF(S, dpk_##name##_f32x4)
#define UNARY(name) EACH(UNARY_OF, name)
#define BINARY(name) EACH(BINARY_OF, name)
#include "kernels.def"
