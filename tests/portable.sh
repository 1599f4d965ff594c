#!/usr/bin/env bash
# The portable build: the archive of `make dist`, unpacked in an empty folder, and the unit tests,
# with every instruction set that this processor has and on older processors, which qemu imitates.
# `tests/portable.sh BUILD_FOLDER DIST_FOLDER`; the last line is `N passed, N failed, N skipped`.
set -u
unset HRM_ISA
usage='usage: tests/portable.sh BUILD_FOLDER DIST_FOLDER'
unit=$(realpath "${1:?$usage}/tests/unit") parity=$(realpath "$1/tests/parity") archive=$(realpath "${2:?$usage}"/hrm-*-linux-x86_64.tar.gz)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/empty"
tar -xzf "$archive" -C "$work/empty" || exit 1
root=$(echo "$work"/empty/hrm-*) hrm=$(echo "$work"/empty/hrm-*/bin/hrm)
passed=0 failed=0 skipped=0

# Threads that wait for others must not keep a core from the programs beside them.
export GOMP_SPINCOUNT=10000

check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED portable: $name"
    tail -n 12 "$work/log" | sed 's/^/    /'
  fi
}
skip() {  # NAME REASON
  echo "SKIPPED portable: $1: $2"
  skipped=$((skipped + 1))
}
says() {  # TEXT COMMAND...: whatever its exit status is
  "${@:2}" 2>&1 | tee "$work/said" | grep -qF -- "$1" || { cat "$work/said"; return 1; }
}
is_static() { ! readelf --program-headers "$1" | grep -q INTERP; }
# Of the unit tests those of the kernels; and with the plainest set all that compute.
kernels='*test_kernels*,*test_ops*,*test_model*,*test_instruction_sets*'
computing="$kernels,*test_autograd*,*test_equilibrium*,*test_trainer*,*test_resume*"
# Recorded numbers of the official code: what the project has of them, or more.
recorded=(tests/fixtures/ops tests/fixtures/gradients)
reference=${REFERENCE_DIR:-../shared/reference}
[[ -d $reference/hrm_train ]] && recorded=("$reference"/{ops,gradients,hrm_train})
# Three steps of training with 1 and with 2 threads: the weights are the same, bit for bit.
same_bits() {  # SET
  local threads
  for threads in 1 2; do
    HRM_ISA=$1 OMP_NUM_THREADS=$threads "$hrm" train --preset sudoku4 --data "$work/data" --steps 3 \
      --run "$work/$1-$threads" --set batch_size=32 --set eval_every=0 --set final_eval_puzzles=16 ||
      return 1
  done
  cmp "$work/$1"-{1,2}/checkpoints/step_00000003/model.safetensors
}

check "no shared library" is_static "$hrm"
check "licences" test -s "$root/LICENSE" -a -s "$root/share/doc/hrm/licenses/libfmt-dev"
check "manual page" says "hrm arc predict" zcat "$root/share/man/man1/hrm.1.gz"
check "experiments" says "Outer refinement loops" env --chdir="$work" "$hrm" lab list
# What bash offers for the last of the words.
completed() {  # WORD...
  bash -c '. "$1" && COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2)) && _hrm && echo "${COMPREPLY[*]}"' \
    _ "$root/share/bash-completion/completions/hrm" "$@"
}
check "completion: a command" says "predict" completed hrm arc pr
check "completion: an option" says "--preset" completed hrm train --pr
check "completion: after =" says "sudoku4 sudoku6 sudoku9" completed hrm train --preset = sudoku
check "completion: a value" says "sudoku4 sudoku6 sudoku9" completed hrm train --preset sudoku
check "data" "$hrm" data sudoku --side 4 --count 300 --test 30 --out "$work/data"

sets=$("$hrm" info --json | awk -F'"' '/"instruction_sets"/ { list = 1; next } list && /]/ { exit } list { print $2 }')
for set in v2 v3 v4 bf16 amx; do
  if ! grep -qx "$set" <<<"$sets"; then
    skip "$set" "this processor does not have it"
    check "$set is refused" says "[HRM_ISA] this processor has no" env HRM_ISA="$set" "$hrm" info
    continue
  fi
  check "$set in use" says "(HRM_ISA=$set;" env HRM_ISA="$set" "$hrm" info
  tests=$kernels
  [[ $set == v2 ]] && tests=$computing
  check "$set: unit tests" env HRM_ISA="$set" "$unit" --no-colors=true --source-file="$tests"
  check "$set: parity" env HRM_ISA="$set" "$parity" "${recorded[@]}"
  check "$set: threads" same_bits "$set"
done

# The processors that qemu imitates: a set too many, such as a function of the standard library that
# was compiled for AVX2, would end the program there.
imitated() {  # PROCESSOR COMMAND...
  OMP_NUM_THREADS=1 timeout 200 qemu-x86_64 -cpu "$1" "${@:2}"
}
if command -v qemu-x86_64 >/dev/null; then
  tests=(--no-colors=true --source-file='*test_ops*,*test_model*')
  check "before v2" says "[processor] this program needs x86-64-v2" imitated core2duo "$hrm" info
  check "Nehalem has v2" says "(HRM_ISA=v2; it may be v2)" imitated Nehalem "$hrm" info
  check "Nehalem: kernels" imitated Nehalem "$unit" "${tests[@]}"
  version=$(qemu-x86_64 --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
  if [[ $(printf '%s\n' 7.2 "$version" | sort -V | head -n 1) == 7.2 ]]; then
    check "Haswell has v3" says "(HRM_ISA=v3; it may be v2 or v3)" imitated Haswell "$hrm" info
    check "Haswell: kernels" imitated Haswell "$unit" "${tests[@]}"
  else
    skip "Haswell" "this version of qemu has no AVX2"
  fi
else
  skip "older processors" "there is no qemu-x86_64. HINT: apt-get install qemu-user"
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
