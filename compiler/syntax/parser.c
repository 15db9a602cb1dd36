// Parser, its core: the cursor, reporting mistakes, getting back on track, and limits. In: a file's tokens; out: a
// Module. What must hold: one mistake gives one diagnostic, the cursor always moves on, and no input nests deeper than
// the limits below, here or in any later stage that walks the tree.
#include "parser.h"

#include <string.h>

enum {
  MAX_NESTING = 256, // of the grammar's recursion
  MAX_HEIGHT = 1000, // of an expression's tree: what later stages recurse over
};

// ---- cursor ---------------------------------------------------------------------------------------------------

const Token *ahead(const Parser *p, int n) {
  int i = p->pos + n < p->n_toks ? p->pos + n : p->n_toks - 1;
  return &p->toks[i];
}

TokenKind kind_ahead(const Parser *p, int n) { return (TokenKind)ahead(p, n)->kind; }

void advance(Parser *p) {
  if (p->pos < p->n_toks - 1) p->pos++;
}

bool accept(Parser *p, TokenKind k) {
  if (!at(p, k)) return false;
  advance(p);
  return true;
}

bool at_new_line(const Parser *p) { return p->newlines && cur(p)->nl; }

bool at_word(const Parser *p, const char *word) { return at(p, TOK_NAME) && strcmp(cur(p)->text, word) == 0; }

Loc token_loc(const Parser *p, const Token *t) { return loc_at(p->file, t->off, t->len); }

Loc here(const Parser *p) { return token_loc(p, cur(p)); }

static Loc last_end(const Parser *p) {
  if (p->pos == 0) return loc_at(p->file, 0, 0);
  const Token *t = &p->toks[p->pos - 1];
  return loc_at(p->file, (size_t)t->off + t->len, 0);
}

Loc gap(const Parser *p) { return cur(p)->nl || at(p, TOK_EOF) ? last_end(p) : here(p); }

Loc since(const Parser *p, Loc from) {
  Loc end = last_end(p);
  return end.off < from.off ? from : loc_join(from, end);
}

const char *found(const Parser *p) {
  if (at(p, TOK_EOF)) return "the end of the file";
  if (at_new_line(p)) return "the end of the line";
  const char *what = token_describe(p->arena, cur(p));
  return cur(p)->nl ? arena_printf(p->arena, "%s on the next line", what) : what;
}

int indent_of(const Parser *p, const Token *t) {
  int lo = 0, hi = p->src->n_lines - 1; // the last line that starts at or before the token
  while (lo < hi) {
    int mid = lo + (hi - lo + 1) / 2;
    if (p->src->line_starts[mid] <= t->off)
      lo = mid;
    else
      hi = mid - 1;
  }
  uint32_t start = p->src->line_starts[lo], i = start;
  while (i < t->off && (p->src->text[i] == ' ' || p->src->text[i] == '\t')) i++;
  return (int)(i - start);
}

// ---- mistakes -------------------------------------------------------------------------------------------------

// Where a declaration can start again; the one at hand is given up.
static void skip_to_declaration(Parser *p) {
  int indent = indent_of(p, &p->toks[p->decl_start]);
  if (p->pos == p->decl_start) advance(p);
  while (!at(p, TOK_EOF) && !(at_decl(p) && indent_of(p, cur(p)) <= indent)) {
    bool let = cur(p)->nl &&
               (at(p, TOK_LET) || at(p, TOK_VAR)); // also outside of any function, and told with the first
    if (let && indent_of(p, cur(p)) <= indent) lose_names(p);
    advance(p);
  }
  p->panic = PANIC_DECL;
}

static Diag *report(Parser *p, DiagCode code, Loc loc, const char *fmt, va_list ap) {
  if (p->diags->n_errors < TOO_MANY_ERRORS)
    return diag_add(p->diags, code, loc, "%s", arena_vprintf(p->arena, fmt, ap));
  p->pos = p->n_toks - 1;
  p->panic = PANIC_DECL;
  p->spare = (Diag){0};
  return &p->spare;
}

Diag *fail(Parser *p, DiagCode code, Loc loc, const char *fmt, ...) {
  bool silent = p->panic || at(p, TOK_BAD) || cur(p)->told;
  if (!p->panic) p->panic = PANIC_STMT;
  p->spare = (Diag){0};
  if (silent) return &p->spare;
  va_list ap;
  va_start(ap, fmt);
  Diag *g = report(p, code, loc, fmt, ap);
  va_end(ap);
  return g;
}

Diag *complain(Parser *p, DiagCode code, Loc loc, const char *fmt, ...) {
  p->spare = (Diag){0};
  if (p->panic) return &p->spare;
  va_list ap;
  va_start(ap, fmt);
  Diag *g = report(p, code, loc, fmt, ap);
  va_end(ap);
  return g;
}

void lose_name(Parser *p, int n) {
  const Token *t = ahead(p, n);
  if (t->kind == TOK_NAME) vec_push(p->arena, &p->module->lost, t->text);
}

void lose_names(Parser *p) {
  for (int n = 0; n < 16; n++) {
    const Token *t = ahead(p, n);
    bool opening = t->kind == TOK_LPAREN && n == 0;
    if (t->kind == TOK_NAME)
      vec_push(p->arena, &p->module->lost, t->text);
    else if ((n > 0 && t->nl) ||
             (t->kind != TOK_LET && t->kind != TOK_VAR && t->kind != TOK_COMMA && !opening))
      return;
  }
}

void help(Parser *p, Diag *g, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  if (g != &p->spare) diag_help(p->diags, g, "%s", arena_vprintf(p->arena, fmt, ap));
  va_end(ap);
}

bool expect(Parser *p, TokenKind k, const char *what) {
  if (p->panic) return false;
  if (accept(p, k)) return true;
  fail(p, DIAG_SYNTAX, gap(p), "expected %s, found %s", what, found(p));
  return false;
}

Name expect_name(Parser *p, const char *what, Loc *loc) {
  *loc = gap(p);
  if (!p->panic && at(p, TOK_NAME)) {
    *loc = here(p);
    advance(p);
    return p->toks[p->pos - 1].text;
  }
  bool keyword = kind(p) >= TOK_FN && kind(p) <= TOK_NOT && !at_new_line(p);
  Diag *g = fail(p, DIAG_SYNTAX, *loc, "expected %s, found %s", what, found(p));
  if (keyword) help(p, g, "%s is a word of the language and cannot be a name", token_kind_text(kind(p)));
  return intern_cstr(p->names, "_");
}

// ---- brackets -------------------------------------------------------------------------------------------------

void open_bracket(Parser *p) {
  vec_push(p->arena, &p->open, p->pos);
  advance(p);
}

Mode bracket_start(Parser *p) {
  Mode m = {p->newlines, p->no_struct};
  p->newlines = p->no_struct = false;
  open_bracket(p);
  return m;
}

void bracket_end(Parser *p, Mode m) {
  p->newlines = m.newlines;
  p->no_struct = m.no_struct;
}

// Is the rest of the line after token `at` a comment?
static bool comment_between(const Parser *p, int at) {
  uint32_t from = p->toks[at].off + p->toks[at].len, to = cur(p)->off;
  const Token *next = &p->toks[at + 1 < p->n_toks ? at + 1 : at];
  int indent = 0;
  for (int i = 0; i < p->lexed.comments.len; i++) {
    Loc l = p->lexed.comments.data[i];
    if (l.off < from || l.off >= to) continue;
    for (uint32_t k = from; k < l.off; k++) indent += p->src->text[k] == '\n';
    return indent == 0 && next->nl;
  }
  return false;
}

static bool close_after(Parser *p, TokenKind k, const char *comma, const char *after) {
  if (p->panic) return false;
  const Token *opener = &p->toks[vec_last(&p->open)];
  if (accept(p, k)) {
    p->open.len--;
    return true;
  }
  const char *close = token_kind_text(k), *open = token_kind_text((TokenKind)opener->kind);
  bool lost = cur(p)->nl || at(p, TOK_EOF) || at(p, TOK_LBRACE) || at(p, TOK_RBRACE);
  Diag *g = fail(p, lost ? DIAG_UNCLOSED : DIAG_SYNTAX, gap(p), "expected %s%s after %s, found %s", comma,
                 close, after, found(p));
  diag_span(p->diags, g, token_loc(p, opener), "this %s is still open", open);
  if (at(p, TOK_DOT_DOT)) help(p, g, "a range stands after `in` and within the brackets of an index");
  if (at(p, TOK_EQ)) help(p, g, "`==` compares; `=` assigns, and is a statement");
  if (at(p, TOK_FOR)) {
    help(p, g, "the loop comes first: `[for x in xs: e]`, `sum(for x in xs: e)`");
    lose_name(p, 1);
  }
  if (at(p, TOK_FAT_ARROW)) hint_lambda(p, g);
  if (at(p, TOK_STRING)) help(p, g, "strings are joined by holes: `\"{a}{b}\"`");
  if (at(p, TOK_SEMI)) help(p, g, "the parts of a list are separated by `,`");
  if (lost && comment_between(p, p->pos - 1))
    help(p, g, "`//` starts a comment; the floored quotient of ints is `div(a, b)`");
  return false;
}

bool close_list(Parser *p, TokenKind k, const char *after) { return close_after(p, k, "`,` or ", after); }

// `(a b)`: something that can only be the next element stands where a comma should be.
static bool lacks_comma(const Parser *p) {
  if (at(p, TOK_STRING) && p->pos && p->toks[p->pos - 1].kind == TOK_STRING) return false; // joined elsewhere
  switch (kind(p)) {
  case TOK_NAME:
  case TOK_INT:
  case TOK_FLOAT:
  case TOK_STRING:
  case TOK_STR_OPEN:
  case TOK_TRUE:
  case TOK_FALSE:
  case TOK_INOUT: return !p->panic && !cur(p)->nl && !cur(p)->told;
  default: return false;
  }
}

bool next_in_list(Parser *p, const char *after) {
  if (p->panic) return false;
  if (accept(p, TOK_COMMA)) return true;
  if (!lacks_comma(p)) return false;
  Diag *g = complain(p, DIAG_SYNTAX, here(p), "expected `,` after %s, found %s", after, found(p));
  help(p, g, "put a `,` between the two");
  return !p->panic;
}

bool close_bracket(Parser *p, TokenKind k, const char *after) { return close_after(p, k, "", after); }

static bool is_opener(TokenKind k) { return k == TOK_LPAREN || k == TOK_LBRACKET || k == TOK_LBRACE; }
static bool is_closer(TokenKind k) { return k == TOK_RPAREN || k == TOK_RBRACKET || k == TOK_RBRACE; }

// ---- getting back on track ------------------------------------------------------------------------------------

bool at_decl(const Parser *p) {
  if (!cur(p)->nl) return false;
  TokenKind next = kind_ahead(p, 1);
  switch (kind(p)) {
  case TOK_FN:
  case TOK_ADJOINT:
  case TOK_TANGENT:
  case TOK_STRUCT: return next == TOK_NAME;
  case TOK_IMPORT: return next == TOK_NAME || next == TOK_STRING;
  case TOK_EXTERN: return true;
  case TOK_AT: {
    TokenKind after = kind_ahead(p, 2);
    return next == TOK_NAME &&
           (after == TOK_EXTERN || after == TOK_FN || after == TOK_AT || after == TOK_STRUCT);
  }
  default: return false;
  }
}

bool starts_statement(TokenKind k) {
  return k == TOK_LET || k == TOK_VAR || k == TOK_FOR || k == TOK_WHILE || k == TOK_BREAK ||
         k == TOK_CONTINUE || k == TOK_RETURN || k == TOK_ASSERT;
}

// An operator that continues the line before.
static bool continues_line(TokenKind k) {
  return (k >= TOK_PLUS && k <= TOK_GT_EQ && k != TOK_MINUS && k != TOK_AT) || k == TOK_DOT ||
         k == TOK_DOT_DOT || k == TOK_AND || k == TOK_OR || k == TOK_ELSE;
}

// The innermost bracket of this kind above `base`, not looking past a `{`; -1 if there is none.
static int find_open(const Parser *p, int base, TokenKind opener) {
  for (int i = p->open.len - 1; i >= base; i--) {
    TokenKind k = (TokenKind)p->toks[p->open.data[i]].kind;
    if (k == opener) return i;
    if (k == TOK_LBRACE) break;
  }
  return -1;
}

static TokenKind opener_of(TokenKind closer) {
  return closer == TOK_RPAREN ? TOK_LPAREN : closer == TOK_RBRACKET ? TOK_LBRACKET : TOK_LBRACE;
}

// Keeps the list of open brackets right while skipping; false at a `}` that closes an enclosing block.
static bool skip_token(Parser *p, int base) {
  TokenKind k = kind(p);
  if (is_opener(k)) {
    vec_push(p->arena, &p->open, p->pos);
  } else if (is_closer(k)) {
    int i = find_open(p, base, opener_of(k));
    if (i >= 0) p->open.len = i;
    if (i < 0 && k == TOK_RBRACE) return false;
  }
  advance(p);
  return true;
}

// Does a statement begin here, although brackets of the faulty one seem open? Indentation and keywords tell.
static bool is_past_statement(Parser *p, int start, int base) {
  TokenKind k = kind(p);
  if (!cur(p)->nl) return false;
  if (p->open.len == base) return !continues_line(k);
  if (!is_closer(k) && indent_of(p, cur(p)) <= indent_of(p, &p->toks[start])) return true;
  if (!starts_statement(k) && !at_decl(p)) return false;
  int block = find_open(p, base, TOK_LBRACE);
  if (block >= 0) p->open.len = block + 1;
  return block < 0;
}

void recover_statement(Parser *p, int start, int base) {
  if (p->panic == PANIC_DECL) return;
  bool moved = p->pos > start;
  while (!at(p, TOK_EOF)) {
    if (moved && is_past_statement(p, start, base)) break;
    if (at(p, TOK_SEMI) && p->open.len == base) break;
    if (!skip_token(p, base)) break;
    moved = true;
  }
  p->open.len = base;
  p->panic = PANIC_NONE;
}

bool recover_bracket(Parser *p, int base) {
  if (p->panic == PANIC_DECL) return false;
  while (!at(p, TOK_EOF) && !at(p, TOK_LBRACE) && !at_decl(p) && skip_token(p, base)) {
    if (p->open.len > base) continue;
    p->panic = PANIC_NONE;
    return true;
  }
  return false;
}

bool recover_block(Parser *p, int base) {
  if (p->panic == PANIC_DECL) return false;
  for (int i = p->pos; i < p->n_toks; i++) {
    const Token *t = &p->toks[i];
    if ((t->nl && (i > p->pos || t->kind != TOK_LBRACE)) || t->kind == TOK_RBRACE || t->kind == TOK_EOF)
      return false;
    if (t->kind != TOK_LBRACE) continue;
    p->pos = i;
    p->open.len = base;
    p->panic = PANIC_NONE;
    return true;
  }
  return false;
}

// ---- limits ---------------------------------------------------------------------------------------------------

static void too_deep(Parser *p, const char *what, int limit) {
  Diag *g = complain(p, DIAG_NESTING, here(p), "%s: more than %d levels", what, limit);
  diag_label(p->diags, g, "too deep from here on");
  help(p, g, "split it into several statements or functions, or into parts with parentheses");
  if (p->panic != PANIC_DECL) skip_to_declaration(p);
}

bool enter(Parser *p, int *outer_height) {
  *outer_height = p->height;
  p->height = 0;
  p->depth++;
  if (p->depth > MAX_NESTING) too_deep(p, "this is nested too deeply", MAX_NESTING);
  return p->panic != PANIC_DECL;
}

void leave(Parser *p, int outer_height) {
  p->depth--;
  if (p->height < outer_height) p->height = outer_height;
}

void grow_tree(Parser *p) {
  if (++p->height > MAX_HEIGHT && p->panic != PANIC_DECL)
    too_deep(p, "this expression is too long", MAX_HEIGHT);
}

// ---- a module -------------------------------------------------------------------------------------------------

static Name module_name(Parser *p, const char *path) {
  const char *base = strrchr(path, '/');
  base = base ? base + 1 : path;
  const char *dot = strrchr(base, '.');
  return intern(p->names, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

// Ordinary comments and docs that belong to nothing, in the order of the file.
static void collect_comments(Parser *p) {
  for (; p->next_doc < p->lexed.docs.len; p->next_doc++)
    vec_push(p->arena, &p->loose, p->lexed.docs.data[p->next_doc]);
  int i = 0, j = 0;
  while (i < p->lexed.comments.len || j < p->loose.len) {
    bool doc = i == p->lexed.comments.len ||
               (j < p->loose.len && p->loose.data[j].off < p->lexed.comments.data[i].off);
    Loc l = doc ? p->loose.data[j++] : p->lexed.comments.data[i++];
    vec_push(p->arena, &p->module->comments, l);
  }
}

// The lexer runs first, so its findings come before the parser's; the reader wants them in the file's order.
static void sort_diags(Diags *d, int from) {
  for (int i = from + 1; i < d->list.len; i++) {
    Diag *g = d->list.data[i];
    int j = i;
    for (; j > from && d->list.data[j - 1]->primary.loc.off > g->primary.loc.off; j--)
      d->list.data[j] = d->list.data[j - 1];
    d->list.data[j] = g;
  }
}

static Parser parser_of(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags) {
  Parser p = {.arena = a, .names = names, .sources = sources, .diags = diags, .file = file};
  p.module = ARENA_NEW(a, Module);
  p.module->file = file;
  p.src = sources_get(sources, loc_at(file, 0, 0));
  p.module->path = p.src ? p.src->path : "";
  if (!p.src) return p;
  lex_file(a, names, sources, file, diags, &p.lexed);
  p.toks = p.lexed.toks.data;
  p.n_toks = p.lexed.toks.len;
  p.decl_end = p.suspect = -1;
  return p;
}

Module *parse_module(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags) {
  int diags_before = diags->list.len;
  Parser p = parser_of(a, names, sources, file, diags);
  if (!p.src) return p.module;
  p.module->name = module_name(&p, p.module->path);
  while (!at(&p, TOK_EOF)) {
    p.panic = PANIC_NONE;
    p.open.len = 0;
    p.newlines = true;
    p.no_struct = false;
    p.suspect = -1;
    p.depth = p.height = 0;
    p.decl_start = p.pos;
    if (accept(&p, TOK_SEMI)) continue;
    parse_declaration(&p);
    if (p.panic == PANIC_STMT) skip_to_declaration(&p);
    if (p.pos == p.decl_start) advance(&p);
    p.decl_end = p.pos - 1;
  }
  collect_comments(&p);
  sort_diags(diags, diags_before);
  return p.module;
}

Expr *parse_expression_text(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags) {
  int diags_before = diags->list.len, errors_before = diags->n_errors;
  Parser p = parser_of(a, names, sources, file, diags);
  if (!p.src) return NULL;
  Expr *e = parse_expr(&p);
  if (!at(&p, TOK_EOF)) {
    Diag *g = fail(&p, DIAG_SYNTAX, here(&p), "expected the end of the expression, found %s", found(&p));
    help(&p, g, "this is one expression, such as `f` or `grad(f, wrt: x)`");
  }
  sort_diags(diags, diags_before);
  return diags->n_errors > errors_before ? NULL : e;
}
