// Literals: numbers and strings with holes. What must hold: a number that its type cannot hold is reported, and a hole's
// expression is an ordinary one whose spans are places in the file.
#include "parser.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

// ---- integers -------------------------------------------------------------------------------------------------

// False when it does not fit; 2^63 fits if `negated`.
static bool int_value(const char *text, bool negated, int64_t *value) {
  uint64_t v = 0, base = text[0] == '0' && text[1] == 'x' ? 16 : 10, limit = (uint64_t)INT64_MAX + negated;
  for (const char *s = base == 16 ? text + 2 : text; *s; s++) {
    uint64_t digit = (uint64_t)(*s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10);
    if (v > (limit - digit) / base) return false;
    v = v * base + digit;
  }
  *value = negated ? (int64_t)(0 - v) : (int64_t)v;
  return true;
}

static void int_too_large(Parser *p, Loc loc) {
  Diag *g = complain(p, DIAG_NUMBER, loc, "this number does not fit into `int`");
  diag_label(p->diags, g, "the largest is 9223372036854775807");
  help(p, g, "an `int` has 64 bits; written with a point, as in `1.0e20`, it is a float");
}

int64_t parse_int_token(Parser *p) {
  int64_t v = 0;
  if (!int_value(cur(p)->text, false, &v)) int_too_large(p, here(p));
  advance(p);
  return v;
}

Expr *parse_int(Parser *p) {
  Expr *e = expr_new(p, EXPR_INT, here(p));
  e->int_value = parse_int_token(p);
  return e;
}

// The one int whose digits fit only with the sign.
Expr *parse_int_min(Parser *p, Loc minus) {
  int64_t v;
  TokenKind next = kind_ahead(p, 1);
  if (!at(p, TOK_INT) || next == TOK_CARET || next == TOK_DOT || int_value(cur(p)->text, false, &v) ||
      !int_value(cur(p)->text, true, &v))
    return NULL;
  advance(p);
  Expr *e = expr_new(p, EXPR_INT, since(p, minus));
  e->int_value = v;
  return e;
}

// ---- floats ---------------------------------------------------------------------------------------------------

// Whatever locale the process is in.
static double read_f64(const char *text) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  locale_t before = c ? uselocale(c) : (locale_t)0;
  double v = strtod(text, NULL);
  if (!c) return v;
  uselocale(before);
  freelocale(c);
  return v;
}

static Expr *float_new(Parser *p, Loc loc, const char *text) {
  Expr *e = expr_new(p, EXPR_FLOAT, loc);
  e->flt.text = text;
  e->flt.value = read_f64(text);
  bool zero = e->flt.value == 0 && strcspn(text, "123456789") < strcspn(text, "e");
  if (e->flt.value > 1.7976931348623157e308 || zero) {
    Diag *g = complain(p, DIAG_NUMBER, loc, "this number is too %s for `f64`", zero ? "small" : "large");
    diag_label(p->diags, g, "it would become %s", zero ? "0.0" : "infinite");
    help(p, g, "`f64` reaches from 4.9e-324 to 1.79e308%s", zero ? "" : "; infinity is `inf`");
  }
  return e;
}

Expr *parse_float(Parser *p) {
  Expr *e = float_new(p, here(p), cur(p)->text);
  advance(p);
  return e;
}

// `.5`, the cursor at the point.
Expr *parse_point_float(Parser *p) {
  Loc loc = loc_join(here(p), token_loc(p, ahead(p, 1)));
  const char *text = arena_printf(p->arena, "0.%s", ahead(p, 1)->text);
  Diag *g = complain(p, DIAG_NUMBER, loc, "a float needs a digit before its point");
  help(p, g, "write the zero");
  g->replace = text;
  p->pos += 2;
  return float_new(p, loc, text);
}

// ---- strings --------------------------------------------------------------------------------------------------

Expr *parse_string_token(Parser *p) {
  Expr *e = expr_new(p, EXPR_STRING, here(p));
  StringPart part = {cur(p)->text, NULL, ""};
  vec_push(p->arena, &e->string, part);
  advance(p);
  return e;
}

static void parse_hole(Parser *p, StringPart *part) {
  if (at(p, TOK_STR_MID) || at(p, TOK_STR_CLOSE) || at(p, TOK_STR_SPEC)) {
    help(p, fail(p, DIAG_STRING, here(p), "this hole in a string is empty"),
         "put an expression between the braces; for braces as text, write `{{}}`");
    return;
  }
  part->hole = parse_expr(p);
  part->spec = "";
  if (p->panic) return;
  if (at(p, TOK_STR_SPEC)) {
    part->spec = cur(p)->text;
    advance(p);
  }
  if (!at(p, TOK_STR_MID) && !at(p, TOK_STR_CLOSE))
    fail(p, DIAG_SYNTAX, here(p), "expected `}` or `:` after the expression in a string, found %s", found(p));
}

Expr *parse_holed_string(Parser *p) {
  Expr *e = expr_new(p, EXPR_STRING, here(p));
  Mode m = {p->newlines, p->no_struct};
  p->newlines = p->no_struct = false;
  for (;;) {
    StringPart part = {cur(p)->text, NULL, ""};
    bool last = at(p, TOK_STR_CLOSE);
    advance(p);
    if (!last) parse_hole(p, &part);
    vec_push(p->arena, &e->string, part);
    if (last || p->panic) break;
  }
  bracket_end(p, m);
  e->loc = since(p, e->loc);
  return e;
}
