#!/usr/bin/env bash
# Do the tests notice a missing synchronisation? Takes every __syncthreads(), __syncwarp() and
# cp_async_wait<...>() of the CUDA kernels away in turn (in a copy) and runs the tests of the
# emulation: first plain, which sees other results or a deadlock, then with the checker of races.
#   tests/mutate.sh [TEST_CASES] [FILES...]    default: '*cuda*' and all of kernels/cuda
# A line with the comment `// mutate: redundant because ...` is left out, and listed.
# The last line is `N passed, N failed`; the exit status is 0 only if every one was noticed.
set -u
filter=${1:-*cuda*}
files=("${@:2}")
((${#files[@]})) || files=(kernels/cuda/*.cu kernels/cuda/*.h)
limit=${MUTATE_SECONDS:-300}  # a mutant that waits forever is one that was noticed
pattern='(__syncthreads|__syncwarp|(gpu::)?cp_async_wait<[^>]*>)\(\)'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Without the gradient checks, which take longest and see least: their shapes are tiny.
run_tests() {  # PROGRAM
  timeout "$limit" "$1" --test-case="$filter" --test-case-exclude='*gradcheck*' --abort-after=1
}
export -f run_tests
export filter limit pattern scratch
unset MAKEFLAGS MAKELEVEL MFLAGS

# What make would do for the tests after a change of these files, as commands.
commands() {  # SAN FILE...
  local san=$1 options=()
  shift
  for f in "$@"; do options+=(-W "$f"); done
  make -n V=1 CUDA=emulate SAN="$san" "${options[@]}" unit
}
export -f commands

# Builds the tests with the changed files below $overlay instead of the originals, and runs them.
# 0: they pass. 1: they do not. 2: it cannot be built.
run_mutant() {  # SAN OVERLAY CU_FILE...
  local san=$1 overlay=$2 objects="" command link object source
  shift 2
  commands "$san" "$@" >"$overlay/commands" 2>&1 || return 2
  for f in "$@"; do
    object=$overlay/$(basename "$f").o source=$f
    [[ -e $overlay/$f ]] && source=$overlay/$f
    command=$(grep -E -- " -c $f -o " "$overlay/commands" | sed -E "s| -MMD -MP||; s| -MF [^ ]+||;
      s| -I\.( .*)?$| -w -I$overlay -I.\1|; s| -c .*| -c $source -o $object|")
    [[ $command ]] && bash -c "$command" || return 2
    objects+=" $object"
  done
  # An object in front of the library takes the place of the one in it.
  link=$(grep -E -- ' -o [^ ]*/tests/unit$' "$overlay/commands" | grep -v -- ' -c ' |
    sed -E "s|( [^ ]*/libhrm\.a)|$objects\1|; s| -o [^ ]*$| -o $overlay/unit|")
  [[ $link ]] && bash -c "$link" || return 2
  run_tests "$overlay/unit" >"$overlay/log" 2>&1 || return 1
}
export -f run_mutant

mutant() {  # FILE:LINE
  local file=${1%:*} line=${1##*:} users overlay status name
  overlay=$scratch/${1//[:\/]/_}
  mkdir -p "$overlay/$(dirname "$file")"
  sed -E "${line}s/$pattern/(void)0/g" "$file" >"$overlay/$file"
  users=("$file")
  if [[ $file == *.h ]]; then  # the .cu files that call the function around the line
    name=$(head -n "$line" "$file" | grep -oE '__(device|global)__ .*[ *]\w+\(' | tail -n 1 |
      grep -oE '\w+\($' | tr -d '(')
    mapfile -t users < <(grep -lw -- "$name" kernels/cuda/*.cu | xargs grep -l "\"$file\"")
  fi
  for san in "" check; do
    run_mutant "$san" "$overlay" "${users[@]}" 2>"$overlay/errors"
    status=$?
    case $status in
      1) echo "noticed $1 (${san:-plain})" && break ;;
      2) echo "NOT NOTICED $1: cannot be built: $(grep -m 1 error "$overlay/errors")" && break ;;
    esac
  done
  ((status)) || echo "NOT NOTICED $1: $(sed -n "${line}p" "$file" | sed 's/^ *//')"
  rm -rf "$overlay"
}
export -f mutant

for san in "" check; do
  make -s CUDA=emulate SAN=$san unit >/dev/null || exit 1
  unit=$(commands "$san" kernels/cuda/gpu.h | grep -oE '[^ ]*/tests/unit$' | tail -n 1)
  if ! run_tests "$unit" >"$scratch/log" 2>&1; then
    tail -n 20 "$scratch/log"
    echo "mutate: $unit fails before anything was changed"
    exit 1
  fi
done
# Code only: a match in a comment or in an asm text does not count.
grep -nE "^[^\"/]*$pattern" "${files[@]}" /dev/null | grep -v 'emulate::' >"$scratch/places"
grep 'mutate: redundant' "$scratch/places" | sed -E 's/^([^:]*:[0-9]+):.*mutate: /left out \1: /'
grep -v 'mutate: redundant' "$scratch/places" | cut -d: -f1,2 |
  xargs -r -P "$(nproc)" -I{} bash -c 'mutant {}' | tee "$scratch/result"
passed=$(grep -c '^noticed ' "$scratch/result")
failed=$(grep -c '^NOT NOTICED ' "$scratch/result")
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
