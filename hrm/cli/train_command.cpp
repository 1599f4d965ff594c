// hrm train, hrm demo.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hrm/cli/commands.h"
#include "hrm/cli/on_ranks.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/input.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/tasks/maze_build.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/train/estimate.h"
#include "hrm/train/run_files.h"
#include "hrm/train/run_folder.h"
#include "hrm/train/trainer.h"
#include "hrm/view/puzzle_view.h"
#include "hrm/view/report.h"
#include "kernels/device.h"
#include "kernels/profile.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct Settings {
  std::string preset, config_file, data, run, dtype, init, checkpoint;
  std::vector<std::string> overrides, tasks;
  int64_t seed = -1, steps = -1;
  bool resume = false, fast_sum = false, no_graph = false, json = false;
  CommonOptions common;

  void add_common(Command command) {
    command.section("The run");
    command.text("--run", run, "The run folder (default: in runs/, named after the preset).");
    command.texts("--set", overrides, kSetHelp).shown_as("KEY=VALUE");
    command.whole_number("--seed", seed, 0, kTrainSeedHelp);
    command.whole_number("--steps", steps, 1, "Optimizer steps of the whole run.");
    command.choice("--dtype", dtype, {"f32", "bf16", "f64"},
                   "Number format of the computation: f32 (default), bf16 or f64.");
    command.flag("--json", json, "Print how it ended as JSON, instead of text.");
    common.add(command);
    command.flag("--no-cuda-graph", no_graph,
                 "On a GPU: launch every kernel of every step instead of replaying a graph.");
  }
  // Where text goes for which JSON takes the standard output.
  std::FILE* text() const { return json ? stderr : stdout; }
  void apply_overrides(Config& c) const {
    apply_settings(c, overrides);
    if (!dtype.empty()) c.set("dtype", dtype);
    if (seed >= 0) c.set("seed", std::to_string(seed));
    if (steps >= 0) c.set("total_steps", std::to_string(steps));
    if (fast_sum) c.set("fast_sum", "true");
  }
};

// Of the puzzle table; 0 without one.
int64_t puzzle_rows(const Config& c) {
  return c.is_lattice() || c.model.puzzle_emb_ndim == 0 ? 0 : c.model.num_puzzle_identifiers;
}

constexpr const char* kGoOn = "Go on with --resume";

std::string status(const TrainMetrics& m) {
  return fmt::format("loss {:.3f}  exact {:.1f} %  segments {:.2f}", m.mean("loss"),
                     100 * m.mean("exact_accuracy"), m.mean("steps"));
}

void print_estimate(const Config& c, const Module& model, Device device, const Path& run) {
  const Estimate e = estimate(c, run, device);
  const double rows = static_cast<double>(c.train.step_rows() * c.train.total_steps);
  const std::string where = runtime::device_name(device);
  print(stderr,
        "{} parameters, {} puzzle rows; about {} of memory, {} of disk, {} for {} samples "
        "on {}\n",
        format_count(model.parameter_count()), format_count(puzzle_rows(c)),
        format_bytes(e.memory_bytes), format_bytes(e.disk_bytes), format_duration(e.seconds),
        format_count(static_cast<int64_t>(rows)), where);
}

// "gemm 77 %, attention 9 %, ...": the largest shares of the kernel time since `before`.
std::string where_the_time_went(const KernelTimes& before) {
  std::string text;
  int left = 6;
  for (const auto& [kernel, share] : kernel_shares(before)) {
    if (left-- == 0) break;
    text +=
        (text.empty() ? "" : ", ") + kernel + " " + std::to_string(std::lround(100 * share)) + " %";
  }
  return text;
}

// Trains with a progress bar; what it will need, and every evaluation, are printed.
// A stopped training ends the program with the status of its signal, and `go_on` says what to do.
// `fresh`: the run has just been started. `folder`: on the first rank, which alone writes into it.
void train_with_progress(const Settings& s, Trainer& trainer, const Path& run, RunFolder* folder,
                         bool fresh, const char* go_on) {
  const TrainConfig& t = trainer.config().train;
  const int64_t total = t.total_steps * t.step_rows();
  print_estimate(trainer.config(), trainer.module(), trainer.device(), run);
  std::string farewell;
  const StopSignals signals(StopSignals::Second::ends_the_process);
  const auto before = kernel_times();
  TrainOutcome outcome;
  {
    Progress progress("train", "samples", total, trainer.steps_done() * t.step_rows());
    TrainCallbacks callbacks;
    callbacks.stop = [] { return StopSignals::count() > 0; };
    callbacks.on_metrics = [&](const TrainMetrics& m) { progress.update(m.samples, status(m)); };
    callbacks.on_eval_start = [&](int64_t step) {
      farewell = "\nstopped in the evaluation after step " + format_count(step) +
                 "; the checkpoint is written. " + go_on + "\n";
      StopSignals::leave_with(farewell.c_str());
    };
    callbacks.on_eval = [&](const EvalResult& r, bool best) {
      StopSignals::leave_with(nullptr);
      progress.message("step " + format_count(r.step) + "  " + describe(r) +
                       (best ? "  (best)" : ""));
    };
    try {
      outcome = trainer.run(callbacks);
    } catch (const Error& error) {
      StopSignals::leave_with(nullptr);
      if (std::string(error.what()).find("[allocate] out of memory") == std::string::npos) throw;
      const std::vector<Path> saved = list_checkpoints(run);
      if (!folder || !fresh || (!saved.empty() && saved.back() != checkpoint_path(run, 0)))
        throw Error(std::string(error.what()) +
                    ", or go on with --resume when more memory is free");
      // Nothing was trained: the folder is free for the same command with a smaller batch.
      folder->discard();
      const int64_t batch = batch_after_failure(trainer.config(), run, trainer.device());
      throw Error(std::string(error.what()) +
                  (batch > 0 ? " (batch_size " + std::to_string(batch) + " should fit)" : "") +
                  ", or more micro_batches");
    }
  }
  if (const std::string text = where_the_time_went(before); !text.empty())
    print(stderr, "Where the time went: {}\n", text);
  if (folder) write_report(run);
  if (outcome == TrainOutcome::early_stopped)
    print(s.text(), "Ended early, after step {} of {}: {}.\n", format_count(trainer.steps_done()),
          format_count(t.total_steps), trainer.reason_to_stop());
  if (outcome != TrainOutcome::stopped) return;
  print(stderr, "stopped after step {}; the checkpoint is written. {}\n",
        format_count(trainer.steps_done()), go_on);
  throw ExitStatus{StopSignals::exit_status()};
}

// The configuration that a run folder holds, with what the command line changes. Throws one line
// for a setting that would make it another run.
Config resumed_config(const Settings& s, const Path& run) {
  const Config old = read_config(run);
  HRM_CHECK(s.preset.empty() || s.preset == old.preset, "[train] ", run.string(),
            " holds a run of the preset '", old.preset, "', not '", s.preset,
            "'. HINT: leave out --preset, or choose another --run folder");
  Config config = old;
  if (!s.config_file.empty()) {
    config = Config::from_json(read_json_input(s.config_file), input_name(s.config_file));
    config.data = old.data;
    // What the data set tells, not the file.
    config.model.seq_len = old.model.seq_len;
    config.model.vocab_size = old.model.vocab_size;
    config.model.num_puzzle_identifiers = old.model.num_puzzle_identifiers;
  }
  s.apply_overrides(config);
  if (!s.tasks.empty()) config.tasks = s.tasks;
  for (const Difference& d : differences(old, config))
    HRM_CHECK(may_change_on_resume(d.key), "[train] ", run.string(), " holds a run with ", d.key,
              " = ", d.old_value, ", not ", d.new_value,
              ". HINT: leave it out, or choose another --run folder for another run");
  return config;
}

// The model and the recipe of another run, with a line that says what was taken.
Config settings_of(const Path& run) {
  const Config config = config_in(run);
  print(stderr, "takes the settings of {}: lr {:g}, {} steps, data {}\n", run.string(),
        config.train.lr, format_count(config.train.total_steps),
        config.data.empty() ? "none" : printable(config.data));
  return config;
}

Config new_config(const Settings& s) {
  HRM_CHECK(s.preset.empty() || s.config_file.empty(),
            "[train] --preset and --config exclude each other");
  Config config;
  if (!s.config_file.empty())
    config = Config::from_json(read_json_input(s.config_file), input_name(s.config_file));
  else if (s.preset.empty() && !s.init.empty())
    config = settings_of(s.init);
  else
    config = preset(s.preset.empty() ? "sudoku4" : s.preset);
  s.apply_overrides(config);
  if (!s.tasks.empty()) config.tasks = s.tasks;
  return config;
}

// The test split, if there is one with examples.
std::optional<PuzzleDataset> test_split(const Config& config, const PuzzleDataset& train) {
  std::optional<PuzzleDataset> test;
  DataView view = view_of(config);
  view.pool = 0;  // ARC: the tasks themselves; `hrm arc predict` votes over variants
  if (train.examples().holds_both_splits() ||
      fs::exists(Path(config.data) / "test" / "dataset.json"))
    test = open_dataset(config.data, "test", view, &train);
  if (test && test->num_examples() == 0) test.reset();
  return test;
}

// One spelling for a folder, from wherever it is named.
std::string real_name(const Path& folder) {
  std::string name = fs::weakly_canonical(fs::absolute(folder)).string();
  if (name.size() > 1 && name.ends_with('/')) name.pop_back();
  return name;
}

// Starts from the weights of another run. Returns what config.json says of it.
Json start_from(Trainer& trainer, const LoadedRun& start, const Path& run) {
  const int64_t found = trainer.start_from(start.module(), start.puzzle_names);
  const int64_t rows = puzzle_rows(trainer.config());
  print(stderr, "starts from {}{}\n", start.weights.string(),
        rows ? fmt::format("; {} of {} puzzle rows found", format_count(found),
                           format_count(trainer.config().model.num_puzzle_identifiers - 1))
             : "");
  check_name(real_name(run));
  check_name(real_name(start.weights));
  return {{"run", real_name(run)},
          {"checkpoint", real_name(start.weights)},
          {"weights", start.checksum}};
}

// Goes on from the newest checkpoint, with a line for all that is not as it was.
void resume_and_say(Trainer& trainer) {
  const Resumed resumed = trainer.resume();
  for (const std::string& line : resumed.damaged)
    print(stderr, "{}: going on from step {}\n", printable(line),
          format_count(trainer.steps_done()));
  for (const std::string& line : resumed.notes) print(stderr, "note: {}\n", printable(line));
  for (const Difference& d : resumed.changes)
    print(stderr, "from step {} on: {} = {}, not {}\n", format_count(trainer.steps_done()), d.key,
          d.new_value, d.old_value);
}

// Goes on with a run: from its newest checkpoint, or from where it started if it has none.
void resume(Trainer& trainer, const Settings& s, const Path& run) {
  const Json init = read_json(run / "config.json").value("init", Json::object());
  const std::string from = init.value("run", ""), wanted = init.value("weights", "");
  HRM_CHECK(s.init.empty() || real_name(s.init) == from, "[train] ", run.string(),
            " holds a run that started from ", from.empty() ? "random weights" : from,
            ", not from ", s.init, ". HINT: leave out --init, or choose another --run folder");
  if (!list_checkpoints(run).empty()) {
    resume_and_say(trainer);
  } else if (fs::exists(run / "best")) {
    // An imported run, or one whose checkpoints somebody has removed.
    detail::fail("[train] ", run.string(),
                 " has weights in best, but no checkpoint to go on from. HINT: `hrm train --init ",
                 run.string(), " --run NEW` starts a new run from these weights");
  } else if (!from.empty()) {
    const std::string checkpoint = init.value("checkpoint", "");
    const auto gone = [&] {
      detail::fail(
          "[train] ", run.string(),
          " has no checkpoint yet, and the weights that it started from are gone or others "
          "now: ",
          checkpoint, ". HINT: start anew in another --run folder");
    };
    if (!fs::exists(checkpoint)) gone();
    const bool one_file = fs::is_regular_file(from);
    const LoadedRun start = load_any_run(from, one_file ? "" : checkpoint);
    if (start.checksum != wanted) gone();
    start_from(trainer, start, from);
  }
}

// The folder of the run: --run, or the preset's own.
Path run_folder(const Settings& s, const std::string& preset_name) {
  return !s.run.empty() ? Path(s.run) : Path("runs") / (preset_name.empty() ? "run" : preset_name);
}

// How a training ended: its last evaluation, if it had one.
Json outcome_json(const Trainer& trainer, const Path& run) {
  Json json = {
      {"run", run.string()},
      {"report", (run / "report.html").string()},
      {"steps", trainer.steps_done()},
      {"total_steps", trainer.config().train.total_steps},
      {"ended_early", trainer.reason_to_stop().empty() ? Json() : Json(trainer.reason_to_stop())}};
  json["evaluation"] = last_evaluation(run);
  return json;
}

void say_where(const Settings& s, const Trainer& trainer, const Path& run) {
  if (s.json)
    print_json(outcome_json(trainer, run));
  else
    print("run folder {}; report {}\n", run.string(), (run / "report.html").string());
}

// A run that is there already, held from before its configuration is read.
void resume_training(const Settings& s, const Communicator& ranks) {
  HRM_CHECK(!s.run.empty() || !s.preset.empty(),
            "[train] --resume needs a run. HINT: --run RUN names its folder");
  const Path run = run_folder(s, s.preset);
  HRM_CHECK(fs::exists(run / "config.json"), "[train] there is no run in ", run.string(),
            " to resume. HINT: leave out --resume to start one");
  std::optional<RunFolder> folder;
  if (ranks.is_first()) folder.emplace(run);
  ranks.barrier();
  Config config = resumed_config(s, run);
  if (!s.data.empty())
    config.data = s.data;
  else
    note_moved_data(run);
  HRM_CHECK(!config.data.empty(), "[train] ", run.string(), " names no data set. HINT: --data DIR");
  HRM_CHECK(fs::exists(config.data), "[train] the data set of the run is not in ", config.data,
            " any more. HINT: --data DIR says where it is now");
  const PuzzleDataset train_data = open_dataset(config.data, "train", view_of(config));
  config.validate();
  const std::optional<PuzzleDataset> test_data = test_split(config, train_data);
  check_fits(estimate(config, run, s.common.device()));
  Trainer trainer(config, train_data, test_data ? &*test_data : nullptr, run, s.common.device(),
                  ranks);
  trainer.use_cuda_graph(!s.no_graph);
  resume(trainer, s, run);
  if (folder) {
    read_metrics(run);  // damage in it is found now, not in the report at the end
    update_run_config(run, config);
  }
  train_with_progress(s, trainer, run, folder ? &*folder : nullptr, false, kGoOn);
  say_where(s, trainer, run);
}

// How to make data of the kind that a preset is for, in `folder`, or in one of its own.
std::string data_recipe(const std::string& preset_name, const Path& folder) {
  const std::string name = preset_name.empty() ? "sudoku4" : preset_name;
  auto info = std::ranges::find(presets(), name, &PresetInfo::name);
  if (info == presets().end()) info = presets().begin();  // a config.json may name any preset
  const std::string where = folder.empty() ? info->data : folder.string();
  const std::string make = "`hrm data " + info->recipe + " --out " + where + "`";
  if (!folder.empty()) return make + " makes one";
  return make + ", then `hrm train --preset " + info->name + " --data " + where + "`";
}

// What to do without a data set. The weights of --init are worth little without theirs.
std::string data_hint(const Settings& s, const Config& config) {
  return s.init.empty() ? data_recipe(config.preset, config.data) : "--data DIR says where it is";
}

// Each rank needs a micro-batch at least.
void make_micro_batches(TrainConfig& t, int ranks) {
  if (ranks == 1 || t.micro_batches >= ranks) return;
  print(stderr, "micro_batches={}, one for each process\n", ranks);
  t.micro_batches = ranks;
}

// The folder is made last, so that a start that fails leaves none.
void start_training(const Settings& s, const Communicator& ranks) {
  Config config = new_config(s);
  make_micro_batches(config.train, ranks.size());
  const Path run = run_folder(s, config.preset);
  const auto check_free = [&] {
    HRM_CHECK(
        !fs::exists(run / "config.json"), "[train] ", run.string(),
        " holds a run already. HINT: --resume goes on with it, another --run folder starts anew");
    HRM_CHECK(list_checkpoints(run).empty(), "[train] ", run.string(),
              " has checkpoints, but no config.json. HINT: choose another --run folder");
  };
  check_free();
  if (!s.data.empty()) config.data = s.data;
  HRM_CHECK(!config.data.empty(), "[train] a data set is needed. HINT: ", data_hint(s, config));
  HRM_CHECK(fs::exists(config.data), "[train] there is no data set in ", config.data,
            ". HINT: ", data_hint(s, config));
  const PuzzleDataset train_data = open_dataset(config.data, "train", view_of(config));
  adopt_data(config, train_data);
  config.validate();
  const std::optional<PuzzleDataset> test_data = test_split(config, train_data);
  check_fits(estimate(config, run, s.common.device()));
  Trainer trainer(config, train_data, test_data ? &*test_data : nullptr, run, s.common.device(),
                  ranks);
  trainer.use_cuda_graph(!s.no_graph);
  Json init;
  if (!s.init.empty()) {
    const LoadedRun start = load_any_run(s.init, s.checkpoint);
    try {
      init = start_from(trainer, start, s.init);
    } catch (const Error& error) {
      if (s.preset.empty() && s.config_file.empty()) throw;
      throw with_hint(
          error, "without --preset and --config, --init takes the settings of " + s.init + ", too");
    }
  }
  std::optional<RunFolder> folder;
  if (ranks.is_first()) {
    folder.emplace(run);
    check_free();  // once more, now that no other process can start one
    write_run_config(run, config, train_data.task().to_json(), init);
  }
  train_with_progress(s, trainer, run, folder ? &*folder : nullptr, true, kGoOn);
  say_where(s, trainer, run);
}

void train(const Settings& s, const Communicator& ranks) {
  s.common.apply();
  HRM_CHECK(ranks.size() == 1 || s.config_file != "-",
            "[train] only one of several processes has the standard input. HINT: --config FILE");
  HRM_CHECK(!s.no_graph || s.common.device() == Device::cuda,
            "[train] --no-cuda-graph is of a GPU. HINT: --device cuda, or leave it out");
  HRM_CHECK(ranks.size() == 1 || !s.common.tune,
            "[train] with --tune each process may choose other algorithms, and the run depends on "
            "which computes what. HINT: leave it out with several processes");
  HRM_CHECK(s.checkpoint.empty() || (!s.init.empty() && !s.resume),
            "[train] --checkpoint chooses the weights of --init. HINT: --resume takes the newest "
            "checkpoint by itself");
  if (s.resume)
    resume_training(s, ranks);
  else
    start_training(s, ranks);
}

// --- demo ---------------------------------------------------------------------------------------

// The presets that the demo can make data for and that a laptop trains: those of small boards.
std::vector<std::string> demo_presets() {
  constexpr int64_t kMostCells = 100;
  std::vector<std::string> names;
  for (const PresetInfo& p : presets())
    if ((p.task == "sudoku" || p.task == "maze") && preset(p.name).model.seq_len <= kMostCells)
      names.push_back(p.name);
  return names;
}

SudokuBuild demo_sudoku(const Config& config) {
  SudokuBuild build;
  build.seed = static_cast<uint64_t>(config.train.seed);
  build.rules = SudokuRules::of_side(static_cast<int>(config.model.side()));
  build.count = build.rules.side == 6 ? 30000 : 20000;
  if (build.rules.side == 4) build.test_classes = 500;
  // A lattice is for puzzles that need guesses.
  build.minimal = build.rules.side == 9 && config.is_lattice();
  return build;
}

void make_demo_sudoku(const Config& config, const Path& folder, std::FILE* text) {
  SudokuBuild build = demo_sudoku(config);
  print(text, "Making {} Sudoku puzzles of size {}x{}, each with one solution.\n",
        format_count(build.count), build.rules.side, build.rules.side);
  std::fflush(text);
  Progress bar("make", "puzzles");
  build.on_progress = bar.callback();
  const BuildSummary summary = build_sudoku(build, folder);
  bar.finish();
  print(text,
        "Training: {} puzzles from {} symmetry classes. Held out: {} puzzles from {} other "
        "classes, so that no test puzzle is a turned or relabelled training puzzle.\n",
        format_count(summary.train), format_count(summary.train_classes),
        format_count(summary.test), format_count(summary.test_classes));
}

void make_demo_mazes(const Config& config, const Path& folder, std::FILE* text) {
  MazeBuild build;
  build.seed = static_cast<uint64_t>(config.train.seed);
  build.side = static_cast<int>(config.model.side());
  build.count = 20000;
  build.min_path = 9;
  build.unique = true;
  print(text, "Making {} mazes of size {}x{}, each with one shortest path.\n",
        format_count(build.count), build.side, build.side);
  std::fflush(text);
  Progress bar("make", "mazes");
  build.on_progress = bar.callback();
  const MazeSummary summary = build_maze(build, folder);
  bar.finish();
  print(text, "Training: {} mazes. Held out: {} others.\n", format_count(summary.train),
        format_count(summary.test));
}

// runs/demo-NAME, or the first free name behind it if that holds another configuration.
Path demo_folder(const std::string& name, const Config& config) {
  for (int i = 1;; ++i) {
    const Path run = Path("runs") / ("demo-" + name + (i == 1 ? "" : "-" + std::to_string(i)));
    if (!fs::exists(run / "config.json") || differences(read_config(run), config).empty())
      return run;
  }
}

void show_traces(const EvalResult& result, const Task& task) {
  for (size_t i = 0; i < std::min<size_t>(3, result.traces.size()); ++i)
    print("\n{}", trace_text(result.traces[i], task, use_colour(stdout)));
}

// The preset with what the command line changes.
Config demo_config(const Settings& s) {
  Config config = preset(s.preset);
  if (s.preset == "sudoku4") {  // its steps go on long after that
    config.train.early_stop_accuracy = 0.99;
    config.train.eval_every = config.train.total_steps / 20;
  }
  s.apply_overrides(config);
  return config;
}

void show_demo_result(const Path& run, const Task& task) {
  const Path file = run / "evaluation.json";
  const EvalResult result = eval_result_from_json(read_json(file), file.string());
  show_traces(result, task);
  print("\nHeld-out test: {}\n", describe(result));
  print("Report: {}\n", (run / "report.html").string());
  if (!result.traces.empty())
    print("Solve your own: hrm solve \"{}\" --run {}\n",
          printable(task.text(result.traces[0].inputs)), run.string());
}

void demo(Settings s) {
  s.common.apply();
  if (s.preset.empty()) s.preset = "sudoku4";
  Config config = demo_config(s);
  config.validate();
  const Path run = s.run.empty() ? demo_folder(s.preset, config) : Path(s.run);
  config.data = (run / "data").string();
  RunFolder folder(run);
  if (folder.has_run())
    for (const Difference& d : differences(read_config(run), config))
      detail::fail("[demo] ", run.string(), " holds a run with ", d.key, " = ", d.old_value,
                   ", not ", d.new_value, ". HINT: choose another --run folder");
  check_fits(estimate(config, run, s.common.device()));

  const auto info = std::ranges::find(presets(), s.preset, &PresetInfo::name);
  if (!fs::exists(config.data))
    (info->task == "maze" ? make_demo_mazes : make_demo_sudoku)(config, config.data, s.text());
  const PuzzleDataset train_data = open_dataset(config.data, "train");
  const PuzzleDataset test_data = open_dataset(config.data, "test");
  Trainer trainer(config, train_data, &test_data, run, s.common.device());
  trainer.use_cuda_graph(!s.no_graph);
  const bool fresh = !folder.has_run();
  if (fresh) write_run_config(run, config, train_data.task().to_json(), {});
  if (!list_checkpoints(run).empty()) resume_and_say(trainer);
  std::fflush(stdout);
  if (!trainer.finished()) {
    train_with_progress(s, trainer, run, &folder, fresh, "The same command goes on");
    print(s.text(), "Trained for {}.\n", format_duration(trainer.elapsed()));
  } else {
    print(s.text(),
          "{} holds this run, finished: its results again. (Another --seed or --set starts "
          "a new one.)\n",
          run.string());
    if (!fs::exists(run / "report.html")) write_report(run);
  }
  if (s.json)
    print_json(outcome_json(trainer, run));
  else
    show_demo_result(run, train_data.task());
}

}  // namespace

void add_train_command(Command app) {
  const Command command = app.command("train", "Train a model on a data set.");
  auto s = std::make_shared<Settings>();
  command.text("--preset", s->preset, "The settings to start from; `hrm info` lists them.");
  command.text("--config", s->config_file,
               "Take the settings of a config.json instead (- is the standard input).");
  command.text("--data", s->data, "The data set folder.");
  command.texts("--task", s->tasks, "ARC: train on these tasks alone.").shown_as("ID...");
  command.section("Where to start");
  command.text("--init", s->init,
               "Start from the weights of another run; without --preset and --config, with its "
               "settings, too.");
  command.text("--checkpoint", s->checkpoint,
               "With --init: which of its weights: best (default), last, or a checkpoint folder.");
  command.flag("--resume", s->resume, "Go on from the last checkpoint of the run folder.");
  s->add_common(command);
  command.flag("--fast-sum", s->fast_sum,
               "Several processes: add up gradients in the quickest order. Such a run cannot be "
               "repeated bit for bit.");
  command.footer(
      "Example: hrm train --preset hrm-27m --data data/sudoku9 --set batch_size=8\n"
      "Ctrl-C finishes the step, writes a checkpoint and says how to go on.\n"
      "Several processes: mpirun -np 4 hrm train ..., with a program from make MPI=1.");
  command.action([s] { run_on_ranks([&](const Communicator& ranks) { train(*s, ranks); }); });
}

void add_demo_command(Command app) {
  const Command command =
      app.command("demo", "Make puzzles, train on them, watch the model solve others.");
  auto s = std::make_shared<Settings>();
  command.choice("--preset", s->preset, demo_presets(),
                 "The size of the puzzles and the kind of model: sudoku4 (default), ..., maze10, "
                 "or lattice4, ..., for lattice deduction.");
  s->add_common(command);
  command.footer("The same command goes on with the training, or shows the finished run.");
  command.action([s] { demo(*s); });
}

}  // namespace hrm
