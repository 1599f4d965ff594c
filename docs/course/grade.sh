#!/usr/bin/env bash
# Runs the program that grades an exercise, and says what to do next:
#
#     docs/course/grade.sh docs/course/3_rms_norm build/cpu/course/3_rms_norm/exercise
#
# The exit status is that of the grade.
set -u
folder=${1:?usage: docs/course/grade.sh FOLDER PROGRAM}
program=${2:?usage: docs/course/grade.sh FOLDER PROGRAM}
number=$(basename "$folder")
number=${number%%_*}

# One thread: what a student writes has one, and so the speeds that are printed can be compared.
export OMP_NUM_THREADS=1
"$program"
status=$?
if ((status != 0)); then
  echo "Not yet. The task and a hint are in $folder/README.md; then: make exercise N=$number"
  exit "$status"
fi

# The first link below the heading "The real file" of the exercise.
real=$(sed -n '/^## The real file/,$p' "$folder/README.md" | grep -oE '\]\([^)]+\)' | head -n 1)
real=${real#](../../../}
next="that was the last exercise; docs/tour.md goes through the rest of the library"
((number < 8)) && next="next: make exercise N=$((number + 1))"
echo "Passed. Now read the real file, ${real%)}; $next"
