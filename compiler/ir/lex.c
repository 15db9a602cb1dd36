// Tokens of the IR's text form. In: any bytes; out: one token at a time, IR_TOK_BAD for what is none.
#include "ir/internal.h"

#include <ctype.h>

static char peek(const IrLexer *x, uint32_t ahead) {
  return x->len - x->pos > ahead ? x->text[x->pos + ahead] : 0;
}

static bool is_word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

static void skip_blanks(IrLexer *x) {
  while (x->pos < x->len) {
    if (isspace((unsigned char)peek(x, 0)))
      x->pos++;
    else if (peek(x, 0) == '/' && peek(x, 1) == '/')
      while (x->pos < x->len && peek(x, 0) != '\n') x->pos++;
    else
      return;
  }
}

static Name take_word(IrLexer *x) {
  uint32_t from = x->pos;
  while (is_word_char(peek(x, 0))) x->pos++;
  return x->pos > from ? intern(x->names, x->text + from, x->pos - from) : NULL;
}

// -1.5e-7: word characters, and a sign after an exponent's e.
static Name take_number(IrLexer *x) {
  uint32_t from = x->pos++;
  for (;; x->pos++) {
    char before = x->text[x->pos - 1];
    bool sign = (peek(x, 0) == '-' || peek(x, 0) == '+') && (before == 'e' || before == 'E');
    if (!is_word_char(peek(x, 0)) && !sign) break;
  }
  return intern(x->names, x->text + from, x->pos - from);
}

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int take_escape(IrLexer *x) {
  char c = peek(x, 0);
  x->pos++;
  switch (c) {
  case 'n': return '\n';
  case 't': return '\t';
  case '"':
  case '\\': return c;
  case 'x': {
    int hi = hex(peek(x, 0)), lo = hi < 0 ? -1 : hex(peek(x, 1));
    x->pos += lo < 0 ? 0 : 2;
    return lo < 0 || hi * 16 + lo == 0 ? -1 : hi * 16 + lo;
  }
  default: return -1;
  }
}

// From the opening quote; NULL for a string that does not end on its line or holds a bad escape.
static Name take_string(IrLexer *x) {
  StrBuf sb;
  sb_init(&sb, x->arena);
  x->pos++;
  while (peek(x, 0) != '"') {
    char c = peek(x, 0);
    if (c == 0 || c == '\n') return NULL;
    x->pos++;
    int code = c == '\\' ? take_escape(x) : (unsigned char)c;
    if (code < 0) return NULL;
    sb_addc(&sb, (char)code);
  }
  x->pos++;
  return intern(x->names, sb.data, (size_t)sb.len);
}

static IrTok named(IrTokKind kind, Name text) {
  return (IrTok){.kind = text ? kind : IR_TOK_BAD, .text = text};
}

static IrTok lex_one(IrLexer *x) {
  char c = peek(x, 0);
  if (c == '"') return named(IR_TOK_STR, take_string(x));
  if (c == '%') return x->pos++, named(IR_TOK_VALUE, take_word(x));
  if (c == '@') {
    x->pos++;
    return named(IR_TOK_FUNC, peek(x, 0) == '"' ? take_string(x) : take_word(x));
  }
  if (c == '-' && peek(x, 1) == '>') return x->pos += 2, (IrTok){.kind = IR_TOK_ARROW};
  if (c == '-' || isdigit((unsigned char)c)) return named(IR_TOK_NUM, take_number(x));
  if (is_word_char(c)) return named(IR_TOK_WORD, take_word(x));
  x->pos++;
  if (c && !(c & 0x80) && ispunct((unsigned char)c)) return (IrTok){.kind = IR_TOK_PUNCT, .punct = c};
  return (IrTok){.kind = IR_TOK_BAD};
}

IrTok ir_lex(IrLexer *x) {
  skip_blanks(x);
  if (x->pos >= x->len) return (IrTok){.kind = IR_TOK_END, .off = x->len};
  uint32_t from = x->pos;
  IrTok t = lex_one(x);
  t.off = from;
  t.len = x->pos - from;
  return t;
}
