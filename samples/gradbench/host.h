// dp-gradbench, a GradBench tool: what its files share.
//
//   host.c    the protocol: reads messages, compiles modules, times calls
//   input.c   a message's input to arguments
//   answer.c  results to a message's output
#ifndef DP_GRADBENCH_HOST_H
#define DP_GRADBENCH_HOST_H

#include <dp/dp.h>
#include <jansson.h>
#include <stdio.h>

// ---- input.c -----------------------------------------------------------------------------------------------------

typedef struct Arguments {
  dp_value *values; // one per parameter
  int n;
} Arguments;

// Finds each parameter's value in the input: that of `data.points` under "data" and then "points". Arrays are laid out as dp
// wants them, and no more is done. False: `why` (of at least 200 characters) says what is wrong with the input.
bool arguments_read(const char *module, const json_t *input, const dp_leaf *params, int n, Arguments *out,
                    char *why);
void arguments_free(Arguments *a);

// ---- answer.c ----------------------------------------------------------------------------------------------------

typedef enum Writer {
  VALUE,  // numbers and nested arrays as they are; several results by their names
  FLAT,   // all elements of all results in one array
  ERRORS, // bundle adjustment: the first error of each kind, and how many there are
  SPARSE, // bundle adjustment: the first elements and the last one of each array
} Writer;

void answer_write(FILE *out, Writer writer, const dp_leaf *leaves, const dp_value *results, int n);

#endif
