#include <algorithm>

#include "kernels/cuda/gpu.h"
#include "kernels/formulas.h"
#include "kernels/optimizer.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kPerBlock = 4096;  // elements of one tensor that a block updates
constexpr int kMaxTensors = 56;  // of one launch: the list travels with it, in 4 KB

template <class A>
struct AdamItem {
  A *p, *m, *v;
  bfloat16* copy;
  const A* g;
  int64_t n;
  const double* rates;
};
template <class A>
struct AdamList {
  AdamItem<A> items[kMaxTensors];
  int32_t first_block[kMaxTensors + 1];
  int32_t count;
};

template <class A>
__global__ void __launch_bounds__(kBlock)
    adam_kernel(AdamList<A> list, AdamRule rule, const double* gradient_scale,
                const int32_t* skip) {
  if (skip && *skip) return;
  int t = 0;
  while (t + 1 < list.count && static_cast<int32_t>(blockIdx.x) >= list.first_block[t + 1]) ++t;
  const AdamItem<A>& item = list.items[t];
  const A decay = static_cast<A>(item.rates[0]), rate = static_cast<A>(item.rates[1]);
  const A correction = static_cast<A>(item.rates[2]), keep1 = static_cast<A>(1 - rule.beta1);
  const A beta2 = static_cast<A>(rule.beta2), keep2 = static_cast<A>(1 - rule.beta2);
  const A eps = static_cast<A>(rule.eps);
  const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
  const int64_t begin = (static_cast<int64_t>(blockIdx.x) - list.first_block[t]) * kPerBlock;
  const int64_t end = begin + kPerBlock < item.n ? begin + kPerBlock : item.n;
  GPU_NO_UNROLL  // enough threads; unrolled it spills
      for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
    const A g = item.g[i] * scale;
    const A old_m = item.m[i], m = old_m + (g - old_m) * keep1;
    const A v = beta2 * item.v[i] + keep2 * g * g;
    item.m[i] = m;
    item.v[i] = v;
    const A root = gpu::square_root(v) * correction;
    const A direction = rule.kind == AdamKind::adam_atan2 ? fast_atan2(m, root) : m / (root + eps);
    const A p = item.p[i] * decay - rate * direction;
    item.p[i] = p;
    if (item.copy) gpu::store(item.copy[i], p);
  }
}

template <class A>
__global__ void sgd_kernel(A* p, A* m, bfloat16* copy, const A* g, int64_t n, SgdRule rule,
                           const double* rates, const double* gradient_scale, const int32_t* skip) {
  if (skip && *skip) return;
  const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
  const A momentum = static_cast<A>(rule.momentum), decay = static_cast<A>(rule.weight_decay);
  const A rate = static_cast<A>(*rates);
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const A d = g[i] * scale + decay * p[i];
    A direction = d;
    if (m) {
      m[i] = momentum * m[i] + d;
      direction = rule.nesterov ? d + momentum * m[i] : m[i];
    }
    p[i] -= rate * direction;
    if (copy) gpu::store(copy[i], static_cast<float>(p[i]));
  }
}

template <class A>
__global__ void muon_momentum_kernel(A* m, A* ahead, const A* g, int64_t n, A momentum, A take,
                                     const double* gradient_scale, const int32_t* skip) {
  const bool stays = skip && *skip;
  const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const A scaled = g[i] * scale, moved = momentum * m[i] + take * scaled;
    ahead[i] = momentum * moved + take * scaled;
    if (!stays) m[i] = moved;
  }
}

template <class A>
__global__ void muon_update_kernel(A* p, bfloat16* copy, const A* direction, int64_t n,
                                   const double* rates, const int32_t* skip) {
  if (skip && *skip) return;
  const A decay = static_cast<A>(rates[0]), rate = static_cast<A>(rates[1]);
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const A moved = p[i] * decay - rate * direction[i];
    p[i] = moved;
    if (copy) gpu::store(copy[i], moved);
  }
}

// Block (i, b) works for columns [256 b, 256 b + 256) of the i-th row of the batch, if no row
// before has its id. Where all rows have one, as in a data set without puzzles of its own, that
// block alone adds them up: many are loaded at once, and added in their order.
template <class T>
__global__ void __launch_bounds__(kBlock)
    sign_sgd_rows_kernel(T* table, const T* grad, const int32_t* ids, int64_t batch, int64_t dim,
                         const double* rates, const int32_t* skip) {
  using A = arithmetic<T>;
  if (skip && *skip) return;
  const A decay = static_cast<A>(rates[0]), rate = static_cast<A>(rates[1]);
  GPU_SHARED(scratch, int[gpu::kWarp]);
  const int64_t row = blockIdx.x;
  const int32_t id = ids[row];
  int earlier = 0;
  for (int64_t j = threadIdx.x; j < row; j += kBlock) earlier += ids[j] == id;
  if (gpu::block_sum(earlier, scratch) > 0) return;
  const int64_t d = static_cast<int64_t>(blockIdx.y) * kBlock + threadIdx.x;
  if (d >= dim) return;
  constexpr int kAtOnce = 8;
  A total = 0;
  for (int64_t j = row; j < batch; j += kAtOnce) {
    unsigned same = 0;  // bit k: row j + k has this id
    GPU_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
      const bool inside = j + k < batch;
      same |= static_cast<unsigned>(inside & (ids[inside ? j + k : row] == id)) << k;
    }
    if (same == 0) continue;
    A part[kAtOnce];
    GPU_UNROLL
    for (int k = 0; k < kAtOnce; ++k)  // without a branch: some row is always there to read
      part[k] = gpu::load(grad[((same >> k & 1) ? j + k : row) * dim + d]);
    GPU_UNROLL
    for (int k = 0; k < kAtOnce; ++k) total += (same >> k & 1) ? part[k] : A(0);
  }
  const A sign = total > 0 ? A(1) : (total < 0 ? A(-1) : A(0));
  T& target = table[id * dim + d];
  gpu::store(target, gpu::load(target) * decay - rate * sign);
}

template <class T>
__global__ void ema_kernel(T* shadow, const T* p, int64_t n, arithmetic<T> keep, arithmetic<T> take,
                           const int32_t* skip) {
  if (skip && *skip) return;
  for (int64_t i = gpu::first(); i < n; i += gpu::stride())
    gpu::store(shadow[i], take * gpu::load(p[i]) + keep * gpu::load(shadow[i]));
}

__global__ void clip_scale_kernel(double* scale, const double* sum_of_squares, double max_norm) {
  if (threadIdx.x > 0) return;
  const double norm = sqrt(*sum_of_squares);
  *scale = norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace

void adam(DType t, const AdamTensor* tensors, int64_t count, const AdamRule& rule,
          const double* gradient_scale, const int32_t* skip, const Context& context) {
  HRM_CHECK(t != DType::bf16, "[adam] master weights must be f32 or f64, got ", t);
  const auto run = [&]<class A>() {
    for (int64_t first = 0; first < count; first += kMaxTensors) {
      AdamList<A> list{};
      list.count = static_cast<int32_t>(std::min<int64_t>(kMaxTensors, count - first));
      int32_t blocks = 0;
      for (int32_t i = 0; i < list.count; ++i) {
        const AdamTensor& tensor = tensors[first + i];
        list.items[i] = {static_cast<A*>(tensor.p),
                         static_cast<A*>(tensor.m),
                         static_cast<A*>(tensor.v),
                         tensor.copy,
                         static_cast<const A*>(tensor.g),
                         tensor.n,
                         tensor.rates};
        list.first_block[i] = blocks;
        blocks += static_cast<int32_t>((tensor.n + kPerBlock - 1) / kPerBlock);
      }
      if (blocks == 0) continue;
      gpu::launch<adam_kernel<A>>(dim3(static_cast<unsigned>(blocks)), dim3(kBlock), 0, context,
                                  list, rule, gradient_scale, skip);
    }
  };
  if (t == DType::f64) return run.template operator()<double>();
  run.template operator()<float>();
}

void sgd(DType t, void* p, void* m, bfloat16* copy, const void* g, int64_t n, const SgdRule& rule,
         const double* rates, const double* gradient_scale, const int32_t* skip,
         const Context& context) {
  HRM_CHECK(t != DType::bf16, "[sgd] master weights must be f32 or f64, got ", t);
  if (n == 0) return;
  const auto run = [&]<class A>() {
    gpu::launch<sgd_kernel<A>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                               static_cast<A*>(p), static_cast<A*>(m), copy,
                               static_cast<const A*>(g), n, rule, rates, gradient_scale, skip);
  };
  if (t == DType::f64) return run.template operator()<double>();
  run.template operator()<float>();
}

void muon_momentum(DType t, void* m, void* ahead, const void* g, int64_t n, double momentum,
                   const double* gradient_scale, const int32_t* skip, const Context& context) {
  HRM_CHECK(t != DType::bf16, "[muon] master weights must be f32 or f64, got ", t);
  if (n == 0) return;
  const auto run = [&]<class A>() {
    gpu::launch<muon_momentum_kernel<A>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                         static_cast<A*>(m), static_cast<A*>(ahead),
                                         static_cast<const A*>(g), n, static_cast<A>(momentum),
                                         static_cast<A>(1 - momentum), gradient_scale, skip);
  };
  if (t == DType::f64) return run.template operator()<double>();
  run.template operator()<float>();
}

void muon_update(DType t, void* p, bfloat16* copy, const void* direction, int64_t n,
                 const double* rates, const int32_t* skip, const Context& context) {
  HRM_CHECK(t != DType::bf16, "[muon] master weights must be f32 or f64, got ", t);
  if (n == 0) return;
  const auto run = [&]<class A>() {
    gpu::launch<muon_update_kernel<A>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                                       static_cast<A*>(p), copy, static_cast<const A*>(direction),
                                       n, rates, skip);
  };
  if (t == DType::f64) return run.template operator()<double>();
  run.template operator()<float>();
}

void sign_sgd_rows(DType t, void* table, const void* grad, const int32_t* ids, int64_t batch,
                   int64_t dim, const double* rates, const int32_t* skip, const Context& context) {
  if (batch == 0 || dim == 0) return;
  const dim3 grid(static_cast<unsigned>(batch), static_cast<unsigned>((dim + kBlock - 1) / kBlock));
  visit_float(t, [&]<class T>() {
    gpu::launch<sign_sgd_rows_kernel<T>>(grid, dim3(kBlock), 0, context, static_cast<T*>(table),
                                         static_cast<const T*>(grad), ids, batch, dim, rates, skip);
  });
}

void ema_update(DType t, void* shadow, const void* p, int64_t n, double rate, const int32_t* skip,
                const Context& context) {
  if (n == 0) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    gpu::launch<ema_kernel<T>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                               static_cast<T*>(shadow), static_cast<const T*>(p), n,
                               static_cast<A>(rate), static_cast<A>(1 - rate), skip);
  });
}

void clip_scale(double* scale, const double* sum_of_squares, double max_norm,
                const Context& context) {
  gpu::launch<clip_scale_kernel>(dim3(1), dim3(gpu::kWarp), 0, context, scale, sum_of_squares,
                                 max_norm);
}

}  // namespace hrm::cuda
