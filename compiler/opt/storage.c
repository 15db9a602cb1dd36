// Optimisation, after memory: where short-lived arrays live. In: a function in which every array's end is explicit. Out:
// an array that ends in the region it was made in, in the very memory it was made in, loses its FREE; so does one that is
// made in a branch and ends behind it:
//   on_stack   if its sizes are small constants, it lives in the function's frame;
//   kept       if it is made inside a loop, its block is kept from iteration to iteration and only ever exchanged for a
//              larger one; the function frees it at its end. So loops do not allocate.
#include "opt/opt.h"

enum { STACK_ELEMENTS = 64, STACK_BYTES = 16384 };

typedef struct Use {
  IrOp *op; // NULL: a yield
  IrRegion *at;
  int operand;
} Use;
typedef VEC(Use) Uses;

typedef struct Storage {
  IrFunc *f;
  Arena *arena;
  Uses *uses; // by value
  int64_t stack_bytes;
} Storage;

static void collect(Storage *s, IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_args; k++) vec_push(s->arena, &s->uses[op->args[k]], ((Use){op, r, k}));
    for (int k = 0; k < op->n_regions; k++) collect(s, op->regions[k]);
  }
  for (int k = 0; k < r->n_yields; k++) vec_push(s->arena, &s->uses[r->yields[k]], ((Use){NULL, r, k}));
}

// ---- following one block ----------------------------------------------------------------------------------------------

// Where the block that is `v` goes next, if operations only ever change it in place. FREE ends it; a yield hands it on.
typedef struct Next {
  IrOp *op;  // what takes it; NULL: a yield, or nothing
  IrVal v;   // the value it is afterwards; 0: gone
  bool lost; // it goes somewhere that we do not follow
} Next;

static bool takes(const Use *u) {
  const IrOp *op = u->op;
  if (op->kind == IR_FREE) return true;
  if (ir_op_info[op->kind].flags & IR_U) return u->operand == 0;
  return (op->kind == IR_FOR && u->operand >= 3) || op->kind == IR_WHILE;
}

static bool ends_as_yield(Storage *s, IrRegion *r, IrVal v, int k);

static Next follow(Storage *s, IrVal v, IrRegion *r) {
  Next n = {0};
  const Uses *all = &s->uses[v];
  for (int i = 0; i < all->len; i++) {
    const Use *u = &all->data[i];
    if (u->op && u->op->kind == IR_CALL) { // perhaps moved into it
      const IrFunc *callee = ir_func_find(s->f->module, u->op->attr.sym);
      if (!callee || callee->params[u->operand].moved) return (Next){.lost = true};
    }
    if (!u->op || !takes(u)) {
      if (!u->op && ir_inside(u->at, r)) n.lost |= true;
      continue;
    }
    if (u->at != r || n.op) return (Next){.lost = true};
    n.op = u->op;
    if (u->op->kind == IR_FREE) continue;
    if (u->op->kind == IR_FOR) {
      int k = u->operand - 3;
      if (!ends_as_yield(s, u->op->regions[0], u->op->regions[0]->args[1 + k], k))
        return (Next){.lost = true};
      n.v = ir_result(u->op, k);
    } else if (u->op->kind == IR_WHILE) {
      return (Next){.lost = true};
    } else {
      n.v = u->op->result;
    }
  }
  return n;
}

// Is the block that is v here the one that the region yields as its k-th? (An iteration leaves it where it came in; a
// branch hands out what it made.)
static bool ends_as_yield(Storage *s, IrRegion *r, IrVal v, int k) {
  for (;;) {
    if (v == r->yields[k]) {
      int yields = 0;
      for (int i = 0; i < s->uses[v].len; i++) {
        const Use *u = &s->uses[v].data[i];
        if (u->op ? takes(u) : u->at != r) return false;
        yields += !u->op;
      }
      return yields == 1;
    }
    Next n = follow(s, v, r);
    if (n.lost || !n.v) return false;
    v = n.v;
  }
}

// The FREE that ends the array in the region it was made in; NULL if it does not end there.
static IrOp *end_of(Storage *s, IrVal v, IrRegion *r) {
  for (;;) {
    Next n = follow(s, v, r);
    if (n.lost || !n.op) return NULL;
    if (n.op->kind == IR_FREE) return n.op;
    v = n.v;
  }
}

// ---- deciding ---------------------------------------------------------------------------------------------------------

static bool makes_block(const IrOp *op) {
  return op->kind == IR_FILL || op->kind == IR_BUILD || op->kind == IR_COPY || op->kind == IR_MATMUL;
}

static int64_t constant_bytes(const Storage *s, IrVal v) { // -1: not constant, or large
  int64_t n = 1, d;
  IrType t = ir_type(s->f, v);
  for (int k = 0; k < t.rank; k++) {
    if (!ir_is_const_int(s->f, ir_dims(s->f, v)[k], &d) || d < 0 || d > STACK_ELEMENTS) return -1;
    n *= d;
  }
  return n <= STACK_ELEMENTS ? n * ir_elem_bytes((IrElem)t.elem) : -1;
}

static bool in_loop(const IrRegion *r) {
  for (; r->owner; r = r->outer)
    if (r->owner->kind != IR_IF) return true;
  return false;
}

static void remove_op(IrRegion *r, const IrOp *op) {
  int at = 0;
  while (r->ops.data[at] != op) at++;
  for (; at + 1 < r->ops.len; at++) r->ops.data[at] = r->ops.data[at + 1];
  r->ops.len--;
}

typedef struct End {
  IrRegion *at;
  IrOp *op; // FREE
} End;

// Blocks that get their places together, and where they end.
typedef struct Group {
  VEC(IrOp *) makers;
  VEC(End) ends;
} Group;

static int64_t frame_bytes(const Storage *s, const IrOp *maker) { // -1: not for the frame
  int64_t bytes = 0;
  for (int k = 0; k < maker->n_results; k++) {
    int64_t b = constant_bytes(s, ir_result(maker, k));
    if (b < 0) return -1;
    bytes += b;
  }
  return bytes;
}

// Outside loops all of them have to fit into the frame.
static void assign(Storage *s, const IrRegion *r, const Group *g) {
  bool loop = in_loop(r);
  int64_t bytes = s->stack_bytes;
  for (int i = 0; i < g->makers.len && !loop; i++) {
    int64_t b = frame_bytes(s, g->makers.data[i]);
    bytes += b;
    if (b < 0 || bytes > STACK_BYTES) return;
  }
  for (int i = 0; i < g->makers.len; i++) {
    IrOp *maker = g->makers.data[i];
    int64_t b = frame_bytes(s, maker);
    maker->on_stack = b >= 0 && s->stack_bytes + b <= STACK_BYTES;
    maker->kept = !maker->on_stack;
    if (maker->on_stack) s->stack_bytes += b;
  }
  for (int i = 0; i < g->ends.len; i++) remove_op(g->ends.data[i].at, g->ends.data[i].op);
}

static bool add_end(Storage *s, Group *g, IrVal v, IrRegion *r) {
  IrOp *end = ir_type(s->f, v).grow ? NULL : end_of(s, v, r);
  if (end) vec_push(s->arena, &g->ends, ((End){r, end}));
  return end != NULL;
}

static void decide(Storage *s, IrRegion *r, IrOp *op) {
  Group g = {0};
  for (int k = 0; k < op->n_results; k++)
    if (!add_end(s, &g, ir_result(op, k), r)) return;
  vec_push(s->arena, &g.makers, op);
  assign(s, r, &g);
}

// ---- what branches make -----------------------------------------------------------------------------------------------

// What made the block that is v; NULL: not in this region.
static IrOp *maker_of(const Storage *s, IrVal v, const IrRegion *r) {
  for (;;) {
    const IrValue *val = ir_val(s->f, v);
    if (val->region != r || !val->def) return NULL;
    const IrOp *op = val->def;
    if (makes_block(op)) return (IrOp *)op;
    if (op->kind == IR_FOR)
      v = op->args[3 + val->index];
    else if (ir_op_info[op->kind].flags & IR_U)
      v = op->args[0];
    else
      return NULL;
  }
}

// Each result of a maker ends in the branch or is one of its yields.
static bool add_makers_in(Storage *s, Group *g, IrRegion *branch) {
  const IrOp *op = branch->owner;
  int first = g->makers.len, found = 0, handed_out = 0;
  for (int k = 0; k < op->n_results; k++) {
    if (!ir_type(s->f, ir_result(op, k)).rank) continue;
    IrOp *maker = maker_of(s, branch->yields[k], branch);
    bool known = false, here = false;
    for (int j = 0; maker && j < maker->n_results && !here; j++)
      here = ends_as_yield(s, branch, ir_result(maker, j), k);
    if (!here) return false;
    found++;
    for (int i = first; i < g->makers.len; i++) known |= g->makers.data[i] == maker;
    if (known) continue;
    vec_push(s->arena, &g->makers, maker);
    for (int j = 0; j < maker->n_results; j++) handed_out += !add_end(s, g, ir_result(maker, j), branch);
  }
  return found == handed_out;
}

static void decide_branches(Storage *s, IrRegion *r, IrOp *op) {
  Group g = {0};
  for (int k = 0; k < op->n_results; k++)
    if (ir_type(s->f, ir_result(op, k)).rank && !add_end(s, &g, ir_result(op, k), r)) return;
  if (g.ends.len && add_makers_in(s, &g, op->regions[0]) && add_makers_in(s, &g, op->regions[1]))
    assign(s, r, &g);
}

static void place(Storage *s, IrRegion *r) {
  for (int i = 0; i < r->ops.len; i++) {
    IrOp *op = r->ops.data[i];
    for (int k = 0; k < op->n_regions; k++) place(s, op->regions[k]);
    if (makes_block(op) && op->n_results) decide(s, r, op);
    if (op->kind == IR_IF) decide_branches(s, r, op);
  }
}

IrFunc *opt_storage(IrFunc *f) {
  if (!f->body) return f;
  Storage s = {.f = f, .arena = arena_new(0)};
  if (!s.arena) return f;
  s.uses = ARENA_ARRAY(s.arena, Uses, f->vals.len);
  collect(&s, f->body);
  place(&s, f->body);
  arena_free(s.arena);
  return f;
}
