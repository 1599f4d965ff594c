// The lines of HRM_TRACE=1, which say what was computed, and how fast:
//
//   linear             f32 (14, 17, 128) <- (14, 17, 512) (128, 512)  0.123 ms  253 GFLOP/s  gemm
//   swiglu             f32 (1, 17, 256) <- (1, 17, 512)               0.002 ms  22.7 GB/s
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

// The text of a line, without its end. trace_op (autograd/node.h) prints it.
std::string trace_line(const std::string& name, const Tensors& outputs, const Tensors& inputs,
                       const trace::Kernels& kernels);

}  // namespace hrm
