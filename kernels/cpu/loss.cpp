#include "kernels/loss.h"

#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/formulas.h"

namespace hrm::HRM_CPU {
namespace {

// max(x) and log(sum(exp(x - max))) of a row.
template <class A, class T>
std::pair<A, A> log_sum_exp(const T* x, int64_t n) {
  A largest = static_cast<A>(x[0]), total = 0;
  for (int64_t v = 1; v < n; ++v) largest = std::max(largest, static_cast<A>(x[v]));
  for (int64_t v = 0; v < n; ++v) total += std::exp(static_cast<A>(x[v]) - largest);
  return {largest, std::log(total)};
}

}  // namespace

void cross_entropy(LossType kind, DType t, void* loss, const void* logits, const int32_t* labels,
                   int64_t rows, int64_t vocab, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, vocab * 4, [&](int64_t r) {
      const T* x = static_cast<const T*>(logits) + r * vocab;
      const bool ignored = labels[r] == kIgnoreLabel;
      if (kind == LossType::softmax_cross_entropy) {
        const auto [largest, lse] = log_sum_exp<A>(x, vocab);
        static_cast<A*>(loss)[r] = ignored ? A(0) : lse - (static_cast<A>(x[labels[r]]) - largest);
        return;
      }
      double total = 0;
      for (int64_t v = 0; v < vocab; ++v) total += stablemax(static_cast<double>(x[v]));
      static_cast<double*>(loss)[r] =
          ignored ? 0 : -std::log(stablemax(static_cast<double>(x[labels[r]])) / total);
    });
  });
}

void cross_entropy_backward(LossType kind, DType t, void* dlogits, const void* dloss,
                            const void* logits, const int32_t* labels, int64_t rows, int64_t vocab,
                            const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    parallel_for(rows, vocab * 4, [&](int64_t r) {
      const T* x = static_cast<const T*>(logits) + r * vocab;
      T* dx = static_cast<T*>(dlogits) + r * vocab;
      const int32_t label = labels[r];
      if (label == kIgnoreLabel) {
        std::fill_n(dx, vocab, T(0.0f));
      } else if (kind == LossType::softmax_cross_entropy) {
        const auto [largest, lse] = log_sum_exp<A>(x, vocab);
        const A g = static_cast<const A*>(dloss)[r];
        for (int64_t v = 0; v < vocab; ++v) {
          const A p = std::exp(static_cast<A>(x[v]) - largest - lse);
          dx[v] = static_cast<T>(g * (p - (v == label ? A(1) : A(0))));
        }
      } else {
        // loss = log(sum s) - log(s_label)
        double total = 0;
        for (int64_t v = 0; v < vocab; ++v) total += stablemax(static_cast<double>(x[v]));
        const double g = static_cast<const double*>(dloss)[r];
        for (int64_t v = 0; v < vocab; ++v) {
          const double xv = static_cast<double>(x[v]);
          const double picked = v == label ? 1 / stablemax(xv) : 0;
          dx[v] =
              static_cast<T>(static_cast<A>(g * stablemax_derivative(xv) * (1 / total - picked)));
        }
      }
    });
  });
}

namespace {
// run(weight), where weight(i) is that of element i.
template <class T, class Run>
void with_weights(const void* weight, const Run& run) {
  using A = arithmetic<T>;
  if (const T* all = static_cast<const T*>(weight))
    run([all](int64_t i) { return static_cast<A>(all[i]); });
  else
    run([](int64_t) { return A(1); });
}
}  // namespace

void bce_with_logits(DType t, void* loss, const void* logits, const void* target,
                     const void* weight, int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const T *xs = static_cast<const T*>(logits), *ys = static_cast<const T*>(target);
    with_weights<T>(weight, [&](const auto& w) {
      parallel_chunks(n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const A x = static_cast<A>(xs[i]), y = static_cast<A>(ys[i]);
          const A value = std::max(x, A(0)) - x * y + std::log1p(std::exp(-std::abs(x)));
          static_cast<T*>(loss)[i] = static_cast<T>(value * w(i));
        }
      });
    });
  });
}

void bce_with_logits_backward(DType t, void* dlogits, const void* dloss, const void* logits,
                              const void* target, const void* weight, int64_t n, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const T *xs = static_cast<const T*>(logits), *ys = static_cast<const T*>(target);
    const T* ds = static_cast<const T*>(dloss);
    with_weights<T>(weight, [&](const auto& w) {
      parallel_chunks(n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          static_cast<T*>(dlogits)[i] =
              static_cast<T>(static_cast<A>(ds[i]) * w(i) *
                             (sigmoid(static_cast<A>(xs[i])) - static_cast<A>(ys[i])));
      });
    });
  });
}

}  // namespace hrm::HRM_CPU
