#!/usr/bin/env bash
# The project's pages in a headless Chromium: `tests/pages/run.sh build/cpu build/wasm`. The models of
# the playground are trained for seconds only. The last line has the counts.
set -u
build=$1 wasm=$2
node=${NODE:-node}
export CHROMIUM=${CHROMIUM:-chromium}
folder=build/pages
passed=0 failed=0
add() {  # LOG STATUS
  if [[ $(tail -n 1 "$1") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    (($2 == 0 || BASH_REMATCH[2] > 0)) && return
  fi
  echo "FAILED: ended with status $2"
  failed=$((failed + 1))
}
cases() {  # NAME ARGUMENT...
  echo "== $1"
  timeout 900 "$node" "tests/pages/$1.mjs" "${@:2}" 2>&1 | tee "$folder/$1.log"
  add "$folder/$1.log" "${PIPESTATUS[0]}"
}

mkdir -p "$folder"
if bash examples/playground/make_page.sh "$build/hrm" "$wasm" "$folder" total_steps=150 eval_every=0 \
  >"$folder/make.log" 2>&1; then
  cases playground "$folder/index.html" "$folder/models" "$build"
  cases reports "$build"
else
  tail -n 5 "$folder/make.log"
  echo "FAILED: the page cannot be made"
  failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0 && passed > 0))
