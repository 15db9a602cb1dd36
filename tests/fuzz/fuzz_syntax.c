// Any bytes: the parser ends, and what it complains about can be shown. Built and run by `./dev fuzz`.
#include "syntax/ast.h"

#include <setjmp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Arena *a = arena_new((size_t)1 << 28);
  jmp_buf out_of_memory;
  if (a && setjmp(out_of_memory) == 0) {
    arena_on_exhausted(a, &out_of_memory);
    Sources sources;
    Diags diags;
    StrBuf text;
    sources_init(&sources, a);
    diags_init(&diags, a, &sources);
    sb_init(&text, a);
    int file = sources_add(&sources, "fuzz.dp", (const char *)data, size);
    const Module *m = parse_module(a, interner_new(a), &sources, file, &diags);
    diags_render(&diags, &text, true);
    diags_render_json(&diags, &text);
    ast_dump(m, &sources, &text);
  }
  arena_free(a);
  return 0;
}
