// compiler/ir: construction, the text form there and back, the verifier, cloning, traversal, the call graph.
#include "ir_world.h"

#include <stdio.h>

TestSuite(build, .init = world_start, .fini = world_stop);
TestSuite(text, .init = world_start, .fini = world_stop);
TestSuite(verify, .init = world_start, .fini = world_stop);
TestSuite(clone, .init = world_start, .fini = world_stop);
TestSuite(walk, .init = world_start, .fini = world_stop);

static Name name(const char *s) { return intern_cstr(w.names, s); }

static const char *print(const IrModule *m) {
  StrBuf sb;
  sb_init(&sb, w.arena);
  ir_print_module(m, &sb);
  return sb.data;
}

static const char *read_input(const char *file) {
  const char *why = NULL;
  size_t len;
  char *text = file_read(w.arena, arena_printf(w.arena, "%s/tests/ir/%s", DP_SOURCE_DIR, file), &len, &why);
  cr_assert_not_null(text, "%s", why);
  return text;
}

static const char *const inputs[] = {"logsumexp.ir", "arrays.ir", "calls.ir", "every_op.ir"};
enum { N_INPUTS = sizeof inputs / sizeof inputs[0] };

// ---- text --------------------------------------------------------------------------------------------------------

Test(text, inputs_print_as_they_stand) {
  for (int i = 0; i < N_INPUTS; i++) {
    const char *text = read_input(inputs[i]);
    cr_assert_str_eq(print(parse("test.ir", text)), text, "%s", inputs[i]);
  }
}

static IrWalk mark_kind(void *user, IrOp *op) {
  ((bool *)user)[op->kind] = true;
  return IR_WALK_CONTINUE;
}

Test(text, inputs_hold_every_operation) {
  bool seen[IR_OP_COUNT] = {0};
  IrModule *m = parse("test.ir", read_input("every_op.ir"));
  for (int i = 0; i < m->funcs.len; i++) ir_walk(m->funcs.data[i]->body, mark_kind, seen);
  for (int k = 0; k < IR_OP_COUNT; k++) cr_expect(seen[k], "%s", ir_op_info[k].text);
}

Test(text, unnamed_values_and_comments_are_normalised) {
  const char *text = "dp-ir 1 // version\nfn @f(%7: int) -> int {\n"
                     "  %a = add %7, %7 // twice\n  %3 = mul %a, %a\n  return %3\n}\n";
  cr_assert_str_eq(print(parse("test.ir", text)), "dp-ir 1\n\nfn @f(%0: int \"7\") -> int {\n"
                                                  "  %a = add %0, %0\n  %1 = mul %a, %a\n  return %1\n}\n");
}

Test(text, hints_become_unique_names) {
  IrModule *m = ir_module_new(w.arena, w.names, &w.sources);
  IrFunc *f = ir_func_new(m, name("f g"));
  IrVal x = ir_param(f, IR_SCALAR(IR_F64), NULL, (IrLeaf){name("m.w"), false});
  ir_name(f, x, name("x"));
  IrBuilder b = ir_builder(f);
  const char *hints[] = {"x", "x", "x.1", "1st", "a b"};
  IrVal v = x;
  for (int i = 0; i < 5; i++) {
    v = ir_op2(&b, IR_ADD, v, v);
    ir_name(f, v, name(hints[i]));
  }
  ir_set_results(f, &v, 1, NULL);
  const char *text = print(m);
  cr_assert_str_eq(text, "dp-ir 1\n\nfn @\"f g\"(%x: f64 \"m.w\") -> f64 {\n"
                         "  %x.1 = add %x, %x\n  %x.2 = add %x.1, %x.1\n  %x.1.1 = add %x.2, %x.2\n"
                         "  %_1st = add %x.1.1, %x.1.1\n  %a_b = add %_1st, %_1st\n  return %a_b\n}\n");
  cr_assert_str_eq(print(parse("test.ir", text)), text);
}

static const char *const mistakes[][2] = {
    {"", "expected the line `dp-ir 1`, but the text ends here"},
    {"dp-ir 2", "not version 1"},
    {"dp-ir 1 fn @f() { %x = nothing }", "there is no operation `nothing`"},
    {"dp-ir 1 fn @f() { %x = add %y, %y }", "%y is not defined before its use"},
    {"dp-ir 1 fn @f(%x: int, %x: int) { return }", "%x is defined twice"},
    {"dp-ir 1 fn @f(%x: int, %y: f64) { %z = add %x, %y return }", "the operands of `add` do not fit"},
    {"dp-ir 1 fn @f(%x: int) { %z, %y = add %x, %x return }", "`add` has 1 results here, but 2 are named"},
    {"dp-ir 1 fn @f(%x: int) -> f64 { return %x }", "value 0 has another type than result 0"},
    {"dp-ir 1 fn @f(%x: int) -> int { return }", "0 values are returned for 1 results"},
    {"dp-ir 1 fn @f(%x: f64[%n]) { return }", "%n is not defined before its use"},
    {"dp-ir 1 fn @f(%n: f64, %x: f64[%n]) { return }", "a size must be an int"},
    {"dp-ir 1 fn @f() { %x = const int 99999999999999999999 return }", "not a whole number of 64 bits"},
    {"dp-ir 1 fn @f() { %x = str \"open\n return }", "expected a string here"},
    {"dp-ir 1 fn @f(%c: bool) { %r = if %c { yield %c } else { } return }", "different numbers of values"},
    {"dp-ir 1 fn @f(%c: bool) { if %c { %x = not %c } else { %y = not %x } return }", "not around its use"},
    {"dp-ir 1 fn @f() { return } fn @f() { return }", "there are two functions @f"},
    {"dp-ir 1 fn @f() { %x = add ", "expected a value, but the text ends here"},
};

Test(text, mistakes_are_told) {
  for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
    int before = w.diags.list.len;
    cr_assert_null(parse_text("test.ir", mistakes[i][0]), "%s", mistakes[i][0]);
    cr_assert_eq(w.diags.list.len, before + 1);
    const char *message = w.diags.list.data[before]->message;
    cr_expect(strstr(message, mistakes[i][1]), "%s: %s", mistakes[i][0], message);
  }
}

Test(text, one_mistake_per_function) {
  const char *text = "dp-ir 1\nfn @f() {\n  %x = what\n}\nfn @g() {\n  return\n}\nfn @h() {\n  %x = why\n}\n";
  cr_assert_null(parse_text("test.ir", text));
  cr_assert_eq(w.diags.n_errors, 2);
  int line, col;
  sources_line_col(&w.sources, w.diags.list.data[1]->primary.loc, &line, &col);
  cr_assert_eq(line, 9);
  cr_assert_eq(col, 8);
}

Test(text, deep_nesting_is_refused) {
  StrBuf sb;
  sb_init(&sb, w.arena);
  sb_add(&sb, "dp-ir 1 fn @f(%c: bool) {");
  for (int i = 0; i < 100000; i++) sb_add(&sb, "if %c {");
  cr_assert_null(parse_text("test.ir", sb.data));
  cr_assert_eq(w.diags.list.data[0]->code, DIAG_NESTING);
}

// Every prefix of the inputs, and the inputs with single bytes changed: a diagnostic or a module, never a crash.
Test(text, garbage_is_survived) {
  uint32_t seed = 1;
  for (int i = 0; i < N_INPUTS; i++) {
    const char *text = read_input(inputs[i]);
    size_t n = strlen(text);
    for (int k = 0; k < 1500; k++) {
      world_stop(), world_start();
      text = read_input(inputs[i]);
      char *changed = arena_strdup(w.arena, text, n);
      for (int hits = 0; hits < 1 + k % 3; hits++) {
        seed = seed * 1664525 + 1013904223;
        changed[(seed >> 8) % n] = k & 1 ? text[(seed >> 4) % n] : (char)(seed >> 24);
      }
      if (k % 5 == 0) changed[(seed >> 8) % n] = 0;
      IrModule *m = parse_text("test.ir", changed);
      cr_assert((m == NULL) == (w.diags.n_errors > 0));
      if (m && !ir_verify_module(w.arena, m)) {
        const char *again = print(m);
        cr_assert_str_eq(print(parse("test.ir", again)), again);
      }
    }
  }
}

// ---- construction ------------------------------------------------------------------------------------------------

Test(build, results_follow_the_operands) {
  IrModule *m = ir_module_new(w.arena, w.names, &w.sources);
  IrFunc *f = ir_func_new(m, name("f"));
  IrVal n = ir_param(f, IR_SCALAR(IR_INT), NULL, (IrLeaf){name("n"), false});
  IrVal k = ir_param(f, IR_SCALAR(IR_INT), NULL, (IrLeaf){name("k"), false});
  IrVal a = ir_param(f, (IrType){IR_F32, 2, false}, (IrVal[]){n, k}, (IrLeaf){name("a"), false});
  f->n_sizes = 2;
  IrBuilder b = ir_builder(f);
  IrVal c = ir_matmul(&b, a, a, IR_TRANS_A);
  cr_assert_eq(ir_dims(f, c)[0], k);
  cr_assert_eq(ir_dims(f, c)[1], k);
  cr_assert_eq(ir_type(f, c).elem, IR_F32);
  IrVal e = ir_get(&b, c, (IrVal[]){n, n}, 2);
  cr_assert(ir_type_eq(ir_type(f, e), IR_SCALAR(IR_F32)));
  IrVal d = ir_fill(&b, e, (IrVal[]){k, n, k}, 3);
  cr_assert_eq(ir_dims(f, d)[1], n);
  IrVal g = ir_op2(&b, IR_PUSH, ir_empty(&b, IR_F32), e);
  cr_assert(ir_type(f, g).grow);
  cr_assert_null(ir_dims(f, g));
  IrVal z = ir_const_int(&b, 0), one = ir_const_int(&b, 1);
  IrBuilder in;
  IrOp *loop = ir_for(&b, z, n, one, (IrVal[]){d, e}, 2, &in);
  cr_assert_eq(loop->regions[0]->n_args, 3);
  cr_assert_eq(ir_dims(f, ir_result(loop, 0))[1], n);
  IrVal carried = ir_set(&in, loop->regions[0]->args[1], (IrVal[]){z, z, z}, 3, loop->regions[0]->args[2]);
  ir_yield(&in, (IrVal[]){carried, e}, 2);
  const IrType types[] = {IR_SCALAR(IR_INT), {IR_F64, 1, false}};
  const IrVal dims[] = {IR_RESULT(0)}, *const all[] = {NULL, dims};
  IrOp *call = ir_op_explicit(&b, IR_EXTERN, NULL, 0, types, all, 2);
  call->attr.ext = &(IrExtern){name("rows"), true, false};
  cr_assert_eq(ir_dims(f, ir_result(call, 1))[0], ir_result(call, 0));
  ir_set_results(f, (IrVal[]){ir_result(loop, 0), ir_result(call, 1)}, 2, NULL);
  const char *bad = ir_verify_module(w.arena, m);
  cr_assert_null(bad, "%s", bad);
  IrFunc *g2 = ir_func_new(m, name("f"));
  cr_assert_str_eq(g2->name, "f.1");
  ir_set_results(g2, NULL, 0, NULL);
  ir_module_remove(m, f);
  cr_assert_null(ir_func_find(m, name("f")));
  cr_assert_eq(ir_func_find(m, name("f.1")), g2);
}

// ---- verifier ----------------------------------------------------------------------------------------------------

static const char *verify_func(IrModule *m, int i) {
  const char *bad = ir_verify_func(w.arena, m->funcs.data[i]);
  cr_assert_not_null(bad);
  return bad;
}

static IrOp *op_at(IrModule *m, int func, int i) { return m->funcs.data[func]->body->ops.data[i]; }

Test(verify, uses_before_definitions) {
  IrModule *m = parse("test.ir", read_input("logsumexp.ir"));
  IrOp *loop = op_at(m, 0, 4), *last = op_at(m, 0, 7);
  loop->regions[0]->ops.data[1]->args[0] = ir_result(last, 0);
  cr_expect_str_eq(verify_func(m, 0),
                   "in @logsumexp: `%e = get %r, %i`: operand 0, %r, is not defined before its use");
  m = parse("test.ir", read_input("logsumexp.ir"));
  loop = op_at(m, 0, 4), last = op_at(m, 0, 7);
  last->args[1] = loop->regions[0]->yields[0];
  cr_expect_str_eq(verify_func(m, 0),
                   "in @logsumexp: `%r = add %m, %b`: operand 1, %b, is defined in a region that is "
                   "not around its use");
  last->args[1] = 1000;
  cr_expect_str_eq(verify_func(m, 0),
                   "in @logsumexp: `%r = add %m, %?1000`: operand 1 is missing (value 1000 does not exist)");
}

Test(verify, types_and_regions) {
  IrModule *m = parse("test.ir", read_input("logsumexp.ir"));
  op_at(m, 0, 7)->args[1] = 1;
  cr_expect(strstr(verify_func(m, 0), "the operands must be ints, or floats of one width"));
  m = parse("test.ir", read_input("logsumexp.ir"));
  op_at(m, 0, 4)->regions[0]->n_yields = 0;
  cr_expect(strstr(verify_func(m, 0), "the body yields 0 values, not 1"));
  m = parse("test.ir", read_input("logsumexp.ir"));
  op_at(m, 0, 4)->regions[0]->yields[0] = 1;
  cr_expect(strstr(verify_func(m, 0), "yields int as value 0, where f64 is expected"));
  m = parse("test.ir", read_input("arrays.ir"));
  m->funcs.data[0]->vals.data[ir_result(op_at(m, 0, 3), 0)].dims = (IrVal[]){ir_result(op_at(m, 0, 0), 0)};
  cr_expect(strstr(verify_func(m, 0), "size 0 of the result does not follow from the operands"));
  m = parse("test.ir", read_input("arrays.ir"));
  m->funcs.data[0]->results[0] = IR_SCALAR(IR_F64);
  cr_expect_str_eq(verify_func(m, 0), "in @squares: result 0 is f64 but f64[_] is returned");
}

static const char *const ill_formed[][2] = {
    {"dp-ir 1 fn @f() { call @g() return }", "there is no function @g"},
    {"dp-ir 1 fn @f(%x: f64) { %y = call @f(%x) -> f64 return }", "there are 1 results, not 0"},
    {"dp-ir 1 fn @f(%x: int) { call @g(%x) return } fn @g(%x: f64) { return }",
     "is int where f64 is expected"},
    {"dp-ir 1 fn @f(%x: f64) -> f64 { %y, %d = dcall vjp @f wrt 1 (%x) -> f64, f64 return %y }",
     "an adjoint, is missing"},
    {"dp-ir 1 fn @f(%x: int) -> int { %y = dcall jvp @f wrt 1 (%x) -> int return %y }", "holds no floats"},
    {"dp-ir 1 fn @f(%x: f64) { %l = train @f, @f params 4 data 0 (%x) -> f64 return }", "do not fit"},
    {"dp-ir 1 fn @f() rule adjoint @h { return }", "there is no function @h"},
    {"dp-ir 1 fn @f(%x: f64) sizes 1 { return }", "parameter 0, a size, is not an int"},
    {"dp-ir 1 fn @f() { while { } do () { } return }", "the condition must yield one bool"},
    {"dp-ir 1 fn @f(%x: f64) { %y = fcvt f64 %x return }", "the conversion changes nothing"},
    {"dp-ir 1 fn @f(%n: int) { %y = build %n (%i) { %e = empty int yield %e } return }",
     "must yield scalars"},
};

Test(verify, what_the_parser_leaves_to_it) {
  for (size_t i = 0; i < sizeof ill_formed / sizeof ill_formed[0]; i++) {
    IrModule *m = parse_text("test.ir", ill_formed[i][0]);
    cr_assert_not_null(m, "%s", ill_formed[i][0]);
    const char *bad = ir_verify_module(w.arena, m);
    cr_assert_not_null(bad, "%s", ill_formed[i][0]);
    cr_expect(strstr(bad, ill_formed[i][1]), "%s: %s", ill_formed[i][0], bad);
  }
}

// ---- cloning -----------------------------------------------------------------------------------------------------

Test(clone, rewriting_nothing_changes_nothing) {
  for (int i = 0; i < N_INPUTS; i++) {
    const char *text = read_input(inputs[i]);
    IrModule *m = parse("test.ir", text);
    for (int k = 0; k < m->funcs.len; k++) ir_rewrite_func(m->funcs.data[k], NULL, NULL);
    const char *bad = ir_verify_module(w.arena, m);
    cr_assert_null(bad, "%s", bad);
    cr_assert_str_eq(print(m), text, "%s", inputs[i]);
  }
}

// Products of a value with itself become doublings; fills get another size.
static bool rewrite_some(void *user, IrBuilder *b, IrMap *map, const IrOp *op) {
  int *hits = user;
  if (op->kind == IR_MUL && op->args[0] == op->args[1]) {
    IrVal x = ir_mapped(map, op->args[0]);
    ir_map_set(map, op->result, ir_op2(b, IR_ADD, x, x));
  } else if (op->kind == IR_FILL) {
    IrVal n = ir_const_int(b, 4);
    ir_map_set(map, op->result, ir_fill(b, ir_mapped(map, op->args[0]), &n, 1));
  } else {
    return false;
  }
  ++*hits;
  return true;
}

Test(clone, sizes_follow_what_a_pass_replaced) {
  IrModule *m = parse("test.ir", read_input("arrays.ir"));
  int hits = 0;
  IrFunc *f = ir_rewrite_func(m->funcs.data[0], rewrite_some, &hits);
  cr_assert_eq(hits, 2);
  cr_assert_eq(m->funcs.data[0], f);
  const char *bad = ir_verify_func(w.arena, f);
  cr_assert_null(bad, "%s", bad);
  IrVal r = f->body->yields[0];
  int64_t n = 0;
  cr_assert(ir_is_const_int(f, ir_dims(f, r)[0], &n));
  cr_assert_eq(n, 4);
}

Test(clone, copies_within_a_function) {
  IrModule *m = parse("test.ir", read_input("logsumexp.ir"));
  IrFunc *f = m->funcs.data[0];
  IrMap map = ir_map_new(w.arena, f, f);
  IrBuilder b = ir_builder(f);
  const IrOp *loop = op_at(m, 0, 4);
  IrOp *again = ir_clone_op(&b, &map, loop);
  cr_assert_eq(again->kind, IR_FOR);
  cr_assert_neq(again->result, loop->result);
  const char *bad = ir_verify_func(w.arena, f);
  cr_assert_null(bad, "%s", bad);
}

// ---- traversal ---------------------------------------------------------------------------------------------------

static IrWalk count_until_get(void *user, IrOp *op) {
  if (op->kind == IR_GET) return IR_WALK_STOP;
  ++*(int *)user;
  return IR_WALK_CONTINUE;
}

static IrWalk count_outside(void *user, IrOp *op) {
  ++*(int *)user;
  return op->kind == IR_FOR ? IR_WALK_PRUNE : IR_WALK_CONTINUE;
}

Test(walk, stops_and_prunes) {
  IrModule *m = parse("test.ir", read_input("logsumexp.ir"));
  int n = 0;
  cr_assert_not(ir_walk(m->funcs.data[0]->body, count_until_get, &n));
  cr_assert_eq(n, 6);
  n = 0;
  cr_assert(ir_walk(m->funcs.data[0]->body, count_outside, &n));
  cr_assert_eq(n, 8);
}

Test(walk, uses_and_free_values) {
  IrModule *m = parse("test.ir", read_input("logsumexp.ir"));
  IrFunc *f = m->funcs.data[0];
  int *uses = ir_use_counts(w.arena, f);
  cr_assert_eq(uses[1], 4); // n: two loops, a check, the size of v
  cr_assert_eq(uses[2], 2); // v
  const IrOp *loop = op_at(m, 0, 5);
  IrVals out = {0};
  ir_free_values(w.arena, f, loop->regions[0], &out);
  cr_assert_eq(out.len, 3); // v, its size n, m
  cr_assert_eq(out.data[0], 2);
  cr_assert_eq(out.data[1], 1);
  out.len = 0;
  ir_free_values_op(w.arena, f, loop, &out);
  cr_assert_eq(out.len, 6); // 0, n, 1, zero, v, m
  const IrRegion *in = loop->regions[0];
  cr_assert(ir_inside(in, f->body));
  cr_assert_not(ir_inside(f->body, in));
  cr_assert(ir_defined_outside(f, 2, in));
  cr_assert_not(ir_defined_outside(f, in->args[0], in));
}

Test(walk, call_graph) {
  IrModule *m = parse("test.ir", read_input("calls.ir"));
  IrFuncs order = {0};
  ir_call_graph(m, w.arena, &order);
  cr_assert_eq(order.len, m->funcs.len);
  int at[16] = {0};
  for (int i = 0; i < order.len; i++)
    for (int k = 0; k < m->funcs.len; k++)
      if (m->funcs.data[k] == order.data[i]) at[k] = i;
  const bool recursive[] = {true, false, false, false, false, false, false, false, false};
  const bool effects[] = {false, false, false, true, false, false, true, true, true};
  for (int k = 0; k < m->funcs.len; k++) {
    cr_expect_eq(m->funcs.data[k]->recursive, recursive[k], "%s", m->funcs.data[k]->name);
    cr_expect_eq(m->funcs.data[k]->effects, effects[k], "%s", m->funcs.data[k]->name);
  }
  cr_expect_lt(at[1], at[2]); // softplus before its rule, both before who calls softplus
  cr_expect_lt(at[2], at[3]);
  cr_expect_lt(at[4], at[5]);
  cr_expect_lt(at[5], at[6]);
  cr_expect_not(ir_op_has_effect(m, op_at(m, 3, 0)));
  cr_expect(ir_op_has_effect(m, op_at(m, 3, 2)));
  cr_expect_not(ir_op_has_effect(m, op_at(m, 5, 1)));
  cr_expect_not(ir_op_has_effect(m, op_at(m, 8, 1)));
  cr_expect(ir_op_has_effect(m, op_at(m, 8, 0)));
}
