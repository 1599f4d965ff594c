#include "hrm/train/row_queue.h"

#include <bit>
#include <cstring>

#include "tensor/transfer.h"

namespace hrm {

RowQueue::RowQueue(TrainSampler& sampler, int64_t batch, const ModelConfig& model, int64_t ahead,
                   const Tensor& head)
    : sampler_(sampler),
      batch_(batch),
      ahead_(ahead),
      // A power of two, so that positions stay right when the counter passes 2^32.
      capacity_(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>((ahead + 2) * batch)))) {
  const Device device = head.device();
  const Shape in = {capacity_, model.input_len()}, out = {capacity_, model.seq_len};
  const Shape line = {capacity_};
  rows_ = {empty(in, DType::i32, device), empty(out, DType::i32, device),
           empty(line, DType::i32, device), head};
  inputs_ = pinned(in, DType::i32, device);
  labels_ = pinned(out, DType::i32, device);
  puzzle_ids_ = pinned(line, DType::i32, device);
  wait_for_device(device);  // uploads do not wait for who had this memory before
}

void RowQueue::prepare() {
  // Every step under way may have taken a whole batch, and so may the next.
  const int64_t wanted = taken_ + (ahead_ + 1) * batch_;
  while (filled_ < wanted)  // as far as the end of the ring, then from its start
    fill(std::min(wanted - filled_, capacity_ - filled_ % capacity_));
}

void RowQueue::fill(int64_t count) {
  marks_.push_back({filled_, Json(sampler_.state())});
  const Batch batch = sampler_.next(count);
  const int64_t at = filled_ % capacity_;
  const auto send = [&](const Tensor& device, const Tensor& host, const Tensor& rows) {
    const Tensor part = host.slice(0, at, at + count);
    std::memcpy(part.data(), rows.data(), rows.nbytes());
    upload(device.slice(0, at, at + count), part);
  };
  send(rows_.inputs, inputs_, batch.inputs);
  send(rows_.labels, labels_, batch.labels);
  send(rows_.puzzle_ids, puzzle_ids_, batch.puzzle_ids);
  filled_ += count;
}

void RowQueue::taken(uint32_t head) {
  taken_ += head - static_cast<uint32_t>(taken_);  // modulo 2^32
  while (marks_.size() > 1 && marks_[1].first_row <= taken_) marks_.pop_front();
}

Json RowQueue::state() const {
  if (marks_.empty()) return Json(sampler_.state());
  Json state = marks_.front().state;
  state["skip"] = taken_ - marks_.front().first_row;
  return state;
}

void RowQueue::restore(const Json& state) {
  const int64_t skip =
      Members(state, "the saved position in the data").integer("skip", 0, capacity_, 0);
  sampler_.restore(state);
  if (skip > 0) sampler_.next(skip);
  filled_ = taken_ = 0;
  marks_.clear();
  rows_.head.fill(0);
  wait_for_device(rows_.head.device());  // nobody reads the rows that uploads will overwrite
}

}  // namespace hrm
