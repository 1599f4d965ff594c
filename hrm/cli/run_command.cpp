// hrm eval, solve, report, info: what is done with a run.
#include <cctype>
#include <cmath>
#include <cstdio>

#include "hrm/cli/commands.h"
#include "hrm/eval/rollouts.h"
#include "hrm/gradient_rule.h"
#include "hrm/presets.h"
#include "hrm/support/input.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/maze.h"
#include "hrm/train/run_folder.h"
#include "hrm/view/grid.h"
#include "hrm/view/report.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct EvalSettings {
  std::string run, data, split = "test", checkpoint;
  int64_t variants = 0;
  EvalOptions options;
  RolloutOptions rollouts;
  Select select = Select::q;
  bool json = false;
  CommonOptions common;
};

// Returns --halt, which other options need.
CLI::Option* add_run_options(CLI::App& command, EvalSettings& s) {
  command.add_option("--run", s.run, "run folder")->required();
  command.add_option("--checkpoint", s.checkpoint, "best (default), last, or a checkpoint folder");
  command
      .add_option("--segments", s.options.segments,
                  "most segments per puzzle (default: as trained; more or fewer are fine)")
      ->check(whole_number(1, 100000));
  CLI::Option* halt =
      command.add_flag("--halt", s.options.halting, "stop a puzzle when the q head says so");
  command
      .add_option("--halt-threshold", s.options.threshold,
                  "how far q_halt must exceed q_continue (halt-only models: 0) to stop")
      ->check(finite_number())
      ->needs(halt);
  command.add_flag("--json", s.json, "print JSON");
  s.common.add(command);
  return halt;
}

int64_t puzzles_of(const EvalSettings& s, const PuzzleDataset& data) {
  const int64_t most = s.options.max_puzzles, all = data.num_examples();
  return most > 0 ? std::min(most, all) : all;
}

void run_rollouts(const EvalSettings& s, const Model& model, const PuzzleDataset& data) {
  check_rollouts(s.rollouts, s.select, data.task());
  RolloutResult result;
  {
    Progress progress("eval", "puzzles", s.rollouts.rollouts * puzzles_of(s, data));
    RolloutOptions options = s.rollouts;
    options.eval = s.options;
    options.eval.on_progress = [&](int64_t done, int64_t) { progress.update(done); };
    result = roll_out(model, data, options);
  }
  if (s.json)
    print_json(to_json(result));
  else
    std::printf("%s\n", describe(result, s.select).c_str());
}

// What a combination of options would leave without effect.
void check_eval_options(const CLI::App& command, const EvalSettings& s) {
  const bool several = s.rollouts.rollouts > 1, noise = s.options.noise > 0;
  CHECK(!several || noise || s.rollouts.relabel, "[eval] all ", s.rollouts.rollouts,
        " rollouts would be the same. HINT: --noise 0.3, or --relabel for Sudoku");
  CHECK(command.count("--seed") == 0 || noise || s.rollouts.relabel,
        "[eval] --seed is of noise and relabelling, and there is neither. HINT: add --noise or "
        "leave it out");
  CHECK(command.count("--variants") == 0 || s.split == "test",
        "[eval] --variants needs the test split. HINT: leave out --split train");
}

void run_eval(const EvalSettings& s) {
  s.common.apply();
  LoadedRun run = load_run(s.run, s.checkpoint, s.common.device());
  DataView view = view_of(run.config);
  if (s.split == "test") view.pool = s.variants;
  const PuzzleDataset data = open_data(run, s.data, s.split, view);
  CHECK(s.variants == 0 || data.arc(), "[eval] --variants are of ARC tasks in the compact form, ",
        data.folder().string(), " has none. HINT: leave it out");
  if (s.variants > 0) note_pool(s.variants, data);
  if (s.rollouts.rollouts > 1) return run_rollouts(s, *run.model, data);
  EvalResult result;
  {
    Progress progress("eval", "puzzles", puzzles_of(s, data));
    EvalOptions options = s.options;
    options.on_progress = [&](int64_t done, int64_t) { progress.update(done); };
    result = evaluate(*run.model, data, options);
  }
  result.step = run.step;
  if (s.json) {
    print_json(to_json(result));
    return;
  }
  std::printf("%s\n", describe(result).c_str());
  std::printf("\nsegment   exact   tokens   q head halts here\n");
  for (size_t i = 0; i < result.exact_by_segment.size(); ++i)
    std::printf("%7zu  %5.1f %%  %5.1f %%   %s\n", i + 1, 100 * result.exact_by_segment[i],
                100 * result.accuracy_by_segment[i],
                format_count(result.halt_histogram[i + 1]).c_str());
}

struct SolveSettings : EvalSettings {
  std::string puzzle;
};

// Loads the run and checks that its model is for this puzzle.
LoadedRun run_for(const SolveSettings& s, int64_t cells, int64_t vocabulary) {
  LoadedRun run = load_run(s.run, s.checkpoint, s.common.device());
  const ModelConfig& m = run.config.model;
  CHECK(m.input_len() == cells && m.vocab_size == vocabulary, "[solve] the model of ", s.run,
        " was trained on ", m.seq_len, " tokens of vocabulary ", m.vocab_size, ", this puzzle has ",
        cells, " cells of vocabulary ", vocabulary, ". HINT: train a model for this size");
  return run;
}

// The last word about an answer, and the exit status.
void judge(const SolveSettings& s, const Json& json, const std::string& wrong) {
  if (s.json)
    print_json(json);
  else
    std::printf("%s\n", wrong.empty() ? "solved" : ("not solved: " + wrong).c_str());
  if (!wrong.empty()) throw CLI::RuntimeError(kExitNo);
}

void solve_a_maze(const SolveSettings& s, const std::string& text) {
  const Maze maze = parse_maze(text);
  const MazePath path = solve_maze(maze);
  CHECK(path.length > 0, "[solve] no path leads from S to G in ", input_name(s.puzzle));
  const LoadedRun run = run_for(s, maze.side * maze.side, kMazeVocab);
  const PuzzleTrace trace = solve_one(*run.model, maze_tokens(maze.cells), 0, s.options);
  const std::string answer = maze_cells(trace.predictions.back());
  const std::string wrong = check_maze(maze, answer);
  Json json = {{"puzzle", maze.cells}, {"answer", answer},        {"solved", wrong.empty()},
               {"error", wrong},       {"shortest", path.length}, {"segments", Json::array()}};
  for (size_t i = 0; i < trace.predictions.size(); ++i) {
    const std::string cells = maze_cells(trace.predictions[i]);
    json["segments"].push_back(
        {{"maze", cells}, {"q_halt", trace.q_halt[i]}, {"q_continue", trace.q_continue[i]}});
    if (!s.json)
      std::printf("segment %zu, halt %.0f %%\n%s\n", i + 1, 100 * trace.q_halt[i],
                  format_maze({maze.side, cells}).c_str());
  }
  judge(s, json, wrong);
}

void solve_a_sudoku(const SolveSettings& s, const std::string& text) {
  SudokuRules rules;
  const Grid puzzle = parse_sudoku(text, &rules);
  const SudokuSolution solution = solve_sudoku(rules, puzzle);
  CHECK(solution.count == 1, "[solve] the puzzle has ",
        solution.count == 0 ? "no solution" : "several solutions",
        ". HINT: check the digits; a puzzle must have exactly one");
  const LoadedRun run = run_for(s, rules.cells(), rules.side + 2);
  PuzzleTrace trace = solve_one(*run.model, to_tokens(puzzle), 0, s.options);
  trace.labels = to_tokens(solution.grid);
  const Grid answer = from_tokens(trace.predictions.back());
  const std::string wrong = check_solution(rules, puzzle, answer);
  Json json = {{"puzzle", format_sudoku(puzzle)},
               {"answer", format_sudoku(answer)},
               {"solved", wrong.empty()},
               {"error", wrong},
               {"segments", Json::array()}};
  for (size_t i = 0; i < trace.predictions.size(); ++i)
    json["segments"].push_back({{"grid", format_sudoku(from_tokens(trace.predictions[i]))},
                                {"q_halt", trace.q_halt[i]},
                                {"q_continue", trace.q_continue[i]}});
  if (!s.json)
    std::printf("%s\n%s\n", render_trace(trace, rules, use_colour(stdout)).c_str(),
                format_sudoku(answer).c_str());
  judge(s, json, wrong);
}

// Whether a person meant a file: a path, or a name that ends like .txt.
bool looks_like_file(const std::string& given) {
  const std::string ending = Path(given).extension();
  return given.find('/') != std::string::npos ||
         (ending.size() > 1 && std::isalpha(static_cast<unsigned char>(ending[1])));
}

// The text of the puzzle: what was given itself, or the file or standard input that it names.
std::string puzzle_text(const std::string& given) {
  std::error_code none;
  const fs::file_status status = fs::status(given, none);
  CHECK(!fs::is_directory(status), "[solve] ", given,
        " is a folder. HINT: a puzzle, a file with one, or - for standard input");
  if (given != "-" && !fs::exists(status)) {
    CHECK(!looks_like_file(given), "[solve] there is no file ", given,
          ". HINT: give the puzzle itself, a file with it, or - for standard input");
    return given;
  }
  constexpr int64_t kMostBytes = 1 << 22;  // the largest maze and its line ends
  std::string text = read_input(given, kMostBytes);
  CHECK(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), "[solve] ",
        input_name(given), " is UTF-16 text. HINT: save it as UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // the byte order mark of UTF-8
  CHECK(text.find_first_not_of(" \r\n\t") != std::string::npos, "[solve] ", input_name(given),
        " is empty. HINT: it must hold a Sudoku or a maze");
  return text;
}

void run_solve(const SolveSettings& s) {
  s.common.apply();
  std::string text = puzzle_text(s.puzzle);
  if (text.find_first_of("#SG") != std::string::npos) return solve_a_maze(s, text);
  // A Sudoku may be written in groups and lines.
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  solve_a_sudoku(s, text);
}

Json model_info(const Config& c) {
  const Model model(c.model, nullptr);
  Json json = c.to_json();
  json["parameters"] = model.parameter_count();
  int64_t buffers = 0;
  for (const auto& [name, buffer] : model.named_buffers()) buffers += buffer->numel();
  json["buffer_elements"] = buffers;
  json["updates_per_segment"] = update_list(c.model).size();
  return json;
}

void print_settings(const Json& json) {
  for (const char* group : {"model", "train"}) {
    std::printf("\n%s\n", group);
    for (const auto& [key, value] : json[group].items())
      std::printf("  %-26s %s\n", key.c_str(),
                  printable(value.is_string() ? value.get<std::string>() : value.dump()).c_str());
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

void list_presets() {
  std::printf("presets (hrm info --preset NAME shows the settings)\n");
  for (const PresetInfo& p : presets())
    std::printf("  %-16s %s\n", p.name.c_str(), p.description.c_str());
  std::printf("\nsettings (--set KEY=VALUE): default, what it is (* may change with --resume)\n");
  const auto show = [](const Setting& setting, const auto& value) {
    std::printf("  %-23s %c %-24s %s\n", setting.name, setting.may_change_on_resume ? '*' : ' ',
                as_text(value).c_str(), about(setting, value).c_str());
  };
  const Config defaults;
  defaults.model.fields(show);
  defaults.train.fields(show);
  std::printf("\ngradient rules (--set gradient=RULE)\n");
  for (const GradientRuleInfo& rule : gradient_rules())
    std::printf("  %-23s %s\n", rule.form().c_str(), rule.help);
}

// Presets, every setting with all that its row of the table says, and the gradient rules.
Json presets_and_settings() {
  Json json = {{"presets", Json::array()}, {"settings", Json::array()}};
  for (const PresetInfo& p : presets())
    json["presets"].push_back({{"name", p.name}, {"description", p.description}});
  const Config defaults;
  const Json values = defaults.to_json();
  const auto lister = [&](const char* group) {
    return [&json, &values, group](const Setting& setting, const auto& value) {
      Json row = {{"group", group},
                  {"key", setting.name},
                  {"default", values[group][setting.name]},
                  {"help", setting.help},
                  {"may_change_on_resume", setting.may_change_on_resume}};
      if (std::isfinite(setting.range.low)) row["low"] = setting.range.low;
      if (std::isfinite(setting.range.high)) row["high"] = setting.range.high;
      if (const auto names = choices(value); !names.empty()) row["values"] = names;
      json["settings"].push_back(row);
    };
  };
  defaults.model.fields(lister("model"));
  defaults.train.fields(lister("train"));
  for (const GradientRuleInfo& rule : gradient_rules())
    json["gradient_rules"].push_back({{"form", rule.form()}, {"help", rule.help}});
  return json;
}

void run_info(const std::string& run, const std::string& name, bool as_json) {
  CHECK(run.empty() || name.empty(),
        "[info] either a run or a --preset, got both. HINT: leave one out");
  if (run.empty() && name.empty())
    return as_json ? print_json(presets_and_settings()) : list_presets();
  Config config;
  Json json;
  if (!name.empty()) {
    config = preset(name);
    json = model_info(config);
  } else {
    config = read_config(run);
    json = model_info(config);
    const std::vector<Path> steps = list_checkpoints(run);
    json["checkpoints"] = Json::array();
    for (const Path& p : steps) json["checkpoints"].push_back(p.filename().string());
    if (fs::exists(Path(run) / "evaluation.json")) {
      const Path file = Path(run) / "evaluation.json";
      const EvalResult r = eval_result_from_json(read_json(file), file.string());
      json["evaluation"] = {{"step", r.step},
                            {"puzzles", r.count},
                            {"exact_accuracy", r.exact_accuracy},
                            {"accuracy", r.accuracy}};
    }
  }
  if (as_json) {
    print_json(json);
    return;
  }
  std::printf("%s\n%s parameters, %s buffer elements, %s module applications a segment\n",
              name.empty() ? run.c_str() : name.c_str(), format_count(json["parameters"]).c_str(),
              format_count(json["buffer_elements"]).c_str(),
              json["updates_per_segment"].dump().c_str());
  if (json.contains("evaluation"))
    std::printf("evaluated at step %s: %.1f %% of %s puzzles solved exactly\n",
                format_count(json["evaluation"]["step"]).c_str(),
                100 * json["evaluation"]["exact_accuracy"].get<double>(),
                format_count(json["evaluation"]["puzzles"]).c_str());
  print_settings(json);
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Evaluate a run on a data set");
  auto s = std::make_shared<EvalSettings>();
  CLI::Option* halt = add_run_options(*command, *s);
  command->add_option("--data", s->data, "data set folder (default: the one trained on)");
  command->add_option("--split", s->split, "train or test")->check(one_of({"train", "test"}));
  command->add_option("--variants", s->variants, "ARC: of each task, besides itself")
      ->check(whole_number(0, 1000000));
  command->add_option("--max", s->options.max_puzzles, "first so many puzzles only (default: all)")
      ->check(whole_number(1));
  command->add_option("--batch", s->options.batch_size, "puzzles at once")
      ->check(whole_number(1, 1 << 20));
  add_choice(*command, "--halt-by", s->options.halt_by,
             "rule of --halt: q (default); residual: z_H moved by less than "
             "--halt-threshold of its norm; oracle: the answer is right")
      ->needs(halt);
  CLI::Option* noise =
      command
          ->add_option("--noise", s->options.noise,
                       "standard deviation of noise on the states each puzzle starts from")
          ->check(number_from(0));
  command
      ->add_flag("--noise-every-segment", s->options.noise_every_segment,
                 "on the states of every segment")
      ->needs(noise);
  command->add_option("--seed", s->options.seed, "of noise and relabelling")
      ->check(whole_number(0));
  CLI::Option* rollouts =
      command->add_option("--rollouts", s->rollouts.rollouts, "solve every puzzle so many times")
          ->check(whole_number(1, 1 << 20));
  command
      ->add_flag("--relabel", s->rollouts.relabel,
                 "each rollout but the first with other names for the digits (Sudoku)")
      ->needs(rollouts);
  add_choice(*command, "--select", s->select,
             "which answer counts: q (the surest, default), residual (the one that moved "
             "least), vote, verify (the first that keeps the rules)")
      ->needs(rollouts);
  command->callback([s, command] {
    check_eval_options(*command, *s);
    run_eval(*s);
  });
}

void add_solve_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("solve", "Solve one Sudoku or maze and show every segment");
  auto s = std::make_shared<SolveSettings>();
  command
      ->add_option(
          "puzzle", s->puzzle,
          "a Sudoku of 16, 36 or 81 characters, '.' or 0 for blank; or a file with a Sudoku "
          "or a maze, - for standard input")
      ->required();
  add_run_options(*command, *s);
  command->footer("Exit status 3 if the answer is wrong, 1 for an error.");
  command->callback([s] { run_solve(*s); });
}

void add_report_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("report", "Write report.html of a run");
  auto run = std::make_shared<std::string>();
  command->add_option("run", *run, "run folder")->required();
  command->callback([run] {
    write_report(*run);
    std::printf("%s\n", (Path(*run) / "report.html").c_str());
  });
}

void add_info_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("info", "Presets and settings; what a run or preset is");
  auto run = std::make_shared<std::string>(), name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  command->add_option("run", *run, "run folder");
  command->add_option("--preset", *name, "a preset");
  command->add_flag("--json", *json, "print JSON");
  command->callback([=] { run_info(*run, *name, *json); });
}

}  // namespace hrm
