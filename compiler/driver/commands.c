// The command line. In: argv. Out: texts and an exit code (driver.h, Console); main.c does the rest.
#include "driver/command.h"

#include "dp/dprt_program.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Command commands[] = {
#define COMMAND(name, args, text) {#name, args, text, command_##name},
#include "driver/commands.def"
#undef COMMAND
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

typedef struct OptionInfo {
  const char *name;
  char letter;
  const char *arg, *commands, *text;
} OptionInfo;

static const OptionInfo options[] = {
#define OPTION(name, letter, arg, commands, text) {name, letter, arg, commands, text},
#include "driver/options.def"
#undef OPTION
};
enum { N_OPTIONS = sizeof options / sizeof *options };

// ---- help --------------------------------------------------------------------------------------------------------------

const Command *find_command(const char *name) {
  for (int i = 0; i < N_COMMANDS; i++)
    if (!strcmp(commands[i].name, name)) return &commands[i];
  return NULL;
}

static bool takes(const OptionInfo *o, const Command *cmd) {
  size_t n = strlen(cmd->name);
  for (const char *at = o->commands; (at = strstr(at, cmd->name)); at += n)
    if ((at == o->commands || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
  return false;
}

static void print_usage(StrBuf *out) {
  sb_add(
      out,
      "dp: a small language whose programs the compiler differentiates\n\nusage: dp COMMAND [ARGUMENTS]\n\n");
  for (int i = 0; i < N_COMMANDS; i++)
    sb_addf(out, "  %-9s %-34s %s\n", commands[i].name, commands[i].args, commands[i].text);
  sb_add(out, "\n`dp COMMAND --help` lists a command's options; `dp --version` says which dp this is.\n"
              "Exit codes: 0 done, 1 the program failed at run time, 2 a mistake on the command line, 3 a "
              "mistake in the program.\n");
}

static void print_passes(StrBuf *out) {
  sb_add(out, "\nPasses, in this order:\n");
  for (int p = 0; p < OPT_PASS_COUNT; p++)
    sb_addf(out, "  %-12s %s\n", opt_pass_name((OptPass)p), opt_pass_text((OptPass)p));
}

static void print_command_help(StrBuf *out, const Command *cmd) {
  sb_addf(out, "usage: dp %s %s\n\n%s\n\n", cmd->name, cmd->args, cmd->text);
  bool passes = false;
  for (int i = 0; i < N_OPTIONS; i++) {
    if (!takes(&options[i], cmd)) continue;
    passes |= !strcmp(options[i].name, "dump");
    StrBuf left;
    sb_init(&left, out->arena);
    sb_addf(&left, "%s--%s%s%s", options[i].letter == 'o' ? "-o, " : "", options[i].name,
            options[i].arg ? " " : "", options[i].arg ? options[i].arg : "");
    sb_addf(out, "  %-20s %s\n", left.data, options[i].text);
  }
  if (passes) {
    sb_add(out, "  -O0 .. -O3           how hard to optimise (default -O2)\n");
    print_passes(out);
  }
}

static int unknown_command(Console *c, const char *name) {
  Name names[N_COMMANDS];
  for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
  const char *near = nearest_name(name, names, N_COMMANDS);
  sb_addf(&c->err, "dp: there is no command `%s`", name);
  if (near) {
    sb_addf(&c->err, "; did you mean `%s`?\n", near);
    return EXIT_USAGE;
  }
  sb_add(&c->err, "; there are ");
  for (int i = 0; i < N_COMMANDS; i++)
    sb_addf(&c->err, "%s%s", i == 0 ? "" : i == N_COMMANDS - 1 ? " and " : ", ", names[i]);
  sb_addc(&c->err, '\n');
  return EXIT_USAGE;
}

int command_help(Console *c, Options *o, int argc, char **argv) {
  (void)o;
  const Command *cmd = argc ? find_command(argv[0]) : NULL;
  if (argc && !cmd) return unknown_command(c, argv[0]);
  if (cmd)
    print_command_help(&c->out, cmd);
  else
    print_usage(&c->out);
  return EXIT_OK;
}

// ---- parsing the options -------------------------------------------------------------------------------------------------

// `what` is missing or too much; NULL if that is said already.
int usage_error(Console *c, const Command *cmd, const char *what) {
  if (what) sb_addf(&c->err, "dp: %s %s\n", cmd->name, what);
  sb_addf(&c->err, "usage: dp %s %s\n`dp %s --help` says more\n", cmd->name, cmd->args, cmd->name);
  return EXIT_USAGE;
}

static bool set_pass(Console *c, const char *name, bool all_too, const char **out) {
  if (opt_pass_find(name) < 0 && !(all_too && !strcmp(name, "all"))) {
    sb_addf(&c->err, "dp: there is no pass `%s`\n", name);
    print_passes(&c->err);
    return false;
  }
  *out = name;
  return true;
}

static bool set_count(Console *c, const char *name, const char *arg, int64_t least, int64_t *out) {
  char *end;
  errno = 0;
  *out = strtoll(arg, &end, 10);
  if (!errno && end != arg && !*end && *out >= least) return true;
  sb_addf(&c->err, "dp: %s is a whole number, at least %lld, not `%s`\n", name, (long long)least, arg);
  return false;
}

static bool set_tolerance(Console *c, const char *arg, double *out) {
  char *end;
  *out = strtod(arg, &end);
  if (end != arg && !*end && *out > 0.0 && *out < 1.0) return true;
  sb_addf(&c->err, "dp: --tol lies between 0 and 1, as in `--tol 1e-6`, and is not `%s`\n", arg);
  return false;
}

static bool set_lanes(Console *c, const char *arg, int *out) {
  *out = atoi(arg);
  if (*out >= 1 && *out <= CG_MOST_LANES && (*out & (*out - 1)) == 0) return true;
  sb_addf(&c->err, "dp: --lanes is a power of two up to %d, and not `%s`\n", CG_MOST_LANES, arg);
  return false;
}

static bool add_link(Console *c, Options *o, const char *arg) {
  if (o->n_links == MAX_LINKS) {
    sb_addf(&c->err, "dp: --link is given more than %d times\n", MAX_LINKS);
    return false;
  }
  o->links[o->n_links++] = arg;
  return true;
}

static bool set_option(Console *c, Options *o, int letter, const char *arg) {
  const char *name;
  switch (letter) {
  case 'h': o->help = true; return true;
  case 'V': o->version = true; return true;
  case 'c': o->driver.cg.cpu = arg; return true;
  case 'S': o->driver.cg.strict_fp = true; return true;
  case 'P': o->driver.cg.precise_math = true; return true;
  case 'n': return set_lanes(c, arg, &o->driver.cg.lanes);
  case 'j': o->json = true; return true;
  case 'd': return set_pass(c, arg, true, &o->driver.dump);
  case 's': return set_pass(c, arg, false, &o->driver.stop_after);
  case 'w':
    if (!set_pass(c, arg, false, &name)) return false;
    if (opt_pass_find(arg) == OPT_memory) {
      sb_add(&c->err, "dp: the memory pass cannot be left out\n");
      return false;
    }
    o->driver.disabled[opt_pass_find(arg)] = true;
    return true;
  case 'o': o->output = arg; return true;
  case 'l': o->shared = true; return true;
  case 'L': return add_link(c, o, arg);
  case 'm': o->mode = arg; return true;
  case 'W': o->wrt = arg; return true;
  case 't': o->stage = arg; return true;
  case 'f': o->function = arg; return true;
  case 'a': o->at = arg; return true;
  case 'x': o->text = true; return true;
  case 'y': o->symbolic = true; return true;
  case 'e': return set_count(c, "--seed", arg, 0, &o->seed);
  case 'p': return set_count(c, "--points", arg, 1, &o->points);
  case 'R': return set_count(c, "--order", arg, 1, &o->order);
  case 'T': return set_tolerance(c, arg, &o->tol);
  case 'O':
    if (!arg || strlen(arg) != 1 || *arg < '0' || *arg > '3') {
      sb_addf(&c->err, "dp: -O%s is not a level; there are -O0, -O1, -O2 and -O3\n", arg ? arg : "");
      return false;
    }
    o->driver.cg.opt_level = *arg - '0';
    return true;
  default: return false;
  }
}

// `given` is as written: `--name`, `--name=value` or `-x`.
static void report_option(Console *c, const Command *cmd, const char *given) {
  size_t len = strcspn(given, "=");
  const char *name = arena_strdup(c->err.arena, given, len), *bare = name + strspn(name, "-");
  Name names[N_OPTIONS];
  int n = 0;
  for (int i = 0; i < N_OPTIONS; i++) {
    if (!takes(&options[i], cmd)) continue;
    names[n++] = options[i].name;
    if (strcmp(options[i].name, bare) != 0 || options[i].arg || !given[len]) continue;
    sb_addf(&c->err, "dp: %s takes no value\n", name);
    return;
  }
  const char *near = strlen(bare) > 1 ? nearest_name(bare, names, n) : NULL;
  sb_addf(&c->err, "dp: %s has no option %s%s%s%s\n", cmd->name, name, near ? "; did you mean --" : "",
          near ? near : "", near ? "?" : "");
}

// Index of the first argument that is not an option, or -1 after a mistake. Options of run end at its file.
static int parse_options(Console *c, const Command *cmd, Options *o, int argc, char **argv) {
  struct option longs[N_OPTIONS + 1] = {0};
  char shorts[8 + 2 * N_OPTIONS] = "", *at = shorts;
  int n = 0;
  at = stpcpy(at, !strcmp(cmd->name, "run") ? "+:hO::" : ":hO::");
  for (int i = 0; i < N_OPTIONS; i++) {
    if (!takes(&options[i], cmd)) continue;
    longs[n++] = (struct option){options[i].name, options[i].arg ? required_argument : no_argument, NULL,
                                 options[i].letter};
    if (!strcmp(options[i].name, "output")) {
      *at++ = 'o';
      *at++ = ':';
    }
  }
  optind = 0;
  opterr = 0;
  for (int letter; (letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
    if (letter == '?' || letter == ':') {
      char one[] = {'-', (char)optopt, 0};
      bool is_long = optind > 0 && !strncmp(argv[optind - 1], "--", 2);
      const char *given = is_long || !optopt ? argv[optind - 1] : one;
      if (letter == ':')
        sb_addf(&c->err, "dp: %s wants a value\n", given);
      else
        report_option(c, cmd, given);
      return -1;
    }
    if (!set_option(c, o, letter, optarg)) return -1;
  }
  return optind;
}

static int print_version(Console *c) {
  sb_addf(&c->out, "dp %s\n", DP_VERSION);
  return EXIT_OK;
}

static int run_with_libraries(Console *c, const Command *cmd, Options *o, int argc, char **argv) {
  void *handles[MAX_LINKS];
  const char *why;
  if (!libraries_open(c->err.arena, o->links, o->n_links, handles, &why)) {
    sb_addf(&c->err, "dp: --link wants a shared library, which `cc -shared -fPIC` makes: %s\n", why);
    return EXIT_USAGE;
  }
  int code = cmd->run(c, o, argc, argv);
  libraries_close(handles, o->n_links);
  return code;
}

int dp_command(int argc, char **argv, Console *c) {
  if (argc < 2) {
    print_usage(&c->err);
    return EXIT_USAGE;
  }
  if (!strcmp(argv[1], "--version")) return print_version(c);
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
    print_usage(&c->out);
    return EXIT_OK;
  }
  const Command *cmd = find_command(argv[1]);
  if (!cmd) return unknown_command(c, argv[1]);
  Options o = {.driver = driver_options_default(), .seed = 1, .points = 3, .order = 1};
  if (!strcmp(cmd->name, "build")) o.driver.cg.cpu = "x86-64-v3";
  int first = parse_options(c, cmd, &o, argc - 1, argv + 1);
  if (first < 0) return usage_error(c, cmd, NULL);
  if (o.version) return print_version(c);
  if (o.help) {
    print_command_help(&c->out, cmd);
    return EXIT_OK;
  }
  c->json = o.json;
  if (strcmp(cmd->name, "build") != 0)
    return run_with_libraries(c, cmd, &o, argc - 1 - first, argv + 1 + first);
  return cmd->run(c, &o, argc - 1 - first, argv + 1 + first);
}

// ---- shared by the commands ------------------------------------------------------------------------------------------------

// Diagnostics go to standard error, and as JSON one array per command. `check` has nothing else to say: its array, which
// command_check opens and closes, goes to standard output.
static bool show_diagnostics(void *user) {
  Work *w = user;
  Console *c = w->c;
  const Diags *d = &w->s->diags;
  if (w->shown) return true;
  w->shown = true;
  if (!c->json)
    diags_render(d, &c->err, c->color);
  else if (c->json_items)
    diags_render_json_items(d, &c->out, *c->json_items == 0);
  else
    diags_render_json(d, &c->err);
  if (c->json_items) *c->json_items += d->list.len;
  return true;
}

int with_session(Console *c, Options *o, int argc, char **argv, bool (*work)(void *)) {
  Session s;
  if (!session_open(&s, &o->driver)) {
    sb_add(&c->err, "dp: out of memory\n");
    return EXIT_COMPILE;
  }
  Work w = {c, o, &s, argc, argv, EXIT_OK, false};
  bool ok = session_guard(&s, work, &w);
  if (!session_guard(&s, show_diagnostics, &w) || (s.diags.n_errors && !s.diags.list.len))
    sb_add(&c->err, "dp: out of memory\n");
  if (s.dumped.len) sb_add(&c->out, s.dumped.data);
  session_close(&s);
  return ok || w.code != EXIT_OK ? w.code : EXIT_COMPILE;
}

static Expr *function_expr(Session *s, const char *text) {
  return sema_expr(s->program, "<command line>", text);
}

static IrModule *lower_main(Work *w, CgMain **main) {
  *main = session_main(w->s);
  if (!*main) return NULL;
  LowerRoot root = {.fn = sema_find_fn(w->s->program, (*main)->func), .real = IR_F64, .name = (*main)->func};
  IrModule *m = session_lower(w->s, &root, 1);
  return m && session_differentiate(w->s, m) && session_optimize(w->s, m) ? m : NULL;
}

// ---- check, run, build --------------------------------------------------------------------------------------------------

// Every function that can be compiled on its own is, up to the point where machine code would be made.
static IrModule *lower_all(Session *s, const char *only) {
  Module *main = s->program->main;
  LowerRoot *roots = ARENA_ARRAY(s->arena, LowerRoot, main->fns.len + 1);
  int n = 0;
  for (int i = 0; i < main->fns.len; i++) {
    FnDecl *fn = main->fns.data[i];
    bool closed = fn->kind == FN_PLAIN && (!only || !strcmp(only, fn->name));
    for (int k = 0; closed && k < fn->sig->n_params; k++) closed = fn->sig->params[k]->kind != TYPE_FN;
    if (closed) roots[n++] = (LowerRoot){.fn = fn, .real = IR_F64, .name = fn->name};
  }
  if (only && !n) {
    diag_add(&s->diags, DIAG_NO_FUNCTION, LOC_NONE, "`%s` has no function `%s` that stands on its own",
             main->path, only);
    return NULL;
  }
  return session_lower(s, roots, n);
}

static bool check_one(void *user) {
  Work *w = user;
  if (!session_load(w->s, w->argv[0], NULL, 0)) return false;
  IrModule *m = lower_all(w->s, NULL);
  return m && session_differentiate(w->s, m);
}

int command_check(Console *c, Options *o, int argc, char **argv) {
  if (!argc) return usage_error(c, find_command("check"), "wants a file");
  int worst = EXIT_OK, items = 0;
  c->json_items = &items;
  if (c->json) sb_addc(&c->out, '[');
  for (int i = 0; i < argc; i++) {
    int code = with_session(c, o, 1, argv + i, check_one);
    if (code > worst) worst = code;
  }
  if (c->json) sb_add(&c->out, items ? "\n]\n" : "]\n");
  c->json_items = NULL;
  return worst;
}

static dprt_option to_option(const CgMainParam *p) {
  static const int32_t elems[] = {[IR_BOOL] = DPRT_BOOL,
                                  [IR_INT] = DPRT_I64,
                                  [IR_F32] = DPRT_F32,
                                  [IR_F64] = DPRT_F64,
                                  [IR_STRING] = DPRT_STR};
  dprt_option out = {.name = p->name, .help = p->help, .elem = elems[p->elem], .has_default = p->has_default};
  switch (p->elem) {
  case IR_BOOL: out.value.b = p->def.i; break;
  case IR_INT: out.value.i64 = p->def.i; break;
  case IR_F32: out.value.f32 = (float)p->def.f; break;
  case IR_F64: out.value.f64 = p->def.f; break;
  case IR_STRING: out.value.str = p->def.s; break;
  }
  return out;
}

static bool compile_and_run(void *user) {
  Work *w = user;
  Session *s = w->s;
  CgMain *main;
  if (!session_load(s, w->argv[0], NULL, 0)) return false;
  IrModule *m = lower_main(w, &main);
  if (!m) return false;
  int n_results = 0;
  const IrFunc *f = ir_func_find(m, main->func);
  for (int k = 0; k < f->n_results; k++) n_results += 1 + f->results[k].rank;
  CgModule *cg = session_codegen(s, m, NULL);
  Region code = {0};
  void *address = cg ? session_jit(s, cg, main->func, NULL, &code) : NULL;
  if (!address || !session_seal(s, &code)) {
    region_unmap(&code);
    return false;
  }
  show_diagnostics(w); // warnings, before the program's own output
  console_flush(w->c);
  dprt_option *opts = ARENA_ARRAY(s->arena, dprt_option, main->n_params);
  for (int k = 0; k < main->n_params; k++) opts[k] = to_option(&main->params[k]);
  dprt_program program = {
      .name = main->program, .n_options = main->n_params, .options = opts, .n_results = n_results};
  memcpy(&program.main, &address, sizeof address);
  w->code = dprt_program_main(w->argc, w->argv, &program);
  region_unmap(&code);
  return true;
}

int command_run(Console *c, Options *o, int argc, char **argv) {
  if (!argc) return usage_error(c, find_command("run"), "wants a file");
  return with_session(c, o, argc, argv, compile_and_run);
}

// Beside the library: lib.h for lib.so.
static const char *header_path(Arena *a, const char *library) {
  const char *slash = strrchr(library, '/'), *dot = strrchr(library, '.');
  size_t len = dot && (!slash || dot > slash) ? (size_t)(dot - library) : strlen(library);
  return arena_printf(a, "%.*s.h", (int)len, library);
}

static bool cannot_write(Work *w, const char *path, const char *why) {
  Diag *g = diag_add(&w->s->diags, DIAG_OUTPUT, LOC_NONE, "cannot make `%s`: %s", path, why);
  if (strstr(why, "undefined reference"))
    diag_help(&w->s->diags, g, "`--link FILE` brings in the object file that has the program's C functions");
  return false;
}

// Found out before anything is written.
static bool can_have_header(Work *w, const char *library, const char *header) {
  const char *why = "its header would take its place; name it otherwise, such as `libx.so`";
  if (!strcmp(library, header)) return cannot_write(w, library, why);
  return can_be_written(w->s->arena, header, &why) || cannot_write(w, header, why);
}

static bool build_program(void *user) {
  Work *w = user;
  Session *s = w->s;
  const char *output = w->o->output, *slash = strrchr(output, '/'), *why = NULL;
  bool shared = w->o->shared;
  const char *h = shared ? header_path(s->arena, output) : NULL;
  if (!session_load(s, w->argv[0], NULL, 0) || (h && !can_have_header(w, output, h))) return false;
  CgMain *main = NULL;
  IrModule *m = shared ? lower_all(s, NULL) : lower_main(w, &main);
  if (shared && m) m = session_differentiate(s, m) && session_optimize(s, m) ? m : NULL;
  if (!m) return false;
  if (main) main->program = slash ? slash + 1 : output; // it speaks of itself by its own name
  StrBuf header, source;
  sb_init(&header, s->arena);
  sb_init(&source, s->arena);
  if (shared) library_for_c(s->arena, m, output, &header, &source);
  CgModule *cg = session_codegen(s, m, main);
  if (!cg) return false;
  size_t len;
  const void *object = cg_object(s->arena, cg, &len, &why);
  cg_free(cg);
  if (!object ||
      !link_program(s, object, len, output, shared ? source.data : NULL, w->o->links, w->o->n_links, &why))
    return cannot_write(w, output, why);
  if (!h || file_write_atomic(s->arena, h, header.data, header.len, false, &why)) return true;
  unlink(output);
  return cannot_write(w, h, why);
}

int command_build(Console *c, Options *o, int argc, char **argv) {
  if (argc != 1 || !o->output)
    return usage_error(c, find_command("build"),
                       argc != 1 ? "wants one file" : "wants `-o BIN`, where to write");
  return with_session(c, o, argc, argv, build_program);
}

// ---- grad -------------------------------------------------------------------------------------------------------------

static bool is_float_scalar(const Type *t) { return type_is_float(t); }

// The derivative whose source is shown: value_and_grad of a scalar function, else vjp; jvp in forward mode.
static const char *derivative_text(Work *w, const FnDecl *fn) {
  bool forward = w->o->mode && !strcmp(w->o->mode, "forward");
  const char *op = forward ? "jvp" : is_float_scalar(fn->sig->result) ? "value_and_grad" : "vjp";
  return arena_printf(w->s->arena, "%s(%s%s%s)", op, fn->name, w->o->wrt ? ", wrt: " : "",
                      w->o->wrt ? w->o->wrt : "");
}

FnDecl *named_function(Session *s, const char *name) {
  FnDecl *fn = sema_find_fn(s->program, intern_cstr(s->names, name));
  if (fn) return fn;
  Diag *d = diag_add(&s->diags, DIAG_NO_FUNCTION, LOC_NONE, "`%s` has no function `%s`",
                     s->program->main->path, name);
  const char *near = nearest_function(s, name);
  if (near) diag_help(&s->diags, d, "did you mean `%s`?", near);
  return NULL;
}

static IrModule *lower_derivative(Work *w, const char *function) {
  Session *s = w->s;
  FnDecl *fn = named_function(s, function);
  if (!fn) return NULL;
  Expr *e = function_expr(s, derivative_text(w, fn));
  if (!e || s->diags.n_errors) return NULL;
  Name name = intern_cstr(s->names,
                          arena_printf(s->arena, "%s_%s", fn->name,
                                       w->o->mode && !strcmp(w->o->mode, "forward") ? "tangent" : "adjoint"));
  LowerRoot root = {.expr = e, .real = IR_F64, .name = name};
  IrModule *m = session_lower(s, &root, 1);
  return m && session_differentiate(s, m) ? m : NULL;
}

static bool print_derivative(void *user) {
  Work *w = user;
  if (!session_load(w->s, w->argv[0], NULL, 0)) return false;
  IrModule *m = lower_derivative(w, w->argv[1]);
  if (!m) return false;
  opt_for_reading(w->s->o.disabled);
  m->keeps_rules = true;
  if (!session_optimize(w->s, m)) return false;
  ir_print_source(m, &w->c->out);
  return true;
}

bool wrt_is_list(Console *c, const Options *o) {
  const char *paths = o->wrt ? o->wrt : "";
  for (; *paths; paths++)
    if ((unsigned char)*paths < 0x80 && !isalnum((unsigned char)*paths) && !strchr("_., ", *paths)) break;
  if (*paths) {
    sb_addf(&c->err, "dp: --wrt is a list of parameters or their fields, such as `m.w, b`, not `%s`\n",
            o->wrt);
    return false;
  }
  return true;
}

int command_grad(Console *c, Options *o, int argc, char **argv) {
  if (argc != 2) return usage_error(c, find_command("grad"), "wants a file and a function");
  if (!wrt_is_list(c, o)) return EXIT_USAGE;
  if (o->mode && strcmp(o->mode, "forward") != 0 && strcmp(o->mode, "reverse") != 0) {
    sb_addf(&c->err, "dp: --mode is forward or reverse, not `%s`\n", o->mode);
    return EXIT_USAGE;
  }
  return with_session(c, o, argc, argv, print_derivative);
}

// ---- emit -------------------------------------------------------------------------------------------------------------

bool emit_bytes(Work *w, const void *data, size_t len) {
  if (!w->o->output) {
    sb_addn(&w->c->out, data, len);
    return true;
  }
  const char *why = NULL;
  if (file_write_atomic(w->s->arena, w->o->output, data, len, false, &why)) return true;
  diag_add(&w->s->diags, DIAG_OUTPUT, LOC_NONE, "%s", why);
  return false;
}

static bool emit_machine(Work *w, IrModule *m, const char *stage) {
  Session *s = w->s;
  CgModule *cg = session_codegen(s, m, NULL);
  if (!cg) return false;
  const char *why = NULL;
  size_t len = 0;
  const void *data;
  if (!strcmp(stage, "obj")) {
    data = cg_object(s->arena, cg, &len, &why);
  } else {
    data = !strcmp(stage, "llvm") ? cg_print_llvm(s->arena, cg) : cg_print_asm(s->arena, cg, &why);
    len = data ? strlen(data) : 0;
  }
  cg_free(cg);
  if (!data) {
    diag_add(&s->diags, DIAG_MACHINE, LOC_NONE, "%s", why ? why : "no machine code");
    return false;
  }
  return emit_bytes(w, data, len);
}

static bool emit_stage(void *user) {
  Work *w = user;
  Session *s = w->s;
  const char *stage = w->o->stage;
  StrBuf text;
  sb_init(&text, s->arena);
  if (!session_load(s, w->argv[0], NULL, 0)) return false;
  if (!strcmp(stage, "ast")) {
    ast_dump_typed(s->program->main, &s->sources, &text, type_print);
    return emit_bytes(w, text.data, (size_t)text.len);
  }
  IrModule *m = !strcmp(stage, "adjoint") ? (w->o->function ? lower_derivative(w, w->o->function) : NULL)
                                          : lower_all(s, w->o->function);
  if (!m) return false;
  if (strcmp(stage, "ir") != 0) {
    if (!session_differentiate(s, m)) return false;
    if (!strcmp(stage, "opt") || !strcmp(stage, "adjoint"))
      s->o.disabled[OPT_memory] = !s->o.stop_after || strcmp(s->o.stop_after, "memory") != 0;
    if (!session_optimize(s, m)) return false;
  }
  if (strcmp(stage, "ir") != 0 && strcmp(stage, "opt") != 0 && strcmp(stage, "adjoint") != 0)
    return emit_machine(w, m, stage);
  ir_print_module(m, &text);
  return emit_bytes(w, text.data, (size_t)text.len);
}

int command_emit(Console *c, Options *o, int argc, char **argv) {
  static const char *const stages[] = {"ast", "ir", "opt", "adjoint", "llvm", "asm", "obj"};
  bool known = false;
  for (size_t i = 0; o->stage && i < sizeof stages / sizeof *stages; i++)
    known |= !strcmp(o->stage, stages[i]);
  if (argc != 1 || !o->stage)
    return usage_error(c, find_command("emit"),
                       argc != 1 ? "wants one file" : "wants `--stage STAGE`, what to print");
  if (!known) {
    sb_addf(&c->err, "dp: there is no stage `%s`; there are ast, ir, opt, adjoint, llvm, asm and obj\n",
            o->stage);
    return EXIT_USAGE;
  }
  if (!strcmp(o->stage, "adjoint") && !o->function) {
    sb_add(&c->err, "dp: --stage adjoint wants --function NAME\n");
    return EXIT_USAGE;
  }
  return with_session(c, o, argc, argv, emit_stage);
}
