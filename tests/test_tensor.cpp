// Tensors: views, strides, copies, allocator, printing.
#include "autograd/ops/ops.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("views share memory, copies do not") {
  Tensor t = arange(12, DType::f32).view({3, 4});
  const Tensor row = t.sliced(0, 1, 2), column = t.transposed(0, 1).sliced(0, 2, 3);
  CHECK(row.to_vector() == std::vector<double>{4, 5, 6, 7});
  CHECK(column.to_vector() == std::vector<double>{2, 6, 10});
  CHECK_FALSE(column.is_contiguous());
  const Tensor copy = t.clone();
  t.sliced(0, 1, 2).fill(0);
  CHECK(row.to_vector() == std::vector<double>{0, 0, 0, 0});
  CHECK(copy.to_vector()[5] == 5);
  CHECK(t.expanded({2, 3, 4}).to_vector().size() == 24);
  CHECK(t.view({2, -1}).shape() == Shape({2, 6}));
}

TEST_CASE("copy_from writes through strides and converts") {
  Tensor t = zeros({3, 4});
  t.transposed(0, 1).copy_from(arange(12, DType::i32).view({4, 3}));
  CHECK(t.to_vector() == std::vector<double>{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
  expect_error([&] { t.copy_from(zeros({4, 3})); }, "[copy_from] shapes must be equal");
}

TEST_CASE("dtypes convert both ways") {
  const Tensor t = from_values({-2, 0, 1, 2.5}, {4});
  CHECK(t.to(DType::bf16).to(DType::f64).to_vector() == std::vector<double>{-2, 0, 1, 2.5});
  CHECK(t.to(DType::i32).to_vector() == std::vector<double>{-2, 0, 1, 2});
  expect_error([&] { t.data<double>(); }, "tensor holds f32, asked for f64");
  expect_error([&] { t.item(); }, "must have one element");
  expect_error([&] { t.view({3}); }, "number of elements must stay 4");
}

TEST_CASE("the allocator reuses blocks of the same size and counts") {
  empty_cache();
  { const Tensor t = empty({1000}); }
  const AllocatorStats before = allocator_stats();
  for (int i = 0; i < 10; ++i) {
    const Tensor t = empty({1000});
  }
  const AllocatorStats after = allocator_stats();
  CHECK(after.allocations == before.allocations);
  CHECK(after.requests == before.requests + 10);
  CHECK(after.in_use == before.in_use);
  reset_peak();
  { const Tensor t = empty({1 << 20}); }
  CHECK(allocator_stats().peak >= before.in_use + (4u << 20));
  empty_cache();
  CHECK(allocator_stats().cached == 0);
  expect_error([] { empty({int64_t{1} << 50}); }, "out of memory: asked for");
}

TEST_CASE("empty tensors and zero dimensions work") {
  const Tensor none = zeros({0, 3});
  CHECK(none.numel() == 0);
  CHECK((none + none).shape() == Shape({0, 3}));
  CHECK(sum(none).item() == 0);
  CHECK(concat({none, ones({2, 3})}, 0).shape() == Shape({2, 3}));
  CHECK(full({}, 4).item() == 4);
}

TEST_CASE("printing") {
  CHECK(to_string(from_values({1, 2, 3, 4.5}, {2, 2})) == "f32(2, 2) [[1, 2], [3, 4.5]]");
  CHECK(to_string(zeros({1000})).size() < 80);
  CHECK(to_string(Tensor()) == "undefined");
}

TEST_CASE("random integers below a bound are uniform, also where the bound is no divisor of 2^64") {
  Random random(0);
  std::vector<int> hits(7);
  for (int i = 0; i < 7000; ++i) ++hits[random.below(7)];
  for (const int n : hits) CHECK(std::abs(n - 1000) < 150);
  // 3/8 of 2^64: without rejection one remainder of 3 would come up in a quarter of the draws.
  int third = 0;
  for (int i = 0; i < 3000; ++i) third += random.below(int64_t{3} << 61) % 3 == 2;
  CHECK(std::abs(third - 1000) < 120);
}
