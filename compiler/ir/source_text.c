// IR as dp source: names, text, scalar expressions. In: values of a function. Out: what they are called or how they read.
#include "ir/source.h"

#include <string.h>

static const char *const reserved[] = {
    "fn",     "let",    "var",    "for",    "in",        "while",  "if",      "else",    "break", "continue",
    "return", "assert", "struct", "import", "as",        "extern", "adjoint", "tangent", "inout", "true",
    "false",  "and",    "or",     "not",    "int",       "bool",   "f64",     "f32",     "real",  "str",
    "zeros",  "full",   "len",    "push",   "pop",       "min",    "max",     "abs",     "div",   "mod",
    "fma",    "sign",   "detach", "print",  "transpose", "step",   "reverse"};

// ---- names -------------------------------------------------------------------------------------------------------------

static bool is_taken(const Writer *w, Name name) {
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (!strcmp(reserved[i], name)) return true;
  for (int k = 0; k < IR_OP_COUNT; k++)
    if ((ir_op_info[k].flags & IR_MATH) && !strcmp(ir_op_info[k].text, name)) return true;
  for (int i = 0; i < w->taken.len; i++)
    if (w->taken.data[i] == name) return true;
  return false;
}

static const char *legal(Arena *a, const char *hint) {
  char *s = arena_strdup(a, hint, strlen(hint));
  for (char *p = s; *p; p++)
    if (!(*p == '_' || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
          (unsigned char)*p >= 0x80))
      *p = '_';
  return *s >= '0' && *s <= '9' ? arena_printf(a, "v%s", s) : s;
}

const char *src_fresh(Writer *w, const char *hint) {
  const char *base = legal(w->arena, hint && *hint ? hint : "t");
  Name name = intern_cstr(w->m->names, base);
  for (int i = 1; is_taken(w, name); i++)
    name = intern_cstr(w->m->names, arena_printf(w->arena, "%s%d", base, i));
  vec_push(w->arena, &w->taken, name);
  return name;
}

// ---- text --------------------------------------------------------------------------------------------------------------

void src_line(Writer *w, const char *fmt, ...) {
  for (int i = 0; i < w->indent; i++) sb_add(w->out, "    ");
  va_list ap;
  va_start(ap, fmt);
  sb_add(w->out, arena_vprintf(w->arena, fmt, ap));
  va_end(ap);
  sb_addc(w->out, '\n');
}

const char *src_text(Writer *w, IrVal v) { return w->text[v] ? w->text[v] : "?"; }

const char *src_operand(Writer *w, IrVal v, int at_least) {
  return w->prec[v] < at_least ? arena_printf(w->arena, "(%s)", src_text(w, v)) : src_text(w, v);
}

void src_set(Writer *w, IrVal v, const char *text, int prec) {
  w->text[v] = text;
  w->prec[v] = prec;
}

const char *src_float(Writer *w, IrElem e, double v) {
  StrBuf sb;
  sb_init(&sb, w->arena);
  if (v != v) return "(0.0 / 0.0)";
  if (v - v != 0.0) return v > 0 ? "(1.0 / 0.0)" : "(-1.0 / 0.0)";
  sb_add_f64(&sb, v);
  const char *s = e == IR_F32 ? arena_printf(w->arena, "f32(%s)", sb.data) : sb.data;
  return s;
}

// A result's size in terms of the parameters; NULL: only the call tells.
static const char *size_text(Writer *w, IrVal n, int at_least) {
  const IrOp *def = ir_val(w->f, n)->def;
  int64_t known;
  if (ir_is_const_int(w->f, n, &known)) return arena_printf(w->arena, "%lld", (long long)known);
  if (!def) return ir_val(w->f, n)->region == w->f->body ? src_operand(w, n, at_least) : NULL;
  bool sum = def->kind == IR_ADD || def->kind == IR_SUB;
  if (!sum && def->kind != IR_MUL && def->kind != IR_IDIV) return NULL;
  int prec = def->kind == IR_IDIV ? 0 : sum ? PREC_SUM : PREC_PRODUCT;
  const char *a = size_text(w, def->args[0], prec), *b = size_text(w, def->args[1], prec + (prec > 0));
  if (!a || !b) return NULL;
  if (def->kind == IR_IDIV) return arena_printf(w->arena, "div(%s, %s)", a, b);
  bool minus = def->kind == IR_ADD && *b == '-';
  const char *sign = minus || def->kind == IR_SUB ? "-" : sum ? "+" : "*";
  const char *text = arena_printf(w->arena, "%s %s %s", a, sign, b + minus);
  return prec < at_least ? arena_printf(w->arena, "(%s)", text) : text;
}

const char *src_type(Writer *w, IrVal v, bool result) {
  IrType t = ir_type(w->f, v);
  StrBuf sb;
  sb_init(&sb, w->arena);
  if (t.grow) {
    sb_add(&sb, "[*]");
  } else if (t.rank) {
    sb_addc(&sb, '[');
    for (int d = 0; d < t.rank; d++) {
      IrVal n = ir_dims(w->f, v)[d];
      const char *size = result ? size_text(w, n, 0) : src_text(w, n);
      sb_addf(&sb, "%s%s", d ? ", " : "", size ? size : "_");
    }
    sb_addc(&sb, ']');
  }
  sb_add(&sb, ir_elem_text((IrElem)t.elem));
  return sb.data;
}

const char *src_list(Writer *w, const IrVal *vals, int n) {
  StrBuf sb;
  sb_init(&sb, w->arena);
  for (int k = 0; k < n; k++) sb_addf(&sb, "%s%s", k ? ", " : "", src_text(w, vals[k]));
  return sb.data ? sb.data : "";
}

// ---- scalar expressions -------------------------------------------------------------------------------------------------

enum { NUMBERS_DEPTH = 8 }; // looked through for something else than numbers

static const char *infix(Writer *w, const IrOp *op, const char *sign, int prec, bool right_tighter) {
  return arena_printf(w->arena, "%s %s %s", src_operand(w, op->args[0], prec), sign,
                      src_operand(w, op->args[1], prec + right_tighter));
}

static void set_infix(Writer *w, const IrOp *op, const char *sign, int prec, bool right_tighter) {
  src_set(w, op->result, infix(w, op, sign, prec, right_tighter), prec);
}

// An int and a negative constant read as a difference.
static void set_sum(Writer *w, const IrOp *op) {
  int64_t n;
  if (!ir_is_const_int(w->f, op->args[1], &n) || n >= 0 || n == INT64_MIN) {
    set_infix(w, op, "+", PREC_SUM, true);
    return;
  }
  const char *text =
      arena_printf(w->arena, "%s - %lld", src_operand(w, op->args[0], PREC_SUM), -(long long)n);
  src_set(w, op->result, text, PREC_SUM);
}

static void set_call(Writer *w, const IrOp *op, const char *name) {
  src_set(w, op->result, arena_printf(w->arena, "%s(%s)", name, src_list(w, op->args, op->n_args)),
          PREC_ATOM);
}

// Numbers alone would take the type that is asked for: f32(sin(0.375)) has no f64 in it.
static bool only_numbers(const IrFunc *f, IrVal v, int depth) {
  const IrOp *op = ir_val(f, v)->def;
  if (!op || op->n_regions || (op->n_args == 0 && op->kind != IR_CONST)) return false;
  for (int k = 0; depth > 0 && k < op->n_args; k++)
    if (!only_numbers(f, op->args[k], depth - 1)) return false;
  return true;
}

static void set_conversion(Writer *w, const IrOp *op) {
  const char *to = ir_elem_text((IrElem)ir_type(w->f, op->result).elem), *x = src_text(w, op->args[0]);
  bool numbers = op->kind == IR_FCVT && only_numbers(w->f, op->args[0], NUMBERS_DEPTH);
  const char *from = ir_elem_text((IrElem)ir_type(w->f, op->args[0]).elem);
  src_set(w, op->result,
          numbers ? arena_printf(w->arena, "%s(%s(%s))", to, from, x)
                  : arena_printf(w->arena, "%s(%s)", to, x),
          PREC_ATOM);
}

void src_constant(Writer *w, const IrOp *op) {
  IrElem e = (IrElem)ir_type(w->f, op->result).elem;
  if (e == IR_BOOL)
    src_set(w, op->result, op->attr.i ? "true" : "false", PREC_ATOM);
  else if (e == IR_INT)
    src_set(w, op->result, arena_printf(w->arena, "%lld", (long long)op->attr.i),
            op->attr.i < 0 ? PREC_NEG : PREC_ATOM);
  else
    src_set(w, op->result, src_float(w, e, op->attr.f),
            op->attr.f < 0 && op->attr.f - op->attr.f == 0.0 && e == IR_F64 ? PREC_NEG : PREC_ATOM);
}

bool src_expression(Writer *w, const IrOp *op) {
  Arena *a = w->arena;
  switch ((IrOpKind)op->kind) {
  case IR_CONST: src_constant(w, op); return true;
  case IR_ADD: set_sum(w, op); return true;
  case IR_SUB: set_infix(w, op, "-", PREC_SUM, true); return true;
  case IR_MUL: set_infix(w, op, "*", PREC_PRODUCT, true); return true;
  case IR_DIV: set_infix(w, op, "/", PREC_PRODUCT, true); return true;
  case IR_NEG:
    src_set(w, op->result, arena_printf(a, "-%s", src_operand(w, op->args[0], PREC_POWER)), PREC_NEG);
    return true;
  case IR_LT: set_infix(w, op, "<", PREC_COMPARE, true); return true;
  case IR_LE: set_infix(w, op, "<=", PREC_COMPARE, true); return true;
  case IR_EQ: set_infix(w, op, "==", PREC_COMPARE, true); return true;
  case IR_NE: set_infix(w, op, "!=", PREC_COMPARE, true); return true;
  case IR_AND: set_infix(w, op, "and", PREC_AND, true); return true;
  case IR_OR: set_infix(w, op, "or", PREC_OR, true); return true;
  case IR_NOT:
    src_set(w, op->result, arena_printf(a, "not %s", src_operand(w, op->args[0], PREC_COMPARE)), PREC_NOT);
    return true;
  case IR_IPOW:
  case IR_POWI:
  case IR_POW:
    src_set(w, op->result,
            arena_printf(a, "%s ^ %s", src_operand(w, op->args[0], PREC_ATOM),
                         src_operand(w, op->args[1], PREC_ATOM)),
            PREC_POWER);
    return true;
  case IR_IDIV: set_call(w, op, "div"); return true;
  case IR_IMOD: set_call(w, op, "mod"); return true;
  case IR_SELECT:
    src_set(w, op->result,
            arena_printf(a, "if %s { %s } else { %s }", src_text(w, op->args[0]), src_text(w, op->args[1]),
                         src_text(w, op->args[2])),
            0);
    return true;
  case IR_ITOF:
  case IR_FCVT: set_conversion(w, op); return true;
  case IR_FTOI:
  case IR_BTOI: set_call(w, op, "int"); return true;
  case IR_LEN: set_call(w, op, "len"); return true;
  case IR_GET:
    src_set(w, op->result,
            arena_printf(a, "%s[%s]", src_text(w, op->args[0]), src_list(w, op->args + 1, op->n_args - 1)),
            PREC_ATOM);
    return true;
  case IR_STR: src_set(w, op->result, arena_printf(a, "\"%s\"", op->attr.sym), PREC_ATOM); return true;
  default: break;
  }
  bool named = (ir_op_info[op->kind].flags & IR_MATH) || op->kind == IR_MIN || op->kind == IR_MAX ||
               op->kind == IR_ABS || op->kind == IR_FMA || op->kind == IR_DETACH || op->kind == IR_FLOOR ||
               op->kind == IR_CEIL || op->kind == IR_ROUND || op->kind == IR_TRUNC || op->kind == IR_SIGN ||
               op->kind == IR_RNG_UNIFORM || op->kind == IR_RNG_NORMAL || op->kind == IR_RNG_BELOW;
  if (!named) return false;
  set_call(w, op, ir_op_info[op->kind].text);
  return true;
}
