#!/usr/bin/env bash
# Which HRM_CHECKs of the library and of the command line have failed in no test? Somebody may remove
# such a check, or break its message, and nothing notices. Runs the unit tests and the tests of the
# command line, in a build that notes each failing HRM_CHECK (tests/support/seen_checks.h):
# `tests/unseen_checks.sh BUILD_FOLDER`. Prints file:line of each that was not seen, and the counts.
set -u -o pipefail
build=${1:?usage: tests/unseen_checks.sh BUILD_FOLDER}
HRM_SEEN_CHECKS=$(mktemp)
export HRM_SEEN_CHECKS
trap 'rm -f "$HRM_SEEN_CHECKS"' EXIT
"$build/tests/unit" --no-colors=true --minimal=true || exit 1
HRM=$build/hrm bash tests/cli/commands.sh | tail -n 1 || exit 1
find tensor autograd nn hrm \( -name '*.h' -o -name '*.cpp' \) | sort |
  xargs grep -nH '\bHRM_CHECK(' | cut -d: -f1,2 |
  awk -F: 'NR == FNR { seen[$0]; next }
           { ++all }
           $0 in seen { ++found; next }
           { print "NOT SEEN " $0 }
           END { printf "%d of %d checks have failed in a test\n", found, all }' \
    <(sed 's|^\./||' "$HRM_SEEN_CHECKS" | sort -u) -
