#include "hrm/tasks/generated.h"

#include <map>
#include <set>

namespace hrm {
namespace {

// By symmetry class. The order of the classes is that of their names, the same on every machine.
using Classes = std::map<std::string, std::vector<Generator::Puzzle>>;

Classes draw_puzzles(const Generator& generator, const GeneratedBuild& build, int side,
                     const Task& task) {
  Random random = Random(build.seed).fork("puzzles");
  Classes classes;
  std::set<Tokens> seen;
  // Small sides have few puzzles: give up when no new one has turned up for so long.
  constexpr int kPatience = 2000;
  for (int known = 0; std::ssize(seen) < build.count;) {
    HRM_CHECK(known < kPatience, "[data] only ", seen.size(), " of ", build.count,
              " different puzzles found. HINT: a smaller --count and --test, or a larger --side");
    Generator::Puzzle puzzle = generator.draw(side, random);
    ++known;
    if (!seen.insert(puzzle.inputs).second) continue;
    known = 0;
    classes[task.symmetry_class(puzzle.inputs, puzzle.labels)].push_back(std::move(puzzle));
    if (build.on_progress) build.on_progress(std::ssize(seen), build.count);
  }
  return classes;
}

}  // namespace

BuildSummary build_generated(const Generator& generator, const GeneratedBuild& build,
                             const Path& out) {
  HRM_CHECK(build.test_count < build.count, "[data] all ", build.count,
            " puzzles would be needed for the test split of ", build.test_count,
            ". HINT: a larger --count or a smaller --test");
  const int side = build.side ? build.side : generator.side;
  const auto task = generator.task(side);
  DatasetInfo info;
  info.seq_len = side * side;
  info.vocab_size = generator.vocab_size;
  check_size(static_cast<double>(build.count), info.seq_len, out, "a smaller --count");
  DatasetWriter writer(out, info, task->to_json(), build.replace);

  Classes classes = draw_puzzles(generator, build, side, *task);
  std::vector<const std::vector<Generator::Puzzle>*> order;
  for (const auto& [name, members] : classes) order.push_back(&members);
  Random random = Random(build.seed).fork("split");
  random.shuffle(order);
  BuildSummary summary;
  int64_t group = 0, held_out = 0;
  for (const auto* members : order) {
    const bool to_test = held_out < build.test_count;
    const std::string split = to_test ? "test" : "train";
    ++(to_test ? summary.test_classes : summary.train_classes);
    for (const Generator::Puzzle& p : *members) {
      // The last class of the test split may be larger than what is left of it.
      if (to_test && held_out == build.test_count) {
        ++summary.dropped;
        continue;
      }
      held_out += to_test;
      writer.add(split, p.inputs, p.labels, ++group);
    }
  }
  summary.train = writer.count("train");
  summary.test = writer.count("test");
  HRM_CHECK(summary.train > 0, "[data] all ", build.count,
            " puzzles were needed for the test split. HINT: a larger --count or a smaller --test");
  writer.finish();
  return summary;
}

}  // namespace hrm
