// Functions and their partial derivatives in many digits, by MPFR.
#ifndef DP_TESTS_EXACT_H
#define DP_TESTS_EXACT_H

#include <mpfr.h>

enum { EXACT_BITS = 320 };

typedef void Exact(mpfr_t r, const mpfr_t x,
                   const mpfr_t y); // y is not looked at by functions of one operand

#define UNARY(name, text) Exact value_##name, slope_##name;
#define BINARY(name, text) Exact value_##name, slope_##name, slope_##name##_y;
#include "functions.def"

#endif
