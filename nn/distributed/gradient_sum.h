// The gradient of a step that is computed in parts (micro-batches), by one rank or by several: the
// same bits whoever computes which part (tree_sum.h).
//
//     GradientSum sum(model.named_parameters(), micro_batches);
//     for (int64_t i = own.begin; i < own.end; ++i) {   // share_of(micro_batches, ...)
//       backward(loss(i));
//       sum.add(i);
//     }
//     sum.finish(ranks);   // .grad of every parameter is that of the whole step
#pragma once

#include "nn/distributed/tree_sum.h"
#include "nn/module.h"

namespace hrm {

class GradientSum {
 public:
  // The parameters must outlive this object. They have one type.
  GradientSum(const NamedParameters& parameters, int64_t parts);

  // Takes the gradients that the backward pass of this part has left; the parameters then have
  // none. Every part must reach the same parameters. A single part stays where it is.
  void add(int64_t part);
  // Gives every parameter that had a gradient its sum over all parts, on every rank.
  void finish(const Communicator& ranks);

 private:
  std::vector<Parameter*> parameters_;
  std::vector<Parameter*> reached_;  // by the parts of this step
  int64_t parts_;
  TreeSum sum_;
};

}  // namespace hrm
