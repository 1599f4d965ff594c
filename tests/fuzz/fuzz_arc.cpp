// Any text as an ARC task, as the tasks of a compact data set, and as a maze: an hrm::Error, or
// what it claims to be.
#include <string>

#include "hrm/data/arc_dataset.h"
#include "hrm/data/maze.h"

namespace {

void task(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded()) return;
  try {
    const hrm::ArcTask t = hrm::parse_arc_task(json, "fuzz", "fuzz");
    for (const hrm::ArcVariant& v : hrm::arc_variants(t, 5, {}, 0))
      for (const hrm::ArcPair& p : t.train)
        if (v.undo(v.apply(p.input)) != p.input) __builtin_trap();
    if (hrm::smallest_canvas({t}) > hrm::kArcSide) __builtin_trap();
  } catch (const hrm::Error&) {
  }
}

void grid_and_maze(const std::string& text) {
  try {
    const hrm::ArcGrid g = hrm::parse_grid_text(text, "fuzz");
    if (hrm::grid_text(g) != text) __builtin_trap();
  } catch (const hrm::Error&) {
  }
  try {
    const hrm::Maze maze = hrm::parse_maze(text);
    const hrm::MazePath path = hrm::solve_maze(maze);
    if (path.length > 0 && !hrm::check_maze(maze, path.answer).empty()) __builtin_trap();
  } catch (const hrm::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  task(text), grid_and_maze(text);
  return 0;
}
