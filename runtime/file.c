// Files: reading one whole, and writing one so that nobody ever sees half of it.
// In: a path from the user. Out: bytes, or DPRT_DATA with the path and the system's reason.
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t FLUSH_BYTES = 64 << 10;

// ---- reading -------------------------------------------------------------------------------------------------

static char *fail_read(dprt_ctx *ctx, const char *path, const char *reason) {
  dprt_fail(ctx, DPRT_DATA, ctx->site, "cannot read \"%s\": %s", path, reason);
  return NULL;
}

static bool read_all(int fd, TextBuf *t) {
  for (;;) {
    if (!textbuf_room(t, FLUSH_BYTES)) {
      errno = ENOMEM;
      return false;
    }
    ssize_t n = read(fd, t->data + t->len, t->cap - t->len - 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    t->len += (size_t)n;
  }
}

char *dprt_read_file(dprt_ctx *ctx, const char *path, size_t *len) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_read(ctx, path, strerror(errno));
  TextBuf t;
  textbuf_init(&t, ctx);
  struct stat st;
  bool sized = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
  bool ok = (!sized || textbuf_room(&t, (size_t)st.st_size + FLUSH_BYTES)) && read_all(fd, &t);
  int reason = t.failed ? ENOMEM : errno;
  close(fd);
  if (!ok) {
    textbuf_free(&t);
    return fail_read(ctx, path, strerror(reason));
  }
  t.data[t.len] = 0;
  *len = t.len;
  return t.data;
}

// ---- writing -------------------------------------------------------------------------------------------------

static void note_error(OutFile *f, int reason) {
  if (!f->error) f->error = reason ? reason : EIO;
}

// Links are followed, and what is no regular file (a pipe, a terminal) is written directly: renaming over either
// would replace it.
void outfile_open(OutFile *f, dprt_ctx *ctx, const char *path) {
  *f = (OutFile){.ctx = ctx, .path = path, .fd = -1};
  textbuf_init(&f->temporary, ctx);
  textbuf_init(&f->buffer, ctx);
  struct stat st;
  bool special = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
  bool link = !special && lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
  if (special || link) {
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) note_error(f, errno);
    return;
  }
  for (int attempt = 0; attempt < 100 && f->fd < 0; attempt++) {
    f->temporary.len = 0;
    textbuf_addf(&f->temporary, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
    if (f->temporary.failed) {
      note_error(f, ENOMEM);
      return;
    }
    f->fd = open(f->temporary.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f->fd < 0 && errno != EEXIST) break;
  }
  if (f->fd < 0) {
    note_error(f, errno);
    f->temporary.len = 0;
  }
}

static void flush(OutFile *f) {
  for (size_t done = 0; done < f->buffer.len && !f->error;) {
    ssize_t n = write(f->fd, f->buffer.data + done, f->buffer.len - done);
    if (n < 0 && errno != EINTR)
      note_error(f, errno);
    else if (n > 0)
      done += (size_t)n;
  }
  f->buffer.len = 0;
}

static void settle(OutFile *f) {
  if (f->buffer.failed) note_error(f, ENOMEM);
  if (f->buffer.len >= FLUSH_BYTES) flush(f);
}

void outfile_add(OutFile *f, const char *s, size_t n) {
  if (f->error) return;
  textbuf_addn(&f->buffer, s, n);
  settle(f);
}

void outfile_addf(OutFile *f, const char *fmt, ...) {
  if (f->error) return;
  va_list ap;
  va_start(ap, fmt);
  char line[1024];
  locale_t host = uselocale(f->ctx->c_locale);
  int n = vsnprintf(line, sizeof line, fmt, ap);
  uselocale(host);
  va_end(ap);
  if (n > 0) textbuf_addn(&f->buffer, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
  settle(f);
}

static void finish(OutFile *f) {
  if (f->fd >= 0) close(f->fd);
  f->fd = -1;
  if (f->error && f->temporary.len) unlink(f->temporary.data);
  textbuf_free(&f->temporary);
  textbuf_free(&f->buffer);
}

int32_t outfile_commit(OutFile *f) {
  if (!f->error) flush(f);
  if (!f->error && f->temporary.len) {
    if (fsync(f->fd) != 0 && errno != EINVAL && errno != EROFS)
      note_error(f, errno);
    else if (rename(f->temporary.data, f->path) != 0)
      note_error(f, errno);
  }
  finish(f);
  if (f->error)
    return dprt_fail(f->ctx, DPRT_DATA, f->ctx->site, "cannot write \"%s\": %s", f->path, strerror(f->error));
  return DPRT_OK;
}

void outfile_abandon(OutFile *f) {
  note_error(f, ECANCELED);
  finish(f);
}
