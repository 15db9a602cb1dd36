// `dp graph`: the computational graph of a function at a point. graph_nodes.c finds the nodes and names them, graph_values.c
// computes values and adjoints, graph_dot.c writes the picture's description, graph.c is the command and the text form.
#ifndef DP_GRAPH_H
#define DP_GRAPH_H

#include "driver/command.h"

typedef enum GraphNodeKind {
  NODE_INPUT,   // a parameter
  NODE_ELEMENT, // x[i]
  NODE_CARRIED, // what a loop carries, at the start of an iteration
  NODE_OP,
  NODE_AFTER, // what a loop or branch leaves behind
} GraphNodeKind;

typedef struct GraphRun { // one computation of a node
  int64_t at;             // which one, among the iterations of the loops around it
  double value, adjoint;
} GraphRun;

typedef struct GraphBox { // a loop or one side of a branch
  const IrOp *op;
  const IrRegion *region;
  struct GraphBox *outer; // NULL: the function
  const char *title;
  int line;
  bool is_loop;
  int64_t now, most; // iterations: so far in this run of the loop, and the most of all
} GraphBox;

typedef struct GraphNode {
  GraphNodeKind kind;
  IrVal v;
  GraphBox *box;
  int number;       // of v1, v2, ...; 0: it goes by its name
  const char *name; // "v3", "x1", "x[i]", "s"
  const char *what; // "log(x1)"; NULL: an input
  int64_t n_runs;
  VEC(GraphRun) runs;    // the first ones and the latest; a scalar's
  IrCell array, adjoint; // an array's, outside of loops
  bool has_adjoint;
} GraphNode;

typedef struct GraphEdge {
  GraphNode *from, *to;
  bool back; // to the next iteration
} GraphEdge;

typedef struct GraphForeign GraphForeign;

typedef struct Graph {
  Session *s;
  Arena *arena;
  IrModule *m;
  const IrFunc *f; // inlined, as written otherwise
  const IrCell *args;
  IrCell *results;
  GraphNode **of;         // by value; NULL: not drawn
  VEC(GraphNode *) nodes; // in the order of reading
  VEC(GraphBox *) boxes;
  VEC(GraphEdge) edges;
  VEC(const IrRegion *) entered; // at this point; those of other branches are not drawn
  bool recording;                // the loops' trips are counted already
  const char *failed;            // why values could not be computed
  const char *path;              // of the program
  GraphForeign *foreign;         // the program as machine code, once a function of C is called
} Graph;

enum { GRAPH_RUNS_KEPT = 64, GRAPH_SHOWN = 4 };

// In this order. False: failed says why, or the diagnostics do.
bool graph_run(Graph *g); // which regions are entered
void graph_nodes(Graph *g);
bool graph_values(Graph *g);

bool graph_call_c(void *user, const IrFrame *at, const IrOp *op, IrCell *result); // graph_foreign.c
const char *graph_c_name(const Graph *g, const IrOp *op); // as the program declares it
void graph_end_foreign(Graph *g);

const char *graph_number(Arena *a, double v);                                // "10.693147"
const char *graph_value_text(const Graph *g, const GraphNode *n);            // "0.5, 1, ..., 3"
const char *graph_adjoint_text(const Graph *g, const GraphNode *n);          // "" if it is not known
static inline bool graph_shown(const GraphNode *n) { return n->n_runs > 0; } // it was computed at all
void graph_dot(const Graph *g, StrBuf *out);

#endif
