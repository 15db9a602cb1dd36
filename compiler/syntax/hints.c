// What people used to other languages write, and what dp writes instead. In: the cursor at tokens that make no sense;
// out: a diagnostic in the user's terms, or a help added to one.
#include "parser.h"

#include <string.h>

typedef struct Foreign {
  const char *word, *message, *help;
} Foreign;

static const Foreign *find(const Foreign *table, size_t n, const char *word) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(table[i].word, word) == 0) return &table[i];
  return NULL;
}
#define FIND(table, word) find(table, sizeof(table) / sizeof *(table), word)

// Words that begin a function elsewhere.
static const Foreign declarations[] = {
    {"def", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"func", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"fun", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"function", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"proc", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"class", "dp has structs of data and no classes",
     "write `struct Name { x: f64 }` and functions that take it"},
    {"type", "a type is declared with `struct`", "write `struct Name { x: f64 }`"},
    {"enum", "dp has no enums", "use `int` codes, or a `struct`"},
    {"from", "a module is imported whole", "write `import linalg`, then `linalg.name`"},
    {"use", "a module is taken in with `import`", "write `import linalg`"},
    {"using", "a module is taken in with `import`", "write `import linalg`"},
    {"include", "a module is taken in with `import`", "write `import \"file.dp\" as name`"},
    {"module", "a file is a module; it needs no heading", "leave this line out"},
    {"pub", "everything at the top level is visible", "leave out `pub`"},
    {"public", "everything at the top level is visible", "leave out `public`"},
    {"export", "everything at the top level is visible", "leave out `export`"},
    {"static", "a function is declared with `fn`", "write `fn name(x: f64) -> f64 { ... }`"},
    {"async", "dp has no asynchronous functions", "leave out `async`"},
};

// Words that begin a statement elsewhere, when a name, a bracket or a literal follows; those that declare a variable
// come first.
enum { N_DECLARING = 5 };
static const Foreign statements[] = {
    {"const", "a variable is declared with `let` or `var`",
     "write `let x = ...`; what `let` binds does not change"},
    {"val", "a variable is declared with `let` or `var`",
     "write `let x = ...`; what `let` binds does not change"},
    {"auto", "a variable is declared with `let` or `var`", "write `let x = ...`"},
    {"mut", "a variable that changes is declared with `var`", "write `var x = ...`"},
    {"local", "a variable is declared with `let` or `var`", "write `var x = ...`"},
    {"global", "dp has no global variables", "pass the value as a parameter, `inout` if it changes"},
    {"elif", "dp writes `else if`", "write `else if`, after the `}` of the `if`"},
    {"elsif", "dp writes `else if`", "write `else if`, after the `}` of the `if`"},
    {"switch", "dp has no `switch`", "write `if ... { } else if ... { }`"},
    {"match", "dp has no `match`", "write `if ... { } else if ... { }`"},
    {"case", "dp has no `switch`", "write `if ... { } else if ... { }`"},
    {"unless", "dp has no `unless`", "write `if not ...`"},
    {"until", "dp has no `until`", "write `while not ...`"},
    {"do", "dp has no `do` loop", "write `while true { ... if done { break } }`"},
    {"loop", "dp has no `loop`", "write `while true { ... }`"},
    {"repeat", "dp has no `repeat`", "write `for i in 0..n { ... }`"},
    {"foreach", "dp has no `foreach`", "write `for x in xs { ... }`"},
    {"try", "dp has no exceptions", "an error ends the program with its place; check with `if` before"},
    {"throw", "dp has no exceptions", "write `assert condition, \"message\"`"},
    {"raise", "dp has no exceptions", "write `assert condition, \"message\"`"},
    {"print", "a call needs parentheses", "write `print(...)`"},
    {"println", "a call needs parentheses", "write `print(...)`"},
    {"yield", "dp has no generators", "push to an array and return it"},
    {"del", "values are freed by themselves", "leave this out"},
    {"pass", "an empty block is `{}`", "leave this out"},
    {"end", "blocks end with `}`", "write `}`"},
    {"begin", "blocks are written in braces", "write `{ ... }`"},
};

bool is_type_name(const char *word) {
  static const char *const types[] = {"int",  "float", "double", "f64",  "f32", "real",   "bool",
                                      "long", "char",  "size_t", "void", "str", "string", "unsigned"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(word, types[i]) == 0) return true;
  return false;
}

static bool follows(const Parser *p, int n, TokenKind k) { return kind_ahead(p, n) == k && !ahead(p, n)->nl; }

// `const x = 1`, `auto x = 1`, `mut x = 1`: words that declare elsewhere.
static bool hint_declaring_word(Parser *p) {
  const Foreign *f = FIND(statements, cur(p)->text);
  if (!f || f - statements >= N_DECLARING || !follows(p, 1, TOK_NAME)) return false;
  if (!follows(p, 2, TOK_EQ) && !follows(p, 2, TOK_COLON)) return false;
  Diag *g = complain(p, DIAG_FOREIGN, here(p), "%s", f->message);
  help(p, g, "%s", f->help);
  g->replace = strstr(f->help, "var") ? "var" : "let";
  advance(p);
  return true;
}

// `int x = 3`, `double x;`.
static bool hint_typed_variable(Parser *p) {
  const Token *name = ahead(p, 1);
  if (!follows(p, 1, TOK_NAME)) return false;
  bool typed = is_type_name(cur(p)->text), whole = follows(p, 2, TOK_EQ);
  bool word = FIND(statements, cur(p)->text) || FIND(declarations, cur(p)->text);
  if (!typed && (!whole || word)) return false;
  Loc both = loc_join(here(p), token_loc(p, name));
  static const char message[] = "a variable is declared with `let` or `var`";
  Diag *g = whole ? complain(p, DIAG_FOREIGN, both, message) : fail(p, DIAG_FOREIGN, both, message);
  help(p, g, "write `var %s = ...`, or `let %s = ...` if it does not change", name->text, name->text);
  if (whole) g->replace = arena_printf(p->arena, "var %s", name->text);
  if (whole) advance(p);
  return whole;
}

// `x: int = 3`, `x := 3`.
static bool hint_unlet(Parser *p) {
  if (!follows(p, 1, TOK_COLON)) return false;
  Diag *g = complain(p, DIAG_FOREIGN, here(p), "a variable is declared with `let` or `var`");
  help(p, g, "write `let %s = ...`, or `var` if it changes", cur(p)->text);
  return true;
}

bool hint_let(Parser *p) {
  return at(p, TOK_NAME) && (hint_declaring_word(p) || hint_typed_variable(p) || hint_unlet(p));
}

static const TokenKind statement_words[] = {TOK_RETURN, TOK_FOR, TOK_WHILE, TOK_IF,
                                            TOK_ASSERT, TOK_LET, TOK_VAR};
static const TokenKind declaration_words[] = {TOK_STRUCT, TOK_IMPORT, TOK_EXTERN, TOK_ADJOINT, TOK_TANGENT};

// The word that this token was meant to be, or TOK_NAME.
static TokenKind nearest_word(Parser *p, const TokenKind *kinds, int n) {
  Name words[8];
  TokenKind then = kind_ahead(p, 2);
  bool assigns = then == TOK_EQ || then == TOK_COLON;
  for (int i = 0; i < n; i++) {
    const char *text = token_kind_text(kinds[i]); // in backquotes
    bool declares = kinds[i] == TOK_LET || kinds[i] == TOK_VAR;
    words[i] = assigns == declares ? intern(p->names, text + 1, strlen(text) - 2) : NULL;
  }
  Name near = nearest_name(cur(p)->text, words, n);
  for (int i = 0; near && i < n; i++)
    if (words[i] == near) return kinds[i];
  return TOK_NAME;
}

bool hint_word(Parser *p, bool declaration) {
  TokenKind next = kind_ahead(p, 1);
  bool value = next == TOK_NAME || next == TOK_INT || next == TOK_FLOAT || next == TOK_TRUE ||
               next == TOK_FALSE || next == TOK_NOT;
  if (!at(p, TOK_NAME) || ahead(p, 1)->nl || !value) return false;
  const char *word = cur(p)->text;
  if (is_type_name(word) || FIND(statements, word) || FIND(declarations, word)) return false;
#define COUNT(kinds) (int)(sizeof(kinds) / sizeof *(kinds))
  TokenKind meant = declaration ? nearest_word(p, declaration_words, COUNT(declaration_words))
                                : nearest_word(p, statement_words, COUNT(statement_words));
#undef COUNT
  if (meant == TOK_NAME) return false;
  const char *text = token_kind_text(meant);
  Diag *g = complain(p, DIAG_SYNTAX, here(p), "`%s` is no word of the language", word);
  help(p, g, "did you mean %s?", text);
  g->replace = arena_strdup(p->arena, text + 1, strlen(text) - 2);
  p->toks[p->pos].kind = (uint8_t)meant;
  return true;
}

void hint_lambda(Parser *p, Diag *g) {
  help(p, g, "a lambda starts with `fn`: `fn(x) => e`");
  for (int n = -1; p->pos + n >= 0; n--) { // its parameters
    TokenKind k = (TokenKind)p->toks[p->pos + n].kind;
    if (k != TOK_NAME && k != TOK_COMMA && k != TOK_LPAREN && k != TOK_RPAREN) break;
    if (k == TOK_NAME) vec_push(p->arena, &p->module->lost, p->toks[p->pos + n].text);
    if (k == TOK_LPAREN) break;
  }
}

bool hint_prefix(Parser *p) {
  const Token *next = ahead(p, 1);
  bool string = next->kind == TOK_STRING || next->kind == TOK_STR_OPEN;
  if (next->nl) return false;
  if (string && next->glued && cur(p)->len == 1) {
    Diag *g = complain(p, DIAG_FOREIGN, here(p), "a string has no prefix");
    help(p, g, "leave it out: braces in a string hold expressions");
    g->replace = "";
  } else if (at_word(p, "new") && next->kind == TOK_NAME) {
    Diag *g = complain(p, DIAG_FOREIGN, here(p), "a struct is made without `new`");
    help(p, g, "write `%s { ... }`", next->text);
    g->replace = "";
  } else if (at_word(p, "lambda") && (next->kind == TOK_NAME || next->kind == TOK_COLON)) {
    help(p, fail(p, DIAG_FOREIGN, here(p), "a lambda starts with `fn`"), "write `fn(%s) => e`",
         next->kind == TOK_NAME ? next->text : "");
    return true;
  } else {
    return false;
  }
  advance(p);
  return true;
}

bool hint_statement(Parser *p) {
  if (!at(p, TOK_NAME)) return false;
  const Token *next = ahead(p, 1);
  TokenKind k = (TokenKind)next->kind;
  bool word =
      !next->nl && (k == TOK_NAME || k == TOK_LBRACE || k == TOK_STRING || k == TOK_STR_OPEN ||
                    k == TOK_INT || k == TOK_FLOAT || k == TOK_NOT || (k == TOK_LPAREN && !next->glued));
  bool call = k == TOK_LPAREN && strcmp(cur(p)->text, "switch") != 0 && strcmp(cur(p)->text, "foreach") != 0;
  const Foreign *f = word && !call ? FIND(statements, cur(p)->text) : NULL;
  if (!f && word && k == TOK_NAME) f = FIND(declarations, cur(p)->text);
  if (f) {
    help(p, fail(p, DIAG_FOREIGN, here(p), "%s", f->message), "%s", f->help);
    return true;
  }
  return false;
}

bool hint_declaration(Parser *p) {
  if (!at(p, TOK_NAME)) return false;
  TokenKind k = kind_ahead(p, 1);
  if (ahead(p, 1)->nl || (k != TOK_NAME && k != TOK_FN && k != TOK_STRUCT && k != TOK_STRING)) return false;
  const Foreign *f = FIND(declarations, cur(p)->text);
  if (f || (k == TOK_NAME && kind_ahead(p, 2) == TOK_LPAREN)) lose_names(p);
  if (f) {
    help(p, fail(p, DIAG_FOREIGN, here(p), "%s", f->message), "%s", f->help);
    return true;
  }
  if (k != TOK_NAME || kind_ahead(p, 2) != TOK_LPAREN) return false;
  Diag *g = fail(p, DIAG_FOREIGN, here(p), "a function is declared with `fn`");
  help(p, g, "write `fn %s(x: f64) -> f64 { ... }`", ahead(p, 1)->text);
  return true;
}

void help_two_names(Parser *p, Diag *g) {
  help(p, g, "loop over the indices: `for i in 0..len(xs)`, and read `xs[i]` inside");
}

void hint_loop(Parser *p) {
  bool c_style = kind_ahead(p, 2) == TOK_NAME || kind_ahead(p, 2) == TOK_EQ || kind_ahead(p, 1) == TOK_VAR ||
                 kind_ahead(p, 1) == TOK_LET;
  bool destructures = kind_ahead(p, 2) == TOK_COMMA;
  lose_names(p);
  Diag *g = fail(p, DIAG_FOREIGN, here(p),
                 destructures ? "a loop has one variable" : "a loop's head has no parentheses");
  if (destructures)
    help_two_names(p, g);
  else
    help(
        p, g,
        c_style
            ? "write `for i in 0..n { ... }`; with a step `for i in 0..n step 2`, backwards `in reverse 0..n`"
            : "write `for i in 0..n { ... }`");
}

void hint_missing_expr(Parser *p, Diag *g) {
  const Token *a = p->pos > 0 ? &p->toks[p->pos - 1] : cur(p),
              *b = p->pos > 1 ? &p->toks[p->pos - 2] : cur(p);
  if (a->kind == TOK_MINUS && b->kind == TOK_MINUS && a->glued)
    help(p, g, "dp has no operator `--`; write `x -= 1`");
  else if (at(p, TOK_EQ) && a->kind != TOK_EQ)
    help(p, g, "the comparisons are `==`, `!=`, `<=` and `>=`");
  else if (at(p, TOK_DOT_DOT))
    help(p, g, "a range stands after `in` and within the brackets of an index");
  else if (at(p, TOK_FOR))
    help(p, g, "`for` is a statement; an array is made with `[for i in 0..n: e]`");
  else if (at(p, TOK_LET) || at(p, TOK_VAR) || at(p, TOK_RETURN))
    help(p, g, "%s is a statement and has no value", token_kind_text(kind(p)));
  else if (at(p, TOK_GT) && a->kind == TOK_LT)
    help(p, g, "unequal is written `!=`");
  else if (at(p, TOK_INOUT))
    help(p, g, "`inout` marks an argument of a call, or a parameter");
  else if (at(p, TOK_RBRACE) && a->kind == TOK_LBRACE)
    help(p, g, "a value is needed here");
  else if (kind(p) >= TOK_FN && kind(p) <= TOK_NOT && !cur(p)->nl)
    help(p, g, "%s is a word of the language and cannot be a name", token_kind_text(kind(p)));
}

void hint_statement_end(Parser *p, Diag *g) {
  const Token *before = p->pos > 0 ? &p->toks[p->pos - 1] : cur(p);
  if (at(p, TOK_DOT_DOT)) {
    help(p, g, "a range stands after `in` and within the brackets of an index");
  } else if (at(p, TOK_FAT_ARROW)) {
    hint_lambda(p, g);
  } else if (at(p, TOK_COLON) && before->kind == TOK_STRING) {
    help(p, g, "dp has no dictionaries; values with names make a struct");
  } else if (at(p, TOK_COLON)) {
    help(p, g, "blocks are written in braces; a variable is declared with `let` or `var`");
  } else if (at(p, TOK_COMMA)) {
    help(p, g, "several values stand in parentheses: `(a, b)`");
  } else if (at(p, TOK_EQ)) {
    help(p, g, "`==` compares");
  } else if (at_word(p, "if") || at(p, TOK_IF)) {
    help(p, g, "a choice is written `if c { a } else { b }`");
  } else if (before->kind == TOK_RBRACKET && at(p, TOK_LBRACE)) {
    help(p, g, "a struct's sizes follow from its fields: `Name { x: ... }`");
  } else if (before->kind == TOK_INT && at(p, TOK_NAME)) {
    help(p, g, "a product is written with `*`");
  } else if (before->kind == TOK_NAME &&
             (at(p, TOK_NAME) || at(p, TOK_INT) || at(p, TOK_FLOAT) || at(p, TOK_STRING))) {
    help(p, g, "is an operator missing between %s and %s? a call is written `f(x)`",
         token_describe(p->arena, before), token_describe(p->arena, cur(p)));
  } else {
    help(p, g, "put the next statement on a line of its own, or a `;` between the two");
  }
}

void hint_block(Parser *p, Diag *g) {
  if (at(p, TOK_COLON) || at_word(p, "then") || at_word(p, "do"))
    help(p, g, "blocks are written in braces: `{ ... }`");
  else if (at(p, TOK_COMMA))
    help(p, g, "conditions are joined with `and` and `or`");
  else
    help(p, g, "the braces are needed, also around a single statement: `{ ... }`");
}
