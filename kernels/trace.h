// HRM_TRACE=1 in the environment: a line on stderr for every operation, with its shapes, its time
// and its rate (autograd/op_trace.h prints it). This is the part below: what kernels have run in
// this thread since the last line, and how long they took. On a GPU every kernel is then waited
// for.
//
//     if (trace::on()) trace::add_flops(2.0 * m * n * k);   // before or after the kernel's call
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace hrm::trace {

// Whether HRM_TRACE is set, and not to 0. Read once.
bool on();

// A kernel has run in this thread, for so many nanoseconds.
void add_kernel(const char* name, int64_t ns);
// Of products, which alone have a known count: multiplications and additions.
void add_flops(double count);

struct Kernels {
  std::vector<std::pair<const char*, double>> seconds;  // of each, in the order of their calls
  double flops = 0;
};
// What has been added in this thread, which then starts anew.
Kernels take();

}  // namespace hrm::trace
