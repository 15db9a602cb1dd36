// The driver: one compilation, stage by stage. In: a path or a text. Out: IR, machine code, or diagnostics.
#include "driver/driver.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

static const size_t DEFAULT_BUDGET = (size_t)4 << 30;

DriverOptions driver_options_default(void) {
  return (DriverOptions){.cg = {.opt_level = 2, .cpu = "native"}};
}

static size_t budget_of(const Session *s) { return s->o.memory_budget ? s->o.memory_budget : DEFAULT_BUDGET; }

bool session_open(Session *s, const DriverOptions *o) {
  *s = (Session){.o = *o};
  s->arena = arena_new(budget_of(s));
  s->work = arena_new(budget_of(s));
  if (!s->arena || !s->work) {
    session_close(s);
    return false;
  }
  s->names = interner_new(s->arena);
  sources_init(&s->sources, s->arena);
  diags_init(&s->diags, s->arena, &s->sources);
  sb_init(&s->dumped, s->arena);
  return true;
}

void session_close(Session *s) {
  arena_free(s->arena);
  arena_free(s->work);
  s->arena = s->work = NULL;
}

void session_forget(Session *s) { arena_clear(s->work); }

static void on_exhausted(Session *s, jmp_buf *to) {
  arena_on_exhausted(s->arena, to);
  arena_on_exhausted(s->work, to);
}

static bool guarded(Session *s, bool (*fn)(void *user), void *user, bool *ok) {
  jmp_buf exhausted;
  if (setjmp(exhausted)) {
    on_exhausted(s, NULL);
    return false;
  }
  on_exhausted(s, &exhausted);
  *ok = fn(user);
  on_exhausted(s, NULL);
  return true;
}

// An exhausted arena has a little left to say so with.
static bool report_exhausted(void *user) {
  Session *s = user;
  size_t mib = (arena_used(s->arena) + arena_used(s->work)) >> 20, budget = budget_of(s) >> 20;
  Diag *d = diag_add(&s->diags, DIAG_BUDGET, LOC_NONE, "the compiler ran out of memory after %zu MiB", mib);
  if (mib + 1 >= budget) diag_note(&s->diags, d, "it may take %zu MiB", budget);
  diag_help(&s->diags, d, "split the program, or write its large expressions and arrays as loops");
  return true;
}

bool session_guard(Session *s, bool (*fn)(void *user), void *user) {
  bool ok = false;
  size_t used = arena_used(s->arena), budget = budget_of(s);
  arena_limit(s->work, used < budget ? budget - used : 1);
  if (guarded(s, fn, user, &ok)) return ok;
  if (!guarded(s, report_exhausted, s, &ok)) s->diags.n_errors++; // no memory even for that
  return false;
}

// ---- sources of modules ------------------------------------------------------------------------------------------------

static const struct {
  const char *name, *text;
  size_t len;
} std_modules[] = {
#define STD_MODULE(name, text) {name, text, sizeof(text) - 1},
#include "stdlib_modules.def"
#undef STD_MODULE
};

static const char *const std_names[] = {
#define STD_MODULE(name, text) name,
#include "stdlib_modules.def"
#undef STD_MODULE
    NULL};

static const char *std_module(void *user, const char *name, size_t *len) {
  (void)user;
  for (size_t i = 0; i < sizeof std_modules / sizeof *std_modules; i++) {
    if (strcmp(std_modules[i].name, name) != 0) continue;
    *len = std_modules[i].len;
    return std_modules[i].text;
  }
  return NULL;
}

static const char *read_module(void *user, Arena *a, const char *path, size_t *len, const char **why) {
  (void)user;
  return file_read(a, path, len, why);
}

// ---- stages ------------------------------------------------------------------------------------------------------------

bool session_load(Session *s, const char *path, const char *text, size_t len) {
  SemaHost host = {.read = read_module, .std_module = std_module, .std_names = std_names};
  s->program = sema_program(s->arena, s->names, &s->sources, &s->diags, &host, path, text, len);
  return s->diags.n_errors == 0;
}

static bool verified(Session *s, const IrModule *m, const char *stage) {
  const char *wrong = ir_verify_module(s->work, m);
  if (!wrong) return true;
  Diag *d = diag_add(&s->diags, DIAG_INTERNAL, LOC_NONE, "the IR is malformed after %s: %s", stage, wrong);
  diag_help(&s->diags, d, "this is a mistake in dp, not in the program; please report it with the program");
  return false;
}

IrModule *session_lower(Session *s, const LowerRoot *roots, int n) {
  IrModule *m = lower_program(s->work, s->program, roots, n);
  if (!m || s->diags.n_errors) return NULL;
  return verified(s, m, "lowering") ? m : NULL;
}

bool session_differentiate(Session *s, IrModule *m) {
  return ad_expand(m, &s->diags) && verified(s, m, "differentiation");
}

typedef struct DumpState {
  Session *s;
  const char *wrong, *wrong_after;
} DumpState;

static void after_pass(void *user, const char *pass, const IrFunc *f) {
  DumpState *d = user;
  if (d->s->o.dump && (!strcmp(d->s->o.dump, "all") || !strcmp(d->s->o.dump, pass))) {
    sb_addf(&d->s->dumped, "// after %s\n", pass);
    ir_print_func(f, &d->s->dumped);
  }
#ifndef NDEBUG
  if (!d->wrong && (d->wrong = ir_verify_func(d->s->arena, f))) d->wrong_after = pass;
#endif
}

bool session_optimize(Session *s, IrModule *m) {
  DumpState d = {s, NULL, NULL};
  OptOptions o = {.level = s->o.cg.opt_level,
                  .stop_after = s->o.stop_after,
                  .disabled = s->o.disabled,
                  .dump = after_pass,
                  .user = &d};
  m->lanes = cg_lanes(&s->o.cg);
  m->lanes_anywhere = s->o.cg.lanes > 0;
  opt_module(m, &o);
  if (d.wrong) {
    diag_add(&s->diags, DIAG_INTERNAL, LOC_NONE, "the IR is malformed after %s: %s", d.wrong_after, d.wrong);
    return false;
  }
  return verified(s, m, "optimisation");
}

static bool llvm_failed(Session *s, const char *why) {
  diag_add(&s->diags, DIAG_MACHINE, LOC_NONE, "%s", why ? why : "code generation failed");
  return false;
}

CgModule *session_codegen(Session *s, IrModule *m, const CgMain *main) {
  const char *why = NULL;
  CgModule *cg = cg_module(s->work, m, &s->o.cg, main, &why);
  if (!cg) {
    llvm_failed(s, why);
    return NULL;
  }
  if (!cg_optimize(cg, &why)) {
    llvm_failed(s, why);
    cg_free(cg);
    return NULL;
  }
  return cg;
}

void *session_jit(Session *s, CgModule *cg, Name f, HostSymbols *host, Region *to) {
  const char *why = NULL;
  Jit *j = jit_new(s->arena, cg, &(JitHost){symbol_find, host}, to, &why);
  void *address = j ? jit_address(j, cg_export_symbol(s->arena, f)) : NULL;
  if (!address) llvm_failed(s, why);
  return address;
}

bool session_seal(Session *s, Region *code) {
  return region_seal(code) || llvm_failed(s, "the system does not let machine code made here be executed");
}

// ---- main's options ----------------------------------------------------------------------------------------------------

typedef struct Constant {
  bool is_float;
  int64_t i;
  double f; // also of an int
} Constant;

static bool constant_number(const Expr *e, Constant *out);

static bool constant_binary(const Expr *e, Constant *out) {
  Constant l, r;
  if (!constant_number(e->binary.left, &l) || !constant_number(e->binary.right, &r)) return false;
  out->is_float = l.is_float || r.is_float;
  bool overflow = false;
  switch (e->binary.op) {
  case BIN_ADD: overflow = __builtin_add_overflow(l.i, r.i, &out->i), out->f = l.f + r.f; break;
  case BIN_SUB: overflow = __builtin_sub_overflow(l.i, r.i, &out->i), out->f = l.f - r.f; break;
  case BIN_MUL: overflow = __builtin_mul_overflow(l.i, r.i, &out->i), out->f = l.f * r.f; break;
  case BIN_DIV: out->f = l.f / r.f; return out->is_float;
  case BIN_POW:
    out->f = pow(l.f, r.f);
    out->i = out->is_float || fabs(out->f) >= 0x1p53 ? 0 : (int64_t)out->f;
    return out->is_float || (r.i >= 0 && fabs(out->f) < 0x1p53);
  default: return false;
  }
  if (!out->is_float) out->f = (double)out->i;
  return out->is_float || !overflow;
}

static bool constant_number(const Expr *e, Constant *out) {
  *out = (Constant){0};
  switch (e->kind) {
  case EXPR_INT: *out = (Constant){false, e->int_value, (double)e->int_value}; return true;
  case EXPR_FLOAT: *out = (Constant){true, 0, e->flt.value}; return true;
  case EXPR_BOOL: *out = (Constant){false, e->bool_value, e->bool_value}; return true;
  case EXPR_UNARY:
    if (!constant_number(e->unary.arg, out)) return false;
    if (e->unary.op == UNARY_NOT) *out = (Constant){false, !out->i, !out->i};
    if (e->unary.op == UNARY_NOT) return true;
    out->f = -out->f;
    return out->is_float || !__builtin_sub_overflow((int64_t)0, out->i, &out->i);
  case EXPR_BINARY: return constant_binary(e, out);
  default: return false;
  }
}

static bool constant_default(const Expr *e, IrElem elem, CgMainParam *p) {
  if (elem == IR_STRING) {
    if (e->kind != EXPR_STRING || e->string.len != 1 || e->string.data[0].hole) return false;
    p->def.s = e->string.data[0].text;
    return true;
  }
  Constant k;
  if (!constant_number(e, &k)) return false;
  if (elem == IR_F64 || elem == IR_F32)
    p->def.f = k.f;
  else
    p->def.i = k.i;
  return elem == IR_F64 || elem == IR_F32 || !k.is_float;
}

static bool option_elem(const Type *t, IrElem *out) {
  switch (t->kind) {
  case TYPE_BOOL: *out = IR_BOOL; return true;
  case TYPE_INT: *out = IR_INT; return true;
  case TYPE_F32: *out = IR_F32; return true;
  case TYPE_F64: *out = IR_F64; return true;
  case TYPE_STR: *out = IR_STRING; return true;
  default: return false;
  }
}

Name nearest_function(Session *s, const char *name) {
  const Module *m = s->program->main;
  Name *all = ARENA_ARRAY(s->arena, Name, m->fns.len);
  for (int i = 0; i < m->fns.len; i++) all[i] = m->fns.data[i]->name;
  return nearest_name(intern_cstr(s->names, name), all, m->fns.len);
}

CgMain *session_main(Session *s) {
  FnDecl *fn = sema_find_fn(s->program, intern_cstr(s->names, "main"));
  if (!fn) {
    Diag *d =
        diag_add(&s->diags, DIAG_NO_MAIN, LOC_NONE, "`%s` has no function `main`", s->program->main->path);
    const char *near = nearest_function(s, "main");
    if (near)
      diag_help(&s->diags, d, "is `%s` meant to be `main`? a program starts there", near);
    else
      diag_help(&s->diags, d, "a program starts at `fn main() { ... }`");
    return NULL;
  }
  CgMain *m = ARENA_NEW(s->arena, CgMain);
  CgMainParam *params = ARENA_ARRAY(s->arena, CgMainParam, fn->params.len);
  for (int k = 0; k < fn->params.len; k++) {
    const Param *p = &fn->params.data[k];
    params[k].name = p->name;
    if (!option_elem(fn->sig->params[k], &params[k].elem)) {
      diag_add(&s->diags, DIAG_NO_MAIN, p->loc, "`%s` of main cannot be given on the command line", p->name);
      return NULL;
    }
    params[k].has_default = p->def && constant_default(p->def, params[k].elem, &params[k]);
    if (params[k].has_default) continue;
    Diag *d = diag_add(&s->diags, DIAG_NO_MAIN, p->loc,
                       "the default of the option `%s` is not a plain number or text", p->name);
    diag_help(&s->diags, d, "write its value out");
    return NULL;
  }
  m->func = fn->name;
  m->params = params;
  m->n_params = fn->params.len;
  const char *slash = strrchr(s->program->main->path, '/');
  m->program = slash ? slash + 1 : s->program->main->path;
  return m;
}
