#!/usr/bin/env bash
# `make gpu-report`, on a machine with an NVIDIA GPU: builds for it, runs every test on it, measures,
# and writes docs/gpu/REPORT.md and docs/gpu/report.jsonl. Every stage has a time limit, a stage that
# fails does not stop the others, and what was measured is in the files as it comes.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${OUT_DIR:-docs/gpu}
build=build/cuda
python=${PYTHON:-python3}

if ! gpu=$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>/dev/null); then
  echo 'gpu-report: no NVIDIA GPU was found on this machine (nvidia-smi does not answer)' >&2
  exit 1
fi
gpu=$(head -n 1 <<<"$gpu")
arch=$(sed 's/.*, *//; s/\.//' <<<"$gpu")
mkdir -p "$out"
report=$out/REPORT.md json=$out/report.jsonl
: >"$json"
{
  printf '# GPU report\n\nWritten by `make gpu-report` on %s, commit %s.\n\n' \
    "$(date -u +%Y-%m-%d)" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  printf -- '- GPU, driver, compute capability: %s\n' "$gpu"
  printf -- '- CUDA %s, %d CPU cores\n' \
    "$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p')" "$(nproc)"
} >"$report"
printf '{"section": "run", "date": "%s", "gpu": "%s"}\n' "$(date -u +%Y-%m-%d)" "$gpu" >>"$json"

failed=0
stage() {  # SECONDS TITLE COMMAND...
  local limit=$1 title=$2 log started status
  shift 2
  log=$(mktemp)
  started=$SECONDS
  echo "== $title"
  timeout "$limit" "$@" >"$log" 2>&1
  status=$?
  grep -v '^  \(CXX\|CU\|AR\|LINK\) ' "$log" | tail -n 40
  {
    printf '\n## %s\n\n' "$title"
    case $status in
      0) printf 'Done in %d s.' $((SECONDS - started)) ;;
      124) printf 'Stopped after its limit of %d s.' "$limit" ;;
      *) printf '**Failed** (status %d, %d s).' "$status" $((SECONDS - started)) ;;
    esac
    printf '\n\n```\n%s\n```\n' "$(grep -v '^  \(CXX\|CU\|AR\|LINK\) ' "$log" | tail -n 80)"
  } >>"$report"
  ((status == 0)) || failed=$((failed + 1))
  rm -f "$log"
}

# Clock and power while it works.
nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu --format=csv,noheader -l 5 \
  >"$out/clocks.csv" 2>/dev/null &
watcher=$!
trap 'kill $watcher 2>/dev/null' EXIT

stage 240 'Build' make -s CUDA=1 CUDA_ARCHS="$arch" hrm unit parity gpu-bench
stage 90 'Tests on the GPU' "$build/tests/unit" --no-colors=true \
  --test-case='*cuda*,*every device*'
fixtures=()
for family in ops hrm_train hrm_eval trm_train gradients; do
  for folder in "${REFERENCE_DIR:-../shared/reference}/$family" "tests/fixtures/$family"; do
    if [[ -d $folder ]]; then fixtures+=("$folder") && break; fi
  done
done
parity() { "$build/tests/parity" --cuda "${fixtures[@]}" | grep -v '^ok'; }
export -f parity
stage 60 'Parity on the GPU' bash -c "set -o pipefail; build=$build; fixtures=(${fixtures[*]}); parity"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    stage 60 "compute-sanitizer $tool" compute-sanitizer --tool $tool --error-exitcode 1 \
      "$build/tests/unit" --no-colors=true \
      --test-case='cuda: attention*,cuda: rms_norm*,cuda: embedding*,cuda: halting*,cuda: puzzle*'
  done
else
  printf '\n## compute-sanitizer\n\nIt is not installed here.\n' >>"$report"
fi
for section in ceilings kernels step gemm; do
  stage 75 "Measured: $section" "$build/bench/gpu" --json "$json" $section
done
if "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  stage 120 'The same step in PyTorch' "$python" bench/pytorch_hrm.py --gpu --batch 768 \
    --json "$json"
else
  printf '\n## The same step in PyTorch\n\n%s has no torch that sees the GPU.\n' "$python" >>"$report"
fi
echo "report: $report, $json; $failed stages failed"
((failed == 0))
