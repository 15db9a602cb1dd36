// Runtime: what training leaves on disk. In: the losses of each epoch. Out: a CSV file and a plot, or DPRT_DATA with the
// path and the reason; a file appears under its name only when it is complete.
#include "internal.h"
#include "train.h"

#include <math.h>
#include <sys/stat.h>

static bool wanted(const char *path) { return path && *path; }

int32_t history_check_path(dprt_ctx *ctx, const char *path) {
  if (!wanted(path)) return DPRT_OK;
  struct stat st;
  // What is neither a plain file nor a folder would be changed by trying; such a path is tried when it is written.
  if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return DPRT_OK;
  OutFile f;
  outfile_open(&f, ctx, path);
  if (f.error) return outfile_commit(&f);
  outfile_abandon(&f);
  return DPRT_OK;
}

static void add_number(OutFile *f, double v) {
  char text[SHORTEST_BYTES];
  int len = dprt_shortest_f64(f->ctx, text, v);
  outfile_add(f, text, (size_t)len);
}

int32_t history_write_csv(dprt_ctx *ctx, const char *path, int64_t epochs, const double *loss,
                          const double *validation) {
  if (!wanted(path)) return DPRT_OK;
  OutFile f;
  outfile_open(&f, ctx, path);
  outfile_addf(&f, validation ? "epoch,loss,validation_loss\n" : "epoch,loss\n");
  for (int64_t i = 0; i < epochs; i++) {
    outfile_addf(&f, "%lld,", (long long)(i + 1));
    add_number(&f, loss[i]);
    if (validation) {
      outfile_addf(&f, ",");
      add_number(&f, validation[i]);
    }
    outfile_addf(&f, "\n");
  }
  return outfile_commit(&f);
}

static void find_span(int64_t n, const double *v, double *least, double *most) {
  for (int64_t i = 0; v && i < n; i++) {
    *least = fmin(*least, v[i]);
    *most = fmax(*most, v[i]);
  }
}

int32_t history_write_svg(dprt_ctx *ctx, const char *path, int64_t epochs, const double *loss,
                          const double *validation) {
  if (!wanted(path)) return DPRT_OK;
  static const char *const names[] = {"training loss", "validation loss"};
  const double *series[] = {loss, validation};
  double *xs = dprt_alloc(ctx, sizeof(double), epochs, 1, 1, 1);
  if (!xs) return DPRT_MEMORY;
  for (int64_t i = 0; i < epochs; i++) xs[i] = (double)(i + 1);
  double least = INFINITY, most = 0.0;
  find_span(epochs, loss, &least, &most);
  find_span(epochs, validation, &least, &most);
  bool log_axis = least > 0.0 && most > 20.0 * least; // a fall over orders of magnitude
  int32_t status = dprt_svg_lines(ctx, path, "Training", "epoch", "loss", validation ? 2 : 1, names, epochs,
                                  xs, series, false, log_axis);
  dprt_free(ctx, xs);
  return status;
}
