// runtime/program.c: a program's options on its command line, its exit code.
#include "dp/dprt_program.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static dprt_slot seen[4];

static int32_t program_main(dprt_ctx *ctx, const dprt_slot *in, dprt_slot *out) {
  (void)out;
  memcpy(seen, in, sizeof seen);
  return in[0].i64 < 0 ? dprt_fail(ctx, DPRT_ARGUMENT, NULL, "negative") : 0;
}

static const dprt_option options[4] = {
    {"epochs", "how long", DPRT_I64, 1, {.i64 = 7}},
    {"rate", NULL, DPRT_F64, 1, {.f64 = 0.5}},
    {"dry_run", NULL, DPRT_BOOL, 1, {.i64 = 0}},
    {"out", "a file", DPRT_STR, 1, {.str = ""}},
};
static const dprt_program program = {"prog", program_main, 4, options, 0};

static int run_program(const char *arguments) {
  char text[200], *argv[16] = {"prog"};
  int argc = 1;
  snprintf(text, sizeof text, "%s", arguments);
  for (char *p = strtok(text, " "); p; p = strtok(NULL, " ")) argv[argc++] = p;
  cr_assert_not_null(freopen("/dev/null", "w", stderr));
  cr_assert_not_null(freopen("/dev/null", "w", stdout));
  memset(seen, 0, sizeof seen);
  return dprt_program_main(argc, argv, &program);
}

Test(program, options_are_read) {
  cr_assert_eq(run_program(""), 0);
  cr_assert(seen[0].i64 == 7 && seen[1].f64 == 0.5 && !seen[2].b);
  cr_assert_eq(run_program("--epochs 3 --rate=1e-2 --dry-run --out file"), 0);
  cr_assert(seen[0].i64 == 3 && seen[1].f64 == 0.01 && seen[2].b);
  cr_assert_eq(run_program("--dry_run --no-dry-run --rate -2"), 0);
  cr_assert(!seen[2].b && seen[1].f64 == -2);
  cr_assert_eq(run_program("--dry_run=true"), 0);
  cr_assert(seen[2].b);
  cr_assert_eq(run_program("--help --nonsense"), 0);
  cr_assert_eq(run_program("--epochs -1"), 1);
}

Test(program, mistakes_are_refused) {
  const char *wrong[] = {"--epoch 3",   "--epochs",        "--epochs 3x", "--epochs 99999999999999999999",
                         "--rate fast", "--dry_run=maybe", "--no-epochs", "file",
                         "--",          "--rate="};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    cr_assert_eq(run_program(wrong[i]), 2, "%s", wrong[i]);
    cr_assert_eq(seen[0].i64, 0);
  }
}
