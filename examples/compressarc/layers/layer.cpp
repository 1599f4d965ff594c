#include "examples/compressarc/layers/layer.h"

#include <memory>

#include "autograd/custom_function.h"

namespace hrm::compressarc {
namespace {

// f(tensor) for each that is there, in a fixed order.
template <class F>
void for_defined(Weights& weights, const F& f) {
  for (Multitensor<Tensor>* part : {&weights.down, &weights.up})
    for (Tensor& tensor : part->all)
      if (tensor.defined()) f(tensor);
}

}  // namespace

void Layer::apply(Stream& x, const Weights& weights) const {
  const auto kept = std::make_shared<Kept>();
  Stream stream;
  Weights w = weights;
  Tensors inputs;
  for (const Subset s : changes_) inputs.push_back(stream[s] = x[s].contiguous());
  for_defined(w, [&](Tensor& weight) { inputs.push_back(weight = weight.contiguous()); });
  for (const Tensor& input : inputs)
    HRM_CHECK(input.dtype() == canvas_.dtype, "[", name_, "] a canvas of ", canvas_.dtype,
              " got a tensor of ", input.dtype());
  const Tensors outputs = custom_function(
      name_, inputs,
      [&](CustomContext& context, const Tensors& list) {
        if (keeps_input()) context.save("inputs", list);
        const Stream changed = forward(stream, w, *kept);
        Tensors result;
        for (const Subset s : changes_) result.push_back(changed[s]);
        return result;
      },
      // Of the weights only which there are: the saved ones take their places.
      [this, kept, w](const Saved& saved, const Tensors& grads) {
        Stream stream, dy;
        Weights saved_weights = w;
        if (keeps_input()) {
          const Tensors list = saved.list("inputs");
          size_t next = 0;
          for (const Subset s : changes_) stream[s] = list[next++];
          for_defined(saved_weights, [&](Tensor& weight) { weight = list[next++]; });
        }
        size_t next = 0;
        for (const Subset s : changes_) dy[s] = grads[next++].contiguous();
        Gradients gradients = backward(stream, saved_weights, *kept, dy);
        Tensors result;
        for (const Subset s : changes_) result.push_back(gradients.x[s]);
        for_defined(gradients.weights, [&](const Tensor& weight) { result.push_back(weight); });
        return result;
      });
  size_t next = 0;
  for (const Subset s : changes_) x[s] = outputs[next++];
}

}  // namespace hrm::compressarc
