// Types, constants and declarations: the vocabulary that the rest of codegen speaks in.
#include "codegen/internal.h"

#include <string.h>

void cg_types(Cg *cg) {
  LLVMContextRef c = cg->ctx;
  cg->void_ = LLVMVoidTypeInContext(c);
  cg->i1 = LLVMInt1TypeInContext(c);
  cg->i8 = LLVMInt8TypeInContext(c);
  cg->i32 = LLVMInt32TypeInContext(c);
  cg->i64 = LLVMInt64TypeInContext(c);
  cg->f32 = LLVMFloatTypeInContext(c);
  cg->f64 = LLVMDoubleTypeInContext(c);
  cg->ptr = LLVMPointerTypeInContext(c, 0);
  // dprt_site: file, line, column, function, text, caller
  cg->site = LLVMStructTypeInContext(c, (LLVMTypeRef[]){cg->ptr, cg->i32, cg->i32, cg->ptr, cg->ptr, cg->ptr},
                                     6, false);
  cg->md_prof = LLVMGetMDKindIDInContext(c, "prof", 4);
  cg->md_scope = LLVMGetMDKindIDInContext(c, "alias.scope", 11);
  cg->md_noalias = LLVMGetMDKindIDInContext(c, "noalias", 7);
  cg->md_range = LLVMGetMDKindIDInContext(c, "range", 5);
  cg->md_loop = LLVMGetMDKindIDInContext(c, "llvm.loop", 9);
}

LLVMTypeRef cg_type(const Cg *cg, IrElem e) {
  switch (e) {
  case IR_BOOL: return cg->i1;
  case IR_INT: return cg->i64;
  case IR_F32: return cg->f32;
  case IR_F64: return cg->f64;
  case IR_STRING: return cg->ptr;
  }
  return NULL;
}

LLVMTypeRef cg_memory_type(const Cg *cg, IrElem e) { return e == IR_BOOL ? cg->i8 : cg_type(cg, e); }
LLVMValueRef cg_int(const Cg *cg, int64_t v) { return LLVMConstInt(cg->i64, (unsigned long long)v, true); }
LLVMValueRef cg_i32(const Cg *cg, int32_t v) {
  return LLVMConstInt(cg->i32, (unsigned long long)(int64_t)v, true);
}

// ---- constants that are made once --------------------------------------------------------------------------------

static uint64_t map_hash(uintptr_t a, uint64_t b, uint64_t c) {
  uint64_t h = (a ^ b * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u ^ c * 0xBF58476D1CE4E5B9u;
  return h ^ h >> 32;
}

static CgMapItem *map_place(const CgMap *m, uintptr_t a, uint64_t b, uint64_t c) {
  int i = (int)(map_hash(a, b, c) & (uint64_t)(m->cap - 1));
  while (m->items[i].value && (m->items[i].a != a || m->items[i].b != b || m->items[i].c != c))
    i = (i + 1) & (m->cap - 1);
  return &m->items[i];
}

void *cg_map_get(const CgMap *m, uintptr_t a, uint64_t b, uint64_t c) {
  return m->cap ? map_place(m, a, b, c)->value : NULL;
}

void cg_map_put(Cg *cg, CgMap *m, uintptr_t a, uint64_t b, uint64_t c, void *v) {
  if (2 * m->len >= m->cap) {
    CgMap now = {.cap = m->cap ? 2 * m->cap : 64};
    now.items = ARENA_ARRAY(cg->arena, CgMapItem, now.cap);
    for (int i = 0; i < m->cap; i++)
      if (m->items[i].value) *map_place(&now, m->items[i].a, m->items[i].b, m->items[i].c) = m->items[i];
    now.len = m->len;
    *m = now;
  }
  *map_place(m, a, b, c) = (CgMapItem){a, b, c, v};
  m->len++;
}

LLVMValueRef cg_constant(Cg *cg, const char *name, LLVMValueRef init) {
  LLVMValueRef g = LLVMAddGlobal(cg->mod, LLVMTypeOf(init), name);
  LLVMSetInitializer(g, init);
  LLVMSetGlobalConstant(g, true);
  LLVMSetLinkage(g, LLVMPrivateLinkage);
  LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
  return g;
}

LLVMValueRef cg_text(Cg *cg, const char *s) {
  if (!s) return LLVMConstPointerNull(cg->ptr);
  LLVMValueRef g = cg_map_get(&cg->texts, (uintptr_t)s, 0, 0);
  if (g) return g;
  g = cg_constant(cg, "text", LLVMConstStringInContext2(cg->ctx, s, strlen(s), false));
  cg_map_put(cg, &cg->texts, (uintptr_t)s, 0, 0, g);
  return g;
}

// ---- attributes --------------------------------------------------------------------------------------------------

// An attribute that this LLVM does not know is left out: each only adds to what may be assumed.
void cg_fn_attr(const Cg *cg, LLVMValueRef fn, LLVMAttributeIndex at, const char *name, uint64_t value) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  if (kind) LLVMAddAttributeAtIndex(fn, at, LLVMCreateEnumAttribute(cg->ctx, kind, value));
}

void cg_never_negative(const Cg *cg, LLVMValueRef fn, LLVMAttributeIndex at) {
  unsigned kind = LLVMGetEnumAttributeKindForName("range", 5);
  uint64_t lower = 0, upper = (uint64_t)INT64_MAX + 1;
  if (kind)
    LLVMAddAttributeAtIndex(fn, at, LLVMCreateConstantRangeAttribute(cg->ctx, kind, 64, &lower, &upper));
}

void cg_fn_string_attr(const Cg *cg, LLVMValueRef fn, const char *name, const char *value) {
  LLVMAttributeRef a =
      LLVMCreateStringAttribute(cg->ctx, name, (unsigned)strlen(name), value, (unsigned)strlen(value));
  LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, a);
}

// ---- runtime functions ---------------------------------------------------------------------------------------------

typedef enum Kind { PLAIN, ALLOC, FREE, COLD, PURE, GEMM } Kind;

static const struct {
  const char *name, *signature;
  Kind kind;
} runtime_functions[] = {
#define RUNTIME(name, signature, kind) {#name, signature, kind},
#include "codegen/runtime_symbols.def"
};

// LLVM's encoding of memory effects: two bits each (read, write) for what arguments point to and for hidden state.
enum { MEMORY_NONE = 0, MEMORY_ARGUMENTS = 3, MEMORY_HIDDEN = 3 << 2 };
enum { ALLOC_KIND_ALLOC = 1, ALLOC_KIND_FREE = 4, ALLOC_KIND_UNINITIALIZED = 8 };

static LLVMTypeRef letter_type(const Cg *cg, char c) {
  switch (c) {
  case 'p': return cg->ptr;
  case 'l': return cg->i64;
  case 'i': return cg->i32;
  case 'd': return cg->f64;
  case 'f': return cg->f32;
  case 'b': return cg->i1;
  }
  return cg->void_;
}

static void runtime_attributes(const Cg *cg, LLVMValueRef f, Kind kind) {
  enum { FN = LLVMAttributeFunctionIndex };
  cg_fn_attr(cg, f, FN, "nounwind", 0);
  switch (kind) {
  case PLAIN: return;
  case ALLOC:
    cg_fn_attr(cg, f, FN, "willreturn", 0);
    cg_fn_attr(cg, f, FN, "memory", MEMORY_HIDDEN);
    cg_fn_attr(cg, f, FN, "allockind", ALLOC_KIND_ALLOC | ALLOC_KIND_UNINITIALIZED);
    cg_fn_string_attr(cg, f, "alloc-family", "dprt");
    cg_fn_attr(cg, f, LLVMAttributeReturnIndex, "noalias", 0);
    cg_fn_attr(cg, f, LLVMAttributeReturnIndex, "align", 64);
    return;
  case FREE:
    cg_fn_attr(cg, f, FN, "willreturn", 0);
    cg_fn_attr(cg, f, FN, "memory", MEMORY_HIDDEN | MEMORY_ARGUMENTS);
    cg_fn_attr(cg, f, FN, "allockind", ALLOC_KIND_FREE);
    cg_fn_string_attr(cg, f, "alloc-family", "dprt");
    cg_fn_attr(cg, f, 2, "allocptr", 0);
    cg_fn_attr(cg, f, 2, "nocapture", 0);
    return;
  case COLD:
    cg_fn_attr(cg, f, FN, "cold", 0);
    cg_fn_attr(cg, f, FN, "noinline", 0);
    return;
  case PURE:
    cg_fn_attr(cg, f, FN, "willreturn", 0);
    cg_fn_attr(cg, f, FN, "memory", MEMORY_NONE);
    cg_fn_attr(cg, f, FN, "speculatable", 0);
    return;
  case GEMM:
    cg_fn_attr(cg, f, FN, "willreturn", 0);
    cg_fn_attr(cg, f, FN, "memory", MEMORY_ARGUMENTS | MEMORY_HIDDEN);
    cg_fn_attr(cg, f, 4, "readonly", 0);
    cg_fn_attr(cg, f, 4, "nocapture", 0);
    cg_fn_attr(cg, f, 7, "readonly", 0);
    cg_fn_attr(cg, f, 7, "nocapture", 0);
    cg_fn_attr(cg, f, 10, "nocapture", 0);
    return;
  }
}

static void declare_runtime(Cg *cg, CgRuntime which) {
  const char *s = runtime_functions[which].signature;
  LLVMTypeRef params[16];
  unsigned n = 0;
  const char *p = s + 2;
  for (; *p && *p != '.'; p++) params[n++] = letter_type(cg, *p);
  LLVMTypeRef type = LLVMFunctionType(letter_type(cg, s[0]), params, n, *p == '.');
  LLVMValueRef f = LLVMAddFunction(cg->mod, runtime_functions[which].name, type);
  for (unsigned i = 0; i < n; i++)
    if (params[i] == cg->i1) cg_fn_attr(cg, f, i + 1, "zeroext", 0);
  runtime_attributes(cg, f, runtime_functions[which].kind);
  cg->runtime[which] = f;
  cg->runtime_type[which] = type;
}

LLVMValueRef cg_call(Fn *fn, LLVMTypeRef type, LLVMValueRef callee, const LLVMValueRef *args, int n) {
  return LLVMBuildCall2(fn->b, type, callee, (LLVMValueRef *)args, (unsigned)n, "");
}

LLVMValueRef cg_call_runtime(Fn *fn, CgRuntime which, const LLVMValueRef *args, int n) {
  if (!fn->cg->runtime[which]) declare_runtime(fn->cg, which);
  return cg_call(fn, fn->cg->runtime_type[which], fn->cg->runtime[which], args, n);
}

LLVMValueRef cg_intrinsic(Fn *fn, const char *name, LLVMTypeRef over, const LLVMValueRef *args, int n) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMValueRef f = LLVMGetIntrinsicDeclaration(fn->cg->mod, id, &over, over ? 1 : 0);
  return cg_call(fn, LLVMGlobalGetValueType(f), f, args, n);
}
