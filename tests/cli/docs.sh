#!/usr/bin/env bash
# The docs name nothing that does not exist: no file or folder, option, make target or setting that
# stands in `code`, in a block of code or behind a link. HRM names the program.
#
#     tests/cli/docs.sh [FILE...]     by default README.md, CONTRIBUTING.md, SECURITY.md and docs/
#
# Each offence is one line, `README.md:12: no file hrm/foo.h`. The last line is `N passed, N failed`:
# the documents without an offence, and the offences.
set -u
cd "$(dirname "$0")/../.." || exit 1
hrm=$(realpath -m "${HRM:-build/cpu/hrm}")
if ! [[ -x $hrm ]]; then
  echo "FAILED docs: no program $hrm"
  echo "0 passed, 1 failed"
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folders=(kernels tensor autograd nn hrm tests bench examples docs .ci)

# What a document may name although it does not exist here.
exceptions=(
  docs/gpu/REPORT.md    # `make gpu-report` writes it
  # programs of the official code
  build_arc_dataset.py build_maze_dataset.py build_sudoku_dataset.py pretrain.py evaluate.py
  # where `make install` puts them
  hrm/tensor/tensor.h hrm/tensor/io.h share/hrm/python/hrm.py
)
# Programs whose own options are not ours to check.
others=(git docker apt apt-get pip pkg-config gdb valgrind torchrun)

# The options of a command and of those below it, as help tells them: `option COMMAND --name`.
options_of() {  # COMMAND...
  local help sub
  help=$("$hrm" "$@" --help </dev/null) || return 1
  printf 'command\t%s\n' "$*"
  sed -nE 's/^  (-[A-Za-z],)?(--[a-z0-9-]+).*/\2/p' <<<"$help" | sed "s/^/option\t$*\t/"
  while read -r sub; do
    options_of "$@" "$sub" || return 1
  done < <(sed -nE '/^Subcommands:/,/^$/s/^  ([a-z_]+) .*/\1/p' <<<"$help")
}

# All that exists, one a line: what it is, and its name.
known() {
  find "${folders[@]}" -type f | sed 's/^/file\t/'
  find "${folders[@]}" -type d | sed 's/^/folder\t/'
  find . -maxdepth 1 -type f | sed 's/^\.\//file\t/'
  printf 'folder\t.\n'
  sed -nE 's/^([a-z][a-z -]*):([^=].*)?$/\1/p' Makefile | tr ' ' '\n' | sed 's/^/target\t/'
  "$hrm" info --json | sed -nE 's/.*"key": "([^"]+)".*/setting\t\1/p'
  options_of || echo "FAILED docs: $hrm does not explain its options" >&2
  # Options of the Makefile, of the scripts and of the programs for examples, tests and measurements.
  find Makefile .ci bench examples tests -type f -not -path 'tests/cli/*' -not -path 'tests/fuzz/corpus/*' \
    -not -name '*.safetensors' -exec grep -ohE -e '--[a-z][a-z0-9-]+' {} + | sed 's/^/option\t*\t/'
  printf 'exception\t%s\n' "${exceptions[@]}"
  printf 'other\t%s\n' "${others[@]}"
  printf 'top\t%s\n' "${folders[@]}"
}

cat >"$work/check.awk" <<'AWK'
function offence(what) {
  printf "%s:%d: no %s\n", FILENAME, FNR, what
}

# A folder without its last slash, and `a/b/../c` as `a/c`.
function plain(path) {
  sub(/\/$/, "", path)
  while (sub(/(^|\/)\.\//, "/", path)) {}
  while (sub(/[^\/]+\/\.\.\//, "", path)) {}
  sub(/^\//, "", path)
  return path == "" ? "." : path
}

# Whether some name of `names` matches a pattern with * in it.
function matches(pattern, names,    regex, name) {
  regex = pattern
  gsub(/\./, "\\.", regex)
  gsub(/\*/, "[^/]*", regex)
  for (name in names) if (name ~ ("^" regex "$")) return 1
  return 0
}

# Every name of a{b,c} must exist, and at least one of a*.
function exists(path, names,    open, close_, parts, count, i) {
  if ((open = index(path, "{")) && (close_ = index(path, "}")) > open) {
    count = split(substr(path, open + 1, close_ - open - 1), parts, ",")
    for (i = 1; i <= count; ++i)
      if (!exists(substr(path, 1, open - 1) parts[i] substr(path, close_ + 1), names)) return 0
    return 1
  }
  if (index(path, "*")) return matches(path, names)
  # bench/ladder/gemm is the program of bench/ladder/gemm.cpp.
  return (path in names) || ((path ".cpp") in names)
}

function check_path(word, in_block,    path, first) {
  sub(/:[0-9]+$/, "", word)
  if (word in exception || word ~ /[<>$=()"\[\]]/ || word ~ /:/) return
  path = plain(word)
  first = path
  sub(/\/.*/, "", first)
  if (first in top && word ~ /\//) {
    if (!exists(path, whole)) offence((word ~ /\/$/ ? "folder " : "file ") word)
  } else if (!in_block && word ~ /[A-Za-z0-9_*]\.(h|cpp|cu|sh|py|md|\{[a-z,]+\})$/) {
    # The end of a path is enough: `gpu.h`.
    if (!exists(path, ending)) offence("file " word)
  } else if (!in_block && word ~ /^[a-z_]+\/$/ && word != "build/") {
    if (!exists(path, ending)) offence("folder " word)
  }
}

function check_option(word,    name) {
  name = word
  sub(/=.*/, "", name)
  if (tool in other) return
  if (tool == "hrm") {
    if (!((command, name) in option)) offence("option " name " of hrm" (command ? " " command : ""))
  } else if (!(name in any_option)) {
    offence("option " name)
  }
}

# One word of a command; the state (tool, command, making, setting) says what stands before it.
function check_word(word, in_block,    longer, key) {
  if (word ~ /^(\||\|\||&&|;)$/) {
    start_command()
    return
  }
  if (word ~ /^#/) making = 0  # a comment; options in it are still those of the command
  sub(/^[\[({"'$]+/, "", word)
  sub(/[.,;:!?")'\]]+$/, "", word)
  if (word == "") return
  if (word ~ /^--[a-z]/) {
    setting = word == "--set"
    check_option(word)
  } else if (setting && word ~ /^[A-Za-z_0-9]+=/) {
    key = word
    sub(/=.*/, "", key)
    if (!(key in settings) && key != toupper(key)) offence("setting " key)
  } else if (word ~ /(^|\/)hrm$/) {
    tool = "hrm"
    command = ""
    below = 1
  } else if (word in other) {
    tool = word
  } else if (first_word && word == "make") {
    making = 1
  } else if (making && word !~ /=/ && word !~ /^-/ && word != toupper(word)) {
    if (!(word in target)) offence("make target " word)
  } else if (tool == "hrm" && below) {
    longer = (command ? command " " : "") word
    if (longer in commands) command = longer
    else below = 0
  }
  check_path(word, in_block)
  if (word !~ /^([A-Z_]+=.*|nice|time|sudo|bash)$/) first_word = 0
}

function start_command() {
  tool = command = ""
  making = setting = below = 0
  first_word = 1
}

function check_code(text, in_block,    words, count, i) {
  count = split(text, words, /[ \t]+|\\$/)
  for (i = 1; i <= count; ++i) {
    check_word(words[i], in_block)
    if (words[i] ~ /;$/) start_command()
  }
}

function check_link(link,    path, folder, anchor) {
  if (link ~ /^[a-z]+:/) return
  anchor = link ~ /#/ ? link : ""
  sub(/^[^#]*#/, "", anchor)
  path = link
  sub(/#.*/, "", path)
  folder = FILENAME
  if (!sub(/\/[^\/]*$/, "/", folder) || folder ~ /^\//) folder = ""
  path = path == "" ? FILENAME : plain(folder path)
  if (!(path in whole)) offence("file " link)
  else if (anchor != "" && !((path, anchor) in heading)) offence("heading #" anchor " in " path)
}

function check_prose(text) {
  while (match(text, /\]\([^)]*\)/)) {
    check_link(substr(text, RSTART + 2, RLENGTH - 3))
    text = substr(text, RSTART + RLENGTH)
  }
}

# What exists.
FILENAME == list {
  split($0, field, "\t")
  if (field[1] == "file" || field[1] == "folder") {
    for (end = field[2]; end != ""; end = index(end, "/") ? substr(end, index(end, "/") + 1) : "")
      ending[end] = 1
    whole[field[2]] = 1
  }
  if (field[1] == "target") target[field[2]] = 1
  if (field[1] == "setting") settings[field[2]] = 1
  if (field[1] == "command") commands[field[2]] = 1
  if (field[1] == "exception") exception[field[2]] = 1
  if (field[1] == "other") other[field[2]] = 1
  if (field[1] == "top") top[field[2]] = 1
  if (field[1] == "option") option[field[2], field[3]] = any_option[field[3]] = 1
  next
}

# The headings of all documents, which are read twice.
pass == 1 {
  if (/^#+ /) {
    slug = tolower($0)
    sub(/^#+ /, "", slug)
    gsub(/[^a-z0-9 _-]/, "", slug)
    gsub(/ /, "-", slug)
    heading[FILENAME, slug] = 1
  }
  next
}

FNR == 1 { fenced = block = in_span = 0; blank = 1 }
/^ *```/ { fenced = !fenced; start_command(); next }
/^[ \t]*$/ { blank = 1; in_span = 0; next }
{
  block = fenced || (/^    / && (blank || block))
  blank = 0
  if (block) {
    if (!continued) start_command()
    check_code($0, 1)
    continued = /\\$/
    next
  }
  # Every second part is code; a span may go on in the next line.
  count = split($0, parts, "`")
  for (i = 1; i <= count; ++i) {
    if (in_span) check_code(parts[i], 0)
    else check_prose(parts[i])
    if (i < count) {
      in_span = !in_span
      start_command()
    }
  }
}
AWK

# The offences of documents.
offences() {  # FILE...
  awk -v list="$work/known" -f "$work/check.awk" "$work/known" pass=1 "$@" pass=2 "$@"
}

if (($#)); then
  documents=("$@")
else
  mapfile -t documents < <(find README.md CONTRIBUTING.md SECURITY.md docs -name '*.md' | sort)
fi
known | sort -u >"$work/known"
offences "${documents[@]}" | tee "$work/found"
failed=$(wc -l <"$work/found")
passed=$((${#documents[@]} - $(cut -d : -f 1 "$work/found" | sort -u | wc -l)))

# The checks themselves can fail: a document with one offence of each kind.
cat >"$work/wrong.md" <<'WRONG'
Read `hrm/no_such_file.h` and [this](docs/no_such_page.md), then call `make no-such-target`:

    hrm train --preset sudoku4 --no-such-option
    hrm train --set no_such_setting=1
WRONG
if [[ $(offences "$work/wrong.md" | sed 's/^[^:]*:\([0-9]*\): no /\1 /' | paste -sd ,) == \
  "1 file hrm/no_such_file.h,1 file docs/no_such_page.md,1 make target no-such-target,\
3 option --no-such-option of hrm train,4 setting no_such_setting" ]]; then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  echo "FAILED docs: an offence goes unseen"
  offences "$work/wrong.md" | sed 's/^/    /'
fi

echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
