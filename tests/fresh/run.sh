#!/usr/bin/env bash
# What README says, done on an empty system, as a new user has it:
#
#     tests/fresh/run.sh SUITE [COMPILER...]     e.g. tests/fresh/run.sh trixie g++-13 g++-14 clang++-19
#
# SUITE is a release of Debian (bookworm, trixie) or Ubuntu (noble). debootstrap makes the system in a
# scratch folder, with git and make and nothing else; the last commit is cloned there, `make run`
# trains a few steps, and all that `make test` builds is built. With compilers named, each of them
# is installed there, too, and must compile everything without a warning.
#
# Needs root, debootstrap and the archive; without one of them it is skipped, with the reason. The
# last line is `N passed, N failed, N skipped`.
set -u
suite=${1:?usage: tests/fresh/run.sh SUITE [COMPILER...]}
shift
project=$(git -C "$(dirname "$0")" rev-parse --show-toplevel) || exit 1
passed=0 failed=0

skip() {
  echo "SKIPPED fresh $suite: $1"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
}
((EUID == 0)) || skip "needs root, for debootstrap and chroot"
command -v debootstrap >/dev/null || skip "needs debootstrap. HINT: apt-get install debootstrap"
case $suite in
  focal | jammy | noble | oracular | plucky | questing)
    mirror=${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}
    components=main,universe
    ;;
  *)
    # The archive that this machine uses, if it is Debian's.
    mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null)
    mirror=${DEBIAN_MIRROR:-${mirror:-http://deb.debian.org/debian}}
    components=main
    ;;
esac

root=$(mktemp -d /var/tmp/fresh.XXXXXX)
log=$root.log
clean_up() {
  umount "$root/proc" 2>/dev/null
  rm -rf --one-file-system "$root" "$log"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if ! timeout 600 debootstrap --variant=minbase --include=git,make,ca-certificates \
  --components=$components "$suite" "$root" "$mirror" >"$log" 2>&1; then
  skip "debootstrap from $mirror: $(tail -n 1 "$log")"
fi
# How this machine reaches the archive.
cp -r /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/" 2>/dev/null
cp /etc/resolv.conf "$root/etc/" 2>/dev/null
mount -t proc proc "$root/proc" || skip "cannot mount /proc in the new system"
git clone -q "$project" "$root/root/project" || exit 1

inside() {  # NAME COMMAND
  local started=$SECONDS
  echo "== $suite: $1"
  if chroot "$root" env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c "cd /root/project && $2" </dev/null >"$log" 2>&1; then
    tail -n 3 "$log"
    echo "ok   $suite: $1 ($((SECONDS - started)) s)"
    passed=$((passed + 1))
  else
    tail -n 30 "$log"
    echo "FAILED $suite: $1"
    failed=$((failed + 1))
  fi
}

inside 'make run' "make run ARGS='--set total_steps=50'"
inside 'the build of make test' 'make test-build'
for compiler in "$@"; do
  packages=$compiler
  # OpenMP's header and library are packages of their own there: clang-19, libomp-19-dev.
  [[ $compiler == clang++-* ]] && packages="clang-${compiler#*-} libomp-${compiler#*-}-dev"
  inside "$compiler" "apt-get install -y --no-install-recommends $packages &&
    rm -rf build && make WERROR=1 CXX=$compiler test-programs"
done
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))
