// dp-gradbench: a tool for the GradBench suite. Reads messages from standard input, one JSON object a line, and answers each
// on standard output.
//
//   start     {"id": 0, "tool": "dp"}
//   define    compiles the module and all that the suite may ask of it: {"id": 1, "success": true, "timings": [...]}
//   evaluate  calls a function at least min_runs times and for at least min_seconds:
//             {"id": 2, "success": true, "output": ..., "timings": [{"name": "evaluate", "nanoseconds": 1200}, ...]}
// Whatever fails is answered with "success": false and why.
#include "host.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Each function has a context of its own, so that a module's functions are compiled side by side.
typedef struct Function {
  const char *module, *name, *expression;
  Writer writer;
  bool variant; // seldom asked for, compiled when it is
  bool defined; // its module is
  dp_context *ctx;
  dp_program *program; // NULL until it is compiled
  dp_function *code;   // NULL until it is compiled, or where it does not compile
  const char *why;     // then: the compiler's diagnostics
} Function;

static const Function functions_at_start[] = {
#define GB_FUNCTION(in, function, text, how)                                                                 \
  {.module = in, .name = function, .expression = text, .writer = how},
#define GB_VARIANT(in, function, text, how)                                                                  \
  {.module = in, .name = function, .expression = text, .writer = how, .variant = true},
#include "modules.def"
#undef GB_FUNCTION
#undef GB_VARIANT
};
enum { N_FUNCTIONS = sizeof functions_at_start / sizeof functions_at_start[0] };

typedef struct Source {
  const char *module, *text;
  size_t length;
} Source;

static const Source sources[] = {
#define STD_MODULE(name, text) {name, text, sizeof(text) - 1},
#include "gradbench_modules.def"
#undef STD_MODULE
};

typedef struct Host {
  dp_options options;
  Function functions[N_FUNCTIONS];
  FILE *out;
} Host;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// ---- answers -----------------------------------------------------------------------------------------------------

static void write_text(FILE *out, const char *text) {
  json_t *j = json_string(text);
  char *dumped = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
  fputs(dumped ? dumped : "\"the reason is no valid text\"", out);
  free(dumped);
  json_decref(j);
}

static void answer_begin(Host *h, const json_t *message) {
  fprintf(h->out, "{\"id\": %lld", (long long)json_integer_value(json_object_get(message, "id")));
}

static void answer_end(Host *h) {
  fputs("}\n", h->out);
  fflush(h->out);
}

static void answer_failure(Host *h, const char *why) {
  fputs(", \"success\": false, \"error\": ", h->out);
  write_text(h->out, why);
}

// ---- define ------------------------------------------------------------------------------------------------------

static const Source *find_source(const char *module) {
  for (size_t k = 0; k < sizeof sources / sizeof sources[0]; k++)
    if (strcmp(sources[k].module, module) == 0) return &sources[k];
  return NULL;
}

typedef struct Job {
  Function *f;
  const dp_options *options;
  pthread_t thread;
  bool runs; // in a thread of its own
} Job;

// A function that does not compile is told when it is asked for, so that one does not spoil the module's others.
static void *compile(void *user) {
  const Job *job = user;
  Function *f = job->f;
  const Source *source = find_source(f->module);
  char path[64];
  snprintf(path, sizeof path, "%s.dp", f->module);
  f->ctx = dp_context_new(NULL);
  f->why = "there is no memory left";
  if (!f->ctx) return NULL;
  bool ok = dp_compile(f->ctx, path, source->text, source->length, job->options, &f->program) == DP_OK &&
            dp_lookup(f->program, f->expression, NULL, &f->code) == DP_OK;
  f->why = ok ? NULL : dp_diagnostics_text(f->ctx);
  return NULL;
}

static void forget(Function *f) {
  dp_program_free(f->program);
  dp_context_free(f->ctx);
  f->ctx = NULL;
  f->program = NULL;
  f->code = NULL;
  f->why = NULL;
}

// A module that is defined anew takes the place of the one before. Answers why it cannot be used; NULL: it can.
static const char *compile_functions(Host *h, const char *module) {
  Job jobs[N_FUNCTIONS];
  int n = 0;
  for (int k = 0; k < N_FUNCTIONS; k++) {
    Function *f = &h->functions[k];
    if (strcmp(f->module, module) != 0) continue;
    forget(f);
    f->defined = true;
    if (!f->variant) jobs[n++] = (Job){.f = f, .options = &h->options};
  }
  for (int k = 1; k < n; k++) jobs[k].runs = pthread_create(&jobs[k].thread, NULL, compile, &jobs[k]) == 0;
  for (int k = 0; k < n; k++)
    if (!jobs[k].runs) compile(&jobs[k]);
  const char *why = jobs[0].f->why;
  for (int k = 1; k < n; k++) {
    if (jobs[k].runs) pthread_join(jobs[k].thread, NULL);
    if (jobs[k].f->code) why = NULL;
  }
  malloc_trim(0); // what the compilers had
  return why;
}

static void define(Host *h, const json_t *message) {
  const char *module = json_string_value(json_object_get(message, "module"));
  if (!module || !find_source(module)) {
    answer_failure(h, "there is no such module");
    return;
  }
  int64_t start = now();
  const char *why = compile_functions(h, module);
  if (why) {
    answer_failure(h, why);
    return;
  }
  fprintf(h->out, ", \"success\": true, \"timings\": [{\"name\": \"compile\", \"nanoseconds\": %lld}]",
          (long long)(now() - start));
}

// ---- evaluate ----------------------------------------------------------------------------------------------------

typedef struct Times {
  int64_t *ns;
  size_t n, capacity;
} Times;

static bool add_time(Times *t, int64_t ns) {
  if (t->n == t->capacity) {
    size_t capacity = t->capacity ? 2 * t->capacity : 1024;
    int64_t *bigger = realloc(t->ns, capacity * sizeof *bigger);
    if (!bigger) return false;
    *t = (Times){bigger, t->n, capacity};
  }
  t->ns[t->n++] = ns;
  return true;
}

static void free_results(const Function *f, dp_value *results, int n) {
  for (int k = 0; k < n; k++) dp_value_free(f->ctx, &results[k]);
}

typedef struct Often {
  int64_t runs;
  double seconds;
} Often; // at least

// Calls f as often as the input asks. The results are those of the last call.
static dp_status call_repeatedly(const Function *f, Often often, const Arguments *a, dp_value *results,
                                 int n_results, Times *times) {
  int64_t spent = 0;
  for (int64_t run = 0; run < 1 || run < often.runs || (double)spent < often.seconds * 1e9; run++) {
    if (run) free_results(f, results, n_results);
    int64_t start = now();
    dp_status status = dp_call(f->code, a->values, results);
    int64_t ns = now() - start;
    if (status != DP_OK) return status;
    if (!add_time(times, ns)) return DP_ERROR_MEMORY;
    spent += ns;
  }
  return DP_OK;
}

static void write_times(FILE *out, int64_t prepare, const Times *times) {
  fprintf(out, ", \"timings\": [{\"name\": \"prepare\", \"nanoseconds\": %lld}", (long long)prepare);
  for (size_t k = 0; k < times->n; k++)
    fprintf(out, ", {\"name\": \"evaluate\", \"nanoseconds\": %lld}", (long long)times->ns[k]);
  fputc(']', out);
}

// The input is gone as soon as its numbers stand in arrays: what is left is the arrays' memory.
static void run_function(Host *h, const Function *f, json_t *input) {
  int n_params, n_results;
  const dp_leaf *params = dp_parameters(f->code, &n_params), *leaves = dp_results(f->code, &n_results);
  char why[200];
  Arguments arguments;
  Times times = {0};
  Often often = {json_integer_value(json_object_get(input, "min_runs")),
                 json_number_value(json_object_get(input, "min_seconds"))};
  dp_value *results = calloc((size_t)n_results + 1, sizeof *results);
  int64_t start = now();
  if (!arguments_read(f->module, input, params, n_params, &arguments, why)) {
    answer_failure(h, why);
  } else {
    int64_t prepare = now() - start;
    json_object_clear(input);
    malloc_trim(0);
    dp_status status = call_repeatedly(f, often, &arguments, results, n_results, &times);
    if (status == DP_OK) {
      fputs(", \"success\": true, \"output\": ", h->out);
      answer_write(h->out, f->writer, leaves, results, n_results);
      write_times(h->out, prepare, &times);
    } else {
      answer_failure(h, status == DP_ERROR_MEMORY ? "there is no memory left" : dp_last_error(f->ctx));
    }
  }
  free_results(f, results, n_results);
  free(results);
  free(times.ns);
  arguments_free(&arguments);
  dp_trim(f->ctx);
}

static Function *find_function(Host *h, const char *module, const char *name) {
  for (int k = 0; k < N_FUNCTIONS; k++)
    if (strcmp(h->functions[k].module, module) == 0 && strcmp(h->functions[k].name, name) == 0)
      return &h->functions[k];
  return NULL;
}

// Hand tracking's simple variant has an empty list of us, and functions of its own.
static bool lacks_us(const json_t *input) {
  const json_t *us = json_object_get(input, "us");
  return json_is_array(us) && json_array_size(us) == 0;
}

static void evaluate(Host *h, const json_t *message) {
  const char *module = json_string_value(json_object_get(message, "module"));
  const char *name = json_string_value(json_object_get(message, "function"));
  json_t *input = json_object_get(message, "input");
  char without_us[80];
  if (module && name && strcmp(module, "ht") == 0 && lacks_us(input)) {
    snprintf(without_us, sizeof without_us, "%s without us", name);
    name = without_us;
  }
  Function *f = module && name ? find_function(h, module, name) : NULL;
  if (f && f->defined && !f->ctx) compile(&(Job){.f = f, .options = &h->options});
  if (!f)
    answer_failure(h, "there is no such function");
  else if (!f->code)
    answer_failure(h, f->why ? f->why : "the module was not defined");
  else
    run_function(h, f, input);
}

// ---- messages ----------------------------------------------------------------------------------------------------

static void answer(Host *h, const json_t *message) {
  const char *kind = json_string_value(json_object_get(message, "kind"));
  if (kind && strcmp(kind, "end") == 0) return;
  answer_begin(h, message);
  if (kind && strcmp(kind, "start") == 0)
    fputs(", \"tool\": \"dp\"", h->out);
  else if (kind && strcmp(kind, "define") == 0)
    define(h, message);
  else if (kind && strcmp(kind, "evaluate") == 0)
    evaluate(h, message);
  answer_end(h);
}

int main(int argc, char **argv) {
  Host h = {.options = dp_options_default(), .out = stdout};
  h.options.out_of_process = true; // this one's memory is the arrays'
  if (argc == 3 && strcmp(argv[1], "--without") == 0) {
    h.options.without = argv[2]; // optimisation passes: what are they worth?
  } else if (argc > 1) {
    fprintf(stderr, "usage: dp-gradbench [--without PASS,...]\n");
    return 2;
  }
  memcpy(h.functions, functions_at_start, sizeof functions_at_start);
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  int code = 0;
  while ((length = getline(&line, &capacity, stdin)) > 0) {
    json_error_t error;
    json_t *message = json_loadb(line, (size_t)length, 0, &error);
    free(line);
    line = NULL;
    capacity = 0;
    if (!message) {
      fprintf(stderr, "dp-gradbench: a line is no JSON object: %s\n", error.text);
      code = 1;
      break;
    }
    answer(&h, message);
    json_decref(message);
  }
  free(line);
  for (int k = 0; k < N_FUNCTIONS; k++) forget(&h.functions[k]);
  return code;
}
