#include "hrm/cli/arc_fit.h"

#include <omp.h>

#include <cctype>
#include <cmath>
#include <ctime>

#include <nlohmann/json.hpp>

#include "hrm/cli/arc_output.h"
#include "hrm/cli/print.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/train/run_files.h"
#include "hrm/train/run_folder.h"
#include "hrm/train/trainer.h"

namespace hrm {
namespace {

// Half a fit is of no use: it ends here if a signal has asked for it.
void stop_if_asked() {
  const int status = StopSignals::exit_status();
  if (status == 0) return;
  print(stderr, "stopped; nothing is kept of it\n");
  throw ExitStatus{status};
}

// Forgets the run in a folder, unless it has come to its end.
struct UnlessDone {
  explicit UnlessDone(RunFolder& run) : folder(run) {}
  ~UnlessDone() {
    if (!done) folder.discard();
  }
  UnlessDone(const UnlessDone&) = delete;
  UnlessDone& operator=(const UnlessDone&) = delete;
  RunFolder& folder;
  bool done = false;
};

// One thread is timed by what it computed: whatever else runs on the machine does not shorten the
// training.
double fit_clock() {
  timespec t{};
  ::clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Takes a few steps to measure.
double seconds_per_step(Trainer& trial) {
  constexpr int kWarmUp = 2;
  constexpr int kTrial = 6;
  double began = 0;
  for (int i = -kWarmUp; i < kTrial; ++i) {
    if (i == 0) began = fit_clock();
    trial.step();
    stop_if_asked();
  }
  return (fit_clock() - began) / kTrial;
}

// The variants of one task: those to train on, and of them those that vote.
struct FitData {
  PuzzleDataset train;
  PuzzleDataset test;
};

FitData fit_data(const ArcTask& task, const Config& config, int canvas, const FitSettings& fit,
                 const Path& run) {
  ArcData data;
  data.tasks = {task};
  data.tasks[0].evaluated = true;
  data.variants = fit.variants;
  data.kinds = ArcKinds::parse(fit.kinds);
  data.canvas = canvas;
  DataView view = view_of(config);
  view.tasks.clear();
  const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view), run);
  view.pool = fit.pool;
  const PuzzleDataset test(std::make_shared<ArcExamples>(data, "test", view, arc_examples(train)),
                           run);
  return {train, test};
}

// Trains to the end of the schedule.
void train_to_end(Trainer& trainer, int64_t total_steps, bool progress) {
  Progress bar("fit", "steps", progress ? total_steps : 0);
  TrainCallbacks callbacks;
  if (progress)
    callbacks.on_metrics = [&](const TrainMetrics& m) {
      bar.update(m.step, fmt::format("loss {:.6f}", m.mean("loss")));
    };
  callbacks.stop = [] { return StopSignals::count() > 0; };
  trainer.run(callbacks);
  bar.finish();
  stop_if_asked();
}

}  // namespace

void add_fit_options(Command command, FitSettings& fit) {
  command.duration("--budget", fit.budget,
                   "How long to train on a task: 60s, 5m, 1h (default 60s).");
  command.whole_number("--variants", fit.variants, 0, 100000,
                       "Variants of the task to train on, besides itself (default 100).");
  command.text("--kinds", fit.kinds,
               "How variants may differ from the task: all (default), none, or some of rotation, "
               "flip, transpose, colour, translation, with commas between them.");
  command.whole_number("--pool", fit.pool, 0, 100000,
                       "How many of the variants vote on the answer (default 100).");
  command.texts("--set", fit.overrides, kSetHelp).shown_as("KEY=VALUE");
}

int canvas_of(const ModelConfig& m) { return static_cast<int>(std::lround(std::sqrt(m.seq_len))); }

std::string task_folder_name(const std::string& task) {
  const bool plain = !task.empty() && task.size() <= 100 && std::ranges::all_of(task, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  return plain ? task : fmt::format("name.{:016x}", name_hash(task));
}

TaskOutcome fit_task(const ArcTask& task, Config config, LoadedRun* start, const FitSettings& fit,
                     const Path& run, bool progress) {
  for (const std::string& item : fit.overrides) config.set_from(item);
  config.data.clear();
  const FitData data = fit_data(task, config, start ? canvas_of(start->config.model) : 0, fit, run);
  HRM_CHECK(!start || data.train.info().seq_len == config.model.seq_len,
            "[adapt] the task needs a canvas of ", data.train.info().seq_len,
            " cells, the model has ", config.model.seq_len);
  RunFolder folder(run);
  HRM_CHECK(!folder.has_run() && list_checkpoints(run).empty(), "[adapt] ", run.string(),
            " holds a run already. HINT: choose another --out folder");
  adopt_data(config, data.train);
  config.tasks.clear();
  if (!fit.network) {
    config.train.lr = 0;
    config.train.weight_decay = 0;
  }
  const auto prepared = [&] {
    auto trainer = std::make_unique<Trainer>(config, data.train, nullptr, run);
    if (start) trainer->start_from(*start->model, start->puzzle_names);
    return trainer;
  };
  // A short trial tells how many steps fit the time, so that the schedule ends with it.
  config.train.total_steps =
      std::max<int64_t>(10, static_cast<int64_t>(fit.budget / seconds_per_step(*prepared())));
  config.train.lr_warmup_steps =
      std::min(config.train.lr_warmup_steps, config.train.total_steps / 10);
  config.train.checkpoint_every = config.train.total_steps;
  Json init;
  if (start) init = {{"checkpoint", stored_name(start->weights)}, {"weights", start->checksum}};
  UnlessDone unless_done(folder);
  write_run_config(run, config, data.train.task().to_json(), init);
  const auto trainer = prepared();
  train_to_end(*trainer, config.train.total_steps, progress);
  const TaskOutcome outcome = vote_on(trainer->model(), data.test, {}, false).at(0);
  stop_if_asked();
  unless_done.done = true;
  return outcome;
}

}  // namespace hrm
