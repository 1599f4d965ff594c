#include "nn/data_loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/device.h"

namespace hrm {
inline namespace nn {

BatchOrder::BatchOrder(int64_t examples, const DataLoaderOptions& options)
    : examples_(examples), options_(options) {
  HRM_CHECK(options.batch_size >= 1, "[data_loader] batch_size must be 1 or more, got ",
            options.batch_size);
  begin_epoch();
}

int64_t BatchOrder::batches() const {
  const int64_t full = examples_ / options_.batch_size;
  return full + (!options_.drop_last && examples_ % options_.batch_size != 0 ? 1 : 0);
}

// The order of an epoch depends on the seed and on its number alone.
void BatchOrder::begin_epoch() {
  order_.resize(examples_);
  std::iota(order_.begin(), order_.end(), 0);
  if (options_.shuffle)
    Random(options_.seed).fork(static_cast<uint64_t>(state_.epoch)).shuffle(order_);
}

std::vector<int64_t> BatchOrder::next() {
  if (state_.batch == batches()) {
    state_ = {state_.epoch + 1, 0};
    begin_epoch();
    return {};
  }
  const int64_t first = state_.batch++ * options_.batch_size;
  const int64_t behind = std::min(examples_, first + options_.batch_size);
  return {order_.begin() + first, order_.begin() + behind};
}

void BatchOrder::restore(const State& state) {
  HRM_CHECK(state.epoch >= 0 && state.batch >= 0 && state.batch <= batches(),
            "[data_loader] there is no batch ", state.batch, " of epoch ", state.epoch,
            ": an epoch has ", batches(), " batches. HINT: is it the state of other data?");
  state_ = state;
  begin_epoch();
}

TensorDataset::TensorDataset(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {
  HRM_CHECK(!tensors_.empty(), "[data_loader] a data set needs at least one tensor");
  for (Tensor& t : tensors_) {
    HRM_CHECK(t.ndim() >= 1 && t.size(0) == tensors_[0].size(0),
              "[data_loader] the first dimension of all tensors must count the same examples, got ",
              tensors_[0].shape(), " and ", t.shape());
    t = t.detach().contiguous();
  }
}

std::vector<Tensor> TensorDataset::batch(const std::vector<int64_t>& positions) const {
  std::vector<Tensor> rows;
  for (const Tensor& t : tensors_) {
    Tensor part = empty(t.shape().with(0, std::ssize(positions)), t.dtype(), t.device());
    const size_t bytes = t.size(0) > 0 ? t.nbytes() / static_cast<size_t>(t.size(0)) : 0;
    for (size_t i = 0; i < positions.size(); ++i) {
      HRM_CHECK(positions[i] >= 0 && positions[i] < t.size(0), "[data_loader] position ",
                positions[i], " must be in 0..", t.size(0) - 1);
      runtime::copy(static_cast<std::byte*>(part.data()) + i * bytes, t.device(),
                    static_cast<std::byte*>(t.data()) + positions[i] * bytes, t.device(), bytes);
    }
    rows.push_back(part);
  }
  return rows;
}

}  // namespace nn
}  // namespace hrm
