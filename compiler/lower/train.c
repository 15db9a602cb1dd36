// train, minimize, step, and parameters as one flat array. In: their calls; out: TRAIN and MINIMIZE with the loss and its
// gradient as exported functions of (sizes, parameters, data), where the parameters are the model's float leaves as f64;
// its other leaves and what the loss captures follow the data and are never cut into batches.
#include "lower/internal.h"

#include <stdlib.h>
#include <string.h>

// ---- floats in a row -----------------------------------------------------------------------------------------------------

static IrVal leaf_size(Gen *g, IrVal v) {
  IrType t = ir_type(g->f, v);
  if (t.grow) return ir_op1(&g->b, IR_LEN, v);
  IrVal n = 0;
  for (int k = 0; k < t.rank; k++) {
    IrVal d = ir_dims(g->f, v)[k];
    n = n ? ir_op2(&g->b, IR_MUL, n, d) : d;
  }
  return n ? n : ir_const_int(&g->b, 1);
}

static void float_leaves(Gen *g, Value *v, IrVals *out) {
  ValueVec leaves = {0};
  value_leaves(force(g, v), &leaves, g->arena);
  for (int i = 0; i < leaves.len; i++)
    if (ir_is_float(ir_type(g->f, leaves.data[i]->val))) vec_push(g->arena, out, leaves.data[i]->val);
}

IrVal param_count(Gen *g, Value *v) {
  IrVals leaves = {0};
  IrVal sum = 0;
  float_leaves(g, v, &leaves);
  for (int i = 0; i < leaves.len; i++) {
    IrVal n = leaf_size(g, leaves.data[i]);
    sum = sum ? ir_op2(&g->b, IR_ADD, sum, n) : n;
  }
  return sum ? sum : ir_const_int(&g->b, 0);
}

typedef struct Pack {
  IrVal from, offset; // offset 0: none
} Pack;

// Where element idx of an array lies in a flat one.
static IrVal flat_index(Gen *g, IrVal array, IrVal offset, const IrVal *idx) {
  IrVal at = idx[0];
  for (int k = 1; k < ir_type(g->f, array).rank; k++)
    at = ir_op2(&g->b, IR_ADD, ir_op2(&g->b, IR_MUL, at, ir_dims(g->f, array)[k]), idx[k]);
  return offset ? ir_op2(&g->b, IR_ADD, offset, at) : at;
}

static void pack_one(Gen *g, void *user, const IrVal *idx, IrVal *carried) {
  const Pack *p = user;
  IrVal x = ir_get(&g->b, p->from, idx, ir_type(g->f, p->from).rank);
  x = leaf_convert(g, value_leaf(g, x), IR_F64)->val;
  IrVal at = flat_index(g, p->from, p->offset, idx);
  carried[0] = ir_set(&g->b, carried[0], &at, 1, x);
}

IrVal pack_floats(Gen *g, Value *v) {
  IrVals leaves = {0};
  float_leaves(g, v, &leaves);
  bool plain = leaves.len == 1 && ir_type(g->f, leaves.data[0]).rank == 1;
  if (plain && ir_type(g->f, leaves.data[0]).elem == IR_F64 && !ir_type(g->f, leaves.data[0]).grow)
    return leaves.data[0];
  IrVal n = param_count(g, v), offset = 0;
  IrVal flat = ir_fill(&g->b, ir_const_float(&g->b, IR_F64, 0.0), &n, 1);
  for (int i = 0; i < leaves.len; i++) {
    Pack p = {leaves.data[i], offset};
    IrVal size = leaf_size(g, p.from), at = offset ? offset : ir_const_int(&g->b, 0);
    IrType t = ir_type(g->f, p.from);
    if (t.rank)
      nest(g, t.grow ? &size : ir_dims(g->f, p.from), t.rank, &flat, 1, pack_one, &p);
    else
      flat = ir_set(&g->b, flat, &at, 1, leaf_convert(g, value_leaf(g, p.from), IR_F64)->val);
    offset = offset ? ir_op2(&g->b, IR_ADD, offset, size) : size;
  }
  return flat;
}

static IrVal unpack_leaf(Gen *g, IrVal flat, IrVal like, IrVal offset) {
  IrType t = ir_type(g->f, like);
  IrVal at = offset ? offset : ir_const_int(&g->b, 0);
  if (!t.rank) return leaf_convert(g, value_leaf(g, ir_get(&g->b, flat, &at, 1)), (IrElem)t.elem)->val;
  IrBuilder in, outer;
  IrOp *op = ir_build(&g->b, ir_dims(g->f, like), t.rank, &in);
  outer = g->b;
  g->b = in;
  at = flat_index(g, like, offset, in.region->args);
  IrVal x = leaf_convert(g, value_leaf(g, ir_get(&g->b, flat, &at, 1)), (IrElem)t.elem)->val;
  ir_yield(&g->b, &x, 1);
  g->b = outer;
  ir_close_build(&g->b, op);
  return ir_result(op, 0);
}

// `like` with its floats taken from flat.
static Value *unpack_floats(Gen *g, IrVal flat, Value *like) {
  ValueVec leaves = {0};
  IrVal offset = 0;
  Value *now = like;
  value_leaves(like, &leaves, g->arena);
  for (int i = 0; i < leaves.len; i++) {
    IrVal v = leaves.data[i]->val;
    if (!ir_is_float(ir_type(g->f, v)) || ir_type(g->f, v).grow) continue;
    now = value_with_leaf(g, now, i, value_leaf(g, unpack_leaf(g, flat, v, offset)));
    IrVal size = leaf_size(g, v);
    offset = offset ? ir_op2(&g->b, IR_ADD, offset, size) : size;
  }
  return now;
}

// ---- steps by hand ---------------------------------------------------------------------------------------------------------

static IrOp *runtime_call(Gen *g, const char *symbol, const IrVal *args, int n, const CallShape *s) {
  IrOp *op = ir_op_explicit(&g->b, IR_EXTERN, args, n, s->types, s->dims, s->n);
  op->attr.ext = ARENA_NEW(g->arena, IrExtern);
  *op->attr.ext = (IrExtern){name_of(g->l, "%s", symbol), true, false};
  return op;
}

static const IrType state_type = {IR_F64, 1, true};

Value *optimizer_like(Gen *g, Value *o, IrVal n) {
  ValueVec leaves = {0};
  CallShape s = {0};
  value_leaves(o, &leaves, g->arena);
  shape_add(g, &s, state_type, NULL);
  IrVal args[2] = {leaves.data[0]->val, n};
  IrVal state = ir_result(runtime_call(g, "dprt_optimizer_like", args, 2, &s), 0);
  return value_with_leaf(g, o, 0, value_leaf(g, state));
}

Value *lower_step(Gen *g, Expr *e) {
  Expr **args = e->call.args_by_param;
  Place o = place_of(g, args[0]), m = place_of(g, args[1]);
  Value *grad = force(g, lower_as(g, args[2], args[1]->type, name_of(g->l, "gradient")));
  Value *optimizer = place_read(g, &o), *model = place_read(g, &m);
  ValueVec state = {0};
  CallShape s = {0};
  g->b.loc.loc = e->loc;
  value_leaves(optimizer, &state, g->arena);
  IrVal w = pack_floats(g, model), operands[3] = {state.data[0]->val, w, pack_floats(g, grad)};
  IrVal *dims = ARENA_ARRAY(g->arena, IrVal, 1);
  dims[0] = IR_RESULT(1);
  shape_add(g, &s, state_type, NULL);
  shape_add(g, &s, IR_SCALAR(IR_INT), NULL);
  shape_add(g, &s, (IrType){IR_F64, 1, false}, dims);
  IrOp *op = runtime_call(g, "dprt_optimizer_update", operands, 3, &s);
  check_same(g, ir_result(op, 1), ir_dims(g->f, w)[0], name_of(g->l, "step"));
  place_write(g, &o, value_with_leaf(g, optimizer, 0, value_leaf(g, ir_result(op, 0))), NULL);
  place_write(g, &m, unpack_floats(g, ir_result(op, 2), model), NULL);
  return value_none(g);
}

// ---- what the training loop calls --------------------------------------------------------------------------------------------

static Type *leaf_as_type(Lower *l, const Leaf *leaf, bool is_param) {
  Type *elem = ARENA_NEW(l->arena, Type), *t = ARENA_NEW(l->arena, Type);
  static const TypeKind kinds[] = {TYPE_BOOL, TYPE_INT, TYPE_F32, TYPE_F64, TYPE_STR};
  elem->kind = is_param ? TYPE_F64 : kinds[leaf->type.elem];
  if (!leaf->type.rank) return elem;
  t->kind = leaf->type.grow ? TYPE_GROW : TYPE_ARRAY;
  t->elem = elem;
  t->rank = leaf->type.grow ? 0 : leaf->type.rank;
  t->dims = leaf->dims;
  return t;
}

typedef struct Loss { // a loss function and how its parameters are spread
  Fn *fn;
  Callable c; // of the loss
  IrElem real;
  LeafVec model; // leaves of the loss's first parameter
  int n_floats;
} Loss;

static void add_param(Lower *l, Callable *c, Type *t, Name name) {
  c->types[c->n] = t;
  c->names[c->n] = name;
  c->n++;
  (void)l;
}

// Parameters: the model's floats, the data, the model's other leaves.
static Callable loss_callable(Lower *l, const Loss *k, RuleKind kind) {
  int n = k->model.len + k->c.n;
  Callable c = {.types = ARENA_ARRAY(l->arena, Type *, n),
                .names = ARENA_ARRAY(l->arena, Name, n),
                .is_inout = ARENA_ARRAY(l->arena, bool, n)};
  Type **results = ARENA_ARRAY(l->arena, Type *, 1 + k->model.len);
  results[0] = l->f64;
  int n_results = 1;
  for (int i = 0; i < k->model.len; i++) {
    const Leaf *leaf = &k->model.data[i];
    if (!ir_is_float(leaf->type)) continue;
    add_param(l, &c, results[n_results++] = leaf_as_type(l, leaf, true), leaf->path);
  }
  for (int i = 1; i < k->c.n; i++) add_param(l, &c, k->c.types[i], k->c.names[i]);
  for (int i = 0; i < k->model.len; i++)
    if (!ir_is_float(k->model.data[i].type))
      add_param(l, &c, leaf_as_type(l, &k->model.data[i], false), k->model.data[i].path);
  c.result = kind == RULE_LOSS ? l->f64 : type_tuple_of(l->arena, results, NULL, n_results);
  return c;
}

static Inst *loss_inst(Lower *l, const Loss *k, RuleKind kind) {
  Inst *inst = ARENA_NEW(l->arena, Inst);
  *inst = (Inst){.fn = k->fn, .real = k->real, .rule = kind, .loc = k->fn->loc};
  inst->call = loss_callable(l, k, kind);
  inst_open(l, inst, name_of(l, "%s.%s", k->fn->name, kind == RULE_LOSS ? "loss" : "loss_grad"));
  inst_results(l, inst);
  inst->func->is_export = true;
  inst->func->source_name = k->fn->name;
  vec_push(l->arena, &l->insts, inst);
  return inst;
}

// The arguments of the loss from the parameters of the function around it.
static void loss_args(Gen *g, const Callable *c, CallArgs *a) {
  LeafVec model = {0};
  type_leaves(g->l, c->types[0], c->names[0], g->real, &model);
  int n_floats = 0, next = 0, at = 0;
  for (int i = 0; i < model.len; i++) n_floats += ir_is_float(model.data[i].type);
  int other = n_floats + c->n - 1;
  IrVal *leaves = ARENA_ARRAY(g->arena, IrVal, model.len);
  for (int i = 0; i < model.len; i++) {
    bool is_param = ir_is_float(model.data[i].type);
    Value *v = g->params[is_param ? next++ : other++];
    leaves[i] = force_leaf(g, leaf_convert(g, v, (IrElem)model.data[i].type.elem), NULL);
  }
  args_init(g, a, c->n, g->fn->name);
  a->values[0] = value_from(g, c->types[0], leaves, &at);
  for (int i = 1; i < c->n; i++) a->values[i] = g->params[n_floats + i - 1];
  for (int i = 0; i < c->n; i++) a->types[i] = c->types[i];
}

Value *loss_body(Gen *g) {
  Callable c = fn_callable(g->l, g->fn);
  DerivOf d = {0};
  IrVals seeds = {0};
  loss_args(g, &c, &d.args);
  d.inst = inst_of(g->l, g->fn, g->real, args_fns(g, d.args.values, c.n));
  if (!d.inst) return value_none(g);
  if (g->rule == RULE_LOSS) return leaf_convert(g, call_emit(g, d.inst, g->fn, &d.args, NULL), IR_F64);
  d.inst = rule_forward(g->l, d.inst);
  args_emit(g, d.inst, g->fn, &d.args);
  d.mask = ARENA_ARRAY(g->arena, bool, d.inst->func->n_params);
  int first = d.inst->n_size_params, n = d.inst->param_leaves[0].len, next;
  for (int k = 0; k < n; k++) d.mask[first + k] = ir_is_float(d.inst->param_leaves[0].data[k].type);
  vec_push(g->arena, &seeds, ir_const_float(&g->b, (IrElem)d.inst->results.data[0].type.elem, 1.0));
  IrOp *op = vjp_emit(g, &d, &seeds, &next);
  ValueVec parts = {0};
  vec_push(g->arena, &parts, leaf_convert(g, call_result(g, d.inst, op), IR_F64));
  for (int k = 0; k < n; k++)
    if (d.mask[first + k])
      vec_push(g->arena, &parts, leaf_convert(g, value_leaf(g, ir_result(op, next++)), IR_F64));
  return force(g, value_parts(g, parts.data, parts.len));
}

// ---- the operation -------------------------------------------------------------------------------------------------------------

typedef enum OptionType { OPTION_INT, OPTION_F64, OPTION_BOOL, OPTION_STR, OPTION_OPTIMIZER } OptionType;

typedef struct OptionInfo {
  OptionType type;
  const char *def;
  bool train, minimize;
} OptionInfo;

static const OptionInfo options[] = {
#define OPTION(name, type, def, train, minimize) {OPTION_##type, #def, train, minimize},
#include "sema/train.def"
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static IrVal option_value(Gen *g, const OptionInfo *o, Expr *e) {
  if (o->type == OPTION_OPTIMIZER) {
    ValueVec leaves = {0};
    if (e) value_leaves(lower_value(g, e), &leaves, g->arena);
    return leaves.len ? leaves.data[0]->val : ir_empty(&g->b, IR_F64);
  }
  if (e)
    return value_scalar(g,
                        o->type == OPTION_F64 ? leaf_convert(g, lower_expr(g, e), IR_F64) : lower_expr(g, e));
  switch (o->type) {
  case OPTION_INT: return ir_const_int(&g->b, strtoll(o->def, NULL, 10));
  case OPTION_F64: return ir_const_float(&g->b, IR_F64, strtod(o->def, NULL));
  case OPTION_BOOL: return ir_const_bool(&g->b, strcmp(o->def, "true") == 0);
  case OPTION_STR:
  case OPTION_OPTIMIZER: break;
  }
  return ir_str(&g->b, name_of(g->l, "%s", ""));
}

typedef struct Report { // results behind the parameters, as ir.h lists them at IrTrain
  const char *name;
  IrElem elem;
  int rank;
} Report;

static const Report train_report[] = {{"loss", IR_F64, 0},           {"val_loss", IR_F64, 0},
                                      {"epochs", IR_INT, 0},         {"steps", IR_INT, 0},
                                      {"stopped_early", IR_BOOL, 0}, {"best_epoch", IR_INT, 0},
                                      {"history", IR_F64, 1},        {"val_history", IR_F64, 1}};
static const Report minimize_report[] = {
    {"value", IR_F64, 0},    {"gradient_norm", IR_F64, 0}, {"steps", IR_INT, 0}, {"converged", IR_BOOL, 0},
    {"stalled", IR_BOOL, 0}, {"calls", IR_INT, 0},         {"path", IR_F64, 2}};

static void report_shape(Gen *g, CallShape *s, const Report *r) {
  IrVal *dims = ARENA_ARRAY(g->arena, IrVal, r->rank);
  for (int k = 0; k < r->rank; k++) {
    dims[k] = IR_RESULT(s->n);
    shape_add(g, s, IR_SCALAR(IR_INT), NULL);
  }
  shape_add(g, s, (IrType){(uint8_t)r->elem, (uint8_t)r->rank, false}, r->rank ? dims : NULL);
}

// The report struct by the names of its fields.
static Value *report_value(Gen *g, const Type *t, IrOp *op, int from, const Report *list, int n) {
  Value **parts = ARENA_ARRAY(g->arena, Value *, t->decl->fields.len);
  for (int f = 0; f < t->decl->fields.len; f++) {
    int at = from;
    parts[f] = value_none(g);
    for (int i = 0; i < n; i++) {
      at += list[i].rank;
      IrVal v = ir_result(op, at++);
      if (strcmp(list[i].name, t->decl->fields.data[f].name) != 0) continue;
      if (list[i].rank && type_part(g->arena, t, f)->kind == TYPE_GROW) v = grown_from(g, v);
      parts[f] = value_leaf(g, v);
    }
  }
  return value_parts(g, parts, t->decl->fields.len);
}

// Data in the order of the loss's parameters, converted to their types.
static void data_values(Gen *g, const Loss *k, Expr *data, ValueVec *out) {
  Value *v = lower_expr(g, data);
  bool parts = data->type->kind == TYPE_TUPLE;
  IrElem own = g->real;
  for (int i = 1; i < k->c.n; i++) {
    Value *x = parts && i - 1 < v->n_parts ? v->parts[i - 1] : v;
    g->real = k->real;
    x = coerce_elems(g, x, k->c.types[i]);
    g->real = own;
    vec_push(g->arena, out, force(g, x));
  }
}

static bool loss_of(Gen *g, Loss *k, Expr *e, Expr *model, Expr *data) {
  *k = (Loss){.fn = fn_of_expr(g, e)};
  if (!k->fn) return false;
  k->c = fn_callable(g->l, k->fn);
  const Type **types = ARENA_ARRAY(g->arena, const Type *, k->c.n + 1);
  types[0] = model->type;
  for (int i = 1; i < k->c.n; i++)
    types[i] = data && data->type->kind == TYPE_TUPLE && i - 1 < data->type->n_parts
                   ? data->type->parts[i - 1]
               : data ? data->type
                      : NULL;
  k->real = k->fn->kind == FUNC_LAMBDA ? k->fn->real : real_of_call(g, &k->c, types, k->c.n, NULL);
  type_leaves(g->l, k->c.types[0], k->c.names[0], k->real, &k->model);
  for (int i = 0; i < k->model.len; i++) {
    k->n_floats += ir_is_float(k->model.data[i].type);
    if (k->model.data[i].type.grow && ir_is_float(k->model.data[i].type))
      return lower_fail(g->l, model->loc,
                        "a growable array cannot be trained: take it as an array of fixed size");
  }
  return true;
}

static void operands(Gen *g, const Loss *k, const Inst *inst, Value *model, const ValueVec *data,
                     IrVals *out) {
  CallArgs a;
  ValueVec leaves = {0}, all = {0};
  value_leaves(model, &leaves, g->arena);
  for (int i = 0; i < leaves.len; i++)
    if (ir_is_float(ir_type(g->f, leaves.data[i]->val)))
      vec_push(g->arena, &all, force(g, leaf_convert(g, leaves.data[i], IR_F64)));
  for (int i = 0; i < data->len; i++) vec_push(g->arena, &all, data->data[i]);
  for (int i = 0; i < leaves.len; i++)
    if (!ir_is_float(ir_type(g->f, leaves.data[i]->val))) vec_push(g->arena, &all, leaves.data[i]);
  args_init(g, &a, all.len, k->fn->name);
  for (int i = 0; i < all.len; i++) a.values[i] = all.data[i];
  args_emit(g, inst, k->fn, &a);
  for (int i = inst->n_size_params; i < a.ir.len; i++) vec_push(g->arena, out, a.ir.data[i]);
}

Value *lower_train(Gen *g, Expr *e, bool train) {
  Expr **args = e->call.args_by_param, *data_expr = train ? args[2] : NULL, **given = args + (train ? 3 : 2);
  Loss k;
  ValueVec data = {0};
  IrVals ops = {0};
  CallShape s = {0};
  if (!loss_of(g, &k, args[0], args[1], data_expr)) return value_none(g);
  Place m = place_of(g, args[1]);
  if (data_expr) data_values(g, &k, data_expr, &data);
  Value *model = place_read(g, &m);
  g->b.loc.loc = e->loc;
  Inst *grad = loss_inst(g->l, &k, RULE_LOSS_GRAD), *loss = loss_inst(g->l, &k, RULE_LOSS);
  operands(g, &k, grad, model, &data, &ops);
  IrTrain *t = ARENA_NEW(g->arena, IrTrain);
  *t = (IrTrain){.loss = loss->func->name,
                 .loss_grad = grad->func->name,
                 .n_params = k.n_floats,
                 .n_data = ops.len - k.n_floats,
                 .n_captured = grad->cap_leaves.len + k.model.len - k.n_floats};
  for (int i = 0; i < t->n_params; i++) shape_like(g, &s, ops.data[i]);
  for (int i = 0; i < N_OPTIONS; i++)
    if (train ? options[i].train : options[i].minimize)
      vec_push(g->arena, &ops, option_value(g, &options[i], given[i]));
  const Report *list = train ? train_report : minimize_report;
  int n = train ? (int)(sizeof train_report / sizeof *train_report)
                : (int)(sizeof minimize_report / sizeof *minimize_report);
  for (int i = 0; i < n; i++) report_shape(g, &s, &list[i]);
  g->b.loc.loc = e->loc;
  IrOp *op = ir_op_explicit(&g->b, train ? IR_TRAIN : IR_MINIMIZE, ops.data, ops.len, s.types, s.dims, s.n);
  op->attr.train = t;
  ValueVec leaves = {0};
  value_leaves(model, &leaves, g->arena);
  for (int i = 0, next = 0; i < leaves.len; i++) {
    IrElem elem = (IrElem)ir_type(g->f, leaves.data[i]->val).elem;
    if (elem != IR_F32 && elem != IR_F64) continue;
    model = value_with_leaf(g, model, i, leaf_convert(g, value_leaf(g, ir_result(op, next++)), elem));
  }
  place_write(g, &m, model, NULL);
  return report_value(g, e->type, op, t->n_params, list, n);
}
