// Any text as a list of puzzles of each side and as a CSV of tokens: an hrm::Error, or puzzles
// that are what they claim to be. Tokens go to a folder that cannot exist, so that nothing is
// written and a table without faults ends in an error too.
#include <string>

#include "hrm/data/build.h"

namespace {

void puzzles(const std::string& text, int side) {
  hrm::SudokuBuild build;
  build.rules = hrm::SudokuRules::of_side(side);
  build.count = 0;
  try {
    for (const hrm::SudokuPuzzle& p : hrm::parse_sudoku_file(text, build, "fuzz")) {
      if (hrm::check_solution(build.rules, p.puzzle, p.solution) != "") __builtin_trap();
      if (hrm::symmetry_class(build.rules, p.puzzle, p.solution).empty()) __builtin_trap();
    }
  } catch (const hrm::Error&) {
  }
}

void tokens(const std::string& text) {
  try {
    hrm::build_tokens_text(text, "fuzz", "/dev/null/none", false);
  } catch (const hrm::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const int side : {4, 6, 9}) {
    puzzles(text, side);
    puzzles("source,question,answer,rating\n" + text, side);
  }
  tokens(text);
  tokens("inputs,labels,split,puzzle\n" + text);
  return 0;
}
