// CompressARC (Liao & Gu 2025, "ARC-AGI Without Pretraining"): a small network is fitted to each
// task, from nothing but that task, and says what its tests' outputs are.
//
//   compressarc TASK.json --out compressed
//   compressarc ARC-AGI/data/evaluation --task 00576224 0692e18c --budget 5m --out compressed
#include <omp.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "examples/compressarc/page.h"
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

struct Settings {
  std::vector<std::string> from, only;
  int64_t draw = 0;  // so many tasks by chance; 0: all
  uint64_t draw_seed = 0;
  std::string out = "compressed";
  int64_t steps = 2000;
  uint64_t seed = 0;
  double budget = 0;  // seconds of each task; 0: no limit
  int jobs = 0;       // 0: one for each core
  std::optional<Shard> shard;
};

// A test's two attempts, as those judge them who count votes.
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

// A task and its folder below --out.
struct Job {
  ArcTask task;
  std::string key;
  std::string name;  // of the folder
};

Path folder_of(const Settings& s, const Job& job) {
  return lock_folder(s.out, Path("tasks") / job.name);
}
// Neither is followed if it is a link: whoever sends the folder could let us write elsewhere.
Path state_of(const Settings& s, const Job& job) {
  return lock_folder(s.out, Path("tasks") / job.name / "state.safetensors");
}
Path result_of(const Settings& s, const Job& job) {
  return lock_folder(s.out, Path("tasks") / job.name / "result.json");
}

Path page_of(const Settings& s, const Job& job) {
  return lock_folder(s.out, Path("pages") / (job.name + ".html"));
}

// What a task has come to so far, maybe in another process; null if nothing.
Json read_result(const Settings& s, const Job& job) {
  std::error_code none;
  const Path file = result_of(s, job);
  if (!std::filesystem::exists(file, none)) return {};
  Json json = read_json(file);
  HRM_CHECK(Members(json, file.string()).text("fit") == job.key, "[compressarc] ", file.string(),
            " is of another task, or with another seed. HINT: choose another --out folder");
  return json;
}

// What went wrong, by the folder of the task.
using Failures = std::map<std::string, std::string>;

// The fits of the tasks of this process, several side by side.
class Fits {
 public:
  Fits(const Settings& settings, std::vector<Job> jobs) : s_(settings), jobs_(std::move(jobs)) {}

  void run() {
    for (const Job& job : jobs_) done_ += steps_before(job);
    bar_.emplace("compressarc", "steps", std::max(done_, s_.steps * std::ssize(jobs_)), done_);
    const int cores = omp_get_max_threads();
    const int64_t most = std::max<int64_t>(1, std::ssize(jobs_));
    const int64_t side_by_side = std::min<int64_t>(s_.jobs > 0 ? s_.jobs : cores, most);
    const int threads = std::max(1, cores / static_cast<int>(side_by_side));
    std::atomic<int64_t> next = 0;
    std::vector<std::jthread> workers;
    try {
      for (int64_t i = 0; i < side_by_side; ++i)
        workers.emplace_back([&] {
          omp_set_num_threads(threads);
          for (int64_t job = next++; job < std::ssize(jobs_); job = next++) try_fit(jobs_[job]);
        });
    } catch (const std::system_error&) {
      next = std::ssize(jobs_);
      workers.clear();
      detail::fail("[compressarc] cannot start ", side_by_side, " threads. HINT: fewer --jobs");
    }
    workers.clear();
    bar_->finish();
  }

  const Failures& failed() const { return failed_; }

 private:
  static bool stopped() { return StopSignals::count() > 0; }

  int64_t steps_before(const Job& job) const {
    try {
      const Json json = read_result(s_, job);
      if (json.is_null()) return 0;
      return Members(json, job.name).integer("steps", 0, kMostSteps);
    } catch (const Error&) {
      return 0;  // its fit will say more
    }
  }

  // One that fails keeps nobody from the others.
  void try_fit(const Job& job) {
    try {
      if (!stopped()) fit(job);
      empty_cache();  // the next one has other shapes
    } catch (const std::bad_alloc&) {
      fail(job, "[compressarc] not enough memory for task " + job.task.id + ". HINT: fewer --jobs");
    } catch (const std::exception& error) {
      if (!stopped()) fail(job, error.what());  // else it may have waited for a folder
    }
  }
  void fail(const Job& job, const std::string& why) {
    const std::lock_guard lock(mutex_);
    failed_.emplace(job.name, why);
  }

  void fit(const Job& job) {
    const FolderLock held(lock_folder(s_.out, Path("locks") / job.name), [] { return !stopped(); });
    create_folder(folder_of(s_, job));
    TaskFit fit(job.task, s_.seed);
    std::error_code none;
    if (std::filesystem::exists(state_of(s_, job), none)) fit.load(state_of(s_, job));
    int64_t saved = fit.steps();
    double saved_at = seconds_now();
    const auto save = [&] {
      if (fit.steps() == 0) return;
      if (fit.steps() > saved) fit.save(state_of(s_, job));
      // It holds what the state does, and is read more easily.
      write_file_atomically(result_of(s_, job), fit.result().dump() + "\n");
      saved = fit.steps();
      saved_at = seconds_now();
    };
    while (fit.steps() < s_.steps && !stopped() && (s_.budget == 0 || fit.seconds() < s_.budget)) {
      const StepCosts costs = fit.advance();
      count(fmt::format("{}  KL {:.0f}  reconstruction {:.1f}", job.task.id, costs.kl,
                        costs.reconstruction));
      if (seconds_now() - saved_at >= kSaveEverySeconds) save();
      if (fit.steps() % kRecordEvery == 0) show_progress(job, fit);
    }
    save();
    if (fit.steps() == 0) return;
    write_page(job, fit);
  }

  // The answers do not depend on it.
  void write_page(const Job& job, const TaskFit& fit) {
    try {
      create_folder(lock_folder(s_.out, "pages"));
      write_file_atomically(page_of(s_, job),
                            task_page(job.task, fit.result(), result_of(s_, job).string()));
    } catch (const Error& error) {
      const std::lock_guard lock(mutex_);
      bar_->message("compressarc: no page of " + printable(job.task.id) + ": " +
                    printable(error.what()));
    }
  }

  // Of a task that is alone on a terminal the two answers, whenever they change.
  void show_progress(const Job& job, const TaskFit& fit) {
    if (jobs_.size() != 1 || !use_colour(stderr)) return;
    const std::pair<Answer, Answer> now = {fit.answers().best(), fit.answers().second()};
    if (now == shown_) return;
    shown_ = now;
    Sheet sheet;
    for (size_t i = 0; i < job.task.test.size(); ++i)
      sheet.push_back({fmt::format("{}, test {}, step {}", job.task.id, i + 1, fit.steps()),
                       {{"attempt 1", now.first[i]}, {"attempt 2", now.second[i]}}});
    const std::lock_guard lock(mutex_);
    bar_->message(sheet_text(sheet, true));
  }

  void count(const std::string& fields) {
    const std::lock_guard lock(mutex_);
    bar_->update(++done_, fields);
  }

  const Settings& s_;
  std::vector<Job> jobs_;
  std::optional<Progress> bar_;
  std::mutex mutex_;  // guards the bar, done_ and failed_
  int64_t done_ = 0;
  Failures failed_;
  std::pair<Answer, Answer> shown_;
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

// A line for each record.
std::string curve_of(const ArcTask& task, const std::vector<FitRecord>& records) {
  std::string lines;
  for (const FitRecord& record : records) {
    const TaskOutcome then = outcome_of(task, record.best, record.second);
    Json line = {{"task", task.id}};
    line.update(record.to_json());
    if (score_tasks({then}).tasks == 1) line["solved_at_2"] = !solved_tasks({then}).empty();
    lines += line.dump() + "\n";
  }
  return lines;
}

// Writes submission.json and solution.jsonl of all tasks that have an answer, those of other shards
// among them.
std::vector<TaskOutcome> hand_in(const Settings& s, const std::vector<Job>& jobs,
                                 Failures& failed) {
  // No task has such a name.
  const FolderLock held(lock_folder(s.out, Path("locks") / "[submission]"), [] { return true; });
  std::vector<TaskOutcome> outcomes;
  std::string lines;
  for (const Job& job : jobs) {
    try {
      const Json json = read_result(s, job);
      if (json.is_null()) continue;
      const std::string file = result_of(s, job).string();
      const Members result(json, file);
      const size_t tests = job.task.test.size();
      const TaskOutcome outcome =
          outcome_of(job.task, parse_answer(result.list("best"), tests, file),
                     parse_answer(result.list("second"), tests, file));
      lines += curve_of(job.task, parse_history(result, tests));
      outcomes.push_back(outcome);
    } catch (const Error& error) {
      failed.emplace(job.name, error.what());
    }
  }
  write_file_atomically(Path(s.out) / "solution.jsonl", lines);
  write_file_atomically(Path(s.out) / "submission.json", submission(outcomes).dump() + "\n");
  return outcomes;
}

// So many of them, in their order.
void draw_tasks(std::vector<ArcTask>& tasks, int64_t count, uint64_t seed) {
  HRM_CHECK(count <= std::ssize(tasks), "[compressarc] --draw ", count, ": there are ",
            tasks.size(), " tasks");
  Random random(seed);
  std::vector<ArcTask> drawn;
  for (int64_t i = 0; i < std::ssize(tasks); ++i) {
    const int64_t left = std::ssize(tasks) - i, wanted = count - std::ssize(drawn);
    if (random.below(left) < wanted) drawn.push_back(tasks[i]);
  }
  tasks = std::move(drawn);
}

void compress(const Settings& s) {
  int64_t repeated = 0;
  std::vector<ArcTask> tasks = load_arc({s.from.begin(), s.from.end()}, &repeated);
  if (!s.only.empty()) keep_tasks(tasks, s.only);
  if (s.draw > 0) draw_tasks(tasks, s.draw, s.draw_seed);
  // What is wrong with a task is said before anything starts.
  std::vector<Job> all, own;
  for (const ArcTask& task : tasks) {
    all.push_back({task, fit_key(code_task(task), s.seed), task_folder_name(task.id)});
    if (!s.shard || s.shard->has(std::ssize(all) - 1)) own.push_back(all.back());
  }
  for (const Job& job : own)
    if (job.task.train.size() == 1)
      print(stderr,
            "compressarc: task {} has one demonstration, and nothing to compare it with: expect a "
            "poor answer\n",
            printable(job.task.id));
  const StopSignals signals;
  Fits fits(s, own);
  fits.run();
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on from here\n");
    throw ExitStatus{status};
  }
  Failures failed = fits.failed();
  HRM_CHECK(failed.size() < own.size() || own.empty(), failed.begin()->second);
  const std::vector<TaskOutcome> outcomes = hand_in(s, all, failed);
  if (outcomes.size() == 1 && all.size() == 1) show(tasks[0], outcomes[0]);
  print_scores(outcomes);
  print("{}\n", (Path(s.out) / "submission.json").string());
  std::error_code none;
  if (all.size() == 1 && std::filesystem::exists(page_of(s, all[0]), none))
    print("{}\n", page_of(s, all[0]).string());
  HRM_CHECK(failed.empty(), "[compressarc] ", failed.size(), " of ", all.size(),
            " tasks failed; the first: ", failed.begin()->second);
}

void add_options(Command command, Settings& s) {
  command.texts("tasks", s.from, "Files and folders of tasks, also Kaggle's *_challenges.json.")
      .required();
  command.texts("--task", s.only, "Take these tasks alone.").shown_as("ID...");
  command.whole_number("--draw", s.draw, 1, 1'000'000, "Take so many tasks, drawn at random.");
  command.whole_number("--draw-seed", s.draw_seed, 0, "Of that draw (default 0).");
  command.text("--out", s.out, "The folder for answers and states (default compressed).");
  command.whole_number("--steps", s.steps, 1, kMostSteps, "Steps for each task (default 2000).");
  command.whole_number("--seed", s.seed, 0, "Of all random numbers (default 0).");
  command.duration("--budget", s.budget, "Stop a task after this time, such as 5m.");
  command.whole_number("--jobs", s.jobs, 1, 4096,
                       "Tasks side by side (default: one for each core).");
  command.shard("--shard", s.shard,
                "Do the I-th of N parts of the tasks alone; other processes, with the same --out, "
                "do the others.");
  command.footer("The same command goes on where it was stopped.");
}

// Runs the program and returns the exit status, 2 for an error and 3 for a command line that makes
// no sense, as `hrm` does; every error is one line.
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
    return 3;
  } catch (const ExitStatus& exit) {
    return exit.status;
  } catch (const std::bad_alloc&) {
    message = "[compressarc] out of memory. HINT: fewer --jobs";
  } catch (const std::exception& error) {
    message = error.what();
  }
  print(stderr, "compressarc: {}\n", printable(message));
  return 2;
}

}  // namespace
}  // namespace hrm::compressarc

int main(int argc, char** argv) { return hrm::compressarc::run_program(argc, argv); }
