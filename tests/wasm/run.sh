#!/usr/bin/env bash
# The WebAssembly build under node: its unit tests, and what it computes beside the native program.
# `tests/wasm/run.sh build/wasm build/cpu/tests/trace`. The last line has the counts.
set -u
wasm=$1 native=$2
node=${NODE:-node}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    passed=$((passed + 1))
    echo "ok $name: $(tail -n 1 "$work/said")"
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    tail -n 12 "$work/said"
  fi
}

# Of the file system in WebAssembly, which knows neither pipes nor limits; there are no threads.
no_such='io: what cannot be opened,io: a full disk*,io: what the user names is written to*'
"$node" "$wasm/tests/unit.js" --no-colors=true --test-case-exclude="$no_such" >"$work/unit" 2>&1
status=$?
if [[ $(grep 'test cases:' "$work/unit") =~ \|\ *([0-9]+)\ passed\ *\|\ *([0-9]+)\ failed ]]; then
  skipped=$(grep -c '^SKIPPED ' "$work/unit")
  passed=$((BASH_REMATCH[1] - skipped)) failed=${BASH_REMATCH[2]}
fi
if ((status != 0 || passed == 0)); then
  ((failed)) || failed=1
  cat "$work/unit"
fi

trace="$node $wasm/tests/trace.js"
puzzle=41.2234.3..4..2.
mkdir "$work/native" "$work/wasm"
trains_natively() { "$native" train "$work/native" >"$work/native/losses"; }
trains() { $trace train "$work/wasm" >"$work/wasm/losses"; }
solves() { # PROGRAM MODEL OUT
  $1 solve "$2" $puzzle >"$3"
}
compare() { "$node" tests/wasm/compare.mjs "$@"; }
check "50 steps natively" trains_natively
check "50 steps as WebAssembly" trains
check "the same loss curve" compare "$work/native/losses" "$work/wasm/losses" 1e-3
check "a model solves natively" solves "$native" "$work/native/model.safetensors" "$work/native/answers"
check "the same model as WebAssembly" solves "$trace" "$work/native/model.safetensors" "$work/wasm/answers"
check "the same answers and logits" compare "$work/native/answers" "$work/wasm/answers" 1e-4
check "a model that WebAssembly trained" solves "$native" "$work/wasm/model.safetensors" "$work/native/others"
check "hrm eval reads it" "$(dirname "$native")/../hrm" eval --run "$work/wasm/model.safetensors" \
  --data "$work/wasm/data"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
