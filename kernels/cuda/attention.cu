// Attention for any head size and type: a warp works on one row of scores, which stays in shared
// memory. bf16 heads whose size is a multiple of 16 go to the tensor cores (attention_mma.cu), if
// no probability is dropped and all queries of a long sequence are asked for.
#include "kernels/attention.h"
#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"

namespace hrm::cuda {
namespace {

constexpr int kRows = 4;  // of scores, a warp each, per block
constexpr int64_t kMaxSeq = 1024;

// One head of one batch row in qkv, and its rotary tables.
template <class T>
struct Head {
  using A = arithmetic<T>;
  const T* qkv;
  const A *cos, *sin;
  int64_t seq, dim, width, first, column;

  __device__ Head(const T* qkv_, const A* cos_, const A* sin_, const AttentionShape& shape,
                  int64_t index)
      : qkv(qkv_),
        cos(cos_),
        sin(sin_),
        seq(shape.seq),
        dim(shape.head_dim),
        width(shape.heads * shape.head_dim),
        first(index / shape.heads * shape.seq),
        column(index % shape.heads * shape.head_dim) {}
  // Where row s of part 0, 1, 2 (q, k, v) begins.
  __device__ int64_t at(int part, int64_t s) const {
    return (first + s) * 3 * width + part * width + column;
  }
  // Where row s begins in a [batch, seq, heads * head_dim] tensor.
  __device__ int64_t out_at(int64_t s) const { return (first + s) * width + column; }
  // Element i of row s of a part, rotated where RoPE applies.
  __device__ A element(int part, int64_t s, int64_t i) const {
    const T* row = qkv + at(part, s);
    const A x = gpu::load(row[i]);
    if (!cos || part == 2) return x;
    const int64_t half = dim / 2;
    const A other = i < half ? -gpu::load(row[i + half]) : gpu::load(row[i - half]);
    return gpu::rounded<T>(x * cos[s * dim + i] + other * sin[s * dim + i]);
  }
  // The gradient of element i before the rotation, from the whole rotated row.
  __device__ A unrotated(const A* row, int64_t s, int64_t i) const {
    if (!cos) return row[i];
    const int64_t half = dim / 2;
    const A other = i < half ? row[i + half] * sin[s * dim + i + half]
                             : -row[i - half] * sin[s * dim + i - half];
    return row[i] * cos[s * dim + i] + other;
  }
};

// Element j of the factors of a row of probabilities: 1 without dropout.
template <class A>
class Factors {
 public:
  __device__ explicit Factors(const AttentionShape& shape) {
    if (shape.dropout.p > 0) draws_ = dropout_draws(shape.dropout);
    blocks_of_a_row_ = shape.draws_of_a_row();
  }
  __device__ A of(int64_t row, int64_t j) const {
    if (draws_.threshold == 0) return 1;
    const PhiloxBlock block =
        philox(draws_.seed, static_cast<uint64_t>(row * blocks_of_a_row_ + j / kDropoutDraws));
    const bool kept = dropout_draw(block, static_cast<int>(j % kDropoutDraws)) >= draws_.threshold;
    return kept ? static_cast<A>(draws_.scale) : A(0);
  }

 private:
  DropoutDraws draws_{0, 0, 1};
  int64_t blocks_of_a_row_;
};

// This warp's piece of the block's dynamic shared memory: `size` elements.
template <class A>
__device__ A* warp_memory(std::byte* memory, int64_t size) {
  return reinterpret_cast<A*>(memory) + gpu::warp() * size;
}

// Block (x, y): query rows kRows y.. of head x. Each warp: its query [dim], its scores [seq].
template <class T>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    attention_kernel(T* out, arithmetic<T>* stats, const T* qkv, const arithmetic<T>* cos,
                     const arithmetic<T>* sin, AttentionShape shape, arithmetic<T> scale) {
  using A = arithmetic<T>;
  GPU_DYNAMIC_SHARED(memory);
  const Head<T> head(qkv, cos, sin, shape, blockIdx.x);
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kRows + gpu::warp();
  if (row >= shape.asked()) return;
  A* q = warp_memory<A>(memory, head.dim + head.seq);
  A* p = q + head.dim;
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) q[i] = head.element(0, row, i);
  __syncwarp();
  A largest = 0;
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp) {
    A score = 0;
    for (int64_t i = 0; i < head.dim; ++i) score += q[i] * head.element(1, j, i);
    p[j] = score;
    largest = j < gpu::kWarp ? score : gpu::larger(largest, score);
  }
  // Lanes without a key repeat lane 0's.
  const A of_first = __shfl_sync(gpu::kAllLanes, largest, 0);
  largest = gpu::warp_max(gpu::lane() < head.seq ? largest : of_first);
  A total = 0;
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp) {
    p[j] = gpu::exponential((p[j] - largest) * scale);
    total += p[j];
  }
  total = gpu::warp_sum(total);
  const Factors<A> factors(shape);
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp)
    p[j] = gpu::rounded<T>(p[j] / total * factors.of(blockIdx.x * head.seq + row, j));
  if (gpu::lane() == 0) {
    A* stat = stats + (blockIdx.x * head.seq + row) * 2;
    stat[0] = largest;
    stat[1] = total;
  }
  __syncwarp();
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) {
    A sum = 0;
    for (int64_t j = 0; j < head.seq; ++j) sum += p[j] * head.element(2, j, i);
    gpu::store(out[head.out_at(row) + i], sum);
  }
}

// dq, and means[head, row] = sum(p dp) of each row for the other kernel. Each warp: its query and
// its dout [dim], its ds [seq]; dq comes where the query was.
template <class T>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    attention_dq_kernel(T* dqkv, arithmetic<T>* means, const T* dout, const arithmetic<T>* stats,
                        const T* qkv, const arithmetic<T>* cos, const arithmetic<T>* sin,
                        AttentionShape shape, arithmetic<T> scale) {
  using A = arithmetic<T>;
  GPU_DYNAMIC_SHARED(memory);
  const Head<T> head(qkv, cos, sin, shape, blockIdx.x);
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kRows + gpu::warp();
  if (row >= head.seq) return;
  A* q = warp_memory<A>(memory, 3 * head.dim + head.seq);
  A *go = q + head.dim, *dq = go + head.dim, *ds = dq + head.dim;
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) {
    q[i] = head.element(0, row, i);
    go[i] = gpu::load(dout[head.out_at(row) + i]);
  }
  __syncwarp();
  const A* stat = stats + (blockIdx.x * head.seq + row) * 2;
  const A largest = stat[0], inverse = A(1) / stat[1];
  const auto probability = [&](int64_t j) {
    A score = 0;
    for (int64_t i = 0; i < head.dim; ++i) score += q[i] * head.element(1, j, i);
    return gpu::exponential((score - largest) * scale) * inverse;
  };
  const Factors<A> factors(shape);
  A mean = 0;
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp) {
    A dp = 0;
    for (int64_t i = 0; i < head.dim; ++i) dp += go[i] * head.element(2, j, i);
    dp *= factors.of(blockIdx.x * head.seq + row, j);
    ds[j] = dp;
    mean += probability(j) * dp;
  }
  mean = gpu::warp_sum(mean);
  if (gpu::lane() == 0) means[blockIdx.x * head.seq + row] = mean;
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp)
    ds[j] = probability(j) * (ds[j] - mean) * scale;
  __syncwarp();
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) {
    A sum = 0;
    for (int64_t j = 0; j < head.seq; ++j) sum += ds[j] * head.element(1, j, i);
    dq[i] = sum;
  }
  __syncwarp();
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp)
    gpu::store(dqkv[head.at(0, row) + i], head.unrotated(dq, row, i));
}

// dk and dv, a warp for a key. Each warp: its key and value [dim], p and ds of every query [seq];
// dk comes where the key was.
template <class T>
__global__ void __launch_bounds__(gpu::kWarp* kRows)
    attention_dkv_kernel(T* dqkv, const arithmetic<T>* means, const T* dout,
                         const arithmetic<T>* stats, const T* qkv, const arithmetic<T>* cos,
                         const arithmetic<T>* sin, AttentionShape shape, arithmetic<T> scale) {
  using A = arithmetic<T>;
  GPU_DYNAMIC_SHARED(memory);
  const Head<T> head(qkv, cos, sin, shape, blockIdx.x);
  const int64_t row = static_cast<int64_t>(blockIdx.y) * kRows + gpu::warp();
  if (row >= head.seq) return;
  A* k = warp_memory<A>(memory, 3 * head.dim + 2 * head.seq);
  A *v = k + head.dim, *dk = v + head.dim, *p = dk + head.dim, *ds = p + head.seq;
  const Factors<A> factors(shape);
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) {
    k[i] = head.element(1, row, i);
    v[i] = head.element(2, row, i);
  }
  __syncwarp();
  for (int64_t j = gpu::lane(); j < head.seq; j += gpu::kWarp) {
    A score = 0, dp = 0;
    GPU_NO_UNROLL
    for (int64_t i = 0; i < head.dim; ++i) {
      score += head.element(0, j, i) * k[i];
      dp += gpu::load(dout[head.out_at(j) + i]) * v[i];
    }
    const int64_t at = blockIdx.x * head.seq + j;
    const A probability = gpu::exponential((score - stats[at * 2]) * scale) / stats[at * 2 + 1];
    const A factor = factors.of(at, row);
    p[j] = gpu::rounded<T>(probability * factor);
    ds[j] = probability * (dp * factor - means[at]) * scale;
  }
  __syncwarp();
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp) {
    A sum_k = 0, sum_v = 0;
    for (int64_t j = 0; j < head.seq; ++j) {
      sum_k += ds[j] * head.element(0, j, i);
      sum_v += p[j] * gpu::load(dout[head.out_at(j) + i]);
    }
    dk[i] = sum_k;
    gpu::store(dqkv[head.at(2, row) + i], sum_v);
  }
  __syncwarp();
  for (int64_t i = gpu::lane(); i < head.dim; i += gpu::kWarp)
    gpu::store(dqkv[head.at(1, row) + i], head.unrotated(dk, row, i));
}

dim3 grid_of(const AttentionShape& shape, int64_t rows) {
  HRM_CHECK(shape.seq <= kMaxSeq, "[attention] sequences of at most ", kMaxSeq,
            " positions run on a GPU, got ", shape.seq);
  return dim3(static_cast<unsigned>(shape.batch * shape.heads),
              static_cast<unsigned>((rows + kRows - 1) / kRows));
}

}  // namespace

void attention(DType t, void* out, void* stats, const void* qkv, const void* cos, const void* sin,
               const AttentionShape& shape, const Context& context) {
  if (shape.batch * shape.seq == 0) return;
  if (attention_mma_fits(t, shape)) return attention_mma(out, stats, qkv, cos, sin, shape, context);
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const size_t shared = static_cast<size_t>(kRows * (shape.head_dim + shape.seq)) * sizeof(A);
    gpu::launch<attention_kernel<T>>(grid_of(shape, shape.asked()), dim3(gpu::kWarp * kRows),
                                     shared, context, static_cast<T*>(out), static_cast<A*>(stats),
                                     static_cast<const T*>(qkv), static_cast<const A*>(cos),
                                     static_cast<const A*>(sin), shape,
                                     A(1) / std::sqrt(static_cast<A>(shape.head_dim)));
  });
}

void attention_backward(DType t, void* dqkv, const void* dout, const void* stats, const void* qkv,
                        const void* cos, const void* sin, const AttentionShape& shape,
                        const Context& context) {
  if (shape.batch * shape.seq == 0) return;
  if (attention_mma_fits(t, shape))
    return attention_mma_backward(dqkv, dout, stats, qkv, cos, sin, shape, context);
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const dim3 grid = grid_of(shape, shape.seq), block(gpu::kWarp * kRows);
    const A scale = A(1) / std::sqrt(static_cast<A>(shape.head_dim));
    auto* means = static_cast<A*>(
        workspace(static_cast<size_t>(shape.batch * shape.heads * shape.seq) * sizeof(A)));
    const auto bytes = [&](int64_t rows) {
      return static_cast<size_t>(kRows * (3 * shape.head_dim + rows * shape.seq)) * sizeof(A);
    };
    gpu::launch<attention_dq_kernel<T>>(
        grid, block, bytes(1), context, static_cast<T*>(dqkv), means, static_cast<const T*>(dout),
        static_cast<const A*>(stats), static_cast<const T*>(qkv), static_cast<const A*>(cos),
        static_cast<const A*>(sin), shape, scale);
    gpu::launch<attention_dkv_kernel<T>>(
        grid, block, bytes(2), context, static_cast<T*>(dqkv), static_cast<const A*>(means),
        static_cast<const T*>(dout), static_cast<const A*>(stats), static_cast<const T*>(qkv),
        static_cast<const A*>(cos), static_cast<const A*>(sin), shape, scale);
  });
}

}  // namespace hrm::cuda
