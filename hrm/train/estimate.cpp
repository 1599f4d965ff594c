#include "hrm/train/estimate.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/op_trace.h"
#include "autograd/ops/matmul.h"
#include "hrm/model/gradient_strategy.h"
#include "hrm/support/progress.h"
#include "hrm/train/learner.h"
#include "kernels/device.h"
#include "nn/layers.h"

namespace hrm {
namespace {

// Floating-point operations per second of one mid-sized product.
double measured_flops(const ModelConfig& m, Device device) {
  const NoGradGuard no_grad;
  const TraceHold quiet(true);
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

// What a run is made of, in numbers and bytes.
struct Amounts {
  double weights = 0, table = 0;  // numbers that are trained; of the puzzle table
  double row_bytes = 0;           // kept of a row until the backward pass is through
  double carried_bytes = 0;       // kept of a row from step to step
  double flops = 0;               // of a row in a step
};

Amounts amounts_of_lattice(const Config& config) {
  const ModelConfig& m = config.model;
  const LatticeConfig& l = config.lattice;
  const double d = m.hidden_size, inner = m.expansion * d, positions = 1 + m.seq_len;
  const auto passes = static_cast<double>(l.layers * l.loops);
  const double across = m.expansion * positions;  // mlp_t's inner size
  const double mixing_weights = m.mlp_t ? 2 * across * positions : 4 * d * d;
  // Multiplications for a position.
  const double mixing = m.mlp_t ? 2 * across * d : 4 * d * d + 2 * positions * d;
  Amounts p;
  p.weights =
      static_cast<double>(l.layers) * (mixing_weights + 2 * d * inner) + 3 * m.vocab_size * d;
  // A layer keeps its input, two norms, qkv, what attention gives and the state between; up_proj
  // and its GELU; with dropout what goes into each. An MLP over positions keeps the transposed
  // norm and state, its inner state and the GELU of it.
  const double mixed = m.mlp_t ? 2 * d + 2 * inner : 4 * d;
  const double dropped = 2 * d + (m.mlp_t ? 2 : 1) * inner;
  const double kept = 4 * d + mixed + 2 * inner + (l.dropout > 0 ? dropped : 0);
  p.row_bytes = positions * (size_of(m.dtype) * (passes * kept + 5 * l.loops * d) +
                             8 * size_of(accumulate_type(m.dtype)) * l.loops * m.vocab_size);
  // Forward, twice that backward, and the pass of the round's own.
  p.flops = 4 * 2 * positions * (mixing + 2 * d * inner) * passes;
  return p;
}

// Updates that an average step runs ahead: the mean of a draw that is even on a logarithmic scale.
double late_updates(const TrainConfig& t) {
  constexpr double kFewest = 32;
  const auto most = static_cast<double>(t.late_start_updates);
  const double mean = most > kFewest ? (most - kFewest) / std::log(most / kFewest) : kFewest;
  return t.late_start_share * mean;
}

// The share of the whole depth that an average step computes.
double mean_depth(const Config& config) {
  constexpr int64_t kParts = 10;  // depth_at changes at tenths
  TrainConfig parts = config.train;
  parts.total_steps = kParts;
  const int64_t whole = config.is_lattice() ? config.lattice.loops : config.model.L_cycles;
  double sum = 0;
  for (int64_t step = 1; step <= kParts; ++step)
    sum += static_cast<double>(depth_at(parts, step, whole));
  return whole > 0 ? sum / static_cast<double>(kParts * whole) : 1;
}

Amounts amounts_of_segments(const Config& config) {
  const ModelConfig& m = config.model;
  const double bytes = size_of(m.dtype);
  const double d = m.hidden_size;
  const double positions = m.prefix() + m.seq_len;
  const double inter = swiglu_size(m.hidden_size, m.expansion);
  const double H = m.levels == Levels::shared ? 0 : m.H_layers;
  const double L = m.levels == Levels::single ? 0 : m.L_layers;
  const double first =
      m.mlp_t ? 3 * swiglu_size(m.prefix() + m.seq_len, m.expansion) * positions : 4 * d * d;
  const double per_layer = first + 3 * d * inter;
  Amounts p;
  p.weights = (H + L) * per_layer + 2 * m.vocab_size * d;
  p.table = m.num_puzzle_identifiers * m.puzzle_emb_ndim;
  // What a recorded update keeps per position and layer: qkv, attention out, two norms, the inputs
  // of the projections, gate_up and its product.
  const double kept = (m.mlp_t ? 3 * inter : 4 * d) + 3 * d + 3 * inter;
  const auto updates = static_cast<double>(update_list(m).size());
  const GradientCost gradient = make_gradient_strategy(m)->cost(updates);
  const double layers = m.levels == Levels::two ? (H + L) / 2 : H + L;
  p.row_bytes = positions * bytes * (gradient.recorded * layers * kept + 12 * d + 6 * inter);
  p.carried_bytes = positions * d * bytes * 4;
  // One segment forward, one more for the q target, twice the forward again for what is recorded:
  // 16 module forwards for HRM. Attention is two products of positions^2 x hidden a layer.
  const double attention = m.mlp_t ? 0 : 2 * positions * d;
  const double segment = 2 * positions * (per_layer + attention) * layers * updates;
  const bool q_target = m.halting == Halting::q_learning && m.continue_loss && m.halt_max_steps > 1;
  const bool value = m.halting == Halting::ponder && config.train.unroll_segments == 1;
  const bool target = q_target || value;
  p.flops = segment * (1 + (target ? 1 : 0) + 2 * gradient.products / updates +
                       late_updates(config.train) / updates);
  return p;
}

}  // namespace

Estimate estimate(const Config& config, const Path& run, Device device) {
  const ModelConfig& m = config.model;
  const TrainConfig& t = config.train;
  const double bytes = size_of(m.dtype);
  const double master = size_of(accumulate_type(m.dtype));
  const Amounts amounts =
      config.is_lattice() ? amounts_of_lattice(config) : amounts_of_segments(config);
  const double weights = amounts.weights, table = amounts.table;

  Estimate e;
  // Value, gradient, two moments (Muon: one), average, and sums of gradients (TreeSum).
  double copies = 4 + (t.ema > 0 ? 1 : 0);
  if (t.micro_batches > 1) copies += std::floor(std::log2(t.micro_batches)) + 1;
  e.memory_bytes = weights * (copies * master + (m.dtype == DType::bf16 ? 2 : 0)) + table * master;
  // Packed for the products on the CPU; on a GPU what splits over k and padded copies may use.
  e.memory_bytes += device == Device::cpu ? weights * bytes : (256 << 20);
  // A checkpoint is mapped for its checksum, which counts where addresses are limited (ulimit -v).
  rlimit addresses{};
  if (::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY)
    e.memory_bytes += 2 * weights * master + table * master;
  const double fixed = e.memory_bytes;
  const double micro = static_cast<double>(t.step_rows()) / t.micro_batches;
  e.memory_bytes += micro * amounts.row_bytes + t.batch_size * amounts.carried_bytes;
  e.available_bytes = runtime::memory_available(device);
  e.fixed_bytes = fixed;
  e.fitting_batch = batch_within(kSafeShare * e.available_bytes, e, t.batch_size);
  e.disk_bytes = (weights * (3 + (t.ema > 0 ? 1 : 0)) + table) * master * (t.keep_checkpoints + 1) +
                 (weights + table) * master;
  e.free_disk_bytes = free_disk_bytes(run, &e.disk);
  e.keeps_several = t.keep_checkpoints > 1;

  e.flops_per_sample = amounts.flops;
  e.seconds = mean_depth(config) * e.flops_per_sample * (t.step_rows() * t.total_steps) /
              measured_flops(m, device);
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
