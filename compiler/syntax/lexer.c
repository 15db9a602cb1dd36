// Lexer. In: the bytes of a file, whatever they are; out: its tokens, comments and docs. Strings with holes become
// several tokens, so the parser reads a hole's expression like any other and its spans are right.
// What must hold: tokens are in order and do not overlap, the last one is TOK_EOF, each mistake is reported once.
#include "lexer.h"

#include <stdio.h>
#include <string.h>

typedef struct Hole { // an open `{` in a string
  size_t string_off, brace_off;
  int first_token; // of the string
  int depth;       // of brackets within the hole
  bool nl, glued;  // of the string's first token
} Hole;

typedef struct Lexer {
  Arena *arena;
  Interner *names;
  Diags *diags;
  Diag spare; // what mistakes past the limit are written to
  Tokens *out;
  const char *s;
  size_t pos, len;
  int file;
  VEC(Hole) holes;
  StrBuf text;
  bool nl, glued; // of the next token
  bool give_up;   // too many mistakes
  Name keywords[TOKEN_COUNT];
} Lexer;

// ---- tokens in words ------------------------------------------------------------------------------------------

const char *token_kind_text(TokenKind kind) {
  static const char *const texts[] = {
#define TOKEN(kind, text) text,
#include "tokens.def"
  };
  return texts[kind];
}

const char *token_describe(Arena *a, const Token *t) {
  enum { SHOWN = 40 };
  const char *what = t->kind == TOK_NAME                          ? "the name "
                     : t->kind == TOK_INT || t->kind == TOK_FLOAT ? "the number "
                                                                  : NULL;
  if (!what) return token_kind_text(t->kind);
  if (strlen(t->text) <= SHOWN) return arena_printf(a, "%s`%s`", what, t->text);
  int n = SHOWN; // not in the middle of a character
  while (n > 0 && ((unsigned char)t->text[n] & 0xC0) == 0x80) n--;
  return arena_printf(a, "%s`%.*s...`", what, n, t->text);
}

typedef struct Spelling {
  const char *text;
  TokenKind kind;
} Spelling;

static const Spelling keywords[] = {
#define TOKEN(kind, text)
#define KEYWORD(kind, text) {text, kind},
#define PUNCT(kind, text)
#include "tokens.def"
};

static const Spelling puncts[] = {
#define TOKEN(kind, text)
#define KEYWORD(kind, text)
#define PUNCT(kind, text) {text, kind},
#include "tokens.def"
};

enum { N_KEYWORDS = sizeof keywords / sizeof *keywords, N_PUNCTS = sizeof puncts / sizeof *puncts };

// ---- places, mistakes -----------------------------------------------------------------------------------------

Loc loc_at(int file, size_t off, size_t len) {
  enum { LOC_LEN_MAX = (1 << 20) - 1 };
  if (len > LOC_LEN_MAX) len = LOC_LEN_MAX;
  return (Loc){(uint32_t)file & 0xFFF, (uint32_t)len & LOC_LEN_MAX, (uint32_t)off};
}

static Loc span(const Lexer *lx, size_t from, size_t to) { return loc_at(lx->file, from, to - from); }

static char peek(const Lexer *lx, size_t ahead) {
  return lx->pos + ahead < lx->len ? lx->s[lx->pos + ahead] : '\0';
}

static bool at_end(const Lexer *lx) { return lx->pos >= lx->len; }

static Diag *lex_error(Lexer *lx, DiagCode code, Loc loc, const char *message) {
  if (lx->diags->n_errors < TOO_MANY_ERRORS) return diag_add(lx->diags, code, loc, "%s", message);
  lx->give_up = true;
  lx->spare = (Diag){0};
  return &lx->spare;
}

static void push(Lexer *lx, TokenKind kind, size_t from, const char *text) {
  Token t = {(uint32_t)from, (uint32_t)(lx->pos - from), text, (uint8_t)kind, lx->nl, lx->glued, false};
  vec_push(lx->arena, &lx->out->toks, t);
  lx->nl = false;
  lx->glued = true;
}

static TokenKind last_kind(const Lexer *lx) {
  return lx->out->toks.len ? (TokenKind)vec_last(&lx->out->toks).kind : TOK_EOF;
}

// ---- characters -----------------------------------------------------------------------------------------------

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Characters past ASCII are letters, but for those that only look like an operator, a quote or a space.
typedef struct LookAlike {
  const char *bytes, *name, *meant;
} LookAlike;

static const LookAlike look_alikes[] = {
    {"\xC2\xA0", "a no-break space", " "},
    {"\xE2\x80\x8B", "a zero-width space", ""},
    {"\xE2\x80\xAF", "a no-break space", " "},
    {"\xEF\xBB\xBF", "a byte order mark", ""},
    {"\xE2\x80\x9C", "a typographic quote", "\""},
    {"\xE2\x80\x9D", "a typographic quote", "\""},
    {"\xE2\x80\x98", "a typographic quote", "\""},
    {"\xE2\x80\x99", "a typographic quote", "\""},
    {"\xE2\x88\x92", "a minus sign", "-"},
    {"\xE2\x80\x93", "a dash", "-"},
    {"\xE2\x80\x94", "a dash", "-"},
    {"\xC3\x97", "a multiplication sign", "*"},
    {"\xC2\xB7", "a middle dot", "*"},
    {"\xE2\x8B\x85", "a dot operator", "*"},
    {"\xC3\xB7", "a division sign", "/"},
    {"\xE2\x89\xA4", "a less-or-equal sign", "<="},
    {"\xE2\x89\xA5", "a greater-or-equal sign", ">="},
    {"\xE2\x89\xA0", "an unequal sign", "!="},
    {"\xE2\x86\x92", "an arrow", "->"},
    {"\xE2\x87\x92", "an arrow", "=>"},
    {"\xE2\x80\xA6", "an ellipsis", ".."},
    {"\xC2\xB2", "a raised two", "^2"},
    {"\xC2\xB3", "a raised three", "^3"},
};

static const LookAlike *look_alike(const Lexer *lx) {
  if ((unsigned char)peek(lx, 0) < 0xC2) return NULL;
  for (size_t i = 0; i < sizeof look_alikes / sizeof *look_alikes; i++) {
    size_t n = strlen(look_alikes[i].bytes);
    if (lx->len - lx->pos >= n && memcmp(lx->s + lx->pos, look_alikes[i].bytes, n) == 0)
      return &look_alikes[i];
  }
  return NULL;
}

static bool at_name_start(const Lexer *lx) {
  char c = peek(lx, 0);
  return is_letter(c) || ((unsigned char)c >= 0x80 && !look_alike(lx));
}

static bool at_name_part(const Lexer *lx) { return at_name_start(lx) || is_digit(peek(lx, 0)); }

// ---- names and numbers ----------------------------------------------------------------------------------------

static void lex_name(Lexer *lx) {
  size_t from = lx->pos;
  while (!at_end(lx) && at_name_part(lx)) lx->pos++;
  Name name = intern(lx->names, lx->s + from, lx->pos - from);
  for (int i = 0; i < N_KEYWORDS; i++)
    if (lx->keywords[i] == name) {
      push(lx, keywords[i].kind, from, name);
      return;
    }
  push(lx, TOK_NAME, from, name);
}

// Digits with `_` between them, added to the text. False when a `_` stands elsewhere, or there is no digit.
static bool lex_digits(Lexer *lx, bool (*is_one)(char)) {
  size_t from = lx->pos;
  bool good = is_one(peek(lx, 0));
  for (; is_one(peek(lx, 0)) || peek(lx, 0) == '_'; lx->pos++) {
    if (peek(lx, 0) != '_')
      sb_addc(&lx->text, peek(lx, 0));
    else if (!is_one(peek(lx, 1)))
      good = false;
  }
  return good && lx->pos > from;
}

static void bad_number(Lexer *lx, size_t from, const char *message, const char *help, const char *fixed) {
  Diag *g = lex_error(lx, DIAG_NUMBER, span(lx, from, lx->pos), message);
  diag_help(lx->diags, g, "%s", help);
  if (fixed) g->replace = arena_strdup(lx->arena, fixed, strlen(fixed));
}

// What follows the digits without a space: a suffix from another language, or a missing `*`.
static void lex_number_suffix(Lexer *lx, size_t from) {
  size_t at = lx->pos;
  while (!at_end(lx) && at_name_part(lx)) lx->pos++;
  int n = (int)(lx->pos - at > 40 ? 40 : lx->pos - at);
  const char *suffix = arena_printf(lx->arena, "%.*s", n, lx->s + at);
  Diag *g = lex_error(lx, DIAG_NUMBER, span(lx, from, lx->pos),
                      arena_printf(lx->arena, "`%s` cannot follow a number directly", suffix));
  diag_label(lx->diags, g, "neither a number nor a name");
  if (strcmp(lx->text.data, "0") == 0 && (suffix[0] == 'b' || suffix[0] == 'o'))
    diag_help(lx->diags, g, "integers are decimal, or hexadecimal as in `0xff`");
  else if (strchr("fFdDlLuU", suffix[0]) && suffix[1] == '\0')
    diag_help(lx->diags, g, "numbers have no suffix; a float's type follows from where it is used");
  else
    diag_help(lx->diags, g, "a product is written with `*`: `%.40s * %s`", lx->text.data, suffix);
}

static void lex_number(Lexer *lx) {
  size_t from = lx->pos;
  bool part = last_kind(lx) == TOK_DOT; // `t.0.1`: a tuple's part, no fraction
  TokenKind kind = TOK_INT;
  lx->text.len = 0;
  if (!part && peek(lx, 0) == '0' && (peek(lx, 1) == 'x' || peek(lx, 1) == 'X')) {
    lx->pos += 2;
    sb_add(&lx->text, "0x");
    if (!lex_digits(lx, is_hex))
      bad_number(lx, from, "this hexadecimal number is malformed",
                 "write digits after `0x`, with single `_` between them", NULL);
  } else {
    bool good = lex_digits(lx, is_digit);
    if (!part && peek(lx, 0) == '.' && peek(lx, 1) != '.') {
      kind = TOK_FLOAT;
      lx->pos++;
      sb_addc(&lx->text, '.');
      if (is_digit(peek(lx, 0))) {
        good &= lex_digits(lx, is_digit);
      } else {
        sb_addc(&lx->text, '0');
        bad_number(lx, from, "a float needs a digit after its point", "write the zero", lx->text.data);
      }
    }
    if (!part && (peek(lx, 0) == 'e' || peek(lx, 0) == 'E') &&
        (is_digit(peek(lx, 1)) || peek(lx, 1) == '+' || peek(lx, 1) == '-')) {
      kind = TOK_FLOAT;
      sb_addc(&lx->text, 'e');
      lx->pos++;
      if (!is_digit(peek(lx, 0))) {
        sb_addc(&lx->text, peek(lx, 0));
        lx->pos++;
      }
      good &= lex_digits(lx, is_digit);
    }
    if (!good)
      bad_number(lx, from, "this number is malformed",
                 "a `_` stands between two digits, and an exponent has digits, as in `1_000.0e-3`", NULL);
  }
  if (!at_end(lx) && at_name_part(lx)) lex_number_suffix(lx, from);
  push(lx, kind, from, arena_strdup(lx->arena, lx->text.data, (size_t)lx->text.len));
}

// ---- strings --------------------------------------------------------------------------------------------------

// The line ends within a string. All that was read of the outermost one becomes a single TOK_BAD.
static void unterminated_string(Lexer *lx, size_t from) {
  Diag *g;
  if (lx->holes.len) {
    Hole h = lx->holes.data[0];
    g = lex_error(lx, DIAG_STRING, span(lx, h.brace_off, h.brace_off + 1),
                  "this hole in a string is never closed");
    diag_label(lx->diags, g, "`{` opens a hole");
    diag_help(lx->diags, g, "close it with `}` before the end of the line; for a brace as text, write `{{`");
    lx->out->toks.len = h.first_token;
    lx->holes.len = 0;
    lx->nl = h.nl;
    lx->glued = h.glued;
    from = h.string_off;
  } else {
    g = lex_error(lx, DIAG_STRING, span(lx, from, lx->pos), "this string is never closed");
    diag_label(lx->diags, g, "it starts here and the line ends without another `\"`");
    diag_help(lx->diags, g, "close it with `\"`; a line break within a string is written `\\n`");
  }
  push(lx, TOK_BAD, from, NULL);
}

static void lex_escape(Lexer *lx) {
  static const char from[] = "ntr\"\\{}", to[] = "\n\t\r\"\\{}";
  const char *at = peek(lx, 1) ? strchr(from, peek(lx, 1)) : NULL;
  if (at) {
    sb_addc(&lx->text, to[at - from]);
    lx->pos += 2;
    return;
  }
  size_t len = 2;
  while (((unsigned char)peek(lx, len) & 0xC0) == 0x80) len++;
  if (len > lx->len - lx->pos) len = lx->len - lx->pos;
  Diag *g = lex_error(lx, DIAG_STRING, span(lx, lx->pos, lx->pos + len), "unknown escape in a string");
  diag_help(lx->diags, g,
            "the escapes are \\n \\t \\r \\\" \\\\ \\{ and \\}; for a backslash itself, write \\\\");
  lx->pos++; // what follows it is text, or the end of the line
}

// Text of a string up to its end or its next hole; `from` is where the token starts and pos the text.
static void lex_text(Lexer *lx, size_t from, bool first) {
  size_t string_off = first ? from : 0;
  bool nl = lx->nl, glued = lx->glued;
  lx->text.len = 0;
  for (;;) {
    char c = peek(lx, 0);
    if (at_end(lx) || c == '\n') {
      unterminated_string(lx, from);
      return;
    }
    if (c == '"' || (c == '{' && peek(lx, 1) != '{')) break;
    if (c == '\\') {
      lex_escape(lx);
      continue;
    }
    if (c == '}' && peek(lx, 1) != '}') {
      Diag *g =
          lex_error(lx, DIAG_STRING, span(lx, lx->pos, lx->pos + 1), "this `}` closes no hole in the string");
      diag_help(lx->diags, g, "for a brace as text, write `}}`");
      g->replace = "}}";
    }
    if (c == '\0') {
      lex_error(lx, DIAG_LEX, span(lx, lx->pos, lx->pos + 1), "a NUL character cannot stand in a string");
      c = ' ';
    }
    lx->pos += (c == '{' || c == '}') && peek(lx, 1) == c ? 2 : 1;
    sb_addc(&lx->text, c);
  }
  bool closes = peek(lx, 0) == '"';
  lx->pos++;
  const char *text = arena_strdup(lx->arena, lx->text.data, (size_t)lx->text.len);
  int first_token = lx->out->toks.len;
  if (closes) {
    push(lx, first ? TOK_STRING : TOK_STR_CLOSE, from, text);
    if (!first) lx->holes.len--;
    return;
  }
  push(lx, first ? TOK_STR_OPEN : TOK_STR_MID, from, text);
  if (first) {
    Hole h = {string_off, lx->pos - 1, first_token, 0, nl, glued};
    vec_push(lx->arena, &lx->holes, h);
  } else {
    vec_last(&lx->holes).brace_off = lx->pos - 1;
    vec_last(&lx->holes).depth = 0;
  }
}

static void lex_string(Lexer *lx) {
  size_t from = lx->pos++;
  lex_text(lx, from, true);
}

// `:spec` up to the hole's end.
static void lex_spec(Lexer *lx) {
  size_t from = lx->pos++;
  while (!at_end(lx) && !strchr("}\"\n", peek(lx, 0))) lx->pos++;
  push(lx, TOK_STR_SPEC, from, arena_strdup(lx->arena, lx->s + from + 1, lx->pos - from - 1));
}

// Within a hole, a `}` or `:` outside of brackets is the string's.
static bool lex_hole_end(Lexer *lx) {
  if (!lx->holes.len || vec_last(&lx->holes).depth) return false;
  size_t from = lx->pos;
  if (peek(lx, 0) == '}') {
    lx->pos++;
    lex_text(lx, from, false);
    return true;
  }
  if (peek(lx, 0) != ':') return false;
  lex_spec(lx);
  return true;
}

// ---- what other languages write -------------------------------------------------------------------------------

typedef struct Foreign {
  const char *text;
  TokenKind meant;
  const char *replace, *message, *help;
} Foreign;

// Longer spellings first.
static const Foreign foreign[] = {
    {"&&", TOK_AND, "and", "dp writes the logical operators as words", "write `and`"},
    {"||", TOK_OR, "or", "dp writes the logical operators as words", "write `or`"},
    {"**", TOK_CARET, "^", "dp writes powers with `^`", "write `^`; it binds tighter than unary minus"},
    {"..=", TOK_DOT_DOT, "..", "a range never includes its end", "write `a..b + 1` to include b"},
    {"...", TOK_DOT_DOT, "..", "a range is written with two points", "write `..`"},
    {"!", TOK_NOT, "not ", "dp writes the logical operators as words", "write `not`"},
    {"%", TOK_STAR, NULL, "dp has no operator `%`", "the remainder is `mod(a, b)`"},
    {"&", TOK_AND, NULL, "dp has no operator `&`",
     "`and` joins conditions; an argument that the call changes is marked `inout`"},
    {"|", TOK_OR, NULL, "dp has no operator `|`", "`or` joins conditions"},
    {"?", TOK_BAD, NULL, "dp has no operator `?`",
     "choose with `if c { a } else { b }`, which is an expression"},
    {"\\", TOK_BAD, NULL, "a line is not continued with a backslash",
     "an expression goes on by itself after an operator and within parentheses or brackets"},
};

static bool starts_with(const Lexer *lx, const char *text) {
  if (lx->pos >= lx->len || lx->s[lx->pos] != *text) return false; // nearly always
  size_t n = strlen(text);
  return lx->len - lx->pos >= n && memcmp(lx->s + lx->pos, text, n) == 0;
}

// `|x| e`, which begins where a value is due.
static bool lex_pipes(Lexer *lx) {
  TokenKind last = last_kind(lx);
  if (peek(lx, 0) != '|' || (last != TOK_LPAREN && last != TOK_COMMA && last != TOK_EQ)) return false;
  size_t end = lx->pos + 1;
  while (end < lx->len && lx->s[end] != '|' && lx->s[end] != '\n') end++;
  if (end == lx->len || lx->s[end] != '|') return false;
  size_t from = lx->pos;
  lx->pos = end + 1;
  Diag *g = lex_error(lx, DIAG_FOREIGN, span(lx, from, lx->pos), "a lambda starts with `fn`");
  diag_help(lx->diags, g, "write `fn(%.*s) => e`", (int)(end - from - 1), lx->s + from + 1);
  push(lx, TOK_BAD, from, NULL);
  return true;
}

static bool lex_foreign(Lexer *lx) {
  if (lex_pipes(lx)) return true;
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    const Foreign *f = &foreign[i];
    if (!starts_with(lx, f->text) || starts_with(lx, "!=")) continue;
    size_t from = lx->pos;
    lx->pos += strlen(f->text);
    Diag *g = lex_error(lx, DIAG_FOREIGN, span(lx, from, lx->pos), f->message);
    diag_help(lx->diags, g, "%s", f->help);
    g->replace = f->replace;
    push(lx, f->meant, from, NULL);
    vec_last(&lx->out->toks).told = true;
    return true;
  }
  return false;
}

// `x'` is a transpose elsewhere, 'text' a string.
static void lex_apostrophe(Lexer *lx) {
  size_t from = lx->pos++;
  TokenKind last = last_kind(lx);
  if (lx->glued && (last == TOK_NAME || last == TOK_RPAREN || last == TOK_RBRACKET)) {
    Diag *g = lex_error(lx, DIAG_FOREIGN, span(lx, from, lx->pos), "dp has no operator `'`");
    diag_help(lx->diags, g, "a matrix is transposed with `transpose(a)`");
    return;
  }
  size_t end = lx->pos;
  while (end < lx->len && lx->s[end] != '\'' && lx->s[end] != '\n') end++;
  if (end < lx->len && lx->s[end] == '\'') lx->pos = end + 1;
  Diag *g = lex_error(lx, DIAG_STRING, span(lx, from, lx->pos), "strings are written with double quotes");
  diag_help(lx->diags, g, "write \"...\"");
  bool closed = lx->pos > from + 1;
  const char *inner = arena_strdup(lx->arena, lx->s + from + 1, closed ? lx->pos - from - 2 : 0);
  if (closed && !strpbrk(inner, "\"{}\\")) g->replace = arena_printf(lx->arena, "\"%s\"", inner);
  push(lx, closed ? TOK_STRING : TOK_BAD, from, inner);
}

static void lex_look_alike(Lexer *lx, const LookAlike *k) {
  size_t from = lx->pos;
  lx->pos += strlen(k->bytes);
  Diag *g = lex_error(lx, DIAG_LEX, span(lx, from, lx->pos),
                      arena_printf(lx->arena, "%s is not part of dp", k->name));
  if (*k->meant && *k->meant != ' ') diag_help(lx->diags, g, "write `%s`", k->meant);
  g->replace = k->meant;
  if (!*k->meant || *k->meant == ' ') return; // a space after all
  TokenKind kind = TOK_BAD;
  for (int i = 0; i < N_PUNCTS; i++)
    if (strcmp(puncts[i].text, k->meant) == 0) kind = puncts[i].kind;
  push(lx, kind, from, NULL);
}

// A run of characters that mean nothing, reported once.
static void lex_unknown(Lexer *lx) {
  size_t from = lx->pos;
  char c = peek(lx, 0);
  while (!at_end(lx) &&
         (peek(lx, 0) == c || strchr("$`~", peek(lx, 0)) || (unsigned char)peek(lx, 0) < ' ')) {
    if (peek(lx, 0) == '\n') break;
    lx->pos++;
  }
  bool control = (unsigned char)c < ' ' || c == 0x7F;
  const char *message =
      control ? arena_printf(lx->arena, "a control character (0x%02X) is not part of dp", (unsigned char)c)
              : arena_printf(lx->arena, "`%c` is not part of dp", c);
  Diag *g = lex_error(lx, DIAG_LEX, span(lx, from, lx->pos), message);
  if (c == '~') diag_help(lx->diags, g, "`not` negates a condition; `!=` compares");
  push(lx, TOK_BAD, from, NULL);
}

// ---- spaces and comments --------------------------------------------------------------------------------------

static void skip_line(Lexer *lx) {
  const char *end = memchr(lx->s + lx->pos, '\n', lx->len - lx->pos);
  lx->pos = end ? (size_t)(end - lx->s) : lx->len;
}

static void lex_comment(Lexer *lx) {
  size_t from = lx->pos;
  bool doc = starts_with(lx, "///") && !starts_with(lx, "////");
  skip_line(lx);
  size_t end = lx->pos;
  while (end > from && lx->s[end - 1] == '\r') end--;
  if (doc)
    vec_push(lx->arena, &lx->out->docs, span(lx, from, end));
  else
    vec_push(lx->arena, &lx->out->comments, span(lx, from, end));
}

static void lex_foreign_comment(Lexer *lx) {
  size_t from = lx->pos;
  bool block = peek(lx, 0) == '/';
  if (block) {
    lx->pos += 2;
    while (!at_end(lx) && !starts_with(lx, "*/")) {
      lx->nl |= peek(lx, 0) == '\n';
      lx->pos++;
    }
    lx->pos += at_end(lx) ? 0 : 2;
  } else {
    skip_line(lx);
  }
  Diag *g = lex_error(lx, DIAG_FOREIGN, span(lx, from, from + (block ? 2 : 1)), "comments start with `//`");
  diag_help(lx->diags, g, block ? "put `//` before each line" : "write `//`");
  if (!block) g->replace = "//";
}

// Spaces and comments before the next token.
static void skip_blank(Lexer *lx) {
  size_t from = lx->pos;
  for (;;) {
    char c = peek(lx, 0);
    if (at_end(lx) || lx->give_up) break;
    if (c == '\n') {
      if (lx->holes.len) {
        unterminated_string(lx, lx->pos);
        continue;
      }
      lx->nl = true;
      lx->pos++;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      lx->pos++;
    } else if (c == '/' && peek(lx, 1) == '/') {
      lex_comment(lx);
    } else if ((c == '/' && peek(lx, 1) == '*') || c == '#') {
      lex_foreign_comment(lx);
    } else {
      break;
    }
  }
  if (lx->pos > from) lx->glued = false;
}

// ---- the loop -------------------------------------------------------------------------------------------------

static void lex_punct(Lexer *lx) {
  const Spelling *best = NULL;
  size_t best_len = 0;
  for (int i = 0; i < N_PUNCTS; i++) {
    if (!starts_with(lx, puncts[i].text)) continue;
    size_t n = strlen(puncts[i].text);
    if (n > best_len) best = &puncts[i], best_len = n;
  }
  if (!best) {
    lex_unknown(lx);
    return;
  }
  if (lx->holes.len) {
    int *depth = &vec_last(&lx->holes).depth;
    if (strchr("([{", *best->text)) ++*depth;
    if (strchr(")]}", *best->text) && *depth) --*depth;
  }
  size_t from = lx->pos;
  lx->pos += best_len;
  push(lx, best->kind, from, NULL);
}

static void lex_token(Lexer *lx) {
  char c = peek(lx, 0);
  const LookAlike *k = look_alike(lx);
  if (k) {
    lex_look_alike(lx, k);
  } else if (at_name_start(lx)) {
    lex_name(lx);
  } else if (is_digit(c)) {
    lex_number(lx);
  } else if (c == '"') {
    lex_string(lx);
  } else if (c == '\'') {
    lex_apostrophe(lx);
  } else if (!lex_hole_end(lx) && !lex_foreign(lx)) {
    lex_punct(lx);
  }
}

// One mistake per file: what is wrong is its encoding. Of what is no text at all, nothing is read.
static void check_encoding(Lexer *lx) {
  long bad = utf8_first_bad(lx->s, lx->len);
  if (bad < 0) return;
  bool wide = starts_with(lx, "\xFF\xFE") || starts_with(lx, "\xFE\xFF");
  bool text = memchr(lx->s, '\0', lx->len) == NULL;
  Diag *g = lex_error(lx, DIAG_UTF8, span(lx, (size_t)bad, (size_t)bad + 1),
                      wide   ? "this file is UTF-16, and dp reads UTF-8"
                      : text ? "this is not UTF-8"
                             : "this is not a text file");
  diag_label(lx->diags, g, "the byte 0x%02X", (unsigned char)lx->s[bad]);
  if (text || wide) diag_help(lx->diags, g, "save the file in the encoding UTF-8");
  if (wide || !text) lx->give_up = true;
}

void lex_file(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags, Tokens *out) {
  const Source *src = sources_get(sources, loc_at(file, 0, 0));
  Lexer lx = {.arena = a,
              .names = names,
              .diags = diags,
              .out = out,
              .s = src ? src->text : "",
              .len = src ? src->len : 0,
              .file = file,
              .nl = true};
  sb_init(&lx.text, a);
  for (int i = 0; i < N_KEYWORDS; i++) lx.keywords[i] = intern_cstr(names, keywords[i].text);
  check_encoding(&lx);
  if (starts_with(&lx, "\xEF\xBB\xBF")) lx.pos = 3;
  while (!lx.give_up) {
    skip_blank(&lx);
    if (at_end(&lx) && lx.holes.len) unterminated_string(&lx, lx.pos);
    if (at_end(&lx) || lx.give_up) break;
    lex_token(&lx);
  }
  lx.pos = lx.len;
  push(&lx, TOK_EOF, lx.pos, NULL);
}
