// What the files of the generator share: what is visible where operations are being emitted, and how values of each kind
// are chosen or made.
#ifndef DP_IR_RANDOM_GEN_H
#define DP_IR_RANDOM_GEN_H

#include "ir_random.h"

enum { MAX_SEEN = 2048 };

typedef struct Seen {
  IrVal v;
  IrVal below; // an index: 0 <= v < below; 0: nothing known
  bool size;   // an int from 1 to about 5
  bool large;  // a float that may be large
} Seen;

typedef struct Gen {
  IrRandomBytes *bytes;
  IrModule *m;
  IrFunc *f;
  Seen seen[MAX_SEEN];
  int n_seen, depth, statements;
} Gen;

// ---- choices
int gen_below(Gen *g, int n);   // 0 behind the end of the bytes
bool gen_one_in(Gen *g, int n); // false behind their end

// ---- what is visible
Seen *gen_see(Gen *g, IrVal v);

// A visible value that fits, most likely a young one; NULL: there is none.
typedef bool Fits(const Gen *g, const Seen *s, const void *with);
const Seen *gen_choose(Gen *g, Fits *fits, const void *with);
bool gen_fits_array(const Gen *g, const Seen *s, const void *with);
bool gen_fits_like(const Gen *g, const Seen *s, const void *with);
bool gen_same_size(const Gen *g, IrVal a, IrVal b);
bool gen_is_positive(const Gen *g, IrVal size);

// ---- values, visible or made
IrVal gen_const_int(IrBuilder *b, int64_t v);
IrVal gen_modulo(IrBuilder *b, IrVal x, IrVal by);
IrVal gen_pick_int(Gen *g, IrBuilder *b);
IrVal gen_int_expr(Gen *g, IrBuilder *b);
IrVal gen_size_value(Gen *g, IrBuilder *b); // from 1 to about 5
IrVal gen_bool_expr(Gen *g, IrBuilder *b);
IrVal gen_pick_float(Gen *g, IrBuilder *b, IrElem e);
IrVal gen_small_float(Gen *g, IrBuilder *b, IrElem e); // squashed if it may be large
IrVal gen_float_expr(Gen *g, IrBuilder *b, IrElem e);
IrVal gen_bounded_expr(Gen *g, IrBuilder *b, IrElem e); // a new value, squashed if it may be large
IrElem gen_some_elem(Gen *g);

// ---- arrays
IrVal gen_new_array(Gen *g, IrBuilder *b);
IrVal gen_pick_array(Gen *g, IrBuilder *b, int rank); // rank 0: any
IrVal gen_pick_growable(Gen *g, IrBuilder *b);
int gen_element_indices(Gen *g, IrBuilder *b, IrVal array, IrVal *idx); // 0: there is none at hand
IrVal gen_change_element(Gen *g, IrBuilder *b, IrVal a);                // a itself where no index is at hand
bool gen_product_operands(Gen *g, IrBuilder *b, IrVal *x, IrVal *y, int64_t *flags); // flags as they come
void gen_matrix_statement(Gen *g, IrBuilder *b);
void gen_growable_statement(Gen *g, IrBuilder *b);

#endif
