// Loading: the main module, the prelude and everything they import, parsed.
// In: a path or a text, and a host that reads files; out: p->modules, imports before importers. What must hold: a file is
// read once however it is reached; a circle of imports is reported with its members.
#include "sema/check.h"

#include <string.h>

typedef struct Loading { // the chain of imports at hand
  struct Loading *outer;
  const char *path;
} Loading;

typedef struct Loader {
  Checker *c;
  const SemaHost *host;
} Loader;

// a/./b/../c -> a/c
static const char *clean_path(Arena *a, const char *path) {
  size_t len = strlen(path);
  char *out = arena_alloc(a, len + 2);
  size_t n = 0;
  const char *s = path;
  if (*s == '/') out[n++] = *s++;
  size_t root = n;
  while (*s) {
    size_t part = strcspn(s, "/");
    bool up = part == 2 && s[0] == '.' && s[1] == '.';
    size_t last = n;
    while (last > root && out[last - 1] != '/') last--;
    bool can_pop = n > root && strncmp(out + last, "..", n - last) != 0;
    if (up && can_pop) {
      n = last > root ? last - 1 : root;
    } else if (part && !(part == 1 && s[0] == '.')) {
      if (n > root) out[n++] = '/';
      memcpy(out + n, s, part);
      n += part;
    }
    s += part;
    while (*s == '/') s++;
  }
  out[n] = 0;
  return n ? out : ".";
}

static const char *relative_to(Arena *a, const char *importer, const char *path) {
  const char *slash = path[0] == '/' ? NULL : strrchr(importer, '/');
  if (!slash) return clean_path(a, path);
  return clean_path(a, arena_printf(a, "%.*s/%s", (int)(slash - importer), importer, path));
}

static Module *find_loaded(const Loader *l, const char *path) {
  for (int i = 0; i < l->c->p->modules.len; i++)
    if (strcmp(l->c->p->modules.data[i]->path, path) == 0) return l->c->p->modules.data[i];
  return NULL;
}

static bool report_cycle(Loader *l, const Loading *chain, const char *path, Loc loc) {
  const Loading *in = chain;
  while (in && strcmp(in->path, path) != 0) in = in->outer;
  if (!in) return false;
  StrBuf circle;
  sb_init(&circle, l->c->a);
  sb_add(&circle, path);
  VEC(const char *) names = {0};
  for (const Loading *k = chain; k != in; k = k->outer) vec_push(l->c->a, &names, k->path);
  for (int i = names.len - 1; i >= 0; i--) sb_addf(&circle, " imports %s, which", names.data[i]);
  Diag *g = diag_add(l->c->d, DIAG_IMPORT_CYCLE, loc, "this import closes a circle");
  diag_note(l->c->d, g, "%s imports %s", circle.data, path);
  diag_help(l->c->d, g, "move what both need into a module of its own");
  return true;
}

static Module *load_text(Loader *l, Loading *chain, const char *path, const char *text, size_t len,
                         bool is_std);

static Module *load_std(Loader *l, Loading *chain, Module *importer, const char *name, Loc loc) {
  Checker *c = l->c;
  const char *path = arena_printf(c->a, "<%s>", name);
  Module *loaded = find_loaded(l, path);
  if (loaded || report_cycle(l, chain, path, loc)) return loaded;
  size_t len;
  const char *text = l->host->std_module ? l->host->std_module(l->host->user, name, &len) : NULL;
  if (text) return load_text(l, chain, path, text, len, true);
  Diag *g = diag_add(c->d, DIAG_IMPORT, loc, "there is no standard module `%s`", name);
  VEC(Name) names = {0};
  StrBuf list;
  sb_init(&list, c->a);
  for (int i = 0; l->host->std_names && l->host->std_names[i]; i++) {
    vec_push(c->a, &names, intern_cstr(c->names, l->host->std_names[i]));
    if (strcmp(l->host->std_names[i], "prelude") != 0)
      sb_addf(&list, "%s`%s`", list.len ? ", " : "", l->host->std_names[i]);
  }
  Name near = nearest_name(intern_cstr(c->names, name), names.data, names.len);
  if (near) vec_push(c->a, &importer->lost, near); // whose uses are no mistakes
  if (near)
    diag_help(c->d, g, "did you mean `%s`? A file is imported by its path: `import \"%s.dp\" as %s`", near,
              name, name);
  else
    diag_help(c->d, g, "a file is imported by its path: `import \"%s.dp\" as %s`%s%s", name, name,
              list.len ? "; standard modules are " : "", list.data ? list.data : "");
  return NULL;
}

static Module *load_file(Loader *l, Loading *chain, const char *path, Loc loc) {
  Checker *c = l->c;
  Module *loaded = find_loaded(l, path);
  if (loaded || report_cycle(l, chain, path, loc)) return loaded;
  size_t len = 0;
  const char *why = NULL;
  const char *text = l->host->read ? l->host->read(l->host->user, c->a, path, &len, &why) : NULL;
  if (text) return load_text(l, chain, path, text, len, false);
  if (!why) why = arena_printf(c->a, "cannot read '%s'", path);
  Diag *g = diag_add(c->d, loc.file ? DIAG_IMPORT : DIAG_FILE, loc, "%s", why);
  if (loc.file) diag_note(c->d, g, "an import's path is relative to the file it stands in");
  return NULL;
}

static int chain_length(const Loading *chain) {
  int n = 0;
  for (; chain; chain = chain->outer) n++;
  return n;
}

static void load_imports(Loader *l, Loading *chain, Module *m, const char *path) {
  for (int i = 0; i < m->imports.len; i++) {
    Import *import = &m->imports.data[i];
    if (!import->path) continue;
    if (chain_length(chain) > MAX_IMPORT_DEPTH) {
      diag_add(l->c->d, DIAG_IMPORT, import->path_loc, "imports are nested more than %d deep",
               MAX_IMPORT_DEPTH);
      return;
    }
    import->module = import->is_std
                         ? load_std(l, chain, m, import->path, import->path_loc)
                         : load_file(l, chain, relative_to(l->c->a, path, import->path), import->path_loc);
  }
}

static Module *load_text(Loader *l, Loading *chain, const char *path, const char *text, size_t len,
                         bool is_std) {
  Checker *c = l->c;
  int file = sources_add(c->p->sources, path, text, len);
  if (!file) diag_add(c->d, DIAG_FILE, LOC_NONE, "'%s' is one file too many for one program", path);
  Module *m = parse_module(c->a, c->names, c->p->sources, file, c->d);
  m->path = path;
  m->is_std = is_std;
  Loading here = {chain, path};
  load_imports(l, &here, m, path);
  vec_push(c->a, &c->p->modules, m);
  return m;
}

bool load_program(Checker *c, const SemaHost *host, const char *path, const char *text, size_t len) {
  Loader l = {c, host};
  size_t prelude_len = 0;
  const char *prelude = host->std_module ? host->std_module(host->user, "prelude", &prelude_len) : NULL;
  if (prelude) c->p->prelude = load_text(&l, NULL, "<prelude>", prelude, prelude_len, true);
  const char *clean = !path ? "<text>" : *path ? clean_path(c->a, path) : path;
  if (text)
    c->p->main = load_text(&l, NULL, clean, text, len, false);
  else
    c->p->main = load_file(&l, NULL, clean, LOC_NONE);
  return c->p->main != NULL;
}
