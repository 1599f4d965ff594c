// CompressARC (Liao & Gu 2025, "ARC-AGI Without Pretraining"): a small network is fitted to each
// task, from nothing but that task, and says what its tests' outputs are.
//
//   compressarc TASK.json --out compressed
//   compressarc ARC-AGI/data/evaluation --task 00576224 0692e18c --budget 5m --out compressed
#include <omp.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <new>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "examples/compressarc/task_fit.h"
#include "hrm/cli/arc_fit.h"
#include "hrm/cli/arc_output.h"
#include "hrm/cli/command.h"
#include "hrm/cli/print.h"
#include "hrm/support/folder_lock.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/view/picture.h"

namespace hrm::compressarc {
namespace {

constexpr double kSaveEverySeconds = 60;
constexpr int64_t kRecordEvery = 50;  // steps

struct Settings {
  std::vector<std::string> from, only;
  std::string out = "compressed";
  int64_t steps = 2000;
  uint64_t seed = 0;
  double budget = 0;  // seconds of each task; 0: no limit
  int jobs = 0;       // 0: one for each core
  std::optional<Shard> shard;
};

// What has come of a task, in its folder below --out.
struct Folder {
  Path path;
  Path state() const { return path / "state.safetensors"; }
  Path result() const { return path / "result.json"; }
};

// Of a test's two attempts what `hrm arc score` and the scores of a vote need.
TaskOutcome outcome_of(const ArcTask& task, const Answer& best, const Answer& second) {
  TaskOutcome outcome{task.id, {}};
  for (size_t i = 0; i < task.test.size(); ++i) {
    TestOutcome test;
    test.best = {{best[i], 2, 0, 0}, {second[i], 1, 0, 1}};
    test.votes = test.distinct = 2;
    const ArcGrid& truth = task.test[i].output;
    test.known = !truth.empty();
    if (test.known) test.rank = best[i] == truth ? 1 : second[i] == truth ? 2 : 0;
    outcome.tests.push_back(test);
  }
  return outcome;
}

Json answer_text(const Answer& answer) {
  Json grids = Json::array();
  for (const ArcGrid& grid : answer) grids.push_back(grid_text(grid));
  return grids;
}

Answer read_answer(const Members& result, const char* which, const ArcTask& task) {
  Answer answer;
  for (const Json& grid : result.list(which)) {
    HRM_CHECK(grid.is_string(), "[compressarc] ", result.source(), ": a grid must be text");
    answer.push_back(parse_grid_text(grid.get<std::string>(), result.source()));
  }
  HRM_CHECK(answer.size() == task.test.size(), "[compressarc] ", result.source(),
            ": must answer each test of ", task.id, " once. HINT: choose another --out folder");
  return answer;
}

// The fits of all tasks, several side by side.
class Run {
 public:
  Run(const Settings& settings, std::vector<ArcTask> tasks)
      : s_(settings), tasks_(std::move(tasks)) {
    for (const ArcTask& task : tasks_)
      folders_.push_back({Path(s_.out) / "tasks" / task_folder_name(task.id)});
  }

  void fit_all() {
    const int cores = omp_get_max_threads();
    const int64_t jobs = std::min<int64_t>(s_.jobs > 0 ? s_.jobs : cores, std::ssize(tasks_));
    const int threads = std::max(1, cores / static_cast<int>(std::max<int64_t>(1, jobs)));
    for (size_t i = 0; i < tasks_.size(); ++i)
      if (const Json json = result_of(i); !json.is_null())
        done_ += Members(json, folders_[i].result().string()).integer("steps", 0, kNoLimit);
    bar_.emplace("compressarc", "steps", std::max(done_, s_.steps * std::ssize(tasks_)), done_);
    std::atomic<int64_t> next = 0;
    std::vector<std::jthread> workers;
    for (int64_t job = 0; job < jobs; ++job)
      workers.emplace_back([&] {
        omp_set_num_threads(threads);
        for (int64_t i = next++; i < std::ssize(tasks_); i = next++) try_fit(i);
      });
    workers.clear();
    bar_->finish();
    if (failed_) std::rethrow_exception(failed_);
  }

  std::vector<TaskOutcome> outcomes() const {
    std::vector<TaskOutcome> all;
    for (size_t i = 0; i < tasks_.size(); ++i) {
      const Json json = result_of(i);
      if (json.is_null()) continue;
      const Members result(json, folders_[i].result().string());
      all.push_back(outcome_of(tasks_[i], read_answer(result, "best", tasks_[i]),
                               read_answer(result, "second", tasks_[i])));
    }
    return all;
  }

  // What was recorded of all of them, a line each.
  std::string solution() const {
    std::string lines;
    for (size_t i = 0; i < tasks_.size(); ++i)
      if (const Json json = result_of(i); !json.is_null())
        for (const Json& line : Members(json, folders_[i].result().string()).list("history"))
          lines += line.dump() + "\n";
    return lines;
  }

 private:
  // Null if there is none yet.
  Json result_of(size_t i) const {
    std::error_code none;
    if (!std::filesystem::exists(folders_[i].result(), none)) return {};
    return read_json(folders_[i].result());
  }

  bool ended() const { return StopSignals::count() > 0 || some_failed_; }

  void try_fit(int64_t i) {
    try {
      if (!ended()) fit(i);
    } catch (const std::bad_alloc&) {
      fail(std::make_exception_ptr(Error("[compressarc] not enough memory for task " +
                                         tasks_[i].id + ". HINT: fewer --jobs, or leave it out")));
    } catch (...) {
      fail(std::current_exception());
    }
  }
  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = std::move(error);
    some_failed_ = true;
  }

  void fit(int64_t i) {
    const Folder& folder = folders_[i];
    const FolderLock held(lock_folder(s_.out, Path("locks") / folder.path.filename()),
                          [&] { return !ended(); });
    create_folder(folder.path);
    TaskFit fit(tasks_[i], s_.seed);
    std::error_code none;
    std::vector<Json> history;
    double spent = 0;
    if (std::filesystem::exists(folder.state(), none)) {
      fit.load(folder.state());
      if (const Json json = result_of(i); !json.is_null())
        read_history(Members(json, folder.result().string()), fit.steps(), history, spent);
    }
    const double began = seconds_now() - spent;
    double saved = seconds_now();
    while (fit.steps() < s_.steps && !ended() &&
           (s_.budget == 0 || seconds_now() - began < s_.budget)) {
      const StepCosts costs = fit.advance();
      HRM_CHECK(std::isfinite(costs.kl) && std::isfinite(costs.reconstruction),
                "[compressarc] task ", tasks_[i].id, " diverged in step ", fit.steps(),
                ". HINT: another --seed");
      count(1, fmt::format("{}  KL {:.0f}  reconstruction {:.1f}", tasks_[i].id, costs.kl,
                           costs.reconstruction));
      if (fit.steps() % kRecordEvery == 0) history.push_back(record(tasks_[i], fit, costs));
      if (seconds_now() - saved < kSaveEverySeconds) continue;
      save(folder, tasks_[i], fit, history, seconds_now() - began);
      saved = seconds_now();
    }
    if (fit.steps() > 0) save(folder, tasks_[i], fit, history, seconds_now() - began);
  }

  Json record(const ArcTask& task, const TaskFit& fit, const StepCosts& costs) const {
    const Answers& answers = fit.answers();
    Json line = {{"task", task.id},
                 {"step", fit.steps()},
                 {"kl", costs.kl},
                 {"reconstruction", costs.reconstruction},
                 {"best", answer_text(answers.best())},
                 {"second", answer_text(answers.second())}};
    const TaskOutcome outcome = outcome_of(task, answers.best(), answers.second());
    if (score_tasks({outcome}).tasks == 1) line["solved_at_2"] = !solved_tasks({outcome}).empty();
    return line;
  }

  // What was recorded up to the step that the fit was saved in.
  static void read_history(const Members& result, int64_t steps, std::vector<Json>& history,
                           double& spent) {
    spent = result.number("seconds", 0, 1e9);
    for (const Json& line : result.list("history"))
      if (Members(line, result.source()).integer("step", 0, kNoLimit) <= steps)
        history.push_back(line);
  }

  // The state goes first: a result is never ahead of it.
  void save(const Folder& folder, const ArcTask& task, const TaskFit& fit,
            const std::vector<Json>& history, double seconds) const {
    const Answers& answers = fit.answers();
    Json result = {{"task", task.id},
                   {"steps", fit.steps()},
                   {"seconds", seconds},
                   {"best", answer_text(answers.best())},
                   {"second", answer_text(answers.second())},
                   {"history", history}};
    fit.save(folder.state());
    write_file_atomically(folder.result(), result.dump() + "\n");
  }

  void count(int64_t steps, const std::string& fields) {
    const std::lock_guard lock(mutex_);
    done_ += steps;
    bar_->update(done_, fields);
  }

  const Settings& s_;
  std::vector<ArcTask> tasks_;
  std::vector<Folder> folders_;
  std::optional<Progress> bar_;
  std::mutex mutex_;  // guards the bar, done_ and failed_
  int64_t done_ = 0;
  std::exception_ptr failed_;  // the first
  std::atomic<bool> some_failed_ = false;
};

// The answers, and the truth where it is known.
void show(const ArcTask& task, const TaskOutcome& outcome) {
  Sheet sheet;
  for (size_t i = 0; i < task.test.size(); ++i) {
    SheetRow row{task.id + ", test " + std::to_string(i + 1), {{"input", task.test[i].input}}};
    row.panels.push_back({"attempt 1", outcome.tests[i].best[0].grid});
    row.panels.push_back({"attempt 2", outcome.tests[i].best[1].grid});
    if (outcome.tests[i].known) row.panels.push_back({"truth", task.test[i].output});
    sheet.push_back(row);
  }
  print("{}\n", sheet_text(sheet, use_colour(stdout)));
}

void compress(const Settings& s) {
  int64_t repeated = 0;
  std::vector<ArcTask> tasks = load_arc({s.from.begin(), s.from.end()}, &repeated);
  if (!s.only.empty()) keep_tasks(tasks, s.only);
  for (const ArcTask& task : tasks)
    code_task(task);  // what is wrong is said before anything starts
  std::vector<ArcTask> own;
  for (int64_t i = 0; i < std::ssize(tasks); ++i)
    if (!s.shard || s.shard->has(i)) own.push_back(tasks[i]);
  const StopSignals signals;
  Run run(s, own);
  run.fit_all();
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on from here\n");
    throw ExitStatus{status};
  }
  // With --shard, what the others have done so far is handed in, too.
  const Run all(s, tasks);
  const std::vector<TaskOutcome> outcomes = all.outcomes();
  write_file_atomically(Path(s.out) / "solution.jsonl", all.solution());
  write_file_atomically(Path(s.out) / "submission.json", submission(outcomes).dump() + "\n");
  if (outcomes.size() == 1 && tasks.size() == 1) show(tasks[0], outcomes[0]);
  print_scores(outcomes);
  print("{}\n", (Path(s.out) / "submission.json").string());
}

void add_options(Command command, Settings& s) {
  command.texts("tasks", s.from, "Files and folders of tasks, also Kaggle's *_challenges.json.")
      .required();
  command.texts("--task", s.only, "Take these tasks alone.").shown_as("ID...");
  command.text("--out", s.out, "The folder for answers and states (default compressed).");
  command.whole_number("--steps", s.steps, 1, 1'000'000, "Steps for each task (default 2000).");
  command.whole_number("--seed", s.seed, 0, "Of all random numbers (default 0).");
  command.duration("--budget", s.budget, "Stop a task after this time, such as 5m.");
  command.whole_number("--jobs", s.jobs, 1, 4096,
                       "Tasks side by side (default: one for each core).");
  command.shard("--shard", s.shard,
                "Do the I-th of N parts of the tasks alone; other processes, with the same --out, "
                "do the others.");
  command.footer("The same command goes on where it was stopped.");
}

// Runs the program and returns the exit status; every error is one line.
int run_program(int argc, char** argv) {
  CLI::App app(
      "Fits a small network to each ARC task, from that task alone, and answers it.\n"
      "(CompressARC: Liao & Gu 2025, \"ARC-AGI Without Pretraining\".)",
      "compressarc");
  Settings s;
  std::string message;
  try {
    add_options(Command(&app), s);
    app.parse(argc, argv);
    compress(s);
    return 0;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    print(stderr, "compressarc: {}. HINT: compressarc --help\n", printable(error.what()));
    return 2;
  } catch (const ExitStatus& exit) {
    return exit.status;
  } catch (const std::bad_alloc&) {
    message = "[compressarc] out of memory. HINT: fewer --jobs";
  } catch (const std::exception& error) {
    message = error.what();
  }
  print(stderr, "compressarc: {}\n", printable(message));
  return 1;
}

}  // namespace
}  // namespace hrm::compressarc

int main(int argc, char** argv) { return hrm::compressarc::run_program(argc, argv); }
