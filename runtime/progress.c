// Runtime: how far a long computation is. In: counts and two numbers. Out: through the context's hook, one line redrawn
// in place on a terminal, else a few plain lines: the first, the last and evenly thinned ones between.
#define _GNU_SOURCE
#include "internal.h"
#include "train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PLAIN_LINES = 25, BAR_WIDTH = 24, LINE_BYTES = 256 };
static const double redraw_seconds = 0.1;

double progress_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_begin(Progress *p, dprt_ctx *ctx, bool on, const char *unit, const char *first,
                    const char *second, int64_t total) {
  *p = (Progress){.ctx = ctx, .on = on && total > 0, .unit = unit, .names = {first, second}, .total = total};
  if (!p->on) return;
  p->terminal = dprt_progress_is_terminal(ctx);
  p->stride = total / PLAIN_LINES + (total % PLAIN_LINES != 0);
  p->start = p->last_draw = progress_clock();
  p->numbers[0] = p->numbers[1] = NAN;
}

static void format_duration(char *out, size_t size, double seconds) {
  if (seconds < 60.0)
    snprintf(out, size, "%.1f s", seconds);
  else if (seconds < 3600.0)
    snprintf(out, size, "%d min %02d s", (int)(seconds / 60.0), (int)fmod(seconds, 60.0));
  else
    snprintf(out, size, "%.0f h %02d min", floor(seconds / 3600.0), (int)(fmod(seconds, 3600.0) / 60.0));
}

static int format_bar(char *out, double share) {
  int full = (int)(share * BAR_WIDTH);
  full = full < 0 ? 0 : full > BAR_WIDTH ? BAR_WIDTH : full;
  char *at = out;
  *at++ = '[';
  for (int i = 0; i < BAR_WIDTH; i++) *at++ = i < full ? '=' : i == full ? '>' : ' ';
  *at++ = ']';
  *at++ = ' ';
  *at = 0;
  return (int)(at - out);
}

// unit done/total [bar] first x, second y, elapsed[, left]
static void write_line(Progress *p, int64_t shown, double complete, const char *before, const char *after) {
  char line[LINE_BYTES], duration[64], total[32];
  int width = snprintf(total, sizeof total, "%lld", (long long)p->total);
  locale_t host = uselocale(p->ctx->c_locale);
  int len = snprintf(line, sizeof line, "%s%s %*lld/%s  ", before, p->unit, width, (long long)shown, total);
  if (p->terminal) len += format_bar(line + len, complete / (double)p->total);
  for (int i = 0; i < 2; i++)
    if (p->names[i] && !isnan(p->numbers[i]))
      len += snprintf(line + len, sizeof line - (size_t)len, "%s %-12.6g ", p->names[i], p->numbers[i]);
  double elapsed = progress_clock() - p->start;
  format_duration(duration, sizeof duration, elapsed);
  len += snprintf(line + len, sizeof line - (size_t)len, " %s", duration);
  if (complete > 0.0 && complete < (double)p->total) {
    format_duration(duration, sizeof duration, elapsed * ((double)p->total - complete) / complete);
    len += snprintf(line + len, sizeof line - (size_t)len, ", %s left", duration);
  }
  len += snprintf(line + len, sizeof line - (size_t)len, "%s", after);
  uselocale(host);
  dprt_progress_write(p->ctx, line, (size_t)len);
}

static void redraw(Progress *p, int64_t shown, double complete) {
  p->last_draw = progress_clock();
  p->drawn = true;
  write_line(p, shown, complete, "\r", "\x1b[K"); // and clear what a longer line left
}

void progress_part(Progress *p, int64_t done, double part, double first) {
  if (!p->on || !p->terminal || progress_clock() - p->last_draw < redraw_seconds) return;
  p->numbers[0] = first;
  redraw(p, done + 1, (double)done + part);
}

void progress_done(Progress *p, int64_t done, double first, double second) {
  if (!p->on) return;
  p->numbers[0] = first;
  p->numbers[1] = second;
  p->last = done;
  if (p->terminal) {
    if (done == p->total || progress_clock() - p->last_draw >= redraw_seconds) redraw(p, done, (double)done);
  } else if (done == 1 || done == p->total || done % p->stride == 0) {
    p->drawn = true;
    write_line(p, done, (double)done, "", "\n");
  } else {
    p->drawn = false;
  }
}

void progress_end(Progress *p) {
  if (!p->on || p->last == 0) return;
  if (p->terminal) {
    redraw(p, p->last, (double)p->last);
    dprt_progress_write(p->ctx, "\n", 1);
  } else if (!p->drawn) {
    write_line(p, p->last, (double)p->last, "", "\n");
  }
}
