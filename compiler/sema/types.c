// Types: making, printing, comparing and rewriting them. In and out: types, which are immutable and shared.
// What must hold: an array's element is never an array; a type's leaves come in the order of its parts.
#include "sema/check.h"

#include <string.h>

// ---- making ------------------------------------------------------------------------------------------------------

static void add_part(int *leaves, int *depth, const Type *part) {
  *leaves += part->leaves ? part->leaves : 1;
  if (*leaves > MAX_LEAVES) *leaves = MAX_LEAVES + 1;
  if (part->depth >= *depth) *depth = part->depth + 1;
}

static void measure(Type *t) {
  switch (t->kind) {
  case TYPE_ARRAY:
  case TYPE_GROW:
    t->leaves = t->elem->leaves;
    t->depth = t->elem->depth;
    break;
  case TYPE_STRUCT:
    t->leaves = t->decl->leaves;
    t->depth = t->decl->depth;
    break;
  case TYPE_TUPLE:
    t->leaves = t->depth = 0;
    for (int i = 0; i < t->n_parts; i++) add_part(&t->leaves, &t->depth, t->parts[i]);
    break;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_REAL:
  case TYPE_STR:
  case TYPE_FN: break;
  }
}

static Type *type_new(Arena *a, Type t) {
  Type *p = ARENA_NEW(a, Type);
  *p = t;
  measure(p);
  return p;
}

void struct_add_field(StructDecl *s, const Type *field) {
  if (!s->leaves && !s->depth) s->depth = 1;
  add_part(&s->leaves, &s->depth, field);
}

bool type_is_huge(const Type *t) { return t->leaves > MAX_LEAVES || t->depth > MAX_TYPE_DEPTH; }

Type *report_huge(Checker *c, Loc loc, const Type *t) {
  Diag *g = t->depth > MAX_TYPE_DEPTH
                ? diag_add(c->d, DIAG_TYPE_USE, loc, "this type is nested more than %d deep", MAX_TYPE_DEPTH)
                : diag_add(c->d, DIAG_TYPE_USE, loc, "this type holds more than %d parts", MAX_LEAVES);
  diag_help(c->d, g, "collect parts of one type in an array");
  return c->error;
}

Type *type_array(Checker *c, Type *elem, int rank, Size **dims) {
  if (elem->kind == TYPE_ERROR) return c->error;
  if (elem->kind != TYPE_ARRAY)
    return type_new(c->a, (Type){.kind = TYPE_ARRAY, .elem = elem, .rank = rank, .dims = dims});
  Size **all = ARENA_ARRAY(c->a, Size *, rank + elem->rank);
  for (int i = 0; i < rank; i++) all[i] = dims[i];
  for (int i = 0; i < elem->rank; i++) all[rank + i] = elem->dims[i];
  return type_new(c->a,
                  (Type){.kind = TYPE_ARRAY, .elem = elem->elem, .rank = rank + elem->rank, .dims = all});
}

Type *type_grow(Checker *c, Type *elem) {
  return elem->kind == TYPE_ERROR ? c->error : type_new(c->a, (Type){.kind = TYPE_GROW, .elem = elem});
}

Type *type_tuple(Checker *c, Type **parts, Name *names, int n) {
  return type_new(c->a, (Type){.kind = TYPE_TUPLE, .parts = parts, .names = names, .n_parts = n});
}

Type *type_fn(Checker *c, Type **params, int n, Type *result, Signature *scheme) {
  return type_new(c->a,
                  (Type){.kind = TYPE_FN, .parts = params, .n_parts = n, .result = result, .scheme = scheme});
}

Type *type_struct(Checker *c, StructDecl *decl, Size **sizes) {
  return type_new(c->a, (Type){.kind = TYPE_STRUCT, .decl = decl, .sizes = sizes});
}

// ---- printing ----------------------------------------------------------------------------------------------------

static void print_sizes(Size *const *sizes, int n, StrBuf *out) {
  sb_addc(out, '[');
  for (int i = 0; i < n; i++) {
    if (i) sb_add(out, ", ");
    size_print(sizes[i], out);
  }
  sb_addc(out, ']');
}

static void print_parts(const Type *t, StrBuf *out) {
  sb_addc(out, '(');
  for (int i = 0; i < t->n_parts; i++) {
    if (i) sb_add(out, ", ");
    if (t->names && t->names[i]) sb_addf(out, "%s: ", t->names[i]);
    type_print(t->parts[i], out);
  }
  sb_addc(out, ')');
}

void type_print(const Type *t, StrBuf *out) {
  switch (t->kind) {
  case TYPE_ERROR: sb_add(out, "?"); break;
  case TYPE_VOID: sb_add(out, "nothing"); break;
  case TYPE_BOOL: sb_add(out, "bool"); break;
  case TYPE_INT: sb_add(out, "int"); break;
  case TYPE_F32: sb_add(out, "f32"); break;
  case TYPE_F64: sb_add(out, "f64"); break;
  case TYPE_REAL: sb_add(out, "real"); break;
  case TYPE_STR: sb_add(out, "str"); break;
  case TYPE_ARRAY:
    print_sizes(t->dims, t->rank, out);
    type_print(t->elem, out);
    break;
  case TYPE_GROW:
    sb_add(out, "[*]");
    type_print(t->elem, out);
    break;
  case TYPE_STRUCT:
    sb_add(out, t->decl->name);
    if (t->decl->sizes.len) print_sizes(t->sizes, t->decl->sizes.len, out);
    break;
  case TYPE_TUPLE: print_parts(t, out); break;
  case TYPE_FN:
    sb_add(out, "fn");
    print_parts(t, out);
    if (t->result && t->result->kind != TYPE_VOID) {
      sb_add(out, " -> ");
      type_print(t->result, out);
    }
    break;
  }
}

const char *type_text(Arena *a, const Type *t) {
  StrBuf sb;
  sb_init(&sb, a);
  type_print(t, &sb);
  return sb.data;
}

// ---- questions ---------------------------------------------------------------------------------------------------

bool type_equal(const Type *a, const Type *b) { return type_match(a, b, NULL) == MATCH_OK; }

bool type_is_float(const Type *t) {
  return t->kind == TYPE_F32 || t->kind == TYPE_F64 || t->kind == TYPE_REAL;
}

bool type_is_numeric(const Type *t) { return t->kind == TYPE_INT || type_is_float(t); }

bool type_any_part(const Type *t, TypeTest *f, void *user) {
  bool is_struct = t->kind == TYPE_STRUCT, is_tuple = t->kind == TYPE_TUPLE;
  if (t->kind == TYPE_ARRAY || t->kind == TYPE_GROW) return f(user, t->elem);
  int n = is_tuple ? t->n_parts : is_struct && t->decl->field_types ? t->decl->fields.len : 0;
  for (int i = 0; i < n; i++) {
    const Type *part = is_tuple ? t->parts[i] : t->decl->field_types[i];
    if (part && f(user, part)) return true;
  }
  return false;
}

typedef struct LeafTest {
  TypeTest *f;
  void *user;
} LeafTest;

static bool test_leaves(void *user, const Type *t) {
  const LeafTest *test = user;
  bool whole = t->kind != TYPE_ARRAY && t->kind != TYPE_STRUCT && t->kind != TYPE_TUPLE;
  return whole ? test->f(test->user, t) : type_any_part(t, test_leaves, user);
}

// Calls f on every leaf's type; stops when f says so.
static bool any_leaf(const Type *t, TypeTest *f, void *user) { return test_leaves(&(LeafTest){f, user}, t); }

static bool leaf_is_float(void *user, const Type *leaf) {
  (void)user;
  return type_is_float(leaf) || (leaf->kind == TYPE_GROW && type_holds_floats(leaf->elem));
}
static bool leaf_is_no_float(void *user, const Type *leaf) {
  (void)user;
  return !type_is_float(leaf);
}
static bool leaf_grows(void *user, const Type *leaf) {
  (void)user;
  return leaf->kind == TYPE_GROW;
}
static bool leaf_is_error(void *user, const Type *leaf) {
  (void)user;
  return leaf->kind == TYPE_ERROR;
}

bool type_holds_floats(const Type *t) { return any_leaf(t, leaf_is_float, NULL); }
bool type_all_floats(const Type *t) { return type_holds_floats(t) && !any_leaf(t, leaf_is_no_float, NULL); }
bool type_has_grow(const Type *t) { return any_leaf(t, leaf_grows, NULL); }
bool type_has_error(const Type *t) { return any_leaf(t, leaf_is_error, NULL); }

static bool leaf_differs(void *user, const Type *leaf) {
  const Type **kind = user;
  if (!*kind) *kind = leaf;
  return (*kind)->kind != leaf->kind;
}

Type *type_float_kind(Checker *c, Type *t) {
  (void)c;
  const Type *kind = NULL;
  if (any_leaf(t, leaf_differs, &kind) || !kind || !type_is_float(kind)) return NULL;
  return (Type *)kind;
}

int type_leaf_count(const Type *t) {
  int n = 0;
  switch (t->kind) {
  case TYPE_ARRAY:
  case TYPE_GROW: return type_leaf_count(t->elem);
  case TYPE_STRUCT:
    for (int i = 0; t->decl->field_types && i < t->decl->fields.len; i++)
      n += type_leaf_count(t->decl->field_types[i]);
    return n;
  case TYPE_TUPLE:
    for (int i = 0; i < t->n_parts; i++) n += type_leaf_count(t->parts[i]);
    return n;
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_REAL:
  case TYPE_STR: return 1;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_FN: return 0;
  }
  return 0;
}

bool type_any_atom(const Type *t, bool (*f)(void *user, const Atom *atom), void *user) {
  switch (t->kind) {
  case TYPE_ARRAY:
    for (int i = 0; i < t->rank; i++)
      if (size_any(t->dims[i], f, user)) return true;
    return type_any_atom(t->elem, f, user);
  case TYPE_GROW: return type_any_atom(t->elem, f, user);
  case TYPE_STRUCT:
    for (int i = 0; i < t->decl->sizes.len; i++)
      if (size_any(t->sizes[i], f, user)) return true;
    return false;
  case TYPE_FN:
    if (t->result && type_any_atom(t->result, f, user)) return true;
    __attribute__((fallthrough)); // to its parameters
  case TYPE_TUPLE:
    for (int i = 0; i < t->n_parts; i++)
      if (type_any_atom(t->parts[i], f, user)) return true;
    return false;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_REAL:
  case TYPE_STR: return false;
  }
  return false;
}

// ---- parts -------------------------------------------------------------------------------------------------------

Type *type_element(Checker *c, Type *t) {
  if (t->kind == TYPE_GROW || (t->kind == TYPE_ARRAY && t->rank == 1)) return t->elem;
  return t->kind == TYPE_ARRAY ? type_array(c, t->elem, t->rank - 1, t->dims + 1) : c->error;
}

Type *type_scalar_of(Type *t) { return t->kind == TYPE_ARRAY ? t->elem : t; }

Type *type_field(Checker *c, const Type *t, int i) {
  StructDecl *s = t->decl;
  if (!s->field_types) return c->error;
  SizeSubst subst = {0};
  for (int k = 0; k < s->sizes.len; k++)
    vec_push(c->a, &subst, ((SizeBinding){s->size_symbols[k], t->sizes[k]}));
  return type_subst(c->a, s->field_types[i], &subst, NULL);
}

// ---- rewriting -----------------------------------------------------------------------------------------------------

static Size **map_sizes(Arena *a, Size **sizes, int n, AtomMap *f, void *user) {
  Size **out = ARENA_ARRAY(a, Size *, n + 1);
  for (int i = 0; i < n; i++) out[i] = size_map(a, sizes[i], f, user);
  return out;
}

static Type **map_types(Arena *a, Type **types, int n, AtomMap *f, void *user, Type *real) {
  Type **out = ARENA_ARRAY(a, Type *, n + 1);
  for (int i = 0; i < n; i++) out[i] = type_map(a, types[i], f, user, real);
  return out;
}

Type *type_map(Arena *a, Type *t, AtomMap *f, void *user, Type *real) {
  Type copy = *t;
  switch (t->kind) {
  case TYPE_REAL: return real ? real : t;
  case TYPE_ERROR:
  case TYPE_VOID:
  case TYPE_BOOL:
  case TYPE_INT:
  case TYPE_F32:
  case TYPE_F64:
  case TYPE_STR: return t;
  case TYPE_ARRAY:
    copy.elem = type_map(a, t->elem, f, user, real);
    copy.dims = map_sizes(a, t->dims, t->rank, f, user);
    break;
  case TYPE_GROW: copy.elem = type_map(a, t->elem, f, user, real); break;
  case TYPE_STRUCT:
    if (!t->decl->sizes.len) return t;
    copy.sizes = map_sizes(a, t->sizes, t->decl->sizes.len, f, user);
    break;
  case TYPE_FN:
    if (t->result) copy.result = type_map(a, t->result, f, user, real);
    __attribute__((fallthrough)); // to its parameters
  case TYPE_TUPLE: copy.parts = map_types(a, t->parts, t->n_parts, f, user, real); break;
  }
  return type_new(a, copy);
}

static Size *subst_atom(void *user, Arena *a, const Atom *atom) {
  (void)a;
  const SizeSubst *subst = user;
  if (atom->kind != ATOM_SYMBOL) return NULL;
  for (int i = 0; i < subst->len; i++)
    if (subst->data[i].symbol == atom->symbol) return subst->data[i].size;
  return NULL;
}

Type *type_subst(Arena *a, Type *t, const SizeSubst *subst, Type *real) {
  return type_map(a, t, subst_atom, (void *)subst, real);
}

Size *fresh_opaque(Checker *c, Loc origin, const char *what) {
  return size_opaque(c->a, ++c->next_opaque, origin, what);
}

// ---- opaque sizes: fresh ones per call, and for what leaves a block --------------------------------------------------

typedef struct Freshen {
  Checker *c;
  Loc origin;
  int first_symbol, first_opaque; // what was made since
  bool all;                       // every opaque atom, no names
  Symbol **keep;
  int n_keep;
  VEC(const Atom *) old;
  VEC(Size *) fresh;
} Freshen;

static bool made_since(const Freshen *f, const Atom *atom) {
  if (atom->kind == ATOM_SYMBOL) return !f->all && atom->symbol->id >= f->first_symbol;
  return atom->kind == ATOM_OPAQUE && atom->id && (f->all || atom->id > f->first_opaque);
}

static bool is_kept(const Freshen *f, const Atom *atom) {
  for (int i = 0; i < f->n_keep; i++)
    if (f->keep[i] == atom->symbol) return true;
  return false;
}

static Size *freshen_atom(void *user, Arena *a, const Atom *atom) {
  Freshen *f = user;
  // What a block computed inside keeps its opaque sizes; only its names go out of sight.
  if (!made_since(f, atom) || (!f->all && (atom->kind == ATOM_OPAQUE || is_kept(f, atom)))) return NULL;
  for (int i = 0; i < f->old.len; i++) {
    const Atom *o = f->old.data[i];
    if (o->kind == atom->kind && o->symbol == atom->symbol && o->id == atom->id) return f->fresh.data[i];
  }
  const char *what = atom->kind == ATOM_SYMBOL ? atom->symbol->name : atom->what;
  Size *fresh = fresh_opaque(f->c, f->origin, what);
  vec_push(a, &f->old, atom);
  vec_push(a, &f->fresh, fresh);
  return fresh;
}

Type *type_freshen(Checker *c, Type *t, Loc origin) {
  Freshen f = {.c = c, .origin = origin, .all = true};
  return type_map(c->a, t, freshen_atom, &f, NULL);
}

Type *type_escape(Checker *c, Type *t, int first_symbol, Symbol **keep, int n_keep, Loc origin) {
  Freshen f = {.c = c, .origin = origin, .first_symbol = first_symbol, .keep = keep, .n_keep = n_keep};
  return type_map(c->a, t, freshen_atom, &f, NULL);
}

static bool atom_made_since(void *user, const Atom *atom) { return made_since(user, atom); }

bool type_made_since(const Type *t, int first_symbol, int first_opaque) {
  Freshen f = {.first_symbol = first_symbol, .first_opaque = first_opaque};
  return type_any_atom(t, atom_made_since, &f);
}
