#include <omp.h>

#include <algorithm>
#include <random>

#include "autograd/grad_mode.h"
#include "bench/entries.h"
#include "hrm/eval/evaluate.h"
#include "hrm/model/segment.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/estimate.h"
#include "hrm/train/trainer.h"
#include "nn/optim/adam.h"

namespace hrm::bench {
namespace {

// Random rows for a model: speed does not depend on what they say.
Batch random_batch(const ModelConfig& m, int64_t batch) {
  Random random(1);
  const auto vocab = static_cast<int32_t>(m.vocab_size);
  return {random.randint({batch, m.seq_len}, 1, vocab - 1),
          random.randint({batch, m.seq_len}, 2, vocab - 1), zeros({batch}, DType::i32), batch};
}

// HRM with its one-step gradient. The presets sudoku6 and sudoku9 are another recipe: their boards
// are measured with the network of sudoku4.
Config config_of(const std::string& name, DType dtype) {
  const Config sizes = preset(name);
  const bool board = name.starts_with("sudoku");
  Config config = board ? preset("sudoku4") : sizes;
  config.model.seq_len = sizes.model.seq_len;
  config.model.vocab_size = sizes.model.vocab_size;
  config.model.dtype = dtype;
  return config;
}

}  // namespace

StepResult measure_step(const std::string& name, DType dtype, int64_t batch, int threads,
                        int rounds, bool with_machine) {
  const int all = omp_get_max_threads();
  omp_set_num_threads(threads);
  const Config config = config_of(name, dtype);
  empty_cache();
  Random random(1);
  Model model(config.model, &random);
  Adam adam(model.named_parameters(), {});
  const Batch data = random_batch(config.model, batch);
  Carry carry = initial_carry(model, batch);
  const auto step = [&] {
    begin_segment(model, carry, data, Refill::reference);
    train_segment(model, carry, {}, 1.0 / static_cast<double>(batch));
    adam.step(1e-4);
    adam.zero_grad();
  };
  step();
  reset_peak();
  const auto before = kernel_times();
  std::vector<Entry> entries;
  if (with_machine) entries = machine_entries();
  entries.emplace_back().run = step;
  measure(entries, rounds);
  const auto shares = kernel_shares(before);

  StepResult r;
  r.preset = name;
  r.dtype = hrm::name_of(dtype);
  r.threads = threads;
  r.batch = batch;
  r.positions = config.model.prefix() + config.model.seq_len;
  r.seconds = entries.back().best;
  r.flops = estimate(config, ".").flops_per_sample * static_cast<double>(batch);
  const Machine machine = Machine::of(entries);
  r.peak_flops = dtype == DType::bf16 ? machine.bf16() : machine.f32;
  // Value, gradient, two moments, and the bf16 copy.
  r.state_bytes = static_cast<double>(model.parameter_count()) * (dtype == DType::bf16 ? 18 : 16);
  r.activation_bytes = static_cast<double>(allocator_stats().peak) - r.state_bytes;
  r.shares = shares;
  omp_set_num_threads(all);
  return r;
}

double seconds_to_solve(DType dtype, int rounds) {
  const Config config = config_of("hrm-27m", dtype);
  Random random(1);
  const Model model(config.model, &random);
  const Batch data = random_batch(config.model, 1);
  const std::vector<double> tokens = data.inputs.to_vector();
  EvalOptions options;
  options.halting = false;
  std::vector<Entry> entries(1);
  entries[0].run = [&] {
    solve_one(model, std::vector<int>(tokens.begin(), tokens.end()), 0, options);
  };
  measure(entries, rounds);
  return entries[0].best;
}

HaltingResult measure_halting(int64_t puzzles, int rounds) {
  const Config config = config_of("sudoku4", DType::f32);
  Random random(1);
  Model model(config.model, &random);
  // A q head that halts at random, one row in a few.
  model.q_head.weight.value.copy_from(random.normal(model.q_head.weight.value.shape(), 1));
  const Path folder = std::filesystem::temp_directory_path() /
                      ("hrm_bench_" + std::to_string(std::random_device()()));
  SudokuBuild build;
  build.rules = SudokuRules::of_side(4);
  build.count = puzzles + 100;
  build.test_count = 100;
  build_sudoku(build, folder);
  HaltingResult result;
  {
    const PuzzleDataset data = open_dataset(folder, "train");
    EvalOptions options;
    options.max_puzzles = puzzles;
    options.segments = 16;
    double mean_segments[2] = {};
    std::vector<Entry> entries(2);
    for (const bool halting : {false, true})
      entries[halting].run = [&, halting] {
        EvalOptions mine = options;
        mine.halting = halting;
        mean_segments[halting] = evaluate(model, data, mine).mean_steps;
      };
    measure(entries, rounds);
    result.mean_segments = mean_segments[1];
    result.share_of_segments = mean_segments[1] / mean_segments[0];
    result.share_of_time = entries[1].best / entries[0].best;
  }
  std::filesystem::remove_all(folder);
  return result;
}

}  // namespace hrm::bench
