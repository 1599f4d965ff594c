#include "kernels/optimizer.h"

#include <cmath>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {
namespace {

template <class A, class Direction>
void adam_update(const AdamTensor& tensor, const AdamRule& rule, A scale,
                 const Direction& direction) {
  const A decay = static_cast<A>(tensor.rates[0]), rate = static_cast<A>(tensor.rates[1]);
  const A correction = static_cast<A>(tensor.rates[2]), keep1 = static_cast<A>(1 - rule.beta1);
  const A beta2 = static_cast<A>(rule.beta2), keep2 = static_cast<A>(1 - rule.beta2);
  A *weight = static_cast<A*>(tensor.p), *first = static_cast<A*>(tensor.m),
    *second = static_cast<A*>(tensor.v);
  const A* grad = static_cast<const A*>(tensor.g);
  bfloat16* copy = tensor.copy;
  parallel_chunks(tensor.n, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const A g = grad[i] * scale;
      const A m = first[i] + (g - first[i]) * keep1, v = beta2 * second[i] + keep2 * g * g;
      first[i] = m;
      second[i] = v;
      weight[i] = weight[i] * decay - rate * direction(m, std::sqrt(v) * correction);
    }
    if (copy)
      for (int64_t i = begin; i < end; ++i) assign(copy[i], weight[i]);
  });
}

}  // namespace

void adam(DType t, const AdamTensor* tensors, int64_t count, const AdamRule& rule,
          const double* gradient_scale, const int32_t* skip, const Context&) {
  if (skip && *skip) return;
  HRM_CHECK(t != DType::bf16, "[adam] master weights must be f32 or f64, got ", t);
  const auto run = [&]<class A>() {
    const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
    const A eps = static_cast<A>(rule.eps);
    for (int64_t i = 0; i < count; ++i) {
      if (rule.kind == AdamKind::adam_atan2)
        adam_update<A>(tensors[i], rule, scale, [](A m, A root) { return fast_atan2(m, root); });
      else
        adam_update<A>(tensors[i], rule, scale, [eps](A m, A root) { return m / (root + eps); });
    }
  };
  if (t == DType::f64) return run.operator()<double>();
  run.operator()<float>();
}

void sgd(DType t, void* p, void* m, bfloat16* copy, const void* g, int64_t n, const SgdRule& rule,
         const double* rates, const double* gradient_scale, const int32_t* skip, const Context&) {
  HRM_CHECK(t != DType::bf16, "[sgd] master weights must be f32 or f64, got ", t);
  if (skip && *skip) return;
  const auto run = [&]<class A>() {
    const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
    const A momentum = static_cast<A>(rule.momentum), decay = static_cast<A>(rule.weight_decay);
    const A rate = static_cast<A>(*rates);
    A *weight = static_cast<A*>(p), *average = static_cast<A*>(m);
    const A* gradient = static_cast<const A*>(g);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const A d = gradient[i] * scale + decay * weight[i];
        A direction = d;
        if (average) {
          average[i] = momentum * average[i] + d;
          direction = rule.nesterov ? d + momentum * average[i] : average[i];
        }
        weight[i] -= rate * direction;
        if (copy) assign(copy[i], weight[i]);
      }
    });
  };
  if (t == DType::f64) return run.operator()<double>();
  run.operator()<float>();
}

void muon_momentum(DType t, void* m, void* ahead, const void* g, int64_t n, double momentum,
                   const double* gradient_scale, const int32_t* skip, const Context&) {
  HRM_CHECK(t != DType::bf16, "[muon] master weights must be f32 or f64, got ", t);
  const bool stays = skip && *skip;
  const auto run = [&]<class A>() {
    const A scale = gradient_scale ? static_cast<A>(*gradient_scale) : A(1);
    const A keep = static_cast<A>(momentum), take = static_cast<A>(1 - momentum);
    A *average = static_cast<A*>(m), *next = static_cast<A*>(ahead);
    const A* gradient = static_cast<const A*>(g);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) {
        const A scaled = gradient[i] * scale, moved = keep * average[i] + take * scaled;
        next[i] = keep * moved + take * scaled;
        average[i] = stays ? average[i] : moved;
      }
    });
  };
  if (t == DType::f64) return run.operator()<double>();
  run.operator()<float>();
}

void muon_update(DType t, void* p, bfloat16* copy, const void* direction, int64_t n,
                 const double* rates, const int32_t* skip, const Context&) {
  HRM_CHECK(t != DType::bf16, "[muon] master weights must be f32 or f64, got ", t);
  if (skip && *skip) return;
  const auto run = [&]<class A>() {
    const A decay = static_cast<A>(rates[0]), rate = static_cast<A>(rates[1]);
    A* weight = static_cast<A*>(p);
    const A* towards = static_cast<const A*>(direction);
    parallel_chunks(n, [&](int64_t begin, int64_t end) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) weight[i] = weight[i] * decay - rate * towards[i];
      if (copy)
        for (int64_t i = begin; i < end; ++i) assign(copy[i], weight[i]);
    });
  };
  if (t == DType::f64) return run.operator()<double>();
  run.operator()<float>();
}

void sign_sgd_rows(DType t, void* table, const void* grad, const int32_t* ids, int64_t batch,
                   int64_t dim, const double* rates, const int32_t* skip, const Context&) {
  if (skip && *skip) return;
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    const A decay = static_cast<A>(rates[0]), rate = static_cast<A>(rates[1]);
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

}  // namespace hrm::HRM_CPU
