// Types: the operation table, and how the type and the sizes of a result follow from the operands. The builder makes
// results with it, the parser and the verifier check operands with it.
#include "ir/internal.h"

enum { P = IR_P, D = IR_D, E = IR_E, C = IR_C, U = IR_U, R = IR_R };

const IrOpInfo ir_op_info[IR_OP_COUNT] = {
#define OP(kind, text, args, results, type, flags, cost, rule)                                               \
  [IR_##kind] = {text, args, results, flags, cost},
#define MATH(kind, text, args, cost, rule) OP(kind, text, args, 1, FLOAT, P | IR_MATH, cost, rule)
#include "ir/ops.def"
};

int ir_elem_bytes(IrElem e) {
  switch (e) {
  case IR_BOOL: return 1;
  case IR_F32: return 4;
  case IR_INT:
  case IR_F64:
  case IR_STRING: return 8;
  }
  return 8;
}

const char *ir_elem_text(IrElem e) {
  switch (e) {
  case IR_BOOL: return "bool";
  case IR_INT: return "int";
  case IR_F32: return "f32";
  case IR_F64: return "f64";
  case IR_STRING: return "str";
  }
  return "?";
}

// ---- one function per name of the TYPE column -------------------------------------------------------------------

static IrType arg_type(const IrInfer *q, int k) { return ir_type(q->func, q->args[k]); }
static bool is_scalar(const IrInfer *q, int k, IrElem e) { return ir_type_eq(arg_type(q, k), IR_SCALAR(e)); }

static bool all_scalars(const IrInfer *q, int from, int to, IrElem e) {
  for (int i = from; i < to; i++)
    if (!is_scalar(q, i, e)) return false;
  return true;
}

static bool all_same(const IrInfer *q) {
  for (int i = 1; i < q->n; i++)
    if (!ir_type_eq(arg_type(q, 0), arg_type(q, i))) return false;
  return true;
}

static const char *result(IrInfer *q, IrType t) {
  q->known = true;
  q->type = t;
  return NULL;
}

// The result has the type and the sizes of operand k.
static void result_like(IrInfer *q, int k) {
  result(q, arg_type(q, k));
  const IrVal *dims = ir_dims(q->func, q->args[k]);
  for (int i = 0; dims && i < q->type.rank; i++) q->dims[i] = dims[i];
}

static const char *type_NUM(IrInfer *q) {
  IrType t = arg_type(q, 0);
  result(q, IR_SCALAR(t.elem));
  if (t.rank || !all_same(q) || !(t.elem == IR_INT || ir_is_float(t)))
    return "the operands must be ints, or floats of one width";
  return NULL;
}

static const char *type_FLOAT(IrInfer *q) {
  IrType t = arg_type(q, 0);
  result(q, IR_SCALAR(t.elem));
  return t.rank || !all_same(q) || !ir_is_float(t) ? "the operands must be floats of one width" : NULL;
}

static const char *type_INT(IrInfer *q) {
  result(q, IR_SCALAR(IR_INT));
  if (q->kind == IR_LEN) return arg_type(q, 0).grow ? NULL : "the operand must be a growable array";
  return all_scalars(q, 0, q->n, IR_INT) ? NULL : "the operands must be ints";
}

static const char *type_F64(IrInfer *q) {
  result(q, IR_SCALAR(IR_F64));
  return all_scalars(q, 0, q->n, IR_INT) ? NULL : "the operands must be ints";
}

static const char *type_BOOL(IrInfer *q) {
  result(q, IR_SCALAR(IR_BOOL));
  return all_scalars(q, 0, q->n, IR_BOOL) ? NULL : "the operands must be bools";
}

static const char *type_POWI(IrInfer *q) {
  result(q, IR_SCALAR(arg_type(q, 0).elem));
  if (arg_type(q, 0).rank || !ir_is_float(arg_type(q, 0))) return "the base must be a float";
  return is_scalar(q, 1, IR_INT) ? NULL : "the exponent must be an int";
}

static const char *type_SELECT(IrInfer *q) {
  result_like(q, 1);
  if (!is_scalar(q, 0, IR_BOOL)) return "the condition must be a bool";
  if (arg_type(q, 1).rank || !ir_type_eq(arg_type(q, 1), arg_type(q, 2)))
    return "the two choices must be scalars of one type";
  return NULL;
}

static const char *type_CMP(IrInfer *q) {
  result(q, IR_SCALAR(IR_BOOL));
  IrType t = arg_type(q, 0);
  bool bools = t.elem == IR_BOOL && (q->kind == IR_EQ || q->kind == IR_NE);
  if (t.rank || !all_same(q) || !(t.elem == IR_INT || ir_is_float(t) || bools))
    return "the operands must be two scalars of one type that can be compared";
  return NULL;
}

static const char *type_STR(IrInfer *q) { return result(q, IR_SCALAR(IR_STRING)); }

static const char *type_NONE(IrInfer *q) {
  q->known = true;
  switch (q->kind) {
  case IR_FREE: return ir_is_array(arg_type(q, 0)) ? NULL : "the operand must be an array";
  case IR_PRINT: return is_scalar(q, 0, IR_STRING) ? NULL : "the operand must be a string";
  case IR_ASSERT:
    return is_scalar(q, 0, IR_BOOL) && is_scalar(q, 1, IR_STRING)
               ? NULL
               : "the operands must be a bool and a string";
  default: return all_scalars(q, 0, q->n, IR_INT) ? NULL : "the operands must be ints";
  }
}

// Array, one int per axis, and `extra` operands more.
static const char *indexed(IrInfer *q, int extra) {
  if (q->n < 1 + extra) return "operands are missing";
  IrType t = arg_type(q, 0);
  if (!ir_is_array(t)) return "operand 0 must be an array";
  if (q->n != 1 + t.rank + extra) return "there must be one index per axis";
  return all_scalars(q, 1, 1 + t.rank, IR_INT) ? NULL : "the indices must be ints";
}

static const char *type_ELEM(IrInfer *q) {
  if (q->n > 0) result(q, IR_SCALAR(arg_type(q, 0).elem));
  return indexed(q, 0);
}

// The sizes of x @ y; ranks are 2.
static void matmul_dims(const IrInfer *q, int x, int y, IrVal out[2]) {
  const IrVal *dx = ir_dims(q->func, q->args[x]), *dy = ir_dims(q->func, q->args[y]);
  out[0] = dx ? dx[q->attr & IR_TRANS_A ? 1 : 0] : 0;
  out[1] = dy ? dy[q->attr & IR_TRANS_B ? 0 : 1] : 0;
}

static bool is_matrix(const IrInfer *q, int k) {
  return ir_is_float(arg_type(q, k)) && arg_type(q, k).rank == 2 &&
         arg_type(q, k).elem == arg_type(q, 0).elem;
}

static const char *type_SAME(IrInfer *q) {
  if (q->n < 1) return "operands are missing";
  IrType t = arg_type(q, 0);
  result_like(q, 0);
  switch (q->kind) {
  case IR_SET:
  case IR_ACC: {
    const char *why = indexed(q, 1);
    if (why) return why;
    if (!is_scalar(q, q->n - 1, t.elem)) return "the value must have the type of the elements";
    return q->kind == IR_ACC && t.elem != IR_INT && !ir_is_float(t) ? "the elements must be numbers" : NULL;
  }
  case IR_PUSH:
    return t.grow && is_scalar(q, 1, t.elem) ? NULL
                                             : "the operands must be a growable array and an element of it";
  case IR_POP: return t.grow ? NULL : "the operand must be a growable array";
  case IR_COPY: return ir_is_array(t) ? NULL : "the operand must be an array";
  case IR_MATACC:
    return is_matrix(q, 0) && is_matrix(q, 1) && is_matrix(q, 2) ? NULL
                                                                 : "the operands must be float matrices";
  default: return t.rank ? "the operand must be a scalar" : NULL;
  }
}

static const char *type_EXPLICIT(IrInfer *q) {
  switch (q->kind) {
  case IR_ITOF: return is_scalar(q, 0, IR_INT) ? NULL : "the operand must be an int";
  case IR_BTOI:
    result(q, IR_SCALAR(IR_INT));
    return is_scalar(q, 0, IR_BOOL) ? NULL : "the operand must be a bool";
  case IR_FTOI: result(q, IR_SCALAR(IR_INT)); goto float_scalar;
  case IR_FCVT:
  float_scalar:
    return !arg_type(q, 0).rank && ir_is_float(arg_type(q, 0)) ? NULL : "the operand must be a float";
  case IR_MATMUL:
    result(q, (IrType){arg_type(q, 0).elem, 2, false});
    if (!is_matrix(q, 0) || !is_matrix(q, 1)) return "the operands must be float matrices";
    matmul_dims(q, 0, 1, q->dims);
    return NULL;
  case IR_FILL:
    if (q->n < 2 || q->n > 1 + IR_MAX_RANK) return "there must be a value and one to eight sizes";
    result(q, (IrType){arg_type(q, 0).elem, (uint8_t)(q->n - 1), false});
    for (int i = 1; i < q->n; i++) q->dims[i - 1] = q->args[i];
    if (arg_type(q, 0).rank) return "the value must be a scalar";
    return all_scalars(q, 1, q->n, IR_INT) ? NULL : "the sizes must be ints";
  case IR_TABLE:
  case IR_BUILD:
    if (q->n < 1 || q->n > IR_MAX_RANK) return "there must be one to eight sizes";
    return all_scalars(q, 0, q->n, IR_INT) ? NULL : "the sizes must be ints";
  case IR_FOR:
    if (q->n < 3) return "operands are missing";
    return all_scalars(q, 0, 3, IR_INT) ? NULL : "the bounds and the step must be ints";
  case IR_IF: return is_scalar(q, 0, IR_BOOL) ? NULL : "the condition must be a bool";
  default: return NULL;
  }
}

typedef const char *TypeRule(IrInfer *q);
static TypeRule *const type_rules[IR_OP_COUNT] = {
#define OP(kind, text, args, results, type, flags, cost, rule) [IR_##kind] = type_##type,
#include "ir/ops.def"
};

const char *ir_infer(IrInfer *q) {
  q->known = false;
  q->type = IR_SCALAR(IR_F64);
  for (int i = 0; i < IR_MAX_RANK; i++) q->dims[i] = 0;
  int want = ir_op_info[q->kind].args;
  if (want >= 0 && q->n != want) return "the number of operands is wrong";
  for (int i = 0; i < q->n; i++)
    if (q->args[i] == 0 || q->args[i] >= (IrVal)q->func->vals.len) return "an operand is missing";
  return type_rules[q->kind](q);
}
