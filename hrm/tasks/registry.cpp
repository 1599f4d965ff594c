#include "hrm/tasks/registry.h"

#include <algorithm>

#include "hrm/support/text.h"
#include "hrm/tasks/arc_grids.h"
#include "hrm/tasks/maze_task.h"
#include "hrm/tasks/n_queens.h"
#include "hrm/tasks/parity.h"
#include "hrm/tasks/sudoku_task.h"
#include "hrm/tasks/tokens_task.h"

namespace hrm {

const std::vector<TaskKind>& task_kinds() {
  static const std::vector<TaskKind> kinds = {
      {"sudoku", "Sudoku of side 4, 6 or 9", SudokuTask::make, SudokuTask::recognise},
      {"maze", "square mazes", MazeTask::make, MazeTask::recognise},
      {"n_queens", "queens that do not attack each other", NQueens::make, NQueens::recognise,
       NQueens::generator()},
      {"parity", "boards of +1, -1 and 0: is the number of +1 odd?", Parity::make,
       Parity::recognise, Parity::generator()},
      {"arc", "grids of colours", ArcGrids::make},
      {"tokens", "any other task: no rules, no symmetries", TokensTask::make},
  };
  return kinds;
}

std::shared_ptr<const Task> make_task(const Json& json, const std::string& source) {
  const Members members(json, source);
  const std::string kind = members.text("task");
  std::vector<std::string> known;
  for (const TaskKind& row : task_kinds()) {
    if (kind == row.name) return row.make(members);
    known.push_back(std::string(row.name) + " (" + row.help + ")");
  }
  detail::fail("[data] ", source, ": unknown task '", kind, "'. HINT: known are ",
               join(known, ", "));
}

std::shared_ptr<const Task> unknown_task() { return std::make_shared<TokensTask>(""); }

std::shared_ptr<const Task> task_of_run(const Members& config) {
  if (!config.has("task")) return unknown_task();
  const Members json = config.object("task");
  const std::string name = json.text("task", "");
  const bool known =
      std::ranges::any_of(task_kinds(), [&](const TaskKind& kind) { return name == kind.name; });
  return known ? make_task(json.json(), json.source()) : unknown_task();
}

std::shared_ptr<const Task> task_of_text(std::string_view text, const Task& preferred) {
  // Numbers may look like a Sudoku, but not to a run that was trained on numbers.
  if (preferred.kind() == TokensTask().kind()) return std::make_shared<TokensTask>();
  std::shared_ptr<const Task> other;
  for (const TaskKind& kind : task_kinds()) {
    std::shared_ptr<const Task> task = kind.recognise ? kind.recognise(text) : nullptr;
    if (task && kind.name == preferred.kind()) return task;
    if (task && !other) other = task;
  }
  if (other) return other;
  if (preferred.kind().empty()) return std::make_shared<SudokuTask>(SudokuRules());
  return make_task(preferred.to_json(), "the run");
}

}  // namespace hrm
