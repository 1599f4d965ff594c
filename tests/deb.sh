#!/usr/bin/env bash
# The packages of `make deb`: lintian finds nothing in them, and what they hold works from where they
# are unpacked. `tests/deb.sh DEB_FOLDER`; the last line is `N passed, N failed, N skipped`.
set -u
folder=$(realpath "${1:?usage: tests/deb.sh DEB_FOLDER}")
example=$(realpath "$(dirname "$0")/../examples/xor.cpp")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED deb: $name"
    tail -n 12 "$work/log" | sed 's/^/    /'
  fi
}
quiet() { "$@" 2>&1 | grep -v 'root privileges' | tee "$work/said"; [[ ! -s $work/said ]]; }

shopt -s nullglob
packages=("$folder"/*.deb)
check "there are three" test ${#packages[@]} = 3
if command -v lintian >/dev/null; then
  check "lintian has nothing to say" quiet lintian --no-cfg "${packages[@]}"
else
  echo 'SKIPPED deb: lintian is not installed. HINT: apt-get install lintian'
  skipped=$((skipped + 1))
fi
for package in "${packages[@]}"; do dpkg-deb -x "$package" "$work/root"; done
usr=$work/root/usr
libraries=$(dirname "$(find "$usr/lib" -name libhrm.a)")
version=$("$usr/bin/hrm" --version | cut -d ' ' -f 2)
check "each names its dependencies" test "$(for p in "${packages[@]}"; do dpkg-deb -f "$p" Depends; done | grep -cE 'libfmt|libhrm0')" = 3
check "the program has kernels of every set" bash -c "'$usr/bin/hrm' info | grep -q 'it may be v2'"
check "it needs shared libraries" bash -c "ldd '$usr/bin/hrm' | grep -q libfmt"
check "man page" bash -c "zcat '$usr/share/man/man1/hrm.1.gz' | grep -q '\.TH HRM 1'"
check "completion of three shells" ls "$usr"/share/{bash-completion/completions/hrm,zsh/vendor-completions/_hrm,fish/vendor_completions.d/hrm.fish}
if command -v pkg-config >/dev/null; then
  compiled() {  # LINKED_WITH...
    # shellcheck disable=SC2046  # words of pkg-config
    "${CXX:-g++}" "$example" $(PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs hrm) \
      "$@" -o "$work/xor" && LD_LIBRARY_PATH=$libraries "$work/xor"
  }
  check "a program is compiled and runs" compiled -lhrm
  check "with the shared library" bash -c "LD_LIBRARY_PATH='$libraries' ldd '$work/xor' | grep -q '$libraries/libhrm.so.0'"
else
  echo 'SKIPPED deb: compiling with the packages needs pkg-config'
  skipped=$((skipped + 1))
fi
check "versions agree" test -e "$libraries/libhrm.so.$version"

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
