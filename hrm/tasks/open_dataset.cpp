#include "hrm/tasks/open_dataset.h"

#include <nlohmann/json.hpp>

#include "hrm/data/array_examples.h"
#include "hrm/tasks/arc_dataset.h"
#include "hrm/tasks/registry.h"

namespace hrm {
namespace fs = std::filesystem;

PuzzleDataset open_dataset(const Path& folder, const std::string& split, const DataView& view,
                           const PuzzleDataset* other) {
  if (fs::exists(folder / kArcFile))
    return PuzzleDataset(
        std::make_shared<ArcExamples>(read_arc_data(folder / kArcFile), split, view,
                                      other ? arc_examples(*other) : nullptr),
        folder);
  HRM_CHECK(view.tasks.empty() && !view.variants && !view.kinds,
            "[data] a choice of tasks or variants needs the compact ARC form, not ",
            folder.string());
  const Path file = folder / "task.json";
  const auto task = fs::exists(file) ? make_task(read_json(file), file.string()) : unknown_task();
  return PuzzleDataset(std::make_shared<ArrayExamples>(folder, split, view.conditioning, task),
                       folder);
}

}  // namespace hrm
