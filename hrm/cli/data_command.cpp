// hrm data sudoku, tokens, show.
#include <cstdio>

#include "hrm/cli/commands.h"
#include "hrm/cli/grid.h"
#include "hrm/data/build.h"
#include "hrm/progress.h"

namespace hrm {
namespace {

void print_summary(const BuildSummary& s, const std::string& out, const std::string& preset,
                   bool json) {
  if (json) {
    std::printf("%s\n", Json({{"train", s.train},
                              {"test", s.test},
                              {"train_classes", s.train_classes},
                              {"test_classes", s.test_classes},
                              {"mean_rating", s.mean_rating},
                              {"dropped", s.dropped},
                              {"out", out}})
                            .dump(2)
                            .c_str());
    return;
  }
  std::printf("%s: %s training and %s test examples", out.c_str(), format_count(s.train).c_str(),
              format_count(s.test).c_str());
  if (s.train_classes)
    std::printf(", from %s and %s symmetry classes; mean rating %.1f guesses; %s left out",
                format_count(s.train_classes).c_str(), format_count(s.test_classes).c_str(),
                s.mean_rating, format_count(s.dropped).c_str());
  std::printf("\nNext: hrm train --preset %s --data %s\n", preset.c_str(), out.c_str());
}

struct SudokuOptions {
  int side = 9;
  std::string from, givens, out;
  SudokuBuild build;
  bool json = false;
};

void make_sudoku(SudokuOptions o) {
  o.build.rules = SudokuRules::of_side(o.side);
  o.build.from = o.from;
  if (!o.givens.empty()) {
    int low = 0, high = 0;
    char rest = 0;
    const bool fine = std::sscanf(o.givens.c_str(), "%d-%d%c", &low, &high, &rest) == 2;
    CHECK(fine && low > 0 && low <= high && high <= o.build.rules.cells(),
          "[sudoku] --givens must be LOW-HIGH within 1-", o.build.rules.cells(), ", got '",
          o.givens, "'");
    o.build.givens_low = low, o.build.givens_high = high;
  }
  if (o.build.count < 0) o.build.count = o.from.empty() ? 10000 : 0;
  BuildSummary summary;
  {
    std::unique_ptr<Progress> bar;
    o.build.on_progress = [&](int64_t done, int64_t total) {
      if (!bar)
        bar = std::make_unique<Progress>(o.from.empty() ? "generate" : "solve", "puzzles", total);
      bar->update(done);
    };
    summary = build_sudoku(o.build, o.out);
  }
  print_summary(summary, o.out, o.side == 4 ? "sudoku4" : (o.side == 6 ? "sudoku6" : "hrm-27m"),
                o.json);
}

void show(const std::string& folder, const std::string& split, int64_t index, int64_t count) {
  const PuzzleDataset data(folder, split);
  const DatasetInfo& info = data.info();
  std::printf("%s/%s: %s examples, %s puzzles, %s groups; %lld tokens of vocabulary %lld, %s ids\n",
              folder.c_str(), split.c_str(), format_count(data.num_examples()).c_str(),
              format_count(data.num_puzzles()).c_str(), format_count(data.num_groups()).c_str(),
              static_cast<long long>(info.seq_len), static_cast<long long>(info.vocab_size),
              format_count(info.num_puzzle_identifiers).c_str());
  CHECK(index >= 0 && (index < data.num_examples() || data.num_examples() == 0),
        "[data] --index "
        "must be in 0..",
        data.num_examples() - 1, ", got ", index);
  for (int64_t i = index; i < std::min(data.num_examples(), index + count); ++i) {
    std::vector<int32_t> inputs(info.seq_len), labels(info.seq_len);
    int32_t id;
    data.read(i, inputs.data(), labels.data(), &id);
    std::printf("\nexample %lld, puzzle id %d\n", static_cast<long long>(i), id);
    if (data.task().task == "sudoku") {
      PuzzleTrace trace;
      trace.inputs.assign(inputs.begin(), inputs.end());
      const SudokuRules rules{data.task().side, data.task().box_rows, data.task().box_cols};
      std::printf("%s%s\n%s\n", render_trace(trace, rules, use_colour(stdout)).c_str(),
                  format_sudoku(from_tokens(trace.inputs)).c_str(),
                  format_sudoku(from_tokens({labels.begin(), labels.end()})).c_str());
      continue;
    }
    const auto line = [](const char* name, const std::vector<int32_t>& tokens) {
      std::printf("%s", name);
      for (const int32_t t : tokens) std::printf(" %d", t);
      std::printf("\n");
    };
    line("inputs", inputs), line("labels", labels);
  }
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Make and look at data sets");
  data->require_subcommand(1);

  CLI::App* sudoku = data->add_subcommand("sudoku", "Sudoku puzzles, generated or from a file");
  auto o = std::make_shared<SudokuOptions>();
  o->build.count = -1;
  sudoku->add_option("--out", o->out, "folder to make")->required();
  sudoku->add_option("--side", o->side, "4, 6 or 9 (default 9)")->check(CLI::IsMember({4, 6, 9}));
  sudoku->add_option("--from", o->from,
                     "one puzzle a line ('.' blank), or CSV source,question,answer,rating");
  sudoku->add_option("--count", o->build.count,
                     "puzzles to generate (default 10000), or the most to read (default all)");
  sudoku->add_option("--givens", o->givens, "range of givens of generated puzzles: LOW-HIGH");
  sudoku->add_flag("--minimal", o->build.minimal, "generate puzzles with no given to spare");
  sudoku->add_option("--min-rating", o->build.min_rating, "only puzzles of so many guesses");
  sudoku->add_option("--test", o->build.test_count, "test puzzles, in whole symmetry classes")
      ->check(CLI::NonNegativeNumber);
  sudoku
      ->add_option("--subsample-train", o->build.subsample_train,
                   "keep so many training puzzles, drawn at random (default all)")
      ->check(CLI::NonNegativeNumber);
  sudoku
      ->add_option("--augment", o->build.augment,
                   "symmetric copies to store per puzzle (training also draws them on the fly)")
      ->check(CLI::Range(0, 1000000));
  sudoku->add_option("--seed", o->build.seed, "seed of puzzles and split");
  sudoku->add_flag("--replace", o->build.replace, "write an existing data set anew");
  sudoku->add_flag("--json", o->json, "print the summary as JSON");
  sudoku->footer(
      "Symmetric copies of a puzzle (relabelled, turned, bands swapped) are one class "
      "and stay on one side of the split.");
  sudoku->callback([o] { make_sudoku(*o); });

  CLI::App* tokens = data->add_subcommand("tokens", "An own task from a CSV of tokens");
  struct TokenOptions {
    std::string from, out;
    bool replace = false, json = false;
  };
  auto t = std::make_shared<TokenOptions>();
  tokens->add_option("--from", t->from, "CSV with columns inputs, labels (split, puzzle)")
      ->required();
  tokens->add_option("--out", t->out, "folder to make")->required();
  tokens->add_flag("--replace", t->replace, "write an existing data set anew");
  tokens->add_flag("--json", t->json, "print the summary as JSON");
  tokens->footer(
      "Example row: \"1 2 3 0,3 2 1 -100,train,reverse\". A label of -100 is not "
      "supervised.");
  tokens->callback([t] {
    print_summary(build_tokens(t->from, t->out, t->replace), t->out, "sudoku4", t->json);
  });

  CLI::App* view = data->add_subcommand("show", "Print examples of a data set");
  struct ShowOptions {
    std::string folder, split = "train";
    int64_t index = 0, count = 1;
  };
  auto v = std::make_shared<ShowOptions>();
  view->add_option("folder", v->folder, "data set")->required();
  view->add_option("--split", v->split, "train or test")->check(CLI::IsMember({"train", "test"}));
  view->add_option("--index", v->index, "first example");
  view->add_option("--count", v->count, "how many")->check(CLI::PositiveNumber);
  view->callback([v] { show(v->folder, v->split, v->index, v->count); });
}

}  // namespace hrm
