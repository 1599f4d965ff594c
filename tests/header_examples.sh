#!/usr/bin/env bash
# Writes the examples at the heads of headers as one source, for a compiler to say whether they are
# still right: `tests/header_examples.sh nn/loss.h nn/layers.h > examples.cpp`. A header without an
# example is only included.
#
# An example is what stands in a header's first comment with five blanks before it, and the lines
# behind that with more. It becomes a function, in a namespace that follows the header's folder,
# where tests/support/header_examples.h declares what examples take for granted. Two things cannot
# stand in a function and go before it: #include and HRM_KERNEL. The example of a header that begins
# with a comment of C is C: such headers make a source by themselves.
set -u
awk '
  # hrm/model/segment.h -> in_hrm::in_model
  function space_of(path) {
    sub(/\/[^\/]*$/, "", path)
    gsub(/\//, "::in_", path)
    return "in_" path
  }
  # An error of the compiler names the line of the header. Lines behind each other need one such
  # directive: the arguments of a macro may go over several, and hold none.
  function placed(line) { return "#line " FNR " \"" FILENAME "\"\n" line "\n" }
  function add(line) {
    if (line ~ /^#include <hrm\//) {
      sub(/</, "\"", line)
      sub(/>/, "\"", line)
      before = before placed(line)
    } else if (line ~ /^HRM_KERNEL/) {
      before = before "namespace hrm {\n" placed(line) "}\n"
    } else {
      inside = inside (FNR == last + 1 ? line "\n" : placed(line))
      last = FNR
    }
  }
  function finish() {
    if (inside == "") return
    name = header
    gsub(/[^A-Za-z0-9]/, "_", name)
    # tests/cli/headers.sh looks for this line.
    functions = functions "\n// " header "\n" before
    if (in_c)
      functions = functions "int " name "(void) {\n" inside "return 0;\n}\n"
    else
      functions = functions "namespace hrm::header_examples::" space_of(header) " {\nauto " name \
        "() {\n" inside "}\n}\n"
  }
  FNR == 1 {
    finish()
    header = FILENAME
    before = inside = ""
    in_example = last = 0
    in_head = 1
    in_c = /^\/\*/
    includes = includes "#include \"" header "\"\n"
  }
  !(in_c ? /^(\/| )\*/ && !/\*\// : /^\/\//) { in_head = 0 }
  in_head {
    text = substr($0, 3)
    in_example = text ~ /^     [^ ]/ || (in_example && text ~ /^      /)
    if (in_example) add(substr(text, 6))
  }
  END {
    finish()
    printf "// Made by tests/header_examples.sh.\n%s#include \"tests/support/header_examples.h\"\n%s", includes, functions
  }' "$@"
