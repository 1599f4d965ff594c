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
    check_size(train * (1 + copies), info.seq_len, out);
  }
  std::vector<SudokuPuzzle> puzzles =
      build.from.empty() ? generate_sudoku(build)
                         : read_sudoku_file(build.from, rules, build.count, build.on_progress);
  BuildSummary summary;
  std::map<std::string, std::vector<const SudokuPuzzle*>> classes;
  std::set<Grid> seen;
  for (SudokuPuzzle& p : puzzles) {
    if (p.rating < build.min_rating || !seen.insert(p.puzzle).second) {
      ++summary.dropped;
      continue;
    }
    p.symmetry = symmetry_class(rules, p.puzzle, p.solution);
    classes[p.symmetry].push_back(&p);
    summary.mean_rating += static_cast<double>(p.rating);
  }
  HRM_CHECK(!seen.empty(), "[sudoku] no puzzle has a rating of ", build.min_rating,
            " or more. HINT: a lower --min-rating");
  summary.mean_rating /= static_cast<double>(seen.size());

  Random random = Random(build.seed).fork("split");
  std::vector<const std::vector<const SudokuPuzzle*>*> order;
  for (const auto& [name, members] : classes) order.push_back(&members);
  random.shuffle(order);
  // Whole classes to the test side, until both wishes are met.
  std::vector<const SudokuPuzzle*> test, train;
  int64_t held_out = 0;
  for (const auto* members : order) {
    const bool to_test = held_out < build.test_count || summary.test_classes < build.test_classes;
    if (build.test_count > 0 && to_test) {
      held_out += std::ssize(*members);
      ++summary.test_classes;
      test.insert(test.end(), members->begin(), members->end());
    } else {
      ++summary.train_classes;
      train.insert(train.end(), members->begin(), members->end());
    }
  }
  HRM_CHECK(!train.empty(), "[sudoku] all ", seen.size(),
            " puzzles were needed for the test split. HINT: more puzzles or a smaller --test");
  // Surplus test puzzles are dropped evenly: one of every class first, then the second ones, ...
  if (std::ssize(test) > build.test_count) {
    std::map<std::string, int> turn;
    std::vector<std::pair<int, const SudokuPuzzle*>> ranked;
    for (const SudokuPuzzle* p : test) ranked.emplace_back(turn[p->symmetry]++, p);
    std::ranges::stable_sort(ranked, {}, &std::pair<int, const SudokuPuzzle*>::first);
    summary.dropped += std::ssize(test) - build.test_count;
    test.clear();
    for (int64_t i = 0; i < build.test_count; ++i) test.push_back(ranked[i].second);
  }
  random.shuffle(train);
  random.shuffle(test);
  if (build.subsample_train > 0 && std::ssize(train) > build.subsample_train) {
    summary.dropped += std::ssize(train) - build.subsample_train;
    train.resize(build.subsample_train);
    std::set<std::string_view> left;
    for (const SudokuPuzzle* p : train) left.insert(p->symmetry);
    summary.train_classes = std::ssize(left);
  }
  const auto total = static_cast<double>(std::ssize(train)) * (1 + copies);
  check_size(total, info.seq_len, out);
  int64_t group = 0;
  for (const SudokuPuzzle* p : train) {
    writer.add("train", to_tokens(p->puzzle), to_tokens(p->solution), ++group);
    for (int64_t copy = 0; copy < build.augment; ++copy) {
      const SudokuTransform t = SudokuTransform::draw(rules, random);
      writer.add("train", to_tokens(t.apply(p->puzzle)), to_tokens(t.apply(p->solution)), group);
      if (build.on_write) build.on_write(writer.count("train"), static_cast<int64_t>(total));
    }
  }
  for (const SudokuPuzzle* p : test)
    writer.add("test", to_tokens(p->puzzle), to_tokens(p->solution), ++group);
  summary.train = writer.count("train");
  summary.test = writer.count("test");
  writer.finish();
  return summary;
}

}  // namespace hrm
