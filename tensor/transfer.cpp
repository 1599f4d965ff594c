#include "tensor/transfer.h"

#include "kernels/device.h"

namespace hrm {

Tensor pinned(const Shape& shape, DType dtype, Device device) {
  if (device == Device::cpu) return Tensor(shape, dtype);
  const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(dtype);
  std::shared_ptr<void> owner(runtime::allocate_pinned(device, bytes),
                              [device](void* block) { runtime::release_pinned(device, block); });
  return Tensor(Storage(owner.get(), bytes, Device::cpu, owner), 0, shape,
                shape.contiguous_strides(), dtype);
}

struct Readback::State {
  Tensor host;
  Device device;
  runtime::Event event;  // behind the last copy that was started
};

Readback::Readback(const Shape& shape, DType dtype, Device device)
    : state_(new State{pinned(shape, dtype, device), device, runtime::Event(device)}) {}
Readback::~Readback() = default;
Readback::Readback(Readback&&) noexcept = default;

void Readback::start(const Tensor& source) {
  HRM_CHECK(source.is_contiguous() && source.nbytes() == state_->host.nbytes(),
            "[readback] needs a contiguous tensor of shape ", state_->host.shape(), ", got ",
            source.shape());
  runtime::download(state_->device, state_->host.data(), source.data(), source.nbytes());
  state_->event.record();
}

bool Readback::done() const { return state_->event.done(); }

const Tensor& Readback::wait() const {
  state_->event.wait();
  return state_->host;
}

namespace {
void check_sizes(const Tensor& to, const Tensor& from) {
  HRM_CHECK(to.is_contiguous() && from.is_contiguous() && to.nbytes() == from.nbytes(),
            "[upload] needs contiguous tensors of one size, got ", to.shape(), " and ",
            from.shape());
}
}  // namespace

void upload(const Tensor& to, const Tensor& from) {
  check_sizes(to, from);
  runtime::upload(to.device(), to.data(), from.data(), from.nbytes());
}

void send(const Tensor& to, const Tensor& from) {
  check_sizes(to, from);
  runtime::send(to.device(), to.data(), from.data(), from.nbytes());
}

void wait_for_uploads(Device device) { runtime::wait_for_uploads(device); }
void wait_for_device(Device device) { runtime::synchronize(device); }

}  // namespace hrm
