// The input of a message as arguments for dp. A parameter's path says where in the JSON it is and its type what must be
// there; only what two modules want in another layout, and bundle adjustment's repeated input, has code of its own.
#include "host.h"

#include <stdlib.h>
#include <string.h>

enum { WHY = 200 };

// ---- arrays ------------------------------------------------------------------------------------------------------

// The sizes of nested lists, which must be rectangular as far as their first elements say. Rank of the deepest.
static int nested_sizes(const json_t *j, int64_t sizes[DP_MAX_RANK]) {
  int rank = 0;
  while (json_is_array(j) && rank < DP_MAX_RANK) {
    sizes[rank++] = (int64_t)json_array_size(j);
    j = json_array_get(j, 0);
  }
  return rank;
}

static int64_t elements(const dp_value *v) {
  int64_t n = 1;
  for (int k = 0; k < v->rank; k++) n *= v->sizes[k];
  return n;
}

static size_t element_size(dp_kind kind) {
  switch (kind) {
  case DP_BOOL: return sizeof(bool);
  case DP_INT: return sizeof(int64_t);
  case DP_F32: return sizeof(float);
  case DP_F64: return sizeof(double);
  }
  return 0;
}

static bool array_new(dp_value *v, dp_kind kind, int rank, const int64_t *sizes) {
  *v = (dp_value){.kind = kind, .rank = rank};
  memcpy(v->sizes, sizes, sizeof *sizes * (size_t)rank);
  v->data = calloc((size_t)elements(v) + 1, element_size(kind));
  return v->data != NULL;
}

static bool read_scalar(const json_t *j, dp_kind kind, void *to) {
  if (kind == DP_BOOL) {
    *(bool *)to = json_is_true(j);
    return json_is_boolean(j);
  }
  if (kind == DP_INT) {
    *(int64_t *)to = json_integer_value(j);
    return json_is_integer(j);
  }
  if (kind == DP_F32) *(float *)to = (float)json_number_value(j);
  if (kind == DP_F64) *(double *)to = json_number_value(j);
  return json_is_number(j);
}

// Fills v from dimension k on; `at` counts the elements that are there.
static bool fill(const json_t *j, const dp_value *v, int k, int64_t *at) {
  if (k == v->rank) return read_scalar(j, v->kind, (char *)v->data + (size_t)(*at)++ * element_size(v->kind));
  if (!json_is_array(j) || (int64_t)json_array_size(j) != v->sizes[k]) return false;
  for (size_t i = 0; i < json_array_size(j); i++)
    if (!fill(json_array_get(j, i), v, k + 1, at)) return false;
  return true;
}

// An array as the JSON has it, of whatever rank that is.
static bool read_array(const json_t *j, dp_kind kind, dp_value *v) {
  int64_t sizes[DP_MAX_RANK], at = 0;
  int rank = nested_sizes(j, sizes);
  return array_new(v, kind, rank, sizes) && fill(j, v, 0, &at);
}

static void reshape(dp_value *v, int rank, const int64_t *sizes) {
  v->rank = rank;
  memcpy(v->sizes, sizes, sizeof *sizes * (size_t)rank);
}

// ---- bundle adjustment -------------------------------------------------------------------------------------------
// The input has one camera, point, weight and feature, to be repeated n, m, p and p times.

static int64_t count_of(const json_t *input, const char *key) {
  return json_integer_value(json_object_get(input, key));
}

static bool repeated(const json_t *one, int64_t times, dp_value *v) {
  int64_t width = json_is_array(one) ? (int64_t)json_array_size(one) : 1;
  if (!array_new(v, DP_F64, json_is_array(one) ? 2 : 1, (int64_t[]){times, width})) return false;
  double *to = v->data;
  for (int64_t i = 0; i < times; i++)
    for (int64_t k = 0; k < width; k++)
      to[i * width + k] = json_number_value(json_is_array(one) ? json_array_get(one, (size_t)k) : one);
  return true;
}

static bool read_ba(const json_t *input, const char *path, dp_value *v) {
  int64_t n = count_of(input, "n"), m = count_of(input, "m"), p = count_of(input, "p");
  if (n <= 0 || m <= 0 || p <= 0) return false;
  if (strcmp(path, "cams") == 0) return repeated(json_object_get(input, "cam"), n, v);
  if (strcmp(path, "x") == 0) return repeated(json_object_get(input, "x"), m, v);
  if (strcmp(path, "w") == 0) return repeated(json_object_get(input, "w"), p, v);
  if (strcmp(path, "feats") == 0) return repeated(json_object_get(input, "feat"), p, v);
  if (!array_new(v, DP_INT, 2, (int64_t[]){p, 2})) return false;
  int64_t *obs = v->data;
  for (int64_t i = 0; i < p; i++) {
    obs[2 * i] = i % n;
    obs[2 * i + 1] = i % m;
  }
  return true;
}

// ---- layouts -----------------------------------------------------------------------------------------------------

static const json_t *at_path(const json_t *j, const char *path) {
  if (!json_is_object(j)) return j; // the input is the one argument
  while (j && *path) {
    size_t n = strcspn(path, ".");
    j = json_object_getn(j, path, n);
    path += n + (path[n] == '.');
  }
  return j;
}

// det: the matrix is given as one list.
static bool read_det(const json_t *input, dp_value *v) {
  int64_t n = count_of(input, "ell");
  if (!read_array(json_object_get(input, "A"), DP_F64, v) || v->rank != 1 || v->sizes[0] != n * n)
    return false;
  reshape(v, 2, (int64_t[]){n, n});
  return true;
}

// lstm: rows 2 i and 2 i + 1 belong to layer i, and a row of parameters has four gates.
static void layers_of(dp_value *v, int want_rank) {
  int64_t l = v->sizes[0] / 2, width = v->sizes[1];
  if (want_rank == 4)
    reshape(v, 4, (int64_t[]){l, 2, 4, width / 4});
  else
    reshape(v, 3, (int64_t[]){l, 2, width});
}

static bool read_value(const char *module, const json_t *input, const dp_leaf *leaf, dp_value *v) {
  if (strcmp(module, "ba") == 0) return read_ba(input, leaf->path, v);
  if (strcmp(module, "det") == 0) return read_det(input, v);
  const json_t *j = at_path(input, leaf->path);
  if (!j) return false;
  if (leaf->rank == 0) {
    *v = (dp_value){.kind = leaf->kind};
    return read_scalar(j, leaf->kind, &v->b) || (leaf->kind == DP_F64 && json_is_integer(j));
  }
  if (!read_array(j, leaf->kind, v)) return false;
  if (strcmp(module, "lstm") == 0 && v->rank == 2 && v->sizes[0] % 2 == 0 && leaf->rank > 2)
    layers_of(v, leaf->rank);
  return true;
}

bool arguments_read(const char *module, const json_t *input, const dp_leaf *params, int n, Arguments *out,
                    char *why) {
  *out = (Arguments){calloc((size_t)n + 1, sizeof *out->values), n};
  for (int k = 0; out->values && k < n; k++) {
    dp_value *v = &out->values[k];
    if (!read_value(module, input, &params[k], v)) {
      snprintf(why, WHY, "the input has no `%s` that %s could take", params[k].path, module);
      return false;
    }
    if (v->rank != params[k].rank) {
      snprintf(why, WHY, "`%s` is of rank %d in the input, and rank %d is needed", params[k].path, v->rank,
               params[k].rank);
      return false;
    }
  }
  if (!out->values) snprintf(why, WHY, "there is no memory left for the input");
  return out->values != NULL;
}

void arguments_free(Arguments *a) {
  for (int k = 0; a->values && k < a->n; k++)
    if (a->values[k].rank) free(a->values[k].data);
  free(a->values);
  *a = (Arguments){0};
}
