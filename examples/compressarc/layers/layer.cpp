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
  Weights defined = weights;
  Tensors inputs;
  for (const Subset s : changes_) inputs.push_back(x[s]);
  for_defined(defined, [&](const Tensor& weight) { inputs.push_back(weight); });
  const auto parts_of = [this, defined](const Tensors& list, Stream& stream, Weights& w) {
    size_t next = 0;
    for (const Subset s : changes_) stream[s] = list[next++];
    w = defined;
    for_defined(w, [&](Tensor& weight) { weight = list[next++]; });
  };
  const Tensors outputs = custom_function(
      name_, inputs,
      [&](CustomContext& context, const Tensors& list) {
        if (keeps_input()) context.save("inputs", list);
        Stream stream;
        Weights w;
        parts_of(list, stream, w);
        const Stream changed = forward(stream, w, *kept);
        Tensors result;
        for (const Subset s : changes_) result.push_back(changed[s]);
        return result;
      },
      [this, kept, parts_of](const Saved& saved, const Tensors& grads) {
        Stream stream, dy;
        Weights w;
        if (keeps_input()) parts_of(saved.list("inputs"), stream, w);
        size_t next = 0;
        for (const Subset s : changes_) dy[s] = grads[next++].contiguous();
        Gradients gradients = backward(stream, w, *kept, dy);
        Tensors result;
        for (const Subset s : changes_) result.push_back(gradients.x[s]);
        for_defined(gradients.weights, [&](const Tensor& weight) { result.push_back(weight); });
        return result;
      });
  size_t next = 0;
  for (const Subset s : changes_) x[s] = outputs[next++];
}

}  // namespace hrm::compressarc
