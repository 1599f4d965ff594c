// The CUDA backend against the CPU: in a CUDA build on the GPU, with CUDA=emulate on the CPU.
#include "kernels/dispatch.h"

#if HRM_WITH_CUDA
#include <cmath>
#include <fstream>
#include <map>

#include "autograd/gradcheck.h"
#include "kernels/act.h"
#include "kernels/attention.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/layer_norm.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"
#include "kernels/rms_norm.h"
#include "tests/cuda/probe.h"
#include "tests/support/op_cases.h"
#include "tests/support/support.h"
#ifdef HRM_EMULATE
#include "kernels/cuda/emulate/emulate.h"
#endif

using namespace hrm;
using namespace hrm::test;

namespace {

const Context kCpu, kCuda{Device::cuda, nullptr};

// Runs `call(context, place)` once with host tensors and once with copies of them on the device,
// and returns the largest relative difference of `outputs` afterwards. place(t) is t or its copy.
using Place = std::function<Tensor&(Tensor&)>;
double cpu_against_cuda(const std::function<void(const Context&, const Place&)>& call,
                        const std::vector<Tensor*>& outputs) {
  std::map<Tensor*, Tensor> on_device;
  std::map<Tensor*, Tensor> on_host;
  call(kCuda, [&](Tensor& t) -> Tensor& {
    auto [at, fresh] = on_device.try_emplace(&t);
    if (fresh) at->second = t.clone().to(Device::cuda);
    return at->second;
  });
  call(kCpu, [&](Tensor& t) -> Tensor& {
    auto [at, fresh] = on_host.try_emplace(&t);
    if (fresh) at->second = t.clone();
    return at->second;
  });
  Tensors got, want;
  for (Tensor* t : outputs) {
    got.push_back(on_device.at(t));
    want.push_back(on_host.at(t));
  }
  return largest_difference(got, want);
}

// The sizes that matter to a kernel: one element, less than a warp, odd, more than a block.
const std::vector<int64_t> kSizes = {1, 33, 257, 5000};

}  // namespace

TEST_CASE("cuda: every operation gives what the CPU gives") {
  for (const OpCase& op : op_cases()) {
    const auto compare = [&](DType t, double outputs, double grads) {
      const OpResult cpu = evaluate_case(op, t), cuda = evaluate_case(op, t, Device::cuda);
      CHECK_MESSAGE(largest_difference(cuda.outputs, cpu.outputs) <= outputs, op.name, " ", t);
      CHECK_MESSAGE(largest_difference(cuda.grads, cpu.grads) <= grads, op.name, " ", t);
    };
    compare(DType::f64, 1e-13, 1e-12);
    if (!op.any_dtype) continue;
    compare(DType::f32, 2e-6, 1e-5);
    if (op.name != "bce_with_logits") compare(DType::bf16, 0.03, 0.06);
  }
}

TEST_CASE("cuda: fragments of ldmatrix and mma lie as recorded") {
  // Recorded by the emulation; a GPU must agree, or the emulated tests prove nothing about it.
  std::ifstream file("tests/fixtures/mma_layout.txt");
  REQUIRE_MESSAGE(file.good(), "run the tests from the root of the repository");
  std::vector<uint32_t> want;
  for (uint32_t word; file >> std::hex >> word;) want.push_back(word);
  CHECK(mma_probe() == want);
}

TEST_CASE("cuda: operands on two devices are refused by name") {
  const Tensor host = ones({2, 4}), device = ones({2, 4}, DType::f32, Device::cuda);
  const std::string message = "operands must be on one device, got cpu(2, 4) and cuda(2, 4)";
  expect_error([&] { host + device; }, "[add] " + message);
  expect_error([&] { add_rms_norm(host, device); }, "[rms_norm] " + message);
  expect_error([&] { linear(host, device); }, "[matmul] operands must be on one device");
  expect_error([&] { embedding(device, from_vector<int32_t>({1}, {1})); }, "[embedding]");
}

TEST_CASE("cuda: a tensor that moves between the devices carries its gradient") {
  Tensor x = from_values({1, 2, 3}, {3}).set_requires_grad();
  const Tensor y = (x * 2.0).to(Device::cuda);
  backward(sum((y * y).to(Device::cpu)));
  CHECK(x.grad().device() == Device::cpu);
  CHECK(x.grad().to_vector() == std::vector<double>{8, 16, 24});
}

TEST_CASE("cuda: a recording that throws is dropped, and the device goes on") {
  cuda::Graph graph;
  const Tensor t = full({3}, 1, DType::f32, Device::cuda);
  expect_error(
      [&] {
        graph.record([&] {
          Tensor(t).fill(5);
          throw Error("[test] in the middle");
        });
      },
      "[test] in the middle");
  CHECK_FALSE(graph.recorded());
  CHECK(t.to_vector() == std::vector<double>{1, 1, 1});
  CHECK(full({3}, 2, DType::f32, Device::cuda).to_vector() == std::vector<double>{2, 2, 2});
  graph.record([&] { Tensor(t).fill(7); });
  CHECK(t.to_vector() == std::vector<double>{1, 1, 1});
  graph.launch();
  CHECK(t.to_vector() == std::vector<double>{7, 7, 7});
}

TEST_CASE("cuda: products of operands with repeated rows and columns") {
  Random random(8);
  for (const DType t : {DType::f32, DType::bf16}) {
    const Tensor row = random.normal({1, 16}, 1).to(t), column = random.normal({16, 1}, 1).to(t);
    const Tensor square = random.normal({16, 16}, 1).to(t);
    const auto products = [&](Device device) {
      const Tensor r = row.to(device).expand({16, 16}), c = column.to(device).expand({16, 16});
      const Tensor s = square.to(device);
      return Tensors{matmul(r, s), matmul(s, r), matmul(c, s), matmul(s, c), matmul(r, c)};
    };
    CHECK(largest_difference(products(Device::cuda), products(Device::cpu)) <
          (t == DType::f32 ? 1e-5 : 8e-3));
  }
}

TEST_CASE("cuda: a product that starts from a residual") {
  Random random(5);
  for (const DType t : {DType::f64, DType::f32, DType::bf16}) {
    const DType wide = accumulate_type(t);
    const auto make = [&](const Shape& shape) { return random.normal(shape, 1, DType::f64); };
    const Tensor x = make({2, 3, 34}), w1 = make({9, 34}), w2 = make({9, 17}), r = make({2, 3, 9});
    const auto run = [&](Device device) {
      const auto leaf = [&](const Tensor& v, DType type) {
        return v.to(type).clone().to(device).set_requires_grad();
      };
      const Tensor a = leaf(x, t), u = leaf(w1, wide), v = leaf(w2, wide), b = leaf(r, t);
      Tensors all = {linear(a, u, {}, {}, nullptr, b), swiglu_linear(a, v, {}, nullptr, b)};
      for (const Tensor& g : grad({sum(all[0] * all[1])}, {a, u, v, b})) all.push_back(g);
      return all;
    };
    const double tolerance = t == DType::f64 ? 1e-12 : t == DType::f32 ? 1e-5 : 0.2;
    CHECK(largest_difference(run(Device::cuda), run(Device::cpu)) < tolerance);
  }
}

TEST_CASE("cuda: the gradient of a layer's input starts from that of the residual beside it") {
  Random random(5);
  for (const DType t : {DType::f64, DType::f32, DType::bf16}) {
    const DType wide = accumulate_type(t);
    const Tensor x = random.normal({2, 3, 34}, 1, DType::f64),
                 w1 = random.normal({12, 34}, 1, wide), w2 = random.normal({34, 12}, 1, wide),
                 w3 = random.normal({8, 34}, 1, wide);
    std::map<std::string, cuda::KernelTime> calls;
    const auto run = [&](Device device) {
      const auto leaf = [&](const Tensor& v, DType type) {
        return v.to(type).clone().to(device).set_requires_grad();
      };
      const Tensor a = leaf(x, t), u = leaf(w1, wide), v = leaf(w2, wide), w = leaf(w3, wide);
      const Tensor h = 2.0 * a;  // no leaf: two branches and a residual end here
      const Tensor y = linear(linear(h, u), v, {}, {}, nullptr, h);
      const Tensor loss = sum(y) + sum(square(linear(h, w)));
      if (device == Device::cuda) cuda::profile_start();
      Tensors grads = grad({loss}, {a, u, v, w});
      if (device == Device::cuda) calls = cuda::profile_stop();
      return grads;
    };
    const double tolerance = t == DType::f64 ? 1e-12 : t == DType::f32 ? 1e-4 : 0.5;
    CHECK(largest_difference(run(Device::cuda), run(Device::cpu)) < tolerance);
    CHECK(calls.at("axpy").calls == 1);  // the residual's own, which finds that of w's branch there
  }
}

TEST_CASE(
    "cuda: the gradient of swiglu_linear reads the activation, and does not compute it again") {
  Random random(5);
  const auto leaf = [&](const Shape& shape) {
    return random.normal(shape, 1).to(Device::cuda).set_requires_grad();
  };
  const Tensor gate_up = leaf({6, 32}), weight = leaf({8, 16});
  const Tensor y = swiglu_linear(gate_up, weight, {}, nullptr);
  cuda::profile_start();
  backward(sum(y));
  const auto calls = cuda::profile_stop();
  CHECK(calls.count("swiglu") == 0);
  CHECK(calls.at("swiglu_backward").calls == 1);
}

TEST_CASE("cuda: gradcheck of every operation in f64") {
  for (const OpCase& op : op_cases()) {
    Random random(3);
    Tensors inputs;
    for (const Tensor& t : op.inputs(random)) {
      inputs.push_back(t.detach().to(Device::cuda));
      inputs.back().set_requires_grad(t.requires_grad());
    }
    CHECK_MESSAGE(gradcheck(op.run, inputs) == "", op.name);
  }
}

#ifdef HRM_EMULATE
TEST_CASE("cuda: the order of threads, warps and blocks does not change a bit") {
  for (const OpCase& op : op_cases())
    for (const DType t : {DType::f32, DType::bf16}) {
      if (!op.any_dtype || (t == DType::bf16 && op.name == "bce_with_logits")) continue;
      const OpResult forward = evaluate_case(op, t, Device::cuda);
      for (const auto order : {emulate::Order::reverse, emulate::Order::random}) {
        emulate::set_order(order);
        const OpResult other = evaluate_case(op, t, Device::cuda);
        emulate::set_order(emulate::Order::forward);
        CHECK_MESSAGE(same_bits(forward.outputs, other.outputs), op.name, " ", t);
        CHECK_MESSAGE(same_bits(forward.grads, other.grads), op.name, " ", t);
      }
    }
}
#endif

TEST_CASE("cuda: random numbers are those of the CPU") {
  for (const DType t : {DType::f32, DType::f64, DType::bf16}) {
    Random a(5, 3), b(5, 3);
    const double tolerance = t == DType::f64 ? 1e-14 : t == DType::f32 ? 2e-7 : 8e-3;
    const auto compare = [&](const Tensor& x, const Tensor& y, double most) {
      CHECK(largest_difference({x}, {y}) <= most);
    };
    compare(a.uniform({999}, -2, 3, t), b.uniform({999}, -2, 3, t, Device::cuda), tolerance);
    // Far from the middle one unit in the last place of erf moves a normal number by many of its
    // own.
    compare(a.normal({999}, 2, t), b.normal({999}, 2, t, Device::cuda), std::max(tolerance, 1e-12));
    compare(a.truncated_normal({999}, 2, t), b.truncated_normal({999}, 2, t, Device::cuda),
            tolerance);
    compare(a.randint({999}, -3, 9), b.randint({999}, -3, 9, Device::cuda), 0);
  }
}

TEST_CASE("cuda: casts and copies") {
  Random random(1);
  const Tensor x = random.uniform({3, 333}, 0, 100, DType::f64);
  const DType all[] = {DType::f32, DType::bf16, DType::f64, DType::i32, DType::u8};
  for (const DType from : all)
    for (const DType to : all) {
      const Tensor start = x.to(from);
      CHECK(start.to(Device::cuda).to(to).to_vector() == start.to(to).to_vector());
    }
  const Tensor device = x.to(Device::cuda);
  CHECK(device.transpose(0, 1).clone().to_vector() == x.transpose(0, 1).to_vector());
  CHECK(device.slice(1, 5, 9).to(Device::cpu).to_vector() == x.slice(1, 5, 9).to_vector());
  Tensor part = device.clone();
  part.slice(1, 5, 9).copy_from(x.slice(1, 0, 4));
  CHECK(part.slice(1, 5, 9).to_vector() == x.slice(1, 0, 4).to_vector());
}

TEST_CASE("cuda: strided copies, of packs of sixteen bytes and of what is not made of them") {
  Random random(2);
  const Tensor x = random.uniform({3, 5, 48}, 0, 100, DType::f64);
  // Columns [begin, end) go to `at`: rows that are whole packs in every type, that end within one,
  // and that begin within one, here or there.
  struct Columns {
    int64_t begin, end, at;
  };
  for (const DType t : {DType::u8, DType::bf16, DType::i32, DType::f32, DType::f64}) {
    const Tensor host = x.to(t), device = host.to(Device::cuda);
    for (const auto& [begin, end, at] :
         {Columns{16, 48, 0}, {0, 32, 16}, {16, 37, 0}, {1, 33, 0}, {0, 32, 1}}) {
      Tensor want = zeros({3, 5, 48}, t), got = want.to(Device::cuda);
      want.slice(2, at, at + end - begin).copy_from(host.slice(2, begin, end));
      got.slice(2, at, at + end - begin).copy_from(device.slice(2, begin, end));
      CHECK(got.to_vector() == want.to_vector());
    }
    // Whole packs, but the next row begins within one.
    Tensor want = zeros({15, 33}, t), got = want.to(Device::cuda);
    want.slice(1, 0, 16).copy_from(host.view({15, 48}).slice(1, 0, 16));
    got.slice(1, 0, 16).copy_from(device.view({15, 48}).slice(1, 0, 16));
    CHECK(got.to_vector() == want.to_vector());
    // Other orders of the dimensions, a repeated row, rows of another length between.
    const Tensor other = device.transpose(0, 1), host_other = host.transpose(0, 1);
    CHECK(other.clone().to_vector() == host_other.clone().to_vector());
    CHECK(device.transpose(1, 2).clone().to_vector() == host.transpose(1, 2).clone().to_vector());
    const Shape wide = {3, 5, 7, 48};
    CHECK(device.view({3, 5, 1, 48}).expand(wide).clone().to_vector() ==
          host.view({3, 5, 1, 48}).expand(wide).clone().to_vector());
    CHECK(device.slice(1, 1, 4).clone().to_vector() == host.slice(1, 1, 4).clone().to_vector());
    // Transposed matrices of several tiles, and parts of them.
    const Tensor large = random.normal({2, 70, 133}, 9).to(t), there = large.to(Device::cuda);
    const auto part = [](const Tensor& of) { return of.slice(1, 2, 67).slice(2, 5, 130); };
    CHECK(there.transpose(1, 2).clone().to_vector() == large.transpose(1, 2).clone().to_vector());
    CHECK(part(there).transpose(1, 2).clone().to_vector() ==
          part(large).transpose(1, 2).clone().to_vector());
    Tensor target = zeros({2, 140, 70}, t, Device::cuda), host_target = zeros({2, 140, 70}, t);
    target.slice(1, 3, 136).copy_from(there.transpose(1, 2));
    host_target.slice(1, 3, 136).copy_from(large.transpose(1, 2));
    CHECK(target.to_vector() == host_target.to_vector());
  }
}

TEST_CASE("cuda: a sum of three has the bits of two sums, aligned to sixteen bytes or not") {
  Random random(4);
  const Tensor numbers = random.normal({3, 1001}, 1);
  for (const DType t : {DType::bf16, DType::f32, DType::f64})
    for (const int64_t begin : {0, 1}) {
      const auto part = [&](const Tensor& of, int64_t row) {
        return of.slice(0, row, row + 1).view({-1}).slice(0, begin, 1001);
      };
      const Tensor host = numbers.to(t), device = numbers.to(t).to(Device::cuda);
      const Tensor want = part(host, 0) + (part(host, 1) + part(host, 2));
      CHECK(add3(part(host, 0), part(host, 1), part(host, 2)).to_vector() == want.to_vector());
      CHECK(add3(part(device, 0), part(device, 1), part(device, 2)).to_vector() ==
            want.to_vector());
    }
}

TEST_CASE("cuda: swiglu in bf16, whose exp and division are approximate, is off by two roundings") {
  // Gates from -100 to 100 and what is not finite, in rows of whole packs and others. Below -87 the
  // sigmoid is less than 2^-126, and zero on a GPU.
  for (const int64_t inter : {800, 801}) {
    std::vector<float> values;
    for (int64_t i = 0; i < inter; ++i)
      values.push_back(static_cast<float>(i - inter / 2) * (i % 2 ? 0.25f : 0.01f));
    values[0] = INFINITY;
    values[1] = -INFINITY;
    values[2] = NAN;
    values[3] = -3e38f;
    for (int64_t i = 0; i < inter; ++i) values.push_back(1.0f + 0.01f * static_cast<float>(i));
    const Tensor gate_up = from_vector<float>(values, {1, 2 * inter}).to(DType::bf16);
    const Tensor dy = full({1, inter}, 1.5, DType::bf16);
    const auto compare = [&](const Tensor& cuda, const Tensor& cpu) {
      const std::vector<double> got = cuda.to_vector(), want = cpu.to_vector();
      for (size_t i = 0; i < want.size(); ++i) {
        const bool near = std::abs(got[i] - want[i]) <= std::abs(want[i]) / 128 + 1e-35;
        CHECK_MESSAGE((near || got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))),
                      "element ", i, ": ", got[i], ", the CPU has ", want[i]);
      }
    };
    compare(swiglu(gate_up.to(Device::cuda)), swiglu(gate_up));
    compare(swiglu_gradient(gate_up.to(Device::cuda), dy.to(Device::cuda)),
            swiglu_gradient(gate_up, dy));
  }
}

TEST_CASE("cuda: gemm equals the CPU's for odd sizes, transposes, beta and dtypes") {
  for (const auto& [m, n, k, batch] : {std::tuple{1, 1, 1, 1},
                                       {1, 33, 7, 3},
                                       {33, 1, 82, 1},
                                       {65, 70, 257, 2},
                                       {128, 64, 64, 1},
                                       {3, 5, 0, 1}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const double beta : {0.0, 1.0})
          for (const auto& [t, ct] : {std::pair{DType::f32, DType::f32},
                                      {DType::f64, DType::f64},
                                      {DType::bf16, DType::bf16},
                                      {DType::bf16, DType::f32}}) {
            Random random(7);
            Tensor a = random.normal({batch, ta ? k : m, ta ? m : k}, 1).to(t);
            Tensor b = random.normal({batch, tb ? n : k, tb ? k : n}, 1).to(t);
            Tensor c = random.normal({batch, m, n}, 1).to(ct);
            if (beta == 0) c.fill(NAN);  // never read
            const double error = cpu_against_cuda(
                [&, m = m, n = n, k = k, batch = batch, t = t, ct = ct](const Context& context,
                                                                        const Place& at) {
                  Gemm g;
                  g.type = t;
                  g.c_type = ct;
                  g.m = m;
                  g.n = n;
                  g.k = k;
                  g.batch = batch;
                  g.beta = beta;
                  g.a = at(a).data();
                  g.a_row = ta ? 1 : k;
                  g.a_col = ta ? m : 1;
                  g.b = at(b).data();
                  g.b_row = tb ? 1 : n;
                  g.b_col = tb ? k : 1;
                  g.a_batch = m * k;
                  g.b_batch = k * n;
                  g.c_batch = m * n;
                  g.c = at(c).data();
                  g.c_row = n;
                  HRM_DISPATCH(gemm, context, g);
                },
                {&c});
            CHECK_MESSAGE(error < (t == DType::f64    ? 1e-13
                                   : ct == DType::f32 ? 2e-5
                                                      : 8e-3),
                          m, "x", n, "x", k, " ta ", ta, " tb ", tb, " beta ", beta, " ", t, " ",
                          ct);
          }
}

TEST_CASE("cuda: a product of padded operands has the same bits") {
  const auto product = [](const Gemm& g, const Context& context) {
    // What cuBLASLt is fed: rows of whole units of sixteen bytes.
    CHECK((g.a_col == 1 ? g.k : g.m) % 8 == 0);
    CHECK((g.b_col == 1 ? g.n : g.k) % 8 == 0);
    CHECK((g.a_col == 1 ? g.a_row : g.a_col) % 8 == 0);
    CHECK((g.b_col == 1 ? g.b_row : g.b_col) % 8 == 0);
    cuda::gemm_reference(g, context);
  };
  Random random(5);
  // Rows of whole units as well, in a matrix whose rows are `spare` longer.
  for (const auto& [m, n, k, spare] :
       {std::tuple<int64_t, int64_t, int64_t, int64_t>{24, 11, 16, 0},
        {11, 16, 24, 5},
        {16, 24, 11, 0},
        {19, 3, 45, 3},
        {16, 8, 24, 3},
        {16, 2, 24, 0}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const DType ct : {DType::bf16, DType::f32})
          for (const int start : {0, 1, 2}) {  // from nothing, from C, from another matrix
            const auto matrix = [&, spare = spare](int64_t rows, int64_t columns, DType t) {
              return random.normal({rows, columns + spare}, 1, t, Device::cuda);
            };
            const Tensor a = ta ? matrix(k, m, DType::bf16) : matrix(m, k, DType::bf16);
            const Tensor b = tb ? matrix(n, k, DType::bf16) : matrix(k, n, DType::bf16);
            const Tensor c = matrix(m, n, ct), padded = c.clone(), add = matrix(m, n, ct);
            Gemm g;
            g.type = DType::bf16;
            g.c_type = ct;
            g.m = m;
            g.n = n;
            g.k = k;
            g.a = a.data();
            g.b = b.data();
            (ta ? g.a_col : g.a_row) = a.size(1);
            (ta ? g.a_row : g.a_col) = 1;
            (tb ? g.b_col : g.b_row) = b.size(1);
            (tb ? g.b_row : g.b_col) = 1;
            g.c = c.data();
            g.c_row = c.size(1);
            g.beta = start == 0 ? 0 : 1;
            g.add = start == 2 ? add.data() : nullptr;
            cuda::gemm_reference(g, kCuda);
            g.c = padded.data();
            cuda::gemm_padded(g, kCuda, product);
            CHECK(padded.to_vector() == c.to_vector());
          }
}

TEST_CASE("cuda: a product is padded if it is large and has rows that are not whole units") {
  Gemm g;
  g.type = g.c_type = DType::bf16;
  g.m = 4096;
  g.n = 64;
  g.k = 512;
  g.a_row = g.k;
  g.b_row = g.c_row = g.n;
  CHECK_FALSE(cuda::wants_padding(g));
  const auto padded = [&](int64_t Gemm::*size, int64_t value) {
    Gemm other = g;
    other.*size = value;
    return cuda::wants_padding(other);
  };
  CHECK(padded(&Gemm::a_row, 513));
  CHECK(padded(&Gemm::b_row, 68));
  CHECK(padded(&Gemm::c_row, 65));
  CHECK(padded(&Gemm::k, 511));
  CHECK(padded(&Gemm::n, 63));
  CHECK_FALSE(padded(&Gemm::m, 4095));  // no row of A, B or C is that long
  CHECK_FALSE(padded(&Gemm::batch, 2));
  g.n = g.b_row = g.c_row = 63;
  CHECK(padded(&Gemm::m, 4096));
  CHECK_FALSE(padded(&Gemm::m, 100));  // small
}

TEST_CASE("cuda: attention, forward and backward, at every kind of size") {
  for (const auto& [batch, seq, heads, dim] : {std::tuple{2, 1, 1, 16},
                                               {1, 17, 3, 32},
                                               {2, 37, 2, 64},
                                               {1, 82, 2, 64},
                                               {1, 96, 2, 32},
                                               {1, 97, 1, 64},
                                               {1, 130, 1, 48},
                                               {1, 40, 1, 128},
                                               {2, 33, 2, 10},
                                               {1, 300, 1, 80},
                                               {1, 901, 1, 64}})
    for (const DType t : {DType::f32, DType::bf16})
      for (const bool rotary : {true, false}) {
        if (seq == 901 && !rotary) continue;  // half a minute under the checker
        Random random(11);
        const RopeTables tables = rope_tables(seq, dim, 10000, DType::f32);
        Tensor cos = tables.cos, sin = tables.sin;
        Tensor qkv = random.normal({batch, seq, 3 * heads * dim}, 1).to(t);
        Tensor dout = random.normal({batch, seq, heads * dim}, 1).to(t);
        Tensor out = full(dout.shape(), NAN, t), dqkv = full(qkv.shape(), NAN, t);
        Tensor stats = full({batch, heads, seq, 2}, NAN);
        const AttentionShape shape{batch, seq, heads, dim};
        const double error = cpu_against_cuda(
            [&, rotary = rotary, t = t](const Context& context, const Place& at) {
              void *c = rotary ? at(cos).data() : nullptr, *s = rotary ? at(sin).data() : nullptr;
              HRM_DISPATCH(attention, context, t, at(out).data(), at(stats).data(), at(qkv).data(),
                           c, s, shape);
              HRM_DISPATCH(attention_backward, context, t, at(dqkv).data(), at(dout).data(),
                           at(stats).data(), at(qkv).data(), c, s, shape);
            },
            {&out, &stats, &dqkv});
        CHECK_MESSAGE(error < (t == DType::f32 ? 2e-5 : 0.03), "batch ", batch, " seq ", seq,
                      " heads ", heads, " head_dim ", dim, " ", t, " rope ", rotary);
      }
}

TEST_CASE("cuda: rms_norm of every width, with and without a residual") {
  for (const int64_t cols : {1, 33, 128, 256, 512, 768, 1024})
    for (const DType t : {DType::f32, DType::bf16, DType::f64})
      for (const bool with_residual : {false, true}) {
        Random random(2);
        Tensor x = random.normal({7, cols}, 1).to(t), residual = random.normal({7, cols}, 1).to(t);
        Tensor dy = random.normal({7, cols}, 1).to(t);
        Tensor y = full({7, cols}, NAN, t), dx = full({7, cols}, NAN, t);
        Tensor rstd = full({7}, NAN, accumulate_type(t));
        const double error = cpu_against_cuda(
            [&, cols = cols, t = t](const Context& context, const Place& at) {
              HRM_DISPATCH(rms_norm, context, t, at(y).data(), at(rstd).data(), at(x).data(),
                           with_residual ? at(residual).data() : nullptr, 7, cols, 1e-5);
              HRM_DISPATCH(rms_norm_backward, context, t, at(dx).data(), at(y).data(),
                           at(rstd).data(), at(dy).data(), 7, cols);
            },
            {&y, &rstd, &dx});
        CHECK_MESSAGE(error < (t == DType::bf16 ? 0.02 : 2e-6), cols, " ", t);
      }
}

TEST_CASE("cuda: layer_norm of every width, and over many rows") {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{3, 1},
                                   {5, 33},
                                   {7, 128},
                                   {2, 200},
                                   {3, 512},
                                   {2, 700},
                                   {600, 40}})
    for (const DType t : {DType::f32, DType::bf16}) {
      Random random(cols);
      Tensor x = random.normal({rows, cols}, 1, t), dy = random.normal({rows, cols}, 1, t);
      Tensor weight = random.normal({cols}, 1), bias = random.normal({cols}, 1);
      Tensor y = empty_like(x), mean = empty({rows}, DType::f32), rstd = empty_like(mean);
      Tensor dx = empty_like(x), dweight = empty_like(weight), dbias = empty_like(weight);
      const double error = cpu_against_cuda(
          [&, rows = rows, cols = cols, t = t](const Context& context, const Place& at) {
            HRM_DISPATCH(layer_norm, context, t, at(y).data(), at(mean).data(), at(rstd).data(),
                         at(x).data(), at(weight).data(), at(bias).data(), rows, cols, 1e-5);
            HRM_DISPATCH(layer_norm_backward, context, t, at(dx).data(), at(dweight).data(),
                         at(dbias).data(), at(dy).data(), at(x).data(), at(mean).data(),
                         at(rstd).data(), at(weight).data(), rows, cols);
          },
          {&y, &mean, &rstd, &dx, &dweight, &dbias});
      CHECK_MESSAGE(error < (t == DType::bf16 ? 0.02 : 2e-5), rows, " x ", cols, " ", t);
    }
}

TEST_CASE("cuda: sums over rows, columns and everything; squares; values that are not finite") {
  for (const int64_t n : kSizes) {
    Random random(n);
    Tensor x = random.normal({3, n}, 1), total = full({1}, 2, DType::f64);
    CHECK(largest_difference({sum(x.to(Device::cuda), 1)}, {sum(x, 1)}) < 1e-6);
    CHECK(largest_difference({sum(x.to(Device::cuda), 0)}, {sum(x, 0)}) < 1e-6);
    const Tensor narrow = random.normal({2, n, 3}, 1);
    CHECK(largest_difference({sum(narrow.to(Device::cuda), 1)}, {sum(narrow, 1)}) < 1e-5);
    CHECK(largest_difference({sum(x.to(Device::cuda))}, {sum(x)}) < 1e-6);
    CHECK(cpu_against_cuda(
              [&, n = n](const Context& context, const Place& at) {
                HRM_DISPATCH(add_sum_of_squares, context, DType::f32, at(total).data<double>(),
                             at(x).data(), 3 * n);
              },
              {&total}) < 1e-13);
    Tensor flag = zeros({1}, DType::i32).to(Device::cuda);
    const auto flagged = [&](double bad) {
      Tensor y = x.clone();
      if (bad != 0) y.slice(0, 2, 3).slice(1, n - 1, n).copy_from(full({1, 1}, bad));
      const Tensor device = y.to(Device::cuda);
      flag.zero();
      HRM_DISPATCH(flag_nonfinite, kCuda, DType::f32, flag.data<int32_t>(), device.data(), 3 * n);
      return flag.item();
    };
    CHECK(flagged(0) == 0);
    CHECK(flagged(NAN) == 1);
    CHECK(flagged(-INFINITY) == 1);
  }
}

TEST_CASE("cuda: embedding gradients, small tables and large") {
  for (const int64_t vocab : {3, 11, 700})
    for (const DType t : {DType::f32, DType::bf16}) {
      Random random(4);
      const int64_t n = 517, dim = 130;
      Tensor table = random.normal({vocab, dim}, 1), dy = random.normal({n, dim}, 1).to(t);
      Tensor ids = random.randint({n}, 0, static_cast<int32_t>(vocab - 1));
      const double error = cpu_against_cuda(
          [&, vocab = vocab, t = t](const Context& context, const Place& at) {
            HRM_DISPATCH(scatter_add_rows, context, DType::f32, at(table).data(), t, at(dy).data(),
                         at(ids).data<int32_t>(), n, dim, vocab, 1.5);
          },
          {&table});
      CHECK_MESSAGE(error < 1e-5, vocab, " ", t);
    }
}

TEST_CASE("cuda: optimizers") {
  Random random(6);
  for (const DType t : {DType::f32, DType::f64})
    for (const AdamKind kind : {AdamKind::adam_atan2, AdamKind::adamw}) {
      // More tensors than travel with one launch.
      std::vector<Tensor> p(70), m(70), v(70), g(70), copy(70);
      std::vector<Tensor*> outputs;
      for (size_t i = 0; i < p.size(); ++i) {
        const int64_t n = kSizes[i % kSizes.size()];
        p[i] = random.normal({n}, 1, t);
        m[i] = random.normal({n}, 0.1, t);
        g[i] = random.normal({n}, 1, t);
        v[i] = random.uniform({n}, 0, 1, t);
        copy[i] = zeros({n}, DType::bf16);
        for (Tensor* out : {&p[i], &m[i], &v[i], &copy[i]}) outputs.push_back(out);
      }
      Tensor rates = random.uniform({70, kAdamRates}, 0.5, 1, DType::f64);
      Tensor scale = full({1}, 0.7, DType::f64), skip = zeros({1}, DType::i32);
      const auto update = [&, t = t, kind = kind](const Context& context, const Place& at) {
        std::vector<AdamTensor> list;
        for (size_t i = 0; i < p.size(); ++i) {
          bfloat16* const place_of_copy = at(copy[i]).data<bfloat16>();
          list.push_back({at(p[i]).data(), at(m[i]).data(), at(v[i]).data(),
                          i % 2 ? place_of_copy : nullptr, at(g[i]).data(), p[i].numel(),
                          at(rates).data<double>() + i * kAdamRates});
        }
        HRM_DISPATCH(adam, context, t, list.data(), static_cast<int64_t>(list.size()),
                     AdamRule{kind, 0.9, 0.95, 1e-3}, at(scale).data<double>(),
                     at(skip).data<int32_t>());
      };
      CHECK(cpu_against_cuda(update, outputs) < 8e-3);  // one bf16 rounding of the copies
      std::vector<Tensor*> masters;
      for (size_t i = 0; i < p.size(); ++i) {
        masters.push_back(&p[i]);
        masters.push_back(&v[i]);
      }
      CHECK(cpu_against_cuda(update, masters) < (t == DType::f32 ? 3e-6 : 1e-14));
      skip.fill(1);
      std::vector<Tensor> left;
      cpu_against_cuda(
          [&](const Context& context, const Place& at) {
            update(context, at);
            left.push_back(at(p[5]));
          },
          {&p[5]});
      for (const Tensor& one : left) CHECK(one.to_vector() == p[5].to_vector());
    }
}

TEST_CASE("cuda: the kernels of Muon") {
  Random random(9);
  for (const DType t : {DType::f32, DType::f64})
    for (const int64_t n : kSizes) {
      Tensor m = random.normal({n}, 1, t), ahead = zeros({n}, t), g = random.normal({n}, 1, t);
      Tensor p = random.normal({n}, 1, t), copy = zeros({n}, DType::bf16);
      Tensor rates = from_vector<double>({0.9, 0.3}, {kMuonRates});
      Tensor scale = full({1}, 0.7, DType::f64), skip = zeros({1}, DType::i32);
      const auto update = [&, t = t, n = n](const Context& context, const Place& at) {
        HRM_DISPATCH(muon_momentum, context, t, at(m).data(), at(ahead).data(), at(g).data(), n,
                     0.95, at(scale).data<double>(), at(skip).data<int32_t>());
        HRM_DISPATCH(muon_update, context, t, at(p).data(), at(copy).data<bfloat16>(),
                     at(ahead).data(), n, at(rates).data<double>(), at(skip).data<int32_t>());
      };
      CHECK(cpu_against_cuda(update, {&m, &ahead, &p}) < (t == DType::f32 ? 1e-6 : 1e-14));
      CHECK(cpu_against_cuda(update, {&copy}) < 8e-3);  // one bf16 rounding
      skip.fill(1);
      std::vector<Tensor> weights, averages;
      cpu_against_cuda(
          [&](const Context& context, const Place& at) {
            update(context, at);
            weights.push_back(at(p));
            averages.push_back(at(m));
          },
          {&p, &m});
      for (const Tensor& one : weights) CHECK(one.to_vector() == p.to_vector());
      for (const Tensor& one : averages) CHECK(one.to_vector() == m.to_vector());
    }
}

TEST_CASE("cuda: puzzle rows, averages and clipping") {
  Random random(8);
  for (const DType t : {DType::f32, DType::bf16}) {
    Tensor table = random.normal({9, 300}, 1).to(t), grad = random.normal({40, 300}, 1).to(t);
    Tensor rates = from_vector<double>({0.99, 0.01}, {2});
    Tensor ids = random.randint({40}, 0, 5), skip = zeros({1}, DType::i32);
    const auto update = [&, t = t](const Context& context, const Place& at) {
      HRM_DISPATCH(sign_sgd_rows, context, t, at(table).data(), at(grad).data(),
                   at(ids).data<int32_t>(), 40, 300, at(rates).data<double>(),
                   at(skip).data<int32_t>());
    };
    CHECK(cpu_against_cuda(update, {&table}) < (t == DType::f32 ? 1e-6 : 8e-3));
    ids.fill(3);  // all of one puzzle
    CHECK(cpu_against_cuda(update, {&table}) < (t == DType::f32 ? 1e-6 : 8e-3));
    Tensor shadow = random.normal({999}, 1).to(t), p = random.normal({999}, 1).to(t);
    CHECK(cpu_against_cuda(
              [&, t = t](const Context& context, const Place& at) {
                HRM_DISPATCH(ema_update, context, t, at(shadow).data(), at(p).data(), 999, 0.9,
                             at(skip).data<int32_t>());
              },
              {&shadow}) < (t == DType::f32 ? 1e-6 : 8e-3));
  }
  for (const double square : {0.25, 9.0}) {
    Tensor scale = zeros({1}, DType::f64), sum = full({1}, square, DType::f64);
    CHECK(cpu_against_cuda(
              [&](const Context& context, const Place& at) {
                HRM_DISPATCH(clip_scale, context, at(scale).data<double>(), at(sum).data<double>(),
                             1.0);
              },
              {&scale}) == 0);
  }
}

TEST_CASE("cuda: halting, refill, targets and metrics") {
  for (const int64_t batch : {1, 33, 300, 777}) {
    Random random(batch);
    const int64_t seq = 37, dim = 5;
    Tensor halted = random.randint({batch}, 0, 1).to(DType::u8);
    Tensor steps = random.randint({batch}, 1, 4), min_steps = random.randint({batch}, 2, 4);
    Tensor u = random.uniform({batch}, 0, 1);
    Tensor q_halt = random.normal({batch}, 1), q_continue = random.normal({batch}, 1);
    Tensor head = full({1}, -5, DType::i32);  // about to pass 2^32
    Tensor source = full({batch}, 99, DType::i32), target = full({batch}, NAN);
    Tensor z = random.normal({batch, seq, dim}, 1), init = random.normal({dim}, 1);
    Tensor current = random.randint({batch, seq}, 0, 9),
           incoming = random.randint({batch, seq}, 0, 9);
    Tensor labels = random.randint({batch, seq}, 0, 2),
           predictions = random.randint({batch, seq}, 0, 1);
    for (int64_t i = 0; i < labels.numel(); i += 3) labels.data<int32_t>()[i] = -100;
    for (int64_t i = 0; i < seq; ++i) labels.data<int32_t>()[i] = i % 2 ? 1 : -100;
    for (int64_t i = 0; i < seq; ++i) predictions.data<int32_t>()[i] = 1;  // row 0 is exact
    Tensor labelled = zeros({batch}, DType::i32), correct = zeros({batch}, DType::i32);
    Tensor exact = full({batch}, NAN), metrics = full({5}, NAN, DType::f64);
    for (const bool only_halted : {false, true})
      for (const QHead q_head : {QHead::halt_and_continue, QHead::halt_only}) {
        HaltRule rule;
        rule.q_head = q_head;
        rule.max_steps = 4;
        rule.exploration = 0.5;
        const double error = cpu_against_cuda(
            [&](const Context& context, const Place& at) {
              HRM_DISPATCH(act_refill, context, at(source).data<int32_t>(),
                           static_cast<uint32_t*>(at(head).data()), at(halted).data<uint8_t>(),
                           batch, batch, only_halted);
              HRM_DISPATCH(act_take_rows, context, at(current).data<int32_t>(),
                           at(incoming).data<int32_t>(), at(source).data<int32_t>(), batch, seq);
              HRM_DISPATCH(act_reset_state, context, DType::f32, at(z).data(), at(init).data(),
                           at(halted).data<uint8_t>(), batch, seq, dim);
              HRM_DISPATCH(act_advance, context, at(steps).data<int32_t>(),
                           at(halted).data<uint8_t>(), batch);
              HRM_DISPATCH(act_halt, context, at(halted).data<uint8_t>(), DType::f32,
                           at(steps).data<int32_t>(), at(q_halt).data(), at(q_continue).data(),
                           at(u).data<float>(), at(min_steps).data<int32_t>(), batch, rule);
              HRM_DISPATCH(act_target_q, context, DType::f32, at(target).data(),
                           at(steps).data<int32_t>(), at(q_halt).data(), at(q_continue).data(),
                           batch, 4);
              HRM_DISPATCH(act_correctness, context, at(labelled).data<int32_t>(),
                           at(correct).data<int32_t>(), DType::f32, at(exact).data(),
                           at(predictions).data<int32_t>(), at(labels).data<int32_t>(), batch, seq);
              HRM_DISPATCH(act_metrics, context, at(metrics).data<double>(),
                           at(halted).data<uint8_t>(), at(steps).data<int32_t>(),
                           at(labelled).data<int32_t>(), at(correct).data<int32_t>(), DType::f32,
                           at(q_halt).data(), batch);
            },
            {&source, &head, &current, &z, &steps, &halted, &target, &labelled, &correct, &exact,
             &metrics});
        CHECK_MESSAGE(error < 1e-6, batch, " ", only_halted);
      }
  }
}
#endif
