#include "nn/sequential.h"

namespace hrm {
inline namespace nn {

Sequential& Sequential::append(std::unique_ptr<Module> layer,
                               std::function<Tensor(const Tensor&)> forward) {
  add_module(std::to_string(stages_.size()), layer.get());
  layers_.push_back(std::move(layer));
  return add(std::move(forward));
}

Sequential& Sequential::add(std::function<Tensor(const Tensor&)> function) {
  stages_.push_back(std::move(function));
  return *this;
}

Tensor Sequential::forward(const Tensor& x) const {
  Tensor y = x;
  for (const auto& stage : stages_) y = stage(y);
  return y;
}

}  // namespace nn
}  // namespace hrm
