#include "hrm/eval/predictions.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "hrm/eval/segment_view.h"

namespace hrm {
namespace {

enum class Form { jsonl, csv, npy };

Form form_of(const Path& file) {
  const std::string ending = file.extension();
  std::error_code none;
  const auto status = std::filesystem::status(file, none);
  const bool special = std::filesystem::exists(status) &&
                       !std::filesystem::is_regular_file(status) &&
                       !std::filesystem::is_directory(status);
  const bool named = ending == ".csv" || ending == ".npy";
  if (ending == ".jsonl" || is_standard_output(file) || (special && !named)) return Form::jsonl;
  if (ending == ".csv") return Form::csv;
  HRM_CHECK(ending == ".npy",
            "[predictions] the name of the file must end in .jsonl, .csv or "
            ".npy, got '",
            file.string(), "'. HINT: --out predictions.jsonl");
  return Form::npy;
}

// A field of a CSV line: always in quotes if it is text.
std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.dump();
  std::string field = "\"";
  for (const char c : value.get<std::string>())
    field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

// Files hold no NaN and no infinity.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

void Predictions::check_name(const Path& file) {
  form_of(file);
  const Path folder = file.parent_path();
  HRM_CHECK(folder.empty() || std::filesystem::is_directory(folder),
            "[predictions] there is no folder ", folder.string(), " to write ", file.string(),
            ". HINT: make it first");
}

void Predictions::add(const Answer& answer) {
  const auto at =
      std::lower_bound(answers_.begin(), answers_.end(), answer.example,
                       [](const Answer& a, int64_t example) { return a.example < example; });
  if (at != answers_.end() && at->example == answer.example)
    *at = answer;
  else
    answers_.insert(at, answer);
}

Json Predictions::to_json(const Answer& answer) const {
  const Example example = data_.read(answer.example);
  const Tokens puzzle(example.inputs.begin(), example.inputs.begin() + seq_len_);
  const bool known = data_.task().has_rules() ||
                     std::ranges::any_of(example.labels, [](int32_t label) { return label >= 0; });
  Json json = {{"example", answer.example}};
  if (data_.examples().has_names()) json["puzzle_name"] = data_.puzzle_name(example.puzzle_id);
  json["puzzle"] = data_.task().text(puzzle);
  json["answer"] = data_.task().text(answer.tokens);
  json["solved"] = known ? Json(answer.solved) : Json();
  json[by_rounds_ ? "rounds" : "segments"] = answer.segments;
  if (by_rounds_) return json;
  json["q_halt"] = number(probability(answer.q_halt));
  json["q_continue"] = number(probability(answer.q_continue));
  return json;
}

std::string Predictions::json_lines() const {
  std::string text;
  // In ASCII: names from files may hold what a terminal would obey.
  for (const Answer& answer : answers_)
    text += to_json(answer).dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  return text;
}

std::string Predictions::csv() const {
  std::string text, head;
  for (const Answer& answer : answers_) {
    std::string line;
    head.clear();
    const Json json = to_json(answer);
    for (const auto& [key, value] : json.items()) {
      head += (head.empty() ? "" : ",") + key;
      line += (line.empty() ? "" : ",") + csv_field(value);
    }
    text += line + "\n";
  }
  return head + "\n" + text;
}

void Predictions::write(const Path& file) const {
  switch (form_of(file)) {
    case Form::jsonl:
      return write_output(file, json_lines());
    case Form::csv:
      return write_output(file, csv());
    case Form::npy:
      break;
  }
  Tokens tokens;
  for (const Answer& answer : answers_)
    tokens.insert(tokens.end(), answer.tokens.begin(), answer.tokens.end());
  write_npy(file, from_vector(tokens, {std::ssize(answers_), seq_len_}));
}

}  // namespace hrm
