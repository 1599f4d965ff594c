#!/usr/bin/env bash
# What the commands answer, for people and for scripts: files of puzzles, answers as files, JSON,
# runs that move. HRM names the program.
set -u
source "$(dirname "$0")/../support/report.sh"
hrm=$(realpath "${HRM:-build/cpu/hrm}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

small=(--set hidden_size=16 --set puzzle_emb_ndim=16 --set num_heads=2 --set H_layers=1
       --set L_layers=1 --set batch_size=8 --set eval_every=0)
# The value of a key in JSON, or how many it has.
value() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$2" | head -n 1; }
count() { grep -o "\"$1\":" "$2" | wc -l; }

ok "data" "training and 20 test" "$hrm" data sudoku --side 4 --count 200 --test 20 --out d4
ok "a run" "run folder runs/a" "$hrm" train --preset sudoku4 --data d4 --run runs/a --steps 3 "${small[@]}"

# --- eval: the answers as a file
ok "eval: JSON lines" "20 puzzles" "$hrm" eval --run runs/a --out p.jsonl
[[ $(wc -l <p.jsonl) == 20 && $(count q_continue p.jsonl) == 20 && $(value example p.jsonl) == 0 ]]
report $? "eval: a line for each puzzle, in order"
ok "eval: CSV" "20 puzzles" "$hrm" eval --run runs/a --out p.csv
[[ $(head -n 1 p.csv) == example,puzzle,answer,solved,segments,q_halt,q_continue && $(wc -l <p.csv) == 21 ]]
report $? "eval: CSV has a head and a line for each puzzle"
[[ $(cut -d, -f 3 p.csv | tail -n +2 | tr -d '"') == "$(sed 's/.*"answer":"\([^"]*\).*/\1/' p.jsonl)" ]]
report $? "eval: the answers are the same in both"
ok "eval: npy" "5 puzzles" "$hrm" eval --run runs/a --max 5 --out p.npy
[[ $(head -c 128 p.npy | tr -d '\0') == *"'shape': (5, 16)"* && $(wc -c <p.npy) == $((128 + 5 * 16 * 4)) ]]
report $? "eval: npy holds the tokens"
# A Sudoku's token is its digit and 1 more.
[[ $(tail -c 320 p.npy | od -An -v -td4 -w64 | awk '{ for (i = 1; i <= NF; ++i) printf "%s", $i < 2 ? "." : $i - 1; print "" }') \
  == "$(head -n 5 p.jsonl | sed 's/.*"answer":"\([^"]*\).*/\1/')" ]]
report $? "eval: the tokens of npy are those answers"
"$hrm" eval --run runs/a --out - >out 2>err
cmp -s out p.jsonl
report $? "eval: - is JSON lines, and nothing else, on the standard output"
[[ $(value exact_accuracy <("$hrm" eval --run runs/a --json 2>/dev/null)) == "$(
  awk -v n="$(grep -c '"solved":true' p.jsonl)" 'BEGIN { print n / 20 (n % 20 ? "" : ".0") }')" ]]
report $? "eval: as many are solved as the summary says"
mkfifo pipe
cat pipe >piped & "$hrm" eval --run runs/a --out pipe.jsonl >/dev/null 2>&1
ln -sf pipe fifo.jsonl && "$hrm" eval --run runs/a --out fifo.jsonl >/dev/null 2>err
wait
[[ -p pipe && -L fifo.jsonl ]] && cmp -s piped p.jsonl
report $? "eval: a pipe is written to, not replaced"
bad "eval: another ending" "must end in .jsonl, .csv or .npy, got 'p.txt'" "$hrm" eval --run runs/a --out p.txt
bad "eval: no such folder" "there is no folder nowhere" "$hrm" eval --run runs/a --out nowhere/p.csv
bad "eval: two outputs" "--json and --out would both go to the standard output" "$hrm" eval --run runs/a --json --out -
bad "eval: rollouts" "--out writes one answer a puzzle" "$hrm" eval --run runs/a --rollouts 2 --noise 0.1 --out x.csv

# --- solve: a file of puzzles, in every form
sed 's/.*"puzzle":"\([^"]*\).*/\1/' p.jsonl >puzzles.txt
sed 's/.*"answer":"\([^"]*\).*/\1/' p.jsonl >answers.txt
solves() {  # NAME COMMAND...: the answers are those of eval
  local name=$1
  shift
  "$@" >out 2>err
  local status=$?
  ((status < 2)) && [[ $(cut -d ' ' -f 1 out) == "$(<answers.txt)" ]] && grep -q "of 20 puzzles solved" err
  report $? "$name (status $status)"
}
solves "solve: a puzzle a line" "$hrm" solve puzzles.txt --run runs/a
solves "solve: the standard input" bash -c "'$hrm' solve - --run runs/a <puzzles.txt"
solves "solve: comments, empty lines and lines of Windows" bash -c "
  { echo '# twenty'; sed 's/\$/\r/; 5s/^/\r\n/' puzzles.txt; } | '$hrm' solve - --run runs/a"
solves "solve: grids with empty lines between them" bash -c "
  sed 's/..../&\n/g' puzzles.txt | '$hrm' solve - --run runs/a"
solves "solve: the CSV that eval writes" "$hrm" solve p.csv --run runs/a
solves "solve: CSV in the published form" bash -c "
  { echo source,question,answer,rating; sed 's/.*/x,&,,0/' puzzles.txt; } | '$hrm' solve - --run runs/a"
solved=$(grep -c '"solved":true' p.jsonl)
exits $((solved < 20)) "solve: 1 if one is wrong" "$hrm" solve puzzles.txt --run runs/a
[[ $(grep -c '  solved$' out) == "$solved" && $(grep -c '  not solved$' out) == $((20 - solved)) ]]
report $? "solve: each line says whether it is solved"
"$hrm" solve puzzles.txt --run runs/a --out s.jsonl >out 2>err
cmp -s s.jsonl p.jsonl
report $? "solve: --out writes what eval writes"
"$hrm" solve puzzles.txt --run runs/a --json >many.json 2>err
[[ $(value puzzles many.json) == 20 && $(value solved many.json) == "$solved" && $(count q_halt many.json) == 20 ]]
report $? "solve: many as JSON"
"$hrm" solve "$(head -n 1 puzzles.txt)" --run runs/a --out one.csv >out 2>err
[[ $(tail -n 1 one.csv) == "$(sed -n 2p p.csv)" ]]
report $? "solve: one puzzle into a file"
bad "solve: a wrong puzzle among many" "must have 16, 36 or 81 characters, got 3, in w.txt line 21" bash -c "
  cp puzzles.txt w.txt; echo 123 >>w.txt; '$hrm' solve w.txt --run runs/a"
bad "solve: a puzzle without a solution among many" "in w2.txt line 21" bash -c "
  cp puzzles.txt w2.txt; echo 11.............. >>w2.txt; '$hrm' solve w2.txt --run runs/a"
bad "solve: two kinds" "all puzzles must be of one kind and size" bash -c "
  cp puzzles.txt w3.txt; printf '%0.s.' {1..81} >>w3.txt; '$hrm' solve w3.txt --run runs/a"
bad "solve: too many lines" "lines.txt has more than 1000000 lines" bash -c "
  yes . | head -n 1000002 >lines.txt; timeout 20 '$hrm' solve lines.txt --run runs/a"
bad "solve: many lines of nothing" "a puzzle must have 16, 36 or 81 characters" bash -c "
  yes 12 | head -n 900000 >lines2.txt; timeout 20 '$hrm' solve lines2.txt --run runs/a"
bad "solve: CSV with a column too few" "csv3.csv line 2 must have 2 columns, got 1" bash -c "
  printf 'puzzle,x\n1234\n' >csv3.csv; '$hrm' solve csv3.csv --run runs/a"

# --- solve: what one puzzle shows
puzzle=$(head -n 1 puzzles.txt)
"$hrm" solve "$puzzle" --run runs/a >out 2>err
grep -q " halt [0-9.]*% " out && grep -q " go on [0-9.]*% " out && grep -q "^The model halts when halt is above go on: " out
report $? "solve: both sides of the rule of halting"
(($(COLUMNS=40 "$hrm" solve "$puzzle" --run runs/a | head -n 12 | wc -L) <= 40))
report $? "solve: grids fit into 40 columns"
(($(COLUMNS=300 "$hrm" solve "$puzzle" --run runs/a | wc -L) > 80))
report $? "solve: and fill a wide terminal"
"$hrm" solve "$puzzle" --run runs/a --json >one.json 2>err
"$hrm" solve "$puzzle" --run runs/a --halt >halted 2>err
at=$(value halts_at one.json)
[[ $at == null || $(grep -o 'seg\. [0-9]*' halted | tail -n 1) == "seg. $at" ]]
report $? "solve: --halt stops where halts_at says ($at)"

# --- a model that has learned something: in three seconds it solves some
learned=(--set hidden_size=64 --set num_heads=4 --set H_layers=1 --set L_layers=1 --set puzzle_emb_ndim=0
         --set pos_encodings=learned_and_rope --set rope=grid --set rope_theta=10 --set eval_every=0)
"$hrm" data sudoku --side 4 --count 3000 --test 50 --out d4b >out 2>err
ok "a longer training" "run folder runs/b" "$hrm" train --preset sudoku4 --data d4b --run runs/b --steps 500 "${learned[@]}"
"$hrm" eval --run runs/b --out b.jsonl >out 2>err
grep '"solved":true' b.jsonl | sed 's/.*"puzzle":"\([^"]*\).*/\1/' >solved.txt
[[ -s solved.txt ]]
report $? "it solves some ($(wc -l <solved.txt) of 50)"
exits 0 "solve: 0 if all are solved" "$hrm" solve solved.txt --run runs/b
[[ $(grep -c '  solved$' out) == "$(wc -l <solved.txt)" ]]
report $? "solve: all of these say so"
exits 0 "solve: 0 for one that is solved" "$hrm" solve "$(head -n 1 solved.txt)" --run runs/b
[[ $(tail -n 1 out) == solved ]] && ! grep -q '\[' out
report $? "solve: no cell is marked"

# --- tokens: a task of one's own is predicted
for i in 1 2 3 4 5 6 7 8; do echo "$((i % 4 + 1)) 2 3,3 2 $((i % 4 + 1)),train,reverse"; done >rows
{ echo inputs,labels,split,puzzle; cat rows; sed 's/train/test/' rows | head -n 2; } >t.csv
ok "tokens: data" "8 training" "$hrm" data tokens --from t.csv --out dt
ok "tokens: a run" "runs/t" "$hrm" train --preset sudoku4 --data dt --run runs/t --steps 3 "${small[@]}"
ok "tokens: a puzzle is answered" "segment 1, halt" "$hrm" solve "1 2 3" --run runs/t --name reverse
ok "tokens: numbers with commas" "segment 1, halt" "$hrm" solve 1,2,3 --run runs/t --name reverse
printf '2 2 3\n3 2 3\n' >numbers.txt
"$hrm" solve numbers.txt --run runs/t --name reverse --out t.jsonl >out 2>err
status=$?
"$hrm" eval --run runs/t --out te.jsonl >out 2>err
[[ $status == 0 && $(sed 's/.*"answer":"\([^"]*\).*/\1/' t.jsonl) == "$(sed 's/.*"answer":"\([^"]*\).*/\1/' te.jsonl)" ]]
report $? "tokens: a file of them, answered as the data set is"
grep -q '"puzzle_name":"reverse"' te.jsonl && grep -q '"solved":null' t.jsonl
report $? "tokens: names, and no judgement without rules"
bad "tokens: a puzzle without its name" "HINT: --name NAME says which one" "$hrm" solve "1 2 3" --run runs/t
bad "tokens: an unknown name" "knows no puzzle named 'other'" "$hrm" solve "1 2 3" --run runs/t --name other
bad "tokens: too many" "was trained on 3 tokens" "$hrm" solve "1 2 3 4" --run runs/t --name reverse
bad "tokens: beyond the vocabulary" "the tokens of this model are 0 to 4, got 9" \
  "$hrm" solve "1 2 9" --run runs/t --name reverse
bad "tokens: no numbers" "number 2 must be a whole number of at least 0, got 'x'" "$hrm" solve "1 x 3" --run runs/t --name reverse
bad "tokens: a name elsewhere" "knows no puzzle named 'x'. HINT: leave out --name" "$hrm" solve "$puzzle" --run runs/a --name x

# --- JSON of every command that answers
json() {  # KEY NAME COMMAND...
  local key=$1 name=$2
  shift 2
  "$@" >out 2>err && [[ $(head -c 1 out) == [[{] ]] && grep -q "\"$key\"" out &&
    { ! command -v python3 >/dev/null || python3 -m json.tool out >/dev/null; }
  report $? "JSON: $name"
}
json total_steps train "$hrm" train --preset sudoku4 --data d4 --run runs/j --steps 2 --json "${small[@]}"
json total_steps "a finished run" "$hrm" train --run runs/j --resume --json
json evaluation demo "$hrm" demo --run runs/demo --steps 2 --json "${small[@]}"
json samples_per_second compare "$hrm" compare runs/a runs/j --json --out c.html
json vocab_size "data show" "$hrm" data show d4 --json
json inputs "data show: its examples" "$hrm" data show d4 --json --count 3
(($(count puzzle_id out) == 3))
report $? "JSON: data show has the examples that were asked for"
ok "export" "w.safetensors" "$hrm" export runs/a --out w.safetensors
json parameters import "$hrm" import w.safetensors --run runs/i --preset sudoku4 --data d4 --set num_heads=2 --json
grep -q '"H_cycles": 2' out && ! grep -q num_heads out
report $? "import: JSON says what the weights do not tell"
ok "import: the standard input" "parameters" bash -c "
  '$hrm' import - --run runs/i2 --preset sudoku4 --data d4 --set num_heads=2 <w.safetensors"
ok "import: the same from both" "" cmp runs/i/best/model.safetensors runs/i2/best/model.safetensors
bad "import: a broken input" "standard input" bash -c "
  head -c 100 w.safetensors | '$hrm' import - --run runs/i3 --preset sudoku4"
json models "lab list" "$hrm" lab list --json
json settings info "$hrm" info --json
json checkpoints "info of a run" "$hrm" info runs/a --json

# --- what the program says of itself, and of what it computes
json compiler "info: compiler" "$hrm" info --json
ok "info: commit and compiler" "C++2" bash -c "'$hrm' info | grep '^hrm 0.*, commit '"
HRM_TRACE=1 "$hrm" solve "$puzzle" --run runs/a >out 2>trace
grep -q '^linear  *f32 (1, 17, 48) <- (1, 17, 16) (48, 16)  *[0-9.]* ms  *[0-9]* GFLOP/s  gemm' trace &&
  grep -q '^swiglu .* GB/s' trace && ! grep -q backward trace
report $? "HRM_TRACE: operations of an inference"
HRM_TRACE=1 "$hrm" train --preset sudoku4 --data d4 --run runs/traced --steps 1 "${small[@]}" >out 2>trace
(($(wc -l <trace) < 1000)) && grep -q '^linear backward .* GFLOP/s' trace && grep -q '^attention backward .* GFLOP/s' trace &&
  grep -q '^optimizer step ' trace
report $? "HRM_TRACE: operations of a training step"
HRM_TRACE=0 "$hrm" solve "$puzzle" --run runs/a >out 2>trace
[[ ! -s trace ]]
report $? "HRM_TRACE=0 prints nothing"

# --- runs that move
mkdir moved && mv runs d4 moved/
ok "a moved run finds its data set" "20 puzzles" "$hrm" eval --run moved/runs/a
ok "and says where that is" "note: the data set was in $work/d4; this is the one in" "$hrm" eval --run moved/runs/a
ln -s moved/runs/a linked
ok "also through a link" "20 puzzles" "$hrm" eval --run linked
cd moved/runs || exit 1
ok "also from within" "20 puzzles" "$hrm" eval --run a
ok "and goes on" "run folder a" "$hrm" train --run a --resume --steps 5
ok "a finished run is trained longer" "run folder a" "$hrm" train --run a --resume --steps 8
[[ $(value total_steps a/config.json) == 8 && -d a/checkpoints/step_00000008 ]]
report $? "up to the steps that were asked for"
cd "$work" || exit 1
mv moved/d4 elsewhere
bad "a data set that stayed behind" "HINT: --data DIR says where it is now" "$hrm" eval --run moved/runs/a

# --- ARC: the standard input
mkdir -p arc/evaluation
echo '{"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]], "output": [[4, 3]]}]}' \
  >arc/evaluation/a.json
echo '{"a": [{"attempt_1": [[4, 3]], "attempt_2": [[1]]}]}' >sub.json
json "pass@2" "arc score" "$hrm" arc score sub.json --from arc --json
grep -q '"solved_at_2": "1"' out
report $? "arc score: JSON says what is solved"
ok "arc score: the standard input" "pass@2" bash -c "'$hrm' arc score - --from arc <sub.json"
ok "data arc: the standard input" "1 training and 0 evaluation tasks" bash -c "
  '$hrm' data arc --from - --out darc --variants 2 <arc/evaluation/a.json"
ok "train: settings from the standard input" "run folder runs/c" bash -c "
  '$hrm' train --config - --data elsewhere --run runs/c --steps 2 <moved/runs/a/config.json"
bad "arc farm: each task needs the file" "these cannot all read the standard input" "$hrm" arc farm --from - --out farm
bad "arc score: one input for two" "cannot both be the standard input" "$hrm" arc score - --from -
bad "solve: no puzzle and no file" "there is no file of that name, either" "$hrm" solve nofile --run moved/runs/a
bad "lab: an experiment needs a file" "cannot come from the standard input" "$hrm" lab run -

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
