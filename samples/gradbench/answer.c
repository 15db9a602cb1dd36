// Results as the output of a response, written as text at once: a Jacobian can have millions of elements.
#include "host.h"

#include <inttypes.h>
#include <math.h>

static void write_float(FILE *out, double x) {
  if (isnan(x))
    fputs("NaN", out);
  else if (isinf(x))
    fputs(x < 0 ? "-Infinity" : "Infinity", out);
  else
    fprintf(out, "%.17g", x);
}

static void write_element(FILE *out, const dp_value *v, int64_t i) {
  switch (v->kind) {
  case DP_BOOL: fputs(((const bool *)v->data)[i] ? "true" : "false", out); return;
  case DP_INT: fprintf(out, "%" PRId64, ((const int64_t *)v->data)[i]); return;
  case DP_F32: write_float(out, ((const float *)v->data)[i]); return;
  case DP_F64: write_float(out, ((const double *)v->data)[i]); return;
  }
}

static void write_scalar(FILE *out, const dp_value *v) {
  switch (v->kind) {
  case DP_BOOL: fputs(v->b ? "true" : "false", out); return;
  case DP_INT: fprintf(out, "%" PRId64, v->i); return;
  case DP_F32: write_float(out, v->f32); return;
  case DP_F64: write_float(out, v->f64); return;
  }
}

static int64_t elements(const dp_value *v) {
  int64_t n = 1;
  for (int k = 0; k < v->rank; k++) n *= v->sizes[k];
  return n;
}

// Dimension k of v, whose first element is `from`.
static void write_nested(FILE *out, const dp_value *v, int k, int64_t from) {
  if (k == v->rank) {
    write_element(out, v, from);
    return;
  }
  int64_t stride = 1;
  for (int j = k + 1; j < v->rank; j++) stride *= v->sizes[j];
  fputc('[', out);
  for (int64_t i = 0; i < v->sizes[k]; i++) {
    if (i) fputs(", ", out);
    write_nested(out, v, k + 1, from + i * stride);
  }
  fputc(']', out);
}

// The parts of a result are named ".mu".
static const char *key(const dp_leaf *leaf) { return leaf->path + (leaf->path[0] == '.'); }

static void write_value(FILE *out, const dp_value *v) {
  if (v->rank == 0)
    write_scalar(out, v);
  else
    write_nested(out, v, 0, 0);
}

static void write_all(FILE *out, const dp_leaf *leaves, const dp_value *results, int n) {
  if (n == 1 && leaves[0].path[0] == '\0') {
    write_value(out, &results[0]);
    return;
  }
  fputc('{', out);
  for (int k = 0; k < n; k++) {
    fprintf(out, "%s\"%s\": ", k ? ", " : "", key(&leaves[k]));
    write_value(out, &results[k]);
  }
  fputc('}', out);
}

static void write_flat(FILE *out, const dp_value *results, int n) {
  bool first = true;
  fputc('[', out);
  for (int k = 0; k < n; k++) {
    for (int64_t i = 0; i < elements(&results[k]); i++) {
      if (!first) fputs(", ", out);
      first = false;
      write_element(out, &results[k], i);
    }
  }
  fputc(']', out);
}

static void write_errors(FILE *out, const dp_value *reprojection, const dp_value *weight) {
  fputs("{\"reproj_error\": {\"elements\": [", out);
  write_element(out, reprojection, 0);
  fputs(", ", out);
  write_element(out, reprojection, 1);
  fprintf(out, "], \"repeated\": %" PRId64 "}, \"w_err\": {\"element\": ", reprojection->sizes[0]);
  write_element(out, weight, 0);
  fprintf(out, ", \"repeated\": %" PRId64 "}}", weight->sizes[0]);
}

static void write_sparse(FILE *out, const dp_leaf *leaves, const dp_value *results, int n) {
  enum { FIRST = 30 };
  for (int k = 0; k < n; k++) {
    fprintf(out, "%s\"%s\": [", k ? ", " : "{", key(&leaves[k]));
    int64_t last = elements(&results[k]) - 1;
    for (int64_t i = 0; i < FIRST && i < last; i++) {
      write_element(out, &results[k], i);
      fputs(", ", out);
    }
    write_element(out, &results[k], last);
    fputc(']', out);
  }
  fputc('}', out);
}

void answer_write(FILE *out, Writer writer, const dp_leaf *leaves, const dp_value *results, int n) {
  switch (writer) {
  case VALUE: write_all(out, leaves, results, n); return;
  case FLAT: write_flat(out, results, n); return;
  case ERRORS: write_errors(out, &results[0], &results[1]); return;
  case SPARSE: write_sparse(out, leaves, results, n); return;
  }
}
