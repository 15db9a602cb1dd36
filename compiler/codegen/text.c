// String interpolation: a template's pieces and holes, one runtime call each.
//
// A template is text with holes `{}` or `{:spec}`, one per operand in order; `{{` and `}}` stand for single braces.
#include "codegen/internal.h"

#include <string.h>

static void add_text(Fn *fn, const char *s, size_t len) {
  if (!len) return;
  LLVMValueRef text = cg_text(fn->cg, intern(fn->cg->ir->names, s, len));
  cg_call_runtime(fn, CG_dprt_text_str, (LLVMValueRef[]){fn->ctx, text}, 2);
}

static void add_array(Fn *fn, IrVal v, LLVMValueRef spec) {
  Cg *cg = fn->cg;
  IrType t = ir_type(fn->ir, v);
  LLVMValueRef sizes = cg_alloca(fn, cg->i64, t.rank, 8);
  for (int i = 0; i < t.rank; i++) {
    LLVMValueRef n = t.grow ? cg_val(fn, v)->len : cg_v(fn, ir_dims(fn->ir, v)[i]), at = cg_int(cg, i);
    LLVMBuildStore(fn->b, n, LLVMBuildInBoundsGEP2(fn->b, cg->i64, sizes, &at, 1, ""));
  }
  LLVMValueRef args[6] = {
      fn->ctx, cg_i32(cg, cg_runtime_elem((IrElem)t.elem)), cg_i32(cg, t.rank), cg_v(fn, v), sizes, spec};
  cg_call_runtime(fn, CG_dprt_text_array, args, 6);
}

static void add_value(Fn *fn, IrVal v, LLVMValueRef spec) {
  IrType t = ir_type(fn->ir, v);
  if (t.rank) {
    add_array(fn, v, spec);
    return;
  }
  LLVMValueRef args[3] = {fn->ctx, cg_v(fn, v), spec};
  switch ((IrElem)t.elem) {
  case IR_BOOL: cg_call_runtime(fn, CG_dprt_text_bool, args, 2); return;
  case IR_INT: cg_call_runtime(fn, CG_dprt_text_i64, args, 3); return;
  case IR_F32: cg_call_runtime(fn, CG_dprt_text_f32, args, 3); return;
  case IR_F64: cg_call_runtime(fn, CG_dprt_text_f64, args, 3); return;
  case IR_STRING: cg_call_runtime(fn, CG_dprt_text_str, args, 2); return;
  }
}

// The hole that starts at p: its end, past the `}`; the spec between ':' and '}'.
static const char *read_hole(Fn *fn, const char *p, Name *spec) {
  const char *end = strchr(p, '}');
  const char *colon = end ? memchr(p, ':', (size_t)(end - p)) : NULL;
  Interner *names = fn->cg->ir->names;
  *spec = colon ? intern(names, colon + 1, (size_t)(end - colon - 1)) : intern_cstr(names, "");
  return end ? end + 1 : p + strlen(p);
}

void cg_emit_format(Fn *fn, const IrOp *op) {
  cg_call_runtime(fn, CG_dprt_text_begin, &fn->ctx, 1);
  int hole = 0;
  const char *from = op->attr.sym, *p = from;
  while (*p) {
    if (*p != '{' && *p != '}') {
      p++;
    } else if (p[1] == *p) { // a doubled brace: the text up to and with the first of the two
      add_text(fn, from, (size_t)(p + 1 - from));
      from = p += 2;
    } else if (*p == '}') {
      p++;
    } else {
      add_text(fn, from, (size_t)(p - from));
      Name spec;
      from = p = read_hole(fn, p, &spec);
      if (hole < op->n_args) add_value(fn, op->args[hole++], cg_text(fn->cg, spec));
    }
  }
  add_text(fn, from, (size_t)(p - from));
  cg_set(fn, op->result, cg_call_runtime(fn, CG_dprt_text_end, &fn->ctx, 1));
}
