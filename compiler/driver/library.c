// A library for C. In: an optimised module. Out: two texts, a header that declares each exported function as a C function of
// its own, and the C source of those, which goes into the library: they fill the slots of dprt.h and call dp's.
//
//   // fn mse(m: Linear[d], x: [n, d]f64, y: [n]f64) -> f64
//   int32_t model_mse(dprt_ctx *ctx, int64_t d, int64_t n, const double *m_w, double m_b, const double *x,
//                     const double *y, double *result);
#include "driver/driver.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

// C names that must differ from each other, and from what they would hide or break.
typedef struct Names {
  Arena *arena;
  const char **used;
  int n;
} Names;

typedef struct Library {
  Arena *arena;
  const char *prefix; // of the C functions
  Names functions;
  StrBuf *header, *source;
} Library;

// Keywords of C and C++, and what this file itself writes into declarations and bodies; beside them what the usual headers
// of C make macros of.
static const char taken[] =
    " ctx in_ out_ status_ OFFERED dprt_ctx dprt_slot dprt_clear_error int32_t int64_t alignas"
    " alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t"
    " char32_t class co_await co_return co_yield compl concept const const_cast consteval"
    " constexpr constinit continue decltype default delete do double dynamic_cast else enum"
    " explicit export extern false float for friend goto if inline int long mutable namespace"
    " new noexcept not not_eq nullptr operator or or_eq private protected public register"
    " reinterpret_cast requires restrict return short signed sizeof static static_assert"
    " static_cast struct switch template this thread_local throw true try typedef typeid"
    " typename typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor"
    " xor_eq NULL EOF I INFINITY NAN errno linux unix stdin stdout "
    "stderr"
    " ";

static bool ends_with(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n >= m && !strcmp(name + n - m, end);
}

// C keeps `_A` and `__a` for itself, and names like INT64_MAX.
static bool is_reserved(const char *name) {
  static const char *const limits[] = {"_MAX", "_MIN", "_WIDTH"};
  if (name[0] == '_' && (name[1] == '_' || isupper((unsigned char)name[1]))) return true;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (ends_with(name, limits[i])) return true;
  const char *word = taken;
  size_t n = strlen(name);
  while ((word = strstr(word, name)) && (word[-1] != ' ' || word[n] != ' ')) word += n;
  return word;
}

static bool is_used(const Names *names, const char *name) {
  for (int i = 0; i < names->n; i++)
    if (!strcmp(names->used[i], name)) return true;
  return false;
}

// Letters, digits and underscores; what else there is becomes an underscore.
static char *identifier(Arena *a, const char *text) {
  bool digit = isdigit((unsigned char)*text);
  char *name = (char *)arena_printf(a, "%s%s", digit || !*text ? "_" : "", text);
  for (char *c = name; *c; c++)
    if (!isalnum((unsigned char)*c)) *c = '_';
  return name;
}

static const char *unique(Names *names, const char *text) {
  const char *name = identifier(names->arena, text);
  if (name[0] == '_' && is_reserved(name)) name = arena_printf(names->arena, "x%s", name);
  while (is_reserved(name) || is_used(names, name)) name = arena_printf(names->arena, "%s_", name);
  return names->used[names->n++] = name;
}

// ---- one function ------------------------------------------------------------------------------------------------------

typedef struct Text { // its declaration's parameters, the slots that go in, and what comes out
  StrBuf params, in, out;
  int n_in, n_out;
} Text;

static const char *const c_types[] = {
    [IR_BOOL] = "bool", [IR_INT] = "int64_t", [IR_F32] = "float", [IR_F64] = "double"};
static const char *const fields[] = {[IR_BOOL] = "b", [IR_INT] = "i64", [IR_F32] = "f32", [IR_F64] = "f64"};

static void put_slot(Text *t, const char *field, const char *value) {
  sb_addf(&t->in, "  in_[%d].%s = %s;\n", t->n_in++, field, value);
}

static int size_of(const IrFunc *f, IrVal dim) { // which size parameter; -1: none
  for (int k = 0; k < f->n_sizes; k++)
    if (f->body->args[k] == dim) return k;
  return -1;
}

static bool is_identifier(const char *text) {
  if (!text || isdigit((unsigned char)*text)) return false;
  for (; *text; text++)
    if (!isalnum((unsigned char)*text) && *text != '_') return false;
  return true;
}

static bool is_number(const char *text) {
  for (; text && isdigit((unsigned char)*text); text++)
    if (!text[1]) return true;
  return false;
}

static bool has_size(const IrFunc *f, int size) { // does an array have it as one of its own?
  for (int p = f->n_sizes; p < f->n_params; p++) {
    IrType t = ir_type(f, f->body->args[p]);
    for (int d = 0; !t.grow && d < t.rank; d++)
      if (ir_dims(f, f->body->args[p])[d] == f->body->args[size]) return true;
  }
  return false;
}

static void put_array(Text *t, Names *names, const IrFunc *f, int p, const char *const *sizes) {
  IrVal v = f->body->args[p];
  IrType type = ir_type(f, v);
  const char *name = unique(names, f->params[p].path ? f->params[p].path : "argument");
  sb_addf(&t->params, ", const %s *%s", c_types[type.elem], name);
  put_slot(t, "data", arena_printf(names->arena, "(void *)%s", name));
  for (int d = 0; d < type.rank; d++) {
    int size = type.grow ? -1 : size_of(f, ir_dims(f, v)[d]);
    const char *text = size < 0 ? NULL : sizes[size];
    if (!text) { // an expression of others, which the function checks
      text = unique(names, arena_printf(names->arena, "%s_size%d", name, d));
      sb_addf(&t->params, ", int64_t %s", text);
    }
    put_slot(t, "i64", text);
  }
}

static void put_params(Text *t, Names *names, const IrFunc *f) {
  const char **sizes = ARENA_ARRAY(names->arena, const char *, f->n_sizes + 1);
  for (int k = 0; k < f->n_sizes; k++) {
    const char *path = f->params[k].path;
    if (is_number(path)) sizes[k] = path;
    if (!is_identifier(path) && has_size(f, k)) continue;
    sizes[k] = unique(names, path ? path : "size");
    sb_addf(&t->params, ", int64_t %s", sizes[k]);
    if (!has_size(f, k)) put_slot(t, "i64", sizes[k]);
  }
  for (int p = f->n_sizes; p < f->n_params; p++) {
    IrType type = ir_type(f, f->body->args[p]);
    if (type.rank) {
      put_array(t, names, f, p, sizes);
      continue;
    }
    const char *name = unique(names, f->params[p].path ? f->params[p].path : "argument");
    sb_addf(&t->params, ", %s %s", c_types[type.elem], name);
    put_slot(t, fields[type.elem], name);
  }
}

static void put_result(Text *t, Names *names, IrType type, const char *path) {
  while (path && *path == '.') path++;
  Arena *a = names->arena;
  const char *name = unique(names, path && *path ? arena_printf(a, "result_%s", path) : "result");
  const char *c = c_types[type.elem];
  if (!type.rank) {
    sb_addf(&t->params, ", %s *%s", c, name);
    sb_addf(&t->out, "  *%s = out_[%d].%s;\n", name, t->n_out++, fields[type.elem]);
    return;
  }
  const char *sizes = unique(names, arena_printf(a, "%s_sizes", name));
  sb_addf(&t->params, ", %s **%s, int64_t *%s", c, name, sizes);
  sb_addf(&t->out, "  *%s = (%s *)out_[%d].data;\n", name, c, t->n_out++);
  for (int d = 0; d < type.rank; d++)
    sb_addf(&t->out, "  if (%s) %s[%d] = out_[%d].i64;\n", sizes, sizes, d, t->n_out++);
}

static bool crosses(const IrFunc *f) { // text does not
  for (int k = 0; k < f->n_results; k++)
    if (f->results[k].elem == IR_STRING) return false;
  for (int p = 0; p < f->n_params; p++)
    if (ir_type(f, f->body->args[p]).elem == IR_STRING) return false;
  return true;
}

static void put_function(Library *l, const IrFunc *f) {
  if (!crosses(f)) {
    sb_addf(l->header, "\n// Not for C, since text does not cross: %s\n", f->signature);
    return;
  }
  int n_names = 1 + (1 + IR_MAX_RANK) * f->n_params + 2 * f->n_results;
  Names names = {l->arena, ARENA_ARRAY(l->arena, const char *, n_names), 0};
  const char *called = unique(&names, arena_printf(l->arena, "function%d_", l->functions.n));
  Text t = {0};
  sb_init(&t.params, l->arena);
  sb_init(&t.in, l->arena);
  sb_init(&t.out, l->arena);
  put_params(&t, &names, f);
  for (int k = 0; k < f->n_results; k++)
    put_result(&t, &names, f->results[k], f->result_leaves ? f->result_leaves[k].path : NULL);
  const char *name = unique(&l->functions, arena_printf(l->arena, "%s_%s", l->prefix, f->name));
  const char *params = t.params.data ? t.params.data : "";
  sb_addf(l->header, "\n// %s\nint32_t %s(dprt_ctx *ctx%s);\n", f->signature, name, params);
  sb_addf(l->source, "\nextern int32_t %s(dprt_ctx *, const dprt_slot *, dprt_slot *) __asm__(\"dp.%s\");\n",
          called, f->name);
  sb_addf(l->source, "OFFERED int32_t %s(dprt_ctx *ctx%s) {\n", name, params);
  sb_addf(l->source, "  dprt_slot in_[%d], out_[%d];\n%s", t.n_in + 1, t.n_out + 1,
          t.in.data ? t.in.data : "");
  sb_addf(l->source,
          "  dprt_clear_error(ctx);\n  int32_t status_ = %s(ctx, in_, out_);\n  if (status_) return "
          "status_;\n%s  return 0;\n}\n",
          called, t.out.data ? t.out.data : "");
}

// ---- the texts ---------------------------------------------------------------------------------------------------------

static const char header_start[] =
    "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
    "// Each function returns 0, or what went wrong as a number that is not; then dprt_error_text says it in "
    "words and nothing was\n"
    "// written. Arrays are row by row; those that are given are only read. Those that come back belong to "
    "the caller:\n"
    "// dprt_free, or with the context. Where their sizes are not wanted, NULL is. A context is for one "
    "thread at a time.\n"
    "#ifndef DP_DPRT_H\n"
    "typedef struct dprt_ctx dprt_ctx;\n"
    "struct dprt_hooks;\n"
    "dprt_ctx *dprt_ctx_new(const struct dprt_hooks *hooks); // NULL: the usual ones; gives NULL when out of "
    "memory\n"
    "void dprt_ctx_free(dprt_ctx *ctx);                      // with all arrays that came from it\n"
    "void dprt_free(dprt_ctx *ctx, void *array);             // NULL is fine\n"
    "const char *dprt_error_text(dprt_ctx *ctx);             // of the latest call\n"
    "#endif\n";

static const char source_start[] = "#include <stdbool.h>\n#include <stdint.h>\n"
                                   "#define OFFERED __attribute__((visibility(\"default\")))\n"
                                   "typedef struct dprt_ctx dprt_ctx;\n"
                                   "typedef union dprt_slot { double f64; float f32; int64_t i64; bool b; "
                                   "void *data; const char *str; } dprt_slot;\n"
                                   "void dprt_clear_error(dprt_ctx *ctx);\n";

// Of a path: the file's name without `lib` in front and what follows a dot. The runtime's own functions start with `dprt`.
static const char *library_name(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  if (!strncmp(name, "lib", 3) && isalnum((unsigned char)name[3])) name += 3;
  const char *runtime = strncmp(name, "dprt", 4) ? "" : "lib";
  return identifier(a, arena_printf(a, "%s%.*s", runtime, (int)strcspn(name, "."), name));
}

void library_for_c(Arena *a, const IrModule *m, const char *path, StrBuf *header, StrBuf *source) {
  Library l = {a, library_name(a, path), {a, ARENA_ARRAY(a, const char *, m->funcs.len), 0}, header, source};
  const char *guard = identifier(a, arena_printf(a, "DP_LIBRARY_%s_H", l.prefix));
  sb_addf(header, "// What the library offers to C, made by dp %s.\n#ifndef %s\n#define %s\n\n%s", DP_VERSION,
          guard, guard, header_start);
  sb_add(source, source_start);
  for (int i = 0; i < m->funcs.len; i++)
    if (m->funcs.data[i]->is_export && m->funcs.data[i]->body) put_function(&l, m->funcs.data[i]);
  sb_add(header, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
