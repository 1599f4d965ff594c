#!/usr/bin/env bash
# Every installed header has an example at its head, and `make header-examples` has compiled it.
set -u
folder=$(dirname "${HRM:-build/cpu/hrm}")/header_examples
passed=0 failed=0
# A macro for the sources of one folder: there is nothing to call.
without=(kernels/cpu/namespace.h)
fail() {
  failed=$((failed + 1))
  echo "FAILED $1: $2"
}
is_listed() {  # HEADER
  local header
  for header in "${without[@]}"; do [[ $header != "$1" ]] || return 0; done
  return 1
}
read -ra headers <"$folder/list"
for header in "${headers[@]}"; do
  source=$(grep -lxF "// $header" "$folder"/*.c "$folder"/*.cpp)
  object=${source%.*}.o
  if is_listed "$header"; then
    [[ -z $source ]] || fail "$header" "has an example, although it is listed in $0 as one without"
  elif [[ -z $source ]]; then
    fail "$header" "has no example. HINT: put one into its first comment, with five blanks before it"
  elif [[ ! -s $object || $source -nt $object ]]; then
    fail "$header" "its example has not been compiled. HINT: make header-examples"
  else
    passed=$((passed + 1))
  fi
done
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
