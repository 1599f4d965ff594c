#!/usr/bin/env bash
# Unit tests under the sanitizers: address + undefined behaviour with g++, data races with clang++
# (g++'s OpenMP runtime is not instrumented, so its barriers would look like races). The last line
# is `N passed, N failed, N skipped`, one for each sanitizer.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
clang=${CLANGXX:-clang++}

check() {  # NAME BUILD_FOLDER CUDA TEST_PROGRAM [option of it...]
  echo "== $1, $2"
  if make -s SAN="$1" CUDA="$3" "$4" && "$2/tests/$4" --no-colors=true --duration=false "${@:5}"; then
    passed=$((passed + 1))
  else
    echo "FAILED $1 sanitizer"
    failed=$((failed + 1))
  fi
}

# The allocator poisons the blocks that it keeps for reuse, so that use after free shows.
# The out-of-memory test asks for more than the sanitizer allows: it shall refuse, not abort.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
check address build/cpu-address 0 unit
# The emulated CUDA kernels. Every thread is a fiber: to look for uses of a stack after its function
# returned, each would map a fake stack of its own, which takes most of the time.
ASAN_OPTIONS+=:detect_stack_use_after_return=0
check address build/emulate-address emulate devices --test-case='cuda*'

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int main() {
#pragma omp parallel
  {}
}' >"$probe/probe.cpp"
if ! "$clang" -fsanitize=thread -fopenmp "$probe/probe.cpp" -o "$probe/probe" 2>/dev/null; then
  echo "SKIPPED thread sanitizer: needs $clang with OpenMP. HINT: apt-get install clang libomp-dev"
  skipped=1
else
  # Archer tells the sanitizer about OpenMP's barriers; ignore_noninstrumented_modules keeps the
  # inside of the uninstrumented runtime out of the reports.
  export TSAN_OPTIONS="allocator_may_return_null=1:ignore_noninstrumented_modules=1:halt_on_error=1"
  check thread build/cpu-thread 0 unit
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
