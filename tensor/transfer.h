// Values on their way between host and device while the host goes on with other work.
//
//     Readback readback({1}, DType::f32, device);
//     readback.start(loss);                          // queued
//     const double value = readback.wait().item();   // as it was then
#pragma once

#include <memory>

#include "tensor/tensor.h"

namespace hrm {

// A host tensor in memory that the device can copy from and to by itself (pinned, in a CUDA build).
Tensor pinned(const Shape& shape, DType dtype, Device device);

// Copies of a device tensor. start() queues one and returns; wait() gives the values as of then. On
// the CPU both are immediate.
class Readback {
 public:
  Readback(const Shape& shape, DType dtype, Device device);
  ~Readback();
  Readback(Readback&&) noexcept;
  void start(const Tensor& source);
  bool done() const;
  const Tensor& wait() const;  // a host tensor, overwritten by the next start()

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// to (contiguous) = the values of a pinned tensor, queued beside the kernels: they are there for
// what follows wait_for_uploads(to.device()). Until then `from` must stay as it is. On the CPU a
// copy.
void upload(const Tensor& to, const Tensor& from);
void wait_for_uploads(Device device);
// Like upload, but in the order of the kernels: what has been queued before may still read `to`,
// and what is queued behind it sees the new values.
void send(const Tensor& to, const Tensor& from);
// Waits until everything queued has been done.
void wait_for_device(Device device);

}  // namespace hrm
