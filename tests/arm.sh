#!/usr/bin/env bash
# The tests on an ARM processor that qemu imitates: `tests/arm.sh BUILD_FOLDER`. The last line is
# `N passed, N failed, N skipped`.
set -u
build=${1:?usage: tests/arm.sh BUILD_FOLDER}
reference=${REFERENCE_DIR:-../shared/reference}
[[ -d $reference/ops ]] || reference=tests/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# The program would start itself once more, outside qemu, to set this variable.
export GOMP_SPINCOUNT=1000
arm() { timeout 300 qemu-aarch64 "$@"; }
check() {  # NAME COMMAND...
  if "${@:2}" >"$work/log" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED arm: $1"
    tail -n 20 "$work/log" | sed 's/^/    /'
  fi
}
# Without processes and signals, which are not those of that machine, and without whole trainings,
# which take qemu many minutes.
excluded='*test_processes*,*test_folder_lock*,*test_mapped_files*'
excluded+=',*test_lab*,*test_trainer*,*test_resume*,*test_arc_model*'
check "unit tests" env OMP_NUM_THREADS=1 timeout 600 qemu-aarch64 "$build/tests/unit" \
  --no-colors=true --source-file-exclude="$excluded"
check "parity: operations" arm "$build/tests/parity" "$reference/ops"
check "parity: gradients" arm "$build/tests/parity" "$reference/gradients"
check "program" grep -q 'aarch64: NEON' <(arm "$build/hrm" info)
check "data" arm "$build/hrm" data sudoku --side 4 --count 300 --test 30 --out "$work/data"
for threads in 1 2; do
  check "training, threads: $threads" env OMP_NUM_THREADS=$threads \
    timeout 300 qemu-aarch64 "$build/hrm" train --preset sudoku4 --data "$work/data" --steps 2 \
    --run "$work/$threads" --set batch_size=8 --set eval_every=0 --set final_eval_puzzles=4
done
check "the same bits" cmp "$work"/{1,2}/checkpoints/step_00000002/model.safetensors

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
