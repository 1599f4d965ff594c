// What several processes cost: `make MPI=1 bench-ranks`. Each process calls this program with the
// same words; the first prints a line of JSON.
//
//   ranks sum           the gradient of 27 million parameters in f32, added up
//   ranks step BATCH    a training step of HRM 27M in f32, in two micro-batches
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "hrm/presets.h"
#include "hrm/support/clock.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/learner.h"
#include "nn/distributed/job.h"
#include "nn/distributed/tree_sum.h"

using namespace hrm;

namespace {

constexpr int kRounds = 4;
constexpr int64_t kElements = 27'276'290;

// The shortest of some times, of which the first does not count. All ranks begin together.
double best_seconds(const Communicator& ranks, const std::function<void()>& before,
                    const std::function<void()>& work) {
  double best = 1e30;
  for (int round = 0; round <= kRounds; ++round) {
    before();
    ranks.barrier();
    const double begin = seconds_now();
    work();
    ranks.barrier();
    if (round > 0) best = std::min(best, seconds_now() - begin);
  }
  return best;
}

Json measure_sum(const Communicator& ranks) {
  const Tensor gradient = full({kElements}, 1);
  TreeSum sum(ranks.size());
  const double seconds = best_seconds(
      ranks, [&] { sum.add(ranks.rank(), gradient); }, [&] { sum.total(ranks); });
  const auto others = static_cast<double>(ranks.size() - 1);
  // Of its part and of the result, the slices of the others.
  const double sent = 2 * static_cast<double>(gradient.nbytes()) * others / ranks.size();
  return {{"seconds", seconds}, {"bytes_sent", sent}};
}

Json measure_step(const Communicator& ranks, int64_t batch) {
  Config config = preset("hrm-27m");
  config.train.batch_size = batch;
  config.train.micro_batches = 2;
  config.model.dtype = DType::f32;
  SudokuBuild build;
  build.count = 2 * batch;
  build.test_count = 0;
  const Path folder = std::filesystem::temp_directory_path() /
                      ("hrm_bench_" + std::to_string(std::random_device()()));
  build_sudoku(build, folder);
  double seconds = 0;
  {
    const PuzzleDataset data = open_dataset(folder, "train");
    config.model.seq_len = data.info().seq_len;
    config.model.vocab_size = data.info().vocab_size;
    config.model.num_puzzle_identifiers = data.info().num_puzzle_identifiers;
    const auto learner = make_learner(config, data, Device::cpu, ranks);
    MetricsWindow window(learner->columns(), Device::cpu);
    int64_t step = 0;
    seconds = best_seconds(
        ranks, [] {}, [&] { learner->run(++step, window); });
    learner->finish();
  }
  std::filesystem::remove_all(folder);
  return {{"seconds", seconds}, {"batch", batch}};
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool step = words.size() == 2 && words[0] == "step";
  HRM_CHECK(step || words == std::vector<std::string>{"sum"}, "usage: ranks sum | step BATCH");
  const Communicator ranks = join_job();
  Json json = step ? measure_step(ranks, std::stoll(words[1])) : measure_sum(ranks);
  json["ranks"] = ranks.size();
  json["threads"] = omp_get_max_threads();
  if (ranks.is_first()) std::printf("%s\n", json.dump().c_str());
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
