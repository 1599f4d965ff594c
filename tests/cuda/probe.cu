#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"
#include "tests/cuda/probe.h"

namespace hrm::test {
namespace {

constexpr int kWords = 12;  // of a lane

__global__ void probe_layout_kernel(unsigned* out) {
  GPU_SHARED(tiles, uint4[32]);  // four 8 x 8 matrices of bf16, a row an element
  const unsigned lane = threadIdx.x;
  // Element c of row r of matrix m is 64 m + 8 r + c: exact in bf16 up to 256.
  unsigned words[4];
  for (unsigned i = 0; i < 4; ++i)
    words[i] = gpu::pack_bf16(static_cast<float>(8 * lane + 2 * i),
                              static_cast<float>(8 * lane + 2 * i + 1));
  tiles[lane] = make_uint4(words[0], words[1], words[2], words[3]);
  __syncwarp();
  unsigned plain[4], transposed[4];
  gpu::ldmatrix_x4(plain, &tiles[lane]);
  gpu::ldmatrix_x4<true>(transposed, &tiles[lane]);
  // The four tiles as A (16 x 16); B(k, n) = k == n + 1: D(m, n) = A(m, n + 1).
  const unsigned column = lane / 4, row = lane % 4 * 2;
  const auto one_at = [&](unsigned k) {
    return gpu::pack_bf16(k == column + 1 ? 1.0f : 0.0f, k + 1 == column + 1 ? 1.0f : 0.0f);
  };
  float sums[4] = {0, 0, 0, 0};
  gpu::mma_bf16(sums, plain, one_at(row), one_at(row + 8));
  for (int i = 0; i < 4; ++i) {
    out[lane * kWords + i] = plain[i];
    out[lane * kWords + 4 + i] = transposed[i];
    out[lane * kWords + 8 + i] = __float_as_uint(sums[i]);
  }
}

}  // namespace

std::vector<uint32_t> mma_probe() {
  std::vector<uint32_t> words(32 * kWords);
  void* device = cuda::allocate(words.size() * 4);
  gpu::launch<probe_layout_kernel>(dim3(1), dim3(32), 0, Context{}, static_cast<unsigned*>(device));
  cuda::copy(words.data(), device, words.size() * 4, cuda::Copy::to_host, {});
  cuda::release(device);
  return words;
}

}  // namespace hrm::test
