// hrm lab gradients.
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/data/sampler.h"
#include "hrm/lab/bias_meter.h"
#include "hrm/presets.h"
#include "hrm/support/progress.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/run_files.h"
#include "hrm/train/trainer.h"

namespace hrm {
using namespace lab;
namespace fs = std::filesystem;
namespace {

struct Settings {
  std::string preset = "sudoku4", run, data;
  std::vector<std::string> overrides, rules = default_rules();
  std::vector<int64_t> steps;
  int64_t seed = -1, batch = 0;
  bool json = false, train = false;
  CommonOptions common;
};

// A folder that lives as long as the command.
struct WorkFolder {
  Path path = fs::temp_directory_path() / ("hrm-lab-" + std::to_string(::getpid()));
  WorkFolder() { fs::create_directories(path / "checkpoints"); }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

Config configuration(const Settings& s) {
  Config config = s.run.empty() ? preset(s.preset) : read_config(s.run);
  apply_settings(config, s.overrides);
  if (s.seed >= 0) config.set("seed", std::to_string(s.seed));
  if (s.batch > 0) config.set("batch_size", std::to_string(s.batch));
  if (!s.data.empty()) config.data = s.data;
  config.validate();
  check_measurable(config.model);
  for (const std::string& rule : s.rules) check_rule(rule, config.model);
  return config;
}

void make_puzzles(const Config& config, const Path& out) {
  const ModelConfig& m = config.model;
  const auto side = std::lround(std::sqrt(static_cast<double>(m.seq_len)));
  HRM_CHECK(side * side == m.seq_len && m.vocab_size == side + 2, "[lab] the preset '",
            config.preset, "' is not for Sudoku, so it needs a data set. HINT: --data DIR");
  SudokuBuild build;
  build.rules = SudokuRules::of_side(static_cast<int>(side));
  build.count = 4000;
  build.test_count = 40;
  build.seed = static_cast<uint64_t>(config.train.seed);
  Progress progress("make", "puzzles", build.count);
  build.on_progress = [&](int64_t done, int64_t) { progress.update(done); };
  build_sudoku(build, out);
}

void train_to(Trainer& trainer, int64_t step) {
  if (trainer.steps_done() == step) return;
  const int64_t first = trainer.steps_done();
  Progress progress("train", "steps", step - first);
  while (trainer.steps_done() < step) {
    trainer.step();
    progress.update(trainer.steps_done() - first);
  }
}

BiasReport measure_here(const Trainer& trainer, TrainSampler& sampler, const Settings& s) {
  const int64_t batch = trainer.config().train.batch_size;
  Carry carry = trainer.carry().gather(arange(batch));
  begin_segment(trainer.model(), carry, sampler.next(batch), trainer.config().train.refill);
  Progress progress("measure", "rules", static_cast<int64_t>(s.rules.size()));
  return measure_bias(trainer.model(), carry, s.rules,
                      [&, done = int64_t{0}]() mutable { progress.update(++done); });
}

void gradients(Settings s) {
  s.common.apply();
  Config config = configuration(s);
  const WorkFolder work;
  if (config.data.empty()) {
    config.data = (work.path / "data").string();
    make_puzzles(config, config.data);
  }
  const PuzzleDataset data = open_dataset(config.data, "train", view_of(config));
  adopt_data(config, data);
  config.validate();
  Trainer trainer(config, data, nullptr, work.path, s.common.device());
  if (!s.run.empty()) {  // read where it is, and never written
    const std::vector<Path> all = list_checkpoints(s.run);
    HRM_CHECK(!all.empty(), "[lab] ", s.run, " has no checkpoint. HINT: train it first");
    fs::create_directory_symlink(fs::absolute(all.back()),
                                 work.path / "checkpoints" / all.back().filename());
    trainer.resume();
  }
  if (s.steps.empty())
    s.steps = s.run.empty() ? std::vector<int64_t>{0, 100, 400}
                            : std::vector<int64_t>{trainer.steps_done()};
  std::sort(s.steps.begin(), s.steps.end());
  HRM_CHECK(s.steps.front() >= trainer.steps_done(), "[lab] --steps must be at least ",
            trainer.steps_done(), ", where the training starts, got ", s.steps.front());
  TrainSampler sampler(data, static_cast<uint64_t>(config.train.seed) + 1,
                       config.train.augment ? data.task().augmentation() : nullptr);
  Json points = Json::array();
  for (const int64_t step : s.steps) {
    train_to(trainer, step);
    const BiasReport report = measure_here(trainer, sampler, s);
    if (s.json) {
      Json point = report.to_json();
      point["step"] = step;
      points.push_back(point);
      continue;
    }
    print("step {}, trained with {}, loss {:.3f}\n{}\n", format_count(step), config.model.gradient,
          report.loss, report.to_text());
    std::fflush(stdout);
  }
  if (s.json) print("{}\n", points.dump(2));
}

}  // namespace

void add_gradients_command(Command lab) {
  const Command command =
      lab.command("gradients", "Compare gradient rules with full backpropagation.");
  auto s = std::make_shared<Settings>();
  const Option preset =
      command.text("--preset", s->preset, "The model that is trained (default: sudoku4).");
  command.text("--run", s->run, "Start from the newest checkpoint of this run.").excludes(preset);
  command.text("--data", s->data,
               "The data set folder (default: Sudoku puzzles made anew; with --run, its own).");
  command.list(
      "--steps", s->steps, 0,
      "The training steps at which to measure (default: 0,100,400; with --run, that of its "
      "checkpoint).");
  command.list("--rules", s->rules,
               "The rules to measure; unrolled:S is S segments as one (default: all).");
  command.texts("--set", s->overrides, kSetHelp).shown_as("KEY=VALUE");
  command.whole_number("--seed", s->seed, 0, kTrainSeedHelp);
  command.whole_number("--batch", s->batch, 1, 1 << 20, "Puzzles in the batch that is measured.");
  command.flag("--json", s->json, kJsonHelp);
  s->common.add(command);
  command.footer("Example: hrm lab gradients --steps 0,400 --rules one_step,full_bptt,unrolled:2");
  command.flag("--train", s->train,
               "Train a model by each rule instead, as `hrm lab figure gradients` does.");
  command.action([s] { s->train ? run_figure("gradients") : gradients(*s); });
}

}  // namespace hrm
