#include <omp.h>

#include <cstdio>
#include <ctime>
#include <numeric>
#include <set>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/machine.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_dataset.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/run_files.h"
#include "hrm/train/trainer.h"
#include "kernels/device.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

std::string line_of_words;  // the command line

// How config.json names a data set: by its place in the run folder, with which it moves, or else so
// that it is found from every folder.
std::string portable_data(const Path& run, const std::string& data) {
  if (data.empty()) return data;
  const Path whole = fs::weakly_canonical(fs::absolute(data));
  const Path inside = whole.lexically_relative(fs::weakly_canonical(fs::absolute(run)));
  const bool is_inside = !inside.empty() && *inside.begin() != "..";
  return is_inside ? inside.string() : whole.string();
}

// How the data set lies to the run folder, so that both are still found when they are moved
// together; "" where `data` says that already.
std::string data_beside(const Path& run, const std::string& data) {
  if (data.empty() || Path(data).is_relative()) return "";
  return Path(data).lexically_relative(fs::weakly_canonical(fs::absolute(run))).string();
}

}  // namespace

void check_name(const Path& folder) {
  HRM_CHECK(is_utf8(folder.string()), "[run] the name of the folder ", printable(folder.string()),
            " is not UTF-8 text, and config.json could not hold it. HINT: rename it");
}

std::string stored_name(const Path& path) {
  return is_utf8(path.string()) ? path.string() : printable(path.string());
}

void set_command_line(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    const std::string word = i == 0 ? "hrm" : argv[i];
    const bool plain = word.find_first_of(" '\"$&|;<>*?()") == std::string::npos;
    line_of_words += (i ? " " : "") + (plain ? word : "'" + word + "'");
  }
}

const std::string& command_line() { return line_of_words; }

void CommonOptions::add_threads(Command command) {
  command.section("Machine");
  command.whole_number("--threads", threads, 1, 1024, "CPU threads (default: one for each core).");
}

void CommonOptions::add(Command command) {
  add_threads(command);
  command.choice("--device", device_name, {"cpu", "cuda"},
                 "Where to compute: cpu (default) or cuda, the GPU.");
  command.flag("--tf32", tf32,
               "On a GPU: multiply f32 matrices on the tensor cores, which round the operands to "
               "10 bits.");
  command.flag("--tune", tune,
               "On a GPU: try several algorithms for each large matrix product when it first "
               "occurs, and keep the fastest. Two runs may then differ in the last digits; a "
               "resumed run goes on with those of its checkpoint.");
}

void CommonOptions::apply() const {
  if (threads > 0) omp_set_num_threads(threads);
  HRM_CHECK(!tf32 || device() == Device::cuda,
            "[device] --tf32 is of a GPU's tensor cores. HINT: --device cuda, or leave it out");
  HRM_CHECK(!tune || device() == Device::cuda,
            "[device] --tune is for a GPU. HINT: --device cuda, or leave it out");
  runtime::require_device(device());
  runtime::set_tf32(device(), tf32);
  runtime::set_product_tuning(device(), tune);
}

DataView view_of(const Config& config) {
  DataView view;
  view.conditioning = config.model.conditioning;
  view.context_pairs = config.model.context_pairs;
  view.tasks = config.tasks;
  return view;
}

PuzzleDataset open_data(LoadedRun& run, const std::string& data, const std::string& split,
                        const DataView& view) {
  const std::string folder = data.empty() ? run.config.data : data;
  HRM_CHECK(!folder.empty(), "[data] the run names no data set. HINT: --data DIR");
  HRM_CHECK(fs::exists(folder), "[data] the data set of the run is not in ", folder,
            " any more. HINT: --data DIR says where it is now");
  PuzzleDataset dataset = open_dataset(folder, split, view);
  arrange_puzzle_rows(run, dataset);
  check_dataset_fits(run.config.model, dataset);
  return dataset;
}

void note_moved_data(const Path& run) {
  if (!fs::exists(run / "config.json")) return;  // a model in one file
  const std::string found = read_config(run).data;
  const Json json = read_json(run / "config.json");
  const std::string was = Members(json, (run / "config.json").string()).text("data", "");
  if (Path(was).is_absolute() && found != was)
    print(stderr, "note: the data set was in {}; this is the one in {}\n", printable(was),
          printable(found));
}

void arrange_puzzle_rows(LoadedRun& run, const PuzzleDataset& data) {
  const std::vector<uint64_t> names = data.puzzle_names();
  if (!run.model || run.puzzle_names.empty() || names.empty() || names == run.puzzle_names) return;
  const std::set<uint64_t> known(run.puzzle_names.begin(), run.puzzle_names.end());
  for (int64_t p = 0; p < data.num_puzzles(); ++p) {
    const int32_t id = data.read(data.puzzle(p).first).puzzle_id;
    HRM_CHECK(known.contains(names[id]), "[run] puzzle '", data.puzzle_name(id), "' of ",
              data.folder().string(),
              " is unknown to the checkpoint. HINT: fewer --variants, or `hrm "
              "adapt` fits a task that was not in training");
  }
  int64_t found = 0;
  run.model->replace_puzzle_rows(
      match_puzzle_rows(run.model->puzzle_emb->weights, run.puzzle_names, names, &found));
  run.config.model.num_puzzle_identifiers = std::ssize(names);
  run.puzzle_names = names;
}

namespace {

// What kind of puzzles a data set holds, as far as it says; ARC in the official form shows it by
// its vocabulary and the names of its puzzles.
std::string kind_of(const PuzzleDataset& data) {
  if (!data.task().kind().empty()) return data.task().kind();
  return data.info().vocab_size == kArcVocab && data.info().num_puzzle_identifiers > 1 ? "arc" : "";
}

// A line on stderr if the preset of `config`, whose sizes are still its own, was made for others.
void note_other_kind(const Config& config, const PuzzleDataset& data) {
  const std::string kind = kind_of(data);
  for (const PresetInfo& p : presets()) {
    if (p.name != config.preset || p.task.empty() || kind.empty()) continue;
    const bool same_size = kind == "arc" || config.model.seq_len == data.info().seq_len;
    if (p.task == kind && same_size) continue;
    print(stderr,
          "note: the preset {} is made for other data ({}) than {}, which holds {} of {} "
          "cells; its settings may not suit\n",
          p.name, p.description.substr(0, p.description.find(',')), data.folder().string(), kind,
          format_count(data.info().seq_len));
  }
}

}  // namespace

void check_settings(const std::vector<std::string>& items) {
  for (const std::string& item : items) {
    const std::string key = item.substr(0, item.find('='));
    for (const char* size : {"seq_len", "vocab_size", "num_puzzle_identifiers"})
      HRM_CHECK(key != size, "[config] ", key,
                " is a size of the data set and cannot be set, got '", item,
                "'. HINT: leave it out");
  }
}

void apply_settings(Config& config, const std::vector<std::string>& items) {
  check_settings(items);
  bool heads = false;
  for (const std::string& item : items) {
    config.set_from(item);
    heads |= item.starts_with("num_heads=") || item.starts_with("hidden_size=");
  }
  const ModelConfig& m = config.model;
  HRM_CHECK(!heads || m.num_heads < 1 || m.hidden_size % m.num_heads == 0,
            "[config] num_heads must divide hidden_size ", m.hidden_size, ", got ", m.num_heads,
            ". HINT: --set num_heads=", std::gcd(m.num_heads, m.hidden_size));
}

void adopt_data(Config& config, const PuzzleDataset& data) {
  note_other_kind(config, data);
  config.model.seq_len = data.info().seq_len;
  config.model.vocab_size = data.info().vocab_size;
  config.model.num_puzzle_identifiers = data.info().num_puzzle_identifiers;
}

void write_run_config(const Path& run, const Config& config, const Json& task, const Json& init,
                      bool trains) {
  const std::string data = portable_data(run, config.data);
  check_name(data);
  create_folder(run);
  Json json = config.to_json();
  json["data"] = data;
  if (const std::string near = data_beside(run, data); !near.empty()) json["data_beside"] = near;
  json["task"] = task;
  json["command"] = stored_name(command_line());
  json["version"] = kVersion;
  if (trains) {
    json["started"] = time_text(std::time(nullptr));
    json["machine"] = machine_text();
  }
  if (!init.empty()) json["init"] = init;
  write_file_atomically(run / "config.json", json.dump(2) + "\n");
}

void update_run_config(const Path& run, const Config& config) {
  const std::string data = portable_data(run, config.data);
  check_name(data);
  const Json before = read_json(run / "config.json");
  Json json = before;
  const Json now = config.to_json();
  for (const auto& [key, value] : now.items()) json[key] = value;
  json["data"] = data;
  const std::string near = data_beside(run, data);
  if (near.empty())
    json.erase("data_beside");
  else
    json["data_beside"] = near;
  if (json != before) write_file_atomically(run / "config.json", json.dump(2) + "\n");
}

Json last_evaluation(const Path& run) {
  const Path file = run / "evaluation.json";
  if (!fs::exists(file)) return {};
  const EvalResult r = eval_result_from_json(read_json(file), file.string());
  return {{"step", r.step},
          {"puzzles", r.count},
          {"exact_accuracy", r.exact_accuracy},
          {"accuracy", r.accuracy}};
}

void note_pool(int64_t wanted, const PuzzleDataset& data) {
  int64_t most = 0;
  const ArcExamples* arc = arc_examples(data);
  for (int64_t t = 0; t < std::ssize(arc->tasks()); ++t)
    most = std::max(most, arc->num_variants(t) - 1);
  if (wanted > most)
    print(stderr, "note: there are {} variants of a task; these are taken, not {}\n",
          format_count(most), format_count(wanted));
}

std::FILE* text_beside(const Path& out) { return is_standard_output(out) ? stderr : stdout; }

void print_json(const Json& json) {
  // In ASCII: names from files may hold what a terminal would obey.
  print("{}\n", json.dump(2, ' ', true, Json::error_handler_t::replace));
}

std::string describe(const EvalResult& r) {
  std::string text = format_count(r.count);
  text += fmt::format(" puzzles: {:.1f} % solved exactly, ", 100 * r.exact_accuracy);
  if (r.valid_accuracy.value_or(0) > 0)
    text += fmt::format("{:.1f} % by the rules, ", 100 * *r.valid_accuracy);
  text += fmt::format("{:.2f} % of tokens right, {:.2f} segments each, ", 100 * r.accuracy,
                      r.mean_steps);
  return text + format_duration(r.seconds);
}

}  // namespace hrm
