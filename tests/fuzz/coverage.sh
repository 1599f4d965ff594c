#!/usr/bin/env bash
# tests/fuzz/coverage.sh TARGET...: runs each target, built with COVERAGE=1, over its examples and
# over what fuzzing has found (build/fuzz/corpus), and prints the share of lines that were reached
# of each file that reads something. A file below 85 % is a failure: its target needs an example.
set -u
readers=(tensor/io.cpp tensor/zip_archive.cpp tensor/pickle.cpp tensor/pytorch_file.cpp
  hrm/train/official_weights.cpp hrm/support/json.cpp hrm/support/json_lines.cpp hrm/support/text.cpp
  hrm/tasks/arc.cpp hrm/tasks/arc_files.cpp hrm/tasks/arc_data.cpp hrm/tasks/arc_dataset.cpp
  hrm/data/puzzle_dataset.cpp hrm/data/sampler.cpp hrm/tasks/sudoku_file.cpp hrm/tasks/tokens.cpp
  hrm/tasks/maze.cpp hrm/tasks/sudoku.cpp hrm/config.cpp hrm/train/checkpoint.cpp hrm/eval/eval_result.cpp
  hrm/view/metrics.cpp hrm/view/report.cpp hrm/tasks/arc_vote.cpp hrm/lab/experiment.cpp hrm/lab/records.cpp
  hrm/lab/experiment_page.cpp)
tool() {  # llvm-NAME, which Debian may only have with its version
  command -v "llvm-$1" || compgen -c "llvm-$1-" | sort -V | tail -n 1
}
profdata=$(tool profdata) cov=$(tool cov)
if [[ -z $profdata || -z $cov ]]; then
  echo "SKIPPED fuzz-coverage: needs llvm-profdata and llvm-cov. HINT: apt-get install llvm"
  exit 0
fi
export OMP_NUM_THREADS=1
profiles=() objects=()
for target in "$@"; do
  name=$(basename "$target")
  folders=("tests/fuzz/corpus/$name")
  [[ -d build/fuzz/corpus/$name ]] && folders+=("build/fuzz/corpus/$name")
  if ! LLVM_PROFILE_FILE=$target.profraw "$target" -runs=0 "${folders[@]}" >"$target.log" 2>&1; then
    tail -n 20 "$target.log"
    echo "FAILED $name"
    exit 1
  fi
  profiles+=("$target.profraw")
  objects+=(-object "$target")
done
all=$(dirname "$1")/all.profdata
"$profdata" merge -sparse "${profiles[@]}" -o "$all" || exit 1
"$cov" report -instr-profile="$all" "${objects[@]:1}" "${readers[@]}" |
  awk -v least=85 'NR == 1 || /^-/ { next }
       {
         share = 100 * ($8 - $9) / ($8 ? $8 : 1)
         printf "%-34s %6d lines, %6.2f %% reached\n", $1, $8, share
         if (share < least) below = below " " $1
       }
       END {
         if (below) print "FAILED fuzz-coverage: below " least " %:" below
         exit below != ""
       }'
