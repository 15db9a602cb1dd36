// `dp graph`: nodes. In: a function with its calls inlined. Out: a node for each float that depends on the inputs, named
// as one would by hand: v1, v2, ... from the inputs on, in layers, and within a layer in the order of the program.
#include "driver/graph.h"

#include "driver/place.h"

#include <string.h>

enum { DEEPEST_TEXT = 4 };

typedef struct Finder {
  Graph *g;
  bool *drawn; // by value
  bool changed;
  int next, carried;
} Finder;

// ---- which values are drawn: those that depend on a float parameter ------------------------------------------------------

static void mark(Finder *x, IrVal v, bool when) {
  if (!when || x->drawn[v] || !ir_is_float(ir_type(x->g->f, v))) return;
  x->drawn[v] = x->changed = true;
}

static void mark_region(Finder *x, const IrRegion *r);

static void mark_op(Finder *x, const IrOp *op) {
  bool any = false;
  for (int k = 0; k < op->n_args; k++) any |= x->drawn[op->args[k]];
  for (int i = 0; i < op->n_regions; i++) mark_region(x, op->regions[i]);
  int first = op->kind == IR_FOR ? 3 : 0, skip = op->kind == IR_FOR ? 1 : 0;
  const IrRegion *body = op->n_regions ? op->regions[op->n_regions - 1] : NULL;
  for (int k = 0; k < op->n_results; k++) {
    if (op->kind == IR_FOR || op->kind == IR_WHILE) {
      bool on = x->drawn[op->args[first + k]] || x->drawn[body->yields[k]];
      mark(x, body->args[skip + k], on);
      mark(x, ir_result(op, k), on);
    } else if (op->n_regions) {
      for (int i = 0; i < op->n_regions; i++) mark(x, ir_result(op, k), x->drawn[op->regions[i]->yields[k]]);
    } else {
      mark(x, ir_result(op, k), any);
    }
  }
}

static void mark_region(Finder *x, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) mark_op(x, r->ops.data[i]);
}

static void find_drawn(Finder *x) {
  const IrFunc *f = x->g->f;
  for (int k = 0; k < f->n_params; k++) mark(x, f->body->args[k], true);
  do {
    x->changed = false;
    mark_region(x, f->body);
  } while (x->changed);
}

// ---- texts ---------------------------------------------------------------------------------------------------------------

static void add_value(const Finder *x, StrBuf *out, IrVal v, int deep);

static void add_list(const Finder *x, StrBuf *out, const IrVal *v, int n, int deep) {
  for (int k = 0; k < n; k++) {
    if (k) sb_add(out, ", ");
    add_value(x, out, v[k], deep);
  }
}

static const char *infix(IrOpKind k) {
  switch (k) {
  case IR_ADD: return " + ";
  case IR_SUB: return " - ";
  case IR_MUL: return " * ";
  case IR_DIV: return " / ";
  case IR_LT: return " < ";
  case IR_LE: return " <= ";
  case IR_EQ: return " == ";
  case IR_NE: return " != ";
  case IR_AND: return " and ";
  case IR_OR: return " or ";
  case IR_MATMUL: return " @ ";
  case IR_POWI: return "^";
  case IR_POW: return "^";
  default: return NULL;
  }
}

// Within another operation: in parentheses if it is one itself and has no name.
static void add_operand(const Finder *x, StrBuf *out, IrVal v, int deep) {
  const IrValue *val = ir_val(x->g->f, v);
  while (val->def && (val->def->kind == IR_ITOF || val->def->kind == IR_FCVT) && !x->g->of[v] && !val->name)
    val = ir_val(x->g->f, v = val->def->args[0]);
  const GraphNode *node = x->g->of[v];
  bool inner = !(node && node->name) && !val->name && val->def && infix((IrOpKind)val->def->kind);
  if (inner) sb_addc(out, '(');
  add_value(x, out, v, deep);
  if (inner) sb_addc(out, ')');
}

static void add_const(const Finder *x, StrBuf *out, const IrOp *op) {
  IrType t = ir_type(x->g->f, op->result);
  if (ir_is_float(t))
    sb_addf(out, "%.6g", op->attr.f);
  else if (t.elem == IR_BOOL)
    sb_add(out, op->attr.i ? "true" : "false");
  else
    sb_addf(out, "%lld", (long long)op->attr.i);
}

static const char *source_name(const Graph *g, Name symbol) {
  const IrFunc *f = ir_func_find(g->m, symbol);
  return f && f->source_name ? f->source_name : symbol;
}

// The operation over its operands, which are named or, where they are no nodes, written out.
static void add_op(const Finder *x, StrBuf *out, const IrOp *op, int deep) {
  const char *between = infix((IrOpKind)op->kind);
  int64_t less;
  if (op->kind == IR_ADD && ir_is_const_int(x->g->f, op->args[1], &less) && less < 0) {
    add_operand(x, out, op->args[0], deep + 1);
    sb_addf(out, " - %lld", -(long long)less);
    return;
  }
  if (between && op->n_args == 2) {
    bool turn = op->kind == IR_MUL && ir_is_const(x->g->f, op->args[1]);
    add_operand(x, out, op->args[turn], deep + 1);
    sb_add(out, between);
    add_operand(x, out, op->args[!turn], deep + 1);
    return;
  }
  switch ((IrOpKind)op->kind) {
  case IR_CONST: add_const(x, out, op); break;
  case IR_NEG:
    sb_addc(out, '-');
    add_operand(x, out, op->args[0], deep + 1);
    break;
  case IR_ITOF:
  case IR_FCVT:
  case IR_COPY: add_value(x, out, op->args[0], deep); break;
  case IR_GET:
    add_value(x, out, op->args[0], deep + 1);
    sb_addc(out, '[');
    add_list(x, out, op->args + 1, op->n_args - 1, deep + 1);
    sb_addc(out, ']');
    break;
  case IR_SET:
  case IR_ACC:
    add_value(x, out, op->args[0], deep + 1);
    sb_add(out, " with [");
    add_list(x, out, op->args + 1, op->n_args - 2, deep + 1);
    sb_add(out, op->kind == IR_SET ? "] = " : "] += ");
    add_value(x, out, op->args[op->n_args - 1], deep + 1);
    break;
  case IR_SELECT:
    sb_add(out, "if ");
    add_value(x, out, op->args[0], deep + 1);
    sb_add(out, " { ");
    add_value(x, out, op->args[1], deep + 1);
    sb_add(out, " } else { ");
    add_value(x, out, op->args[2], deep + 1);
    sb_add(out, " }");
    break;
  case IR_CALL:
    sb_addf(out, "%s(", source_name(x->g, op->attr.sym));
    {
      const IrFunc *callee = ir_func_find(x->g->m, op->attr.sym);
      int sizes = callee ? callee->n_sizes : 0;
      add_list(x, out, op->args + sizes, op->n_args - sizes, deep + 1);
    }
    sb_addc(out, ')');
    break;
  default:
    sb_addf(out, "%s(", op->kind == IR_EXTERN ? graph_c_name(x->g, op) : ir_op_info[op->kind].text);
    add_list(x, out, op->args, op->n_args, deep + 1);
    sb_addc(out, ')');
    break;
  }
}

// Indices that have no name in the program: one letter for each axis from the outermost loop on.
static const char *index_name(const IrValue *v) {
  static const char *const letters[] = {"i", "j", "k", "l", "p", "q", "r", "s"};
  int at = v->index;
  for (const IrRegion *r = v->region->outer; r; r = r->outer)
    if (r->owner) at += r->owner->kind == IR_BUILD ? r->n_args : r->owner->kind == IR_FOR;
  return letters[at & 7];
}

// How many indices of the same name stand around this one: a library's loop may be within one of the program's.
static int namesakes(const IrFunc *f, const IrValue *v) {
  int n = 0;
  if (v->def || v->type.elem != IR_INT) return 0;
  for (const IrRegion *r = v->region->outer; r; r = r->outer)
    for (int k = 0; r->owner && k < r->n_args; k++) n += ir_val(f, r->args[k])->name == v->name;
  return n;
}

static void add_value(const Finder *x, StrBuf *out, IrVal v, int deep) {
  const IrValue *val = ir_val(x->g->f, v);
  const GraphNode *node = x->g->of[v];
  if (node && node->name) {
    sb_add(out, node->name);
  } else if (val->name) {
    sb_add(out, val->name);
    for (int n = namesakes(x->g->f, val); n > 0; n--) sb_addc(out, '\'');
  } else if (!val->def) {
    sb_add(out, index_name(val));
  } else if (deep > DEEPEST_TEXT) {
    sb_add(out, "…");
  } else {
    add_op(x, out, val->def, deep);
  }
}

static const char *op_text(const Finder *x, const IrOp *op) {
  StrBuf sb;
  sb_init(&sb, x->g->arena);
  add_op(x, &sb, op, 0);
  return sb.data;
}

// ---- nodes and boxes -------------------------------------------------------------------------------------------------------

static GraphNode *add_node(Finder *x, GraphNodeKind kind, IrVal v, GraphBox *box) {
  GraphNode *n = ARENA_NEW(x->g->arena, GraphNode);
  n->kind = kind;
  n->v = v;
  n->box = box;
  x->g->of[v] = n;
  vec_push(x->g->arena, &x->g->nodes, n);
  return n;
}

static void number(Finder *x, GraphNode *n) {
  n->number = ++x->next;
  n->name = arena_printf(x->g->arena, "v%d", n->number);
}

static void edge(Finder *x, IrVal from, GraphNode *to, bool back) {
  GraphNode *n = x->g->of[from];
  GraphEdge e = {n, to, back};
  if (!n || n == to) return;
  for (int i = 0; i < x->g->edges.len; i++) {
    const GraphEdge *have = &x->g->edges.data[i];
    if (have->from == n && have->to == to && have->back == back) return;
  }
  vec_push(x->g->arena, &x->g->edges, e);
}

// An array's elements have no loop in the program's text.
static const char *loop_title(const Graph *g, const IrOp *op) {
  const char *text = place_text(g->arena, g->m, op->loc, 48);
  if (op->kind != IR_BUILD || *text == '[') return text;
  if (!strncmp(text, "var ", 4) || !strncmp(text, "let ", 4)) text += 4;
  if (!*text || (g->f->source_name && !strcmp(text, g->f->source_name))) return "each element";
  return arena_printf(g->arena, "each element of %s", text);
}

static GraphBox *add_box(Finder *x, const IrOp *op, const IrRegion *r, GraphBox *outer) {
  Graph *g = x->g;
  GraphBox *b = ARENA_NEW(g->arena, GraphBox);
  *b = (GraphBox){.op = op, .region = r, .outer = outer, .is_loop = op->kind != IR_IF};
  b->line = place_line(g->m, op->loc);
  if (op->kind == IR_IF) {
    StrBuf sb;
    sb_init(&sb, g->arena);
    add_value(x, &sb, op->args[0], 0);
    b->title = arena_printf(g->arena, r == op->regions[0] ? "if %s" : "not (%s)", sb.data);
  } else {
    b->title = loop_title(g, op);
  }
  vec_push(g->arena, &g->boxes, b);
  return b;
}

static void add_region(Finder *x, const IrRegion *r, GraphBox *box);

static void add_carried(Finder *x, const IrOp *op, const IrRegion *body, GraphBox *box) {
  int first = op->kind == IR_FOR ? 3 : 0, skip = op->kind == IR_FOR ? 1 : 0;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = body->args[skip + k];
    if (!x->drawn[v]) continue;
    GraphNode *n = add_node(x, NODE_CARRIED, v, box);
    Name name = ir_val(x->g->f, v)->name;
    n->name = name ? name : arena_printf(x->g->arena, "c%d", ++x->carried);
    n->what = "carried";
    edge(x, op->args[first + k], n, false);
  }
}

static bool is_entered(const Graph *g, const IrRegion *r) {
  for (int i = 0; i < g->entered.len; i++)
    if (g->entered.data[i] == r) return true;
  return false;
}

static bool holds_drawn(const Finder *x, const IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_results; k++)
      if (x->drawn[ir_result(op, k)]) return true;
    for (int k = 0; k < op->n_regions; k++)
      if (holds_drawn(x, op->regions[k])) return true;
  }
  return false;
}

static void add_after(Finder *x, const IrOp *op, GraphBox *box) {
  Graph *g = x->g;
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    if (!x->drawn[v]) continue;
    GraphNode *n = add_node(x, NODE_AFTER, v, box);
    const IrRegion *body = op->regions[op->n_regions - 1];
    bool carries = op->kind == IR_FOR || op->kind == IR_WHILE;
    Name name = ir_val(g->f, v)->name;
    const GraphNode *inner = carries ? g->of[body->args[(op->kind == IR_FOR) + k]] : NULL;
    if (!name && inner) name = inner->name;
    n->what = op->kind == IR_IF      ? "after the branch"
              : op->kind == IR_BUILD ? "all elements"
                                     : arena_printf(g->arena, "%s after the loop", name ? name : "");
    if (op->kind == IR_IF && name) n->what = arena_printf(g->arena, "%s after the branch", name);
    if (op->kind == IR_BUILD && name) n->what = name;
    number(x, n);
    for (int i = op->kind == IR_WHILE; i < op->n_regions; i++) edge(x, op->regions[i]->yields[k], n, false);
    if (carries && op->regions[op->n_regions - 1]->yields[k] == body->args[(op->kind == IR_FOR) + k])
      edge(x, op->args[(op->kind == IR_FOR ? 3 : 0) + k], n, false);
  }
}

static void add_region_op(Finder *x, const IrOp *op, GraphBox *outer) {
  for (int i = op->kind == IR_WHILE; i < op->n_regions; i++) {
    const IrRegion *r = op->regions[i];
    if (!is_entered(x->g, r) || !holds_drawn(x, r)) continue;
    GraphBox *box = add_box(x, op, r, outer);
    if (op->kind == IR_FOR || op->kind == IR_WHILE) add_carried(x, op, r, box);
    add_region(x, r, box);
    for (int k = 0; k < op->n_results && (op->kind == IR_FOR || op->kind == IR_WHILE); k++) {
      GraphNode *to = x->g->of[r->args[(op->kind == IR_FOR) + k]];
      if (to) edge(x, r->yields[k], to, true);
    }
  }
  add_after(x, op, outer);
}

static void add_plain_op(Finder *x, const IrOp *op, GraphBox *box) {
  for (int k = 0; k < op->n_results; k++) {
    IrVal v = ir_result(op, k);
    if (!x->drawn[v]) continue;
    bool element = op->kind == IR_GET;
    const char *text = op_text(x, op);
    GraphNode *n = add_node(x, element ? NODE_ELEMENT : NODE_OP, v, box);
    n->what = text;
    if (element)
      n->name = text;
    else
      number(x, n);
    for (int i = 0; i < op->n_args; i++) edge(x, op->args[i], n, false);
  }
}

// An operation's layer: one behind the farthest operand of the same region. Elements count with their array.
static int layer_of(const Finder *x, const IrOp *op, const IrRegion *r, const int *layers) {
  IrVals reads = {0};
  int most = 0;
  ir_free_values_op(x->g->arena, x->g->f, op, &reads);
  for (int k = 0; k < reads.len; k++) {
    const IrValue *v = ir_val(x->g->f, reads.data[k]);
    if (v->region == r && v->def && layers[reads.data[k]] > most) most = layers[reads.data[k]];
  }
  return most + (op->kind != IR_GET);
}

static void add_region(Finder *x, const IrRegion *r, GraphBox *box) {
  Arena *a = x->g->arena;
  int *layers = ARENA_ARRAY(a, int, x->g->f->vals.len), *of = ARENA_ARRAY(a, int, r->ops.len + 1), last = 0;
  for (int i = 0; i < r->ops.len; i++) {
    const IrOp *op = r->ops.data[i];
    bool any = op->n_regions > 0;
    for (int k = 0; k < op->n_results; k++) any |= x->drawn[ir_result(op, k)];
    of[i] = any ? layer_of(x, op, r, layers) : -1;
    for (int k = 0; any && k < op->n_results; k++) layers[ir_result(op, k)] = of[i];
    if (of[i] > last) last = of[i];
  }
  for (int layer = 0; layer <= last; layer++)
    for (int i = 0; i < r->ops.len; i++) {
      if (of[i] != layer) continue;
      const IrOp *op = r->ops.data[i];
      if (op->n_regions)
        add_region_op(x, op, box);
      else
        add_plain_op(x, op, box);
    }
}

void graph_nodes(Graph *g) {
  const IrFunc *f = g->f;
  Finder x = {.g = g, .drawn = ARENA_ARRAY(g->arena, bool, f->vals.len)};
  g->of = ARENA_ARRAY(g->arena, GraphNode *, f->vals.len);
  find_drawn(&x);
  for (int k = f->n_sizes; k < f->n_params; k++) {
    if (!x.drawn[f->body->args[k]]) continue;
    GraphNode *n = add_node(&x, NODE_INPUT, f->body->args[k], NULL);
    n->name = f->params[k].path;
  }
  add_region(&x, f->body, NULL);
}
