// The residual sum and RMSNorm on a GPU in rungs, bf16: y = (x + r) / sqrt(mean((x + r)^2) + eps).
// Nothing but memory limits it, so each rung asks who reads what, and in what pieces. Run it:
// build/cuda/bench/ladder/cuda/rms_norm (with CUDA=emulate it only says whether the rungs are
// right)
#include "bench/ladder/cuda/ladder.h"
#include "kernels/rms_norm.h"

using namespace hrm;

namespace {

constexpr int kCols = 512;
constexpr float kEps = 1e-5f;

// Rung 1: a thread a row. Neighbouring threads read addresses a row apart, so every load of a warp
// is 32 separate memory transactions.
__global__ void thread_per_row_kernel(bfloat16* y, const bfloat16* x, const bfloat16* r,
                                      int64_t rows) {
  const int64_t row = gpu::first();
  if (row >= rows) return;
  float total = 0;
  for (int c = 0; c < kCols; ++c) {
    const float h = gpu::load(x[row * kCols + c]) + gpu::load(r[row * kCols + c]);
    total += h * h;
  }
  const float scale = 1 / sqrtf(total / kCols + kEps);
  for (int c = 0; c < kCols; ++c)
    gpu::store(y[row * kCols + c],
               (gpu::load(x[row * kCols + c]) + gpu::load(r[row * kCols + c])) * scale);
}

// Rung 2: a block a row: neighbours read neighbours. The sum goes through shared memory and two
// barriers, and the row is read twice.
__global__ void block_per_row_kernel(bfloat16* y, const bfloat16* x, const bfloat16* r) {
  GPU_SHARED(scratch, float[gpu::kWarp]);
  const int64_t start = static_cast<int64_t>(blockIdx.x) * kCols;
  float total = 0;
  for (int c = static_cast<int>(threadIdx.x); c < kCols; c += static_cast<int>(blockDim.x)) {
    const float h = gpu::load(x[start + c]) + gpu::load(r[start + c]);
    total += h * h;
  }
  const float scale = 1 / sqrtf(gpu::block_sum(total, scratch) / kCols + kEps);
  for (int c = static_cast<int>(threadIdx.x); c < kCols; c += static_cast<int>(blockDim.x))
    gpu::store(y[start + c], (gpu::load(x[start + c]) + gpu::load(r[start + c])) * scale);
}

// Rung 3: a warp a row, sums by shuffles: no shared memory, no barrier, and the row stays in
// registers. Still two bytes a load.
__global__ void warp_per_row_kernel(bfloat16* y, const bfloat16* x, const bfloat16* r,
                                    int64_t rows) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * 4 + gpu::warp();
  if (row >= rows) return;
  float h[kCols / gpu::kWarp], total = 0;
  GPU_UNROLL
  for (int i = 0; i < kCols / gpu::kWarp; ++i) {
    const int64_t at = row * kCols + i * gpu::kWarp + gpu::lane();
    h[i] = gpu::load(x[at]) + gpu::load(r[at]);
    total += h[i] * h[i];
  }
  const float scale = 1 / sqrtf(gpu::warp_sum(total) / kCols + kEps);
  GPU_UNROLL
  for (int i = 0; i < kCols / gpu::kWarp; ++i)
    gpu::store(y[row * kCols + i * gpu::kWarp + gpu::lane()], h[i] * scale);
}

}  // namespace

int main() {
  using ladder::Buffer;
  const int64_t rows = ladder::kTiny ? 37 : 62976;
  const auto x = ladder::numbers(rows * kCols, 1), r = ladder::numbers(rows * kCols, 2);
  std::vector<double> want(x.size());
  for (int64_t i = 0; i < rows; ++i) {
    double total = 0;
    for (int64_t c = i * kCols; c < (i + 1) * kCols; ++c) {
      want[c] = static_cast<double>(static_cast<float>(x[c])) + static_cast<float>(r[c]);
      total += want[c] * want[c];
    }
    for (int64_t c = i * kCols; c < (i + 1) * kCols; ++c)
      want[c] /= std::sqrt(total / kCols + static_cast<double>(kEps));
  }
  const Buffer<bfloat16> dx(x), dr(r), dy(rows * kCols);
  const Buffer<float> rstd(rows);
  const double bytes = 6.0 * static_cast<double>(rows * kCols), copy = ladder::copy_rate();
  const auto warps = [&](int64_t per_block) {
    return dim3(static_cast<unsigned>((rows + per_block - 1) / per_block));
  };
  std::printf("%s, rows of %d, %d of them\n", cuda::device_name().c_str(), kCols,
              static_cast<int>(rows));
  const Context context{Device::cuda, nullptr};
  const bfloat16 *px = dx.data(), *pr = dr.data();
  bfloat16* py = dy.data();
  bool right = true;
  const auto rung = [&](const char* name, const std::function<void()>& run) {
    right &= ladder::rung(name, dy, want, bytes, 0, copy, run);
  };
  rung("1 a thread a row", [&] {
    gpu::launch<thread_per_row_kernel>(warps(128), dim3(128), 0, context, py, px, pr, rows);
  });
  rung("2 a block a row",
       [&] { gpu::launch<block_per_row_kernel>(warps(1), dim3(128), 0, context, py, px, pr); });
  rung("3 a warp a row", [&] {
    gpu::launch<warp_per_row_kernel>(warps(4), dim3(128), 0, context, py, px, pr, rows);
  });
  rung("4 the library: the same, 16 bytes a load",
       [&] { cuda::rms_norm(DType::bf16, py, rstd.data(), px, pr, rows, kCols, 1e-5, context); });
  return right ? 0 : 1;
}
