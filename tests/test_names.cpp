// The emulated devices run the test cases whose names say that they are for them (tests/run.sh).
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/support.h"

namespace fs = std::filesystem;

TEST_CASE("a test case that visits devices says so in its name") {
  int visiting = 0;
  for (const auto& entry : fs::directory_iterator("tests")) {
    if (entry.path().extension() != ".cpp" || entry.path().filename() == "test_names.cpp") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    size_t begin = text.find("TEST_CASE(");
    while (begin != std::string::npos) {
      const size_t end = text.find("TEST_CASE(", begin + 1);
      const std::string test = text.substr(begin, end - begin), name = test.substr(0, 150);
      begin = end;
      if (test.find("devices())") == std::string::npos) continue;
      ++visiting;
      const bool says =
          name.find("cuda") != std::string::npos || name.find("every device") != std::string::npos;
      CHECK_MESSAGE(says, entry.path().string(), ": ", name.substr(0, name.find('\n')));
    }
  }
  CHECK(visiting > 5);
}
