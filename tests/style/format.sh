#!/usr/bin/env bash
# Every C file is as clang-format would write it. `./dev format` makes it so.
set -u
cd "$(dirname "$0")/../.." || exit 2
format=${CLANG_FORMAT:-clang-format-19}
command -v "$format" >/dev/null || { echo "$format is missing: apt-get install clang-format-19" && exit 1; }
mapfile -t files < <(find compiler runtime tests samples -name '*.[ch]' | sort)
if "$format" --dry-run -Werror "${files[@]}"; then
  echo "${#files[@]} files are formatted"
else
  echo "run ./dev format"
  exit 1
fi
