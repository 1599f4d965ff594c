#!/usr/bin/env bash
# Several processes under mpirun: what they say to each other, and what happens when one of them
# fails, is late or is killed. HRM names the program; the build with MPI lies beside its own.
set -u
ranks=$(realpath -m "$(dirname "${HRM:-build/cpu/hrm}")-mpi/tests/ranks")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0

if ! command -v mpirun >/dev/null || [[ ! -x $ranks ]]; then
  echo "SKIPPED distributed: needs mpirun and $ranks. HINT: make MPI=1 deps, then make MPI=1 ranks"
  echo '0 passed, 0 failed, 1 skipped'
  exit 0
fi
# More processes than cores, as root too (in a container), with one thread each.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
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
  timeout 100 "${@:3}" >out 2>err
  local status=$?
  ((status == 0)) && grep -qxF "$2" out
  report "$1 (status $status)" $?
}
# The job ends within SECONDS, with a status that is not zero and a line of a rank that matches.
bad() {  # NAME SECONDS PATTERN COMMAND...
  timeout "$2" "${@:4}" >out 2>err
  local status=$?
  ((status != 0 && status != 124)) && grep -qE "$3" err
  report "$1 (status $status)" $?
}

for n in 1 2 3 5; do
  ok "collectives of $n ranks" "fine: $n" mpirun -np "$n" "$ranks" collectives
done
ok "collectives without a launcher" "fine: 1" "$ranks" collectives
bad "a rank that fails says why" 20 '^rank 2: the disk is full$' mpirun -np 3 "$ranks" leave
bad "a rank that is late is named" 15 \
  '^rank [01]: .* no answer within 2 s, in step 2, from rank 2 \(heard of last in step 1\)' \
  env HRM_TIMEOUT=2 mpirun -np 3 "$ranks" late
bad "a rank that is killed ends the job" 20 'signal 9|no answer within 5 s' \
  env HRM_TIMEOUT=5 mpirun -np 3 "$ranks" killed
bad "a limit of time that is none" 20 "HRM_TIMEOUT must be a number of seconds above 0, got 'soon'" \
  env HRM_TIMEOUT=soon "$ranks" collectives
bad "processes that nothing connects" 20 'has started 4 processes, but offers no way' \
  env SLURM_STEP_NUM_TASKS=4 "$ranks" collectives

echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))
