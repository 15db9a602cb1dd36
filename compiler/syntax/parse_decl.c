// Declarations: functions, rules, externs, structs, imports. What must hold: each declaration that can be recognised
// enters the module, even with mistakes in it, so that its uses are not mistakes too.
#include "parser.h"

#include <string.h>

typedef struct Attributes {
  bool slots, pure;
  Loc loc; // of the first
} Attributes;

// The `///` lines between the token before and the cursor, as one text.
static const char *take_doc(Parser *p) {
  uint32_t from = p->pos ? p->toks[p->pos - 1].off : 0, to = cur(p)->off;
  StrBuf sb;
  bool any = false;
  sb_init(&sb, p->arena);
  for (; p->next_doc < p->lexed.docs.len && p->lexed.docs.data[p->next_doc].off < to; p->next_doc++) {
    Loc l = p->lexed.docs.data[p->next_doc];
    if (l.off < from) {
      vec_push(p->arena, &p->loose, l);
      continue;
    }
    uint32_t skip = l.len > 3 && p->src->text[l.off + 3] == ' ' ? 4 : 3;
    if (any) sb_addc(&sb, '\n');
    sb_addn(&sb, p->src->text + l.off + skip, l.len - skip);
    any = true;
  }
  return any ? sb.data : NULL;
}

// ---- functions ------------------------------------------------------------------------------------------------

static void parse_param_type(Parser *p, Param *par, bool types_needed) {
  bool two = !p->panic && at(p, TOK_NAME) && !at_new_line(p);
  bool type_first = two && is_type_name(par->name);
  if (type_first || (two && types_needed)) { // `f64 x`, `x f64`
    Diag *g = complain(p, DIAG_FOREIGN, par->loc, "a parameter is written `name: type`");
    diag_span(p->diags, g, here(p), "found a second name");
    Name type = type_first ? par->name : cur(p)->text;
    if (type_first) par->name = cur(p)->text;
    help(p, g, "write `%s: %s`", par->name, type);
    advance(p);
    par->type = type_error(p);
    return;
  }
  if (!p->panic && accept(p, TOK_COLON)) {
    par->type = parse_type(p);
    return;
  }
  if (!types_needed) return;
  if (at(p, TOK_LBRACKET) || at(p, TOK_LPAREN) || at(p, TOK_FN))
    help(p,
         fail(p, DIAG_MISSING_TYPE, gap(p), "expected `:` before the type of `%s`, found %s", par->name,
              found(p)),
         "a parameter is written `name: type`");
  help(p, complain(p, DIAG_MISSING_TYPE, par->loc, "the parameter `%s` needs a type", par->name),
       "write for example `%s: f64` or `%s: [n]f64`", par->name, par->name);
  par->type = type_error(p);
}

static Param parse_param(Parser *p, bool types_needed) {
  Param par = {0};
  par.is_inout = accept(p, TOK_INOUT);
  par.name = expect_name(p, "a parameter's name", &par.loc);
  parse_param_type(p, &par, types_needed);
  if (!p->panic && accept(p, TOK_EQ)) par.def = parse_expr(p);
  return par;
}

static bool follows_params(const Parser *p) {
  TokenKind k = kind(p);
  return k == TOK_NAME || k == TOK_ARROW || k == TOK_LBRACE || k == TOK_EQ || k == TOK_FAT_ARROW ||
         k == TOK_COLON || cur(p)->nl;
}

ParamVec parse_params(Parser *p, bool types_needed) {
  ParamVec params = {0};
  int base = p->open.len, start = p->pos;
  p->lost_params = true;
  if (p->panic) return params;
  if (!at(p, TOK_LPAREN)) {
    Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected `(` and the parameters, found %s", found(p));
    if (at(p, TOK_LBRACKET) || at(p, TOK_LT))
      help(p, g, "sizes and types need no parameters of their own: `fn f(x: [n]real)` binds both");
    if (at(p, TOK_DOT)) help(p, g, "dp has no methods: a function takes the struct as a parameter");
    return params;
  }
  Mode m = bracket_start(p);
  while (!p->panic && !at(p, TOK_RPAREN)) {
    Param par = parse_param(p, types_needed);
    vec_push(p->arena, &params, par);
    if (!next_in_list(p, "this parameter")) break;
  }
  close_list(p, TOK_RPAREN, "this parameter");
  bracket_end(p, m);
  p->lost_params = p->panic;
  if (!p->panic) return params;
  if (recover_bracket(p, base) && !follows_params(p)) p->panic = PANIC_STMT; // it was not their end
  for (; start < p->pos; start++)                                            // what they would have declared
    if (p->toks[start].kind == TOK_NAME) vec_push(p->arena, &p->module->lost, p->toks[start].text);
  return params;
}

// `fn f(x: f64) f64 {`
static bool at_bare_result(const Parser *p) {
  if (at_new_line(p)) return false;
  TokenKind next = kind_ahead(p, 1);
  return at(p, TOK_LBRACKET) ||
         (at(p, TOK_NAME) && (next == TOK_LBRACE || next == TOK_EQ || next == TOK_LBRACKET));
}

static void parse_result(Parser *p, FnDecl *f) {
  if (p->panic) return;
  if (at(p, TOK_COLON) && !ahead(p, 1)->nl) {
    Diag *g = complain(p, DIAG_FOREIGN, here(p), "a function's result type follows `->`");
    help(p, g, "write `->`");
    g->replace = "->";
    advance(p);
    f->result = parse_type(p);
  } else if (at_bare_result(p)) {
    help(p, complain(p, DIAG_FOREIGN, here(p), "a function's result type follows `->`"),
         "put `->` before it");
    f->result = parse_type(p);
  } else if (accept(p, TOK_ARROW)) {
    f->result = parse_type(p);
  }
}

static void parse_body(Parser *p, FnDecl *f, int base) {
  bool rule = f->kind != FN_PLAIN;
  if (p->panic || at(p, TOK_LBRACE) || (!at(p, TOK_EQ) && !at(p, TOK_FAT_ARROW) && at_indented_block(p))) {
    f->body = parse_block(p, base, "the function's head");
    if (!rule && !f->result) demote_value(p, f->body);
    return;
  }
  if (!rule && at(p, TOK_FAT_ARROW)) {
    Diag *g = complain(p, DIAG_SYNTAX, here(p), "a function's expression follows `=`");
    help(p, g, "`=>` belongs to lambdas and rules; write `=`");
    g->replace = "=";
  }
  if (accept(p, TOK_EQ) || accept(p, TOK_FAT_ARROW)) {
    f->expr_body = true;
    f->body = parse_expr(p);
    return;
  }
  Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected the body of `%s`, found %s", f->name, found(p));
  help(p, g,
       rule ? "a rule's body is `{ ... }` or `=> expression`" : "a body is `{ ... }` or `= expression`");
  f->body = recover_block(p, base) ? parse_block(p, base, "the function's head") : expr_error(p);
}

static void parse_extern_symbol(Parser *p, FnDecl *f) {
  f->symbol = f->name;
  if (p->panic) return;
  if (at(p, TOK_LBRACE)) {
    help(p, fail(p, DIAG_SYNTAX, here(p), "an extern function has no body"),
         "leave out `extern`, or name the C function: `extern fn %s(...) = \"symbol\"`", f->name);
    return;
  }
  if (!accept(p, TOK_EQ)) return;
  if (!at(p, TOK_STRING) || !*cur(p)->text) {
    fail(p, DIAG_SYNTAX, gap(p), "expected the C function's name in quotes, found %s", found(p));
    return;
  }
  f->symbol = intern_cstr(p->names, cur(p)->text);
  advance(p);
}

FnDecl *parse_fn(Parser *p, FnKind fn_kind) {
  FnDecl *f = ARENA_NEW(p->arena, FnDecl);
  int base = p->open.len;
  f->kind = fn_kind;
  f->module = p->module;
  f->loc = here(p);
  if (fn_kind == FN_EXTERN) advance(p);
  if (fn_kind == FN_EXTERN && !at(p, TOK_FN))
    help(p, fail(p, DIAG_SYNTAX, gap(p), "expected `fn` after `extern`, found %s", found(p)),
         "write `extern fn name(x: f64) -> f64`");
  if (!p->panic) advance(p);
  f->name = expect_name(p,
                        fn_kind == FN_ADJOINT || fn_kind == FN_TANGENT
                            ? "the name of the function that the rule is for"
                            : "the function's name",
                        &f->name_loc);
  if (at(p, TOK_DOT)) f->name = intern_cstr(p->names, "_"); // `fn P.f(self)`: P is the struct's name
  f->params = parse_params(p, true);
  f->broken = p->lost_params;
  parse_result(p, f);
  p->returns = false;
  if (fn_kind == FN_EXTERN)
    parse_extern_symbol(p, f);
  else
    parse_body(p, f, base);
  f->lacks_result = p->returns && !f->result && !f->expr_body && fn_kind == FN_PLAIN;
  f->loc = since(p, f->loc);
  return f;
}

// ---- structs --------------------------------------------------------------------------------------------------

static void parse_struct_sizes(Parser *p, StructDecl *s) {
  open_bracket(p);
  while (!p->panic && !at(p, TOK_RBRACKET)) {
    Loc loc;
    Name name = expect_name(p, "a size's name", &loc);
    vec_push(p->arena, &s->sizes, name);
    if (!accept(p, TOK_COMMA)) break;
  }
  close_list(p, TOK_RBRACKET, "this size");
}

// To the field after the faulty one.
static void recover_field(Parser *p, int base) {
  if (p->panic == PANIC_DECL) return;
  p->open.len = base;
  while (!at(p, TOK_EOF) && !at(p, TOK_RBRACE) && !at(p, TOK_COMMA) && !at_decl(p)) {
    advance(p);
    if (cur(p)->nl) break;
  }
  accept(p, TOK_COMMA);
  p->panic = PANIC_NONE;
}

static void parse_field_decl(Parser *p, StructDecl *s) {
  FieldDecl f = {0};
  int base = p->open.len;
  f.doc = take_doc(p);
  f.name = expect_name(p, "a field's name", &f.loc);
  bool type_first = !p->panic && at(p, TOK_NAME) && !cur(p)->nl && is_type_name(f.name);
  if (type_first) { // `f64 x;`
    Diag *g = complain(p, DIAG_FOREIGN, f.loc, "a field is written `name: type`");
    help(p, g, "write `%s: %s`", cur(p)->text, f.name);
    f.name = cur(p)->text;
    advance(p);
    f.type = type_error(p);
    if (!accept(p, TOK_SEMI)) accept(p, TOK_COMMA);
    vec_push(p->arena, &s->fields, f);
    return;
  }
  if (!p->panic && !at(p, TOK_COLON))
    help(p, fail(p, DIAG_MISSING_TYPE, gap(p), "expected `:` and the field's type, found %s", found(p)),
         "a field is written `%s: f64`", f.name);
  if (!p->panic) advance(p);
  f.type = parse_type(p);
  if (!p->panic && at(p, TOK_EQ))
    help(p, fail(p, DIAG_SYNTAX, here(p), "a field has no default value"),
         "give it where the struct is made");
  if (!p->panic && at(p, TOK_SEMI)) {
    Diag *g = complain(p, DIAG_SYNTAX, here(p), "fields are separated by `,` or a new line");
    g->replace = ",";
    advance(p);
  } else if (!p->panic && !accept(p, TOK_COMMA) && !cur(p)->nl && !at(p, TOK_RBRACE)) {
    fail(p, DIAG_SYNTAX, here(p), "expected `,` or `}` after this field, found %s", found(p));
  }
  if (f.type->kind != TYPEX_ERROR || !p->panic) vec_push(p->arena, &s->fields, f);
  if (p->panic) recover_field(p, base);
}

static void parse_struct_decl(Parser *p, const char *doc) {
  StructDecl *s = ARENA_NEW(p->arena, StructDecl);
  s->module = p->module;
  s->doc = doc;
  s->loc = here(p);
  advance(p);
  s->name = expect_name(p, "the struct's name", &s->name_loc);
  if (at(p, TOK_LBRACKET) && !p->panic) parse_struct_sizes(p, s);
  if (!p->panic && !at(p, TOK_LBRACE))
    help(p, fail(p, DIAG_SYNTAX, gap(p), "expected `{` and the fields, found %s", found(p)),
         "a struct is written `struct P { x: f64, y: f64 }`");
  if (!p->panic || recover_block(p, 0)) {
    int opener = p->pos;
    open_bracket(p);
    while (!at(p, TOK_RBRACE) && !at(p, TOK_EOF) && !at_decl(p) && p->panic != PANIC_DECL)
      parse_field_decl(p, s);
    if (!p->panic && !accept(p, TOK_RBRACE)) {
      Diag *g = fail(p, DIAG_UNCLOSED, token_loc(p, &p->toks[opener]), "this `{` is never closed");
      diag_span(p->diags, g, gap(p), "`}` expected before %s", token_describe(p->arena, cur(p)));
    }
  }
  s->loc = since(p, s->loc);
  vec_push(p->arena, &p->module->structs, s);
}

// ---- imports --------------------------------------------------------------------------------------------------

static bool is_name(const char *s, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char c = s[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return len > 0;
}

// `import "nets/model.dp"` is called model.
static void default_alias(Parser *p, Import *im) {
  const char *base = strrchr(im->path, '/');
  base = base ? base + 1 : im->path;
  size_t len = strcspn(base, ".");
  if (is_name(base, len)) {
    im->alias = intern(p->names, base, len);
    return;
  }
  help(p, fail(p, DIAG_SYNTAX, im->path_loc, "this file's name cannot name the module"),
       "name it yourself: `import \"...\" as model`");
}

static void parse_import(Parser *p) {
  Import im = {.loc = here(p)};
  advance(p);
  im.path_loc = gap(p);
  if (at(p, TOK_STRING) || at(p, TOK_NAME)) {
    im.path = im.alias = cur(p)->text;
    im.is_std = at(p, TOK_NAME);
    advance(p);
  } else {
    Diag *g = fail(p, DIAG_SYNTAX, gap(p), "expected a module to import, found %s", found(p));
    help(p, g, "`import linalg` is a standard module, `import \"model.dp\" as model` a file");
    return;
  }
  if (accept(p, TOK_AS)) {
    Loc loc;
    im.alias = expect_name(p, "the module's name after `as`", &loc);
  } else if (!im.is_std) {
    default_alias(p, &im);
  }
  im.loc = since(p, im.loc);
  if (im.alias) vec_push(p->arena, &p->module->imports, im);
}

// ---- what stands at the top level -----------------------------------------------------------------------------

static Attributes parse_attributes(Parser *p) {
  Attributes a = {.loc = here(p)};
  while (!p->panic && at(p, TOK_AT)) {
    Loc from = here(p), loc;
    advance(p);
    Name name = expect_name(p, "an attribute's name after `@`", &loc);
    if (p->panic) break;
    if (strcmp(name, "slots") == 0) {
      a.slots = true;
    } else if (strcmp(name, "pure") == 0) {
      a.pure = true;
    } else {
      help(p, complain(p, DIAG_ATTRIBUTE, since(p, from), "a declaration has no attribute `@%s`", name),
           strcmp(name, "checkpoint") == 0 ? "`@checkpoint` stands before a `for` loop"
                                           : "an `extern fn` may have `@slots` and `@pure`");
      int base = p->open.len;
      if (!at(p, TOK_LPAREN)) continue;
      open_bracket(p);
      p->panic = PANIC_STMT;
      if (!recover_bracket(p, base)) break;
    }
  }
  return a;
}

// Did a block end right before the declaration at hand?
static bool after_block(const Parser *p) {
  return p->decl_end >= 0 && p->toks[p->decl_end].kind == TOK_RBRACE;
}

static void stray_brace(Parser *p) {
  Diag *g = fail(p, DIAG_UNCLOSED, here(p), "this `}` closes nothing");
  if (after_block(p))
    diag_span(p->diags, g, token_loc(p, &p->toks[p->decl_end]), "the declaration before already ends here");
}

static void parse_stray(Parser *p) {
  if (at(p, TOK_RBRACE)) {
    stray_brace(p);
    return;
  }
  if (hint_word(p, true)) {
    parse_declaration(p);
    return;
  }
  if (hint_declaration(p)) return;
  TokenKind k = kind(p);
  if (k == TOK_RPAREN || k == TOK_RBRACKET) {
    fail(p, DIAG_UNCLOSED, here(p), "this %s closes nothing", token_kind_text(k));
    return;
  }
  if (k == TOK_LET || k == TOK_VAR) lose_names(p);
  bool statement = starts_statement(k) || k == TOK_IF || k == TOK_NAME || k == TOK_ELSE;
  Diag *g = statement ? fail(p, DIAG_OUTSIDE, here(p), "a statement stands outside of any function")
                      : fail(p, DIAG_SYNTAX, here(p), "expected a declaration, found %s",
                             token_describe(p->arena, cur(p)));
  if (after_block(p))
    diag_span(p->diags, g, token_loc(p, &p->toks[p->decl_end]), "the function before ends here");
  if (k == TOK_LET || k == TOK_VAR)
    help(p, g, "statements belong in a function; a constant is one without parameters: `fn pi2() = 6.28`");
  else
    help(p, g,
         statement ? "statements belong in a function; a program starts in `fn main() { ... }`"
                   : "a file holds `fn`, `struct`, `import`, `extern`, `adjoint` and `tangent`");
}

static void add_fn(Parser *p, FnKind fn_kind, const char *doc, Attributes a) {
  bool attributed = a.slots || a.pure;
  if (attributed && fn_kind != FN_EXTERN)
    help(p, complain(p, DIAG_ATTRIBUTE, a.loc, "only an `extern fn` has attributes"), "leave it out");
  FnDecl *f = parse_fn(p, fn_kind);
  f->doc = doc;
  f->slots = a.slots;
  f->pure = a.pure;
  if (strcmp(f->name, "_") != 0) vec_push(p->arena, &p->module->fns, f);
}

void parse_declaration(Parser *p) {
  const char *doc = take_doc(p);
  Attributes a = parse_attributes(p);
  if (p->panic) return;
  bool attributed = a.slots || a.pure;
  switch (kind(p)) {
  case TOK_FN: add_fn(p, FN_PLAIN, doc, a); break;
  case TOK_EXTERN: add_fn(p, FN_EXTERN, doc, a); break;
  case TOK_ADJOINT: add_fn(p, FN_ADJOINT, doc, a); break;
  case TOK_TANGENT: add_fn(p, FN_TANGENT, doc, a); break;
  case TOK_STRUCT:
  case TOK_IMPORT:
    if (attributed) complain(p, DIAG_ATTRIBUTE, a.loc, "only an `extern fn` has attributes");
    if (at(p, TOK_STRUCT))
      parse_struct_decl(p, doc);
    else
      parse_import(p);
    break;
  default: parse_stray(p); return;
  }
  if (p->panic || cur(p)->nl || at(p, TOK_SEMI) || at(p, TOK_EOF)) return;
  if (at(p, TOK_RBRACE)) {
    stray_brace(p);
    return;
  }
  Diag *g = fail(p, DIAG_SYNTAX, here(p), "expected the end of the declaration, found %s", found(p));
  hint_statement_end(p, g);
}
