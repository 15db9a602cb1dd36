// IR as dp source. In: a module after the memory pass. Out: dp text that compiles alone and computes the same numbers.
//
// Scalars that are used once are written where they are used. An array that operations change in place is one variable,
// whatever number of values it has in SSA; carried values of a loop are variables around it; COPY is an assignment.
#include "ir/source.h"

#include <string.h>

// Could the text of value v, an expression at r->ops[at], stand where it is used instead of in a `let`? It must be used
// once, in the same region, and nothing in between may change an array or open a region.
static bool inlinable(const Writer *w, const IrRegion *r, int at) {
  const IrOp *op = r->ops.data[at];
  IrVal v = op->result;
  if (op->kind == IR_CONST || op->kind == IR_STR) return true;
  if (w->uses[v] != 1) return false;
  for (int i = at + 1; i < r->ops.len; i++) {
    const IrOp *next = r->ops.data[i];
    for (int k = 0; k < next->n_args; k++)
      if (next->args[k] == v)
        return next->kind != IR_FOR && next->kind != IR_WHILE && next->kind != IR_BUILD &&
               strlen(w->text[v]) < 60;
    if (next->n_regions || (ir_op_info[next->kind].flags & (IR_U | IR_E))) return false;
  }
  return r->owner != NULL &&
         (r->owner->kind == IR_FOR || r->owner->kind == IR_WHILE); // the new carried value
}

static void bind(Writer *w, IrVal v, const char *value, bool is_var) {
  const char *name = src_fresh(w, ir_val(w->f, v)->name);
  src_line(w, "%s %s = %s", is_var ? "var" : "let", name, value);
  src_set(w, v, name, PREC_ATOM);
}

static void rename_value(Writer *w, IrVal now, IrVal old) { src_set(w, now, src_text(w, old), PREC_ATOM); }

// ---- regions -------------------------------------------------------------------------------------------------------------

static void region(Writer *w, const IrRegion *r);
static bool scalar_region(Writer *w, const IrRegion *r, const char **value);

static void open_index(Writer *w, IrVal v, const char *fallback) {
  src_set(w, v, src_fresh(w, ir_val(w->f, v)->name ? ir_val(w->f, v)->name : fallback), PREC_ATOM);
}

// The variables that carry a loop's values: an array that the loop uses up goes on under its name, anything else starts one.
static void open_carried(Writer *w, const IrOp *op, int first_init, const IrRegion *body, int first_arg) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal init = op->args[first_init + k], arg = body->args[first_arg + k];
    IrType t = ir_type(w->f, init);
    if (t.rank || t.grow) {
      rename_value(w, arg, init);
    } else {
      const char *name = src_fresh(w, ir_val(w->f, arg)->name ? ir_val(w->f, arg)->name
                                                              : ir_val(w->f, ir_result(op, k))->name);
      src_line(w, "var %s = %s", name, src_text(w, init));
      src_set(w, arg, name, PREC_ATOM);
    }
    rename_value(w, ir_result(op, k), arg);
  }
}

static bool mentions(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *at = text; (at = strstr(at, name)); at += n) {
    char before = at == text ? ' ' : at[-1], after = at[n];
    bool part = before == '_' || after == '_' || (before >= '0' && before <= '9') ||
                (after >= '0' && after <= '9') || ((before | 32) >= 'a' && (before | 32) <= 'z') ||
                ((after | 32) >= 'a' && (after | 32) <= 'z') || (unsigned char)before >= 0x80 ||
                (unsigned char)after >= 0x80;
    if (!part) return true;
  }
  return false;
}

static void assign(Writer *w, const char *var, IrVal now) {
  const IrOp *def = ir_val(w->f, now)->def;
  bool sum = def && def->kind == IR_ADD && w->uses[now] == 1 && w->prec[now] == PREC_SUM;
  if (sum && !strcmp(src_text(w, def->args[0]), var))
    src_line(w, "%s += %s", var, src_text(w, def->args[1]));
  else
    src_line(w, "%s = %s", var, src_text(w, now));
}

// The carried variables take their new values: one after the other where no later one reads an earlier variable, else
// all at once.
static void close_carried(Writer *w, const IrOp *op, const IrRegion *body, int first_arg) {
  StrBuf left, right;
  sb_init(&left, w->arena);
  sb_init(&right, w->arena);
  int n = 0;
  bool clash = false;
  for (int k = 0; k < op->n_results; k++) {
    const char *var = src_text(w, body->args[first_arg + k]), *now = src_text(w, body->yields[k]);
    if (!strcmp(var, now)) continue;
    for (int j = k + 1; j < op->n_results; j++) clash |= mentions(src_text(w, body->yields[j]), var);
    sb_addf(&left, "%s%s", n ? ", " : "", var);
    sb_addf(&right, "%s%s", n ? ", " : "", now);
    n++;
  }
  if (clash && n > 1) {
    src_line(w, "(%s) = (%s)", left.data, right.data);
    return;
  }
  for (int k = 0; k < op->n_results; k++) {
    const char *var = src_text(w, body->args[first_arg + k]);
    if (strcmp(var, src_text(w, body->yields[k])) != 0) assign(w, var, body->yields[k]);
  }
}

// A number one above v's.
static const char *one_more(Writer *w, IrVal v) {
  int64_t known;
  if (ir_is_const_int(w->f, v, &known)) return arena_printf(w->arena, "%lld", (long long)known + 1);
  return arena_printf(w->arena, "%s + 1", src_operand(w, v, PREC_SUM));
}

// A loop whose step is not 1 or -1 counts by hand where it may run downwards: `reverse` starts from the far end.
static void counted_loop(Writer *w, const IrOp *op, bool known, int64_t step) {
  const IrRegion *body = op->regions[0];
  const char *i = src_text(w, body->args[0]), *hi = src_operand(w, op->args[1], PREC_COMPARE);
  const char *by = src_operand(w, op->args[2], PREC_COMPARE);
  src_line(w, "var %s = %s", i, src_operand(w, op->args[0], 0));
  if (known)
    src_line(w, "while %s %c %s {", i, step < 0 ? '>' : '<', hi);
  else
    src_line(w, "while (%s > 0 and %s < %s) or (%s < 0 and %s > %s) {", by, i, hi, by, i, hi);
  w->indent++;
  region(w, body);
  close_carried(w, op, body, 1);
  src_line(w, "%s += %s", i, src_operand(w, op->args[2], 0));
  w->indent--;
  src_line(w, "}");
}

static void for_loop(Writer *w, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  open_carried(w, op, 3, body, 1);
  open_index(w, body->args[0], "i");
  const char *i = src_text(w, body->args[0]);
  int64_t step = 0;
  bool known = ir_is_const_int(w->f, op->args[2], &step);
  if (!known || step < -1) {
    counted_loop(w, op, known, step);
    return;
  }
  const char *lo = src_operand(w, op->args[0], PREC_SUM), *hi = src_operand(w, op->args[1], PREC_SUM);
  if (op->attr.i < 0) src_line(w, "@checkpoint(slots: %lld)", (long long)-op->attr.i);
  if (op->attr.i > 0 && op->attr.i < IR_BLOCK) src_line(w, "@checkpoint(every: %lld)", (long long)op->attr.i);
  if (step == -1)
    src_line(w, "for %s in reverse %s..%s {", i, one_more(w, op->args[1]), one_more(w, op->args[0]));
  else if (step == 1)
    src_line(w, "for %s in %s..%s {", i, lo, hi);
  else
    src_line(w, "for %s in %s..%s step %lld {", i, lo, hi, (long long)step);
  w->indent++;
  region(w, body);
  close_carried(w, op, body, 1);
  w->indent--;
  src_line(w, "}");
}

// The condition may need statements of its own: then it is decided at the end of each round.
static void while_loop(Writer *w, const IrOp *op) {
  const IrRegion *cond = op->regions[0], *body = op->regions[1];
  open_carried(w, op, 0, body, 0);
  for (int k = 0; k < op->n_results; k++) rename_value(w, cond->args[k], body->args[k]);
  const char *value;
  src_line(w, "while true {");
  w->indent++;
  region(w, cond);
  value = src_operand(w, cond->yields[0], PREC_COMPARE);
  src_line(w, "if not (%s) { break }", value);
  region(w, body);
  close_carried(w, op, body, 0);
  w->indent--;
  src_line(w, "}");
}

// The value whose variable an array lives in: what changes in place keeps its name.
static IrVal home_of(const Writer *w, IrVal v) {
  const IrValue *val = ir_val(w->f, v);
  const IrOp *def = val->def, *owner = val->region->owner;
  bool by_owner = !def && owner && (owner->kind == IR_FOR || owner->kind == IR_WHILE);
  if (by_owner && owner->kind == IR_FOR) return val->index ? home_of(w, owner->args[2 + val->index]) : v;
  if (by_owner) return home_of(w, owner->args[val->index]);
  if (!def) return v;
  if (ir_op_info[def->kind].flags & IR_U) return home_of(w, def->args[0]);
  if (def->kind == IR_FOR) return home_of(w, def->args[3 + val->index]);
  if (def->kind == IR_WHILE) return home_of(w, def->args[val->index]);
  if (def->kind == IR_IF) {
    IrVal a = home_of(w, def->regions[0]->yields[val->index]);
    return a == home_of(w, def->regions[1]->yields[val->index]) ? a : v;
  }
  if (def->kind == IR_CALL) {
    const IrFunc *callee = ir_func_find(w->m, def->attr.sym);
    int last = def->n_results;
    for (int k = callee->n_params - 1; k >= 0; k--)
      if (callee->params[k].moved && --last == val->index) return home_of(w, def->args[k]);
  }
  return v;
}

// Results that both branches leave in the same variable need nothing; others come out of the `if` as a value.
static void branch(Writer *w, const IrOp *op) {
  const char **vars = ARENA_ARRAY(w->arena, const char *, op->n_results);
  for (int k = 0; k < op->n_results; k++) {
    IrType t = ir_type(w->f, ir_result(op, k));
    IrVal home = home_of(w, ir_result(op, k));
    if (t.rank && home != ir_result(op, k) && !ir_inside(ir_val(w->f, home)->region, op->regions[0]) &&
        !ir_inside(ir_val(w->f, home)->region, op->regions[1])) {
      rename_value(w, ir_result(op, k), home);
      continue;
    }
    const char *name = src_fresh(w, ir_val(w->f, ir_result(op, k))->name);
    if (t.grow)
      src_line(w, "var %s: [*]%s = []", name, ir_elem_text((IrElem)t.elem));
    else if (t.rank)
      src_line(w, "var %s = full(%s, %s)", name,
               t.elem == IR_INT    ? "0"
               : t.elem == IR_BOOL ? "false"
                                   : src_float(w, (IrElem)t.elem, 0.0),
               src_list(w, ir_dims(w->f, ir_result(op, k)), t.rank));
    else
      src_line(w, "var %s = %s", name,
               t.elem == IR_INT      ? "0"
               : t.elem == IR_BOOL   ? "false"
               : t.elem == IR_STRING ? "\"\""
                                     : src_float(w, (IrElem)t.elem, 0.0));
    vars[k] = name;
  }
  bool sets = false; // else the branches change what they are given, in place
  for (int k = 0; k < op->n_results; k++) sets |= vars[k] != NULL;
  for (int i = 0; i < 2; i++) {
    const IrRegion *r = op->regions[i];
    if (i == 0)
      src_line(w, "if %s {", src_text(w, op->args[0]));
    else if (r->ops.len || sets)
      src_line(w, "} else {");
    w->indent++;
    region(w, r);
    for (int k = 0; k < op->n_results; k++)
      if (vars[k]) src_line(w, "%s = %s", vars[k], src_text(w, r->yields[k]));
    w->indent--;
  }
  src_line(w, "}");
  for (int k = 0; k < op->n_results; k++)
    if (vars[k]) src_set(w, ir_result(op, k), vars[k], PREC_ATOM);
}

static const char *ranges(Writer *w, const IrOp *op) {
  StrBuf sb;
  sb_init(&sb, w->arena);
  for (int k = 0; k < op->n_args; k++)
    sb_addf(&sb, "%s%s in 0..%s", k ? ", " : "", src_text(w, op->regions[0]->args[k]),
            src_operand(w, op->args[k], PREC_SUM));
  return sb.data;
}

static void build_by_loops(Writer *w, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  for (int k = 0; k < op->n_results; k++) {
    IrElem e = (IrElem)ir_type(w->f, ir_result(op, k)).elem;
    const char *zero = e == IR_INT ? "0" : e == IR_BOOL ? "false" : src_float(w, e, 0.0);
    bind(w, ir_result(op, k), arena_printf(w->arena, "full(%s, %s)", zero, src_list(w, op->args, op->n_args)),
         true);
  }
  for (int k = 0; k < op->n_args; k++) {
    src_line(w, "for %s in 0..%s {", src_text(w, body->args[k]), src_operand(w, op->args[k], PREC_SUM));
    w->indent++;
  }
  region(w, body);
  for (int k = 0; k < op->n_results; k++)
    src_line(w, "%s[%s] = %s", src_text(w, ir_result(op, k)), src_list(w, body->args, body->n_args),
             src_text(w, body->yields[k]));
  for (int k = 0; k < op->n_args; k++) {
    w->indent--;
    src_line(w, "}");
  }
}

static void build(Writer *w, const IrOp *op) {
  const IrRegion *body = op->regions[0];
  static const char *const fallbacks[] = {"i", "j", "k", "l", "i4", "i5", "i6", "i7"};
  for (int k = 0; k < op->n_args; k++) open_index(w, body->args[k], fallbacks[k]);
  const char *value;
  if (op->n_results == 1 && scalar_region(w, body, &value)) {
    bind(w, op->result, arena_printf(w->arena, "[for %s: %s]", ranges(w, op), value), w->changes[op->result]);
    return;
  }
  build_by_loops(w, op);
}

// A region of nothing but scalar expressions, each used once (or constant), is one expression.
static bool scalar_region(Writer *w, const IrRegion *r, const char **value) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (op->n_regions || op->n_results != 1 || !src_expression(w, op)) return false;
    if (op->kind != IR_CONST && w->uses[op->result] > 1) return false;
  }
  *value = src_text(w, r->yields[0]);
  return strlen(*value) < 90;
}

// ---- statements ------------------------------------------------------------------------------------------------------------

static const char *transposed(Writer *w, IrVal v, bool yes) {
  return yes ? arena_printf(w->arena, "transpose(%s)", src_text(w, v)) : src_operand(w, v, PREC_ATOM);
}

static const char *product(Writer *w, const IrOp *op, int first) {
  return arena_printf(w->arena, "%s @ %s", transposed(w, op->args[first], op->attr.i & IR_TRANS_A),
                      transposed(w, op->args[first + 1], op->attr.i & IR_TRANS_B));
}

static void call_with(Writer *w, const IrOp *op, const char *name, const char *args) {
  const char *value = arena_printf(w->arena, "%s(%s)", name, args);
  if (op->n_results == 0) {
    src_line(w, "%s", value);
  } else if (op->n_results == 1 && !w->uses[op->result]) {
    src_line(w, "let _ = %s", value);
  } else if (op->n_results == 1) {
    bind(w, op->result, value, w->changes[op->result]);
  } else {
    StrBuf names;
    sb_init(&names, w->arena);
    for (int k = 0; k < op->n_results; k++) {
      IrVal v = ir_result(op, k);
      const char *name_k = w->uses[v] ? src_fresh(w, ir_val(w->f, v)->name) : "_";
      src_set(w, ir_result(op, k), name_k, PREC_ATOM);
      sb_addf(&names, "%s%s", k ? ", " : "", name_k);
    }
    src_line(w, "var (%s) = %s", names.data, value);
  }
}

static void call(Writer *w, const IrOp *op, const char *name) {
  call_with(w, op, name, src_list(w, op->args, op->n_args));
}

// An array that comes from C brings its sizes, which are results of their own in the IR.
static void extern_call(Writer *w, const IrOp *op) {
  const char *name = src_extern(w, op->attr.ext->symbol);
  IrVal array = op->n_results ? ir_result(op, op->n_results - 1) : 0;
  int rank = array ? ir_type(w->f, array).rank : 0;
  if (!rank || rank + 1 != op->n_results) {
    call(w, op, name);
    return;
  }
  bind(w, array, arena_printf(w->arena, "%s(%s)", name, src_list(w, op->args, op->n_args)),
       w->changes[array]);
  const char *row = src_text(w, array);
  for (int d = 0; d < rank; d++) {
    if (w->uses[ir_result(op, d)]) bind(w, ir_result(op, d), arena_printf(w->arena, "len(%s)", row), false);
    row = arena_printf(w->arena, "%s[0]", row);
  }
}

static int count_inout(const IrFunc *f) {
  int n = 0;
  for (int k = 0; k < f->n_params; k++) n += f->params[k].moved;
  return n;
}

// A call's arguments in the source leave out the sizes that its arrays bring.
bool src_is_implied(const IrFunc *f, int k) {
  if (k >= f->n_sizes) return false;
  for (int p = f->n_sizes; p < f->n_params; p++) {
    const IrVal *dims = ir_dims(f, f->body->args[p]);
    for (int d = 0; dims && d < ir_type(f, f->body->args[p]).rank; d++)
      if (dims[d] == f->body->args[k]) return true;
  }
  return false;
}

// `inout` arguments change in place: the last results of the call, in the order of those parameters, are these variables.
static void dp_call(Writer *w, const IrOp *op) {
  const IrFunc *callee = ir_func_find(w->m, op->attr.sym);
  StrBuf args;
  sb_init(&args, w->arena);
  int last = op->n_results - count_inout(callee), n = 0;
  IrOp visible = *op;
  visible.n_results = last;
  for (int k = 0; k < op->n_args; k++) {
    if (src_is_implied(callee, k)) continue;
    sb_addf(&args, "%s%s%s", n++ ? ", " : "", callee->params[k].moved ? "inout " : "",
            src_text(w, op->args[k]));
    if (callee->params[k].moved) rename_value(w, ir_result(op, last++), op->args[k]);
  }
  call_with(w, &visible, src_function(w, op->attr.sym), args.data ? args.data : "");
}

static const char *format_text(Writer *w, const IrOp *op) {
  StrBuf sb;
  sb_init(&sb, w->arena);
  sb_addc(&sb, '"');
  int k = 0;
  for (const char *p = op->attr.sym; *p; p++) {
    if (p[0] == '{' && p[1] == '{')
      sb_add(&sb, "{{"), p++;
    else if (p[0] == '{' && k < op->n_args)
      sb_addf(&sb, "{%s", src_text(w, op->args[k++]));
    else if (*p == '\n')
      sb_add(&sb, "\\n");
    else if (*p == '"' || *p == '\\')
      sb_addf(&sb, "\\%c", *p);
    else
      sb_addc(&sb, *p);
  }
  sb_addc(&sb, '"');
  return sb.data;
}

// A branch that only checks: the source implies the checks.
static bool only_checks(const IrOp *op) {
  for (int k = 0; k < op->n_regions; k++)
    for (int i = 0; i < op->regions[k]->ops.len; i++) {
      const IrOp *in = op->regions[k]->ops.data[i];
      bool check = in->kind == IR_CHECK_INDEX || in->kind == IR_CHECK_RANGE || in->kind == IR_CHECK_DIV;
      if (in->n_regions ? !only_checks(in) : !check && !(ir_op_info[in->kind].flags & IR_P)) return false;
    }
  return op->n_results == 0;
}

// `if c {} else { assert c, "..." }`: the assert says it all.
static bool only_asserts(const IrOp *op) {
  if (op->n_results || op->regions[0]->ops.len) return false;
  bool any = false;
  for (int i = 0; i < op->regions[1]->ops.len; i++) {
    const IrOp *in = op->regions[1]->ops.data[i];
    bool text = in->kind == IR_STR || in->kind == IR_FORMAT || in->kind == IR_CONST;
    if (!text && (in->kind != IR_ASSERT || in->args[0] != op->args[0])) return false;
    any |= in->kind == IR_ASSERT;
  }
  return any;
}

static bool is_size_expression(const Writer *w, IrVal v) {
  return ir_val(w->f, v)->region == w->f->body && !ir_val(w->f, v)->def && w->prec[v] < PREC_ATOM;
}

static void table(Writer *w, const IrOp *op) {
  StrBuf sb;
  sb_init(&sb, w->arena);
  ir_source_table(w->f, op, &sb);
  const char *name = src_fresh(w, ir_val(w->f, op->result)->name);
  src_line(w, "let %s: %s = %s", name, src_type(w, op->result, false), sb.data);
  src_set(w, op->result, name, PREC_ATOM);
}

static void statement(Writer *w, const IrOp *op) {
  Arena *a = w->arena;
  IrVal last = op->n_args ? op->args[op->n_args - 1] : 0;
  switch ((IrOpKind)op->kind) {
  case IR_FOR: for_loop(w, op); return;
  case IR_WHILE: while_loop(w, op); return;
  case IR_IF:
    if (only_asserts(op))
      region(w, op->regions[1]);
    else if (!only_checks(op))
      branch(w, op);
    return;
  case IR_BUILD: build(w, op); return;
  case IR_FILL: {
    const char *value =
        arena_printf(a, "full(%s, %s)", src_text(w, op->args[0]), src_list(w, op->args + 1, op->n_args - 1));
    bind(w, op->result, value, w->changes[op->result]);
    return;
  }
  case IR_TABLE: table(w, op); return;
  case IR_EMPTY: {
    const char *name = src_fresh(w, ir_val(w->f, op->result)->name);
    src_line(w, "var %s: [*]%s = []", name, ir_elem_text((IrElem)ir_type(w->f, op->result).elem));
    src_set(w, op->result, name, PREC_ATOM);
    return;
  }
  case IR_SET:
  case IR_ACC:
    src_line(w, "%s[%s] %s %s", src_text(w, op->args[0]), src_list(w, op->args + 1, op->n_args - 2),
             op->kind == IR_SET ? "=" : "+=", src_text(w, last));
    rename_value(w, op->result, op->args[0]);
    return;
  case IR_PUSH:
    src_line(w, "push(inout %s, %s)", src_text(w, op->args[0]), src_text(w, last));
    rename_value(w, op->result, op->args[0]);
    return;
  case IR_POP:
    src_line(w, "let _ = pop(inout %s)", src_text(w, op->args[0]));
    rename_value(w, op->result, op->args[0]);
    return;
  case IR_MATMUL: bind(w, op->result, product(w, op, 0), w->changes[op->result]); return;
  case IR_MATACC:
    src_line(w, "%s += %s", src_text(w, op->args[0]), product(w, op, 1));
    rename_value(w, op->result, op->args[0]);
    return;
  case IR_COPY: bind(w, op->result, src_text(w, op->args[0]), true); return;
  case IR_CALL: dp_call(w, op); return;
  case IR_EXTERN: extern_call(w, op); return;
  case IR_FORMAT: src_set(w, op->result, format_text(w, op), PREC_ATOM); return;
  case IR_PRINT: src_line(w, "print(%s)", src_text(w, op->args[0])); return;
  case IR_ASSERT: src_line(w, "assert %s, %s", src_text(w, op->args[0]), src_text(w, op->args[1])); return;
  case IR_CHECK_SIZE:
    if (is_size_expression(w, op->args[0]) || is_size_expression(w, op->args[1])) return; // its type says so
    src_line(w, "assert %s == %s, \"sizes do not fit\"", src_text(w, op->args[0]), src_text(w, op->args[1]));
    return;
  default: return; // FREE; the checks of indices and divisors, which the source implies
  }
}

static void region(Writer *w, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    if (!src_expression(w, op)) {
      statement(w, op);
    } else if (w->uses[op->result] && !inlinable(w, r, i)) {
      const char *value = src_text(w, op->result);
      bind(w, op->result, value, false);
    }
  }
}

// ---- functions -----------------------------------------------------------------------------------------------------------

static void mark_change(Writer *w, IrVal v) { w->changes[v] = w->changes[home_of(w, v)] = true; }

static void mark_changes(Writer *w, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    int first = op->kind == IR_FOR ? 3 : op->kind == IR_WHILE ? 0 : -1;
    if (ir_op_info[op->kind].flags & IR_U) mark_change(w, op->args[0]);
    for (int k = first; first >= 0 && k < op->n_args; k++) mark_change(w, op->args[k]);
    const IrFunc *callee = op->kind == IR_CALL ? ir_func_find(w->m, op->attr.sym) : NULL;
    for (int k = 0; callee && k < op->n_args; k++)
      if (callee->params[k].moved) mark_change(w, op->args[k]);
    for (int k = 0; k < op->n_regions; k++) mark_changes(w, op->regions[k]);
  }
}

static bool is_name(const char *s) {
  if (!s || !*s || (*s >= '0' && *s <= '9')) return false;
  for (; *s; s++)
    if (strchr(" +-*/(),", *s)) return false;
  return true;
}

// A size that is no plain name, such as `2` or `n + 1`, is written as such in the types.
static void name_params(Writer *w) {
  const IrFunc *f = w->f;
  for (int k = 0; k < f->n_params; k++) {
    const char *path = f->params[k].path ? f->params[k].path : ir_val(f, f->body->args[k])->name;
    if (path && !strcmp(path, "_")) path = "n"; // a size that the program does not name
    bool expression = k < f->n_sizes && src_is_implied(f, k) && path && !is_name(path);
    src_set(w, f->body->args[k], expression ? path : src_fresh(w, path), expression ? PREC_SUM : PREC_ATOM);
  }
}

static const char *result_types(Writer *w, int n) {
  const IrFunc *f = w->f;
  StrBuf sb;
  sb_init(&sb, w->arena);
  if (n) sb_add(&sb, n > 1 ? " -> (" : " -> ");
  for (int k = 0; k < n; k++) {
    sb_addf(&sb, "%s%s", k ? ", " : "", src_type(w, f->body->yields[k], true));
  }
  if (n > 1) sb_addc(&sb, ')');
  return sb.data ? sb.data : "";
}

static const char *parameters(Writer *w) {
  const IrFunc *f = w->f;
  StrBuf sb;
  sb_init(&sb, w->arena);
  name_params(w);
  int n = 0;
  for (int k = 0; k < f->n_params; k++) {
    if (src_is_implied(f, k)) continue;
    sb_addf(&sb, "%s%s%s: %s", n++ ? ", " : "", f->params[k].moved ? "inout " : "",
            src_text(w, f->body->args[k]), src_type(w, f->body->args[k], false));
  }
  return sb.data ? sb.data : "";
}

// What an `inout` parameter ends with is the parameter itself, unless the last value lives under another name.
static void finish_inout(Writer *w, int first) {
  const IrFunc *f = w->f;
  for (int k = 0; k < f->n_params; k++) {
    if (!f->params[k].moved) continue;
    const char *name = src_text(w, f->body->args[k]), *now = src_text(w, f->body->yields[first++]);
    if (strcmp(name, now) != 0) src_line(w, "%s = %s", name, now);
  }
}

static void body(Writer *w, int n) {
  const IrFunc *f = w->f;
  region(w, f->body);
  finish_inout(w, n);
  if (n == 1) src_line(w, "return %s", src_text(w, f->body->yields[0]));
  if (n > 1) src_line(w, "return (%s)", src_list(w, f->body->yields, n));
}

static void function(const Writer *module, const IrFunc *f) {
  Writer w = *module;
  w.f = f;
  w.indent = 1;
  w.text = ARENA_ARRAY(w.arena, const char *, f->vals.len);
  w.prec = ARENA_ARRAY(w.arena, int, f->vals.len);
  w.uses = ir_use_counts(w.arena, f);
  w.changes = ARENA_ARRAY(w.arena, bool, f->vals.len);
  mark_changes(&w, f->body);
  int n = f->n_results - count_inout(f);
  const IrExtern *foreign = src_foreign(f);
  const char *params = parameters(&w), *name = src_function(&w, f->name), *results = result_types(&w, n);
  if (foreign) {
    sb_addf(w.out, "%sextern fn %s(%s)%s = \"%s\"\n", foreign->slots ? "@slots " : "", name, params, results,
            foreign->symbol);
  } else {
    sb_addf(w.out, "fn %s(%s)%s {\n", name, params, results);
    body(&w, n);
    sb_add(w.out, "}\n");
  }
  src_rules(&w, params);
}

void ir_print_source(const IrModule *m, StrBuf *out) {
  Arena *scratch = arena_new(0);
  if (!scratch) return;
  Writer w = {.m = m, .arena = scratch, .out = out};
  const bool *shown = src_open_module(&w);
  for (int i = 0, n = 0; i < m->funcs.len; i++) {
    if (!shown[i]) continue;
    if (n++) sb_addc(out, '\n');
    function(&w, m->funcs.data[i]);
  }
  arena_free(scratch);
}
