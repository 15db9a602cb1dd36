// Any bytes as the IR's text: the parser ends, and what it and the verifier accept prints to text that parses to the
// same text again. Built and run by `./dev fuzz`.
#include "ir/ir.h"

#include <setjmp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *printed(Arena *a, const char *text, size_t len) {
  Sources sources;
  Diags diags;
  sources_init(&sources, a);
  diags_init(&diags, a, &sources);
  int file = sources_add(&sources, "fuzz.ir", text, len);
  const IrModule *m = ir_parse(a, interner_new(a), &sources, file, &diags);
  StrBuf out;
  sb_init(&out, a);
  diags_render(&diags, &out, false);
  if (!m || diags.n_errors || ir_verify_module(a, m)) return NULL;
  sb_init(&out, a);
  ir_print_module(m, &out);
  return out.data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Arena *a = arena_new((size_t)1 << 28);
  jmp_buf out_of_memory;
  if (a && setjmp(out_of_memory) == 0) {
    arena_on_exhausted(a, &out_of_memory);
    const char *once = printed(a, (const char *)data, size);
    const char *twice = once ? printed(a, once, strlen(once)) : NULL;
    if (once && (!twice || strcmp(once, twice) != 0)) __builtin_trap();
  }
  arena_free(a);
  return 0;
}
