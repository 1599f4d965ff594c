#include "hrm/tasks/tokens.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "hrm/support/input.h"
#include "hrm/support/text.h"
#include "hrm/tasks/tokens_task.h"

namespace hrm {
namespace {

std::vector<int> parse_tokens(std::string_view text, const std::string& where) {
  std::vector<int> tokens;
  for (std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    HRM_CHECK(error == std::errc() && end == word.data() + word.size(),
              "[tokens] tokens must be whole numbers separated by blanks (", where, ")");
    tokens.push_back(value);
  }
  return tokens;
}

}  // namespace

BuildSummary build_tokens(const Path& csv, const Path& out, bool replace) {
  return build_tokens_text(read_input(csv), input_name(csv), out, replace);
}

BuildSummary build_tokens_text(const std::string& text, const std::string& name, const Path& out,
                               bool replace) {
  const std::vector<Line> lines = lines_of(text);
  HRM_CHECK(lines.size() >= 2, "[tokens] ", name, " must have a header and at least one row");
  const std::vector<std::string> header =
      csv_fields(lines[0].text, name + " line " + std::to_string(lines[0].number));
  const auto column = [&](std::string_view wanted, bool required) {
    const auto at = std::ranges::find(header, wanted);
    HRM_CHECK(at != header.end() || !required, "[tokens] ", name, " line ", lines[0].number,
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
    HRM_CHECK(fields.size() == header.size(), "[tokens] ", where, " must have ", header.size(),
              " columns, got ", fields.size());
    Row row;
    row.inputs = parse_tokens(fields[inputs_at], where);
    row.labels = parse_tokens(fields[labels_at], where);
    row.split = split_at < 0 ? "train" : fields[split_at];
    HRM_CHECK(row.split == "train" || row.split == "test", "[tokens] ", where,
              ": split must be train or test, got '", row.split, "'");
    row.puzzle = 0;
    if (puzzle_at >= 0) {
      const auto [it, fresh] =
          ids.try_emplace(fields[puzzle_at], static_cast<int32_t>(identifiers.size()));
      if (fresh) identifiers.push_back(it->first);
      row.puzzle = it->second;
    }
    if (rows.empty()) info.seq_len = std::ssize(row.inputs);
    HRM_CHECK(!row.inputs.empty() && std::ssize(row.inputs) == info.seq_len &&
                  row.labels.size() == row.inputs.size(),
              "[tokens] ", where, ": all rows must have ", info.seq_len, " inputs and labels, got ",
              row.inputs.size(), " and ", row.labels.size());
    for (const int t : row.inputs)
      HRM_CHECK(t >= 0 && t < (1 << 24), "[tokens] ", where, ": input token ", t,
                " must be in 0..16777215");
    for (const int t : row.labels)
      HRM_CHECK(t == kIgnoreLabel || (t >= 0 && t < (1 << 24)), "[tokens] ", where, ": label ", t,
                " must be in 0..16777215 or ", kIgnoreLabel);
    largest = std::max({largest, std::ranges::max(row.inputs), std::ranges::max(row.labels)});
    rows.push_back(std::move(row));
  }
  info.vocab_size = largest + 1;
  info.num_puzzle_identifiers = std::ssize(identifiers);
  const bool wide = std::ranges::any_of(rows, [](const Row& row) {
    return std::ranges::find(row.labels, kIgnoreLabel) != row.labels.end();
  });
  DatasetWriter writer(out, info, TokensTask().to_json(), replace, wide);
  int64_t group = 0;
  for (const Row& row : rows) writer.add(row.split, row.inputs, row.labels, ++group, row.puzzle);
  BuildSummary summary;
  summary.train = writer.count("train");
  summary.test = writer.count("test");
  writer.finish(identifiers);
  return summary;
}

}  // namespace hrm
