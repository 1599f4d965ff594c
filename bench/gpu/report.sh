#!/usr/bin/env bash
# `make gpu-report`, on a machine with an NVIDIA GPU: builds for it, runs every test on it, measures,
# and writes REPORT.md and report.jsonl. Every stage has a time limit, a stage that fails does not
# stop the others, and what was measured is in the files as it comes.
#
#   bash bench/gpu/report.sh [STAGE...]     build test check measure pytorch (all of them)
#
#   OUT=FOLDER    results (docs/gpu); stages that are named add to what is there
#   BUDGET=540    seconds for all stages together; what does not fit is not started
#   KIT=FOLDER    what make gpu-kit has made elsewhere: programs, headers, recorded numbers
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${OUT_DIR:-${OUT:-docs/gpu}}
budget=${BUDGET:-540}
kit=${KIT:-}
build=build/cuda
python=${PYTHON:-python3}
stages=(build test check measure pytorch)

for name in "$@"; do
  if [[ " ${stages[*]} " != *" $name "* ]]; then
    echo "gpu-report: a stage must be one of ${stages[*]}, got '$name'" >&2
    exit 2
  fi
done
if [[ -n $kit && ! -d $kit/bin ]]; then
  echo "gpu-report: KIT=$kit has no folder bin. HINT: make one with make gpu-kit" >&2
  exit 2
fi
if ! gpu=$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>/dev/null); then
  echo 'gpu-report: no NVIDIA GPU was found on this machine (nvidia-smi does not answer)' >&2
  exit 1
fi
gpu=$(head -n 1 <<<"$gpu")
arch=$(sed 's/.*, *//; s/\.//' <<<"$gpu")
mkdir -p "$out" || exit 1
report=$out/REPORT.md json=$out/report.jsonl

wanted() { [[ -z $chosen || " $chosen " == *" $1 "* ]]; }
chosen=$*
if [[ -z $chosen || ! -e $report ]]; then
  : >"$json"
  {
    printf '# GPU report\n\nWritten by `make gpu-report` on %s, commit %s.\n\n' \
      "$(date -u +%Y-%m-%d)" "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    printf -- '- GPU, driver, compute capability: %s\n' "$gpu"
    printf -- '- CUDA %s, %d CPU cores\n' \
      "$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p')" "$(nproc)"
  } >"$report"
  printf '{"section": "run", "date": "%s", "gpu": "%s"}\n' "$(date -u +%Y-%m-%d)" "$gpu" >>"$json"
fi

failed=0
stage() {  # SECONDS TITLE COMMAND...
  local limit=$1 title=$2 log started status
  shift 2
  echo "== $title"
  if ((SECONDS + 5 > budget)); then
    echo "SKIPPED $title: the budget of $budget s is used up (BUDGET=1800 gives more)" |
      tee >(sed 's/^/\n/' >>"$report")
    failed=$((failed + 1))
    return
  fi
  ((limit < budget - SECONDS)) || limit=$((budget - SECONDS))
  log=$(mktemp)
  started=$SECONDS
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
skipped() {  # TITLE WHY
  echo "SKIPPED $1: $2"
  printf '\n## %s\n\nSKIPPED: %s\n' "$1" "$2" >>"$report"
}

# Clock and power while it works.
nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu --format=csv,noheader -l 5 \
  >>"$out/clocks.csv" 2>/dev/null &
watcher=$!
trap 'kill $watcher 2>/dev/null' EXIT

# The programs: the kit's, if they run here, or those of this tree.
programs=(hrm devices parity gpu)
where=("$build/hrm" "$build/tests/devices" "$build/tests/parity" "$build/bench/gpu")
if [[ -n $kit ]]; then
  # cuBLASLt may be anywhere, with PyTorch for instance, and in several versions.
  runs=
  for library in "" $(find / /usr/local /opt /usr/lib -xdev -name 'libcublasLt.so.1[2-9]' 2>/dev/null); do
    path=${library:+${library%/*}:}${LD_LIBRARY_PATH:-}
    if LD_LIBRARY_PATH=$path "$kit/bin/hrm" --help >/dev/null 2>&1; then
      runs=yes
      export LD_LIBRARY_PATH=$path
      break
    fi
  done
  if [[ $runs ]]; then
    for i in "${!programs[@]}"; do where[i]=$kit/bin/${programs[i]}; done
  else
    echo "the programs of $kit do not run here; building"
    # Where the packages of .ci/deps are missing, the kit has the headers.
    export CPLUS_INCLUDE_PATH=$kit/include${CPLUS_INCLUDE_PATH:+:$CPLUS_INCLUDE_PATH}
  fi
  [[ -n ${REFERENCE_DIR:-} || ! -d $kit/reference ]] || export REFERENCE_DIR=$kit/reference
fi
devices=${where[1]} parity=${where[2]} bench=${where[3]}

if wanted build; then
  if [[ ${where[0]} == "$build/hrm" ]]; then
    # A make that is called by make would inherit its -j, without the jobs.
    stage 240 'Build' env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
      make -s -j"$(nproc)" CUDA=1 CUDA_ARCHS="$arch" STATIC=fmt hrm devices parity gpu-bench
  else
    skipped 'Build' "the programs of $kit run here"
  fi
fi

if wanted test; then
  stage 120 'Tests on the GPU' "$devices" --no-colors=true --test-case='*cuda*,*every device*'
  fixtures=()
  reference=${REFERENCE_DIR:-../shared/reference}
  for family in ops hrm_train hrm_eval trm_train gradients; do
    if [[ -d $reference/$family ]]; then
      fixtures+=("$reference/$family")
    elif [[ -d tests/fixtures/$family ]]; then
      fixtures+=("tests/fixtures/$family")
    else
      skipped "Parity of $family" "no folder $reference/$family (set REFERENCE_DIR)"
    fi
  done
  # What agrees is not shown; the status is the program's.
  stage 90 'Parity on the GPU' bash -o pipefail -c '"$@" | sed "/^ok/d"' parity \
    "$parity" --cuda "${fixtures[@]}"
fi

if wanted check; then
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      stage 60 "compute-sanitizer $tool" compute-sanitizer --tool $tool --error-exitcode 1 \
        "$devices" --no-colors=true \
        --test-case='cuda: attention*,cuda: rms_norm*,cuda: embedding*,cuda: halting*,cuda: puzzle*'
    done
  else
    skipped 'compute-sanitizer' 'it is not installed here'
  fi
fi

if wanted measure; then
  for section in ceilings kernels step gemm; do
    stage 75 "Measured: $section" "$bench" --json "$json" $section
  done
fi

if wanted pytorch; then
  if "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    stage 170 'The same step in PyTorch' env PYTHONUNBUFFERED=1 "$python" bench/pytorch_hrm.py \
      --gpu --batch 768 --json "$json"
  else
    skipped 'The same step in PyTorch' "$python has no torch that sees the GPU"
  fi
fi

echo "report: $report, $json; $failed stages failed or were not started"
((failed == 0))
