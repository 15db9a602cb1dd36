// Reads the text form of the IR. In: any text; out: a module of the same structure as the one printed, or diagnostics
// with their places. Operands are checked before anything is built, so the builder's demands hold; what only
// ir_verify_module sees is left to it. After an error the parser goes on with the next function.
#define _GNU_SOURCE // strtod_l: numbers are read alike in every locale
#include "ir/internal.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 200, MAX_ARGS = UINT16_MAX };

typedef VEC(IrTok) Toks;

// Result types as an operation spells them.
typedef struct ResultTypes {
  VEC(IrType) types;
  VEC(const IrVal *) dims;
} ResultTypes;

typedef struct Parser {
  Arena *arena;
  Interner *names;
  Diags *diags;
  int file;
  IrLexer lex;
  IrTok tok;
  bool failed;   // in this function; then every token is the end
  NameMap kinds; // operation by name
  IrModule *module;
  IrFunc *func;
  NameMap values;
  int depth;
} Parser;

// ---- tokens ----------------------------------------------------------------------------------------------------------

static Loc loc_of(const Parser *p, IrTok t) {
  uint32_t len = t.len < (1u << 20) ? t.len : (1u << 20) - 1;
  return (Loc){.file = (uint32_t)p->file & 0xFFF, .len = len, .off = t.off};
}

__attribute__((format(printf, 4, 5))) static bool error_at(Parser *p, DiagCode code, IrTok at,
                                                           const char *fmt, ...) {
  if (p->failed) return false;
  va_list ap;
  va_start(ap, fmt);
  diag_add(p->diags, code, loc_of(p, at), "%s", arena_vprintf(p->arena, fmt, ap));
  va_end(ap);
  p->failed = true;
  p->tok = (IrTok){.kind = IR_TOK_END, .off = at.off};
  return false;
}

static void next(Parser *p) {
  if (!p->failed) p->tok = ir_lex(&p->lex);
}

static bool expected(Parser *p, const char *what) {
  IrTok t = p->tok;
  const char *why = t.kind == IR_TOK_STR ? " (a string that does not end, or a bad escape)" : "";
  if (t.kind == IR_TOK_END) return error_at(p, DIAG_SYNTAX, t, "expected %s, but the text ends here", what);
  return error_at(p, DIAG_SYNTAX, t, "expected %s here%s", what, t.kind == IR_TOK_BAD ? why : "");
}

static bool at_punct(const Parser *p, char c) { return p->tok.kind == IR_TOK_PUNCT && p->tok.punct == c; }
static bool at_word(const Parser *p, const char *w) {
  return p->tok.kind == IR_TOK_WORD && strcmp(p->tok.text, w) == 0;
}

static bool accept_punct(Parser *p, char c) {
  if (!at_punct(p, c)) return false;
  next(p);
  return true;
}

static bool accept_word(Parser *p, const char *w) {
  if (!at_word(p, w)) return false;
  next(p);
  return true;
}

static bool expect_punct(Parser *p, char c) {
  return accept_punct(p, c) || expected(p, arena_printf(p->arena, "`%c`", c));
}

static bool expect_word(Parser *p, const char *w) {
  return accept_word(p, w) || expected(p, arena_printf(p->arena, "`%s`", w));
}

// A token of this kind, or NULL after an error.
static Name expect_text(Parser *p, IrTokKind kind, const char *what) {
  Name text = p->tok.text;
  if (p->tok.kind != kind) return expected(p, what), NULL;
  next(p);
  return text;
}

static Name accept_string(Parser *p) {
  return p->tok.kind == IR_TOK_STR ? expect_text(p, IR_TOK_STR, "a string") : NULL;
}

static int64_t expect_int(Parser *p) {
  IrTok at = p->tok;
  Name text = expect_text(p, IR_TOK_NUM, "a whole number");
  if (!text) return 0;
  char *end;
  errno = 0;
  long long v = strtoll(text, &end, 10);
  if (*end || errno) error_at(p, DIAG_SYNTAX, at, "`%s` is not a whole number of 64 bits", text);
  return v;
}

static int expect_count(Parser *p) {
  IrTok at = p->tok;
  int64_t v = expect_int(p);
  if (v >= 0 && v <= MAX_ARGS) return (int)v;
  error_at(p, DIAG_SYNTAX, at, "a count cannot be %lld", (long long)v);
  return 0;
}

static double expect_float(Parser *p, IrElem e) {
  IrTok at = p->tok;
  if (accept_word(p, "inf")) return __builtin_inf();
  if (accept_word(p, "nan")) return __builtin_nan("");
  Name text = expect_text(p, IR_TOK_NUM, "a number");
  if (!text) return 0;
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!c) return error_at(p, DIAG_SYNTAX, at, "out of memory"), 0;
  char *end;
  double v = e == IR_F32 ? (double)strtof_l(text, &end, c) : strtod_l(text, &end, c);
  freelocale(c);
  if (*end) error_at(p, DIAG_SYNTAX, at, "`%s` is not a number", text);
  return v;
}

// ---- values and types ------------------------------------------------------------------------------------------------

static bool bind(Parser *p, IrTok at, IrVal v) {
  if (p->failed) return false;
  if (name_map_find(&p->values, at.text))
    return error_at(p, DIAG_SYNTAX, at, "%%%s is defined twice", at.text);
  name_map_put(&p->values, at.text, v);
  if (at.text[0] < '0' || at.text[0] > '9') ir_name(p->func, v, at.text);
  return true;
}

// A value that is visible in region r; 0 after an error.
static IrVal operand(Parser *p, const IrRegion *r) {
  IrTok at = p->tok;
  Name name = expect_text(p, IR_TOK_VALUE, "a value");
  if (!name) return 0;
  const uint32_t *v = name_map_find(&p->values, name);
  if (!v) return error_at(p, DIAG_SYNTAX, at, "%%%s is not defined before its use", name), 0;
  if (!ir_inside(r, ir_val(p->func, *v)->region))
    return error_at(p, DIAG_SYNTAX, at, "%%%s is defined in a region that is not around its use", name), 0;
  return *v;
}

static void operands(Parser *p, const IrRegion *r, IrVals *out) {
  do {
    IrVal v = operand(p, r);
    if (out->len == MAX_ARGS) error_at(p, DIAG_SYNTAX, p->tok, "more than %d operands", MAX_ARGS);
    if (p->failed) return;
    vec_push(p->arena, out, v);
  } while (accept_punct(p, ','));
}

static void operands_in_parens(Parser *p, const IrRegion *r, IrVals *out) {
  if (!expect_punct(p, '(') || accept_punct(p, ')')) return;
  operands(p, r, out);
  expect_punct(p, ')');
}

static IrElem expect_elem(Parser *p) {
  for (IrElem e = IR_BOOL; e <= IR_STRING; e++)
    if (accept_word(p, ir_elem_text(e))) return e;
  expected(p, "bool, int, f32, f64 or str");
  return IR_F64;
}

// A size in a type: one of the results left of it (IR_RESULT), or a value visible in r.
static IrVal parse_dim(Parser *p, const IrRegion *r, const Toks *results, int n) {
  for (int i = 0; i < n && i < results->len; i++)
    if (p->tok.kind == IR_TOK_VALUE && results->data[i].text == p->tok.text) return next(p), IR_RESULT(i);
  IrTok at = p->tok;
  IrVal v = operand(p, r);
  if (v && !ir_type_eq(ir_type(p->func, v), IR_SCALAR(IR_INT)))
    error_at(p, DIAG_SYNTAX, at, "a size must be an int");
  return v;
}

// f64[%n, %m] with values visible in r; without a region, f64[_, _]. dims has room for IR_MAX_RANK.
static IrType parse_type(Parser *p, const IrRegion *r, const Toks *results, int n, IrVal *dims) {
  IrType t = IR_SCALAR(expect_elem(p));
  if (p->failed || !accept_punct(p, '[')) return t;
  if (accept_punct(p, '*')) {
    t.rank = 1, t.grow = true;
    expect_punct(p, ']');
    return t;
  }
  do {
    if (t.rank == IR_MAX_RANK) error_at(p, DIAG_SYNTAX, p->tok, "an array has at most %d axes", IR_MAX_RANK);
    if (p->failed) return t;
    if (r)
      dims[t.rank] = parse_dim(p, r, results, n);
    else
      expect_word(p, "_");
    t.rank++;
  } while (accept_punct(p, ','));
  expect_punct(p, ']');
  return t;
}

// `-> f64, f64[%n]` if it is there.
static bool parse_result_types(Parser *p, const IrRegion *r, const Toks *results, ResultTypes *out) {
  if (p->tok.kind != IR_TOK_ARROW) return false;
  next(p);
  do {
    IrVal dims[IR_MAX_RANK] = {0};
    IrType t = parse_type(p, r, results, out->types.len, dims);
    if (out->types.len == MAX_ARGS) error_at(p, DIAG_SYNTAX, p->tok, "more than %d results", MAX_ARGS);
    if (p->failed) return false;
    vec_push(p->arena, &out->types, t);
    vec_push(p->arena, &out->dims, ir_dims_copy(p->func, dims, t.grow ? 0 : t.rank));
  } while (accept_punct(p, ','));
  return true;
}

// ---- operations ------------------------------------------------------------------------------------------------------

typedef struct Statement {
  IrBuilder *b;
  IrOpKind kind;
  IrTok at;     // the operation's name
  Toks results; // names on the left
} Statement;

static void parse_region(Parser *p, IrBuilder *in);

static bool check_operands(Parser *p, const Statement *s, const IrVals *args, int64_t attr) {
  IrInfer q = {.func = p->func, .kind = s->kind, .attr = attr, .args = args->data, .n = args->len};
  const char *why = p->failed ? NULL : ir_infer(&q);
  if (why) error_at(p, DIAG_SYNTAX, s->at, "the operands of `%s` do not fit: %s", s->at.text, why);
  return !p->failed;
}

static IrOp *last_op(const Statement *s) { return vec_last(&s->b->region->ops); }

static void parse_const(Parser *p, const Statement *s) {
  IrElem e = expect_elem(p);
  if (e == IR_BOOL) {
    bool yes = at_word(p, "true");
    if (accept_word(p, "true") || expect_word(p, "false")) ir_const_bool(s->b, yes);
  } else if (e == IR_INT) {
    int64_t v = expect_int(p);
    if (!p->failed) ir_const_int(s->b, v);
  } else if (e == IR_STRING) {
    expected(p, "bool, int, f32 or f64");
  } else {
    double v = expect_float(p, e);
    if (!p->failed) ir_const_float(s->b, e, v);
  }
}

typedef struct Elements {
  VEC(double) f;
  VEC(int64_t) i;
} Elements;

static void parse_element(Parser *p, IrElem e, Elements *out) {
  if (e == IR_F32 || e == IR_F64) {
    vec_push(p->arena, &out->f, expect_float(p, e));
    return;
  }
  bool yes = at_word(p, "true");
  bool word = e == IR_BOOL && (accept_word(p, "true") || expect_word(p, "false"));
  vec_push(p->arena, &out->i, word ? yes : e == IR_INT ? expect_int(p) : 0);
}

static void parse_table(Parser *p, const Statement *s) {
  IrElem e = expect_elem(p);
  IrVals dims = {0};
  Elements all = {0};
  if (e == IR_STRING) expected(p, "bool, int, f32 or f64");
  if (!p->failed) operands(p, s->b->region, &dims);
  expect_punct(p, '[');
  while (!p->failed && !at_punct(p, ']')) {
    parse_element(p, e, &all);
    if (!accept_punct(p, ',')) break;
  }
  expect_punct(p, ']');
  if (!check_operands(p, s, &dims, 0)) return;
  IrTable *t = ARENA_NEW(p->arena, IrTable);
  bool floats = e == IR_F32 || e == IR_F64;
  *t = (IrTable){floats ? all.f.len : all.i.len, floats ? all.f.data : NULL, floats ? NULL : all.i.data};
  ir_table(s->b, e, t, dims.data, dims.len);
}

static void parse_convert(Parser *p, const Statement *s) {
  IrTok at = p->tok;
  IrElem to = expect_elem(p);
  bool floats = s->kind == IR_ITOF || s->kind == IR_FCVT;
  if (floats ? to != IR_F32 && to != IR_F64 : to != IR_INT)
    error_at(p, DIAG_SYNTAX, at, "`%s` does not convert to this type", s->at.text);
  IrVals args = {0};
  if (!p->failed) operands(p, s->b->region, &args);
  if (check_operands(p, s, &args, 0)) ir_convert(s->b, s->kind, to, args.data[0]);
}

// Operands, then what may follow them: flags of a matrix product, the text of a check.
static void parse_place(Parser *p, IrOp *op) {
  op->on_stack = accept_word(p, "on_stack");
  op->kept = accept_word(p, "kept");
}

static void parse_plain(Parser *p, const Statement *s) {
  IrVals args = {0};
  int64_t flags = s->kind == IR_FILL && accept_word(p, "unset") ? IR_UNSET : 0;
  if (ir_op_info[s->kind].args != 0) operands(p, s->b->region, &args);
  if (s->kind == IR_MATMUL || s->kind == IR_MATACC) {
    if (accept_word(p, "trans_a")) flags |= IR_TRANS_A;
    if (accept_word(p, "trans_b")) flags |= IR_TRANS_B;
  }
  if (!check_operands(p, s, &args, flags)) return;
  if (s->kind == IR_MATMUL)
    ir_matmul(s->b, args.data[0], args.data[1], flags);
  else if (s->kind == IR_MATACC)
    ir_matacc(s->b, args.data[0], args.data[1], args.data[2], flags);
  else
    ir_op(s->b, s->kind, args.data, args.len);
  if (flags) last_op(s)->attr.i = flags;
  bool may_stack = s->kind == IR_MATMUL || s->kind == IR_FILL || s->kind == IR_COPY;
  if (may_stack) parse_place(p, last_op(s));
}

static void parse_check(Parser *p, const Statement *s) {
  parse_plain(p, s);
  Name what = accept_string(p);
  if (!p->failed) last_op(s)->attr.sym = what;
}

static void parse_str(Parser *p, const Statement *s) {
  Name text = expect_text(p, IR_TOK_STR, "a string");
  if (text) ir_str(s->b, text);
}

static void parse_format(Parser *p, const Statement *s) {
  Name text = expect_text(p, IR_TOK_STR, "a template");
  IrVals args = {0};
  if (text) operands_in_parens(p, s->b->region, &args);
  if (!check_operands(p, s, &args, 0)) return;
  ir_op(s->b, IR_FORMAT, args.data, args.len);
  last_op(s)->attr.sym = text;
}

static void parse_empty(Parser *p, const Statement *s) {
  IrElem e = expect_elem(p);
  if (!p->failed) ir_empty(s->b, e);
}

static IrDeriv *parse_deriv(Parser *p) {
  IrDeriv *d = ARENA_NEW(p->arena, IrDeriv);
  if (accept_word(p, "jvps")) {
    d->kind = IR_JVPS;
  } else if (!accept_word(p, "vjp")) {
    if (!expect_word(p, "jvp")) return d;
    d->kind = IR_JVP;
  }
  d->callee = expect_text(p, IR_TOK_FUNC, "a function");
  if (!expect_word(p, "wrt") || accept_word(p, "none")) return d;
  Name bits = p->tok.text;
  if (p->tok.kind != IR_TOK_NUM || strspn(bits, "01") != strlen(bits))
    return expected(p, "a 0 or 1 per parameter"), d;
  next(p);
  d->n_params = (int)strlen(bits);
  bool *wrt = ARENA_ARRAY(p->arena, bool, d->n_params);
  for (int i = 0; i < d->n_params; i++) wrt[i] = bits[i] == '1';
  d->wrt = wrt;
  return d;
}

static IrExtern *parse_extern(Parser *p) {
  IrExtern *x = ARENA_NEW(p->arena, IrExtern);
  x->symbol = expect_text(p, IR_TOK_STR, "a symbol");
  x->slots = accept_word(p, "slots");
  x->pure = accept_word(p, "pure");
  return x;
}

static IrTrain *parse_train(Parser *p) {
  IrTrain *t = ARENA_NEW(p->arena, IrTrain);
  t->loss = expect_text(p, IR_TOK_FUNC, "the loss");
  expect_punct(p, ',');
  t->loss_grad = expect_text(p, IR_TOK_FUNC, "the loss with its gradient");
  if (expect_word(p, "params")) t->n_params = expect_count(p);
  if (expect_word(p, "data")) t->n_data = expect_count(p);
  if (accept_word(p, "captured")) t->n_captured = expect_count(p);
  return t;
}

// (operands) -> results
static IrOp *parse_call_like(Parser *p, const Statement *s) {
  IrVals args = {0};
  ResultTypes r = {0};
  if (!p->failed) operands_in_parens(p, s->b->region, &args);
  if (!p->failed) parse_result_types(p, s->b->region, &s->results, &r);
  if (p->failed) return NULL;
  return ir_op_explicit(s->b, s->kind, args.data, args.len, r.types.data, r.dims.data, r.types.len);
}

static void parse_call(Parser *p, const Statement *s) {
  Name callee = expect_text(p, IR_TOK_FUNC, "a function");
  IrOp *op = parse_call_like(p, s);
  if (op) op->attr.sym = callee;
}

static void parse_dcall(Parser *p, const Statement *s) {
  IrDeriv *d = parse_deriv(p);
  IrOp *op = parse_call_like(p, s);
  if (op) op->attr.deriv = d;
}

static void parse_extern_call(Parser *p, const Statement *s) {
  IrExtern *x = parse_extern(p);
  IrOp *op = parse_call_like(p, s);
  if (op) op->attr.ext = x;
}

static void parse_train_call(Parser *p, const Statement *s) {
  IrTrain *t = parse_train(p);
  IrOp *op = parse_call_like(p, s);
  if (op) op->attr.train = t;
}

// ---- operations with regions -----------------------------------------------------------------------------------------

static void expect_new_value(Parser *p, Toks *names) {
  IrTok at = p->tok;
  if (expect_text(p, IR_TOK_VALUE, "a name for a value")) vec_push(p->arena, names, at);
}

static void bind_args(Parser *p, const Toks *names, const IrRegion *r) {
  for (int i = 0; i < names->len && i < r->n_args; i++) bind(p, names->data[i], r->args[i]);
}

// with (%a = %init, ...), or nothing.
static void parse_carried(Parser *p, const Statement *s, Toks *names, IrVals *inits) {
  if (!accept_word(p, "with") || !expect_punct(p, '(') || accept_punct(p, ')')) return;
  do {
    expect_new_value(p, names);
    if (!expect_punct(p, '=')) return;
    IrVal v = operand(p, s->b->region);
    if (inits->len == MAX_ARGS - 3) error_at(p, DIAG_SYNTAX, p->tok, "too many carried values");
    if (p->failed) return;
    vec_push(p->arena, inits, v);
  } while (accept_punct(p, ','));
  expect_punct(p, ')');
}

static void parse_for(Parser *p, const Statement *s) {
  Toks names = {0};
  IrVals bounds = {0}, inits = {0};
  expect_new_value(p, &names);
  if (!expect_punct(p, '=')) return;
  operands(p, s->b->region, &bounds);
  if (!p->failed && bounds.len != 3) error_at(p, DIAG_SYNTAX, s->at, "a loop has a start, an end and a step");
  parse_carried(p, s, &names, &inits);
  int64_t every = 0;
  if (accept_word(p, "checkpoint"))
    every = accept_word(p, "block") ? IR_BLOCK + expect_int(p) : expect_int(p);
  int64_t lanes = accept_word(p, "lanes") ? expect_int(p) : 0;
  if (lanes < 0 || lanes > UINT8_MAX) error_at(p, DIAG_SYNTAX, s->at, "a loop has up to 255 lanes");
  bool masked = lanes && accept_word(p, "masked");
  if (!check_operands(p, s, &bounds, 0)) return;
  IrBuilder body;
  IrOp *op = ir_for(s->b, bounds.data[0], bounds.data[1], bounds.data[2], inits.data, inits.len, &body);
  op->attr.i = every;
  op->lanes = (uint8_t)lanes;
  op->masked = masked;
  bind_args(p, &names, op->regions[0]);
  parse_region(p, &body);
}

static void parse_while(Parser *p, const Statement *s) {
  Toks names = {0}, again = {0};
  IrVals inits = {0};
  parse_carried(p, s, &names, &inits);
  if (p->failed) return;
  IrBuilder cond, body;
  IrOp *op = ir_while(s->b, inits.data, inits.len, &cond, &body);
  bind_args(p, &names, op->regions[0]);
  parse_region(p, &cond);
  if (!expect_word(p, "do") || !expect_punct(p, '(')) return;
  while (!p->failed && !at_punct(p, ')')) {
    expect_new_value(p, &again);
    if (!at_punct(p, ')')) expect_punct(p, ',');
  }
  expect_punct(p, ')');
  if (!p->failed && again.len != inits.len)
    error_at(p, DIAG_SYNTAX, s->at, "the body must name every carried value");
  bind_args(p, &again, op->regions[1]);
  parse_region(p, &body);
}

// What the branches yield must be known to agree before there can be results.
static bool check_branches(Parser *p, const Statement *s, const IrOp *op, const ResultTypes *r, bool typed) {
  const IrRegion *then = op->regions[0], *els = op->regions[1];
  if (p->failed) return false;
  if (then->n_yields != els->n_yields || (typed && r->types.len != then->n_yields))
    return error_at(p, DIAG_SYNTAX, s->at, "the branches yield different numbers of values");
  for (int i = 0; i < then->n_yields; i++) {
    IrType t = ir_type(p->func, then->yields[i]);
    bool same =
        ir_type_eq(t, ir_type(p->func, els->yields[i])) && (!typed || ir_type_eq(t, r->types.data[i]));
    if (!same) return error_at(p, DIAG_SYNTAX, s->at, "the types of value %d do not agree", i);
    if (!typed && t.rank && !t.grow) return error_at(p, DIAG_SYNTAX, s->at, "array results need `-> types`");
  }
  return true;
}

static void parse_if(Parser *p, const Statement *s) {
  IrVals cond = {0};
  ResultTypes r = {0};
  operands(p, s->b->region, &cond);
  bool typed = !p->failed && parse_result_types(p, s->b->region, &s->results, &r);
  if (!check_operands(p, s, &cond, 0)) return;
  IrBuilder then, els;
  IrOp *op = ir_if(s->b, cond.data[0], &then, &els);
  parse_region(p, &then);
  if (!expect_word(p, "else")) return;
  parse_region(p, &els);
  if (check_branches(p, s, op, &r, typed)) ir_close_if(s->b, op, typed ? r.dims.data : NULL);
}

static void parse_build(Parser *p, const Statement *s) {
  IrVals dims = {0};
  Toks names = {0};
  operands(p, s->b->region, &dims);
  expect_punct(p, '(');
  do expect_new_value(p, &names);
  while (accept_punct(p, ','));
  expect_punct(p, ')');
  if (!check_operands(p, s, &dims, 0)) return;
  if (names.len != dims.len) {
    error_at(p, DIAG_SYNTAX, s->at, "there must be one index per size");
    return;
  }
  IrBuilder body;
  IrOp *op = ir_build(s->b, dims.data, dims.len, &body);
  parse_place(p, op);
  bind_args(p, &names, op->regions[0]);
  parse_region(p, &body);
  if (!p->failed) ir_close_build(s->b, op);
}

static void parse_operation(Parser *p, const Statement *s) {
  switch (s->kind) {
  case IR_CONST: parse_const(p, s); break;
  case IR_TABLE: parse_table(p, s); break;
  case IR_STR: parse_str(p, s); break;
  case IR_ITOF:
  case IR_FTOI:
  case IR_BTOI:
  case IR_FCVT: parse_convert(p, s); break;
  case IR_EMPTY: parse_empty(p, s); break;
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV: parse_check(p, s); break;
  case IR_FORMAT: parse_format(p, s); break;
  case IR_CALL: parse_call(p, s); break;
  case IR_DCALL: parse_dcall(p, s); break;
  case IR_EXTERN: parse_extern_call(p, s); break;
  case IR_TRAIN:
  case IR_MINIMIZE: parse_train_call(p, s); break;
  case IR_BUILD: parse_build(p, s); break;
  case IR_FOR: parse_for(p, s); break;
  case IR_WHILE: parse_while(p, s); break;
  case IR_IF: parse_if(p, s); break;
  default: parse_plain(p, s); break;
  }
}

// %a, %b = operation ...
static void parse_statement(Parser *p, IrBuilder *b) {
  Statement s = {.b = b};
  if (p->tok.kind == IR_TOK_VALUE) {
    do expect_new_value(p, &s.results);
    while (accept_punct(p, ','));
    expect_punct(p, '=');
  }
  s.at = p->tok;
  Name name = expect_text(p, IR_TOK_WORD, "an operation");
  if (!name) return;
  const uint32_t *kind = name_map_find(&p->kinds, name);
  if (!kind) {
    error_at(p, DIAG_SYNTAX, s.at, "there is no operation `%s`", name);
    return;
  }
  s.kind = (IrOpKind)*kind;
  b->loc = (IrLoc){loc_of(p, s.at), 0};
  parse_operation(p, &s);
  if (p->failed) return;
  const IrOp *op = last_op(&s);
  if (op->n_results != s.results.len)
    error_at(p, DIAG_SYNTAX, s.at, "`%s` has %d results here, but %d are named", name, op->n_results,
             s.results.len);
  for (int i = 0; i < s.results.len; i++) bind(p, s.results.data[i], ir_result(op, i));
}

static void parse_yields(Parser *p, const IrBuilder *b, const char *word, IrVals *out) {
  if (accept_word(p, word) && p->tok.kind == IR_TOK_VALUE) operands(p, b->region, out);
}

// { operations, yield }
static void parse_region(Parser *p, IrBuilder *in) {
  if (p->depth >= MAX_DEPTH)
    error_at(p, DIAG_NESTING, p->tok, "regions are nested more than %d deep", MAX_DEPTH);
  if (!expect_punct(p, '{')) return;
  p->depth++;
  while (!p->failed && !at_punct(p, '}') && !at_word(p, "yield")) parse_statement(p, in);
  IrVals yields = {0};
  parse_yields(p, in, "yield", &yields);
  if (!p->failed) ir_yield(in, yields.data, yields.len);
  expect_punct(p, '}');
  p->depth--;
}

// ---- functions -------------------------------------------------------------------------------------------------------

static void parse_param(Parser *p, const Toks *none) {
  IrTok at = p->tok;
  Name name = expect_text(p, IR_TOK_VALUE, "a parameter");
  if (!name || !expect_punct(p, ':')) return;
  IrVal dims[IR_MAX_RANK] = {0};
  IrType t = parse_type(p, p->func->body, none, 0, dims);
  IrLeaf leaf = {.path = accept_string(p)};
  if (!leaf.path) leaf.path = name;
  leaf.moved = accept_word(p, "moved");
  if (!p->failed) bind(p, at, ir_param(p->func, t, dims, leaf));
}

typedef struct Signature {
  VEC(IrType) types;
  VEC(IrLeaf) leaves;
} Signature;

static void parse_signature(Parser *p, Signature *sig) {
  Toks none = {0};
  if (expect_punct(p, '(') && !accept_punct(p, ')')) {
    do parse_param(p, &none);
    while (accept_punct(p, ','));
    expect_punct(p, ')');
  }
  if (p->tok.kind != IR_TOK_ARROW) return;
  next(p);
  do {
    IrType t = parse_type(p, NULL, &none, 0, NULL);
    IrLeaf leaf = {.path = accept_string(p)};
    if (!leaf.path) leaf.path = intern(p->names, "", 0);
    leaf.moved = accept_word(p, "moved");
    vec_push(p->arena, &sig->types, t);
    vec_push(p->arena, &sig->leaves, leaf);
  } while (accept_punct(p, ','));
}

static void parse_flags(Parser *p, IrFunc *f) {
  while (p->tok.kind == IR_TOK_WORD) {
    IrTok at = p->tok;
    if (accept_word(p, "sizes")) {
      f->n_sizes = expect_count(p);
      if (f->n_sizes > f->n_params) error_at(p, DIAG_SYNTAX, at, "more sizes than parameters");
    } else if (accept_word(p, "export"))
      f->is_export = true;
    else if (accept_word(p, "recursive"))
      f->recursive = true;
    else if (accept_word(p, "effects"))
      f->effects = true;
    else if (accept_word(p, "rule"))
      f->has_rule = true;
    else if (accept_word(p, "adjoint"))
      f->adjoint_rule = expect_text(p, IR_TOK_FUNC, "a function");
    else if (accept_word(p, "tangent"))
      f->tangent_rule = expect_text(p, IR_TOK_FUNC, "a function");
    else if (accept_word(p, "source"))
      f->source_name = expect_text(p, IR_TOK_STR, "a name");
    else if (accept_word(p, "signature"))
      f->signature = expect_text(p, IR_TOK_STR, "a signature");
    else
      return;
  }
}

static void check_returned(Parser *p, IrTok at, const IrVals *vals, const Signature *sig) {
  if (p->failed) return;
  if (vals->len != sig->types.len)
    error_at(p, DIAG_SYNTAX, at, "%d values are returned for %d results", vals->len, sig->types.len);
  for (int i = 0; i < vals->len && !p->failed; i++)
    if (!ir_type_eq(ir_type(p->func, vals->data[i]), sig->types.data[i]))
      error_at(p, DIAG_SYNTAX, at, "value %d has another type than result %d", i, i);
}

static void parse_body(Parser *p, const Signature *sig) {
  IrFunc *f = p->func;
  IrBuilder b = ir_builder(f);
  expect_punct(p, '{');
  parse_flags(p, f);
  while (!p->failed && !at_punct(p, '}') && !at_word(p, "return")) parse_statement(p, &b);
  IrTok at = p->tok;
  IrVals vals = {0};
  parse_yields(p, &b, "return", &vals);
  check_returned(p, at, &vals, sig);
  if (!p->failed) ir_set_results(f, vals.data, vals.len, sig->leaves.data);
  expect_punct(p, '}');
}

static void parse_func(Parser *p) {
  bool declared = at_word(p, "declare");
  if (!declared && !at_word(p, "fn")) {
    expected(p, "`fn` or `declare`");
    return;
  }
  next(p);
  IrTok at = p->tok;
  Name name = expect_text(p, IR_TOK_FUNC, "a function's name");
  if (!name) return;
  if (ir_func_find(p->module, name)) {
    error_at(p, DIAG_SYNTAX, at, "there are two functions @%s", name);
    return;
  }
  IrFunc *f = p->func = ir_func_new(p->module, name);
  f->loc = loc_of(p, at);
  name_map_init(&p->values, p->arena);
  Signature sig = {0};
  parse_signature(p, &sig);
  parse_flags(p, f);
  if (p->failed) return;
  if (!declared) {
    parse_body(p, &sig);
    return;
  }
  f->n_results = sig.types.len;
  f->results = sig.types.data;
  f->result_leaves = sig.leaves.data;
  f->body = NULL;
}

// After an error: on to the next line that starts a function.
static void resync(Parser *p) {
  IrLexer *x = &p->lex;
  p->failed = false;
  p->depth = 0;
  while (x->pos < x->len) {
    if (x->text[x->pos++] != '\n') continue;
    const char *line = x->text + x->pos;
    uint32_t left = x->len - x->pos;
    if ((left > 3 && memcmp(line, "fn ", 3) == 0) || (left > 8 && memcmp(line, "declare ", 8) == 0)) break;
  }
  next(p);
}

static void parse_version(Parser *p) {
  if (at_word(p, "dp"))
    next(p); // `dp-ir` is a word and a number to the lexer
  else
    expected(p, "the line `dp-ir 1`");
  if (p->failed) return;
  if (p->tok.kind != IR_TOK_NUM || strcmp(p->tok.text, "-ir") != 0) expected(p, "`dp-ir 1`");
  next(p);
  if (p->failed) return;
  if (p->tok.kind != IR_TOK_NUM || strcmp(p->tok.text, "1") != 0)
    error_at(p, DIAG_SYNTAX, p->tok, "this is not version 1 of the IR's text form");
  next(p);
}

IrModule *ir_parse(Arena *a, Interner *names, const Sources *sources, int file, Diags *diags) {
  const Source *src = sources_get(sources, (Loc){.file = (uint32_t)file & 0xFFF});
  Parser p = {.arena = a, .names = names, .diags = diags, .file = file};
  if (!src) return NULL;
  if (src->len > UINT32_MAX / 2) {
    error_at(&p, DIAG_SYNTAX, (IrTok){0}, "the text is too long");
    return NULL;
  }
  p.lex = (IrLexer){.arena = a, .names = names, .text = src->text, .len = (uint32_t)src->len};
  p.module = ir_module_new(a, names, sources);
  name_map_init(&p.kinds, a);
  for (int k = 0; k < IR_OP_COUNT; k++)
    name_map_put(&p.kinds, intern_cstr(names, ir_op_info[k].text), (uint32_t)k);
  bool ok = true;
  next(&p);
  parse_version(&p);
  for (;;) {
    ok = ok && !p.failed;
    if (p.failed) resync(&p);
    if (p.tok.kind == IR_TOK_END) break;
    parse_func(&p);
  }
  return ok ? p.module : NULL;
}
