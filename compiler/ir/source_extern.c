// IR as dp source: functions of C. In: a module. Out: a declaration for each one that it calls, in front of its functions.
#include "ir/internal.h"

// Apart from all names of dp's own.
const char *ir_source_extern(Arena *a, Name symbol) { return arena_printf(a, "c_%s", symbol); }

typedef struct Externs {
  Arena *arena;
  StrBuf *out;
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
  Name symbol = op->attr.ext->symbol;
  for (int i = 0; i < x->declared.len; i++)
    if (x->declared.data[i] == symbol) return IR_WALK_CONTINUE;
  vec_push(x->arena, &x->declared, symbol);
  sb_addf(x->out, "%s%sextern fn %s(", op->attr.ext->slots ? "@slots " : "",
          op->attr.ext->pure ? "@pure " : "", ir_source_extern(x->arena, symbol));
  for (int k = 0; k < op->n_args; k++)
    sb_addf(x->out, "%sa%d: %s", k ? ", " : "", k, extern_type(x->arena, ir_type(x->f, op->args[k]), k));
  sb_add(x->out, ")");
  if (op->n_results)
    sb_addf(x->out, " -> %s",
            extern_type(x->arena, ir_type(x->f, ir_result(op, op->n_results - 1)), op->n_args));
  sb_addf(x->out, " = \"%s\"\n", symbol);
  return IR_WALK_CONTINUE;
}

// Their derivative rules, if any, are worked in already.
void ir_source_externs(const IrModule *m, Arena *scratch, StrBuf *out) {
  Externs x = {.arena = scratch, .out = out};
  for (int i = 0; i < m->funcs.len; i++) {
    x.f = m->funcs.data[i];
    if (x.f->body) ir_walk(x.f->body, declare_extern, &x);
  }
  if (x.declared.len) sb_addc(out, '\n');
}
