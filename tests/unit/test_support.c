// compiler/support: memory, names, floats that read back, places in files, diagnostics as text and JSON, files on disk.
#include "support/support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Arena *arena;

static void start(void) { arena = arena_new(0); }
static void stop(void) { arena_free(arena); }

TestSuite(arena, .init = start, .fini = stop);
TestSuite(strings, .init = start, .fini = stop);
TestSuite(source, .init = start, .fini = stop);
TestSuite(diag, .init = start, .fini = stop);
TestSuite(file, .init = start, .fini = stop);

// ---- arena ----------------------------------------------------------------------------------------------------

Test(arena, within_given_memory) {
  enum { BYTES = 4096 };
  unsigned char *memory = calloc(1, BYTES);
  Arena *a = arena_within(memory, BYTES);
  int n = 0;
  jmp_buf full;
  volatile int pieces = 0;
  if (!setjmp(full)) {
    arena_on_exhausted(a, &full);
    for (;; pieces++) {
      unsigned char *p = arena_alloc(a, 100);
      cr_assert(p >= memory && p + 100 <= memory + BYTES);
      for (int k = 0; k < 100; k++) n += p[k];
      memset(p, 7, 100);
    }
  }
  cr_expect(pieces >= 30 && pieces < BYTES / 100, "%d", pieces);
  cr_expect_eq(n, 0);
  arena_free(a);
  free(memory);
}

Test(region, code_and_constants) {
  Region r;
  cr_assert(region_map(&r, 100000, false));
  unsigned char *code = region_code(&r, 100, 16), *more = region_code(&r, 5000, 64);
  double *data = region_data(&r, sizeof *data, 8);
  cr_assert(code && more && data);
  cr_expect(code == r.start && more == code + 128, "side by side");
  cr_expect((unsigned char *)data + sizeof *data == r.start + r.size, "at the end");
  cr_expect_null(region_code(&r, 200000, 16));
  cr_expect_null(region_data(&r, r.size - 8192, 8), "what is left is less");
  *data = 1.5;
  cr_assert(region_seal(&r));
  cr_expect_eq(*data, 1.5);
  region_unmap(&r);
  cr_expect_null(r.start);
  region_unmap(&r);
  cr_expect_not(region_map(&r, SIZE_MAX, true));
}

Test(arena, blocks_are_zeroed_aligned_and_apart) {
  unsigned char *last = NULL;
  for (size_t n = 0; n < 3000; n += 7) {
    unsigned char *p = arena_alloc(arena, n);
    cr_assert_eq((uintptr_t)p % 16, 0);
    for (size_t i = 0; i < n; i++) cr_assert_eq(p[i], 0);
    memset(p, 0xAB, n);
    cr_assert_neq(p, last);
    last = p;
  }
  unsigned char *big = arena_alloc(arena, 10u << 20);
  cr_assert_eq(big[(10u << 20) - 1], 0);
  cr_assert_geq(arena_used(arena), 10u << 20);
}

Test(arena, a_vector_grows_in_place_at_the_end_and_moves_otherwise) {
  int *p = arena_alloc(arena, 16);
  p[3] = 42;
  int *q = arena_grow(arena, p, 16, 4096);
  cr_assert_eq(p, q);
  cr_assert_eq(q[1000], 0);
  arena_alloc(arena, 1);
  int *r = arena_grow(arena, q, 4096, 8192);
  cr_assert_neq(r, q);
  cr_assert_eq(r[3], 42);
  VEC(int) v = {0};
  for (int i = 0; i < 100000; i++) vec_push(arena, &v, i);
  for (int i = 0; i < 100000; i++) cr_assert_eq(v.data[i], i);
}

Test(arena, going_over_the_budget_unwinds_and_leaves_room_to_report) {
  Arena *a = arena_new(1 << 16);
  jmp_buf back;
  volatile int times = 0;
  if (setjmp(back) == 0) {
    arena_on_exhausted(a, &back);
    for (;;) {
      arena_alloc(a, 1024);
      times++;
    }
  }
  cr_assert_eq(times, 64);
  cr_assert_str_eq(arena_printf(a, "%d bytes", 65536), "65536 bytes");
  arena_free(a);
}

Test(arena, an_absurd_size_unwinds) {
  jmp_buf back;
  if (setjmp(back) == 0) {
    arena_on_exhausted(arena, &back);
    arena_alloc(arena, SIZE_MAX - 3);
    cr_assert_fail("such a size cannot be had");
  }
  arena_free(NULL);
}

// ---- strings --------------------------------------------------------------------------------------------------

Test(strings, equal_text_is_one_pointer) {
  Interner *in = interner_new(arena);
  static Name names[5000];
  for (int i = 0; i < 5000; i++) names[i] = intern_cstr(in, arena_printf(arena, "name%d", i));
  for (int i = 0; i < 5000; i++) cr_assert_eq(names[i], intern_cstr(in, arena_printf(arena, "name%d", i)));
  cr_assert_eq(intern(in, "abcdef", 3), intern_cstr(in, "abc"));
  cr_assert_neq(intern_cstr(in, "abc"), intern_cstr(in, "abd"));
  cr_assert_eq(intern(in, "", 0), intern_cstr(in, ""));
}

Test(strings, distance_counts_edits_and_swaps_up_to_the_limit) {
  cr_assert_eq(edit_distance("gradient", "gradient", 3), 0);
  cr_assert_eq(edit_distance("graident", "gradient", 3), 1);
  cr_assert_eq(edit_distance("kitten", "sitting", 5), 3);
  cr_assert_eq(edit_distance("kitten", "sitting", 2), 3);
  cr_assert_eq(edit_distance("", "abc", 9), 3);
  cr_assert_eq(edit_distance("abc", "", 2), 3);
  char *a = arena_alloc(arena, 5001), *b = arena_alloc(arena, 5001);
  memset(a, 'a', 5000), memset(b, 'b', 5000);
  cr_assert_eq(edit_distance(a, b, 4), 5);
}

Test(strings, suggestions_are_near_or_absent) {
  const Name names[] = {"standardize", "value_and_grad", "sum", "exp", "x"};
  cr_assert_str_eq(nearest_name("standardise", names, 5), "standardize");
  cr_assert_str_eq(nearest_name("Exp", names, 5), "exp");
  cr_assert_str_eq(nearest_name("smu", names, 5), "sum");
  cr_assert_null(nearest_name("frobnicate", names, 5));
  cr_assert_null(nearest_name("y", names, 5));
  cr_assert_null(nearest_name("", names, 0));
}

Test(strings, text_grows) {
  StrBuf sb;
  sb_init(&sb, arena);
  for (int i = 0; i < 2000; i++) sb_addf(&sb, "%d,", i % 10), sb_addc(&sb, ';');
  cr_assert_eq(sb.len, 6000);
  cr_assert_eq(strlen(sb.data), 6000);
}

static const char *f64_text(double v) {
  StrBuf sb;
  sb_init(&sb, arena);
  sb_add_f64(&sb, v);
  return sb.data;
}

static const char *f32_text(float v) {
  StrBuf sb;
  sb_init(&sb, arena);
  sb_add_f32(&sb, v);
  return sb.data;
}

Test(strings, floats_are_short_and_lex_as_floats) {
  cr_assert_str_eq(f64_text(1), "1.0");
  cr_assert_str_eq(f64_text(-0.0), "-0.0");
  cr_assert_str_eq(f64_text(0.1), "0.1");
  cr_assert_str_eq(f64_text(1e-7), "1.0e-7");
  cr_assert_str_eq(f64_text(-12.5), "-12.5");
  cr_assert_str_eq(f64_text(1e15), "1000000000000000.0");
  cr_assert_str_eq(f64_text(1e22), "1.0e22");
  cr_assert_str_eq(f64_text(0.00001234), "0.00001234");
  cr_assert_str_eq(f64_text(0.1 + 0.2), "0.30000000000000004");
  cr_assert_str_eq(f64_text(5e-324), "5.0e-324");
  cr_assert_str_eq(f64_text(1.7976931348623157e308), "1.7976931348623157e308");
  cr_assert_str_eq(f64_text(INFINITY), "inf");
  cr_assert_str_eq(f64_text(-INFINITY), "-inf");
  cr_assert_str_eq(f64_text(-NAN), "nan");
  cr_assert_str_eq(f32_text(0.1f), "0.1");
  cr_assert_str_eq(f32_text(16777216.0f), "16777216.0");
  cr_assert_str_eq(f32_text(1e-45f), "1.0e-45");
}

// dp's float literal: digits '.' digits, then perhaps an exponent.
static bool lexes(const char *s) {
  s += *s == '-';
  size_t whole = strspn(s, "0123456789");
  if (whole == 0 || s[whole] != '.') return false;
  s += whole + 1;
  size_t fraction = strspn(s, "0123456789");
  if (fraction == 0) return false;
  s += fraction;
  if (*s == 0) return true;
  if (*s++ != 'e') return false;
  s += *s == '-' || *s == '+';
  return *s && s[strspn(s, "0123456789")] == 0;
}

Test(strings, floats_read_back_bit_for_bit) {
  uint64_t state = 1;
  for (int i = 0; i < 20000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double v;
    float f;
    uint32_t low = (uint32_t)(state >> 32);
    memcpy(&v, &state, sizeof v);
    memcpy(&f, &low, sizeof f);
    if (isfinite(v)) cr_assert(lexes(f64_text(v)) && strtod(f64_text(v), NULL) == v, "%a", v);
    if (isfinite(f)) cr_assert(lexes(f32_text(f)) && strtof(f32_text(f), NULL) == f, "%a", (double)f);
  }
}

// ---- source ---------------------------------------------------------------------------------------------------

static Sources sources;

static int add_source(const char *path, const char *text) {
  if (!sources.arena) sources_init(&sources, arena);
  return sources_add(&sources, path, text, strlen(text));
}

static Loc place(int file, uint32_t off, uint32_t len) {
  return (Loc){(unsigned)file & 0xFFF, len & 0xFFFFF, off};
}

static Loc find(int file, const char *what) {
  const char *text = sources.files.data[file - 1]->text;
  return place(file, (uint32_t)(strstr(text, what) - text), (uint32_t)strlen(what));
}

static void expect_at(Loc loc, int want_line, int want_col) {
  int line, col;
  sources_line_col(&sources, loc, &line, &col);
  cr_expect(line == want_line && col == want_col, "%d:%d instead of %d:%d", line, col, want_line, want_col);
}

Test(source, lines_and_columns_count_characters) {
  int f = add_source("a.dp", "one\r\ncafé = 1\n\nend");
  expect_at(place(f, 0, 1), 1, 1);
  expect_at(place(f, 4, 1), 1, 5);
  expect_at(find(f, "= 1"), 2, 6);
  expect_at(find(f, "end"), 4, 1);
  expect_at(place(f, 10000, 1), 4, 4);
  expect_at(LOC_NONE, 0, 0);
  expect_at(place(77, 0, 0), 0, 0);
  int empty = add_source("empty.dp", "");
  expect_at(place(empty, 0, 0), 1, 1);
  cr_assert_null(sources_get(&sources, LOC_NONE));
}

Test(source, joining_spans_covers_both) {
  Loc j = loc_join(place(1, 10, 5), place(1, 30, 3));
  cr_assert(j.off == 10 && j.len == 23);
  j = loc_join(place(1, 10, 50), place(1, 12, 3));
  cr_assert(j.off == 10 && j.len == 50);
  cr_assert_eq(loc_join(LOC_NONE, place(1, 3, 2)).off, 3);
  cr_assert_eq(loc_join(place(1, 3, 2), place(2, 9, 9)).len, 2);
  cr_assert_eq(loc_join(place(1, 0, 1), place(1, 1u << 30, 1)).len, (1 << 20) - 1);
}

Test(source, the_first_bad_byte_is_found) {
  cr_assert_eq(utf8_first_bad("plain, café, 名前, 🙂", strlen("plain, café, 名前, 🙂")), -1);
  const char *bad[] = {"ab\x80",     "ab\xC0\x80", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80",
                       "ab\xE5\x90", "ab\xFF"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    cr_expect_eq(utf8_first_bad(bad[i], strlen(bad[i])), 2);
}

// ---- diagnostics ----------------------------------------------------------------------------------------------

static Diags diags;

static int start_diags(const char *text) {
  int f = add_source("a.dp", text);
  diags_init(&diags, arena, &sources);
  return f;
}

static const char *rendered(void) {
  StrBuf sb;
  sb_init(&sb, arena);
  diags_render(&diags, &sb, false);
  return sb.data;
}

static void expect_rendered(const char *want) {
  const char *got = rendered();
  cr_expect_str_eq(got, want, "got:\n%s\nwanted:\n%s", got, want);
}

Test(diag, one_place_with_label_note_and_help) {
  int f = start_diags("fn f() {\n\tlet y = 7 / 2\n}\n");
  Diag *g = diag_add(&diags, DIAG_SYNTAX, find(f, "7 / 2"), "`/` of two ints");
  diag_label(&diags, g, "both are `%s`", "int");
  diag_note(&diags, g, "it would round\nor not");
  diag_help(&diags, g, "use `div`");
  g->replace = "div(7, 2)";
  expect_rendered("error[E0103]: `/` of two ints\n"
                  " --> a.dp:2:10\n"
                  "  |\n"
                  "2 |     let y = 7 / 2\n"
                  "  |             ^^^^^ both are `int`\n"
                  "  |\n"
                  "  = note: it would round\n"
                  "          or not\n"
                  "  = help: use `div`\n"
                  "  |\n"
                  "2 |     let y = div(7, 2)\n"
                  "  |             ~~~~~~~~~\n\n");
}

Test(diag, several_labels_on_a_line_hang_below) {
  int f = start_diags("let y = foo(名前, bb)");
  Diag *g = diag_add(&diags, DIAG_SYNTAX, find(f, "bb"), "two shapes");
  diag_label(&diags, g, "this is `[3]f64`");
  diag_span(&diags, g, find(f, "foo"), "called here");
  diag_span(&diags, g, find(f, "名前"), "this is `[2]f64`");
  expect_rendered("error[E0103]: two shapes\n"
                  " --> a.dp:1:17\n"
                  "  |\n"
                  "1 | let y = foo(名前, bb)\n"
                  "  |         --- ----  ^^ this is `[3]f64`\n"
                  "  |         |   |\n"
                  "  |         |   this is `[2]f64`\n"
                  "  |         called here\n\n");
}

Test(diag, lines_far_apart_and_other_files) {
  int f = start_diags("fn f(x: f64) {\n\n\n\n    f(true)\n}");
  int other = add_source("b.dp", "import a");
  Diag *g = diag_add(&diags, DIAG_SYNTAX, find(f, "true"), "not a float");
  diag_span(&diags, g, find(f, "x: f64"), "wanted by this");
  diag_span(&diags, g, find(other, "a"), "imported here");
  expect_rendered("error[E0103]: not a float\n"
                  " --> a.dp:5:7\n"
                  "  |\n"
                  "1 | fn f(x: f64) {\n"
                  "  |      ------ wanted by this\n"
                  "...\n"
                  "5 |     f(true)\n"
                  "  |       ^^^^\n"
                  "  |\n"
                  " ::: b.dp:1:8\n"
                  "  |\n"
                  "1 | import a\n"
                  "  |        - imported here\n\n");
}

Test(diag, a_span_over_lines_marks_its_ends) {
  int f = start_diags("while x {\r\n  a\r\n  b\r\n  c\r\n}");
  Diag *g = diag_add(&diags, DIAG_SYNTAX, place(f, 0, 27), "never ends");
  diag_label(&diags, g, "this loop");
  expect_rendered("error[E0103]: never ends\n"
                  " --> a.dp:1:1\n"
                  "  |\n"
                  "1 | while x {\n"
                  "  | ^^^^^^^^^\n"
                  "...\n"
                  "5 | }\n"
                  "  | ^ this loop\n\n");
}

Test(diag, nowhere_and_the_end_of_the_file) {
  int f = start_diags("fn f(");
  diag_add(&diags, DIAG_FILE, LOC_NONE, "cannot read 'x'");
  diag_add(&diags, DIAG_SYNTAX, place(f, 5, 0), "expected a name");
  expect_rendered("error[E0100]: cannot read 'x'\n\n"
                  "error[E0103]: expected a name\n"
                  " --> a.dp:1:6\n"
                  "  |\n"
                  "1 | fn f(\n"
                  "  |      ^\n\n");
}

Test(diag, long_lines_are_cut_around_the_mark) {
  char *text = arena_alloc(arena, 4001);
  memset(text, 'a', 4000);
  memcpy(text + 2000, " here ", 6);
  int f = start_diags(text);
  diag_add(&diags, DIAG_SYNTAX, find(f, "here"), "far out");
  const char *line = strstr(rendered(), "1 | "), *marks = strstr(line, "  | ");
  cr_assert_eq(strncmp(line + 4, "...aaa", 6), 0);
  cr_assert_lt(strcspn(line, "\n"), 130);
  cr_assert_eq(strstr(line, "here") - line, strstr(marks, "^^^^") - marks);
}

Test(diag, control_characters_do_not_reach_the_terminal) {
  int f = start_diags("let \x1b[31m = \xff 1");
  Diag *g = diag_add(&diags, DIAG_LEX, place(f, 4, 1), "stray '\x1b'");
  diag_label(&diags, g, "this \x07");
  const char *got = rendered();
  cr_assert_null(strchr(got, 0x1b));
  cr_assert_null(strchr(got, 0x07));
  cr_assert_eq(utf8_first_bad(got, strlen(got)), -1);
}

Test(diag, one_mistake_is_told_once_and_floods_are_counted) {
  int f = start_diags("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  diag_add(&diags, DIAG_SYNTAX, place(f, 0, 1), "first");
  Diag *again = diag_add(&diags, DIAG_SYNTAX, place(f, 0, 1), "second");
  cr_assert_not_null(again);
  diag_note(&diags, again, "goes nowhere");
  cr_assert_eq(diags.n_errors, 1);
  for (uint32_t i = 1; i < 60; i++) diag_add(&diags, DIAG_SYNTAX, place(f, i, 1), "more");
  cr_assert_eq(diags.n_errors, 60);
  cr_assert_eq(diags.list.len, 50);
  cr_assert_not_null(strstr(rendered(), "and 10 more errors not shown\n"));
}

Test(diag, json_has_every_part) {
  int f = start_diags("let café = x\nlet y = 1");
  Diag *g = diag_add(&diags, DIAG_SYNTAX, find(f, "x"), "bad \xff byte");
  diag_label(&diags, g, "unknown");
  diag_span(&diags, g, find(f, "y"), "near");
  diag_note(&diags, g, "why");
  diag_help(&diags, g, "what");
  g->replace = "y";
  diag_add(&diags, DIAG_FILE, LOC_NONE, "nowhere");
  StrBuf sb;
  sb_init(&sb, arena);
  diags_render_json(&diags, &sb);
  json_error_t err;
  json_t *list = json_loads(sb.data, 0, &err), *file, *help;
  cr_assert_not_null(list, "%s", err.text);
  cr_assert_eq(json_array_size(list), 2);
  const char *code, *severity, *message, *label, *where, *note, *replace;
  int line, col, end_line, end_col, other;
  int bad =
      json_unpack(json_array_get(list, 0), "{s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:s,s:[{s:i}],s:[s],s:o,s:s}",
                  "code", &code, "severity", &severity, "message", &message, "file", &where, "line", &line,
                  "column", &col, "endLine", &end_line, "endColumn", &end_col, "label", &label, "spans",
                  "line", &other, "notes", &note, "help", &help, "replace", &replace);
  cr_assert_eq(bad, 0);
  cr_assert_str_eq(code, "E0103");
  cr_assert_str_eq(message, "bad \xEF\xBF\xBD byte");
  cr_assert(line == 1 && col == 12 && end_line == 1 && end_col == 13 && other == 2);
  file = json_object_get(json_array_get(list, 1), "file");
  cr_assert(json_is_null(file));
  json_decref(list);
}

Test(diag, no_diagnostics_is_an_empty_array) {
  start_diags("");
  StrBuf sb;
  sb_init(&sb, arena);
  diags_render_json(&diags, &sb);
  cr_assert_str_eq(sb.data, "[]\n");
}

static uint64_t random_state = 7;

static uint32_t below(uint32_t n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(random_state >> 33) % n;
}

static Loc anywhere(void) {
  int file = (int)below(4);
  uint32_t off = below(320);
  return place(file, off, below(330));
}

// Any bytes and any spans: only that it ends and stays within the text matters here.
Test(diag, any_input_renders) {
  for (int round = 0; round < 500; round++) {
    Arena *a = arena_new(0);
    Sources s;
    sources_init(&s, a);
    for (int f = 0; f < 2; f++) {
      char text[300];
      size_t len = below(300);
      for (size_t i = 0; i < len; i++) text[i] = "\n\r\t\0\xE5\x90\x8D\xF0 xy\x1b"[below(12)];
      sources_add(&s, "p", text, len);
    }
    Diags d;
    diags_init(&d, a, &s);
    Diag *g = diag_add(&d, DIAG_LEX, anywhere(), "m");
    diag_label(&d, g, "label\nof two lines");
    for (uint32_t n = below(5); n > 0; n--) diag_span(&d, g, anywhere(), "l");
    g->replace = below(2) ? "x\ny" : "";
    StrBuf sb;
    sb_init(&sb, a);
    diags_render(&d, &sb, below(2));
    diags_render_json(&d, &sb);
    cr_assert_eq(utf8_first_bad(sb.data, (size_t)sb.len), -1);
    arena_free(a);
  }
}

// ---- files ----------------------------------------------------------------------------------------------------

static char folder[64];

static const char *in_folder(const char *name) {
  if (!*folder) {
    strcpy(folder, "/tmp/dp-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
  }
  return arena_printf(arena, "%s/%s", folder, name);
}

static int count_files(void) {
  DIR *d = opendir(folder);
  int n = 0;
  while (readdir(d)) n++;
  closedir(d);
  return n - 2;
}

Test(file, what_is_written_is_read_back) {
  const char *path = in_folder("out.bin"), *why;
  size_t len;
  cr_assert(file_write_atomic(arena, path, "a\0b", 3, false, &why));
  char *text = file_read(arena, path, &len, &why);
  cr_assert(text && len == 3 && memcmp(text, "a\0b", 4) == 0);
  cr_assert(file_write_atomic(arena, path, "", 0, true, &why));
  text = file_read(arena, path, &len, &why);
  cr_assert(text && len == 0 && *text == 0);
  cr_assert_eq(access(path, X_OK), 0);
  cr_assert_eq(count_files(), 1);
}

Test(file, a_link_stays_a_link_and_the_mode_is_kept) {
  const char *path = in_folder("real"), *link = in_folder("link"), *why;
  struct stat st;
  cr_assert(file_write_atomic(arena, path, "1", 1, false, &why));
  cr_assert_eq(chmod(path, 0640), 0);
  cr_assert_eq(symlink("real", link), 0);
  cr_assert(file_write_atomic(arena, link, "2", 1, false, &why));
  cr_assert_eq(lstat(link, &st), 0);
  cr_assert(S_ISLNK(st.st_mode));
  cr_assert_eq(stat(path, &st), 0);
  cr_assert_eq(st.st_mode & 0777, 0640);
}

Test(file, a_full_disk_is_noticed) {
  const char *why = NULL;
  cr_assert_not(file_write_atomic(arena, "/dev/full", "data", 4, false, &why));
  cr_assert_str_eq(why, "cannot write '/dev/full': No space left on device");
}

Test(file, failures_are_sentences_and_leave_nothing) {
  const char *why = NULL, *gone = in_folder("gone/x");
  size_t len;
  cr_assert_null(file_read(arena, gone, &len, &why));
  cr_assert_str_eq(why, arena_printf(arena, "cannot read '%s': No such file or directory", gone));
  cr_assert_null(file_read(arena, folder, &len, &why));
  cr_assert_str_eq(why, arena_printf(arena, "cannot read '%s': it is a directory", folder));
  cr_assert_not(file_write_atomic(arena, gone, "x", 1, false, &why));
  cr_assert_not(file_write_atomic(arena, folder, "x", 1, false, &why));
  cr_assert_str_eq(why, arena_printf(arena, "cannot write '%s': it is a directory", folder));
  const char *huge = in_folder("huge");
  FILE *f = fopen(huge, "w");
  cr_assert(f && ftruncate(fileno(f), ((off_t)1 << 30) + 1) == 0);
  fclose(f);
  cr_assert_null(file_read(arena, huge, &len, &why));
  cr_assert_str_eq(why, arena_printf(arena, "cannot read '%s': it is larger than 1 GiB", huge));
  cr_assert_eq(count_files(), 1);
}

Test(file, a_file_that_calls_itself_empty_is_read) {
  const char *why = NULL;
  size_t len;
  char *text = file_read(arena, "/proc/self/status", &len, &why);
  cr_assert(text && len > 0 && strlen(text) == len);
}
