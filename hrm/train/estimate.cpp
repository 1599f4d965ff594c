#include "hrm/train/estimate.h"

#include <sys/resource.h>

#include <algorithm>

#include "autograd/grad_mode.h"
#include "autograd/ops/matmul.h"
#include "hrm/model/gradient_strategy.h"
#include "hrm/support/progress.h"
#include "kernels/device.h"
#include "nn/layers.h"

namespace hrm {
namespace {

// Floating-point operations per second of one mid-sized product.
double measured_flops(const ModelConfig& m, Device device) {
  const NoGradGuard no_grad;
  const int64_t rows = device == Device::cpu ? 512 : 4096, d = m.hidden_size;
  const Tensor x = ones({rows, d}, m.dtype, device),
               w = ones({3 * d, d}, accumulate_type(m.dtype), device);
  const Tensor copy = m.dtype == DType::bf16 ? w.to(m.dtype) : Tensor();
  const auto wait = [&] { runtime::synchronize(device); };
  linear(x, w, copy);
  wait();
  const double start = seconds_now();
  double seconds = 0;
  int64_t runs = 0;
  for (; seconds < 0.1; ++runs) {
    linear(x, w, copy);
    wait();
    seconds = seconds_now() - start;
  }
  return 2.0 * static_cast<double>(runs * rows * 3 * d * d) / seconds;
}

// An estimate is not exact, and a process needs a little beside what is counted.
constexpr double kSafeShare = 0.9;

// The largest batch within so many bytes, from an estimate for a batch of `batch`.
int64_t batch_within(double bytes, const Estimate& e, int64_t batch) {
  const double row = (e.memory_bytes - e.fixed_bytes) / static_cast<double>(batch);
  return static_cast<int64_t>(std::max(0.0, (bytes - e.fixed_bytes) / row));
}

}  // namespace

Estimate estimate(const Config& config, const Path& run, Device device) {
  const ModelConfig& m = config.model;
  const TrainConfig& t = config.train;
  const double bytes = size_of(m.dtype);
  const double master = size_of(accumulate_type(m.dtype));
  const double d = m.hidden_size;
  const double positions = m.prefix() + m.seq_len;
  const double inter = swiglu_size(m.hidden_size, m.expansion);
  const double H = m.levels == Levels::shared ? 0 : m.H_layers;
  const double L = m.levels == Levels::single ? 0 : m.L_layers;
  const double first =
      m.mlp_t ? 3 * swiglu_size(m.prefix() + m.seq_len, m.expansion) * positions : 4 * d * d;
  const double per_layer = first + 3 * d * inter;
  const double weights = (H + L) * per_layer + 2 * m.vocab_size * d;
  const double table = m.num_puzzle_identifiers * m.puzzle_emb_ndim;

  Estimate e;
  const double copies = 4 + (t.ema > 0 ? 1 : 0);  // value, gradient, two moments, average
  e.memory_bytes = weights * (copies * master + (m.dtype == DType::bf16 ? 2 : 0)) + table * master;
  // Packed for the products on the CPU; on a GPU what splits over k and padded copies may use.
  e.memory_bytes += device == Device::cpu ? weights * bytes : (256 << 20);
  // A checkpoint is mapped for its checksum, which counts where addresses are limited (ulimit -v).
  rlimit addresses{};
  if (::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY)
    e.memory_bytes += 2 * weights * master + table * master;
  const double fixed = e.memory_bytes;
  // What a recorded update keeps per position and layer: qkv, attention out, two norms, the inputs
  // of the projections, gate_up and its product.
  const double kept = (m.mlp_t ? 3 * inter : 4 * d) + 3 * d + 3 * inter;
  const double micro = static_cast<double>(t.step_rows()) / t.micro_batches;
  const auto updates = static_cast<double>(update_list(m).size());
  const GradientCost gradient = make_gradient_strategy(m)->cost(updates);
  const double layers = m.levels == Levels::two ? (H + L) / 2 : H + L;
  e.memory_bytes +=
      micro * positions * bytes * (gradient.recorded * layers * kept + 12 * d + 6 * inter);
  e.memory_bytes += t.batch_size * positions * d * bytes * 4;
  e.available_bytes = runtime::memory_available(device);
  e.fixed_bytes = fixed;
  e.fitting_batch = batch_within(kSafeShare * e.available_bytes, e, t.batch_size);
  e.disk_bytes = (weights * (3 + (t.ema > 0 ? 1 : 0)) + table) * master * (t.keep_checkpoints + 1) +
                 (weights + table) * master;
  e.free_disk_bytes = free_disk_bytes(run, &e.disk);
  e.keeps_several = t.keep_checkpoints > 1;

  // One segment forward, one more for the q target, twice the forward again for what is recorded:
  // 16 module forwards for HRM. Attention is two products of positions^2 x hidden a layer.
  const double attention = m.mlp_t ? 0 : 2 * positions * d;
  const double segment = 2 * positions * (per_layer + attention) * layers * updates;
  const bool target = m.continue_loss && m.halt_max_steps > 1;
  e.flops_per_sample = segment * (1 + (target ? 1 : 0) + 2 * gradient.products / updates);
  e.seconds = e.flops_per_sample * (t.step_rows() * t.total_steps) / measured_flops(m, device);
  return e;
}

int64_t batch_after_failure(const Config& config, const Path& run, Device device) {
  const Estimate e = estimate(config, run, device);
  const AllocatorStats stats = allocator_stats(device);
  const auto held = static_cast<double>(stats.in_use + stats.cached);
  const int64_t batch = config.train.batch_size;
  return std::min(batch_within((e.available_bytes + held) / 2, e, batch), batch / 2);
}

void check_fits(const Estimate& e) {
  const bool fits = e.memory_bytes < e.available_bytes;
  const int64_t batch = e.fitting_batch;
  HRM_CHECK(fits, "[train] the run needs about ", format_bytes(e.memory_bytes), " of memory, ",
            format_bytes(e.available_bytes), " are free. HINT: ",
            batch ? "batch_size " + std::to_string(batch) + " would fit" : "a smaller model",
            "; more micro_batches save memory, too");
  HRM_CHECK(e.disk_bytes < e.free_disk_bytes, "[train] the checkpoints need about ",
            format_bytes(e.disk_bytes), " of disk, ", e.disk.string(), " has ",
            format_bytes(e.free_disk_bytes),
            " free. HINT: ", e.keeps_several ? "a smaller keep_checkpoints or " : "",
            "another --run folder");
}

}  // namespace hrm
