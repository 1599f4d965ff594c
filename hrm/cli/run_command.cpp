// hrm eval, report, info: what is done with a run.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "hrm/cli/build_info.h"
#include "hrm/cli/on_ranks.h"
#include "hrm/cli/print.h"
#include "hrm/cli/run_options.h"
#include "hrm/eval/predictions.h"
#include "hrm/eval/rollouts.h"
#include "hrm/eval/solve_lattice.h"
#include "hrm/gradient_rule.h"
#include "hrm/lattice/candidates.h"
#include "hrm/presets.h"
#include "hrm/support/machine.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_dataset.h"
#include "hrm/tasks/maze_task.h"
#include "hrm/tasks/registry.h"
#include "hrm/tasks/sudoku_task.h"
#include "hrm/train/run_files.h"
#include "hrm/view/report.h"
#include "kernels/device.h"
#include "kernels/instruction_sets.h"
#include "nn/distributed/job.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct EvalSettings : RunOptions {
  std::string data, split = "test", out;
  int64_t variants = 0;
  RolloutOptions rollouts;
  RolloutSelection select = RolloutSelection::q;
};

void run_rollouts(const EvalSettings& s, const Model& model, const PuzzleDataset& data) {
  check_rollouts(s.rollouts, s.select, data.task());
  RolloutResult result;
  {
    Progress progress("eval", "puzzles");
    RolloutOptions options = s.rollouts;
    options.eval = s.options;
    options.eval.on_progress = progress.callback();
    result = roll_out(model, data, options);
  }
  if (s.json)
    print_json(to_json(result));
  else
    print("{}\n", describe(result, s.select));
}

// What a combination of options would leave without effect.
void check_eval_options(const EvalSettings& s, bool seed_given, bool variants_given) {
  const bool several = s.rollouts.rollouts > 1, noise = s.options.noise > 0;
  HRM_CHECK(!several || noise || s.rollouts.relabel, "[eval] all ", s.rollouts.rollouts,
            " rollouts would be the same. HINT: --noise 0.3, or --relabel for Sudoku");
  HRM_CHECK(
      !seed_given || noise || s.rollouts.relabel || config_in(s.run).is_lattice(),
      "[eval] --seed is the seed of --noise and --relabel, and there is neither. HINT: add one "
      "of them, or leave out --seed");
  HRM_CHECK(s.options.halt_by != HaltBy::residual || s.options.threshold > 0,
            "[eval] --halt-by residual needs a --halt-threshold above 0, since z_H always moves. "
            "HINT: --halt-threshold 0.05");
  HRM_CHECK(
      s.options.halt_by != HaltBy::confidence || s.options.threshold > 0,
      "[eval] --halt-by confidence needs a --halt-threshold above 0, since every cell is more "
      "than 0 sure. HINT: --halt-threshold 0.9");
  const bool compares = s.options.halt_by != HaltBy::repeat && s.options.halt_by != HaltBy::oracle;
  HRM_CHECK(compares || s.options.threshold == 0,
            "[eval] --halt-threshold has no effect on --halt-by ", to_string(s.options.halt_by),
            ". HINT: leave it out");
  HRM_CHECK(!variants_given || s.split == "test",
            "[eval] --variants needs the test split. HINT: leave out --split train");
  HRM_CHECK(s.out.empty() || !several,
            "[eval] --out writes one answer a puzzle, and --rollouts gives several. HINT: leave "
            "out one of them");
  HRM_CHECK(!s.json || !is_standard_output(s.out),
            "[eval] --json and --out would both go to the standard output. HINT: --out FILE");
  if (!s.out.empty()) Predictions::check_name(s.out);
}

void check_lattice_options(const EvalSettings& s) {
  const std::pair<const char*, bool> of_segments[] = {{"--halt", s.options.halting},
                                                      {"--noise", s.options.noise > 0},
                                                      {"--rollouts", s.rollouts.rollouts > 1},
                                                      {"--relabel", s.rollouts.relabel},
                                                      {"--variants", s.variants > 0}};
  for (const auto& [name, given] : of_segments)
    HRM_CHECK(!given, "[eval] ", name,
              " is of models that run in segments, and this run holds a lattice. HINT: leave it "
              "out; --set of `hrm train` changes its chains, --segments its rounds");
}

// When the answers of a lattice came.
void print_rounds(std::FILE* text, const EvalResult& r) {
  print(text, "\nrounds   solved   settled then\n");
  const auto rounds = static_cast<int64_t>(r.exact_by_segment.size());
  for (int64_t last = 1, from = 1; from <= rounds;
       from = last + 1, last = std::min(rounds, 2 * last)) {
    int64_t settled = 0;
    for (int64_t i = from; i <= last; ++i) settled += r.halt_histogram[i];
    print(text, "{:>6}  {:>5.1f} %   {}\n", last, 100 * r.exact_by_segment[last - 1],
          format_count(settled));
    if (last == rounds) break;
  }
}

void print_segments(std::FILE* text, const EvalResult& r) {
  print(text, "\nsegment   exact   tokens   halt here\n");
  for (size_t i = 0; i < r.exact_by_segment.size(); ++i)
    print(text, "{:7}  {:>5.1f} %  {:>5.1f} %   {}\n", i + 1, 100 * r.exact_by_segment[i],
          100 * r.accuracy_by_segment[i], format_count(r.halt_histogram[i + 1]));
}

void run_eval(const EvalSettings& s) {
  s.common.apply();
  LoadedRun run = load_any_run(s.run, s.checkpoint, s.common.device());
  if (run.lattice)
    check_lattice_options(s);
  else
    check_halting(run.config.model, s.options);
  DataView view = view_of(run.config);
  if (s.split == "test") view.pool = s.variants;
  if (s.data.empty() && s.options.ranks.is_first()) note_moved_data(s.run);
  const PuzzleDataset data = open_data(run, s.data, s.split, view);
  HRM_CHECK(s.variants == 0 || arc_examples(data),
            "[eval] --variants are of ARC tasks in the compact form, ", data.folder().string(),
            " has none. HINT: leave it out");
  if (s.variants > 0) note_pool(s.variants, data);
  check_same_evaluation(s.options.ranks, run, data);
  if (s.rollouts.rollouts > 1) return run_rollouts(s, *run.model, data);
  Predictions predictions(data, run.config.model.seq_len, run.lattice != nullptr);
  EvalResult result;
  {
    Progress progress("eval", "puzzles");
    EvalOptions options = s.options;
    if (!s.out.empty()) options.on_answer = [&](const Answer& a) { predictions.add(a); };
    options.on_progress = progress.callback();
    result = run.lattice ? evaluate_lattice(*run.lattice, run.config, data, options)
                         : evaluate(*run.model, data, options);
  }
  result.step = run.step;
  if (!s.out.empty() && s.options.ranks.is_first()) predictions.write(s.out);
  if (s.json) {
    print_json(to_json(result));
    return;
  }
  std::FILE* text = text_beside(s.out);
  print(text, "{}\n", describe(result));
  if (run.lattice)
    print_rounds(text, result);
  else
    print_segments(text, result);
}

// `task`: what the model is for.
Json model_info(const Config& c, const Task& task) {
  Json json = c.to_json();
  if (c.is_lattice()) {
    const Domain domain = Domain::of(task, c.model.seq_len, c.model.vocab_size);
    json["parameters"] = LatticeModel(c, domain.channels, nullptr).parameter_count();
    json["buffer_elements"] = 0;
    json["updates_per_segment"] = c.lattice.loops * c.lattice.layers;
    return json;
  }
  const Model model(c.model, nullptr);
  json["parameters"] = model.parameter_count();
  int64_t buffers = 0;
  for (const auto& [name, buffer] : model.named_buffers()) buffers += buffer->numel();
  json["buffer_elements"] = buffers;
  json["updates_per_segment"] = update_list(c.model).size();
  return json;
}

// What the data is that a preset is made for.
std::shared_ptr<const Task> task_of_preset(const std::string& name) {
  const auto info = std::ranges::find(presets(), name, &PresetInfo::name);
  const auto side = static_cast<int>(preset(name).model.side());
  if (info->task == "sudoku") return std::make_shared<SudokuTask>(SudokuRules::of_side(side));
  if (info->task == "maze") return std::make_shared<MazeTask>(side);
  return unknown_task();
}

void print_settings(const Json& json) {
  for (const char* group : {"model", "train", "lattice"}) {
    if (!json.contains(group)) continue;
    print("\n{}\n", group);
    for (const auto& [key, value] : json[group].items())
      print("  {:<26} {}\n", key,
            printable(value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

// The default of a setting, as it is written on the command line.
template <class T>
std::string as_text(const T& value) {
  if constexpr (std::is_enum_v<T>)
    return to_string(value);
  else if constexpr (std::is_same_v<T, std::string>)
    return value;
  else
    return Json(value).dump();
}

// What an enum's setting may be; empty for others.
template <class T>
std::vector<std::string> choices(const T&) {
  if constexpr (std::is_enum_v<T>)
    return setting_values<T>();
  else
    return {};
}

// The help of a setting, with the names it takes where the help does not say them.
template <class T>
std::string about(const Setting& setting, const T& value) {
  const std::string help = setting.help, names = join(choices(value), ", ");
  return names.empty() || help.find(": ") != std::string::npos ? help : help + ": " + names;
}

// "bf16", "v4": the names of instruction sets.
std::vector<std::string> usable_sets() {
  std::vector<std::string> names;
  for (const InstructionSet set : instruction_sets()) names.emplace_back(name_of(set));
  return names;
}

// The name of the GPU; null, and why, if there is none to compute on.
Json gpu_json(std::string* why_none = nullptr) {
  try {
    runtime::require_backend(Device::cuda, "info");
    runtime::require_device(Device::cuda);
    return runtime::device_name(Device::cuda);
  } catch (const Error& error) {
    const std::string what = error.what();  // "[info] this build has no CUDA backend. HINT: ..."
    if (why_none) *why_none = what.substr(what.find("] ") + 2);
    return {};
  }
}

void list_presets() {
  print("hrm {}, commit {}, {}\n", kVersion, build_commit(), build_compiler());
  print("this machine: {}; kernels for {} (HRM_ISA={}; it may be {})\n", machine_text(),
        description_of(instruction_set()), name_of(instruction_set()), alternatives(usable_sets()));
  std::string why_none;
  const Json gpu = gpu_json(&why_none);
  print("GPU: {}\n", gpu.is_null() ? "none: " + why_none : gpu.get<std::string>());
  const std::string engines = distributed_engines();
  const bool mpi = engines.starts_with("MPI");
  print("several processes: {}\n\n", engines == "none"
                                         ? "not in this program (make MPI=1)"
                                         : fmt::format("over {} ({} hrm train)", engines,
                                                       mpi ? "mpirun" : "torchrun --no-python"));
  print("presets (hrm info --preset NAME shows the settings)\n");
  for (const PresetInfo& p : presets()) print("  {:<16} {}\n", p.name, p.description);
  print("\nsettings (--set KEY=VALUE): default, what it is (* may change with --resume)\n");
  const auto show = [](const Setting& setting, const auto& value) {
    print("  {:<23} {} {:<24} {}\n", setting.name, setting.may_change_on_resume ? '*' : ' ',
          as_text(value), about(setting, value));
  };
  Config().groups([&](const char*, const auto& group) { group.fields(show); });
  print("\ngradient rules (--set gradient=RULE)\n");
  for (const GradientRuleInfo& rule : gradient_rules())
    print("  {:<23} {}\n", rule.form(), rule.help);
}

// The instruction set, presets, every setting with all that its row of the table says, and the
// gradient rules.
Json presets_and_settings() {
  Json json = {{"version", kVersion},
               {"commit", build_commit()},
               {"compiler", build_compiler()},
               {"machine", machine_text()},
               {"gpu", gpu_json()},
               {"instruction_set", name_of(instruction_set())},
               {"instruction_sets", usable_sets()},
               {"distributed", distributed_engines()},
               {"presets", Json::array()},
               {"settings", Json::array()}};
  for (const PresetInfo& p : presets())
    json["presets"].push_back({{"name", p.name}, {"description", p.description}});
  const auto lister = [&](const char* group) {
    return [&json, group](const Setting& setting, const auto& value) {
      Json row = {{"group", group},
                  {"key", setting.name},
                  {"default", setting_value(value)},
                  {"help", setting.help},
                  {"may_change_on_resume", setting.may_change_on_resume}};
      if (std::isfinite(setting.range.low)) row["low"] = setting.range.low;
      if (std::isfinite(setting.range.high)) row["high"] = setting.range.high;
      if (const auto names = choices(value); !names.empty()) row["values"] = names;
      json["settings"].push_back(row);
    };
  };
  Config().groups([&](const char* name, const auto& group) { group.fields(lister(name)); });
  for (const GradientRuleInfo& rule : gradient_rules())
    json["gradient_rules"].push_back({{"form", rule.form()}, {"help", rule.help}});
  return json;
}

void run_info(const std::string& run, const std::string& name, bool as_json) {
  HRM_CHECK(run.empty() || name.empty(),
            "[info] either a run or a --preset, got both. HINT: leave one out");
  if (run.empty() && name.empty())
    return as_json ? print_json(presets_and_settings()) : list_presets();
  Config config;
  Json json;
  if (!name.empty()) {
    config = preset(name);
    json = model_info(config, *task_of_preset(name));
  } else {
    config = read_config(run);
    const Json file = read_json(Path(run) / "config.json");
    json = model_info(config, *task_of_run(Members(file, run + "/config.json")));
    const std::vector<Path> steps = list_checkpoints(run);
    json["checkpoints"] = Json::array();
    for (const Path& p : steps) json["checkpoints"].push_back(p.filename().string());
    if (const Json evaluation = last_evaluation(run); !evaluation.is_null())
      json["evaluation"] = evaluation;
  }
  if (as_json) {
    print_json(json);
    return;
  }
  print("{}\n{} parameters, {} buffer elements, {} module applications a segment\n",
        name.empty() ? run : name, format_count(json["parameters"]),
        format_count(json["buffer_elements"]), json["updates_per_segment"].dump());
  if (json.contains("evaluation"))
    print("evaluated at step {}: {:.1f} % of {} puzzles solved exactly\n",
          format_count(json["evaluation"]["step"]),
          100 * json["evaluation"]["exact_accuracy"].get<double>(),
          format_count(json["evaluation"]["puzzles"]));
  print_settings(json);
}

}  // namespace

namespace {

void add_halting_options(Command command, EvalSettings& s) {
  const Option halt = s.add_halting(command);
  command
      .named(
          "--halt-by", s.options.halt_by,
          "What --halt goes by: q, the model's own rule (default); residual, a puzzle stops when "
          "z_H moved by less than --halt-threshold of its norm; confidence, when its least sure "
          "cell is surer than --halt-threshold; repeat, when its answer stays; oracle, when it "
          "is right.")
      .needs(halt);
}

// Returns --seed.
Option add_rollout_options(Command command, EvalSettings& s) {
  command.section("Noise and rollouts");
  const Option noise = command.number(
      "--noise", s.options.noise, 0,
      "Standard deviation of noise added to the states that each puzzle starts from.");
  command
      .flag("--noise-every-segment", s.options.noise_every_segment,
            "Add the noise before every segment.")
      .needs(noise);
  const Option rollouts = command.whole_number("--rollouts", s.rollouts.rollouts, 1, 1 << 20,
                                               "Solve every puzzle this many times.");
  command
      .flag("--relabel", s.rollouts.relabel,
            "Sudoku: rename the digits in every rollout but the first.")
      .needs(rollouts);
  command
      .named("--select", s.select,
             "Which rollout gives the answer: q, the surest (default); residual, the one that "
             "moved least; vote, the most frequent answer; verify, the first that keeps the "
             "rules.")
      .needs(rollouts);
  return command.whole_number("--seed", s.options.seed, 0,
                              "The seed of --noise and --relabel, and of the chains of a lattice "
                              "(default 0).");
}

}  // namespace

void add_eval_command(Command app) {
  const Command command = app.command("eval", "Evaluate a run on a data set.");
  auto s = std::make_shared<EvalSettings>();
  s->add(command);
  command.text("--data", s->data, kDataHelp);
  command.choice("--split", s->split, {"train", "test"},
                 "Which puzzles of the data set: test (default) or train.");
  command.whole_number("--max", s->options.max_puzzles, 1,
                       "Evaluate only this many puzzles, from the first on (default: all).");
  const Option variants =
      command.whole_number("--variants", s->variants, 0, 1000000,
                           "ARC: variants of each task to evaluate, besides the task itself.");
  command.text("--out", s->out,
               "Write the answers to this file, too: .jsonl, .csv or .npy (- is JSON lines on the "
               "standard output).");
  add_halting_options(command, *s);
  const Option seed = add_rollout_options(command, *s);
  s->common.add(command);
  command.whole_number("--batch", s->options.batch_size, 1, 1 << 20, kBatchHelp);
  command.action([=] {
    run_on_ranks([&](const Communicator& ranks) {
      check_eval_options(*s, seed.given(), variants.given());
      EvalSettings own = *s;
      own.options.ranks = ranks;
      run_eval(own);
    });
  });
}

void add_report_command(Command app) {
  const Command command = app.command("report", "Write report.html of a run.");
  auto run = std::make_shared<std::string>();
  command.text("run", *run, "The run folder.").required();
  command.action([run] {
    write_report(*run);
    print("{}\n", (Path(*run) / "report.html").string());
  });
}

void add_info_command(Command app) {
  const Command command =
      app.command("info", "List presets and settings, or describe one run or preset.");
  auto run = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  command.text("run", *run, "The run folder to look at.");
  command.text("--preset", *name, "The preset to look at.");
  command.flag("--json", *json, kJsonHelp);
  command.action([=] { run_info(*run, *name, *json); });
}

}  // namespace hrm
