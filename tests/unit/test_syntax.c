// The lexer, the parser and the printers: tokens at their edges, precedence, newlines, spans, what is reported for
// mistakes and how many times, limits, and that any bytes whatever end in a tree.
#include "syntax/ast.h"
#include "syntax/lexer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- one parse ------------------------------------------------------------------------------------------------

typedef struct Unit {
  Arena *arena;
  Sources sources;
  Diags diags;
  Module *module;
} Unit;

static void parse_bytes(Unit *u, const char *text, size_t len) {
  u->arena = arena_new(0);
  sources_init(&u->sources, u->arena);
  diags_init(&u->diags, u->arena, &u->sources);
  int file = sources_add(&u->sources, "unit.dp", text, len);
  u->module = parse_module(u->arena, interner_new(u->arena), &u->sources, file, &u->diags);
}

static void parse(Unit *u, const char *text) { parse_bytes(u, text, strlen(text)); }

static void done(Unit *u) { arena_free(u->arena); }

static const char *rendered(Unit *u) {
  StrBuf sb;
  sb_init(&sb, u->arena);
  diags_render(&u->diags, &sb, false);
  return sb.data;
}

static void parse_clean(Unit *u, const char *text) {
  parse(u, text);
  cr_assert_eq(u->diags.n_errors, 0, "%s\nin:\n%s", rendered(u), text);
}

// The expression, as the value of a function.
static const Expr *parse_one(Unit *u, const char *expr) {
  char *text = malloc(strlen(expr) + 32);
  sprintf(text, "fn f() = %s\n", expr);
  parse_clean(u, text);
  free(text);
  cr_assert_eq(u->module->fns.len, 1, "%s", expr);
  return u->module->fns.data[0]->body;
}

// ---- tokens ---------------------------------------------------------------------------------------------------

// Lexes and compares with a list such as "name:x int:1 +".
static void expect_tokens(const char *text, const char *want) {
  Arena *a = arena_new(0);
  Sources sources;
  Diags diags;
  Tokens tokens = {0};
  StrBuf sb;
  sources_init(&sources, a);
  diags_init(&diags, a, &sources);
  sb_init(&sb, a);
  int file = sources_add(&sources, "unit.dp", text, strlen(text));
  lex_file(a, interner_new(a), &sources, file, &diags, &tokens);
  uint32_t end = 0;
  for (int i = 0; i < tokens.toks.len - 1; i++) {
    const Token *t = &tokens.toks.data[i];
    cr_assert(t->off >= end, "tokens overlap in %s", text);
    end = t->off + t->len;
    if (i) sb_addc(&sb, ' ');
    if (t->kind == TOK_NAME || t->kind == TOK_INT || t->kind == TOK_FLOAT)
      sb_addf(&sb, "%s:%s", t->kind == TOK_NAME ? "name" : t->kind == TOK_INT ? "int" : "float", t->text);
    else if (t->kind >= TOK_STRING && t->kind <= TOK_STR_CLOSE)
      sb_addf(&sb, "%c(%s)", "SOPMC"[t->kind - TOK_STRING], t -> text);
    else if (t->kind == TOK_BAD)
      sb_add(&sb, "BAD");
    else
      sb_addf(&sb, "%.*s", (int)strlen(token_kind_text(t->kind)) - 2, token_kind_text(t->kind) + 1);
  }
  cr_expect_str_eq(sb.data, want, "%s gives %s, not %s", text, sb.data, want);
  cr_expect_eq(vec_last(&tokens.toks).kind, TOK_EOF);
  arena_free(a);
}

Test(tokens, numbers) {
  expect_tokens("0..n", "int:0 .. name:n");
  expect_tokens("1.5e-3 1e10 2E+4 1_000.000_1", "float:1.5e-3 float:1e10 float:2e+4 float:1000.0001");
  expect_tokens("0xFF 0x_f", "int:0xFF int:0xf"); // the second is reported
  expect_tokens("t.0.1.x", "name:t . int:0 . int:1 . name:x");
  expect_tokens("a[..2] ..5", "name:a [ .. int:2 ] .. int:5");
  expect_tokens("1_000 1__0 1_", "int:1000 int:10 int:1");
  expect_tokens("3x", "int:3");
  expect_tokens("1.e5", "float:1.0e5");
}

Test(tokens, operators_longest_first) {
  expect_tokens("a-->b", "name:a - -> name:b");
  expect_tokens("=>==>=<=!=-=/=", "=> == >= <= != -= /=");
  expect_tokens("x/=2 //c\ny", "name:x /= int:2 name:y");
  expect_tokens("and andx not_", "and name:andx name:not_");
}

Test(tokens, strings) {
  expect_tokens("\"a\\n\\\"{{b}}\\{\"", "S(a\n\"{b}{)");
  expect_tokens("\"f = {y:.6}!\"", "O(f = ) name:y P(.6) C(!)");
  expect_tokens("\"{a}{b}\"", "O() name:a M() name:b C()");
  expect_tokens("\"{f(\"in {x}\")}\"", "O() name:f ( O(in ) name:x C() ) C()");
  expect_tokens("\"{S { a: 1 }.a:3}\"", "O() name:S { name:a : int:1 } . name:a P(3) C()");
  expect_tokens("\"open\nx", "BAD name:x");
  expect_tokens("\"{x\ny", "BAD name:y");
  expect_tokens("\"", "BAD");
  expect_tokens("\"\\", "BAD");
}

Test(tokens, other_bytes) {
  expect_tokens("\xEF\xBB\xBF"
                "x\r\ny\tz\f",
                "name:x name:y name:z"); // a byte order mark, and line ends of another kind
  expect_tokens("θ1 = größe", "name:θ1 = name:größe");
  expect_tokens("a − b", "name:a - name:b");
  expect_tokens("a && b || !c", "name:a and name:b or not name:c");
  expect_tokens("$$$ x ```", "BAD name:x BAD");
  expect_tokens("\x01\x02", "BAD");
  expect_tokens("/* a\nb */ c", "name:c");
}

// ---- precedence -----------------------------------------------------------------------------------------------

// Every operation in parentheses.
static void add_full(const Expr *e, StrBuf *sb) {
  switch (e->kind) {
  case EXPR_UNARY:
    sb_addf(sb, "(%s ", unary_op_text(e->unary.op));
    add_full(e->unary.arg, sb);
    sb_addc(sb, ')');
    break;
  case EXPR_BINARY:
    sb_addc(sb, '(');
    add_full(e->binary.left, sb);
    sb_addf(sb, " %s ", binary_op_text(e->binary.op));
    add_full(e->binary.right, sb);
    sb_addc(sb, ')');
    break;
  default: ast_print_expr(e, sb); break;
  }
}

static void expect_full(const char *text, const char *want) {
  Unit u;
  StrBuf sb;
  const Expr *e = parse_one(&u, text);
  sb_init(&sb, u.arena);
  add_full(e, &sb);
  cr_expect_str_eq(sb.data, want, "%s reads as %s, not %s", text, sb.data, want);
  done(&u);
}

Test(precedence, arithmetic) {
  expect_full("a + b * c - d", "((a + (b * c)) - d)");
  expect_full("a / b * c @ d", "(((a / b) * c) @ d)");
  expect_full("-a ^ b", "(- (a ^ b))");
  expect_full("-a * b", "((- a) * b)");
  expect_full("a ^ b ^ c", "(a ^ (b ^ c))");
  expect_full("a ^ -b ^ c", "(a ^ (- (b ^ c)))");
  expect_full("a - -b", "(a - (- b))");
  expect_full("2 * -x", "(2 * (- x))");
  expect_full("-a.b[0](c)", "(- a.b[0](c))");
  expect_full("x ^ 2 + y ^ 2", "((x ^ 2) + (y ^ 2))");
}

Test(precedence, logic) {
  expect_full("a or b and c", "(a or (b and c))");
  expect_full("not a and b", "((not a) and b)");
  expect_full("not a == b", "(not (a == b))");
  expect_full("not not a", "(not (not a))");
  expect_full("a < b + 1 and not c", "((a < (b + 1)) and (not c))");
  expect_full("(a < b) == (c < d)", "((a < b) == (c < d))");
}

// ---- the printer ----------------------------------------------------------------------------------------------

static void expect_print(const char *text, const char *want) {
  Unit u, again;
  StrBuf sb;
  const Expr *e = parse_one(&u, text);
  sb_init(&sb, u.arena);
  ast_print_expr(e, &sb);
  cr_expect_str_eq(sb.data, want, "%s is printed as %s, not %s", text, sb.data, want);
  const Expr *f = parse_one(&again, sb.data);
  StrBuf twice;
  sb_init(&twice, again.arena);
  ast_print_expr(f, &twice);
  cr_expect_str_eq(twice.data, sb.data, "%s is printed as %s the second time", sb.data, twice.data);
  done(&u);
  done(&again);
}

Test(printer, parentheses) {
  expect_print("((a + b)) * (c)", "(a + b) * c");
  expect_print("a - (b - c)", "a - (b - c)");
  expect_print("(a - b) - c", "a - b - c");
  expect_print("(-a) ^ 2", "(-a)^2");
  expect_print("-(a ^ 2)", "-a^2");
  expect_print("(a ^ b) ^ (c ^ d)", "(a^b)^c^d");
  expect_print("2 ^ (-x)", "2^-x");
  expect_print("-(-x)", "--x");
  expect_print("not (a and b)", "not (a and b)");
  expect_print("(not a) == b", "(not a) == b");
  expect_print("(a < b) < c", "(a < b) < c");
  expect_print("(a + b).c[(d)]", "(a + b).c[d]");
  expect_print("(fn(x) => x)(1)", "(fn(x) => x)(1)");
  expect_print("(2).x", "(2).x");
  expect_print("-9223372036854775808", "-9223372036854775808");
}

Test(printer, everything) {
  expect_print("[ for i in 0 .. n , j in reverse xs step 2 : a[i,j] ]",
               "[for i in 0..n, j in reverse xs step 2: a[i, j]]");
  expect_print("sum(for x in xs: x) + max(for i in reverse (1 + 2)..3: i)",
               "sum(for x in xs: x) + max(for i in reverse 1 + 2..3: i)");
  expect_print("a[.., 1.., ..2, i..j+1, -1]", "a[.., 1.., ..2, i..j + 1, -1]");
  expect_print("f(1, x: 2, inout y, o: inout z)", "f(1, x: 2, inout y, o: inout z)");
  expect_print("m.P { a: 1, b: (2, 3) }.a", "m.P { a: 1, b: (2, 3) }.a");
  expect_print("if (P { a: 1 }).a == 1 { 1.0 } else if c { 2.50 } else { x }",
               "if (P { a: 1 }.a == 1) { 1.0 } else if c { 2.50 } else { x }");
  expect_print("\"a {x:.3} {{b}} \\n{ f(\"q\") }\"", "\"a {x:.3} {{b}} \\n{f(\"q\")}\"");
  expect_print(
      "fn(x, inout y: [n, _]f64, z: fn(int) -> (f64, [*]P[d]) = 1) => { let (a, _) = x\n a += 1\n a }",
      "fn(x, inout y: [n, _]f64, z: fn(int) -> (f64, [*]P[d]) = 1) => { let (a, _) = x; a += 1; a }");
  expect_print("fn() => { while not a { break }; @checkpoint(every: 3) for i in 0..n { continue }; assert a, "
               "\"b\"; return }",
               "fn() => { while not a { break }; @checkpoint(every: 3) for i in 0..n { continue }; "
               "assert a, \"b\"; return }");
  expect_print("(true, false, {}, P {})", "(true, false, {}, P {})");
}

Test(printer, dump) {
  Unit u;
  parse_clean(&u,
              "fn f(x: [n]f64, inout k: int = 1) -> f64 {\n  for i in 0..n { k += 1 }\n  x[0] * 2.0\n}\n");
  StrBuf sb;
  sb_init(&sb, u.arena);
  ast_dump(u.module, &u.sources, &sb);
  cr_expect_str_eq(sb.data, "module unit\n"
                            "fn f -> f64 @1:1\n"
                            "  param x: [n]f64 @1:6\n"
                            "  param inout k: int @1:23\n"
                            "    default: int 1 @1:32\n"
                            "  block @1:42\n"
                            "    for @2:3\n"
                            "      iter i @2:7\n"
                            "        over: range @2:12\n"
                            "          lo: int 0 @2:12\n"
                            "          hi: name n @2:15\n"
                            "      block @2:17\n"
                            "        assign += @2:19\n"
                            "          target: name k @2:19\n"
                            "          value: int 1 @2:24\n"
                            "    value: binary * @3:3\n"
                            "      index @3:3\n"
                            "        base: name x @3:3\n"
                            "        int 0 @3:5\n"
                            "      float 2.0 @3:10\n");
  done(&u);
}

// ---- newlines, words, spans -----------------------------------------------------------------------------------

static int count_statements(const char *body) {
  Unit u;
  char *text = malloc(strlen(body) + 32);
  sprintf(text, "fn f() {\n%s\n}\n", body);
  parse_clean(&u, text);
  int n = u.module->fns.data[0]->body->block.stmts.len;
  free(text);
  done(&u);
  return n;
}

Test(newlines, end_statements) {
  cr_expect_eq(count_statements("let a = b\n+ c\n* d\n.e\nand f\n== g\nlet h = 1"), 2);
  cr_expect_eq(count_statements("let a = b +\nc *\nd"), 1);
  cr_expect_eq(count_statements("let a = b\n(c, d) = e"), 2);
  cr_expect_eq(count_statements("let a = b\n@checkpoint(every: 2)\nfor i in 0..3 {}"), 2);
  cr_expect_eq(count_statements("let a = (b\n- c\n[0]\n(d))"), 1);
  cr_expect_eq(count_statements("let a = [1\n, 2,\n]; f(a,\n b\n)"), 2);
  cr_expect_eq(count_statements("if a { f() }\nelse\nif b { f() }\nelse { g() }"), 1);
  cr_expect_eq(count_statements("let g = fn(x) => {\n let y = x\n y\n}\nf(fn(x) => {\nlet y = x\n-y })"), 2);
  cr_expect_eq(count_statements("a = 1; b = 2;; c = 3;"), 3);
  cr_expect_eq(count_statements("return\nf()"), 2);
  cr_expect_eq(count_statements("let x: f64 =\n 3.0 // comment\n\n\nwhile a\n{\n}"), 2);
}

Test(newlines, values_of_blocks) {
  Unit u;
  parse_clean(&u, "fn a() -> int { f()\n 1 }\nfn b() -> int { if c { return 1 }\n if c { 1 } else { 2 } }\n"
                  "fn c() { f() }\nfn d() -> int { if c { return 1 } else { return 2 } }\nfn e() -> int { if "
                  "c { f() } }\n");
  const FnDecl *const *fns = (const FnDecl *const *)u.module->fns.data;
  cr_expect_eq(fns[0]->body->block.value->kind, EXPR_INT);
  cr_expect_eq(fns[1]->body->block.value->kind, EXPR_IF);
  cr_expect_eq(fns[1]->body->block.stmts.data[0]->expr->if_.then->block.value, NULL);
  cr_expect_null(fns[2]->body->block.value, "a function without a result has no value");
  cr_expect_null(fns[3]->body->block.value, "no branch has a value");
  cr_expect_null(fns[4]->body->block.value, "an `if` without `else` has no value");
  cr_expect_null(fns[4]->body->block.stmts.data[0]->expr->if_.then->block.value);
  done(&u);
}

Test(words, may_be_names) {
  Unit u;
  parse_clean(
      &u, "fn step(reverse: int, wrt: int, mode: int, by: int) -> int {\n"
          "  for step in reverse 0..reverse step step { mode(by) }\n"
          "  for x in reverse { f(x) }\n  for x in reverse(xs) { f(x) }\n  for x in reverse (a)..b { f(x) }\n"
          "  return step + reverse\n}\n");
  StmtVec stmts = u.module->fns.data[0]->body->block.stmts;
  cr_expect(stmts.data[0]->for_.iter.reverse && stmts.data[0]->for_.iter.step);
  cr_expect(!stmts.data[1]->for_.iter.reverse);
  cr_expect_eq(stmts.data[2]->for_.iter.over->kind, EXPR_CALL);
  cr_expect(stmts.data[3]->for_.iter.reverse);
  done(&u);
}

static void expect_span(const Unit *u, Loc loc, const char *want) {
  const Source *s = sources_get(&u->sources, loc);
  cr_assert_not_null(s);
  cr_expect(loc.len == strlen(want) && memcmp(s->text + loc.off, want, loc.len) == 0, "`%.*s` is not `%s`",
            (int)loc.len, s->text + loc.off, want);
}

Test(spans, are_what_was_written) {
  Unit u;
  parse_clean(
      &u, "fn f(abc: f64) -> f64 {\n  let y = (a + b) * \"v {c + 1:.2}\"  // end\n  g(x: 1, h)[2].w\n}\n");
  const FnDecl *f = u.module->fns.data[0];
  expect_span(&u, f->name_loc, "f");
  expect_span(&u, f->params.data[0].loc, "abc");
  expect_span(&u, f->params.data[0].type->loc, "f64");
  const Stmt *let = f->body->block.stmts.data[0];
  expect_span(&u, let->loc, "let y = (a + b) * \"v {c + 1:.2}\"");
  expect_span(&u, let->let.init->loc, "(a + b) * \"v {c + 1:.2}\"");
  expect_span(&u, let->let.init->binary.left->loc, "(a + b)");
  expect_span(&u, let->let.init->binary.op_loc, "*");
  const Expr *str = let->let.init->binary.right;
  expect_span(&u, str->loc, "\"v {c + 1:.2}\"");
  expect_span(&u, str->string.data[0].hole->loc, "c + 1");
  cr_expect_str_eq(str->string.data[0].spec, ".2");
  const Expr *w = f->body->block.value;
  expect_span(&u, w->loc, "g(x: 1, h)[2].w");
  expect_span(&u, w->field.name_loc, "w");
  expect_span(&u, w->field.base->index.base->call.args.data[0].name_loc, "x");
  done(&u);
}

Test(declarations, fields) {
  Unit u;
  parse_clean(
      &u,
      "// plain\nimport linalg as la\nimport \"nets/model.dp\"\n/// First.\n///\n/// Third.\n@slots @pure\n"
      "extern fn j0(x: real) -> real = \"bessel_j0\"\nextern fn j1(x: f64) -> f64\n"
      "struct P[n, m] {\n  /// the weights\n  w: [n, m]f64\n  b: q.P[n, 2], // tail\n}\n"
      "adjoint j0(x: f64) { return j0(x), fn(dy) => dy }\ntangent j0(x: f64, dx: f64) => dx\n/// loose\n");
  const Module *m = u.module;
  cr_expect_eq(m->imports.len, 2);
  cr_expect_str_eq(m->imports.data[0].alias, "la");
  cr_expect(m->imports.data[0].is_std && !m->imports.data[1].is_std);
  cr_expect_str_eq(m->imports.data[1].alias, "model");
  cr_expect_eq(m->fns.len, 4);
  cr_expect_str_eq(m->fns.data[0]->doc, "First.\n\nThird.");
  cr_expect_str_eq(m->fns.data[0]->symbol, "bessel_j0");
  cr_expect(m->fns.data[0]->slots && m->fns.data[0]->pure && !m->fns.data[1]->slots);
  cr_expect_str_eq(m->fns.data[1]->symbol, "j1");
  cr_expect_eq(m->fns.data[2]->kind, FN_ADJOINT);
  cr_expect(m->fns.data[3]->kind == FN_TANGENT && m->fns.data[3]->expr_body);
  const StructDecl *s = m->structs.data[0];
  cr_expect_eq(s->sizes.len, 2);
  cr_expect_str_eq(s->fields.data[0].doc, "the weights");
  cr_expect_str_eq(s->fields.data[1].type->name, "q.P");
  cr_assert_eq(m->comments.len, 3); // in order, the doc without a declaration among them
  expect_span(&u, m->comments.data[0], "// plain");
  expect_span(&u, m->comments.data[2], "/// loose");
  done(&u);
}

// ---- the language as its design shows it ----------------------------------------------------------------------

static const char *const samples[] = {
    "/// log Σ exp(v), shifted by the maximum so that it cannot overflow.\n"
    "fn logsumexp(v: [n]f64) -> f64 {\n"
    "    let m = max(v)\n"
    "    return m + log(sum(for i in 0..n: exp(v[i] - m)))\n"
    "}\n"
    "fn lower_times(q: [d]f64, l: [div(d * (d - 1), 2)]f64, x: [d]f64) -> [d]f64 {\n"
    "    var y = q * x                       // elementwise\n"
    "    var p = 0\n"
    "    for j in 0..d {\n"
    "        for i in j + 1..d {\n"
    "            y[i] += l[p] * x[j]\n"
    "            p += 1\n"
    "        }\n"
    "    }\n"
    "    return y\n"
    "}\n"
    "fn main() {\n"
    "    let (y, d) = value_and_grad(logsumexp)([1.0, 2.0, 3.0])\n"
    "    print(\"f = {y:.6}, gradient = {d}\")\n"
    "}\n",
    "struct Linear[d] { w: [d]f64, b: f64 }\n"
    "fn mse(m: Linear[d], x: [n, d]f64, y: [n]f64) -> f64 {\n"
    "    var s = 0.0\n"
    "    for i in 0..n {\n"
    "        let e = dot(m.w, x[i]) + m.b - y[i]\n"
    "        s += e * e\n"
    "    }\n"
    "    return s / n\n"
    "}\n"
    "fn main(epochs: int = 200) {                                // main's parameters are the program's "
    "options\n"
    "    let table = read_csv(\"samples/data/diabetes.csv\")\n"
    "    let (x, y) = (standardize(table[.., 0..10]), table[.., 10])\n"
    "    var m = Linear { w: zeros(10), b: 0.0 }\n"
    "    let run = train(mse, inout m, (x, y), optimizer: adam(lr: 0.5), epochs: epochs, batch: 32, seed: "
    "1)\n"
    "    print(\"loss {run.loss}\")\n"
    "}\n"
    "fn descend(m: Linear[d], x: [n, d]f64, y: [n]f64, lr: f64) -> Linear[d] {\n"
    "    var p = m\n"
    "    for step in 0..100 { p -= lr * grad(mse, wrt: m)(p, x, y) }     // a struct of floats is a vector\n"
    "    return p\n"
    "}\n",
    "import linalg\n"
    "import \"model.dp\" as model\n"
    "\n"
    "/// log(1 + e^x) without overflow, with its own rule.\n"
    "fn softplus(x: f64) -> f64 = max(x, 0.0) + log1p(exp(-abs(x)))\n"
    "adjoint softplus(x: f64) {\n"
    "    let s = 1.0 / (1.0 + exp(-x))\n"
    "    return softplus(x), fn(dy) => dy * s\n"
    "}\n"
    "tangent softplus(x: f64, dx: f64) => dx / (1.0 + exp(-x))\n"
    "\n"
    "extern fn bessel_j0(x: f64) -> f64              // from C; differentiable only with a rule, else an "
    "error\n"
    "\n"
    "fn simulate(y0: [n]f64, rhs: fn([n]f64) -> [n]f64, steps: int) -> [n]f64 {\n"
    "    var y = y0\n"
    "    @checkpoint(every: 32)\n"
    "    for t in 0..steps { y += 0.01 * rhs(y) }\n"
    "    return y\n"
    "}\n",
    "fn f(a: [n, m]f64, idx: [k]int, r: real) -> (f64, [*]f64) {\n"
    "    var out: [*]f64 = []\n"
    "    let rows = [for i in 0..n, j in reverse 0..m step 2: a[i, j]]\n"
    "    let g = a[idx]\n"
    "    let x = if r > 0.0 { 1.0 } else { -1.0 }\n"
    "    let d = grad(f, wrt: (a, m.head), mode: \"reverse\")(a, idx).x1\n"
    "    let y = minimize(fn(p) => dot(p, p), inout q, optimizer: adam(), until: 1e-8, steps: 10)\n"
    "    var r = rng(1)\n"
    "    step(inout o, inout m, g)\n"
    "    (a, b) = (b, a)\n"
    "    assert n > 0, \"no rows: {n}\"\n"
    "    while true { if x < 0.0 { break } else { continue } }\n"
    "    return x @ y ^ 2, out\n"
    "}\n",
};

Test(samples, parse_clean) {
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    Unit u;
    parse_clean(&u, samples[i]);
    done(&u);
  }
}

// ---- mistakes -------------------------------------------------------------------------------------------------

typedef struct Mistake {
  const char *text;
  DiagCode code;
  int line, col; // of the first
  const char *message, *help;
} Mistake;

// Each is one mistake: exactly one diagnostic.
static const Mistake in_body[] = {
    {"let y = foo(x, 2\nlet z = 3", DIAG_UNCLOSED, 2, 17, "found `let` on the next line", NULL},
    {"let y = [1, 2\nz = 3\nw = 4", DIAG_UNCLOSED, 2, 14, "on the next line", NULL},
    {"let y = a +", DIAG_SYNTAX, 2, 12, "expected an expression after `+`", NULL},
    {"if x = 1 { f() }", DIAG_SYNTAX, 2, 6, "`=` assigns", "`==`"},
    {"if x < 1\n f()", DIAG_SYNTAX, 2, 9, "expected `{`", "braces"},
    {"if x < 1:\n  f()\nelse:\n  g()", DIAG_SYNTAX, 2, 9, "found `:`", "braces"},
    {"if x { f() } elif y { g() }", DIAG_FOREIGN, 2, 14, "`elif`", "else if"},
    {"if x < 1:\n  f()\nelif y:\n  g()\nelse:\n  h()\nf()", DIAG_SYNTAX, 2, 9, "found `:`", "braces"},
    {"for i in 0..n\n  f(i)\n  g(i)\n}\nf()", DIAG_SYNTAX, 2, 14, "end of the line", "braces"},
    {"while x\n  f(i)\ng()", DIAG_SYNTAX, 2, 8, "end of the line", "braces"},
    {"let a, b) = f()", DIAG_SYNTAX, 2, 5, "in parentheses", "let (a, b)"},
    {"else { f() }", DIAG_SYNTAX, 2, 1, "belongs to no `if`", NULL},
    {"for (int i = 0; i < 10; i++) { f() }", DIAG_FOREIGN, 2, 5, "parentheses", "in 0..n"},
    {"for (i in 0..n) { f(i) }", DIAG_FOREIGN, 2, 5, "parentheses", NULL},
    {"for (i, x) in xs { f(i) }", DIAG_FOREIGN, 2, 5, "one variable", NULL},
    {"for i = 0 { f(i) }", DIAG_SYNTAX, 2, 7, "expected `in`", NULL},
    {"for i in 0.. { f(i) }", DIAG_SYNTAX, 2, 10, "needs an end", NULL},
    {"for i in 0..n f(i)", DIAG_SYNTAX, 2, 15, "expected `{`", NULL},
    {"int x = 3", DIAG_FOREIGN, 2, 1, "`let` or `var`", "var x"},
    {"const x = 3", DIAG_FOREIGN, 2, 1, "`let` or `var`", NULL},
    {"x: int = 3", DIAG_FOREIGN, 2, 1, "`let` or `var`", NULL},
    {"x := 3", DIAG_FOREIGN, 2, 1, "`let` or `var`", NULL},
    {"let mut x = 3", DIAG_FOREIGN, 2, 1, "`var`", NULL},
    {"let x", DIAG_SYNTAX, 2, 6, "expected `=`", "from its start"},
    {"let a, b = f()", DIAG_SYNTAX, 2, 5, "in parentheses", "let (a, b)"},
    {"a, b = b, a", DIAG_SYNTAX, 2, 2, "found `,`", "(a, b)"},
    {"let for = 3", DIAG_SYNTAX, 2, 5, "expected a name", "word of the language"},
    {"x++", DIAG_FOREIGN, 2, 2, "`++`", "+= 1"},
    {"x--", DIAG_FOREIGN, 2, 2, "`--`", "-= 1"},
    {"y = +x", DIAG_FOREIGN, 2, 5, "unary `+`", NULL},
    {"y = a && b", DIAG_FOREIGN, 2, 7, "words", "and"},
    {"y = !b", DIAG_FOREIGN, 2, 5, "words", "not"},
    {"y = a % b", DIAG_FOREIGN, 2, 7, "`%`", "mod(a, b)"},
    {"y = a ** b", DIAG_FOREIGN, 2, 7, "`^`", NULL},
    {"y = a ? b : c", DIAG_FOREIGN, 2, 7, "`?`", "if c"},
    {"y = 'text'", DIAG_STRING, 2, 5, "double quotes", NULL},
    {"y = a'", DIAG_FOREIGN, 2, 6, "`'`", "transpose"},
    {"# comment", DIAG_FOREIGN, 2, 1, "`//`", NULL},
    {"y = .5", DIAG_NUMBER, 2, 5, "before its point", NULL},
    {"y = 1.", DIAG_NUMBER, 2, 5, "after its point", NULL},
    {"y = 3x", DIAG_NUMBER, 2, 5, "`x` cannot follow", "3 * x"},
    {"y = 1e999", DIAG_NUMBER, 2, 5, "too large", NULL},
    {"y = 1e-999", DIAG_NUMBER, 2, 5, "too small", NULL},
    {"y = 9223372036854775808", DIAG_NUMBER, 2, 5, "does not fit", NULL},
    {"y = 1__0", DIAG_NUMBER, 2, 5, "malformed", NULL},
    {"y = \"abc", DIAG_STRING, 2, 5, "never closed", NULL},
    {"y = f(\"abc)", DIAG_STRING, 2, 7, "never closed", NULL},
    {"y = \"a {b\"", DIAG_STRING, 2, 8, "hole", "{{"},
    {"y = \"a } b\"", DIAG_STRING, 2, 8, "closes no hole", "}}"},
    {"y = \"a {}\"", DIAG_STRING, 2, 9, "empty", "{{}}"},
    {"y = \"a \\q\"", DIAG_STRING, 2, 8, "escape", NULL},
    {"y = a < b < c", DIAG_SYNTAX, 2, 11, "do not chain", "and"},
    {"y = a == not b", DIAG_SYNTAX, 2, 10, "`not`", "parentheses"},
    {"y = a <> b", DIAG_SYNTAX, 2, 8, "expected an expression", "!="},
    {"y = (a, b", DIAG_UNCLOSED, 2, 10, "expected `,` or `)`", NULL},
    {"y = (a b)", DIAG_SYNTAX, 2, 8, "expected `,` after", NULL},
    {"y = a b", DIAG_SYNTAX, 2, 7, "end of the statement", "operator"},
    {"y = a[1:2]", DIAG_FOREIGN, 2, 8, "slice", "a[lo..hi]"},
    {"y = a[]", DIAG_SYNTAX, 2, 7, "expected an index", NULL},
    {"y = 0..3", DIAG_SYNTAX, 2, 6, "end of the statement", "after `in`"},
    {"y = f(0..3)", DIAG_SYNTAX, 2, 8, "cannot be an argument", NULL},
    {"y = [e for e in xs]", DIAG_SYNTAX, 2, 8, "found `for`", "comes first"},
    {"y = mean(for x in xs: x)", DIAG_SYNTAX, 2, 10, "only `sum`", NULL},
    {"y = [for x in xs if x: x]", DIAG_FOREIGN, 2, 18, "condition", NULL},
    {"f(x=3)", DIAG_FOREIGN, 2, 4, "named with `:`", NULL},
    {"print \"hello\"", DIAG_FOREIGN, 2, 1, "parentheses", NULL},
    {"assert(a, \"b\")", DIAG_SYNTAX, 2, 7, "takes no parentheses", NULL},
    {"f(a) = 2", DIAG_ASSIGN_TARGET, 2, 1, "cannot be assigned", NULL},
    {"a = b = c", DIAG_SYNTAX, 2, 7, "assigned further", NULL},
    {"(a, b) += c", DIAG_ASSIGN_TARGET, 2, 1, "cannot be assigned", NULL},
    {"x == 3", DIAG_UNUSED_VALUE, 2, 1, "nothing uses", "write `=`"},
    {"\"text\"", DIAG_UNUSED_VALUE, 2, 1, "nothing uses", "print"},
    {"let y = x\n-z", DIAG_UNUSED_VALUE, 3, 1, "nothing uses", "continue the line"},
    {"for i in 0..n { i }", DIAG_UNUSED_VALUE, 2, 17, "nothing uses", NULL},
    {"let f = fn(x) { x }", DIAG_SYNTAX, 2, 15, "expected `=>`", NULL},
    {"let f = fn(x) -> f64 => x", DIAG_SYNTAX, 2, 15, "inferred", NULL},
    {"let f = fn g(x) => x", DIAG_SYNTAX, 2, 12, "expected `(`", NULL},
    {"fn g(x: f64) -> f64 { return x }", DIAG_SYNTAX, 2, 1, "top level", NULL},
    {"let y: [f64] = 1", DIAG_SYNTAX, 2, 8, "hold its sizes", "[n]f64"},
    {"let y: f64[3] = 1", DIAG_FOREIGN, 2, 8, "starts with its sizes", "[n]f64"},
    {"let y: = 1", DIAG_SYNTAX, 2, 6, "expected `=`", NULL},
    {"let p = P { x = 1 }", DIAG_FOREIGN, 2, 15, "follows `:`", "x: ..."},
    {"y = (a,)", DIAG_SYNTAX, 2, 5, "at least two", NULL},
    {"y = ()", DIAG_SYNTAX, 2, 5, "at least two", NULL},
    {"y = _", DIAG_SYNTAX, 2, 5, "`_` is not a value", NULL},
    {"y = a $ b", DIAG_LEX, 2, 7, "`$`", NULL},
    {"y = a ≤ b", DIAG_LEX, 2, 7, "less-or-equal", "<="},
    {"@checkpoint for i in 0..n { f(i) }", DIAG_ATTRIBUTE, 0, 0, "how often", "every: 32"},
    {"@checkpoint(every: 3)\ny = 1", DIAG_ATTRIBUTE, 2, 1, "before a `for`", NULL},
    {"@fast for i in 0..n { f(i) }", DIAG_ATTRIBUTE, 2, 1, "`@fast`", NULL},
    {"y = a ]", DIAG_UNCLOSED, 2, 7, "`]` closes nothing", NULL},
    {"return return", DIAG_SYNTAX, 2, 8, "expected an expression", NULL},
    {"x = 1 y = 2", DIAG_SYNTAX, 2, 7, "end of the statement", NULL},
    {"match x { }", DIAG_FOREIGN, 2, 1, "`match`", NULL},
    {"loop { f() }", DIAG_FOREIGN, 2, 1, "`loop`", NULL},
    {"y = for i in 0..3 { }", DIAG_SYNTAX, 2, 5, "expected an expression", "[for"},
};

static const Mistake at_top[] = {
    {"def f(x):\n    return x\n", DIAG_FOREIGN, 1, 1, "`fn`", NULL},
    {"function f(x) { return x }\n", DIAG_FOREIGN, 1, 1, "`fn`", NULL},
    {"double f(double x) { return x; }\n", DIAG_FOREIGN, 1, 1, "`fn`", "fn f"},
    {"class A { }\n", DIAG_FOREIGN, 1, 1, "structs", NULL},
    {"let x = 3\nlet y = 4\nx = y\n", DIAG_OUTSIDE, 1, 1, "outside of any function", NULL},
    {"print(\"hi\")\n", DIAG_OUTSIDE, 1, 1, "outside of any function", "fn main"},
    {"}\n", DIAG_UNCLOSED, 1, 1, "closes nothing", NULL},
    {"fn a() {\n    f()\n    }\n}\n", DIAG_UNCLOSED, 4, 1, "closes nothing", NULL},
    {"fn a() {\n    if x {\n        f()\n    }}\n    g()\n}\n", DIAG_OUTSIDE, 5, 5, "outside", NULL},
    {"fn a() {\n    for i in 0..n {\n        f()\n    g()\n}\n", DIAG_UNCLOSED, 2, 19, "never closed", NULL},
    {"fn a() {\n    f()\n", DIAG_UNCLOSED, 1, 8, "never closed", NULL},
    {"fn a(x) -> f64 = x\n", DIAG_MISSING_TYPE, 1, 6, "needs a type", NULL},
    {"fn a(f64 x) -> f64 = x\n", DIAG_FOREIGN, 1, 6, "name: type", "x: f64"},
    {"fn a(x f64) -> f64 = x\n", DIAG_FOREIGN, 1, 6, "name: type", "x: f64"},
    {"fn a(x: f64 { f() }\n", DIAG_UNCLOSED, 1, 13, "expected `,` or `)`", NULL},
    {"fn a(x [n]f64) -> f64 = x\n", DIAG_MISSING_TYPE, 1, 8, "expected `:`", "name: type"},
    {"fn a(l: [divd, 2)]f64, x: [d]f64) -> [d]f64 {\n    f()\n}\n", DIAG_SYNTAX, 1, 17, "expected `,` or `]`",
     NULL},
    {"fn a(x: f64):\n    f()\n", DIAG_SYNTAX, 1, 13, "expected `{`", "braces"},
    {"fn a(x: f64) -> f64\n    return x\n}\n", DIAG_SYNTAX, 1, 20, "expected `{`", "braces"},
    {"fn a(x: f64): f64 = x\n", DIAG_FOREIGN, 1, 13, "`->`", NULL},
    {"fn a(x: f64) => x\n", DIAG_SYNTAX, 1, 14, "follows `=`", NULL},
    {"fn a[n](x: [n]f64) = x\n", DIAG_SYNTAX, 1, 5, "expected `(`", "binds both"},
    {"fn a(x: f64) -> f64\n", DIAG_SYNTAX, 1, 20, "the body of `a`", NULL},
    {"fn a(x: inout f64) { f() }\n", DIAG_SYNTAX, 1, 9, "expected a type", "inout x: T"},
    {"fn (x: f64) { f() }\n", DIAG_SYNTAX, 1, 4, "the function's name", NULL},
    {"extern fn a(x: f64) -> f64 { f() }\n", DIAG_SYNTAX, 1, 28, "no body", NULL},
    {"extern a(x: f64)\n", DIAG_SYNTAX, 1, 8, "expected `fn`", NULL},
    {"@pure fn a() = 1\n", DIAG_ATTRIBUTE, 1, 1, "only an `extern fn`", NULL},
    {"@inline fn a() = 1\n", DIAG_ATTRIBUTE, 1, 1, "`@inline`", NULL},
    {"struct P { x: f64; y: f64 }\n", DIAG_SYNTAX, 1, 18, "separated", NULL},
    {"struct P { x f64, y: f64 }\n", DIAG_MISSING_TYPE, 1, 14, "expected `:`", NULL},
    {"struct P {\n  x: f64\nfn a() = 1\n", DIAG_UNCLOSED, 1, 10, "never closed", NULL},
    {"import\n", DIAG_SYNTAX, 1, 7, "expected a module", NULL},
    {"import \"a-b.dp\"\n", DIAG_SYNTAX, 1, 8, "cannot name", "as model"},
    {"fn a() = 1 fn b() = 2\n", DIAG_SYNTAX, 1, 12, "end of the declaration", NULL},
};

static void expect_mistake(const Mistake *m, const char *text, int indent) {
  Unit u;
  parse(&u, text);
  cr_expect_eq(u.diags.n_errors, 1, "%d mistakes in:\n%s\n%s", u.diags.n_errors, m->text, rendered(&u));
  if (!u.diags.list.len) return;
  const Diag *g = u.diags.list.data[0];
  int line, col;
  sources_line_col(&u.sources, g->primary.loc, &line, &col);
  if (m->message) cr_expect_eq(g->code, m->code, "%s\n%s", m->text, rendered(&u));
  if (m->line && m->col)
    cr_expect(line == m->line && col == m->col + indent, "%d:%d, not %d:%d:\n%s", line, col, m->line, m->col,
              rendered(&u));
  if (m->message) cr_expect(strstr(g->message, m->message), "no `%s` in:\n%s", m->message, rendered(&u));
  if (m->help) cr_expect(g->help && strstr(g->help, m->help), "no help `%s` in:\n%s", m->help, rendered(&u));
  const FnDecl *last = u.module->fns.len ? vec_last(&u.module->fns) : NULL;
  cr_expect(last && strcmp(last->name, "after") == 0, "what follows is lost:\n%s", rendered(&u));
  done(&u);
}

Test(mistakes, in_a_body) {
  for (size_t i = 0; i < sizeof in_body / sizeof *in_body; i++) {
    char text[512];
    int len = snprintf(text, sizeof text, "fn body(x: f64) {\n");
    for (const char *s = in_body[i].text; *s; s++) { // indented
      if (s == in_body[i].text || s[-1] == '\n') len += sprintf(text + len, "  ");
      text[len++] = *s;
    }
    sprintf(text + len, "\n}\nfn after() { let y = 1 }\n");
    expect_mistake(&in_body[i], text, 2);
  }
}

Test(mistakes, at_the_top) {
  for (size_t i = 0; i < sizeof at_top / sizeof *at_top; i++) {
    char text[512];
    snprintf(text, sizeof text, "%sfn after() { let y = 1 }\n", at_top[i].text);
    expect_mistake(&at_top[i], text, 0);
  }
}

Test(mistakes, many_in_one_file) {
  Unit u;
  parse(&u, "fn a(x: f64) -> f64 {\n    let y = (1 +\n    let z = 2 3\n    for i in 0..n {\n        y += )\n "
            "       z = = 1\n"
            "    }\n    return x +\n}\n\nfn b(f64 x) -> f64 {\n    x = [1, 2\n    return x\n}\n\nstruct S { "
            "a f64 }\n");
  cr_expect_eq(u.diags.n_errors, 8, "%s", rendered(&u));
  cr_expect_eq(u.module->fns.len, 2);
  uint32_t before = 0;
  for (int i = 0; i < u.diags.list.len; i++) {
    cr_expect(u.diags.list.data[i]->primary.loc.off >= before, "not in the file's order");
    before = u.diags.list.data[i]->primary.loc.off;
  }
  done(&u);
}

Test(mistakes, fixes_are_dp) {
  // What a diagnostic offers in place of its span leaves no mistake.
  static const char *const texts[] = {"fn f(a: bool) = a && a\n",
                                      "fn f() = .5\n",
                                      "fn f() = 2.\n",
                                      "fn f(): f64 = 1.0\n",
                                      "fn f() => 1\n",
                                      "fn f() = 'a b'\n",
                                      "fn f() = g(x=1)\n",
                                      "# c\nfn f() = 1\n",
                                      "fn f(a: f64) = a ≤ 1\n",
                                      "fn f() = 2 ** 3\n",
                                      "struct P { a: f64; b: f64 }\n",
                                      "fn f(a: f64) { if a = 1 { g() } }\n",
                                      "fn f() { let mut x = 1\n g() }\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    Unit u, fixed;
    parse(&u, texts[i]);
    cr_assert_eq(u.diags.list.len, 1, "%s", texts[i]);
    const Diag *g = u.diags.list.data[0];
    cr_assert_not_null(g->replace, "%s", texts[i]);
    char text[256];
    snprintf(text, sizeof text, "%.*s%s%s", (int)g->primary.loc.off, texts[i], g->replace,
             texts[i] + g->primary.loc.off + g->primary.loc.len);
    parse_clean(&fixed, text);
    done(&u);
    done(&fixed);
  }
}

// ---- limits ---------------------------------------------------------------------------------------------------

static char *repeat(const char *head, const char *part, int n, const char *tail) {
  size_t h = strlen(head), p = strlen(part), t = strlen(tail);
  char *text = malloc(h + p * (size_t)n + t + 1), *at = text;
  memcpy(at, head, h);
  at += h;
  for (int i = 0; i < n; i++, at += p) memcpy(at, part, p);
  memcpy(at, tail, t + 1);
  return text;
}

Test(limits, depth_is_a_diagnostic) {
  static const struct {
    const char *head, *part;
    int n;
  } deep[] = {
      {"return ", "(", 1000000},
      {"return ", "[", 1000000},
      {"", "{", 1000000},
      {"return ", "-", 1000000},
      {"return ", "not ", 250000},
      {"", "if ", 300000},
      {"return ", "f(", 500000},
      {"return ", "a[", 500000},
      {"", "if x {", 100000},
      {"", "for i in 0..3 {", 100000},
      {"return ", "2^", 500000},
      {"return f", "()", 500000},
      {"return a", ".b", 500000},
      {"return 1", "+1", 100000},
      {"return ", "fn() => ", 1000},
      {"return ", "\"{", 100000},
      {"let ", "(", 1000000},
      {"let x: ", "[2]", 300000},
      {"let x: ", "(", 1000000},
      {"if x {} ", "else if x {}", 10000},
      {"return ", "S { a: ", 1000},
      {"return ", "(1+", 300000},
  };
  for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
    char *body = repeat(deep[i].head, deep[i].part, deep[i].n, "\n}\nfn after() { let y = 1 }\n");
    char *text = repeat("fn f() {\n", body, 1, "");
    Unit u;
    parse(&u, text);
    const Diag *g = u.diags.list.len ? u.diags.list.data[0] : NULL;
    cr_expect(g && u.diags.n_errors == 1, "%d mistakes for a run of `%s`", u.diags.n_errors, deep[i].part);
    bool string = deep[i].part[0] == '"'; // a hole that stays open
    if (g && !string) cr_expect_eq(g->code, DIAG_NESTING, "%s for `%s`", g->message, deep[i].part);
    cr_expect(u.module->fns.len && strcmp(vec_last(&u.module->fns)->name, "after") == 0, "lost after `%s`",
              deep[i].part);
    done(&u);
    free(body);
    free(text);
  }
}

Test(limits, what_is_allowed) {
  char *sum = repeat("fn f() = 0", " + 1", 900, "\n");
  char *parens = repeat("fn f() = ", "(", 200, "1))))))))))"), *close = repeat(parens, ")", 190, "\n");
  char *blocks = repeat("fn f() {\n", "if x {\n", 100, ""), *ends = repeat(blocks, "}\n", 101, "");
  char *flat = repeat("fn f() {\n", "x = 1\n", 100000, "}\n");
  char *loops = repeat("fn f() {\n", "for i in 0..3 { if x > 1 { x += i } }\n", 10000, "}\n");
  char *const texts[] = {sum, close, ends, flat, loops};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    Unit u;
    parse(&u, texts[i]);
    cr_expect_eq(u.diags.n_errors, 0, "%s", rendered(&u));
    done(&u);
  }
  free(sum), free(parens), free(close), free(blocks), free(ends), free(flat), free(loops);
}

Test(limits, long_tokens) {
  char *name = repeat("fn ", "a", 3000000, "() = 1\n");
  char *number = repeat("fn f() = ", "1", 3000000, "\n");
  Unit u;
  parse(&u, name);
  cr_expect_eq(u.diags.n_errors, 0);
  cr_expect_eq(strlen(u.module->fns.data[0]->name), 3000000);
  cr_expect_eq(u.module->fns.data[0]->name_loc.len, (1 << 20) - 1);
  done(&u);
  parse(&u, number);
  cr_expect_eq(u.diags.n_errors, 1);
  done(&u);
  free(name);
  free(number);
}

Test(limits, mistakes_without_end) {
  char *text = repeat("fn f() {\n", "x = )\n", 100000, "}\n");
  Unit u;
  parse(&u, text);
  cr_expect_eq(u.diags.n_errors, TOO_MANY_ERRORS);
  done(&u);
  free(text);
}

// ---- any bytes ------------------------------------------------------------------------------------------------

static uint32_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static void expect_survival(const char *text, size_t len) {
  Unit u;
  StrBuf sb;
  parse_bytes(&u, text, len);
  sb_init(&sb, u.arena);
  ast_dump(u.module, &u.sources, &sb);
  for (int i = 0; i < u.diags.list.len; i++) {
    const Diag *g = u.diags.list.data[i];
    cr_assert(g->primary.loc.off <= len && g->primary.loc.off + g->primary.loc.len <= len);
    cr_assert(*g->message);
  }
  for (int i = 0; i < u.module->fns.len; i++) {
    StrBuf printed;
    sb_init(&printed, u.arena);
    if (u.module->fns.data[i]->body) ast_print_expr(u.module->fns.data[i]->body, &printed);
  }
  diags_render(&u.diags, &sb, false);
  done(&u);
}

Test(any_bytes, mutated_samples) {
  uint64_t state = 1;
  for (int round = 0; round < 4000; round++) {
    const char *sample = samples[next_random(&state) % (sizeof samples / sizeof *samples)];
    size_t len = strlen(sample);
    char *text = malloc(len + 1);
    memcpy(text, sample, len + 1);
    for (uint32_t n = 1 + next_random(&state) % 6; n; n--) {
      size_t from = next_random(&state) % len, to = next_random(&state) % len,
             count = 1 + next_random(&state) % 12;
      if (from + count > len || to + count > len) continue;
      if (next_random(&state) % 3)
        memmove(text + to, text + from, count);
      else
        text[to] = "(){}[]\"',:;=<>!.@#$\\\n\0\xFF-+*/^"[next_random(&state) % 29];
    }
    expect_survival(text, len);
    free(text);
  }
}

Test(any_bytes, noise) {
  uint64_t state = 7;
  static const char *const parts[] = {
      "fn ", "let ", "x",        "(",       ")",       "{",      "}",  "[",    "]",       "=",
      "\n",  "for ", "in ",      "..",      "if ",     "1",      "\"", "\"{",  "}\"",     ":",
      ",",   "@",    "-",        "struct ", "=> ",     "-> ",    ".",  "not ", "extern ", "import ",
      "///", "\\",   "sum(for ", "else ",   "return ", "inout ", "^",  "==",   ";"};
  for (int round = 0; round < 4000; round++) {
    char text[1024];
    size_t len = 0;
    for (uint32_t n = next_random(&state) % 100; n; n--) {
      const char *part = parts[next_random(&state) % (sizeof parts / sizeof *parts)];
      if (len + strlen(part) >= sizeof text) break;
      memcpy(text + len, part, strlen(part));
      len += strlen(part);
    }
    expect_survival(text, len);
  }
  for (int round = 0; round < 2000; round++) {
    char text[256];
    size_t len = next_random(&state) % sizeof text;
    for (size_t i = 0; i < len; i++) text[i] = (char)next_random(&state);
    expect_survival(text, len);
  }
}

// Cut anywhere, a program still ends in a tree.
Test(any_bytes, prefixes) {
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
    for (size_t len = 0; len <= strlen(samples[i]); len++) expect_survival(samples[i], len);
}
