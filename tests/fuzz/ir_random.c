// Random IR functions. In: bytes. Out: a module whose @main uses every kind of operation that has a derivative, regions
// nested up to three deep. What keeps them good to compare:
//   - loops run a few times only; a float that a loop carries is squashed, or only added to;
//   - indices are the indices of loops over that axis, or taken modulo its size, or guarded;
//   - functions with a singular point get arguments away from it. Kinks are hit with probability zero.
#include "ir_random_gen.h"

#include "ir/oracle.h"

#include <string.h>

enum { MAX_DEPTH = 3, MAX_STATEMENTS = 60 };

// ---- regions ---------------------------------------------------------------------------------------------------------------

static void statements(Gen *g, IrBuilder *b);

// A value like this one: visible, or made.
static IrVal like(Gen *g, IrBuilder *b, IrVal v) {
  IrType t = ir_type(g->f, v);
  if (!ir_is_array(t) && ir_is_float(t)) return gen_bounded_expr(g, b, (IrElem)t.elem);
  if (!ir_is_array(t))
    return t.elem == IR_INT ? gen_modulo(b, gen_int_expr(g, b), gen_const_int(b, 6)) : gen_bool_expr(g, b);
  const Seen *s = gen_choose(g, gen_fits_like, &v);
  IrVal now = s ? s->v : v;
  if (gen_one_in(g, 3)) return now;
  return t.grow ? ir_op2(b, IR_PUSH, now, gen_small_float(g, b, (IrElem)t.elem))
                : gen_change_element(g, b, now);
}

static IrVal carried_init(Gen *g, IrBuilder *b, IrVal partner) {
  IrVal v;
  switch (gen_below(g, 8)) {
  case 0:
  case 1: return gen_pick_float(g, b, gen_some_elem(g));
  case 2: return gen_pick_int(g, b);
  case 3: return gen_bool_expr(g, b);
  case 4: return gen_pick_growable(g, b);
  case 5:
    if (partner && ir_is_array(ir_type(g->f, partner))) { // two that may swap
      const Seen *s = gen_choose(g, gen_fits_like, &partner);
      if (s) return s->v;
    }
    return gen_pick_array(g, b, 0);
  case 6: v = gen_pick_array(g, b, 0); return gen_one_in(g, 4) ? gen_see(g, ir_op1(b, IR_COPY, v))->v : v;
  default: return gen_pick_array(g, b, 1);
  }
}

static IrVal int_step(Gen *g, IrBuilder *b, IrVal v) {
  switch (gen_below(g, 4)) {
  case 0: return ir_op2(b, IR_ADD, v, gen_const_int(b, 1 + gen_below(g, 2)));
  case 1: return ir_op2(b, IR_ADD, v, gen_pick_int(g, b));
  case 2:
    return gen_modulo(b, ir_op3(b, IR_SELECT, gen_bool_expr(g, b), v, gen_pick_int(g, b)),
                      gen_const_int(b, 5));
  default: return gen_modulo(b, gen_int_expr(g, b), gen_const_int(b, 6));
  }
}

// ---- values that are only added to

static IrVal add_to(Gen *g, IrBuilder *b, IrVal sum, int depth);

static IrVal add_once(Gen *g, IrBuilder *b, IrVal sum) {
  IrType t = ir_type(g->f, sum);
  IrVal x, y, idx[IR_MAX_RANK];
  int64_t flags;
  if (!ir_is_array(t)) {
    IrVal e = gen_bounded_expr(g, b, (IrElem)t.elem);
    return gen_one_in(g, 4)   ? ir_op2(b, IR_SUB, sum, e)
           : gen_one_in(g, 3) ? ir_op2(b, IR_ADD, e, sum)
                              : ir_op2(b, IR_ADD, sum, e);
  }
  if (t.rank == 2 && gen_one_in(g, 3) && gen_product_operands(g, b, &x, &y, &flags)) {
    int n = flags & IR_TRANS_A ? 1 : 0, m = flags & IR_TRANS_B ? 0 : 1;
    if (ir_type(g->f, x).elem == t.elem && gen_same_size(g, ir_dims(g->f, x)[n], ir_dims(g->f, sum)[0]) &&
        gen_same_size(g, ir_dims(g->f, y)[m], ir_dims(g->f, sum)[1]))
      return ir_matacc(b, sum, x, y, flags);
  }
  int n = gen_element_indices(g, b, sum, idx);
  if (!n) return sum;
  IrVal e = gen_bounded_expr(g, b, (IrElem)t.elem);
  if (gen_one_in(g, 3)) return ir_set(b, sum, idx, n, ir_op2(b, IR_ADD, ir_get(b, sum, idx, n), e));
  return ir_acc(b, sum, idx, n, e);
}

static IrVal add_in_branch(Gen *g, IrBuilder *b, IrVal sum, int depth) {
  IrBuilder in[2];
  IrVal now[2];
  IrOp *op = ir_if(b, gen_bool_expr(g, b), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    int before = g->n_seen;
    now[i] = gen_one_in(g, 3) ? sum : add_to(g, &in[i], sum, depth + 1);
    g->n_seen = before;
    ir_yield(&in[i], &now[i], 1);
  }
  const IrVal *dims = ir_dims(g->f, sum);
  ir_close_if(b, op, &dims);
  return op->result;
}

static IrVal add_in_loop(Gen *g, IrBuilder *b, IrVal sum, int depth) {
  IrVal n = gen_size_value(g, b);
  IrBuilder in;
  int before = g->n_seen;
  IrOp *op = ir_for(b, gen_const_int(b, 0), n, gen_const_int(b, 1), &sum, 1, &in);
  gen_see(g, in.region->args[0])->below = n;
  IrVal now = add_to(g, &in, in.region->args[1], depth + 1);
  ir_yield(&in, &now, 1);
  g->n_seen = before;
  return op->result;
}

static IrVal add_to(Gen *g, IrBuilder *b, IrVal sum, int depth) {
  switch (depth < 2 ? gen_below(g, 5) : 0) {
  case 3: return add_in_branch(g, b, sum, depth);
  case 4: return add_in_loop(g, b, sum, depth);
  case 2: sum = add_once(g, b, sum); return add_once(g, b, sum);
  default: return add_once(g, b, sum);
  }
}

// ---- loops

enum { MAX_CARRIED = 5 };

typedef struct Carried {
  int n;
  IrVal inits[MAX_CARRIED], yields[MAX_CARRIED];
  bool hidden[MAX_CARRIED]; // only added to, at the end of the body
} Carried;

static Carried choose_carried(Gen *g, IrBuilder *b) {
  Carried c = {.n = 1 + gen_below(g, 4)};
  for (int k = 0; k < c.n; k++) {
    c.inits[k] = carried_init(g, b, k ? c.inits[k - 1] : 0);
    IrType t = ir_type(g->f, c.inits[k]);
    c.hidden[k] = ir_is_float(t) && !t.grow && gen_one_in(g, 3);
  }
  return c;
}

static void see_carried(Gen *g, const Carried *c, const IrVal *args) {
  for (int k = 0; k < c->n; k++)
    if (!c->hidden[k]) gen_see(g, args[k])->large = true;
}

static void step_carried(Gen *g, IrBuilder *b, Carried *c, const IrVal *args) {
  for (int k = 0; k < c->n; k++) {
    IrType t = ir_type(g->f, args[k]);
    if (c->hidden[k])
      c->yields[k] = add_to(g, b, args[k], g->depth > 1 ? 1 : 0);
    else if (!ir_is_array(t) && t.elem == IR_INT)
      c->yields[k] = int_step(g, b, args[k]);
    else if (gen_one_in(g, 12))
      c->yields[k] = args[k];
    else
      c->yields[k] = like(g, b, args[k]);
  }
  for (int k = 0; k + 1 < c->n; k++) { // swap
    const Seen other = {.v = args[k + 1]};
    if (c->hidden[k] || c->hidden[k + 1] || !gen_one_in(g, 3) || !gen_fits_like(g, &other, &args[k]))
      continue;
    IrVal first = c->yields[k];
    c->yields[k] = c->yields[k + 1];
    c->yields[k + 1] = first;
    k++;
  }
}

static void see_results(Gen *g, const IrOp *op) {
  for (int k = 0; k < op->n_results; k++) gen_see(g, ir_result(op, k))->large = true;
}

static void for_statement(Gen *g, IrBuilder *b) {
  IrVal lo = gen_const_int(b, 0), hi = gen_size_value(g, b), step = gen_const_int(b, 1), over = 0;
  switch (gen_below(g, 7)) {
  case 0:
  case 1:
  case 2: over = hi; break;
  case 3: lo = gen_const_int(b, 1 + gen_below(g, 3)), over = hi; break;
  case 4: step = gen_const_int(b, 2), over = hi; break;
  case 5: {
    lo = ir_op2(b, IR_SUB, hi, gen_const_int(b, 1)), over = hi;
    hi = gen_const_int(b, -1), step = gen_const_int(b, gen_one_in(g, 2) ? -3 : -1);
    break;
  }
  default:
    lo = gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 3));
    step = ir_op2(b, IR_ADD, gen_modulo(b, gen_pick_int(g, b), gen_const_int(b, 2)), gen_const_int(b, 1));
    over = hi;
    break;
  }
  Carried c = choose_carried(g, b);
  IrBuilder in;
  int before = g->n_seen;
  IrOp *op = ir_for(b, lo, hi, step, c.inits, c.n, &in);
  IrVal args[MAX_CARRIED];
  for (int k = 0; k < c.n; k++) args[k] = in.region->args[1 + k];
  gen_see(g, in.region->args[0])->below = over;
  see_carried(g, &c, args);
  statements(g, &in);
  step_carried(g, &in, &c, args);
  ir_yield(&in, c.yields, c.n);
  g->n_seen = before;
  see_results(g, op);
}

static void while_statement(Gen *g, IrBuilder *b) {
  Carried c = choose_carried(g, b);
  IrVal limit = gen_one_in(g, 3) ? gen_const_int(b, gen_below(g, 4)) : gen_size_value(g, b);
  if (c.n == MAX_CARRIED) c.n--;
  c.inits[c.n] = gen_const_int(b, 0); // counts iterations
  IrBuilder cond, in;
  int before = g->n_seen;
  IrOp *op = ir_while(b, c.inits, c.n + 1, &cond, &in);
  see_carried(g, &c, cond.region->args);
  IrVal go = ir_op2(&cond, IR_LT, cond.region->args[c.n], limit);
  if (gen_one_in(g, 3)) go = ir_op2(&cond, IR_AND, go, gen_bool_expr(g, &cond));
  ir_yield(&cond, &go, 1);
  g->n_seen = before;
  IrVal args[MAX_CARRIED], count = in.region->args[c.n];
  for (int k = 0; k < c.n; k++) args[k] = in.region->args[k];
  gen_see(g, count)->below = limit;
  see_carried(g, &c, args);
  statements(g, &in);
  step_carried(g, &in, &c, args);
  c.yields[c.n] = ir_op2(&in, IR_ADD, count, gen_const_int(&in, 1));
  ir_yield(&in, c.yields, c.n + 1);
  g->n_seen = before;
  see_results(g, op);
}

// for i in 0..n { y[i] = e }
static void fill_statement(Gen *g, IrBuilder *b) {
  IrVal y[2] = {gen_pick_array(g, b, 1)}, now[2], n = ir_dims(g->f, y[0])[0];
  y[1] = ir_fill(b, ir_const_float(b, IR_F64, 0.0), &n, 1);
  int both = 1 + gen_below(g, 2), before = g->n_seen;
  IrBuilder in;
  IrOp *op = ir_for(b, gen_const_int(b, 0), n, gen_const_int(b, 1), y, both, &in);
  gen_see(g, in.region->args[0])->below = n;
  if (g->depth < MAX_DEPTH) statements(g, &in);
  for (int k = 0; k < both; k++) {
    IrVal e = gen_bounded_expr(g, &in, (IrElem)ir_type(g->f, y[k]).elem);
    now[k] = ir_set(&in, in.region->args[1 + k], in.region->args, 1, e);
  }
  ir_yield(&in, now, both);
  g->n_seen = before;
  see_results(g, op);
}

static void build_statement(Gen *g, IrBuilder *b) {
  IrVal dims[3], yields[3];
  int rank = 1 + gen_below(g, 2) + gen_one_in(g, 8), n = 1 + gen_below(g, 3), before = g->n_seen;
  for (int k = 0; k < rank; k++) dims[k] = gen_size_value(g, b);
  before = g->n_seen;
  IrBuilder in;
  IrOp *op = ir_build(b, dims, rank, &in);
  for (int k = 0; k < rank; k++) gen_see(g, in.region->args[k])->below = dims[k];
  statements(g, &in);
  for (int k = 0; k < n; k++) yields[k] = gen_bounded_expr(g, &in, gen_some_elem(g));
  ir_yield(&in, yields, n);
  ir_close_build(b, op);
  g->n_seen = before;
  see_results(g, op);
}

static void if_statement(Gen *g, IrBuilder *b) {
  IrVal wanted[4], yields[4];
  const IrVal *dims[4] = {NULL};
  int n = 1 + gen_below(g, 3);
  for (int k = 0; k < n; k++) {
    wanted[k] = carried_init(g, b, k ? wanted[k - 1] : 0);
    dims[k] = ir_dims(g->f, wanted[k]);
  }
  IrBuilder in[2];
  IrOp *op = ir_if(b, gen_bool_expr(g, b), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    int before = g->n_seen;
    statements(g, &in[i]);
    for (int k = 0; k < n; k++) yields[k] = like(g, &in[i], wanted[k]);
    ir_yield(&in[i], yields, n);
    g->n_seen = before;
  }
  ir_close_if(b, op, dims);
  see_results(g, op);
}

// An array whose size depends on the branch.
static void sized_if_statement(Gen *g, IrBuilder *b) {
  IrBuilder in[2];
  IrOp *op = ir_if(b, gen_bool_expr(g, b), &in[0], &in[1]);
  for (int i = 0; i < 2; i++) {
    int before = g->n_seen;
    IrVal n = gen_size_value(g, &in[i]);
    IrVal yields[2] = {n, ir_fill(&in[i], gen_small_float(g, &in[i], IR_F64), &n, 1)};
    gen_see(g, yields[1]);
    if (gen_one_in(g, 2)) yields[1] = gen_change_element(g, &in[i], yields[1]);
    ir_yield(&in[i], yields, 2);
    g->n_seen = before;
  }
  IrVal size = IR_RESULT(0);
  const IrVal *dims[2] = {NULL, &size};
  ir_close_if(b, op, dims);
  gen_see(g, op->result)->size = true;
  gen_see(g, ir_result(op, 1));
}

// ---- calls and effects -------------------------------------------------------------------------------------------------------

static const char helpers[] =
    "dp-ir 1\n"
    "fn @bend(%x: f64, %y: f64) -> f64 rule adjoint @bend.back tangent @bend.ahead {\n"
    "  %s = sin %x\n"
    "  %r = mul %s, %y\n"
    "  return %r\n"
    "}\n"
    "fn @bend.back(%x: f64, %y: f64, %t: f64) -> f64, f64, f64 {\n"
    "  %s = sin %x\n"
    "  %c = cos %x\n"
    "  %r = mul %s, %y\n"
    "  %yc = mul %y, %c\n"
    "  %dx = mul %t, %yc\n"
    "  %dy = mul %t, %s\n"
    "  return %r, %dx, %dy\n"
    "}\n"
    "fn @bend.ahead(%x: f64, %y: f64, %dx: f64, %dy: f64) -> f64 {\n"
    "  %s = sin %x\n"
    "  %c = cos %x\n"
    "  %yc = mul %y, %c\n"
    "  %a = mul %yc, %dx\n"
    "  %b = mul %s, %dy\n"
    "  %r = add %a, %b\n"
    "  return %r\n"
    "}\n"
    "fn @scale(%n: int, %v: f64[%n], %y: f64) -> f64[_] sizes 1 rule adjoint @scale.back tangent "
    "@scale.ahead {\n"
    "  %r = build %n (%i) {\n"
    "    %e = get %v, %i\n"
    "    %p = mul %e, %y\n"
    "    yield %p\n"
    "  }\n"
    "  return %r\n"
    "}\n"
    "fn @scale.back(%n: int, %v: f64[%n], %y: f64, %t: f64[%n]) -> f64[_], f64[_], f64 sizes 1 {\n"
    "  %0 = const int 0\n"
    "  %1 = const int 1\n"
    "  %z = const f64 0.0\n"
    "  %r, %dv = build %n (%i) {\n"
    "    %e = get %v, %i\n"
    "    %p = mul %e, %y\n"
    "    %te = get %t, %i\n"
    "    %d = mul %te, %y\n"
    "    yield %p, %d\n"
    "  }\n"
    "  %dy = for %j = %0, %n, %1 with (%a = %z) {\n"
    "    %e2 = get %v, %j\n"
    "    %t2 = get %t, %j\n"
    "    %q = mul %e2, %t2\n"
    "    %b = add %a, %q\n"
    "    yield %b\n"
    "  }\n"
    "  return %r, %dv, %dy\n"
    "}\n"
    "fn @scale.ahead(%n: int, %v: f64[%n], %y: f64, %dv: f64[%n], %dy: f64) -> f64[_] sizes 1 {\n"
    "  %r = build %n (%i) {\n"
    "    %e = get %v, %i\n"
    "    %de = get %dv, %i\n"
    "    %p = mul %e, %dy\n"
    "    %q = mul %de, %y\n"
    "    %s = add %p, %q\n"
    "    yield %s\n"
    "  }\n"
    "  return %r\n"
    "}\n"
    "fn @fold(%n: int, %v: f64[%n], %k: int, %x: f64) -> f64[_], f64 sizes 1 {\n"
    "  %0 = const int 0\n"
    "  %1 = const int 1\n"
    "  %3 = const int 3\n"
    "  %d = imod %k, %3\n"
    "  %done = le %d, %0\n"
    "  %r, %y = if %done -> f64[%n], f64 {\n"
    "    yield %v, %x\n"
    "  } else {\n"
    "    %m = sub %d, %1\n"
    "    %w = build %n (%i) {\n"
    "      %e = get %v, %i\n"
    "      %p = mul %e, %x\n"
    "      %s = sin %p\n"
    "      yield %s\n"
    "    }\n"
    "    %a, %z = call @fold(%n, %w, %m, %x) -> f64[%n], f64\n"
    "    %t = for %j = %0, %d, %1 with (%u = %z) {\n"
    "      %b, %c = call @fold(%n, %v, %m, %u) -> f64[%n], f64\n"
    "      %f = imod %j, %n\n"
    "      %g = get %b, %f\n"
    "      %h = mul %c, %g\n"
    "      %l = cos %h\n"
    "      yield %l\n"
    "    }\n"
    "    yield %a, %t\n"
    "  }\n"
    "  return %r, %y\n"
    "}\n"
    "fn @bump(%n: int, %v: f64[%n] moved, %k: int, %x: f64) -> f64[_], f64 sizes 1 {\n"
    "  %i = imod %k, %n\n"
    "  %e = get %v, %i\n"
    "  %c = cos %e\n"
    "  %p = mul %c, %x\n"
    "  %w = set %v, %i, %p\n"
    "  return %w, %e\n"
    "}\n";

static void call_statement(Gen *g, IrBuilder *b) {
  IrType types[2] = {IR_SCALAR(IR_F64), IR_SCALAR(IR_F64)};
  const IrVal *dims[2] = {NULL, NULL};
  int what = gen_below(g, 4), one = 1;
  if (what == 0) {
    IrVal args[2] = {gen_small_float(g, b, IR_F64), gen_small_float(g, b, IR_F64)};
    gen_see(g, ir_call(b, intern_cstr(g->m->names, "bend"), args, 2, types, dims, 1)->result);
    return;
  }
  const Seen *s = gen_choose(g, gen_fits_array, &one);
  if (!s || ir_type(g->f, s->v).elem != IR_F64) return;
  IrVal v = s->v, n = ir_dims(g->f, v)[0];
  types[0] = ir_type(g->f, v);
  dims[0] = &n;
  if (what == 1) {
    IrVal args[3] = {n, v, gen_small_float(g, b, IR_F64)};
    gen_see(g, ir_call(b, intern_cstr(g->m->names, "scale"), args, 3, types, dims, 1)->result);
  } else if (gen_is_positive(g, n)) {
    IrVal args[4] = {n, v, gen_pick_int(g, b), gen_small_float(g, b, IR_F64)};
    Name callee = intern_cstr(g->m->names, what == 2 ? "bump" : "fold");
    see_results(g, ir_call(b, callee, args, 4, types, dims, 2));
  }
}

static void print_statement(Gen *g, IrBuilder *b) {
  IrType text = IR_SCALAR(IR_STRING);
  IrVal args[2] = {gen_pick_int(g, b), gen_pick_float(g, b, IR_F64)};
  const IrVal *none = NULL;
  IrOp *op = ir_op_explicit(b, IR_FORMAT, args, 2, &text, &none, 1);
  op->attr.sym = intern_cstr(g->m->names, "{} {:.3}");
  ir_op1(b, IR_PRINT, op->result);
}

// ---- statements --------------------------------------------------------------------------------------------------------------

static void region_statement(Gen *g, IrBuilder *b, int what) {
  g->depth++;
  switch (what) {
  case 0:
  case 1:
  case 2: for_statement(g, b); break;
  case 3: while_statement(g, b); break;
  case 4:
  case 5: if_statement(g, b); break;
  case 6: fill_statement(g, b); break;
  default: build_statement(g, b); break;
  }
  g->depth--;
}

static void statement(Gen *g, IrBuilder *b) {
  IrVal a;
  switch (gen_below(g, 21)) {
  case 0:
  case 1: gen_float_expr(g, b, gen_some_elem(g)); return;
  case 2: gen_see(g, gen_int_expr(g, b)); return;
  case 3: gen_see(g, gen_bool_expr(g, b)); return;
  case 4: gen_new_array(g, b); return;
  case 5:
  case 6:
    a = gen_pick_array(g, b, 0);
    gen_see(g, gen_change_element(g, b, a));
    return;
  case 7: gen_matrix_statement(g, b); return;
  case 8: gen_growable_statement(g, b); return;
  case 9:
    if (gen_one_in(g, 3))
      print_statement(g, b);
    else
      call_statement(g, b);
    return;
  case 10: sized_if_statement(g, b); return;
  default: break;
  }
  if (g->depth < MAX_DEPTH)
    region_statement(g, b, gen_below(g, 9));
  else
    gen_float_expr(g, b, gen_some_elem(g));
}

static void statements(Gen *g, IrBuilder *b) {
  int n = g->depth == 0 ? 4 + gen_below(g, 8) : gen_below(g, g->depth == 1 ? 6 : 4);
  if (g->bytes->at >= g->bytes->len) n = 0;
  while (n-- > 0 && g->statements++ < MAX_STATEMENTS) statement(g, b);
}

static IrVal param(Gen *g, const char *name, IrType t, const IrVal *dims) {
  IrVal v = ir_param(g->f, t, dims, (IrLeaf){.path = intern_cstr(g->m->names, name)});
  gen_see(g, v);
  return v;
}

static void params(Gen *g) {
  IrType scalar = IR_SCALAR(IR_F64), vector = {IR_F64, 1, false}, matrix = {IR_F64, 2, false};
  IrVal n = param(g, "n", IR_SCALAR(IR_INT), NULL), m = param(g, "m", IR_SCALAR(IR_INT), NULL);
  g->f->n_sizes = 2;
  g->seen[0].size = g->seen[1].size = true;
  param(g, "k", IR_SCALAR(IR_INT), NULL);
  param(g, "x", scalar, NULL);
  param(g, "y", scalar, NULL);
  param(g, "v", vector, &n);
  param(g, "a", matrix, (IrVal[]){n, m});
  if (gen_one_in(g, 4)) param(g, "q", matrix, (IrVal[]){n, n});
  if (gen_one_in(g, 4)) param(g, "list", (IrType){IR_F64, 1, true}, NULL);
  if (gen_one_in(g, 4)) param(g, "s", (IrType){IR_F32, 1, false}, &m);
  if (gen_one_in(g, 4)) {
    param(g, "own", vector, &n);
    g->f->params[g->f->n_params - 1].moved = true;
  }
}

// What can be a result: floats most of all, and of those the last.
static void results(Gen *g, IrBuilder *b) {
  IrVal vals[4];
  int n = 0, want = 1 + gen_below(g, 3);
  for (int i = g->n_seen - 1; i >= 0 && n < want; i--) {
    IrType t = ir_type(g->f, g->seen[i].v);
    bool good = ir_is_float(t) ? !gen_one_in(g, 4) : t.elem == IR_INT && gen_one_in(g, 8);
    if (good) vals[n++] = g->seen[i].v;
  }
  vals[n++] = gen_bounded_expr(g, b, IR_F64);
  ir_set_results(g->f, vals, n, NULL);
}

IrModule *ir_random_module(Arena *a, Interner *names, const Sources *sources, IrRandomBytes *bytes) {
  Diags diags;
  Sources own;
  sources_init(&own, a);
  diags_init(&diags, a, &own);
  int file = sources_add(&own, "helpers.ir", helpers, strlen(helpers));
  IrModule *m = ir_parse(a, names, &own, file, &diags);
  if (!m) return NULL;
  m->sources = sources;
  Gen *g = ARENA_NEW(a, Gen);
  g->bytes = bytes;
  g->m = m;
  g->f = ir_func_new(m, intern_cstr(names, "main"));
  g->f->is_export = true;
  params(g);
  IrBuilder b = ir_builder(g->f);
  statements(g, &b);
  results(g, &b);
  return m;
}

// ---- arguments ---------------------------------------------------------------------------------------------------------------

static uint32_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static double uniform(uint64_t *state) { return (next_random(state) % 1000003) / 1000003.0; }

static double away_from_zero(uint64_t *state) {
  double x = 0.2 + uniform(state);
  return next_random(state) % 3 ? x : -x;
}

static IrCell random_array(Arena *a, IrType t, const int64_t *dims, uint64_t *state) {
  int64_t n = 1;
  for (int k = 0; k < t.rank; k++) n *= dims[k];
  double *vals = ARENA_ARRAY(a, double, n);
  int64_t *ints = ARENA_ARRAY(a, int64_t, n);
  for (int64_t i = 0; i < n; i++) {
    vals[i] = away_from_zero(state);
    if (t.elem == IR_F32) vals[i] = (float)vals[i];
    ints[i] = t.elem == IR_BOOL ? next_random(state) % 2 : next_random(state) % 5;
  }
  IrCell c = ir_is_float(t) ? ir_cell_array(a, (IrElem)t.elem, t.rank, dims, vals)
                            : ir_cell_ints(a, t.rank, dims, ints);
  c.type = c.data->type = t;
  return c;
}

void ir_random_args(Arena *a, const IrFunc *f, uint64_t seed, IrCell *args) {
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < f->n_params; i++) {
    IrVal v = (IrVal)i + 1;
    IrType t = ir_type(f, v);
    int64_t dims[IR_MAX_RANK] = {next_random(&state) % 4};
    for (int k = 0; ir_dims(f, v) && k < t.rank; k++) dims[k] = args[ir_dims(f, v)[k] - 1].v.i;
    args[i] = (IrCell){.type = t};
    if (ir_is_array(t))
      args[i] = random_array(a, t, dims, &state);
    else if (i < f->n_sizes)
      args[i].v.i = 1 + next_random(&state) % 4;
    else if (ir_is_float(t))
      args[i].v.q = t.elem == IR_F32 ? (float)away_from_zero(&state) : away_from_zero(&state);
    else
      args[i].v.i = t.elem == IR_BOOL ? next_random(&state) % 2 : (int64_t)(next_random(&state) % 9) - 2;
  }
}

IrCell ir_random_like(Arena *a, const IrCell *c, uint64_t *state) {
  if (ir_is_array(c->type)) return random_array(a, c->type, c->dims, state);
  IrCell now = *c;
  if (ir_is_float(c->type))
    now.v.q = c->type.elem == IR_F32 ? (float)away_from_zero(state) : away_from_zero(state);
  return now;
}
