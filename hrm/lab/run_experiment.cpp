#include "hrm/lab/run_experiment.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include <fmt/core.h>

#include "hrm/support/folder_lock.h"
#include "hrm/support/json_lines.h"
#include "hrm/support/processes.h"
#include "hrm/support/progress.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "hrm/train/checkpoint.h"
#include "hrm/view/metrics.h"

namespace hrm::lab {
namespace fs = std::filesystem;
namespace {

std::string key_of(const std::string& text) { return hexadecimal(name_hash(text)); }

void make_folder(const Path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  HRM_CHECK(!error, "[lab] cannot create ", folder.string(), ": ", error.message(),
            ". HINT: choose an --out folder in which you may write");
}

constexpr int64_t kMostSteps = int64_t{1} << 50;

// The last step in metrics.jsonl, read from its end.
int64_t step_reached(const Path& run) {
  std::ifstream file(run / "metrics.jsonl");
  if (!file) return 0;
  file.seekg(0, std::ios::end);
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - 2000));
  int64_t step = 0;
  std::ostringstream tail;
  tail << file.rdbuf();
  // The first line of it is only a part.
  const auto note = [&](const Json& line, const std::string& where) {
    try {
      step = Members(line, where).integer("step", 0, kMostSteps, step);
    } catch (const Error&) {  // a damaged line: the bar waits for the next
    }
  };
  for_each_line(tail.str(), run.string(), note, [](const std::string&) {});
  return step;
}

// The lines of all results, by key.
std::map<std::string, Json> read_results(const Path& folder, const DamageVisitor& on_damage) {
  std::map<std::string, Json> lines;
  for (const Path& file : results_of_all(folder))
    for (const Json& line : parse_results(results_text(file), file.string(), on_damage))
      lines.try_emplace(line.value("key", ""), line);
  return lines;
}

// One trial with its model's folder.
struct Job {
  Trial trial;  // with data folders in its words
  Words train;  // with data and run folders
  Path run;
  std::string key;  // of training and judgements
  int64_t steps = 1;
};

// One call of run_experiment.
class Run {
 public:
  Run(const Experiment& experiment, const RunOptions& options);
  Findings run();

 private:
  // Trials that only judge differently share a model, and are done one after the other.
  using Model = std::vector<const Job*>;

  void make_data();
  void make_data_set(const Words& words, const Path& folder);
  Words with_folders(Words words) const;
  Job job_of(const Trial& trial) const;
  std::vector<Model> own_models() const;
  Findings findings() const;
  void make_models();
  void train(const Job& job);
  Json judge(const Job& job);
  Json judgement(const Job& job, const Words& words);
  void command(const Words& words, const Path& output, const Path& log);
  // Data sets and models belong to all experiments of a root: whoever comes second waits.
  FolderLock lock(const std::string& key) const {
    return wait_for(lock_folder(options_.root, Path("locks") / key));
  }
  FolderLock wait_for(const Path& folder) const {
    return FolderLock(folder, [] { return StopSignals::count() == 0; });
  }
  void show(Progress& bar) const;

  const Experiment& experiment_;
  const RunOptions& options_;
  const Path folder_;  // of this experiment
  ProcessPool pool_;
  std::map<std::string, Path> folders_;  // of the data sets, by name
  std::vector<Job> jobs_;                // of all trials
  std::vector<Model> models_;            // of this shard
  std::map<std::string, Json> lines_;    // of all results, by key
};

Run::Run(const Experiment& experiment, const RunOptions& options)
    : experiment_(experiment),
      options_(options),
      folder_(options.root / experiment.name),
      pool_(options.jobs > 0 ? options.jobs : own_cores()) {}

Findings Run::run() {
  make_folder(folder_);
  make_folder(options_.root / "data");
  make_data();
  for (const Trial& trial : experiment_.trials) jobs_.push_back(job_of(trial));
  models_ = own_models();
  lines_ = read_results(folder_, [](const std::string& what) {
    std::fprintf(stderr, "%s. The line is passed over\n", printable(what).c_str());
  });
  make_models();
  // What other shards have done meanwhile; one of them may be writing a line just now.
  lines_.merge(read_results(folder_, [](const std::string&) {}));
  return findings();
}

Findings Run::findings() const {
  Findings found;
  for (const Job& job : jobs_) {
    const auto line = lines_.find(job.key);
    if (line == lines_.end()) {
      ++found.open;
      continue;
    }
    for (const Json& r : line->second.at("records")) found.records.push_back(record_from_json(r));
  }
  return found;
}

// Runs `hrm WORDS`. An Error holds its last line.
void Run::command(const Words& words, const Path& output, const Path& log) {
  try {
    pool_.command({options_.program, words, output, log});
  } catch (const Error& error) {
    detail::fail("[lab] `", to_string(words), "` failed: ", error.what());
  }
}

// The data sets that are not there yet.
void Run::make_data() {
  std::map<Path, Words> missing;
  for (const auto& [name, words] : experiment_.data) {
    folders_[name] = options_.root / "data" / key_of(to_string(words));
    if (!fs::exists(folders_[name])) missing[folders_[name]] = words;
  }
  const std::vector<std::pair<Path, Words>> all(missing.begin(), missing.end());
  pool_.run(std::ssize(all), [&](int64_t i) { make_data_set(all[i].second, all[i].first); });
}

void Run::make_data_set(const Words& words, const Path& folder) {
  const FolderLock held = lock(folder.filename());
  if (fs::exists(folder)) return;  // made by another experiment meanwhile
  Words all = {"data"};
  all.insert(all.end(), words.begin(), words.end());
  all.insert(all.end(), {"--out", folder.string()});
  command(all, folder.string() + ".log.out", folder.string() + ".log");
}

Words Run::with_folders(Words words) const {
  for (std::string& w : words)
    for (const auto& [name, folder] : folders_)
      for (size_t at; (at = w.find("{data:" + name + "}")) != std::string::npos;)
        w.replace(at, name.size() + 7, folder.string());
  return words;
}

Job Run::job_of(const Trial& trial) const {
  Job job;
  job.trial = trial;
  job.train = with_folders(trial.train);
  // Known by what it is: the same model asked for in other words is the same, and another one
  // under the same words, as when a preset changes, is another.
  const auto [config, words] = asked_for(job.train);
  job.steps = config.train.total_steps;
  std::string text = to_string(words) + config.to_json().dump();
  job.run = options_.root / "models" / key_of(text);
  job.train.insert(job.train.end(), {"--run", job.run.string()});
  for (Judgement& j : job.trial.judgements) {
    j.words = with_folders(j.words);
    text += "\n" + to_string(j.labels) + ": " + to_string(j.words);
  }
  job.key = key_of(text + to_string(trial.labels) + (experiment_.curve ? " curve" : ""));
  return job;
}

std::vector<Run::Model> Run::own_models() const {
  std::vector<Model> all;
  std::map<Path, size_t> place;
  for (const Job& job : jobs_) {
    const auto [at, fresh] = place.try_emplace(job.run, all.size());
    if (fresh) all.emplace_back();
    all[at->second].push_back(&job);
  }
  std::vector<Model> own;
  for (size_t i = 0; i < all.size(); ++i)
    if (options_.shard.has(static_cast<int64_t>(i))) own.push_back(all[i]);
  return own;
}

// Trains and judges what no results hold.
void Run::make_models() {
  std::vector<Model> models;
  int64_t steps = 0;
  int64_t done = 0;
  for (const Model& model : models_) {
    Model open;
    for (const Job* job : model) {
      steps += job->steps;
      if (lines_.contains(job->key))
        done += job->steps;
      else
        open.push_back(job);
    }
    if (!open.empty()) models.push_back(open);
  }
  const std::string part = options_.shard.is_whole() ? "" : " " + options_.shard.text();
  Progress bar(experiment_.name + part, "steps", steps, done);
  std::vector<std::vector<Json>> found(models.size());
  std::mutex writing;
  pool_.tick = [&] { show(bar); };
  pool_.done = [&](int64_t i) {
    for (const Json& line : found[i]) lines_[line.at("key")] = line;
  };
  pool_.run(std::ssize(models), [&](int64_t i) {
    const Path run = models[i].front()->run;
    const FolderLock held = lock(run.filename());
    // Somebody may have cut the work into other shards, and have done this model meanwhile.
    const std::map<std::string, Json> known = read_results(folder_, [](const std::string&) {});
    for (const Job* job : models[i]) {
      if (const auto line = known.find(job->key); line != known.end()) {
        found[i].push_back(line->second);
        continue;
      }
      train(*job);
      found[i].push_back(judge(*job));
      const std::lock_guard one_at_a_time(writing);
      append_json_line(options_.shard.results(folder_), found[i].back().dump());
    }
  });
  show(bar);
  bar.finish();
}

void Run::show(Progress& bar) const {
  int64_t steps = 0, done = 0, all = 0;
  for (const Model& model : models_)
    for (const Job* job : model) {
      const bool known = lines_.contains(job->key);
      ++all;
      done += known;
      steps += known ? job->steps : std::min(job->steps, step_reached(job->run));
    }
  bar.update(steps, fmt::format("{} of {} models done", done, all));
}

// Trains, or goes on, or finds the model trained.
void Run::train(const Job& job) {
  const Path evaluation = job.run / "evaluation.json";
  const auto step = [&]() -> int64_t {  // of the last evaluation, 0 before the first
    if (!fs::exists(evaluation)) return 0;
    const Json json = read_json(evaluation);
    return Members(json, evaluation.string()).integer("step", 0, kMostSteps, 0);
  };
  if (step() == job.steps) return;
  // A training of somebody else, or of an experiment that was killed just now, may still be there.
  static_cast<void>(wait_for(job.run));
  Words words = job.train;
  words.insert(words.end(), {"--threads", std::to_string(options_.threads)});
  words.insert(words.end(), options_.more.begin(), options_.more.end());
  if (fs::exists(job.run / "config.json")) words.push_back("--resume");
  try {
    command(words, job.run / "train.out", job.run / "train.log");
  } catch (const Error& error) {
    // A hint to go on with other settings would make another model of it.
    const std::string text = error.what();
    throw text.find("--resume") == std::string::npos ? error
                                                     : Error(text.substr(0, text.find(". HINT: ")));
  }
  // Fewer steps than asked for are fine where early_stop or early_stop_accuracy ended it.
  HRM_CHECK(step() > 0, "[lab] the training in ", job.run.string(), " has no evaluation");
}

// What a judgement's command prints.
Json Run::judgement(const Job& job, const Words& words) {
  if (words.empty()) return read_json(job.run / "evaluation.json");
  Words all = words;
  all.insert(all.end(),
             {"--run", job.run.string(), "--json", "--threads", std::to_string(options_.threads)});
  const Path output = job.run / "judgement.json";
  command(all, output, job.run / "judgement.log");
  return read_json(output);
}

// All that is known of a trained model, as the line of results.jsonl.
Json Run::judge(const Job& job) {
  Record base;
  base.labels = job.trial.labels;
  const MetricLines lines = read_metrics(job.run);
  HRM_CHECK(!lines.train.empty(), "[lab] ", job.run.string(), " has no metrics");
  base.values["samples"] = lines.train.back().value("samples", 0.0);
  base.values["train_seconds"] = lines.train.back().value("elapsed", 0.0);
  std::vector<Record> all;
  if (experiment_.curve)
    for (const Json& line : lines.eval) {
      Record r = base;
      r.labels.emplace_back("evaluation", "training");
      r.labels.emplace_back("step", std::to_string(line.value("step", int64_t{0})));
      add_shares(r, Members(line, job.run.string()));
      r.values["samples"] = line.value("samples", 0.0);
      r.values["train_seconds"] = line.value("elapsed", 0.0);
      all.push_back(r);
    }
  for (const Judgement& j : job.trial.judgements) {
    Record r = base;
    r.labels.insert(r.labels.end(), j.labels.begin(), j.labels.end());
    const Json found = judgement(job, j.words);
    for (const Record& one : judged(r, Members(found, job.run.string()))) all.push_back(one);
  }
  Json line = {{"key", job.key}, {"model", job.run.filename().string()}};
  line["labels"] = Json::object();
  for (const auto& [name, value] : job.trial.labels) line["labels"][name] = value;
  line["train"] = to_string(job.train);
  line["records"] = Json::array();
  for (const Record& r : all) line["records"].push_back(to_json(r));
  return line;
}

}  // namespace

Findings run_experiment(const Experiment& experiment, const RunOptions& options) {
  try {
    return Run(experiment, options).run();
  } catch (const Error& error) {
    throw with_hint(error, "what is done is kept, and the same command goes on from there");
  }
}

}  // namespace hrm::lab
