#include "tensor/transfer.h"

#include <cstring>

#include "kernels/cuda/runtime.h"

namespace hrm {

Tensor pinned(const Shape& shape, DType dtype, Device device) {
  if constexpr (kBuiltWithCuda) {
    if (device == Device::cuda) {
      const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(dtype);
      std::shared_ptr<void> owner(cuda::allocate_pinned(bytes), cuda::release_pinned);
      return Tensor(Storage(owner.get(), bytes, Device::cpu, owner), 0, shape,
                    shape.contiguous_strides(), dtype);
    }
  }
  return Tensor(shape, dtype);
}

struct Readback::State {
  Tensor host;
#if HRM_WITH_CUDA
  std::unique_ptr<cuda::Event> event;  // null on the CPU
#endif
};

Readback::Readback(const Shape& shape, DType dtype, Device device)
    : state_(std::make_unique<State>()) {
  state_->host = pinned(shape, dtype, device);
#if HRM_WITH_CUDA
  if (device == Device::cuda) state_->event = std::make_unique<cuda::Event>();
#endif
}
Readback::~Readback() = default;
Readback::Readback(Readback&&) noexcept = default;

void Readback::start(const Tensor& source) {
  CHECK(source.is_contiguous() && source.nbytes() == state_->host.nbytes(),
        "[readback] needs a contiguous tensor of shape ", state_->host.shape(), ", got ",
        source.shape());
#if HRM_WITH_CUDA
  if (state_->event) {
    cuda::download(state_->host.data(), source.data(), source.nbytes());
    return state_->event->record();
  }
#endif
  std::memcpy(state_->host.data(), source.data(), source.nbytes());
}

bool Readback::done() const {
#if HRM_WITH_CUDA
  if (state_->event) return state_->event->done();
#endif
  return true;
}

const Tensor& Readback::wait() const {
#if HRM_WITH_CUDA
  if (state_->event) state_->event->wait();
#endif
  return state_->host;
}

namespace {
void check_sizes(const Tensor& to, const Tensor& from) {
  CHECK(to.is_contiguous() && from.is_contiguous() && to.nbytes() == from.nbytes(),
        "[upload] needs contiguous tensors of one size, got ", to.shape(), " and ", from.shape());
}
}  // namespace

void upload(const Tensor& to, const Tensor& from) {
  check_sizes(to, from);
  if constexpr (kBuiltWithCuda)
    if (to.device() == Device::cuda) return cuda::upload(to.data(), from.data(), from.nbytes());
  std::memcpy(to.data(), from.data(), from.nbytes());
}

void send(const Tensor& to, const Tensor& from) {
  check_sizes(to, from);
  if constexpr (kBuiltWithCuda)
    if (to.device() == Device::cuda) return cuda::send(to.data(), from.data(), from.nbytes());
  std::memcpy(to.data(), from.data(), from.nbytes());
}
void wait_for_uploads(Device device) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::wait_for_uploads();
}
void wait_for_device(Device device) {
  if constexpr (kBuiltWithCuda)
    if (device == Device::cuda) cuda::synchronize();
}

}  // namespace hrm
