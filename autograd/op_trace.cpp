#include "autograd/op_trace.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include <fmt/core.h>

namespace hrm {
namespace {

thread_local int holds = 0;
constexpr size_t kMostShapes = 4;  // shown of each side

std::string shapes_of(const Tensors& tensors) {
  std::ostringstream text;
  size_t shown = 0, left = 0;
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    if (shown < kMostShapes)
      text << (shown++ ? " " : "") << t.shape();
    else
      ++left;
  }
  if (left > 0) text << " and " << left << " more";
  return text.str();
}

double bytes_of(const Tensors& tensors) {
  double bytes = 0;
  for (const Tensor& t : tensors)
    if (t.defined())
      bytes += static_cast<double>(t.numel()) * static_cast<double>(size_of(t.dtype()));
  return bytes;
}

const char* dtype_in(const Tensors& tensors) {
  for (const Tensor& t : tensors)
    if (t.defined()) return name_of(t.dtype());
  return "";
}

// "  gemm 0.113, fill (3) 0.002": of each kernel how often it ran, and its milliseconds. Empty for
// one kernel of the operation's own name.
std::string kernel_list(const std::string& name, const trace::Kernels& kernels) {
  std::vector<std::pair<std::string, std::pair<int, double>>> sums;
  for (const auto& [kernel, spent] : kernels.seconds) {
    auto at = std::ranges::find(sums, kernel, [](const auto& sum) { return sum.first; });
    if (at == sums.end()) at = sums.insert(at, {kernel, {0, 0}});
    ++at->second.first;
    at->second.second += spent;
  }
  if (sums.size() == 1 && sums[0].first == name && sums[0].second.first == 1) return "";
  std::string text;
  for (const auto& [kernel, sum] : sums) {
    const auto& [count, spent] = sum;
    text += fmt::format("{}{}{} {:.3f}", text.empty() ? "  " : ", ", kernel,
                        count > 1 ? fmt::format(" ({})", count) : "", 1e3 * spent);
  }
  return text;
}

}  // namespace

std::string trace_line(const std::string& name, const Tensors& outputs, const Tensors& inputs,
                       const trace::Kernels& kernels) {
  double seconds = 0;
  for (const auto& [kernel, spent] : kernels.seconds) seconds += spent;
  const std::string shapes = fmt::format("{} {}{}{}", dtype_in(outputs), shapes_of(outputs),
                                         inputs.empty() ? "" : " <- ", shapes_of(inputs));
  std::string rate;
  if (seconds > 0 && kernels.flops > 0)
    rate = fmt::format("  {:6.0f} GFLOP/s", 1e-9 * kernels.flops / seconds);
  else if (seconds > 0)
    rate =
        fmt::format("  {:6.1f} GB/s   ", 1e-9 * (bytes_of(outputs) + bytes_of(inputs)) / seconds);
  return fmt::format("{:<24} {:<60} {:8.3f} ms{}{}", name, shapes, 1e3 * seconds, rate,
                     kernel_list(name, kernels));
}

TraceHold::TraceHold(bool drop) : drop_(drop) { ++holds; }

TraceHold::~TraceHold() {
  --holds;
  if (drop_) trace::take();
}

void trace_op(const std::string& name, const Tensors& outputs, const Tensors& inputs) {
  if (holds > 0) return;
  std::string line = trace_line(name, outputs, inputs, trace::take());
  line.resize(line.find_last_not_of(' ') + 1);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // whole, whatever other threads print
}

}  // namespace hrm
