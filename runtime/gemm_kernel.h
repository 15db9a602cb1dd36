// The matrix product for one element type and one instruction set; gemm.c includes this once for each, after defining
//   NAME(x)  the functions' suffix          T, V, LANES   element, vector of them, their number
//   TARGET   the instruction set's attribute M, MASK(n)    what selects a vector's first n lanes
//   MR       rows of a tile                  LOAD, STORE, LOAD_FIRST, STORE_FIRST, SPREAD, FMA, ADD, ZERO
//   FOLD                                   the sum of a vector: halves added to halves
// What must hold: element (i, j) of the result is fma(a[i, k-1], b[k-1, j], ... fma(a[i, 0], b[0, j], c)), whatever the
// tile sizes and the vector width, so that every machine gives the same bits. One column or one row of dot products is
// summed in DOT_LANES partial sums instead: lane l takes the elements l, l + DOT_LANES, ..., each by fma; then halves are
// added to halves.

#define NR (2 * LANES)
#define INLINE TARGET static inline __attribute__((always_inline))

// c[mr, columns] = a[mr, k] b[k, columns] (+ c). mr, nv and edge are constants where this is inlined; `last` selects the
// last vector's lanes when edge.
INLINE void NAME(tile)(int mr, int nv, bool edge, M last, int64_t k, const T *a, int64_t row, int64_t step,
                       const T *b, int64_t ldb, T *c, int64_t ldc, bool add) {
  V sum[MR][2];
#pragma GCC unroll 16
  for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
      sum[i][v] = !add                  ? ZERO
                  : edge && v == nv - 1 ? LOAD_FIRST(last, c + i * ldc + v * LANES)
                                        : LOAD(c + i * ldc + v * LANES);
  for (int64_t p = 0; p < k; p++, a += step, b += ldb) {
    V right[2];
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++)
      right[v] = edge && v == nv - 1 ? LOAD_FIRST(last, b + v * LANES) : LOAD(b + v * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) {
      V left = SPREAD(a[i * row]);
#pragma GCC unroll 2
      for (int v = 0; v < nv; v++) sum[i][v] = FMA(left, right[v], sum[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < mr; i++)
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) {
      if (edge && v == nv - 1)
        STORE_FIRST(c + i * ldc + v * LANES, last, sum[i][v]);
      else
        STORE(c + i * ldc + v * LANES, sum[i][v]);
    }
}

// One tile of up to MR rows and NR columns, by the variant that fits.
INLINE void NAME(tile_rows)(int nv, bool edge, M last, int64_t mr, int64_t k, const T *a, int64_t row,
                            int64_t step, const T *b, int64_t ldb, T *c, int64_t ldc, bool add) {
#define ROWS(n)                                                                                              \
  case n: NAME(tile)(n < MR ? n : MR, nv, edge, last, k, a, row, step, b, ldb, c, ldc, add); break;
  switch (mr) {
    ROWS(1)
    ROWS(2)
    ROWS(3)
    ROWS(4)
    ROWS(5)
    ROWS(6)
#if MR > 6
    ROWS(7)
    ROWS(8)
#endif
  }
#undef ROWS
}

TARGET static void NAME(tile_full)(int64_t mr, int64_t k, const T *a, int64_t row, int64_t step, const T *b,
                                   int64_t ldb, T *c, int64_t ldc, bool add) {
  NAME(tile_rows)(2, false, MASK(LANES), mr, k, a, row, step, b, ldb, c, ldc, add);
}

TARGET static void NAME(tile_edge)(int64_t mr, int64_t columns, int64_t k, const T *a, int64_t row,
                                   int64_t step, const T *b, int64_t ldb, T *c, int64_t ldc, bool add) {
  if (columns > LANES)
    NAME(tile_rows)(2, true, MASK((int)columns - LANES), mr, k, a, row, step, b, ldb, c, ldc, add);
  else
    NAME(tile_rows)(1, true, MASK((int)columns), mr, k, a, row, step, b, ldb, c, ldc, add);
}

// Panels of NR columns, one after the other, each k rows of NR elements; the last one's missing columns stay unset.
TARGET static void NAME(pack)(T *to, const T *b, int64_t ldb, bool tb, int64_t k, int64_t n) {
  for (int64_t j = 0; j < n; j += NR, to += k * NR) {
    int64_t width = n - j < NR ? n - j : NR;
    if (!tb) {
      for (int64_t p = 0; p < k; p++) memcpy(to + p * NR, b + p * ldb + j, (size_t)width * sizeof(T));
      continue;
    }
    int64_t p = 0;
    for (; p + 8 <= k; p += 8) // a cache line of each row at a time
      for (int64_t v = 0; v < width; v++) {
        const T *from = b + (j + v) * ldb + p;
#pragma GCC unroll 8
        for (int q = 0; q < 8; q++) to[(p + q) * NR + v] = from[q];
      }
    for (; p < k; p++)
      for (int64_t v = 0; v < width; v++) to[p * NR + v] = b[(j + v) * ldb + p];
  }
}

// c[m, n] = a[m, k] b[k, n] (+ c) with k short enough for the first-level cache. b is packed when panel is not NR.
TARGET static void NAME(block)(int64_t m, int64_t n, int64_t k, const T *a, int64_t row, int64_t step,
                               const T *b, int64_t ldb, int64_t panel, T *c, int64_t ldc, bool add) {
  for (int64_t i = 0; i < m; i += MR) {
    int64_t mr = m - i < MR ? m - i : MR;
    const T *right = b;
    int64_t j = 0;
    for (; j + NR <= n; j += NR, right += panel)
      NAME(tile_full)(mr, k, a + i * row, row, step, right, ldb, c + i * ldc + j, ldc, add);
    if (j < n) NAME(tile_edge)(mr, n - j, k, a + i * row, row, step, right, ldb, c + i * ldc + j, ldc, add);
  }
}

// ---- one row, one column -------------------------------------------------------------------------------------

#define DOT_VECTORS (DOT_LANES / LANES) // 2 or 4

INLINE T NAME(sum_lanes)(const V sum[DOT_VECTORS]) {
  V low = sum[0], high = sum[1];
  if (DOT_VECTORS == 4) {
    low = ADD(low, sum[DOT_VECTORS - 2]);
    high = ADD(high, sum[DOT_VECTORS - 1]);
  }
  return FOLD(ADD(low, high));
}

// y[i] = a[i, :] . x (+ y[i]) for `rows` rows at once.
INLINE void NAME(dots)(int rows, int64_t k, const T *a, int64_t lda, const T *x, T *y, int64_t stride,
                       bool add) {
  V sum[4][DOT_VECTORS];
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
    for (int v = 0; v < DOT_VECTORS; v++) sum[i][v] = ZERO;
  int64_t p = 0;
  for (; p + DOT_LANES <= k; p += DOT_LANES)
#pragma GCC unroll 8
    for (int v = 0; v < DOT_VECTORS; v++) {
      V right = LOAD(x + p + v * LANES);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) sum[i][v] = FMA(LOAD(a + i * lda + p + v * LANES), right, sum[i][v]);
    }
  if (p < k)
#pragma GCC unroll 8
    for (int v = 0; v < DOT_VECTORS; v++) { // every lane takes part, as one of a longer vector would
      int64_t left = k - p - v * LANES;
      M some = MASK(left <= 0 ? 0 : left < LANES ? (int)left : LANES);
      V right = LOAD_FIRST(some, x + p + v * LANES);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++)
        sum[i][v] = FMA(LOAD_FIRST(some, a + i * lda + p + v * LANES), right, sum[i][v]);
    }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++) {
    T dot = NAME(sum_lanes)(sum[i]);
    y[i * stride] = add ? y[i * stride] + dot : dot;
  }
}

TARGET static void NAME(dot_rows)(int64_t m, int64_t k, const T *a, int64_t lda, const T *x, T *y,
                                  int64_t stride, bool add) {
  int64_t i = 0;
  for (; DOT_VECTORS == 2 && i + 4 <= m; i += 4) // as many rows as there are registers for
    NAME(dots)(4, k, a + i * lda, lda, x, y + i * stride, stride, add);
  for (; i + 2 <= m; i += 2) NAME(dots)(2, k, a + i * lda, lda, x, y + i * stride, stride, add);
  if (i < m) NAME(dots)(1, k, a + i * lda, lda, x, y + i * stride, stride, add);
}

// y[j] += x[p] b[p, j] for `rows` rows in order; y starts at zero unless add.
INLINE void NAME(add_rows)(int rows, int64_t n, const T *b, int64_t ldb, const T *x, int64_t stride, T *y,
                           bool add) {
  V factor[8];
#pragma GCC unroll 8
  for (int p = 0; p < rows; p++) factor[p] = SPREAD(x[p * stride]);
  int64_t j = 0;
  for (; j + LANES <= n; j += LANES) {
    V sum = add ? LOAD(y + j) : ZERO;
#pragma GCC unroll 8
    for (int p = 0; p < rows; p++) sum = FMA(factor[p], LOAD(b + p * ldb + j), sum);
    STORE(y + j, sum);
  }
  if (j < n) {
    M some = MASK((int)(n - j));
    V sum = add ? LOAD_FIRST(some, y + j) : ZERO;
#pragma GCC unroll 8
    for (int p = 0; p < rows; p++) sum = FMA(factor[p], LOAD_FIRST(some, b + p * ldb + j), sum);
    STORE_FIRST(y + j, some, sum);
  }
}

TARGET static void NAME(row_times)(int64_t n, int64_t k, const T *x, int64_t stride, const T *b, int64_t ldb,
                                   T *y, bool add) {
  int64_t p = 0;
  for (; p + 8 <= k; p += 8) NAME(add_rows)(8, n, b + p * ldb, ldb, x + p * stride, stride, y, add || p > 0);
  for (; p < k; p++) NAME(add_rows)(1, n, b + p * ldb, ldb, x + p * stride, stride, y, add || p > 0);
}

// ---- the whole product ---------------------------------------------------------------------------------------

// Never inlined: its caller would hold two such buffers.
TARGET __attribute__((noinline)) static void NAME(gemm)(int64_t m, int64_t n, int64_t k, const T *a,
                                                        int64_t lda, bool ta, const T *b, int64_t ldb,
                                                        bool tb, T *c, int64_t ldc, bool add) {
  bool a_contiguous = ta ? lda == 1 : true, b_contiguous = tb ? true : ldb == 1;
  if (n == 1 && !ta && b_contiguous) {
    NAME(dot_rows)(m, k, a, lda, b, c, ldc, add);
    return;
  }
  if (m <= 2 && tb && a_contiguous) {
    for (int64_t i = 0; i < m; i++) NAME(dot_rows)(n, k, b, ldb, a + i * lda, c + i * ldc, 1, add);
    return;
  }
  if (m == 1 && !tb) {
    NAME(row_times)(n, k, a, ta ? lda : 1, b, ldb, c, add);
    return;
  }
  if (n == 1 && ta && ldc == 1) {
    NAME(row_times)(m, k, b, tb ? 1 : ldb, a, lda, c, add);
    return;
  }
  _Alignas(64) T packed[KC * NC];
  bool pack = tb || (m >= 4 * MR && ldb * (int64_t)sizeof(T) > 1024);
  int64_t row = ta ? 1 : lda, step = ta ? lda : 1;
  for (int64_t j = 0; j < n; j += NC) {
    int64_t nc = n - j < NC ? n - j : NC;
    for (int64_t p = 0; p < k; p += KC) {
      int64_t kc = k - p < KC ? k - p : KC;
      const T *right = tb ? b + j * ldb + p : b + p * ldb + j, *left = a + p * step;
      if (pack) NAME(pack)(packed, right, ldb, tb, kc, nc);
      NAME(block)(m, nc, kc, left, row, step, pack ? packed : right, pack ? NR : ldb, pack ? kc * NR : NR,
                  c + j, ldc, add || p > 0);
    }
  }
}

#undef NR
#undef INLINE
#undef DOT_VECTORS
#undef NAME
#undef TARGET
#undef T
#undef V
#undef M
#undef LANES
#undef MR
#undef MASK
#undef LOAD
#undef STORE
#undef LOAD_FIRST
#undef STORE_FIRST
#undef SPREAD
#undef FMA
#undef ADD
#undef ZERO
#undef FOLD
#undef KC
#undef NC
#undef DOT_LANES
