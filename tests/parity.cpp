// Parity with recorded numbers of the official implementations. `parity DIR...` checks every
// fixture (a folder with a config.json) found below each DIR, taking sizes, options and tolerances
// from that config, and prints per quantity the largest error divided by its tolerance (below 1
// passes). The exit status is 0 only if everything held and nothing was skipped.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "hrm/train/checkpoint.h"
#include "tests/parity/checks.h"

namespace hrm::parity {
namespace {

namespace fs = std::filesystem;

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
};

void check_fixture(const Path& folder, Totals& totals) {
  const Json config = read_json(folder / "config.json");
  const bool compressarc = folder.parent_path().filename() == "compressarc";
  const std::string name = compressarc ? "compressarc/" + folder.filename().string()
                                       : config.value("fixture", folder.string());
  const std::string family = name.substr(0, name.find('/'));
  void (*check)(Ledger&, const Path&, const Json&) = nullptr;
  if (family == "ops") check = check_ops;
  if (family == "hrm_train" || family == "trm_train") check = check_training;
  if (family == "hrm_eval") check = check_evaluation;
  if (family == "gradients") check = check_gradients;
  if (family == "init") check = check_init;
  if (family == "arc_pipeline") check = check_arc_pipeline;
  if (compressarc) check = check_compressarc;
  if (!check) {
    std::printf("SKIPPED %s: fixtures of this family have no check yet\n", name.c_str());
    ++totals.skipped;
    return;
  }
  Ledger ledger(name);
  try {
    check(ledger, folder, config);
  } catch (const std::exception& error) {
    std::printf("FAIL  %s: %s\n", name.c_str(), error.what());
    ++totals.failed;
  }
  const auto [passed, failed] = ledger.print();
  totals.passed += passed;
  totals.failed += failed;
}

int run(const std::vector<std::string>& roots) {
  Totals totals;
  for (const std::string& root : roots) {
    std::vector<Path> folders;
    std::error_code missing;
    if (fs::exists(Path(root) / "config.json")) folders.push_back(root);
    for (const auto& entry : fs::recursive_directory_iterator(root, missing))
      if (entry.path().filename() == "config.json" && entry.path().parent_path() != Path(root))
        folders.push_back(entry.path().parent_path());
    if (folders.empty()) {
      std::printf("SKIPPED %s: no fixture there\n", root.c_str());
      ++totals.skipped;
    }
    std::sort(folders.begin(), folders.end());
    for (const Path& folder : folders) check_fixture(folder, totals);
  }
  std::printf("%d passed, %d failed, %d skipped\n", totals.passed, totals.failed, totals.skipped);
  return totals.failed == 0 && totals.skipped == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace hrm::parity

int main(int argc, char** argv) {
  std::vector<std::string> folders(argv + 1, argv + argc);
  const bool on_gpu = !folders.empty() && folders[0] == "--cuda";
  if (on_gpu) {
    folders.erase(folders.begin());
    hrm::parity::device = hrm::Device::cuda;
  }
  if (folders.empty() || (on_gpu && !hrm::kBuiltWithCuda)) {
    std::fprintf(stderr,
                 "usage: parity [--cuda] DIR...  (folders with fixtures; --cuda: on the "
                 "GPU, in a build that has it)\n");
    return 2;
  }
  return hrm::parity::run(folders);
}
