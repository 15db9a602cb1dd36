// Differentiation: forward mode. In: a function. Out: the same function with, beside every active value, its tangent.
// Regions keep their shape: loops carry tangents, builds and branches yield them.
//
// Along several directions at once a tangent has one axis more; what that changes stands in ad/wide.c.
#include "ad/forward.h"

// ---- tangents --------------------------------------------------------------------------------------------------------

IrType fw_type(const Forward *fw, IrType t) {
  t.rank = (uint8_t)(t.rank + (fw->width != 0));
  return t;
}

IrVal *fw_dims(Forward *fw, IrVal v, const IrOp *maker) {
  IrType t = ir_type(fw->f, v);
  IrVal *dims = ARENA_ARRAY(fw->arena, IrVal, t.rank + 1);
  for (int d = 0; d < t.rank && !t.grow; d++) {
    IrVal old = ir_dims(fw->f, v)[d];
    dims[d] = maker && ir_val(fw->f, old)->def == maker ? IR_RESULT(old - maker->result) : fw_mapped(fw, old);
  }
  dims[t.rank] = fw->width;
  return dims;
}

IrVal fw_zeros(Forward *fw, IrBuilder *b, IrVal v) {
  IrType t = ir_type(fw->f, v);
  if (!t.grow) return ad_zeros(b, fw_type(fw, t), fw_dims(fw, v, NULL));
  IrVal n = ir_op1(b, IR_LEN, fw_mapped(fw, v)), empty = ir_empty(b, (IrElem)t.elem), idx, carried;
  AdNest nest = {0};
  IrVal zero = ad_zero(b, (IrElem)t.elem);
  IrBuilder in = ad_nest_open(b, &nest, &n, 1, &empty, 1, &idx, &carried);
  carried = ir_op2(&in, IR_PUSH, carried, zero);
  ad_nest_close(&nest, &carried, &carried);
  return carried;
}

IrVal fw_tangent_or_zero(Forward *fw, IrBuilder *b, IrVal v) {
  return fw->tan[v] ? fw->tan[v] : fw_zeros(fw, b, v);
}

// ---- scalars and arrays ------------------------------------------------------------------------------------------------

static IrVal rule_operand(Rule *r, int k) { return fw_mapped(r->user, r->op->args[k]); }
static IrVal rule_result(Rule *r) { return fw_mapped(r->user, r->op->result); }

IrVal fw_push_scalar(Forward *fw, IrBuilder *b, const IrOp *op) {
  Rule rule = {b, op, fw, rule_operand, rule_result};
  IrVal sum = 0;
  for (int k = 0; k < op->n_args; k++) {
    IrVal t = fw->width ? wide_lane_tangent(fw, b, op->args[k]) : fw->tan[op->args[k]];
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
    IrVal x = k == 0 ? t : fw_mapped(fw, op->args[first]),
          y = k == 1 ? t : fw_mapped(fw, op->args[first + 1]);
    sum = sum ? ir_matacc(b, sum, x, y, op->attr.i) : ir_matmul(b, x, y, op->attr.i);
  }
  return sum;
}

static IrVal push_array(Forward *fw, IrBuilder *b, const IrOp *op) {
  IrVal idx[IR_MAX_RANK], last = op->n_args ? op->args[op->n_args - 1] : 0;
  IrVal base = op->n_args ? fw->tan[op->args[0]] : 0;
  for (int k = 1; k < op->n_args && k <= IR_MAX_RANK; k++) idx[k - 1] = fw_mapped(fw, op->args[k]);
  switch ((IrOpKind)op->kind) {
  case IR_GET: return base ? ir_get(b, base, idx, op->n_args - 1) : 0;
  case IR_SET:
    if (!base && !fw->tan[last]) return 0;
    return ir_set(b, fw_tangent_or_zero(fw, b, op->args[0]), idx, op->n_args - 2,
                  fw_tangent_or_zero(fw, b, last));
  case IR_ACC:
    if (!fw->tan[last]) return base;
    return ir_acc(b, fw_tangent_or_zero(fw, b, op->args[0]), idx, op->n_args - 2, fw->tan[last]);
  case IR_FILL: return base ? ir_fill(b, base, idx, op->n_args - 1) : 0;
  case IR_COPY: return base;
  case IR_MATMUL: return push_product(fw, b, op, 0, 0);
  case IR_MATACC: return push_product(fw, b, op, 1, base);
  case IR_PUSH:
    return ir_op2(b, IR_PUSH, fw_tangent_or_zero(fw, b, op->args[0]), fw_tangent_or_zero(fw, b, last));
  case IR_POP: return base ? ir_op1(b, IR_POP, base) : 0;
  default: return 0;
  }
}

// ---- regions -----------------------------------------------------------------------------------------------------------

int *fw_results(Forward *fw, const IrOp *op, const IrRegion *body, int first_arg, int *n) {
  int *which = ARENA_ARRAY(fw->arena, int, op->n_results + 1);
  *n = 0;
  for (int k = 0; k < op->n_results; k++)
    if (fw_active(fw, ir_result(op, k)) || (body && fw_active(fw, body->args[first_arg + k])))
      which[(*n)++] = k;
  return which;
}

static void map_results(Forward *fw, const IrOp *op, const IrOp *now, const int *which, int n) {
  for (int k = 0; k < op->n_results; k++) ir_map_set(&fw->map, ir_result(op, k), ir_result(now, k));
  for (int j = 0; j < n; j++) fw->tan[ir_result(op, which[j])] = ir_result(now, op->n_results + j);
}

void fw_yield(Forward *fw, IrBuilder *in, const IrRegion *r, const int *which, int n) {
  IrVal *vals = ARENA_ARRAY(fw->arena, IrVal, r->n_yields + n);
  if (fw->width) wide_flush(fw, in);
  for (int k = 0; k < r->n_yields; k++) vals[k] = fw_mapped(fw, r->yields[k]);
  for (int j = 0; j < n; j++) vals[r->n_yields + j] = fw_tangent_or_zero(fw, in, r->yields[which[j]]);
  ir_yield(in, vals, r->n_yields + n);
}

static void forward_loop(Forward *fw, IrBuilder *b, const IrOp *op) {
  bool counted = op->kind == IR_FOR;
  const IrRegion *body = op->regions[counted ? 0 : 1];
  int first_init = counted ? 3 : 0, first_arg = counted ? 1 : 0, n;
  int *which = fw_results(fw, op, body, first_arg, &n), total = op->n_results + n;
  IrVal *inits = ARENA_ARRAY(fw->arena, IrVal, total);
  for (int k = 0; k < op->n_results; k++) inits[k] = fw_mapped(fw, op->args[first_init + k]);
  for (int j = 0; j < n; j++)
    inits[op->n_results + j] = fw_tangent_or_zero(fw, b, op->args[first_init + which[j]]);
  IrBuilder cond, in;
  IrOp *now = counted ? ir_for(b, fw_mapped(fw, op->args[0]), fw_mapped(fw, op->args[1]),
                               fw_mapped(fw, op->args[2]), inits, total, &in)
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
  fw_region(fw, &in, body);
  if (fw->width)
    wide_loop_yield(fw, &in, body, first_arg, which, n);
  else
    fw_yield(fw, &in, body, which, n);
  map_results(fw, op, now, which, n);
}

static void forward_if(Forward *fw, IrBuilder *b, const IrOp *op) {
  int n;
  int *which = fw_results(fw, op, NULL, 0, &n);
  IrBuilder in[2];
  IrOp *now = ir_if(b, fw_mapped(fw, op->args[0]), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    fw_region(fw, &in[i], op->regions[i]);
    fw_yield(fw, &in[i], op->regions[i], which, n);
  }
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, op->n_results + n);
  for (int k = 0; k < op->n_results; k++) dims[k] = fw_dims(fw, ir_result(op, k), op);
  for (int j = 0; j < n; j++) dims[op->n_results + j] = dims[which[j]];
  ir_close_if(b, now, dims);
  map_results(fw, op, now, which, n);
}

static void forward_build(Forward *fw, IrBuilder *b, const IrOp *op) {
  int n;
  int *which = fw_results(fw, op, NULL, 0, &n);
  IrVal sizes[IR_MAX_RANK];
  for (int k = 0; k < op->n_args; k++) sizes[k] = fw_mapped(fw, op->args[k]);
  IrBuilder in;
  IrOp *now = ir_build(b, sizes, op->n_args, &in);
  for (int k = 0; k < op->n_args; k++) ir_map_set(&fw->map, op->regions[0]->args[k], in.region->args[k]);
  fw_region(fw, &in, op->regions[0]);
  fw_yield(fw, &in, op->regions[0], which, n);
  ir_close_build(b, now);
  map_results(fw, op, now, which, n);
}

// ---- calls: a rule of the user's, or the callee's own forward mode (recursion included) ---------------------------------

static void call_once(Forward *fw, IrBuilder *b, const TangentCall *c, IrVal *out) {
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, c->n_args + c->n_of);
  for (int k = 0; k < c->n_args; k++) args[k] = c->args[k];
  for (int k = 0; k < c->n_of; k++) args[c->n_args + k] = c->tangents[k];
  IrOp *call = ir_call(b, c->name, args, c->n_args + c->n_of, c->types, c->dims, c->n_results);
  for (int k = c->first; k < c->n_results; k++) out[k - c->first] = ir_result(call, k);
}

static void call_rule(Forward *fw, IrBuilder *b, const IrOp *op, Name rule) {
  int n_args = op->n_args, n_of = 0, n = 0;
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, n_args), *tangents = ARENA_ARRAY(fw->arena, IrVal, n_args);
  IrType *types = ARENA_ARRAY(fw->arena, IrType, op->n_results);
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, op->n_results);
  IrVal *which = ARENA_ARRAY(fw->arena, IrVal, op->n_results),
        *out = ARENA_ARRAY(fw->arena, IrVal, op->n_results);
  for (int k = 0; k < n_args; k++) args[k] = fw_mapped(fw, op->args[k]);
  for (int k = 0; k < n_args; k++)
    if (ir_is_float(ir_type(fw->f, op->args[k]))) tangents[n_of++] = fw_tangent_or_zero(fw, b, op->args[k]);
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    if (!ir_is_float(ir_type(fw->f, v))) continue;
    types[n] = ir_type(fw->f, v);
    dims[n] = ir_dims(fw->g, fw_mapped(fw, v));
    which[n++] = v;
  }
  TangentCall c = {rule, args, n_args, tangents, n_of, types, dims, n, 0};
  (fw->width ? wide_one_by_one : call_once)(fw, b, &c, out);
  for (int j = 0; j < n; j++) fw->tan[which[j]] = out[j];
}

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
      call_rule(fw, b, op, callee->tangent_rule);
    } else {
      ad_refuse_tangent(fw->diags, callee, op->loc.loc);
      fw->failed = true;
    }
    return;
  }
  bool *wrt = ARENA_ARRAY(fw->arena, bool, callee->n_params);
  int n_args = 0, n = 0;
  IrVal *args = ARENA_ARRAY(fw->arena, IrVal, 2 * op->n_args + 1);
  for (int k = 0; k < op->n_args; k++) args[n_args++] = fw_mapped(fw, op->args[k]);
  if (fw->width) args[n_args++] = fw->width;
  for (int k = 0; k < op->n_args; k++) {
    wrt[k] = fw->tan[op->args[k]] != 0;
    if (wrt[k]) args[n_args++] = fw->tan[op->args[k]];
  }
  IrFunc *down = fw_derive(fw->m, callee, wrt, fw->width != 0, fw->diags);
  if (!down) {
    fw->failed = true;
    ir_clone_op(b, &fw->map, op);
    return;
  }
  IrType *types = ARENA_ARRAY(fw->arena, IrType, 2 * op->n_results);
  const IrVal **dims = ARENA_ARRAY(fw->arena, const IrVal *, 2 * op->n_results);
  int *which = ARENA_ARRAY(fw->arena, int, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    types[k] = ir_type(fw->f, ir_result(op, k));
    dims[k] = fw_dims(fw, ir_result(op, k), op);
  }
  for (int k = 0; k < op->n_results; k++) {
    if (!ir_is_float(types[k])) continue;
    types[op->n_results + n] = fw_type(fw, types[k]);
    dims[op->n_results + n] = dims[k];
    which[n++] = k;
  }
  IrOp *call = ir_call(b, down->name, args, n_args, types, dims, op->n_results + n);
  map_results(fw, op, call, which, n);
}

// ---- one operation -----------------------------------------------------------------------------------------------------

static void forward_op(Forward *fw, IrBuilder *b, const IrOp *op) {
  b->loc = op->loc;
  if (!has_active_result(&fw->act, op)) {
    ir_clone_op(b, &fw->map, op);
    return;
  }
  if (fw->width && wide_op(fw, b, op)) return;
  b->loc = op->loc;
  switch ((IrOpKind)op->kind) {
  case IR_FOR:
  case IR_WHILE: forward_loop(fw, b, op); return;
  case IR_IF: forward_if(fw, b, op); return;
  case IR_BUILD: (fw->width ? wide_build : forward_build)(fw, b, op); return;
  case IR_CALL: forward_call(fw, b, op); return;
  default: break;
  }
  // The tangent first, while the operands of an operation that uses one up are still alive; the rule of an operation that
  // reads its own result needs it before.
  bool scalar = rule_class((IrOpKind)op->kind) == RULE_SCALAR;
  if (scalar) ir_clone_op(b, &fw->map, op);
  fw->tan[op->result] = scalar ? fw_push_scalar(fw, b, op) : push_array(fw, b, op);
  if (!scalar) ir_clone_op(b, &fw->map, op);
}

void fw_region(Forward *fw, IrBuilder *b, const IrRegion *r) {
  for (int i = 0; i < r->ops.len && !fw->failed; i++) forward_op(fw, b, r->ops.data[i]);
}

// ---- the whole function ------------------------------------------------------------------------------------------------

static Name derived_name(IrModule *m, const IrFunc *f, const bool *wrt, bool several) {
  StrBuf sb;
  sb_init(&sb, m->arena);
  sb_addf(&sb, "%s.%s", f->name, several ? "jvps" : "jvp");
  for (int k = f->n_sizes; k < f->n_params; k++) sb_addc(&sb, wrt[k] ? '1' : '0');
  return intern_cstr(m->names, sb.data);
}

static Name leaf_name(Forward *fw, const char *base) {
  return intern_cstr(fw->m->names, arena_printf(fw->arena, "%s_%s", base, fw->width ? "dots" : "dot"));
}

// The new function, known by its type before its body exists, so that a recursive call finds it.
static void declare(Forward *fw, const bool *wrt, bool several, Name name) {
  const IrFunc *f = fw->f;
  IrFunc *g = fw->g = ir_func_like((IrFunc *)f, &fw->map, fw->arena);
  g->name = name;
  g->is_export = g->has_rule = false;
  g->adjoint_rule = g->tangent_rule = NULL;
  for (int k = 0; several && k < f->n_params; k++) g->params[k].moved = false; // each direction reads it
  if (several)
    fw->width =
        ir_param(g, IR_SCALAR(IR_INT), NULL, (IrLeaf){.path = intern_cstr(fw->m->names, "directions")});
  for (int k = 0; k < f->n_params; k++) {
    if (!wrt[k]) continue;
    IrVal p = f->body->args[k];
    IrLeaf leaf = {.path = leaf_name(fw, f->params[k].path ? f->params[k].path : "p")};
    fw->tan[p] = ir_param(g, fw_type(fw, ir_type(f, p)), fw_dims(fw, p, NULL), leaf);
  }
  int n = f->n_results;
  g->results = ARENA_ARRAY(fw->arena, IrType, 2 * n);
  for (int k = 0; k < f->n_results; k++) g->results[k] = f->results[k];
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) g->results[n++] = fw_type(fw, f->results[k]);
  g->n_results = n;
  vec_push(fw->m->arena, &fw->m->funcs, g);
}

static bool write_body(Forward *fw, IrVal *vals) {
  const IrFunc *f = fw->f;
  IrBuilder b = ir_builder(fw->g);
  fw_region(fw, &b, f->body);
  if (fw->failed) return false;
  if (fw->width) wide_flush(fw, &b);
  int n = f->n_results;
  for (int k = 0; k < f->n_results; k++) vals[k] = fw_mapped(fw, f->body->yields[k]);
  for (int k = 0; k < f->n_results; k++)
    if (ir_is_float(f->results[k])) vals[n++] = fw_tangent_or_zero(fw, &b, f->body->yields[k]);
  return true;
}

IrFunc *fw_derive(IrModule *m, IrFunc *f, const bool *wrt, bool several, Diags *diags) {
  Name name = derived_name(m, f, wrt, several);
  IrFunc *known = ir_func_find(m, name);
  if (known) return known;
  Forward fw = {.arena = m->arena,
                .m = m,
                .diags = diags,
                .f = f,
                .act = activity_of(m->arena, f, wrt),
                .tan = ARENA_ARRAY(m->arena, IrVal, f->vals.len)};
  declare(&fw, wrt, several, name);
  IrVal *vals = ARENA_ARRAY(m->arena, IrVal, fw.g->n_results);
  if (several) wide_open(&fw);
  if (!(several && !wide_has_room(&fw) ? wide_repeat(&fw, wrt, vals) : write_body(&fw, vals))) {
    ir_module_remove(m, fw.g);
    return NULL;
  }
  IrLeaf *leaves = ARENA_ARRAY(m->arena, IrLeaf, fw.g->n_results);
  for (int k = 0; f->result_leaves && k < f->n_results; k++) leaves[k] = f->result_leaves[k];
  for (int k = f->n_results; k < fw.g->n_results; k++) leaves[k].path = leaf_name(&fw, "");
  ir_set_results(fw.g, vals, fw.g->n_results, leaves);
  return fw.g;
}

IrFunc *ad_jvp(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) {
  return fw_derive(m, f, wrt, false, diags);
}

IrFunc *ad_jvps(IrModule *m, IrFunc *f, const bool *wrt, Diags *diags) {
  return fw_derive(m, f, wrt, true, diags);
}
