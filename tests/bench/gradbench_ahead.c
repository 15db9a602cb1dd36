// What memory does a derivative take where the compiler is not along? A program on a library that `dp build --shared` made of
// samples/gradbench/lstm.dp (-DLSTM) or ode.dp: reads an input as GradBench gives it, calls objective and derivative once,
// and prints the most memory that it had, in kB, and a sum to look at.
#ifdef LSTM
#include "liblstm.h"
#else
#include "libode.h"
#endif
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Numbers {
  double *data;
  size_t n, room;
} Numbers;

static void add(Numbers *to, const json_t *from) {
  if (json_is_array(from)) {
    for (size_t i = 0; i < json_array_size(from); i++) add(to, json_array_get(from, i));
    return;
  }
  if (to->n == to->room) to->data = realloc(to->data, (to->room = 2 * to->room + 16) * sizeof *to->data);
  if (!to->data) exit(1);
  to->data[to->n++] = json_number_value(from);
}

static Numbers read_numbers(const json_t *input, const char *name) {
  Numbers all = {0};
  add(&all, json_object_get(input, name));
  return all;
}

static double sum(const double *v, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += v[i];
  return s;
}

#ifdef LSTM
static int run(dprt_ctx *ctx, const json_t *input, double *total) {
  Numbers main_params = read_numbers(input, "main_params"), extra = read_numbers(input, "extra_params"),
          state = read_numbers(input, "state"), sequence = read_numbers(input, "sequence");
  size_t b = extra.n / 3, l = state.n / (2 * b), c = sequence.n / b;
  double loss, *main_adjoint, *extra_adjoint;
  int failed = lstm_objective(ctx, l, b, c, main_params.data, extra.data, state.data, sequence.data, &loss) ||
               lstm_gradient(ctx, l, b, c, main_params.data, extra.data, state.data, sequence.data,
                             &main_adjoint, NULL, &extra_adjoint, NULL);
  if (!failed) *total = loss + sum(main_adjoint, main_params.n) + sum(extra_adjoint, extra.n);
  return failed;
}
#else
static int run(dprt_ctx *ctx, const json_t *input, double *total) {
  Numbers x = read_numbers(input, "x");
  int64_t s = json_integer_value(json_object_get(input, "s"));
  double *y, *adjoint;
  int failed = ode_primal(ctx, x.n, x.data, s, &y, NULL);
  if (failed) return failed;
  dprt_free(ctx, y);
  failed = ode_gradient(ctx, x.n, x.data, s, &adjoint, NULL);
  if (!failed) *total = sum(adjoint, x.n);
  return failed;
}
#endif

static long most_memory(void) {
  char line[256];
  long kb = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
  if (f) fclose(f);
  return kb;
}

int main(int argc, char **argv) {
  json_error_t error;
  json_t *input = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  double total;
  if (!input || !ctx || run(ctx, input, &total)) {
    fprintf(stderr, "%s\n", ctx && input ? dprt_error_text(ctx) : "no input");
    return 1;
  }
  printf("%ld %.17g\n", most_memory(), total);
}
