// Text: interned names, the distance between two of them, the growing text that printers write into, and floats
// spelled so that they read back to the same bits. Nothing here depends on the process's locale.
#include "support/support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// ---- interner: open addressing, never more than half full, names never leave ----------------------------------

typedef struct Slot {
  uint64_t hash;
  size_t len;
  Name name; // NULL: free
} Slot;

struct Interner {
  Arena *arena;
  Slot *slots;
  size_t cap, len; // cap is a power of two
};

enum { INTERNER_FIRST_CAP = 256 };

Interner *interner_new(Arena *a) {
  Interner *in = ARENA_NEW(a, Interner);
  in->arena = a;
  in->cap = INTERNER_FIRST_CAP;
  in->slots = ARENA_ARRAY(a, Slot, in->cap);
  return in;
}

static uint64_t fnv1a(const char *s, size_t len) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
  return h ^ h >> 29;
}

// The slot that holds the text, or the free one where it belongs.
static Slot *find_slot(Slot *slots, size_t cap, uint64_t hash, const char *s, size_t len) {
  for (size_t i = hash & (cap - 1);; i = (i + 1) & (cap - 1)) {
    Slot *t = &slots[i];
    if (!t->name) return t;
    if (t->hash == hash && t->len == len && (len == 0 || memcmp(t->name, s, len) == 0)) return t;
  }
}

static void interner_grow(Interner *in) {
  size_t cap = in->cap * 2;
  Slot *slots = ARENA_ARRAY(in->arena, Slot, cap);
  for (size_t i = 0; i < in->cap; i++) {
    const Slot *t = &in->slots[i];
    if (t->name) *find_slot(slots, cap, t->hash, t->name, t->len) = *t;
  }
  in->slots = slots;
  in->cap = cap;
}

Name intern(Interner *in, const char *s, size_t len) {
  uint64_t hash = fnv1a(s, len);
  Slot *t = find_slot(in->slots, in->cap, hash, s, len);
  if (t->name) return t->name;
  if ((in->len + 1) * 2 > in->cap) {
    interner_grow(in);
    t = find_slot(in->slots, in->cap, hash, s, len);
  }
  *t = (Slot){hash, len, arena_strdup(in->arena, s, len)};
  in->len++;
  return t->name;
}

Name intern_cstr(Interner *in, const char *s) { return intern(in, s, strlen(s)); }

// ---- nearness of names ----------------------------------------------------------------------------------------

enum { DISTANCE_MAX = 128 }; // what differs is longer: no typo

static int min2(int a, int b) { return a < b ? a : b; }

// Optimal string alignment over three rolling rows.
static int alignment(const char *a, int n, const char *b, int m) {
  int rows[3][DISTANCE_MAX + 1];
  for (int j = 0; j <= m; j++) rows[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *cur = rows[i % 3], *one = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
    cur[0] = i;
    for (int j = 1; j <= m; j++) {
      int best = one[j - 1] + (a[i - 1] != b[j - 1]);
      best = min2(best, min2(one[j], cur[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) best = min2(best, two[j - 2] + 1);
      cur[j] = best;
    }
  }
  return rows[n % 3][m];
}

int edit_distance(const char *a, const char *b, int limit) {
  while (*a && *a == *b) a++, b++;
  size_t n = strlen(a), m = strlen(b);
  while (n && m && a[n - 1] == b[m - 1]) n--, m--;
  size_t longer = n > m ? n : m;
  if (longer - (n < m ? n : m) > (size_t)(limit < 0 ? 0 : limit) || longer > DISTANCE_MAX) return limit + 1;
  int d = alignment(a, (int)n, b, (int)m);
  return d > limit ? limit + 1 : d;
}

Name nearest_name(Name name, const Name *candidates, int n) {
  int len = (int)strnlen(name, 3 * DISTANCE_MAX);
  int limit = len >= 6 ? len / 3 : len >= 2 ? 1 : 0;
  Name best = NULL;
  for (int i = 0; i < n; i++) {
    if (!candidates[i] || strcmp(candidates[i], name) == 0) continue;
    if (strcasecmp(candidates[i], name) == 0) return candidates[i];
    int d = edit_distance(name, candidates[i], limit);
    if (d > limit || d >= len) continue;
    best = candidates[i];
    limit = d - 1; // only something nearer replaces it, so the first of equals wins
  }
  return best;
}

// ---- growing text ---------------------------------------------------------------------------------------------

static void sb_reserve(StrBuf *sb, size_t more) {
  size_t need = (size_t)sb->len + more + 1;
  if (need <= (size_t)sb->cap) return;
  size_t cap = (size_t)sb->cap * 2;
  if (cap < need) cap = need;
  // An int cannot count more; the arena refuses such a size and unwinds.
  if (cap > INT32_MAX) cap = need <= INT32_MAX ? INT32_MAX : SIZE_MAX;
  sb->data = arena_grow(sb->arena, sb->data, (size_t)sb->cap, cap);
  sb->cap = (int)cap;
}

void sb_init(StrBuf *sb, Arena *a) { *sb = (StrBuf){.arena = a, .data = arena_alloc(a, 64), .cap = 64}; }

void sb_addn(StrBuf *sb, const char *s, size_t n) {
  if (n == 0) return;
  sb_reserve(sb, n);
  memcpy(sb->data + sb->len, s, n);
  sb->len += (int)n;
  sb->data[sb->len] = 0;
}

void sb_add(StrBuf *sb, const char *s) { sb_addn(sb, s, strlen(s)); }

void sb_addc(StrBuf *sb, char c) { sb_addn(sb, &c, 1); }

void sb_addf(StrBuf *sb, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  if (n > 0) {
    sb_reserve(sb, (size_t)n);
    vsnprintf(sb->data + sb->len, (size_t)n + 1, fmt, again);
    sb->len += n;
  }
  va_end(again);
  va_end(ap);
}

// ---- floats ---------------------------------------------------------------------------------------------------

// A finite, positive value as d.ddd x 10^exponent, trailing zeros dropped.
typedef struct Decimal {
  char digits[20];
  int n, exponent;
} Decimal;

// Reads what "%.*e" wrote; the decimal point may be any locale's.
static Decimal decimal_parse(const char *s) {
  Decimal d = {.n = 0};
  for (; *s && *s != 'e'; s++)
    if (*s >= '0' && *s <= '9' && d.n < (int)sizeof d.digits) d.digits[d.n++] = *s;
  d.exponent = *s == 'e' ? (int)strtol(s + 1, NULL, 10) : 0;
  while (d.n > 1 && d.digits[d.n - 1] == '0') d.n--;
  return d;
}

static void add_zeros(StrBuf *sb, int n) {
  for (int i = 0; i < n; i++) sb_addc(sb, '0');
}

static void add_decimal(StrBuf *sb, const Decimal *d) {
  size_t n = (size_t)d->n;
  int e = d->exponent;
  if (e < -5 || e > 15) { // d.ddde-7
    sb_addc(sb, d->digits[0]);
    sb_addc(sb, '.');
    sb_addn(sb, n > 1 ? d->digits + 1 : "0", n > 1 ? n - 1 : 1);
    sb_addf(sb, "e%d", e);
  } else if (e < 0) { // 0.00ddd
    sb_add(sb, "0.");
    add_zeros(sb, -e - 1);
    sb_addn(sb, d->digits, n);
  } else if (d->n <= e + 1) { // ddd00.0
    sb_addn(sb, d->digits, n);
    add_zeros(sb, e + 1 - d->n);
    sb_add(sb, ".0");
  } else { // dd.d
    sb_addn(sb, d->digits, (size_t)e + 1);
    sb_addc(sb, '.');
    sb_addn(sb, d->digits + e + 1, n - (size_t)e - 1);
  }
}

// Sign, and the values that are not numbers; true when nothing is left to print.
static bool add_special(StrBuf *sb, double v) {
  if (isnan(v)) {
    sb_add(sb, "nan");
    return true;
  }
  if (signbit(v)) sb_addc(sb, '-');
  if (isinf(v)) sb_add(sb, "inf");
  if (v == 0) sb_add(sb, "0.0");
  return isinf(v) || v == 0;
}

void sb_add_f64(StrBuf *sb, double v) {
  if (add_special(sb, v)) return;
  double m = fabs(v);
  char text[48] = "";
  // DBL_DIG digits survive the way through a normal number, so fewer are found by dropping zeros.
  for (int digits = m < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
    snprintf(text, sizeof text, "%.*e", digits - 1, m);
    if (strtod(text, NULL) == m) break;
  }
  Decimal d = decimal_parse(text);
  add_decimal(sb, &d);
}

void sb_add_f32(StrBuf *sb, float v) {
  if (add_special(sb, (double)v)) return;
  float m = fabsf(v);
  char text[48] = "";
  for (int digits = m < FLT_MIN ? 1 : FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
    snprintf(text, sizeof text, "%.*e", digits - 1, (double)m);
    if (strtof(text, NULL) == m) break;
  }
  Decimal d = decimal_parse(text);
  add_decimal(sb, &d);
}
