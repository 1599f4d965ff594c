// hrm solve: puzzles of any kind that can be written as text; one is shown segment by segment.
#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "hrm/cli/print.h"
#include "hrm/cli/puzzle_text.h"
#include "hrm/cli/run_options.h"
#include "hrm/data/listed_examples.h"
#include "hrm/eval/predictions.h"
#include "hrm/eval/solve_lattice.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/run_files.h"
#include "hrm/view/puzzle_view.h"

namespace hrm {
namespace {

struct SolveSettings : RunOptions {
  std::string puzzle, name, out;
};

// What is to be solved.
struct Puzzles {
  std::shared_ptr<const Task> task;
  std::vector<Tokens> inputs;
  std::vector<std::string> where;  // of each, "" for the only one
};

// Whether a text is a whole puzzle that the model of a run takes.
bool fits(const std::string& text, const Config& config, const Task& of_run) {
  try {
    const std::shared_ptr<const Task> task = task_of_text(text, of_run);
    const ModelConfig& m = config.model;
    return task->fits(m.seq_len, m.vocab_size) && std::ssize(task->parse(text)) == m.seq_len;
  } catch (const Error&) {
    return false;
  }
}

// An error about one of many puzzles names the place of that puzzle.
template <class Work>
auto at_place(const std::string& where, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (where.empty()) throw;
    throw with_place(error, where);
  }
}

// What a person typed as a puzzle may be the name of a file that is not there.
Tokens parse(const Task& task, const std::string& text, const std::string& given) {
  try {
    return task.parse(text);
  } catch (const Error& error) {
    if (text != given) throw;
    throw with_hint(error, "there is no file of that name, either");
  }
}

Puzzles read(const SolveSettings& s) {
  const Config config = config_in(s.run);
  const std::shared_ptr<const Task> of_run = task_in(s.run);
  Puzzles puzzles;
  for (const PuzzleText& puzzle : read_puzzles(
           s.puzzle, [&](const std::string& text) { return fits(text, config, *of_run); })) {
    at_place(puzzle.where, [&] {
      const std::shared_ptr<const Task> task = task_of_text(puzzle.text, *of_run);
      if (!puzzles.task) puzzles.task = task;
      const Tokens inputs = parse(*task, puzzle.text, s.puzzle);
      HRM_CHECK(puzzles.inputs.empty() || (task->to_json() == puzzles.task->to_json() &&
                                           inputs.size() == puzzles.inputs.front().size()),
                "[solve] all puzzles must be of one kind and size. HINT: a file for each");
      puzzles.inputs.push_back(inputs);
      puzzles.where.push_back(puzzle.where);
    });
  }
  return puzzles;
}

// Loads the run and checks that its model is for these puzzles.
LoadedRun run_for(const SolveSettings& s, const Puzzles& puzzles) {
  LoadedRun run = load_any_run(s.run, s.checkpoint, s.common.device());
  const ModelConfig& m = run.config.model;
  const Task& task = *puzzles.task;
  const bool one_puzzle = run.lattice || m.input_len() == m.seq_len;
  const auto cells = std::ssize(puzzles.inputs.front());
  HRM_CHECK(one_puzzle && cells == m.seq_len && task.fits(m.seq_len, m.vocab_size),
            "[solve] the model of ", s.run, " was trained on ", m.seq_len, " tokens of vocabulary ",
            m.vocab_size, run.task->kind().empty() ? "" : " (" + run.task->kind() + ")",
            ", this puzzle has ", cells, " cells (", task.kind(),
            "). HINT: train a model for this kind and size");
  for (size_t i = 0; i < puzzles.inputs.size(); ++i)
    at_place(puzzles.where[i], [&] {
      const int32_t largest = std::ranges::max(puzzles.inputs[i]);
      HRM_CHECK(largest < m.vocab_size, "[solve] the tokens of this model are 0 to ",
                m.vocab_size - 1, ", got ", largest, ". HINT: number them as in the training data");
    });
  return run;
}

// The row of the puzzle table that --name stands for; 0 is that of puzzles without a name.
int32_t puzzle_id(const SolveSettings& s, const LoadedRun& run) {
  const std::vector<uint64_t>& names = run.puzzle_names;
  if (s.name.empty()) {
    HRM_CHECK(names.size() < 2 || run.task->kind() != "tokens", "[solve] the model of ", s.run,
              " was trained on puzzles with names. HINT: --name NAME says which one this is, as in "
              "the column `puzzle` of its data");
    return 0;
  }
  const auto at = std::ranges::find(names, name_hash(s.name));
  HRM_CHECK(
      at != names.end(), "[solve] the model of ", s.run, " knows no puzzle named '", s.name,
      "'. HINT: ", names.size() < 2 ? "leave out --name" : "`hrm data show` prints the names");
  return static_cast<int32_t>(at - names.begin());
}

// What Task::check says of an answer: "" if it is right. Nothing where there are no rules.
using Verdict = std::optional<std::string>;

// What every kind of model says of its answer.
Json answer_json(const PuzzleTrace& trace, const Task& task, const Verdict& wrong) {
  Json json = {{"puzzle", task.text(trace.inputs)},
               {"answer", task.text(trace.predictions.back())},
               {"solved", wrong ? Json(wrong->empty()) : Json()},
               {"error", wrong ? Json(*wrong) : Json()}};
  json.update(task.facts(trace.inputs));
  return json;
}

Json result_json(const PuzzleTrace& trace, const Task& task, const Verdict& wrong) {
  Json json = answer_json(trace, task, wrong);
  json["halts_at"] = trace.halts_at > 0 ? Json(trace.halts_at) : Json();
  json["segments"] = Json::array();
  for (size_t i = 0; i < trace.predictions.size(); ++i)
    json["segments"].push_back({{task.noun(), task.text(trace.predictions[i])},
                                {"q_halt", trace.q_halt[i]},
                                {"q_continue", trace.q_continue[i]}});
  return json;
}

Json result_json(const LatticeSolution& solution, const Task& task, const Verdict& wrong) {
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

// The question that the percentages under the grids raise.
std::string say_when_it_halts(const ModelConfig& m, const PuzzleTrace& trace, double threshold) {
  if (m.halting == Halting::fixed)
    return "Halt is how sure the model is of its least sure cell; it takes all segments.\n";
  const auto last = std::ssize(trace.predictions);
  const bool q = m.halting == Halting::q_learning;
  std::string rule = fmt::format("halt is above {:.0f} %", 100 * m.halt_threshold());
  if (m.halting == Halting::confidence)
    rule = fmt::format("its least sure cell is surer than {:.0f} %", 100 * m.halt_threshold());
  if (q) rule = m.q_head == QHead::halt_only ? "halt is above 50 %" : "halt is above go on";
  if (threshold != 0) rule += fmt::format(", by {:g}{}", threshold, q ? " in q_halt" : "");
  return fmt::format("The model halts when {}: {}.\n", rule,
                     trace.halts_at > 0 ? fmt::format("after segment {}", trace.halts_at)
                                        : fmt::format("in none of {} segments", last));
}

void print_answer(const PuzzleTrace& trace, const Task& task) {
  const int width = terminal_width(stdout, kTraceWidth);
  print("{}", trace_text(trace, task, use_colour(stdout), width));
  if (task.drawing() == Drawing::cells) print("\n{}\n", task.text(trace.predictions.back()));
}

// Shows one answer.
Verdict solve_by_segments(const SolveSettings& s, const LoadedRun& run, const Task& task,
                          const Tokens& puzzle, const Tokens& labels) {
  PuzzleTrace trace = solve_one(*run.model, puzzle, puzzle_id(s, run), s.options);
  trace.labels = labels;
  Verdict wrong;
  if (task.has_rules()) wrong = task.check(puzzle, trace.predictions.back());
  if (s.json) {
    print_json(result_json(trace, task, wrong));
    return wrong;
  }
  print_answer(trace, task);
  print("{}", say_when_it_halts(run.config.model, trace, s.options.threshold));
  return wrong;
}

Verdict solve_by_lattice(const SolveSettings& s, const LoadedRun& run, const Task& task,
                         const Tokens& puzzle, const Tokens& labels) {
  EvalOptions options = s.options;
  LatticeSolution found;
  {
    const int64_t most = options.segments > 0 ? options.segments : run.config.model.halt_max_steps;
    Progress progress("solve", "rounds", most);
    options.on_progress = [&](int64_t done, int64_t) { progress.update(done); };
    found = solve_lattice(*run.lattice, run.config, task, puzzle, options);
  }
  found.trace.labels = labels;
  const int64_t rounds = found.rounds;
  const std::string wrong =
      found.settled ? task.check(puzzle, found.trace.predictions.back())
                    : fmt::format(
                          "no chain has settled all cells in {} rounds; --segments allows "
                          "more",
                          format_count(rounds));
  if (s.json) {
    print_json(result_json(found, task, wrong));
    return wrong;
  }
  print_answer(found.trace, task);
  print("chain {} of {}, {} rounds; {} new starts of all chains\n", found.chain + 1, found.chains,
        format_count(rounds), format_count(found.restarts));
  return wrong;
}

// Exit status 1 if the answer is wrong.
void solve_shown(const SolveSettings& s, const LoadedRun& run, const Puzzles& puzzles) {
  const Task& task = *puzzles.task;
  const Tokens& puzzle = puzzles.inputs.front();
  Tokens labels;
  if (task.has_rules()) labels = task.solution(puzzle);
  // Only where there is one right answer alone, each cell is right or wrong.
  if (task.several_answers()) labels.clear();
  const Verdict wrong = run.lattice ? solve_by_lattice(s, run, task, puzzle, labels)
                                    : solve_by_segments(s, run, task, puzzle, labels);
  if (!wrong) return;
  if (!s.json) print("{}\n", wrong->empty() ? "solved" : "not solved: " + *wrong);
  if (!wrong->empty()) throw ExitStatus{kExitNo};
}

PuzzleDataset data_of(const SolveSettings& s, const LoadedRun& run, const Puzzles& puzzles) {
  const ModelConfig& m = run.config.model;
  DatasetInfo info;
  info.seq_len = m.seq_len;
  info.vocab_size = m.vocab_size;
  info.num_puzzle_identifiers = m.num_puzzle_identifiers;
  const int32_t id = run.model ? puzzle_id(s, run) : 0;
  std::vector<Example> examples;
  for (size_t i = 0; i < puzzles.inputs.size(); ++i) {
    const Tokens& inputs = puzzles.inputs[i];
    Tokens labels(inputs.size(), kIgnoreLabel);
    if (puzzles.task->has_rules())
      labels = at_place(puzzles.where[i], [&] { return puzzles.task->solution(inputs); });
    examples.push_back({inputs, labels, id});
  }
  return PuzzleDataset(std::make_shared<ListedExamples>(puzzles.task, info, std::move(examples)),
                       s.puzzle);
}

// "4312...  solved", one line a puzzle; then how many.
void print_lines(const Predictions& predictions, int64_t solved, bool judged) {
  const auto count = std::ssize(predictions.answers());
  for (const Answer& answer : predictions.answers()) {
    const std::string text = predictions.to_json(answer)["answer"];
    print("{}{}\n", text, !judged ? "" : answer.solved ? "  solved" : "  not solved");
  }
  if (judged) print(stderr, "{} of {} puzzles solved\n", format_count(solved), format_count(count));
}

// Exit status 1 if an answer is wrong.
void solve_all(const SolveSettings& s, const LoadedRun& run, const Puzzles& puzzles) {
  const PuzzleDataset data = data_of(s, run, puzzles);
  Predictions predictions(data, run.config.model.seq_len, run.lattice != nullptr);
  EvalOptions options = s.options;
  options.on_answer = [&](const Answer& answer) { predictions.add(answer); };
  {
    Progress progress("solve", "puzzles");
    options.on_progress = progress.callback();
    if (run.lattice)
      evaluate_lattice(*run.lattice, run.config, data, options);
    else
      evaluate(*run.model, data, options);
  }
  const auto& answers = predictions.answers();
  const auto solved = std::ranges::count_if(answers, [](const Answer& a) { return a.solved; });
  const bool judged = puzzles.task->has_rules();
  if (!s.out.empty()) predictions.write(s.out);
  if (s.json) {
    Json json = {{"puzzles", answers.size()}, {"solved", judged ? Json(solved) : Json()}};
    json["answers"] = Json::array();
    for (const Answer& answer : answers) json["answers"].push_back(predictions.to_json(answer));
    print_json(json);
  } else if (!is_standard_output(s.out)) {
    print_lines(predictions, solved, judged);
  }
  if (judged && solved < std::ssize(answers)) throw ExitStatus{kExitNo};
}

void solve(const SolveSettings& s) {
  s.common.apply();
  if (!s.out.empty()) Predictions::check_name(s.out);
  HRM_CHECK(!s.json || !is_standard_output(s.out),
            "[solve] --json and --out would both go to the standard output. HINT: --out FILE");
  const Puzzles puzzles = read(s);
  const LoadedRun run = run_for(s, puzzles);
  HRM_CHECK(!run.lattice || !s.options.halting,
            "[solve] --halt is of models with a Q head, and a lattice has none. HINT: leave it "
            "out: it ends with the first answer");
  if (puzzles.inputs.size() > 1 || !s.out.empty())
    solve_all(s, run, puzzles);
  else
    solve_shown(s, run, puzzles);
}

}  // namespace

void add_solve_command(Command app) {
  const Command command = app.command(
      "solve", "Solve one puzzle and show every segment or round, or solve a file of puzzles.");
  auto s = std::make_shared<SolveSettings>();
  command
      .text("puzzle", s->puzzle,
            "A Sudoku of 16, 36 or 81 characters, '.' or 0 for an open cell; a maze; a board of "
            "queens, 'Q' or '.'; a board of signs, '+', 'o' or '.'; numbers, for a run on tokens; "
            "or a file of puzzles, - for the standard input.")
      .required();
  s->add(command);
  command.text("--out", s->out,
               "Write the answers to this file: .jsonl, .csv or .npy (- is JSON lines on the "
               "standard output).");
  command.text("--name", s->name, "Tokens: the name of the puzzle in the training data.");
  const Option seed = command.whole_number("--seed", s->options.seed, 0,
                                           "A lattice: the seed of its chains (default 0).");
  command.footer(
      "A file holds a puzzle on each line, or puzzles with empty lines between them, or CSV with "
      "a\n"
      "column question or puzzle. The exit status is 1 if an answer is wrong, 2 for an error.");
  s->add_halting(command);
  s->common.add(command);
  command.action([s, seed] {
    HRM_CHECK(!seed.given() || config_in(s->run).is_lattice(),
              "[solve] --seed is of the chains of a lattice, and this run has none. HINT: leave it "
              "out");
    solve(*s);
  });
}

}  // namespace hrm
