#!/usr/bin/env bash
# Runs every test program of a build tree and adds up what they counted: `tests/run.sh build/cpu`.
# The last line is `N passed, N failed, N skipped`; the exit status is 0 only if none failed.
set -u
build=${1:?usage: tests/run.sh BUILD_FOLDER}
reference=${REFERENCE_DIR:-../shared/reference}
passed=0 failed=0 skipped=0
work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT

# Threads that wait for others must not keep a core from the programs beside them (hrm sets this for
# itself).
briefly_spinning() { GOMP_SPINCOUNT=10000 "$@"; }

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# Adds the counts of a log's last line. A program that failed without counting a failure (a crash,
# say) is one failure.
add_last_line() {  # NAME STATUS [LOG]
  if [[ $(tail -n 1 "${3:-$log}") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    local f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
    add "${BASH_REMATCH[1]}" "$f" "$s"
    if (($2 == 0 || f > 0 || (s > 0 && $2 < 126))); then return; fi
  fi
  echo "FAILED $1: ended with status $2 and without a matching count"
  add 0 1 0
}

unit_tests() {  # TEST_PROGRAM [option of it...]
  briefly_spinning "$1" --no-colors=true "${@:2}" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} f s
  local summary='test cases: *([0-9]+) *\| *([0-9]+) passed *\| *([0-9]+) failed'
  if [[ $(grep 'test cases:' "$log") =~ $summary ]]; then
    f=${BASH_REMATCH[3]}
    s=$(grep -c '^SKIPPED ' "$log")
    add $((BASH_REMATCH[2] - s)) "$f" "$s"  # doctest counts a skipped test case as passed
    if ((status != 0 && f == 0)); then add 0 1 0; fi
  else
    echo "FAILED unit: ended with status $status before its summary"
    add 0 1 0
  fi
}

parity() {  # BUILD_FOLDER OPTION FAMILY...
  local fixtures=() family
  for family in "${@:3}"; do
    if [[ -d $reference/$family ]]; then
      fixtures+=("$reference/$family")
    elif [[ -d tests/fixtures/$family ]]; then  # the small families are part of the project
      fixtures+=("tests/fixtures/$family")
    else
      echo "SKIPPED parity $family: no folder $reference/$family (set REFERENCE_DIR)"
      add 0 0 1
    fi
  done
  if ((${#fixtures[@]})); then
    briefly_spinning "$1/tests/parity" $2 "${fixtures[@]}" 2>&1 | tee "$log"
    add_last_line parity "${PIPESTATUS[0]}"
  fi
}

# Which test runs which kernel, from the list that the unit tests wrote; one failure if a kernel of
# kernels/cuda has none.
kernel_table() {  # LIST
  local kernel tests missing=0
  for kernel in $(grep -hoE '[a-z0-9_]+_kernel\(' kernels/cuda/[!r]*.cu kernels/cuda/r[!u]*.cu |
    tr -d '(' | sort -u); do
    tests=$(grep -E "^$kernel[<[:space:]]" "$1" | cut -f 2 | sort -u | head -n 3 | paste -sd ';')
    printf '  %-34s %s\n' "$kernel" "${tests:-NO TEST}"
    [[ -n $tests ]] || missing=$((missing + 1))
  done
  if ((missing)); then
    echo "FAILED kernel table: $missing kernels without a test"
    add 0 1 0
  else
    add 1 0 0
  fi
}

echo "== unit tests"
list=$build/kernel_list
[[ $build == *emulate* ]] && export KERNEL_LIST=$list
unit_tests "$build/tests/unit"
unset KERNEL_LIST
[[ $build == *emulate* ]] && kernel_table "$list"

echo "== parity with the reference implementations"
parity "$build" '' ops hrm_train hrm_eval trm_train init gradients arc_pipeline compressarc
if [[ $build == *cuda* || $build == *emulate* ]]; then
  parity "$build" --cuda ops hrm_train hrm_eval trm_train gradients
fi

# The scripts, beside what follows: the emulation of a GPU keeps one core busy.
run_scripts() {
  local script
  for script in tests/cli/*.sh; do
    HRM=$build/hrm bash "$script" >"$work/$(basename "$script")" 2>&1 </dev/null
    echo $? >"$work/$(basename "$script").status"
  done
}
run_scripts &

# A CPU build is tested together with the CUDA kernels: emulated, and compiled for every GPU.
if [[ $build == build/cpu ]]; then
  echo "== CUDA kernels, emulated"
  export KERNEL_LIST=build/emulate/kernel_list
  unit_tests build/emulate/tests/devices --test-case='*cuda*,*every device*'
  unset KERNEL_LIST
  kernel_table build/emulate/kernel_list
  echo "== parity of the CUDA kernels, emulated"
  parity build/emulate --cuda ops hrm_train hrm_eval trm_train gradients
  echo "== CUDA kernels, compiled by nvcc"
  if [[ -x ${NVCC:-} ]]; then
    export CUDA_ARCHS=${CUDA_ARCHS:-90}  # .ci/run asks for all
    if make -s CUDA=1 CUBLASLT=1 cuda-objects host-side 2>&1 | tee "$log" && ((PIPESTATUS[0] == 0)); then
      add 1 0 0
      unit_tests build/cuda/tests/host_side
    else
      echo "FAILED nvcc: see above"
      add 0 1 0
    fi
    if make -s CUDA=1 NCCL=1 nccl-objects >"$log" 2>&1; then
      add 1 0 0
    elif grep -q 'no nccl.h' "$log"; then
      echo "SKIPPED nccl: there is no nccl.h (libnccl-dev)"
      add 0 0 1
    else
      cat "$log"
      echo "FAILED nccl: see above"
      add 0 1 0
    fi
  else
    echo "SKIPPED nvcc: there is none at ${NVCC:-nvcc} (set CUDA_HOME)"
    add 0 0 1
  fi
fi

wait
for script in tests/cli/*.sh; do
  echo "== $script"
  cat "$work/$(basename "$script")"
  add_last_line "$script" "$(<"$work/$(basename "$script").status")" "$work/$(basename "$script")"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
