// IR as dp source: what the files of the printer share.
#ifndef DP_IR_SOURCE_H
#define DP_IR_SOURCE_H

#include "ir/internal.h"

typedef struct Writer {
  const IrModule *m;
  Name *functions; // by place in the module: what the function is called
  const IrFunc *f;
  Arena *arena;
  StrBuf *out;
  int indent;
  const char **text; // by value: its name or expression; NULL: not written yet
  int *prec;         // by value: how tightly the expression in `text` binds
  int *uses;
  bool *changes;   // by value: some operation uses it up, so it must be a `var`
  VEC(Name) taken; // names that nothing else may have
} Writer;

enum { // how tightly an expression binds
  PREC_OR = 1,
  PREC_AND,
  PREC_NOT,
  PREC_COMPARE,
  PREC_SUM,
  PREC_PRODUCT,
  PREC_NEG,
  PREC_POWER,
  PREC_ATOM
};

// ---- source_text.c: names, text, scalar expressions -----------------------------------------------------------------------

const char *src_fresh(Writer *w, const char *hint); // a name that is free
void src_line(Writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *src_text(Writer *w, IrVal v);
const char *src_operand(Writer *w, IrVal v, int at_least); // in parentheses if it binds less tightly
void src_set(Writer *w, IrVal v, const char *text, int prec);
const char *src_float(Writer *w, IrElem e, double v);
const char *src_type(Writer *w, IrVal v, bool result);
const char *src_list(Writer *w, const IrVal *vals, int n);
void src_constant(Writer *w, const IrOp *op);
bool src_expression(Writer *w,
                    const IrOp *op); // true if the operation is a scalar expression; its text is set

// ---- source.c ------------------------------------------------------------------------------------------------------------

bool src_is_implied(const IrFunc *f, int k); // a size that one of f's array parameters brings

// ---- source_extern.c: functions of C ---------------------------------------------------------------------------------------

const char *src_extern(Writer *w, Name symbol); // what it is called
const IrExtern *src_foreign(const IrFunc *f); // of a function with a rule that is nothing but one; else NULL
bool src_externs(Writer *w, const bool *shown); // prints the other ones' declarations; false: there are none

// ---- source_rule.c: the functions of the module, and rules -------------------------------------------------------------------

const bool *
src_open_module(Writer *w); // names all functions, prints what comes before them; by place: is it printed?
const char *src_function(const Writer *w, Name name);
void src_rules(Writer *w, const char *params); // of w->f, whose parameters are written as `params`

#endif
