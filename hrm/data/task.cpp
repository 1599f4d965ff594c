#include "hrm/data/task.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace hrm {

Tokens Task::parse(std::string_view) const {
  detail::fail("[solve] puzzles of the kind ", kind().empty() ? "of this run" : kind(),
               " cannot be written as text. HINT: hrm eval --run RUN --data DIR takes a data set");
}

std::string Task::text(const Tokens& tokens) const {
  std::string line;
  for (const int32_t token : tokens) line += (line.empty() ? "" : " ") + std::to_string(token);
  return line;
}

std::string Task::check(const Tokens&, const Tokens&) const {
  detail::fail("[data] the kind ", kind(), " has no rules to check an answer by");
}

Tokens Task::solution(const Tokens&) const {
  detail::fail("[data] the kind ", kind(), " has no rules to solve a puzzle by");
}

void Symmetry::apply(int32_t* tokens) const {
  const Tokens before(tokens, tokens + source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const int32_t t = before[source[i]];
    tokens[i] = t < 0 ? t : token[t];
  }
}

Augmentation Task::augmentation() const {
  const auto draw = symmetries();
  if (!draw) return nullptr;
  return [draw](int32_t* inputs, int32_t* labels, bool, Random& random) {
    const Symmetry symmetry = draw(random);
    symmetry.apply(inputs);
    symmetry.apply(labels);
  };
}

Json Task::facts(const Tokens&) const { return Json::object(); }

std::string Task::symmetry_class(const Tokens& inputs, const Tokens&) const {
  return Task::text(inputs);
}

CellLayout Task::layout(int64_t cells) const {
  const int side = square_side(cells);
  return {side, side, side};
}

CellLook Task::look(int32_t token) const { return {std::to_string(token)}; }

int square_side(int64_t cells) {
  return static_cast<int>(std::ceil(std::sqrt(static_cast<double>(cells))));
}

}  // namespace hrm
