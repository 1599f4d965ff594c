#include "hrm/model/recurrence.h"

#include <omp.h>

#include <algorithm>
#include <exception>

#include "autograd/grad_mode.h"

namespace hrm {
namespace {

// Positions (batch rows x sequence) of a slice: enough to read each weight rarely, few enough that
// the activations of one layer fit a second-level cache.
constexpr int64_t kSlicePositions = 256;

// In how many slices to cut a batch; 1 where threads are better used inside each operation.
int64_t slices_of(int64_t batch, int64_t seq) {
  const int64_t threads = omp_get_max_threads();
  if (batch < threads || omp_in_parallel()) return 1;
  const int64_t wanted = (batch * seq + kSlicePositions - 1) / kSlicePositions;
  const int64_t slices = std::min(batch, (wanted + threads - 1) / threads * threads);
  // The longest a thread works, against an even share.
  const int64_t rows = (batch + slices - 1) / slices, rounds = (slices + threads - 1) / threads;
  return 4 * rows * rounds * threads <= 5 * batch ? slices : 1;
}

// run(state, x) without recording, on slices of the batch. Its z_H has `positions` positions; its
// z_L is dropped unless keeps_L.
template <class Run>
State in_slices(const State& state, const Tensor& x, int64_t positions, bool keeps_L,
                const Run& run) {
  const NoGradGuard no_grad;
  const int64_t batch = x.size(0);
  const int64_t slices = x.device() == Device::cpu ? slices_of(batch, x.size(1)) : 1;
  if (slices <= 1) return run(state, x);

  const auto part = [&](const Tensor& t, int64_t i) {
    return t.defined() ? t.slice(0, i * batch / slices, (i + 1) * batch / slices) : Tensor();
  };
  State next;
  next.z_H = empty(state.z_H.shape().with(1, positions), state.z_H.dtype());
  if (keeps_L && state.z_L.defined()) next.z_L = empty_like(state.z_L);
  std::exception_ptr error;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < slices; ++i) {
    try {
      const NoGradGuard no_grad_here;  // the mode belongs to a thread
      const State end = run({part(state.z_H, i), part(state.z_L, i)}, part(x, i));
      part(next.z_H, i).copy_from(end.z_H);
      if (next.z_L.defined()) part(next.z_L, i).copy_from(end.z_L);
    } catch (...) {
#pragma omp critical(hrm_slice_error)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
  return next;
}

}  // namespace

State Recurrence::advance(const State& state, const Tensor& x, size_t count) const {
  if (count == 0) return state;
  const auto run = [&](State s, const Tensor& input) {
    for (size_t i = 0; i < count; ++i) s = apply(updates[i], s, input);
    return s;
  };
  return in_slices(state, x, state.z_H.size(1), true, run);
}

Tensor Recurrence::advance_to(
    const State& state, const Tensor& x,
    const std::function<Tensor(const State&, const Tensor& x)>& last) const {
  const auto run = [&](State s, const Tensor& input) -> State {
    for (size_t i = 0; i + 1 < updates.size(); ++i) s = apply(updates[i], s, input);
    return {last(s, input), {}};
  };
  return in_slices(state, x, 1, false, run).z_H;
}

std::vector<Level> update_list(Levels levels, const Cycles& cycles) {
  if (levels == Levels::single) return {Level::H};
  std::vector<Level> updates;
  for (int64_t h = 0; h < cycles.H; ++h) {
    updates.insert(updates.end(), cycles.L, Level::L);
    updates.push_back(Level::H);
  }
  return updates;
}

}  // namespace hrm
