#!/usr/bin/env bash
# tidy.sh BUILD_DIR: clang-tidy finds nothing in any C file that is built. A file is looked at again only when it, a
# header or .clang-tidy changed; what passed is remembered in BUILD_DIR/tidy.
set -u
build=$(cd "${1:-build}" && pwd) || exit 2
cd "$(dirname "$0")/../.." || exit 2
tidy=${CLANG_TIDY:-clang-tidy-19}
command -v "$tidy" >/dev/null || { echo "$tidy is missing: apt-get install clang-tidy-19" && exit 1; }
[ -f "$build/compile_commands.json" ] || { echo "there is no $build/compile_commands.json" && exit 1; }

mkdir -p "$build/tidy"
common=$(find compiler runtime -name '*.h' -o -name '*.def' | sort | xargs cat .clang-tidy | sha256sum)
todo=()
while read -r file; do
  grep -qF "\"$PWD/$file\"" "$build/compile_commands.json" || continue
  stamp=$build/tidy/$(echo "$common" | cat - "$file" | sha256sum | cut -c1-32)
  [ -e "$stamp" ] || todo+=("$file" "$stamp")
done < <(find compiler runtime -name '*.c' | sort)
[ ${#todo[@]} -gt 0 ] || { echo "nothing changed since clang-tidy last passed" && exit 0; }

printf '%s\0' "${todo[@]}" | xargs -0 -n 2 -P "${DP_JOBS:-2}" bash -c '
  "$0" -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option "$2" 2>/dev/null && touch "$3"' "$tidy" "$build"
