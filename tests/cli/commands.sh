#!/usr/bin/env bash
# Every command of the program end to end, and every kind of bad input: one line, a non-zero exit,
# nothing half-written. HRM names the program.
set -u
source "$(dirname "$0")/../support/report.sh"
hrm=$(realpath "${HRM:-build/cpu/hrm}")
data=$(realpath -m "${DATA_DIR:-../shared/data}")
reference=$(realpath -m "${REFERENCE_DIR:-../shared/reference}")
torch_file=$(realpath "$(dirname "$0")/../support/torch_file.py")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

last_line() {  # COMMAND...: of its stderr, without the progress of the work before it
  "$@" 2>lines
  local status=$?
  tail -n 1 lines >&2
  return $status
}

tiny=(--set hidden_size=16 --set puzzle_emb_ndim=16 --set num_heads=2 --set H_layers=1
      --set L_layers=1 --set batch_size=8 --set checkpoint_every=5 --set eval_every=0)

# --- the way through
ok version "hrm 0.1.0" "$hrm" --version
ok help "solve" "$hrm" --help
ok presets "hrm-27m" "$hrm" info
set_in_use=$("$hrm" info --json | sed -n 's/^ *"instruction_set": "\(.*\)",$/\1/p')
ok "info: the instruction set" "(HRM_ISA=$set_in_use;" env HRM_ISA="$set_in_use" "$hrm" info
ok "HRM_ISA: empty is unset" "(HRM_ISA=$set_in_use;" env HRM_ISA= "$hrm" info
bad "HRM_ISA: no such set" "[HRM_ISA] must be" env HRM_ISA=v9 "$hrm" info
ok preset "27,275,266 parameters" "$hrm" info --preset hrm-27m
ok "preset as JSON" '"parameters": 5028866' "$hrm" info --preset trm-5m --json
ok "data sudoku" "training and 40 test" "$hrm" data sudoku --side 4 --count 400 --test 40 --out d4
ok "data sudoku 9, minimal" '"test": 2' "$hrm" data sudoku --count 10 --test 2 --minimal --out d9 --json
ok "data show" "example 0" "$hrm" data show d4
"$hrm" data sudoku --side 4 --count 100 --test 20 --seed 5 --out d4b >/dev/null 2>&1
train_of() {  # WORDS...: puzzles for training
  "$hrm" data sudoku --side 4 --test 0 --json --replace --out d4c "$@" 2>/dev/null |
    sed -n 's/^ *"train": \([0-9]*\),$/\1/p'
}
one=$(train_of --from d4) both=$(train_of --from d4 d4b)
left=$(train_of --from d4 d4b --without d4b)
((one > 0 && both > one && left < both && left > 0))
report $? "data sudoku from data sets, without the test puzzles of one ($one, $both, $left)"
bad "data sudoku without another kind" "the puzzle is 4x4, the data set 9x9" \
  "$hrm" data sudoku --count 10 --test 2 --without d4 --out z
ok train "run folder run" "$hrm" train --preset sudoku4 --data d4 --run run --steps 10 "${tiny[@]}"
ok "train: report" "" test -s run/report.html
ok "train: no temporary files" "" bash -c '[[ -z $(find run -name "*.tmp") ]]'
ok "resume a finished run" "" "$hrm" train --run run --resume
ok eval "40 puzzles" "$hrm" eval --run run
ok "eval as JSON" '"count": 40' "$hrm" eval --run run --json --segments 2 --halt
ok info "parameters" "$hrm" info run
ok report "report.html" "$hrm" report run
echo '<script type="application/json" id="models">[]</script>' >page.html
ok "playground with a run in it" "no server" "$hrm" playground --run run --page page.html --out mine.html
ok "playground: its weights" '"name":"run"' grep -F '"encoding":"none"' mine.html
ok "playground to standard output" '"label":"run"' "$hrm" playground --run run --page page.html --out -
bad "playground: no such page" "no.html" "$hrm" playground --page no.html --out x.html
bad "playground: another page" "is no page of" "$hrm" playground --run run --page run/report.html --out x.html
bad "playground: no run" "is not a run folder" "$hrm" playground --run d4 --page page.html --out x.html
bad "playground: a checkpoint of no run" "requires --run" "$hrm" playground --checkpoint last
bad "playground: a port that is none" "65535" "$hrm" playground --port 65536
test ! -e x.html
report $? "playground: nothing is written then"
timeout 20 "$hrm" playground --page page.html --no-browser >served 2>&1 &
for _ in {1..50}; do grep -q 'http://127.0.0.1:[0-9]* until' served && break; sleep 0.1; done
kill -TERM $!
wait $!
report $? "playground: served until it is asked to end"
ok export "w.safetensors" "$hrm" export run --out w.safetensors --compiled
ok import "parameters" "$hrm" import w.safetensors --run back --preset sudoku4 --data d4 --set num_heads=2
ok "export again" "v.safetensors" "$hrm" export back --out v.safetensors --compiled
ok "export is the identity" "" cmp w.safetensors v.safetensors
# --- a checkpoint of PyTorch, made with nothing but Python's standard library
python=$(command -v python3)
if [[ -n $python ]] && "$python" -c 'import zipfile' 2>/dev/null; then
  "$python" "$torch_file" w.safetensors step_10 && "$python" "$torch_file" w.safetensors all.pt model_state_dict
  report $? "checkpoints of PyTorch are made"
  for file in step_10 all.pt; do
    ok "import $file" "parameters" "$hrm" import $file --run torch_$file --preset sudoku4 --data d4 --set num_heads=2
    ok "import $file: the same weights" "" cmp {torch_$file,back}/best/model.safetensors
    ok "import $file: the same evaluation" "" bash -c "
      '$hrm' eval --run torch_$file --data d4 --json >a && '$hrm' eval --run back --data d4 --json >b &&
      diff <(grep -v seconds a) <(grep -v seconds b) && grep -q accuracy a"
  done
  bad "eval of a checkpoint of PyTorch" 'HINT: `hrm import all.pt --run RUN`' "$hrm" eval --run all.pt --data d4
  bad "solve with one" 'HINT: `hrm import all.pt --run RUN`' "$hrm" solve 41.2234.3..4..2. --run all.pt
  bad "train from one" 'HINT: `hrm import all.pt --run RUN`' "$hrm" train --init all.pt --data d4 --run x
  bad "train from one, with a preset" 'HINT: `hrm import all.pt --run RUN`' last_line "$hrm" train --init all.pt --preset sudoku4 \
    --data d4 --run x
  bad "two models in one file" "holds 2 models: 'ema', 'model'" bash -c "
    '$python' '$torch_file' w.safetensors two.pt model ema && '$hrm' import two.pt --run x"
  head -c 3000 all.pt >cut.pt
  bad "a checkpoint that was cut off" "cut.pt does not end as a zip archive does" "$hrm" import cut.pt --run x
  bad "a checkpoint with an object" "holds the Python object collections.Counter, not only tensors" bash -c "
    '$python' -c '
import collections, pickle, sys, zipfile
with zipfile.ZipFile(\"object.pt\", \"w\") as z: z.writestr(\"a/data.pkl\", pickle.dumps(collections.Counter(), 2))
' && '$hrm' import object.pt --run x"
  ok "nothing is written then" "" test ! -e x
else
  skip "import of checkpoints of PyTorch" "needs python3"
fi
printf '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.' >old.pt
bad "a checkpoint of an old PyTorch" "old.pt has the format before PyTorch 1.6" "$hrm" import old.pt --run x
# --- a model in one file
ok "export with the settings" "m.safetensors" "$hrm" export run --out m.safetensors
ok "eval of a model in one file" "40 puzzles" "$hrm" eval --run m.safetensors --data d4
ok "solve with a model in one file" "" bash -c "
  '$hrm' solve 41.2234.3..4..2. --run run --json >a; [[ \$? == 0 || \$? == 1 ]] &&
  { '$hrm' solve 41.2234.3..4..2. --run m.safetensors --json | cmp - a; }"
ok "train from a model in one file" "run folder onefile" "$hrm" train --init m.safetensors --data d4 --run onefile --steps 2
bad "a file without the settings" "not the settings of their model" "$hrm" eval --run w.safetensors --data d4
bad "a file has no checkpoints" "leave out the checkpoint" "$hrm" eval --run m.safetensors --data d4 --checkpoint best
bad "a file, and a seed without effect" "HINT: add one" "$hrm" eval --run m.safetensors --data d4 --seed 3
bad "a file where a run is needed" "a run folder is needed here" "$hrm" report m.safetensors
bad "a file names no data" "HINT: --data DIR" "$hrm" eval --run m.safetensors
bad "a file that was cut off" "cut.safetensors is truncated" bash -c "
  head -c 3000 m.safetensors >cut.safetensors; '$hrm' solve 41.2234.3..4..2. --run cut.safetensors"
printf 'inputs,labels,split\n1 2 3,3 2 1,train\n2 2 1,1 2 2,test\n' >t.csv
ok "data tokens" "1 training and 1 test" "$hrm" data tokens --from t.csv --out dt
ok "train on tokens" "run folder rt" "$hrm" train --preset sudoku4 --data dt --run rt --steps 3 "${tiny[@]}"
ok "train in bf16" "run folder rb" "$hrm" train --data d4 --run rb --steps 3 --dtype bf16 "${tiny[@]}"
for p in trm-5m transformer-27m; do
  ok "train $p" "run folder r-$p" "$hrm" train --preset $p --data d4 --run r-$p --steps 2 "${tiny[@]}"
done
ok demo "Held-out test" "$hrm" demo --steps 3 "${tiny[@]}"
ok "demo again" "finished: its results again" "$hrm" demo --steps 3 "${tiny[@]}"
ok "demo of mazes" "Held out: 1,000 others" "$hrm" demo --preset maze10 --steps 1 "${tiny[@]}" \
  --set final_eval_puzzles=8
ok "demo of another configuration" "demo-sudoku4-2" "$hrm" demo --steps 2 "${tiny[@]}"

ok "train with unrolled segments" "run folder ru" "$hrm" train --data d4 --run ru --steps 3 \
  "${tiny[@]}" --set unroll_segments=2 --set gradient=full_bptt
bad "unrolled segments in slices" "needs act=false" "$hrm" train --data d4 --run x \
  --set unroll_segments=2 --set micro_batches=2
ok "lab gradients" "spectral radius" "$hrm" lab gradients --steps 0,2 --rules one_step,unrolled:2 \
  "${tiny[@]}"
ok "lab gradients of a run, as JSON" '"step": 10' "$hrm" lab gradients --run run --json \
  --rules neumann:1
bad "lab gradients: no such rule" "gradient must be one of one_step" "$hrm" lab gradients --run run \
  --rules onestep
bad "lab gradients: steps of the past" "must be at least 10" "$hrm" lab gradients --run run --steps 3
bad "lab gradients: no puzzles to make" "HINT: --data DIR" "$hrm" lab gradients --preset maze10
bad "lab: no experiment" "[lab] needs a command" "$hrm" lab

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
bad "arc score: a task without an answer" "has no answers to task e2. HINT: --from" bash -c "
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
ok "more variants: rows by name" "12 of 21 puzzle rows found" bash -c "
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
for f in html svg; do ok "arc show as $f" "e1.$f" "$hrm" arc show e1 --run ra --out e1.$f; done
ok "adapt to a task" "run folder adapted" "$hrm" adapt --run ra --puzzle arc/evaluation/e1.json \
  --budget 1s --variants 2 --pool 2 --out adapted
ok "farm" "of 2 tasks solved" "$hrm" arc farm --from arc/evaluation --out farm --budget 1s \
  --variants 2 --pool 2 "${tiny[@]}"
ok "farm again: nothing left" "" bash -c "
  sed -i 's/\"solved_at_2\":[a-z]*/\"solved_at_2\":true/' farm/results.jsonl &&
  '$hrm' arc farm --from arc/evaluation --out farm --budget 1s --variants 2 --pool 2 ${tiny[*]} \
    >again 2>err; grep -q '2 of 2 tasks solved' again && grep -q '2 tasks were done before' err"
ok "farm in parts: the first" "part 1/2 is done; 1 tasks of other parts are open" "$hrm" arc farm \
  --from arc/evaluation --out farm2 --budget 1s --variants 2 --pool 2 --shard 1/2 "${tiny[@]}"
ok "farm in parts: the second" "of 2 tasks solved at pass@2; farm2/results.*" "$hrm" arc farm \
  --from arc/evaluation --out farm2 --budget 1s --variants 2 --pool 2 --shard 2/2 "${tiny[@]}"
ok "farm in parts: a line each" "" bash -c '
  grep -q e1 farm2/results.1-of-2.jsonl && grep -q e2 farm2/results.2-of-2.jsonl && [[ ! -e farm2/results.jsonl ]]'
ok "farm in parts: the whole trains nothing" "2 tasks were done before" bash -c "
  '$hrm' arc farm --from arc/evaluation --out farm2 --budget 1s --variants 2 --pool 2 ${tiny[*]} 2>&1"
bad "farm again with another budget" "holds a result of e1 that was found with other settings" "$hrm" arc farm \
  --from arc/evaluation --out farm --budget 2s --variants 2 --pool 2 "${tiny[@]}"
mkdir -p another && task 3 9 >another/e1.json
bad "farm: another task of the same name" "or of another task of this name" "$hrm" arc farm \
  --from another --out farm --budget 1s --variants 2 --pool 2 "${tiny[@]}"
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
bad "playground: mazes" "shows Sudoku only" "$hrm" playground --run rm --page page.html --out x.html
sed -n 2p m.csv | cut -d , -f 2 | fold -w 8 >maze.txt
"$hrm" solve maze.txt --run rm >out 2>err
status=$?
[[ $status == 0 || $status == 1 && $(tail -n 1 out) == "not solved: "* ]]
report $? "solve a maze file ($status)"
bad "maze: no goal" "has one G, got 0" bash -c "printf 'S   ' >g.txt; '$hrm' solve g.txt --run rm"

# --- lattice deduction: another refinement, the same commands
lattice=(--set hidden_size=16 --set num_heads=2 --set batch_size=8 --set lattice_loops=1
         --set lattice_layers=1 --set lattice_chains=2 --set halt_max_steps=4 --set eval_every=0)
ok "lattice: train" "run folder rl" "$hrm" train --preset lattice4 --data d4 --run rl --steps 6 \
  "${lattice[@]}"
ok "lattice: eval" "settled then" "$hrm" eval --run rl --max 10 --segments 8
ok "lattice: eval as JSON" '"notes"' bash -c "cat rl/evaluation.json && '$hrm' eval --run rl --json"
ok "lattice: info" "lattice_loops" "$hrm" info rl
ok "lattice: report" "Round by round" bash -c "'$hrm' report rl && cat rl/report.html"
ok "lattice: resume" "run folder rl" "$hrm" train --run rl --resume --steps 8
ok "lattice: another run begins with its weights" "starts from rl/best" \
  "$hrm" train --init rl --data d4 --run rl2 --steps 2
ok "lattice: mazes" "run folder rlm" "$hrm" train --preset lattice-maze --data dm --run rlm --steps 2 \
  "${lattice[@]}"
"$hrm" solve 1.34341221434321 --run rl >out 2>err
status=$?
last=$(tail -n 1 out)
[[ $status == 0 && $last == solved || $status == 1 && $last == "not solved: "* ]] &&
  grep -q "^round 1: " out && grep -q "^chain . of 2, " out
report $? "lattice: solve shows its rounds ($status)"
"$hrm" solve 1.34341221434321 --run rl --json >out 2>err
grep -q '"restarts": ' out
report $? "lattice: solve as JSON"
bad "lattice: several solutions" "several solutions" "$hrm" solve ................ --run rl
bad "lattice: another size" "this puzzle has 81 cells" "$hrm" solve \
  53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79 --run rl
bad "lattice: no Q head" "--halt is of models with a Q head" \
  "$hrm" solve 1.34341221434321 --run rl --halt
bad "lattice: eval with noise" "--noise is of models that run in segments" \
  "$hrm" eval --run rl --noise 0.1
bad "lattice: no gradient rules" "a lattice has no segments" "$hrm" lab gradients --run rl
bad "lattice: no official weights" "holds a lattice" "$hrm" export rl --out rl.safetensors
bad "lattice: ARC" "not solved by striking out" last_line \
  "$hrm" train --preset lattice4 --data da --run x
bad "lattice: a setting of segments" "H_cycles is not a setting of refinement lattice" \
  "$hrm" train --preset lattice4 --data d4 --run x --set H_cycles=3
bad "lattice: a setting of its own elsewhere" "is not a setting of refinement segments" \
  "$hrm" train --preset sudoku4 --data d4 --run x --set lattice_loops=3

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

# --- N queens: a kind that is known by its file and its line of the registry alone
ok "data n_queens" "150 training and 50 test examples" "$hrm" data n_queens --side 8 --count 200 \
  --test 50 --out dqueens
ok "data show, queens" ".......Q" "$hrm" data show dqueens
ok "train on queens" "run folder rq" "$hrm" train --preset queens8 --data dqueens --run rq --steps 3 "${tiny[@]}"
ok "eval of queens" '"valid_accuracy"' "$hrm" eval --run rq --json
ok "verify by the rules of queens" "by verify of 2 rollouts" "$hrm" eval --run rq --rollouts 2 \
  --noise 0.3 --select verify
ok "report of queens" "rq/report.html" "$hrm" report rq
# An open board is no Sudoku where the run was trained on queens.
"$hrm" solve "................................................................" --run rq --json >out 2>err
status=$?
((status == 0 || status == 1)) && grep -q '"board"' out
report $? "solve a board ($status)"
bad "queens: no solution" "the board has no solution" "$hrm" solve "QQ.............................................................." --run rq
bad "queens: another size" "this puzzle has 36 cells" "$hrm" solve \
  ".Q.................................." --run rq
"$hrm" solve "...Q................Q..........................................Q" --run rq >out 2>err
status=$?
((status == 0 || status == 1 || status == 2)) && ! grep -q 'there is no file' err
report $? "a board that ends in a queen is no file ($status)"
bad "queens: a wrong character" "cell 3 must be '.' or 'Q', got x" "$hrm" solve \
  "..x............................................................." --run rq
bad "queens: too many puzzles" "different puzzles found. HINT: a smaller --count and --test" last_line "$hrm" data n_queens \
  --side 6 --count 100000 --out z
bad "queens: side" "--side must be" "$hrm" data n_queens --side 5 --out z

ok "data sudoku 9x9 names its preset" "hrm train --preset sudoku9 --data d9easy" "$hrm" data sudoku \
  --side 9 --count 20 --test 5 --out d9easy

# --- parity, and the rules of halting
ok "data parity" "150 training and 50 test examples" "$hrm" data parity --count 200 \
  --test 50 --out dpar
ok "data parity names its preset" "hrm train --preset parity --data dpar" "$hrm" data parity \
  --count 200 --test 50 --out dpar --replace
window=(--set halt_max_steps=3 --set unroll_segments=3)
ok "train by ACT" "run folder r_act" "$hrm" train --preset parity --data dpar --run r_act --steps 3 \
  "${tiny[@]}" "${window[@]}" --set halting=act
ok "resume by ACT" "run folder r_act" "$hrm" train --resume --run r_act --steps 6
ok "train by PonderNet" "run folder r_pon" "$hrm" train --preset parity --data dpar --run r_pon \
  --steps 3 "${tiny[@]}" --set halting=ponder
ok "train for a fixed number of segments" "run folder r_fix" "$hrm" train --preset parity \
  --data dpar --run r_fix --steps 3 "${tiny[@]}" --set halting=fixed
ok "a Universal Transformer" "run folder r_ut" "$hrm" train --preset ut --data d4 --run r_ut --steps 3 \
  --set hidden_size=16 --set num_heads=2 --set batch_size=4 --set halt_max_steps=2 \
  --set unroll_segments=2
for run in r_act r_pon r_ut; do
  ok "eval --halt of $run" "segments each" "$hrm" eval --run $run --halt
  ok "report of $run" "$run/report.html" "$hrm" report $run
done
"$hrm" solve "+.o.+.oo+..ooooo" --run r_act --halt >out 2>err
status=$?
((status == 0 || status == 1)) && grep -q 'seg. 1' out
report $? "solve a board of signs ($status)"
bad "halting: a threshold of nothing" "HINT: leave it out" "$hrm" eval --run r_act --halt \
  --halt-by repeat --halt-threshold 1
bad "halting: a setting of another rule" "ponder_cost is not a setting of halting q_learning" \
  "$hrm" train --preset parity --data dpar --run x --set ponder_cost=1
bad "parity: a wrong character" "cell 3 must be '+', 'o' or '.', got x" "$hrm" solve "..x............." \
  --run r_act
bad "halting: no rule to stop by" "HINT: leave out --halt" "$hrm" eval --run r_fix --halt
ok "halting: its hint" "50 puzzles" "$hrm" eval --run r_fix --halt --halt-by confidence \
  --halt-threshold 0.9
bad "halting: ACT needs whole windows" "unroll_segments must be halt_max_steps 8, got 1" \
  "$hrm" train --preset parity --data dpar --run x --set halting=act
bad "halting: PonderNet between the two" "unroll_segments must be halt_max_steps 8 or 1, got 2" \
  "$hrm" train --preset parity --data dpar --run x --set halting=ponder --set unroll_segments=2
bad "halting: of a lattice" "halting is not a setting of refinement lattice" \
  "$hrm" train --preset lattice4 --data d4 --run x --set halting=act
bad "gradients of another rule" "for halting q_learning" "$hrm" lab gradients --run r_act
bad "halting: an unknown rule" "halting must be" "$hrm" train --preset parity --data dpar --run x \
  --set halting=luck

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
ok "lab: a page that says how to repeat it" "hrm lab run lab.json --out lab --jobs 2 --only" cat lab/lab/page.html
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
found() {  # FOLDER: its results, without times and what depends on the folder's place
  cat "$1"/lab/results*.jsonl |
    sed -E 's/"(key|model|train)":"[^"]*"//g; s/"(seconds|train_seconds)":[0-9.e-]*//g' | sort
}
# In parts, which share a folder: two one after the other, a third beside a fourth.
ok "lab run in parts: the first" "part 1/4 is done; 3 of 4 models are still open" \
  "$hrm" lab run lab.json --out parts --shard 1/4
ok "lab run in parts: no page yet" "" bash -c '
  [[ ! -e parts/lab/page.html && $(wc -l <parts/lab/results.1-of-4.jsonl) == 1 ]]'
ok "lab run in parts: the second" "2 of 4 models are still open" "$hrm" lab run lab.json --out parts --shard 2/4
"$hrm" lab run lab.json --out parts --shard 3/4 >out3 2>err3 &
"$hrm" lab run lab.json --out parts --shard 4/4 >out 2>err
wait
cat out3 err3 >>out
grep -q "p = 1" out
report $? "lab run in parts: the last draws the page"
ok "lab run in parts: the same results" "" diff <(found parts) <(found whole-lab)
ok "lab run in parts: the whole trains nothing" "p = 1" bash -c "
  touch before; '$hrm' lab run lab.json --out parts && [[ ! -e parts/lab/results.jsonl ]] &&
  [[ -z \$(find parts/models -name metrics.jsonl -newer before) ]]"
bad "lab run: no part" "[lab figure] --shard must be a part such as 2/4, from 1/4 to 4/4, got '5/4'" \
  "$hrm" lab figure 4 --shard 5/4
ok "lab run: killed or not, the same results" "" diff <(found killed-lab) <(found whole-lab)
ok "lab list" "Outer refinement loops" "$hrm" lab list
bad "lab: no such figure" "no figure '99'. HINT: there are 3" "$hrm" lab figure 99
bad "lab: ARC without tasks" "arc ARC-AGI/data" "$hrm" lab figure 6
bad "lab: not JSON" "is not valid JSON" bash -c "echo '{' >bad.json; '$hrm' lab run bad.json"
bad "lab: an unknown setting" "lab4.json: [config] unknown key 'loops'" bash -c "
  sed 's/set.halt_max_steps/set.loops/' lab.json >lab4.json; '$hrm' lab run lab4.json --out lab4"
bad "lab: a word that writes elsewhere" "data: s: an experiment may not pass --csv to" bash -c "
  sed 's/sudoku --side 4/maze --size 5 --csv precious.csv/' lab.json >lab8.json; '$hrm' lab run lab8.json"
ok "lab: and nothing is written" "" test ! -e precious.csv
bad "one command at a time" "takes no further argument 'demo'" "$hrm" eval --run run demo
bad "lab: no such models" "no model has foo=1. HINT: there are loops=1, loops=2, seed=0, seed=1" \
  "$hrm" lab run lab.json --only foo=1
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
bad "eval: the residual without a threshold" "HINT: --halt-threshold 0.05" \
  "$hrm" eval --run run --halt --halt-by residual
ok "eval: its hint" "40 puzzles" "$hrm" eval --run run --halt --halt-by residual --halt-threshold 0.05
bad "eval: confidence without a threshold" "HINT: --halt-threshold 0.9" \
  "$hrm" eval --run run --halt --halt-by confidence
ok "eval: its hint" "40 puzzles" "$hrm" eval --run run --halt --halt-by confidence --halt-threshold 0.9
ok "eval: an answer that stays" "40 puzzles" "$hrm" eval --run run --halt --halt-by repeat
bad "eval: an unknown rule" "--halt-by" "$hrm" eval --run run --halt --halt-by luck
bad "eval: relabelling is for Sudoku" "this data set is arc" \
  "$hrm" eval --run ra --data da --rollouts 2 --relabel
bad "eval: no rules to verify by" "needs the rules of the puzzles" \
  "$hrm" eval --run ra --data da --rollouts 2 --noise 0.1 --select verify

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
interrupt() {  # RUN: Ctrl-C after its first checkpoint, for process `pid`; its end is in `status`
  first_checkpoint "$1"
  kill -INT $pid
  wait $pid
  status=$?
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
interrupt int
((status == 130)) && grep -q "Go on with --resume" err
report $? "SIGINT writes a checkpoint, says how to go on, ends with 130 (status $status)"
"$hrm" train --run int --resume >out 2>err &
pid=$!
sleep 0.3
kill -TERM $pid
wait $pid
status=$?
((status == 143)) && grep -q "Go on with --resume" err
report $? "SIGTERM does the same, with 143 (status $status)"
ok "resume after SIGINT and SIGTERM" "" "$hrm" "${args[@]}" --run int --resume
ok "the same bits again" "" cmp {whole,int}/$weights

# --- one run folder, one run
"$hrm" "${args[@]}" --run held >/dev/null 2>&1 &
pid=$!
first_checkpoint held
bad "a run that another process holds" "held is in use by process $pid on" "$hrm" train --run held --resume
wait $pid
ok "the run that was held is the whole one" "" cmp {whole,held}/$weights
# Killed before the first checkpoint: it starts anew, and no line is there twice.
"$hrm" "${args[@]}" --run early --set checkpoint_every=1500 >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1000); do
  [[ -e early/metrics.jsonl && $(wc -l <early/metrics.jsonl) -gt 5 ]] && break
  sleep 0.02
done
kill -9 $pid
wait $pid 2>/dev/null
ok "resume before the first checkpoint" "" "$hrm" train --run early --resume
ok "the same bits from the start" "" cmp {whole,early}/$weights
steps_of() { grep -o '"step":[0-9]*' "$1/metrics.jsonl" | sort | uniq -c | sort -rn | head -n 1; }
ok "no line of metrics twice" "" test "$(steps_of early)" == "$(steps_of whole)"
# A signal in an evaluation ends the program at once; the evaluation is made up for.
slow=(train --preset sudoku4 --data d4 --steps 2 --set eval_every=1 --set hidden_size=128
  --set eval_puzzles=0 --set halt_max_steps=400)
"$hrm" "${slow[@]}" --run evaluating >out 2>err &
pid=$!
first_checkpoint evaluating
sleep 0.3
started=$SECONDS
kill -TERM $pid
wait $pid
status=$?
((status == 143 && SECONDS - started <= 2)) && grep -q "stopped in the evaluation after step" err
report $? "SIGTERM in an evaluation (status $status, $((SECONDS - started)) s)"
ok "the checkpoint came before it" "" test -s evaluating/checkpoints/step_00000001/state.json

# A demo says how a demo goes on.
"$hrm" demo --run stoppeddemo --set eval_every=0 >out 2>err &
pid=$!
interrupt stoppeddemo
((status == 130)) && grep -q "The same command goes on" err
report $? "a demo that was stopped (status $status)"
ok "the settings of a file, and sizes of the data" "run folder fromfile" \
  "$hrm" train --config run/config.json --data d4 --run fromfile --steps 4
ok "the same command with --resume" "run folder fromfile" \
  "$hrm" train --config run/config.json --data d4 --run fromfile --steps 6 --resume
bad "fewer steps than it has made" "fromfile has made 6 steps already, more than 4. HINT: --steps 6" \
  "$hrm" train --run fromfile --resume --steps 4

# --- a run that starts from another, and one that goes on with other settings
ok "start from another run" "of 0 puzzle rows found" "$hrm" train --preset sudoku4 --data d4 --init run \
  --run begun --steps 6 "${tiny[@]}"
"$hrm" train --preset sudoku4 --data d4 --init run --run begun2 --steps 6 "${tiny[@]}" >/dev/null 2>&1
rm -r begun2/checkpoints begun2/best  # as when it is killed before the first checkpoint
ok "resume without a checkpoint: from that run again" "starts from" "$hrm" train --run begun2 --resume
ok "the same bits as begun" "" cmp begun{,2}/checkpoints/step_00000006/model.safetensors
bad "resume from another start" "holds a run that started from" \
  "$hrm" train --run begun --resume --init killed
bad "start from a model of another shape" "HINT: is it a checkpoint of another model?" last_line \
  "$hrm" train --preset sudoku6 --data d4 --init run --run x
ok "no folder of a start that failed" "" test ! -e x
ok "longer, with other rates" "run folder begun" "$hrm" train --run begun --resume --steps 8 --set lr=1e-4 \
  --set clip_norm=1
ok "the change is on record" '"total_steps":[6,8]' cat begun/metrics.jsonl
ok "and is the run's setting now" '"lr": 0.0001' "$hrm" info begun --json
bad "a setting that may not change" "begun holds a run with hidden_size = 16, not 32" \
  "$hrm" train --run begun --resume --set hidden_size=32
bad "a preset that is another" "holds a run of the preset 'sudoku4', not 'maze10'" \
  "$hrm" train --run begun --resume --preset maze10
"$hrm" data sudoku --side 4 --count 400 --test 40 --seed 9 --out d4other >/dev/null 2>&1
bad "another data set of the same shape" "is not the one that the run was trained on" last_line \
  "$hrm" train --run begun --resume --steps 9 --data d4other
cp -r d4 d4moved
ok "the data set in another place" "run folder begun" "$hrm" train --run begun --resume --steps 9 --data d4moved
# Runs can be moved, and used from everywhere.
cp -r runs/demo-sudoku4 moved
ok "a demo that was moved" "puzzles" "$hrm" eval --run moved --max 8
ok "from another folder" "puzzles" bash -c "cd / && '$hrm' eval --run '$PWD/moved' --max 8"
ok "a run from another folder" "puzzles" bash -c "cd / && '$hrm' eval --run '$PWD/run'"
mv d4moved d4gone
bad "the data set is gone" "HINT: --data DIR says where it is now" "$hrm" train --run begun --resume
ok "followed: --data" "" "$hrm" train --run begun --resume --data d4gone

# --- the hint of a training that diverged, followed
diverging=(train --preset sudoku4 --data d4 --steps 200 "${tiny[@]}" --set lr=1000 --set lr_warmup_steps=200)
bad "hint: a lower rate" "HINT: a lower rate may help: \`hrm train --run diverged --resume --set lr=" \
  last_line "$hrm" "${diverging[@]}" --run diverged
ok "followed: a lower rate" "run folder diverged" "$hrm" train --run diverged --resume --set lr=1e-4 --steps 30
bad "hint: clipping, before the first checkpoint" "there is no checkpoint yet" \
  last_line "$hrm" "${diverging[@]}" --run diverged2 --set checkpoint_every=200 --set lr_warmup_steps=20
ok "followed: clipping and a lower rate" "run folder diverged2" \
  "$hrm" train --run diverged2 --resume --set clip_norm=1 --set lr=1e-3 --steps 30

# --- links in a run folder are not followed
mkdir outside && printf 'mine\n' >outside/mail
cp -r run linked
rm linked/metrics.jsonl && ln -s "$PWD/outside/mail" linked/metrics.jsonl
bad "metrics.jsonl is a link" "metrics.jsonl is a link" "$hrm" train --run linked --resume
rm linked/metrics.jsonl && ln -s "$PWD/outside/mail" linked/report.html.tmp
ok "report beside a link" "report.html" "$hrm" report linked
ok "what the links led to is as it was" "" bash -c '[[ $(cat outside/mail) == mine ]]'

# --- what the user names is written to, not replaced
ok "metrics to standard output" "kind,step" "$hrm" metrics run --csv -
ln -s target.csv link.csv
ok "metrics through a link" "" bash -c "'$hrm' metrics run --csv link.csv && [[ -L link.csv && -s target.csv ]]"
mkfifo pipe
cat pipe >piped &
ok "metrics into a pipe" "" "$hrm" metrics run --csv pipe
wait $!
ok "the pipe handed them on" "" bash -c '[[ -p pipe ]] && grep -q "^kind,step" piped'
if [[ -c /dev/full ]]; then
  bad "metrics on a full device" "No space left on device" "$hrm" metrics run --csv /dev/full
  ok "which is still a device" "" test -c /dev/full
fi

# --- lab and farm under signals: no process is left, and the same command goes on
sed 's/"total_steps": 400/"total_steps": 1000000/' lab.json >long.json
command_in() {  # lab|farm FOLDER: into the array `command`
  if [[ $1 == lab ]]; then command=("$hrm" lab run long.json --out "$PWD/$2" --jobs 2); else
    command=("$hrm" arc farm --from arc/evaluation --out "$PWD/$2" --budget 1h --jobs 2 "${tiny[@]}")
  fi
}
# The processes that were started with the name of a folder: the parent and its two children. (The
# pattern does not match itself, so that grep is not among them.)
workers() { grep -al -- "$PWD/[${1:0:1}]${1:1}" /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3; }
three_work() {  # lab|farm FOLDER: a lab's trainings are so far that they have written a checkpoint
  (($(workers "$2" | wc -l) == 3)) || return
  [[ $1 == farm ]] && return
  (($(ls -d "$2"/models/*/checkpoints/step_* 2>/dev/null | cut -d / -f 3 | uniq | wc -l) == 2))
}
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
    within 20 three_work $what $folder
    started=$?
    kill -${signal%:*} $pid
    within 2 none_works $folder
    gone=$?
    ((gone == 0)) || kill -9 $(workers $folder)
    wait $pid 2>/dev/null
    status=$?
    [[ $started == 0 && $gone == 0 && $status == "${signal#*:}" ]] &&
      { [[ $status == 137 ]] || grep -q "stopped; the same command goes on" err; }
    report $? "$what: SIG${signal%:*} to the parent ends all (status $status)"
    [[ $what == lab && $status != 137 ]] || continue
    (($(grep -l "checkpoint is written" $folder/models/*/train.log | wc -l) == 2))
    report $? "lab: SIG${signal%:*}: both trainings have written a checkpoint"
  done
  command_in $what two-$what
  "${command[@]}" >/dev/null 2>&1 &
  pid=$!
  within 20 three_work $what two-$what
  bad "$what: a second one in the same folder" "is in use by process $pid on" timeout 20 "${command[@]}"
  kill -9 $pid
  wait $pid 2>/dev/null
done
# A terminal's Ctrl-C and many a `kill` reach the children directly, too: still a checkpoint each.
command_in lab lab-group
setsid "${command[@]}" >out 2>err &
pid=$!
within 20 three_work lab lab-group
kill -INT -- -$pid
within 2 none_works lab-group || kill -9 $(workers lab-group)
wait $pid
status=$?
((status == 130 && $(grep -l "checkpoint is written" lab-group/models/*/train.log | wc -l) == 2))
report $? "lab: a signal to the parent and its children (status $status)"
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
mkdir -p linked locked/e1 && echo thesis >locked/e1/lock && ln -s "$PWD/locked" linked/locks
bad "farm: locks behind a link" "linked/locks is a symbolic link. HINT: remove it" last_line \
  "$hrm" arc farm --from arc/evaluation/e1.json --out linked --budget 0.1s --variants 2 --pool 2 "${tiny[@]}"
ok "farm: nothing was written behind it" thesis cat locked/e1/lock
bad "farm: a folder that it did not make" "was not made by a farm. HINT: move it away" \
  last_line "$hrm" arc farm --from arc/evaluation/e2.json --out down/farm --budget 0.1s
ok "farm: and it is still there" "" test -e down/farm/tasks/e2/thesis
bad "adapt: a folder that holds a run" "adapted holds a run already. HINT: choose another --out" \
  "$hrm" adapt --run ra --puzzle arc/evaluation/e1.json --budget 1s --out adapted

# --- bad input
bad "unknown option" "--spped" "$hrm" train --spped 3
bad "no data set" "hrm data sudoku" "$hrm" train
bad "not a data set" "there is no data set in nowhere" "$hrm" train --data nowhere
bad "unknown preset" "did you mean 'sudoku4'" "$hrm" train --preset sudoku44 --data d4
bad "unknown key" "did you mean 'batch_size'" "$hrm" train --data d4 --set batchsize=3
bad "no value" "--set takes key=value" "$hrm" train --data d4 --set batch_size
bad "batch out of range" "batch_size must be in" "$hrm" train --data d4 --run x --set batch_size=0
bad "threads out of range" "--threads must be a whole number in 1..1024" "$hrm" train --data d4 --run x --threads 5000
bad "dtype" "--dtype must be f32, bf16 or f64" "$hrm" train --data d4 --run x --dtype f16
bad "too large for the memory" "of memory" "$hrm" train --preset hrm-27m --data d4 --run x \
  --set batch_size=1000000
ok "nothing half-written" "" test ! -e x
bad "a run that exists" "--resume goes on" "$hrm" train --preset sudoku4 --data d4 --run run --steps 10 "${tiny[@]}"
bad "nothing to resume" "there is no run in y to resume" "$hrm" train --data d4 --run y --resume
bad "resume of another model" "holds a run with H_layers = 1, not 2" "$hrm" train --preset sudoku4 --data d4 --run run \
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
ok "resume from the checkpoint before a damaged one" "step_00000010/model.safetensors is damaged: its checksum is wrong: going on from step 5" \
  "$hrm" train --run hurt --resume
ok "which comes to the same weights" "" cmp {run,hurt}/checkpoints/step_00000010/model.safetensors
for step in hurt/checkpoints/step_*; do printf 'x' >>$step/training.safetensors; done
bad "no checkpoint is whole" "no checkpoint of hurt is whole" "$hrm" train --run hurt --resume
# A disk that is full after 8 KiB.
bash -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' _ \
  "$hrm" train --preset sudoku4 --data d4 --run full --steps 3 "${tiny[@]}" >out 2>err
status=$?
((status == 2)) && tail -n 1 err | grep -q "^hrm: .*cannot write full/"
report $? "full disk (status $status)"
ok "full disk: nothing half-written" "" bash -c '[[ -z $(find full -name "*.tmp" 2>/dev/null) ]]'
mkdir locked && chmod 555 locked
if [[ -w locked ]]; then skip "no permission" "this user may write everywhere"; else
  bad "no permission" "ermission denied" "$hrm" data sudoku --side 4 --count 50 --test 5 --out locked/d
fi

# --- exit status: 0 done, 1 the answer is no, 2 error, 3 a command line that makes no sense
ok "an untrained run" "" "$hrm" train --preset sudoku4 --data d4 --run untrained --steps 1 "${tiny[@]}"
exits 1 "audit: a leak is 1" "$hrm" audit da
exits 2 "audit: an unreadable folder is 2" "$hrm" audit nowhere
exits 3 "an unknown option is 3" "$hrm" eval --run run --nope
exits 2 "a run that is none is 2" "$hrm" eval --run nowhere
exits 1 "solve: a wrong answer is 1" "$hrm" solve 1.34341221434321 --run untrained
exits 2 "solve: no solution is 2" "$hrm" solve 11.............. --run untrained
exits 1 "solve: a wrong answer as JSON is 1" "$hrm" solve 1.34341221434321 --run untrained --json

# --- words that are no commands or options
ok "hrm alone is the help" "hrm data sudoku" "$hrm"
ok "hrm help" "hrm data sudoku" "$hrm" help
ok "hrm help of a command" "--halt-threshold" "$hrm" help eval
ok "hrm help of a command below" "--min-path" "$hrm" help data maze
bad "a misspelt command" "[hrm] there is no command trian. HINT: did you mean train?" "$hrm" trian
bad "a misspelt command below" "[arc] there is no command shwo. HINT: did you mean show?" "$hrm" arc shwo
bad "help of no command" "did you mean train?" "$hrm" help trian
bad "an option of no command" "[hrm] there is no option --nope. HINT: hrm --help" "$hrm" --nope
bad "a misspelt option" "[eval] there is no option --segment. HINT: did you mean --segments?" \
  "$hrm" eval --run run --segment 2
bad "a misspelt option that is required" "there is no option --runs. HINT: did you mean --run?" \
  "$hrm" eval --runs run
bad "a misspelt option with its value" "did you mean --segments?" "$hrm" eval --run run --segmens=2
bad "a word too many" "[eval] takes no further argument 'run'" "$hrm" eval run --run run
bad "a group without a command" "[data] needs a command: sudoku, n_queens, parity, maze, arc, tokens or show. HINT: hrm data --help" \
  "$hrm" data
bad "the help that is named exists" "HINT: hrm data sudoku --help" "$hrm" data sudoku --side 4
bad "an option without its value" "[eval] --run needs a value" "$hrm" eval --run
bad "an option given twice" "[train] --seed may be given once" "$hrm" train --seed 1 --seed 2

# --- numbers out of range, one short line each
range() {  # TEXT COMMAND...
  local text=$1
  shift
  bad "$*" "$text" "$hrm" "$@"
  (($(wc -c <err) < 200)) || report 1 "$*: a short line"
}
range "[train] --steps must be a whole number of at least 1, got '-5'" train --data d4 --steps -5
range "[train] --seed must be a whole number of at least 0, got '-1'" train --data d4 --seed -1
range "--seed must be a whole number" demo --seed x
range "--seed must be a whole number" lab gradients --seed -1
range "--steps must be a whole number" lab gradients --steps -1
range "--count must be a whole number in 1..10000000, got '-5'" data sudoku --count -5 --out z
range "--count must be" data sudoku --count 0 --out z
range "--count must be" data sudoku --count 99999999999 --out z
range "--count must be" data maze --count 99999999999 --out z
range "--test must be" data sudoku --test -1 --out z
range "--seed must be" data sudoku --seed -1 --out z
range "--seed must be" data maze --seed -1 --out z
range "--seed must be" data arc --seed -1 --from arc --out z
range "--side must be 4, 6 or 9, got '5'" data sudoku --side 5 --out z
range "--canvas must be auto or a side" data arc --canvas 12x --from arc --out z
range "--index must be" data show d4 --index -1
range "--budget must be a time such as 60s, 5m or 1h" adapt --run ra --puzzle arc/evaluation/e1.json --budget -5s --out z
range "--budget must be a time such as 60s, 5m or 1h" adapt --run ra --puzzle arc/evaluation/e1.json --budget nan --out z
range "--noise must be a number of at least 0, got 'nan'" eval --run run --noise nan
range "--noise must be" eval --run run --noise inf
range "--halt-threshold must be a number, got 'nan'" eval --run run --halt --halt-threshold nan
range "--max must be a whole number of at least 1, got '0'" eval --run run --max 0
range "--max must be" eval --run run --max -3
range "--segments must be" eval --run run --segments 0
range "--split must be train or test" eval --run run --split tset
range "--select must be q, residual, vote or verify" eval --run run --rollouts 2 --select best
range "--dtype must be f32, bf16 or f64, got 'fp32'" train --data d4 --dtype fp32
range "dtype must be one of f32, bf16, f64, got 'i32'" train --data d4 --set dtype=i32

# --- settings and options that would have no effect
bad "a size of the data" "seq_len is a size of the data set and cannot be set" \
  "$hrm" train --data d4 --run x --set seq_len=5
bad "a size of the data, demo" "vocab_size is a size of the data set" "$hrm" demo --set vocab_size=2
bad "a size of the data, adapt" "seq_len is a size" "$hrm" adapt --run ra \
  --puzzle arc/evaluation/e1.json --set seq_len=5 --out z
bad "heads that do not divide" "num_heads must divide hidden_size 128, got 3" \
  "$hrm" train --data d4 --run x --set num_heads=3
bad "select without rollouts" "--select requires --rollouts" "$hrm" eval --run run --select vote
bad "relabel without rollouts" "--relabel requires --rollouts" "$hrm" eval --run run --relabel
bad "halt-by without halt" "--halt-by requires --halt" "$hrm" eval --run run --halt-by residual
bad "threshold without halt" "--halt-threshold requires --halt" "$hrm" eval --run run --halt-threshold 1
bad "noise in every segment without noise" "requires --noise" "$hrm" eval --run run --noise-every-segment
bad "rollouts that are all the same" "all 3 rollouts would be the same" "$hrm" eval --run run --rollouts 3
bad "a seed of nothing" "--seed is the seed of --noise and --relabel" "$hrm" eval --run run --seed 3
bad "variants of Sudoku" "--variants are of ARC tasks" "$hrm" eval --run run --variants 3
bad "variants of the official form" "all of its variants vote" "$hrm" arc predict --run ro --variants 1
ok "more variants than there are" "note: there are 3 variants of a task; these are taken, not 99" \
  "$hrm" arc predict --run ra --variants 99
bad "gradients of two things" "excludes" "$hrm" lab gradients --run run --preset sudoku4
bad "info of two things" "either a run or a --preset" "$hrm" info run --preset sudoku4
ok "info as JSON" '"key": "num_heads"' "$hrm" info --json
bad "generated puzzles from a file" "--from excludes --givens" \
  "$hrm" data sudoku --from t.csv --givens 4-6 --out z
ok "a preset on other data: mazes" "note: the preset sudoku4 is made for other data (4x4 Sudoku) than dm" \
  "$hrm" train --preset sudoku4 --data dm --run kind1 --steps 1 "${tiny[@]}"
ok "a preset on other data: Sudoku" "note: the preset arc-task" \
  "$hrm" train --preset arc-task --data d4 --run kind2 --steps 1 "${tiny[@]}"
ok "a preset on its own data: no note" "" bash -c \
  "! '$hrm' train --preset sudoku4 --data d4 --run kind3 --steps 1 ${tiny[*]} 2>&1 | grep note:"
bad "resume of nothing" "--resume needs a run. HINT: --run RUN" "$hrm" train --resume

# --- gradient rules: nothing is written before they are read
for rule in one_stpe last_k: last_k:abc last_k:2: damped:x:y neumann; do
  bad "gradient=$rule" "[config] gradient" "$hrm" train --preset sudoku4 --data d4 --run rules --set gradient=$rule
done
ok "gradient rules: nothing written" "" test ! -e rules
ok "the rule spelt right, in the same folder" "run folder rules" "$hrm" train --preset sudoku4 \
  --data d4 --run rules --steps 1 "${tiny[@]}" --set gradient=neumann:2

# --- import: what the weights do not tell, and weights that are no numbers
ok "import: a note" "note: the weights do not tell num_heads=4, H_cycles=2" \
  "$hrm" import w.safetensors --run noted --preset sudoku4 --data d4
ok "import: no note of what is given" "" bash -c "! '$hrm' import w.safetensors --run noted2 \
  --preset sudoku4 --data d4 --set num_heads=2 2>&1 | grep -q num_heads="
# The last four bytes of the file are a weight: make it a NaN.
head -c -4 w.safetensors >nan.safetensors && printf '\000\000\300\177' >>nan.safetensors
bad "import: a weight that is no number" "must hold finite numbers, got nan at element" \
  "$hrm" import nan.safetensors --run nan --preset sudoku4 --data d4 --set num_heads=2
ok "import: nothing written" "" test ! -e nan

# --- solve: files, standard input, text in lines
trained=(--run untrained)
echo "1.34 3412 2143 4321" >grid.txt
printf '\xEF\xBB\xBF1.34\r\n3412\r\n2143\r\n4321\r\n' >bom.txt
exits 1 "solve: a file with a Sudoku" "$hrm" solve grid.txt "${trained[@]}"
exits 1 "solve: blanks in a Sudoku" "$hrm" solve "1.34 3412 2143 4321" "${trained[@]}"
exits 1 "solve: a byte order mark and lines of Windows" "$hrm" solve bom.txt "${trained[@]}"
exits 1 "solve: standard input" bash -c "'$hrm' solve - ${trained[*]} <grid.txt"
exits 1 "solve: a pipe" bash -c "'$hrm' solve <(cat grid.txt) ${trained[*]}"
bad "solve: UTF-16" "is UTF-16 text" bash -c "printf '\xFF\xFE1\0.\0' >wide.txt; '$hrm' solve wide.txt --run run"
bad "solve: no such file" "there is no file missing.txt" "$hrm" solve missing.txt --run run
bad "solve: no such file of 16 letters" "there is no file maze_missing.txt" "$hrm" solve maze_missing.txt --run run
bad "solve: a folder" "is a folder" "$hrm" solve run --run run
bad "solve: an empty file" "is empty" bash -c ": >empty.txt; '$hrm' solve empty.txt --run run"
bad "solve: a long argument" "must have 16, 36 or 81 characters" "$hrm" solve "$(printf '1%.0s' {1..5000})" --run run

# --- data: pipes, quotes, copies, what is left behind
ok "data sudoku from standard input" "2 training and 0 test" bash -c \
  "printf '1.34341221434321\n.234341221434321\n' | '$hrm' data sudoku --side 4 --from - --test 0 --out dpipe"
ok "data maze from standard input" "40 training" bash -c "
  '$hrm' data maze --size 5 --min-path 3 --count 60 --test 20 --out dmc --csv mazes.csv >/dev/null
  '$hrm' data maze --from - --test 20 --out dmpipe <mazes.csv"
ok "data tokens from standard input" "1 training" bash -c "'$hrm' data tokens --from - --out dtpipe <t.csv"
ok "data tokens: quoted fields" '1, "one"' bash -c "
  printf 'inputs,labels,puzzle\n\"1 2\",\"2 1\",\"1, \"\"one\"\"\"\n' >q.csv
  '$hrm' data tokens --from q.csv --out dq >/dev/null && '$hrm' data show dq"
bad "data tokens: an open quote" "q2.csv line 2: a quoted field has no closing quote" bash -c "
  printf 'inputs,labels\n\"1 2,2 1\n' >q2.csv; '$hrm' data tokens --from q2.csv --out z"
bad "errors of standard input name it" "standard input line 2" bash -c \
  "printf 'inputs,labels\n1 2,1\n' | '$hrm' data tokens --from - --out z"
bad "data maze: no folder for the CSV" "there is no folder nodir" "$hrm" data maze --size 5 \
  --min-path 3 --count 40 --test 5 --out z --csv nodir/m.csv
bad "more copies than a data set holds" "a data set holds at most 2147483647 examples" \
  "$hrm" data sudoku --side 4 --count 4000 --test 10 --augment 1000000 --out z 2>/dev/null
ok "copies: their size is said before" "10 copies of each training puzzle: 440 examples, about" \
  "$hrm" data sudoku --side 4 --count 50 --test 10 --augment 10 --out dcopies
bad "test puzzles of too few" "would be needed for the test split of 1000" \
  "$hrm" data sudoku --side 4 --count 300 --out z
bad "test mazes of too few" "would be needed for the test split of 1000" \
  "$hrm" data maze --size 5 --count 300 --out z
ok "nothing is left behind" "" bash -c '[[ ! -e z && ! -e z.tmp ]]'
"$hrm" data sudoku --side 4 --count 30 --test 10 --augment 1000000 --out dkill >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1000); do [[ -e dkill.tmp/new/train/all__inputs.npy ]] && break; sleep 0.02; done
kill -9 $pid
wait $pid 2>/dev/null
[[ -e dkill.tmp && ! -e dkill ]]
report $? "data sudoku killed: nothing but OUT.tmp"
ok "the next call removes it" "" bash -c "
  '$hrm' data sudoku --side 4 --count 50 --test 10 --out dkill && [[ ! -e dkill.tmp ]]"
ok "valid_accuracy is of mazes alone" "" bash -c "! '$hrm' eval --run run --json | grep valid_accuracy"
bad "arc show: data that is not ARC" "d4 is no ARC data set in the compact form" "$hrm" arc show e1 --run run
bad "a folder where none can be" "/proc has 0 B free" "$hrm" train --preset sudoku4 --data d4 --run /proc/x
bad "a damaged arc.json" "dhurt/arc.json is not valid JSON" bash -c "
  cp -r da dhurt; echo '{' >dhurt/arc.json; '$hrm' data show dhurt"
bad "an evaluation.json of other types" "rhurt/evaluation.json: 'count' must be a whole number" bash -c "
  cp -r run rhurt; echo '{\"count\": [1]}' >rhurt/evaluation.json; '$hrm' info rhurt"
bad "a folder in a file" "t.csv: Not a directory" "$hrm" metrics run --tensorboard t.csv
bad "a name that is too long" "[file] cannot use xxx" "$hrm" eval --run "$(printf 'x%.0s' {1..300})"

# --- output that cannot be written is an error
full() {  # COMMAND...
  "$@" >/dev/full 2>err
  local status=$?
  ((status == 2)) && grep -qF "hrm: [write] cannot write to standard output: No space left on device" err
  report $? "output on a full disk: $* (status $status)"
}
if [[ -c /dev/full ]]; then
  full "$hrm" --help
  full "$hrm" --version
  full "$hrm" info
  full "$hrm" info --json
  full "$hrm" info run
  full "$hrm" eval --run run
  full "$hrm" eval --run run --json
  full "$hrm" data show d4 --count 40
  full "$hrm" report run
  full "$hrm" arc predict --run ra --json
  full "$hrm" train --run run --resume
  full "$hrm" lab list
  exits 2 "solve whose answer is lost" bash -c "'$hrm' solve grid.txt --run untrained >/dev/full"
else
  skip "output on a full disk" "there is no /dev/full"
fi
exits 141 "SIGPIPE stays quiet" bash -c "
  (sleep 0.5; exec '$hrm' data show d4 --count 360) | true; exit \${PIPESTATUS[0]}"

# --- hints, followed: a mistake is made, then what its hint says is done, and works
bad "hint: make a data set" 'HINT: `hrm data sudoku --side 4 --out data/sudoku4`' "$hrm" train
ok "followed: make a data set" "" "$hrm" data sudoku --side 4 --out data/sudoku4
ok "followed: train on it" "run folder runs/sudoku4" "$hrm" train --preset sudoku4 \
  --data data/sudoku4 "${tiny[@]}" --steps 1 --set eval_puzzles=16
bad "hint: a folder that is no data set yet" 'HINT: `hrm data sudoku --side 4 --out fresh` makes one' \
  "$hrm" train --data fresh --run x
ok "followed: made" "" "$hrm" data sudoku --side 4 --out fresh --count 20 --test 2
bad "hint: data for another preset" 'HINT: `hrm data maze --size 10 --count 10000 --min-path 9 --unique --out data/maze10`, then' \
  "$hrm" train --preset maze10
bad "hint: a folder of something else" "HINT: give a folder that \`hrm data\` has made" "$hrm" train --data arc --run x
printf '1.34341221434321\n12..34..21..43..\n' >four.txt
bad "hint: another side" "HINT: --side 4" "$hrm" data sudoku --from four.txt --count 1 --test 0 --out hside
ok "followed: another side" "" "$hrm" data sudoku --side 4 --from four.txt --count 1 --test 0 --out hside
bad "hint: a data set that exists" "HINT: --replace writes it anew" \
  "$hrm" data sudoku --side 4 --count 50 --test 5 --out hside
ok "followed: --replace" "" "$hrm" data sudoku --side 4 --count 50 --test 5 --out hside --replace
bad "hint: a folder that holds something" "HINT: choose another --out folder" \
  "$hrm" data sudoku --side 4 --count 50 --test 5 --out arc
bad "hint: too many puzzles asked for" "HINT: a smaller --count, a wider range of --givens" \
  last_line "$hrm" data sudoku --side 4 --givens 16-16 --count 2000 --test 5 --out hgivens
ok "followed: a smaller count" "" "$hrm" data sudoku --side 4 --givens 16-16 --count 100 --test 5 --out hgivens
ok "followed: a wider range" "" "$hrm" data sudoku --side 4 --givens 8-16 --count 2000 --test 5 --out hwider
bad "hint: a rating that none has" "HINT: a lower --min-rating" \
  last_line "$hrm" data sudoku --side 4 --from four.txt --count 1 --min-rating 9 --test 0 --out hrating
ok "followed: a lower rating" "" \
  "$hrm" data sudoku --side 4 --from four.txt --count 1 --min-rating 0 --test 0 --out hrating
bad "hint: too few for the test split" "HINT: more puzzles or a smaller --test" \
  "$hrm" data sudoku --side 4 --count 60 --test 60 --out hsplit
ok "followed: more puzzles" "" "$hrm" data sudoku --side 4 --count 120 --test 60 --out hsplit
bad "hint: mazes too long" "HINT: a smaller --min-path than 24" \
  "$hrm" data maze --size 5 --min-path 24 --count 20 --test 5 --out hmaze
ok "followed: a shorter path" "" "$hrm" data maze --size 5 --min-path 5 --count 20 --test 5 --out hmaze
bad "hint: heads" "HINT: --set num_heads=1" "$hrm" train --preset sudoku4 --data d4 --run hheads \
  "${tiny[@]}" --steps 1 --set num_heads=3
ok "followed: heads" "run folder hheads" "$hrm" train --preset sudoku4 --data d4 --run hheads \
  "${tiny[@]}" --steps 1 --set num_heads=1
ok "rotary angles of rows and columns" "run folder hgrid" "$hrm" train --preset sudoku4 --data d4 --run hgrid \
  "${tiny[@]}" --steps 1 --set rope=grid
bad "hint: odd heads" "HINT: change num_heads or pos_encodings" "$hrm" train --preset sudoku4 \
  --data d4 --run hodd "${tiny[@]}" --steps 1 --set num_heads=16
ok "followed: other positions" "run folder hodd" "$hrm" train --preset sudoku4 --data d4 --run hodd \
  "${tiny[@]}" --steps 1 --set num_heads=16 --set pos_encodings=learned
# No test puzzles, so no best checkpoint.
ok "a run without a best checkpoint" "" "$hrm" train --preset sudoku4 --data dpipe --run hbest "${tiny[@]}" --steps 1
bad "hint: no best checkpoint" "HINT: --checkpoint last" "$hrm" eval --run hbest --checkpoint best --split train
ok "followed: the last one" "2 puzzles" "$hrm" eval --run hbest --checkpoint last --split train
bad "hint: rollouts" "HINT: --noise 0.3" "$hrm" eval --run run --rollouts 2
ok "followed: with noise" "" "$hrm" eval --run run --rollouts 2 --noise 0.3
ok "followed: relabelled" "" "$hrm" eval --run run --rollouts 2 --relabel
bad "hint: import into a run" "HINT: choose another --run folder" \
  "$hrm" import w.safetensors --run run --preset sudoku4 --data d4 --set num_heads=2
bad "hint: adapt into a run" "HINT: choose another --out folder" \
  "$hrm" adapt --run ra --puzzle arc/evaluation/e1.json --out adapted
bad "hint: a task without a source" "HINT: --from FOLDER, --data DIR or --run RUN" "$hrm" arc show e1
ok "followed: a folder" "truth" "$hrm" arc show e1 --from arc
ok "followed: a data set" "truth" "$hrm" arc show e1 --data da
bad "hint: stored variants" "leave out --kinds and --seed" "$hrm" arc predict --run ra --seed 3
ok "followed: another conditioning" "pass@2" "$hrm" arc predict --run rc-task --seed 3 --variants 2
bad "hint: variants that the run does not know" "HINT: fewer --variants" "$hrm" arc predict --run ra --data da6
ok "followed: fewer variants" "pass@2" "$hrm" arc predict --run ra --data da6 --variants 3
bad "hint: a submission of some tasks" "HINT: --from with the tasks that it answers alone" bash -c "
  echo '{\"e1\":[{\"attempt_1\":[[1]]}]}' >s.json; '$hrm' arc score s.json --from arc"
ok "followed: these tasks" "1 test outputs" "$hrm" arc score s.json --from arc/evaluation/e1.json
bad "hint: the labels of an experiment" "HINT: there are loops=1, loops=2, seed=0, seed=1" \
  "$hrm" lab run lab.json --out whole-lab --only foo=1
bad "hint: metrics of nothing" "HINT: --csv FILE" "$hrm" metrics run
# Memory: the advice is followed under the same limit.
memory=(train --preset sudoku4 --data d4 --steps 2 --threads 2 --set eval_puzzles=16 --set eval_every=0)
limited() { (ulimit -v 600000; exec "$@"); }
limited "$hrm" "${memory[@]}" --run hmemory --set batch_size=8192 >out 2>err
fitting=$(sed -n 's/.*HINT: batch_size \([0-9]*\) would fit.*/\1/p' err)
[[ $fitting -ge 64 && $fitting -lt 8192 && ! -e hmemory ]]
report $? "hint: a batch that fits (${fitting:-none})"
ok "followed: that batch" "run folder hmemory" limited "$hrm" "${memory[@]}" --run hmemory --set batch_size="$fitting"

# --- weights without a training to go on from
cp back/best/model.safetensors imported
bad "hint: resume of an imported run" 'HINT: `hrm train --init back --run NEW` starts a new run' \
  last_line "$hrm" train --run back --resume --data d4 --steps 3
ok "it is as it was" "" cmp back/best/model.safetensors imported
ok "followed: a new run from these weights" "run folder fromback" "$hrm" train --init back --run fromback \
  --data d4 --steps 3
ok "with the settings of that run" '"hidden_size": 16' "$hrm" info fromback --json
ok "from a checkpoint by its name" "step_00000010" "$hrm" train --init run --checkpoint step_00000010 \
  --run fromstep --data d4 --steps 1
bad "--checkpoint without --init" "chooses the weights of --init" "$hrm" train --data d4 --run x --checkpoint last
bad "hint: a damaged best" "HINT: --checkpoint last" last_line bash -c "
  cp -r run spoilt && echo x >>spoilt/best/model.safetensors && '$hrm' train --init spoilt --run x"
ok "followed: the last one" "run folder fromlast" "$hrm" train --init spoilt --checkpoint last --run fromlast --steps 1
"$hrm" export run --out rope.safetensors >/dev/null
ok "hint: a length that weights do not tell" "--data DIR tells seq_len" "$hrm" import rope.safetensors \
  --run untold --preset hrm-27m --set num_heads=2
ok "followed: the data set tells it" "Next: hrm eval --run told" "$hrm" import rope.safetensors \
  --run told --preset hrm-27m --set num_heads=2 --data d4
ok "what is next works" "40 puzzles" "$hrm" eval --run told

# --- data on the standard output, and nothing else there
ok "export to standard output" "" bash -c "
  '$hrm' export run --out - >piped.safetensors 2>said && grep -q 'the weights of' said &&
  '$hrm' export run --out /dev/stdout 2>/dev/null | cmp - piped.safetensors &&
  '$hrm' export run --out whole.safetensors && cmp whole.safetensors piped.safetensors"
ok "compare to standard output" "" bash -c "
  '$hrm' compare run begun --out - 2>/dev/null >page.html && [[ \$(head -c 15 page.html) == '<!doctype html>' ]]"
ok "mazes to standard output" "" bash -c "
  '$hrm' data maze --size 6 --min-path 4 --count 5 --test 1 --out dmout --csv - 2>/dev/null >mazes.csv &&
  [[ \$(wc -l <mazes.csv) == 6 ]]"
bad "export over the run itself" "is a part of the run itself" "$hrm" export run --out run/best/model.safetensors

# --- names and settings that cannot be stored, options without effect
bad "a setting that is no text" "gradient must be UTF-8 text" "$hrm" train --data d4 --run x \
  --set $'gradient=\xff'
cp -r d4 $'d\xff'
bad "a data set whose name is no text" "is not UTF-8 text" last_line "$hrm" train --data $'d\xff' --run x "${tiny[@]}"
mkdir $'w\xff' && cp -r d4 $'w\xff/d4'
bad "a data set below a folder whose name is no text" "is not UTF-8 text" last_line bash -c "
  cd \$'w\\xff' && '$hrm' train --preset sudoku4 --data d4 --run x ${tiny[*]}"
ok "a run whose name is no text" "run folder" "$hrm" train --data d4 --run $'r\xff' --steps 1 "${tiny[@]}"
bad "--tf32 on a CPU" "HINT: --device cuda, or leave it out" "$hrm" train --data d4 --run x --tf32
bad "--tune on a CPU" "HINT: --device cuda, or leave it out" "$hrm" train --data d4 --run x --tune
bad "--no-cuda-graph on a CPU" "HINT: --device cuda, or leave it out" "$hrm" train --data d4 --run x --no-cuda-graph
bad "arc show: two sources" "HINT: leave one of them out" "$hrm" arc show e1 --from arc --data da
bad "arc: no hidden commands" "needs a command: predict, score, show or farm" "$hrm" arc
bad "arc predict into a file" "cannot create the folder taken" bash -c "echo >taken; '$hrm' arc predict --run ra --out taken"
bad "metrics of a run that made none" "[metrics] hempty has no metrics yet" bash -c "
  mkdir hempty; cp run/config.json hempty; '$hrm' metrics hempty"
bad "compare: a misspelt label" "compare names 'lops'. HINT: did you mean 'loops'" bash -c "
  sed 's/{\"loops\": 2,/{\"lops\": 2,/' lab.json >lab9.json; '$hrm' lab run lab9.json --out lab9"
ok "which is found before anything is trained" "" test ! -e lab9/models
bad "a chart of no such value" "charts: y names 'exakt'. HINT: there are exact" bash -c "
  sed 's/\"x\": \"loops\"/\"x\": \"loops\", \"y\": \"exakt\"/' lab.json >lab9.json; '$hrm' lab run lab9.json --out lab9"
# --- input without an end
bad "solve: an endless file" "has more than 67108864 bytes" timeout 20 "$hrm" solve /dev/zero --run run
bad "solve: bytes of no puzzle" "cell 0 is '\\x00', must be" bash -c "
  printf '\\0#SG' >nul.txt; '$hrm' solve nul.txt --run rm"
# --- one task that fails keeps nobody from the others
mkdir -p mixed && task 7 8 >mixed/a.json && cp arc/evaluation/e1.json mixed/e1.json
"$hrm" arc farm --from mixed --out failing --budget 1s --variants 2 --pool 2 "${tiny[@]}" --set puzzle_emb_lr=1000 \
  --set puzzle_emb_weight_decay=1000 >out 2>err
status=$?
[[ $status == 2 ]] && tail -n 1 err | grep -q "2 of 2 tasks failed, the first is a: .*not finite"
report $? "farm: tasks that diverge (status $status)"
bad "farm: a checkpoint of nothing" "--checkpoint chooses the weights of --init" "$hrm" arc farm --from mixed \
  --out failing --checkpoint last
mkdir -p keeps/checkpoints/step_00000007
bad "adapt into a folder with checkpoints" "keeps holds a run already" last_line "$hrm" adapt --run ra \
  --puzzle arc/evaluation/e1.json --out keeps
ok "which are kept" "" test -d keeps/checkpoints/step_00000007
bad "lab: a start without a preset" "--init needs --preset here" bash -c "
  sed 's/--preset sudoku4/--init run/' lab.json >lab9.json; '$hrm' lab run lab9.json --out lab9"
bad "lab: a chart of nothing" "charts: x must not be null" bash -c "
  sed 's/\"x\": \"loops\"/\"x\": null/' lab.json >lab9.json; '$hrm' lab run lab9.json --out lab9"
bad "mazes and JSON on one output" "would both go to the standard output" "$hrm" data maze --csv - --json --out x
bad "start without its data set" "HINT: --data DIR says where it is" last_line "$hrm" train --init untold --run x
ok "a file whose name is no text" "parameters" bash -c "
  cp w.safetensors \$'w\\xff.safetensors' && '$hrm' import \$'w\\xff.safetensors' --run ownname --preset sudoku4 \
    --data d4 --set num_heads=2"
# A torn line at the end of metrics.jsonl, behind the checkpoint, is cut and does not stop a run.
cp -r run torn && printf '{"step": 11, "lo\n' >>torn/metrics.jsonl
ok "a torn line behind the checkpoint" "run folder torn" "$hrm" train --run torn --resume --steps 12
# --- half a fit is of no use
"$hrm" adapt --run ra --puzzle arc/evaluation/e1.json --budget 1h --out halffit >out 2>err &
pid=$!
for _ in $(seq 500); do [[ -e halffit/metrics.jsonl ]] && break; sleep 0.02; done
kill -TERM $pid
wait $pid
status=$?
[[ $status == 143 && ! -e halffit ]] && grep -q "nothing is kept of it" err
report $? "adapt that is stopped leaves nothing (status $status)"
bad "hint: a fit that diverged" "HINT: a lower rate may help: --set puzzle_emb_lr=" last_line "$hrm" adapt --run ra \
  --puzzle arc/evaluation/e1.json --budget 1s --out diverged-fit --set puzzle_emb_lr=1000 --set puzzle_emb_weight_decay=1000
ok "followed: a lower rate, in the same folder" "run folder diverged-fit" "$hrm" adapt --run ra \
  --puzzle arc/evaluation/e1.json --budget 1s --out diverged-fit

# --- the messages that nothing above has led to
"$hrm" train --preset arc-task --data da --run rc-bare --steps 1 "${tiny[@]}" \
  --set puzzle_emb_ndim=0 --set puzzle_emb_len=0 >/dev/null 2>&1
bad "shuffle without a table" "needs a puzzle table" "$hrm" arc predict --run rc-bare --shuffle
ok "a data set without tests" "" "$hrm" data arc --from arc/training --canvas auto --variants 3 --out dtrain
bad "predict without tests" "has no evaluated tasks" "$hrm" arc predict --run rc-context --data dtrain
bad "show: a task without tests" "t1 is no evaluated task of dtrain" "$hrm" arc show t1 --run rc-context --data dtrain
bad "show as something else" "must end in .html or .svg, got 'e1.pdf'" "$hrm" arc show e1 --from arc --out e1.pdf
bad "show as PNG" "PNG is not written, got --out e1.png. HINT: a name that ends in .svg" "$hrm" arc show e1 --from arc --out e1.png
bad "adapt to several tasks" "must be a file of one task, got 2" "$hrm" adapt --run ra --puzzle arc/evaluation
mkdir linkedfarm && ln -s "$PWD/outside" linkedfarm/tasks
bad "farm: the tasks are a link" "linkedfarm/tasks is a symbolic link" last_line "$hrm" arc farm --from arc/evaluation \
  --out linkedfarm --budget 1s "${tiny[@]}"
mkdir filefarm && echo >filefarm/tasks
bad "farm: the tasks are a file" "cannot make filefarm/tasks/e" last_line "$hrm" arc farm --from arc/evaluation \
  --out filefarm --budget 1s "${tiny[@]}"
mkdir hollow && cp run/config.json hollow
bad "eval of a run without a checkpoint" "hollow has no checkpoint. HINT: train it first" "$hrm" eval --run hollow
bad "gradients of a run without a checkpoint" "hollow has no checkpoint. HINT: train it first" "$hrm" lab gradients --run hollow
sed -i 's/"data": *"[^"]*"/"data": ""/' back/config.json
bad "eval without a data set" "the run names no data set. HINT: --data DIR" "$hrm" eval --run back
bad "resume without a data set" "back names no data set. HINT: --data DIR" "$hrm" train --run back --resume
bad "eval of a data set that is gone" "HINT: --data DIR says where it is now" bash -c "
  cp -r run gone; sed -i 's#\"data\([a-z_]*\)\": *\"[^\"]*\"#\"data\1\": \"/nowhere\"#' gone/config.json; '$hrm' eval --run gone"
bad "givens" "--givens must be LOW-HIGH within 1-16, got '9'" "$hrm" data sudoku --side 4 --givens 9 --out x
bad "walls" "--walls must be a range such as 0.3-0.5, got 'some'" "$hrm" data maze --walls some --out x
bad "show: beyond the last" "--index must be in 0.." "$hrm" data show d4 --index 400
bad "variants of the training split" "needs the test split" "$hrm" eval --run ra --variants 2 --split train
bad "solve: no way" "no path leads from S to G" bash -c "printf 'S%062dG' 0 | tr 0 '#' >walled.txt; '$hrm' solve walled.txt --run rm"
bad "preset and file" "--preset and --config exclude each other" "$hrm" train --preset sudoku4 \
  --config run/config.json --data d4 --run x
mv $'r\xff' $'run\xff'
bad "a start whose name is no text" "config.json could not hold it" last_line "$hrm" train --init $'run\xff' --run x --data d4
mkdir -p orphan/checkpoints && cp -r run/checkpoints/step_00000010 orphan/checkpoints
bad "checkpoints without a run" "has checkpoints, but no config.json" "$hrm" train --data d4 --run orphan
bad "import of something else" "HINT: is it a checkpoint of HRM or TRM?" bash -c "
  printf '\\x02\\0\\0\\0\\0\\0\\0\\0{}' >empty.safetensors; '$hrm' import empty.safetensors --run x"
bad "tasks larger than the canvas" "3 do not fit a canvas of 1. HINT: a larger --canvas" \
  "$hrm" data arc --from arc --canvas 1 --out x
long=$(printf 'x%.0s' {1..40000})
bad "lab: a command without an end" "characters once '{v}' is replaced" bash -c "
  echo '{\"title\": \"t\", \"data\": {\"s\": \"sudoku --side 4\"}, \"train\": \"{v} {v}\", \"vary\": [{\"name\": \"v\", \"values\": [\"$long\"]}]}' >long2.json
  '$hrm' lab run long2.json"
echo >labfile
bad "lab: the folder is a file" "labfile" "$hrm" lab run lab.json --out labfile
for option in --run --data --init; do
  bad "train $option without a name" "[train] $option must be given, got ''" "$hrm" train "$option" ""
done
bad "export without a name" "[export] --out must be given" "$hrm" export run --out ""
bad "report without a name" "must be given" "$hrm" report ""
bad "eval without a checkpoint's name" "--checkpoint must be given" "$hrm" eval --run run --checkpoint ""
bad "data arc without a name" "[data arc] --from must be given" "$hrm" data arc --from "" --out x
ok "none of these has left a folder" "" test ! -e x

# --- real puzzles

# Files from strangers: nothing crashes, nothing is obeyed, and each is one line -----------------
deep=$(printf '[%.0s' {1..100000})
echo "$deep" >deep.json
bad "data arc of a file nested too deep" "nested more than 64 levels" "$hrm" data arc --from deep.json --out deep
bad "audit of a file nested too deep" "nested more than 64 levels" "$hrm" audit deep.json
bad "arc show of a file nested too deep" "nested more than 64 levels" "$hrm" arc show x --from deep.json
bad "adapt to a file nested too deep" "nested more than 64 levels" "$hrm" adapt --run ra --puzzle deep.json
mkdir -p victim
echo precious >victim/thesis.txt
task='"train":[{"input":[[1]],"output":[[2]]}],"test":[{"input":[[1]],"output":[[2]]}]'
for name in ../victim "$work/victim" "" . ..; do
  echo "{\"$name\":{$task}}" >named.json
  bad "farm of a task named '$name'" "a task cannot be named '$name'" \
    "$hrm" arc farm --from named.json --out farm_named --budget 0.2s --variants 2 --pool 2 --jobs 1
done
[[ -e victim/thesis.txt ]]
report $? "farm removes nothing that a task names"
cp -r d4 d_names
sed 's/"num_puzzle_identifiers":1/"num_puzzle_identifiers":2/' d4/train/dataset.json >d_names/train/dataset.json
printf '["evil \\u001b]0;owned\\u0007", "b"]' >d_names/identifiers.json
ok "data show of a name with an escape" 'evil \x1b]0;owned\x07' "$hrm" data show d_names
! grep -q $'\x1b' out
report $? "data show prints no escape of a file"
echo '{"task": "queens"}' >d_names/task.json
bad "data show of an unknown task" "unknown task 'queens'" "$hrm" data show d_names
bad "an error with an escape in it" 'no\x1b]0;owned' "$hrm" data show $'no\x1b]0;owned'
cp -r run hostile
sed -i 's/"side": 4/"side": 0/' hostile/config.json
bad "report of a Sudoku of side 0" "'side' must be a whole number in 1.." "$hrm" report hostile
cp run/config.json hostile/config.json
sed -i 's/"count": *[0-9]*/"count": "many"/' hostile/evaluation.json
bad "report of a damaged evaluation" "evaluation.json: 'count' must be a whole number" "$hrm" report hostile

# A data file that is cut off under a training: one line that names it, no signal.
cp -r d4 d_cut
"$hrm" train --preset sudoku4 --data d_cut --run cut "${tiny[@]}" --steps 100000 --threads 1 \
  >out 2>err &
training=$!
for _ in {1..100}; do [[ -s cut/metrics.jsonl ]] && break; sleep 0.1; done
: >d_cut/train/all__inputs.npy
wait "$training"
status=$?
((status == 2)) && grep -q '^hrm: \[read\] .*all__inputs.npy was cut off while it was in use' err
report $? "a data file cut off under a training (status $status)"
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

# --- completion: what a shell offers behind the words of a line, the last of which is begun
in_bash() {  # WORDS...
  "$hrm" completion >complete.bash && bash -c '
    source ./complete.bash
    COMP_WORDS=(hrm "$@") COMP_CWORD=$#
    _hrm
    echo "${COMPREPLY[*]}"' bash "$@"
}
in_zsh() {
  "$hrm" completion zsh >complete.zsh && zsh -fc '
    compdef() { }
    source ./complete.zsh
    compadd() { for word in "${@:2}"; do [[ $word == $PREFIX* ]] && print -rn -- "$word "; done; print }
    _files() { print files }
    words=(hrm "$@") CURRENT=$(($# + 1)) PREFIX=${@[-1]}
    _hrm' zsh "$@"
}
in_fish() {
  "$hrm" completion fish >complete.fish && LINE="hrm $*" fish -c '
    source complete.fish
    complete -C "$LINE"'
}
for shell in bash zsh fish; do
  if ! command -v $shell >/dev/null; then
    skip "completion in $shell" "$shell is not installed"
    continue
  fi
  ok "$shell: commands" "solve" in_$shell so
  ok "$shell: commands below one" "sudoku" in_$shell data su
  ok "$shell: options" "--givens" in_$shell data sudoku --giv
  ok "$shell: options of a command alone" "--halt" in_$shell eval --hal
  ok "$shell: values" "lattice-maze30" in_$shell train --preset lattice-m
done
bad "completion of a shell that is not known" "bash" "$hrm" completion tcsh

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
