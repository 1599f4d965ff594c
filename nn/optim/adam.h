// Adam-atan2 and AdamW over named parameters.
//
//     Adam optimizer(model.named_parameters(), {});
//     backward(loss);
//     optimizer.step(1e-3);
//     optimizer.zero_grad();
#pragma once

#include <map>

#include "kernels/optimizer.h"
#include "nn/module.h"

namespace hrm {

struct AdamOptions {
  OptimizerKind kind = OptimizerKind::adam_atan2;
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double eps = 1e-8;     // adamw only; Adam-atan2 has no epsilon
  double clip_norm = 0;  // rescale all gradients so that their joint norm is at most this; 0 is off
};

// One kernel updates all master weights, their moments and bf16 copies (kernels/optimizer.h has the
// formulas). A parameter without a gradient is left alone, decay and step count included.
class Adam {
 public:
  Adam(const std::vector<std::pair<std::string, Parameter*>>& parameters,
       const AdamOptions& options);
  // `skip` (i32, one element, may be undefined): nothing is updated when it is not zero.
  void step(double lr, const Tensor& skip = {});
  // The same in two parts, for a step that the device repeats by itself: what the host has to say
  // (f64 [rates_size()], to be copied where the weights are), and the rest. advance() counts a step
  // that the device has repeated.
  int64_t rates_size() const { return static_cast<int64_t>(moments_.size()) * kAdamRates; }
  std::vector<double> rates(double lr) const;
  void update(const Tensor& rates, const Tensor& skip = {});
  void advance();
  void zero_grad();
  // "exp_avg.<name>", "exp_avg_sq.<name>" and "t.<name>" (i32, steps taken by that tensor).
  NamedTensors state_dict() const;
  void load_state_dict(const NamedTensors& state);

 private:
  struct Moments {
    std::string name;
    Parameter* parameter;
    Tensor exp_avg, exp_avg_sq;
    int64_t t = 0;        // updates so far
    bool active = false;  // it had a gradient in the last one
  };
  Tensor clip_factor();  // f64 on the device; undefined when clipping is off

  AdamOptions options_;
  std::vector<Moments> moments_;
};

}  // namespace hrm
