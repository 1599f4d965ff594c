// A trainable tensor: the values that the optimizer updates, and their form in computation.
//
//     const Parameter p = Parameter::make(initial, DType::bf16);
//     p.value;       // f32: what the optimizer updates
//     p.compute();   // bf16: what forward reads
#pragma once

#include "tensor/tensor.h"

namespace hrm {
inline namespace nn {

// `value` is the master weight (f32, or f64 in f64 models), a leaf whose .grad has the same dtype.
// In bf16 models `copy` is its bf16 image, rewritten by every optimizer step (and by refresh()
// after loading), so no forward re-casts a weight. Parameters are found by name, never by index.
struct Parameter {
  Tensor value;
  Tensor copy;  // undefined unless the model computes in bf16

  const Tensor& compute() const { return copy.defined() ? copy : value; }
  void refresh() {
    if (copy.defined()) copy.copy_from(value.detach());
  }
  // Tells those who keep something made from the values, such as a packed weight.
  void changed() {
    value.storage().bump_version();
    if (copy.defined()) copy.storage().bump_version();
  }
  // A trainable parameter of compute type `dtype` with these initial values.
  static Parameter make(const Tensor& initial, DType dtype) {
    Parameter p;
    p.value = initial.detach().to(accumulate_type(dtype));
    p.value.set_requires_grad();
    if (dtype == DType::bf16) p.copy = p.value.detach().to(DType::bf16);
    return p;
  }
};

}  // namespace nn
}  // namespace hrm
