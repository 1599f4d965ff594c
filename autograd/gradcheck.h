// Gradients are compared with finite differences.
//
//     const auto f = [](const Tensors& in) { return Tensors{tanh(in[0])}; };
//     const std::string wrong = gradcheck(f, {x});   // "" if the gradient is right
#pragma once

#include "autograd/node.h"
#include "tensor/random.h"

namespace hrm {

struct GradcheckOptions {
  double step = 1e-4;       // of the 4-point central difference
  double tolerance = 1e-8;  // |analytic - numeric| <= tolerance * max(1, |numeric|)
  uint64_t seed = 1;        // of the random cotangents
};
// Compares the gradients of fn (f64 inputs that require a gradient; outputs of any shape, each
// against a random cotangent) with 4-point differences, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) /
// 12h, element by element. Returns an empty string, or where and by how much the first one differs.
std::string gradcheck(const std::function<Tensors(const Tensors&)>& fn, const Tensors& inputs,
                      const GradcheckOptions& options = {});

}  // namespace hrm
