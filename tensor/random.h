// A random stream: a seed and a position. Equal on every backend; saved and restored with a run.
//
//     Random random(7);
//     const Tensor x = random.normal({2, 3}, 1);   // standard deviation 1
//     Random other = random.fork("puzzles");       // an independent stream of the same seed
//     manual_seed(7);
//     const Tensor y = randn({2, 3});              // of the stream of this thread
#pragma once

#include "kernels/random.h"
#include "tensor/tensor.h"

namespace hrm {

class Random {
 public:
  explicit Random(uint64_t seed = 0, uint64_t position = 0) : seed_(seed), position_(position) {}

  uint64_t seed() const { return seed_; }
  uint64_t position() const { return position_; }

  // Host draws.
  uint64_t bits() { return philox_bits(seed_, position_++); }
  double uniform() { return philox_uniform(seed_, position_++); }
  int64_t below(int64_t n);  // uniform in [0, n), n >= 1, without bias
  template <class Container>
  void shuffle(Container& c) {
    for (int64_t i = static_cast<int64_t>(c.size()) - 1; i > 0; --i)
      std::swap(c[i], c[below(i + 1)]);
  }
  // An independent stream derived from this seed and a number or name (the position is not used).
  Random fork(uint64_t number) const;
  Random fork(const char* name) const;

  // Tensors; each advances the position by the number of elements.
  Tensor uniform(const Shape& shape, double low, double high, DType dtype = DType::f32,
                 Device device = Device::cpu);
  Tensor normal(const Shape& shape, double std, DType dtype = DType::f32,
                Device device = Device::cpu);
  Tensor truncated_normal(const Shape& shape, double std, DType dtype = DType::f32,
                          Device device = Device::cpu);
  Tensor randint(const Shape& shape, int32_t low, int32_t high, Device device = Device::cpu);
  // The same into a contiguous tensor that exists: in-place writes (tensor/tensor.h).
  void uniform_into(Tensor& t, double low, double high);
  void randint_into(Tensor& t, int32_t low, int32_t high);

 private:
  RandomKey take(int64_t n) {
    const RandomKey key{seed_, position_};
    position_ += static_cast<uint64_t>(n);
    return key;
  }
  uint64_t seed_, position_;
};

// The stream of this thread, for those who do not pass one: rand() and randn() draw from it, and
// layers their first weights. That of the first thread that asks begins with seed 0, those of
// others apart from it; manual_seed() begins that of the calling thread anew.
Random& default_random();
void manual_seed(uint64_t seed);
// Uniform in [0, 1), and normal with standard deviation 1.
Tensor rand(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
Tensor randn(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);

}  // namespace hrm
