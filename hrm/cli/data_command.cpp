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
  std::string from, givens, out;
  SudokuBuild build;
  bool json = false;
};

// What stored copies come to, said before the work.
void note_size(const SudokuBuild& build, const Path& out) {
  const int64_t examples =
      std::max<int64_t>(0, build.count - build.test_count) * (1 + build.augment);
  check_size(static_cast<double>(examples), build.rules.cells(), out);
  const double bytes = 2.0 * static_cast<double>(examples) * build.rules.cells();
  print(stderr, "{} copies of each training puzzle: {} examples, about {}\n",
        format_count(build.augment), format_count(examples), format_bytes(bytes));
}

void make_sudoku(SudokuOptions o) {
  o.build.rules = SudokuRules::of_side(o.side);
  o.build.from = o.from;
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
  print_summary(summary, o.out, o.side == 4 ? "sudoku4" : (o.side == 6 ? "sudoku6" : "hrm-27m"),
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

// Exit status 3 if training knows something of what is evaluated.
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
  if (!clean) throw CLI::RuntimeError(kExitNo);
}

void show(const std::string& folder, const std::string& split, int64_t index, int64_t count) {
  const PuzzleDataset data = open_dataset(folder, split);
  const DatasetInfo& info = data.info();
  print("{}/{}: {} examples, {} puzzles, {} groups; {} tokens of vocabulary {}, {} ids\n", folder,
        split, format_count(data.num_examples()), format_count(data.num_puzzles()),
        format_count(data.num_groups()), info.seq_len, info.vocab_size,
        format_count(info.num_puzzle_identifiers));
  HRM_CHECK(index >= 0 && (index < data.num_examples() || data.num_examples() == 0),
            "[data] --index must be in 0..", data.num_examples() - 1, ", got ", index);
  for (int64_t i = index; i < std::min(data.num_examples(), index + count); ++i) {
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

void add_generated_command(CLI::App& data, const TaskKind& kind) {
  CLI::App* command = data.add_subcommand(kind.name, std::string("Generated: ") + kind.help);
  auto o = std::make_shared<GeneratedOptions>();
  command->add_option("--out", o->out, "folder to make")->required();
  command
      ->add_option("--side", o->build.side,
                   "cells a side (default " + std::to_string(kind.generator->side) + ")")
      ->check(whole_number(kind.generator->smallest, kind.generator->largest));
  command->add_option("--count", o->build.count, "puzzles to generate (default 5000)")
      ->check(whole_number(1, kMostPuzzles));
  command
      ->add_option("--test", o->build.test_count,
                   "test puzzles, in whole symmetry classes (default 500)")
      ->check(whole_number(0));
  command->add_option("--seed", o->build.seed, "seed of puzzles and split")->check(whole_number(0));
  command->add_flag("--replace", o->build.replace, "write an existing data set anew");
  command->add_flag("--json", o->json, "print the summary as JSON");
  command->callback([&kind, o] { make_generated(kind, *o); });
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Make and look at data sets");
  data->require_subcommand(1);

  CLI::App* sudoku = data->add_subcommand("sudoku", "Sudoku puzzles, generated or from a file");
  auto o = std::make_shared<SudokuOptions>();
  o->build.count = -1;
  sudoku->add_option("--out", o->out, "folder to make")->required();
  sudoku->add_option("--side", o->side, "4, 6 or 9 (default 9)")->check(one_of({"4", "6", "9"}));
  CLI::Option* from = sudoku->add_option(
      "--from", o->from,
      "one puzzle a line ('.' blank), or CSV source,question,answer,rating; - is "
      "standard input");
  sudoku
      ->add_option("--count", o->build.count,
                   "puzzles to generate (default 10000), or the most to read (default all)")
      ->check(whole_number(1, kMostPuzzles));
  sudoku->add_option("--givens", o->givens, "range of givens of generated puzzles: LOW-HIGH")
      ->excludes(from);
  sudoku->add_flag("--minimal", o->build.minimal, "generate puzzles with no given to spare")
      ->excludes(from);
  sudoku->add_option("--min-rating", o->build.min_rating, "only puzzles of so many guesses")
      ->check(whole_number(0));
  sudoku
      ->add_option("--test", o->build.test_count,
                   "test puzzles, in whole symmetry classes (default 1000)")
      ->check(whole_number(0));
  sudoku
      ->add_option("--subsample-train", o->build.subsample_train,
                   "keep so many training puzzles, drawn at random (default all)")
      ->check(whole_number(0));
  sudoku
      ->add_option("--augment", o->build.augment,
                   "symmetric copies to store per puzzle (training also draws them on the fly)")
      ->check(whole_number(0, 1000000));
  sudoku->add_option("--seed", o->build.seed, "seed of puzzles and split")->check(whole_number(0));
  sudoku->add_flag("--replace", o->build.replace, "write an existing data set anew");
  sudoku->add_flag("--json", o->json, "print the summary as JSON");
  sudoku->footer(
      "Symmetric copies of a puzzle (relabelled, turned, bands swapped) are one class "
      "and stay on one side of the split.\n"
      "A call that is killed leaves OUT.tmp; the next one with the same --out removes it.");
  sudoku->callback([o] { make_sudoku(*o); });

  for (const TaskKind& kind : task_kinds())
    if (kind.generator) add_generated_command(*data, kind);

  CLI::App* maze = data->add_subcommand("maze", "Mazes, generated or from a CSV");
  auto m = std::make_shared<MazeOptions>();
  maze->add_option("--out", m->out, "folder to make")->required();
  maze->add_option("--size", m->build.side, "cells a side (default 30)")
      ->check(whole_number(3, 200));
  maze->add_option("--count", m->build.count, "mazes to generate (default 2000)")
      ->check(whole_number(1, kMostPuzzles));
  maze->add_option("--test", m->build.test_count, "of them in the test split (default 1000)")
      ->check(whole_number(0));
  maze->add_option("--min-path", m->build.min_path,
                   "steps from S to G, at least (default size^2 / 8.2)")
      ->check(whole_number(0));
  maze->add_flag("--unique", m->build.unique, "only mazes with one shortest path");
  maze->add_option("--walls", m->walls, "share of walls, LOW-HIGH (default 0.3-0.5)");
  CLI::Option* from_csv = maze->add_option(
      "--from", m->from, "read a CSV source,question,answer,rating (- is standard input)");
  for (const char* generated : {"--size", "--count", "--min-path", "--unique", "--walls"})
    maze->get_option(generated)->excludes(from_csv);
  maze->add_option("--test-from", m->test_from, "a CSV of the test mazes")
      ->excludes(maze->get_option("--test"));
  maze->add_option("--csv", m->csv, "write the mazes as such a CSV, too");
  maze->add_option("--seed", m->build.seed, "seed of mazes and split")->check(whole_number(0));
  maze->add_flag("--replace", m->build.replace, "write an existing data set anew");
  maze->add_flag("--json", m->json, "print the summary as JSON");
  maze->callback([m] { make_mazes(*m); });

  CLI::App* arc = data->add_subcommand("arc", "ARC-AGI-1, ARC-AGI-2, ConceptARC, Kaggle's files");
  auto a = std::make_shared<ArcOptions>();
  arc->add_option("--from", a->from, "folders (searched to any depth) or files of tasks")
      ->required();
  arc->add_option("--out", a->out, "folder to make")->required();
  arc->add_option("--form", a->form,
                  "compact (default): variants made on the fly; official: arrays")
      ->check(one_of({"compact", "official"}));
  arc->add_option("--variants", a->build.options.variants, "of each task (default 1000)")
      ->check(whole_number(0, 1000000));
  arc->add_option("--kinds", a->kinds,
                  "all (default), none, or of rotation,flip,transpose,colour,translation");
  arc->add_option("--only", a->only, "evaluation: leave out training tasks")
      ->check(one_of({"all", "evaluation"}));
  arc->add_option("--task", a->build.only_tasks, "these tasks alone")->type_name("ID...");
  arc->add_option("--without", a->build.without, "leave out these tasks")->type_name("ID...");
  arc->add_option("--canvas", a->canvas,
                  "its side: 30 (default, official), a smaller one, or auto: as small as fits");
  arc->add_option("--seed", a->build.options.seed, "seed of variants and translations")
      ->check(whole_number(0));
  arc->add_flag("--replace", a->build.replace, "write an existing data set anew");
  arc->add_flag("--json", a->json, "print the summary as JSON");
  arc->footer(
      "Demonstrations of all tasks and the tests of training tasks are for training, the\n"
      "tests of tasks in a folder \"evaluation\" are held out.");
  arc->callback([a] { make_arc(*a); });

  CLI::App* tokens = data->add_subcommand("tokens", "An own task from a CSV of tokens");
  struct TokenOptions {
    std::string from, out;
    bool replace = false, json = false;
  };
  auto t = std::make_shared<TokenOptions>();
  tokens
      ->add_option("--from", t->from,
                   "CSV with columns inputs, labels (split, puzzle); - is standard input")
      ->required();
  tokens->add_option("--out", t->out, "folder to make")->required();
  tokens->add_flag("--replace", t->replace, "write an existing data set anew");
  tokens->add_flag("--json", t->json, "print the summary as JSON");
  tokens->footer(
      "Its lines:  inputs,labels,split,puzzle\n"
      "            1 2 3 0,3 2 1 -100,train,reverse\n"
      "A label of -100 is not supervised. A field may stand in quotes.");
  tokens->callback([t] {
    print_summary(build_tokens(t->from, t->out, t->replace), t->out, "sudoku4", t->json);
    if (!t->json) print("sudoku4 is a small model of any tokens; `hrm info` lists others\n");
  });

  CLI::App* view = data->add_subcommand("show", "Print examples of a data set");
  struct ShowOptions {
    std::string folder, split = "train";
    int64_t index = 0, count = 1;
  };
  auto v = std::make_shared<ShowOptions>();
  view->add_option("folder", v->folder, "data set")->required();
  view->add_option("--split", v->split, "train or test")->check(one_of({"train", "test"}));
  view->add_option("--index", v->index, "first example")->check(whole_number(0));
  view->add_option("--count", v->count, "how many")->check(whole_number(1));
  view->callback([v] { show(v->folder, v->split, v->index, v->count); });
}

void add_audit_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("audit", "ARC: what training knows of the tasks that are evaluated");
  auto from = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  command->add_option("dir", *from, "an ARC data set, or folders of tasks")->required();
  command->add_flag("--json", *json, "print JSON");
  command->footer("Exit status 3 if anything is shared, 1 for an error.");
  command->callback([=] { audit(*from, *json); });
}

}  // namespace hrm
