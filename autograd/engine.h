// Reverse-mode differentiation over the tape: a heap of ready nodes ordered by creation, so no
// recursion and no topological sort.
//
//     Tensor x = from_vector<float>({1, 2, 3}, {3});
//     x.set_requires_grad();
//     backward(sum(x * x));
//     x.grad();   // 2 x: 2, 4, 6
#pragma once

#include "autograd/node.h"

namespace hrm {

// Adds d(sum(loss * cotangent))/d(leaf) to .grad of every leaf that requires a gradient. Without a
// cotangent `loss` must have one element. The graph is released unless retain_graph.
void backward(const Tensor& loss, const Tensor& cotangent = {}, bool retain_graph = false);

// d(sum_i sum(outputs[i] * cotangents[i]))/d(inputs), one tensor per input (undefined where the
// outputs do not depend on it). Runs only the nodes on the way to `inputs` and touches no .grad.
// May be called from hooks and from backward rules. cotangents may be empty for one-element
// outputs.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& cotangents = {},
             bool retain_graph = false);

}  // namespace hrm
