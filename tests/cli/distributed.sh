#!/usr/bin/env bash
# Several processes under mpirun: what they say to each other, and what happens when one of them
# fails, is late or is killed. HRM names the program; the build with MPI lies beside its own.
set -u
tree=$(dirname "${HRM:-build/cpu/hrm}")
[[ $tree == *-mpi ]] || tree=$tree-mpi
ranks=$(realpath -m "$tree/tests/ranks") hrm=$(realpath -m "$tree/hrm") plain=$(realpath -m "${tree%-mpi}/hrm")
scripts=$(realpath "$(dirname "$0")/../../examples/slurm")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

if ! command -v mpirun >/dev/null || [[ ! -x $ranks || ! -x $hrm ]]; then
  echo "SKIPPED distributed: needs mpirun, $hrm and $ranks. HINT: make MPI=1 deps, then make MPI=1 hrm ranks"
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

# --- training. Everything that a run leaves but the times must be the same.
holds() {  # NAME COMMAND...: it succeeds
  timeout 100 "${@:2}" >out 2>err </dev/null
  report "$1 (status $?)" $?
}
files() {  # RUN: sums of its weights, of what it trains with and of its numbers
  local newest
  newest=$(ls -d "$1"/checkpoints/step_* | tail -n 1)
  sha256sum <"$newest/model.safetensors"
  sha256sum <"$newest/training.safetensors"
  # Ranks add up an evaluation's mean accuracy in another order.
  sed -E 's/,"(elapsed|samples_per_second|seconds)":[^,}]*//g; /"eval"/s/,"accuracy":[^,}]*//' \
    "$1/metrics.jsonl"
}
same() {  # NAME RUN: as the run of one process
  files "$2" >out 2>err
  files one >>err 2>&1
  [[ $(files "$2") == "$(files one)" ]]
  report "$1" $?
}
"$hrm" data sudoku --side 4 --count 300 --test 30 --out d4 >/dev/null 2>&1
tiny=(--preset sudoku4 --data d4 --set hidden_size=16 --set puzzle_emb_ndim=16 --set num_heads=2 --set H_layers=1
      --set L_layers=1 --set batch_size=10 --set micro_batches=4 --set checkpoint_every=5 --set ema=0.9
      --set keep_checkpoints=9
      --set eval_every=6 --set eval_puzzles=9)
holds "one process" "$hrm" train "${tiny[@]}" --steps 12 --run one
for n in 2 3 4; do
  holds "$n processes" mpirun -np "$n" "$hrm" train "${tiny[@]}" --steps 12 --run "of$n"
  same "$n processes leave what one leaves" "of$n"
done
if [[ -x $plain ]]; then
  holds "a program without MPI, alone" "$plain" train "${tiny[@]}" --steps 12 --run plain
  same "a program without MPI leaves the same" plain
  bad "a program without MPI" 60 'has started 2 processes, and this program cannot connect them' \
    mpirun -np 2 "$plain" train "${tiny[@]}" --run none
fi
# As if the job had been killed after step 5: another number of processes goes on.
cut() { cp -r "$1" "$2"; rm -r "$2"/checkpoints/step_00000006 "$2"/checkpoints/step_0000001?; }
cut of2 two_three
holds "3 processes go on with what 2 have begun" mpirun -np 3 "$hrm" train --resume --run two_three
same "2 processes, then 3, leave the same" two_three
cut of3 three_one
holds "one goes on with what 3 have begun" "$hrm" train --resume --run three_one
same "3 processes, then one, leave the same" three_one

# The quickest sum ends near the exact one; bf16 gradients are the same on any number.
loss() { sed -nE '/"lm_loss"/s/.*"lm_loss":([0-9.e-]+).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }
holds "3 processes with the quickest sum" mpirun -np 3 "$hrm" train "${tiny[@]}" --steps 12 --fast-sum --run quick
awk -v a="$(loss quick)" -v b="$(loss one)" 'BEGIN { exit !(a > 0 && a / b > 0.999 && a / b < 1.001) }'
report "its loss is nearly that of one process" $?
holds "one process, gradients in bf16" "$hrm" train "${tiny[@]}" --steps 12 --set bf16_gradients=true --run bf16
holds "3 processes, gradients in bf16" mpirun -np 3 "$hrm" train "${tiny[@]}" --steps 12 --set bf16_gradients=true \
  --run bf16_3
[[ $(files bf16) == "$(files bf16_3)" && $(files bf16) != "$(files one)" ]]
report "gradients in bf16: the same on 3 processes, and not what f32 leaves" $?

# --- evaluations share out the puzzles, farms their models
numbers() { sed -E '/"seconds"/d; s/(\.[0-9]{10})[0-9]+/\1/' "$1"; }
both() {  # NAME COMMAND...: two processes print what one prints, but for times and last digits
  holds "$1, alone" "$hrm" "${@:2}"
  mv out alone
  holds "$1, two processes" mpirun -np 2 "$hrm" "${@:2}"
  diff <(numbers alone) <(numbers out) >err
  report "$1: two processes print what one prints" $?
}
both "eval" eval --run one --halt --json
both "eval of rollouts" eval --run one --rollouts 3 --relabel --json
mkdir -p arc/evaluation
for task in e1 e2 e3; do
  echo '{"train": [{"input": [[1,2],[0,1]], "output": [[2,1],[1,0]]}], "test": [{"input": [[3,4],[0,1]], "output": [[4,3],[1,0]]}]}' \
    >arc/evaluation/$task.json
done
small=("${tiny[@]:4:10}" --set batch_size=8 --set eval_every=0)
"$hrm" data arc --from arc --canvas auto --variants 5 --out da >/dev/null 2>&1
"$hrm" train --preset arc-task --data da --run ra --steps 3 "${small[@]}" >/dev/null 2>&1
both "arc predict" arc predict --run ra --json
holds "arc predict, alone" "$hrm" arc predict --run ra --out alone_votes
holds "arc predict, three processes" mpirun -np 3 "$hrm" arc predict --run ra --out votes
cmp votes/submission.json alone_votes/submission.json && cmp votes/predictions.json alone_votes/predictions.json
report "arc predict: three processes hand in what one hands in" $?
both "eval of fewer puzzles than ranks" eval --run one --max 1 --json
cat >lab.json <<'END'
{"title": "Loops", "question": "?", "data": {"s": "sudoku --side 4 --count 200 --test 20"}, "train": "--preset sudoku4",
 "set": {"hidden_size": 16, "puzzle_emb_ndim": 16, "num_heads": 2, "H_layers": 1, "L_layers": 1, "batch_size": 8,
         "total_steps": 4}, "vary": [{"name": "loops", "path": "set.halt_max_steps", "values": [1, 2, 3]}],
 "seeds": [0], "evaluate": {"test": ""}, "charts": []}
END
holds "a lab on two processes" mpirun -np 2 "$hrm" lab run lab.json --out lab
(($(cat lab/lab/results.?-of-2.jsonl | wc -l) == 3)) && [[ -s lab/lab/page.html ]]
report "a lab on two processes: three models, one page" $?
farm=(arc farm --from arc/evaluation --budget 0.2s --variants 2 --pool 2 "${small[@]}")
holds "an ARC farm on two processes" mpirun -np 2 "$hrm" "${farm[@]}" --out farm
(($(cat farm/results.?-of-2.jsonl | wc -l) == 3))
report "an ARC farm on two processes: three tasks" $?

# One line, from the first rank; the launcher adds its own.
one_line() { (($(grep -c '^hrm: ' err) == 1)); report "$1: one line" $?; }
bad "a run folder that is taken" 60 '^hrm: \[train\] one holds a run already' \
  mpirun -np 3 "$hrm" train "${tiny[@]}" --steps 12 --run one
one_line "a run folder that is taken"
bad "another setting on one rank" 60 \
  '^hrm: \[train\] rank 1 has lr = 0.002, and the first rank 0.001. HINT: start all processes with the same' \
  mpirun -np 1 "$hrm" train "${tiny[@]}" --run differs --set lr=0.001 : \
  -np 1 "$hrm" train "${tiny[@]}" --run differs --set lr=0.002
one_line "another setting on one rank"
[[ ! -e differs ]]
report "another setting on one rank: no folder" $?
holds "a run of one micro-batch" "$hrm" train "${tiny[@]}" --set micro_batches=1 --steps 5 --run few
bad "fewer micro-batches than ranks" 60 '4 processes share out the micro-batches of a step, and there are 1' \
  mpirun -np 4 "$hrm" train --resume --run few
bad "other weights on one rank" 60 \
  '^hrm: \[train\] rank 1 starts from other weights than the first rank' \
  mpirun -np 1 "$hrm" train "${tiny[@]}" --run other --init one : \
  -np 1 "$hrm" train "${tiny[@]}" --run other --init few
[[ ! -e other ]]
report "other weights on one rank: no folder" $?
bad "another command" 60 '\[demo\] is for one process, and the launcher has started 2' \
  mpirun -np 2 "$hrm" demo --run demo
bad "a disk that is full for the first rank" 60 '^hrm: .*File too large' \
  mpirun -np 1 bash -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' _ "$hrm" train "${tiny[@]}" --steps 12 --run full : \
  -np 1 "$hrm" train "${tiny[@]}" --steps 12 --run full
one_line "a disk that is full for the first rank"
holds "with room again, two processes go on" mpirun -np 2 "$hrm" train --resume --run full
same "and leave what one leaves" full
bad "eval with other options on one rank" 60 '^hrm: \[eval\] rank 1 has other options than the first rank' \
  mpirun -np 1 "$hrm" eval --run one : -np 1 "$hrm" eval --run one --halt
mkdir a b c
cp -r one a/run && cp -r few b/run && cp -r one c/run && cp -r d4 a && cp -r d4 b
"$hrm" data sudoku --side 4 --count 300 --test 30 --seed 1 --out c/d4 >/dev/null 2>&1
in_two() {  # FOLDER FOLDER: an evaluation by the same words, of each rank in a folder of its own
  two=(mpirun -np 1 -wdir "$work/$1" "$hrm" eval --run run --data d4
       : -np 1 -wdir "$work/$2" "$hrm" eval --run run --data d4)
}
in_two a b
bad "eval of other weights on one rank" 60 '^hrm: \[eval\] rank 1 has other weights than the first rank' "${two[@]}"
in_two a c
bad "eval of other data on one rank" 60 '^hrm: \[eval\] rank 1 has another data set than the first rank' "${two[@]}"
bad "data that only one rank lacks" 60 \
  '^hrm: \[distributed\] rank 1 has left: \[train\] there is no data set in nowhere' \
  mpirun -np 1 "$hrm" train "${tiny[@]}" --run lacks : \
  -np 1 "$hrm" train "${tiny[@]/#d4/nowhere}" --run lacks
one_line "data that only one rank lacks"

# The process of a rank of a job in this folder.
process_of() {  # RANK
  local pid
  for pid in $(pgrep -x hrm); do
    [[ $(readlink "/proc/$pid/cwd") == "$work" ]] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" |
      grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$pid"
  done
}
# Sends the signal to rank 1 of a job that is training, and waits for the end of the job.
signal_one() {  # SIGNAL RUN; sets `status`
  HRM_TIMEOUT=10 timeout 100 mpirun -np 2 "$hrm" train "${tiny[@]}" --run "$2" --steps 1000000 \
    --set eval_every=0 --set checkpoint_every=1000000 >out 2>err </dev/null &
  local job=$! pid=
  for _ in $(seq 300); do
    [[ -s $2/metrics.jsonl ]] && break
    sleep 0.2
  done
  pid=$(process_of 1)
  [[ $pid =~ ^[0-9]+$ ]] && kill "-$1" "$pid"
  wait "$job"
  status=$?
}
signal_one TERM stopped
step=$(grep -oE 'stopped after step [0-9,]+' err | tr -dc 0-9)
((status == 143)) && [[ -n $step && -d stopped/checkpoints/step_$(printf %08d "$((10#$step))") ]]
report "SIGTERM to one rank: all stop, with a checkpoint (status $status)" $?
signal_one KILL killed
((status != 0 && status != 124))
report "a rank that is killed: the others leave (status $status)" $?

# --- the job scripts for Slurm, with a stand-in for its commands
mkdir -p bin
cat >bin/srun <<'END'
#!/usr/bin/env bash
while [[ $1 == -* ]]; do shift; done
exec mpirun -np 2 "$@"
END
cat >bin/scontrol <<'END'
#!/usr/bin/env bash
echo "$*" >>scontrol_called
END
chmod +x bin/srun bin/scontrol
slurm() {  # SCRIPT WORDS...: as one of two members of an array, or as a job of two processes
  PATH=$work/bin:$PATH HRM=$hrm SLURM_CPUS_PER_TASK=1 SLURM_JOB_ID=7 SLURM_ARRAY_TASK_COUNT=2 \
    timeout 100 bash "$scripts/$1.sh" "${@:2}"
}
for script in "$scripts"/*.sh; do
  bash -n "$script"
  report "$script can be read" $?
done
slurm train job "${tiny[@]}" --steps 12 >out 2>err </dev/null
report "Slurm: a training" $?
same "Slurm: a training leaves what one process leaves" job
slurm train job "${tiny[@]}" --steps 12 >out 2>err </dev/null
report "Slurm: the same job goes on" $?
[[ ! -e scontrol_called ]]
report "Slurm: a job that is done is not queued again" $?
slurm train long "${tiny[@]}" --steps 1000000 --set eval_every=0 >out 2>err </dev/null &
job=$!
for _ in $(seq 300); do
  [[ -s long/metrics.jsonl ]] && break
  sleep 0.2
done
pid=$(process_of 1)
[[ $pid =~ ^[0-9]+$ ]] && kill -INT "$pid"
wait "$job"
status=$?
((status == 130)) && grep -qx 'requeue 7' scontrol_called
report "Slurm: a job whose time is over is queued again (status $status)" $?
slurm evaluate eval --run one >out 2>err </dev/null
report "Slurm: an evaluation" $?
for member in 1 2; do
  SLURM_ARRAY_TASK_ID=$member slurm farm lab run lab.json --out array >out 2>err </dev/null
  report "Slurm: member $member of a farm" $?
done
[[ -s array/lab/page.html ]]
report "Slurm: a farm's page" $?

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
