#!/usr/bin/env bash
# Runs fuzz targets, one after the other: tests/fuzz/run.sh time SECONDS TARGET... fuzzes each for
# so long, starting from tests/fuzz/corpus and from what earlier runs found (build/fuzz/corpus);
# tests/fuzz/run.sh examples 0 TARGET... only goes through tests/fuzz/corpus. Prints the executions
# of each target and their sum. An input that fails is kept in build/fuzz.
set -u
how=$1 seconds=$2
shift 2
export OMP_NUM_THREADS=1
sum=0
for target in "$@"; do
  name=$(basename "$target")
  examples=tests/fuzz/corpus/$name found=build/fuzz/corpus/$name log=$target.log
  mkdir -p "$found"
  if [[ -z $(ls "$examples" 2>/dev/null) ]]; then
    echo "FAILED $name: no examples in $examples"
    exit 1
  fi
  options=(-rss_limit_mb=4096 -timeout=10 -print_final_stats=1 -artifact_prefix=build/fuzz/)
  [[ -e tests/fuzz/$name.dict ]] && options+=(-dict="tests/fuzz/$name.dict")
  if [[ $how == time ]]; then
    command=("$target" "${options[@]}" -max_total_time="$seconds" -max_len=16384 "$found" "$examples")
  else
    command=("$target" "${options[@]}" -runs=0 "$examples")
  fi
  if ! "${command[@]}" >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "FAILED $name (the input is kept in build/fuzz)"
    exit 1
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  printf '%-18s %10d executions, %s\n' "$name" "$executions" "$coverage"
  sum=$((sum + executions))
done
printf '%-18s %10d executions\n' "in all" "$sum"
