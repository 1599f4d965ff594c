// Attention on a GPU in rungs, bf16, heads of 64, no rotary embedding: out = softmax(q k' / 8) v.
// Run it: build/cuda/bench/ladder/cuda/attention (with CUDA=emulate it only says whether the rungs
// are right)
#include "bench/ladder/cuda/ladder.h"
#include "kernels/attention.h"

using namespace hrm;

namespace {

constexpr int kDim = 64;
constexpr float kScale = 0.125f;

// Row s of q, k or v (part 0, 1, 2) of head `head` of batch row `row` in qkv [B, S, 3, H, D].
__device__ const bfloat16* row_of(const bfloat16* qkv, int64_t row, int64_t s, int part,
                                  int64_t head, int64_t seq, int64_t heads) {
  return qkv + (((row * seq + s) * 3 + part) * heads + head) * kDim;
}

// Rung 1: scores in global memory, as three operations would leave them: this one writes q k',
// others turn its rows into probabilities and multiply by v. Reads and writes S^2 numbers a head,
// three times.
__global__ void scores_kernel(float* scores, const bfloat16* qkv, int64_t seq, int64_t heads) {
  const int64_t row = blockIdx.z, head = blockIdx.y, i = blockIdx.x;
  const bfloat16* q = row_of(qkv, row, i, 0, head, seq, heads);
  float* out = scores + ((row * heads + head) * seq + i) * seq;
  for (int64_t j = threadIdx.x; j < seq; j += blockDim.x) {
    const bfloat16* k = row_of(qkv, row, j, 1, head, seq, heads);
    float score = 0;
    for (int d = 0; d < kDim; ++d) score += gpu::load(q[d]) * gpu::load(k[d]);
    out[j] = score * kScale;
  }
}
__global__ void softmax_rows_kernel(float* scores, int64_t seq) {
  float* row = scores + static_cast<int64_t>(blockIdx.x) * seq;
  float largest = row[0], total = 0;
  for (int64_t j = gpu::lane(); j < seq; j += gpu::kWarp) largest = gpu::larger(largest, row[j]);
  largest = gpu::warp_max(largest);
  for (int64_t j = gpu::lane(); j < seq; j += gpu::kWarp) total += expf(row[j] - largest);
  total = gpu::warp_sum(total);
  for (int64_t j = gpu::lane(); j < seq; j += gpu::kWarp) row[j] = expf(row[j] - largest) / total;
}
__global__ void weigh_values_kernel(bfloat16* out, const float* scores, const bfloat16* qkv,
                                    int64_t seq, int64_t heads) {
  const int64_t row = blockIdx.z, head = blockIdx.y, i = blockIdx.x;
  const float* p = scores + ((row * heads + head) * seq + i) * seq;
  for (int d = static_cast<int>(threadIdx.x); d < kDim; d += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int64_t j = 0; j < seq; ++j)
      sum += p[j] * gpu::load(row_of(qkv, row, j, 2, head, seq, heads)[d]);
    gpu::store(out[((row * seq + i) * heads + head) * kDim + d], sum);
  }
}

// Rung 2: scores never leave the chip. A thread keeps one query and its output in registers, a
// block shares tiles of keys and values in shared memory, and the sum is corrected whenever a
// larger score turns up (online softmax, Milakov & Gimelshein 2018; FlashAttention, Dao 2022).
constexpr int kTile = 32, kQueries = 64;
__global__ void __launch_bounds__(kQueries)
    tiled_kernel(bfloat16* out, const bfloat16* qkv, int64_t seq, int64_t heads) {
  GPU_SHARED(keys, float[kTile][kDim]);
  GPU_SHARED(values, float[kTile][kDim]);
  const int64_t row = blockIdx.z, head = blockIdx.y;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kQueries + threadIdx.x;
  const bool inside = i < seq;
  float q[kDim], sum[kDim], largest = -INFINITY, total = 0;
  const bfloat16* query = row_of(qkv, row, inside ? i : 0, 0, head, seq, heads);
  GPU_UNROLL
  for (int d = 0; d < kDim; ++d) {
    q[d] = gpu::load(query[d]) * kScale;
    sum[d] = 0;
  }
  for (int64_t first = 0; first < seq; first += kTile) {
    for (int e = static_cast<int>(threadIdx.x); e < kTile * kDim; e += kQueries) {
      const int64_t j = first + e / kDim < seq ? first + e / kDim : 0;
      keys[e / kDim][e % kDim] = gpu::load(row_of(qkv, row, j, 1, head, seq, heads)[e % kDim]);
      values[e / kDim][e % kDim] = gpu::load(row_of(qkv, row, j, 2, head, seq, heads)[e % kDim]);
    }
    __syncthreads();
    for (int j = 0; j < kTile && first + j < seq; ++j) {
      float score = 0;
      GPU_UNROLL
      for (int d = 0; d < kDim; ++d) score += q[d] * keys[j][d];
      const float next = gpu::larger(largest, score);
      const float keep = expf(largest - next), weight = expf(score - next);
      total = total * keep + weight;
      GPU_UNROLL
      for (int d = 0; d < kDim; ++d) sum[d] = sum[d] * keep + weight * values[j][d];
      largest = next;
    }
    __syncthreads();
  }
  if (!inside) return;
  GPU_UNROLL
  for (int d = 0; d < kDim; ++d)
    gpu::store(out[((row * seq + i) * heads + head) * kDim + d], sum[d] / total);
}

// What attention gives for the first rows of a batch, in double.
std::vector<double> reference(const std::vector<bfloat16>& qkv, int64_t rows, int64_t seq,
                              int64_t heads) {
  const auto at = [&](int64_t row, int64_t s, int part, int64_t head, int d) {
    return static_cast<double>(static_cast<float>(
        qkv[static_cast<size_t>((((row * seq + s) * 3 + part) * heads + head) * kDim + d)]));
  };
  std::vector<double> want(static_cast<size_t>(rows * seq * heads * kDim));
  std::vector<double> p(static_cast<size_t>(seq));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t i = 0; i < seq; ++i) {
        double total = 0;
        for (int64_t j = 0; j < seq; ++j) {
          double score = 0;
          for (int d = 0; d < kDim; ++d) score += at(row, i, 0, head, d) * at(row, j, 1, head, d);
          total += p[j] = std::exp(score / 8);
        }
        for (int d = 0; d < kDim; ++d) {
          double sum = 0;
          for (int64_t j = 0; j < seq; ++j) sum += p[j] / total * at(row, j, 2, head, d);
          want[((row * seq + i) * heads + head) * kDim + d] = sum;
        }
      }
  return want;
}

}  // namespace

int main() {
  using ladder::Buffer;
  const int64_t batch = ladder::kTiny ? 1 : 768, seq = 82, heads = ladder::kTiny ? 2 : 8;
  const int64_t width = heads * kDim, tokens = batch * seq;
  const auto qkv = ladder::numbers(tokens * 3 * width, 3);
  // The reference takes its time: two rows are enough.
  const std::vector<double> want = reference(qkv, std::min<int64_t>(batch, 2), seq, heads);
  const Buffer<bfloat16> in(qkv), out(tokens * width);
  const Buffer<float> scores(batch * heads * seq * seq), stats(batch * heads * seq * 2);
  const double bytes = 8.0 * static_cast<double>(tokens * width), copy = ladder::copy_rate();
  const double flops = 4.0 * static_cast<double>(tokens * seq * width);
  const Context context{Device::cuda, nullptr};
  const bfloat16* x = in.data();
  bfloat16* y = out.data();
  float* s = scores.data();
  std::printf("%s, batch %d, %d positions, %d heads\n", cuda::device_name().c_str(),
              static_cast<int>(batch), static_cast<int>(seq), static_cast<int>(heads));
  bool right = true;
  const auto rung = [&](const char* name, const std::function<void()>& run) {
    right &= ladder::rung(name, out, want, bytes, flops, copy, run);
  };
  const auto grid = [&](int64_t blocks) {
    return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(heads),
                static_cast<unsigned>(batch));
  };
  rung("1 three kernels, scores in global memory", [&] {
    gpu::launch<scores_kernel>(grid(seq), dim3(96), 0, context, s, x, seq, heads);
    gpu::launch<softmax_rows_kernel>(dim3(static_cast<unsigned>(batch * heads * seq)),
                                     dim3(gpu::kWarp), 0, context, s, seq);
    gpu::launch<weigh_values_kernel>(grid(seq), dim3(64), 0, context, y,
                                     static_cast<const float*>(s), x, seq, heads);
  });
  rung("2 tiles in shared memory, online softmax", [&] {
    gpu::launch<tiled_kernel>(grid((seq + kQueries - 1) / kQueries), dim3(kQueries), 0, context, y,
                              x, seq, heads);
  });
  rung("3 the library: the same on tensor cores", [&] {
    const AttentionShape shape{batch, seq, heads, kDim};
    cuda::attention(DType::bf16, y, stats.data(), x, nullptr, nullptr, shape, context);
  });
  return right ? 0 : 1;
}
