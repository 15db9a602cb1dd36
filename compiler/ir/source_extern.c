// IR as dp source: functions of C. In: the functions that are printed. Out: a declaration for each C function that they call,
// in front of them. A function with a derivative rule that is nothing but a C function is its own declaration.
#include "ir/source.h"

// Apart from all names of dp's own.
const char *src_extern(Writer *w, Name symbol) { return arena_printf(w->arena, "c_%s", symbol); }

const IrExtern *src_foreign(const IrFunc *f) {
  const IrOp *op = f->has_rule && f->body->ops.len == 1 ? f->body->ops.data[0] : NULL;
  int n = f->n_params - f->n_sizes;
  if (!op || op->kind != IR_EXTERN || op->n_args != n || op->n_results != 1 || f->n_results != 1) return NULL;
  for (int k = 0; k < n; k++)
    if (op->args[k] != f->body->args[f->n_sizes + k]) return NULL;
  return f->body->yields[0] == op->result && !ir_type(f, op->result).rank ? op->attr.ext : NULL;
}

typedef struct Externs {
  Writer *w;
  const IrFunc *f;
  VEC(Name) declared;
} Externs;

static const char *extern_type(Arena *a, IrType t, int k) {
  if (!t.rank) return ir_elem_text((IrElem)t.elem);
  StrBuf sb;
  sb_init(&sb, a);
  for (int d = 0; d < t.rank; d++) sb_addf(&sb, "%sn%d_%d", d ? ", " : "[", k, d);
  sb_addf(&sb, "]%s", ir_elem_text((IrElem)t.elem));
  return sb.data;
}

static IrWalk declare_extern(void *user, IrOp *op) {
  Externs *x = user;
  if (op->kind != IR_EXTERN) return IR_WALK_CONTINUE;
  Arena *a = x->w->arena;
  StrBuf *out = x->w->out;
  Name symbol = op->attr.ext->symbol;
  for (int i = 0; i < x->declared.len; i++)
    if (x->declared.data[i] == symbol) return IR_WALK_CONTINUE;
  vec_push(a, &x->declared, symbol);
  const char *name = src_extern(x->w, symbol);
  vec_push(a, &x->w->taken, intern_cstr(x->w->m->names, name));
  sb_addf(out, "%s%sextern fn %s(", op->attr.ext->slots ? "@slots " : "", op->attr.ext->pure ? "@pure " : "",
          name);
  for (int k = 0; k < op->n_args; k++)
    sb_addf(out, "%sa%d: %s", k ? ", " : "", k, extern_type(a, ir_type(x->f, op->args[k]), k));
  sb_add(out, ")");
  if (op->n_results)
    sb_addf(out, " -> %s", extern_type(a, ir_type(x->f, ir_result(op, op->n_results - 1)), op->n_args));
  sb_addf(out, " = \"%s\"\n", symbol);
  return IR_WALK_CONTINUE;
}

bool src_externs(Writer *w, const bool *shown) {
  Externs x = {.w = w};
  for (int i = 0; i < w->m->funcs.len; i++) {
    x.f = w->m->funcs.data[i];
    if (shown[i] && !src_foreign(x.f)) ir_walk(x.f->body, declare_extern, &x);
  }
  return x.declared.len > 0;
}
