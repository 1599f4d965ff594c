#!/usr/bin/env bash
# The example compressarc end to end: what it writes, resuming, and bad input. HRM names the program
# beside whose folder of examples it lies.
set -u
source "$(dirname "$0")/../support/report.sh"
hrm=$(realpath "${HRM:-build/cpu/hrm}")
compress=$(dirname "$hrm")/examples/compressarc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0
if [[ ! -x $compress ]]; then
  echo "SKIPPED compressarc: this build has no examples. HINT: make examples"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi

ok() {  # NAME TEXT COMMAND...
  "${@:3}" >out 2>err && grep -qF -- "$2" out err
  report $? "$1"
}
bad() {  # NAME TEXT COMMAND...: one line, a status above 0
  "${@:3}" >out 2>err
  local status=$?
  ((status != 0 && status < 126)) && [[ $(grep -vc '^compressarc  ' err) == 1 && ! -s out ]] &&
    grep -qF -- "$2" err
  report $? "$1 (status $status)"
}
same() {  # NAME FILE FILE
  cmp -s "$2" "$3"
  report $? "$1"
}

# Runs a command for some seconds, then sends it the signal; its status is what it ends with.
interrupted() {  # SIGNAL SECONDS COMMAND...
  "${@:3}" >out 2>err &
  sleep "$2"
  kill "-$1" $!
  wait $! 2>/dev/null
}

mkdir -p tasks/evaluation
pair() { echo "{\"input\": $1, \"output\": $2}"; }
task() {  # TRAIN TEST
  echo "{\"train\": [$1], \"test\": [$2]}"
}
a=$(pair '[[1, 0], [0, 0]]' '[[2, 0], [0, 0]]')
b=$(pair '[[0, 1], [0, 1]]' '[[0, 2], [0, 2]]')
task "$a, $b" "$(pair '[[0, 0], [1, 1]]' '[[0, 0], [2, 2]]')" >tasks/evaluation/aaaa0001.json
task "$b, $a" '{"input": [[1, 1], [0, 0]]}' >tasks/evaluation/aaaa0002.json

ok "a task, and its answers" "attempt 2" "$compress" tasks/evaluation/aaaa0001.json --steps 60 --out one
ok "its submission" "attempt_1" cat one/submission.json
ok "its curve" '"step":50' cat one/solution.jsonl
ok "its page" "attempt 1 (" cat one/pages/aaaa0001.html
ok "one of them, drawn" "submission.json" "$compress" tasks --draw 1 --steps 3 --out drawn
[[ $(grep -o 'aaaa000.' drawn/submission.json | sort -u | wc -l) == 1 ]]
report $? "one alone is handed in"
bad "more than there are" "--draw 3: there are 2 tasks" "$compress" tasks --draw 3 --out no
ok "arc score reads it" "pass@2" "$hrm" arc score one/submission.json --from tasks/evaluation/aaaa0001.json
ok "a folder, in shards" "1 tasks predicted" "$compress" tasks --steps 3 --out all --shard 2/2
ok "the other shard" "aaaa0002" cat all/submission.json
ok "all of it" "1 tasks, 1 test" "$compress" tasks --steps 3 --out all --jobs 2
ok "both are handed in" "aaaa0001" cat all/submission.json

# Every 50 steps the curve holds the costs with all their digits, so equal curves are equal bits.
one=tasks/evaluation/aaaa0001.json
ok "100 steps" "" "$compress" $one --steps 100 --out whole
ok "its first steps" "" "$compress" $one --steps 70 --out parts
ok "resumed" "" "$compress" $one --steps 100 --out parts
same "resumed: the same bits" {whole,parts}/solution.jsonl
rm parts/tasks/aaaa0001/result.json
ok "without its result" "" "$compress" $one --steps 100 --out parts
same "without its result: the same bits" {whole,parts}/solution.jsonl
interrupted KILL 1 "$compress" $one --steps 100000 --out parts
ok "killed" "" "$compress" $one --steps 100 --out parts
same "killed: the same bits" {whole,parts}/solution.jsonl
interrupted INT 2 "$compress" $one --steps 100000 --out stopped
(($? == 130)) && grep -qF "the same command goes on" err
report $? "stopped by Ctrl-C"
[[ -s stopped/tasks/aaaa0001/state.safetensors && ! -e stopped/submission.json ]]
report $? "its state is kept"
ok "resumed behind Ctrl-C" "" "$compress" $one --steps 100 --out stopped
[[ $(head -n 1 whole/solution.jsonl) == "$(head -n 1 stopped/solution.jsonl)" ]]
report $? "resumed behind Ctrl-C: the same bits"
# Large enough for threads to share the work of an operation.
row='[0, 1, 0, 2, 0, 1]'
square=[$(printf "$row, %.0s" {1..5})$row]
task "$(pair "$square" "$square"), $(pair "$square" "$square")" "{\"input\": $square}" >large.json
ok "one thread" "" env OMP_NUM_THREADS=1 "$compress" large.json --steps 50 --out thread
ok "three threads" "" env OMP_NUM_THREADS=3 "$compress" large.json --steps 50 --out threads
same "threads: the same bits" {thread,threads}/solution.jsonl
ok "side by side" "" "$compress" tasks --steps 50 --out jobs2 --jobs 2
ok "one by one" "" "$compress" tasks --steps 50 --out jobs1 --jobs 1
same "side by side: the same bits" jobs{1,2}/solution.jsonl
ok "a budget" "solved at pass@2" "$compress" $one --budget 1s --out budget
ok "a shard without a task" "0 tasks" "$compress" $one --shard 2/2 --out empty
"$compress" $one --steps 100000 --out shared >/dev/null 2>&1 &
child=$!
sleep 1
interrupted INT 1 "$compress" $one --steps 100000 --out shared
(($? == 130))
report $? "Ctrl-C while another process has the folder"
kill -INT $child
wait $child

bad "no tasks" "tasks" "$compress"
bad "no such file" "missing.json" "$compress" missing.json --out no
bad "no such option" "--step" "$compress" tasks --stepp 3
bad "no steps" "--steps" "$compress" tasks --steps 0
bad "no such task" "aaaa0009" "$compress" tasks --task aaaa0009 --out no
task "$a" "$b" >lonely.json
ok "one demonstration alone" "task lonely has one demonstration" "$compress" lonely.json --steps 2 --out lonely
echo '{"train": [' >broken.json
bad "damaged" "broken.json" "$compress" broken.json --out no
task '' "$a" >none.json
bad "no demonstration" "none" "$compress" none.json --out no
task "$a" '' >none.json
bad "no test" "none" "$compress" none.json --out no
row=$(printf '0,%.0s' {1..31})
task "$(pair "[[${row%,}]]" '[[0]]')" "$a" >wide.json
bad "31 columns" "30" "$compress" wide.json --out no
[[ ! -e no ]]
report $? "nothing is written for them"
task "$(pair '[[0]]' '[[0]]')" "$a" >black.json
sed -i 's/1/0/g' black.json
bad "nothing but black" "no colour but black" "$compress" black.json --out no
[[ ! -e no ]]
report $? "nothing is written for it"
bad "another seed" "with another seed. HINT: choose another --out" "$compress" $one --steps 101 --seed 1 \
  --out whole
# One task that cannot go on leaves the other alone.
truncate -s 1000 jobs1/tasks/aaaa0001/state.safetensors
"$compress" tasks --steps 51 --out jobs1 >out 2>err
(($? == 2)) && grep -qF "1 of 2 tasks failed; the first: " err && grep -qF aaaa0002 jobs1/submission.json
report $? "a damaged state"
grep -qF "HINT: remove the folder" err
report $? "its hint"
rm -r jobs1/tasks/aaaa0001
ok "its hint works" "" "$compress" tasks --steps 51 --out jobs1
state=thread/tasks/large/state.safetensors
sed -i 's/"steps":50/"steps":-1/' $state
bad "steps that cannot be" "steps" "$compress" large.json --steps 51 --out thread
sed -i 's/"steps":-1/"steps":50/; s/"total":-[0-9]/"total":xx/' $state
bad "a total that is none" "large" "$compress" large.json --steps 51 --out thread
sed -i 's/"total":xx/"total":-1/; s/"history":\[{/"history":\[5,{/' $state
bad "a history that is none" "state.safetensors" "$compress" large.json --steps 51 --out thread
# A page is no reason for a task to fail.
rm -rf one/pages && touch one/pages
ok "no page" "no page of aaaa0001" "$compress" tasks/evaluation/aaaa0001.json --steps 61 --out one
ok "its submission all the same" "attempt_1" cat one/submission.json
# What another process left behind for a task keeps nobody from the others.
sed -i 's/"step":50/"step":51/' jobs2/tasks/aaaa0001/result.json
"$compress" tasks --steps 50 --out jobs2 --shard 2/2 >out 2>err
(($? == 2)) && grep -qF "1 of 2 tasks failed; the first: " err && grep -qF aaaa0002 jobs2/submission.json
report $? "a damaged result of another shard"
echo '{"best": 3}' >jobs2/tasks/aaaa0001/result.json
ok "a damaged result is written again" "" "$compress" tasks --steps 50 --out jobs2
mkdir -p linked/tasks/aaaa0001
ln -s ../../../elsewhere linked/tasks/aaaa0001/state.safetensors
bad "a link in the folder" "symbolic link" "$compress" $one --steps 1 --out linked
[[ ! -e elsewhere ]]
report $? "the link is not followed"
touch file
bad "no folder to write to" "file" "$compress" tasks --steps 1 --out file

echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
