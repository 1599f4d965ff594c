// hrm arc predict, score, show.
#include <cstdio>
#include <numeric>

#include <nlohmann/json.hpp>

#include "hrm/cli/arc_output.h"
#include "hrm/cli/commands.h"
#include "hrm/cli/on_ranks.h"
#include "hrm/cli/print.h"
#include "hrm/support/input.h"
#include "hrm/support/progress.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/view/picture.h"

namespace hrm {
namespace fs = std::filesystem;
namespace {

struct PredictSettings {
  std::string run, checkpoint, data, kinds, out;
  std::vector<std::string> tasks;
  int64_t variants = -1, seed = -1;
  EvalOptions options;
  bool json = false, shuffle = false;
  CommonOptions common;

  // `all_vote`: unless --variants says otherwise, all of the data set do, else the task alone.
  void add(Command command, bool run_required, bool all_vote) {
    command.text("--run", run, "The run folder of the model.").required(run_required);
    command.text("--checkpoint", checkpoint, kCheckpointHelp);
    command.text("--data", data, kDataHelp);
    command.section("The vote");
    command.whole_number("--variants", variants, 0, 1000000,
                         fmt::format("Variants of each task that vote, besides the task itself "
                                     "(default: {}).",
                                     all_vote ? "all of the data set" : "none"));
    command.text("--kinds", kinds,
                 "How the variants that vote may differ from the task: all, none, or some of "
                 "rotation, flip, transpose, colour, translation, with commas between them "
                 "(default: all but translation). Not with conditioning=variant, where the model "
                 "knows the variants of its training alone.");
    command.whole_number("--seed", seed, 0,
                         "The seed of the variants. Not with conditioning=variant.");
    command.section("Segments and halting");
    command.whole_number("--segments", options.segments, 1, 100000, kSegmentsHelp);
    command.flag("--halt", options.halting, kHaltHelp);
    common.add(command);
    command.whole_number("--batch", options.batch_size, 1, 1 << 20, kBatchHelp);
  }
};

// The pool of variants to vote over.
DataView pool_of(const PredictSettings& s, const Config& config) {
  DataView view = view_of(config);
  if (!s.tasks.empty()) view.tasks = s.tasks;
  if (config.model.conditioning == Conditioning::variant) {
    HRM_CHECK(
        s.kinds.empty() && s.seed < 0,
        "[arc] a model with conditioning=variant knows the variants of its training alone. HINT: "
        "leave out --kinds and --seed, or train with --set conditioning=task");
    view.pool = s.variants;
    return view;
  }
  if (s.variants >= 0) view.variants = s.variants;
  view.kinds = s.kinds.empty() ? "rotation,flip,transpose,colour" : s.kinds;
  if (s.seed >= 0) view.seed = static_cast<uint64_t>(s.seed);
  return view;
}

// Gives every puzzle the embedding of another: what is left does not come from it.
void shuffle_puzzle_rows(LoadedRun& run) {
  HRM_CHECK(run.model->puzzle_emb, "[arc] --shuffle needs a puzzle table; this model has none");
  const Tensor& table = run.model->puzzle_emb->weights;
  std::vector<int64_t> order(table.size(0));
  std::iota(order.begin(), order.end(), 0);
  Random(0).fork("shuffle").shuffle(order);
  Tensor rows = empty_like(table);
  for (int64_t i = 0; i < table.size(0); ++i)
    rows.slice(0, i, i + 1).copy_from(table.slice(0, order[i], order[i] + 1));
  run.model->replace_puzzle_rows(rows);
}

// Says when --variants asks for what there is not.
void check_pool(const PredictSettings& s, const PuzzleDataset& data) {
  if (s.variants < 0) return;
  HRM_CHECK(arc_examples(data), "[arc] --variants chooses among those of the compact form; ",
            data.folder().string(),
            " is in the official form, and all of its variants vote. HINT: leave "
            "it out");
  note_pool(s.variants, data);
}

void predict(const PredictSettings& s, const Communicator& ranks) {
  s.common.apply();
  LoadedRun run = load_run(s.run, s.checkpoint, s.common.device());
  if (s.data.empty() && ranks.is_first()) note_moved_data(s.run);
  const PuzzleDataset data = open_data(run, s.data, "test", pool_of(s, run.config));
  HRM_CHECK(data.num_examples() > 0, "[arc] ", data.folder().string(), " has no evaluated tasks");
  check_pool(s, data);
  check_same_evaluation(ranks, run, data);
  const Path out = s.out.empty() ? Path(s.run) / "predictions" : Path(s.out);
  create_folder(out);  // first, so that no work is lost where it cannot be
  if (s.shuffle) shuffle_puzzle_rows(run);
  EvalOptions options = s.options;
  options.ranks = ranks;
  const auto outcomes = vote_on(*run.model, data, options, true);
  if (ranks.is_first()) write_predictions(out, outcomes);
  if (s.json)
    print_json(scores_json(outcomes));
  else
    print_scores(outcomes);
  print(stderr, "{}, predictions.json beside it\n", (out / "submission.json").string());
}

void score_file(const std::string& file, const std::vector<std::string>& from, bool json) {
  HRM_CHECK(file != "-" || std::ranges::find(from, "-") == from.end(),
            "[arc] the submission and --from cannot both be the standard input. HINT: a file for "
            "one of them");
  int64_t repeated = 0;
  const std::vector<ArcTask> tasks = load_arc({from.begin(), from.end()}, &repeated);
  const auto outcomes = judge_submission(read_json_input(file), tasks, input_name(file));
  if (json)
    print_json(scores_json(outcomes));
  else
    print_scores(outcomes);
}

// Behind each test: the prediction after every segment, and the first candidates of the vote.
void add_predictions(Sheet& sheet, const ArcTask& task, const Model& model,
                     const PuzzleDataset& data, const EvalOptions& options) {
  const auto outcomes = vote_on(model, data, options, false);
  const int side = square_side(data.info().seq_len);
  Sheet with = {sheet.at(0)};
  for (int64_t pair = 0; pair < std::ssize(sheet) - 1; ++pair) {
    with.push_back(sheet[pair + 1]);
    const Example example = data.read(pair);
    const PuzzleTrace trace = solve_one(model, example.inputs, example.puzzle_id, options);
    const ArcGrid& truth = task.test.at(pair).output;
    SheetRow segments{"prediction by segment", {}}, votes{"votes", {}};
    for (size_t i = 0; i < trace.predictions.size(); ++i)
      segments.panels.push_back({fmt::format("{}: q {:.2f}", i + 1, trace.q_halt[i]),
                                 crop(trace.predictions[i].data(), side), false, truth});
    for (const Candidate& c : outcomes.at(0).tests.at(pair).best)
      votes.panels.push_back(
          {fmt::format("{} vote{}, q {:.2f}", c.count, c.count == 1 ? "" : "s", c.mean_q), c.grid,
           false, truth});
    with.push_back(segments);
    with.push_back(votes);
  }
  sheet = std::move(with);
}

std::vector<ArcTask> tasks_of_data(const Path& folder) {
  HRM_CHECK(
      fs::exists(folder / kArcFile), "[arc] ", folder.string(),
      " is no ARC data set in the compact form. HINT: --from FOLDER with the files of its tasks");
  return read_arc_data(folder / kArcFile).tasks;
}

struct ShowSettings : PredictSettings {
  std::string task;
  std::vector<std::string> from;
};

void show(ShowSettings s) {
  s.common.apply();
  HRM_CHECK(s.from.empty() || s.data.empty(),
            "[arc] --from and --data both say where the task is. HINT: leave one of them out");
  std::optional<LoadedRun> run;
  std::vector<ArcTask> tasks;
  if (!s.run.empty()) {
    run = load_run(s.run, s.checkpoint, s.common.device());
    if (s.data.empty()) s.data = run->config.data;
  }
  if (!s.from.empty())
    tasks = load_all_arc({s.from.begin(), s.from.end()});
  else if (!s.data.empty())
    tasks = tasks_of_data(s.data);
  else
    detail::fail("[arc] show needs tasks. HINT: --from FOLDER, --data DIR or --run RUN");
  keep_tasks(tasks, {s.task});
  Sheet sheet = task_sheet(tasks[0]);
  if (run) {
    s.tasks = {s.task};
    if (s.variants < 0) s.variants = 0;
    const PuzzleDataset data = open_data(*run, s.data, "test", pool_of(s, run->config));
    HRM_CHECK(data.num_examples() > 0, "[arc] ", s.task, " is no evaluated task of ", s.data);
    check_pool(s, data);
    add_predictions(sheet, tasks[0], *run->model, data, s.options);
  }
  const std::string extension = Path(s.out).extension();
  if (s.out.empty() || is_standard_output(s.out)) {
    print("{}", sheet_text(sheet, use_colour(stdout)));
    return;
  }
  HRM_CHECK(extension != ".png", "[arc] PNG is not written, got --out ", s.out,
            ". HINT: a name that ends in .svg or .html");
  HRM_CHECK(extension == ".html" || extension == ".svg",
            "[arc] --out must end in .html or .svg, got '", s.out, "'");
  write_output(s.out, extension == ".html" ? sheet_html(s.task, sheet) : sheet_svg(sheet));
  print("{}\n", s.out);
}

void add_predict_command(Command arc) {
  const Command command = arc.command("predict", "Answer tasks by a vote; write submission.json.");
  auto s = std::make_shared<PredictSettings>();
  command.texts("--task", s->tasks, "Answer these tasks alone.").shown_as("ID...");
  command.text("--out", s->out, "The folder to write (default: RUN/predictions).");
  command.flag("--json", s->json, "Print the scores as JSON.");
  command.flag("--shuffle", s->shuffle,
               "Give every puzzle the embedding of another: what is still solved does not come "
               "from it.");
  s->add(command, true, true);
  command.action([s] { run_on_ranks([&](const Communicator& ranks) { predict(*s, ranks); }); });
}

void add_score_command(Command arc) {
  const Command command = arc.command("score", "Score a submission.json against the answers.");
  auto file = std::make_shared<std::string>();
  auto answers = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  command.text("submission", *file, "The file in Kaggle's form.").required();
  command.texts("--from", *answers, kTasksHelp).required();
  command.flag("--json", *json, "Print the scores as JSON.");
  command.action([=] { score_file(*file, *answers, *json); });
}

void add_show_command(Command arc) {
  const Command command =
      arc.command("show", "Draw a task in colours: in the terminal, as HTML or as SVG.");
  auto s = std::make_shared<ShowSettings>();
  command.text("task", s->task, "The name of the task.").required();
  command.texts("--from", s->from, kTasksHelp);
  command.text("--out", s->out, "FILE.html or FILE.svg (default: the terminal).");
  s->add(command, false, false);
  command.footer(
      "With --run it also shows the prediction after every segment, and the votes of --variants.");
  command.action([s] { show(*s); });
}

}  // namespace

void add_arc_command(Command app) {
  const Command arc = app.command("arc", "Answer ARC tasks by voting, draw them, train on each.");
  add_predict_command(arc);
  add_score_command(arc);
  add_show_command(arc);
  add_farm_commands(arc);
}

}  // namespace hrm
