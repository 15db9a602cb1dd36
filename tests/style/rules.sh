#!/usr/bin/env bash
# House rules that grep can check.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0

# forbid WHY PATTERN FILE...: no line of the files matches, comments aside.
forbid() {
  local why=$1 pattern=$2 hits
  shift 2
  [ $# -gt 0 ] || return 0
  hits=$(grep -HnE "$pattern" "$@" | grep -vE '^[^:]*:[0-9]+:[[:space:]]*//')
  [ -z "$hits" ] && return 0
  echo "$why:"
  echo "$hits"
  bad=1
}

# process.c ends the child process that it made, and no other.
mapfile -t compiler < <(find compiler -name '*.[ch]' ! -path compiler/driver/main.c ! -path compiler/driver/process.c | sort)
mapfile -t all < <(find compiler runtime -name '*.[ch]' -o -path 'compiler/*' -name '*.def' | sort)
forbid "a library does not end the process or write to stderr; only compiler/driver/main.c does" \
  '(^|[^_[:alnum:]>.])(exit|_exit|abort|perror)[[:space:]]*\(|[^_[:alnum:]"]stderr[^_[:alnum:]"]' "${compiler[@]}"
mapfile -t reads_users < <(find compiler -path 'compiler/syntax/*.[ch]' -o -path 'compiler/driver/*.[ch]' | sort)
forbid "never an assert on what a user can write; static_assert is fine" \
  '(^|[^_[:alnum:]])assert[[:space:]]*\(.*;' "${reads_users[@]}"
forbid "finish it, or report what is not supported as a diagnostic" '(TO[D]O|FIXM[E]|XX[X])([^[:alnum:]]|$)' "${all[@]}"
forbid "headers use include guards" '#[[:space:]]*pragma[[:space:]]+once' "${all[@]}"
[ $bad -eq 0 ] && echo "the house rules hold"
exit $bad
