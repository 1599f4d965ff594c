#include "kernels/act.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::HRM_CPU {

void act_reset_state(DType t, void* z, const void* init, const uint8_t* halted, int64_t batch,
                     int64_t seq, int64_t dim, const Context&) {
  const size_t row = static_cast<size_t>(dim) * size_of(t);
  parallel_for(batch, seq * dim, [&](int64_t b) {
    if (!halted[b]) return;
    for (int64_t s = 0; s < seq; ++s)
      std::memcpy(static_cast<std::byte*>(z) + static_cast<size_t>(b * seq + s) * row, init, row);
  });
}

void act_take_rows(int32_t* current, const int32_t* incoming, const int32_t* source, int64_t batch,
                   int64_t width, const Context&) {
  for (int64_t b = 0; b < batch; ++b)
    if (source[b] >= 0) std::copy_n(incoming + source[b] * width, width, current + b * width);
}

void act_refill(int32_t* source, uint32_t* head, const uint8_t* halted, int64_t batch,
                int64_t capacity, bool only_halted, const Context&) {
  for (int64_t b = 0; b < batch; ++b) {
    source[b] = halted[b] ? static_cast<int32_t>(*head % static_cast<uint64_t>(capacity)) : -1;
    *head += !only_halted || halted[b];
  }
}

void act_advance(int32_t* steps, const uint8_t* halted, int64_t batch, const Context&) {
  for (int64_t b = 0; b < batch; ++b) steps[b] = (halted[b] ? 0 : steps[b]) + 1;
}

void act_halt(uint8_t* halted, DType t, const int32_t* steps, const void* q_halt,
              const void* q_continue, const float* explore_u, const int32_t* min_steps,
              int64_t batch, const HaltRule& rule, const Context&) {
  visit_float(t, [&]<class T>() {
    const T *halt = static_cast<const T*>(q_halt), *go_on = static_cast<const T*>(q_continue);
    for (int64_t b = 0; b < batch; ++b) {
      bool stop = steps[b] >= rule.max_steps;
      if (rule.training && rule.max_steps > 1) {
        stop |= rule.q_head == QHead::halt_only ? halt[b] > T(0.0f) : halt[b] > go_on[b];
        if (explore_u && explore_u[b] < rule.exploration) stop &= steps[b] >= min_steps[b];
      }
      halted[b] = stop;
    }
  });
}

void act_target_q(DType t, void* target, const int32_t* steps, const void* next_q_halt,
                  const void* next_q_continue, int64_t batch, int32_t max_steps, const Context&) {
  visit_float(t, [&]<class T>() {
    using A = arithmetic<T>;
    for (int64_t b = 0; b < batch; ++b) {
      const A halt = static_cast<A>(static_cast<const T*>(next_q_halt)[b]);
      const A go_on = static_cast<A>(static_cast<const T*>(next_q_continue)[b]);
      const A q = steps[b] >= max_steps ? halt : std::max(halt, go_on);
      static_cast<T*>(target)[b] = static_cast<T>(sigmoid(q));
    }
  });
}

void act_correctness(int32_t* labelled, int32_t* correct, DType t, void* exact,
                     const int32_t* predictions, const int32_t* labels, int64_t batch, int64_t seq,
                     const Context&) {
  constexpr int32_t kIgnore = -100;
  for (int64_t b = 0; b < batch; ++b) {
    labelled[b] = correct[b] = 0;
    for (int64_t s = b * seq; s < (b + 1) * seq; ++s) {
      if (labels[s] == kIgnore) continue;
      ++labelled[b];
      correct[b] += predictions[s] == labels[s];
    }
    visit_float(t, [&]<class T>() {
      static_cast<T*>(exact)[b] = T(correct[b] == labelled[b] ? 1.0f : 0.0f);
    });
  }
}

void act_metrics(double* metrics, const uint8_t* halted, const int32_t* steps,
                 const int32_t* labelled, const int32_t* correct, DType t, const void* q_halt,
                 int64_t batch, const Context&) {
  std::fill_n(metrics, 5, 0.0);
  visit_float(t, [&]<class T>() {
    for (int64_t b = 0; b < batch; ++b) {
      if (!halted[b] || labelled[b] == 0) continue;
      const bool exact = correct[b] == labelled[b];
      metrics[0] += 1;
      metrics[1] += static_cast<double>(correct[b]) / labelled[b];
      metrics[2] += exact;
      metrics[3] += (static_cast<const T*>(q_halt)[b] >= T(0.0f)) == exact;
      metrics[4] += steps[b];
    }
  });
}

}  // namespace hrm::HRM_CPU
