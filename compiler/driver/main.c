// The process: standard output, standard error and the exit code. Everything else is dp_command.
#include "driver/draw.h"
#include "driver/driver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_all(FILE *to, StrBuf *text) {
  if (text->len) fwrite(text->data, 1, (size_t)text->len, to);
  fflush(to);
  text->len = 0;
}

static void flush(Console *c) {
  write_all(stdout, &c->out);
  write_all(stderr, &c->err);
}

int main(int argc, char **argv) {
  Arena *a = arena_new(0);
  if (!a) {
    fputs("dp: out of memory\n", stderr);
    return EXIT_FAILED;
  }
  Console c = {.color = isatty(2) && !getenv("NO_COLOR"), .flush = flush, .draw = draw_svg};
  jmp_buf exhausted;
  if (setjmp(exhausted)) {
    fputs("dp: out of memory\n", stderr);
    return EXIT_FAILED;
  }
  arena_on_exhausted(a, &exhausted);
  sb_init(&c.out, a);
  sb_init(&c.err, a);
  int code = dp_command(argc, argv, &c);
  flush(&c);
  if (ferror(stdout) && code == EXIT_OK) { // a program that ran has said so itself
    fprintf(stderr, "dp: cannot write the output: %s\n", strerror(errno));
    code = EXIT_FAILED;
  }
  arena_free(a);
  return code;
}
