// An operation of the user's own: a forward that runs unrecorded, and its gradient rule.
//
//     const Tensors y = custom_function(
//         "twice", {x}, [](CustomContext&, const Tensors& in) { return Tensors{2 * in[0]}; },
//         [](const Saved&, const Tensors& grads) { return Tensors{2 * grads[0]}; });
#pragma once

#include "autograd/node.h"

namespace hrm {

// What forward keeps for backward, by name (string literals).
class CustomContext {
 public:
  void save(const char* name, const Tensor& tensor) { saved_.emplace_back(name, tensor); }
  // Several under one name: saved.list(name).
  void save(const char* name, const Tensors& tensors) {
    for (const Tensor& tensor : tensors) save(name, tensor);
  }
  const std::vector<std::pair<const char*, Tensor>>& saved() const { return saved_; }

 private:
  std::vector<std::pair<const char*, Tensor>> saved_;
};

// Runs forward(context, inputs); if an input requires a gradient, backward(saved, grads of the
// outputs) must return one gradient per input (undefined for none). examples/custom_function.cpp.
Tensors custom_function(const char* name, const Tensors& inputs,
                        const std::function<Tensors(CustomContext&, const Tensors&)>& forward,
                        BackwardRule backward);

}  // namespace hrm
