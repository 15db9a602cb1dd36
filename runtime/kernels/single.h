// The kernels for f32, computed in f64 lanes and rounded once at the end: the formulas of the other files with shorter
// polynomials and single words. Within 0.51 last places of f32, and what C99 says of special operands.
//
// In: lanes that hold f32 values. Every such value is normal as f64, and squares are exact.
#ifndef DPK_SINGLE_H
#define DPK_SINGLE_H

#include "arc.h"
#include "erf.h"
#include "trig.h"

static const double EXP6[6] = {0x1.0000000b95654p-1,  0x1.5555557439b1bp-3,
                               0x1.5554e8ed9d261p-5,  0x1.1110ab59419d7p-7,
                               0x1.6d43454472489p-10, 0x1.a17e2e0ee3a9ap-13}; // e^r: 2^-33
static const double LOG5[5] = {0x1.55555555a0a1fp-1, 0x1.999996bf95917p-2, 0x1.24947ed802831p-2,
                               0x1.c5ea92f806f5fp-3, 0x1.95ce210ee6d61p-3}; // log: 2^-41
static const double SIN4[4] = {-0x1.555555545c03p-3, 0x1.11110de9f3624p-7, -0x1.a013a04797ea7p-13,
                               0x1.6dbb9def64db5p-19}; // 2^-36
static const double COS4[4] = {0x1.55555555021bcp-5, -0x1.6c16bf5153541p-10, 0x1.a015bf8684c92p-16,
                               -0x1.2522aae948202p-22}; // 2^-39
static const double ASIN7[7] = {0x1.5555555ce420dp-3, 0x1.33331ccd030b4p-4, 0x1.6dc1acd6397d2p-5,
                                0x1.efd4aba852decp-6, 0x1.839f112acadd2p-6, 0x1.550af276fee3ep-7,
                                0x1.ff22db9c49cc7p-6}; // 2^-34
static const double ATAN6[6] = {-0x1.5555554ca1d37p-2, 0x1.99997c655aa3p-3,   -0x1.248a53c3a573ep-3,
                                0x1.c5834abc5b717p-4,  -0x1.617658245673ap-4, 0x1.9e719552ec43p-5}; // 2^-33
static const double ERF7[7] = {0x1.06eba8206e0f9p-3,  -0x1.8127466371ea1p-2, 0x1.ce2eff2f92401p-4,
                               -0x1.b8271513ab111p-6, 0x1.55e40df2f8b0bp-8,  -0x1.b62f7455fa781p-11,
                               0x1.8d6a7c15d4e69p-14}; // 2^-35
// In t = (x - 3) / (x + 3), for x from 1/2 to 10.25: 2^-34.
static const double ERFC12[12] = {0x1.40c522d7f76a5p+0,   -0x1.15c084a31cf95p-3,  -0x1.85a15e08e2ff7p-5,
                                  0x1.098360a707719p-3,   -0x1.e88b68f83db41p-4,  0x1.17cb0072ec4ep-4,
                                  -0x1.85780993989cap-6,  0x1.4ab94eb16b75cp-9,   0x1.efc402cdc4b1bp-10,
                                  -0x1.8d26a7835c55cp-11, -0x1.bda1470ea443dp-14, 0x1.74c716b5eb1dap-14};

// ---- exp -------------------------------------------------------------------------------------------------------------

// x 2^n for results that f64 holds easily.
LANE_FN V scale_near(V x, V n) {
#if LANES == 8
  return _mm512_scalef_pd(x, n);
#else
  return x * power_of_2(n);
#endif
}

LANE_FN V exp_rest_single(V r) { return fma_(r * r, poly(r, EXP6, 6), r); } // e^r - 1

LANE_FN V exp_single(V x) {
  x = between(-110, x, 90);
  V n = fma_(x, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE);
  return scale_near(all(1) + exp_rest_single(fnma_(n, all(LN2_H), x)), n);
}

LANE_FN V exp2_single(V x) {
  x = between(-160, x, 130);
  V n = whole(x);
  return scale_near(all(1) + exp_rest_single((x - n) * all(LN2_H)), n);
}

// x up to 180.
LANE_FN V expm1_near(V x) {
  V n = fma_(x, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE), t = power_of_2(n);
  return fma_(t, exp_rest_single(fnma_(n, all(LN2_H), x)), t - all(1));
}

LANE_FN V expm1_single(V x) { return choose(eq(x, all(0)), x, expm1_near(between(-40, x, 90))); }

LANE_FN V sinh_single(V x) {
  V u = expm1_near(between(0, magnitude(x), 91)), y = all(0.5) * (u + u / (u + all(1)));
  return with_sign(y, sign_of(x));
}

LANE_FN V cosh_single(V x) {
  V e = all(1) + expm1_near(between(0, magnitude(x), 91));
  return all(0.5) * (e + all(1) / e);
}

LANE_FN V tanh_single(V x) {
  V y = between(0, magnitude(x), 20), u = expm1_near(y + y);
  return with_sign(u / (u + all(2)), sign_of(x));
}

// ---- log -------------------------------------------------------------------------------------------------------------

LANE_FN V log_near(V f) { // log(1 + f)
  V s = f / (all(2) + f), z = s * s, half = f * all(0.5);
  return f + fnma_(half, f, s * fma_(half, f, z * poly(z, LOG5, 5)));
}

LANE_FN V log_single(V x) {
  V k, m = split(x, &k);
  return log_special(fma_(k, all(LN2_H), log_near(m - all(1))), x);
}

LANE_FN V log2_single(V x) {
  V k, m = split(x, &k);
  return log_special(fma_(log_near(m - all(1)), all(LOG2_E_H), k), x);
}

LANE_FN V log10_single(V x) {
  V k, m = split(x, &k);
  return log_special(fma_(k, all(0x1.34413509f79ffp-2), log_near(m - all(1)) * all(LOG10_E_H)), x);
}

LANE_FN V log1p_near(V x) {
  V u = all(1) + x, lost = x - (u - all(1)), k, m = split(u, &k);
  V f = (m - all(1)) + scale(lost, larger(-k, all(-200)));
  return log_special(fma_(k, all(LN2_H), log_near(f)), u);
}

LANE_FN V log1p_single(V x) { return choose(eq(x, all(0)), x, log1p_near(x)); }

LANE_FN V atanh_single(V x) {
  V size = magnitude(x), y = log1p_near((size + size) / (all(1) - size)) * all(0.5);
  return with_sign(magnitude(y), sign_of(x));
}

LANE_FN V asinh_single(V x) {
  V size = magnitude(x), square = size * size;
  V y = log1p_near(size + square / (all(1) + root(square + all(1))));
  return with_sign(choose(eq(size, all(INFINITY)), size, y), sign_of(x));
}

LANE_FN V acosh_single(V x) {
  V t = x - all(1), y = log1p_near(t + root(t * (x + all(1))));
  return choose(lt(x, all(1)), all(-NAN), y);
}

// ---- sin -------------------------------------------------------------------------------------------------------------

LANE_FN Angle reduce_single(V x) {
  V shifted = fma_(x, all(TWO_OVER_PI), all(0x1.8p52)), n = shifted - all(0x1.8p52);
  return (Angle){{fnma_(n, all(PI_2_B), fnma_(n, all(PI_2_A), x)), all(0)}, (U)shifted};
}

LANE_FN V sin_or_cos_single(V r, M sine) {
  V z = r * r, z2 = z * z, k[4];
  for (int i = 0; i < 4; i++) k[i] = choose(sine, all(SIN4[i]), all(COS4[i]));
  V first = choose(sine, r, fnma_(z, all(0.5), all(1))), factor = choose(sine, r, z) * z;
  return fma_(factor, fma_(fma_(k[3], z, k[2]), z2, fma_(k[1], z, k[0])), first);
}

LANE_FN V sin_of_single(Angle a, V x) {
  V y = sin_or_cos_single(a.r.h, bit_clear(a.quarter, (U)all(0x1p-1074)));
  return flip(y, (sign_of(x) ^ (a.quarter << 62)) & (U)all(-0.0));
}

LANE_FN V cos_of_single(Angle a, V x) {
  (void)x;
  V y = sin_or_cos_single(a.r.h, bit_set(a.quarter, (U)all(0x1p-1074)));
  return flip(y, ((a.quarter ^ (a.quarter << 1)) << 62) & (U)all(-0.0));
}

LANE_FN V tan_of_single(Angle a, V x) {
  V r = a.r.h, z = r * r;
  V s = fma_(r * z, poly(z, SIN4, 4), r), c = fma_(z * z, poly(z, COS4, 4), fnma_(z, all(0.5), all(1)));
  M crossed = bit_set(a.quarter, (U)all(0x1p-1074));
  V t = choose(crossed, c, s) / choose(crossed, s, c);
  return flip(t, (sign_of(x) ^ (a.quarter << 63)) & (U)all(-0.0));
}

static RARE V sin_large_single(V x) { return sin_of_single(reduce_any(magnitude(x)), x); }
static RARE V cos_large_single(V x) { return cos_of_single(reduce_any(magnitude(x)), x); }
static RARE V tan_large_single(V x) { return tan_of_single(reduce_any(magnitude(x)), x); }

LANE_FN V sin_single(V x) {
  return has_large(x) ? sin_large_single(x) : sin_of_single(reduce_single(magnitude(x)), x);
}
LANE_FN V cos_single(V x) {
  return has_large(x) ? cos_large_single(x) : cos_of_single(reduce_single(magnitude(x)), x);
}
LANE_FN V tan_single(V x) {
  return has_large(x) ? tan_large_single(x) : tan_of_single(reduce_single(magnitude(x)), x);
}

// ---- arcs ------------------------------------------------------------------------------------------------------------

LANE_FN V arc_side_single(V size, M far) { // asin of the side, as arc_side
  V z = choose(far, fnma_(size, all(0.5), all(0.5)), size * size), s = choose(far, root(z), size);
  return fma_(s * z, poly(z, ASIN7, 7), s);
}

LANE_FN V asin_single(V x) {
  V size = magnitude(x);
  M far = le(all(0.5), size);
  V s = arc_side_single(size, far);
  return with_sign(choose(far, fnma_(s, all(2), all(2 * PI_4_H)), s), sign_of(x));
}

LANE_FN V acos_single(V x) {
  V size = magnitude(x);
  M far = le(all(0.5), size), below = lt(x, all(0));
  V s = arc_side_single(size, far), near = all(2 * PI_4_H) - flip(s, sign_of(x)), twice = s + s;
  return choose(far, choose(below, all(4 * PI_4_H) - twice, twice), near);
}

LANE_FN V arc_of_single(V a, V b, M mirrored) {
  M steep = lt(b, a);
  V low = choose(steep, b, a), high = choose(steep, a, b);
  M middle = lt(high * all(TAN_PI_8), low);
  V t = choose(middle, low - high, low) / choose(middle, high + low, high), z = t * t;
  V y = choose(middle, all(PI_4_H), all(0)) + fma_(t * z, poly(z, ATAN6, 6), t);
  y = choose(steep, all(2 * PI_4_H) - y, y);
  return choose(mirrored, all(4 * PI_4_H) - y, y);
}

LANE_FN V atan_single(V x) {
  V size = magnitude(x);
  V y = arc_of_single(smaller(all(0x1p200), size), all(1), lt(size, all(0)));
  return with_sign(y, sign_of(x));
}

LANE_FN V atan2_single(V y, V x) {
  V a = magnitude(y), b = magnitude(x), m = larger(a, b);
  M far = eq(m, all(INFINITY));
  V c = choose(far, choose(eq(a, m), all(1), all(0)), a),
    d = choose(far, choose(eq(b, m), all(1), all(0)), b);
  d = choose(eq(m, all(0)), all(1), d);
  V r = with_sign(arc_of_single(c, d, bit_set((U)x, (U)all(-0.0))), sign_of(y));
  return choose(unordered(x, y), x + y, r);
}

// ---- powers ----------------------------------------------------------------------------------------------------------

LANE_FN V pow_size_single(V size, V y) {
  V k, m = split(size, &k), w = y * fma_(log_near(m - all(1)), all(LOG2_E_H), k);
  return exp2_single(w);
}

static RARE V pow_any_single(V x, V y) { return pow_special(pow_size_single(magnitude(x), y), x, y); }

LANE_FN V pow_single(V x, V y) { return pow_is_plain(x, y) ? pow_size_single(x, y) : pow_any_single(x, y); }

LANE_FN V cbrt_single(V x) { return cbrt_(x); }

LANE_FN V hypot_single(V x, V y) {
  V r = root(fma_(x, x, y * y));
  M inf = either(eq(magnitude(x), all(INFINITY)), eq(magnitude(y), all(INFINITY)));
  return choose(inf, all(INFINITY), r);
}

// ---- erf -------------------------------------------------------------------------------------------------------------

LANE_FN V erfc_far_single(V size) { // from 1/2
  V c = smaller(all(10.25), size), t = (c - all(3)) / (c + all(3)), x = -c * c;
  V n = fma_(x, all(LOG2_E), all(TO_WHOLE)) - all(TO_WHOLE);
  V e = scale_near(all(1) + exp_rest_single(fnma_(n, all(LN2_H), x)), n);
  return e * poly(t, ERFC12, 12) / fma_(c, all(2), all(1));
}

LANE_FN V erf_near_single(V x) {
  V z = x * x;
  return fma_(x, poly(z, ERF7, 7), x);
}

LANE_FN V erf_single(V x) {
  V size = magnitude(x);
  return flip(choose(lt(size, all(0.75)), erf_near_single(size), all(1) - erfc_far_single(size)), sign_of(x));
}

LANE_FN V erfc_single(V x) {
  V size = magnitude(x), far = erfc_far_single(size);
  V beyond = choose(lt(x, all(0)), all(2) - far, far);
  V y = choose(lt(size, all(0.5)), all(1) - erf_near_single(x), beyond);
  return choose(unordered(x, x), x, y);
}

#endif
