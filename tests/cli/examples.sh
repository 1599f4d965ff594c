#!/usr/bin/env bash
# Every example runs and succeeds, and a program can be written with what `make install` installs.
set -u
folder=$(dirname "${HRM:-build/cpu/hrm}")/examples
passed=0 failed=0
for program in "$folder"/*; do
  [[ $program == */compressarc ]] && continue  # wants a task: compressarc.sh
  if "$program" >/dev/null; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $program"
  fi
done
installed=$(mktemp -d)
trap 'rm -rf "$installed"' EXIT
if [[ $folder == build/cpu/examples ]]; then
  at=$installed/usr/local
  if make -s install PREFIX=/usr/local DESTDIR="$installed" >/dev/null &&
    ${CXX:-g++} -std=c++20 -fopenmp -I"$at/include/hrm" examples/one_step_gradient.cpp -L"$at/lib" \
      -lhrm -lfmt -o "$installed/program" && "$installed/program" >/dev/null &&
    [[ -s $at/share/man/man1/hrm.1 && -s $at/share/bash-completion/completions/hrm ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED make install, or a program with it"
  fi
fi
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
