// Differentiation: forward mode. In: a function. Out: the same function with, beside every active value, its tangent.
// Regions keep their shape: loops carry tangents, builds and branches yield them.
#include "ad/internal.h"

typedef struct Forward {
  Arena *arena;
  IrModule *m;
  Diags *diags;
  const IrFunc *f;
  IrFunc *g;
  Activity act;
  IrMap map;
  IrVal *tan; // by value of f: its tangent in g; 0: zero
  bool failed;
} Forward;

static void forward_region(Forward *fw, IrBuilder *b, const IrRegion *r);

static IrVal mapped(const Forward *fw, IrVal v) { return ir_mapped(&fw->map, v); }

static IrVal tangent_or_zero(Forward *fw, IrBuilder *b, IrVal v) {
  if (fw->tan[v]) return fw->tan[v];
  IrType t = ir_type(fw->f, v);
  IrVal dims[IR_MAX_RANK];
  if (t.grow) {
    IrVal n = ir_op1(b, IR_LEN, mapped(fw, v)), empty = ir_empty(b, (IrElem)t.elem), idx, carried;
    AdNest nest = {0};
    IrVal zero = ad_zero(b, (IrElem)t.elem);
    IrBuilder in = ad_nest_open(b, &nest, &n, 1, &empty, 1, &idx, &carried);
    carried = ir_op2(&in, IR_PUSH, carried, zero);
    ad_nest_close(&nest, &carried, &carried);
    return carried;
  }
  for (int k = 0; k < t.rank; k++) dims[k] = mapped(fw, ir_dims(fw->f, v)[k]);
  return ad_zeros(b, t, dims);
}

static bool active(const Forward *fw, IrVal v) { return is_active(&fw->act, v); }

// ---- scalars and arrays ------------------------------------------------------------------------------------------------

static IrVal rule_operand(Rule *r, int k) { return mapped(r->user, r->op->args[k]); }
static IrVal rule_result(Rule *r) { return mapped(r->user, r->op->result); }

static IrVal push_scalar(Forward *fw, IrBuilder *b, const IrOp *op) {
  Rule rule = {b, op, fw, rule_operand, rule_result};
  IrVal sum = 0;
  for (int k = 0; k < op->n_args; k++) {
    IrVal t = fw->tan[op->args[k]];
    if (!t) continue;
    IrVal part = op->kind == IR_FCVT ? ir_convert(b, IR_FCVT, (IrElem)ir_type(fw->f, op->result).elem, t)
                                     : rule_apply(&rule, k, t);
    sum = sum ? ad_add(b, sum, part) : part;
  }
  return sum;
}

static IrVal push_product(Forward *fw, IrBuilder *b, const IrOp *op, int first, IrVal sum) {
  for (int k = 0; k < 2; k++) {
    IrVal t = fw->tan[op->args[first + k]];
    if (!t) continue;
    IrVal x = k == 0 ? t : mapped(fw, op->args[first]), y = k == 1 ? t : mapped(fw, op->args[first + 1]);
    sum = sum ? ir_matacc(b, sum, x, y, op->attr.i) : ir_matmul(b, x, y, op->attr.i);
  }
  return sum;
}

static IrVal push_array(Forward *fw, IrBuilder *b, const IrOp *op) {
  IrVal idx[IR_MAX_RANK], last = op->n_args ? op->args[op->n_args - 1] : 0;
  IrVal base = op->n_args ? fw->tan[op->args[0]] : 0;
  for (int k = 1; k < op->n_args && k <= IR_MAX_RANK; k++) idx[k - 1] = mapped(fw, op->args[k]);
  switch ((IrOpKind)op->kind) {
  case IR_GET: return base ? ir_get(b, base, idx, op->n_args - 1) : 0;
  case IR_SET:
    if (!base && !fw->tan[last]) return 0;
    return ir_set(b, tangent_or_zero(fw, b, op->args[0]), idx, op->n_args - 2, tangent_or_zero(fw, b, last));
  case IR_ACC:
    if (!fw->tan[last]) return base;
    return ir_acc(b, tangent_or_zero(fw, b, op->args[0]), idx, op->n_args - 2, fw->tan[last]);
  case IR_FILL: return base ? ir_fill(b, base, idx, op->n_args - 1) : 0;
  case IR_COPY: return base;
  case IR_MATMUL: return push_product(fw, b, op, 0, 0);
  case IR_MATACC: return push_product(fw, b, op, 1, base);
  case IR_PUSH: return ir_op2(b, IR_PUSH, tangent_or_zero(fw, b, op->args[0]), tangent_or_zero(fw, b, last));
  case IR_POP: return base ? ir_op1(b, IR_POP, base) : 0;
  default: return 0;
  }
}

// ---- regions -----------------------------------------------------------------------------------------------------------

static IrVal *const_dims(Forward *fw, const IrOp *op, int k) {
  IrType t = ir_type(fw->f, ir_result(op, k));
  IrVal *dims = ARENA_ARRAY(fw->arena, IrVal, IR_MAX_RANK);
  for (int d = 0; d < t.rank && !t.grow; d++) {
    IrVal old = ir_dims(fw->f, ir_result(op, k))[d];
    dims[d] = ir_val(fw->f, old)->def == op ? IR_RESULT(old - op->result) : mapped(fw, old);
  }
  return dims;
}

// Which results of an operation with regions come with a tangent.
static int *tangent_results(Forward *fw, const IrOp *op, const IrRegion *body, int first_arg, int *n) {
  int *which = ARENA_ARRAY(fw->arena, int, op->n_results);
  *n = 0;
  for (int k = 0; k < op->n_results; k++)
    if (active(fw, ir_result(op, k)) || (first_arg >= 0 && active(fw, body->args[first_arg + k])))
      which[(*n)++] = k;
  return which;
}

static void map_results(Forward *fw, const IrOp *op, const IrOp *now, const int *which, int n) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&fw->map, ir_result(op, k), ir_result(now, k));
  for (int j = 0; j < n; j++) fw->tan[ir_result(op, which[j])] = ir_result(now, op->n_results + j);
}

static void body_yields(Forward *fw, IrBuilder *in, const IrRegion *r, int n_results, const int *which,
                        int n) {
  IrVal *yields = ARENA_ARRAY(fw->arena, IrVal, n_results + n);
  for (int k = 0; k < n_results; k++) yields[k] = mapped(fw, r->yields[k]);
  for (int j = 0; j < n; j++) yields[n_results + j] = tangent_or_zero(fw, in, r->yields[which[j]]);
  ir_yield(in, yields, n_results + n);
}

static void forward_loop(Forward *fw, IrBuilder *b, const IrOp *op) {
  bool counted = op->kind == IR_FOR;
  const IrRegion *body = op->regions[counted ? 0 : 1];
  int first_init = counted ? 3 : 0, first_arg = counted ? 1 : 0, n;
  int *which = tangent_results(fw, op, body, first_arg, &n), total = op->n_results + n;
  IrVal *inits = ARENA_ARRAY(fw->arena, IrVal, total);
  for (int k = 0; k < op->n_results; k++) inits[k] = mapped(fw, op->args[first_init + k]);
  for (int j = 0; j < n; j++)
    inits[op->n_results + j] = tangent_or_zero(fw, b, op->args[first_init + which[j]]);
  IrBuilder cond, in;
  IrOp *now = counted ? ir_for(b, mapped(fw, op->args[0]), mapped(fw, op->args[1]), mapped(fw, op->args[2]),
                               inits, total, &in)
                      : ir_while(b, inits, total, &cond, &in);
  if (counted) {
    now->attr = op->attr;
    ir_map_set(&fw->map, body->args[0], in.region->args[0]);
  } else {
    IrVal go;
    for (int k = 0; k < op->n_results; k++)
      ir_map_set(&fw->map, op->regions[0]->args[k], cond.region->args[k]);
    ir_clone_ops(&cond, &fw->map, op->regions[0], &go);
    ir_yield(&cond, &go, 1);
  }
  for (int k = 0; k < op->n_results; k++)
    ir_map_set(&fw->map, body->args[first_arg + k], in.region->args[first_arg + k]);
  for (int j = 0; j < n; j++)
    fw->tan[body->args[first_arg + which[j]]] = in.region->args[first_arg + op->n_results + j];
  forward_region(fw, &in, body);
  body_yields(fw, &in, body, op->n_results, which, n);
  map_results(fw, op, now, which, n);
}

static void forward_if(Forward *fw, IrBuilder *b, const IrOp *op) {
  int n;
  int *which = tangent_results(fw, op, NULL, -1, &n);
  IrBuilder in[2];
  IrOp *now = ir_if(b, mapped(fw, op->args[0]), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    forward_region(fw, &in[i], op->regions[i]);
    body_yields(fw, &in[i], op->regions[i], op->n_results, which, n);
  }
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, op->n_results + n);
  for (int k = 0; k < op->n_results; k++) dims[k] = const_dims(fw, op, k);
  for (int j = 0; j < n; j++) dims[op->n_results + j] = dims[which[j]];
  ir_close_if(b, now, dims);
  map_results(fw, op, now, which, n);
}

static void forward_build(Forward *fw, IrBuilder *b, const IrOp *op) {
  int n;
  int *which = tangent_results(fw, op, NULL, -1, &n);
  IrVal sizes[IR_MAX_RANK];
  for (int k = 0; k < op->n_args; k++) sizes[k] = mapped(fw, op->args[k]);
  IrBuilder in;
  IrOp *now = ir_build(b, sizes, op->n_args, &in);
  for (int k = 0; k < op->n_args; k++) ir_map_set(&fw->map, op->regions[0]->args[k], in.region->args[k]);
  forward_region(fw, &in, op->regions[0]);
  body_yields(fw, &in, op->regions[0], op->n_results, which, n);
  ir_close_build(b, now);
  map_results(fw, op, now, which, n);
}

// ---- calls: a rule of the user's, or the callee's own forward mode (recursion included) ---------------------------------

static void tangent_call(Forward *fw, IrBuilder *b, const IrOp *op, Name rule) {
  int n_args = 0, n = 0;
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, 2 * op->n_args);
  IrType *types = ARENA_ARRAY(fw->arena, IrType, op->n_results);
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, op->n_results);
  int *which = ARENA_ARRAY(fw->arena, int, op->n_results);
  for (int k = 0; k < op->n_args; k++) args[n_args++] = mapped(fw, op->args[k]);
  for (int k = 0; k < op->n_args; k++)
    if (ir_is_float(ir_type(fw->f, op->args[k]))) args[n_args++] = tangent_or_zero(fw, b, op->args[k]);
  for (int k = 0; k < op->n_results; k++) {
    if (!ir_is_float(ir_type(fw->f, ir_result(op, k)))) continue;
    types[n] = ir_type(fw->f, ir_result(op, k));
    dims[n] = ir_dims(fw->g, mapped(fw, ir_result(op, k)));
    which[n++] = k;
  }
  IrOp *call = ir_call(b, rule, args, n_args, types, dims, n);
  for (int j = 0; j < n; j++) fw->tan[ir_result(op, which[j])] = ir_result(call, j);
}

static IrFunc *jvp_of(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags);

void ad_refuse_tangent(Diags *diags, const IrFunc *callee, Loc at) {
  Diag *d = diag_add(diags, DIAG_AD_REFUSED, at, "`%s` has no forward-mode rule", callee->source_name);
  diag_label(diags, d, "forward mode meets this call");
  diag_help(diags, d, "add `tangent %s(...)`, or ask for reverse mode with `mode: reverse`",
            callee->source_name);
}

static void forward_call(Forward *fw, IrBuilder *b, const IrOp *op) {
  IrFunc *callee = ir_func_find(fw->m, op->attr.sym);
  if (callee->has_rule) {
    ir_clone_op(b, &fw->map, op);
    if (callee->tangent_rule) {
      tangent_call(fw, b, op, callee->tangent_rule);
    } else {
      ad_refuse_tangent(fw->diags, callee, op->loc.loc);
      fw->failed = true;
    }
    return;
  }
  bool *wrt = ARENA_ARRAY(fw->arena, bool, callee->n_params);
  int n_args = 0, n = 0;
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, 2 * op->n_args);
  for (int k = 0; k < op->n_args; k++) args[n_args++] = mapped(fw, op->args[k]);
  for (int k = 0; k < op->n_args; k++) {
    wrt[k] = fw->tan[op->args[k]] != 0;
    if (wrt[k]) args[n_args++] = fw->tan[op->args[k]];
  }
  IrFunc *jvp = jvp_of(fw->m, callee, wrt, fw->diags);
  if (!jvp) {
    fw->failed = true;
    ir_clone_op(b, &fw->map, op);
    return;
  }
  IrType *types = ARENA_ARRAY(fw->arena, IrType, 2 * op->n_results);
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, 2 * op->n_results);
  int *which = ARENA_ARRAY(fw->arena, int, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    types[k] = ir_type(fw->f, ir_result(op, k));
    dims[k] = const_dims(fw, op, k);
  }
  for (int k = 0; k < op->n_results; k++) {
    if (!ir_is_float(types[k])) continue;
    types[op->n_results + n] = types[k];
    dims[op->n_results + n] = dims[k];
    which[n++] = k;
  }
  IrOp *call = ir_call(b, jvp->name, args, n_args, types, dims, op->n_results + n);
  map_results(fw, op, call, which, n);
}

// ---- one operation -----------------------------------------------------------------------------------------------------

static bool has_active_result(const Forward *fw, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++)
    if (active(fw, ir_result(op, k))) return true;
  return false;
}

static void forward_op(Forward *fw, IrBuilder *b, const IrOp *op) {
  b->loc = op->loc;
  if (!has_active_result(fw, op)) {
    ir_clone_op(b, &fw->map, op);
    return;
  }
  switch ((IrOpKind)op->kind) {
  case IR_FOR:
  case IR_WHILE: forward_loop(fw, b, op); return;
  case IR_IF: forward_if(fw, b, op); return;
  case IR_BUILD: forward_build(fw, b, op); return;
  case IR_CALL: forward_call(fw, b, op); return;
  default: break;
  }
  // The tangent first, while the operands of an operation that uses one up are still alive; the rule of an operation that
  // reads its own result needs it before.
  bool scalar = rule_class((IrOpKind)op->kind) == RULE_SCALAR;
  if (scalar) ir_clone_op(b, &fw->map, op);
  fw->tan[op->result] = scalar ? push_scalar(fw, b, op) : push_array(fw, b, op);
  if (!scalar) ir_clone_op(b, &fw->map, op);
}

static void forward_region(Forward *fw, IrBuilder *b, const IrRegion *r) {
  for (int i = 0; i < r->ops.len && !fw->failed; i++) forward_op(fw, b, r->ops.data[i]);
}

// ---- the whole function ------------------------------------------------------------------------------------------------

static Name jvp_name(IrModule *m, const IrFunc *f, const bool *wrt) {
  StrBuf sb;
  sb_init(&sb, m->arena);
  sb_addf(&sb, "%s.jvp", f->name);
  for (int k = f->n_sizes; k < f->n_params; k++) sb_addc(&sb, wrt[k] ? '1' : '0');
  return intern_cstr(m->names, sb.data);
}

static IrFunc *jvp_of(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) {
  Name name = jvp_name(m, f, wrt);
  IrFunc *known = ir_func_find(m, name);
  if (known) return known;
  Forward fw = {.arena = m->arena,
                .m = m,
                .diags = diags,
                .f = f,
                .act = activity_of(m->arena, f, wrt),
                .tan = ARENA_ARRAY(m->arena, IrVal, f->vals.len)};
  fw.g = ir_func_like(f, &fw.map, m->arena);
  fw.g->name = name;
  fw.g->is_export = fw.g->has_rule = false;
  fw.g->adjoint_rule = fw.g->tangent_rule = NULL;
  for (int k = 0; k < f->n_params; k++) {
    if (!wrt[k]) continue;
    IrVal p = f->body->args[k], dims[IR_MAX_RANK];
    for (int d = 0; d < f->vals.data[p].type.rank && !ir_type(f, p).grow; d++)
      dims[d] = mapped(&fw, ir_dims(f, p)[d]);
    IrLeaf leaf = {.path = intern_cstr(m->names, arena_printf(m->arena, "%s_dot",
                                                              f->params[k].path ? f->params[k].path : "p"))};
    fw.tan[p] = ir_param(fw.g, ir_type(f, p), dims, leaf);
  }
  // Known by its type before its body exists, so that a recursive call finds it.
  int n = f->n_results;
  fw.g->results = ARENA_ARRAY(m->arena, IrType, 2 * n);
  for (int k = 0; k < f->n_results; k++) fw.g->results[k] = f->results[k];
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) fw.g->results[n++] = f->results[k];
  fw.g->n_results = n;
  vec_push(m->arena, &m->funcs, fw.g);

  IrBuilder b = ir_builder(fw.g);
  forward_region(&fw, &b, f->body);
  if (fw.failed) {
    ir_module_remove(m, fw.g);
    return NULL;
  }
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, n);
  IrLeaf *leaves = ARENA_ARRAY(m->arena, IrLeaf, n);
  n = 0;
  for (int k = 0; k < f->n_results; k++, n++) {
    vals[n] = mapped(&fw, f->body->yields[k]);
    if (f->result_leaves) leaves[n] = f->result_leaves[k];
  }
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) {
      leaves[n].path = intern_cstr(m->names, "_dot");
      vals[n++] = tangent_or_zero(&fw, &b, f->body->yields[k]);
    }
  ir_set_results(fw.g, vals, n, leaves);
  return fw.g;
}

IrFunc *ad_jvp(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) { return jvp_of(m, f, wrt, diags); }
