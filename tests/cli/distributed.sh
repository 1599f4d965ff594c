#!/usr/bin/env bash
# Several processes under mpirun: what they say to each other, and what happens when one of them
# fails, is late or is killed. HRM names the program; the build with MPI lies beside its own.
set -u
tree=$(dirname "${HRM:-build/cpu/hrm}")
[[ $tree == *-mpi ]] || tree=$tree-mpi
ranks=$(realpath -m "$tree/tests/ranks")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

if ! command -v mpirun >/dev/null || [[ ! -x $ranks ]]; then
  echo "SKIPPED distributed: needs mpirun and $ranks. HINT: make MPI=1 deps, then make MPI=1 ranks"
  echo '0 passed, 0 failed, 1 skipped'
  exit 0
fi
# More processes than cores, as root too (in a container), with one thread each.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe  # Open MPI 5
export OMP_NUM_THREADS=1

report() {  # NAME STATUS
  if (($2 == 0)); then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/    /' out err | tail -n 20
  fi
}
# The job succeeds, and the first rank says so.
ok() {  # NAME TEXT COMMAND...
  timeout 100 "${@:3}" >out 2>err </dev/null
  local status=$?
  ((status == 0)) && grep -qxF "$2" out
  report "$1 (status $status)" $?
}
# The job ends within SECONDS, with a status that is not zero and a line of a rank that matches.
bad() {  # NAME SECONDS PATTERN COMMAND...
  timeout "$2" "${@:4}" >out 2>err </dev/null
  local status=$?
  ((status != 0 && status != 124)) && cat out err | grep -qE "$3"
  report "$1 (status $status)" $?
}

for n in 1 2 3 5; do
  ok "collectives of $n ranks" "fine: $n" mpirun -np "$n" "$ranks" collectives
done
ok "collectives without a launcher" "fine: 1" "$ranks" collectives
if (($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) > 9000000)); then
  ok "more bytes than MPI counts" "fine: 2" mpirun -np 2 "$ranks" large
else
  skipped=1
  echo "SKIPPED distributed: more bytes than MPI counts: needs 9 GB of free memory"
fi
bad "a rank that fails says why" 60 '^rank 2: the disk is full$' mpirun -np 3 "$ranks" leave
bad "and the others hear it" 60 '^rank [01]: \[distributed\] rank 2 has left: the disk is full$' \
  mpirun -np 3 "$ranks" leave
bad "a rank that is late is named" 60 \
  '^rank [01]: .* no answer within 5 s, in step 2, from rank 2 \(heard of last in step 1\)' \
  env HRM_TIMEOUT=5 mpirun -np 3 "$ranks" late
bad "a rank that sends less is named" 60 '^rank 0: \[distributed\] rank 1 has sent fewer than the 8 bytes' \
  env HRM_TIMEOUT=5 mpirun -np 2 "$ranks" short
bad "a rank that is killed ends the job" 60 'signal 9|no answer within 5 s' \
  env HRM_TIMEOUT=5 mpirun -np 3 "$ranks" killed
alone=(env -u PMI_RANK -u PMI_SIZE -u PMIX_RANK -u OMPI_COMM_WORLD_RANK -u OMPI_COMM_WORLD_SIZE)
bad "a limit of time that is none" 20 "HRM_TIMEOUT must be a number of seconds above 0, got 'soon'" \
  "${alone[@]}" HRM_TIMEOUT=soon "$ranks" collectives
bad "processes that nothing connects" 20 'has started 4 processes, but offers no way' \
  "${alone[@]}" SLURM_STEP_NUM_TASKS=4 "$ranks" collectives
bad "processes that MPI does not connect" 20 'has started 4 processes, and MPI connects none' \
  "${alone[@]}" PMI_RANK=0 PMI_SIZE=4 "$ranks" collectives

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
