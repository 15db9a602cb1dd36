#!/usr/bin/env bash
# Every C file is as clang-format would write it. `./dev format` makes it so.
set -u
cd "$(dirname "$0")/../.." || exit 2
format=${CLANG_FORMAT:-clang-format-19}
command -v "$format" >/dev/null || { echo "$format is missing: apt-get install clang-format-19" && exit 1; }
mapfile -t files < <(find compiler runtime tests samples -name '*.[ch]' 2>/dev/null | sort)
bad=$(for file in "${files[@]}"; do "$format" --dry-run -Werror "$file" 2>/dev/null || echo "$file"; done)
[ -z "$bad" ] && echo "${#files[@]} files are formatted" && exit 0
echo "not as clang-format would write them (./dev format does):"
echo "$bad"
exit 1
