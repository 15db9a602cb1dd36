// What the files of this folder share and nobody else needs.
#ifndef DP_IR_INTERNAL_H
#define DP_IR_INTERNAL_H

#include "ir/ir.h"

// ---- types.c: what the TYPE column means ---------------------------------------------------------------------

// The result of an operation as it follows from its operands.
typedef struct IrInfer {
  const IrFunc *func;
  IrOpKind kind;
  int64_t attr; // MATMUL: which operands are transposed
  const IrVal *args;
  int n;
  bool known; // out: type and dims below follow from the operands
  IrType type;
  IrVal dims[IR_MAX_RANK];
} IrInfer;

// Fills in the result and returns what is wrong with the operands, or NULL. Takes any operands, wild ones included.
const char *ir_infer(IrInfer *q);
const char *ir_elem_text(IrElem e);

// ---- source_table.c: tables in printed source -----------------------------------------------------------------------------

void ir_source_table(const IrFunc *f, const IrOp *op, StrBuf *out);

// ---- build.c ---------------------------------------------------------------------------------------------------

IrRegion *ir_region_new(IrFunc *f, IrRegion *outer, IrOp *owner);
IrVal ir_value_new(IrFunc *f, IrType type, const IrVal *dims, IrOp *def, IrRegion *region, int index);
IrVal ir_region_arg(IrFunc *f, IrRegion *r, IrType type, const IrVal *dims);
IrOp *ir_op_new(IrBuilder *b, IrOpKind k, const IrVal *args, int n, int n_regions);
const IrVal *ir_dims_copy(IrFunc *f, const IrVal *dims, int rank);

// ---- names.c: a table from interned names to numbers -----------------------------------------------------------

typedef struct NameMap {
  Arena *arena;
  Name *keys;
  uint32_t *vals;
  uint32_t cap, len; // cap is a power of two
} NameMap;

void name_map_init(NameMap *m, Arena *a);
uint32_t *name_map_find(const NameMap *m, Name key); // NULL if it is not there
void name_map_put(NameMap *m, Name key, uint32_t val);

// What a module remembers so that others find things quickly.
typedef struct IrIndex {
  NameMap at;       // build.c: where in the module each name is
  int known;        // of how many functions; 0: of none, to be made anew
  uint32_t *chains; // build.c: a hash table of n_chains entries, numbers of chains and 0 where it is empty
  uint32_t n_chains;
  uint32_t *marks; // walk.c: by value of a function, what was seen in the walk that has this number
  int n_marks;
  uint32_t walk;
} IrIndex;

// ---- print.c -----------------------------------------------------------------------------------------------------

// One operation as a line (the head only, where it holds regions), and one value, for messages. Both cope with
// malformed functions.
void ir_print_op(const IrFunc *f, const IrOp *op, StrBuf *out);
void ir_print_type(const IrFunc *f, IrType t, StrBuf *out); // without sizes: f64[_]

// ---- lex.c: the text form's tokens -----------------------------------------------------------------------------

typedef enum IrTokKind {
  IR_TOK_END,   // of the text
  IR_TOK_WORD,  // add, f64, yield
  IR_TOK_VALUE, // %x
  IR_TOK_FUNC,  // @f, @"any text"
  IR_TOK_NUM,   // 12, -1.5e-7, -inf
  IR_TOK_STR,   // "text"
  IR_TOK_ARROW, // ->
  IR_TOK_PUNCT, // one character
  IR_TOK_BAD,
} IrTokKind;

typedef struct IrTok {
  IrTokKind kind;
  char punct;
  uint32_t off, len;
  Name text; // of words, values, functions (without the mark), numbers; of strings: unescaped
} IrTok;

typedef struct IrLexer {
  Arena *arena;
  Interner *names;
  const char *text;
  uint32_t len, pos;
} IrLexer;

IrTok ir_lex(IrLexer *x);

#endif
