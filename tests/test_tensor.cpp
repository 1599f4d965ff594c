// Tensors: views, strides, copies, allocator, printing.
#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
#include "tensor/transfer.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("views share memory, copies do not") {
  Tensor t = arange(12, DType::f32).view({3, 4});
  const Tensor row = t.slice(0, 1, 2), column = t.transpose(0, 1).slice(0, 2, 3);
  CHECK(row.to_vector() == std::vector<double>{4, 5, 6, 7});
  CHECK(column.to_vector() == std::vector<double>{2, 6, 10});
  CHECK_FALSE(column.is_contiguous());
  const Tensor copy = t.clone();
  t.slice(0, 1, 2).fill(0);
  CHECK(row.to_vector() == std::vector<double>{0, 0, 0, 0});
  CHECK(copy.to_vector()[5] == 5);
  CHECK(t.expand({2, 3, 4}).to_vector().size() == 24);
  CHECK(t.view({2, -1}).shape() == Shape({2, 6}));
}

TEST_CASE("copy_from writes through strides and converts") {
  Tensor t = zeros({3, 4});
  t.transpose(0, 1).copy_from(arange(12, DType::i32).view({4, 3}));
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

TEST_CASE("a private cache keeps its blocks to itself, and frees no others") {
  empty_cache();
  auto one = std::make_unique<PrivateCache>(Device::cpu),
       two = std::make_unique<PrivateCache>(Device::cpu);
  const auto address_in = [](const PrivateCache& cache) {
    const PrivateCache::Use own(cache);
    return empty({5000}).data();
  };
  const void *first = address_in(*one), *second = address_in(*two);
  CHECK(first != second);
  const size_t both = allocator_stats().cached;
  empty_cache();
  CHECK(allocator_stats().cached == both);
  one.reset();
  CHECK(allocator_stats().cached == both / 2);
  const uint64_t before = allocator_stats().allocations;
  CHECK(address_in(*two) == second);
  CHECK(allocator_stats().allocations == before);
  two.reset();
  CHECK(allocator_stats().cached == 0);
}

TEST_CASE("an undefined tensor is one clear error wherever a value is needed") {
  const Tensor x, y, z = zeros({2});
  const auto undefined = [](const std::function<void()>& use) {
    expect_error(use, "[tensor] a tensor was used before it had a value");
  };
  undefined([&] { x + y; });
  undefined([&] { z* x; });
  undefined([&] { x.shape(); });
  undefined([&] { x.ndim(); });
  undefined([&] { x.data(); });
  undefined([&] { x.item(); });
  undefined([&] { x.grad(); });
  undefined([&] { x.set_grad(z); });
  undefined([&] { x.to(DType::f64); });
  undefined([&] { x.to(Device::cpu); });
  undefined([&] { x.view({1}); });
  undefined([&] { x.contiguous(); });
  undefined([&] { Tensor(x).fill(1); });
  undefined([&] { Tensor(z).copy_from(x); });
  undefined([&] { Tensor(x).set_requires_grad(); });
  undefined([&] { concat({z, x}, 0); });
  undefined([&] { linear(x, z); });
  undefined([&] { linear(z, x); });
  undefined([&] { embedding(z, x); });
  undefined([&] { cross_entropy(LossType::softmax_cross_entropy, x, z); });
  undefined([&] { attention(x, 1, nullptr); });
  undefined([&] { zeros_like(x); });
  expect_error([&] { backward(x); }, "[backward] the output requires no gradient");
  CHECK_FALSE(x.defined());
  CHECK_FALSE(x.requires_grad());
  CHECK_FALSE(x.detach().defined());
}

TEST_CASE("shapes that no tensor can have are refused") {
  constexpr int64_t kHuge = int64_t{1} << 32;
  expect_error(
      [] {
        zeros({kHuge, kHuge});
      },
      "[shape] too many elements to count in (4294967296, ");
  expect_error([] { empty({kHuge, 0, kHuge, 2}); }, "[shape] too many elements to count");
  expect_error([] { empty({int64_t{1} << 61}, DType::u8); }, "[shape] too many elements to count");
  expect_error([] { zeros({-1, 2}); }, "[shape] sizes must be 0 or more, got (-1, 2)");
  expect_error([] { from_vector<float>({}, {-1, 0}); }, "[shape] sizes must be 0 or more");
  expect_error([] { Random(1).normal({-3}, 1); }, "[shape] sizes must be 0 or more, got (-3)");
  expect_error([] { arange(-1); }, "[arange] the number of elements must be 0 or more, got -1");
  const Tensor t = zeros({2, 3});
  expect_error([&] { t.view({-1, -1}); }, "[reshape] only one dimension may be -1, got (-1, -1)");
  expect_error([&] { t.view({-2, 3}); }, "[shape] sizes must be 0 or more, got (-2, 3)");
  expect_error([&] { t.view({-1, kHuge, kHuge}); }, "[shape] too many elements to count");
  expect_error([&] { t.expand({-1, 2, 3}); }, "[shape] sizes must be 0 or more");
  expect_error([&] { expand(zeros({1, 1}), {kHuge, kHuge}); }, "[shape] too many elements");
  expect_error([&] { pad(t, 0, 0, int64_t{1} << 61); }, "[shape] too many elements");
  CHECK(t.view({3, -1}).shape() == Shape({3, 2}));
  CHECK(zeros({0, 3}).view({-1, 3}).shape() == Shape({0, 3}));
}

TEST_CASE("what a tensor cannot be made of, seen as or repeated to is refused") {
  const std::vector<int64_t> many(kMaxDims + 1, 1);
  expect_error([&] { Shape(std::span(many)); }, "[shape] at most 6 dimensions, got 7");
  expect_error(
      [] {
        from_vector<float>({1, 2, 3}, {2, 2});
      },
      "[from_vector] shape (2, 2) needs 4 values, got 3");
  const Tensor t = zeros({2, 3}), across = t.transpose(0, 1);
  expect_error([&] { across.view({6}); },
               "[view] tensor must be contiguous, got shape (3, 2) with strides (1, 3). HINT: call "
               "contiguous() first");
  CHECK(across.contiguous().view({6}).shape() == Shape({6}));
  expect_error([&] { t.expand({1, 3}); }, "[expand] (2, 3) does not broadcast to (1, 3)");
  expect_error([&] { t.sum_to({4, 2, 3}); }, "[sum] (4, 2, 3) does not broadcast to (2, 3)");
  expect_error([] { zeros({2}, DType::i32).set_requires_grad(); },
               "[requires_grad] only floating tensors have gradients, got i32");
  CHECK_FALSE(zeros({2}, DType::i32).set_requires_grad(false).requires_grad());
}

TEST_CASE("random fills and transfers need a contiguous tensor of the right size") {
  Tensor across = zeros({2, 3}).transpose(0, 1);
  Tensor whole = across.contiguous();
  Random random(1);
  expect_error([&] { random.uniform_into(across, 0, 1); },
               "[uniform_into] tensor must be contiguous, got strides (1, 3)");
  Readback readback({3, 2}, DType::f32, Device::cpu);
  for (const Tensor& wrong : {across, zeros({2}), zeros({3, 2}, DType::f64)})
    expect_error([&] { readback.start(wrong); },
                 "[readback] needs a contiguous tensor of shape (3, 2), got");
  for (const auto& move : {upload, send})
    for (const auto& pair : {std::pair{across, whole}, {whole, across}, {whole, zeros({2})}})
      expect_error([&] { move(pair.first, pair.second); },
                   "[upload] needs contiguous tensors of one size, got");
  readback.start(whole);
  upload(whole, readback.wait());
}

TEST_CASE("operands on two devices are refused before either is read") {
  // As good as on a GPU for this: nobody may look at what it holds.
  const auto memory = std::make_shared<std::vector<float>>(2);
  const Storage storage(memory->data(), 2 * sizeof(float), Device::cuda, memory);
  const Tensor host = zeros({2}), device(storage, 0, {2}, {1}, DType::f32);
  expect_error([&] { host + device; },
               "[add] operands must be on one device, got cpu(2) and cuda(2). HINT: move one");
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
  expect_error([&] { random.below(0); }, "[random] below(n) needs n >= 1, got 0");
}
