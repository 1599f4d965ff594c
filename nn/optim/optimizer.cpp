#include "nn/optim/optimizer.h"

#include "autograd/node.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace hrm {
inline namespace nn {

Optimizer::Optimizer(const NamedParameters& parameters, double clip_norm) : clip_norm_(clip_norm) {
  for (const auto& [name, p] : parameters) parameters_.push_back(p);
}

namespace {
Tensors values_of(const std::vector<Parameter*>& parameters) {
  Tensors values;
  for (const Parameter* p : parameters) values.push_back(p->value);
  return values;
}
}  // namespace

// f64 on the device; undefined when clipping is off or nothing has a gradient.
Tensor Optimizer::clip_factor() const {
  if (clip_norm_ <= 0) return {};
  Tensor total, factor;
  for (const Parameter* p : parameters_) {
    const Tensor g = p->value.grad();
    if (!g.defined()) continue;
    if (!total.defined()) {
      total = zeros({}, DType::f64, g.device());
      factor = ones({}, DType::f64, g.device());
    }
    HRM_DISPATCH(add_sum_of_squares, g.context(), g.dtype(), total.data<double>(), g.data(),
                 g.numel());
  }
  if (total.defined())
    HRM_DISPATCH(clip_scale, total.context(), factor.data<double>(), total.data<double>(),
                 clip_norm_);
  return factor;
}

void Optimizer::update(const Tensor& rates, const Tensor& skip) {
  apply(rates, clip_factor(), skip);
  if (trace::on()) trace_op("optimizer step", {}, values_of(parameters_));
  advance();
}

void Optimizer::step(double lr, const Tensor& skip) {
  if (parameters_.empty()) return;
  update(from_vector(rates(lr), {rates_size()}).to(parameters_[0]->value.device()), skip);
}

void Optimizer::zero_grad() {
  for (Parameter* p : parameters_) p->value.set_grad({});
}

Tensor saved_by_optimizer(const NamedTensors& state, const std::string& name, const Shape& shape) {
  const Tensor* t = find(state, name);
  HRM_CHECK(t && t->shape() == shape, "[optimizer] the checkpoint has no '", name, "' of shape ",
            shape, ". HINT: is it a checkpoint of another model?");
  return *t;
}

}  // namespace nn
}  // namespace hrm
