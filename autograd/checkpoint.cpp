#include "autograd/checkpoint.h"

#include "autograd/engine.h"
#include "autograd/grad_mode.h"

namespace hrm {

Tensors checkpoint(const std::function<Tensors(const Tensors&)>& fn, const Tensors& inputs) {
  // The versions before fn: if it writes to an input, backward would run it on other values.
  Saved before("checkpoint", inputs);
  Tensors outputs;
  {
    const NoGradGuard no_grad;
    outputs = fn(inputs);
  }
  if (!recording(inputs)) return outputs;
  for (Tensor& output : outputs) output = output.detach();
  record_node("checkpoint", outputs, inputs, std::move(before),
              [fn, inputs](const Saved& saved, const Tensors& grads) {
                saved.check_versions();
                const GradModeGuard record(true);
                // Leaves (weights) are passed as they are, since fn may also reach them through a
                // module; the rest is cut off from its history.
                Tensors copies, wanted;
                for (size_t i = 0; i < inputs.size(); ++i) {
                  const auto node = gradient_node(inputs[i]);
                  copies.push_back(node && node->sequence() == 0 ? inputs[i] : inputs[i].detach());
                  if (saved.needs(static_cast<int>(i)))
                    wanted.push_back(copies.back().set_requires_grad());
                }
                const Tensors outputs = fn(copies);
                const Tensors found = grad(outputs, wanted, grads);
                Tensors result(inputs.size());
                for (size_t i = 0, next = 0; i < inputs.size(); ++i)
                  if (saved.needs(static_cast<int>(i))) result[i] = found[next++];
                return result;
              });
  return outputs;
}

}  // namespace hrm
