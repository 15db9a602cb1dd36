#!/usr/bin/env bash
# A compiler folder may include headers of its own folder and of those above it in this list, nothing below.
set -u
cd "$(dirname "$0")/../../compiler" || exit 2
rooms=(support syntax sema ir lower opt ad codegen jit driver)
bad=0

complain() { echo "$1" && bad=1; }

seen=" "
for room in "${rooms[@]}"; do
  seen+="$room "
  for file in "$room"/*.[ch] "$room"/*.def; do
    [ -e "$file" ] || continue
    while IFS=: read -r line text; do
      header=${text#*[\"<]}
      header=${header%%[\">]*}
      case $header in
        */*) folder=${header%%/*} ;;
        *) folder=$room ;; # beside the file
      esac
      case " ${rooms[*]} " in *" $folder "*) ;; *) continue ;; esac
      case $seen in *" $folder "*) ;; *) complain "compiler/$file:$line: $room is above $folder and may not include $header" ;; esac
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]' "$file")
  done
  case $room in
    codegen | jit | driver) ;;
    *)
      while read -r hit; do complain "compiler/$hit: only codegen and jit may include llvm-c"; done \
        < <(grep -nE '#[[:space:]]*include[[:space:]]*[<"]llvm' "$room"/*.[ch] 2>/dev/null) ;;
  esac
done
while read -r hit; do complain "compiler/$hit: only codegen and jit may include llvm-c"; done \
  < <(grep -HnE '#[[:space:]]*include[[:space:]]*[<"]llvm' driver/*.[ch] 2>/dev/null)
[ $bad -eq 0 ] && echo "the folders include each other in order"
exit $bad
