// Puzzle lists, Sudoku CSVs and token CSVs: anything may come in, only hrm::Error may come out.
#include <cstdint>
#include <filesystem>
#include <string>

#include "hrm/data/build.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  hrm::SudokuBuild build;
  for (const int side : {4, 6}) {
    build.rules = hrm::SudokuRules::of_side(side);
    build.count = 3;
    try {
      hrm::parse_sudoku_file(text, build, "fuzz");
    } catch (const hrm::Error&) {
    }
  }
  static const hrm::Path out =
      std::filesystem::temp_directory_path() / ("hrm_fuzz_tokens_" + std::to_string(::rand()));
  try {
    hrm::build_tokens_text(text, "fuzz", out, true);
  } catch (const hrm::Error&) {
  }
  return 0;
}
