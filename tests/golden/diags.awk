# diags.awk PROGRAM DIAGNOSTICS: `dp check` found what the program's comments say. Variables: file, code (the exit code).
function wrong(text) { print text; bad = 1 }
# Takes the comments of one line apart: `// error: E0301 text // error: E0302 text`.
function comments(line, number,    rest, kind, text, next_at) {
  rest = line
  while (match(rest, /\/\/ (error|warning|nowhere|below|elsewhere): [EW][0-9]+/)) {
    kind = substr(rest, RSTART + 3); sub(/:.*/, "", kind)
    text = substr(rest, RSTART); sub(/^\/\/ [a-z]+: /, "", text)
    rest = substr(rest, RSTART + 4)
    next_at = match(text, / *\/\/ (error|warning|nowhere|below|elsewhere): /)
    if (next_at) text = substr(text, 1, next_at - 1)
    wants++
    want_code[wants] = substr(text, 1, 5)
    want_text[wants] = substr(text, 7)
    want_line[wants] = kind == "nowhere" ? 0 : kind == "elsewhere" ? "elsewhere" : kind == "below" ? number + 1 : number
    if (want_code[wants] ~ /^E/) want_errors++
    else want_warnings++
  }
}
NR == FNR { comments($0, FNR); next }
match($0, /^(error|warning)\[[EW][0-9]+\]: /) {
  n++
  have_code[n] = substr($0, index($0, "[") + 1, 5)
  have_text[n] = substr($0, RSTART + RLENGTH)
  have_line[n] = 0
  next
}
n && !placed[n] && match($0, /^ *--> /) {
  place = substr($0, RLENGTH + 1)
  placed[n] = 1
  if (split(place, part, ":") >= 3 && index(place, file ":") == 1) have_line[n] = part[2] + 0
  else have_line[n] = "elsewhere"
}
{ shown = shown $0 "\n" }
END {
  for (i = 1; i <= wants; i++) {
    for (j = 1; j <= n; j++) {
      if (used[j] || have_code[j] != want_code[i] || have_line[j] "" != want_line[i] "") continue
      if (index(have_text[j], want_text[i])) { used[j] = 1; break }
    }
    if (j > n) wrong("line " want_line[i] ": not reported: " want_code[i] " " want_text[i])
  }
  for (j = 1; j <= n; j++) {
    if (used[j] || (have_code[j] ~ /^W/ && !want_warnings)) continue
    wrong("line " have_line[j] ": not expected: " have_code[j] " " have_text[j])
  }
  expected = want_errors ? 3 : 0
  if (code != expected) wrong("expected the exit code " expected)
  exit bad
}
