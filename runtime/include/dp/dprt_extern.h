// Runtime functions that dp programs call in the slot convention; each comment gives the dp signature. Included by dprt.h.
// clang-format off: a table

// context.c
DPRT_EXTERN(dprt_clock)       // () -> f64, seconds since some fixed moment
// data.c
DPRT_EXTERN(dprt_read_csv)    // (path: str) -> [rows, cols]f64
DPRT_EXTERN(dprt_write_csv)   // (path: str, header: str, table: [n, m]f64); header: names with commas between, or ""
DPRT_EXTERN(dprt_write_text)  // (path: str, text: str)
// plot.c, contour.c; names: with commas between, or ""
DPRT_EXTERN(dprt_plot_lines)   // (path: str, title: str, xlabel: str, ylabel: str, names: str, x: [n]f64, y: [k, n]f64,
                                //  logx: bool, logy: bool)
DPRT_EXTERN(dprt_plot_contour) // (path: str, title: str, names: str, xs: [n]f64, ys: [m]f64, z: [m, n]f64,
                                //  paths: [p, s, 2]f64)
// rng.c
DPRT_EXTERN(dprt_permutation) // (key: int, counter: int, n: int) -> [n]int
// schedule.c: factors for a rate, made once and given to an optimizer; by "step" or by "epoch"
DPRT_EXTERN(dprt_constant_schedule)    // () -> [s]f64
DPRT_EXTERN(dprt_step_schedule)        // (every: int, factor: f64 = 0.5, by: str = "step") -> [s]f64
DPRT_EXTERN(dprt_exponential_schedule) // (rate: f64, by: str = "step") -> [s]f64
DPRT_EXTERN(dprt_cosine_schedule)      // (length: int, floor: f64 = 0.0, by: str = "step") -> [s]f64
DPRT_EXTERN(dprt_linear_schedule)      // (length: int, from: f64, to: f64, by: str = "step") -> [s]f64
// optimizer.c: settings; an empty schedule is the constant one. style: "dp", "keras", "pytorch" or "optax"
DPRT_EXTERN(dprt_gd)       // (lr: f64 = 1e-2, clip: f64 = 0.0, schedule: [k]f64 = []) -> [h]f64
DPRT_EXTERN(dprt_sgd)      // (lr: f64 = 1e-2, clip: f64 = 0.0, schedule: [k]f64 = []) -> [h]f64
DPRT_EXTERN(dprt_momentum) // (lr: f64 = 1e-2, beta: f64 = 0.9, clip: f64 = 0.0, schedule: [k]f64 = [],
                            //  beta_schedule: [l]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_nesterov) // (lr: f64 = 1e-2, beta: f64 = 0.9, clip: f64 = 0.0, schedule: [k]f64 = [],
                            //  beta_schedule: [l]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_adagrad)  // (lr: f64 = 1e-2, eps: f64 = 1e-10, initial: f64 = 0.0, clip: f64 = 0.0,
                            //  schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_adadelta) // (lr: f64 = 1.0, rho: f64 = 0.9, eps: f64 = 1e-6, clip: f64 = 0.0,
                            //  schedule: [k]f64 = []) -> [h]f64
DPRT_EXTERN(dprt_rmsprop)  // (lr: f64 = 1e-3, beta: f64 = 0.9, eps: f64 = 1e-10, clip: f64 = 0.0,
                            //  schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_adam)     // (lr: f64 = 1e-3, beta1: f64 = 0.9, beta2: f64 = 0.999, eps: f64 = 1e-8, clip: f64 = 0.0,
                            //  schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_adamw)    // (lr: f64 = 1e-3, beta1: f64 = 0.9, beta2: f64 = 0.999, eps: f64 = 1e-8,
                            //  decay: f64 = 1e-2, clip: f64 = 0.0, schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_amsgrad)  // as dprt_adam
DPRT_EXTERN(dprt_nadam)    // (lr: f64 = 2e-3, beta1: f64 = 0.9, beta2: f64 = 0.999, eps: f64 = 1e-8, psi: f64 = 4e-3,
                            //  clip: f64 = 0.0, schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_radam)    // as dprt_adam
DPRT_EXTERN(dprt_lion)     // (lr: f64 = 1e-4, beta1: f64 = 0.9, beta2: f64 = 0.99, decay: f64 = 0.0, clip: f64 = 0.0,
                            //  schedule: [k]f64 = [], style: str = "dp") -> [h]f64
DPRT_EXTERN(dprt_lbfgs)    // (history: int = 10) -> [h]f64
// optimizer.c: what `like:`, `step` and a loop with a schedule of epochs are made of
DPRT_EXTERN(dprt_optimizer_like)       // (o: [h]f64, n: int) -> [m]f64
DPRT_EXTERN(dprt_optimizer_update)     // (o: [m]f64, w: [n]f64, g: [n]f64) -> ([m]f64, [n]f64)
DPRT_EXTERN(dprt_optimizer_next_epoch) // (o: [m]f64) -> [m]f64
// clang-format on
