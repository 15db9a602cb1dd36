// check HOST CASES.json: starts dp-gradbench, sends it every case, and compares what it answers. Modules are defined in the
// order of their first case. Prints one line for each difference; exit code 1 if there was one.
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const double tolerance = 1e-11; // relative to the larger of 1 and the number

typedef struct Host {
  FILE *to, *from;
  pid_t pid;
  int id;
} Host;

static int start_host(Host *h, const char *path) {
  int in[2], out[2];
  if (pipe(in) || pipe(out)) return 1;
  h->pid = fork();
  if (h->pid < 0) return 1;
  if (h->pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[1]);
    close(out[0]);
    execl(path, path, (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  h->to = fdopen(in[1], "w");
  h->from = fdopen(out[0], "r");
  return h->to && h->from ? 0 : 1;
}

// Takes the message; NULL if the host gave no proper answer to it.
static json_t *ask(Host *h, json_t *message) {
  json_object_set_new(message, "id", json_integer(h->id));
  json_dumpf(message, h->to, JSON_COMPACT);
  fputc('\n', h->to);
  fflush(h->to);
  json_decref(message);
  char *line = NULL;
  size_t capacity = 0;
  ssize_t n = getline(&line, &capacity, h->from);
  json_t *answer = n > 0 ? json_loadb(line, (size_t)n, 0, NULL) : NULL;
  free(line);
  if (!answer || json_integer_value(json_object_get(answer, "id")) != h->id++) {
    json_decref(answer);
    printf("the host ended, or answered something else\n");
    return NULL;
  }
  return answer;
}

// Differences between the two, told with `path` before each; path has room for what is added to it.
static int differences(const json_t *want, const json_t *have, char *path, size_t room) {
  size_t n = strlen(path), k;
  const char *key;
  const json_t *part;
  int bad = 0;
  if (json_is_object(want) && json_is_object(have) && json_object_size(want) == json_object_size(have)) {
    json_object_foreach((json_t *)want, key, part) {
      snprintf(path + n, room - n, ".%s", key);
      bad += differences(part, json_object_get(have, key), path, room);
    }
  } else if (json_is_array(want) && json_is_array(have) && json_array_size(want) == json_array_size(have)) {
    json_array_foreach((json_t *)want, k, part) {
      snprintf(path + n, room - n, "[%zu]", k);
      bad += differences(part, json_array_get(have, k), path, room);
    }
  } else if (json_is_number(want) && json_is_number(have)) {
    double x = json_number_value(want), y = json_number_value(have);
    if (!(fabs(x - y) <= tolerance * fmax(1, fabs(x)))) {
      printf("%s: %.17g expected, %.17g answered\n", path, x, y);
      bad = 1;
    }
  } else {
    printf("%s: another kind or number of values\n", path);
    bad = 1;
  }
  path[n] = '\0';
  return bad;
}

// Both the suite's minimum of runs and its answers: each function must tell as many times as it was told to run.
static int check_timings(const json_t *answer, const char *path) {
  int runs = 0;
  size_t k;
  const json_t *t;
  json_array_foreach(json_object_get(answer, "timings"), k, t) {
    const char *name = json_string_value(json_object_get(t, "name"));
    if (name && strcmp(name, "evaluate") == 0 && json_integer_value(json_object_get(t, "nanoseconds")) > 0)
      runs++;
  }
  if (runs >= 2) return 0;
  printf("%s: %d timings, but it was to run twice\n", path, runs);
  return 1;
}

static int check_case(Host *h, const json_t *c, int number) {
  char path[400];
  const char *module = json_string_value(json_object_get(c, "module"));
  const char *function = json_string_value(json_object_get(c, "function"));
  snprintf(path, sizeof path, "case %d, %s.%s", number, module, function);
  json_t *input = json_deep_copy(json_object_get(c, "input"));
  if (json_is_object(input)) json_object_set_new(input, "min_runs", json_integer(2));
  bool timed = json_is_object(input);
  json_t *answer = ask(h, json_pack("{s:s, s:s, s:s, s:o}", "kind", "evaluate", "module", module, "function",
                                    function, "input", input));
  if (!answer) return 1;
  int bad = 0;
  if (!json_is_true(json_object_get(answer, "success"))) {
    printf("%s: %s\n", path, json_string_value(json_object_get(answer, "error")));
    bad = 1;
  } else {
    bad = differences(json_object_get(c, "output"), json_object_get(answer, "output"), path, sizeof path);
    if (timed) bad += check_timings(answer, path);
  }
  json_decref(answer);
  return bad;
}

static int define(Host *h, const char *module) {
  json_t *answer = ask(h, json_pack("{s:s, s:s}", "kind", "define", "module", module));
  int bad = !answer || !json_is_true(json_object_get(answer, "success"));
  if (answer && bad) printf("%s: %s\n", module, json_string_value(json_object_get(answer, "error")));
  json_decref(answer);
  return bad;
}

int main(int argc, char **argv) {
  Host h = {0};
  json_error_t error;
  json_t *cases = argc == 3 ? json_load_file(argv[2], 0, &error) : NULL;
  if (!cases || start_host(&h, argv[1])) {
    printf("usage: check HOST CASES.json, both of which must exist\n");
    return 2;
  }
  json_t *started = ask(&h, json_pack("{s:s}", "kind", "start"));
  int bad = !started;
  json_decref(started);
  const char *defined = "";
  size_t k;
  const json_t *c;
  json_array_foreach(cases, k, c) {
    const char *module = json_string_value(json_object_get(c, "module"));
    if (strcmp(module, defined) != 0) bad += define(&h, module);
    defined = module;
    bad += check_case(&h, c, (int)k);
  }
  fclose(h.to);
  fclose(h.from);
  int status = 0;
  waitpid(h.pid, &status, 0);
  if (status) printf("the host ended with status %d\n", status);
  printf("%zu cases, %d differences\n", json_array_size(cases), bad);
  json_decref(cases);
  return bad || status ? 1 : 0;
}
