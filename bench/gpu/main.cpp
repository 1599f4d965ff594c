// What a GPU does: its limits, every kernel of the 27M model at full size as a share of them, and
// whole training steps. Usage: `gpu [--json FILE] [SECTION...]`. The sections are facts, ceilings,
// gemm, kernels and step; without a choice all of them run. Results are appended to FILE as they
// come, one JSON object a line, and bench/gpu/report.sh makes docs/gpu/REPORT.md of them. Inputs
// are random, because products of zeros run faster. Buffers take turns, so that none stays in the
// second-level cache.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "autograd/grad_mode.h"
#include "hrm/data/dataset_writer.h"
#include "hrm/presets.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/estimate.h"
#include "hrm/train/trainer.h"
#include "kernels/act.h"
#include "kernels/attention.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "kernels/elementwise.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"

namespace hrm {
namespace {

namespace fs = std::filesystem;

const Context kContext{Device::cuda, nullptr};
#ifdef HRM_EMULATE
constexpr bool kTiny = true;  // the program itself is tried on the CPU, at sizes that mean nothing
#else
constexpr bool kTiny = false;
#endif

std::string json_file;

void result(const Json& line) {
  if (json_file.empty()) return;
  std::ofstream out(json_file, std::ios::app);
  out << line.dump() << std::endl;
}

// Median seconds of `run`, which is called with 0, 1 and 2 in turn: the number of a buffer set.
double median_seconds(const std::function<void(int)>& run, int repeats = 20) {
  for (int i = 0; i < 3; ++i) run(i);
  std::vector<double> times;
  cuda::Timer timer;
  for (int i = 0; i < (kTiny ? 3 : repeats); ++i) {
    timer.start();
    run(i % 3);
    timer.stop();
    times.push_back(timer.seconds());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

Random random_numbers(1);
Tensor normal(const Shape& shape, DType t = DType::bf16) {
  return random_numbers.normal(shape, 1, t, Device::cuda);
}
using Set = std::vector<Tensor>;  // three buffers that take turns
Set normals(const Shape& shape, DType t = DType::bf16) {
  return {normal(shape, t), normal(shape, t), normal(shape, t)};
}

// --- ceilings ------------------------------------------------------------------------------------

struct Ceilings {
  double copy = 0;   // bytes read plus written per second
  double flops = 0;  // of a large bf16 product
};

double product_rate(int64_t n) {
  const Set a = normals({n, n}), b = normals({n, n});
  Set c = normals({n, n});
  const double seconds = median_seconds(
      [&](int i) {
        Gemm g;
        g.type = g.c_type = DType::bf16;
        g.m = g.n = g.k = n;
        g.a = a[i].data();
        g.a_row = n;
        g.b = b[i].data();
        g.b_row = 1;
        g.b_col = n;
        g.c = c[i].data();
        g.c_row = n;
        cuda::gemm(g, kContext);
      },
      10);
  return 2.0 * static_cast<double>(n * n * n) / seconds;
}

Ceilings measure_ceilings() {
  Ceilings c;
  const auto copy_rate = [](int64_t bytes) {
    const Tensor from = normal({bytes / 4}, DType::f32);
    Tensor to = empty_like(from);
    const double seconds = median_seconds([&](int) {
      cuda::copy(to.data(), from.data(), to.nbytes(), cuda::Copy::within, kContext);
    });
    return 2.0 * static_cast<double>(to.nbytes()) / seconds;
  };
  c.copy = copy_rate(kTiny ? 1 << 16 : 1 << 30);
  c.flops = product_rate(kTiny ? 64 : 8192);
  std::printf("copy %.2f TB/s, bf16 product %.0f TFLOP/s\n", 1e-12 * c.copy, 1e-12 * c.flops);
  Json curve = Json::array();
  for (int64_t mib = 4; mib <= (kTiny ? 0 : 256); mib *= 2) {
    const double rate = copy_rate(mib << 20);
    curve.push_back({{"mib", mib}, {"tb_per_s", 1e-12 * rate}});
    std::printf("  copy of %3d MiB: %.2f TB/s\n", static_cast<int>(mib), 1e-12 * rate);
  }
  result({{"section", "ceilings"},
          {"copy_tb_per_s", 1e-12 * c.copy},
          {"bf16_tflops", 1e-12 * c.flops},
          {"copy_by_size", curve}});
  return c;
}

// --- products ------------------------------------------------------------------------------------

constexpr int64_t kBatch = kTiny ? 2 : 768, kSeq = kTiny ? 18 : 82, kHidden = kTiny ? 64 : 512;
constexpr int64_t kHeads = kTiny ? 1 : 8, kInter = kTiny ? 256 : 1536;
constexpr int64_t kTokens = kBatch * kSeq;

// One product of a step by every algorithm that the library offers.
void sweep(const char* name, const char* form, int64_t m, int64_t n, int64_t k,
           const Ceilings& top) {
  // TN: x w'; NN: dy w; NT: dy' x, in f32.
  const std::string f = form;
  const Tensor a = normal({m, k}), b = normal({k, n}), residual = normal({m, n});
  Tensor c = f == "NT" ? normal({m, n}, DType::f32) : normal({m, n});
  Gemm g;
  g.type = DType::bf16;
  g.c_type = c.dtype();
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data();
  g.b = b.data();
  g.c = c.data();
  g.c_row = n;
  g.a_row = f == "NT" ? 1 : k;
  g.a_col = f == "NT" ? m : 1;
  g.b_row = f == "TN" ? 1 : n;
  g.b_col = f == "TN" ? k : 1;
  // In a step these two start from the residual.
  const std::string layer = name;
  if (f == "TN" && (layer == "o" || layer == "down")) {
    g.add = residual.data();
    g.beta = 1;
  }
  const cuda::GemmTuning t = cuda::tune_gemm(g, 64, 20);
  if (t.tried == 0) return;
  const double flops = 2.0 * static_cast<double>(m * n * k);
  std::printf(
      "%-10s %s %6d x %4d x %5d  best %7.1f us %4.0f TFLOP/s (%2.0f %%)  first %7.1f us  #%d of "
      "%d\n",
      name, form, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), t.best_us,
      1e-6 * flops / t.best_us, 100e6 * flops / t.best_us / top.flops, t.first_us, t.best, t.tried);
  result({{"section", "gemm"},
          {"name", name},
          {"form", form},
          {"m", m},
          {"n", n},
          {"k", k},
          {"best_us", t.best_us},
          {"first_us", t.first_us},
          {"best", t.best},
          {"tried", t.tried},
          {"tflops", 1e-6 * flops / t.best_us}});
}

void sweep_products(const Ceilings& top) {
  sweep("gate_up", "TN", kTokens, 2 * kInter, kHidden, top);
  sweep("qkv", "TN", kTokens, 3 * kHidden, kHidden, top);
  sweep("down", "TN", kTokens, kHidden, kInter, top);
  sweep("o", "TN", kTokens, kHidden, kHidden, top);
  sweep("gate_up", "NN", kTokens, kHidden, 2 * kInter, top);
  sweep("qkv", "NN", kTokens, kHidden, 3 * kHidden, top);
  sweep("down", "NN", kTokens, kInter, kHidden, top);
  sweep("o", "NN", kTokens, kHidden, kHidden, top);
  sweep("gate_up", "NT", 2 * kInter, kHidden, kTokens, top);
  sweep("qkv", "NT", 3 * kHidden, kHidden, kTokens, top);
  sweep("down", "NT", kHidden, kInter, kTokens, top);
  sweep("o", "NT", kHidden, kHidden, kTokens, top);
}

// --- own kernels ---------------------------------------------------------------------------------

void kernel(const char* name, double bytes, double flops, const Ceilings& top,
            const std::function<void(int)>& run) {
  const double seconds = median_seconds(run);
  const double floor = std::max(bytes / top.copy, flops / top.flops);
  std::printf("%-28s %8.1f us  %5.2f TB/s  %5.1f TFLOP/s  floor %7.1f us  %3.0f %%\n", name,
              1e6 * seconds, 1e-12 * bytes / seconds, 1e-12 * flops / seconds, 1e6 * floor,
              100 * floor / seconds);
  result({{"section", "kernel"},
          {"name", name},
          {"us", 1e6 * seconds},
          {"bytes", bytes},
          {"flops", flops},
          {"floor_us", 1e6 * floor},
          {"share_of_floor", floor / seconds}});
}

void attention_kernels(int64_t batch, int64_t seq, const Ceilings& top) {
  const int64_t width = kHidden, head_dim = kHidden / kHeads, tokens = batch * seq;
  const AttentionShape shape{batch, seq, kHeads, head_dim};
  const Set qkv = normals({batch, seq, 3 * width}), dout = normals({batch, seq, width});
  const RopeTables tables = rope_tables(seq, head_dim, 10000, DType::f32, Device::cuda);
  Tensor out = empty({batch, seq, width}, DType::bf16, Device::cuda), dqkv = empty_like(qkv[0]);
  Tensor stats = empty({batch, kHeads, seq, 2}, DType::f32, Device::cuda);
  const double unit = 2.0 * static_cast<double>(tokens * width);
  const double flops = 4.0 * static_cast<double>(tokens * seq * width);
  const std::string size = ", S " + std::to_string(seq);
  kernel(("attention" + size).c_str(), 4 * unit, flops, top, [&](int i) {
    cuda::attention(DType::bf16, out.data(), stats.data(), qkv[i].data(), tables.cos.data(),
                    tables.sin.data(), shape, kContext);
  });
  kernel(("attention backward" + size).c_str(), 7 * unit, 2.5 * flops, top, [&](int i) {
    cuda::attention_backward(DType::bf16, dqkv.data(), dout[i].data(), stats.data(), qkv[i].data(),
                             tables.cos.data(), tables.sin.data(), shape, kContext);
  });
}

void norm_kernels(const Ceilings& top) {
  const DType t = DType::bf16;
  const double unit = 2.0 * static_cast<double>(kTokens * kHidden);  // bytes of a state
  const Set x = normals({kTokens, kHidden}), y = normals({kTokens, kHidden});
  Tensor out = empty_like(x[0]), rstd = empty({kTokens}, DType::f32, Device::cuda);
  kernel("rms_norm", 2 * unit, 0, top, [&](int i) {
    cuda::rms_norm(t, out.data(), rstd.data(), x[i].data(), nullptr, kTokens, kHidden, 1e-5,
                   kContext);
  });
  kernel("add + rms_norm", 3 * unit, 0, top, [&](int i) {
    cuda::rms_norm(t, out.data(), rstd.data(), x[i].data(), y[i].data(), kTokens, kHidden, 1e-5,
                   kContext);
  });
  kernel("rms_norm backward", 3 * unit, 0, top, [&](int i) {
    cuda::rms_norm_backward(t, out.data(), x[i].data(), rstd.data(), y[i].data(), kTokens, kHidden,
                            kContext);
  });
  Layout dense;
  dense.ndim = 1;
  dense.shape[0] = kTokens * kHidden;
  dense.strides[0][0] = dense.strides[1][0] = 1;
  kernel("add", 3 * unit, 0, top, [&](int i) {
    cuda::binary(BinaryOp::add, t, out.data(), x[i].data(), y[i].data(), dense, kContext);
  });
}

void swiglu_kernels(const Ceilings& top) {
  const DType t = DType::bf16;
  const Set gate_up = normals({kTokens, 2 * kInter}), dy = normals({kTokens, kInter});
  Tensor y = empty_like(dy[0]), d = empty_like(gate_up[0]);
  const double inner = 2.0 * static_cast<double>(kTokens * kInter);
  kernel("swiglu", 3 * inner, 0, top,
         [&](int i) { cuda::swiglu(t, y.data(), gate_up[i].data(), kTokens, kInter, kContext); });
  kernel("swiglu backward", 5 * inner, 0, top, [&](int i) {
    cuda::swiglu_backward(t, d.data(), gate_up[i].data(), dy[i].data(), kTokens, kInter, kContext);
  });
}

void loss_kernels(const Ceilings& top) {
  const DType t = DType::bf16;
  const int64_t rows = kTokens, vocab = 11;
  const Set logits = normals({rows, vocab});
  const Tensor labels = random_numbers.randint({rows}, 0, 10, Device::cuda);
  Tensor loss = empty({rows}, DType::f64, Device::cuda), d = empty_like(logits[0]);
  const double bytes = 2.0 * static_cast<double>(rows * vocab);
  kernel("stablemax cross entropy", bytes + 12.0 * static_cast<double>(rows), 0, top, [&](int i) {
    cuda::cross_entropy(LossType::stablemax_cross_entropy, t, loss.data(), logits[i].data(),
                        labels.data<int32_t>(), rows, vocab, kContext);
  });
  kernel("its backward", 2 * bytes + 12.0 * static_cast<double>(rows), 0, top, [&](int i) {
    cuda::cross_entropy_backward(LossType::stablemax_cross_entropy, t, d.data(), loss.data(),
                                 logits[i].data(), labels.data<int32_t>(), rows, vocab, kContext);
  });
}

void optimizer_kernels(const Ceilings& top) {
  const int64_t n = kTiny ? 5000 : 27275266;
  Tensor p = normal({n}, DType::f32), m = normal({n}, DType::f32), g = normal({n}, DType::f32);
  Tensor v = full({n}, 0.1, DType::f32, Device::cuda);
  Tensor copy = empty({n}, DType::bf16, Device::cuda);
  const Tensor rates = from_vector<double>({1, 1e-4, 1}, {3}).to(Device::cuda);
  const AdamTensor all{
      p.data(), m.data(), v.data(), copy.data<bfloat16>(), g.data(), n, rates.data<double>()};
  kernel("adam_atan2, 27M weights", 30.0 * static_cast<double>(n), 0, top,
         [&](int) { cuda::adam(DType::f32, &all, 1, {}, nullptr, nullptr, kContext); });
}

void own_kernels(const Ceilings& top) {
  norm_kernels(top);
  swiglu_kernels(top);
  attention_kernels(kBatch, kSeq, top);
  attention_kernels(kTiny ? 1 : 96, kTiny ? 40 : 901, top);
  loss_kernels(top);
  optimizer_kernels(top);
}

// --- training steps ------------------------------------------------------------------------------

// A data set of random tokens.
void random_dataset(const fs::path& folder, int64_t seq, int64_t vocab) {
  DatasetInfo info;
  info.seq_len = seq;
  info.vocab_size = vocab;
  DatasetWriter writer(folder, info, Json::object(), false);
  Random random(3);
  for (int i = 0; i < 64; ++i) {
    std::vector<int> inputs(seq), labels(seq);
    for (int& v : inputs) v = static_cast<int>(random.below(vocab));
    for (int& v : labels) v = static_cast<int>(random.below(vocab - 1)) + 1;
    writer.add("train", inputs, labels, i);
  }
  writer.finish();
}

void time_step(const std::string& preset_name, int64_t seq, int64_t vocab, int64_t batch,
               bool graph, int steps, bool breakdown, bool tuned = false) {
  char temporary[] = "/tmp/hrm_gpu_XXXXXX";
  const fs::path folder = mkdtemp(temporary);
  random_dataset(folder / "data", seq, vocab);
  const PuzzleDataset data = open_dataset(folder / "data", "train");
  Config config = preset(preset_name);
  config.model.seq_len = seq;
  config.model.vocab_size = vocab;
  config.model.dtype = DType::bf16;
  config.train.batch_size = batch;
  config.train.augment = false;
  config.train.total_steps = 1000000;
  empty_cache(Device::cuda);
  cuda::set_gemm_tuning(tuned);
  const double flops =
      estimate(config, folder, Device::cuda).flops_per_sample * static_cast<double>(batch);
  reset_peak(Device::cuda);
  {
    Trainer trainer(config, data, nullptr, folder / "run", Device::cuda);
    trainer.use_cuda_graph(graph);
    for (int i = 0; i < 6; ++i) trainer.step();
    cuda::synchronize();
    const uint64_t allocations = allocator_stats(Device::cuda).allocations;
    cuda::Timer timer;
    timer.start();
    for (int i = 0; i < steps; ++i) trainer.step();
    timer.stop();
    const double seconds = timer.seconds() / steps;
    const uint64_t fresh = allocator_stats(Device::cuda).allocations - allocations;
    const double peak = static_cast<double>(allocator_stats(Device::cuda).peak) / (1 << 30);
    const std::string name = preset_name + ", S " + std::to_string(seq) + ", batch " +
                             std::to_string(batch) + (graph ? ", graph" : ", launches") +
                             (tuned ? ", tuned" : "");
    std::printf("%-40s %8.2f ms  %5.0f TFLOP/s  peak %.2f GiB  %d allocations\n", name.c_str(),
                1e3 * seconds, 1e-12 * flops / seconds, peak, static_cast<int>(fresh));
    result({{"section", "step"},
            {"name", name},
            {"ms", 1e3 * seconds},
            {"tflops", 1e-12 * flops / seconds},
            {"peak_gib", peak},
            {"allocations", fresh}});
    if (breakdown) {
      trainer.use_cuda_graph(false);
      trainer.step();
      cuda::profile_start();
      for (int i = 0; i < 3; ++i) trainer.step();
      auto times = cuda::profile_stop();
      std::vector<std::pair<std::string, cuda::KernelTime>> sorted(times.begin(), times.end());
      std::sort(sorted.begin(), sorted.end(),
                [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
      double total = 0;
      for (const auto& [kernel, time] : sorted) total += time.seconds / 3;
      for (const auto& [kernel, time] : sorted) {
        std::printf("    %-26s %5d calls %8.3f ms %5.1f %%\n", kernel.c_str(),
                    static_cast<int>(time.calls / 3), 1e3 * time.seconds / 3,
                    100 * time.seconds / 3 / total);
        result({{"section", "breakdown"},
                {"step", name},
                {"kernel", kernel},
                {"calls", time.calls / 3},
                {"ms", 1e3 * time.seconds / 3}});
      }
      std::printf("    sum of kernels %.2f ms, step %.2f ms\n", 1e3 * total, 1e3 * seconds);
      result({{"section", "breakdown"}, {"step", name}, {"kernel", "sum"}, {"ms", 1e3 * total}});
    }
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

void time_steps() {
  if (kTiny) {
    for (const bool graph : {false, true}) time_step("sudoku4", 16, 6, 4, graph, 2, !graph);
    return;
  }
  time_step("hrm-27m", 81, 11, 768, false, 20, true);
  time_step("hrm-27m", 81, 11, 768, true, 50, false);
  time_step("hrm-27m", 81, 11, 768, true, 50, false, true);
  for (const bool graph : {false, true}) time_step("sudoku4", 16, 6, 64, graph, 200, !graph);
  time_step("hrm-27m", 900, 12, 96, true, 20, true);
}

int run(std::vector<std::string> arguments) {
  if (arguments.size() >= 2 && arguments[0] == "--json") {
    json_file = arguments[1];
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  const auto wants = [&](const char* section) {
    return arguments.empty() ||
           std::find(arguments.begin(), arguments.end(), section) != arguments.end();
  };
  const NoGradGuard no_grad;
  std::printf("%s\n", cuda::device_name().c_str());
  result({{"section", "facts"}, {"device", cuda::device_name()}});
  Ceilings top;
  if (wants("ceilings") || wants("gemm") || wants("kernels")) top = measure_ceilings();
  if (wants("gemm")) sweep_products(top);
  if (wants("kernels")) own_kernels(top);
  if (wants("step")) {
    set_grad_enabled(true);
    time_steps();
  }
  return 0;
}

}  // namespace
}  // namespace hrm

int main(int argc, char** argv) {
  try {
    return hrm::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu: %s\n", error.what());
    return 1;
  }
}
