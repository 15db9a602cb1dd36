// The runtime's files: CSV, texts, plots. What is written is whole or not there; what is wrong is named.
#define _GNU_SOURCE
#include "runtime_host.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

// ---- files -----------------------------------------------------------------------------------------------------

static char folder[64];

static void make_folder(void) {
  strcpy(folder, "/tmp/dprt-test-XXXXXX");
  cr_assert_not_null(mkdtemp(folder));
}

static void drop_folder(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  cr_expect_eq(system(command), 0);
}

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void put_file(const char *name, const char *text, size_t n) {
  FILE *f = fopen(path_of(name), "wb");
  cr_assert_not_null(f);
  fwrite(text, 1, n, f);
  fclose(f);
}

static int files_in_folder(void) {
  char command[120];
  snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
  FILE *p = popen(command, "r");
  int n = -1;
  cr_assert_eq(fscanf(p, "%d", &n), 1);
  pclose(p);
  return n;
}

static int32_t read_csv(dprt_ctx *ctx, const char *text, dprt_slot out[3]) {
  put_file("t.csv", text, strlen(text));
  dprt_slot in[1] = {{.str = path_of("t.csv")}};
  return dprt_read_csv(ctx, in, out);
}

static void expect_table(dprt_ctx *ctx, const char *text, int64_t rows, int64_t cols, const double *cells) {
  dprt_slot out[3] = {{.i64 = -1}, {.i64 = -1}, {.i64 = -1}};
  int32_t status = read_csv(ctx, text, out);
  cr_expect_eq(status, DPRT_OK, "%s", dprt_error_text(ctx));
  dprt_clear_error(ctx);
  if (status) return;
  cr_expect(out[1].i64 == rows && out[2].i64 == cols, "[%lld, %lld] from %s", (long long)out[1].i64,
            (long long)out[2].i64, text);
  if (out[1].i64 == rows && out[2].i64 == cols)
    for (int64_t i = 0; i < rows * cols; i++) {
      double got = ((double *)out[0].data)[i];
      cr_expect(got == cells[i] || (isnan(got) && isnan(cells[i])), "cell %lld: %.17g, not %.17g",
                (long long)i, got, cells[i]);
    }
  dprt_free(ctx, out[0].data);
}

static void expect_bad_csv(dprt_ctx *ctx, const char *text, const char *message) {
  dprt_slot out[3];
  char whole[300];
  cr_expect_eq(read_csv(ctx, text, out), DPRT_DATA, "%s", text);
  snprintf(whole, sizeof whole, "%s%s", path_of("t.csv"), message);
  expect_error(ctx, DPRT_DATA, whole);
}

TestSuite(files, .init = make_folder, .fini = drop_folder);

Test(files, csv_as_programs_write_it) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  const double six[] = {1, 2, 3, 4, 5, 6};
  expect_table(ctx, "1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "1,2,3\n4,5,6", 2, 3, six);
  expect_table(ctx, "a,b,c\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx,
               "\xEF\xBB\xBF"
               "a,b,c\r\n1,2,3\r\n\r\n4,5,6\r\n\r\n",
               2, 3, six);
  expect_table(ctx, "a,b,c\r1,2,3\r4,5,6\r", 2, 3, six);
  expect_table(ctx,
               "# made by hand\n\n  \nx,\"y, or so\",\"z\"\"\n2\"\n 1 , 2,\t3\n# half way\n\"4\",+5,6.0\n", 2,
               3, six);
  expect_table(ctx, "a;b;c\n1;2;3\n4;5;6\n", 2, 3, six);
  expect_table(ctx, "a\tb\tc\n1\t2\t3\n4\t5\t6\n", 2, 3, six);
  expect_table(ctx, "x\n1\n2\n3\n4\n5\n6\n", 6, 1, six);
  expect_table(ctx, "year,2020,2021\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "1st,2nd,3rd\n1,2,3\n4,5,6\n", 2, 3, six);
  expect_table(ctx, "a,b,c\n", 0, 3, NULL);
  const double special[] = {NAN, INFINITY, -INFINITY, 1e-3, 0.5, 5.0};
  expect_table(ctx, "nan,inf,-Infinity\n1e-3,.5,5.\n", 2, 3, special);
  end_ctx(ctx, &h);
}

Test(files, csv_mistakes_are_named) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  expect_bad_csv(ctx, "", ": the file holds no data");
  expect_bad_csv(ctx, "# only\n\n", ": the file holds no data");
  expect_bad_csv(ctx, "a,b\n1,2\n3,abc\n", ", line 3, column 2: \"abc\" is not a number");
  expect_bad_csv(ctx, "1,2\n3,\n", ", line 2, column 2: the cell is empty");
  expect_bad_csv(ctx, "1,2\n,3\n", ", line 2, column 1: the cell is empty");
  expect_bad_csv(ctx, "1,,2\n", ", line 1, column 2: the cell is empty");
  expect_bad_csv(ctx, "1,2\n3\n", ", line 2, column 2: the cell is missing; line 1 has 2");
  expect_bad_csv(ctx, "a,b\n\n1,2,3\n", ", line 3, column 3: one cell too many; line 1 has 2");
  expect_bad_csv(ctx, "1,2\n3,4,5,6\n", ", line 2, column 3: one cell too many; line 1 has 2");
  expect_bad_csv(ctx, "1.0,2.x,3\n", ", line 1, column 2: \"2.x\" is not a number");
  expect_bad_csv(ctx, "1,2\n0x10,4\n", ", line 2, column 1: \"0x10\" is not a number");
  expect_bad_csv(ctx, "1,2\n1e,4\n", ", line 2, column 1: \"1e\" is not a number");
  expect_bad_csv(ctx, "1,2\n\"3\"x,4\n", ", line 2, column 1: \"3\"x\" is not a number");
  expect_bad_csv(ctx, "1,2\n\"3,4\n", ", line 2, column 2: the cell is missing; line 1 has 2");
  expect_bad_csv(ctx, "1\n1 2\n", ", line 2, column 1: \"1 2\" is not a number");
  expect_bad_csv(ctx, "1\n-\n", ", line 2, column 1: \"-\" is not a number");
  expect_bad_csv(ctx, "x\n\"q\nq\"\n", ", line 2, column 1: \"q\nq\" is not a number");
  expect_bad_csv(ctx, "1\nabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n",
                 ", line 2, column 1: \"abcdefghijklmnopqrstuvwxyzabcdefghijklmn...\" is not a number");
  dprt_slot out[3], in[1] = {{.str = "/nonexistent/x.csv"}};
  expect_fail(dprt_read_csv(ctx, in, out), ctx, DPRT_DATA,
              "cannot read \"/nonexistent/x.csv\": No such file or directory");
  in[0].str = "/tmp";
  expect_fail(dprt_read_csv(ctx, in, out), ctx, DPRT_DATA, "cannot read \"/tmp\": Is a directory");
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(files, csv_of_any_bytes_does_no_harm) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  static const char alphabet[] = "0123456789.,,,;\t\"\"\n\n\r-+e#x ";
  for (int64_t round = 0; round < 3000; round++) {
    char text[64];
    int64_t n = dprt_rng_below(round, 0, 64);
    for (int64_t i = 0; i < n; i++)
      text[i] = alphabet[dprt_rng_below(round, i + 1, sizeof alphabet)]; // NUL included
    put_file("t.csv", text, (size_t)n);
    dprt_slot in[1] = {{.str = path_of("t.csv")}}, out[3];
    if (dprt_read_csv(ctx, in, out) == DPRT_OK) dprt_free(ctx, out[0].data);
    dprt_clear_error(ctx);
    cr_assert_eq(dprt_live_bytes(ctx), 0);
  }
  end_ctx(ctx, &h);
}

Test(files, csv_round_trip_is_exact) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 5000, M = 4 };
  double *table = dprt_alloc(ctx, 8, N, M, 1, 1);
  for (int64_t i = 0; i < N * M; i++) {
    double scale = pow(10, (double)dprt_rng_below(2, 2 * i, 40) - 20);
    table[i] = i % 3 == 0 ? round(dprt_rng_normal(2, 2 * i + 1) * 1000) / 1000
                          : dprt_rng_normal(2, 2 * i + 1) * scale;
  }
  table[5] = INFINITY;
  table[6] = -INFINITY;
  dprt_slot in[5] = {{.str = path_of("r.csv")}, {.str = "a,b,c,d"}, {.data = table}, {.i64 = N}, {.i64 = M}},
            out[3];
  cr_assert_eq(dprt_write_csv(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  cr_assert_eq(dprt_read_csv(ctx, in, out), DPRT_OK, "%s", dprt_error_text(ctx));
  cr_expect(out[1].i64 == N && out[2].i64 == M);
  cr_expect_arr_eq(out[0].data, table, N * M * sizeof(double));
  cr_expect_eq(files_in_folder(), 1, "no temporary file is left");
  dprt_free(ctx, table);
  dprt_free(ctx, out[0].data);
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

Test(files, writing_reports_what_it_cannot_do) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double cells[] = {1, 2};
  dprt_slot in[5] = {{.str = "/nonexistent/x.csv"}, {.str = ""}, {.data = cells}, {.i64 = 1}, {.i64 = 2}};
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_DATA,
              "cannot write \"/nonexistent/x.csv\": No such file or directory");
  in[1].str = "a,b,c";
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_ARGUMENT,
              "the header \"a,b,c\" names 3 columns, but the table has 2");
  in[1].str = "a\n,b";
  expect_fail(dprt_write_csv(ctx, in, NULL), ctx, DPRT_ARGUMENT, "the header of a CSV file must be one line");
  dprt_slot text[2] = {{.str = path_of("note.txt")}, {.str = "hello\n"}};
  cr_expect_eq(dprt_write_text(ctx, text, NULL), DPRT_OK);
  cr_expect_eq(dprt_write_text(ctx, text, NULL), DPRT_OK, "over an existing file");
  struct stat st;
  cr_expect(stat(path_of("note.txt"), &st) == 0 && st.st_size == 6);
  cr_expect_eq(files_in_folder(), 1);
  text[0].str = "/dev/full";
  expect_fail(dprt_write_text(ctx, text, NULL), ctx, DPRT_DATA,
              "cannot write \"/dev/full\": No space left on device");
  text[0].str = folder;
  expect_fail(dprt_write_text(ctx, text, NULL), ctx, DPRT_DATA,
              (snprintf(h.text, sizeof h.text, "cannot write \"%s\": Is a directory", folder), h.text));
  end_ctx(ctx, &h);
}

Test(files, the_clock_runs) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  dprt_slot a[1], b[1];
  dprt_clock(ctx, NULL, a);
  dprt_clock(ctx, NULL, b);
  cr_expect_geq(b[0].f64, a[0].f64);
  end_ctx(ctx, &h);
}

// ---- plots -----------------------------------------------------------------------------------------------------

// A file that holds one well-formed svg element without a number that is none. Returns its text, until the next call.
static const char *svg_text(const char *name) {
  static char text[1 << 20];
  FILE *f = fopen(path_of(name), "rb");
  cr_assert_not_null(f);
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = 0;
  fclose(f);
  cr_expect_eq(strncmp(text, "<svg ", 5), 0);
  cr_expect_eq(strncmp(text + n - 7, "</svg>\n", 7), 0);
  int depth = 0;
  for (const char *p = text; (p = strchr(p, '<')); p++) {
    const char *end = strchr(p, '>');
    cr_assert_not_null(end);
    cr_assert_null(memmem(p, (size_t)(end - p), "nan", 3));
    cr_assert_null(memmem(p, (size_t)(end - p), "inf", 3));
    if (p[1] == '/')
      depth--;
    else if (end[-1] != '/')
      depth++;
    cr_assert(depth >= 0);
  }
  cr_expect_eq(depth, 0);
  return text;
}

static int count_of(const char *text, const char *piece) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, piece)); p++) n++;
  return n;
}

Test(files, line_plots) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  double x[] = {0, 1, 2, 3}, y[] = {1, 10, 100, 1000, 5, NAN, 7, INFINITY};
  const char *path = path_of("p.svg");
  dprt_slot in[12] = {{.str = path},
                      {.str = "Loss <of> & all"},
                      {.str = "epoch"},
                      {.str = "loss"},
                      {.str = "train, test"},
                      {.data = x},
                      {.i64 = 4},
                      {.data = y},
                      {.i64 = 2},
                      {.i64 = 4},
                      {.b = false},
                      {.b = true}};
  cr_assert_eq(dprt_plot_lines(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  const char *text = svg_text("p.svg");
  cr_expect_not_null(strstr(text, ">Loss &lt;of&gt; &amp; all</text>"));
  cr_expect_not_null(strstr(text, ">train</text>"));
  cr_expect_not_null(strstr(text, ">test</text>"));
  cr_expect_not_null(strstr(text, ">100</text>"), "decades are labelled");
  cr_expect_eq(count_of(text, "<circle"), 2, "points between gaps are dots");
  cr_expect_eq(files_in_folder(), 1);
  in[4].str = "a,b,c";
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_ARGUMENT,
              "the names \"a,b,c\" are 3, but there are 2 rows in y");
  in[4].str = "";
  in[0].str = "/nonexistent/p.svg";
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_DATA,
              "cannot write \"/nonexistent/p.svg\": No such file or directory");
  in[9].i64 = 3;
  expect_fail(dprt_plot_lines(ctx, in, NULL), ctx, DPRT_SIZE,
              "sizes 4 and 3 do not fit in `plot_lines(x, y)`");
  cr_expect_eq(dprt_live_bytes(ctx), 0);
  end_ctx(ctx, &h);
}

static double strange(int64_t round, int64_t i) {
  static const double values[] = {NAN,   INFINITY, -INFINITY, 0,      -0.0, 1,         -1,
                                  1e308, -1e308,   5e-324,    1e-300, 1e17, 1e17 + 64, 3.5};
  return values[dprt_rng_below(round, i, sizeof values / sizeof *values)];
}

Test(files, plots_of_anything_are_files) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  for (int64_t round = 0; round < 400; round++) {
    double x[7], y[14], z[49], paths[20];
    for (int64_t i = 0; i < 7; i++) x[i] = strange(round, i);
    for (int64_t i = 0; i < 14; i++) y[i] = strange(round, 10 + i);
    for (int64_t i = 0; i < 49; i++) z[i] = strange(round, 30 + i);
    for (int64_t i = 0; i < 20; i++) paths[i] = strange(round, 80 + i);
    int64_t n = dprt_rng_below(round, 100, 8), m = dprt_rng_below(round, 101, 8);
    const double *ys[] = {y, y + 7};
    cr_assert_eq(
        dprt_svg_lines(ctx, path_of("a.svg"), NULL, "x", NULL, 2, NULL, n, x, ys, round & 1, round & 2),
        DPRT_OK);
    svg_text("a.svg");
    double gx[7], gy[7];
    for (int i = 0; i < 7; i++) {
      gx[i] = isfinite(x[i]) ? x[i] : i;
      gy[i] = isfinite(y[i]) ? y[i] : i;
    }
    cr_assert_eq(dprt_svg_contour(ctx, path_of("c.svg"), "c", n, gx, m, gy, z, 2, (const char *[]){"a", "b"},
                                  5, paths),
                 DPRT_OK);
    svg_text("c.svg");
  }
  end_ctx(ctx, &h);
}

Test(files, line_plots_stay_small) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 300000 };
  double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  for (int64_t i = 0; i < N; i++) {
    x[i] = (double)i;
    y[i] = dprt_rng_normal(1, i);
  }
  const double *ys[] = {y};
  cr_assert_eq(dprt_svg_lines(ctx, path_of("big.svg"), "t", "x", "y", 1, NULL, N, x, ys, false, false),
               DPRT_OK);
  cr_expect_lt(strlen(svg_text("big.svg")), 80000u);
  free(x);
  free(y);
  end_ctx(ctx, &h);
}

Test(files, contour_plots) {
  Host h;
  dprt_ctx *ctx = new_ctx(&h);
  enum { N = 41 };
  double xs[N], z[N * N], paths[2 * 3 * 2] = {-1, -1, -0.5, -0.4, 0, 0, 1, 1, 0.5, 0.6, 0.1, 0.1};
  for (int i = 0; i < N; i++) xs[i] = -1 + 2.0 * i / (N - 1);
  for (int j = 0; j < N; j++)
    for (int i = 0; i < N; i++) z[j * N + i] = xs[i] * xs[i] + xs[j] * xs[j];
  dprt_slot in[14] = {{.str = path_of("c.svg")},
                      {.str = "A bowl"},
                      {.str = "sgd,adam"},
                      {.data = xs},
                      {.i64 = N},
                      {.data = xs},
                      {.i64 = N},
                      {.data = z},
                      {.i64 = N},
                      {.i64 = N},
                      {.data = paths},
                      {.i64 = 2},
                      {.i64 = 3},
                      {.i64 = 2}};
  cr_assert_eq(dprt_plot_contour(ctx, in, NULL), DPRT_OK, "%s", dprt_error_text(ctx));
  const char *text = svg_text("c.svg");
  // A bowl's level inside the frame is one closed line: it ends where it starts.
  const char *d = strstr(strstr(text, "url(#frame)"), "d=\"M");
  cr_assert_not_null(d);
  char start[32] = "", line[100000] = "";
  cr_assert_eq(sscanf(d + 4, "%31[-0-9. ]", start), 1);
  cr_assert_eq(sscanf(d + 4, "%99999[^\"]", line), 1);
  cr_expect_eq(count_of(line, "M"), 0);
  cr_expect_str_eq(line + strlen(line) - strlen(start), start);
  cr_expect_eq(count_of(text, "<circle"), 2 + 2 * 3 + 2, "legend, dots and starts");
  in[2].str = "one";
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_ARGUMENT,
              "the names \"one\" are 1, but there are 2 paths");
  in[2].str = "";
  xs[3] = NAN;
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_ARGUMENT,
              "the grid of a contour plot must be finite");
  xs[3] = -0.85;
  in[11].i64 = in[12].i64 = 0;
  cr_expect_eq(dprt_plot_contour(ctx, in, NULL), DPRT_OK);
  in[0].str = "/nonexistent/c.svg";
  expect_fail(dprt_plot_contour(ctx, in, NULL), ctx, DPRT_DATA,
              "cannot write \"/nonexistent/c.svg\": No such file or directory");
  end_ctx(ctx, &h);
}
