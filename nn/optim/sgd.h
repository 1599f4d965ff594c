// Stochastic gradient descent over named parameters.
//
//     Sgd optimizer(model.named_parameters(), {.momentum = 0.9, .nesterov = true});
//     backward(loss);
//     optimizer.step(1e-2);
//     optimizer.zero_grad();
#pragma once

#include "kernels/optimizer.h"
#include "nn/optim/optimizer.h"

namespace hrm {
inline namespace nn {

struct SgdOptions {
  double momentum = 0;      // 0: none, and no memory for it
  bool nesterov = false;    // look ahead along the momentum (Sutskever et al. 2013)
  double weight_decay = 0;  // added to the gradient, as PyTorch's SGD does
  double clip_norm = 0;  // rescale all gradients so that their joint norm is at most this; 0: off
};

// The step of a weight p with gradient g, after clipping:
//   d = g + weight_decay p;  m = momentum m + d;  p -= lr (nesterov ? d + momentum m : m)
class Sgd : public Optimizer {
 public:
  explicit Sgd(const NamedParameters& parameters, const SgdOptions& options = {});

  int64_t rates_size() const override { return 1; }
  std::vector<double> rates(double lr) const override { return {lr}; }
  void advance() override;
  // "momentum.<name>", where there is momentum.
  NamedTensors state_dict() const override;
  void load_state_dict(const NamedTensors& state) override;
  std::unique_ptr<Optimizer> clone() const override { return std::make_unique<Sgd>(*this); }
  void apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) override;

 private:
  struct Weight {
    std::string name;
    Parameter* parameter;
    Tensor momentum;
    bool active = false;  // it had a gradient in the last step
  };

  SgdOptions options_;
  std::vector<Weight> weights_;
};

// For those who look for it under PyTorch's name.
using SGD = Sgd;

}  // namespace nn
}  // namespace hrm
