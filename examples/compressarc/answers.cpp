#include "examples/compressarc/answers.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc {
namespace {

constexpr double kDecay = 0.97;

// The elements [first, first + length) of a mask: those where the sum inside minus the sum outside
// is the largest, the shorter and then the earlier one in ties. length 0: any.
struct Span {
  int64_t first = 0, length = 0;
};
Span best_span(const std::vector<double>& mask, int64_t length) {
  const auto n = std::ssize(mask);
  Span best;
  double most = -INFINITY;
  for (int64_t any = length ? length : 1; any <= (length ? length : n); ++any)
    for (int64_t first = 0; first + any <= n; ++first) {
      double score = 0;
      for (int64_t i = 0; i < n; ++i) score += i >= first && i < first + any ? mask[i] : -mask[i];
      if (score > most) {
        most = score;
        best = {first, any};
      }
    }
  return best;
}

double log_add_exp(double a, double b) {
  const double larger = std::max(a, b);
  if (std::isinf(larger)) return larger;
  return larger + std::log(std::exp(a - larger) + std::exp(b - larger));
}

}  // namespace

Json to_json(const Answer& answer) {
  Json grids = Json::array();
  for (const ArcGrid& grid : answer) grids.push_back(grid_text(grid));
  return grids;
}

Answer parse_answer(const Json& json, size_t tests, const std::string& where) {
  HRM_CHECK(json.is_array() && json.size() == tests, "[compressarc] ", where,
            ": an answer must be a list of ", tests, " grids");
  Answer answer;
  for (const Json& grid : json) {
    HRM_CHECK(grid.is_string(), "[compressarc] ", where, ": a grid must be text");
    answer.push_back(parse_grid_text(grid.get<std::string>(), where));
    HRM_CHECK(!answer.back().empty(), "[compressarc] ", where, ": a grid must not be empty");
  }
  return answer;
}

Candidate Answers::read(const TestOutputs& outputs) const {
  Candidate candidate;
  for (int64_t test = 0; test < task_.tests; ++test) {
    const GridSize& predicted = task_.size(task_.demonstrations + test, kOutput);
    const bool sure = task_.answer_size_is_sure();
    const auto span = [&](const Tensor& mask, int predicted_length) {
      return best_span(select(mask, 0, test).to_vector(), sure ? predicted_length : 0);
    };
    const Span rows = span(outputs.row_mask, predicted.height);
    const Span cols = span(outputs.col_mask, predicted.width);

    const Tensor logits = select(outputs.logits, 0, test);
    const int64_t colours = logits.size(0), canvas = logits.size(1) * logits.size(2);
    const std::vector<double> values = logits.to_vector();
    ArcGrid grid{static_cast<int>(rows.length), static_cast<int>(cols.length), {}};
    double uncertainty = 0;
    for (int64_t row = rows.first; row < rows.first + rows.length; ++row)
      for (int64_t col = cols.first; col < cols.first + cols.length; ++col) {
        const double* cell = values.data() + row * logits.size(2) + col;
        int64_t best = 0;
        for (int64_t c = 1; c < colours; ++c)
          if (cell[c * canvas] > cell[best * canvas]) best = c;
        double others = 0;
        for (int64_t c = 0; c < colours; ++c)
          others += std::exp(cell[c * canvas] - cell[best * canvas]);
        uncertainty += std::log(others);
        grid.cells.push_back(task_.colours[best]);
      }
    candidate.uncertainty +=
        uncertainty / static_cast<double>(grid.cells.size() * static_cast<size_t>(task_.tests));
    candidate.grids.push_back(std::move(grid));
  }
  return candidate;
}

// The order of the two is looked at only when one is proposed again.
void Answers::count(const Candidate& candidate) {
  const auto [place, fresh] = totals_.try_emplace(candidate.grids, -INFINITY);
  place->second = log_add_exp(place->second, candidate.score);
  if (best_.empty()) best_ = second_ = candidate.grids;
  if (candidate.grids == best_) return;
  if (place->second < total(second_)) return;
  second_ = candidate.grids;
  if (place->second >= total(best_)) std::swap(best_, second_);
}

std::array<Candidate, 2> Answers::add(int64_t step, const TestOutputs& outputs) {
  const NoGradGuard no_grad;
  const auto blend = [](Tensor& average, const Tensor& fresh) {
    if (!average.defined()) average = zeros(fresh.shape(), fresh.dtype());
    average = kDecay * average + (1 - kDecay) * fresh;
  };
  blend(average_.logits, outputs.logits);
  blend(average_.row_mask, outputs.row_mask);
  blend(average_.col_mask, outputs.col_mask);
  std::array<Candidate, 2> candidates = {read(outputs), read(average_)};
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    candidate.score = -10 * candidate.uncertainty - (step < 150 ? 10 : 0) - (i == 1 ? 4 : 0);
    count(candidate);
  }
  return candidates;
}

Json Answers::to_json() const {
  Json state = {{"best", compressarc::to_json(best_)}, {"second", compressarc::to_json(second_)}};
  state["totals"] = Json::array();
  for (const auto& [answer, total] : totals_)
    state["totals"].push_back({{"grids", compressarc::to_json(answer)}, {"total", total}});
  return state;
}

NamedTensors Answers::averages() const {
  if (!average_.logits.defined()) return {};
  return {{"logits", average_.logits},
          {"row_mask", average_.row_mask},
          {"col_mask", average_.col_mask}};
}

// An answer that this task may have got: on its canvas, in its colours.
Answer Answers::possible_answer(const Json& json, const std::string& file) const {
  Answer answer = parse_answer(json, static_cast<size_t>(task_.tests), file);
  for (const ArcGrid& grid : answer) {
    const bool coloured = std::ranges::all_of(grid.cells, [&](uint8_t cell) {
      return std::ranges::find(task_.colours, cell) != task_.colours.end();
    });
    HRM_CHECK(grid.height <= task_.rows && grid.width <= task_.cols && coloured, "[compressarc] ",
              file, ": ", grid_text(grid), " cannot be an answer of this task");
  }
  return answer;
}

void Answers::restore(const Members& state, const NamedTensors& averages) {
  const std::string& file = state.source();
  std::map<Answer, double> totals;
  for (const Json& entry : state.list("totals")) {
    const Members candidate(entry, file);
    totals[possible_answer(candidate.list("grids"), file)] =
        candidate.number("total", -1e300, 1e300);
  }
  const Answer best = possible_answer(state.list("best"), file);
  const Answer second = possible_answer(state.list("second"), file);
  HRM_CHECK(totals.contains(best) && totals.contains(second), "[compressarc] ", file,
            ": an answer was never proposed");
  const auto average = [&](const char* name, const Shape& shape) {
    const Tensor* saved = find(averages, name);
    const bool fits =
        saved && saved->shape() == shape && saved->dtype() == DType::f32 &&
        std::ranges::all_of(saved->to_vector(), [](double value) { return std::isfinite(value); });
    HRM_CHECK(fits, "[compressarc] ", file, ": the average of ", name,
              " must be finite numbers, f32", shape);
    return saved->clone();
  };
  const int64_t colours = std::ssize(task_.colours);
  average_ = {average("logits", {task_.tests, colours, task_.rows, task_.cols}),
              average("row_mask", {task_.tests, task_.rows}),
              average("col_mask", {task_.tests, task_.cols})};
  totals_ = std::move(totals);
  best_ = best;
  second_ = second;
}

double Answers::total(const Answer& answer) const {
  const auto found = totals_.find(answer);
  return found == totals_.end() ? -INFINITY : found->second;
}

}  // namespace hrm::compressarc
