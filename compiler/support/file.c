// Whole files, in and out. In: a path; out: its bytes, or a sentence that says what failed. What must hold: a write
// that returns true is on the disk complete, and one that returns false has changed nothing.
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)1 << 30)

static const char *reason(Arena *a, const char *what, const char *path, int err) {
  char text[128];
  if (strerror_r(err, text, sizeof text) != 0) snprintf(text, sizeof text, "error %d", err);
  return arena_printf(a, "cannot %s '%s': %s", what, path, text);
}

// Up to `max` bytes; -1 with errno on failure.
static ssize_t read_some(int fd, char *to, size_t max) {
  size_t n = 0;
  while (n < max) {
    ssize_t got = read(fd, to + n, max - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    n += (size_t)got;
  }
  return (ssize_t)n;
}

static const char *too_large(Arena *a, const char *path) {
  return arena_printf(a, "cannot read '%s': it is larger than 1 GiB", path);
}

// A pipe or a device: its size is known only at its end. NULL with *why unset when memory ran out.
static char *read_stream(int fd, size_t *len, int *err) {
  char *buf = NULL;
  size_t cap = 0, n = 0;
  *err = 0;
  for (;;) {
    if (n == cap) {
      cap = cap ? cap * 2 : 64 * 1024;
      char *more = cap <= 2 * FILE_MAX_BYTES ? realloc(buf, cap) : NULL;
      if (!more) {
        *err = cap > FILE_MAX_BYTES ? EFBIG : ENOMEM;
        break;
      }
      buf = more;
    }
    ssize_t got = read_some(fd, buf + n, cap - n);
    if (got < 0) *err = errno;
    if (got <= 0) break;
    n += (size_t)got;
    if (n > FILE_MAX_BYTES) {
      *err = EFBIG;
      break;
    }
  }
  *len = n;
  if (!*err) return buf;
  free(buf);
  return NULL;
}

static char *read_unsized(Arena *a, const char *path, size_t *len, const char **why) {
  int fd = open(path, O_RDONLY | O_CLOEXEC), err;
  if (fd < 0) {
    *why = reason(a, "read", path, errno);
    return NULL;
  }
  char *buf = read_stream(fd, len, &err);
  close(fd);
  if (!buf) {
    *why = err == EFBIG ? too_large(a, path) : reason(a, "read", path, err);
    return NULL;
  }
  char *text = arena_strdup(a, buf, *len);
  free(buf);
  return text;
}

// The arena may unwind, so it is asked for the memory before there is a descriptor to lose.
static char *read_sized(Arena *a, const char *path, size_t size, size_t *len, const char **why) {
  char *text = arena_alloc(a, size + 2);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read_some(fd, text, size + 1);
  int err = errno;
  if (fd >= 0) close(fd);
  if (got < 0) {
    *why = reason(a, "read", path, err);
    return NULL;
  }
  if ((size_t)got > size) {
    *why = arena_printf(a, "cannot read '%s': it grew while it was being read", path);
    return NULL;
  }
  *len = (size_t)got;
  text[got] = 0;
  return text;
}

char *file_read(Arena *a, const char *path, size_t *len, const char **why) {
  struct stat st;
  *len = 0;
  *why = NULL;
  if (stat(path, &st) != 0) {
    *why = reason(a, "read", path, errno);
  } else if (S_ISDIR(st.st_mode)) {
    *why = arena_printf(a, "cannot read '%s': it is a directory", path);
  } else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > FILE_MAX_BYTES) {
    *why = too_large(a, path);
  } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
    return read_sized(a, path, (size_t)st.st_size, len, why);
  } else { // files under /proc call themselves empty too
    return read_unsized(a, path, len, why);
  }
  return NULL;
}

static bool write_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) {
      errno = ENOSPC;
      return false;
    }
    data += n;
    len -= (size_t)n;
  }
  return true;
}

// Closes fd in any case; a full disk may show itself at any of the three steps. Zero, or the first errno.
static int write_and_close(int fd, const void *data, size_t len, bool sync) {
  int err = 0;
  if (!write_all(fd, data, len)) err = errno;
  if (!err && sync && fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) err = errno;
  if (close(fd) != 0 && !err && errno != EINTR) err = errno;
  return err;
}

// A device or a pipe cannot be replaced by a renamed file.
static bool write_through(Arena *a, const char *path, const void *data, size_t len, const char **why) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int err = fd < 0 ? errno : write_and_close(fd, data, len, false);
  if (err) *why = reason(a, "write", path, err);
  return !err;
}

enum { TEMP_TRIES = 100 };

static int open_temp(const char *path, char *temp, size_t size, mode_t mode) {
  int fd = -1;
  for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
    snprintf(temp, size, "%s.%ld.%d.tmp", path, (long)getpid(), i);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST) break;
  }
  return fd;
}

static bool write_renamed(Arena *a, const char *path, const void *data, size_t len, const struct stat *old,
                          bool executable, const char **why) {
  size_t size = strlen(path) + 64;
  char *temp = arena_alloc(a, size);
  int fd = open_temp(path, temp, size, executable ? 0777 : 0666);
  if (fd < 0) {
    *why = reason(a, "write", path, errno);
    return false;
  }
  if (old) { // keep who may read the file that is replaced; not being allowed to is no reason to fail
    mode_t run = executable ? (old->st_mode & 0444) >> 2 : 0;
    if (fchmod(fd, (old->st_mode & 0777) | run) != 0) errno = 0;
  }
  int err = write_and_close(fd, data, len, true);
  if (!err && rename(temp, path) != 0) err = errno;
  if (!err) return true;
  unlink(temp);
  *why = reason(a, "write", path, err);
  return false;
}

bool file_write_atomic(Arena *a, const char *path, const void *data, size_t len, bool executable,
                       const char **why) {
  struct stat st;
  *why = NULL;
  bool exists = stat(path, &st) == 0;
  if (exists && S_ISDIR(st.st_mode)) {
    *why = arena_printf(a, "cannot write '%s': it is a directory", path);
    return false;
  }
  if (exists && !S_ISREG(st.st_mode)) return write_through(a, path, data, len, why);
  char target[PATH_MAX]; // through a symbolic link, so that the link stays one
  if (exists && realpath(path, target)) path = target;
  return write_renamed(a, path, data, len, exists ? &st : NULL, executable, why);
}
