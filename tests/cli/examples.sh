#!/usr/bin/env bash
# Every example runs and succeeds, and a program can be written with what `make install` installs.
set -u
folder=$(dirname "${HRM:-build/cpu/hrm}")/examples
passed=0 failed=0
for program in "$folder"/*; do
  arguments=()
  case $program in
    */compressarc | */c_api) continue ;;  # want a task (compressarc.sh) and a model (below)
    */char_gpt) arguments=(docs/tour.md 20) ;;
  esac
  if "$program" ${arguments[@]+"${arguments[@]}"} >/dev/null; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $program"
  fi
done
skipped=0
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
solves_in_c() { "$folder/c_api" "$installed/run" $puzzle >"$installed/said"; [[ $? == 0 || $? == 1 ]]; }
says() { grep -q "$1" "$installed/said"; }
fails_in_c() { ! "$folder/c_api" "$installed/none" $puzzle 2>"$installed/said"; }
check "a small model" one_model
check "c_api solves" solves_in_c
check "c_api shows the segments" says 'segment 1: [1-4.]\{16\}  halt'
check "c_api without a model" fails_in_c
check "c_api says what is wrong" says 'none is not a run folder'
skip() {  # NAME REASON
  skipped=$((skipped + 1))
  echo "SKIPPED $1: $2"
}
# What `make install` puts under a prefix is used as a user would use it.
at=$installed/prefix
listed() { (cd "$at" && find . -not -type d | sort); }
compiles() {  # SOURCE
  ${CXX:-g++} -std=c++20 -fopenmp -I"$at/include" "$1" -L"$at/lib" "-Wl,-rpath,$at/lib" -lhrm -lfmt -o "$installed/program" &&
    "$installed/program" >/dev/null
}
in_c() {
  ${CC:-cc} -std=c99 -I"$at/include" -c examples/c_api.c -o "$installed/c_api.o" &&
    ${CXX:-g++} "$installed/c_api.o" "$at/lib/libhrm.a" -lfmt -fopenmp -o "$installed/c_api" &&
    { "$installed/c_api" "$installed/run" $puzzle >/dev/null || [[ $? == 1 ]]; }
}
# Every header by itself, without one of the project's other folders in sight.
headers_alone() {
  local header
  for header in $(cd "$at/include" && find hrm -name '*.h'); do
    case $header in hrm/kernels/cpu/* | hrm/kernels/cuda/*) continue ;; esac
    echo "#include <$header>"
  done >"$installed/all.cpp"
  ! grep -rE '#include "(kernels|tensor|autograd|nn)/' "$at/include" &&
    (cd "$installed" && ${CXX:-g++} -std=c++20 -fopenmp -Wall -Wextra -Werror -Iprefix/include -fsyntax-only all.cpp)
}
with_pkg_config() {
  local path=$at/lib/pkgconfig
  # shellcheck disable=SC2046
  ${CXX:-g++} examples/xor.cpp $(PKG_CONFIG_PATH=$path pkg-config --cflags --libs hrm) "-Wl,-rpath,$at/lib" \
    -o "$installed/program" && "$installed/program" >/dev/null
}
with_cmake() {
  mkdir -p "$installed/cmake"
  cp examples/xor.cpp "$installed/cmake/"
  printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(program CXX)' 'find_package(hrm 0.1 REQUIRED)' \
    'add_executable(static xor.cpp)' 'target_link_libraries(static PRIVATE hrm::hrm)' \
    'add_executable(dynamic xor.cpp)' 'target_link_libraries(dynamic PRIVATE hrm::shared)' >"$installed/cmake/CMakeLists.txt"
  (cd "$installed/cmake" && cmake -DCMAKE_PREFIX_PATH="$at" . && make -s MAKEFLAGS= && ./static && ./dynamic) >"$installed/said" 2>&1 ||
    { tail -n 5 "$installed/said"; false; }
}
with_python() {
  PYTHONPATH=$at/share/hrm/python "$python" tests/cli/python_module.py "$installed" $puzzle
}
uninstalls() { make -s uninstall PREFIX="$at" >/dev/null && [[ -z $(listed) ]]; }
if [[ $folder == build/cpu/examples ]]; then
  check "make install" make -s install PREFIX="$at"
  for file in bin/hrm lib/libhrm.a lib/libhrm.so lib/pkgconfig/hrm.pc lib/cmake/hrm/hrmConfig.cmake include/hrm/hrm.h \
    share/man/man1/hrm.1 share/bash-completion/completions/hrm share/zsh/site-functions/_hrm \
    share/fish/vendor_completions.d/hrm.fish share/hrm/experiments/figure_3.json share/hrm/python/hrm.py; do
    check "make install: $file" test -s "$at/$file"
  done
  check "the installed headers by themselves" headers_alone
  check "a program with the shared library" compiles examples/one_step_gradient.cpp
  check "a program of tensors alone" compiles examples/xor.cpp
  check "a program in C with the static library" in_c
  if command -v pkg-config >/dev/null; then check "pkg-config" with_pkg_config; else skip pkg-config "it is not installed"; fi
  if command -v cmake >/dev/null; then check "find_package" with_cmake; else skip find_package "cmake is not installed"; fi
  python=
  for candidate in python3 /usr/bin/python3; do
    if [[ -z $python ]] && $candidate -c 'import numpy' 2>/dev/null; then python=$candidate; fi
  done
  if [[ $python ]]; then check "the Python module" with_python; else skip "the Python module" "no python3 with NumPy"; fi
  check "make uninstall leaves nothing" uninstalls
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
