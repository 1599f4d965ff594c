// hrm lab figure, run, list.
#include <cstdio>
#include <filesystem>
#include <optional>

#include "hrm/cli/commands.h"
#include "hrm/cli/on_ranks.h"
#include "hrm/cli/print.h"
#include "hrm/lab/experiment_page.h"
#include "hrm/support/folder_lock.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"
#include "nn/distributed/job.h"

namespace hrm {
using namespace lab;
namespace fs = std::filesystem;
namespace {

struct Settings {
  std::string file, out = "runs/lab", arc, device;
  bool json = false;
  ExperimentOptions what;
  std::optional<Shard> shard;
  RunOptions how;

  void add(Command command) {
    command.text("--out", out, "The folder of data, models and results (default runs/lab).");
    command.flag("--full", what.full, "Use the published sizes, which take days on a GPU.");
    command.text("--arc", arc, "The folder that holds ARC's folders training and evaluation.");
    command.text("--only", what.only, "Train these models alone, such as loops=4,seed=1.");
    command.texts("--set", what.settings, "Change any setting of every model.")
        .shown_as("KEY=VALUE");
    command.whole_number("--jobs", how.jobs, 1, 4096,
                         "Models that train at a time (default: one for each core; under mpirun or "
                         "srun one).");
    command.whole_number("--threads", how.threads, 1, 1024,
                         "CPU threads of each model (default 1).");
    command.shard("--shard", shard,
                  "Do the I-th of N parts of the models alone; other processes, with the same "
                  "--out, do the others (default: all, or the part that mpirun or srun gives).");
    command.choice("--device", device, {"cpu", "cuda"},
                   "Where to train: cpu (default) or cuda, the GPU.");
    command.flag("--json", json, kJsonHelp);
    command.footer("The same command goes on with what is left, and draws its page anew.");
  }
};

// What a person types to have it again, but for --only.
std::string command_text(const Settings& s, const std::string& start) {
  std::string text = "hrm lab " + start;
  if (s.out != Settings().out) text += " --out " + to_string(Words{s.out});
  if (!s.arc.empty()) text += " --arc " + to_string(Words{s.arc});
  if (s.what.full) text += " --full";
  for (const std::string& item : s.what.settings) text += " --set " + to_string(Words{item});
  if (s.how.jobs > 0) text += fmt::format(" --jobs {}", s.how.jobs);
  if (s.how.threads != RunOptions().threads) text += fmt::format(" --threads {}", s.how.threads);
  if (!s.device.empty()) text += " --device " + s.device;
  return text;
}

Json to_json(const Row& row) {
  Json line = {{"labels", Json::object()}, {"values", Json::object()}};
  for (const auto& [name, value] : row.labels) line["labels"][name] = value;
  for (const auto& [name, v] : row.values)
    line["values"][name] = {{"mean", v.mean}, {"half_width", v.half_width}, {"models", v.count}};
  return line;
}

// table.jsonl and page.html; what standard output shows of them.
std::string write_page(const Settings& s, const Experiment& e, const std::vector<Record>& records,
                       const std::string& start) {
  const std::vector<Row> rows = summarize(records, e.average);
  const Path own = s.how.root / e.name, page = own / "page.html";
  std::string lines;
  for (const Row& r : rows) lines += to_json(r).dump() + "\n";
  write_file_atomically(own / "table.jsonl", lines);
  write_file_atomically(page, experiment_page(e, rows, command_text(s, start), s.what.only));
  if (s.json) {
    Json json = {{"name", e.name},
                 {"title", e.title},
                 {"open", 0},
                 {"page", page.string()},
                 {"rows", Json::array()}};
    for (const Row& r : rows) json["rows"].push_back(to_json(r));
    return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
  }
  return fmt::format("{}\n{}\npage {}; a line for each model in {}\n", printable(e.title),
                     text_table(e, rows), page.string(), results_name(own));
}

void run(Settings s, const std::string& start) {
  s.what.arc = s.arc;
  HRM_CHECK(s.file != "-",
            "[lab] an experiment is named after its file, so it cannot come from the "
            "standard input. HINT: save it in a file");
  const Experiment e = read_experiment(s.file, s.what);
  s.how.root = fs::absolute(s.out);
  s.how.program = fs::read_symlink("/proc/self/exe");
  if (!s.device.empty()) s.how.more = {"--device", s.device};
  if (launched_processes() > 1 && s.how.jobs == 0) s.how.jobs = 1;
  s.how.shard = shard_of_process(s.shard);
  const Shard& shard = s.how.shard;
  const StopSignals signals;
  const Path own = s.how.root / e.name;
  const FolderLock held(shard.lock(own));
  const Findings found = run_experiment(e, s.how);
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on with what is left\n");
    throw ExitStatus{status};
  }
  if (found.open > 0 && s.json)
    return print_json({{"name", e.name}, {"open", found.open}, {"models", e.trials.size()}});
  if (found.open > 0) {
    print(
        "part {} is done; {} of {} models are still open, and the part that ends last draws the "
        "page\n",
        shard.text(), found.open, e.trials.size());
    return;
  }
  // Shards may end at the same time.
  const FolderLock page_held(lock_folder(own, "shards/page"),
                             [] { return StopSignals::count() == 0; });
  print("{}", write_page(s, e, found.records, start));
}

// A figure's file by its number or name.
Path figure_file(const std::string& name) {
  const Path folder = experiments_folder();
  std::vector<std::string> names;
  for (const Path& file : list_experiments(folder)) {
    std::string stem = file.stem();
    if (stem == name || stem == "figure_" + name) return file;
    names.push_back(stem.starts_with("figure_") ? stem.substr(7) : stem);
  }
  detail::fail("[lab] no figure '", name, "'. HINT: there are ", join(names, ", "));
}

void list(bool as_json) {
  const Path folder = experiments_folder();
  Json json = Json::array();
  for (const Path& file : list_experiments(folder)) {
    ExperimentOptions options;
    options.arc = "ARC";
    const Experiment e = read_experiment(file, options);
    const std::string stem = file.stem(),
                      name = stem.starts_with("figure_") ? stem.substr(7) : stem;
    json.push_back(
        {{"name", name}, {"models", e.trials.size()}, {"title", e.title}, {"file", file.string()}});
    if (!as_json) print("{:<10} {:3} models  {}\n", name, e.trials.size(), e.title);
  }
  if (as_json) return print_json(json);
  print("\nhrm lab figure NAME; the files are in {}\n", folder.string());
}

}  // namespace

void run_figure(const std::string& name) {
  Settings s;
  s.file = figure_file(name);
  run(s, "figure " + name);
}

void add_experiment_commands(Command lab) {
  const Command figure = lab.command("figure", "Run an experiment of this project and draw it.");
  auto f = std::make_shared<Settings>();
  auto name = std::make_shared<std::string>();
  figure.text("name", *name, "Its name, such as 3 or 3b; `hrm lab list` has them all.").required();
  f->add(figure);
  figure.action([=] {
    f->file = figure_file(*name);
    run(*f, "figure " + *name);
  });

  const Command own = lab.command("run", "Run an experiment of your own and draw it.");
  auto r = std::make_shared<Settings>();
  own.text("file", r->file, "The file of the experiment; docs/experiments.md explains it.")
      .required();
  r->add(own);
  own.action([r] { run(*r, "run " + to_string(Words{r->file})); });

  const Command all = lab.command("list", "List the experiments of this project.");
  auto json = std::make_shared<bool>(false);
  all.flag("--json", *json, kJsonHelp);
  all.action([json] { list(*json); });
}

}  // namespace hrm
