#!/usr/bin/env bash
# Every command of the program end to end, and every kind of bad input: one line, a non-zero exit,
# nothing half-written. HRM names the program.
set -u
hrm=$(realpath "${HRM:-build/cpu/hrm}")
data=$(realpath -m "${DATA_DIR:-../shared/data}")
reference=$(realpath -m "${REFERENCE_DIR:-../shared/reference}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

report() {  # STATUS NAME
  if (($1 == 0)); then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $2"
    sed 's/^/    /' out err 2>/dev/null | tail -n 12
  fi
}
# The command succeeds and its output holds the text (if one is given).
ok() {  # NAME TEXT COMMAND...
  local name=$1 text=$2
  shift 2
  "$@" >out 2>err
  local status=$?
  ((status == 0)) && { [[ -z $text ]] || grep -qF -- "$text" out err; }
  report $? "$name (status $status)"
}
# The command fails with one line on stderr that holds the text, and prints no result.
bad() {  # NAME TEXT COMMAND...
  local name=$1 text=$2
  shift 2
  "$@" >out 2>err
  local status=$?
  ((status != 0 && status < 126)) && (($(wc -l <err) == 1)) && grep -qF -- "$text" err
  report $? "$name (status $status)"
}
skip() { echo "SKIPPED $1: $2"; skipped=$((skipped + 1)); }

tiny=(--set hidden_size=16 --set puzzle_emb_ndim=16 --set num_heads=2 --set H_layers=1
      --set L_layers=1 --set batch_size=8 --set checkpoint_every=5 --set eval_every=0)

# --- the way through
ok version "hrm 0.1.0" "$hrm" --version
ok help "solve" "$hrm" --help
ok presets "hrm-27m" "$hrm" info
ok preset "27,275,266 parameters" "$hrm" info --preset hrm-27m
ok "preset as JSON" '"parameters": 5028866' "$hrm" info --preset trm-5m --json
ok "data sudoku" "training and 40 test" "$hrm" data sudoku --side 4 --count 400 --test 40 --out d4
ok "data sudoku 9, minimal" '"test": 2' "$hrm" data sudoku --count 10 --test 2 --minimal --out d9 --json
ok "data show" "example 0" "$hrm" data show d4
ok train "run folder run" "$hrm" train --preset sudoku4 --data d4 --run run --steps 10 "${tiny[@]}"
ok "train: report" "" test -s run/report.html
ok "train: no temporary files" "" bash -c '[[ -z $(find run -name "*.tmp") ]]'
ok "resume a finished run" "" "$hrm" train --run run --resume
ok eval "40 puzzles" "$hrm" eval --run run
ok "eval as JSON" '"count": 40' "$hrm" eval --run run --json --segments 2 --halt
ok info "parameters" "$hrm" info run
ok report "report.html" "$hrm" report run
ok export "w.safetensors" "$hrm" export run --out w.safetensors --compiled
ok import "parameters" "$hrm" import w.safetensors --run back --preset sudoku4 --data d4 --set num_heads=2
ok "export again" "v.safetensors" "$hrm" export back --out v.safetensors --compiled
ok "export is the identity" "" cmp w.safetensors v.safetensors
printf 'inputs,labels,split\n1 2 3,3 2 1,train\n2 2 1,1 2 2,test\n' >t.csv
ok "data tokens" "1 training and 1 test" "$hrm" data tokens --from t.csv --out dt
ok "train on tokens" "run folder rt" "$hrm" train --preset sudoku4 --data dt --run rt --steps 3 "${tiny[@]}"
ok "train in bf16" "run folder rb" "$hrm" train --data d4 --run rb --steps 3 --dtype bf16 "${tiny[@]}"
for p in trm-5m transformer-27m; do
  ok "train $p" "run folder r-$p" "$hrm" train --preset $p --data d4 --run r-$p --steps 2 "${tiny[@]}"
done
ok demo "Held-out test" "$hrm" demo --steps 3 "${tiny[@]}"
ok "demo again" "finished: its results again" "$hrm" demo --steps 3 "${tiny[@]}"
ok "demo of another configuration" "demo-sudoku4-2" "$hrm" demo --steps 2 "${tiny[@]}"

ok "train with unrolled segments" "run folder ru" "$hrm" train --data d4 --run ru --steps 3 \
  "${tiny[@]}" --set unroll_segments=2 --set gradient=full_bptt
bad "unrolled segments in slices" "needs micro_batches 1" "$hrm" train --data d4 --run x \
  --set unroll_segments=2 --set micro_batches=2
ok "lab gradients" "spectral radius" "$hrm" lab gradients --steps 0,2 --rules one_step,unrolled:2 \
  "${tiny[@]}"
ok "lab gradients of a run, as JSON" '"step": 10' "$hrm" lab gradients --run run --json \
  --rules neumann:1
bad "lab gradients: no such rule" "gradient must be one_step" "$hrm" lab gradients --run run \
  --rules onestep
bad "lab gradients: steps of the past" "must be at least 10" "$hrm" lab gradients --run run --steps 3
bad "lab gradients: no puzzles to make" "HINT: --data DIR" "$hrm" lab gradients --preset maze10
bad "lab: no experiment" "A subcommand is required" "$hrm" lab

# --- ARC: from task files to a submission
mkdir -p arc/training arc/evaluation
pair() { printf '{"input": [[%d,%d],[0,1]], "output": [[%d,%d],[1,0]]}' "$1" "$2" "$2" "$1"; }
task() { printf '{"train": [%s, %s], "test": [%s]}' "$(pair 1 2)" "$(pair 3 4)" "$(pair "$@")"; }
task 5 5 >arc/training/t1.json
task 7 8 >arc/evaluation/e1.json
task 6 6 >arc/evaluation/e2.json
ok "data arc" "1 training and 2 evaluation tasks" \
  "$hrm" data arc --from arc --canvas auto --variants 3 --out da
ok "data arc, compact: one file" "" bash -c '[[ $(ls da) == arc.json ]]'
ok "data arc, official" '"side": 30' \
  "$hrm" data arc --from arc --form official --variants 2 --out do --json
ok "data show, ARC" "output" "$hrm" data show da
"$hrm" audit da >out 2>err
[[ $? == 1 ]] && grep -q "test 0 of e2 occurs in t1" out
report $? "audit finds a shared pair"
ok "audit of a clean set" "0 occur in training" "$hrm" audit arc/evaluation/e2.json
ok "train on ARC" "run folder ra" \
  "$hrm" train --preset arc-task --data da --run ra --steps 3 "${tiny[@]}"
ok "arc predict" "pass@1000" "$hrm" arc predict --run ra
ok "arc predict: Kaggle's file" '"e1":[{"attempt_1":[[' cat ra/predictions/submission.json
ok "arc score" "2 tasks, 2 test outputs" "$hrm" arc score ra/predictions/submission.json --from arc
bad "arc score: a task without an answer" "must hold a list of 1 answers to task e2" bash -c "
  echo '{\"e1\":[{\"attempt_1\":[[1]]}]}' >s.json; '$hrm' arc score s.json --from arc"
bad "arc score: a task without outputs" "test 0 of e9 in evaluation has no output" bash -c "
  mkdir -p evaluation; sed 's/\(.*\), \"output\": [^}]*/\1/' arc/evaluation/e1.json >evaluation/e9.json
  echo '{\"e9\":[{\"attempt_1\":[[1]]}]}' >s.json; '$hrm' arc score s.json --from evaluation"
ok "arc predict, one task" '"tasks": 1' "$hrm" arc predict --run ra --task e2 --variants 1 --json
for c in task context blank; do
  ok "train with conditioning=$c" "run folder rc-$c" "$hrm" train --preset arc-task --data da \
    --run rc-$c --steps 2 "${tiny[@]}" --set conditioning=$c
  ok "predict with conditioning=$c" "pass@2" "$hrm" arc predict --run rc-$c --variants 4 --kinds all
done
ok "more variants: rows by name" "12 of 21 puzzle rows found by name" bash -c "
  '$hrm' data arc --from arc --canvas auto --variants 6 --out da6 --task e1 e2 t1 &&
  '$hrm' train --preset arc-task --data da6 --run ra6 --init ra --steps 1 ${tiny[*]}"
ok "train on the official form" "run folder ro" \
  "$hrm" train --preset hrm-arc --data do --run ro --steps 1 "${tiny[@]}" --set batch_size=2 \
  --set halt_max_steps=1
ok "vote on the official form" "2 tasks, 2 test outputs" "$hrm" arc predict --run ro
ok "train on one task" '"tasks"' bash -c "
  '$hrm' train --preset arc-task --data da --task e1 --run rt1 --steps 1 ${tiny[*]} &&
  grep -A1 tasks rt1/config.json"
ok "arc show" "truth" "$hrm" arc show e1 --from arc
ok "arc show with a run" "prediction by segment" "$hrm" arc show e1 --run ra --variants 2
for f in html svg png; do ok "arc show as $f" "e1.$f" "$hrm" arc show e1 --run ra --out e1.$f; done
ok "adapt to a task" "run folder adapted" "$hrm" adapt --run ra --puzzle arc/evaluation/e1.json \
  --budget 1s --variants 2 --pool 2 --out adapted
ok "farm" "of 2 tasks solved" "$hrm" arc farm --from arc/evaluation --out farm --budget 1s \
  --variants 2 --pool 2 "${tiny[@]}"
ok "farm again: nothing left" "" bash -c "
  sed -i 's/\"solved_at_2\":[a-z]*/\"solved_at_2\":true/' farm/results.jsonl &&
  '$hrm' arc farm --from arc/evaluation --out farm --budget 1s | grep -q '2 of 2 tasks solved'"
bad "arc: not JSON" "bad.json is not valid JSON" bash -c "echo '{' >bad.json;
  '$hrm' data arc --from bad.json --out z"
bad "arc: no such task" "did you mean 'e2'" "$hrm" data arc --from arc --task e22 --out z
bad "arc: an unknown kind" "got 'shear'" "$hrm" data arc --from arc --kinds shear --out z
bad "arc: stored variants only" "conditioning=task" "$hrm" arc predict --run ra --kinds flip
bad "arc: an unknown puzzle" "is unknown to the checkpoint" bash -c "
  '$hrm' data arc --from arc/training/t1.json --canvas auto --variants 3 --out dt1 >/dev/null
  sed -i 's/\"evaluated\":false/\"evaluated\":true/; s/t1/u1/' dt1/arc.json
  '$hrm' arc predict --run ra --data dt1"
bad "arc: conditioning needs the compact form" "needs the compact ARC form" \
  "$hrm" train --preset hrm-arc --data do --run z --set conditioning=task
bad "adapt: not an ARC model" "is no ARC model" "$hrm" adapt --run run \
  --puzzle arc/evaluation/e1.json
bad "adapt: the task is too large" "does not fit a canvas of 2" bash -c "
  echo '{\"train\":[{\"input\":[[1,2,3]],\"output\":[[1]]}],\"test\":[{\"input\":[[1]]}]}' >w.json
  '$hrm' adapt --run ra --puzzle w.json --out z"

# --- mazes
ok "data maze" "50 training and 10 test mazes" "$hrm" data maze --size 8 --min-path 10 --count 60 \
  --test 10 --out dm --csv m.csv
ok "data maze from a CSV" '"unique_share"' "$hrm" data maze --from m.csv --test 10 --out dm2 --json
ok "data show, maze" "S" "$hrm" data show dm
ok "train on mazes" "run folder rm" "$hrm" train --preset maze10 --data dm --run rm --steps 3 "${tiny[@]}"
ok "eval of mazes" '"valid_accuracy"' "$hrm" eval --run rm --json
sed -n 2p m.csv | cut -d , -f 2 | fold -w 8 >maze.txt
"$hrm" solve maze.txt --run rm >out 2>err
status=$?
[[ $status == 0 || $status == 1 && $(tail -n 1 out) == "not solved: "* ]]
report $? "solve a maze file ($status)"
bad "maze: no goal" "has one G, got 0" bash -c "printf 'S   ' >g.txt; '$hrm' solve g.txt --run rm"

# --- solving: the answer is checked
"$hrm" solve 1.34341221434321 --run run >out 2>err
status=$?
last=$(tail -n 1 out)
[[ $status == 0 && $last == solved || $status == 1 && $last == "not solved: "* ]]
report $? "solve says whether it is solved, and so does its exit status ($status)"
bad "solve: length" "must have 16, 36 or 81 characters, got 3" "$hrm" solve 123 --run run
bad "solve: character" "character 2 must be" "$hrm" solve 1x34341221434321 --run run
bad "solve: several solutions" "several solutions" "$hrm" solve ................ --run run
bad "solve: no solution" "no solution" "$hrm" solve 11.............. --run run
bad "solve: another size" "this puzzle has 81 cells" "$hrm" solve \
  53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79 --run run

# --- the laboratory: experiments, gradients, runs side by side
cat >lab.json <<'END'
{"title": "Loops", "question": "?", "data": {"s": "sudoku --side 4 --count 200 --test 20"}, "train": "--preset sudoku4",
 "set": {"hidden_size": 16, "puzzle_emb_ndim": 16, "num_heads": 2, "H_layers": 1, "L_layers": 1, "batch_size": 8,
         "total_steps": 12, "eval_every": 6},
 "vary": [{"name": "loops", "path": "set.halt_max_steps", "values": [1, 2]}], "seeds": [0, 1], "curve": true,
 "evaluate": {"test": "", "q": {"run": "eval --halt --halt-threshold {t}", "t": [-9, 9]}, "roll": "eval --rollouts 2 --relabel"},
 "charts": [{"title": "t", "x": "loops", "where": {"segment": null}}],
 "compare": [[{"loops": 1, "evaluation": "test", "segment": null}, {"loops": 2, "evaluation": "test", "segment": null}]]}
END
ok "lab run" "p = 1" "$hrm" lab run lab.json --out lab --jobs 2
ok "lab: a line for each model" "" bash -c '[[ $(wc -l <lab/lab/results.jsonl) == 4 ]]'
ok "lab: a page" "hrm lab run lab.json --only" cat lab/lab/page.html
ok "lab run again trains nothing" "" bash -c "
  touch before; '$hrm' lab run lab.json --out lab >again && grep -q 'p = 1' again &&
  [[ -z \$(find lab/models -newer before) && \$(wc -l <lab/lab/results.jsonl) == 4 ]]"
ok "lab run: a new judgement trains nothing" "" bash -c "
  sed 's/-9, 9/-9, 0, 9/' lab.json >lab2.json; touch before
  '$hrm' lab run lab2.json --out lab && [[ -z \$(find lab/models -name metrics.jsonl -newer before) ]]"
ok "lab run: the same models in other words train nothing" "p = 1" bash -c "
  sed 's/\"total_steps\": 12, \"eval_every\": 6/\"act\": true, \"eval_every\": 6, \"total_steps\": 12/' lab.json >lab6.json
  touch before; '$hrm' lab run lab6.json --out lab && [[ -z \$(find lab/models -name metrics.jsonl -newer before) ]]"
ok "lab run --only" "" bash -c "
  '$hrm' lab run lab.json --out lab3 --only loops=2,seed=1 && [[ \$(wc -l <lab3/lab/results.jsonl) == 1 ]]"
# Killed in the middle, the same command goes on and finds the same.
sed -i 's/"total_steps": 12, "eval_every": 6/"total_steps": 400, "eval_every": 0, "checkpoint_every": 20/' lab.json
"$hrm" lab run lab.json --out killed-lab --jobs 2 >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1000); do compgen -G "killed-lab/models/*/checkpoints/step_*" >/dev/null && break; sleep 0.02; done
kill -9 $pid
wait $pid 2>/dev/null
ok "lab run after SIGKILL" "p = 1" "$hrm" lab run lab.json --out killed-lab --jobs 2
ok "lab run, not killed" "p = 1" "$hrm" lab run lab.json --out whole-lab --jobs 2
found() { sed -E 's/"(key|model|train)":"[^"]*"//g; s/"(seconds|train_seconds)":[0-9.e-]*//g' $1/lab/results.jsonl | sort; }
ok "lab run: killed or not, the same results" "" diff <(found killed-lab) <(found whole-lab)
ok "lab list" "Outer refinement loops" "$hrm" lab list
bad "lab: no such figure" "no figure '99'. HINT: there are 3" "$hrm" lab figure 99
bad "lab: ARC without tasks" "arc ARC-AGI/data" "$hrm" lab figure 6
bad "lab: not JSON" "is not valid JSON" bash -c "echo '{' >bad.json; '$hrm' lab run bad.json"
bad "lab: an unknown setting" "lab4.json: [config] unknown key 'loops'" bash -c "
  sed 's/set.halt_max_steps/set.loops/' lab.json >lab4.json; '$hrm' lab run lab4.json --out lab4"
bad "lab: a command that fails" "failed: hrm:" bash -c "
  sed 's/eval --rollouts 2/eval --rollouts x/' lab.json >lab5.json
  '$hrm' lab run lab5.json --out whole-lab 2>lines; status=\$?; tail -n 1 lines >&2; exit \$status"
ok "lab gradients" "spectral radius" "$hrm" lab gradients --preset sudoku4 --steps 0,3 \
  --rules one_step,full_bptt,neumann:1 "${tiny[@]}"
ok "train with unrolled segments" "run folder unrolled" "$hrm" train --preset sudoku4 --data d4 \
  --run unrolled --steps 4 "${tiny[@]}" --set unroll_segments=2 --set gradient=full_bptt
ok compare "page cmp.html" "$hrm" compare run unrolled --out cmp.html
ok "compare: the settings that differ" "unroll_segments" cat cmp.html
ok "metrics as CSV" "kind,step,samples" bash -c "'$hrm' metrics run --csv m.csv && cat m.csv"
ok "metrics for TensorBoard" "events.out.tfevents" "$hrm" metrics run --tensorboard tb
bad "metrics: nothing asked for" "HINT: --csv FILE" "$hrm" metrics run
bad "compare: no run" "nowhere" "$hrm" compare nowhere
ok "eval: rollouts" "by vote of 3 rollouts" "$hrm" eval --run run --rollouts 3 --noise 0.3 --select vote
ok "eval: the oracle" "40 puzzles" "$hrm" eval --run run --halt --halt-by oracle
bad "eval: an unknown rule" "--halt-by" "$hrm" eval --run run --halt --halt-by luck
bad "eval: relabelling is for Sudoku" "this data set is arc" \
  "$hrm" eval --run ra --data da --rollouts 2 --relabel
bad "eval: no rules to verify by" "needs the rules of Sudoku or mazes" \
  "$hrm" eval --run ra --data da --rollouts 2 --select verify

# --- killed and resumed: the same weights, bit for bit. The training is long enough that a machine
# under load still sees the first checkpoint before the last step.
args=(train --preset sudoku4 --data d4 --steps 1500 "${tiny[@]}" --set checkpoint_every=50)
weights=checkpoints/step_00001500/model.safetensors
first_checkpoint() {  # RUN: waits for it, up to 20 s
  for _ in $(seq 1000); do
    compgen -G "$1/checkpoints/step_*" >/dev/null && return
    sleep 0.02
  done
}
"$hrm" "${args[@]}" --run whole >/dev/null 2>&1
"$hrm" "${args[@]}" --run killed >/dev/null 2>&1 &
pid=$!
first_checkpoint killed
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
ok "resume after SIGKILL" "" "$hrm" "${args[@]}" --run killed --resume
ok "the same bits" "" cmp {whole,killed}/$weights
"$hrm" "${args[@]}" --run int >out 2>err &
pid=$!
first_checkpoint int
kill -INT $pid
wait $pid
grep -q "Go on with --resume" err
report $? "SIGINT writes a checkpoint and says how to go on"
ok "resume after SIGINT" "" "$hrm" "${args[@]}" --run int --resume
ok "the same bits again" "" cmp {whole,int}/$weights

# --- lab and farm under signals: no process is left, and the same command goes on
sed 's/"total_steps": 400/"total_steps": 1000000/' lab.json >long.json
command_in() {  # lab|farm FOLDER: into the array `command`
  if [[ $1 == lab ]]; then command=("$hrm" lab run long.json --out "$PWD/$2" --jobs 2); else
    command=("$hrm" arc farm --from arc/evaluation --out "$PWD/$2" --budget 1h --jobs 2 "${tiny[@]}")
  fi
}
# The processes that work in a folder, by what they were started with. (The pattern does not match
# itself, so that grep is not among them.)
workers() { grep -al -- "$PWD/$1/[mt]" /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3; }
two_work() { (($(workers "$1" | wc -l) == 2)); }
none_works() { [[ -z $(workers "$1") ]]; }
within() {  # SECONDS COMMAND...: whether it succeeds in this time
  local tries=$(($1 * 50))
  shift
  for _ in $(seq $tries); do "$@" && return; sleep 0.02; done
  return 1
}
for what in lab farm; do
  for signal in KILL:137 TERM:143 INT:130; do
    folder=$what-${signal%:*}
    command_in $what $folder
    "${command[@]}" >out 2>err &
    pid=$!
    within 20 two_work $folder
    started=$?
    kill -${signal%:*} $pid
    within 2 none_works $folder
    gone=$?
    ((gone == 0)) || kill -9 $pid $(workers $folder)
    wait $pid 2>/dev/null
    status=$?
    [[ $started == 0 && $gone == 0 && $status == "${signal#*:}" ]] &&
      { [[ $status == 137 ]] || grep -q "stopped; the same command goes on" err; }
    report $? "$what: SIG${signal%:*} to the parent ends all (status $status)"
  done
  command_in $what two-$what
  "${command[@]}" >/dev/null 2>&1 &
  pid=$!
  within 20 two_work two-$what
  bad "$what: a second one in the same folder" "is in use by process $pid on" timeout 20 "${command[@]}"
  kill $pid
  wait $pid 2>/dev/null
done
# Other experiments with the same data and models may run at the same time: each is made once.
sed 's/"total_steps": 400/"total_steps": 40/' lab.json >one.json
cp one.json other.json
"$hrm" lab run one.json --out both --jobs 2 >/dev/null 2>err1 &
pid=$!
"$hrm" lab run other.json --out both --jobs 2 >out 2>err
status=$?
wait $pid && ((status == 0)) && [[ $(cat both/*/results.jsonl | wc -l) == 8 && $(ls both/models | wc -l) == 4 ]]
report $? "two experiments at the same time share data and models (status $status)"
ok "lab: a line of results that was cut off is made again" "" bash -c "
  truncate -s -9 both/one/results.jsonl && '$hrm' lab run one.json --out both &&
  [[ \$(wc -l <both/one/results.jsonl) == 4 ]]"
# Results that cannot be stored: long files of results, on a disk that is full behind them.
last_line() { "$@" 2>lines; local status=$?; tail -n 1 lines >&2; return $status; }
full() { bash -c 'trap "" XFSZ; ulimit -f 1000; exec "$@"' _ "$@"; }
long_line="{\"x\": \"$(head -c 1100000 /dev/zero | tr '\0' x)\"}"
mkdir changed
sed 's/-9, 9/-9, 0, 9/' one.json >changed/one.json
echo "$long_line" >>both/one/results.jsonl
bad "lab: results that cannot be stored" "cannot write $PWD/both/one/results.jsonl: File too large" \
  last_line full "$hrm" lab run changed/one.json --out both
ok "lab: and nothing of them is" "" bash -c "[[ \$(wc -l <both/one/results.jsonl) == 5 ]]"
farm=("$hrm" arc farm --from arc/evaluation --out farm --budget 0.1s --variants 2 --pool 2 "${tiny[@]}")
echo "$long_line" >farm/results.jsonl
bad "farm: results that cannot be stored" "cannot write farm/results.jsonl: File too large" \
  last_line full "${farm[@]}"
rm farm/results.jsonl
ln -s "$PWD/precious" farm/results.jsonl
bad "farm: results behind a link" "results.jsonl is a symbolic link. HINT: remove it" \
  last_line "${farm[@]}"
rm farm/results.jsonl
ok "farm: the hint, followed" "of 2 tasks solved" "${farm[@]}"
ok "farm and lab: nothing was written behind a link" "" test ! -e precious
# Names of tasks are a stranger's. They lead nowhere, whether they are refused or not.
mkdir -p victim down/farm/tasks/e2 && touch victim/thesis down/farm/thesis down/farm/tasks/e2/thesis
for name in ../../../victim "$PWD/victim" "" ../..; do
  printf '{"%s": %s}' "$name" "$(cat arc/evaluation/e1.json)" >down/evaluation_challenges.json
  "$hrm" arc farm --from down/evaluation_challenges.json --out down/farm --budget 0.1s --variants 2 \
    --pool 2 "${tiny[@]}" >out 2>err
  "$hrm" adapt --run ra --puzzle down/evaluation_challenges.json --budget 0.1s --variants 2 --pool 2 \
    >out 2>err
  [[ -e victim/thesis && -e down/farm/thesis && $(ls victim) == thesis ]]
  report $? "a task named '$name' leads nowhere"
done
bad "farm: a folder that it did not make" "was not made by a farm. HINT: move it away" \
  last_line "$hrm" arc farm --from arc/evaluation/e2.json --out down/farm --budget 0.1s
ok "farm: and it is still there" "" test -e down/farm/tasks/e2/thesis
bad "adapt: a folder that holds a run" "adapted holds a run already. HINT: choose another --out" \
  "$hrm" adapt --run ra --puzzle arc/evaluation/e1.json --budget 1s --out adapted

# --- bad input
bad "no command" "A subcommand is required" "$hrm"
bad "unknown option" "--spped" "$hrm" train --spped 3
bad "no data set" "hrm data sudoku" "$hrm" train
bad "not a data set" "is not a data set" "$hrm" train --data nowhere
bad "unknown preset" "did you mean 'sudoku4'" "$hrm" train --preset sudoku44 --data d4
bad "unknown key" "did you mean 'batch_size'" "$hrm" train --data d4 --set batchsize=3
bad "no value" "--set takes key=value" "$hrm" train --data d4 --set batch_size
bad "batch out of range" "batch_size must be in" "$hrm" train --data d4 --run x --set batch_size=0
bad "threads out of range" "must be in 1..1024" "$hrm" train --data d4 --run x --threads 5000
bad "dtype" "dtype must be one of" "$hrm" train --data d4 --run x --dtype f16
bad "too large for the memory" "of memory" "$hrm" train --preset hrm-27m --data d4 --run x \
  --set batch_size=1000000
ok "nothing half-written" "" test ! -e x
bad "another configuration" "another configuration" "$hrm" train --data d4 --run run --steps 10 --seed 5
bad "a run that exists" "--resume goes on" "$hrm" train --preset sudoku4 --data d4 --run run --steps 10 "${tiny[@]}"
bad "nothing to resume" "is not a run folder" "$hrm" train --data d4 --run y --resume
bad "resume of another model" "another configuration" "$hrm" train --preset sudoku4 --data d4 --run run \
  --resume --steps 10 "${tiny[@]}" --set H_layers=2
bad "not a run" "is not a run folder" "$hrm" eval --run d4
bad "no such checkpoint" "is no checkpoint" "$hrm" eval --run run --checkpoint nowhere
bad "data of another shape" "seq_len 16, the data set d9 has 81" "$hrm" eval --run run --data d9
bad "puzzle file missing" "cannot open none.txt" "$hrm" data sudoku --from none.txt --out z
printf '53..7\n' >short.txt
bad "puzzle too short" "short.txt line 1" "$hrm" data sudoku --from short.txt --out z
printf 'inputs,labels\n1 2,1\n' >bad.csv
bad "CSV row" "bad.csv line 2" "$hrm" data tokens --from bad.csv --out z
bad "data set exists" "--replace" "$hrm" data sudoku --side 4 --count 50 --out d4
ok "no data set half-written" "" bash -c '[[ ! -e z && ! -e z.tmp ]]'
head -c 200 w.safetensors >cut.safetensors
bad "truncated safetensors" "cut.safetensors" "$hrm" import cut.safetensors --run z
bad "not an HRM checkpoint" "is truncated or damaged" "$hrm" import t.csv --run z
cp -r run hurt
printf '{' >hurt/config.json
bad "config cut off" "is not valid JSON" "$hrm" info hurt
cp run/config.json hurt/
printf 'x' >>hurt/best/model.safetensors
bad "checkpoint damaged" "its checksum is wrong" "$hrm" eval --run hurt
cp run/config.json hurt/ && printf 'x' >>hurt/checkpoints/step_00000010/model.safetensors
bad "resume from a damaged checkpoint" "its checksum is wrong" "$hrm" train --run hurt --resume
# A disk that is full after 8 KiB.
bash -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' _ \
  "$hrm" train --preset sudoku4 --data d4 --run full --steps 3 "${tiny[@]}" >out 2>err
status=$?
((status == 1)) && tail -n 1 err | grep -q "^hrm: .*cannot write full/"
report $? "full disk (status $status)"
ok "full disk: nothing half-written" "" bash -c '[[ -z $(find full -name "*.tmp" 2>/dev/null) ]]'
mkdir locked && chmod 555 locked
if [[ -w locked ]]; then skip "no permission" "this user may write everywhere"; else
  bad "no permission" "ermission denied" "$hrm" data sudoku --side 4 --count 50 --out locked/d
fi

# --- real puzzles
if [[ -e $data/sudoku/forum_hardest_train.txt ]]; then
  bad "not unique" "several solutions" "$hrm" data sudoku --from "$data/sudoku/not_unique.txt" --out z
  ok "real 9x9 puzzles" "symmetry classes" "$hrm" data sudoku \
    --from "$data/sudoku/forum_hardest_train.txt" --count 300 --test 20 --out real
  ok "the 27M model on them" "run folder big" "$hrm" train --preset hrm-27m --data real --run big \
    --steps 1 --set batch_size=2 --set keep_checkpoints=1 --set eval_puzzles=2 --set halt_max_steps=2
else
  skip "real puzzles" "no $data/sudoku (set DATA_DIR)"
fi
if [[ -e $reference/official_dataset_arc/train/dataset.json ]]; then
  ok "official ARC data set" "1,554 examples" "$hrm" data show "$reference/official_dataset_arc"
else
  skip "official ARC data set" "no $reference/official_dataset_arc (set REFERENCE_DIR)"
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
