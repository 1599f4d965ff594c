// Exponential moving average of the parameters (TRM evaluates with it).
//
//     Ema averages(model.named_parameters(), 0.999);
//     averages.update();   // after every step of the optimizer
//     averages.swap();     // the model holds the averages, until the next swap
#pragma once

#include "nn/module.h"

namespace hrm {
inline namespace nn {

class Ema {
 public:
  // shadow = (1 - rate) * value + rate * shadow, starting from the values at construction. Buffers
  // are not averaged.
  Ema(const NamedParameters& parameters, double rate);

  void update(const Tensor& skip = {});
  // Exchanges the averages with the live values: once to evaluate, once more to go on training.
  void swap();
  // "ema.<name>".
  NamedTensors state_dict() const;
  void load_state_dict(const NamedTensors& state);

 private:
  struct Average {
    std::string name;
    Parameter* parameter;
    Tensor shadow;
  };
  std::vector<Average> averages_;
  double rate_;
};

}  // namespace nn
}  // namespace hrm
