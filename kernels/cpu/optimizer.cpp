#include "kernels/optimizer.h"

#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::cpu {
namespace {

// The part Adam-atan2 and AdamW share; direction(m, v, second_correction) is what they do not.
template <class Direction>
void adam(DType t, void* p, void* m, void* v, bfloat16* copy, const void* g, int64_t n,
          const AdamStep& step, const double* gradient_scale, const int32_t* skip,
          const Direction& direction) {
  if (skip && *skip) return;
  CHECK(t != DType::bf16, "[adam] master weights must be f32 or f64, got ", t);
  visit_float(t, [&]<class S>() {
    using A = arithmetic<S>;
    const auto steps = static_cast<double>(step.t);
    const A decay = static_cast<A>(1 - step.lr * step.weight_decay);
    const A rate = static_cast<A>(step.lr / (1 - std::pow(step.beta1, steps)));
    const A correction = static_cast<A>(1 / std::sqrt(1 - std::pow(step.beta2, steps)));
    const A keep1 = static_cast<A>(1 - step.beta1);
    const A beta2 = static_cast<A>(step.beta2), keep2 = static_cast<A>(1 - step.beta2);
    const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
    S *weight = static_cast<S*>(p), *first = static_cast<S*>(m), *second = static_cast<S*>(v);
    const S* grad = static_cast<const S*>(g);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const A gi = static_cast<A>(grad[i]) * scale;
        const A mi = static_cast<A>(first[i]) + (gi - static_cast<A>(first[i])) * keep1;
        const A vi = beta2 * static_cast<A>(second[i]) + keep2 * gi * gi;
        first[i] = static_cast<S>(mi);
        second[i] = static_cast<S>(vi);
        const A old = static_cast<A>(weight[i]) * decay;
        weight[i] = static_cast<S>(old - rate * direction(mi, std::sqrt(vi) * correction));
      }
      if (copy)
        for (int64_t i = begin; i < end; ++i) assign(copy[i], weight[i]);
    });
  });
}

}  // namespace

void adam_atan2(DType t, void* p, void* m, void* v, bfloat16* copy, const void* g, int64_t n,
                const AdamStep& step, const double* gradient_scale, const int32_t* skip,
                const Context&) {
  adam(t, p, m, v, copy, g, n, step, gradient_scale, skip,
       [](auto first, auto root) { return fast_atan2(first, root); });
}

void adamw(DType t, void* p, void* m, void* v, bfloat16* copy, const void* g, int64_t n,
           const AdamStep& step, const double* gradient_scale, const int32_t* skip,
           const Context&) {
  adam(t, p, m, v, copy, g, n, step, gradient_scale, skip, [&](auto first, auto root) {
    return first / (root + static_cast<decltype(root)>(step.eps));
  });
}

void sign_sgd_rows(DType t, void* table, const void* grad, const int32_t* ids, int64_t batch,
                   int64_t dim, double lr, double weight_decay, const int32_t* skip,
                   const Context&) {
  if (skip && *skip) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const A decay = static_cast<A>(1 - lr * weight_decay), rate = static_cast<A>(lr);
    parallel_for(batch, batch + dim, [&](int64_t i) {
      for (int64_t j = 0; j < i; ++j)
        if (ids[j] == ids[i]) return;  // the first row with an id works for all of them
      std::vector<A> total(dim, A(0));
      for (int64_t j = i; j < batch; ++j)
        if (ids[j] == ids[i])
          for (int64_t d = 0; d < dim; ++d)
            total[d] += static_cast<A>(static_cast<const T*>(grad)[j * dim + d]);
      T* row = static_cast<T*>(table) + ids[i] * dim;
      for (int64_t d = 0; d < dim; ++d) {
        const A sign = total[d] > 0 ? A(1) : (total[d] < 0 ? A(-1) : A(0));
        row[d] = static_cast<T>(static_cast<A>(row[d]) * decay - rate * sign);
      }
    });
  });
}

void ema_update(DType t, void* shadow, const void* p, int64_t n, double rate, const int32_t* skip,
                const Context&) {
  if (skip && *skip) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const A keep = static_cast<A>(rate), take = static_cast<A>(1 - rate);
    T* s = static_cast<T*>(shadow);
    const T* w = static_cast<const T*>(p);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i)
        s[i] = static_cast<T>(take * static_cast<A>(w[i]) + keep * static_cast<A>(s[i]));
    });
  });
}

void clip_scale(double* scale, const double* sum_of_squares, double max_norm, const Context&) {
  const double norm = std::sqrt(*sum_of_squares);
  *scale = norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace hrm::cpu
