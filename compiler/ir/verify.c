// The verifier: what ir.h says of every function, checked. In: any function, however malformed; out: the first thing that
// is wrong as a sentence with the function, the operation and the value, or NULL. Runs after every pass in debug builds.
#include "ir/internal.h"

typedef struct Verifier {
  Arena *arena;
  const IrFunc *func;
  const IrOp *op;  // the operation at hand; NULL: the function itself
  bool *visible;   // by value: defined, and its region is open
  bool *defined;   // by value: defined somewhere already
  const char *bad; // the message; NULL so far
} Verifier;

__attribute__((format(printf, 2, 3))) static bool fail(Verifier *v, const char *fmt, ...) {
  if (v->bad) return false;
  va_list ap;
  va_start(ap, fmt);
  const char *why = arena_vprintf(v->arena, fmt, ap);
  va_end(ap);
  StrBuf sb;
  sb_init(&sb, v->arena);
  sb_addf(&sb, "in @%s: ", v->func->name);
  if (v->op) {
    sb_addc(&sb, '`');
    ir_print_op(v->func, v->op, &sb);
    sb_add(&sb, "`: ");
  }
  sb_add(&sb, why);
  v->bad = sb.data;
  return false;
}

static const char *type_text(Verifier *v, IrType t) {
  StrBuf sb;
  sb_init(&sb, v->arena);
  ir_print_type(v->func, t, &sb);
  return sb.data;
}

// ---- definitions and uses --------------------------------------------------------------------------------------------

static bool in_range(const Verifier *v, IrVal x) { return x != 0 && x < (IrVal)v->func->vals.len; }

// A value as messages call it: its hint, or its number.
static const char *val_text(Verifier *v, IrVal x) {
  Name name = in_range(v, x) ? ir_val(v->func, x)->name : NULL;
  return name ? arena_printf(v->arena, "%%%s", name) : arena_printf(v->arena, "value %u", (unsigned)x);
}

static bool check_use(Verifier *v, IrVal x, const char *role, int k) {
  if (!in_range(v, x)) return fail(v, "%s %d is missing (value %u does not exist)", role, k, (unsigned)x);
  if (v->visible[x]) return true;
  return fail(v, "%s %d, %s, is %s", role, k, val_text(v, x),
              v->defined[x] ? "defined in a region that is not around its use"
                            : "not defined before its use");
}

static bool check_type_shape(Verifier *v, IrVal x) {
  const IrValue *val = ir_val(v->func, x);
  if (val->type.elem > IR_STRING || val->type.rank > IR_MAX_RANK)
    return fail(v, "%s has no valid type", val_text(v, x));
  if (val->type.grow && val->type.rank != 1)
    return fail(v, "%s is growable but not of rank 1", val_text(v, x));
  bool sized = val->type.rank > 0 && !val->type.grow;
  if (sized && !val->dims) return fail(v, "%s is an array without sizes", val_text(v, x));
  if (!sized && val->dims) return fail(v, "%s has sizes but is no array of fixed sizes", val_text(v, x));
  for (int i = 0; sized && i < val->type.rank; i++) {
    if (!check_use(v, val->dims[i], "size", i)) return false;
    if (!ir_type_eq(ir_type(v->func, val->dims[i]), IR_SCALAR(IR_INT)))
      return fail(v, "size %d of %s is not an int", i, val_text(v, x));
  }
  return true;
}

static bool define(Verifier *v, IrVal x, const IrOp *def, const IrRegion *r, int index) {
  if (!in_range(v, x)) return fail(v, "result or argument %d does not exist (value %u)", index, (unsigned)x);
  const IrValue *val = ir_val(v->func, x);
  if (v->defined[x]) return fail(v, "%s is defined twice", val_text(v, x));
  if (val->def != def || val->region != r || val->index != index)
    return fail(v, "%s does not know where it is defined", val_text(v, x));
  if (!check_type_shape(v, x)) return false; // its sizes come before it
  v->defined[x] = v->visible[x] = true;
  return true;
}

static bool same_size(const IrFunc *f, IrVal a, IrVal b) {
  int64_t x, y;
  return a == b || (ir_is_const_int(f, a, &x) && ir_is_const_int(f, b, &y) && x == y);
}

// x has the type of y, and its sizes where it has any.
static bool check_like(Verifier *v, IrVal x, IrVal y, const char *what) {
  const IrValue *a = ir_val(v->func, x), *b = ir_val(v->func, y);
  if (!ir_type_eq(a->type, b->type))
    return fail(v, "%s, %s, has type %s but its init has %s", what, val_text(v, x), type_text(v, a->type),
                type_text(v, b->type));
  for (int i = 0; a->dims && b->dims && i < a->type.rank; i++)
    if (!same_size(v->func, a->dims[i], b->dims[i]))
      return fail(v, "%s, %s, has other sizes than its init", what, val_text(v, x));
  return true;
}

static bool check_yield_types(Verifier *v, const IrRegion *r, const IrVal *like, int n, const char *what) {
  if (r->n_yields != n) return fail(v, "%s yields %d values, not %d", what, r->n_yields, n);
  for (int i = 0; i < n; i++) {
    IrType is = ir_type(v->func, r->yields[i]), want = ir_type(v->func, like[i]);
    if (!ir_type_eq(is, want))
      return fail(v, "%s yields %s as value %d, where %s is expected", what, type_text(v, is), i,
                  type_text(v, want));
  }
  return true;
}

// ---- what stands in an operation besides its operands ----------------------------------------------------------------

static const IrFunc *find_callee(Verifier *v, Name name) {
  const IrFunc *f = name ? ir_func_find(v->func->module, name) : NULL;
  if (!f) fail(v, "there is no function @%s", name ? name : "");
  return f;
}

static bool check_arg_type(Verifier *v, int k, IrType want, const char *what) {
  if (k >= v->op->n_args) return fail(v, "operand %d, %s, is missing", k, what);
  IrType is = ir_type(v->func, v->op->args[k]);
  if (ir_type_eq(is, want)) return true;
  return fail(v, "operand %d, %s, is %s where %s is expected", k, what, type_text(v, is), type_text(v, want));
}

static bool check_result_type(Verifier *v, int k, IrType want, const char *what) {
  if (k >= v->op->n_results) return fail(v, "result %d, %s, is missing", k, what);
  IrType is = ir_type(v->func, ir_result(v->op, k));
  if (ir_type_eq(is, want)) return true;
  return fail(v, "result %d, %s, is %s where %s is expected", k, what, type_text(v, is), type_text(v, want));
}

static bool check_counts(Verifier *v, int n_args, int n_results) {
  if (v->op->n_args != n_args) return fail(v, "there are %d operands, not %d", v->op->n_args, n_args);
  if (v->op->n_results != n_results)
    return fail(v, "there are %d results, not %d", v->op->n_results, n_results);
  return true;
}

static bool check_call(Verifier *v) {
  const IrFunc *c = find_callee(v, v->op->attr.sym);
  if (!c || !check_counts(v, c->n_params, c->n_results)) return false;
  for (int i = 0; i < c->n_params; i++)
    if (!check_arg_type(v, i, ir_type(c, (IrVal)i + 1), "an argument")) return false;
  for (int i = 0; i < c->n_results; i++)
    if (!check_result_type(v, i, c->results[i], "a result of the callee")) return false;
  return true;
}

static bool check_dcall(Verifier *v) {
  const IrDeriv *d = v->op->attr.deriv;
  if (!d) return fail(v, "the derivative is missing");
  const IrFunc *c = find_callee(v, d->callee);
  if (!c) return false;
  if (d->n_params != c->n_params) return fail(v, "wrt marks %d parameters of %d", d->n_params, c->n_params);
  int args = c->n_params, results = c->n_results;
  for (int i = 0; i < c->n_params; i++)
    if (!check_arg_type(v, i, ir_type(c, (IrVal)i + 1), "an argument")) return false;
  for (int i = 0; i < c->n_results; i++) {
    if (!check_result_type(v, i, c->results[i], "a result of the callee")) return false;
    if (!ir_is_float(c->results[i])) continue;
    if (d->kind == IR_VJP && !check_arg_type(v, args++, c->results[i], "an adjoint")) return false;
  }
  for (int i = 0; i < c->n_params; i++) {
    IrType t = ir_type(c, (IrVal)i + 1);
    if (!d->wrt[i]) continue;
    if (!ir_is_float(t)) return fail(v, "parameter %d holds no floats to differentiate by", i);
    if (d->kind == IR_VJP && !check_result_type(v, results++, t, "an adjoint")) return false;
    t.rank = (uint8_t)(t.rank + (d->kind == IR_JVPS));
    if (d->kind != IR_VJP && !check_arg_type(v, args++, t, "a tangent")) return false;
  }
  for (int i = 0; d->kind != IR_VJP && i < c->n_results; i++) {
    IrType t = c->results[i];
    t.rank = (uint8_t)(t.rank + (d->kind == IR_JVPS));
    if (ir_is_float(t) && !check_result_type(v, results++, t, "a tangent")) return false;
  }
  return check_counts(v, args, results);
}

static bool check_train(Verifier *v) {
  const IrTrain *t = v->op->attr.train;
  if (!t) return fail(v, "what to train is missing");
  if (!find_callee(v, t->loss) || !find_callee(v, t->loss_grad)) return false;
  if (t->n_captured < 0 || t->n_captured > t->n_data)
    return fail(v, "%d of %d data cannot be captured", t->n_captured, t->n_data);
  if (t->n_params < 0 || t->n_data < 0 || t->n_params + t->n_data > v->op->n_args ||
      t->n_params > v->op->n_results)
    return fail(v, "%d parameters and %d data do not fit %d operands and %d results", t->n_params, t->n_data,
                v->op->n_args, v->op->n_results);
  for (int i = 0; i < t->n_params; i++)
    if (!check_result_type(v, i, ir_type(v->func, v->op->args[i]), "a trained parameter")) return false;
  return true;
}

static bool check_convert(Verifier *v, bool to_float) {
  IrType is = ir_type(v->func, v->op->args[0]), to = ir_type(v->func, v->op->result);
  if (to.rank || (to_float ? !ir_is_float(to) : to.elem != IR_INT))
    return fail(v, "the result has the wrong type");
  return v->op->kind == IR_FCVT && ir_type_eq(is, to) ? fail(v, "the conversion changes nothing") : true;
}

static bool check_table(Verifier *v) {
  const IrOp *op = v->op;
  const IrTable *table = op->attr.table;
  IrType t = ir_type(v->func, op->result);
  if (!table || t.rank != op->n_args || t.grow || (ir_is_float(t) ? !table->f : !table->i))
    return fail(v, "the elements are missing, or of another type");
  int64_t n = 1, size;
  for (int k = 0; k < op->n_args; k++) {
    if (!ir_is_const_int(v->func, op->args[k], &size) || size < 0 || __builtin_mul_overflow(n, size, &n))
      return fail(v, "the sizes of a table must be constants");
    if (!same_size(v->func, ir_dims(v->func, op->result)[k], op->args[k]))
      return fail(v, "size %d of the result is another one", k);
  }
  return n == table->n ? true
                       : fail(v, "there are %lld elements, not %lld", (long long)table->n, (long long)n);
}

static bool check_attr(Verifier *v) {
  const IrOp *op = v->op;
  IrType t = op->n_results ? ir_type(v->func, op->result) : IR_SCALAR(IR_BOOL);
  switch ((IrOpKind)op->kind) {
  case IR_CONST: return t.rank == 0 && t.elem != IR_STRING ? true : fail(v, "a constant must be a scalar");
  case IR_STR:
    if (!ir_type_eq(t, IR_SCALAR(IR_STRING))) return fail(v, "the result must be a string");
    return op->attr.sym ? true : fail(v, "the text is missing");
  case IR_FORMAT: return op->attr.sym ? true : fail(v, "the template is missing");
  case IR_EMPTY: return t.grow ? true : fail(v, "the result must be growable");
  case IR_TABLE: return check_table(v);
  case IR_FILL: return (op->attr.i & ~(int64_t)IR_UNSET) == 0 ? true : fail(v, "unknown flags");
  case IR_MATMUL:
  case IR_MATACC:
    return (op->attr.i & ~(int64_t)(IR_TRANS_A | IR_TRANS_B)) == 0 ? true : fail(v, "unknown flags");
  case IR_FOR: {
    int64_t step;
    if (op->lanes & (op->lanes - 1)) return fail(v, "lanes are a power of two");
    if (op->lanes > 1 && (!ir_is_const_int(v->func, op->args[2], &step) || step != 1))
      return fail(v, "a loop in lanes steps by 1");
    return true;
  }
  case IR_ITOF:
  case IR_FCVT: return check_convert(v, true);
  case IR_FTOI:
  case IR_BTOI: return check_convert(v, false);
  case IR_CALL: return check_call(v);
  case IR_DCALL: return check_dcall(v);
  case IR_TRAIN:
  case IR_MINIMIZE: return check_train(v);
  case IR_EXTERN: return op->attr.ext && op->attr.ext->symbol ? true : fail(v, "the symbol is missing");
  default: return true;
  }
}

static bool check_inferred(Verifier *v) {
  const IrOp *op = v->op;
  IrInfer q = {.func = v->func, .kind = op->kind, .attr = op->attr.i, .args = op->args, .n = op->n_args};
  const char *why = ir_infer(&q);
  if (why) return fail(v, "%s", why);
  if (!q.known || op->n_results != 1) return true;
  const IrValue *r = ir_val(v->func, op->result);
  if (!ir_type_eq(r->type, q.type))
    return fail(v, "the result is %s, not %s", type_text(v, q.type), type_text(v, r->type));
  for (int i = 0; r->dims && i < q.type.rank; i++)
    if (!same_size(v->func, r->dims[i], q.dims[i]))
      return fail(v, "size %d of the result does not follow from the operands", i);
  return true;
}

// ---- regions -----------------------------------------------------------------------------------------------------------

static bool check_region(Verifier *v, const IrRegion *r);

static bool check_carried(Verifier *v, const IrRegion *r, int first, const IrVal *inits, int n) {
  if (r->n_args != first + n) return fail(v, "a region has %d arguments, not %d", r->n_args, first + n);
  for (int i = 0; i < n; i++)
    if (!check_like(v, r->args[first + i], inits[i], "a carried value")) return false;
  return true;
}

static bool check_ints(Verifier *v, const IrRegion *r, int n) {
  for (int i = 0; i < n; i++)
    if (i >= r->n_args || !ir_type_eq(ir_type(v->func, r->args[i]), IR_SCALAR(IR_INT)))
      return fail(v, "argument %d of the region must be an int, an index", i);
  return true;
}

static bool check_loop_results(Verifier *v, const IrVal *inits, int n) {
  if (v->op->n_results != n)
    return fail(v, "there are %d results for %d carried values", v->op->n_results, n);
  for (int i = 0; i < n; i++)
    if (!check_like(v, ir_result(v->op, i), inits[i], "a result")) return false;
  return true;
}

static bool check_for(Verifier *v) {
  const IrOp *op = v->op;
  const IrRegion *r = op->regions[0];
  const IrVal *inits = op->args + 3;
  int n = op->n_args - 3;
  return check_ints(v, r, 1) && check_carried(v, r, 1, inits, n) &&
         check_yield_types(v, r, inits, n, "the body") && check_loop_results(v, inits, n);
}

static bool check_while(Verifier *v) {
  const IrOp *op = v->op;
  const IrRegion *cond = op->regions[0], *body = op->regions[1];
  if (!check_carried(v, cond, 0, op->args, op->n_args) || !check_carried(v, body, 0, op->args, op->n_args))
    return false;
  if (cond->n_yields != 1 || !ir_type_eq(ir_type(v->func, cond->yields[0]), IR_SCALAR(IR_BOOL)))
    return fail(v, "the condition must yield one bool");
  return check_yield_types(v, body, op->args, op->n_args, "the body") &&
         check_loop_results(v, op->args, op->n_args);
}

static bool check_if(Verifier *v) {
  const IrOp *op = v->op;
  for (int k = 0; k < 2; k++) {
    const IrRegion *r = op->regions[k];
    if (r->n_args != 0) return fail(v, "a branch has arguments");
    if (r->n_yields != op->n_results)
      return fail(v, "a branch yields %d values for %d results", r->n_yields, op->n_results);
    for (int i = 0; i < r->n_yields; i++)
      if (!check_result_type(v, i, ir_type(v->func, r->yields[i]), "what a branch yields")) return false;
  }
  return true;
}

static bool check_build(Verifier *v) {
  const IrOp *op = v->op;
  const IrRegion *r = op->regions[0];
  if (r->n_args != op->n_args || !check_ints(v, r, op->n_args))
    return fail(v, "there must be one index per size");
  if (r->n_yields != op->n_results)
    return fail(v, "the region yields %d values for %d results", r->n_yields, op->n_results);
  for (int i = 0; i < r->n_yields; i++) {
    IrType y = ir_type(v->func, r->yields[i]);
    if (y.rank) return fail(v, "the region must yield scalars");
    if (!check_result_type(v, i, (IrType){y.elem, (uint8_t)op->n_args, false},
                           "an array of what the region yields"))
      return false;
    const IrVal *dims = ir_dims(v->func, ir_result(op, i));
    for (int k = 0; k < op->n_args; k++)
      if (!same_size(v->func, dims[k], op->args[k]))
        return fail(v, "result %d has other sizes than the operands", i);
  }
  return true;
}

static int regions_of(IrOpKind k) {
  switch (k) {
  case IR_BUILD:
  case IR_FOR: return 1;
  case IR_WHILE:
  case IR_IF: return 2;
  default: return 0;
  }
}

static bool check_regions(Verifier *v) {
  switch ((IrOpKind)v->op->kind) {
  case IR_FOR: return check_for(v);
  case IR_WHILE: return check_while(v);
  case IR_IF: return check_if(v);
  case IR_BUILD: return check_build(v);
  default: return true;
  }
}

static bool check_op(Verifier *v, const IrOp *op, const IrRegion *r) {
  v->op = op;
  if (op->parent != r) return fail(v, "the operation does not know its region");
  for (int i = 0; i < op->n_args; i++)
    if (!check_use(v, op->args[i], "operand", i)) return false;
  if (op->n_regions != regions_of(op->kind)) return fail(v, "the number of regions is wrong");
  int results = ir_op_info[op->kind].results;
  if (results >= 0 && op->n_results != results)
    return fail(v, "there are %d results, not %d", op->n_results, results);
  for (int k = 0; k < op->n_regions; k++) {
    const IrRegion *in = op->regions[k];
    if (in->owner != op || in->outer != r) return fail(v, "region %d does not know where it is", k);
    if (!check_region(v, in)) return false;
    v->op = op;
  }
  for (int i = 0; i < op->n_results; i++)
    if (!define(v, ir_result(op, i), op, r, i)) return false;
  return check_inferred(v) && check_attr(v) && check_regions(v);
}

static void close_region(Verifier *v, const IrRegion *r) {
  for (int i = 0; i < r->n_args; i++) v->visible[r->args[i]] = false;
  for (int i = 0; i < r->ops.len; i++)
    for (int k = 0; k < r->ops.data[i]->n_results; k++) v->visible[ir_result(r->ops.data[i], k)] = false;
}

static bool check_region(Verifier *v, const IrRegion *r) {
  const IrOp *owner = v->op;
  for (int i = 0; i < r->n_args; i++)
    if (!define(v, r->args[i], NULL, r, i)) return false;
  for (int i = 0; i < r->ops.len; i++)
    if (!check_op(v, r->ops.data[i], r)) return false;
  v->op = owner;
  for (int i = 0; i < r->n_yields; i++)
    if (!check_use(v, r->yields[i], "yielded value", i)) return false;
  close_region(v, r);
  return true;
}

// ---- functions ---------------------------------------------------------------------------------------------------------

static bool check_params(Verifier *v) {
  const IrFunc *f = v->func;
  if (f->n_params >= f->vals.len) return fail(v, "parameters are missing");
  if (f->n_sizes < 0 || f->n_sizes > f->n_params)
    return fail(v, "%d sizes among %d parameters", f->n_sizes, f->n_params);
  for (int i = 0; i < f->n_sizes; i++)
    if (!ir_type_eq(ir_type(f, (IrVal)i + 1), IR_SCALAR(IR_INT)))
      return fail(v, "parameter %d, a size, is not an int", i);
  if (!f->body) return true;
  if (f->body->owner || f->body->outer) return fail(v, "the body is inside something");
  if (f->body->n_args != f->n_params)
    return fail(v, "the body has %d arguments for %d parameters", f->body->n_args, f->n_params);
  for (int i = 0; i < f->n_params; i++)
    if (f->body->args[i] != (IrVal)i + 1) return fail(v, "parameter %d is not value %d", i, i + 1);
  return true;
}

static bool check_results(Verifier *v) {
  const IrFunc *f = v->func;
  v->op = NULL;
  if (f->body->n_yields != f->n_results)
    return fail(v, "the body returns %d values for %d results", f->body->n_yields, f->n_results);
  for (int i = 0; i < f->n_results; i++) {
    IrType is = ir_type(f, f->body->yields[i]);
    if (!ir_type_eq(is, f->results[i]))
      return fail(v, "result %d is %s but %s is returned", i, type_text(v, f->results[i]), type_text(v, is));
  }
  return true;
}

static bool check_func(Verifier *v) {
  const IrFunc *f = v->func;
  if (!check_params(v)) return false;
  if (f->adjoint_rule && !find_callee(v, f->adjoint_rule)) return false;
  if (f->tangent_rule && !find_callee(v, f->tangent_rule)) return false;
  return !f->body || (check_region(v, f->body) && check_results(v));
}

const char *ir_verify_func(Arena *scratch, const IrFunc *f) {
  Verifier v = {.arena = scratch, .func = f};
  v.visible = ARENA_ARRAY(scratch, bool, f->vals.len);
  v.defined = ARENA_ARRAY(scratch, bool, f->vals.len);
  check_func(&v);
  return v.bad;
}

const char *ir_verify_module(Arena *scratch, const IrModule *m) {
  NameMap names;
  name_map_init(&names, scratch);
  for (int i = 0; i < m->funcs.len; i++) {
    const IrFunc *f = m->funcs.data[i];
    if (f->module != m) return arena_printf(scratch, "@%s belongs to another module", f->name);
    if (name_map_find(&names, f->name)) return arena_printf(scratch, "there are two functions @%s", f->name);
    name_map_put(&names, f->name, (uint32_t)i);
    const char *bad = ir_verify_func(scratch, f);
    if (bad) return bad;
  }
  return NULL;
}
