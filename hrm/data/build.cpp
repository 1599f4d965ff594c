#include "hrm/data/build.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <set>
#include <sstream>

namespace hrm {
namespace {

// Solves a puzzle of a file; errors name the line.
SudokuPuzzle checked_puzzle(std::string_view text, const SudokuBuild& build,
                            const std::string& where) {
  SudokuPuzzle p;
  SudokuRules rules;
  try {
    p.puzzle = parse_sudoku(text, &rules);
  } catch (const Error& error) {
    detail::fail(error.what(), " (", where, ")");
  }
  CHECK(rules.side == build.rules.side, "[sudoku] the puzzle is ", rules.side, "x", rules.side,
        ", the data set ", build.rules.side, "x", build.rules.side, " (", where, "). HINT: --side ",
        rules.side);
  const SudokuSolution s = solve_sudoku(rules, p.puzzle);
  CHECK(s.count == 1, "[sudoku] the puzzle has ",
        s.count == 0 ? "no solution" : "several solutions", " (", where,
        "). HINT: puzzles must have exactly one");
  p.solution = s.grid;
  p.rating = s.guesses;
  return p;
}

// Default range of givens: easy enough that a small model learns them.
std::pair<int, int> givens_of(const SudokuBuild& build) {
  if (build.givens_high > 0) return {build.givens_low, build.givens_high};
  if (build.rules.side == 4) return {4, 10};
  return build.rules.side == 6 ? std::pair{12, 22} : std::pair{36, 50};
}

std::vector<int> parse_tokens(std::string_view text, const std::string& where) {
  std::vector<int> tokens;
  for (std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    CHECK(error == std::errc() && end == word.data() + word.size(),
          "[tokens] tokens must be whole numbers separated by blanks (", where, ")");
    tokens.push_back(value);
  }
  return tokens;
}

}  // namespace

std::vector<Line> lines_of(const std::string& text) {
  std::vector<Line> lines;
  int64_t number = 1;
  // Spreadsheets write a byte order mark first.
  for (size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; at < text.size(); ++number) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    std::string_view line(text.data() + at, end - at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line[0] != '#') lines.push_back({number, line});
    at = end + 1;
  }
  return lines;
}

std::vector<std::string_view> split(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t at = line.find(separator);
    fields.push_back(line.substr(0, at));
    if (at == std::string_view::npos) return fields;
    line.remove_prefix(at + 1);
  }
}

std::vector<std::string> csv_fields(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool pair = quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"';
    if (c == '"' && !pair) {
      CHECK(quoted || fields.back().empty(), "[csv] ", where,
            ": a quote may only stand at the start of a field");
      CHECK(!quoted || i + 1 == line.size() || line[i + 1] == ',', "[csv] ", where,
            ": a comma must follow the closing quote of a field");
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
      if (pair) ++i;  // "" within quotes is one quote
    }
  }
  CHECK(!quoted, "[csv] ", where, ": a quoted field has no closing quote");
  return fields;
}

std::string input_name(const Path& path) {
  return path == "-" ? std::string("standard input") : path.string();
}

std::string read_input(const Path& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  const bool pipe = fs::is_fifo(status) || fs::is_character_file(status);
  if (path != "-" && !pipe) return read_file(path);
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    CHECK(!std::cin.bad(), "[read] cannot read standard input");
  } else {
    std::ifstream file(path);
    CHECK(file, "[read] cannot open ", path.string(), ": ", std::strerror(errno));
    text << file.rdbuf();
  }
  return text.str();
}

void check_size(double examples, int64_t seq_len, const Path& out) {
  constexpr double kMost = std::numeric_limits<int32_t>::max();
  CHECK(examples <= kMost, "[data] a data set holds at most ", static_cast<int64_t>(kMost),
        " examples, not ", static_cast<int64_t>(examples),
        ". HINT: a smaller --count or --augment; training draws copies on the fly");
  const auto gib = [](double n) { return std::round(n / (1 << 30) * 10) / 10; };
  // Inputs and labels, a byte a token.
  const double bytes = 2 * static_cast<double>(seq_len) * examples, free = free_disk_bytes(out);
  CHECK(bytes < free, "[data] the data set needs about ", gib(bytes), " GiB of disk, ", gib(free),
        " GiB are free. HINT: a smaller --count or --augment, or another --out");
}

std::vector<SudokuPuzzle> parse_sudoku_file(const std::string& text, const SudokuBuild& build,
                                            const std::string& name) {
  std::vector<Line> lines = lines_of(text);
  CHECK(!lines.empty(), "[sudoku] ", name, " holds no puzzles");
  // A CSV is recognised by its header.
  size_t question = 0, answer = 0;
  const bool csv = lines[0].text.find(',') != std::string_view::npos;
  const std::vector<std::string> header =
      csv_fields(lines[0].text, name + " line " + std::to_string(lines[0].number));
  if (csv) {
    const auto column = [&](std::string_view wanted) {
      const auto at = std::ranges::find(header, wanted);
      CHECK(at != header.end(), "[sudoku] ", name, " line ", lines[0].number,
            " must be the header source,question,answer,rating, but has no '", wanted, "'");
      return static_cast<size_t>(at - header.begin());
    };
    question = column("question"), answer = column("answer");
    lines.erase(lines.begin());
  }
  std::vector<SudokuPuzzle> puzzles;
  int64_t total = std::ssize(lines);
  if (build.count > 0) total = std::min(total, build.count);
  for (int64_t i = 0; i < total; ++i) {
    const std::string where = name + " line " + std::to_string(lines[i].number);
    const std::vector<std::string> fields = csv_fields(lines[i].text, where);
    CHECK(!csv || fields.size() == header.size(), "[sudoku] ", where, " must have ", header.size(),
          " columns, got ", fields.size());
    puzzles.push_back(checked_puzzle(csv ? fields[question] : lines[i].text, build, where));
    CHECK(!csv || format_sudoku(puzzles.back().solution) == fields[answer],
          "[sudoku] the answer is not the puzzle's solution (", where, ")");
    if (build.on_progress) build.on_progress(i + 1, total);
  }
  return puzzles;
}

std::vector<SudokuPuzzle> read_sudoku_file(const SudokuBuild& build) {
  return parse_sudoku_file(read_input(build.from), build, input_name(build.from));
}

std::vector<SudokuPuzzle> generate_sudoku(const SudokuBuild& build) {
  const auto [low, high] = givens_of(build);
  CHECK(low >= 0 && low <= high && high <= build.rules.cells(),
        "[sudoku] givens must be a range LOW-HIGH within 0-", build.rules.cells(), ", got ", low,
        "-", high);
  Random random = Random(build.seed).fork("sudoku");
  std::vector<SudokuPuzzle> puzzles;
  std::set<Grid> seen;
  // Small sides have few puzzles: give up when new ones hardly turn up.
  for (int64_t tries = 0; std::ssize(puzzles) < build.count; ++tries) {
    CHECK(tries / 20 - 50 < build.count, "[sudoku] only ", puzzles.size(), " of ", build.count,
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
  DatasetWriter writer(out, info, {"sudoku", rules.side, rules.box_rows, rules.box_cols},
                       build.replace);
  const auto copies = static_cast<double>(build.augment);
  if (build.from.empty()) {
    CHECK(build.test_count < build.count, "[sudoku] all ", build.count,
          " puzzles would be needed for the test split of ", build.test_count,
          ". HINT: more puzzles or a smaller --test");
    const auto train = static_cast<double>(build.count - build.test_count);
    check_size(train * (1 + copies), info.seq_len, out);
  }
  std::vector<SudokuPuzzle> puzzles =
      build.from.empty() ? generate_sudoku(build) : read_sudoku_file(build);
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
  CHECK(!seen.empty(), "[sudoku] no puzzle has a rating of ", build.min_rating,
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
  CHECK(!train.empty(), "[sudoku] all ", seen.size(),
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
  random.shuffle(train), random.shuffle(test);
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
  summary.train = writer.count("train"), summary.test = writer.count("test");
  writer.finish();
  return summary;
}

BuildSummary build_tokens(const Path& csv, const Path& out, bool replace) {
  return build_tokens_text(read_input(csv), input_name(csv), out, replace);
}

BuildSummary build_tokens_text(const std::string& text, const std::string& name, const Path& out,
                               bool replace) {
  const std::vector<Line> lines = lines_of(text);
  CHECK(lines.size() >= 2, "[tokens] ", name, " must have a header and at least one row");
  const std::vector<std::string> header =
      csv_fields(lines[0].text, name + " line " + std::to_string(lines[0].number));
  const auto column = [&](std::string_view wanted, bool required) {
    const auto at = std::ranges::find(header, wanted);
    CHECK(at != header.end() || !required, "[tokens] ", name, " line ", lines[0].number,
          ": the header must name a column '", wanted, "'");
    return at == header.end() ? -1 : at - header.begin();
  };
  const auto inputs_at = column("inputs", true), labels_at = column("labels", true);
  const auto split_at = column("split", false), puzzle_at = column("puzzle", false);

  struct Row {
    std::string split;
    std::vector<int> inputs, labels;
    int32_t puzzle;
  };
  std::vector<Row> rows;
  std::vector<std::string> identifiers = {"<blank>"};
  std::map<std::string, int32_t, std::less<>> ids;
  DatasetInfo info;
  int largest = 1;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string where = name + " line " + std::to_string(lines[i].number);
    const std::vector<std::string> fields = csv_fields(lines[i].text, where);
    CHECK(fields.size() == header.size(), "[tokens] ", where, " must have ", header.size(),
          " columns, got ", fields.size());
    Row row;
    row.inputs = parse_tokens(fields[inputs_at], where);
    row.labels = parse_tokens(fields[labels_at], where);
    row.split = split_at < 0 ? "train" : fields[split_at];
    CHECK(row.split == "train" || row.split == "test", "[tokens] ", where,
          ": split must be train or test, got '", row.split, "'");
    row.puzzle = 0;
    if (puzzle_at >= 0) {
      const auto [it, fresh] =
          ids.try_emplace(fields[puzzle_at], static_cast<int32_t>(identifiers.size()));
      if (fresh) identifiers.push_back(it->first);
      row.puzzle = it->second;
    }
    if (rows.empty()) info.seq_len = std::ssize(row.inputs);
    CHECK(!row.inputs.empty() && std::ssize(row.inputs) == info.seq_len &&
              row.labels.size() == row.inputs.size(),
          "[tokens] ", where, ": all rows must have ", info.seq_len, " inputs and labels, got ",
          row.inputs.size(), " and ", row.labels.size());
    for (const int t : row.inputs)
      CHECK(t >= 0 && t < (1 << 24), "[tokens] ", where, ": input token ", t,
            " must be in 0..16777215");
    for (const int t : row.labels)
      CHECK(t == kIgnoreLabel || (t >= 0 && t < (1 << 24)), "[tokens] ", where, ": label ", t,
            " must be in 0..16777215 or ", kIgnoreLabel);
    largest = std::max({largest, std::ranges::max(row.inputs), std::ranges::max(row.labels)});
    rows.push_back(std::move(row));
  }
  info.vocab_size = largest + 1;
  info.num_puzzle_identifiers = std::ssize(identifiers);
  const bool wide = std::ranges::any_of(rows, [](const Row& row) {
    return std::ranges::find(row.labels, kIgnoreLabel) != row.labels.end();
  });
  DatasetWriter writer(out, info, {"tokens"}, replace, wide);
  int64_t group = 0;
  for (const Row& row : rows) writer.add(row.split, row.inputs, row.labels, ++group, row.puzzle);
  BuildSummary summary;
  summary.train = writer.count("train"), summary.test = writer.count("test");
  writer.finish(identifiers);
  return summary;
}

}  // namespace hrm
