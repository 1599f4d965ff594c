// What ARC costs besides the model: rows of variants, which are made as they are read, and votes.
#include <fstream>

#include "bench/entries.h"
#include "hrm/data/sampler.h"
#include "hrm/tasks/arc_vote.h"

namespace hrm::bench {
namespace {

ArcGrid random_grid(Random& random) {
  ArcGrid g;
  g.height = 3 + static_cast<int>(random.below(18));
  g.width = 3 + static_cast<int>(random.below(18));
  for (int i = 0; i < g.height * g.width; ++i)
    g.cells.push_back(static_cast<uint8_t>(random.below(10)));
  return g;
}

// As many tasks as an ARC evaluation has, of about the size of real ones.
ArcData random_tasks(int64_t count, int64_t variants) {
  Random random(1);
  ArcData data;
  data.variants = variants;
  for (int64_t i = 0; i < count; ++i) {
    ArcTask t;
    t.id = "task" + std::to_string(i);
    t.evaluated = true;
    for (int k = 0; k < 4; ++k)
      (k < 3 ? t.train : t.test).push_back({random_grid(random), random_grid(random)});
    data.tasks.push_back(std::move(t));
  }
  return data;
}

double resident() {
  std::ifstream status("/proc/self/status");
  for (std::string key, rest; status >> key && std::getline(status, rest);)
    if (key == "VmRSS:") return 1024 * std::stod(rest);
  return 0;
}

}  // namespace

ArcResult measure_arc(int64_t tasks, int64_t variants) {
  ArcResult result;
  const double before = resident();
  const ArcData data = random_tasks(tasks, variants);
  double start = now();
  const auto test = std::make_shared<ArcExamples>(data, "test", DataView{});
  result.open_seconds = now() - start;

  // Half of the votes go to the answer, the rest to as many other grids.
  Voting voting(*test);
  Random random(2);
  std::vector<int> tokens(kArcSide * kArcSide);
  start = now();
  for (int64_t i = 0; i < test->num_examples(); ++i) {
    const auto w = test->where(i);
    ArcGrid grid = test->pairs(w.task)[w.pair].output;
    if (i % 2)
      for (int k = 0; k < 4; ++k)
        grid.cells[random.below(static_cast<int64_t>(grid.cells.size()))] =
            static_cast<uint8_t>(random.below(10));
    encode_grid(test->variant(w.task, w.variant).apply(grid), kArcSide, 0, 0, tokens.data());
    voting.add(i, tokens, 0);
    if (i % 1000 == 0) result.vote_bytes = std::max(result.vote_bytes, resident() - before);
  }
  result.vote_seconds = (now() - start) / static_cast<double>(test->num_examples());
  result.votes = test->num_examples();

  const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", DataView{}));
  TrainSampler sampler(train, 0, train.task().augmentation());
  constexpr int64_t kRows = 4096;
  result.row_seconds = 1e30;
  for (int round = 0; round < 3; ++round) {
    start = now();
    sampler.next(kRows);
    result.row_seconds = std::min(result.row_seconds, (now() - start) / kRows);
  }
  return result;
}

}  // namespace hrm::bench
