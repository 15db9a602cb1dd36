// Tokens: what lexer.c makes of a file and parser.c reads.
#ifndef DP_LEXER_H
#define DP_LEXER_H

#include "support/support.h"

typedef enum TokenKind {
#define TOKEN(kind, text) kind,
#include "tokens.def"
  TOKEN_COUNT
} TokenKind;

typedef struct Token {
  uint32_t off, len;
  const char *text; // a name; a number without its `_`; a string's text or format, escapes resolved
  uint8_t kind;     // TokenKind
  bool nl;          // the first on its line
  bool glued;       // no space before it
  bool told;        // it stands for another language's operator, which is reported
} Token;

typedef struct Tokens {
  VEC(Token) toks; // the last one is TOK_EOF
  VEC(Loc) comments, docs;
} Tokens;

// Cuts a file into tokens. What is not a token is reported and becomes TOK_BAD, or the token that was meant where that
// is clear (`&&` gives TOK_AND). Any bytes will do; after too many mistakes the rest of the file is left out.
void lex_file(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags, Tokens *out);

const char *token_kind_text(TokenKind kind);          // "`+`", "a name"
const char *token_describe(Arena *a, const Token *t); // "`+`", "the name `x`", "the number `3`"
Loc loc_at(int file, size_t off, size_t len);         // clamped to what a Loc holds

// Mistakes after which the rest of a file is not worth reading.
enum { TOO_MANY_ERRORS = 500 };

#endif
