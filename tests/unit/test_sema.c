// compiler/sema: sizes as polynomials, what programs mean, which mistakes are told where, and that none is told twice.
#include "sema/check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct Case { // one compilation
  Arena *arena;
  Sources sources;
  Diags diags;
  Program *program;
} Case;

static Arena *arena;

static void start(void) { arena = arena_new(0); }
static void stop(void) { arena_free(arena); }

TestSuite(size, .init = start, .fini = stop);
TestSuite(sema, .init = start, .fini = stop);

// ---- a host whose files are in memory --------------------------------------------------------------------------

typedef struct File {
  const char *path, *text;
} File;

static const char *read_file(void *user, Arena *a, const char *path, size_t *len, const char **why) {
  (void)a;
  for (const File *f = user; f && f->path; f++)
    if (strcmp(f->path, path) == 0) {
      *len = strlen(f->text);
      return f->text;
    }
  *why = "no such file";
  return NULL;
}

static const char *std_module(void *user, const char *name, size_t *len) {
  (void)user;
  const char *why, *path = arena_printf(arena, "%s/stdlib/%s.dp", DP_SOURCE_DIR, name);
  return file_read(arena, path, len, &why);
}

static Case compile_files(const char *text, const File *files) {
  static const char *const std_names[] = {"prelude", NULL};
  Case k = {.arena = arena};
  sources_init(&k.sources, arena);
  diags_init(&k.diags, arena, &k.sources);
  SemaHost host = {(void *)files, read_file, std_module, std_names};
  // The compilation outlives this frame: Sources and Diags move into the arena.
  Sources *s = ARENA_NEW(arena, Sources);
  Diags *d = ARENA_NEW(arena, Diags);
  sources_init(s, arena);
  diags_init(d, arena, s);
  k.program = sema_program(arena, interner_new(arena), s, d, &host, "src/test.dp", text, strlen(text));
  k.sources = *s;
  k.diags = *d;
  return k;
}

static Case compile(const char *text) { return compile_files(text, NULL); }

static const char *rendered(const Case *k) {
  StrBuf sb;
  sb_init(&sb, arena);
  diags_render(&k->diags, &sb, false);
  return sb.data ? sb.data : "";
}

static bool silent(const Case *k) { return k->diags.n_errors == 0 && k->diags.n_warnings == 0; }

// Exactly one error, with this code, at the first place where `at` stands in the text.
static void check_error(const char *text, const char *code, const char *at) {
  Case k = compile(text);
  cr_expect_eq(k.diags.n_errors, 1, "%d errors, 1 expected, for:\n%s\n%s", k.diags.n_errors, text,
               rendered(&k));
  if (!k.diags.list.len) return;
  const Diag *g = k.diags.list.data[0];
  cr_expect_str_eq(diag_code_text(g->code), code, "for:\n%s\n%s", text, rendered(&k));
  const char *found = strstr(text, at);
  cr_assert(found, "the test's `%s` is not in its text", at);
  cr_expect_eq(g->primary.loc.off, (uint32_t)(found - text), "the place of the error in:\n%s\n%s", text,
               rendered(&k));
}

static void check_warning(const char *text, const char *code) {
  Case k = compile(text);
  cr_expect_eq(k.diags.n_errors, 0, "%s", rendered(&k));
  cr_expect_eq(k.diags.n_warnings, 1, "for:\n%s\n%s", text, rendered(&k));
  if (k.diags.list.len) cr_expect_str_eq(diag_code_text(k.diags.list.data[0]->code), code);
}

// The signature of the function `f`, which compiles without a word.
static void check_signature(const char *text, const char *signature) {
  Case k = compile(text);
  cr_expect(silent(&k), "for:\n%s\n%s", text, rendered(&k));
  FnDecl *fn = sema_find_fn(k.program, intern_cstr(k.program->names, "f"));
  cr_assert(fn);
  cr_expect_str_eq(signature_text(arena, fn), signature);
}

static void check_fine(const char *text) {
  Case k = compile(text);
  cr_expect(silent(&k), "for:\n%s\n%s", text, rendered(&k));
}

// ---- sizes -----------------------------------------------------------------------------------------------------

static Symbol *size_name(const char *name, int id) {
  Symbol *s = ARENA_NEW(arena, Symbol);
  *s = (Symbol){.kind = SYM_SIZE, .name = name, .id = id};
  return s;
}

static void check_text(const Size *s, const char *text) {
  StrBuf sb;
  sb_init(&sb, arena);
  size_print(s, &sb);
  cr_expect_str_eq(sb.data, text);
}

#define K(v) size_const(arena, v)
#define ADD(x, y) size_add(arena, x, y)
#define SUB(x, y) size_sub(arena, x, y)
#define MUL(x, y) size_mul(arena, x, y)
#define DIV(x, y) size_div(arena, x, y)

Test(size, normal_form_makes_equal_sizes_equal) {
  Size *n = size_symbol(arena, size_name("n", 1)), *m = size_symbol(arena, size_name("m", 2));
  cr_expect_eq(size_compare(MUL(ADD(n, m), SUB(n, m)), SUB(MUL(n, n), MUL(m, m))), SIZE_EQUAL);
  cr_expect_eq(size_compare(ADD(n, K(1)), ADD(n, K(2))), SIZE_DIFFERENT);
  cr_expect_eq(size_compare(n, m), SIZE_UNKNOWN);
  cr_expect_eq(size_compare(n, K(3)), SIZE_UNKNOWN);
  cr_expect_eq(size_compare(K(3), K(4)), SIZE_DIFFERENT);
  cr_expect_eq(size_compare(SUB(n, n), K(0)), SIZE_EQUAL);
  cr_expect(size_at_least(ADD(n, K(2)), n, 2));
  cr_expect_not(size_at_least(ADD(n, K(1)), n, 2));
  cr_expect_not(size_at_least(n, m, 0));
}

Test(size, prints_as_one_would_write_it) {
  Size *n = size_symbol(arena, size_name("n", 1)), *m = size_symbol(arena, size_name("m", 2));
  check_text(K(0), "0");
  check_text(SUB(MUL(K(2), n), K(1)), "2 * n - 1");
  check_text(ADD(K(3), MUL(m, n)), "n * m + 3");
  check_text(SUB(K(0), n), "-n");
  check_text(DIV(MUL(n, SUB(n, K(1))), K(2)), "div(n * n - n, 2)");
}

Test(size, quotients_are_floored_and_simplified) {
  Size *n = size_symbol(arena, size_name("n", 1));
  check_text(DIV(ADD(MUL(K(6), n), K(4)), K(2)), "3 * n + 2");
  check_text(DIV(K(-7), K(2)), "-4");
  check_text(DIV(MUL(n, n), n), "n");
  cr_expect_null(DIV(n, K(0)));
  cr_expect_eq(size_compare(DIV(n, K(2)), DIV(n, K(2))), SIZE_EQUAL);
  cr_expect_eq(size_compare(DIV(n, K(2)), DIV(n, K(3))), SIZE_UNKNOWN);
}

Test(size, what_grows_too_large_gives_up) {
  Size *s = ADD(size_symbol(arena, size_name("n", 1)), K(1));
  for (int i = 0; i < 10; i++) s = MUL(s, s);
  cr_expect(size_is_huge(s));
  Size *k = K(INT64_MAX);
  cr_expect(size_is_huge(ADD(k, k)));
  cr_expect(size_is_huge(MUL(k, k)));
}

Test(size, substitution_is_simultaneous) {
  Symbol *n = size_name("n", 1), *m = size_name("m", 2);
  SizeSubst subst = {0};
  vec_push(arena, &subst, ((SizeBinding){n, size_symbol(arena, m)}));
  vec_push(arena, &subst, ((SizeBinding){m, size_symbol(arena, n)}));
  Size *s = SUB(size_symbol(arena, n), MUL(K(2), size_symbol(arena, m)));
  check_text(size_subst(arena, s, &subst), "-2 * n + m");
  Size *q = DIV(size_symbol(arena, n), K(2));
  check_text(size_subst(arena, q, &subst), "div(m, 2)");
}

// ---- types that follow -----------------------------------------------------------------------------------------

Test(sema, results_follow) {
  check_signature("fn f(x: [n]f64) = x[1..n]", "fn f(x: [n]f64) -> [n - 1]f64");
  check_signature("fn f(a: [n, m]f64, b: [m, k]f64) = a @ b",
                  "fn f(a: [n, m]f64, b: [m, k]f64) -> [n, k]f64");
  check_signature("fn f(a: [n, m]f64, x: [m]f64) = a @ x", "fn f(a: [n, m]f64, x: [m]f64) -> [n]f64");
  check_signature("fn f(x: [n]f64) = [for i in 0..n, j in 0..3: x[i]]", "fn f(x: [n]f64) -> [n, 3]f64");
  check_signature("fn f(x: [n, m]f64) = [for i in 0..n: softmax(x[i])]", "fn f(x: [n, m]f64) -> [n, m]f64");
  check_signature("fn f(x: [n, m]f64, i: [k]int) = x[.., i]", "fn f(x: [n, m]f64, i: [k]int) -> [n, k]f64");
  check_signature("fn f(a: [n]f64, b: [m]f64) = concat(a, b)", "fn f(a: [n]f64, b: [m]f64) -> [n + m]f64");
  check_signature("fn f(k: int) = zeros(2 * k, k)", "fn f(k: int) -> [2 * k, k]f64");
  check_signature("fn f(x: [n]f64) = len(x) + 1", "fn f(x: [n]f64) -> int");
  check_signature("fn f(x: [n]f64, a: int, b: int) = x[a..b]",
                  "fn f(x: [n]f64, a: int, b: int) -> [-a + b]f64");
  check_signature("fn f(x: [n, m]f64) = x[0]", "fn f(x: [n, m]f64) -> [m]f64");
  check_signature("fn f(n: int) = if n > 0 { 1 } else { 0.5 }", "fn f(n: int) -> f64");
}

Test(sema, floats_follow_their_context) {
  check_signature("fn f(x: f32) = 0.5 * x + 1", "fn f(x: f32) -> f32");
  check_signature("fn f(x: [n]f32, n2: int) = x * (1.0 / n2)", "fn f(x: [n]f32, n2: int) -> [n]f32");
  check_signature("fn f(x: real) = 2 * exp(-x ^ 2)", "fn f(x: real) -> real");
  check_signature("fn f(x: [n]real) { var s = 0.0\n for v in x { s += v }\n print(s) }", "fn f(x: [n]real)");
  check_signature("fn f() = [1, 2.5, 3]", "fn f() -> [3]f64");
  check_signature("fn f() = 2 ^ 10", "fn f() -> int");
  check_signature("fn f(x: [n]f32) = mean(x)", "fn f(x: [n]f32) -> f32");
  check_signature("fn f() = mean([1, 2, 3])", "fn f() -> f64");
  check_signature("fn f() = max(1, 2) + sum([1, 2])", "fn f() -> int");
  check_fine("fn f() -> f32 {\n let x: f32 = 1\n return sigmoid(x) + max(2.0, x) }");
}

Test(sema, derivatives_have_textbook_types) {
  check_signature("fn f(x: f64) = grad(grad(fn(t) => t ^ 3))(x)", "fn f(x: f64) -> f64");
  check_signature("fn f(v: [n]f64) = hessian(fn(w) => dot(w, w))(v)", "fn f(v: [n]f64) -> [n, n]f64");
  check_signature("fn f(v: [n]f64) = jacobian(fn(w) => sum(w) * w[0..2])(v)", "fn f(v: [n]f64) -> [2, n]f64");
  check_signature("fn g(a: f64, b: [n]f64, k: int) -> f64 = a * b[k]\n"
                  "fn f(b: [n]f64) = grad(g)(1.0, b, 0)",
                  "fn f(b: [n]f64) -> (a: f64, b: [n]f64)");
  check_signature("struct L[d] { w: [d]f64, b: f64 }\nfn g(m: L[d], x: f64) -> f64 = m.b * x\n"
                  "fn f(m: L[d]) = grad(g, wrt: m)(m, 1.0)",
                  "fn f(m: L[d]) -> L[d]");
  check_signature("struct L[d] { w: [d]f64, b: f64 }\nfn g(m: L[d], x: f64) -> f64 = m.b * x\n"
                  "fn f(m: L[d]) = grad(g, wrt: m.w, x)(m, 1.0)",
                  "fn f(m: L[d]) -> (w: [d]f64, x: f64)");
  check_signature("fn f(v: [n]f64, d: [k, n]f64) = vjps(fn(w) => 2.0 * w)(v, d)",
                  "fn f(v: [n]f64, d: [k, n]f64) -> ([n]f64, [k, n]f64)");
  check_signature("fn f(v: [n]f64, d: [n, k]f64) = jvps(fn(w) => 2.0 * w)(v, d)",
                  "fn f(v: [n]f64, d: [n, k]f64) -> ([n]f64, [n, k]f64)");
  check_signature("fn f(v: [n]f64) = hvp(fn(w) => sum(w ^ 3))(v, v)", "fn f(v: [n]f64) -> ([n]f64, [n]f64)");
  check_signature("fn f(v: [n]f64) = jvp(fn(w) => w * 2)(v, v)", "fn f(v: [n]f64) -> ([n]f64, [n]f64)");
  check_signature("fn f(v: [n]f64) = vjp(fn(w) => sum(w))(v, 1.0)", "fn f(v: [n]f64) -> (f64, [n]f64)");
  check_signature("fn f(v: [n]f64) = value_and_grad(fn(w) => sum(w))(v)", "fn f(v: [n]f64) -> (f64, [n]f64)");
  check_signature("fn f(v: [n]f64) = grad(sum)(v)", "fn f(v: [n]f64) -> [n]f64");
}

Test(sema, programs_of_all_kinds_compile_in_silence) {
  check_fine("struct P { x: f64, y: f64 }\nfn f(inout ps: [n]P) { for i in 0..n { ps[i].x += ps[i].y } }\n"
             "fn main() {\n var ps = [P { x: 1, y: 2 }, P { x: 3, y: 4 }]\n f(inout ps)\n print(ps[1].x)\n}");
  check_fine("struct Layer[n, m] { w: [n, m]f64 }\nfn f(ls: [k]Layer[n, n], x: [n]f64) -> [n]f64 {\n"
             " var y = x\n for l in ls { y = tanh(y @ l.w) }\n return y\n}");
  check_fine("fn f(n: int) -> int = if n <= 1 { 1 } else { n * f(n - 1) }");
  check_fine(
      "fn f(n: int) -> [_]f64 {\n var xs: [*]f64 = []\n for i in reverse 0..n step 2 { push(inout xs, i) }\n"
      " return xs[..]\n}");
  check_fine("fn f(x: f64) -> f64 {\n while true {\n  if x > 0 { return x }\n }\n}");
  check_fine("fn swap(inout a: f64, inout b: f64) { (a, b) = (b, a) }\n"
             "fn main() {\n var v = [1.0, 2.0]\n swap(inout v[0], inout v[1])\n print(v)\n}");
  check_fine(
      "fn sq(x: f64) -> f64 = x * x\n"
      "adjoint sq(x: f64) { return sq(x), fn(dy) => 2 * x * dy }\ntangent sq(x: f64, dx: f64) => 2 * x * dx");
  check_fine(
      "fn use(f: fn([n]f64) -> f64, x: [n]f64) -> f64 {\n let g = grad(f)\n return f(x) + sum(g(x))\n}\n"
      "fn main() { print(use(fn(v) => dot(v, v), [1, 2])) }");
  check_fine("fn f(m: [k]f64, x: [n, k]f64, y: [n]f64) -> f64 = mse(x @ m, y)\n"
             "fn main() {\n let t = read_csv(\"a.csv\")\n var m = zeros(10)\n"
             " let r = train(f, inout m, (t[.., 0..10], t[.., 10]), optimizer: adam(lr: 1), epochs: 3)\n"
             " var o = adam(like: m)\n step(inout o, inout m, m)\n print(r.loss)\n}");
  check_fine("fn main(epochs: int = 200, lr: f64 = 1, name: str = \"x\", fast: bool = false) {\n"
             " print(\"{epochs} {lr:.3f} {name} {fast} {inf} {pi}\")\n}");
  check_fine("fn mse(a: int) -> int = a\nfn exp(a: int) -> int = a\nfn main() { print(mse(1) + exp(2)) }");
}

Test(sema, the_whole_prelude_checks) {
  Case k = compile("fn main() { print(1) }");
  Checker *c = (Checker *)(k.program + 1);
  for (int i = 0; i < k.program->prelude->fns.len; i++) use_fn(c, k.program->prelude->fns.data[i]);
  drain_queue(c);
  cr_expect_eq(k.program->diags->n_errors, 0);
  cr_expect_not_null(k.program->optimizer);
  cr_expect_not_null(k.program->train_report);
  cr_expect_not_null(k.program->minimize_report);
  cr_expect_not_null(k.program->rng);
}

Test(sema, only_what_is_used_of_the_prelude_is_checked) {
  Case k = compile("fn f(x: [n]f64) -> f64 = logsumexp(x)");
  const Module *m = k.program->prelude;
  int checked = 0;
  for (int i = 0; i < m->fns.len; i++) checked += m->fns.data[i]->body && m->fns.data[i]->body->type;
  cr_expect_gt(checked, 1);
  cr_expect_lt(checked, 6);
}

// ---- modules ---------------------------------------------------------------------------------------------------

Test(sema, imports_are_relative_to_the_importer) {
  static const File files[] = {
      {"src/lib/a.dp", "import \"b.dp\" as b\nfn twice(x: f64) -> f64 = b.id(x) + b.id(x)"},
      {"src/lib/b.dp", "struct L[d] { w: [d]f64 }\nfn id(x: f64) -> f64 = x"},
      {NULL, NULL},
  };
  Case k = compile_files("import \"lib/a.dp\" as a\nimport \"lib/../lib/b.dp\" as b\n"
                         "fn f(m: b.L[n]) -> f64 = grad(a.twice)(m.w[0])\n"
                         "fn main() { print(f(b.L { w: [1.0] })) }",
                         files);
  cr_expect(silent(&k), "%s", rendered(&k));
  cr_expect_eq(k.program->modules.len, 4);
}

Test(sema, circles_of_imports_are_told) {
  static const File files[] = {
      {"src/a.dp", "import \"b.dp\" as b\nfn f() -> f64 = 1.0"},
      {"src/b.dp", "import \"a.dp\" as a\nfn g() -> f64 = 1.0"},
      {NULL, NULL},
  };
  Case k = compile_files("import \"a.dp\" as a\nfn f() -> f64 = a.f()", files);
  cr_expect_eq(k.diags.n_errors, 1);
  cr_expect_eq(k.diags.list.data[0]->code, DIAG_IMPORT_CYCLE);
}

Test(sema, missing_modules_are_told) {
  check_error("import \"nope.dp\" as a\nfn main() { print(1) }", "E0202", "\"nope.dp\"");
  check_error("import preludee\nfn main() { print(1) }", "E0202", "preludee");
}

// ---- mistakes --------------------------------------------------------------------------------------------------

Test(sema, names) {
  check_error("fn main() { print(foo) }", "E0200", "foo");
  check_error("fn main() { print(sigmoidd(1.0)) }", "E0200", "sigmoidd");
  check_error("fn f() -> f64 {\n let x = 1.0\n let x = x + 1.0\n return x\n}", "E0201", "x = x");
  check_error("fn f() -> f64 = 1.0\nfn f() -> f64 = 2.0", "E0201", "f() -> f64 = 2");
  check_error("struct P { x: f64 }\nfn f(p: P) -> f64 = p.y", "E0204", "y");
  check_error("fn f(p: Pt) -> f64 = 1.0", "E0205", "Pt");
  check_error("fn g(x: f64) -> f64 = x\nfn f() -> f64 = g(y: 1.0)", "E0206", "y: 1");
  check_error("fn f(t: (f64, f64)) -> f64 = t.2", "E0204", "2");
}

Test(sema, types) {
  check_error("fn f() -> f64 = \"a\"", "E0300", "\"a\"");
  check_error("fn f(x: f64) -> int { return x }", "E0300", "x }");
  check_error("fn f(a: int, b: int) -> int = a / b", "E0302", "/");
  check_error("fn f(a: f32, b: f64) -> f64 = a * b", "E0303", "*");
  check_error("fn f(a: [n]f64) -> bool = a == a", "E0301", "==");
  check_error("fn g(x: f64) -> f64 = x\nfn f() -> f64 = g()", "E0304", "g()");
  check_error("fn f(x: f64) -> f64 = x(1.0)", "E0305", "x(1");
  check_error("fn f(x: f64) -> f64 = x[0]", "E0306", "x[0]");
  check_error("fn f(x: f64) -> [1]f64 = [f]", "E0307", "f]");
  check_error("fn main() {\n let g = fn(x) => x\n print(g(1.0)) }", "E0308", "x) =>");
  check_error("struct P { x: f64, y: f64 }\nfn f() -> P = P { x: 1.0 }", "E0309", "P { x: 1");
  check_error("fn f(x: f64 = sin(1.0)) -> f64 = x", "E0310", "sin");
  check_error("extern fn c(p: (f64, f64)) -> f64", "E0311", "(f64, f64)");
  check_error("fn main(x: [3]f64) { print(x) }", "E0312", "[3]f64");
  check_error("fn f(x: bool) -> f64 = mean(x)", "E0313", "mean");
  check_error("fn main() { print(\"{1.0:q}\") }", "E0314", "1.0");
  check_error("fn f(x: f64) -> f64 = x + real(x)", "E0315", "real");
  check_error("fn f(n: int) = f(n - 1)", "E0316", "f(n - 1)");
  check_error("struct A { b: B }\nstruct B { a: A }", "E0316", "b: B");
  check_error("struct T { x: f64, k: int }\nfn f(t: T) -> T = t + t", "E0301", "+");
  check_error("fn f(x: f64) -> f64 = if x { 1.0 } else { 2.0 }", "E0300", "x {");
  check_error("fn f(c: bool) -> f64 = if c { 1.0 } else { \"a\" }", "E0300", "if");
}

Test(sema, sizes) {
  check_error("fn g(a: [n]f64, b: [n]f64) -> f64 = a[0] + b[0]\n"
              "fn f() -> f64 = g([1.0], [1.0, 2.0])",
              "E0400", "[1.0, 2.0]");
  check_error("fn f(x: [n]f64) -> [n]f64 = x[1..n]", "E0400", "x[1..n]");
  check_error("fn f(x: [n]f64) -> [n]f64 = x + x[1..n]", "E0400", "+");
  check_error("fn f(a: [n, 3]f64, b: [4, m]f64) -> [n, m]f64 = a @ b", "E0400", "@");
  check_error("fn f(x: [2 * n]f64) -> f64 = x[0]", "E0401", "n]");
  check_error("fn f() -> f64 {\n let x = [1.0, 2.0]\n return x[2]\n}", "E0403", "2]\n}");
  check_error("fn f(x: [n]f64) -> f64 = x[n + 1]", "E0403", "n + 1");
  check_error("fn f(x: [n]f64) -> f64 = x[-1]", "E0403", "-1");
  check_error("fn f(n: int) -> [n, n]f64 = [for i in 0..n, j in 0..i: 1.0]", "E0404", "0..i");
  check_error("fn f() -> [2, 2]f64 = [[1.0, 2.0], [1.0]]", "E0400", "[1.0]]");
  check_error("struct L[d] { w: [d]f64 }\nfn f(m: L) -> f64 = 1.0", "E0405", "L) ->");
  check_error("fn f() -> f64 {\n var x = zeros(3)\n x = zeros(4)\n return x[0]\n}", "E0400", "zeros(4)");
}

Test(sema, flow_and_ownership) {
  check_error("fn f(x: [n]f64) { x[0] = 1.0 }", "E0500", "x[0]");
  check_error("fn main() {\n let v = 1.0\n v += 1.0\n}", "E0500", "v +=");
  check_error("fn g(inout a: f64, inout b: f64) { (a, b) = (b, a) }\nfn main() {\n var v = 1.0\n"
              " g(inout v, inout v)\n}",
              "E0502", "v)\n}");
  check_error("fn g(inout a: [n]f64, inout b: f64) { a[0] = b }\nfn main() {\n var v = [1.0]\n"
              " g(inout v, inout v[0])\n}",
              "E0502", "v[0])");
  check_error("fn main() { break }", "E0503", "break");
  check_error("fn f(x: f64) -> f64 {\n if x > 0 { return x }\n}", "E0504", "f(x");
  check_error("fn f(x: f64) { return x }", "E0505", "x }");
  check_error("fn g(inout a: f64) { a += 1.0 }\nfn main() {\n var v = 1.0\n g(v)\n}", "E0506", "v)\n}");
  check_error("fn main() {\n var s = 0.0\n let g = fn(x: f64) => { s = x\n x }\n print(g(1.0))\n}", "E0507",
              "s = x");
  check_error("fn f(c: bool) -> f64 = 1.0 + { if c { return 1.0 }\n 2.0 }", "E0505", "return");
}

Test(sema, derivatives) {
  check_error("fn g(x: [n]f64) -> [n]f64 = x\nfn f(x: [n]f64) -> [n]f64 = grad(g)(x)", "E0601", "g)(x)");
  check_error("fn g(k: int) -> f64 = 1.0\nfn f() -> f64 = grad(g)(1)", "E0602", "g)(1)");
  check_error("fn g(x: f64) -> f64 = x\nfn f() -> f64 = grad(g, wrt: y)(1.0)", "E0602", "y)");
  check_error("fn g(x: f64) -> int = 1\nfn f() -> f64 = grad(g)(1.0)", "E0601", "g)(1.0)");
  check_error("struct P { x: f64 }\nfn g(p: P) -> f64 = p.x\nfn f(p: P) -> f64 = hessian(g)(p)", "E0601",
              "g)(p)");
  check_error("fn g(inout x: f64) -> f64 = x\nfn f() -> f64 = grad(g)(1.0)", "E0506", "g)(1.0)");
  check_error("fn g(x: f64) -> f64 = x\nadjoint g(x: f64) { return x }", "E0603", "x }");
  check_error("fn g(x: f64) -> f64 = x\ntangent g(x: f64) => x", "E0603", "g(x: f64) =>");
  check_error("adjoint g(x: f64) { return x, fn(d) => d }", "E0603", "g(x");
  check_error("fn f(x: f64) -> f64 = grad(fn(t) => t)(x, x)", "E0304", "grad");
}

Test(sema, built_in_functions_are_function_values) {
  Case k = compile("fn apply(f: fn(f64) -> f64, x: f64) -> f64 = f(x)\n"
                   "fn both(f: fn(f64, f64) -> f64, x: f64) -> f64 = f(x, x)\n"
                   "fn real_too(x: f32) -> f32 = grad(sin)(x)\n"
                   "fn main() {\n let f = sin\n print(f(1.0) + apply(sin, 1.0) + grad(grad(exp))(1.0))\n"
                   " print(both(max, 1.0) + grad(max)([1.0, 2.0])[0] + f64(real_too(f32(1.0))))\n"
                   " print(jacobian(tanh)([1.0, 2.0]))\n}");
  cr_expect(silent(&k), "%s", rendered(&k));
  check_error("fn apply(f: fn(f64) -> f64) -> f64 = f(1.0)\nfn g() -> f64 = apply(atan2)", "E0300", "atan2");
  check_error("fn main() { let f = push }", "E0307", "push");
}

Test(sema, warnings) {
  check_warning("fn main() { let x = 1.0 }", "W0200");
  check_warning("fn main() {\n var x = 1.0\n x = 2.0\n}", "W0200");
  check_warning("fn f() -> f64 {\n return 1.0\n print(2.0)\n}", "W0201");
  check_warning("fn g() -> f64 = 1.0\nfn main() { g() }", "W0202");
  check_fine("fn g() -> f64 = 1.0\nfn main() {\n let _ = g()\n let _x = 2\n for i in 0..3 { print(1) }\n}");
}

Test(sema, one_mistake_is_told_once) {
  check_error("fn main() {\n let x = foo + 1.0\n let y = x * 2.0\n print(sin(y) + [1.0, y][0])\n}", "E0200",
              "foo");
  check_error("fn g(x: Foo) -> f64 = x.a + x.b[1]\nfn f() -> f64 = g(3) + 1.0", "E0205", "Foo");
  check_error("fn main() {\n let m = grad(nope)(1.0)\n print(m.w + 1)\n}", "E0200", "nope");
  check_error(
      "fn g() -> f64 = bar()\nfn main() {\n var v = g()\n v += grad(fn(x) => x * g())(v)\n print(v)\n}",
      "E0200", "bar");
}

// ---- expressions by text -----------------------------------------------------------------------------------------

Test(sema, an_expression_is_checked_against_the_program) {
  Case k = compile("struct L { w: f64, b: f64 }\nfn mse(m: L, x: f64) -> f64 = m.w * x + m.b");
  cr_expect(silent(&k), "%s", rendered(&k));
  Expr *e = sema_expr(k.program, "<expression>", "grad(mse, wrt: m)");
  cr_assert(e && e->call.deriv);
  cr_expect_eq(e->call.deriv->n_wrt, 1);
  cr_expect_str_eq(type_text(arena, e->type), "fn(L, f64) -> L");
  cr_expect_null(sema_expr(k.program, "<expression>", "grad(mse, wrt: mm)"));
  cr_expect_null(sema_expr(k.program, "<expression>", "1.0"));
  cr_expect_null(sema_expr(k.program, "<expression>", "grad(mse"));
}
