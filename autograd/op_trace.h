// The lines of HRM_TRACE=1, which say what was computed, and how fast:
//
//   linear             f32 (512, 384) <- (512, 128) (384, 128)    0.204 ms    247 GFLOP/s  gemm
//   rms_norm backward  f32 (512, 128) <- (512, 128)               0.021 ms   25.0 GB/s
//
// An operation prints its line when it is done (record() in autograd/node.h sees to that). Its time
// is that of the kernels that have run in this thread since the line before. Where these are
// several, or have another name, they follow, with the number of their calls and milliseconds.
// Products have a rate in GFLOP/s, all else in GB/s, by the bytes of the tensors that the line
// shows.
//
//     trace_op("twice", {y}, {x});   // since the line before, y was computed from x
#pragma once

#include <string>

#include "autograd/node.h"

namespace hrm {

// While it lives, operations of this thread print nothing: they are parts of another one, which
// will print its line with their kernels. `drop`: nobody will, and the kernels are forgotten.
class TraceHold {
 public:
  explicit TraceHold(bool drop = false);
  ~TraceHold();
  TraceHold(const TraceHold&) = delete;
  TraceHold& operator=(const TraceHold&) = delete;

 private:
  bool drop_;
};

// Only where trace::on().
void trace_op(const std::string& name, const Tensors& outputs, const Tensors& inputs);

// The text of such a line, without its end.
std::string trace_line(const std::string& name, const Tensors& outputs, const Tensors& inputs,
                       const trace::Kernels& kernels);

}  // namespace hrm
