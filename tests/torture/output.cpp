// Output that cannot be written is an error, not a success with half the answer.
#include "tests/torture/stage.h"

namespace hrm::torture {
namespace fs = std::filesystem;

void lose_output(Torture& torture) {
  constexpr const char* kWhat = "output to a full device is an error";
  if (!fs::is_character_file("/dev/full")) {
    torture.ledger.skip(kWhat, "there is no /dev/full here");
    return;
  }
  fs::remove_all("full");
  const Words commands[] = {
      {"--help"},
      {"info"},
      {"info", "base", "--json"},
      {"eval", "--run", "base", "--max", "4"},
      {"eval", "--run", "base", "--max", "4", "--json"},
      {"data", "show", "d4"},
      {"report", "base"},
      {"arc", "predict", "--run", "ra", "--json"},
      kShortTraining.begin("full"),
  };
  for (const Words& words : commands) {
    const Result result = run(words, "/dev/full");
    std::string why = misbehaviour(result);
    if (why.empty() && result.succeeded()) why = "exit status 0";
    torture.ledger.record(kWhat, why.empty() ? "" : why + " (" + joined(words) + ")");
  }
}

}  // namespace hrm::torture
