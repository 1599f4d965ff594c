// Every operation of the case table: gradients, fused against composed, dtypes, threads.
#include <omp.h>

#include <cmath>
#include <cstring>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
#include "tests/support/op_cases.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

TEST_CASE("gradcheck of every operation in f64") {
  for (const OpCase& op : op_cases()) {
    Random random(3);
    CHECK_MESSAGE(gradcheck(op.run, op.inputs(random)) == "", op.name);
  }
}

TEST_CASE("gradcheck of the composed references") {
  set_fusion(false);
  for (const OpCase& op : op_cases()) {
    if (!op.has_fused_form) continue;
    Random random(3);
    CHECK_MESSAGE(gradcheck(op.run, op.inputs(random)) == "", op.name);
  }
  set_fusion(true);
}

TEST_CASE("gradcheck finds a wrong gradient") {
  Random random(1);
  const auto wrong = [](const Tensors& in) {
    return Tensors{record("wrong", in[0].clone(), {in[0]}, {},
                          [](const Saved&, const Tensor& dy) { return Tensors{dy * 1.0001}; })};
  };
  CHECK(gradcheck(wrong, {variable(random, {3})}) != "");
}

TEST_CASE("fused operations equal their composed references") {
  for (const OpCase& op : op_cases()) {
    if (!op.has_fused_form) continue;
    const OpResult fused = evaluate_case(op, DType::f64);
    set_fusion(false);
    const OpResult composed = evaluate_case(op, DType::f64);
    set_fusion(true);
    CHECK_MESSAGE(largest_difference(fused.outputs, composed.outputs) < 1e-12, op.name);
    CHECK_MESSAGE(largest_difference(fused.grads, composed.grads) < 1e-11, op.name);
  }
}

TEST_CASE("f32 and bf16 follow f64") {
  for (const OpCase& op : op_cases()) {
    if (!op.any_dtype) continue;
    const OpResult exact = evaluate_case(op, DType::f64), single = evaluate_case(op, DType::f32);
    CHECK_MESSAGE(largest_difference(single.outputs, exact.outputs) < 2e-6, op.name);
    CHECK_MESSAGE(largest_difference(single.grads, exact.grads) < 1e-5, op.name);
    if (op.name == "bce_with_logits") continue;  // f32 and f64 only
    const OpResult half = evaluate_case(op, DType::bf16);
    CHECK_MESSAGE(largest_difference(half.outputs, exact.outputs) < 0.08, op.name);
    CHECK_MESSAGE(largest_difference(half.grads, exact.grads) < 0.15, op.name);
  }
}

TEST_CASE("gelu gives the values of its definition") {
  // x P(Z <= x) of a standard normal Z.
  const Tensor y = gelu(from_vector<double>({-1, 0, 1, 2}, {4}));
  const std::vector<double> expected = {-0.158655253931457, 0, 0.841344746068543,
                                        1.954499736103642};
  CHECK(largest_difference({y}, {from_vector(expected, {4})}) < 1e-14);
}

TEST_CASE("running maxima give the gradient to the last of equal values") {
  const Tensor x = from_vector<double>({1, 3, 3, 2, 5, 0, 5, 4}, {2, 4}).set_requires_grad();
  const Tensor forward = cummax(x, 1), backward = cummax(x, 1, Direction::backward);
  CHECK(forward.to_vector() == std::vector<double>{1, 3, 3, 3, 5, 5, 5, 5});
  CHECK(backward.to_vector() == std::vector<double>{3, 3, 3, 2, 5, 5, 5, 4});
  CHECK(cummax(x, 0).to_vector() == std::vector<double>{1, 3, 3, 2, 5, 3, 5, 4});
  CHECK(grad({forward}, {x}, {ones({2, 4}, DType::f64)})[0].to_vector() ==
        std::vector<double>{1, 1, 2, 0, 2, 0, 2, 0});
  CHECK(grad({backward}, {x}, {ones({2, 4}, DType::f64)})[0].to_vector() ==
        std::vector<double>{0, 2, 1, 1, 1, 0, 2, 1});
  CHECK(cummax(zeros({0, 3}), 0).numel() == 0);
}

TEST_CASE("diagonals begin at the edge that they lead away from") {
  const Tensor x = from_vector<float>({9, 2, 3, 4, 5, 6, 1, 8, 7}, {3, 3});
  using enum Direction;
  const auto along = [&](Direction rows, Direction cols) {
    return cummax_diagonal(x, 0, rows, cols).to_vector();
  };
  CHECK(along(forward, forward) == std::vector<double>{9, 2, 3, 4, 9, 6, 1, 8, 9});
  CHECK(along(backward, backward) == std::vector<double>{9, 6, 3, 8, 7, 6, 1, 8, 7});
  CHECK(along(forward, backward) == std::vector<double>{9, 2, 3, 4, 5, 6, 5, 8, 7});
  CHECK(along(backward, forward) == std::vector<double>{9, 4, 5, 4, 5, 8, 1, 8, 7});
}

TEST_CASE("permute, flip, shift and stack move what is there") {
  const Tensor x = from_vector<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(permute(x, {1, 0}).shape() == Shape{3, 2});
  CHECK(permute(x, {-1, 0}).to_vector() == std::vector<double>{1, 4, 2, 5, 3, 6});
  CHECK(flip(x, 1).to_vector() == std::vector<double>{3, 2, 1, 6, 5, 4});
  CHECK(flip(permute(x, {1, 0}), 1).to_vector() == std::vector<double>{4, 1, 5, 2, 6, 3});
  CHECK(shift(x, 1, 1).to_vector() == std::vector<double>{0, 1, 2, 0, 4, 5});
  CHECK(shift(x, 1, -2).to_vector() == std::vector<double>{3, 0, 0, 6, 0, 0});
  CHECK(shift(x, 0, 7).to_vector() == std::vector<double>(6, 0.0));
  CHECK(stack({x, x}, -1).shape() == Shape{2, 3, 2});
  CHECK(stack({select(x, 0, 0), select(x, 0, 1)}, 1).to_vector() ==
        std::vector<double>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("reductions over several dimensions") {
  const Tensor x = from_vector<double>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});
  CHECK(sum(x, {0, 2}).to_vector() == std::vector<double>{14, 22});
  CHECK(sum(x, {2, 0}, true).shape() == Shape{1, 2, 1});
  CHECK(mean(x, {0, 1, 2}).item() == 4.5);
  CHECK(max(x, {1, 0}).to_vector() == std::vector<double>{7, 8});
  CHECK(min(x, {1, 2}).to_vector() == std::vector<double>{1, 5});
  CHECK(min(x, 0).to_vector() == std::vector<double>{1, 2, 3, 4});
  CHECK(sum(softmax(x, {0, 1}), {0, 1}).to_vector()[1] == doctest::Approx(1));
  CHECK(logsumexp(x, {0, 1, 2}).item() == doctest::Approx(8.458339626));
  const Tensor mask = from_vector<double>({1, 0}, {2, 1});
  CHECK(masked_mean(x, mask, {0, 1}).to_vector() == std::vector<double>{3, 4});
  CHECK(masked_mean(x, 0.0 * mask, {1}, false, 0.5).to_vector() == std::vector<double>(4, 0.0));
  const Tensor even = standardize(x, {0, 1}, 0);
  CHECK(mean(square(even), {0, 1}).to_vector()[0] == doctest::Approx(1));
  CHECK(mean(even, {0, 1}).to_vector()[0] == doctest::Approx(0));
}

TEST_CASE("logsumexp of large and of infinite values") {
  const double inf = INFINITY;
  const Tensor x = from_vector<double>({1000, 1000, -inf, -inf, inf, 1}, {3, 2});
  const std::vector<double> y = logsumexp(x, {1}).to_vector();
  CHECK(y[0] == doctest::Approx(1000 + std::log(2.0)));
  CHECK(y[1] == -inf);
  CHECK(y[2] == inf);
  for (const DType t : {DType::f32, DType::bf16}) CHECK(logsumexp(x.to(t), {0, 1}).item() == inf);
}

TEST_CASE("linear in bf16 keeps f32 gradients of its weight") {
  Random random(2);
  const Tensor x = random.normal({5, 33}, 1, DType::bf16);
  Tensor w = random.normal({7, 33}, 1), b = random.normal({7}, 1);
  w.set_requires_grad();
  b.set_requires_grad();
  const Tensor y = linear(x, w, w.detach().to(DType::bf16), b);
  CHECK(y.dtype() == DType::bf16);
  backward(y, ones({5, 7}, DType::bf16));
  CHECK(w.grad().dtype() == DType::f32);
  const auto columns = sum(x.to(DType::f64), 0).to_vector();
  for (int i = 0; i < 33; ++i) CHECK(std::abs(w.grad().to_vector()[i] - columns[i]) < 1e-5);
  for (const double g : b.grad().to_vector()) CHECK(g == 5);
}

TEST_CASE("a packed weight follows its weight") {
  Random random(4);
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const DType master = accumulate_type(dtype);
    const Tensor x = random.normal({19, 70}, 1).to(dtype);
    Tensor w = random.normal({33, 70}, 1).to(master);
    const auto packed = std::make_shared<PackedWeight>();
    const auto same = [&] {
      const Tensor copy = dtype == DType::bf16 ? w.to(dtype) : Tensor();
      return linear(x, w, copy, {}, packed).to_vector() == linear(x, w, copy).to_vector();
    };
    CHECK(same());
    CHECK(same());  // from the packed form
    w.copy_from(random.normal({33, 70}, 1).to(master));
    CHECK(same());
    w = random.normal({33, 70}, 1).to(master);  // other storage
    CHECK(same());
    w.set_requires_grad();  // the rule of its gradient lets go of the packed form
    const Tensor copy = dtype == DType::bf16 ? w.detach().to(dtype) : Tensor();
    grad({sum(linear(x, w, copy, {}, packed))}, {w});
    CHECK(same());
  }
}

TEST_CASE("the number of threads does not change a bit") {
  // Large enough that every kernel really runs in parallel.
  Random random(5);
  const Tensor qkv = random.normal({6, 37, 3 * 4 * 32}, 1).set_requires_grad();
  const Tensor w = random.normal({257, 384}, 1).set_requires_grad();
  const RopeTables tables = rope_tables(37, 32, 10000, DType::f32);
  const auto run = [&](int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    const Tensor h = add_rms_norm(qkv, silu(qkv));
    const Tensor a = attention(h, 4, &tables);
    Tensors out = {a, softmax(h), sum(h), linear(h, w)};
    const Tensors g = grad({sum(a) + sum(linear(h, w)) + sum(exp(h * 0.1))}, {qkv, w});
    out.insert(out.end(), g.begin(), g.end());
    omp_set_num_threads(before);
    return out;
  };
  const Tensors one = run(1);
  CHECK(same_bits(one, run(2)));
  CHECK(same_bits(one, run(3)));
}

TEST_CASE("errors name the operation, the rule and the shapes") {
  const Tensor a = zeros({2, 3}), b = zeros({4});
  expect_error([&] { a + b; }, "[add] shapes must broadcast, got (2, 3) and (4)");
  expect_error([&] { a + zeros({3}, DType::f64); },
               "operands must have one dtype, got f32 and f64");
  expect_error([&] { matmul(a, a); }, "[matmul] needs [..., m, k] and [..., k, n]");
  expect_error(
      [&] {
        linear(a, zeros({5, 4}));
      },
      "[linear] needs x [..., in] and weight [out, in]");
  expect_error([&] { reshape(a, {5}); }, "number of elements must stay 6");
  expect_error([&] { slice(a, 1, 2, 5); }, "[slice] range must lie in 0..3");
  expect_error([&] { concat({a, zeros({2, 3}, DType::f64)}, 0); }, "[concat] parts must agree");
  expect_error([&] { embedding(a, from_vector<int32_t>({2}, {1})); },
               "index 0 must be in 0..1, got 2");
  expect_error(
      [&] {
        cross_entropy(LossType::softmax_cross_entropy, a, from_vector<int32_t>({0, 7}, {2}));
      },
      "label 1 must be in 0..2 or -100, got 7");
  expect_error([&] { attention(zeros({1, 2, 7}), 2, nullptr); }, "[attention] needs qkv");
  expect_error([&] { swiglu(zeros({1, 7})); }, "[swiglu] the last dimension must be even");
  expect_error([&] { rope_tables(3, 5, 10000, DType::f32); }, "head_dim must be even, got 5");
  expect_error([&] { sum(a, 2); }, "[sum] dimension must be in -2..1, got 2");
  expect_error([&] { where(a, a, a); }, "[where] the condition must be u8");
  expect_error([&] { atan2(zeros({2}).set_requires_grad(), zeros({2})); },
               "[atan2] has no gradient");
}

TEST_CASE("elementwise operations, selections and views say what they need") {
  const Tensor a = zeros({2, 3}), wide = zeros({2, 3}, DType::f64);
  const Tensor mask = zeros({2, 3}, DType::u8), ids = zeros({2}, DType::i32);
  expect_error([&] { compare(CompareOp::ge, a, wide); },
               "[compare] operands must have one dtype, got f32 and f64. HINT: cast()");
  expect_error([&] { where(mask, a, wide); },
               "[where] both values must have one dtype, got f32 and f64. HINT: cast()");
  expect_error([&] { concat({}, 0); }, "[concat] needs at least one tensor");
  expect_error([&] { pad(a, 0, 1, -1); }, "[pad] widths must not be negative, got 1 and -1");
  expect_error([&] { pad(a, 0, -1, 1); }, "[pad] widths must not be negative, got -1 and 1");

  expect_error([&] { permute(a, {0}); }, "[permute] needs each dimension of (2, 3) once, got 1");
  expect_error([&] { permute(a, {1, -1}); }, "[permute] dimension 1 of (2, 3) comes twice");
  expect_error([&] { stack({}, 0); }, "[stack] needs at least one tensor");
  expect_error(
      [&] {
        stack({a, wide}, 0);
      },
      "[stack] parts must agree in shape and dtype, got f32(2, 3) and f64(2, 3)");
  expect_error([&] { cummax(ids, 0); }, "[cummax] needs a floating dtype, got i32");
  expect_error([&] { cummax_diagonal(a, 1, Direction::forward, Direction::forward); },
               "[cummax_diagonal] needs a dimension behind dimension 1 of (2, 3)");

  expect_error([&] { embedding(a, a); }, "[embedding] indices must be i32, got f32");
  const char* table = "[embedding] needs a table [n, dim] and a copy like it, got f32(";
  expect_error([&] { embedding(zeros({3}), ids); }, table);
  expect_error([&] { embedding(a, ids, 1, zeros({3, 2}, DType::bf16)); }, table);
  expect_error([&] { embedding(a, ids, 1, wide); }, table);
  const char* index =
      "[gather_last] input and index must agree in all but the last dimension, got ";
  expect_error([&] { gather_last(a, zeros({3, 2}, DType::i32)); }, index);
  expect_error([&] { gather_last(a, ids); }, index);
  expect_error([&] { gather_last(full({}, 1), full({}, 0, DType::i32)); }, index);
  const char* rows = "[scatter_add] needs source [n, dim] and ids [n], got ";
  expect_error([&] { scatter_add(a, zeros({3}, DType::i32), 4); }, rows);
  expect_error([&] { scatter_add(a, zeros({2, 1}, DType::i32), 4); }, rows);
  expect_error([&] { scatter_add(zeros({2}), ids, 4); }, rows);
}

TEST_CASE("reductions and norms want something to reduce") {
  const Tensor scalar = full({}, 1), none = zeros({2, 0}), a = zeros({2, 3});
  expect_error([&] { softmax(scalar); }, "[softmax] input must have a dimension, got shape ()");
  expect_error([&] { log_softmax(scalar); }, "[softmax] input must have a dimension");
  expect_error([&] { max(none, 1); }, "[max] dimension 1 of (2, 0) is empty");
  CHECK(max(none, 0).numel() == 0);
  expect_error([&] { sum(a, Dims{}); }, "[sum] needs at least one dimension of (2, 3)");
  expect_error([&] { mean(a, {0, -2}); }, "[mean] dimension 0 of (2, 3) comes twice");
  expect_error([&] { softmax(a, 2); }, "[softmax] dimension must be in -2..1, got 2");
  for (const Tensor& t : {scalar, none}) {
    expect_error([&] { argmax(t); }, "[argmax] the last dimension must not be empty, got shape (");
    expect_error([&] { rms_norm(t); },
                 "[rms_norm] the last dimension must not be empty, got shape (");
  }
  const char* alike =
      "[add_rms_norm] both inputs must have one shape and dtype, got f32(2, 3) and ";
  expect_error([&] { add_rms_norm(a, zeros({3})); }, alike);
  expect_error([&] { add_rms_norm(a, zeros({2, 3}, DType::bf16)); }, alike);
}

TEST_CASE("products, attention and losses say what they need") {
  const Tensor x = zeros({2, 4}), w = zeros({5, 4});
  expect_error(
      [&] {
        linear(x, zeros({5, 4}, DType::f64));
      },
      "[linear] weight of f32 inputs must be f32, got f64 with a f32 copy");
  expect_error(
      [&] {
        linear(x, w, zeros({5, 4}, DType::bf16));
      },
      "[linear] weight of f32 inputs must be f32, got f32 with a bf16 copy");
  const char* residual = "[linear] the residual must be f32(2, 5), got ";
  expect_error([&] { linear(x, w, {}, {}, nullptr, zeros({5})); }, residual);
  expect_error([&] { linear(x, w, {}, {}, nullptr, zeros({2, 5}, DType::f64)); }, residual);

  const Tensor qkv = zeros({1, 3, 12}), rotated = zeros({1, 3, 2, 4});
  const RopeTables shorter = rope_tables(2, 4, 10000, DType::f32),
                   exact = rope_tables(3, 4, 10000, DType::f64);
  const char* tables = "[attention] rotary tables must be ";
  expect_error([&] { attention(qkv, 1, &shorter); },
               tables + std::string("[seq, head_dim] = (3, "));
  expect_error([&] { attention(qkv, 1, &exact); }, tables + std::string("f32, got f64"));
  const char* rope_needs =
      "[rope] needs x [batch, seq, heads, head_dim] and tables [seq, head_dim]";
  expect_error([&] { rope(rotated, shorter); }, rope_needs);
  expect_error([&] { rope(qkv, shorter); }, rope_needs);
  expect_error([&] { rope(rotated, exact); }, "[rope] tables of f32 inputs must be f32, got f64");

  const LossType kind = LossType::softmax_cross_entropy;
  const char* labels = "[cross_entropy] needs logits [..., vocab] and i32 labels [...], got f32(";
  expect_error([&] { cross_entropy(kind, x, zeros({2})); }, labels);
  expect_error([&] { cross_entropy(kind, x, zeros({4}, DType::i32)); }, labels);
  expect_error([&] { cross_entropy(kind, full({}, 1), zeros({2}, DType::i32)); }, labels);
  const char* target = "[bce_with_logits] logits, target and weight must agree, got f32(2, 4) and ";
  expect_error([&] { bce_with_logits(x, zeros({2})); }, target);
  expect_error([&] { bce_with_logits(x, zeros({2, 4}, DType::f64)); }, target);
  expect_error([&] { bce_with_logits(x, x, zeros({4})); }, target);
}
