// The gradient of a step that is computed in parts (micro-batches), by one rank or by several: the
// same bits whoever computes which part (tree_sum.h).
//
//     GradientSum sum(model.named_parameters(), {.parts = micro_batches});
//     for (int64_t i = own.begin; i < own.end; ++i) {   // share_of(micro_batches, ...)
//       backward(loss_of(i));
//       sum.add(i);
//     }
//     sum.finish(ranks);   // .grad of every parameter is that of the whole step
#pragma once

#include "nn/distributed/tree_sum.h"
#include "nn/module.h"

namespace hrm {
inline namespace nn {

struct GradientSumSettings {
  int64_t parts = 1;
  // Gradients are rounded to bf16, and so is every sum of two: half the bytes, and 8 bits of
  // mantissa. The same bits on any number of ranks.
  bool bf16 = false;
  // Each rank adds up its own, and then Communicator::fast_sum: other last digits on another number
  // of ranks, or in another job.
  bool fast = false;
};

class GradientSum {
 public:
  // The parameters must outlive this object. They have one type.
  GradientSum(const NamedParameters& parameters, const GradientSumSettings& settings);

  // Takes the gradients that the backward pass of this part has left; the parameters then have
  // none. Every part must reach the same parameters. A single part stays where it is.
  void add(int64_t part);
  // Gives every parameter that had a gradient its sum over all parts, on every rank.
  void finish(const Communicator& ranks);

 private:
  std::vector<Parameter*> parameters_;
  std::vector<Parameter*> reached_;  // by the parts of this step
  GradientSumSettings settings_;
  TreeSum sum_;
  Tensor own_;  // fast: the sum of this rank's parts
};

}  // namespace nn
}  // namespace hrm
