#!/usr/bin/env bash
# Every example runs and succeeds, and a program can be written with what `make install` installs.
set -u
folder=$(dirname "${HRM:-build/cpu/hrm}")/examples
passed=0 failed=0
for program in "$folder"/*; do
  [[ $program == */compressarc ]] && continue  # wants a task: compressarc.sh
  [[ $program == */c_api ]] && continue        # wants a model: below
  if "$program" >/dev/null; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $program"
  fi
done
check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $name"
  fi
}
installed=$(mktemp -d)
trap 'rm -rf "$installed"' EXIT
puzzle=41.2234.3..4..2.
small=(hidden_size=32 num_heads=2 puzzle_emb_ndim=32 H_layers=1 L_layers=1)
one_model() {
  "${HRM:-build/cpu/hrm}" data sudoku --side 4 --count 60 --test 10 --out "$installed/data" >/dev/null &&
    "${HRM:-build/cpu/hrm}" train --preset sudoku4 --data "$installed/data" --run "$installed/run" --steps 3 \
      --set "${small[@]}" >/dev/null 2>&1
}
# A solved puzzle, or, after so short a training, one that is not.
solves_in_c() { "$folder/c_api" "$installed/run" $puzzle >"$installed/said"; [[ $? == 0 || $? == 3 ]]; }
says() { grep -q "$1" "$installed/said"; }
fails_in_c() { ! "$folder/c_api" "$installed/none" $puzzle 2>"$installed/said"; }
check "a small model" one_model
check "c_api solves" solves_in_c
check "c_api shows the segments" says 'segment 1: [1-4.]\{16\}  halt'
check "c_api without a model" fails_in_c
check "c_api says what is wrong" says 'none is not a run folder'
if [[ $folder == build/cpu/examples ]]; then
  at=$installed/usr/local
  if make -s install PREFIX=/usr/local DESTDIR="$installed" >/dev/null &&
    ${CXX:-g++} -std=c++20 -fopenmp -I"$at/include/hrm" examples/one_step_gradient.cpp -L"$at/lib" \
      -lhrm -lfmt -o "$installed/program" && "$installed/program" >/dev/null &&
    ${CC:-cc} -std=c99 -I"$at/include/hrm" -c examples/c_api.c -o "$installed/c_api.o" &&
    ${CXX:-g++} "$installed/c_api.o" -L"$at/lib" -lhrm -lfmt -fopenmp -o "$installed/c_api" &&
    [[ -s $at/share/man/man1/hrm.1 && -s $at/share/bash-completion/completions/hrm ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED make install, or a program with it"
  fi
fi
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
