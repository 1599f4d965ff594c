#include "hrm/data/sampler.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

namespace hrm {
namespace {

// Row `r` of a batch.
void put(const Example& example, const Batch& batch, int64_t r) {
  const auto copy = [&](const Tokens& tokens, const Tensor& rows) {
    std::ranges::copy(tokens, rows.data<int32_t>() + r * std::ssize(tokens));
  };
  copy(example.inputs, batch.inputs);
  copy(example.labels, batch.labels);
  batch.puzzle_ids.data<int32_t>()[r] = example.puzzle_id;
}

}  // namespace

TrainSampler::TrainSampler(const PuzzleDataset& dataset, uint64_t seed, Augmentation augmentation)
    : dataset_(dataset), augmentation_(std::move(augmentation)), seed_(seed) {
  HRM_CHECK(dataset.num_examples() > 0, "[data] the training split of ", dataset.folder().string(),
            " is empty");
  begin_epoch(0);
}

void TrainSampler::begin_epoch(int64_t epoch) {
  epoch_ = epoch;
  group_cursor_ = 0;
  Random shuffle = Random(seed_).fork("shuffle").fork(static_cast<uint64_t>(epoch));
  random_ = Random(seed_).fork("examples").fork(static_cast<uint64_t>(epoch));
  group_order_.resize(dataset_.num_groups());
  std::iota(group_order_.begin(), group_order_.end(), 0);
  shuffle.shuffle(group_order_);
}

int64_t TrainSampler::next_example(bool* first) {
  *first = pending_.empty();
  while (pending_.empty()) {
    if (group_cursor_ == std::ssize(group_order_)) begin_epoch(epoch_ + 1);
    const auto [puzzle, last] = dataset_.group(group_order_[group_cursor_++]);
    if (puzzle == last) continue;
    const auto [begin, end] = dataset_.puzzle(puzzle + random_.below(last - puzzle));
    pending_.resize(end - begin);
    std::iota(pending_.begin(), pending_.end(), begin);
    random_.shuffle(pending_);
  }
  const int64_t example = pending_.back();
  pending_.pop_back();
  return example;
}

Batch TrainSampler::next(int64_t rows) {
  const int64_t seq = dataset_.info().seq_len, input_len = dataset_.input_len();
  Batch batch{empty({rows, input_len}, DType::i32), empty({rows, seq}, DType::i32),
              empty({rows}, DType::i32), rows};
  for (int64_t r = 0; r < rows; ++r) {
    bool first = false;
    Example example = dataset_.read(next_example(&first));
    if (augmentation_) augmentation_(example.inputs.data(), example.labels.data(), first, random_);
    put(example, batch, r);
  }
  return batch;
}

Json TrainSampler::state() const {
  return {{"epoch", epoch_},
          {"group_cursor", group_cursor_},
          {"pending", pending_},
          {"position", random_.position()}};
}

void TrainSampler::restore(const Json& state) {
  const Members json(state, "the saved position in the data");
  const int64_t groups = std::ssize(group_order_), examples = dataset_.num_examples();
  const int64_t cursor = json.integer("group_cursor", 0, std::numeric_limits<int64_t>::max());
  std::vector<int64_t> pending = json.integers("pending", 0, std::numeric_limits<int64_t>::max());
  HRM_CHECK(
      cursor <= groups && std::ranges::all_of(pending, [&](int64_t e) { return e < examples; }),
      "[data] the saved position does not fit this data set. HINT: was the data set rebuilt?");
  const uint64_t position = json.natural("position");
  begin_epoch(json.integer("epoch", 0, std::numeric_limits<int64_t>::max() - 1));
  group_cursor_ = cursor;
  random_ = Random(random_.seed(), position);
  pending_ = std::move(pending);
}

Batch eval_batch(const PuzzleDataset& dataset, int64_t start, int64_t rows) {
  const int64_t seq = dataset.info().seq_len, input_len = dataset.input_len();
  Batch batch;
  batch.inputs = full({rows, input_len}, static_cast<double>(dataset.info().pad_id), DType::i32);
  batch.labels = full({rows, seq}, kIgnoreLabel, DType::i32);
  batch.puzzle_ids =
      full({rows}, static_cast<double>(dataset.info().blank_identifier_id), DType::i32);
  batch.rows = std::clamp<int64_t>(dataset.num_examples() - start, 0, rows);
  for (int64_t r = 0; r < batch.rows; ++r) put(dataset.read(start + r), batch, r);
  return batch;
}

}  // namespace hrm
