// Arrays and checks whose answer is at hand. Elements are found through the versions of an array that `set` and `acc`
// made, but only as far as a scalar: reading an older version instead would keep it alive beside the newer one.
#include "opt/scalar.h"

enum { MAX_VERSIONS = 64, MAX_PUSHES = 1024 }; // looked through for one element, for a length

typedef enum Place { PLACE_SAME, PLACE_OTHER, PLACE_UNKNOWN } Place;

static Place compare_places(const IrFunc *f, const IrVal *a, const IrVal *b, int n) {
  Place p = PLACE_SAME;
  for (int i = 0; i < n; i++) {
    if (ints_differ(f, a[i], b[i])) return PLACE_OTHER;
    if (!ints_equal(f, a[i], b[i])) p = PLACE_UNKNOWN;
  }
  return p;
}

IrVal simplify_get(const IrFunc *f, const IrVal *args, int n) {
  IrVal array = args[0];
  for (int steps = 0; steps < MAX_VERSIONS; steps++) {
    const IrOp *d = ir_val(f, array)->def;
    if (!d) return 0;
    if (d->kind == IR_FILL) return d->args[0];
    if (d->kind != IR_SET && d->kind != IR_ACC && d->kind != IR_COPY) return 0;
    Place p = d->kind == IR_COPY ? PLACE_OTHER : compare_places(f, args + 1, d->args + 1, n - 1);
    if (p == PLACE_SAME && d->kind == IR_SET) return d->args[n];
    if (p != PLACE_OTHER) return 0;
    array = d->args[0];
  }
  return 0;
}

bool simplify_len(const IrFunc *f, IrVal array, int64_t *out) {
  int64_t more = 0;
  for (int steps = 0; steps < MAX_PUSHES; steps++) {
    const IrOp *d = ir_val(f, array)->def;
    if (!d) return false;
    switch ((IrOpKind)d->kind) {
    case IR_EMPTY: *out = more; return more >= 0;
    case IR_PUSH: more++; break;
    case IR_POP: more--; break;
    case IR_SET:
    case IR_ACC:
    case IR_COPY: break;
    default: return false;
    }
    array = d->args[0];
  }
  return false;
}

bool simplify_overwritten(const IrFunc *f, const IrVal *args, int n) {
  const IrOp *d = op_of(f, args[0], IR_SET);
  return d && compare_places(f, args + 1, d->args + 1, n - 2) == PLACE_SAME;
}

bool simplify_check(const Simplify *s, const IrFunc *f, const IrOp *op, const IrVal *args) {
  int64_t v[3] = {0};
  bool known = true, t;
  if (op->kind == IR_ASSERT) return known_bool(s, f, args[0], &t) && t;
  for (int i = 0; i < op->n_args; i++) known = ir_is_const_int(f, args[i], &v[i]) && known;
  switch ((IrOpKind)op->kind) {
  case IR_CHECK_INDEX: return known && v[0] >= 0 && v[0] < v[1];
  case IR_CHECK_RANGE: return known && v[0] >= 0 && v[0] <= v[1] && v[1] <= v[2];
  case IR_CHECK_SIZE: return ints_equal(f, args[0], args[1]);
  default: return known && v[0] != 0; // CHECK_DIV
  }
}
