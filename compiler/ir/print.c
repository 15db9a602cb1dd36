// IR as text. In: a function or a module, malformed ones included when a message needs them; out: text that parse.c
// reads back to the same structure, so that print -> parse -> print is byte-equal. Names are hints made unique in the
// order of the text; types stand only where they do not follow from the operands. Locations are not printed.
#include "ir/internal.h"

#include <ctype.h>
#include <string.h>

typedef struct Printer {
  const IrFunc *func;
  StrBuf *out;
  Name *names;  // by value; NULL: not seen
  NameMap used; // name -> the suffix to try next
  int unnamed;
} Printer;

// ---- names -----------------------------------------------------------------------------------------------------------

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

static Name clean_hint(const Printer *p, Name hint) {
  if (!hint || !*hint) return NULL;
  bool prefix = !isalpha((unsigned char)hint[0]) && hint[0] != '_';
  size_t n = strlen(hint);
  char *s = arena_alloc(p->out->arena, n + 2);
  if (prefix) s[0] = '_';
  for (size_t i = 0; i < n; i++) s[i + prefix] = is_name_char(hint[i]) ? hint[i] : '_';
  return intern(p->func->module->names, s, n + prefix);
}

static void name_value(Printer *p, IrVal v) {
  if (v == 0 || v >= (IrVal)p->func->vals.len || p->names[v]) return;
  Interner *names = p->func->module->names;
  Name base = clean_hint(p, ir_val(p->func, v)->name), name = base;
  if (!base) {
    p->names[v] = intern_cstr(names, arena_printf(p->out->arena, "%d", p->unnamed++));
    return;
  }
  while (name_map_find(&p->used, name)) {
    uint32_t *suffix = name_map_find(&p->used, base);
    name = intern_cstr(names, arena_printf(p->out->arena, "%s.%u", base, (unsigned)(*suffix)++));
  }
  name_map_put(&p->used, name, 1);
  p->names[v] = name;
}

static void name_region(Printer *p, const IrRegion *r) {
  for (int i = 0; i < r->n_args; i++) name_value(p, r->args[i]);
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_results; k++) name_value(p, ir_result(op, k));
    for (int k = 0; k < op->n_regions; k++) name_region(p, op->regions[k]);
  }
}

static Printer printer(const IrFunc *f, StrBuf *out) {
  Printer p = {.func = f, .out = out, .names = ARENA_ARRAY(out->arena, Name, f->vals.len)};
  name_map_init(&p.used, out->arena);
  for (int i = 0; i < f->n_params; i++) name_value(&p, (IrVal)i + 1);
  if (f->body) name_region(&p, f->body);
  return p;
}

// ---- pieces ----------------------------------------------------------------------------------------------------------

static void add_string(StrBuf *out, const char *s) {
  sb_addc(out, '"');
  for (; s && *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      sb_addf(out, "\\%c", c);
    else if (c == '\n')
      sb_add(out, "\\n");
    else if (c == '\t')
      sb_add(out, "\\t");
    else if (c < 32 || c == 127)
      sb_addf(out, "\\x%02x", c);
    else
      sb_addc(out, (char)c);
  }
  sb_addc(out, '"');
}

static void add_func_name(StrBuf *out, Name name) {
  sb_addc(out, '@');
  bool plain = name && *name;
  for (const char *s = name; s && *s; s++) plain = plain && is_name_char(*s);
  if (plain)
    sb_add(out, name);
  else
    add_string(out, name);
}

static void add_val(const Printer *p, IrVal v) {
  if (v < (IrVal)p->func->vals.len && p->names[v])
    sb_addf(p->out, "%%%s", p->names[v]);
  else
    sb_addf(p->out, "%%?%u", (unsigned)v); // only in messages about malformed functions
}

static void add_vals(const Printer *p, const IrVal *vals, int n) {
  for (int i = 0; i < n; i++) {
    if (i > 0) sb_add(p->out, ", ");
    add_val(p, vals[i]);
  }
}

static void add_type(const Printer *p, IrType t, const IrVal *dims) {
  sb_add(p->out, ir_elem_text(t.elem));
  if (!t.rank) return;
  sb_addc(p->out, '[');
  for (int i = 0; i < t.rank; i++) {
    if (i > 0) sb_add(p->out, ", ");
    if (t.grow)
      sb_addc(p->out, '*');
    else if (dims)
      add_val(p, dims[i]);
    else
      sb_addc(p->out, '_');
  }
  sb_addc(p->out, ']');
}

void ir_print_type(const IrFunc *f, IrType t, StrBuf *out) {
  Printer p = {.func = f, .out = out};
  add_type(&p, t, NULL);
}

static void add_result_types(const Printer *p, const IrOp *op) {
  for (int i = 0; i < op->n_results; i++) {
    const IrValue *v = ir_val(p->func, ir_result(op, i));
    sb_add(p->out, i == 0 ? " -> " : ", ");
    add_type(p, v->type, v->dims);
  }
}

static void add_text(const Printer *p, const char *key, const char *text) {
  sb_addf(p->out, " %s ", key);
  add_string(p->out, text);
}

// ---- operations ------------------------------------------------------------------------------------------------------

static void add_carried(const Printer *p, const IrRegion *r, int first, const IrVal *inits, int n) {
  sb_add(p->out, " with (");
  for (int i = 0; i < n; i++) {
    if (i > 0) sb_add(p->out, ", ");
    add_val(p, first + i < r->n_args ? r->args[first + i] : 0);
    sb_add(p->out, " = ");
    add_val(p, inits[i]);
  }
  sb_addc(p->out, ')');
}

static void add_number(const Printer *p, IrElem e, int64_t i, double f) {
  if (e == IR_BOOL)
    sb_add(p->out, i ? "true" : "false");
  else if (e == IR_INT)
    sb_addf(p->out, "%lld", (long long)i);
  else if (e == IR_F32)
    sb_add_f32(p->out, (float)f);
  else
    sb_add_f64(p->out, f);
}

static void add_const(const Printer *p, const IrOp *op) {
  IrElem e = (IrElem)ir_type(p->func, op->result).elem;
  sb_addf(p->out, " %s ", ir_elem_text(e));
  add_number(p, e, op->attr.i, op->attr.f);
}

static void add_table(const Printer *p, const IrOp *op) {
  const IrTable *t = op->attr.table;
  IrElem e = (IrElem)ir_type(p->func, op->result).elem;
  sb_addf(p->out, " %s ", ir_elem_text(e));
  add_vals(p, op->args, op->n_args);
  for (int64_t i = 0; t && i < t->n; i++) {
    sb_add(p->out, i ? ", " : " [");
    add_number(p, e, t->i ? t->i[i] : 0, t->f ? t->f[i] : 0);
  }
  sb_add(p->out, t && t->n ? "]" : " []");
}

static void add_dcall(const Printer *p, const IrOp *op) {
  const IrDeriv *d = op->attr.deriv;
  if (!d) return;
  sb_add(p->out, d->kind == IR_VJP ? " vjp " : d->kind == IR_JVP ? " jvp " : " jvps ");
  add_func_name(p->out, d->callee);
  sb_add(p->out, " wrt ");
  for (int i = 0; i < d->n_params; i++) sb_addc(p->out, d->wrt[i] ? '1' : '0');
  if (d->n_params == 0) sb_add(p->out, "none");
  sb_addc(p->out, ' ');
}

static void add_extern(const Printer *p, const IrOp *op) {
  const IrExtern *x = op->attr.ext;
  if (!x) return;
  sb_addc(p->out, ' ');
  add_string(p->out, x->symbol);
  if (x->slots) sb_add(p->out, " slots");
  if (x->pure) sb_add(p->out, " pure");
  sb_addc(p->out, ' ');
}

static void add_train(const Printer *p, const IrOp *op) {
  const IrTrain *t = op->attr.train;
  if (!t) return;
  sb_addc(p->out, ' ');
  add_func_name(p->out, t->loss);
  sb_add(p->out, ", ");
  add_func_name(p->out, t->loss_grad);
  sb_addf(p->out, " params %d data %d ", t->n_params, t->n_data);
  if (t->n_captured) sb_addf(p->out, "captured %d ", t->n_captured);
}

static void add_call_like(const Printer *p, const IrOp *op) {
  sb_addc(p->out, '(');
  add_vals(p, op->args, op->n_args);
  sb_addc(p->out, ')');
  add_result_types(p, op);
}

static void add_for(const Printer *p, const IrOp *op) {
  const IrRegion *r = op->regions[0];
  sb_addc(p->out, ' ');
  add_val(p, r->n_args > 0 ? r->args[0] : 0);
  sb_add(p->out, " = ");
  add_vals(p, op->args, op->n_args < 3 ? op->n_args : 3);
  if (op->n_args > 3) add_carried(p, r, 1, op->args + 3, op->n_args - 3);
  if (op->attr.i >= IR_BLOCK)
    sb_addf(p->out, " checkpoint block %lld", (long long)(op->attr.i - IR_BLOCK));
  else if (op->attr.i)
    sb_addf(p->out, " checkpoint %lld", (long long)op->attr.i);
  if (op->lanes) sb_addf(p->out, " lanes %d%s", op->lanes, op->masked ? " masked" : "");
}

static void add_if(const Printer *p, const IrOp *op) {
  sb_addc(p->out, ' ');
  add_vals(p, op->args, op->n_args);
  bool arrays = false;
  for (int i = 0; i < op->n_results; i++) arrays |= ir_dims(p->func, ir_result(op, i)) != NULL;
  if (arrays) add_result_types(p, op);
}

static void add_plain(const Printer *p, const IrOp *op) {
  if (op->n_args > 0) sb_addc(p->out, ' ');
  add_vals(p, op->args, op->n_args);
}

static void add_region_args(const Printer *p, const IrRegion *r) {
  sb_addc(p->out, '(');
  add_vals(p, r->args, r->n_args);
  sb_addc(p->out, ')');
}

// What follows the operation's name, up to its regions.
static void add_operands(const Printer *p, const IrOp *op) {
  StrBuf *out = p->out;
  switch ((IrOpKind)op->kind) {
  case IR_CONST: add_const(p, op); break;
  case IR_STR: sb_addc(out, ' '), add_string(out, op->attr.sym); break;
  case IR_ITOF:
  case IR_FTOI:
  case IR_BTOI:
  case IR_FCVT:
    sb_addf(out, " %s", ir_elem_text(ir_type(p->func, op->result).elem));
    add_plain(p, op);
    break;
  case IR_EMPTY: sb_addf(out, " %s", ir_elem_text(ir_type(p->func, op->result).elem)); break;
  case IR_TABLE: add_table(p, op); break;
  case IR_FILL:
    if (op->attr.i & IR_UNSET) sb_add(out, " unset");
    add_plain(p, op);
    break;
  case IR_MATMUL:
  case IR_MATACC:
    add_plain(p, op);
    if (op->attr.i & IR_TRANS_A) sb_add(out, " trans_a");
    if (op->attr.i & IR_TRANS_B) sb_add(out, " trans_b");
    break;
  case IR_CHECK_INDEX:
  case IR_CHECK_RANGE:
  case IR_CHECK_SIZE:
  case IR_CHECK_DIV:
    add_plain(p, op);
    if (op->attr.sym) sb_addc(out, ' '), add_string(out, op->attr.sym);
    break;
  case IR_FORMAT:
    sb_addc(out, ' ');
    add_string(out, op->attr.sym);
    sb_add(out, " (");
    add_vals(p, op->args, op->n_args);
    sb_addc(out, ')');
    break;
  case IR_CALL:
    sb_addc(out, ' ');
    add_func_name(out, op->attr.sym);
    add_call_like(p, op);
    break;
  case IR_DCALL: add_dcall(p, op), add_call_like(p, op); break;
  case IR_EXTERN: add_extern(p, op), add_call_like(p, op); break;
  case IR_TRAIN:
  case IR_MINIMIZE: add_train(p, op), add_call_like(p, op); break;
  case IR_BUILD:
    add_plain(p, op);
    sb_addc(out, ' ');
    add_region_args(p, op->regions[0]);
    break;
  case IR_FOR: add_for(p, op); break;
  case IR_WHILE:
    if (op->n_args > 0) add_carried(p, op->regions[0], 0, op->args, op->n_args);
    break;
  case IR_IF: add_if(p, op); break;
  default: add_plain(p, op); break;
  }
}

static void add_head(const Printer *p, const IrOp *op) {
  for (int i = 0; i < op->n_results; i++) {
    add_val(p, ir_result(op, i));
    sb_add(p->out, i + 1 < op->n_results ? ", " : " = ");
  }
  sb_add(p->out, ir_op_info[op->kind].text);
  add_operands(p, op);
  if (op->on_stack) sb_add(p->out, " on_stack");
  if (op->kept) sb_add(p->out, " kept");
}

static void indent(const Printer *p, int depth) {
  for (int i = 0; i < depth; i++) sb_add(p->out, "  ");
}

static void add_region(const Printer *p, const IrRegion *r, int depth);

static void add_op(const Printer *p, const IrOp *op, int depth) {
  indent(p, depth);
  add_head(p, op);
  for (int k = 0; k < op->n_regions; k++) {
    if (k == 1) {
      sb_add(p->out, op->kind == IR_WHILE ? " do " : " else");
      if (op->kind == IR_WHILE) add_region_args(p, op->regions[1]);
    }
    sb_add(p->out, " {\n");
    add_region(p, op->regions[k], depth + 1);
    indent(p, depth);
    sb_addc(p->out, '}');
  }
  sb_addc(p->out, '\n');
}

static void add_region(const Printer *p, const IrRegion *r, int depth) {
  for (int i = 0; i < r->ops.len; i++) add_op(p, r->ops.data[i], depth);
  if (r->n_yields == 0 && r->owner) return;
  indent(p, depth);
  sb_add(p->out, r->owner ? "yield" : "return");
  if (r->n_yields > 0) sb_addc(p->out, ' ');
  add_vals(p, r->yields, r->n_yields);
  sb_addc(p->out, '\n');
}

void ir_print_op(const IrFunc *f, const IrOp *op, StrBuf *out) {
  Printer p = printer(f, out);
  add_head(&p, op);
}

// ---- functions -------------------------------------------------------------------------------------------------------

static void add_params(const Printer *p) {
  const IrFunc *f = p->func;
  sb_addc(p->out, '(');
  for (int i = 0; i < f->n_params; i++) {
    IrVal v = (IrVal)i + 1;
    if (i > 0) sb_add(p->out, ", ");
    add_val(p, v);
    sb_add(p->out, ": ");
    add_type(p, ir_type(f, v), ir_dims(f, v));
    const IrLeaf *leaf = &f->params[i];
    if (leaf->path && p->names[v] && strcmp(leaf->path, p->names[v]) != 0) {
      sb_addc(p->out, ' ');
      add_string(p->out, leaf->path);
    }
    if (leaf->moved) sb_add(p->out, " moved");
  }
  sb_addc(p->out, ')');
}

static void add_results(const Printer *p) {
  const IrFunc *f = p->func;
  for (int i = 0; i < f->n_results; i++) {
    sb_add(p->out, i == 0 ? " -> " : ", ");
    add_type(p, f->results[i], NULL);
    const IrLeaf *leaf = f->result_leaves ? &f->result_leaves[i] : NULL;
    if (leaf && leaf->path && *leaf->path) sb_addc(p->out, ' '), add_string(p->out, leaf->path);
    if (leaf && leaf->moved) sb_add(p->out, " moved");
  }
}

static void add_flags(const Printer *p) {
  const IrFunc *f = p->func;
  if (f->n_sizes) sb_addf(p->out, " sizes %d", f->n_sizes);
  if (f->is_export) sb_add(p->out, " export");
  if (f->recursive) sb_add(p->out, " recursive");
  if (f->effects) sb_add(p->out, " effects");
  if (f->has_rule) sb_add(p->out, " rule");
  if (f->adjoint_rule) sb_add(p->out, " adjoint "), add_func_name(p->out, f->adjoint_rule);
  if (f->tangent_rule) sb_add(p->out, " tangent "), add_func_name(p->out, f->tangent_rule);
}

void ir_print_func(const IrFunc *f, StrBuf *out) {
  Printer p = printer(f, out);
  bool other_source = f->source_name && f->source_name != f->name;
  sb_add(out, f->body ? "fn " : "declare ");
  add_func_name(out, f->name);
  add_params(&p);
  add_results(&p);
  add_flags(&p);
  if (!f->body) {
    if (other_source) add_text(&p, "source", f->source_name);
    if (f->signature) add_text(&p, "signature", f->signature);
    sb_addc(out, '\n');
    return;
  }
  sb_add(out, " {\n");
  if (other_source) sb_addc(out, ' '), add_text(&p, "source", f->source_name), sb_addc(out, '\n');
  if (f->signature) sb_addc(out, ' '), add_text(&p, "signature", f->signature), sb_addc(out, '\n');
  add_region(&p, f->body, 1);
  sb_add(out, "}\n");
}

void ir_print_module(const IrModule *m, StrBuf *out) {
  sb_add(out, "dp-ir 1\n");
  for (int i = 0; i < m->funcs.len; i++) {
    sb_addc(out, '\n');
    ir_print_func(m->funcs.data[i], out);
  }
}
