// Any text as an ARC task, as Kaggle's combined file with its solutions, as a grid and as the name
// of a variant.
#include "hrm/data/arc.h"
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

}  // namespace

void fuzz_one(const std::string& input) {
  const size_t second = input.find("\n=== \n");
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
