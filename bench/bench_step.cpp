// Training steps and evaluation, end to end: samples per second and the share of arithmetic.
// Prints a table; ratios within one run mean something, single numbers on a shared machine little.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "autograd/grad_mode.h"
#include "autograd/ops/matmul.h"
#include "hrm/act.h"
#include "hrm/trainer.h"
#include "nn/optim/adam.h"

using namespace hrm;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Best of `repeats`, in seconds.
template <class Work>
double best_of(int repeats, const Work& work) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

// GFLOP/s of a product of HRM's shape through the library.
double gemm_speed(int64_t rows, int64_t in, int64_t out) {
  const NoGradGuard no_grad;
  Random random(1);
  const Tensor x = random.normal({rows, in}, 1), w = random.normal({out, in}, 1);
  const double seconds = best_of(7, [&] { linear(x, w); });
  return 2e-9 * static_cast<double>(rows * in * out) / seconds;
}

void measure_step(const char* name, Config config, int64_t batch, int repeats) {
  config.train.batch_size = batch;
  Random random(1);
  Model model(config.model, &random);
  Adam adam(model.named_parameters(), {});
  const int64_t seq = config.model.seq_len;
  const auto vocab = static_cast<int32_t>(config.model.vocab_size);
  const Batch data{random.randint({batch, seq}, 1, vocab - 1),
                   random.randint({batch, seq}, 2, vocab - 1), zeros({batch}, DType::i32), batch};
  Carry carry = initial_carry(model, batch);
  const auto step = [&] {
    begin_segment(model, carry, data, Refill::reference);
    train_segment(model, carry, {}, 1.0 / static_cast<double>(batch));
    adam.step(1e-4);
    adam.zero_grad();
  };
  step();
  reset_peak();
  const double seconds = best_of(repeats, step);
  const double flops = estimate(config, ".").flops_per_sample * static_cast<double>(batch);
  std::printf("%-24s %5s %6lld %5lld %9.2f %9.1f %10.0f\n", name, name_of(config.model.dtype),
              static_cast<long long>(batch), static_cast<long long>(seq),
              static_cast<double>(batch) / seconds, 1e-9 * flops / seconds,
              static_cast<double>(allocator_stats().peak) / (1 << 20));
}

}  // namespace

int main() {
  std::printf("threads %d\n\nproduct (f32)                  GFLOP/s\n", omp_get_max_threads());
  for (const auto& [rows, in, out] : {std::tuple{656, 512, 1536},
                                      {656, 512, 3072},
                                      {656, 1536, 512},
                                      {1088, 128, 1024},
                                      {1088, 512, 128}})
    std::printf("%5d x %4d x %4d %19.1f\n", rows, in, out, gemm_speed(rows, in, out));
  std::printf("\ntraining step            dtype  batch   seq samples/s   GFLOP/s   peak MiB\n");
  measure_step("hrm-27m", preset("hrm-27m"), 8, 2);
  for (const char* name : {"sudoku4", "sudoku6", "sudoku9"})
    measure_step(name, preset(name), 64, 3);
  Config half = preset("sudoku4");
  half.model.dtype = DType::bf16;
  measure_step("sudoku4", half, 64, 3);
}
