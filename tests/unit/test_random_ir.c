// A few hundred random functions through everything tests/fuzz/ir_judge.h looks at. A failure names its seed;
// `DP_SEED=S DP_COUNT=N` in the environment runs others.
#include "ir_judge.h"
#include "ir_random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static IrModule *random_module(void *user, Arena *a, Interner *names, const Sources *sources) {
  IrRandomBytes bytes = *(IrRandomBytes *)user;
  return ir_random_module(a, names, sources, &bytes);
}

static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *s = getenv(name);
  return s ? strtoull(s, NULL, 0) : otherwise;
}

static void judge_seeds(uint64_t first, uint64_t count, unsigned what) {
  JudgeStats stats = {0};
  for (uint64_t seed = first; seed < first + count; seed++) {
    Arena *a = arena_new(0);
    size_t len = 80 + (seed % 8) * 180;
    IrRandomBytes bytes = {ir_random_bytes(a, seed, len), len, 0};
    JudgeSubject subject = {random_module, &bytes, "main", seed};
    const char *bad = judge(a, &subject, what, &stats);
    cr_assert_null(bad, "seed %llu: %s", (unsigned long long)seed, bad);
    arena_free(a);
  }
  cr_assert_eq(stats.refused, 0);
  cr_assert_leq(stats.skipped * 20, stats.programs, "%d of %d were skipped", stats.skipped, stats.programs);
}

Test(random_ir, derivatives) {
  judge_seeds(setting("DP_SEED", 1), setting("DP_COUNT", 120), JUDGE_FIRST | JUDGE_SECOND);
}

Test(random_ir, passes_memory_and_source) {
  judge_seeds(setting("DP_SEED", 1000), setting("DP_COUNT", 200),
              JUDGE_PASSES | JUDGE_FIRST | JUDGE_MEMORY | JUDGE_SOURCE);
}
