// What the parser's files share. parser.c: the cursor, mistakes and getting back on track; parse_decl.c,
// parse_stmt.c, parse_expr.c, parse_literal.c, parse_type.c: the grammar (docs/grammar.md) from the outside in; hints.c: what people
// used to other languages write.
#ifndef DP_PARSER_H
#define DP_PARSER_H

#include "ast.h"
#include "lexer.h"

typedef enum Panic {
  PANIC_NONE,
  PANIC_STMT, // silent until the statement's end
  PANIC_DECL, // silent until the next declaration
} Panic;

typedef struct Parser {
  Arena *arena;
  Interner *names;
  const Sources *sources;
  const Source *src;
  Diags *diags;
  Diag spare; // what silent mistakes are written to
  Token *toks;
  int n_toks, pos, file;
  Tokens lexed;
  int next_doc;   // docs before this one belong to a declaration or to nothing
  VEC(Loc) loose; // docs that belong to nothing
  Module *module;
  Panic panic;
  bool newlines;  // a newline may end a statement here
  bool no_struct; // `name {` opens a block here, not a struct
  int depth;      // of the parser's own recursion
  int height;     // of the tree parsed since it was last set to 0
  VEC(int) open;  // the brackets open at the cursor, as token indices
  int suspect;    // an open `{` whose `}` is indented differently, or -1
  bool
      headless; // the block before lacks its `{`, which is reported, so an `else` here is no mistake of its own
  bool lost_params; // those read last are not all there are
  bool returns;     // the function at hand has a `return` with a value
  int decl_start;   // the first token of the declaration at hand
  int decl_end;     // the last token of the declaration before, or -1
} Parser;

// ---- parser.c: cursor -----------------------------------------------------------------------------------------

static inline const Token *cur(const Parser *p) { return &p->toks[p->pos]; }
static inline TokenKind kind(const Parser *p) { return (TokenKind)p->toks[p->pos].kind; }
static inline bool at(const Parser *p, TokenKind k) { return p->toks[p->pos].kind == k; }
TokenKind kind_ahead(const Parser *p, int n); // TOK_EOF past the end
const Token *ahead(const Parser *p, int n);
void advance(Parser *p);
bool accept(Parser *p, TokenKind k);
bool at_new_line(const Parser *p);               // the cursor's token starts a line, and that matters here
bool at_word(const Parser *p, const char *word); // a name with this spelling
Loc here(const Parser *p);                       // of the cursor's token
Loc gap(const Parser *p); // where something is missing: the cursor's token, or the end of the line before it
Loc since(const Parser *p, Loc from); // from there to the last token read
Loc token_loc(const Parser *p, const Token *t);
const char *found(const Parser *p); // the cursor's token in words, or "the end of the line"

// ---- parser.c: mistakes ---------------------------------------------------------------------------------------

// Reports a mistake at a place, unless the statement already has one, and says no more until the parser is back on
// track. Never NULL.
Diag *fail(Parser *p, DiagCode code, Loc loc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// The same for a mistake whose meaning is clear: the parser goes on as if it were right.
Diag *complain(Parser *p, DiagCode code, Loc loc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// The names from the cursor on to where a value or a body begins go to module->lost.
void lose_names(Parser *p);
void lose_name(Parser *p, int n); // the token n from the cursor on, if it is a name
void help(Parser *p, Diag *g, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// The token, or "expected WHAT, found ...".
bool expect(Parser *p, TokenKind k, const char *what);
Name expect_name(Parser *p, const char *what, Loc *loc); // "_" never NULL; *loc is where it is or should be
// Within brackets newlines are blanks and a struct may follow a name; the state before is put back at their end.
typedef struct Mode {
  bool newlines, no_struct;
} Mode;
Mode bracket_start(Parser *p); // the cursor at the opening one
void bracket_end(Parser *p, Mode m);
void open_bracket(Parser *p);
bool close_bracket(Parser *p, TokenKind k, const char *after); // "expected `)` after AFTER"
// Past a comma. One that is missing before something that can only be the next element is reported, and taken as there.
bool next_in_list(Parser *p, const char *after);
bool close_list(Parser *p, TokenKind k, const char *after); // "expected `,` or `)` after AFTER"
// To the end of the statement that began at token `start` with `base` open brackets.
void recover_statement(Parser *p, int start, int base);
bool recover_bracket(Parser *p, int base);      // past the bracket opened at that height; false: not found
bool recover_block(Parser *p, int base);        // to a `{` further on in the line
bool at_decl(const Parser *p);                  // the cursor starts a declaration, at the beginning of a line
int indent_of(const Parser *p, const Token *t); // of the token's line, in bytes
bool starts_statement(TokenKind k);

// Every recursion of the grammar passes through these. False: nested too deeply, which is reported.
bool enter(Parser *p, int *outer_height);
void leave(Parser *p, int outer_height);
void grow_tree(Parser *p); // one more node on top of the tree at hand

// ---- the grammar ----------------------------------------------------------------------------------------------

void parse_declaration(Parser *p);
FnDecl *parse_fn(Parser *p, FnKind fn_kind);
ParamVec parse_params(Parser *p, bool types_needed); // with the parentheses
// A block after a header that began with `base` open brackets: "expected `{` after AFTER".
Expr *parse_block(Parser *p, int base, const char *after);
Pattern *parse_pattern(Parser *p);
bool at_indented_block(const Parser *p);
void demote_value(Parser *p, Expr *block); // the block stands where values are not used
Expr *parse_expr(Parser *p);
bool at_elif(const Parser *p);                       // `elif` and the like
Expr *parse_condition(Parser *p, const char *after); // of `if` and `while`
Iter parse_iter(Parser *p);                          // name in range [step e]
Expr *parse_int(Parser *p);
Expr *parse_int_min(Parser *p, Loc minus); // after a `-`; NULL if it is not the one int that needs it
Expr *parse_float(Parser *p);
Expr *parse_point_float(Parser *p); // `.5`, a mistake
Expr *parse_string_token(Parser *p);
Expr *parse_holed_string(Parser *p);
int64_t parse_int_token(Parser *p);
bool ends_expression(const Parser *p);
TypeExpr *parse_type(Parser *p);
TypeExpr *type_error(Parser *p);
Expr *expr_new(Parser *p, ExprKind kind, Loc loc);
Expr *expr_error(Parser *p);

// ---- hints.c --------------------------------------------------------------------------------------------------

bool is_type_name(const char *word); // in any language
// Reports what the tokens at the cursor look like in another language, if they do.
bool hint_statement(Parser *p);
bool hint_word(Parser *p, bool declaration); // a misspelt word of the language: from here on it is that word
bool hint_let(Parser *p); // a declaration without its `let`: moves to the name, which is read as declared
bool hint_declaration(Parser *p);
void hint_lambda(Parser *p, Diag *g); // the cursor at a `=>` that belongs to nothing
bool hint_prefix(Parser *p);          // what stands before a value elsewhere: `new P`, f"text", `lambda x:`
void help_two_names(Parser *p, Diag *g); // of a loop with two variables
void hint_loop(Parser *p);               // the cursor at the `(` of `for (`
// Adds what may be meant to a mistake at the cursor.
void hint_missing_expr(Parser *p, Diag *g);
void hint_statement_end(Parser *p, Diag *g);
void hint_block(Parser *p, Diag *g);

#endif
