// How many nats the known grids of a task cost, given what the network says.
//
//     const Tensor loss = out.total_kl() + kReconstructionWeight * reconstruction(task, out, step);
#pragma once

#include "examples/compressarc/network.h"

namespace hrm::compressarc {

inline constexpr double kReconstructionWeight = 10;

// The code length of every known grid, [2 * examples] in the order of the examples, input before
// output; 0 for the outputs of tests. A grid may lie anywhere on the canvas, and where its size is
// not sure it may have had any: so the network need not place it, but must say where it ends. In
// the first hundred steps this is softened for grids whose size is not sure.
Tensor code_lengths(const CodedTask& task, const TaskOutputs& out, int64_t step);
// Their sum.
Tensor reconstruction(const CodedTask& task, const TaskOutputs& out, int64_t step);

}  // namespace hrm::compressarc
