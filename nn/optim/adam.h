// Adam-atan2 and AdamW over named parameters.
//
//     Adam optimizer(model.named_parameters(), {});
//     backward(loss);
//     optimizer.step(1e-3);
//     optimizer.zero_grad();
#pragma once

#include "kernels/optimizer.h"
#include "nn/optim/optimizer.h"

namespace hrm {
inline namespace nn {

struct AdamOptions {
  AdamKind kind = AdamKind::adam_atan2;
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double eps = 1e-8;     // adamw only; Adam-atan2 has no epsilon
  double clip_norm = 0;  // rescale all gradients so that their joint norm is at most this; 0 is off
};

// One kernel updates all master weights, their moments and bf16 copies (kernels/optimizer.h has the
// formulas).
class Adam : public Optimizer {
 public:
  Adam(const NamedParameters& parameters, const AdamOptions& options);

  int64_t rates_size() const override { return std::ssize(moments_) * kAdamRates; }
  std::vector<double> rates(double lr) const override;
  void advance() override;
  // "exp_avg.<name>", "exp_avg_sq.<name>" and "t.<name>" (i32, steps taken by that tensor).
  NamedTensors state_dict() const override;
  void load_state_dict(const NamedTensors& state) override;
  std::unique_ptr<Optimizer> clone() const override { return std::make_unique<Adam>(*this); }
  void apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) override;

 private:
  struct Moments {
    std::string name;
    Parameter* parameter;
    Tensor exp_avg, exp_avg_sq;
    int64_t t = 0;        // updates so far
    bool active = false;  // it had a gradient in the last one
  };

  AdamOptions options_;
  std::vector<Moments> moments_;
};

// AdamW with PyTorch's defaults.
struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, weight_decay = 0.01, eps = 1e-8;
  double clip_norm = 0;  // as in AdamOptions
};
class AdamW : public Adam {
 public:
  explicit AdamW(const NamedParameters& parameters, const AdamWOptions& o = {})
      : Adam(parameters, {AdamKind::adamw, o.beta1, o.beta2, o.weight_decay, o.eps, o.clip_norm}) {}
};

}  // namespace nn
}  // namespace hrm
