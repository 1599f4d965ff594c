// A thread a row: the vocabularies here have about a dozen tokens.
#include "kernels/cuda/gpu.h"
#include "kernels/formulas.h"
#include "kernels/loss.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 128;

template <class A>
struct LogSumExp {
  A largest, lse;  // max(x) and log(sum(exp(x - max)))
};
template <class T>
__device__ LogSumExp<arithmetic<T>> log_sum_exp(const T* x, int64_t n) {
  using A = arithmetic<T>;
  A largest = gpu::load(x[0]), total = 0;
  for (int64_t v = 1; v < n; ++v) largest = gpu::larger(largest, gpu::load(x[v]));
  for (int64_t v = 0; v < n; ++v) total += gpu::exponential(gpu::load(x[v]) - largest);
  return {largest, gpu::logarithm(total)};
}
template <class T>
__device__ double stablemax_sum(const T* x, int64_t n) {
  double total = 0;
  for (int64_t v = 0; v < n; ++v) total += stablemax(static_cast<double>(gpu::load(x[v])));
  return total;
}

template <class T>
__global__ void softmax_loss_kernel(arithmetic<T>* loss, const T* logits, const int32_t* labels,
                                    int64_t rows, int64_t vocab) {
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* x = logits + r * vocab;
    arithmetic<T> value = 0;
    if (labels[r] != kIgnoreLabel) {
      const auto s = log_sum_exp(x, vocab);
      value = s.lse - (gpu::load(x[labels[r]]) - s.largest);
    }
    loss[r] = value;
  }
}
template <class T>
__global__ void softmax_loss_backward_kernel(T* dlogits, const arithmetic<T>* dloss,
                                             const T* logits, const int32_t* labels, int64_t rows,
                                             int64_t vocab) {
  using A = arithmetic<T>;
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* x = logits + r * vocab;
    const bool ignored = labels[r] == kIgnoreLabel;
    const auto s = log_sum_exp(x, vocab);
    for (int64_t v = 0; v < vocab; ++v) {
      const A p = gpu::exponential(gpu::load(x[v]) - s.largest - s.lse);
      gpu::store(dlogits[r * vocab + v],
                 ignored ? A(0) : dloss[r] * (p - (v == labels[r] ? A(1) : A(0))));
    }
  }
}

template <class T>
__global__ void stablemax_loss_kernel(double* loss, const T* logits, const int32_t* labels,
                                      int64_t rows, int64_t vocab) {
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* x = logits + r * vocab;
    double value = 0;
    if (labels[r] != kIgnoreLabel)
      value =
          -log(stablemax(static_cast<double>(gpu::load(x[labels[r]]))) / stablemax_sum(x, vocab));
    loss[r] = value;
  }
}
template <class T>
__global__ void stablemax_loss_backward_kernel(T* dlogits, const double* dloss, const T* logits,
                                               const int32_t* labels, int64_t rows, int64_t vocab) {
  using A = arithmetic<T>;
  for (int64_t r = gpu::first(); r < rows; r += gpu::stride()) {
    const T* x = logits + r * vocab;
    // loss = log(sum s) - log(s_label)
    const double total = stablemax_sum(x, vocab);
    for (int64_t v = 0; v < vocab; ++v) {
      const auto xv = static_cast<double>(gpu::load(x[v]));
      double g = 0;
      if (labels[r] != kIgnoreLabel)
        g = dloss[r] * stablemax_derivative(xv) *
            (1 / total - (v == labels[r] ? 1 / stablemax(xv) : 0));
      gpu::store(dlogits[r * vocab + v], static_cast<A>(g));
    }
  }
}

template <class A>
__global__ void bce_kernel(A* loss, const A* logits, const A* target, const A* weight, int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const A x = logits[i];
    const A value =
        gpu::larger(x, A(0)) - x * target[i] + std::log1p(gpu::exponential(-std::abs(x)));
    loss[i] = weight ? value * weight[i] : value;
  }
}
template <class A>
__global__ void bce_backward_kernel(A* dlogits, const A* dloss, const A* logits, const A* target,
                                    const A* weight, int64_t n) {
  for (int64_t i = gpu::first(); i < n; i += gpu::stride()) {
    const A d = weight ? dloss[i] * weight[i] : dloss[i];
    dlogits[i] = d * (gpu::sigmoid(logits[i]) - target[i]);
  }
}

// f32 or f64.
template <class F>
void visit_wide(DType t, const F& f) {
  HRM_CHECK(t != DType::bf16, "[bce_with_logits] logits must be f32 or f64, got ", t);
  if (t == DType::f64) return f.template operator()<double>();
  f.template operator()<float>();
}

}  // namespace

void cross_entropy(LossType kind, DType t, void* loss, const void* logits, const int32_t* labels,
                   int64_t rows, int64_t vocab, const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    const T* x = static_cast<const T*>(logits);
    const dim3 grid = gpu::blocks_for(rows, kBlock);
    if (kind == LossType::softmax_cross_entropy)
      gpu::launch<softmax_loss_kernel<T>>(grid, dim3(kBlock), 0, context,
                                          static_cast<arithmetic<T>*>(loss), x, labels, rows,
                                          vocab);
    else
      gpu::launch<stablemax_loss_kernel<T>>(grid, dim3(kBlock), 0, context,
                                            static_cast<double*>(loss), x, labels, rows, vocab);
  });
}

void cross_entropy_backward(LossType kind, DType t, void* dlogits, const void* dloss,
                            const void* logits, const int32_t* labels, int64_t rows, int64_t vocab,
                            const Context& context) {
  if (rows == 0) return;
  visit_float(t, [&]<class T>() {
    const T* x = static_cast<const T*>(logits);
    T* dx = static_cast<T*>(dlogits);
    const dim3 grid = gpu::blocks_for(rows, kBlock);
    if (kind == LossType::softmax_cross_entropy)
      gpu::launch<softmax_loss_backward_kernel<T>>(grid, dim3(kBlock), 0, context, dx,
                                                   static_cast<const arithmetic<T>*>(dloss), x,
                                                   labels, rows, vocab);
    else
      gpu::launch<stablemax_loss_backward_kernel<T>>(grid, dim3(kBlock), 0, context, dx,
                                                     static_cast<const double*>(dloss), x, labels,
                                                     rows, vocab);
  });
}

void bce_with_logits(DType t, void* loss, const void* logits, const void* target,
                     const void* weight, int64_t n, const Context& context) {
  if (n == 0) return;
  visit_wide(t, [&]<class A>() {
    gpu::launch<bce_kernel<A>>(gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context,
                               static_cast<A*>(loss), static_cast<const A*>(logits),
                               static_cast<const A*>(target), static_cast<const A*>(weight), n);
  });
}

void bce_with_logits_backward(DType t, void* dlogits, const void* dloss, const void* logits,
                              const void* target, const void* weight, int64_t n,
                              const Context& context) {
  if (n == 0) return;
  visit_wide(t, [&]<class A>() {
    gpu::launch<bce_backward_kernel<A>>(
        gpu::blocks_for(n, kBlock), dim3(kBlock), 0, context, static_cast<A*>(dlogits),
        static_cast<const A*>(dloss), static_cast<const A*>(logits), static_cast<const A*>(target),
        static_cast<const A*>(weight), n);
  });
}

}  // namespace hrm::cuda
