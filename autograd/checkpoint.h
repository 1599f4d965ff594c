// Trading time for memory: keep only the inputs of a piece of the graph and run it again in
// backward (Chen et al. 2016).
//
//     const Tensors y = checkpoint([](const Tensors& in) { return Tensors{exp(in[0])}; }, {x});
#pragma once

#include "autograd/node.h"

namespace hrm {

// fn(inputs), recorded as one node that saves only `inputs`. Everything differentiable that fn
// reads must be among the inputs (weights too); others receive no gradient. fn must be a pure
// function: it writes to nothing, and a module Dropout, which draws a new mask at each call, has no
// place in it.
Tensors checkpoint(const std::function<Tensors(const Tensors&)>& fn, const Tensors& inputs);

}  // namespace hrm
