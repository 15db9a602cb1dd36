# compare.awk PROGRAM OUTPUT: the output is what the program's comments say. Variables: file (the program's name as dp was
# given it), code (the exit code), errors (the file that holds standard error).
function number_like(s) { return s ~ /^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$/ }
function close_to(a, b,    d, m) {
  if (a == b) return 1
  if (!number_like(a) || !number_like(b)) return 0
  d = a - b; if (d < 0) d = -d
  m = b + 0; if (m < 0) m = -m
  return d <= 1e-6 * m || d < 1e-12
}
# Numbers apart from what stands between them.
function split_numbers(s, parts,    n, c) {
  n = 0
  while (match(s, /[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?/)) {
    parts[++n] = substr(s, 1, RSTART - 1)
    parts[++n] = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
  }
  parts[++n] = s
  return n
}
function agree(want, have, about,    a, b, n, i) {
  if (want == have) return 1
  if (!about) return 0
  n = split_numbers(want, a)
  if (n != split_numbers(have, b)) return 0
  for (i = 1; i <= n; i++) if (!close_to(b[i], a[i])) return 0
  return 1
}
function wrong(text) { print text; bad = 1 }

NR == FNR {
  if (match($0, /\/\/ expect~?:/)) {
    about[++wants] = substr($0, RSTART, RLENGTH) ~ /~/
    text = substr($0, RSTART + RLENGTH)
    sub(/^ /, "", text)
    want[wants] = text
    at[wants] = FNR
  }
  if (match($0, /\/\/ fails: /)) {
    fails = substr($0, RSTART + RLENGTH)
    where = file ":" FNR ":"
  }
  next
}
{ have[++haves] = $0 }

END {
  for (i = 1; i <= wants || i <= haves; i++) {
    if (i > wants) { wrong("unexpected output: " have[i]); break }
    if (i > haves) { wrong("line " at[i] ": expected `" want[i] "`, and the output ends"); break }
    if (!agree(want[i], have[i], about[i])) wrong("line " at[i] ": expected `" want[i] "`, got `" have[i] "`")
  }
  while ((getline line < errors) > 0) {
    shown = shown line "\n"
    if (fails != "" && index(line, where) && index(line, fails)) found = 1
    else if (fails != "" && index(line, fails)) told = 1
    else if (fails != "" && index(line, where)) placed = 1
  }
  if (fails != "" && code != 1) wrong("expected the exit code 1")
  if (fails != "" && !found && !(told && placed)) wrong("expected on standard error: " where " " fails)
  if (fails == "" && code != 0) wrong("expected the exit code 0")
  if (bad && shown != "") print "standard error:\n" shown
  exit bad
}
