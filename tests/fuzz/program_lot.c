// Lots of random programs: see program_lot.h. In: what the programs are made from. Out: dp source.
#include "program_lot.h"

#include "program_text.h"

#include <stdlib.h>

void lot_add_programs(StrBuf *out, const ProgramSeed *seeds, int n) {
  sb_add(out, program_shared());
  for (int k = 0; k < n; k++) {
    ProgramText piece = program_piece(seeds[k], k);
    if (piece.text) sb_add(out, piece.text);
    free(piece.text);
  }
}

// ---- entries -----------------------------------------------------------------------------------------------------------

#define EIGHT_RESULTS(record) "(f64, f64, f64, [n]f64, [n]f64, [n, n]f64, " record ")"

static const struct {
  const char *name;
  const char *record,
      *fields; // the struct among the inputs, whole or in parts, as parameters and as arguments
  const char *result;
  const char *call, *called, *after; // what stands around the program's number, and behind the arguments
} entries[N_LOT_ENTRIES] = {
    {"derivatives", "p: P", "p", EIGHT_RESULTS("P"), "let d = value_and_grad(f_", ")",
     "\n    return (d.0, d.1.x, d.1.y, d.1.v, d.1.u, d.1.m, d.1.p)"},
    {"values", "p: P", "p", "f64", "return f_", "", ""},
    {"adjoints", "p_a: f64, p_w: [3]f64", "p_a, p_w", EIGHT_RESULTS("f64, [3]f64"), "return f_", "_adjoint",
     ""},
};

const char *lot_entry_name(LotEntry e) { return entries[e].name; }

static void add_head(StrBuf *out, LotEntry e, const char *more) {
  sb_addf(out,
          "(x: f64, y: f64, v: [n]f64, u: [n]f64, m: [n, n]f64, %s, idx: [n]int, k: int, %sagain: int) -> %s "
          "{\n",
          entries[e].record, more, entries[e].result);
}

static void add_arguments(StrBuf *out, LotEntry e, const char *more) {
  sb_addf(out, "(x, y, v, u, m, %s, idx, k%s)", entries[e].fields, more);
}

// One program's function of its own. `again` is a parameter, as a constant would make an inlinable copy of it.
static void add_one(StrBuf *out, LotEntry e, int k) {
  sb_addf(out, "fn %s_%d", entries[e].name, k);
  add_head(out, e, "");
  sb_addf(out, "    if again > 0 { return %s_%d", entries[e].name, k);
  add_arguments(out, e, ", again - 1");
  sb_addf(out, " }\n    %s%d%s", entries[e].call, k, entries[e].called);
  add_arguments(out, e, "");
  sb_addf(out, "%s\n}\n", entries[e].after);
}

void lot_add_entry(StrBuf *out, LotEntry e, int n) {
  for (int k = 0; k < n; k++) add_one(out, e, k);
  sb_addf(out, "fn %s", entries[e].name);
  add_head(out, e, "which: int, ");
  for (int k = 0; k < n; k++) {
    if (k < n - 1) sb_addf(out, "    if which == %d { return %s_%d", k, entries[e].name, k);
    if (k == n - 1) sb_addf(out, "    return %s_%d", entries[e].name, k);
    add_arguments(out, e, ", again");
    sb_add(out, k < n - 1 ? " }\n" : "\n}\n");
  }
}

// ---- main --------------------------------------------------------------------------------------------------------------

static void add_literals(StrBuf *out, const char *open, const double *v, int n, const char *close) {
  sb_add(out, open);
  for (int i = 0; i < n; i++) sb_addf(out, "%s(%.17e)", i ? ", " : "", v[i]);
  sb_add(out, close);
}

static void add_show(StrBuf *out, const Inputs *in, int number) {
  sb_addf(out, "fn show_%d(k: int) {\n    if k > 0 { show_%d(k - 1) }\n    let d = value_and_grad(f_%d)(",
          number, number, number);
  int n = in->n;
  add_literals(out, "", leaf_at(in, LEAF_X), 2, ", [");
  add_literals(out, "", leaf_at(in, LEAF_V), n, "], [");
  add_literals(out, "", leaf_at(in, LEAF_U), n, "], [");
  for (int i = 0; i < n; i++)
    add_literals(out, i ? ", [" : "[", leaf_at(in, LEAF_M) + (ptrdiff_t)i * n, n, "]");
  add_literals(out, "], P { a: ", leaf_at(in, LEAF_A), 1, ", w: [");
  add_literals(out, "", leaf_at(in, LEAF_W), 3, "] }, [");
  for (int i = 0; i < n; i++) sb_addf(out, "%s%d", i ? ", " : "", (int)in->idx[i]);
  sb_addf(out,
          "], %d)\n    print(\"{d.0} {d.1.x} {d.1.y} {d.1.v} {d.1.u}\")\n"
          "    for row in d.1.m { print(row) }\n    print(\"{d.1.p.a} {d.1.p.w}\")\n}\n",
          (int)in->k);
}

void lot_add_main(StrBuf *out, const Inputs *in, const bool *wanted, int n) {
  for (int k = 0; k < n; k++)
    if (wanted[k]) add_show(out, &in[k], k);
  sb_add(out, "fn main() {\n");
  for (int k = 0; k < n; k++)
    if (wanted[k]) sb_addf(out, "    show_%d(0)\n", k);
  sb_add(out, "}\n");
}
