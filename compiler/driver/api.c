// The embedding API (include/dp/dp.h): contexts, programs, functions, calls. Errors become data here, memory exhaustion
// included.
#include "driver/api.h"

#include <stdlib.h>
#include <string.h>

static void discard(void *user, const char *text, size_t n) { (void)user, (void)text, (void)n; }

const char *dp_version(void) { return DP_VERSION; }

dp_options dp_options_default(void) { return (dp_options){.opt_level = 2}; }

dp_context *dp_context_new(const dp_hooks *hooks) {
  dp_context *ctx = calloc(1, sizeof *ctx);
  if (!ctx) return NULL;
  if (hooks) ctx->hooks = *hooks;
  dprt_hooks run = {.user = ctx->hooks.user,
                    .alloc = ctx->hooks.alloc,
                    .free = ctx->hooks.free,
                    .write = ctx->hooks.write ? ctx->hooks.write : discard,
                    .progress = discard};
  ctx->run = dprt_ctx_new(&run);
  ctx->arena = arena_new(0);
  if (!ctx->run || !ctx->arena) {
    dp_context_free(ctx);
    return NULL;
  }
  if (ctx->hooks.run_memory) dprt_memory_limit(ctx->run, ctx->hooks.run_memory);
  return ctx;
}

static void program_free(dp_program *p) {
  for (int i = 0; i < p->code.len; i++) region_unmap(&p->code.data[i]);
  session_close(&p->session);
  free(p);
}

void dp_context_free(dp_context *ctx) {
  if (!ctx) return;
  while (ctx->programs) {
    dp_program *next = ctx->programs->next;
    program_free(ctx->programs);
    ctx->programs = next;
  }
  if (ctx->run) dprt_ctx_free(ctx->run);
  report_forget(ctx);
  arena_free(ctx->arena);
  free(ctx);
}

void dp_program_free(dp_program *program) {
  if (!program) return;
  for (dp_program **at = &program->ctx->programs; *at; at = &(*at)->next)
    if (*at == program) {
      *at = program->next;
      break;
    }
  program_free(program);
}

dp_status dp_register(dp_context *ctx, const char *name, void (*function)(void)) {
  if (!ctx || !name || !function) return DP_ERROR_ARGUMENT;
  void *address;
  memcpy(&address, &function, sizeof address);
  vec_push(ctx->arena, &ctx->symbols, ((HostSymbol){arena_strdup(ctx->arena, name, strlen(name)), address}));
  return DP_OK;
}

const char *dp_last_error(const dp_context *ctx) { return dprt_error_text(ctx->run); }

// ---- compile -----------------------------------------------------------------------------------------------------------

typedef struct Load {
  dp_program *p;
  const char *path, *text;
  size_t len;
  const char *without;
} Load;

// Switches off the passes named in `list`, separated by commas.
static bool leave_out(Session *s, const char *list) {
  for (size_t len; list && *list; list += len + (list[len] == ',')) {
    len = strcspn(list, ",");
    const char *name = arena_strdup(s->arena, list, len);
    int pass = opt_pass_find(name);
    if (pass < 0 || pass == OPT_memory) {
      diag_add(&s->diags, DIAG_MACHINE, LOC_NONE, "there is no pass `%s` that can be left out", name);
      return false;
    }
    s->o.disabled[pass] = true;
  }
  return true;
}

static bool load(void *user) {
  Load *l = user;
  Session *s = &l->p->session;
  if (!leave_out(s, l->without)) return false;
  const char *path = arena_strdup(s->arena, l->path, strlen(l->path));
  const char *text = l->text ? arena_strdup(s->arena, l->text, l->len) : NULL;
  if (s->o.cg.cpu)
    s->o.cg.cpu = arena_strdup(s->arena, s->o.cg.cpu, strlen(s->o.cg.cpu)); // the host's may go
  return session_load(s, path, text, l->len);
}

dp_status dp_compile(dp_context *ctx, const char *path, const char *source, size_t len,
                     const dp_options *options, dp_program **out) {
  if (out) *out = NULL;
  if (!ctx || !out || (!source && !path)) return DP_ERROR_ARGUMENT;
  dp_program *p = calloc(1, sizeof *p);
  if (!p) return DP_ERROR_MEMORY;
  p->ctx = ctx;
  DriverOptions o = driver_options_default();
  if (options)
    o.cg = (CgOptions){.opt_level = options->opt_level < 0   ? 0
                                    : options->opt_level > 3 ? 3
                                                             : options->opt_level,
                       .cpu = options->cpu ? options->cpu : "native",
                       .strict_fp = options->strict_fp,
                       .precise_math = options->precise_math,
                       .lanes = options->lanes};
  p->apart = options && options->out_of_process;
  o.memory_budget = ctx->hooks.compile_memory;
  if (!session_open(&p->session, &o)) {
    free(p);
    return DP_ERROR_MEMORY;
  }
  Load l = {p, path ? path : "<memory>", source, len, options ? options->without : NULL};
  process_hold();
  bool ok = session_guard(&p->session, load, &l);
  process_release();
  report_session(ctx, &p->session);
  if (!ok) {
    program_free(p);
    return DP_ERROR_COMPILE;
  }
  p->next = ctx->programs;
  ctx->programs = p;
  *out = p;
  return DP_OK;
}

// ---- functions -----------------------------------------------------------------------------------------------------------

const char *dp_signature(const dp_function *f) { return f->signature; }

const dp_leaf *dp_parameters(const dp_function *f, int *n) {
  *n = f->n_params;
  return f->params;
}

const dp_leaf *dp_results(const dp_function *f, int *n) {
  *n = f->n_results;
  return f->results;
}

// ---- call ----------------------------------------------------------------------------------------------------------------

static const char *const kind_names[] = {"bool", "int", "f32", "f64"};

static bool check_argument(dp_context *ctx, const dp_leaf *want, const dp_value *have) {
  if (have->kind != want->kind || have->rank != want->rank) {
    dprt_fail(ctx->run, DPRT_ARGUMENT, NULL, "`%s` is %s of rank %d, and %s of rank %d was given", want->path,
              kind_names[want->kind], want->rank, kind_names[have->kind & 3], have->rank);
    return false;
  }
  bool empty = false;
  for (int k = 0; k < have->rank; k++) {
    if (have->sizes[k] < 0) {
      dprt_fail(ctx->run, DPRT_ARGUMENT, NULL, "size %d of `%s` is %lld", k, want->path,
                (long long)have->sizes[k]);
      return false;
    }
    empty |= have->sizes[k] == 0;
  }
  if (have->rank && !have->data && !empty) {
    dprt_fail(ctx->run, DPRT_ARGUMENT, NULL, "`%s` has elements but no data", want->path);
    return false;
  }
  return true;
}

static dprt_slot *to_slots(const dp_value *v, dprt_slot *at) {
  dprt_slot s = {.i64 = 0};
  if (v->rank) {
    s.data = v->data;
    *at++ = s;
    for (int k = 0; k < v->rank; k++) *at++ = (dprt_slot){.i64 = v->sizes[k]};
    return at;
  }
  switch (v->kind) {
  case DP_BOOL: s.b = v->b; break;
  case DP_INT: s.i64 = v->i; break;
  case DP_F32: s.f32 = v->f32; break;
  case DP_F64: s.f64 = v->f64; break;
  }
  *at++ = s;
  return at;
}

static const dprt_slot *from_slots(const dp_leaf *leaf, const dprt_slot *at, dp_value *v) {
  *v = (dp_value){.kind = leaf->kind, .rank = leaf->rank};
  if (leaf->rank) {
    v->data = at++->data;
    for (int k = 0; k < leaf->rank; k++) v->sizes[k] = at++->i64;
    return at;
  }
  switch (leaf->kind) {
  case DP_BOOL: v->b = at->b; break;
  case DP_INT: v->i = at->i64; break;
  case DP_F32: v->f32 = at->f32; break;
  case DP_F64: v->f64 = at->f64; break;
  }
  return at + 1;
}

dp_status dp_call(dp_function *f, const dp_value *args, dp_value *results) {
  if (!f) return DP_ERROR_ARGUMENT;
  dp_context *ctx = f->program->ctx;
  dprt_clear_error(ctx->run);
  if ((f->n_params && !args) || (f->n_results && !results)) {
    dprt_fail(ctx->run, DPRT_ARGUMENT, NULL,
              "this function wants %d values and gives %d, and there is no room for them", f->n_params,
              f->n_results);
    return DP_ERROR_ARGUMENT;
  }
  for (int k = 0; k < f->n_params; k++)
    if (!check_argument(ctx, &f->params[k], &args[k])) return DP_ERROR_ARGUMENT;
  enum { FEW = 64 };
  dprt_slot few[2 * FEW], *in = few, *out = few + FEW, *many = NULL;
  if (f->n_slots_in > FEW || f->n_slots_out > FEW) {
    many = malloc(sizeof *many * (size_t)(f->n_slots_in + f->n_slots_out));
    if (!many) return DP_ERROR_MEMORY;
    in = many;
    out = many + f->n_slots_in;
  }
  dprt_slot *at = in;
  for (int k = 0; k < f->n_params; k++) at = to_slots(&args[k], at);
  int32_t status = f->code(ctx->run, in, out);
  const dprt_slot *from = out;
  for (int k = 0; status == DPRT_OK && k < f->n_results; k++)
    from = from_slots(&f->results[k], from, &results[k]);
  free(many);
  if (status == DPRT_OK) return DP_OK;
  return status == DPRT_MEMORY                            ? DP_ERROR_MEMORY
         : status == DPRT_SIZE || status == DPRT_ARGUMENT ? DP_ERROR_ARGUMENT
                                                          : DP_ERROR_RUN;
}

void dp_value_free(dp_context *ctx, dp_value *v) {
  if (v->rank) dprt_free(ctx->run, v->data);
  v->data = NULL;
}

void dp_trim(dp_context *ctx) { dprt_trim(ctx->run); }
