// Any text as an ARC task, as Kaggle's combined file with its solutions, as files in folders, as a
// grid and as the name of a variant.
#include <nlohmann/json.hpp>

#include "hrm/tasks/arc_files.h"
#include "tests/fuzz/fuzz.h"

using namespace hrm;

namespace {

void check(const ArcTask& task) {
  check_task_id(task.id, "fuzz");
  fuzz::must(smallest_canvas({task}) <= kArcSide);
  for (const ArcVariant& v : arc_variants(task, 5, {}, 0)) {
    const auto [name, back] = parse_variant_name(v.name(task.id));
    if (!v.identity()) fuzz::must(name == task.id && back == v);
    for (const ArcPair& p : task.train) {
      fuzz::must(v.undo(v.apply(p.input)) == p.input);
      fuzz::must(canonical_pair(v.apply(p)) == canonical_pair(p));
    }
  }
}

// A folder of one task and one of Kaggle's, whose names the fuzzer need not guess.
void load(const std::string& task, const std::string& solutions) {
  const std::string alone = "evaluation/abc.json", combined = "x_evaluation_challenges.json";
  std::map<std::string, std::string> files = {{alone, task}, {combined, task}};
  if (!solutions.empty()) files["x_evaluation_solutions.json"] = solutions;
  const fuzz::Folder folder(files, {alone, combined, "x_evaluation_solutions.json"});
  for (const char* root : {"evaluation", "x_evaluation_challenges.json", ""})
    fuzz::try_to([&] {
      int64_t repeated = 0;
      for (const ArcTask& t : load_arc({folder.path() / root}, &repeated))
        check_task_id(t.id, "fuzz");
    });
}

}  // namespace

void fuzz_one(const std::string& input) {
  const size_t second = input.find("\n=== \n");
  load(input.substr(0, second), second == std::string::npos ? "" : input.substr(second + 6));
  fuzz::try_to([&] {
    const Json json = parse_json(input.substr(0, second), "fuzz");
    const Json solutions =
        second == std::string::npos ? Json::object() : parse_json(input.substr(second + 6), "fuzz");
    for (const ArcTask& task : parse_arc_file(json, solutions, "fuzz.json")) check(task);
  });
  fuzz::try_to([&] { fuzz::must(grid_text(parse_grid_text(input, "fuzz")) == input); });
  const auto [task, variant] = parse_variant_name(input);
  if (!variant.identity()) fuzz::must(variant.name(task) == input);
}
