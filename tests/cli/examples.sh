#!/usr/bin/env bash
# Every example runs and succeeds.
set -u
folder=$(dirname "${HRM:-build/cpu/hrm}")/examples
passed=0 failed=0
for program in "$folder"/*; do
  if "$program" >/dev/null; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED $program"
  fi
done
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
