# Bad input, sourced by ./run: bad files, options and machines. Each gives an error that says what is wrong and where, the
# documented exit code, and leaves nothing half-written. The working directory is a scratch folder.

# gives CODE WHAT TEXT COMMAND...: the command ends with CODE, and says TEXT on standard error or standard output.
gives() {
  local want=$1 what=$2 text=$3 code
  shift 3
  checked=$((checked + 1))
  timeout "${DP_TEST_TIMEOUT:-120}" "$@" >"$work/out" 2>"$work/err" </dev/null
  code=$?
  [ $code -eq "$want" ] || fail "input" "$what: expected the exit code $want, got $code" "$work/err" || return
  [ -z "$text" ] || grep -qF -- "$text" "$work/err" "$work/out" || fail "input" "$what: expected to be told \`$text\`" "$work/err"
}

nothing_left() { # nothing_left WHAT FILES...: none of these exists
  local what=$1 file
  shift
  for file in "$@"; do [ -e "$file" ] && fail "input" "$what left $file behind"; done
}

hello='fn main() { print("hello") }'
echo "$hello" >hello.dp

# ---- files ------------------------------------------------------------------------------------------------------------
gives 3 "a missing file" "missing.dp" "$dp" run missing.dp
gives 3 "a missing file" "missing.dp" "$dp" check missing.dp
mkdir folder.dp
gives 3 "a folder" "folder.dp" "$dp" run folder.dp
gives 3 "a file under a file" "hello.dp/x" "$dp" run hello.dp/x.dp
if [ "$(id -u)" -ne 0 ]; then
  echo "$hello" >locked.dp
  chmod 000 locked.dp
  gives 3 "an unreadable file" "locked.dp" "$dp" run locked.dp
fi
: >empty.dp
gives 0 "an empty file" "" "$dp" check empty.dp
gives 3 "an empty file" "no function \`main\`" "$dp" run empty.dp
printf 'fn main() {\n    print("caf\xe9")\n}\n' >latin1.dp
gives 3 "text that is not UTF-8" "latin1.dp:2:" "$dp" run latin1.dp
grep -q E0101 "$work/err" || fail "input" "text that is not UTF-8: expected E0101" "$work/err"
printf 'fn main() {\0\0 print("x") }' >zeros.dp
gives 3 "NUL bytes" "zeros.dp:1:" "$dp" run zeros.dp
head -c 1048576 /dev/zero | tr '\0' '(' >deep.dp
gives 3 "a megabyte of (" "deep.dp:1:1" "$dp" run deep.dp
{ echo 'fn main() { print('; head -c 1048576 /dev/zero | tr '\0' '('; } >deep2.dp
gives 3 "a megabyte of ( within a function" "E0104" "$dp" run deep2.dp
head -c 200000 /dev/zero | tr '\0' '{' >braces.dp
gives 3 "many {" "braces.dp:1:" "$dp" check braces.dp
{ echo 'fn main() { print(1'; for ((i = 0; i < 20000; i++)); do echo ' + 1'; done; echo ') }'; } >long.dp
gives 3 "a sum of 20,000 terms" "E0104" "$dp" run long.dp
head -c 100000 /dev/urandom >noise.dp
timeout 60 "$dp" check noise.dp >/dev/null 2>&1
[ $? -eq 3 ] || fail "input" "random bytes: expected the exit code 3"
{ for ((i = 0; i < 20000; i++)); do echo "fn f$i(x: f64) -> f64 = $i.0 * x"; done; echo 'fn main() { print(f7(2.0)) }'; } >many.dp
gives 0 "20,000 functions" "14.0" "$dp" run many.dp
{ echo 'fn f0(x: f64) -> f64 = x'; for ((i = 1; i < 1000; i++)); do echo "fn f$i(x: f64) -> f64 = f$((i - 1))(x) + 1.0"; done
  echo 'fn main() { print(f999(1.0)) }'; } >chain.dp
gives 0 "a chain of 1,000 calls" "1000.0" "$dp" run chain.dp
{ echo -n 'fn main() { let a = [0.5'; for ((i = 1; i < 100000; i++)); do echo -n ", $i.5"; done; echo ']; print(sum(a)) }'; } >table.dp
gives 0 "an array of 100,000 numbers on one line" "5000000000.0" "$dp" run table.dp
{ echo -n 'fn main() { '; for ((i = 0; i < 20000; i++)); do echo -n "let a$i = $i; "; done; echo 'print(a77) }'; } >names.dp
gives 0 "20,000 names on one line" "77" "$dp" run names.dp
head -c 20000000 /dev/zero | tr '\0' 'x' >word.dp
gives 3 "a word of 20 MB" "word.dp:1:1" "$dp" check word.dp
printf '\xef\xbb\xbffn main() { print("bom") }\r\n' >bom.dp
gives 0 "a byte order mark and CRLF" "bom" "$dp" run bom.dp
gives 3 "a module without main" "no function \`main\`" "$dp" run tests/error/module_without_main.dp
gives 0 "a module without main" "" "$dp" check tests/error/module_without_main.dp

# ---- the command line -------------------------------------------------------------------------------------------------
gives 2 "no command" "usage: dp" "$dp"
gives 2 "an unknown command" "no command \`rum\`; did you mean \`run\`" "$dp" rum hello.dp
gives 2 "an unknown option" "--fast" "$dp" run --fast hello.dp
gives 2 "an option of another command" "--stage" "$dp" run --stage ir hello.dp
gives 2 "an option without its value" "wants a value" "$dp" build hello.dp -o
gives 2 "a level that does not exist" "-O4" "$dp" run -O4 hello.dp
gives 2 "no file" "usage: dp run" "$dp" run
gives 2 "no output" "usage: dp build" "$dp" build hello.dp
gives 2 "no function" "usage: dp grad" "$dp" grad hello.dp
gives 2 "a mode that does not exist" "sideways" "$dp" grad --mode sideways hello.dp main
gives 2 "no stage" "usage: dp emit" "$dp" emit hello.dp
gives 2 "an unknown stage" "there is no stage \`bytecode\`" "$dp" emit hello.dp --stage bytecode
gives 2 "an unknown pass" "there is no pass \`magic\`" "$dp" run --without magic hello.dp
gives 3 "an unknown processor" "z80" "$dp" run --cpu z80 hello.dp
gives 3 "an unknown function" "did you mean \`power\`" "$dp" grad tests/ad/loops.dp powr
gives 3 "a bad wrt" "E0602" "$dp" grad --wrt z tests/error/module_without_main.dp f
gives 3 "a bad wrt is shown" "value_and_grad(f, wrt: z)" "$dp" grad --wrt z tests/error/module_without_main.dp f
gives 2 "an unknown option of the program" "--speed" "$dp" run hello.dp --speed 3
gives 2 "a word for a number" "--count" "$dp" run tests/lang/options.dp --count many
gives 2 "a number too large" "--count" "$dp" run tests/lang/options.dp --count 99999999999999999999
gives 2 "an option of the program without its value" "--name" "$dp" run tests/lang/options.dp --name
for command in '' run build check grad emit help; do
  # shellcheck disable=SC2086 # no command is no word
  gives 0 "dp $command --help" "usage: dp" "$dp" $command --help
  # shellcheck disable=SC2086
  gives 0 "dp $command --version" "dp " "$dp" $command --version
done
gives 0 "dp --version" "dp " "$dp" --version
gives 0 "--help of the program" "--count" "$dp" run tests/lang/options.dp --help

# ---- output -----------------------------------------------------------------------------------------------------------
gives 3 "a folder for the program that does not exist" "no/such/folder" "$dp" build hello.dp -o no/such/folder/hello
gives 3 "a folder for the text that does not exist" "no/such/folder" "$dp" emit hello.dp --stage ir -o no/such/folder/hello.ir
mkdir taken
gives 3 "a folder in the program's place" "taken" "$dp" build hello.dp -o taken
[ -d taken ] && [ -z "$(ls -A taken)" ] || fail "input" "dp build changed a folder"
mkfifo pipe
gives 3 "a pipe in the program's place" "not an ordinary file" "$dp" build hello.dp -o pipe
[ -p pipe ] || fail "input" "dp build replaced a pipe"
echo "fn main() { print(x) }" >wrong.dp
gives 3 "a mistake" "E0200" "$dp" build wrong.dp -o wrong
nothing_left "a failed build" wrong wrong.o ./*.tmp* no
echo precious >kept
gives 3 "a mistake" "E0200" "$dp" build wrong.dp -o kept
grep -q precious kept || fail "input" "a failed build destroyed what was there"
if [ -e /dev/full ]; then
  checked=$((checked + 1))
  "$dp" run hello.dp >/dev/full 2>"$work/err"
  [ $? -eq 1 ] && [ "$(grep -ci "no space" "$work/err")" = 1 ] || fail "input" "a full disk for the program's output" "$work/err"
  "$dp" emit hello.dp --stage ir >/dev/full 2>"$work/err"
  [ $? -eq 1 ] && grep -qi "no space" "$work/err" || fail "input" "a full disk for what emit prints" "$work/err"
  gives 3 "a full device as output" "/dev/full" "$dp" emit hello.dp --stage ir -o /dev/full
  cat >tofull.dp <<'PROGRAM'
fn main() { write_text("/dev/full", "some text") }
PROGRAM
  gives 1 "a program that writes to a full disk" "tofull.dp:1:" "$dp" run tofull.dp
fi
if [ "$(id -u)" -eq 0 ] && mkdir tiny && mount -t tmpfs -o size=8k tmpfs tiny 2>/dev/null; then
  gives 3 "a program for a full disk" "No space left" "$dp" build hello.dp -o tiny/hello
  [ -z "$(ls -A tiny)" ] || fail "input" "a full disk: something half-written stayed: $(ls tiny)"
  cat >big.dp <<'PROGRAM'
fn main() { write_csv("tiny/big.csv", zeros(1000, 100)) }
PROGRAM
  gives 1 "a table for a full disk" "tiny/big.csv" "$dp" run big.dp
  [ -z "$(ls -A tiny)" ] || fail "input" "a full disk: half a table stayed: $(ls tiny)"
  umount tiny
fi
checked=$((checked + 1))
"$dp" run tests/lang/loops.dp | head -n 1 >/dev/null
code=${PIPESTATUS[0]}
[ "$code" -lt 128 ] || [ "$code" -eq 141 ] || fail "input" "a reader that goes away: exit code $code"

# ---- data -------------------------------------------------------------------------------------------------------------
# csv NAME CODE TEXT: a program reads NAME, and ends so.
csv() {
  printf 'fn main() {\n    let t = read_csv("%s")\n    print(t)\n}\n' "$1" >read.dp
  gives "$2" "reading $1" "$3" "$dp" run read.dp
}
csv missing.csv 1 "missing.csv"
mkdir folder.csv
csv folder.csv 1 "folder.csv"
: >empty.csv
csv empty.csv 1 "empty.csv"
printf 'a,b\n1,2\n3\n' >ragged.csv
csv ragged.csv 1 "ragged.csv, line 3"
printf 'a,b\n1,2\n3,4,5\n' >wide.csv
csv wide.csv 1 "wide.csv, line 3"
printf 'a,b\n1,2\n3,four\n' >word.csv
csv word.csv 1 "word.csv, line 3, column 2"
printf 'a,b\n1,2\n,4\n' >hole.csv
csv hole.csv 1 "hole.csv, line 3, column 1"
printf 'a,b\n1,2\n3,4\n' >good.csv
csv good.csv 0 "[[1.0, 2.0], [3.0, 4.0]]"
csv missing.csv 1 "read.dp:2:13: error"
gives 1 "a place that does not depend on the level" "read.dp:2:13: error" "$dp" run -O0 read.dp
csv good.csv 0 "[[1.0, 2.0], [3.0, 4.0]]"
printf 'a;b\r\n1;2\r\n' >semicolons.csv
timeout 60 "$dp" run read.dp >/dev/null 2>&1

# ---- native binaries --------------------------------------------------------------------------------------------------
gives 0 "dp build" "" "$dp" build samples/lecture.dp -o lecture
checked=$((checked + 1))
if ! ldd ./lecture >"$work/out" 2>&1; then
  grep -q "not a dynamic" "$work/out" || fail "input" "ldd of a native binary" "$work/out"
fi
grep -Eq '=>' "$work/out" && grep -Evq 'linux-vdso|ld-linux|libc\.so|libm\.so' "$work/out" &&
  fail "input" "a native binary needs more than the C library" "$work/out"
nothing_left "dp build" lecture.o ./lecture.tmp*
gives 0 "a native binary, alone" "11.652071" env -i ./lecture
checked=$((checked + 1))
(ulimit -s 256 && "$dp" run tests/lang/fails_recursion.dp >/dev/null 2>"$work/err")
[ $? -eq 1 ] || fail "input" "endless recursion on a small stack" "$work/err"
"$dp" build tests/lang/fails_recursion.dp -o deep >/dev/null 2>&1 && gives 1 "endless recursion in a native binary" "recursion" ./deep
"$dp" build --shared tests/ad/scalar.dp -o libscalar.so >"$work/out" 2>&1 || fail "input" "dp build --shared" "$work/out"

# The library's example of docs/tools.md: its program, its C, and what it says that comes out.
example() { awk -v first="// $1" '/^```/ { inside = 0; next } index($0, first) == 1 { inside = 1 } inside' "$root/docs/tools.md"; }
example line.dp >line.dp
example descend.c >descend.c
"$dp" build --shared line.dp -o libline.so >"$work/out" 2>&1 &&
  cc -Wall -Wextra -Werror descend.c -o descend -L. -lline -Wl,-rpath,. >"$work/out" 2>&1 ||
  fail "input" "docs/tools.md: a library for C" "$work/out"
gives 0 "docs/tools.md: a library for C" "y = 2.0000 x + 1.0000" ./descend
nothing_left "dp build --shared" ./libline.so.tmp*
cat >names.dp <<'DP'
struct Pair[n] { int: [n]f64, flag: bool }
fn double(ctx: Pair[n], c: [n + 1]f64, xs: [*]int, result: f32) -> (Pair[n], f32) = (Pair { int: 2.0 * ctx.int, flag: c[0] > 1.0 }, result)
fn made(size: int) -> [size]bool = [for i in 0..size: i > 0]
fn said(t: str) -> str = t
DP
cat >names.c <<'C'
#include "names.h"
#include <stdio.h>
int main(void) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  double a[] = {1, 2}, c[] = {3, 4, 5}, *twice;
  bool flag, *made;
  int64_t xs[] = {1}, sizes[1];
  float r;
  if (names_double(ctx, 2, a, false, c, 3, xs, 1, 1.5f, &twice, sizes, &flag, &r)) return 1;
  if (names_made(ctx, 3, &made, NULL)) return 1;
  printf("%g %g %d %d %g %d%d%d\n", twice[0], twice[1], (int)sizes[0], flag, r, made[0], made[1], made[2]);
  int32_t failed = names_double(ctx, 2, a, false, c, 2, xs, 1, 1.5f, &twice, sizes, &flag, &r);
  printf("%d %s\n", failed != 0, dprt_error_text(ctx));
  dprt_ctx_free(ctx);
}
C
"$dp" build --shared names.dp -o names.so >"$work/out" 2>&1 && cc -Wall -Werror names.c ./names.so -o names >"$work/out" 2>&1 ||
  fail "input" "a library whose names are C's" "$work/out"
gives 0 "a library whose names are C's" "2 4 2 1 1.5 011" ./names

# Names that are C's own, or the same in C; each call's own error; what cannot have a header leaves nothing.
cat >names.dp <<'DP'
fn α(NULL: f64, linux: int) -> f64 = NULL + linux
fn β(x: [n]f64, dprt_slot: int, _A: int, int64_t: int, typeid: bool) -> f64 = x[dprt_slot + _A * int64_t]
fn clear_error() -> int = 1
DP
cat >names.c <<'C'
#include <errno.h>
#include <stdio.h>
#include "dp.h"
int main(void) {
  dprt_ctx *ctx = dprt_ctx_new(NULL);
  const double x[] = {1, 2, 3};
  double y, z;
  if (dp___(ctx, 2, 3, &y) || dp____(ctx, 3, x, 1, 1, 1, true, &z)) return 1;
  printf("%g %g\n", y, z);
  for (int i = 5; i < 7; i++)
    if (dp____(ctx, 3, x, i, 0, 0, true, &z)) printf("%.42s\n", strstr(dprt_error_text(ctx), "index"));
  dprt_ctx_free(ctx);
}
C
sed -i '1i #include <string.h>' names.c
"$dp" build --shared names.dp -o dp.so >"$work/out" 2>&1 &&
  cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$root/runtime/include" -include dp.h -include dp/dprt.h names.c ./dp.so -o names >"$work/out" 2>&1 ||
  fail "input" "a library with names of C's headers" "$work/out"
gives 0 "a library with names of C's headers" "5 3" ./names
gives 0 "a library's latest error" "index 6 is out of range" ./names
gives 3 "a library in the place of its header" "its header would take its place" "$dp" build --shared names.dp -o names.h
mkdir taken.h
gives 3 "a library whose header cannot be" "\`taken.h\`: it is a folder" "$dp" build --shared names.dp -o taken.so
nothing_left "a library whose header cannot be" taken.so taken.so.tmp*
rmdir taken.h
"$dp" build --shared names.dp -o dprt.so >"$work/out" 2>&1 || fail "input" "a library named as the runtime" "$work/out"
gives 0 "a library that starts with -" "" "$dp" build --shared names.dp -o -names.so

# ---- C functions of one's own -------------------------------------------------------------------------------------------
cat >own.dp <<'DP'
extern fn own_sum(x: [n]f64) -> f64
extern fn own_slope(x: [n]f64, i: int) -> f64
adjoint own_sum(x: [n]f64) {
    return own_sum(x), fn(dy) => [for i in 0..n: dy * own_slope(x, i)]
}
fn main() { print(grad(own_sum)([1.0, 2.0])) }
DP
cat >own.c <<'C'
#include <stdint.h>
double own_sum(const double *x, int64_t n) { double s = 0; for (int64_t i = 0; i < n; i++) s += x[i] * x[i] * x[i]; return s; }
static int64_t calls;
double own_square(double x) { calls++; return x * x; }
int64_t own_calls(void) { return calls; }
double own_slope(const double *x, int64_t n, int64_t i) { (void)n; return 3.0 * x[i] * x[i]; }
C
cc -shared -fPIC own.c -o libown.so && cc -c own.c -o own.o || fail "input" "cc cannot compile a C function"
gives 3 "a C function that is nowhere" "--link FILE" "$dp" run own.dp
gives 0 "a C function in a library" "[3.0, 12.0]" "$dp" run --link libown.so own.dp
gives 0 "gradcheck of a C function" "1 ok" "$dp" gradcheck --link ./libown.so own.dp own_sum
gives 0 "the graph of a C function" "[3, 12]" "$dp" graph --link libown.so own.dp own_sum --at "[1, 2]" --text
gives 2 "a number where an array is wanted" "x is an array of rank 1" "$dp" graph --link libown.so own.dp own_sum --at 1
gives 2 "an object file where a library is wanted" "cc -shared" "$dp" run --link own.o own.dp
gives 3 "a binary without its C functions" "--link FILE" "$dp" build own.dp -o own
gives 0 "a binary with its C functions" "" "$dp" build --link own.o own.dp -o own
gives 0 "a binary with its C functions" "[3.0, 12.0]" ./own
# One with a rule depends on its arguments alone: it leaves a loop in which they stay the same.
cat >counted.dp <<'DP'
extern fn own_square(x: f64) -> f64
extern fn own_calls() -> int
adjoint own_square(x: f64) { return own_square(x), fn(dy) => 2.0 * x * dy }
fn total(x: f64, n: int) -> f64 = sum(for i in 0..n: own_square(x) * i)
fn main(n: int = 5) {
    print(total(3.0, n))
    print("{own_calls()} calls")
}
DP
gives 0 "a C function in a loop" "1 calls" "$dp" run --link libown.so counted.dp
