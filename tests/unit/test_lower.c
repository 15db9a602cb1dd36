// compiler/lower: whole programs through parser, sema, lowering and the oracle; what they print is what is expected.
// Every module is verified. Derivatives are expanded before they run.
#include "ad/ad.h"
#include "lower/lower.h"

#include <criterion/criterion.h>
#include <string.h>

static Arena *arena;

static void start(void) { arena = arena_new(0); }
static void stop(void) { arena_free(arena); }

TestSuite(lower, .init = start, .fini = stop);

typedef struct World {
  Sources sources;
  Diags diags;
  Interner *names;
  Program *program;
  IrModule *module; // NULL after mistakes
  StrBuf printed;
  const char *error; // of the run
} World;

static const char *read_file(void *user, Arena *a, const char *path, size_t *len, const char **why) {
  (void)user;
  return file_read(a, path, len, why);
}

static const char *std_module(void *user, const char *name, size_t *len) {
  (void)user;
  const char *why;
  return file_read(arena, arena_printf(arena, "%s/stdlib/%s.dp", DP_SOURCE_DIR, name), len, &why);
}

static const char *rendered(World *w) {
  StrBuf sb;
  sb_init(&sb, arena);
  diags_render(&w->diags, &sb, false);
  return sb.data ? sb.data : "";
}

// Lowers the functions named in `roots` (with spaces between).
static World *lower_roots(const char *text, const char *roots) {
  static const char *const std_names[] = {"prelude", NULL};
  World *w = ARENA_NEW(arena, World);
  SemaHost host = {NULL, read_file, std_module, std_names};
  w->names = interner_new(arena);
  sources_init(&w->sources, arena);
  diags_init(&w->diags, arena, &w->sources);
  sb_init(&w->printed, arena);
  w->program = sema_program(arena, w->names, &w->sources, &w->diags, &host, "test.dp", text, strlen(text));
  cr_assert_eq(w->diags.n_errors, 0, "%s", rendered(w));
  LowerRoot list[8];
  int n = 0;
  for (char *name = strtok(arena_strdup(arena, roots, strlen(roots)), " "); name; name = strtok(NULL, " ")) {
    Name own = intern_cstr(w->names, name);
    list[n++] = (LowerRoot){sema_find_fn(w->program, own), NULL, IR_F64, own};
    cr_assert_not_null(list[n - 1].fn, "%s", name);
  }
  w->module = lower_program(arena, w->program, list, n);
  if (!w->module) return w;
  const char *bad = ir_verify_module(arena, w->module);
  cr_assert_null(bad, "%s", bad);
  return w;
}

static bool run_main(World *w) {
  IrInterp in = {.arena = arena, .module = w->module, .round = true, .printed = &w->printed};
  const IrFunc *f = ir_func_find(w->module, intern_cstr(w->names, "main"));
  IrCell none[1], results[1];
  bool ok = ir_interp(&in, f, none, results);
  w->error = in.error;
  return ok;
}

static World *lowered(const char *text) {
  World *w = lower_roots(text, "main");
  cr_assert_not_null(w->module, "%s", rendered(w));
  cr_assert(ad_expand(w->module, &w->diags), "%s", rendered(w));
  const char *bad = ir_verify_module(arena, w->module);
  cr_assert_null(bad, "%s", bad);
  return w;
}

static void prints(const char *text, const char *expected) {
  World *w = lowered(text);
  cr_assert(run_main(w), "%s\n%s", w->error, text);
  cr_expect_str_eq(w->printed.data, expected, "printed\n%s\nfor\n%s", w->printed.data, text);
}

// main(), with declarations before it.
static void evaluates(const char *decls, const char *body, const char *expected) {
  prints(arena_printf(arena, "%s\nfn main() {\n%s\n}\n", decls, body), expected);
}

static void fails(const char *decls, const char *body, const char *message) {
  World *w = lowered(arena_printf(arena, "%s\nfn main() {\n%s\n}\n", decls, body));
  cr_assert_not(run_main(w), "no error, expected `%s`", message);
  cr_expect(strstr(w->error, message), "the error is `%s`, expected `%s`", w->error, message);
}

static int count(const char *text, const char *what) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, what)); p++) n++;
  return n;
}

// How often `what` stands in the IR of function `name`.
static int times_in(const char *text, const char *name, const char *what) {
  World *w = lower_roots(text, name);
  cr_assert_not_null(w->module, "%s", rendered(w));
  StrBuf sb;
  sb_init(&sb, arena);
  ir_print_func(ir_func_find(w->module, intern_cstr(w->names, name)), &sb);
  return count(sb.data, what);
}

// ---- values and expressions --------------------------------------------------------------------------------------------

Test(lower, arithmetic) {
  evaluates("", "print(\"{2 ^ 10} {2.0 ^ 3} {2.0 ^ 0.5} {2.0 ^ -1} {-2.0 ^ 2} {2 ^ 3 ^ 2}\")",
            "1024 8.0 1.4142135623730951 0.5 -4.0 512\n");
  evaluates("",
            "print(\"{div(-7, 2)} {mod(-7, 2)} {int(3.9)} {int(true)} {f64(3)} {abs(-3)} {max(2, 3)} "
            "{min(2.0, 1)}\")",
            "-4 1 3 1 3.0 3 3 1.0\n");
  evaluates("",
            "let a: f32 = 0.1\nprint(\"{a} {f64(a)} {a * 3} {f32(1) / 3} {1.5 + 2} {isnan(0.0 / 0.0)} "
            "{isfinite(1.0)}\")",
            "0.1 0.10000000149011612 0.3 0.33333334 3.5 true true\n");
  evaluates("",
            "var k = 4\nk -= 1\nprint(\"{k > 2 and k < 4} {k > 2 or div(1, k - 3) > 0} {not (k == 3)} {if k "
            "!= 3 { 1 "
            "} else { 2.5 }}\")",
            "true true false 2.5\n");
}

Test(lower, arrays_elementwise) {
  evaluates(
      "",
      "let x = [1.0, 2.0, 3.0]\nlet y = x * x + 2.0 * x - 1\nprint(\"{y} {-x} {1 / x[1..]} {exp(x - x)} {x ^ "
      "2}\")",
      "[2.0, 7.0, 14.0] [-1.0, -2.0, -3.0] [0.5, 0.3333333333333333] [1.0, 1.0, 1.0] [1.0, 4.0, 9.0]\n");
  evaluates("", "let x = [[1.0, 2.0], [3.0, 4.0]]\nprint(\"{x @ x} {x @ [1.0, 1.0]} {[1.0, 1.0] @ x}\")",
            "[[7.0, 10.0], [15.0, 22.0]] [3.0, 7.0] [4.0, 6.0]\n");
  evaluates("",
            "print(\"{full(2, 3)} {full([1.0, 2.0], 2)} {zeros(2)} {ones(1, 2)} {atan2(1.0, [1.0, 0.0])}\")",
            "[2, 2, 2] [[1.0, 2.0], [1.0, 2.0]] [0.0, 0.0] [[1.0, 1.0]] [0.7853981633974483, "
            "1.5707963267948966]\n");
}

Test(lower, indexing) {
  evaluates(
      "",
      "let x = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]\nlet i = [1, 0, 1]\n"
      "print(\"{x[1]} {x[1, 2]} {x[.., 1]} {x[0, 1..]} {x[i, 0]} {x[i][2]} {x[1][0..2][1]} {(x + x)[0]}\")",
      "[4.0, 5.0, 6.0] 6.0 [2.0, 5.0] [2.0, 3.0] [4.0, 1.0, 4.0] "
      "[4.0, 5.0, 6.0] 5.0 [2.0, 4.0, 6.0]\n");
  evaluates("",
            "var z = zeros(2, 2)\nz[0] = [1.0, 2.0]\nz[.., 0] = z[.., 1] + 1.0\nz += 1.0\nz[1, ..] *= 2.0\n"
            "z[0, 0] -= 1.0\nprint(\"{z}\")",
            "[[3.0, 3.0], [4.0, 2.0]]\n");
  evaluates("", "var a = [1.0, 2.0, 3.0, 4.0]\na[1..] = a[..3]\nlet b = a\na[0] = 9.0\nprint(\"{a} {b}\")",
            "[9.0, 1.0, 2.0, 3.0] [1.0, 1.0, 2.0, 3.0]\n");
}

Test(lower, comprehensions_and_reductions) {
  evaluates("fn sq(x: [n]f64) -> [n]f64 = x * x",
            "let x = [[1.0, 2.0], [3.0, 4.0]]\n"
            "print(\"{[for i in 0..3: i * i]} {[for i in 0..2: [for j in 0..3: 10 * i + j]]} {[for i in "
            "0..2: x[i] * 2.0]}\")\n"
            "print(\"{[for r in x: sum(r)]} {[for i in reverse 0..3: i]} {[for i in 0..2: sq(x[i])]} {[for i "
            "in 1..8 step 3: i]}\")",
            "[0, 1, 4] [[0, 1, 2], [10, 11, 12]] [[2.0, 4.0], [6.0, 8.0]]\n"
            "[3.0, 7.0] [2, 1, 0] [[1.0, 4.0], [9.0, 16.0]] [1, 4, 7]\n");
  evaluates(
      "",
      "print(\"{sum(for i in 0..4, j in 0..i: i + j)} {max(for i in 0..3: -i)} {prod(for i in 1..5: i)} "
      "{min(for x in [3.0, 2.0]: x)} {max(for i in 0..0: 1.0)}\")",
      "18 0 24 2.0 -inf\n");
  evaluates("fn next(inout k: int) -> int {\n  k += 1\n  return k\n}",
            "var k = 0\nlet a = [for i in 0..3: next(inout k)]\nlet s = sum(for i in 0..2: next(inout "
            "k))\nprint(\"{a} {s} {k}\")",
            "[1, 2, 3] 9 5\n");
  evaluates("fn noisy(i: int) -> int {\n  print(\"{i}\")\n  return i\n}",
            "print(\"{[for i in 0..2: noisy(i)]}\")", "0\n1\n[0, 1]\n");
}

Test(lower, structs_and_tuples) {
  const char *decls = "struct Linear[d] { w: [d]f64, b: f64 }\n"
                      "struct Net[d, h] { a: Linear[d], b: Linear[h], n: int }\n"
                      "struct Point { x: f64, y: f64, id: int }\n"
                      "struct Row { w: [2]f64, k: int }\n"
                      "fn bump(inout m: Net[d, h]) {\n  m.a.w[0] += 1.0\n  m.b.b = 5.0\n  m.n += 1\n}\n"
                      "fn points(n: int) -> [n]Point = [for i in 0..n: Point { x: i, y: 2.0 * i, id: i }]";
  evaluates(
      decls,
      "var m = Net { a: Linear { w: [1.0, 2.0], b: 0.0 }, b: Linear { w: ones(3), b: 1.0 }, n: 1 }\n"
      "bump(inout m)\nprint(\"{m}\")\nlet v = m.a + 2.0 * m.a - m.a / 2\nprint(\"{v} {zeros_like(v)}\")",
      "Net { a: Linear { w: [2.0, 2.0], b: 0.0 }, b: Linear { w: [1.0, 1.0, 1.0], b: 5.0 }, n: 2 }\n"
      "Linear { w: [5.0, 5.0], b: 0.0 } Linear { w: [0.0, 0.0], b: 0.0 }\n");
  evaluates(
      decls,
      "var p = points(4)\np[2].x = 9.0\np[1] = p[3]\nprint(\"{p[2]} {p[1].id} {len(p)} {p[1..3][1].y}\")",
      "Point { x: 9.0, y: 4.0, id: 2 } 3 4 4.0\n");
  evaluates(decls,
            "var r = [for i in 0..3: Row { w: [i * 1.0, 0.5], k: i }]\nr[1].w[1] = 7.0\nr[2].w = [8.0, 9.0]\n"
            "print(\"{r[1]} {r[2].w} {r[0].k}\")",
            "Row { w: [1.0, 7.0], k: 1 } [8.0, 9.0] 0\n");
  evaluates("",
            "let (p, q) = (1, 2.5)\nvar (c, d) = (p, q)\n(c, d) = (c + 1, d * 2.0)\nlet t = (c, (d, "
            "true))\nprint(\"{c} {d} {t} {t.1.0}\")",
            "2 5.0 (2, (5.0, true)) 5.0\n");
}

Test(lower, growable_arrays) {
  evaluates("",
            "var g: [*]f64 = []\nfor i in 0..4 { push(inout g, i * 0.5) }\nlet last = pop(inout g)\n"
            "g[1] = 7.0\ng[0] += 1.0\nprint(\"{g} {len(g)} {last} {sum(g[..])} {g[1..]}\")",
            "[1.0, 7.0, 1.0] 3 1.5 9.0 [7.0, 1.0]\n");
  evaluates("struct P { x: f64, k: int }",
            "var g: [*]P = [P { x: 1.0, k: 2 }]\npush(inout g, P { x: 3.0, k: 4 })\n"
            "var s = 0\nfor p in g { s += p.k }\nlet q = pop(inout g)\nprint(\"{s} {q} {len(g)}\")",
            "6 P { x: 3.0, k: 4 } 1\n");
}

Test(lower, strings) {
  evaluates("fn name(k: int) -> str = if k > 0 { \"plus\" } else { \"none\" }",
            "let x = 2.0 / 3\nprint(\"{{x}} = {x:.3}, {name(1)} "
            "{name(0)}\")\nprint(name(1))\nprint(3)\nprint([1, 2])",
            "{x} = 0.667, plus none\nplus\n3\n[1, 2]\n");
}

// ---- statements ------------------------------------------------------------------------------------------------------------

Test(lower, loops) {
  evaluates("",
            "for i in reverse 0..3 { print(\"{i}\") }\nfor i in 1..10 step 4 { print(\"s{i}\") }\n"
            "for i in reverse 1..10 step 4 { print(\"r{i}\") }\nfor v in [3.5] { print(\"{v}\") }\n"
            "for row in [[1, 2], [3, 4]] { print(\"{row} {row[1]}\") }\nvar k = 0\nwhile k < 3 and [5, 6, "
            "7][k] < 7 { k += 1 }\nprint(\"{k}\")",
            "2\n1\n0\ns1\ns5\ns9\nr9\nr5\nr1\n3.5\n[1, 2] 2\n[3, 4] 4\n2\n");
  evaluates(
      "fn collatz(n: int) -> int {\n  var k = n\n  var steps = 0\n  while true {\n    if k == 1 { break }\n"
      "    if mod(k, 2) == 0 { k = div(k, 2); steps += 1; continue }\n    k = 3 * k + 1\n    steps += 1\n  "
      "}\n  return steps\n}\n"
      "fn odds(n: int) -> int {\n  var s = 0\n  for i in 0..n {\n    if mod(i, 2) == 0 { continue }\n    if "
      "i > 7 { break }\n    s += i\n  }\n  return s\n}",
      "print(\"{collatz(27)} {odds(100)} {odds(4)}\")", "111 16 4\n");
  evaluates(
      "fn pops(inout xs: [*]int) -> bool {\n  if len(xs) == 0 { return false }\n  let x = pop(inout xs)\n  "
      "return x > 0\n}",
      "var xs: [*]int = [0, 4, 5, 6]\nvar n = 0\nwhile pops(inout xs) { n += 1 }\nprint(\"{n} {len(xs)}\")",
      "3 0\n");
}

Test(lower, early_returns) {
  evaluates("fn sign3(x: f64) -> f64 {\n  if x < 0.0 { return -1.0 }\n  if x == 0.0 { return 0.0 } else if x "
            "> 10.0 { return 10.0 }\n  let y = x * 2.0\n  return y\n}\n"
            "fn both(a: int, b: int) -> int {\n  var r = 0\n  if a > 0 {\n    if b > 0 { return 100 }\n    r "
            "= 1\n  }\n  r += 10\n  return r\n}",
            "print(\"{sign3(-2.0)} {sign3(0.0)} {sign3(20.0)} {sign3(4.0)} {both(1, 1)} {both(1, 0)} "
            "{both(0, 0)}\")",
            "-1.0 0.0 10.0 8.0 100 11 10\n");
  evaluates("fn find(xs: [n]int, k: int) -> int {\n  for i in 0..n {\n    if xs[i] == k { return i }\n  }\n  "
            "return -1\n}\n"
            "fn row(x: [n, m]f64) -> [m]f64 {\n  for i in 0..n {\n    for j in 0..m {\n      if x[i, j] < "
            "0.0 { return x[i] }\n    }\n  }\n  return zeros(m)\n}\n"
            "fn tail(x: [n]f64) -> [_]f64 {\n  for i in 0..n {\n    if x[i] > 1.0 { return x[i..] }\n  }\n  "
            "return x[0..1]\n}\n"
            "fn root(n: int) -> int {\n  var i = 0\n  while true {\n    i += 1\n    if i * i > n { return i "
            "}\n  }\n}",
            "print(\"{find([4, 5, 6], 6)} {find([4], 7)} {row([[1.0, 2.0], [3.0, -4.0]])} {row([[1.0]])}\")\n"
            "print(\"{tail([0.5, 2.0, 3.0])} {tail([0.5, 0.25])} {root(50)}\")",
            "2 -1 [3.0, -4.0] [0.0]\n[2.0, 3.0] [0.5] 8\n");
  evaluates("fn swap(inout a: [n]f64, inout b: f64) -> f64 {\n  let t = a[0]\n  a[0] = b\n  if b > 5.0 { b = "
            "t; return t + 1.0 }\n  b = t + 0.5\n  return t\n}\n"
            "fn step(inout x: int) {\n  if x > 3 { return }\n  x += 1\n  for i in 0..10 { if i == x { return "
            "}; x += 1 }\n  x = -1\n}",
            "var a = [1.0, 2.0]\nvar b = 7.0\nlet r = swap(inout a, inout b)\nprint(\"{a} {b} {r}\")\nvar x "
            "= 1\nstep(inout x)\nvar y = 5\nstep(inout y)\nprint(\"{x} {y}\")",
            "[7.0, 2.0] 1.0 2.0\n-1 5\n");
}

// ---- functions ---------------------------------------------------------------------------------------------------------------

Test(lower, sizes_at_calls) {
  const char *decls = "fn half(x: [n]f64) -> [_]f64 = x[0..div(n, 2)]\n"
                      "fn shift(x: [n]f64) -> [n - 1]f64 = x[1..] - x[..n - 1]\n"
                      "fn both(x: [n]f64, y: [n + 1]f64) -> f64 = x[n - 1] + y[n]\n"
                      "fn twice(k: int, x: [k]f64) -> [2 * k]f64 = concat(x, x)\n"
                      "fn sum2(x: [n]f64, y: [n]f64) -> f64 = dot(x, y)";
  evaluates(decls,
            "let a = half(ones(8))\nlet b = half(ones(8))\nprint(\"{a + b} {shift([1.0, 4.0, 9.0])} {both(a, "
            "half(ones(10)))} {twice(4, a)} {sum2(a, b)}\")",
            "[2.0, 2.0, 2.0, 2.0] [3.0, 5.0] 2.0 [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0] 4.0\n");
  fails(decls, "print(\"{both(half(ones(8)), half(ones(12)))}\")", "sizes 6 and 5 do not fit");
  fails(decls, "print(\"{sum2(half(ones(8)), half(ones(12)))}\")", "sizes 6 and 4 do not fit");
  fails(decls, "let k = len(half(ones(8)))\nprint(\"{half(ones(6)) + half(ones(8))}\")", "do not fit");
  evaluates(decls,
            "let c = ones(3)[0] > 0.0\nlet r = if c { half(ones(2)) } else { half(ones(6)) }\nprint(\"{r} "
            "{len(r)}\")",
            "[1.0] 1\n");
}

Test(lower, checks) {
  fails("", "let a = [1.0, 2.0]\nvar k = 1\nk += 1\nprint(\"{a[k]}\")", "2");
  fails("", "var k = 0\nprint(\"{div(1, k)}\")", "zero");
  fails("", "let a = [1.0, 2.0]\nvar k = 3\nprint(\"{a[0..k]}\")", "3");
  fails("", "var k = 3\nassert k < 3, \"k is {k}\"", "k is 3");
  fails("", "var k = 3\nassert k < 3", "k < 3");
  fails("", "var g: [*]int = []\nlet x = pop(inout g)\nprint(\"{x}\")", "pop of an empty array");
  fails("", "var k = 0\nfor i in 0..3 step k { print(\"{i}\") }", "step");
}

Test(lower, function_values) {
  const char *decls = "fn apply(f: fn(f64) -> f64, x: f64) -> f64 = f(x)\n"
                      "fn compose(f: fn(f64) -> f64, g: fn(f64) -> f64, x: f64) -> f64 = f(g(x))\n"
                      "fn sq(x: f64) -> f64 = x * x\n"
                      "fn gen(x: real) -> real = x + 1.0\n"
                      "fn euler(y0: [n]f64, rhs: fn([n]f64) -> [n]f64, steps: int) -> [n]f64 {\n  var y = "
                      "y0\n  for t in 0..steps { y += 0.5 * rhs(y) }\n  return y\n}\n"
                      "fn fact(n: int) -> int = if n <= 1 { 1 } else { n * fact(n - 1) }";
  evaluates(decls,
            "let k = 3.0\nlet a = [1.0, 2.0]\nlet g = sq\n"
            "print(\"{apply(sq, 3.0)} {apply(fn(x) => x + k, 1.0)} {compose(sq, fn(x) => apply(fn(z) => z * "
            "k, x), 2.0)} {g(1.5)}\")\n"
            "print(\"{euler(a, fn(y) => -y + a, 2)} {euler(a, fn(y) => y * sum(a), 1)} {apply(gen, 2.0)} "
            "{gen(f32(1))} {fact(10)}\")",
            "9.0 4.0 36.0 2.25\n[1.0, 2.0] [2.5, 5.0] 3.0 2.0 3628800\n");
}

Test(lower, functions_specialised_without_end) {
  World *w = lower_roots("fn rec(f: fn(f64) -> f64, n: int) -> f64 = if n == 0 { f(1.0) } else { rec(fn(x) "
                         "=> f(x) + 1.0, n - 1) }\n"
                         "fn main() { print(\"{rec(fn(x) => x, 3)}\") }\n",
                         "main");
  cr_assert_null(w->module);
  cr_assert_eq(w->diags.n_errors, 1);
  cr_assert_str_eq(diag_code_text(w->diags.list.data[0]->code), "E0910");
}

// ---- derivatives -------------------------------------------------------------------------------------------------------------

#define ROSEN                                                                                                \
  "fn rosen(x: [n]f64) -> f64 = sum(for i in 0..n - 1: 100.0 * (x[i + 1] - x[i] ^ 2) ^ 2 + (1.0 - x[i]) ^ "  \
  "2)\n"
#define VECF "fn vecf(x: [n]f64, c: f64) -> [n]f64 = [for i in 0..n: c * x[i] ^ 2]\n"

Test(lower, gradients) {
  evaluates(ROSEN "fn sq(x: f64) -> f64 = x * x",
            "let (v, d) = value_and_grad(rosen)([1.0, 2.0, 3.0])\nprint(\"{v} {d} {grad(sq)(3.0)} "
            "{grad(rosen, mode: forward)([1.0, 2.0, 3.0])}\")",
            "201.0 [-400.0, 1002.0, -200.0] 6.0 [-400.0, 1002.0, -200.0]\n");
  evaluates("fn two(a: f64, b: f64) -> f64 = a * a * b",
            "let d = grad(two)(3.0, 2.0)\nprint(\"{d.a} {d.b} {jvp(two)(3.0, 2.0, 1.0, 0.5)}\")",
            "12.0 9.0 (18.0, 16.5)\n");
  evaluates("", "print(\"{grad(grad(fn(x: f64) => x ^ 3))(2.0)}\")", "12.0\n");
  evaluates("fn newton(f: fn(f64) -> f64, x0: f64) -> f64 {\n  var x = x0\n  for i in 0..20 { x -= f(x) / "
            "grad(f)(x) }\n  return x\n}",
            "let k = 3.0\nprint(\"{newton(fn(x) => x * x - k, 1.0):.12}\")", "1.732050807569\n");
}

Test(lower, gradients_of_structs) {
  const char *decls = "struct Linear[d] { w: [d]f64, b: f64, n: int }\n"
                      "fn loss(m: Linear[d], x: [d]f64) -> f64 = (dot(m.w, x) + m.b) ^ 2";
  evaluates(decls,
            "let m = Linear { w: [1.0, 2.0], b: 0.5, n: 3 }\nlet x = [1.0, -1.0]\n"
            "print(\"{grad(loss, wrt: m)(m, x)} {vjp(loss)(m, x, 2.0).0}\")\n",
            "Linear { w: [-1.0, 1.0], b: -1.0, n: 0 } 0.25\n");
  evaluates(
      decls,
      "let m = Linear { w: [1.0, 2.0], b: 0.5, n: 3 }\nprint(\"{grad(loss, wrt: m.w)(m, [1.0, -1.0])}\")",
      "[-1.0, 1.0]\n");
}

Test(lower, jacobians_and_hessians) {
  evaluates(VECF, "let a = [1.0, 2.0, 3.0]\nprint(\"{vjp(vecf)(a, 2.0, [1.0, 0.0, 1.0])}\")",
            "([2.0, 8.0, 18.0], (x: [4.0, 0.0, 12.0], c: 10.0))\n");
  evaluates(VECF, "let a = [1.0, 2.0]\nprint(\"{jacobian(vecf)(a, 2.0)}\")",
            "(x: [[4.0, 0.0], [0.0, 8.0]], c: [1.0, 4.0])\n");
  evaluates(VECF, "let a = [1.0, 2.0]\nprint(\"{jacobian(vecf, wrt: x, mode: reverse)(a, 2.0)}\")",
            "[[4.0, 0.0], [0.0, 8.0]]\n");
  evaluates(ROSEN,
            "let a = [1.0, 2.0, 3.0]\nprint(\"{hessian(rosen)(a)}\\n{hvp(rosen)(a, [1.0, 0.0, 0.0])}\")",
            "[[402.0, -400.0, 0.0], [-400.0, 3802.0, -800.0], [0.0, -800.0, 200.0]]\n([-400.0, 1002.0, "
            "-200.0], [402.0, -400.0, 0.0])\n");
  evaluates("fn two(a: f64, b: f64) -> f64 = a * a * b", "print(\"{hessian(two)(3.0, 2.0)}\")",
            "(a: (a: 4.0, b: 6.0), b: (a: 6.0, b: 0.0))\n");
}

Test(lower, rules) {
  const char *decls =
      "fn soft(x: f64) -> f64 = max(x, 0.0) + log1p(exp(-abs(x)))\n"
      "adjoint soft(x: f64) {\n  let s = 1.0 / (1.0 + exp(-x))\n  return soft(x), fn(dy) => dy * s\n}\n"
      "tangent soft(x: f64, dx: f64) => dx / (1.0 + exp(-x))\n"
      "fn scaled(v: [n]f64, k: f64) -> [n]f64 = k * v\n"
      "adjoint scaled(v: [n]f64, k: f64) {\n  if k > 0.0 { return k * v, fn(dy) => (k * dy, 10.0 * dot(v, "
      "dy)) }\n"
      "  return k * v, fn(dy) => (k * dy, dot(v, dy))\n}\n"
      "fn f(x: f64) -> f64 = 2.0 * soft(x)\n"
      "fn g(k: f64) -> f64 = sum(scaled([1.0, 2.0], k))";
  evaluates(decls,
            "print(\"{grad(soft)(0.0)} {grad(f)(0.0)} {jvp(f)(0.0, 1.0).1} {grad(g)(1.0)} {grad(g)(-1.0)}\")",
            "0.5 1.0 1.0 30.0 3.0\n");
}

Test(lower, active_captures) {
  evaluates("fn euler(y0: [n]f64, rhs: fn([n]f64) -> [n]f64, steps: int) -> [n]f64 {\n  var y = y0\n  for t "
            "in 0..steps { y += 0.5 * rhs(y) }\n  return y\n}",
            "let a = [1.0, 2.0]\nprint(\"{grad(fn(s: f64) => sum(euler(a, fn(y) => s * y, 2)))(2.0)}\")",
            "6.0\n");
}

// ---- the shape of the IR -------------------------------------------------------------------------------------------------------

Test(lower, sizes_that_are_proved_are_not_checked) {
  const char *text = "fn f(x: [n]f64, y: [n]f64) -> [n]f64 {\n  var z = x + y\n  z = z * x\n  z[1..] = "
                     "x[1..] - y[1..]\n  return z\n}\n"
                     "fn g(x: [n, m]f64, k: int) -> [m]f64 = (x + x)[k] * 2.0\n"
                     "fn main() { print(\"{f([1.0], [2.0])} {g([[1.0]], 0)}\") }\n";
  cr_expect_eq(times_in(text, "f", "check_size"), 0);
  cr_expect_eq(times_in(text, "g", "build"), 1); // no row, no sum in between
  cr_expect_eq(times_in(text, "g", "check_index"), 1);
}

Test(lower, returns_in_tail_position_need_no_flags) {
  const char *text = "fn f(x: f64) -> f64 {\n  if x < 0.0 { return 1.0 }\n  var y = x\n  if x > 1.0 { y = "
                     "2.0 }\n  return y\n}\nfn main() { print(\"{f(1.0)}\") }\n";
  cr_expect_eq(times_in(text, "f", "returned"), 0);
  cr_expect_eq(times_in(text, "f", " if "), 2);
}

Test(lower, only_assigned_variables_are_carried) {
  const char *text = "struct M { a: [2]f64, b: f64 }\nfn f(x: [n]f64) -> f64 {\n  var m = M { a: zeros(2), "
                     "b: 1.0 }\n  var unused = 3.0\n"
                     "  for i in 0..n { m.b += x[i] }\n  unused += m.a[0]\n  return m.b + unused\n}\nfn "
                     "main() { print(\"{f([1.0])}\") }\n";
  cr_expect_eq(times_in(text, "f", "with (%m.b.2 = %m.b)"), 1);
  cr_expect_eq(times_in(text, "f", "m.a.1"), 0);
}

Test(lower, samples_lower) {
  static const char *const files[] = {"descent_1d", "digits", "gaussian_mixture", "linear_regression",
                                      "optimizers"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    size_t len;
    const char *why = NULL;
    char *text =
        file_read(arena, arena_printf(arena, "%s/samples/%s.dp", DP_SOURCE_DIR, files[i]), &len, &why);
    cr_assert_not_null(text, "%s", why);
    World *w = lower_roots(text, "main");
    cr_expect_not_null(w->module, "%s", rendered(w));
  }
}
