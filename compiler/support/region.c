// Regions: pages that machine code and its constants are placed in. In: sizes. Out: places, writable until the region is
// sealed. Code lies at the region's start and constants at its end, so that each kind is one run of pages with rights of
// its own, and what lies between was never used.
#define _GNU_SOURCE
#include "support/support.h"

#include <sys/mman.h>
#include <unistd.h>

static size_t whole_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

bool region_map(Region *r, size_t bytes, bool shared) {
  *r = (Region){0};
  if (bytes > SIZE_MAX / 2) return false;
  size_t size = whole_pages(bytes);
  int flags = MAP_ANONYMOUS | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE);
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (at == MAP_FAILED) return false;
  r->start = at;
  r->size = size;
  return true;
}

static size_t room(const Region *r) {
  size_t taken = whole_pages(r->code) + whole_pages(r->data);
  return taken < r->size ? r->size - taken : 0;
}

void *region_code(Region *r, size_t bytes, size_t align) {
  if (bytes > r->size || align > r->size || bytes + align > room(r)) return NULL;
  size_t at = (r->code + align - 1) / align * align;
  r->code = at + bytes;
  return r->start + at;
}

void *region_data(Region *r, size_t bytes, size_t align) {
  if (bytes > r->size || align > r->size || bytes + align > room(r)) return NULL;
  r->data = (r->data + bytes + align - 1) / align * align;
  return r->start + r->size - r->data;
}

bool region_seal(Region *r) {
  size_t code = whole_pages(r->code), data = whole_pages(r->data);
  r->sealed = true;
  if (code + data < r->size) munmap(r->start + code, r->size - code - data);
  return (!code || mprotect(r->start, code, PROT_READ | PROT_EXEC) == 0) &&
         (!data || mprotect(r->start + r->size - data, data, PROT_READ) == 0);
}

void region_unmap(Region *r) {
  size_t code = whole_pages(r->code), data = whole_pages(r->data);
  if (r->start && !r->sealed) munmap(r->start, r->size);
  if (r->sealed && code) munmap(r->start, code);
  if (r->sealed && data) munmap(r->start + r->size - data, data);
  *r = (Region){0};
}
