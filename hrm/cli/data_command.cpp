// hrm data sudoku, maze, arc, tokens, show, and the kinds that the registry has a generator for.
#include <charconv>
#include <cstdio>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/arc_audit.h"
#include "hrm/tasks/arc_build.h"
#include "hrm/tasks/arc_files.h"
#include "hrm/tasks/generated.h"
#include "hrm/tasks/maze_build.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/sudoku_build.h"
#include "hrm/tasks/tokens.h"
#include "hrm/view/puzzle_view.h"

namespace hrm {
namespace {

void print_summary(const BuildSummary& s, const std::string& out, const std::string& preset,
                   bool json) {
  if (json)
    return print_json({{"train", s.train},
                       {"test", s.test},
                       {"train_classes", s.train_classes},
                       {"test_classes", s.test_classes},
                       {"mean_rating", s.mean_rating},
                       {"dropped", s.dropped},
                       {"out", out}});
  print("{}: {} training and {} test examples", out, format_count(s.train), format_count(s.test));
  if (s.train_classes)
    print(", from {} and {} symmetry classes", format_count(s.train_classes),
          format_count(s.test_classes));
  if (s.mean_rating > 0) print("; mean rating {:.1f} guesses", s.mean_rating);
  if (s.train_classes) print("; {} left out", format_count(s.dropped));
  print("\nNext: hrm train --preset {} --data {}\n", preset, out);
}

// More would take days and tens of GiB of memory.
constexpr int64_t kMostPuzzles = 10000000;

struct SudokuOptions {
  int side = 9;
  std::vector<std::string> from, without;
  std::string givens, out;
  SudokuBuild build;
  bool json = false;
};

// What stored copies come to, said before the work.
void note_size(const SudokuBuild& build, const Path& out) {
  const int64_t examples =
      std::max<int64_t>(0, build.count - build.test_count) * (1 + build.augment);
  check_size(static_cast<double>(examples), build.rules.cells(), out, kSmallerSudoku);
  const double bytes = 2.0 * static_cast<double>(examples) * build.rules.cells();
  print(stderr, "{} copies of each training puzzle: {} examples, about {}\n",
        format_count(build.augment), format_count(examples), format_bytes(bytes));
}

void make_sudoku(SudokuOptions o) {
  o.build.rules = SudokuRules::of_side(o.side);
  o.build.from.assign(o.from.begin(), o.from.end());
  o.build.without.assign(o.without.begin(), o.without.end());
  if (!o.givens.empty()) {
    int low = 0, high = 0;
    char rest = 0;
    const bool fine = std::sscanf(o.givens.c_str(), "%d-%d%c", &low, &high, &rest) == 2;
    HRM_CHECK(fine && low > 0 && low <= high && high <= o.build.rules.cells(),
              "[sudoku] --givens must be LOW-HIGH within 1-", o.build.rules.cells(), ", got '",
              o.givens, "'");
    o.build.givens_low = low;
    o.build.givens_high = high;
  }
  if (o.build.count < 0) o.build.count = o.from.empty() ? 10000 : 0;
  if (o.build.augment > 0 && o.from.empty()) note_size(o.build, o.out);
  Progress bar(o.from.empty() ? "generate" : "solve", "puzzles");
  o.build.on_progress = bar.callback();
  std::optional<Progress> writing;  // its clock starts with the writing
  o.build.on_write = [&](int64_t done, int64_t total) {
    if (!writing) {
      bar.finish();
      writing.emplace("write", "examples", total);
    }
    writing->update(done);
  };
  const BuildSummary summary = build_sudoku(o.build, o.out);
  bar.finish();
  if (writing) writing->finish();
  // Puzzles from files are hard ones, as a rule.
  const bool easy = o.from.empty() && !o.build.minimal;
  const char* preset_of_9 = easy ? "sudoku9" : "hrm-27m";
  print_summary(summary, o.out, o.side == 4 ? "sudoku4" : (o.side == 6 ? "sudoku6" : preset_of_9),
                o.json);
}

struct MazeOptions {
  std::string from, test_from, out, csv, walls;
  MazeBuild build;
  bool json = false;
};

void make_mazes(MazeOptions o) {
  o.build.from = o.from;
  o.build.test_from = o.test_from;
  o.build.csv = o.csv;
  if (!o.walls.empty()) {
    char rest = 0;
    HRM_CHECK(std::sscanf(o.walls.c_str(), "%lf-%lf%c", &o.build.walls_low, &o.build.walls_high,
                          &rest) == 2,
              "[maze] --walls must be a range such as 0.3-0.5, got '", o.walls, "'");
  }
  HRM_CHECK(!o.json || !is_standard_output(o.csv),
            "[maze] --json and --csv would both go to the standard output. HINT: --csv FILE");
  Progress bar("make", "mazes");
  o.build.on_progress = bar.callback();
  const MazeSummary s = build_maze(o.build, o.out);
  bar.finish();
  if (o.json)
    return print_json({{"train", s.train},
                       {"test", s.test},
                       {"mean_path", s.mean_path},
                       {"wall_share", s.wall_share},
                       {"unique_share", s.unique_share},
                       {"acceptance", s.acceptance},
                       {"out", o.out}});
  print(text_beside(o.csv),
        "{}: {} training and {} test mazes; paths of {:.1f} steps on average, {:.0f} % walls, "
        "{:.0f} % with one shortest path; {:.1f} % of the wall patterns tried were used\n"
        "Next: hrm train --preset maze10 --data {}\n",
        o.out, format_count(s.train), format_count(s.test), s.mean_path, 100 * s.wall_share,
        100 * s.unique_share, 100 * s.acceptance, o.out);
}

struct ArcOptions {
  std::vector<std::string> from;
  std::string out, form = "compact", only = "all", kinds = "all", canvas = "30";
  ArcBuild build;
  bool json = false;
};

// "auto" is 0.
int canvas_side(const std::string& text) {
  if (text == "auto") return 0;
  int side = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, side);
  HRM_CHECK(error == std::errc() && rest == end && side >= 1 && side <= kArcSide,
            "[arc] --canvas must be auto or a side of 1 to ", kArcSide, ", got '", text, "'");
  return side;
}

void make_arc(ArcOptions o) {
  o.build.from.assign(o.from.begin(), o.from.end());
  o.build.official = o.form == "official";
  o.build.only_evaluation = o.only == "evaluation";
  o.build.options.kinds = ArcKinds::parse(o.kinds);
  o.build.options.canvas = canvas_side(o.canvas);
  Progress bar("write", "examples");
  o.build.on_progress = bar.callback();
  const ArcSummary s = build_arc(o.build, o.out);
  bar.finish();
  if (s.repeated)
    print(stderr,
          "warning: {} task names stand in more than one set; evaluation goes before "
          "training, then the order of --from\n",
          format_count(s.repeated));
  if (s.too_large)
    print(stderr, "{} tasks do not fit a canvas of {} and are left out\n",
          format_count(s.too_large), o.canvas);
  if (s.short_of)
    print(stderr, "warning: {} tasks have fewer than {} different variants\n",
          format_count(s.short_of), format_count(o.build.options.variants));
  const int64_t ids = 1 + s.training + s.evaluated + s.variants;
  if (o.json)
    return print_json({{"training_tasks", s.training},
                       {"evaluation_tasks", s.evaluated},
                       {"repeated", s.repeated},
                       {"variants", s.variants},
                       {"short_of_variants", s.short_of},
                       {"puzzle_ids", ids},
                       {"train_examples", s.train_examples},
                       {"test_examples", s.test_examples},
                       {"side", s.side},
                       {"out", o.out}});
  print(
      "{}: {} training and {} evaluation tasks, {} variants of them; {} training and {} test "
      "examples on a canvas of {}x{}; {} puzzle ids (a table of {} at hidden 512)\n"
      "Next: hrm audit {}; hrm train --preset {} --data {}\n",
      o.out, format_count(s.training), format_count(s.evaluated), format_count(s.variants),
      format_count(s.train_examples), format_count(s.test_examples), s.side, s.side,
      format_count(ids), format_bytes(static_cast<double>(ids) * 512 * 4), o.out,
      s.side == kArcSide ? "hrm-arc" : "arc-task", o.out);
}

// Exit status 1 if training knows something of what is evaluated.
void audit(const std::vector<std::string>& from, bool json) {
  std::vector<ArcTask> tasks;
  if (from.size() == 1 && std::filesystem::exists(Path(from[0]) / kArcFile))
    tasks = read_arc_data(Path(from[0]) / kArcFile).tasks;
  else if (from.size() == 1 && std::filesystem::exists(Path(from[0]) / "train" / "dataset.json"))
    tasks = official_tasks(from[0]);
  else
    tasks = load_all_arc({from.begin(), from.end()});
  const ArcAudit a = audit_arc(tasks);
  const bool clean = a.pairs.empty() && a.tasks.empty();
  if (json) {
    Json out = {{"checked", a.checked}, {"equal_outputs", a.equal_outputs}};
    out["pairs"] = out["tasks"] = Json::array();
    for (const auto& leak : a.pairs)
      out["pairs"].push_back({{"task", leak.task}, {"test", leak.test}, {"in", leak.found_in}});
    for (const auto& leak : a.tasks)
      out["tasks"].push_back({{"task", leak.task}, {"in", leak.found_in}});
    print_json(out);
  } else {
    for (const auto& leak : a.tasks)
      print("task {} is evaluated, and trained on in {}\n", printable(leak.task),
            printable(leak.found_in));
    for (const auto& leak : a.pairs)
      print("test {} of {} occurs in {}, up to augmentation\n", leak.test, printable(leak.task),
            printable(leak.found_in));
    print(
        "{} test pairs checked: {} occur in training, {} evaluated tasks are trained on; {} test "
        "outputs equal a training output\n",
        format_count(a.checked), format_count(a.pairs.size()), format_count(a.tasks.size()),
        format_count(a.equal_outputs));
  }
  if (!clean) throw ExitStatus{kExitNo};
}

struct ShowOptions {
  std::string folder, split = "train";
  int64_t index = 0, count = 1;
  bool json = false;
};

void show_json(const ShowOptions& o, const PuzzleDataset& data, int64_t end) {
  const DatasetInfo& info = data.info();
  Json json = {{"examples", data.num_examples()}, {"puzzles", data.num_puzzles()},
               {"groups", data.num_groups()},     {"seq_len", info.seq_len},
               {"vocab_size", info.vocab_size},   {"puzzle_ids", info.num_puzzle_identifiers},
               {"task", data.task().to_json()},   {"shown", Json::array()}};
  for (int64_t i = o.index; i < end; ++i) {
    const Example example = data.read(i);
    json["shown"].push_back({{"example", i},
                             {"puzzle_id", example.puzzle_id},
                             {"puzzle_name", data.puzzle_name(example.puzzle_id)},
                             {"inputs", example.inputs},
                             {"labels", example.labels}});
  }
  print_json(json);
}

void show(const ShowOptions& o) {
  const PuzzleDataset data = open_dataset(o.folder, o.split);
  const DatasetInfo& info = data.info();
  HRM_CHECK(o.index < data.num_examples() || data.num_examples() == 0,
            "[data] --index must be in 0..", data.num_examples() - 1, ", got ", o.index);
  const int64_t end =
      o.count < data.num_examples() - o.index ? o.index + o.count : data.num_examples();
  if (o.json) return show_json(o, data, end);
  print("{}/{}: {} examples, {} puzzles, {} groups; {} tokens of vocabulary {}, {} ids\n", o.folder,
        o.split, format_count(data.num_examples()), format_count(data.num_puzzles()),
        format_count(data.num_groups()), info.seq_len, info.vocab_size,
        format_count(info.num_puzzle_identifiers));
  for (int64_t i = o.index; i < end; ++i) {
    const Example example = data.read(i);
    print("\nexample {}, puzzle id {} {}\n{}", i, example.puzzle_id,
          printable(data.puzzle_name(example.puzzle_id)),
          example_text(example, data.task(), use_colour(stdout)));
  }
}

// Puzzles of the kinds that the registry has a generator for.
struct GeneratedOptions {
  GeneratedBuild build;
  std::string out;
  bool json = false;
};

// The preset for puzzles of a kind, "" if there is none.
std::string preset_for(const std::string& kind) {
  for (const PresetInfo& p : presets())
    if (p.task == kind) return p.name;
  return "";
}

void make_generated(const TaskKind& kind, GeneratedOptions o) {
  Progress bar("generate", "puzzles");
  o.build.on_progress = bar.callback();
  const BuildSummary summary = build_generated(*kind.generator, o.build, o.out);
  bar.finish();
  print_summary(summary, o.out, preset_for(kind.name), o.json);
}

void add_generated_command(Command data, const TaskKind& kind) {
  const Generator& generator = *kind.generator;
  const Command command = data.command(kind.name, fmt::format("Generated puzzles: {}.", kind.help));
  auto o = std::make_shared<GeneratedOptions>();
  command.text("--out", o->out, "The folder to make.").required();
  command.whole_number("--side", o->build.side, generator.smallest, generator.largest,
                       fmt::format("Cells in a row (default {}).", generator.side));
  command.whole_number("--count", o->build.count, 1, kMostPuzzles,
                       "Puzzles to generate (default 5000).");
  command.whole_number("--test", o->build.test_count, 0,
                       "Puzzles to hold out for testing, in whole symmetry classes (default 500).");
  command.whole_number("--seed", o->build.seed, 0, kDataSeedHelp);
  command.flag("--replace", o->build.replace, kReplaceHelp);
  command.flag("--json", o->json, kSummaryHelp);
  command.action([&kind, o] { make_generated(kind, *o); });
}

void add_sudoku_command(Command data) {
  const Command command = data.command("sudoku", "Sudoku puzzles, generated or from files.");
  auto o = std::make_shared<SudokuOptions>();
  o->build.count = -1;
  command.text("--out", o->out, "The folder to make.").required();
  command.choice("--side", o->side, {4, 6, 9}, "Cells in a row: 4, 6 or 9 (default 9).");
  command.section("Where puzzles come from");
  const Option from = command.texts(
      "--from", o->from,
      "Read puzzles from these files: one on each line ('.' or 0 for an open cell), or CSV with "
      "source,question,answer,rating; - is the standard input. A data set folder gives its "
      "training puzzles.");
  command.texts("--without", o->without,
                "Leave out puzzles that are symmetric to a test puzzle of these data sets.");
  command.whole_number("--count", o->build.count, 1, kMostPuzzles,
                       "Puzzles to generate (default 10000), or the most to take of each --from "
                       "(default all).");
  command
      .text("--givens", o->givens, "LOW-HIGH: how many cells of a generated puzzle are filled in.")
      .excludes(from);
  command
      .flag("--minimal", o->build.minimal,
            "Generate puzzles of which no filled-in cell can be left out.")
      .excludes(from);
  command.whole_number("--min-rating", o->build.min_rating, 0,
                       "Take only puzzles that need at least this many guesses.");
  command.section("What is kept");
  command.whole_number(
      "--test", o->build.test_count, 0,
      "Puzzles to hold out for testing, in whole symmetry classes (default 1000).");
  command.whole_number("--subsample-train", o->build.subsample_train, 0,
                       "Keep this many training puzzles, drawn at random (default all).");
  command.whole_number("--augment", o->build.augment, 0, 1000000,
                       "Symmetric copies to store of each training puzzle (default 0: training "
                       "draws its own).");
  command.whole_number("--seed", o->build.seed, 0, kDataSeedHelp);
  command.flag("--replace", o->build.replace, kReplaceHelp);
  command.flag("--json", o->json, kSummaryHelp);
  command.footer(
      "The symmetric copies of a puzzle (relabelled, turned, bands swapped) are one class, which\n"
      "stays on one side of the split.\n"
      "A call that is killed leaves OUT.tmp; the next one with the same --out removes it.");
  command.action([o] { make_sudoku(*o); });
}

void add_maze_command(Command data) {
  const Command command = data.command("maze", "Mazes, generated or from a CSV file.");
  auto o = std::make_shared<MazeOptions>();
  command.text("--out", o->out, "The folder to make.").required();
  const Option from = command.text("--from", o->from,
                                   "Read a CSV file with source,question,answer,rating; - is the "
                                   "standard input.");
  command.whole_number("--size", o->build.side, 3, 200, "Cells in a row (default 30).")
      .excludes(from);
  command
      .whole_number("--count", o->build.count, 1, kMostPuzzles, "Mazes to generate (default 2000).")
      .excludes(from);
  const Option test = command.whole_number("--test", o->build.test_count, 0,
                                           "Mazes to hold out for testing (default 1000).");
  command
      .whole_number("--min-path", o->build.min_path, 0,
                    "The fewest steps from S to G (default size^2 / 8.2).")
      .excludes(from);
  command.flag("--unique", o->build.unique, "Make only mazes with a single shortest path.")
      .excludes(from);
  command
      .text("--walls", o->walls, "LOW-HIGH: the share of cells that are walls (default 0.3-0.5).")
      .excludes(from);
  command.text("--test-from", o->test_from, "Read the mazes to hold out from this CSV file.")
      .excludes(test);
  command.text("--csv", o->csv, "Write the mazes as such a CSV file, too.");
  command.whole_number("--seed", o->build.seed, 0, kDataSeedHelp);
  command.flag("--replace", o->build.replace, kReplaceHelp);
  command.flag("--json", o->json, kSummaryHelp);
  command.action([o] { make_mazes(*o); });
}

void add_arc_data_command(Command data) {
  const Command command =
      data.command("arc", "ARC tasks: ARC-AGI-1, ARC-AGI-2, ConceptARC, or Kaggle's files.");
  auto o = std::make_shared<ArcOptions>();
  command.texts("--from", o->from, kTasksHelp).required();
  command.text("--out", o->out, "The folder to make.").required();
  command.choice("--form", o->form, {"compact", "official"},
                 "compact (default) makes the variants on the fly; official stores all of them, "
                 "as the official code does.");
  command.whole_number("--variants", o->build.options.variants, 0, 1000000,
                       "Variants of each task (default 1000).");
  command.text("--kinds", o->kinds,
               "How variants may differ from the task: all (default), none, or some of rotation, "
               "flip, transpose, colour, translation, with commas between them.");
  command.choice("--only", o->only, {"all", "evaluation"},
                 "all tasks (default), or evaluation: leave out the training tasks.");
  command.texts("--task", o->build.only_tasks, "Take these tasks alone.").shown_as("ID...");
  command.texts("--without", o->build.without, "Leave out these tasks.").shown_as("ID...");
  command.text("--canvas", o->canvas,
               "Side of the square that holds every grid: 30 (default, official), a smaller "
               "number, or auto for the smallest that fits all.");
  command.whole_number("--seed", o->build.options.seed, 0,
                       "The seed of the variants and of translations.");
  command.flag("--replace", o->build.replace, kReplaceHelp);
  command.flag("--json", o->json, kSummaryHelp);
  command.footer(
      "The demonstrations of all tasks and the tests of training tasks are for training; the\n"
      "tests of tasks in a folder \"evaluation\" are held out.");
  command.action([o] { make_arc(*o); });
}

struct TokenOptions {
  std::string from, out;
  bool replace = false, json = false;
};

void add_tokens_command(Command data) {
  const Command command = data.command("tokens", "A task of your own, from a CSV of tokens.");
  auto o = std::make_shared<TokenOptions>();
  command
      .text("--from", o->from,
            "A CSV file with the columns inputs and labels (and split, puzzle); - is the standard "
            "input.")
      .required();
  command.text("--out", o->out, "The folder to make.").required();
  command.flag("--replace", o->replace, kReplaceHelp);
  command.flag("--json", o->json, kSummaryHelp);
  command.footer(
      "Its lines:  inputs,labels,split,puzzle\n"
      "            1 2 3 0,3 2 1 -100,train,reverse\n"
      "A label of -100 is not supervised. A field may stand in quotes.");
  command.action([o] {
    print_summary(build_tokens(o->from, o->out, o->replace), o->out, "sudoku4", o->json);
    if (!o->json) print("sudoku4 is a small model of any tokens; `hrm info` lists others\n");
  });
}

void add_show_command(Command data) {
  const Command command = data.command("show", "Print examples of a data set.");
  auto o = std::make_shared<ShowOptions>();
  command.text("folder", o->folder, "The data set folder.").required();
  command.choice("--split", o->split, {"train", "test"},
                 "Which examples: train (default) or test.");
  command.whole_number("--index", o->index, 0, "The first example to print (default 0).");
  command.whole_number("--count", o->count, 1, "How many examples to print (default 1).");
  command.flag("--json", o->json, kJsonHelp);
  command.action([o] { show(*o); });
}

}  // namespace

void add_data_command(Command app) {
  const Command data = app.command("data", "Make data sets, and look at them.");
  add_sudoku_command(data);
  for (const TaskKind& kind : task_kinds())
    if (kind.generator) add_generated_command(data, kind);
  add_maze_command(data);
  add_arc_data_command(data);
  add_tokens_command(data);
  add_show_command(data);
}

void add_audit_command(Command app) {
  const Command command =
      app.command("audit", "ARC: look for what training knows of the tasks that are evaluated.");
  auto from = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  command.texts("dir", *from, "An ARC data set, or folders of tasks.").required();
  command.flag("--json", *json, kJsonHelp);
  command.footer("The exit status is 1 if anything is shared, 2 for an error.");
  command.action([=] { audit(*from, *json); });
}

}  // namespace hrm
