#include "tensor/random.h"

#include <atomic>
#include <cmath>

#include "tensor/io.h"

namespace hrm {

int64_t Random::below(int64_t n) {
  HRM_CHECK(n >= 1, "[random] below(n) needs n >= 1, got ", n);
  // Lemire's method: the high word of bits * n; the short rejection loop removes the bias. Its
  // threshold is below n, so that the division is rarely needed.
  const auto range = static_cast<uint64_t>(n);
  while (true) {
    const auto product = static_cast<unsigned __int128>(bits()) * range;
    const auto low = static_cast<uint64_t>(product);
    if (low >= range || low >= -range % range) return static_cast<int64_t>(product >> 64);
  }
}

Random Random::fork(uint64_t number) const {
  // A counter far above any stream position keeps forks apart from ordinary draws.
  return Random(philox_bits(seed_ ^ 0x9E3779B97F4A7C15u, (uint64_t{1} << 63) + number));
}

Random Random::fork(const char* name) const { return fork(name_hash(name) >> 1); }

namespace {
void check_writable(const Tensor& t, const char* op) {
  HRM_CHECK(t.is_contiguous(), "[", op, "] tensor must be contiguous, got strides ", t.strides());
  t.check_in_place(op);
}
}  // namespace

Tensor Random::uniform(const Shape& shape, double low, double high, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  uniform_into(t, low, high);
  return t;
}
void Random::uniform_into(Tensor& t, double low, double high) {
  check_writable(t, "uniform_into");
  HRM_DISPATCH(fill_uniform, t.context(), t.dtype(), t.data(), t.numel(), low, high,
               take(t.numel()));
  t.storage().bump_version();
}
Tensor Random::normal(const Shape& shape, double std, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  HRM_DISPATCH(fill_normal, t.context(), dtype, t.data(), t.numel(), std, take(t.numel()));
  return t;
}
Tensor Random::truncated_normal(const Shape& shape, double std, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  HRM_DISPATCH(fill_truncated_normal, t.context(), dtype, t.data(), t.numel(), std,
               take(t.numel()));
  return t;
}
Tensor Random::randint(const Shape& shape, int32_t low, int32_t high, Device device) {
  Tensor t(shape, DType::i32, device);
  randint_into(t, low, high);
  return t;
}
void Random::randint_into(Tensor& t, int32_t low, int32_t high) {
  check_writable(t, "randint_into");
  HRM_DISPATCH(fill_randint, t.context(), t.data<int32_t>(), t.numel(), low, high, take(t.numel()));
  t.storage().bump_version();
}

Random& default_random() {
  static std::atomic<uint64_t> threads = 0;
  thread_local Random random = [] {
    const uint64_t number = threads++;
    return number == 0 ? Random() : Random().fork(number);
  }();
  return random;
}

void manual_seed(uint64_t seed) { default_random() = Random(seed); }

Tensor rand(const Shape& shape, DType dtype, Device device) {
  // Cut off to the digits of the type: rounded, the largest would become 1.
  Tensor t = default_random().uniform(shape, 0, 1, DType::f64);
  const double steps = std::exp2(dtype == DType::bf16 ? 8 : dtype == DType::f32 ? 24 : 53);
  auto* values = t.data<double>();
  for (int64_t i = 0; i < t.numel(); ++i) values[i] = std::floor(values[i] * steps) / steps;
  return t.to(dtype).to(device);
}

Tensor randn(const Shape& shape, DType dtype, Device device) {
  return default_random().normal(shape, 1, dtype, device);
}

}  // namespace hrm
