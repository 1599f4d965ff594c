// What Adam (adam.h), Muon (muon.h) and Sgd (sgd.h) have in common: joint clipping of the
// gradients, and steps that a device can repeat by itself.
//
//     std::unique_ptr<Optimizer> optimizer =
//         std::make_unique<Muon>(hidden_matrices, all_others, MuonOptions{});
//     backward(loss);
//     optimizer->step(1e-3);
//     optimizer->zero_grad();
#pragma once

#include <memory>

#include "nn/module.h"

namespace hrm {
inline namespace nn {

// A parameter without a gradient is left alone, decay and step count included.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // `skip` (i32, one element, may be undefined): nothing is updated when it is not zero.
  void step(double lr, const Tensor& skip = {});
  // The same in two parts, for a step that the device repeats by itself: what the host has to say
  // (f64 [rates_size()], to be copied where the weights are), and the rest. advance() counts a step
  // that the device has repeated.
  virtual int64_t rates_size() const = 0;
  virtual std::vector<double> rates(double lr) const = 0;
  void update(const Tensor& rates, const Tensor& skip = {});
  virtual void advance() = 0;
  void zero_grad();

  // What a checkpoint keeps. load_state_dict throws one line if it is of other parameters.
  virtual NamedTensors state_dict() const = 0;
  virtual void load_state_dict(const NamedTensors& state) = 0;
  // One that has counted as many steps, of the same parameters and with the same memory.
  virtual std::unique_ptr<Optimizer> clone() const = 0;

  // For optimizers that are made of others: update() without clipping and counting. Gradients are
  // multiplied by *gradient_scale (f64 on the device; undefined: 1).
  virtual void apply(const Tensor& rates, const Tensor& gradient_scale, const Tensor& skip) = 0;

 protected:
  // clip_norm: all gradients are rescaled so that their joint norm is at most this; 0: off.
  Optimizer(const NamedParameters& parameters, double clip_norm);
  Optimizer(const Optimizer&) = default;
  Optimizer& operator=(const Optimizer&) = default;

 private:
  Tensor clip_factor() const;

  std::vector<Parameter*> parameters_;
  double clip_norm_;
};

// The tensor `name` of a checkpoint. Throws one line if it is not there or has another shape.
Tensor saved_by_optimizer(const NamedTensors& state, const std::string& name, const Shape& shape);

}  // namespace nn
}  // namespace hrm
