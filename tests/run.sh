#!/usr/bin/env bash
# Runs every test program of a build tree and adds up what they counted: `tests/run.sh build/cpu`.
# The last line is `N passed, N failed, N skipped`; the exit status is 0 only if none failed.
set -u
build=${1:?usage: tests/run.sh BUILD_FOLDER}
reference=${REFERENCE_DIR:-../shared/reference}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

# Adds the counts of the log's last line. A program that failed without counting a failure
# (a crash, say) is one failure.
add_last_line() {  # NAME STATUS
  if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    local f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
    add "${BASH_REMATCH[1]}" "$f" "$s"
    if (($2 == 0 || f > 0 || (s > 0 && $2 < 126))); then return; fi
  fi
  echo "FAILED $1: ended with status $2 and without a matching count"
  add 0 1 0
}

echo "== unit tests"
"$build/tests/unit" --no-colors=true 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
summary='test cases: *([0-9]+) *\| *([0-9]+) passed *\| *([0-9]+) failed'
if [[ $(grep 'test cases:' "$log") =~ $summary ]]; then
  f=${BASH_REMATCH[3]}
  s=$(grep -c '^SKIPPED ' "$log")
  add $((BASH_REMATCH[2] - s)) "$f" "$s"  # doctest counts a skipped test case as passed
  if ((status != 0 && f == 0)); then add 0 1 0; fi
else
  echo "FAILED unit: ended with status $status before its summary"
  add 0 1 0
fi

echo "== parity with the reference implementations"
fixtures=()
for family in ops hrm_train hrm_eval trm_train init gradients; do
  if [[ -d $reference/$family ]]; then
    fixtures+=("$reference/$family")
  elif [[ -d tests/fixtures/$family ]]; then  # the small families are part of the project
    fixtures+=("tests/fixtures/$family")
  else
    echo "SKIPPED parity $family: no folder $reference/$family (set REFERENCE_DIR)"
    add 0 0 1
  fi
done
if ((${#fixtures[@]})); then
  "$build/tests/parity" "${fixtures[@]}" 2>&1 | tee "$log"
  add_last_line parity "${PIPESTATUS[0]}"
fi

for script in tests/cli/*.sh; do
  [[ -e $script ]] || continue
  echo "== $script"
  HRM=$build/hrm bash "$script" 2>&1 </dev/null | tee "$log"
  add_last_line "$script" "${PIPESTATUS[0]}"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
