// Runtime: calling a compiled loss. In: a flat block of parameters and the data's slots. Out: the loss and a flat
// gradient. What must hold: gradient leaves have the parameters' sizes; that is checked, since a host may pass any function.
#include "train.h"

#include <string.h>

static int64_t slots_of(const dprt_leaf *leaf) { return 1 + leaf->rank; }

// Counts elements; at most 2^48, so that sizes in bytes stay far from overflow.
static int32_t count_parameters(LossCall *c) {
  const int64_t most = INT64_C(1) << 48;
  const int64_t *size = c->params.sizes;
  for (int64_t i = 0; i < c->params.n_leaves; i++) {
    const dprt_leaf *leaf = &c->params.leaves[i];
    if (leaf->elem != DPRT_F64)
      return dprt_fail(c->ctx, DPRT_ARGUMENT, c->site, "%s: parameters must be f64", c->who);
    int64_t count = 1;
    for (int r = 0; r < leaf->rank; r++, size++) {
      if (*size < 0 || (*size > 0 && count > most / *size))
        return dprt_fail(c->ctx, DPRT_SIZE, c->site, "%s: a parameter with a size of %lld", c->who,
                         (long long)*size);
      count *= *size;
    }
    c->counts[i] = count;
    c->n += count;
    if (c->n > most) return dprt_fail(c->ctx, DPRT_SIZE, c->site, "%s: too many parameters", c->who);
  }
  return DPRT_OK;
}

int32_t loss_call_init(LossCall *c, dprt_ctx *ctx, const dprt_site *site, const char *who,
                       const dprt_params *params, int64_t n_data, const dprt_leaf *data_leaves,
                       const dprt_slot *data) {
  *c = (LossCall){.ctx = ctx, .site = site, .who = who, .params = *params};
  int64_t n_data_slots = 0;
  for (int64_t i = 0; i < params->n_leaves; i++) c->data_at += slots_of(&params->leaves[i]);
  for (int64_t i = 0; i < n_data; i++) n_data_slots += slots_of(&data_leaves[i]);
  c->counts = dprt_alloc(ctx, sizeof *c->counts, params->n_leaves, 1, 1, 1);
  c->in = dprt_alloc(ctx, sizeof *c->in, c->data_at + n_data_slots, 1, 1, 1);
  c->out = dprt_alloc(ctx, sizeof *c->out, 1 + c->data_at, 1, 1, 1);
  if (!c->counts || !c->in || !c->out) return DPRT_MEMORY;
  int32_t status = count_parameters(c);
  if (status) return status;
  dprt_slot *slot = c->in;
  const int64_t *size = params->sizes;
  for (int64_t i = 0; i < params->n_leaves; i++) {
    slot++; // the data pointer or the scalar, set at each call
    for (int r = 0; r < params->leaves[i].rank; r++) (slot++)->i64 = *size++;
  }
  if (n_data_slots > 0) memcpy(slot, data, (size_t)n_data_slots * sizeof *slot);
  return DPRT_OK;
}

static void place_parameters(LossCall *c, const double *params) {
  dprt_slot *slot = c->in;
  for (int64_t i = 0; i < c->params.n_leaves; i++) {
    if (c->params.leaves[i].rank == 0)
      slot->f64 = *params;
    else
      slot->data = (void *)params; // borrowed: a compiled function never writes what is in `in`
    params += c->counts[i];
    slot += slots_of(&c->params.leaves[i]);
  }
}

int32_t loss_call_value(LossCall *c, dprt_fn *f, const double *params, double *value) {
  place_parameters(c, params);
  int32_t status = f(c->ctx, c->in, c->out);
  if (!status) *value = c->out[0].f64;
  return status;
}

static int32_t take_leaf(LossCall *c, const dprt_slot *slot, const dprt_slot *like, int64_t leaf,
                         double *gradient) {
  int32_t status = DPRT_OK;
  for (int r = 1; r <= c->params.leaves[leaf].rank && !status; r++)
    if (slot[r].i64 != like[r].i64)
      status = dprt_fail_size(c->ctx, c->site, "the sizes of a parameter and of its gradient", like[r].i64,
                              slot[r].i64);
  if (!status && c->counts[leaf] > 0) memcpy(gradient, slot->data, (size_t)c->counts[leaf] * sizeof(double));
  dprt_free(c->ctx, slot->data);
  return status;
}

int32_t loss_call_gradient(LossCall *c, dprt_fn *f, const double *params, double *value, double *gradient) {
  place_parameters(c, params);
  int32_t status = f(c->ctx, c->in, c->out);
  if (status) return status;
  *value = c->out[0].f64;
  const dprt_slot *slot = c->out + 1, *like = c->in;
  for (int64_t i = 0; i < c->params.n_leaves; i++) {
    const dprt_leaf *leaf = &c->params.leaves[i];
    if (leaf->rank == 0) {
      *gradient = slot->f64;
    } else {
      int32_t taken = take_leaf(c, slot, like, i, gradient);
      status = status ? status : taken; // the rest is freed all the same
    }
    gradient += c->counts[i];
    slot += slots_of(leaf);
    like += slots_of(leaf);
  }
  return status;
}
