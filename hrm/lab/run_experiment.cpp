#include "hrm/lab/run_experiment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "hrm/checkpoint.h"
#include "hrm/metrics.h"
#include "hrm/processes.h"
#include "hrm/progress.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

std::string key_of(const std::string& text) {
  return hexadecimal(name_hash(text));
}

// Runs `hrm WORDS`; its output goes to `out`, what it says to `log`. An Error holds its last line.
void command(const Path& program, const Words& words, const Path& out, const Path& log) {
  const pid_t child = ::fork();
  CHECK(child >= 0, "[lab] cannot start a process");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const auto redirect = [](const Path& file, int to) {
      const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
      if (fd < 0 || ::dup2(fd, to) < 0) ::_exit(126);
    };
    redirect(out, STDOUT_FILENO), redirect(log, STDERR_FILENO);
    std::vector<char*> arguments = {const_cast<char*>(program.c_str())};
    for (const std::string& w : words) arguments.push_back(const_cast<char*>(w.c_str()));
    arguments.push_back(nullptr);
    ::execv(program.c_str(), arguments.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::string said = read_file(log);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  detail::fail("[lab] `", to_string(words), "` failed: ", said.substr(said.rfind('\n') + 1));
}

void add_shares(Record& r, const Json& evaluation) {
  for (const auto& [name, key] : {std::pair{"exact", "exact_accuracy"},
                                  {"tokens", "accuracy"},
                                  {"segments", "mean_steps"},
                                  {"lost", "lost_accuracy"},
                                  {"valid", "valid_accuracy"},
                                  {"seconds", "seconds"}})
    if (evaluation.contains(key)) r.values[name] = evaluation[key];
  r.solved = evaluation.value("solved", "");
}

// The records of one judgement's JSON: of `eval`, of `eval --rollouts`, of `arc predict`.
std::vector<Record> judged(const Record& base, const Json& found) {
  std::vector<Record> records;
  if (found.contains("rollouts")) {
    for (const auto& [n, shares] : found["rollouts"].items())
      for (const auto& [select, share] : shares.items()) {
        Record r = base;
        r.labels.emplace_back("rollouts", n), r.labels.emplace_back("select", select);
        r.values["exact"] = share, r.values["seconds"] = found.value("seconds", 0.0);
        if (found.contains("solved") && found["solved"][n].contains(select))
          r.solved = found["solved"][n][select];
        records.push_back(r);
      }
    return records;
  }
  Record r = base;
  if (found.contains("pass@2")) {
    r.values["exact"] = found["pass@2"]["mean_fraction_of_tests"];
    r.values["first"] = found["pass@1"]["mean_fraction_of_tests"];
    r.values["any"] = found["pass@1000"]["mean_fraction_of_tests"];
    r.solved = found.value("solved_at_2", "");
    return {r};
  }
  add_shares(r, found);
  records.push_back(r);
  // After each segment, where every puzzle ran them all.
  const Json by_segment = found.value("exact_by_segment", Json::array());
  for (size_t s = 0; s < by_segment.size(); ++s) {
    Record at = base;
    at.labels.emplace_back("segment", std::to_string(s + 1));
    at.values["exact"] = by_segment[s];
    records.push_back(at);
  }
  return records;
}

// Holds a model's folder, so that two experiments at the same time do not train it twice.
class Lock {
 public:
  explicit Lock(const Path& folder)
      : fd_(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    CHECK(fd_ >= 0 && ::flock(fd_, LOCK_EX) == 0, "[lab] cannot lock ", folder.string());
  }
  ~Lock() { ::close(fd_); }

 private:
  int fd_;
};

// One trial with its model's folder.
struct Job {
  const Trial* trial;
  Words train;  // with data and run folders
  Path run;
  std::string key;  // of training and judgements
  int64_t steps = 1;
};

// Trains, or goes on, or finds the model trained.
void train(const Job& job, const RunOptions& options) {
  const Path evaluation = job.run / "evaluation.json";
  if (fs::exists(evaluation) && read_json(evaluation).value("step", int64_t{0}) == job.steps)
    return;
  Words words = job.train;
  words.insert(words.end(), {"--threads", std::to_string(options.threads)});
  words.insert(words.end(), options.more.begin(), options.more.end());
  if (fs::exists(job.run / "config.json")) words.push_back("--resume");
  command(options.program, words, job.run / "train.out", job.run / "train.log");
  const Json done = fs::exists(evaluation) ? read_json(evaluation) : Json::object();
  CHECK(done.value("step", int64_t{0}) == job.steps, "[lab] stopped");
}

// All that is known of a trained model, as the line of results.jsonl.
Json judge(const Experiment& e, const Job& job, const RunOptions& options) {
  Record base;
  base.labels = job.trial->labels;
  const MetricLines lines = read_metrics(job.run);
  CHECK(!lines.train.empty(), "[lab] ", job.run.string(), " has no metrics");
  base.values["samples"] = lines.train.back().value("samples", 0.0);
  base.values["train_seconds"] = lines.train.back().value("elapsed", 0.0);
  std::vector<Record> all;
  if (e.curve)
    for (const Json& line : lines.eval) {
      Record r = base;
      r.labels.emplace_back("evaluation", "training");
      r.labels.emplace_back("step", std::to_string(line.value("step", int64_t{0})));
      add_shares(r, line);
      r.values["samples"] = line.value("samples", 0.0);
      r.values["train_seconds"] = line.value("elapsed", 0.0);
      all.push_back(r);
    }
  for (const Judgement& j : job.trial->judgements) {
    Record r = base;
    r.labels.insert(r.labels.end(), j.labels.begin(), j.labels.end());
    Json found;
    if (j.words.empty()) {
      found = read_json(job.run / "evaluation.json");
    } else {
      Words words = j.words;
      words.insert(words.end(), {"--run", job.run.string(), "--json", "--threads",
                                 std::to_string(options.threads)});
      const Path out = job.run / "judgement.json";
      command(options.program, words, out, job.run / "judgement.log");
      found = read_json(out);
    }
    for (const Record& one : judged(r, found)) all.push_back(one);
  }
  Json line = {{"key", job.key}, {"model", job.run.filename().string()}};
  line["labels"] = Json::object();
  for (const auto& [name, value] : job.trial->labels) line["labels"][name] = value;
  line["train"] = to_string(job.train);
  line["records"] = Json::array();
  for (const Record& r : all) line["records"].push_back(to_json(r));
  return line;
}

// The last step in metrics.jsonl, read from its end.
int64_t step_reached(const Path& run) {
  std::ifstream file(run / "metrics.jsonl");
  if (!file) return 0;
  file.seekg(0, std::ios::end);
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - 2000));
  int64_t step = 0;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object()) step = json.value("step", step);
  }
  return step;
}

std::vector<Json> read_results(const Path& file) {
  std::vector<Json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (const Json json = Json::parse(line, nullptr, false); json.is_object())
      lines.push_back(json);
  return lines;
}

}  // namespace

std::string Record::label(const std::string& name) const {
  for (const auto& [key, value] : labels)
    if (key == name) return value;
  return "";
}

Json to_json(const Record& r) {
  Json json = {{"labels", Json::object()}, {"values", r.values}};
  for (const auto& [name, value] : r.labels) json["labels"][name] = value;
  if (!r.solved.empty()) json["solved"] = r.solved;
  return json;
}

Record record_from_json(const Json& json) {
  Record r;
  for (const auto& [name, value] : json.at("labels").items()) r.labels.emplace_back(name, value);
  json.at("values").get_to(r.values);
  r.solved = json.value("solved", "");
  return r;
}

std::vector<Record> run_experiment(const Experiment& e, const RunOptions& options,
                                   const std::atomic<bool>* stop) {
  const Path own = options.root / e.name, results = own / "results.jsonl";
  fs::create_directories(own), fs::create_directories(options.root / "data");
  SideBySide pool;
  pool.jobs =
      options.jobs > 0 ? options.jobs : static_cast<int>(std::thread::hardware_concurrency());
  pool.stop = stop;
  std::string failed;
  pool.failed = [&](int64_t, const std::string& why) {
    if (failed.empty()) failed = why;
  };

  // Data sets, where they are not there yet.
  std::map<std::string, Path> folders;
  std::vector<std::pair<Words, Path>> missing;
  for (const auto& [name, words] : e.data) {
    const Path folder = options.root / "data" / key_of(to_string(words));
    folders[name] = folder;
    const bool asked = std::any_of(missing.begin(), missing.end(),
                                   [&](const auto& m) { return m.second == folder; });
    if (!fs::exists(folder) && !asked) missing.emplace_back(words, folder);
  }
  pool.work = [&](int64_t i) {
    Words words = {"data"};
    words.insert(words.end(), missing[i].first.begin(), missing[i].first.end());
    words.insert(words.end(), {"--out", missing[i].second.string()});
    const Path log = missing[i].second.string() + ".log";
    command(options.program, words, log.string() + ".out", log);
  };
  pool.done = [](int64_t) {};
  run_side_by_side(static_cast<int64_t>(missing.size()), pool);
  CHECK(failed.empty(), failed);

  // Models. Trials that only judge differently share one, and a process.
  const auto with_folders = [&](Words words) {
    for (std::string& w : words)
      for (const auto& [name, folder] : folders)
        for (size_t at; (at = w.find("{data:" + name + "}")) != std::string::npos;)
          w.replace(at, name.size() + 7, folder.string());
    return words;
  };
  std::map<std::string, Json> lines;
  for (const Json& line : read_results(results)) lines[line.value("key", "")] = line;
  std::vector<Trial> trials = e.trials;
  std::vector<std::string> keys;            // of all trials
  std::map<Path, std::vector<Job>> models;  // that are not done
  std::vector<Path> order;
  int64_t steps = 0, steps_done = 0;
  for (Trial& t : trials) {
    Job job;
    job.trial = &t;
    job.train = with_folders(t.train);
    // Known by what it is: the same model asked for in other words is the same, and another one
    // under the same words, as when a preset changes, is another.
    const auto [config, words] = asked_for(job.train);
    job.steps = config.train.total_steps;
    std::string text = to_string(words) + config.to_json().dump();
    job.run = options.root / "models" / key_of(text);
    job.train.insert(job.train.end(), {"--run", job.run.string()});
    for (Judgement& j : t.judgements) {
      j.words = with_folders(j.words);
      text += "\n" + to_string(j.labels) + ": " + to_string(j.words);
    }
    job.key = key_of(text + to_string(t.labels) + (e.curve ? " curve" : ""));
    keys.push_back(job.key);
    steps += job.steps;
    if (lines.contains(job.key)) {
      steps_done += job.steps;
      continue;
    }
    if (!models.contains(job.run)) order.push_back(job.run);
    models[job.run].push_back(job);
  }
  Progress bar(e.name, "steps", steps, steps_done);
  pool.work = [&](int64_t i) {
    fs::create_directories(order[i]);
    const Lock lock(order[i]);
    for (const Job& job : models[order[i]]) {
      train(job, options);
      write_file_atomically(order[i] / (job.key + ".json"), judge(e, job, options).dump() + "\n");
    }
  };
  pool.done = [&](int64_t i) {
    for (const Job& job : models[order[i]]) {
      const Path found = order[i] / (job.key + ".json");
      const Json line = lines[job.key] = read_json(found);
      std::ofstream(results, std::ios::app) << line.dump() << '\n';
      fs::remove(found);
    }
  };
  pool.tick = [&] {
    int64_t done = steps_done, left = 0;
    for (const auto& [run, jobs] : models)
      for (const Job& job : jobs) {
        left += !lines.contains(job.key);
        done += lines.contains(job.key) ? job.steps : std::min(job.steps, step_reached(run));
      }
    bar.update(done, format("%lld of %zu models done",
                            static_cast<long long>(static_cast<int64_t>(keys.size()) - left),
                            keys.size()));
  };
  run_side_by_side(static_cast<int64_t>(order.size()), pool);
  pool.tick();
  bar.finish();
  const bool stopped = stop && stop->load();
  CHECK(failed.empty() || stopped, failed, ". HINT: the same command goes on with what is left");

  std::vector<Record> records;
  for (const std::string& key : keys)
    if (lines.contains(key))
      for (const Json& r : lines[key].at("records")) records.push_back(record_from_json(r));
  return records;
}

}  // namespace hrm
