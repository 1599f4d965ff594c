#include "hrm/train/metrics_window.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "kernels/dispatch.h"
#include "kernels/elementwise.h"

namespace hrm {

double TrainMetrics::mean(std::string_view name) const {
  for (const auto& [key, value] : means)
    if (key == name) return value;
  return 0;
}

Json TrainMetrics::to_json() const {
  Json json = {{"step", step}, {"samples", samples}};
  for (const auto& [name, value] : means) json[name] = value;
  json["lr"] = lr;
  json["samples_per_second"] = samples_per_second;
  json["elapsed"] = elapsed;
  return json;
}

void add_to_sums(const Tensor& sums, int64_t column, const Tensor& values) {
  if (!values.defined()) return;
  const Tensor wide = values.detach().to(DType::f64);
  HRM_DISPATCH(axpy, sums.context(), DType::f64, sums.data<double>() + column, wide.data(),
               wide.numel(), 1.0);
}

MetricsWindow::MetricsWindow(std::vector<MetricColumn> columns, Device device)
    : columns_(std::move(columns)),
      sums_(zeros({std::ssize(columns_)}, DType::f64, device)),
      values_({std::ssize(columns_)}, DType::f64, device) {}

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
  const auto is_count = [](const MetricColumn& c) {
    return c.name == std::string_view("finished");
  };
  const auto count = std::ranges::find_if(columns_, is_count) - columns_.begin();
  const double finished = std::max(1.0, sums[count]);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const double divisor = columns_[i].per == MetricColumn::Per::row        ? rows_
                           : columns_[i].per == MetricColumn::Per::finished ? finished
                                                                            : 1;
    line.means.emplace_back(columns_[i].name, sums[i] / divisor);
  }
  return line;
}

}  // namespace hrm
