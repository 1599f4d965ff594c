// Layers and functions, one after the other.
//
//     Sequential net;
//     net.add<Linear>(784, 128).add(relu).add<Dropout>(0.1).add<Linear>(128, 10);
//     const Tensor y = net.forward(x);
//     net.named_parameters();   // "0.weight", "0.bias", "3.weight", "3.bias"
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "nn/module.h"

namespace hrm {
inline namespace nn {

class Sequential : public Module {
 public:
  // Makes a layer of the arguments of its constructor. It needs a forward(const Tensor&).
  template <class Layer, class... Arguments>
  Sequential& add(Arguments&&... arguments) {
    auto layer = std::make_unique<Layer>(std::forward<Arguments>(arguments)...);
    const Layer* const self = layer.get();
    return append(std::move(layer), [self](const Tensor& x) { return self->forward(x); });
  }
  // A function, which counts as a layer without weights.
  Sequential& add(std::function<Tensor(const Tensor&)> function);

  Tensor forward(const Tensor& x) const;
  int64_t size() const { return std::ssize(stages_); }

 private:
  Sequential& append(std::unique_ptr<Module> layer, std::function<Tensor(const Tensor&)> forward);

  std::vector<std::unique_ptr<Module>> layers_;
  std::vector<std::function<Tensor(const Tensor&)>> stages_;
};

}  // namespace nn
}  // namespace hrm
