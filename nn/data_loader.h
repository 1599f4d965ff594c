// Batches of any data that has a size and positions: in a new random order each epoch, the same for
// the same seed, and resumable in the middle of one.
//
//     DataLoader loader(TensorDataset(images, labels), {.batch_size = 32});
//     for (int epoch = 0; epoch < 5; ++epoch)
//       for (const auto& batch : loader)          // images [32, ...] and labels [32]
//         train(batch[0], batch[1]);
//
//     std::vector<Example> examples;              // or data of your own
//     DataLoader own(examples, {.batch_size = 8});
//     const std::vector<Example> batch = *own.next();
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "tensor/random.h"

namespace hrm {
inline namespace nn {

struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = true;
  uint64_t seed = 0;
  bool drop_last = false;  // leave out a last batch that is not full
};

// Which examples come in which order: the part of a loader that does not depend on the data.
class BatchOrder {
 public:
  // Where a loader stands: so many batches of that epoch have been given.
  struct State {
    int64_t epoch = 0, batch = 0;
  };

  BatchOrder(int64_t examples, const DataLoaderOptions& options);
  // Positions of the next batch. Empty once behind the last one of an epoch; then the next begins.
  std::vector<int64_t> next();
  int64_t batches() const;  // of an epoch
  State state() const { return state_; }
  // An Error if there is no such batch.
  void restore(const State& state);

 private:
  void begin_epoch();

  int64_t examples_;
  DataLoaderOptions options_;
  State state_;
  std::vector<int64_t> order_;
};

// Tensors whose first dimension counts examples. A batch holds those rows of each.
class TensorDataset {
 public:
  template <class... More>
  explicit TensorDataset(const Tensor& first, const More&... more)
      : TensorDataset(std::vector<Tensor>{first, more...}) {}
  explicit TensorDataset(std::vector<Tensor> tensors);

  int64_t size() const { return tensors_[0].size(0); }
  std::vector<Tensor> batch(const std::vector<int64_t>& positions) const;

 private:
  std::vector<Tensor> tensors_;
};

// Data: size(), and either batch(positions) or operator[](position). In the second case a batch is
// a vector of elements. Containers of the standard library have both parts.
template <class Data>
class DataLoader {
 public:
  explicit DataLoader(Data data, const DataLoaderOptions& options = {})
      : data_(std::move(data)), order_(static_cast<int64_t>(data_.size()), options) {}

  // The next batch of this epoch, or nothing once it is over; the call after that begins another.
  auto next() { return next_of(data_); }
  int64_t batches() const { return order_.batches(); }
  const Data& data() const { return data_; }
  BatchOrder::State state() const { return order_.state(); }
  void restore(const BatchOrder::State& state) { order_.restore(state); }

  // for (const auto& batch : loader): what is left of this epoch.
  class Iterator {
   public:
    explicit Iterator(DataLoader* loader) : loader_(loader) { ++*this; }
    const auto& operator*() const { return *batch_; }
    Iterator& operator++() {
      batch_ = loader_->next();
      return *this;
    }
    bool operator!=(std::nullptr_t) const { return batch_.has_value(); }

   private:
    DataLoader* loader_;
    decltype(std::declval<DataLoader>().next()) batch_;
  };
  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() const { return nullptr; }

 private:
  template <class D>
  requires requires(const D& d, const std::vector<int64_t>& p) { d.batch(p); }
  auto next_of(const D& data) {
    const std::vector<int64_t> positions = order_.next();
    using Found = std::optional<decltype(data.batch(positions))>;
    return positions.empty() ? Found() : Found(data.batch(positions));
  }
  template <class D>
  auto next_of(const D& data) {
    const std::vector<int64_t> positions = order_.next();
    std::vector<std::decay_t<decltype(data[0])>> batch;
    for (const int64_t position : positions) batch.push_back(data[static_cast<size_t>(position)]);
    return batch.empty() ? std::nullopt : std::optional(std::move(batch));
  }

  Data data_;
  BatchOrder order_;
};

}  // namespace nn
}  // namespace hrm
