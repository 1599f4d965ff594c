#!/usr/bin/env bash
# `make MPI=1 bench-ranks`: two processes of one thread against one process of two threads, in turns, and the sum of a
# gradient. PROGRAM is that of bench/ranks/main.cpp.
set -euo pipefail
program=$1
batch=${BATCH:-16}
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe # Open MPI 5
export GOMP_SPINCOUNT=10000 # as hrm itself
value() { sed -E "s/.*\"$1\":([0-9.e+-]+).*/\1/"; }
least() { sort -g | head -n 1; }

echo "a training step of HRM 27M in f32, batch $batch in two micro-batches, seconds"
one=() two=()
for _ in 1 2 3; do
  one+=("$(OMP_NUM_THREADS=2 "$program" step "$batch" | value seconds)")
  two+=("$(OMP_NUM_THREADS=1 mpirun -np 2 "$program" step "$batch" | value seconds)")
  LC_ALL=C printf '  one process, two threads: %.2f   two processes, one thread each: %.2f\n' "${one[-1]}" "${two[-1]}"
done
best_one=$(printf '%s\n' "${one[@]}" | least)
best_two=$(printf '%s\n' "${two[@]}" | least)
awk -v a="$best_one" -v b="$best_two" 'BEGIN { printf "  the best of each: %.3f times the time\n", b / a }'

echo 'the sum of a gradient of 27 million parameters in f32 (109 MB)'
for n in 2 4; do
  line=$(OMP_NUM_THREADS=1 mpirun -np "$n" "$program" sum)
  awk -v n="$n" -v s="$(value seconds <<<"$line")" -v b="$(value bytes_sent <<<"$line")" \
    'BEGIN { printf "  %d processes: %.0f ms, each sends %.0f MB, %.1f GB/s\n", n, 1000 * s, b / 1e6, b / s / 1e9 }'
done
