// hrm lab figure, run, list.
#include <cstdio>
#include <filesystem>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/lab/experiment_page.h"
#include "hrm/support/folder_lock.h"
#include "hrm/support/stop_signals.h"
#include "hrm/support/text.h"

namespace hrm {
using namespace lab;
namespace fs = std::filesystem;
namespace {

struct Settings {
  std::string file, out = "runs/lab", arc, device;
  ExperimentOptions what;
  RunOptions how;

  void add(CLI::App& command) {
    command.add_option("--out", out, "folder of data, models and results (default runs/lab)");
    command.add_flag("--full", what.full, "the published sizes: days on a GPU");
    command.add_option("--arc", arc, "folder with ARC's training and evaluation");
    command.add_option("--only", what.only, "these models alone: loops=4,seed=1");
    command.add_option("--set", what.settings, "change any setting of every model: key=value")
        ->type_name("KEY=VALUE");
    command.add_option("--jobs", how.jobs, "models at a time (default: one a core)")
        ->check(whole_number(1, 4096));
    command.add_option("--threads", how.threads, "of each model (default 1)")
        ->check(whole_number(1, 1024));
    command.add_option("--device", device, "cpu (default) or cuda, for the training")
        ->check(one_of({"cpu", "cuda"}));
    command.footer("Run again, it goes on with what is left and draws its page anew.");
  }
};

// What a person types to have it again.
std::string command_text(const Settings& s, const std::string& start) {
  std::string text = "hrm lab " + start;
  if (!s.arc.empty()) text += " --arc " + to_string(Words{s.arc});
  if (s.what.full) text += " --full";
  for (const std::string& item : s.what.settings) text += " --set " + to_string(Words{item});
  return text;
}

void run(Settings s, const std::string& start) {
  s.what.arc = s.arc;
  const Experiment e = read_experiment(s.file, s.what);
  s.how.root = fs::absolute(s.out);
  s.how.program = fs::read_symlink("/proc/self/exe");
  if (!s.device.empty()) s.how.more = {"--device", s.device};
  const StopSignals signals;
  const FolderLock held(s.how.root / e.name);
  const std::vector<Record> records = run_experiment(e, s.how);
  if (const int status = StopSignals::exit_status()) {
    print(stderr, "stopped; the same command goes on with what is left\n");
    throw CLI::RuntimeError(status);
  }
  const std::vector<Row> rows = summarize(records, e.average);
  const Path own = s.how.root / e.name, page = own / "page.html";
  std::string lines;
  for (const Row& r : rows) {
    Json line = {{"labels", Json::object()}, {"values", Json::object()}};
    for (const auto& [name, value] : r.labels) line["labels"][name] = value;
    for (const auto& [name, v] : r.values)
      line["values"][name] = {{"mean", v.mean}, {"half_width", v.half_width}, {"models", v.count}};
    lines += line.dump() + "\n";
  }
  write_file_atomically(own / "table.jsonl", lines);
  write_file_atomically(page, experiment_page(e, rows, command_text(s, start)));
  print("{}\n{}\npage {}; a line for each model in {}\n", printable(e.title), text_table(e, rows),
        page.string(), (own / "results.jsonl").string());
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

void list() {
  const Path folder = experiments_folder();
  for (const Path& file : list_experiments(folder)) {
    ExperimentOptions options;
    options.arc = "ARC";
    const Experiment e = read_experiment(file, options);
    std::string stem = file.stem();
    print("{:<10} {:3} models  {}\n", stem.starts_with("figure_") ? stem.substr(7) : stem,
          e.trials.size(), e.title);
  }
  print("\nhrm lab figure NAME; the files are in {}\n", folder.string());
}

}  // namespace

void run_figure(const std::string& name) {
  Settings s;
  s.file = figure_file(name);
  run(s, "figure " + name);
}

void add_experiment_commands(CLI::App& lab) {
  CLI::App* figure = lab.add_subcommand("figure", "Run an experiment of the project and draw it");
  auto f = std::make_shared<Settings>();
  auto name = std::make_shared<std::string>();
  figure->add_option("name", *name, "3, 3b, 4, ... (hrm lab list)")->required();
  f->add(*figure);
  figure->callback([=] {
    f->file = figure_file(*name);
    run(*f, "figure " + *name);
  });

  CLI::App* own = lab.add_subcommand("run", "The same for a file of your own");
  auto r = std::make_shared<Settings>();
  own->add_option("file", r->file, "experiment (docs/experiments.md)")->required();
  r->add(*own);
  own->callback([r] { run(*r, "run " + to_string(Words{r->file})); });

  lab.add_subcommand("list", "The experiments of the project")->callback([] { list(); });
}

}  // namespace hrm
