// Runtime functions that dp programs call in the slot convention; each comment gives the dp signature. Included by dprt.h.

// data.c
DPRT_EXTERN(dprt_read_csv);    // (path: str) -> [rows, cols]f64
DPRT_EXTERN(dprt_write_csv);   // (path: str, header: str, table: [n, m]f64)
// rng.c
DPRT_EXTERN(dprt_permutation); // (key: int, counter: int, n: int) -> [n]int
