// Which modes of differentiation a function has all the rules for. In: an instance. Out: an answer. Only a program in which some
// function has a rule for one mode alone is looked at: the bodies of all that the instance calls are then lowered ahead of
// their turn.
#include "lower/derivs.h"

static bool has_one_sided_rules(const Program *p) {
  for (int i = 0; i < p->modules.len; i++) {
    const Module *m = p->modules.data[i];
    for (int k = 0; k < m->fns.len; k++)
      if (!m->fns.data[k]->adjoint_rule != !m->fns.data[k]->tangent_rule) return true;
  }
  return false;
}

typedef struct Seek {
  Lower *l;
  bool forward;
  bool lacks;
  VEC(const IrFunc *) seen;
} Seek;

static void seek(Seek *s, IrFunc *f);

static IrWalk visit(void *user, IrOp *op) {
  Seek *s = user;
  Name callee = op->kind == IR_CALL ? op->attr.sym : op->kind == IR_DCALL ? op->attr.deriv->callee : NULL;
  if (callee) seek(s, ir_func_find(s->l->module, callee));
  return s->lacks ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

static void seek(Seek *s, IrFunc *f) {
  for (int i = 0; i < s->seen.len; i++)
    if (s->seen.data[i] == f) return;
  vec_push(s->l->arena, &s->seen, f);
  if (f->has_rule) {
    s->lacks |= !(s->forward ? f->tangent_rule : f->adjoint_rule);
    return;
  }
  for (int i = 0; i < s->l->insts.len; i++)
    if (s->l->insts.data[i]->func == f) inst_fill(s->l, s->l->insts.data[i]);
  if (f->body && !s->l->failed) ir_walk(f->body, visit, s);
}

bool deriv_has_mode(Gen *g, const Inst *of, bool forward) {
  if (!has_one_sided_rules(g->l->program)) return true;
  Seek s = {.l = g->l, .forward = forward};
  seek(&s, of->func);
  return !s.lacks;
}
