#!/usr/bin/env bash
# The course: each exercise as a student finds it fails its grade and says what is missing, its
# solution passes, and so does a second one that is written by hand; but with any of the mistakes that
# the second one can make (tests/course) it fails, in the case that is about this mistake.
set -u
cd "$(dirname "$0")/../.." || exit 1
export OMP_NUM_THREADS=1
programs=$(dirname "${HRM:-build/cpu/hrm}")/course
passed=0 failed=0 skipped=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED course $name"
    tail -n 20 "$said" | sed 's/^/    /'
  fi
}
grade() { bash docs/course/grade.sh "docs/course/$1" "$programs/$1/$2" >"$said" 2>&1; }
last_line_says() { tail -n 1 "$said" | grep -qE "$1"; }
# The name of a case that failed stands in the line below that of its file.
case_failed() { grep -qF "TEST CASE:  $1" "$said"; }

# Every case runs and fails, and every function that is missing is named.
fails_as_found() {  # EXERCISE
  local function functions cases
  cases=$(grep -c '^TEST_CASE' "docs/course/$1/grade.cpp")
  mapfile -t functions < <(sed -nE 's/.*not_written_yet\("([a-z_]+)".*/\1/p' "docs/course/$1/exercise.cpp")
  ! grade "$1" exercise || return 1
  grep -qE "test cases: +$cases \| +0 passed" "$said" || return 1
  [[ ${#functions[@]} == $(grep -c '// Your code here\.' "docs/course/$1/exercise.cpp") ]] || return 1
  ((${#functions[@]} > 0)) || return 1
  for function in "${functions[@]}"; do
    grep -q "$function is not written yet" "$said" || return 1
  done
  last_line_says "hint are in docs/course/$1/README.md"
}
passes() {  # EXERCISE PROGRAM
  local real
  grade "$1" "$2" || return 1
  last_line_says '^Passed. Now read the real file, ' || return 1
  real=$(tail -n 1 "$said" | sed -E 's/.*the real file, ([^;]*);.*/\1/')
  [[ -f $real ]] || return 1
  [[ $1 == 8_* ]] || last_line_says "next: make exercise N=$((${1%%_*} + 1))\$"
}
# Status 1 is that of a grade with failures; a crash has another one.
is_noticed() {  # EXERCISE MISTAKE CASE
  MISTAKE=$2 timeout 60 "$programs/$1/mistake" --no-colors=true >"$said" 2>&1
  (($? == 1)) && case_failed "$3"
}
# An exercise that somebody is at work on cannot be tested as it was found. Without git all are tested.
is_edited() {  # EXERCISE
  local file=docs/course/$1/exercise.cpp
  git ls-files --error-unmatch "$file" >/dev/null 2>&1 && ! git diff --quiet HEAD -- "$file"
}

# Exercise, mistake, and the case that must notice it.
mistakes() {
  cat <<'TABLE'
1_broadcast_add|flush_left|shape: dimensions are missing on the left, not on the right
1_broadcast_add|no_error|shape: sizes that do not fit are an error
1_broadcast_add|shape_of_the_sum|gradient: it has the shape of the operand, not that of the sum
1_broadcast_add|last_instead_of_sum|gradient: it is summed over a dimension of 1 that was repeated
2_softmax|no_maximum|forward: large numbers do not overflow
2_softmax|maximum_of_all_rows|forward: a row far below the others is a row like any other
2_softmax|alone|backward: the gradient of a row adds up to 0
3_rms_norm|takes_the_mean_away|forward: the mean is not taken away first (that is LayerNorm)
3_rms_norm|sum_of_squares|forward: by hand, the root of the mean of the squares is 5
3_rms_norm|eps_behind_the_root|forward: eps is added below the root
3_rms_norm|root_is_constant|backward: the root depends on x, too
4_blocked_matmul|no_tiles|memory: A and B are read once for each tile of C that needs them
4_blocked_matmul|whole_tiles_only|edges: sizes that are no multiple of the tile
4_blocked_matmul|past_the_edge|edges: sizes that are no multiple of the tile
4_blocked_matmul|last_tile_instead_of_sum|product: several tiles along the inner dimension add up
4_blocked_matmul|adds_up_in_slow_memory|memory: C is written once and never read
5_engine_heap|first_come_first_served|a node waits for all of its users, also for one that is far away
5_engine_heap|place_in_the_graph|the sequence number decides, not the place in the graph
5_engine_heap|once_for_each_path|a node that many paths lead to is visited once
5_engine_heap|last_instead_of_sum|a node that is used twice adds up what both users give it
5_engine_heap|visits_the_whole_graph|what does not lead to the output is not visited
6_one_step_gradient|adds_steps_only|numbers: the full gradient agrees with finite differences
6_one_step_gradient|first_step|numbers: the one-step gradient is the last step's share alone
6_one_step_gradient|recorded_updates_only|model: the values are those of running all updates
6_one_step_gradient|records_one|model: only the last two updates are recorded
6_one_step_gradient|records_all|model: no gradient reaches the state at the beginning
6_one_step_gradient|detaches_the_end|model: the weights of both levels have the gradient of their last update
7_halting|compares_with_zero|halts: the two are compared with each other, not with 0
7_halting|halts_early_in_evaluation|halts: in evaluation at max_steps only
7_halting|never_explores|halts: a puzzle that explores does not stop before min_steps
7_halting|never_starts_anew|steps: the next segment of the same puzzle, or the first of a new one
7_halting|counts_padding|halt target: a position without a label does not count
7_halting|goes_on_behind_the_end|continue target: at max_steps nothing is left but stopping
7_halting|no_sigmoid|continue target: the better of stopping and going on, as a probability
8_training_loop|no_zero_grad|train: so are five steps, each with a gradient of its own (zero_grad)
8_training_loop|step_before_backward|train: one step is what gradient descent by hand gives
8_training_loop|zero_grad_before_step|train: the loss falls, and points that were never seen are told apart
8_training_loop|one_epoch|train: it goes on with the next epoch when the data are through
8_training_loop|leaves_a_gradient|train: no gradient is left over at the end
8_training_loop|with_dropout|accuracy: dropout is off meanwhile
8_training_loop|stays_in_evaluation|accuracy: the network is in training again afterwards
8_training_loop|records|accuracy: autograd records nothing meanwhile
TABLE
}

exercises=(docs/course/[1-8]_*/)
check "has eight exercises" test ${#exercises[@]} = 8
for folder in "${exercises[@]}"; do
  exercise=$(basename "$folder")
  if is_edited "$exercise"; then
    echo "SKIPPED course $exercise as it was found: its exercise.cpp is being worked on"
    skipped=$((skipped + 1))
  else
    check "$exercise fails as it was found, and says what is missing" fails_as_found "$exercise"
  fi
  check "$exercise: the solution passes" passes "$exercise" solution
  check "$exercise: a solution written by hand passes" passes "$exercise" mistake
done
while IFS='|' read -r exercise mistake case; do
  check "$exercise: $mistake is noticed" is_noticed "$exercise" "$mistake" "$case"
done < <(mistakes)
in_sources() { grep -ohE 'mistake\("[a-z_]+"\)' "$1" | sort -u | cut -d '"' -f 2; }
all_are_listed() {
  diff <(for source in tests/course/*.cpp; do in_sources "$source" | sed "s/^/$(basename "$source" .cpp)|/"; done |
    sort) <(mistakes | cut -d '|' -f 1,2 | sort) >"$said"
}
check "every mistake is in the table" all_are_listed

# The way there.
refuses() {  # [N=...]
  ! make -s exercise "$@" >"$said" 2>&1 && grep -q '[*] make exercise: N must be 1 to 8.*HINT' "$said"
}
check "make exercise without a number" refuses
check "make exercise with a number too large" refuses N=9
check "make exercise with two numbers" refuses 'N=1 2'
if [[ $programs == build/cpu/course ]]; then
  by_make() { make -s exercise N=7 SOLUTION=1 >"$said" 2>&1 && last_line_says '^Passed'; }
  check "make exercise N=7 SOLUTION=1" by_make
fi
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
