#include "hrm/tasks/sudoku_build.h"

#include <algorithm>
#include <map>
#include <set>

#include "hrm/tasks/sudoku_task.h"

namespace hrm {
namespace {

// Default range of givens: easy enough that a small model learns them.
std::pair<int, int> givens_of(const SudokuBuild& build) {
  if (build.givens_high > 0) return {build.givens_low, build.givens_high};
  if (build.rules.side == 4) return {4, 10};
  return build.rules.side == 6 ? std::pair{12, 22} : std::pair{36, 50};
}

using Puzzles = std::vector<const SudokuPuzzle*>;

// By symmetry class. The order of the classes is that of their names, the same on every machine.
using Classes = std::map<std::string, Puzzles>;

// The classes of the test puzzles of data sets.
std::set<std::string> test_classes(const std::vector<Path>& folders, const SudokuRules& rules) {
  std::set<std::string> classes;
  for (const SudokuPuzzle& p : read_sudoku_tests(folders, rules))
    classes.insert(symmetry_class(rules, p.puzzle, p.solution));
  return classes;
}

// Finds the class of each puzzle; leaves out those that are too easy, there already or not wanted.
Classes classes_of(std::vector<SudokuPuzzle>& puzzles, const SudokuBuild& build,
                   const std::set<std::string>& unwanted, BuildSummary& summary) {
  Classes classes;
  std::set<Grid> seen;
  int64_t kept = 0;
  for (SudokuPuzzle& p : puzzles) {
    if (p.rating < build.min_rating || !seen.insert(p.puzzle).second) {
      ++summary.dropped;
      continue;
    }
    p.symmetry = symmetry_class(build.rules, p.puzzle, p.solution);
    if (unwanted.contains(p.symmetry)) {
      ++summary.dropped;
      continue;
    }
    ++kept;
    classes[p.symmetry].push_back(&p);
    summary.mean_rating += static_cast<double>(p.rating);
  }
  HRM_CHECK(!seen.empty(), "[sudoku] no puzzle has a rating of ", build.min_rating,
            " or more. HINT: a lower --min-rating");
  HRM_CHECK(!classes.empty(), "[sudoku] all ", seen.size(),
            " puzzles are symmetric to test puzzles of --without. HINT: other puzzles");
  summary.mean_rating /= static_cast<double>(kept);
  return classes;
}

struct Split {
  Puzzles train, test;
};

// Whole classes, in random order, go to the test side until both wishes are met.
Split split_classes(const Classes& classes, const SudokuBuild& build, Random& random,
                    BuildSummary& summary) {
  std::vector<const Puzzles*> order;
  for (const auto& [name, members] : classes) order.push_back(&members);
  random.shuffle(order);
  Split split;
  for (const Puzzles* members : order) {
    const bool wanted =
        std::ssize(split.test) < build.test_count || summary.test_classes < build.test_classes;
    const bool to_test = build.test_count > 0 && wanted;
    ++(to_test ? summary.test_classes : summary.train_classes);
    Puzzles& side = to_test ? split.test : split.train;
    side.insert(side.end(), members->begin(), members->end());
  }
  HRM_CHECK(!split.train.empty(), "[sudoku] all ", split.test.size(),
            " puzzles were needed for the test split. HINT: more puzzles or a smaller --test");
  return split;
}

// Keeps `count` puzzles, evenly over the classes: one of every class first, then the second ones.
void keep_evenly(Puzzles& puzzles, int64_t count) {
  std::map<std::string, int> turn;
  std::vector<std::pair<int, const SudokuPuzzle*>> ranked;
  for (const SudokuPuzzle* p : puzzles) ranked.emplace_back(turn[p->symmetry]++, p);
  std::ranges::stable_sort(ranked, {}, &std::pair<int, const SudokuPuzzle*>::first);
  puzzles.clear();
  for (int64_t i = 0; i < count; ++i) puzzles.push_back(ranked[i].second);
}

// The puzzles of both sides, in the order in which they are written.
Split choose_puzzles(const Classes& classes, const SudokuBuild& build, Random& random,
                     BuildSummary& summary) {
  Split split = split_classes(classes, build, random, summary);
  const int64_t surplus = std::ssize(split.test) - build.test_count;
  if (surplus > 0) {
    keep_evenly(split.test, build.test_count);
    summary.dropped += surplus;
  }
  random.shuffle(split.train);
  random.shuffle(split.test);
  const int64_t too_many = std::ssize(split.train) - build.subsample_train;
  if (build.subsample_train > 0 && too_many > 0) {
    split.train.resize(build.subsample_train);
    summary.dropped += too_many;
    std::set<std::string_view> left;
    for (const SudokuPuzzle* p : split.train) left.insert(p->symmetry);
    summary.train_classes = std::ssize(left);
  }
  return split;
}

void write_puzzles(DatasetWriter& writer, const Split& split, const SudokuBuild& build,
                   Random& random) {
  const int64_t total = std::ssize(split.train) * (1 + build.augment);
  int64_t group = 0;
  for (const SudokuPuzzle* p : split.train) {
    writer.add("train", to_tokens(p->puzzle), to_tokens(p->solution), ++group);
    for (int64_t copy = 0; copy < build.augment; ++copy) {
      const SudokuTransform t = SudokuTransform::draw(build.rules, random);
      writer.add("train", to_tokens(t.apply(p->puzzle)), to_tokens(t.apply(p->solution)), group);
      if (build.on_write) build.on_write(writer.count("train"), total);
    }
  }
  for (const SudokuPuzzle* p : split.test)
    writer.add("test", to_tokens(p->puzzle), to_tokens(p->solution), ++group);
}

}  // namespace

std::vector<SudokuPuzzle> generate_sudoku(const SudokuBuild& build) {
  const auto [low, high] = givens_of(build);
  HRM_CHECK(low >= 0 && low <= high && high <= build.rules.cells(),
            "[sudoku] givens must be a range LOW-HIGH within 0-", build.rules.cells(), ", got ",
            low, "-", high);
  Random random = Random(build.seed).fork("sudoku");
  std::vector<SudokuPuzzle> puzzles;
  std::set<Grid> seen;
  // Small sides have few puzzles: give up when new ones hardly turn up.
  for (int64_t tries = 0; std::ssize(puzzles) < build.count; ++tries) {
    HRM_CHECK(tries / 20 - 50 < build.count, "[sudoku] only ", puzzles.size(), " of ", build.count,
              " different puzzles found. HINT: a smaller --count, a wider range of --givens",
              build.min_rating > 0 ? " or a lower --min-rating" : "");
    SudokuPuzzle p;
    p.solution = random_solution(build.rules, random);
    const int givens = low + static_cast<int>(random.below(high - low + 1));
    p.puzzle = remove_digits(build.rules, p.solution, givens, build.minimal, random);
    const auto left =
        static_cast<int>(std::ranges::count_if(p.puzzle, [](int d) { return d != 0; }));
    if ((!build.minimal && left > givens) || !seen.insert(p.puzzle).second) continue;
    p.rating = solve_sudoku(build.rules, p.puzzle).guesses;
    if (p.rating < build.min_rating) continue;
    puzzles.push_back(std::move(p));
    if (build.on_progress) build.on_progress(std::ssize(puzzles), build.count);
  }
  return puzzles;
}

BuildSummary build_sudoku(const SudokuBuild& build, const Path& out) {
  const SudokuRules& rules = build.rules;
  DatasetInfo info;
  info.seq_len = rules.cells();
  info.vocab_size = rules.side + 2;
  DatasetWriter writer(out, info, SudokuTask(rules).to_json(), build.replace);
  const auto copies = static_cast<double>(build.augment);
  if (build.from.empty()) {
    HRM_CHECK(build.test_count < build.count, "[sudoku] all ", build.count,
              " puzzles would be needed for the test split of ", build.test_count,
              ". HINT: more puzzles or a smaller --test");
    const auto train = static_cast<double>(build.count - build.test_count);
    check_size(train * (1 + copies), info.seq_len, out, kSmallerSudoku);
  }
  const std::set<std::string> unwanted = test_classes(build.without, rules);
  std::vector<SudokuPuzzle> puzzles =
      build.from.empty() ? generate_sudoku(build)
                         : read_sudoku(build.from, rules, build.count, build.on_progress);
  BuildSummary summary;
  const Classes classes = classes_of(puzzles, build, unwanted, summary);
  Random random = Random(build.seed).fork("split");
  const Split split = choose_puzzles(classes, build, random, summary);
  check_size(static_cast<double>(std::ssize(split.train)) * (1 + copies), info.seq_len, out,
             kSmallerSudoku);
  write_puzzles(writer, split, build, random);
  summary.train = writer.count("train");
  summary.test = writer.count("test");
  writer.finish();
  return summary;
}

}  // namespace hrm
