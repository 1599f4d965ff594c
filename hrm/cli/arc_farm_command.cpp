// hrm arc farm: a small model for each task, side by side.
#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

#include "hrm/cli/arc_fit.h"
#include "hrm/cli/arc_output.h"
#include "hrm/cli/commands.h"
#include "hrm/cli/on_ranks.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/folder_lock.h"
#include "hrm/support/json_lines.h"
#include "hrm/support/processes.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_files.h"
#include "nn/distributed/job.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct FarmSettings {
  std::vector<std::string> from, tasks;
  std::string preset = "arc-task", init, checkpoint, out;
  FitSettings fit;
  int jobs = 0;
  bool json = false;
  std::optional<Shard> given_shard;
  Shard shard;  // of this process
  CommonOptions common;

  void add(Command command) {
    command.texts("--from", from, "Files of ARC tasks, or folders, searched to any depth.")
        .required();
    command.texts("--task", tasks, "Take these tasks alone.").shown_as("ID...");
    command.text("--out", out, "The folder of the runs and of results.jsonl.").required();
    command.text("--preset", preset, "The settings of each model (default arc-task).");
    command.text("--init", init, "Adapt the model of this run instead of starting from scratch.");
    command.text(
        "--checkpoint", checkpoint,
        "With --init: which of its weights: best (default), last, or a checkpoint folder.");
    command.flag("--network,!--rows-only", fit.network,
                 "With --init: train all weights (default), or the embedding rows of the task "
                 "alone.");
    command.whole_number("--threads", common.threads, 1, 1024,
                         "CPU cores for all models together (default: all; under mpirun or srun "
                         "one).");
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
  line["solved_at_2"] = !solved_tasks({outcome}).empty();
  line["known"] = score_tasks({outcome}).tasks == 1;
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

// The lines of a farm's results, those of all shards, one for each task.
std::vector<Json> read_farm(const Path& out, const DamageVisitor& damaged) {
  std::set<std::string> tasks;
  std::vector<Json> lines;
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
  for (const Path& results : results_of_all(out))
    for_each_line(results_text(results), results.string(), visit, damaged);
  return lines;
}

// What is known of a task; null if nothing is.
const Json* line_of(const std::vector<Json>& lines, const ArcTask& task) {
  const auto line =
      std::ranges::find_if(lines, [&](const Json& l) { return l["task"] == task.id; });
  return line == lines.end() ? nullptr : &*line;
}

// `open`: tasks that other shards have not done yet.
void print_farm(const FarmSettings& s, const std::vector<Json>& lines, int64_t open) {
  int64_t right = 0, known = 0;
  for (const Json& line : lines) {
    known += line.value("known", false);
    right += line.value("solved_at_2", false);
  }
  if (s.json) {
    Json json = {{"tasks", lines.size()}, {"open", open}, {"known", known}, {"solved_at_2", right}};
    json["results"] = lines;
    return print_json(json);
  }
  for (const Json& line : lines)
    print("{:<12} {}\n", printable(line.value("task", "")),
          line.value("solved_at_2", false) ? "solved" : "not solved");
  print("{} of {} tasks solved at pass@2; {}\n", right, known, results_name(s.out));
  if (open > 0) print("part {} is done; {} tasks of other parts are open\n", s.shard.text(), open);
}

// Each task in a process of its own; the shard's results grow as they end. `before`: how many of
// the shard were done before.
void run_farm(const FarmSettings& s, const std::vector<ArcTask>& tasks, const std::string& weights,
              int64_t before) {
  const int cores = s.common.threads > 0 ? s.common.threads : own_cores();
  const int jobs = s.jobs > 0 ? s.jobs : cores, threads = std::max(1, cores / jobs);
  const Path program = fs::read_symlink("/proc/self/exe");
  const auto folder = [&](int64_t i) {
    return Path(s.out) / "tasks" / task_folder_name(tasks[i].id);
  };
  Progress bar(s.shard.is_whole() ? "farm" : "farm " + s.shard.text(), "tasks",
               before + std::ssize(tasks), before);
  int64_t done = before;
  ProcessPool pool(jobs);
  std::mutex mutex;
  // Of the tasks, and of the results while a line goes in: guarded by `mutex`.
  std::map<int64_t, std::string> outcomes, failed;
  pool.done = [&](int64_t i) {
    const std::lock_guard lock(mutex);
    if (!failed.contains(i)) bar.update(++done, tasks[i].id + " " + outcomes[i]);
  };
  pool.run(std::ssize(tasks), [&](int64_t i) {
    const Path run = folder(i);
    // Somebody may have cut the work into other shards, and be at this task, or have done it.
    const FolderLock held(lock_folder(s.out, Path("locks") / run.filename()),
                          [] { return StopSignals::count() == 0; });
    if (line_of(read_farm(s.out, [](const std::string&) {}), tasks[i])) {
      const std::lock_guard lock(mutex);
      outcomes[i] = "is done";
      return;
    }
    make_task_folder(run);
    Json line;
    try {
      pool.command({program, farm_task_words(s, tasks[i].id, run, threads), run / "result.json",
                    run / kFarmLog});
      line = read_json(run / "result.json");
    } catch (const Error& error) {
      if (StopSignals::count() > 0) throw;
      const std::lock_guard lock(mutex);
      failed[i] = error.what();
      return;
    }
    line["key"] = farm_key(s, tasks[i], weights);
    const std::lock_guard lock(mutex);
    append_json_line(s.shard.results(s.out), line.dump());
    outcomes[i] = line.value("solved_at_2", false) ? "solved" : "not solved";
  });
  // One that diverged keeps nobody from the others.
  if (failed.empty() || StopSignals::count() > 0) return;
  const auto& [first, why] = *failed.begin();
  bar.finish();
  detail::fail("[farm] ", failed.size(), " of ", tasks.size(), " tasks failed, the first is ",
               tasks[first].id, ": ", why);
}

void farm(FarmSettings s) {
  if (launched_processes() > 1 && s.common.threads == 0) s.common.threads = 1;
  s.shard = shard_of_process(s.given_shard);
  HRM_CHECK(std::ranges::find(s.from, "-") == s.from.end(),
            "[farm] each task is trained in a process of its own, and these cannot all read the "
            "standard input. HINT: save it in a file");
  int64_t repeated = 0;
  std::vector<ArcTask> tasks = load_arc({s.from.begin(), s.from.end()}, &repeated);
  if (!s.tasks.empty()) keep_tasks(tasks, s.tasks);
  HRM_CHECK(
      s.checkpoint.empty() || !s.init.empty(),
      "[farm] --checkpoint chooses the weights of --init. HINT: add it, or leave --checkpoint out");
  const std::string weights = s.init.empty() ? "" : load_run(s.init, s.checkpoint).checksum;
  const StopSignals signals;
  const FolderLock held(s.shard.lock(s.out));
  const auto done = [&](const std::vector<Json>& lines, const ArcTask& t) {
    const Json* line = line_of(lines, t);
    if (!line) return false;
    HRM_CHECK((*line)["key"] != Json(""), "[farm] ", s.out, " holds a result of ", t.id,
              " of an earlier version, which does not say with which settings it was found. HINT: "
              "choose another --out folder");
    HRM_CHECK((*line)["key"] == farm_key(s, t, weights), "[farm] ", s.out, " holds a result of ",
              t.id,
              " that was found with other settings, or of another task of this name. HINT: choose "
              "another --out folder");
    return true;
  };
  const std::vector<Json> known = read_farm(s.out, [](const std::string& what) {
    print(stderr, "{}. The line is passed over\n", printable(what));
  });
  std::vector<ArcTask> own;
  int64_t before = 0;  // of this shard
  for (int64_t i = 0; i < std::ssize(tasks); ++i) {
    const bool is_done = done(known, tasks[i]);
    if (!s.shard.has(i)) continue;
    before += is_done;
    if (!is_done) own.push_back(tasks[i]);
  }
  if (before > 0) print(stderr, "{} tasks were done before\n", format_count(before));
  try {
    run_farm(s, own, weights, before);
  } catch (const Error& error) {
    throw with_hint(error, "what is done is kept, and the same command goes on from there");
  }
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on with what is left\n");
    throw ExitStatus{status};
  }
  const std::vector<Json> now = read_farm(s.out, [](const std::string&) {});
  print_farm(s, now, std::ranges::count_if(tasks, [&](const ArcTask& t) { return !done(now, t); }));
}

}  // namespace

void add_farm_commands(Command arc) {
  const Command command =
      arc.command("farm", "Train a small model on each task alone, several side by side.");
  auto s = std::make_shared<FarmSettings>();
  s->add(command);
  command.whole_number("--jobs", s->jobs, 1, 4096,
                       "Models that train at a time (default: as many as --threads).");
  command.shard("--shard", s->given_shard,
                "Do the I-th of N parts of the tasks alone; other processes, with the same --out, "
                "do the others (default: all, or the part that mpirun or srun gives).");
  command.flag("--json", s->json, kJsonHelp);
  command.footer("The same command goes on with what is left.");
  command.action([s] {
    check_settings(s->fit.overrides);
    farm(*s);
  });

  const Command one = arc.command("farm-task", "What farm runs for each task.");
  one.hide();
  auto t = std::make_shared<FarmSettings>();
  t->add(one);
  one.action([t] { farm_task(*t); });
}

}  // namespace hrm
