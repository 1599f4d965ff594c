#include "hrm/train/metrics_window.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "kernels/dispatch.h"
#include "kernels/reduce.h"

namespace hrm {
namespace {

// The sums in their order: first the losses of a segment, then the five counts of act_metrics.
enum class Per { row, finished, window };  // what a sum is divided by
struct Column {
  double TrainMetrics::*value;
  Per per;
};
constexpr std::array kColumns = {
    Column{&TrainMetrics::loss, Per::row},
    Column{&TrainMetrics::lm_loss, Per::row},
    Column{&TrainMetrics::q_halt_loss, Per::row},
    Column{&TrainMetrics::q_continue_loss, Per::row},
    Column{&TrainMetrics::finished, Per::window},
    Column{&TrainMetrics::accuracy, Per::finished},
    Column{&TrainMetrics::exact_accuracy, Per::finished},
    Column{&TrainMetrics::q_halt_accuracy, Per::finished},
    Column{&TrainMetrics::steps, Per::finished},
};
constexpr int64_t kLosses = 4;
constexpr auto kColumnCount = static_cast<int64_t>(kColumns.size());

}  // namespace

Json TrainMetrics::to_json() const {
  return {{"step", step},
          {"samples", samples},
          {"loss", loss},
          {"lm_loss", lm_loss},
          {"q_halt_loss", q_halt_loss},
          {"q_continue_loss", q_continue_loss},
          {"finished", finished},
          {"accuracy", accuracy},
          {"exact_accuracy", exact_accuracy},
          {"q_halt_accuracy", q_halt_accuracy},
          {"steps", steps},
          {"lr", lr},
          {"samples_per_second", samples_per_second},
          {"elapsed", elapsed}};
}

MetricsWindow::MetricsWindow(Device device)
    : sums_(zeros({kColumnCount}, DType::f64, device)),
      values_({kColumnCount}, DType::f64, device) {}

void MetricsWindow::add(const SegmentResult& part) {
  const auto add_from = [&](int64_t column, const Tensor& values) {
    if (!values.defined()) return;
    const Tensor wide = values.detach().to(DType::f64);
    HRM_DISPATCH(axpy, sums_.context(), DType::f64, sums_.data<double>() + column, wide.data(),
                 wide.numel(), 1.0);
  };
  add_from(0, part.loss.total);
  add_from(1, part.loss.lm);
  add_from(2, part.loss.q_halt);
  add_from(3, part.loss.q_continue);
  add_from(kLosses, part.metrics);
}

void MetricsWindow::start(const TrainMetrics& line, double rows) {
  values_.start(sums_);
  sums_.zero();
  pending_ = line;
  rows_ = rows;
}

std::optional<TrainMetrics> MetricsWindow::finished_line(bool wait) {
  if (!pending_ || (!wait && !values_.done())) return std::nullopt;
  const double* sums = values_.wait().data<double>();
  TrainMetrics line = *pending_;
  pending_.reset();
  const double finished = std::max(1.0, sums[kLosses]);
  for (size_t i = 0; i < kColumns.size(); ++i) {
    const double divisor = kColumns[i].per == Per::row        ? rows_
                           : kColumns[i].per == Per::finished ? finished
                                                              : 1;
    line.*kColumns[i].value = sums[i] / divisor;
  }
  return line;
}

}  // namespace hrm
