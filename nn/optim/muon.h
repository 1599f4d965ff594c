// Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for matrices, AdamW for the rest.
//
//     Muon optimizer(hidden_matrices, all_others, {});
//     backward(loss);
//     optimizer.step(1e-3);
//     optimizer.zero_grad();
#pragma once

#include "nn/optim/adam.h"

namespace hrm {
inline namespace nn {

struct MuonOptions {
  double momentum = 0.95;
  double weight_decay = 0.1;
  double clip_norm = 0;  // of the gradients of all parameters together; 0 is off
  // Of AdamW, for the rest.
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
};

// The step of a matrix W [rows, cols] whose gradient, after clipping, is G:
//   M = momentum M + (1 - momentum) G;   U = momentum M + (1 - momentum) G   (Nesterov)
//   W = (1 - lr wd) W - lr 0.2 sqrt(max(rows, cols)) orthogonalized(U)
// The factor makes its entries about as large as those of an AdamW step (arXiv 2502.16982,
// equation 4), so that both share one learning rate. Unlike the published Muon, U is orthogonalized
// in f32 (f64 models: f64), and weights that lie in one matrix, as those of q, k and v do,
// together.
class Muon : public Optimizer {
 public:
  // The matrices have two dimensions. Those that map tokens to states or states to logits belong to
  // the others.
  Muon(const NamedParameters& matrices, const NamedParameters& others, const MuonOptions& options);

  int64_t rates_size() const override;
  std::vector<double> rates(double lr) const override;
  void advance() override;
  // "momentum.<name>" of the matrices, and what Adam has of the others.
  NamedTensors state_dict() const override;
  void load_state_dict(const NamedTensors& state) override;
  std::unique_ptr<Optimizer> clone() const override { return std::make_unique<Muon>(*this); }
  void apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) override;

 private:
  struct Matrix {
    std::string name;
    Parameter* parameter;
    Tensor momentum;
    bool active = false;  // it had a gradient in the last step
  };

  MuonOptions options_;
  std::vector<Matrix> matrices_;
  Adam others_;
};

// About the nearest matrix to g [rows, cols] whose singular values are all equal to 1: five
// Newton-Schulz iterations, after which those that were at least 0.002 of the norm of g lie between
// 0.68 and 1.21. f32 or f64, of a norm well above 1e-7.
Tensor orthogonalized(const Tensor& g);

}  // namespace nn
}  // namespace hrm
