#!/usr/bin/env bash
# bench/gpu/report.sh and what it decides, with stand-ins for the GPU's tools and for the programs.
# The last line is `N passed, N failed`.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
passed=0 failed=0

check() {  # DESCRIPTION CONDITION...
  if "${@:2}"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED gpu_report: $1"
    sed 's/^/    /' "$dir/log"
  fi
}
says() { grep -qE -- "$1" "$dir/log"; }
says_not() { ! says "$1"; }
stand_in() {  # PATH TEXT_OF_SCRIPT
  mkdir -p "$(dirname "$1")"
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"
  chmod +x "$1"
}
report() {  # [NAME=VALUE...] [STAGE...]
  local variables=()
  while [[ ${1:-} == *=* ]]; do
    variables+=("$1")
    shift
  done
  env PATH="$dir/tools:$PATH" OUT="$dir/out" PYTHON=false REFERENCE_DIR="$dir/reference" \
    "${variables[@]}" bash bench/gpu/report.sh "$@" >"$dir/log" 2>&1
}

stand_in "$dir/tools/nvidia-smi" 'if [[ $* == *compute_cap* ]]; then echo "Stand-in, 1, 9.0"; fi'
stand_in "$dir/tools/make" 'echo "make $* (MAKEFLAGS=${MAKEFLAGS:-none})"'
stand_in "$dir/tools/compute-sanitizer" 'echo "sanitizer $*"'
for program in hrm devices parity gpu; do
  stand_in "$dir/kit/bin/$program" "echo \"kit's $program \$*\""
done
mkdir -p "$dir/reference/hrm_eval"

report MAKEFLAGS='-j7 --jobserver-auth=3,4' build
check 'the build has its own jobs' says 'make -s -j[0-9]+ CUDA=1 CUDA_ARCHS=90 .*devices.*MAKEFLAGS=none'
check 'results go to OUT' test -s "$dir/out/REPORT.md"

report KIT="$dir/kit"
check 'a kit that runs is not built again' says 'SKIPPED Build: the programs of .*kit run here'
check 'its programs are used' says "kit's devices --no-colors=true --test-case="
check 'parity of what is there' says "kit's parity --cuda .*/hrm_eval"
check 'a family without folder is named' says 'SKIPPED Parity of trm_train: no folder .*reference/trm_train'
check 'all sections are measured' says "kit's gpu --json .*report.jsonl gemm"
check 'no torch is said' says 'SKIPPED The same step in PyTorch'
check 'nothing failed' says '; 0 stages failed'

report KIT="$dir/kit" BUDGET=0 measure
check 'nothing starts beyond the budget' says 'SKIPPED Measured: gemm: the budget of 0 s is used up'
check 'nothing started' says_not "kit's gpu"
check 'stages by name add to the report' grep -q 'Tests on the GPU' "$dir/out/REPORT.md"

stand_in "$dir/kit/bin/parity" 'echo "ok  one"; echo "FAIL two"; exit 1'
report KIT="$dir/kit" test
check 'a failure counts' says 'FAIL two'
check 'what agrees is not shown' says_not '^ok'
check 'and is summed up' says '; 1 stages failed'

stand_in "$dir/kit/bin/hrm" 'exit 127'
report KIT="$dir/kit" build
check 'a kit that does not run is built here' says 'make -s .* hrm devices parity gpu-bench'

report KIT="$dir/nothing"
check 'a folder that is no kit is refused' says "KIT=.*nothing has no folder bin. HINT: "
report tset
check 'an unknown stage is refused' says "a stage must be one of build test check measure pytorch, got 'tset'"
stand_in "$dir/tools/nvidia-smi" 'exit 9'
report
check 'no GPU is said' says 'no NVIDIA GPU was found on this machine'

echo "$passed passed, $failed failed"
((failed == 0))
