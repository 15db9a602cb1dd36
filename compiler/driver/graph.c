// `dp graph`: the command. In: a program, a function and a point. Out: the computational graph with the value and the
// adjoint of every node, as SVG (Console.draw lays it out) or as text.
#include "driver/graph.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- the point ---------------------------------------------------------------------------------------------------------
// Numbers as dp writes them: 2, -0.5, true, [1, 2, 3], [[1, 2], [3, 4]]; one for each parameter, fields in order.

typedef struct Reader {
  Graph *g;
  const char *at, *what; // the text, and the parameter that is read
  const char *wrong;
  VEC(double) numbers; // of the value being read
  int64_t sizes[IR_MAX_RANK];
} Reader;

static void blanks(Reader *r) {
  while (isspace((unsigned char)*r->at)) r->at++;
}

static bool next_is(Reader *r, char c) {
  blanks(r);
  if (*r->at != c) return false;
  r->at++;
  return true;
}

static void read_number(Reader *r) {
  static const struct {
    const char *word;
    double value;
  } words[] = {{"true", 1.0}, {"false", 0.0}};
  blanks(r);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i].word);
    if (strncmp(r->at, words[i].word, n) != 0) continue;
    r->at += n;
    vec_push(r->g->arena, &r->numbers, words[i].value);
    return;
  }
  char *end;
  double v = strtod(r->at, &end);
  if (end == r->at) {
    r->wrong =
        *r->at ? arena_printf(r->g->arena, "a number was expected at `%s`", r->at) : "it ends too early";
    return;
  }
  r->at = end;
  vec_push(r->g->arena, &r->numbers, v);
}

static void read_nested(Reader *r, int rank, int axis) {
  if (r->wrong) return;
  if (axis == rank) {
    read_number(r);
    return;
  }
  if (!next_is(r, '[')) {
    const char *found = *r->at ? arena_printf(r->g->arena, "at `%s`", r->at) : "at the end";
    r->wrong =
        arena_printf(r->g->arena, "`[` was expected %s: %s is an array of rank %d", found, r->what, rank);
    return;
  }
  int64_t n = 0;
  while (!r->wrong && !next_is(r, ']')) {
    if (n && !next_is(r, ',')) {
      r->wrong =
          *r->at ? arena_printf(r->g->arena, "`,` or `]` was expected at `%s`", r->at) : "a `]` is missing";
      return;
    }
    read_nested(r, rank, axis + 1);
    n++;
  }
  if (r->sizes[axis] >= 0 && r->sizes[axis] != n) r->wrong = "its rows have different lengths";
  r->sizes[axis] = n;
}

static IrCell read_cell(Reader *r, IrType t) {
  Arena *a = r->g->arena;
  r->numbers.len = 0;
  for (int d = 0; d < IR_MAX_RANK; d++) r->sizes[d] = -1;
  read_nested(r, t.rank, 0);
  IrCell c = {.type = t};
  if (r->wrong) return c;
  for (int d = 0; d < t.rank; d++)
    if (r->sizes[d] < 0) r->sizes[d] = 0;
  if (!t.rank) {
    if (ir_is_float(t))
      c.v.q = (__float128)r->numbers.data[0];
    else
      c.v.i = (int64_t)r->numbers.data[0];
    return c;
  }
  if (ir_is_float(t)) {
    c = ir_cell_array(a, (IrElem)t.elem, t.rank, r->sizes, r->numbers.data);
  } else {
    int64_t *ints = ARENA_ARRAY(a, int64_t, r->numbers.len + 1);
    for (int i = 0; i < r->numbers.len; i++) ints[i] = (int64_t)r->numbers.data[i];
    c = ir_cell_ints(a, t.rank, r->sizes, ints);
  }
  c.type = t;
  return c;
}

static const char *wanted(const Graph *g) {
  const IrFunc *f = g->f;
  StrBuf sb;
  sb_init(&sb, g->arena);
  for (int k = f->n_sizes; k < f->n_params; k++)
    sb_addf(&sb, "%s%s", k > f->n_sizes ? ", " : "", f->params[k].path);
  return sb.data ? sb.data : "nothing";
}

// Sizes are those of the arrays.
static bool bind_sizes(Reader *r, const IrVal *dims, const IrCell *c, bool *bound, IrCell *args) {
  const IrFunc *f = r->g->f;
  for (int d = 0; dims && d < c->type.rank; d++) {
    int k = ir_val(f, dims[d])->index;
    if (bound[k] && args[k].v.i != c->dims[d]) {
      r->wrong = arena_printf(r->g->arena, "the size %s is %lld in one array and %lld in another",
                              f->params[k].path, (long long)args[k].v.i, (long long)c->dims[d]);
      return false;
    }
    args[k] = ir_cell_int(c->dims[d]);
    bound[k] = true;
  }
  return true;
}

static bool read_point(Graph *g, const char *text, const char **wrong) {
  const IrFunc *f = g->f;
  Reader r = {.g = g, .at = text};
  IrCell *args = ARENA_ARRAY(g->arena, IrCell, f->n_params + 1);
  bool *bound = ARENA_ARRAY(g->arena, bool, f->n_params + 1);
  for (int k = f->n_sizes; k < f->n_params && !r.wrong; k++) {
    if (k > f->n_sizes && !next_is(&r, ',')) {
      r.wrong = *r.at ? arena_printf(g->arena, "`,` was expected at `%s`", r.at) : "there are too few values";
      break;
    }
    r.what = f->params[k].path;
    args[k] = read_cell(&r, ir_type(f, f->body->args[k]));
    if (!r.wrong) bind_sizes(&r, ir_dims(f, f->body->args[k]), &args[k], bound, args);
  }
  blanks(&r);
  if (!r.wrong && *r.at) r.wrong = arena_printf(g->arena, "there is too much: `%s`", r.at);
  for (int k = 0; k < f->n_sizes && !r.wrong; k++)
    if (!bound[k]) r.wrong = arena_printf(g->arena, "no array has the size %s", f->params[k].path);
  g->args = args;
  *wrong = r.wrong;
  return !r.wrong;
}

// ---- the text form -------------------------------------------------------------------------------------------------------

typedef struct Columns {
  int name, value;
} Columns;

// Characters, not bytes.
static int width(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static int indent(const GraphBox *box) {
  int n = 0;
  for (; box; box = box->outer) n += 2;
  return n;
}

static const char *left_side(const Graph *g, const GraphNode *n) {
  int by = indent(n->box);
  if (n->number) return arena_printf(g->arena, "%*s%s = %s", by, "", n->name, n->what);
  if (n->kind == NODE_CARRIED) return arena_printf(g->arena, "%*s%s, carried", by, "", n->name);
  return arena_printf(g->arena, "%*s%s", by, "", n->name);
}

static void pad(StrBuf *out, const char *text, int to) {
  sb_add(out, text);
  for (int n = width(text); n < to; n++) sb_addc(out, ' ');
}

static void print_title(StrBuf *out, const GraphBox *box) {
  sb_addf(out, "%*s%s", indent(box->outer), "", box->title);
  if (box->is_loop) sb_addf(out, ", %lld time%s", (long long)box->most, box->most == 1 ? "" : "s");
  sb_addf(out, " (line %d)\n", box->line);
}

// The boxes that open before this node, the outermost first.
static void print_boxes(StrBuf *out, const GraphBox *box, const GraphBox *before) {
  for (const GraphBox *b = before; b; b = b->outer)
    if (b == box) return;
  if (!box) return;
  print_boxes(out, box->outer, before);
  print_title(out, box);
}

static const char *call_text(const Graph *g) {
  const IrFunc *f = g->f;
  StrBuf sb;
  sb_init(&sb, g->arena);
  sb_addf(&sb, "%s(", f->source_name ? f->source_name : f->name);
  for (int k = f->n_sizes; k < f->n_params; k++)
    sb_addf(&sb, "%s%s", k > f->n_sizes ? ", " : "", f->params[k].path);
  sb_addc(&sb, ')');
  return sb.data;
}

static const char *result_text(const Graph *g) {
  StrBuf sb;
  sb_init(&sb, g->arena);
  for (int k = 0; k < g->f->n_results; k++) {
    const GraphNode *n = g->of[g->f->body->yields[k]];
    if (n) sb_addf(&sb, "%s%s", sb.len ? ", " : "", n->name);
  }
  return sb.data ? sb.data : "";
}

static void print_text(const Graph *g, StrBuf *out) {
  Columns c = {0, 5};
  for (int i = 0; i < g->nodes.len; i++) {
    const GraphNode *n = g->nodes.data[i];
    if (!graph_shown(n)) continue;
    int name = width(left_side(g, n)), value = width(graph_value_text(g, n));
    if (name > c.name) c.name = name;
    if (value > c.value) c.value = value;
  }
  pad(out, "", c.name + 2);
  pad(out, "value", c.value + 2);
  sb_add(out, "adjoint\n");
  const GraphBox *before = NULL;
  for (int i = 0; i < g->nodes.len; i++) {
    const GraphNode *n = g->nodes.data[i];
    if (!graph_shown(n)) continue;
    print_boxes(out, n->box, before);
    before = n->box;
    pad(out, left_side(g, n), c.name + 2);
    const char *adjoint = graph_adjoint_text(g, n);
    if (*adjoint)
      pad(out, graph_value_text(g, n), c.value + 2);
    else
      sb_add(out, graph_value_text(g, n));
    sb_addf(out, "%s\n", adjoint);
  }
  sb_addf(out, "%s = %s\n", call_text(g), result_text(g));
}

// ---- the command -----------------------------------------------------------------------------------------------------------

// Calls are followed, but those of functions with derivative rules and recursive ones. A function with rules of its own is one
// such call. That no derivative is lost on the way is for reverse mode to say, as everywhere else.
static bool prepare(Graph *g, FnDecl *fn) {
  Session *s = g->s;
  Expr *e = sema_expr(s->program, "<command line>", arena_printf(s->arena, "vjp(%s)", fn->name));
  if (!e || s->diags.n_errors) return false;
  LowerRoot roots[2] = {{.fn = fn, .real = IR_F64, .name = fn->name},
                        {.expr = e, .real = IR_F64, .name = intern_cstr(s->names, "graph.vjp")}};
  g->m = session_lower(s, roots, 2);
  if (!g->m || !session_differentiate(s, g->m)) return false;
  IrFunc *f = ir_func_find(g->m, fn->name);
  if (f->has_rule) f = ir_func_find(g->m, intern_cstr(s->names, arena_printf(s->arena, "%s.call", fn->name)));
  f = opt_inline_early(f);
  g->f = opt_dce(opt_simplify(opt_fuse(opt_simplify(f))));
  return true;
}

static IrWalk find_foreign(void *user, IrOp *op) {
  bool *found = user;
  *found |= (op->kind == IR_EXTERN && op->attr.ext->slots) || op->kind == IR_TRAIN || op->kind == IR_MINIMIZE;
  return *found ? IR_WALK_STOP : IR_WALK_CONTINUE;
}

// Functions of the runtime, such as reading files, and whole trainings: nobody sees their steps.
static bool holds_foreign(const IrModule *m) {
  bool found = false;
  for (int i = 0; i < m->funcs.len && !found; i++)
    if (m->funcs.data[i]->body) ir_walk(m->funcs.data[i]->body, find_foreign, &found);
  return found;
}

static bool failed(Work *w, const char *message) {
  sb_addf(&w->c->err, "dp: %s\n", message);
  w->code = EXIT_FAILED;
  return true;
}

static bool emit_picture(const Graph *g, Work *w) {
  StrBuf dot;
  sb_init(&dot, g->arena);
  graph_dot(g, &dot);
  const char *why = NULL;
  size_t len = 0;
  const char *svg = w->c->draw ? w->c->draw(g->arena, dot.data, &len, &why) : NULL;
  if (svg) return emit_bytes(w, svg, len);
  return failed(w, arena_printf(g->arena, "the picture could not be laid out: %s; `--text` needs no picture",
                                why ? why : "Graphviz is not there"));
}

static bool draw_graph(void *user) {
  Work *w = user;
  Session *s = w->s;
  if (!session_load(s, w->argv[0], NULL, 0)) return false;
  FnDecl *fn = named_function(s, w->argv[1]);
  Graph g = {.s = s, .arena = s->arena, .path = w->argv[0]};
  const char *wrong = NULL;
  for (int k = 0; fn && k < fn->sig->n_params; k++)
    if (fn->sig->params[k]->kind == TYPE_FN)
      return failed(w, arena_printf(s->arena,
                                    "`%s` takes a function, and a graph needs values: draw one that calls it",
                                    fn->name));
  if (!fn || !prepare(&g, fn)) return false;
  if (holds_foreign(g.m))
    return failed(w,
                  arena_printf(s->arena,
                               "`%s` trains or uses files, and a graph shows the steps of arithmetic alone",
                               fn->name));
  if (!read_point(&g, w->o->at, &wrong)) {
    sb_addf(&w->c->err, "dp: --at gives values for %s, and in `%s` %s\n", wanted(&g), w->o->at, wrong);
    w->code = EXIT_USAGE;
    return true;
  }
  bool ran = graph_run(&g);
  if (ran) graph_nodes(&g);
  ran = ran && graph_values(&g);
  graph_end_foreign(&g);
  if (!ran) {
    if (s->diags.n_errors) return false;
    return failed(w, arena_printf(s->arena, "`%s` fails at this point: %s", fn->name, g.failed));
  }
  if (w->o->text) print_text(&g, &w->c->out);
  return w->o->text && !w->o->output ? true : emit_picture(&g, w);
}

int command_graph(Console *c, Options *o, int argc, char **argv) {
  if (argc != 2) return usage_error(c, find_command("graph"), "wants a file and a function");
  if (!o->at) return usage_error(c, find_command("graph"), "wants `--at VALUES`, the point");
  return with_session(c, o, argc, argv, draw_graph);
}
