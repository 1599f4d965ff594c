#!/usr/bin/env bash
# The example compressarc end to end: what it writes, resuming, and bad input. HRM names the program
# beside whose folder of examples it lies.
set -u
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

report() {  # STATUS NAME
  if (($1 == 0)); then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $2"
    sed 's/^/    /' out err 2>/dev/null | tail -n 12
  fi
}
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
ok "arc score reads it" "pass@2" "$hrm" arc score one/submission.json --from tasks/evaluation/aaaa0001.json
ok "a folder, in shards" "1 tasks predicted" "$compress" tasks --steps 3 --out all --shard 2/2
ok "the other shard" "aaaa0002" cat all/submission.json
ok "all of it" "1 tasks, 1 test" "$compress" tasks --steps 3 --out all --jobs 2
ok "both are handed in" "aaaa0001" cat all/submission.json

# Stopped, killed, with other threads: the same bits.
ok "its first steps" "" "$compress" tasks/evaluation/aaaa0001.json --steps 20 --out two
ok "resumed" "" "$compress" tasks/evaluation/aaaa0001.json --steps 60 --out two
same "resumed: the same bits" {one,two}/tasks/aaaa0001/state.safetensors
same "resumed: the same curve" {one,two}/solution.jsonl
ok "threads" "" env OMP_NUM_THREADS=3 "$compress" tasks/evaluation/aaaa0001.json --steps 60 --out three
same "threads: the same bits" {one,three}/tasks/aaaa0001/state.safetensors
"$compress" tasks/evaluation/aaaa0001.json --steps 1000000 --out four >out 2>err &
child=$!
sleep 2
kill -INT $child
wait $child
(($? == 130)) && grep -qF "the same command goes on" err
report $? "stopped by Ctrl-C"
[[ -s four/tasks/aaaa0001/state.safetensors && ! -e four/submission.json ]]
report $? "its state is kept"
ok "a budget" "solved at pass@2" "$compress" tasks/evaluation/aaaa0001.json --budget 1s --steps 1000000 \
  --out five

bad "no tasks" "tasks" "$compress"
bad "no such file" "missing.json" "$compress" missing.json --out no
bad "no such option" "--step" "$compress" tasks --stepp 3
bad "no steps" "--steps" "$compress" tasks --steps 0
bad "no such task" "aaaa0009" "$compress" tasks --task aaaa0009 --out no
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
bad "another seed" "with another seed. HINT: choose another --out" "$compress" \
  tasks/evaluation/aaaa0001.json --steps 61 --seed 1 --out one
truncate -s 1000 two/tasks/aaaa0001/state.safetensors
bad "a damaged state" "state.safetensors" "$compress" tasks/evaluation/aaaa0001.json --steps 61 \
  --out two
echo '{"best": 3}' >three/tasks/aaaa0001/result.json
bad "a damaged result" "result.json" "$compress" tasks/evaluation/aaaa0001.json --steps 61 --out three
touch file
bad "no folder to write to" "file" "$compress" tasks --steps 1 --out file

echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
