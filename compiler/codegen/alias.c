// What LLVM is told about aliasing: two arrays of a function never share memory unless one was made from the other.
//
// In: a function after the memory pass. Out: fn->buffer, a class per array value (values of one class may share memory:
// operand and result of an operation that works in place, inits, carried values, yields and results of loops and
// branches, a call's moved arguments and its results), and the metadata that loads and stores of each class carry.
#include "codegen/internal.h"

enum {
  MAX_SCOPES = 64
}; // lists of scopes grow with the square: past this many only the call boundary speaks

typedef struct Find {
  const Fn *fn;
  int *parent;
} Find;

static int root(Find *u, int v) {
  while (u->parent[v] != v) v = u->parent[v] = u->parent[u->parent[v]];
  return v;
}

static bool is_array(const Find *u, IrVal v) { return ir_is_array(ir_type(u->fn->ir, v)); }

static void join(Find *u, IrVal a, IrVal b) {
  if (is_array(u, a) && is_array(u, b)) u->parent[root(u, (int)a)] = root(u, (int)b);
}

static void join_loop(Find *u, const IrOp *op, const IrRegion *args, int first_arg, const IrRegion *yields,
                      int first_init) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal carried = args->args[first_arg + k];
    join(u, carried, op->args[first_init + k]);
    join(u, carried, yields->yields[k]);
    join(u, carried, ir_result(op, k));
  }
}

static IrWalk visit(void *user, IrOp *op) {
  Find *u = user;
  switch ((IrOpKind)op->kind) {
  case IR_FOR: join_loop(u, op, op->regions[0], 1, op->regions[0], 3); break;
  case IR_WHILE:
    join_loop(u, op, op->regions[1], 0, op->regions[1], 0);
    for (int k = 0; k < op->n_results; k++) join(u, op->regions[0]->args[k], op->args[k]);
    break;
  case IR_IF:
    for (int k = 0; k < op->n_results; k++) {
      join(u, ir_result(op, k), op->regions[0]->yields[k]);
      join(u, ir_result(op, k), op->regions[1]->yields[k]);
    }
    break;
  case IR_CALL: {
    const CgFunc *callee = cg_func(u->fn->cg, op->attr.sym);
    for (int i = 0; callee && i < op->n_args && i < callee->ir->n_params; i++)
      for (int k = 0; callee->ir->params[i].moved && k < op->n_results; k++)
        join(u, op->args[i], ir_result(op, k));
    break;
  }
  default:
    if (ir_op_info[op->kind].flags & IR_U) join(u, op->result, op->args[0]);
    break;
  }
  return IR_WALK_CONTINUE;
}

// A node whose first operand is itself, which is what makes it one of its kind, in inlined copies as well.
LLVMMetadataRef cg_unique_node(Cg *cg, LLVMMetadataRef domain) {
  LLVMMetadataRef self = LLVMTemporaryMDNode(cg->ctx, NULL, 0);
  LLVMMetadataRef ops[2] = {self, domain};
  LLVMMetadataRef node = LLVMMDNodeInContext2(cg->ctx, ops, domain ? 2 : 1);
  LLVMMetadataReplaceAllUsesWith(self, node);
  return node;
}

static void make_scopes(Fn *fn) {
  Cg *cg = fn->cg;
  Arena *scratch = cg->arena;
  int n = fn->n_buffers;
  fn->scope = ARENA_ARRAY(scratch, LLVMValueRef, n);
  fn->noalias = ARENA_ARRAY(scratch, LLVMValueRef, n);
  LLVMMetadataRef domain = cg_unique_node(cg, NULL);
  LLVMMetadataRef *scopes = ARENA_ARRAY(scratch, LLVMMetadataRef, n),
                  *others = ARENA_ARRAY(scratch, LLVMMetadataRef, n);
  for (int i = 0; i < n; i++) scopes[i] = cg_unique_node(cg, domain);
  for (int i = 0; i < n; i++) {
    unsigned k = 0;
    for (int j = 0; j < n; j++)
      if (j != i) others[k++] = scopes[j];
    fn->scope[i] = LLVMMetadataAsValue(cg->ctx, LLVMMDNodeInContext2(cg->ctx, &scopes[i], 1));
    fn->noalias[i] = LLVMMetadataAsValue(cg->ctx, LLVMMDNodeInContext2(cg->ctx, others, k));
  }
}

// ---- what the memory pass must have left -------------------------------------------------------------------------

typedef struct Ownership {
  Fn *fn;
  bool *borrowed; // by buffer: a parameter's that the caller keeps, or a table's
} Ownership;

static IrWalk visit_writes(void *user, IrOp *op) {
  Ownership *o = user;
  bool writes = op->kind == IR_FREE || (ir_op_info[op->kind].flags & IR_U);
  int buffer = writes ? o->fn->buffer[op->args[0]] : -1;
  if (buffer >= 0 && o->borrowed[buffer])
    cg_bug(o->fn->cg, "in `%s`, `%s` would write to an array that is not its own", o->fn->ir->name,
           ir_op_info[op->kind].text);
  return IR_WALK_CONTINUE;
}

static IrWalk visit_tables(void *user, IrOp *op) {
  Ownership *o = user;
  if (op->kind == IR_TABLE) o->borrowed[o->fn->buffer[op->result]] = true;
  return IR_WALK_CONTINUE;
}

// Nothing writes to a table or a borrowed parameter, and each array result is a block of its own.
static void check_ownership(Fn *fn) {
  const IrFunc *f = fn->ir;
  Ownership o = {fn, ARENA_ARRAY(fn->cg->arena, bool, fn->n_buffers + 1)};
  for (int i = 0; i < f->n_params; i++) {
    int buffer = fn->buffer[f->body->args[i]];
    if (buffer >= 0 && !f->params[i].moved) o.borrowed[buffer] = true;
  }
  ir_walk(f->body, visit_tables, &o);
  ir_walk(f->body, visit_writes, &o);
  for (int i = 0; i < f->n_results; i++) {
    IrVal v = f->body->yields[i];
    bool taken = fn->buffer[v] >= 0 && o.borrowed[fn->buffer[v]];
    for (int k = 0; k < i && fn->buffer[v] >= 0; k++) taken |= f->body->yields[k] == v;
    if (taken) cg_bug(fn->cg, "result %d of `%s` is an array that belongs to another", i, f->name);
  }
}

void cg_find_buffers(Fn *fn) {
  Arena *scratch = fn->cg->arena;
  int n = fn->ir->vals.len;
  Find u = {fn, ARENA_ARRAY(scratch, int, n)};
  for (int i = 0; i < n; i++) u.parent[i] = i;
  ir_walk(fn->ir->body, visit, &u);
  fn->buffer = ARENA_ARRAY(scratch, int, n);
  int *number = ARENA_ARRAY(scratch, int, n); // by root, from 1
  for (int i = 1; i < n; i++) {
    fn->buffer[i] = -1;
    if (!is_array(&u, (IrVal)i)) continue;
    int *k = &number[root(&u, i)];
    if (!*k) *k = ++fn->n_buffers;
    fn->buffer[i] = *k - 1;
  }
  if (fn->cg->opt->opt_level > 0 && fn->n_buffers > 1 && fn->n_buffers <= MAX_SCOPES) make_scopes(fn);
  check_ownership(fn);
}

void cg_mark_access(Fn *fn, LLVMValueRef access, IrVal array) {
  int k = fn->buffer[array];
  if (!fn->scope || k < 0) return;
  LLVMSetMetadata(access, fn->cg->md_scope, fn->scope[k]);
  LLVMSetMetadata(access, fn->cg->md_noalias, fn->noalias[k]);
}
