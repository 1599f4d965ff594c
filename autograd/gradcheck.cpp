#include "autograd/gradcheck.h"

#include <cmath>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"

namespace hrm {
namespace {

double weighted_sum(const Tensors& outputs, const std::vector<std::vector<double>>& cotangents) {
  double total = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::vector<double> values = outputs[i].to_vector();
    for (size_t j = 0; j < values.size(); ++j) total += values[j] * cotangents[i][j];
  }
  return total;
}

}  // namespace

std::string gradcheck(const std::function<Tensors(const Tensors&)>& fn, const Tensors& inputs,
                      const GradcheckOptions& options) {
  Tensors variables;
  for (const Tensor& input : inputs) {
    HRM_CHECK(input.dtype() == DType::f64 || !input.requires_grad(),
              "[gradcheck] inputs must be f64, got ", input.dtype());
    variables.push_back(input.detach().clone());
    if (input.requires_grad()) variables.back().set_requires_grad();
  }
  const Tensors outputs = fn(variables);
  Random random(options.seed);
  Tensors cotangents, wanted;
  std::vector<std::vector<double>> weights;
  for (const Tensor& output : outputs) {
    cotangents.push_back(
        random.normal(output.shape(), 1, DType::f64).to(output.dtype()).to(output.device()));
    weights.push_back(cotangents.back().to_vector());
  }
  for (const Tensor& variable : variables)
    if (variable.requires_grad()) wanted.push_back(variable);
  const Tensors analytic = grad(outputs, wanted, cotangents);

  const NoGradGuard no_grad;
  for (size_t k = 0; k < wanted.size(); ++k) {
    const std::vector<double> found = analytic[k].defined()
                                          ? analytic[k].to_vector()
                                          : std::vector<double>(wanted[k].numel(), 0.0);
    std::vector<double> x = wanted[k].to_vector();
    for (int64_t i = 0; i < wanted[k].numel(); ++i) {
      const double saved = x[i];
      const auto at = [&](double delta) {
        x[i] = saved + delta;
        wanted[k].copy_from(from_vector(x, wanted[k].shape()));
        x[i] = saved;
        return weighted_sum(fn(variables), weights);
      };
      const double h = options.step;
      const double numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      if (!(std::abs(found[i] - numeric) <= options.tolerance * std::max(1.0, std::abs(numeric)))) {
        std::ostringstream text;
        text << "input " << k << " " << wanted[k].shape() << " element " << i << ": analytic "
             << found[i] << ", numeric " << numeric;
        return text.str();
      }
    }
    wanted[k].copy_from(from_vector(x, wanted[k].shape()));
  }
  return "";
}

}  // namespace hrm
