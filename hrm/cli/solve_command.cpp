// hrm solve: one puzzle of any kind that can be written as text, segment by segment.
#include <algorithm>
#include <cctype>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "hrm/cli/print.h"
#include "hrm/cli/run_options.h"
#include "hrm/eval/solve_lattice.h"
#include "hrm/support/input.h"
#include "hrm/support/progress.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/run_files.h"
#include "hrm/train/run_folder.h"
#include "hrm/view/puzzle_view.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct SolveSettings : RunOptions {
  std::string puzzle;
};

// Whether a person meant a file: what is no puzzle of any kind, and a path or a name that ends like
// .txt. (A board of queens of a wrong size may end in ".Q".)
bool looks_like_file(const std::string& given) {
  const bool is_puzzle = std::ranges::any_of(
      task_kinds(), [&](const TaskKind& kind) { return kind.recognise && kind.recognise(given); });
  if (is_puzzle) return false;
  const std::string ending = Path(given).extension();
  return given.find('/') != std::string::npos ||
         (ending.size() > 2 && std::isalpha(static_cast<unsigned char>(ending[1])));
}

// The text of the puzzle: what was given itself, or the file or standard input that it names.
std::string puzzle_text(const std::string& given) {
  std::error_code none;
  const fs::file_status status = fs::status(given, none);
  HRM_CHECK(!fs::is_directory(status), "[solve] ", given,
            " is a folder. HINT: a puzzle, a file with one, or - for standard input");
  if (given != "-" && !fs::exists(status)) {
    HRM_CHECK(!looks_like_file(given), "[solve] there is no file ", given,
              ". HINT: give the puzzle itself, a file with it, or - for standard input");
    return given;
  }
  constexpr int64_t kMostBytes = 1 << 22;  // the largest maze and its line ends
  std::string text = read_input(given, kMostBytes);
  HRM_CHECK(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), "[solve] ",
            input_name(given), " is UTF-16 text. HINT: save it as UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // the byte order mark of UTF-8
  HRM_CHECK(text.find_first_not_of(" \r\n\t") != std::string::npos, "[solve] ", input_name(given),
            " is empty. HINT: it must hold a puzzle, such as a Sudoku or a maze");
  return text;
}

// Loads the run and checks that its model is for this puzzle.
LoadedRun run_for(const SolveSettings& s, const Task& task) {
  LoadedRun run = load_any_run(s.run, s.checkpoint, s.common.device());
  const ModelConfig& m = run.config.model;
  const bool one_puzzle = run.lattice || m.input_len() == m.seq_len;
  HRM_CHECK(one_puzzle && task.fits(m.seq_len, m.vocab_size), "[solve] the model of ", s.run,
            " was trained on ", m.seq_len, " tokens of vocabulary ", m.vocab_size,
            ", this puzzle has ", task.cells(), " cells (", task.kind(),
            "). HINT: train a model for this kind and size");
  return run;
}

// What every kind of model says of its answer.
Json answer_json(const PuzzleTrace& trace, const Task& task, const std::string& wrong) {
  Json json = {{"puzzle", task.text(trace.inputs)},
               {"answer", task.text(trace.predictions.back())},
               {"solved", wrong.empty()},
               {"error", wrong}};
  json.update(task.facts(trace.inputs));
  return json;
}

Json result_json(const PuzzleTrace& trace, const Task& task, const std::string& wrong) {
  Json json = answer_json(trace, task, wrong);
  json["segments"] = Json::array();
  for (size_t i = 0; i < trace.predictions.size(); ++i)
    json["segments"].push_back({{task.noun(), task.text(trace.predictions[i])},
                                {"q_halt", trace.q_halt[i]},
                                {"q_continue", trace.q_continue[i]}});
  return json;
}

Json result_json(const LatticeSolution& solution, const Task& task, const std::string& wrong) {
  Json json = answer_json(solution.trace, task, wrong);
  json["settled"] = solution.settled;
  json["chain"] = solution.chain + 1;
  json["chains"] = solution.chains;
  json["restarts"] = solution.restarts;
  json["rounds"] = Json::array();
  for (size_t i = 0; i < solution.trace.predictions.size(); ++i)
    json["rounds"].push_back({{task.noun(), task.text(solution.trace.predictions[i])},
                              {"note", solution.trace.notes[i]}});
  return json;
}

// By lattice deduction. Returns "" or what is wrong with the answer.
std::string solve_by_lattice(const SolveSettings& s, const LoadedRun& run, const Task& task,
                             const Tokens& puzzle, const Tokens& solution) {
  EvalOptions options = s.options;
  LatticeSolution found;
  {
    const int64_t most = options.segments > 0 ? options.segments : run.config.model.halt_max_steps;
    Progress progress("solve", "rounds", most);
    options.on_progress = [&](int64_t done, int64_t) { progress.update(done); };
    found = solve_lattice(*run.lattice, run.config, task, puzzle, options);
  }
  if (!task.several_answers()) found.trace.labels = solution;
  const Tokens& answer = found.trace.predictions.back();
  const int64_t rounds = found.rounds;
  const std::string wrong =
      found.settled ? task.check(puzzle, answer)
                    : fmt::format(
                          "no chain has settled all cells in {} rounds; --segments allows "
                          "more",
                          format_count(rounds));
  if (s.json) {
    print_json(result_json(found, task, wrong));
    return wrong;
  }
  print("{}", trace_text(found.trace, task, use_colour(stdout)));
  if (task.drawing() == Drawing::cells) print("\n{}\n", task.text(answer));
  print("chain {} of {}, {} rounds; {} new starts of all chains\n", found.chain + 1, found.chains,
        format_count(rounds), format_count(found.restarts));
  return wrong;
}

// Exit status 3 if the answer is wrong.
void solve(const SolveSettings& s) {
  s.common.apply();
  const std::string text = puzzle_text(s.puzzle);
  const std::shared_ptr<const Task> task = task_of_text(text, *task_in(s.run));
  const Tokens puzzle = task->parse(text);
  const Tokens solution = task->solution(puzzle);
  const LoadedRun run = run_for(s, *task);
  if (run.lattice) {
    HRM_CHECK(!s.options.halting,
              "[solve] --halt is of models with a Q head, and a lattice has none. HINT: leave it "
              "out: it ends with the first answer");
    const std::string wrong = solve_by_lattice(s, run, *task, puzzle, solution);
    if (!s.json) print("{}\n", wrong.empty() ? "solved" : "not solved: " + wrong);
    if (!wrong.empty()) throw ExitStatus{kExitNo};
    return;
  }
  PuzzleTrace trace = solve_one(*run.model, puzzle, 0, s.options);
  // Where there is one right answer alone, each cell is right or wrong.
  if (!task->several_answers()) trace.labels = solution;
  const Tokens& answer = trace.predictions.back();
  const std::string wrong = task->check(puzzle, answer);
  if (s.json) {
    print_json(result_json(trace, *task, wrong));
  } else {
    print("{}", trace_text(trace, *task, use_colour(stdout)));
    if (task->drawing() == Drawing::cells) print("\n{}\n", task->text(answer));
    print("{}\n", wrong.empty() ? "solved" : "not solved: " + wrong);
  }
  if (!wrong.empty()) throw ExitStatus{kExitNo};
}

}  // namespace

void add_solve_command(Command app) {
  const Command command =
      app.command("solve", "Solve one puzzle, and show every segment or round.");
  auto s = std::make_shared<SolveSettings>();
  command
      .text("puzzle", s->puzzle,
            "A Sudoku of 16, 36 or 81 characters, '.' or 0 for an open cell; a maze; a board of "
            "queens, 'Q' or '.'; a board of signs, '+', 'o' or '.'; or a file with one of them, - "
            "for the standard input.")
      .required();
  s->add(command);
  const Option seed = command.whole_number("--seed", s->options.seed, 0,
                                           "A lattice: the seed of its chains (default 0).");
  command.footer("The exit status is 3 if the answer is wrong, 1 for an error.");
  command.action([s, seed] {
    HRM_CHECK(!seed.given() || config_in(s->run).is_lattice(),
              "[solve] --seed is of the chains of a lattice, and this run has none. HINT: leave it "
              "out");
    solve(*s);
  });
}

}  // namespace hrm
