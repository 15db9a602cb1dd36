// Expressions. In: a checked expression; out: its value, perhaps lazy. An int expression whose value is a known size
// becomes the IR value of that size, so that what sema proved equal is the same value here.
#include "lower/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Name expr_text(Gen *g, const Expr *e) {
  StrBuf sb;
  sb_init(&sb, g->arena);
  ast_print_expr(e, &sb);
  if (sb.len > 60) return NULL;
  return intern_cstr(g->l->program->names, sb.data);
}

// ---- literals and names ----------------------------------------------------------------------------------------------

static double f32_of_text(const char *text, double value) { // rounded once, from what is written
  char digits[64];
  size_t n = 0;
  for (const char *p = text; p && *p; p++) {
    if (*p == '_') continue;
    if (n + 1 >= sizeof digits) return (double)(float)value;
    digits[n++] = *p;
  }
  digits[n] = '\0';
  char *end;
  float v = strtof(digits, &end);
  return n && *end == '\0' ? (double)v : (double)(float)value;
}

static double number_value(const Expr *e, IrElem elem) {
  if (e->kind == EXPR_INT) return elem == IR_F32 ? (double)(float)e->int_value : (double)e->int_value;
  return elem == IR_F32 ? f32_of_text(e->flt.text, e->flt.value) : e->flt.value;
}

static Value *lower_number(Gen *g, const Expr *e) {
  IrElem elem = elem_of(e->type, g->real);
  if (e->kind == EXPR_INT && elem == IR_INT) return value_leaf(g, ir_const_int(&g->b, e->int_value));
  return value_leaf(g, ir_const_float(&g->b, elem, number_value(e, elem)));
}

static Value *lower_name(Gen *g, Expr *e) {
  Symbol *s = e->name.symbol;
  if (e->type->kind == TYPE_FN) {
    Fn *fn = fn_of_expr(g, e);
    return fn ? value_fn(g, fn) : value_none(g);
  }
  Value *v = s ? env_get(g, s) : NULL;
  if (v) return v;
  IrVal known = s ? known_value(g, s->size ? s->size : size_symbol(g->arena, s)) : 0;
  if (known) return value_leaf(g, known);
  lower_fail(g->l, e->loc, "`%s` has no value here", e->name.name);
  return value_leaf(g, zero_of(g, elem_of(e->type, g->real)));
}

// ---- what is put together ------------------------------------------------------------------------------------------------

static Value *lower_field(Gen *g, Expr *e) {
  if (e->type->kind == TYPE_FN) {
    Fn *fn = fn_of_expr(g, e);
    return fn ? value_fn(g, fn) : value_none(g);
  }
  Value *base = lower_expr(g, e->field.base);
  if (base->kind == VALUE_PARTS && e->field.index >= 0 && e->field.index < base->n_parts)
    return base->parts[e->field.index];
  lower_fail(g->l, e->loc, "`%s` has no value here", e->field.name);
  return value_none(g);
}

static Value *lower_tuple(Gen *g, Expr *e) {
  int n = e->tuple.elems.len;
  Value **parts = ARENA_ARRAY(g->arena, Value *, n);
  for (int i = 0; i < n; i++) parts[i] = lower_as(g, e->tuple.elems.data[i], e->type->parts[i], NULL);
  return value_parts(g, parts, n);
}

static int field_number(const StructDecl *d, Name name) {
  for (int i = 0; i < d->fields.len; i++)
    if (d->fields.data[i].name == name) return i;
  return -1;
}

static Value *lower_struct(Gen *g, Expr *e) {
  const StructDecl *d = e->type->decl;
  Value **parts = ARENA_ARRAY(g->arena, Value *, d->fields.len);
  for (int i = 0; i < d->fields.len; i++) parts[i] = value_none(g);
  for (int i = 0; i < e->strukt.fields.len; i++) {
    const FieldInit *f = &e->strukt.fields.data[i];
    int k = field_number(d, f->name);
    if (k >= 0) parts[k] = force(g, lower_as(g, f->value, type_part(g->arena, e->type, k), f->name));
  }
  return value_parts(g, parts, d->fields.len);
}

enum { TABLE_FROM = 64 }; // constants from which on a literal is a table of the program instead of operations

typedef struct Literal { // an array literal being filled
  Gen *g;
  IrVals arrays; // per leaf of an element; 0 before the first element is there
  IrVal n;
  IrElem *elems;
} Literal;

static Value *table_value(Gen *g, IrElem elem, const IrTable *t, const int64_t *sizes, int rank) {
  IrVal dims[IR_MAX_RANK];
  IrTable *table = ARENA_NEW(g->f->arena, IrTable);
  *table = *t;
  for (int k = 0; k < rank; k++) dims[k] = ir_const_int(&g->b, sizes[k]);
  return value_leaf(g, ir_table(&g->b, elem, table, dims, rank));
}

static bool constant_of(const Gen *g, const Value *v, double *f, int64_t *i) {
  const IrOp *op = v->kind == VALUE_LEAF && v->val ? ir_val(g->f, v->val)->def : NULL;
  bool negative = op && op->kind == IR_NEG;
  if (negative) op = ir_val(g->f, op->args[0])->def;
  if (!op || op->kind != IR_CONST) return false;
  if (i)
    *i = negative ? (int64_t)(0 - (uint64_t)op->attr.i) : op->attr.i;
  else
    *f = negative ? -op->attr.f : op->attr.f;
  return true;
}

// Part k of all elements, if they are scalar constants and many; else NULL.
static Value *column_table(Gen *g, const ValueVec *rows, int n, int k) {
  IrType type = leaf_type(g, rows[0].data[k]);
  if (n < TABLE_FROM || type.rank || type.grow || type.elem == IR_STRING) return NULL;
  bool floats = ir_is_float(type);
  double *f = floats ? ARENA_ARRAY(g->f->arena, double, n) : NULL;
  int64_t *i = floats ? NULL : ARENA_ARRAY(g->f->arena, int64_t, n), size = n;
  for (int r = 0; r < n; r++)
    if (!constant_of(g, rows[r].data[k], floats ? &f[r] : NULL, floats ? NULL : &i[r])) return NULL;
  return table_value(g, (IrElem)type.elem, &(IrTable){n, f, i}, &size, 1);
}

static void literal_open(Literal *t, const ValueVec *rows, int n) {
  Gen *g = t->g;
  const ValueVec *leaves = rows;
  for (int k = 0; k < leaves->len; k++) {
    const Value *table = column_table(g, rows, n, k);
    if (table) {
      vec_push(g->arena, &t->arrays, table->val);
      continue;
    }
    IrVal dims[IR_MAX_RANK] = {t->n};
    IrType lt = leaf_type(g, leaves->data[k]);
    const IrVal *inner = leaf_dims(g, leaves->data[k]);
    for (int i = 0; i < lt.rank && i + 1 < IR_MAX_RANK; i++) dims[1 + i] = inner[i];
    vec_push(g->arena, &t->arrays, ir_fill(&g->b, zero_of(g, (IrElem)lt.elem), dims, 1 + lt.rank));
  }
}

static void literal_put(Literal *t, int i, const ValueVec *leaves, Name what) {
  Gen *g = t->g;
  IrVal at = ir_const_int(&g->b, i);
  for (int k = 0; k < leaves->len && k < t->arrays.len; k++) {
    if (ir_val(g->f, t->arrays.data[k])->def->kind == IR_TABLE) continue;
    const IrVal *inner = leaf_dims(g, leaves->data[k]), *dims = ir_dims(g->f, t->arrays.data[k]);
    for (int j = 0; i > 0 && j < leaf_type(g, leaves->data[k]).rank; j++)
      check_same(g, inner[j], dims[1 + j], what);
    t->arrays.data[k] = set_block(g, t->arrays.data[k], &at, 1, leaves->data[k]);
  }
}

// The type of one element of an array type.
static Type *element_type(Gen *g, const Type *t) {
  if (t->kind != TYPE_ARRAY || t->rank == 1) return t->elem;
  Type *row = ARENA_NEW(g->arena, Type);
  *row = *t;
  row->rank--;
  row->dims++;
  return row;
}

static Value *rebuild_leaves(Gen *g, const Type *t, const IrVals *vals) {
  int at = 0;
  return value_from(g, t, vals->data, &at);
}

static bool is_number(const Expr *e) {
  if (e->kind == EXPR_UNARY && e->unary.op == UNARY_NEG) return is_number(e->unary.arg);
  if (e->kind != EXPR_BINARY) return e->kind == EXPR_INT || e->kind == EXPR_FLOAT;
  bool simple = e->binary.op == BIN_ADD || e->binary.op == BIN_SUB || e->binary.op == BIN_MUL ||
                e->binary.op == BIN_DIV;
  return simple && type_is_float(e->type) && is_number(e->binary.left) && is_number(e->binary.right);
}

// As the program would compute it.
static double float_of(const Expr *e, IrElem elem) {
  if (e->kind == EXPR_UNARY) return -float_of(e->unary.arg, elem);
  if (e->kind != EXPR_BINARY) return number_value(e, elem);
  double a = float_of(e->binary.left, elem), b = float_of(e->binary.right, elem);
  double v = e->binary.op == BIN_ADD   ? a + b
             : e->binary.op == BIN_SUB ? a - b
             : e->binary.op == BIN_MUL ? a * b
                                       : a / b;
  return elem == IR_F32 ? (double)(float)v : v;
}

// Of a literal of numbers, computed ones too, and nothing else: how many, with the sizes from `axis` on; 0 if it is another.
static int64_t count_numbers(const Expr *e, int rank, int axis, int64_t *sizes) {
  if (axis == rank) return is_number(e);
  int n = e->kind == EXPR_ARRAY ? e->array.elems.len : 0;
  int64_t inner = n ? count_numbers(e->array.elems.data[0], rank, axis + 1, sizes) : 0;
  for (int i = 1; i < n && inner; i++)
    if (count_numbers(e->array.elems.data[i], rank, axis + 1, sizes) != inner) return 0;
  if (axis && sizes[axis] && sizes[axis] != n) return 0;
  sizes[axis] = n;
  return n * inner;
}

static void put_numbers(const Expr *e, IrElem elem, double *f, int64_t *i, int64_t *at) {
  if (e->kind == EXPR_ARRAY) {
    for (int k = 0; k < e->array.elems.len; k++) put_numbers(e->array.elems.data[k], elem, f, i, at);
    return;
  }
  if (!i) {
    f[(*at)++] = float_of(e, elem);
    return;
  }
  bool negative = false;
  for (; e->kind == EXPR_UNARY; e = e->unary.arg) negative = !negative;
  i[(*at)++] = negative ? (int64_t)(0 - (uint64_t)e->int_value) : e->int_value;
}

// NULL: the literal is short, or holds more than numbers.
static Value *lower_table(Gen *g, const Expr *e) {
  bool grows = e->type->kind == TYPE_GROW;
  int rank = grows ? 1 : e->type->rank;
  int64_t sizes[IR_MAX_RANK] = {0}, at = 0, n = 0;
  if (type_is_numeric(e->type->elem)) n = count_numbers(e, rank, 0, sizes);
  if (n < TABLE_FROM) return NULL;
  IrElem elem = elem_of(e->type->elem, g->real);
  Arena *a = g->f->arena;
  double *f = elem == IR_INT ? NULL : ARENA_ARRAY(a, double, n);
  int64_t *i = elem == IR_INT ? ARENA_ARRAY(a, int64_t, n) : NULL;
  put_numbers(e, elem, f, i, &at);
  for (int64_t k = 0; f && k < n; k++)
    if (!isfinite(f[k])) return NULL; // a table is printed as numbers
  Value *v = table_value(g, elem, &(IrTable){n, f, i}, sizes, rank);
  return grows ? value_leaf(g, grown_from(g, v->val)) : v;
}

static Value *lower_array(Gen *g, Expr *e) {
  int n = e->array.elems.len;
  Value *table = lower_table(g, e);
  if (table) return table;
  if (e->type->kind == TYPE_GROW || n == 0) {
    IrVals vals = {0};
    LeafVec leaves = {0};
    type_leaves(g->l, e->type, name_of(g->l, "%s", ""), g->real, &leaves);
    IrVal zero = n == 0 && e->type->kind != TYPE_GROW ? ir_const_int(&g->b, 0) : 0;
    for (int k = 0; k < leaves.len; k++) {
      IrElem elem = (IrElem)leaves.data[k].type.elem;
      vec_push(g->arena, &vals, zero ? ir_fill(&g->b, zero_of(g, elem), &zero, 1) : ir_empty(&g->b, elem));
    }
    for (int i = 0; i < n; i++) {
      ValueVec parts = {0};
      value_leaves(force(g, lower_as(g, e->array.elems.data[i], e->type->elem, NULL)), &parts, g->arena);
      for (int k = 0; k < parts.len && k < vals.len; k++)
        vals.data[k] = ir_op2(&g->b, IR_PUSH, vals.data[k], parts.data[k]->val);
    }
    return rebuild_leaves(g, e->type, &vals);
  }
  Literal t = {.g = g, .n = ir_const_int(&g->b, n)};
  const Type *elem = element_type(g, e->type);
  ValueVec *rows = ARENA_ARRAY(g->arena, ValueVec, n); // all before the array, as they may be long
  for (int i = 0; i < n; i++)
    value_leaves(lower_as(g, e->array.elems.data[i], elem, NULL), &rows[i], g->arena);
  literal_open(&t, rows, n);
  for (int i = 0; i < n; i++) literal_put(&t, i, &rows[i], expr_text(g, e->array.elems.data[i]));
  return rebuild_leaves(g, e->type, &t.arrays);
}

// ---- strings ---------------------------------------------------------------------------------------------------------------

typedef struct Template {
  StrBuf text;
  IrVals args;
} Template;

static void template_text(Template *t, const char *s) {
  for (; *s; s++) {
    if (*s == '{' || *s == '}') sb_addc(&t->text, *s);
    sb_addc(&t->text, *s);
  }
}

// `[4]` or `[2, 3]` in front of what each field is an array of.
static void template_sizes(Gen *g, Template *t, Value *v, const Type *type) {
  int rank = type->kind == TYPE_ARRAY ? type->rank : 1;
  sb_addc(&t->text, '[');
  for (int d = 0; d < rank; d++) {
    sb_add(&t->text, d ? ", {}" : "{}");
    vec_push(g->arena, &t->args, array_size(g, v, d));
  }
  sb_addc(&t->text, ']');
}

// A struct prints as `Name { field: value, ... }`, a tuple as `(a, b)`, an array of structs field by field.
static void template_value(Gen *g, Template *t, Value *v, const Type *type, const char *spec) {
  if (v->kind == VALUE_LEAF) {
    sb_addf(&t->text, spec[0] ? "{:%s}" : "{%s}", spec);
    vec_push(g->arena, &t->args, value_scalar(g, v));
    return;
  }
  if (v->kind == VALUE_FN) return template_text(t, "function");
  const Type *base = type_base(type);
  bool is_struct = base->kind == TYPE_STRUCT;
  if (type != base) template_sizes(g, t, v, type);
  if (is_struct)
    template_text(t, arena_printf(g->arena, "%s { ", base->decl->name));
  else
    sb_addc(&t->text, '(');
  for (int i = 0; i < v->n_parts; i++) {
    if (i) sb_add(&t->text, ", ");
    if (is_struct)
      sb_addf(&t->text, "%s: ", base->decl->fields.data[i].name);
    else if (base->names && base->names[i])
      sb_addf(&t->text, "%s: ", base->names[i]);
    template_value(g, t, v->parts[i], type_part(g->arena, base, i), spec);
  }
  template_text(t, is_struct ? " }" : ")");
}

static IrVal template_emit(Gen *g, Template *t) {
  Name text = intern(g->l->program->names, t->text.data ? t->text.data : "", (size_t)t->text.len);
  IrType type = IR_SCALAR(IR_STRING);
  IrOp *op = ir_op_explicit(&g->b, IR_FORMAT, t->args.data, t->args.len, &type, NULL, 1);
  op->attr.sym = text;
  return ir_result(op, 0);
}

IrVal format_values(Gen *g, Value *v, const Type *type) {
  if (v->kind == VALUE_LEAF && leaf_type(g, v).elem == IR_STRING) return v->val;
  Template t = {0};
  sb_init(&t.text, g->arena);
  template_value(g, &t, v, type, "");
  return template_emit(g, &t);
}

Value *lower_string(Gen *g, Expr *e) {
  Template t = {0};
  sb_init(&t.text, g->arena);
  bool holes = false;
  for (int i = 0; i < e->string.len; i++) holes |= e->string.data[i].hole != NULL;
  if (!holes) {
    const char *text = e->string.len && e->string.data[0].text ? e->string.data[0].text : "";
    return value_leaf(g, ir_str(&g->b, intern_cstr(g->l->program->names, text)));
  }
  for (int i = 0; i < e->string.len; i++) {
    const StringPart *p = &e->string.data[i];
    template_text(&t, p->text ? p->text : "");
    if (p->hole) template_value(g, &t, lower_value(g, p->hole), p->hole->type, p->spec ? p->spec : "");
  }
  g->b.loc.loc = e->loc;
  return value_leaf(g, template_emit(g, &t));
}

// ---- the switch --------------------------------------------------------------------------------------------------------------

static Value *lower_kind(Gen *g, Expr *e) {
  switch (e->kind) {
  case EXPR_ERROR:
  case EXPR_HOLE:
  case EXPR_RANGE: break;
  case EXPR_INT:
  case EXPR_FLOAT: return lower_number(g, e);
  case EXPR_BOOL: return value_leaf(g, ir_const_bool(&g->b, e->bool_value));
  case EXPR_STRING: return lower_string(g, e);
  case EXPR_NAME: return lower_name(g, e);
  case EXPR_UNARY: return lower_unary(g, e);
  case EXPR_BINARY: return lower_binary(g, e);
  case EXPR_FIELD: return lower_field(g, e);
  case EXPR_INDEX: return lower_index(g, e);
  case EXPR_CALL: return lower_call(g, e);
  case EXPR_IF: return lower_if_value(g, e);
  case EXPR_BLOCK: return lower_block_value(g, e);
  case EXPR_ARRAY: return lower_array(g, e);
  case EXPR_COMP: return lower_comp(g, e);
  case EXPR_REDUCE: return lower_reduce(g, e);
  case EXPR_TUPLE: return lower_tuple(g, e);
  case EXPR_STRUCT: return lower_struct(g, e);
  case EXPR_LAMBDA: {
    Fn *fn = fn_of_expr(g, e);
    return fn ? value_fn(g, fn) : value_none(g);
  }
  }
  lower_fail(g->l, e->loc, "there is no value here");
  return value_none(g);
}

static bool makes_sizes(const Expr *e) {
  switch (e->kind) {
  case EXPR_INDEX:
  case EXPR_CALL:
  case EXPR_IF:
  case EXPR_BLOCK:
  case EXPR_ARRAY:
  case EXPR_COMP:
  case EXPR_STRUCT:
  case EXPR_TUPLE: return true;
  case EXPR_BINARY: return e->binary.op == BIN_MATMUL;
  default: return false;
  }
}

Value *lower_expr(Gen *g, Expr *e) {
  Loc outer = g->b.loc.loc;
  g->b.loc.loc = e->loc;
  Value *v = NULL;
  if (e->size && e->type->kind == TYPE_INT && e->kind != EXPR_INT) {
    int64_t c;
    bool is_const = size_is_const(e->size, &c);
    IrVal known = is_const ? 0 : known_find(g, e->size);
    if (is_const && e->kind != EXPR_NAME) known = ir_const_int(&g->b, c);
    if (known) v = value_leaf(g, known);
  }
  if (!v) {
    v = lower_kind(g, e);
    if (makes_sizes(e)) known_fresh(g, e->type, v);
  }
  g->b.loc.loc = outer;
  return v;
}

Value *lower_value(Gen *g, Expr *e) {
  Value *v = lower_expr(g, e);
  Loc outer = g->b.loc.loc;
  g->b.loc.loc = e->loc;
  v = force(g, v);
  g->b.loc.loc = outer;
  return v;
}

Value *lower_as(Gen *g, Expr *e, const Type *to, Name what) {
  Value *v = lower_expr(g, e);
  Loc outer = g->b.loc.loc;
  g->b.loc.loc = e->loc;
  v = coerce(g, v, e->type, to, what);
  g->b.loc.loc = outer;
  return v;
}

IrVal lower_scalar(Gen *g, Expr *e) { return value_scalar(g, lower_expr(g, e)); }

IrVal lower_int(Gen *g, Expr *e) {
  IrVal v = lower_scalar(g, e);
  return v;
}
