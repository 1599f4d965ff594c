#include "kernels/act.h"
#include "kernels/cuda/gpu.h"
#include "kernels/loss.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;

template <class T>
__global__ void reset_state_kernel(T* z, const T* init, const uint8_t* halted, int64_t seq,
                                   int64_t dim) {
  const int64_t row = blockIdx.x, size = seq * dim;
  if (!halted[row]) return;
  for (int64_t i = threadIdx.x; i < size; i += kBlock) z[row * size + i] = init[i % dim];
}

__global__ void take_rows_kernel(int32_t* current, const int32_t* incoming, const int32_t* source,
                                 int64_t width) {
  const int64_t row = blockIdx.x, from = source[row];
  if (from < 0) return;
  for (int64_t i = threadIdx.x; i < width; i += kBlock)
    current[row * width + i] = incoming[from * width + i];
}

// One block: a running count over chunks of kBlock slots.
__global__ void refill_kernel(int32_t* source, uint32_t* head, const uint8_t* halted, int64_t batch,
                              int64_t capacity, bool only_halted) {
  GPU_SHARED(counts, int[kBlock / gpu::kWarp]);
  const uint32_t start = *head;
  int before = 0;  // halted slots of earlier chunks
  for (int64_t begin = 0; begin < batch; begin += kBlock) {
    const int64_t b = begin + threadIdx.x;
    const bool free = b < batch && halted[b];
    const unsigned mask = __ballot_sync(gpu::kAllLanes, free);
    if (gpu::lane() == 0) counts[gpu::warp()] = __popc(mask);
    __syncthreads();
    int mine = before + __popc(mask & ((1u << gpu::lane()) - 1));
    for (int w = 0; w < kBlock / gpu::kWarp; ++w) {
      if (w < gpu::warp()) mine += counts[w];
      before += counts[w];
    }
    __syncthreads();
    const uint32_t row = start + static_cast<uint32_t>(only_halted ? mine : b);
    if (b < batch)
      source[b] = free ? static_cast<int32_t>(row % static_cast<uint64_t>(capacity)) : -1;
  }
  if (threadIdx.x == 0) *head = start + static_cast<uint32_t>(only_halted ? before : batch);
}

__global__ void advance_kernel(int32_t* steps, const uint8_t* halted, int64_t batch) {
  for (int64_t b = gpu::first(); b < batch; b += gpu::stride())
    steps[b] = (halted[b] ? 0 : steps[b]) + 1;
}

template <class T>
__global__ void halt_kernel(uint8_t* halted, const int32_t* steps, const T* q_halt,
                            const T* q_continue, const float* explore_u, const int32_t* min_steps,
                            int64_t batch, HaltRule rule) {
  for (int64_t b = gpu::first(); b < batch; b += gpu::stride()) {
    bool stop = steps[b] >= rule.max_steps;
    if (rule.training && rule.max_steps > 1) {
      const auto halt = gpu::load(q_halt[b]);
      stop |= rule.q_head == QHead::halt_only ? halt > 0 : halt > gpu::load(q_continue[b]);
      if (explore_u && explore_u[b] < rule.exploration) stop &= steps[b] >= min_steps[b];
    }
    halted[b] = stop ? 1 : 0;
  }
}

template <class T>
__global__ void target_q_kernel(T* target, const int32_t* steps, const T* next_q_halt,
                                const T* next_q_continue, int64_t batch, int32_t max_steps) {
  for (int64_t b = gpu::first(); b < batch; b += gpu::stride()) {
    const auto halt = gpu::load(next_q_halt[b]), go_on = gpu::load(next_q_continue[b]);
    gpu::store(target[b], gpu::sigmoid(steps[b] >= max_steps ? halt : gpu::larger(halt, go_on)));
  }
}

// A warp a row.
template <class T>
__global__ void correctness_kernel(int32_t* labelled, int32_t* correct, T* exact,
                                   const int32_t* predictions, const int32_t* labels, int64_t seq) {
  const int64_t row = blockIdx.x;
  int known = 0, right = 0;
  for (int64_t s = row * seq + gpu::lane(); s < (row + 1) * seq; s += gpu::kWarp) {
    known += labels[s] != kIgnoreLabel;
    right += labels[s] != kIgnoreLabel && predictions[s] == labels[s];
  }
  known = gpu::warp_sum(known);
  right = gpu::warp_sum(right);
  if (gpu::lane() > 0) return;
  labelled[row] = known;
  correct[row] = right;
  gpu::store(exact[row], static_cast<arithmetic<T>>(right == known ? 1 : 0));
}

// One block; five sums.
template <class T>
__global__ void metrics_kernel(double* metrics, const uint8_t* halted, const int32_t* steps,
                               const int32_t* labelled, const int32_t* correct, const T* q_halt,
                               int64_t batch) {
  GPU_SHARED(scratch, double[gpu::kWarp]);
  double sums[5] = {};
  for (int64_t b = threadIdx.x; b < batch; b += kBlock) {
    if (!halted[b] || labelled[b] == 0) continue;
    const bool exact = correct[b] == labelled[b];
    sums[0] += 1;
    sums[1] += static_cast<double>(correct[b]) / labelled[b];
    sums[2] += exact ? 1 : 0;
    sums[3] += (gpu::load(q_halt[b]) >= 0) == exact ? 1 : 0;
    sums[4] += steps[b];
  }
  GPU_UNROLL
  for (int i = 0; i < 5; ++i) {
    const double total = gpu::block_sum(sums[i], scratch);
    if (threadIdx.x == 0) metrics[i] = total;
  }
}

}  // namespace

void act_reset_state(DType t, void* z, const void* init, const uint8_t* halted, int64_t batch,
                     int64_t seq, int64_t dim, const Context& context) {
  if (batch == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<reset_state_kernel<T>>(dim3(static_cast<unsigned>(batch)), dim3(kBlock), 0, context,
                                       static_cast<T*>(z), static_cast<const T*>(init), halted, seq,
                                       dim);
  });
}

void act_take_rows(int32_t* current, const int32_t* incoming, const int32_t* source, int64_t batch,
                   int64_t width, const Context& context) {
  if (batch == 0) return;
  gpu::launch<take_rows_kernel>(dim3(static_cast<unsigned>(batch)), dim3(kBlock), 0, context,
                                current, incoming, source, width);
}

void act_refill(int32_t* source, uint32_t* head, const uint8_t* halted, int64_t batch,
                int64_t capacity, bool only_halted, const Context& context) {
  if (batch == 0) return;
  gpu::launch<refill_kernel>(dim3(1), dim3(kBlock), 0, context, source, head, halted, batch,
                             capacity, only_halted);
}

void act_advance(int32_t* steps, const uint8_t* halted, int64_t batch, const Context& context) {
  if (batch == 0) return;
  gpu::launch<advance_kernel>(gpu::blocks_for(batch, kBlock), dim3(kBlock), 0, context, steps,
                              halted, batch);
}

void act_halt(uint8_t* halted, DType t, const int32_t* steps, const void* q_halt,
              const void* q_continue, const float* explore_u, const int32_t* min_steps,
              int64_t batch, const HaltRule& rule, const Context& context) {
  if (batch == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<halt_kernel<T>>(gpu::blocks_for(batch, kBlock), dim3(kBlock), 0, context, halted,
                                steps, static_cast<const T*>(q_halt),
                                static_cast<const T*>(q_continue), explore_u, min_steps, batch,
                                rule);
  });
}

void act_target_q(DType t, void* target, const int32_t* steps, const void* next_q_halt,
                  const void* next_q_continue, int64_t batch, int32_t max_steps,
                  const Context& context) {
  if (batch == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<target_q_kernel<T>>(gpu::blocks_for(batch, kBlock), dim3(kBlock), 0, context,
                                    static_cast<T*>(target), steps,
                                    static_cast<const T*>(next_q_halt),
                                    static_cast<const T*>(next_q_continue), batch, max_steps);
  });
}

void act_correctness(int32_t* labelled, int32_t* correct, DType t, void* exact,
                     const int32_t* predictions, const int32_t* labels, int64_t batch, int64_t seq,
                     const Context& context) {
  if (batch == 0) return;
  visit_float(t, [&]<class T>() {
    gpu::launch<correctness_kernel<T>>(dim3(static_cast<unsigned>(batch)), dim3(gpu::kWarp), 0,
                                       context, labelled, correct, static_cast<T*>(exact),
                                       predictions, labels, seq);
  });
}

void act_metrics(double* metrics, const uint8_t* halted, const int32_t* steps,
                 const int32_t* labelled, const int32_t* correct, DType t, const void* q_halt,
                 int64_t batch, const Context& context) {
  visit_float(t, [&]<class T>() {
    gpu::launch<metrics_kernel<T>>(dim3(1), dim3(kBlock), 0, context, metrics, halted, steps,
                                   labelled, correct, static_cast<const T*>(q_halt), batch);
  });
}

}  // namespace hrm::cuda
