// hrm arc predict, show, farm; hrm adapt.
#include <omp.h>

#include <cctype>
#include <cstdio>
#include <ctime>
#include <numeric>
#include <set>
#include <thread>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/folder_lock.h"
#include "hrm/support/json_lines.h"
#include "hrm/support/processes.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/train/run_files.h"
#include "hrm/train/run_folder.h"
#include "hrm/view/page.h"
#include "hrm/view/picture.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct PredictSettings {
  std::string run, checkpoint, data, kinds, out;
  std::vector<std::string> tasks;
  int64_t variants = -1, seed = -1;
  EvalOptions options;
  bool json = false, shuffle = false;
  CommonOptions common;

  void add(CLI::App& command) {
    command.add_option("--run", run, "run folder")->required();
    command.add_option("--checkpoint", checkpoint, "best (default), last, or a checkpoint folder");
    command.add_option("--data", data, "data set folder (default: the one trained on)");
    command
        .add_option("--variants", variants,
                    "that vote, besides each task itself (default: all of the data set)")
        ->check(whole_number(0, 1000000));
    command.add_option("--kinds", kinds,
                       "of variants that vote: all, none, or rotation,flip,... (not with "
                       "conditioning=variant, which knows those of training alone)");
    command.add_option("--seed", seed, "of variants (likewise)")->check(whole_number(0));
    command.add_option("--segments", options.segments, "per puzzle (default: as trained)")
        ->check(whole_number(1, 100000));
    command.add_flag("--halt", options.halting, "stop a puzzle when the q head says so");
    command.add_option("--batch", options.batch_size, "puzzles at once")
        ->check(whole_number(1, 1 << 20));
    common.add(command);
  }
};

// The pool of variants to vote over.
DataView pool_of(const PredictSettings& s, const Config& config) {
  DataView view = view_of(config);
  if (!s.tasks.empty()) view.tasks = s.tasks;
  if (config.model.conditioning == Conditioning::variant) {
    HRM_CHECK(
        s.kinds.empty() && s.seed < 0,
        "[arc] a model with conditioning=variant knows the variants of its training alone. HINT: "
        "leave out --kinds and --seed, or train with --set conditioning=task");
    view.pool = s.variants;
    return view;
  }
  if (s.variants >= 0) view.variants = s.variants;
  view.kinds = s.kinds.empty() ? "rotation,flip,transpose,colour" : s.kinds;
  if (s.seed >= 0) view.seed = static_cast<uint64_t>(s.seed);
  return view;
}

// Evaluates a test split and collects its votes.
std::vector<TaskOutcome> vote(const Model& model, const PuzzleDataset& data, EvalOptions options,
                              bool progress) {
  const ArcIndex* index = arc_examples(data);
  std::optional<OfficialArc> official;
  if (!index) index = &official.emplace(data);
  Voting voting(*index);
  Progress bar("predict", "variants");
  if (progress) options.on_progress = bar.callback();
  options.on_answer = [&](const Answer& a) { voting.add(a.example, a.tokens, a.q_halt); };
  evaluate(model, data, options);
  return voting.outcomes();
}

std::string share(double x) { return fmt::format("{:>5.1f} %", 100 * x); }

std::vector<std::string> solved(const std::vector<TaskOutcome>& outcomes) {
  std::vector<std::string> names;
  for (const TaskOutcome& task : outcomes)
    if (std::ranges::all_of(task.tests,
                            [](const TestOutcome& t) { return t.rank == 1 || t.rank == 2; }))
      names.push_back(task.task);
  return names;
}

void print_scores(const std::vector<TaskOutcome>& outcomes) {
  const ArcScores s = score(outcomes);
  if (s.tasks == 0) {
    print("{} tasks predicted; their answers are not known\n", format_count(std::ssize(outcomes)));
    return;
  }
  print("{} tasks, {} test outputs\n\n{:<11} {:>12} {:>12} {:>12}\n{:<11} {:>12} {:>12} {:>12}\n",
        format_count(s.tasks), format_count(s.tests), "", "all tests of", "mean share", "test", "",
        "a task right", "of tests", "outputs");
  for (size_t k = 0; k < kPassAt.size(); ++k)
    print("pass@{:<6} {:>12} {:>12} {:>12}\n", kPassAt[k], share(s.all_tests[k]),
          share(s.fraction[k]), share(s.outputs[k]));
  print("95 % interval of tasks at pass@2: {} to {}\n", share(s.low), share(s.high));
  std::string list;
  for (const std::string& name : solved(outcomes)) list += " " + name;
  print("solved at pass@2:{}\n", list.empty() ? " none" : list);
}

// submission.json and predictions.json.
void write_predictions(const Path& out, const std::vector<TaskOutcome>& outcomes) {
  create_folder(out);
  Json json = {{"scores", to_json(score(outcomes))}, {"solved", solved(outcomes)}};
  json["tasks"] = Json::array();
  for (const TaskOutcome& task : outcomes) json["tasks"].push_back(to_json(task));
  write_file_atomically(out / "submission.json", submission(outcomes).dump() + "\n");
  write_file_atomically(out / "predictions.json", json.dump() + "\n");
}

// Gives every puzzle the embedding of another: what is left does not come from it.
void shuffle_puzzle_rows(LoadedRun& run) {
  HRM_CHECK(run.model->puzzle_emb, "[arc] --shuffle needs a puzzle table; this model has none");
  const Tensor& table = run.model->puzzle_emb->weights;
  std::vector<int64_t> order(table.size(0));
  std::iota(order.begin(), order.end(), 0);
  Random(0).fork("shuffle").shuffle(order);
  Tensor rows = empty_like(table);
  for (int64_t i = 0; i < table.size(0); ++i)
    rows.sliced(0, i, i + 1).copy_from(table.sliced(0, order[i], order[i] + 1));
  run.model->replace_puzzle_rows(rows);
}

// Says when --variants asks for what there is not.
void check_pool(const PredictSettings& s, const PuzzleDataset& data) {
  if (s.variants < 0) return;
  HRM_CHECK(arc_examples(data), "[arc] --variants chooses among those of the compact form; ",
            data.folder().string(),
            " is in the official form, and all of its variants vote. HINT: leave "
            "it out");
  note_pool(s.variants, data);
}

void predict(const PredictSettings& s) {
  s.common.apply();
  LoadedRun run = load_run(s.run, s.checkpoint, s.common.device());
  const PuzzleDataset data = open_data(run, s.data, "test", pool_of(s, run.config));
  HRM_CHECK(data.num_examples() > 0, "[arc] ", data.folder().string(), " has no evaluated tasks");
  check_pool(s, data);
  const Path out = s.out.empty() ? Path(s.run) / "predictions" : Path(s.out);
  create_folder(out);  // first, so that no work is lost where it cannot be
  if (s.shuffle) shuffle_puzzle_rows(run);
  const auto outcomes = vote(*run.model, data, s.options, true);
  write_predictions(out, outcomes);
  if (s.json) {
    Json json = to_json(score(outcomes));
    for (const TaskOutcome& task : outcomes)
      json["solved_at_2"] = json.value("solved_at_2", "") + (solved({task}).empty() ? '0' : '1');
    print_json(json);
  } else {
    print_scores(outcomes);
  }
  print(stderr, "{}, predictions.json beside it\n", (out / "submission.json").string());
}

void score_file(const std::string& file, const std::vector<std::string>& from) {
  int64_t repeated = 0;
  const std::vector<ArcTask> tasks = load_arc({from.begin(), from.end()}, &repeated);
  print_scores(judge_submission(read_json(file), tasks, file));
}

// --- show ---------------------------------------------------------------------------------------

Sheet task_sheet(const ArcTask& task) {
  Sheet sheet;
  SheetRow demos{"demonstrations", {}};
  for (size_t i = 0; i < task.train.size(); ++i) {
    demos.panels.push_back({"input " + std::to_string(i + 1), task.train[i].input});
    demos.panels.push_back({"output " + std::to_string(i + 1), task.train[i].output});
  }
  sheet.push_back(demos);
  for (size_t i = 0; i < task.test.size(); ++i) {
    SheetRow row{"test " + std::to_string(i + 1), {{"input", task.test[i].input}}};
    if (!task.test[i].output.empty()) row.panels.push_back({"truth", task.test[i].output});
    sheet.push_back(row);
  }
  return sheet;
}

// Behind each test: the prediction after every segment, and the first candidates of the vote.
void add_predictions(Sheet& sheet, const Model& model, const PuzzleDataset& data,
                     const EvalOptions& options) {
  const auto outcomes = vote(model, data, options, false);
  const int side = square_side(data.info().seq_len);
  Sheet with = {sheet.at(0)};
  for (int64_t pair = 0; pair < std::ssize(sheet) - 1; ++pair) {
    with.push_back(sheet[pair + 1]);
    const Example example = data.read(pair);
    const PuzzleTrace trace = solve_one(model, example.inputs, example.puzzle_id, options);
    SheetRow segments{"prediction by segment", {}}, votes{"votes", {}};
    for (size_t i = 0; i < trace.predictions.size(); ++i)
      segments.panels.push_back({fmt::format("{}: q {:.2f}", i + 1, trace.q_halt[i]),
                                 crop(trace.predictions[i].data(), side)});
    for (const Candidate& c : outcomes.at(0).tests.at(pair).best)
      votes.panels.push_back(
          {fmt::format("{} vote{}, q {:.2f}", c.count, c.count == 1 ? "" : "s", c.mean_q), c.grid});
    with.push_back(segments);
    with.push_back(votes);
  }
  sheet = std::move(with);
}

std::vector<ArcTask> tasks_of_data(const Path& folder) {
  HRM_CHECK(
      fs::exists(folder / kArcFile), "[arc] ", folder.string(),
      " is no ARC data set in the compact form. HINT: --from FOLDER with the files of its tasks");
  return read_arc_data(folder / kArcFile).tasks;
}

struct ShowSettings : PredictSettings {
  std::string task;
  std::vector<std::string> from;
};

void show(ShowSettings s) {
  s.common.apply();
  HRM_CHECK(s.from.empty() || s.data.empty(),
            "[arc] --from and --data both say where the task is. HINT: leave one of them out");
  std::optional<LoadedRun> run;
  std::vector<ArcTask> tasks;
  if (!s.run.empty()) {
    run = load_run(s.run, s.checkpoint, s.common.device());
    if (s.data.empty()) s.data = run->config.data;
  }
  if (!s.from.empty())
    tasks = load_all_arc({s.from.begin(), s.from.end()});
  else if (!s.data.empty())
    tasks = tasks_of_data(s.data);
  else
    detail::fail("[arc] show needs tasks. HINT: --from FOLDER, --data DIR or --run RUN");
  keep_tasks(tasks, {s.task});
  Sheet sheet = task_sheet(tasks[0]);
  if (run) {
    s.tasks = {s.task};
    if (s.variants < 0) s.variants = 0;
    const PuzzleDataset data = open_data(*run, s.data, "test", pool_of(s, run->config));
    HRM_CHECK(data.num_examples() > 0, "[arc] ", s.task, " is no evaluated task of ", s.data);
    check_pool(s, data);
    add_predictions(sheet, *run->model, data, s.options);
  }
  const std::string extension = Path(s.out).extension();
  if (s.out.empty()) {
    print("{}", sheet_text(sheet, use_colour(stdout)));
    return;
  }
  HRM_CHECK(extension != ".png", "[arc] PNG is not written, got --out ", s.out,
            ". HINT: a name that ends in .svg or .html");
  HRM_CHECK(extension == ".html" || extension == ".svg",
            "[arc] --out must end in .html or .svg, got '", s.out, "'");
  write_output(s.out, extension == ".html" ? sheet_html(s.task, sheet) : sheet_svg(sheet));
  print("{}\n", s.out);
}

// Adapt and farm: one task, for a time.

// What a task's folder is called: its name, where that is a plain word. Names come from files, and
// a path among them must not lead anywhere.
std::string folder_name(const std::string& task) {
  const bool plain = !task.empty() && task.size() <= 100 && std::ranges::all_of(task, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
  return plain ? task : fmt::format("name.{:016x}", name_hash(task));
}

struct FitSettings {
  double budget = 60;      // seconds of training
  int64_t variants = 100;  // for training, and of them
  int64_t pool = 100;      // that vote
  std::string kinds = "all";
  bool network = true;                 // whether the weights are trained, too
  std::vector<std::string> overrides;  // of the configuration
};

int canvas_of(const ModelConfig& m) { return static_cast<int>(std::lround(std::sqrt(m.seq_len))); }

// Half a fit is of no use: it ends here if a signal has asked for it.
void stop_if_asked() {
  const int status = StopSignals::exit_status();
  if (status == 0) return;
  print(stderr, "stopped; nothing is kept of it\n");
  throw CLI::RuntimeError(status);
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

// Trains on one task for the budget, from `start` if there is one, and votes on its tests. The
// folder `run` must not hold a run.
TaskOutcome fit_task(const ArcTask& task, Config config, LoadedRun* start, const FitSettings& fit,
                     const Path& run, bool progress) {
  ArcData data;
  data.tasks = {task};
  data.tasks[0].evaluated = true;
  data.variants = fit.variants;
  data.kinds = ArcKinds::parse(fit.kinds);
  data.canvas = start ? canvas_of(start->config.model) : 0;
  for (const std::string& item : fit.overrides) config.set_from(item);
  config.data.clear();
  DataView view = view_of(config);
  view.tasks.clear();
  const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view), run);
  view.pool = fit.pool;
  const PuzzleDataset test(std::make_shared<ArcExamples>(data, "test", view, arc_examples(train)),
                           run);
  HRM_CHECK(!start || train.info().seq_len == config.model.seq_len,
            "[adapt] the task needs a canvas of ", train.info().seq_len, " cells, the model has ",
            config.model.seq_len);
  RunFolder folder(run);
  HRM_CHECK(!folder.has_run() && list_checkpoints(run).empty(), "[adapt] ", run.string(),
            " holds a run already. HINT: choose another --out folder");
  adopt_data(config, train);
  config.tasks.clear();
  if (!fit.network) {
    config.train.lr = 0;
    config.train.weight_decay = 0;
  }
  const auto prepared = [&] {
    auto trainer = std::make_unique<Trainer>(config, train, nullptr, run);
    if (start) trainer->start_from(*start->model, start->puzzle_names);
    return trainer;
  };
  // A short trial tells how many steps fit the time, so that the schedule ends with it. One thread
  // is timed by what it computed: whatever else runs on the machine does not shorten the training.
  const auto clock = [] {
    timespec t{};
    ::clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  constexpr int kTrial = 6;
  double began = clock();
  {
    const auto trial = prepared();
    for (int i = -2; i < kTrial; ++i) {  // two until it is warm
      if (i == 0) began = clock();
      trial->step();
      stop_if_asked();
    }
  }
  const double seconds_per_step = (clock() - began) / kTrial;
  config.train.total_steps =
      std::max<int64_t>(10, static_cast<int64_t>(fit.budget / seconds_per_step));
  config.train.lr_warmup_steps =
      std::min(config.train.lr_warmup_steps, config.train.total_steps / 10);
  config.train.checkpoint_every = config.train.total_steps;
  Json init;
  if (start) init = {{"checkpoint", stored_name(start->weights)}, {"weights", start->checksum}};
  UnlessDone unless_done(folder);
  write_run_config(run, config, train.task().to_json(), init);
  const auto trainer = prepared();
  Progress bar("fit", "steps", progress ? config.train.total_steps : 0);
  TrainCallbacks callbacks;
  if (progress)
    callbacks.on_metrics = [&](const TrainMetrics& m) {
      bar.update(m.step, "loss " + std::to_string(m.loss));
    };
  callbacks.stop = [] { return StopSignals::count() > 0; };
  trainer->run(callbacks);
  bar.finish();
  stop_if_asked();
  const TaskOutcome outcome = vote(trainer->model(), test, {}, false).at(0);
  stop_if_asked();
  unless_done.done = true;
  return outcome;
}

void add_fit_options(CLI::App& command, FitSettings& fit) {
  command.add_option("--budget", fit.budget, "time of training: 60s, 5m, 1h (default 60s a task)")
      ->transform(duration());
  command.add_option("--variants", fit.variants, "of the task, to train on (default 100)")
      ->check(whole_number(0, 100000));
  command.add_option("--kinds", fit.kinds,
                     "of variants: all (default), none, or of rotation,flip,transpose,colour,"
                     "translation");
  command.add_option("--pool", fit.pool, "of them, that vote (default 100)")
      ->check(whole_number(0, 100000));
  command.add_option("--set", fit.overrides, "change any setting: key=value")
      ->type_name("KEY=VALUE");
}

struct AdaptSettings {
  std::string run, checkpoint, puzzle, out;
  FitSettings fit;
  CommonOptions common;
};

void adapt(const AdaptSettings& s) {
  s.common.apply();
  const StopSignals signals(StopSignals::Second::ends_the_process);
  LoadedRun run = load_run(s.run, s.checkpoint);
  const std::vector<ArcTask> tasks = load_all_arc({s.puzzle});
  HRM_CHECK(tasks.size() == 1, "[adapt] --puzzle must be a file of one task, got ", tasks.size());
  const int side = canvas_of(run.config.model);
  HRM_CHECK(run.config.model.vocab_size == kArcVocab && side * side == run.config.model.seq_len,
            "[adapt] ", s.run, " is no ARC model");
  Config config = run.config;
  config.train.batch_size = std::min<int64_t>(config.train.batch_size, 32);
  config.train.micro_batches = 1;
  config.train.refill = Refill::only_halted;
  const Path out =
      s.out.empty() ? Path("runs") / ("adapt-" + folder_name(tasks[0].id)) : Path(s.out);
  const TaskOutcome outcome = fit_task(tasks[0], config, &run, s.fit, out, true);
  write_predictions(out, {outcome});
  Sheet sheet = task_sheet(tasks[0]);
  for (size_t i = 0; i < outcome.tests.size(); ++i) {
    SheetRow row{"prediction for test " + std::to_string(i + 1), {}};
    for (size_t c = 0; c < std::min<size_t>(2, outcome.tests[i].best.size()); ++c) {
      const Candidate& candidate = outcome.tests[i].best[c];
      row.panels.push_back({std::to_string(candidate.count) + " votes", candidate.grid});
    }
    sheet.push_back(row);
  }
  print("{}", sheet_text(sheet, use_colour(stdout)));
  print_scores({outcome});
  print("run folder {}, with submission.json\n", out.string());
}

struct FarmSettings {
  std::vector<std::string> from, tasks;
  std::string preset = "arc-task", init, checkpoint, out;
  FitSettings fit;
  int jobs = 0;
  CommonOptions common;

  void add(CLI::App& command) {
    command.add_option("--from", from, "folders or files of tasks")->required();
    command.add_option("--task", tasks, "these tasks alone")->type_name("ID...");
    command.add_option("--out", out, "folder of the runs and results.jsonl")->required();
    command.add_option("--preset", preset, "of each model (default arc-task)");
    command.add_option("--init", init, "adapt this run instead of starting from scratch");
    command.add_option("--checkpoint", checkpoint,
                       "with --init: best (default), last, or a folder");
    command.add_flag("--network,!--rows-only", fit.network, "with --init: train the weights, too");
    command.add_option("--threads", common.threads, "cores in all (default: every one)")
        ->check(whole_number(1, 1024));
    add_fit_options(command, fit);
  }
};

// One task of a farm, in a process of its own; prints its line.
void farm_task(const FarmSettings& s) {
  s.common.apply();
  int64_t repeated = 0;
  std::vector<ArcTask> tasks = load_arc({s.from.begin(), s.from.end()}, &repeated);
  keep_tasks(tasks, s.tasks);
  std::optional<LoadedRun> start;
  Config config = preset(s.preset);
  if (!s.init.empty()) {
    start = load_run(s.init, s.checkpoint);
    config = start->config;
  }
  const double began = seconds_now();
  const TaskOutcome outcome =
      fit_task(tasks.at(0), config, start ? &*start : nullptr, s.fit, s.out, false);
  Json line = to_json(outcome);
  line["solved_at_2"] = !solved({outcome}).empty();
  line["known"] = score({outcome}).tasks == 1;
  line["seconds"] = seconds_now() - began;
  print("{}\n", line.dump());
}

// The words of `hrm` for one task of a farm.
std::vector<std::string> farm_task_words(const FarmSettings& s, const std::string& task,
                                         const Path& run, int threads) {
  std::vector<std::string> words = {"arc",
                                    "farm-task",
                                    "--task=" + task,
                                    "--out=" + run.string(),
                                    "--preset=" + s.preset,
                                    "--threads=" + std::to_string(threads),
                                    "--budget=" + fmt::format("{:.17g}s", s.fit.budget),
                                    "--variants=" + std::to_string(s.fit.variants),
                                    "--kinds=" + s.fit.kinds,
                                    "--pool=" + std::to_string(s.fit.pool)};
  for (const std::string& from : s.from) words.push_back("--from=" + from);
  for (const std::string& item : s.fit.overrides) words.push_back("--set=" + item);
  if (!s.init.empty()) words.push_back("--init=" + s.init);
  if (!s.checkpoint.empty()) words.push_back("--checkpoint=" + s.checkpoint);
  if (!s.fit.network) words.push_back("--rows-only");
  return words;
}

// What a result depends on: another task of the same name, or other settings, have another key.
// `weights`: the checksum of those of --init.
std::string farm_key(const FarmSettings& s, const ArcTask& task, const std::string& weights) {
  ArcData data;
  data.tasks = {task};
  // Where the task lies does not matter, nor where the run is that is adapted.
  data.tasks[0].set.clear();
  data.tasks[0].evaluated = true;
  FarmSettings settings = s;
  settings.from.clear();
  settings.checkpoint.clear();
  settings.init = weights;
  std::string text = arc_data_text(data);
  for (const std::string& word : farm_task_words(settings, task.id, "", 0)) text += word + "\n";
  return hexadecimal(name_hash(text));
}

constexpr const char* kFarmLog = "farm.log";  // in every folder that a farm makes

// A new folder for a task. What a farm that was stopped left there is removed, and nothing else.
void make_task_folder(const Path& folder) {
  const Path parent = folder.parent_path();
  HRM_CHECK(!fs::is_symlink(parent), "[farm] ", parent.string(),
            " is a symbolic link. HINT: choose another --out folder");
  std::error_code error, none;
  if (fs::exists(fs::symlink_status(folder, none))) {
    const bool ours = !fs::is_symlink(folder) &&
                      (fs::exists(folder / kFarmLog, none) || fs::is_empty(folder, none));
    HRM_CHECK(ours, "[farm] ", folder.string(),
              " was not made by a farm. HINT: move it away, or choose another --out folder");
    fs::remove_all(folder, error);
  }
  if (!error) fs::create_directories(folder, error);
  HRM_CHECK(!error, "[farm] cannot make ", folder.string(), ": ", error.message(),
            ". HINT: choose an --out folder in which you may write");
}

// The lines of a farm's results.jsonl, one for each task.
std::vector<Json> read_farm(const Path& results) {
  std::set<std::string> tasks;
  std::vector<Json> lines;
  if (!fs::exists(results)) return lines;
  const auto damaged = [](const std::string& what) {
    print(stderr, "{}. The line is passed over\n", printable(what));
  };
  const auto visit = [&](const Json& json, const std::string& where) {
    try {
      const Members line(json, where);
      Json whole = json;
      whole["task"] = line.text("task");
      whole["key"] = line.text("key", "");
      for (const char* flag : {"known", "solved_at_2"}) whole[flag] = line.flag(flag, false);
      if (tasks.insert(line.text("task")).second) lines.push_back(whole);
    } catch (const Error& error) {
      damaged(error.what());
    }
  };
  for_each_line(results, visit, damaged);
  return lines;
}

void print_farm(const std::vector<Json>& lines, const Path& results) {
  int64_t right = 0, known = 0;
  for (const Json& line : lines) {
    known += line.value("known", false);
    right += line.value("solved_at_2", false);
    print("{:<12} {}\n", printable(line.value("task", "")),
          line.value("solved_at_2", false) ? "solved" : "not solved");
  }
  print("{} of {} tasks solved at pass@2; {}\n", right, known, results.string());
}

// Each task in a process of its own; `lines` grows as they end, like results.jsonl.
void run_farm(const FarmSettings& s, const std::vector<ArcTask>& tasks, const std::string& weights,
              const Path& results, std::vector<Json>& lines) {
  const int cores = s.common.threads > 0
                        ? s.common.threads
                        : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int jobs = s.jobs > 0 ? s.jobs : cores, threads = std::max(1, cores / jobs);
  const Path program = fs::read_symlink("/proc/self/exe");
  const auto folder = [&](int64_t i) { return Path(s.out) / "tasks" / folder_name(tasks[i].id); };
  const auto done = std::ssize(lines);
  Progress bar("farm", "tasks", done + std::ssize(tasks), done);
  ProcessPool pool(jobs);
  std::mutex mutex;
  std::map<int64_t, std::string> failed;  // tasks and why, guarded by `mutex`
  pool.done = [&](int64_t i) {
    const std::lock_guard lock(mutex);
    if (failed.contains(i)) return;
    lines.push_back(read_json(folder(i) / "result.json"));
    lines.back()["key"] = farm_key(s, tasks[i], weights);
    append_json_line(results, lines.back().dump());
    bar.update(
        std::ssize(lines),
        tasks[i].id + (lines.back().value("solved_at_2", false) ? " solved" : " not solved"));
  };
  pool.run(std::ssize(tasks), [&](int64_t i) {
    const Path run = folder(i);
    make_task_folder(run);
    try {
      pool.command({program, farm_task_words(s, tasks[i].id, run, threads), run / "result.json",
                    run / kFarmLog});
    } catch (const Error& error) {
      if (StopSignals::count() > 0) throw;
      const std::lock_guard lock(mutex);
      failed[i] = error.what();
    }
  });
  // One that diverged keeps nobody from the others.
  if (failed.empty() || StopSignals::count() > 0) return;
  const auto& [first, why] = *failed.begin();
  bar.finish();
  detail::fail("[farm] ", failed.size(), " of ", tasks.size(), " tasks failed, the first is ",
               tasks[first].id, ": ", why);
}

void farm(const FarmSettings& s) {
  int64_t repeated = 0;
  std::vector<ArcTask> tasks = load_arc({s.from.begin(), s.from.end()}, &repeated);
  if (!s.tasks.empty()) keep_tasks(tasks, s.tasks);
  const Path results = Path(s.out) / "results.jsonl";
  HRM_CHECK(
      s.checkpoint.empty() || !s.init.empty(),
      "[farm] --checkpoint chooses the weights of --init. HINT: add it, or leave --checkpoint out");
  const std::string weights = s.init.empty() ? "" : load_run(s.init, s.checkpoint).checksum;
  const StopSignals signals;
  const FolderLock held(s.out);
  std::vector<Json> lines = read_farm(results);
  const auto done = [&](const ArcTask& t) {
    const auto line = std::ranges::find_if(lines, [&](const Json& l) { return l["task"] == t.id; });
    if (line == lines.end()) return false;
    HRM_CHECK((*line)["key"] != Json(""), "[farm] ", results.string(), " holds a result of ", t.id,
              " of an earlier version, which does not say with which settings it was found. HINT: "
              "choose another --out folder");
    HRM_CHECK((*line)["key"] == farm_key(s, t, weights), "[farm] ", results.string(),
              " holds a result of ", t.id,
              " that was found with other settings, or of another task of this name. HINT: choose "
              "another --out folder");
    return true;
  };
  if (const auto before = std::erase_if(tasks, done))
    print(stderr, "{} tasks were done before\n", format_count(static_cast<int64_t>(before)));
  try {
    run_farm(s, tasks, weights, results, lines);
  } catch (const Error& error) {
    throw with_hint(error, "what is done is kept, and the same command goes on from there");
  }
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on with what is left\n");
    throw CLI::RuntimeError(status);
  }
  print_farm(lines, results);
}

}  // namespace

void add_arc_command(CLI::App& app) {
  CLI::App* arc = app.add_subcommand("arc", "ARC: predict by voting, look at tasks, farm");
  arc->require_subcommand(1);
  CLI::App* p = arc->add_subcommand("predict", "Vote over variants, score, write submission.json");
  auto s = std::make_shared<PredictSettings>();
  s->add(*p);
  p->add_option("--task", s->tasks, "these tasks alone")->type_name("ID...");
  p->add_option("--out", s->out, "folder to write (default: RUN/predictions)");
  p->add_flag("--json", s->json, "print the scores as JSON");
  p->add_flag("--shuffle", s->shuffle, "give every puzzle the embedding of another");
  p->callback([s] { predict(*s); });

  CLI::App* c = arc->add_subcommand("score", "Score a submission.json against the answers");
  auto file = std::make_shared<std::string>();
  auto answers = std::make_shared<std::vector<std::string>>();
  c->add_option("submission", *file, "Kaggle's file")->required();
  c->add_option("--from", *answers, "folders or files of tasks")->required();
  c->callback([=] { score_file(*file, *answers); });

  CLI::App* v = arc->add_subcommand("show", "A task in colours: terminal, HTML or SVG");
  auto w = std::make_shared<ShowSettings>();
  w->add(*v);
  v->get_option("--run")->required(false);
  v->add_option("task", w->task, "its name")->required();
  v->add_option("--from", w->from, "folders or files of tasks");
  v->add_option("--out", w->out, "FILE.html or FILE.svg (default: the terminal)");
  v->footer("With --run: the prediction after every segment, and the votes of --variants.");
  v->callback([w] { show(*w); });

  CLI::App* f =
      arc->add_subcommand("farm", "Train a small model for each task alone, side by side");
  auto t = std::make_shared<FarmSettings>();
  t->add(*f);
  f->add_option("--jobs", t->jobs, "models at a time (default: one a core)")
      ->check(whole_number(1, 4096));
  f->footer("Run again, it goes on with what is left.");
  f->callback([t] {
    check_settings(t->fit.overrides);
    farm(*t);
  });

  CLI::App* one = arc->add_subcommand("farm-task", "What farm runs for each task");
  one->group("");  // not in the help
  auto o = std::make_shared<FarmSettings>();
  o->add(*one);
  one->callback([o] { farm_task(*o); });
}

void add_adapt_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("adapt", "Fit a trained ARC model to a task that was not in training");
  auto s = std::make_shared<AdaptSettings>();
  command->add_option("--run", s->run, "run folder")->required();
  command->add_option("--checkpoint", s->checkpoint, "best (default), last, or a folder");
  command->add_option("--puzzle", s->puzzle, "file of the task")->required();
  command->add_option("--out", s->out, "run folder to make (default: runs/adapt-TASK)");
  s->fit.network = false;
  command->add_flag("--network", s->fit.network,
                    "train the weights, too, not only the puzzle's rows");
  add_fit_options(*command, s->fit);
  command->add_option("--threads", s->common.threads, "CPU threads (default: all cores)")
      ->check(whole_number(1, 1024));
  command->callback([s] {
    check_settings(s->fit.overrides);
    adapt(*s);
  });
}

}  // namespace hrm
